//! Round: one read of one connection, every complete command in it. Core: the session's home.
//!
//! Cost: parsing where the bytes lie; a copy only of what no complete command covers.

use crate::command::Error;
use crate::command::client::ReplyMode;
use crate::command::connection;
use crate::command::facts::flag;
use crate::command::handler::{Handler, HomeHandler, OwnerHandler, Verb};
use crate::command::lookup::CommandId;
use crate::engine::core::Core;
use crate::engine::env::Notice;
use crate::engine::home::Home;
use crate::engine::home::command;
use crate::engine::home::debug;
use crate::engine::home::dispatch::run_key;
use crate::engine::home::replies::Output;
use crate::engine::home::session::{Session, stop};
use crate::engine::home::tracking::end_caching;
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::SessionId;
use crate::limits::{INPUT_RESERVE_BYTES_MAX, READ_BUFFER_BYTES};
use crate::resp::{Args, ParseLimits, Parsed, Parser, ProtocolError, peek_key};
use crate::shard::Database;

impl Home {
    /// Bytes arrived on a connection.
    #[inline]
    pub(in crate::engine) fn on_bytes(&mut self, core: &mut Core, id: SessionId, bytes: &[u8]) {
        core.env.stats.bytes_in += bytes.len() as u64;
        let Some(session) = self.sessions.writable(id) else { return };
        session.progress_ms = core.env.awake_ms;
        session.client.active_ms = core.env.now_ms;
        if session.has_input() || !session.may_run() {
            return self.on_bytes_behind(core, id, bytes);
        }
        debug_assert!(session.ahead.is_empty(), "what was received ahead waits behind something");
        // The usual case: nothing waits, so commands run where the bytes lie.
        let consumed = self.round(core, id, bytes);
        let Some(session) = self.sessions.get_mut(id) else { return };
        if consumed < bytes.len() {
            session.keep_rest(&bytes[consumed..]);
        }
        self.go_on_or_list(core, id);
    }

    /// Bytes arrived behind something that waits.
    #[cold]
    fn on_bytes_behind(&mut self, core: &mut Core, id: SessionId, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.is_stopped(stop::CLOSING) {
            return;
        }
        if session.replies.are_unread() || !session.ahead.is_empty() {
            session.ahead.push(bytes);
        } else {
            session.input.extend_from_slice(bytes);
            session.partial = false;
        }
        self.go_on(core, id);
    }

    /// A session's output is back, of which so many bytes were sent; what waited for that may go on.
    #[inline]
    pub(in crate::engine) fn on_output(&mut self, core: &mut Core, id: SessionId, output: Output, sent: usize) {
        self.sessions.on_output(id, output, sent, &mut core.env);
        self.go_on_or_list(core, id);
    }

    /// A session that can go on does; otherwise it is listed for what the runtime has to do for it.
    #[inline]
    fn go_on_or_list(&mut self, core: &mut Core, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.can_go_on() {
            self.go_on(core, id);
        } else if session.becomes_due() {
            self.sessions.list(id);
        }
    }

    /// The input of a session that lacks more of an argument than an ordinary read brings, so that it is received where
    /// it will be parsed: the next bytes are to be appended within its capacity, and `on_input` to be called at once.
    /// `None`: read as usual, for `on_bytes`. Lends no more than `INPUT_RESERVE_BYTES_MAX` ahead of what has arrived, but
    /// for what a growing buffer doubles.
    pub(in crate::engine) fn lend_input(&mut self, id: SessionId) -> Option<Vec<u8>> {
        let session = self.sessions.get_mut(id)?;
        // A session that was cut off has no input any more.
        let reads_ahead = !session.may_run() || !session.ahead.is_empty();
        if !session.partial || session.need <= READ_BUFFER_BYTES || session.input.is_empty() || reads_ahead {
            return None;
        }
        let mut input = std::mem::take(&mut session.input);
        if input.len() == input.capacity() {
            input.reserve(session.need.min(INPUT_RESERVE_BYTES_MAX));
        }
        Some(input)
    }

    /// What `lend_input` gave comes back, with so many bytes more.
    pub(in crate::engine) fn on_input(&mut self, core: &mut Core, id: SessionId, input: Vec<u8>, received: usize) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.input = input;
        if received == 0 {
            return;
        }
        core.env.stats.bytes_in += received as u64;
        session.progress_ms = core.env.awake_ms;
        session.client.active_ms = core.env.now_ms;
        if received < session.need {
            // Parsing it now would only find again that it is not whole.
            session.need -= received;
            return;
        }
        session.partial = false;
        self.go_on(core, id);
    }

    /// Goes on with what a session has under way: its transaction, then the input that waits, as far as it may.
    pub(in crate::engine) fn go_on(&mut self, core: &mut Core, id: SessionId) {
        let mut took_ahead = false;
        while let Some(session) = self.sessions.writable(id)
            && session.can_go_on()
        {
            if session.is_stopped(stop::TRANSACTION) {
                if !self.advance_transaction(core, id) {
                    break;
                }
                continue;
            }
            if session.lacks_input() {
                // A client that has written for minutes gets a piece of it run at a time, in turn with others.
                if std::mem::replace(&mut took_ahead, true) {
                    self.pause(id);
                    break;
                }
                session.take_ahead();
            }
            let input = std::mem::take(&mut session.input);
            let at = session.input_at;
            let consumed = self.round(core, id, &input[at..]);
            let Some(session) = self.sessions.get_mut(id) else { return };
            if session.is_stopped(stop::CLOSING) {
                break;
            }
            session.input = input;
            session.consume(consumed);
            if consumed == 0 && (!session.partial || session.ahead.is_empty()) {
                break;
            }
        }
        self.sessions.settle(id);
    }

    /// Runs the complete commands at the beginning of `bytes`. Returns the bytes of those.
    #[inline]
    fn round(&mut self, core: &mut Core, id: SessionId, bytes: &[u8]) -> usize {
        let Some(mut session) = self.sessions.get_mut(id) else { return 0 };
        // Out of the session, so that arguments can borrow it while the session changes.
        let mut parser = session.parser.take().or_else(|| self.parsers.pop()).unwrap_or_default();
        session.partial = false;
        core.env.meter.pause();
        let is_special = core.persistence.is_loading() || self.looks_at_each;
        let mut round = Round { bytes, consumed: 0, prefetched: 1, is_special };
        loop {
            let halt = round.run_keys(core, id, session, &mut parser);
            let Some(again) = self.after_halt(core, id, halt, &parser, &mut round) else { break };
            session = again;
        }
        self.keep_parser(id, parser);
        round.consumed
    }

    /// Does what ended a run of commands of one key. Returns the session if its round goes on.
    #[inline]
    fn after_halt(
        &mut self,
        core: &mut Core,
        id: SessionId,
        halt: Halt,
        parser: &Parser,
        round: &mut Round<'_>,
    ) -> Option<&mut Session> {
        match halt {
            Halt::End => return None,
            Halt::Pause => {
                self.pause(id);
                return None;
            }
            Halt::News => self.after(core),
            Halt::Command { length } => {
                let flow = self.run(core, id, parser.args(&round.bytes[round.consumed..]));
                if core.has_news() {
                    self.after(core);
                }
                if flow == Flow::Wait {
                    return None;
                }
                round.consumed += length;
                if flow == Flow::End
                    && let Some(session) = self.sessions.get_mut(id)
                {
                    session.close();
                }
            }
        }
        round.is_special = core.persistence.is_loading() || self.looks_at_each;
        self.sessions.get_mut(id)
    }

    /// A session in the middle of a command keeps its parser.
    #[inline]
    fn keep_parser(&mut self, id: SessionId, mut parser: Box<Parser>) {
        if parser.is_partial() {
            if let Some(session) = self.sessions.get_mut(id)
                && !session.is_stopped(stop::CLOSING)
            {
                session.parser = Some(parser);
                return;
            }
            parser.reset();
        }
        self.parsers.push(parser);
    }

    /// The rest of a session's round waits for the next turn.
    #[cold]
    fn pause(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && !session.is_stopped(stop::PAUSED)
        {
            session.stop(stop::PAUSED, true);
            self.paused.push_back(id);
        }
    }

    /// Runs one command, or sends it where it runs.
    #[inline]
    fn run(&mut self, core: &mut Core, id: SessionId, words: Args<'_>) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        let env = &mut core.env;
        let process = &env.process;
        let (command, args) = match command::find(&env.lookup, words, || process.shows_cluster()) {
            Ok(found) => found,
            Err(error) => return self.refuse_words(core, id, words, &error),
        };
        let row = command.row();
        if session.replies.is_holding()
            && (row.is(flag::BARRIER)
                || (matches!(row.handler, Handler::Owner(OwnerHandler::Several(_)))
                    && env.router.spans_cores(row.keys_after_name(args))))
        {
            return Flow::Wait;
        }
        let refusal = refusal(session, command, core.persistence.is_loading());
        if refusal.is_none() && self.client_pause.is_some_and(|pause| pause.holds_back(row, session.multi.as_deref())) {
            self.hold_back(core, id);
            return Flow::Wait;
        }
        let runs = refusal.is_none() && session.multi.is_none();
        let of = (command, session.client.database);
        if runs && core.owner.asks_for_room(env, &mut core.links, of, args) {
            self.pause(id);
            return Flow::Wait;
        }
        let muted = session.begin_reply();
        let special = muted || session.client.tracking.is_some();
        let flow = if let Some(error) = refusal {
            self.refuse_command(core, id, Some(command), &error, muted)
        } else {
            env.stats.commands += 1;
            session.client.last_command = row.name;
            if session.multi.is_some() && !row.is(flag::UNQUEUED) {
                self.queue(core, id, command, args, muted)
            } else {
                let flow = self.dispatch(core, id, args, Trip { command, muted, held: false });
                if self.monitor.is_on() {
                    self.record(core, id, command, (words, args));
                }
                flow
            }
        };
        if special {
            self.end_command(id, Some(command));
        }
        flow
    }

    /// A command has ended, however: what held for it alone is over.
    #[cold]
    fn end_command(&mut self, id: SessionId, command: Option<CommandId>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.client.reply_mode == ReplyMode::Skip {
            session.client.reply_mode = ReplyMode::On;
        }
        end_caching(session, command);
    }

    /// The words name no command, or not with so many arguments.
    #[cold]
    fn refuse_words(&mut self, core: &mut Core, id: SessionId, words: Args<'_>, error: &Error) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        if command::is_http(words.at(0)) {
            core.env.refuse_http(&session.client.addr);
            return Flow::End;
        }
        let muted = session.begin_reply();
        let named = if let Error::Arity(name) = error { core.env.lookup.find(name.as_bytes()) } else { None };
        debug_assert!(!words.is_empty(), "a command has a name");
        let flow = self.refuse_command(core, id, named, error, muted);
        self.end_command(id, None);
        flow
    }

    /// A command that can't be run, nor queued.
    #[cold]
    fn refuse_command(
        &mut self,
        core: &mut Core,
        id: SessionId,
        command: Option<CommandId>,
        error: &Error,
        muted: bool,
    ) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        if let Some(multi) = &mut session.multi {
            multi.fail();
        }
        let is_exec = command.is_some_and(|command| {
            matches!(command.row().handler, Handler::Home(HomeHandler::Transaction(Verb::Exec)))
        });
        if is_exec && matches!(error, Error::Arity(_)) {
            self.forget(core, id);
            return self.reject(core, id, command, &Error::ExecArity, muted);
        }
        self.reject(core, id, command, error, muted)
    }

    /// Takes a command after MULTI, to be run by EXEC.
    fn queue(&mut self, core: &mut Core, id: SessionId, command: CommandId, args: Args<'_>, muted: bool) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        if let Err(error) = connection::check_queued(command.row(), args, core.env.settings.databases) {
            core.env.notice(Notice::NoDatabase(session.client.addr.clone()));
            let _ = self.refuse_command(core, id, Some(command), &error, muted);
            return Flow::End;
        }
        let error = if command.row().is(flag::NO_MULTI) {
            Error::NotInMulti
        } else if matches!(command.row().handler, Handler::Owner(OwnerHandler::Debug)) {
            let allowed = debug::is_allowed(core.env.settings.debug, &session.client);
            if allowed { Error::NotInMulti } else { Error::DebugRefused }
        } else {
            let proto = session.client.proto;
            let Some(multi) = &mut session.multi else { return Flow::Next };
            if multi.queue(command, proto, args) {
                session.client.queued = Some(multi.count);
                session.say(muted, |writer| writer.simple("QUEUED"));
                return Flow::Next;
            }
            Error::MultiTooLong
        };
        self.refuse_command(core, id, Some(command), &error, muted)
    }

    /// Answers a command that is not run with an error, unless the client does not want to hear it.
    pub(super) fn reject(
        &mut self,
        core: &mut Core,
        id: SessionId,
        command: Option<CommandId>,
        error: &Error,
        muted: bool,
    ) -> Flow {
        core.env.count_rejected(command, error);
        if let Some(session) = self.sessions.writable(id) {
            session.say_error(muted, error);
        }
        Flow::Next
    }
}

/// A round under way.
struct Round<'a> {
    bytes: &'a [u8],
    /// Bytes of the commands that have run.
    consumed: usize,
    /// How far the commands' keys have been prefetched. The first command goes ahead: it is often the only one.
    prefetched: usize,
    /// Whether each command is to be looked at alone: some may not run now, or somebody watches.
    is_special: bool,
}

/// Why a run of commands of one key ends.
#[derive(Clone, Copy)]
enum Halt {
    /// The bytes are used up, or what is left may not run or is not whole.
    End,
    /// The session's share of this turn is used up.
    Pause,
    /// Something has changed that others are to hear of; then the round goes on.
    News,
    /// The next command, of so many bytes, is not of this kind.
    Command { length: usize },
}

impl Round<'_> {
    /// Runs commands of one key, one after the other, for a plain client (no tracking, not muted): the way of nearly every
    /// command. It looks at nothing but this session and its core, and whatever could change that ends it.
    #[inline]
    fn run_keys(&mut self, core: &mut Core, id: SessionId, session: &mut Session, parser: &mut Parser) -> Halt {
        let limits = ParseLimits::new(session.client.authenticated);
        let plain = session.is_plain() && !self.is_special;
        while self.consumed < self.bytes.len() && session.may_run() {
            if core.must_wait() || core.owner.has_done_enough() {
                return Halt::Pause;
            }
            let rest = &self.bytes[self.consumed..];
            if self.consumed >= self.prefetched {
                self.prefetch(core, session.client.database);
            }
            match parser.next(rest, &limits) {
                Ok(Parsed::Command { consumed: length }) => {
                    let words = parser.args(rest);
                    let found = if plain { core.env.lookup.find_key(words) } else { None };
                    let Some(command) = found else { return Halt::Command { length } };
                    if !run_key(session, id, core, command, words.tail(1)) {
                        return Halt::Pause;
                    }
                    self.consumed += length;
                    if core.has_news() {
                        return Halt::News;
                    }
                }
                Ok(Parsed::Empty { consumed }) => self.consumed += consumed,
                Ok(Parsed::Incomplete { need }) => {
                    (session.partial, session.need) = (true, need);
                    break;
                }
                Err(error) => refuse_bytes(core, session, error),
            }
        }
        Halt::End
    }

    /// Prefetches the memory of the next commands' keys.
    #[inline]
    fn prefetch(&mut self, core: &mut Core, database: Database) {
        let router = core.env.router;
        let rest = &self.bytes[self.consumed..];
        self.prefetched = self.consumed + core.owner.prefetch(database, rest, peek_key, |key| router.is_here(key));
    }
}

/// Why a session may not run a command now, if it may not.
#[inline]
fn refusal(session: &Session, command: CommandId, loading: bool) -> Option<Error> {
    let row = command.row();
    if !session.client.authenticated && !row.is(flag::NO_AUTH) {
        return Some(Error::NoAuth);
    }
    if session.client.is_subscriber() && !row.is(flag::SUBSCRIBER) {
        return Some(Error::Subscriber(row.name));
    }
    if session.client.monitors && (row.is(flag::READONLY) || row.changes()) {
        return Some(Error::MonitorKeyspace);
    }
    (loading && !row.is(flag::LOADING)).then_some(Error::Loading)
}

/// Says what is wrong with the bytes and ends the session.
#[cold]
fn refuse_bytes(core: &mut Core, session: &mut Session, error: ProtocolError) {
    core.env.stats.protocol_errors += 1;
    core.env.meter.count_error(b"ERR");
    let muted = session.begin_reply();
    session.say(muted, |writer| writer.protocol_error(error));
    session.close();
}
