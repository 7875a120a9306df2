//! Slab: the entries of one shard, in pages that are never copied, with a free list through the vacant ones.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: 24 bytes per entry ever in use at once, and the item's blob.
//! Never: moves an entry, hashes a key, knows an order or a deadline. Pages go back only after `clear`.
//! Invariant: a position below `fresh` is live or on the free list, exactly one of them; none above is in use.

use super::entry::{Entry, EntryIndex, Label};
use super::pages::Pages;
use crate::limits::{FREE_STEP_BYTES, SLAB_ENTRIES_MAX, SLAB_PAGE_ENTRIES};

/// The entries of a shard.
pub(super) struct Slab {
    pages: Pages<Entry, SLAB_PAGE_ENTRIES>,
    /// The first position never used: where the pages' unused rest begins.
    fresh: u32,
    /// Head of the list of vacant entries, linked by `next`; the last freed is the first reused.
    free: EntryIndex,
    live: u32,
}

impl Default for Slab {
    fn default() -> Self {
        Self { pages: Pages::default(), fresh: 0, free: EntryIndex::NONE, live: 0 }
    }
}

impl Slab {
    /// Stores an item in a vacant entry, which keeps its position until `remove`.
    #[inline]
    pub(super) fn insert(&mut self, label: Label, key: &[u8], value: &[u8], timer_word: bool) -> EntryIndex {
        let at = if self.free.is_some() {
            let at = self.free;
            self.free = self.entry(at).next;
            at
        } else {
            assert!(self.fresh < SLAB_ENTRIES_MAX, "the shard refuses a new key before this");
            if u64::from(self.fresh) == self.pages.capacity() {
                self.pages.grow(Entry::vacant);
            }
            self.fresh += 1;
            EntryIndex(self.fresh - 1)
        };
        self.entry_mut(at).fill(label, key, value, timer_word);
        self.live += 1;
        at
    }

    /// The position that the next `insert` takes.
    pub(super) fn next_vacant(&self) -> EntryIndex {
        if self.free.is_some() { self.free } else { EntryIndex(self.fresh) }
    }

    /// Frees an item. Nothing may link to it any more.
    pub(super) fn remove(&mut self, at: EntryIndex) {
        let free = self.free;
        let entry = self.entry_mut(at);
        assert!(entry.is_live(), "an item is removed once");
        entry.vacate();
        entry.prev = EntryIndex::NONE;
        entry.next = free;
        self.free = at;
        self.live -= 1;
    }

    /// Takes the slab apart from its end, for a slab nobody refers to any more: frees one item or one page.
    /// Returns the steps this was worth; `None` when nothing is left.
    pub(super) fn dismantle(&mut self) -> Option<u32> {
        if self.pages.is_empty() {
            return None;
        }
        let last_page_from = self.pages.capacity() - SLAB_PAGE_ENTRIES as u64;
        if u64::from(self.fresh) <= last_page_from {
            self.pages.pop();
            return Some(1);
        }
        self.fresh -= 1;
        let entry = self.pages.at_mut(self.fresh);
        let steps = free_steps(entry.blob_len());
        entry.vacate();
        Some(steps)
    }

    /// The entry at a position that was handed out.
    #[inline]
    pub(super) fn entry(&self, at: EntryIndex) -> &Entry {
        self.pages.at(at.0)
    }

    /// The entry at a position that was handed out, to change it.
    #[inline]
    pub(super) fn entry_mut(&mut self, at: EntryIndex) -> &mut Entry {
        self.pages.at_mut(at.0)
    }

    /// The number of items, those included that were flushed and wait to be swept.
    pub(super) fn len(&self) -> u32 {
        self.live
    }

    /// The end of a walk over all entries: every entry in use is at a position below.
    pub(super) fn positions(&self) -> u32 {
        self.fresh
    }

    /// Whether no further key can be stored.
    pub(super) fn is_full(&self) -> bool {
        self.live == SLAB_ENTRIES_MAX
    }

    /// Every position is live or free, once; the count is right.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        assert!(u64::from(self.fresh) <= self.pages.capacity());
        let mut free_count = 0;
        let mut free = self.free;
        while free.is_some() {
            assert!(free.0 < self.fresh, "a free entry was in use once");
            assert!(!self.entry(free).is_live(), "a free entry is vacant");
            free_count += 1;
            assert!(free_count <= self.fresh, "the free list ends");
            free = self.entry(free).next;
        }
        let live_count = (0..self.fresh).filter(|&at| self.pages.at(at).is_live()).count();
        assert_eq!(live_count, self.live as usize);
        assert_eq!(self.live + free_count, self.fresh, "a vacant entry is on the free list");
    }
}

/// Steps of sliced work that freeing this many bytes is worth.
pub(super) fn free_steps(bytes: usize) -> u32 {
    1 + (bytes / FREE_STEP_BYTES) as u32
}
