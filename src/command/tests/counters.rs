//! INCREX as Redis 8.8's own tests have it, CL.THROTTLE as redis-cell answers.

use super::{NOW_MS, Words, a_shard, answer};
use crate::command::{Call, Reply, throttle};
use crate::shard::{Recency, Shard};

/// Runs lines on one shard, each with its answer.
#[track_caller]
fn check(lines: &[(&str, &str)]) {
    let mut shard = a_shard();
    for (line, expected) in lines {
        assert_eq!(answer(&mut shard, line), *expected, "{line}");
    }
}

#[test]
fn increx_adds_within_bounds() {
    check(&[
        ("INCREX k", "*2 :1 :1"),
        ("INCREX k BYINT 6", "*2 :7 :6"),
        ("INCREX k BYINT 10 LBOUND 0 UBOUND 10", "*2 :7 :0"),
        ("INCREX k BYINT -20 LBOUND 0 UBOUND 10", "*2 :7 :0"),
        ("INCREX k BYINT 3 LBOUND 0 UBOUND 10", "*2 :10 :3"),
        ("INCREX k LBOUND 0 BYINT 100 SATURATE UBOUND 12", "*2 :12 :2"),
        ("INCREX k BYINT -20 LBOUND 0 UBOUND 10 SATURATE", "*2 :0 :-12"),
        // A value that is out of bounds already.
        ("SET k 50", "+OK"),
        ("INCREX k BYINT 5 UBOUND 30", "*2 :50 :0"),
        ("INCREX k BYINT 5 UBOUND 30 SATURATE", "*2 :30 :-20"),
        ("SET k 50", "+OK"),
        ("INCREX k BYINT -25 UBOUND 30", "*2 :25 :-25"),
        // The limits of the type.
        ("SET k 9223372036854775800", "+OK"),
        ("INCREX k BYINT 9223372036854775800", "*2 :9223372036854775800 :0"),
        ("INCREX k BYINT 9223372036854775800 SATURATE", "*2 :9223372036854775807 :7"),
        ("SET k -9223372036854775800", "+OK"),
        ("INCREX k BYINT -9223372036854775800 LBOUND -9223372036854775808", "*2 :-9223372036854775800 :0"),
        ("INCREX k BYINT -9223372036854775800 SATURATE", "*2 :-9223372036854775808 :-8"),
        // What is refused creates nothing.
        ("INCREX new BYINT 15 UBOUND 10", "*2 :0 :0"),
        ("EXISTS new", ":0"),
    ]);
}

#[test]
fn increx_adds_floats() {
    let largest = "1189731495357231765021263853030970205169063322294624200440323733891737005522970722616410290336528882853545697807495577314427443153670288434198125573853743678673593200706973263201915918282961524365529510646791086614311790632169778838896134786560600399148753433211454911160088679845154866512852340149773037600005479393149983164200";
    let mut shard = a_shard();
    for (line, expected) in [
        ("INCREX k BYFLOAT 1.5", "*2 $3 1.5 $3 1.5"),
        ("INCREX k BYFLOAT 0.25 UBOUND 10", "*2 $4 1.75 $4 0.25"),
        ("INCREX k BYFLOAT 10 UBOUND 5.5", "*2 $4 1.75 $1 0"),
        ("INCREX k BYFLOAT 10 UBOUND 5.5 SATURATE", "*2 $3 5.5 $4 3.75"),
        ("INCREX k BYFLOAT -10 LBOUND -1", "*2 $3 5.5 $1 0"),
        ("INCREX k BYFLOAT -10 LBOUND -1 SATURATE", "*2 $2 -1 $4 -6.5"),
        ("SET k 50.5", "+OK"),
        ("INCREX k BYFLOAT 5.5 UBOUND 30 SATURATE", "*2 $2 30 $5 -20.5"),
        ("INCREX k", "*2 :31 :1"),
        ("SET k 1e4932", "+OK"),
        ("INCREX k BYFLOAT -1e4932", "*2 $1 0"),
        ("SET k 1e4932", "+OK"),
    ] {
        let answer = answer(&mut shard, line);
        assert!(answer == expected || answer.starts_with(&format!("{expected} ")), "{line}: {answer}");
    }
    let refused = answer(&mut shard, "INCREX k BYFLOAT 1e4932");
    assert!(refused.ends_with(" $1 0"), "{refused}");
    let most = answer(&mut shard, "INCREX k BYFLOAT 1e4932 SATURATE");
    assert!(most.starts_with(&format!("*2 $4933 {}", &largest[..30])), "{most}");
}

#[test]
fn increx_has_a_deadline_of_its_own() {
    check(&[
        ("INCREX k EX 100 ENX", "*2 :1 :1"),
        ("TTL k", ":100"),
        ("INCREX k EX 500 ENX", "*2 :2 :1"),
        ("TTL k", ":100"),
        ("INCREX k", "*2 :3 :1"),
        ("TTL k", ":100"),
        // A result out of bounds leaves the deadline as well.
        ("INCREX k BYINT 5 UBOUND 5 EX 500", "*2 :3 :0"),
        ("INCREX k BYINT 5 UBOUND 5 PERSIST", "*2 :3 :0"),
        ("TTL k", ":100"),
        ("INCREX k BYINT 5 UBOUND 5 EX 500 SATURATE", "*2 :5 :2"),
        ("TTL k", ":500"),
        ("INCREX k PX 7000", "*2 :6 :1"),
        ("PTTL k", ":7000"),
        ("INCREX k PXAT 9999999999999", "*2 :7 :1"),
        ("PEXPIRETIME k", ":9999999999999"),
        ("INCREX k EXAT 1 ENX", "*2 :8 :1"),
        ("INCREX k PERSIST", "*2 :9 :1"),
        ("TTL k", ":-1"),
        ("INCREX k EXAT 1", "*2 :10 :1"),
        ("EXISTS k", ":0"),
    ]);
}

#[test]
fn increx_takes_each_option_once() {
    let mut shard = a_shard();
    answer(&mut shard, "SET text hello");
    for options in [
        "FOO",
        "BYINT",
        "BYINT 1 BYFLOAT 1",
        "BYINT 1 BYINT 2",
        "LBOUND 0 LBOUND 1",
        "UBOUND 9 UBOUND 8",
        "LBOUND",
        "SATURATE SATURATE",
        "SAT",
        "ENX ENX EX 10",
        "PERSIST PERSIST",
        "EX 10 EX 20",
        "EX 10 PX 20",
        "EX 1 PERSIST",
        "PERSIST EX 1",
        "PERSIST ENX",
        "ENX PERSIST",
    ] {
        assert_eq!(answer(&mut shard, &format!("INCREX k {options}")), "-ERR syntax error", "{options}");
    }
    for (line, expected) in [
        ("INCREX k ENX", "-ERR ENX flag requires an expiration"),
        ("INCREX k BYINT 1.5", "-ERR Increment is not an integer or out of range"),
        ("INCREX k BYFLOAT x", "-ERR Increment is not a valid float"),
        ("INCREX k BYFLOAT inf", "-ERR Increment is not a valid float"),
        ("INCREX k UBOUND 1.5", "-ERR UBOUND is not an integer or out of range"),
        ("INCREX k BYFLOAT 1 LBOUND x", "-ERR LBOUND is not a valid float"),
        ("INCREX k LBOUND 10 UBOUND 5", "-ERR LBOUND can't be greater than UBOUND"),
        ("INCREX k BYFLOAT 1 LBOUND 10.5 UBOUND 1.5", "-ERR LBOUND can't be greater than UBOUND"),
        ("INCREX k EX 0", "-ERR invalid expire time in 'increx' command"),
        ("INCREX k PX 9223372036854775807", "-ERR invalid expire time in 'increx' command"),
        ("INCREX text", "-ERR value is not an integer or out of range"),
        ("INCREX text BYFLOAT 1", "-ERR value is not a valid float"),
        ("EXISTS k", ":0"),
    ] {
        assert_eq!(answer(&mut shard, line), expected, "{line}");
    }
}

/// What CL.THROTTLE answers some milliseconds after [`NOW_MS`].
fn throttled(shard: &mut Shard, after_ms: u64, args: &str) -> Vec<i64> {
    let call = Call { now_ms: NOW_MS + after_ms, recency: Recency::Touch };
    match throttle::throttle(shard, Words::split(args).args(), call) {
        Reply::Integers(numbers) => numbers.into_iter().flatten().collect(),
        other => panic!("{args}: {other:?}"),
    }
}

#[test]
fn throttle_is_a_leaking_bucket() {
    let mut shard = a_shard();
    // redis-cell's own example: 30 requests in 60 seconds, 15 more at once.
    assert_eq!(throttled(&mut shard, 0, "user 15 30 60"), [0, 16, 15, -1, 2]);
    for left in (0..15).rev() {
        assert_eq!(throttled(&mut shard, 0, "user 15 30 60")[..3], [0, 16, left]);
    }
    assert_eq!(throttled(&mut shard, 0, "user 15 30 60"), [1, 16, 0, 2, 32]);
    assert_eq!(throttled(&mut shard, 500, "user 15 30 60"), [1, 16, 0, 2, 32]);
    assert_eq!(throttled(&mut shard, 1_999, "user 15 30 60"), [1, 16, 0, 1, 31]);
    assert_eq!(throttled(&mut shard, 2_000, "user 15 30 60"), [0, 16, 0, -1, 32]);
    // A look without a request.
    assert_eq!(throttled(&mut shard, 12_000, "user 15 30 60 0"), [0, 16, 5, -1, 22]);
    assert_eq!(throttled(&mut shard, 12_000, "user 15 30 60 6"), [1, 16, 5, 2, 22]);
    assert_eq!(throttled(&mut shard, 12_000, "user 15 30 60 5"), [0, 16, 0, -1, 32]);
    // What is larger than the bucket never fits.
    assert_eq!(throttled(&mut shard, 12_000, "user 15 30 60 17"), [1, 16, 0, -1, 32]);
    // The key goes when the bucket is empty.
    let deadline_ms = shard.peek(b"user", NOW_MS + 12_000).and_then(|item| item.expires_at_ms);
    assert_eq!(deadline_ms, Some(NOW_MS + 44_000));
    assert_eq!(throttled(&mut shard, 44_000, "user 15 30 60"), [0, 16, 15, -1, 2]);
}

#[test]
fn throttle_refuses_what_is_no_limit() {
    const RANGE: &str = "-ERR a limit needs a count and a period of at least 1, no negative number, and at most 292 years \
                         for all of a burst";
    check(&[
        ("CL.THROTTLE k 0 1 1", "*5 :0 :1 :0 :-1 :1"),
        ("CL.THROTTLE k 0 1 1", "*5 :1 :1 :0 :1 :1"),
        ("CL.THROTTLE n -1 1 1", RANGE),
        ("CL.THROTTLE n 0 0 1", RANGE),
        ("CL.THROTTLE n 0 1 0", RANGE),
        ("CL.THROTTLE n 0 1 1 -1", RANGE),
        ("CL.THROTTLE n 9223372036854775807 1 1", RANGE),
        ("CL.THROTTLE n 9223372036 1 1", RANGE),
        ("CL.THROTTLE n 0 1 9223372036854775807", RANGE),
        ("CL.THROTTLE n 0 1 1 9223372036854775807", RANGE),
        ("CL.THROTTLE n 0 9223372036854775807 1", "*5 :0 :1 :0 :-1 :1"),
        ("CL.THROTTLE n x 1 1", "-ERR value is not an integer or out of range"),
        ("CL.THROTTLE n 0 1 1 1 1", "-ERR wrong number of arguments for 'cl.throttle' command"),
        ("SET text hello", "+OK"),
        ("CL.THROTTLE text 0 1 1", "-ERR value is not an integer or out of range"),
    ]);
}
