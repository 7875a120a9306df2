//! Items: keys, values, filled shards and fixed random draws. For benches.

use aspine::shard::{Budget, Eviction, Expiry, Shard, ShardConfig};

/// Unix time in milliseconds at which everything happens.
pub(crate) const NOW_MS: u64 = 1_750_000_000_000;
/// The value of every item.
pub(crate) const VALUE: [u8; 64] = [b'v'; 64];

/// A shard without items and bounds, with a fixed hash.
pub(crate) fn empty() -> Shard {
    Shard::new(ShardConfig { budget: Budget::UNLIMITED, eviction: Eviction::default(), hash_seeds: [1, 2, 3, 4] })
}

/// A shard of the first `items` keys.
pub(crate) fn filled(items: u64) -> Shard {
    let mut shard = empty();
    for number in 0..items {
        assert!(shard.insert(&key(number), &VALUE, Expiry::Never, NOW_MS).is_ok());
    }
    shard
}

/// 16 bytes: the number, mixed so that neighbours do not look alike, in hexadecimal.
pub(crate) fn key(number: u64) -> [u8; 16] {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    std::array::from_fn(|at| b"0123456789abcdef"[(mixed >> (at * 4)) as usize & 15])
}

/// A fixed sequence: splitmix64 (Steele and others, 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number under a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % bound
    }
}

/// `draws` numbers under `items`, each number k drawn in proportion to 1 / (k + 1)^exponent: made beforehand, so that
/// drawing costs a bench nothing.
pub(crate) fn zipf(items: u64, exponent: f64, draws: usize) -> Vec<u64> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=items)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    let mut random = Random(3);
    let fraction = 1u64 << 53;
    (0..draws)
        .map(|_| {
            let drawn = random.below(fraction) as f64 / fraction as f64 * sum;
            sums.partition_point(|upto| *upto <= drawn) as u64
        })
        .collect()
}
