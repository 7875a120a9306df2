//! Errors of the command line: one line and an exit code each.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::host::StartError;
use crate::loadgen::BenchError;
use crate::service::logging::wants_colour;

/// The exit code of a command that failed or was refused.
pub(super) const EXIT_FAILED: u8 = 1;
/// The exit code of a wrong command line.
pub(super) const EXIT_USAGE: u8 = 2;
/// The exit code if no server is there.
pub(super) const EXIT_NO_SERVER: u8 = 3;
/// The exit code if a server is there and did not answer or end in time.
pub(super) const EXIT_TIMEOUT: u8 = 4;

/// The exit codes, for help texts and the man page.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed or was refused; one line on stderr says what, why and what to do
  2  the command line or a value in it can't be read
  3  no server is there: nothing listens, or no process holds the pid file
  4  the server is there and has not ended or answered in time";

/// The error of a command.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong; also the end of `--help` and `--version`.
    Usage(clap::Error),
    /// The settings are wrong, or impossible on this machine.
    Config(ConfigError),
    /// The server could not start, or failed.
    Start(StartError),
    /// A measurement failed, or its numbers can't be trusted.
    Bench(BenchError),
    /// A snapshot could not be taken, loaded or read; in one line.
    Snapshot(String),
    /// The host is not fit to serve from. The findings were printed already.
    Unfit,
    /// A daemon did not start, and said why.
    Refused {
        /// The exit code of the daemon.
        code: u8,
        /// The error line of the daemon.
        line: String,
    },
    /// A daemon ended without an error line.
    Died {
        /// The exit code or signal, in words.
        how: String,
        /// The log file of the daemon, if it has one.
        log_file: Option<PathBuf>,
    },
    /// This process is a daemon that failed, and has reported the error to its caller.
    Told {
        /// The exit code.
        code: u8,
    },
    /// A command to a running server, or to its process, failed.
    Command {
        /// The exit code.
        code: u8,
        /// The error in one line: what failed: why; what to do.
        line: String,
    },
}

impl Error {
    /// Prints the error to stderr and returns the exit code.
    pub fn report(&self) -> ExitCode {
        let code = ExitCode::from(self.exit_code());
        match self {
            // Help goes to stdout and counts as success. A failure to print can't be reported anywhere.
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

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(error) => u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE),
            Error::Refused { code, .. } | Error::Told { code } | Error::Command { code, .. } => *code,
            Error::Bench(BenchError::Connect { source, .. }) => match source.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => EXIT_TIMEOUT,
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => EXIT_NO_SERVER,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => EXIT_NO_SERVER,
                _ => EXIT_FAILED,
            },
            Error::Config(_)
            | Error::Start(_)
            | Error::Bench(_)
            | Error::Snapshot(_)
            | Error::Died { .. }
            | Error::Unfit => EXIT_FAILED,
        }
    }

    /// The error as one line, whatever characters a given name or path has.
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
