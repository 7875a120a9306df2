//! Transport: how a core reaches its sockets: what is accepted, read, sent and waited for. Core: each its own.
//!
//! | file | what |
//! |---|---|
//! | `ring` | the core's own io_uring: one system call a turn, which sends, waits and receives |
//! | `epoll` | an epoll set, and a system call for each read and each send |
//! | `poller` | the epoll set |
//!
//! A transport owns the sockets of its clients and feeds what they send to the engine. What concerns the core as a whole
//! (a listening socket, a doorbell, a connection that has ended) it hands back as an [`Event`].
//! Never: waits but in `wait`, decides whether a client is admitted.

pub(super) mod epoll;
mod poller;
pub(super) mod ring;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use super::listener::{CoreListener, Door};
use crate::engine::{Engine, SessionId};

/// What a transport has done, or asks for.
#[derive(Debug)]
pub(super) enum Event {
    /// A client was served, or nothing came of what was ready.
    Served,
    /// Clients wait at a listening socket.
    Accept(Door),
    /// The doorbell rang.
    Bell,
    /// A connection has ended; its socket is no longer the transport's.
    Over(SessionId, OwnedFd),
}

/// The sockets of one core.
pub(super) trait Transport: Sized {
    /// A transport without sockets, which is woken by `bell`.
    fn new(bell: BorrowedFd<'_>) -> io::Result<Self>;

    /// Begins to watch the listening sockets.
    fn listen(&mut self, listener: &CoreListener) -> io::Result<()>;

    /// Stops watching the listening sockets.
    fn unlisten(&mut self, listener: &CoreListener) -> io::Result<()>;

    /// Takes over the socket of a new session.
    fn open(&mut self, socket: OwnedFd, id: SessionId) -> io::Result<()>;

    /// Sends what a session has to say. Returns its socket once it has said everything, or its client is gone.
    fn send(&mut self, engine: &mut Engine, id: SessionId, now_ms: u64) -> io::Result<Option<OwnedFd>>;

    /// Looks for what is ready, unless some of what the last look found is left. Never waits.
    fn look(&mut self) -> io::Result<()>;

    /// Handles the next thing that is ready; `None`: nothing is left.
    fn next(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<Option<Event>>;

    /// Whether all that was found is handled, and no session goes on once what it has said is sent. Then a turn that has
    /// done something may be followed by `wait` at once, without a look in between.
    fn is_quiet(&mut self, engine: &mut Engine) -> bool;

    /// Whether `has_news` makes no system call.
    const LOOKS_FREELY: bool;

    /// Sends what waits to be sent. Never waits.
    fn submit(&mut self) -> io::Result<()>;

    /// Whether a look would find something.
    fn has_news(&mut self) -> io::Result<bool>;

    /// Waits until something is ready, but no longer than `timeout`. Returns whether something is.
    fn wait(&mut self, timeout: Duration) -> io::Result<bool>;
}
