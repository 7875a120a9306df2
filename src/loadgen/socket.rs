//! Socket: one connection: requests that wait to be sent, and replies that are due.
//!
//! Owner: a lane. Cost: buffers that keep their size; one send for all that was encoded since the last, one receive for
//! all that has come. Two queues, bounded by the pipeline of the client whose socket it is: `dues`, filled by `encode`,
//! drained by `read`; `ids`, the keys of those. Never: blocks.

use std::collections::VecDeque;
use std::io;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

use super::random::Random;
use super::wire::{self, Due, Garbage, Outcome, Protocol};
use super::workload::{Kind, Values, Workload};
use crate::limits::{BENCH_READ_BYTES, BENCH_UNSENT_BYTES_MAX};

/// An operation that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) kind: Kind,
    pub(super) keys: u16,
    /// Whether it is in the measured part.
    pub(super) counts: bool,
    /// The operation's time.
    pub(super) at_ns: u64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Socket {
    /// `None` once it is lost.
    fd: Option<OwnedFd>,
    /// Requests; sent up to `sent`.
    out: Vec<u8>,
    sent: usize,
    /// The begin of a reply whose end has not come.
    stash: Vec<u8>,
    dues: VecDeque<Sent>,
    ids: VecDeque<u64>,
    /// The kernel took less than there was; the set wakes us when it takes more.
    is_blocked: bool,
    /// When something last came, or was first waited for.
    pub(super) progress_ns: u64,
}

/// What a receive found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// All that had come.
    All,
    /// As much as fits a read; there may be more.
    Some,
    /// Nothing; it was no event of ours.
    Nothing,
}

impl Socket {
    /// A connected socket that does not block, added to a set under `token`.
    pub(super) fn new(fd: OwnedFd, set: impl AsFd, token: u64) -> io::Result<Socket> {
        epoll::add(set, &fd, EventData::new_u64(token), EventFlags::IN)?;
        Ok(Socket {
            fd: Some(fd),
            out: Vec::new(),
            sent: 0,
            stash: Vec::new(),
            dues: VecDeque::new(),
            ids: VecDeque::new(),
            is_blocked: false,
            progress_ns: 0,
        })
    }

    /// Encodes a request. True if nothing waited to be sent before, so that someone must send it.
    #[inline]
    pub(super) fn encode(
        &mut self,
        protocol: Protocol,
        sent: Sent,
        ids: &[u64],
        workload: &Workload,
        random: &mut Random,
    ) -> bool {
        let was_empty = self.out.is_empty();
        if self.dues.is_empty() {
            self.progress_ns = sent.at_ns;
        }
        wire::encode(protocol, &mut self.out, sent.kind, ids, workload, random);
        self.ids.extend(ids);
        self.dues.push_back(sent);
        was_empty
    }

    /// Whether so much waits to be sent that no more should be encoded.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.out.len() - self.sent >= BENCH_UNSENT_BYTES_MAX
    }

    /// Whether the kernel takes no more for now.
    #[inline]
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Whether a reply is due.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        !self.dues.is_empty()
    }

    /// Sends what the kernel takes.
    #[inline]
    pub(super) fn flush(&mut self, set: impl AsFd, token: u64) -> io::Result<()> {
        let Some(fd) = &self.fd else { return Ok(()) };
        while self.sent < self.out.len() {
            match rustix::net::send(fd, &self.out[self.sent..], rustix::net::SendFlags::NOSIGNAL) {
                Ok(len) => self.sent += len,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let is_blocked = self.sent < self.out.len();
        if !is_blocked {
            self.out.clear();
            self.sent = 0;
        }
        if is_blocked != self.is_blocked {
            let flags = if is_blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(set, fd, EventData::new_u64(token), flags)?;
            self.is_blocked = is_blocked;
        }
        Ok(())
    }

    /// Receives once, into `input` or behind the begin of a reply. The bytes are then [`Socket::take_input`]'s.
    #[inline]
    pub(super) fn receive(&mut self, input: &mut Vec<u8>) -> io::Result<Received> {
        let Some(fd) = &self.fd else { return Ok(Received::Nothing) };
        let into = if self.stash.is_empty() { input } else { &mut self.stash };
        into.reserve(BENCH_READ_BYTES);
        let room = into.capacity() - into.len();
        match rustix::io::read(fd, spare_capacity(into)) {
            Ok(0) => Err(io::Error::other("closed by the server")),
            Ok(len) if len < room => Ok(Received::All),
            Ok(_) => Ok(Received::Some),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Received::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// What was received and not understood yet; `input` if nothing was left from before.
    #[inline]
    pub(super) fn take_input(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        std::mem::take(if self.stash.is_empty() { input } else { &mut self.stash })
    }

    /// Gives the input back, all of it understood up to `at`. Its memory goes to where it came from.
    #[inline]
    pub(super) fn give_input(&mut self, mut bytes: Vec<u8>, at: usize, input: &mut Vec<u8>) {
        let is_lanes = input.capacity() == 0;
        if is_lanes {
            self.stash.extend_from_slice(&bytes[at..]);
            bytes.clear();
            *input = bytes;
        } else {
            bytes.drain(..at);
            self.stash = bytes;
        }
    }

    /// The reply at the start of `bytes`: its length, the operation, its first key, and what it says.
    #[inline]
    pub(super) fn read<'b>(
        &mut self,
        protocol: Protocol,
        bytes: &'b [u8],
        values: Option<&Values>,
    ) -> Result<Option<(usize, Sent, u64, Outcome<'b>)>, Garbage> {
        let Some(sent) = self.dues.front().copied() else {
            return Err(format!("a reply nobody asked for: {}", wire::excerpt(bytes)));
        };
        let due = Due { kind: sent.kind, keys: sent.keys, ids: &self.ids, values };
        let Some((len, outcome)) = wire::read(protocol, bytes, due)? else { return Ok(None) };
        let first = self.ids.front().copied().unwrap_or_default();
        self.dues.pop_front();
        self.ids.drain(..usize::from(sent.keys));
        Ok(Some((len, sent, first, outcome)))
    }

    /// Closes it, and gives back the operations that will not be answered.
    pub(super) fn close(&mut self) -> VecDeque<Sent> {
        self.fd = None;
        self.out.clear();
        self.sent = 0;
        self.ids.clear();
        std::mem::take(&mut self.dues)
    }
}
