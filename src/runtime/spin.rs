//! Spin: decides how long a core that has nothing to do looks for more before it naps. Core: its own. Pure.
//!
//! A lone client's round trip is mostly that two threads are woken. A core that looks on instead (a load from memory, by the
//! ring) answers in half the time, and where the next request is near for less CPU than a nap and a wake-up take. Elsewhere
//! it burns what others could use. Which it is depends on machine and load, so it is tried: windows of napping say what a
//! request costs, then a window of spinning does, and whoever is cheaper stays. A trial that failed is repeated ever more
//! rarely, one that succeeded is looked at again now and then.
//!
//! ```text
//! napping ─▶ trying ─▶ spinning      a window costs no more CPU a request, and nobody took the CPU meanwhile
//!    ▲─────────┴──────────┘          it costs more, somebody else wants the CPU, or napping is to be measured anew
//! ```
//! Cost: a comparison a turn; a reading of the thread's CPU time a window, where there is work. Never: spins itself, reads a
//! clock.

use std::time::Duration;

use crate::config::Spin as Setting;
use crate::limits::{
    SPIN_AUTO_US, SPIN_BAD_MAX, SPIN_COST_PERCENT_MAX, SPIN_GAP_US, SPIN_NAPS_MIN, SPIN_PAUSE_WINDOWS_MAX,
    SPIN_PAUSE_WINDOWS_MIN, SPIN_TERM_WINDOWS, SPIN_WINDOW_US, SPIN_WORK_MIN,
};

const WINDOW: Duration = Duration::from_micros(SPIN_WINDOW_US);

/// What a core has used and done so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The time on the core's clock.
    pub(super) at: Duration,
    /// CPU time of the core's thread.
    pub(super) cpu: Duration,
    /// Commands run.
    pub(super) work: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// For so many windows at least.
    Napping(u32),
    Trying,
    /// Since so many windows.
    Spinning(u32),
}

/// The decision of one core.
#[derive(Debug)]
pub(super) struct Spin {
    /// Whether the core decides by itself.
    adapts: bool,
    /// How long to spin.
    limit: Duration,
    phase: Phase,
    /// Windows to nap after the next trial that fails.
    pause: u32,
    /// Windows of spinning that were bad, less those that were good.
    bad: u32,
    /// Nanoseconds of CPU a command when napping.
    napping_ns: Option<u64>,
    last: Option<Reading>,
    /// The time from which the window is over.
    due: Duration,
    /// Naps in this window.
    naps: u32,
    /// Whether somebody else had the CPU while this core spun, in this window.
    was_robbed: bool,
}

impl Spin {
    /// `is_free`: a core can look without system calls. Otherwise it spins only if it was told for how long.
    pub(super) fn new(setting: Setting, is_free: bool) -> Spin {
        let limit = match setting {
            Setting::For(us) => Duration::from_micros(us),
            Setting::Auto | Setting::Off => Duration::ZERO,
        };
        Spin {
            adapts: setting == Setting::Auto && is_free,
            limit,
            phase: Phase::Napping(0),
            pause: SPIN_PAUSE_WINDOWS_MIN,
            bad: 0,
            napping_ns: None,
            last: None,
            due: Duration::ZERO,
            naps: 0,
            was_robbed: false,
        }
    }

    /// How long to spin now.
    #[inline]
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The core is about to nap.
    #[inline]
    pub(super) fn on_nap(&mut self) {
        self.naps = self.naps.saturating_add(1);
    }

    /// The core has spun; `gap`: the longest time between two looks.
    #[inline]
    pub(super) fn on_spin(&mut self, gap: Duration) {
        self.was_robbed |= gap >= Duration::from_micros(SPIN_GAP_US);
    }

    /// Whether a reading is to be taken. Not while the core rarely naps: then it has nothing to gain.
    #[inline]
    pub(super) fn wants_reading(&mut self, now: Duration) -> bool {
        if !self.adapts || now < self.due {
            return false;
        }
        if self.phase == Phase::Napping(0) && self.naps < SPIN_NAPS_MIN {
            self.begin(now, None);
            return false;
        }
        true
    }

    /// A window is over.
    pub(super) fn on_reading(&mut self, reading: Reading) {
        // The count of commands may have been set back, by CONFIG RESETSTAT.
        let work = |last: Reading| reading.work.saturating_sub(last.work);
        let window = self.last.map(|last| (reading.at - last.at, reading.cpu - last.cpu, work(last)));
        self.phase = match window {
            Some((time, cpu, work)) if time <= 4 * WINDOW && work >= SPIN_WORK_MIN => {
                self.judge(cpu.as_nanos() as u64 / work)
            }
            // Nothing to measure by, or the first reading.
            _ => match self.phase {
                Phase::Napping(left) => Phase::Napping(left),
                Phase::Trying | Phase::Spinning(_) => Phase::Napping(0),
            },
        };
        self.limit = match self.phase {
            Phase::Napping(_) => Duration::ZERO,
            Phase::Trying | Phase::Spinning(_) => Duration::from_micros(SPIN_AUTO_US),
        };
        self.begin(reading.at, Some(reading));
    }

    fn begin(&mut self, now: Duration, last: Option<Reading>) {
        self.due = now + WINDOW;
        self.last = last;
        self.naps = 0;
        self.was_robbed = false;
    }

    /// What comes after a window in which a command cost so much.
    fn judge(&mut self, cost_ns: u64) -> Phase {
        let dear = self.napping_ns.is_some_and(|napping_ns| cost_ns > napping_ns * SPIN_COST_PERCENT_MAX / 100);
        let failed = dear || self.was_robbed;
        match self.phase {
            Phase::Napping(left) => {
                // The mean with the last: one window may have met an interrupt.
                self.napping_ns = Some(self.napping_ns.map_or(cost_ns, |last_ns| u64::midpoint(last_ns, cost_ns)));
                match left {
                    0 if self.naps >= SPIN_NAPS_MIN => Phase::Trying,
                    left => Phase::Napping(left.saturating_sub(1)),
                }
            }
            Phase::Trying if failed => self.pause(),
            Phase::Trying => {
                self.pause = SPIN_PAUSE_WINDOWS_MIN;
                self.bad = 0;
                Phase::Spinning(0)
            }
            Phase::Spinning(windows) => {
                self.bad = if failed { self.bad + 2 } else { self.bad.saturating_sub(1) };
                match windows {
                    _ if self.bad >= SPIN_BAD_MAX => self.pause(),
                    SPIN_TERM_WINDOWS.. => Phase::Napping(0),
                    windows => Phase::Spinning(windows + 1),
                }
            }
        }
    }

    fn pause(&mut self) -> Phase {
        let pause = self.pause;
        self.pause = (2 * pause).min(SPIN_PAUSE_WINDOWS_MAX);
        Phase::Napping(pause)
    }
}

#[cfg(test)]
#[path = "spin_tests.rs"]
mod tests;
