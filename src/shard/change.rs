//! Change: what a mutation is about to do to a key, as one value.
//!
//! Each function of `mutate` describes itself as one `Change` before anything has changed; `observers` passes it on.
//! Never: changes an item.

use super::entry::EntryIndex;
use super::event::Event;
use super::policy::Walkway;
use super::slab::Slab;
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
