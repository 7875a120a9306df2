//! Why a command ended badly, as one line and an exit code.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use super::config::ConfigError;
use crate::loadgen::BenchError;
use crate::runtime::preflight::StartError;

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
}

impl Error {
    /// Says on stderr what happened and returns the exit code: 2 for usage, else 1.
    pub fn report(&self) -> ExitCode {
        if let Error::Usage(error) = self {
            // Help goes to stdout and counts as success. Nobody is left to tell if printing fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        if let Error::Unfit = self {
            return ExitCode::FAILURE;
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
            Error::Unfit => f.write_str("this host is not fit to serve from"),
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
            Error::Snapshot(_) | Error::Unfit => None,
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
