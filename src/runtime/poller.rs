//! Poller: the sockets of one core in an epoll set, which the core's ring watches while the core is parked.
//!
//! Why not glommio's own sockets: they arm a fresh poll request for every read. A set that stays armed, with the ring
//! polling only the set and only before the core parks, measured 0.80-0.94 of their CPU per request at 50
//! connections, and it yields all ready sockets at once, which is what a turn is made of.
//! Cost: one `epoll_wait` a turn, in which a busy core also naps; one request to the ring a park, which takes ten more
//! system calls (glommio arms timers, links its rings, crosses a barrier) and so is for cores that are idle.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, IntoRawFd};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_lite::AsyncRead;
use glommio::net::UnixStream;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::mesh::Bell;
use crate::limits::{PARK_BLIND_MS, TURN_EVENTS_MAX};

/// The epoll set of a core.
pub(super) struct Poller {
    set: OwnedFd,
    events: Vec<Event>,
    /// The ring's poll request for the set, if one is outstanding: it outlives a park that the bell ended.
    armed: Option<UnixStream>,
}

/// A ready socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    /// The token with which the socket was added.
    pub(super) token: u64,
    /// Whether the socket can be read, or accepted from.
    pub(super) readable: bool,
    /// Whether the socket can be written.
    pub(super) writable: bool,
    /// Whether both directions are closed, or the socket has failed.
    pub(super) gone: bool,
}

/// The events to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Interest {
    pub(super) const READ: Interest = Interest { read: true, write: false };

    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Poller { set, events: Vec::with_capacity(TURN_EVENTS_MAX), armed: None })
    }

    pub(super) fn add(&self, socket: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.set, socket, EventData::new_u64(token), interest.flags())?)
    }

    /// Adds a socket that other cores watch too: an event wakes one of them.
    pub(super) fn add_exclusive(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
        Ok(epoll::add(&self.set, socket, EventData::new_u64(token), flags)?)
    }

    pub(super) fn change(&self, socket: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.set, socket, EventData::new_u64(token), interest.flags())?)
    }

    pub(super) fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.set, socket)?)
    }

    /// Adds a doorbell, edge-triggered: every ring is an event, and nobody has to read the eventfd.
    pub(super) fn add_doorbell(&self, bell: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.set, bell, EventData::new_u64(token), EventFlags::IN | EventFlags::ET)?)
    }

    /// Replaces `ready` by the ready sockets, at most `TURN_EVENTS_MAX`. Waits up to `wait_ms` for the first.
    pub(super) fn poll(&mut self, ready: &mut Vec<Ready>, wait_ms: u64) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: wait_ms as i64 * 1_000_000 };
        match epoll::wait(&self.set, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| {
            // The fields are copied, since the kernel's struct is packed.
            let (flags, data) = (event.flags, event.data);
            Ready {
                token: data.u64(),
                readable: flags.contains(EventFlags::IN),
                writable: flags.contains(EventFlags::OUT),
                gone: flags.intersects(EventFlags::HUP | EventFlags::ERR),
            }
        }));
        Ok(())
    }

    /// Parks the core until a socket is ready or the bell rings.
    pub(super) async fn park(&mut self, bell: &Bell) -> io::Result<()> {
        let mut stream = match self.armed.take().map_or_else(|| self.as_stream(), Ok) {
            Ok(stream) => stream,
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                // Clients have taken the last descriptor. The connected ones are still served, by polling often.
                glommio::timer::sleep(Duration::from_millis(PARK_BLIND_MS)).await;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let still_armed = poll_fn(|cx| {
            if bell.listen(cx.waker()) {
                return Poll::Ready(true);
            }
            // Ready means that the poll request has completed; the read itself fails, since the set is not a socket.
            match Pin::new(&mut stream).poll_read(cx, &mut [0]) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if still_armed {
            self.armed = Some(stream);
        }
        Ok(())
    }

    /// The set as something that glommio polls: making a stream of a descriptor sends the ring a poll request for it,
    /// the only way to one through its public interface.
    #[expect(unsafe_code, reason = "glommio takes descriptors only by from_raw_fd")]
    fn as_stream(&self) -> io::Result<UnixStream> {
        use std::os::fd::FromRawFd;
        let duplicate = self.set.try_clone()?;
        // SAFETY: 1. the descriptor was made by the line above and `into_raw_fd` gives up its ownership, so the
        // stream is its only owner and closes it once. 2. that it is no socket is no matter of memory: glommio polls
        // it and calls recv(2), which fails with ENOTSOCK.
        Ok(unsafe { UnixStream::from_raw_fd(duplicate.into_raw_fd()) })
    }
}
