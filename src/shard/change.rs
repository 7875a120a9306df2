//! Change: what a mutation is about to do to a key, as one value.
//!
//! Each function of `mutate` describes itself as one `Change` before anything has changed; `observers` passes it on.
//! Never: changes an item.

use super::entry::EntryIndex;
use super::event::Event;
use super::policy::Walkway;
use super::slab::Slab;
use super::wheel::NodePages;

/// A change that is about to happen to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// A value is stored.
    Store {
        /// The key event of the store.
        event: Event,
        /// The entry of the item that is overwritten.
        found: Option<EntryIndex>,
        /// Whether the deadline is not that of the item before.
        timed_anew: bool,
    },
    /// A SET of an absent key had a deadline that has passed: nothing is stored, and there are key events nevertheless.
    StoreOverdue,
    /// An item is removed.
    Remove {
        /// The entry of the item.
        at: EntryIndex,
        /// The cause of the removal.
        cause: Cause,
    },
    /// An item gets another deadline, or loses it.
    Retime {
        /// The entry of the item.
        at: EntryIndex,
        /// Whether the item has a deadline afterwards.
        timed: bool,
    },
}

/// The cause of a removal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// A command removed the item.
    Removed,
    /// The item's value is stored under another key.
    Renamed,
    /// The item's value is stored in another database.
    Moved,
    /// A SET over the item had a deadline that has passed.
    Overdue,
    /// The item has expired.
    Expired,
    /// The item is a victim: the budget needs its room.
    Evicted,
    /// The item was flushed before, with its whole database; all were told then.
    Flushed,
}

/// The items of a shard, or of a cleared one, for observers that read an item before it changes.
#[derive(Clone, Copy)]
pub(super) struct Items<'a> {
    pub(super) slab: &'a Slab,
    pub(super) nodes: &'a NodePages,
    /// The order of a walk over the items.
    pub(super) walkway: Walkway,
}
