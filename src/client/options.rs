//! Options: the server's address, authentication, timeouts and connections of a client.
//!
//! Never: prints an auth key.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{
    CLIENT_CONNECT_TIMEOUT_MS_DEFAULT, CLIENT_CONNECTIONS_PER_CORE_DEFAULT, CLIENT_TIMEOUT_MS_DEFAULT, PORT_DEFAULT,
};

/// The address of a server, and how to connect to it. An address alone is enough:
///
/// ```
/// use aspine::client::Options;
/// use std::time::Duration;
///
/// let plain: Options = "127.0.0.1:5116".into();
/// let full = Options::new("cache.example").authkey("secret").timeout(Duration::from_millis(50)).name("checkout");
/// # drop((plain, full));
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) address: Arc<str>,
    pub(crate) authkey: Option<Vec<u8>>,
    pub(crate) user: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) name: Option<String>,
    pub(crate) connections_per_core: usize,
    pub(crate) database: u32,
}

/// An address, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Options {
    /// A server at `host:port`, at `host` with port 5116, or at the Unix socket `/path` or `unix:path`. A host is a
    /// name, an IPv4 address, or an IPv6 address in brackets if a port follows.
    pub fn new(address: impl AsRef<str>) -> Self {
        Self {
            address: address.as_ref().into(),
            authkey: None,
            user: None,
            timeout: Some(Duration::from_millis(CLIENT_TIMEOUT_MS_DEFAULT)),
            connect_timeout: Duration::from_millis(CLIENT_CONNECT_TIMEOUT_MS_DEFAULT),
            name: None,
            connections_per_core: CLIENT_CONNECTIONS_PER_CORE_DEFAULT,
            database: 0,
        }
    }

    /// The auth key of the server (`--authkey`).
    pub fn authkey(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.authkey = Some(key.into());
        self
    }

    /// The user name that belongs to the auth key. Default: `default`.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The timeout of a request: for its reply, and for a connection if there is none. Default: 5 s. It is kept to within
    /// a sixteenth.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Requests have no timeout: they wait for their reply until the connection breaks.
    pub fn no_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// The timeout of one attempt to connect, greeting included. Default: 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The name of the connections, as CLIENT LIST shows it. Without spaces. Default: none.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Connections to each core of the server, or to its one port if it has no core ports. Default: 1, at least 1.
    /// More than one helps only where the traffic of one connection keeps a CPU busy.
    pub fn connections_per_core(mut self, connections: usize) -> Self {
        self.connections_per_core = connections.max(1);
        self
    }

    /// The database of all requests (SELECT). Default: 0.
    pub fn database(mut self, number: u32) -> Self {
        self.database = number;
        self
    }

    /// The address, parsed.
    pub(crate) fn place(&self) -> Result<Place, &'static str> {
        Place::parse(&self.address)
    }
}

impl Place {
    fn parse(address: &str) -> Result<Place, &'static str> {
        if let Some(path) = address.strip_prefix("unix:") {
            return Ok(Place::Unix(path.strip_prefix("//").unwrap_or(path).into()));
        }
        if address.starts_with('/') {
            return Ok(Place::Unix(address.into()));
        }
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("the address has a '[' without its ']'")?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or("after ']' comes ':port'")?)
            }
            // Two colons and no brackets: an IPv6 address alone.
            None if address.matches(':').count() > 1 => (address, ""),
            None => address.split_once(':').unwrap_or((address, "")),
        };
        if host.is_empty() {
            return Err("the address has no host; write host:port, or the path of a Unix socket");
        }
        let port = if port.is_empty() {
            PORT_DEFAULT
        } else {
            port.parse().map_err(|_| "the port is not a number from 0 to 65535")?
        };
        Ok(Place::Tcp { host: host.to_owned(), port })
    }
}

impl From<&str> for Options {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

impl From<String> for Options {
    fn from(address: String) -> Self {
        Self::new(address)
    }
}

impl From<&Options> for Options {
    fn from(options: &Options) -> Self {
        options.clone()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, authkey, user, timeout, connect_timeout, name, connections_per_core, database } = self;
        f.debug_struct("Options")
            .field("address", address)
            .field("authkey", &authkey.as_ref().map(|_| "(secret)"))
            .field("user", user)
            .field("timeout", timeout)
            .field("connect_timeout", connect_timeout)
            .field("name", name)
            .field("connections_per_core", connections_per_core)
            .field("database", database)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let tcp = |host: &str, port| Ok(Place::Tcp { host: host.to_owned(), port });
        for (address, place) in [
            ("localhost", tcp("localhost", 5116)),
            ("127.0.0.1:7", tcp("127.0.0.1", 7)),
            ("::1", tcp("::1", 5116)),
            ("[::1]:7", tcp("::1", 7)),
            ("[::1]", tcp("::1", 5116)),
            ("/run/aspine", Ok(Place::Unix("/run/aspine".into()))),
            ("unix:a", Ok(Place::Unix("a".into()))),
            ("unix:///run/a", Ok(Place::Unix("/run/a".into()))),
        ] {
            assert_eq!(Place::parse(address), place, "{address}");
        }
        for address in ["", ":7", "host:", "host:x", "host:65536", "[::1", "[::1]7"] {
            assert_eq!(Place::parse(address).is_err(), address != "host:", "{address}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert!(!format!("{:?}", Options::new("h").authkey("hush")).contains("hush"));
    }
}
