//! Engine: the logic of one core as a pure state machine: its shard, its clients, its links to other cores. Core: one,
//! always.
//!
//! The runtime calls it with events, then takes the effects, in the order that `turn` has. It never does I/O, reads a
//! clock, starts a task, or learns what a socket is; so all cores of a server also run in one test thread, under a seeded
//! scheduler.
//!
//! | kind | methods | when |
//! |---|---|---|
//! | events | `on_connect`, `on_bytes` (or `on_input`), `on_output`, `on_eof`, `on_disconnect`, `on_batch`, `on_file`, `on_tick`, `on_slice` | as they happen |
//! | end of a turn | `on_turn_end` | after the events of one turn: seals the batches |
//! | effects | `take_ready` (sessions with something to send or to close), `take_output`, `take_batch`, `take_file_ask`, `take_notice` | after `on_turn_end`, until `None`; pushes and long replies go on in the next turn |
//! | getters | `wants_read`, `is_finished`, `has_backlog`, … | any time |
//!
//! Parts, each with its own state: `home` (what a core does for its clients) and, borrowed apart from it as `core`: `env`
//! (settings, clock, telemetry), `owner` (what a core does for its keys), `link` (what goes to other cores), `pubsub`,
//! `persistence`. Beside them: `route` (which core owns what), `process_wide` (commands of all cores), `invalidation`
//! (CLIENT TRACKING), `monitor` (MONITOR), `telemetry`, `turn`.

mod core;
mod env;
mod home;
mod ids;
mod invalidation;
mod link;
mod monitor;
mod owner;
mod persistence;
mod process_wide;
mod pubsub;
mod route;
mod telemetry;
#[cfg(test)]
mod tests;
pub mod turn;

use crate::command::settings::Settings;
use crate::engine::core::Core;
use crate::engine::env::Env;
use crate::engine::home::Home;
use crate::engine::link::Links;
use crate::engine::link::message::Holder;
use crate::engine::owner::Owner;
use crate::engine::owner::budget::Exchange;
use crate::engine::persistence::Persistence;
use crate::engine::pubsub::PubSub;
use crate::engine::route::Router;
use crate::engine::telemetry::info::Sections;
use crate::shard::{Shard, ShardConfig};
use crate::slot::CoreId;

pub use crate::engine::env::{Notice, ProcessFacts};
pub use crate::engine::home::Peer;
pub use crate::engine::home::auth;
pub use crate::engine::home::replies::Output;
pub use crate::engine::ids::{GatherId, SessionId, Ticket};
pub use crate::engine::link::message::{
    Answer, Ask, Batch, CoreReport, Gift, Hold, HoldKey, Holding, Lines, Note, Payload, SlowRequest, Tally, Telemetry,
};
pub use crate::engine::persistence::{files, worker};
pub use crate::engine::telemetry::metrics;
pub use crate::engine::telemetry::stats::Gauges;

use self::auth::AuthKey;
use self::files::{FileAsk, FileEvent, SnapshotConfig};
use self::metrics::CoreMetrics;

/// What an engine is made with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The number of the core.
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

/// The logic of one core.
pub struct Engine {
    home: Home,
    core: Core,
}

impl Engine {
    /// The engine of one core, empty.
    pub fn new(config: EngineConfig) -> Engine {
        let EngineConfig { core, cores, cpu, settings, hash_seeds, .. } = config;
        let router = Router::new(core, cores);
        let exchange = Exchange::new(&settings, core, cores);
        let mut shard = Shard::new(ShardConfig { budget: exchange.share(), eviction: settings.eviction, hash_seeds });
        shard.set_database_count(settings.databases);
        let persistence = Persistence::new(&config.snapshots, core, cores, config.process.started_ms);
        let env = Env::new((router, cpu), settings, config.process, config.stopwatch, config.random_seed);
        let mut owner = Owner::new(shard, exchange);
        owner.bound_tracking(&env);
        let (links, pubsub) = (Links::new(core, cores), PubSub::new(hash_seeds));
        Engine {
            home: Home::new(config.auth_key, cores, hash_seeds),
            core: Core { env, owner, links, pubsub, persistence },
        }
    }

    // ---- events ----

    /// A client connected.
    pub fn on_connect(&mut self, peer: Peer, now_ms: u64) -> SessionId {
        self.core.env.now_ms = now_ms;
        self.home.on_connect(&mut self.core, peer)
    }

    /// A connection was refused for the limit of clients.
    pub fn on_refused(&mut self) {
        self.core.env.stats.connections_refused += 1;
    }

    /// Bytes arrived on a connection: one round.
    #[inline]
    pub fn on_bytes(&mut self, id: SessionId, bytes: &[u8], now_ms: u64) {
        self.core.env.now_ms = now_ms;
        self.home.on_bytes(&mut self.core, id, bytes);
        self.end_event();
    }

    /// The input of a session that lacks more of an argument than an ordinary read brings: the next bytes are to be
    /// appended within its capacity, and `on_input` to be called at once. `None`: read as usual, for `on_bytes`.
    #[inline]
    pub fn lend_input(&mut self, id: SessionId) -> Option<Vec<u8>> {
        self.home.lend_input(id)
    }

    /// What `lend_input` gave comes back, with so many bytes more.
    pub fn on_input(&mut self, id: SessionId, input: Vec<u8>, received: usize, now_ms: u64) {
        self.core.env.now_ms = now_ms;
        self.home.on_input(&mut self.core, id, input, received);
        self.end_event();
    }

    /// What `take_output` gave comes back; so many of its bytes were sent. What is left comes first next time.
    #[inline]
    pub fn on_output(&mut self, id: SessionId, output: Output, sent: usize, now_ms: u64) {
        self.core.env.now_ms = now_ms;
        self.home.on_output(&mut self.core, id, output, sent);
        self.end_event();
    }

    /// The client sends no more; what it sent is still answered.
    pub fn on_eof(&mut self, id: SessionId) {
        self.home.on_eof(id);
    }

    /// The connection is gone. Commands at other cores run on, as does a transaction; their replies are dropped.
    pub fn on_disconnect(&mut self, id: SessionId) {
        self.home.on_disconnect(&mut self.core, id);
        self.end_event();
    }

    /// A batch came from another core.
    pub fn on_batch(&mut self, batch: Batch, now_ms: u64) {
        let Engine { home, core } = self;
        let from = batch.from;
        assert!(core.env.router.peer(from).is_some() && from.0 < core.env.router.cores(), "a batch from {from:?}");
        core.env.now_ms = now_ms;
        match batch.payload {
            Payload::Requests { ticket, bytes, count } => {
                core.reach(|owner, reach| owner.on_requests(from, (ticket, bytes, count), reach));
                self.run_inbox();
            }
            Payload::Replies { ticket, bytes, count } => home.on_replies(core, from, (ticket, bytes, count)),
            Payload::Slow(slow) => home.on_slow(core, *slow),
            // The transaction that holds the shard asks; the inbox waits for its end.
            Payload::Ask(ask) if ask.caller.held => process_wide::on_ask(home, core, from, *ask),
            Payload::Ask(ask) => {
                core.owner.inbox.on_ask(from, ask);
                self.run_inbox();
            }
            Payload::Answer { gather, answer } => process_wide::on_answer(home, core, from, gather, *answer),
            Payload::Letter { bytes } => {
                core.pubsub.on_letter(bytes, &mut core.links);
                core.owner.note_match_steps(core.pubsub.take_match_steps());
            }
            Payload::Lines(lines) => home.on_lines(core, from, *lines),
            Payload::BudgetAsk(holding) => core.owner.on_budget_ask(from, holding, &core.env, &mut core.links),
            Payload::BudgetGift(gift) => core.owner.on_budget_gift(gift),
            Payload::Hold(hold) => core.owner.on_hold(hold, &core.env, &mut core.links),
            Payload::Granted { key, clean } => self.on_granted(key, clean),
            Payload::Release(hold) => core.owner.on_release(hold, &core.env, &mut core.links),
            Payload::Task(held) => {
                assert!(core.owner.is_held(), "a transaction's task without its hold");
                let outcome = Box::new(core.perform(held.caller, &held.task));
                core.links.send(from, Payload::TaskDone { key: held.key, outcome });
            }
            Payload::TaskDone { key, outcome } => home.on_task_done(from, key, *outcome),
            Payload::Invalidations(bytes) => home.on_invalidations(core, from, bytes),
            Payload::Snapshot(note) => core.persist(|persistence, around| persistence.on_note(from, note, around)),
        }
        self.end_event();
    }

    /// Readers and writers of snapshots report.
    pub fn on_file(&mut self, event: FileEvent, now_ms: u64) {
        self.core.env.now_ms = now_ms;
        self.core.persist(|persistence, around| persistence.on_file(event, around));
        self.end_event();
    }

    /// Time has passed: `TICK_MS` or more since the last call.
    pub fn on_tick(&mut self, now_ms: u64) {
        let Engine { home, core } = self;
        core.env.now_ms = now_ms;
        core.env.tick();
        core.owner.wake();
        core.env.stats.sample(core.owner.shard().bytes(), now_ms);
        core.owner.tick_budget(&core.env, &mut core.links);
        home.on_tick(core);
        home.on_slice(core);
        core.persist(|persistence, around| persistence.on_tick(around));
        self.end_event();
    }

    /// A small step of sliced work: at most `SLICE_STEPS`. `turn` repeats it while `has_backlog`, within `SLICE_US` of a
    /// turn.
    pub fn on_slice(&mut self, now_ms: u64) {
        let Engine { home, core } = self;
        core.env.now_ms = now_ms;
        if !core.links.is_full() {
            core.owner.work(&core.env);
        }
        core.owner.step_walk(&core.env, &mut core.links);
        core.pubsub.on_slice(&core.env, &mut core.links);
        core.persist(|persistence, around| persistence.on_slice(around));
        home.on_slice(core);
        if let Some((key, clean)) = core.owner.holds.take_grant() {
            self.on_granted(key, clean);
        }
        self.end_event();
        self.run_inbox();
        self.home.resume_paused(&mut self.core);
        self.end_event();
    }

    /// The turn's events are through: everything for the peers may leave. `turn_ns`: how long it took; 0 if there was
    /// nothing to do, which is not counted.
    #[inline]
    pub fn on_turn_end(&mut self, turn_ns: u64) {
        let Engine { home, core } = self;
        home.end_turn(core);
        core.links.seal_all();
        core.persistence.end_turn();
        core.owner.end_turn(&mut core.env);
        core.env.stats.record_turn(turn_ns);
    }

    /// SIGTERM: what was read is finished and sent, then each session ends.
    pub fn on_drain(&mut self) {
        self.core.env.draining = true;
        self.home.on_drain();
        self.home.on_slice(&mut self.core);
        self.end_event();
    }

    /// The server is about to end: takes a last snapshot if it is to take any. To be called on core 0; then
    /// `is_saved_at_end` says when all is done.
    pub fn save_at_end(&mut self, now_ms: u64) {
        self.core.env.now_ms = now_ms;
        self.core.persist(|persistence, around| persistence.save_at_end(around));
        self.end_event();
    }

    /// The microseconds within `now_ms`, for TIME.
    pub fn set_sub_us(&mut self, sub_us: u32) {
        self.core.env.sub_us = sub_us;
    }

    /// What the system says of the process, for INFO.
    pub fn set_gauges(&mut self, gauges: Gauges) {
        self.core.env.stats.set_gauges(gauges);
    }

    // ---- effects ----

    /// The next session that has something to send (`take_output`) or that is to be closed (`is_finished`): first those
    /// with replies, then those with much to send and those to which something was pushed. `None`: none in this turn.
    #[inline]
    pub fn take_ready(&mut self) -> Option<SessionId> {
        self.home.take_ready()
    }

    /// Whether `take_ready` has any.
    #[inline]
    pub fn has_ready(&self) -> bool {
        self.home.has_ready()
    }

    /// Whether a session goes on, or ends, when what `take_output` gave comes back.
    #[inline]
    pub fn awaits_output(&self, id: SessionId) -> bool {
        self.home.awaits_output(id)
    }

    /// The bytes to send to a client now, until `on_output` brings them back; `None` if there are none, or what was
    /// taken before is not back.
    #[inline]
    pub fn take_output(&mut self, id: SessionId) -> Option<Output> {
        self.home.take_output(id)
    }

    /// The next batch for a peer.
    #[inline]
    pub fn take_batch(&mut self, peer: CoreId) -> Option<Batch> {
        self.core.links.take(peer)
    }

    /// What those who read and write files are to do next.
    #[inline]
    pub fn take_file_ask(&mut self) -> Option<FileAsk> {
        self.core.persistence.take_file_ask()
    }

    /// The next thing for the log.
    #[inline]
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.core.env.take_notice()
    }

    /// Why the load at the start failed, if it did.
    pub fn take_load_failure(&mut self) -> Option<String> {
        self.core.persistence.take_load_failure()
    }

    // ---- getters ----

    /// Whether the client's socket may be read: not while too much of it waits. When the answer changes, the session
    /// comes up in `take_ready`.
    #[inline]
    pub fn wants_read(&mut self, id: SessionId) -> bool {
        self.home.wants_read(id)
    }

    /// Whether the connection is to be closed now: everything was said.
    #[inline]
    pub fn is_finished(&self, id: SessionId) -> bool {
        self.home.is_finished(id)
    }

    /// Whether sliced work waits.
    pub fn has_backlog(&self) -> bool {
        let core = &self.core;
        let halted = self.home.has_paused() || !core.owner.inbox.is_empty();
        let sliced = !core.owner.walks.is_empty()
            || core.pubsub.has_slices()
            || core.persistence.may_step()
            || self.home.has_slices();
        (core.owner.has_work() && !core.links.is_full())
            || sliced
            || core.owner.holds.has_grants()
            || (halted && !core.must_wait() && !core.owner.has_done_enough())
    }

    /// Whether the walk of a snapshot wants the next turn soon.
    pub fn is_walking(&self) -> bool {
        self.core.persistence.is_walking()
    }

    /// Whether somebody watches commands (MONITOR), so that ticks do not wait for something to do.
    pub fn is_monitored(&self) -> bool {
        self.home.is_monitored()
    }

    /// Whether items are being loaded, so that clients are told to wait.
    pub fn is_loading(&self) -> bool {
        self.core.persistence.is_loading()
    }

    /// Whether the next chunk of records may come.
    pub fn wants_records(&self) -> bool {
        self.core.persistence.wants_records()
    }

    /// Whether this is the core that the snapshots of all are begun and ended by.
    pub fn coordinates(&self) -> bool {
        self.core.env.router.sequencer().is_none()
    }

    /// Whether no snapshot is under way nor wanted.
    pub fn is_saved_at_end(&self) -> bool {
        self.core.persistence.is_saved_at_end()
    }

    /// Whether there should be a snapshot of the end and is none.
    pub fn has_failed_to_save(&self) -> bool {
        self.core.persistence.has_failed_to_save()
    }

    /// Commands of this core's clients and operations on its shard, since the last CONFIG RESETSTAT.
    pub fn work_done(&self) -> u64 {
        self.core.env.stats.commands + self.core.env.stats.operations
    }

    /// Sessions connected to this core.
    pub fn session_count(&self) -> usize {
        self.home.session_count()
    }

    /// Whether nothing is left to answer: no session, no reply awaited from or owed to a peer.
    pub fn is_idle(&self) -> bool {
        let core = &self.core;
        self.home.session_count() == 0
            && core.links.is_idle()
            && core.owner.walks.is_empty()
            && core.owner.inbox.is_empty()
            && !core.pubsub.has_slices()
    }

    /// Milliseconds this core has been at work, tick by tick: what bounds in time are measured by. Never goes back.
    pub fn awake_ms(&self) -> u64 {
        self.core.env.awake_ms
    }

    /// Clients of the whole process that may be connected at once.
    pub fn maxclients(&self) -> u32 {
        self.core.env.settings.maxclients
    }

    /// The bounds of the whole process: items and bytes.
    pub fn bounds(&self) -> (u64, u64) {
        (self.core.env.settings.items_max, self.core.env.settings.bytes_max)
    }

    /// Seconds of silence after which a client that connects now is to be asked whether it is still there; 0: never.
    pub fn tcp_keepalive_s(&self) -> u64 {
        self.core.env.settings.tcp_keepalive_s
    }

    /// How many cores there are.
    pub fn cores(&self) -> u16 {
        self.core.env.router.cores()
    }

    /// The number of the core.
    pub fn core(&self) -> CoreId {
        self.core.env.router.core()
    }

    /// The shard, to look at.
    pub fn shard(&self) -> &Shard {
        self.core.owner.shard()
    }

    /// Replies awaited from peers; zero when nothing is under way.
    pub fn tickets_open(&self) -> usize {
        self.core.links.tickets_open() + self.home.gathers_open()
    }

    /// What this core has counted until now, but for its commands.
    pub fn begin_metrics(&self) -> CoreMetrics {
        let report = process_wide::report::report(&self.home, &self.core, Sections::default());
        CoreMetrics::new(report, &self.core.env.stats.turns(), self.core.env.settings.maxclients)
    }

    /// Adds some more of the commands. True if there are others.
    pub fn add_metrics(&self, metrics: &mut CoreMetrics) -> bool {
        metrics.add(&self.core.env.meter)
    }

    // ---- for tests ----

    /// Bytes that wait to be sent to a client.
    #[cfg(any(test, feature = "verify"))]
    pub fn unsent_bytes(&self, id: SessionId) -> usize {
        self.home.unsent_bytes(id)
    }

    /// Bytes of requests that were received while their client leaves replies unread.
    #[cfg(any(test, feature = "verify"))]
    pub fn read_ahead_bytes(&self, id: SessionId) -> usize {
        self.home.read_ahead_bytes(id)
    }

    /// Bytes of commands that are to be shown to clients that watch, and are not yet.
    #[cfg(any(test, feature = "verify"))]
    pub fn unshown_bytes(&self) -> usize {
        self.home.unshown_bytes()
    }

    /// Channels and patterns that this core knows somebody to subscribe to.
    #[cfg(any(test, feature = "verify"))]
    pub fn names_subscribed(&self) -> usize {
        let channels = self.core.pubsub.channels();
        crate::command::pubsub::TOPICS.iter().map(|topic| channels.of(*topic).entries().len()).sum()
    }

    /// Bytes of messages that wait for the peer for which most do.
    #[cfg(any(test, feature = "verify"))]
    pub fn message_bytes_max(&self) -> usize {
        self.core.links.message_bytes_max()
    }

    /// The epoch of this core's budget and the items it knows for the whole, for checks across cores.
    #[cfg(any(test, feature = "verify"))]
    pub fn budget_epoch(&self) -> (u32, u64) {
        (self.core.owner.exchange.epoch(), self.core.env.settings.items_max)
    }

    /// Whether this core's own shard was granted to a snapshot that does not know yet.
    #[cfg(any(test, feature = "verify"))]
    pub fn is_granted_to_snapshot(&self) -> bool {
        self.core.owner.holds.is_granted_to_snapshot()
    }

    /// Whether anything is held or waits to be, for checks that nothing is left behind.
    #[cfg(any(test, feature = "verify"))]
    pub fn has_holds(&self) -> bool {
        self.core.owner.holds.is_used()
    }

    /// Asserts every invariant of the engine and its shard.
    #[cfg(any(test, feature = "verify"))]
    pub fn verify(&self) {
        self.core.owner.shard().verify();
        self.core.links.verify();
        self.core.pubsub.verify();
        self.home.verify();
    }

    // ---- inside ----

    /// A shard is held for a transaction of this core, or for the coordinator of snapshots.
    fn on_granted(&mut self, key: HoldKey, clean: bool) {
        match key.holder {
            Holder::Transaction(id) => self.home.on_granted(id, key, clean),
            Holder::Coordinator => self.core.persist(|persistence, around| persistence.on_granted(key.number, around)),
        }
    }

    /// Runs what other cores have sent, as far as this turn may.
    fn run_inbox(&mut self) {
        while let Some((from, ask)) = self.core.run_inbox() {
            // What was published before belongs to those who subscribed before.
            if self.core.has_news() {
                self.home.after(&mut self.core);
            }
            process_wide::on_ask(&mut self.home, &mut self.core, from, *ask);
        }
    }

    /// Ends an event: sends what it published, and resumes the sessions that it unblocked.
    #[inline]
    fn end_event(&mut self) {
        while self.core.has_news() || self.core.links.has_own_answers() || self.home.has_resumable() {
            self.settle();
        }
    }

    #[inline(never)]
    fn settle(&mut self) {
        let Engine { home, core } = self;
        if core.has_news() {
            home.after(core);
        }
        process_wide::take_own_answers(home, core);
        home.resume_all(core);
    }
}
