//! Report: what one core tells of itself, gathered from its parts. Core: each its own.

use crate::command::pubsub::TOPICS;
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::telemetry::info::Sections;
use crate::engine::telemetry::report::Report;
use crate::slot::Slot;

/// This core's report, as far as these sections need it.
pub(in crate::engine) fn report(home: &Home, core: &Core, sections: Sections) -> Report {
    let env = &core.env;
    let stats = &env.stats;
    let (first, last) = Slot::range(env.router.core(), env.router.cores());
    let mut report = Report {
        counters: stats.counters().clone(),
        core: env.router.core().0,
        cpu: env.cpu as u64,
        slots: (first.0, last.0),
        clients: home.session_count() as u64,
        tracking_clients: home.trackers(),
        blocked_clients: home.held_back(),
        gauges: stats.gauges,
        rss_startup_bytes: stats.rss_startup_bytes,
        bytes_peak: stats.bytes_peak,
        per_s: stats.per_s(),
        snapshot: core.persistence.report(&core.owner),
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
        ..Report::default()
    };
    core.owner.report(env.settings.databases, &mut report);
    report
}
