//! LongDouble against sums that redis-server 7.0.15 answered, and against exact arithmetic.

use proptest::prelude::*;

use super::LongDouble;
use super::natural::Natural;

const NOT_FLOAT: &str = "value is not a valid float";
const NOT_FINITE: &str = "increment would produce NaN or Infinity";

/// A value, an increment, and redis-server's reply to INCRBYFLOAT; of the longest only the ends and the length.
#[rustfmt::skip]
const SUMS: &[(&str, &str, &str)] = &[
    ("0", "0", "0"),
    ("1", "0", "1"),
    ("-1", "0", "-1"),
    ("0.1", "0", "0.1"),
    ("0.2", "0", "0.2"),
    ("3.0e3", "0", "3000"),
    ("5.0e3", "0", "5000"),
    ("10.5", "0", "10.5"),
    ("1e5", "0", "100000"),
    ("1E5", "0", "100000"),
    ("1e+5", "0", "100000"),
    ("1e-5", "0", "0.00001"),
    ("5e-324", "0", "0"),
    ("4.9e-4950", "0", "0"),
    ("3.6e-4951", "0", "0"),
    ("1e-4951", "0", NOT_FLOAT),
    ("1.8e-4951", "0", NOT_FLOAT),
    ("1e-5000", "0", NOT_FLOAT),
    ("1e-99999999999999", "0", NOT_FLOAT),
    ("0e99999999999999", "0", "0"),
    ("1e300", "0", "1000000000000000000008997324079559193870523944273290747938260082321265646596180935755849152083750497190350372508614274835903592556184672983913096260520748646287327135641843653294084255107606016789726652932370030551382947620994540294772781889620606179267611627097410650567187386105690089424915104006144"),
    ("-1e300", "0", "-1000000000000000000008997324079559193870523944273290747938260082321265646596180935755849152083750497190350372508614274835903592556184672983913096260520748646287327135641843653294084255107606016789726652932370030551382947620994540294772781889620606179267611627097410650567187386105690089424915104006144"),
    ("1e4932", "0", "1000000000000000000006018949387963891323..38418113791886622720 of 4933"),
    ("1.18973149535723176502e4932", "0", "1189731495357231765021263853030970205169..19552086811989770240 of 4933"),
    ("1.18973149535723176506e4932", "0", NOT_FLOAT),
    ("1.2e4932", "0", NOT_FLOAT),
    ("1e4933", "0", NOT_FLOAT),
    ("-1e4932", "0", "-100000000000000000000601894938796389132..38418113791886622720 of 4934"),
    ("-0", "0", "0"),
    ("-0.0", "0", "0"),
    ("-1e-30", "0", "0"),
    ("+1", "0", "1"),
    (".5", "0", "0.5"),
    ("1.", "0", "1"),
    ("-.5", "0", "-0.5"),
    ("+.5e1", "0", "5"),
    (".", "0", NOT_FLOAT),
    ("", "0", NOT_FLOAT),
    ("e5", "0", NOT_FLOAT),
    ("1e", "0", NOT_FLOAT),
    ("1e+", "0", NOT_FLOAT),
    ("1.5.2", "0", NOT_FLOAT),
    ("1,5", "0", NOT_FLOAT),
    (" 1", "0", NOT_FLOAT),
    ("1 ", "0", NOT_FLOAT),
    ("\x091", "0", NOT_FLOAT),
    ("1\n", "0", NOT_FLOAT),
    ("0x10", "0", "16"),
    ("0X1.8p3", "0", "12"),
    ("0x.8", "0", "0.5"),
    ("0x", "0", NOT_FLOAT),
    ("0x.", "0", NOT_FLOAT),
    ("0x1p", "0", NOT_FLOAT),
    ("0x1p-17000", "0", NOT_FLOAT),
    ("0x1p16384", "0", NOT_FLOAT),
    ("0x1p16383", "0", "5948657476786158825428796633140035653817..23513645334982033408 of 4932"),
    ("-0xAbCdEf", "0", "-11259375"),
    ("0x1.", "0", "1"),
    ("0x123456789abcdef01", "0", "20988295479420645120"),
    ("0x1ffffffffffffffff", "0", "36893488147419103232"),
    ("inf", "0", NOT_FINITE),
    ("-inf", "0", NOT_FINITE),
    ("+inf", "0", NOT_FINITE),
    ("Infinity", "0", NOT_FINITE),
    ("INF", "0", NOT_FINITE),
    ("infinit", "0", NOT_FLOAT),
    ("nan", "0", NOT_FLOAT),
    ("-nan", "0", NOT_FLOAT),
    ("nan(1)", "0", NOT_FLOAT),
    ("9223372036854775807", "0", "9223372036854775807"),
    ("-9223372036854775808", "0", "-9223372036854775808"),
    ("18446744073709551615", "0", "18446744073709551615"),
    ("18446744073709551616", "0", "18446744073709551616"),
    ("36893488147419103233", "0", "36893488147419103232"),
    ("123456789012345678901234567890", "0", "123456789012345678899921813504"),
    ("0.000000000000000005", "0", "0"),
    ("0.0000000000000000049999", "0", "0"),
    ("0.00000000000000000500001", "0", "0.00000000000000001"),
    ("0.12345678901234567890", "0", "0.12345678901234568"),
    ("1.00000000000000000005", "0", "1"),
    ("3.14159265358979323846264338327950288", "0", "3.14159265358979324"),
    ("2.5e-17", "0", "0.00000000000000002"),
    ("1e17", "0", "100000000000000000"),
    ("1e18", "0", "1000000000000000000"),
    ("1e19", "0", "10000000000000000000"),
    ("1e20", "0", "100000000000000000000"),
    ("123456.789e-3", "0", "123.456789"),
    ("0001", "0", "1"),
    ("00.10", "0", "0.1"),
    ("1_000", "0", NOT_FLOAT),
    ("1f", "0", NOT_FLOAT),
    ("0b1", "0", NOT_FLOAT),
    ("--1", "0", NOT_FLOAT),
    ("+-1", "0", NOT_FLOAT),
    ("1e--1", "0", NOT_FLOAT),
    ("1e5.5", "0", NOT_FLOAT),
    ("1.0000000000000000542101086242752217003726400434970855712890625", "0", "1.00000000000000005"),
    ("1.00000000000000005421010862427522170037264004349708557128906250001", "0", "1.00000000000000005"),
    ("1.00000000000000016263032587282566510111792013049125671386718750", "0", "1.00000000000000016"),
    ("9007199254740993", "0", "9007199254740993"),
    ("1e22", "0", "10000000000000000000000"),
    ("1e23", "0", "100000000000000000000000"),
    ("0.3", "0", "0.3"),
    ("0.7", "0", "0.7"),
    ("4503599627370496.5", "0", "4503599627370496.5"),
    ("0.1", "0.2", "0.3"),
    ("1", "-1", "0"),
    ("-0", "-0", "0"),
    ("0", "-0", "0"),
    ("10.50", "0.1", "10.6"),
    ("5.0e3", "2.0e2", "5200"),
    ("1e300", "1", "1000000000000000000008997324079559193870523944273290747938260082321265646596180935755849152083750497190350372508614274835903592556184672983913096260520748646287327135641843653294084255107606016789726652932370030551382947620994540294772781889620606179267611627097410650567187386105690089424915104006144"),
    ("1e300", "-1e300", "0"),
    ("1e4932", "1e4932", NOT_FINITE),
    ("-1e4932", "-1e4932", NOT_FINITE),
    ("inf", "1", NOT_FINITE),
    ("1", "inf", NOT_FINITE),
    ("inf", "-inf", NOT_FINITE),
    ("1e-4950", "-1e-4950", "0"),
    ("0.1", "-0.1", "0"),
    ("0.3", "-0.1", "0.2"),
    ("1", "1e-19", "1"),
    ("1", "5.421010862427522170037264e-20", "1"),
    ("1", "5.5e-20", "1"),
    ("3", "-1e-19", "3"),
    ("1e18", "0.1", "1000000000000000000.125"),
    ("1e17", "0.05", "100000000000000000.046875"),
    ("18446744073709551615", "1", "18446744073709551616"),
    ("18446744073709551616", "1", "18446744073709551616"),
    ("18446744073709551616", "3", "18446744073709551620"),
    ("x", "1", NOT_FLOAT),
    ("1", "x", NOT_FLOAT),
    ("1.1", "2.2", "3.3"),
    ("-1.5", "0.25", "-1.25"),
    ("0.00000000000000001", "0.00000000000000001", "0.00000000000000002"),
    ("0x10", "0x.8", "16.5"),
    ("1e4931", "1", "1000000000000000000006018949387963891323..53841811379188662272 of 4932"),
    ("-1e-20", "0", "0"),
    ("2.1", "-2.1", "0"),
    ("1.18973149535723176502e4932", "1e4912", "1189731495357231765021263853030970205169..19552086811989770240 of 4933"),
    ("1.18973149535723176502e4932", "1e4913", NOT_FINITE),
    ("1.18973149535723176502e4932", "4e4912", NOT_FINITE),
];

fn sum(value: &str, increment: &str) -> String {
    let (Some(value), Some(increment)) = (LongDouble::parse(value.as_bytes()), LongDouble::parse(increment.as_bytes()))
    else {
        return NOT_FLOAT.to_owned();
    };
    let Some(sum) = value.plus(increment) else { return NOT_FINITE.to_owned() };
    let text = String::from_utf8(sum.text()).expect("ASCII");
    if text.len() <= 320 {
        return text;
    }
    format!("{}..{} of {}", &text[..40], &text[text.len() - 20..], text.len())
}

#[test]
fn sums_are_those_of_redis() {
    for &(value, increment, expected) in SUMS {
        assert_eq!(sum(value, increment), expected, "{value:?} + {increment:?}");
        if expected != NOT_FLOAT {
            assert_eq!(sum(increment, value), expected, "{increment:?} + {value:?}");
        }
    }
}

#[test]
fn a_text_has_a_longest_length() {
    let zeros = |len: usize| vec![b'0'; len];
    assert!(LongDouble::parse(&zeros(5 * 1024 - 1)).is_some());
    assert!(LongDouble::parse(&zeros(5 * 1024)).is_none());
    // The costliest: thousands of digits, and a divisor of thousands more.
    let digits = [vec![b'7'; 5000], b"e-9900".to_vec()].concat();
    assert_eq!(LongDouble::parse(&digits).map(LongDouble::text), Some(b"0".to_vec()));
}

/// A number of 128 bits as text, and as a `Natural`.
fn natural(value: u128) -> Natural {
    Natural::from_decimal(value.to_string().as_bytes())
}

proptest! {
    /// Whatever the machine's 64-bit floats hold is exact in 80 bits, so Rust's own exact printing is the model.
    #[test]
    fn doubles_are_parsed_and_printed_exactly(value in -1e22..1e22) {
        let text = LongDouble::parse(format!("{value:.1100}").as_bytes()).expect("a number").text();
        let mut expected = format!("{value:.17}");
        expected.truncate(expected.trim_end_matches('0').trim_end_matches('.').len());
        prop_assert_eq!(String::from_utf8(text), Ok(if expected == "-0" { "0".to_owned() } else { expected }));
    }

    /// Integers below 2^64 are exact, and so are their sums and differences as far as they stay there.
    #[test]
    fn integers_add_exactly(one in 0..1u64 << 63, other in 0..1u64 << 63) {
        let difference = i128::from(one) - i128::from(other);
        prop_assert_eq!(sum(&one.to_string(), &other.to_string()), (one + other).to_string());
        prop_assert_eq!(sum(&one.to_string(), &format!("-{other}")), difference.to_string());
    }

    /// The nearest of the numbers with 64 bits, ties to the even one.
    #[test]
    fn long_integers_are_rounded_to_the_nearest(value: u128, shift in 0..64u32) {
        let value = value >> shift;
        let drop = (128 - value.leading_zeros()).saturating_sub(64);
        let (kept, rest) = (value >> drop, value & ((1u128 << drop) - 1));
        let half = (1u128 << drop) >> 1;
        let up = drop > 0 && (rest > half || rest == half && kept & 1 == 1);
        // 2^128 itself does not fit.
        prop_assume!(kept + u128::from(up) < 1 << 64 || drop < 64);
        let expected = (kept + u128::from(up)) << drop;
        prop_assert_eq!(sum(&value.to_string(), "0"), expected.to_string());
        prop_assert_eq!(sum(&format!("0x{value:x}"), "0"), expected.to_string());
    }

    #[test]
    fn no_text_panics(text in proptest::collection::vec(prop::sample::select(&b"0123456789.eEpPxX+-afin"[..]), 0..24)) {
        if let Some(number) = LongDouble::parse(&text) {
            let text = number.text();
            prop_assert!(LongDouble::parse(&text).is_some(), "what is stored is read again: {}", text.escape_ascii());
        }
    }

    #[test]
    fn naturals_are_integers(one in 0..u128::MAX / 2, other in 0..u128::MAX / 2, shift in 0..60usize) {
        let (one, other) = (one.max(other), one.min(other));
        let digits = |number: Natural| String::from_utf8(number.decimal_digits()).expect("ASCII");
        let mut sum = natural(one);
        sum.add(&natural(other));
        prop_assert_eq!(digits(sum), (one + other).to_string());
        let mut difference = natural(one);
        difference.subtract(&natural(other));
        prop_assert_eq!(difference.bits() as u32, 128 - (one - other).leading_zeros());
        prop_assert_eq!(digits(difference), (one - other).to_string());
        prop_assert_eq!(natural(one).cmp(&natural(other)), one.cmp(&other));
        prop_assert_eq!(digits(natural(one >> shift).shifted(shift)), (one >> shift << shift).to_string());
        let mut doubled = natural(one);
        doubled.double();
        prop_assert_eq!(digits(doubled), (one * 2).to_string());
        let mut product = natural(one >> 64);
        product.multiply_by_power_of_5(27);
        prop_assert_eq!(digits(product), ((one >> 64) * 5u128.pow(27)).to_string());
        prop_assert_eq!(Natural::from_hexadecimal(format!("{one:x}").as_bytes()), natural(one));
    }
}
