//! Cgroup: the limits of this process's control groups, version 1 and 2.
//!
//! A limit holds for all groups below, so each limit is the least on the path up to the root of the mount. In a container
//! the path ends at its own group; limits above are not visible.

use super::cpu_list::parse_list;
use super::files::{Fact, Files, Unknown};

/// The limits of this process; `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cgroup {
    /// The bytes of memory beyond which the kernel kills.
    pub memory_max: Option<u64>,
    /// The bytes of swap.
    pub swap_max: Option<u64>,
    /// The CPU quota, in CPUs.
    pub cpus_max: Option<f64>,
    /// The number of times the quota ran out since the group was created.
    pub throttled: u64,
    /// The CPUs that the group may use.
    pub cpuset: Option<Vec<usize>>,
}

/// The location of a controller's files; in version 2 all controllers share one.
struct Mount {
    version: u8,
    /// The directories from that of this process up to the root of the mount.
    way: Vec<String>,
}

impl Cgroup {
    pub(super) fn read(files: &Files) -> Fact<Cgroup> {
        let (groups, mounts) = (files.text("/proc/self/cgroup")?, files.text("/proc/self/mountinfo")?);
        let found = |controller| Mount::find(files, &groups, &mounts, controller);
        let (memory, cpu, cpuset) = (found("memory"), found("cpu"), found("cpuset"));
        if memory.is_none() && cpu.is_none() {
            return Err(Unknown("no control group of this process is mounted".to_owned()));
        }
        let mut cgroup = Cgroup::default();
        if let Some(memory) = memory {
            let names = if memory.version == 2 { "memory.max" } else { "memory.limit_in_bytes" };
            // Version 1 has the largest number of pages for no limit.
            let limit = |dir: &str| files.parsed(&format!("{dir}/{names}"), |text| text.parse::<u64>().ok()).ok();
            cgroup.memory_max = memory.way.iter().filter_map(|dir| limit(dir)).filter(|bytes| *bytes < 1 << 62).min();
            let swap = |dir: &String| files.parsed(&format!("{dir}/memory.swap.max"), |text| text.parse().ok()).ok();
            cgroup.swap_max = memory.way.iter().filter_map(swap).min();
        }
        if let Some(cpu) = cpu {
            let quotas = cpu.way.iter().filter_map(|dir| quota(files, cpu.version, dir));
            cgroup.cpus_max = quotas.min_by(f64::total_cmp);
            let throttled = |dir: &String| {
                let stat = files.text(&format!("{dir}/cpu.stat")).ok()?;
                stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.trim().parse().ok())
            };
            cgroup.throttled = cpu.way.iter().find_map(throttled).unwrap_or(0);
        }
        cgroup.cpuset = cpuset.and_then(|cpuset| {
            let name = if cpuset.version == 2 { "cpuset.cpus.effective" } else { "cpuset.effective_cpus" };
            let cpus = |dir: &String| files.parsed(&format!("{dir}/{name}"), parse_list).ok();
            cpuset.way.iter().find_map(cpus).filter(|cpus| !cpus.is_empty())
        });
        Ok(cgroup)
    }
}

/// The CPU quota of a group, in CPUs.
fn quota(files: &Files, version: u8, dir: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = if version == 2 {
        let text = files.text(&format!("{dir}/cpu.max")).ok()?;
        let (quota, period) = text.split_once(' ')?;
        (quota.parse().ok()?, period.parse().ok()?)
    } else {
        let number = |name: &str| files.parsed(&format!("{dir}/cpu.{name}_us"), |text| text.parse().ok()).ok();
        (number("cfs_quota")?, number("cfs_period")?)
    };
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

impl Mount {
    /// Finds the mount of a controller: version 1 if it has the controller, else version 2.
    fn find(files: &Files, groups: &str, mounts: &str, controller: &str) -> Option<Mount> {
        let group = |wanted: &dyn Fn(&str, &str) -> bool| {
            groups.lines().find_map(|line| {
                let (number, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                wanted(number, controllers).then(|| path.to_owned())
            })
        };
        let has = |list: &str| list.split(',').any(|name| name == controller);
        let first = group(&|number, controllers| number != "0" && has(controllers));
        let (version, path) = match first {
            Some(path) => (1, path),
            None => (2, group(&|number, controllers| number == "0" && controllers.is_empty())?),
        };
        let (root, point) = mounts.lines().find_map(|line| {
            // id parent device root point options … - type source superoptions
            let (before, after) = line.split_once(" - ")?;
            let mut after = after.split(' ');
            let (kind, options) = (after.next()?, after.nth(1)?);
            let wanted = if version == 2 { kind == "cgroup2" } else { kind == "cgroup" && has(options) };
            let mut before = before.split(' ').skip(3);
            wanted.then(|| Some((before.next()?.to_owned(), before.next()?.to_owned()))).flatten()
        })?;
        // The mount begins at `root`. A group that is not below it is not visible: the mount itself is the nearest.
        let below = path.strip_prefix(root.trim_end_matches('/')).unwrap_or("");
        let mut way = Vec::new();
        let mut rest = below.trim_matches('/');
        while !rest.is_empty() {
            way.push(format!("{point}/{rest}"));
            rest = rest.rsplit_once('/').map_or("", |(up, _)| up);
        }
        way.push(point);
        way.retain(|dir| files.path(dir).is_dir());
        (!way.is_empty()).then_some(Mount { version, way })
    }
}
