//! What may be typed after `aspine server`. The doc comments of the fields are the help texts.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, value_parser};

use crate::config::{
    AuthSources, ByteSize, CpuList, DebugAccess, Eviction, HostPort, LogLevel, OutputLimit, ServerArgs,
};
use crate::limits::{
    DRAIN_TIMEOUT_S_DEFAULT, DRAIN_TIMEOUT_S_MAX, IDLE_TIMEOUT_S_DEFAULT, IDLE_TIMEOUT_S_MAX, MAXCLIENTS_DEFAULT,
    PORT_DEFAULT, SNAPSHOT_INTERVAL_S_DEFAULT, SPIN_US_DEFAULT, SPIN_US_MAX, TRACKED_KEYS_MAX_DEFAULT,
};

const NETWORK: &str = "Network";
const CORES: &str = "Cores";
const BOUNDS: &str = "Bounds";
const ACCESS: &str = "Access";
const SNAPSHOTS: &str = "Snapshots";
const LOG: &str = "Log";
const WATCH: &str = "Watching";
const PROCESS: &str = "Process";

#[derive(Args)]
pub(in crate::cli) struct ServerFlags {
    /// IP address or host name to listen on (of a name's addresses, the first); one beyond loopback
    /// needs a key
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1", help_heading = NETWORK)]
    host: String,

    /// TCP port; 0 picks a free one and logs it
    #[arg(long, value_name = "PORT", default_value_t = PORT_DEFAULT, help_heading = NETWORK)]
    port: u16,

    /// Core i also listens on port BASE + i, for clients that go straight to the core that owns a key: Aspine's own, and
    /// cluster clients, to which each core is a node of a cluster; 0 picks free ones
    #[arg(long, value_name = "BASE", help_heading = NETWORK)]
    core_ports: Option<u16>,

    /// IP address or host name that clients are told to connect to for the ports of --core-ports [default: the address
    /// that they have connected to]
    #[arg(long, value_name = "HOST", help_heading = NETWORK)]
    announce_host: Option<String>,

    /// Also listen on a Unix socket at PATH (at most 107 bytes)
    #[arg(long, value_name = "PATH", help_heading = NETWORK)]
    unixsocket: Option<PathBuf>,

    /// Clients connected at once; lowered, with a warning, where the file descriptor limit is
    /// smaller
    #[arg(long, value_name = "N", default_value_t = MAXCLIENTS_DEFAULT, help_heading = NETWORK)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    maxclients: u32,

    /// Close clients that are idle for so many seconds; 0 = never
    #[arg(long, value_name = "SECONDS", default_value_t = IDLE_TIMEOUT_S_DEFAULT, help_heading = NETWORK)]
    #[arg(value_parser = value_parser!(u64).range(..=IDLE_TIMEOUT_S_MAX))]
    timeout: u64,

    /// Output that may wait for a client that does not read what is pushed to it: bytes at which it is cut off, bytes
    /// that may wait for so many seconds; 0 = unlimited
    #[arg(long, value_name = "HARD SOFT SECONDS", default_value = "32mb 8mb 60", help_heading = NETWORK)]
    client_output_limit: OutputLimit,

    /// How many cores to run, each on a CPU of its own [default: every CPU this process may run on]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..), help_heading = CORES)]
    cores: Option<u32>,

    /// Which CPUs to run on, one core each, for example 0,2-5 [default: the first N allowed]
    #[arg(long, value_name = "LIST", help_heading = CORES)]
    cpus: Option<CpuList>,

    /// Keys to remember for clients that read them and track (CLIENT TRACKING); 0 = unlimited
    #[arg(long, value_name = "KEYS", default_value_t = TRACKED_KEYS_MAX_DEFAULT, help_heading = BOUNDS)]
    #[arg(value_parser = value_parser!(u64).range(..=i64::MAX as u64))]
    tracking_table_max_keys: u64,

    /// Microseconds an idle core polls before it sleeps: lower latency for CPU time
    #[arg(long, value_name = "MICROSECONDS", default_value_t = SPIN_US_DEFAULT, help_heading = CORES)]
    #[arg(value_parser = value_parser!(u64).range(..=SPIN_US_MAX))]
    spin_us: u64,

    /// Items to keep; 0 = unlimited [default: 1000, or unlimited if --max-memory is given]
    #[arg(long, value_name = "ITEMS", help_heading = BOUNDS)]
    max_size: Option<u64>,

    /// Memory to keep items in, keys, values and overhead, in bytes or as 512mb, 4gb; 0 = unlimited
    /// [default: unlimited]
    #[arg(long, value_name = "BYTES", help_heading = BOUNDS)]
    max_memory: Option<ByteSize>,

    /// When full: drop the least recently used items, or refuse writes
    #[arg(long, value_name = "POLICY", default_value = "lru", value_parser = eviction_parser(), help_heading = BOUNDS)]
    eviction: Eviction,

    /// Key that clients must show (AUTH); other users see it in the process list, so prefer the
    /// variable or the file
    #[arg(long, value_name = "KEY", env = "ASPINE_AUTHKEY", hide_env_values = true, help_heading = ACCESS)]
    authkey: Option<OsString>,

    /// File whose first line is the key
    #[arg(long, value_name = "PATH", help_heading = ACCESS)]
    authkey_file: Option<PathBuf>,

    /// From where DEBUG is taken: nowhere, this machine, anywhere
    #[arg(long, value_name = "WHO", default_value = "no", value_parser = debug_parser(), help_heading = ACCESS)]
    enable_debug_command: DebugAccess,

    /// Directory of snapshots, made when it is needed [default: aspine-data, where the server is
    /// started]
    #[arg(long, value_name = "PATH", help_heading = SNAPSHOTS)]
    data_dir: Option<PathBuf>,

    /// Begin with the last snapshot, take one every now and then, and one at the end
    #[arg(long, help_heading = SNAPSHOTS)]
    persist: bool,

    /// With --persist: seconds between snapshots; none is taken while nothing changes
    #[arg(long, value_name = "SECONDS", default_value_t = SNAPSHOT_INTERVAL_S_DEFAULT, help_heading = SNAPSHOTS)]
    #[arg(value_parser = value_parser!(u64).range(1..=IDLE_TIMEOUT_S_MAX))]
    snapshot_interval: u64,

    /// Bytes a second that a snapshot may write, as 100mb; 0 = unlimited. What changes meanwhile is
    /// written at once
    #[arg(long, value_name = "BYTES", default_value = "0", help_heading = SNAPSHOTS)]
    snapshot_bandwidth: ByteSize,

    /// Tell whoever watches by HTTP at HOST:PORT: /metrics for Prometheus, /healthz, /readyz; no key is asked
    /// [default: off]
    #[arg(long, value_name = "HOST:PORT", help_heading = WATCH)]
    admin_addr: Option<HostPort>,

    /// Least severe level to log
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level_parser(), help_heading = LOG)]
    log_level: LogLevel,

    /// Append the log to a file, opened again at SIGHUP [default: stderr]
    #[arg(long, value_name = "PATH", help_heading = LOG)]
    log_file: Option<PathBuf>,

    /// Seconds that clients are waited for at the end (SIGTERM): what was read is answered and delivered; 0 = not at all
    #[arg(long, value_name = "SECONDS", default_value_t = DRAIN_TIMEOUT_S_DEFAULT, help_heading = PROCESS)]
    #[arg(value_parser = value_parser!(u64).range(..=DRAIN_TIMEOUT_S_MAX))]
    drain_timeout: u64,

    /// Leave the terminal; return 0 once the server is ready, or say why it is not
    #[arg(long, help_heading = PROCESS)]
    daemon: bool,

    /// Where to write the process id, held by a lock while the server runs [default with --daemon: /run/aspine/aspine.pid,
    /// or $XDG_RUNTIME_DIR/aspine.pid unless root]
    #[arg(long, value_name = "PATH", help_heading = PROCESS)]
    pid_file: Option<PathBuf>,

    /// Settings in TOML: the long names of these flags, as max-memory = "4gb". Flags and the environment win
    #[arg(long, value_name = "FILE", help_heading = PROCESS)]
    pub(in crate::cli) config: Option<PathBuf>,

    /// Check the settings and this machine, print the settings that would be in force, and start nothing
    #[arg(long, help_heading = PROCESS)]
    pub(in crate::cli) check: bool,

    /// End when the process PID, which has started this one, ends
    #[arg(long, value_name = "PID", hide = true)]
    end_with_parent: Option<u32>,
}

impl ServerFlags {
    /// What was typed, in plain types.
    pub(in crate::cli) fn into_args(self, authkey_is_env: bool) -> ServerArgs {
        ServerArgs {
            host: self.host,
            port: self.port,
            core_ports: self.core_ports,
            announce_host: self.announce_host,
            cores: self.cores.map(|cores| cores as usize),
            cpus: self.cpus,
            unix_socket: self.unixsocket,
            auth: AuthSources::new(self.authkey, authkey_is_env, self.authkey_file),
            items_max: self.max_size,
            bytes_max: self.max_memory,
            eviction: self.eviction,
            maxclients: self.maxclients,
            idle_timeout_s: self.timeout,
            output_limit: self.client_output_limit,
            tracked_keys_max: self.tracking_table_max_keys,
            spin_us: self.spin_us,
            debug: self.enable_debug_command,
            data_dir: self.data_dir,
            persist: self.persist,
            snapshot_interval_s: self.snapshot_interval,
            snapshot_bandwidth: self.snapshot_bandwidth,
            admin_addr: self.admin_addr,
            log_level: self.log_level,
            log_file: self.log_file,
            drain_timeout_s: self.drain_timeout,
            daemon: self.daemon,
            pid_file: self.pid_file,
            check: self.check,
            settings: Vec::new(),
            notes: Vec::new(),
            parent: self.end_with_parent,
        }
    }
}

fn eviction_parser() -> impl TypedValueParser<Value = Eviction> {
    PossibleValuesParser::new(["lru", "none"]).map(|name| match name.as_str() {
        "none" => Eviction::None,
        _ => Eviction::Lru,
    })
}

fn debug_parser() -> impl TypedValueParser<Value = DebugAccess> {
    PossibleValuesParser::new(["no", "local", "yes"]).map(|name| match name.as_str() {
        "yes" => DebugAccess::Yes,
        "local" => DebugAccess::Local,
        _ => DebugAccess::No,
    })
}

fn log_level_parser() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"]).map(|name| match name.as_str() {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => LogLevel::Info,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Error, parse_command};

    fn parse(flags: &[&str]) -> Result<ServerArgs, Error> {
        let args = ["aspine", "server"].iter().chain(flags).map(OsString::from);
        parse_command(args).map(|command| match command {
            Command::Server(args) => *args,
            _ => panic!("the word is server"),
        })
    }

    #[test]
    fn no_flags_are_the_defaults() {
        // The variable may be set where the tests run; it is no default.
        let mut args = parse(&[]).unwrap();
        args.auth.env = None;
        assert_eq!(format!("{args:?}"), format!("{:?}", ServerArgs::default()));
    }

    #[test]
    fn every_flag_arrives() {
        let args = parse(&[
            "--host",
            "::1",
            "--port",
            "0",
            "--core-ports",
            "7000",
            "--announce-host",
            "h",
            "--cores",
            "2",
            "--cpus",
            "0,3-4",
            "--unixsocket",
            "/s",
            "--authkey",
            "k",
            "--authkey-file",
            "/k",
            "--max-size",
            "7",
            "--max-memory",
            "2KB",
            "--eviction",
            "none",
            "--maxclients",
            "9",
            "--timeout",
            "30",
            "--client-output-limit",
            "1mb 2 3",
            "--spin-us",
            "100",
            "--enable-debug-command",
            "local",
            "--data-dir",
            "/d",
            "--persist",
            "--snapshot-interval",
            "5",
            "--snapshot-bandwidth",
            "1mb",
            "--admin-addr",
            "localhost:9116",
            "--log-level",
            "trace",
            "--log-file",
            "/l",
        ])
        .unwrap();
        assert_eq!((args.host.as_str(), args.port, args.cores), ("::1", 0, Some(2)));
        assert_eq!((args.core_ports, args.announce_host.as_deref()), (Some(7000), Some("h")));
        assert_eq!(args.cpus.map(CpuList::into_vec), Some(vec![0, 3, 4]));
        assert_eq!(args.unix_socket, Some("/s".into()));
        assert_eq!((args.auth.flag, args.auth.file), (Some(b"k".to_vec()), Some("/k".into())));
        assert_eq!((args.items_max, args.bytes_max), (Some(7), Some(ByteSize(2048))));
        assert!(matches!(args.eviction, Eviction::None));
        assert_eq!((args.maxclients, args.idle_timeout_s, args.spin_us), (9, 30, 100));
        assert_eq!(args.output_limit, OutputLimit { hard_bytes: 1 << 20, soft_bytes: 2, soft_s: 3 });
        assert_eq!(args.debug, DebugAccess::Local);
        assert_eq!((args.data_dir, args.persist), (Some("/d".into()), true));
        assert_eq!((args.snapshot_interval_s, args.snapshot_bandwidth), (5, ByteSize(1 << 20)));
        assert_eq!(args.admin_addr, Some(HostPort { host: "localhost".to_owned(), port: 9116 }));
        assert_eq!((args.log_level, args.log_file), (LogLevel::Trace, Some("/l".into())));
    }

    #[test]
    fn flags_of_the_process_arrive() {
        let args = parse(&["--drain-timeout", "9", "--daemon", "--pid-file", "/p", "--check"]).unwrap();
        assert_eq!((args.drain_timeout_s, args.daemon, args.pid_file), (9, true, Some("/p".into())));
        assert!(args.check && args.settings.contains(&("drain-timeout".to_owned(), "9".to_owned())));
    }

    #[test]
    fn a_bad_value_names_flag_text_and_example() {
        for (flag, value, words) in [
            ("--max-memory", "5x", &["for example 512mb"][..]),
            ("--cpus", "0-", &["for example 0,2-5"]),
            ("--cpus", "1,1", &["CPU 1 is listed twice"]),
            ("--cores", "0", &[]),
            ("--cores", "-1", &[]),
            ("--port", "65536", &[]),
            ("--core-ports", "65536", &[]),
            ("--maxclients", "0", &[]),
            ("--max-size", "many", &[]),
            ("--timeout", "4294967296", &[]),
            ("--spin-us", "1000001", &[]),
            ("--drain-timeout", "86401", &[]),
            ("--client-output-limit", "1mb 2mb", &["for example '32mb 8mb 60'"]),
            ("--eviction", "random", &["lru", "none"]),
            ("--enable-debug-command", "maybe", &["local"]),
            ("--log-level", "loud", &["warn"]),
            ("--admin-addr", "localhost", &["for example 127.0.0.1:9116"]),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            let text = error.to_string();
            for word in [flag, value].iter().chain(words) {
                assert!(text.contains(word), "{word} in {text}");
            }
            assert!(matches!(error, Error::Usage(error) if error.exit_code() == 2), "{flag}");
        }
    }
}
