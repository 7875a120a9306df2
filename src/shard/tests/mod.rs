//! Tests of the shard: each structure against a naive model, then the whole against one, with `verify` after
//! every step. Which kinds of operation occur at all is drawn per run (swarm testing).

mod cut;
mod databases;
mod doors;
mod model;
mod parts;
mod policy;
mod scale;
mod tracking;
mod volatile;
mod whole;

use super::*;

/// A run: which kinds of operation are on, and the raw material of each operation.
type Run = (u16, Vec<(u8, u16, u16)>);

/// Runs of up to `len_max` operations.
fn runs(len_max: usize) -> impl proptest::strategy::Strategy<Value = Run> {
    use proptest::prelude::*;
    (any::<u16>(), proptest::collection::vec(any::<(u8, u16, u16)>(), 1..len_max))
}

/// The kind an operation gets: one of the weighted kinds that are on in this run.
fn pick<T: Copy>(kinds: &[(u8, T)], (mask, raw): (u16, u8)) -> T {
    let on = |&(i, _): &(usize, &(u8, T))| mask >> (i % 16) & 1 == 1 || i == 0;
    let total: u32 = kinds.iter().enumerate().filter(on).map(|(_, &(weight, _))| u32::from(weight)).sum();
    let mut left = u32::from(raw) % total;
    for (_, &(weight, kind)) in kinds.iter().enumerate().filter(on) {
        match left.checked_sub(u32::from(weight)) {
            Some(rest) => left = rest,
            None => return kind,
        }
    }
    unreachable!("left < total")
}

fn shard(budget: Budget, eviction: Eviction) -> Shard {
    Shard::new(ShardConfig { budget, eviction, hash_seeds: [11, 22, 33, 44] })
}

/// A number spread over 64 bits.
pub(super) fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Proptest's settings: few shrinking steps, no file beside the sources.
pub(super) fn config(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}
