//! MEMORY STATS and MEMORY DOCTOR: the cores' reports once more, as fields of their own.

use super::percent;
use crate::engine::telemetry::report::Report;
use crate::limits::{ITEM_ENTRY_BYTES, ITEM_INDEX_BYTES, ITEM_TIMER_BYTES, MEMORY_DOCTOR_BYTES_MIN};
use crate::resp::Writer;

/// Bytes that a core's items need besides keys and values.
pub(super) fn overhead_bytes(core: &Report) -> u64 {
    core.keys * (ITEM_ENTRY_BYTES + ITEM_INDEX_BYTES) + core.timed_keys * ITEM_TIMER_BYTES
}

/// The memory of all cores. As in Redis, what is used includes what the process took before it had items, so that the ratio
/// to resident memory is near 1 while little is stored.
pub(super) struct Sums {
    /// Resident bytes at the start, without items.
    pub(super) startup: u64,
    /// `startup`, and the account of the items.
    pub(super) used: u64,
    /// The peak of `used`.
    pub(super) peak: u64,
    /// Resident bytes.
    pub(super) rss: u64,
    /// All of `used` but keys and values.
    pub(super) overhead: u64,
    items: u64,
    keys: u64,
}

impl Sums {
    pub(super) fn new(reports: &[Report]) -> Sums {
        let sum = |field: fn(&Report) -> u64| reports.iter().map(field).sum::<u64>();
        // Each core took its first look a little later than the others; a restart of one is a restart of all.
        let startup = reports.iter().map(|core| core.rss_startup_bytes).filter(|bytes| *bytes > 0).min().unwrap_or(0);
        let items = sum(|core| core.bytes);
        Sums {
            startup,
            used: startup + items,
            peak: startup + sum(|core| core.bytes_peak),
            rss: reports.iter().map(|core| core.gauges.rss_bytes).max().unwrap_or(0),
            overhead: startup + sum(overhead_bytes),
            items,
            keys: sum(|core| core.keys),
        }
    }

    fn fragmentation(&self) -> f64 {
        if self.used == 0 { 0.0 } else { self.rss as f64 / self.used as f64 }
    }
}

/// MEMORY STATS: those of Redis's fields that mean the same here, in its order.
pub(in crate::engine) fn memory_stats(reports: &[Report], writer: &mut Writer<'_>) {
    let sums = Sums::new(reports);
    let dataset = sums.used.saturating_sub(sums.overhead);
    let integers = [
        ("peak.allocated", sums.peak),
        ("total.allocated", sums.used),
        ("startup.allocated", sums.startup),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("overhead.total", sums.overhead),
        ("keys.count", sums.keys),
        ("keys.bytes-per-key", sums.items.checked_div(sums.keys).unwrap_or(0)),
        ("dataset.bytes", dataset),
    ];
    let doubles = [
        ("dataset.percentage", percent(dataset, sums.items)),
        ("peak.percentage", percent(sums.used, sums.peak)),
        ("fragmentation", sums.fragmentation()),
    ];
    writer.map(integers.len() + doubles.len() + 1);
    for (name, number) in integers {
        writer.bulk(name.as_bytes());
        writer.integer(number.cast_signed());
    }
    for (name, number) in doubles {
        writer.bulk(name.as_bytes());
        writer.double(number);
    }
    writer.bulk(b"fragmentation.bytes");
    writer.integer(sums.rss.cast_signed().saturating_sub(sums.used.cast_signed()));
}

/// MEMORY DOCTOR.
pub(in crate::engine) fn memory_doctor(reports: &[Report]) -> String {
    let sums = Sums::new(reports);
    if sums.items < MEMORY_DOCTOR_BYTES_MIN {
        return "There is too little data to say anything of its memory.\n".to_owned();
    }
    let mut text = String::new();
    if sums.peak > sums.used / 2 * 3 {
        text.push_str("- The peak was more than half as much again: resident memory may still be that of the peak.\n");
    }
    if sums.fragmentation() > 1.4 {
        text.push_str("- Resident memory is more than 1.4 times the memory of the items.\n");
    }
    if text.is_empty() { "The memory is as it should be.\n".to_owned() } else { text }
}
