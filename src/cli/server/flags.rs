//! The flags of `aspine server`: their types and bounds. Their names and help are in the table of settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::number::{mode, whole};
use crate::config::table::{self, DEBUG_ACCESSES, EVICTIONS, LOG_LEVELS, TRANSPORTS};
use crate::config::{
    AuthSources, ByteSize, CpuList, DebugAccess, Eviction, FORMER_NAMES, HostPort, LogLevel, OutputLimit, ServerArgs,
    Spin, Transport,
};
use crate::limits::{DATABASES, DRAIN_TIMEOUT_S_MAX, IDLE_TIMEOUT_S_MAX, TCP_KEEPALIVE_S_MAX};

/// The flags as clap parses them. Help, headings, names of values and defaults come from the table of settings
/// ([`describe`]).
#[derive(Args)]
pub(in crate::cli) struct ServerFlags {
    #[arg(long)]
    host: String,
    #[arg(long, value_parser = whole(0..=u16::MAX))]
    port: u16,
    #[arg(long, value_parser = whole(0..=u16::MAX))]
    core_ports: Option<u16>,
    #[arg(long)]
    announce_host: Option<String>,
    #[arg(long)]
    unixsocket: Option<PathBuf>,
    #[arg(long, value_parser = mode)]
    unixsocketperm: Option<u32>,
    #[arg(long, value_parser = whole(1..=u32::MAX))]
    maxclients: u32,
    #[arg(long, value_parser = whole(0..=IDLE_TIMEOUT_S_MAX))]
    timeout: u64,
    #[arg(long, value_parser = whole(0..=TCP_KEEPALIVE_S_MAX))]
    tcp_keepalive: u64,
    #[arg(long)]
    client_output_limit: OutputLimit,
    #[arg(long, value_parser = whole(1..=u32::MAX))]
    cores: Option<u32>,
    #[arg(long)]
    cpus: Option<CpuList>,
    #[arg(long, value_parser = whole(0..=i64::MAX as u64))]
    tracking_table_max_keys: u64,
    #[arg(long, alias = FORMER_NAMES[0].0)]
    spin: Spin,
    #[arg(long, value_parser = one_of(&TRANSPORTS))]
    transport: Transport,
    #[arg(long, value_parser = whole(0..=u64::MAX))]
    max_size: Option<u64>,
    #[arg(long)]
    max_memory: Option<ByteSize>,
    #[arg(long, value_parser = one_of(&EVICTIONS))]
    eviction: Eviction,
    #[arg(long, value_parser = whole(1..=DATABASES as u8))]
    databases: u8,
    #[arg(long, env = "ASPINE_AUTHKEY", hide_env_values = true)]
    authkey: Option<OsString>,
    #[arg(long)]
    authkey_file: Option<PathBuf>,
    #[arg(long, value_parser = one_of(&DEBUG_ACCESSES))]
    enable_debug_command: DebugAccess,
    #[arg(long)]
    data_dir: Option<PathBuf>,
    #[arg(long)]
    persist: bool,
    #[arg(long, value_parser = whole(1..=IDLE_TIMEOUT_S_MAX))]
    snapshot_interval: u64,
    #[arg(long)]
    snapshot_bandwidth: ByteSize,
    #[arg(long)]
    admin_addr: Option<HostPort>,
    #[arg(long, value_parser = one_of(&LOG_LEVELS))]
    log_level: LogLevel,
    #[arg(long)]
    log_file: Option<PathBuf>,
    #[arg(long, value_parser = whole(0..=DRAIN_TIMEOUT_S_MAX))]
    drain_timeout: u64,
    #[arg(long)]
    daemon: bool,
    #[arg(long)]
    pid_file: Option<PathBuf>,
    #[arg(long)]
    pub(in crate::cli) config: Option<PathBuf>,
    #[arg(long)]
    pub(in crate::cli) check: bool,
    #[arg(long, hide = true)]
    end_with_parent: Option<u32>,
}

impl ServerFlags {
    /// The arguments in plain types.
    pub(in crate::cli) fn into_args(self, authkey_is_env: bool) -> ServerArgs {
        ServerArgs {
            host: self.host,
            port: self.port,
            core_ports: self.core_ports,
            announce_host: self.announce_host,
            cores: self.cores.map(|cores| cores as usize),
            cpus: self.cpus,
            unix_socket: self.unixsocket,
            unix_socket_mode: self.unixsocketperm,
            auth: AuthSources::new(self.authkey, authkey_is_env, self.authkey_file),
            items_max: self.max_size,
            bytes_max: self.max_memory,
            eviction: self.eviction,
            databases: self.databases,
            maxclients: self.maxclients,
            idle_timeout_s: self.timeout,
            tcp_keepalive_s: self.tcp_keepalive,
            output_limit: self.client_output_limit,
            tracked_keys_max: self.tracking_table_max_keys,
            spin: self.spin,
            transport: self.transport,
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
            notes: Vec::new(),
            parent: self.end_with_parent,
        }
    }
}

/// Adds the texts of the table of settings to the flags.
pub(in crate::cli) fn describe(server: clap::Command) -> clap::Command {
    server.mut_args(|arg| {
        let Some(row) = arg.get_long().and_then(table::of_flag) else { return arg };
        let mut arg = arg.help(row.help);
        if !row.value_name.is_empty() {
            arg = arg.value_name(row.value_name);
        }
        if !row.heading.is_empty() {
            arg = arg.help_heading(row.heading);
        }
        match row.default {
            // The parser takes types without a default for required.
            Some(default) => arg.default_value(default).required(false),
            None => arg,
        }
    })
}

/// A parser for one of several names.
fn one_of<T: Copy + Send + Sync + 'static>(names: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    let first = names[0].1;
    PossibleValuesParser::new(names.iter().map(|(name, _)| *name))
        .map(move |typed| names.iter().find(|(name, _)| *name == typed).map_or(first, |(_, value)| *value))
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
        // The variable may be set where the tests run; it is not a default.
        let mut args = parse(&[]).unwrap();
        args.auth.env = None;
        assert_eq!(format!("{args:?}"), format!("{:?}", ServerArgs::default()));
    }

    #[test]
    fn former_names_still_serve() {
        assert_eq!(parse(&["--spin-us", "100"]).unwrap().spin, Spin::For(100));
        assert_eq!(parse(&["--spin-us=0"]).unwrap().spin, Spin::Off);
        for (former, name) in FORMER_NAMES {
            assert_eq!(table::of_flag(former).map(|row| row.flag), Some(name));
        }
    }

    #[test]
    fn every_flag_has_its_row() {
        let program = crate::cli::command();
        let server = program.find_subcommand("server").unwrap();
        let flags: Vec<_> =
            server.get_arguments().filter_map(|arg| arg.get_long()).filter(|long| *long != "help").collect();
        let rows: Vec<_> = table::SETTINGS.iter().map(|row| row.flag).filter(|flag| !flag.is_empty()).collect();
        assert_eq!(flags, rows);
        for arg in server.get_arguments().filter(|arg| arg.get_long() != Some("help")) {
            let row = table::of_flag(arg.get_long().unwrap()).unwrap();
            let is_switch = matches!(arg.get_action(), clap::ArgAction::SetTrue);
            assert!(is_switch == (row.kind == table::Kind::Switch) || row.kind == table::Kind::Action, "{}", row.flag);
        }
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
            "--unixsocketperm",
            "0770",
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
            "--tcp-keepalive",
            "60",
            "--client-output-limit",
            "1mb 2 3",
            "--spin",
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
        ])
        .unwrap();
        assert_eq!((args.host.as_str(), args.port, args.cores), ("::1", 0, Some(2)));
        assert_eq!((args.core_ports, args.announce_host.as_deref()), (Some(7000), Some("h")));
        assert_eq!(args.cpus.map(CpuList::into_vec), Some(vec![0, 3, 4]));
        assert_eq!((args.unix_socket, args.unix_socket_mode), (Some("/s".into()), Some(0o770)));
        assert_eq!((args.auth.flag, args.auth.file), (Some(b"k".to_vec()), Some("/k".into())));
        assert_eq!((args.items_max, args.bytes_max), (Some(7), Some(ByteSize(2048))));
        assert!(matches!(args.eviction, Eviction::None));
        assert_eq!((args.maxclients, args.idle_timeout_s, args.spin), (9, 30, Spin::For(100)));
        assert_eq!(args.tcp_keepalive_s, 60);
        assert_eq!(args.output_limit, OutputLimit { hard_bytes: 1 << 20, soft_bytes: 2, soft_s: 3 });
        assert_eq!(args.debug, DebugAccess::Local);
        assert_eq!((args.data_dir, args.persist), (Some("/d".into()), true));
        assert_eq!((args.snapshot_interval_s, args.snapshot_bandwidth), (5, ByteSize(1 << 20)));
    }

    #[test]
    fn flags_of_the_process_arrive() {
        let args = parse(&["--drain-timeout", "9", "--daemon", "--pid-file", "/p", "--check"]).unwrap();
        assert_eq!((args.drain_timeout_s, args.daemon, args.pid_file), (9, true, Some("/p".into())));
        assert!(args.check);
        let args = parse(&["--admin-addr", "localhost:9116", "--log-level", "trace", "--log-file", "/l"]).unwrap();
        assert_eq!(args.admin_addr, Some(HostPort { host: "localhost".to_owned(), port: 9116 }));
        assert_eq!((args.log_level, args.log_file), (LogLevel::Trace, Some("/l".into())));
    }

    #[test]
    fn a_bad_value_names_flag_text_and_example() {
        for (flag, value, words) in [
            ("--max-memory", "5x", &["for example 512mb"][..]),
            ("--cpus", "0-", &["for example 0,2-5"]),
            ("--cpus", "1,1", &["CPU 1 is listed twice"]),
            ("--cores", "0", &["a whole number from 1 to 4294967295"]),
            ("--cores", "-1", &["a whole number from 1"]),
            ("--port", "65536", &["a whole number from 0 to 65535"]),
            ("--port", "http", &["a whole number from 0 to 65535"]),
            ("--core-ports", "65536", &["a whole number from 0 to 65535"]),
            ("--maxclients", "0", &["a whole number from 1 to"]),
            ("--databases", "0", &["a whole number from 1 to 16"]),
            ("--databases", "17", &["a whole number from 1 to 16"]),
            ("--max-size", "many", &["a whole number of 0 or more"]),
            ("--timeout", "4294967296", &["a whole number from 0 to"]),
            ("--timeout", "5s", &["leave out the unit s"]),
            ("--tcp-keepalive", "32768", &["a whole number from 0 to 32767"]),
            ("--spin", "1000001", &["auto, off, or a whole number from 0 to 1000000"]),
            ("--spin", "on", &["auto, off, or a whole number from 0 to 1000000"]),
            ("--drain-timeout", "86401", &["a whole number from 0 to 86400"]),
            ("--client-output-limit", "1mb 2mb", &["for example '32mb 8mb 60'"]),
            ("--eviction", "random", &["s3fifo", "lru", "none"]),
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
