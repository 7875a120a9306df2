//! Shard: GET hit and miss, SET new, overwrite, evicting and with TTL, expiry, and a cache too small for its keys, over a
//! million items of 16-byte keys and 64-byte values.
//!
//! `cargo bench --bench shard` measures; `cargo test` runs each once over a thousand items. Keys are drawn in a fixed
//! random order, so that caches are as cold as in a server of that size. Every pass checks what the shard answered.

use std::hint::black_box;

use aspine::limits::SLICE_STEPS;
use aspine::shard::{Budget, Expiry, Recency};
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

#[path = "support/items.rs"]
mod items;

use items::{NOW_MS, Random, VALUE, empty, filled, key, zipf};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ITEMS: u64 = 1_000_000;
/// Items when cargo does not measure but only tests.
const ITEMS_TEST: u64 = 1_000;
/// Items that one pass of `SET new` inserts into an empty shard.
const NEW_ITEMS: u64 = 10_000;

/// Longest TTL: some two minutes, so the lower levels of the wheel.
const TTL_MS: u64 = 1 << 17;
/// TTL of items that are to expire while it is measured.
const LIFE_MS: u64 = 100;
/// Draws made beforehand, then drawn again.
const DRAWS: usize = 1 << 20;

fn main() {
    let items = if std::env::args().any(|arg| arg == "--bench") { ITEMS } else { ITEMS_TEST };
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("shard");
    group.throughput(Throughput::Elements(1));
    gets(&mut group, items);
    overwrites(&mut group, items);
    evictions(&mut group, items);
    timers(&mut group, items);
    caches(&mut group, items);
    group.throughput(Throughput::Elements(NEW_ITEMS.min(items)));
    insertions(&mut group, NEW_ITEMS.min(items));
    group.finish();
    criterion.final_summary();
}

fn gets(group: &mut BenchmarkGroup<'_, WallTime>, items: u64) {
    let mut shard = filled(items);
    let mut random = Random(1);
    group.bench_function("GET hit", |bencher| {
        bencher.iter(|| {
            let item = shard.get(black_box(&key(random.below(items))), Recency::Touch, NOW_MS);
            assert_eq!(item.map(|item| item.value.len()), Some(VALUE.len()));
        });
    });
    group.bench_function("GET miss", |bencher| {
        bencher.iter(|| {
            let item = shard.get(black_box(&key(items + random.below(items))), Recency::Touch, NOW_MS);
            assert!(item.is_none());
        });
    });
}

fn overwrites(group: &mut BenchmarkGroup<'_, WallTime>, items: u64) {
    let mut shard = filled(items);
    let mut random = Random(2);
    group.bench_function("SET overwrite", |bencher| {
        bencher.iter(|| {
            let stored = shard.insert(black_box(&key(random.below(items))), &VALUE, Expiry::Never, NOW_MS);
            assert!(stored.is_ok());
        });
    });
    assert_eq!(shard.len(), items);
}

/// Every insertion is of a new key into a full shard: one item goes for it.
fn evictions(group: &mut BenchmarkGroup<'_, WallTime>, items: u64) {
    let mut shard = filled(items);
    shard.set_budget(Budget { items_max: items, bytes_max: u64::MAX });
    let mut next = items;
    group.bench_function("SET evicting", |bencher| {
        bencher.iter(|| {
            let stored = shard.insert(black_box(&key(next)), &VALUE, Expiry::Never, NOW_MS);
            assert!(stored.is_ok());
            next += 1;
        });
    });
    assert_eq!((shard.len(), shard.counters().evictions), (items, next - items));
}

/// TTLs: over items that have one or none, and over items whose time comes.
fn timers(group: &mut BenchmarkGroup<'_, WallTime>, items: u64) {
    let mut shard = filled(items);
    let mut random = Random(4);
    group.bench_function("SET with TTL, overwriting", |bencher| {
        bencher.iter(|| {
            let expiry = Expiry::At(NOW_MS + 1 + random.below(TTL_MS));
            assert!(shard.insert(black_box(&key(random.below(items))), &VALUE, expiry, NOW_MS).is_ok());
        });
    });
    group.bench_function("EXPIRE", |bencher| {
        bencher.iter(|| {
            let deadline_ms = NOW_MS + 1 + random.below(TTL_MS);
            assert!(shard.set_expiry(black_box(&key(random.below(items))), Some(deadline_ms), NOW_MS));
        });
    });
    // Time goes by at a millisecond a call: in the steady state one item comes and one goes.
    let mut shard = empty();
    let mut now_ms = NOW_MS;
    group.bench_function("SET with TTL, then expire", |bencher| {
        bencher.iter(|| {
            now_ms += 1;
            let expiry = Expiry::At(now_ms + LIFE_MS);
            assert!(shard.insert(black_box(&key(now_ms)), &VALUE, expiry, now_ms).is_ok());
            let _ = black_box(shard.work(now_ms, SLICE_STEPS));
        });
    });
    assert!(shard.len() <= LIFE_MS + 1);
}

/// A cache of a tenth of the keys: GET, and SET where it missed, over keys drawn by zipf.
fn caches(group: &mut BenchmarkGroup<'_, WallTime>, items: u64) {
    for exponent in [0.99, 1.1] {
        let draws = zipf(items, exponent, DRAWS);
        let mut shard = empty();
        shard.set_budget(Budget { items_max: items / 10, bytes_max: u64::MAX });
        let mut next = 0;
        group.bench_function(format!("GET, SET if missing, zipf {exponent}, a tenth fits"), |bencher| {
            bencher.iter(|| {
                let key = key(draws[next % DRAWS]);
                next += 1;
                if shard.get(black_box(&key), Recency::Touch, NOW_MS).is_none() {
                    assert!(shard.insert(&key, &VALUE, Expiry::Never, NOW_MS).is_ok());
                }
            });
        });
        assert!(shard.len() <= items / 10);
    }
}

/// New keys into a shard that grows from nothing; making and dropping it is not measured.
fn insertions(group: &mut BenchmarkGroup<'_, WallTime>, items: u64) {
    let keys: Vec<_> = (0..items).map(key).collect();
    group.bench_function("SET new, from empty", |bencher| {
        bencher.iter_batched_ref(
            empty,
            |shard| {
                for key in &keys {
                    assert!(shard.insert(black_box(key), &VALUE, Expiry::Never, NOW_MS).is_ok());
                }
                assert_eq!(shard.len(), items);
            },
            BatchSize::LargeInput,
        );
    });
}
