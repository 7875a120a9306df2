//! Every command with a time, at every limit that a time has: beside redis-server, reply and deadline.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::reply::Reply;
use crate::servers::{Aspine, Link, Redis};

/// Forms of commands with a time, `@`; `#` is a payload of the server's own.
const FORMS: &[&str] = &[
    "EXPIRE k @",
    "PEXPIRE k @",
    "EXPIREAT k @",
    "PEXPIREAT k @",
    "PEXPIREAT k @ GT",
    "EXPIREAT k @ LT",
    "SET k v EX @",
    "SET k v PX @",
    "SET k v EXAT @",
    "SET k v PXAT @",
    "GETEX k EX @",
    "GETEX k PX @",
    "GETEX k EXAT @",
    "GETEX k PXAT @",
    "SETEX k @ v",
    "PSETEX k @ v",
    "RESTORE k @ # REPLACE",
    "RESTORE k @ # REPLACE ABSTTL",
];

/// Milliseconds by which the servers' deadlines may differ, which are not asked in the same instant.
const APART_MS: i64 = 600_000;

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Times around every limit: none, the least and the most of 64 bits, what no longer fits once it is milliseconds, and
/// what no longer fits once it is counted from now. None is so close to `now_ms` that it depends on when it is run.
fn times(now_ms: i64) -> Vec<String> {
    let [max, min] = [i64::MAX, i64::MIN];
    let left_ms = max - now_ms;
    let hour_ms = 3_600_000;
    let mut times: Vec<String> = [
        0,
        -1,
        100,
        100_000,
        max,
        max - 1,
        min,
        min + 1,
        max / 1000,
        max / 1000 + 1,
        min / 1000,
        min / 1000 - 1,
        left_ms - hour_ms,
        left_ms + hour_ms,
        (left_ms - hour_ms) / 1000,
        (left_ms + hour_ms) / 1000,
        -now_ms - hour_ms,
        min + now_ms,
    ]
    .map(|time| time.to_string())
    .into();
    times.extend(["9223372036854775808", "-9223372036854775809", "1x", "+1", "01", "", " 1", "1.5"].map(str::to_owned));
    times
}

/// The words of a form.
fn words(form: &str, time: &str, payload: &[u8]) -> Vec<Vec<u8>> {
    let word = |word: &str| match word {
        "@" => time.as_bytes().to_vec(),
        "#" => payload.to_vec(),
        word => word.as_bytes().to_vec(),
    };
    form.split(' ').map(word).collect()
}

/// A server's answer to one command over a key without a deadline: the reply, whether the key is there, its deadline.
fn answer(link: &mut Link, command: &[Vec<u8>]) -> (Reply, Reply, i64) {
    let [set, exists, deadline] = ["SET k old", "EXISTS k", "PEXPIRETIME k"].map(|line| words(line, "", b""));
    link.call(&set).unwrap();
    let reply = link.call(command).unwrap();
    let exists = link.call(&exists).unwrap();
    let Reply::Line(b':', deadline) = link.call(&deadline).unwrap() else { panic!("no deadline") };
    (reply, exists, String::from_utf8(deadline).unwrap().parse().unwrap())
}

fn payload(link: &mut Link) -> Vec<u8> {
    link.call(&words("SET p v", "", b"")).unwrap();
    let Reply::Text(_, Some(payload)) = link.call(&words("DUMP p", "", b"")).unwrap() else { panic!("no payload") };
    payload
}

fn check(theirs: &(Reply, Reply, i64), ours: &(Reply, Reply, i64), what: &str) {
    assert_eq!((&theirs.0, &theirs.1), (&ours.0, &ours.1), "{what}");
    assert!(theirs.2.abs_diff(ours.2) <= APART_MS.unsigned_abs(), "{what}: {} and {}", theirs.2, ours.2);
}

#[test]
fn every_time_is_taken_or_refused_as_by_redis() {
    let Some(redis) = Redis::start() else { return };
    let server = Aspine::start(1);
    let (mut redis, mut server) = (Link::open(&redis.address()).unwrap(), Link::open(&server.address()).unwrap());
    let payloads = [payload(&mut redis), payload(&mut server)];
    for form in FORMS {
        for time in times(now_ms()) {
            let what = format!("{form} with {time:?}");
            let theirs = answer(&mut redis, &words(form, &time, &payloads[0]));
            let ours = answer(&mut server, &words(form, &time, &payloads[1]));
            // Redis counts past the end of time, says OK, and the key is gone.
            let wraps = |time: i64| time.checked_add(now_ms()).is_none() && *form == "RESTORE k @ # REPLACE";
            if time.parse().is_ok_and(wraps) {
                assert_eq!((&theirs.0, &theirs.1), (&Reply::Line(b'+', b"OK".to_vec()), &Reply::number(0)), "{what}");
                let refusal = b"ERR invalid expire time in 'restore' command".to_vec();
                assert_eq!(ours, (Reply::Line(b'-', refusal), Reply::number(1), -1), "{what}");
                continue;
            }
            check(&theirs, &ours, &what);
        }
    }
}

/// Redis 7.0 has no MSETEX; its options are those of SET.
#[test]
fn msetex_takes_the_times_that_set_takes() {
    let Some(redis) = Redis::start() else { return };
    let server = Aspine::start(1);
    let (mut redis, mut server) = (Link::open(&redis.address()).unwrap(), Link::open(&server.address()).unwrap());
    for option in ["EX", "PX", "EXAT", "PXAT"] {
        for time in times(now_ms()) {
            let what = format!("{option} with {time:?}");
            let mut theirs = answer(&mut redis, &words(&format!("SET k v {option} @"), &time, b""));
            if let Reply::Line(kind, text) = &mut theirs.0 {
                let renamed = String::from_utf8_lossy(text).replace("'set'", "'msetex'");
                (*kind, *text) = if renamed == "OK" { (b':', b"1".to_vec()) } else { (*kind, renamed.into_bytes()) };
            }
            let ours = answer(&mut server, &words(&format!("MSETEX 1 k v {option} @"), &time, b""));
            check(&theirs, &ours, &what);
        }
    }
}
