//! Observe: the doors by which the engine says which changes it wants to learn of, and takes what the shard has noted.
//!
//! Owner: `Shard`; the parts behind it are `events` (key events), `watch` (WATCH) and `tracking` (CLIENT TRACKING).
//! Core: the shard's own. Cost: nothing while nobody listens. Never: decides which client is told.

use super::Shard;
use super::event::Event;
use super::tracking::{ClientId, Stale, TrackedCounts};
use super::watch::Watcher;

/// The doors of key events.
impl Shard {
    /// Sets the kinds of key events that are noted from now on: bit `n` for event number `n`.
    pub fn set_events_wanted(&mut self, wanted: u32) {
        self.observers.arrange(|observers| observers.events.want(wanted));
    }

    /// Whether key events were noted since `take_events`.
    #[inline]
    pub fn has_events(&self) -> bool {
        self.observers.events.is_any_noted()
    }

    /// Takes the key events that were noted, for [`noted`](super::noted); `spare` is an empty buffer for the next.
    pub fn take_events(&mut self, spare: Vec<u8>) -> Vec<u8> {
        self.observers.events.take(spare)
    }

    /// Notes that a command which only looks has not found a key. `get` notes it by itself.
    #[inline]
    pub fn note_miss(&mut self, key: &[u8]) {
        if self.observers.events.wants(Event::KeyMiss) {
            self.note_wanted_miss(key);
        }
    }

    #[cold]
    fn note_wanted_miss(&mut self, key: &[u8]) {
        self.observers.events.note(Event::KeyMiss, (self.databases.selected(), key));
    }
}

/// The doors of WATCH.
impl Shard {
    /// Watches a key of the selected database for `watcher`.
    pub fn watch(&mut self, key: &[u8], watcher: Watcher, now_ms: u64) {
        // An item that has expired already is absent from the start, and its removal is no change.
        let hash = self.index.hash(key);
        let _ = self.live(key, hash, now_ms);
        let database = self.databases.selected();
        self.observers.arrange(|observers| observers.watches.add(database, key, watcher));
    }

    /// Whether a key of `watcher` has changed: was stored, removed, evicted, given another deadline, or has expired.
    pub fn has_changed(&mut self, watcher: Watcher, now_ms: u64) -> bool {
        let keys = self.observers.watches.lend(watcher);
        let before = self.selected();
        for (database, key) in &keys {
            self.select(*database);
            // Removes an item that has expired by now, which is a change.
            let hash = self.index.hash(key);
            let _ = self.live(key, hash, now_ms);
        }
        self.select(before);
        self.observers.watches.give_back(watcher, keys)
    }

    /// Ends what `watcher` watches.
    pub fn unwatch(&mut self, watcher: Watcher) {
        self.observers.arrange(|observers| observers.watches.remove(watcher));
    }

    /// The number of watchers, for checks that none is left behind.
    #[cfg(any(test, feature = "verify"))]
    pub fn watchers(&self) -> usize {
        self.observers.watches.watchers()
    }
}

/// The doors of CLIENT TRACKING.
impl Shard {
    /// Tracks a key that a client has read: the key's next change invalidates the client's copy.
    pub fn track(&mut self, key: &[u8], client: ClientId) {
        self.observers.arrange(|observers| observers.tracking.track(key, client));
    }

    /// Names the client that runs the commands that follow, if its own changes are no invalidations to it; else
    /// `NO_CLIENT`.
    pub fn set_writer(&mut self, writer: ClientId) {
        self.observers.tracking.set_writer(writer);
    }

    /// Adds a prefix that a client of a home named: every change of a key that begins so invalidates the client's copy.
    pub fn add_prefix(&mut self, prefix: &[u8], home: u16) {
        self.observers.arrange(|observers| observers.tracking.add_prefix(prefix, home));
    }

    /// Removes a prefix that a client of a home named.
    pub fn remove_prefix(&mut self, prefix: &[u8], home: u16) {
        self.observers.arrange(|observers| observers.tracking.remove_prefix(prefix, home));
    }

    /// The homes of the clients that named a prefix of a key, each once.
    pub fn homes_of(&self, key: &[u8], homes: &mut Vec<u16>) {
        self.observers.tracking.homes_of(key, homes);
    }

    /// Bounds the keys that are tracked for the clients that read them.
    pub fn set_tracked_max(&mut self, keys_max: u64) {
        self.observers.tracking.set_keys_max(keys_max);
    }

    /// Whether copies have gone stale since `take_stale`.
    #[inline]
    pub fn has_stale(&self) -> bool {
        self.observers.tracking.has_stale()
    }

    /// Takes the copies that have gone stale, in the order of the changes; `empty` takes the next.
    pub fn take_stale(&mut self, empty: Vec<Stale>) -> Vec<Stale> {
        self.observers.tracking.take_stale(empty)
    }

    /// The numbers of what is tracked.
    pub fn tracked(&self) -> TrackedCounts {
        self.observers.tracking.counts()
    }

    /// Invalidates every copy as `clear` does, when this shard has nothing to clear: clients wait for all shards to
    /// say so.
    pub fn note_cleared(&mut self) {
        self.observers.tracking.note_cleared();
    }
}
