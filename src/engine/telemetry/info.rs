//! INFO: the reports of all cores as text, in Redis's sections and field names where the meaning is the same.
//!
//! A field of Redis that would mean something else here is left out. Files: here the sections and which of them are
//! wanted; `usage` what commands took; `persistence` snapshots; `memory` what MEMORY says of the same reports.

mod memory;
mod persistence;
mod usage;

use std::fmt::Write;

pub(in crate::engine) use self::memory::{memory_doctor, memory_stats};

use crate::command::connection::REDIS_VERSION;
use crate::command::settings::{Settings, policy_name};
use crate::engine::env::ProcessFacts;
use crate::engine::telemetry::counters::{self, Section};
use crate::engine::telemetry::report::{Report, hit_ratios};
use crate::limits::TICKS_PER_S;
use crate::resp::Args;

struct Page<'a> {
    reports: &'a [Report],
    settings: &'a Settings,
    process: &'a ProcessFacts,
    now_ms: u64,
}

type Part = (&'static str, fn(&Page<'_>, &mut String) -> std::fmt::Result);

/// In Redis's order. `Aspine` is ours.
const SECTIONS: [Part; 14] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence::section),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Modules", modules),
    ("Commandstats", usage::commands),
    ("Errorstats", usage::errors),
    ("Latencystats", usage::latencies),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
    ("Aspine", aspine),
];

const COMMANDSTATS: Sections = Sections(1 << 8);
const LATENCYSTATS: Sections = Sections(1 << 10);
const ALL: Sections = Sections((1 << SECTIONS.len()) - 1);
const DEFAULT: Sections = Sections(ALL.0 & !COMMANDSTATS.0 & !LATENCYSTATS.0);

/// A set of sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Sections(u32);

impl Sections {
    /// The sections that INFO's arguments name, in any case: names of sections, `default`, `all`, `everything`. Unknown names
    /// name none, as in Redis; no argument means `default`.
    pub(in crate::engine) fn parse(args: Args<'_>) -> Sections {
        if args.is_empty() {
            return DEFAULT;
        }
        let named = |arg: &[u8]| match arg.to_ascii_lowercase().as_slice() {
            b"default" => DEFAULT.0,
            b"all" | b"everything" => ALL.0,
            name => {
                let at = SECTIONS.iter().position(|(section, _)| section.as_bytes().eq_ignore_ascii_case(name));
                at.map_or(0, |at| 1 << at)
            }
        };
        Sections(args.iter().fold(0, |all, arg| all | named(arg)))
    }

    fn has(self, other: Sections) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether cores must report what commands took.
    pub(in crate::engine) fn need_usage(self) -> bool {
        self.has(COMMANDSTATS) || self.has(LATENCYSTATS)
    }

    /// Whether they must report the whole histograms.
    pub(in crate::engine) fn need_times(self) -> bool {
        self.has(LATENCYSTATS)
    }
}

/// The text of INFO for the sections that `args` name.
pub(in crate::engine) fn render(
    args: Args<'_>,
    reports: &[Report],
    settings: &Settings,
    process: &ProcessFacts,
    now_ms: u64,
) -> String {
    let page = Page { reports, settings, process, now_ms };
    let wanted = Sections::parse(args);
    let mut text = String::new();
    for (at, (name, section)) in SECTIONS.iter().enumerate() {
        if !wanted.has(Sections(1 << at)) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let mut lines = String::new();
        // Writing to a String does not fail.
        let _ = section(&page, &mut lines);
        let _ = write!(text, "# {name}\r\n{}", lines.replace('\n', "\r\n"));
    }
    text
}

impl Page<'_> {
    fn sum(&self, field: impl Fn(&Report) -> u64) -> u64 {
        self.reports.iter().map(field).fold(0, u64::saturating_add)
    }

    /// What each core has read of the whole process: the newest reading is the largest.
    fn max(&self, field: impl Fn(&Report) -> u64) -> u64 {
        self.reports.iter().map(field).max().unwrap_or(0)
    }

    /// The lines of a section that are one number each.
    fn numbers(&self, section: Section, text: &mut String) -> std::fmt::Result {
        counters::lines(section, self.reports).try_for_each(|(name, number)| writeln!(text, "{name}:{number}"))
    }

    fn uptime_s(&self) -> u64 {
        self.now_ms.saturating_sub(self.process.started_ms) / 1000
    }
}

fn server(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let process = page.process;
    writeln!(text, "redis_version:{REDIS_VERSION}")?;
    writeln!(text, "aspine_version:{}", env!("CARGO_PKG_VERSION"))?;
    writeln!(text, "redis_git_sha1:00000000\nredis_git_dirty:0\nredis_build_id:0")?;
    writeln!(text, "redis_mode:{}", if process.shows_cluster() { "cluster" } else { "standalone" })?;
    writeln!(text, "os:{}", process.os)?;
    writeln!(text, "arch_bits:{}", usize::BITS)?;
    writeln!(text, "monotonic_clock:POSIX clock_gettime")?;
    let (transport, why) = &process.transport;
    writeln!(text, "multiplexing_api:{}", if *transport == "ring" { "io_uring" } else { transport })?;
    writeln!(text, "transport:{transport}")?;
    writeln!(text, "transport_reason:{why}")?;
    writeln!(text, "process_id:{}", process.pid)?;
    writeln!(text, "process_supervised:no")?;
    writeln!(text, "run_id:{}", process.run_id)?;
    writeln!(text, "tcp_port:{}", process.port)?;
    writeln!(text, "server_time_usec:{}", page.now_ms.saturating_mul(1000))?;
    writeln!(text, "uptime_in_seconds:{}", page.uptime_s())?;
    writeln!(text, "uptime_in_days:{}", page.uptime_s() / 86_400)?;
    writeln!(text, "hz:{TICKS_PER_S}\nconfigured_hz:{TICKS_PER_S}")?;
    writeln!(text, "executable:{}", process.executable)?;
    writeln!(text, "config_file:\nio_threads_active:{}", u8::from(page.reports.len() > 1))
}

fn clients(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    page.numbers(Section::Clients, text)?;
    writeln!(text, "cluster_connections:0")?;
    writeln!(text, "maxclients:{}", page.settings.maxclients)?;
    writeln!(text, "clients_in_timeout_table:0")
}

fn memory(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let memory::Sums { startup, used, peak, rss, overhead, .. } = memory::Sums::new(page.reports);
    let dataset = used.saturating_sub(overhead);
    let maxmemory = bound(page.settings.bytes_max);
    for (name, bytes) in [("used_memory", used), ("used_memory_rss", rss), ("used_memory_peak", peak)] {
        writeln!(text, "{name}:{bytes}\n{name}_human:{}", human(bytes))?;
    }
    writeln!(text, "used_memory_peak_perc:{:.2}%", percent(used, peak))?;
    writeln!(text, "used_memory_overhead:{overhead}")?;
    writeln!(text, "used_memory_startup:{startup}")?;
    writeln!(text, "used_memory_dataset:{dataset}")?;
    writeln!(text, "used_memory_dataset_perc:{:.2}%", percent(dataset, used.saturating_sub(startup)))?;
    for (name, bytes) in [("total_system_memory", page.process.memory_bytes), ("maxmemory", maxmemory)] {
        writeln!(text, "{name}:{bytes}\n{name}_human:{}", human(bytes))?;
    }
    writeln!(text, "maxmemory_items:{}", bound(page.settings.items_max))?;
    writeln!(text, "maxmemory_policy:{}", policy_name(page.settings.eviction))?;
    writeln!(text, "mem_fragmentation_ratio:{:.2}", if used == 0 { 0.0 } else { rss as f64 / used as f64 })?;
    writeln!(text, "mem_fragmentation_bytes:{}", rss.cast_signed().saturating_sub(used.cast_signed()))?;
    writeln!(text, "mem_allocator:mimalloc")?;
    zeros(
        text,
        &[
            "used_memory_lua",
            "used_memory_vm_eval",
            "used_memory_vm_functions",
            "used_memory_vm_total",
            "used_memory_functions",
            "used_memory_scripts",
            "used_memory_scripts_eval",
            "number_of_cached_scripts",
            "number_of_functions",
            "number_of_libraries",
            "mem_not_counted_for_evict",
            "mem_replication_backlog",
            "mem_total_replication_buffers",
            "mem_clients_slaves",
            "mem_cluster_links",
            "mem_aof_buffer",
            "active_defrag_running",
        ],
    )
}

fn stats(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    page.numbers(Section::Stats, text)?;
    writeln!(text, "instantaneous_ops_per_sec:{}", page.sum(|core| core.per_s[0]))?;
    writeln!(text, "instantaneous_input_kbps:{:.2}", kib(page.sum(|core| core.per_s[1])))?;
    writeln!(text, "instantaneous_output_kbps:{:.2}", kib(page.sum(|core| core.per_s[2])))?;
    writeln!(text, "total_error_replies:{}", page.sum(|core| core.errors.values().sum()))?;
    zeros(
        text,
        &[
            "instantaneous_input_repl_kbps",
            "instantaneous_output_repl_kbps",
            "total_net_repl_input_bytes",
            "total_net_repl_output_bytes",
            "sync_full",
            "sync_partial_ok",
            "sync_partial_err",
            "expired_stale_perc",
            "expired_time_cap_reached_count",
            "evicted_clients",
            "latest_fork_usec",
            "total_forks",
            "migrate_cached_sockets",
            "slave_expires_tracked_keys",
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
            "total_active_defrag_time",
            "current_active_defrag_time",
            "unexpected_error_replies",
        ],
    )
}

/// Fields of Redis for what is not there: replicas, scripts, forks. Tools read them all the same.
fn zeros(text: &mut String, names: &[&str]) -> std::fmt::Result {
    names.iter().try_for_each(|name| writeln!(text, "{name}:0"))
}

/// A master that has no replicas, and no backlog for any.
fn replication(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    writeln!(text, "role:master\nconnected_slaves:0\nmaster_failover_state:no-failover")?;
    writeln!(text, "master_replid:{}\nmaster_replid2:{:040}", page.process.run_id, 0)?;
    writeln!(text, "master_repl_offset:0\nsecond_repl_offset:-1")?;
    zeros(text, &["repl_backlog_active", "repl_backlog_size", "repl_backlog_first_byte_offset", "repl_backlog_histlen"])
}

fn cpu(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let seconds = |us: u64| us as f64 / 1e6;
    writeln!(text, "used_cpu_sys:{:.6}", seconds(page.max(|core| core.gauges.cpu_sys_us)))?;
    writeln!(text, "used_cpu_user:{:.6}", seconds(page.max(|core| core.gauges.cpu_user_us)))?;
    writeln!(text, "used_cpu_sys_children:0.000000\nused_cpu_user_children:0.000000")
}

fn modules(_page: &Page<'_>, _text: &mut String) -> std::fmt::Result {
    Ok(())
}

fn cluster(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    writeln!(text, "cluster_enabled:{}", u8::from(page.process.shows_cluster()))
}

/// `avg_ttl` is exact: the shards keep the sum of their deadlines.
fn keyspace(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    for number in 0..usize::from(page.settings.databases) {
        let parts = || page.reports.iter().filter_map(|core| core.databases.get(number));
        let keys: u64 = parts().map(|part| part.keys).sum();
        if keys == 0 {
            continue;
        }
        let timed: u64 = parts().map(|part| part.timed_keys).sum();
        let deadlines = parts().map(|part| u128::from(part.timed_keys) * u128::from(part.deadline_ms_mean));
        let mean_ms = deadlines.sum::<u128>().checked_div(timed.into()).unwrap_or(0);
        let avg_ttl = mean_ms.saturating_sub(page.now_ms.into());
        writeln!(text, "db{number}:keys={keys},expires={timed},avg_ttl={avg_ttl}")?;
    }
    Ok(())
}

/// Ours. `avg_access_count` is hits per key that is stored now: a key that went took its share of hits with it.
fn aspine(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let (keys, hits) = (page.sum(|core| core.keys), page.sum(|core| core.hits));
    writeln!(text, "cores:{}", page.reports.len())?;
    writeln!(text, "max_size:{}", bound(page.settings.items_max))?;
    writeln!(text, "uptime:{}", page.uptime_s())?;
    writeln!(text, "avg_access_count:{:.2}", if keys == 0 { 0.0 } else { hits as f64 / keys as f64 })?;
    page.numbers(Section::Aspine, text)?;
    if let Some([half, whole, twice]) = hit_ratios(page.reports.iter()) {
        writeln!(text, "hit_ratio:{whole:.4}")?;
        writeln!(text, "hit_ratio_half_memory:{half:.4}\nhit_ratio_twice_memory:{twice:.4}")?;
    }
    page.reports.iter().try_for_each(|core| core_row(core, text))
}

fn core_row(core: &Report, text: &mut String) -> std::fmt::Result {
    let micros = |ns: u64| ns as f64 / 1000.0;
    write!(text, "core{}:cpu={},slots={}-{}", core.core, core.cpu, core.slots.0, core.slots.1)?;
    write!(text, ",clients={},keys={},bytes={}", core.clients, core.keys, core.bytes)?;
    write!(text, ",items_max={},bytes_max={}", bound(core.items_max), bound(core.bytes_max))?;
    write!(text, ",operations={},forwarded={}", core.counters.operations, core.counters.forwarded)?;
    write!(text, ",outbox_depth={},turns={}", core.outbox_depth, core.turns)?;
    write!(text, ",turn_us_p50={:.1},turn_us_p99={:.1}", micros(core.turn_ns_p50), micros(core.turn_ns_p99))?;
    write!(text, ",turn_us_p999={:.1},turn_us_max={:.1}", micros(core.turn_ns_p999), micros(core.turn_ns_max))?;
    writeln!(text, ",turn_rehashed_max={}", core.turn_rehashed_max)
}

/// No bound is written as 0, as Redis does.
fn bound(max: u64) -> u64 {
    if max == u64::MAX { 0 } else { max }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Bytes as Redis prints them for people.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["K", "M", "G", "T"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes}B") } else { format!("{value:.2}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Span;

    fn parse(words: &[&str]) -> Sections {
        let mut start = 0;
        let span = |word: &&str| {
            start += word.len() as u32;
            Span { start: start - word.len() as u32, len: word.len() as u32 }
        };
        let spans: Vec<_> = words.iter().map(span).collect();
        Sections::parse(Args::new(words.concat().as_bytes(), &spans))
    }

    #[test]
    fn sections_are_named_as_in_redis() {
        assert_eq!(SECTIONS.map(|(name, _)| name)[8], "Commandstats");
        assert_eq!(SECTIONS.map(|(name, _)| name)[10], "Latencystats");
        assert_eq!(parse(&[]), DEFAULT);
        assert_eq!(parse(&["Default"]), DEFAULT);
        assert_eq!((parse(&["all"]), parse(&["EVERYTHING"])), (ALL, ALL));
        assert_eq!(parse(&["bogus"]), Sections(0));
        assert_eq!(parse(&["bogus", "SERVER", "server"]), Sections(1));
        assert_eq!(parse(&["default", "commandstats"]), Sections(DEFAULT.0 | COMMANDSTATS.0));
        assert!(!DEFAULT.need_usage() && COMMANDSTATS.need_usage() && !COMMANDSTATS.need_times());
        assert!(LATENCYSTATS.need_usage() && LATENCYSTATS.need_times());
    }
}
