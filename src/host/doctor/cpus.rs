//! CPUs: checks whether the cores have their CPUs to themselves, and at full speed.

use super::cpu_list::list;
use super::files::Fact;
use super::host::Host;
use super::plan::Plan;
use super::verdict::{Outcome, failing, ok, parts, unknown, warning};
use crate::limits::SMALL_MACHINE_CPUS;

/// Clock sources that are read without a system call.
const CLOCKS_FAST: [&str; 5] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "riscv_clocksource"];

/// The online CPUs that no core uses.
fn spare(host: &Host, plan: &Plan) -> Vec<usize> {
    let online = host.online.as_deref().unwrap_or_default();
    online.iter().copied().filter(|cpu| !plan.cpus.contains(cpu)).collect()
}

/// Whether the cores take all of a small machine, which is the usual choice there: nothing can be kept off their CPUs.
fn takes_small_machine(host: &Host, plan: &Plan) -> bool {
    host.online.as_ref().is_ok_and(|online| online.len() <= SMALL_MACHINE_CPUS) && spare(host, plan).is_empty()
}

/// The fix that leaves one CPU free.
fn leave_one(plan: &Plan) -> String {
    match plan.needs.cores {
        0 | 1 => "give the machine a second CPU".to_owned(),
        cores => format!("aspine server --cores {}", cores - 1),
    }
}

pub(super) fn cpus(host: &Host, plan: &Plan) -> Outcome {
    if let Some(error) = &plan.cores_error {
        let (found, fix) = parts(error);
        return failing(found, fix);
    }
    let cpuset = host.cgroup.as_ref().ok().and_then(|cgroup| cgroup.cpuset.as_deref());
    if let Some(cpuset) = cpuset
        && let Some(cpu) = plan.cpus.iter().find(|cpu| !cpuset.contains(cpu))
    {
        let cpuset = list(cpuset);
        return failing(
            format!("CPU {cpu} is not in the control group's cpuset, {cpuset}"),
            format!(
                "aspine server --cpus {cpuset}, or widen it: systemctl set-property aspine.service AllowedCPUs={}",
                list(&plan.cpus)
            ),
        );
    }
    let used = list(&plan.cpus);
    match &host.online {
        Err(why) => unknown(why, "nproc, which must be more than --cores"),
        Ok(_) if takes_small_machine(host, plan) => ok(format!(
            "the cores take every CPU ({used}), as is usual on so small a machine; interrupts and the log share theirs"
        )),
        Ok(_) if spare(host, plan).is_empty() => warning(
            format!("the cores take every CPU ({used}): interrupts, the kernel's threads and the log share theirs"),
            leave_one(plan),
        ),
        Ok(online) => ok(format!("the cores take {used} of {}", list(online))),
    }
}

pub(super) fn isolation(host: &Host, plan: &Plan) -> Outcome {
    if takes_small_machine(host, plan) {
        return ok("no CPU is left to which the rest could be moved");
    }
    let used = list(&plan.cpus);
    let crowded = host.online.is_ok() && spare(host, plan).is_empty();
    let either = |fix: String| {
        if crowded { format!("first leave a CPU to everything else: {}", leave_one(plan)) } else { fix }
    };
    let boot = format!(
        "add isolcpus={used} nohz_full={used} rcu_nocbs={used} to GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub && \
         reboot, and start by taskset -c {used} aspine server --cpus {used}"
    );
    let slices = format!("/usr/share/aspine/cpus.sh --apply {used}");
    let isolated = match &host.isolated {
        Ok(isolated) => isolated,
        Err(why) => return unknown(why, either(slices)),
    };
    let without = |set: &[usize]| plan.cpus.iter().copied().filter(|cpu| !set.contains(cpu)).collect::<Vec<_>>();
    let (shared, ticking) = (without(&[isolated.as_slice(), &host.kept].concat()), without(&host.tickless));
    if !shared.is_empty() {
        let found = format!("the scheduler may run anything on {} too", these(&shared));
        return warning(found, either(format!("{slices}, or for good: {boot}")));
    }
    if !ticking.is_empty() {
        let found = format!("nothing else runs on {}, but the scheduler's tick", these(&ticking));
        return warning(found, either(boot));
    }
    ok(format!("{} are isolated and without tick", these(&plan.cpus)))
}

/// The CPUs in words.
fn these(cpus: &[usize]) -> String {
    let one = if cpus.len() == 1 { "CPU" } else { "CPUs" };
    format!("{one} {}", list(cpus))
}

pub(super) fn interrupts(host: &Host, plan: &Plan) -> Outcome {
    let spare = spare(host, plan);
    let target = if spare.is_empty() { "CPU".to_owned() } else { list(&spare) };
    let command = |numbers: &str| {
        let moved = format!("for irq in {numbers}; do echo {target} > /proc/irq/$irq/smp_affinity_list; done");
        if spare.is_empty() { format!("first leave a CPU to them: {}", leave_one(plan)) } else { moved }
    };
    let interrupts = match &host.interrupts {
        Ok(interrupts) => interrupts,
        Err(why) => {
            return unknown(why, "look at /proc/interrupts on the host, and move the network's off the cores' CPUs");
        }
    };
    let hits = |cpus: &Fact<Vec<usize>>| cpus.as_ref().is_ok_and(|cpus| cpus.iter().any(|cpu| plan.cpus.contains(cpu)));
    if takes_small_machine(host, plan) {
        return ok("on the cores' CPUs, since there are no others");
    }
    let near: Vec<_> = interrupts.of_network.iter().filter(|interrupt| hits(&interrupt.cpus)).collect();
    if !near.is_empty() {
        let names: Vec<_> = near.iter().map(|interrupt| format!("{} ({})", interrupt.number, interrupt.name)).collect();
        let numbers: Vec<_> = near.iter().map(|interrupt| interrupt.number.to_string()).collect();
        let found = format!("the network interrupts the cores' CPUs: {}", names.join(", "));
        return warning(found, command(&numbers.join(" ")));
    }
    if interrupts.balanced {
        let found = "irqbalance runs and may move interrupts to the cores' CPUs at any time";
        return warning(found, "systemctl disable --now irqbalance");
    }
    if let Some(why) = interrupts.of_network.iter().find_map(|interrupt| interrupt.cpus.as_ref().err()) {
        return unknown(why, "look at /proc/irq/*/smp_affinity_list as root");
    }
    ok(format!("none of the network's {} goes to the cores' CPUs", interrupts.of_network.len()))
}

pub(super) fn governor(host: &Host, plan: &Plan) -> Outcome {
    let slow: Vec<_> =
        host.governors.iter().filter(|(_, name)| name.as_ref().is_ok_and(|name| name != "performance")).collect();
    if let Some((cpu, Ok(name))) = slow.first() {
        let files: Vec<_> =
            slow.iter().map(|(cpu, _)| format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")).collect();
        return warning(
            format!("the governor of CPU {cpu} is {name}: it slows down when it has little to do"),
            format!("echo performance | tee {}", files.join(" ")),
        );
    }
    match host.governors.iter().find_map(|(_, name)| name.as_ref().err()) {
        // The host decides, and nothing can be done about it here.
        Some(_) => ok("no frequency scaling is seen here, as in most virtual machines and containers"),
        None => ok(format!("performance on {}", these(&plan.cpus))),
    }
}

pub(super) fn clock(host: &Host, _plan: &Plan) -> Outcome {
    const FILE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    match &host.clock {
        Err(why) => unknown(why, format!("cat {FILE}, which should say tsc")),
        Ok((current, _)) if CLOCKS_FAST.contains(&current.as_str()) => {
            ok(format!("{current}, read without a system call"))
        }
        Ok((current, available)) => {
            let found =
                format!("the clock source is {current}: each reading is a system call, and a command needs one");
            match available.split_ascii_whitespace().find(|name| CLOCKS_FAST.contains(name)) {
                Some(fast) => warning(found, format!("echo {fast} > {FILE}")),
                None => {
                    warning(found, "boot with clocksource=tsc tsc=reliable, or move to a machine whose TSC is stable")
                }
            }
        }
    }
}

pub(super) fn quota(host: &Host, plan: &Plan) -> Outcome {
    let lift = "systemctl set-property aspine.service CPUQuota=, docker run without --cpus, or Kubernetes' static CPU manager \
                with whole CPUs as both request and limit";
    match &host.cgroup {
        Err(why) => unknown(why, "cat /sys/fs/cgroup/cpu.max, which should say max"),
        Ok(cgroup) => match cgroup.cpus_max {
            None => ok("none"),
            Some(cpus) if cpus < plan.needs.cores as f64 => {
                let cores = plan.needs.cores;
                let who = if cores == 1 { "1 core has".to_owned() } else { format!("{cores} cores share") };
                let found = format!(
                    "{who} {cpus:.1} CPUs' worth of time; when it is used up, they stand still for up to 100 ms"
                );
                let fewer =
                    if cpus >= 1.0 { format!("; or aspine server --cores {}", cpus as usize) } else { String::new() };
                warning(found, format!("{lift}{fewer}"))
            }
            Some(cpus) if cgroup.throttled > 0 => {
                warning(format!("{cpus:.1} CPUs' worth of time, which has run out {} times", cgroup.throttled), lift)
            }
            Some(cpus) => ok(format!("{cpus:.1} CPUs' worth of time, which has never run out")),
        },
    }
}
