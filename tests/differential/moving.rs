//! Values of a redis-server that move here: by DUMP and RESTORE, and by its own MIGRATE.

use crate::reply::Reply;
use crate::rng::Rng;
use crate::seed;
use crate::servers::{Address, Aspine, Link, Redis};

fn call<W: AsRef<[u8]>>(link: &mut Link, words: &[W]) -> Reply {
    link.call(&words.iter().map(|word| word.as_ref().to_vec()).collect::<Vec<_>>()).unwrap()
}

fn text(reply: &Reply) -> &[u8] {
    reply.as_text().unwrap_or_else(|| panic!("no text: {reply:?}"))
}

/// Strings of every encoding: lengths around every form of one, numbers around every width, more and less that repeats.
fn strings(rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut strings: Vec<Vec<u8>> = Vec::new();
    for bits in [0, 7, 8, 15, 16, 31, 32, 63] {
        let power = 1_i128 << bits;
        strings.extend([power - 1, power, -power, -power - 1].map(|number| number.to_string().into_bytes()));
    }
    strings.extend(["", "+1", "007", "-0", " 1", "1.5", "9223372036854775808"].map(|text| text.as_bytes().to_vec()));
    for len in [1, 20, 21, 63, 64, 255, 16_383, 16_384, 100_000] {
        strings.push(vec![b'a'; len]);
        strings.push((0..len).map(|_| rng.next() as u8).collect());
        // Words that come again, near and far.
        let words: Vec<Vec<u8>> = (0..40).map(|_| (0..rng.below(30)).map(|_| rng.next() as u8).collect()).collect();
        let mut text: Vec<u8> = Vec::new();
        while text.len() < len {
            text.extend_from_slice(&words[rng.below(words.len())]);
        }
        text.truncate(len);
        strings.push(text);
    }
    strings
}

#[test]
fn strings_that_redis_dumps_are_restored() {
    let Some(redis) = Redis::start() else { return };
    let mut theirs = Link::open(&redis.address()).unwrap();
    for cores in [1, 2] {
        let server = Aspine::start(cores);
        let mut ours = Link::open(&server.address()).unwrap();
        let mut compressed = 0;
        for (at, string) in strings(&mut Rng::new(seed(), "moving")).iter().enumerate() {
            let key = format!("key:{at}");
            call(&mut theirs, &[b"SET", key.as_bytes(), string]);
            let dumped = call(&mut theirs, &["DUMP", &key]);
            let payload = text(&dumped);
            compressed += usize::from(payload.starts_with(b"\x00\xc3"));
            let restore = [b"RESTORE", key.as_bytes(), b"100000000", payload];
            assert!(call(&mut ours, &restore).is_status(b"OK"), "{} bytes", string.len());
            assert!(text(&call(&mut ours, &["GET", &key])) == &string[..], "{} bytes", string.len());
            assert!(call(&mut ours, &["PTTL", &key]).as_number().is_some_and(|ms| ms > 0), "{key}");
            assert_eq!(
                call(&mut ours, &restore),
                Reply::Line(b'-', b"BUSYKEY Target key name already exists.".to_vec())
            );
        }
        assert!(compressed > 10, "{compressed} of them are compressed");
    }
}

#[test]
fn damaged_payloads_of_redis_are_refused_as_by_redis() {
    let Some(redis) = Redis::start() else { return };
    let server = Aspine::start(1);
    let mut links = [redis.address(), server.address()].map(|address| Link::open(&address).unwrap());
    for value in ["Hello", "129", &"ab".repeat(50)] {
        call(&mut links[0], &["SET", "k", value]);
        let dumped = call(&mut links[0], &["DUMP", "k"]);
        let payload = text(&dumped);
        for at in 0..payload.len() {
            let mut damaged = payload.to_vec();
            damaged[at] ^= 1;
            for bytes in [&damaged[..], &payload[..at]] {
                let [theirs, ours] = links.each_mut().map(|link| call(link, &[b"RESTORE", &b"new"[..], b"0", bytes]));
                assert!(theirs.is_error(), "{theirs:?}");
                assert_eq!(ours, theirs, "{value}: byte {at}");
            }
        }
    }
    assert_eq!(call(&mut links[1], &["DBSIZE"]), Reply::number(0));
}

/// One of each type and encoding: its name, and the commands that make it.
const OTHERS: &[(&str, &str)] = &[
    ("list", "RPUSH k a b"),
    ("set", "SADD k 1 2"),
    ("set", "SADD k a b"),
    ("sorted set", "ZADD k 1 a"),
    ("hash", "HSET k a b"),
    ("stream", "XADD k * a b"),
];

#[test]
fn other_types_are_refused_by_their_name() {
    let Some(redis) = Redis::start() else { return };
    let server = Aspine::start(1);
    let (mut theirs, mut ours) = (Link::open(&redis.address()).unwrap(), Link::open(&server.address()).unwrap());
    let long = "x".repeat(100);
    for (name, command) in OTHERS {
        // Short ones and long ones are encoded in different ways.
        for more in [None, Some(&long)] {
            call(&mut theirs, &["DEL", "k"]);
            let mut words: Vec<&str> = command.split(' ').collect();
            let last = words.len() - 1;
            if let Some(long) = more {
                words[last] = long;
            }
            assert!(!call(&mut theirs, &words).is_error(), "{words:?}");
            let dumped = call(&mut theirs, &["DUMP", "k"]);
            let refusal = format!("ERR Bad data format: this is a {name}, and only strings can be stored here");
            let restored = call(&mut ours, &[b"RESTORE", &b"k"[..], b"0", text(&dumped)]);
            assert_eq!(restored, Reply::Line(b'-', refusal.into_bytes()), "{words:?}");
        }
    }
    assert_eq!(call(&mut ours, &["DBSIZE"]), Reply::number(0));
}

#[test]
fn redis_migrates_its_strings_here() {
    let Some(redis) = Redis::start() else { return };
    for cores in [1, 2] {
        let server = Aspine::start(cores);
        let address = server.address();
        let Address::Tcp(target) = &address else { panic!("a Redis migrates by TCP") };
        let (mut theirs, mut ours) = (Link::open(&redis.address()).unwrap(), Link::open(&address).unwrap());
        let strings = strings(&mut Rng::new(seed(), "migrate"));
        let (host, port) = (target.ip().to_string(), target.port().to_string());
        let mut migrate = vec![&b"MIGRATE"[..], host.as_bytes(), port.as_bytes(), b"", b"0", b"10000", b"KEYS"];
        let keys: Vec<String> = (0..strings.len()).map(|at| format!("key:{at}")).collect();
        for (key, string) in keys.iter().zip(&strings) {
            call(&mut theirs, &[b"SET", key.as_bytes(), string, b"PX", b"100000000"]);
            migrate.push(key.as_bytes());
        }
        let migrated = call(&mut theirs, &migrate);
        assert!(migrated.is_status(b"OK"), "{migrated:?}");
        assert_eq!(call(&mut theirs, &["DBSIZE"]), Reply::number(0), "they have moved");
        for (key, string) in keys.iter().zip(&strings) {
            assert!(text(&call(&mut ours, &["GET", key])) == &string[..], "{} bytes", string.len());
            assert!(call(&mut ours, &["PTTL", key]).as_number().is_some_and(|ms| ms > 0), "{key}");
        }
    }
}
