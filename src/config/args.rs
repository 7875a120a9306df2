//! Arguments: what was typed for `aspine server`, in plain types, with the defaults of a command line without flags.
//!
//! Never: checked, nor resolved on this machine; `ServerConfig::from_args` does that.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::auth::AuthSources;
use super::parse::{ByteSize, CpuList, HostPort, Spin};
use crate::command::output_limit::OutputLimit;
use crate::command::settings::{DebugAccess, LogLevel};
use crate::limits::{
    DATABASES, DRAIN_TIMEOUT_S_DEFAULT, IDLE_TIMEOUT_S_DEFAULT, MAXCLIENTS_DEFAULT, PORT_DEFAULT,
    SNAPSHOT_INTERVAL_S_DEFAULT, TCP_KEEPALIVE_S_DEFAULT, TRACKED_KEYS_MAX_DEFAULT,
};
use crate::shard::Eviction;

/// Names that flags had in the release before, each with that of today.
pub const FORMER_NAMES: [(&str, &str); 1] = [("spin-us", "spin")];

/// The name of today of a flag.
pub(super) fn current_name(flag: &str) -> &str {
    FORMER_NAMES.iter().find(|(former, _)| *former == flag).map_or(flag, |(_, name)| name)
}

/// How the cores reach their sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// By a ring of their own where the kernel has what it takes, otherwise by epoll.
    #[default]
    Auto,
    /// By a ring of their own.
    Ring,
    /// By epoll.
    Epoll,
}

/// The arguments of `aspine server`, in plain types. `None` is "not given".
#[derive(Clone, Debug)]
pub struct ServerArgs {
    /// `--host`: an address or a name.
    pub host: String,
    /// The value of `--port`.
    pub port: u16,
    /// The value of `--core-ports`.
    pub core_ports: Option<u16>,
    /// The value of `--announce-host`.
    pub announce_host: Option<String>,
    /// `--cores`: how many.
    pub cores: Option<usize>,
    /// `--cpus`: which.
    pub cpus: Option<CpuList>,
    /// The value of `--unixsocket`.
    pub unix_socket: Option<PathBuf>,
    /// The value of `--unixsocketperm`: bits of a file's mode.
    pub unix_socket_mode: Option<u32>,
    /// `--authkey`, `ASPINE_AUTHKEY`, `--authkey-file`.
    pub auth: AuthSources,
    /// `--max-size` in items, 0 for no limit.
    pub items_max: Option<u64>,
    /// `--max-memory`, 0 for no limit.
    pub bytes_max: Option<ByteSize>,
    /// The value of `--eviction`.
    pub eviction: Eviction,
    /// The value of `--databases`.
    pub databases: u8,
    /// The value of `--maxclients`.
    pub maxclients: u32,
    /// `--timeout` in seconds, 0 for never.
    pub idle_timeout_s: u64,
    /// `--tcp-keepalive` in seconds, 0 for never.
    pub tcp_keepalive_s: u64,
    /// The value of `--client-output-limit`.
    pub output_limit: OutputLimit,
    /// `--tracking-table-max-keys`, 0 for no limit.
    pub tracked_keys_max: u64,
    /// The value of `--spin`.
    pub spin: Spin,
    /// The value of `--transport`.
    pub transport: Transport,
    /// The value of `--enable-debug-command`.
    pub debug: DebugAccess,
    /// The value of `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// The value of `--persist`.
    pub persist: bool,
    /// `--snapshot-interval` in seconds.
    pub snapshot_interval_s: u64,
    /// `--snapshot-bandwidth` in bytes a second, 0 for no limit.
    pub snapshot_bandwidth: ByteSize,
    /// The value of `--admin-addr`.
    pub admin_addr: Option<HostPort>,
    /// The value of `--log-level`.
    pub log_level: LogLevel,
    /// The value of `--log-file`.
    pub log_file: Option<PathBuf>,
    /// `--drain-timeout` in seconds.
    pub drain_timeout_s: u64,
    /// The value of `--daemon`.
    pub daemon: bool,
    /// The value of `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// The value of `--check`.
    pub check: bool,
    /// Notes on the `--config`, for the log.
    pub notes: Vec<String>,
    /// `--end-with-parent`: the parent's pid.
    pub parent: Option<u32>,
}

impl Default for ServerArgs {
    /// The arguments of a command line without flags.
    fn default() -> Self {
        ServerArgs {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: PORT_DEFAULT,
            core_ports: None,
            announce_host: None,
            cores: None,
            cpus: None,
            unix_socket: None,
            unix_socket_mode: None,
            auth: AuthSources::default(),
            items_max: None,
            bytes_max: None,
            eviction: Eviction::default(),
            databases: DATABASES as u8,
            maxclients: MAXCLIENTS_DEFAULT,
            idle_timeout_s: IDLE_TIMEOUT_S_DEFAULT,
            tcp_keepalive_s: TCP_KEEPALIVE_S_DEFAULT,
            output_limit: OutputLimit::default(),
            tracked_keys_max: TRACKED_KEYS_MAX_DEFAULT,
            spin: Spin::default(),
            transport: Transport::default(),
            debug: DebugAccess::No,
            data_dir: None,
            persist: false,
            snapshot_interval_s: SNAPSHOT_INTERVAL_S_DEFAULT,
            snapshot_bandwidth: ByteSize(0),
            admin_addr: None,
            log_level: LogLevel::Info,
            log_file: None,
            drain_timeout_s: DRAIN_TIMEOUT_S_DEFAULT,
            daemon: false,
            pid_file: None,
            check: false,
            notes: Vec::new(),
            parent: None,
        }
    }
}
