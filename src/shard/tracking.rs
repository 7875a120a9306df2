//! Tracking: which clients may hold a copy of a key of this shard in a cache of their own (CLIENT TRACKING), and which
//! of those copies have gone stale.
//!
//! Owner: `Shard`. Core: the shard's own. Two ways to be told: a client that has read a key is told of the key's next
//! change and then forgotten (`tables`); a client that named prefixes is told of every change of a key that has one
//! (`prefixes`; here stand only the cores of those clients). Cost: nothing while nobody tracks; a key that is tracked
//! costs a copy of itself and 48 bytes, which fills its second client.
//! Bound: `keys_max` keys and `TRACKED_CLIENTS_PER_KEY` times as many pairs of key and client; at it another key is
//! forgotten, and its clients are told that their copies are stale. A client that has gone is forgotten when its keys
//! change or make room.
//! Invariant: `keys` and `pairs` are what the tables hold.

use std::collections::VecDeque;

use hashbrown::HashTable;
use hashbrown::hash_table::{Entry, IntoIter};

use super::index::hash_key;
use super::prefixes::Prefixes;
use crate::limits::{KEY_BYTES_MAX, TRACKED_CLIENTS_PER_KEY, TRACKED_EVICTIONS_PER_READ, TRACKING_TABLES};
use ahash::RandomState;

/// A client's id, which is unique in the process and never used again.
pub type ClientId = u64;

/// No client: ids begin at 1.
pub const NO_CLIENT: ClientId = 0;

/// Copies that have gone stale. The shard collects them, the engine tells the clients.
#[derive(Debug, PartialEq, Eq)]
pub enum Stale {
    /// Those of one key, of these clients.
    Key(Box<[u8]>, Clients),
    /// Those of one key, of all clients that named a prefix of it.
    Prefixed {
        /// The key.
        key: Box<[u8]>,
        /// The client that changed it, if that does not want to hear of its own changes; or `NO_CLIENT`.
        writer: ClientId,
    },
    /// All of all clients.
    All,
}

/// Why a key has changed, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A command said so.
    Command,
    /// Its time, or the shard's bound.
    Shard,
}

/// What is remembered, in numbers.
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
    /// The smallest.
    first: ClientId,
    /// The others, ascending.
    rest: Vec<ClientId>,
}

impl Clients {
    /// One client.
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

    /// All but one of them, if that leaves any.
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

    /// How many.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ClientId> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }
}

struct Tracked {
    key: Box<[u8]>,
    clients: Clients,
}

/// What one shard knows of the copies that clients have.
pub(super) struct Tracking {
    hasher: RandomState,
    /// Keys by their hash, in `TRACKING_TABLES` tables so that none grows by much at once; no table while nobody has
    /// tracked. Filled by reads; drained by changes and, at the bound, by reads of other keys.
    tables: Vec<HashTable<Tracked>>,
    keys: u64,
    pairs: u64,
    keys_max: u64,
    /// The table that makes room next.
    hand: usize,
    /// For each prefix the homes of the clients that named it, and how many of them are there.
    prefixes: Prefixes<Vec<(u16, u32)>>,
    /// Who runs the command that is under way, if that does not want to hear of its own changes.
    writer: ClientId,
    /// Filled by changes, drained by `take_stale` after each command or slice of work.
    stale: Vec<Stale>,
    /// What a `clear` left. Drained by `work`.
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

    /// Whether a change of a key may matter to anybody.
    pub(super) fn is_on(&self) -> bool {
        self.keys > 0 || !self.prefixes.is_empty()
    }

    /// A client has read a key, and may hold a copy of it.
    pub(super) fn track(&mut self, key: &[u8], client: ClientId) {
        // There is no such key, and there never will be.
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

    /// Names the client that runs the commands that follow, if it does not want to hear of its own changes; else
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

    /// A key has changed.
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
            // It knows what it has written, and may hold that: it stays, to be told of the next change.
            let clients = std::mem::replace(&mut tracked.get_mut().clients, Clients::one(writer));
            self.pairs -= clients.len() as u64 - 1;
            if let Some(others) = clients.without(writer) {
                self.stale.push(Stale::Key(key.into(), others));
            }
            return;
        }
        let (Tracked { key, clients }, _) = tracked.remove();
        self.forgotten(key, clients);
    }

    /// A key has left its table.
    fn forgotten(&mut self, key: Box<[u8]>, clients: Clients) {
        self.keys -= 1;
        self.pairs -= clients.len() as u64;
        self.stale.push(Stale::Key(key, clients));
    }

    /// Forgets keys until so many more fit, or the steps run out. Returns the steps that are left.
    fn make_room(&mut self, more: u64, mut steps: u32) -> u32 {
        while steps > 0 && self.is_beyond(more) {
            let tables = self.tables.len();
            let full = (0..tables).map(|at| (self.hand + at) % tables).find(|at| !self.tables[*at].is_empty());
            let Some(at) = full else { break };
            self.hand = (at + 1) % tables;
            // The first of a table is as random as the hash is.
            let Some(Tracked { key, clients }) = self.tables[at].extract_if(|_| true).next() else { break };
            self.forgotten(key, clients);
            steps -= 1;
        }
        steps
    }

    /// Whether more is remembered than may be, with so many keys more.
    fn is_beyond(&self, more: u64) -> bool {
        self.keys > 0
            && (self.keys + more > self.keys_max
                || self.pairs + more > self.keys_max.saturating_mul(TRACKED_CLIENTS_PER_KEY))
    }

    /// Whether `work` has something to do.
    pub(super) fn has_work(&self) -> bool {
        self.is_beyond(0) || !self.garbage.is_empty()
    }

    /// Pays what a smaller bound left, and frees what `clear` left, a step a key.
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

    /// All keys are about to go: every copy goes stale.
    pub(super) fn clear(&mut self) {
        let tables = std::mem::take(&mut self.tables);
        self.garbage.extend(tables.into_iter().filter(|table| !table.is_empty()).map(HashTable::into_iter));
        (self.keys, self.pairs, self.hand) = (0, 0, 0);
        self.note_cleared();
    }

    /// Every copy goes stale, though no key goes.
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
