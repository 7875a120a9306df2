//! Transactions: MULTI, EXEC and WATCH, and single commands whose keys live on several cores. Core: the session's home.
//!
//! ```text
//! EXEC ─▶ hold the shards of its keys, in core order ─▶ run the queue, as a session's input is run ─▶ release
//! ```
//! The shards are held from before the first command to after the last, so nobody sees a part of it. Commands of one
//! transaction on different shards run concurrently, those on one shard in order. A command of several keys on several
//! cores reads them, decides (`command/several.rs`), stores, then deletes, each a batch a core.
//! A connection that ends while its transaction runs leaves it to run to its end.

use crate::command::Error;
use crate::command::table::{CommandId, EachKeyCommand, Handler, OwnerHandler, Verb, flag};
use crate::engine::batch::{Mode, Payload, Solo, Waiter, append_frame, read_frame};
use crate::engine::hold::{Hold, HoldKey};
use crate::engine::route::{CoreId, Trip};
use crate::engine::session::{Flow, Session};
use crate::engine::several::Step;
use crate::engine::slowlog::SlowCall;
use crate::engine::snapshot::HOLDER;
use crate::engine::{Engine, SessionId};
use crate::limits::{HOLD_WAIT_MS_MAX, MULTI_BYTES_MAX};
use crate::resp::{Args, Proto, Words, Writer};
use crate::shard::Watcher;

/// A watcher that there is not: clients' ids begin at 1.
const NOBODY: Watcher = 0;

/// Commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(super) struct Multi {
    /// Request frames. Filled by the client, drained by EXEC; bounded by `MULTI_BYTES_MAX`, beyond which EXEC refuses.
    frames: Vec<u8>,
    count: usize,
    /// A command could not be queued.
    failed: bool,
}

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Transaction {
    number: u64,
    /// What began it, and when, as the stopwatch has it.
    command: CommandId,
    began_ns: u64,
    /// The cores whose shards it holds, ascending.
    cores: Vec<CoreId>,
    /// How many of them it has asked, and how many have granted. They differ by one at most.
    asked: usize,
    granted: usize,
    /// When it asked first, as `Engine::awake_ms` has it.
    began_ms: u64,
    /// No watched key has changed, as far as is known.
    clean: bool,
    /// The commands as request frames, and where the next begins.
    frames: Vec<u8>,
    at: usize,
    /// The length of the array they are answered by; `None` for a single command that is no EXEC.
    array: Option<usize>,
    /// The client does not want to hear the answer.
    muted: bool,
    begun: bool,
    /// Among those that `give_up_waiting` looks after.
    listed: bool,
    /// The command of several keys that is under way.
    pub(super) step: Option<Step>,
}

/// How far a transaction came.
enum Advance {
    /// Something has to come back first.
    Wait,
    /// All cores have something to say to this.
    Every(Solo),
    /// To its end.
    Done,
}

impl Multi {
    /// The command could not be queued: EXEC will refuse.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// Takes a command in; false if there are too many bytes of them.
    pub(super) fn queue(&mut self, command: CommandId, proto: Proto, args: Args<'_>) -> bool {
        let mode = Mode::new(proto, true);
        let len = self.frames.len();
        append_frame(&mut self.frames, command, mode, args.iter());
        self.count += 1;
        let fits = self.frames.len() <= MULTI_BYTES_MAX;
        if !fits {
            self.frames.truncate(len);
            self.count -= 1;
            self.fail();
        }
        fits
    }

    /// Commands queued.
    pub(super) fn len(&self) -> usize {
        self.count
    }
}

impl Engine {
    /// MULTI, EXEC, DISCARD, WATCH or UNWATCH of a session. None of its earlier commands is under way.
    pub(super) fn run_verb(
        &mut self,
        session: &mut Session,
        id: SessionId,
        verb: Verb,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        let result = match verb {
            Verb::Multi if session.multi.is_some() => Err(Error::MultiNested),
            Verb::Multi => {
                session.multi = Some(Box::default());
                session.client.queued = Some(0);
                Ok(())
            }
            Verb::Discard if session.multi.is_none() => Err(Error::DiscardWithoutMulti),
            Verb::Discard => {
                self.forget(session);
                Ok(())
            }
            Verb::Watch if session.multi.is_some() => Err(Error::WatchInMulti),
            Verb::Watch => return self.watch(session, id, args, trip),
            Verb::Unwatch => {
                self.unwatch(session);
                Ok(())
            }
            Verb::Exec => return self.exec(session, args, trip),
        };
        match result {
            Err(error) => self.fail(session, args, trip, &error),
            Ok(()) => {
                self.run_here(session, args, trip, |_, _, writer| writer.ok());
                Flow::Next
            }
        }
    }

    /// Back to before MULTI and WATCH.
    pub(super) fn forget(&mut self, session: &mut Session) {
        session.multi = None;
        session.client.queued = None;
        self.unwatch(session);
    }

    /// Ends what a session watches, on every core that knows of it.
    pub(super) fn unwatch(&mut self, session: &mut Session) {
        let client = session.client.id.to_le_bytes();
        for core in std::mem::take(&mut session.watching) {
            if let Some(peer) = self.router.peer(core) {
                let mode = Mode::new(session.client.proto, false);
                self.mesh.request(peer, CommandId::UNWATCH, mode, std::iter::once(&client[..]), Waiter::Nobody);
            } else {
                self.shard.unwatch(session.client.id);
            }
        }
    }

    fn watch(&mut self, session: &mut Session, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        let client = session.client.id.to_le_bytes();
        for core in args.iter().map(|key| self.router.owner(key)) {
            if !session.watching.contains(&core) {
                session.watching.push(core);
            }
        }
        let words = Words::new(args.iter().flat_map(|key| [key, &client]));
        let trip = Trip { command: EachKeyCommand::WATCH.id, ..trip };
        self.dispatch_each(session, id, EachKeyCommand::WATCH, words.args(), trip)
    }

    fn exec(&mut self, session: &mut Session, args: Args<'_>, trip: Trip) -> Flow {
        let Some(multi) = session.multi.take() else {
            return self.fail(session, args, trip, &Error::ExecWithoutMulti);
        };
        session.client.queued = None;
        if multi.failed {
            self.unwatch(session);
            return self.fail(session, args, trip, &Error::ExecAborted);
        }
        let mut cores = std::mem::take(&mut session.watching);
        let (mut spans, mut at) = (Vec::new(), 0);
        while let Some((frame, next)) = read_frame(&multi.frames, at, &mut spans) {
            self.add_cores(&mut cores, frame.command, frame.args);
            at = next;
        }
        session.transaction = Some(self.transaction(trip.command, cores, multi.frames, Some(multi.count), trip.muted));
        Flow::Next
    }

    /// The cores whose shards a command concerns.
    pub(super) fn add_cores(&self, cores: &mut Vec<CoreId>, command: CommandId, args: Args<'_>) {
        let row = command.row();
        match row.handler {
            Handler::EveryCore(_) | Handler::Owner(OwnerHandler::Scan) => {
                cores.extend((0..self.router.cores()).map(CoreId));
            }
            // Its channel's core runs what the transaction sends like any command.
            Handler::Owner(OwnerHandler::Publish(topic)) => {
                cores.extend(self.router.peer(self.publisher(topic, args.at(0))));
            }
            _ => cores.extend(row.keys_after_name(args).map(|key| self.router.owner(key))),
        }
    }

    pub(super) fn transaction(
        &mut self,
        command: CommandId,
        mut cores: Vec<CoreId>,
        frames: Vec<u8>,
        array: Option<usize>,
        muted: bool,
    ) -> Box<Transaction> {
        cores.sort_unstable();
        cores.dedup();
        self.transactions += 1;
        Box::new(Transaction {
            number: self.transactions,
            command,
            began_ns: self.meter.begin(),
            cores,
            asked: 0,
            granted: 0,
            began_ms: self.awake_ms,
            clean: true,
            frames,
            at: 0,
            array,
            muted,
            begun: false,
            listed: false,
            step: None,
        })
    }

    // ---- on its way ----

    /// Goes on with a session's transaction, if it has one. True if the session may run its input now.
    pub(super) fn go_on(&mut self, id: SessionId, now_ms: u64) -> bool {
        loop {
            let Some(mut session) = self.sessions.check_out(id) else { return false };
            let Some(mut transaction) = session.transaction.take() else {
                self.sessions.check_in(id, session);
                return true;
            };
            let advance = if session.exclusive {
                Advance::Wait
            } else {
                self.advance(&mut session, id, &mut transaction, now_ms)
            };
            match advance {
                Advance::Done => {
                    session.replies.end_group();
                    self.note_end(&session, &transaction, now_ms);
                    if !self.end_transaction(session, id, &transaction, now_ms) {
                        return false;
                    }
                }
                Advance::Wait => {
                    session.transaction = Some(transaction);
                    self.sessions.check_in(id, session);
                    return false;
                }
                Advance::Every(solo) => {
                    session.transaction = Some(transaction);
                    self.sessions.check_in(id, session);
                    self.start_every(id, solo, now_ms);
                }
            }
        }
    }

    /// Ends a transaction that ran or was refused: nothing of it is left at the shards or in its session. False if the
    /// connection ended meanwhile, and with it the session.
    fn end_transaction(&mut self, mut session: Box<Session>, id: SessionId, tx: &Transaction, now_ms: u64) -> bool {
        if session.client.tracking.is_some() {
            Engine::end_caching(&mut session, Some(tx.command));
        }
        self.release(&session, id, tx, now_ms);
        let gone = session.gone;
        self.sessions.check_in(id, session);
        if self.shard.has_stale() {
            self.spread_stale(None);
        }
        if gone {
            self.on_disconnect(id);
        }
        !gone
    }

    /// Counts what a transaction took as a whole; its commands count besides.
    fn note_end(&mut self, session: &Session, tx: &Transaction, now_ms: u64) {
        if let Some(ns) = self.meter.end_since(tx.command, tx.began_ns, b"") {
            let mut spans = Vec::new();
            let single = tx.array.is_none().then(|| read_frame(&tx.frames, 0, &mut spans)).flatten();
            let args = single.map_or(Args::new(&[], &[]), |(frame, _)| frame.args);
            self.meter.log(SlowCall::new(tx.command, args, ns, now_ms), &session.client);
        }
        self.meter.pause();
    }

    fn advance(&mut self, session: &mut Session, id: SessionId, tx: &mut Transaction, now_ms: u64) -> Advance {
        if !self.acquire(session, id, tx, now_ms) {
            return Advance::Wait;
        }
        if !tx.begun {
            tx.begun = true;
            session.replies.lend(&mut self.buffers);
            if self.is_loading() {
                let _ = self.reject(session, Some(tx.command), &Error::Loading, tx.muted);
                return Advance::Done;
            }
            if !tx.clean {
                say(session, tx.muted, |writer| writer.null_array());
                return Advance::Done;
            }
            if let Some(count) = tx.array {
                session.replies.begin_group();
                say(session, tx.muted, |writer| writer.array(count));
            }
        }
        let frames = std::mem::take(&mut tx.frames);
        let advance = self.run_frames(session, id, tx, &frames, now_ms);
        tx.frames = frames;
        advance
    }

    /// Asks for the next shard. True when all are held.
    fn acquire(&mut self, session: &Session, id: SessionId, tx: &mut Transaction, now_ms: u64) -> bool {
        while tx.granted < tx.cores.len() {
            if tx.asked > tx.granted {
                return false;
            }
            let core = tx.cores[tx.asked];
            tx.asked += 1;
            let hold = self.hold(session, id, tx);
            if let Some(peer) = self.router.peer(core) {
                self.mesh.send_behind(peer, Payload::Hold(hold));
            } else if self.holds.is_held() {
                self.on_hold(hold, now_ms);
            } else {
                tx.clean &= self.hold_now(hold, now_ms);
                tx.granted += 1;
                continue;
            }
            if !std::mem::replace(&mut tx.listed, true) {
                self.waiting.push_back(id);
            }
            return false;
        }
        true
    }

    fn hold(&self, session: &Session, id: SessionId, tx: &Transaction) -> Hold {
        let key = HoldKey { session: id, number: tx.number };
        // A single command does not care what is watched, and leaves it watched.
        let watcher = if tx.array.is_some() { session.client.id } else { NOBODY };
        Hold { home: self.core, key, watcher }
    }

    /// A shard is held for a transaction of this core, unless that has given up.
    pub(super) fn on_granted(&mut self, key: HoldKey, clean: bool, now_ms: u64) {
        if key.session == HOLDER {
            return self.on_job_granted(key.number, now_ms);
        }
        let session = self.sessions.get_mut(key.session);
        if let Some(tx) = session.and_then(|session| session.transaction.as_mut())
            && tx.number == key.number
        {
            tx.granted += 1;
            tx.clean &= clean;
            self.run_input(key.session, now_ms);
        }
    }

    fn release(&mut self, session: &Session, id: SessionId, tx: &Transaction, now_ms: u64) {
        let hold = self.hold(session, id, tx);
        for core in &tx.cores[..tx.asked] {
            if let Some(peer) = self.router.peer(*core) {
                self.mesh.send_behind(peer, Payload::Release(hold));
            } else {
                self.on_release(hold, now_ms);
            }
        }
        // Shards that were never asked may be watched.
        for core in &tx.cores[tx.asked..] {
            if let Some(peer) = self.router.peer(*core) {
                self.mesh.send_behind(peer, Payload::Release(hold));
            } else {
                self.shard.unwatch(hold.watcher);
            }
        }
    }

    /// Gives up the transactions that have waited for their shards for too long.
    pub(super) fn give_up_waiting(&mut self, now_ms: u64) {
        for _ in 0..self.waiting.len() {
            let Some(id) = self.waiting.pop_front() else { break };
            let Some(mut session) = self.sessions.check_out(id) else { continue };
            let waits = session.transaction.take_if(|tx| tx.granted < tx.cores.len());
            let Some(tx) = waits else {
                self.sessions.check_in(id, session);
                continue;
            };
            if self.awake_ms - tx.began_ms < HOLD_WAIT_MS_MAX {
                session.transaction = Some(tx);
                self.waiting.push_back(id);
                self.sessions.check_in(id, session);
                continue;
            }
            let _ = self.reject(&mut session, Some(tx.command), &Error::HoldTimeout, tx.muted);
            if self.end_transaction(session, id, &tx, now_ms) {
                self.run_input(id, now_ms);
            }
        }
    }

    fn run_frames(
        &mut self,
        session: &mut Session,
        id: SessionId,
        tx: &mut Transaction,
        frames: &[u8],
        now_ms: u64,
    ) -> Advance {
        let mut spans = Vec::new();
        loop {
            if let Some(step) = &mut tx.step {
                let Some((frame, _)) = read_frame(frames, step.at, &mut spans) else { return Advance::Done };
                if !self.advance_step(session, id, step, frame.command, frame.args, now_ms) {
                    return Advance::Wait;
                }
                tx.step = None;
            }
            let Some((frame, next)) = read_frame(frames, tx.at, &mut spans) else {
                return if session.replies.is_holding() { Advance::Wait } else { Advance::Done };
            };
            let (command, args) = (frame.command, frame.args);
            let spans_cores = self.spans_cores(command, args);
            if session.replies.is_holding() && (command.row().is(flag::BARRIER) || spans_cores.is_some()) {
                return Advance::Wait;
            }
            let at = std::mem::replace(&mut tx.at, next);
            if let Some(decide) = spans_cores {
                let place = session.replies.hold(tx.muted);
                tx.step = Some(self.begin_step(session, id, place, at, (command, decide), args, now_ms));
                continue;
            }
            session.client.last_command = command.row().name;
            match self.dispatch(session, id, args, Trip { command, muted: tx.muted, held: true, now_ms }) {
                Flow::Next | Flow::Wait => {}
                Flow::End => session.close(),
                Flow::Every(solo) => return Advance::Every(solo),
            }
        }
    }
}

/// Adds to a session's replies, unless the client does not want to hear it.
fn say(session: &mut Session, muted: bool, say: impl FnOnce(&mut Writer<'_>)) {
    let proto = session.client.proto;
    if !muted {
        session.replies.append(|out| say(&mut Writer::new(out, proto)));
    }
}
