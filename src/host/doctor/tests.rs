//! Tests of the checks: every verdict of each, on facts that were written down; and of what reads them, on trees of files as
//! machines and containers have them.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::cpu_list::{list, parse_list};
use super::files::Files;
use super::host::Memory;
use super::verdict::size;
use super::*;
use crate::host::sys::Rlimit;
use crate::host::{FdPlan, IoUringCause, Needs, OwnRingLack, ProcessFacts, StartError};
use crate::limits::{FDS_PER_CORE, FDS_RESERVED, MEMORY_BESIDES_BYTES};

/// A host that has been set up as it should be: CPUs 2 and 3 of four are the server's.
fn tuned() -> Host {
    let interrupt = |number, name: &str| Interrupt { number, name: name.to_owned(), cpus: Ok(vec![0]) };
    Host {
        process: ProcessFacts {
            io_uring_disabled: Some(0),
            kernel_release: "6.8.0-45-generic".to_owned(),
            seccomp_filtered: false,
            capabilities: 0,
        },
        seccomp: Ok(0),
        io_uring: Ok(false),
        own_ring: Ok(()),
        memlock: Ok(8 << 20),
        descriptors: Ok(descriptors(20_000)),
        somaxconn: Ok(4096),
        sysfs: true,
        online: Ok(vec![0, 1, 2, 3]),
        isolated: Ok(vec![2, 3]),
        kept: vec![],
        tickless: vec![2, 3],
        interrupts: Ok(Interrupts { of_network: vec![interrupt(38, "eth0-rx-0")], balanced: false }),
        governors: [2, 3].map(|cpu| (cpu, Ok("performance".to_owned()))).to_vec(),
        clock: Ok(("tsc".to_owned(), "tsc hpet acpi_pm".to_owned())),
        huge_pages: Ok("madvise".to_owned()),
        huge_pages_of_process: Some(true),
        memory: Ok(Memory { total: 32 << 30, swap: 0 }),
        overcommit: Ok(0),
        cgroup: Ok(Cgroup { cpuset: Some(vec![0, 1, 2, 3]), ..Cgroup::default() }),
    }
}

fn plan() -> Plan {
    Plan {
        needs: Needs { cores: 2, maxclients: 10_000, admin: false },
        cpus: vec![2, 3],
        bytes_max: Some(16 << 30),
        cores_error: None,
    }
}

fn descriptors(hard: u64) -> FdPlan {
    FdPlan::new(FDS_RESERVED + 2 * FDS_PER_CORE, 10_000, Rlimit { soft: 1024, hard }).unwrap()
}

fn missing<T>() -> Fact<T> {
    Err(Unknown("cannot read /x: No such file or directory".to_owned()))
}

/// What one check makes of a host that differs from the tuned one, and of a plan likewise.
#[track_caller]
fn check(name: &str, change: impl FnOnce(&mut Host, &mut Plan), verdict: Verdict, words: &[&str]) {
    let (mut host, mut plan) = (tuned(), plan());
    change(&mut host, &mut plan);
    let findings = judge(&host, &plan);
    let finding = findings.iter().find(|finding| finding.check == name).unwrap();
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    let text = format!("{}; fix: {}", finding.found, finding.fix);
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(finding.fix.is_empty(), verdict == Verdict::Ok, "a fix where there is something to mend: {text}");
    assert!(text.is_ascii() && !text.contains('\n'), "{text}");
}

use Verdict::{Failing, Ok as Well, Warning};

fn denied(cause: IoUringCause) -> Result<bool, StartError> {
    Err(StartError::IoUring { cause, source: None })
}

#[test]
fn a_tuned_host_is_well() {
    for finding in judge(&tuned(), &plan()) {
        assert_eq!((finding.verdict, finding.fix.as_str()), (Well, ""), "{finding:?}");
    }
}

#[test]
fn kernel() {
    let release =
        |text: &'static str| move |host: &mut Host, _: &mut Plan| host.process.kernel_release = text.to_owned();
    check("kernel", release("5.8.0"), Well, &["Linux 5.8.0"]);
    check("kernel", release("5.7.19"), Failing, &["5.7.19 is too old", "run Linux 5.8 or later"]);
    check("kernel", release(""), Warning, &["unknown", "uname -r"]);
}

#[test]
fn io_uring_fails_as_the_start_does() {
    check("io_uring", |_, _| {}, Well, &["allowed"]);
    check("io_uring", |host, _| host.process.io_uring_disabled = Some(1), Well, &["io_uring_disabled is 1"]);
    for cause in [
        IoUringCause::DisabledForAll,
        IoUringCause::DisabledForUnprivileged,
        IoUringCause::DeniedBySeccomp,
        IoUringCause::DeniedByPolicy,
        IoUringCause::Unknown,
    ] {
        let line = StartError::IoUring { cause: cause.clone(), source: None }.to_string();
        let (found, fix) = line.split_once("; ").unwrap();
        check("io_uring", |host, _| host.io_uring = denied(cause), Failing, &[found, &format!("fix: {fix}")]);
    }
    let used_up = || StartError::Memlock { cores: 2, bytes_needed: 1, bytes_limit: 2, source: None };
    check("io_uring", |host, _| host.io_uring = Err(used_up()), Failing, &["LimitMEMLOCK=infinity"]);
}

#[test]
fn transport() {
    check("transport", |_, _| {}, Well, &["io_uring of its own"]);
    let old = OwnRingLack::Kernel { release: "5.15.0".to_owned() };
    check("transport", |host, _| host.own_ring = Err(old), Warning, &["epoll", "5.15.0", "Linux 6.1 or later"]);
    let small = OwnRingLack::Memlock { bytes_needed: 1 << 20, bytes_limit: 1 << 19 };
    check("transport", |host, _| host.own_ring = Err(small), Warning, &["512 KiB", "ulimit -l 1024"]);
}

#[test]
fn seccomp() {
    check("seccomp", |host, _| host.seccomp = Ok(2), Well, &["lets io_uring pass"]);
    check("seccomp", |host, _| host.seccomp = missing(), Warning, &["unknown: cannot read", "grep Seccomp"]);
    let filtered = |cause| {
        |host: &mut Host, _: &mut Plan| {
            host.seccomp = Ok(2);
            host.io_uring = denied(cause);
        }
    };
    check("seccomp", filtered(IoUringCause::DeniedBySeccomp), Failing, &["denies io_uring", "seccomp=unconfined"]);
    check("seccomp", filtered(IoUringCause::DisabledForAll), Warning, &["another reason"]);
}

#[test]
fn memlock() {
    let limit = |bytes, charged| {
        move |host: &mut Host, plan: &mut Plan| {
            host.memlock = Ok(bytes);
            host.io_uring = charged;
            plan.needs.cores = 8;
        }
    };
    check("memlock", limit(512 << 10, Ok(false)), Well, &["512 KiB are needed"]);
    check("memlock", limit(u64::MAX, Ok(true)), Well, &["unlimited"]);
    check("memlock", limit(64 << 10, Ok(false)), Failing, &["RLIMIT_MEMLOCK is 64 KiB", "ulimit -l 512"]);
    check("memlock", limit(512 << 10, Ok(true)), Failing, &["8 cores need 1936 KiB"]);
    check("memlock", limit(512 << 10, denied(IoUringCause::Unknown)), Warning, &["on some kernels", "1936 KiB"]);
    let unread = || StartError::Rlimit { name: "RLIMIT_MEMLOCK", source: std::io::ErrorKind::PermissionDenied.into() };
    check("memlock", |host, _| host.memlock = Err(unread()), Failing, &["RLIMIT_MEMLOCK", "allow getrlimit"]);
}

#[test]
fn descriptors_and_backlog() {
    check("descriptors", |_, _| {}, Well, &["limit 20000", "10000 clients"]);
    check("descriptors", |host, _| host.descriptors = Ok(descriptors(u64::MAX)), Well, &["no limit"]);
    check(
        "descriptors",
        |host, _| host.descriptors = Ok(descriptors(4096)),
        Warning,
        &["lowered from 10000", "ulimit -n"],
    );
    let none = || StartError::FdLimit { needed: 65, limit: 64 };
    check("descriptors", |host, _| host.descriptors = Err(none()), Failing, &["the hard limit is 64", "ulimit -n"]);
    check("backlog", |host, _| host.somaxconn = Ok(65535), Well, &["65535"]);
    check("backlog", |host, _| host.somaxconn = Ok(128), Warning, &["is 128", "sysctl -w net.core.somaxconn=4096"]);
    check("backlog", |host, _| host.somaxconn = missing(), Warning, &["unknown", "sysctl -w"]);
}

/// All four CPUs are the cores'.
fn take_all_of_a_larger_machine(_: &mut Host, plan: &mut Plan) {
    plan.cpus = vec![0, 1, 2, 3];
    plan.needs.cores = 4;
}

/// The first command of the README, and the server without flags, are nothing to be warned of on the smallest machines.
#[test]
fn a_small_virtual_machine_is_no_warning() {
    for cpus in [vec![0], vec![0, 1]] {
        let (mut host, mut plan) = (tuned(), plan());
        host.online = Ok(cpus.clone());
        (host.isolated, host.tickless, host.kept) = (Ok(vec![]), vec![], vec![]);
        host.governors = cpus.iter().map(|cpu| (*cpu, missing())).collect();
        plan.needs.cores = cpus.len();
        plan.cpus = cpus;
        for finding in judge(&host, &plan) {
            assert_eq!(finding.verdict, Well, "{finding:?}");
        }
    }
}

#[test]
fn cpus_and_isolation() {
    let every = |host: &mut Host, plan: &mut Plan| {
        host.online = Ok(vec![2, 3]);
        assert_eq!(plan.cpus, [2, 3]);
    };
    check("cpus", every, Well, &["every CPU (2-3)", "small"]);
    let only = |host: &mut Host, plan: &mut Plan| {
        (plan.cpus, plan.needs.cores) = (vec![0], 1);
        host.online = Ok(vec![0]);
    };
    check("cpus", only, Well, &["every CPU (0)", "small"]);
    check("cpus", |host, _| host.online = missing(), Warning, &["unknown", "nproc"]);
    check("sysfs", |host, _| host.sysfs = false, Failing, &["/sys is not mounted", "mount -t sysfs"]);
    let outside = |host: &mut Host, _: &mut Plan| {
        host.cgroup = Ok(Cgroup { cpuset: Some(vec![0, 1, 2]), ..Cgroup::default() });
    };
    check("cpus", outside, Failing, &["CPU 3 is not in", "0-2", "AllowedCPUs=2-3"]);
    let error = "cannot run --cores 9: this process may use 4 CPUs (0-3); give --cores 4 or less";
    check("cpus", |_, plan| plan.cores_error = Some(error.to_owned()), Failing, &["--cores 9", "fix: give --cores 4"]);
    check(
        "isolation",
        |host, _| host.isolated = Ok(vec![]),
        Warning,
        &["CPUs 2-3 too", "isolcpus=2-3 nohz_full=2-3", "taskset -c 2-3"],
    );
    check("isolation", |host, _| host.isolated = Ok(vec![3]), Warning, &["CPU 2 too"]);
    check("isolation", |host, _| host.tickless = vec![], Warning, &["2-3, but the scheduler's tick", "nohz_full=2-3"]);
    check("isolation", |host, _| host.isolated = missing(), Warning, &["unknown", "cpus.sh --apply 2-3"]);
    let by_slices = |host: &mut Host, _: &mut Plan| (host.isolated, host.kept) = (Ok(vec![3]), vec![2]);
    check("isolation", by_slices, Well, &["isolated and without tick"]);
    let crowded = |host: &mut Host, _: &mut Plan| {
        host.online = Ok(vec![2, 3]);
        host.isolated = Ok(vec![]);
    };
    check("isolation", crowded, Well, &["no CPU is left"]);
    let crowded = |host: &mut Host, plan: &mut Plan| {
        take_all_of_a_larger_machine(host, plan);
        host.isolated = Ok(vec![]);
    };
    check("isolation", crowded, Warning, &["first leave a CPU", "--cores 3"]);
    check("cpus", take_all_of_a_larger_machine, Warning, &["every CPU (0-3)", "--cores 3"]);
}

#[test]
fn interrupts() {
    let goes = |cpus: Fact<Vec<usize>>, balanced| {
        move |host: &mut Host, _: &mut Plan| {
            let near = Interrupt { number: 39, name: "eth0-rx-1".to_owned(), cpus };
            let far = Interrupt { number: 40, name: "eth0-rx-2".to_owned(), cpus: Ok(vec![1]) };
            host.interrupts = Ok(Interrupts { of_network: vec![near, far], balanced });
        }
    };
    check("interrupts", goes(Ok(vec![0]), false), Well, &["none of the network's 2"]);
    check(
        "interrupts",
        goes(Ok(vec![0, 3]), true),
        Warning,
        &["39 (eth0-rx-1)", "for irq in 39; do echo 0-1 > /proc/irq/$irq/smp_affinity_list; done"],
    );
    check("interrupts", goes(Ok(vec![0]), true), Warning, &["irqbalance", "systemctl disable --now irqbalance"]);
    check("interrupts", goes(missing(), false), Warning, &["unknown", "as root"]);
    check("interrupts", |host, _| host.interrupts = missing(), Warning, &["unknown", "/proc/interrupts"]);
    let crowded = |host: &mut Host, plan: &mut Plan| {
        goes(Ok(vec![2]), false)(host, plan);
        host.online = Ok(vec![2, 3]);
    };
    check("interrupts", crowded, Well, &["there are no others"]);
    check("interrupts", take_all_of_a_larger_machine, Warning, &["first leave a CPU to them"]);
}

#[test]
fn governor_and_clock() {
    let governor = |name: Fact<String>| move |host: &mut Host, _: &mut Plan| host.governors[1].1 = name;
    check(
        "governor",
        governor(Ok("powersave".to_owned())),
        Warning,
        &["CPU 3 is powersave", "echo performance | tee /sys/devices/system/cpu/cpu3/cpufreq/scaling_governor"],
    );
    check("governor", governor(missing()), Well, &["no frequency scaling", "virtual machines"]);
    let clock = |current: &str, available: &str| {
        let clock = Ok((current.to_owned(), available.to_owned()));
        |host: &mut Host, _: &mut Plan| host.clock = clock
    };
    check("clock", clock("kvm-clock", "kvm-clock"), Well, &["kvm-clock"]);
    check("clock", clock("hpet", "hpet tsc acpi_pm"), Warning, &["hpet", "echo tsc > /sys/devices"]);
    check("clock", clock("acpi_pm", "acpi_pm"), Warning, &["acpi_pm", "clocksource=tsc"]);
    check("clock", |host, _| host.clock = missing(), Warning, &["unknown", "current_clocksource"]);
}

#[test]
fn cpu_quota() {
    let quota = |cpus_max, throttled| {
        move |host: &mut Host, _: &mut Plan| host.cgroup = Ok(Cgroup { cpus_max, throttled, ..Cgroup::default() })
    };
    check("cpu quota", quota(None, 0), Well, &["none"]);
    check("cpu quota", quota(Some(2.0), 0), Well, &["never"]);
    check("cpu quota", quota(Some(2.0), 7), Warning, &["run out 7 times", "CPUQuota="]);
    check("cpu quota", quota(Some(1.5), 0), Warning, &["2 cores share 1.5", "--cores 1"]);
    check("cpu quota", |host, _| host.cgroup = missing(), Warning, &["unknown", "cpu.max"]);
}

#[test]
fn memory_and_its_limit() {
    let max = |bytes_max| move |_: &mut Host, plan: &mut Plan| plan.bytes_max = bytes_max;
    check("memory", max(None), Well, &["32 GiB", "--max-memory"]);
    check("memory", max(Some(0)), Well, &["--max-memory"]);
    check("memory", max(Some(512)), Failing, &["less than an empty server", "did you mean --max-memory 512mb?"]);
    check("memory", max(Some(27 << 30)), Warning, &["--max-memory 27 GiB", "aspine server --max-memory"]);
    check("memory", max(Some(33 << 30)), Failing, &["the machine has 32 GiB", "aspine server --max-memory"]);
    check("memory", |host, _| host.memory = missing(), Warning, &["unknown", "free -m"]);
    let limit = |memory_max, bytes_max| {
        move |host: &mut Host, plan: &mut Plan| {
            host.cgroup = Ok(Cgroup { memory_max, ..Cgroup::default() });
            plan.bytes_max = bytes_max;
        }
    };
    check("memory limit", limit(None, None), Well, &["none"]);
    check("memory limit", limit(Some(20 << 30), Some(16 << 30)), Well, &["of 20 GiB"]);
    check("memory limit", limit(Some(17 << 30), Some(16 << 30)), Warning, &["kills at 17 GiB", "MemoryMax="]);
    check("memory limit", limit(Some(8 << 30), Some(16 << 30)), Failing, &["kills at 8 GiB", "--max-memory"]);
    check("memory limit", limit(Some(1 << 30), None), Warning, &["no --max-memory keeps below that"]);
    check("memory limit", limit(Some(MEMORY_BESIDES_BYTES / 2), None), Warning, &["--max-memory 1mb"]);
    check("memory limit", |host, _| host.cgroup = missing(), Warning, &["unknown", "memory.max"]);
}

#[test]
fn huge_pages_swap_and_overcommit() {
    let pages = |when: &'static str, of_process| {
        move |host: &mut Host, _: &mut Plan| {
            host.huge_pages = Ok(when.to_owned());
            host.huge_pages_of_process = of_process;
        }
    };
    check("huge pages", pages("never", None), Well, &["never"]);
    check("huge pages", pages("always", Some(false)), Well, &["switched off for this process"]);
    check("huge pages", pages("always", Some(true)), Warning, &["echo madvise > /sys/kernel/mm"]);
    check("huge pages", pages("always", None), Warning, &["always"]);
    check("huge pages", |host, _| host.huge_pages = missing(), Warning, &["unknown", "echo madvise"]);
    let swap = |bytes, swap_max| {
        move |host: &mut Host, _: &mut Plan| {
            host.memory = Ok(Memory { total: 32 << 30, swap: bytes });
            host.cgroup = Ok(Cgroup { swap_max, ..Cgroup::default() });
        }
    };
    check("swap", swap(0, None), Well, &["none"]);
    check("swap", swap(2 << 30, Some(0)), Well, &["not for this control group"]);
    check("swap", swap(2 << 30, Some(1)), Warning, &["2 GiB of swap", "swapoff -a"]);
    check("swap", |host, _| host.memory = missing(), Warning, &["unknown", "swapoff -a"]);
    check("overcommit", |host, _| host.overcommit = Ok(1), Well, &["is 1"]);
    check("overcommit", |host, _| host.overcommit = Ok(2), Warning, &["is 2", "sysctl -w vm.overcommit_memory=0"]);
    check("overcommit", |host, _| host.overcommit = missing(), Warning, &["unknown"]);
}

/// A tree of files, gone with the test.
struct Tree(PathBuf);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Tree {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tree = Tree(std::env::temp_dir().join(format!("aspine-doctor-{}-{number}", std::process::id())));
        for (path, text) in files {
            let path = tree.0.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    fn cgroup(&self) -> Fact<Cgroup> {
        Cgroup::read(&Files::below(&self.0))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A directory left behind is nobody's failure.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn limits_of_version_2_are_the_least_on_the_way_up() {
    let mount = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    let tree = Tree::new(&[
        ("/proc/self/cgroup", "0::/system.slice/aspine.service\n"),
        ("/proc/self/mountinfo", mount),
        ("/sys/fs/cgroup/system.slice/memory.max", "4294967296\n"),
        ("/sys/fs/cgroup/system.slice/cpu.max", "150000 100000\n"),
        ("/sys/fs/cgroup/system.slice/aspine.service/memory.max", "max\n"),
        ("/sys/fs/cgroup/system.slice/aspine.service/memory.swap.max", "0\n"),
        ("/sys/fs/cgroup/system.slice/aspine.service/cpu.max", "max 100000\n"),
        ("/sys/fs/cgroup/system.slice/aspine.service/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 3\n"),
        ("/sys/fs/cgroup/system.slice/aspine.service/cpuset.cpus.effective", "0-1,3\n"),
    ]);
    let expected = Cgroup {
        memory_max: Some(4 << 30),
        swap_max: Some(0),
        cpus_max: Some(1.5),
        throttled: 3,
        cpuset: Some(vec![0, 1, 3]),
    };
    assert_eq!(tree.cgroup(), Ok(expected));
}

#[test]
fn cpus_that_slices_leave_alone_are_kept() {
    let tree = Tree::new(&[
        ("/sys/devices/system/cpu/online", "0-5\n"),
        ("/sys/fs/cgroup/system.slice/cpuset.cpus.effective", "0\n"),
        ("/sys/fs/cgroup/user.slice/cpuset.cpus.effective", "0-1\n"),
    ]);
    assert_eq!(Host::read(&tree.0, &plan()).kept, [2, 3, 4, 5]);
    fs::remove_file(tree.0.join("sys/fs/cgroup/system.slice/cpuset.cpus.effective")).unwrap();
    assert!(Host::read(&tree.0, &plan()).kept.is_empty(), "who knows");
}

#[test]
fn limits_of_version_1_are_read_by_controller() {
    let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                  35 31 0:32 /docker/4f /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let tree = Tree::new(&[
        ("/proc/self/cgroup", "4:memory:/docker/4f\n2:cpu,cpuacct:/docker/4f\n0::/\n"),
        ("/proc/self/mountinfo", mounts),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/docker/4f/cpu.cfs_quota_us", "50000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/docker/4f/cpu.cfs_period_us", "100000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/docker/4f/cpu.stat", "nr_periods 9\nnr_throttled 8\n"),
    ]);
    let expected = Cgroup { memory_max: Some(512 << 20), cpus_max: Some(0.5), throttled: 8, ..Cgroup::default() };
    assert_eq!(tree.cgroup(), Ok(expected));
    let no_limit = "9223372036854771712\n";
    fs::write(tree.0.join("sys/fs/cgroup/memory/memory.limit_in_bytes"), no_limit).unwrap();
    assert_eq!(tree.cgroup().unwrap().memory_max, None);
}

#[test]
fn odd_files_are_unknown_and_no_panic() {
    let odd =
        ["", "\0\u{fffd}", "max", "-1", "1 2 3", "0:::/../..", "99999999999999999999", ":::::", "0::/\n\n- - -\n"];
    for text in odd {
        let tree = Tree::new(&[
            ("/proc/self/cgroup", text),
            ("/proc/self/mountinfo", "1 2 3 / /sys/fs/cgroup rw - cgroup2 c rw"),
            ("/proc/self/status", text),
            ("/proc/interrupts", text),
            ("/proc/meminfo", text),
            ("/sys/fs/cgroup/memory.max", text),
            ("/sys/fs/cgroup/cpu.max", text),
            ("/sys/fs/cgroup/cpu.stat", text),
            ("/sys/fs/cgroup/cpuset.cpus.effective", text),
            ("/sys/devices/system/cpu/online", text),
            ("/sys/devices/system/cpu/isolated", text),
            ("/sys/devices/system/cpu/nohz_full", text),
            ("/sys/kernel/mm/transparent_hugepage/enabled", text),
            ("/proc/sys/net/core/somaxconn", text),
            ("/sys/class/net/eth0/device/msi_irqs/7", text),
        ]);
        for finding in examine(&tree.0, &plan()) {
            assert_eq!(finding.fix.is_empty(), finding.verdict == Well, "{text:?}: {finding:?}");
        }
    }
    let nothing = examine(Path::new("/nonexistent"), &plan());
    assert_eq!(nothing.len(), CHECKS.len());
    let unknown = nothing.iter().filter(|finding| finding.found.starts_with("unknown: ")).count();
    assert!(unknown >= 10, "{nothing:?}");
}

#[test]
fn network_interrupts_are_found_by_bus_and_by_name() {
    let table = "           CPU0       CPU1\n \
                 30:       1       0 PCI-MSIX-0000:00:03.0 0-edge      mlx5_comp0@pci:0000:00:03.0\n \
                 31:       0       7 PCI-MSIX-0000:00:04.0 0-edge      eth1-TxRx-0\n \
                 32:       0       7 PCI-MSIX-0000:00:05.0 0-edge      nvme0q1\nNMI:   0   0   Non-maskable interrupts\n";
    let tree = Tree::new(&[
        ("/proc/interrupts", table),
        ("/proc/77/comm", "irqbalance\n"),
        ("/proc/irq/30/smp_affinity_list", "0-1\n"),
        ("/proc/irq/30/effective_affinity_list", "1\n"),
        ("/proc/irq/31/smp_affinity_list", "0\n"),
        ("/sys/class/net/eth0/device/msi_irqs/30", ""),
        ("/sys/class/net/eth1/device/uevent", ""),
        ("/sys/class/net/lo/uevent", ""),
    ]);
    let found = Interrupts::read(&Files::below(&tree.0)).unwrap();
    let numbers: Vec<_> = found.of_network.iter().map(|one| (one.number, one.cpus.clone().unwrap())).collect();
    assert_eq!(numbers, [(30, vec![1]), (31, vec![0])]);
    assert!(found.balanced);
}

#[test]
fn lists_and_sizes_are_those_of_the_kernel_and_of_people() {
    for (text, cpus) in [("0-3", vec![0, 1, 2, 3]), ("0,2-3,7", vec![0, 2, 3, 7]), ("5", vec![5]), ("", vec![])] {
        assert_eq!(parse_list(text), Some(cpus.clone()), "{text}");
        assert_eq!(list(&cpus), text);
    }
    for text in ["x", "3-", "-3", "0-99999999", "1,,x"] {
        assert_eq!(parse_list(text), None, "{text}");
    }
    for (bytes, text) in
        [(0, "0 bytes"), (1023, "1023 bytes"), (1 << 10, "1 KiB"), (3 << 29, "1.5 GiB"), (5 << 30, "5 GiB")]
    {
        assert_eq!(size(bytes), text);
    }
}
