//! Route: which core runs a command, and getting it there. The only place that compares cores.
//!
//! Slots and their owners are those of `slot`. Core: the session's home.

use crate::command::client::Client;
use crate::command::connection::{After, SessionHandler, VerifyKey};
use crate::command::keyspace::{self, Cursor, ScanOptions};
use crate::command::several;
use crate::command::table::{CommandId, EachKeyCommand, Fold, Handler, HomeHandler, OwnerHandler, Part, flag};
use crate::command::{Call, Error, Reply};
use crate::engine::batch::{Mode, Request, Solo, Waiter};
use crate::engine::gather::{Asker, GatherId};
use crate::engine::session::{Flow, Session};
use crate::engine::slowlog::SlowCall;
use crate::engine::tracking::Tracker;
use crate::engine::{Engine, SessionId, debug, every, home, tracking};
use crate::limits::{SLOTS, WARM_KEYS_MAX};
use crate::resp::{Args, Writer};
use crate::shard::{Recency, Shard};
pub use crate::slot::{CoreId, Slot};

/// Where keys live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Router {
    core: CoreId,
    cores: u16,
}

impl Router {
    pub(super) fn new(core: CoreId, cores: u16) -> Router {
        assert!(core.0 < cores && cores <= SLOTS, "core {} of {cores}", core.0);
        Router { core, cores }
    }

    pub(super) fn cores(self) -> u16 {
        self.cores
    }

    /// The core that puts in order what all cores must run in one order; `None` if it is this one.
    pub(super) fn sequencer(self) -> Option<CoreId> {
        self.peer(CoreId(0))
    }

    /// A core as one to send to; `None` if it is this one.
    #[inline]
    pub(super) fn peer(self, core: CoreId) -> Option<CoreId> {
        (core != self.core).then_some(core)
    }

    #[inline]
    pub(super) fn owner(self, key: &[u8]) -> CoreId {
        // A single core owns everything; it need not hash to know.
        if self.cores == 1 { self.core } else { Slot::of(key).owner(self.cores) }
    }

    /// The home of a client, whose id says it.
    #[inline]
    pub(super) fn home_of(self, client: u64) -> CoreId {
        CoreId((client.wrapping_sub(1) % u64::from(self.cores)) as u16)
    }

    /// The one core that a command of all cores concerns: that of a slot; or this one, as to a client that came by its
    /// own port the core is a node.
    pub(super) fn only(self, slot: Option<Slot>, by_core_port: bool) -> Option<CoreId> {
        slot.map(|slot| slot.owner(self.cores)).or_else(|| by_core_port.then_some(self.core))
    }

    /// A cursor of who walks this core by itself, as a node. One of another core is past the end.
    fn own_cursor(self, cursor: Cursor) -> Cursor {
        let begins = cursor == Cursor { core: 0, position: 0 };
        if begins || cursor.core == self.core.0 {
            Cursor { core: self.core.0, ..cursor }
        } else {
            Cursor { core: u16::MAX, position: 0 }
        }
    }

    /// Whether a key lives on this core.
    #[inline]
    pub(super) fn is_here(self, key: &[u8]) -> bool {
        self.owner(key) == self.core
    }
}

/// A command on its way: what dispatching needs besides session and arguments.
#[derive(Clone, Copy)]
pub(super) struct Trip {
    pub(super) command: CommandId,
    pub(super) muted: bool,
    /// Its transaction holds the shards it needs.
    pub(super) held: bool,
    pub(super) now_ms: u64,
}

impl Engine {
    /// Runs a command whose keys are here, sends one whose keys are not.
    #[inline]
    pub(super) fn dispatch(&mut self, session: &mut Session, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        let command = trip.command;
        match command.row().handler {
            Handler::Owner(OwnerHandler::Key(handler)) => {
                let owner = self.router.owner(args.at(0));
                if owner == self.core {
                    self.run_here(session, args, trip, |shard, call, writer| handler(shard, args, call).write(writer));
                } else {
                    self.send_whole(session, id, owner, args, trip);
                }
                Flow::Next
            }
            Handler::Owner(OwnerHandler::EachKey(handler, fold)) => {
                self.dispatch_each(session, id, EachKeyCommand { id: command, handler, fold }, args, trip)
            }
            Handler::Owner(OwnerHandler::Several(decide)) => self.dispatch_several(session, id, decide, args, trip),
            Handler::Owner(OwnerHandler::Scan) => self.dispatch_scan(session, id, args, trip),
            Handler::Owner(OwnerHandler::Publish(topic)) => self.dispatch_publish(session, id, topic, args, trip),
            Handler::Owner(OwnerHandler::Debug) => self.dispatch_debug(session, id, args, trip),
            Handler::Home(HomeHandler::Session(handler)) => self.run_session(session, id, handler, args, trip),
            Handler::Home(HomeHandler::Transaction(verb)) => self.run_verb(session, id, verb, args, trip),
            Handler::Home(HomeHandler::Topology(told)) => self.dispatch_topology(session, told, args, trip),
            Handler::EveryCore(Part::Subscribe(topic)) => self.dispatch_subscribe(session, (topic, true), args, trip),
            Handler::EveryCore(Part::Unsubscribe(topic)) => {
                self.dispatch_subscribe(session, (topic, false), args, trip)
            }
            Handler::EveryCore(Part::Tracking) => self.dispatch_tracking(session, args, trip),
            Handler::EveryCore(part) => {
                let row = command.row();
                if row.is(flag::ONE_AT_MOST) && args.len() > 1 {
                    return self.fail(session, args.tail(1), trip, &row.too_many(args.at(0)));
                }
                match every::check(part, args, &self.settings, &self.process, self.router.cores()) {
                    Ok(()) => {
                        let place = session.replies.hold(trip.muted);
                        let mode = Mode { part: true, ..Mode::new(session.client.proto, trip.held) };
                        // Every part is told who asks.
                        let caller = session.client.id.to_le_bytes();
                        let words = std::iter::once(caller.as_slice()).chain(args.iter());
                        Flow::Every(Solo { place, request: Request::alone(command, mode, words) })
                    }
                    Err(error) => self.fail(session, args, trip, &error),
                }
            }
            // A container without a subcommand does not pass the arity check.
            Handler::Container => self.fail(session, args, trip, &Error::Syntax),
        }
    }

    /// Runs something on our own shard and appends its reply.
    #[inline]
    pub(super) fn run_here(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        trip: Trip,
        run: impl FnOnce(&mut Shard, Call, &mut Writer<'_>),
    ) {
        let tracker = Tracker::of(&session.client, trip.command.row());
        self.begin_tracked(tracker);
        let (shard, meter) = (&mut self.shard, &mut self.meter);
        meter.begin();
        let call = call(&session.client, trip.now_ms);
        let proto = session.client.proto;
        self.stats.operations += 1;
        let slow = session.replies.append(|out| {
            let begin = out.len();
            run(shard, call, &mut Writer::new(out, proto));
            let slow = meter.end(trip.command, &out[begin..]);
            if trip.muted {
                out.truncate(begin);
            }
            slow
        });
        self.end_tracked(tracker, trip.command.row(), args);
        if let Some(ns) = slow {
            self.meter.log(SlowCall::new(trip.command, args, ns, trip.now_ms), &session.client);
        }
    }

    /// Answers a command that was run, as far as it could be, with an error.
    #[cold]
    pub(super) fn fail(&mut self, session: &mut Session, args: Args<'_>, trip: Trip, error: &Error) -> Flow {
        self.run_here(session, args, trip, |_, _, writer| writer.error(&error.to_string()));
        Flow::Next
    }

    /// Runs something on the core that owns a key.
    pub(super) fn run_at_key(
        &mut self,
        session: &mut Session,
        id: SessionId,
        key: &[u8],
        args: Args<'_>,
        trip: Trip,
        run: impl FnOnce(&mut Shard, Call, &mut Writer<'_>),
    ) {
        let owner = self.router.owner(key);
        if owner == self.core {
            self.run_here(session, args, trip, run);
        } else {
            self.send_whole(session, id, owner, args, trip);
        }
    }

    /// Sends a command to the one core that owns all its keys; what comes back is the reply.
    pub(super) fn send_whole(
        &mut self,
        session: &mut Session,
        id: SessionId,
        owner: CoreId,
        args: Args<'_>,
        trip: Trip,
    ) {
        let client = &session.client;
        let tracker = Tracker::of(client, trip.command.row());
        let mode = Mode { proto: client.proto, no_touch: client.no_touch, part: false, held: trip.held, tracker };
        let place = session.replies.hold(trip.muted);
        self.stats.forwarded += 1;
        self.meter.pause();
        let bytes = self.mesh.request(owner, trip.command, mode, args.iter(), Waiter::Session { id, place });
        session.replies.note_asked(bytes);
    }

    /// A command whose keys may have several owners.
    pub(super) fn dispatch_each(
        &mut self,
        session: &mut Session,
        id: SessionId,
        command: EachKeyCommand,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        let row = command.id.row();
        let step = usize::from(row.keys.step);
        if !args.len().is_multiple_of(step) {
            return self.fail(session, args, trip, &Error::Arity(row.name.to_owned()));
        }
        let mut owners = std::mem::take(&mut self.owners);
        owners.clear();
        owners.extend(args.iter().step_by(step).map(|key| self.router.owner(key)));
        let first = owners[0];
        if owners.iter().any(|owner| *owner != first) {
            let place = session.replies.hold(trip.muted);
            session.replies.note_asked(args.iter().map(<[u8]>::len).sum());
            let client = &session.client;
            let tracker = Tracker::of(client, row);
            let mode = Mode { proto: client.proto, no_touch: client.no_touch, part: true, held: trip.held, tracker };
            let _ = self.split(Asker::Session(id, place), command, mode, args, trip.now_ms, &owners);
            if let Some(ns) = self.meter.end(trip.command, refusal_of(&self.scratch)) {
                self.meter.log(SlowCall::new(trip.command, args, ns, trip.now_ms), &session.client);
            }
        } else if first == self.core {
            self.run_here(session, args, trip, |shard, call, writer| {
                run_each(shard, command, args, call, false, writer);
            });
        } else {
            self.send_whole(session, id, first, args, trip);
        }
        self.owners = owners;
        Flow::Next
    }

    /// Sends each owner its keys and runs our own; `gather` puts the parts together. Returns it if all parts are here.
    pub(super) fn split(
        &mut self,
        asker: Asker,
        command: EachKeyCommand,
        mode: Mode,
        args: Args<'_>,
        now_ms: u64,
        owners: &[CoreId],
    ) -> Option<GatherId> {
        self.meter.begin();
        let row = command.id.row();
        let step = usize::from(row.keys.step);
        self.scratch.clear();
        let gather = self.gathers.open_each(asker, mode.proto, command.fold, owners, self.router.cores());
        let mut complete = false;
        for core in (0..self.router.cores()).map(CoreId) {
            let count = owners.iter().filter(|owner| **owner == core).count();
            if count == 0 {
                continue;
            }
            let theirs = args.iter().enumerate().filter(|(at, _)| owners[at / step] == core).map(|(_, arg)| arg);
            if core == self.core {
                let mut part = std::mem::take(&mut self.scratch);
                part.clear();
                self.stats.operations += 1;
                let own = args.select(&mut self.spans, |at| owners[at / step] == core);
                let recency = if mode.no_touch { Recency::Keep } else { Recency::Touch };
                let call = Call { now_ms, recency };
                let mut writer = Writer::new(&mut part, mode.proto);
                if mode.tracker.quiet {
                    self.shard.set_writer(mode.tracker.client);
                }
                run_each(&mut self.shard, command, own, call, true, &mut writer);
                if mode.tracker.is_some() {
                    tracking::remember(&mut self.shard, mode.tracker, row, own);
                }
                complete = self.gathers.part(gather, core, &part);
                self.scratch = part;
            } else {
                self.stats.forwarded += 1;
                self.mesh.request(core, command.id, mode, theirs, Waiter::Gather { gather });
            }
        }
        complete.then_some(gather)
    }

    /// SCAN runs on the core that its cursor names.
    fn dispatch_scan(&mut self, session: &mut Session, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        let mut cores = self.router.cores();
        let parsed = Cursor::parse(args.at(0)).and_then(|cursor| Ok((cursor, ScanOptions::parse(args.tail(1))?)));
        let parsed = if session.client.by_core_port {
            // A node's keys: its walk begins and ends here.
            cores = self.core.0 + 1;
            parsed.map(|(cursor, options)| (self.router.own_cursor(cursor), options))
        } else {
            parsed
        };
        match parsed {
            Err(error) => return self.fail(session, args, trip, &error),
            Ok((cursor, options)) if cursor.core == self.core.0 => {
                self.run_here(session, args, trip, |shard, call, writer| {
                    keyspace::scan(shard, cursor, &options, cores, call, writer);
                });
            }
            Ok((cursor, _)) if cursor.core < cores => {
                self.send_whole(session, id, CoreId(cursor.core), args, trip);
            }
            Ok(_) => self.run_here(session, args, trip, |_, _, writer| keyspace::scan_end(writer)),
        }
        Flow::Next
    }

    /// A command of the session itself.
    fn run_session(
        &mut self,
        session: &mut Session,
        id: SessionId,
        handler: SessionHandler,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        let key = self.auth_key.as_ref();
        let verify = |guess: &[u8]| key.is_none_or(|key| key.verify(guess));
        let verify: Option<VerifyKey<'_>> = if key.is_some() { Some(&verify) } else { None };
        let home = home((&self.settings, &self.process), verify, trip.command.row(), session, trip.now_ms, self.sub_us);
        let Session { client, replies, .. } = session;
        let meter = &mut self.meter;
        meter.begin();
        let (after, written, slow) = replies.append(|out| {
            let begin = out.len();
            let after = handler(client, args, &home, &mut Writer::new(out, client.proto));
            let slow = meter.end(trip.command, &out[begin..]);
            // CLIENT REPLY ON is answered although it was muted when it came.
            if trip.muted && client.reply_mode != crate::command::client::ReplyMode::On {
                out.truncate(begin);
            }
            (after, out.len() - begin, slow)
        });
        if let Some(ns) = slow {
            self.meter.log(SlowCall::new(trip.command, args, ns, trip.now_ms), client);
        }
        match after {
            After::Continue => Flow::Next,
            After::Close => Flow::End,
            After::Reset => {
                self.forget(session);
                self.reset_subscriptions(id, session);
                self.untrack(session);
                Flow::Next
            }
            // A client that may queue AUTH has shown the key before; nobody has to wait for it.
            After::Delay if trip.held => Flow::Next,
            After::Delay => {
                self.delay(session, written);
                Flow::Next
            }
        }
    }

    /// Runs one request that another core sent. Returns its nanoseconds if they are to be logged.
    pub(super) fn run_request(
        &mut self,
        (command, handler): (CommandId, OwnerHandler),
        mode: Mode,
        args: Args<'_>,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let row = command.row();
        let begin = out.len();
        self.meter.begin();
        let recency = if mode.no_touch { Recency::Keep } else { Recency::Touch };
        let call = Call { now_ms, recency };
        let mut writer = Writer::new(out, mode.proto);
        self.stats.operations += 1;
        self.begin_tracked(mode.tracker);
        match handler {
            // It was under way when the load began.
            _ if self.is_loading() => writer.error(&Error::Loading.to_string()),
            OwnerHandler::Key(handler) => handler(&mut self.shard, args, call).write(&mut writer),
            OwnerHandler::EachKey(handler, fold) => {
                let command = EachKeyCommand { id: command, handler, fold };
                run_each(&mut self.shard, command, args, call, mode.part, &mut writer);
            }
            OwnerHandler::Scan => {
                match Cursor::parse(args.at(0)).and_then(|c| Ok((c, ScanOptions::parse(args.tail(1))?))) {
                    Ok((cursor, options)) => {
                        keyspace::scan(&self.shard, cursor, &options, self.router.cores(), call, &mut writer);
                    }
                    Err(error) => writer.error(&error.to_string()),
                }
            }
            OwnerHandler::Publish(topic) => writer.integer(self.publish(topic, args.at(0), args.at(1))),
            OwnerHandler::Debug => debug::object(&self.shard, args, now_ms, &mut writer),
            OwnerHandler::Several(decide) => several::run(&mut self.shard, row, decide, args, call).write(&mut writer),
        }
        self.end_tracked(mode.tracker, row, args);
        let reply = &out[begin..];
        if mode.part { self.meter.end_part(command, reply) } else { self.meter.end(command, reply) }
    }
}

/// A part that is an error, or nothing: a sum is eight bytes of any value.
fn refusal_of(part: &[u8]) -> &[u8] {
    if part.len() > 8 { part } else { &[] }
}

fn call(client: &Client, now_ms: u64) -> Call {
    Call { now_ms, recency: if client.no_touch { Recency::Keep } else { Recency::Touch } }
}

/// Runs a handler for each key. Whole: writes the reply. As a part: the bare elements, 8 bytes of sum, or the error.
fn run_each(
    shard: &mut Shard,
    EachKeyCommand { id, handler, fold }: EachKeyCommand,
    args: Args<'_>,
    call: Call,
    part: bool,
    writer: &mut Writer<'_>,
) {
    let step = usize::from(id.row().keys.step);
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
        (Fold::Array, ..) => {}
        (_, Some(error), _) => writer.error(&error.to_string()),
        (Fold::Sum, None, true) => writer.raw(&sum.to_le_bytes()),
        (Fold::Sum, None, false) => writer.integer(sum),
        (Fold::Ok, None, true) => {}
        (Fold::Ok, None, false) => writer.ok(),
    }
}
