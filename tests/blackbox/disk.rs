//! Snapshots and the disk below them: one that is really full, files that an earlier crash left behind, files with any byte
//! wrong or any length, and when there is nothing to write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::conn::Conn;
use crate::support::namespace;
use crate::support::server::{Dir, Setup, check_refused, wait_until};

const FILE: &str = "dump.aspine";

fn setup(cores: usize, data: &Path, flags: &[&str]) -> Setup {
    let mut all = vec!["--data-dir", data.to_str().unwrap(), "--max-memory", "1gb"];
    all.extend(flags);
    Setup::new(cores, &all)
}

fn names(data: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whether `aspine check` finds a file whole, and what it says.
fn check(path: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_aspine")).arg("check").arg(path).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Stores `count` values of 100 kB.
#[track_caller]
fn fill(conn: &mut Conn, count: usize) {
    let long = "x".repeat(100_000);
    for at in 0..count {
        assert_eq!(conn.call(&["SET", &format!("long:{at}"), &long]), "+OK\r\n");
    }
}

#[test]
fn a_file_system_that_is_full_fails_the_save_and_nothing_else() {
    // As root, or as a user who may be root in a namespace.
    let flags = match namespace::own_mounts(&["-m", "-rm"], &["/mnt"]) {
        Ok(flags) => flags,
        Err(why) => return eprintln!("left out: no mounts of its own here: {why}"),
    };
    let dir = Dir::new();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut setup = setup(2, &data, &[]);
    let script = "mount -t tmpfs -o size=3m,mode=700 none \"$0\" && exec \"$@\"";
    let mut cmd = Command::new("unshare");
    cmd.args([flags, "sh", "-c", script]).arg(&data).arg(setup.cmd.get_program()).args(setup.cmd.get_args());
    cmd.env_remove("ASPINE_AUTHKEY");
    setup.cmd = cmd;
    let server = setup.start();
    // What the server sees, which nobody else does.
    let seen: PathBuf =
        Path::new("/proc").join(server.pid().to_string()).join("root").join(data.strip_prefix("/").unwrap());
    let mut conn = server.connect();
    fill(&mut conn, 10);
    assert_eq!(conn.call(&["SAVE"]), "+OK\r\n");
    let before = fs::read(seen.join(FILE)).unwrap();
    assert!(check(&seen.join(FILE)).0);
    // Beside the first there is no room for the next.
    fill(&mut conn, 25);
    for _ in 0..3 {
        let reply = conn.call(&["SAVE"]);
        assert!(reply.starts_with("-ERR cannot save dump.aspine: No space left on device"), "{reply}");
        assert_eq!(names(&seen), [FILE], "nothing half written stays");
        assert!(fs::read(seen.join(FILE)).unwrap() == before, "the file before is as it was");
    }
    assert_eq!(conn.info("rdb_last_bgsave_status"), "err");
    assert_eq!(conn.call(&["BGSAVE", "other"]), "+Background saving started\r\n");
    wait_until("the failure", || conn.info("rdb_bgsave_in_progress") == "0");
    assert_eq!(names(&seen), [FILE]);
    server.wait_for_log("No space left on device");
    // The server goes on, and so do its saves once they fit.
    assert_eq!(conn.number(&["DBSIZE"]), 25);
    for at in 5..25 {
        assert_eq!(conn.number(&["DEL", &format!("long:{at}")]), 1);
    }
    assert_eq!(conn.call(&["SAVE"]), "+OK\r\n");
    assert_eq!(conn.info("rdb_last_bgsave_status"), "ok");
    let (whole, text) = check(&seen.join(FILE));
    assert!(whole && text.contains("items      5,"), "{text}");
}

#[test]
fn a_directory_that_cannot_be_written_is_told_at_the_start() {
    let flags = match namespace::own_mounts(&["-m", "-rm"], &["/mnt"]) {
        Ok(flags) => flags,
        Err(why) => return eprintln!("left out: no mounts of its own here: {why}"),
    };
    let dir = Dir::new();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let read_only = |setup: &Setup| {
        let script = "mount -t tmpfs -o ro,mode=700 none \"$0\" && exec \"$@\"";
        let mut cmd = Command::new("unshare");
        cmd.args([flags, "sh", "-c", script]).arg(&data).arg(setup.cmd.get_program()).args(setup.cmd.get_args());
        cmd.env_remove("ASPINE_AUTHKEY");
        cmd
    };
    let words = ["cannot use the data directory", "Read-only file system", "--data-dir"];
    check_refused(read_only(&setup(1, &data, &["--persist"])), &words);
    // Who may never want to save is warned, and told by SAVE.
    let mut setup = setup(1, &data, &[]);
    setup.cmd = read_only(&setup);
    let server = setup.start();
    server.wait_for_log("SAVE will fail: cannot use the data directory");
    let reply = server.connect().call(&["SAVE"]);
    assert!(reply.contains("Read-only file system"), "{reply}");
}

#[test]
fn what_an_earlier_crash_left_is_taken_away_at_the_start() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    let mut server = setup(1, &data, &["--persist"]).start();
    assert_eq!(server.connect().call(&["SET", "a", "1"]), "+OK\r\n");
    assert_eq!(server.stop().code(), Some(0));
    for left in [".aspine-0000000000000001.tmp", ".aspine-00000000deadbeef.tmp"] {
        fs::write(data.join(left), "half a snapshot").unwrap();
    }
    for others in ["mine.tmp", ".aspine-mine", "notes"] {
        fs::write(data.join(others), "somebody's").unwrap();
    }
    let server = setup(1, &data, &["--persist"]).start();
    let left = names(&data);
    assert_eq!(left, [".aspine-mine", FILE, "mine.tmp", "notes"], "its own are gone, and nobody else's");
    assert_eq!(server.connect().text(&["GET", "a"]), "1");
}

#[test]
fn a_snapshot_is_taken_only_when_something_has_changed() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    let server = setup(2, &data, &["--persist", "--snapshot-interval", "1"]).start();
    let mut conn = server.connect();
    let seconds = |conn: &mut Conn, count: u64| {
        let until = conn.info_number("uptime_in_seconds") + count;
        wait_until("time to pass", || conn.info_number("uptime_in_seconds") >= until);
    };
    seconds(&mut conn, 2);
    assert_eq!((conn.info("rdb_saves"), data.join(FILE).exists()), ("0".to_owned(), false), "nothing was ever written");
    assert_eq!(conn.call(&["SET", "a", "1"]), "+OK\r\n");
    wait_until("a snapshot", || conn.info_number("rdb_saves") == 1);
    // Reads, and writes that change nothing, are no reason for another.
    assert_eq!(conn.text(&["GET", "a"]), "1");
    assert_eq!(conn.number(&["DEL", "absent"]), 0);
    assert_eq!(conn.call(&["SET", "a", "2", "NX"]), "$-1\r\n");
    seconds(&mut conn, 3);
    assert_eq!(conn.info("rdb_saves"), "1");
    assert_eq!(conn.number(&["EXPIRE", "a", "100"]), 1);
    wait_until("another", || conn.info_number("rdb_saves") == 2);
}

#[test]
fn bgsave_waits_for_a_save_if_it_is_told_to() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    // Slow enough for a save to be under way when the next is asked for.
    let server = setup(2, &data, &["--snapshot-bandwidth", "1mb"]).start();
    let mut conn = server.connect();
    fill(&mut conn, 30);
    assert_eq!(conn.call(&["BGSAVE", "one"]), "+Background saving started\r\n");
    assert_eq!(conn.info("rdb_bgsave_in_progress"), "1");
    assert_eq!(conn.call(&["BGSAVE", "two"]), "-ERR Background save already in progress\r\n");
    assert_eq!(conn.call(&["SAVE", "two"]), "-ERR Background save already in progress\r\n");
    assert_eq!(conn.call(&["BGSAVE", "SCHEDULE", "two"]), "-ERR Background save already in progress\r\n");
    wait_until("the save", || conn.info_number("rdb_saves") == 1);
    assert_eq!(names(&data), ["one"]);
    assert_eq!(conn.call(&["BGSAVE", "SCHEDULE", "two"]), "+Background saving started\r\n");
    wait_until("the next", || conn.info_number("rdb_saves") == 2);
    assert_eq!(names(&data), ["one", "two"]);
}

#[test]
fn no_wrong_byte_and_no_wrong_length_is_taken_for_a_snapshot() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    let mut server = setup(2, &data, &["--persist"]).start();
    let mut conn = server.connect();
    for at in 0..50 {
        assert_eq!(conn.call(&["SET", &format!("key:{at}"), &format!("value:{at}"), "EX", "10000"]), "+OK\r\n");
    }
    assert_eq!(server.stop().code(), Some(0));
    let path = data.join(FILE);
    let whole = fs::read(&path).unwrap();
    assert!(check(&path).0);
    // Every part of the file: its header, blocks and footer, and the room between them.
    let step = whole.len() / 48;
    let mut flipped = whole.clone();
    for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        let (is_whole, text) = check(&path);
        assert!(!is_whole && text.contains("damaged at byte"), "byte {at} of {}: {text}", whole.len());
        flipped[at] = whole[at];
    }
    for len in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..len]).unwrap();
        let (is_whole, text) = check(&path);
        assert!(!is_whole && text.contains("damaged at byte"), "{len} of {} bytes: {text}", whole.len());
    }
    // A server does not begin with any of them, and leaves it where it is.
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let mut setup = setup(1, &data, &["--persist"]);
        setup.cmd.arg("--log-file").arg(dir.path().join("log"));
        check_refused(setup.cmd, &["cannot load dump.aspine", "damaged at byte"]);
        assert!(fs::read(&path).unwrap() == bytes);
    };
    for at in (0..whole.len()).step_by(whole.len() / 5) {
        flipped[at] ^= 0x80;
        refused(&flipped);
        flipped[at] = whole[at];
        refused(&whole[..at]);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(setup(1, &data, &["--persist"]).start().connect().number(&["DBSIZE"]), 50);
}
