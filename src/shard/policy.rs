//! Policy: admission and eviction: which item is the victim when room is needed, and what an access does to that.
//!
//! Owner: `Shard`, and the caches in miniature of `estimate`. Core: the shard's own.
//! Cost: three bits of an entry, and 1.8 bytes an item for ghosts once S3-FIFO evicts; an access is a store to the
//! entry (S3-FIFO) or a relinking (LRU); finding a victim is O(1) on average, and bounded by
//! `POLICY_MOVES_PER_VICTIM_MAX`.
//! Never: allocates but for ghosts, reads a clock, removes an item (the shard does, and tells this file).
//!
//! LRU: one queue, `main`. An accessed item moves to its head; the victim is its tail.
//!
//! S3-FIFO (Yang et al., SOSP 2023): a new item is on probation, in a queue of a tenth of the budget. At the end of
//! that queue an item accessed twice since is admitted to `main`; another is evicted and leaves a ghost, and a new
//! item that has a ghost enters `main` at once. At the end of `main` an item accessed since goes round again, at the
//! price of one of its accesses, of which three at most are counted. So items that are read once, by a scan for
//! example, pass through a tenth of the room alone.
//!
//! Of items with a deadline alone (`VolatileLru`, `VolatileTtl`) the shard looks for a victim itself, in the wheel; here they
//! are queued as by LRU.
//!
//! Where items differ in size, an item of less than half the mean is admitted without an access, one of twice the mean
//! or more needs three accesses, and larger ones pay more for another round. Items within these bounds are treated
//! alike, so with values of one size this is plain S3-FIFO.
//!
//! Invariant: an entry is in `probation` exactly if it says so, otherwise in `main`; `probation_items` and
//! `probation_bytes` are the sums over that queue.

use super::account::{Account, Budget};
use super::entry::EntryIndex;
use super::ghosts::Ghosts;
use super::queue::Queue;
use super::slab::Slab;
use crate::limits::{
    GHOST_SIZE_FACTOR_MAX, MAIN_LARGE_FACTOR, MAIN_LARGER_FACTOR, POLICY_MOVES_PER_VICTIM_MAX, PROBATION_ACCESSES,
    PROBATION_ACCESSES_LARGE, PROBATION_LARGE_FACTOR, PROBATION_PERCENT, PROBATION_SMALL_DIVISOR,
};

/// The eviction policy: what happens when the budget is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Eviction {
    /// The least recently used items are evicted.
    Lru,
    /// Items that were accessed once are evicted before those that were accessed again.
    #[default]
    S3Fifo,
    /// As `Lru`, among items with a deadline alone, and by a sample of them; without any, insertions that need more room are
    /// refused.
    VolatileLru,
    /// As `VolatileLru`, but the item whose deadline comes first is evicted.
    VolatileTtl,
    /// Insertions that need more room are refused.
    None,
}

impl Eviction {
    /// Whether items with a deadline alone are evicted.
    #[inline]
    pub fn is_volatile(self) -> bool {
        matches!(self, Eviction::VolatileLru | Eviction::VolatileTtl)
    }
}

/// The counters of admission.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Admissions {
    /// Items admitted to the main queue, from probation or because they had ghosts.
    pub admitted: u64,
    /// Items evicted from probation.
    pub refused: u64,
    /// New items that had ghosts.
    pub ghost_hits: u64,
}

impl std::ops::AddAssign for Admissions {
    fn add_assign(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.ghost_hits += other.ghost_hits;
    }
}

/// The queues of one cache.
pub(super) struct Policy {
    eviction: Eviction,
    probation: Queue,
    main: Queue,
    probation_items: u64,
    probation_bytes: u64,
    /// Whether a victim was ever needed: until then there are no ghosts, and `main` fills up beside probation.
    has_evicted: bool,
    ghosts: Ghosts,
    admissions: Admissions,
    /// The part of the budget that is probation's.
    share: Budget,
    /// The part of the budget that is `main`'s.
    rest: Budget,
    /// The cost of an entry, as the account has charged it.
    cost: fn(&Slab, EntryIndex) -> u64,
}

/// The order of a walk over all items: those that are likely to be evicted first come first.
#[derive(Clone, Copy)]
pub(super) struct Walkway {
    main_tail: EntryIndex,
}

impl Policy {
    /// A policy without items.
    pub(super) fn new(eviction: Eviction, budget: Budget, cost: fn(&Slab, EntryIndex) -> u64) -> Policy {
        let mut policy = Policy {
            eviction,
            probation: Queue::default(),
            main: Queue::default(),
            probation_items: 0,
            probation_bytes: 0,
            has_evicted: false,
            ghosts: Ghosts::default(),
            admissions: Admissions::default(),
            share: budget,
            rest: budget,
            cost,
        };
        policy.set_budget(budget);
        policy
    }

    /// Queues a new item of so many bytes, on probation or in `main`. The hash is its key's; `held` is the account
    /// without it.
    #[inline]
    pub(super) fn insert(
        &mut self,
        slab: &mut Slab,
        at: EntryIndex,
        stamp: u32,
        (hash, bytes): (u64, u64),
        held: &Account,
    ) {
        let on_probation = self.eviction == Eviction::S3Fifo && !self.enters_main(hash, bytes, held);
        let entry = slab.entry_mut(at);
        entry.set_accessed(stamp);
        if on_probation {
            entry.set_probation(true);
            self.probation_items += 1;
            self.probation_bytes += bytes;
            self.probation.push(slab, at);
        } else {
            self.main.push(slab, at);
        }
    }

    /// Queues an item that was stored before, at the head of `main`.
    pub(super) fn insert_known(&mut self, slab: &mut Slab, at: EntryIndex, stamp: u32) {
        slab.entry_mut(at).set_accessed(stamp);
        self.main.push(slab, at);
    }

    fn enters_main(&mut self, hash: u64, bytes: u64, held: &Account) -> bool {
        if !self.has_evicted {
            return self.probation_items >= self.share.items_max || self.probation_bytes >= self.share.bytes_max;
        }
        let is_known = self.ghosts.take(hash);
        self.admissions.ghost_hits += u64::from(is_known);
        let enters = is_known && !held.is_above_mean(bytes, GHOST_SIZE_FACTOR_MAX);
        self.admissions.admitted += u64::from(enters);
        enters
    }

    /// Counts an access to an item. `before_move` is called if the item is about to leave its place.
    #[inline]
    pub(super) fn touch(
        &mut self,
        slab: &mut Slab,
        at: EntryIndex,
        stamp: u32,
        before_move: impl FnOnce(&Slab, Walkway, EntryIndex),
    ) {
        if self.eviction == Eviction::S3Fifo {
            slab.entry_mut(at).count_access(stamp);
        } else {
            self.raise(slab, at, stamp, before_move);
        }
    }

    /// Moves an item that is accessed to the head of `main`.
    #[inline(never)]
    fn raise(
        &mut self,
        slab: &mut Slab,
        at: EntryIndex,
        stamp: u32,
        before_move: impl FnOnce(&Slab, Walkway, EntryIndex),
    ) {
        let entry = slab.entry_mut(at);
        entry.set_accessed(stamp);
        if self.main.head() == at {
            return;
        }
        let on_probation = entry.is_on_probation();
        before_move(slab, self.walkway(), at);
        if on_probation {
            let bytes = (self.cost)(slab, at);
            self.unlink(slab, at, bytes);
            self.main.push(slab, at);
        } else {
            self.main.raise(slab, at);
        }
    }

    /// Whether an access moves the item, and so writes to its neighbours.
    #[inline]
    pub(super) fn moves_what_is_accessed(&self) -> bool {
        self.eviction != Eviction::S3Fifo
    }

    /// Replaces the cost of an item.
    #[inline]
    pub(super) fn recharge(&mut self, slab: &Slab, at: EntryIndex, before_bytes: u64, after_bytes: u64) {
        if before_bytes != after_bytes && slab.entry(at).is_on_probation() {
            self.probation_bytes = self.probation_bytes - before_bytes + after_bytes;
        }
    }

    /// Removes an item, with its cost, from its queue. `evicted`: the hash of its key, if it is a victim.
    #[inline]
    pub(super) fn remove(
        &mut self,
        slab: &mut Slab,
        (at, bytes): (EntryIndex, u64),
        evicted: Option<u64>,
        held: &Account,
    ) {
        debug_assert_eq!(bytes, (self.cost)(slab, at));
        let refused = slab.entry(at).is_on_probation();
        self.unlink(slab, at, bytes);
        if refused && let Some(hash) = evicted {
            self.admissions.refused += 1;
            self.ghosts.add(hash, held.items());
        }
    }

    /// Unlinks an entry, with its cost, from its queue.
    #[inline]
    fn unlink(&mut self, slab: &mut Slab, at: EntryIndex, bytes: u64) {
        if !slab.entry(at).is_on_probation() {
            self.main.unlink(slab, at);
            return;
        }
        self.probation_items -= 1;
        self.probation_bytes -= bytes;
        self.probation.unlink(slab, at);
        slab.entry_mut(at).set_probation(false);
    }

    /// The victim; never the item that is spared, beside which there is another. Others may move until it is found;
    /// `before_move` is called for each.
    pub(super) fn victim(
        &mut self,
        slab: &mut Slab,
        held: &Account,
        spared: Option<EntryIndex>,
        mut before_move: impl FnMut(&Slab, Walkway, EntryIndex),
    ) -> EntryIndex {
        if self.eviction != Eviction::S3Fifo {
            return self.any_victim(slab, spared);
        }
        self.has_evicted = true;
        let mut from_main = self.main_is_over(held);
        for _ in 0..POLICY_MOVES_PER_VICTIM_MAX {
            let queue = if from_main { &self.main } else { &self.probation };
            let at = queue.tail();
            let is_spared = spared == Some(at);
            if !at.is_some() || is_spared && queue.head() == at {
                from_main = !from_main;
                continue;
            }
            let bytes = (self.cost)(slab, at);
            let price = if from_main { round_price(held, bytes) } else { admission_price(held, bytes) };
            let accesses = slab.entry(at).frequency();
            if accesses < price && !is_spared {
                return at;
            }
            before_move(slab, self.walkway(), at);
            self.unlink(slab, at, bytes);
            self.main.push(slab, at);
            slab.entry_mut(at).set_frequency(if from_main { accesses.saturating_sub(price) } else { 0 });
            self.admissions.admitted += u64::from(!from_main);
        }
        self.any_victim(slab, spared)
    }

    /// The end of a queue. Items that were left on probation by S3-FIFO were not accessed again, so they come first.
    fn any_victim(&self, slab: &Slab, spared: Option<EntryIndex>) -> EntryIndex {
        let ends = [self.probation.tail(), self.main.tail()];
        let is_victim = |at: &EntryIndex| at.is_some() && spared != Some(*at);
        let next = || ends.into_iter().filter(|at| at.is_some()).map(|at| slab.entry(at).prev).find(is_victim);
        let victim = ends.into_iter().find(is_victim).or_else(next);
        victim.expect("there is another item than the one that is spared")
    }

    /// Whether `main` has more than its part of the budget.
    fn main_is_over(&self, held: &Account) -> bool {
        held.items() - self.probation_items > self.rest.items_max
            || held.bytes() - self.probation_bytes > self.rest.bytes_max
    }

    /// Sets the budget, and with it the parts of the queues.
    pub(super) fn set_budget(&mut self, budget: Budget) {
        let part = |max: u64| if max == u64::MAX { max } else { (u128::from(max) * PROBATION_PERCENT / 100) as u64 };
        let rest = |max: u64| if max == u64::MAX { max } else { max - part(max) };
        self.share = Budget { items_max: part(budget.items_max), bytes_max: part(budget.bytes_max) };
        self.rest = Budget { items_max: rest(budget.items_max), bytes_max: rest(budget.bytes_max) };
    }

    /// Empties the queues, at once. The counters of admission stay.
    pub(super) fn clear(&mut self) {
        let admissions = self.admissions;
        let (share, rest) = (self.share, self.rest);
        *self = Policy { admissions, share, rest, ..Policy::new(self.eviction, Budget::UNLIMITED, self.cost) };
    }

    /// Sets the eviction policy; the items stay where they are.
    pub(super) fn set_eviction(&mut self, eviction: Eviction) {
        self.eviction = eviction;
    }

    #[inline]
    pub(super) fn eviction(&self) -> Eviction {
        self.eviction
    }

    pub(super) fn admissions(&self) -> Admissions {
        self.admissions
    }

    pub(super) fn reset_admissions(&mut self) {
        self.admissions = Admissions::default();
    }

    /// The item that is likely to be evicted last, or `NONE`.
    pub(super) fn last(&self) -> EntryIndex {
        Some(self.main.head()).filter(|at| at.is_some()).unwrap_or(self.probation.head())
    }

    /// The item that is likely to be evicted first, or `NONE`: where a walk begins.
    pub(super) fn first(&self) -> EntryIndex {
        Some(self.probation.tail()).filter(|at| at.is_some()).unwrap_or(self.main.tail())
    }

    /// The order of a walk, which holds until an item is queued or moves.
    pub(super) fn walkway(&self) -> Walkway {
        Walkway { main_tail: self.main.tail() }
    }

    /// Asserts that each item is in the queue that its entry says, and that the sums are right.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self, slab: &Slab) {
        let (probation, main) = (self.probation.verify(slab), self.main.verify(slab));
        assert!(probation.iter().all(|&at| slab.entry(at).is_on_probation()), "an entry knows its queue");
        assert!(!main.iter().any(|&at| slab.entry(at).is_on_probation()), "an entry knows its queue");
        assert_eq!(probation.len() + main.len(), slab.len() as usize, "every item is in a queue");
        assert_eq!(probation.len() as u64, self.probation_items);
        assert_eq!(probation.iter().map(|&at| (self.cost)(slab, at)).sum::<u64>(), self.probation_bytes);
        self.ghosts.verify();
    }

    /// The items of both queues, from their heads on.
    #[cfg(test)]
    pub(super) fn queues(&self, slab: &Slab) -> (Vec<EntryIndex>, Vec<EntryIndex>) {
        (self.probation.verify(slab), self.main.verify(slab))
    }
}

impl Walkway {
    /// The item after this one; `NONE` at the end.
    #[inline]
    pub(super) fn after(self, slab: &Slab, at: EntryIndex) -> EntryIndex {
        let entry = slab.entry(at);
        if entry.prev.is_some() || !entry.is_on_probation() { entry.prev } else { self.main_tail }
    }
}

/// The number of accesses that admit an item on probation to `main`.
fn admission_price(held: &Account, bytes: u64) -> u8 {
    if held.is_above_mean(bytes, PROBATION_LARGE_FACTOR) {
        PROBATION_ACCESSES_LARGE
    } else if held.is_above_mean(bytes * PROBATION_SMALL_DIVISOR, 1) {
        PROBATION_ACCESSES
    } else {
        0
    }
}

/// The number of accesses that another round through `main` costs an item.
fn round_price(held: &Account, bytes: u64) -> u8 {
    let larger = held.is_above_mean(bytes, MAIN_LARGER_FACTOR);
    1 + u8::from(held.is_above_mean(bytes, MAIN_LARGE_FACTOR)) + u8::from(larger)
}
