//! Shard: GET hit and miss, SET new, overwrite and evicting, over a million items of 16-byte keys and 64-byte values.
//!
//! `cargo bench --bench shard` measures; `cargo test` runs each once over a thousand items. Keys are drawn in a fixed
//! random order, so that caches are as cold as in a server of that size. Every pass checks what the shard answered.

use std::hint::black_box;

use aspine::shard::{Budget, Eviction, Expiry, Recency, Shard, ShardConfig};
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW_MS: u64 = 1_750_000_000_000;
const ITEMS: u64 = 1_000_000;
/// Items when cargo does not measure but only tests.
const ITEMS_TEST: u64 = 1_000;
/// Items that one pass of `SET new` inserts into an empty shard.
const NEW_ITEMS: u64 = 10_000;
const VALUE: [u8; 64] = [b'v'; 64];

fn main() {
    let items = if std::env::args().any(|arg| arg == "--bench") { ITEMS } else { ITEMS_TEST };
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("shard");
    group.throughput(Throughput::Elements(1));
    gets(&mut group, items);
    overwrites(&mut group, items);
    evictions(&mut group, items);
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

fn empty() -> Shard {
    Shard::new(ShardConfig { budget: Budget::UNLIMITED, eviction: Eviction::Lru, hash_seeds: [1, 2, 3, 4] })
}

fn filled(items: u64) -> Shard {
    let mut shard = empty();
    for number in 0..items {
        assert!(shard.insert(&key(number), &VALUE, Expiry::Never, NOW_MS).is_ok());
    }
    shard
}

/// 16 bytes: the number, mixed so that neighbours do not look alike, in hexadecimal.
fn key(number: u64) -> [u8; 16] {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    std::array::from_fn(|at| b"0123456789abcdef"[(mixed >> (at * 4)) as usize & 15])
}

/// A fixed sequence: splitmix64 (Steele and others, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % bound
    }
}
