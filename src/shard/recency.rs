//! Recency: the LRU order of one shard, a doubly linked list threaded through the slab by `EntryIndex`.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: 8 bytes per entry; push, touch and unlink are O(1).
//! Each push and touch notes its time in the entry, which is at hand: a stamp of `idle`.
//! Never: allocates, reads a clock, removes an entry (the shard does, and tells this list).
//! Invariant: every live entry is linked exactly once; `head` is the most recent. Checked by `verify`.

use super::entry::EntryIndex;
use super::slab::Slab;

/// The two ends of the list; the links are in the entries.
pub(super) struct LruList {
    head: EntryIndex,
    tail: EntryIndex,
}

impl Default for LruList {
    fn default() -> Self {
        Self { head: EntryIndex::NONE, tail: EntryIndex::NONE }
    }
}

impl LruList {
    /// Links an entry, not linked so far, as the most recent.
    #[inline]
    pub(super) fn push(&mut self, slab: &mut Slab, at: EntryIndex, stamp: u32) {
        let entry = slab.entry_mut(at);
        entry.set_accessed(stamp);
        entry.prev = EntryIndex::NONE;
        entry.next = self.head;
        if self.head.is_some() {
            slab.entry_mut(self.head).prev = at;
        } else {
            self.tail = at;
        }
        self.head = at;
    }

    /// Makes a linked entry the most recent.
    #[inline]
    pub(super) fn touch(&mut self, slab: &mut Slab, at: EntryIndex, stamp: u32) {
        if self.head == at {
            slab.entry_mut(at).set_accessed(stamp);
        } else {
            self.unlink(slab, at);
            self.push(slab, at, stamp);
        }
    }

    /// Takes a linked entry out of the list.
    #[inline]
    pub(super) fn unlink(&mut self, slab: &mut Slab, at: EntryIndex) {
        let entry = slab.entry(at);
        let (prev, next) = (entry.prev, entry.next);
        if prev.is_some() {
            slab.entry_mut(prev).next = next;
        } else {
            debug_assert_eq!(self.head, at);
            self.head = next;
        }
        if next.is_some() {
            slab.entry_mut(next).prev = prev;
        } else {
            debug_assert_eq!(self.tail, at);
            self.tail = prev;
        }
    }

    /// The most recent entry, or `NONE`.
    pub(super) fn head(&self) -> EntryIndex {
        self.head
    }

    /// The least recent entry, or `NONE`: the next victim.
    #[inline]
    pub(super) fn tail(&self) -> EntryIndex {
        self.tail
    }

    /// Walks the list both ways: the links agree, and it has as many entries as the slab has items.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self, slab: &Slab) {
        let mut count = 0;
        let mut before = EntryIndex::NONE;
        let mut at = self.head;
        while at.is_some() {
            let entry = slab.entry(at);
            assert!(entry.is_live(), "only items are linked");
            assert_eq!(entry.prev, before, "the links agree");
            count += 1;
            assert!(count <= slab.len(), "the list ends");
            before = at;
            at = entry.next;
        }
        assert_eq!(self.tail, before);
        assert_eq!(count, slab.len(), "every item is linked");
    }
}
