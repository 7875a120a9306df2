//! Growth: what one insert may cost at most, counted in steps, and what the index weighs.

use super::*;
use crate::limits::{SEGMENT_BUCKETS_MAX, SEGMENT_ENTRIES_MAX};

#[test]
fn no_insert_rehashes_more_than_one_segment() {
    let mut shard = shard(Budget::UNLIMITED, Eviction::Lru);
    let mut splits_at_once_max = 0;
    for i in 0..300_000_u32 {
        let (rehashed, segments) = (shard.index.rehashed(), shard.index.shape().0);
        shard.insert(&i.to_le_bytes(), b"", Expiry::Never, 0).unwrap();
        assert!(shard.index.rehashed() - rehashed <= SEGMENT_ENTRIES_MAX as u64);
        splits_at_once_max = splits_at_once_max.max(shard.index.shape().0 - segments);
    }
    assert_eq!(splits_at_once_max, 1);
    assert!(shard.index.rehashed() < 4 * 300_000, "amortized, an insert rehashes few keys");
    shard.verify();
}

#[test]
fn the_index_weighs_about_the_same_at_every_size() {
    let mut shard = shard(Budget::UNLIMITED, Eviction::Lru);
    for i in 0..250_000_u32 {
        shard.insert(&i.to_le_bytes(), b"", Expiry::Never, 0).unwrap();
        if i >= 50_000 && i % 10_000 == 0 {
            let (segments, buckets, cells) = shard.index.shape();
            let bytes = 5 * buckets + 4 * cells + segments * 40;
            let per_item = bytes as f64 / f64::from(i);
            assert!((6.0..9.5).contains(&per_item), "{per_item} bytes per item at {i}");
            assert!(buckets <= segments * SEGMENT_BUCKETS_MAX);
        }
    }
}
