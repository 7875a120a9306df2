//! Change: what a mutation is about to do, told once to everybody who has to know of it.
//!
//! Owner: `Shard`. Core: the shard's own. Each function of `mutate` describes itself as one `Change` and gives it to
//! `Shard::tell` before anything has changed, `clear` calls `on_clear`; this file alone knows who is behind that: the counters, key
//! events (`events`), WATCH (`watch`), CLIENT TRACKING (`tracking`), the pre-images of a snapshot (`preimage`).
//! Cost: a counter, and one comparison a change while nobody listens. Never: changes an item.
//! Invariant: `listening` says whether anybody but the counters has to be told.

use super::Shard;
use super::account::Counters;
use super::entry::EntryIndex;
use super::events::{Event, Events};
use super::policy::Walkway;
use super::preimage::Cut;
use super::slab::Slab;
use super::tracking::{Source, Tracking};
use super::watch::Watches;
use super::wheel::NodePages;

/// What is about to happen to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// A value is stored.
    Store {
        /// What key events call it.
        event: Event,
        /// The entry that has the key already.
        found: Option<EntryIndex>,
        /// The deadline is not that of the item before.
        timed_anew: bool,
    },
    /// A SET of an absent key has expired already: nothing is stored, and that is told.
    StoreOverdue,
    /// An item goes.
    Remove {
        /// Its entry.
        at: EntryIndex,
        /// Why.
        cause: Cause,
    },
    /// An item gets another deadline, or loses it.
    Retime {
        /// Its entry.
        at: EntryIndex,
        /// Whether it has one then.
        timed: bool,
    },
}

/// Why an item goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// A caller said so.
    Removed,
    /// Its value goes on under another key.
    Renamed,
    /// What a caller stored over it has expired already.
    Overdue,
    /// Its time has passed.
    Expired,
    /// The budget needs its room.
    Evicted,
}

/// Where the items are, for those who look at what is about to change.
#[derive(Clone, Copy)]
pub(super) struct Items<'a> {
    pub(super) slab: &'a Slab,
    pub(super) nodes: &'a NodePages,
    /// How a walk over them goes on.
    pub(super) walkway: Walkway,
}

/// Everybody who has to know of changes.
pub(super) struct Observers {
    listening: bool,
    pub(super) events: Events,
    pub(super) watches: Watches,
    pub(super) tracking: Tracking,
    /// The snapshot that is being taken.
    pub(super) cut: Option<Box<Cut>>,
    pub(super) counters: Counters,
    /// Items stored, removed or given another deadline.
    pub(super) changes: u64,
    /// Something was evicted or refused since `take_pressure`.
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

    /// Counts a change. Returns whether anybody else has to be told, by `tell`.
    #[inline]
    pub(super) fn count(&mut self, change: Change) -> bool {
        let counters = &mut self.counters;
        match change {
            Change::StoreOverdue => return self.listening,
            Change::Retime { .. } => {}
            Change::Store { .. } => counters.insertions += 1,
            Change::Remove { cause, .. } => match cause {
                Cause::Removed | Cause::Renamed | Cause::Overdue => counters.removals += 1,
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

    /// Tells everybody of a change that is about to happen.
    pub(super) fn tell(&mut self, items: Items<'_>, key: &[u8], change: Change) {
        self.events.on_change(key, change);
        if let Some(cut) = &mut self.cut {
            cut.on_change(items, change);
        }
        let source = match change {
            Change::StoreOverdue => return,
            Change::Remove { cause: Cause::Expired | Cause::Evicted, .. } => Source::Shard,
            Change::Store { .. } | Change::Remove { .. } | Change::Retime { .. } => Source::Command,
        };
        self.watches.note(key);
        self.tracking.note(key, source);
        self.refresh();
    }

    /// All items, so many, are about to go.
    pub(super) fn on_clear(&mut self, items: u64, is_stored: impl Fn(&[u8]) -> bool) {
        self.watches.note_clear(is_stored);
        self.tracking.clear();
        self.changes += items;
        self.refresh();
    }

    /// An entry is about to become the last of the policy's order.
    #[inline]
    pub(super) fn on_move(&mut self, slab: &Slab, walkway: Walkway, at: EntryIndex) {
        if let Some(cut) = &mut self.cut {
            cut.before_move(slab, walkway, at);
        }
    }

    /// Changes who wants to know what.
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

impl Shard {
    /// A key is about to change: every mutation says so, here or by `tell_of`, before it does anything.
    #[inline]
    pub(super) fn tell(&mut self, key: &[u8], change: Change) {
        if self.observers.count(change) {
            self.tell_all(key, change);
        }
    }

    /// An item is about to change.
    #[inline]
    pub(super) fn tell_of(&mut self, at: EntryIndex, change: Change) {
        if self.observers.count(change) {
            self.tell_all_of(at, change);
        }
    }

    #[cold]
    fn tell_all(&mut self, key: &[u8], change: Change) {
        let items = Items { slab: &self.slab, nodes: self.wheel.nodes(), walkway: self.policy.walkway() };
        self.observers.tell(items, key, change);
    }

    #[cold]
    fn tell_all_of(&mut self, at: EntryIndex, change: Change) {
        let items = Items { slab: &self.slab, nodes: self.wheel.nodes(), walkway: self.policy.walkway() };
        self.observers.tell(items, self.slab.entry(at).key(), change);
    }
}
