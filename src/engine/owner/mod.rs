//! Owner: what a core does for the keys it owns: runs commands on its shard, whichever core's client asked.
//!
//! Core: the shard's own, always. Parts: `inbox` (batches of other cores), `holds` (the pause of the shard that a
//! transaction takes), `walks` (long work in slices), `budget` (the shard's share of the process's bounds), `prefetch`.
//! Never: sees a session, decides which core owns a key, waits.

pub(super) mod budget;
pub(super) mod hold;
pub(super) mod inbox;
pub(super) mod prefetch;
mod report;
pub(super) mod walks;

use crate::command::cluster_scan::cluster_scan;
use crate::command::handler::{Command, Fold, KeyHandler, OwnerHandler};
use crate::command::keyspace::{self, Scan};
use crate::command::lookup::{CommandId, EachKeyCommand};
use crate::command::task::{Outcome, Task};
use crate::command::{Call, Error, Reply, object, several};
use crate::engine::env::Env;
use crate::engine::link::Links;
use crate::engine::link::caller::Caller;
use crate::engine::link::codec::{PartKind, sum_bytes};
use crate::engine::link::message::{Gift, Hold, Holding};
use crate::engine::owner::budget::Exchange;
use crate::engine::owner::hold::Holds;
use crate::engine::owner::inbox::{Inbox, Reach};
use crate::engine::owner::walks::Walks;
use crate::limits::{SLICE_STEPS, TRACKED_KEYS_OF_A_CORE_MIN, TURN_MATCH_STEPS_MAX, TURN_REHASHED_MAX, WARM_KEYS_MAX};
use crate::resp::{Args, Writer};
use crate::shard::{ClientId, Database, NO_CLIENT, Shard, Stale};
use crate::slot::CoreId;

/// One core's shard, and everything that is done to it.
pub(super) struct Owner {
    shard: Shard,
    pub(super) inbox: Inbox,
    pub(super) holds: Holds,
    pub(super) walks: Walks,
    pub(super) exchange: Exchange,
    /// `Shard::rehashed` at the beginning of the turn, and where it has the rest wait for the next.
    turn_rehashed: u64,
    rehashed_enough: u64,
    /// Bytes that patterns were compared with in this turn.
    turn_match_steps: u64,
    /// The shard has work that goes in slices.
    waits: bool,
}

/// What came of a command that was run.
pub(super) struct Ran {
    /// What was written.
    pub(super) kind: PartKind,
    /// The command's nanoseconds, if it took so long that it is logged.
    pub(super) slow_ns: Option<u64>,
}

impl Owner {
    pub(super) fn new(shard: Shard, exchange: Exchange) -> Owner {
        Owner {
            shard,
            inbox: Inbox::default(),
            holds: Holds::default(),
            walks: Walks::default(),
            exchange,
            turn_rehashed: 0,
            rehashed_enough: TURN_REHASHED_MAX,
            turn_match_steps: 0,
            waits: false,
        }
    }

    /// Runs a command whose keys are here, or its part of one, and writes what it answers.
    #[inline]
    pub(super) fn run(
        &mut self,
        reach: &mut Reach<'_>,
        (command, handler): (CommandId, OwnerHandler),
        args: Args<'_>,
        caller: Caller,
        out: &mut Vec<u8>,
    ) -> Ran {
        let row = command.row();
        let Reach { env, links, pubsub, .. } = reach;
        let cores = env.router.cores();
        let mut match_steps = 0;
        let node = if matches!(handler, OwnerHandler::ClusterScan) { env.as_node() } else { None };
        let ran = self.metered(env, command, args, caller, out, |shard, call, writer| match handler {
            OwnerHandler::Key(handler) => {
                handler(shard, args, call).write(writer);
                PartKind::Encoded
            }
            OwnerHandler::EachKey(handler, fold) => {
                run_each(shard, row, (handler, fold), args, call, caller.part, writer)
            }
            OwnerHandler::Several(decide) => {
                several::run(shard, row, decide, args, call).write(writer);
                PartKind::Encoded
            }
            OwnerHandler::ClusterScan => {
                let node = node.as_ref().ok_or(Error::ClusterDisabled);
                match node.and_then(|node| cluster_scan(shard, args, node, call, writer)) {
                    Ok(steps) => match_steps = steps,
                    Err(error) => writer.error(&error.to_string()),
                }
                PartKind::Encoded
            }
            OwnerHandler::Publish(topic) => {
                writer.integer(pubsub.publish(topic, args.at(0), args.at(1), links));
                match_steps = pubsub.take_match_steps();
                PartKind::Encoded
            }
            OwnerHandler::Scan => {
                match Scan::parse(args) {
                    Ok(scan) => match_steps = keyspace::scan(shard, &scan, cores, call, writer),
                    Err(error) => writer.error(&error.to_string()),
                }
                PartKind::Encoded
            }
            // Of its subcommands OBJECT alone travels to a key.
            OwnerHandler::Debug => {
                object::debug(shard, args.at(1), call.now_ms, writer);
                PartKind::Encoded
            }
            OwnerHandler::Watch => {
                args.iter().for_each(|key| shard.watch(key, caller.client, call.now_ms));
                PartKind::Encoded
            }
            OwnerHandler::Unwatch => {
                shard.unwatch(caller.client);
                PartKind::Encoded
            }
        });
        self.note_match_steps(match_steps);
        ran
    }

    /// Runs a command of one key, which is here, for a plain client, and writes what it answers.
    /// Returns its nanoseconds, if it took so long that it is logged.
    #[inline]
    pub(super) fn run_key(
        &mut self,
        env: &mut Env,
        (command, handler): (CommandId, KeyHandler),
        args: Args<'_>,
        caller: Caller,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        if caller.database != 0 {
            self.shard.select(caller.database);
        }
        env.meter.begin();
        env.stats.operations += 1;
        let begin = out.len();
        handler(&mut self.shard, args, caller.call(env.now_ms)).write(&mut Writer::new(out, caller.proto));
        if caller.database != 0 {
            self.shard.select(0);
        }
        env.meter.end(command, &out[begin..])
    }

    /// Runs this core's part of a command that is split, and is metered where it was.
    pub(super) fn run_part(
        &mut self,
        env: &mut Env,
        command: EachKeyCommand,
        args: Args<'_>,
        caller: Caller,
        out: &mut Vec<u8>,
    ) -> PartKind {
        let EachKeyCommand { id, handler, fold } = command;
        let row = id.row();
        self.on_shard(env, row, args, caller, out, |shard, call, writer| {
            run_each(shard, row, (handler, fold), args, call, true, writer)
        })
    }

    /// A step of SCAN, of a client that sees so many cores.
    pub(super) fn scan(
        &mut self,
        env: &mut Env,
        (command, args): (CommandId, Args<'_>),
        (scan, cores): (&Scan<'_>, u16),
        caller: Caller,
        out: &mut Vec<u8>,
    ) -> Ran {
        let mut match_steps = 0;
        let ran = self.metered(env, command, args, caller, out, |shard, call, writer| {
            match_steps = keyspace::scan(shard, scan, cores, call, writer);
            PartKind::Encoded
        });
        self.note_match_steps(match_steps);
        ran
    }

    #[inline]
    fn metered(
        &mut self,
        env: &mut Env,
        command: CommandId,
        args: Args<'_>,
        caller: Caller,
        out: &mut Vec<u8>,
        run: impl FnOnce(&mut Shard, Call, &mut Writer<'_>) -> PartKind,
    ) -> Ran {
        env.meter.begin();
        let begin = out.len();
        let kind = self.on_shard(env, command.row(), args, caller, out, run);
        let slow_ns = if caller.part {
            env.meter.end_part(command, (kind == PartKind::Refusal).then(|| &out[begin..]))
        } else {
            env.meter.end(command, &out[begin..])
        };
        Ran { kind, slow_ns }
    }

    /// Runs something on the shard for a caller.
    #[inline]
    fn on_shard(
        &mut self,
        env: &mut Env,
        row: &Command,
        args: Args<'_>,
        caller: Caller,
        out: &mut Vec<u8>,
        run: impl FnOnce(&mut Shard, Call, &mut Writer<'_>) -> PartKind,
    ) -> PartKind {
        env.stats.operations += 1;
        if caller.is_special() {
            self.prepare(caller);
        }
        let kind = run(&mut self.shard, caller.call(env.now_ms), &mut Writer::new(out, caller.proto));
        // What it has read is remembered only now, so that an item that expires when it is read does not take that
        // with it.
        if caller.is_special() {
            self.finish(caller, row.keys_after_name(args));
        }
        kind
    }

    /// Does this core's share of a command of several keys, for the transaction that holds the shard.
    pub(super) fn perform(&mut self, env: &mut Env, caller: Caller, task: &Task) -> Outcome {
        env.stats.operations += 1;
        self.prepare(caller);
        let outcome = task.perform(&mut self.shard, caller.call(env.now_ms));
        self.finish(caller, task.keys_read().iter().map(Vec::as_slice));
        outcome
    }

    /// Tells the shard what it has to know of a caller.
    #[cold]
    fn prepare(&mut self, caller: Caller) {
        if caller.quiet {
            self.shard.set_writer(caller.client);
        }
        self.shard.select(caller.database);
    }

    /// The command has run: the keys that its client has read are remembered, and database 0 is selected again.
    #[cold]
    fn finish<'a>(&mut self, caller: Caller, keys: impl Iterator<Item = &'a [u8]>) {
        self.shard.set_writer(NO_CLIENT);
        self.shard.select(0);
        if caller.remembers {
            keys.for_each(|key| self.shard.track(key, caller.client));
        }
    }

    // ---- holds ----

    /// A transaction wants to hold this shard.
    pub(super) fn on_hold(&mut self, hold: Hold, env: &Env, links: &mut Links) {
        self.holds.on_hold(hold, &mut self.shard, env, links);
    }

    /// Holds the shard, which is free. True if what the holder watches here is unchanged.
    pub(super) fn hold_now(&mut self, hold: Hold, env: &Env) -> bool {
        self.holds.hold_now(hold, &mut self.shard, env)
    }

    /// A hold ends, or is not wanted any more; what it watched is forgotten with it.
    pub(super) fn on_release(&mut self, hold: Hold, env: &Env, links: &mut Links) {
        if let Some(watcher) = hold.watcher {
            self.shard.unwatch(watcher);
        }
        self.holds.on_release(hold, &mut self.shard, env, links);
    }

    /// A client watches a key.
    pub(super) fn watch(&mut self, (database, key): (Database, &[u8]), client: ClientId, now_ms: u64) {
        self.shard.select(database);
        self.shard.watch(key, client, now_ms);
        self.shard.select(0);
    }

    /// Ends what a client watches here.
    pub(super) fn unwatch(&mut self, client: ClientId) {
        self.shard.unwatch(client);
    }

    // ---- budget ----

    /// A tick has come: asks the peers for budget if this core had to evict or refuse.
    pub(super) fn tick_budget(&mut self, env: &Env, links: &mut Links) {
        self.exchange.tick(&mut self.shard, env, links);
    }

    /// Another core asks for budget.
    pub(super) fn on_budget_ask(&mut self, from: CoreId, asker: Holding, env: &Env, links: &mut Links) {
        self.waits |= self.exchange.on_ask(from, asker, &mut self.shard, (env, links));
    }

    /// Another core gives budget.
    pub(super) fn on_budget_gift(&mut self, gift: Gift) {
        self.exchange.on_gift(gift, &mut self.shard);
    }

    /// The settings changed.
    pub(super) fn configure(&mut self, env: &Env) {
        self.exchange.configure(&mut self.shard, env);
        self.shard.set_eviction(env.settings.eviction);
        self.bound_tracking(env);
    }

    // ---- what clients may hold ----

    /// Bounds the keys that are remembered for clients.
    pub(super) fn bound_tracking(&mut self, env: &Env) {
        let (all, cores) = (env.settings.tracked_keys_max, u64::from(env.router.cores()));
        let share = if all == u64::MAX { all } else { (all / cores).max(TRACKED_KEYS_OF_A_CORE_MIN) };
        self.shard.set_tracked_max(share);
        self.waits = true;
    }

    /// A client of a core tracks a prefix.
    pub(super) fn track_prefix(&mut self, prefix: &[u8], home: CoreId) {
        self.shard.add_prefix(prefix, home.0);
    }

    /// A client of a core tracks a prefix no longer.
    pub(super) fn untrack_prefix(&mut self, prefix: &[u8], home: CoreId) {
        self.shard.remove_prefix(prefix, home.0);
    }

    /// The homes of clients that track a prefix of a key.
    pub(super) fn homes_of(&self, key: &[u8], homes: &mut Vec<u16>) {
        self.shard.homes_of(key, homes);
    }

    /// Whether keys have changed that clients may hold.
    #[inline]
    pub(super) fn has_stale(&self) -> bool {
        self.shard.has_stale()
    }

    /// Takes the changed keys that clients may hold; `spare` is an empty buffer for the next.
    pub(super) fn take_stale(&mut self, spare: Vec<Stale>) -> Vec<Stale> {
        self.shard.take_stale(spare)
    }

    // ---- state ----

    /// Prefetches the shard's memory for the requests at the start of `bytes`, as far as one go of it reaches. Returns the
    /// bytes it has seen to: more than 0.
    #[inline]
    pub(super) fn prefetch(
        &mut self,
        database: Database,
        bytes: &[u8],
        peek: impl Fn(&[u8]) -> Option<(&[u8], usize)>,
        is_here: impl Fn(&[u8]) -> bool,
    ) -> usize {
        prefetch::warm(&mut self.shard, database, bytes, peek, is_here)
    }

    /// One step of the walk whose turn it is.
    pub(super) fn step_walk(&mut self, env: &Env, links: &mut Links) {
        self.walks.step(&mut self.shard, env, links);
    }

    /// Whether commands have to wait: the shard is held, or the peers have yet to say what budget they can spare.
    #[inline]
    pub(super) fn must_wait(&self) -> bool {
        self.holds.is_held() | self.exchange.is_asking()
    }

    /// Whether the shard is held.
    #[inline]
    pub(super) fn is_held(&self) -> bool {
        self.holds.is_held()
    }

    /// Whether no further command is to run on the shard in this turn: its index has grown as much as it may, or patterns
    /// were compared with as much.
    #[inline]
    pub(super) fn has_done_enough(&self) -> bool {
        self.shard.rehashed() >= self.rehashed_enough
    }

    /// A command, or a message, was compared with patterns.
    #[inline]
    pub(super) fn note_match_steps(&mut self, steps: u64) {
        self.turn_match_steps += steps;
        if self.turn_match_steps >= TURN_MATCH_STEPS_MAX {
            self.rehashed_enough = 0;
        }
    }

    /// There is work in slices again.
    pub(super) fn wake(&mut self) {
        self.waits = true;
    }

    /// Whether the shard has work that goes in slices.
    pub(super) fn has_work(&self) -> bool {
        self.waits
    }

    /// A slice of expiry, eviction and of what was cleared.
    pub(super) fn work(&mut self, env: &Env) {
        // To the time 0 nothing has expired.
        let expire_ms = if env.settings.active_expire { env.now_ms } else { 0 };
        self.waits = self.shard.work(expire_ms, SLICE_STEPS).more;
    }

    /// The turn ends.
    pub(super) fn end_turn(&mut self, env: &mut Env) {
        env.stats.record_growth(self.shard.rehashed() - self.turn_rehashed);
        self.turn_rehashed = self.shard.rehashed();
        self.rehashed_enough = self.turn_rehashed + TURN_REHASHED_MAX;
        self.turn_match_steps = 0;
    }

    /// FLUSHALL: this core's part.
    pub(super) fn clear(&mut self) {
        self.shard.clear();
        self.waits = true;
    }

    /// FLUSHDB: this core's part.
    pub(super) fn flush(&mut self, database: Database) {
        self.shard.select(database);
        self.shard.flush();
        self.shard.select(0);
        self.waits = true;
    }

    /// SWAPDB: this core's part.
    pub(super) fn swap(&mut self, one: Database, other: Database) {
        self.shard.swap(one, other);
    }

    /// A key of a database, picked by `random`, and how many it has.
    pub(super) fn random_key(&mut self, database: Database, random: u64, now_ms: u64) -> Option<(u64, Vec<u8>)> {
        self.shard.select(database);
        let key = self.shard.random_key(random, now_ms).map(<[u8]>::to_vec);
        self.shard.select(0);
        Some((self.shard.size_of(database).items, key?))
    }

    /// Whether the shard has something to say to others: events, or keys that clients may hold and that have changed.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.shard.has_events() | self.shard.has_stale()
    }

    #[inline]
    pub(super) fn shard(&self) -> &Shard {
        &self.shard
    }

    #[inline]
    pub(super) fn shard_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

/// Runs a handler for each key. Whole: writes the reply. As a part: the bare elements, a sum, or the error.
fn run_each(
    shard: &mut Shard,
    row: &Command,
    (handler, fold): (KeyHandler, Fold),
    args: Args<'_>,
    call: Call,
    part: bool,
    writer: &mut Writer<'_>,
) -> PartKind {
    let step = usize::from(row.keys.step);
    let keys = args.len() / step;
    if fold == Fold::Array && !part {
        writer.array(keys);
    }
    let mut sum = 0;
    let mut refusal = None;
    for at in 0..keys {
        if at.is_multiple_of(WARM_KEYS_MAX) && keys - at > 1 {
            shard.warm(args.tail(at * step).iter().step_by(step));
        }
        let reply = handler(shard, args.tail(at * step), call);
        match (fold, reply) {
            (Fold::Array, reply) => reply.write(writer),
            (_, Reply::Integer(one)) => sum += one,
            (_, Reply::Error(error)) => refusal = refusal.or(Some(error)),
            _ => {}
        }
    }
    match (fold, refusal, part) {
        (Fold::Array, ..) | (Fold::Ok, None, true) => PartKind::Encoded,
        (_, Some(error), _) => refuse(&error, writer),
        (Fold::Sum, None, true) => {
            writer.raw(&sum_bytes(sum));
            PartKind::Sum
        }
        (Fold::Sum, None, false) => {
            writer.integer(sum);
            PartKind::Encoded
        }
        (Fold::Ok, None, false) => {
            writer.ok();
            PartKind::Encoded
        }
    }
}

fn refuse(error: &Error, writer: &mut Writer<'_>) -> PartKind {
    writer.error(&error.to_string());
    PartKind::Refusal
}
