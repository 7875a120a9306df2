//! The plan of `aspine bench`: what the arguments mean on this machine.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::embedded::Embedded;
use crate::cli::error::Error;
use crate::config::{AuthSources, CpuList};
use crate::host;
use crate::limits::{
    BENCH_CORE_PORTS_MAX, BENCH_DURATION_NS_DEFAULT, BENCH_MEMCACHED_TTL_S_MAX, BENCH_SECONDS_MAX, BENCH_SPIN_NS,
    BENCH_WARMUP_NS_DEFAULT, PORT_DEFAULT,
};
use crate::loadgen::keys::KeyDist;
use crate::loadgen::trace::{Trace, TraceFormat};
use crate::loadgen::wire::Protocol;
use crate::loadgen::workload::{Kind, Mix, Range, Ratio};
use crate::loadgen::{BenchError, Length, Options, Target, Verify};

/// The arguments, in plain types. `None` is "not given".
#[derive(Clone, Debug)]
pub(in crate::cli) struct BenchArgs {
    pub(super) target: Option<String>,
    pub(super) unix_socket: Option<PathBuf>,
    pub(super) core_ports: Option<Ports>,
    pub(super) protocol: Protocol,
    pub(super) auth: AuthSources,
    pub(super) server_pid: Option<u32>,
    pub(super) server_args: Option<String>,
    pub(super) connections: u32,
    pub(super) pipeline: u32,
    pub(super) cores: Option<usize>,
    pub(super) cpus: Option<CpuList>,
    pub(super) duration_ns: Option<u64>,
    pub(super) requests: Option<u64>,
    pub(super) warmup_ns: Option<u64>,
    pub(super) rate: Option<u64>,
    pub(super) timeout_ns: u64,
    pub(super) mix: Mix,
    pub(super) keys: u64,
    pub(super) key_dist: KeyDist,
    pub(super) value_bytes: Range,
    pub(super) ttl_s: Option<Range>,
    pub(super) preload: Option<u64>,
    pub(super) fill_on_miss: bool,
    pub(super) trace: Option<PathBuf>,
    pub(super) trace_format: Option<TraceFormat>,
    pub(super) seed: u64,
    pub(super) verify: Option<Verify>,
    pub(super) json: bool,
    pub(super) hgrm: Option<PathBuf>,
    pub(super) plot: Option<PathBuf>,
    pub(super) plot_with: Vec<String>,
    pub(super) plot_only: bool,
    pub(super) label: Option<String>,
}

/// The plan of a measurement.
#[derive(Debug)]
pub(super) struct Plan {
    /// The options of the run. The embedded server, if there is one, replaces the target.
    pub(super) options: Options,
    /// The embedded server to start, if any.
    pub(super) embedded: Option<Embedded>,
    /// Notes for the reader of the report.
    pub(super) notes: Vec<String>,
}

/// The source of the core ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Ports {
    /// The server is asked for its core ports.
    Asked,
    /// The core ports are given, in the order of the cores.
    Listed(Vec<u16>),
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "ask" {
            return Ok(Ports::Asked);
        }
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let mut ports = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (port(first), port(last)) {
                (Some(first), Some(last)) if first <= last => ports.extend(first..=last),
                _ => return Err("not ports; give them in the order of the cores, for example 7001,7002".to_owned()),
            }
        }
        if ports.len() > BENCH_CORE_PORTS_MAX {
            return Err(format!(
                "more than {BENCH_CORE_PORTS_MAX} ports; give one for each core, for example 7001,7002"
            ));
        }
        Ok(Ports::Listed(ports))
    }
}

/// Parses seconds, or a time with a unit, to nanoseconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    // The first unit that fits is taken.
    const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("min", 60.0), ("m", 60.0), ("h", 3600.0)];
    let typed = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, unit_s) = typed.unwrap_or((text, 1.0));
    match number.trim_end().parse::<f64>().map(|number| number * unit_s) {
        Ok(seconds) if (0.0..=BENCH_SECONDS_MAX).contains(&seconds) => Ok((seconds * 1e9).round() as u64),
        _ => Err(format!("not a time in seconds from 0 to {BENCH_SECONDS_MAX}; give for example 10, 0.5 or 2min")),
    }
}

/// The addresses of `HOST:PORT`, or of a host alone, at the default port.
fn addresses(text: &str) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(host) => (host, PORT_DEFAULT).to_socket_addrs().map(|found| found.collect::<Vec<_>>().into_iter()),
        Err(_) if !text.contains(':') => (text, PORT_DEFAULT).to_socket_addrs(),
        Err(_) => text.to_socket_addrs(),
    }
}

/// The CPUs of the generator and of the server.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    lanes: Vec<Option<usize>>,
    /// The CPUs of the embedded server.
    server: Vec<usize>,
    /// Whether both sides share one CPU.
    are_shared: bool,
}

impl BenchArgs {
    /// Resolves the arguments to a plan.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let is_embedded = self.is_embedded();
        let cpus_allowed = host::cpus_allowed()?;
        let mut places = self.places(&cpus_allowed, is_embedded)?;
        // A lane without a connection would have nothing to do.
        places.lanes.truncate(self.connections as usize);
        let target = self.resolve_target()?;
        let trace = self.read_trace()?.map(Arc::new);
        let preload = match self.preload {
            Some(count) => count.min(self.keys),
            None if is_embedded && trace.is_none() => self.keys,
            None => 0,
        };
        let secret = if is_embedded { None } else { self.auth.resolve_secret()? };
        let length = match (self.requests, self.duration_ns) {
            (Some(count), _) => Length::Operations(count),
            (None, None) if trace.is_some() => {
                Length::Operations(trace.as_ref().map_or(0, |trace| trace.accesses.len() as u64))
            }
            (None, duration_ns) => Length::Ns(duration_ns.unwrap_or(BENCH_DURATION_NS_DEFAULT)),
        };
        let warmup_ns = match length {
            Length::Operations(_) => 0,
            Length::Ns(_) => BENCH_WARMUP_NS_DEFAULT,
        };
        let may_check_hits = self.why_keys_may_be_missing(preload).is_none();
        let options = Options {
            target,
            protocol: self.protocol,
            secret,
            connections: self.connections as usize,
            pipeline: self.pipeline,
            lanes: places.lanes,
            length,
            warmup_ns: self.warmup_ns.unwrap_or(warmup_ns),
            mix: if trace.is_some() { Mix::of_ratio(Ratio { gets: 1, sets: 0 }) } else { self.mix.clone() },
            rate: self.rate,
            keys: trace.as_ref().map_or(self.keys, |trace| trace.keys),
            key_dist: self.key_dist,
            value_bytes: self.value_bytes,
            ttl_s: self.ttl_s,
            preload,
            seed: self.seed,
            verify: match self.verify {
                Some(verify) => verify,
                None if is_embedded && self.server_args.is_none() && may_check_hits => Verify::Hits,
                None if is_embedded => Verify::Values,
                None => Verify::No,
            },
            fill_on_miss: self.fill_on_miss || trace.is_some(),
            trace,
            timeout_ns: self.timeout_ns.max(1),
            // On a CPU that the server needs too, polling would take the server's time.
            spin_ns: if places.are_shared { 0 } else { BENCH_SPIN_NS },
        };
        self.check(&options)?;
        let notes = places.are_shared.then(|| {
            "server and generator share one CPU, so each takes time from the other; these numbers are for nothing but \
             trying it out"
                .to_owned()
        });
        Ok(Plan {
            options,
            embedded: is_embedded.then(|| self.embedded(&places.server)),
            notes: notes.into_iter().collect(),
        })
    }

    /// The accesses to be played.
    fn read_trace(&self) -> Result<Option<Trace>, BenchError> {
        let Some(path) = self.trace.clone() else { return Ok(None) };
        let read = if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        } else {
            std::fs::read(&path)
        };
        let bytes = read.map_err(|source| BenchError::File { path: path.clone(), source })?;
        Trace::parse(&bytes, self.trace_format).map(Some).map_err(|why| BenchError::Content { path, why })
    }

    /// Whether an embedded server is measured.
    fn is_embedded(&self) -> bool {
        self.target.is_none() && self.unix_socket.is_none() && !matches!(self.core_ports, Some(Ports::Listed(_)))
    }

    /// Whether the server is asked for its core ports.
    pub(super) fn asks_for_core_ports(&self) -> bool {
        self.core_ports == Some(Ports::Asked)
    }

    fn places(&self, allowed: &[usize], is_embedded: bool) -> Result<Places, BenchError> {
        let mut listed = self.cpus.clone().map(CpuList::into_vec);
        if let Some(cpu) = listed.iter().flatten().find(|cpu| !allowed.contains(cpu)) {
            return Err(BenchError::Options(format!(
                "cannot use CPU {cpu} of --cpus: this process may use {allowed:?} only; list those"
            )));
        }
        if let (Some(listed), Some(cores)) = (&listed, self.cores)
            && listed.len() != cores
        {
            let cpus = listed.len();
            return Err(BenchError::Options(format!(
                "--cores {cores} and {cpus} CPUs in --cpus disagree; leave out --cores"
            )));
        }
        if listed.is_none() && (self.cores.is_some() || is_embedded) {
            let cores = self.cores.unwrap_or((allowed.len() / 2).max(1));
            let Some(first) = allowed.len().checked_sub(cores) else {
                let have = allowed.len();
                return Err(BenchError::Options(format!(
                    "cannot run --cores {cores}: this process may use {have} CPUs"
                )));
            };
            listed = Some(allowed[first..].to_vec());
        }
        let Some(listed) = listed else { return Ok(Places { lanes: vec![None], server: vec![], are_shared: false }) };
        let spare: Vec<_> = allowed.iter().copied().filter(|cpu| !listed.contains(cpu)).collect();
        let lanes = listed.iter().copied().map(Some).collect();
        Ok(match (is_embedded, spare.is_empty()) {
            (true, true) => Places { lanes, server: listed, are_shared: true },
            (true, false) => Places { lanes, server: spare, are_shared: false },
            (false, _) => Places { lanes, server: vec![], are_shared: false },
        })
    }

    fn embedded(&self, cpus: &[usize]) -> Embedded {
        let given: Vec<_> = self.server_args.iter().flat_map(|args| args.split_whitespace()).collect();
        let is_given =
            |flags: &[&str]| given.iter().any(|given| flags.iter().any(|flag| given.split('=').next() == Some(flag)));
        let mut args: Vec<String> = ["--port", "0"].map(str::to_owned).to_vec();
        if !is_given(&["--max-memory", "--max-size"]) {
            // No bound, so that all keys fit.
            args.extend(["--max-memory", "0"].map(str::to_owned));
        }
        if !is_given(&["--cpus"]) {
            // With fewer cores than CPUs, the first CPUs are used.
            let cores =
                given.iter().skip_while(|given| **given != "--cores").nth(1).and_then(|cores| cores.parse().ok());
            let cpus = &cpus[..cores.unwrap_or(cpus.len()).min(cpus.len())];
            let cpus: Vec<_> = cpus.iter().map(ToString::to_string).collect();
            args.extend(["--cpus".to_owned(), cpus.join(",")]);
        }
        if self.asks_for_core_ports() && !is_given(&["--core-ports"]) {
            args.extend(["--core-ports", "0"].map(str::to_owned));
        }
        if !is_given(&["--log-level"]) {
            args.extend(["--log-level", "error"].map(str::to_owned));
        }
        args.extend(given.into_iter().map(str::to_owned));
        Embedded { args }
    }

    fn resolve_target(&self) -> Result<Target, BenchError> {
        if let Some(path) = &self.unix_socket {
            return Ok(Target::Unix(path.clone()));
        }
        let text = self.target.as_deref().unwrap_or("127.0.0.1:0");
        let unknown = |why: String| {
            BenchError::Options(format!("cannot use --target {text}: {why}; give for example 127.0.0.1:6379"))
        };
        let mut addresses = addresses(text).map_err(|error| unknown(error.to_string()))?;
        let address = addresses.next().ok_or_else(|| unknown("it has no address".to_owned()))?;
        Ok(match &self.core_ports {
            Some(Ports::Listed(ports)) => {
                Target::Cores(ports.iter().map(|port| SocketAddr::new(address.ip(), *port)).collect())
            }
            Some(Ports::Asked) | None => Target::Tcp(address),
        })
    }

    /// The reason why a key may legitimately be missing, if there is one.
    fn why_keys_may_be_missing(&self, preload: u64) -> Option<&'static str> {
        let deletes = |mix: &Mix| mix.operations().any(|operation| matches!(operation.kind, Kind::Del | Kind::Expire));
        if preload < self.keys {
            Some("not all keys are preloaded")
        } else if self.ttl_s.is_some() {
            Some("--ttl lets keys expire")
        } else if self.fill_on_miss {
            Some("--fill-on-miss is for keys that are missing")
        } else if deletes(&self.mix) {
            Some("the mix deletes or expires keys")
        } else {
            None
        }
    }

    /// Refuses options that contradict each other.
    fn check(&self, options: &Options) -> Result<(), BenchError> {
        let refuse = |why: String| Err(BenchError::Options(why));
        if options.verify == Verify::Hits
            && let Some(why) = self.why_keys_may_be_missing(options.preload)
        {
            return refuse(format!("--verify=hits is impossible: {why}; use --verify"));
        }
        if let Some(operation) = options.mix.operations().find(|operation| !self.protocol.has(operation.kind)) {
            let (protocol, kind) = (self.protocol.name(), operation.kind.name());
            return refuse(format!("{protocol} has no {kind}; leave it out of --mix"));
        }
        if self.protocol == Protocol::Memcached {
            if options.secret.is_some() {
                return refuse(
                    "memcached's text protocol has no auth key; unset ASPINE_AUTHKEY and leave out --authkey".into(),
                );
            }
            if options.ttl_s.is_some_and(|ttl_s| ttl_s.high > BENCH_MEMCACHED_TTL_S_MAX) {
                return refuse(format!(
                    "to memcached a --ttl beyond {BENCH_MEMCACHED_TTL_S_MAX} s is a date; give a shorter one"
                ));
            }
            if self.asks_for_core_ports() {
                return refuse("memcached has no core ports to ask for; list ports after --core-ports".into());
            }
            if self.is_embedded() {
                return refuse("--protocol memcached needs a --target: the embedded server does not speak it".into());
            }
        }
        if self.fill_on_miss && !options.mix.operations().any(|operation| operation.kind == Kind::Get) {
            return refuse("--fill-on-miss needs a GET in the mix".into());
        }
        if matches!(self.core_ports, Some(Ports::Listed(_))) && self.server_args.is_some() {
            return refuse(
                "--server-args are for a server of our own, which picks the ports of its cores itself; leave \
                           out the list of --core-ports"
                    .into(),
            );
        }
        Self::check_sockets(options)
    }

    /// Checks that there are enough descriptors for all connections.
    pub(super) fn check_sockets(options: &Options) -> Result<(), BenchError> {
        let sockets = options.connections as u64 * options.target.ports() as u64;
        let wanted = u32::try_from(sockets).unwrap_or(u32::MAX);
        let needs = host::Needs { cores: options.lanes.len(), maxclients: wanted, admin: false };
        let room = host::raise_nofile(needs).map_or(0, |plan| plan.maxclients_max);
        if wanted > room {
            return Err(BenchError::Options(format!(
                "{sockets} sockets need more file descriptors than there are ({room} to spare); raise the limit with \
                 ulimit -n, or lower --connections"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ns) in [
            ("2", Some(2_000_000_000)),
            ("0.5", Some(500_000_000)),
            ("2s", Some(2_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("2m", Some(120_000_000_000)),
            ("2min", Some(120_000_000_000)),
            ("1 h", Some(3_600_000_000_000)),
            ("s", None),
            ("2x", None),
            ("-1s", None),
            ("infs", None),
            ("", None),
        ] {
            assert_eq!(seconds(text).ok(), ns, "{text:?}");
        }
    }

    #[test]
    fn a_target_without_a_port_has_the_default_one() {
        for (text, expected) in [
            ("127.0.0.1", "127.0.0.1:5116"),
            ("127.0.0.1:7", "127.0.0.1:7"),
            ("::1", "[::1]:5116"),
            ("[::1]", "[::1]:5116"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(addresses(text).unwrap().next().unwrap().to_string(), expected, "{text}");
        }
        assert!(addresses("localhost").unwrap().all(|address| address.port() == PORT_DEFAULT));
        assert!(addresses("").is_err() || addresses("").unwrap().next().is_none());
    }
}
