//! World: a cluster, its clients and the seeded scheduler between them. One call of `turn` is one turn of one core, with
//! everything that can come late coming late.

mod files;
mod sockets;
mod stage;
mod turn;
mod weather;

use aspine::engine::HoldKey;
use aspine::engine::auth::AuthKey;
use aspine::engine::files::SnapshotConfig;
use aspine::engine::{Engine, ProcessFacts};
use aspine::shard::Eviction;

use self::files::Files;
use crate::actors::{self, Actors};
use crate::canary::Fault;
use crate::checks::Checks;
use crate::client::Client;
use crate::cluster::{Cluster, ClusterConfig};
use crate::marks::Marks;
use crate::ops::{Op, ValueId};
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

/// Clients of a run, those included that have gone.
const CLIENTS_MAX: usize = 60;

/// The simulated clock starts on 2026-01-01, as Unix time in milliseconds.
const START_MS: u64 = 1_767_225_600_000;

impl World {
    /// The world of a seed, with a planted bug if there is to be one.
    pub fn new(seed: u64, plan: Plan, fault: Option<Fault>) -> World {
        let snapshots = SnapshotConfig { interval_ms: plan.snapshot_ms, ..SnapshotConfig::default() };
        let config = ClusterConfig {
            cores: plan.cores as u16,
            items_max: plan.items_max.unwrap_or(u64::MAX),
            bytes_max: plan.bytes_max.unwrap_or(u64::MAX),
            eviction: match (plan.refuses, plan.timed_only && fault != Some(Fault::EvictsUntimed)) {
                (true, _) => Eviction::None,
                (false, true) => [Eviction::VolatileTtl, Eviction::VolatileLru][(seed % 2) as usize],
                (false, false) => [Eviction::S3Fifo, Eviction::Lru][(seed % 2) as usize],
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
        self.turn_of(core)?;
        self.checks.after_turn(&self.plan, &self.cluster, core, &mut self.marks)?;
        if self.schedule.one_in(64) {
            self.cluster.engines[core].verify();
        }
        Ok(())
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
}
