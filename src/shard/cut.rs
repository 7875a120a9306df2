//! Cut: the doors of snapshots. A cut is the shard's items at one instant, written out in slices; `preimage` does it.
//!
//! Owner: `Shard`; the engine's persistence calls. Core: the shard's own. Cost: a bit an entry to begin; then as much
//! a slice as the caller says. Never: does I/O; it hands blocks over.

use super::change::Items;
use super::garbage::Garbage;
use super::preimage::{Cut, CutProgress};
use super::{Full, Shard, idle};
use crate::persist::{Block, Record};

impl Shard {
    /// Begins a cut: from here on the shard's items as they are now are written, beginning with those that change.
    pub fn begin_cut(&mut self, core: u16, id: u64, now_ms: u64) {
        assert!(self.observers.cut.is_none(), "one cut at a time");
        let databases = self.databases.databases();
        let cut = Cut::new((core, id), now_ms, databases, &self.slab, self.policy.first());
        self.observers.arrange(|observers| observers.cut = Some(Box::new(cut)));
    }

    /// Walks the cut on by at most so many items, and about so many bytes. True when everything has been written; then
    /// the last blocks are full too.
    pub fn walk_cut(&mut self, items_max: usize, bytes_max: usize) -> bool {
        let Some(cut) = self.observers.cut.as_deref_mut() else { return true };
        let live = Items { slab: &self.slab, nodes: self.wheel.nodes(), walkway: self.policy.walkway() };
        if !cut.walk(live, items_max, bytes_max) {
            return false;
        }
        self.garbage.extend(cut.take_cleared());
        true
    }

    /// Takes the next block of the cut to be written.
    pub fn take_block(&mut self) -> Option<Block> {
        self.observers.cut.as_mut()?.take_block()
    }

    /// Takes back the memory of a block that was written.
    pub fn recycle_block(&mut self, buffer: Vec<u8>) {
        if let Some(cut) = &mut self.observers.cut {
            cut.recycle_block(buffer);
        }
    }

    /// The progress of the cut, if there is one.
    pub fn cut_progress(&self) -> Option<CutProgress> {
        self.observers.cut.as_ref().map(|cut| cut.progress())
    }

    /// Ends the cut, complete or not.
    pub fn end_cut(&mut self) {
        if let Some(mut cut) = self.observers.arrange(|observers| observers.cut.take()) {
            self.garbage.extend(cut.take_cleared());
        }
    }

    /// Stores an item of a snapshot as the most recent, last accessed when it was. One that has expired is not stored,
    /// and false is returned.
    pub fn load(&mut self, record: &Record<'_>, now_ms: u64) -> Result<bool, Full> {
        if record.expires_at_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            return Ok(false);
        }
        // As in Redis, loading a key is no key event; the expiries and evictions that make room for it are.
        let wanted = self.observers.arrange(|observers| observers.events.want_losses_alone());
        let before = self.selected();
        self.select(record.database);
        let stored = self.insert_known(record.key, record.value, record.expires_at_ms, now_ms);
        self.select(before);
        self.set_events_wanted(wanted);
        let at = stored?;
        let idle_s = (now_ms / 1000).saturating_sub(record.accessed_s);
        self.slab.entry_mut(at).set_accessed(idle::stamp_before(now_ms, idle_s));
        Ok(true)
    }

    /// Changes of the shard so far: items stored and removed, deadlines given and taken.
    pub fn changes(&self) -> u64 {
        self.observers.changes
    }

    /// Takes the garbage of a clear, which a cut keeps as long as it needs it.
    pub(super) fn discard(&mut self, garbage: Garbage) {
        let left = match &mut self.observers.cut {
            Some(cut) => cut.on_clear(garbage),
            None => Some(garbage),
        };
        self.garbage.extend(left);
    }

    /// Asserts the invariant of the cut.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify_cut(&self) {
        if let Some(cut) = &self.observers.cut {
            cut.verify(Items { slab: &self.slab, nodes: self.wheel.nodes(), walkway: self.policy.walkway() });
        }
    }
}
