//! Multi-key: single commands of several keys, as one step. Core: the session's home.
//!
//! Where all keys have one owner it runs them at once. Where they have not, the command is a transaction of its own: with
//! the shards held, its keys are read, the command decides (`command/several.rs`), everything is stored, then deleted,
//! each of these a batch a core.

use crate::command::handler::{Handler, OwnerHandler};
use crate::command::lookup::{CommandId, EachKeyCommand};
use crate::command::several::{self, Changes, Decide, Stored};
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::gather::Asker;
use crate::engine::home::multi::{Folded, Phase, Step};
use crate::engine::home::session::Session;
use crate::engine::home::transaction::add_cores;
use crate::engine::home::trip::Trip;
use crate::engine::ids::{Place, SessionId};
use crate::engine::link::caller::Caller;
use crate::engine::link::codec::append_frame;
use crate::resp::{Args, Proto, Value, Words, Writer, reply};
use crate::shard::Database;
use crate::slot::CoreId;

impl Home {
    /// A command of several keys: at once where they have one owner, else as a transaction of its own.
    pub(super) fn dispatch_multi_key(
        &mut self,
        core: &mut Core,
        id: SessionId,
        handler: OwnerHandler,
        args: Args<'_>,
        trip: Trip,
    ) {
        let row = trip.command.row();
        let router = core.env.router;
        let Some(session) = self.sessions.get(id) else { return };
        if let Err(error) = several::check_target(row, args, session.client.database, core.env.settings.databases) {
            self.fail(core, id, args, trip, &error);
            return;
        }
        if router.spans_cores(row.keys_after_name(args)) {
            let mut cores = Vec::new();
            add_cores(core, &mut cores, trip.command, args);
            let Some(session) = self.sessions.get(id) else { return };
            let mut frames = Vec::new();
            append_frame(&mut frames, trip.command, Caller::unnamed(session.client.proto, true), args.iter());
            self.begin_transaction(core, id, (cores, frames, None), trip);
        } else {
            let owner = row.keys_after_name(args).next().map_or(router.core(), |key| router.owner(key));
            self.run_at(core, id, owner, handler, args, trip);
        }
    }

    /// A command of all cores that is one step: a transaction of its own.
    pub(super) fn dispatch_held(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip) {
        let Some(session) = self.sessions.get(id) else { return };
        let (mut cores, mut frames) = (Vec::new(), Vec::new());
        add_cores(core, &mut cores, trip.command, args);
        append_frame(&mut frames, trip.command, Caller::unnamed(session.client.proto, true), args.iter());
        self.begin_transaction(core, id, (cores, frames, None), trip);
    }

    /// Begins a command whose reply has its place and whose frame is at `at`: its keys are read.
    pub(super) fn begin_step(
        &mut self,
        core: &mut Core,
        id: SessionId,
        (place, at): (Place, usize),
        command: CommandId,
        args: Args<'_>,
    ) -> Step {
        let database = self.database(id);
        let databases = several::databases(command.row(), args, database).map(|database| [database]);
        let keys = command.row().keys_after_name(args).enumerate();
        let words = keys.flat_map(|(at, key)| [key, &databases[usize::from(at == 1)][..]]);
        let result = self.each(core, id, (command, EachKeyCommand::READ), words);
        Step { place, at, phase: Phase::Read, result }
    }

    /// The database that a session has selected.
    fn database(&self, id: SessionId) -> Database {
        self.sessions.get(id).map_or(0, |session| session.client.database)
    }

    /// What a phase of a step came to.
    pub(super) fn on_step(&mut self, id: SessionId, reply: &[u8], refused: bool) {
        let tx = self.sessions.get_mut(id).and_then(Session::transaction);
        if let Some(step) = tx.and_then(|tx| tx.step.as_mut()) {
            step.result = Some(Folded { reply: reply.to_vec(), refused });
        }
    }

    /// Goes on with a step as far as its phases have come. True when it is answered.
    pub(super) fn advance_step(
        &mut self,
        core: &mut Core,
        id: SessionId,
        step: &mut Step,
        command: CommandId,
        args: Args<'_>,
    ) -> bool {
        let Handler::Owner(OwnerHandler::Several(decide)) = command.row().handler else { return true };
        loop {
            let Some(Folded { reply: result, refused }) = step.result.take() else { return false };
            match std::mem::replace(&mut step.phase, Phase::Read) {
                Phase::Read => {
                    let Some(proto) = self.sessions.get(id).map(|session| session.client.proto) else { return true };
                    let (reply, changes) = decided(decide, args, &result, proto, core.env.now_ms);
                    let [_, database] = several::databases(command.row(), args, self.database(id));
                    let how = |expiry| several::encode_store(changes.event, expiry, database);
                    let writes: Vec<_> = changes.stores.iter().map(|(k, v, expiry)| (k, v, how(*expiry))).collect();
                    let words = writes.iter().flat_map(|(key, value, at)| [&key[..], &value[..], &at[..]]);
                    step.result = self.each(core, id, (command, EachKeyCommand::WRITE), words);
                    let renames = changes.renames();
                    step.phase = Phase::Store { reply, deletes: changes.deletes, renames };
                }
                Phase::Store { reply, deletes, renames } => {
                    let delete = if renames { EachKeyCommand::RENAMED } else { EachKeyCommand::DEL };
                    let (reply, deletes) = if refused { (result, Vec::new()) } else { (reply, deletes) };
                    let words = deletes.iter().map(Vec::as_slice);
                    step.result = self.each(core, id, (command, delete), words);
                    step.phase = Phase::Delete { reply };
                }
                Phase::Delete { reply } => {
                    if let Some(session) = self.sessions.writable(id) {
                        session.replies.fill(step.place, &reply);
                    }
                    return true;
                }
            }
        }
    }

    /// Has a command of each key, as a part of a whole one, run where the keys are. Returns what it came to if that is
    /// known already.
    fn each<'a>(
        &mut self,
        core: &mut Core,
        id: SessionId,
        (whole, command): (CommandId, EachKeyCommand),
        words: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Folded> {
        let words = Words::new(words);
        let args = words.args();
        let router = core.env.router;
        let owners: Vec<CoreId> = command.id.row().keys_after_name(args).map(|key| router.owner(key)).collect();
        let session = self.sessions.get(id)?;
        if owners.is_empty() {
            return Some(Folded::default());
        }
        let caller = Caller { proto: Proto::Resp2, ..Caller::of(&session.client, whole.row(), true).part() };
        let (complete, _) = self.split(core, Asker::Step(id), command, caller, args, &owners);
        let mut gather = self.gathers.take(complete?);
        let mut folded = Folded::default();
        folded.refused = gather.fold(&mut folded.reply);
        self.gathers.recycle(gather);
        Some(folded)
    }
}

/// Asks the command what is to be done, now that its keys have been read. Returns its reply, encoded.
fn decided(decide: Decide, args: Args<'_>, read: &[u8], proto: Proto, now_ms: u64) -> (Vec<u8>, Changes) {
    let items = decode(read);
    let stored: Vec<_> =
        items.iter().map(|item| item.as_ref().map(|(value, at_ms)| Stored { value, expires_at_ms: *at_ms })).collect();
    let (reply, changes) = decide(args, &stored, now_ms).unwrap_or_else(|error| (error.into(), Changes::default()));
    let mut out = Vec::new();
    reply.write(&mut Writer::new(&mut out, proto));
    (out, changes)
}

/// What `several::read` has written for each key: the value and the deadline.
fn decode(read: &[u8]) -> Vec<Option<(Vec<u8>, Option<u64>)>> {
    let Ok(Some((Value::Array(Some(items)), _))) = reply::decode(read) else { return Vec::new() };
    let item = |item| match item {
        Value::Array(Some(pair)) => match <[Value; 2]>::try_from(pair) {
            Ok([Value::Bulk(Some(value)), Value::Integer(at_ms)]) => Some((value, u64::try_from(at_ms).ok())),
            _ => None,
        },
        _ => None,
    };
    items.into_iter().map(item).collect()
}
