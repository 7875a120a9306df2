//! INFO: the reports of all cores as text, in Redis's sections and field names where the meaning is the same.

use std::fmt::Write;

use crate::command::connection::REDIS_VERSION;
use crate::command::settings::{Settings, policy_name};
use crate::engine::ProcessFacts;
use crate::engine::stats::Report;
use crate::resp::Args;

struct Page<'a> {
    reports: &'a [Report],
    settings: &'a Settings,
    process: &'a ProcessFacts,
    now_ms: u64,
}

type Section = (&'static str, fn(&Page<'_>, &mut String) -> std::fmt::Result);

const SECTIONS: [Section; 8] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Keyspace", keyspace),
    ("Aspine", aspine),
];

/// The text of INFO for the sections `args` name; all of them if it names none, or `all`, `default`, `everything`.
pub(super) fn render(
    args: Args<'_>,
    reports: &[Report],
    settings: &Settings,
    process: &ProcessFacts,
    now_ms: u64,
) -> String {
    let page = Page { reports, settings, process, now_ms };
    let wanted = |name: &str| {
        args.is_empty()
            || args.iter().any(|arg| {
                let any: [&[u8]; 3] = [b"all", b"default", b"everything"];
                arg.eq_ignore_ascii_case(name.as_bytes()) || any.iter().any(|any| arg.eq_ignore_ascii_case(any))
            })
    };
    let mut text = String::new();
    for (name, section) in SECTIONS.iter().filter(|(name, _)| wanted(name)) {
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

    fn uptime_s(&self) -> u64 {
        self.now_ms.saturating_sub(self.process.started_ms) / 1000
    }
}

fn server(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let process = page.process;
    writeln!(text, "redis_version:{REDIS_VERSION}")?;
    writeln!(text, "aspine_version:{}", env!("CARGO_PKG_VERSION"))?;
    writeln!(text, "redis_mode:standalone")?;
    writeln!(text, "os:{}", process.os)?;
    writeln!(text, "arch_bits:{}", usize::BITS)?;
    writeln!(text, "multiplexing_api:io_uring")?;
    writeln!(text, "process_id:{}", process.pid)?;
    writeln!(text, "run_id:{}", process.run_id)?;
    writeln!(text, "tcp_port:{}", process.port)?;
    writeln!(text, "server_time_usec:{}", page.now_ms.saturating_mul(1000))?;
    writeln!(text, "uptime_in_seconds:{}", page.uptime_s())?;
    writeln!(text, "uptime_in_days:{}", page.uptime_s() / 86_400)?;
    writeln!(text, "executable:{}", process.executable)?;
    writeln!(text, "config_file:")
}

fn clients(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    writeln!(text, "connected_clients:{}", page.sum(|core| core.clients))?;
    writeln!(text, "maxclients:{}", page.settings.maxclients)?;
    writeln!(text, "blocked_clients:0")
}

fn memory(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let used = page.sum(|core| core.bytes);
    let rss = page.reports.iter().map(|core| core.rss_bytes).max().unwrap_or(0);
    let maxmemory = if page.settings.bytes_max == u64::MAX { 0 } else { page.settings.bytes_max };
    writeln!(text, "used_memory:{used}")?;
    writeln!(text, "used_memory_human:{}", human(used))?;
    writeln!(text, "used_memory_rss:{rss}")?;
    writeln!(text, "used_memory_rss_human:{}", human(rss))?;
    writeln!(text, "maxmemory:{maxmemory}")?;
    writeln!(text, "maxmemory_human:{}", human(maxmemory))?;
    writeln!(text, "maxmemory_policy:{}", policy_name(page.settings.eviction))?;
    writeln!(text, "mem_allocator:mimalloc")
}

fn persistence(_page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    writeln!(text, "loading:0")
}

fn stats(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    writeln!(text, "total_connections_received:{}", page.sum(|core| core.connections))?;
    writeln!(text, "total_commands_processed:{}", page.sum(|core| core.commands))?;
    writeln!(text, "total_net_input_bytes:{}", page.sum(|core| core.bytes_in))?;
    writeln!(text, "total_net_output_bytes:{}", page.sum(|core| core.bytes_out))?;
    writeln!(text, "rejected_connections:{}", page.sum(|core| core.connections_refused))?;
    writeln!(text, "expired_keys:{}", page.sum(|core| core.expirations))?;
    writeln!(text, "evicted_keys:{}", page.sum(|core| core.evictions))?;
    writeln!(text, "keyspace_hits:{}", page.sum(|core| core.hits))?;
    writeln!(text, "keyspace_misses:{}", page.sum(|core| core.misses))?;
    writeln!(text, "total_error_replies:{}", page.sum(|core| core.errors))?;
    writeln!(text, "acl_access_denied_auth:{}", page.sum(|core| core.auth_failures))
}

fn replication(_page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    writeln!(text, "role:master")?;
    writeln!(text, "connected_slaves:0")
}

fn keyspace(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let keys = page.sum(|core| core.keys);
    if keys == 0 {
        return Ok(());
    }
    writeln!(text, "db0:keys={keys},expires={},avg_ttl=0", page.sum(|core| core.timed_keys))
}

fn aspine(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    writeln!(text, "cores:{}", page.reports.len())?;
    writeln!(text, "keys:{}", page.sum(|core| core.keys))?;
    let max_size = if page.settings.items_max == u64::MAX { 0 } else { page.settings.items_max };
    writeln!(text, "max_size:{max_size}")?;
    writeln!(text, "memory_usage:{}", page.sum(|core| core.bytes))?;
    writeln!(text, "uptime:{}", page.uptime_s())?;
    writeln!(text, "hits:{}", page.sum(|core| core.hits))?;
    writeln!(text, "misses:{}", page.sum(|core| core.misses))?;
    writeln!(text, "evictions:{}", page.sum(|core| core.evictions))?;
    writeln!(text, "expirations:{}", page.sum(|core| core.expirations))?;
    writeln!(text, "protocol_errors:{}", page.sum(|core| core.protocol_errors))?;
    writeln!(text, "clients_cut_off:{}", page.sum(|core| core.cut_offs))?;
    for core in page.reports {
        let micros = |ns: u64| ns as f64 / 1000.0;
        write!(text, "core{}:cpu={},slots={}-{}", core.core, core.cpu, core.slots.0, core.slots.1)?;
        write!(text, ",clients={},keys={},bytes={}", core.clients, core.keys, core.bytes)?;
        write!(text, ",items_max={},bytes_max={}", bound(core.items_max), bound(core.bytes_max))?;
        write!(text, ",operations={},forwarded={}", core.operations, core.forwarded)?;
        write!(text, ",outbox_depth={},turns={}", core.outbox_depth, core.turns)?;
        write!(text, ",turn_us_p50={:.1},turn_us_p99={:.1}", micros(core.turn_ns_p50), micros(core.turn_ns_p99))?;
        write!(text, ",turn_us_p999={:.1},turn_us_max={:.1}", micros(core.turn_ns_p999), micros(core.turn_ns_max))?;
        writeln!(text, ",turn_rehashed_max={}", core.turn_rehashed_max)?;
    }
    Ok(())
}

/// No bound is written as 0, as Redis does.
fn bound(max: u64) -> u64 {
    if max == u64::MAX { 0 } else { max }
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
