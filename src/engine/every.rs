//! Every: commands that concern the whole keyspace or the whole process. Each core runs its part, the home core folds.
//!
//! Such a command waits for its session's earlier ones, and its session runs no other until it is answered. Its
//! request travels alone, behind all that its home core sent before. The first argument of a part is the caller's
//! client id; the command's own arguments follow. CONFIG SET goes to core 0 first, which passes it on to all: so every
//! core sees all of them in one order.

use crate::command::errors::quote;
use crate::command::snapshot::Order;
use crate::command::table::{CommandId, Handler, Part, Question, Sent};
use crate::command::{Error, settings::Settings};
use crate::engine::batch::{
    Incoming, Payload, Request, SlowRequest, Solo, Ticket, peek_key, read_frame, reply_frames, write_reply,
};
use crate::engine::clients::{KillFilter, ListFilter, is};
use crate::engine::gather::{Asker, Gather, GatherId, Kind, sum_of};
use crate::engine::jobs::{Job, Origin};
use crate::engine::route::CoreId;
use crate::engine::slowlog::SlowCall;
use crate::engine::stats::Report;
use crate::engine::{Engine, Notice, ProcessFacts, SessionId, ahead, ask, batch::Waiter, info, topology};
use crate::resp::{Args, Proto, Writer};

/// Refuses what no core could run, before any does.
pub(super) fn check(
    part: Part,
    args: Args<'_>,
    settings: &Settings,
    process: &ProcessFacts,
    cores: u16,
) -> Result<(), Error> {
    match part {
        Part::Clear => match args.get(0) {
            None => Ok(()),
            Some(mode) if args.len() == 1 && (is(mode, "ASYNC") || is(mode, "SYNC")) => Ok(()),
            Some(_) => Err(Error::Syntax),
        },
        Part::ConfigSet => {
            let mut changed = settings.clone();
            set_all(&mut changed, args)?;
            if changed.items_max < u64::from(cores) {
                return Err(Error::ConfigInvalid("max-size".to_owned(), "each core needs room for one item"));
            }
            Ok(())
        }
        Part::ClientKill => KillFilter::parse(args).map(|_| ()),
        Part::ClientList => ListFilter::parse(args).map(|_| ()),
        Part::Ask(question) => ask::check(question, args),
        Part::Subscribe(_) | Part::Unsubscribe(_) | Part::Tracking => Ok(()),
        Part::Snapshot(verb) => Order::parse(verb, args).map(|_| ()),
        Part::SlotCount | Part::SlotKeys if !process.shows_cluster() => Err(Error::ClusterDisabled),
        Part::SlotCount | Part::SlotKeys => topology::slot_of(part, args).map(|_| ()),
        Part::Size | Part::Keys | Part::RandomKey | Part::Report | Part::ConfigResetStat => Ok(()),
    }
}

/// Whether all cores must run the commands of this kind in one order.
fn is_ordered(command: CommandId) -> bool {
    matches!(command.row().handler, Handler::EveryCore(Part::ConfigSet | Part::Snapshot(_)))
}

/// Whether clients of a cluster ask every node and add up the answers, so that by its own port a core answers for what
/// is its own alone.
fn is_added_up(part: Part) -> bool {
    use Question::{PubsubCounts, PubsubNames, PubsubPatterns};
    matches!(part, Part::Size | Part::Keys | Part::RandomKey)
        || matches!(part, Part::Ask(PubsubCounts(_) | PubsubNames(_) | PubsubPatterns))
}

/// Whether core 0 runs it alone.
fn is_order(command: CommandId) -> bool {
    matches!(command.row().handler, Handler::EveryCore(Part::Snapshot(_)))
}

fn set_all(settings: &mut Settings, args: Args<'_>) -> Result<(), Error> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    for at in (0..args.len()).step_by(2) {
        let name = args.at(at);
        if (0..at).step_by(2).any(|earlier| args.at(earlier).eq_ignore_ascii_case(name)) {
            return Err(Error::ConfigDuplicate(quote(name)));
        }
        settings.set(name, args.at(at + 1))?;
    }
    Ok(())
}

impl Engine {
    /// Has every core run its part, this one included. If that answers it, the caller runs the session's next command:
    /// by a loop, since a call from here would nest as deep as the pipeline is long.
    pub(super) fn start_every(&mut self, id: SessionId, solo: Solo, now_ms: u64) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.exclusive = true;
        session.exclusive_since_ns = self.meter.begin();
        let (proto, by_core_port) = (session.client.proto, session.client.by_core_port);
        let asker = Asker::Session(id, solo.place);
        if is_ordered(solo.request.command())
            && let Some(sequencer) = self.router.sequencer()
        {
            let request = solo.request.clone();
            let gather = self.gathers.open_every(asker, proto, solo.request, self.router.cores(), 1);
            self.mesh.request_alone(sequencer, &request, gather);
        } else if is_order(solo.request.command()) {
            let request = solo.request.clone();
            let gather = self.gathers.open_every(asker, proto, solo.request, self.router.cores(), 1);
            self.run_order(&request, Origin::Here(gather), now_ms);
        } else if let Some(only) = self.only_core(&solo.request, by_core_port) {
            let request = solo.request.clone();
            let gather = self.gathers.open_every(asker, proto, solo.request, self.router.cores(), 1);
            match self.router.peer(only) {
                Some(peer) => self.mesh.request_alone(peer, &request, gather),
                None => self.run_own_part(&request, gather, now_ms),
            }
        } else {
            self.run_every(asker, proto, solo.request, now_ms);
        }
        if self.shard.has_stale() {
            self.spread_stale(None);
        }
    }

    /// Runs a command that core 0 runs alone; this is core 0.
    fn run_order(&mut self, request: &Request, origin: Origin, now_ms: u64) {
        let mut spans = Vec::new();
        let Some(frame) = request.frame(&mut spans) else { return };
        let Handler::EveryCore(Part::Snapshot(verb)) = frame.command.row().handler else { return };
        // Checked on the home core.
        let Ok(order) = Order::parse(verb, frame.args.tail(1)) else { return };
        if let Some(reply) = self.order(&order, origin, frame.mode.held, now_ms) {
            let _ = self.finish_part(origin, &reply, now_ms);
        }
    }

    /// Runs a command of all cores on each, beginning here.
    pub(super) fn run_every(&mut self, asker: Asker, proto: Proto, request: Request, now_ms: u64) {
        let own = request.clone();
        let cores = self.router.cores();
        let gather = self.gathers.open_every(asker, proto, request, cores, cores);
        for peer in (0..cores).map(CoreId).filter(|peer| *peer != self.core) {
            self.mesh.request_alone(peer, &own, gather);
        }
        self.run_own_part(&own, gather, now_ms);
    }

    fn run_own_part(&mut self, request: &Request, gather: GatherId, now_ms: u64) {
        let mut spans = std::mem::take(&mut self.spans);
        if let Some(frame) = request.frame(&mut spans)
            && let Handler::EveryCore(part) = frame.command.row().handler
        {
            let mut out = Vec::new();
            if self.run_part(part, frame.args, frame.mode.proto, Origin::Here(gather), now_ms, &mut out) {
                let _ = self.finish_part(Origin::Here(gather), &out, now_ms);
            }
        }
        self.spans = spans;
    }

    /// The one core that answers a command of all cores, if one does.
    fn only_core(&self, request: &Request, by_core_port: bool) -> Option<CoreId> {
        let mut spans = Vec::new();
        let frame = request.frame(&mut spans)?;
        let Handler::EveryCore(part) = frame.command.row().handler else { return None };
        match part {
            Part::SlotCount | Part::SlotKeys => {
                // Checked on this core.
                let (slot, _) = topology::slot_of(part, frame.args.tail(1)).ok()?;
                self.router.only(Some(slot), by_core_port)
            }
            _ if is_added_up(part) => self.router.only(None, by_core_port),
            _ => None,
        }
    }

    /// Runs the batches that peers sent, in their order, as far as this turn may.
    pub(super) fn run_inbox(&mut self, now_ms: u64) {
        while !self.holds.is_held()
            && !self.mesh.is_full()
            && let Some(mut incoming) = self.inbox.pop_front()
        {
            if !self.run_requests(&mut incoming, now_ms) {
                self.inbox.push_front(incoming);
                break;
            }
            self.mesh.give_back(incoming.bytes);
        }
    }

    /// Runs what the transaction that holds the shard has sent; the inbox waits for its end.
    pub(super) fn run_held(&mut self, mut incoming: Incoming, now_ms: u64) {
        assert!(self.holds.is_held(), "a transaction's command without its hold");
        let done = self.run_requests(&mut incoming, now_ms);
        assert!(done, "a transaction's batch is run whole");
        self.mesh.give_back(incoming.bytes);
    }

    /// Runs a batch and answers it. False if the rest of it has to wait for the next turn.
    fn run_requests(&mut self, batch: &mut Incoming, now_ms: u64) -> bool {
        self.meter.pause();
        let mut spans = std::mem::take(&mut self.spans);
        let mut owed = false;
        let mut warmed = if batch.count > 1 { batch.at } else { batch.bytes.len() };
        while (batch.held || !(self.has_grown_enough() || self.mesh.is_full()))
            && let Some((frame, next)) = read_frame(&batch.bytes, batch.at, &mut spans)
        {
            if batch.at >= warmed {
                warmed = batch.at + ahead::warm(&self.shard, &batch.bytes[batch.at..], peek_key, |_| true);
            }
            let replies = &mut batch.replies;
            match frame.command.sent() {
                Sent::EveryCore(part) => {
                    assert_eq!(batch.count, 1, "a request for every core travels alone");
                    let mut out = Vec::new();
                    let origin = Origin::Peer { core: batch.from, ticket: batch.ticket };
                    owed = if is_order(frame.command) {
                        let request = Request::alone(frame.command, frame.mode, frame.args.iter());
                        self.run_order(&request, origin, now_ms);
                        true
                    } else if is_ordered(frame.command) && self.router.sequencer().is_none() {
                        let asker = Asker::Core(batch.from, batch.ticket);
                        let request = Request::alone(frame.command, frame.mode, frame.args.iter());
                        self.run_every(asker, frame.mode.proto, request, now_ms);
                        true
                    } else {
                        !self.run_part(part, frame.args, frame.mode.proto, origin, now_ms, &mut out)
                    };
                    write_reply(replies, |bytes| bytes.extend_from_slice(&out));
                }
                Sent::Owner(handler) => {
                    let mut slow = None;
                    write_reply(replies, |out| {
                        slow = self.run_request((frame.command, handler), frame.mode, frame.args, now_ms, out);
                    });
                    if let Some(ns) = slow {
                        let call = SlowCall::new(frame.command, frame.args, ns, now_ms);
                        let slow = SlowRequest { ticket: batch.ticket, number: batch.run, call };
                        self.mesh.send(batch.from, Payload::Slow(Box::new(slow)));
                    }
                }
            }
            batch.at = next;
            batch.run += 1;
        }
        self.spans = spans;
        if batch.at < batch.bytes.len() {
            return false;
        }
        assert_eq!(batch.run, batch.count, "a batch holds as many requests as it says");
        let replies = std::mem::take(&mut batch.replies);
        if owed {
            self.mesh.give_back(replies);
        } else {
            let payload = Payload::Replies { ticket: batch.ticket, bytes: replies, count: batch.count };
            self.mesh.send(batch.from, payload);
        }
        true
    }

    /// Hands the replies of a batch to those who wait for them.
    pub(super) fn take_replies(&mut self, from: CoreId, ticket: Ticket, bytes: Vec<u8>, count: u32, now_ms: u64) {
        let waiters = self.mesh.close(ticket);
        assert_eq!(waiters.len(), count as usize, "a reply for each request");
        for (waiter, reply) in waiters.iter().zip(reply_frames(&bytes)) {
            match *waiter {
                Waiter::Session { id, place } => {
                    if let Some(session) = self.sessions.get_mut(id) {
                        session.replies.lend(&mut self.buffers);
                        session.replies.fill(place, reply);
                        if !session.replies.is_holding() {
                            self.run_input(id, now_ms);
                        }
                        self.settle(id);
                    }
                }
                Waiter::Nobody => {}
                Waiter::Gather { gather } => {
                    if self.gathers.part(gather, from, reply)
                        && let Some(id) = self.finish_gather(gather, now_ms)
                    {
                        self.run_input(id, now_ms);
                    }
                }
            }
        }
        self.mesh.recycle(waiters);
        self.mesh.give_back(bytes);
    }

    /// Runs this core's part. False if a job was started that will finish it.
    fn run_part(
        &mut self,
        part: Part,
        args: Args<'_>,
        proto: Proto,
        origin: Origin,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> bool {
        let all = args;
        let (caller, args) = (sum_of(all.at(0)).cast_unsigned(), all.tail(1));
        match part {
            Part::Subscribe(topic) => self.on_subscriptions(topic, true, origin, all),
            Part::Unsubscribe(topic) => self.on_subscriptions(topic, false, origin, all),
            Part::Size => out.extend_from_slice(&self.shard.len().to_le_bytes()),
            // It was under way when the load began, so what is loaded came after it.
            Part::Clear if self.is_loading() => self.shard.note_cleared(),
            Part::Clear => {
                self.shard.clear();
                self.shard_waits = true;
            }
            Part::Keys => {
                self.jobs.push_back(Job::keys(args.at(0), proto, origin));
                return false;
            }
            Part::SlotCount | Part::SlotKeys => {
                // Checked on the home core.
                let Ok((slot, count)) = topology::slot_of(part, args) else { return true };
                self.jobs.push_back(Job::of_slot(slot, count, proto, origin));
                return false;
            }
            Part::RandomKey => {
                let random = self.next_random();
                if let Some(key) = self.shard.random_key(random, now_ms) {
                    out.extend_from_slice(&self.shard.len().to_le_bytes());
                    out.extend_from_slice(key);
                }
            }
            Part::Report => ask::encode(&self.report(info::Sections::parse(args)), out),
            Part::Ask(question) => self.answer(question, args, out),
            // Core 0 runs it by itself.
            Part::Snapshot(_) => {}
            Part::ClientList => self.list(args, now_ms, out),
            Part::ClientKill => out.extend_from_slice(&self.kill(caller, args, now_ms).to_le_bytes()),
            Part::Tracking => self.learn_tracking(caller, args, out),
            Part::ConfigSet => self.configure(args),
            Part::ConfigResetStat => {
                self.stats.reset();
                self.meter.reset();
                self.shard.reset_counters();
            }
        }
        true
    }

    /// Takes over settings. They were checked on the home core; whether a value is right does not depend on the others.
    fn configure(&mut self, args: Args<'_>) {
        self.publish_events();
        let log_level = self.settings.log_level;
        let checked = set_all(&mut self.settings, args);
        debug_assert!(checked.is_ok());
        self.enter_epoch();
        self.shard.set_eviction(self.settings.eviction);
        self.meter.configure(&self.settings.watch);
        self.want_events();
        self.bound_tracking();
        if log_level != self.settings.log_level {
            self.notice(Notice::LogLevel(self.settings.log_level));
        }
        self.shard_waits = true;
    }

    /// A part is done: to the gather, or to the core that asked. Returns the session that may run on, if any.
    pub(super) fn finish_part(&mut self, origin: Origin, part: &[u8], now_ms: u64) -> Option<SessionId> {
        match origin {
            Origin::Here(gather) if self.gathers.part(gather, self.core, part) => self.finish_gather(gather, now_ms),
            Origin::Here(_) => None,
            Origin::Peer { core, ticket } => {
                let mut bytes = self.mesh.buffer();
                write_reply(&mut bytes, |out| out.extend_from_slice(part));
                self.mesh.send(core, Payload::Replies { ticket, bytes, count: 1 });
                None
            }
        }
    }

    /// The last part is there: folds them and answers the session, if it is still there. Returns it if it may run on.
    fn finish_gather(&mut self, id: GatherId, now_ms: u64) -> Option<SessionId> {
        let mut gather = self.gathers.take(id);
        let mut reply = std::mem::take(&mut self.scratch);
        reply.clear();
        match &gather.kind {
            &Kind::Keys(fold) => gather.fold_keys(fold, &mut reply),
            Kind::Every(_) => self.fold_every(&gather, now_ms, &mut reply),
        }
        let mut free = None;
        match gather.asker {
            Asker::Session(id, place) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.replies.lend(&mut self.buffers);
                    session.replies.fill(place, &reply);
                    if let Kind::Every(request) = &gather.kind {
                        session.exclusive = false;
                        self.meter.end_every(request, session, &reply, now_ms);
                    }
                    free = (!session.replies.is_holding()).then_some(id);
                    self.settle(id);
                }
            }
            Asker::Step(id) => {
                self.on_step(id, &reply);
                free = Some(id);
            }
            Asker::Nobody => {}
            Asker::Core(core, ticket) => {
                let _ = self.finish_part(Origin::Peer { core, ticket }, &reply, now_ms);
            }
        }
        self.scratch = reply;
        self.gathers.recycle(gather);
        free
    }

    /// Makes the one reply of a command of all cores.
    fn fold_every(&mut self, gather: &Gather, now_ms: u64, out: &mut Vec<u8>) {
        let Kind::Every(request) = &gather.kind else { return };
        let mut spans = Vec::new();
        let Some(frame) = request.frame(&mut spans) else { return };
        let Handler::EveryCore(part) = frame.command.row().handler else { return };
        let mut writer = Writer::new(out, gather.proto);
        let args = frame.args.tail(1);
        let parts = &gather.parts;
        let sum = || parts.iter().map(|part| sum_of(part)).sum::<i64>();
        match part {
            Part::Subscribe(topic) => self.confirm(gather.asker, (topic, true), frame.args, &mut writer),
            Part::Unsubscribe(topic) => self.confirm(gather.asker, (topic, false), frame.args, &mut writer),
            Part::Size | Part::SlotCount => writer.integer(sum()),
            Part::Clear | Part::ConfigSet | Part::ConfigResetStat => writer.ok(),
            Part::Keys | Part::SlotKeys => {
                let count: i64 = parts.iter().map(|part| part.get(..8).map_or(0, sum_of)).sum();
                writer.array(usize::try_from(count).unwrap_or(0));
                for part in parts {
                    writer.raw(part.get(8..).unwrap_or_default());
                }
            }
            Part::RandomKey => match self.choose_key(parts) {
                Some(key) => writer.bulk(key),
                None => writer.null(),
            },
            Part::Report => {
                let reports: Vec<Report> = parts.iter().filter_map(|part| ask::decode(part)).collect();
                writer.verbatim(info::render(args, &reports, &self.settings, &self.process, now_ms).as_bytes());
            }
            Part::Tracking => self.fold_tracking(gather, args, &mut writer),
            Part::Ask(question) => ask::fold(question, args, parts, &self.settings, now_ms, &mut writer),
            Part::Snapshot(_) => writer.raw(&parts.concat()),
            Part::ClientList => writer.verbatim(&parts.concat()),
            Part::ClientKill => match (args.len(), sum()) {
                (1, 0) => writer.error(&Error::NoSuchClient.to_string()),
                (1, _) => writer.ok(),
                (_, killed) => writer.integer(killed),
            },
        }
    }

    /// One of the cores' random keys, a core with more keys more often.
    fn choose_key<'a>(&mut self, parts: &'a [Vec<u8>]) -> Option<&'a [u8]> {
        let weight = |part: &[u8]| part.get(..8).map_or(0, |bytes| sum_of(bytes).cast_unsigned());
        let total: u64 = parts.iter().map(|part| weight(part)).sum();
        let mut at = self.next_random() % total.max(1);
        for part in parts {
            if at < weight(part) {
                return part.get(8..);
            }
            at -= weight(part);
        }
        None
    }
}
