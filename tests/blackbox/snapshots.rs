//! Snapshots: taken, loaded, refused and survived by the real binary. Kills come at random moments under load; what is there
//! afterwards is a snapshot that was completed, and nothing that was never written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::support::conn::Conn;
use crate::support::limits;
use crate::support::server::{Dir, Server, Setup, aspine, check_refused, free_port, wait_until};

const FILE: &str = "dump.aspine";

/// A server with a data directory, and more flags.
fn setup(cores: usize, dir: &Dir, flags: &[&str]) -> Setup {
    let data = data(dir);
    let mut all = vec!["--data-dir", data.to_str().unwrap()];
    all.extend(flags);
    if !flags.contains(&"--max-size") {
        all.extend(["--max-memory", "1gb"]);
    }
    Setup::new(cores, &all)
}

fn data(dir: &Dir) -> PathBuf {
    dir.path().join("data")
}

fn names(dir: &Dir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(data(dir)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aspine")).args(args).env_remove("ASPINE_AUTHKEY").output().unwrap()
}

fn check(path: &Path) -> (bool, String) {
    let output = run(&["check", path.to_str().unwrap()]);
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[track_caller]
fn fill(conn: &mut Conn, from: usize, to: usize) {
    for at in (from..to).step_by(1000) {
        let mut mset = vec!["MSET".to_owned()];
        mset.extend((at..to.min(at + 1000)).flat_map(|at| [format!("key:{at}"), format!("value:{at}")]));
        assert_eq!(conn.call(&mset), "+OK\r\n");
    }
}

#[test]
fn what_was_saved_is_loaded_by_any_number_of_cores() {
    let dir = Dir::new();
    let mut server = setup(2, &dir, &[]).start();
    let mut conn = server.connect();
    fill(&mut conn, 0, 5000);
    assert_eq!(conn.call(&["SET", "timed", "t", "PX", "100000"]), "+OK\r\n");
    assert_eq!(conn.call(&["SET", "binary", "a\0\r\nb"]), "+OK\r\n");
    assert!(conn.info_number("rdb_changes_since_last_save") >= 5002);
    assert_eq!(conn.call(&["SAVE"]), "+OK\r\n");
    assert_eq!(conn.info("rdb_changes_since_last_save"), "0");
    // It expires, which is a change, before it is loaded, and as like as not behind this snapshot.
    assert_eq!(conn.call(&["SET", "short", "s", "PX", "30"]), "+OK\r\n");
    assert_eq!(conn.call(&["SAVE"]), "+OK\r\n");
    assert_eq!((conn.info("rdb_saves"), conn.info("rdb_last_bgsave_status")), ("2".into(), "ok".into()));
    let saved = conn.number(&["LASTSAVE"]);
    assert_eq!(conn.info("rdb_last_save_time"), saved.to_string());
    assert_eq!(conn.call(&["BGSAVE", "other.1"]), "+Background saving started\r\n");
    wait_until("the background save", || conn.info("rdb_bgsave_in_progress") == "0");
    assert_eq!(names(&dir), [FILE, "other.1"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data(&dir)), mode(&data(&dir).join(FILE))), (0o700, 0o600));
    assert_eq!(server.stop().code(), Some(0));
    for cores in [1, 2] {
        let mut server = setup(cores, &dir, &["--persist"]).start();
        let mut conn = server.connect();
        for at in [0, 7, 4999] {
            assert_eq!(conn.text(&["GET", &format!("key:{at}")]), format!("value:{at}"));
        }
        wait_until("the end of a short time to live", || conn.number(&["EXISTS", "short"]) == 0);
        assert_eq!(conn.number(&["DBSIZE"]), 5002);
        assert!((1..=100_000).contains(&conn.number(&["PTTL", "timed"])));
        assert_eq!(conn.call(&["GET", "binary"]), "$5\r\na\0\r\nb\r\n");
        assert!(conn.info_number("rdb_last_load_keys_loaded") >= 5002);
        assert_eq!(server.stop().code(), Some(0));
    }
}

#[test]
fn a_load_replaces_or_merges() {
    for cores in [1, 2] {
        let dir = Dir::new();
        let server = setup(cores, &dir, &[]).start();
        let mut conn = server.connect();
        assert_eq!(conn.call(&["MSET", "a", "1", "b", "1"]), "+OK\r\n");
        assert_eq!(conn.call(&["SAVE", "f"]), "+OK\r\n");
        assert_eq!(conn.call(&["MSET", "b", "2", "c", "2"]), "+OK\r\n");
        assert_eq!(conn.call(&["ASPINE.LOAD", "f", "MERGE"]), "+OK\r\n");
        let all = ["MGET", "a", "b", "c"];
        assert_eq!(conn.call(&all), "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n2\r\n");
        for load in [&["ASPINE.LOAD", "f"][..], &["aspine.load", "f", "replace"]] {
            assert_eq!(conn.call(&["SET", "c", "3"]), "+OK\r\n");
            assert_eq!(conn.call(load), "+OK\r\n");
            assert_eq!(conn.call(&all), "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n");
        }
        assert!(conn.call(&["ASPINE.LOAD", "none"]).starts_with("-ERR cannot load none: "));
        assert!(conn.call(&["ASPINE.LOAD"]).starts_with("-ERR cannot load dump.aspine: "));
        for wrong in [&["ASPINE.LOAD", "f", "g"][..], &["SAVE", "f", "g"], &["BGSAVE", "f", "g"]] {
            assert_eq!(conn.call(wrong), "-ERR syntax error\r\n");
        }
        // What is damaged is not begun with.
        let path = data(&dir).join("f");
        let mut bytes = fs::read(&path).unwrap();
        let at = 4096 + 70;
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let refusal = conn.call(&["ASPINE.LOAD", "f"]);
        assert!(refusal.contains("cannot load f: damaged at byte 4096: "), "{refusal}");
        assert_eq!(conn.call(&all), "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n");
        assert_eq!(conn.call(&["SET", "c", "3"]), "+OK\r\n");
    }
}

#[test]
fn a_transaction_may_begin_a_save_but_not_wait_for_one() {
    let dir = Dir::new();
    let server = setup(2, &dir, &[]).start();
    let mut conn = server.connect();
    for word in ["SAVE", "ASPINE.LOAD"] {
        assert_eq!(conn.call(&["MULTI"]), "+OK\r\n");
        assert_eq!(conn.call(&[word]), "-ERR Command not allowed inside a transaction\r\n");
        assert!(conn.call(&["EXEC"]).starts_with("-EXECABORT"));
    }
    assert_eq!(conn.call(&["MULTI"]), "+OK\r\n");
    for line in [&["SET", "a", "1"][..], &["BGSAVE", "f"], &["SET", "b", "1"]] {
        assert_eq!(conn.call(line), "+QUEUED\r\n");
    }
    assert_eq!(conn.call(&["EXEC"]), "*3\r\n+OK\r\n+Background saving scheduled\r\n+OK\r\n");
    wait_until("the save", || conn.info("rdb_saves") == "1");
    let (whole, text) = check(&data(&dir).join("f"));
    assert!(whole && text.contains("items      2,"), "{text}");
}

#[test]
fn names_do_not_leave_the_directory() {
    let dir = Dir::new();
    let server = setup(1, &dir, &[]).start();
    let mut conn = server.connect();
    assert_eq!(conn.call(&["SET", "a", "1"]), "+OK\r\n");
    assert_eq!(conn.call(&["SAVE"]), "+OK\r\n");
    let outside = dir.path().join("outside");
    fs::write(&outside, "precious").unwrap();
    symlink(&outside, data(&dir).join("link")).unwrap();
    symlink(dir.path().join("nowhere"), data(&dir).join("dangling")).unwrap();
    fs::create_dir(data(&dir).join("folder")).unwrap();
    let absolute = outside.to_str().unwrap();
    let long = "n".repeat(200);
    for name in ["..", ".", "../outside", "/etc/passwd", absolute, "folder/f", "a\0b", "", ".hidden", &long] {
        for word in ["SAVE", "BGSAVE", "ASPINE.LOAD"] {
            let reply = conn.call(&[word, name]);
            assert!(reply.starts_with("-ERR invalid snapshot name"), "{word} {name}: {reply}");
        }
    }
    for name in ["link", "dangling", "folder"] {
        for word in ["SAVE", "BGSAVE"] {
            let reply = conn.call(&[word, name]);
            assert!(reply.starts_with(&format!("-ERR cannot save {name}: ")), "{reply}");
        }
        let reply = conn.call(&["ASPINE.LOAD", name]);
        assert!(reply.starts_with(&format!("-ERR cannot load {name}: ")), "{reply}");
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    assert_eq!(names(&dir), ["dangling", FILE, "folder", "link"]);
    assert!(!dir.path().join("nowhere").exists());
    assert_eq!(conn.info("rdb_last_bgsave_status"), "err");
    assert_eq!(conn.call(&["SAVE"]), "+OK\r\n");
    assert_eq!(conn.info("rdb_last_bgsave_status"), "ok");
}

#[test]
fn a_full_disk_fails_the_save_and_nothing_else() {
    let dir = Dir::new();
    // As large as files may be. The same error path as that of a disk that is full.
    let mut setup = setup(2, &dir, &[]);
    limits::limit_file_size(&mut setup.cmd, 300_000);
    let server = setup.start();
    let mut conn = server.connect();
    fill(&mut conn, 0, 1000);
    assert_eq!(conn.call(&["SAVE"]), "+OK\r\n");
    let before = fs::read(data(&dir).join(FILE)).unwrap();
    let long = "x".repeat(100_000);
    for at in 0..40 {
        assert_eq!(conn.call(&["SET", &format!("long:{at}"), &long]), "+OK\r\n");
    }
    for _ in 0..3 {
        let reply = conn.call(&["SAVE"]);
        assert!(reply.starts_with("-ERR cannot save dump.aspine: File too large"), "{reply}");
        assert_eq!(names(&dir), [FILE]);
        assert_eq!(fs::read(data(&dir).join(FILE)).unwrap(), before);
    }
    assert_eq!(conn.call(&["BGSAVE"]), "+Background saving started\r\n");
    wait_until("the failure", || conn.info("rdb_bgsave_in_progress") == "0");
    assert_eq!(conn.info("rdb_last_bgsave_status"), "err");
    assert_eq!(names(&dir), [FILE]);
    for at in 0..40 {
        assert_eq!(conn.number(&["DEL", &format!("long:{at}")]), 1);
    }
    assert_eq!(conn.call(&["SAVE"]), "+OK\r\n");
    assert!(check(&data(&dir).join(FILE)).0);
}

#[test]
fn persistent_servers_go_on_where_they_ended() {
    let dir = Dir::new();
    for round in 0..4 {
        let mut server = setup(1 + round % 2, &dir, &["--persist"]).start();
        let mut conn = server.connect();
        assert_eq!(conn.number(&["DBSIZE"]), round as i64 * 100);
        for at in 0..100 {
            assert_eq!(conn.call(&["SET", &format!("{round}:{at}"), "v"]), "+OK\r\n");
        }
        assert_eq!(server.stop().code(), Some(0), "{}", server.log());
    }
}

#[test]
fn snapshots_are_taken_now_and_then_when_something_changes() {
    let dir = Dir::new();
    let server = setup(2, &dir, &["--persist", "--snapshot-interval", "1"]).start();
    let mut conn = server.connect();
    assert_eq!(conn.call(&["CONFIG", "GET", "save"]), "*2\r\n$4\r\nsave\r\n$3\r\n1 1\r\n");
    assert_eq!(conn.call(&["CONFIG", "GET", "dbfilename"]), "*2\r\n$10\r\ndbfilename\r\n$11\r\ndump.aspine\r\n");
    let path = data(&dir);
    let path = path.to_str().unwrap();
    assert_eq!(conn.call(&["CONFIG", "GET", "dir"]), format!("*2\r\n$3\r\ndir\r\n${}\r\n{path}\r\n", path.len()));
    for round in 1..=2 {
        assert_eq!(conn.call(&["SET", &format!("key:{round}"), "v"]), "+OK\r\n");
        wait_until("a snapshot", || conn.info_number("rdb_saves") == round);
        assert_eq!(conn.info("rdb_changes_since_last_save"), "0");
        assert!(check(&data(&dir).join(FILE)).1.contains(&format!("items      {round},")));
    }
}

#[test]
fn a_smaller_bound_keeps_the_most_recent() {
    let dir = Dir::new();
    let lru = ["--persist", "--eviction", "lru"];
    let mut server = setup(1, &dir, &lru).start();
    let mut conn = server.connect();
    fill(&mut conn, 0, 1000);
    for at in 0..100 {
        assert_eq!(conn.text(&["GET", &format!("key:{at}")]), format!("value:{at}"));
    }
    assert_eq!(server.stop().code(), Some(0));
    let server = setup(1, &dir, &[&lru[..], &["--max-size", "300"]].concat()).start();
    let mut conn = server.connect();
    assert_eq!(conn.number(&["DBSIZE"]), 300);
    for at in (0..100).chain(800..1000) {
        assert_eq!(conn.number(&["EXISTS", &format!("key:{at}")]), 1, "key:{at}");
    }
    drop(server);
    let mut setup = setup(1, &dir, &["--persist", "--max-size", "300", "--eviction", "none"]);
    setup.cmd.arg("--log-file").arg(dir.path().join("log"));
    check_refused(setup.cmd, &["cannot load dump.aspine", "no room for 700 of its items"]);
}

#[test]
fn a_damaged_file_stops_the_start_and_check_says_where() {
    let dir = Dir::new();
    let mut server = setup(2, &dir, &["--persist"]).start();
    let mut conn = server.connect();
    fill(&mut conn, 0, 1000);
    assert_eq!(server.stop().code(), Some(0));
    let path = data(&dir).join(FILE);
    let whole = fs::read(&path).unwrap();
    let (ok, text) = check(&path);
    assert!(ok && text.contains("whole") && text.contains("items      1000,"), "{text}");
    let second = 4096
        + (64 + u32::from_le_bytes(whole[4096 + 16..4096 + 20].try_into().unwrap()) as usize).next_multiple_of(4096);
    let cases: [(&str, Vec<u8>); 4] = [
        ("damaged at byte 0: ", vec![]),
        ("ends before its footer", whole[..4096].to_vec()),
        ("there is no footer", whole[..whole.len() - 4096].to_vec()),
        (&format!("damaged at byte {second}: "), {
            let mut bytes = whole.clone();
            bytes[second + 100] ^= 0x10;
            bytes
        }),
    ];
    for (words, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        let (ok, text) = check(&path);
        assert!(!ok && text.contains(words) && text.lines().count() == 1, "{words} in {text}");
        let mut setup = setup(1, &dir, &["--persist"]);
        setup.cmd.arg("--log-file").arg(dir.path().join("log"));
        check_refused(setup.cmd, &["cannot load dump.aspine", words, "aspine check"]);
    }
    let (ok, text) = check(&dir.path().join("absent"));
    assert!(!ok && text.starts_with("aspine: no snapshot yet: "), "{text}");
}

#[test]
fn a_directory_has_one_server() {
    let dir = Dir::new();
    let server = setup(1, &dir, &["--persist"]).start();
    let (path, holder) = (data(&dir), format!("another server uses this directory, as process {};", server.pid()));
    let words = ["cannot use the data directory", path.to_str().unwrap(), &holder];
    let mut second = setup(1, &dir, &["--persist"]);
    second.cmd.arg("--log-file").arg(dir.path().join("log"));
    check_refused(second.cmd, &words);
    // So would one that saves only when it is told to.
    check_refused(setup(1, &dir, &[]).cmd, &words);
    drop(server);
    let lazy = setup(1, &dir, &[]).start();
    assert_eq!(lazy.connect().call(&["SAVE"]), "+OK\r\n");
    check_refused(setup(1, &dir, &["--persist"]).cmd, &["another server uses this directory"]);
    let mut refused = aspine(&["--port", "0", "--cores", "1", "--persist", "--data-dir", "/proc/nothing"]);
    refused.arg("--log-file").arg(dir.path().join("log"));
    check_refused(refused, &["cannot use the data directory", "--data-dir"]);
}

#[test]
fn the_default_directory_has_one_server() {
    let dir = Dir::new();
    let path = dir.path().join("aspine-data");
    let here = |flags: &[&str]| {
        let mut setup = Setup::new(1, flags);
        setup.cmd.current_dir(dir.path());
        setup
    };
    let refuses = |server: &Server, flags: &[&str]| {
        let holder = format!("another server uses this directory, as process {};", server.pid());
        check_refused(here(flags).cmd, &["cannot use the data directory", path.to_str().unwrap(), &holder]);
    };
    // Held from the start, or from the first SAVE on; until then there is no directory.
    let server = here(&["--persist"]).start();
    refuses(&server, &[]);
    refuses(&server, &["--persist"]);
    drop(server);
    fs::remove_dir_all(&path).unwrap();
    let (server, second) = (here(&[]).start(), here(&[]).start());
    assert!(!path.exists());
    assert_eq!(server.connect().call(&["SAVE"]), "+OK\r\n");
    refuses(&server, &[]);
    refuses(&server, &["--persist"]);
    let reply = second.connect().call(&["SAVE"]);
    assert!(reply.contains(&format!("another server uses this directory, as process {}", server.pid())), "{reply}");
}

#[test]
fn the_commands_ask_a_server() {
    let dir = Dir::new();
    let server = setup(1, &dir, &["--authkey", "secret"]).start();
    let mut conn = server.connect();
    assert_eq!(conn.call(&["AUTH", "secret"]), "+OK\r\n");
    fill(&mut conn, 0, 10);
    let port = server.addr.port().to_string();
    let ask = |words: &[&str]| run(&[words, &["--port", &port, "--authkey", "secret"]].concat());
    assert!(ask(&["save", "f"]).status.success());
    assert_eq!(conn.call(&["FLUSHALL"]), "+OK\r\n");
    assert!(ask(&["load", "f"]).status.success());
    assert_eq!(conn.number(&["DBSIZE"]), 10);
    assert_eq!(conn.call(&["SET", "more", "v"]), "+OK\r\n");
    assert!(ask(&["load", "f", "--merge"]).status.success());
    assert_eq!(conn.number(&["DBSIZE"]), 11);
    let refused = ask(&["load", "absent"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && text.starts_with("aspine: cannot load absent: "), "{text}");
    let refused = run(&["save", "--port", &port, "--authkey", "wrong"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && text.contains("refuses the given key"), "{text}");
    let refused = run(&["save", "--port", &free_port().to_string()]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && text.starts_with("aspine: cannot reach the server"), "{text}");
}

#[test]
fn clients_are_told_while_items_are_loaded() {
    let dir = Dir::new();
    let mut server = setup(1, &dir, &["--persist"]).start();
    fill(&mut server.connect(), 0, 100_000);
    assert_eq!(server.stop().code(), Some(0));
    let port = free_port();
    let starting = setup(1, &dir, &["--persist", "--port", &port.to_string()]);
    let server = thread::spawn(move || starting.start());
    let mut conn = None;
    wait_until("the port", || {
        conn = std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        conn.is_some()
    });
    drop(conn);
    let mut conn = Conn::tcp(([127, 0, 0, 1], port).into());
    loop {
        let (info, reply) = (conn.text(&["INFO", "persistence"]), conn.call(&["GET", "key:77"]));
        if reply == "$8\r\nvalue:77\r\n" {
            break;
        }
        assert_eq!(reply, "-LOADING Redis is loading the dataset in memory\r\n");
        assert!(info.contains("loading:1") && info.contains("loading_total_bytes:"), "{info}");
    }
    let server = server.join().unwrap();
    assert!(server.connect().text(&["INFO", "persistence"]).contains("loading:0"));
}

/// Rounds of `kill -9`.
const ROUNDS: u64 = 56;
const KEYS: u64 = 50;

/// Write `n` gives key `n % KEYS` the value `n`, one write after the other. So what a snapshot holds is right exactly if it is
/// what the first `m` writes leave, for some `m`. Returns that.
#[track_caller]
fn prefix_of(conn: &mut Conn, sent: u64) -> u64 {
    let keys: Vec<_> = (0..KEYS).map(|key| format!("key:{key}")).collect();
    let mut values = Vec::new();
    for key in &keys {
        let reply = conn.call(&["GET", key]);
        values.push(reply.split("\r\n").nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0));
    }
    let last = values.iter().copied().max().unwrap_or(0);
    assert!(last <= sent, "write {last} was never sent");
    for (key, value) in (0..).zip(values) {
        let expected = (0..KEYS).map(|back| last.saturating_sub(back)).find(|n| *n > 0 && n % KEYS == key).unwrap_or(0);
        assert_eq!(value, expected, "key:{key} after write {last}");
    }
    last
}

#[test]
fn after_a_kill_there_is_a_snapshot_that_was_completed() {
    let dir = Dir::new();
    let (mut sent, mut at_least) = (0, 0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..ROUNDS {
        let mut server = setup(1 + round as usize % 2, &dir, &["--persist", "--snapshot-interval", "1"]).start();
        let left = if data(&dir).exists() { names(&dir) } else { vec![] };
        assert!(left.iter().all(|name| name == FILE), "{left:?}");
        let mut conn = server.connect();
        let found = prefix_of(&mut conn, sent);
        assert!(found >= at_least, "round {round}: a completed snapshot of write {at_least} is gone; there is {found}");
        // From here on the state is what was found; the writes go on with the next.
        (sent, at_least) = (found, found);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let writes = 1 + (random >> 33) % 600;
        let (acked, saved, over) = (AtomicU64::new(found), AtomicU64::new(found), AtomicBool::new(false));
        thread::scope(|scope| {
            let mut saver = server.connect();
            let (acked, saved, over) = (&acked, &saved, &over);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let before = acked.load(Ordering::SeqCst);
                    if saver.try_call(&["SAVE"]).is_none_or(|reply| reply != "+OK\r\n") {
                        continue;
                    }
                    saved.store(before, Ordering::SeqCst);
                }
            });
            for _ in 0..writes {
                sent += 1;
                let reply = conn.call(&["SET", &format!("key:{}", sent % KEYS), &sent.to_string()]);
                assert_eq!(reply, "+OK\r\n");
                acked.store(sent, Ordering::SeqCst);
            }
            // In the middle of one save or another, whose write it may hold.
            server.signal(libc::SIGKILL);
            over.store(true, Ordering::SeqCst);
        });
        server.wait();
        at_least = at_least.max(saved.load(Ordering::SeqCst));
    }
    assert!(at_least > 0);
}
