//! Epoll: the transport of kernels, and of sandboxes, without the newer parts of io_uring. Core: each its own.
//!
//! | file | what |
//! |---|---|
//! | `connection` | reads and writes one client's socket |
//!
//! Cost: an `epoll_wait` a turn, in which an idle core also waits; a recv and a send a round.

mod connection;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use self::connection::{Connection, Outcome};
use super::poller::{self, Poller, Ready, TOKEN_DOORBELL};
use super::{Event, Transport};
use crate::engine::{Engine, SessionId};
use crate::limits::READ_BUFFER_BYTES;
use crate::runtime::listener::CoreListener;

/// The sockets of one core in an epoll set.
pub(in crate::runtime) struct Epoll {
    poller: Poller,
    /// The connections by session index.
    connections: Vec<Option<Connection>>,
    /// What was ready at the last look, and how much of it has been handled.
    ready: Vec<Ready>,
    handled: usize,
    buffer: Box<[u8]>,
}

impl Epoll {
    #[inline]
    fn on_socket(&mut self, engine: &mut Engine, event: Ready, id: SessionId, now_ms: u64) -> io::Result<Event> {
        let Epoll { poller, connections, buffer, .. } = self;
        let Some(connection) = connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return Ok(Event::Served);
        };
        if connection.id() != id {
            // An earlier event of this turn closed the connection, and its index was reused.
            return Ok(Event::Served);
        }
        if event.writable {
            connection.on_writable();
        }
        let mut outcome = Outcome::Open;
        if event.readable && connection.is_read() {
            outcome = connection.on_readable(engine, buffer, now_ms);
        } else if event.gone {
            outcome = Outcome::Over;
        }
        let socket = match outcome {
            Outcome::Over => self.take(id),
            Outcome::Open if event.writable => self.send(engine, id, now_ms)?,
            Outcome::Open => {
                connection.settle(engine, poller)?;
                None
            }
        };
        Ok(socket.map_or(Event::Served, |socket| Event::Over(id, socket)))
    }

    /// Gives up a connection.
    fn take(&mut self, id: SessionId) -> Option<OwnedFd> {
        let connection = self.connections.get_mut(id.index as usize).and_then(Option::take)?;
        connection.detach(&self.poller);
        Some(connection.into_socket())
    }
}

impl Transport for Epoll {
    fn new(bell: BorrowedFd<'_>) -> io::Result<Epoll> {
        let poller = Poller::new()?;
        poller.add_doorbell(bell, TOKEN_DOORBELL)?;
        let buffer = vec![0; READ_BUFFER_BYTES].into_boxed_slice();
        Ok(Epoll { poller, connections: Vec::new(), ready: Vec::new(), handled: 0, buffer })
    }

    fn listen(&mut self, listener: &CoreListener) -> io::Result<()> {
        self.poller.add_doors(listener)
    }

    fn unlisten(&mut self, listener: &CoreListener) -> io::Result<()> {
        self.poller.remove_doors(listener)
    }

    fn open(&mut self, socket: OwnedFd, id: SessionId) -> io::Result<()> {
        let index = id.index as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.connections[index] = Some(Connection::new(socket, id, &self.poller)?);
        Ok(())
    }

    #[inline]
    fn send(&mut self, engine: &mut Engine, id: SessionId, now_ms: u64) -> io::Result<Option<OwnedFd>> {
        let Epoll { poller, connections, .. } = self;
        let Some(connection) = connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return Ok(None);
        };
        debug_assert!(connection.id() == id, "a session and its connection come and go together");
        match connection.flush(engine, now_ms) {
            Outcome::Over => Ok(self.take(id)),
            Outcome::Open => {
                connection.settle(engine, poller)?;
                Ok(None)
            }
        }
    }

    #[inline]
    fn look(&mut self) -> io::Result<()> {
        if self.handled < self.ready.len() {
            return Ok(());
        }
        self.wait(Duration::ZERO).map(drop)
    }

    #[inline]
    fn next(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<Option<Event>> {
        let Some(event) = self.ready.get(self.handled).copied() else { return Ok(None) };
        self.handled += 1;
        Ok(Some(match (event.token, poller::door(event.token)) {
            (_, Some(door)) => Event::Accept(door),
            (TOKEN_DOORBELL, _) => Event::Bell,
            (bits, _) => self.on_socket(engine, event, SessionId::from_bits(bits), now_ms)?,
        }))
    }

    /// A look tells whether a busy core may nap, which may cost more than that.
    fn is_quiet(&mut self, _engine: &mut Engine) -> bool {
        false
    }

    const LOOKS_FREELY: bool = false;

    fn submit(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn has_news(&mut self) -> io::Result<bool> {
        self.wait(Duration::ZERO)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.handled = 0;
        self.poller.poll(&mut self.ready, timeout)?;
        Ok(!self.ready.is_empty())
    }
}
