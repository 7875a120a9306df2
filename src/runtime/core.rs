//! Core: the loop of one core. A turn takes what is ready, feeds it to the engine and carries out its effects.
//!
//! ```text
//! turn:  batches from peers ─▶ ready sockets ─▶ tick if due ─▶ sliced work ─▶ sends ─▶ batches to peers
//!        nothing was ready:  spin a while if told to; give way; nap until a socket, a batch or the next tick; still
//!                            nothing: park
//! ```
//! Never: awaits inside a turn, blocks, takes an unbounded turn.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use rustix::io::Errno;
use rustix::net::SendFlags;
use tracing::{debug, info, warn};

use super::admin::Reporter;
use super::clock::Clock;
use super::connection::{Connection, Outcome};
use super::drain::Drain;
use super::files::CoreFiles;
use super::give_way::GiveWay;
use super::listener::CoreListener;
use super::mesh::{Bell, Mesh, Ports};
use super::poller::{Interest, Poller, Ready};
use super::shared::Shared;
use super::supervise::{Progress, Step};
use crate::engine::files::FileAsk;
use crate::engine::turn::{Outside, turn};
use crate::engine::{Batch, Engine, EngineConfig, Notice, Peer, SessionId};
use crate::host::StartError;
use crate::host::process::gauges;
use crate::limits::{
    ACCEPT_PAUSE_MS, READ_BUFFER_BYTES, RSS_INTERVAL_MS, TICK_IDLE_MS, TICK_MS, TURN_ACCEPTS_MAX, TURN_EVENTS_US,
};
use crate::slot::CoreId;

/// The arguments of a core.
pub(super) struct CoreSetup {
    pub(super) engine: EngineConfig,
    pub(super) listener: CoreListener,
    pub(super) ports: Ports,
    pub(super) files: CoreFiles,
    /// The reporter to the admin endpoint, if there is one.
    pub(super) reporter: Option<Reporter>,
    /// The time to poll before parking (`--spin-us`).
    pub(super) spin: Duration,
    pub(super) shared: Arc<Shared>,
    /// Reports to the supervisor when the core is up; dropping it reports that the core has ended.
    pub(super) progress: Progress,
}

const TOKEN_TCP: u64 = u64::MAX;
const TOKEN_UNIX: u64 = u64::MAX - 1;
const TOKEN_DOORBELL: u64 = u64::MAX - 2;
const TOKEN_OWN: u64 = u64::MAX - 3;

/// One core: its engine, and what surrounds it.
struct Core {
    engine: Engine,
    shell: Shell,
}

/// What surrounds one core's engine: sockets, mesh, files, clock.
struct Shell {
    core: CoreId,
    poller: Poller,
    /// The listening sockets; `None` once the drain has begun.
    listener: Option<CoreListener>,
    /// The connections by session index.
    connections: Vec<Option<Connection>>,
    /// Sockets that were ready at the last poll, and how many of them have been handled.
    ready: Vec<Ready>,
    handled: usize,
    mesh: Mesh,
    files: CoreFiles,
    /// Whether the files thread may have sent something.
    files_rang: bool,
    reporter: Option<Reporter>,
    clock: Clock,
    shared: Arc<Shared>,
    buffer: Box<[u8]>,
    /// A spare descriptor, closed when descriptors run out, so that a client can be accepted and refused.
    reserve: Option<OwnedFd>,
    /// The time until which accepting pauses.
    accept_after_ms: Option<u64>,
    give_way: GiveWay,
    last_tick_ms: u64,
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

/// Runs a core until the process ends.
pub(super) async fn run(setup: CoreSetup) -> Result<(), StartError> {
    let core = usize::from(setup.engine.core.0);
    let failed = |what| move |source: io::Error| StartError::Core { core, what, source: Box::new(source) };
    let bell = Rc::new(Bell::default());
    let spin = setup.spin;
    let mesh = Mesh::connect(setup.ports, &bell).await;
    let mut core = Core::new(setup.engine, setup.listener, mesh, setup.files, setup.shared, setup.progress)
        .map_err(failed("socket setup"))?;
    core.shell.reporter = setup.reporter;
    start_ticker(Rc::clone(&bell));
    let mut is_up = false;
    let mut idle_since = None;
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
                idle_since = None;
                bell.note_busy();
            }
            Turn::Idle => {
                if spin > Duration::ZERO {
                    let elapsed = core.shell.clock.elapsed();
                    if elapsed - *idle_since.get_or_insert(elapsed) < spin {
                        continue;
                    }
                }
                if !core.shell.nap().map_err(failed("nap"))? {
                    continue;
                }
                if core.shell.drain.has_begun() {
                    // Sockets that linger are looked at each time.
                    bell.note_busy();
                }
                core.shell.poller.park(&bell).await.map_err(failed("park"))?;
                idle_since = None;
                if core.shell.mesh.has_peers() {
                    // The tasks that receive were woken with us; theirs first.
                    future::yield_now().await;
                }
            }
        }
    }
}

/// Rings the bell every tick, so that a parked core wakes up for it.
fn start_ticker(bell: Rc<Bell>) {
    glommio::spawn_local(async move {
        loop {
            let tick_ms = if bell.take_busy() { TICK_MS } else { TICK_IDLE_MS };
            glommio::timer::sleep(Duration::from_millis(tick_ms)).await;
            bell.ring();
        }
    })
    .detach();
}

impl Core {
    fn new(
        config: EngineConfig,
        listener: CoreListener,
        mesh: Mesh,
        files: CoreFiles,
        shared: Arc<Shared>,
        progress: Progress,
    ) -> io::Result<Core> {
        let poller = Poller::new()?;
        poller.add_doorbell(shared.doorbells.bell(config.core), TOKEN_DOORBELL)?;
        let shell = Shell {
            core: config.core,
            poller,
            listener: Some(listener),
            connections: Vec::new(),
            ready: Vec::new(),
            handled: 0,
            mesh,
            files,
            files_rang: true,
            reporter: None,
            clock: Clock::new(),
            shared,
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            reserve: open_reserve(),
            accept_after_ms: None,
            give_way: GiveWay::default(),
            last_tick_ms: 0,
            last_rss_ms: 0,
            drain: Drain::default(),
            progress,
        };
        start_accepting(shell.listener.as_ref(), &shell.poller)?;
        Ok(Core { engine: Engine::new(config), shell })
    }

    /// Runs one turn.
    fn turn(&mut self) -> io::Result<Turn> {
        let Core { engine, shell } = self;
        let (now_ms, sub_us) = shell.clock.now();
        engine.set_sub_us(sub_us);
        let busy = turn(engine, shell, now_ms)?;
        let Shell { drain, files, shared, progress, buffer, .. } = shell;
        if drain.is_over(engine, files, shared, progress, buffer, now_ms) {
            return Ok(Turn::Over);
        }
        Ok(if busy { Turn::Busy } else { Turn::Idle })
    }
}

impl Outside for Shell {
    type Error = io::Error;

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn receive(&mut self) -> Option<Batch> {
        self.mesh.receive()
    }

    /// Handles sockets that are ready, within `TURN_EVENTS_US`. Returns whether there were any.
    fn serve(&mut self, engine: &mut Engine, began: Duration, now_ms: u64) -> io::Result<bool> {
        if self.handled == self.ready.len() {
            self.poller.poll(&mut self.ready, 0)?;
            self.handled = 0;
        }
        let found = self.handled < self.ready.len();
        while let Some(event) = self.ready.get(self.handled) {
            self.handled += 1;
            self.on_event(engine, *event, now_ms)?;
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
        self.flush(engine, id, now_ms)
    }

    /// With peers a turn sends everything. On two CPUs runs are of a fast and a slow kind (scripts/events_numbers.py, cores);
    /// with slices the median was of the slow kind in each of three series, without in one of two.
    fn slices_pushes(&self) -> bool {
        !self.mesh.has_peers()
    }

    fn pass_on(&mut self, engine: &mut Engine) -> bool {
        self.mesh.send_all(engine, &self.shared.doorbells)
    }

    fn ask_files(&mut self, ask: FileAsk) {
        self.files.ask(ask);
    }

    fn log(&mut self, notice: Notice) {
        write_notice(&notice);
    }
}

impl Shell {
    /// Waits for a socket or a batch until the next tick. True if there was neither: the core is idle.
    fn nap(&mut self) -> io::Result<bool> {
        let core = self.core;
        if self.mesh.has_peers() && self.give_way() && self.mesh.has_waiting() {
            return Ok(false);
        }
        self.shared.doorbells.lie_down(core);
        if !self.mesh.has_waiting() {
            self.poller.poll(&mut self.ready, TICK_MS)?;
            self.handled = 0;
        }
        self.shared.doorbells.get_up(core);
        Ok(self.ready.is_empty() && !self.mesh.has_waiting())
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

    fn on_event(&mut self, engine: &mut Engine, event: Ready, now_ms: u64) -> io::Result<()> {
        match event.token {
            TOKEN_TCP | TOKEN_OWN | TOKEN_UNIX => self.accept(engine, event.token, now_ms),
            TOKEN_DOORBELL => self.on_doorbell(engine),
            bits => self.on_socket(engine, event, SessionId::from_bits(bits), now_ms),
        }
    }

    #[inline]
    fn on_socket(&mut self, engine: &mut Engine, event: Ready, id: SessionId, now_ms: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return Ok(());
        };
        if connection.id() != id {
            // An earlier event of this turn closed the connection, and its index was reused.
            return Ok(());
        }
        if event.writable {
            connection.on_writable();
        }
        let mut outcome = Outcome::Open;
        if event.readable && connection.is_read() {
            outcome = connection.on_readable(engine, &mut self.buffer, now_ms);
        } else if event.gone {
            outcome = Outcome::Over;
        }
        match outcome {
            Outcome::Over => self.close(engine, id),
            Outcome::Open if event.writable => return self.flush(engine, id, now_ms),
            Outcome::Open => connection.settle(engine, &self.poller)?,
        }
        Ok(())
    }

    #[inline]
    fn flush(&mut self, engine: &mut Engine, id: SessionId, now_ms: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return Ok(());
        };
        debug_assert!(connection.id() == id, "a session and its connection come and go together");
        match connection.flush(engine, now_ms) {
            Outcome::Over => self.close(engine, id),
            Outcome::Open => connection.settle(engine, &self.poller)?,
        }
        Ok(())
    }

    fn close(&mut self, engine: &mut Engine, id: SessionId) {
        if let Some(connection) = self.connections.get_mut(id.index as usize).and_then(Option::take) {
            connection.detach(&self.poller);
            engine.on_disconnect(id);
            self.shared.leave();
            if self.drain.has_begun() {
                self.drain.linger(connection.into_socket(), &mut self.buffer);
            }
        }
    }

    fn accept(&mut self, engine: &mut Engine, token: u64, now_ms: u64) -> io::Result<()> {
        for _ in 0..TURN_ACCEPTS_MAX {
            match self.accept_one(token) {
                Ok(Some((socket, peer))) => self.admit(engine, socket, peer, now_ms)?,
                Ok(None) => return Ok(()),
                Err(error) => return self.on_accept_error(engine, token, &error, now_ms),
            }
        }
        Ok(())
    }

    fn admit(&mut self, engine: &mut Engine, socket: OwnedFd, mut peer: Peer, now_ms: u64) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        if !self.shared.admit(engine.maxclients()) {
            engine.on_refused();
            refuse(&socket);
            return Ok(());
        }
        peer.fd = socket.as_raw_fd();
        let id = engine.on_connect(peer, now_ms);
        let index = id.index as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.connections[index] = Some(Connection::new(socket, id, &self.poller)?);
        Ok(())
    }

    fn accept_one(&self, token: u64) -> io::Result<Option<(OwnedFd, Peer)>> {
        match &self.listener {
            Some(listener) if token == TOKEN_UNIX => listener.accept_unix(),
            Some(listener) => listener.accept_tcp(token == TOKEN_OWN),
            None => Ok(None),
        }
    }

    /// Accepting pauses, on every socket of this core: one that is ready and can't be accepted from would keep the core
    /// busy. Out of descriptors, those who wait are told, one after the other by the descriptor kept for that.
    fn on_accept_error(&mut self, engine: &mut Engine, token: u64, error: &io::Error, now_ms: u64) -> io::Result<()> {
        warn!("cannot accept a connection: {error}; accepting pauses for {ACCEPT_PAUSE_MS} ms");
        if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) {
            self.reserve = None;
            for _ in 0..TURN_ACCEPTS_MAX {
                let Ok(Some((socket, _))) = self.accept_one(token) else { break };
                engine.on_refused();
                refuse(&socket);
            }
            self.reserve = open_reserve();
        }
        if self.accept_after_ms.is_none() {
            self.stop_accepting()?;
        }
        self.accept_after_ms = Some(now_ms + ACCEPT_PAUSE_MS);
        Ok(())
    }

    fn stop_accepting(&self) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        self.poller.remove(&listener.tcp)?;
        if let Some(own) = &listener.own {
            self.poller.remove(own)?;
        }
        listener.unix.as_ref().map_or(Ok(()), |unix| self.poller.remove(unix))
    }

    fn on_tick(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<()> {
        self.last_tick_ms = now_ms;
        engine.on_tick(now_ms);
        self.shared.pulse.beat(self.core, engine.is_loading());
        if self.accept_after_ms.is_some_and(|after_ms| now_ms >= after_ms) {
            self.accept_after_ms = None;
            start_accepting(self.listener.as_ref(), &self.poller)?;
        }
        if now_ms.abs_diff(self.last_rss_ms) >= RSS_INTERVAL_MS {
            self.last_rss_ms = now_ms;
            engine.set_gauges(gauges());
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
            if self.accept_after_ms.is_none() {
                self.stop_accepting()?;
            }
            // The sockets are closed, so that new clients are refused at once.
            self.listener = None;
            self.drain.begin(engine.awake_ms() + self.shared.drain_timeout_ms);
            engine.on_drain();
        }
        if self.shared.shutdown.is_hurried() {
            self.drain.hurry(engine.awake_ms());
        }
        Ok(())
    }
}

fn start_accepting(listener: Option<&CoreListener>, poller: &Poller) -> io::Result<()> {
    let Some(listener) = listener else { return Ok(()) };
    poller.add(&listener.tcp, TOKEN_TCP, Interest::READ)?;
    if let Some(own) = &listener.own {
        poller.add(own, TOKEN_OWN, Interest::READ)?;
    }
    listener.unix.as_ref().map_or(Ok(()), |unix| poller.add_exclusive(unix, TOKEN_UNIX))
}

/// Refuses a client with an error, without waiting for it to read.
fn refuse(socket: &OwnedFd) {
    let text = b"-ERR max number of clients reached\r\n";
    let _ = rustix::net::send(socket, text, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

fn open_reserve() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

fn write_notice(notice: &Notice) {
    match notice {
        Notice::CutOff(text) => warn!("{text}"),
        Notice::AuthFailed(addr) => debug!("wrong auth key from {addr}"),
        Notice::LogLevel(level) => crate::service::logging::set_level(*level),
        Notice::Snapshot(text) => info!("{text}"),
        Notice::SnapshotFailed(text) => warn!("{text}"),
        Notice::Panic => panic!("DEBUG PANIC"),
    }
}
