//! Turn: what surrounds a core of the world in one turn: the schedule decides what is ready, how much of it, and how long
//! it takes, so that what is sliced ends early.

use std::time::Duration;

use aspine::engine::files::FileAsk;
use aspine::engine::turn::{Outside, turn};
use aspine::engine::{Batch, Engine, Notice, Payload, SessionId};
use aspine::limits::{BATCH_BYTES_SEAL, SLICE_US, TICK_MS};
use aspine::slot::CoreId;

use super::World;
use super::files::FileTurn;
use crate::canary::Fault;
use crate::client::Client;
use crate::marks::Marks;
use crate::ops::Op;

/// Slices of a turn after which it ends, where nothing is late.
const SLICES_MAX: usize = 1_000;

/// The surroundings of one core in one turn.
struct Around<'a> {
    world: &'a mut World,
    core: usize,
    /// The engines of the cores before this one, and of those after it.
    others: (&'a [Engine], &'a [Engine]),
    /// Only batches are ready, as nothing else is while a planted bug slows the clock for them.
    only_batches: bool,
    elapsed: Duration,
    /// The peer from which batches are received.
    from: usize,
    /// Slices for which there is time, and those that were worked; `None` before the first.
    slices: Option<(usize, usize)>,
    /// Items of the shard that had expired at the last look.
    expired: u64,
    files: FileTurn,
    failure: Option<String>,
}

impl World {
    /// One turn of a core.
    pub(super) fn turn_of(&mut self, core: usize) -> Result<(), String> {
        let late_ms = self.fault.as_ref().map_or(0, Fault::late_ms);
        let waits = self.cluster.links.iter().any(|from| !from[core].is_empty());
        let only_batches = late_ms > 0 && waits && self.turns.is_multiple_of(2);
        let now_ms = self.cluster.now_ms - if only_batches { late_ms } else { 0 };
        // They are back before anything outside the turn looks at the cluster.
        let mut engines = std::mem::take(&mut self.cluster.engines);
        let (before, rest) = engines.split_at_mut(core);
        let (engine, after) = rest.split_first_mut().expect("a core of the cluster");
        let mut around = Around {
            core,
            others: (before, after),
            only_batches,
            elapsed: Duration::ZERO,
            from: 0,
            slices: None,
            expired: engine.shard().counters().expirations,
            files: FileTurn::default(),
            failure: None,
            world: self,
        };
        let ended = turn(engine, &mut around, now_ms).map(drop).and(around.failure.map_or(Ok(()), Err));
        self.cluster.engines = engines;
        ended
    }
}

impl Around<'_> {
    /// What is to be noted after any event.
    fn look(&mut self, engine: &mut Engine) {
        self.world.note_asks(engine, self.others, &mut self.files);
        self.world.checks.after_event(engine);
        self.expired = engine.shard().counters().expirations;
    }

    /// A slice was worked.
    fn on_slice(&mut self, engine: &Engine, slices: usize, worked: usize) {
        self.world.step += 1;
        self.slices = Some((slices, worked));
        let expired = engine.shard().counters().expirations;
        self.world.marks.expired_by_wheel += u64::from(expired > self.expired);
        if worked < slices {
            return;
        }
        self.elapsed += Duration::from_micros(SLICE_US);
        let waits = |client: &Client| client.sent.get(client.awaiting).is_some_and(|sent| matches!(sent.op, Op::Keys));
        let keys_wait = self.world.plan.fillers > 0 && self.world.clients.iter().any(waits);
        self.world.marks.keys_in_slices += u64::from(keys_wait && engine.has_backlog());
    }
}

impl Outside for Around<'_> {
    type Error = String;

    fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Batches of peers arrive, each pair's in order; some later than others.
    fn receive(&mut self) -> Option<Batch> {
        let World { cluster, fault, network, plan, still_link, turns, calm, step, .. } = &mut *self.world;
        while self.from < plan.cores {
            let link = &mut cluster.links[self.from][self.core];
            let stands = (still_link.0, still_link.1) == (self.from, self.core) && *turns < still_link.2;
            if link.is_empty() || !*calm && (stands || network.below(4) < plan.delay) {
                self.from += 1;
                continue;
            }
            *step += 1;
            if let Some(fault) = fault {
                fault.strike(link, network);
            }
            if let Some(batch) = link.pop_front() {
                return Some(batch);
            }
        }
        None
    }

    fn after_event(&mut self, engine: &mut Engine) {
        match self.slices {
            None => self.world.note_access(engine, self.expired),
            Some((slices, worked)) => self.on_slice(engine, slices, worked + 1),
        }
        self.look(engine);
        self.world.before_slice(engine, &mut self.files);
    }

    /// Some of the sockets that are ready.
    fn serve(&mut self, engine: &mut Engine, _: Duration, _: u64) -> Result<bool, String> {
        if self.only_batches {
            return Ok(false);
        }
        let step = self.world.step;
        for at in 0..self.world.clients.len() {
            if self.world.clients[at].conn.core == self.core && !self.world.clients[at].gone {
                self.world.socket(engine, at)?;
                self.look(engine);
            }
        }
        Ok(self.world.step > step)
    }

    fn hear_files(&mut self, engine: &mut Engine, _: u64) -> bool {
        let heard = self.world.turn_of_files(engine, self.others, &mut self.files);
        heard.unwrap_or_else(|error| {
            self.failure.get_or_insert(error);
            false
        })
    }

    fn tick(&mut self, engine: &mut Engine, now_ms: u64) -> Result<(), String> {
        if now_ms.abs_diff(self.world.last_tick_ms[self.core]) >= TICK_MS && !self.only_batches {
            self.world.last_tick_ms[self.core] = now_ms;
            engine.on_tick(now_ms);
            self.look(engine);
        }
        let slices = if self.world.calm { SLICES_MAX } else { 1 + self.world.schedule.below(3) };
        self.slices = Some((slices, 0));
        self.world.before_slice(engine, &mut self.files);
        Ok(())
    }

    fn send(&mut self, engine: &mut Engine, id: SessionId, _: u64) -> Result<(), String> {
        let is = |client: &Client| client.conn.core == self.core && client.conn.id == id;
        // The transaction of one that has gone may run on; it had been told something before.
        let Some(at) = self.world.clients.iter().position(is) else {
            return Err(format!("session {id:?} of core {} is ready and nobody's", self.core));
        };
        if self.world.clients[at].gone {
            return Ok(());
        }
        self.world.flush(engine, at)?;
        self.look(engine);
        Ok(())
    }

    fn pass_on(&mut self, engine: &mut Engine) -> bool {
        self.world.pass_on_asks(self.core, &mut self.files);
        let World { cluster, marks, .. } = &mut *self.world;
        let mut passed = false;
        for (to, link) in (0..).zip(&mut cluster.links[self.core]) {
            while let Some(batch) = engine.take_batch(CoreId(to)) {
                observe(&batch, marks);
                link.push_back(batch);
                passed = true;
            }
            marks.link_deep += u64::from(link.len() >= 4);
        }
        if let Some(fault) = self.world.fault {
            fault.strike_all(&mut self.world.cluster.links, &mut self.world.granted);
        }
        passed
    }

    fn ask_files(&mut self, ask: FileAsk) {
        self.files.asks.push(ask);
        self.world.pass_on_asks(self.core, &mut self.files);
    }

    fn log(&mut self, notice: Notice) {
        self.world.marks.stalled += u64::from(matches!(notice, Notice::CutOff(_)));
    }
}

fn observe(batch: &Batch, marks: &mut Marks) {
    match &batch.payload {
        Payload::BudgetGift(gift) => marks.gift += u64::from(gift.parts().1 > 0 || gift.parts().2 > 0),
        Payload::Invalidations(_) => marks.stale_from_other_core += 1,
        Payload::Requests { bytes, .. } if bytes.len() >= BATCH_BYTES_SEAL => marks.sealed_by_size += 1,
        _ => {}
    }
}
