//! Connection: one HTTP connection, from its request to the end of the response.
//!
//! Reads until the head is complete, waits for the page, sends it, shuts down its sending side, and discards what still
//! arrives until the client closes: closing with unread bytes would reset the connection, and lose the page.
//! Never: blocks. The loop calls it when the socket is ready, and drops it at its deadline.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::PollFlags;

use super::http::{self, Content, Request, Status};
use crate::limits::{ADMIN_DISCARD_BYTES_MAX, ADMIN_HEAD_BYTES_MAX};

/// An HTTP connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    /// The time at which the connection was accepted, on the loop's clock.
    pub(super) since: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The head of the request is being read.
    Reading(Vec<u8>),
    /// The request is complete; the page is not ready yet.
    Waiting(Request),
    /// Head and body are being sent, up to `sent`. Requests that arrived together share the body.
    Writing { head: String, body: Rc<str>, sent: usize },
    /// Everything is sent. Counts the bytes discarded since.
    Closing { discarded: usize },
    /// The connection is to be dropped.
    Over,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, since: Duration) -> io::Result<Connection> {
        socket.set_nonblocking(true)?;
        Ok(Connection { socket, since, state: State::Reading(Vec::new()) })
    }

    /// The events that the loop has to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        match self.state {
            State::Reading(_) | State::Closing { .. } => PollFlags::IN,
            State::Writing { .. } => PollFlags::OUT,
            State::Waiting(_) | State::Over => PollFlags::empty(),
        }
    }

    /// The request that waits for its page, if any.
    pub(super) fn request(&self) -> Option<Request> {
        if let State::Waiting(request) = self.state { Some(request) } else { None }
    }

    /// Whether the connection may be closed to make room: its request is incomplete, or its response is sent.
    pub(super) fn may_go(&self) -> bool {
        matches!(self.state, State::Reading(_) | State::Closing { .. })
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The socket is ready, or has failed.
    pub(super) fn on_ready(&mut self) {
        let went = match self.state {
            State::Reading(_) => self.read(),
            State::Writing { .. } => self.write(),
            State::Closing { .. } => self.discard(),
            // No event was waited for, so the socket has failed.
            State::Waiting(_) | State::Over => Err(io::ErrorKind::ConnectionReset.into()),
        };
        match went {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.state = State::Over,
        }
    }

    /// Answers the waiting request.
    pub(super) fn answer(&mut self, status: Status, content: Content, body: &Rc<str>) {
        let State::Waiting(request) = self.state else { return };
        let head = http::head(status, content, body.len());
        let body = if request.head_only { Rc::from("") } else { Rc::clone(body) };
        self.state = State::Writing { head, body, sent: 0 };
        self.on_ready();
    }

    fn read(&mut self) -> io::Result<()> {
        let State::Reading(received) = &mut self.state else { return Ok(()) };
        let start = received.len();
        received.resize(ADMIN_HEAD_BYTES_MAX, 0);
        let read = self.socket.read(&mut received[start..]);
        received.truncate(start + read.as_ref().copied().unwrap_or(0));
        if read? == 0 {
            self.state = State::Over;
        } else if let Some(request) = http::parse(received) {
            self.state = State::Waiting(request);
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        while let State::Writing { head, body, sent } = &mut self.state {
            let rest = match head.as_bytes().get(*sent..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => body.as_bytes().get(*sent - head.len()..).unwrap_or_default(),
            };
            if rest.is_empty() {
                self.socket.shutdown(Shutdown::Write)?;
                self.state = State::Closing { discarded: 0 };
                break;
            }
            match self.socket.write(rest)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => *sent += written,
            }
        }
        Ok(())
    }

    fn discard(&mut self) -> io::Result<()> {
        let State::Closing { discarded } = &mut self.state else { return Ok(()) };
        let read = self.socket.read(&mut [0; ADMIN_HEAD_BYTES_MAX])?;
        *discarded += read;
        if read == 0 || *discarded > ADMIN_DISCARD_BYTES_MAX {
            self.state = State::Over;
        }
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
