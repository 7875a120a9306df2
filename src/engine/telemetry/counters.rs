//! Counters: the numbers that a core counts or reports as they are, a row each: its names in INFO, its metric, its help, and
//! whether it is a counter.
//!
//! The lines of INFO that are one number and the families of `/metrics` of the cores derive from the rows. Numbers
//! that are made of several (rates, percentages, histograms) stand where they are made. Core: its own. Cost: an addition each.

use serde::{Deserialize, Serialize};

use crate::engine::telemetry::metrics::page::Kind::{self, Counter, Gauge};
use crate::engine::telemetry::report::Report;

/// One number of a core.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Number {
    /// The sections of INFO that have it, and its names there.
    pub(in crate::engine) info: &'static [(Section, &'static str)],
    /// The numbers of all cores as one, in INFO.
    pub(in crate::engine) fold: Fold,
    /// The family of `/metrics`, if it is one.
    pub(in crate::engine) metric: Option<&'static str>,
    /// Whether it only grows, until CONFIG RESETSTAT sets it to zero, or goes up and down.
    pub(in crate::engine) kind: Kind,
    /// One sentence.
    pub(in crate::engine) help: &'static str,
    /// The number.
    pub(in crate::engine) of: fn(&Report) -> u64,
}

/// The sections of INFO that have numbers of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Section {
    /// INFO's section Clients.
    Clients,
    /// INFO's section Stats.
    Stats,
    /// INFO's section Aspine.
    Aspine,
}

/// The numbers of all cores as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Fold {
    /// The sum over all cores.
    Sum,
    /// The largest, of what every core knows all of.
    Max,
}

use Section::{Aspine, Clients, Stats};

/// The counters of an engine, and their rows. All of them are set to zero by CONFIG RESETSTAT.
macro_rules! counters {
    ($($field:ident: $help:literal, $metric:expr, $info:expr;)*) => {
        /// What an engine counts.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub(in crate::engine) struct Counters {
            $(#[doc = $help] pub(in crate::engine) $field: u64,)*
        }

        /// The rows of the counters.
        const COUNTERS: &[Number] = &[
            $(Number {
                info: $info,
                fold: Fold::Sum,
                metric: $metric,
                kind: Counter,
                help: $help,
                of: |core| core.counters.$field,
            },)*
        ];
    };
}

counters! {
    connections: "Clients that have connected.",
        Some("aspine_connections_accepted_total"), &[(Stats, "total_connections_received")];
    connections_refused: "Clients refused at maxclients.",
        Some("aspine_connections_refused_total"), &[(Stats, "rejected_connections")];
    commands: "Commands that the core's clients sent.",
        Some("aspine_commands_total"), &[(Stats, "total_commands_processed")];
    operations: "Commands, or parts of them, run on the core's shard.",
        Some("aspine_operations_total"), &[(Aspine, "operations")];
    forwarded: "Commands, or parts, sent to other cores.",
        Some("aspine_forwarded_operations_total"), &[(Aspine, "forwarded")];
    bytes_in: "Bytes received from clients.",
        Some("aspine_received_bytes_total"), &[(Stats, "total_net_input_bytes")];
    bytes_out: "Bytes sent to clients.",
        Some("aspine_sent_bytes_total"), &[(Stats, "total_net_output_bytes")];
    protocol_errors: "Connections closed for malformed requests.",
        Some("aspine_protocol_errors_total"), &[(Aspine, "protocol_errors")];
    http_refused: "Connections closed for HTTP: a browser was made to send commands.",
        Some("aspine_http_refused_total"), &[(Aspine, "http_refused")];
    auth_failures: "Wrong auth keys.",
        Some("aspine_auth_failures_total"), &[(Stats, "acl_access_denied_auth")];
    // `/metrics` has these two as one family, by reason.
    cut_offs: "Clients cut off: idle or stalled, or behind with what was pushed to them.",
        None, &[(Aspine, "clients_cut_off")];
    output_cut_offs: "Clients cut off behind with what was pushed to them.",
        None, &[(Stats, "client_output_buffer_limit_disconnections")];
}

/// A row of what is not a counter of the engine.
const fn row(
    metric: Option<&'static str>,
    kind: Kind,
    of: fn(&Report) -> u64,
    info: &'static [(Section, &'static str)],
    help: &'static str,
) -> Number {
    Number { info, fold: Fold::Sum, metric, kind, help, of }
}

/// The rows of what shards count, and of what is so at the time.
#[rustfmt::skip]
const OTHERS: &[Number] = &[
    row(Some("aspine_connections"), Gauge, |core| core.clients, &[(Clients, "connected_clients")], "Clients connected."),
    row(Some("aspine_outbox_batches"), Gauge, |core| core.outbox_depth, &[], "Batches that wait for room in a channel to another core."),
    row(Some("aspine_keys"), Gauge, |core| core.keys, &[(Aspine, "keys")], "Items stored."),
    row(Some("aspine_keys_with_ttl"), Gauge, |core| core.timed_keys, &[], "Items stored that expire."),
    row(Some("aspine_keyspace_hits_total"), Counter, |core| core.hits, &[(Stats, "keyspace_hits"), (Aspine, "hits")], "Reads that found their key."),
    row(Some("aspine_keyspace_misses_total"), Counter, |core| core.misses, &[(Stats, "keyspace_misses"), (Aspine, "misses")], "Reads that did not."),
    row(Some("aspine_evicted_keys_total"), Counter, |core| core.evictions, &[(Stats, "evicted_keys"), (Aspine, "evictions")], "Items evicted for room."),
    row(Some("aspine_admitted_keys_total"), Counter, |core| core.admitted, &[(Stats, "admitted_keys")], "Items that S3-FIFO took to its main queue."),
    row(Some("aspine_refused_keys_total"), Counter, |core| core.refused, &[(Stats, "refused_keys")], "Items that S3-FIFO evicted on probation."),
    row(Some("aspine_ghost_hits_total"), Counter, |core| core.ghost_hits, &[(Stats, "ghost_hits")], "New items that S3-FIFO had evicted not long ago."),
    row(Some("aspine_expired_keys_total"), Counter, |core| core.expirations, &[(Stats, "expired_keys"), (Aspine, "expirations")], "Items expired."),
    row(Some("aspine_memory_used_bytes"), Gauge, |core| core.bytes, &[(Aspine, "memory_usage")], "Keys, values and overhead of items."),
    row(Some("aspine_memory_used_peak_bytes"), Gauge, |core| core.bytes_peak, &[], "The most that ever was."),
    row(Some("aspine_pubsub_channels"), Gauge, |core| core.subscribed[0], &[(Stats, "pubsub_channels")], "Channels with subscribers that the core counts."),
    row(Some("aspine_pubsub_patterns"), Gauge, |core| core.subscribed[1], &[(Stats, "pubsub_patterns")], "Patterns with subscribers."),
    row(Some("aspine_pubsub_shard_channels"), Gauge, |core| core.subscribed[2], &[(Stats, "pubsubshard_channels")], "Shard channels with subscribers."),
    row(Some("aspine_tracking_clients"), Gauge, |core| core.tracking_clients, &[(Clients, "tracking_clients")], "Clients that track keys."),
    row(Some("aspine_blocked_clients"), Gauge, |core| core.blocked_clients, &[(Clients, "blocked_clients")], "Clients whose command waits for the end of CLIENT PAUSE."),
    row(Some("aspine_tracked_keys"), Gauge, |core| core.tracked_keys, &[(Stats, "tracking_total_keys")], "Keys remembered for clients that track."),
    row(None, Gauge, |core| core.tracked_pairs, &[(Stats, "tracking_total_items")], "Keys remembered, each once for each core whose clients may hold it."),
    Number { fold: Fold::Max, ..row(None, Gauge, |core| core.tracked_prefixes, &[(Stats, "tracking_total_prefixes")], "Prefixes that clients have named.") },
    row(Some("aspine_turn_rehashed_keys_max"), Gauge, |core| core.turn_rehashed_max, &[], "Most keys that growth hashed again in one turn."),
    row(Some("aspine_changes_since_snapshot"), Gauge, |core| core.snapshot.changes, &[], "Changes since the last snapshot."),
];

/// All rows.
pub(in crate::engine) fn numbers() -> impl Iterator<Item = &'static Number> {
    COUNTERS.iter().chain(OTHERS)
}

/// The lines of INFO that are one number each, of a section.
pub(in crate::engine) fn lines(section: Section, reports: &[Report]) -> impl Iterator<Item = (&'static str, u64)> {
    numbers().flat_map(move |row| {
        let of_cores = reports.iter().map(row.of);
        let number = match row.fold {
            Fold::Sum => of_cores.fold(0, u64::saturating_add),
            Fold::Max => of_cores.max().unwrap_or(0),
        };
        row.info.iter().filter(move |(of, _)| *of == section).map(move |(_, name)| (*name, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::telemetry::stats;

    #[test]
    fn names_are_given_once() {
        let metrics: Vec<_> = numbers().filter_map(|row| row.metric).collect();
        let names: Vec<_> = numbers().flat_map(|row| row.info).collect();
        assert!(metrics.iter().enumerate().all(|(at, name)| !metrics[..at].contains(name)), "{metrics:?}");
        assert!(names.iter().enumerate().all(|(at, name)| !names[..at].contains(name)), "{names:?}");
        for row in numbers() {
            assert_eq!(row.kind == Counter, row.metric.map_or(row.kind == Counter, |name| name.ends_with("_total")));
            assert!(row.metric.is_some() || !row.info.is_empty(), "{}: nobody sees it", row.help);
        }
    }

    #[test]
    fn a_reset_sets_every_counter_to_zero() {
        let mut stats = stats::Stats::default();
        let ones = Counters {
            connections: 1,
            connections_refused: 1,
            commands: 1,
            operations: 1,
            forwarded: 1,
            bytes_in: 1,
            bytes_out: 1,
            protocol_errors: 1,
            http_refused: 1,
            auth_failures: 1,
            cut_offs: 1,
            output_cut_offs: 1,
        };
        *stats = ones.clone();
        let of = |counters: &Counters| {
            let core = Report { counters: counters.clone(), ..Report::default() };
            COUNTERS.iter().map(|row| (row.of)(&core)).collect::<Vec<_>>()
        };
        assert_eq!(of(&stats), vec![1; COUNTERS.len()], "each row has a counter of its own");
        stats.reset();
        assert_eq!(of(&stats), vec![0; COUNTERS.len()]);
    }
}
