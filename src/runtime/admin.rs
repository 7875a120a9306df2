//! Admin: the HTTP endpoint for monitoring: `/metrics`, `/healthz`, `/readyz`. A thread of its own, off the cores' CPUs if
//! there is another.
//!
//! ```text
//! loop:  accept ─▶ ready connections: read, send ─▶ complete requests: health and readiness at once,
//!        metrics together, from one gather of all cores ─▶ close what is past its deadline
//! ```
//! Health is read from the cores' `pulse`, without asking a core. Metrics are gathered anew for each request, so a page is
//! never older than its request; requests that arrive together share one gather, and two gathers are at least
//! `ADMIN_GATHER_PAUSE_MS` apart, so that no monitoring client can slow down the cores.
//! Bounded: connections, the head of a request, the time from accepting to closing. When all connections are in use, the
//! one that has been longest without a request is closed, so a crowd of slow clients keeps no probe out.
//! Never: reads an item, takes a command, blocks a core.

mod connection;
mod gather;
mod http;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{info, warn};

use self::connection::Connection;
use self::gather::Gatherer;
pub(super) use self::gather::Reporter;
use self::http::{Content, Page, Status};
use super::clock::Clock;
use super::files::free_cpus;
use super::listener;
use super::shared::Shared;
use crate::engine::metrics::{Server, render};
use crate::host::StartError;
use crate::host::process;
use crate::limits::{
    ACCEPT_PAUSE_MS, ADMIN_CONNECTIONS_MAX, ADMIN_DEADLINE_MS, ADMIN_GATHER_PAUSE_MS, ADMIN_GRACE_MS, SILENT_MS_MAX,
};

/// The priority: below the cores, if the thread shares a CPU with one, but high enough to answer a probe in time.
const NICE: i32 = 10;

/// The listening socket, before the thread starts.
pub(super) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Binds the socket.
    pub(super) fn bind(address: SocketAddr) -> Result<Admin, StartError> {
        let listen = || {
            let socket = listener::tcp(address, false)?;
            listener::listen(&socket)?;
            let socket = TcpListener::from(socket);
            Ok((socket.local_addr()?, socket))
        };
        let (address, listener) = listen().map_err(|source| StartError::Admin { address, source })?;
        Ok(Admin { listener, address })
    }

    /// Starts the thread. Returns the reporters of the cores.
    pub(super) fn start(self, cpus: &[usize], started_ms: u64, shared: &Arc<Shared>) -> io::Result<Vec<Reporter>> {
        let (gatherer, reporters) = Gatherer::new(cpus.len(), shared);
        let (free, shared, listener) = (free_cpus(cpus), Arc::clone(shared), self.listener);
        let builder = std::thread::Builder::new().name("admin".to_owned());
        builder.spawn(move || {
            if let Some(free) = free {
                // A failure only means that the thread may run on a core's CPU; likewise below.
                let _ = rustix::thread::sched_setaffinity(None, &free);
            }
            let _ = rustix::process::nice(NICE);
            Loop::new(listener, gatherer, started_ms, shared).run();
        })?;
        info!("admin endpoint: http://{}/metrics, /healthz, /readyz", self.address);
        Ok(reporters)
    }
}

struct Loop {
    listener: TcpListener,
    gatherer: Gatherer,
    started_ms: u64,
    shared: Arc<Shared>,
    clock: Clock,
    /// The connections in the order of accepting.
    connections: Vec<Connection>,
    /// The time of the last gather.
    gathered: Option<Duration>,
    /// The time until which accepting pauses.
    accept_after: Duration,
}

impl Loop {
    fn new(listener: TcpListener, gatherer: Gatherer, started_ms: u64, shared: Arc<Shared>) -> Loop {
        Loop {
            listener,
            gatherer,
            started_ms,
            shared,
            clock: Clock::new(),
            connections: Vec::new(),
            gathered: None,
            accept_after: Duration::ZERO,
        }
    }

    fn run(mut self) {
        loop {
            if let Err(error) = self.pass() {
                // No client can cause this; perhaps the kernel is out of memory for a moment.
                warn!("admin endpoint: {error}; it pauses for {ACCEPT_PAUSE_MS} ms");
                self.connections.clear();
                #[expect(clippy::disallowed_methods, reason = "there is no event to wait for: waiting is what failed")]
                std::thread::sleep(Duration::from_millis(ACCEPT_PAUSE_MS));
            }
        }
    }

    /// Waits for the next event, and handles all that are due.
    fn pass(&mut self) -> io::Result<()> {
        let now = self.clock.elapsed();
        let wait = self.next_event(now).map(|at| at.saturating_sub(now));
        let timeout = wait.map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        });
        let ready = {
            let accepts = self.may_accept(now);
            let listener = PollFd::new(&self.listener, if accepts { PollFlags::IN } else { PollFlags::empty() });
            let sockets = self.connections.iter().map(|one| PollFd::from_borrowed_fd(one.as_fd(), one.interest()));
            let mut fds: Vec<PollFd<'_>> = std::iter::once(listener).chain(sockets).collect();
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<bool>>()
        };
        let now = self.clock.elapsed();
        for (connection, ready) in self.connections.iter_mut().zip(&ready[1..]) {
            if *ready {
                connection.on_ready();
            }
        }
        if ready[0] {
            self.accept(now);
        }
        self.answer(now);
        let late = Duration::from_millis(ADMIN_DEADLINE_MS);
        self.connections.retain(|one| !one.is_over() && now.saturating_sub(one.since) < late);
        Ok(())
    }

    /// The time of the next work that needs no event; `None` if there is none.
    fn next_event(&self, now: Duration) -> Option<Duration> {
        let deadlines = self.connections.iter().map(|one| one.since + Duration::from_millis(ADMIN_DEADLINE_MS));
        let full = self.connections.len() >= ADMIN_CONNECTIONS_MAX;
        let room = self.connections.iter().find(|one| full && one.may_go());
        let room = room.map(|one| one.since + Duration::from_millis(ADMIN_GRACE_MS)).filter(|at| *at > now);
        let accepting = Some(self.accept_after).filter(|at| *at > now);
        let gathering = self.connections.iter().any(|one| one.request().is_some()).then(|| self.gather_after());
        deadlines.min().into_iter().chain(room).chain(accepting).chain(gathering).min()
    }

    fn gather_after(&self) -> Duration {
        self.gathered.map_or(Duration::ZERO, |at| at + Duration::from_millis(ADMIN_GATHER_PAUSE_MS))
    }

    /// Whether a connection may be accepted, if need be in place of an idle one.
    fn may_accept(&self, now: Duration) -> bool {
        now >= self.accept_after && (self.connections.len() < ADMIN_CONNECTIONS_MAX || self.idler(now).is_some())
    }

    /// The connection that has been longest without a request, if it had time enough for one.
    fn idler(&self, now: Duration) -> Option<usize> {
        let grace = Duration::from_millis(ADMIN_GRACE_MS);
        self.connections.iter().position(|one| one.may_go() && now.saturating_sub(one.since) >= grace)
    }

    fn accept(&mut self, now: Duration) {
        while self.may_accept(now) {
            match self.listener.accept().and_then(|(socket, _)| Connection::new(socket, now)) {
                Ok(mut connection) => {
                    // Most clients send their request with the last packet of the handshake.
                    connection.on_ready();
                    if self.connections.len() >= ADMIN_CONNECTIONS_MAX
                        && let Some(idler) = self.idler(now)
                    {
                        self.connections.remove(idler);
                    }
                    self.connections.push(connection);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client gave up while it waited in the backlog.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    warn!("admin endpoint: cannot accept a connection: {error}; it pauses for {ACCEPT_PAUSE_MS} ms");
                    self.accept_after = now + Duration::from_millis(ACCEPT_PAUSE_MS);
                    return;
                }
            }
        }
    }

    /// Answers all complete requests; metrics as soon as the next gather is allowed.
    fn answer(&mut self, now: Duration) {
        let asked = |page| move |one: &Connection| one.request().is_some_and(|request| request.page == Ok(page));
        let metrics = (self.connections.iter().any(asked(Page::Metrics)) && now >= self.gather_after()).then(|| {
            let cores = self.gatherer.gather(&self.clock);
            self.gathered = Some(self.clock.elapsed());
            Rc::<str>::from(render(&cores, &self.server()))
        });
        let (health, readiness) = (self.health(), self.readiness());
        for connection in &mut self.connections {
            let Some(request) = connection.request() else { continue };
            match (request.page, &metrics) {
                (Ok(Page::Metrics), Some(body)) => connection.answer(Status::Ok, Content::Metrics, body),
                (Ok(Page::Metrics), None) => {}
                (Ok(Page::Health), _) => say(connection, &health),
                (Ok(Page::Ready), _) => say(connection, &readiness),
                (Err(status), _) => connection.answer(status, Content::Text, &Rc::from(status.text())),
            }
        }
    }

    /// An error naming the core that is silent, if one is.
    fn health(&self) -> Result<(), String> {
        match self.shared.pulse.silent(SILENT_MS_MAX) {
            None => Ok(()),
            Some((core, ms)) => Err(format!("core {core} has been silent for {} s\n", ms / 1000)),
        }
    }

    /// An error with the reason why clients should not be sent here, if there is one.
    fn readiness(&self) -> Result<(), String> {
        if self.shared.shutdown.is_asked() {
            return Err("draining\n".to_owned());
        }
        if self.shared.pulse.is_loading() {
            return Err("loading\n".to_owned());
        }
        self.health()
    }

    fn server(&self) -> Server {
        let gauges = process::gauges();
        let vitals = process::vitals();
        Server {
            now_ms: self.clock.now_ms(),
            started_ms: self.started_ms,
            ready: self.readiness().is_ok(),
            draining: self.shared.shutdown.is_asked(),
            cpu_us: gauges.cpu_user_us + gauges.cpu_sys_us,
            resident_bytes: gauges.rss_bytes,
            virtual_bytes: vitals.virtual_bytes,
            fds: vitals.fds,
            fds_max: vitals.fds_max,
            threads: vitals.threads,
        }
    }
}

fn say(connection: &mut Connection, state: &Result<(), String>) {
    match state {
        Ok(()) => connection.answer(Status::Ok, Content::Text, &Rc::from(Status::Ok.text())),
        Err(why) => connection.answer(Status::Unavailable, Content::Text, &Rc::from(why.as_str())),
    }
}
