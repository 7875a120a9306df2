//! The flags of `aspine bench`. The doc comments of the fields are the help texts.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::plan::{BenchArgs, Ports, seconds};
use crate::cli::number::whole;
use crate::config::{AuthSources, CpuList};
use crate::limits::{
    BENCH_CONNECTIONS_DEFAULT, BENCH_CONNECTIONS_MAX, BENCH_KEYS_DEFAULT, BENCH_KEYS_MAX, BENCH_PIPELINE_MAX,
    BENCH_RATE_MAX,
};
use crate::loadgen::Verify;
use crate::loadgen::keys::KeyDist;
use crate::loadgen::trace::TraceFormat;
use crate::loadgen::wire::Protocol;
use crate::loadgen::workload::{Mix, Range, Ratio};

const TARGET: &str = "Target";
const LOAD: &str = "Load";
const WORKLOAD: &str = "Workload";
const REPORT: &str = "Report";

#[derive(Args)]
pub(in crate::cli) struct BenchFlags {
    /// Server to measure, at port 5116 unless another is given [default: an embedded one, on CPUs that the generator does
    /// not use]
    #[arg(long, value_name = "HOST[:PORT]", help_heading = TARGET)]
    target: Option<String>,

    /// Unix socket of the server to measure
    #[arg(long, value_name = "PATH", conflicts_with = "target", help_heading = TARGET)]
    unixsocket: Option<PathBuf>,

    /// Send every request to the core that owns its (first) key, by that core's own port; each connection is then one
    /// socket to each core. The server is asked for its ports (ASPINE.CORES); for others give them in the order of the
    /// cores, as 7001,7002 or 7001-7002
    #[arg(long, value_name = "PORTS", num_args = 0..=1, default_missing_value = "ask", conflicts_with = "unixsocket")]
    #[arg(help_heading = TARGET)]
    core_ports: Option<Ports>,

    /// Protocol of the server: resp, or memcached (its text protocol)
    #[arg(long, value_name = "PROTOCOL", default_value = "resp", help_heading = TARGET)]
    protocol: Protocol,

    /// Auth key of the server; other users see it in the process list, so prefer the variable or the file
    #[arg(long, value_name = "KEY", env = "ASPINE_AUTHKEY", hide_env_values = true, help_heading = TARGET)]
    authkey: Option<OsString>,

    /// File whose first line is the auth key
    #[arg(long, value_name = "PATH", help_heading = TARGET)]
    authkey_file: Option<PathBuf>,

    /// Process of the server, for its CPU time and memory [default: the one that listens there, if it is on this machine]
    #[arg(long, value_name = "PID", help_heading = TARGET)]
    #[arg(value_parser = whole(1..=u32::MAX))]
    server_pid: Option<u32>,

    /// Flags of the embedded server, for example "--cores 1 --max-memory 1gb"
    #[arg(long, value_name = "FLAGS", conflicts_with_all = ["target", "unixsocket"], help_heading = TARGET)]
    #[arg(allow_hyphen_values = true)]
    server_args: Option<String>,

    /// Number of connections
    #[arg(long, value_name = "N", default_value_t = BENCH_CONNECTIONS_DEFAULT, help_heading = LOAD)]
    #[arg(value_parser = whole(1..=BENCH_CONNECTIONS_MAX))]
    connections: u32,

    /// Requests that each connection has under way; in a closed loop the next ones follow when all are answered
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = LOAD)]
    #[arg(value_parser = whole(1..=BENCH_PIPELINE_MAX))]
    pipeline: u32,

    /// Threads of the generator, on the last N CPUs [default: one unpinned thread; without a target half of the CPUs]
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX), help_heading = LOAD)]
    cores: Option<u32>,

    /// CPUs of the generator, a thread each, for example 0,2-5
    #[arg(long, value_name = "LIST", help_heading = LOAD)]
    cpus: Option<CpuList>,

    /// Seconds to measure, or 500ms, 2min, 1h [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "requests", help_heading = LOAD)]
    duration: Option<u64>,

    /// Number of requests to measure, exactly; 0 only preloads
    #[arg(long, value_name = "N", help_heading = LOAD)]
    #[arg(value_parser = whole(0..=u64::MAX))]
    requests: Option<u64>,

    /// Seconds to run before measuring [default: 1, or 0 with --requests]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = LOAD)]
    warmup: Option<u64>,

    /// Open loop: requests a second, whatever the server does; latency counts from when a request is due
    #[arg(long, value_name = "PER_SECOND", value_parser = whole(1..=BENCH_RATE_MAX), help_heading = LOAD)]
    rate: Option<u64>,

    /// Seconds after which a connection without a reply is closed
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10", help_heading = LOAD)]
    timeout: u64,

    /// Ratio of GETs to SETs
    #[arg(long, value_name = "GET:SET", default_value = "9:1", help_heading = WORKLOAD)]
    ratio: Ratio,

    /// Kinds of requests and their shares instead of a ratio, as get=80,set=15,mget:10=5 (an MGET of 10 keys); kinds are
    /// get, set, mget, mset, incr, del, exists, expire, publish, ping
    #[arg(long, value_name = "KIND=SHARE,...", conflicts_with = "ratio", help_heading = WORKLOAD)]
    mix: Option<Mix>,

    /// Number of keys, which are key:000000000000 and so on, as those of redis-benchmark
    #[arg(long, value_name = "N", default_value_t = BENCH_KEYS_DEFAULT, help_heading = WORKLOAD)]
    #[arg(value_parser = whole(1..=BENCH_KEYS_MAX))]
    keys: u64,

    /// Distribution of requests over keys: uniform, zipf:S, hotspot or hotspot:KEYS:REQUESTS in percent
    #[arg(long, value_name = "DIST", default_value = "uniform", help_heading = WORKLOAD)]
    key_dist: KeyDist,

    /// Bytes of a value: N, or a range LO-HI
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = Range::of_bytes, help_heading = WORKLOAD)]
    value_size: Range,

    /// Time to live of values: N, or a range LO-HI [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = Range::of_seconds, help_heading = WORKLOAD)]
    ttl: Option<Range>,

    /// Store the first N keys before the run, all without N [default: all without a target, else none]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "18446744073709551615")]
    #[arg(help_heading = WORKLOAD)]
    #[arg(value_parser = whole(0..=u64::MAX))]
    preload: Option<u64>,

    /// Read-through: a GET that misses is followed by a SET of its key, counted as `fill`
    #[arg(long, help_heading = WORKLOAD)]
    fill_on_miss: bool,

    /// Play the accesses of a real cache, each a GET that a SET follows if it misses; `-` is standard input. Formats:
    /// oracle-general (libCacheSim's), csv (key and size, or named columns), keys (one a line). With one connection they
    /// come in their order
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ratio", "mix", "keys", "key_dist", "preload"])]
    #[arg(help_heading = WORKLOAD)]
    trace: Option<PathBuf>,

    /// What --trace is written in [default: what it looks like]
    #[arg(long, value_name = "FORMAT", requires = "trace", help_heading = WORKLOAD)]
    trace_format: Option<TraceFormat>,

    /// Seed of all random choices
    #[arg(long, value_name = "NUMBER", default_value_t = 1, help_heading = WORKLOAD)]
    #[arg(value_parser = whole(0..=u64::MAX))]
    seed: u64,

    /// Verify replies: `values`, the default, that every value is its key's; `hits` also that none is missing, for which
    /// all keys must be preloaded [default: hits without a target, else only the types of replies]
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "values")]
    #[arg(value_parser = verify, help_heading = WORKLOAD)]
    verify: Option<Verify>,

    /// Print the report as JSON, one object on a line
    #[arg(long, help_heading = REPORT)]
    json: bool,

    /// Write all percentiles to a file that HdrHistogram's tools read
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    hgrm: Option<PathBuf>,

    /// Draw a picture of latency over percentiles
    #[arg(long, value_name = "FILE.svg", help_heading = REPORT)]
    plot: Option<PathBuf>,

    /// A file of --hgrm to draw too, with a label [default: the file's name]; may be repeated
    #[arg(long, value_name = "[NAME=]FILE", requires = "plot", help_heading = REPORT)]
    plot_with: Vec<String>,

    /// Draw the files of --plot-with and measure nothing
    #[arg(long, requires = "plot_with", help_heading = REPORT)]
    plot_only: bool,

    /// Label of this run in the picture [default: the target]
    #[arg(long, value_name = "NAME", help_heading = REPORT)]
    label: Option<String>,
}

fn verify(text: &str) -> Result<Verify, String> {
    match text {
        "no" => Ok(Verify::No),
        "values" => Ok(Verify::Values),
        "hits" => Ok(Verify::Hits),
        _ => Err("give no, values or hits".to_owned()),
    }
}

impl BenchFlags {
    pub(in crate::cli) fn into_args(self, authkey_is_env: bool) -> BenchArgs {
        BenchArgs {
            target: self.target,
            unix_socket: self.unixsocket,
            core_ports: self.core_ports,
            protocol: self.protocol,
            auth: AuthSources::new(self.authkey, authkey_is_env, self.authkey_file),
            server_pid: self.server_pid,
            server_args: self.server_args,
            connections: self.connections,
            pipeline: self.pipeline,
            cores: self.cores.map(|cores| cores as usize),
            cpus: self.cpus,
            duration_ns: self.duration,
            requests: self.requests,
            warmup_ns: self.warmup,
            rate: self.rate,
            timeout_ns: self.timeout,
            mix: self.mix.unwrap_or_else(|| Mix::of_ratio(self.ratio)),
            keys: self.keys,
            key_dist: self.key_dist,
            value_bytes: self.value_size,
            ttl_s: self.ttl,
            preload: self.preload,
            fill_on_miss: self.fill_on_miss,
            trace: self.trace,
            trace_format: self.trace_format,
            seed: self.seed,
            verify: self.verify,
            json: self.json,
            hgrm: self.hgrm,
            plot: self.plot,
            plot_with: self.plot_with,
            plot_only: self.plot_only,
            label: self.label,
        }
    }
}
