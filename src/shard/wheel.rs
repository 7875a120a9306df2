//! Wheel: the deadlines of one shard's items, a hierarchical timing wheel of one-millisecond ticks.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: 24 bytes per item with a TTL and 2.9 KiB per shard; insert and
//! cancel are O(1); a node moves down at most once per level before it is due.
//! Never: reads a clock, removes an item (it names the due ones to the shard), or takes an unbounded turn.
//!
//! The level of a node is that of the highest 6-bit digit in which its deadline differs from `elapsed`, its
//! slot that digit of the deadline. So each slot is ahead of `elapsed`, or is the current one of its level:
//! at level 0 that holds what is due, above it what must move down. A slot being emptied is simply current,
//! so an advance can stop after any node, and `next_slot` finds the place again.
//!
//! Invariant: a node is in the slot its deadline (or `elapsed` at that time, if later) has under the rule, or in
//! a current slot; a bit of `occupied` is set exactly if the slot's list is not empty; `elapsed` never falls
//! while a node exists.

use super::entry::{EntryIndex, TimerIndex};
use super::pages::Pages;
use crate::limits::{ITEM_TIMER_BYTES, VOLATILE_SAMPLES, WHEEL_LEVELS, WHEEL_PAGE_NODES, WHEEL_SLOT_BITS};

const SLOTS: usize = 1 << WHEEL_SLOT_BITS;

const _: () = assert!(SLOTS as u32 == u64::BITS);
const _: () = assert!(size_of::<Node>() as u64 == ITEM_TIMER_BYTES);

/// A node: the deadline of an item, or free.
pub(super) struct Node {
    deadline_ms: u64,
    entry: EntryIndex,
    prev: TimerIndex,
    /// The next of the slot, or the next free node.
    next: TimerIndex,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    level: u8,
    slot: u8,
}

/// The nodes of a wheel: what is left of it to be freed after `reset`.
pub(super) type NodePages = Pages<Node, WHEEL_PAGE_NODES>;

/// The deadline of a node of a wheel, or of what is left of one.
pub(super) fn deadline_in(nodes: &NodePages, at: TimerIndex) -> u64 {
    nodes.at(at.0).deadline_ms
}

/// The outcome of `advance`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Advance {
    /// This item has expired; its node stays until `cancel`.
    Due(EntryIndex),
    /// Nothing is due at this time.
    Idle,
    /// The steps ran out.
    Unfinished,
}

/// The timing wheel.
pub(super) struct Wheel {
    /// The time up to which the wheel has advanced.
    elapsed_ms: u64,
    occupied: [u64; WHEEL_LEVELS],
    heads: [[TimerIndex; SLOTS]; WHEEL_LEVELS],
    nodes: NodePages,
    /// The first node never used.
    fresh: u32,
    free: TimerIndex,
    len: u32,
    /// The sum of all deadlines.
    deadlines_ms: u128,
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            elapsed_ms: 0,
            occupied: [0; WHEEL_LEVELS],
            heads: [[TimerIndex::NONE; SLOTS]; WHEEL_LEVELS],
            nodes: Pages::default(),
            fresh: 0,
            free: TimerIndex::NONE,
            len: 0,
            deadlines_ms: 0,
        }
    }
}

impl Wheel {
    /// Adds the deadline of an item that has none.
    pub(super) fn insert(&mut self, entry: EntryIndex, deadline_ms: u64, now_ms: u64) -> TimerIndex {
        if self.len == 0 {
            self.elapsed_ms = now_ms;
        }
        let at = if self.free.is_some() {
            let at = self.free;
            self.free = self.node(at).next;
            at
        } else {
            if u64::from(self.fresh) == self.nodes.capacity() {
                self.nodes.grow(Node::free);
            }
            self.fresh += 1;
            TimerIndex(self.fresh - 1)
        };
        let node = self.node_mut(at);
        node.entry = entry;
        node.deadline_ms = deadline_ms;
        self.len += 1;
        self.deadlines_ms += u128::from(deadline_ms);
        self.link(at);
        at
    }

    /// Changes a deadline.
    pub(super) fn reschedule(&mut self, at: TimerIndex, deadline_ms: u64) {
        self.unlink(at);
        self.deadlines_ms += u128::from(deadline_ms);
        self.deadlines_ms -= u128::from(self.node(at).deadline_ms);
        self.node_mut(at).deadline_ms = deadline_ms;
        self.link(at);
    }

    /// Removes a deadline.
    pub(super) fn cancel(&mut self, at: TimerIndex) {
        self.unlink(at);
        self.deadlines_ms -= u128::from(self.node(at).deadline_ms);
        let free = self.free;
        let node = self.node_mut(at);
        node.entry = EntryIndex::NONE;
        node.next = free;
        self.free = at;
        self.len -= 1;
    }

    /// Advances towards `now_ms` until an item is due or the steps run out: a step is one node that is moved down or
    /// found due.
    pub(super) fn advance(&mut self, now_ms: u64, steps: &mut u32) -> Advance {
        loop {
            let Some((place, starts_ms)) = self.next_slot().filter(|&(_, starts_ms)| starts_ms <= now_ms) else {
                self.elapsed_ms = self.elapsed_ms.max(now_ms);
                return Advance::Idle;
            };
            if *steps == 0 {
                return Advance::Unfinished;
            }
            *steps -= 1;
            debug_assert!(starts_ms >= self.elapsed_ms);
            self.elapsed_ms = starts_ms;
            let at = self.heads[usize::from(place.level)][usize::from(place.slot)];
            if place.level == 0 {
                return Advance::Due(self.node(at).entry);
            }
            self.unlink(at);
            self.link(at);
        }
    }

    /// Empties the wheel, at once. Returns its nodes, to be freed in slices.
    pub(super) fn reset(&mut self) -> NodePages {
        std::mem::take(self).nodes
    }

    /// The nodes, to look deadlines up in.
    pub(super) fn nodes(&self) -> &NodePages {
        &self.nodes
    }

    /// The deadline of a node.
    #[inline]
    pub(super) fn deadline_ms(&self, at: TimerIndex) -> u64 {
        self.node(at).deadline_ms
    }

    /// The sum of all deadlines.
    pub(super) fn deadlines_ms(&self) -> u128 {
        self.deadlines_ms
    }

    /// The mean of all deadlines, if there are any.
    pub(super) fn mean_deadline_ms(&self) -> Option<u64> {
        // A mean is no larger than the largest.
        self.deadlines_ms.checked_div(self.len.into()).map(|mean| mean as u64)
    }

    /// A time before which `advance` has nothing to do: the first deadline, or earlier when nodes must move
    /// down. `None` if there is no deadline.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.next_slot().map(|(_, starts_ms)| starts_ms)
    }

    /// The item whose deadline comes first, or one of the same slot of the wheel, and its deadline.
    pub(super) fn soonest(&self) -> Option<(EntryIndex, u64)> {
        let (place, _) = self.next_slot()?;
        let node = self.node(self.heads[usize::from(place.level)][usize::from(place.slot)]);
        Some((node.entry, node.deadline_ms))
    }

    /// Some items that have a deadline, with it: the one that comes first, or of the same slot, and others drawn from all.
    /// Never the item that is spared; none only if no other has a deadline.
    pub(super) fn sample(&self, spared: Option<EntryIndex>, seed: &mut u64, mut take: impl FnMut(EntryIndex, u64)) {
        if self.len == 0 {
            return;
        }
        let mut found = false;
        let mut look = |at: TimerIndex| {
            let node = self.node(at);
            let is_taken = node.entry.is_some() && spared != Some(node.entry);
            if is_taken {
                take(node.entry, node.deadline_ms);
            }
            is_taken
        };
        if let Some((place, _)) = self.next_slot() {
            found |= look(self.heads[usize::from(place.level)][usize::from(place.slot)]);
        }
        for _ in 0..VOLATILE_SAMPLES {
            // A xorshift step (Marsaglia, 2003).
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            found |= look(TimerIndex((*seed % u64::from(self.fresh)) as u32));
        }
        if !found {
            // Few have a deadline now of many that had one.
            let slots = self.heads.iter().flatten().copied().filter(|at| at.is_some());
            let firsts = slots.flat_map(|at| [at, self.node(at).next]).filter(|at| at.is_some());
            firsts.take(VOLATILE_SAMPLES).for_each(|at| _ = look(at));
        }
    }

    /// The number of deadlines.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The first occupied slot, and the time from which it must be looked at. Slots of a lower level come before
    /// all later ones of a higher level, as they lie within its current slot.
    fn next_slot(&self) -> Option<(Place, u64)> {
        if self.len == 0 {
            return None;
        }
        // A current slot above level 0 is being moved down, and what it holds may be due before anything else.
        for level in (0..WHEEL_LEVELS as u8).rev() {
            let current = digit(self.elapsed_ms, level);
            if self.occupied[usize::from(level)] & 1 << current != 0 {
                return Some((Place { level, slot: current }, self.elapsed_ms));
            }
        }
        let level = self.occupied.iter().position(|&occupied| occupied != 0)? as u8;
        let slot = self.occupied[usize::from(level)].trailing_zeros() as u8;
        let shift = u32::from(level) * WHEEL_SLOT_BITS;
        let above = self.elapsed_ms.checked_shr(shift + WHEEL_SLOT_BITS).unwrap_or(0);
        let starts_ms = (above << WHEEL_SLOT_BITS | u64::from(slot)) << shift;
        Some((Place { level, slot }, starts_ms))
    }

    fn link(&mut self, at: TimerIndex) {
        let place = self.place_of(self.node(at).deadline_ms);
        let head = &mut self.heads[usize::from(place.level)][usize::from(place.slot)];
        let next = std::mem::replace(head, at);
        self.occupied[usize::from(place.level)] |= 1 << place.slot;
        if next.is_some() {
            self.node_mut(next).prev = at;
        }
        let node = self.node_mut(at);
        node.prev = TimerIndex::NONE;
        node.next = next;
        node.place = place;
    }

    fn unlink(&mut self, at: TimerIndex) {
        let &Node { prev, next, place, .. } = self.node(at);
        if next.is_some() {
            self.node_mut(next).prev = prev;
        }
        if prev.is_some() {
            self.node_mut(prev).next = next;
            return;
        }
        let head = &mut self.heads[usize::from(place.level)][usize::from(place.slot)];
        debug_assert_eq!(*head, at);
        *head = next;
        if !next.is_some() {
            self.occupied[usize::from(place.level)] &= !(1 << place.slot);
        }
    }

    /// The place of a deadline, seen from `elapsed_ms`. A deadline that has passed belongs to the current slot of
    /// level 0.
    fn place_of(&self, deadline_ms: u64) -> Place {
        let deadline_ms = deadline_ms.max(self.elapsed_ms);
        let differs = (deadline_ms ^ self.elapsed_ms) | (SLOTS as u64 - 1);
        let level = (differs.ilog2() / WHEEL_SLOT_BITS) as u8;
        Place { level, slot: digit(deadline_ms, level) }
    }

    fn node(&self, at: TimerIndex) -> &Node {
        self.nodes.at(at.0)
    }

    fn node_mut(&mut self, at: TimerIndex) -> &mut Node {
        self.nodes.at_mut(at.0)
    }

    /// The entry of a node, for checks.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn entry_of(&self, at: TimerIndex) -> EntryIndex {
        self.node(at).entry
    }

    /// Walks every slot: links, places and counts are right, and no slot is behind `elapsed`.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        let (mut count, mut deadlines_ms) = (0, 0);
        for level in 0..WHEEL_LEVELS as u8 {
            let current = digit(self.elapsed_ms, level);
            for slot in 0..SLOTS as u8 {
                let mut at = self.heads[usize::from(level)][usize::from(slot)];
                let bit = self.occupied[usize::from(level)] >> slot & 1;
                assert_eq!(bit == 1, at.is_some(), "the bitmap says which slots are occupied");
                assert!(!at.is_some() || slot >= current, "no occupied slot is behind");
                let mut before = TimerIndex::NONE;
                while at.is_some() {
                    let node = self.node(at);
                    assert_eq!(node.prev, before, "the links agree");
                    assert_eq!(node.place, Place { level, slot });
                    let in_place = self.place_of(node.deadline_ms) == node.place;
                    assert!(in_place || slot == current, "a node is in its place or about to move");
                    count += 1;
                    deadlines_ms += u128::from(node.deadline_ms);
                    assert!(count <= self.len, "the lists end");
                    before = at;
                    at = node.next;
                }
            }
        }
        assert_eq!((count, deadlines_ms), (self.len, self.deadlines_ms));
    }
}

impl Node {
    fn free() -> Self {
        Self {
            deadline_ms: 0,
            entry: EntryIndex::NONE,
            prev: TimerIndex::NONE,
            next: TimerIndex::NONE,
            place: Place { level: 0, slot: 0 },
        }
    }
}

/// The 6-bit digit of a time at a level.
fn digit(time_ms: u64, level: u8) -> u8 {
    (time_ms >> (u32::from(level) * WHEEL_SLOT_BITS)) as u8 & (SLOTS as u8 - 1)
}
