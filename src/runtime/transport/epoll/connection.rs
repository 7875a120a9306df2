//! Connection: one client's socket: a read is one round of its session. Core: its home.
//!
//! Never: blocks, buffers anything itself (the engine does, within its limits), reads while the engine does not want
//! to. Cost: one recv and one send a round; the rest of a long argument is received into its session's own buffer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::engine::{Engine, SessionId};
use crate::runtime::transport::poller::{Interest, Poller};

/// A client's socket.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    id: SessionId,
    /// The events that the poller waits for.
    interest: Interest,
    /// Whether the kernel's send buffer is full.
    blocked: bool,
}

/// The state of a connection after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The connection stays open.
    Open,
    /// The client is gone, or everything was sent: the connection is to be dropped.
    Over,
}

impl Connection {
    /// Takes over an accepted socket.
    pub(super) fn new(socket: OwnedFd, id: SessionId, poller: &Poller) -> io::Result<Connection> {
        poller.add(&socket, id.to_bits(), Interest::READ)?;
        Ok(Connection { socket, id, interest: Interest::READ, blocked: false })
    }

    /// Reads once and runs one round.
    #[inline]
    pub(super) fn on_readable(&mut self, engine: &mut Engine, buffer: &mut [u8], now_ms: u64) -> Outcome {
        if let Some(input) = engine.lend_input(self.id) {
            return self.read_long(engine, input, now_ms);
        }
        match recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                engine.on_eof(self.id);
                Outcome::Open
            }
            Ok((len, _)) => {
                engine.on_bytes(self.id, &buffer[..len], now_ms);
                Outcome::Open
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Outcome::Open,
            Err(_gone) => Outcome::Over,
        }
    }

    /// Reads once into the session's buffer for a long argument.
    #[cold]
    fn read_long(&self, engine: &mut Engine, mut input: Vec<u8>, now_ms: u64) -> Outcome {
        let received = recv(&self.socket, spare_capacity(&mut input), RecvFlags::DONTWAIT);
        engine.on_input(self.id, input, received.map_or(0, |(len, _)| len), now_ms);
        match received {
            Ok((0, _)) => engine.on_eof(self.id),
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_gone) => return Outcome::Over,
        }
        Outcome::Open
    }

    /// The send buffer has room again.
    pub(super) fn on_writable(&mut self) {
        self.blocked = false;
    }

    /// Sends the session's output; the connection is over once the session is finished.
    #[inline]
    pub(super) fn flush(&mut self, engine: &mut Engine, now_ms: u64) -> Outcome {
        if !self.blocked
            && let Some(output) = engine.take_output(self.id)
        {
            let unsent = output.bytes().len();
            match send(&self.socket, output.bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    self.blocked = sent < unsent;
                    engine.on_output(self.id, output, sent, now_ms);
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                    self.blocked = true;
                    engine.on_output(self.id, output, 0, now_ms);
                }
                Err(_gone) => return Outcome::Over,
            }
        }
        if engine.is_finished(self.id) { Outcome::Over } else { Outcome::Open }
    }

    /// Updates the events that the poller waits for.
    #[inline]
    pub(super) fn settle(&mut self, engine: &mut Engine, poller: &Poller) -> io::Result<()> {
        let interest = Interest { read: engine.wants_read(self.id), write: self.blocked };
        if interest != self.interest {
            poller.change(&self.socket, self.id.to_bits(), interest)?;
            self.interest = interest;
        }
        Ok(())
    }

    /// The session of the connection.
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// Whether the poller waits for bytes from the client.
    pub(super) fn is_read(&self) -> bool {
        self.interest.read
    }

    /// Returns the socket.
    pub(super) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Removes the socket from the poller; dropping the connection then closes it.
    pub(super) fn detach(&self, poller: &Poller) {
        // Closing removes it too, unless the descriptor has duplicates, of which there are none.
        let _ = poller.remove(self.socket.as_fd());
    }
}
