//! `aspine server`: from what was typed to a running server.
//!
//! The order matters: configuration first, so that a typing error is told on stderr; then the log,
//! so that warnings have a place; then the host checks, so that no executor is built where it would
//! panic; then the cores.

use tracing::{error, warn};

use super::Error;
use super::config::{ServerArgs, ServerConfig};
use crate::runtime::preflight::{Needs, StartError};
use crate::runtime::{self, logging, preflight};

pub(super) mod flags;

/// Runs the server until it is told to stop.
pub fn run(args: ServerArgs) -> Result<(), Error> {
    if let Some(parent) = args.parent {
        // Without it we would outlive the parent; no server is better.
        let ends = runtime::process::end_with_parent(parent);
        if !ends.map_err(|source| StartError::Setup { what: "the signal of the parent's end", source })? {
            return Ok(());
        }
    }
    let cpus_allowed = preflight::cpus_allowed()?;
    let (config, warnings) = ServerConfig::from_args(args, &cpus_allowed)?;
    // Dropped last: that writes out what is still queued.
    let _log = logging::init(config.log_level, config.log_file.as_deref())?;
    for warning in warnings {
        warn!("{warning}");
    }
    let logs_to_file = config.log_file.is_some();
    start(config).map_err(|error| {
        // The line on stderr is the caller's; a log file gets it too, for whoever looks there.
        if logs_to_file {
            error!("{error}");
        }
        Error::Start(error)
    })
}

fn start(mut config: ServerConfig) -> Result<(), StartError> {
    let fds = preflight::check(Needs {
        cores: config.cpus.len(),
        maxclients: config.maxclients,
        admin: config.admin_addr.is_some(),
    })?;
    if let Some(warning) = fds.warning(config.maxclients) {
        warn!("{warning}");
    }
    config.maxclients = fds.maxclients;
    config.maxclients_max = fds.maxclients_max;
    runtime::start(&config)
}
