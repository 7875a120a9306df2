//! Where a running server is: the flags that every command shares which talks to one.

use std::ffi::OsString;
use std::fmt;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use rustix::process::Pid;

use super::Error;
use super::config::AuthSources;
use super::conn::Conn;
use super::error::EXIT_FAILED;
use super::peer;
use crate::limits::{COMMAND_TIMEOUT_S_DEFAULT, COMMAND_TIMEOUT_S_MAX, PORT_DEFAULT};
use crate::loadgen::Target;

/// What may be typed. The doc comments of the fields are the help texts.
#[derive(Args)]
pub(super) struct ConnectFlags {
    /// Where the server is
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1", help_heading = SERVER)]
    host: String,

    /// Its port
    #[arg(long, value_name = "PORT", default_value_t = PORT_DEFAULT, help_heading = SERVER)]
    port: u16,

    /// Its Unix socket, instead of host and port
    #[arg(long, value_name = "PATH", help_heading = SERVER)]
    unixsocket: Option<PathBuf>,

    /// Its key; other users see it in the process list, so prefer the variable or the file
    #[arg(long, value_name = "KEY", env = "ASPINE_AUTHKEY", hide_env_values = true, help_heading = SERVER)]
    authkey: Option<OsString>,

    /// File whose first line is its key
    #[arg(long, value_name = "PATH", help_heading = SERVER)]
    authkey_file: Option<PathBuf>,
}

const SERVER: &str = "Server";

/// As [`ConnectFlags`], for commands that ask one thing.
#[derive(Args)]
pub(super) struct AskFlags {
    #[command(flatten)]
    pub(super) server: ConnectFlags,

    /// How long to wait for a connection, and for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = COMMAND_TIMEOUT_S_DEFAULT, help_heading = SERVER)]
    #[arg(value_parser = value_parser!(u64).range(1..=COMMAND_TIMEOUT_S_MAX))]
    timeout: u64,
}

impl AskFlags {
    pub(super) fn into_args(self, authkey_is_env: bool) -> AskArgs {
        AskArgs { server: self.server.into_args(authkey_is_env), timeout: Duration::from_secs(self.timeout) }
    }
}

/// Where the server is, and how long it is waited for.
#[derive(Clone, Debug)]
pub(super) struct AskArgs {
    /// Where.
    pub(super) server: ConnectArgs,
    /// How long.
    pub(super) timeout: Duration,
}

impl AskArgs {
    /// A connection.
    pub(super) fn open(&self) -> Result<Conn, Error> {
        Conn::open(&self.server, self.timeout)
    }
}

/// Where the server is, in plain types.
#[derive(Clone, Debug)]
pub struct ConnectArgs {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its Unix socket.
    pub unix_socket: Option<PathBuf>,
    /// Its key.
    pub auth: AuthSources,
}

impl ConnectFlags {
    pub(super) fn into_args(self, authkey_is_env: bool) -> ConnectArgs {
        ConnectArgs {
            host: self.host,
            port: self.port,
            unix_socket: self.unixsocket,
            auth: AuthSources::new(self.authkey, authkey_is_env, self.authkey_file),
        }
    }
}

impl ConnectArgs {
    /// The place, as the client takes it.
    pub(super) fn address(&self) -> String {
        match &self.unix_socket {
            Some(path) => format!("unix:{}", path.display()),
            None if self.host.contains(':') => format!("[{}]:{}", self.host, self.port),
            None => format!("{}:{}", self.host, self.port),
        }
    }

    /// The process that listens there, if it is one of this machine, and a server that says the same of itself.
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
    /// The place, as an error names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unix_socket {
            Some(path) => path.display().fmt(f),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
