//! World: a cluster, its clients and the seeded scheduler between them. One call of `turn` is one turn of one core,
//! put together as `runtime/core.rs` does it, with everything that can come late coming late.

mod files;
mod stage;
mod weather;

use aspine::engine::HoldKey;
use aspine::engine::auth::AuthKey;
use aspine::engine::files::SnapshotConfig;
use aspine::engine::{Batch, Payload};
use aspine::engine::{Engine, Notice, ProcessFacts};
use aspine::limits::{BATCH_BYTES_SEAL, READ_BUFFER_BYTES, SESSION_OUTPUT_BYTES_MAX, TICK_MS};
use aspine::resp::Value;
use aspine::shard::Eviction;

use self::files::Files;
use crate::actors::{self, Actors};
use crate::canary::Fault;
use crate::checks::Checks;
use crate::client::{Client, is_remote, owner};
use crate::cluster::{Cluster, ClusterConfig};
use crate::marks::Marks;
use crate::ops::{Mode, Op, ValueId};
use crate::rng::Rng;
use crate::workload::{self, Context, Plan};

/// Everything of one run.
pub struct World {
    pub plan: Plan,
    pub cluster: Cluster,
    pub clients: Vec<Client>,
    pub marks: Marks,
    pub checks: Checks,
    /// Grows with everything that happens.
    pub step: u64,
    /// Steps at which the clock changed, and its reading from then on.
    pub clock: Vec<(u64, u64)>,
    fault: Option<Fault>,
    network: Rng,
    schedule: Rng,
    faults: Rng,
    work: Rng,
    values: ValueId,
    ops_left: usize,
    last_tick_ms: Vec<u64>,
    /// Places of sessions that left while other cores worked for them.
    left: Vec<(usize, u32)>,
    /// Nothing is late any more: the run is to come to its end.
    pub calm: bool,
    /// Time stands still.
    pub frozen: bool,
    /// The kinds of actors, and what they draw.
    actors: Vec<Box<dyn Actors>>,
    acts: Rng,
    turns: u64,
    /// A link that stands still, and a core, each until some turn.
    still_link: (usize, usize, u64),
    still_core: (usize, u64),
    /// What was granted by a planted bug.
    granted: Vec<HoldKey>,
    /// The disk, where snapshots are taken.
    files: Option<Files>,
}

/// The longest reply a client of the simulation can ask for: an MGET of 16 large values.
const REPLY_BYTES_MAX: usize = 16 * 141_000;

/// Clients of a run, those included that have gone.
const CLIENTS_MAX: usize = 60;

/// 2026-01-01.
const START_MS: u64 = 1_767_225_600_000;

impl World {
    /// The world of a seed, with a planted bug if there is to be one.
    pub fn new(seed: u64, plan: Plan, fault: Option<Fault>) -> World {
        let snapshots = SnapshotConfig { interval_ms: plan.snapshot_ms, ..SnapshotConfig::default() };
        let config = ClusterConfig {
            cores: plan.cores as u16,
            items_max: plan.items_max.unwrap_or(u64::MAX),
            bytes_max: plan.bytes_max.unwrap_or(u64::MAX),
            eviction: match plan.refuses {
                true => Eviction::None,
                false => [Eviction::S3Fifo, Eviction::Lru][(seed % 2) as usize],
            },
            auth_key: plan.auth.then(|| AuthKey::new(b"secret").expect("a key")),
            seed,
            now_ms: START_MS,
        };
        let core_ports = if plan.nodes { (1..=plan.cores as u16).collect() } else { Vec::new() };
        let process = ProcessFacts { core_ports, ..ProcessFacts::default() };
        let cluster = Cluster::of_process(&config, &snapshots, &process);
        let mut world = World {
            checks: Checks::new(&plan),
            cluster,
            clients: Vec::new(),
            marks: Marks::default(),
            step: 0,
            clock: vec![(0, START_MS)],
            fault,
            network: Rng::new(seed, "network"),
            schedule: Rng::new(seed, "schedule"),
            faults: Rng::new(seed, "faults"),
            work: Rng::new(seed, "workload"),
            values: 0,
            ops_left: plan.ops,
            last_tick_ms: vec![START_MS; plan.cores],
            left: Vec::new(),
            calm: false,
            frozen: false,
            actors: actors::all_of(&plan, seed, fault),
            acts: Rng::new(seed, "actors"),
            turns: 0,
            still_link: (0, 0, 0),
            still_core: (0, 0),
            granted: Vec::new(),
            files: (plan.savers > 0).then(|| Files::new(plan.cores)),
            plan,
        };
        world.open();
        for _ in 0..world.plan.clients {
            world.connect();
        }
        world.fill();
        world
    }

    /// Whether clients still have something to ask, or to send.
    pub fn is_busy(&self) -> bool {
        self.ops_left > 0 || self.clients.iter().any(|client| !client.gone && !client.undelivered().is_empty())
    }

    /// Another client.
    pub fn connect(&mut self) -> usize {
        let core = self.schedule.below(self.plan.cores);
        self.connect_by(core, false)
    }

    /// Another client of this core, by that core's own port or by that of all.
    pub fn connect_by(&mut self, core: usize, by_core_port: bool) -> usize {
        let conn = self.cluster.connect_by(core, by_core_port);
        let place = (core, conn.id.index);
        self.marks.place_reused += u64::from(self.left.contains(&place));
        let mut client = Client::new(conn);
        if self.plan.auth {
            if self.work.one_in(3) {
                client.ask(Op::Bad("GET key:1", "NOAUTH "), false, false);
                client.ask(Op::Auth { right: false }, false, false);
            }
            client.ask(Op::Auth { right: true }, true, false);
        }
        client.ask(Op::ClientId, false, false);
        self.clients.push(client);
        self.clients.len() - 1
    }

    fn fill(&mut self) {
        for at in (0..self.plan.fillers).step_by(50) {
            let pairs: Vec<String> = (at..at + 50).map(|key| format!("fill:{key} x")).collect();
            let client = &mut self.clients[0];
            client.stream.extend_from_slice(format!("MSET {}\r\n", pairs.join(" ")).as_bytes());
            client.ask(Op::MSet(Vec::new()), false, false);
            let sent = client.sent.pop().expect("the one just asked");
            // The words that `ask` wrote for the empty MSET are not sent.
            client.stream.truncate(client.stream.len() - b"*1\r\n$4\r\nMSET\r\n".len());
            client.sent.push(crate::client::Sent { ends_at: client.stream.len(), ..sent });
        }
    }

    /// One turn of some core, and perhaps something else first.
    pub fn turn(&mut self) -> Result<(), String> {
        self.turns += 1;
        self.pass_time();
        if !self.calm {
            self.go_wrong();
            self.stand_still();
            self.let_actors_in();
            for _ in 0..self.work.below(4) {
                self.ask();
            }
        }
        let core = self.schedule.below(self.plan.cores);
        if !self.calm && self.still_core.0 == core && self.turns < self.still_core.1 {
            return Ok(());
        }
        self.receive(core);
        for at in 0..self.clients.len() {
            if self.clients[at].conn.core == core && !self.clients[at].gone {
                self.socket(at)?;
            }
        }
        let now_ms = self.cluster.now_ms;
        if now_ms.abs_diff(self.last_tick_ms[core]) >= TICK_MS {
            self.last_tick_ms[core] = now_ms;
            self.cluster.engines[core].on_tick(now_ms);
            self.checks.after_event(&self.cluster, core);
        }
        self.turn_of_files(core)?;
        self.work_in_slices(core);
        self.after_files(core);
        while let Some(id) = self.cluster.engines[core].take_ready() {
            let is = |client: &Client| client.conn.core == core && client.conn.id == id;
            // The transaction of one that has gone may run on; it had been told something before.
            let Some(at) = self.clients.iter().position(is) else {
                return Err(format!("session {id:?} of core {core} is ready and nobody's"));
            };
            if self.clients[at].gone {
                continue;
            }
            self.flush(at)?;
            if !self.calm && self.cluster.engines[core].only_tells() && self.schedule.one_in(2) {
                break;
            }
        }
        let before: Vec<usize> = self.cluster.links[core].iter().map(|link| link.len()).collect();
        self.cluster.end_turn(core);
        if let Some(fault) = self.fault {
            fault.strike_all(&mut self.cluster.links, &mut self.granted);
        }
        for (link, before) in self.cluster.links[core].iter().zip(before) {
            for batch in link.iter().skip(before) {
                observe(batch, &mut self.marks);
            }
            self.marks.link_deep += u64::from(link.len() >= 4);
        }
        while let Some(notice) = self.cluster.engines[core].take_notice() {
            self.marks.stalled += u64::from(matches!(notice, Notice::CutOff(_)));
        }
        self.checks.after_turn(&self.plan, &self.cluster, core, &mut self.marks)?;
        if self.schedule.one_in(64) {
            self.cluster.engines[core].verify();
        }
        Ok(())
    }

    /// A client's connection breaks.
    pub fn leave(&mut self, at: usize) {
        let conn = self.clients[at].conn;
        if self.cluster.engines[conn.core].tickets_open() > 0 && self.clients[at].owed() > 0 {
            self.marks.left_with_tickets += 1;
            self.left.push((conn.core, conn.id.index));
        }
        self.cluster.engines[conn.core].on_disconnect(conn.id);
        self.clients[at].gone = true;
        if let Some((kind, number)) = self.clients[at].actor {
            let (actors, mut scene) = self.stage();
            actors[kind].leave(number, &mut scene);
        }
    }

    fn ask(&mut self) {
        let at = self.work.below(self.clients.len());
        let client = &self.clients[at];
        if self.ops_left == 0 || client.gone || client.ended || client.sent.len() - client.awaiting >= self.plan.depth {
            return;
        }
        if let Some(actor) = client.actor {
            return self.act(at, actor);
        }
        let ids = self.clients.iter().filter_map(|client| client.id).collect();
        let context = Context { now_ms: self.cluster.now_ms, cursor: client.cursor, ids };
        let op = workload::next(&self.plan, &mut self.work, &mut self.values, &context);
        self.ops_left -= 1;
        let walks = matches!(op, Op::Flush) && self.cluster.engines.iter().any(Engine::is_walking);
        self.marks.flushed_walking += u64::from(walks);
        self.clients[at].ask(op, self.work.one_in(3), self.plan.large);
    }

    /// Batches of peers arrive, each pair's in order; some later than others.
    fn receive(&mut self, core: usize) {
        for from in 0..self.plan.cores {
            while !self.cluster.links[from][core].is_empty() {
                let stands = (self.still_link.0, self.still_link.1) == (from, core) && self.turns < self.still_link.2;
                if !self.calm && (stands || self.network.below(4) < self.plan.delay) {
                    break;
                }
                self.step += 1;
                let engine = &self.cluster.engines[core];
                let expired = engine.shard().counters().expirations;
                if let Some(fault) = &mut self.fault {
                    fault.strike(&mut self.cluster.links[from][core], &mut self.network);
                }
                let late_ms = self.fault.as_ref().map_or(0, Fault::late_ms);
                self.cluster.now_ms -= late_ms;
                self.cluster.deliver(from, core);
                self.cluster.now_ms += late_ms;
                self.after_files(core);
                self.checks.after_event(&self.cluster, core);
                self.note_access(core, expired);
            }
        }
    }

    fn note_access(&mut self, core: usize, expired: u64) {
        let evicts = self.plan.items_max.is_some() || self.plan.bytes_max.is_some();
        let now = self.cluster.engines[core].shard().counters().expirations;
        self.marks.expired_by_access += u64::from(!evicts && now > expired);
    }

    fn work_in_slices(&mut self, core: usize) {
        let slices = if self.calm { 1_000 } else { self.schedule.below(4) };
        let mut walked = 0;
        for _ in 0..slices {
            self.before_slice();
            let engine = &mut self.cluster.engines[core];
            if !engine.has_backlog() {
                break;
            }
            self.step += 1;
            let expired = engine.shard().counters().expirations;
            engine.on_slice(self.cluster.now_ms);
            self.marks.expired_by_wheel += u64::from(engine.shard().counters().expirations > expired);
            walked += 1;
            self.after_files(core);
            self.checks.after_event(&self.cluster, core);
        }
        let keys_wait = self
            .clients
            .iter()
            .any(|client| client.sent.get(client.awaiting).is_some_and(|sent| matches!(sent.op, Op::Keys)));
        let engine = &self.cluster.engines[core];
        self.marks.keys_in_slices +=
            u64::from(walked > 0 && keys_wait && engine.has_backlog() && self.plan.fillers > 0);
    }

    /// What a client's socket is ready for.
    fn socket(&mut self, at: usize) -> Result<(), String> {
        let client = &self.clients[at];
        let conn = client.conn;
        if client.blocked && client.stalled_until <= self.step && (self.calm || self.network.one_in(2)) {
            self.clients[at].blocked = false;
            self.flush(at)?;
        }
        let client = &self.clients[at];
        if client.gone || !client.is_read {
            return Ok(());
        }
        let waiting = client.undelivered().len();
        if waiting > 0 {
            if self.calm || self.network.one_in(2) {
                self.deliver(at, waiting)?;
            }
        } else if client.eof && !client.eof_told {
            self.step += 1;
            self.marks.eof_with_work += u64::from(client.owed() > 0);
            self.clients[at].eof_told = true;
            self.cluster.engines[conn.core].on_eof(conn.id);
            self.clients[at].is_read = self.cluster.engines[conn.core].wants_read(conn.id);
        }
        Ok(())
    }

    /// Some bytes of a client arrive: one read.
    fn deliver(&mut self, at: usize, waiting: usize) -> Result<(), String> {
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
        let tickets = self.cluster.engines[conn.core].tickets_open();
        mark_round(&self.clients[at], completed, owed_before > 0 && tickets > 0, self.plan.cores, &mut self.marks);
        let expired = self.cluster.engines[conn.core].shard().counters().expirations;
        if let Some((kind, number)) = self.clients[at].actor {
            let (actors, mut scene) = self.stage();
            actors[kind].reached(number, &mut scene);
        }
        self.cluster.bytes(conn, &bytes);
        self.checks.after_event(&self.cluster, conn.core);
        self.note_access(conn.core, expired);
        self.settle(at);
        Ok(())
    }

    /// As the runtime's connection does after each event.
    fn settle(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let engine = &mut self.cluster.engines[client.conn.core];
        let wants = engine.wants_read(client.conn.id);
        let full = engine.unsent_bytes(client.conn.id) >= SESSION_OUTPUT_BYTES_MAX;
        self.marks.output_full += u64::from(client.is_read && !wants && full);
        client.is_read = wants;
    }

    /// Sends what a client's socket takes, and closes it if the engine says so.
    fn flush(&mut self, at: usize) -> Result<(), String> {
        self.step += 1;
        let client = &self.clients[at];
        let conn = client.conn;
        let unsent = self.cluster.engines[conn.core].unsent_bytes(conn.id);
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
            let bytes = self.cluster.send(conn, takes);
            self.marks.partial_send += u64::from(takes < unsent);
            let client = &mut self.clients[at];
            client.blocked = takes < unsent;
            self.hear(at, &bytes).map_err(|error| format!("client {at} on core {}: {error}", conn.core))?;
        }
        if self.cluster.engines[conn.core].is_finished(conn.id) {
            return self.closed_by_server(at);
        }
        let was_read = self.clients[at].is_read;
        self.settle(at);
        self.marks.output_resumed += u64::from(was_full && !was_read && self.clients[at].is_read);
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
    fn closed_by_server(&mut self, at: usize) -> Result<(), String> {
        self.leave(at);
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
        if client.owed() > 0 || client.is_torn() {
            let next: Vec<_> = client.sent[client.awaiting..].iter().take(5).collect();
            return Err(format!("client {at} was closed with {} replies owed after {last:?}: {next:?}", client.owed()));
        }
        Ok(())
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

fn observe(batch: &Batch, marks: &mut Marks) {
    match &batch.payload {
        Payload::BudgetGift(gift) => marks.gift += u64::from(gift.parts().1 > 0 || gift.parts().2 > 0),
        Payload::Invalidations(_) => marks.stale_from_other_core += 1,
        Payload::Requests { bytes, .. } if bytes.len() >= BATCH_BYTES_SEAL => marks.sealed_by_size += 1,
        _ => {}
    }
}
