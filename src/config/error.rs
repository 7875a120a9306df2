//! Configuration errors: every cause with its fix, in one line of text each.
//!
//! Owner: `config`; `cli` prints it. `Display` is `what failed: why; what to do`, never with a line
//! break.
//! Whose fault it is: the command line's, or that of a file it names. What follows: the process
//! ends, nothing was started.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use super::parse::{ByteSize, format_cpus};
use crate::limits::{AUTHKEY_BYTES_MAX, CORE_MEMORY_BYTES_MIN, UNIX_PATH_BYTES_MAX};

/// The reason why the settings are not a configuration. `Display` is one line: what failed, why,
/// what to do.
#[derive(Debug)]
pub enum ConfigError {
    /// `--cores` asks for more CPUs than the process may run on.
    CoresTooMany {
        /// The number of cores asked for.
        wanted: usize,
        /// The CPUs that the process may run on.
        cpus_allowed: Vec<usize>,
    },
    /// `--cpus` names a CPU outside the affinity mask.
    CpuNotAllowed {
        /// The CPU that is not allowed.
        cpu: usize,
        /// The CPUs that the process may run on.
        cpus_allowed: Vec<usize>,
    },
    /// `--cores` and `--cpus` disagree.
    CoresUnlikeCpus {
        /// The value of `--cores`.
        cores: usize,
        /// The number of CPUs in `--cpus`.
        cpus: usize,
    },
    /// `--core-ports` and the number of cores lead beyond the last port.
    CorePortsBeyond {
        /// The first port.
        base: u16,
        /// The number of cores.
        cores: usize,
    },
    /// One of the ports of `--core-ports` is `--port`.
    CorePortsOverlap {
        /// The first port.
        base: u16,
        /// The last port.
        last: usize,
        /// The value of `--port`.
        port: u16,
    },
    /// `--announce-host` is neither an address nor a name.
    AnnounceHost {
        /// The value of the flag.
        host: String,
    },
    /// A name to listen at could not be resolved.
    HostUnknown {
        /// The name of the flag.
        flag: &'static str,
        /// An example of a value.
        example: &'static str,
        /// The name that does not resolve.
        host: String,
        /// The resolver's error; `None` if it found no address.
        source: Option<io::Error>,
    },
    /// A bind beyond loopback without a key.
    Exposed {
        /// The address to listen on.
        host: IpAddr,
    },
    /// Both `--authkey` and `--authkey-file`.
    KeyTwice,
    /// A key of no bytes, most likely an unset variable.
    KeyEmpty {
        /// The flag, variable or file of the key.
        origin: String,
    },
    /// `--max-size` below the number of cores.
    ItemsBelowCores {
        /// The value of `--max-size`.
        items_max: u64,
        /// The number of cores.
        cores: usize,
    },
    /// `--max-memory` below what an empty server needs, most likely without its unit.
    MemoryBelowNeed {
        /// The value of `--max-memory`.
        bytes_max: u64,
        /// The number of cores.
        cores: usize,
    },
    /// A key longer than `AUTHKEY_BYTES_MAX`.
    KeyTooLong {
        /// The flag, variable or file of the key.
        origin: String,
    },
    /// The key file can't be read.
    KeyFile {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The path of a flag can't be made absolute.
    Path {
        /// The name of the flag.
        flag: &'static str,
        /// The value of the flag.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The path of the Unix socket is empty or longer than the kernel takes.
    UnixPath {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The file of `--config` can't be used.
    File(FileError),
    /// A daemon or `aspine stop` has no pid file given, and there is no default place.
    NoPidFile,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::CoresTooMany { .. }
            | ConfigError::CpuNotAllowed { .. }
            | ConfigError::CoresUnlikeCpus { .. } => f.write_str(&cpus_line(self)),
            ConfigError::CorePortsBeyond { .. }
            | ConfigError::CorePortsOverlap { .. }
            | ConfigError::AnnounceHost { .. } => f.write_str(&core_ports_line(self)),
            ConfigError::HostUnknown { flag, example, host, source } => {
                let why = source.as_ref().map_or_else(|| "it has no address".to_owned(), ToString::to_string);
                write!(f, "cannot resolve {flag} {host}: {why}; give an IP address, for example {flag} {example}")
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
            ConfigError::MemoryBelowNeed { bytes_max, cores } => write!(
                f,
                "cannot keep items in {}: that is less than an empty server of {} needs; did you mean --max-memory \
                 {bytes_max}mb? The least is {}",
                counted(usize::try_from(*bytes_max).unwrap_or(usize::MAX), "byte"),
                counted(*cores, "core"),
                ByteSize(*cores as u64 * CORE_MEMORY_BYTES_MIN),
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
            ConfigError::Path { flag, path, source } => {
                write!(f, "cannot use {flag} {path:?}: {source}; give an absolute path")
            }
            ConfigError::File(error) => error.fmt(f),
            ConfigError::NoPidFile => f.write_str("no pid file: XDG_RUNTIME_DIR is not set; give --pid-file PATH"),
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
            | ConfigError::Path { source, .. } => Some(source),
            ConfigError::File(error) => error.source(),
            _ => None,
        }
    }
}

/// The reason why the file of `--config` can't be used.
#[derive(Debug)]
pub enum FileError {
    /// The file can't be read.
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A line of the file is not a setting.
    Line {
        /// The path of the file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The cause, and what to do.
        why: String,
    },
}

impl From<FileError> for ConfigError {
    fn from(error: FileError) -> ConfigError {
        ConfigError::File(error)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Read { path, source } => write!(
                f,
                "cannot read the configuration file {}: {source}; --config needs a file this user may read",
                path.display()
            ),
            FileError::Line { path, line, why } => write!(f, "{}, line {line}: {why}", path.display()),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FileError::Read { source, .. } => Some(source),
            FileError::Line { .. } => None,
        }
    }
}

/// The error line of `--cores` or `--cpus`.
fn cpus_line(error: &ConfigError) -> String {
    match error {
        ConfigError::CoresTooMany { wanted, cpus_allowed } => format!(
            "cannot run --cores {wanted}: this process may use {} ({}); give --cores {} or less, or widen its CPU \
                 affinity (taskset, cpuset, docker --cpuset-cpus)",
            counted(cpus_allowed.len(), "CPU"),
            format_cpus(cpus_allowed),
            cpus_allowed.len(),
        ),
        ConfigError::CpuNotAllowed { cpu, cpus_allowed } => format!(
            "cannot use CPU {cpu} of --cpus: this process may use {} ({}); list only those, or widen its CPU \
                 affinity (taskset, cpuset, docker --cpuset-cpus)",
            counted(cpus_allowed.len(), "CPU"),
            format_cpus(cpus_allowed),
        ),
        ConfigError::CoresUnlikeCpus { cores, cpus } => format!(
            "--cores and --cpus disagree: --cores {cores} but --cpus lists {}, and each core has one; make them \
                 agree, or leave out --cores",
            counted(*cpus, "CPU"),
        ),
        _ => String::new(),
    }
}

/// The error line of `--core-ports` or `--announce-host`.
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
