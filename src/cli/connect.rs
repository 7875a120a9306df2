//! Where a running server is: the flags that every command shares which talks to one.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::Args;

use super::config::AuthSources;
use crate::limits::PORT_DEFAULT;

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

impl fmt::Display for ConnectArgs {
    /// The place, as an error names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unix_socket {
            Some(path) => path.display().fmt(f),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
