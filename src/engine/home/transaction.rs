//! Transactions: MULTI, EXEC and WATCH, and single commands whose keys live on several cores. Core: the session's home.
//!
//! ```text
//! EXEC ─▶ hold the shards of its keys, in core order ─▶ run the queue, as a session's input is run ─▶ release
//! ```
//! The shards are held from before the first command to after the last, so nobody sees a part of it. Commands of one
//! transaction on different shards run concurrently, those on one shard in order. A command of several keys on several
//! cores is a transaction of its own (`multi_key`). A connection that ends while its transaction runs leaves it to run to
//! its end.

use crate::command::Error;
use crate::command::facts::flag;
use crate::command::handler::{Fold, Handler, OwnerHandler, Verb};
use crate::command::lookup::CommandId;
use crate::command::several;
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::multi::Transaction;
use crate::engine::home::session::stop;
use crate::engine::home::tracking::end_caching;
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::SessionId;
use crate::engine::link::Waiter;
use crate::engine::link::caller::Caller;
use crate::engine::link::codec::read_frame;
use crate::engine::link::message::Payload;
use crate::engine::pubsub::publisher;
use crate::limits::HOLD_WAIT_MS_MAX;
use crate::resp::Args;
use crate::slot::CoreId;

impl Home {
    /// MULTI, EXEC or DISCARD of a session. None of its earlier commands is under way.
    pub(super) fn run_verb(&mut self, core: &mut Core, id: SessionId, verb: Verb, args: Args<'_>, trip: Trip) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        let result = match verb {
            Verb::Multi if session.multi.is_some() => Err(Error::MultiNested),
            Verb::Multi => {
                session.multi = Some(Box::default());
                session.client.queued = Some(0);
                Ok(())
            }
            Verb::Discard if session.multi.is_none() => Err(Error::DiscardWithoutMulti),
            Verb::Discard => {
                self.forget(core, id);
                Ok(())
            }
            Verb::Exec => return self.exec(core, id, args, trip),
        };
        match result {
            Err(error) => self.fail(core, id, args, trip, &error),
            Ok(()) => {
                self.answer(core, id, args, trip, |writer| writer.ok());
                Flow::Next
            }
        }
    }

    /// Back to before MULTI and WATCH.
    pub(super) fn forget(&mut self, core: &mut Core, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.multi = None;
        session.client.queued = None;
        self.unwatch(core, id);
    }

    /// Ends what a session watches, on every core that knows of it.
    pub(super) fn unwatch(&mut self, core: &mut Core, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let client = session.client.id;
        for owner in std::mem::take(&mut session.watching) {
            if let Some(peer) = core.env.router.peer(owner) {
                let caller = Caller { client, ..Caller::unnamed(session.client.proto, false) }.part();
                core.links.request(peer, CommandId::UNWATCH, caller, std::iter::empty(), Waiter::Nobody);
            } else {
                core.owner.unwatch(client);
            }
        }
    }

    /// WATCH: each core watches the keys that it owns. None of the session's earlier commands is under way.
    pub(super) fn watch(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        if session.multi.is_some() {
            return self.fail(core, id, args, trip, &Error::WatchInMulti);
        }
        let (client, database, router) = (session.client.id, session.client.database, core.env.router);
        let owners: Vec<CoreId> = args.iter().map(|key| router.owner(key)).collect();
        for owner in &owners {
            if !session.watching.contains(owner) {
                session.watching.push(*owner);
            }
        }
        let own = args.iter().zip(&owners).filter(|(_, owner)| **owner == router.core());
        own.for_each(|(key, _)| core.owner.watch((database, key), client, core.env.now_ms));
        let mut peers = owners.clone();
        peers.retain(|owner| *owner != router.core());
        if peers.is_empty() {
            self.answer(core, id, args, trip, |writer| writer.ok());
            return Flow::Next;
        }
        let place = session.replies.hold(trip.muted);
        session.replies.note_asked(args.iter().map(<[u8]>::len).sum());
        let caller = Caller { client, ..Caller::unnamed(session.client.proto, false) }.in_database(database).part();
        let gather = self.gathers.open((id, place), (caller.proto, Fold::Ok), &peers, router.cores());
        peers.sort_unstable();
        peers.dedup();
        for peer in peers {
            let theirs = args.iter().zip(&owners).filter(|(_, owner)| **owner == peer).map(|(key, _)| key);
            core.env.stats.forwarded += 1;
            core.links.request(peer, trip.command, caller, theirs, Waiter::Gather(gather));
        }
        core.env.meter.begin();
        let _ = core.env.meter.end(trip.command, b"");
        Flow::Next
    }

    fn exec(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        let Some(multi) = session.multi.take() else {
            return self.fail(core, id, args, trip, &Error::ExecWithoutMulti);
        };
        session.client.queued = None;
        if multi.failed {
            self.unwatch(core, id);
            return self.fail(core, id, args, trip, &Error::ExecAborted);
        }
        let mut cores = std::mem::take(&mut session.watching);
        let (mut spans, mut at) = (Vec::new(), 0);
        while let Some((frame, next)) = read_frame(&multi.frames, at, &mut spans) {
            add_cores(core, &mut cores, frame.command, frame.args);
            at = next;
        }
        self.begin_transaction(core, id, (cores, multi.frames, Some(multi.count)), trip);
        Flow::Next
    }

    /// Begins a transaction that holds the shards of some cores: its frames, and the length of the array that answers it.
    /// It runs when the round goes on.
    pub(super) fn begin_transaction(
        &mut self,
        core: &mut Core,
        id: SessionId,
        (mut cores, frames, array): (Vec<CoreId>, Vec<u8>, Option<usize>),
        trip: Trip,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        cores.sort_unstable();
        cores.dedup();
        self.transactions += 1;
        session.set_transaction(Box::new(Transaction {
            number: self.transactions,
            command: trip.command,
            began_ns: core.env.meter.begin(),
            cores,
            asked: 0,
            granted: 0,
            began_ms: core.env.awake_ms,
            clean: true,
            frames,
            at: 0,
            array,
            muted: trip.muted,
            begun: false,
            listed: false,
            step: None,
        }));
    }

    // ---- on its way ----

    /// Goes on with a session's transaction. True if it has ended and the session may run its input now.
    pub(super) fn advance_transaction(&mut self, core: &mut Core, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(id) else { return false };
        if session.is_stopped(stop::EXCLUSIVE) {
            return false;
        }
        let Some(mut tx) = session.take_transaction() else { return true };
        // Nothing else of the session runs meanwhile.
        session.stop(stop::TRANSACTION, true);
        let ended = self.advance(core, id, &mut tx);
        let Some(session) = self.sessions.get_mut(id) else { return false };
        if !ended {
            session.set_transaction(tx);
            if core.has_news() {
                self.after(core);
            }
            return false;
        }
        session.replies.end_group();
        self.record_of(core, id, &tx, (tx.command, Args::new(&[], &[])));
        self.note_end(core, id, &tx);
        self.end_transaction(core, id, &tx)
    }

    /// Ends a transaction that ran or was refused: nothing of it is left at the shards or in its session. False if the
    /// connection ended meanwhile, and with it the session.
    fn end_transaction(&mut self, core: &mut Core, id: SessionId, tx: &Transaction) -> bool {
        let Some(session) = self.sessions.get_mut(id) else { return false };
        session.stop(stop::TRANSACTION, false);
        end_caching(session, Some(tx.command));
        let (gone, client) = (session.gone, session.client.id);
        release(core, tx, id, client);
        if core.has_news() {
            self.after(core);
        }
        if gone {
            self.on_disconnect(core, id);
        }
        !gone
    }

    /// Counts what a transaction took as a whole; its commands count besides, so that a command of all cores counts there.
    fn note_end(&self, core: &mut Core, id: SessionId, tx: &Transaction) {
        if matches!(tx.command.row().handler, Handler::EveryCore(_)) {
            core.env.meter.pause();
        } else if let Some(ns) = core.env.meter.end_since(tx.command, tx.began_ns, b"")
            && let Some(session) = self.sessions.get(id)
        {
            let mut spans = Vec::new();
            let single = tx.array.is_none().then(|| read_frame(&tx.frames, 0, &mut spans)).flatten();
            let args = single.map_or(Args::new(&[], &[]), |(frame, _)| frame.args);
            core.env.note_call(tx.command, args, ns, &session.client);
        }
        core.env.meter.pause();
    }

    /// Goes on as far as it can. True at its end.
    fn advance(&mut self, core: &mut Core, id: SessionId, tx: &mut Transaction) -> bool {
        if !self.acquire(core, id, tx) {
            return false;
        }
        if !tx.begun {
            tx.begun = true;
            if core.persistence.is_loading() {
                let _ = self.reject(core, id, Some(tx.command), &Error::Loading, tx.muted);
                return true;
            }
            let Some(session) = self.sessions.writable(id) else { return true };
            if !tx.clean {
                session.say(tx.muted, |writer| writer.null_array());
                return true;
            }
            if let Some(count) = tx.array {
                session.replies.begin_group();
                session.say(tx.muted, |writer| writer.array(count));
            }
        }
        let frames = std::mem::take(&mut tx.frames);
        let ended = self.run_frames(core, id, tx, &frames);
        tx.frames = frames;
        ended
    }

    /// Asks for the next shard. True when all are held.
    fn acquire(&mut self, core: &mut Core, id: SessionId, tx: &mut Transaction) -> bool {
        let Some(client) = self.sessions.get(id).map(|session| session.client.id) else { return false };
        let hold = tx.hold(core.env.router.core(), id, client);
        while tx.granted < tx.cores.len() {
            if tx.asked > tx.granted {
                return false;
            }
            let next = tx.cores[tx.asked];
            tx.asked += 1;
            if let Some(peer) = core.env.router.peer(next) {
                core.links.send_behind(peer, Payload::Hold(hold));
            } else if core.owner.is_held() {
                core.owner.on_hold(hold, &core.env, &mut core.links);
            } else {
                tx.clean &= core.owner.hold_now(hold, &core.env);
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

    /// Gives up the transactions that have waited for their shards for too long.
    pub(super) fn give_up_waiting(&mut self, core: &mut Core) {
        for _ in 0..self.waiting.len() {
            let Some(id) = self.waiting.pop_front() else { break };
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let Some(tx) = session.transaction().filter(|tx| tx.granted < tx.cores.len()) else { continue };
            if core.env.awake_ms - tx.began_ms < HOLD_WAIT_MS_MAX {
                self.waiting.push_back(id);
                continue;
            }
            let Some(tx) = session.take_transaction() else { continue };
            let _ = self.reject(core, id, Some(tx.command), &Error::HoldTimeout, tx.muted);
            self.record_of(core, id, &tx, (tx.command, Args::new(&[], &[])));
            if self.end_transaction(core, id, &tx) {
                self.resumable.push_back(id);
            }
        }
    }

    /// Runs the commands that are queued, as far as they need not wait. True when all are answered.
    fn run_frames(&mut self, core: &mut Core, id: SessionId, tx: &mut Transaction, frames: &[u8]) -> bool {
        let mut spans = Vec::new();
        loop {
            let key = tx.key(id);
            if let Some(step) = &mut tx.step {
                let Some((frame, _)) = read_frame(frames, step.at, &mut spans) else { return true };
                if !self.advance_step(core, key, step, (frame.command, frame.args)) {
                    return false;
                }
                tx.step = None;
            }
            let Some(session) = self.sessions.get_mut(id) else { return true };
            let holding = session.replies.is_holding() || session.is_stopped(stop::EXCLUSIVE);
            let Some((frame, next)) = read_frame(frames, tx.at, &mut spans) else { return !holding };
            let (command, args) = (frame.command, frame.args);
            let (database, databases) = (session.client.database, core.env.settings.databases);
            let spans_cores = matches!(command.row().handler, Handler::Owner(OwnerHandler::Several(_)))
                && core.env.router.spans_cores(command.row().keys_after_name(args))
                && several::check_target(command.row(), args, database, databases).is_ok();
            if holding && (session.is_stopped(stop::EXCLUSIVE) || command.row().is(flag::BARRIER) || spans_cores) {
                return false;
            }
            let at = std::mem::replace(&mut tx.at, next);
            if spans_cores {
                let place = session.replies.hold(tx.muted);
                tx.step = Some(self.begin_step(core, key, (place, at), (command, args)));
                self.record_of(core, id, tx, (command, args));
                continue;
            }
            session.client.last_command = command.row().name;
            if self.dispatch(core, id, args, Trip { command, muted: tx.muted, held: true }) == Flow::End
                && let Some(session) = self.sessions.get_mut(id)
            {
                session.close();
            }
            self.record_of(core, id, tx, (command, args));
        }
    }

    /// EXEC, or a command that it runs, is for those who watch; a command that needs a transaction of its own has been shown.
    fn record_of(&mut self, core: &mut Core, id: SessionId, tx: &Transaction, (command, args): (CommandId, Args<'_>)) {
        if tx.array.is_some() && self.monitor.is_on() {
            self.record_queued(core, id, command, args);
        }
    }
}

/// Gives back the shards that a transaction holds or has asked for.
fn release(core: &mut Core, tx: &Transaction, id: SessionId, client: u64) {
    let hold = tx.hold(core.env.router.core(), id, client);
    for (at, owner) in tx.cores.iter().enumerate() {
        if let Some(peer) = core.env.router.peer(*owner) {
            core.links.send_behind(peer, Payload::Release(hold));
        } else if at < tx.asked {
            core.owner.on_release(hold, &core.env, &mut core.links);
        } else if let Some(watcher) = hold.watcher {
            // A shard that was never asked may be watched.
            core.owner.unwatch(watcher);
        }
    }
}

/// The cores whose shards a command concerns.
pub(super) fn add_cores(core: &Core, cores: &mut Vec<CoreId>, command: CommandId, args: Args<'_>) {
    let router = core.env.router;
    let row = command.row();
    match row.handler {
        Handler::EveryCore(_) | Handler::Owner(OwnerHandler::Scan) => cores.extend((0..router.cores()).map(CoreId)),
        // Its channel's core runs what the transaction sends like any command.
        Handler::Owner(OwnerHandler::Publish(topic)) => {
            cores.extend(router.peer(publisher(topic, args.at(0), &core.env)));
        }
        _ => cores.extend(row.keys_after_name(args).map(|key| router.owner(key))),
    }
}
