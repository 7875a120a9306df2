//! Host checks by the real binary: io_uring denied, limits too low, keys, ports. Each refusal is
//! one line with its fix.

use std::fs;
use std::process::Command;

use crate::support::server::{Dir, Setup, aspine, check_refused};
use crate::support::{limits, namespace, seccomp};

#[test]
fn io_uring_denied_by_seccomp_names_the_filter_and_the_fix() {
    for errno in [libc::EPERM, libc::ENOSYS, libc::EACCES] {
        let mut cmd = aspine(&["--cores", "1", "--port", "0"]);
        seccomp::deny_io_uring(&mut cmd, errno);
        check_refused(cmd, &["cannot use io_uring", "seccomp", "io_uring_setup", "seccomp=unconfined"]);
    }
}

#[test]
fn a_small_memlock_names_limit_and_fix() {
    for bytes in [0, 65536, 512 * 1024 - 1] {
        let mut cmd = aspine(&["--cores", "1", "--port", "0"]);
        limits::limit_memlock(&mut cmd, bytes);
        let limit = format!("RLIMIT_MEMLOCK is {} KiB", bytes / 1024);
        check_refused(cmd, &[&limit, "ulimit -l 512", "LimitMEMLOCK=", "--ulimit memlock=-1"]);
    }
}

#[test]
fn too_few_descriptors_for_one_client_is_an_error() {
    let mut cmd = aspine(&["--cores", "1", "--port", "0"]);
    limits::limit_nofile(&mut cmd, 48);
    check_refused(cmd, &["file descriptors", "the hard limit is 48", "ulimit -n"]);
}

/// The check counts the descriptors that the server opens; a parent may leave it others. Wherever they run out, the
/// start ends with a line, and never with half of the cores.
#[test]
fn descriptors_that_run_out_during_the_start_end_it() {
    for inherited in 50..=70 {
        let mut setup = Setup::new(2, &["--maxclients", "1"]);
        let script = format!("for i in $(seq {inherited}); do exec {{fd}}</dev/null || exit 99; done; exec \"$@\"");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script, "bash"]).arg(setup.cmd.get_program()).args(setup.cmd.get_args());
        limits::limit_nofile(&mut shell, 80);
        setup.cmd = shell;
        match setup.try_start() {
            Ok(mut server) => assert_eq!(server.stop().code(), Some(0), "{inherited}: {}", server.log()),
            // The shell had none left for itself.
            Err((Some(99 | 126 | 127), _)) => break,
            // glommio panics on some of its own descriptors, in words of its own, and a panic ends the process too.
            Err((code, log)) => assert!(code != Some(0) && log.contains("aspine: "), "{inherited}: {code:?}: {log}"),
        }
    }
}

/// glommio would panic.
#[test]
fn a_start_without_sysfs_is_refused_in_one_line() {
    if let Err(why) = namespace::own_mounts(&["-m"], &["/sys"]) {
        return eprintln!("left out: this machine gives no mounts of their own: {why}");
    }
    let server = aspine(&["--cores", "1", "--port", "0"]);
    let mut cmd = Command::new("unshare");
    cmd.args(["-m", "sh", "-c", "mount -t tmpfs -o size=1m none /sys && exec \"$@\"", "sh"]);
    cmd.arg(server.get_program()).args(server.get_args());
    check_refused(cmd, &["/sys is not mounted", "mount -t sysfs"]);
}

#[test]
fn beyond_loopback_without_a_key_is_refused() {
    for host in ["0.0.0.0", "::", "10.1.2.3"] {
        check_refused(aspine(&["--host", host]), &["without an auth key", "--authkey-file", "--host 127.0.0.1"]);
    }
}

#[test]
fn more_cores_than_there_are_says_how_many() {
    check_refused(aspine(&["--cores", "5000"]), &["--cores 5000", "this process may use"]);
    check_refused(aspine(&["--cpus", "8191"]), &["CPU 8191"]);
}

#[test]
fn an_empty_variable_is_no_key() {
    let mut cmd = aspine(&[]);
    cmd.env("ASPINE_AUTHKEY", "");
    check_refused(cmd, &["ASPINE_AUTHKEY", "empty"]);
}

#[test]
fn key_flag_and_file_together_are_refused() {
    check_refused(aspine(&["--authkey", "a", "--authkey-file", "/b"]), &["--authkey", "--authkey-file"]);
    let mut cmd = aspine(&["--authkey-file", "/nowhere/key"]);
    cmd.env("ASPINE_AUTHKEY", "overridden");
    check_refused(cmd, &["/nowhere/key"]);
}

#[test]
fn a_log_file_that_cannot_be_opened_is_refused() {
    check_refused(aspine(&["--log-file", "/nowhere/log"]), &["/nowhere/log", "--log-file"]);
}

#[test]
fn a_refusal_is_in_the_log_file_too() {
    let dir = Dir::new();
    let path = dir.path().join("log");
    let mut cmd = aspine(&["--cores", "1", "--log-file", path.to_str().unwrap()]);
    limits::limit_memlock(&mut cmd, 0);
    check_refused(cmd, &["RLIMIT_MEMLOCK"]);
    let log = fs::read_to_string(&path).unwrap();
    assert!(log.contains("ERROR too little lockable memory"), "{log}");
}

#[test]
fn usage_errors_end_with_2() {
    let output = aspine(&["--max-memory", "5x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("--max-memory") && stderr.contains("5x") && stderr.contains("512mb"), "{stderr}");
}

/// The sysctl of the whole machine, set back when dropped.
struct IoUringDisabled(String);

const SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";

impl IoUringDisabled {
    fn set(value: &str) -> IoUringDisabled {
        let before = fs::read_to_string(SYSCTL).unwrap();
        let guard = IoUringDisabled(before);
        fs::write(SYSCTL, value).unwrap();
        guard
    }
}

impl Drop for IoUringDisabled {
    fn drop(&mut self) {
        fs::write(SYSCTL, &self.0).unwrap();
    }
}

#[test]
#[ignore = "denies io_uring to the whole machine for a moment; run it alone and as root"]
fn the_sysctl_is_named_with_its_fix() {
    let _restored = IoUringDisabled::set("2");
    check_refused(aspine(&["--cores", "1", "--port", "0"]), &["kernel.io_uring_disabled = 2", "sysctl -w"]);
}
