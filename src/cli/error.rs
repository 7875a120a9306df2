//! Why a command ended badly, as one line and an exit code.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::config::ConfigError;
use crate::loadgen::BenchError;
use crate::runtime::logging::wants_colour;
use crate::runtime::preflight::StartError;

/// What failed, or was refused.
pub(super) const EXIT_FAILED: u8 = 1;
/// What was typed is no command line.
pub(super) const EXIT_USAGE: u8 = 2;
/// No server is there.
pub(super) const EXIT_NO_SERVER: u8 = 3;
/// A server is there, and has not done in time what it was asked for.
pub(super) const EXIT_TIMEOUT: u8 = 4;

/// The exit codes, for help texts and the man page.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed or was refused; one line on stderr says what, why and what to do
  2  the command line or a value in it can't be read
  3  no server is there: nothing listens, or no process holds the pid file
  4  the server is there and has not ended or answered in time";

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
    /// The host is not fit to serve from. Everything has been said already.
    Unfit,
    /// A daemon has said why it does not serve.
    Refused {
        /// Its exit code.
        code: u8,
        /// What it said.
        line: String,
    },
    /// A daemon ended without a word.
    Died {
        /// How.
        how: String,
        /// Where it may have said more.
        log_file: Option<PathBuf>,
    },
    /// This daemon has told whoever started it.
    Told {
        /// What it was.
        code: u8,
    },
    /// A command to a running server, or to its process. One line.
    Command {
        /// Which of the exit codes.
        code: u8,
        /// What failed: why; what to do.
        line: String,
    },
}

impl Error {
    /// Says on stderr what happened and returns the exit code.
    pub fn report(&self) -> ExitCode {
        let code = ExitCode::from(self.exit_code());
        match self {
            // Help goes to stdout and counts as success. Nobody is left to tell if printing fails.
            Error::Usage(error) => drop(error.print()),
            Error::Told { .. } | Error::Unfit => {}
            _ => {
                let mut stderr = io::stderr();
                let name = if wants_colour(&stderr) { "\x1b[1;31maspine:\x1b[0m" } else { "aspine:" };
                // Not `eprintln`, which panics where stderr is closed.
                let _ = writeln!(stderr, "{name} {}", self.line());
            }
        }
        code
    }

    /// What it ends the process with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(error) => u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE),
            Error::Refused { code, .. } | Error::Told { code } | Error::Command { code, .. } => *code,
            Error::Config(_)
            | Error::Start(_)
            | Error::Bench(_)
            | Error::Snapshot(_)
            | Error::Died { .. }
            | Error::Unfit => EXIT_FAILED,
        }
    }

    /// One line, whatever a name or a path holds that was typed.
    pub fn line(&self) -> String {
        self.to_string().replace('\n', " ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(error) => error.fmt(f),
            Error::Config(error) => error.fmt(f),
            Error::Start(error) => error.fmt(f),
            Error::Bench(error) => error.fmt(f),
            Error::Snapshot(line) | Error::Refused { line, .. } | Error::Command { line, .. } => f.write_str(line),
            Error::Died { how, log_file: Some(path) } => {
                write!(f, "the server ended before it was ready: {how}; its log may say why: {}", path.display())
            }
            Error::Died { how, log_file: None } => write!(
                f,
                "the server ended before it was ready: {how}; run it without --daemon, or give --log-file, to see why"
            ),
            Error::Unfit => f.write_str("this host is not fit to serve from"),
            Error::Told { .. } => Ok(()),
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
            _ => None,
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
