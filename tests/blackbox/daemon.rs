//! The server as a process: leaving the terminal, the pid file, `aspine stop`, and the log that is opened again.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::support::conn::Conn;
use crate::support::server::{Dir, Server, Setup, copy_program, run, wait_until};
use crate::support::{namespace, signal};

/// A daemon and the directory it was started in, by relative paths. Killed when it is dropped.
struct Daemon {
    dir: Dir,
    pid: u32,
    conn: Conn,
}

/// `aspine` with `words` in a directory.
fn aspine_in(dir: &Path, words: &[&str]) -> Command {
    let mut cmd = Command::new(env!("CARGO_BIN_EXE_aspine"));
    cmd.args(words).current_dir(dir).env_remove("ASPINE_AUTHKEY").env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    cmd
}

const DAEMON: [&str; 12] = [
    "server",
    "--daemon",
    "--pid-file",
    "pid",
    "--log-file",
    "log",
    "--cores",
    "1",
    "--port",
    "0",
    "--maxclients",
    "100",
];

fn start_in(dir: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    run(aspine_in(dir, &[&DAEMON[..], flags].concat()))
}

impl Daemon {
    #[track_caller]
    fn start(flags: &[&str]) -> Daemon {
        Daemon::start_in(Dir::new(), flags)
    }

    #[track_caller]
    fn start_in(dir: Dir, flags: &[&str]) -> Daemon {
        let (code, stdout, stderr) = start_in(dir.path(), flags);
        assert_eq!(code, Some(0), "{stderr}");
        let addr = stdout.strip_prefix("ready: listening on ").unwrap().split_whitespace().next().unwrap();
        let pid = fs::read_to_string(dir.path().join("pid")).unwrap().trim_end().parse().unwrap();
        let mut conn = Conn::tcp(addr.parse().unwrap());
        // At once: whoever has the exit code has a server.
        assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
        Daemon { dir, pid, conn }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[track_caller]
    fn stop(&self, flags: &[&str]) -> (Option<i32>, String, String) {
        run(aspine_in(self.dir.path(), &[&["stop", "--pid-file", "pid"], flags].concat()))
    }

    /// Whether it runs, or still goes down: its pidfd says when its last thread has gone. One that has ended may wait for
    /// whoever adopted it.
    fn is_alive(&self) -> bool {
        let pid = Pid::from_raw(self.pid.cast_signed()).unwrap();
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&Timespec::default())).unwrap() == 0
    }

    fn kill(&self) {
        signal::send_to(self.pid, libc::SIGKILL);
        wait_until("the daemon's end", || !self.is_alive());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_alive() {
            signal::send_to(self.pid, libc::SIGKILL);
        }
    }
}

#[track_caller]
fn check(outcome: &(Option<i32>, String, String), code: i32, words: &[&str]) {
    let (found, stdout, stderr) = outcome;
    assert_eq!(*found, Some(code), "{stdout}{stderr}");
    let text = if code == 0 { stdout } else { stderr };
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
    if code != 0 {
        assert!(stderr.starts_with("aspine: ") && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_daemon_leaves_the_terminal_and_its_directory_and_keeps_its_paths() {
    let mut daemon = Daemon::start(&["--unixsocket", "socket", "--data-dir", "data", "--persist"]);
    let proc = PathBuf::from(format!("/proc/{}", daemon.pid));
    let target = |name: &str| fs::read_link(proc.join(name)).unwrap();
    assert_eq!(target("cwd"), Path::new("/"));
    assert_eq!(target("fd/0"), Path::new("/dev/null"));
    assert_eq!((target("fd/1"), target("fd/2")), (daemon.path("log"), daemon.path("log")));
    let stat = fs::read_to_string(proc.join("stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let (session, terminal): (u32, i32) = (fields[3].parse().unwrap(), fields[4].parse().unwrap());
    assert!(session != daemon.pid && terminal == 0, "it leads no session and has no terminal: {stat}");
    assert_eq!(Conn::unix(&daemon.path("socket")).call(&["SET", "k", "v"]), "+OK\r\n");
    assert_eq!(daemon.conn.call(&["SAVE"]), "+OK\r\n");
    assert!(daemon.path("data/dump.aspine").exists());
    assert!(fs::read_to_string(daemon.path("log")).unwrap().contains("ready: listening on"));
    check(&daemon.stop(&[]), 0, &[&format!("process {} has ended", daemon.pid)]);
    assert!(!daemon.is_alive() && !daemon.path("pid").exists() && !daemon.path("socket").exists());
}

#[test]
fn why_a_daemon_does_not_serve_is_its_callers_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = Dir::new();
    let words = |port| ["server", "--daemon", "--pid-file", "pid", "--log-file", "log", "--cores", "1", "--port", port];
    check(&run(aspine_in(dir.path(), &words(&port))), 1, &["the port is in use", "--port"]);
    assert!(!dir.path().join("pid").exists(), "who has not served leaves no pid file");
    assert!(fs::read_to_string(dir.path().join("log")).unwrap().contains("ERROR cannot listen"));
    for (flag, value, why) in [
        ("--log-file", "/nowhere/log", "cannot open the log file"),
        ("--data-dir", "/proc/nothing", "cannot use the data directory"),
        ("--pid-file", "/proc/nothing/pid", "cannot use the pid file"),
    ] {
        let mut words = vec!["server", "--daemon", "--persist", "--cores", "1", "--port", "0", flag, value];
        for usual in [["--pid-file", "pid"], ["--log-file", "log"]] {
            if flag != usual[0] {
                words.extend(usual);
            }
        }
        check(&run(aspine_in(dir.path(), &words)), 1, &[why, "; "]);
    }
}

#[test]
fn a_daemon_killed_before_it_is_ready_is_an_error() {
    let dir = Dir::new();
    let fifo = dir.path().join("log");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // It waits for somebody to read its log, after it has taken its pid file.
    let caller = aspine_in(dir.path(), &DAEMON).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = || fs::read_to_string(dir.path().join("pid")).ok()?.strip_suffix('\n')?.parse().ok();
    wait_until("the pid file", || pid().is_some());
    assert!(signal::send_to(pid().unwrap(), libc::SIGKILL));
    let output = caller.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("ended before it was ready: killed by signal 9"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_second_start_names_the_server_that_runs() {
    let mut daemon = Daemon::start(&[]);
    let named = format!("one runs as process {}", daemon.pid);
    check(&start_in(daemon.dir.path(), &[]), 1, &[&named, "aspine stop --pid-file"]);
    let mut foreground = Setup::new(1, &["--pid-file", daemon.path("pid").to_str().unwrap()]);
    foreground.cmd.stdin(Stdio::null());
    let (code, log) = foreground.try_start().err().unwrap();
    assert!(code == Some(1) && log.contains(&named), "{log}");
    assert_eq!(daemon.conn.call(&["PING"]), "+PONG\r\n", "it is not disturbed");
    assert_eq!(fs::read_to_string(daemon.path("pid")).unwrap(), format!("{}\n", daemon.pid));
}

#[test]
fn of_servers_that_start_at_once_one_runs() {
    let dir = Dir::new();
    let callers: Vec<Child> = (0..4)
        .map(|_| aspine_in(dir.path(), &DAEMON).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    let codes: Vec<_> = callers.into_iter().map(|mut caller| caller.wait().unwrap().code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(1)).count(), 3, "{codes:?}");
    check(&run(aspine_in(dir.path(), &["stop", "--pid-file", "pid"])), 0, &["has ended"]);
}

#[test]
fn what_a_killed_server_left_is_known_as_stale() {
    let daemon = Daemon::start(&["--unixsocket", "socket"]);
    daemon.kill();
    assert!(daemon.path("pid").exists() && daemon.path("socket").exists());
    check(&daemon.stop(&[]), 3, &["no process holds the pid file", "--pid-file"]);
    let Daemon { dir, .. } = &daemon;
    let (code, _, stderr) = start_in(dir.path(), &["--unixsocket", "socket"]);
    assert_eq!(code, Some(0), "{stderr}");
    check(&daemon.stop(&[]), 0, &["has ended"]);
    // A number that is some process's, and a server that never was.
    fs::write(daemon.path("pid"), format!("{}\n", std::process::id())).unwrap();
    check(&daemon.stop(&["--force"]), 3, &["no process holds"]);
    fs::write(daemon.path("pid"), "my notes\n").unwrap();
    check(&start_in(daemon.dir.path(), &[]), 1, &["cannot use the pid file", "its content is not a process id"]);
    assert_eq!(fs::read_to_string(daemon.path("pid")).unwrap(), "my notes\n");
}

#[test]
fn a_pid_file_that_was_removed_is_nobodys() {
    let first = Daemon::start(&[]);
    fs::remove_file(first.path("pid")).unwrap();
    check(&first.stop(&[]), 3, &["no process holds"]);
    let (code, stdout, stderr) = start_in(first.dir.path(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let second = fs::read_to_string(first.path("pid")).unwrap();
    assert!(signal::send_to(first.pid, libc::SIGTERM));
    wait_until("the first to end", || !first.is_alive());
    assert_eq!(fs::read_to_string(first.path("pid")).unwrap(), second, "the other's is left alone; {stdout}");
    check(&first.stop(&[]), 0, &[second.trim_end()]);
}

#[test]
fn stop_waits_only_so_long_and_kills_only_when_told_to() {
    let daemon = Daemon::start(&[]);
    signal::send_to(daemon.pid, libc::SIGSTOP);
    let pid = daemon.pid.to_string();
    check(&daemon.stop(&["--timeout", "1"]), 4, &[&pid, "still runs after 1 s", "--timeout", "--force"]);
    assert!(daemon.is_alive());
    check(&daemon.stop(&["--timeout", "1", "--force"]), 0, &[&pid, "was killed"]);
    assert!(!daemon.is_alive());
    check(&daemon.stop(&["--force"]), 3, &["no process holds"]);
}

#[test]
fn stop_finds_a_server_by_what_it_listens_on() {
    let key = ["--authkey", "k"];
    let stop = |flags: &[&str]| {
        let dir = Dir::new();
        run(aspine_in(dir.path(), &[&["stop"], flags].concat()))
    };
    let mut server = Setup::new(1, &key).unix().start();
    let (port, path) = (server.addr.port().to_string(), server.unix().to_str().unwrap().to_owned());
    check(&stop(&["--port", &port]), 1, &["wants a key", "--authkey-file"]);
    check(&stop(&["--port", &port, "--authkey", "k"]), 0, &[&format!("process {} has ended", server.pid())]);
    assert_eq!(server.wait().code(), Some(0));
    check(&stop(&["--port", &port, "--authkey", "k"]), 3, &["cannot reach the server"]);
    check(&stop(&["--unixsocket", &path]), 3, &["cannot reach the server"]);
    let mut server = Setup::new(1, &[]).unix().start();
    let path = server.unix().to_str().unwrap().to_owned();
    check(&stop(&["--unixsocket", &path]), 0, &["has ended"]);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn stop_says_how_it_is_used_wrongly() {
    let dir = Dir::new();
    for words in [&["--timeout", "0"][..], &["--timeout", "soon"], &["--pid-file", "p", "--port", "1"], &["now"]] {
        let (code, _, stderr) = run(aspine_in(dir.path(), &[&["stop"], words].concat()));
        assert_eq!(code, Some(2), "{stderr}");
    }
}

/// The binary where any user may run it.
fn for_anyone(dir: &Dir) -> PathBuf {
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("aspine");
    copy_program(&path);
    path
}

const NOBODY: u32 = 65_534;

#[test]
fn another_user_has_a_pid_file_of_his_own() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("not root, so this can't be tried as another user; as this one the other tests do");
        return;
    }
    let dir = Dir::new();
    let program = for_anyone(&dir);
    let home = dir.path().join("run");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    let nobody = |words: &[&str]| {
        let mut cmd = Command::new(&program);
        cmd.args(words).uid(NOBODY).gid(NOBODY).current_dir(&home).env("XDG_RUNTIME_DIR", &home).stdin(Stdio::null());
        cmd
    };
    let start = ["server", "--daemon", "--log-file", "log", "--cores", "1", "--port", "0", "--maxclients", "100"];
    check(&run(nobody(&start)), 0, &["ready"]);
    let pid = fs::read_to_string(home.join("aspine.pid")).unwrap();
    check(&run(nobody(&start)), 1, &["one runs as process", pid.trim_end()]);
    let mut without = nobody(&start);
    check(&run(std::mem::replace(without.env_remove("XDG_RUNTIME_DIR"), nobody(&[]))), 1, &["--pid-file"]);
    // Root's server is not his to stop.
    let daemon = Daemon::start(&[]);
    fs::set_permissions(daemon.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = daemon.path("pid");
    check(&run(nobody(&["stop", "--pid-file", file.to_str().unwrap()])), 1, &["cannot signal process", "as root"]);
    check(&run(nobody(&["stop"])), 0, &[pid.trim_end()]);
    assert!(!home.join("aspine.pid").exists());
}

#[test]
fn roots_pid_file_is_in_run() {
    if let Err(why) = namespace::own_mounts(&["-m"], &["/run"]) {
        return eprintln!("left out: no /run of its own here: {why}");
    }
    let dir = Dir::new();
    // A /run of its own, so that this machine's is left alone.
    let script = "mount -t tmpfs none /run && \"$0\" server --daemon --log-file log --cores 1 --port 0 && \
                  stat -c %a /run/aspine /run/aspine/aspine.pid && \"$0\" stop && ls /run/aspine && \"$0\" stop";
    let mut cmd = Command::new("unshare");
    cmd.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_aspine")])
        .current_dir(dir.path())
        .stdin(Stdio::null());
    let (code, stdout, stderr) = run(cmd);
    assert_eq!(code, Some(3), "{stdout}{stderr}");
    let lines: Vec<_> = stdout.lines().collect();
    assert!(lines[0].starts_with("ready") && lines[3].ends_with("has ended"), "{stdout}");
    assert_eq!((lines[1], lines[2], lines.len()), ("755", "644", 4), "{stdout}");
    assert!(stderr.contains("/run/aspine/aspine.pid"), "{stderr}");
}

#[test]
fn the_log_is_opened_again_at_sighup() {
    let daemon = Daemon::start(&[]);
    let (log, old) = (daemon.path("log"), daemon.path("log.1"));
    let says = |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|said| said.contains(text));
    for round in 0..3 {
        fs::rename(&log, &old).unwrap();
        signal::send_to(daemon.pid, libc::SIGHUP);
        wait_until("the new log", || says(&log, "SIGHUP"));
        let leads_to = |fd: &str| fs::read_link(format!("/proc/{}/fd/{fd}", daemon.pid)).unwrap();
        assert_eq!((leads_to("1"), leads_to("2")), (log.clone(), log.clone()), "{round}");
        let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.pid)).unwrap();
        let targets: Vec<_> = descriptors.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok()).collect();
        assert!(!targets.contains(&old), "the old one is let go: {targets:?}");
    }
    // One that can't be opened again: the old one goes on, and says so.
    fs::rename(&log, &old).unwrap();
    fs::create_dir(&log).unwrap();
    signal::send_to(daemon.pid, libc::SIGHUP);
    wait_until("a warning in the old log", || says(&old, "cannot open the log file"));
    assert!(daemon.is_alive());
}

#[test]
fn sighup_ends_no_server_and_changes_nothing() {
    let mut server = Server::start(1, &[]);
    server.signal(libc::SIGHUP);
    server.wait_for_log("SIGHUP: nothing to open again");
    assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n");
    assert_eq!(server.stop().code(), Some(0));
}

/// Opening the log again may hang; ending the server does not wait for it.
#[test]
fn a_log_that_cannot_be_opened_again_does_not_keep_the_server() {
    let daemon = Daemon::start(&[]);
    fs::rename(daemon.path("log"), daemon.path("log.1")).unwrap();
    assert!(Command::new("mkfifo").arg(daemon.path("log")).status().unwrap().success());
    signal::send_to(daemon.pid, libc::SIGHUP);
    check(&daemon.stop(&[]), 0, &["has ended"]);
}

#[test]
fn in_the_foreground_there_is_a_pid_file_if_it_is_asked_for() {
    let dir = Dir::new();
    let path = dir.path().join("run/pid");
    let log = dir.path().join("log");
    let flags = ["--pid-file", path.to_str().unwrap(), "--log-file", log.to_str().unwrap()];
    let mut server = Server::start(1, &flags);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", server.pid()));
    fs::remove_file(&log).unwrap();
    server.signal(libc::SIGHUP);
    wait_until("the new log", || fs::read_to_string(&log).is_ok_and(|said| said.contains("SIGHUP")));
    assert!(fs::read_link(format!("/proc/{}/fd/1", server.pid())).unwrap() != log, "its stdout stays its own");
    assert_eq!(server.stop().code(), Some(0));
    assert!(!path.exists());
}
