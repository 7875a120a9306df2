//! Shard: the private keyspace of one core. Get, insert, remove, touch and their like are its only doors.
//!
//! Owner: the engine of one core. Core: that one, always (the type is not `Send`). Cost: about 33 bytes per item
//! besides key and value; every door is O(1) but for bounded eviction in `insert`; a hit is one index probe, one
//! entry, one blob, one note of the access. Never: does I/O, reads a clock (`now_ms` is unix time in milliseconds, and may
//! go backwards), takes an unbounded turn, returns an expired item.
//! Invariant: whatever `verify` asserts.
//!
//! ```text
//!  key ─hash─▶ index ─▶ slab: entry ─▶ blob [timer word] key value        account: bytes, items, budget
//!                        │  ▲ prev/next: policy's queues         │
//!                        │  └────────────────────────────────────┼─ wheel: node {deadline, entry}
//! ```
//!
//! | files | what |
//! |---|---|
//! | `mod`, `databases`, `observe`, `cut`, `work`, `scan`, `warm` | the doors, which are methods of `Shard` |
//! | `mutate` | the one function per kind of change, below all doors |
//! | `observers` | the parts that learn of each `change`: `events` for key events, `watch` for WATCH, `tracking` over `prefixes` for CLIENT TRACKING, `preimage` for snapshots |
//! | `index`, `slab` over `entry`, `wheel` | the structures that hold items, with `pages` below them |
//! | `policy` over `queue` and `ghosts` | admission and eviction; `estimate` replays them for other budgets, `idle` is the access clock |
//! | `account`, `garbage` | what the items cost, and what a clear left |

mod account;
mod change;
mod cut;
mod databases;
mod entry;
mod estimate;
mod event;
mod events;
mod garbage;
mod ghosts;
mod idle;
mod index;
mod mutate;
mod observe;
mod observers;
mod pages;
mod policy;
mod prefixes;
mod preimage;
mod queue;
mod scan;
mod slab;
#[cfg(test)]
mod tests;
mod tracking;
#[cfg(any(test, feature = "verify"))]
mod verify;
mod warm;
mod watch;
mod wheel;
mod work;

use std::collections::VecDeque;

pub use self::account::{Budget, Counters, Room};
pub use self::databases::DatabaseSize;
pub use self::entry::Database;
pub use self::event::{EVENTS, Event};
pub use self::events::noted;
pub use self::policy::{Admissions, Eviction};
pub use self::prefixes::Prefixes;
pub use self::preimage::CutProgress;
pub use self::tracking::{ClientId, Clients, NO_CLIENT, Stale, TrackedCounts};
pub use self::watch::Watcher;

use self::account::Account;
use self::change::{Cause, Change};
use self::databases::Databases;
use self::entry::EntryIndex;
use self::estimate::{Estimate, Sampled};
use self::garbage::Garbage;
use self::index::Index;
use self::observers::Observers;
use self::policy::Policy;
use self::slab::Slab;
use self::wheel::Wheel;
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// The keyspace of one core.
///
/// A key is one of the selected database; see `databases`.
/// Doors that change items: `get`, `insert`, `remove`, `touch`, `set_expiry`, `set_idle_s`, `clear`, `load`. Doors
/// that leave no trace: `peek`, `scan`, `random_key` and the getters. `work` is to be called when idle, and from time
/// to time when not.
pub struct Shard {
    slab: Slab,
    /// The index of the selected database.
    index: Index,
    databases: Databases,
    policy: Policy,
    wheel: Wheel,
    account: Account,
    budget: Budget,
    observers: Observers,
    /// The hits of other budgets, estimated once this one is half used.
    estimate: Option<Box<Estimate>>,
    /// What victims are drawn by where those with a deadline alone may go.
    draws: u64,
    /// The garbage of `clear`. Filled by `clear`; drained by `work`, oldest first; bounded by what was stored.
    garbage: VecDeque<Garbage>,
}

/// The configuration of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardConfig {
    /// The budget of the shard.
    pub budget: Budget,
    /// The eviction policy.
    pub eviction: Eviction,
    /// The seeds of the hash; to be random, so that nobody can choose keys that collide.
    pub hash_seeds: [u64; 4],
}

/// The deadline an insertion gives its item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// The deadline of the item that is overwritten, if any (KEEPTTL).
    Keep,
    /// No deadline.
    Never,
    /// The unix time in milliseconds from which on the item is expired.
    At(u64),
}

/// Whether the eviction policy counts a read as an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recency {
    /// The read is an access.
    Touch,
    /// The read is no access (CLIENT NO-TOUCH).
    Keep,
}

/// A live item, borrowed from its shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item<'a> {
    /// The value of the item.
    pub value: &'a [u8],
    /// The unix time in milliseconds from which on the item is expired, if it has a TTL.
    pub expires_at_ms: Option<u64>,
}

/// A refusal to store an item: the budget is reached and nothing may be evicted, or the item can never fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// The progress of a slice of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The number of steps done.
    pub steps: u32,
    /// Whether more work waits right now: call again, after letting others run.
    pub more: bool,
}

impl Shard {
    /// Makes an empty shard, of a few KiB.
    pub fn new(config: ShardConfig) -> Self {
        Self {
            slab: Slab::default(),
            index: Index::new(config.hash_seeds),
            databases: Databases::new(config.hash_seeds),
            policy: Policy::new(config.eviction, config.budget, |slab, at| slab.entry(at).cost()),
            wheel: Wheel::default(),
            account: Account::default(),
            budget: config.budget,
            observers: Observers::new(config.hash_seeds),
            estimate: None,
            draws: config.hash_seeds[0] | 1,
            garbage: VecDeque::new(),
        }
    }

    /// The item of a key. Counts a hit or a miss; removes an expired item.
    #[inline]
    pub fn get(&mut self, key: &[u8], recency: Recency, now_ms: u64) -> Option<Item<'_>> {
        let Some(at) = self.look_up(key, recency, now_ms) else {
            self.note_miss(key);
            return None;
        };
        Some(self.item(at))
    }

    /// As [`get`](Self::get), for commands that need the value alone.
    #[inline]
    pub fn get_value(&mut self, key: &[u8], recency: Recency, now_ms: u64) -> Option<&[u8]> {
        let Some(at) = self.look_up(key, recency, now_ms) else {
            self.note_miss(key);
            return None;
        };
        Some(self.slab.entry(at).value())
    }

    /// As [`get`](Self::get), for commands whose misses are no key events.
    pub fn get_silently(&mut self, key: &[u8], recency: Recency, now_ms: u64) -> Option<Item<'_>> {
        self.look_up(key, recency, now_ms).map(|at| self.item(at))
    }

    #[inline]
    fn look_up(&mut self, key: &[u8], recency: Recency, now_ms: u64) -> Option<EntryIndex> {
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        if self.estimate.as_ref().is_some_and(|estimate| estimate.has(hash)) {
            self.estimate_get(hash, found, now_ms);
        }
        let Some(at) = found else {
            self.observers.counters.misses += 1;
            return None;
        };
        self.observers.counters.hits += 1;
        if recency == Recency::Touch {
            self.touch_entry(at, now_ms);
        }
        Some(at)
    }

    /// Stores an item, new or over the old one, as accessed just now: the one way in. May evict others. With a
    /// deadline that has passed the key is absent afterwards. On `Full` nothing has changed, the old item
    /// included, but that expired items may have been removed.
    pub fn insert(&mut self, key: &[u8], value: &[u8], expiry: Expiry, now_ms: u64) -> Result<(), Full> {
        self.insert_as(Event::Set, key, value, expiry, now_ms)
    }

    /// As [`insert`](Self::insert), for commands that have another key event than SET.
    pub fn insert_as(
        &mut self,
        event: Event,
        key: &[u8],
        value: &[u8],
        expiry: Expiry,
        now_ms: u64,
    ) -> Result<(), Full> {
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(Full);
        }
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        let deadline_ms = match expiry {
            Expiry::Keep => found.and_then(|at| self.deadline_ms(at)),
            Expiry::Never => None,
            Expiry::At(deadline_ms) => Some(deadline_ms),
        };
        if deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            let overdue = event == Event::Set;
            match found {
                Some(at) => drop(self.remove_entry(at, hash, if overdue { Cause::Overdue } else { Cause::Removed })),
                None if overdue => self.tell(key, Change::StoreOverdue),
                None => {}
            }
            return Ok(());
        }
        let timed_anew = matches!(expiry, Expiry::At(_));
        let plan = self.plan(found, hash, key, value, deadline_ms, timed_anew);
        self.make_room(&plan, now_ms)?;
        self.store_entry(event, plan, key, value, now_ms);
        Ok(())
    }

    /// Stores an item that is about to be removed from another database, where the key is absent: it takes the room of that,
    /// and evicts none.
    pub fn insert_moved(
        &mut self,
        key: &[u8],
        value: &[u8],
        deadline_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<(), Full> {
        if self.slab.is_full() {
            return Err(Full);
        }
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        let plan = self.plan(found, hash, key, value, deadline_ms, deadline_ms.is_some());
        self.store_entry(Event::MoveTo, plan, key, value, now_ms);
        Ok(())
    }

    /// Stores an item of a snapshot, which needs no probation.
    fn insert_known(
        &mut self,
        key: &[u8],
        value: &[u8],
        deadline_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<EntryIndex, Full> {
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(Full);
        }
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        let mut plan = self.plan(found, hash, key, value, deadline_ms, deadline_ms.is_some());
        plan.is_known = true;
        self.make_room(&plan, now_ms)?;
        Ok(self.store_entry(Event::Set, plan, key, value, now_ms))
    }

    /// Removes a key. True if it had a live item.
    pub fn remove(&mut self, key: &[u8], now_ms: u64) -> bool {
        self.remove_for(key, Cause::Removed, now_ms)
    }

    /// Removes a key whose value RENAME has stored under another.
    pub fn remove_renamed(&mut self, key: &[u8], now_ms: u64) -> bool {
        self.remove_for(key, Cause::Renamed, now_ms)
    }

    /// Removes a key whose value MOVE has stored in another database.
    pub fn remove_moved(&mut self, key: &[u8], now_ms: u64) -> bool {
        self.remove_for(key, Cause::Moved, now_ms)
    }

    fn remove_for(&mut self, key: &[u8], cause: Cause, now_ms: u64) -> bool {
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        if let Some(at) = found {
            self.remove_entry(at, hash, cause);
        }
        found.is_some()
    }

    /// Counts an access to a key. True if the key is present.
    pub fn touch(&mut self, key: &[u8], now_ms: u64) -> bool {
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        if let Some(at) = found {
            self.touch_entry(at, now_ms);
        }
        found.is_some()
    }

    /// Gives a key another deadline (unix time in milliseconds), or none. True if the key was present. A deadline that
    /// has passed removes it, which counts as a removal. May exceed the budget by the few bytes of a timer.
    pub fn set_expiry(&mut self, key: &[u8], expires_at_ms: Option<u64>, now_ms: u64) -> bool {
        let hash = self.index.hash(key);
        let Some(at) = self.live(key, hash, now_ms) else {
            return false;
        };
        if expires_at_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            self.remove_entry(at, hash, Cause::Removed);
        } else {
            self.retime_entry(at, expires_at_ms, now_ms);
        }
        true
    }

    /// Removes all items of all databases, in O(1): the memory is freed by `work`. Returns the number of items removed.
    pub fn clear(&mut self) -> u64 {
        let items = self.len();
        self.note_clear();
        self.observers.on_flush(items);
        self.forget_spaces();
        let slab = std::mem::take(&mut self.slab);
        let walkway = self.policy.walkway();
        let garbage = Garbage { slab, segments: self.index.reset(), nodes: self.wheel.reset(), walkway };
        if garbage.slab.positions() > 0 {
            self.discard(garbage);
        }
        self.policy.clear();
        self.estimate = None;
        self.account = Account::default();
        items
    }

    /// The room that is lacking for a command which may store these keys, and so many bytes with them; `None` if they fit the
    /// budget, or not even `whole`, the bounds of all shards together.
    pub fn lacks<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        bytes: usize,
        whole: &Budget,
    ) -> Option<Room> {
        let count = keys.clone().count();
        let added_bytes = account::items_bytes(count, bytes);
        let mut items = (self.len() + count as u64).saturating_sub(self.budget.items_max);
        if items > 0 {
            let is_new = |key: &&[u8]| self.find(key, self.index.hash(key)).is_none();
            let new = keys.filter(is_new).count() as u64;
            // A debt is for eviction to pay.
            items = (self.len() + new).saturating_sub(self.budget.items_max).min(new);
        }
        let bytes = self.bytes().saturating_add(added_bytes).saturating_sub(self.budget.bytes_max).min(added_bytes);
        let fits = items <= whole.items_max && added_bytes <= whole.bytes_max;
        (fits && (items > 0 || bytes > 0)).then_some(Room { items, bytes })
    }

    /// Sets the budget. Items beyond it are evicted by `work` and later insertions, in slices.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
        self.policy.set_budget(budget);
        if let Some(estimate) = &mut self.estimate {
            estimate.set_budget(budget);
        }
    }

    /// Sets the eviction policy.
    pub fn set_eviction(&mut self, eviction: Eviction) {
        self.policy.set_eviction(eviction);
        if let Some(estimate) = &mut self.estimate {
            estimate.set_eviction(eviction);
        }
    }

    /// Whether an item was evicted or refused for want of room since the last call.
    pub fn take_pressure(&mut self) -> bool {
        std::mem::take(&mut self.observers.pressure)
    }

    /// Sets the counters back to zero.
    pub fn reset_counters(&mut self) {
        self.observers.counters.reset();
        self.policy.reset_admissions();
        if let Some(estimate) = &mut self.estimate {
            estimate.reset();
        }
    }

    /// The item of a key, without a trace: no counter, no access, no removal.
    pub fn peek(&self, key: &[u8], now_ms: u64) -> Option<Item<'_>> {
        let at = self.find(key, self.index.hash(key))?;
        (!self.has_expired(at, now_ms)).then(|| self.item(at))
    }

    /// The item of a key, for commands that only look: no counter, no recency. Removes it if its time has passed: a client
    /// that was told so does not find it again when the clock is set back.
    #[inline]
    pub fn look(&mut self, key: &[u8], now_ms: u64) -> Option<Item<'_>> {
        let at = self.live(key, self.index.hash(key), now_ms)?;
        Some(self.item(at))
    }

    /// Seconds since the last access to a key; `idle` says how far back that reaches. Leaves no trace.
    pub fn idle_s(&self, key: &[u8], now_ms: u64) -> Option<u64> {
        let at = self.find(key, self.index.hash(key))?;
        (!self.has_expired(at, now_ms)).then(|| idle::idle_s(self.slab.entry(at).accessed(), now_ms))
    }

    /// Sets the seconds since the last access to a key, `IDLE_S_MAX` at most; the key keeps its place in the order of
    /// eviction. True if the key is present.
    pub fn set_idle_s(&mut self, key: &[u8], idle_s: u64, now_ms: u64) -> bool {
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        if let Some(at) = found {
            self.slab.entry_mut(at).set_accessed(idle::stamp_before(now_ms, idle_s));
        }
        found.is_some()
    }

    /// Bytes charged for the item of one key, its part of `bytes`. Leaves no trace.
    pub fn bytes_of(&self, key: &[u8], now_ms: u64) -> Option<u64> {
        let at = self.find(key, self.index.hash(key))?;
        (!self.has_expired(at, now_ms)).then(|| self.cost(at))
    }

    /// The number of items stored, those included that have expired and were neither accessed nor reached by `work`
    /// since.
    pub fn len(&self) -> u64 {
        self.account.items()
    }

    /// Keys that the index has hashed again to grow, so far: what growth has cost.
    #[inline]
    pub fn rehashed(&self) -> u64 {
        self.index.rehashed()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes charged for all items: keys, values, and overhead as `account` reckons it.
    pub fn bytes(&self) -> u64 {
        self.account.bytes()
    }

    /// The number of items that have a TTL.
    pub fn timed_len(&self) -> u64 {
        u64::from(self.wheel.len())
    }

    /// The mean of the deadlines of all items that have a TTL, unix time in milliseconds.
    pub fn mean_deadline_ms(&self) -> Option<u64> {
        self.wheel.mean_deadline_ms()
    }

    /// The counters of the shard.
    pub fn counters(&self) -> &Counters {
        &self.observers.counters
    }

    /// The counters of admission.
    pub fn admissions(&self) -> Admissions {
        self.policy.admissions()
    }

    /// The estimated hits of half and of twice the budget, in place of `counters().hits`; `None` until the budget is
    /// half used.
    pub fn hits_estimated(&self) -> Option<[u64; 2]> {
        let Counters { hits, misses, .. } = *self.counters();
        let gained = self.estimate.as_ref()?.gained();
        Some(gained.map(|gained| hits.saturating_add_signed(gained).min(hits + misses)))
    }

    /// The number of accesses to a key that S3-FIFO has counted lately, 3 at most. Leaves no trace.
    pub fn frequency(&self, key: &[u8], now_ms: u64) -> Option<u8> {
        let at = self.find(key, self.index.hash(key))?;
        (!self.has_expired(at, now_ms)).then(|| self.slab.entry(at).frequency())
    }

    /// The budget of the shard.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// The eviction policy.
    pub fn eviction(&self) -> Eviction {
        self.policy.eviction()
    }

    /// The entry of a key, expired or not.
    #[inline]
    fn find(&self, key: &[u8], hash: u64) -> Option<EntryIndex> {
        self.index.find(hash, |at| self.slab.entry(at).holds(key))
    }

    /// The entry of a key; removes an expired one.
    #[inline]
    fn live(&mut self, key: &[u8], hash: u64, now_ms: u64) -> Option<EntryIndex> {
        let at = self.find(key, hash)?;
        if self.has_expired(at, now_ms) {
            self.remove_entry(at, hash, Cause::Expired);
            return None;
        }
        Some(at)
    }

    /// Replays a GET of a key in the estimate.
    #[cold]
    fn estimate_get(&mut self, hash: u64, found: Option<EntryIndex>, now_ms: u64) {
        let item = found.map(|at| self.sampled(hash, at));
        if let Some(estimate) = &mut self.estimate {
            estimate.on_get(hash, item, now_ms);
        }
    }

    fn sampled(&self, hash: u64, at: EntryIndex) -> Sampled {
        Sampled { hash, cost: self.cost(at), deadline_ms: self.deadline_ms(at) }
    }

    /// Begins the estimate, or begins it anew with a smaller sample.
    #[cold]
    fn begin_estimate(&mut self) {
        let (items, bytes) = (self.account.items().max(1), self.account.bytes().max(1));
        let Budget { items_max, bytes_max } = self.budget;
        let full = |max: u64, held: u64| if max == u64::MAX { f64::INFINITY } else { max as f64 / held as f64 };
        let items_full = items as f64 * full(items_max, items).min(full(bytes_max, bytes));
        self.estimate = Some(Box::new(Estimate::new(self.policy.eviction(), self.budget, items_full as u64)));
    }

    #[inline]
    fn item(&self, at: EntryIndex) -> Item<'_> {
        Item { value: self.slab.entry(at).value(), expires_at_ms: self.deadline_ms(at) }
    }
}
