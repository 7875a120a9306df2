//! Run: connections, lanes, phases: the keys are preloaded, then all lanes begin at the same instant.
//!
//! The calling thread only conducts: it reports progress, and samples the server's process when the measured part begins
//! and when the last lane has ended. A lane that panics ends the run: its channel closes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, Scope};
use std::time::Duration;

use rustix::fd::OwnedFd;

use super::connect::connect_all;
use super::error::BenchError;
use super::lane::{Lane, Orders, Phase, Source};
use super::options::{Clocks, Length, Options};
use super::random::Random;
use super::record::Record;
use super::schedule::{Rate, Schedule, Stop};
use super::workload::{Values, Workload};
use crate::limits::{BENCH_LOAD_PIPELINE_MIN, BENCH_START_NS, BENCH_WATCH_NS};

/// The resource usage of the server's process so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerUsage {
    /// The CPU time, in microseconds.
    pub cpu_us: u64,
    /// The resident memory, in bytes.
    pub rss_bytes: u64,
}

/// The progress of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The name of the step: `preload`, `warm up`, `measure`.
    pub step: &'static str,
    /// The number of operations answered in this step.
    pub answered: u64,
    /// The done share of this step, in thousandths.
    pub permille: u64,
}

/// The surroundings of a run.
pub struct Watch<'a> {
    /// A flag that ends the run when it is set.
    pub stop: &'a AtomicBool,
    /// Reads the resource usage of the server's process; `None` if it is not known.
    pub server: &'a dyn Fn() -> Option<ServerUsage>,
    /// Receives the progress, some times a second.
    pub progress: &'a mut dyn FnMut(Progress),
    /// The clocks.
    pub clocks: Clocks,
}

/// The result of the preload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loaded {
    /// The number of stored keys.
    pub keys: u64,
    /// The number of failed SETs.
    pub errors: u64,
    /// The duration of the preload, in seconds.
    pub seconds: f64,
}

/// The result of a run.
#[derive(Debug)]
pub struct Measured {
    /// What all lanes measured together.
    pub record: Record,
    /// The seconds from the begin of the measured part to its last reply.
    pub seconds: f64,
    /// The resource usage of the server in the measured part; the memory is that at the end.
    pub server: Option<ServerUsage>,
    /// The preload, if there was one.
    pub loaded: Option<Loaded>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

/// A message of a lane to the conductor.
enum Told {
    Loaded(Record),
    Ran(Record),
    Failed(io::Error),
}

/// Runs a workload against a server.
pub fn run(options: &Options, watch: Watch<'_>) -> Result<Measured, BenchError> {
    let mut workload =
        Workload::new(options.mix.clone(), options.keys, options.key_dist, options.value_bytes, options.ttl_s);
    if let Some(trace) = options.trace.as_ref().filter(|trace| !trace.sizes.is_empty()) {
        workload.values = Values::of_keys(Arc::clone(&trace.sizes));
    }
    let lanes = options.lanes.len();
    let mut fds = connect_all(options)?;
    let orders = Orders {
        protocol: options.protocol,
        workload: &workload,
        verify: options.verify,
        fill_on_miss: options.fill_on_miss,
        timeout_ns: options.timeout_ns,
        spin_ns: options.spin_ns,
        clocks: watch.clocks,
        stop: watch.stop,
    };
    let answered: Vec<AtomicU64> = (0..lanes).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let mut starts = Vec::new();
        for (lane, answered) in answered.iter().enumerate().rev() {
            let of_lane =
                fds.split_off(share(options.connections as u64, lane, lanes).start as usize * options.target.ports());
            let (start, started) = mpsc::channel();
            starts.push(start);
            let setup = LaneSetup { lane, options, orders: &orders, answered, fds: of_lane };
            setup
                .spawn(scope, tell.clone(), started)
                .map_err(|source| BenchError::Setup { what: "a thread", source })?;
        }
        drop(tell);
        Conductor { options, answered: &answered, watch, told, starts }.conduct()
    })
}

/// A lane's contiguous share of `count` things; all lanes together cover them.
fn share(count: u64, lane: usize, lanes: usize) -> std::ops::Range<u64> {
    let begin = |lane: usize| (u128::from(count) * lane as u128 / lanes as u128) as u64;
    begin(lane)..begin(lane + 1)
}

/// The arguments of a lane's thread.
struct LaneSetup<'a> {
    lane: usize,
    options: &'a Options,
    orders: &'a Orders<'a>,
    answered: &'a AtomicU64,
    fds: Vec<OwnedFd>,
}

impl<'a> LaneSetup<'a> {
    fn spawn<'s>(self, scope: &'s Scope<'s, '_>, tell: Sender<Told>, start: Receiver<u64>) -> io::Result<()>
    where
        'a: 's,
    {
        let name = format!("lane {}", self.lane);
        // If another lane has failed, there is no receiver any more.
        let told = move |told: Told| drop(tell.send(told));
        thread::Builder::new().name(name).spawn_scoped(scope, move || match self.run(&told, &start) {
            Ok(Some(record)) => told(Told::Ran(record)),
            Ok(None) => {}
            Err(error) => told(Told::Failed(error)),
        })?;
        Ok(())
    }

    /// Runs both phases; `None` if another lane has failed before the start.
    fn run(self, tell: &dyn Fn(Told), start: &Receiver<u64>) -> io::Result<Option<Record>> {
        let LaneSetup { lane, options, orders, answered, fds } = self;
        let lanes = options.lanes.len();
        if let Some(cpu) = options.lanes[lane] {
            let mut cpus = rustix::thread::CpuSet::new();
            cpus.set(cpu);
            rustix::thread::sched_setaffinity(None, &cpus)?;
        }
        if options.rate.is_some() {
            // The slack by which the kernel may delay a sleeper; the default is 50 µs. A refusal only makes sends later.
            let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        }
        let now_ns = orders.clocks.now_ns;
        let mut this =
            Lane::new(orders, answered, fds, options.target.ports(), Random::new(options.seed, lane as u64))?;
        let part = share(options.preload, lane, lanes);
        if options.preload > 0 {
            let stop = Stop::AfterOperations(part.end - part.start);
            let schedule = Schedule::new(now_ns(), 0, stop, None);
            let pipeline = options.pipeline.max(BENCH_LOAD_PIPELINE_MIN);
            tell(Told::Loaded(this.run(Phase { schedule, source: Source::Load { next: part.start }, pipeline })));
        }
        let Ok(begin_ns) = start.recv() else { return Ok(None) };
        let stop = match options.length {
            Length::Ns(ns) => Stop::AfterNs(ns),
            // Of a trace each lane plays every so-and-so-many-th access, from its own on.
            Length::Operations(count) if options.trace.is_some() => {
                Stop::AfterOperations((count + (lanes - 1 - lane) as u64) / lanes as u64)
            }
            Length::Operations(count) => {
                let part = share(count, lane, lanes);
                Stop::AfterOperations(part.end - part.start)
            }
        };
        let source = match &options.trace {
            Some(trace) => Source::Trace { trace: Arc::clone(trace), next: lane, step: lanes },
            None => Source::Drawn,
        };
        let rate = options.rate.map(|per_s| Rate { per_s, lane: lane as u64, lanes: lanes as u64 });
        let schedule = Schedule::new(begin_ns, options.warmup_ns, stop, rate);
        Ok(Some(this.run(Phase { schedule, source, pipeline: options.pipeline })))
    }
}

/// The calling thread's part of a run.
struct Conductor<'a, 'w> {
    options: &'a Options,
    answered: &'a [AtomicU64],
    watch: Watch<'w>,
    told: Receiver<Told>,
    starts: Vec<Sender<u64>>,
}

impl Conductor<'_, '_> {
    fn conduct(mut self) -> Result<Measured, BenchError> {
        let now_ns = self.watch.clocks.now_ns;
        let loaded = if self.options.preload > 0 { Some(self.follow_load()?) } else { None };
        let before = self.answered();
        let begin_ns = now_ns() + BENCH_START_NS;
        let measure_from_ns = begin_ns + self.options.warmup_ns;
        // Without a warm-up the server has to be sampled now.
        let mut from = (self.options.warmup_ns == 0).then(|| (self.watch.server)());
        for start in self.starts.drain(..) {
            let _ = start.send(begin_ns);
        }
        let mut record = Record::default();
        let mut running = self.answered.len();
        while running > 0 {
            let now = now_ns();
            let until_sample = if from.is_none() { measure_from_ns.saturating_sub(now) } else { u64::MAX };
            if until_sample == 0 {
                from = Some((self.watch.server)());
            }
            match self.wait(until_sample.min(BENCH_WATCH_NS))? {
                Some(Told::Ran(more)) => {
                    record += more;
                    running -= 1;
                }
                Some(Told::Loaded(_) | Told::Failed(_)) => unreachable!("told before, or an error"),
                None => self.tell_progress(now_ns(), begin_ns, measure_from_ns, before),
            }
        }
        let server = match (from.flatten(), (self.watch.server)()) {
            (Some(from), Some(to)) => {
                Some(ServerUsage { cpu_us: to.cpu_us.saturating_sub(from.cpu_us), rss_bytes: to.rss_bytes })
            }
            _ => None,
        };
        let end_ns = if record.last_reply_ns == 0 { now_ns() } else { record.last_reply_ns };
        Ok(Measured {
            seconds: end_ns.saturating_sub(measure_from_ns) as f64 / 1e9,
            server,
            loaded,
            interrupted: self.watch.stop.load(Ordering::Relaxed),
            record,
        })
    }

    /// Waits until all lanes have stored their share of the keys.
    fn follow_load(&mut self) -> Result<Loaded, BenchError> {
        let now_ns = self.watch.clocks.now_ns;
        let begin_ns = now_ns();
        let mut record = Record::default();
        let mut loading = self.answered.len();
        while loading > 0 {
            match self.wait(BENCH_WATCH_NS)? {
                Some(Told::Loaded(more)) => {
                    record += more;
                    loading -= 1;
                }
                Some(Told::Ran(_) | Told::Failed(_)) => unreachable!("nobody has started them, or an error"),
                None => {
                    let answered = self.answered();
                    let permille = answered * 1000 / self.options.preload;
                    (self.watch.progress)(Progress { step: "preload", answered, permille });
                }
            }
        }
        let errors = record.errors();
        if let Some(first) = record.first_fault.take().filter(|_| !self.watch.stop.load(Ordering::Relaxed)) {
            return Err(BenchError::Failed {
                errors,
                operations: self.options.preload,
                first: format!("preload: {first}"),
            });
        }
        Ok(Loaded { keys: record.answered(), errors, seconds: (now_ns() - begin_ns) as f64 / 1e9 })
    }

    /// The next message of a lane, or none within `ns`.
    fn wait(&self, ns: u64) -> Result<Option<Told>, BenchError> {
        match self.told.recv_timeout(Duration::from_nanos(ns)) {
            Ok(Told::Failed(source)) => Err(BenchError::Setup { what: "a lane", source }),
            Ok(told) => Ok(Some(told)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(BenchError::Setup { what: "a lane", source: io::Error::other("its thread ended") })
            }
        }
    }

    fn answered(&self) -> u64 {
        self.answered.iter().map(|lane| lane.load(Ordering::Relaxed)).sum()
    }

    fn tell_progress(&mut self, now_ns: u64, begin_ns: u64, measure_from_ns: u64, before: u64) {
        let answered = self.answered() - before;
        let (step, permille) = if now_ns < measure_from_ns {
            ("warm up", (now_ns.saturating_sub(begin_ns)) * 1000 / self.options.warmup_ns.max(1))
        } else {
            let done = match self.options.length {
                Length::Ns(ns) => u128::from(now_ns - measure_from_ns) * 1000 / u128::from(ns.max(1)),
                Length::Operations(count) => u128::from(answered) * 1000 / u128::from(count.max(1)),
            };
            ("measure", done.min(1000) as u64)
        };
        (self.watch.progress)(Progress { step, answered, permille });
    }
}
