//! `aspine doctor` by the real binary: on this host, where something is denied, without privilege, and with nothing to read.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use crate::support::server::{Dir, aspine, copy_program};
use crate::support::{limits, namespace, seccomp};

/// A user without any privilege, whether or not it has a name.
const NOBODY: u32 = 65534;

fn doctor(flags: &[&str]) -> Command {
    let mut cmd = Command::new(env!("CARGO_BIN_EXE_aspine"));
    cmd.arg("doctor").args(flags).stdin(Stdio::null());
    cmd
}

/// Runs it, and checks what holds of all it says: a verdict first in each line, a fix where there is something to mend, and
/// an exit code that goes by the last line. Returns its lines and the code.
#[track_caller]
fn examine(mut cmd: Command) -> (Vec<String>, Option<i32>) {
    let Output { status, stdout, stderr } = cmd.output().unwrap();
    let (text, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(stderr, "", "{text}");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in &lines {
        let verdict = line.split(' ').next().unwrap();
        assert!(["ok", "warning", "failing"].contains(&verdict), "{line}");
        let is_last = line.split_ascii_whitespace().nth(1) == Some("all");
        assert_eq!(line.contains("; fix: "), verdict != "ok" && !is_last, "{line}");
    }
    let failing = lines.iter().filter(|line| line.starts_with("failing ")).count();
    assert_eq!(status.code(), Some(i32::from(failing > 0)), "{text}");
    assert!(lines.len() > 15 && lines.last().unwrap().contains(" all "), "{text}");
    (lines, status.code())
}

#[track_caller]
fn line<'a>(lines: &'a [String], check: &str) -> &'a str {
    let found = lines.iter().find(|line| line[9..].starts_with(check));
    found.unwrap_or_else(|| panic!("no {check} in {lines:?}"))
}

/// The line with which a server that is denied the same refuses to start.
#[track_caller]
fn refusal(deny: impl Fn(&mut Command)) -> String {
    let mut cmd = aspine(&["--cores", "1", "--port", "0"]);
    deny(&mut cmd);
    let output = cmd.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).unwrap();
    line.trim().strip_prefix("aspine: ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// The server and the doctor report the same facts in the same words.
#[track_caller]
fn check_denied(check: &str, deny: impl Fn(&mut Command)) {
    let refusal = refusal(&deny);
    let (why, fix) = refusal.rsplit_once("; ").unwrap();
    let mut cmd = doctor(&["--cores", "1", "--maxclients", "500"]);
    deny(&mut cmd);
    let (lines, code) = examine(cmd);
    let line = line(&lines, check);
    assert_eq!(code, Some(1));
    assert!(line.starts_with("failing ") && line.ends_with(&format!("{why}; fix: {fix}")), "{line} and {refusal}");
}

#[test]
fn this_host_can_serve() {
    let (lines, code) = examine(doctor(&["--cores", "1", "--maxclients", "500"]));
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(line(&lines, "io_uring").starts_with("ok "), "{lines:?}");
    assert!(!lines.concat().contains('\x1b'), "no colour where no terminal is");
}

#[test]
fn what_is_denied_is_told_in_the_words_of_the_start() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        check_denied("io_uring", |cmd| seccomp::deny_io_uring(cmd, errno));
        let mut cmd = doctor(&[]);
        seccomp::deny_io_uring(&mut cmd, errno);
        assert!(line(&examine(cmd).0, "seccomp").starts_with("failing "));
    }
    for bytes in [0, 65536] {
        check_denied("memlock", |cmd| limits::limit_memlock(cmd, bytes));
    }
    check_denied("descriptors", |cmd| limits::limit_nofile(cmd, 48));
}

#[test]
fn fewer_descriptors_than_clients_are_a_warning() {
    let mut cmd = doctor(&["--cores", "1", "--maxclients", "5000"]);
    limits::limit_nofile(&mut cmd, 1024);
    let (lines, code) = examine(cmd);
    assert_eq!(code, Some(0), "{lines:?}");
    let line = line(&lines, "descriptors");
    assert!(line.starts_with("warning ") && line.contains("maxclients lowered from 5000 to "), "{line}");
    assert!(line.contains("--ulimit nofile="), "{line}");
}

#[test]
fn cores_and_memory_that_are_not_there_are_failing() {
    let (lines, code) = examine(doctor(&["--cores", "5000", "--max-memory", "900000gb"]));
    assert_eq!(code, Some(1));
    assert!(line(&lines, "cpus").contains("cannot run --cores 5000"), "{lines:?}");
    let memory = line(&lines, "memory");
    assert!(memory.starts_with("failing ") && memory.contains("; fix: aspine server --max-memory "), "{memory}");
    let usage = doctor(&["--cpus", "1,1"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_size_without_its_unit_is_a_matter_of_memory() {
    let (lines, code) = examine(doctor(&["--cores", "1", "--max-memory", "512"]));
    assert_eq!(code, Some(1));
    let memory = line(&lines, "memory");
    assert!(memory.starts_with("failing ") && memory.contains("did you mean --max-memory 512mb?"), "{memory}");
    assert!(line(&lines, "cpus").starts_with("ok "), "{lines:?}");
}

#[test]
fn what_is_not_given_comes_from_the_settings() {
    let dir = Dir::new();
    let path = dir.path().join("aspine.toml");
    fs::write(&path, "max-memory = \"900000gb\"\ncores = 5000\nhost = \"10.1.2.3\"\nauthkey-file = \"/nowhere\"\n")
        .unwrap();
    let config = ["--config", path.to_str().unwrap()];
    let (lines, _) = examine(doctor(&config));
    assert!(line(&lines, "cpus").contains("cannot run --cores 5000"), "{lines:?}");
    assert!(line(&lines, "memory").starts_with("failing "), "{lines:?}");
    let given = ["--cores", "1", "--max-memory", "1mb", "--maxclients", "500"];
    let (lines, code) = examine(doctor(&[&config[..], &given].concat()));
    assert_eq!(code, Some(0), "{lines:?}");
    fs::write(&path, "max-memery = 1\n").unwrap();
    let output = doctor(&config).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() != Some(0) && error.contains("max-memory"), "{error}");
}

#[test]
fn json_says_the_same_as_the_lines() {
    let mut cmd = doctor(&["--json", "--cores", "1"]);
    limits::limit_memlock(&mut cmd, 0);
    let output = cmd.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["verdict"], "failing");
    let checks = value["checks"].as_array().unwrap();
    assert!(checks.len() > 15);
    for check in checks {
        assert_eq!(check["fix"].is_null(), check["verdict"] == "ok", "{check}");
    }
    let memlock = checks.iter().find(|check| check["check"] == "memlock").unwrap();
    assert!(memlock["fix"].as_str().unwrap().contains("LimitMEMLOCK=infinity"), "{memlock}");
}

#[test]
fn a_user_without_privilege_is_told_as_much() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can become somebody else");
        return;
    }
    // Where the build is may be closed to others.
    let dir = Dir::new();
    let copy = dir.path().join("aspine");
    copy_program(&copy);
    let unprivileged = |deny: fn(&mut Command)| {
        let mut cmd = Command::new(&copy);
        cmd.args(["doctor", "--cores", "1", "--maxclients", "500"]).stdin(Stdio::null()).uid(NOBODY).gid(NOBODY);
        deny(&mut cmd);
        examine(cmd)
    };
    let (lines, code) = unprivileged(|_| {});
    assert_eq!(code, Some(0), "{lines:?}");
    let (lines, code) = unprivileged(|cmd| limits::limit_memlock(cmd, 1000));
    assert_eq!(code, Some(1));
    assert!(line(&lines, "memlock").starts_with("failing "), "{lines:?}");
    let (lines, _) = unprivileged(|cmd| seccomp::deny_io_uring(cmd, libc::EPERM));
    assert!(line(&lines, "io_uring").contains("a seccomp filter denies it"), "{lines:?}");
}

#[test]
fn with_nothing_to_read_everything_is_unknown() {
    let hidden = "mount -t tmpfs none /sys && mount -t tmpfs none /proc && exec \"$@\"";
    let mut cmd = Command::new("unshare");
    cmd.args(["--mount", "sh", "-c", hidden, "sh", env!("CARGO_BIN_EXE_aspine"), "doctor", "--cores", "1"]);
    if let Err(why) = namespace::own_mounts(&["-m"], &["/sys", "/proc"]) {
        return eprintln!("left out: /proc can't be hidden here: {why}");
    }
    let (lines, _) = examine(cmd);
    let unknown = lines.iter().filter(|line| line.contains("unknown: ")).count();
    assert!(unknown >= 10, "{lines:?}");
    assert!(line(&lines, "swap").contains("cannot read /proc/meminfo: No such file"), "{lines:?}");
}

/// A control group of its own with these limits, below where the kernel has one; gone with the test.
struct Group(Vec<PathBuf>);

impl Group {
    fn new(memory_max: u64, cpus_percent: u64) -> Option<Group> {
        let name = format!("aspine-doctor-{}", std::process::id());
        let roots = [Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup/cpu")];
        let group = Group(roots.iter().map(|root| root.join(&name)).collect());
        let quota = (cpus_percent * 1000).to_string();
        let limits = [("memory.limit_in_bytes", memory_max.to_string()), ("cpu.cfs_quota_us", quota)];
        for ((root, dir), (file, limit)) in roots.iter().zip(&group.0).zip(limits) {
            // Not where this is no control group of version 1: a plain file would be made there.
            let may = root.join("cgroup.procs").exists() && fs::create_dir(dir).is_ok();
            if !may || fs::write(dir.join(file), limit).is_err() {
                return None;
            }
        }
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for dir in &self.0 {
            // One that was not made, or is still in use, is nobody's failure.
            let _ = fs::remove_dir(dir);
        }
    }
}

#[test]
fn limits_of_the_control_group_are_seen() {
    let Some(group) = Group::new(256 << 20, 50) else {
        eprintln!("left out: no control groups of version 1 can be made here");
        return;
    };
    let procs: Vec<String> = group.0.iter().map(|dir| dir.join("cgroup.procs").display().to_string()).collect();
    let enter = format!("echo $$ >{} && echo $$ >{} && exec \"$@\"", procs[0], procs[1]);
    let mut cmd = Command::new("sh");
    cmd.args(["-c", &enter, "sh", env!("CARGO_BIN_EXE_aspine"), "doctor", "--cores", "1", "--max-memory", "512mb"]);
    let (lines, code) = examine(cmd);
    assert_eq!(code, Some(1));
    let limit = line(&lines, "memory limit");
    assert!(
        limit.starts_with("failing ") && limit.contains("kills at 256 MiB; fix: aspine server --max-memory "),
        "{limit}"
    );
    assert!(line(&lines, "cpu quota").contains("1 core has 0.5 CPUs' worth of time"), "{lines:?}");
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    // `script` runs a command on a terminal of its own.
    let on_terminal = |set: &[(&str, &str)]| {
        let mut cmd = Command::new("script");
        let command = format!("{} doctor", env!("CARGO_BIN_EXE_aspine"));
        cmd.args(["--quiet", "--return", "--command", &command, "/dev/null"]).stdin(Stdio::null());
        cmd.env_remove("NO_COLOR").env("TERM", "xterm").envs(set.iter().copied());
        cmd.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(coloured) = on_terminal(&[]) else {
        eprintln!("left out: `script` is not installed");
        return;
    };
    assert!(coloured.contains("\x1b[3"), "{coloured:?}");
    let plain = on_terminal(&[("NO_COLOR", "1")]).unwrap();
    assert!(plain.contains(" all ") && !plain.contains("\x1b[3"), "{plain:?}");
}
