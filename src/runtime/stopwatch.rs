//! Stopwatch: nanoseconds by which commands are measured, read once a command.
//!
//! Where the kernel finds the processor's time stamp counter good enough to keep time by, it is read as it is: 8 ns a
//! reading. Otherwise it is the monotonic clock: 30 ns, of some 400 that a pipelined command takes. The counter runs at one
//! rate and is the same on all processors, or the kernel does not offer it as a clock. Its rate is taken once, at the start,
//! and is right to a ten-thousandth, so the two clocks drift apart. Never: decides anything; waits and deadlines go by the
//! monotonic clock.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the counter is read by an intrinsic"))]

use super::clock;

/// The stopwatch for this machine. Takes a millisecond at the first call.
pub(super) fn choose() -> fn() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let offered = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/available_clocksource");
        if offered.is_ok_and(|clocks| clocks.split_whitespace().any(|clock| clock == "tsc")) {
            counter::calibrate();
            return counter::read_ns;
        }
    }
    clock::stopwatch_ns
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::limits::{STOPWATCH_CALIBRATION_NS, STOPWATCH_SAMPLES};
    use crate::runtime::clock;

    /// Nanoseconds of a tick, in units of 2^-32.
    static SCALE: AtomicU64 = AtomicU64::new(0);
    /// The counter when its rate was taken.
    static START: AtomicU64 = AtomicU64::new(0);
    static CALIBRATED: OnceLock<()> = OnceLock::new();

    fn ticks() -> u64 {
        // SAFETY: reads a counter that every x86_64 processor has; the kernel lets programs read what it offers as a clock.
        unsafe { core::arch::x86_64::_rdtsc() }
    }

    /// The counter and the clock at one moment: of several looks the shortest.
    fn sample() -> (u64, u64) {
        let looks = (0..STOPWATCH_SAMPLES).map(|_| {
            let before_ns = clock::stopwatch_ns();
            let ticks = ticks();
            let took_ns = clock::stopwatch_ns() - before_ns;
            (took_ns, (ticks, before_ns + took_ns / 2))
        });
        looks.min().expect("there are several").1
    }

    /// Takes the counter's rate, once in a process.
    pub(super) fn calibrate() {
        CALIBRATED.get_or_init(|| {
            let (start_ticks, start_ns) = sample();
            while clock::stopwatch_ns() < start_ns + STOPWATCH_CALIBRATION_NS {
                std::hint::spin_loop();
            }
            let (end_ticks, end_ns) = sample();
            let scale = (u128::from(end_ns - start_ns) << 32) / u128::from((end_ticks - start_ticks).max(1));
            SCALE.store(scale as u64, Ordering::Relaxed);
            START.store(start_ticks, Ordering::Relaxed);
        });
    }

    /// Nanoseconds since the calibration began.
    pub(super) fn read_ns() -> u64 {
        // Threads of cores start after the calibration, so they see what it has stored.
        let passed = ticks().saturating_sub(START.load(Ordering::Relaxed));
        ((u128::from(passed) * u128::from(SCALE.load(Ordering::Relaxed))) >> 32) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stopwatch_runs_as_fast_as_the_clock() {
        let stopwatch = choose();
        let (outer_ns, began_ns, inner_ns) = (clock::stopwatch_ns(), stopwatch(), clock::stopwatch_ns());
        let mut last_ns = began_ns;
        // However long the scheduler takes, the stopwatch is read between two readings of the clock.
        while clock::stopwatch_ns() < inner_ns + 20_000_000 {
            let now_ns = stopwatch();
            assert!(now_ns >= last_ns, "it never goes back");
            last_ns = now_ns;
        }
        let (least_ns, passed_ns) = (clock::stopwatch_ns() - inner_ns, stopwatch() - began_ns);
        let most_ns = clock::stopwatch_ns() - outer_ns;
        let slack_ns = most_ns / 100;
        assert!(
            (least_ns - slack_ns..=most_ns + slack_ns).contains(&passed_ns),
            "{passed_ns} ns passed, the clock says {least_ns} to {most_ns}"
        );
    }
}
