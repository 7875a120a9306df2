//! Tracking: invalidation of the copies of keys that clients hold in caches of their own (CLIENT TRACKING).
//!
//! Owner: `Shard`. Core: the shard's own. There are two modes. A key that a client has read is tracked until its next
//! change, which invalidates the client's copy (`tables`). For a client that named prefixes, every change of a key
//! with one of them is an invalidation (`prefixes`, where only the home cores of those clients are).
//! Cost: nothing while nobody tracks; a tracked key costs a copy of itself and 48 bytes, and one allocation more from
//! its second client on.
//! Bound: `keys_max` keys and `TRACKED_CLIENTS_PER_KEY` times as many pairs of key and client; beyond it another key
//! is dropped, which invalidates its copies. A client that has gone is dropped with its keys, when they change or make
//! room.
//! Invariant: `keys` and `pairs` are what the tables hold.

use std::collections::VecDeque;

use hashbrown::HashTable;
use hashbrown::hash_table::{Entry, IntoIter};

use super::index::hash_key;
use super::prefixes::Prefixes;
use crate::limits::{KEY_BYTES_MAX, TRACKED_CLIENTS_PER_KEY, TRACKED_EVICTIONS_PER_READ, TRACKING_TABLES};
use ahash::RandomState;

/// The id of a client, unique in the process and never used again.
pub type ClientId = u64;

/// No client: ids begin at 1.
pub const NO_CLIENT: ClientId = 0;

/// An invalidation: the copies that have gone stale. The shard collects invalidations, the engine sends them.
#[derive(Debug, PartialEq, Eq)]
pub enum Stale {
    /// The copies of one key that these clients hold.
    Key(Box<[u8]>, Clients),
    /// The copies of one key that clients hold who named a prefix of it.
    Prefixed {
        /// The key that changes.
        key: Box<[u8]>,
        /// The client that changes the key, if its own changes are no invalidations to it; else `NO_CLIENT`.
        writer: ClientId,
    },
    /// All copies of all clients.
    All,
}

/// The source of a change: whether a client may have made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A command changes the key.
    Command,
    /// The key expires or is evicted.
    Shard,
}

/// The numbers of what is tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackedCounts {
    /// Keys that some client may hold.
    pub keys: u64,
    /// Pairs of a key and a client that may hold it.
    pub pairs: u64,
    /// Prefixes that some client named.
    pub prefixes: u64,
}

/// A set of clients that is hardly ever large; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// The smallest id.
    first: ClientId,
    /// The other ids, ascending.
    rest: Vec<ClientId>,
}

impl Clients {
    /// A set of one client.
    pub fn one(client: ClientId) -> Clients {
        Clients { first: client, rest: Vec::new() }
    }

    /// Adds a client. False if it is there already.
    fn insert(&mut self, client: ClientId) -> bool {
        if client == self.first {
            return false;
        }
        if client < self.first {
            self.rest.insert(0, std::mem::replace(&mut self.first, client));
            return true;
        }
        match self.rest.binary_search(&client) {
            Ok(_) => false,
            Err(at) => {
                self.rest.insert(at, client);
                true
            }
        }
    }

    fn contains(&self, client: ClientId) -> bool {
        self.first == client || self.rest.binary_search(&client).is_ok()
    }

    /// The set without one client, if that leaves any.
    fn without(mut self, client: ClientId) -> Option<Clients> {
        if self.first == client {
            if self.rest.is_empty() {
                return None;
            }
            self.first = self.rest.remove(0);
        } else {
            self.rest.retain(|other| *other != client);
        }
        Some(self)
    }

    /// The number of clients.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// The ids of the clients, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ClientId> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }
}

/// A tracked key, and the clients that may hold a copy of it.
struct Tracked {
    key: Box<[u8]>,
    clients: Clients,
}

/// The tracking tables of one shard.
pub(super) struct Tracking {
    hasher: RandomState,
    /// Keys by their hash, in `TRACKING_TABLES` tables so that none grows by much at once; no table while nobody has
    /// tracked. Filled by reads; drained by changes and, at the bound, by reads of other keys.
    tables: Vec<HashTable<Tracked>>,
    keys: u64,
    pairs: u64,
    keys_max: u64,
    /// The hand of the clock: the table that makes room next.
    hand: usize,
    /// For each prefix the home cores of the clients that named it, and how many clients each of them has.
    prefixes: Prefixes<Vec<(u16, u32)>>,
    /// The client that runs the command under way, if its own changes are no invalidations to it; else `NO_CLIENT`.
    writer: ClientId,
    /// The invalidations. Filled by changes, drained by `take_stale` after each command or slice of work.
    stale: Vec<Stale>,
    /// The tables that `clear` left. Drained by `work`.
    garbage: VecDeque<IntoIter<Tracked>>,
}

impl Tracking {
    pub(super) fn new(seeds: [u64; 4]) -> Tracking {
        Tracking {
            hasher: RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3]),
            tables: Vec::new(),
            keys: 0,
            pairs: 0,
            keys_max: u64::MAX,
            hand: 0,
            prefixes: Prefixes::new(seeds),
            writer: NO_CLIENT,
            stale: Vec::new(),
            garbage: VecDeque::new(),
        }
    }

    /// Whether a change of a key may be an invalidation.
    pub(super) fn is_on(&self) -> bool {
        self.keys > 0 || !self.prefixes.is_empty()
    }

    /// Tracks a key that a client has read, and may hold a copy of.
    pub(super) fn track(&mut self, key: &[u8], client: ClientId) {
        // A key of this length is never stored.
        if key.len() > KEY_BYTES_MAX {
            return;
        }
        if self.tables.is_empty() {
            self.tables.resize_with(TRACKING_TABLES, HashTable::new);
        }
        let hash = hash_key(&self.hasher, key);
        if let Some(tracked) = self.tables[table_of(hash)].find_mut(hash, |tracked| *tracked.key == *key) {
            self.pairs += u64::from(tracked.clients.insert(client));
        } else {
            self.make_room(1, TRACKED_EVICTIONS_PER_READ);
            let tracked = Tracked { key: key.into(), clients: Clients::one(client) };
            let hasher = &self.hasher;
            self.tables[table_of(hash)].insert_unique(hash, tracked, |other| hash_key(hasher, &other.key));
            self.keys += 1;
            self.pairs += 1;
        }
        self.make_room(0, TRACKED_EVICTIONS_PER_READ);
    }

    /// Names the client that runs the commands that follow, if its own changes are no invalidations to it; else
    /// `NO_CLIENT`.
    pub(super) fn set_writer(&mut self, writer: ClientId) {
        self.writer = writer;
    }

    /// Counts a client of a home that named a prefix.
    pub(super) fn add_prefix(&mut self, prefix: &[u8], home: u16) {
        let homes = self.prefixes.entry(prefix, Vec::new);
        match homes.iter_mut().find(|(of, _)| *of == home) {
            Some((_, clients)) => *clients += 1,
            None => homes.push((home, 1)),
        }
    }

    /// Counts a client off that named a prefix.
    pub(super) fn remove_prefix(&mut self, prefix: &[u8], home: u16) {
        let Some(homes) = self.prefixes.get_mut(prefix) else { return };
        if let Some((_, clients)) = homes.iter_mut().find(|(of, _)| *of == home) {
            *clients -= 1;
        }
        homes.retain(|(_, clients)| *clients > 0);
        if homes.is_empty() {
            self.prefixes.remove(prefix);
        }
    }

    /// The homes of the clients that named a prefix of a key, each once.
    pub(super) fn homes_of(&self, key: &[u8], homes: &mut Vec<u16>) {
        homes.clear();
        homes.extend(self.prefixes.of(key).flat_map(|(_, homes)| homes.iter().map(|(home, _)| *home)));
        homes.sort_unstable();
        homes.dedup();
    }

    /// Bounds the keys that are tracked. `work` drops those beyond the bound.
    pub(super) fn set_keys_max(&mut self, keys_max: u64) {
        self.keys_max = keys_max;
    }

    /// Whether copies have gone stale since `take_stale`.
    #[inline]
    pub(super) fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Takes the copies that have gone stale, in the order of the changes; `empty` takes the next.
    pub(super) fn take_stale(&mut self, empty: Vec<Stale>) -> Vec<Stale> {
        debug_assert!(empty.is_empty());
        std::mem::replace(&mut self.stale, empty)
    }

    /// The numbers of what is tracked.
    pub(super) fn counts(&self) -> TrackedCounts {
        TrackedCounts { keys: self.keys, pairs: self.pairs, prefixes: self.prefixes.len() as u64 }
    }

    /// Invalidates the copies of a key that is about to change.
    pub(super) fn note(&mut self, key: &[u8], source: Source) {
        let writer = if source == Source::Command { self.writer } else { NO_CLIENT };
        self.note_tracked(key, writer);
        if self.prefixes.of(key).next().is_some() {
            self.stale.push(Stale::Prefixed { key: key.into(), writer });
        }
    }

    fn note_tracked(&mut self, key: &[u8], writer: ClientId) {
        if self.keys == 0 {
            return;
        }
        let hash = hash_key(&self.hasher, key);
        let hasher = &self.hasher;
        let Entry::Occupied(mut tracked) = self.tables[table_of(hash)].entry(
            hash,
            |tracked| *tracked.key == *key,
            |other| hash_key(hasher, &other.key),
        ) else {
            return;
        };
        if writer != NO_CLIENT && tracked.get().clients.contains(writer) {
            // The writer knows what it has written, and may hold that: it is tracked until the next change.
            let clients = std::mem::replace(&mut tracked.get_mut().clients, Clients::one(writer));
            self.pairs -= clients.len() as u64 - 1;
            if let Some(others) = clients.without(writer) {
                self.stale.push(Stale::Key(key.into(), others));
            }
            return;
        }
        let (Tracked { key, clients }, _) = tracked.remove();
        self.invalidate(key, clients);
    }

    /// Invalidates the copies of a key that has left its table.
    fn invalidate(&mut self, key: Box<[u8]>, clients: Clients) {
        self.keys -= 1;
        self.pairs -= clients.len() as u64;
        self.stale.push(Stale::Key(key, clients));
    }

    /// Drops keys until so many more fit, or the steps run out. Returns the steps that are left.
    fn make_room(&mut self, more: u64, mut steps: u32) -> u32 {
        while steps > 0 && self.is_beyond(more) {
            let tables = self.tables.len();
            let full = (0..tables).map(|at| (self.hand + at) % tables).find(|at| !self.tables[*at].is_empty());
            let Some(at) = full else { break };
            self.hand = (at + 1) % tables;
            // The first of a table is as random as the hash is.
            let Some(Tracked { key, clients }) = self.tables[at].extract_if(|_| true).next() else { break };
            self.invalidate(key, clients);
            steps -= 1;
        }
        steps
    }

    /// Whether the tables would be beyond their bound with so many keys more.
    fn is_beyond(&self, more: u64) -> bool {
        self.keys > 0
            && (self.keys + more > self.keys_max
                || self.pairs + more > self.keys_max.saturating_mul(TRACKED_CLIENTS_PER_KEY))
    }

    /// Whether `work` has something to do.
    pub(super) fn has_work(&self) -> bool {
        self.is_beyond(0) || !self.garbage.is_empty()
    }

    /// Drops keys that are beyond a lowered bound, and frees what `clear` left, a step a key.
    pub(super) fn work(&mut self, steps: &mut u32) {
        *steps = self.make_room(0, *steps);
        while *steps > 0
            && let Some(oldest) = self.garbage.front_mut()
        {
            if oldest.next().is_none() {
                self.garbage.pop_front();
            }
            *steps -= 1;
        }
    }

    /// Drops all keys, which are about to be cleared, and invalidates every copy.
    pub(super) fn clear(&mut self) {
        let tables = std::mem::take(&mut self.tables);
        self.garbage.extend(tables.into_iter().filter(|table| !table.is_empty()).map(HashTable::into_iter));
        (self.keys, self.pairs, self.hand) = (0, 0, 0);
        self.note_cleared();
    }

    /// Invalidates every copy, though no key changes.
    pub(super) fn note_cleared(&mut self) {
        self.stale.push(Stale::All);
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        let all = || self.tables.iter().flatten();
        assert_eq!(all().count() as u64, self.keys);
        assert_eq!(all().map(|tracked| tracked.clients.len() as u64).sum::<u64>(), self.pairs);
        for tracked in all() {
            assert!(tracked.clients.iter().is_sorted_by(|one, other| one < other));
        }
        self.prefixes.verify();
    }
}

/// The table of a hash. Inside a table other bits of it count.
fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TRACKING_TABLES
}
