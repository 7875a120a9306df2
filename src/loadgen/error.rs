//! Errors of a run: why it did not start, or why its numbers can't be trusted; each in one line.
//!
//! Created by `loadgen` and `cli::bench`, printed by `cli`. Whose fault it is: the server's, or the command line's.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The error of a run. `Display` is one line: what failed, why, what to do.
#[derive(Debug)]
pub enum BenchError {
    /// The options contradict each other.
    Options(String),
    /// A connection could not be opened.
    Connect {
        /// The server's address.
        target: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The server is there, but refuses the client or speaks another protocol.
    Greeting {
        /// The server's address.
        target: String,
        /// The server's answer, and what to do.
        why: String,
    },
    /// The machine refused a resource.
    Setup {
        /// The resource.
        what: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The embedded server did not start.
    Embedded {
        /// The reason.
        why: String,
    },
    /// A file can't be read or written.
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file has the wrong content, or a picture can't be drawn.
    Content {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The run ended and its report was printed, but operations failed.
    Failed {
        /// The number of failed operations.
        errors: u64,
        /// The number of operations, failed ones included.
        operations: u64,
        /// The first failure.
        first: String,
    },
    /// The run was interrupted; its report was printed.
    Interrupted {
        /// The length of the measured part, in seconds.
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
                write!(f, "cannot start a server to measure: {why}; give --target for a running one")
            }
            BenchError::File { path, source } => write!(f, "cannot open {}: {source}", path.display()),
            BenchError::Content { path, why } => write!(f, "cannot use {}: {why}", path.display()),
            BenchError::Failed { errors, operations, first } => {
                write!(f, "{errors} of {operations} operations failed, so do not quote these numbers: {first}")
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
