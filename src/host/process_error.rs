//! Process errors: why a process can't become the server. As [`StartError`]: one line with its fix.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::error::StartError;

/// The reason why this process can't become the server.
#[derive(Debug)]
pub enum ProcessError {
    /// The pid file can't be used.
    PidFile {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another server holds the pid file.
    Running {
        /// The path.
        path: PathBuf,
        /// The pid of the holder; `None` if it runs in another container.
        pid: Option<u32>,
    },
    /// The process could not leave its terminal.
    Detach {
        /// The cause.
        source: io::Error,
    },
}

impl From<ProcessError> for StartError {
    fn from(error: ProcessError) -> StartError {
        StartError::Process(error)
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessError::PidFile { path, source } => write!(
                f,
                "cannot use the pid file {path:?}: {source}; --pid-file needs a path in a directory that this user may write"
            ),
            ProcessError::Running { path, pid } => {
                let process = pid.map_or_else(|| "in another container".to_owned(), |pid| format!("as process {pid}"));
                let path = path.display();
                write!(
                    f,
                    "cannot start a second server: one runs {process} and holds the pid file {path}; stop it with aspine stop \
                     --pid-file {path}, or give this one another --pid-file"
                )
            }
            ProcessError::Detach { source } => {
                write!(f, "cannot become a daemon: {source}; run it without --daemon, under a service manager")
            }
        }
    }
}

impl Error for ProcessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ProcessError::PidFile { source, .. } | ProcessError::Detach { source } => Some(source),
            ProcessError::Running { .. } => None,
        }
    }
}
