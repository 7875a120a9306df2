//! Cluster: the engines of all cores, joined by queues in place of the mesh. Nothing happens but what a test calls.
//!
//! Batches wait in `links`, one FIFO per ordered pair of cores, until a turn receives them; time stands still until
//! somebody moves it. Cores run in turns (`turn`, `settle`); what clients and the clock do is a call between turns.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use aspine::command::settings::{DebugAccess, LogLevel, Settings, Watch};
use aspine::engine::auth::AuthKey;
use aspine::engine::files::{FileAsk, FileEvent, SnapshotConfig};
use aspine::engine::turn::{Outside, turn};
use aspine::engine::{Batch, Notice};
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
    /// The client's session there.
    pub id: SessionId,
}

/// All cores of a server.
pub struct Cluster {
    /// By core number.
    pub engines: Vec<Engine>,
    /// `links[from][to]`: batches under way.
    pub links: Vec<Vec<VecDeque<Batch>>>,
    /// By core, what it has asked of files in its turns, and what it is to hear of them in its next, oldest first.
    pub file_asks: Vec<VecDeque<FileAsk>>,
    pub file_events: Vec<VecDeque<FileEvent>>,
    /// Unix time in milliseconds.
    pub now_ms: u64,
    connected: u32,
}

/// Bytes of a client arrive; in the middle of a long argument as many as its buffer takes at a time.
pub fn feed(engine: &mut Engine, id: SessionId, bytes: &[u8], now_ms: u64) {
    let mut rest = bytes;
    while !rest.is_empty()
        && let Some(mut input) = engine.lend_input(id)
    {
        let received = rest.len().min(input.capacity() - input.len());
        assert!(received > 0, "a buffer that takes nothing");
        input.extend_from_slice(&rest[..received]);
        engine.on_input(id, input, received, now_ms);
        rest = &rest[received..];
    }
    if !rest.is_empty() {
        engine.on_bytes(id, rest, now_ms);
    }
}

/// Sends what an engine has to say to a client, at most `max` bytes of it.
pub fn sent(engine: &mut Engine, id: SessionId, max: usize, now_ms: u64) -> Vec<u8> {
    let mut sent = Vec::new();
    while sent.len() < max
        && let Some(output) = engine.take_output(id)
    {
        let unsent = output.bytes();
        let some = unsent.len().min(max - sent.len());
        sent.extend_from_slice(&unsent[..some]);
        engine.on_output(id, output, some, now_ms);
    }
    sent
}

/// What surrounds a core's engine while everything settles: batches go on and arrive at once, time stands still, and no
/// client does anything.
struct Settling<'a> {
    core: usize,
    links: &'a mut [Vec<VecDeque<Batch>>],
    asks: &'a mut VecDeque<FileAsk>,
    events: &'a mut VecDeque<FileEvent>,
}

impl Outside for Settling<'_> {
    type Error = Infallible;

    /// Slices never take long: a turn does all of them.
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn receive(&mut self) -> Option<Batch> {
        self.links.iter_mut().find_map(|from| from[self.core].pop_front())
    }

    fn serve(&mut self, _: &mut Engine, _: Duration, _: u64) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn hear_files(&mut self, engine: &mut Engine, now_ms: u64) -> bool {
        let heard = !self.events.is_empty();
        self.events.drain(..).for_each(|event| engine.on_file(event, now_ms));
        heard
    }

    fn tick(&mut self, _: &mut Engine, _: u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn send(&mut self, _: &mut Engine, _: SessionId, _: u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn pass_on(&mut self, engine: &mut Engine) -> bool {
        let mut passed = false;
        for (to, link) in (0..).zip(&mut self.links[self.core]) {
            while let Some(batch) = engine.take_batch(CoreId(to)) {
                link.push_back(batch);
                passed = true;
            }
        }
        passed
    }

    fn ask_files(&mut self, ask: FileAsk) {
        self.asks.push_back(ask);
    }

    fn log(&mut self, _: Notice) {}
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
            databases: 16,
            maxclients_max: 10_000,
            idle_timeout_s: 0,
            tcp_keepalive_s: 0,
            notify: Default::default(),
            output_limits: Default::default(),
            watch: Watch::default(),
            tracked_keys_max: aspine::limits::TRACKED_KEYS_MAX_DEFAULT,
            active_expire: true,
            log_level: LogLevel::Info,
            has_key: false,
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
            file_asks: (0..cores).map(|_| VecDeque::new()).collect(),
            file_events: (0..cores).map(|_| VecDeque::new()).collect(),
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

    /// Bytes of a client arrive: one event, outside a turn, for tests that look at what it alone does.
    pub fn bytes(&mut self, conn: Conn, bytes: &[u8]) {
        feed(&mut self.engines[conn.core], conn.id, bytes, self.now_ms);
    }

    /// Sends what a core has to say to a client, at most `max` bytes of it.
    pub fn send(&mut self, conn: Conn, max: usize) -> Vec<u8> {
        sent(&mut self.engines[conn.core], conn.id, max, self.now_ms)
    }

    /// One turn of a core: every batch that is on its way to it arrives, all sliced work is done, no socket takes
    /// anything. True if there was anything to do.
    pub fn turn(&mut self, core: usize) -> bool {
        let Cluster { engines, links, file_asks, file_events, now_ms, .. } = self;
        let (asks, events) = (&mut file_asks[core], &mut file_events[core]);
        let mut outside = Settling { core, links, asks, events };
        let Ok(busy) = turn(&mut engines[core], &mut outside, *now_ms);
        busy
    }

    /// Lets everything happen that can without time passing or a client doing anything.
    pub fn settle(&mut self) {
        loop {
            for core in 0..self.engines.len() {
                self.turn(core);
            }
            let passed_on = self.links.iter().flatten().any(|link| !link.is_empty());
            if !passed_on && !self.engines.iter().any(Engine::has_backlog) {
                return;
            }
        }
    }

    /// Moves time by a tick on every core: one event of each, outside a turn.
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
