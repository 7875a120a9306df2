//! Batches: what one engine sends another, the tickets by which replies find who waits, and the outboxes.
//!
//! Core: each its own mesh. A turn's commands for one peer lie in one buffer, and so do their replies. The buffer of a
//! request batch stays with the core that got it and that of the replies with the core that asked, so each core ends
//! up with as many buffers as it gave away: in the steady state nothing is allocated.
//!
//! ```text
//! request frame  command u16 | mode u8 | 0 u8 | argc u32 | length u32 × argc | the arguments' bytes
//! reply frame    length u32 | the reply's bytes
//! ```
//! Numbers are little-endian; a batch never leaves its process.

use std::collections::VecDeque;

use crate::command::table::CommandId;
use crate::engine::SessionId;
use crate::engine::budget::{Gift, Holding};
use crate::engine::gather::GatherId;
use crate::engine::hold::{Hold, HoldKey};
use crate::engine::replies::Place;
use crate::engine::route::CoreId;
use crate::engine::slowlog::SlowCall;
use crate::engine::snapshot::Note;
use crate::limits::{BATCH_BYTES_SEAL, BUFFER_KEPT_BYTES_MAX, BUFFERS_KEPT_MAX};
use crate::resp::{Args, Proto, Span};

/// Names a batch whose replies are awaited, on the core that awaits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u32);

/// What one engine sends another.
#[derive(Debug)]
pub struct Batch {
    /// Who sent it.
    pub from: CoreId,
    /// What it is.
    pub payload: Payload,
}

/// What is in a batch.
#[derive(Debug)]
pub enum Payload {
    /// Commands to run.
    Requests {
        /// To come back with the replies.
        ticket: Ticket,
        /// Request frames.
        bytes: Vec<u8>,
        /// How many.
        count: u32,
    },
    /// What they answered, in the same order.
    Replies {
        /// Of the batch they answer.
        ticket: Ticket,
        /// Reply frames.
        bytes: Vec<u8>,
        /// How many.
        count: u32,
    },
    /// A request of an earlier batch took long: the home core of its client logs it. Comes before its replies.
    Slow(Box<SlowRequest>),
    /// The sender had to evict: who has budget to spare?
    BudgetAsk(Holding),
    /// Here is some.
    BudgetGift(Gift),
    /// A transaction wants to hold the shard.
    Hold(Hold),
    /// It is held for one. `clean`: what it watches there has not changed.
    Granted {
        /// Which.
        key: HoldKey,
        /// Whether it may run.
        clean: bool,
    },
    /// It does not want it any more.
    Release(Hold),
    /// About snapshots.
    Snapshot(Note),
}

/// A slow request, as the core that ran it tells the core that sent it.
#[derive(Debug)]
pub struct SlowRequest {
    /// Of its batch.
    pub(super) ticket: Ticket,
    /// Which of the batch.
    pub(super) number: u32,
    pub(super) call: SlowCall,
}

/// A batch of requests as its owner runs it: how far it is, and what was answered so far.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) from: CoreId,
    pub(super) ticket: Ticket,
    /// They come from the transaction that holds the shard.
    pub(super) held: bool,
    /// Request frames, and where the next to run begins.
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
    /// How many frames there are, and how many have been run.
    pub(super) count: u32,
    pub(super) run: u32,
    /// Reply frames.
    pub(super) replies: Vec<u8>,
}

/// How a request is to be run and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    /// The protocol of the reply.
    pub(super) proto: Proto,
    /// Reads leave recency alone.
    pub(super) no_touch: bool,
    /// The reply is a part, for a gather.
    pub(super) part: bool,
    /// It comes from the transaction that holds the shard.
    pub(super) held: bool,
}

impl Mode {
    fn to_byte(self) -> u8 {
        u8::from(self.proto == Proto::Resp3)
            | u8::from(self.no_touch) << 1
            | u8::from(self.part) << 2
            | u8::from(self.held) << 3
    }

    fn from_byte(byte: u8) -> Mode {
        let proto = if byte & 1 == 0 { Proto::Resp2 } else { Proto::Resp3 };
        Mode { proto, no_touch: byte & 2 != 0, part: byte & 4 != 0, held: byte & 8 != 0 }
    }
}

/// Who waits for a reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    /// A session: it is the reply.
    Session {
        /// Which.
        id: SessionId,
        /// Where in its order of replies.
        place: Place,
    },
    /// A gather: it is the part of the core that sends it.
    Gather {
        /// Which.
        gather: GatherId,
    },
    /// Nobody.
    Nobody,
}

/// One request frame by itself.
#[derive(Clone, Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
}

/// A command for all cores, and the place its reply takes in its session.
#[derive(Debug)]
pub(super) struct Solo {
    /// Where in the session's order of replies.
    pub(super) place: Place,
    /// What each core is to run.
    pub(super) request: Request,
}

impl Incoming {
    /// A batch that has just come. `replies`: an empty buffer.
    pub(super) fn new(from: CoreId, ticket: Ticket, bytes: Vec<u8>, count: u32, replies: Vec<u8>) -> Incoming {
        // All frames of a batch are of one kind.
        let held = bytes.get(2).is_some_and(|mode| Mode::from_byte(*mode).held);
        Incoming { from, ticket, held, bytes, at: 0, count, run: 0, replies }
    }
}

impl Request {
    pub(super) fn alone<'a>(command: CommandId, mode: Mode, args: impl Iterator<Item = &'a [u8]> + Clone) -> Request {
        let mut bytes = Vec::new();
        append_frame(&mut bytes, command, mode, args);
        Request { bytes }
    }

    pub(super) fn command(&self) -> CommandId {
        CommandId(u16::from_le_bytes([self.bytes[0], self.bytes[1]]))
    }

    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.bytes);
    }

    pub(super) fn frame<'a>(&'a self, spans: &'a mut Vec<Span>) -> Option<Frame<'a>> {
        read_frame(&self.bytes, 0, spans).map(|(frame, _)| frame)
    }
}

/// A request frame that was read back.
pub(super) struct Frame<'a> {
    pub(super) command: CommandId,
    pub(super) mode: Mode,
    pub(super) args: Args<'a>,
}

/// Appends a request frame.
pub(super) fn append_frame<'a>(
    bytes: &mut Vec<u8>,
    command: CommandId,
    mode: Mode,
    args: impl Iterator<Item = &'a [u8]> + Clone,
) {
    bytes.extend_from_slice(&command.0.to_le_bytes());
    bytes.extend_from_slice(&[mode.to_byte(), 0]);
    let count_at = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    let mut count = 0u32;
    for arg in args.clone() {
        bytes.extend_from_slice(&(arg.len() as u32).to_le_bytes());
        count += 1;
    }
    bytes[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    for arg in args {
        bytes.extend_from_slice(arg);
    }
}

/// Reads the frame at `at` and where the next begins; `None` at the end.
pub(super) fn read_frame<'a>(bytes: &'a [u8], at: usize, spans: &'a mut Vec<Span>) -> Option<(Frame<'a>, usize)> {
    let head = bytes.get(at..at + 8)?;
    let command = CommandId(u16::from_le_bytes([head[0], head[1]]));
    let mode = Mode::from_byte(head[2]);
    let count = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let mut start = at + 8 + count * 4;
    spans.clear();
    for lengths in bytes.get(at + 8..start)?.chunks_exact(4) {
        let len = u32::from_le_bytes([lengths[0], lengths[1], lengths[2], lengths[3]]);
        spans.push(Span { start: start as u32, len });
        start += len as usize;
    }
    debug_assert!(start <= bytes.len(), "a frame ends inside its batch");
    Some((Frame { command, mode, args: Args::new(bytes, spans) }, start))
}

/// The first argument of the request frame at the start of `bytes`, and the frame's length: for those who look ahead.
pub(super) fn peek_key(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let count = word(4).filter(|count| *count > 0)?;
    let begin = 8 + count * 4;
    let mut end = begin;
    for at in 0..count {
        end += word(8 + at * 4)?;
    }
    Some((bytes.get(begin..begin + word(8)?)?, end))
}

/// Appends a reply frame that `write` fills.
pub(super) fn write_reply(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    write(bytes);
    let len = (bytes.len() - at - 4) as u32;
    bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

/// The reply frames of a batch.
pub(super) fn reply_frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(4)?;
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (reply, rest) = rest.split_at(len);
        bytes = rest;
        Some(reply)
    })
}

/// What is gathered for one peer, and what waits to leave.
#[derive(Debug, Default)]
struct Outbox {
    /// The batch that this turn's commands join.
    open: Vec<u8>,
    /// Whether they come from transactions that hold the peer's shard; a batch is all of one kind.
    open_held: bool,
    waiters: Vec<Waiter>,
    /// Sealed batches in order. Filled by `seal`, replies and budget; drained by the runtime into the channel; bounded
    /// by what sessions may have waiting. When the channel is full they wait here.
    sealed: VecDeque<Batch>,
}

/// One core's side of the mesh.
#[derive(Debug)]
pub(super) struct Mesh {
    core: CoreId,
    outboxes: Vec<Outbox>,
    /// Who waits for each open ticket, in the order of the batch.
    tickets: Vec<Option<Vec<Waiter>>>,
    free_tickets: Vec<u32>,
    spare_waiters: Vec<Vec<Waiter>>,
    spare_buffers: Vec<Vec<u8>>,
}

impl Mesh {
    pub(super) fn new(core: CoreId, cores: u16) -> Mesh {
        Mesh {
            core,
            outboxes: (0..cores).map(|_| Outbox::default()).collect(),
            tickets: Vec::new(),
            free_tickets: Vec::new(),
            spare_waiters: Vec::new(),
            spare_buffers: Vec::new(),
        }
    }

    /// Adds a command to this turn's batch for a peer.
    pub(super) fn request<'a>(
        &mut self,
        peer: CoreId,
        command: CommandId,
        mode: Mode,
        args: impl Iterator<Item = &'a [u8]> + Clone,
        waiter: Waiter,
    ) {
        assert!(peer != self.core, "a request to itself");
        if self.outboxes[usize::from(peer.0)].open_held != mode.held {
            self.seal(peer);
        }
        let outbox = &mut self.outboxes[usize::from(peer.0)];
        outbox.open_held = mode.held;
        if outbox.open.capacity() == 0 {
            outbox.open = self.spare_buffers.pop().unwrap_or_default();
            outbox.waiters = self.spare_waiters.pop().unwrap_or_default();
        }
        append_frame(&mut outbox.open, command, mode, args);
        outbox.waiters.push(waiter);
        if outbox.open.len() >= BATCH_BYTES_SEAL {
            self.seal(peer);
        }
    }

    /// Sends a request in a batch of its own, behind everything sent before.
    pub(super) fn request_alone(&mut self, peer: CoreId, request: &Request, gather: GatherId) {
        self.seal(peer);
        let mut bytes = self.buffer();
        request.append_to(&mut bytes);
        let mut waiters = self.spare_waiters.pop().unwrap_or_default();
        waiters.push(Waiter::Gather { gather });
        self.push_requests(peer, bytes, waiters);
    }

    /// Sends anything that is not a request.
    pub(super) fn send(&mut self, peer: CoreId, payload: Payload) {
        assert!(peer != self.core, "a batch to itself");
        self.outboxes[usize::from(peer.0)].sealed.push_back(Batch { from: self.core, payload });
    }

    /// Sends anything that is not a request, behind everything sent before.
    pub(super) fn send_behind(&mut self, peer: CoreId, payload: Payload) {
        self.seal(peer);
        self.send(peer, payload);
    }

    fn seal(&mut self, peer: CoreId) {
        let outbox = &mut self.outboxes[usize::from(peer.0)];
        if outbox.waiters.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut outbox.open);
        let waiters = std::mem::take(&mut outbox.waiters);
        self.push_requests(peer, bytes, waiters);
    }

    fn push_requests(&mut self, peer: CoreId, bytes: Vec<u8>, waiters: Vec<Waiter>) {
        let count = waiters.len() as u32;
        let ticket = self.free_tickets.pop().unwrap_or_else(|| {
            self.tickets.push(None);
            (self.tickets.len() - 1) as u32
        });
        self.tickets[ticket as usize] = Some(waiters);
        self.send(peer, Payload::Requests { ticket: Ticket(ticket), bytes, count });
    }

    /// Everything gathered in this turn may leave.
    pub(super) fn seal_all(&mut self) {
        for peer in 0..self.outboxes.len() {
            self.seal(CoreId(peer as u16));
        }
    }

    /// The next batch for a peer.
    pub(super) fn take(&mut self, peer: CoreId) -> Option<Batch> {
        self.outboxes[usize::from(peer.0)].sealed.pop_front()
    }

    /// Who waits for a request of an open ticket.
    pub(super) fn waiter(&self, ticket: Ticket, number: u32) -> Option<Waiter> {
        self.tickets.get(ticket.0 as usize)?.as_ref()?.get(number as usize).copied()
    }

    /// Who waited for a ticket, which is closed by it.
    pub(super) fn close(&mut self, ticket: Ticket) -> Vec<Waiter> {
        let waiters = self.tickets.get_mut(ticket.0 as usize).and_then(Option::take);
        let waiters = waiters.expect("a ticket is answered once, and only if it was given out");
        self.free_tickets.push(ticket.0);
        waiters
    }

    /// Takes back what `close` gave.
    pub(super) fn recycle(&mut self, mut waiters: Vec<Waiter>) {
        waiters.clear();
        if self.spare_waiters.len() < BUFFERS_KEPT_MAX {
            self.spare_waiters.push(waiters);
        }
    }

    /// An empty buffer.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare_buffers.pop().unwrap_or_default()
    }

    /// Keeps a buffer for reuse.
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if self.spare_buffers.len() < BUFFERS_KEPT_MAX && (1..=BUFFER_KEPT_BYTES_MAX * 4).contains(&buffer.capacity()) {
            self.spare_buffers.push(buffer);
        }
    }

    /// Batches that wait for a reply.
    pub(super) fn tickets_open(&self) -> usize {
        self.tickets.len() - self.free_tickets.len()
    }

    /// Batches that wait to leave.
    pub(super) fn depth(&self) -> usize {
        self.outboxes.iter().map(|outbox| outbox.sealed.len()).sum()
    }

    /// Whether nothing is awaited and nothing waits to leave.
    pub(super) fn is_idle(&self) -> bool {
        self.tickets_open() == 0 && self.outboxes.iter().all(|o| o.sealed.is_empty() && o.waiters.is_empty())
    }

    /// Asserts the invariants.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        let open = self.tickets.iter().filter(|ticket| ticket.is_some()).count();
        assert_eq!(open, self.tickets_open(), "tickets that are open are not free");
        for outbox in &self.outboxes {
            assert_eq!(outbox.open.is_empty(), outbox.waiters.is_empty(), "a batch has as many waiters as frames");
        }
    }
}
