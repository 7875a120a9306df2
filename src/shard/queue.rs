//! Queue: entries in an order, a doubly linked list threaded through the slab by `EntryIndex`.
//!
//! Owner: `Policy`, which has two. Core: the shard's own. Cost: 8 bytes per entry, shared by all queues, as an entry
//! is in one of them; push and unlink are O(1). Never: allocates, reads a clock, knows why an entry is where it is.
//! Invariant: an entry is linked once; the links of neighbours agree. Checked by `verify`.

use super::entry::EntryIndex;
use super::slab::Slab;

/// The two ends of a list; the links are in the entries.
pub(super) struct Queue {
    head: EntryIndex,
    tail: EntryIndex,
}

impl Default for Queue {
    fn default() -> Self {
        Self { head: EntryIndex::NONE, tail: EntryIndex::NONE }
    }
}

impl Queue {
    /// Links an entry, not linked so far, at the head.
    #[inline]
    pub(super) fn push(&mut self, slab: &mut Slab, at: EntryIndex) {
        let entry = slab.entry_mut(at);
        entry.prev = EntryIndex::NONE;
        entry.next = self.head;
        if self.head.is_some() {
            slab.entry_mut(self.head).prev = at;
        } else {
            self.tail = at;
        }
        self.head = at;
    }

    /// Moves a linked entry to the head.
    #[inline]
    pub(super) fn raise(&mut self, slab: &mut Slab, at: EntryIndex) {
        if self.head != at {
            self.unlink(slab, at);
            self.push(slab, at);
        }
    }

    /// Unlinks a linked entry.
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

    /// The entry pushed last, or `NONE`.
    #[inline]
    pub(super) fn head(&self) -> EntryIndex {
        self.head
    }

    /// The entry that was pushed before all others, or `NONE`.
    #[inline]
    pub(super) fn tail(&self) -> EntryIndex {
        self.tail
    }

    /// Walks the list: the links agree. Returns its entries, from the head on.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self, slab: &Slab) -> Vec<EntryIndex> {
        let mut entries = Vec::new();
        let mut before = EntryIndex::NONE;
        let mut at = self.head;
        while at.is_some() {
            let entry = slab.entry(at);
            assert!(entry.is_live(), "only items are linked");
            assert_eq!(entry.prev, before, "the links agree");
            entries.push(at);
            assert!(entries.len() <= slab.len() as usize, "the list ends");
            before = at;
            at = entry.next;
        }
        assert_eq!(self.tail, before);
        entries
    }
}
