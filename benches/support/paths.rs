//! Paths: the hot paths whose instructions are counted, each a call that does one operation. For benches.
//!
//! Everything is fixed: keys, hash seeds, time, and the stopwatch, which advances by a constant; so each call does the
//! same work in every run. A call checks what it got by length; the first one of a path is checked to the byte.

use std::cell::Cell;
use std::hint::black_box;

use aspine::limits::SLICE_STEPS;
use aspine::resp::{ParseLimits, Parsed, Parser, Proto, Writer};
use aspine::shard::{Budget, Expiry, Recency, Shard};
use aspine::slot::Slot;

use crate::cores::{Cores, keys_of, keys_spread, request};
use crate::items::{NOW_MS, Random, VALUE, empty, filled, key};

/// Commands of a round: redis-benchmark's usual pipeline.
const PIPELINE: usize = 16;
/// Keys of a command of several.
const SEVERAL: usize = 10;
/// Items of a shard: enough for several segments of the index, few enough to be loaded in a moment under valgrind.
const ITEMS: u64 = 10_000;
/// The step by which the stopwatch advances at each reading.
const LAP_NS: u64 = 300;

/// How the requests of a client get to the engine and the replies back.
type Drive = for<'c> fn(&'c mut Cores, &[u8]) -> &'c [u8];
/// By the events of its connection alone, on one core.
const EVENTS: Drive = Cores::answer;
/// By turns of all cores (`engine/turn.rs`), as in the server.
const TURN: Drive = Cores::round;

/// One operation, done by each call.
pub(crate) type Operation = Box<dyn FnMut()>;

/// A path: its name, and what prepares it.
pub(crate) type Path = (&'static str, fn() -> Operation);

/// All measured paths.
pub(crate) const PATHS: [Path; 33] = [
    ("parse GET", || parse(request(&[b"GET", &key(1)]), 2)),
    ("parse SET", || parse(request(&[b"SET", &key(1), &VALUE]), 3)),
    ("parse inline GET", || parse(b"GET key:000000000001\r\n".to_vec(), 2)),
    ("write bulk of 64 bytes", || write(71, |writer| writer.bulk(black_box(&VALUE)))),
    ("write integer", || write(10, |writer| writer.integer(black_box(1_234_567)))),
    ("write array of 10 bulks", || write(5 + 710, write_array)),
    ("slot of a key", slot),
    ("shard: GET hit", || on_shard(filled(ITEMS), get_hit)),
    ("shard: GET miss", || on_shard(filled(ITEMS), get_miss)),
    ("shard: SET new", || on_shard(empty(), set_new)),
    ("shard: SET overwrite", || on_shard(filled(ITEMS), set_overwrite)),
    ("shard: SET with TTL", || on_shard(filled(ITEMS), set_timed)),
    ("shard: SET evicting", || on_shard(full(), set_new)),
    ("shard: SET, then expire", || on_shard(empty(), set_and_expire)),
    ("engine: PING", || round(EVENTS, &[], &[&[b"PING"]], b"+PONG\r\n")),
    ("engine: GET hit", || gets(EVENTS, 1, 1)),
    ("engine: GET miss", || round(EVENTS, &[], &[&[b"GET", b"absent"]], b"$-1\r\n")),
    ("engine: SET", || round(EVENTS, &[], &[&[b"SET", b"key", &VALUE]], b"+OK\r\n")),
    ("engine: SET with TTL", || round(EVENTS, &[], &[&[b"SET", b"key", &VALUE, b"EX", b"100"]], b"+OK\r\n")),
    ("engine: INCR", || {
        round(EVENTS, &[&[b"SET", b"counter", b"1000000"]], &[&[b"INCR", b"counter"]], b":1000001\r\n")
    }),
    ("engine: MGET of 10", || mget(EVENTS, 1)),
    ("engine: round of 16 GET", || gets(EVENTS, 1, PIPELINE)),
    ("turn: GET hit", || gets(TURN, 1, 1)),
    ("turn: MGET of 10, 2 cores", || mget(TURN, 2)),
    ("turn: round of 16 GET", || gets(TURN, 1, PIPELINE)),
    ("turn: round of 16 GET, 2 cores", || gets(TURN, 2, PIPELINE)),
    ("turn: round of 16 SET, 2 cores", || sets(TURN, 2, PIPELINE)),
    ("events: SET, DEL; off", || changes(&OFF)),
    ("events: SET, DEL; nobody listens", || changes(&NOBODY)),
    ("events: SET, DEL; heard", || changes(&HEARD)),
    ("events: expiry; off", || expiries(&OFF)),
    ("events: expiry; nobody listens", || expiries(&NOBODY)),
    ("events: expiry; heard", || expiries(&HEARD)),
];

/// Parses one request again and again.
fn parse(request: Vec<u8>, args: usize) -> Operation {
    let mut parser = Parser::new();
    let limits = ParseLimits::new(true);
    Box::new(move || {
        let parsed = parser.next(black_box(&request), &limits);
        assert!(matches!(parsed, Ok(Parsed::Command { consumed }) if consumed == request.len()));
        let last = parser.args(&request).at(args - 1);
        assert!(!black_box(last).is_empty());
    })
}

/// Writes one reply into the same buffer again and again.
fn write(len: usize, reply: fn(&mut Writer<'_>)) -> Operation {
    let mut out = Vec::with_capacity(len);
    Box::new(move || {
        out.clear();
        reply(&mut Writer::new(&mut out, Proto::Resp2));
        assert_eq!(black_box(&out).len(), len);
    })
}

fn write_array(writer: &mut Writer<'_>) {
    writer.array(SEVERAL);
    for _ in 0..SEVERAL {
        writer.bulk(black_box(&VALUE));
    }
}

fn slot() -> Operation {
    let key = key(1);
    let expected = Slot::of(&key);
    Box::new(move || assert!(Slot::of(black_box(&key)) == expected))
}

/// Calls `operate` with a shard, with draws of a fixed sequence, and the number of the call.
fn on_shard(mut shard: Shard, operate: fn(&mut Shard, &mut Random, u64)) -> Operation {
    let mut random = Random(1);
    let mut calls = 0;
    Box::new(move || {
        operate(&mut shard, &mut random, calls);
        calls += 1;
    })
}

fn get_hit(shard: &mut Shard, random: &mut Random, _call: u64) {
    let item = shard.get(black_box(&key(random.below(ITEMS))), Recency::Touch, NOW_MS);
    assert!(item.is_some_and(|item| item.value.len() == VALUE.len()));
}

fn get_miss(shard: &mut Shard, random: &mut Random, _call: u64) {
    assert!(shard.get(black_box(&key(ITEMS + random.below(ITEMS))), Recency::Touch, NOW_MS).is_none());
}

/// Into an empty shard this includes growth, into a full one eviction.
fn set_new(shard: &mut Shard, _random: &mut Random, call: u64) {
    assert!(shard.insert(black_box(&key(ITEMS + call)), &VALUE, Expiry::Never, NOW_MS).is_ok());
}

fn set_overwrite(shard: &mut Shard, random: &mut Random, _call: u64) {
    assert!(shard.insert(black_box(&key(random.below(ITEMS))), &VALUE, Expiry::Never, NOW_MS).is_ok());
}

/// Deadlines within some two minutes: the wheel's lower levels.
fn set_timed(shard: &mut Shard, random: &mut Random, _call: u64) {
    let expiry = Expiry::At(NOW_MS + 1 + random.below(1 << 17));
    assert!(shard.insert(black_box(&key(random.below(ITEMS))), &VALUE, expiry, NOW_MS).is_ok());
}

/// Time goes by at a millisecond a call, and each item lives for a hundred.
fn set_and_expire(shard: &mut Shard, _random: &mut Random, call: u64) {
    let now_ms = NOW_MS + call;
    assert!(shard.insert(black_box(&key(call)), &VALUE, Expiry::At(now_ms + 100), now_ms).is_ok());
    let _ = black_box(shard.work(now_ms, SLICE_STEPS));
    assert!(shard.len() <= 101, "what has expired is gone");
}

fn full() -> Shard {
    let mut shard = filled(ITEMS);
    shard.set_budget(Budget { items_max: ITEMS, bytes_max: u64::MAX });
    shard
}

fn gets(drive: Drive, cores: u16, count: usize) -> Operation {
    let keys = keys(cores, count);
    let requests: Vec<_> = keys.iter().map(|key| request(&[b"GET", key])).collect();
    rounds(drive, cores, &store(&keys), requests.concat(), bulk().repeat(count))
}

fn sets(drive: Drive, cores: u16, count: usize) -> Operation {
    rounds(drive, cores, &[], store(&keys(cores, count)), b"+OK\r\n".repeat(count))
}

fn mget(drive: Drive, cores: u16) -> Operation {
    let keys = keys(cores, SEVERAL);
    let words: Vec<&[u8]> = std::iter::once(b"MGET".as_slice()).chain(keys.iter().map(Vec::as_slice)).collect();
    rounds(drive, cores, &store(&keys), request(&words), [b"*10\r\n".to_vec(), bulk().repeat(SEVERAL)].concat())
}

/// Key events are not published at all.
const OFF: Events = Events { notify: b"", listens: b"__keyevent@0__:*" };
/// Key events are published, as by default, and no client listens.
const NOBODY: Events = Events { notify: b"AKE", listens: b"news.*" };
/// One client listens to all.
const HEARD: Events = Events { notify: b"AKE", listens: b"__keyevent@0__:*" };

/// The published key events, and the listening clients.
struct Events {
    notify: &'static [u8],
    listens: &'static [u8],
}

impl Events {
    fn cores(&self) -> Cores {
        let mut cores = Cores::with_stopwatch(1, laps);
        assert_eq!(cores.round(&request(&[b"CONFIG", b"SET", b"notify-keyspace-events", self.notify])), b"+OK\r\n");
        assert!(cores.other(&request(&[b"PSUBSCRIBE", self.listens])) > 0, "it is confirmed");
        cores
    }
}

/// A key is set and deleted.
fn changes(events: &Events) -> Operation {
    let mut cores = events.cores();
    let requests = [request(&[b"SET", b"key", &VALUE]), request(&[b"DEL", b"key"])].concat();
    Box::new(move || assert_eq!(cores.round(black_box(&requests)), b"+OK\r\n:1\r\n"))
}

/// A key is set, and has expired ten milliseconds later.
fn expiries(events: &Events) -> Operation {
    let mut cores = events.cores();
    let requests = [request(&[b"SET", b"key", &VALUE, b"PX", b"5"]), request(&[b"DBSIZE"])].concat();
    let mut now_ms = NOW_MS;
    Box::new(move || {
        now_ms += 10;
        assert_eq!(cores.round_at(black_box(&requests), now_ms), b"+OK\r\n:1\r\n");
    })
}

/// Keys of all cores in turn.
fn keys(cores: u16, count: usize) -> Vec<Vec<u8>> {
    if cores == 1 { keys_of(0, 1, count) } else { keys_spread(cores, count) }
}

fn store(keys: &[Vec<u8>]) -> Vec<u8> {
    keys.iter().flat_map(|key| request(&[b"SET", key, &VALUE])).collect()
}

fn bulk() -> Vec<u8> {
    [b"$64\r\n", VALUE.as_slice(), b"\r\n"].concat()
}

fn round(drive: Drive, before: &[&[&[u8]]], commands: &[&[&[u8]]], first: &[u8]) -> Operation {
    let bytes = |commands: &[&[&[u8]]]| commands.iter().flat_map(|words| request(words)).collect::<Vec<u8>>();
    rounds(drive, 1, &bytes(before), bytes(commands), first.to_vec())
}

/// Sends the same requests again and again; what `before` asks for is prepared. The first replies are `first`, the
/// others as long.
fn rounds(drive: Drive, cores: u16, before: &[u8], requests: Vec<u8>, first: Vec<u8>) -> Operation {
    let mut cores = Cores::with_stopwatch(cores, laps);
    cores.round(before);
    assert_eq!(drive(&mut cores, &requests).escape_ascii().to_string(), first.escape_ascii().to_string());
    Box::new(move || assert_eq!(drive(&mut cores, black_box(&requests)).len(), first.len()))
}

/// A stopwatch that tells the same times in every run.
fn laps() -> u64 {
    thread_local! {
        static NOW_NS: Cell<u64> = const { Cell::new(0) };
    }
    NOW_NS.set(NOW_NS.get() + LAP_NS);
    NOW_NS.get()
}
