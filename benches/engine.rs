//! Engine: a round of 16 commands, all of one core or split over several, and rounds of one command, from the client's
//! bytes to the reply's.
//!
//! `cargo bench --bench engine` measures; `cargo test` runs each once. Batches are passed by hand in the same thread,
//! so this is the work of both cores without the waking. Every pass compares the replies with the expected bytes.

use std::hint::black_box;

use criterion::{Criterion, Throughput};

#[path = "support/cores.rs"]
#[expect(dead_code, reason = "the cores run whole turns here")]
mod cores;

use cores::{Cores, keys_of, keys_spread, request};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests of one round: redis-benchmark's usual pipeline.
const PIPELINE: usize = 16;
const VALUE: [u8; 64] = [b'v'; 64];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let local = || (Cores::new(1), keys_of(0, 1, PIPELINE));
    let split = || (Cores::new(2), keys_spread(2, PIPELINE));
    rounds(&mut criterion, "1 core", local);
    rounds(&mut criterion, "2 cores", split);
    rounds(&mut criterion, "4 cores", || (Cores::new(4), keys_spread(4, PIPELINE)));
    events(&mut criterion);
    lone(&mut criterion);
    criterion.final_summary();
}

/// GETs, SETs and one MGET over the same keys.
fn rounds(criterion: &mut Criterion, group: &str, make: impl Fn() -> (Cores, Vec<Vec<u8>>)) {
    let (mut cores, keys) = make();
    let gets: Vec<u8> = keys.iter().flat_map(|key| request(&[b"GET", key])).collect();
    let sets: Vec<u8> = keys.iter().flat_map(|key| request(&[b"SET", key, &VALUE])).collect();
    let words: Vec<&[u8]> = std::iter::once(b"MGET".as_slice()).chain(keys.iter().map(Vec::as_slice)).collect();
    let bulk = [b"$64\r\n", VALUE.as_slice(), b"\r\n"].concat();
    let timed: Vec<u8> = keys.iter().flat_map(|key| request(&[b"SET", key, &VALUE, b"EX", b"100"])).collect();
    // The counters are set anew in every round, so that its replies are always the same.
    let count = |key: &Vec<u8>| [request(&[b"SET", key, b"41"]), request(&[b"INCR", key])].concat();
    let counts: Vec<u8> = keys.iter().flat_map(count).collect();
    let transaction = [request(&[b"MULTI"]), sets.clone(), request(&[b"EXEC"])].concat();
    let queued = [b"+OK\r\n".to_vec(), b"+QUEUED\r\n".repeat(PIPELINE), b"*16\r\n".to_vec()].concat();
    let cases = [
        ("16 SET and INCR", counts, b"+OK\r\n:42\r\n".repeat(PIPELINE)),
        ("16 SET with TTL", timed, b"+OK\r\n".repeat(PIPELINE)),
        ("16 SET in MULTI", transaction, [queued, b"+OK\r\n".repeat(PIPELINE)].concat()),
        ("16 SET", sets, b"+OK\r\n".repeat(PIPELINE)),
        ("16 GET", gets, bulk.repeat(PIPELINE)),
        ("MGET of 16", request(&words), [b"*16\r\n".to_vec(), bulk.repeat(PIPELINE)].concat()),
    ];
    let mut group = criterion.benchmark_group(format!("engine, {group}"));
    group.throughput(Throughput::Elements(PIPELINE as u64));
    for (name, requests, replies) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert!(cores.round(black_box(&requests)) == replies, "wrong replies"));
        });
        // Also where a filter has left the measurement out: the cases after this one need its keys.
        assert!(cores.round(&requests) == replies, "wrong replies");
    }
    group.finish();
}

/// Key events: of sixteen keys that are set and deleted, while nobody listens, and while one client does.
fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine, key events");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    let keys = keys_of(0, 1, PIPELINE);
    let change = |key: &Vec<u8>| [request(&[b"SET", key, &VALUE]), request(&[b"DEL", key])].concat();
    let requests: Vec<u8> = keys.iter().flat_map(change).collect();
    for (name, channel) in [("nobody listens", "__keyevent@0__:rename_to"), ("heard", "__keyevent@0__:*")] {
        let mut cores = Cores::new(1);
        let before = cores.other(&request(&[b"PSUBSCRIBE", channel.as_bytes()]));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert!(cores.round(black_box(&requests)) == b"+OK\r\n:1\r\n".repeat(PIPELINE)));
        });
        cores.round(&requests);
        assert_eq!(cores.other(b"") > before, name == "heard");
    }
    group.finish();
}

/// Rounds of one command: what a round costs by itself, and what an operator asks for once a second.
fn lone(criterion: &mut Criterion) {
    let mut cores = Cores::new(2);
    let mut group = criterion.benchmark_group("engine, one command");
    group.throughput(Throughput::Elements(1));
    for (name, words, begins) in [
        ("PING", &[b"PING".as_slice()][..], "+PONG\r\n"),
        ("GET miss", &[b"GET", b"absent"], "$-1\r\n"),
        ("INFO, 2 cores", &[b"INFO"], "$"),
        ("INFO commandstats, 2 cores", &[b"INFO", b"commandstats"], "$"),
    ] {
        let request = request(words);
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert!(cores.round(black_box(&request)).starts_with(begins.as_bytes())));
        });
    }
    group.finish();
}
