//! Env: what every part of one core's engine may look at: which core it is, settings, the turn's clock, telemetry.
//!
//! Core: its own, always. The engine sets the clock at each event; nothing below an event asks for the time.
//! Never: holds a key or a session, sends anything.

use std::collections::VecDeque;

use crate::command::cluster_scan::Node;
use crate::command::handler::{Handler, OwnerHandler};
use crate::command::hotkeys::{Cost, Found, Wish};
use crate::command::lookup::{CommandId, Lookup};
use crate::command::settings::{LogLevel, Settings};
use crate::command::{Client, Error};
use crate::engine::route::Router;
use crate::engine::telemetry::hot_keys::{HotKeys, Totals};
use crate::engine::telemetry::meter::Meter;
use crate::engine::telemetry::slowlog::SlowCall;
use crate::engine::telemetry::stats::Stats;
use crate::limits::{NOTICES_MAX, TICK_COUNTED_MS_MAX};
use crate::resp::Args;
use crate::slot::Slot;

/// What INFO tells of the process as a whole; the runtime knows it.
#[derive(Clone, Debug, Default)]
pub struct ProcessFacts {
    /// Process id.
    pub pid: u32,
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    /// TCP port, 0 if none.
    pub port: u16,
    /// The port of each core, in their order; empty if cores have none of their own.
    pub core_ports: Vec<u16>,
    /// Where clients are told to connect to; otherwise where they did.
    pub announced_host: Option<String>,
    /// Where clients are told to connect to that did not connect by an address.
    pub host: String,
    /// Unix time in milliseconds of the start.
    pub started_ms: u64,
    /// Bytes of memory that the machine has.
    pub memory_bytes: u64,
    /// Operating system and machine.
    pub os: String,
    /// Where the executable lies.
    pub executable: String,
    /// How the core reaches its sockets, and why so.
    pub transport: (&'static str, String),
}

impl ProcessFacts {
    /// Whether the cores are shown as nodes of a cluster.
    pub(crate) fn shows_cluster(&self) -> bool {
        !self.core_ports.is_empty()
    }
}

/// What a log should hear of; the runtime writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A client was cut off; the text says which and why.
    CutOff(String),
    /// A wrong auth key; the text says from where.
    AuthFailed(String),
    /// A connection that spoke HTTP was closed; the text says from where it came.
    Http(String),
    /// A connection was closed because its client asked for a database that is not there; the text says from where it came.
    NoDatabase(String),
    /// The log is to be more or less detailed.
    LogLevel(LogLevel),
    /// A snapshot was taken, or loaded, or is being loaded.
    Snapshot(String),
    /// A snapshot could not be taken or loaded.
    SnapshotFailed(String),
    /// SHUTDOWN: the process is to end as at SIGTERM, and without waiting for clients if it is hurried.
    Shutdown {
        /// Whether clients are not waited for.
        hurried: bool,
    },
    /// DEBUG PANIC: the process is to end as if something had gone wrong.
    Panic,
}

/// The surroundings of one core's logic.
pub(super) struct Env {
    pub(super) router: Router,
    /// The CPU that the core is pinned to, for INFO.
    pub(super) cpu: usize,
    pub(super) settings: Settings,
    pub(super) process: ProcessFacts,
    pub(super) lookup: Lookup,
    pub(super) stats: Stats,
    pub(super) meter: Meter,
    /// The session of HOTKEYS, until it is forgotten.
    hot_keys: Option<Box<HotKeys>>,
    /// Unix time in milliseconds of the event under way.
    pub(super) now_ms: u64,
    /// The microseconds within `now_ms`, for TIME.
    pub(super) sub_us: u32,
    /// Milliseconds this core has been at work, tick by tick: what idleness, stalls and delays are measured by. Never
    /// goes back, and does not jump.
    pub(super) awake_ms: u64,
    last_tick_ms: u64,
    /// SIGTERM has come: sessions end once they are answered.
    pub(super) draining: bool,
    random: u64,
    /// What the log should hear. Filled by cut-offs, failed authentications and snapshots, drained every turn; beyond
    /// `NOTICES_MAX` the rest of a turn's are only counted.
    notices: VecDeque<Notice>,
}

impl Env {
    /// This core as a walk over a cluster sees it, if cores are shown as nodes.
    pub(super) fn as_node(&self) -> Option<Node> {
        let fingerprint = self.process.run_id.chars().take(8).collect();
        let (core, cores) = (self.router.core(), self.router.cores());
        self.process.shows_cluster().then_some(Node { core, cores, fingerprint })
    }

    pub(super) fn new(
        (router, cpu): (Router, usize),
        settings: Settings,
        process: ProcessFacts,
        stopwatch: fn() -> u64,
        random_seed: u64,
    ) -> Env {
        Env {
            meter: Meter::new(stopwatch, router.core().0, router.cores(), &settings.watch),
            router,
            cpu,
            settings,
            process,
            lookup: Lookup::default(),
            stats: Stats::default(),
            hot_keys: None,
            now_ms: 0,
            sub_us: 0,
            awake_ms: 0,
            last_tick_ms: 0,
            draining: false,
            random: random_seed | 1,
            notices: VecDeque::new(),
        }
    }

    /// A tick has come.
    pub(super) fn tick(&mut self) {
        self.awake_ms += self.now_ms.saturating_sub(self.last_tick_ms).min(TICK_COUNTED_MS_MAX);
        self.last_tick_ms = self.now_ms;
    }

    /// Has the log hear of something.
    pub(super) fn notice(&mut self, notice: Notice) {
        let ends = matches!(notice, Notice::Shutdown { .. } | Notice::Panic);
        if ends || self.notices.len() < NOTICES_MAX {
            self.notices.push_back(notice);
        }
    }

    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// A xorshift step: RANDOMKEY needs no better one (Marsaglia, 2003).
    pub(super) fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Notes a call that took long, or any while HOTKEYS tracks: logs it as slow or as a latency event or both.
    #[cold]
    pub(super) fn note_call(&mut self, command: CommandId, args: Args<'_>, ns: u64, client: &Client) {
        let reply_bytes = self.meter.reply_bytes();
        if self.note_keys(command, args, ns, reply_bytes) {
            self.meter.log(SlowCall::new(command, args, ns, self.now_ms), client);
        }
    }

    /// Has HOTKEYS record a call, if it tracks. True if the call is also to be logged.
    #[cold]
    pub(super) fn note_keys(&mut self, command: CommandId, args: Args<'_>, ns: u64, reply_bytes: usize) -> bool {
        let random = self.next_random();
        if let Some(hot) = &mut self.hot_keys {
            if hot.is_active(self.now_ms) {
                let (row, router) = (command.row(), self.router);
                // What is split runs where each key is, and is noted there.
                let is_split = matches!(row.handler, Handler::Owner(OwnerHandler::EachKey(..)));
                let all = row.keys_after_name(args);
                let keys = all.clone().filter(move |key| !is_split || router.is_here(key));
                let (own, all) = (keys.clone().count(), all.count().max(1));
                let bytes = wire_bytes(row.name.as_bytes(), args) * own / all + reply_bytes;
                hot.record(keys, Cost { ns, bytes: bytes as u64 }, random);
            } else {
                self.meter.note_all(false);
            }
        }
        self.meter.logs(ns)
    }

    // ---- HOTKEYS ----

    /// Whether a session of HOTKEYS is under way.
    pub(super) fn tracks_hot_keys(&self) -> bool {
        self.hot_keys.as_ref().is_some_and(|hot| hot.is_active(self.now_ms))
    }

    /// Begins a session, in the place of one that has ended.
    pub(super) fn start_hot_keys(&mut self, wish: Wish) {
        self.hot_keys = Some(Box::new(HotKeys::new(wish, self.now_ms, self.totals())));
        self.meter.note_all(true);
    }

    /// Ends the session. False if none was under way.
    pub(super) fn stop_hot_keys(&mut self) -> bool {
        let was_active = self.tracks_hot_keys();
        if let Some(hot) = &mut self.hot_keys {
            hot.stop(self.now_ms);
        }
        self.meter.note_all(false);
        was_active
    }

    /// Forgets a session that has ended.
    pub(super) fn reset_hot_keys(&mut self) {
        if !self.tracks_hot_keys() {
            self.hot_keys = None;
            self.meter.note_all(false);
        }
    }

    /// What the session has found on this core.
    pub(super) fn hot_keys_found(&self) -> Option<Found> {
        let own = Slot::range(self.router.core(), self.router.cores());
        self.hot_keys.as_ref().map(|hot| hot.found(self.now_ms, self.totals(), own))
    }

    fn totals(&self) -> Totals {
        let gauges = self.stats.gauges;
        let net_bytes = self.stats.bytes_in + self.stats.bytes_out;
        Totals { cpu_user_us: gauges.cpu_user_us, cpu_sys_us: gauges.cpu_sys_us, net_bytes }
    }

    /// Counts and logs a connection that is closed because it speaks HTTP.
    #[cold]
    pub(super) fn refuse_http(&mut self, addr: &str) {
        self.stats.http_refused += 1;
        self.notice(Notice::Http(addr.to_owned()));
    }

    /// Counts a command that is refused before it runs.
    #[cold]
    pub(super) fn count_rejected(&mut self, command: Option<CommandId>, error: &Error) {
        self.meter.reject(command, error);
        self.meter.pause();
    }
}

/// The bytes of a request as clients send it: each word with its length and two line ends, behind the number of words.
fn wire_bytes(name: &[u8], args: Args<'_>) -> usize {
    let digits = |number: usize| number.checked_ilog10().unwrap_or(0) as usize + 1;
    let word = |word: &[u8]| 1 + digits(word.len()) + 2 + word.len() + 2;
    1 + digits(args.len() + 1) + 2 + word(name) + args.iter().map(word).sum::<usize>()
}
