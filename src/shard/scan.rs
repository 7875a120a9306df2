//! Scan: a walk over all keys in slices, by entry position, and a key at random.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: one step per position, vacant ones included.
//! Never: changes anything, or remembers a walk: the position is all there is.
//! Guarantee: a key keeps its position while it is present, so one present throughout a walk is visited exactly
//! once; one that comes or goes meanwhile may be visited or not, and more than once if it came again.

use super::entry::EntryIndex;
use super::{Item, Shard};
use crate::limits::{RANDOM_KEY_PROBES_MAX, RANDOM_KEY_WALK_MAX};

impl Shard {
    /// Visits the live items at up to `steps_max` positions from `from` on (0 to begin). Returns the position
    /// to go on from, never 0; `None` at the end.
    pub fn scan(&self, from: u32, steps_max: u32, now_ms: u64, visit: &mut dyn FnMut(&[u8], Item<'_>)) -> Option<u32> {
        assert!(steps_max > 0, "a slice has at least one step");
        let end = self.slab.positions();
        let to = end.min(from.saturating_add(steps_max));
        for at in (from..to).map(EntryIndex) {
            let entry = self.slab.entry(at);
            if entry.is_live() && !self.has_expired(at, now_ms) {
                visit(entry.key(), self.item(at));
            }
        }
        (to < end).then_some(to)
    }

    /// A key that has not expired, picked by `random`; each about equally likely unless most positions are
    /// vacant. `None` if bounded work found none.
    pub fn random_key(&self, random: u64, now_ms: u64) -> Option<&[u8]> {
        let positions = u64::from(self.slab.positions());
        let mut state = random;
        for _ in 0..RANDOM_KEY_PROBES_MAX {
            state = mix(state);
            // The upper half, scaled to the positions.
            let at = EntryIndex((((state >> u32::BITS) * positions) >> u32::BITS) as u32);
            if positions > 0 && self.slab.entry(at).is_live() && !self.has_expired(at, now_ms) {
                return Some(self.slab.entry(at).key());
            }
        }
        self.key_near_end(mix(state) as u32 % RANDOM_KEY_WALK_MAX, now_ms)
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
