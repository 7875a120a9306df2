//! Host: the facts of the host, read once. Every fact may be unknown, with the reason.
//!
//! Never: fails, panics, trusts a file's content. A missing file is an unknown fact, unless its absence has a meaning.

use std::path::Path;

use super::cgroup::Cgroup;
use super::cpu_list::parse_list;
use super::files::{Fact, Files};
use super::interrupts::Interrupts;
use super::plan::Plan;
use crate::host::facts::ProcessFacts;
use crate::host::process::without_huge_pages;
use crate::host::{
    CPUS_ONLINE_FILE, FdPlan, OwnRingLack, StartError, own_ring, probe_io_uring, raise_memlock, raise_nofile,
    rings_are_charged,
};

/// The memory of the machine, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The total memory.
    pub total: u64,
    /// The swap space.
    pub swap: u64,
}

/// All facts that the checks use.
#[derive(Debug)]
pub struct Host {
    /// The facts that explain a refusal of io_uring.
    pub process: ProcessFacts,
    /// The seccomp mode of the process: 0 none, 1 strict, 2 filters.
    pub seccomp: Fact<u8>,
    /// Whether io_uring can be used, and if so, whether its rings count as locked memory.
    pub io_uring: Result<bool, StartError>,
    /// Whether each core can have a ring of its own; as the start finds it.
    pub own_ring: Result<(), OwnRingLack>,
    /// The hard limit on locked memory in bytes.
    pub memlock: Result<u64, StartError>,
    /// The split of the descriptors.
    pub descriptors: Result<FdPlan, StartError>,
    /// The bound on backlogs, `net.core.somaxconn`.
    pub somaxconn: Fact<u64>,
    /// Whether `/sys` is mounted.
    pub sysfs: bool,
    /// The online CPUs.
    pub online: Fact<Vec<usize>>,
    /// The CPUs isolated from the scheduler.
    pub isolated: Fact<Vec<usize>>,
    /// The CPUs that systemd's other slices do not use, as set by `tuning/cpus.sh`.
    pub kept: Vec<usize>,
    /// The CPUs without the scheduler's tick.
    pub tickless: Vec<usize>,
    /// The interrupts and their CPUs.
    pub interrupts: Fact<Interrupts>,
    /// The governor of each of the server's CPUs.
    pub governors: Vec<(usize, Fact<String>)>,
    /// The clock source, and the available ones.
    pub clock: Fact<(String, String)>,
    /// The mode of transparent huge pages: `always`, `madvise` or `never`.
    pub huge_pages: Fact<String>,
    /// Whether this process may get huge pages, after it has disabled them as the server does.
    pub huge_pages_of_process: Option<bool>,
    /// The memory of the machine.
    pub memory: Fact<Memory>,
    /// The mode of overcommit, `vm.overcommit_memory`.
    pub overcommit: Fact<u8>,
    /// The limits of the control groups.
    pub cgroup: Fact<Cgroup>,
}

impl Host {
    /// Reads the host whose files are below `root`. Limits, affinity and io_uring are those of this process.
    pub(super) fn read(root: &Path, plan: &Plan) -> Host {
        let files = Files::below(root);
        let process = ProcessFacts::read();
        // In the order of a start: limits first, since the probe needs some of them.
        without_huge_pages();
        let descriptors = raise_nofile(plan.needs);
        let memlock = raise_memlock();
        let io_uring = probe_io_uring(&process).and_then(|()| rings_are_charged(&process));
        let own_ring = match (&io_uring, &memlock) {
            (Ok(charged), Ok(limit)) => own_ring(&process, plan.needs.cores, *limit, *charged),
            // Other checks say why io_uring is denied.
            (Err(_), _) | (_, Err(_)) => Err(OwnRingLack::Refused("as all of io_uring".to_owned())),
        };
        let cpu =
            |cpu: &usize| (*cpu, files.text(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")));
        let status = files.text("/proc/self/status").unwrap_or_default();
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        Host {
            seccomp: files.parsed("/proc/self/status", |_| field("Seccomp")?.parse().ok()),
            process,
            io_uring,
            own_ring,
            memlock,
            descriptors,
            somaxconn: files.parsed("/proc/sys/net/core/somaxconn", |text| text.parse().ok()),
            sysfs: files.path(CPUS_ONLINE_FILE).exists(),
            online: files.parsed(CPUS_ONLINE_FILE, parse_list),
            kept: kept(&files),
            isolated: files.parsed("/sys/devices/system/cpu/isolated", parse_list),
            // The file is absent if the kernel can't stop the tick.
            tickless: files.parsed("/sys/devices/system/cpu/nohz_full", parse_list).unwrap_or_default(),
            interrupts: Interrupts::read(&files),
            governors: plan.cpus.iter().map(cpu).collect(),
            clock: clock(&files),
            huge_pages: files.parsed("/sys/kernel/mm/transparent_hugepage/enabled", bracketed),
            huge_pages_of_process: field("THP_enabled").map(|enabled| enabled != "0"),
            memory: files.parsed("/proc/meminfo", memory),
            overcommit: files.parsed("/proc/sys/vm/overcommit_memory", |text| text.parse().ok()),
            cgroup: Cgroup::read(&files),
        }
    }
}

/// The online CPUs that no other slice may use.
fn kept(files: &Files) -> Vec<usize> {
    let cpus_of = |slice| files.parsed(&format!("/sys/fs/cgroup/{slice}/cpuset.cpus.effective"), parse_list);
    let online = files.parsed(CPUS_ONLINE_FILE, parse_list);
    let (Ok(online), Ok(system)) = (online, cpus_of("system.slice")) else { return Vec::new() };
    let others = ["user.slice", "init.scope"].into_iter().flat_map(|slice| cpus_of(slice).unwrap_or_default());
    let used: Vec<_> = system.into_iter().chain(others).collect();
    online.into_iter().filter(|cpu| !used.contains(cpu)).collect()
}

fn clock(files: &Files) -> Fact<(String, String)> {
    let source = |name: &str| files.text(&format!("/sys/devices/system/clocksource/clocksource0/{name}_clocksource"));
    Ok((source("current")?, source("available").unwrap_or_default()))
}

/// The word in brackets of `always [madvise] never`.
fn bracketed(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn memory(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
    };
    Some(Memory { total: field("MemTotal")?, swap: field("SwapTotal").unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_kernel_writes_them() {
        assert_eq!(bracketed("always [madvise] never").as_deref(), Some("madvise"));
        assert_eq!(bracketed("always madvise never"), None);
        let text = "MemTotal:       32864984 kB\nMemFree:        1000 kB\nSwapTotal:      2097148 kB\n";
        assert_eq!(memory(text), Some(Memory { total: 32864984 << 10, swap: 2097148 << 10 }));
        assert_eq!(memory("MemTotal: 5 kB\n"), Some(Memory { total: 5 << 10, swap: 0 }));
        assert_eq!(memory("MemTotal: many kB\n"), None);
    }

    #[test]
    fn a_clock_without_its_files_is_unknown() {
        assert!(clock(&Files::below(Path::new("/nonexistent"))).is_err());
    }
}
