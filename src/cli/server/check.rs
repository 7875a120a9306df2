//! `aspine server --check`: the settings that would be in force, and whether this machine grants what they need.
//!
//! What is printed is a file for `--config`. Never: starts anything, makes a file, or prints the auth key. A port in use
//! is no fault: it may be that of the server whose next settings are checked.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use crate::cli::Error;
use crate::config::{DebugAccess, Eviction, LogLevel, ServerConfig};
use crate::host::{self, Needs, StartError};

/// Checks, and prints.
pub(super) fn run(config: &ServerConfig, others: &[(String, String)], warnings: &[String]) -> Result<(), Error> {
    for (path, failed) in paths(config) {
        // Its directory has to be there, or to be made at the start.
        if path.parent().is_some_and(|directory| !directory.is_dir()) {
            return Err(failed(io::ErrorKind::NotFound.into()).into());
        }
    }
    let fds = host::check(Needs::of(config))?;
    let _ = io::stdout().write_all(settings(config, others).as_bytes());
    for warning in warnings.iter().cloned().chain(fds.warning(config.maxclients)) {
        let _ = writeln!(io::stderr(), "aspine: warning: {warning}");
    }
    Ok(())
}

type Failed<'a> = Box<dyn FnOnce(io::Error) -> StartError + 'a>;

/// The paths in whose directories files are to be made.
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

/// The settings as TOML, under the names of the flags: what they mean here, and `others` as they were given.
fn settings(config: &ServerConfig, others: &[(String, String)]) -> String {
    let meant = meant(config);
    let is_told = |name: &str| NOT_SHOWN.contains(&name) || meant.iter().any(|(told, _)| *told == name);
    let mut text = String::new();
    // Writing to a string does not fail.
    for (name, value) in &meant {
        let _ = writeln!(text, "{name} = {value}");
    }
    for (name, value) in others.iter().filter(|(name, _)| !is_told(name)) {
        let value = if ["true", "false"].contains(&value.as_str()) { value.clone() } else { quoted(value) };
        let _ = writeln!(text, "{name} = {value}");
    }
    let key = if config.auth_key.is_some() { "a key is required, and not shown" } else { "no key is required" };
    text + "# " + key + "\n"
}

/// Flags that are no settings, the key, and what `cpus` says already.
const NOT_SHOWN: [&str; 6] = ["authkey", "authkey-file", "check", "config", "cores", "end-with-parent"];

/// Settings whose meaning here says more than what was given: names, and values as TOML.
fn meant(config: &ServerConfig) -> Vec<(&'static str, String)> {
    let mut meant = Vec::new();
    let mut say = |name, value| meant.push((name, value));
    let unless_unlimited = |value: u64| if value == u64::MAX { 0 } else { value }.to_string();
    say("host", quoted(&config.host.to_string()));
    say("port", config.port.to_string());
    if let Some(path) = &config.unix_socket {
        say("unixsocket", quoted(&path.to_string_lossy()));
    }
    if let Some(base) = config.core_ports {
        say("core-ports", base.to_string());
    }
    if let Some(host) = &config.announce_host {
        say("announce-host", quoted(host));
    }
    say("maxclients", config.maxclients.to_string());
    say("timeout", config.idle_timeout_s.to_string());
    let limit = config.output_limit;
    say("client-output-limit", quoted(&format!("{} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_s)));
    say("cpus", format!("{:?}", config.cpus));
    say("spin-us", config.spin_us.to_string());
    say("max-size", unless_unlimited(config.items_max));
    say("max-memory", unless_unlimited(config.bytes_max));
    say("eviction", quoted(if config.eviction == Eviction::Lru { "lru" } else { "none" }));
    say("tracking-table-max-keys", unless_unlimited(config.tracked_keys_max));
    say(
        "enable-debug-command",
        quoted(match config.debug {
            DebugAccess::No => "no",
            DebugAccess::Local => "local",
            DebugAccess::Yes => "yes",
        }),
    );
    say("data-dir", quoted(&config.data_dir.to_string_lossy()));
    say("persist", config.persist.to_string());
    say("snapshot-interval", config.snapshot_interval_s.to_string());
    say("snapshot-bandwidth", config.snapshot_bandwidth.to_string());
    say(
        "log-level",
        quoted(match config.log_level {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }),
    );
    if let Some(path) = &config.log_file {
        say("log-file", quoted(&path.to_string_lossy()));
    }
    say("drain-timeout", config.drain_timeout_s.to_string());
    say("daemon", config.daemon.to_string());
    if let Some(address) = config.admin_addr {
        say("admin-addr", quoted(&address.to_string()));
    }
    if let Some(path) = &config.pid_file {
        say("pid-file", quoted(&path.to_string_lossy()));
    }
    meant
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
