//! Several: single commands of several keys, as one step. Core: the session's home.
//!
//! Where all keys have one owner it runs them at once. Where they have not, the command is a transaction of its own: with
//! the shards held, its keys are read, the command decides (`command/several.rs`), everything is stored, then deleted,
//! each of these a batch a core.

use crate::command::several::{self, Changes, Decide, Stored};
use crate::command::table::{CommandId, EachKeyCommand, Handler, OwnerHandler};
use crate::engine::batch::{Mode, append_frame};
use crate::engine::gather::Asker;
use crate::engine::replies::Place;
use crate::engine::route::{CoreId, Trip};
use crate::engine::session::{Flow, Session};
use crate::engine::tracking::Tracker;
use crate::engine::{Engine, SessionId};
use crate::resp::{Args, Proto, Value, Words, Writer, reply};

/// A command of several keys on several cores.
#[derive(Debug)]
pub(super) struct Step {
    place: Place,
    /// Its frame.
    pub(super) at: usize,
    decide: Decide,
    phase: Phase,
    /// What the phase came to.
    result: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Phase {
    Read,
    Store { reply: Vec<u8>, deletes: Vec<Vec<u8>>, renames: bool },
    Delete { reply: Vec<u8> },
}

impl Engine {
    /// A command of several keys: at once where they have one owner, else as a transaction of its own.
    pub(super) fn dispatch_several(
        &mut self,
        session: &mut Session,
        id: SessionId,
        decide: Decide,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        let row = trip.command.row();
        let mut owners = row.keys_after_name(args).map(|key| self.router.owner(key));
        let first = owners.next().unwrap_or(self.core);
        if owners.any(|owner| owner != first) {
            let mut cores = Vec::new();
            self.add_cores(&mut cores, trip.command, args);
            let mut frames = Vec::new();
            let mode = Mode::new(session.client.proto, true);
            append_frame(&mut frames, trip.command, mode, args.iter());
            session.transaction = Some(self.transaction(trip.command, cores, frames, None, trip.muted));
        } else if let Some(peer) = self.router.peer(first) {
            self.send_whole(session, id, peer, args, trip);
        } else {
            self.run_here(session, args, trip, |shard, call, writer| {
                several::run(shard, row, decide, args, call).write(writer);
            });
        }
        Flow::Next
    }

    /// What decides on a command whose keys live on several cores: it has to wait for its session's earlier ones.
    #[inline]
    pub(super) fn spans_cores(&self, command: CommandId, args: Args<'_>) -> Option<Decide> {
        let Handler::Owner(OwnerHandler::Several(decide)) = command.row().handler else { return None };
        let mut owners = command.row().keys_after_name(args).map(|key| self.router.owner(key));
        let first = owners.next();
        owners.any(|owner| Some(owner) != first).then_some(decide)
    }

    /// Begins a command whose frame is at `at` and whose reply has its place: its keys are read.
    #[expect(clippy::too_many_arguments, reason = "a command and where it stands; it is called in one place")]
    pub(super) fn begin_step(
        &mut self,
        session: &Session,
        id: SessionId,
        place: Place,
        at: usize,
        (command, decide): (CommandId, Decide),
        args: Args<'_>,
        now_ms: u64,
    ) -> Step {
        let keys = command.row().keys_after_name(args);
        let result = self.each(session, id, (command, EachKeyCommand::READ), keys, now_ms);
        Step { place, at, decide, phase: Phase::Read, result }
    }

    /// What a phase of a step came to.
    pub(super) fn on_step(&mut self, id: SessionId, result: &[u8]) {
        let session = self.sessions.get_mut(id);
        if let Some(step) = session.and_then(|session| session.transaction.as_mut()?.step.as_mut()) {
            step.result = Some(result.to_vec());
        }
    }

    /// Goes on with a step as far as its phases have come. True when it is answered.
    pub(super) fn advance_step(
        &mut self,
        session: &mut Session,
        id: SessionId,
        step: &mut Step,
        command: CommandId,
        args: Args<'_>,
        now_ms: u64,
    ) -> bool {
        loop {
            let Some(result) = step.result.take() else { return false };
            let refused = result.first() == Some(&b'-');
            match std::mem::replace(&mut step.phase, Phase::Read) {
                Phase::Read => {
                    let (reply, changes) = decided(step.decide, args, &result, session.client.proto, now_ms);
                    let writes: Vec<_> = changes
                        .stores
                        .iter()
                        .map(|(k, v, at)| (k, v, several::encode_store(changes.event, *at)))
                        .collect();
                    let words = writes.iter().flat_map(|(key, value, at)| [&key[..], &value[..], &at[..]]);
                    step.result = self.each(session, id, (command, EachKeyCommand::WRITE), words, now_ms);
                    let renames = changes.renames();
                    step.phase = Phase::Store { reply, deletes: changes.deletes, renames };
                }
                Phase::Store { reply, deletes, renames } => {
                    let delete = if renames { EachKeyCommand::RENAMED } else { EachKeyCommand::DEL };
                    let (reply, deletes) = if refused { (result, Vec::new()) } else { (reply, deletes) };
                    let words = deletes.iter().map(Vec::as_slice);
                    step.result = self.each(session, id, (command, delete), words, now_ms);
                    step.phase = Phase::Delete { reply };
                }
                Phase::Delete { reply } => {
                    session.replies.fill(step.place, &reply);
                    return true;
                }
            }
        }
    }

    /// Has a command of each key, as a part of a whole one, run where the keys are. Returns what it came to if that is known already.
    fn each<'a>(
        &mut self,
        session: &Session,
        id: SessionId,
        (whole, command): (CommandId, EachKeyCommand),
        words: impl Iterator<Item = &'a [u8]>,
        now_ms: u64,
    ) -> Option<Vec<u8>> {
        let words = Words::new(words);
        let args = words.args();
        let owners: Vec<CoreId> = command.id.row().keys_after_name(args).map(|key| self.router.owner(key)).collect();
        if owners.is_empty() {
            return Some(Vec::new());
        }
        let tracker = Tracker::of(&session.client, whole.row());
        let no_touch = session.client.no_touch;
        let mode = Mode { proto: Proto::Resp2, no_touch, part: true, held: true, tracker };
        let gather = self.split(Asker::Step(id), command, mode, args, now_ms, &owners)?;
        let mut gather = self.gathers.take(gather);
        let mut out = Vec::new();
        gather.fold_keys(command.fold, &mut out);
        self.gathers.recycle(gather);
        Some(out)
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
    let Ok(Some((Value::Array(Some(items)), _))) = reply::decode(read) else { unreachable!("written by a core") };
    let item = |item| match item {
        Value::Array(Some(pair)) => match <[Value; 2]>::try_from(pair) {
            Ok([Value::Bulk(Some(value)), Value::Integer(at_ms)]) => Some((value, u64::try_from(at_ms).ok())),
            _ => None,
        },
        _ => None,
    };
    items.into_iter().map(item).collect()
}
