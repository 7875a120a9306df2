//! Account: what a shard's items cost, what they may cost, and what happened to them.
//!
//! Owner: `Shard`. Core: the shard's own; copies of `Counters` travel to whoever gathers statistics.
//! Cost: a few additions per mutation. Never: measures memory; it charges by a formula that follows it.
//! Invariant: `bytes`, `items` are the sums of `item_bytes` and of 1 over the shard's items, at all times.

use std::ops::AddAssign;

use crate::limits::{ALLOCATION_PAGED_BYTES, ITEM_ENTRY_BYTES, ITEM_INDEX_BYTES, ITEM_TIMER_BYTES};

/// What one shard may hold. `u64::MAX` means without limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Items.
    pub items_max: u64,
    /// Bytes, as `Shard::bytes` counts them.
    pub bytes_max: u64,
}

impl Budget {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { items_max: u64::MAX, bytes_max: u64::MAX };
}

/// What happened in a shard since it was made, or since the last `reset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// `get` found a live item.
    pub hits: u64,
    /// `get` found none, or one that had expired.
    pub misses: u64,
    /// Items removed to stay within the budget.
    pub evictions: u64,
    /// Items removed since their time had passed, however that was noticed.
    pub expirations: u64,
    /// Items stored, whether the key was new or overwritten.
    pub insertions: u64,
    /// Live items removed because a caller said so. `clear` is not counted.
    pub removals: u64,
}

impl Counters {
    /// Back to zero.
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

/// The sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Account {
    bytes: u64,
    items: u64,
}

impl Account {
    /// An item came.
    #[inline]
    pub(super) fn add(&mut self, item_bytes: u64) {
        self.items += 1;
        self.bytes += item_bytes;
    }

    /// An item went.
    #[inline]
    pub(super) fn remove(&mut self, item_bytes: u64) {
        debug_assert!(self.items > 0);
        debug_assert!(self.bytes >= item_bytes);
        self.items -= 1;
        self.bytes -= item_bytes;
    }

    /// An item changed its cost.
    #[inline]
    pub(super) fn change(&mut self, before_bytes: u64, after_bytes: u64) {
        debug_assert!(self.bytes >= before_bytes);
        self.bytes = self.bytes - before_bytes + after_bytes;
    }

    /// Whether the budget would hold with this charge.
    #[inline]
    pub(super) fn fits(&self, budget: &Budget, charge: Charge) -> bool {
        let bytes = (self.bytes - charge.before_bytes).saturating_add(charge.after_bytes);
        bytes <= budget.bytes_max && self.items + charge.items_new <= budget.items_max
    }

    /// Whether an item of so many bytes costs so many times the mean of all items, or more.
    #[inline]
    pub(super) fn is_above_mean(&self, item_bytes: u64, factor: u64) -> bool {
        // An item costs less than 2^30 bytes, and there are less than 2^32 of them.
        item_bytes * self.items >= factor * self.bytes
    }

    /// Bytes of all items.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Items.
    pub(super) fn items(&self) -> u64 {
        self.items
    }
}

/// What an insertion does to the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Charge {
    /// Cost of the item that is overwritten; 0 for a new key.
    pub(super) before_bytes: u64,
    /// Cost of the item as it will be.
    pub(super) after_bytes: u64,
    /// 1 for a new key, 0 otherwise.
    pub(super) items_new: u64,
}

impl Charge {
    /// No charge: asks whether the budget holds as things are.
    pub(super) const NONE: Self = Self { before_bytes: 0, after_bytes: 0, items_new: 0 };

    /// Whether the shard would hold more than before.
    pub(super) fn grows(&self) -> bool {
        self.items_new > 0 || self.after_bytes > self.before_bytes
    }
}

/// What an item costs: its entry, its share of the index, its wheel node if it has a TTL, and its allocation
/// (timer word, key and value) as the allocator rounds it.
#[inline]
pub(super) fn item_bytes(blob_len: usize, timed: bool) -> u64 {
    let timer_bytes = if timed { ITEM_TIMER_BYTES } else { 0 };
    ITEM_ENTRY_BYTES + ITEM_INDEX_BYTES + timer_bytes + allocated_bytes(blob_len) as u64
}

/// What mimalloc and jemalloc set aside for an allocation: steps of 16 bytes up to 128, then four steps per
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
