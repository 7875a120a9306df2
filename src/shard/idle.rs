//! Idle: the access clock of an item: unix seconds, cut to the 23 bits that its entry has to spare.
//!
//! Owner: `Entry` keeps a stamp, this file says what it means. Core: the shard's own. Cost: a division by a constant.
//! Never: exact for ever. Idle time beyond `IDLE_S_MAX` (96 days) begins at 0 again, as it does in Redis after 194
//! days; after the clock was set back by up to `ACCESS_CLOCK_BACK_S` an item looks just accessed, not ancient.

use crate::limits::{ACCESS_CLOCK_BACK_S, ACCESS_CLOCK_BITS, IDLE_S_MAX};

const MASK: u64 = (1 << ACCESS_CLOCK_BITS) - 1;
const _: () = assert!(IDLE_S_MAX == MASK - ACCESS_CLOCK_BACK_S, "what is not idle time is the clock gone back");

/// The stamp of an access now.
#[inline]
pub(super) fn stamp(now_ms: u64) -> u32 {
    ((now_ms / 1000) & MASK) as u32
}

/// The stamp of an access some seconds ago, `IDLE_S_MAX` at most.
pub(super) fn stamp_before(now_ms: u64, idle_s: u64) -> u32 {
    ((now_ms / 1000).wrapping_sub(idle_s.min(IDLE_S_MAX)) & MASK) as u32
}

/// Seconds since the access that left a stamp.
pub(super) fn idle_s(stamp: u32, now_ms: u64) -> u64 {
    let passed_s = (now_ms / 1000).wrapping_sub(u64::from(stamp)) & MASK;
    if passed_s > IDLE_S_MAX { 0 } else { passed_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn idle_time_is_what_passed(then_ms in 0..1u64 << 50, idle_s in 0..=IDLE_S_MAX, back_ms in 0..1000 * ACCESS_CLOCK_BACK_S) {
            let now_ms = then_ms + idle_s * 1000;
            prop_assert_eq!(super::idle_s(stamp(then_ms), now_ms), idle_s);
            prop_assert_eq!(super::idle_s(stamp_before(now_ms, idle_s), now_ms), idle_s);
            prop_assert_eq!(super::idle_s(stamp(then_ms), then_ms.saturating_sub(back_ms)), 0, "a clock set back");
            prop_assert!(stamp(then_ms) < 1 << ACCESS_CLOCK_BITS && stamp_before(now_ms, idle_s) < 1 << ACCESS_CLOCK_BITS);
        }
    }

    #[test]
    fn what_is_idle_for_too_long_begins_anew() {
        let then_ms = 1_750_000_000_000;
        assert_eq!(idle_s(stamp(then_ms), then_ms + (MASK + 1) * 1000 + 5000), 5);
        assert_eq!(idle_s(stamp_before(then_ms, u64::MAX), then_ms), IDLE_S_MAX);
    }
}
