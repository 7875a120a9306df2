//! Under a service manager: what it is told, when, and that a core that hangs is no sign of life.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::support::server::{DEADLINE, Dir, Server, Setup, cores, wait_until};
use crate::support::signal::StoppedThread;

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn new(address: &SocketAddr) -> Manager {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Manager { socket }
    }

    /// The next message, as lines.
    #[track_caller]
    fn hear(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no message: {error}"));
        String::from_utf8(buffer[..len].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }

    /// Messages up to the first that has `line`.
    #[track_caller]
    fn hear_until(&self, line: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            all.extend(self.hear());
            if all.iter().any(|heard| heard == line) {
                return all;
            }
        }
    }

    /// The messages that have arrived, without waiting.
    fn hear_now(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        let mut all = Vec::new();
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(len) => all.push(String::from_utf8(buffer[..len].to_vec()).unwrap()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.socket.set_nonblocking(false).unwrap();
        all
    }
}

/// A server under `manager`, which listens on `address`.
fn start(address: &str, flags: &[&str], watchdog: Option<Duration>) -> Server {
    let mut setup = Setup::new(2, flags);
    setup.cmd.env("NOTIFY_SOCKET", address).env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
    if let Some(watchdog) = watchdog {
        setup.cmd.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    }
    setup.start()
}

#[test]
fn the_manager_hears_of_the_start_and_of_the_end() {
    let dir = Dir::new();
    let path = dir.path().join("notify");
    let name = format!("aspine-test-{}", std::process::id());
    let data = dir.path().join("data");
    let addresses = [
        (SocketAddr::from_pathname(&path).unwrap(), path.to_str().unwrap().to_owned()),
        (SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}")),
    ];
    for (address, shown) in addresses {
        let manager = Manager::new(&address);
        let mut server = start(&shown, &["--persist", "--data-dir", data.to_str().unwrap()], None);
        let heard = manager.hear_until("READY=1");
        assert!(heard.contains(&"STATUS=Loading dump.aspine".to_owned()), "{heard:?}");
        let mut rest = heard;
        rest.extend(manager.hear_now().iter().flat_map(|message| message.lines().map(str::to_owned)));
        assert!(rest.contains(&format!("MAINPID={}", server.pid())), "{rest:?}");
        assert!(rest.contains(&format!("STATUS=Serving on {}", server.addr)), "{rest:?}");
        assert!(!rest.iter().any(|line| line.starts_with("WATCHDOG")), "{rest:?}");
        assert_eq!(server.stop().code(), Some(0));
        let heard = manager.hear_until("STATUS=Writing the last snapshot");
        assert!(heard[0] == "STOPPING=1" && heard.contains(&"EXTEND_TIMEOUT_USEC=35000000".to_owned()), "{heard:?}");
    }
}

#[test]
fn a_manager_that_is_not_there_stops_nothing() {
    for address in ["/nowhere/notify", "@aspine-nobody", "nonsense"] {
        let mut server = start(address, &[], Some(Duration::from_millis(50)));
        server.wait_for_log("the service manager");
        assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n");
        assert_eq!(server.stop().code(), Some(0));
    }
}

#[test]
fn a_core_that_hangs_is_no_sign_of_life() {
    let dir = Dir::new();
    let path = dir.path().join("notify");
    let manager = Manager::new(&SocketAddr::from_pathname(&path).unwrap());
    let server = start(path.to_str().unwrap(), &[], Some(Duration::from_millis(400)));
    for _ in 0..3 {
        manager.hear_until("WATCHDOG=1");
    }
    let silences = || server.log().matches("has not turned").count();
    for core in 0..cores(2) {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().map(|task| task.unwrap().path());
        let name = format!("core-{core}");
        // Its executor, and a helper that has its name.
        let threads = tasks.filter(|task| fs::read_to_string(task.join("comm")).unwrap().starts_with(&name));
        let tid = |task: PathBuf| task.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let stop = |task: PathBuf| {
            // Not in the middle of its answer, where it holds the lock of a channel and would take the others along.
            let sleeps = || fs::read_to_string(task.join("status")).unwrap().contains("State:\tS");
            wait_until("the core's sleep", sleeps);
            StoppedThread::new(tid(task))
        };
        let stopped: Vec<_> = threads.map(stop).collect();
        assert!(!stopped.is_empty());
        let before = silences();
        wait_until("a silence", || silences() > before);
        let _earlier = manager.hear_now();
        wait_until("more of it", || silences() > before + 2);
        assert_eq!(manager.hear_now(), Vec::<String>::new(), "while core {core} hangs");
        drop(stopped);
        manager.hear_until("WATCHDOG=1");
    }
}

/// While a snapshot is loaded and written, the manager is asked for more time; else it would kill what gets on.
#[test]
fn a_long_load_and_a_long_save_ask_for_more_time() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    let flags = ["--persist", "--data-dir", data.to_str().unwrap(), "--max-memory", "1gb"];
    let mut server = Setup::new(2, &flags).start();
    let mut conn = server.connect();
    for from in (0..200_000).step_by(2000) {
        let mut mset = vec!["MSET".to_owned()];
        mset.extend(
            (from..from + 2000).flat_map(|key| [format!("key:{key}"), format!("a value of some size {key:0>80}")]),
        );
        assert_eq!(conn.call(&mset), "+OK\r\n");
    }
    assert_eq!(server.stop().code(), Some(0));
    let path = dir.path().join("notify");
    let manager = Manager::new(&SocketAddr::from_pathname(&path).unwrap());
    let listener = thread::spawn(move || (manager.hear_until("READY=1"), manager));
    let mut server = start(path.to_str().unwrap(), &flags, Some(Duration::from_millis(2)));
    let (heard, manager) = listener.join().unwrap();
    let asks = |heard: &[String]| heard.iter().filter(|line| *line == "EXTEND_TIMEOUT_USEC=30000000").count();
    assert!(asks(&heard) > 0, "{heard:?}");
    let listener = thread::spawn(move || {
        let mut heard = manager.hear_until("STATUS=Writing the last snapshot");
        heard.clear();
        // To the end of the process, which closes its socket; the deadline is for what hangs.
        while !heard.iter().any(|line: &String| line == "EXTEND_TIMEOUT_USEC=30000000") {
            heard.extend(manager.hear());
        }
        (heard, manager)
    });
    server.signal(libc::SIGTERM);
    let (heard, _manager) = listener.join().unwrap();
    assert!(asks(&heard) > 0, "{heard:?}");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}
