//! Batches: what one engine sends another, the tickets by which replies find who waits, and the outboxes.
//!
//! Core: each its own mesh. A turn's commands for one peer lie in one buffer, and so do their replies. The buffer of a
//! request batch stays with the core that got it and that of the replies with the core that asked, so each core ends
//! up with as many buffers as it gave away: in the steady state nothing is allocated.
//!
//! ```text
//! request frame  command u16 | mode u8 | 0 u8 | argc u32 | client u64, if it tracks | length u32 × argc | the arguments' bytes
//! reply frame    length u32 | the reply's bytes
//! message frame  topic u8 | 0 u8 × 3 | channel's length u32 | text's length u32 | channel | text
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
use crate::engine::tracking::Tracker;
use crate::limits::{BATCH_BYTES_SEAL, BUFFER_KEPT_BYTES_MAX, BUFFERS_KEPT_MAX, FANOUT_BYTES_MAX, LETTERS_KEPT_MAX};
use crate::resp::{Args, Proto, Span};
use crate::shard::NO_CLIENT;

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
    /// Messages for sessions of the receiver: a letter.
    Letter {
        /// Message frames.
        bytes: Vec<u8>,
    },
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
    /// Keys have changed that clients of the receiver may hold, and what else `stale` has to say.
    Stale(Vec<u8>),
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
    /// Who asks, as far as tracking goes.
    pub(super) tracker: Tracker,
}

/// Bits of a mode of which one says that the client follows.
const TRACKER: u8 = 16 | 32;

impl Mode {
    /// A whole request of nobody who tracks.
    pub(super) fn new(proto: Proto, held: bool) -> Mode {
        Mode { proto, no_touch: false, part: false, held, tracker: Tracker::NONE }
    }

    fn to_byte(self) -> u8 {
        u8::from(self.proto == Proto::Resp3)
            | u8::from(self.no_touch) << 1
            | u8::from(self.part) << 2
            | u8::from(self.held) << 3
            | u8::from(self.tracker.remembers) << 4
            | u8::from(self.tracker.quiet) << 5
    }

    fn from_byte(byte: u8) -> Mode {
        let proto = if byte & 1 == 0 { Proto::Resp2 } else { Proto::Resp3 };
        let tracker = Tracker { client: NO_CLIENT, remembers: byte & 16 != 0, quiet: byte & 32 != 0 };
        Mode { proto, no_touch: byte & 2 != 0, part: byte & 4 != 0, held: byte & 8 != 0, tracker }
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
    if mode.tracker.is_some() {
        bytes.extend_from_slice(&mode.tracker.client.to_le_bytes());
    }
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
    let mut mode = Mode::from_byte(head[2]);
    let count = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let mut lengths_at = at + 8;
    if head[2] & TRACKER != 0 {
        mode.tracker.client = u64::from_le_bytes(*bytes.get(at + 8..)?.first_chunk()?);
        lengths_at += 8;
    }
    let mut start = lengths_at + count * 4;
    spans.clear();
    for lengths in bytes.get(lengths_at..start)?.chunks_exact(4) {
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
    let head = if bytes[2] & TRACKER == 0 { 8 } else { 16 };
    let begin = head + count * 4;
    let mut end = begin;
    for at in 0..count {
        end += word(head + at * 4)?;
    }
    Some((bytes.get(begin..begin + word(head)?)?, end))
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

/// The message frames of a letter: topic, channel, text.
pub(super) fn message_frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(12)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (channel, rest) = rest.split_at(word(4));
        let (text, rest) = rest.split_at(word(8));
        bytes = rest;
        Some((head[0], channel, text))
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
    /// Messages for the peer's sessions. Filled by PUBLISH and key events on this core, sealed at the end of the turn
    /// or at `BATCH_BYTES_SEAL`.
    letter: Vec<u8>,
    /// Bytes of the last letter: a buffer for the next has room for as many.
    last_letter_bytes: usize,
    /// Bytes of messages that have not left: of `letter`, and of letters in `sealed`. From `FANOUT_BYTES_MAX` on this
    /// core runs no command, since any may publish, until the peer has taken some.
    letter_bytes: usize,
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
    /// Buffers of letters that came, for those that leave. Apart from the others, since letters are not answered: a core
    /// that publishes more than it hears makes a buffer for each, and must not take those of its batches.
    spare_letters: Vec<Vec<u8>>,
    /// Outboxes with `FANOUT_BYTES_MAX` bytes of messages.
    full: usize,
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
            spare_letters: Vec::new(),
            full: 0,
        }
    }

    /// Adds a command to this turn's batch for a peer. Returns the bytes it takes there.
    pub(super) fn request<'a>(
        &mut self,
        peer: CoreId,
        command: CommandId,
        mode: Mode,
        args: impl Iterator<Item = &'a [u8]> + Clone,
        waiter: Waiter,
    ) -> usize {
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
        let begin = outbox.open.len();
        append_frame(&mut outbox.open, command, mode, args);
        let bytes = outbox.open.len() - begin;
        outbox.waiters.push(waiter);
        if outbox.open.len() >= BATCH_BYTES_SEAL {
            self.seal(peer);
        }
        bytes
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

    /// Adds a message to this turn's letter to a peer.
    pub(super) fn message(&mut self, peer: CoreId, topic: u8, channel: &[u8], text: &[u8]) {
        assert!(peer != self.core, "a message to itself");
        let outbox = &mut self.outboxes[usize::from(peer.0)];
        if outbox.letter.capacity() == 0 {
            let last_bytes = outbox.last_letter_bytes;
            outbox.letter = self.spare_letters.pop().unwrap_or_else(|| Vec::with_capacity(last_bytes));
        }
        let letter = &mut outbox.letter;
        let begin = letter.len();
        letter.extend_from_slice(&[topic, 0, 0, 0]);
        letter.extend_from_slice(&(channel.len() as u32).to_le_bytes());
        letter.extend_from_slice(&(text.len() as u32).to_le_bytes());
        letter.extend_from_slice(channel);
        letter.extend_from_slice(text);
        let added = letter.len() - begin;
        let before = outbox.letter_bytes;
        outbox.letter_bytes += added;
        self.full += usize::from(before < FANOUT_BYTES_MAX && outbox.letter_bytes >= FANOUT_BYTES_MAX);
        if outbox.letter.len() >= BATCH_BYTES_SEAL {
            self.seal_letter(peer);
        }
    }

    /// The letter to a peer leaves before all that is sent from now on.
    pub(super) fn seal_letter(&mut self, peer: CoreId) {
        let bytes = std::mem::take(&mut self.outboxes[usize::from(peer.0)].letter);
        if !bytes.is_empty() {
            self.outboxes[usize::from(peer.0)].last_letter_bytes = bytes.len().min(BATCH_BYTES_SEAL);
            self.send(peer, Payload::Letter { bytes });
        }
    }

    /// Whether messages for some peer wait that are too many to add to.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.full > 0
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
        for peer in (0..self.outboxes.len()).map(|peer| CoreId(peer as u16)) {
            self.seal(peer);
            self.seal_letter(peer);
        }
    }

    /// The next batch for a peer.
    pub(super) fn take(&mut self, peer: CoreId) -> Option<Batch> {
        let outbox = &mut self.outboxes[usize::from(peer.0)];
        let batch = outbox.sealed.pop_front()?;
        if let Payload::Letter { bytes } = &batch.payload {
            let before = outbox.letter_bytes;
            outbox.letter_bytes -= bytes.len();
            self.full -= usize::from(before >= FANOUT_BYTES_MAX && outbox.letter_bytes < FANOUT_BYTES_MAX);
        }
        Some(batch)
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

    /// Keeps the buffer of a letter.
    pub(super) fn give_back_letter(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if self.spare_letters.len() < LETTERS_KEPT_MAX && buffer.capacity() <= BATCH_BYTES_SEAL * 2 {
            self.spare_letters.push(buffer);
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
        self.tickets_open() == 0
            && self.outboxes.iter().all(|o| o.sealed.is_empty() && o.waiters.is_empty() && o.letter.is_empty())
    }

    /// Bytes of messages that wait for the peer for which most do.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn message_bytes_max(&self) -> usize {
        self.outboxes.iter().map(|outbox| outbox.letter_bytes).max().unwrap_or(0)
    }

    /// Asserts the invariants.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        let open = self.tickets.iter().filter(|ticket| ticket.is_some()).count();
        assert_eq!(open, self.tickets_open(), "tickets that are open are not free");
        assert_eq!(self.full, self.outboxes.iter().filter(|outbox| outbox.letter_bytes >= FANOUT_BYTES_MAX).count());
        for outbox in &self.outboxes {
            let letter = |batch: &Batch| if let Payload::Letter { bytes } = &batch.payload { bytes.len() } else { 0 };
            let letters: usize = outbox.sealed.iter().map(letter).sum();
            assert_eq!(outbox.letter_bytes, outbox.letter.len() + letters, "every byte of a letter is counted");
            assert_eq!(outbox.open.is_empty(), outbox.waiters.is_empty(), "a batch has as many waiters as frames");
        }
    }
}
