//! Poller: sockets of one core in an epoll set: all of them by epoll, those that it listens on by the ring.
//!
//! Why not glommio's own sockets: they arm a fresh poll request for every read. A set that stays armed measured 0.80-0.94
//! of their CPU per request at 50 connections, and it yields all ready sockets at once, which is what a turn is made of.
//! A set keeps no socket open, while a request of a ring does until the kernel has taken that ring apart, some time after
//! its process has ended: the next server could not listen on the port.
//! Cost: one `epoll_wait` a turn by epoll, one for the clients of a turn by the ring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::limits::TURN_EVENTS_MAX;
use crate::runtime::listener::{CoreListener, Door};

/// The token of a doorbell, beside those of doors.
pub(super) const TOKEN_DOORBELL: u64 = u64::MAX - 3;

/// The epoll set of a core.
pub(super) struct Poller {
    set: OwnedFd,
    events: Vec<Event>,
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
        Ok(Poller { set, events: Vec::with_capacity(TURN_EVENTS_MAX) })
    }

    pub(super) fn add(&self, socket: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.set, socket, EventData::new_u64(token), interest.flags())?)
    }

    /// Adds the sockets that a core listens on, with the tokens of doors.
    pub(super) fn add_doors(&self, listener: &CoreListener) -> io::Result<()> {
        self.add(&listener.tcp, token(Door::Shared), Interest::READ)?;
        if let Some(own) = &listener.own {
            self.add(own, token(Door::Own), Interest::READ)?;
        }
        listener.unix.as_ref().map_or(Ok(()), |unix| self.add_exclusive(unix, token(Door::Unix)))
    }

    /// Removes the sockets that a core listens on.
    pub(super) fn remove_doors(&self, listener: &CoreListener) -> io::Result<()> {
        self.remove(&listener.tcp)?;
        if let Some(own) = &listener.own {
            self.remove(own)?;
        }
        listener.unix.as_ref().map_or(Ok(()), |unix| self.remove(unix))
    }

    /// Adds a socket that other cores watch too: an event wakes one of them.
    fn add_exclusive(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
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

    /// Replaces `ready` by the ready sockets, at most `TURN_EVENTS_MAX`. Waits up to `timeout`, which is below a second,
    /// for the first.
    pub(super) fn poll(&mut self, ready: &mut Vec<Ready>, timeout: Duration) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
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
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}

fn token(door: Door) -> u64 {
    u64::MAX - door as u64
}

/// The door that a token is of.
#[inline]
pub(super) fn door(token: u64) -> Option<Door> {
    match u64::MAX - token {
        0 => Some(Door::Shared),
        1 => Some(Door::Own),
        2 => Some(Door::Unix),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_have_tokens_of_their_own() {
        for one in [Door::Shared, Door::Own, Door::Unix] {
            assert_eq!(door(token(one)), Some(one));
        }
        assert_eq!((door(TOKEN_DOORBELL), door(0)), (None, None));
    }
}
