//! `aspine server --check`: the settings that would be in force, and whether this machine grants what they need.
//!
//! The output is a file for `--config`. Never: starts anything, creates a file, or prints the auth key. A port in use is
//! no error: it may be that of the running server, whose next settings are checked.

use std::io::{self, Write as _};
use std::path::Path;

use crate::cli::error::Error;
use crate::config::{ServerConfig, table};
use crate::host::{self, Needs, StartError};

/// Checks the settings and prints them.
pub(super) fn run(config: &ServerConfig, warnings: &[String]) -> Result<(), Error> {
    for (path, failed) in paths(config) {
        // The directory has to exist, or to be created at the start.
        if path.parent().is_some_and(|directory| !directory.is_dir()) {
            return Err(failed(io::ErrorKind::NotFound.into()).into());
        }
    }
    let fds = host::check(Needs::of(config))?.fds;
    let _ = io::stdout().write_all(settings(config).as_bytes());
    for warning in warnings.iter().cloned().chain(fds.warning(config.maxclients)) {
        let _ = writeln!(io::stderr(), "aspine: warning: {warning}");
    }
    Ok(())
}

type Failed<'a> = Box<dyn FnOnce(io::Error) -> StartError + 'a>;

/// The paths of files that a start creates.
fn paths(config: &ServerConfig) -> Vec<(&Path, Failed<'_>)> {
    let mut paths: Vec<(&Path, Failed<'_>)> = Vec::new();
    if let Some(path) = &config.log_file {
        paths.push((path, Box::new(|source| StartError::LogFile { path: path.clone(), source })));
    }
    if let Some(path) = config.unix_socket.as_ref().filter(|path| path.components().count() > 1) {
        paths.push((path, Box::new(|source| StartError::UnixSocket { path: path.clone(), source })));
    }
    paths
}

/// The settings in force as a file for `--config`, and whether a key is required.
fn settings(config: &ServerConfig) -> String {
    let key = if config.auth_key.is_some() { "a key is required, and not shown" } else { "no key is required" };
    table::in_force(config) + "# " + key + "\n"
}
