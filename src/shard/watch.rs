//! Watch: the keys that clients watch (WATCH), and the clients one of whose keys has changed since.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: nothing while nobody watches; a watched key costs a copy of itself
//! twice. Never: decides what a change is; `observers` calls for each.
//! Invariant: a key is listed under a watcher exactly when the watcher is listed under the key.

use ahash::RandomState;
use std::collections::HashMap;

use super::entry::Database;

/// A watcher: the id of a client, which is unique in the process.
pub type Watcher = u64;

/// A key and its database.
pub(super) type Watched = (Database, Box<[u8]>);

/// The watchers of the keys of one database.
type Keys = HashMap<Box<[u8]>, Vec<Watcher>, RandomState>;

/// The keys that one watcher watches in this shard.
#[derive(Default)]
struct Watching {
    keys: Vec<Watched>,
    /// Whether one of the keys has changed.
    changed: bool,
}

/// The watched keys of one shard. Filled by WATCH, drained by EXEC, DISCARD, UNWATCH and the end of a connection;
/// bounded by what clients watch.
pub(super) struct Watches {
    /// By database, as far as any key was watched.
    keys: Vec<Keys>,
    watchers: HashMap<Watcher, Watching, RandomState>,
    hasher: RandomState,
}

impl Watches {
    /// No watched keys. The seeds are the index's.
    pub(super) fn new(seeds: [u64; 4]) -> Self {
        let hasher = RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3]);
        Self { keys: Vec::new(), watchers: HashMap::with_hasher(hasher.clone()), hasher }
    }

    /// Whether no key is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Adds a key to those that `watcher` watches.
    pub(super) fn add(&mut self, database: Database, key: &[u8], watcher: Watcher) {
        let watching = self.watchers.entry(watcher).or_default();
        while self.keys.len() <= usize::from(database) {
            self.keys.push(HashMap::with_hasher(self.hasher.clone()));
        }
        let listed = self.keys[usize::from(database)].entry(key.into()).or_default();
        if !listed.contains(&watcher) {
            listed.push(watcher);
            watching.keys.push((database, key.into()));
        }
    }

    /// Removes a watcher and what it watches.
    pub(super) fn remove(&mut self, watcher: Watcher) {
        let Some(watching) = self.watchers.remove(&watcher) else { return };
        for (database, key) in watching.keys {
            let keys = &mut self.keys[usize::from(database)];
            let Some(listed) = keys.get_mut(&key) else { continue };
            listed.retain(|other| *other != watcher);
            if listed.is_empty() {
                keys.remove(&key);
            }
        }
    }

    /// The keys that `watcher` watches, lent until [`Watches::give_back`].
    pub(super) fn lend(&mut self, watcher: Watcher) -> Vec<Watched> {
        self.watchers.get_mut(&watcher).map(|watching| std::mem::take(&mut watching.keys)).unwrap_or_default()
    }

    /// Takes lent keys back. Whether one of them has changed since `watcher` began to watch it.
    pub(super) fn give_back(&mut self, watcher: Watcher, keys: Vec<Watched>) -> bool {
        let Some(watching) = self.watchers.get_mut(&watcher) else { return false };
        watching.keys = keys;
        watching.changed
    }

    /// The number of watchers.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// Marks the watchers of a key that is about to change.
    pub(super) fn note(&mut self, database: Database, key: &[u8]) {
        let Some(watchers) = self.keys.get(usize::from(database)).and_then(|keys| keys.get(key)) else { return };
        for watcher in watchers {
            if let Some(watching) = self.watchers.get_mut(watcher) {
                watching.changed = true;
            }
        }
    }

    /// Marks the watchers of the stored keys of a database, which are about to be cleared.
    pub(super) fn note_clear(&mut self, database: Database, is_stored: impl Fn(&[u8]) -> bool) {
        for (key, watchers) in self.keys.get(usize::from(database)).into_iter().flatten() {
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
            let is_listed = |(database, key): &Watched| self.keys[usize::from(*database)][key].contains(watcher);
            assert!(watching.keys.iter().all(is_listed), "listed both ways");
        }
        let lists = || self.keys.iter().flat_map(HashMap::values);
        let listed: usize = lists().map(Vec::len).sum();
        assert_eq!(listed, self.watchers.values().map(|watching| watching.keys.len()).sum::<usize>());
        assert!(lists().all(|watchers| !watchers.is_empty()));
    }
}
