//! Runs the real binary: starts it, waits for its `ready` line, ends it.
//!
//! Nothing here waits for time: a server is up when it says so, and gone when its process is. `DEADLINE` only turns a
//! hang into a failure that says what hung. A server left behind by a failed test is killed, and its log printed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use super::conn::Conn;
use super::signal;

/// After which something that should have happened counts as hung.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A server that is to be started.
pub(crate) struct Setup {
    /// May be changed before the start, as by `limits`.
    pub(crate) cmd: Command,
    dir: Dir,
    unix: Option<PathBuf>,
}

/// A server that is up.
pub(crate) struct Server {
    child: Child,
    /// The address of the server.
    pub(crate) addr: SocketAddr,
    unix: Option<PathBuf>,
    dir: Dir,
}

/// A directory of one test, gone with it.
pub(crate) struct Dir(PathBuf);

impl Setup {
    /// A server of so many cores (or fewer, see [`cores`]) with `flags`, on a free port unless they name one.
    pub(crate) fn new(wanted: usize, flags: &[&str]) -> Setup {
        let mut cmd = aspine(flags);
        cmd.args(["--cores", &cores(wanted).to_string()]);
        if !flags.contains(&"--port") {
            cmd.args(["--port", "0"]);
        }
        Setup { cmd, dir: Dir::new(), unix: None }
    }

    /// Listens on a Unix socket too.
    pub(crate) fn unix(mut self) -> Setup {
        let path = self.dir.path().join("socket");
        self.cmd.arg("--unixsocket").arg(&path);
        self.unix = Some(path);
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(self) -> Server {
        self.try_start().unwrap_or_else(|(code, log)| panic!("ended with {code:?} instead of being ready:\n{log}"))
    }

    /// Starts it and waits until it is ready, or has ended: then with which code, and what it said.
    #[track_caller]
    pub(crate) fn try_start(mut self) -> Result<Server, (Option<i32>, String)> {
        if self.cmd.get_current_dir().is_none() {
            // Not two in one, where one that saves would hold the default data directory.
            self.cmd.current_dir(self.dir.path());
        }
        let log = File::create(self.dir.path().join("log")).unwrap();
        let mut child = self.cmd.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        // Ends with the server. Reads on, so that the pipe is never full.
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|text| drop(line.send(text))));
        let mut server = Server { child, addr: ([127, 0, 0, 1], 0).into(), unix: self.unix, dir: self.dir };
        let ready = match lines.recv_timeout(DEADLINE) {
            Ok(ready) => ready,
            Err(RecvTimeoutError::Disconnected) => return Err((server.wait().code(), server.log())),
            Err(RecvTimeoutError::Timeout) => panic!("neither ready nor ended within {DEADLINE:?}"),
        };
        let addr = ready.strip_prefix("ready: listening on ").and_then(|rest| rest.split(' ').next());
        server.addr = addr.and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("not an address: {ready}"));
        Ok(server)
    }
}

impl Server {
    /// A server that runs until the end of the test.
    #[track_caller]
    pub(crate) fn start(wanted: usize, flags: &[&str]) -> Server {
        Setup::new(wanted, flags).start()
    }

    /// A TCP connection.
    #[track_caller]
    pub(crate) fn connect(&self) -> Conn {
        Conn::tcp(self.addr)
    }

    /// A connection by the Unix socket.
    #[track_caller]
    pub(crate) fn connect_unix(&self) -> Conn {
        Conn::unix(self.unix())
    }

    /// Path of the Unix socket, which it was set up with.
    pub(crate) fn unix(&self) -> &Path {
        self.unix.as_deref().expect("set up with a Unix socket")
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Waits until it has logged `text`: a thread of its own writes the log, later than what it tells of.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(text, || self.log().contains(text));
    }

    /// Resident memory in bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Whether all its threads sleep at this moment.
    pub(crate) fn is_asleep(&self) -> bool {
        let mut tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.all(|task| fs::read_to_string(task.unwrap().path().join("stat")).is_ok_and(|stat| stat.contains(") S ")))
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, as `libc::SIGTERM`.
    pub(crate) fn signal(&self, number: i32) {
        signal::send(&self.child, number);
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait()
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server's end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

impl Dir {
    /// An empty one.
    pub(crate) fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("aspine-bb-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // A temporary directory left behind is nobody's failure.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `aspine server` with `flags`, and few clients, so that the machine's descriptor limit is no matter; with the transport that
/// `ASPINE_TEST_TRANSPORT` names, if it is set.
pub(crate) fn aspine(flags: &[&str]) -> Command {
    let mut cmd = Command::new(env!("CARGO_BIN_EXE_aspine"));
    cmd.arg("server").args(flags).env_remove("ASPINE_AUTHKEY").stdin(Stdio::null());
    if !flags.contains(&"--maxclients") {
        cmd.args(["--maxclients", "500"]);
    }
    if let Some(transport) = env::var_os("ASPINE_TEST_TRANSPORT")
        && !flags.contains(&"--transport")
    {
        cmd.arg("--transport").arg(transport);
    }
    cmd
}

/// Copies Aspine's program, by another process: a child that a test beside this one forks while the file is open for writing
/// here would keep it so until it runs a program, and what is open for writing can't be run.
pub(crate) fn copy_program(to: &Path) {
    let status = Command::new("cp").arg(env!("CARGO_BIN_EXE_aspine")).arg(to).status().unwrap();
    assert!(status.success());
}

/// Runs `cmd` to its end, of its output too: its code, and what it said on stdout and stderr. For few words.
#[track_caller]
pub(crate) fn run(mut cmd: Command) -> (Option<i32>, String, String) {
    let mut child = cmd.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (said, words) = mpsc::channel();
    thread::spawn(move || {
        let mut texts = [String::new(), String::new()];
        stdout.read_to_string(&mut texts[0]).unwrap();
        stderr.read_to_string(&mut texts[1]).unwrap();
        let _ = said.send(texts);
    });
    let Ok([out, err]) = words.recv_timeout(DEADLINE) else {
        let _ = child.kill();
        panic!("{cmd:?} has not ended, or somebody keeps its stdout or stderr, after {DEADLINE:?}");
    };
    (child.wait().unwrap().code(), out, err)
}

/// Runs `cmd` to its end and checks that it refuses to serve, in one line that has every one of `words`.
#[track_caller]
pub(crate) fn check_refused(mut cmd: Command, words: &[&str]) {
    let mut child = cmd.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut status = None;
    let began = Instant::now();
    while status.is_none() && began.elapsed() < DEADLINE {
        status = child.try_wait().unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let _ = child.wait();
    assert_eq!(stdout, "", "it serves, and should refuse: {words:?}");
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{stderr}");
    assert!(stderr.starts_with("aspine: ") && stderr.ends_with('\n'), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word} in {stderr}");
    }
}

/// How many cores to start where a test wants `wanted`: as many, or as many as there are CPUs for.
pub(crate) fn cores(wanted: usize) -> usize {
    let allowed = aspine::host::cpus_allowed().unwrap().len();
    if allowed < wanted {
        eprintln!("this process may use {allowed} CPU, so this runs with {allowed} cores instead of {wanted}");
    }
    wanted.min(allowed)
}

/// Waits until `done`, for what only polling can see. `what` says what hung if it never comes.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody listens on, below those the kernel gives to anyone: nobody takes it between two servers.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let at = process::id().wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(at % 20_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
