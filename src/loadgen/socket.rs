//! Socket: one connection with its unsent requests and its due replies.
//!
//! Owner: a lane. Cost: buffers that keep their size; one send for all requests encoded since the last one, one receive for
//! all replies that have arrived. Two queues, bounded by the client's pipeline: `dues`, filled by `encode`, drained by
//! `read`; `ids`, the keys of those. Never: blocks.

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
    /// Whether the operation is in the measured part.
    pub(super) counts: bool,
    /// The time at which the operation was due.
    pub(super) at_ns: u64,
}

/// A connection to the server.
#[derive(Debug)]
pub(super) struct Socket {
    /// The descriptor; `None` once the connection is lost.
    fd: Option<OwnedFd>,
    /// Encoded requests, sent up to `sent`.
    out: Vec<u8>,
    sent: usize,
    /// The start of an incomplete reply.
    stash: Vec<u8>,
    dues: VecDeque<Sent>,
    ids: VecDeque<u64>,
    /// Whether the kernel's buffer is full; epoll reports when it takes more.
    is_blocked: bool,
    /// The time at which bytes last arrived, or at which the first reply became due.
    pub(super) progress_ns: u64,
}

/// The result of a receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Everything that had arrived was received.
    All,
    /// The buffer was filled; there may be more.
    Some,
    /// Nothing had arrived.
    Nothing,
}

impl Socket {
    /// Makes a connected socket non-blocking and adds it to an epoll set under `token`.
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

    /// Encodes a request. True if no request was unsent before, so that the socket has to be flushed.
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

    /// Whether so many bytes are unsent that no further request should be encoded.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.out.len() - self.sent >= BENCH_UNSENT_BYTES_MAX
    }

    /// Whether the kernel's buffer is full.
    #[inline]
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Whether a reply is due.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        !self.dues.is_empty()
    }

    /// Sends as much as the kernel takes.
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

    /// Receives once, into `input` or behind an incomplete reply. [`Socket::take_input`] then has the bytes.
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

    /// The received bytes that were not parsed yet; `input` if no incomplete reply was left.
    #[inline]
    pub(super) fn take_input(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        std::mem::take(if self.stash.is_empty() { input } else { &mut self.stash })
    }

    /// Returns the input, parsed up to `at`. Its memory goes back to its owner.
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

    /// Parses the reply at the start of `bytes`: its length, the operation, its first key, and the outcome.
    #[inline]
    pub(super) fn read<'b>(
        &mut self,
        protocol: Protocol,
        bytes: &'b [u8],
        values: Option<&Values>,
    ) -> Result<Option<(usize, Sent, u64, Outcome<'b>)>, Garbage> {
        let Some(sent) = self.dues.front().copied() else {
            return Err(format!("a reply to no request: {}", wire::excerpt(bytes)));
        };
        let due = Due { kind: sent.kind, keys: sent.keys, ids: &self.ids, values };
        let Some((len, outcome)) = wire::read(protocol, bytes, due)? else { return Ok(None) };
        let first = self.ids.front().copied().unwrap_or_default();
        self.dues.pop_front();
        self.ids.drain(..usize::from(sent.keys));
        Ok(Some((len, sent, first, outcome)))
    }

    /// Closes the socket, and returns the operations that will not be answered.
    pub(super) fn close(&mut self) -> VecDeque<Sent> {
        self.fd = None;
        self.out.clear();
        self.sent = 0;
        self.ids.clear();
        std::mem::take(&mut self.dues)
    }
}
