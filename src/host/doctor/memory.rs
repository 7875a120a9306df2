//! Memory: checks whether the server's items fit into memory, and stay there.

use super::host::Host;
use super::plan::Plan;
use super::verdict::{Outcome, failing, ok, parts, size, unknown, warning};
use crate::config::ConfigError;
use crate::limits::{CORE_MEMORY_BYTES_MIN, MEMORY_BESIDES_BYTES, MEMORY_OVERHEAD_PERCENT};

/// A rough bound on the memory of a process with `bytes_max` of items.
fn process_bytes(bytes_max: u64) -> u64 {
    let overhead = bytes_max / 100 * MEMORY_OVERHEAD_PERCENT;
    bytes_max.saturating_add(overhead).saturating_add(MEMORY_BESIDES_BYTES)
}

/// As a flag: the most items may take where the process has so much.
fn fitting(bytes: u64) -> String {
    let items = bytes.saturating_sub(MEMORY_BESIDES_BYTES) / (100 + MEMORY_OVERHEAD_PERCENT) * 100;
    format!("aspine server --max-memory {}mb", (items >> 20).max(1))
}

pub(super) fn huge_pages(host: &Host, _plan: &Plan) -> Outcome {
    let fix = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
    match (&host.huge_pages, host.huge_pages_of_process) {
        (Err(why), _) => unknown(why, fix),
        (Ok(when), Some(false)) if when == "always" => ok("always, and switched off for this process"),
        (Ok(when), _) if when == "always" => {
            warning("always: the first touch of a huge page stops a core while 2 MiB are cleared", fix)
        }
        (Ok(when), _) => ok(when.as_str()),
    }
}

pub(super) fn memory(host: &Host, plan: &Plan) -> Outcome {
    let memory = match &host.memory {
        Ok(memory) => memory,
        Err(why) => return unknown(why, "free -m, which should be more than --max-memory"),
    };
    let total = size(memory.total);
    let Some(bytes_max) = plan.bytes_max.filter(|bytes_max| *bytes_max > 0) else {
        return ok(format!("the machine has {total}; tell --max-memory to have it compared"));
    };
    let least = plan.needs.cores as u64 * CORE_MEMORY_BYTES_MIN;
    if bytes_max < least {
        let (found, fix) = parts(&ConfigError::MemoryBelowNeed { bytes_max, cores: plan.needs.cores }.to_string());
        return failing(found, fix);
    }
    let needed = process_bytes(bytes_max);
    let found = format!("--max-memory {} needs up to {}, and the machine has {total}", size(bytes_max), size(needed));
    if bytes_max > memory.total {
        failing(found, fitting(memory.total / 10 * 9))
    } else if needed > memory.total / 10 * 9 {
        warning(found, fitting(memory.total / 10 * 9))
    } else {
        ok(found)
    }
}

pub(super) fn limit(host: &Host, plan: &Plan) -> Outcome {
    let cgroup = match &host.cgroup {
        Ok(cgroup) => cgroup,
        Err(why) => return unknown(why, "cat /sys/fs/cgroup/memory.max, which should be more than --max-memory"),
    };
    let Some(limit) = cgroup.memory_max else { return ok("none") };
    let fix = |needed: u64| {
        let mib = needed.div_ceil(1 << 20);
        format!(
            "{}, or systemctl set-property aspine.service MemoryMax={mib}M, docker run --memory {mib}m",
            fitting(limit)
        )
    };
    match plan.bytes_max.filter(|bytes_max| *bytes_max > 0) {
        None => warning(
            format!("the control group kills at {}, and no --max-memory keeps below that", size(limit)),
            fitting(limit),
        ),
        Some(bytes_max) => {
            let needed = process_bytes(bytes_max);
            let found = format!("--max-memory {} needs up to {}", size(bytes_max), size(needed));
            if bytes_max > limit {
                failing(format!("{found}, and the control group kills at {}", size(limit)), fix(needed))
            } else if needed > limit {
                warning(format!("{found}, and the control group kills at {}", size(limit)), fix(needed))
            } else {
                ok(format!("{found} of {}", size(limit)))
            }
        }
    }
}

pub(super) fn swap(host: &Host, _plan: &Plan) -> Outcome {
    let fix = "swapoff -a, or systemctl set-property aspine.service MemorySwapMax=0";
    match &host.memory {
        Err(why) => unknown(why, fix),
        Ok(memory) if memory.swap == 0 => ok("none"),
        Ok(_) if host.cgroup.as_ref().is_ok_and(|cgroup| cgroup.swap_max == Some(0)) => {
            ok("not for this control group")
        }
        Ok(memory) => warning(
            format!(
                "{} of swap: an item that comes back from disk takes milliseconds, and its core with it",
                size(memory.swap)
            ),
            fix,
        ),
    }
}

pub(super) fn overcommit(host: &Host, _plan: &Plan) -> Outcome {
    let fix = "sysctl -w vm.overcommit_memory=0";
    match &host.overcommit {
        Err(why) => unknown(why, fix),
        Ok(2) => warning(
            "vm.overcommit_memory is 2: the allocator reserves address space ahead, which then counts, and may be refused",
            fix,
        ),
        Ok(mode) => ok(format!("vm.overcommit_memory is {mode}; nothing is forked, so either does")),
    }
}
