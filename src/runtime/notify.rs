//! What the service manager is told: sd_notify's datagrams, to the socket that `$NOTIFY_SOCKET` names.
//!
//! Owner: the supervisor, on the main thread. Written here rather than taken from a crate: it is one datagram a message,
//! and std knows abstract addresses. Never: fails, or waits longer than `NOTIFY_WAIT_S` for a manager that is busy; without the variable nothing is sent.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::warn;

use crate::limits::NOTIFY_WAIT_S;

/// The way to the service manager.
#[derive(Debug)]
pub(super) struct Notify {
    /// Absent where there is no manager.
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How long the manager waits for a sign of life, if it does.
    watchdog: Option<Duration>,
}

impl Notify {
    /// What the environment says.
    pub(super) fn from_env() -> Notify {
        let manager = std::env::var_os("NOTIFY_SOCKET").and_then(|path| match open(&path) {
            Ok(manager) => Some(manager),
            Err(error) => {
                warn!("cannot notify the service manager at {}: {error}; it will not hear from us", path.display());
                None
            }
        });
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        // Meant for another process, if it is set so. A daemon's own number is one the manager did not know.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|us| *us > 0 && is_ours && manager.is_some());
        Notify { manager, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// How long the manager waits for a sign of life, if it does.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.manager.is_some()
    }

    /// Sends a message of one or more lines `NAME=value`.
    pub(super) fn send(&self, message: &str) {
        let Some((socket, address)) = &self.manager else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            let first = message.lines().next().unwrap_or_default();
            warn!("cannot tell the service manager {first}: {error}");
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
    // A manager that is busy is waited for: what it does not hear of, as READY, it would kill us for.
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
