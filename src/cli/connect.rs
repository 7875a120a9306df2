//! Connect: the flags that locate a running server, shared by all subcommands that talk to one.

use std::ffi::OsString;
use std::fmt;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rustix::process::Pid;

use super::conn::Conn;
use super::error::{EXIT_FAILED, Error};
use super::number::whole;
use super::peer;
use crate::config::{AuthSources, without_brackets};
use crate::limits::{COMMAND_TIMEOUT_S_DEFAULT, COMMAND_TIMEOUT_S_MAX, PORT_DEFAULT};
use crate::loadgen::Target;

/// The flags. The doc comments of the fields are the help texts.
#[derive(Args)]
pub(super) struct ConnectFlags {
    /// Host of the server
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1", help_heading = SERVER)]
    host: String,

    /// Port of the server
    #[arg(long, value_name = "PORT", default_value_t = PORT_DEFAULT, help_heading = SERVER)]
    #[arg(value_parser = whole(0..=u16::MAX))]
    port: u16,

    /// Unix socket of the server, instead of host and port
    #[arg(long, value_name = "PATH", help_heading = SERVER)]
    unixsocket: Option<PathBuf>,

    /// Auth key of the server; other users see it in the process list, so prefer the variable or the file
    #[arg(long, value_name = "KEY", env = "ASPINE_AUTHKEY", hide_env_values = true, help_heading = SERVER)]
    authkey: Option<OsString>,

    /// File whose first line is the auth key
    #[arg(long, value_name = "PATH", help_heading = SERVER)]
    authkey_file: Option<PathBuf>,
}

const SERVER: &str = "Server";

/// As [`ConnectFlags`], for subcommands with one request and a timeout.
#[derive(Args)]
pub(super) struct AskFlags {
    #[command(flatten)]
    pub(super) server: ConnectFlags,

    /// Seconds to wait for a connection, and for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = COMMAND_TIMEOUT_S_DEFAULT, help_heading = SERVER)]
    #[arg(value_parser = whole(1..=COMMAND_TIMEOUT_S_MAX))]
    timeout: u64,
}

impl AskFlags {
    pub(super) fn into_args(self, authkey_is_env: bool) -> AskArgs {
        AskArgs { server: self.server.into_args(authkey_is_env), timeout: Duration::from_secs(self.timeout) }
    }
}

/// The server's location, and the timeout.
#[derive(Clone, Debug)]
pub(super) struct AskArgs {
    /// The server's location.
    pub(super) server: ConnectArgs,
    /// The timeout of the connection, and of each answer.
    pub(super) timeout: Duration,
}

impl AskArgs {
    /// Opens a connection.
    pub(super) fn open(&self) -> Result<Conn, Error> {
        Conn::open(&self.server, self.timeout)
    }
}

/// The server's location, in plain types.
#[derive(Clone, Debug)]
pub struct ConnectArgs {
    /// The host of the server.
    pub host: String,
    /// The port of the server.
    pub port: u16,
    /// The Unix socket of the server.
    pub unix_socket: Option<PathBuf>,
    /// The sources of the auth key.
    pub auth: AuthSources,
}

impl ConnectFlags {
    pub(super) fn into_args(self, authkey_is_env: bool) -> ConnectArgs {
        ConnectArgs {
            host: without_brackets(&self.host).to_owned(),
            port: self.port,
            unix_socket: self.unixsocket,
            auth: AuthSources::new(self.authkey, authkey_is_env, self.authkey_file),
        }
    }
}

impl ConnectArgs {
    /// The address, in the form of the client's options.
    pub(super) fn address(&self) -> String {
        match &self.unix_socket {
            Some(path) => format!("unix:{}", path.display()),
            None if self.host.contains(':') => format!("[{}]:{}", self.host, self.port),
            None => format!("{}:{}", self.host, self.port),
        }
    }

    /// The process that listens there, if it is on this machine and the server reports the same process id.
    pub(super) fn process(&self) -> Result<Pid, Error> {
        let target = match &self.unix_socket {
            Some(path) => Some(Target::Unix(path.clone())),
            None => {
                (self.host.as_str(), self.port).to_socket_addrs().ok().and_then(|mut all| all.next()).map(Target::Tcp)
            }
        };
        let said = Conn::open(self, Duration::from_secs(COMMAND_TIMEOUT_S_DEFAULT))?.text(&["INFO", "server"])?;
        let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let said = field("aspine_version").and_then(|_| field("process_id")?.parse().ok());
        let found = target.and_then(|target| peer::pid_of(&target)).filter(|pid| Some(*pid) == said);
        let pid = found.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        pid.ok_or_else(|| Error::Command {
            code: EXIT_FAILED,
            line: format!(
                "cannot stop what listens at {self}: it is no Aspine server of this machine whose process this user may see; \
                 stop it where it runs, as its user"
            ),
        })
    }
}

impl fmt::Display for ConnectArgs {
    /// Writes the address as errors show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unix_socket {
            Some(path) => path.display().fmt(f),
            None => f.write_str(&self.address()),
        }
    }
}
