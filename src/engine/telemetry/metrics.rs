//! Metrics: what the cores counted, as a page in Prometheus's text format 0.0.4.
//!
//! Each core hands out what it counts, a few commands a turn (`Engine::begin_metrics`, `Engine::add_metrics`): some
//! microseconds for each command that was ever run, and nothing is allocated but the answer. Whoever asked makes the page of
//! them, so that no core formats a number. Names begin with
//! `aspine_`, or `process_` where Prometheus's own clients have the name; units are seconds and bytes. What can be said of a
//! core has the label `core`. Commands are told apart summed over the cores, and the cores summed over the commands: both at
//! once would be a hundred thousand lines on a large machine. Files: `page` writes families and samples, `histogram` turns
//! the recorded times into buckets.
//! Never: resets a counter. CONFIG RESETSTAT does, as a restart would.

mod histogram;
pub(in crate::engine) mod page;

use hdrhistogram::Histogram;

use self::histogram::Buckets;
use self::page::{Kind, Page};
use crate::command::connection::REDIS_VERSION;
use crate::engine::telemetry::counters;
use crate::engine::telemetry::meter::Meter;
use crate::engine::telemetry::report::{Report, SnapshotReport, hit_ratios};
use crate::limits::METRICS_STEP_COMMANDS;

/// What one core has counted, to be read elsewhere.
#[derive(Debug)]
pub struct CoreMetrics {
    report: Report,
    turns: Buckets,
    /// Of each command that was asked for at least once.
    commands: Vec<CommandCounts>,
    /// The first row of the table that is still to come.
    next_row: usize,
    maxclients: u32,
}

/// What one core counted of one command.
#[derive(Debug)]
struct CommandCounts {
    name: &'static str,
    times: Buckets,
    rejected: u64,
    failed: u64,
}

impl CoreMetrics {
    /// What a core has counted, but for its commands.
    pub(in crate::engine) fn new(report: Report, turns: &Histogram<u64>, maxclients: u32) -> CoreMetrics {
        CoreMetrics { report, turns: Buckets::of_turns(turns), commands: Vec::new(), next_row: 0, maxclients }
    }

    /// Adds some more of the commands. True if there are others.
    pub(in crate::engine) fn add(&mut self, meter: &Meter) -> bool {
        let most = self.commands.len() + METRICS_STEP_COMMANDS;
        while self.commands.len() < most {
            let Some((row, name, counted)) = meter.counted_from(self.next_row) else { return false };
            self.next_row = row + 1;
            self.commands.push(CommandCounts {
                name,
                times: Buckets::of_times(counted.times().as_ref(), counted.ns),
                rejected: counted.rejected,
                failed: counted.failed,
            });
        }
        true
    }
}

/// What the page tells beside the cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Unix time in milliseconds of the page.
    pub now_ms: u64,
    /// And of the start.
    pub started_ms: u64,
    /// Whether clients are to be sent here: neither loading nor ending.
    pub ready: bool,
    /// Whether the server is about to end.
    pub draining: bool,
    /// Microseconds of CPU time.
    pub cpu_us: u64,
    /// Resident bytes.
    pub resident_bytes: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// File descriptors that are open.
    pub fds: u64,
    /// And that may be.
    pub fds_max: u64,
    /// How many threads the process has.
    pub threads: u64,
}

/// The page. `cores` has a place for each core, empty if it did not answer.
pub fn render(cores: &[Option<CoreMetrics>], server: &Server) -> String {
    let mut page = Page::default();
    let answered: Vec<&CoreMetrics> = cores.iter().flatten().collect();
    about_the_server(&mut page, server, &answered);
    page.family("aspine_core_up", Kind::Gauge, "Whether the core answered when this page was made.");
    for (core, metrics) in cores.iter().enumerate() {
        page.sample("", &[("core", &core.to_string())], u8::from(metrics.is_some()));
    }
    about_the_cores(&mut page, &answered);
    about_the_clients(&mut page, &answered);
    about_the_times(&mut page, &answered);
    if let Some(first) = answered.iter().find(|metrics| metrics.report.core == 0) {
        about_snapshots(&mut page, &answered, &first.report.snapshot, server.now_ms);
    }
    about_the_process(&mut page, server);
    page.into_text()
}

fn about_the_server(page: &mut Page, server: &Server, cores: &[&CoreMetrics]) {
    page.family(
        "aspine_build_info",
        Kind::Gauge,
        "Version of the server, and the version of Redis that it tells clients.",
    );
    page.sample("", &[("version", env!("CARGO_PKG_VERSION")), ("redis_version", REDIS_VERSION)], 1);
    page.gauge("aspine_ready", "Whether clients may be sent here: neither loading nor ending.", u8::from(server.ready));
    page.gauge("aspine_draining", "Whether the server is about to end.", u8::from(server.draining));
    let maxclients = cores.iter().map(|core| core.maxclients).min().unwrap_or(0);
    page.gauge("aspine_connections_max", "Clients that may be connected at once.", maxclients);
    page.family("aspine_core_info", Kind::Gauge, "CPU of each core, and the slots it owns.");
    for core in cores {
        let (report, text) = (&core.report, |number: u64| number.to_string());
        let (first, last) = (text(report.slots.0.into()), text(report.slots.1.into()));
        let labels = [
            ("core", &*text(report.core.into())),
            ("cpu", &*text(report.cpu)),
            ("first_slot", &first),
            ("last_slot", &last),
        ];
        page.sample("", &labels, 1);
    }
}

/// A bound of each core: name, help, where it is.
type Bound = (&'static str, &'static str, fn(&Report) -> u64);

fn about_the_cores(page: &mut Page, cores: &[&CoreMetrics]) {
    for row in counters::numbers() {
        let Some(name) = row.metric else { continue };
        page.family(name, row.kind, row.help);
        for core in cores {
            page.sample("", &[("core", &core.report.core.to_string())], (row.of)(&core.report));
        }
    }
    if let Some(ratios) = hit_ratios(cores.iter().map(|core| &core.report)) {
        let help = "Hit ratio that a part, or a multiple, of the bound would have.";
        page.family("aspine_hit_ratio_estimated", Kind::Gauge, help);
        for (memory, ratio) in ["0.5", "1", "2"].into_iter().zip(ratios) {
            page.sample("", &[("memory", memory)], ratio);
        }
    }
    let bounds: [Bound; 2] = [
        ("aspine_memory_budget_bytes", "What the items of the core may take; +Inf without a bound.", |core| {
            core.bytes_max
        }),
        ("aspine_keys_budget", "How many items the core may keep; +Inf without a bound.", |core| core.items_max),
    ];
    for (name, help, field) in bounds {
        page.family(name, Kind::Gauge, help);
        for core in cores {
            let labels = [("core", &*core.report.core.to_string())];
            match field(&core.report) {
                u64::MAX => page.sample("", &labels, "+Inf"),
                bound => page.sample("", &labels, bound),
            }
        }
    }
}

fn about_the_clients(page: &mut Page, cores: &[&CoreMetrics]) {
    let help = "Clients cut off: idle or stalled, or behind with what was pushed to them.";
    page.family("aspine_clients_cut_off_total", Kind::Counter, help);
    for core in cores {
        let (report, number) = (&core.report, core.report.core.to_string());
        let stalled = report.counters.cut_offs.saturating_sub(report.counters.output_cut_offs);
        page.sample("", &[("core", &number), ("reason", "stalled")], stalled);
        page.sample("", &[("core", &number), ("reason", "output")], report.counters.output_cut_offs);
    }
    let mut errors = std::collections::BTreeMap::<&str, u64>::new();
    for (code, count) in cores.iter().flat_map(|core| &core.report.errors) {
        *errors.entry(code).or_default() += count;
    }
    page.family("aspine_error_replies_total", Kind::Counter, "Error replies by their first word.");
    for (code, count) in errors {
        page.sample("", &[("code", code)], count);
    }
}

fn about_the_times(page: &mut Page, cores: &[&CoreMetrics]) {
    let mut of_commands = std::collections::BTreeMap::<&str, (Buckets, u64, u64)>::new();
    let mut of_cores = Vec::new();
    for core in cores {
        let mut whole = Buckets::default();
        for command in &core.commands {
            whole.add(&command.times);
            let (sum, rejected, failed) = of_commands.entry(command.name).or_default();
            sum.add(&command.times);
            *rejected += command.rejected;
            *failed += command.failed;
        }
        of_cores.push((core.report.core.to_string(), whole));
    }
    let help = "What commands took, by command, all cores together.";
    page.family("aspine_command_duration_seconds", Kind::Histogram, help);
    for (name, (buckets, ..)) in &of_commands {
        buckets.write(page, ("command", name));
    }
    page.family("aspine_commands_rejected_total", Kind::Counter, "Commands refused before they ran.");
    for (name, (_, rejected, _)) in &of_commands {
        page.sample("", &[("command", name)], rejected);
    }
    page.family("aspine_commands_failed_total", Kind::Counter, "Commands that ran and answered with an error.");
    for (name, (_, _, failed)) in &of_commands {
        page.sample("", &[("command", name)], failed);
    }
    let help = "What commands took, by core, all commands together.";
    page.family("aspine_core_command_duration_seconds", Kind::Histogram, help);
    for (core, buckets) in &of_cores {
        buckets.write(page, ("core", core));
    }
    let help = "How long turns took that found something to do; the sum to 1 %.";
    page.family("aspine_turn_duration_seconds", Kind::Histogram, help);
    for core in cores {
        core.turns.write(page, ("core", &core.report.core.to_string()));
    }
}

/// Core 0 takes the snapshots; every core loads its part.
fn about_snapshots(page: &mut Page, cores: &[&CoreMetrics], first: &SnapshotReport, now_ms: u64) {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let loading = cores.iter().any(|core| core.report.snapshot.loading);
    page.gauge("aspine_loading", "Whether a snapshot is being loaded.", u8::from(loading));
    page.gauge(
        "aspine_snapshot_in_progress",
        "Whether a snapshot is being taken.",
        u8::from(first.saving_since_ms.is_some()),
    );
    page.family("aspine_snapshots_total", Kind::Counter, "Snapshots taken.");
    page.sample("", &[], first.saves);
    page.gauge("aspine_snapshot_last_failed", "Whether the last snapshot could not be taken.", u8::from(first.failed));
    page.gauge(
        "aspine_snapshot_last_success_timestamp_seconds",
        "Unix time of the last snapshot; until the first, of the start.",
        seconds(first.saved_ms),
    );
    page.gauge(
        "aspine_snapshot_last_success_age_seconds",
        "Time since then.",
        seconds(now_ms.saturating_sub(first.saved_ms)),
    );
    page.gauge(
        "aspine_snapshot_last_duration_seconds",
        "How long the last snapshot took; 0 until the first.",
        seconds(first.took_ms.unwrap_or(0)),
    );
}

fn about_the_process(page: &mut Page, server: &Server) {
    page.family("process_cpu_seconds_total", Kind::Counter, "CPU time of the process.");
    page.sample("", &[], server.cpu_us as f64 / 1e6);
    page.gauge("process_resident_memory_bytes", "Resident memory.", server.resident_bytes);
    page.gauge("process_virtual_memory_bytes", "Address space.", server.virtual_bytes);
    page.gauge("process_open_fds", "File descriptors open.", server.fds);
    page.gauge("process_max_fds", "File descriptors that may be open.", server.fds_max);
    page.gauge("process_threads", "Threads.", server.threads);
    page.gauge("process_start_time_seconds", "Unix time of the start.", server.started_ms as f64 / 1000.0);
}
