//! Ghosts: the keys that were evicted from probation lately, a fingerprint of 16 bits each.
//!
//! Owner: `Policy`. Core: the shard's own. Cost: 1.8 bytes for each item the shard holds (9 ghosts for 10 items), none
//! until the first eviction; one cache line a lookup or insertion. Never: knows a key. In one lookup of 8000 a
//! fingerprint is another key's; the key looked up then is admitted a little early.
//!
//! A hash picks a bucket of `GHOST_WAYS` fingerprints, the newest first, where it pushes out the oldest: all buckets
//! together forget about as a queue does. When the shard's items have become more or fewer, a table of another size
//! takes over; lookups probe the old one as well until the new one has taken as many ghosts as the old one has places.
//! Invariant: in a bucket the vacant places, which are 0, are the last.

use crate::limits::{GHOST_RESIZE_PERCENT, GHOST_WAYS, GHOSTS_PERCENT};

type Bucket = [u16; GHOST_WAYS];

/// The ghosts of one cache.
#[derive(Default)]
pub(super) struct Ghosts {
    table: Table,
    /// The table before; without buckets once `table` has replaced it.
    old: Table,
    /// Ghosts added to `table` while `old` is kept.
    added: usize,
}

#[derive(Default)]
struct Table {
    buckets: Vec<Bucket>,
}

impl Ghosts {
    /// Adds the ghost of a key with this hash, in a shard of so many items.
    pub(super) fn add(&mut self, hash: u64, items: u64) {
        self.fit(items);
        self.table.add(hash);
        if !self.old.buckets.is_empty() {
            self.added += 1;
            if self.added >= self.old.len() {
                self.old = Table::default();
            }
        }
    }

    /// Removes the ghost of a key with this hash. True if there was one.
    pub(super) fn take(&mut self, hash: u64) -> bool {
        self.table.take(hash) || self.old.take(hash)
    }

    /// Replaces the table if it is too small or too large for so many items.
    fn fit(&mut self, items: u64) {
        let wanted = (items as usize * GHOSTS_PERCENT / 100).max(1).next_multiple_of(GHOST_WAYS);
        let len = self.table.len();
        if wanted * 100 <= len * (100 + GHOST_RESIZE_PERCENT) && len * 100 <= wanted * (100 + GHOST_RESIZE_PERCENT) {
            return;
        }
        // Zeroed memory comes untouched from the kernel: this is no walk over it.
        let fresh = Table { buckets: vec![[0; GHOST_WAYS]; wanted / GHOST_WAYS] };
        self.old = std::mem::replace(&mut self.table, fresh);
        self.added = 0;
    }

    /// The number of places for ghosts, those of the old table included.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.table.len() + self.old.len()
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        for bucket in self.table.buckets.iter().chain(&self.old.buckets) {
            let held = bucket.iter().position(|&print| print == 0).unwrap_or(GHOST_WAYS);
            assert!(bucket[held..].iter().all(|&print| print == 0), "vacant places are the last");
        }
    }
}

impl Table {
    fn len(&self) -> usize {
        self.buckets.len() * GHOST_WAYS
    }

    fn add(&mut self, hash: u64) {
        let print = fingerprint(hash);
        let bucket = self.bucket(hash);
        bucket.copy_within(..GHOST_WAYS - 1, 1);
        bucket[0] = print;
    }

    fn take(&mut self, hash: u64) -> bool {
        if self.buckets.is_empty() {
            return false;
        }
        let print = fingerprint(hash);
        let bucket = self.bucket(hash);
        // Nearly always it is not there, which takes one comparison of all at once.
        if !bucket.contains(&print) {
            return false;
        }
        let Some(at) = bucket.iter().position(|&other| other == print) else { return false };
        bucket.copy_within(at + 1.., at);
        bucket[GHOST_WAYS - 1] = 0;
        true
    }

    /// The bucket of a hash, by its upper half, scaled to the table.
    fn bucket(&mut self, hash: u64) -> &mut Bucket {
        let at = ((hash >> u32::BITS) * self.buckets.len() as u64) >> u32::BITS;
        &mut self.buckets[at as usize]
    }
}

/// The fingerprint of a hash: its low bits, which pick no bucket; never 0.
fn fingerprint(hash: u64) -> u16 {
    (hash as u16).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, VecDeque};

    proptest! {
        #![proptest_config(config(64))]

        /// With one size of table: a queue a bucket.
        #[test]
        fn ghosts_are_queues(ops in proptest::collection::vec((any::<bool>(), 0..400u64), 1..2000), items in 1..200u64) {
            let mut ghosts = Ghosts::default();
            let mut model: HashMap<u64, VecDeque<u16>> = HashMap::new();
            let buckets = (items as usize * GHOSTS_PERCENT / 100).max(GHOST_WAYS).div_ceil(GHOST_WAYS) as u64;
            for (add, key) in ops {
                let hash = crate::shard::tests::mix(key);
                let bucket = model.entry(((hash >> 32) * buckets) >> 32).or_default();
                let print = (hash as u16).max(1);
                if add {
                    ghosts.add(hash, items);
                    bucket.push_front(print);
                    bucket.truncate(GHOST_WAYS);
                } else {
                    let found = bucket.iter().position(|&other| other == print);
                    if let Some(at) = found {
                        bucket.remove(at);
                    }
                    prop_assert_eq!(ghosts.take(hash), found.is_some());
                }
                ghosts.verify();
            }
        }
    }

    #[test]
    fn a_table_of_another_size_takes_over_without_forgetting_at_once() {
        let mut ghosts = Ghosts::default();
        let hash = crate::shard::tests::mix;
        (0..1000).for_each(|key| ghosts.add(hash(key), 2000));
        let before = ghosts.places();
        assert!((1800..1900).contains(&before));
        (1000..1100).for_each(|key| ghosts.add(hash(key), 4000));
        assert!((0..1000).filter(|&key| ghosts.take(hash(key))).count() > 950, "the old table is still looked at");
        assert!((1000..1100).all(|key| ghosts.take(hash(key))));
        (2000..5000).for_each(|key| ghosts.add(hash(key), 4000));
        assert!((3600..3700).contains(&ghosts.places()), "then it is given back");
        (5000..5010).for_each(|key| ghosts.add(hash(key), 4400));
        assert!((3600..3700).contains(&ghosts.places()), "a few more items are no reason to move");
    }
}
