//! Engine: the logic of one core as a pure state machine: shard, sessions, routing. Core: one, always.
//!
//! The runtime calls it with events, then takes the effects. It never does I/O, reads a clock, starts a task, or
//! learns what a socket is; so all cores of a server also run in one test thread, under a seeded scheduler.
//!
//! | kind | methods | when |
//! |---|---|---|
//! | events | `on_connect`, `on_bytes` (or `on_input`), `on_sent`, `on_eof`, `on_disconnect`, `on_batch`, `on_file`, `on_tick`, `on_slice` | as they happen |
//! | end of a turn | `on_turn_end` | after the events of one turn: seals the batches |
//! | effects | `take_ready` (sessions with something to send or to close), `take_batch`, `take_file_ask`, `take_notice` | after `on_turn_end`, until `None`; pushes may wait (`only_tells`) |
//! | getters | `unsent`, `wants_read`, `is_finished`, `has_backlog`, … | any time |
//!
//! Files: `session` (one round), `intake` (long arguments), `replies` (reply order), `sessions` (the table of them), `route` (slot to core, local
//! or batch), `batch` (layout, tickets, outboxes), `gather` (replies in parts), `every` (commands of all cores), `clients` (CLIENT LIST, KILL),
//! `push` (what is said unasked), `pubsub` over `channels` (subscriptions and messages), `listeners` (key events),
//! `transaction` (MULTI, EXEC), `several` (commands of several keys), `hold` (the pause of a shard that they take),
//! `jobs` (sliced work), `tracking` (CLIENT TRACKING) and `stale` (who is told of changes), `ahead` (cache misses of a
//! round, together), `budget`, `auth`; `stats`, `meter` (what commands took), `slowlog`, `latency`, `ask` (what is asked
//! of all cores about these), `debug`, `info`, `metrics`, `topology` (what clients are told of the cores); `snapshot` and `load`
//! (`files`: what they ask for; `keeper`: who does it).

mod ahead;
mod ask;
pub mod auth;
pub mod batch;
mod budget;
mod channels;
mod clients;
mod counters;
mod debug;
mod every;
pub mod files;
mod gather;
pub mod hold;
mod info;
mod intake;
mod jobs;
pub mod keeper;
mod latency;
mod listeners;
mod load;
mod meter;
pub mod metrics;
mod pubsub;
mod push;
mod replies;
pub mod route;
pub mod session;
mod sessions;
mod several;
mod slowlog;
pub mod snapshot;
mod stale;
pub mod stats;
#[cfg(test)]
mod tests;
mod topology;
mod tracking;
mod transaction;

use std::collections::VecDeque;

use crate::command::Client;
use crate::command::connection::{Home, VerifyKey};
use crate::command::settings::{LogLevel, Settings};
use crate::command::table::Lookup;
use crate::limits::{BUFFER_KEPT_BYTES_MAX, BUFFERS_KEPT_MAX, SLICE_STEPS, TICK_COUNTED_MS_MAX};
use crate::resp::Span;
use crate::shard::{Shard, ShardConfig};

use self::auth::{AuthKey, Penalty};
use self::batch::{Batch, Incoming, Mesh, Payload};
use self::budget::Exchange;
use self::channels::Channels;
use self::files::SnapshotConfig;
use self::gather::Gathers;
use self::hold::Holds;
use self::jobs::Job;
use self::listeners::Listeners;
use self::meter::Meter;
use self::pubsub::Leaving;
use self::push::Push;
use self::route::{CoreId, Router};
use self::session::{Queue, Session};
pub use self::sessions::SessionId;
use self::sessions::Sessions;
use self::snapshot::Snapshots;
use self::stale::Trackers;
pub use self::stats::Gauges;
use self::stats::Stats;
use self::topology::Topology;

/// What an engine is made with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Which core this is.
    pub core: CoreId,
    /// How many there are.
    pub cores: u16,
    /// The CPU it is pinned to, for INFO.
    pub cpu: usize,
    /// What CONFIG shows; holds the bounds of the whole process.
    pub settings: Settings,
    /// What clients must show, if anything.
    pub auth_key: Option<AuthKey>,
    /// Keys of the index's hash.
    pub hash_seeds: [u64; 4],
    /// Seed of everything else that is random (RANDOMKEY).
    pub random_seed: u64,
    /// How snapshots are taken.
    pub snapshots: SnapshotConfig,
    /// What INFO tells of the process.
    pub process: ProcessFacts,
    /// Nanoseconds since some moment, the same for all cores; never goes back. Measures commands, decides nothing.
    pub stopwatch: fn() -> u64,
}

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
}

impl ProcessFacts {
    /// Whether the cores are shown as nodes of a cluster.
    pub(crate) fn shows_cluster(&self) -> bool {
        !self.core_ports.is_empty()
    }
}

/// A connection as the runtime knows it when it accepts it.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `address:port`, or the socket's path with `:0`.
    pub addr: String,
    /// Our own side of it.
    pub local_addr: String,
    /// File descriptor, for CLIENT LIST alone.
    pub fd: i32,
    /// Whether it came by the core's own port.
    pub by_core_port: bool,
}

/// What a log should hear of; the runtime writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A client was cut off; the text says which and why.
    CutOff(String),
    /// A wrong auth key; the text says from where.
    AuthFailed(String),
    /// The log is to be more or less detailed.
    LogLevel(LogLevel),
    /// A snapshot was taken, or loaded, or is being loaded.
    Snapshot(String),
    /// A snapshot could not be taken or loaded.
    SnapshotFailed(String),
    /// DEBUG PANIC: the process is to end as if something had gone wrong.
    Panic,
}

/// The logic of one core.
pub struct Engine {
    core: CoreId,
    cpu: usize,
    router: Router,
    shard: Shard,
    lookup: Lookup,
    sessions: Sessions,
    mesh: Mesh,
    gathers: Gathers,
    jobs: VecDeque<Job>,
    trackers: Trackers,
    snapshots: Snapshots,
    settings: Settings,
    exchange: Exchange,
    auth_key: Option<AuthKey>,
    penalty: Penalty,
    stats: Stats,
    meter: Meter,
    process: ProcessFacts,
    topology: Topology,
    random: u64,
    /// Sessions with something to send, or to close. Filled by whatever writes; drained by `take_ready`; bounded by
    /// the number of sessions, each being in it once.
    ready: VecDeque<SessionId>,
    /// Sessions to which something was pushed, and nothing else is due. Filled by pushes; drained by `take_ready` behind
    /// those of `ready`, over several turns if need be; bounded by the number of sessions and of those that went ahead.
    told: VecDeque<SessionId>,
    /// Batches of requests that are not run yet, in the order they came. Filled by `on_batch`; drained at once, unless
    /// the shard has done enough for this turn; bounded by what the sessions of all cores may have waiting.
    inbox: VecDeque<Incoming>,
    /// Sessions whose round goes on in the next turn. Filled by rounds, drained by `on_slice`; each is in it once.
    paused: VecDeque<SessionId>,
    holds: Holds,
    /// Sessions whose transaction waits for a shard, perhaps. Filled by transactions, drained by ticks; each is in it
    /// once a transaction.
    waiting: VecDeque<SessionId>,
    channels: Channels,
    listeners: Listeners,
    /// Subscriptions of connections that have ended. Filled by `on_disconnect`, drained in slices; bounded by what those
    /// had.
    leaving: VecDeque<Leaving>,
    /// The push that is being given to sessions.
    pushed: Push,
    /// The cores that a message goes to.
    fan: Vec<CoreId>,
    /// Transactions begun on this core.
    transactions: u64,
    /// `Shard::rehashed` at the beginning of the turn.
    turn_rehashed: u64,
    /// What the log should hear. Filled by cut-offs and failed authentications, drained every turn; beyond
    /// `NOTICES_MAX` the rest of a turn's are only counted.
    notices: VecDeque<Notice>,
    /// Spans of the request frame that is being run.
    spans: Vec<Span>,
    /// Owners of the keys of the command that is being split.
    owners: Vec<CoreId>,
    /// A reply in the making that has no place of its own yet.
    scratch: Vec<u8>,
    /// Empty output buffers for sessions that have something to say.
    buffers: Vec<Vec<u8>>,
    next_client: u64,
    /// Milliseconds this core has been at work, tick by tick: what idleness, stalls and delays are measured by. Never
    /// goes back, and does not jump.
    awake_ms: u64,
    last_tick_ms: u64,
    /// The place in the table of sessions that the last tick looked at.
    checked_session: usize,
    sub_us: u32,
    draining: bool,
    shard_waits: bool,
}

const NOTICES_MAX: usize = 64;

impl Engine {
    /// The engine of one core, empty.
    pub fn new(config: EngineConfig) -> Engine {
        let router = Router::new(config.core, config.cores);
        let exchange = Exchange::new(&config.settings, config.core, config.cores);
        let shard = Shard::new(ShardConfig {
            budget: exchange.share(),
            eviction: config.settings.eviction,
            hash_seeds: config.hash_seeds,
        });
        let meter = Meter::new(config.stopwatch, config.core.0, config.cores, &config.settings.watch);
        let mut engine = Engine {
            core: config.core,
            cpu: config.cpu,
            router,
            shard,
            lookup: Lookup::default(),
            sessions: Sessions::default(),
            mesh: Mesh::new(config.core, config.cores),
            gathers: Gathers::default(),
            jobs: VecDeque::new(),
            trackers: Trackers::new(config.cores, config.hash_seeds),
            snapshots: Snapshots::new(config.snapshots, config.cores, config.process.started_ms),
            settings: config.settings,
            exchange,
            auth_key: config.auth_key,
            penalty: Penalty::default(),
            stats: Stats::default(),
            meter,
            process: config.process,
            topology: Topology::default(),
            random: config.random_seed | 1,
            ready: VecDeque::new(),
            told: VecDeque::new(),
            inbox: VecDeque::new(),
            paused: VecDeque::new(),
            holds: Holds::default(),
            waiting: VecDeque::new(),
            channels: Channels::new(config.hash_seeds),
            listeners: Listeners::default(),
            leaving: VecDeque::new(),
            pushed: Push::default(),
            fan: Vec::new(),
            transactions: 0,
            turn_rehashed: 0,
            notices: VecDeque::new(),
            spans: Vec::new(),
            owners: Vec::new(),
            scratch: Vec::new(),
            buffers: Vec::new(),
            next_client: 0,
            awake_ms: 0,
            last_tick_ms: 0,
            checked_session: 0,
            sub_us: 0,
            draining: false,
            shard_waits: false,
        };
        engine.bound_tracking();
        engine
    }

    // ---- events ----

    /// A client connected.
    pub fn on_connect(&mut self, peer: Peer, now_ms: u64) -> SessionId {
        self.next_client += 1;
        // Unique in the process without asking anyone: core i has i+1, i+1+N, i+1+2N …
        let id = (self.next_client - 1) * u64::from(self.router.cores()) + u64::from(self.core.0) + 1;
        self.stats.connections += 1;
        self.sessions.insert(Session::new(
            Client {
                id,
                authenticated: self.auth_key.is_none(),
                addr: peer.addr,
                local_addr: peer.local_addr,
                fd: peer.fd,
                by_core_port: peer.by_core_port,
                created_ms: now_ms,
                active_ms: now_ms,
                ..Client::default()
            },
            self.awake_ms,
        ))
    }

    /// A connection was refused for the limit of clients.
    pub fn on_refused(&mut self) {
        self.stats.connections_refused += 1;
    }

    /// So many of the bytes of `unsent` went out.
    pub fn on_sent(&mut self, id: SessionId, sent: usize, now_ms: u64) {
        self.stats.bytes_out += sent as u64;
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.progress_ms = self.awake_ms;
        let emptied = session.replies.on_sent(sent);
        if session.lags_since_ms.is_some()
            && (session.replies.waiting_bytes() as u64) < self.settings.output_limits.pubsub.soft_bytes
        {
            session.lags_since_ms = None;
        }
        if let Some(buffer) = emptied {
            self.give_back(buffer);
        }
        self.run_input(id, now_ms);
    }

    /// The client sends no more; what it sent is still answered.
    pub fn on_eof(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.eof = true;
        }
        self.settle(id);
    }

    /// The connection is gone. Commands at other cores run on, as does a transaction; their replies are dropped.
    pub fn on_disconnect(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.transaction.is_some() {
            session.gone = true;
            session.cut();
            return;
        }
        if let Some(mut session) = self.sessions.remove(id) {
            self.forget(&mut session);
            self.drop_subscriptions(id, &mut session);
            self.untrack(&mut session);
            self.end_redirects(session.client.id);
            let buffer = session.replies.take_buffer();
            self.give_back(buffer);
        }
    }

    /// A batch came from another core.
    pub fn on_batch(&mut self, batch: Batch, now_ms: u64) {
        assert!(batch.from != self.core && batch.from.0 < self.router.cores(), "a batch from {:?}", batch.from);
        match batch.payload {
            Payload::Requests { ticket, bytes, count } => {
                let replies = self.mesh.buffer();
                let incoming = Incoming::new(batch.from, ticket, bytes, count, replies);
                if incoming.held {
                    self.run_held(incoming, now_ms);
                } else {
                    self.inbox.push_back(incoming);
                    self.run_inbox(now_ms);
                }
            }
            Payload::Hold(hold) => self.on_hold(hold, now_ms),
            Payload::Granted { key, clean } => self.on_granted(key, clean, now_ms),
            Payload::Snapshot(note) => self.on_note(batch.from, note, now_ms),
            Payload::Release(hold) => self.on_release(hold, now_ms),
            Payload::Replies { ticket, bytes, count } => self.take_replies(batch.from, ticket, bytes, count, now_ms),
            Payload::Letter { bytes } => self.on_letter(bytes),
            Payload::Slow(slow) => self.on_slow(*slow),
            Payload::BudgetAsk(holding) => self.on_budget_ask(batch.from, holding),
            Payload::BudgetGift(gift) => self.on_budget_gift(gift),
            Payload::Stale(bytes) => self.on_stale(batch.from, bytes),
        }
    }

    /// Time has passed: `TICK_MS` or more since the last call.
    pub fn on_tick(&mut self, now_ms: u64) {
        self.awake_ms += now_ms.saturating_sub(self.last_tick_ms).min(TICK_COUNTED_MS_MAX);
        self.last_tick_ms = now_ms;
        self.shard_waits = true;
        self.stats.sample(self.shard.bytes(), now_ms);
        self.ask_for_budget();
        self.end_delays(now_ms);
        self.check_sessions();
        self.give_up_waiting(now_ms);
        self.tick_snapshots(now_ms);
    }

    /// A small step of sliced work: at most `SLICE_STEPS`. The runtime repeats it while `has_backlog`, within
    /// `SLICE_US` of a turn.
    pub fn on_slice(&mut self, now_ms: u64) {
        // To the time 0 nothing has expired.
        let expire_ms = if self.settings.active_expire { now_ms } else { 0 };
        if !self.mesh.is_full() {
            self.shard_waits = self.shard.work(expire_ms, SLICE_STEPS).more;
        }
        self.step_job(now_ms);
        self.step_leaving();
        self.step_snapshot(now_ms);
        self.step_load(now_ms);
        if let Some((key, clean)) = self.holds.take_grant() {
            self.on_granted(key, clean, now_ms);
        }
        self.run_inbox(now_ms);
        if self.may_resume() {
            self.resume_one(now_ms);
        }
    }

    /// The turn's events are through: everything for the peers may leave. `turn_ns`: how long it took; 0 if there was
    /// nothing to do, which is not counted.
    pub fn on_turn_end(&mut self, turn_ns: u64) {
        self.publish_events();
        if self.shard.has_stale() || self.trackers.waits() {
            self.end_stale();
        }
        self.mesh.seal_all();
        self.snapshots.end_turn();
        self.stats.record_growth(self.shard.rehashed() - self.turn_rehashed);
        self.turn_rehashed = self.shard.rehashed();
        self.stats.record_turn(turn_ns);
    }

    /// SIGTERM: what was read is finished and sent, then each session ends.
    pub fn on_drain(&mut self) {
        self.draining = true;
        for id in self.sessions.ids() {
            if let Some(session) = self.sessions.get_mut(id) {
                session.eof = true;
            }
            self.settle(id);
        }
    }

    /// The microseconds within `now_ms`, for TIME.
    pub fn set_sub_us(&mut self, sub_us: u32) {
        self.sub_us = sub_us;
    }

    /// What the system says of the process, for INFO.
    pub fn set_gauges(&mut self, gauges: Gauges) {
        self.stats.gauges = gauges;
    }

    // ---- effects ----

    /// The next session that has something to send (`unsent`) or that is to be closed (`is_finished`): first those with
    /// replies, then those to which something was pushed.
    pub fn take_ready(&mut self) -> Option<SessionId> {
        self.publish_events();
        while let Some(id) = self.ready.pop_front() {
            if let Some(session) = self.sessions.get_mut(id) {
                session.queued = None;
                return Some(id);
            }
        }
        while let Some(id) = self.told.pop_front() {
            if let Some(session) = self.sessions.get_mut(id)
                && session.queued.take_if(|queue| *queue == Queue::Told).is_some()
            {
                return Some(id);
            }
        }
        None
    }

    /// Whether all that `take_ready` has left was pushed. It may wait for the next turn: to a client that is told of
    /// several things one send does.
    pub fn only_tells(&self) -> bool {
        self.ready.is_empty() && !self.told.is_empty()
    }

    /// The next batch for a peer.
    pub fn take_batch(&mut self, peer: CoreId) -> Option<Batch> {
        self.mesh.take(peer)
    }

    /// The next thing for the log.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    // ---- getters ----

    /// The bytes to send to a client now.
    pub fn unsent(&self, id: SessionId) -> &[u8] {
        self.sessions.get(id).map_or(&[], |session| session.replies.unsent())
    }

    /// Whether the client's socket may be read: not while too much of it waits. When the answer changes, the session
    /// comes up in `take_ready`.
    pub fn wants_read(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(id) else { return false };
        session.told_read = session.wants_read();
        session.told_read
    }

    /// Whether the connection is to be closed now: everything was said.
    pub fn is_finished(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_none_or(Session::is_finished)
    }

    /// Whether sliced work waits.
    pub fn has_backlog(&self) -> bool {
        let paused = !self.paused.is_empty() || !self.inbox.is_empty();
        let sliced = !self.jobs.is_empty() || !self.leaving.is_empty() || self.snapshots.may_step();
        (self.shard_waits && !self.mesh.is_full()) || sliced || self.holds.has_grants() || (paused && self.may_resume())
    }

    /// Sessions connected to this core.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether nothing is left to answer: no session, no reply awaited from or owed to a peer.
    pub fn is_idle(&self) -> bool {
        self.sessions.len() == 0
            && self.mesh.is_idle()
            && self.jobs.is_empty()
            && self.inbox.is_empty()
            && self.leaving.is_empty()
    }

    /// Clients of the whole process that may be connected at once.
    pub fn maxclients(&self) -> u32 {
        self.settings.maxclients
    }

    /// How many cores there are.
    pub fn cores(&self) -> u16 {
        self.router.cores()
    }

    /// Which core this is.
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// The shard, to look at.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Replies awaited from peers; zero when nothing is under way.
    pub fn tickets_open(&self) -> usize {
        self.mesh.tickets_open() + self.gathers.open()
    }

    /// Channels and patterns that this core knows somebody to subscribe to.
    #[cfg(any(test, feature = "verify"))]
    pub fn names_subscribed(&self) -> usize {
        crate::command::pubsub::TOPICS.iter().map(|topic| self.channels.of(*topic).entries().len()).sum()
    }

    /// Clients of this core that others have redirected to.
    #[cfg(any(test, feature = "verify"))]
    pub fn redirected(&self) -> usize {
        self.trackers.redirected()
    }

    /// Bytes of messages that wait for the peer for which most do.
    #[cfg(any(test, feature = "verify"))]
    pub fn message_bytes_max(&self) -> usize {
        self.mesh.message_bytes_max()
    }

    /// Asserts every invariant of the engine and its shard.
    #[cfg(any(test, feature = "verify"))]
    pub fn verify(&self) {
        self.shard.verify();
        self.mesh.verify();
        self.channels.verify();
        for id in self.sessions.ids() {
            if let Some(session) = self.sessions.get(id) {
                session.replies.verify();
            }
        }
    }

    // ---- inside ----

    /// Whether commands that were kept waiting may run.
    fn may_resume(&self) -> bool {
        !self.has_grown_enough() && !self.holds.is_held() && !self.mesh.is_full()
    }

    /// Queues a session for `take_ready` if there is anything to do for it.
    fn settle(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && session.queued != Some(Queue::Ready)
            && !session.gone
            && (session.should_send() || session.is_finished() || session.wants_read() != session.told_read)
        {
            session.queued = Some(Queue::Ready);
            self.ready.push_back(id);
        }
    }

    fn notice(&mut self, notice: Notice) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push_back(notice);
        }
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        debug_assert!(buffer.is_empty(), "a buffer goes back empty");
        if self.buffers.len() < BUFFERS_KEPT_MAX && (1..=BUFFER_KEPT_BYTES_MAX).contains(&buffer.capacity()) {
            self.buffers.push(buffer);
        }
    }

    /// A xorshift step: RANDOMKEY needs no better one (Marsaglia, 2003).
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// What a session's handler may look at.
fn home<'a>(
    (settings, process): (&'a Settings, &ProcessFacts),
    verify_key: Option<VerifyKey<'a>>,
    row: &'static crate::command::table::Command,
    session: &Session,
    now_ms: u64,
    now_sub_us: u32,
) -> Home<'a> {
    let cluster = process.shows_cluster();
    Home { now_ms, now_sub_us, settings, verify_key, row, sizes: session.sizes(), cluster }
}
