//! Scan: a walk over all keys of the selected database in slices, by entry position, and a key at random.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: one step per position, vacant ones included; a fraction of one if the
//! item there is another database's.
//! Never: changes anything, or remembers a walk: the position is all there is.
//! Guarantee: a key keeps its position while it is present, so one present throughout a walk is visited exactly
//! once; one that comes or goes meanwhile may be visited or not, and more than once if it came again.

use super::entry::EntryIndex;
use super::{Item, Shard};
use crate::limits::{RANDOM_KEY_PROBES_MAX, RANDOM_KEY_WALK_MAX, SCAN_PASSED_PER_STEP};

impl Shard {
    /// Visits the live items at positions from `from` on (0 to begin), for up to `steps_max` steps. Returns the position
    /// to go on from, never 0; `None` at the end.
    pub fn scan(&self, from: u32, steps_max: u32, now_ms: u64, visit: &mut dyn FnMut(&[u8], Item<'_>)) -> Option<u32> {
        assert!(steps_max > 0, "a slice has at least one step");
        if self.selected_len() == 0 {
            return None;
        }
        let end = self.slab.positions();
        let mut left = u64::from(steps_max) * u64::from(SCAN_PASSED_PER_STEP);
        let mut next = from;
        while next < end && left > 0 {
            let at = EntryIndex(next);
            next += 1;
            let is_selected = self.is_selected(at);
            if is_selected && !self.has_expired(at, now_ms) {
                visit(self.slab.entry(at).key(), self.item(at));
            }
            let passed = !is_selected && self.slab.entry(at).is_live();
            left = left.saturating_sub(if passed { 1 } else { SCAN_PASSED_PER_STEP.into() });
        }
        (next < end).then_some(next)
    }

    /// A key that has not expired, picked by `random`; each about equally likely unless most positions are vacant or
    /// other databases'. `None` if bounded work found none.
    pub fn random_key(&self, random: u64, now_ms: u64) -> Option<&[u8]> {
        let positions = u64::from(self.slab.positions());
        let mut state = random;
        for _ in 0..RANDOM_KEY_PROBES_MAX {
            state = mix(state);
            // The upper half, scaled to the positions.
            let at = EntryIndex((((state >> u32::BITS) * positions) >> u32::BITS) as u32);
            if positions > 0 && self.is_selected(at) && !self.has_expired(at, now_ms) {
                return Some(self.slab.entry(at).key());
            }
        }
        if self.selected_len() < self.len() || self.databases.is_sweeping() {
            return self.key_of_index(mix(state), now_ms);
        }
        self.key_near_end(mix(state) as u32 % RANDOM_KEY_WALK_MAX, now_ms)
    }

    /// The first live key of the selected database's index from a random one on.
    fn key_of_index(&self, random: u64, now_ms: u64) -> Option<&[u8]> {
        let mut walk = self.index.rotated(random).take(RANDOM_KEY_WALK_MAX as usize);
        walk.find(|at| !self.has_expired(*at, now_ms)).map(|at| self.slab.entry(at).key())
    }

    /// The live key after `skip` live ones from the last of the policy's order on; the last one seen if there are
    /// fewer.
    fn key_near_end(&self, skip: u32, now_ms: u64) -> Option<&[u8]> {
        let head = self.policy.last();
        let next = |&at: &EntryIndex| Some(self.slab.entry(at).next).filter(|next| next.is_some());
        std::iter::successors(Some(head).filter(|head| head.is_some()), next)
            .take(RANDOM_KEY_WALK_MAX as usize)
            .filter(|&at| !self.has_expired(at, now_ms))
            .take(skip as usize + 1)
            .last()
            .map(|at| self.slab.entry(at).key())
    }
}

/// One step of splitmix64: spreads a number over all 64 bits.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
