//! The options of SET and GETEX, every combination, against what redis-server 7.0.15 answered.

use crate::command::tests::{NOW_MS, a_shard, answer};

/// Words that SET's options are made of.
const OPTIONS: [&str; 9] =
    ["NX", "XX", "GET", "KEEPTTL", "EX 100", "PX 100", "EXAT 9999999999", "PXAT 9999999999999", "bad"];

/// What SET answers, by a plain reading of its documentation: to a key that is absent, and to one that is there.
///
/// All 820 sequences were sent to redis-server 7.0.15, which answers the same.
fn expected(options: &[&str]) -> [&'static str; 2] {
    const SYNTAX: [&str; 2] = ["-ERR syntax error"; 2];
    let (mut condition, mut get, mut expiry) = (None, false, None);
    for option in options {
        match option.split(' ').next() {
            Some("GET") => get = true,
            name @ Some("NX" | "XX") if condition.is_none() || condition == name => condition = name,
            name @ Some("KEEPTTL" | "EX" | "PX" | "EXAT" | "PXAT") if expiry.is_none() || expiry == name => {
                expiry = name;
            }
            _ => return SYNTAX,
        }
    }
    match (get, condition) {
        (true, _) => ["$-1", "$3 old"],
        (false, None) => ["+OK", "+OK"],
        (false, Some("NX")) => ["+OK", "$-1"],
        (false, Some(_)) => ["$-1", "+OK"],
    }
}

#[test]
fn every_sequence_of_up_to_three_options() {
    let mut sequences: Vec<Vec<&str>> = vec![Vec::new()];
    let mut all = sequences.clone();
    for _ in 0..3 {
        let longer = |sequence: &Vec<&'static str>| OPTIONS.map(|option| [sequence.as_slice(), &[option]].concat());
        sequences = sequences.iter().flat_map(longer).collect();
        all.extend(sequences.iter().cloned());
    }
    assert_eq!(all.len(), 820);
    for sequence in all {
        let line = format!("SET k v {}", sequence.join(" "));
        let answers = [false, true].map(|present| {
            let mut shard = a_shard();
            if present {
                assert_eq!(answer(&mut shard, "SET k old"), "+OK");
            }
            let reply = answer(&mut shard, &line);
            assert_stored(&mut shard, &sequence, present, &reply, &line);
            reply
        });
        assert_eq!(answers, expected(&sequence), "{line}");
    }
}

/// Asserts that the key is as it has to be after the command.
fn assert_stored(shard: &mut crate::shard::Shard, sequence: &[&str], present: bool, reply: &str, line: &str) {
    let refused = reply.starts_with('-') || sequence.contains(&"NX") && present || sequence.contains(&"XX") && !present;
    let value = answer(shard, "GET k");
    match (refused, present) {
        (true, true) => assert_eq!(value, "$3 old", "{line}"),
        (true, false) => assert_eq!(value, "$-1", "{line}"),
        (false, _) => assert_eq!(value, "$1 v", "{line}"),
    }
    let expiry = sequence.iter().find_map(|option| option.split_once(' ')).map(|(name, _)| name);
    let expires_at_ms = match expiry {
        Some("EX") => NOW_MS + 100_000,
        Some("PX") => NOW_MS + 100,
        Some("EXAT") => 9_999_999_999_000,
        Some(_) => 9_999_999_999_999,
        None => 0,
    };
    if !refused {
        let expected = if expires_at_ms == 0 { ":-1".to_owned() } else { format!(":{expires_at_ms}") };
        assert_eq!(answer(shard, "PEXPIRETIME k"), expected, "{line}");
    }
}

#[test]
fn keepttl_keeps_and_plain_set_drops_the_ttl() {
    let mut shard = a_shard();
    for (line, ttl) in [
        ("SET k v EX 100", ":100"),
        ("SET k w KEEPTTL", ":100"),
        ("SET k w XX KEEPTTL GET", ":100"),
        ("SET k w", ":-1"),
        ("SET k w PX 1500", ":2"),
        ("SET k w NX EX 7", ":2"),
    ] {
        answer(&mut shard, line);
        assert_eq!(answer(&mut shard, "TTL k"), ttl, "after {line}");
    }
}

/// The text of a refused expiry.
fn invalid(name: &str) -> String {
    format!("-ERR invalid expire time in '{name}' command")
}

const SYNTAX: &str = "-ERR syntax error";
const NUMBER: &str = "-ERR value is not an integer or out of range";

#[test]
fn set_checks_amounts_as_redis_does() {
    let invalid = invalid("set");
    // Answers of redis-server 7.0.15 (it ran in 2025 as well, so that the same amounts overflow).
    let cases: [(&str, &str); 23] = [
        ("EX", SYNTAX),
        ("EX x", NUMBER),
        ("EX 1.5", NUMBER),
        ("PX +1", NUMBER),
        ("EX 01", NUMBER),
        ("EX EX", NUMBER),
        ("EX 0", &invalid),
        ("EX -1", &invalid),
        ("PX 0", &invalid),
        ("EXAT 0", &invalid),
        ("EX 9223372036854775807", &invalid),
        ("EX 9223372036854775", &invalid),
        ("PX 9223372036854775807", &invalid),
        ("EXAT 9223372036854776", &invalid),
        ("EXAT 9223372036854775", "+OK"),
        ("PXAT 9223372036854775807", "+OK"),
        ("EX 9223370000000000", "+OK"),
        ("EXAT 1", "+OK"),
        ("ex 10", "+OK"),
        ("EX x NX XX", SYNTAX),
        ("EX 10 10", SYNTAX),
        ("EX 1 KEEPTTL", SYNTAX),
        ("KEEPTTL EX 1", SYNTAX),
    ];
    for (options, expected) in cases {
        let mut shard = a_shard();
        assert_eq!(answer(&mut shard, &format!("SET k v {options}")), expected, "{options}");
        let stored = expected == "+OK" && options != "EXAT 1";
        assert_eq!(answer(&mut shard, "EXISTS k"), if stored { ":1" } else { ":0" }, "{options}");
    }
}

#[test]
fn setex_and_psetex_check_amounts_as_redis_does() {
    for (name, amount, stored) in [
        ("setex", "9223372036854775807", false),
        ("setex", "9223372036854775", false),
        ("setex", "0", false),
        ("setex", "-1", false),
        ("setex", "10", true),
        ("psetex", "9223372036854775807", false),
        ("psetex", "9223370000000000000", true),
        ("psetex", "9223372036854775", true),
        ("psetex", "0", false),
        ("psetex", "-1", false),
    ] {
        let mut shard = a_shard();
        let expected = if stored { "+OK".to_owned() } else { invalid(name) };
        assert_eq!(answer(&mut shard, &format!("{name} k {amount} v")), expected, "{name} {amount}");
        assert_eq!(answer(&mut shard, "EXISTS k"), if stored { ":1" } else { ":0" }, "{name} {amount}");
    }
    assert_eq!(answer(&mut a_shard(), "SETEX k x v"), NUMBER);
}

#[test]
fn getex_takes_one_option() {
    let invalid = invalid("getex");
    let cases: [(&str, &str, &str); 13] = [
        ("", "$1 v", ":5000"),
        ("EX", SYNTAX, ":5000"),
        ("EX x", NUMBER, ":5000"),
        ("EX 0", &invalid, ":5000"),
        ("PERSIST", "$1 v", ":-1"),
        ("persist", "$1 v", ":-1"),
        ("EX 10 PERSIST", SYNTAX, ":5000"),
        ("PERSIST EX 10", SYNTAX, ":5000"),
        ("EX 10 PX 10", SYNTAX, ":5000"),
        ("KEEPTTL", SYNTAX, ":5000"),
        ("EXAT 1", "$1 v", ":-2"),
        ("FOO", SYNTAX, ":5000"),
        ("ex 10", "$1 v", ":10000"),
    ];
    for (options, expected, left) in cases {
        let mut shard = a_shard();
        assert_eq!(answer(&mut shard, "SET k v PX 5000"), "+OK");
        assert_eq!(answer(&mut shard, &format!("GETEX k {options}")), expected, "{options}");
        assert_eq!(answer(&mut shard, "PTTL k"), left, "{options}");
    }
}

#[test]
fn getdel_setnx_and_their_replies() {
    let mut shard = a_shard();
    for (line, expected) in [
        ("GETDEL k", "$-1"),
        ("SETNX k v", ":1"),
        ("SETNX k w", ":0"),
        ("GET k", "$1 v"),
        ("GETDEL k", "$1 v"),
        ("EXISTS k", ":0"),
        ("TYPE k", "+none"),
        ("MSET k v", "+OK"),
        ("TYPE k", "+string"),
        ("TOUCH k", ":1"),
        ("UNLINK k", ":1"),
        ("DEL k", ":0"),
        ("TOUCH k", ":0"),
    ] {
        assert_eq!(answer(&mut shard, line), expected, "{line}");
    }
}
