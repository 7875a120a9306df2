//! Configuration: the settings of the command line, checked, with every default resolved.
//!
//! Two steps: `ServerArgs` (`args`) has the arguments in plain types (clap stays in `cli::mod`);
//! `ServerConfig` has their meaning on this machine, and the server sees nothing else.
//! Owner: built once by `cli::server`, then given to the runtime by value.
//! Never: changed after the start; read from the environment or a file by anyone but
//! `ServerConfig::from_args`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub use self::args::{FORMER_NAMES, ServerArgs, Transport};
pub use self::auth::AuthSources;
pub use self::error::{ConfigError, FileError};
pub use self::parse::{ByteSize, CpuList, HostPort, Spin};
pub use crate::command::output_limit::OutputLimit;
pub use crate::command::settings::{DebugAccess, LogLevel};
pub use crate::engine::auth::AuthKey;
use crate::limits::{
    CORE_MEMORY_BYTES_MIN, DATA_DIR_DEFAULT, HOST_NAME_BYTES_MAX, ITEMS_MAX_DEFAULT, PID_FILE_DEFAULT, PID_FILE_NAME,
    UNIX_PATH_BYTES_MAX,
};
pub use crate::shard::Eviction;

mod args;
mod auth;
mod constants;
mod error;
pub mod file;
mod names;
mod parse;
pub mod table;

/// All settings of the server. One value per process; each core gets a copy.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The addresses of the TCP listeners, one at least. Beyond loopback only with an `auth_key`.
    pub hosts: Vec<IpAddr>,
    /// The TCP port; 0 lets the kernel pick one.
    pub port: u16,
    /// The port of core 0; core i listens on the i-th after it too. 0 lets the kernel pick each. None of them is `port`.
    pub core_ports: Option<u16>,
    /// The host that clients are told to connect to; `None` is the one they have connected to.
    pub announce_host: Option<String>,
    /// The path of the Unix socket, at most `UNIX_PATH_BYTES_MAX` bytes.
    pub unix_socket: Option<PathBuf>,
    /// The permissions of the Unix socket, as bits of a file's mode; `None`: what the umask leaves.
    pub unix_socket_mode: Option<u32>,
    /// The CPU each core is pinned to: core i runs on `cpus[i]`. Never empty, no CPU twice, all in
    /// the affinity mask.
    pub cpus: Vec<usize>,
    /// The key of authentication; `None`: none is required.
    pub auth_key: Option<AuthKey>,
    /// Items the whole server keeps; `u64::MAX` is unlimited.
    pub items_max: u64,
    /// Bytes of keys, values and overhead the whole server keeps; `u64::MAX` is unlimited.
    pub bytes_max: u64,
    /// Whether the bounds are the default ones, for [`ServerConfig::bounds_line`].
    pub bounds_are_default: bool,
    /// What happens at a bound.
    pub eviction: Eviction,
    /// The number of databases.
    pub databases: u8,
    /// Clients connected at once, over all cores. Lowered by `cli::server` to what the descriptor
    /// limit allows.
    pub maxclients: u32,
    /// The number of clients that the descriptor limit allows, which CONFIG SET may not exceed. Set
    /// by `cli::server`.
    pub maxclients_max: u32,
    /// Seconds after which an idle client is closed; 0 is never.
    pub idle_timeout_s: u64,
    /// Seconds of silence after which a client is asked whether it is still there; 0 is never.
    pub tcp_keepalive_s: u64,
    /// The limit of output for a client that does not read its pushes.
    pub output_limit: OutputLimit,
    /// Keys that are remembered for the clients that read them, over all cores; `u64::MAX` is unlimited.
    pub tracked_keys_max: u64,
    /// Microseconds a core polls before it parks.
    pub spin: Spin,
    /// How the cores reach their sockets.
    pub transport: Transport,
    /// The addresses from which DEBUG is allowed.
    pub debug: DebugAccess,
    /// The directory of snapshots, absolute.
    pub data_dir: PathBuf,
    /// Whether it was given, so that it is held from the start.
    pub data_dir_is_given: bool,
    /// Whether the server begins with the last snapshot, takes some by itself, and one at the end.
    pub persist: bool,
    /// Seconds between snapshots.
    pub snapshot_interval_s: u64,
    /// Bytes a second a snapshot may write; 0 is no limit.
    pub snapshot_bandwidth: u64,
    /// The address of the HTTP endpoint for monitoring, which needs no key; `None`: off.
    pub admin_addr: Option<SocketAddr>,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
    /// File the log is appended to, absolute; `None` is stderr.
    pub log_file: Option<PathBuf>,
    /// The timeout of a drain in seconds.
    pub drain_timeout_s: u64,
    /// Whether the server leaves the terminal.
    pub daemon: bool,
    /// The path of the pid file, absolute.
    pub pid_file: Option<PathBuf>,
}

impl Default for ServerConfig {
    /// The defaults with one core, on CPU 0. For tests; the server itself asks the machine.
    fn default() -> Self {
        let args = ServerArgs::default();
        ServerConfig {
            hosts: vec![Ipv4Addr::LOCALHOST.into()],
            port: args.port,
            core_ports: None,
            announce_host: None,
            unix_socket: None,
            unix_socket_mode: None,
            cpus: vec![0],
            auth_key: None,
            items_max: ITEMS_MAX_DEFAULT,
            bytes_max: u64::MAX,
            bounds_are_default: true,
            eviction: args.eviction,
            databases: args.databases,
            maxclients: args.maxclients,
            maxclients_max: u32::MAX,
            idle_timeout_s: args.idle_timeout_s,
            tcp_keepalive_s: args.tcp_keepalive_s,
            output_limit: args.output_limit,
            tracked_keys_max: if args.tracked_keys_max == 0 { u64::MAX } else { args.tracked_keys_max },
            spin: args.spin,
            transport: args.transport,
            debug: args.debug,
            data_dir: absolute("--data-dir", DATA_DIR_DEFAULT.into()).unwrap_or_default(),
            data_dir_is_given: false,
            persist: args.persist,
            snapshot_interval_s: args.snapshot_interval_s,
            snapshot_bandwidth: args.snapshot_bandwidth.0,
            admin_addr: None,
            log_level: args.log_level,
            log_file: None,
            drain_timeout_s: args.drain_timeout_s,
            daemon: false,
            pid_file: None,
        }
    }
}

impl ServerConfig {
    /// Resolves `args` for a process that may run on `cpus_allowed`: the host name, the key file, the
    /// defaults. Also returns warnings: lines for the log, which does not exist yet.
    pub fn from_args(args: ServerArgs, cpus_allowed: &[usize]) -> Result<(ServerConfig, Vec<String>), ConfigError> {
        let cpus = choose_cpus(args.cores, args.cpus, cpus_allowed)?;
        let unix_socket = args.unix_socket.map(|path| check_unix_path(path, args.daemon)).transpose()?;
        let pid_file = match (args.pid_file, args.daemon) {
            (Some(path), _) => Some(absolute("--pid-file", path)?),
            (None, true) => Some(usual_pid_file()?),
            (None, false) => None,
        };
        let data_dir_is_given = args.data_dir.is_some();
        let data_dir = absolute("--data-dir", args.data_dir.unwrap_or_else(|| DATA_DIR_DEFAULT.into()))?;
        let (auth_key, key_warning) = args.auth.resolve()?;
        let hosts = resolve_hosts(&args.host)?;
        if auth_key.is_none()
            && let Some(host) = hosts.iter().copied().find(|host| !host.to_canonical().is_loopback())
        {
            return Err(ConfigError::Exposed { host });
        }
        let admin_addr = args.admin_addr.as_ref().map(resolve_admin).transpose()?;
        let admin_warning = admin_addr.filter(|address| !address.ip().to_canonical().is_loopback()).map(|address| {
            format!(
                "--admin-addr {address} is not a loopback address: whoever can reach it learns how busy the server is and \
                 which commands it runs, though no key and no value"
            )
        });
        let bounds = Bounds::from_args(args.items_max, args.bytes_max);
        bounds.check(cpus.len())?;
        let unbounded_warning = (bounds == Bounds::NONE).then(|| {
            "no bound on items or memory: the cache grows until the host is out of memory; give --max-memory".to_owned()
        });
        let config = ServerConfig {
            hosts,
            port: args.port,
            core_ports: check_core_ports(args.core_ports, cpus.len(), args.port)?,
            announce_host: args.announce_host.as_deref().map(check_announced).transpose()?,
            unix_socket,
            unix_socket_mode: args.unix_socket_mode,
            cpus,
            auth_key,
            items_max: bounds.items_max,
            bytes_max: bounds.bytes_max,
            bounds_are_default: bounds.are_default,
            eviction: args.eviction,
            databases: args.databases,
            maxclients: args.maxclients,
            maxclients_max: u32::MAX,
            idle_timeout_s: args.idle_timeout_s,
            tcp_keepalive_s: args.tcp_keepalive_s,
            output_limit: args.output_limit,
            tracked_keys_max: if args.tracked_keys_max == 0 { u64::MAX } else { args.tracked_keys_max },
            spin: args.spin,
            transport: args.transport,
            debug: args.debug,
            data_dir,
            data_dir_is_given,
            persist: args.persist,
            snapshot_interval_s: args.snapshot_interval_s,
            snapshot_bandwidth: args.snapshot_bandwidth.0,
            admin_addr,
            log_level: args.log_level,
            log_file: args.log_file.map(|path| absolute("--log-file", path)).transpose()?,
            drain_timeout_s: args.drain_timeout_s,
            daemon: args.daemon,
            pid_file,
        };
        let unheard_warning = (config.daemon && config.log_file.is_none())
            .then(|| "the log of a daemon goes nowhere once it is ready; give --log-file".to_owned());
        let warnings = args.notes.into_iter().chain(key_warning).chain(unbounded_warning);
        Ok((config, warnings.chain(admin_warning).chain(unheard_warning).collect()))
    }

    /// What the `ready` line says of the default bound, behind the addresses; nothing if a bound was given.
    pub fn bounds_note(&self) -> String {
        if !self.bounds_are_default {
            return String::new();
        }
        format!(" (AT MOST {} ITEMS: the default bound; give --max-memory 1gb to keep more)", self.items_max)
    }

    /// The start-up log's line on the bounds in force, as `bound: 1000 items (default); memory
    /// unlimited`.
    pub fn bounds_line(&self) -> String {
        let items = self.items_max;
        let bytes = ByteSize(self.bytes_max);
        let default = if self.bounds_are_default { " (default)" } else { "" };
        match (self.items_max, self.bytes_max) {
            (u64::MAX, u64::MAX) => "bound: none; items and memory unlimited".to_owned(),
            (_, u64::MAX) => format!("bound: {items} items{default}; memory unlimited"),
            (u64::MAX, _) => format!("bound: {bytes} of memory; items unlimited"),
            (_, _) => {
                format!("bound: {items} items and {bytes} of memory, whichever is reached first")
            }
        }
    }
}

/// Bounds of the whole server, `u64::MAX` for unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    items_max: u64,
    bytes_max: u64,
    are_default: bool,
}

impl Bounds {
    const NONE: Bounds = Bounds { items_max: u64::MAX, bytes_max: u64::MAX, are_default: false };

    /// The bounds: without any, the default number of items; with one, the other is unlimited; with
    /// both, both hold.
    fn from_args(items_max: Option<u64>, bytes_max: Option<ByteSize>) -> Bounds {
        let unless_zero = |given: u64| if given == 0 { u64::MAX } else { given };
        if items_max.is_none() && bytes_max.is_none() {
            return Bounds { items_max: ITEMS_MAX_DEFAULT, bytes_max: u64::MAX, are_default: true };
        }
        Bounds {
            items_max: unless_zero(items_max.unwrap_or(0)),
            bytes_max: unless_zero(bytes_max.map_or(0, |size| size.0)),
            are_default: false,
        }
    }

    /// Refuses bounds below what so many cores need.
    fn check(&self, cores: usize) -> Result<(), ConfigError> {
        if self.items_max < cores as u64 {
            return Err(ConfigError::ItemsBelowCores { items_max: self.items_max, cores });
        }
        if self.bytes_max < cores as u64 * CORE_MEMORY_BYTES_MIN {
            return Err(ConfigError::MemoryBelowNeed { bytes_max: self.bytes_max, cores });
        }
        Ok(())
    }
}

/// The CPU of each core: the listed ones, or the first `cores` of the allowed ones, or all of these.
fn choose_cpus(
    cores: Option<usize>,
    listed: Option<CpuList>,
    cpus_allowed: &[usize],
) -> Result<Vec<usize>, ConfigError> {
    let Some(listed) = listed.map(CpuList::into_vec) else {
        let wanted = cores.unwrap_or(cpus_allowed.len());
        return match cpus_allowed.get(..wanted) {
            Some(cpus) => Ok(cpus.to_vec()),
            None => Err(ConfigError::CoresTooMany { wanted, cpus_allowed: cpus_allowed.to_vec() }),
        };
    };
    if let Some(cpu) = listed.iter().find(|cpu| !cpus_allowed.contains(cpu)) {
        return Err(ConfigError::CpuNotAllowed { cpu: *cpu, cpus_allowed: cpus_allowed.to_vec() });
    }
    match cores {
        Some(cores) if cores != listed.len() => Err(ConfigError::CoresUnlikeCpus { cores, cpus: listed.len() }),
        _ => Ok(listed),
    }
}

/// Checks the path of the Unix socket. A daemon leaves the directory it was started in, so its path is made absolute.
fn check_unix_path(path: PathBuf, daemon: bool) -> Result<PathBuf, ConfigError> {
    let path = if daemon && !path.as_os_str().is_empty() { absolute("--unixsocket", path)? } else { path };
    match path.as_os_str().as_bytes().len() {
        1..=UNIX_PATH_BYTES_MAX => Ok(path),
        _ => Err(ConfigError::UnixPath { path }),
    }
}

fn absolute(flag: &'static str, path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path).map_err(|source| ConfigError::Path { flag, path, source })
}

/// The default pid file of a daemon, and of `aspine stop`.
pub fn usual_pid_file() -> Result<PathBuf, ConfigError> {
    if rustix::process::geteuid().is_root() {
        return Ok(PID_FILE_DEFAULT.into());
    }
    let directory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    directory.map(|path| path.join(PID_FILE_NAME)).ok_or(ConfigError::NoPidFile)
}

/// Checks that the core ports are valid, and that none of them is the one port.
fn check_core_ports(base: Option<u16>, cores: usize, port: u16) -> Result<Option<u16>, ConfigError> {
    let Some(base) = base.filter(|base| *base > 0) else { return Ok(base) };
    let last = usize::from(base) + cores - 1;
    if last > usize::from(u16::MAX) {
        return Err(ConfigError::CorePortsBeyond { base, cores });
    }
    if (usize::from(base)..=last).contains(&usize::from(port)) {
        return Err(ConfigError::CorePortsOverlap { base, last, port });
    }
    Ok(Some(base))
}

/// Checks that a host is an address or a name that clients can parse in CLUSTER NODES.
fn check_announced(host: &str) -> Result<String, ConfigError> {
    let host = without_brackets(host).to_owned();
    let is_name = |host: &str| {
        let may = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        (1..=HOST_NAME_BYTES_MAX).contains(&host.len()) && host.bytes().all(may)
    };
    if host.parse::<IpAddr>().is_ok() || is_name(&host) { Ok(host) } else { Err(ConfigError::AnnounceHost { host }) }
}

/// The addresses of all hosts that are named, each once. Redis's own separator is a blank.
fn resolve_hosts(hosts: &str) -> Result<Vec<IpAddr>, ConfigError> {
    let mut addresses = Vec::new();
    for host in hosts.split([' ', ',']).filter(|host| !host.is_empty()) {
        let address = resolve_host(without_brackets(host))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    // Nothing at all is a name that can't be resolved.
    if addresses.is_empty() { resolve_host(hosts).map(|address| vec![address]) } else { Ok(addresses) }
}

/// An IPv6 address as it stands before a port, `[::1]`, without what it needs only there.
pub fn without_brackets(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.filter(|inner| inner.parse::<Ipv6Addr>().is_ok()).unwrap_or(host)
}

/// The address of `host`. Where a name has several, the first the resolver gives: its order is the
/// system's preference (`/etc/gai.conf`), and a server bound to one of them is predictable. All of
/// them is `0.0.0.0` or `::`.
fn resolve_host(host: &str) -> Result<IpAddr, ConfigError> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let unknown =
        |source| ConfigError::HostUnknown { flag: "--host", example: "127.0.0.1", host: host.to_owned(), source };
    let mut addresses = (host, 0).to_socket_addrs().map_err(|source| unknown(Some(source)))?;
    addresses.next().map(|address| address.ip()).ok_or_else(|| unknown(None))
}

/// The address of the admin endpoint; as `resolve_host`.
fn resolve_admin(address: &HostPort) -> Result<SocketAddr, ConfigError> {
    let (flag, example, host) = ("--admin-addr", "127.0.0.1:9116", address.to_string());
    let unknown = |source| ConfigError::HostUnknown { flag, example, host, source };
    match (address.host.as_str(), address.port).to_socket_addrs() {
        Ok(mut found) => found.next().ok_or_else(|| unknown(None)),
        Err(source) => Err(unknown(Some(source))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    const EIGHT: [usize; 8] = [0, 1, 2, 3, 8, 9, 10, 11];

    fn config(args: ServerArgs) -> Result<ServerConfig, ConfigError> {
        ServerConfig::from_args(args, &EIGHT).map(|(config, _)| config)
    }

    #[test]
    fn bounds_default_only_when_neither_is_given() {
        const NONE: u64 = u64::MAX;
        let gb = 1024 * 1024 * 1024;
        for (items_max, bytes_max, expected, line) in [
            (None, None, (1000, NONE), "bound: 1000 items (default); memory unlimited"),
            (Some(1000), None, (1000, NONE), "bound: 1000 items; memory unlimited"),
            (Some(9), None, (9, NONE), "bound: 9 items; memory unlimited"),
            (None, Some(gb), (NONE, gb), "bound: 1gb of memory; items unlimited"),
            (None, Some(1_000_001), (NONE, 1_000_001), "bound: 1000001 bytes of memory; items unlimited"),
            (Some(9), Some(gb), (9, gb), "bound: 9 items and 1gb of memory, whichever is reached first"),
            (Some(0), None, (NONE, NONE), "bound: none; items and memory unlimited"),
            (None, Some(0), (NONE, NONE), "bound: none; items and memory unlimited"),
            (Some(0), Some(gb), (NONE, gb), "bound: 1gb of memory; items unlimited"),
            (Some(9), Some(0), (9, NONE), "bound: 9 items; memory unlimited"),
        ] {
            let args = ServerArgs { items_max, bytes_max: bytes_max.map(ByteSize), ..ServerArgs::default() };
            let (config, warnings) = ServerConfig::from_args(args, &EIGHT).unwrap();
            assert_eq!((config.items_max, config.bytes_max), expected, "{items_max:?} {bytes_max:?}");
            assert_eq!(config.bounds_line(), line);
            assert_eq!(config.bounds_note().contains("AT MOST 1000 ITEMS"), line.contains("(default)"));
            assert_eq!(warnings.len(), usize::from(expected == (NONE, NONE)), "{warnings:?}");
        }
    }

    #[test]
    fn a_bound_without_its_unit_is_asked_about() {
        for (bytes, words) in [
            (512, &["512 bytes", "8 cores", "did you mean --max-memory 512mb?", "128kb"][..]),
            (1, &["1 byte:", "--max-memory 1mb?"]),
            (131_071, &["131071 bytes"]),
        ] {
            let args = ServerArgs { bytes_max: Some(ByteSize(bytes)), ..ServerArgs::default() };
            let error = ServerConfig::from_args(args, &EIGHT).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        let args = ServerArgs { bytes_max: Some(ByteSize(131_072)), ..ServerArgs::default() };
        assert!(ServerConfig::from_args(args, &EIGHT).is_ok());
    }

    #[test]
    fn each_core_gets_a_cpu_of_the_mask() {
        for (cores, listed, expected) in [
            (None, None, Some(EIGHT.to_vec())),
            (Some(1), None, Some(vec![0])),
            (Some(5), None, Some(vec![0, 1, 2, 3, 8])),
            (Some(8), None, Some(EIGHT.to_vec())),
            (Some(9), None, None),
            (Some(usize::MAX), None, None),
            (None, Some("8-9,1"), Some(vec![8, 9, 1])),
            (Some(3), Some("8-9,1"), Some(vec![8, 9, 1])),
            (Some(2), Some("8-9,1"), None),
            (None, Some("3-4"), None),
        ] {
            let listed: Option<CpuList> = listed.map(|text| text.parse().unwrap());
            let found = choose_cpus(cores, listed.clone(), &EIGHT);
            assert_eq!(found.ok(), expected, "{cores:?} {listed:?}");
        }
    }

    #[test]
    fn too_many_cores_says_how_many_there_are() {
        let error = config(ServerArgs { cores: Some(9), ..ServerArgs::default() }).unwrap_err().to_string();
        assert!(error.contains("--cores 9") && error.contains("8 CPUs (0-3,8-11)"), "{error}");
        let error = choose_cpus(Some(2), None, &[0]).unwrap_err().to_string();
        assert!(error.contains("1 CPU (0)"), "{error}");
        let error = choose_cpus(Some(2), Some("0".parse().unwrap()), &EIGHT).unwrap_err().to_string();
        assert!(error.contains("--cores 2 but --cpus lists 1 CPU"), "{error}");
    }

    #[test]
    fn a_bind_beyond_loopback_needs_a_key() {
        for (host, open) in [
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("localhost", true),
            ("0.0.0.0", false),
            ("::", false),
            ("10.0.0.1", false),
            ("192.168.1.1", false),
            ("8.8.8.8", false),
            ("fe80::1", false),
            ("::ffff:0.0.0.0", false),
            ("::ffff:10.0.0.1", false),
        ] {
            let args = ServerArgs { host: host.to_owned(), ..ServerArgs::default() };
            match config(args.clone()) {
                Ok(config) => {
                    assert!(open && config.hosts.iter().all(|host| host.to_canonical().is_loopback()), "{host}");
                }
                Err(error) => {
                    assert!(!open && matches!(error, ConfigError::Exposed { .. }), "{host}: {error}");
                    let line = error.to_string();
                    assert!(line.contains("--authkey-file") && line.contains("--host 127.0.0.1"), "{line}");
                }
            }
            let auth = AuthSources { flag: Some(b"key".to_vec()), ..AuthSources::default() };
            assert!(config(ServerArgs { auth, ..args }).unwrap().auth_key.is_some(), "{host}");
        }
    }

    #[test]
    fn several_hosts_are_listened_on() {
        let hosts = |text: &str| config(ServerArgs { host: text.to_owned(), ..ServerArgs::default() }).unwrap().hosts;
        let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        for text in ["127.0.0.1,::1", "127.0.0.1 ::1", "127.0.0.1, [::1],127.0.0.1"] {
            assert_eq!(hosts(text), both, "{text}");
        }
        assert_eq!(hosts("[::1]"), both[1..]);
        let args = ServerArgs { host: "127.0.0.1 10.0.0.1".to_owned(), ..ServerArgs::default() };
        assert!(matches!(config(args), Err(ConfigError::Exposed { host }) if host == Ipv4Addr::new(10, 0, 0, 1)));
    }

    #[test]
    fn core_ports_are_ports_and_not_the_port_of_all() {
        for (base, cores, port, fits) in [
            (None, 8, 5116, true),
            (Some(0), 8, 0, true),
            (Some(0), 8, 5116, true),
            (Some(7000), 8, 0, true),
            (Some(7000), 8, 6999, true),
            (Some(7000), 8, 7000, false),
            (Some(7000), 8, 7007, false),
            (Some(7000), 8, 7008, true),
            (Some(65535), 1, 5116, true),
            (Some(65535), 2, 5116, false),
            (Some(65528), 8, 5116, true),
            (Some(65529), 8, 5116, false),
        ] {
            let args = ServerArgs { core_ports: base, cores: Some(cores), port, ..ServerArgs::default() };
            let found = config(args).map(|config| config.core_ports);
            assert_eq!(found.as_ref().ok(), fits.then_some(&base), "{base:?} {cores} {port}: {found:?}");
        }
    }

    #[test]
    fn what_is_announced_is_an_address_or_a_name() {
        for (host, fits) in [
            ("cache.example.org", true),
            ("cache_1", true),
            ("10.0.0.1", true),
            ("fe80::1", true),
            ("", false),
            ("a b", false),
            ("a,b", false),
            ("[::1]", true),
            ("[cache]", false),
            ("10.0.0.1:80", false),
            ("a@b", false),
        ] {
            let args = ServerArgs { announce_host: Some(host.to_owned()), ..ServerArgs::default() };
            assert_eq!(config(args).is_ok(), fits, "{host}");
        }
    }

    #[test]
    fn a_name_without_an_address_is_an_error() {
        for host in ["", " ", "name.invalid", "127.0.0.1:80", "[127.0.0.1]", "[::1", "127.0.0.1 name.invalid"] {
            let error = config(ServerArgs { host: host.to_owned(), ..ServerArgs::default() }).unwrap_err();
            assert!(matches!(error, ConfigError::HostUnknown { .. }), "{host}: {error}");
        }
    }

    #[test]
    fn a_unix_path_fits_the_kernel() {
        for (len, fits) in [(0, false), (1, true), (UNIX_PATH_BYTES_MAX, true), (UNIX_PATH_BYTES_MAX + 1, false)] {
            let args = ServerArgs { unix_socket: Some("x".repeat(len).into()), ..ServerArgs::default() };
            assert_eq!(config(args).is_ok(), fits, "{len}");
        }
    }

    #[test]
    fn errors_are_one_line_with_a_fix() {
        let io = || io::Error::from_raw_os_error(libc::ENOENT);
        let origin = || "--authkey".to_owned();
        let cpus_allowed = || vec![0, 1];
        for error in [
            ConfigError::CoresTooMany { wanted: 3, cpus_allowed: cpus_allowed() },
            ConfigError::CpuNotAllowed { cpu: 2, cpus_allowed: cpus_allowed() },
            ConfigError::CoresUnlikeCpus { cores: 2, cpus: 3 },
            ConfigError::CorePortsBeyond { base: 65535, cores: 2 },
            ConfigError::CorePortsOverlap { base: 1, last: 2, port: 2 },
            ConfigError::AnnounceHost { host: "a\nb".to_owned() },
            ConfigError::HostUnknown { flag: "--host", example: "::1", host: "name".to_owned(), source: Some(io()) },
            ConfigError::HostUnknown { flag: "--host", example: "::1", host: "name".to_owned(), source: None },
            ConfigError::Exposed { host: Ipv4Addr::UNSPECIFIED.into() },
            ConfigError::KeyTwice,
            ConfigError::ItemsBelowCores { items_max: 1, cores: 2 },
            ConfigError::KeyEmpty { origin: origin() },
            ConfigError::KeyTooLong { origin: origin() },
            ConfigError::KeyFile { path: "/key".into(), source: io() },
            ConfigError::UnixPath { path: "".into() },
            ConfigError::Path { flag: "--data-dir", path: "".into(), source: io() },
            ConfigError::NoPidFile,
            FileError::Read { path: "/f".into(), source: io() }.into(),
        ] {
            let line = error.to_string();
            assert!(line.contains("; ") && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn every_core_has_room_for_an_item() {
        let args = |items| ServerArgs { items_max: Some(items), ..ServerArgs::default() };
        assert!(config(args(8)).is_ok());
        assert!(matches!(config(args(7)), Err(ConfigError::ItemsBelowCores { items_max: 7, cores: 8 })));
    }

    #[test]
    fn the_default_config_is_what_no_flags_mean() {
        let meant = ServerConfig::from_args(ServerArgs::default(), &[0]).unwrap().0;
        assert_eq!(format!("{meant:?}"), format!("{:?}", ServerConfig::default()));
    }
}
