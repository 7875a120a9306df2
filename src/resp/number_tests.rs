//! Tests of numbers as text: against the standard library where it agrees with Redis, by table where not.

use proptest::prelude::*;

use super::*;

fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    push(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn integers_are_strict() {
    for text in [
        "",
        "-",
        "+1",
        "01",
        "-0",
        "-01",
        "00",
        " 1",
        "1 ",
        "1x",
        "0x1",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "1\0",
    ] {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
    }
    for value in [0, 1, -1, 10, i64::MAX, i64::MIN] {
        assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
    }
}

/// Laid out by the rules of `emit_digits` in the `fpconv` that Redis 7.2 prints doubles with.
#[test]
fn doubles_as_redis_prints_them() {
    let table = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (0.001, "0.001"),
        (0.00001, "0.00001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (123_456.789, "123456.789"),
        (1e7, "10000000"),
        (1e8, "1e+8"),
        (1.2e8, "120000000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (std::f64::consts::PI, "3.141592653589793"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "nan"),
    ];
    for (value, expected) in table {
        assert_eq!(text(|out| push_f64(out, value)), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integers_round_trip(value: i64, shift in 0..64u32) {
        let value = value >> shift;
        prop_assert_eq!(text(|out| push_i64(out, value)), value.to_string());
        prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
    }

    #[test]
    fn integers_agree_with_std(text in "-?[0-9]{0,21}|[-+ 0-9a]{0,5}") {
        let canonical = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
        prop_assert_eq!(parse_i64(text.as_bytes()), canonical);
    }

    #[test]
    fn doubles_round_trip(bits: u64, small in -1_000_000i64..1_000_000, tenths in 0..12) {
        for value in [f64::from_bits(bits), small as f64 / 10f64.powi(tenths)] {
            let read: f64 = text(|out| push_f64(out, value)).parse().unwrap();
            prop_assert!(read.to_bits() == value.to_bits() || value.is_nan());
        }
    }
}
