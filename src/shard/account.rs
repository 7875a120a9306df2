//! Account: the cost of a shard's items, the budget for it, and the counters.
//!
//! Owner: `Shard`. Core: the shard's own; copies of `Counters` travel to the core that gathers statistics.
//! Cost: a few additions per mutation. Never: measures memory; it charges by a formula that follows it.
//! Invariant: `bytes`, `items` are the sums of `item_bytes` and of 1 over the shard's items, at all times.

use std::ops::AddAssign;

use super::entry::blob_len;
use crate::limits::{ALLOCATION_PAGED_BYTES, ITEM_ENTRY_BYTES, ITEM_INDEX_BYTES, ITEM_TIMER_BYTES};

/// The budget of one shard: the bounds on what it holds. `u64::MAX` is no bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// The bound on items.
    pub items_max: u64,
    /// The bound on bytes, as `Shard::bytes` counts them.
    pub bytes_max: u64,
}

impl Budget {
    /// A budget without bounds.
    pub const UNLIMITED: Self = Self { items_max: u64::MAX, bytes_max: u64::MAX };
}

/// Room for items.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// The number of items.
    pub items: u64,
    /// The number of bytes, as `Shard::bytes` counts them.
    pub bytes: u64,
}

/// The counters of a shard, since it was made or since the last `reset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Reads that found a live item.
    pub hits: u64,
    /// Reads that found no item, or an expired one.
    pub misses: u64,
    /// Items removed to stay within the budget.
    pub evictions: u64,
    /// Items removed because they had expired, by an access or by `work`.
    pub expirations: u64,
    /// Items stored, whether the key was new or overwritten.
    pub insertions: u64,
    /// Live items removed by commands. `clear` is not counted.
    pub removals: u64,
}

impl Counters {
    /// Sets all counters to zero.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.evictions += other.evictions;
        self.expirations += other.expirations;
        self.insertions += other.insertions;
        self.removals += other.removals;
    }
}

/// The account: the sums over all items.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Account {
    bytes: u64,
    items: u64,
}

impl Account {
    /// Adds a new item of this cost.
    #[inline]
    pub(super) fn add(&mut self, item_bytes: u64) {
        self.items += 1;
        self.bytes += item_bytes;
    }

    /// Takes off an item of this cost.
    #[inline]
    pub(super) fn remove(&mut self, item_bytes: u64) {
        debug_assert!(self.items > 0);
        debug_assert!(self.bytes >= item_bytes);
        self.items -= 1;
        self.bytes -= item_bytes;
    }

    /// Takes off so many items of this cost together.
    pub(super) fn leave(&mut self, items: u64, bytes: u64) {
        self.items -= items;
        self.bytes -= bytes;
    }

    /// Replaces the cost of an item.
    #[inline]
    pub(super) fn change(&mut self, before_bytes: u64, after_bytes: u64) {
        debug_assert!(self.bytes >= before_bytes);
        self.bytes = self.bytes - before_bytes + after_bytes;
    }

    /// Whether the account would be within a budget with this charge.
    #[inline]
    pub(super) fn fits(&self, budget: &Budget, charge: Charge) -> bool {
        let bytes = (self.bytes - charge.before_bytes).saturating_add(charge.after_bytes);
        bytes <= budget.bytes_max && self.items + charge.items_new <= budget.items_max
    }

    /// Whether a cost is `factor` times the mean of all items, or more.
    #[inline]
    pub(super) fn is_above_mean(&self, item_bytes: u64, factor: u64) -> bool {
        // An item costs less than 2^30 bytes, and there are less than 2^32 of them.
        item_bytes * self.items >= factor * self.bytes
    }

    /// The bytes of all items.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of items.
    pub(super) fn items(&self) -> u64 {
        self.items
    }
}

/// The charge of an insertion: the change of the account that it comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Charge {
    /// The cost of the item that is overwritten; 0 for a new key.
    pub(super) before_bytes: u64,
    /// The cost of the item as it will be.
    pub(super) after_bytes: u64,
    /// The number of new items: 1 for a new key, else 0.
    pub(super) items_new: u64,
}

impl Charge {
    /// No charge, to ask whether the account is within its budget as it is.
    pub(super) const NONE: Self = Self { before_bytes: 0, after_bytes: 0, items_new: 0 };

    /// Whether the account would be larger than before.
    pub(super) fn grows(&self) -> bool {
        self.items_new > 0 || self.after_bytes > self.before_bytes
    }
}

/// The cost of an item: its entry, its share of the index, its wheel node if it has a TTL, and its allocation
/// (timer word, key and value) as the allocator rounds it.
#[inline]
pub(super) fn item_bytes(blob_len: usize, timed: bool) -> u64 {
    let timer_bytes = if timed { ITEM_TIMER_BYTES } else { 0 };
    ITEM_ENTRY_BYTES + ITEM_INDEX_BYTES + timer_bytes + allocated_bytes(blob_len) as u64
}

/// The cost of so many items, at most, if they are alike and have so many bytes of keys and values together.
pub(super) fn items_bytes(count: usize, bytes: usize) -> u64 {
    let blob_len = blob_len(0, bytes.div_ceil(count.max(1)), true);
    (count as u64).saturating_mul(item_bytes(blob_len, true))
}

/// The bytes that mimalloc and jemalloc set aside for an allocation: steps of 16 bytes up to 128, then four steps per
/// doubling; from `ALLOCATION_PAGED_BYTES` on whole memory pages, as the rest of a larger step is never touched.
#[inline]
pub(super) fn allocated_bytes(len: usize) -> usize {
    const PAGE: usize = 4096;
    match len {
        0..=8 => len.next_multiple_of(8),
        9..=128 => len.next_multiple_of(16),
        ALLOCATION_PAGED_BYTES.. => len.next_multiple_of(PAGE),
        _ => len.next_multiple_of(1 << ((len - 1).ilog2() - 2)),
    }
}
