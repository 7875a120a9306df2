//! Route: which core owns a key, a slot, a client. The only place that compares cores.
//!
//! Core: each its own copy. Slots and their owners are those of `slot`. Cost: a hash of the key where there is more
//! than one core.

use crate::command::keyspace::Cursor;
use crate::limits::SLOTS;
use crate::slot::{CoreId, Slot};

/// This core among all cores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Router {
    core: CoreId,
    cores: u16,
}

impl Router {
    pub(super) fn new(core: CoreId, cores: u16) -> Router {
        assert!(core.0 < cores && cores <= SLOTS, "core {} of {cores}", core.0);
        Router { core, cores }
    }

    /// This core.
    #[inline]
    pub(super) fn core(self) -> CoreId {
        self.core
    }

    /// How many cores there are.
    #[inline]
    pub(super) fn cores(self) -> u16 {
        self.cores
    }

    /// The cores other than this one, ascending.
    pub(super) fn peers(self) -> impl Iterator<Item = CoreId> {
        (0..self.cores).map(CoreId).filter(move |core| *core != self.core)
    }

    /// The core that orders what all cores must run in one order; `None` if it is this one.
    pub(super) fn sequencer(self) -> Option<CoreId> {
        self.peer(CoreId(0))
    }

    /// A core as one to send to; `None` if it is this one.
    #[inline]
    pub(super) fn peer(self, core: CoreId) -> Option<CoreId> {
        (core != self.core).then_some(core)
    }

    /// The core that owns a key. A single core owns everything; it need not hash to know.
    #[inline]
    pub(super) fn owner(self, key: &[u8]) -> CoreId {
        if self.cores == 1 { self.core } else { Slot::of(key).owner(self.cores) }
    }

    /// The home of a client, whose id says it.
    #[inline]
    pub(super) fn home_of(self, client: u64) -> CoreId {
        CoreId((client.wrapping_sub(1) % u64::from(self.cores)) as u16)
    }

    /// The id of this core's `number`th client, counted from 1. Unique in the process without asking anyone: core i
    /// gives out i+1, i+1+N, i+1+2N …
    pub(super) fn client_id(self, number: u64) -> u64 {
        (number - 1) * u64::from(self.cores) + u64::from(self.core.0) + 1
    }

    /// The core that owns a slot.
    pub(super) fn owner_of_slot(self, slot: Slot) -> CoreId {
        slot.owner(self.cores)
    }

    /// The cursor of a client that walks this core by itself, as a node. One of another core is past the end.
    pub(super) fn own_cursor(self, cursor: Cursor) -> Cursor {
        let begins = cursor == Cursor { core: 0, position: 0 };
        if begins || cursor.core == self.core.0 {
            Cursor { core: self.core.0, ..cursor }
        } else {
            Cursor { core: u16::MAX, position: 0 }
        }
    }

    /// Whether a key lives on this core.
    #[inline]
    pub(super) fn is_here(self, key: &[u8]) -> bool {
        self.owner(key) == self.core
    }

    /// Whether keys have more than one owner.
    pub(super) fn spans_cores<'a>(self, mut keys: impl Iterator<Item = &'a [u8]>) -> bool {
        let first = keys.next().map(|key| self.owner(key));
        self.cores > 1 && keys.any(|key| Some(self.owner(key)) != first)
    }
}
