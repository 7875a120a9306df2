//! Every: commands that concern the whole keyspace or the whole process. Each core runs its part, the home core folds.
//!
//! Such a command waits for its session's earlier ones, and its session runs no other until it is answered. Its
//! request travels alone, behind all that its home core sent before. The first argument of a part is the caller's
//! client id; the command's own arguments follow. CONFIG SET goes to core 0 first, which passes it on to all: so every
//! core sees all of them in one order.

use crate::command::errors::quote;
use crate::command::snapshot::Order;
use crate::command::table::{CommandId, Handler, Part};
use crate::command::{Client, Error, settings::Settings};
use crate::engine::batch::{
    Incoming, Payload, Request, SlowRequest, Solo, Ticket, peek_key, read_frame, reply_frames, write_reply,
};
use crate::engine::gather::{Asker, Gather, GatherId, Kind, sum_of};
use crate::engine::jobs::{Job, Origin};
use crate::engine::route::CoreId;
use crate::engine::slowlog::SlowCall;
use crate::engine::stats::Report;
use crate::engine::{Engine, Notice, SessionId, ahead, ask, batch::Waiter, info};
use crate::resp::number::parse_i64;
use crate::resp::{Args, Proto, Writer};

/// Refuses what no core could run, before any does.
pub(super) fn check(part: Part, args: Args<'_>, settings: &Settings, cores: u16) -> Result<(), Error> {
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
        Part::Snapshot(verb) => Order::parse(verb, args).map(|_| ()),
        Part::Size | Part::Keys | Part::RandomKey | Part::Report | Part::ConfigResetStat => Ok(()),
    }
}

/// Whether all cores must run the commands of this kind in one order.
fn is_ordered(command: CommandId) -> bool {
    matches!(command.row().handler, Handler::EveryCore(Part::ConfigSet | Part::Snapshot(_)))
}

/// Whether core 0 runs it alone.
fn is_order(command: CommandId) -> bool {
    matches!(command.row().handler, Handler::EveryCore(Part::Snapshot(_)))
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
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
        let proto = session.client.proto;
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
        } else {
            self.run_every(asker, proto, solo.request, now_ms);
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
    fn run_every(&mut self, asker: Asker, proto: Proto, request: Request, now_ms: u64) {
        let own = request.clone();
        let cores = self.router.cores();
        let gather = self.gathers.open_every(asker, proto, request, cores, cores);
        for peer in (0..cores).map(CoreId).filter(|peer| *peer != self.core) {
            self.mesh.request_alone(peer, &own, gather);
        }
        let mut spans = std::mem::take(&mut self.spans);
        if let Some(frame) = own.frame(&mut spans)
            && let Handler::EveryCore(part) = frame.command.row().handler
        {
            let mut out = Vec::new();
            if self.run_part(part, frame.args, frame.mode.proto, Origin::Here(gather), now_ms, &mut out) {
                let _ = self.finish_part(Origin::Here(gather), &out, now_ms);
            }
        }
        self.spans = spans;
    }

    /// Runs the batches that peers sent, in their order, as far as this turn may.
    pub(super) fn run_inbox(&mut self, now_ms: u64) {
        while !self.holds.is_held()
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
        while (batch.held || !self.has_grown_enough())
            && let Some((frame, next)) = read_frame(&batch.bytes, batch.at, &mut spans)
        {
            if batch.at >= warmed {
                warmed = batch.at + ahead::warm(&self.shard, &batch.bytes[batch.at..], peek_key, |_| true);
            }
            let replies = &mut batch.replies;
            if let Handler::EveryCore(part) = frame.command.row().handler {
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
            } else {
                let mut slow = None;
                write_reply(replies, |out| {
                    slow = self.run_request(frame.command, frame.mode, frame.args, now_ms, out);
                });
                if let Some(ns) = slow {
                    let call = SlowCall::new(frame.command, frame.args, ns, now_ms);
                    let slow = SlowRequest { ticket: batch.ticket, number: batch.run, call };
                    self.mesh.send(batch.from, Payload::Slow(Box::new(slow)));
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
        let (caller, args) = (sum_of(args.at(0)).cast_unsigned(), args.tail(1));
        match part {
            Part::Size => out.extend_from_slice(&self.shard.len().to_le_bytes()),
            // It was under way when the load began, so what is loaded came after it.
            Part::Clear if self.is_loading() => {}
            Part::Clear => {
                self.shard.clear();
                self.shard_waits = true;
            }
            Part::Keys => {
                self.jobs.push_back(Job::keys(args.at(0), proto, origin));
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
            Part::ClientList => {
                let filter = ListFilter::parse(args).unwrap_or_default();
                for id in self.sessions.ids() {
                    if let Some(session) = self.sessions.get(id)
                        && !session.gone
                        && filter.takes(&session.client)
                    {
                        out.extend_from_slice(session.client.describe(session.sizes(), now_ms).as_bytes());
                    }
                }
            }
            Part::ClientKill => out.extend_from_slice(&self.kill(caller, args, now_ms).to_le_bytes()),
            Part::ConfigSet => {
                // Checked on the home core; whether a value is right does not depend on the others.
                let log_level = self.settings.log_level;
                let checked = set_all(&mut self.settings, args);
                debug_assert!(checked.is_ok());
                self.enter_epoch();
                self.shard.set_eviction(self.settings.eviction);
                self.meter.configure(&self.settings.watch);
                if log_level != self.settings.log_level {
                    self.notice(Notice::LogLevel(self.settings.log_level));
                }
                self.shard_waits = true;
            }
            Part::ConfigResetStat => {
                self.stats.reset();
                self.meter.reset();
                self.shard.reset_counters();
            }
        }
        true
    }

    /// Ends the sessions a CLIENT KILL names; the caller's own once it has its reply.
    fn kill(&mut self, caller: u64, args: Args<'_>, now_ms: u64) -> i64 {
        let Ok(filter) = KillFilter::parse(args) else { return 0 };
        let mut killed = 0;
        for id in self.sessions.ids() {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let own = session.client.id == caller;
            if (own && filter.skip_me) || !filter.takes(&session.client, now_ms) {
                continue;
            }
            if own {
                session.close();
            } else {
                session.cut();
            }
            killed += 1;
            self.settle(id);
        }
        killed
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
        let args = frame.args.tail(1);
        let mut writer = Writer::new(out, gather.proto);
        let parts = &gather.parts;
        let sum = || parts.iter().map(|part| sum_of(part)).sum::<i64>();
        match part {
            Part::Size => writer.integer(sum()),
            Part::Clear | Part::ConfigSet | Part::ConfigResetStat => writer.ok(),
            Part::Keys => {
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

/// Which sessions CLIENT LIST names.
#[derive(Debug, Default)]
struct ListFilter {
    ids: Option<Vec<u64>>,
    nobody: bool,
}

impl ListFilter {
    fn parse(args: Args<'_>) -> Result<ListFilter, Error> {
        let mut filter = ListFilter::default();
        match args.get(0) {
            None => {}
            Some(option) if is(option, "TYPE") && args.len() == 2 => filter.nobody = !is_normal(args.at(1))?,
            Some(option) if is(option, "ID") && args.len() > 1 => {
                // Nobody has the id 0, nor one below.
                let id = |text| parse_i64(text).map(|id| u64::try_from(id).unwrap_or(0)).ok_or(Error::ClientListId);
                filter.ids = Some(args.tail(1).iter().map(id).collect::<Result<_, _>>()?);
            }
            Some(_) => return Err(Error::Syntax),
        }
        Ok(filter)
    }

    fn takes(&self, client: &Client) -> bool {
        !self.nobody && self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id))
    }
}

/// Whether a client type means ordinary clients; there are no others here.
fn is_normal(name: &[u8]) -> Result<bool, Error> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(true),
        b"master" | b"slave" | b"replica" | b"pubsub" => Ok(false),
        _ => Err(Error::UnknownClientType(quote(name))),
    }
}

/// Which sessions CLIENT KILL ends.
#[derive(Debug, Default)]
struct KillFilter<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    local_addr: Option<&'a [u8]>,
    age_s_min: Option<u64>,
    nobody: bool,
    skip_me: bool,
}

impl<'a> KillFilter<'a> {
    fn parse(args: Args<'a>) -> Result<KillFilter<'a>, Error> {
        if args.len() == 1 {
            return Ok(KillFilter { addr: args.get(0), ..KillFilter::default() });
        }
        let mut filter = KillFilter { skip_me: true, ..KillFilter::default() };
        let mut rest = args;
        while let Some(option) = rest.get(0) {
            let value = rest.get(1).ok_or(Error::Syntax)?;
            if is(option, "ID") {
                let id = parse_i64(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
                filter.id = Some(id.ok_or(Error::InvalidClientId)?);
            } else if is(option, "ADDR") {
                filter.addr = Some(value);
            } else if is(option, "LADDR") {
                filter.local_addr = Some(value);
            } else if is(option, "TYPE") {
                filter.nobody |= !is_normal(value)?;
            } else if is(option, "USER") {
                if value != b"default" {
                    return Err(Error::NoSuchUser(quote(value)));
                }
            } else if is(option, "MAXAGE") {
                let age = parse_i64(value).ok_or(Error::NotInteger)?;
                filter.age_s_min = Some(u64::try_from(age).ok().filter(|age| *age > 0).ok_or(Error::Syntax)?);
            } else if is(option, "SKIPME") && (is(value, "yes") || is(value, "no")) {
                filter.skip_me = is(value, "yes");
            } else {
                return Err(Error::Syntax);
            }
            rest = rest.tail(2);
        }
        Ok(filter)
    }

    fn takes(&self, client: &Client, now_ms: u64) -> bool {
        let age_s = now_ms.saturating_sub(client.created_ms) / 1000;
        !self.nobody
            && self.id.is_none_or(|id| id == client.id)
            && self.addr.is_none_or(|addr| addr == client.addr.as_bytes())
            && self.local_addr.is_none_or(|addr| addr == client.local_addr.as_bytes())
            && self.age_s_min.is_none_or(|min| age_s >= min)
    }
}
