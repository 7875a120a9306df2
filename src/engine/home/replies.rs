//! Replies: the order of one session's replies, and the bytes that wait to be sent. Core: the session's home.
//!
//! A reply that is there at once goes to `out`. A command that went to another core takes a place in `held`; replies
//! after it wait in `held_bytes` until it comes back. So replies leave in the order of the requests, whatever the
//! order in which cores answer. Cost: nothing but `out` while no core is waited for.
//!
//! What nobody asked for (messages, invalidations) is pushed between replies: behind every reply that is here already, and
//! ahead of those that are not if no reply that is here waits behind them. So a push never overtakes a reply that was made
//! before it, and the confirmation of an UNSUBSCRIBE comes behind the last message. While a client reads, pushes are
//! copied to `out`; when it lags they are shared with the other sessions that get them, and wait in `behind`.
//! Invariant: `held` is empty or begins with a waiting place; `held_bytes` is empty when `held` is; what `out` holds
//! goes before what is `behind`, and ends with a whole reply.

use std::collections::VecDeque;

use crate::engine::home::push::Encoded;
use crate::engine::ids::Place;
use crate::limits::{
    BUFFER_KEPT_BYTES_MAX, OUTPUT_LONG_BYTES, OUTPUT_QUANTUM_BYTES, PUSH_COPIED_BYTES_MAX, SESSION_ASKED_BYTES_MAX,
    SESSION_EARLY_SEND_BYTES, SESSION_HELD_BYTES_MAX, SESSION_HELD_FIRST, SESSION_HELD_MAX, SESSION_HELD_MIN,
    SESSION_OUTPUT_BYTES_MAX,
};

#[derive(Debug)]
enum Held {
    /// A core is to answer. `muted`: the client does not want to hear it (CLIENT REPLY).
    Waiting { muted: bool },
    /// Bytes of `held_bytes`.
    Ready { start: usize, len: usize },
}

/// A piece of output that waits until what is before it was sent.
#[derive(Debug)]
enum Piece {
    /// A push, its bytes shared with other sessions.
    Shared(std::rc::Rc<[u8]>),
    /// Replies that were made after it.
    Own(Vec<u8>),
}

impl Piece {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Shared(bytes) => bytes,
            Piece::Own(bytes) => bytes,
        }
    }
}

/// Bytes for one client, handed over to be sent. It goes back with the number of bytes that were.
#[derive(Debug)]
pub struct Output {
    piece: Piece,
    /// Bytes of `piece` that were sent before.
    sent: usize,
}

impl Output {
    /// The bytes to send: at least one, at most `OUTPUT_QUANTUM_BYTES`.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let unsent = self.unsent();
        &unsent[..unsent.len().min(OUTPUT_QUANTUM_BYTES)]
    }

    /// All that was handed over.
    #[inline]
    fn unsent(&self) -> &[u8] {
        &self.piece.bytes()[self.sent..]
    }
}

/// The replies of one session.
#[derive(Debug)]
pub(in crate::engine) struct Replies {
    out: Vec<u8>,
    /// Of `out`; of the first piece behind it if `out` is empty.
    sent: usize,
    /// Bytes that are handed over to be sent; they go before `out`.
    flying_bytes: usize,
    /// Filled by pushes to a client that lags, and by what comes after them; drained as it reads; bounded by the limit
    /// of output for pushes, at which the session is cut off, and for replies by `SESSION_OUTPUT_BYTES_MAX`.
    behind: VecDeque<Piece>,
    behind_bytes: usize,
    /// Bytes of replies in `behind`.
    own_behind_bytes: usize,
    /// An array is being written whose elements come one after the other (EXEC's): pushes wait for its end.
    grouped: bool,
    /// Pushes that wait for the end of the group, as encoded.
    postponed: Vec<u8>,
    /// Filled by commands that go to other cores and by replies behind them; drained from the front as those come
    /// back; bounded by `window` and `SESSION_ASKED_BYTES_MAX`, at which the session runs no further command.
    held: VecDeque<Held>,
    held_bytes: Vec<u8>,
    /// Bytes of `held_bytes` that still wait; those before them stay in it until nothing is held.
    held_ready_bytes: usize,
    /// How many may be held: fewer, the longer the replies from other cores are on average.
    window: usize,
    /// Bytes of a reply from another core on average, weighted towards the last few.
    reply_bytes: usize,
    /// Bytes of requests that went to other cores since none was held.
    asked_bytes: usize,
    /// The place of `held`'s front.
    first: u32,
    /// Nothing is to be said any more; what comes is dropped.
    discarded: bool,
}

impl Default for Replies {
    fn default() -> Self {
        Replies {
            out: Vec::new(),
            sent: 0,
            flying_bytes: 0,
            behind: VecDeque::new(),
            behind_bytes: 0,
            own_behind_bytes: 0,
            grouped: false,
            postponed: Vec::new(),
            held: VecDeque::new(),
            held_bytes: Vec::new(),
            held_ready_bytes: 0,
            window: SESSION_HELD_FIRST,
            reply_bytes: SESSION_HELD_BYTES_MAX / SESSION_HELD_FIRST,
            asked_bytes: 0,
            first: 0,
            discarded: false,
        }
    }
}

impl Replies {
    /// Lets `write` append a reply at the end of the order.
    #[inline]
    pub(in crate::engine) fn append<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        // `write` is called in one place, so that it can be compiled into it.
        let usual = self.held.is_empty() && self.behind.is_empty();
        let bytes = if usual { &mut self.out } else { self.end_of_waiting() };
        let begin = bytes.len();
        let result = write(bytes);
        if !usual {
            self.note_waiting(begin);
        }
        result
    }

    /// The buffer at the end of the order, while something waits for another core or for what was pushed.
    #[cold]
    fn end_of_waiting(&mut self) -> &mut Vec<u8> {
        if self.held.is_empty() { self.end_of_behind() } else { &mut self.held_bytes }
    }

    /// The buffer that `end_of_waiting` gave was written to, from there on.
    #[cold]
    fn note_waiting(&mut self, begin: usize) {
        if self.held.is_empty() {
            return self.note_behind(begin);
        }
        let added = self.held_bytes.len() - begin;
        self.held_ready_bytes += added;
        match self.held.back_mut() {
            Some(Held::Ready { start, len }) if *start + *len == begin => *len += added,
            _ => self.held.push_back(Held::Ready { start: begin, len: added }),
        }
    }

    /// The buffer at the end of what is `behind`.
    fn end_of_behind(&mut self) -> &mut Vec<u8> {
        if !matches!(self.behind.back(), Some(Piece::Own(_))) {
            self.behind.push_back(Piece::Own(Vec::new()));
        }
        let Some(Piece::Own(bytes)) = self.behind.back_mut() else { panic!("it was just put there") };
        bytes
    }

    fn note_behind(&mut self, begin: usize) {
        let Some(Piece::Own(bytes)) = self.behind.back() else { return };
        let added = bytes.len() - begin;
        self.behind_bytes += added;
        self.own_behind_bytes += added;
    }

    /// Appends at the end of what may be sent.
    fn append_ready(&mut self, reply: &[u8]) {
        if self.behind.is_empty() {
            return self.out.extend_from_slice(reply);
        }
        let bytes = self.end_of_behind();
        let begin = bytes.len();
        bytes.extend_from_slice(reply);
        self.note_behind(begin);
    }

    /// Says what the client did not ask for: behind every reply that is here. It comes ahead of those that are not, unless
    /// a reply that is here waits behind them: then it waits with that.
    #[inline]
    pub(in crate::engine) fn push(&mut self, push: &mut Encoded) {
        if self.discarded {
            return;
        }
        if self.grouped {
            self.postponed.extend_from_slice(push.bytes());
        } else if !self.held_bytes.is_empty() {
            self.append(|out| out.extend_from_slice(push.bytes()));
        } else if self.behind.is_empty() && self.out.len() + push.bytes().len() <= PUSH_COPIED_BYTES_MAX {
            self.out.extend_from_slice(push.bytes());
        } else {
            self.behind_bytes += push.bytes().len();
            self.behind.push_back(Piece::Shared(push.shared()));
        }
    }

    /// As `push`, but behind the replies too that are not here yet: one of them may hold what the push calls stale.
    pub(in crate::engine) fn push_last(&mut self, push: &mut Encoded) {
        if self.discarded || self.grouped || self.held.is_empty() {
            self.push(push);
        } else {
            self.append(|out| out.extend_from_slice(push.bytes()));
        }
    }

    /// An array begins whose elements are appended one by one.
    pub(in crate::engine) fn begin_group(&mut self) {
        self.grouped = true;
    }

    /// The array is whole: the pushes that waited for its end follow.
    pub(in crate::engine) fn end_group(&mut self) {
        self.grouped = false;
        let postponed = std::mem::take(&mut self.postponed);
        if !self.discarded {
            self.append(|out| out.extend_from_slice(&postponed));
        }
    }

    /// Takes the last so many bytes back; no core is waited for.
    pub(in crate::engine) fn take_last(&mut self, bytes: usize) -> Vec<u8> {
        assert!(self.held.is_empty(), "only what stands at the end of the order can be taken back");
        match self.behind.back_mut() {
            Some(Piece::Own(last)) => {
                self.behind_bytes -= bytes;
                self.own_behind_bytes -= bytes;
                last.split_off(last.len() - bytes)
            }
            _ => self.out.split_off(self.out.len() - bytes),
        }
    }

    /// Takes a place for a reply that another core will give.
    #[inline]
    pub(in crate::engine) fn hold(&mut self, muted: bool) -> Place {
        let place = self.first.wrapping_add(self.held.len() as u32);
        self.held.push_back(Held::Waiting { muted });
        Place(place)
    }

    /// The request of the last place has so many bytes.
    #[inline]
    pub(in crate::engine) fn note_asked(&mut self, bytes: usize) {
        self.asked_bytes += bytes;
    }

    /// The reply for a place is here. Each place is filled exactly once.
    pub(in crate::engine) fn fill(&mut self, place: Place, reply: &[u8]) {
        let at = place.0.wrapping_sub(self.first) as usize;
        let Some(Held::Waiting { muted }) = self.held.get(at) else {
            panic!("a reply for a place that does not wait: {at} of {}", self.held.len());
        };
        let reply = if *muted || self.discarded { &[] } else { reply };
        // The window follows at once when replies get longer, and slowly when they get shorter.
        self.reply_bytes = reply.len().max(self.reply_bytes - self.reply_bytes / 8 + reply.len() / 8);
        self.window = (SESSION_HELD_BYTES_MAX / self.reply_bytes.max(1)).clamp(SESSION_HELD_MIN, SESSION_HELD_MAX);
        if at > 0 {
            let start = self.held_bytes.len();
            self.held_bytes.extend_from_slice(reply);
            self.held_ready_bytes += reply.len();
            self.held[at] = Held::Ready { start, len: reply.len() };
            return;
        }
        self.append_ready(reply);
        self.pop();
        while let Some(&Held::Ready { start, len }) = self.held.front() {
            let held_bytes = std::mem::take(&mut self.held_bytes);
            self.append_ready(&held_bytes[start..start + len]);
            self.held_bytes = held_bytes;
            self.held_ready_bytes -= len;
            self.pop();
        }
        if self.held.is_empty() {
            self.asked_bytes = 0;
            self.held_bytes.clear();
            if self.held_bytes.capacity() > BUFFER_KEPT_BYTES_MAX {
                self.held_bytes = Vec::new();
            }
        }
    }

    fn pop(&mut self) {
        self.held.pop_front();
        self.first = self.first.wrapping_add(1);
    }

    /// Hands over what is to be sent next; `None` while what was handed over before is not back, nothing
    /// waits, or the session was cut off.
    #[inline]
    pub(in crate::engine) fn take_output(&mut self) -> Option<Output> {
        if self.flying_bytes > 0 || self.discarded {
            return None;
        }
        let piece = if self.out.is_empty() { self.pop_behind()? } else { Piece::Own(std::mem::take(&mut self.out)) };
        let output = Output { piece, sent: std::mem::take(&mut self.sent) };
        self.flying_bytes = output.unsent().len();
        Some(output)
    }

    /// What was handed over is back; so many bytes of it were sent. Returns its buffer if it is free, for others to use.
    #[inline]
    pub(in crate::engine) fn on_output(&mut self, output: Output, sent: usize) -> Option<Vec<u8>> {
        assert!(sent <= self.flying_bytes, "more was sent than there was");
        let rest = self.flying_bytes - sent;
        self.flying_bytes = 0;
        if rest > 0 && !self.discarded {
            self.put_back(output.piece, output.sent + sent);
            return None;
        }
        if self.out.is_empty() && !self.behind.is_empty() {
            self.refill();
        }
        let Piece::Own(mut buffer) = output.piece else { return None };
        buffer.clear();
        Some(buffer)
    }

    /// A piece of which `sent` bytes have left goes before all else that waits.
    #[cold]
    fn put_back(&mut self, piece: Piece, sent: usize) {
        if !self.out.is_empty() {
            // What was said meanwhile.
            let out = std::mem::take(&mut self.out);
            self.behind_bytes += out.len();
            self.own_behind_bytes += out.len();
            self.behind.push_front(Piece::Own(out));
        }
        self.sent = sent;
        match piece {
            Piece::Own(bytes) => self.out = bytes,
            Piece::Shared(bytes) => {
                self.behind_bytes += bytes.len();
                self.behind.push_front(Piece::Shared(bytes));
            }
        }
    }

    /// Moves what was behind into `out`, which is empty; what is too long for it is sent from where it lies.
    fn refill(&mut self) {
        while let Some(piece) = self.behind.front()
            && self.out.len() + piece.bytes().len() <= PUSH_COPIED_BYTES_MAX
        {
            self.out.extend_from_slice(piece.bytes());
            self.pop_behind();
        }
    }

    fn pop_behind(&mut self) -> Option<Piece> {
        let piece = self.behind.pop_front()?;
        self.behind_bytes -= piece.bytes().len();
        if let Piece::Own(bytes) = &piece {
            self.own_behind_bytes -= bytes.len();
        }
        Some(piece)
    }

    /// Gives up the output buffer, whatever is in it.
    pub(in crate::engine) fn take_buffer(&mut self) -> Vec<u8> {
        self.sent = 0;
        let mut buffer = std::mem::take(&mut self.out);
        buffer.clear();
        buffer
    }

    /// Forgets everything that waits, and what is still to come: a client that was cut off gets no torn reply.
    pub(in crate::engine) fn discard(&mut self) {
        self.discarded = true;
        self.out = Vec::new();
        self.sent = 0;
        self.behind = VecDeque::new();
        (self.behind_bytes, self.own_behind_bytes) = (0, 0);
        self.postponed = Vec::new();
        self.held_bytes = Vec::new();
        self.held_ready_bytes = 0;
        for held in &mut self.held {
            if let Held::Ready { start, len } = held {
                (*start, *len) = (0, 0);
            }
        }
    }

    /// Gives it a buffer to write to, if it has none.
    #[inline]
    pub(in crate::engine) fn lend(&mut self, buffers: &mut Vec<Vec<u8>>) {
        if self.out.capacity() == 0
            && let Some(buffer) = buffers.pop()
        {
            self.out = buffer;
        }
    }

    /// Bytes that may be handed over.
    #[inline]
    pub(in crate::engine) fn unsent_bytes(&self) -> usize {
        if !self.out.is_empty() {
            return self.out.len() - self.sent;
        }
        self.behind.front().map_or(0, |piece| piece.bytes().len() - self.sent)
    }

    /// Whether to send now: not a part of a round that another core will complete within the turn, so that one send
    /// carries it whole.
    pub(in crate::engine) fn should_send(&self) -> bool {
        let unsent = self.unsent_bytes();
        unsent > 0 && self.flying_bytes == 0 && (self.held.is_empty() || unsent >= SESSION_EARLY_SEND_BYTES)
    }

    /// Whether so much is to be sent that it takes its turn among others like it.
    #[inline]
    pub(in crate::engine) fn is_long(&self) -> bool {
        self.out.len() > OUTPUT_LONG_BYTES || (!self.behind.is_empty() && self.unsent_bytes() > OUTPUT_LONG_BYTES)
    }

    /// Whether there is something to send when what is handed over is back.
    #[inline]
    pub(in crate::engine) fn has_more(&self) -> bool {
        !self.out.is_empty() || !self.behind.is_empty() || self.flying_bytes > OUTPUT_QUANTUM_BYTES
    }

    /// All unsent bytes, with those that are held for the order of the replies.
    #[inline]
    pub(in crate::engine) fn waiting_bytes(&self) -> usize {
        let said = self.out.len() + self.behind_bytes + self.flying_bytes - self.sent;
        said + self.held_ready_bytes + self.postponed.len()
    }

    /// Whether a reply of another core is outstanding.
    #[inline]
    pub(in crate::engine) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether so much waits that no further command may run.
    #[inline]
    pub(in crate::engine) fn is_full(&self) -> bool {
        self.are_unread() || (!self.held.is_empty() && self.holds_enough())
    }

    /// Whether so much waits for the client to read.
    #[inline]
    pub(in crate::engine) fn are_unread(&self) -> bool {
        self.out.len() + self.flying_bytes >= SESSION_OUTPUT_BYTES_MAX + self.sent
            || self.own_behind_bytes >= SESSION_OUTPUT_BYTES_MAX
    }

    /// Whether so much waits for other cores, or behind what does, that no further command may run.
    fn holds_enough(&self) -> bool {
        self.held.len() >= self.window
            || self.held_bytes.len() >= SESSION_HELD_BYTES_MAX
            || self.asked_bytes >= SESSION_ASKED_BYTES_MAX
    }

    /// Whether nothing waits.
    pub(in crate::engine) fn is_empty(&self) -> bool {
        let said = self.sent == self.out.len() && self.held.is_empty() && self.behind.is_empty() && !self.grouped;
        (self.discarded || said) && self.flying_bytes == 0
    }

    /// Bytes unsent, and bytes that wait behind other cores.
    pub(in crate::engine) fn sizes(&self) -> (usize, usize) {
        (self.out.len() + self.behind_bytes + self.flying_bytes - self.sent, self.held_ready_bytes)
    }

    /// The bytes that `take_output` would hand over.
    #[cfg(test)]
    pub(in crate::engine) fn unsent(&self) -> &[u8] {
        match self.behind.front() {
            Some(piece) if self.out.is_empty() => &piece.bytes()[self.sent..],
            _ => &self.out[self.sent..],
        }
    }

    /// Asserts the invariants.
    #[cfg(any(test, feature = "verify"))]
    pub(in crate::engine) fn verify(&self) {
        assert!(!matches!(self.held.front(), Some(Held::Ready { .. })), "the first held reply is ready");
        assert!(!self.held.is_empty() || self.held_bytes.is_empty(), "held bytes without a place");
        let ready = |held: &Held| if let Held::Ready { len, .. } = held { *len } else { 0 };
        assert_eq!(self.held_ready_bytes, self.held.iter().map(ready).sum::<usize>());
        assert!(!self.held.is_empty() || self.asked_bytes == 0, "requests under way without a place");
        assert!(self.sent <= self.out.len() || (self.out.is_empty() && !self.behind.is_empty()));
        assert_eq!(self.behind_bytes, self.behind.iter().map(|piece| piece.bytes().len()).sum::<usize>());
        let own = |piece: &Piece| if let Piece::Own(bytes) = piece { bytes.len() } else { 0 };
        assert_eq!(self.own_behind_bytes, self.behind.iter().map(own).sum::<usize>());
    }
}

#[cfg(test)]
#[path = "replies_tests.rs"]
mod tests;
