//! Tests of the request parser: Redis's own answers as a table, and any cut of any stream against a naive model.

use proptest::prelude::*;

use super::*;
use model::model;

#[path = "parse_model.rs"]
mod model;

const KIB: usize = 1024;
const LIMITS: ParseLimits = ParseLimits::new(true);

/// What a stream came to: its requests, then the error that ended it, if one did.
#[derive(Debug, PartialEq, Default)]
struct Outcome {
    commands: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
    /// Bytes of the unfinished request at the end.
    partial: usize,
}

/// Feeds `stream` to a parser, the pieces ending at `cuts`, as a session does. Checks the `need` hints on the way.
fn feed(stream: &[u8], cuts: &[usize], limits: &ParseLimits) -> Outcome {
    let mut parser = Parser::new();
    let mut outcome = Outcome::default();
    let mut begin = 0;
    let mut owed_until = 0;
    for &end in cuts.iter().chain([&stream.len()]) {
        loop {
            let buf = &stream[begin..end];
            match parser.next(buf, limits) {
                Ok(Parsed::Incomplete { need }) => {
                    assert!(need > 0);
                    owed_until = end + need;
                    break;
                }
                done => {
                    assert!(end >= owed_until || done.is_err(), "done at {end}, but {owed_until} was needed: {done:?}");
                    match done {
                        Ok(Parsed::Command { consumed }) => {
                            let args = parser.args(buf);
                            assert!(!args.is_empty());
                            if let Some(ahead) = peek_key(buf) {
                                assert_eq!(ahead, (args.at(1), consumed), "who looks ahead sees what there is");
                            }
                            outcome.commands.push(args.iter().map(<[u8]>::to_vec).collect());
                            begin += consumed;
                        }
                        Ok(Parsed::Empty { consumed }) => begin += consumed,
                        Ok(Parsed::Incomplete { .. }) => unreachable!(),
                        Err(error) => {
                            outcome.error = Some(error);
                            return outcome;
                        }
                    }
                }
            }
        }
        assert_eq!(parser.is_partial(), begin < end);
    }
    outcome.partial = stream.len() - begin;
    outcome
}

fn whole(stream: &[u8]) -> Outcome {
    feed(stream, &[], &LIMITS)
}

fn byte_by_byte(stream: &[u8], limits: &ParseLimits) -> Outcome {
    feed(stream, &(0..stream.len()).collect::<Vec<_>>(), limits)
}

fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Requests that redis-server 7.0.15 was asked, and what it made of them: words of each request, or the error.
#[test]
fn answers_as_redis() {
    use ProtocolError::*;
    type Expected = Result<&'static [&'static [&'static [u8]]], ProtocolError>;
    let ping: Expected = Ok(&[&[b"PING"]]);
    let table: &[(&[u8], Expected)] = &[
        (b"*1\r\n$4\r\nPING\r\n", ping),
        (b"*-1\r\nPING\r\n", ping),
        (b"*0\r\nPING\r\n", ping),
        (b"*-5\r\nPING\r\n", ping),
        (b"*-9223372036854775808\r\nPING\r\n", ping),
        (b"*1\n", Ok(&[])),
        (b"*1\n$4\r\nPING\r\n", Err(InvalidMultibulkLength)),
        (b"*1\r\n$-1\r\n", Err(InvalidBulkLength)),
        (b"*1\r\n$04\r\nPING\r\n", Err(InvalidBulkLength)),
        (b"*01\r\n$4\r\nPING\r\n", Err(InvalidMultibulkLength)),
        (b"*+1\r\n", Err(InvalidMultibulkLength)),
        (b"*-0\r\n", Err(InvalidMultibulkLength)),
        (b"*-\r\n", Err(InvalidMultibulkLength)),
        (b"*\r\n", Err(InvalidMultibulkLength)),
        (b"* 1\r\n", Err(InvalidMultibulkLength)),
        (b"*2147483648\r\n", Err(InvalidMultibulkLength)),
        (b"*99999999999999999999\r\n", Err(InvalidMultibulkLength)),
        (b"*1\r\n$\r\n", Err(InvalidBulkLength)),
        (b"*1\r\n$4x\r\n", Err(InvalidBulkLength)),
        (b"*1\r\n$99999999999999999999\r\n", Err(InvalidBulkLength)),
        (b"*1\r\n$536870912\r\n", Ok(&[])),
        (b"*1\r\n$536870913\r\n", Err(InvalidBulkLength)),
        (b"*1\r\nx\r\n", Err(ExpectedDollar(b'x'))),
        (b"*1\r\n\r\n", Err(ExpectedDollar(b'\r'))),
        (b"*1\r\n\n\r\n", Err(ExpectedDollar(b'\n'))),
        (b"*1\r\n\xff\r\n", Err(ExpectedDollar(0xff))),
        (b"*1\r\nfoo", Ok(&[])),
        (b"*1\r\nfoo\rx", Err(ExpectedDollar(b'f'))),
        // What follows a CR or a value is taken unseen.
        (b"*1\rX$4\rYPINGabPING\r\n", Ok(&[&[b"PING"], &[b"PING"]])),
        (b"PING\n", ping),
        (b"\r\nPING\r\n", ping),
        (b"\n\nPING\r\n", ping),
        (b"   \r\nPING\r\n", ping),
        (b"\rPING\r\n", ping),
        (b"\x0bPING\r\n", ping),
        (b"PING\r\r\n", ping),
        (b"PING \r\n", ping),
        (b"PIN\"G\"\r\n", ping),
        (b"ECHO \"a\\x41\\n\\q\\\"\"\r\n", Ok(&[&[b"ECHO", b"aA\nq\""]])),
        (b"ECHO \"\\r\\t\\b\\a\\xfF\"\r\n", Ok(&[&[b"ECHO", b"\r\t\x08\x07\xff"]])),
        (b"ECHO 'a\\'b\\n'\r\n", Ok(&[&[b"ECHO", b"a'b\\n"]])),
        (b"ECHO \"a\"b\r\n", Err(UnbalancedQuotes)),
        (b"ECHO 'a'b\r\n", Err(UnbalancedQuotes)),
        (b"ECHO a\"b c\"\r\n", Ok(&[&[b"ECHO", b"ab c"]])),
        (b"ECHO \"abc\r\n", Err(UnbalancedQuotes)),
        (b"ECHO 'abc\r\n", Err(UnbalancedQuotes)),
        (b"ECHO \"a\\\"\r\n", Err(UnbalancedQuotes)),
        (b"ECHO a\\x41\r\n", Ok(&[&[b"ECHO", b"a\\x41"]])),
        (b"ECHO \"a\\x4\"\r\n", Ok(&[&[b"ECHO", b"ax4"]])),
        (b"ECHO \"\\X41\\x4G\"\r\n", Ok(&[&[b"ECHO", b"X41x4G"]])),
        (b"ECHO a\x0bb\r\n", Ok(&[&[b"ECHO", b"a\x0bb"]])),
        (b"ECHO \"a\"\x0b\r\n", Ok(&[&[b"ECHO", b"a"]])),
        (b"ECHO \"a\rb\"\r\n", Ok(&[&[b"ECHO", b"a\rb"]])),
        (b"ECHO a\rb\r\n", Ok(&[&[b"ECHO", b"a", b"b"]])),
        (b"\"\"\r\n", Ok(&[&[b""]])),
    ];
    for (stream, expected) in table {
        let outcome = whole(stream);
        let (commands, error) = match expected {
            Ok(commands) => (*commands, None),
            Err(error) => ([].as_slice(), Some(*error)),
        };
        assert_eq!(outcome.commands, commands, "{}", stream.escape_ascii());
        assert_eq!(outcome.error, error, "{}", stream.escape_ascii());
        assert_eq!(outcome, byte_by_byte(stream, &LIMITS), "{}", stream.escape_ascii());
        assert_eq!(outcome, model(stream, &LIMITS), "{}", stream.escape_ascii());
    }
}

/// Where we differ from Redis on purpose: it never sees a line end behind a NUL.
#[test]
fn a_key_is_seen_ahead() {
    let set = encode(&[b"SET".to_vec(), b"key".to_vec(), b"value".to_vec()]);
    assert_eq!(peek_key(&set), Some((&b"key"[..], set.len())));
    assert_eq!(peek_key(&[&set[..], b"*1\r\n"].concat()), Some((&b"key"[..], set.len())));
    for unusual in [&b"PING\r\n"[..], b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$3\r\nke", b""] {
        assert_eq!(peek_key(unusual), None, "{unusual:?}");
    }
}

#[test]
fn nul_is_an_ordinary_byte() {
    assert_eq!(whole(b"PI\0NG \"\0\"\r\n").commands, [[b"PI\0NG".as_slice(), b"\0"]]);
    assert_eq!(whole(b"*1\0\r\n").error, Some(ProtocolError::InvalidMultibulkLength));
    assert_eq!(whole(b"*1\r\n\0\r\n").error, Some(ProtocolError::ExpectedDollar(0)));
}

#[test]
fn a_line_has_64_kib() {
    let filled = |head: &[u8], byte: u8, len: usize| {
        let mut line = head.to_vec();
        let line_begin = head.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        line.resize(line_begin + len, byte);
        line
    };
    let heads: [(&[u8], ProtocolError); 3] = [
        (b"a", ProtocolError::TooBigInline),
        (b"*", ProtocolError::TooBigMultibulkCount),
        (b"*1\r\n$", ProtocolError::TooBigBulkCount),
    ];
    for (head, error) in heads {
        let fits = filled(head, b'1', 64 * KIB);
        assert_eq!(whole(&fits), Outcome { partial: fits.len(), ..Outcome::default() });
        let mut long = filled(head, b'1', 64 * KIB + 1);
        assert_eq!(whole(&long).error, Some(error));
        assert_eq!(byte_by_byte(&long, &LIMITS).error, Some(error));
        long.extend_from_slice(b"\r\n");
        assert_eq!(whole(&long).error, Some(error), "though the end is there");
    }
    let mut inline = filled(b"a", b'a', 64 * KIB);
    inline.push(b'\n');
    assert_eq!(whole(&inline).commands, [[vec![b'a'; 64 * KIB]]]);
}

#[test]
fn strangers_may_send_little() {
    let limits = ParseLimits::new(false);
    let outcome = |stream: &[u8]| feed(stream, &[], &limits).error;
    assert_eq!(outcome(b"*10\r\n"), None);
    assert_eq!(outcome(b"*11\r\n"), Some(ProtocolError::UnauthenticatedMultibulkLength));
    assert_eq!(outcome(b"*1\r\n$16384\r\n"), None);
    assert_eq!(outcome(b"*1\r\n$16385\r\n"), Some(ProtocolError::UnauthenticatedBulkLength));
    assert_eq!(outcome(b"*1\r\n$536870913\r\n"), Some(ProtocolError::InvalidBulkLength));
}

#[test]
fn limits_hold_at_their_edge() {
    assert_eq!(whole(b"*1048576\r\n").error, None);
    assert_eq!(whole(b"*1048577\r\n").error, Some(ProtocolError::InvalidMultibulkLength));

    let stream = encode(&[b"ECHO".to_vec(), vec![b'x'; 100]]);
    let fits = ParseLimits { command_bytes_max: stream.len() as u32, ..LIMITS };
    assert_eq!(feed(&stream, &[], &fits).commands.len(), 1);
    let short = ParseLimits { command_bytes_max: stream.len() as u32 - 1, ..LIMITS };
    let announced = &stream[..stream.len() - 102];
    assert_eq!(feed(announced, &[], &short).error, Some(ProtocolError::TooBigCommand), "before the value has come");

    // The largest limits there can be: no overflow, whatever is announced.
    let most =
        ParseLimits { bulk_bytes_max: u32::MAX, args_max: u32::MAX, command_bytes_max: u32::MAX, authenticated: true };
    assert_eq!(feed(b"*4294967295\r\n$4294967295\r\n", &[], &most).error, Some(ProtocolError::TooBigCommand));
    assert_eq!(feed(b"*4294967295\r\n$4294967200\r\n", &[], &most).partial, 26);
}

#[test]
fn error_texts() {
    let texts = [
        (ProtocolError::InvalidMultibulkLength, "Protocol error: invalid multibulk length"),
        (ProtocolError::TooBigMultibulkCount, "Protocol error: too big mbulk count string"),
        (ProtocolError::ExpectedDollar(b'x'), "Protocol error: expected '$', got 'x'"),
        (ProtocolError::InvalidBulkLength, "Protocol error: invalid bulk length"),
        (ProtocolError::TooBigBulkCount, "Protocol error: too big bulk count string"),
        (ProtocolError::UnbalancedQuotes, "Protocol error: unbalanced quotes in request"),
        (ProtocolError::TooBigInline, "Protocol error: too big inline request"),
        (ProtocolError::UnauthenticatedMultibulkLength, "Protocol error: unauthenticated multibulk length"),
        (ProtocolError::UnauthenticatedBulkLength, "Protocol error: unauthenticated bulk length"),
        (ProtocolError::TooBigCommand, "Protocol error: too big command"),
    ];
    for (error, text) in texts {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn arguments_are_reached_in_every_way() {
    let stream = encode(&[b"MSET".to_vec(), b"a".to_vec(), Vec::new()]);
    let mut parser = Parser::new();
    assert_eq!(parser.next(&stream, &LIMITS), Ok(Parsed::Command { consumed: stream.len() }));
    let args = parser.args(&stream);
    assert_eq!(
        (args.len(), args.at(0), &args[1], args.get(2), args.get(3)),
        (3, b"MSET".as_slice(), b"a".as_slice(), Some(b"".as_slice()), None)
    );
    assert_eq!(args.tail(1).iter().collect::<Vec<_>>(), [b"a".as_slice(), b""]);
    assert!(args.tail(3).is_empty() && args.tail(4).is_empty());
    assert_eq!(format!("{args:?}"), r#"["MSET", "a", ""]"#);
    // A span outside its buffer is absent, not a panic.
    assert_eq!(parser.args(b"").get(0), None);
    assert_eq!(Args::new(b"x", &[Span { start: u32::MAX, len: u32::MAX }]).get(0), None);
}

#[test]
fn work_is_linear_however_small_the_pieces() {
    const VALUE: usize = 4 * KIB * KIB;
    let stream = encode(&[b"SET".to_vec(), b"key".to_vec(), vec![b'\r'; VALUE]]);
    let mut parser = Parser::new();
    for end in (0..stream.len()).step_by(KIB) {
        let Ok(Parsed::Incomplete { need }) = parser.next(&stream[..end], &LIMITS) else {
            panic!("not whole at {end}")
        };
        if end > 64 {
            assert_eq!(need, stream.len() - end);
        }
    }
    assert_eq!(parser.next(&stream, &LIMITS), Ok(Parsed::Command { consumed: stream.len() }));
    assert!(parser.examined < 64, "looked at {} bytes of a request with 24 bytes of framing", parser.examined);

    // An inline line and a number line, a byte at a time: each byte is looked at once, but for a few at the ends.
    let inline = [vec![b'x'; 60 * KIB], b"\r\n".to_vec()].concat();
    let number = [b"*".to_vec(), vec![b'9'; 60 * KIB], b"\r\n".to_vec()].concat();
    for stream in [inline, number] {
        let mut parser = Parser::new();
        let last = (0..=stream.len()).map(|end| parser.next(&stream[..end], &LIMITS)).last();
        assert!(!matches!(last, Some(Ok(Parsed::Incomplete { .. }))));
        assert!(parser.examined < stream.len() + 16, "{} of {}", parser.examined, stream.len());
    }
}

#[test]
fn memory_follows_what_was_received() {
    let mut parser = Parser::new();
    assert!(matches!(parser.next(b"*1048576\r\n$1\r\na\r\n$536870912\r\n", &LIMITS), Ok(Parsed::Incomplete { .. })));
    assert!(parser.spans.capacity() <= 8, "an announced count reserves nothing");

    parser.reset();
    let huge = encode(&vec![Vec::new(); 100_000]);
    assert!(matches!(parser.next(&huge, &LIMITS), Ok(Parsed::Command { .. })));
    assert_eq!(parser.args(&huge).len(), 100_000);
    assert_eq!(parser.next(b"", &LIMITS), Ok(Parsed::Incomplete { need: 1 }));
    assert!(parser.spans.capacity() <= PARSER_SPANS_KEPT_MAX);

    let inline = [vec![b'x'; 60 * KIB], b"\n".to_vec()].concat();
    assert!(matches!(parser.next(&inline, &LIMITS), Ok(Parsed::Command { .. })));
    assert_eq!(parser.next(b"", &LIMITS), Ok(Parsed::Incomplete { need: 1 }));
    assert!(parser.scratch.capacity() <= PARSER_SCRATCH_BYTES_KEPT_MAX);

    assert!(matches!(parser.next(b"*2\r\n$4\r\nPING\r\n", &LIMITS), Ok(Parsed::Incomplete { .. })));
    parser.shrink();
    let rest = b"*2\r\n$4\r\nPING\r\n$1\r\nx\r\n";
    assert_eq!(parser.next(rest, &LIMITS), Ok(Parsed::Command { consumed: rest.len() }));
    assert_eq!(parser.args(rest).at(1), b"x");
    parser.shrink();
    assert_eq!(parser.spans.capacity(), 0);
}

fn any_arg() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..24),
        2 => prop::collection::vec(prop::sample::select(b"\r\n$*0123456789".to_vec()), 0..16),
        1 => (0usize..3000).prop_map(|len| vec![b'v'; len]),
    ]
}

fn any_commands() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    prop::collection::vec(prop::collection::vec(any_arg(), 1..6), 0..8)
}

/// Streams that are nearly right: pieces of protocol in any order, some of them noise.
fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"*1\r\n",
        b"*2\r\n",
        b"*3\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*11\r\n",
        b"*",
        b"$",
        b"$0\r\n\r\n",
        b"$1\r\nx\r\n",
        b"$3\r\nSET\r\n",
        b"$16385\r\n",
        b"$99999999999\r\n",
        b"$01\r\n",
        b"$-1\r\n",
        b"$200\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"PING\r\n",
        b"ECHO \"a\\x41\\n\" 'b\\''\r\n",
        b"\"",
        b"'",
        b"\\",
        b"\\x4",
        b" ",
        b"\x0b",
        b"\0",
        b"1",
        b"0",
        b"9",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A valid stream with some bytes changed, dropped or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4);
    (any_commands(), edits).prop_map(|(commands, edits)| {
        let mut stream = commands.iter().flat_map(|args| encode(args)).collect::<Vec<_>>();
        for (at, byte, kind) in edits {
            if stream.is_empty() {
                break;
            }
            let at = at.index(stream.len());
            match kind {
                0 => stream[at] = byte,
                1 => stream[at] = stream[at].wrapping_add(1),
                2 => drop(stream.remove(at)),
                _ => stream.insert(at, stream[at]),
            }
        }
        stream
    })
}

fn any_limits() -> impl Strategy<Value = ParseLimits> {
    (any::<bool>(), 1u32..8, 1u32..1000, 1u32..2000, any::<bool>()).prop_map(
        |(tight, args, bulk, command, authenticated)| {
            if tight {
                ParseLimits { args_max: args, bulk_bytes_max: bulk, command_bytes_max: command, authenticated }
            } else {
                ParseLimits::new(authenticated)
            }
        },
    )
}

fn sorted_cuts(cuts: &[prop::sample::Index], len: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

fn check_all_cuts(stream: &[u8], cuts: &[prop::sample::Index], limits: &ParseLimits) -> Outcome {
    let outcome = feed(stream, &[], limits);
    assert_eq!(outcome, model(stream, limits));
    assert_eq!(outcome, feed(stream, &sorted_cuts(cuts, stream.len()), limits));
    if stream.len() < 1000 {
        assert_eq!(outcome, byte_by_byte(stream, limits));
    }
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commands_come_out_as_they_went_in(commands in any_commands(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let stream = commands.iter().flat_map(|args| encode(args)).collect::<Vec<_>>();
        let outcome = check_all_cuts(&stream, &cuts, &LIMITS);
        prop_assert_eq!(outcome, Outcome { commands, ..Outcome::default() });
    }

    #[test]
    fn every_cut_at_once(commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 1..3), 1..3)) {
        let stream = commands.iter().flat_map(|args| encode(args)).collect::<Vec<_>>();
        for cut in 0..=stream.len() {
            prop_assert_eq!(&feed(&stream, &[cut], &LIMITS).commands, &commands);
        }
    }

    #[test]
    fn noise_is_the_same_in_pieces(
        stream in prop_oneof![nearly_valid(), mutated(), prop::collection::vec(any::<u8>(), 0..200)],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        limits in any_limits(),
    ) {
        check_all_cuts(&stream, &cuts, &limits);
    }
}
