//! Stats: the counters of one core, plain fields, and the report of them that INFO gathers from every core.
//!
//! Core: its own; a report travels by value. Cost: an addition each; a turn time costs one bucket of a histogram.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;

/// The counters of one core.
#[derive(Debug)]
pub(super) struct Stats {
    /// Commands that sessions of this core ran.
    pub(super) commands: u64,
    /// Commands or parts of them run on this shard, whoever asked.
    pub(super) operations: u64,
    /// Commands or parts of them sent to other cores.
    pub(super) forwarded: u64,
    /// Error replies to commands that were not run.
    pub(super) errors: u64,
    /// Connections closed for malformed protocol.
    pub(super) protocol_errors: u64,
    /// Connections accepted.
    pub(super) connections: u64,
    /// Connections refused for the limit of clients.
    pub(super) connections_refused: u64,
    /// Clients cut off for idleness or stalling.
    pub(super) cut_offs: u64,
    /// Wrong auth keys.
    pub(super) auth_failures: u64,
    /// Bytes received.
    pub(super) bytes_in: u64,
    /// Bytes sent.
    pub(super) bytes_out: u64,
    /// Resident bytes of the process at the last look.
    pub(super) rss_bytes: u64,
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
            commands: 0,
            operations: 0,
            forwarded: 0,
            errors: 0,
            protocol_errors: 0,
            connections: 0,
            connections_refused: 0,
            cut_offs: 0,
            auth_failures: 0,
            bytes_in: 0,
            bytes_out: 0,
            rss_bytes: 0,
            turn_ns,
            turn_rehashed_max: 0,
        }
    }
}

impl Stats {
    #[inline]
    pub(super) fn record_turn(&mut self, turn_ns: u64) {
        if turn_ns > 0 {
            self.turn_ns.saturating_record(turn_ns);
        }
    }

    #[inline]
    pub(super) fn record_growth(&mut self, rehashed: u64) {
        self.turn_rehashed_max = self.turn_rehashed_max.max(rehashed);
    }

    /// CONFIG RESETSTAT.
    pub(super) fn reset(&mut self) {
        *self = Stats { rss_bytes: self.rss_bytes, ..Stats::default() };
    }
}

/// What one core tells INFO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
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
    pub(super) commands: u64,
    pub(super) operations: u64,
    pub(super) forwarded: u64,
    pub(super) errors: u64,
    pub(super) protocol_errors: u64,
    pub(super) connections: u64,
    pub(super) connections_refused: u64,
    pub(super) cut_offs: u64,
    pub(super) auth_failures: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) rss_bytes: u64,
    pub(super) outbox_depth: u64,
    pub(super) turns: u64,
    pub(super) turn_ns_p50: u64,
    pub(super) turn_ns_p99: u64,
    pub(super) turn_ns_p999: u64,
    pub(super) turn_ns_max: u64,
    pub(super) turn_rehashed_max: u64,
}

impl Report {
    /// Bytes for another core of this process.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let written = bincode::serde::encode_into_std_write(self, out, bincode::config::standard());
        debug_assert!(written.is_ok(), "numbers into memory");
    }

    /// Back from `encode`.
    pub(super) fn decode(bytes: &[u8]) -> Option<Report> {
        bincode::serde::decode_from_slice(bytes, bincode::config::standard()).ok().map(|(report, _)| report)
    }
}

impl Engine {
    /// This core's report.
    pub(super) fn report(&self) -> Report {
        let (stats, counters, budget) = (&self.stats, self.shard.counters(), self.shard.budget());
        let (first, last) = super::route::Slot::range(self.core, self.router.cores());
        Report {
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
            commands: stats.commands,
            operations: stats.operations,
            forwarded: stats.forwarded,
            errors: stats.errors,
            protocol_errors: stats.protocol_errors,
            connections: stats.connections,
            connections_refused: stats.connections_refused,
            cut_offs: stats.cut_offs,
            auth_failures: stats.auth_failures,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            rss_bytes: stats.rss_bytes,
            outbox_depth: self.mesh.depth() as u64,
            turns: stats.turn_ns.len(),
            turn_ns_p50: stats.turn_ns.value_at_quantile(0.5),
            turn_ns_p99: stats.turn_ns.value_at_quantile(0.99),
            turn_ns_p999: stats.turn_ns.value_at_quantile(0.999),
            turn_ns_max: stats.turn_ns.max(),
            turn_rehashed_max: stats.turn_rehashed_max,
        }
    }
}
