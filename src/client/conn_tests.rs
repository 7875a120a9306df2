//! Replies cut anywhere, with pushes and errors between them: each reaches its own request, whole and in order.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::resp::reply::decode;

/// A reply as the server sends it.
fn reply() -> impl Strategy<Value = Vec<u8>> {
    let bulk = |len: usize| [format!("${len}\r\n").into_bytes(), vec![b'x'; len], b"\r\n".to_vec()].concat();
    prop_oneof![
        4 => (0..100usize).prop_map(bulk),
        // Around the length from which values are shared.
        1 => (CLIENT_SHARED_VALUE_BYTES_MIN - 20..CLIENT_SHARED_VALUE_BYTES_MIN + 20).prop_map(bulk),
        2 => any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        1 => Just(b"_\r\n".to_vec()),
        1 => Just(b"+OK\r\n".to_vec()),
        1 => "[A-Z]{1,9} [a-z ]{0,30}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
        1 => (0..4usize, 0..20_000usize)
            .prop_map(move |(count, len)| [format!("*{count}\r\n").into_bytes(), bulk(len).repeat(count)].concat()),
        1 => Just(b"%1\r\n+k\r\n*2\r\n:1\r\n#t\r\n".to_vec()),
    ]
}

/// A request with what the server sends for it: replies or a fence, and pushes before each.
#[derive(Clone, Debug)]
enum Request {
    Plain(Vec<Vec<u8>>),
    Fenced { refused: u32, of: u32 },
}

fn request() -> impl Strategy<Value = (Request, Vec<bool>)> {
    let request = prop_oneof![
        4 => vec(reply(), 1..2).prop_map(Request::Plain),
        1 => vec(reply(), 2..5).prop_map(Request::Plain),
        1 => (1..3u32).prop_flat_map(|of| (0..=of).prop_map(move |refused| Request::Fenced { refused, of })),
    ];
    (request, vec(any::<bool>(), 6))
}

const PUSH: &[u8] = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n";

fn own(value: &[u8]) -> Value {
    build(value, &mut |bytes: &[u8]| Bytes::copy_from_slice(bytes)).ok().flatten().expect("a whole reply")
}

/// The bytes that the server sends; the request of each reply, and whether it is its last; the number of pushes.
fn stream_of(requests: &[(Request, Vec<bool>)]) -> (Vec<u8>, Vec<(usize, Value, bool)>, usize) {
    let (mut bytes, mut expected, mut pushes) = (Vec::new(), Vec::new(), 0);
    for (token, (request, before)) in requests.iter().enumerate() {
        let values: Vec<Vec<u8>> = match request {
            Request::Plain(replies) => replies.clone(),
            Request::Fenced { refused, .. } => {
                let refusals = (0..*refused).map(|_| b"-ERR no\r\n".to_vec());
                refusals.chain([b"+PONG\r\n".to_vec()]).collect()
            }
        };
        let last = values.len() - 1;
        for (at, value) in values.into_iter().enumerate() {
            if before[at] {
                bytes.extend_from_slice(PUSH);
                pushes += 1;
            }
            bytes.extend_from_slice(&value);
            expected.push((token, own(&value), at == last));
        }
    }
    (bytes, expected, pushes)
}

/// Sends requests until so many wait.
fn send<'r>(
    awaited: &mut Awaited<usize>,
    unsent: &mut impl Iterator<Item = (usize, &'r (Request, Vec<bool>))>,
    ahead: usize,
) {
    while awaited.len() < ahead {
        match unsent.next() {
            Some((token, (Request::Plain(replies), _))) => awaited.sent(token, replies.len() as u32),
            Some((token, (Request::Fenced { of: 1, .. }, _))) => awaited.sent_with_fence(token),
            // Only the first may have more than one before its fence, as a new connection begins.
            Some((token, (Request::Fenced { of, .. }, _))) if awaited.len() == 0 => {
                awaited.begin_with_fence(token, *of);
            }
            Some((token, (Request::Fenced { of, .. }, _))) => {
                awaited.sent_with_fence(token);
                awaited.queue.back_mut().expect("just sent").errors = *of;
            }
            None => return,
        }
    }
}

proptest! {
    #[test]
    fn every_reply_comes_to_its_own_request(
        requests in vec(request(), 1..30),
        cuts in vec(1..9000usize, 1..8),
        ahead in 1..10usize,
    ) {
        let (bytes, expected, pushes) = stream_of(&requests);
        // Requests are sent some ahead of the replies.
        let mut awaited = Awaited::new();
        let mut unsent = requests.iter().enumerate();
        let mut decoder = Decoder::default();
        let mut got = Vec::new();
        let mut pushed = 0;
        let mut rest = bytes.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, later) = rest.split_at((*cut).min(rest.len()));
            rest = later;
            decoder.room().extend_from_slice(chunk);
            let mut values = Vec::new();
            decoder.decode(&mut values).unwrap();
            for value in values {
                send(&mut awaited, &mut unsent, ahead);
                match awaited.on_value(value).unwrap() {
                    Arrival::Reply { token, value, last } => got.push((token, value, last)),
                    Arrival::Push(items) => {
                        prop_assert_eq!(items.len(), 3);
                        pushed += 1;
                    }
                }
            }
        }
        prop_assert_eq!(got, expected);
        prop_assert_eq!((pushed, awaited.len()), (pushes, 0));
        prop_assert_eq!(awaited.on_value(Value::Null), Err(Fault::Unasked));
    }

    #[test]
    fn garbage_is_an_error_or_waits_and_never_a_panic(
        good in vec(reply(), 0..4),
        bad in vec(any::<u8>(), 0..60),
        cut in 1..50usize,
    ) {
        let bytes = [good.concat(), bad].concat();
        let mut decoder = Decoder::default();
        let mut values = Vec::new();
        for chunk in bytes.chunks(cut) {
            decoder.room().extend_from_slice(chunk);
            if decoder.decode(&mut values).is_err() {
                break;
            }
        }
        // Whatever follows, what came whole before it is right.
        prop_assert!(values.len() >= good.len());
        for (value, bytes) in values.iter().zip(&good) {
            prop_assert_eq!(value, &own(bytes));
            prop_assert!(decode(bytes).unwrap().is_some());
        }
    }
}

#[test]
fn a_large_value_is_not_copied_and_a_small_one_keeps_nothing() {
    let large = vec![b'v'; 100_000];
    let mut decoder = Decoder::default();
    let mut bytes = b"$100000\r\n".to_vec();
    bytes.extend_from_slice(&large);
    bytes.extend_from_slice(b"\r\n$1\r\nx\r\n");
    decoder.room().extend_from_slice(&bytes);
    let buffer = decoder.input.as_ptr_range();
    let mut values = Vec::new();
    decoder.decode(&mut values).unwrap();
    let [shared, small] = values.as_slice() else { panic!("{} values", values.len()) };
    assert!(buffer.contains(&shared.as_bytes().unwrap().as_ptr()));
    assert!(!buffer.contains(&small.as_bytes().unwrap().as_ptr()));
    assert_eq!(shared.as_bytes().unwrap(), &large);
    // A buffer that a large reply has made is given back.
    drop(values);
    assert!(decoder.room().capacity() <= CLIENT_BUFFER_BYTES_KEPT_MAX);
}
