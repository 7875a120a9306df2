//! `aspine server`: from the arguments to a running server.
//!
//! The order matters: the configuration first, so that a mistyped setting is reported on stderr; then the daemon, which forks
//! and so comes before any thread; then the pid file, which the serving process locks; then the log, for warnings; then the
//! host checks, so that no executor is built where it would panic; then the cores.

use std::io::{self, IsTerminal, Write};

use tracing::{error, info, warn};

use super::error::Error;
use crate::config::{ServerArgs, ServerConfig};
use crate::host::{self, Needs, ProcessError, StartError};
use crate::runtime;
use crate::service::daemon::{self, Caller, Detached, Outcome};
use crate::service::logging::{self, wants_colour};
use crate::service::pid_file::PidFile;

mod check;
pub(super) mod file;
pub(super) mod flags;

/// Runs the server to its end.
pub fn run(args: ServerArgs) -> Result<(), Error> {
    if let Some(parent) = args.parent {
        // Without the signal the server could outlive its parent, so it does not start.
        let ends = host::process::end_with_parent(parent);
        if !ends.map_err(|source| StartError::Setup { what: "the signal of the parent's end", source })? {
            return Ok(());
        }
    }
    let cpus_allowed = host::cpus_allowed()?;
    let only_check = args.check;
    let (config, warnings) = ServerConfig::from_args(args, &cpus_allowed)?;
    if only_check {
        return check::run(&config, &warnings);
    }
    if !config.daemon {
        let logs_to_stderr = config.log_file.is_none();
        return serve(config, warnings, |line| {
            tell_ready(line, logs_to_stderr);
            Ok(())
        });
    }
    match daemon::detach().map_err(|source| StartError::from(ProcessError::Detach { source }))? {
        Detached::Server(caller) => serve_detached(config, warnings, caller),
        Detached::Caller(Outcome::Ready(line)) => {
            let _ = writeln!(io::stdout(), "{line}");
            Ok(())
        }
        Detached::Caller(Outcome::Refused { code, line }) => Err(Error::Refused { code, line }),
        Detached::Caller(Outcome::Died(how)) => Err(Error::Died { how, log_file: config.log_file }),
    }
}

/// Logs the `ready` line, and prints it on stdout, since the caller may wait for it; once where both are on a terminal.
fn tell_ready(line: &str, logs_to_stderr: bool) {
    let stdout = io::stdout();
    if !(logs_to_stderr && stdout.is_terminal() && io::stderr().is_terminal()) {
        info!("{line}");
    }
    let (addresses, note) = line.split_at(line.find(" (").unwrap_or(line.len()));
    let note =
        if wants_colour(&stdout) && !note.is_empty() { format!("\x1b[1;33m{note}\x1b[0m") } else { note.to_owned() };
    // A closed stdout does not stop the server.
    let _ = writeln!(&stdout, "{addresses}{note}");
}

/// Serves as a daemon, which reports its start to the caller.
fn serve_detached(config: ServerConfig, warnings: Vec<String>, caller: Caller) -> Result<(), Error> {
    let mut caller = Some(caller);
    let log_file = config.log_file.clone();
    let result = std::env::set_current_dir("/")
        .map_err(|source| Error::from(StartError::from(ProcessError::Detach { source })))
        .and_then(|()| {
            serve(config, warnings, |line| {
                info!("{line}");
                let Some(caller) = caller.take() else { return Ok(()) };
                let log = log_file.as_deref().map(logging::open).transpose()?;
                caller.ready(line, log.as_ref()).map_err(|source| ProcessError::Detach { source }.into())
            })
        });
    match (result, caller) {
        (Err(error), Some(caller)) => {
            caller.refuse(error.exit_code(), &error.line());
            Err(Error::Told { code: error.exit_code() })
        }
        (result, _) => result,
    }
}

/// Serves to the end. `ready` gets the line with the addresses.
fn serve(
    config: ServerConfig,
    warnings: Vec<String>,
    ready: impl FnOnce(&str) -> Result<(), StartError>,
) -> Result<(), Error> {
    // The pid file is removed after the last line is logged.
    let _pid_file = config.pid_file.as_deref().map(PidFile::acquire).transpose().map_err(StartError::from)?;
    // The log is dropped last but one, and writes its queued lines then.
    let _log = logging::init(config.log_level, config.log_file.as_deref(), config.daemon)?;
    for warning in warnings {
        warn!("{warning}");
    }
    let logs_to_file = config.log_file.is_some();
    start(config, ready).map_err(|error| {
        // The line on stderr is for the caller; it goes to a log file too.
        if logs_to_file {
            error!("{error}");
        }
        Error::Start(error)
    })
}

fn start(mut config: ServerConfig, ready: impl FnOnce(&str) -> Result<(), StartError>) -> Result<(), StartError> {
    let host::Grant { fds, own_ring } = host::check(Needs::of(&config))?;
    if let Some(warning) = fds.warning(config.maxclients) {
        warn!("{warning}");
    }
    config.maxclients = fds.maxclients;
    config.maxclients_max = fds.maxclients_max;
    let transport = host::choose_transport(config.transport, own_ring)?;
    runtime::start(&config, transport, ready)
}
