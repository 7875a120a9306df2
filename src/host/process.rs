//! Process: facts of a process from the kernel: of this one for INFO, of a server for `aspine bench`; and settings of this
//! process. Core: any; read once a second by each.
//!
//! Cost: two small files of /proc a reading. Never: fails; what can't be read is 0, or absent.

use std::fs::read_to_string;

use tracing::warn;

use crate::engine::Gauges;

/// Memory and CPU time of the process now.
pub(crate) fn gauges() -> Gauges {
    let (cpu_user_us, cpu_sys_us) = cpu_us("self").unwrap_or_default();
    Gauges { rss_bytes: rss_bytes("self").unwrap_or(0), cpu_sys_us, cpu_user_us }
}

/// The kernel's counts of this process that only `/metrics` needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vitals {
    /// The bytes of address space.
    pub(crate) virtual_bytes: u64,
    /// The number of threads.
    pub(crate) threads: u64,
    /// The number of open file descriptors.
    pub(crate) fds: u64,
    /// The limit on open file descriptors; `u64::MAX` is unlimited.
    pub(crate) fds_max: u64,
}

/// The current vitals of this process.
pub(crate) fn vitals() -> Vitals {
    let stat = read_to_string("/proc/self/stat").unwrap_or_default();
    // As in `cpu_us`: the 20th field is the number of threads, the 23rd the address space.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse().ok()).unwrap_or(0);
    // The listing itself has one descriptor open.
    let fds = std::fs::read_dir("/proc/self/fd").map_or(0, |open| (open.count() as u64).saturating_sub(1));
    let fds_max = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    Vitals { virtual_bytes: field(23), threads: field(20), fds, fds_max }
}

/// CPU time in microseconds and memory in bytes that a process uses; `None` if there is no such process.
pub fn usage_of(pid: u32) -> Option<(u64, u64)> {
    let process = pid.to_string();
    let (user_us, sys_us) = cpu_us(&process)?;
    Some((user_us + sys_us, rss_bytes(&process)?))
}

/// Makes the kernel send this process SIGTERM when its parent ends; false if the parent has ended already.
pub fn end_with_parent(parent: u32) -> std::io::Result<bool> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    Ok(rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent))
}

/// Disables transparent huge pages for this process, also where the machine enables them always. A million items take 17 %
/// more memory with them, and the first touch of a page zeroes 2 MiB in the middle of a turn. The allocator's own switch
/// only keeps the allocator from asking for them.
pub(crate) fn without_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        warn!("transparent huge pages stay as the machine has them ({error}); `always` takes some 17 % more memory");
    }
}

/// The bytes of memory of the machine.
pub(crate) fn memory_bytes() -> u64 {
    let total = || {
        let text = read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    total().unwrap_or(0) * 1024
}

fn rss_bytes(process: &str) -> Option<u64> {
    let statm = read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The microseconds of CPU time of all threads, in user mode and in the kernel.
fn cpu_us(process: &str) -> Option<(u64, u64)> {
    let stat = read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold spaces; utime and stime are the 14th and 15th.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let mut next = || fields.next()?.parse::<u64>().ok().map(|ticks| ticks * tick_us);
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read() {
        let (_, rss_bytes) = usage_of(std::process::id()).unwrap();
        assert!(rss_bytes > 100_000);
        assert!(memory_bytes() > rss_bytes);
        let before = cpu_us("self").unwrap();
        let mut sum = 0_u64;
        while cpu_us("self").unwrap().0 <= before.0 {
            sum = (0..100_000).fold(sum, |sum, number| std::hint::black_box(sum.wrapping_add(number)));
        }
        assert!(usage_of(std::process::id()).unwrap().0 > 0);
        assert_eq!(usage_of(u32::MAX), None);
    }

    #[test]
    fn the_vitals_are_read() {
        let vitals = vitals();
        assert!(vitals.virtual_bytes >= rss_bytes("self").unwrap());
        assert!(vitals.threads >= 1 && vitals.fds >= 3 && vitals.fds_max >= vitals.fds, "{vitals:?}");
    }
}
