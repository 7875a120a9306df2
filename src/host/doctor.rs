//! Doctor: checks whether this host is fit to serve from: what a start needs, and what costs latency.
//!
//! `host` reads the facts, each of which may be unknown; each check in `start`, `cpus` and `memory` is a function of the
//! facts and of the planned server, so that every verdict is tested on written facts. Causes of a failing start are
//! reported by the start's own errors. `plan`, `files`, `cpu_list` and `verdict` are what the facts and the checks share.
//! Never: changes the host, only its own process, as a start does: soft limits, huge pages.

mod cgroup;
mod cpu_list;
mod cpus;
mod files;
mod host;
mod interrupts;
mod memory;
mod plan;
mod start;
mod verdict;

use std::path::Path;

pub use self::cgroup::Cgroup;
pub use self::files::{Fact, Unknown};
pub use self::host::Host;
pub use self::interrupts::{Interrupt, Interrupts};
pub use self::plan::Plan;
use self::verdict::Outcome;
pub use self::verdict::Verdict;

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

type Check = (&'static str, fn(&Host, &Plan) -> Outcome);

/// All checks in the order of the output: what a start needs, then what costs latency.
const CHECKS: [Check; 19] = [
    ("kernel", start::kernel),
    ("io_uring", start::io_uring),
    ("seccomp", start::seccomp),
    ("sysfs", start::sysfs),
    ("memlock", start::memlock),
    ("transport", start::transport),
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

#[cfg(test)]
mod tests;
