//! Cluster: the engines of all cores, joined by queues in place of the mesh. Nothing happens but what a test calls.
//!
//! Batches wait in `links`, one FIFO per ordered pair of cores, until somebody delivers them; time stands still until
//! somebody moves it.

use std::cell::Cell;
use std::collections::VecDeque;

use aspine::command::settings::{DebugAccess, LogLevel, Settings, Watch};
use aspine::engine::Batch;
use aspine::engine::auth::AuthKey;
use aspine::engine::files::SnapshotConfig;
use aspine::engine::{Engine, EngineConfig, Peer, ProcessFacts, SessionId};
use aspine::limits::TICK_COUNTED_MS_MAX;
use aspine::shard::Eviction;
use aspine::slot::CoreId;

thread_local! {
    static READINGS: Cell<u64> = const { Cell::new(0) };
}

/// A stopwatch that moves on a microsecond a reading: so every command takes one, or as many as lie between.
fn stopwatch() -> u64 {
    READINGS.set(READINGS.get() + 1_000);
    READINGS.get()
}

/// What a cluster is made with.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// How many cores.
    pub cores: u16,
    /// Items of the whole process.
    pub items_max: u64,
    /// Bytes of the whole process.
    pub bytes_max: u64,
    /// What happens at those bounds.
    pub eviction: Eviction,
    /// What clients must show.
    pub auth_key: Option<AuthKey>,
    /// Seed of hashes and of RANDOMKEY.
    pub seed: u64,
    /// Unix time in milliseconds at the start.
    pub now_ms: u64,
}

/// One connection, by core and session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conn {
    /// The home core.
    pub core: usize,
    /// Its session there.
    pub id: SessionId,
}

/// All cores of a server.
pub struct Cluster {
    /// By core number.
    pub engines: Vec<Engine>,
    /// `links[from][to]`: batches under way.
    pub links: Vec<Vec<VecDeque<Batch>>>,
    /// Unix time in milliseconds.
    pub now_ms: u64,
    connected: u32,
}

impl Cluster {
    /// A server without clients.
    pub fn new(config: &ClusterConfig) -> Cluster {
        Cluster::with(config, &SnapshotConfig::default())
    }

    /// The same, with snapshots of its own.
    pub fn with(config: &ClusterConfig, snapshots: &SnapshotConfig) -> Cluster {
        Cluster::of_process(config, snapshots, &ProcessFacts::default())
    }

    /// The same, in a process that has such facts to tell.
    pub fn of_process(config: &ClusterConfig, snapshots: &SnapshotConfig, process: &ProcessFacts) -> Cluster {
        let settings = Settings {
            items_max: config.items_max,
            bytes_max: config.bytes_max,
            eviction: config.eviction,
            maxclients: 10_000,
            maxclients_max: 10_000,
            idle_timeout_s: 0,
            notify: Default::default(),
            output_limits: Default::default(),
            watch: Watch::default(),
            tracked_keys_max: aspine::limits::TRACKED_KEYS_MAX_DEFAULT,
            active_expire: true,
            log_level: LogLevel::Info,
            debug: DebugAccess::Yes,
            fixed: Vec::new(),
        };
        let engine = |core: u16| {
            Engine::new(EngineConfig {
                core: CoreId(core),
                cores: config.cores,
                cpu: usize::from(core),
                settings: settings.clone(),
                auth_key: config.auth_key.clone(),
                hash_seeds: [config.seed, config.seed ^ 1, 2, u64::from(core)],
                random_seed: config.seed.wrapping_add(u64::from(core)),
                snapshots: snapshots.clone(),
                process: process.clone(),
                stopwatch,
            })
        };
        let cores = usize::from(config.cores);
        Cluster {
            engines: (0..config.cores).map(engine).collect(),
            links: (0..cores).map(|_| (0..cores).map(|_| VecDeque::new()).collect()).collect(),
            now_ms: config.now_ms,
            connected: 0,
        }
    }

    /// A client connects to a core. Its address is `10.0.0.1:<port>`, each time another port.
    pub fn connect(&mut self, core: usize) -> Conn {
        self.connect_by(core, false)
    }

    /// A client connects to a core by that core's own port, or by that of all.
    pub fn connect_by(&mut self, core: usize, by_core_port: bool) -> Conn {
        self.connected += 1;
        let addr = format!("10.0.0.1:{}", self.connected);
        let peer = Peer { addr, local_addr: "10.0.0.2:5116".into(), fd: 9, by_core_port };
        Conn { core, id: self.engines[core].on_connect(peer, self.now_ms) }
    }

    /// Bytes of a client arrive; in the middle of a long argument as many as its buffer takes at a time.
    pub fn bytes(&mut self, conn: Conn, bytes: &[u8]) {
        let engine = &mut self.engines[conn.core];
        let mut rest = bytes;
        while !rest.is_empty()
            && let Some(mut input) = engine.lend_input(conn.id)
        {
            let received = rest.len().min(input.capacity() - input.len());
            assert!(received > 0, "a buffer that takes nothing");
            input.extend_from_slice(&rest[..received]);
            engine.on_input(conn.id, input, received, self.now_ms);
            rest = &rest[received..];
        }
        if !rest.is_empty() {
            engine.on_bytes(conn.id, rest, self.now_ms);
        }
    }

    /// Sends what a core has to say to a client, at most `max` bytes of it.
    pub fn send(&mut self, conn: Conn, max: usize) -> Vec<u8> {
        let engine = &mut self.engines[conn.core];
        let Some(output) = engine.take_output(conn.id) else { return Vec::new() };
        let unsent = output.bytes();
        let sent = unsent[..unsent.len().min(max)].to_vec();
        engine.on_output(conn.id, output, sent.len(), self.now_ms);
        sent
    }

    /// A core's turn ends: its batches go on their way.
    pub fn end_turn(&mut self, core: usize) {
        self.engines[core].on_turn_end(0);
        for to in 0..self.engines.len() {
            while let Some(batch) = self.engines[core].take_batch(CoreId(to as u16)) {
                self.links[core][to].push_back(batch);
            }
        }
    }

    /// The oldest batch from one core to another arrives. False if there is none.
    pub fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some(batch) = self.links[from][to].pop_front() else { return false };
        self.engines[to].on_batch(batch, self.now_ms);
        true
    }

    /// Lets everything happen that can without time passing or a client doing anything.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for core in 0..self.engines.len() {
                while self.engines[core].has_backlog() {
                    self.engines[core].on_slice(self.now_ms);
                }
                self.end_turn(core);
                for from in 0..self.engines.len() {
                    while self.deliver(from, core) {
                        moved = true;
                    }
                }
                self.end_turn(core);
            }
            let over =
                self.links.iter().flatten().all(VecDeque::is_empty) && !self.engines.iter().any(Engine::has_backlog);
            if !moved && over {
                return;
            }
        }
    }

    /// Moves time by a tick on every core.
    pub fn tick(&mut self, ms: u64) {
        self.now_ms += ms;
        for engine in &mut self.engines {
            engine.on_tick(self.now_ms);
        }
    }

    /// Lets time pass that the cores count: in ticks none of which is longer than one may count.
    pub fn pass(&mut self, ms: u64) {
        let mut left_ms = ms;
        while left_ms > 0 {
            let tick_ms = left_ms.min(TICK_COUNTED_MS_MAX);
            self.tick(tick_ms);
            left_ms -= tick_ms;
        }
    }
}
