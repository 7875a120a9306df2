//! SET's conditions on values, DELEX, DELIFEQ and DIGEST as Redis 8.4's own tests have them; BITOP's operations.

use super::{a_shard, answer};
use crate::command::bit_op::bit_op;
use crate::command::several::Stored;

/// The digest of `hello`.
const HELLO: &str = "9555e8555c62dcfd";
const WRONG: &str = "9555e8555c62dcfe";

#[test]
fn a_digest_is_xxh3_with_all_its_zeros() {
    let mut shard = a_shard();
    let long = "v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd";
    for (value, digest) in [("hello", HELLO), ("test", "9ec9f7918d7dfc40"), (long, "00006c38adf31777")] {
        answer(&mut shard, &format!("SET k {value}"));
        assert_eq!(answer(&mut shard, "DIGEST k"), format!("$16 {digest}"));
    }
    answer(&mut shard, "SETRANGE k 0 Hello");
    answer(&mut shard, "DEL k");
    assert_eq!(answer(&mut shard, "DIGEST k"), "$-1");
    assert_eq!(super::super::condition::digest_of(b"Hello world"), "b6acb9d84a38ff74");
}

#[test]
fn set_stores_only_if_the_value_is_as_told() {
    // The condition; whether it holds for `hello`; whether it holds where there is nothing.
    for (condition, holds, creates) in [
        ("IFEQ hello".to_owned(), true, false),
        ("IFEQ other".to_owned(), false, false),
        ("ifne other".to_owned(), true, true),
        ("IFNE hello".to_owned(), false, true),
        (format!("IFDEQ {HELLO}"), true, false),
        (format!("IFDEQ {}", HELLO.to_uppercase()), true, false),
        (format!("IFDEQ {WRONG}"), false, false),
        (format!("IFDNE {WRONG}"), true, true),
        (format!("IfDNE {HELLO}"), false, true),
    ] {
        let mut shard = a_shard();
        answer(&mut shard, "SET k hello EX 100");
        let (says, value) = if holds { ("+OK", "$1 v") } else { ("$-1", "$5 hello") };
        assert_eq!(answer(&mut shard, &format!("SET k v {condition}")), says, "{condition}");
        assert_eq!(answer(&mut shard, "GET k"), value, "{condition}");
        assert_eq!(answer(&mut shard, "TTL k"), if holds { ":-1" } else { ":100" }, "{condition}");
        answer(&mut shard, "SET k hello");
        assert_eq!(answer(&mut shard, &format!("SET k v EX 7 {condition} GET")), "$5 hello", "{condition}");
        assert_eq!(answer(&mut shard, "GET k"), value, "{condition}");

        answer(&mut shard, "DEL k");
        assert_eq!(answer(&mut shard, &format!("SET k v {condition} GET")), "$-1", "{condition}");
        assert_eq!(answer(&mut shard, "EXISTS k"), if creates { ":1" } else { ":0" }, "{condition}");
        answer(&mut shard, "DEL k");
        let says = if creates { "+OK" } else { "$-1" };
        assert_eq!(answer(&mut shard, &format!("SET k v {condition}")), says, "{condition}");
    }
}

#[test]
fn conditions_exclude_each_other_and_digests_have_a_form() {
    const SYNTAX: &str = "-ERR syntax error";
    const LENGTH: &str = "-ERR must be exactly 16 hexadecimal characters";
    let mut shard = a_shard();
    for (options, expected) in [
        ("IFEQ", SYNTAX),
        ("NX IFEQ a", SYNTAX),
        ("IFEQ a NX", SYNTAX),
        ("IFEQ a IFEQ a", SYNTAX),
        ("IFDEQ 12 IFNE a", SYNTAX),
        // Redis looks at a digest only where there is a value.
        ("IFDEQ 12", "$-1"),
        ("IFDNE 12", "+OK"),
        ("IFDEQ 12", LENGTH),
        ("IFDNE 12", LENGTH),
        ("IFDNE 12345678901234567", LENGTH),
    ] {
        assert_eq!(answer(&mut shard, &format!("SET k v {options}")), expected, "{options}");
    }
}

#[test]
fn delex_and_delifeq_delete_only_what_is_as_told() {
    for (line, present, absent) in [
        ("DELEX k".to_owned(), ":1", ":0"),
        ("DELEX k IFEQ hello".to_owned(), ":1", ":0"),
        ("DELEX k ifeq other".to_owned(), ":0", ":0"),
        ("DELEX k IFNE other".to_owned(), ":1", ":0"),
        ("DELEX k IFNE hello".to_owned(), ":0", ":0"),
        (format!("DELEX k IFDEQ {HELLO}"), ":1", ":0"),
        (format!("DELEX k IFDEQ {WRONG}"), ":0", ":0"),
        (format!("DELEX k IFDNE {WRONG}"), ":1", ":0"),
        (format!("DELEX k IFDNE {HELLO}"), ":0", ":0"),
        ("DELEX k IFDEQ 12".to_owned(), "-ERR must be exactly 16 hexadecimal characters", ":0"),
        ("DELEX k IFEQ".to_owned(), "-ERR wrong number of arguments for 'delex' command", ""),
        ("DELEX k IFEQ a IFNE b".to_owned(), "-ERR wrong number of arguments for 'delex' command", ""),
        ("DELEX k NX a".to_owned(), "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE", ""),
        ("DELIFEQ k hello".to_owned(), ":1", ":0"),
        ("DELIFEQ k other".to_owned(), ":0", ":0"),
    ] {
        let mut shard = a_shard();
        let absent = if absent.is_empty() { present } else { absent };
        assert_eq!(answer(&mut shard, &line), absent, "{line}");
        answer(&mut shard, "SET k hello");
        assert_eq!(answer(&mut shard, &line), present, "{line}");
        assert_eq!(answer(&mut shard, "EXISTS k"), if present == ":1" { ":0" } else { ":1" }, "{line}");
    }
}

#[test]
fn bitop_combines_bit_by_bit() {
    let sources: [&[u8]; 3] = [&[0b1111_0000, 0xff], &[0b1010_1010], &[0b0000_1111, 0x01, 0x80]];
    for (name, expected) in [
        ("and", [0, 0, 0]),
        ("OR", [0xff, 0xff, 0x80]),
        ("XOR", [0b0101_0101, 0xfe, 0x80]),
        ("DIFF", [0b0101_0000, 0xfe, 0]),
        ("DIFF1", [0b0000_1111, 0, 0x80]),
        ("AndOr", [0b1010_0000, 0x01, 0]),
        ("ONE", [0b0101_0101, 0xfe, 0x80]),
    ] {
        let words = super::Words::split(&format!("{name} to a b c"));
        let stored = [None].into_iter().chain(sources.map(|value| Some(Stored { value, expires_at_ms: None })));
        let (_, changes) = bit_op(words.args(), &stored.collect::<Vec<_>>(), super::NOW_MS).expect("a result");
        assert_eq!(changes.stores[0].1, expected, "{name}");
    }
    // A bit that three sources have is not in XOR's sense odd, but in more than one.
    let words = super::Words::split("ONE to a b c");
    let same = Some(Stored { value: &[0xff], expires_at_ms: None });
    let (_, changes) = bit_op(words.args(), &[None, same, same, same], super::NOW_MS).expect("a result");
    assert_eq!(changes.stores[0].1, [0]);
    for name in ["DIFF", "DIFF1", "ANDOR"] {
        let words = super::Words::split(&format!("{name} to a"));
        let error = bit_op(words.args(), &[None, same], super::NOW_MS).expect_err("one source is too few");
        assert_eq!(error.to_string(), format!("ERR BITOP {name} must be called with at least two source keys."));
    }
}
