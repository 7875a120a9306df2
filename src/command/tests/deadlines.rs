//! The arithmetic of deadlines: edges of overflow, refusals and conditions, as redis-server 7.0.15 answered.

use proptest::prelude::*;

use crate::command::Error;
use crate::command::expiry::{Unit, deadline_ms, option};
use crate::command::tests::{NOW_MS, a_shard, answer};

const NUMBER: &str = "-ERR value is not an integer or out of range";

#[test]
fn amounts_at_the_edges() {
    // Command, amount: whether it is taken, and whether the key is still there.
    let cases = [
        ("expire", "9223372036854775807", false, true),
        ("expire", "9223372036854775", false, true),
        ("expire", "9223370000000000", true, true),
        ("expire", "-9223372036854775", true, false),
        ("expire", "-9223372036854776", false, true),
        ("expire", "-9223372036854775808", false, true),
        ("expire", "0", true, false),
        ("expire", "-1", true, false),
        ("pexpire", "9223372036854775807", false, true),
        ("pexpire", "9223372036854775", true, true),
        ("pexpire", "-9223372036854775808", true, false),
        ("expireat", "9223372036854775807", false, true),
        ("expireat", "9223372036854776", false, true),
        ("expireat", "9223372036854775", true, true),
        ("expireat", "-9223372036854776", false, true),
        ("expireat", "-1", true, false),
        ("pexpireat", "9223372036854775807", true, true),
        ("pexpireat", "-9223372036854775808", true, false),
        ("pexpireat", "0", true, false),
    ];
    for (name, amount, taken, present) in cases {
        let mut shard = a_shard();
        answer(&mut shard, "SET k v");
        let refusal = format!("-ERR invalid expire time in '{name}' command");
        let expected = if taken { ":1" } else { &refusal };
        assert_eq!(answer(&mut shard, &format!("{name} k {amount}")), expected, "{name} {amount}");
        assert_eq!(answer(&mut shard, "EXISTS k"), if present { ":1" } else { ":0" }, "{name} {amount}");
    }
}

#[test]
fn largest_deadline_reads_back() {
    let mut shard = a_shard();
    answer(&mut shard, "SET k v PXAT 9223372036854775807");
    assert_eq!(answer(&mut shard, "PEXPIRETIME k"), ":9223372036854775807");
    assert_eq!(answer(&mut shard, "PTTL k"), format!(":{}", i64::MAX as u64 - NOW_MS));
    assert_eq!(answer(&mut shard, "EXPIRETIME k"), ":9223372036854776");
    assert_eq!(answer(&mut shard, "PERSIST k"), ":1");
    assert_eq!(answer(&mut shard, "PERSIST k"), ":0");
}

#[test]
fn times_are_rounded_to_the_nearest_second() {
    for (left_ms, left_s) in [(1, 0), (499, 0), (500, 1), (1_499, 1), (1_500, 2), (60_000, 60)] {
        let mut shard = a_shard();
        answer(&mut shard, &format!("SET k v PX {left_ms}"));
        assert_eq!(answer(&mut shard, "TTL k"), format!(":{left_s}"), "{left_ms} ms");
        assert_eq!(answer(&mut shard, "PTTL k"), format!(":{left_ms}"));
    }
    let mut shard = a_shard();
    for name in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
        assert_eq!(answer(&mut shard, &format!("{name} k")), ":-2", "{name} without a key");
    }
    answer(&mut shard, "SET k v");
    for name in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
        assert_eq!(answer(&mut shard, &format!("{name} k")), ":-1", "{name} without a TTL");
    }
}

#[test]
fn conditions_that_contradict_each_other_are_refused() {
    const WITH_NX: &str = "-ERR NX and XX, GT or LT options at the same time are not compatible";
    const GT_LT: &str = "-ERR GT and LT options at the same time are not compatible";
    let cases = [
        ("10 NX XX", WITH_NX),
        ("10 NX GT", WITH_NX),
        ("10 LT NX", WITH_NX),
        ("10 GT LT", GT_LT),
        ("10 XX LT GT", GT_LT),
        ("10 FOO", "-ERR Unsupported option FOO"),
        ("x", NUMBER),
        ("1.5", NUMBER),
        ("x FOO", "-ERR Unsupported option FOO"),
        ("10 nx NX", ":1"),
        ("10 XX GT", ":0"),
    ];
    for name in ["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"] {
        for (arguments, expected) in cases {
            let mut shard = a_shard();
            answer(&mut shard, "SET k v");
            assert_eq!(answer(&mut shard, &format!("{name} k {arguments}")), expected, "{name} {arguments}");
        }
        assert_eq!(answer(&mut a_shard(), &format!("{name} k 10")), ":0", "{name} without a key");
    }
}

#[test]
fn conditions_hold_or_not() {
    // The TTL before in seconds (0: none), the condition, and whether EXPIRE k 100 changes it.
    let cases = [
        (0, "NX", true),
        (50, "NX", false),
        (0, "XX", false),
        (50, "XX", true),
        (0, "GT", false),
        (50, "GT", true),
        (100, "GT", false),
        (200, "GT", false),
        (0, "LT", true),
        (50, "LT", false),
        (100, "LT", false),
        (200, "LT", true),
        (200, "XX LT", true),
        (0, "XX LT", false),
    ];
    for (before, condition, changes) in cases {
        let mut shard = a_shard();
        answer(&mut shard, &if before > 0 { format!("SET k v EX {before}") } else { "SET k v".to_owned() });
        let unchanged = answer(&mut shard, "TTL k");
        let reply = answer(&mut shard, &format!("EXPIRE k 100 {condition}"));
        assert_eq!(reply, if changes { ":1" } else { ":0" }, "{before} {condition}");
        let ttl = answer(&mut shard, "TTL k");
        assert_eq!(ttl, if changes { ":100".to_owned() } else { unchanged }, "{before} {condition}");
    }
}

#[test]
fn expiry_options_have_four_names() {
    assert_eq!(option(b"ex"), Some((Unit::Seconds, false)));
    assert_eq!(option(b"Px"), Some((Unit::Millis, false)));
    assert_eq!(option(b"EXAT"), Some((Unit::Seconds, true)));
    assert_eq!(option(b"pxAT"), Some((Unit::Millis, true)));
    assert_eq!((option(b"E"), option(b"EXA"), option(b"KEEPTTL")), (None, None, None));
}

proptest! {
    /// Against the same sum in numbers that can't overflow.
    #[test]
    fn deadlines_are_sums_or_refused(
        amount in prop_oneof![any::<i64>(), -5..5i64, (i64::MAX / 1000 - 3)..=(i64::MAX / 1000 + 3)],
        seconds: bool,
        base_ms in prop_oneof![Just(None), (0..1u64 << 42).prop_map(Some)],
    ) {
        let unit = if seconds { Unit::Seconds } else { Unit::Millis };
        let factor = if seconds { 1000 } else { 1 };
        let exact = i128::from(amount) * factor + i128::from(base_ms.unwrap_or(0));
        let expected = if amount > 0 && exact <= i128::from(i64::MAX) {
            Ok(exact as u64)
        } else {
            Err(Error::InvalidExpire("set"))
        };
        prop_assert_eq!(deadline_ms(amount.to_string().as_bytes(), unit, base_ms, "set"), expected);
    }
}
