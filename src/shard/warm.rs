//! Warm: prefetch of several keys, so that the cache misses of the next operations on them overlap.
//!
//! Owner: `Shard`. Core: the shard's own.
//! Cost: a hash and a probe a key; it pays from two keys on that are not in the cache, where each operation by itself
//! waits for index, entry, neighbours and blob one after the other.
//! Never: changes anything, counts, compares a key: an entry that it loads may be another key's with the same tag, or
//! expired.

use std::array;
use std::hint::black_box;

use super::Shard;
use super::entry::EntryIndex;
use crate::limits::WARM_KEYS_MAX;

impl Shard {
    /// Prefetches what operations on up to `WARM_KEYS_MAX` keys will load, in passes whose loads do not depend on each
    /// other.
    pub fn warm<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let mut hashes = [0; WARM_KEYS_MAX];
        let mut count = 0;
        for (place, key) in hashes.iter_mut().zip(keys) {
            *place = self.index.hash(key);
            count += 1;
        }
        let hashes = &hashes[..count];
        let mut found = [EntryIndex::NONE; WARM_KEYS_MAX];
        for (place, &hash) in found.iter_mut().zip(hashes) {
            *place = self.index.find(hash, |_| true).unwrap_or(EntryIndex::NONE);
        }
        let entries: [_; WARM_KEYS_MAX] = array::from_fn(|at| found[at].is_some().then(|| self.slab.entry(found[at])));
        let mut loaded = 0u32;
        for entry in entries[..count].iter().flatten() {
            for neighbour in [entry.prev, entry.next] {
                if neighbour.is_some() {
                    loaded ^= self.slab.entry(neighbour).next.0;
                }
            }
            loaded ^= u32::from(entry.edges());
        }
        black_box(loaded);
    }
}
