//! Give way: decides whether a core that is about to nap first yields its CPU to waiting threads. Core: its own. Pure.
//!
//! The waiting thread is often a client or a peer about to send work, and a core that has not napped needs no wake-up: an
//! eventfd write, an interrupt of the other CPU and two context switches are saved. With two cores and their clients on
//! two CPUs, 50 connections cost 0.84 of the CPU per command at pipeline 16 and 0.73 at pipeline 1; alone on its CPU
//! the core pays a system call per nap.
//! A busy neighbour would keep the CPU for a whole time slice, while a napping core gets it back when a client sends. So
//! yielding is on credit, in time: every short absence earns some, a long one costs what it took. A core without credit
//! naps at once for a while, longer each time that it tries in vain. Clients of our own are gone before a time slice is
//! over, so that they cost nothing, however busy they are (scripts/neighbours.py).
//! Cost: two clock readings a nap. Never: yields itself, reads a clock.

use std::time::Duration;

use crate::limits::{
    GIVE_WAY_CREDIT_US_MAX, GIVE_WAY_GAIN_US, GIVE_WAY_PAUSE_MS, GIVE_WAY_PAUSE_MS_MAX, GIVE_WAY_US_MAX,
};

/// The credit of a core for yielding.
#[derive(Debug, Default)]
pub(super) struct GiveWay {
    credit_us: u64,
    /// The last pause; 0 if the core has earned all its credit since.
    pause_ms: u64,
    /// The time until which the core does not yield, on the core's clock.
    not_before: Duration,
}

impl GiveWay {
    /// Whether to yield now.
    pub(super) fn may(&self, now: Duration) -> bool {
        now >= self.not_before
    }

    /// The core has yielded, and has its CPU again.
    pub(super) fn on_return(&mut self, left: Duration, back: Duration) {
        let absence_us = (back - left).as_micros() as u64;
        if absence_us <= GIVE_WAY_US_MAX {
            self.credit_us = (self.credit_us + GIVE_WAY_GAIN_US).min(GIVE_WAY_CREDIT_US_MAX);
            if self.credit_us == GIVE_WAY_CREDIT_US_MAX {
                self.pause_ms = 0;
            }
            return;
        }
        if self.credit_us < absence_us {
            self.pause_ms = (2 * self.pause_ms).clamp(GIVE_WAY_PAUSE_MS, GIVE_WAY_PAUSE_MS_MAX);
            self.not_before = back + Duration::from_millis(self.pause_ms);
        }
        self.credit_us = self.credit_us.saturating_sub(absence_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_micros(GIVE_WAY_US_MAX + 1);
    const SHORT: Duration = Duration::from_micros(GIVE_WAY_US_MAX);
    const PAUSE: Duration = Duration::from_millis(GIVE_WAY_PAUSE_MS);
    const PAUSE_MAX: Duration = Duration::from_millis(GIVE_WAY_PAUSE_MS_MAX);

    /// Gives way as often as it may until `end`, each time for `absence`; returns how often.
    fn run(way: &mut GiveWay, now: &mut Duration, end: Duration, absence: Duration) -> u64 {
        let mut times = 0;
        while *now < end {
            if way.may(*now) {
                way.on_return(*now, *now + absence);
                *now += absence;
                times += 1;
            } else {
                *now += Duration::from_millis(1);
            }
        }
        times
    }

    #[test]
    fn a_tenant_who_never_rests_gets_the_cpu_once_a_pause_and_pauses_grow() {
        let (mut way, mut now) = (GiveWay::default(), Duration::ZERO);
        let first = run(&mut way, &mut now, 3 * PAUSE, LONG);
        assert_eq!(first, 2, "after one pause and after two more");
        run(&mut way, &mut now, 4 * PAUSE_MAX, LONG);
        let begin = now;
        let times = run(&mut way, &mut now, begin + 10 * (PAUSE_MAX + LONG), LONG);
        assert!((9..=11).contains(&times), "{times}");
    }

    #[test]
    fn short_absences_pay_for_a_long_one_now_and_then() {
        let (mut way, mut now) = (GiveWay::default(), Duration::ZERO);
        for _ in 0..100 {
            for _ in 0..=GIVE_WAY_US_MAX / GIVE_WAY_GAIN_US {
                assert!(way.may(now));
                way.on_return(now, now + SHORT);
                now += SHORT;
            }
            assert!(way.may(now));
            way.on_return(now, now + LONG);
            now += LONG;
        }
        assert!(way.may(now), "what was earned covers what was spent");
    }

    #[test]
    fn a_good_past_is_soon_used_up_and_a_good_present_makes_pauses_short_again() {
        let (mut way, mut now) = (GiveWay::default(), Duration::ZERO);
        run(&mut way, &mut now, 1000 * SHORT, SHORT);
        let mut times = 0;
        while way.may(now) {
            way.on_return(now, now + LONG);
            now += LONG;
            times += 1;
        }
        assert_eq!(times, GIVE_WAY_CREDIT_US_MAX / (GIVE_WAY_US_MAX + 1) + 1);
        assert!(!way.may(now + PAUSE - Duration::from_micros(1)) && way.may(now + PAUSE));
        now += PAUSE;
        let end = now + 1000 * SHORT;
        run(&mut way, &mut now, end, SHORT);
        while way.may(now) {
            way.on_return(now, now + LONG);
            now += LONG;
        }
        assert!(way.may(now + PAUSE), "no longer than the first");
    }
}
