//! The command line: `aspine server`, `aspine bench`, and the commands on snapshots.
//!
//! Here is what may be typed (clap types and help texts); `config` is what it means; each
//! subcommand has a file.
//! Never: decides anything about the host or the server. A value clap can't read ends the process
//! with 2 and clap's text; every other error is one line on stderr, `aspine: what failed: why; what
//! to do`, and 1.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::config::ServerArgs;
pub use self::error::Error;
use self::snapshot::{SnapshotArgs, SnapshotFlags};

mod auth;
mod bench;
pub mod config;
mod connect;
mod doctor;
mod error;
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
        Command::Doctor(flags) => doctor::run(flags),
    }
}

/// What was asked for.
enum Command {
    Server(Box<ServerArgs>),
    Bench(Box<bench::BenchArgs>),
    Save(SnapshotArgs),
    Load(SnapshotArgs, bool),
    Check(PathBuf),
    Doctor(doctor::DoctorFlags),
}

fn parse_command(args: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let matches = Cli::command().try_get_matches_from(args).map_err(Error::Usage)?;
    let cli = Cli::from_arg_matches(&matches).map_err(Error::Usage)?;
    // clap gives a variable and a flag the same place; which it was decides what overrides what.
    let takes_key = |matches: &&ArgMatches| matches.ids().any(|id| id == "authkey");
    let asked = matches.subcommand().map(|(_, matches)| matches).filter(takes_key);
    let key_source = asked.and_then(|matches| matches.value_source("authkey"));
    let authkey_is_env = key_source == Some(ValueSource::EnvVariable);
    Ok(match cli.command {
        CliCommand::Server(flags) => Command::Server(Box::new(flags.into_args(authkey_is_env))),
        CliCommand::Bench(flags) => Command::Bench(Box::new(flags.into_args(authkey_is_env))),
        CliCommand::Save(flags) => Command::Save(flags.into_args(authkey_is_env)),
        CliCommand::Load { flags, merge } => Command::Load(flags.into_args(authkey_is_env), merge),
        CliCommand::Check { file } => Command::Check(file),
        CliCommand::Doctor(flags) => Command::Doctor(flags),
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
    Server(Box<server::flags::ServerFlags>),
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
    /// Say whether this host is fit to serve from, and what to change; ends with 1 if the server
    /// would not start or would be killed, else with 0
    Doctor(doctor::DoctorFlags),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_commands_on_snapshots_arrive() {
        let parse =
            |words: &[&str]| parse_command(std::iter::once("aspine").chain(words.iter().copied()).map(OsString::from));
        let Ok(Command::Save(args)) = parse(&["save", "f", "--port", "7", "--authkey", "k"]) else { panic!("save") };
        assert_eq!(
            (args.name.as_deref(), args.server.port, args.server.auth.flag),
            (Some("f"), 7, Some(b"k".to_vec()))
        );
        let Ok(Command::Load(args, true)) = parse(&["load", "--merge", "--unixsocket", "/s"]) else { panic!("load") };
        assert_eq!(
            (args.name, args.server.host.as_str(), args.server.unix_socket),
            (None, "127.0.0.1", Some("/s".into()))
        );
        assert!(matches!(parse(&["load", "f"]), Ok(Command::Load(_, false))));
        assert!(matches!(parse(&["check", "/f"]), Ok(Command::Check(path)) if path == std::path::Path::new("/f")));
        assert!(matches!(parse(&["check"]), Err(Error::Usage(_))));
    }

    #[test]
    fn help_is_no_failure_and_hides_the_key() {
        let Err(Error::Usage(help)) = parse_command(["aspine", "server", "--help"].map(OsString::from)) else {
            panic!("no help")
        };
        assert_eq!(help.exit_code(), 0);
        let help = help.to_string();
        for word in ["ASPINE_AUTHKEY", "[default: 5116]", "[possible values: lru, none]", "SECONDS"] {
            assert!(help.contains(word), "{word} in {help}");
        }
        assert!(!help.contains("ASPINE_AUTHKEY="), "{help}");
    }
}
