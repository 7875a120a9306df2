//! Allocations: in the steady state a round allocates nothing but what it stores (DESIGN, data path rule 4).
//!
//! Each case warms up, then counts what this thread asks of the allocator over further rounds of the same requests.
//! A failure names the case; to find the place, break on `Counting::alloc` in a debugger, or bisect the case.

#[path = "../benches/support/cores.rs"]
#[expect(dead_code, reason = "the cores run whole turns here")]
mod cores;
#[path = "../benches/support/counting.rs"]
mod counting;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::thread;

use aspine::loadgen::keys::KeyDist;
use aspine::loadgen::wire::Protocol;
use aspine::loadgen::workload::Range;
use aspine::loadgen::{Clocks, Length, Options, Target, Verify, Watch};
use aspine::resp::{ParseLimits, Parsed, Parser};
use cores::{Cores, keys_of, keys_spread, request, stopwatch};
use counting::{Count, Counting, allocations, count};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Commands of a round.
const PIPELINE: usize = 16;
/// Rounds before counting: every buffer has found its size.
const WARM_ROUNDS: usize = 64;
/// Rounds that are counted.
const ROUNDS: u64 = 16;
const VALUE: [u8; 64] = [b'v'; 64];

/// Runs `requests` repeatedly, and returns what `ROUNDS` of them allocate. All rounds must get the same replies.
fn steady(cores: &mut Cores, requests: &[u8], replies: &[u8]) -> Count {
    for _ in 0..WARM_ROUNDS {
        assert_eq!(cores.round(requests).escape_ascii().to_string(), replies.escape_ascii().to_string());
    }
    let (count, right) = count(|| (0..ROUNDS).all(|_| cores.round(requests) == replies));
    assert!(right, "every round is answered alike");
    count
}

/// Asserts that rounds of `requests` allocate nothing.
#[track_caller]
fn assert_free(cores: &mut Cores, name: &str, requests: &[u8], replies: &[u8]) {
    let count = steady(cores, requests, replies);
    assert_eq!(count.allocations, 0, "{name}: {count:?} in {ROUNDS} rounds");
}

fn each(keys: &[Vec<u8>], words: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    keys.iter().flat_map(|key| words(key)).collect()
}

fn sets(keys: &[Vec<u8>], value: &[u8]) -> Vec<u8> {
    each(keys, |key| request(&[b"SET", key, value]))
}

fn gets(keys: &[Vec<u8>]) -> Vec<u8> {
    each(keys, |key| request(&[b"GET", key]))
}

/// A command of all the keys.
fn together(name: &[u8], keys: &[Vec<u8>]) -> Vec<u8> {
    let words: Vec<&[u8]> = std::iter::once(name).chain(keys.iter().map(Vec::as_slice)).collect();
    request(&words)
}

fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

/// One core whose keys are all its own, and two whose keys alternate; 32 keys each, of which the first 16 are stored.
fn shapes() -> [(&'static str, Cores, Vec<Vec<u8>>); 2] {
    let mut shapes = [
        ("1 core", Cores::new(1), keys_of(0, 1, 2 * PIPELINE)),
        ("2 cores", Cores::new(2), keys_spread(2, 2 * PIPELINE)),
    ];
    for (_, cores, keys) in &mut shapes {
        let stored = cores.round(&sets(&keys[..PIPELINE], &VALUE)).to_vec();
        assert_eq!(stored, b"+OK\r\n".repeat(PIPELINE));
    }
    shapes
}

#[test]
fn gets_allocate_nothing() {
    for (shape, mut cores, keys) in shapes() {
        let (present, absent) = keys.split_at(PIPELINE);
        let hits = bulk(&VALUE).repeat(PIPELINE);
        assert_free(&mut cores, &format!("{shape}: GET hits"), &gets(present), &hits);
        assert_free(&mut cores, &format!("{shape}: GET misses"), &gets(absent), &b"$-1\r\n".repeat(PIPELINE));
    }
}

#[test]
fn commands_of_several_keys_allocate_nothing() {
    for (shape, mut cores, keys) in shapes() {
        let (present, absent) = keys.split_at(PIPELINE);
        let hits = [b"*16\r\n".to_vec(), bulk(&VALUE).repeat(PIPELINE)].concat();
        assert_free(&mut cores, &format!("{shape}: MGET hits"), &together(b"MGET", present), &hits);
        let misses = [b"*16\r\n".to_vec(), b"$-1\r\n".repeat(PIPELINE)].concat();
        assert_free(&mut cores, &format!("{shape}: MGET misses"), &together(b"MGET", absent), &misses);
        assert_free(&mut cores, &format!("{shape}: EXISTS"), &together(b"EXISTS", present), b":16\r\n");
        let pairs: Vec<_> = present.iter().flat_map(|key| [key.clone(), VALUE.to_vec()]).collect();
        assert_free(&mut cores, &format!("{shape}: MSET overwriting"), &together(b"MSET", &pairs), b"+OK\r\n");
    }
}

#[test]
fn overwriting_with_the_same_size_allocates_nothing() {
    for (shape, mut cores, keys) in shapes() {
        let present = &keys[..PIPELINE];
        let replies = b"+OK\r\n".repeat(PIPELINE);
        assert_free(&mut cores, &format!("{shape}: SET"), &sets(present, &[b'w'; 64]), &replies);
        let timed = each(present, |key| request(&[b"SET", key, &VALUE, b"EX", b"100"]));
        assert_free(&mut cores, &format!("{shape}: SET EX"), &timed, &replies);
        let expire = each(present, |key| request(&[b"EXPIRE", key, b"100"]));
        assert_free(&mut cores, &format!("{shape}: EXPIRE"), &expire, &b":1\r\n".repeat(PIPELINE));
    }
}

#[test]
fn a_stored_value_is_one_allocation() {
    for (shape, mut cores, keys) in shapes() {
        let present = &keys[..PIPELINE];
        let replies = b"+OK\r\n".repeat(PIPELINE);
        let new = [sets(present, &VALUE), together(b"DEL", present)].concat();
        let count = steady(&mut cores, &new, &[replies.clone(), b":16\r\n".to_vec()].concat());
        assert_eq!(count.allocations, ROUNDS * PIPELINE as u64, "{shape}: SET of new keys: {count:?}");
        assert_eq!(count.frees, count.allocations, "{shape}: what was stored went again");
        cores.round(&sets(present, &VALUE));
        let larger = [sets(present, &[b'w'; 640]), sets(present, &VALUE)].concat();
        let count = steady(&mut cores, &larger, &replies.repeat(2));
        assert_eq!(count.allocations, ROUNDS * 2 * PIPELINE as u64, "{shape}: SET of another size: {count:?}");
    }
}

#[test]
fn key_events_allocate_nothing() {
    for (shape, mut cores, keys) in shapes() {
        let changes = [sets(&keys[..PIPELINE], &VALUE), together(b"TOUCH", &keys[..PIPELINE])].concat();
        let replies = [b"+OK\r\n".repeat(PIPELINE), b":16\r\n".to_vec()].concat();
        let before = cores.other(&request(&[b"SUBSCRIBE", b"__keyevent@0__:del"]));
        assert_free(&mut cores, &format!("{shape}: nobody listens to them"), &changes, &replies);
        assert_eq!(cores.other(b""), before, "{shape}: nobody heard");
        cores.other(&request(&[b"SUBSCRIBE", b"__keyevent@0__:set"]));
        // What other cores tell is a letter each round, whose buffer stays where it goes.
        let letters = if shape == "1 core" { 0 } else { ROUNDS };
        let count = steady(&mut cores, &changes, &replies);
        assert!(count.allocations <= letters, "{shape}: heard: {count:?} in {ROUNDS} rounds");
        assert!(cores.other(b"") > before + 16 * VALUE.len(), "{shape}: somebody heard");
    }
}

/// A server that finds no value and stores none, for as long as the test runs.
fn forgetful() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    #[expect(clippy::disallowed_methods, reason = "a server of the test's own, apart from what is counted")]
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let (mut parser, mut bytes, mut read) = (Parser::new(), Vec::new(), [0; 16 << 10]);
                while let Ok(count @ 1..) = stream.read(&mut read) {
                    bytes.extend_from_slice(&read[..count]);
                    let (mut at, mut replies) = (0, Vec::new());
                    while let Ok(Parsed::Command { consumed }) = parser.next(&bytes[at..], &ParseLimits::new(true)) {
                        let reply: &[u8] = match parser.args(&bytes[at..]).at(0) {
                            b"GET" => b"$-1\r\n",
                            b"SET" => b"+OK\r\n",
                            _ => b"+PONG\r\n",
                        };
                        replies.extend_from_slice(reply);
                        at += consumed;
                    }
                    bytes.drain(..at);
                    if stream.write_all(&replies).is_err() {
                        break;
                    }
                }
            });
        }
    });
    addr
}

/// What a lane of the load generator asks of the allocator in the measured part of a run: it reads its CPU time at the
/// part's begin and end, and is given its allocations in place of that.
fn allocations_of_a_run(pipeline: u32, operations: u64) -> u64 {
    let options = Options {
        target: Target::Tcp(forgetful()),
        protocol: Protocol::Resp,
        secret: None,
        connections: 4,
        pipeline,
        lanes: vec![None],
        length: Length::Operations(operations),
        warmup_ns: 200_000_000,
        mix: "get=1,set=1".parse().expect("a mix"),
        rate: None,
        keys: 1_000,
        key_dist: KeyDist::Zipf { exponent: 0.99 },
        value_bytes: Range { low: 16, high: 200 },
        ttl_s: None,
        preload: 0,
        seed: 1,
        verify: Verify::Values,
        fill_on_miss: false,
        trace: None,
        timeout_ns: 60_000_000_000,
        spin_ns: 0,
    };
    let stop = AtomicBool::new(false);
    let clocks = Clocks { now_ns: stopwatch, thread_cpu_ns: allocations };
    let watch = Watch { stop: &stop, server: &|| None, progress: &mut |_| {}, clocks };
    let measured = aspine::loadgen::run(&options, watch).expect("a run");
    assert_eq!((measured.record.answered(), measured.record.errors()), (operations, 0));
    measured.record.cpu_ns
}

#[test]
fn the_load_generator_allocates_nothing_for_a_request() {
    for pipeline in [1, 16] {
        // A histogram for each kind of operation, and the last growth of a queue or two.
        let few = allocations_of_a_run(pipeline, 2_000);
        assert!(few <= 16, "pipeline {pipeline}: {few} allocations");
        let many = allocations_of_a_run(pipeline, 40_000);
        assert!(many <= 16, "pipeline {pipeline}: {many} allocations for 40,000 operations");
    }
}
