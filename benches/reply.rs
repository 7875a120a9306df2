//! Reply: the replies of common commands, written in both protocol versions, and skipped as a client does.
//!
//! `cargo bench --bench reply` measures; `cargo test` runs each once. Every pass checks the length of what was written
//! or skipped.

use std::hint::black_box;

use aspine::resp::reply::skip;
use aspine::resp::{Proto, Writer};
use criterion::{Criterion, Throughput};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VALUE: [u8; 64] = [b'v'; 64];
/// A value large enough for copying it to be most of the work.
const LARGE: [u8; 16 << 10] = [b'v'; 16 << 10];
/// Elements of the array, as MGET of 10 gives.
const ELEMENTS: usize = 10;

/// A name, and what writes it.
type Case = (&'static str, fn(&mut Writer<'_>));

const CASES: [Case; 7] = [
    ("OK", |writer| writer.ok()),
    ("integer", |writer| writer.integer(black_box(1_234_567))),
    ("null", |writer| writer.null()),
    ("bulk of 64 bytes", |writer| writer.bulk(black_box(&VALUE))),
    ("bulk of 16 KiB", |writer| writer.bulk(black_box(&LARGE))),
    ("array of 10 bulks", array),
    ("error", |writer| writer.error(black_box("ERR value is not an integer or out of range"))),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, proto) in [("RESP2", Proto::Resp2), ("RESP3", Proto::Resp3)] {
        written(&mut criterion, name, proto);
    }
    skipped(&mut criterion);
    criterion.final_summary();
}

fn array(writer: &mut Writer<'_>) {
    writer.array(ELEMENTS);
    for _ in 0..ELEMENTS {
        writer.bulk(black_box(&VALUE));
    }
}

fn encoded(proto: Proto, write: fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out, proto));
    out
}

fn written(criterion: &mut Criterion, name: &str, proto: Proto) {
    let mut group = criterion.benchmark_group(format!("write, {name}"));
    group.throughput(Throughput::Elements(1));
    for (name, write) in CASES {
        let expected = encoded(proto, write);
        let mut out = Vec::with_capacity(expected.len());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                write(&mut Writer::new(&mut out, proto));
                assert_eq!(black_box(&out).len(), expected.len());
            });
        });
    }
    group.finish();
}

/// Finds where replies end, as a client of many pipelined commands does.
fn skipped(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("skip, RESP2");
    group.throughput(Throughput::Elements(1));
    for (name, write) in CASES {
        let reply = encoded(Proto::Resp2, write);
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(skip(black_box(&reply)), Ok(Some(reply.len()))));
        });
    }
    group.finish();
}
