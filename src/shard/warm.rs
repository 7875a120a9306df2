//! Warm: prefetch of several keys, so that the cache misses of the next operations on them overlap.
//!
//! Owner: `Shard`. Core: the shard's own.
//! Cost: a hash and a probe a key; it pays from two keys on that are not in the cache, where each operation by itself
//! waits for index, entry, neighbours and blob one after the other.
//! Never: changes anything, counts, compares a key: an entry that it loads may be another key's with the same tag, or
//! expired.

use std::hint::black_box;

use super::Shard;
use super::entry::EntryIndex;
use crate::limits::{WARM_KEYS_MAX, WARM_SHARD_BYTES_MIN};

impl Shard {
    /// Whether the items take more memory than a cache close to the processor has.
    #[inline]
    pub fn is_worth_warming(&self) -> bool {
        self.account.bytes() >= WARM_SHARD_BYTES_MIN
    }

    /// Prefetches what operations on up to `WARM_KEYS_MAX` keys will load, in passes whose loads do not depend on each
    /// other.
    pub fn warm<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        if !self.is_worth_warming() {
            return;
        }
        let mut hashes = [0; WARM_KEYS_MAX];
        let mut count = 0;
        for (place, key) in hashes.iter_mut().zip(keys) {
            *place = self.index.hash(key);
            count += 1;
        }
        let hashes = &hashes[..count];
        let mut found = [EntryIndex::NONE; WARM_KEYS_MAX];
        let mut found_count = 0;
        for &hash in hashes {
            if let Some(at) = self.index.find(hash, |_| true) {
                found[found_count] = at;
                found_count += 1;
            }
        }
        let entries = found[..found_count].iter().map(|at| self.slab.entry(*at));
        let mut loaded = 0u32;
        if self.policy.moves_what_is_accessed() {
            for neighbour in entries.clone().flat_map(|entry| [entry.prev, entry.next]).filter(|at| at.is_some()) {
                loaded ^= self.slab.entry(neighbour).next.0;
            }
        }
        for entry in entries {
            loaded ^= u32::from(entry.edges());
        }
        black_box(loaded);
    }
}
