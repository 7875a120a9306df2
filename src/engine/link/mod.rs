//! Link: what goes between cores: one message type, one codec, the tickets by which replies find their place, and the
//! outboxes.
//!
//! Core: each its own links. A turn's commands for one peer lie in one buffer, and so do their replies. The buffer of a
//! request batch stays with the core that got it and that of the replies with the core that asked, so each core ends
//! up with as many buffers as it gave away: in the steady state nothing is allocated.
//! Files: `message` (what can be said), `codec` and `invalidation` (bytes in buffers), `caller`.

pub(super) mod caller;
pub(super) mod codec;
pub(super) mod invalidation;
pub(super) mod message;

use std::collections::VecDeque;

use crate::command::lookup::CommandId;
use crate::command::pubsub::Topic;
use crate::engine::ids::{GatherId, Place, SessionId, Ticket};
use crate::engine::link::caller::Caller;
use crate::engine::link::codec::{append_frame, append_message};
use crate::engine::link::message::{Answer, Ask, Batch, Lines, Origin, Payload};
use crate::limits::{
    BATCH_BYTES_SEAL, BUFFER_KEPT_BYTES_MAX, BUFFERS_KEPT_MAX, FANOUT_BYTES_MAX, LETTERS_KEPT_MAX,
    MONITOR_LINES_BYTES_MAX,
};
use crate::slot::CoreId;

/// What waits for a reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    /// A session: it is its reply, at that place in the order.
    Reply { id: SessionId, place: Place },
    /// A gather: it is the part of the core that sends it.
    Gather(GatherId),
    /// Nobody waits: the reply is dropped.
    Nobody,
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
    /// Bytes of messages that have not left: of `letter`, and of letters and lines in `sealed`. From `FANOUT_BYTES_MAX` on this
    /// core runs no command, since any may publish, until the peer has taken some.
    letter_bytes: usize,
    /// Sealed batches in order. Filled by `seal`, replies and budget; drained by the runtime into the channel; bounded
    /// by what sessions may have waiting. When the channel is full they wait here.
    sealed: VecDeque<Batch>,
}

/// One core's links to all others.
#[derive(Debug)]
pub(super) struct Links {
    core: CoreId,
    outboxes: Vec<Outbox>,
    /// What waits for each open ticket, in the order of the batch.
    tickets: Vec<Option<Vec<Waiter>>>,
    free_tickets: Vec<u32>,
    spare_waiters: Vec<Vec<Waiter>>,
    spare_buffers: Vec<Vec<u8>>,
    /// Buffers of letters that came, for those that leave. Apart from the others, since letters are not answered: a core
    /// that publishes more than it hears makes a buffer for each, and must not take those of its batches.
    spare_letters: Vec<Vec<u8>>,
    /// Outboxes with `FANOUT_BYTES_MAX` bytes of messages.
    full: usize,
    /// Answers to gathers of this core by this core. Filled by parts that end here, drained before the event ends;
    /// bounded by the gathers that are open.
    own_answers: VecDeque<(GatherId, Answer)>,
}

impl Links {
    pub(super) fn new(core: CoreId, cores: u16) -> Links {
        Links {
            core,
            outboxes: (0..cores).map(|_| Outbox::default()).collect(),
            tickets: Vec::new(),
            free_tickets: Vec::new(),
            spare_waiters: Vec::new(),
            spare_buffers: Vec::new(),
            spare_letters: Vec::new(),
            full: 0,
            own_answers: VecDeque::new(),
        }
    }

    /// Adds a command to this turn's batch for a peer. Returns the bytes it takes there.
    pub(super) fn request<'a>(
        &mut self,
        peer: CoreId,
        command: CommandId,
        caller: Caller,
        args: impl Iterator<Item = &'a [u8]> + Clone,
        waiter: Waiter,
    ) -> usize {
        assert!(peer != self.core, "a request to itself");
        if self.outboxes[usize::from(peer.0)].open_held != caller.held {
            self.seal(peer);
        }
        let outbox = &mut self.outboxes[usize::from(peer.0)];
        outbox.open_held = caller.held;
        if outbox.open.capacity() == 0 {
            outbox.open = self.spare_buffers.pop().unwrap_or_default();
            outbox.waiters = self.spare_waiters.pop().unwrap_or_default();
        }
        let begin = outbox.open.len();
        append_frame(&mut outbox.open, command, caller, args);
        let bytes = outbox.open.len() - begin;
        outbox.waiters.push(waiter);
        if outbox.open.len() >= BATCH_BYTES_SEAL {
            self.seal(peer);
        }
        bytes
    }

    /// Asks a peer for its part in a command of the whole process, behind everything sent before.
    pub(super) fn ask(&mut self, peer: CoreId, ask: Ask) {
        self.send_behind(peer, Payload::Ask(Box::new(ask)));
    }

    /// Sends every peer the same, behind everything sent before.
    pub(super) fn ask_peers(&mut self, ask: &Ask) {
        let own = self.core;
        for peer in (0..self.outboxes.len()).map(|peer| CoreId(peer as u16)).filter(|peer| *peer != own) {
            self.ask(peer, ask.clone());
        }
    }

    /// This core's part in a command of the whole process is done.
    pub(super) fn answer(&mut self, origin: Origin, answer: Answer) {
        match origin {
            Origin::Here(gather) => self.own_answers.push_back((gather, answer)),
            Origin::Peer { core, gather: Some(gather) } => {
                self.send(core, Payload::Answer { gather, answer: Box::new(answer) });
            }
            Origin::Peer { gather: None, .. } => {}
        }
    }

    /// Whether gathers of this core have answers of this core to take.
    #[inline]
    pub(super) fn has_own_answers(&self) -> bool {
        !self.own_answers.is_empty()
    }

    /// The next of those.
    pub(super) fn take_own_answer(&mut self) -> Option<(GatherId, Answer)> {
        self.own_answers.pop_front()
    }

    /// Adds a message to this turn's letter to a peer.
    pub(super) fn message(&mut self, peer: CoreId, topic: Topic, channel: &[u8], text: &[u8]) {
        assert!(peer != self.core, "a message to itself");
        let outbox = &mut self.outboxes[usize::from(peer.0)];
        if outbox.letter.capacity() == 0 {
            let last_bytes = outbox.last_letter_bytes;
            outbox.letter = self.spare_letters.pop().unwrap_or_else(|| Vec::with_capacity(last_bytes));
        }
        let letter = &mut outbox.letter;
        let begin = letter.len();
        append_message(letter, topic, channel, text);
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

    /// Sends lines of MONITOR, unless too much waits for the peer. Returns how many it does not get, which it is to be
    /// told with the next.
    pub(super) fn lines(&mut self, peer: CoreId, lines: Lines) -> u64 {
        let outbox = &mut self.outboxes[usize::from(peer.0)];
        let bytes = lines.text.len();
        if outbox.letter_bytes + bytes > MONITOR_LINES_BYTES_MAX {
            return lines.lost + lines.heads.len() as u64;
        }
        outbox.letter_bytes += bytes;
        self.send(peer, Payload::Lines(Box::new(lines)));
        0
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
        let count = waiters.len() as u32;
        let ticket = self.free_tickets.pop().unwrap_or_else(|| {
            self.tickets.push(None);
            (self.tickets.len() - 1) as u32
        });
        self.tickets[ticket as usize] = Some(waiters);
        self.send(peer, Payload::Requests { ticket: Ticket(ticket), bytes, count });
    }

    /// Everything gathered in this turn may leave.
    #[inline]
    pub(super) fn seal_all(&mut self) {
        if self.outboxes.len() == 1 {
            return;
        }
        for peer in (0..self.outboxes.len()).map(|peer| CoreId(peer as u16)) {
            self.seal(peer);
            self.seal_letter(peer);
        }
    }

    /// The next batch for a peer.
    pub(super) fn take(&mut self, peer: CoreId) -> Option<Batch> {
        let outbox = &mut self.outboxes[usize::from(peer.0)];
        let batch = outbox.sealed.pop_front()?;
        let bytes = told_bytes(&batch.payload);
        if bytes > 0 {
            let before = outbox.letter_bytes;
            outbox.letter_bytes -= bytes;
            self.full -= usize::from(before >= FANOUT_BYTES_MAX && outbox.letter_bytes < FANOUT_BYTES_MAX);
        }
        Some(batch)
    }

    /// What waits for a request of an open ticket.
    pub(super) fn waiter(&self, ticket: Ticket, number: u32) -> Option<Waiter> {
        self.tickets.get(ticket.0 as usize)?.as_ref()?.get(number as usize).copied()
    }

    /// What waited for a ticket, which is closed by it.
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
        assert!(self.own_answers.is_empty(), "answers of this core's own are taken within the event");
        assert_eq!(self.full, self.outboxes.iter().filter(|outbox| outbox.letter_bytes >= FANOUT_BYTES_MAX).count());
        for outbox in &self.outboxes {
            let letters: usize = outbox.sealed.iter().map(|batch| told_bytes(&batch.payload)).sum();
            assert_eq!(outbox.letter_bytes, outbox.letter.len() + letters, "every byte of a letter is counted");
            assert_eq!(outbox.open.is_empty(), outbox.waiters.is_empty(), "a batch has as many waiters as frames");
        }
    }
}

/// Bytes of messages and lines, which nobody asked for.
#[inline]
fn told_bytes(payload: &Payload) -> usize {
    match payload {
        Payload::Letter { bytes } => bytes.len(),
        Payload::Lines(lines) => lines.text.len(),
        _ => 0,
    }
}
