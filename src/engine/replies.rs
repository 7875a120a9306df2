//! Replies: the order of one session's replies, and the bytes that wait to be sent. Core: the session's home.
//!
//! A reply that is there at once goes to `out`. A command that went to another core takes a place in `held`; replies
//! after it wait in `held_bytes` until it comes back. So replies leave in the order of the requests, whatever the
//! order in which cores answer. Cost: nothing but `out` while no core is waited for.
//! Invariant: `held` is empty or begins with a waiting place; `held_bytes` is empty when `held` is.

use std::collections::VecDeque;

use crate::limits::{
    BUFFER_KEPT_BYTES_MAX, SESSION_EARLY_SEND_BYTES, SESSION_HELD_BYTES_MAX, SESSION_HELD_FIRST, SESSION_HELD_MAX,
    SESSION_HELD_MIN, SESSION_OUTPUT_BYTES_MAX,
};

/// A place in the order of replies. Wraps around; only differences count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

#[derive(Debug)]
enum Held {
    /// A core is to answer. `muted`: the client does not want to hear it (CLIENT REPLY).
    Waiting { muted: bool },
    /// Bytes of `held_bytes`.
    Ready { start: usize, len: usize },
}

/// The replies of one session.
#[derive(Debug)]
pub(super) struct Replies {
    out: Vec<u8>,
    sent: usize,
    /// Filled by commands that go to other cores and by replies behind them; drained from the front as those come
    /// back; bounded by `window`, at which the session runs no further command.
    held: VecDeque<Held>,
    held_bytes: Vec<u8>,
    /// How many may be held: fewer, the longer the replies from other cores are on average.
    window: usize,
    /// Bytes of a reply from another core on average, weighted towards the last few.
    reply_bytes: usize,
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
            held: VecDeque::new(),
            held_bytes: Vec::new(),
            window: SESSION_HELD_FIRST,
            reply_bytes: SESSION_HELD_BYTES_MAX / SESSION_HELD_FIRST,
            first: 0,
            discarded: false,
        }
    }
}

impl Replies {
    /// Lets `write` append a reply at the end of the order.
    #[inline]
    pub(super) fn append<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if self.held.is_empty() {
            return write(&mut self.out);
        }
        let begin = self.held_bytes.len();
        let result = write(&mut self.held_bytes);
        let added = self.held_bytes.len() - begin;
        match self.held.back_mut() {
            Some(Held::Ready { start, len }) if *start + *len == begin => *len += added,
            _ => self.held.push_back(Held::Ready { start: begin, len: added }),
        }
        result
    }

    /// Takes the last so many bytes back; no core is waited for.
    pub(super) fn take_last(&mut self, bytes: usize) -> Vec<u8> {
        assert!(self.held.is_empty(), "only what stands at the end of the order can be taken back");
        self.out.split_off(self.out.len() - bytes)
    }

    /// Takes a place for a reply that another core will give.
    #[inline]
    pub(super) fn hold(&mut self, muted: bool) -> Place {
        let place = self.first.wrapping_add(self.held.len() as u32);
        self.held.push_back(Held::Waiting { muted });
        Place(place)
    }

    /// The reply for a place is here. Each place is filled exactly once.
    pub(super) fn fill(&mut self, place: Place, reply: &[u8]) {
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
            self.held[at] = Held::Ready { start, len: reply.len() };
            return;
        }
        self.out.extend_from_slice(reply);
        self.pop();
        while let Some(&Held::Ready { start, len }) = self.held.front() {
            self.out.extend_from_slice(&self.held_bytes[start..start + len]);
            self.pop();
        }
        if self.held.is_empty() {
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

    /// So much of `unsent` left. Returns the buffer when it is empty, for others to use.
    pub(super) fn on_sent(&mut self, sent: usize) -> Option<Vec<u8>> {
        self.sent += sent;
        assert!(self.sent <= self.out.len(), "more was sent than there was");
        if self.sent < self.out.len() {
            return None;
        }
        Some(self.take_buffer())
    }

    /// Gives up the output buffer, whatever is in it.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.sent = 0;
        let mut buffer = std::mem::take(&mut self.out);
        buffer.clear();
        buffer
    }

    /// Forgets everything that waits, and what is still to come: a client that was cut off gets no torn reply.
    pub(super) fn discard(&mut self) {
        self.discarded = true;
        self.out = Vec::new();
        self.sent = 0;
        self.held_bytes = Vec::new();
        for held in &mut self.held {
            if let Held::Ready { start, len } = held {
                (*start, *len) = (0, 0);
            }
        }
    }

    /// Gives it a buffer to write to, if it has none.
    #[inline]
    pub(super) fn lend(&mut self, buffers: &mut Vec<Vec<u8>>) {
        if self.out.capacity() == 0
            && let Some(buffer) = buffers.pop()
        {
            self.out = buffer;
        }
    }

    /// Bytes to send.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// Whether to send now: not a part of a round that another core will complete within the turn, so that one send
    /// carries it whole.
    pub(super) fn should_send(&self) -> bool {
        let unsent = self.out.len() - self.sent;
        unsent > 0 && (self.held.is_empty() || unsent >= SESSION_EARLY_SEND_BYTES)
    }

    /// Whether another core is waited for.
    #[inline]
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether so much waits that no further command may run.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.out.len() - self.sent >= SESSION_OUTPUT_BYTES_MAX
            || self.held.len() >= self.window
            || self.held_bytes.len() >= SESSION_HELD_BYTES_MAX
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.discarded || (self.sent == self.out.len() && self.held.is_empty())
    }

    /// Bytes unsent, and bytes that wait behind other cores.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.out.len() - self.sent, self.held_bytes.len())
    }

    /// Asserts the invariants.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        assert!(!matches!(self.held.front(), Some(Held::Ready { .. })), "the first held reply is ready");
        assert!(!self.held.is_empty() || self.held_bytes.is_empty(), "held bytes without a place");
        assert!(self.sent <= self.out.len());
    }
}
