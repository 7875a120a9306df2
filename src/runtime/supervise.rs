//! Supervisor: the main thread while the server runs. It follows the cores from start to end, and reports to the line
//! `ready`, to the caller of a daemon, and to the service manager.
//!
//! The watchdog of the service manager is fed only while every core has a pulse.
//! Never: touches a core's data, or waits for anything but the steps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use glommio::{ExecutorJoinHandle, GlommioError};
use tracing::warn;

use super::clock::Clock;
use super::shared::Shared;
use crate::host::StartError;
use crate::limits::{NOTIFY_EXTEND_S, NOTIFY_INTERVAL_S, PULSE_MS_MIN};
use crate::service::notify::Notify;

pub(super) type CoreHandle = ExecutorJoinHandle<Result<(), StartError>>;

/// An error of glommio as a text, since its payload is not `Send`.
pub(super) fn plain(error: &GlommioError<()>) -> Box<dyn std::error::Error + Send + Sync> {
    error.to_string().into()
}

/// A step in the life of a core or of the server.
pub(super) enum Step {
    /// A core accepts connections and has its share of the data.
    Up,
    /// SIGTERM: the drain has begun.
    Draining,
    /// The last snapshot is being written.
    Saving,
    /// A core has ended, or did not start: its handle has the reason.
    Ended(usize),
}

/// Reports the steps of one core; dropping it reports that the core has ended.
pub(super) struct Progress {
    pub(super) core: usize,
    pub(super) steps: Sender<Step>,
}

impl Progress {
    pub(super) fn tell(&self, step: Step) {
        // The supervisor waits until every core has ended, or one has failed.
        let _ = self.steps.send(step);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let _ = self.steps.send(Step::Ended(self.core));
    }
}

/// The phase of the server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Ending,
}

/// The supervisor's view of the cores.
pub(super) struct Supervisor {
    handles: Vec<Option<CoreHandle>>,
    shared: Arc<Shared>,
    notify: Notify,
    phase: Phase,
    up: usize,
    running: usize,
    clock: Clock,
    /// The time between two checks of the cores; `None` if the service manager has no watchdog.
    interval: Option<Duration>,
    /// The time of the last check.
    last_look: Duration,
    /// The progress of the files thread at the last check.
    file_steps: u64,
    drain_timeout_s: u64,
}

impl Supervisor {
    pub(super) fn new(
        handles: Vec<CoreHandle>,
        shared: Arc<Shared>,
        notify: Notify,
        drain_timeout_s: u64,
    ) -> Supervisor {
        let running = handles.len();
        // Twice as often as the watchdog requires, as systemd's manual recommends.
        let own = Duration::from_secs(NOTIFY_INTERVAL_S);
        let interval = notify.is_heard().then(|| notify.watchdog().map_or(own, |watchdog| own.min(watchdog / 2)));
        Supervisor {
            handles: handles.into_iter().map(Some).collect(),
            shared,
            notify,
            phase: Phase::Starting,
            up: 0,
            running,
            clock: Clock::new(),
            interval,
            last_look: Duration::ZERO,
            file_steps: 0,
            drain_timeout_s,
        }
    }

    /// Follows the cores to their end; `all_up` is called when all accept connections, and returns the status text. It returns
    /// at the first core that fails: half a keyspace is not served, and peers of a core that did not start would wait for it
    /// for ever.
    pub(super) fn follow(
        mut self,
        steps: &Receiver<Step>,
        all_up: impl FnOnce() -> Result<String, StartError>,
    ) -> Result<(), StartError> {
        let mut all_up = Some(all_up);
        while self.running > 0 {
            match self.next(steps) {
                Some(Step::Up) => {
                    self.up += 1;
                    if self.up == self.handles.len()
                        && let Some(all_up) = all_up.take()
                    {
                        self.on_up(&all_up()?);
                    }
                }
                Some(Step::Draining) => {
                    self.phase = Phase::Ending;
                    self.notify.send("STOPPING=1\nSTATUS=Finishing what was read");
                    self.extend(self.drain_timeout_s);
                }
                Some(Step::Saving) => self.notify.send("STATUS=Writing the last snapshot"),
                Some(Step::Ended(core)) => self.on_ended(core)?,
                None => self.look(),
            }
        }
        Ok(())
    }

    /// The next step; `None` when a check is due first.
    fn next(&self, steps: &Receiver<Step>) -> Option<Step> {
        let is_asked = self.phase != Phase::Serving || self.notify.watchdog().is_some();
        // `start` keeps a sender, so the channel is never closed.
        let Some(interval) = self.interval.filter(|_| is_asked) else { return steps.recv().ok() };
        let wait = (self.last_look + interval).saturating_sub(self.clock.elapsed());
        steps.recv_timeout(wait).ok()
    }

    fn on_up(&mut self, status: &str) {
        // A signal may have arrived before the last core was up.
        if self.phase == Phase::Starting {
            self.phase = Phase::Serving;
        }
        self.notify.send(&format!("READY=1\nMAINPID={}\nSTATUS={status}", std::process::id()));
    }

    fn on_ended(&mut self, core: usize) -> Result<(), StartError> {
        self.running -= 1;
        let Some(handle) = self.handles[core].take() else { return Ok(()) };
        let failed = |source| StartError::Core { core, what: "executor", source: plain(&source) };
        handle.join().map_err(failed)?
    }

    /// Checks the pulse of every core, and feeds the watchdog if all have one.
    fn look(&mut self) {
        self.last_look = self.clock.elapsed();
        let interval_ms = self.interval.unwrap_or_default().as_millis() as u64;
        if let Some((core, ms)) = self.shared.pulse.silent(interval_ms.max(PULSE_MS_MIN)) {
            warn!("core {core} has not turned for {ms} ms");
            return;
        }
        if self.notify.watchdog().is_some() {
            self.notify.send("WATCHDOG=1");
        }
        // A drain is bounded by itself; a save or load gets more time only while it makes progress.
        let file_steps = self.shared.file_steps.load(Ordering::Relaxed);
        if self.phase != Phase::Serving && std::mem::replace(&mut self.file_steps, file_steps) != file_steps {
            self.extend(0);
        }
    }

    /// Asks the service manager for more time: a load or the last snapshot makes progress, or clients are being drained.
    fn extend(&self, seconds: u64) {
        self.notify.send(&format!("EXTEND_TIMEOUT_USEC={}", (seconds + NOTIFY_EXTEND_S) * 1_000_000));
    }
}
