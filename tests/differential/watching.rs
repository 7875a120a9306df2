//! What MONITOR shows: the same lines from redis-server and from Aspine, but for times and addresses.

use crate::reply::Reply;
use crate::servers::{Address, Aspine, Link, Redis};

/// Command lines in their order. What stands in a transaction is in upper case: Aspine shows it so.
const LINES: &[&str] = &[
    "GET x",
    "get X",
    "SET x 1",
    "MSET x 1 y 2 z 3",
    "MGET x y",
    "DEL x y z",
    "SELECT 1",
    "SET k v",
    "NOSUCH 1",
    "GET",
    "SET k v EX nonsense",
    "INCR k",
    "HELLO 2 AUTH default any SETNAME me",
    "AUTH user any",
    "AUTH any",
    "CLIENT SETNAME x",
    "CLIENT GETNAME",
    "CLIENT LIST",
    "CONFIG GET maxmemory",
    "SLOWLOG LEN",
    "LATENCY RESET",
    "MULTI",
    "SET a 1",
    "INCR a",
    "SELECT 2",
    "GET a",
    "CLIENT SETNAME y",
    "EXEC",
    "MULTI",
    "SET a 1",
    "DISCARD",
    "MULTI",
    "NOSUCH",
    "EXEC",
    "EXEC",
    "WATCH q",
    "MULTI",
    "RENAME a b",
    "COPY a b",
    "MSETNX c 1 d 2",
    "EXEC",
    "UNWATCH",
    "RENAME b bb",
    "COPY bb b",
    "PUBLISH channel text",
    "PING",
    "ECHO text",
    "INFO nosuch",
    "DBSIZE",
    "KEYS *",
    "RANDOMKEY",
    "SCAN 0 COUNT 1000",
    "COMMAND COUNT",
    "TIME",
    "ROLE",
    "WAIT 0 0",
    "SWAPDB 0 1",
    "MOVE bb 5",
    "LASTSAVE",
    "CLUSTER INFO",
    "OBJECT ENCODING b",
    "MEMORY USAGE b",
    "TYPE b",
    "FLUSHDB",
    "FLUSHALL",
    "CLIENT NO-EVICT ON",
    "RESET",
    "PING last",
];

/// What a watcher is shown up to the last command, without times and addresses.
fn shown(address: &Address) -> Vec<String> {
    let (mut watcher, mut client) = (Link::open(address).unwrap(), Link::open(address).unwrap());
    let call = |link: &mut Link, words: Vec<Vec<u8>>| link.call(&words).unwrap();
    assert!(call(&mut watcher, vec![b"MONITOR".to_vec()]).is_status(b"OK"));
    for line in LINES {
        call(&mut client, line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
    }
    // Bytes that have to be escaped, before the last.
    call(&mut client, vec![b"ECHO".to_vec(), (0..=255).collect()]);
    call(&mut client, vec![b"ECHO".to_vec(), b"end".to_vec()]);
    let mut lines = Vec::new();
    loop {
        let reply = watcher.receive().unwrap();
        let Reply::Line(b'+', line) = &reply else { panic!("{reply:?}") };
        let line = String::from_utf8_lossy(line).into_owned();
        let (time, rest) = line.split_once(" [").expect("a time");
        assert!(time.split_once('.').is_some_and(|(_, micros)| micros.len() == 6), "{line}");
        let (database, words) = rest.split_once(' ').expect("a database");
        let words = words.split_once("] ").expect("a peer").1;
        lines.push(format!("[{database}] {words}"));
        if words == r#""ECHO" "end""# {
            return lines;
        }
    }
}

#[test]
fn watchers_are_shown_the_same_lines() {
    let Some(redis) = Redis::start() else { return };
    let theirs = shown(&redis.address());
    assert!(theirs.len() > 50);
    for cores in [1, 2] {
        let ours = shown(&Aspine::start(cores).address());
        for (at, line) in theirs.iter().enumerate() {
            assert_eq!(ours.get(at), Some(line), "line {at} with {cores} cores");
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn a_watcher_is_refused_what_redis_refuses_it() {
    let Some(redis) = Redis::start() else { return };
    let server = Aspine::start(2);
    let mut links = [redis.address(), server.address()].map(|address| Link::open(&address).unwrap());
    for line in ["MONITOR", "GET x", "SET x 1", "PUBLISH a b", "MGET a b", "RENAME a b", "FLUSHALL", "DBSIZE", "SCAN 0"]
    {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let [theirs, ours] = links.each_mut().map(|link| link.call(&words).unwrap());
        assert_eq!(ours, theirs, "{line}");
    }
}
