//! Observers: the parts of a shard that learn of every change before it happens.
//!
//! Owner: `Shard`. Core: the shard's own. Each function of `mutate` gives its `Change` to `Shard::tell`, `clear` calls
//! `on_clear`; this file alone knows who is behind that: the counters, key events (`events`), WATCH (`watch`), CLIENT
//! TRACKING (`tracking`), the pre-images of a snapshot (`preimage`).
//! Cost: a counter, and one comparison a change while nobody listens.
//! Never: changes an item.
//! Invariant: `listening` says whether anybody but the counters has to be told.

use super::account::Counters;
use super::change::{Cause, Change, Items};
use super::entry::{Database, EntryIndex};
use super::events::Events;
use super::policy::Walkway;
use super::preimage::Cut;
use super::slab::Slab;
use super::tracking::{Source, Tracking};
use super::watch::Watches;

/// The observers of one shard's changes.
pub(super) struct Observers {
    /// Whether anybody but the counters observes.
    listening: bool,
    pub(super) events: Events,
    pub(super) watches: Watches,
    pub(super) tracking: Tracking,
    /// The cut under way.
    pub(super) cut: Option<Box<Cut>>,
    pub(super) counters: Counters,
    /// The number of changes: items stored, removed or given another deadline.
    pub(super) changes: u64,
    /// Whether an item was evicted or refused since `take_pressure`.
    pub(super) pressure: bool,
}

impl Observers {
    pub(super) fn new(seeds: [u64; 4]) -> Observers {
        Observers {
            listening: false,
            events: Events::default(),
            watches: Watches::new(seeds),
            tracking: Tracking::new(seeds),
            cut: None,
            counters: Counters::default(),
            changes: 0,
            pressure: false,
        }
    }

    /// Counts a change. Returns whether others observe it, to whom `tell` passes it.
    #[inline]
    pub(super) fn count(&mut self, change: Change) -> bool {
        let counters = &mut self.counters;
        match change {
            Change::StoreOverdue => return self.listening,
            Change::Retime { .. } => {}
            Change::Store { .. } => counters.insertions += 1,
            Change::Remove { cause, .. } => match cause {
                Cause::Removed | Cause::Renamed | Cause::Moved | Cause::Overdue => counters.removals += 1,
                Cause::Flushed => return self.listening,
                Cause::Expired => counters.expirations += 1,
                Cause::Evicted => {
                    counters.evictions += 1;
                    self.pressure = true;
                }
            },
        }
        self.changes += 1;
        self.listening
    }

    /// Passes a change that is about to happen to all observers but the counters.
    pub(super) fn tell(&mut self, items: Items<'_>, (database, key): (Database, &[u8]), change: Change) {
        if let Some(cut) = &mut self.cut {
            cut.on_change(items, change);
        }
        if matches!(change, Change::Remove { cause: Cause::Flushed, .. }) {
            return;
        }
        self.events.on_change(database, key, change);
        let source = match change {
            Change::StoreOverdue => return,
            Change::Remove { cause: Cause::Expired | Cause::Evicted, .. } => Source::Shard,
            Change::Store { .. } | Change::Remove { .. } | Change::Retime { .. } => Source::Command,
        };
        self.watches.note(database, key);
        self.tracking.note(key, source);
        self.refresh();
    }

    /// Notes that so many items are about to be flushed, whose watchers know.
    pub(super) fn on_flush(&mut self, items: u64) {
        self.tracking.clear();
        self.changes += items;
        self.refresh();
    }

    /// Notes that the contents of two databases are about to be exchanged; watchers know.
    pub(super) fn on_swap(&mut self) {
        self.tracking.clear();
        self.changes += 1;
        self.refresh();
    }

    /// Notes that an entry is about to move to the end of the policy's order.
    #[inline]
    pub(super) fn on_move(&mut self, slab: &Slab, walkway: Walkway, at: EntryIndex) {
        if let Some(cut) = &mut self.cut {
            cut.before_move(slab, walkway, at);
        }
    }

    /// Changes what is observed, and keeps the invariant.
    pub(super) fn arrange<R>(&mut self, change: impl FnOnce(&mut Observers) -> R) -> R {
        let result = change(self);
        self.refresh();
        result
    }

    fn refresh(&mut self) {
        self.listening = self.is_anybody_here();
    }

    fn is_anybody_here(&self) -> bool {
        self.events.is_anything_wanted() || !self.watches.is_empty() || self.tracking.is_on() || self.cut.is_some()
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        self.watches.verify();
        self.tracking.verify();
        assert_eq!(self.listening, self.is_anybody_here());
    }
}
