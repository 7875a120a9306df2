//! Give way: decides whether a core that is about to nap first yields its CPU to waiting threads. Core: its own. Pure.
//!
//! The waiting thread is often a client or a peer about to send work, and a core that has not napped needs no wake-up: an
//! eventfd write, an interrupt of the other CPU and two context switches are saved. With two cores and their clients on
//! two CPUs, 50 connections cost 0.84 of the CPU per command at pipeline 16 and 0.73 at pipeline 1; alone on its CPU
//! the core pays a system call per nap.
//! A busy neighbour would keep the CPU for a whole time slice, while a napping core gets it back when a client sends:
//! beside a busy loop the round trip went from 60 µs to 2 ms. So yielding is on credit: every short absence earns some, a
//! long one spends more, and without credit the core naps at once for a while.
//! Cost: two clock readings a nap. Never: yields itself, reads a clock.

use std::time::Duration;

use crate::limits::{GIVE_WAY_COST, GIVE_WAY_CREDIT_MAX, GIVE_WAY_PAUSE_MS, GIVE_WAY_US_MAX};

/// The credit of a core for yielding.
#[derive(Debug, Default)]
pub(super) struct GiveWay {
    credit: u32,
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
        if back - left <= Duration::from_micros(GIVE_WAY_US_MAX) {
            self.credit = (self.credit + 1).min(GIVE_WAY_CREDIT_MAX);
            return;
        }
        match self.credit.checked_sub(GIVE_WAY_COST) {
            Some(rest) => self.credit = rest,
            None => self.not_before = back + Duration::from_millis(GIVE_WAY_PAUSE_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_micros(GIVE_WAY_US_MAX + 1);
    const SHORT: Duration = Duration::from_micros(GIVE_WAY_US_MAX);
    const PAUSE: Duration = Duration::from_millis(GIVE_WAY_PAUSE_MS);

    /// Gives way as often as it may until `end`, each time for `absence`; returns how often.
    fn run(way: &mut GiveWay, now: &mut Duration, end: Duration, absence: Duration) -> u32 {
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
    fn a_tenant_who_never_rests_gets_the_cpu_once_a_pause() {
        let (mut way, mut now) = (GiveWay::default(), Duration::ZERO);
        let times = run(&mut way, &mut now, 10 * (PAUSE + LONG), LONG);
        assert!((9..=11).contains(&times), "{times}");
    }

    #[test]
    fn short_absences_pay_for_a_long_one_now_and_then() {
        let (mut way, mut now) = (GiveWay::default(), Duration::ZERO);
        for _ in 0..100 {
            for _ in 0..GIVE_WAY_COST {
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
    fn a_good_past_is_soon_used_up() {
        let (mut way, mut now) = (GiveWay::default(), Duration::ZERO);
        run(&mut way, &mut now, 1000 * SHORT, SHORT);
        let mut times = 0;
        while way.may(now) {
            way.on_return(now, now + LONG);
            now += LONG;
            times += 1;
        }
        assert_eq!(times, GIVE_WAY_CREDIT_MAX / GIVE_WAY_COST + 1);
        assert!(!way.may(now + PAUSE - Duration::from_micros(1)) && way.may(now + PAUSE));
    }
}
