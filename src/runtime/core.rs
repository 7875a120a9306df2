//! Core: the loop of one core. A turn takes what is ready, feeds it to the engine and carries out its effects.
//!
//! ```text
//! turn:  batches from peers ─▶ ready sockets ─▶ tick if due ─▶ sliced work ─▶ sends ─▶ batches to peers
//!        nothing was ready:  spin a while if told to; give way; nap until a socket, a batch or the next tick
//! ```
//! A core naps in its transport, never in glommio, which gets its thread for a moment when a nap has brought nothing: so
//! nothing on a core may rely on glommio to wake it. Whoever wants it awake rings its doorbell.
//! Never: awaits inside a turn, blocks, takes an unbounded turn.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use tracing::{debug, info, warn};

use super::accept::Accepting;
use super::admin::Reporter;
use super::clock::{Clock, thread_cpu_ns};
use super::drain::Drain;
use super::files::CoreFiles;
use super::give_way::GiveWay;
use super::listener::CoreListener;
use super::mesh::{Mesh, Ports};
use super::shared::Shared;
use super::spin::{Reading, Spin};
use super::supervise::{Progress, Step};
use super::transport::epoll::Epoll;
use super::transport::ring::Ring;
use super::transport::{Event, Transport};
use crate::config;
use crate::engine::files::FileAsk;
use crate::engine::turn::{Outside, turn};
use crate::engine::{Batch, Engine, EngineConfig, Notice, SessionId};
use crate::host::process::gauges;
use crate::host::{StartError, Transport as Choice};
use crate::limits::{ITEMS_MAX_DEFAULT, RSS_INTERVAL_MS, TICK_IDLE_MS, TICK_MS, TURN_EVENTS_US};
use crate::slot::CoreId;

/// The arguments of a core.
pub(super) struct CoreSetup {
    pub(super) engine: EngineConfig,
    pub(super) listener: CoreListener,
    pub(super) ports: Ports,
    pub(super) files: CoreFiles,
    /// The reporter to the admin endpoint, if there is one.
    pub(super) reporter: Option<Reporter>,
    /// How long to look for more before napping (`--spin`).
    pub(super) spin: config::Spin,
    pub(super) transport: Choice,
    pub(super) shared: Arc<Shared>,
    /// Reports to the supervisor when the core is up; dropping it reports that the core has ended.
    pub(super) progress: Progress,
}

/// One core: its engine, and what surrounds it.
struct Core<T> {
    engine: Engine,
    shell: Shell<T>,
}

/// What surrounds one core's engine: sockets, mesh, files, clock.
pub(super) struct Shell<T> {
    core: CoreId,
    pub(super) transport: T,
    pub(super) accepting: Accepting,
    mesh: Mesh,
    files: CoreFiles,
    /// Whether the files thread may have sent something.
    files_rang: bool,
    reporter: Option<Reporter>,
    clock: Clock,
    pub(super) shared: Arc<Shared>,
    give_way: GiveWay,
    spin: Spin,
    last_tick_ms: u64,
    /// Whether the core had something to do since the last tick.
    busy_since_tick: bool,
    last_rss_ms: u64,
    drain: Drain,
    progress: Progress,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The turn did some work; more may be ready.
    Busy,
    /// Nothing was ready.
    Idle,
    /// The core has ended.
    Over,
}

/// Runs a core until the process ends, by the transport that was chosen. Where its ring is refused, as other processes of
/// the user may have used up the memory that may be locked, by epoll.
pub(super) async fn run(mut setup: CoreSetup) -> Result<(), StartError> {
    let core = usize::from(setup.engine.core.0);
    let failed = |source: io::Error| StartError::Core { core, what: "transport", source: Box::new(source) };
    let shared = Arc::clone(&setup.shared);
    let bell = shared.doorbells.bell(setup.engine.core);
    let mut why = std::mem::take(&mut setup.transport.why);
    if setup.transport.own_ring {
        match <Ring>::new(bell) {
            Ok(ring) => {
                setup.engine.process.transport = ("ring", why);
                return run_over(setup, ring).await;
            }
            Err(error) if setup.transport.required => return Err(failed(error)),
            Err(error) => {
                warn!("core {core} can have no ring of its own, and uses epoll: {error}");
                why = format!("its ring was refused: {error}");
            }
        }
    }
    setup.engine.process.transport = ("epoll", why);
    run_over(setup, Epoll::new(bell).map_err(failed)?).await
}

async fn run_over<T: Transport>(setup: CoreSetup, transport: T) -> Result<(), StartError> {
    let core = usize::from(setup.engine.core.0);
    let failed = |what| move |source: io::Error| StartError::Core { core, what, source: Box::new(source) };
    let mut core = Core::new(setup, transport).await.map_err(failed("socket setup"))?;
    let mut is_up = false;
    // Whether the core has spun in vain, and has done nothing since.
    let mut in_vain = false;
    loop {
        if let Some(why) = core.engine.take_load_failure() {
            return Err(StartError::Load { why });
        }
        if !is_up && !core.engine.is_loading() {
            is_up = true;
            // Before anybody is told that clients may come.
            core.shell.shared.pulse.beat(core.engine.core(), false);
            core.shell.progress.tell(Step::Up);
        }
        match core.turn().map_err(failed("wait for sockets"))? {
            Turn::Over => return Ok(()),
            Turn::Busy => {
                in_vain = false;
                core.shell.busy_since_tick = true;
                core.weigh_spinning();
                if !core.is_quiet() {
                    continue;
                }
            }
            Turn::Idle => {}
        }
        let limit = core.shell.spin.limit();
        if limit > Duration::ZERO && !in_vain {
            // What was sent comes back with the next turn.
            in_vain = !core.shell.spin(limit).map_err(failed("spin"))?;
            continue;
        }
        in_vain = false;
        if !core.shell.nap().map_err(failed("nap"))? {
            future::yield_now().await;
        }
    }
}

impl<T: Transport> Core<T> {
    async fn new(setup: CoreSetup, mut transport: T) -> io::Result<Core<T>> {
        let CoreSetup { engine: config, listener, ports, files, reporter, spin, shared, progress, .. } = setup;
        transport.listen(&listener)?;
        let shell = Shell {
            core: config.core,
            transport,
            accepting: Accepting::new(listener),
            mesh: Mesh::connect(ports).await,
            files,
            files_rang: true,
            reporter,
            clock: Clock::new(),
            shared,
            give_way: GiveWay::default(),
            spin: Spin::new(spin, T::LOOKS_FREELY),
            last_tick_ms: 0,
            busy_since_tick: false,
            last_rss_ms: 0,
            drain: Drain::default(),
            progress,
        };
        Ok(Core { engine: Engine::new(config), shell })
    }

    /// Runs one turn.
    fn turn(&mut self) -> io::Result<Turn> {
        let Core { engine, shell } = self;
        let (now_ms, sub_us) = shell.clock.now();
        engine.set_sub_us(sub_us);
        let busy = turn(engine, shell, now_ms)?;
        let Shell { drain, files, shared, progress, .. } = shell;
        if drain.is_over(engine, files, shared, progress, now_ms) {
            // Replies of this very turn: after a second signal it waits for nobody, but what was said is sent.
            shell.transport.submit()?;
            return Ok(Turn::Over);
        }
        Ok(if busy { Turn::Busy } else { Turn::Idle })
    }

    /// Decides anew, when it is time, whether to spin.
    #[inline]
    fn weigh_spinning(&mut self) {
        let Core { engine, shell } = self;
        let at = shell.clock.elapsed();
        if shell.spin.wants_reading(at) {
            let cpu = Duration::from_nanos(thread_cpu_ns());
            shell.spin.on_reading(Reading { at, cpu, work: engine.work_done() });
        }
    }

    /// Whether another turn would find nothing to do but what the transport finds. With peers it may be a batch, for which
    /// a look is cheaper than a nap.
    fn is_quiet(&mut self) -> bool {
        let Core { engine, shell } = self;
        let waits = engine.has_ready() || engine.has_backlog() || engine.is_walking() || engine.is_loading();
        !waits && !shell.mesh.has_peers() && !shell.drain.has_begun() && shell.transport.is_quiet(engine)
    }
}

impl<T: Transport> Outside for Shell<T> {
    type Error = io::Error;

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn receive(&mut self) -> Option<Batch> {
        self.mesh.receive()
    }

    /// Handles what is ready, within `TURN_EVENTS_US`. Returns whether there was anything.
    fn serve(&mut self, engine: &mut Engine, began: Duration, now_ms: u64) -> io::Result<bool> {
        self.transport.look()?;
        let mut found = false;
        while let Some(event) = self.transport.next(engine, now_ms)? {
            found = true;
            match event {
                Event::Served => {}
                Event::Accept(door) => self.accept(engine, door, now_ms)?,
                Event::Bell => self.on_doorbell(engine)?,
                Event::Over(id, socket) => self.on_over(engine, id, socket),
            }
            if self.clock.elapsed() - began >= Duration::from_micros(TURN_EVENTS_US) {
                break;
            }
        }
        Ok(found)
    }

    /// Passes on what the files have to say, as far as the engine wants to hear it. True if there was anything.
    fn hear_files(&mut self, engine: &mut Engine, now_ms: u64) -> bool {
        if !self.files_rang && !engine.is_loading() {
            return false;
        }
        self.files_rang = false;
        let mut heard = false;
        while let Ok(event) = self.files.events.try_recv() {
            engine.on_file(event, now_ms);
            heard = true;
        }
        while engine.wants_records()
            && let Ok(event) = self.files.records.try_recv()
        {
            engine.on_file(event, now_ms);
            heard = true;
        }
        heard
    }

    fn tick(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        if now_ms.abs_diff(self.last_tick_ms) >= TICK_MS { self.on_tick(engine, now_ms) } else { Ok(()) }
    }

    fn send(&mut self, engine: &mut Engine, id: SessionId, now_ms: u64) -> io::Result<()> {
        if let Some(socket) = self.transport.send(engine, id, now_ms)? {
            self.on_over(engine, id, socket);
        }
        Ok(())
    }

    fn pass_on(&mut self, engine: &mut Engine) -> bool {
        self.mesh.send_all(engine, &self.shared.doorbells)
    }

    fn ask_files(&mut self, ask: FileAsk) {
        self.files.ask(ask);
    }

    fn log(&mut self, notice: Notice) {
        if let Notice::Shutdown { hurried } = notice {
            self.shared.shutdown.request(hurried);
            self.progress.tell(Step::Draining);
            self.shared.doorbells.ring_all();
        }
        write_notice(&notice);
    }
}

impl<T: Transport> Shell<T> {
    /// Looks for a socket or a batch for so long, or until the next tick. Returns whether there is either.
    fn spin(&mut self, limit: Duration) -> io::Result<bool> {
        self.transport.submit()?;
        let began = self.clock.elapsed();
        let until = began + limit.min(self.until_tick());
        let (mut last, mut gap) = (began, Duration::ZERO);
        let found = loop {
            if self.transport.has_news()? || self.mesh.has_waiting() {
                break true;
            }
            let now = self.clock.elapsed();
            gap = gap.max(now.saturating_sub(last));
            last = now;
            if now >= until {
                break false;
            }
            std::hint::spin_loop();
        };
        self.spin.on_spin(gap);
        Ok(found)
    }

    /// Waits for a socket or a batch until the next tick. Returns whether there is either.
    fn nap(&mut self) -> io::Result<bool> {
        let core = self.core;
        self.spin.on_nap();
        if self.mesh.has_peers() && self.give_way() && self.mesh.has_waiting() {
            return Ok(true);
        }
        let timeout = self.until_tick();
        self.shared.doorbells.lie_down(core);
        let found = if self.mesh.has_waiting() { false } else { self.transport.wait(timeout)? };
        self.shared.doorbells.get_up(core);
        Ok(found || self.mesh.has_waiting())
    }

    /// The time until the next tick is due: sooner if the core had something to do since the last, or looks at sockets that
    /// linger.
    fn until_tick(&self) -> Duration {
        let hurried = self.busy_since_tick || self.drain.has_begun();
        let due_ms = self.last_tick_ms + if hurried { TICK_MS } else { TICK_IDLE_MS };
        // A clock that was set back makes it no longer than usual.
        Duration::from_millis(due_ms.saturating_sub(self.clock.now_ms()).clamp(1, TICK_IDLE_MS))
    }

    /// Yields the CPU to waiting threads, if there is credit for it. Returns whether it did.
    fn give_way(&mut self) -> bool {
        let left = self.clock.elapsed();
        let may = self.give_way.may(left);
        if may {
            rustix::thread::sched_yield();
            self.give_way.on_return(left, self.clock.elapsed());
        }
        may
    }

    /// A connection has ended.
    fn on_over(&mut self, engine: &mut Engine, id: SessionId, socket: OwnedFd) {
        engine.on_disconnect(id);
        self.shared.leave();
        if self.drain.has_begun() {
            self.drain.linger(socket);
        }
    }

    fn on_tick(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        self.last_tick_ms = now_ms;
        engine.on_tick(now_ms);
        self.busy_since_tick = engine.is_monitored();
        self.shared.pulse.beat(self.core, engine.is_loading());
        self.resume_accepting(now_ms)?;
        if now_ms.abs_diff(self.last_rss_ms) >= RSS_INTERVAL_MS {
            self.last_rss_ms = now_ms;
            engine.set_gauges(gauges());
            if engine.shard().counters().evictions > 0 && self.shared.warn_of_eviction(engine.bounds()) {
                warn!(
                    "items are evicted: the cache is full at the default bound of {ITEMS_MAX_DEFAULT} items; for more give \
                     --max-memory, for example --max-memory 1gb, or --max-size"
                );
            }
        }
        Ok(())
    }

    /// A bell rang: for a batch, for the files, because the admin endpoint asks, or for SIGTERM. Then there are no new
    /// connections, and what was read is finished.
    fn on_doorbell(&mut self, engine: &mut Engine) -> io::Result<()> {
        self.files_rang = true;
        if let Some(reporter) = &mut self.reporter
            && reporter.answer(engine)
        {
            self.shared.doorbells.ring(self.core);
        }
        if self.shared.shutdown.is_asked() && !self.drain.has_begun() {
            self.end_accepting()?;
            self.drain.begin(engine.awake_ms() + self.shared.drain_timeout_ms);
            engine.on_drain();
        }
        if self.shared.shutdown.is_hurried() {
            self.drain.hurry(engine.awake_ms());
        }
        Ok(())
    }
}

fn write_notice(notice: &Notice) {
    match notice {
        Notice::CutOff(text) => warn!("{text}"),
        Notice::Http(addr) => warn!(
            "closed the connection from {addr}: it sent POST or Host:, as a web page that attacks this server makes a browser do"
        ),
        // Its client may lose the reply: what it sends behind it makes the kernel reset the connection.
        Notice::NoDatabase(addr) => {
            warn!("closed the connection from {addr}: it asked for a database that is not there");
        }
        Notice::AuthFailed(addr) => debug!("wrong auth key from {addr}"),
        Notice::LogLevel(level) => crate::service::logging::set_level(*level),
        Notice::Snapshot(text) => info!("{text}"),
        Notice::SnapshotFailed(text) => warn!("{text}"),
        Notice::Shutdown { hurried: false } => info!("SHUTDOWN: finishing what was read"),
        Notice::Shutdown { hurried: true } => info!("SHUTDOWN NOW: waiting for no client"),
        Notice::Panic => panic!("DEBUG PANIC"),
    }
}
