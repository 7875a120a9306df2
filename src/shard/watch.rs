//! Watch: which keys somebody wants to know unchanged (WATCH), and who of them has been disappointed.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: nothing while nobody watches; a watched key costs a copy of itself twice.
//! Never: decides what a change is; `change` calls for each.
//! Invariant: a key is listed under a watcher exactly when the watcher is listed under the key.

use ahash::RandomState;
use std::collections::HashMap;

use super::Shard;

/// Names who watches: the client's id, which is unique in the process.
pub type Watcher = u64;

/// What one watcher watches here.
#[derive(Default)]
struct Watching {
    keys: Vec<Box<[u8]>>,
    /// One of them has changed.
    changed: bool,
}

/// All watched keys of a shard. Filled by WATCH, drained by EXEC, DISCARD, UNWATCH and the end of a connection; bounded
/// by what clients care to watch.
pub(super) struct Watches {
    keys: HashMap<Box<[u8]>, Vec<Watcher>, RandomState>,
    watchers: HashMap<Watcher, Watching, RandomState>,
}

impl Watches {
    /// Nothing watched. The seeds are the index's.
    pub(super) fn new(seeds: [u64; 4]) -> Self {
        let hasher = || RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3]);
        Self { keys: HashMap::with_hasher(hasher()), watchers: HashMap::with_hasher(hasher()) }
    }

    /// Whether nothing is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A key has changed.
    pub(super) fn note(&mut self, key: &[u8]) {
        let Some(watchers) = self.keys.get(key) else { return };
        for watcher in watchers {
            if let Some(watching) = self.watchers.get_mut(watcher) {
                watching.changed = true;
            }
        }
    }

    /// All keys that are stored are about to go.
    pub(super) fn note_clear(&mut self, is_stored: impl Fn(&[u8]) -> bool) {
        for (key, watchers) in &self.keys {
            if !is_stored(key) {
                continue;
            }
            for watcher in watchers {
                if let Some(watching) = self.watchers.get_mut(watcher) {
                    watching.changed = true;
                }
            }
        }
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        for (watcher, watching) in &self.watchers {
            assert!(watching.keys.iter().all(|key| self.keys[key].contains(watcher)), "listed both ways");
        }
        let listed: usize = self.keys.values().map(Vec::len).sum();
        assert_eq!(listed, self.watchers.values().map(|watching| watching.keys.len()).sum::<usize>());
        assert!(self.keys.values().all(|watchers| !watchers.is_empty()));
    }
}

impl Shard {
    /// From now on `watcher` wants to know whether a key changes.
    pub fn watch(&mut self, key: &[u8], watcher: Watcher, now_ms: u64) {
        // What has expired already is absent from the start, and its removal is no change.
        let hash = self.index.hash(key);
        let _ = self.live(key, hash, now_ms);
        self.observers.arrange(|observers| {
            let Watches { keys, watchers } = &mut observers.watches;
            let watching = watchers.entry(watcher).or_default();
            let listed = keys.entry(key.into()).or_default();
            if !listed.contains(&watcher) {
                listed.push(watcher);
                watching.keys.push(key.into());
            }
        });
    }

    /// Whether a key of `watcher` has changed: was stored, removed, evicted, given another deadline, or has expired.
    pub fn has_changed(&mut self, watcher: Watcher, now_ms: u64) -> bool {
        let Some(watching) = self.observers.watches.watchers.get_mut(&watcher) else { return false };
        let keys = std::mem::take(&mut watching.keys);
        for key in &keys {
            // Removes what has expired by now, which is a change.
            let hash = self.index.hash(key);
            let _ = self.live(key, hash, now_ms);
        }
        let Some(watching) = self.observers.watches.watchers.get_mut(&watcher) else { return false };
        watching.keys = keys;
        watching.changed
    }

    /// `watcher` does not want to know any more.
    pub fn unwatch(&mut self, watcher: Watcher) {
        self.observers.arrange(|observers| {
            let Watches { keys, watchers } = &mut observers.watches;
            let Some(watching) = watchers.remove(&watcher) else { return };
            for key in watching.keys {
                let Some(listed) = keys.get_mut(&key) else { continue };
                listed.retain(|other| *other != watcher);
                if listed.is_empty() {
                    keys.remove(&key);
                }
            }
        });
    }

    /// Watchers, for checks that none is left behind.
    #[cfg(any(test, feature = "verify"))]
    pub fn watchers(&self) -> usize {
        self.observers.watches.watchers.len()
    }
}
