//! `aspine import`: from a dump file that a redis-server has written, and from one that runs.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::conn::{Conn, bulk, command};
use crate::support::server::{Dir, Server, free_port, run, wait_until};

/// A redis-server that runs until the end of the test.
struct Redis {
    child: Child,
    dir: Dir,
    addr: SocketAddr,
}

impl Redis {
    /// None if the machine has no redis-server, unless `ASPINE_REQUIRE_CLIENTS=1`.
    fn start(flags: &[&str]) -> Option<Redis> {
        let (dir, port) = (Dir::new(), free_port());
        let mut cmd = Command::new("redis-server");
        cmd.args(["--port", &port.to_string(), "--save", ""]).arg("--dir").arg(dir.path()).args(flags);
        let child = match cmd.stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let required = std::env::var("ASPINE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
                assert!(!required, "redis-server is not on the PATH and ASPINE_REQUIRE_CLIENTS=1");
                eprintln!("left out: redis-server is not on the PATH (apt-get install redis-server)");
                return None;
            }
            Err(error) => panic!("redis-server: {error}"),
        };
        let redis = Redis { child, dir, addr: SocketAddr::from(([127, 0, 0, 1], port)) };
        wait_until("redis-server", || TcpStream::connect(redis.addr).is_ok());
        Some(redis)
    }

    fn connect(&self) -> Conn {
        Conn::tcp(self.addr)
    }

    /// What it writes when it is told to.
    fn dump(&self) -> std::path::PathBuf {
        assert_eq!(self.connect().call(&["SAVE"]), "+OK\r\n");
        self.dir.path().join("dump.rdb")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Strings of every encoding by database, with times to live and without, and one of each other type.
fn fill(conn: &mut Conn) {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for (database, count) in [(0, 3000), (1, 10), (15, 1)] {
        lines.push(command(&["SELECT", &database.to_string()]));
        for number in 0..count {
            let value = match number % 6 {
                0 => number.to_string(),
                1 => (number as i64 * 100_000 - 7).to_string(),
                2 => "ab".repeat(number),
                3 => format!("value {number}"),
                4 => String::new(),
                _ => format!("{number}{}", "x".repeat(number % 700)),
            };
            let key = format!("key:{database}:{number}");
            lines.push(if number % 4 == 3 {
                command(&["SET", &key, &value, "PX", &(10_000_000 + number).to_string()])
            } else {
                command(&["SET", &key, &value])
            });
        }
    }
    for line in ["SELECT 1", "RPUSH l a b", "SADD s 1 2", "SADD t a b", "ZADD z 1 a", "HSET h a b", "XADD x * a b"] {
        lines.push(command(&line.split(' ').collect::<Vec<_>>()));
    }
    conn.send(&lines.concat());
    for _ in &lines {
        let reply = conn.reply();
        assert!(!reply.starts_with('-'), "{reply}");
    }
}

/// All keys of a database, sorted, with value and deadline.
fn contents(conn: &mut Conn, database: u8) -> Vec<(String, String, i64)> {
    assert_eq!(conn.call(&["SELECT", &database.to_string()]), "+OK\r\n");
    let keys = conn.call(&["KEYS", "key:*"]);
    let mut all: Vec<String> = keys.lines().filter(|line| line.starts_with("key:")).map(str::to_owned).collect();
    all.sort();
    let with_item = |key: String| {
        let value = conn.call(&["GET", &key]);
        let deadline_ms = conn.number(&["PEXPIRETIME", &key]);
        (key, value, deadline_ms)
    };
    all.into_iter().map(with_item).collect()
}

fn import(server: &Server, words: &[&str]) -> (Option<i32>, String, String) {
    let mut cmd = Command::new(env!("CARGO_BIN_EXE_aspine"));
    cmd.arg("import").args(words).args(["--port", &server.addr.port().to_string()]);
    cmd.env_remove("ASPINE_AUTHKEY").env_remove("REDISCLI_AUTH").stdin(Stdio::null());
    run(cmd)
}

fn room() -> [&'static str; 2] {
    ["--max-memory", "256mb"]
}

/// Checks that the server has what Redis has; a deadline may be later by so much.
#[track_caller]
fn check_same(redis: &mut Conn, server: &Server, late_ms_max: i64) {
    for database in [0, 1, 15] {
        let (theirs, ours) = (contents(redis, database), contents(&mut server.connect(), database));
        assert!(!theirs.is_empty() && theirs.len() == ours.len(), "database {database}: {} keys", ours.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!((&ours.0, &ours.1), (&theirs.0, &theirs.1), "database {database}");
            let late_ms = ours.2 - theirs.2;
            assert_eq!(ours.2 < 0, theirs.2 < 0, "database {database}: {ours:?} {theirs:?}");
            assert!((0..=late_ms_max).contains(&late_ms), "database {database}: {ours:?} is late by {late_ms} ms");
        }
    }
}

const LEFT_OUT: &str =
    "left out, as only strings are stored here: hash: 1, list: 1, set: 2, sorted set: 1, stream: 1\n";

#[test]
fn a_dump_file_of_redis_is_imported() {
    let Some(redis) = Redis::start(&[]) else { return };
    fill(&mut redis.connect());
    let path = redis.dump();
    for cores in [1, 2] {
        let server = Server::start(cores, &room());
        let (code, stdout, stderr) = import(&server, &[path.to_str().unwrap()]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        assert!(stdout.starts_with("imported 3011 items in "), "{stdout}");
        assert!(stdout.contains("found: 3000 in database 0, 10 in database 1, 1 in database 15\n"), "{stdout}");
        assert!(stdout.ends_with(LEFT_OUT), "{stdout}");
        check_same(&mut redis.connect(), &server, 0);
        // What is there already stays, if it is to.
        let mut conn = server.connect();
        conn.call(&["SET", "key:0:3", "newer"]);
        conn.call(&["DEL", "key:0:4"]);
        let (code, stdout, _) = import(&server, &[path.to_str().unwrap(), "--keep"]);
        assert_eq!(code, Some(0));
        assert!(stdout.starts_with("imported 1 items in ") && stdout.contains("3010 were there already"), "{stdout}");
        assert_eq!(conn.call(&["GET", "key:0:3"]), bulk("newer"));
    }
}

#[test]
fn nothing_of_a_damaged_file_is_imported() {
    let Some(redis) = Redis::start(&[]) else { return };
    fill(&mut redis.connect());
    let (path, server) = (redis.dump(), Server::start(1, &room()));
    let whole = std::fs::read(&path).unwrap();
    let write = |bytes: &[u8]| std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for bytes in [&damaged[..], &whole[..whole.len() - 1], &whole[..whole.len() / 2], b"", b"text"] {
        write(bytes);
        let (code, stdout, stderr) = import(&server, &[path.to_str().unwrap()]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains("dump.rdb is ") && stderr.lines().count() == 1, "{stderr}");
    }
    assert_eq!(server.connect().call(&["DBSIZE"]), ":0\r\n");
    let (code, _, stderr) = import(&server, &["/nowhere/dump.rdb"]);
    assert!(code == Some(1) && stderr.contains("/nowhere/dump.rdb can't be read: "), "{stderr}");
}

#[test]
fn a_running_redis_is_imported() {
    let Some(redis) = Redis::start(&["--requirepass", "p@ss"]) else { return };
    let login = |mut conn: Conn| {
        assert_eq!(conn.call(&["AUTH", "p@ss"]), "+OK\r\n");
        conn
    };
    fill(&mut login(redis.connect()));
    let port = redis.addr.port();
    let server = Server::start(2, &room());
    let url = format!("redis://:p%40ss@127.0.0.1:{port}");
    let began = Instant::now();
    let (code, stdout, stderr) = import(&server, &["--from", &url]);
    // A time to live that Redis has told of begins anew when it arrives here.
    let late_ms_max = began.elapsed().as_millis() as i64;
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.starts_with("imported 3011 items in ") && stdout.ends_with(LEFT_OUT), "{stdout}");
    check_same(&mut login(redis.connect()), &server, late_ms_max);
    // One database alone, as a user by name.
    let server = Server::start(1, &room());
    let url = format!("redis://default:p%40ss@127.0.0.1:{port}/1");
    let (code, stdout, stderr) = import(&server, &["--from", &url]);
    assert!(code == Some(0) && stdout.starts_with("imported 10 items in "), "{stdout}{stderr}");
    let (code, stdout, _) = import(&server, &["--from", &url, "--keep"]);
    assert!(code == Some(0) && stdout.contains("10 were there already and were kept"), "{stdout}");
    for (url, words) in [
        (format!("redis://127.0.0.1:{port}"), "its password goes into the URL"),
        ("redis://127.0.0.1:1".to_owned(), "cannot reach the Redis at 127.0.0.1:1"),
    ] {
        let (code, stdout, stderr) = import(&server, &["--from", &url]);
        assert!(code == Some(1) && stdout.is_empty() && stderr.contains(words), "{stderr}");
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let Some(redis) = Redis::start(&["--databases", "40"]) else { return };
    fill(&mut redis.connect());
    let path = redis.dump();
    let file = |path: &Path| path.to_str().unwrap().to_owned();
    let server = Server::start(1, &["--max-size", "100", "--eviction", "none"]);
    let (code, stdout, stderr) = import(&server, &[&file(&path)]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.starts_with("imported 100 items in "), "{stdout}");
    assert!(stderr.contains("2911 items were refused: OOM "), "{stderr}");
    let server = Server::start(1, &["--databases", "4"]);
    let (code, _, stderr) = import(&server, &[&file(&path)]);
    assert!(code == Some(1) && stderr.contains("databases up to 15") && stderr.contains("--databases 16"), "{stderr}");
    assert_eq!(server.connect().call(&["DBSIZE"]), ":0\r\n");
}
