//! Multi-key: single commands of several keys, as one step. Core: the session's home.
//!
//! Where all keys have one owner it runs them at once. Where they have not, the command is a transaction of its own: with
//! the shards held, its keys are read, the command decides (`command/several.rs`), everything is stored, then deleted,
//! each of these a task a core (`command/task.rs`).

use crate::command::facts::flag;
use crate::command::handler::{Handler, OwnerHandler};
use crate::command::lookup::CommandId;
use crate::command::several::{self, Changes, Decide, Decision};
use crate::command::task::{Item, Outcome, Task};
use crate::command::{Error, Reply};
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::multi::{Phase, Step};
use crate::engine::home::session::Session;
use crate::engine::home::transaction::add_cores;
use crate::engine::home::trip::Trip;
use crate::engine::ids::{Place, SessionId};
use crate::engine::link::caller::Caller;
use crate::engine::link::codec::append_frame;
use crate::engine::link::message::{HeldTask, HoldKey, Payload};
use crate::resp::{Args, Proto, Writer};
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
        key: HoldKey,
        (place, at): (Place, usize),
        (command, args): (CommandId, Args<'_>),
    ) -> Step {
        let row = command.row();
        let router = core.env.router;
        let keys: Vec<&[u8]> = row.keys_after_name(args).collect();
        let owners: Vec<CoreId> = keys.iter().map(|key| router.owner(key)).collect();
        let items = vec![None; keys.len()];
        let phase = Phase::Read;
        let mut step = Step { place, at, phase, owners, waiting: 0, items, refused: None };
        let databases = self.databases(key, command, args);
        let first = step.owners.first().copied();
        for owner in owners_among(&step.owners) {
            let own = keys.iter().zip(&step.owners).filter(|(_, core)| **core == owner);
            let keys = own.map(|(key, _)| key.to_vec()).collect();
            // Where the databases differ, the command is COPY: of two keys, each on its own core.
            let database = databases[usize::from(first != Some(owner))];
            self.assign(
                core,
                key,
                command,
                &mut step,
                (owner, database, Task::Read { keys, counts: row.is(flag::READS) }),
            );
        }
        step
    }

    /// The databases of a command of the session that holds shards: see [`several::databases`].
    fn databases(&self, key: HoldKey, command: CommandId, args: Args<'_>) -> [Database; 2] {
        let selected = key.session().and_then(|id| self.sessions.get(id)).map_or(0, |session| session.client.database);
        several::databases(command.row(), args, selected)
    }

    /// Has a core do its share of a step.
    fn assign(
        &mut self,
        core: &mut Core,
        key: HoldKey,
        command: CommandId,
        step: &mut Step,
        (owner, database, task): (CoreId, Database, Task),
    ) {
        let Some(session) = key.session().and_then(|id| self.sessions.get(id)) else { return };
        let caller = Caller::of(&session.client, command.row(), true).in_database(database);
        match core.env.router.peer(owner) {
            Some(peer) => {
                core.env.stats.forwarded += 1;
                step.waiting += 1;
                core.links.send_behind(peer, Payload::Task(Box::new(HeldTask { key, caller, task })));
            }
            None => step.take(owner, core.perform(caller, &task)),
        }
    }

    /// Another core has done its share of a step.
    pub(in crate::engine) fn on_task_done(&mut self, from: CoreId, key: HoldKey, outcome: Outcome) {
        let Some(id) = key.session() else { return };
        let tx = self.sessions.get_mut(id).and_then(Session::transaction).filter(|tx| tx.number == key.number);
        if let Some(step) = tx.and_then(|tx| tx.step.as_mut()) {
            step.waiting -= 1;
            step.take(from, outcome);
            if step.waiting == 0 {
                self.resumable.push_back(id);
            }
        }
    }

    /// Goes on with a step as far as its phases have come. True when it is answered.
    pub(super) fn advance_step(
        &mut self,
        core: &mut Core,
        key: HoldKey,
        step: &mut Step,
        (command, args): (CommandId, Args<'_>),
    ) -> bool {
        let Handler::Owner(OwnerHandler::Several(decide)) = command.row().handler else { return true };
        let Some(id) = key.session() else { return true };
        while step.waiting == 0 {
            let refused = step.refused.take();
            match std::mem::replace(&mut step.phase, Phase::Read) {
                Phase::Read => {
                    let Some(proto) = self.sessions.get(id).map(|session| session.client.proto) else { return true };
                    let items = std::mem::take(&mut step.items);
                    let decided = refused.map_or_else(|| decided(decide, args, &items, core.env.now_ms), Err);
                    let (reply, changes) = decided.unwrap_or_else(|error| (error.into(), Changes::default()));
                    let Changes { stores, deletes, event } = changes;
                    self.change(core, key, (command, args), step, Changes { stores, deletes: Vec::new(), event });
                    let deletes = Changes { stores: Vec::new(), deletes, event };
                    step.phase = Phase::Store { reply: encoded(reply, proto), deletes };
                }
                Phase::Store { reply, deletes } => {
                    let reply = match (refused, self.sessions.get(id)) {
                        (Some(error), Some(session)) => encoded(error.into(), session.client.proto),
                        _ => {
                            self.change(core, key, (command, args), step, deletes);
                            reply
                        }
                    };
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
        false
    }

    /// Has each core make those of the changes that are of its keys.
    fn change(
        &mut self,
        core: &mut Core,
        key: HoldKey,
        (command, args): (CommandId, Args<'_>),
        step: &mut Step,
        changes: Changes,
    ) {
        let [_, database] = self.databases(key, command, args);
        let router = core.env.router;
        let mut shares: Vec<(CoreId, Changes)> = Vec::new();
        let share_of = |shares: &mut Vec<(CoreId, Changes)>, key: &[u8]| {
            let owner = router.owner(key);
            shares.iter().position(|(core, _)| *core == owner).unwrap_or_else(|| {
                shares.push((owner, Changes { event: changes.event, ..Changes::default() }));
                shares.len() - 1
            })
        };
        for store in changes.stores {
            let at = share_of(&mut shares, &store.0);
            shares[at].1.stores.push(store);
        }
        for delete in changes.deletes {
            let at = share_of(&mut shares, &delete);
            shares[at].1.deletes.push(delete);
        }
        for (owner, share) in shares {
            self.assign(core, key, command, step, (owner, database, Task::Change(share)));
        }
    }
}

/// The cores that own keys, each once.
fn owners_among(owners: &[CoreId]) -> Vec<CoreId> {
    let mut cores = owners.to_vec();
    cores.sort_unstable();
    cores.dedup();
    cores
}

/// Asks the command what is to be done, now that its keys have been read.
fn decided(decide: Decide, args: Args<'_>, items: &[Option<Item>], now_ms: u64) -> Result<Decision, Error> {
    let stored: Vec<_> = items.iter().map(|item| item.as_ref().map(Item::stored)).collect();
    decide(args, &stored, now_ms)
}

fn encoded(reply: Reply<'_>, proto: Proto) -> Vec<u8> {
    let mut out = Vec::new();
    reply.write(&mut Writer::new(&mut out, proto));
    out
}
