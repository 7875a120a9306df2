//! Sockets: what a world's clients and the engine of their core exchange within a turn, cut and delayed by the seed.

use aspine::engine::Engine;
use aspine::limits::{READ_BUFFER_BYTES, SESSION_OUTPUT_BYTES_MAX};
use aspine::resp::Value;

use super::World;
use crate::canary::Fault;
use crate::client::{Client, is_remote, owner};
use crate::cluster::{feed, sent};
use crate::marks::Marks;
use crate::ops::{Mode, Op};

/// The longest reply a client of the simulation can ask for: an MGET of 16 large values.
const REPLY_BYTES_MAX: usize = 16 * 141_000;

impl World {
    /// What a client's socket is ready for.
    pub(super) fn socket(&mut self, engine: &mut Engine, at: usize) -> Result<(), String> {
        if self.clients[at].leaves {
            self.leave(engine, at);
            return Ok(());
        }
        let client = &self.clients[at];
        let conn = client.conn;
        if client.blocked && client.stalled_until <= self.step && (self.calm || self.network.one_in(2)) {
            self.clients[at].blocked = false;
            self.flush(engine, at)?;
        }
        let client = &self.clients[at];
        if client.gone || !client.is_read {
            return Ok(());
        }
        let waiting = client.undelivered().len();
        if waiting > 0 {
            if self.calm || self.network.one_in(2) {
                self.deliver(engine, at, waiting)?;
            }
        } else if client.eof && !client.eof_told {
            self.step += 1;
            self.marks.eof_with_work += u64::from(client.owed() > 0);
            self.clients[at].eof_told = true;
            engine.on_eof(conn.id);
            self.clients[at].is_read = engine.wants_read(conn.id);
        }
        Ok(())
    }

    /// Some bytes of a client arrive: one read.
    fn deliver(&mut self, engine: &mut Engine, at: usize, waiting: usize) -> Result<(), String> {
        let most = waiting.min(READ_BUFFER_BYTES);
        let take = match self.network.below(4) {
            0 => 1 + self.network.below(most.min(20)),
            1 => 1 + self.network.below(most),
            _ => most,
        };
        self.step += 1;
        let conn = self.clients[at].conn;
        let client = &mut self.clients[at];
        let bytes = client.stream[client.delivered..client.delivered + take].to_vec();
        let owed_before = client.owed();
        let completed = client.on_delivered(take, self.step);
        let tickets = engine.tickets_open();
        mark_round(&self.clients[at], completed, owed_before > 0 && tickets > 0, self.plan.cores, &mut self.marks);
        let expired = engine.shard().counters().expirations;
        if let Some((kind, number)) = self.clients[at].actor {
            let (actors, mut scene) = self.stage();
            actors[kind].reached(number, &mut scene);
        }
        feed(engine, conn.id, &bytes, self.cluster.now_ms);
        self.marks.read_ahead += u64::from(engine.read_ahead_bytes(conn.id) > 0);
        self.checks.after_event(engine);
        self.note_access(engine, expired);
        self.settle(engine, at);
        Ok(())
    }

    /// As the runtime's connection does after each event.
    fn settle(&mut self, engine: &mut Engine, at: usize) {
        let client = &mut self.clients[at];
        let wants = engine.wants_read(client.conn.id);
        let full = engine.unsent_bytes(client.conn.id) >= SESSION_OUTPUT_BYTES_MAX;
        self.marks.output_full += u64::from(full && !client.is_full);
        (client.is_read, client.is_full) = (wants, full);
    }

    /// Sends what a client's socket takes, and closes it if the engine says so.
    pub(super) fn flush(&mut self, engine: &mut Engine, at: usize) -> Result<(), String> {
        self.step += 1;
        let client = &self.clients[at];
        let conn = client.conn;
        let unsent = engine.unsent_bytes(conn.id);
        let replies_late = if self.plan.cores == 1 { 1 } else { self.plan.depth + 1 };
        if unsent > SESSION_OUTPUT_BYTES_MAX + replies_late * REPLY_BYTES_MAX {
            return Err(format!("client {at} has {unsent} bytes unsent"));
        }
        let mut was_full = false;
        if unsent > 0 && !client.blocked {
            was_full = unsent >= SESSION_OUTPUT_BYTES_MAX;
            let stalled = client.stalled_until > self.step;
            let takes = match self.network.below(8) {
                _ if self.calm => unsent,
                _ if stalled => unsent.min(40),
                0 => 1 + self.network.below(unsent),
                _ => unsent.min(200_000),
            };
            let bytes = sent(engine, conn.id, takes, self.cluster.now_ms);
            self.marks.partial_send += u64::from(takes < unsent);
            let client = &mut self.clients[at];
            client.blocked = takes < unsent;
            self.hear(at, &bytes).map_err(|error| format!("client {at} on core {}: {error}", conn.core))?;
        }
        if engine.is_finished(conn.id) {
            return self.closed_by_server(engine, at);
        }
        self.settle(engine, at);
        self.marks.output_resumed += u64::from(was_full && !self.clients[at].is_full);
        Ok(())
    }

    /// A client hears something.
    fn hear(&mut self, at: usize, bytes: &[u8]) -> Result<(), String> {
        let client = &mut self.clients[at];
        let Some((kind, number)) = client.actor else {
            let kill_at = client.awaiting;
            client.on_replies(bytes, self.step, self.plan.large, &mut self.marks)?;
            self.note_kills(at, kill_at);
            return Ok(());
        };
        let mut values = client.on_values(bytes)?;
        if self.fault == Some(Fault::EarlyPush)
            && let Some(at) = values
                .windows(2)
                .position(|pair| !matches!(pair[0], Value::Push(_)) && matches!(pair[1], Value::Push(_)))
        {
            values.swap(at, at + 1);
        }
        let (actors, mut scene) = self.stage();
        for value in values {
            actors[kind].hear(number, value, &mut scene)?;
        }
        let owed = actors[kind].owed(number);
        let client = &mut self.clients[at];
        client.owes_actor = if client.is_cut { 0 } else { owed };
        Ok(())
    }

    fn note_kills(&mut self, at: usize, from: usize) {
        let client = &self.clients[at];
        for sent in &client.sent[from..client.awaiting] {
            let Op::Kill(id) = sent.op else { continue };
            let other = |victim: &&Client| victim.id == Some(id) && victim.conn.core != client.conn.core;
            self.marks.killed_by_other_core +=
                u64::from(self.clients.iter().any(|victim| other(&victim) && victim.gone));
        }
    }

    /// The server closes a connection: it must have a reason, and must have said all it owed unless it cut off.
    fn closed_by_server(&mut self, engine: &mut Engine, at: usize) -> Result<(), String> {
        self.leave(engine, at);
        let client = &self.clients[at];
        if self.plan.kills || self.plan.stalls {
            return Ok(());
        }
        let last = client.sent[..client.awaiting].last();
        let said_bye =
            client.sent.iter().any(|sent| matches!(sent.op, Op::Quit | Op::Garbage(_)) && sent.begin != u64::MAX);
        if !said_bye && !client.eof_told {
            let next: Vec<_> = client.sent[client.awaiting..].iter().take(5).collect();
            return Err(format!("client {at} was closed without reason after {last:?}, before {next:?}"));
        }
        // What CLIENT PAUSE holds back does not run any more when the server ends.
        let drops = self.plan.pauses && self.plan.drain && self.calm;
        if !drops && (client.owed() > 0 || client.is_torn()) {
            let next: Vec<_> = client.sent[client.awaiting..].iter().take(5).collect();
            return Err(format!("client {at} was closed with {} replies owed after {last:?}: {next:?}", client.owed()));
        }
        Ok(())
    }

    /// A client's connection breaks.
    fn leave(&mut self, engine: &mut Engine, at: usize) {
        let conn = self.clients[at].conn;
        if engine.tickets_open() > 0 && self.clients[at].owed() > 0 {
            self.marks.left_with_tickets += 1;
            self.left.push((conn.core, conn.id.index));
        }
        engine.on_disconnect(conn.id);
        self.clients[at].gone = true;
        if let Some((kind, number)) = self.clients[at].actor {
            let (actors, mut scene) = self.stage();
            actors[kind].leave(number, &mut scene);
        }
    }

    /// Whether an access found an expired item, where nothing else removes one.
    pub(super) fn note_access(&mut self, engine: &Engine, expired: u64) {
        let evicts = self.plan.items_max.is_some() || self.plan.bytes_max.is_some();
        let now = engine.shard().counters().expirations;
        self.marks.expired_by_access += u64::from(!evicts && now > expired);
    }
}

fn mark_round(client: &Client, completed: std::ops::Range<usize>, tickets: bool, cores: usize, marks: &mut Marks) {
    let home = client.conn.core;
    let mut remote = tickets;
    for sent in &client.sent[completed] {
        let parts = sent.op.parts();
        let mut owners: Vec<usize> = parts.iter().map(|(key, _)| owner(*key, cores)).collect();
        owners.sort_unstable();
        owners.dedup();
        marks.gathered_three += u64::from(owners.len() >= 3);
        marks.barrier_waited += u64::from(remote && sent.op.is_barrier());
        marks.waited_behind_core += u64::from(remote && owners == [home]);
        marks.reconfigured += u64::from(matches!(sent.op, Op::ConfigSet(_)));
        marks.auth_delayed += u64::from(matches!(sent.op, Op::Auth { right: false }));
        debug_assert!(!matches!(sent.op, Op::Reply(Mode::On)) || !sent.muted);
        remote |= is_remote(&sent.op, home, cores);
    }
}
