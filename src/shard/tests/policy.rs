//! S3-FIFO against a naive model of two queues, item by item; switches between policies; items about to expire.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::super::account::item_bytes;
use super::super::entry::blob_len;
use super::super::ghosts::Ghosts;
use super::*;
use crate::limits::{
    EVICTIONS_PER_INSERT_MAX, FREQUENCY_MAX, GHOST_SIZE_FACTOR_MAX, POLICY_MOVES_PER_VICTIM_MAX, PROBATION_PERCENT,
};

const NOW_MS: u64 = 1_700_000_000_000;

/// The model. Queues have their heads in front.
struct Model {
    budget: Budget,
    costs: HashMap<u16, u64>,
    accesses: HashMap<u16, u8>,
    probation: VecDeque<u16>,
    main: VecDeque<u16>,
    has_evicted: bool,
    ghosts: Ghosts,
    admissions: Admissions,
    hash: fn(&Shard, u16) -> u64,
}

fn name(key: u16) -> Vec<u8> {
    format!("key:{key:03}").into_bytes()
}

fn cost(len: usize) -> u64 {
    item_bytes(blob_len(7, len, false), false)
}

impl Model {
    fn new(budget: Budget) -> Model {
        Model {
            budget,
            costs: HashMap::new(),
            accesses: HashMap::new(),
            probation: VecDeque::new(),
            main: VecDeque::new(),
            has_evicted: false,
            ghosts: Ghosts::default(),
            admissions: Admissions::default(),
            hash: |shard, key| shard.index.hash(&name(key)),
        }
    }

    fn bytes(&self) -> u64 {
        self.costs.values().sum()
    }

    fn sum(&self, keys: &VecDeque<u16>) -> u64 {
        keys.iter().map(|key| self.costs[key]).sum()
    }

    fn fits(&self, before: u64, after: u64, new: u64) -> bool {
        self.bytes() - before + after <= self.budget.bytes_max && self.costs.len() as u64 + new <= self.budget.items_max
    }

    /// `bytes` is at least so many times the mean.
    fn is_above(&self, bytes: u64, factor: u64) -> bool {
        bytes * self.costs.len() as u64 >= factor * self.bytes()
    }

    fn get(&mut self, key: u16) -> bool {
        self.access(key);
        self.costs.contains_key(&key)
    }

    fn access(&mut self, key: u16) {
        if let Some(accesses) = self.accesses.get_mut(&key) {
            *accesses = FREQUENCY_MAX.min(*accesses + 1);
        }
    }

    fn remove(&mut self, key: u16) -> bool {
        self.probation.retain(|other| *other != key);
        self.main.retain(|other| *other != key);
        self.accesses.remove(&key);
        self.costs.remove(&key).is_some()
    }

    fn victim(&mut self, spared: Option<u16>) -> u16 {
        self.has_evicted = true;
        let is_over =
            |sum: u64, max: u64| max != u64::MAX && sum > max - (u128::from(max) * PROBATION_PERCENT / 100) as u64;
        let mut from_main = is_over(self.main.len() as u64, self.budget.items_max)
            || is_over(self.sum(&self.main), self.budget.bytes_max);
        for _ in 0..POLICY_MOVES_PER_VICTIM_MAX {
            let queue = if from_main { &self.main } else { &self.probation };
            let Some(&key) = queue.back().filter(|key| spared != Some(**key) || queue.len() > 1) else {
                from_main = !from_main;
                continue;
            };
            let bytes = self.costs[&key];
            let price = match (from_main, bytes) {
                (true, _) if self.is_above(bytes, 8) => 3,
                (true, _) if self.is_above(bytes, 2) => 2,
                (true, _) => 1,
                (false, _) if self.is_above(bytes, 2) => 3,
                (false, _) if self.is_above(2 * bytes, 1) => 2,
                (false, _) => 0,
            };
            let accesses = self.accesses[&key];
            if accesses < price && spared != Some(key) {
                return key;
            }
            if from_main {
                self.main.pop_back();
            } else {
                self.probation.pop_back();
                self.admissions.admitted += 1;
            }
            self.accesses.insert(key, if from_main { accesses.saturating_sub(price) } else { 0 });
            self.main.push_front(key);
        }
        let last = self.probation.iter().rev().take(1).chain(self.main.iter().rev().take(2));
        last.copied().find(|key| spared != Some(*key)).unwrap()
    }

    fn evict(&mut self, shard: &Shard, spared: Option<u16>) {
        let key = self.victim(spared);
        let refused = self.probation.contains(&key);
        self.remove(key);
        if refused {
            self.admissions.refused += 1;
            self.ghosts.add((self.hash)(shard, key), self.costs.len() as u64);
        }
    }

    fn insert(&mut self, shard: &Shard, key: u16, len: usize) -> bool {
        let (before, after) = (self.costs.get(&key).copied().unwrap_or(0), cost(len));
        let is_new = !self.costs.contains_key(&key);
        if !self.fits(before, after, u64::from(is_new))
            && (after > self.budget.bytes_max || u64::from(is_new) > self.budget.items_max)
        {
            return false;
        }
        for _ in 0..EVICTIONS_PER_INSERT_MAX {
            if self.costs.len() == usize::from(!is_new) || self.fits(before, after, u64::from(is_new)) {
                break;
            }
            self.evict(shard, (!is_new).then_some(key));
        }
        if !is_new {
            self.costs.insert(key, after);
            self.access(key);
            return true;
        }
        let enters = if self.has_evicted {
            let is_known = self.ghosts.take((self.hash)(shard, key));
            self.admissions.ghost_hits += u64::from(is_known);
            let enters = is_known && !self.is_above(after, GHOST_SIZE_FACTOR_MAX);
            self.admissions.admitted += u64::from(enters);
            enters
        } else {
            let full =
                |sum: u64, max: u64| max != u64::MAX && sum >= (u128::from(max) * PROBATION_PERCENT / 100) as u64;
            full(self.probation.len() as u64, self.budget.items_max)
                || full(self.sum(&self.probation), self.budget.bytes_max)
        };
        if enters { &mut self.main } else { &mut self.probation }.push_front(key);
        self.costs.insert(key, after);
        self.accesses.insert(key, 0);
        true
    }

    fn check(&self, shard: &Shard) {
        shard.verify();
        let names = |entries: Vec<EntryIndex>| -> Vec<Vec<u8>> {
            entries.into_iter().map(|at| shard.slab.entry(at).key().to_vec()).collect()
        };
        let (probation, main) = shard.policy.queues(&shard.slab);
        assert_eq!(names(probation), self.probation.iter().copied().map(name).collect::<Vec<_>>());
        assert_eq!(names(main), self.main.iter().copied().map(name).collect::<Vec<_>>());
        for (&key, &accesses) in &self.accesses {
            assert_eq!(shard.frequency(&name(key), NOW_MS), Some(accesses));
        }
        assert_eq!((shard.admissions(), shard.bytes()), (self.admissions, self.bytes()));
    }
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn s3_fifo_is_two_queues((mask, ops) in runs(400), items in 0..60u64, bytes in 0..6000u64, keys in 1..120u16) {
        let budget = Budget {
            items_max: if items % 3 == 0 { u64::MAX } else { items },
            bytes_max: if bytes % 3 == 0 { u64::MAX } else { bytes },
        };
        let mut shard = shard(budget, Eviction::S3Fifo);
        let mut model = Model::new(budget);
        for (raw, a, b) in ops {
            let key = a % keys;
            // Mostly alike, some much smaller or larger.
            let len = match b % 8 {
                0 => 0,
                1 => usize::from(b / 8 % 64),
                2 => usize::from(b / 8 % 1500),
                _ => 100 + usize::from(b / 8 % 40),
            };
            match pick(&[(6, 0), (8, 1), (1, 2)], (mask, raw)) {
                0 => {
                    let stored = model.insert(&shard, key, len);
                    prop_assert_eq!(shard.insert(&name(key), &vec![1; len], Expiry::Never, NOW_MS).is_ok(), stored);
                }
                1 => prop_assert_eq!(shard.get(&name(key), Recency::Touch, NOW_MS).is_some(), model.get(key)),
                _ => prop_assert_eq!(shard.remove(&name(key), NOW_MS), model.remove(key)),
            }
            model.check(&shard);
        }
    }

    /// Whatever policies follow each other, with deadlines, loads and budgets that change: nothing is lost, the bound holds.
    #[test]
    fn policies_follow_each_other((mask, ops) in runs(300)) {
        let mut shard = shard(Budget { items_max: 20, bytes_max: 4000 }, Eviction::S3Fifo);
        let mut now_ms = NOW_MS;
        for (raw, a, b) in ops {
            let key = name(a % 50);
            let value = vec![0; usize::from(b % 300)];
            let deadline_ms = now_ms + u64::from(b % 4000);
            match pick(&[(8, 0), (8, 1), (6, 2), (2, 3), (2, 4), (1, 5), (1, 6), (1, 7), (1, 8)], (mask, raw)) {
                0 => drop(shard.get(&key, Recency::Touch, now_ms)),
                1 => drop(shard.insert(&key, &value, Expiry::Never, now_ms)),
                2 => drop(shard.insert(&key, &value, Expiry::At(deadline_ms), now_ms)),
                3 => drop(shard.set_expiry(&key, (b % 2 == 0).then_some(deadline_ms), now_ms)),
                4 => drop(shard.remove(&key, now_ms)),
                5 => shard.set_eviction(ALL[usize::from(b) % ALL.len()]),
                6 => shard.set_budget(Budget { items_max: u64::from(b % 30), bytes_max: 100 * u64::from(a % 60) }),
                7 => now_ms += u64::from(b % 2000),
                _ if b % 9 == 0 => drop(shard.clear()),
                _ => while shard.work(now_ms, 50).more {},
            }
            shard.verify();
            if shard.may_evict() {
                while shard.work(now_ms, 50).more {}
                let is_within = shard.len() <= shard.budget().items_max && shard.bytes() <= shard.budget().bytes_max;
                prop_assert!(is_within || !shard.may_evict());
            }
        }
    }
}

/// Every policy.
const ALL: [Eviction; 5] =
    [Eviction::Lru, Eviction::S3Fifo, Eviction::VolatileLru, Eviction::VolatileTtl, Eviction::None];

fn put(shard: &mut Shard, key: &str, expiry: Expiry) {
    assert_eq!(shard.insert(key.as_bytes(), b"v", expiry, NOW_MS), Ok(()));
}

fn has(shard: &Shard, key: &str) -> bool {
    shard.peek(key.as_bytes(), NOW_MS).is_some()
}

#[test]
fn a_scan_passes_what_is_asked_for_again() {
    let of = |eviction| {
        let mut shard = shard(Budget { items_max: 100, bytes_max: u64::MAX }, eviction);
        for _ in 0..3 {
            for key in 0..80 {
                if shard.get(format!("hot:{key}").as_bytes(), Recency::Touch, NOW_MS).is_none() {
                    put(&mut shard, &format!("hot:{key}"), Expiry::Never);
                }
            }
        }
        (0..5000).for_each(|key| put(&mut shard, &format!("scan:{key}"), Expiry::Never));
        (0..80).filter(|key| has(&shard, &format!("hot:{key}"))).count()
    };
    assert_eq!((of(Eviction::Lru), of(Eviction::S3Fifo)), (0, 80));
}

#[test]
fn what_is_about_to_expire_goes_first_unless_it_is_in_demand() {
    let mut shard = shard(Budget { items_max: 10, bytes_max: u64::MAX }, Eviction::S3Fifo);
    put(&mut shard, "demanded", Expiry::At(NOW_MS + 100));
    (0..3).for_each(|_| assert!(shard.get(b"demanded", Recency::Touch, NOW_MS).is_some()));
    (0..7).for_each(|key| put(&mut shard, &format!("live:{key}"), Expiry::Never));
    put(&mut shard, "later", Expiry::At(NOW_MS + 60_000));
    put(&mut shard, "soon", Expiry::At(NOW_MS + 500));
    shard.set_expiry(b"demanded", None, NOW_MS);
    put(&mut shard, "new:1", Expiry::Never);
    assert!(!has(&shard, "soon") && has(&shard, "later"));
    shard.set_expiry(b"demanded", Some(NOW_MS + 100), NOW_MS);
    put(&mut shard, "new:2", Expiry::Never);
    assert!(has(&shard, "demanded") && has(&shard, "later"));
    let counted = (shard.counters().evictions, shard.counters().expirations);
    shard.insert(b"new:3", b"v", Expiry::Never, NOW_MS + 200).unwrap();
    assert_eq!(counted, (2, 0));
    assert_eq!((shard.counters().evictions, shard.counters().expirations), (2, 1), "what has expired goes before all");
    shard.verify();
}

#[test]
fn what_a_snapshot_brings_back_is_proven() {
    let mut shard = shard(Budget { items_max: 10, bytes_max: u64::MAX }, Eviction::S3Fifo);
    for key in 0..9 {
        let key = format!("{key}");
        let record = crate::persist::Record {
            database: 0,
            key: key.as_bytes(),
            value: b"v",
            expires_at_ms: None,
            accessed_s: 5,
        };
        assert_eq!(shard.load(&record, NOW_MS), Ok(true));
    }
    (0..100).for_each(|key| put(&mut shard, &format!("scan:{key}"), Expiry::Never));
    assert!((0..9).all(|key| has(&shard, &format!("{key}"))));
}

const DRAWS: u64 = 200_000;

/// Plays draws of keys, the smaller the likelier (as many octaves as there are bits), each filled when it is missed.
/// Returns the hits, and what was estimated for half and twice the budget.
fn play(items_max: u64, eviction: Eviction) -> (u64, Option<[u64; 2]>) {
    let mut shard = shard(Budget { items_max, bytes_max: u64::MAX }, eviction);
    for draw in 0..DRAWS {
        let random = mix(draw);
        let key = (random >> 46) >> (random % 18);
        let name = format!("key:{key}");
        if shard.get(name.as_bytes(), Recency::Touch, NOW_MS).is_none() {
            put(&mut shard, &name, Expiry::Never);
        }
        if draw % 256 == 0 {
            shard.work(NOW_MS, 50);
        }
    }
    shard.verify();
    (shard.counters().hits, shard.hits_estimated())
}

#[test]
fn hits_with_half_and_twice_the_budget_are_estimated_within_two_points() {
    for eviction in [Eviction::Lru, Eviction::S3Fifo] {
        let [half, (_, estimated), twice] = [2048, 4096, 8192].map(|items_max| play(items_max, eviction));
        let errors = estimated.unwrap().into_iter().zip([half.0, twice.0]);
        for (estimated, truth) in errors {
            assert!(estimated.abs_diff(truth) < DRAWS / 50, "{eviction:?}: {estimated} for {truth}");
        }
        assert!(half.0 + DRAWS / 50 < twice.0, "there is something to tell apart");
    }
    assert_eq!(play(u64::MAX, Eviction::S3Fifo).1, None, "without a budget there is nothing to estimate");
}

#[test]
fn what_was_gained_begins_anew_and_the_miniatures_follow_budget_and_clear() {
    let mut shard = shard(Budget { items_max: 100, bytes_max: u64::MAX }, Eviction::S3Fifo);
    let draw = |shard: &mut Shard, draws: std::ops::Range<u64>| {
        for draw in draws {
            let key = format!("{}", mix(draw) % 300);
            if shard.get(key.as_bytes(), Recency::Touch, NOW_MS).is_none() {
                put(shard, &key, Expiry::At(NOW_MS + 1000));
            }
        }
    };
    draw(&mut shard, 0..5000);
    let Counters { hits, .. } = *shard.counters();
    let [half, twice] = shard.hits_estimated().unwrap();
    assert!(half < hits && hits < twice, "{half} {hits} {twice}");
    shard.reset_counters();
    assert_eq!(shard.hits_estimated(), Some([0, 0]));
    shard.set_budget(Budget { items_max: 20, bytes_max: u64::MAX });
    draw(&mut shard, 0..1000);
    shard.verify();
    while shard.work(NOW_MS + 2000, 50).more {}
    shard.verify();
    assert_eq!((shard.len(), shard.clear(), shard.hits_estimated()), (0, 0, None));
}
