//! Why a run is none, or is not to be trusted: each cause in one line.
//!
//! Made by `loadgen` and `cli::bench`, printed by `cli`. Whose fault it is: the server's, or what was typed.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a run ended badly. `Display` is one line: what failed, why, what to do.
#[derive(Debug)]
pub enum BenchError {
    /// What was typed does not go together.
    Options(String),
    /// No connection.
    Connect {
        /// To where.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The server is there, but does not take us, or speaks something else.
    Greeting {
        /// Which server.
        target: String,
        /// What it said, and what to do.
        why: String,
    },
    /// The machine refused something.
    Setup {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The server of our own did not start.
    Embedded {
        /// Why.
        why: String,
    },
    /// A file can't be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file can be read, but is not what it should be; or a picture can't be drawn.
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It ran, and the report was printed, but operations failed.
    Failed {
        /// Operations that failed.
        errors: u64,
        /// Operations that were answered or should have been.
        operations: u64,
        /// The first thing that went wrong.
        first: String,
    },
    /// It ran, and the report was printed, but somebody stopped it.
    Interrupted {
        /// Seconds it was measured.
        seconds: f64,
    },
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Options(why) => f.write_str(why),
            BenchError::Connect { target, source } => {
                write!(f, "cannot connect to {target}: {source}; is the server up, and is this where it listens?")
            }
            BenchError::Greeting { target, why } => write!(f, "cannot use the server at {target}: {why}"),
            BenchError::Setup { what, source } => write!(f, "cannot set up {what}: {source}"),
            BenchError::Embedded { why } => {
                write!(f, "cannot start a server to measure: {why}; give --target for one that runs")
            }
            BenchError::File { path, source } => write!(f, "cannot open {}: {source}", path.display()),
            BenchError::Content { path, why } => write!(f, "cannot use {}: {why}", path.display()),
            BenchError::Failed { errors, operations, first } => {
                write!(f, "{errors} of {operations} operations failed, so these are no numbers to quote: {first}")
            }
            BenchError::Interrupted { seconds } => {
                write!(f, "interrupted: the report is about the {seconds:.1} s until then")
            }
        }
    }
}

impl std::error::Error for BenchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BenchError::Connect { source, .. } | BenchError::Setup { source, .. } | BenchError::File { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}
