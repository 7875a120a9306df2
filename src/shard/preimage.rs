//! Preimage: the items of one instant, the cut, written out while the shard goes on to change.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: one bit an entry while a cut is under way; one comparison a change
//! while none is. Never: copies an item that does not change, waits, works more in one slice than it is told but for
//! items that change.
//!
//! A walk follows the policy's order in slices, from the item on that is likely to be evicted first, and writes the
//! items that are due: those of the cut that are not written yet. A due item that is about to change is written first
//! (`on_change`); so is the rest of a value that has been written in part. An item that moves goes to the end of the
//! order, where the walk still comes by; a new item is never due. The garbage of a clear is walked before it is freed.
//! The walk ends when no item is due.
//!
//! Invariant: due items lie between the cursor and the end of the order, and `left` counts them. Checked by `verify`.

use std::hint::black_box;

use super::change::{Cause, Change, Items};
use super::entry::{Database, EntryIndex};
use super::garbage::Garbage;
use super::idle;
use super::policy::Walkway;
use super::slab::Slab;
use super::wheel::{self, NodePages};
use crate::limits::{SPACES, WARM_KEYS_MAX};
use crate::persist::{Block, Kind, Record, Stream};

/// A cut under way.
pub(super) struct Cut {
    /// The garbage of a clear, which is walked in the shard's place; `None` while the shard itself is walked.
    cleared: Option<Garbage>,
    walk: Walk,
}

/// The walk over the items of a cut.
struct Walk {
    /// The instant of the cut.
    cut_ms: u64,
    /// The database of each space at the cut. What has none was flushed before, and is not written.
    databases: [Option<Database>; SPACES as usize],
    /// One bit an entry, set when it is not due. Entries beyond the end are not due.
    done: Vec<u64>,
    /// The number of due entries.
    left: u64,
    /// The number of items at the cut, flushed ones included.
    total: u64,
    /// The entry at which the walk goes on.
    cursor: EntryIndex,
    /// The entry whose value has been written in part, and how much of it.
    partial: Option<(EntryIndex, usize)>,
    /// The blocks of items that the walk came by.
    walked: Stream,
    /// The blocks of items that were about to change.
    changed: Stream,
}

/// The progress of a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutProgress {
    /// Items at the cut.
    pub total: u64,
    /// Items of the cut that are written, or need not be.
    pub done: u64,
    /// Blocks that are full and wait to be taken.
    pub blocks: usize,
    /// Bytes in blocks that are not full yet.
    pub open_bytes: usize,
}

impl Cut {
    /// A cut of the items of a slab, which a walk from `first` on comes by. `databases`: those of all spaces.
    pub(super) fn new(
        (core, id): (u16, u64),
        now_ms: u64,
        databases: [Option<Database>; SPACES as usize],
        slab: &Slab,
        first: EntryIndex,
    ) -> Cut {
        let items = u64::from(slab.len());
        let walk = Walk {
            cut_ms: now_ms,
            databases,
            done: vec![0; (slab.positions() as usize).div_ceil(u64::BITS as usize)],
            left: items,
            total: items,
            cursor: first,
            partial: None,
            walked: Stream::new(Kind::Walk, core, id),
            changed: Stream::new(Kind::Changed, core, id),
        };
        Cut { cleared: None, walk }
    }

    /// Walks on by at most so many items, and about so many bytes. `live`: the shard's own items. True when everything
    /// has been written; then the last blocks are full too.
    pub(super) fn walk(&mut self, live: Items<'_>, items_max: usize, bytes_max: usize) -> bool {
        let Cut { cleared, walk } = self;
        walk.slice(cleared.as_ref().map_or(live, Garbage::items), items_max, bytes_max);
        if walk.is_unfinished() {
            return false;
        }
        walk.walked.finish();
        walk.changed.finish();
        walk.cursor = EntryIndex::NONE;
        true
    }

    /// Takes the garbage of a clear, once the cut does not need it any more.
    pub(super) fn take_cleared(&mut self) -> Option<Garbage> {
        self.cleared.take()
    }

    /// Keeps the garbage of a clear if the cut needs it; else gives it back.
    pub(super) fn on_clear(&mut self, garbage: Garbage) -> Option<Garbage> {
        if self.cleared.is_some() {
            return Some(garbage);
        }
        if self.walk.is_unfinished() {
            self.cleared = Some(garbage);
            return None;
        }
        self.walk.cursor = EntryIndex::NONE;
        Some(garbage)
    }

    /// Takes the next block to be written; those of items that changed come first.
    pub(super) fn take_block(&mut self) -> Option<Block> {
        self.walk.changed.take().or_else(|| self.walk.walked.take())
    }

    /// Takes back the memory of a block that was written.
    pub(super) fn recycle_block(&mut self, buffer: Vec<u8>) {
        self.walk.walked.recycle(buffer);
    }

    /// The progress of the cut.
    pub(super) fn progress(&self) -> CutProgress {
        let walk = &self.walk;
        let blocks = walk.walked.waiting() + walk.changed.waiting();
        let open_bytes = walk.walked.open_bytes() + walk.changed.open_bytes();
        CutProgress { total: walk.total, done: walk.total - walk.left, blocks, open_bytes }
    }

    /// Asserts that due entries are live, lie before the cursor, and are counted.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self, live: Items<'_>) {
        let Cut { cleared, walk } = self;
        let Items { slab, walkway, .. } = cleared.as_ref().map_or(live, Garbage::items);
        let due = (0..slab.positions()).map(EntryIndex).filter(|at| slab.entry(*at).is_live() && walk.is_due(*at));
        assert_eq!(due.count() as u64, walk.left, "what is due is counted");
        let mut ahead = 0;
        let mut at = walk.cursor;
        while at.is_some() {
            ahead += u64::from(walk.is_due(at));
            at = walkway.after(slab, at);
        }
        assert_eq!(ahead, walk.left, "the walk comes by everything that is due");
    }

    /// Writes a due item that is about to change.
    pub(super) fn on_change(&mut self, items: Items<'_>, change: Change) {
        let Cut { cleared: None, walk } = self else { return };
        match change {
            Change::StoreOverdue => {}
            Change::Store { found: None, .. } => walk.before_fill(items.slab.next_vacant()),
            Change::Store { found: Some(at), .. } | Change::Retime { at, .. } => walk.before_change(items, at, false),
            Change::Remove { at, cause } => {
                walk.before_change(items, at, cause == Cause::Evicted);
                walk.before_remove(items.slab, items.walkway, at);
            }
        }
    }

    /// Keeps the cursor off an entry that is about to move to the end of the order.
    pub(super) fn before_move(&mut self, slab: &Slab, walkway: Walkway, at: EntryIndex) {
        // The last stays where it is, and may be due.
        if self.cleared.is_none() && walkway.after(slab, at).is_some() {
            self.walk.before_remove(slab, walkway, at);
        }
    }
}

impl Walk {
    fn is_unfinished(&self) -> bool {
        self.left > 0 || self.partial.is_some()
    }

    fn is_due(&self, at: EntryIndex) -> bool {
        let word = self.done.get(at.0 as usize / u64::BITS as usize);
        self.left > 0 && word.is_some_and(|word| word >> (at.0 % u64::BITS) & 1 == 0)
    }

    /// Writes an entry that is about to change, if it is due. `victim`: the entry is being evicted, which is in the
    /// walk's order.
    fn before_change(&mut self, items: Items<'_>, at: EntryIndex, victim: bool) {
        if self.partial.is_some_and(|(partial, _)| partial == at) {
            self.go_on(items.slab, usize::MAX);
        } else if self.is_due(at) {
            self.mark(at);
            let walked = victim && self.partial.is_none();
            if let Some(record) = self.record(items.slab, items.nodes, at) {
                if walked { &mut self.walked } else { &mut self.changed }.put(&record);
            }
        }
    }

    /// Keeps the cursor off an entry that is about to leave its place in the order.
    fn before_remove(&mut self, slab: &Slab, walkway: Walkway, at: EntryIndex) {
        if self.cursor == at {
            self.cursor = walkway.after(slab, at);
        }
    }

    /// Marks a vacant entry that is about to hold a new item, which is not in the cut.
    fn before_fill(&mut self, at: EntryIndex) {
        if let Some(word) = self.done.get_mut(at.0 as usize / u64::BITS as usize) {
            *word |= 1 << (at.0 % u64::BITS);
        }
    }

    fn mark(&mut self, at: EntryIndex) {
        self.done[at.0 as usize / u64::BITS as usize] |= 1 << (at.0 % u64::BITS);
        self.left -= 1;
    }

    /// The record of an entry; `None` if the item had expired at the cut, or was flushed.
    fn record<'a>(&self, slab: &'a Slab, nodes: &NodePages, at: EntryIndex) -> Option<Record<'a>> {
        let entry = slab.entry(at);
        let database = self.databases[usize::from(entry.space())]?;
        let timer = entry.timer();
        let expires_at_ms = timer.is_some().then(|| wheel::deadline_in(nodes, timer));
        if expires_at_ms.is_some_and(|deadline_ms| deadline_ms <= self.cut_ms) {
            return None;
        }
        let accessed_s = (self.cut_ms / 1000).saturating_sub(idle::idle_s(entry.accessed(), self.cut_ms));
        Some(Record { database, key: entry.key(), value: entry.value(), expires_at_ms, accessed_s })
    }

    fn slice(&mut self, from: Items<'_>, mut items: usize, mut bytes: usize) {
        let Items { slab, nodes, walkway } = from;
        while items > 0 && bytes > 0 && self.is_unfinished() {
            if self.partial.is_some() {
                bytes -= self.go_on(slab, bytes).min(bytes);
                continue;
            }
            // Prefetch: the cache misses of several items overlap.
            let mut next = [EntryIndex::NONE; WARM_KEYS_MAX];
            let mut edges = 0;
            for place in next.iter_mut().take(items) {
                if !self.cursor.is_some() {
                    break;
                }
                *place = self.cursor;
                let entry = slab.entry(self.cursor);
                edges ^= entry.edges();
                self.cursor = walkway.after(slab, self.cursor);
            }
            black_box(edges);
            for at in next.into_iter().filter(|at| at.is_some()) {
                if bytes == 0 || self.partial.is_some() {
                    // The walk goes on at the first item that did not fit the slice.
                    self.cursor = at;
                    break;
                }
                items -= 1;
                bytes -= self.write(slab, nodes, at, bytes).min(bytes);
            }
        }
    }

    /// Writes an entry if it is due; of a long value only so many bytes. Returns the number of bytes written.
    fn write(&mut self, slab: &Slab, nodes: &NodePages, at: EntryIndex, bytes_max: usize) -> usize {
        if !self.is_due(at) {
            return 0;
        }
        self.mark(at);
        let Some(record) = self.record(slab, nodes, at) else { return 0 };
        let len = record.key.len() + record.value.len();
        if len <= bytes_max {
            self.walked.put(&record);
            return len;
        }
        self.walked.begin(&record);
        self.partial = Some((at, 0));
        record.key.len()
    }

    /// Writes more of the value that has been written in part. Returns the number of bytes written.
    fn go_on(&mut self, slab: &Slab, bytes_max: usize) -> usize {
        let Some((at, from)) = self.partial else { return 0 };
        let rest = &slab.entry(at).value()[from..];
        let some = &rest[..rest.len().min(bytes_max)];
        self.walked.append(some);
        self.partial = (some.len() < rest.len()).then_some((at, from + some.len()));
        some.len().max(1)
    }
}
