//! Report: what the commands of the whole process ask of a shard: its sizes and its counters. Core: the shard's own.

use crate::engine::owner::Owner;
use crate::engine::telemetry::report::{DatabaseReport, Report};
use crate::shard::{Database, DatabaseSize};

impl Owner {
    /// The size of a database.
    pub(in crate::engine) fn size_of(&self, database: Database) -> DatabaseSize {
        self.shard.size_of(database)
    }

    /// Counts as cleared what a load is about to replace.
    pub(in crate::engine) fn note_cleared(&mut self) {
        self.shard.note_cleared();
    }

    /// CONFIG RESETSTAT: the counters of the shard begin anew.
    pub(in crate::engine) fn reset_counters(&mut self) {
        self.shard.reset_counters();
    }

    /// The numbers of the shard for a report; the rest of it is left as it is.
    pub(in crate::engine) fn report(&self, databases: u8, report: &mut Report) {
        let shard = &self.shard;
        let (counters, budget, tracked, admissions) =
            (shard.counters(), shard.budget(), shard.tracked(), shard.admissions());
        report.keys = shard.len();
        report.timed_keys = shard.timed_len();
        report.bytes = shard.bytes();
        report.bytes_peak = report.bytes_peak.max(shard.bytes());
        (report.items_max, report.bytes_max) = (budget.items_max, budget.bytes_max);
        (report.hits, report.misses) = (counters.hits, counters.misses);
        (report.evictions, report.expirations) = (counters.evictions, counters.expirations);
        (report.admitted, report.refused) = (admissions.admitted, admissions.refused);
        report.ghost_hits = admissions.ghost_hits;
        report.hits_estimated = shard.hits_estimated();
        (report.tracked_keys, report.tracked_pairs) = (tracked.keys, tracked.pairs);
        report.tracked_prefixes = tracked.prefixes;
        report.databases = (0..databases).map(|database| database_report(shard.size_of(database))).collect();
    }
}

fn database_report(size: DatabaseSize) -> DatabaseReport {
    let DatabaseSize { items, timed, deadlines_ms } = size;
    let deadline_ms_mean = deadlines_ms.checked_div(timed.into()).unwrap_or(0) as u64;
    DatabaseReport { keys: items, timed_keys: timed, deadline_ms_mean }
}
