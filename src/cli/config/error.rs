//! Why a command line does not make a configuration: every cause with its fix, in one line of text
//! each.
//!
//! Owner: `config`; `cli` prints it. `Display` is `what failed: why; what to do`, never with a line
//! break.
//! Whose fault it is: what was typed, or what it names. What follows: the process ends, nothing was
//! started.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::cli::parse::format_cpus;
use crate::limits::{AUTHKEY_BYTES_MAX, UNIX_PATH_BYTES_MAX};

/// Why the command line does not make a configuration. `Display` is one line: what failed, why,
/// what to do.
#[derive(Debug)]
pub enum ConfigError {
    /// `--cores` asks for more CPUs than the process may run on.
    CoresTooMany {
        /// Cores asked for.
        wanted: usize,
        /// The CPUs there are.
        cpus_allowed: Vec<usize>,
    },
    /// `--cpus` names a CPU outside the affinity mask.
    CpuNotAllowed {
        /// That CPU.
        cpu: usize,
        /// The CPUs there are.
        cpus_allowed: Vec<usize>,
    },
    /// `--cores` and `--cpus` disagree.
    CoresUnlikeCpus {
        /// `--cores`.
        cores: usize,
        /// How many CPUs `--cpus` lists.
        cpus: usize,
    },
    /// `--core-ports` and the number of cores lead beyond the last port.
    CorePortsBeyond {
        /// The first.
        base: u16,
        /// How many.
        cores: usize,
    },
    /// One of the ports of `--core-ports` is `--port`.
    CorePortsOverlap {
        /// The first.
        base: u16,
        /// The last.
        last: usize,
        /// `--port`.
        port: u16,
    },
    /// `--announce-host` is neither an address nor a name.
    AnnounceHost {
        /// What was typed.
        host: String,
    },
    /// A name to listen at could not be resolved.
    HostUnknown {
        /// The flag.
        flag: &'static str,
        /// What could be given to it.
        example: &'static str,
        /// That name.
        host: String,
        /// What the resolver said; `None` if it found no address.
        source: Option<io::Error>,
    },
    /// A bind beyond loopback without a key.
    Exposed {
        /// The address.
        host: IpAddr,
    },
    /// Both `--authkey` and `--authkey-file`.
    KeyTwice,
    /// A key of no bytes, most likely an unset variable.
    KeyEmpty {
        /// Flag, variable or file it came from.
        origin: String,
    },
    /// `--max-size` below the number of cores.
    ItemsBelowCores {
        /// Items that were asked for.
        items_max: u64,
        /// Cores.
        cores: usize,
    },
    /// A key longer than `AUTHKEY_BYTES_MAX`.
    KeyTooLong {
        /// Flag, variable or file it came from.
        origin: String,
    },
    /// The key file can't be read.
    KeyFile {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `--data-dir` is no path.
    DataDir {
        /// What was typed.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path of the Unix socket is empty or longer than the kernel takes.
    UnixPath {
        /// The path.
        path: PathBuf,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::CoresTooMany { wanted, cpus_allowed } => write!(
                f,
                "cannot run --cores {wanted}: this process may use {} ({}); give --cores {} or less, or widen its CPU \
                 affinity (taskset, cpuset, docker --cpuset-cpus)",
                counted(cpus_allowed.len(), "CPU"),
                format_cpus(cpus_allowed),
                cpus_allowed.len(),
            ),
            ConfigError::CpuNotAllowed { cpu, cpus_allowed } => write!(
                f,
                "cannot use CPU {cpu} of --cpus: this process may use {} ({}); list only those, or widen its CPU \
                 affinity (taskset, cpuset, docker --cpuset-cpus)",
                counted(cpus_allowed.len(), "CPU"),
                format_cpus(cpus_allowed),
            ),
            ConfigError::CoresUnlikeCpus { cores, cpus } => write!(
                f,
                "--cores and --cpus disagree: --cores {cores} but --cpus lists {}, and each core has one; make them \
                 agree, or leave out --cores",
                counted(*cpus, "CPU"),
            ),
            ConfigError::CorePortsBeyond { .. }
            | ConfigError::CorePortsOverlap { .. }
            | ConfigError::AnnounceHost { .. } => f.write_str(&core_ports_line(self)),
            ConfigError::HostUnknown { flag, example, host, source: Some(source) } => {
                write!(f, "cannot resolve {flag} {host}: {source}; give an IP address, for example {flag} {example}")
            }
            ConfigError::HostUnknown { flag, example, host, source: None } => {
                write!(f, "cannot resolve {flag} {host}: it has no address; give one, for example {flag} {example}")
            }
            ConfigError::Exposed { host } => write!(
                f,
                "refusing to listen on {host} without an auth key: whoever reaches that address could read and change \
                 the cache; give --authkey-file PATH, or stay local with --host 127.0.0.1"
            ),
            ConfigError::KeyTwice => {
                f.write_str("two auth keys: --authkey and --authkey-file are both given; leave one out")
            }
            ConfigError::KeyEmpty { origin } => write!(
                f,
                "cannot use the auth key from {origin}: it is empty, so anyone could show it; give a key of 1 to \
                 {AUTHKEY_BYTES_MAX} bytes, or none at all"
            ),
            ConfigError::ItemsBelowCores { items_max, cores } => write!(
                f,
                "cannot keep {items_max} items on {cores} cores: each core needs room for one; raise --max-size or \
                 lower --cores"
            ),
            ConfigError::KeyTooLong { origin } => write!(
                f,
                "cannot use the auth key from {origin}: it is longer than {AUTHKEY_BYTES_MAX} bytes; give a shorter one"
            ),
            ConfigError::KeyFile { path, source } => write!(
                f,
                "cannot read the auth key file {}: {source}; --authkey-file needs a file this user may read",
                path.display()
            ),
            ConfigError::DataDir { path, source } => {
                write!(f, "cannot use --data-dir {path:?}: {source}; give a directory, for example /var/lib/aspine")
            }
            ConfigError::UnixPath { path } => write!(
                f,
                "cannot use --unixsocket {path:?}: a socket's path has 1 to {UNIX_PATH_BYTES_MAX} bytes, this one {}; \
                 give another, for example /run/aspine.sock",
                path.as_os_str().len()
            ),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfigError::HostUnknown { source: Some(source), .. }
            | ConfigError::KeyFile { source, .. }
            | ConfigError::DataDir { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What is wrong with `--core-ports` or `--announce-host`.
fn core_ports_line(error: &ConfigError) -> String {
    match error {
        ConfigError::CorePortsBeyond { base, cores } => format!(
            "cannot use --core-ports {base}: with {cores} cores the last port would be {}, and there is none beyond {}; \
             give {} or less",
            usize::from(*base) + cores - 1,
            u16::MAX,
            usize::from(u16::MAX) + 1 - cores,
        ),
        ConfigError::CorePortsOverlap { base, last, port } => format!(
            "cannot use --core-ports {base}: the cores' ports {base}-{last} include --port {port}, which is the port of all \
             cores; move one of them"
        ),
        ConfigError::AnnounceHost { host } => format!(
            "cannot announce {host:?}: --announce-host is an IP address or a host name, without port and brackets; give for \
             example 10.0.0.1"
        ),
        _ => String::new(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
