//! Table: every setting of the server, a row each: its flag, which is its key in the file of `--config` too, its default, its
//! help, its name for CONFIG, and its value in force.
//!
//! The flags of the command line, the file, `--check` and CONFIG GET derive from it. `command/settings.rs` reads and writes
//! what CONFIG SET changes, and a test holds the two together. Types of the values and their bounds are those of the flags.

use std::path::Path;

use self::Config::{Changeable, Fixed};
use self::Kind::{Action, List, Secret, Switch};
use super::args::current_name;
use super::constants::CONSTANTS;
pub use super::names::{DEBUG_ACCESSES, EVICTIONS, LOG_LEVELS, TRANSPORTS};
use super::{OutputLimit, ServerConfig};
use crate::engine::ProcessFacts;
use crate::limits::{
    BULK_BYTES_MAX, DATABASES, DRAIN_TIMEOUT_S_DEFAULT, IDLE_TIMEOUT_S_DEFAULT, LISTEN_BACKLOG, MAXCLIENTS_DEFAULT,
    PORT_DEFAULT, SNAPSHOT_INTERVAL_S_DEFAULT, SNAPSHOT_NAME_DEFAULT, TCP_KEEPALIVE_S_DEFAULT, TICKS_PER_S,
    TRACKED_KEYS_MAX_DEFAULT,
};

/// A row: one setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The long name of the flag, and the key in the file; empty if only CONFIG has the setting.
    pub flag: &'static str,
    /// The kind of the value.
    pub kind: Kind,
    /// The name of the value in the help; empty for a switch.
    pub value_name: &'static str,
    /// The default as an argument; `None` if there is none, or if it depends on the machine or on other settings.
    pub default: Option<&'static str>,
    /// The heading in the help.
    pub heading: &'static str,
    /// The text of the help.
    pub help: &'static str,
    /// The setting in CONFIG.
    pub config: Config,
    /// The flag that sets the same in another way.
    pub alternative: Option<&'static str>,
    /// The value in force, as TOML; `None` if the setting is not in force. Absent if the value is secret, or shown by
    /// another setting.
    pub shown: Option<fn(&ServerConfig) -> Option<String>>,
}

/// The kind of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value.
    Value,
    /// True or false; as a flag, given or not.
    Switch,
    /// One value, or a list in the file; holds the separator of the list in a flag.
    List(&'static str),
    /// One secret value, which should not be in a file that all users can read.
    Secret,
    /// A flag for an action, which is not a setting of the file.
    Action,
}

/// A setting in CONFIG.
#[derive(Clone, Copy, Debug)]
pub enum Config {
    /// CONFIG does not have the setting.
    None,
    /// CONFIG GET shows the setting; its name and value.
    Fixed(&'static str, fn(&ServerConfig, &ProcessFacts) -> String),
    /// CONFIG SET changes the setting; its name.
    Changeable(&'static str),
}

const NETWORK: &str = "Network";
const CORES: &str = "Cores";
const BOUNDS: &str = "Bounds";
const ACCESS: &str = "Access";
const SNAPSHOTS: &str = "Snapshots";
const LOG: &str = "Log";
const WATCH: &str = "Watching";
const PROCESS: &str = "Process";

/// The defaults of a row.
const NONE: Setting = Setting {
    flag: "",
    kind: Kind::Value,
    value_name: "",
    default: None,
    heading: "",
    help: "",
    config: Config::None,
    alternative: None,
    shown: None,
};

/// The addresses that are listened on, as CONFIG shows them.
fn hosts_of(config: &ServerConfig) -> String {
    config.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// All settings, in the order of the help; those that only CONFIG knows come last.
pub static SETTINGS: [Setting; 44] = [
    Setting {
        flag: "host",
        value_name: "HOST",
        default: Some("127.0.0.1"),
        heading: NETWORK,
        help: "IP addresses or host names to listen on, with commas between them (of a name's addresses, the first); \
               one beyond loopback needs a key",
        config: Fixed("bind", |config, _| hosts_of(config)),
        shown: Some(|config| Some(quoted(&hosts_of(config)))),
        ..NONE
    },
    Setting {
        flag: "port",
        value_name: "PORT",
        default: Some(Decimal::<{ PORT_DEFAULT as u64 }>::TEXT),
        heading: NETWORK,
        help: "TCP port; 0 picks a free one and logs it",
        config: Fixed("port", |_, process| process.port.to_string()),
        shown: Some(|config| Some(config.port.to_string())),
        ..NONE
    },
    Setting {
        flag: "core-ports",
        value_name: "BASE",
        heading: NETWORK,
        help: "Core i also listens on port BASE + i, for clients that go straight to the core that owns a key: \
               Aspine's own, and cluster clients, to which each core is a node of a cluster; 0 picks free ones",
        config: Fixed("core-ports", |_, process| {
            let ports: Vec<_> = process.core_ports.iter().map(u16::to_string).collect();
            ports.join(",")
        }),
        shown: Some(|config| config.core_ports.map(|base| base.to_string())),
        ..NONE
    },
    Setting {
        flag: "announce-host",
        value_name: "HOST",
        heading: NETWORK,
        help: "IP address or host name that clients are told to connect to for the ports of --core-ports \
               [default: the address that they have connected to]",
        config: Fixed("announce-host", |config, _| config.announce_host.clone().unwrap_or_default()),
        shown: Some(|config| config.announce_host.as_deref().map(quoted)),
        ..NONE
    },
    Setting {
        flag: "unixsocket",
        value_name: "PATH",
        heading: NETWORK,
        help: "Also listen on a Unix socket at PATH (at most 107 bytes)",
        config: Fixed("unixsocket", |config, _| shown_path(config.unix_socket.as_deref())),
        shown: Some(|config| config.unix_socket.as_deref().map(path)),
        ..NONE
    },
    Setting {
        flag: "unixsocketperm",
        value_name: "MODE",
        heading: NETWORK,
        help: "Permissions of the Unix socket, in octal, for example 770 [default: what the umask leaves]",
        config: Fixed("unixsocketperm", |config, _| format!("{:o}", config.unix_socket_mode.unwrap_or_default())),
        shown: Some(|config| config.unix_socket_mode.map(|mode| quoted(&format!("{mode:o}")))),
        ..NONE
    },
    Setting {
        flag: "maxclients",
        value_name: "N",
        default: Some(Decimal::<{ MAXCLIENTS_DEFAULT as u64 }>::TEXT),
        heading: NETWORK,
        help: "Clients connected at once; lowered, with a warning, where the file descriptor limit is smaller",
        config: Changeable("maxclients"),
        shown: Some(|config| Some(config.maxclients.to_string())),
        ..NONE
    },
    Setting {
        flag: "timeout",
        value_name: "SECONDS",
        default: Some(Decimal::<IDLE_TIMEOUT_S_DEFAULT>::TEXT),
        heading: NETWORK,
        help: "Close clients that are idle for so many seconds; 0 = never",
        config: Changeable("timeout"),
        shown: Some(|config| Some(config.idle_timeout_s.to_string())),
        ..NONE
    },
    Setting {
        flag: "tcp-keepalive",
        value_name: "SECONDS",
        default: Some(Decimal::<TCP_KEEPALIVE_S_DEFAULT>::TEXT),
        heading: NETWORK,
        help: "Seconds of silence after which the kernel asks a client whether it is still there; one that does not answer \
               is gone; 0 = never",
        config: Changeable("tcp-keepalive"),
        shown: Some(|config| Some(config.tcp_keepalive_s.to_string())),
        ..NONE
    },
    Setting {
        flag: "client-output-limit",
        kind: List(" "),
        value_name: "HARD SOFT SECONDS",
        default: Some("32mb 8mb 60"),
        heading: NETWORK,
        help: "Output that may wait for a client that does not read what is pushed to it: bytes at which it is \
               cut off, bytes that may wait for so many seconds; 0 = unlimited",
        config: Changeable("client-output-buffer-limit"),
        shown: Some(|config| Some(quoted(&limit(config.output_limit)))),
        ..NONE
    },
    Setting {
        flag: "cores",
        value_name: "N",
        heading: CORES,
        help: "How many cores to run, each on a CPU of its own [default: every CPU this process may run on]",
        config: Fixed("cores", |config, _| config.cpus.len().to_string()),
        alternative: Some("cpus"),
        ..NONE
    },
    Setting {
        flag: "cpus",
        kind: List(","),
        value_name: "LIST",
        heading: CORES,
        help: "Which CPUs to run on, one core each, for example 0,2-5 [default: the first N allowed]",
        alternative: Some("cores"),
        shown: Some(|config| Some(format!("{:?}", config.cpus))),
        ..NONE
    },
    Setting {
        flag: "tracking-table-max-keys",
        value_name: "KEYS",
        default: Some(Decimal::<TRACKED_KEYS_MAX_DEFAULT>::TEXT),
        heading: BOUNDS,
        help: "Keys to remember for clients that read them and track (CLIENT TRACKING); 0 = unlimited",
        config: Changeable("tracking-table-max-keys"),
        shown: Some(|config| Some(unless_unlimited(config.tracked_keys_max))),
        ..NONE
    },
    Setting {
        flag: "spin",
        value_name: "HOW",
        default: Some("auto"),
        heading: CORES,
        help: "Microseconds an idle core looks on before it sleeps, off, or auto: where that costs no more CPU",
        config: Fixed("spin", |config, _| config.spin.to_string()),
        shown: Some(|config| Some(quoted(&config.spin.to_string()))),
        ..NONE
    },
    Setting {
        flag: "transport",
        value_name: "HOW",
        default: Some("auto"),
        heading: CORES,
        help: "How a core reaches its sockets: by an io_uring of its own (ring), by epoll, or by the better one \
               that works here (auto); INFO and aspine doctor say which that is",
        config: Fixed("transport", |config, _| name_of(&TRANSPORTS, config.transport).to_owned()),
        shown: Some(|config| Some(quoted(name_of(&TRANSPORTS, config.transport)))),
        ..NONE
    },
    Setting {
        flag: "max-size",
        value_name: "ITEMS",
        heading: BOUNDS,
        help: "Items to keep; 0 = unlimited [default: 1000, or unlimited if --max-memory is given]",
        config: Changeable("max-size"),
        shown: Some(|config| Some(unless_unlimited(config.items_max))),
        ..NONE
    },
    Setting {
        flag: "max-memory",
        value_name: "BYTES",
        heading: BOUNDS,
        help: "Memory to keep items in, keys, values and overhead, in bytes or as 512mb, 4gb; 0 = unlimited \
               [default: unlimited]",
        config: Changeable("maxmemory"),
        shown: Some(|config| Some(unless_unlimited(config.bytes_max))),
        ..NONE
    },
    Setting {
        flag: "eviction",
        value_name: "POLICY",
        default: Some("s3fifo"),
        heading: BOUNDS,
        help: "When full: drop what was not asked for again, drop the least recently used items, drop of those with a time \
               to live alone the least recently used or those that expire first, or refuse writes",
        config: Changeable("maxmemory-policy"),
        shown: Some(|config| Some(quoted(name_of(&EVICTIONS, config.eviction)))),
        ..NONE
    },
    Setting {
        flag: "databases",
        value_name: "N",
        default: Some(Decimal::<{ DATABASES as u64 }>::TEXT),
        heading: BOUNDS,
        help: "Databases that clients can select, 1 to 16; all share the bounds",
        config: Fixed("databases", |config, _| config.databases.to_string()),
        shown: Some(|config| Some(config.databases.to_string())),
        ..NONE
    },
    Setting {
        flag: "authkey",
        kind: Secret,
        value_name: "KEY",
        heading: ACCESS,
        help: "Key that clients must show (AUTH); other users see it in the process list, so prefer the \
               variable or the file",
        config: Changeable("requirepass"),
        alternative: Some("authkey-file"),
        ..NONE
    },
    Setting {
        flag: "authkey-file",
        value_name: "PATH",
        heading: ACCESS,
        help: "File whose first line is the key",
        alternative: Some("authkey"),
        ..NONE
    },
    Setting {
        flag: "enable-debug-command",
        value_name: "WHO",
        default: Some("no"),
        heading: ACCESS,
        help: "From where DEBUG is taken: nowhere, this machine, anywhere",
        config: Fixed("enable-debug-command", |config, _| config.debug.name().to_owned()),
        shown: Some(|config| Some(quoted(config.debug.name()))),
        ..NONE
    },
    Setting {
        flag: "data-dir",
        value_name: "PATH",
        heading: SNAPSHOTS,
        help: "Directory of snapshots, made when it is needed [default: aspine-data, where the server is started]",
        config: Fixed("dir", |config, _| config.data_dir.display().to_string()),
        shown: Some(|config| Some(path(&config.data_dir))),
        ..NONE
    },
    Setting {
        flag: "persist",
        kind: Switch,
        heading: SNAPSHOTS,
        help: "Begin with the last snapshot, take one every now and then, and one at the end",
        config: Fixed("save", |config, _| {
            // Redis's form of "every so many seconds, if anything has changed".
            if config.persist { format!("{} 1", config.snapshot_interval_s) } else { String::new() }
        }),
        shown: Some(|config| Some(config.persist.to_string())),
        ..NONE
    },
    Setting {
        flag: "snapshot-interval",
        value_name: "SECONDS",
        default: Some(Decimal::<SNAPSHOT_INTERVAL_S_DEFAULT>::TEXT),
        heading: SNAPSHOTS,
        help: "With --persist: seconds between snapshots; none is taken while nothing changes",
        shown: Some(|config| Some(config.snapshot_interval_s.to_string())),
        ..NONE
    },
    Setting {
        flag: "snapshot-bandwidth",
        value_name: "BYTES",
        default: Some("0"),
        heading: SNAPSHOTS,
        help: "Bytes a second that a snapshot may write, as 100mb; 0 = unlimited. What changes meanwhile is \
               written at once",
        shown: Some(|config| Some(config.snapshot_bandwidth.to_string())),
        ..NONE
    },
    Setting {
        flag: "admin-addr",
        value_name: "HOST:PORT",
        heading: WATCH,
        help: "Tell whoever watches by HTTP at HOST:PORT: /metrics for Prometheus, /healthz, /readyz; no key \
               is asked [default: off]",
        shown: Some(|config| config.admin_addr.map(|address| quoted(&address.to_string()))),
        ..NONE
    },
    Setting {
        flag: "log-level",
        value_name: "LEVEL",
        default: Some("info"),
        heading: LOG,
        help: "Least severe level to log",
        config: Changeable("loglevel"),
        shown: Some(|config| Some(quoted(name_of(&LOG_LEVELS, config.log_level)))),
        ..NONE
    },
    Setting {
        flag: "log-file",
        value_name: "PATH",
        heading: LOG,
        help: "Append the log to a file, opened again at SIGHUP [default: stderr]",
        shown: Some(|config| config.log_file.as_deref().map(path)),
        ..NONE
    },
    Setting {
        flag: "drain-timeout",
        value_name: "SECONDS",
        default: Some(Decimal::<DRAIN_TIMEOUT_S_DEFAULT>::TEXT),
        heading: PROCESS,
        help: "Seconds that clients are waited for at the end (SIGTERM): what was read is answered and \
               delivered; 0 = not at all",
        shown: Some(|config| Some(config.drain_timeout_s.to_string())),
        ..NONE
    },
    Setting {
        flag: "daemon",
        kind: Switch,
        heading: PROCESS,
        help: "Leave the terminal; return 0 once the server is ready, or say why it is not",
        shown: Some(|config| Some(config.daemon.to_string())),
        ..NONE
    },
    Setting {
        flag: "pid-file",
        value_name: "PATH",
        heading: PROCESS,
        help: "Where to write the process id, held by a lock while the server runs [default with --daemon: \
               /run/aspine/aspine.pid, or $XDG_RUNTIME_DIR/aspine.pid unless root]",
        shown: Some(|config| config.pid_file.as_deref().map(path)),
        ..NONE
    },
    Setting {
        flag: "config",
        kind: Action,
        value_name: "FILE",
        heading: PROCESS,
        help: "Settings in TOML: the long names of these flags, as max-memory = \"4gb\". Flags and the \
               environment win",
        ..NONE
    },
    Setting {
        flag: "check",
        kind: Action,
        heading: PROCESS,
        help: "Check the settings and this machine, print the settings that would be in force, and start nothing",
        ..NONE
    },
    Setting {
        flag: "end-with-parent",
        kind: Action,
        value_name: "PID",
        help: "End when the process PID, which has started this one, ends",
        ..NONE
    },
    Setting { config: Fixed("appendonly", |_, _| "no".to_owned()), ..NONE },
    Setting {
        config: Fixed("cluster-enabled", |_, process| {
            if process.core_ports.is_empty() { "no" } else { "yes" }.to_owned()
        }),
        ..NONE
    },
    Setting { config: Fixed("dbfilename", |_, _| SNAPSHOT_NAME_DEFAULT.to_owned()), ..NONE },
    Setting { config: Fixed("proto-max-bulk-len", |_, _| BULK_BYTES_MAX.to_string()), ..NONE },
    Setting { config: Changeable("active-expire"), ..NONE },
    Setting { config: Changeable("latency-monitor-threshold"), ..NONE },
    Setting { config: Changeable("notify-keyspace-events"), ..NONE },
    Setting { config: Changeable("slowlog-log-slower-than"), ..NONE },
    Setting { config: Changeable("slowlog-max-len"), ..NONE },
];

/// A number as text, at compile time.
struct Decimal<const NUMBER: u64>;

impl<const NUMBER: u64> Decimal<NUMBER> {
    /// The digits, at the end.
    const DIGITS: [u8; 20] = {
        let (mut digits, mut at, mut rest) = ([b'0'; 20], 20, NUMBER);
        while rest > 0 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        digits
    };

    const TEXT: &'static str = {
        let mut at = 0;
        while at < 19 && Self::DIGITS[at] == b'0' {
            at += 1;
        }
        match std::str::from_utf8(Self::DIGITS.split_at(at).1) {
            Ok(text) => text,
            Err(_) => panic!("digits are ASCII"),
        }
    };
}

/// The setting of a flag.
pub fn of_flag(flag: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|row| !row.flag.is_empty() && row.flag == current_name(flag))
}

/// The settings that CONFIG GET shows and CONFIG SET can't change: names and values.
pub fn fixed(config: &ServerConfig, process: &ProcessFacts) -> Vec<(&'static str, String)> {
    let value = |row: &Setting| match row.config {
        Fixed(name, value) => Some((name, value(config, process))),
        Changeable(_) | Config::None => None,
    };
    let constants = CONSTANTS.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let of_server = [
        ("daemonize", yes_or_no(config.daemon)),
        ("hz", TICKS_PER_S.to_string()),
        ("io-threads", config.cpus.len().to_string()),
        ("logfile", shown_path(config.log_file.as_deref())),
        ("pidfile", shown_path(config.pid_file.as_deref())),
        ("shutdown-timeout", config.drain_timeout_s.to_string()),
        ("tcp-backlog", LISTEN_BACKLOG.to_string()),
    ];
    SETTINGS.iter().filter_map(value).chain(constants).chain(of_server).collect()
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn shown_path(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

/// The settings in force, as a file for `--config`.
pub fn in_force(config: &ServerConfig) -> String {
    let line = |row: &Setting| Some(format!("{} = {}\n", row.flag, row.shown?(config)?));
    SETTINGS.iter().filter_map(line).collect()
}

/// The name of a value.
fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, named)| *named == value).map_or("", |(name, _)| name)
}

fn unless_unlimited(value: u64) -> String {
    if value == u64::MAX { 0 } else { value }.to_string()
}

fn limit(limit: OutputLimit) -> String {
    format!("{} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_s)
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::settings::Settings;

    #[test]
    fn config_changes_what_the_table_says() {
        let named: Vec<_> = SETTINGS
            .iter()
            .filter_map(|row| if let Changeable(name) = row.config { Some(name) } else { None })
            .collect();
        let mut sorted = named.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, Settings::changeable().collect::<Vec<_>>(), "one row for each, in both tables");
    }

    #[test]
    fn names_are_given_once() {
        for (at, row) in SETTINGS.iter().enumerate() {
            let name = |row: &Setting| match row.config {
                Fixed(name, _) | Changeable(name) => name,
                Config::None => "",
            };
            assert!(!row.flag.is_empty() || !name(row).is_empty(), "row {at} is of nothing");
            let others = SETTINGS.iter().skip(at + 1);
            assert!(others.clone().all(|other| row.flag.is_empty() || other.flag != row.flag), "{}", row.flag);
            assert!(others.clone().all(|other| name(row).is_empty() || name(other) != name(row)), "{}", name(row));
            let alternative = row.alternative.and_then(of_flag);
            assert_eq!(
                alternative.and_then(|other| other.alternative),
                row.alternative.map(|_| row.flag),
                "{}",
                row.flag
            );
        }
    }
}
