//! Doctor: checks whether this host is fit to serve from: what a start needs, and what costs latency.
//!
//! `host` reads the facts, each of which may be unknown; each check in `start`, `cpus` and `memory` is a function of the
//! facts and of the planned server, so that every verdict is tested on written facts. Causes of a failing start are
//! reported by the start's own errors.
//! Never: changes the host, only its own process, as a start does: soft limits, huge pages.

mod cgroup;
mod cpus;
mod host;
mod interrupts;
mod memory;
mod start;

use std::path::Path;

pub use self::cgroup::Cgroup;
pub use self::host::{Fact, Host, Unknown};
pub use self::interrupts::{Interrupt, Interrupts};
use super::Needs;

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The fact is as it should be.
    Ok,
    /// The server runs, but slower than it could, or the fact is unknown.
    Warning,
    /// The server does not start, or will be killed.
    Failing,
}

impl Verdict {
    /// The verdict as printed.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failing => "failing",
        }
    }
}

/// The finding of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// The fact, and what is wrong with it, if anything.
    pub found: String,
    /// The fix; empty if none is needed.
    pub fix: String,
}

/// The planned server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The cores and clients.
    pub needs: Needs,
    /// The CPU of each core.
    pub cpus: Vec<usize>,
    /// `--max-memory` in bytes, if it is given.
    pub bytes_max: Option<u64>,
    /// What is wrong with the requested cores, if anything; the plan then has all allowed CPUs.
    pub cores_error: Option<String>,
}

type Check = (&'static str, fn(&Host, &Plan) -> Outcome);

/// All checks in the order of the output: what a start needs, then what costs latency.
const CHECKS: [Check; 17] = [
    ("kernel", start::kernel),
    ("io_uring", start::io_uring),
    ("seccomp", start::seccomp),
    ("memlock", start::memlock),
    ("descriptors", start::descriptors),
    ("backlog", start::backlog),
    ("cpus", cpus::cpus),
    ("isolation", cpus::isolation),
    ("interrupts", cpus::interrupts),
    ("governor", cpus::governor),
    ("clock", cpus::clock),
    ("cpu quota", cpus::quota),
    ("huge pages", memory::huge_pages),
    ("memory", memory::memory),
    ("memory limit", memory::limit),
    ("swap", memory::swap),
    ("overcommit", memory::overcommit),
];

/// The verdict, the fact, and the fix.
type Outcome = (Verdict, String, String);

fn ok(found: impl Into<String>) -> Outcome {
    (Verdict::Ok, found.into(), String::new())
}

fn warning(found: impl Into<String>, fix: impl Into<String>) -> Outcome {
    (Verdict::Warning, found.into(), fix.into())
}

fn failing(found: impl Into<String>, fix: impl Into<String>) -> Outcome {
    (Verdict::Failing, found.into(), fix.into())
}

fn unknown(unknown: &Unknown, fix: impl Into<String>) -> Outcome {
    warning(format!("unknown: {unknown}"), fix)
}

/// Examines the host whose files are below `root`, which is `/` except in tests.
pub fn examine(root: &Path, plan: &Plan) -> Vec<Finding> {
    judge(&Host::read(root, plan), plan)
}

/// Runs all checks on the given facts.
pub fn judge(host: &Host, plan: &Plan) -> Vec<Finding> {
    let judged = CHECKS.iter().map(|(check, judge)| {
        let (verdict, found, fix) = judge(host, plan);
        Finding { check, verdict, found, fix }
    });
    judged.collect()
}

/// Splits an error's line, `what failed: why; what to do`, into the fact and the fix.
fn parts(line: &str) -> (String, String) {
    let (found, fix) = line.rsplit_once("; ").unwrap_or((line, ""));
    (found.to_owned(), fix.to_owned())
}

/// A number of bytes in a readable unit.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match UNITS.iter().find(|(_, shift)| bytes >= 1 << shift) {
        Some((unit, shift)) if bytes.trailing_zeros() >= *shift => format!("{} {unit}", bytes >> shift),
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}

/// A list of CPUs in the kernel's format, as `0,2-5`.
fn list(cpus: &[usize]) -> String {
    let mut text = String::new();
    let mut rest = cpus;
    while let Some(&first) = rest.first() {
        let run = rest.iter().zip(first..).take_while(|(cpu, expected)| *cpu == expected).count();
        let comma = if text.is_empty() { "" } else { "," };
        match run {
            1 => text.push_str(&format!("{comma}{first}")),
            _ => text.push_str(&format!("{comma}{first}-{}", first + run - 1)),
        }
        rest = &rest[run..];
    }
    text
}

/// Parses a list in the kernel's format, ascending; `None` if it is malformed.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= crate::limits::CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

#[cfg(test)]
mod tests;
