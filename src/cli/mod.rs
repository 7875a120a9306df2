//! The command line: `aspine server`, `aspine bench`, and the commands on snapshots.
//!
//! Here is what may be typed (clap types and help texts); `config` is what it means; each
//! subcommand has a file.
//! Never: decides anything about the host or the server. A value clap can't read ends the process
//! with 2 and clap's text; every other error is one line on stderr, `aspine: what failed: why; what
//! to do`, and 1.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};

use self::config::{
    AuthSources, ByteSize, ConfigError, CpuList, DebugAccess, Eviction, LogLevel, OutputLimit, ServerArgs,
};
use self::snapshot::SnapshotArgs;
use crate::limits::{
    IDLE_TIMEOUT_S_DEFAULT, IDLE_TIMEOUT_S_MAX, MAXCLIENTS_DEFAULT, PORT_DEFAULT, SNAPSHOT_INTERVAL_S_DEFAULT,
    SPIN_US_DEFAULT, SPIN_US_MAX, TRACKED_KEYS_MAX_DEFAULT,
};
use crate::loadgen::BenchError;
use crate::runtime::preflight::StartError;

mod auth;
mod bench;
pub mod config;
mod parse;
pub mod server;
pub mod snapshot;

/// Parses the command line of this process and runs it to its end.
pub fn run() -> Result<(), Error> {
    match parse_command(std::env::args_os())? {
        Command::Server(args) => server::run(*args),
        Command::Bench(args) => bench::run(&args),
        Command::Save(args) => snapshot::save(&args).map_err(Error::Snapshot),
        Command::Load(args, merge) => snapshot::load(&args, merge).map_err(Error::Snapshot),
        Command::Check(path) => snapshot::check(&path).map_err(Error::Snapshot),
    }
}

/// Why a command ended badly.
#[derive(Debug)]
pub enum Error {
    /// What was typed is no command line; also how `--help` and `--version` end.
    Usage(clap::Error),
    /// What was typed does not make a configuration on this machine.
    Config(ConfigError),
    /// The server could not start, or went down.
    Start(StartError),
    /// A measurement could not be made, or is not to be trusted.
    Bench(BenchError),
    /// A snapshot could not be taken, loaded or read. One line.
    Snapshot(String),
}

impl Error {
    /// Says on stderr what happened and returns the exit code: 2 for usage, else 1.
    pub fn report(&self) -> ExitCode {
        if let Error::Usage(error) = self {
            // Help goes to stdout and counts as success. Nobody is left to tell if printing fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        // A name or path that was typed may hold a line break. Not `eprintln`, which panics where
        // stderr is closed.
        let line = self.to_string().replace('\n', " ");
        let _ = writeln!(io::stderr(), "aspine: {line}");
        ExitCode::FAILURE
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(error) => error.fmt(f),
            Error::Config(error) => error.fmt(f),
            Error::Start(error) => error.fmt(f),
            Error::Bench(error) => error.fmt(f),
            Error::Snapshot(line) => f.write_str(line),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Usage(error) => Some(error),
            Error::Config(error) => Some(error),
            Error::Start(error) => Some(error),
            Error::Bench(error) => Some(error),
            Error::Snapshot(_) => None,
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Error::Config(error)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        Error::Start(error)
    }
}

impl From<BenchError> for Error {
    fn from(error: BenchError) -> Self {
        Error::Bench(error)
    }
}

/// What was asked for.
enum Command {
    Server(Box<ServerArgs>),
    Bench(Box<bench::BenchArgs>),
    Save(SnapshotArgs),
    Load(SnapshotArgs, bool),
    Check(PathBuf),
}

fn parse_command(args: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let matches = Cli::command().try_get_matches_from(args).map_err(Error::Usage)?;
    let cli = Cli::from_arg_matches(&matches).map_err(Error::Usage)?;
    // clap gives a variable and a flag the same place; which it was decides what overrides what.
    let asked = matches.subcommand().filter(|(name, _)| *name != "check");
    let key_source = asked.and_then(|(_, matches)| matches.value_source("authkey"));
    let authkey_is_env = key_source == Some(ValueSource::EnvVariable);
    Ok(match cli.command {
        CliCommand::Server(flags) => Command::Server(Box::new(flags.into_args(authkey_is_env))),
        CliCommand::Bench(flags) => Command::Bench(Box::new(flags.into_args(authkey_is_env))),
        CliCommand::Save(flags) => Command::Save(flags.into_args(authkey_is_env)),
        CliCommand::Load { flags, merge } => Command::Load(flags.into_args(authkey_is_env), merge),
        CliCommand::Check { file } => Command::Check(file),
    })
}

/// In-memory cache server for latency-critical Linux deployments, speaking the Redis protocol
#[derive(Parser)]
#[command(name = "aspine", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Run the server: one pinned thread per core, in the foreground, until SIGTERM or SIGINT
    Server(Box<ServerFlags>),
    /// Measure a server: this one, or any that speaks the Redis protocol or memcached's
    Bench(Box<bench::flags::BenchFlags>),
    /// Have a running server take a snapshot, and wait for it
    Save(SnapshotFlags),
    /// Have a running server load a snapshot of its data directory
    Load {
        #[command(flatten)]
        flags: SnapshotFlags,

        /// Keep what there is; a key that is in both gets the snapshot's value
        #[arg(long)]
        merge: bool,
    },
    /// Read a snapshot through, say what is in it, and whether and where it is damaged
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Args)]
struct SnapshotFlags {
    /// File in the server's data directory [default: dump.aspine]
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Where the server is
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,

    /// Its port
    #[arg(long, value_name = "PORT", default_value_t = PORT_DEFAULT)]
    port: u16,

    /// Its Unix socket, instead of host and port
    #[arg(long, value_name = "PATH")]
    unixsocket: Option<PathBuf>,

    /// Its key; other users see it in the process list, so prefer the variable or the file
    #[arg(long, value_name = "KEY", env = "ASPINE_AUTHKEY", hide_env_values = true)]
    authkey: Option<OsString>,

    /// File whose first line is its key
    #[arg(long, value_name = "PATH")]
    authkey_file: Option<PathBuf>,
}

impl SnapshotFlags {
    fn into_args(self, authkey_is_env: bool) -> SnapshotArgs {
        SnapshotArgs {
            name: self.name,
            host: self.host,
            port: self.port,
            unix_socket: self.unixsocket,
            auth: AuthSources::new(self.authkey, authkey_is_env, self.authkey_file),
        }
    }
}

// The doc comments below are the help texts.
#[derive(Args)]
struct ServerFlags {
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

    /// Least severe level to log
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level_parser(), help_heading = LOG)]
    log_level: LogLevel,

    /// Append the log to a file [default: stderr]
    #[arg(long, value_name = "PATH", help_heading = LOG)]
    log_file: Option<PathBuf>,

    /// End when the process PID, which has started this one, ends
    #[arg(long, value_name = "PID", hide = true)]
    end_with_parent: Option<u32>,
}

const NETWORK: &str = "Network";
const CORES: &str = "Cores";
const BOUNDS: &str = "Bounds";
const ACCESS: &str = "Access";
const SNAPSHOTS: &str = "Snapshots";
const LOG: &str = "Log";

impl ServerFlags {
    fn into_args(self, authkey_is_env: bool) -> ServerArgs {
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
            log_level: self.log_level,
            log_file: self.log_file,
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

    fn parse(flags: &[&str]) -> Result<ServerArgs, Error> {
        let args = ["aspine", "server"].iter().chain(flags).map(OsString::from);
        parse_command(args).map(|command| match command {
            Command::Server(args) => *args,
            _ => panic!("the word is server"),
        })
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
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
        assert_eq!((args.log_level, args.log_file), (LogLevel::Trace, Some("/l".into())));
    }

    #[test]
    fn the_commands_on_snapshots_arrive() {
        let parse =
            |words: &[&str]| parse_command(std::iter::once("aspine").chain(words.iter().copied()).map(OsString::from));
        let Ok(Command::Save(args)) = parse(&["save", "f", "--port", "7", "--authkey", "k"]) else { panic!("save") };
        assert_eq!((args.name.as_deref(), args.port, args.auth.flag), (Some("f"), 7, Some(b"k".to_vec())));
        let Ok(Command::Load(args, true)) = parse(&["load", "--merge", "--unixsocket", "/s"]) else { panic!("load") };
        assert_eq!((args.name, args.host.as_str(), args.unix_socket), (None, "127.0.0.1", Some("/s".into())));
        assert!(matches!(parse(&["load", "f"]), Ok(Command::Load(_, false))));
        assert!(matches!(parse(&["check", "/f"]), Ok(Command::Check(path)) if path == std::path::Path::new("/f")));
        assert!(matches!(parse(&["check"]), Err(Error::Usage(_))));
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
            ("--client-output-limit", "1mb 2mb", &["for example '32mb 8mb 60'"]),
            ("--eviction", "random", &["lru", "none"]),
            ("--enable-debug-command", "maybe", &["local"]),
            ("--log-level", "loud", &["warn"]),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            let text = error.to_string();
            for word in [flag, value].iter().chain(words) {
                assert!(text.contains(word), "{word} in {text}");
            }
            assert!(matches!(error, Error::Usage(error) if error.exit_code() == 2), "{flag}");
        }
    }

    #[test]
    fn help_is_no_failure_and_hides_the_key() {
        let Err(Error::Usage(help)) = parse(&["--help"]) else { panic!("no help") };
        assert_eq!(help.exit_code(), 0);
        let help = help.to_string();
        for word in ["ASPINE_AUTHKEY", "[default: 5116]", "[possible values: lru, none]", "SECONDS"] {
            assert!(help.contains(word), "{word} in {help}");
        }
        assert!(!help.contains("ASPINE_AUTHKEY="), "{help}");
    }
}
