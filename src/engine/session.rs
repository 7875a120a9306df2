//! Session: the protocol state of one client connection, and its round: one read, every complete command in it.
//!
//! Core: the one that accepted the connection (its home core). Cost: parsing where the bytes lie; a copy only of what
//! no complete command covers.
//! Invariant: `input` begins, at `input_at`, with the first byte of the command that the parser is in.

use crate::command::client::{BufferSizes, Client, ReplyMode};
use crate::command::errors::quote;
use crate::command::table::{CommandId, Handler, HomeHandler, OwnerHandler, Verb, flag, unknown_subcommand};
use crate::command::{Error, connection};
use crate::engine::batch::Solo;
use crate::engine::pubsub::Subscribed;
use crate::engine::replies::Replies;
use crate::engine::route::{CoreId, Trip};
use crate::engine::transaction::{Multi, Transaction};
use crate::engine::{Engine, Notice, SessionId, ahead, debug};
use crate::limits::{
    AUTH_FAILURES_MAX, BUFFER_KEPT_BYTES_MAX, CLIENT_STALL_MS_MAX, INPUT_RESERVE_BYTES_MAX, TICK_SESSIONS_MAX,
    TURN_REHASHED_MAX,
};
use crate::resp::{Args, ParseLimits, Parsed, Parser, Proto, ProtocolError, Writer, peek_key};

/// The engine's lists of sessions for which there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// There are replies, or it ends.
    Ready,
    /// Something was pushed to it, and that is all.
    Told,
}

/// One client connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) replies: Replies,
    parser: Parser,
    /// Bytes received and not run. Filled by reads while nothing may run and with the beginning of a command;
    /// drained by rounds; bounded, since the socket is not read while it waits, and by the limits of one command.
    pub(super) input: Vec<u8>,
    input_at: usize,
    /// The beginning of a command is there and its end is not: only more bytes help.
    pub(super) partial: bool,
    /// So many at least, if it is `partial`.
    pub(super) need: usize,
    /// A command of all cores is under way; no other runs.
    pub(super) exclusive: bool,
    /// When it began, as the stopwatch has it.
    pub(super) exclusive_since_ns: u64,
    /// A refused auth key: nothing is run before this time, as `Engine::awake_ms` has it.
    pub(super) delayed_until_ms: Option<u64>,
    /// The refusal that is kept back until then.
    delayed_reply: Vec<u8>,
    /// The client sends no more.
    pub(super) eof: bool,
    /// Nothing more is run; when everything is sent, it ends.
    closing: bool,
    /// Commands since MULTI.
    pub(super) multi: Option<Box<Multi>>,
    /// What it subscribes to, if anything.
    pub(super) subscribed: Option<Box<Subscribed>>,
    /// The cores on which it watches keys.
    pub(super) watching: Vec<CoreId>,
    /// What it has under way on held shards; no other command runs.
    pub(super) transaction: Option<Box<Transaction>>,
    /// Its connection has ended; only its transaction runs on.
    pub(super) gone: bool,
    /// The shard has done enough for this turn, or is held; the rest of the input waits.
    pub(super) paused: bool,
    /// Where it waits for `take_ready`.
    pub(super) queued: Option<Queue>,
    /// What the runtime was last told: whether the socket may be read.
    pub(super) told_read: bool,
    /// Since when more waits for it than the soft limit of output allows, as `Engine::awake_ms` has it.
    pub(super) lags_since_ms: Option<u64>,
    /// When bytes last moved, either way, as `Engine::awake_ms` has it.
    pub(super) progress_ms: u64,
}

/// How a round goes on after a command.
pub(super) enum Flow {
    /// With the next.
    Next,
    /// Not yet: this command has to wait for earlier ones. It was not run.
    Wait,
    /// With what all cores say to this.
    Every(Solo),
    /// Not at all: the session ends.
    End,
}

impl Session {
    pub(super) fn new(client: Client, progress_ms: u64) -> Session {
        Session {
            progress_ms,
            client,
            replies: Replies::default(),
            parser: Parser::new(),
            input: Vec::new(),
            input_at: 0,
            partial: false,
            need: 0,
            exclusive: false,
            exclusive_since_ns: 0,
            delayed_until_ms: None,
            delayed_reply: Vec::new(),
            eof: false,
            closing: false,
            multi: None,
            subscribed: None,
            watching: Vec::new(),
            transaction: None,
            gone: false,
            paused: false,
            queued: None,
            told_read: true,
            lags_since_ms: None,
        }
    }

    /// Whether the next command may run.
    #[inline]
    fn may_run(&self) -> bool {
        !self.closing
            && !self.exclusive
            && self.transaction.is_none()
            && !self.paused
            && self.delayed_until_ms.is_none()
            && !self.replies.is_full()
    }

    fn has_input(&self) -> bool {
        self.input_at < self.input.len()
    }

    /// Whether its socket may be read.
    pub(super) fn wants_read(&self) -> bool {
        !self.eof && self.may_run() && (self.partial || !self.has_input())
    }

    /// Whether there is something to send now.
    pub(super) fn should_send(&self) -> bool {
        self.replies.should_send()
    }

    /// Whether everything was said and nothing more will be.
    pub(super) fn is_finished(&self) -> bool {
        let busy = self.exclusive || self.transaction.is_some();
        let done = self.closing || (self.eof && (self.partial || !self.has_input()) && !busy);
        done && self.replies.is_empty() && self.delayed_until_ms.is_none()
    }

    /// Whether what is pushed to it reaches its client. As Redis has it, CLIENT REPLY OFF also silences what looks like
    /// a reply.
    #[inline]
    pub(super) fn hears_pushes(&self) -> bool {
        !self.closing && (self.client.proto == Proto::Resp3 || self.client.reply_mode == ReplyMode::On)
    }

    /// Nothing more is run.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.input = Vec::new();
        self.input_at = 0;
    }

    /// Ends at once, whatever was to be said still.
    pub(super) fn cut(&mut self) {
        self.close();
        self.replies.discard();
    }

    /// A command begins: whether its reply is muted (CLIENT REPLY).
    pub(super) fn begin_reply(&mut self) -> bool {
        let mode = &mut self.client.reply_mode;
        if *mode == ReplyMode::SkipNext {
            *mode = ReplyMode::Skip;
        }
        *mode != ReplyMode::On
    }

    pub(super) fn sizes(&self) -> BufferSizes {
        let (output, held) = self.replies.sizes();
        // During a round over `input` it is out of the session, so what waits in it counts as run.
        BufferSizes { input: self.input.len().saturating_sub(self.input_at), output, held }
    }

    /// Keeps what a round over `input` left. Moves bytes only when at least as many are gone.
    fn consume(&mut self, consumed: usize) {
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
}

/// What a round came to.
struct Round {
    consumed: usize,
    every: Option<Solo>,
    /// Bytes that the next command lacks at least; 0 if the round ended for another reason.
    need: usize,
}

impl Engine {
    /// Bytes arrived on a connection: one round.
    pub fn on_bytes(&mut self, id: SessionId, bytes: &[u8], now_ms: u64) {
        self.stats.bytes_in += bytes.len() as u64;
        let Some(mut session) = self.sessions.check_out(id) else { return };
        session.progress_ms = self.awake_ms;
        session.client.active_ms = now_ms;
        if session.closing {
            self.sessions.check_in(id, session);
            return;
        }
        let every = if session.has_input() || !session.may_run() {
            session.input.extend_from_slice(bytes);
            session.partial = false;
            None
        } else {
            // The usual case: nothing waits, so commands run where the bytes lie.
            let round = self.round(&mut session, id, bytes, now_ms);
            if !session.closing {
                let rest = &bytes[round.consumed..];
                if round.need > 0 && !rest.is_empty() {
                    session.input.reserve_exact(rest.len() + round.need.min(INPUT_RESERVE_BYTES_MAX));
                }
                session.input.extend_from_slice(rest);
            }
            round.every
        };
        self.sessions.check_in(id, session);
        if let Some(solo) = every {
            self.start_every(id, solo, now_ms);
        }
        self.run_input(id, now_ms);
    }

    /// Runs what waits in a session's input, as far as it may.
    pub(super) fn run_input(&mut self, id: SessionId, now_ms: u64) {
        loop {
            if !self.go_on(id, now_ms) {
                break;
            }
            let Some(mut session) = self.sessions.check_out(id) else { return };
            let mut every = None;
            if session.has_input() && !session.partial && session.may_run() {
                let input = std::mem::take(&mut session.input);
                let at = session.input_at;
                let round = self.round(&mut session, id, &input[at..], now_ms);
                if !session.closing {
                    session.input = input;
                    session.consume(round.consumed);
                    every = round.every;
                }
            }
            let begun = session.transaction.is_some();
            self.sessions.check_in(id, session);
            match every {
                Some(solo) => self.start_every(id, solo, now_ms),
                None if begun => {}
                None => break,
            }
        }
        self.settle(id);
    }

    /// Runs the complete commands at the beginning of `bytes`.
    fn round(&mut self, session: &mut Session, id: SessionId, bytes: &[u8], now_ms: u64) -> Round {
        let mut round = Round { consumed: 0, every: None, need: 0 };
        // Out of the session, so that arguments can borrow it while the session changes.
        let mut parser = std::mem::take(&mut session.parser);
        session.partial = false;
        session.replies.lend(&mut self.buffers);
        self.meter.pause();
        // How far the commands' keys have been looked at. The first command goes ahead: it is often the only one.
        let mut warmed = 1;
        while session.may_run() && round.consumed < bytes.len() {
            let rest = &bytes[round.consumed..];
            if self.holds.is_held() || self.mesh.is_full() {
                self.pause(session, id);
                break;
            }
            if round.consumed >= warmed {
                warmed = round.consumed + ahead::warm(&self.shard, rest, peek_key, |key| self.router.is_here(key));
            }
            match parser.next(rest, &ParseLimits::new(session.client.authenticated)) {
                Ok(Parsed::Command { consumed }) => {
                    let flow = self.run(session, id, parser.args(rest), now_ms);
                    if self.shard.has_stale() {
                        self.spread_stale(Some(session));
                    }
                    match flow {
                        Flow::Next => {}
                        Flow::Wait => break,
                        Flow::End => session.close(),
                        Flow::Every(solo) => round.every = Some(solo),
                    }
                    round.consumed += consumed;
                    if round.every.is_some() {
                        session.exclusive = true;
                    }
                    if self.has_grown_enough() {
                        self.pause(session, id);
                    }
                }
                Ok(Parsed::Empty { consumed }) => round.consumed += consumed,
                Ok(Parsed::Incomplete { need }) => {
                    session.partial = true;
                    session.need = need;
                    round.need = need;
                    break;
                }
                Err(error) => self.refuse(session, error),
            }
        }
        session.parser = parser;
        round
    }

    /// Whether the shard's index has grown as much as it may in one turn.
    #[inline]
    pub(super) fn has_grown_enough(&self) -> bool {
        self.shard.rehashed() - self.turn_rehashed >= TURN_REHASHED_MAX
    }

    /// The rest of a session's round waits for the next turn.
    #[cold]
    fn pause(&mut self, session: &mut Session, id: SessionId) {
        session.paused = true;
        self.paused.push_back(id);
    }

    /// Goes on with a session that was paused.
    pub(super) fn resume_one(&mut self, now_ms: u64) {
        let Some(id) = self.paused.pop_front() else { return };
        if let Some(session) = self.sessions.get_mut(id) {
            session.paused = false;
            self.run_input(id, now_ms);
        }
    }

    /// Says what is wrong with the bytes and ends the session.
    fn refuse(&mut self, session: &mut Session, error: ProtocolError) {
        self.stats.protocol_errors += 1;
        self.meter.count_error(b"ERR");
        let proto = session.client.proto;
        if !session.begin_reply() {
            session.replies.append(|out| Writer::new(out, proto).protocol_error(error));
        }
        session.close();
    }

    /// Runs one command, or sends it where it runs.
    #[inline]
    fn run(&mut self, session: &mut Session, id: SessionId, words: Args<'_>, now_ms: u64) -> Flow {
        let found = self.find_command(words);
        if let Ok((command, args)) = &found
            && session.replies.is_holding()
            && (command.row().is(flag::BARRIER) || self.spans_cores(*command, *args).is_some())
        {
            return Flow::Wait;
        }
        let muted = session.begin_reply();
        let command = found.as_ref().ok().map(|(command, _)| *command);
        let flow = match found {
            Err(error) => {
                let named = if let Error::Arity(name) = &error { self.lookup.find(name.as_bytes()) } else { None };
                self.refuse_command(session, named, &error, muted)
            }
            Ok((command, _)) if !session.client.authenticated && !command.row().is(flag::NO_AUTH) => {
                self.refuse_command(session, Some(command), &Error::NoAuth, muted)
            }
            Ok((command, _)) if session.client.is_subscriber() && !command.row().is(flag::SUBSCRIBER) => {
                self.refuse_command(session, Some(command), &Error::Subscriber(command.row().name), muted)
            }
            Ok((command, _)) if self.is_loading() && !command.row().is(flag::LOADING) => {
                self.refuse_command(session, Some(command), &Error::Loading, muted)
            }
            Ok((command, args)) => {
                self.stats.commands += 1;
                session.client.last_command = command.row().name;
                if session.multi.is_some() && !command.row().is(flag::UNQUEUED) {
                    self.queue(session, command, args, muted)
                } else {
                    self.dispatch(session, id, args, Trip { command, muted, held: false, now_ms })
                }
            }
        };
        if session.client.reply_mode == ReplyMode::Skip {
            session.client.reply_mode = ReplyMode::On;
        }
        if session.client.tracking.is_some() {
            Engine::end_caching(session, command);
        }
        flow
    }

    /// The row of a command line, and the arguments its handler gets. Of a subcommand that takes one at most and has more
    /// these begin with its name as it was typed, for the refusal.
    #[inline]
    fn find_command<'a>(&self, args: Args<'a>) -> Result<(CommandId, Args<'a>), Error> {
        let name = args.at(0);
        let mut id = self.lookup.find(name).ok_or_else(|| unknown_command(args))?;
        let mut words = 1;
        let container = id.row();
        if container.is_container()
            && let Some(sub) = args.get(1)
            && let Some(sub_id) = self.lookup.find_sub(container.name, sub)
        {
            id = sub_id;
            words = if id.row().is(flag::ONE_AT_MOST) && args.len() > 3 { 1 } else { 2 };
        }
        let row = id.row();
        if row.is_subcommand() && !container.is_container() {
            // Nobody names a subcommand by its table name.
            return Err(unknown_command(args));
        }
        if !row.takes(args.len()) {
            return Err(Error::Arity(row.name.to_owned()));
        }
        if row.is_container()
            && let Some(sub) = args.get(1)
        {
            return Err(unknown_subcommand(row, sub, args.len(), self.process.shows_cluster()));
        }
        Ok((id, args.tail(words)))
    }

    /// A command that can't be run, nor queued.
    #[cold]
    fn refuse_command(
        &mut self,
        session: &mut Session,
        command: Option<CommandId>,
        error: &Error,
        muted: bool,
    ) -> Flow {
        if let Some(multi) = &mut session.multi {
            multi.fail();
        }
        let is_exec = command.is_some_and(|command| {
            matches!(command.row().handler, Handler::Home(HomeHandler::Transaction(Verb::Exec)))
        });
        if is_exec && matches!(error, Error::Arity(_)) {
            self.forget(session);
            return self.reject(session, command, &Error::ExecArity, muted);
        }
        self.reject(session, command, error, muted)
    }

    /// Takes a command after MULTI, to be run by EXEC.
    fn queue(&mut self, session: &mut Session, command: CommandId, args: Args<'_>, muted: bool) -> Flow {
        let Some(multi) = &mut session.multi else { return Flow::Next };
        if command.row().is(flag::NO_MULTI) {
            return self.refuse_command(session, Some(command), &Error::NotInMulti, muted);
        }
        if matches!(command.row().handler, Handler::Owner(OwnerHandler::Debug)) {
            let allowed = debug::is_allowed(self.settings.debug, &session.client);
            let error = if allowed { Error::NotInMulti } else { Error::DebugRefused };
            return self.refuse_command(session, Some(command), &error, muted);
        }
        if !multi.queue(command, session.client.proto, args) {
            return self.refuse_command(session, Some(command), &Error::MultiTooLong, muted);
        }
        session.client.queued = Some(multi.len());
        let proto = session.client.proto;
        if !muted {
            session.replies.append(|out| Writer::new(out, proto).simple("QUEUED"));
        }
        Flow::Next
    }

    /// Answers a command that is not run with an error, unless the client does not want to hear it.
    pub(super) fn reject(
        &mut self,
        session: &mut Session,
        command: Option<CommandId>,
        error: &Error,
        muted: bool,
    ) -> Flow {
        self.meter.reject(command, error);
        self.meter.pause();
        let proto = session.client.proto;
        if !muted {
            session.replies.append(|out| connection::error(&mut Writer::new(out, proto), error));
        }
        Flow::Next
    }

    /// A wrong auth key: its reply of so many bytes is kept back for a while, longer with each failure; in the end the
    /// session is closed.
    pub(super) fn delay(&mut self, session: &mut Session, reply_bytes: usize) {
        self.stats.auth_failures += 1;
        let delay_ms = self.penalty.on_failure(session.client.auth_failures, self.awake_ms);
        if delay_ms > 0 {
            session.delayed_until_ms = Some(self.awake_ms.saturating_add(delay_ms));
            session.delayed_reply = session.replies.take_last(reply_bytes);
        }
        if session.client.auth_failures >= AUTH_FAILURES_MAX {
            session.close();
        }
        self.notice(Notice::AuthFailed(session.client.addr.clone()));
    }

    /// Keeps back the last so many bytes of replies, and whatever the session says next, for a while.
    pub(super) fn sleep(&mut self, session: &mut Session, reply_bytes: usize, sleep_ms: u64) {
        let until_ms = self.awake_ms.saturating_add(sleep_ms);
        self.penalty.note(until_ms);
        session.delayed_until_ms = Some(until_ms);
        session.delayed_reply = session.replies.take_last(reply_bytes);
    }

    /// Ends the delays whose time is over.
    pub(super) fn end_delays(&mut self, now_ms: u64) {
        if !self.penalty.is_due(self.awake_ms) {
            return;
        }
        for id in self.sessions.ids() {
            if let Some(session) = self.sessions.get_mut(id)
                && session.delayed_until_ms.is_some_and(|until_ms| until_ms <= self.awake_ms)
            {
                session.delayed_until_ms = None;
                let refusal = std::mem::take(&mut session.delayed_reply);
                session.replies.append(|out| out.extend_from_slice(&refusal));
                self.run_input(id, now_ms);
            }
        }
    }

    /// Looks at some of the sessions: who has been idle or stuck for too long is cut off.
    pub(super) fn check_sessions(&mut self) {
        let places = self.sessions.places();
        for _ in 0..places.min(TICK_SESSIONS_MAX) {
            self.checked_session = (self.checked_session + 1) % places;
            let Some(id) = self.sessions.at(self.checked_session) else { continue };
            let Some(session) = self.sessions.get_mut(id) else { continue };
            if session.lags_since_ms.is_some() {
                self.check_output(id);
                continue;
            }
            let still_ms = self.awake_ms.saturating_sub(session.progress_ms);
            // What nobody has tried to send yet, since it came in this turn, or waits for another core, is not its fault.
            let stuck = session.partial || (session.should_send() && session.queued.is_none());
            // As in Redis, who subscribes may be silent.
            let silent = session.client.subscriptions.any();
            let idle_ms = self.settings.idle_timeout_s.saturating_mul(1000);
            let why = if stuck && still_ms >= CLIENT_STALL_MS_MAX {
                "it neither read its replies nor finished its request"
            } else if idle_ms > 0 && still_ms >= idle_ms && !silent && !session.replies.is_holding() {
                "it was idle"
            } else {
                continue;
            };
            self.stats.cut_offs += 1;
            let text =
                format!("client id={} addr={} closed: {why} for {still_ms} ms", session.client.id, session.client.addr);
            session.cut();
            self.notice(Notice::CutOff(text));
            self.settle(id);
        }
    }
}

/// Quotes name and arguments as Redis does: 128 bytes of the name, and of the arguments as many as fit in 128.
fn unknown_command(args: Args<'_>) -> Error {
    let cut = |bytes: &[u8], max: usize| quote(&bytes[..bytes.len().min(max)]);
    let mut quoted = format!("'{}', with args beginning with: ", cut(args.at(0), 128));
    let mut left = 128usize;
    for arg in args.tail(1).iter() {
        if left == 0 {
            break;
        }
        let piece = format!("'{}' ", cut(arg, left));
        left = left.saturating_sub(piece.chars().count());
        quoted.push_str(&piece);
    }
    Error::UnknownCommand(quoted)
}
