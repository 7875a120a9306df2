//! Stats: the counters of one core, plain fields.
//!
//! Core: its own. Cost: an addition each; a turn time costs one bucket of a histogram.

use std::ops::{Deref, DerefMut};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::engine::telemetry::counters::Counters;
use crate::engine::telemetry::times::Times;
use crate::limits::{RATE_SAMPLE_MS, RATE_SAMPLES};

/// The counters of one core.
#[derive(Debug)]
pub(in crate::engine) struct Stats {
    /// The counters.
    counters: Counters,
    /// The process at the last look.
    pub(in crate::engine) gauges: Gauges,
    /// Resident bytes at the first look: what the process takes without items.
    pub(in crate::engine) rss_startup_bytes: u64,
    /// Most bytes of items at any tick.
    pub(in crate::engine) bytes_peak: u64,
    /// Commands, bytes received and bytes sent of the last seconds.
    rate: Rate,
    /// How long turns took, in nanoseconds, with two significant digits.
    turn_ns: Times,
    /// Keys that the growth of the index has hashed again in one turn at most.
    turn_rehashed_max: u64,
}

/// Longest turn the histogram tells apart, nanoseconds: a minute.
const TURN_NS_MAX: u64 = 60_000_000_000;

impl Default for Stats {
    fn default() -> Self {
        let turn_ns = Times::new(TURN_NS_MAX);
        Stats {
            counters: Counters::default(),
            gauges: Gauges::default(),
            rss_startup_bytes: 0,
            bytes_peak: 0,
            rate: Rate::default(),
            turn_ns,
            turn_rehashed_max: 0,
        }
    }
}

impl Deref for Stats {
    type Target = Counters;

    #[inline]
    fn deref(&self) -> &Counters {
        &self.counters
    }
}

impl DerefMut for Stats {
    #[inline]
    fn deref_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

impl Stats {
    /// What the system says of the process now.
    pub(in crate::engine) fn set_gauges(&mut self, gauges: Gauges) {
        self.gauges = gauges;
        if self.rss_startup_bytes == 0 {
            self.rss_startup_bytes = gauges.rss_bytes;
        }
    }

    /// What the engine has counted.
    pub(in crate::engine) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Commands, bytes received and bytes sent a second, lately.
    pub(in crate::engine) fn per_s(&self) -> [u64; 3] {
        self.rate.per_s()
    }

    /// Keys that the growth of the index has hashed again in one turn at most.
    pub(in crate::engine) fn turn_rehashed_max(&self) -> u64 {
        self.turn_rehashed_max
    }

    #[inline]
    pub(in crate::engine) fn record_turn(&mut self, turn_ns: u64) {
        if turn_ns > 0 {
            self.turn_ns.record(turn_ns);
        }
    }

    /// How long turns took.
    pub(in crate::engine) fn turns(&self) -> Histogram<u64> {
        self.turn_ns.histogram()
    }

    #[inline]
    pub(in crate::engine) fn record_growth(&mut self, rehashed: u64) {
        self.turn_rehashed_max = self.turn_rehashed_max.max(rehashed);
    }

    /// CONFIG RESETSTAT.
    pub(in crate::engine) fn reset(&mut self) {
        *self = Stats { gauges: self.gauges, ..Stats::default() };
    }

    /// A tick has come: now and then a sample is taken of what has happened since the last.
    pub(in crate::engine) fn sample(&mut self, bytes: u64, now_ms: u64) {
        self.bytes_peak = self.bytes_peak.max(bytes);
        self.rate.sample([self.commands, self.bytes_in, self.bytes_out], now_ms);
    }
}

/// What INFO tells of the whole process and only the system knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Resident bytes.
    pub rss_bytes: u64,
    /// Microseconds of CPU time in the kernel.
    pub cpu_sys_us: u64,
    /// Microseconds of CPU time in the program.
    pub cpu_user_us: u64,
}

/// How fast some counters grow, over the last `RATE_SAMPLES` samples.
#[derive(Debug, Default)]
struct Rate {
    /// Growth a second of each sample.
    samples: [[u64; 3]; RATE_SAMPLES],
    next: usize,
    last: [u64; 3],
    last_ms: u64,
}

impl Rate {
    fn sample(&mut self, counters: [u64; 3], now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.last_ms);
        // A first sample, or a clock that was set back, begins anew.
        if self.last_ms == 0 || now_ms < self.last_ms {
            (self.last, self.last_ms) = (counters, now_ms);
        } else if passed_ms >= RATE_SAMPLE_MS {
            for (at, counter) in counters.into_iter().enumerate() {
                self.samples[self.next][at] = counter.saturating_sub(self.last[at]) * 1000 / passed_ms;
            }
            self.next = (self.next + 1) % RATE_SAMPLES;
            (self.last, self.last_ms) = (counters, now_ms);
        }
    }

    /// Commands, bytes in, bytes out a second.
    fn per_s(&self) -> [u64; 3] {
        let mean = |at: usize| self.samples.iter().map(|sample| sample[at]).sum::<u64>() / RATE_SAMPLES as u64;
        [mean(0), mean(1), mean(2)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_mean_of_the_last_samples() {
        let mut rate = Rate::default();
        rate.sample([500, 0, 0], 1_000);
        assert_eq!(rate.per_s(), [0; 3], "what came before the first sample does not count");
        for at in 1..=RATE_SAMPLES as u64 {
            rate.sample([500 + at * 10, at * 1_000, 0], 1_000 + at * RATE_SAMPLE_MS);
            rate.sample([500 + at * 10, at * 1_000, 0], 1_000 + at * RATE_SAMPLE_MS + 1);
        }
        assert_eq!(rate.per_s(), [10_000 / RATE_SAMPLE_MS, 1_000_000 / RATE_SAMPLE_MS, 0]);
        rate.sample([0, 0, 0], 7);
        rate.sample([0, 0, 0], 7 + RATE_SAMPLE_MS);
        assert!(rate.per_s()[0] < 10_000 / RATE_SAMPLE_MS, "a clock set back is no flood");
    }
}
