//! Garbage: the memory of a cleared shard, freed in slices.
//!
//! Owner: `Shard`, or a cut as long as it needs the items. Core: the shard's own. Cost: a step an entry, table or page.
//! Invariant: garbage is reachable from nowhere else, and is not in the account.

use super::change::Items;
use super::index::Segments;
use super::policy::Walkway;
use super::slab::Slab;
use super::wheel::NodePages;

/// The entries, tables and timers of a cleared shard.
pub(super) struct Garbage {
    pub(super) slab: Slab,
    pub(super) segments: Segments,
    pub(super) nodes: NodePages,
    /// The order of a walk over the items.
    pub(super) walkway: Walkway,
}

impl Garbage {
    /// The tables of an index alone, whose items are gone, or garbage elsewhere.
    pub(super) fn of_tables(segments: Segments, walkway: Walkway) -> Garbage {
        Garbage { slab: Slab::default(), segments, nodes: NodePages::default(), walkway }
    }

    /// The items of the garbage, for a cut.
    pub(super) fn items(&self) -> Items<'_> {
        Items { slab: &self.slab, nodes: &self.nodes, walkway: self.walkway }
    }

    /// Frees one entry, table or page. Returns the steps this was worth; `None` when nothing is left.
    pub(super) fn free_one(&mut self) -> Option<u32> {
        if let Some(steps) = self.slab.dismantle() {
            return Some(steps);
        }
        (self.segments.dismantle() || self.nodes.pop().is_some()).then_some(1)
    }
}
