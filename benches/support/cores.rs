//! Cores: engines in one thread with a client on the first, batches passed by hand. For benches and tests.
//!
//! It calls the engines in the runtime's order (`runtime/core.rs`): batches in, bytes in, replies out, the turn's
//! end, batches out. What it owns besides engines is reused, so that it allocates nothing in the steady state.

use std::sync::LazyLock;
use std::time::Instant;

use aspine::command::settings::{DebugAccess, LogLevel, Settings, Watch};
use aspine::engine::files::SnapshotConfig;
use aspine::engine::{Engine, EngineConfig, Peer, ProcessFacts, SessionId};
use aspine::shard::Eviction;
use aspine::slot::{CoreId, Slot};

/// Unix time in milliseconds at which everything happens.
pub(crate) const NOW_MS: u64 = 1_750_000_000_000;

/// The server's cores, and one client connected to core 0.
pub(crate) struct Cores {
    engines: Vec<Engine>,
    client: SessionId,
    received: Vec<u8>,
    /// Bytes for other clients, which are read and forgotten.
    heard: usize,
    now_ms: u64,
}

impl Cores {
    /// As many cores, empty, without bounds, with a stopwatch that measures.
    pub(crate) fn new(cores: u16) -> Cores {
        Cores::with_stopwatch(cores, stopwatch)
    }

    /// As many cores, empty, without bounds.
    pub(crate) fn with_stopwatch(cores: u16, stopwatch: fn() -> u64) -> Cores {
        let mut engines: Vec<_> = (0..cores).map(|core| Engine::new(config(core, cores, stopwatch))).collect();
        let client = engines[0].on_connect(Peer::default(), NOW_MS);
        Cores { engines, client, received: Vec::new(), heard: 0, now_ms: NOW_MS }
    }

    /// One round: the client's bytes are received by core 0, and everything is answered. Returns the replies.
    pub(crate) fn round(&mut self, requests: &[u8]) -> &[u8] {
        self.round_at(requests, self.now_ms)
    }

    /// The same, after time has passed.
    pub(crate) fn round_at(&mut self, requests: &[u8], now_ms: u64) -> &[u8] {
        self.received.clear();
        if self.now_ms != now_ms {
            self.now_ms = now_ms;
            self.engines.iter_mut().for_each(|engine| engine.on_tick(now_ms));
        }
        self.engines[0].on_bytes(self.client, requests, self.now_ms);
        while self.turn() {}
        let engine = &mut self.engines[0];
        assert!(engine.wants_read(self.client) && !engine.is_finished(self.client), "the client may always send more");
        &self.received
    }

    /// Another client connects to core 0 and says something. Returns how many bytes all such clients have heard so far.
    pub(crate) fn other(&mut self, requests: &[u8]) -> usize {
        let other = self.engines[0].on_connect(Peer::default(), self.now_ms);
        self.engines[0].on_bytes(other, requests, self.now_ms);
        while self.turn() {}
        self.heard
    }

    /// Ends a turn on every core and passes on what they have for each other. False if nothing was.
    fn turn(&mut self) -> bool {
        self.send();
        let mut passed = false;
        for from in 0..self.engines.len() {
            // Sliced work, among it what a transaction waits for.
            if self.engines[from].has_backlog() {
                self.engines[from].on_slice(self.now_ms);
                passed = true;
            }
            self.engines[from].on_turn_end(1_000);
            for to in (0..self.engines.len()).filter(|to| *to != from) {
                while let Some(batch) = self.engines[from].take_batch(CoreId(to as u16)) {
                    self.engines[to].on_batch(batch, self.now_ms);
                    passed = true;
                }
            }
        }
        passed
    }

    /// Sends what core 0 has for the client.
    fn send(&mut self) {
        let engine = &mut self.engines[0];
        while let Some(id) = engine.take_ready() {
            if let Some(output) = engine.take_output(id) {
                let sent = output.bytes().len();
                if id == self.client {
                    self.received.extend_from_slice(output.bytes());
                } else {
                    self.heard += sent;
                }
                engine.on_output(id, output, sent, self.now_ms);
            }
            // The runtime asks each time, and is told again when the answer changes.
            let _ = engine.wants_read(id);
        }
    }
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
            maxclients_max: 100,
            idle_timeout_s: 0,
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
