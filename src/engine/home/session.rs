//! Session: the protocol state of one client connection. Core: the one that accepted it (its home core).
//!
//! Never: runs anything; `round` does. Invariant: `input` begins, at `input_at`, with the first byte of the command that
//! the parser is in.

use crate::command::Error;
use crate::command::client::{BufferSizes, Client, ReplyMode, Subscriptions};
use crate::command::errors;
use crate::engine::home::ahead::Ahead;
use crate::engine::home::multi::{Multi, Transaction};
use crate::engine::home::replies::Replies;
use crate::engine::home::subscribed::Subscribed;
use crate::limits::{BUFFER_KEPT_BYTES_MAX, INPUT_RESERVE_BYTES_MAX, READ_AHEAD_BYTES_MAX};
use crate::resp::{Parser, Writer};
use crate::slot::CoreId;

/// The lists of sessions for which there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Queue {
    /// Replies wait to be sent, or the session is closing.
    Ready,
    /// Something was pushed to it, and that is all.
    Told,
}

/// Why a session runs no command now: a bit each.
pub(in crate::engine) mod stop {
    /// The session runs no more commands, and closes when its output is sent.
    pub(in crate::engine) const CLOSING: u8 = 1;
    /// A command of the whole process is under way.
    pub(in crate::engine) const EXCLUSIVE: u8 = 1 << 1;
    /// A transaction is under way on held shards.
    pub(in crate::engine) const TRANSACTION: u8 = 1 << 2;
    /// The shard has done enough for this turn, or is held; the rest of the input waits.
    pub(in crate::engine) const PAUSED: u8 = 1 << 3;
    /// A reply is kept back for a while.
    pub(in crate::engine) const DELAYED: u8 = 1 << 4;
    /// CLIENT PAUSE holds the next command back.
    pub(in crate::engine) const HELD_BACK: u8 = 1 << 5;
}

/// One client connection.
#[derive(Debug)]
pub(in crate::engine) struct Session {
    pub(in crate::engine) client: Client,
    pub(in crate::engine) replies: Replies,
    /// In the middle of a command; between commands it needs none of its own.
    pub(in crate::engine) parser: Option<Box<Parser>>,
    /// Bytes received and not run. Filled by reads while nothing may run, with the beginning of a command, and from
    /// `ahead`; drained by rounds; bounded, since the socket is not read into it while it waits, and by the limits of one
    /// command.
    pub(in crate::engine) input: Vec<u8>,
    pub(in crate::engine) input_at: usize,
    /// What was received behind `input`, since the client may read its replies only when it has written everything.
    pub(in crate::engine) ahead: Ahead,
    /// The beginning of a command is there and its end is not: only more bytes help.
    pub(in crate::engine) partial: bool,
    /// So many at least, if it is `partial`.
    pub(in crate::engine) need: usize,
    /// Bits of [`stop`].
    stopped: u8,
    /// When the command of the whole process under way began, as the stopwatch has it.
    pub(in crate::engine) exclusive_since_ns: u64,
    /// A reply is kept back until this time, as `Env::awake_ms` has it, and nothing is run before.
    pub(in crate::engine) delayed_until_ms: Option<u64>,
    /// The reply.
    delayed_reply: Vec<u8>,
    /// The client sends no more.
    pub(in crate::engine) eof: bool,
    /// Commands since MULTI.
    pub(in crate::engine) multi: Option<Box<Multi>>,
    /// What it subscribes to, if anything.
    pub(in crate::engine) subscribed: Option<Box<Subscribed>>,
    /// The cores on which it watches keys.
    pub(in crate::engine) watching: Vec<CoreId>,
    /// What it has under way on held shards; no other command runs.
    transaction: Option<Box<Transaction>>,
    /// The session's connection has ended; only its transaction runs on.
    pub(in crate::engine) gone: bool,
    /// Where it waits for `take_ready`.
    pub(in crate::engine) queued: Option<Queue>,
    /// What the runtime was last told: whether the socket may be read.
    pub(in crate::engine) told_read: bool,
    /// Since when more waits for it than the soft limit of output allows, as `Env::awake_ms` has it.
    pub(in crate::engine) lags_since_ms: Option<u64>,
    /// When bytes last moved, either way, as `Env::awake_ms` has it.
    pub(in crate::engine) progress_ms: u64,
}

impl Session {
    pub(in crate::engine) fn new(client: Client, progress_ms: u64) -> Session {
        Session {
            progress_ms,
            client,
            replies: Replies::default(),
            parser: None,
            input: Vec::new(),
            input_at: 0,
            ahead: Ahead::default(),
            partial: false,
            need: 0,
            stopped: 0,
            exclusive_since_ns: 0,
            delayed_until_ms: None,
            delayed_reply: Vec::new(),
            eof: false,
            multi: None,
            subscribed: None,
            watching: Vec::new(),
            transaction: None,
            gone: false,
            queued: None,
            told_read: true,
            lags_since_ms: None,
        }
    }

    /// Sets or clears a bit of [`stop`].
    #[inline]
    pub(in crate::engine) fn stop(&mut self, why: u8, stopped: bool) {
        if stopped {
            self.stopped |= why;
        } else {
            self.stopped &= !why;
        }
    }

    /// Whether it is stopped for that reason.
    #[inline]
    pub(in crate::engine) fn is_stopped(&self, why: u8) -> bool {
        self.stopped & why != 0
    }

    /// Whether the next command may run.
    #[inline]
    pub(in crate::engine) fn may_run(&self) -> bool {
        self.stopped == 0 && !self.replies.is_full()
    }

    #[inline]
    pub(in crate::engine) fn has_input(&self) -> bool {
        self.input_at < self.input.len()
    }

    /// Whether `input` holds no command, as far as is known: more bytes are needed.
    #[inline]
    pub(in crate::engine) fn lacks_input(&self) -> bool {
        self.partial || !self.has_input()
    }

    /// Whether something of its own can go on: its transaction, or the input that waits.
    #[inline]
    pub(in crate::engine) fn can_go_on(&self) -> bool {
        self.transaction.is_some() || (!(self.lacks_input() && self.ahead.is_empty()) && self.may_run())
    }

    /// Whether its socket may be read.
    #[inline]
    pub(in crate::engine) fn wants_read(&self) -> bool {
        self.waits_for_requests() || self.reads_ahead()
    }

    /// As `wants_read`, for the runtime, which is told again when it changes.
    #[inline]
    pub(in crate::engine) fn tell_read(&mut self) -> bool {
        self.told_read = self.wants_read();
        self.told_read
    }

    /// Whether there is nothing to do for it but to read what its client asks next.
    #[inline]
    fn waits_for_requests(&self) -> bool {
        !self.eof && self.lacks_input() && self.ahead.is_empty() && self.may_run()
    }

    /// Whether its socket is read although nothing may run: its client leaves replies unread, perhaps because it writes
    /// everything first. A stranger is not granted that.
    #[cold]
    fn reads_ahead(&self) -> bool {
        !self.may_run()
            && !self.eof
            && self.stopped == 0
            && self.client.authenticated
            && self.replies.are_unread()
            && self.input_bytes() < READ_AHEAD_BYTES_MAX
    }

    /// Bytes of requests that were received and not run.
    fn input_bytes(&self) -> usize {
        // During a round over `input` it is out of the session, so what waits in it counts as run.
        self.input.len().saturating_sub(self.input_at) + self.ahead.len()
    }

    /// Whether the client can do nothing but wait: for other cores, or for the end of CLIENT PAUSE.
    pub(in crate::engine) fn awaits_server(&self) -> bool {
        self.replies.is_holding() || self.is_stopped(stop::HELD_BACK)
    }

    /// Whether there is something to send now.
    #[inline]
    pub(in crate::engine) fn should_send(&self) -> bool {
        self.replies.should_send()
    }

    /// Whether it goes on, or ends, when what was handed over to be sent comes back.
    #[inline]
    pub(in crate::engine) fn awaits_output(&self) -> bool {
        self.replies.has_more() || !self.waits_for_requests()
    }

    /// Whether everything was said and nothing more will be.
    #[inline]
    pub(in crate::engine) fn is_finished(&self) -> bool {
        (self.eof || self.is_stopped(stop::CLOSING)) && self.is_done()
    }

    #[cold]
    fn is_done(&self) -> bool {
        let busy = self.is_stopped(stop::EXCLUSIVE | stop::TRANSACTION);
        let done = self.is_stopped(stop::CLOSING) || (self.lacks_input() && self.ahead.is_empty() && !busy);
        done && self.replies.is_empty() && self.delayed_until_ms.is_none()
    }

    /// Whether the runtime has to send, close, or begin or stop to read this session's socket.
    #[inline]
    pub(in crate::engine) fn is_due(&self) -> bool {
        !self.gone && (self.should_send() || self.is_finished() || self.wants_read() != self.told_read)
    }

    /// As `is_due`, once for each time it is listed for the runtime: whoever gets true lists it.
    #[inline]
    pub(in crate::engine) fn becomes_due(&mut self) -> bool {
        let becomes = self.queued != Some(Queue::Ready) && self.is_due();
        if becomes {
            self.queued = Some(Queue::Ready);
        }
        becomes
    }

    /// Whether nothing is to be looked at before or after a command of one key that the client sends.
    #[inline]
    pub(in crate::engine) fn is_plain(&self) -> bool {
        let client = &self.client;
        client.authenticated
            && client.reply_mode == ReplyMode::On
            && client.tracking.is_none()
            && self.multi.is_none()
            && !client.is_subscriber()
    }

    /// Whether what is pushed to it reaches its client: CLIENT REPLY silences replies alone.
    #[inline]
    pub(in crate::engine) fn hears_pushes(&self) -> bool {
        !self.is_stopped(stop::CLOSING)
    }

    /// Nothing more is run.
    pub(in crate::engine) fn close(&mut self) {
        self.stop(stop::CLOSING, true);
        self.input = Vec::new();
        self.input_at = 0;
        self.ahead = Ahead::default();
        self.parser = None;
    }

    /// Ends at once, whatever was to be said still.
    pub(in crate::engine) fn cut(&mut self) {
        self.close();
        self.replies.discard();
    }

    /// A command begins: whether its reply is muted (CLIENT REPLY).
    #[inline]
    pub(in crate::engine) fn begin_reply(&mut self) -> bool {
        let mode = &mut self.client.reply_mode;
        if *mode == ReplyMode::SkipNext {
            *mode = ReplyMode::Skip;
        }
        *mode != ReplyMode::On
    }

    /// Adds to the replies, unless the client does not want to hear it.
    pub(in crate::engine) fn say(&mut self, muted: bool, say: impl FnOnce(&mut Writer<'_>)) {
        let proto = self.client.proto;
        if !muted {
            self.replies.append(|out| say(&mut Writer::new(out, proto)));
        }
    }

    /// Answers with an error what was not run.
    pub(in crate::engine) fn say_error(&mut self, muted: bool, error: &Error) {
        self.say(muted, |writer| errors::error(writer, error));
    }

    /// What it has under way on held shards.
    pub(in crate::engine) fn transaction(&mut self) -> Option<&mut Transaction> {
        self.transaction.as_deref_mut()
    }

    /// Begins or goes on with a transaction.
    pub(in crate::engine) fn set_transaction(&mut self, transaction: Box<Transaction>) {
        self.transaction = Some(transaction);
        self.stop(stop::TRANSACTION, true);
    }

    /// Takes the transaction out, for a step of it or because it has ended.
    pub(in crate::engine) fn take_transaction(&mut self) -> Option<Box<Transaction>> {
        let transaction = self.transaction.take()?;
        self.stop(stop::TRANSACTION, false);
        Some(transaction)
    }

    /// Keeps back the last so many bytes of replies, and whatever it says next, until then.
    pub(in crate::engine) fn delay(&mut self, reply_bytes: usize, until_ms: u64) {
        self.delayed_until_ms = Some(until_ms);
        self.delayed_reply = self.replies.take_last(reply_bytes);
        self.stop(stop::DELAYED, true);
    }

    /// The time is over.
    pub(in crate::engine) fn end_delay(&mut self) {
        self.delayed_until_ms = None;
        self.stop(stop::DELAYED, false);
        let reply = std::mem::take(&mut self.delayed_reply);
        self.replies.append(|out| out.extend_from_slice(&reply));
    }

    /// Ends the session's lag if its client has read on, so that less waits for it than the soft limit.
    #[cold]
    pub(in crate::engine) fn end_lag(&mut self, soft_bytes: u64) {
        if (self.replies.waiting_bytes() as u64) < soft_bytes {
            self.lags_since_ms = None;
        }
    }

    pub(in crate::engine) fn sizes(&self) -> BufferSizes {
        let (output, held) = self.replies.sizes();
        let multi = self.multi.as_ref().map_or(0, |multi| multi.frames.len());
        BufferSizes { input: self.input_bytes(), output, held, multi }
    }

    /// Moves the first of what was received ahead to the input, which lacks more bytes.
    pub(in crate::engine) fn take_ahead(&mut self) {
        let need = if self.partial { self.need } else { 0 };
        self.partial = false;
        let chunk = self.ahead.pop();
        if !self.has_input() {
            (self.input, self.input_at) = (chunk, 0);
            return;
        }
        if self.input.capacity() - self.input.len() < chunk.len() {
            let there = self.ahead.len() + chunk.len();
            self.input.reserve(need.min(there).min(INPUT_RESERVE_BYTES_MAX).max(chunk.len()));
        }
        self.input.extend_from_slice(&chunk);
    }

    /// Keeps what a round over `input` left. Moves bytes only when at least as many are gone.
    pub(in crate::engine) fn consume(&mut self, consumed: usize) {
        self.input_at += consumed;
        if self.input_at == self.input.len() {
            self.input.clear();
            self.input_at = 0;
            if self.input.capacity() > BUFFER_KEPT_BYTES_MAX {
                self.input = Vec::new();
            }
        } else if self.input_at >= self.input.len() / 2 {
            self.input.drain(..self.input_at);
            self.input_at = 0;
        }
    }

    /// Keeps what a round over received bytes left.
    #[cold]
    pub(in crate::engine) fn keep_rest(&mut self, rest: &[u8]) {
        if self.is_stopped(stop::CLOSING) {
            return;
        }
        if self.partial {
            self.input.reserve_exact(rest.len() + self.need.min(INPUT_RESERVE_BYTES_MAX));
        }
        self.input.extend_from_slice(rest);
    }

    /// The names it subscribes to, which it no longer does.
    pub(in crate::engine) fn take_subscriptions(&mut self) -> Option<Box<Subscribed>> {
        self.client.subscriptions = Subscriptions::default();
        self.subscribed.take()
    }
}
