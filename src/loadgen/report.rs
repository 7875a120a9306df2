//! Report: a run as text for people and as JSON for programs. Pure: from measurements to text.
//!
//! Latencies are in microseconds. "Operations" are those that were answered, with an error too; `errors` are those that
//! failed: an error, an unexpected reply, a wrong value, or no reply.

use std::collections::BTreeMap;
use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::options::{Length, Options, Verify};
use super::record::Record;
use super::run::Measured;
use super::workload::Kind;

/// A run, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The server's address; `embedded` for a server that the run started itself.
    pub target: String,
    /// The protocol of the server.
    pub protocol: &'static str,
    /// The options of the run.
    pub options: OptionsReport,
    /// The seconds from the begin of the measured part to its last reply.
    pub seconds: f64,
    /// The number of answered operations.
    pub operations: u64,
    /// Answered operations a second.
    pub throughput_per_s: f64,
    /// The number of failed operations.
    pub errors: u64,
    /// Operations that failed since a value was wrong or missing.
    pub verify_failures: u64,
    /// Operations that failed since no reply came.
    pub unanswered: u64,
    /// Operations of an open loop that were due and were not sent.
    pub unsent: u64,
    /// The number of lost connections.
    pub connections_lost: u64,
    /// Keys whose values were read.
    pub hits: u64,
    /// Keys that had no value.
    pub misses: u64,
    /// The share of hits in all reads; null if nothing was read.
    pub hit_ratio: Option<f64>,
    /// The CPU time of the generator per operation.
    pub client_cpu_us_per_op: Option<f64>,
    /// The CPU time of the server per operation; null if its process is not known.
    pub server_cpu_us_per_op: Option<f64>,
    /// The resident memory of the server at the end; null if its process is not known.
    pub server_rss_bytes: Option<u64>,
    /// The preload, if there was one.
    pub preload: Option<PreloadReport>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// The first failure.
    pub first_error: Option<String>,
    /// The latencies of all operations.
    pub all: Latencies,
    /// The latencies and errors of each kind that occurred.
    pub kinds: BTreeMap<&'static str, KindReport>,
}

/// The options of a run, with all defaults resolved.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OptionsReport {
    pub connections: usize,
    pub pipeline: u32,
    pub cores: usize,
    pub cpus: Vec<usize>,
    pub core_ports: usize,
    pub duration_s: Option<f64>,
    pub requests: Option<u64>,
    pub warmup_s: f64,
    pub mix: String,
    pub rate_per_s: Option<u64>,
    pub keys: u64,
    pub key_dist: String,
    pub trace_accesses: Option<u64>,
    pub value_size: String,
    pub ttl_s: Option<String>,
    pub preload: u64,
    pub seed: u64,
    pub verify: &'static str,
    pub fill_on_miss: bool,
    pub timeout_s: f64,
}

/// The result of the preload.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct PreloadReport {
    pub keys: u64,
    pub errors: u64,
    pub seconds: f64,
    pub per_s: f64,
}

/// A distribution of latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latencies {
    pub count: u64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub p9999_us: f64,
    pub max_us: f64,
    pub mean_us: f64,
}

/// The latencies and errors of a kind.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct KindReport {
    /// The latencies of the kind.
    #[serde(flatten)]
    pub latencies: Latencies,
    /// The number of failed operations.
    pub errors: u64,
}

impl Latencies {
    /// The distribution in a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latencies {
        let at = |quantile: f64| rounded(histogram.value_at_quantile(quantile) as f64 / 1e3, 3);
        Latencies {
            count: histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: at(1.0),
            mean_us: rounded(histogram.mean() / 1e3, 3),
        }
    }
}

/// A number rounded to `places` decimal places.
fn rounded(number: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (number * scale).round() / scale
}

impl Report {
    /// The report of a run at `target`.
    pub(crate) fn new(target: String, options: &Options, measured: &Measured) -> Report {
        let record = &measured.record;
        let operations = record.answered();
        let per_op = |us: f64| (operations > 0).then(|| rounded(us / operations as f64, 3));
        let per_s = |count: u64, seconds: f64| if seconds > 0.0 { rounded(count as f64 / seconds, 1) } else { 0.0 };
        let reads = record.hits + record.misses;
        Report {
            target,
            protocol: options.protocol.name(),
            options: OptionsReport::new(options),
            seconds: rounded(measured.seconds, 6),
            operations,
            throughput_per_s: per_s(operations, measured.seconds),
            errors: record.errors(),
            verify_failures: record.verify_failures,
            unanswered: record.unanswered,
            unsent: record.unsent,
            connections_lost: record.connections_lost,
            hits: record.hits,
            misses: record.misses,
            hit_ratio: (reads > 0).then(|| rounded(record.hits as f64 / reads as f64, 6)),
            client_cpu_us_per_op: per_op(record.cpu_ns as f64 / 1e3),
            server_cpu_us_per_op: measured.server.and_then(|server| per_op(server.cpu_us as f64)),
            server_rss_bytes: measured.server.map(|server| server.rss_bytes),
            preload: measured.loaded.map(|loaded| PreloadReport {
                keys: loaded.keys,
                errors: loaded.errors,
                seconds: rounded(loaded.seconds, 6),
                per_s: per_s(loaded.keys, loaded.seconds),
            }),
            interrupted: measured.interrupted,
            first_error: record.first_fault.clone(),
            all: Latencies::of(&record.all()),
            kinds: kinds(record),
        }
    }

    /// The report as one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers, none of them infinite")
    }

    /// The report as text.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let options = &self.options;
        let pace = options.rate_per_s.map_or("closed loop".to_owned(), |rate| format!("open loop at {rate}/s"));
        writeln!(out, "target      {} ({})", self.target, self.protocol)?;
        write!(out, "load        {} connections, pipeline {}, {pace}, ", options.connections, options.pipeline)?;
        let cpus: Vec<_> = options.cpus.iter().map(ToString::to_string).collect();
        let pinned = if cpus.is_empty() { "not pinned".to_owned() } else { format!("on CPU {}", cpus.join(",")) };
        writeln!(out, "{} thread{} {pinned}", options.cores, if options.cores == 1 { "" } else { "s" })?;
        if options.core_ports > 1 {
            writeln!(out, "            each connection is {} sockets, one to each core", options.core_ports)?;
        }
        let ttl = options.ttl_s.as_ref().map_or(String::new(), |ttl| format!(", TTL {ttl} s"));
        writeln!(
            out,
            "workload    {}; {} keys {}; values of {} bytes{ttl}; seed {}",
            options.mix, options.keys, options.key_dist, options.value_size, options.seed
        )?;
        if let Some(preload) = self.preload {
            writeln!(out, "preload     {} keys in {:.2} s, {:.0}/s", preload.keys, preload.seconds, preload.per_s)?;
        }
        writeln!(out)?;
        writeln!(
            out,
            "throughput  {:.0} operations/s ({} in {:.3} s)",
            self.throughput_per_s, self.operations, self.seconds
        )?;
        if let Some(ratio) = self.hit_ratio {
            writeln!(out, "hit ratio   {ratio:.4} ({} hits, {} misses)", self.hits, self.misses)?;
        }
        let cpu = |us: Option<f64>| us.map_or("unknown".to_owned(), |us| format!("{us:.3} µs"));
        write!(out, "CPU per op  server {}", cpu(self.server_cpu_us_per_op))?;
        writeln!(out, ", client {}", cpu(self.client_cpu_us_per_op))?;
        if let Some(rss) = self.server_rss_bytes {
            writeln!(out, "server RSS  {:.1} MiB", rss as f64 / f64::from(1 << 20))?;
        }
        self.write_faults(out)?;
        writeln!(out)?;
        writeln!(
            out,
            "{:<10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}",
            "µs", "count", "p50", "p90", "p99", "p99.9", "p99.99", "max", "errors"
        )?;
        for (name, kind) in &self.kinds {
            write_row(out, name, &kind.latencies, kind.errors)?;
        }
        if self.kinds.len() != 1 {
            write_row(out, "all", &self.all, self.errors)?;
        }
        Ok(())
    }

    fn write_faults(&self, out: &mut String) -> std::fmt::Result {
        let checked = match self.options.verify {
            "no" => "values not checked",
            "values" => "every value checked",
            _ => "every value checked, none may be missing",
        };
        write!(out, "errors      {} ({checked})", self.errors)?;
        let parts = [
            (self.verify_failures, "wrong values"),
            (self.unanswered, "not answered"),
            (self.connections_lost, "connections lost"),
        ];
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(out, ", {count} {what}")?;
        }
        writeln!(out)?;
        if let Some(first) = &self.first_error {
            writeln!(out, "            the first: {first}")?;
        }
        if self.unsent > 0 {
            writeln!(
                out,
                "            {} operations were due and never sent: the server does not keep up with the rate",
                self.unsent
            )?;
        }
        if self.interrupted {
            writeln!(out, "            interrupted: the numbers are those until then")?;
        }
        Ok(())
    }
}

fn write_row(out: &mut String, name: &str, row: &Latencies, errors: u64) -> std::fmt::Result {
    write!(out, "{name:<10}{:>10}", row.count)?;
    for us in [row.p50_us, row.p90_us, row.p99_us, row.p999_us, row.p9999_us, row.max_us] {
        write!(out, "{us:>10.1}")?;
    }
    writeln!(out, "{errors:>8}")
}

fn kinds(record: &Record) -> BTreeMap<&'static str, KindReport> {
    let mut kinds = BTreeMap::new();
    for (kind, counted) in Kind::ALL.into_iter().zip(&record.kinds) {
        if counted.latency.is_some() || counted.errors > 0 {
            let none = super::record::latencies();
            let latencies = Latencies::of(counted.latency.as_deref().unwrap_or(&none));
            kinds.insert(kind.name(), KindReport { latencies, errors: counted.errors });
        }
    }
    kinds
}

impl OptionsReport {
    fn new(options: &Options) -> OptionsReport {
        let seconds = |ns: u64| rounded(ns as f64 / 1e9, 6);
        OptionsReport {
            connections: options.connections,
            pipeline: options.pipeline,
            cores: options.lanes.len(),
            cpus: options.lanes.iter().flatten().copied().collect(),
            core_ports: options.target.ports(),
            duration_s: match options.length {
                Length::Ns(ns) => Some(seconds(ns)),
                Length::Operations(_) => None,
            },
            requests: match options.length {
                Length::Ns(_) => None,
                Length::Operations(count) => Some(count),
            },
            warmup_s: seconds(options.warmup_ns),
            mix: options.mix.to_string(),
            rate_per_s: options.rate,
            keys: options.keys,
            key_dist: options.trace.as_ref().map_or_else(|| options.key_dist.to_string(), |_| "of a trace".to_owned()),
            trace_accesses: options.trace.as_ref().map(|trace| trace.accesses.len() as u64),
            value_size: options.value_bytes.to_string(),
            ttl_s: options.ttl_s.map(|ttl| ttl.to_string()),
            preload: options.preload,
            seed: options.seed,
            verify: match options.verify {
                Verify::No => "no",
                Verify::Values => "values",
                Verify::Hits => "hits",
            },
            fill_on_miss: options.fill_on_miss,
            timeout_s: seconds(options.timeout_ns),
        }
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
