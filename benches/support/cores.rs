//! Cores: engines in one thread with a client on the first, batches passed by hand. For benches and tests.
//!
//! Each core runs the turns of the engine (`engine/turn.rs`), as long as there is something for it. What surrounds the
//! engines is reused, so that it allocates nothing in the steady state.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aspine::command::settings::{DebugAccess, LogLevel, Settings, Watch};
use aspine::engine::files::{FileAsk, SnapshotConfig};
use aspine::engine::turn::{Outside, turn};
use aspine::engine::{Batch, Engine, EngineConfig, Notice, Peer, ProcessFacts, SessionId};
use aspine::shard::Eviction;
use aspine::slot::{CoreId, Slot};

/// Unix time in milliseconds at which everything happens.
pub(crate) const NOW_MS: u64 = 1_750_000_000_000;

/// The server's cores, and one client connected to core 0.
pub(crate) struct Cores {
    engines: Vec<Engine>,
    around: Around,
    now_ms: u64,
}

/// What surrounds the core whose turn it is.
struct Around {
    core: usize,
    client: SessionId,
    /// By core, the batches that are on their way to it.
    links: Vec<VecDeque<Batch>>,
    /// The client whose `requests` have arrived and are not read yet.
    sends: Option<SessionId>,
    requests: Vec<u8>,
    /// Bytes for the client.
    received: Vec<u8>,
    /// Bytes for other clients, which are read and forgotten.
    heard: usize,
    ticks: bool,
    elapsed: Duration,
}

impl Cores {
    /// As many cores, empty, without bounds, with a stopwatch that measures.
    pub(crate) fn new(cores: u16) -> Cores {
        Cores::with_stopwatch(cores, stopwatch)
    }

    /// As many cores, empty, without bounds.
    pub(crate) fn with_stopwatch(cores: u16, stopwatch: fn() -> u64) -> Cores {
        let mut engines: Vec<_> = (0..cores).map(|core| Engine::new(config(core, cores, stopwatch))).collect();
        let around = Around {
            core: 0,
            client: engines[0].on_connect(Peer::default(), NOW_MS),
            links: (0..cores).map(|_| VecDeque::new()).collect(),
            sends: None,
            requests: Vec::new(),
            received: Vec::new(),
            heard: 0,
            ticks: false,
            elapsed: Duration::ZERO,
        };
        Cores { engines, around, now_ms: NOW_MS }
    }

    /// One round: the client's bytes are received by core 0, and everything is answered. Returns the replies.
    pub(crate) fn round(&mut self, requests: &[u8]) -> &[u8] {
        self.round_at(requests, self.now_ms)
    }

    /// The same, after time has passed.
    pub(crate) fn round_at(&mut self, requests: &[u8], now_ms: u64) -> &[u8] {
        self.around.received.clear();
        if self.now_ms != now_ms {
            self.now_ms = now_ms;
            self.around.ticks = true;
            (0..self.engines.len()).for_each(|core| self.turn(core));
            self.around.ticks = false;
        }
        let client = self.around.client;
        self.say(client, requests);
        let engine = &mut self.engines[0];
        assert!(engine.wants_read(client) && !engine.is_finished(client), "the client may always send more");
        &self.around.received
    }

    /// What core 0 answers the client, as the events of a connection alone, without a turn around them.
    pub(crate) fn answer(&mut self, requests: &[u8]) -> &[u8] {
        self.around.received.clear();
        let engine = &mut self.engines[0];
        engine.on_bytes(self.around.client, requests, self.now_ms);
        while let Some(id) = engine.take_ready() {
            let Ok(()) = self.around.send(engine, id, self.now_ms);
        }
        &self.around.received
    }

    /// Another client connects to core 0 and says something. Returns how many bytes all such clients have heard so far.
    pub(crate) fn other(&mut self, requests: &[u8]) -> usize {
        let other = self.engines[0].on_connect(Peer::default(), self.now_ms);
        self.say(other, requests);
        self.around.heard
    }

    /// A client's bytes are received by core 0, and every core has turns until nothing is left to do.
    fn say(&mut self, client: SessionId, requests: &[u8]) {
        self.around.requests.clear();
        self.around.requests.extend_from_slice(requests);
        self.around.sends = Some(client);
        self.turn(0);
        while let Some(core) = (0..self.engines.len()).find(|core| self.is_busy(*core)) {
            self.turn(core);
        }
    }

    /// Whether a core has something to do: as in the runtime, it would not be woken otherwise.
    fn is_busy(&self, core: usize) -> bool {
        !self.around.links[core].is_empty() || self.engines[core].has_backlog()
    }

    fn turn(&mut self, core: usize) {
        self.around.core = core;
        let Ok(_) = turn(&mut self.engines[core], &mut self.around, self.now_ms);
    }
}

impl Outside for Around {
    type Error = Infallible;

    fn elapsed(&self) -> Duration {
        self.elapsed
    }

    fn receive(&mut self) -> Option<Batch> {
        self.links[self.core].pop_front()
    }

    /// A turn takes a microsecond, so that it is counted as one that had something to do; sliced work does not end by that.
    fn serve(&mut self, engine: &mut Engine, _: Duration, now_ms: u64) -> Result<bool, Infallible> {
        self.elapsed += Duration::from_micros(1);
        let Some(client) = self.sends.take() else { return Ok(false) };
        engine.on_bytes(client, &self.requests, now_ms);
        Ok(true)
    }

    fn hear_files(&mut self, _: &mut Engine, _: u64) -> bool {
        false
    }

    fn tick(&mut self, engine: &mut Engine, now_ms: u64) -> Result<(), Infallible> {
        if self.ticks {
            engine.on_tick(now_ms);
        }
        Ok(())
    }

    fn send(&mut self, engine: &mut Engine, id: SessionId, now_ms: u64) -> Result<(), Infallible> {
        if let Some(output) = engine.take_output(id) {
            let sent = output.bytes().len();
            if id == self.client {
                self.received.extend_from_slice(output.bytes());
            } else {
                self.heard += sent;
            }
            engine.on_output(id, output, sent, now_ms);
        }
        // The runtime asks each time, and is told again when the answer changes.
        let _ = engine.wants_read(id);
        Ok(())
    }

    fn pass_on(&mut self, engine: &mut Engine) -> bool {
        let mut passed = false;
        for (to, link) in (0..).zip(&mut self.links) {
            while let Some(batch) = engine.take_batch(CoreId(to)) {
                link.push_back(batch);
                passed = true;
            }
        }
        passed
    }

    fn ask_files(&mut self, _: FileAsk) {}

    fn log(&mut self, _: Notice) {}
}

/// Monotonic nanoseconds, read as the server does.
pub(crate) fn stopwatch() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the engine is given a real clock to read, as in the server")]
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    STARTED.elapsed().as_nanos() as u64
}

fn config(core: u16, cores: u16, stopwatch: fn() -> u64) -> EngineConfig {
    EngineConfig {
        core: CoreId(core),
        cores,
        cpu: usize::from(core),
        settings: Settings {
            items_max: u64::MAX,
            bytes_max: u64::MAX,
            eviction: Eviction::default(),
            maxclients: 100,
            databases: 16,
            maxclients_max: 100,
            idle_timeout_s: 0,
            tcp_keepalive_s: 0,
            // Nothing is logged when the machine takes the CPU away for a while.
            notify: Default::default(),
            output_limits: Default::default(),
            watch: Watch { slowlog_us: -1, ..Watch::default() },
            tracked_keys_max: aspine::limits::TRACKED_KEYS_MAX_DEFAULT,
            active_expire: true,
            log_level: LogLevel::Info,
            has_key: false,
            debug: DebugAccess::No,
            fixed: Vec::new(),
        },
        auth_key: None,
        hash_seeds: [1, 2, 3, 4],
        random_seed: 5,
        snapshots: SnapshotConfig::default(),
        process: ProcessFacts::default(),
        stopwatch,
    }
}

/// One request as clients send it.
pub(crate) fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The first `count` keys `key:<number>` of 16 bytes that belong to a core.
pub(crate) fn keys_of(core: u16, cores: u16, count: usize) -> Vec<Vec<u8>> {
    let keys = (0u64..).map(|number| format!("key:{number:012}").into_bytes());
    keys.filter(|key| Slot::of(key).owner(cores) == CoreId(core)).take(count).collect()
}

/// `count` keys, one of each core in turn: on two cores half of them are the other's.
pub(crate) fn keys_spread(cores: u16, count: usize) -> Vec<Vec<u8>> {
    let each: Vec<_> = (0..cores).map(|core| keys_of(core, cores, count)).collect();
    (0..count).map(|at| each[at % each.len()][at / each.len()].clone()).collect()
}
