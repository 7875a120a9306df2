//! Traces are played in their order, misses are filled with values of their sizes, and files that are none are refused.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::bench::{command, count, report, run, start};
use crate::fake::Fake;
use crate::support::server::{Dir, Server, cores};

fn file(dir: &Dir, name: &str, content: &[u8]) -> String {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Hits of a cache of so many items that drops the least recently used.
fn lru_hits(accesses: &[u64], items_max: usize) -> u64 {
    let mut items: Vec<u64> = Vec::new();
    let mut hits = 0;
    for key in accesses {
        let found = items.iter().position(|item| item == key);
        hits += u64::from(found.is_some());
        if let Some(at) = found {
            items.remove(at);
        }
        items.insert(0, *key);
        items.truncate(items_max);
    }
    hits
}

/// Accesses of which many come back soon.
fn accesses() -> Vec<u64> {
    (0..3000u64).map(|at| (at * at / 7 + at * 13) % (20 + at % 150)).collect()
}

#[test]
fn a_trace_is_played_in_its_order() {
    let dir = Dir::new();
    let path = file(&dir, "keys.txt", b"# three keys\nx\ny\nx\nz\nx\n");
    let fake = Fake::honest();
    let report = report(fake.addr, &["--trace", &path, "--connections", "1"]);
    let keys: Vec<_> = fake.keys().iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    let [x, y, z] = ["key:000000000000", "key:000000000001", "key:000000000002"];
    assert_eq!(keys, [x, x, y, y, x, z, z, x], "a GET of each, and a SET behind the GETs that missed");
    assert_eq!((count(&report, "/hits"), count(&report, "/misses"), count(&report, "/kinds/fill/count")), (2, 3, 3));
    assert_eq!((&report["options"]["key_dist"], count(&report, "/options/trace_accesses")), (&"of a trace".into(), 5));
}

#[test]
fn all_connections_together_play_each_access_once() {
    let dir = Dir::new();
    let accesses = accesses();
    let text: String = accesses.iter().map(|key| format!("{key},{}\n", 10 + key % 90)).collect();
    let path = file(&dir, "t.csv", text.as_bytes());
    for (connections, pipeline, lanes) in [("1", "1", 1), ("8", "4", 2)] {
        let fake = Fake::honest();
        let lanes = cores(lanes).to_string();
        let flags = ["--trace", &path, "--connections", connections, "--pipeline", pipeline, "--cores", &lanes];
        let report = report(fake.addr, &[&flags[..], &["--verify"]].concat());
        assert_eq!(fake.seen("GET"), accesses.len() as u64);
        assert_eq!(count(&report, "/hits") + count(&report, "/misses"), accesses.len() as u64);
        assert_eq!(fake.items() as u64, count(&report, "/options/keys"));
    }
}

#[test]
fn a_server_hits_as_its_policy_says() {
    let dir = Dir::new();
    let accesses = accesses();
    let binary: Vec<u8> = accesses
        .iter()
        .flat_map(|key| {
            [&0u32.to_le_bytes()[..], &key.to_le_bytes(), &40u32.to_le_bytes(), &0i64.to_le_bytes()].concat()
        })
        .collect();
    let path = file(&dir, "t.oracleGeneral", &binary);
    let server = Server::start(1, &["--max-size", "50", "--eviction", "lru"]);
    let report = report(server.addr, &["--trace", &path, "--connections", "1", "--verify"]);
    assert_eq!(count(&report, "/hits"), lru_hits(&accesses, 50));
}

#[test]
fn a_trace_may_come_by_standard_input() {
    let flags = ["--server-args", "--cores 1", "--connections", "1", "--trace-format", "keys", "--json"];
    let mut cmd = command(&[&flags[..], &["--trace", "-"]].concat());
    cmd.stdin(Stdio::piped());
    let mut running = start(cmd);
    running.child.stdin.take().unwrap().write_all(b"a\nb\na\n").unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(count(&ended.json(), "/hits"), 1);
}

#[test]
fn what_is_no_trace_is_refused() {
    let dir = Dir::new();
    let fake = Fake::honest();
    for (content, why) in [
        (&b"a,1\nb,x\n"[..], "line 2: a size that is no number of bytes"),
        (b"\xfd7zXZ\0\0\0", "it is compressed; give xz -dc"),
        (b"", "it has no accesses"),
    ] {
        let path = file(&dir, "bad", content);
        run(fake.addr, &["--trace", &path]).check_failed(&[&path, why]);
    }
    run(fake.addr, &["--trace", "/nowhere/at/all"]).check_failed(&["/nowhere/at/all"]);
    assert_eq!(fake.seen("GET"), 0);
}
