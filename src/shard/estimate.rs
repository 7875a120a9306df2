//! Estimate: the hit ratio with half and with twice the budget, by miniature simulation.
//!
//! Owner: `Shard`, once its budget is half used. Core: the shard's own. A key is in the sample by its hash, as SHARDS
//! draws it (Waldspurger et al., FAST 2015); two caches without values, the miniatures, replay what happens to the
//! sample, by the shard's own policy, with half and twice the sample's share of the budget (the same authors, ATC
//! 2017). Their hits that are misses in the shard, less its hits that are misses in them, are scaled up and added to
//! the hits of the shard: hot keys, which hit at any size, so add no noise.
//! Cost: one comparison a GET; some 500 instructions a GET of a key in the sample, which are one in 16 at most, and
//! few where there are many items: some 1000 keys of those the shard holds. 100 bytes for each of 2500 keys.
//! Never: changes what the shard does.
//! Blind spot: an expired item that only the larger cache holds leaves it when it is read or room is needed, not when
//! it expires.
//! Invariant: a miniature's table, slab, queues and account have the same items, and fit its budget.

use hashbrown::HashTable;

use super::account::{Account, Budget, Charge};
use super::entry::{EntryIndex, Label};
use super::policy::{Eviction, Policy};
use super::slab::Slab;
use crate::limits::{ESTIMATE_ITEMS, ESTIMATE_ITEMS_KEPT_MAX, ESTIMATE_RATE_SHIFT_MIN};

/// The two miniatures of one shard.
pub(super) struct Estimate {
    /// A key is in the sample if the low half of its hash has this many zeros at its top.
    rate_shift: u32,
    half: Miniature,
    twice: Miniature,
}

/// An item of the sample: the hash of its key, its cost and its deadline.
#[derive(Clone, Copy)]
pub(super) struct Sampled {
    pub(super) hash: u64,
    pub(super) cost: u64,
    pub(super) deadline_ms: Option<u64>,
}

/// A cache of hashes and costs.
struct Miniature {
    table: HashTable<u32>,
    slab: Slab,
    policy: Policy,
    account: Account,
    budget: Budget,
    has_evicted: bool,
    /// GETs of the sample that hit here and missed in the shard, less those the other way round.
    gained: i64,
}

impl Estimate {
    /// Miniatures of a shard that would hold so many items if its budget were used up.
    pub(super) fn new(eviction: Eviction, budget: Budget, items: u64) -> Estimate {
        let rate_shift = (items / ESTIMATE_ITEMS).max(1).ilog2().max(ESTIMATE_RATE_SHIFT_MIN);
        let mut estimate = Estimate { rate_shift, half: Miniature::new(eviction), twice: Miniature::new(eviction) };
        estimate.set_budget(budget);
        estimate
    }

    /// Whether a key of this hash is in the sample.
    #[inline]
    pub(super) fn has(&self, hash: u64) -> bool {
        (hash as u32).leading_zeros() >= self.rate_shift
    }

    /// Replays a GET of a key in the sample; `found`: its item, if the shard has it.
    pub(super) fn on_get(&mut self, hash: u64, found: Option<Sampled>, now_ms: u64) {
        self.half.on_get(hash, found, now_ms);
        self.twice.on_get(hash, found, now_ms);
    }

    /// Replays the store of an item in the sample; `existed`: over another, which is an access.
    pub(super) fn on_store(&mut self, item: Sampled, existed: bool) {
        self.half.store(item, existed);
        self.twice.store(item, existed);
    }

    /// Replays the removal of an item in the sample, other than by eviction.
    pub(super) fn on_remove(&mut self, hash: u64) {
        self.half.remove(hash);
        self.twice.remove(hash);
    }

    /// Whether there are so many items that a smaller sample will do.
    pub(super) fn is_too_large(&self) -> bool {
        self.twice.account.items() > ESTIMATE_ITEMS_KEPT_MAX
    }

    /// Sets the budgets of the miniatures by that of the shard.
    pub(super) fn set_budget(&mut self, budget: Budget) {
        let scaled = |max: u64, twice: bool| match (max, twice) {
            (u64::MAX, _) => u64::MAX,
            (max, true) => ((u128::from(max) * 2) >> self.rate_shift) as u64,
            (max, false) => (max / 2) >> self.rate_shift,
        };
        let of = |twice| Budget {
            items_max: scaled(budget.items_max, twice).max(1),
            bytes_max: scaled(budget.bytes_max, twice).max(1),
        };
        for (miniature, twice) in [(&mut self.half, false), (&mut self.twice, true)] {
            miniature.budget = of(twice);
            miniature.policy.set_budget(of(twice));
        }
    }

    /// Sets the eviction policy of the miniatures.
    pub(super) fn set_eviction(&mut self, eviction: Eviction) {
        self.half.policy.set_eviction(eviction);
        self.twice.policy.set_eviction(eviction);
    }

    /// Sets the gained hits back to zero; the items stay.
    pub(super) fn reset(&mut self) {
        (self.half.gained, self.twice.gained) = (0, 0);
    }

    /// Hits that a shard of half and of twice the budget would have had beyond those of this one; less than 0 if fewer.
    pub(super) fn gained(&self) -> [i64; 2] {
        [self.half.gained, self.twice.gained].map(|gained| gained << self.rate_shift)
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        self.half.verify();
        self.twice.verify();
    }
}

impl Miniature {
    fn new(eviction: Eviction) -> Miniature {
        Miniature {
            table: HashTable::new(),
            slab: Slab::default(),
            policy: Policy::new(eviction, Budget::UNLIMITED, cost),
            account: Account::default(),
            budget: Budget::UNLIMITED,
            has_evicted: false,
            gained: 0,
        }
    }

    fn on_get(&mut self, hash: u64, found: Option<Sampled>, now_ms: u64) {
        let at = self.find(hash);
        let is_live = |at: &EntryIndex| deadline_ms(&self.slab, *at).is_none_or(|deadline_ms| deadline_ms > now_ms);
        let hit = match at.filter(is_live) {
            Some(at) => {
                self.policy.touch(&mut self.slab, at, 0, |_, _, _| {});
                true
            }
            // A miniature begins empty: what the shard has been holding it would have as well, until it is full.
            None => found.is_some() && !self.has_evicted,
        };
        if !hit && at.is_some() {
            self.remove(hash);
        }
        if let Some(item) = found.filter(|_| at.is_none()) {
            self.store(item, false);
        }
        self.gained += i64::from(hit) - i64::from(found.is_some());
    }

    fn store(&mut self, item: Sampled, existed: bool) {
        if item.cost > self.budget.bytes_max {
            self.remove(item.hash);
            return;
        }
        let value = value_of(item);
        if let Some(at) = self.find(item.hash) {
            let before = cost(&self.slab, at);
            self.slab.entry_mut(at).replace_value(&value, false);
            self.policy.recharge(&self.slab, at, before, item.cost);
            self.account.change(before, item.cost);
            if existed {
                self.policy.touch(&mut self.slab, at, 0, |_, _, _| {});
            }
            self.evict(Some(at), Charge::NONE);
            return;
        }
        self.evict(None, Charge { before_bytes: 0, after_bytes: item.cost, items_new: 1 });
        let at = self.slab.insert(Label::STRING, &item.hash.to_ne_bytes(), &value, false);
        let slab = &self.slab;
        self.table.insert_unique(item.hash, at.0, |&at| hash(slab, EntryIndex(at)));
        self.policy.insert(&mut self.slab, at, 0, (item.hash, item.cost), &self.account);
        self.account.add(item.cost);
    }

    /// Evicts items until a charge fits, but not the one that is spared.
    fn evict(&mut self, spared: Option<EntryIndex>, charge: Charge) {
        while self.account.items() > u64::from(spared.is_some()) && !self.account.fits(&self.budget, charge) {
            self.has_evicted = true;
            let at = self.policy.victim(&mut self.slab, &self.account, spared, |_, _, _| {});
            let hash = hash(&self.slab, at);
            self.take_out(hash, at, Some(hash));
        }
    }

    fn remove(&mut self, hash: u64) {
        if let Some(at) = self.find(hash) {
            self.take_out(hash, at, None);
        }
    }

    fn take_out(&mut self, hash: u64, at: EntryIndex, evicted: Option<u64>) {
        if let Ok(found) = self.table.find_entry(hash, |&other| other == at.0) {
            found.remove();
        }
        let bytes = cost(&self.slab, at);
        self.account.remove(bytes);
        self.policy.remove(&mut self.slab, (at, bytes), evicted, &self.account);
        self.slab.remove(at);
    }

    fn find(&self, hash: u64) -> Option<EntryIndex> {
        let key = hash.to_ne_bytes();
        let found = self.table.find(hash, |&at| self.slab.entry(EntryIndex(at)).holds(&key));
        found.map(|&at| EntryIndex(at))
    }

    #[cfg(any(test, feature = "verify"))]
    fn verify(&self) {
        self.slab.verify();
        self.policy.verify(&self.slab);
        assert_eq!(self.table.len(), self.slab.len() as usize);
        assert_eq!(self.account.items(), u64::from(self.slab.len()));
        let costs = self.table.iter().map(|&at| cost(&self.slab, EntryIndex(at)));
        assert_eq!(costs.sum::<u64>(), self.account.bytes());
    }
}

/// The value of an item in a miniature: its cost and its deadline. Its key is the hash.
fn value_of(item: Sampled) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&item.cost.to_ne_bytes());
    value[8..].copy_from_slice(&item.deadline_ms.unwrap_or(u64::MAX).to_ne_bytes());
    value
}

fn hash(slab: &Slab, at: EntryIndex) -> u64 {
    word(slab.entry(at).key(), 0)
}

fn cost(slab: &Slab, at: EntryIndex) -> u64 {
    word(slab.entry(at).value(), 0)
}

fn deadline_ms(slab: &Slab, at: EntryIndex) -> Option<u64> {
    Some(word(slab.entry(at).value(), 8)).filter(|deadline_ms| *deadline_ms != u64::MAX)
}

fn word(bytes: &[u8], from: usize) -> u64 {
    let word = bytes.get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_ne_bytes(word.expect("keys have 8 bytes, values 16"))
}
