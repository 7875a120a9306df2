//! Accept: takes in the clients that wait at a core's listening sockets, or refuses them. Core: its own.
//!
//! At the bound of clients one is told so, and its connection closed. Out of descriptors accepting pauses for a while, and
//! those who wait are told by a descriptor that is kept for that.
//! Never: accepts more than `TURN_ACCEPTS_MAX` from a socket in a turn, waits for a client to read.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::SendFlags;
use tracing::warn;

use super::core::Shell;
use super::listener::{CoreListener, Door};
use super::transport::Transport;
use crate::engine::{Engine, Peer};
use crate::limits::{ACCEPT_PAUSE_MS, TURN_ACCEPTS_MAX};

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
        Accepting { listener: Some(listener), reserve: open_reserve(), after_ms: None }
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
                Ok(Some((socket, peer))) => self.admit(engine, socket, peer, now_ms)?,
                Ok(None) => return Ok(()),
                Err(error) => return self.on_accept_error(engine, door, &error, now_ms),
            }
        }
        Ok(())
    }

    fn admit(&mut self, engine: &mut Engine, socket: OwnedFd, mut peer: Peer, now_ms: u64) -> io::Result<()> {
        if !self.shared.admit(engine.maxclients()) {
            engine.on_refused();
            refuse(&socket);
            return Ok(());
        }
        peer.fd = socket.as_raw_fd();
        let id = engine.on_connect(peer, now_ms);
        self.transport.open(socket, id)
    }

    /// Accepting pauses, on every socket of this core: one that is ready and can't be accepted from would keep the core
    /// busy. Out of descriptors, those who wait are told, one after the other by the descriptor kept for that.
    fn on_accept_error(&mut self, engine: &mut Engine, door: Door, error: &io::Error, now_ms: u64) -> io::Result<()> {
        warn!("cannot accept a connection: {error}; accepting pauses for {ACCEPT_PAUSE_MS} ms");
        if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) {
            self.accepting.reserve = None;
            for _ in 0..TURN_ACCEPTS_MAX {
                let Ok(Some((socket, _))) = self.accepting.one(door) else { break };
                engine.on_refused();
                refuse(&socket);
            }
            self.accepting.reserve = open_reserve();
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

/// Refuses a client with an error, without waiting for it to read.
fn refuse(socket: &OwnedFd) {
    let text = b"-ERR max number of clients reached\r\n";
    let _ = rustix::net::send(socket, text, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

fn open_reserve() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}
