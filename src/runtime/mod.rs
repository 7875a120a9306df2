//! Runtime: the shell around the engines: executors, sockets, channels, timers. It alone knows glommio.
//!
//! | file | what |
//! |---|---|
//! | `mod` | start, join and end of the process |
//! | `core` | one core's loop: a turn takes what is ready, feeds the engine, carries out its effects |
//! | `transport` | how a core reaches its sockets: what is accepted, read, sent and waited for |
//! | `listener` | listening sockets |
//! | `accept` | takes in the clients that wait there |
//! | `mesh` | the channels between cores |
//! | `shared` | the state that all cores share |
//! | `clock`, `stopwatch` | the only clock; the reading by which commands are measured |
//! | `doorbell` | wakes a core that naps |
//! | `files` | the thread that reads and writes snapshots |
//! | `give_way` | whether a core yields its CPU before it naps |
//! | `allocator` | returns unused pages to the kernel |
//! | `drain` | the end of one core: answers and delivers what was read |
//! | `supervise` | the main thread while the server runs |
//! | `sys` | a safe wrapper of a system call |
//! | `pulse`, `admin` | whether the cores are alive; the monitoring endpoint |

mod accept;
mod admin;
mod allocator;
pub mod clock;
mod core;
mod doorbell;
mod drain;
pub mod files;
mod give_way;
mod listener;
mod mesh;
mod pulse;
mod shared;
mod spin;
mod stopwatch;
mod supervise;
mod sys;
mod transport;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};
use tracing::{error, info, warn};

use crate::command::output_limit::OutputLimits;
use crate::command::settings::{Settings, Watch};
use crate::config::{ServerConfig, table};
use crate::engine::files::SnapshotConfig;
use crate::engine::{EngineConfig, ProcessFacts};
use crate::host::{StartError, Transport, process};
use crate::limits::{IO_MEMORY_BYTES, RING_DEPTH, SNAPSHOT_NAME_DEFAULT};
use crate::service::notify::Notify;
use crate::service::signals::Shutdown;
use crate::slot::{CoreId, Slot};

use self::admin::{Admin, Reporter};
use self::clock::Clock;
use self::core::CoreSetup;
use self::doorbell::Doorbells;
use self::files::{CoreFiles, Directory, DirectoryError};
use self::listener::Listeners;
use self::pulse::Pulse;
use self::shared::Shared;
use self::supervise::{CoreHandle, Progress, Step, Supervisor, plain};

/// glommio's preempt timer. Not the 1 ms one would think: in 0.9.0 an executor whose timer fires between its I/O poll
/// and its task queues sleeps although a task is ready, until the next event (`run_task_queues` reports that nothing
/// ran). A core has one long-lived task that slices its own work, so nothing needs to be preempted.
const PREEMPT_TIMER: Duration = Duration::from_secs(3600);

/// Runs the server until SIGTERM or SIGINT. `ready` is called with a line of its addresses when it serves.
pub fn start(
    config: &ServerConfig,
    transport: Transport,
    ready: impl FnOnce(&str) -> Result<(), StartError>,
) -> Result<(), StartError> {
    end_process_on_panic();
    process::without_huge_pages();
    let doorbells =
        Doorbells::new(config.cpus.len()).map_err(|source| StartError::Setup { what: "the doorbells", source })?;
    let listeners = Listeners::bind(config)?;
    let admin = config.admin_addr.map(Admin::bind).transpose()?;
    let ports = PortFacts { all: listeners.port(), own: listeners.core_ports().to_vec() };
    let addresses = listeners.describe();
    let shared = Arc::new(Shared {
        clients: AtomicU32::new(0),
        cores_drained: AtomicU32::new(0),
        is_over: AtomicBool::new(false),
        save_failed: AtomicBool::new(false),
        warns_of_eviction: AtomicBool::new(config.bounds_are_default),
        file_steps: AtomicU64::new(0),
        drain_timeout_ms: config.drain_timeout_s.saturating_mul(1000),
        shutdown: Shutdown::default(),
        doorbells,
        pulse: Pulse::new(config.cpus.len()),
    });
    let (progress, steps) = mpsc::channel();
    let started_ms = Clock::new().now_ms();
    listen_to_signals(&shared, progress.clone())
        .map_err(|source| StartError::Setup { what: "signal handling", source })?;
    let notify = Notify::from_env();
    let files = start_files(config, &shared)?;
    let reporters = start_admin(admin, config, started_ms, &shared)?;
    if config.persist {
        info!("listening on {addresses}; loading {SNAPSHOT_NAME_DEFAULT}, if it is there");
        notify.send(&format!("STATUS=Loading {SNAPSHOT_NAME_DEFAULT}"));
    }
    let helpers = files.into_iter().zip(reporters).collect();
    let process = process_facts(config, &ports, started_ms);
    info!("transport: {} ({})", if transport.own_ring { "ring" } else { "epoll" }, transport.why);
    let handles = spawn_cores(config, listeners, helpers, (process, transport), &shared, &progress)?;
    let supervisor = Supervisor::new(handles, Arc::clone(&shared), notify, config.drain_timeout_s);
    let result = supervisor.follow(&steps, || {
        let line = announce(config, &addresses, &ports);
        ready(&line)?;
        Ok(format!("Serving on {addresses}"))
    });
    if let Some(path) = &config.unix_socket {
        // A file that is gone already needs no removal.
        let _ = std::fs::remove_file(path);
    }
    info!("stopped");
    result?;
    if shared.save_failed.load(Ordering::SeqCst) { Err(StartError::LastSnapshot) } else { Ok(()) }
}

/// Wakes every core by its doorbell at a signal that ends the server.
fn listen_to_signals(shared: &Arc<Shared>, steps: mpsc::Sender<Step>) -> std::io::Result<()> {
    let told = Arc::clone(shared);
    shared.shutdown.listen(move || {
        // The supervisor outlives the cores.
        let _ = steps.send(Step::Draining);
        told.doorbells.ring_all();
    })
}

/// The unix time in milliseconds, for subcommands other than the server.
pub fn unix_ms() -> u64 {
    Clock::new().now_ms()
}

/// Starts the files thread. With `--persist` or `--data-dir` the directory is opened and locked at once; without, it is not
/// created or held before the first SAVE, but one that another server holds by then is refused all the same.
fn start_files(config: &ServerConfig, shared: &Arc<Shared>) -> Result<Vec<CoreFiles>, StartError> {
    let path = &config.data_dir;
    let wanted = config.persist || config.data_dir_is_given;
    let opened = if wanted { Directory::open(path).map(Some) } else { Directory::check_unused(path).map(|()| None) };
    let directory = match opened {
        Ok(directory) => directory,
        // Only a client's SAVE would need the directory, and its reply says why it fails.
        Err(DirectoryError::Unusable(source)) if !config.persist => {
            warn!("SAVE will fail: cannot use the data directory {}: {source}", path.display());
            None
        }
        Err(error) => return Err(StartError::DataDir { path: path.clone(), source: error.into() }),
    };
    let load = config.persist.then(|| SnapshotConfig::default().name);
    Ok(files::start(&config.data_dir, &config.cpus, config.databases, shared, directory, load))
}

/// Starts the admin endpoint, if configured. Returns a reporter, or none, for each core.
fn start_admin(
    admin: Option<Admin>,
    config: &ServerConfig,
    started_ms: u64,
    shared: &Arc<Shared>,
) -> Result<Vec<Option<Reporter>>, StartError> {
    let Some(admin) = admin else { return Ok(config.cpus.iter().map(|_| None).collect()) };
    let reporters = admin.start(&config.cpus, started_ms, shared);
    let reporters = reporters.map_err(|source| StartError::Setup { what: "the admin endpoint", source })?;
    Ok(reporters.into_iter().map(Some).collect())
}

/// Logs the CPU and slots of each core and the bound in force. Returns the `ready` line, which the caller logs.
fn announce(config: &ServerConfig, addresses: &str, ports: &PortFacts) -> String {
    info!("{}", config.bounds_line());
    let cores = config.cpus.len() as u16;
    for (core, cpu) in config.cpus.iter().enumerate() {
        let (first, last) = Slot::range(CoreId(core as u16), cores);
        let port = ports.own.get(core).map(|port| format!(", port {port}")).unwrap_or_default();
        info!("core {core}: cpu {cpu}, slots {}-{}{port}", first.0, last.0);
    }
    format!("ready: listening on {addresses}{}", config.bounds_note())
}

fn spawn_cores(
    config: &ServerConfig,
    listeners: Listeners,
    helpers: Vec<(CoreFiles, Option<Reporter>)>,
    (mut process, transport): (ProcessFacts, Transport),
    shared: &Arc<Shared>,
    steps: &mpsc::Sender<Step>,
) -> Result<Vec<CoreHandle>, StartError> {
    let cores = config.cpus.len() as u16;
    let mut seeds = clock::random_seeds();
    process.run_id = run_id(&process, seeds.next_u64());
    let settings = settings(config, &process);
    let hash_seeds = [seeds.next_u64(), seeds.next_u64(), seeds.next_u64(), seeds.next_u64()];
    let mut handles = Vec::new();
    let ports = mesh::ports(cores);
    let stopwatch = stopwatch::choose();
    let helpers = listeners.into_iter().zip(ports).zip(helpers).enumerate();
    for (number, ((listener, ports), (files, reporter))) in helpers {
        let core = CoreId(number as u16);
        let cpu = config.cpus[number];
        let setup = CoreSetup {
            engine: EngineConfig {
                core,
                cores,
                cpu,
                settings: settings.clone(),
                auth_key: config.auth_key.clone(),
                hash_seeds,
                random_seed: seeds.next_u64(),
                snapshots: SnapshotConfig {
                    interval_ms: config.persist.then_some(config.snapshot_interval_s.saturating_mul(1000)),
                    bandwidth: config.snapshot_bandwidth,
                    loading: config.persist,
                    ..SnapshotConfig::default()
                },
                process: process.clone(),
                stopwatch,
            },
            listener,
            ports,
            files,
            reporter,
            spin: config.spin,
            transport: transport.clone(),
            shared: Arc::clone(shared),
            progress: Progress { core: number, steps: steps.clone() },
        };
        let handle = LocalExecutorBuilder::new(Placement::Fixed(cpu))
            .name(&format!("core-{number}"))
            .io_memory(IO_MEMORY_BYTES as usize)
            .ring_depth(RING_DEPTH as usize)
            .preempt_timer(PREEMPT_TIMER)
            .spawn(move || core::run(setup));
        match handle {
            Ok(handle) => handles.push(handle),
            Err(source) => {
                // The other cores wait for this one; they end with the process.
                return Err(StartError::Core { core: number, what: "executor", source: plain(&source) });
            }
        }
    }
    Ok(handles)
}

/// Makes a panic in one thread end the process at once, after logging it: half a keyspace is not served.
fn end_process_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        error!("panic in thread {name}: {panic}");
        // The log's thread may not write any more.
        let _ = writeln!(std::io::stderr(), "aspine: panic in thread {name}: {panic}; the process ends");
        std::process::abort();
    }));
}

/// The run id: 40 hexadecimal digits, new at every start.
fn run_id(process: &ProcessFacts, random: u64) -> String {
    format!("{random:016x}{:016x}{:08x}", process.started_ms, process.pid)
}

/// The ports of the server.
struct PortFacts {
    /// The one port, of all cores.
    all: u16,
    /// The core ports; empty without `--core-ports`.
    own: Vec<u16>,
}

fn process_facts(config: &ServerConfig, ports: &PortFacts, started_ms: u64) -> ProcessFacts {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    ProcessFacts {
        pid: std::process::id(),
        run_id: String::new(),
        port: ports.all,
        core_ports: ports.own.clone(),
        announced_host: config.announce_host.clone(),
        host: reachable(config.hosts[0]).to_string(),
        started_ms,
        memory_bytes: process::memory_bytes(),
        os: format!("{} {} {}", text(uname.sysname()), text(uname.release()), text(uname.machine())),
        executable: std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default(),
        transport: Default::default(),
    }
}

/// An address at which the server is reachable from its own machine.
fn reachable(host: IpAddr) -> IpAddr {
    match host.to_canonical() {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}

fn settings(config: &ServerConfig, process: &ProcessFacts) -> Settings {
    Settings {
        items_max: config.items_max,
        bytes_max: config.bytes_max,
        eviction: config.eviction,
        maxclients: config.maxclients,
        databases: config.databases,
        maxclients_max: config.maxclients_max,
        idle_timeout_s: config.idle_timeout_s,
        tcp_keepalive_s: config.tcp_keepalive_s,
        notify: Default::default(),
        output_limits: OutputLimits { pubsub: config.output_limit, ..OutputLimits::default() },
        watch: Watch::default(),
        tracked_keys_max: config.tracked_keys_max,
        active_expire: true,
        log_level: config.log_level,
        has_key: config.auth_key.is_some(),
        debug: config.debug,
        fixed: table::fixed(config, process),
    }
}
