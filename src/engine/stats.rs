//! Stats: the counters of one core, plain fields, and the report of them that INFO gathers from every core.
//!
//! Core: its own; a report travels by value. Cost: an addition each; a turn time costs one bucket of a histogram.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::command::pubsub::TOPICS;
use crate::engine::Engine;
use crate::engine::counters::Counters;
use crate::engine::info::Sections;
use crate::engine::meter::Usage;
use crate::limits::{RATE_SAMPLE_MS, RATE_SAMPLES};

/// The counters of one core.
#[derive(Debug)]
pub(super) struct Stats {
    /// The counters.
    counters: Counters,
    /// The process at the last look.
    pub(super) gauges: Gauges,
    /// Most bytes of items at any tick.
    pub(super) bytes_peak: u64,
    /// Commands, bytes received and bytes sent of the last seconds.
    rate: Rate,
    /// How long turns took, in nanoseconds, with two significant digits.
    turn_ns: Histogram<u64>,
    /// Keys that the growth of the index has hashed again in one turn at most.
    turn_rehashed_max: u64,
}

/// Longest turn the histogram tells apart, nanoseconds: a minute.
const TURN_NS_MAX: u64 = 60_000_000_000;

impl Default for Stats {
    fn default() -> Self {
        let turn_ns = Histogram::new_with_bounds(1, TURN_NS_MAX, 2).expect("constant bounds that fit");
        Stats {
            counters: Counters::default(),
            gauges: Gauges::default(),
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
    #[inline]
    pub(super) fn record_turn(&mut self, turn_ns: u64) {
        if turn_ns > 0 {
            self.turn_ns.saturating_record(turn_ns);
        }
    }

    /// How long turns took.
    pub(super) fn turns(&self) -> &Histogram<u64> {
        &self.turn_ns
    }

    #[inline]
    pub(super) fn record_growth(&mut self, rehashed: u64) {
        self.turn_rehashed_max = self.turn_rehashed_max.max(rehashed);
    }

    /// CONFIG RESETSTAT.
    pub(super) fn reset(&mut self) {
        *self = Stats { gauges: self.gauges, ..Stats::default() };
    }

    /// A tick has come: now and then a sample is taken of what has happened since the last.
    pub(super) fn sample(&mut self, bytes: u64, now_ms: u64) {
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

/// What one core tells INFO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// The counters of the engine.
    pub(super) counters: Counters,
    pub(super) core: u16,
    pub(super) cpu: u64,
    pub(super) slots: (u16, u16),
    pub(super) clients: u64,
    pub(super) keys: u64,
    pub(super) timed_keys: u64,
    pub(super) bytes: u64,
    pub(super) items_max: u64,
    pub(super) bytes_max: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) evictions: u64,
    pub(super) expirations: u64,
    pub(super) admitted: u64,
    pub(super) refused: u64,
    pub(super) ghost_hits: u64,
    /// Hits that half and twice the budget would have had, once there is an estimate.
    pub(super) hits_estimated: Option<[u64; 2]>,
    pub(super) tracking_clients: u64,
    pub(super) tracked_keys: u64,
    pub(super) tracked_pairs: u64,
    pub(super) tracked_prefixes: u64,
    pub(super) gauges: Gauges,
    pub(super) bytes_peak: u64,
    /// Commands, bytes received and bytes sent a second.
    pub(super) per_s: [u64; 3],
    pub(super) snapshot: SnapshotReport,
    /// Mean of the deadlines, 0 without any.
    pub(super) deadline_ms_mean: u64,
    /// Channels, patterns and shard channels that this core counts.
    pub(super) subscribed: [u64; 3],
    pub(super) outbox_depth: u64,
    pub(super) turns: u64,
    pub(super) turn_ns_p50: u64,
    pub(super) turn_ns_p99: u64,
    pub(super) turn_ns_p999: u64,
    pub(super) turn_ns_max: u64,
    pub(super) turn_rehashed_max: u64,
    /// Error replies by code.
    pub(super) errors: BTreeMap<String, u64>,
    /// What commands took, if that is asked for.
    pub(super) usage: Vec<Usage>,
}

/// What one core tells INFO of snapshots. The second half is core 0's alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotReport {
    pub(super) changes: u64,
    /// Items of the snapshot that is being taken: done, of all; and bytes of blocks.
    pub(super) walk: (u64, u64, u64),
    pub(super) loading: bool,
    /// Bytes of the file read so far, of all; and since when, unix time in milliseconds.
    pub(super) load: (u64, u64, u64),
    /// When the save under way was begun.
    pub(super) saving_since_ms: Option<u64>,
    pub(super) saved_ms: u64,
    pub(super) saves: u64,
    pub(super) failed: bool,
    pub(super) took_ms: Option<u64>,
    pub(super) loaded: u64,
    pub(super) expired: u64,
}

/// The share of reads that hit: with half the bound, with the bound as it is, with twice of it. `None` until a core knows.
pub(super) fn hit_ratios<'a>(reports: impl Iterator<Item = &'a Report>) -> Option<[f64; 3]> {
    let reports: Vec<&Report> = reports.collect();
    reports.iter().find(|core| core.hits_estimated.is_some())?;
    let reads: u64 = reports.iter().map(|core| core.hits + core.misses).sum();
    let sum =
        |hits: fn(&Report) -> u64| reports.iter().map(|core| hits(core)).sum::<u64>() as f64 / reads.max(1) as f64;
    Some([
        sum(|core| core.hits_estimated.map_or(core.hits, |[half, _]| half)),
        sum(|core| core.hits),
        sum(|core| core.hits_estimated.map_or(core.hits, |[_, twice]| twice)),
    ])
}

impl Engine {
    fn snapshot_report(&self) -> SnapshotReport {
        let (snapshots, status) = (&self.snapshots, &self.snapshots.status);
        SnapshotReport {
            changes: self.changes_since_snapshot(),
            walk: self.part_progress(),
            loading: self.is_loading(),
            load: self.load_progress(),
            saving_since_ms: snapshots.job.as_ref().filter(|job| !job.is_load()).map(|job| job.began_ms),
            saved_ms: status.saved_ms,
            saves: status.saves,
            failed: status.failed,
            took_ms: status.took_ms,
            loaded: status.loaded.loaded,
            expired: status.loaded.expired,
        }
    }

    /// This core's report, as far as these sections need it.
    pub(super) fn report(&self, sections: Sections) -> Report {
        let (stats, counters, budget) = (&self.stats, self.shard.counters(), self.shard.budget());
        let (tracked, admissions) = (self.shard.tracked(), self.shard.admissions());
        let (first, last) = super::route::Slot::range(self.core, self.router.cores());
        Report {
            counters: stats.counters.clone(),
            core: self.core.0,
            cpu: self.cpu as u64,
            slots: (first.0, last.0),
            clients: self.sessions.len() as u64,
            keys: self.shard.len(),
            timed_keys: self.shard.timed_len(),
            bytes: self.shard.bytes(),
            items_max: budget.items_max,
            bytes_max: budget.bytes_max,
            hits: counters.hits,
            misses: counters.misses,
            evictions: counters.evictions,
            expirations: counters.expirations,
            admitted: admissions.admitted,
            refused: admissions.refused,
            ghost_hits: admissions.ghost_hits,
            hits_estimated: self.shard.hits_estimated(),
            tracking_clients: self.trackers.count,
            tracked_keys: tracked.keys,
            tracked_pairs: tracked.pairs,
            tracked_prefixes: tracked.prefixes,
            gauges: stats.gauges,
            bytes_peak: stats.bytes_peak.max(self.shard.bytes()),
            per_s: stats.rate.per_s(),
            snapshot: self.snapshot_report(),
            deadline_ms_mean: self.shard.mean_deadline_ms().unwrap_or(0),
            subscribed: TOPICS.map(|topic| self.channels.of(topic).owned() as u64),
            outbox_depth: self.mesh.depth() as u64,
            turns: stats.turn_ns.len(),
            turn_ns_p50: stats.turn_ns.value_at_quantile(0.5),
            turn_ns_p99: stats.turn_ns.value_at_quantile(0.99),
            turn_ns_p999: stats.turn_ns.value_at_quantile(0.999),
            turn_ns_max: stats.turn_ns.max(),
            turn_rehashed_max: stats.turn_rehashed_max,
            errors: self.meter.errors().clone(),
            usage: if sections.need_usage() { self.meter.usage(sections.need_times()) } else { Vec::new() },
        }
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
