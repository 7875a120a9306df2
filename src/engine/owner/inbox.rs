//! Inbox: the batches of requests that other cores sent, run in their order. Core: the shard's.
//!
//! Filled by `on_requests` and `on_ask`; drained at once, unless the shard is held or has done enough for this turn;
//! bounded by what the sessions of all cores may have waiting. Commands of the transaction that holds the shard pass by.
//! Never: runs a part of a command of the whole process; it hands that out, in its turn.

use std::collections::VecDeque;

use crate::command::Error;
use crate::engine::env::Env;
use crate::engine::ids::Ticket;
use crate::engine::link::Links;
use crate::engine::link::codec::{Frame, PartKind, first_database, is_held, peek_key, read_frame, write_reply};
use crate::engine::link::message::{Ask, Payload, SlowRequest};
use crate::engine::owner::{Owner, Ran, prefetch};
use crate::engine::pubsub::PubSub;
use crate::engine::telemetry::slowlog::SlowCall;
use crate::resp::{Span, Writer};
use crate::slot::CoreId;

/// What other cores want of this shard, in the order in which it came.
#[derive(Debug, Default)]
pub(in crate::engine) struct Inbox {
    waiting: VecDeque<Incoming>,
    /// Spans of the request frame that is being run.
    spans: Vec<Span>,
}

#[derive(Debug)]
enum Incoming {
    Requests(Requests),
    Ask(CoreId, Box<Ask>),
}

/// A batch of requests: how far it is, and what was answered so far.
#[derive(Debug)]
struct Requests {
    from: CoreId,
    ticket: Ticket,
    /// The requests come from the transaction that holds the shard.
    held: bool,
    /// Request frames, and where the next to run begins.
    bytes: Vec<u8>,
    at: usize,
    /// How many frames there are, and how many have been run.
    count: u32,
    run: u32,
    /// Reply frames.
    replies: Vec<u8>,
}

impl Inbox {
    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the first batch comes from this core, and some of it has been run but not answered.
    pub(in crate::engine) fn owes(&self, core: CoreId) -> bool {
        matches!(self.waiting.front(), Some(Incoming::Requests(batch)) if batch.from == core && batch.run > 0)
    }

    /// A command of the whole process came: its turn is behind all that came before.
    pub(in crate::engine) fn on_ask(&mut self, from: CoreId, ask: Box<Ask>) {
        self.waiting.push_back(Incoming::Ask(from, ask));
    }
}

/// What running requests needs besides the shard.
pub(in crate::engine) struct Reach<'a> {
    pub(in crate::engine) env: &'a mut Env,
    pub(in crate::engine) links: &'a mut Links,
    pub(in crate::engine) pubsub: &'a mut PubSub,
    /// Items are being loaded: what was under way when that began is refused.
    pub(in crate::engine) loading: bool,
}

impl Owner {
    /// A batch of requests came. Commands of the transaction that holds the shard run at once.
    pub(in crate::engine) fn on_requests(
        &mut self,
        from: CoreId,
        (ticket, bytes, count): (Ticket, Vec<u8>, u32),
        reach: &mut Reach<'_>,
    ) {
        let held = is_held(&bytes);
        let mut batch = Requests { from, ticket, held, bytes, at: 0, count, run: 0, replies: reach.links.buffer() };
        if !held {
            return self.inbox.waiting.push_back(Incoming::Requests(batch));
        }
        assert!(self.holds.is_held(), "a transaction's command without its hold");
        let done = self.run_requests(&mut batch, reach);
        assert!(done, "a transaction's batch is run whole");
        reach.links.give_back(batch.bytes);
    }

    /// Runs what came, in its order, as far as this turn may, and up to a command of the whole process, which it returns.
    pub(in crate::engine) fn run_inbox(&mut self, reach: &mut Reach<'_>) -> Option<(CoreId, Box<Ask>)> {
        while !self.must_wait() && !reach.links.is_full() {
            match self.inbox.waiting.pop_front()? {
                Incoming::Ask(from, ask) => return Some((from, ask)),
                Incoming::Requests(mut batch) => {
                    if !self.run_requests(&mut batch, reach) {
                        self.inbox.waiting.push_front(Incoming::Requests(batch));
                        break;
                    }
                    reach.links.give_back(batch.bytes);
                }
            }
        }
        None
    }

    /// Runs a batch and answers it. False if the rest of it has to wait for the next turn.
    fn run_requests(&mut self, batch: &mut Requests, reach: &mut Reach<'_>) -> bool {
        reach.env.meter.pause();
        let mut spans = std::mem::take(&mut self.inbox.spans);
        let mut prefetched = if batch.count > 1 { batch.at } else { batch.bytes.len() };
        while (batch.held || !(self.has_done_enough() || reach.links.is_full()))
            && let Some((frame, next)) = read_frame(&batch.bytes, batch.at, &mut spans)
        {
            if batch.at >= prefetched {
                let rest = &batch.bytes[batch.at..];
                prefetched = batch.at + prefetch::warm(&mut self.shard, first_database(rest), rest, peek_key, |_| true);
            }
            let of = (frame.command, frame.caller.database);
            if !batch.held && self.asks_for_room(reach.env, reach.links, of, frame.args) {
                break;
            }
            let (mut slow_ns, replied) = (None, batch.replies.len());
            write_reply(&mut batch.replies, |out| {
                let ran = self.run_frame(&frame, reach, out);
                slow_ns = ran.slow_ns;
                ran.kind
            });
            if let Some(ns) = slow_ns
                && reach.env.note_keys(frame.command, frame.args, ns, batch.replies.len() - replied)
            {
                let call = SlowCall::new(frame.command, frame.args, ns, reach.env.now_ms);
                let slow = SlowRequest { ticket: batch.ticket, number: batch.run, call };
                reach.links.send(batch.from, Payload::Slow(Box::new(slow)));
            }
            batch.at = next;
            batch.run += 1;
        }
        self.inbox.spans = spans;
        if batch.at < batch.bytes.len() {
            return false;
        }
        assert_eq!(batch.run, batch.count, "a batch holds as many requests as it says");
        let bytes = std::mem::take(&mut batch.replies);
        reach.links.send(batch.from, Payload::Replies { ticket: batch.ticket, bytes, count: batch.count });
        true
    }

    #[inline]
    fn run_frame(&mut self, frame: &Frame<'_>, reach: &mut Reach<'_>, out: &mut Vec<u8>) -> Ran {
        let Frame { command, caller, args } = *frame;
        if reach.loading {
            let env = &mut *reach.env;
            env.meter.begin();
            env.stats.operations += 1;
            let begin = out.len();
            Writer::new(out, caller.proto).error(&Error::Loading.to_string());
            return Ran { kind: PartKind::Refusal, slow_ns: env.meter.end(command, &out[begin..]) };
        }
        let handler = command.owner_handler().expect("what is sent to a core as a request runs at an owner");
        self.run(reach, (command, handler), args, caller, out)
    }
}
