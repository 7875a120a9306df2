//! Shard: the private keyspace of one core. Get, insert, remove, touch and their like are its only doors.
//!
//! Owner: the engine of one core. Core: that one, always (the type is not `Send`). Cost: about 33 bytes per item
//! besides key and value; every door is O(1) but for bounded eviction in `insert`; a hit is one index probe, one
//! entry, one blob, one relinking. Never: does I/O, reads a clock (`now_ms` is unix time in milliseconds, and may
//! go backwards), takes an unbounded turn, returns an item whose time has passed.
//! Invariant: whatever `verify` asserts.
//!
//! ```text
//!  key ─hash─▶ index ─▶ slab: entry ─▶ blob [timer word] key value        account: bytes, items, budget
//!                        │  ▲ prev/next: policy's queues         │
//!                        │  └────────────────────────────────────┼─ wheel: node {deadline, entry}
//! ```
//!
//! Files: `mod` (the doors), `mutate` (the one function per kind of change), `change` (what a mutation is told as, and everybody
//! behind it: `events` for key events, `watch` for WATCH, `tracking` over `prefixes` for CLIENT TRACKING, `preimage` for what a
//! snapshot needs of what changes), `work` (sliced work), `scan`, `warm`, and the structures `index`, `slab` over `entry`, `policy` over `queue`
//! and `ghosts` with `estimate` beside it, `idle`, `wheel`, `account`, with `pages` below two of them.

mod account;
mod change;
mod cut;
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

pub use self::account::{Budget, Counters};
pub use self::event::{EVENTS, Event};
pub use self::events::noted;
pub use self::policy::{Admissions, Eviction};
pub use self::prefixes::Prefixes;
pub use self::preimage::CutProgress;
pub use self::tracking::{ClientId, Clients, NO_CLIENT, Stale, TrackedCounts};
pub use self::watch::Watcher;

use self::account::Account;
use self::change::{Cause, Change};
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
/// Doors that change: `get`, `insert`, `remove`, `touch`, `set_expiry`, `set_idle_s`, `clear`, `load`, and those of a cut. Doors that only look: `peek`,
/// `scan`, `random_key` and the getters. To be called when idle and from time to time when not: `work`.
pub struct Shard {
    slab: Slab,
    index: Index,
    policy: Policy,
    wheel: Wheel,
    account: Account,
    budget: Budget,
    observers: Observers,
    /// What other budgets would come to, once this one is half used.
    estimate: Option<Box<Estimate>>,
    /// What `clear` left. Filled by `clear`; drained by `work`, oldest first; bounded by what was stored.
    garbage: VecDeque<Garbage>,
}

/// What a shard is made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardConfig {
    /// What it may hold.
    pub budget: Budget,
    /// What it does when that is reached.
    pub eviction: Eviction,
    /// Keys of the hash; to be random, so that nobody can choose keys that collide.
    pub hash_seeds: [u64; 4],
}

/// The deadline an insertion gives its item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// That of the item it overwrites, if any (KEEPTTL).
    Keep,
    /// None.
    Never,
    /// Unix time in milliseconds from which on the item is gone.
    At(u64),
}

/// Whether a look at an item makes it the most recently used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recency {
    /// It does.
    Touch,
    /// It does not (CLIENT NO-TOUCH).
    Keep,
}

/// A live item, borrowed from its shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item<'a> {
    /// The value.
    pub value: &'a [u8],
    /// Unix time in milliseconds from which on it is gone, if it has a TTL.
    pub expires_at_ms: Option<u64>,
}

/// The item was not stored: the budget is reached and nothing may be evicted, or the item can never fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// What `Shard::work` came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Steps done.
    pub steps: u32,
    /// Whether more is waiting right now: call again, after letting others run.
    pub more: bool,
}

impl Shard {
    /// An empty shard of a few KiB.
    pub fn new(config: ShardConfig) -> Self {
        Self {
            slab: Slab::default(),
            index: Index::new(config.hash_seeds),
            policy: Policy::new(config.eviction, config.budget, |slab, at| slab.entry(at).cost()),
            wheel: Wheel::default(),
            account: Account::default(),
            budget: config.budget,
            observers: Observers::new(config.hash_seeds),
            estimate: None,
            garbage: VecDeque::new(),
        }
    }

    /// The item of a key. Counts a hit or a miss; removes the item if its time has passed.
    #[inline]
    pub fn get(&mut self, key: &[u8], recency: Recency, now_ms: u64) -> Option<Item<'_>> {
        let Some(at) = self.look_up(key, recency, now_ms) else {
            self.observers.events.note(Event::KeyMiss, key);
            return None;
        };
        Some(self.item(at))
    }

    /// As [`get`](Self::get), for commands that tell nobody of a miss.
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

    /// As [`insert`](Self::insert), which is a SET, for what key events call by another name.
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
        self.make_room(plan, now_ms)?;
        self.store_entry(event, plan, key, value, now_ms);
        Ok(())
    }

    /// Stores an item of a snapshot: one that the policy takes for proven.
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
        self.make_room(plan, now_ms)?;
        Ok(self.store_entry(Event::Set, plan, key, value, now_ms))
    }

    /// Removes a key. True if a live item went.
    pub fn remove(&mut self, key: &[u8], now_ms: u64) -> bool {
        self.remove_for(key, Cause::Removed, now_ms)
    }

    /// Removes a key whose value has another now.
    pub fn remove_renamed(&mut self, key: &[u8], now_ms: u64) -> bool {
        self.remove_for(key, Cause::Renamed, now_ms)
    }

    fn remove_for(&mut self, key: &[u8], cause: Cause, now_ms: u64) -> bool {
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        if let Some(at) = found {
            self.remove_entry(at, hash, cause);
        }
        found.is_some()
    }

    /// Makes a key the most recently used. True if it is there.
    pub fn touch(&mut self, key: &[u8], now_ms: u64) -> bool {
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        if let Some(at) = found {
            self.touch_entry(at, now_ms);
        }
        found.is_some()
    }

    /// Gives a key another deadline (unix time in milliseconds), or none. True if the key was there. A deadline
    /// that has passed removes it, which counts as a removal. May run into debt by the few bytes of a timer.
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

    /// Removes everything, in O(1): the memory is freed by `work`. Returns the number of items that went.
    pub fn clear(&mut self) -> u64 {
        let items = self.len();
        let (index, slab) = (&self.index, &self.slab);
        let is_stored = |key: &[u8]| index.find(index.hash(key), |at| slab.entry(at).holds(key)).is_some();
        self.observers.on_clear(items, is_stored);
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

    /// Changes what the shard may hold. If it holds more, `work` and later insertions evict it, in slices.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
        self.policy.set_budget(budget);
        if let Some(estimate) = &mut self.estimate {
            estimate.set_budget(budget);
        }
    }

    /// Changes what happens when the budget is reached.
    pub fn set_eviction(&mut self, eviction: Eviction) {
        self.policy.set_eviction(eviction);
        if let Some(estimate) = &mut self.estimate {
            estimate.set_eviction(eviction);
        }
    }

    /// Whether anything was evicted or refused for the budget's sake since the last call.
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

    /// The item of a key, without a trace: no counter, no recency, no removal.
    pub fn peek(&self, key: &[u8], now_ms: u64) -> Option<Item<'_>> {
        let at = self.find(key, self.index.hash(key))?;
        (!self.has_expired(at, now_ms)).then(|| self.item(at))
    }

    /// Seconds since a key was last touched or stored; see `idle` for how far back that reaches. Leaves no trace.
    pub fn idle_s(&self, key: &[u8], now_ms: u64) -> Option<u64> {
        let at = self.find(key, self.index.hash(key))?;
        (!self.has_expired(at, now_ms)).then(|| idle::idle_s(self.slab.entry(at).accessed(), now_ms))
    }

    /// Makes a key look as if it was last accessed so many seconds ago (`IDLE_S_MAX` at most), leaving its place in the
    /// order of eviction. True if it was there.
    pub fn set_idle_s(&mut self, key: &[u8], idle_s: u64, now_ms: u64) -> bool {
        let hash = self.index.hash(key);
        let found = self.live(key, hash, now_ms);
        if let Some(at) = found {
            self.slab.entry_mut(at).set_accessed(idle::stamp_before(now_ms, idle_s));
        }
        found.is_some()
    }

    /// Bytes charged for one key, of what `bytes` counts for all. Leaves no trace.
    pub fn bytes_of(&self, key: &[u8], now_ms: u64) -> Option<u64> {
        let at = self.find(key, self.index.hash(key))?;
        (!self.has_expired(at, now_ms)).then(|| self.cost(at))
    }

    /// Items stored, those included whose time has passed but which nobody has noticed yet.
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

    /// Items that have a TTL.
    pub fn timed_len(&self) -> u64 {
        u64::from(self.wheel.len())
    }

    /// The mean of the deadlines of all items that have a TTL, unix time in milliseconds.
    pub fn mean_deadline_ms(&self) -> Option<u64> {
        self.wheel.mean_deadline_ms()
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.observers.counters
    }

    /// What admission has come to so far.
    pub fn admissions(&self) -> Admissions {
        self.policy.admissions()
    }

    /// Hits that half and twice the budget would have had in place of `counters().hits`, estimated; `None` until the budget is
    /// half used.
    pub fn hits_estimated(&self) -> Option<[u64; 2]> {
        let Counters { hits, misses, .. } = *self.counters();
        let gained = self.estimate.as_ref()?.gained();
        Some(gained.map(|gained| hits.saturating_add_signed(gained).min(hits + misses)))
    }

    /// How often a key was accessed lately, as far as S3-FIFO counts, which is to 3. Leaves no trace.
    pub fn frequency(&self, key: &[u8], now_ms: u64) -> Option<u8> {
        let at = self.find(key, self.index.hash(key))?;
        (!self.has_expired(at, now_ms)).then(|| self.slab.entry(at).frequency())
    }

    /// What the shard may hold.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// What happens when the budget is reached.
    pub fn eviction(&self) -> Eviction {
        self.policy.eviction()
    }

    /// The entry of a key, expired or not.
    #[inline]
    fn find(&self, key: &[u8], hash: u64) -> Option<EntryIndex> {
        self.index.find(hash, |at| self.slab.entry(at).holds(key))
    }

    /// The entry of a key; removes it if its time has passed.
    #[inline]
    fn live(&mut self, key: &[u8], hash: u64, now_ms: u64) -> Option<EntryIndex> {
        let at = self.find(key, hash)?;
        if self.has_expired(at, now_ms) {
            self.remove_entry(at, hash, Cause::Expired);
            return None;
        }
        Some(at)
    }

    /// Plays a GET of a key in the sample.
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

    /// Begins to estimate, or begins anew with a smaller sample.
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
