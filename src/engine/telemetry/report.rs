//! Report: what one core tells INFO, MEMORY and the metrics of itself. Travels by value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::telemetry::counters::Counters;
use crate::engine::telemetry::meter::Usage;
use crate::engine::telemetry::stats::Gauges;

/// What one core tells INFO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Report {
    /// The counters of the engine.
    pub(in crate::engine) counters: Counters,
    pub(in crate::engine) core: u16,
    pub(in crate::engine) cpu: u64,
    pub(in crate::engine) slots: (u16, u16),
    pub(in crate::engine) clients: u64,
    pub(in crate::engine) keys: u64,
    pub(in crate::engine) timed_keys: u64,
    pub(in crate::engine) bytes: u64,
    pub(in crate::engine) items_max: u64,
    pub(in crate::engine) bytes_max: u64,
    pub(in crate::engine) hits: u64,
    pub(in crate::engine) misses: u64,
    pub(in crate::engine) evictions: u64,
    pub(in crate::engine) expirations: u64,
    pub(in crate::engine) admitted: u64,
    pub(in crate::engine) refused: u64,
    pub(in crate::engine) ghost_hits: u64,
    /// Hits that half and twice the budget would have had, once there is an estimate.
    pub(in crate::engine) hits_estimated: Option<[u64; 2]>,
    pub(in crate::engine) tracking_clients: u64,
    pub(in crate::engine) blocked_clients: u64,
    pub(in crate::engine) tracked_keys: u64,
    pub(in crate::engine) tracked_pairs: u64,
    pub(in crate::engine) tracked_prefixes: u64,
    pub(in crate::engine) gauges: Gauges,
    /// Resident bytes of the process without items.
    pub(in crate::engine) rss_startup_bytes: u64,
    pub(in crate::engine) bytes_peak: u64,
    /// Commands, bytes received and bytes sent a second.
    pub(in crate::engine) per_s: [u64; 3],
    pub(in crate::engine) snapshot: SnapshotReport,
    /// What each database holds.
    pub(in crate::engine) databases: Vec<DatabaseReport>,
    /// Channels, patterns and shard channels that this core counts.
    pub(in crate::engine) subscribed: [u64; 3],
    pub(in crate::engine) outbox_depth: u64,
    pub(in crate::engine) turns: u64,
    pub(in crate::engine) turn_ns_p50: u64,
    pub(in crate::engine) turn_ns_p99: u64,
    pub(in crate::engine) turn_ns_p999: u64,
    pub(in crate::engine) turn_ns_max: u64,
    pub(in crate::engine) turn_rehashed_max: u64,
    /// Error replies by code.
    pub(in crate::engine) errors: BTreeMap<String, u64>,
    /// What commands took, if that is asked for.
    pub(in crate::engine) usage: Vec<Usage>,
}

/// What one core holds of one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct DatabaseReport {
    pub(in crate::engine) keys: u64,
    pub(in crate::engine) timed_keys: u64,
    /// Mean of the deadlines, 0 without any.
    pub(in crate::engine) deadline_ms_mean: u64,
}

/// What one core tells INFO of snapshots. The second half is core 0's alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct SnapshotReport {
    pub(in crate::engine) changes: u64,
    /// Items of the snapshot that is being taken: done, of all; and bytes of blocks.
    pub(in crate::engine) walk: (u64, u64, u64),
    pub(in crate::engine) loading: bool,
    /// Bytes of the file read so far, of all; and since when, unix time in milliseconds.
    pub(in crate::engine) load: (u64, u64, u64),
    /// When the save under way was begun.
    pub(in crate::engine) saving_since_ms: Option<u64>,
    pub(in crate::engine) saved_ms: u64,
    pub(in crate::engine) saves: u64,
    pub(in crate::engine) failed: bool,
    pub(in crate::engine) took_ms: Option<u64>,
    pub(in crate::engine) loaded: u64,
    pub(in crate::engine) expired: u64,
}

/// The share of reads that hit: with half the bound, with the bound as it is, with twice of it. `None` until a core knows.
pub(in crate::engine) fn hit_ratios<'a>(reports: impl Iterator<Item = &'a Report>) -> Option<[f64; 3]> {
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
