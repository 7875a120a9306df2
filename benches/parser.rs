//! Parser: pipelined requests, inline requests, and a large value in pieces.
//!
//! `cargo bench --bench parser` measures; `cargo test` runs each once. Every pass sums up all arguments it was given
//! and checks the sum, so that nothing is optimised away and nothing wrong is measured.

use std::hint::black_box;

use aspine::resp::{Args, ParseLimits, Parsed, Parser};
use criterion::{Criterion, Throughput};

#[path = "support/cores.rs"]
#[expect(dead_code, reason = "of the support only `request` is needed here")]
mod cores;

use cores::request;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests of one round: redis-benchmark's usual pipeline.
const PIPELINE: usize = 16;
/// Bytes of the large value, and of the reads it comes in.
const LARGE_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 32 << 10;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    pipelines(&mut criterion);
    large_value(&mut criterion);
    criterion.final_summary();
}

fn pipelines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parser");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    let value = [b'v'; 64];
    let keys: Vec<_> = (0..PIPELINE).map(|number| format!("key:{number:012}").into_bytes()).collect();
    let gets: Vec<u8> = keys.iter().flat_map(|key| request(&[b"GET", key])).collect();
    let sets: Vec<u8> = keys.iter().flat_map(|key| request(&[b"SET", key, &value])).collect();
    let inline: Vec<u8> = keys.iter().flat_map(|key| [b"GET ".as_slice(), key, b"\r\n"].concat()).collect();
    // Bytes of all arguments, and how many there are.
    let cases = [
        ("16 GET", gets, PIPELINE * (3 + 16), PIPELINE * 2),
        ("16 SET of 64 bytes", sets, PIPELINE * (3 + 16 + 64), PIPELINE * 3),
        ("16 inline GET", inline, PIPELINE * (3 + 16), PIPELINE * 2),
    ];
    for (name, requests, bytes, args) in cases {
        let mut parser = Parser::new();
        let limits = ParseLimits::new(true);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let sum = parse_all(&mut parser, black_box(&requests), &limits);
                assert_eq!(sum, Sum { requests: PIPELINE, args, bytes });
            });
        });
    }
    group.finish();
}

/// A value of 4 MiB in reads of 32 KiB: the time is that of the reads, since nobody looks at a value's bytes.
fn large_value(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parser");
    group.throughput(Throughput::Elements(LARGE_BYTES.div_ceil(PIECE_BYTES) as u64));
    let large = request(&[b"SET", b"key", &vec![b'v'; LARGE_BYTES]]);
    let limits = ParseLimits::new(true);
    let mut parser = Parser::new();
    group.bench_function("SET of 4 MiB in 32 KiB pieces", |bencher| {
        bencher.iter(|| {
            let mut ends: Vec<usize> = (PIECE_BYTES..large.len()).step_by(PIECE_BYTES).collect();
            ends.push(large.len());
            let whole = ends.iter().find_map(|end| match parser.next(black_box(&large[..*end]), &limits) {
                Ok(Parsed::Command { consumed }) => Some(consumed),
                Ok(Parsed::Incomplete { .. }) => None,
                other => panic!("{other:?}"),
            });
            assert_eq!(whole, Some(large.len()));
            assert_eq!(parser.args(&large).at(2).len(), LARGE_BYTES);
        });
    });
    group.finish();
}

/// The counts of a parsed stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    requests: usize,
    args: usize,
    bytes: usize,
}

impl Sum {
    fn add(&mut self, args: Args<'_>) {
        self.requests += 1;
        self.args += args.len();
        self.bytes += args.iter().map(<[u8]>::len).sum::<usize>();
    }
}

fn parse_all(parser: &mut Parser, bytes: &[u8], limits: &ParseLimits) -> Sum {
    let mut sum = Sum::default();
    let mut at = 0;
    while at < bytes.len() {
        match parser.next(&bytes[at..], limits) {
            Ok(Parsed::Command { consumed }) => {
                sum.add(parser.args(&bytes[at..]));
                at += consumed;
            }
            other => panic!("{other:?} in whole requests"),
        }
    }
    sum
}
