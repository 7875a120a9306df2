//! The command line: the server, the commands to a running one, the load generator.
//!
//! Here is the syntax (clap types and help texts); `crate::config` has the meaning; each subcommand has a
//! file.
//! Never: decides anything about the host or the server. A value that clap can't parse ends the
//! process with 2 and clap's text; every other error is one line on stderr, `aspine: what failed:
//! why; what to do`, and one of the exit codes of `error`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use self::connect::{AskArgs, AskFlags};
use self::error::EXIT_CODES;
pub use self::error::Error;
use self::snapshot::{SnapshotArgs, SnapshotFlags};
use crate::config::{ConfigError, ServerArgs};

mod ask;
mod bench;
mod conn;
mod connect;
mod doctor;
mod documents;
mod error;
mod import;
mod info;
mod number;
mod peer;
pub mod server;
pub mod snapshot;
mod stop;

/// Parses the command line of this process and runs it to its end.
pub fn run() -> Result<(), Error> {
    match parse_command(std::env::args_os())? {
        Command::Server(args) => server::run(*args),
        Command::Bench(args) => bench::run(&args),
        Command::Stop(args) => stop::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Clear(args, yes) => ask::clear(&args, yes),
        Command::Ping(args) => ask::ping(&args),
        Command::Completions(shell) => documents::completions(shell, command()),
        Command::Man(name, directory) => documents::man(name.as_deref(), directory.as_deref(), command()),
        Command::Save(args) => snapshot::save(&args),
        Command::Load(args, merge) => snapshot::load(&args, merge),
        Command::Import(args) => import::run(&args),
        Command::Check(path) => snapshot::check(&path).map_err(Error::Snapshot),
        Command::Doctor(flags) => doctor::run(flags),
        Command::Version => documents::version(),
    }
}

/// The subcommand and its arguments, parsed.
enum Command {
    Server(Box<ServerArgs>),
    Bench(Box<bench::BenchArgs>),
    Stop(stop::StopArgs),
    Info(info::InfoArgs),
    Clear(AskArgs, bool),
    Ping(AskArgs),
    Completions(Shell),
    Man(Option<String>, Option<PathBuf>),
    Save(SnapshotArgs),
    Load(SnapshotArgs, bool),
    Import(import::ImportArgs),
    Check(PathBuf),
    Doctor(doctor::DoctorFlags),
    Version,
}

fn parse_command(args: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let mut matches = command().try_get_matches_from(&args).map_err(Error::Usage)?;
    let mut notes = Vec::new();
    if let Some(("server", typed)) = matches.subcommand()
        && let Some(path) = typed.get_one::<PathBuf>("config")
        && let Some(server) = command().find_subcommand("server")
    {
        let settings = server::file::read(path, server, typed).map_err(ConfigError::from)?;
        notes = settings.notes;
        // The settings go behind the program and its subcommand.
        args.splice(2..2, settings.args);
        matches = command().try_get_matches_from(&args).map_err(Error::Usage)?;
    }
    let cli = Cli::from_arg_matches(&matches).map_err(Error::Usage)?;
    // clap does not tell a variable from a flag in the value; which of them it was decides the precedence.
    let takes_key = |matches: &&ArgMatches| matches.try_contains_id("authkey").is_ok();
    let asked = matches.subcommand().map(|(_, matches)| matches).filter(takes_key);
    let key_source = asked.and_then(|matches| matches.value_source("authkey"));
    let authkey_is_env = key_source == Some(ValueSource::EnvVariable);
    Ok(match cli.command {
        CliCommand::Server(flags) => Command::Server(Box::new(ServerArgs { notes, ..flags.into_args(authkey_is_env) })),
        CliCommand::Bench(flags) => Command::Bench(Box::new(flags.into_args(authkey_is_env))),
        CliCommand::Stop(flags) => {
            let is_typed = |name: &&'static str| {
                asked.and_then(|matches| matches.value_source(name)) == Some(ValueSource::CommandLine)
            };
            let by_address = ["host", "port", "unixsocket"].iter().any(is_typed);
            Command::Stop(flags.into_args(by_address, authkey_is_env))
        }
        CliCommand::Info(flags) => Command::Info(flags.into_args(authkey_is_env)),
        CliCommand::Clear { yes, flags } => Command::Clear(flags.into_args(authkey_is_env), yes),
        CliCommand::Ping(flags) => Command::Ping(flags.into_args(authkey_is_env)),
        CliCommand::Completions { shell } => Command::Completions(shell),
        CliCommand::Man { command, dir } => Command::Man(command, dir),
        CliCommand::Save(flags) => Command::Save(flags.into_args(authkey_is_env)),
        CliCommand::Load { flags, merge } => Command::Load(flags.into_args(authkey_is_env), merge),
        CliCommand::Import(flags) => Command::Import(flags.into_args(authkey_is_env)),
        CliCommand::Check { file } => Command::Check(file),
        CliCommand::Doctor(flags) => Command::Doctor(flags),
        CliCommand::Version => Command::Version,
    })
}

/// The command line, with its exit codes under every help text.
fn command() -> clap::Command {
    let program = Cli::command().mut_subcommand("server", server::flags::describe);
    program.after_help(EXIT_CODES).mut_subcommands(|subcommand| subcommand.after_help(EXIT_CODES))
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
    /// Run the server: one pinned thread per core, until SIGTERM or SIGINT
    Server(Box<server::flags::ServerFlags>),
    /// Measure a server: this one, or any that speaks the Redis protocol or memcached's
    Bench(Box<bench::flags::BenchFlags>),
    /// End a server: SIGTERM, then wait until it has ended
    Stop(stop::StopFlags),
    /// Show the INFO of a running server
    Info(info::InfoFlags),
    /// Delete every key of a running server, after a confirmation
    Clear {
        /// Don't ask for confirmation
        #[arg(long)]
        yes: bool,

        #[command(flatten)]
        flags: AskFlags,
    },
    /// Check that a running server answers
    Ping(AskFlags),
    /// Make a running server take a snapshot, and wait for it
    Save(SnapshotFlags),
    /// Make a running server load a snapshot of its data directory
    Load {
        #[command(flatten)]
        flags: SnapshotFlags,

        /// Keep the existing keys; a key that is in both gets the snapshot's value
        #[arg(long)]
        merge: bool,
    },
    /// Copy the strings of a Redis into a running server: from its dump file, or from itself
    Import(import::ImportFlags),
    /// Read a snapshot through, and say what is in it, or where it is damaged
    Check {
        /// Snapshot file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Check whether this host is fit to serve from, and say what to change; exits with 1 if the
    /// server would not start or would be killed, else with 0
    Doctor(doctor::DoctorFlags),
    /// Print completions for a shell, for source <(aspine completions bash)
    Completions {
        /// Name of the shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print a manual page, for aspine man server | man -l -
    Man {
        /// Subcommand of the page [default: the program]
        #[arg(value_name = "COMMAND")]
        command: Option<String>,

        /// Write all pages into a directory instead
        #[arg(long, value_name = "PATH", conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
    /// Print the version, as --version does
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
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
        for word in ["ASPINE_AUTHKEY", "[default: 5116]", "[possible values: s3fifo,", "SECONDS"] {
            assert!(help.contains(word), "{word} in {help}");
        }
        assert!(!help.contains("ASPINE_AUTHKEY="), "{help}");
    }
}
