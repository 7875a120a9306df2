//! Notify: messages to the service manager: sd_notify's datagrams, to the socket named by `$NOTIFY_SOCKET`.
//!
//! Owner: the supervisor, on the main thread. Written here rather than taken from a crate: a message is one datagram, and
//! std supports abstract addresses. Never: fails, or waits longer than `NOTIFY_WAIT_S` for a busy manager; without the
//! variable nothing is sent.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::warn;

use crate::limits::NOTIFY_WAIT_S;

/// The connection to the service manager.
#[derive(Debug)]
pub(crate) struct Notify {
    /// The socket and the manager's address; `None` without a manager.
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// The timeout of the manager's watchdog, if it has one.
    watchdog: Option<Duration>,
}

impl Notify {
    /// Reads the environment.
    pub(crate) fn from_env() -> Notify {
        let manager = std::env::var_os("NOTIFY_SOCKET").and_then(|path| match open(&path) {
            Ok(manager) => Some(manager),
            Err(error) => {
                warn!("cannot notify the service manager at {}: {error}; it gets no messages", path.display());
                None
            }
        });
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        // The watchdog may be meant for another process; a daemon's pid is not the one that the manager started.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|us| *us > 0 && is_ours && manager.is_some());
        Notify { manager, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// The timeout of the manager's watchdog, if it has one.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Whether there is a service manager.
    pub(crate) fn is_heard(&self) -> bool {
        self.manager.is_some()
    }

    /// Sends a message of one or more lines `NAME=value`.
    pub(crate) fn send(&self, message: &str) {
        let Some((socket, address)) = &self.manager else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            let first = message.lines().next().unwrap_or_default();
            warn!("cannot send {first} to the service manager: {error}");
        }
    }
}

fn open(path: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(path)?,
        _ => return Err(io::Error::other("neither an absolute path nor an abstract address")),
    };
    let socket = UnixDatagram::unbound()?;
    // The send waits for a busy manager, which would kill the server for a lost READY.
    socket.set_write_timeout(Some(Duration::from_secs(NOTIFY_WAIT_S)))?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_abstract_names_are_addresses() {
        let name = format!("@aspine-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(&name[1..]);
        for (address, bound) in [
            (OsStr::new(&name), SocketAddr::from_abstract_name(&name[1..]).unwrap()),
            (path.as_os_str(), SocketAddr::from_pathname(&path).unwrap()),
        ] {
            let manager = UnixDatagram::bind_addr(&bound).unwrap();
            let notify = Notify { manager: Some(open(address).unwrap()), watchdog: None };
            notify.send("READY=1\nSTATUS=x");
            let mut buffer = [0; 64];
            let len = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], b"READY=1\nSTATUS=x");
        }
        std::fs::remove_file(path).unwrap();
        for address in ["", "relative", "vsock:2:1"] {
            assert!(open(OsStr::new(address)).is_err(), "{address}");
        }
        Notify { manager: None, watchdog: None }.send("nobody hears it");
    }
}
