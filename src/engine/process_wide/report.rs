//! Report: what one core tells of itself, gathered from its parts. Core: each its own.

use crate::command::pubsub::TOPICS;
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::telemetry::info::Sections;
use crate::engine::telemetry::report::{DatabaseReport, Report};
use crate::shard::{Database, DatabaseSize, Shard};
use crate::slot::Slot;

fn database_report(shard: &Shard, database: Database) -> DatabaseReport {
    let DatabaseSize { items, timed, deadlines_ms } = shard.size_of(database);
    let deadline_ms_mean = deadlines_ms.checked_div(timed.into()).unwrap_or(0) as u64;
    DatabaseReport { keys: items, timed_keys: timed, deadline_ms_mean }
}

/// This core's report, as far as these sections need it.
pub(in crate::engine) fn report(home: &Home, core: &Core, sections: Sections) -> Report {
    let (env, shard) = (&core.env, core.owner.shard());
    let (stats, counters, budget, tracked) = (&env.stats, shard.counters(), shard.budget(), shard.tracked());
    let admissions = shard.admissions();
    let (first, last) = Slot::range(env.router.core(), env.router.cores());
    Report {
        counters: stats.counters().clone(),
        core: env.router.core().0,
        cpu: env.cpu as u64,
        slots: (first.0, last.0),
        clients: home.session_count() as u64,
        keys: shard.len(),
        timed_keys: shard.timed_len(),
        bytes: shard.bytes(),
        items_max: budget.items_max,
        bytes_max: budget.bytes_max,
        hits: counters.hits,
        misses: counters.misses,
        evictions: counters.evictions,
        expirations: counters.expirations,
        admitted: admissions.admitted,
        refused: admissions.refused,
        ghost_hits: admissions.ghost_hits,
        hits_estimated: shard.hits_estimated(),
        tracking_clients: home.trackers(),
        blocked_clients: home.held_back(),
        tracked_keys: tracked.keys,
        tracked_pairs: tracked.pairs,
        tracked_prefixes: tracked.prefixes,
        gauges: stats.gauges,
        rss_startup_bytes: stats.rss_startup_bytes,
        bytes_peak: stats.bytes_peak.max(shard.bytes()),
        per_s: stats.per_s(),
        snapshot: core.persistence.report(&core.owner),
        databases: (0..env.settings.databases).map(|database| database_report(shard, database)).collect(),
        subscribed: TOPICS.map(|topic| core.pubsub.channels().of(topic).owned() as u64),
        outbox_depth: core.links.depth() as u64,
        turns: stats.turns().len(),
        turn_ns_p50: stats.turns().value_at_quantile(0.5),
        turn_ns_p99: stats.turns().value_at_quantile(0.99),
        turn_ns_p999: stats.turns().value_at_quantile(0.999),
        turn_ns_max: stats.turns().max(),
        turn_rehashed_max: stats.turn_rehashed_max(),
        errors: env.meter.errors().clone(),
        usage: if sections.need_usage() { env.meter.usage(sections.need_times()) } else { Vec::new() },
    }
}
