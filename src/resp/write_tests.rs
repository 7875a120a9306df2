//! Tests of the reply writer: each kind's bytes in both versions. (What it writes is read back in `reply_tests`.)

use super::*;

fn both(write: impl Fn(&mut Writer<'_>)) -> [String; 2] {
    [Proto::Resp2, Proto::Resp3].map(|proto| {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, proto);
        assert_eq!(writer.proto(), proto);
        write(&mut writer);
        out.escape_ascii().to_string()
    })
}

#[test]
fn bytes_of_each_kind() {
    type Write = fn(&mut Writer<'_>);
    let table: &[(Write, &str, &str)] = &[
        (|w| w.raw(OK), r"+OK\r\n", r"+OK\r\n"),
        (|w| w.simple("PONG"), r"+PONG\r\n", r"+PONG\r\n"),
        (|w| w.error("ERR no"), r"-ERR no\r\n", r"-ERR no\r\n"),
        (|w| w.error("\r\nERR a\r\nb\n\n"), r"-ERR a  b\r\n", r"-ERR a  b\r\n"),
        (|w| w.error_bytes(b"ERR \xff"), r"-ERR \xff\r\n", r"-ERR \xff\r\n"),
        (|w| w.integer(0), r":0\r\n", r":0\r\n"),
        (|w| w.integer(-120), r":-120\r\n", r":-120\r\n"),
        (|w| w.integer(i64::MIN), r":-9223372036854775808\r\n", r":-9223372036854775808\r\n"),
        (|w| w.integer(i64::MAX), r":9223372036854775807\r\n", r":9223372036854775807\r\n"),
        (|w| w.bulk(b""), r"$0\r\n\r\n", r"$0\r\n\r\n"),
        (|w| w.bulk(b"a\r\nb"), r"$4\r\na\r\nb\r\n", r"$4\r\na\r\nb\r\n"),
        (|w| w.bulk(&[b'x'; 10]), r"$10\r\nxxxxxxxxxx\r\n", r"$10\r\nxxxxxxxxxx\r\n"),
        (|w| w.null(), r"$-1\r\n", r"_\r\n"),
        (|w| w.null_array(), r"*-1\r\n", r"_\r\n"),
        (|w| w.array(12), r"*12\r\n", r"*12\r\n"),
        (|w| w.map(3), r"*6\r\n", r"%3\r\n"),
        (|w| w.set(3), r"*3\r\n", r"~3\r\n"),
        (|w| w.push(3), r"*3\r\n", r">3\r\n"),
        (|w| w.double(1.5), r"$3\r\n1.5\r\n", r",1.5\r\n"),
        (|w| w.double(-123456.789), r"$11\r\n-123456.789\r\n", r",-123456.789\r\n"),
        (|w| w.double(f64::NEG_INFINITY), r"$4\r\n-inf\r\n", r",-inf\r\n"),
        (|w| w.double(f64::NAN), r"$3\r\nnan\r\n", r",nan\r\n"),
        (|w| w.boolean(true), r":1\r\n", r"#t\r\n"),
        (|w| w.boolean(false), r":0\r\n", r"#f\r\n"),
        (|w| w.verbatim(b"hi"), r"$2\r\nhi\r\n", r"=6\r\ntxt:hi\r\n"),
        (|w| w.big_number("-12"), r"$3\r\n-12\r\n", r"(-12\r\n"),
    ];
    for (write, resp2, resp3) in table {
        assert_eq!(both(write), [*resp2, *resp3]);
    }
}

#[test]
fn protocol_errors_byte_for_byte() {
    let text = |error| both(|w| w.protocol_error(error))[0].clone();
    assert_eq!(text(ProtocolError::InvalidBulkLength), r"-ERR Protocol error: invalid bulk length\r\n");
    assert_eq!(text(ProtocolError::ExpectedDollar(b'x')), r"-ERR Protocol error: expected \'$\', got \'x\'\r\n");
    assert_eq!(text(ProtocolError::ExpectedDollar(0xff)), r"-ERR Protocol error: expected \'$\', got \'\xff\'\r\n");
    assert_eq!(text(ProtocolError::ExpectedDollar(b'\r')), r"-ERR Protocol error: expected \'$\', got \' \'\r\n");
}

#[test]
fn constants_are_what_the_writer_writes() {
    let bytes = |proto, write: fn(&mut Writer<'_>)| {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out, proto));
        out
    };
    for proto in [Proto::Resp2, Proto::Resp3] {
        assert_eq!(bytes(proto, |w| w.simple("OK")), OK);
        assert_eq!(bytes(proto, |w| w.simple("PONG")), PONG);
        assert_eq!(bytes(proto, |w| w.simple("QUEUED")), QUEUED);
        assert_eq!(bytes(proto, |w| w.integer(0)), ZERO);
        assert_eq!(bytes(proto, |w| w.integer(1)), ONE);
        assert_eq!(bytes(proto, |w| w.bulk(b"")), EMPTY_BULK);
        assert_eq!(bytes(proto, |w| w.array(0)), EMPTY_ARRAY);
    }
}
