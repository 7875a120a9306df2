//! Key events: what a listener hears of each command, from redis-server and from Aspine on one core, in its order.
//!
//! On more cores the events of different keys come in no promised order; tests/simulation has those.

use crate::reply::Reply;
use crate::servers::{Address, Aspine, Link, Redis};

/// Command lines in their order: each finds what those before it left. `@dump` stands for what DUMP said last.
const LINES: &[&str] = &[
    "SET a 1",
    "SET a 2 EX 1000",
    "SET a 3 KEEPTTL",
    "SET a 4 NX",
    "SET a 4 XX GET",
    "SET b 5 XX",
    "SET b 5 NX GET",
    "SET b 5 NX",
    "SET b 6 PX 1000000",
    "SETNX c 1",
    "SETNX c 1",
    "SETEX d 1000 v",
    "PSETEX d 1000000 v",
    "GETSET a 5",
    "GETSET fresh 5",
    "APPEND a x",
    "APPEND text y",
    "SETRANGE text 2 zz",
    "SETRANGE text 0 %",
    "SETRANGE none 0 %",
    "INCR n",
    "INCRBY n 5",
    "DECR n",
    "DECRBY n 2",
    "INCRBYFLOAT n 1.5",
    "INCR text",
    "SETBIT bits 7 1",
    "SETBIT bits 7 1",
    "BITFIELD bits SET u8 0 255",
    "BITFIELD bits GET u8 0",
    "BITFIELD bits INCRBY u8 0 1 OVERFLOW FAIL INCRBY u8 0 255",
    "BITFIELD_RO bits GET u8 0",
    "BITOP NOT into bits",
    "BITOP AND into none none",
    "BITOP AND into none none",
    "EXPIRE a 1000",
    "PEXPIRE a 1000000",
    "EXPIREAT a 99999999999",
    "PEXPIREAT a 99999999999999",
    "EXPIRE a 1000 NX",
    "EXPIRE none 10",
    "PERSIST a",
    "PERSIST a",
    "EXPIRE a -1",
    "GETDEL c",
    "GETDEL c",
    "GETEX d PERSIST",
    "GETEX d PERSIST",
    "GETEX d EX 1000",
    "GETEX d",
    "GETEX d PXAT 1",
    "MSET a 1 b 2",
    "MSET a 1 a 2",
    "MSETNX a 1 z 2",
    "MSETNX y 1 z 2",
    "RENAME a r",
    "RENAME r b",
    "RENAME b b",
    "RENAMENX b y",
    "RENAMENX b c",
    "RENAME none c",
    "COPY c k",
    "COPY c k",
    "COPY c k REPLACE",
    "COPY none k REPLACE",
    "EXPIRE c 1000",
    "RENAME c m",
    "COPY m o",
    "DUMP m",
    "RESTORE p 0 @dump",
    "RESTORE p 1000000 @dump REPLACE",
    "RESTORE p 0 @dump",
    "RESTORE q 1 @dump ABSTTL",
    "DEL m k none",
    "UNLINK o p",
    "TOUCH y z",
    "GET y",
    "MULTI",
    "SET t 1",
    "INCR t",
    "DEL t",
    "EXEC",
    "MULTI",
    "SET t 1",
    "DISCARD",
    "SETEX d 0 v",
    "FLUSHALL",
    "SET last 1",
    "FLUSHDB",
];

/// Settings, each with all lines.
const SETTINGS: &[&str] = &["KEA", "KEAn", "Kg", "E$", "Exe", "K", ""];

/// The events of each line.
type Heard = Vec<(String, Vec<String>)>;

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.bytes()).into_owned()
}

fn words(line: &str, dump: &[u8]) -> Vec<Vec<u8>> {
    let word = |word: &str| match word {
        "@dump" => dump.to_vec(),
        "%" => Vec::new(),
        word => word.as_bytes().to_vec(),
    };
    line.split(' ').map(word).collect()
}

/// Runs the lines on a server and listens.
fn listen(address: &Address, settings: &str) -> Heard {
    let mut link = Link::open(address).unwrap();
    let mut listener = Link::open(address).unwrap();
    // Of its own, since what a transaction publishes waits for its end.
    let mut marker = Link::open(address).unwrap();
    link.call(&words("FLUSHALL", b"")).unwrap();
    let set = [b"CONFIG".to_vec(), b"SET".to_vec(), b"notify-keyspace-events".to_vec(), settings.as_bytes().to_vec()];
    assert_eq!(text(&link.call(&set).unwrap()), "+OK\r\n");
    listener.call(&words("PSUBSCRIBE __key*", b"")).unwrap();
    listener.call(&words("SUBSCRIBE mark", b"")).unwrap();
    let (mut heard, mut dump) = (Heard::new(), Vec::new());
    for line in LINES {
        let reply = link.call(&words(line, &dump)).unwrap();
        if let ("DUMP m", Some(payload)) = (*line, reply.as_text()) {
            dump = payload.to_vec();
        }
        marker.call(&words("PUBLISH mark here", b"")).unwrap();
        let told = std::iter::from_fn(|| {
            Some(text(&listener.receive().unwrap())).filter(|told| !told.contains("\r\nmark\r\n"))
        });
        heard.push(((*line).to_owned(), told.collect()));
    }
    heard
}

#[test]
fn listeners_hear_what_redis_tells() {
    let Some(redis) = Redis::start() else { return };
    let aspine = Aspine::start(1);
    let mut told = 0;
    for settings in SETTINGS {
        let (expected, got) = (listen(&redis.address(), settings), listen(&aspine.address(), settings));
        for (expected, got) in expected.iter().zip(&got) {
            assert_eq!(got, expected, "with {settings:?}");
            told += expected.1.len();
        }
    }
    assert!(told > 300, "a comparison of {told} messages shows little");
}
