//! Prefixes: a map from prefixes of keys to values. Core: its owner's. Cost: a lookup for each length that occurs.
//!
//! Never: compares a key with every prefix there is.
//! Invariant: `lengths` has the lengths of the prefixes in `map`, ascending, each with how many there are of it.

use ahash::RandomState;
use std::collections::HashMap;

/// A map from prefixes to values.
#[derive(Debug)]
pub struct Prefixes<T> {
    map: HashMap<Box<[u8]>, T, RandomState>,
    /// Lengths of prefixes, and how many prefixes have each.
    lengths: Vec<(usize, usize)>,
}

impl<T> Prefixes<T> {
    /// An empty map, with the seeds of its hash.
    pub fn new(seeds: [u64; 4]) -> Prefixes<T> {
        let hasher = RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3]);
        Prefixes { map: HashMap::with_hasher(hasher), lengths: Vec::new() }
    }

    /// The value of a prefix, made by `make` if the prefix is new.
    pub fn entry(&mut self, prefix: &[u8], make: impl FnOnce() -> T) -> &mut T {
        if !self.map.contains_key(prefix) {
            match self.lengths.binary_search_by_key(&prefix.len(), |(len, _)| *len) {
                Ok(at) => self.lengths[at].1 += 1,
                Err(at) => self.lengths.insert(at, (prefix.len(), 1)),
            }
        }
        self.map.entry(prefix.into()).or_insert_with(make)
    }

    /// Removes a prefix, and returns its value.
    pub fn remove(&mut self, prefix: &[u8]) -> Option<T> {
        let value = self.map.remove(prefix)?;
        if let Ok(at) = self.lengths.binary_search_by_key(&prefix.len(), |(len, _)| *len) {
            self.lengths[at].1 -= 1;
            if self.lengths[at].1 == 0 {
                self.lengths.remove(at);
            }
        }
        Some(value)
    }

    /// The value of a prefix.
    pub fn get_mut(&mut self, prefix: &[u8]) -> Option<&mut T> {
        self.map.get_mut(prefix)
    }

    /// Every prefix of a key and its value, the shortest first.
    pub fn of<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a T)> {
        let lengths = self.lengths.iter().map(|(len, _)| *len).take_while(|len| *len <= key.len());
        lengths.filter_map(|len| self.map.get_key_value(&key[..len]).map(|(prefix, value)| (&prefix[..], value)))
    }

    /// The number of prefixes.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Asserts the invariant.
    #[cfg(any(test, feature = "verify"))]
    pub fn verify(&self) {
        assert!(self.lengths.is_sorted_by(|one, other| one.0 < other.0));
        for (len, count) in &self.lengths {
            assert_eq!(self.map.keys().filter(|prefix| prefix.len() == *len).count(), *count);
        }
        assert_eq!(self.lengths.iter().map(|(_, count)| count).sum::<usize>(), self.map.len());
    }
}
