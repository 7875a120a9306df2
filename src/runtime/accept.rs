//! Accept: takes in the clients that wait at a core's listening sockets, or refuses them. Core: its own.
//!
//! At the bound of clients one is told so, and its connection closed. Out of descriptors accepting pauses for a while, and
//! those who wait are told by a descriptor that is kept for that.
//! Never: accepts more than `TURN_ACCEPTS_MAX` from a socket in a turn, waits for a client to read.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendFlags, sockopt};
use tracing::warn;

use super::core::Shell;
use super::listener::{CoreListener, Door};
use super::transport::Transport;
use crate::engine::{Engine, Peer};
use crate::limits::{ACCEPT_PAUSE_MS, TCP_KEEPALIVE_PROBES, TCP_USER_TIMEOUT_MS_MIN, TURN_ACCEPTS_MAX};

/// The listening sockets of a core, and whether it accepts from them.
pub(super) struct Accepting {
    /// `None` once the drain has begun.
    listener: Option<CoreListener>,
    /// A spare descriptor, closed when descriptors run out, so that a client can be accepted and refused.
    reserve: Option<OwnedFd>,
    /// The time until which accepting pauses.
    after_ms: Option<u64>,
}

impl Accepting {
    /// The sockets, which the transport watches already.
    pub(super) fn new(listener: CoreListener) -> Accepting {
        Accepting { listener: Some(listener), reserve: open_reserve().ok(), after_ms: None }
    }

    /// Whether the spare descriptor is lost and none is left to take its place: another core has accepted a client by it
    /// before this one could. The next client's is to be kept then.
    fn lacks_reserve(&mut self) -> bool {
        if self.reserve.is_some() {
            return false;
        }
        match open_reserve() {
            Ok(reserve) => self.reserve = Some(reserve),
            Err(error) => return is_out_of_descriptors(&error),
        }
        false
    }

    fn one(&self, door: Door) -> io::Result<Option<(OwnedFd, Peer)>> {
        self.listener.as_ref().map_or(Ok(None), |listener| listener.accept(door))
    }
}

impl<T: Transport> Shell<T> {
    /// Accepts clients that wait at a socket.
    pub(super) fn accept(&mut self, engine: &mut Engine, door: Door, now_ms: u64) -> io::Result<()> {
        for _ in 0..TURN_ACCEPTS_MAX {
            match self.accepting.one(door) {
                Ok(Some((socket, peer))) => self.admit(engine, door, (socket, peer), now_ms)?,
                Ok(None) => return Ok(()),
                Err(error) => return self.on_accept_error(engine, door, &error, now_ms),
            }
        }
        Ok(())
    }

    fn admit(
        &mut self,
        engine: &mut Engine,
        door: Door,
        (socket, mut peer): (OwnedFd, Peer),
        now_ms: u64,
    ) -> io::Result<()> {
        if self.accepting.lacks_reserve() {
            engine.on_refused();
            refuse(&socket);
            drop(socket);
            self.accepting.reserve = open_reserve().ok();
            return Ok(());
        }
        if !self.shared.admit(engine.maxclients()) {
            engine.on_refused();
            refuse(&socket);
            return Ok(());
        }
        peer.fd = socket.as_raw_fd();
        if door != Door::Unix {
            watch_peer(&socket, engine.tcp_keepalive_s());
        }
        let id = engine.on_connect(peer, now_ms);
        self.transport.open(socket, id)
    }

    /// Accepting pauses, on every socket of this core: one that is ready and can't be accepted from would keep the core
    /// busy. Out of descriptors, those who wait are told, one after the other by the descriptor kept for that.
    fn on_accept_error(&mut self, engine: &mut Engine, door: Door, error: &io::Error, now_ms: u64) -> io::Result<()> {
        warn!("cannot accept a connection: {error}; accepting pauses for {ACCEPT_PAUSE_MS} ms");
        if is_out_of_descriptors(error) {
            self.accepting.reserve = None;
            for _ in 0..TURN_ACCEPTS_MAX {
                let Ok(Some((socket, _))) = self.accepting.one(door) else { break };
                engine.on_refused();
                refuse(&socket);
            }
            self.accepting.reserve = open_reserve().ok();
        }
        if self.accepting.after_ms.is_none()
            && let Some(listener) = &self.accepting.listener
        {
            self.transport.unlisten(listener)?;
        }
        self.accepting.after_ms = Some(now_ms + ACCEPT_PAUSE_MS);
        Ok(())
    }

    /// Accepts again if a pause is over.
    pub(super) fn resume_accepting(&mut self, now_ms: u64) -> io::Result<()> {
        if self.accepting.after_ms.is_some_and(|after_ms| now_ms >= after_ms) {
            self.accepting.after_ms = None;
            if let Some(listener) = &self.accepting.listener {
                self.transport.listen(listener)?;
            }
        }
        Ok(())
    }

    /// Closes the listening sockets, so that new clients are refused at once.
    pub(super) fn end_accepting(&mut self) -> io::Result<()> {
        if let Some(listener) = self.accepting.listener.take()
            && self.accepting.after_ms.is_none()
        {
            self.transport.unlisten(&listener)?;
        }
        Ok(())
    }
}

/// Has the kernel end the connection of a peer that has vanished: one that is silent is asked, what was sent to it may not
/// stay without an answer for long. That fails if the client is gone already, and then so does the first read.
fn watch_peer(socket: &OwnedFd, keepalive_s: u64) {
    let watch = || {
        let idle = Duration::from_secs(keepalive_s);
        let interval = Duration::from_secs((keepalive_s / u64::from(TCP_KEEPALIVE_PROBES)).max(1));
        // With a user timeout the kernel ends a silent connection by that alone, whatever the number of questions: it must
        // not pass while one of them may still be answered.
        let asked_ms = (idle + interval * TCP_KEEPALIVE_PROBES).as_millis() as u32;
        sockopt::set_tcp_user_timeout(socket, TCP_USER_TIMEOUT_MS_MIN.max(asked_ms))?;
        sockopt::set_socket_keepalive(socket, keepalive_s > 0)?;
        if keepalive_s > 0 {
            sockopt::set_tcp_keepidle(socket, idle)?;
            sockopt::set_tcp_keepintvl(socket, interval)?;
            sockopt::set_tcp_keepcnt(socket, TCP_KEEPALIVE_PROBES)?;
        }
        rustix::io::Result::Ok(())
    };
    let _ = watch();
}

/// Refuses a client with an error, without waiting for it to read.
fn refuse(socket: &OwnedFd) {
    let text = b"-ERR max number of clients reached\r\n";
    let _ = rustix::net::send(socket, text, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

fn open_reserve() -> io::Result<OwnedFd> {
    std::fs::File::open("/dev/null").map(OwnedFd::from)
}

/// Whether the process, or the system, has no descriptor left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_kernel_watches_the_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = OwnedFd::from(listener.accept().unwrap().0);
        for (keepalive_s, interval_s, timeout_s) in
            [(300, 100, 600), (60, 20, 120), (2, 1, 120), (32_767, 10_922, 65_533)]
        {
            watch_peer(&socket, keepalive_s);
            assert_eq!(sockopt::socket_keepalive(&socket), Ok(true));
            assert_eq!(sockopt::tcp_keepidle(&socket), Ok(Duration::from_secs(keepalive_s)));
            assert_eq!(sockopt::tcp_keepintvl(&socket), Ok(Duration::from_secs(interval_s)));
            assert_eq!(sockopt::tcp_keepcnt(&socket), Ok(TCP_KEEPALIVE_PROBES));
            assert_eq!(sockopt::tcp_user_timeout(&socket), Ok(timeout_s * 1000));
        }
        watch_peer(&socket, 0);
        assert_eq!(sockopt::socket_keepalive(&socket), Ok(false));
        assert_eq!(sockopt::tcp_user_timeout(&socket), Ok(TCP_USER_TIMEOUT_MS_MIN));
    }
}
