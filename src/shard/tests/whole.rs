//! The whole shard against the model: random operations, small and unlimited budgets, both kinds of eviction,
//! clocks that jump, clears in the middle of sliced work; and a scan that goes on through all of it.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::model::{Model, ModelItem};
use super::*;
use crate::limits::{ACCESS_CLOCK_BACK_S, IDLE_S_MAX};

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert,
    InsertTimed,
    InsertKeep,
    Get,
    GetKeep,
    Peek,
    Remove,
    Touch,
    Idle,
    Expire,
    Persist,
    Tick,
    Jump,
    Back,
    Work,
    SetBudget,
    Clear,
}

const OPS: [(u8, Op); 17] = [
    (30, Op::Insert),
    (14, Op::InsertTimed),
    (8, Op::InsertKeep),
    (16, Op::Get),
    (4, Op::GetKeep),
    (3, Op::Peek),
    (8, Op::Remove),
    (4, Op::Touch),
    (2, Op::Idle),
    (6, Op::Expire),
    (3, Op::Persist),
    (8, Op::Tick),
    (1, Op::Jump),
    (1, Op::Back),
    (10, Op::Work),
    (2, Op::SetBudget),
    (1, Op::Clear),
];

/// A shard, its model, and a scan under way.
struct Pair {
    shard: Shard,
    model: Model,
    now_ms: u64,
    latest_ms: u64,
    scan: Scan,
}

/// A walk that goes on between operations, and which keys it owes: those present since its start.
#[derive(Default)]
struct Scan {
    from: u32,
    owed: HashSet<Vec<u8>>,
    seen: HashMap<Vec<u8>, u32>,
}

impl Pair {
    fn step(&mut self, op: Op, a: u16, b: u16) {
        let key = &format!("key:{}", a % 48).into_bytes()[..];
        let now_ms = self.now_ms;
        match op {
            Op::Insert => self.insert(key, b, Expiry::Never),
            // A sixteenth of them has passed already.
            Op::InsertTimed => self.insert(key, b, Expiry::At((now_ms + u64::from(b % 256)).saturating_sub(16))),
            Op::InsertKeep => self.insert(key, b, Expiry::Keep),
            Op::Get | Op::GetKeep => {
                let recency = if matches!(op, Op::Get) { Recency::Touch } else { Recency::Keep };
                let got = self.shard.get(key, recency, now_ms).map(|item| (item.value.to_vec(), item.expires_at_ms));
                assert_eq!(got, self.model.get(key, recency == Recency::Touch, now_ms));
            }
            Op::Peek => self.peek(key, a),
            Op::Remove => assert_eq!(self.shard.remove(key, now_ms), self.model.remove(key, now_ms)),
            Op::Touch => {
                let found = self.model.live(key, now_ms);
                assert_eq!(self.shard.touch(key, now_ms), found.is_some());
                found.into_iter().for_each(|i| self.model.access(i, now_ms));
            }
            Op::Idle => {
                let found = self.model.live(key, now_ms);
                let idle_s = u64::from(b);
                assert_eq!(self.shard.set_idle_s(key, idle_s, now_ms), found.is_some());
                found.into_iter().for_each(|i| self.model.items[i].accessed_ms = now_ms.saturating_sub(idle_s * 1000));
            }
            Op::Expire | Op::Persist => {
                let far_ms = u64::from(b) << (a % 24);
                let at_ms = matches!(op, Op::Expire).then(|| (now_ms + far_ms).saturating_sub(16));
                let found = self.shard.set_expiry(key, at_ms, now_ms);
                assert_eq!(found, self.model.set_expiry(key, at_ms, now_ms));
            }
            Op::Tick => self.now_ms += u64::from(b % 64),
            Op::Jump => self.now_ms += u64::from(b) << (a % 20),
            Op::Back => self.now_ms = self.now_ms.saturating_sub(u64::from(b)),
            Op::Work => self.work(1 + u32::from(b % 24)),
            Op::SetBudget => self.set_budget(a, b),
            Op::Clear => {
                assert_eq!(self.shard.clear(), self.model.items.len() as u64);
                self.model.items.clear();
                self.scan = Scan::default();
            }
        }
        self.latest_ms = self.latest_ms.max(self.now_ms);
    }

    fn insert(&mut self, key: &[u8], b: u16, expiry: Expiry) {
        // Mostly small, with few sizes so that overwriting in place happens; some around the timer word's bound.
        let len = match b % 16 {
            0 => 4096 - key.len() + usize::from(b / 16 % 3) - 1,
            1 => usize::from(b % 700),
            _ => usize::from(b / 16 % 4) * 8,
        };
        let value = vec![b as u8; len];
        let now_ms = self.now_ms;
        let stored = self.shard.insert(key, &value, expiry, now_ms);
        let model = &mut self.model;
        let mut found = model.live(key, now_ms);
        let mut item = model.planned(found, key, &value, expiry);
        item.accessed_ms = now_ms;
        if item.has_expired(now_ms) {
            assert_eq!(stored, Ok(()));
            if let Some(i) = found {
                model.items.remove(i);
                model.counters.removals += 1;
            }
            return;
        }
        let before = found.map_or(0, |i| model.items[i].cost());
        let extra = (item.cost() as i64 - before as i64, u64::from(found.is_none()));
        let too_large = item.cost() > model.budget.bytes_max || extra.1 > model.budget.items_max;
        let full = match model.eviction {
            Eviction::None => {
                if !model.fits(extra.0, extra.1) && (extra.0 > 0 || extra.1 > 0) {
                    Self::drop_expired(&self.shard, model, now_ms, Some(key));
                    found = model.items.iter().position(|item| item.key == key);
                    assert!(found.is_some() == (extra.1 == 0), "the overwritten item is not dropped");
                }
                !model.fits(extra.0, extra.1) && (extra.0 > 0 || extra.1 > 0)
            }
            _ => too_large && !model.fits(extra.0, extra.1),
        };
        assert_eq!(stored.is_err(), full, "{stored:?} {extra:?} {:?}", model.budget);
        if full {
            return;
        }
        if let Some(i) = found {
            model.bring_to_front(i);
        }
        if model.eviction == Eviction::Lru {
            model.evict(extra, found.is_some(), now_ms);
        }
        if found.is_some() {
            model.items.remove(0);
        }
        model.items.insert(0, item);
        model.counters.insertions += 1;
    }

    /// Follows the shard where it may choose which expired items to drop.
    fn drop_expired(shard: &Shard, model: &mut Model, now_ms: u64, inserted: Option<&[u8]>) {
        let before = model.items.len();
        model.items.retain(|item| {
            let stored = shard.find(&item.key, shard.index.hash(&item.key)).is_some();
            let kept = stored || inserted == Some(&item.key[..]);
            assert!(kept || item.has_expired(now_ms), "only expired items are dropped");
            kept
        });
        model.counters.expirations += (before - model.items.len()) as u64;
    }

    fn work(&mut self, steps_max: u32) {
        let now_ms = self.now_ms;
        let over = |model: &Model| model.eviction == Eviction::Lru && !model.fits(0, 0) && !model.items.is_empty();
        let evictions = self.shard.counters().evictions;
        let progress = self.shard.work(now_ms, steps_max);
        assert!(progress.steps <= steps_max);
        let model = &mut self.model;
        // Expiry first: whatever expired item is missing now and is not where the evictions were.
        let evicted = self.shard.counters().evictions - evictions;
        let stored = |key: &[u8]| self.shard.find(key, self.shard.index.hash(key)).is_some();
        let mut gone_live = 0;
        while let Some(last_gone) = model.items.iter().rposition(|item| !stored(&item.key)) {
            if !model.items[last_gone].has_expired(now_ms) {
                let older_live = model.items[last_gone + 1..].iter().any(|item| !item.has_expired(now_ms));
                assert!(!older_live, "an eviction passed an older live item by");
                gone_live += 1;
                model.counters.evictions += 1;
            } else {
                model.counters.expirations += 1;
            }
            model.items.remove(last_gone);
        }
        assert_eq!(gone_live, evicted);
        if !progress.more {
            assert!(!over(model), "no debt is left");
            assert!(self.shard.garbage.is_empty());
            let due = |item: &ModelItem| item.has_expired(now_ms);
            assert!(now_ms < self.latest_ms || !model.items.iter().any(due), "nothing due is left");
        }
    }

    fn set_budget(&mut self, a: u16, b: u16) {
        let budget = match a % 4 {
            0 => Budget::UNLIMITED,
            1 => Budget { items_max: u64::from(b % 64), bytes_max: u64::MAX },
            2 => Budget { items_max: u64::MAX, bytes_max: u64::from(b % 8000) },
            _ => Budget { items_max: u64::from(b % 32), bytes_max: u64::from(b % 16000) },
        };
        let eviction = if b.is_multiple_of(3) { Eviction::None } else { Eviction::Lru };
        self.shard.set_budget(budget);
        self.shard.set_eviction(eviction);
        (self.model.budget, self.model.eviction) = (budget, eviction);
        assert_eq!((self.shard.budget(), self.shard.eviction()), (budget, eviction));
    }

    fn peek(&self, key: &[u8], a: u16) {
        // Changes nothing, by its type; here it has to bear every state of the shard.
        self.shard.warm([key, b"", b"absent"].into_iter());
        self.shard.warm(self.model.items.iter().map(|item| &item.key[..]));
        let live = |key: &[u8]| self.model.items.iter().find(|item| item.key == key && !item.has_expired(self.now_ms));
        let peeked = self.shard.peek(key, self.now_ms).map(|item| (item.value, item.expires_at_ms));
        assert_eq!(peeked, live(key).map(|item| (&item.value[..], item.deadline_ms)));
        let random = self.shard.random_key(u64::from(a), self.now_ms);
        assert!(random.is_none_or(|key| live(key).is_some()));
        let any = self.model.items.iter().any(|item| !item.has_expired(self.now_ms));
        assert!(random.is_some() || !any, "with few items the bounded walk sees them all");
    }

    /// Goes on with the scan; at its end, and only then, every key present throughout has been seen once.
    fn scan_on(&mut self, steps_max: u32) {
        let (now_ms, model) = (self.now_ms, &self.model);
        let live: HashMap<_, _> =
            model.items.iter().filter(|item| !item.has_expired(now_ms)).map(|item| (&item.key[..], item)).collect();
        let scan = &mut self.scan;
        if scan.from == 0 {
            scan.owed = live.keys().map(|key| key.to_vec()).collect();
            scan.seen.clear();
        }
        scan.owed.retain(|key| live.contains_key(&key[..]));
        let mut visits = 0;
        let next = self.shard.scan(scan.from, steps_max, now_ms, &mut |key, item| {
            visits += 1;
            assert_eq!(
                live.get(key).map(|live| (&live.value[..], live.deadline_ms)),
                Some((item.value, item.expires_at_ms))
            );
            *scan.seen.entry(key.to_vec()).or_default() += 1;
        });
        assert!(visits <= steps_max);
        match next {
            Some(next) => {
                assert!(next > scan.from);
                scan.from = next;
            }
            None => {
                assert!(scan.owed.iter().all(|key| scan.seen.get(key) == Some(&1)));
                scan.from = 0;
            }
        }
    }

    fn check(&mut self) {
        self.shard.verify();
        let next = |&at: &EntryIndex| Some(self.shard.slab.entry(at).next).filter(|at| at.is_some());
        let head = Some(self.shard.policy.last()).filter(|at| at.is_some());
        let order = std::iter::successors(head, next).map(|at| self.shard.slab.entry(at).key());
        assert!(order.eq(self.model.items.iter().map(|item| &item.key[..])), "the same items in the same order");
        for item in self.model.items.iter().filter(|item| !item.has_expired(self.now_ms)) {
            let idle_s = (self.now_ms / 1000).checked_sub(item.accessed_ms / 1000);
            // Where the clock jumped further than a stamp reaches, `idle`'s own tests say what is told.
            if idle_s.is_none_or(|idle_s| idle_s <= IDLE_S_MAX)
                && item.accessed_ms / 1000 <= self.now_ms / 1000 + ACCESS_CLOCK_BACK_S
            {
                assert_eq!(self.shard.idle_s(&item.key, self.now_ms), Some(idle_s.unwrap_or(0)));
            }
            assert_eq!(self.shard.bytes_of(&item.key, self.now_ms), Some(item.cost()));
        }
        assert_eq!(self.shard.len(), self.model.items.len() as u64);
        assert_eq!(self.shard.bytes(), self.model.bytes());
        assert_eq!(*self.shard.counters(), self.model.counters);
        let timed = self.model.items.iter().filter(|item| item.deadline_ms.is_some()).count();
        assert_eq!(self.shard.timed_len(), timed as u64);
        // Absent keys are owed no more: a key that comes back has another position, perhaps one behind the scan. What
        // has expired is absent, though it may still have its place.
        let now_ms = self.now_ms;
        let live = self.model.items.iter().filter(|item| !item.has_expired(now_ms));
        let present: HashSet<_> = live.map(|item| &item.key).collect();
        self.scan.owed.retain(|key| present.contains(key));
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_shard_is_a_list_of_items((mask, ops) in runs(250), budget in any::<(u16, u16)>()) {
        let now_ms = 1_700_000_000_000;
        let budgets = (Budget::UNLIMITED, Eviction::Lru);
        let mut pair = Pair {
            shard: shard(budgets.0, budgets.1),
            model: Model::new(budgets.0, budgets.1),
            now_ms,
            latest_ms: now_ms,
            scan: Scan::default(),
        };
        pair.set_budget(budget.0, budget.1);
        for (i, (raw, a, b)) in ops.into_iter().enumerate() {
            let op = pick(&OPS, (mask, raw));
            // The owed keys must not be replaced unseen: a removal and an insertion between two looks.
            if matches!(op, Op::InsertTimed | Op::Expire) {
                pair.scan.owed.remove(&format!("key:{}", a % 48).into_bytes());
            }
            pair.step(op, a, b);
            pair.check();
            if i % 3 == 0 {
                pair.scan_on(1 + u32::from(a % 9));
            }
        }
        pair.shard.clear();
        while pair.shard.work(pair.now_ms, 7).more {}
        prop_assert!(pair.shard.garbage.is_empty());
    }
}
