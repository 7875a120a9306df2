//! Tests of the reply decoder: what the writer wrote comes back, cut anywhere; noise does no harm.

use proptest::prelude::*;

use super::*;
use crate::resp::write::{Proto, Writer};

fn all(bytes: &[u8]) -> Value {
    let (value, len) = decode(bytes).unwrap().unwrap();
    assert_eq!(len, bytes.len());
    value
}

/// Writes `value` and says what a client of `proto` is to find in its place.
fn write(w: &mut Writer<'_>, value: &Value) -> Value {
    let resp3 = w.proto() == Proto::Resp3;
    let bulk = |bytes: &[u8]| Value::Bulk(Some(bytes.to_vec()));
    match value {
        Value::Simple(text) => w.simple(str::from_utf8(text).unwrap()),
        Value::Error(text) => w.error_bytes(text),
        Value::Integer(integer) => w.integer(*integer),
        Value::Bulk(Some(bytes)) => w.bulk(bytes),
        Value::Bulk(None) | Value::Null => {
            w.null();
            return if resp3 { Value::Null } else { Value::Bulk(None) };
        }
        Value::Array(None) => {
            w.null_array();
            return if resp3 { Value::Null } else { Value::Array(None) };
        }
        Value::Array(Some(items)) => {
            w.array(items.len());
            return Value::Array(Some(items.iter().map(|item| write(w, item)).collect()));
        }
        Value::Set(items) => {
            w.set(items.len());
            let items = items.iter().map(|item| write(w, item)).collect();
            return if resp3 { Value::Set(items) } else { Value::Array(Some(items)) };
        }
        Value::Push(items) => {
            w.push(items.len());
            let items = items.iter().map(|item| write(w, item)).collect();
            return if resp3 { Value::Push(items) } else { Value::Array(Some(items)) };
        }
        Value::Map(pairs) => {
            w.map(pairs.len());
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| (write(w, key), write(w, value))).collect();
            return if resp3 {
                Value::Map(pairs)
            } else {
                Value::Array(Some(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()))
            };
        }
        Value::Double(double) => {
            w.double(*double);
            if !resp3 {
                let mut text = Vec::new();
                crate::resp::number::push_f64(&mut text, *double);
                return Value::Bulk(Some(text));
            }
        }
        Value::Boolean(yes) => {
            w.boolean(*yes);
            if !resp3 {
                return Value::Integer(i64::from(*yes));
            }
        }
        Value::Verbatim { text, .. } => {
            w.verbatim(text);
            if !resp3 {
                return bulk(text);
            }
        }
        Value::BigNumber(decimal) => {
            w.big_number(str::from_utf8(decimal).unwrap());
            if !resp3 {
                return bulk(decimal);
            }
        }
    }
    value.clone()
}

fn any_value() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let leaf = prop_oneof![
        "[ -~]{0,12}".prop_map(|text| Value::Simple(text.into_bytes())),
        "[A-Z]{1,8} [ -~]{0,12}".prop_map(|text| Value::Error(text.into_bytes())),
        any::<i64>().prop_map(Value::Integer),
        prop::option::of(bytes()).prop_map(Value::Bulk),
        Just(Value::Array(None)),
        Just(Value::Null),
        prop_oneof![any::<f64>().prop_filter("NaN is not itself", |double| !double.is_nan()), Just(f64::INFINITY)]
            .prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        bytes().prop_map(|text| Value::Verbatim { format: *b"txt", text }),
        "-?[1-9][0-9]{0,40}".prop_map(|decimal| Value::BigNumber(decimal.into_bytes())),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let items = || prop::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            items().prop_map(|items| Value::Array(Some(items))),
            items().prop_map(Value::Set),
            items().prop_map(Value::Push),
            prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map),
        ]
    })
}

#[test]
fn reads_what_redis_may_send() {
    assert_eq!(all(b"!5\r\nERR x\r\n"), Value::Error(b"ERR x".to_vec()));
    assert_eq!(all(b"=6\r\nmkd:#h\r\n"), Value::Verbatim { format: *b"mkd", text: b"#h".to_vec() });
    assert_eq!(all(b":+5\r\n"), Value::Integer(5));
    assert_eq!(all(b",10\r\n"), Value::Double(10.0));
    assert!(matches!(all(b",nan\r\n"), Value::Double(double) if double.is_nan()));
    assert_eq!(all(b"|1\r\n+ttl\r\n:5\r\n$1\r\nx\r\n"), Value::Bulk(Some(b"x".to_vec())), "attributes are dropped");
    assert_eq!(all(b"*2\r\n|0\r\n:1\r\n:2\r\n"), Value::Array(Some(vec![Value::Integer(1), Value::Integer(2)])));
}

#[test]
fn refuses_what_is_none() {
    use ReplyError::*;
    let table: &[(&[u8], ReplyError)] = &[
        (b"x", UnknownType(b'x')),
        (b":1x\r\n", Malformed),
        (b":\r\n", Malformed),
        (b"#y\r\n", Malformed),
        (b"_x\r\n", Malformed),
        (b",1,5\r\n", Malformed),
        (b"(\r\n", Malformed),
        (b"(1.5\r\n", Malformed),
        (b"=3\r\nabc\r\n", Malformed),
        (b"$-2\r\n", Malformed),
        (b"%-1\r\n", Malformed),
        (b"$?\r\n", Malformed),
        (b"+a\rb", NoLineEnd),
        (b"$1\r\nabc", NoLineEnd),
        (b"$536870917\r\n", TooLong),
        (b"*2147483648\r\n", TooLong),
        (b"$9223372036854775807\r\n", TooLong),
    ];
    for (bytes, error) in table {
        assert_eq!(decode(bytes), Err(*error), "{}", bytes.escape_ascii());
        assert_eq!(skip(bytes), Err(*error), "{}", bytes.escape_ascii());
        assert!(!error.to_string().is_empty());
    }
    let line = [b"+".to_vec(), vec![b'x'; REPLY_LINE_BYTES_MAX + 1]].concat();
    assert_eq!(skip(&line[..=REPLY_LINE_BYTES_MAX]), Ok(None));
    assert_eq!(skip(&line), Err(TooLong));
}

#[test]
fn depth_is_bounded() {
    for head in [b"*1\r\n".as_slice(), b"|0\r\n", b"~1\r\n"] {
        let deep = |levels| [head.repeat(levels), b":1\r\n".to_vec()].concat();
        assert!(matches!(decode(&deep(REPLY_DEPTH_MAX)), Ok(Some(_))));
        assert_eq!(decode(&deep(REPLY_DEPTH_MAX + 1)), Err(ReplyError::TooDeep));
        assert_eq!(skip(&deep(1_000_000)), Err(ReplyError::TooDeep));
    }
    let deep_empty = [b"*1\r\n".repeat(REPLY_DEPTH_MAX), b"*0\r\n".to_vec()].concat();
    assert_eq!(decode(&deep_empty), Err(ReplyError::TooDeep));
}

#[test]
fn announced_elements_cost_nothing() {
    assert_eq!(decode(b"*2147483647\r\n"), Ok(None));
    assert_eq!(decode(b"%2147483647\r\n+a\r\n"), Ok(None));
    assert_eq!(decode(b"$536870912\r\nabc"), Ok(None));
    assert_eq!(decode(b""), Ok(None));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn written_values_come_back(value in any_value(), resp3: bool) {
        let mut bytes = Vec::new();
        let expected = write(&mut Writer::new(&mut bytes, if resp3 { Proto::Resp3 } else { Proto::Resp2 }), &value);
        let len = bytes.len();
        let mut measure = Measure::new();
        for end in 0..len {
            prop_assert_eq!(decode(&bytes[..end]), Ok(None));
            prop_assert_eq!(measure.advance(&bytes[..end]), Ok(None));
        }
        prop_assert_eq!(measure.advance(&bytes), Ok(Some(len)));
        bytes.extend_from_slice(b":7\r\n");
        prop_assert_eq!(skip(&bytes), Ok(Some(len)));
        prop_assert_eq!(decode(&bytes), Ok(Some((expected, len))));
        prop_assert_eq!(measure.advance(&bytes[len..]), Ok(Some(4)), "a measure starts over");
    }

    #[test]
    fn noise_is_the_same_in_pieces(
        pieces in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(vec![
                b"*2\r\n".as_slice(), b"*0\r\n", b"*-1\r\n", b"%1\r\n", b"|1\r\n", b">1\r\n", b"~1\r\n", b"$3\r\nabc\r\n", b"$-1\r\n",
                b"_\r\n", b":1\r\n", b"+x\r\n", b"=5\r\ntxt:a\r\n", b"!1\r\nE\r\n", b",1.5\r\n", b"#t\r\n", b"(12\r\n", b"\r", b"\n", b"*", b"$",
            ]).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..4),
        ], 0..16),
    ) {
        let bytes = pieces.concat();
        let whole = skip(&bytes);
        prop_assert_eq!(decode(&bytes).map(|found| found.map(|(_, len)| len)), whole);
        let mut measure = Measure::new();
        let piecewise = (0..=bytes.len()).map(|end| measure.advance(&bytes[..end])).find(|found| *found != Ok(None));
        prop_assert_eq!(piecewise.unwrap_or(Ok(None)), whole);
    }
}
