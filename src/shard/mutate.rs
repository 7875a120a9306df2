//! Mutate: the one private function per kind of change (store, remove, touch, retime) and making room.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: no key is hashed here but a victim's, once. Never: called from outside
//! the shard. The account is fed here alone; an observer sees every change by the one `Change` that each of these
//! functions passes on before it does anything.
//! Invariant: after each of them slab, index, policy, wheel and account agree (`Shard::verify`).

use super::account::{Charge, item_bytes};
use super::change::{Cause, Change, Items};
use super::entry::{EntryIndex, TimerIndex, blob_len};
use super::event::Event;
use super::policy::Eviction;
use super::slab::free_steps;
use super::wheel::Advance;
use super::{Full, Shard, idle};
use crate::limits::{
    EVICT_EXPIRING_ACCESSES, EVICT_EXPIRING_MS, EVICTIONS_PER_INSERT_MAX, EXPIRY_STEPS_PER_INSERT_MAX,
    TIMER_WORD_ITEM_BYTES,
};

/// The plan of a store: what `store_entry` and the account need besides key and value.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// The entry of the item that is overwritten.
    pub(super) found: Option<EntryIndex>,
    pub(super) hash: u64,
    pub(super) deadline_ms: Option<u64>,
    /// Whether the deadline is not that of the item before.
    pub(super) timed_anew: bool,
    timer_word: bool,
    charge: Charge,
    /// Whether the item was stored before, and comes back from a snapshot.
    pub(super) is_known: bool,
}

impl Shard {
    /// Plans the store of an item.
    #[inline]
    pub(super) fn plan(
        &self,
        found: Option<EntryIndex>,
        hash: u64,
        key: &[u8],
        value: &[u8],
        deadline_ms: Option<u64>,
        timed_anew: bool,
    ) -> Plan {
        let timed = deadline_ms.is_some();
        let (key_len, value_len) = (key.len(), value.len());
        // A timer word stays if the value's length does: the value is then replaced in place.
        let word_stays = found.is_some_and(|at| {
            let entry = self.slab.entry(at);
            entry.has_timer_word() && entry.value_len() == value_len
        });
        let timer_word = timed || word_stays || key_len + value_len >= TIMER_WORD_ITEM_BYTES;
        let charge = Charge {
            // Not a `map_or`, which would be a call.
            before_bytes: match found {
                Some(at) => self.cost(at),
                None => 0,
            },
            after_bytes: item_bytes(blob_len(key_len, value_len, timer_word), timed),
            items_new: u64::from(found.is_none()),
        };
        Plan { found, hash, deadline_ms, timed_anew, timer_word, charge, is_known: false }
    }

    /// Stores an item, new or over the old one. Room has been made.
    #[inline]
    pub(super) fn store_entry(
        &mut self,
        event: Event,
        plan: Plan,
        key: &[u8],
        value: &[u8],
        now_ms: u64,
    ) -> EntryIndex {
        self.tell(key, Change::Store { event, found: plan.found, timed_anew: plan.timed_anew });
        let at = match plan.found {
            Some(at) => {
                if plan.deadline_ms.is_none() && self.slab.entry(at).has_timer_word() {
                    self.set_timer(at, None, now_ms);
                }
                self.slab.entry_mut(at).replace_value(value, plan.timer_word);
                if plan.deadline_ms.is_some() {
                    self.set_timer(at, plan.deadline_ms, now_ms);
                }
                self.policy.recharge(&self.slab, at, plan.charge.before_bytes, plan.charge.after_bytes);
                self.touch_entry(at, now_ms);
                self.account.change(plan.charge.before_bytes, plan.charge.after_bytes);
                at
            }
            None => {
                let at = self.slab.insert(self.databases.label, key, value, plan.timer_word);
                self.index.insert(plan.hash, at, &self.slab);
                if plan.deadline_ms.is_some() {
                    self.set_timer(at, plan.deadline_ms, now_ms);
                }
                let stamp = idle::stamp(now_ms);
                if plan.is_known {
                    self.policy.insert_known(&mut self.slab, at, stamp);
                } else {
                    let weight = (plan.hash, plan.charge.after_bytes);
                    self.policy.insert(&mut self.slab, at, stamp, weight, &self.account);
                }
                self.account.add(plan.charge.after_bytes);
                at
            }
        };
        debug_assert_eq!(self.cost(at), plan.charge.after_bytes);
        if self.estimate.as_ref().is_some_and(|estimate| estimate.has(plan.hash)) {
            self.estimate_store(plan, at);
        }
        at
    }

    /// Removes an item of the selected space. The hash is its key's. Returns the steps this was worth.
    pub(super) fn remove_entry(&mut self, at: EntryIndex, hash: u64, cause: Cause) -> u32 {
        self.tell_of(at, Change::Remove { at, cause });
        if cause != Cause::Evicted
            && let Some(estimate) = &mut self.estimate
            && estimate.has(hash)
        {
            estimate.on_remove(hash);
        }
        let steps = free_steps(self.slab.entry(at).blob_len());
        let bytes = self.cost(at);
        self.account.remove(bytes);
        let timer = self.slab.entry(at).timer();
        if timer.is_some() {
            self.wheel.cancel(timer);
        }
        self.index.remove(hash, at);
        let evicted = (cause == Cause::Evicted).then_some(hash);
        self.policy.remove(&mut self.slab, (at, bytes), evicted, &self.account);
        self.slab.remove(at);
        steps
    }

    /// Replays the store of an item in the estimate.
    #[cold]
    fn estimate_store(&mut self, plan: Plan, at: EntryIndex) {
        let item = self.sampled(plan.hash, at);
        if let Some(estimate) = &mut self.estimate {
            estimate.on_store(item, plan.found.is_some());
            if estimate.is_too_large() {
                self.begin_estimate();
            }
        }
    }

    /// Counts an access to an item, now.
    #[inline]
    pub(super) fn touch_entry(&mut self, at: EntryIndex, now_ms: u64) {
        let observers = &mut self.observers;
        self.policy.touch(&mut self.slab, at, idle::stamp(now_ms), |slab, walkway, at| {
            observers.on_move(slab, walkway, at);
        });
    }

    /// Gives an item another deadline, or none.
    pub(super) fn retime_entry(&mut self, at: EntryIndex, deadline_ms: Option<u64>, now_ms: u64) {
        if deadline_ms.is_some() || self.deadline_ms(at).is_some() {
            self.tell_of(at, Change::Retime { at, timed: deadline_ms.is_some() });
        }
        let before_bytes = self.cost(at);
        self.set_timer(at, deadline_ms, now_ms);
        self.policy.recharge(&self.slab, at, before_bytes, self.cost(at));
        self.account.change(before_bytes, self.cost(at));
    }

    /// Makes room for an item, as far as one insert may; `Full` if the item can't be stored.
    #[inline]
    pub(super) fn make_room(&mut self, plan: &Plan, now_ms: u64) -> Result<(), Full> {
        let fits_never = plan.charge.after_bytes > self.budget.bytes_max
            || plan.charge.items_new > self.budget.items_max
            || (plan.found.is_none() && self.slab.is_full());
        if !fits_never && self.account.fits(&self.budget, plan.charge) {
            return Ok(());
        }
        let refused = match self.policy.eviction() {
            Eviction::None => plan.charge.grows() && (fits_never || !self.expire_for(plan.charge, now_ms)),
            _ if fits_never => true,
            Eviction::Lru | Eviction::S3Fifo => {
                self.evict_for(plan, now_ms);
                false
            }
            Eviction::VolatileLru | Eviction::VolatileTtl => {
                self.evict_for(plan, now_ms);
                // What has to go still does so later, in slices.
                let others = self.wheel.len() > u32::from(plan.found.is_some_and(|at| self.deadline_ms(at).is_some()));
                plan.charge.grows() && !others && !self.account.fits(&self.budget, plan.charge)
            }
        };
        if refused {
            self.observers.pressure = true;
            return Err(Full);
        }
        Ok(())
    }

    /// Evicts one item, or removes an expired one; never the item that is spared, beside which there is another.
    /// Returns the steps this was worth; `None` if the policy has no victim.
    pub(super) fn evict_one(&mut self, spared: Option<EntryIndex>, now_ms: u64) -> Option<u32> {
        let at = if self.policy.eviction().is_volatile() {
            self.volatile_victim(spared, now_ms)?
        } else {
            match self.expiring(now_ms).filter(|at| spared != Some(*at)) {
                Some(at) => at,
                None => self.victim(spared),
            }
        };
        let cause = if self.has_expired(at, now_ms) { Cause::Expired } else { Cause::Evicted };
        Some(self.remove_any(at, cause))
    }

    /// Of some items with a deadline the one that goes first, by the policy; what has expired before all.
    fn volatile_victim(&mut self, spared: Option<EntryIndex>, now_ms: u64) -> Option<EntryIndex> {
        let by_use = self.policy.eviction() == Eviction::VolatileLru;
        let slab = &self.slab;
        let mut victim: Option<(u64, EntryIndex)> = None;
        self.wheel.sample(spared, &mut self.draws, |at, deadline_ms| {
            let rank = match by_use {
                _ if deadline_ms <= now_ms => 0,
                true => u64::MAX - idle::idle_s(slab.entry(at).accessed(), now_ms),
                false => deadline_ms,
            };
            if victim.is_none_or(|(least, _)| rank < least) {
                victim = Some((rank, at));
            }
        });
        victim.map(|(_, at)| at)
    }

    /// An item that is about to expire and not in demand, if the policy lets such items go first.
    fn expiring(&self, now_ms: u64) -> Option<EntryIndex> {
        if self.policy.eviction() != Eviction::S3Fifo {
            return None;
        }
        let (at, deadline_ms) = self.wheel.soonest()?;
        let is_in_demand = self.slab.entry(at).frequency() >= EVICT_EXPIRING_ACCESSES && deadline_ms > now_ms;
        (deadline_ms <= now_ms.saturating_add(EVICT_EXPIRING_MS) && !is_in_demand).then_some(at)
    }

    fn victim(&mut self, spared: Option<EntryIndex>) -> EntryIndex {
        let observers = &mut self.observers;
        self.policy
            .victim(&mut self.slab, &self.account, spared, |slab, walkway, at| observers.on_move(slab, walkway, at))
    }

    /// Removes expired items until none is left or the steps run out. True if any is left.
    pub(super) fn expire(&mut self, now_ms: u64, steps: &mut u32) -> bool {
        loop {
            match self.wheel.advance(now_ms, steps) {
                Advance::Due(at) => {
                    debug_assert!(self.has_expired(at, now_ms));
                    let removal_steps = self.remove_any(at, Cause::Expired);
                    *steps = steps.saturating_sub(removal_steps - 1);
                }
                Advance::Idle => return false,
                Advance::Unfinished => return true,
            }
        }
    }

    /// The cost of an item, as the account has charged it.
    #[inline]
    pub(super) fn cost(&self, at: EntryIndex) -> u64 {
        self.slab.entry(at).cost()
    }

    /// Whether an item has expired.
    #[inline]
    pub(super) fn has_expired(&self, at: EntryIndex, now_ms: u64) -> bool {
        self.deadline_ms(at).is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }

    /// The deadline of an item.
    #[inline]
    pub(super) fn deadline_ms(&self, at: EntryIndex) -> Option<u64> {
        let timer = self.slab.entry(at).timer();
        timer.is_some().then(|| self.wheel.deadline_ms(timer))
    }

    /// Sets a deadline in wheel and entry; the account is the caller's.
    fn set_timer(&mut self, at: EntryIndex, deadline_ms: Option<u64>, now_ms: u64) {
        let entry = self.slab.entry_mut(at);
        let timer = entry.timer();
        match deadline_ms {
            Some(deadline_ms) if timer.is_some() => self.wheel.reschedule(timer, deadline_ms),
            Some(deadline_ms) => {
                if !entry.has_timer_word() {
                    entry.add_timer_word();
                }
                entry.set_timer(self.wheel.insert(at, deadline_ms, now_ms));
            }
            None if timer.is_some() => {
                self.wheel.cancel(timer);
                entry.set_timer(TimerIndex::NONE);
            }
            None => {}
        }
    }

    /// Removes expired items in bounded work. Returns whether the charge fits afterwards.
    #[cold]
    fn expire_for(&mut self, charge: Charge, now_ms: u64) -> bool {
        let mut steps = EXPIRY_STEPS_PER_INSERT_MAX;
        self.expire(now_ms, &mut steps);
        self.account.fits(&self.budget, charge)
    }

    /// Evicts until an item fits, as far as one insert may. Never the item that is being overwritten.
    fn evict_for(&mut self, plan: &Plan, now_ms: u64) {
        if self.estimate.is_none() {
            self.begin_estimate();
        }
        if let Some(at) = plan.found
            && self.policy.eviction() == Eviction::Lru
        {
            self.touch_entry(at, now_ms);
        }
        for _ in 0..EVICTIONS_PER_INSERT_MAX {
            let spent = self.account.items() == u64::from(plan.found.is_some());
            if spent || self.account.fits(&self.budget, plan.charge) {
                break;
            }
            if self.evict_one(plan.found, now_ms).is_none() {
                break;
            }
        }
    }

    /// Passes a change of a key to the observers: every mutation does so, here or by `tell_of`, before it does
    /// anything.
    #[inline]
    pub(super) fn tell(&mut self, key: &[u8], change: Change) {
        if self.observers.count(change) {
            self.tell_all(key, change);
        }
    }

    /// Passes a change of an item to the observers.
    #[inline]
    pub(super) fn tell_of(&mut self, at: EntryIndex, change: Change) {
        if self.observers.count(change) {
            self.tell_all_of(at, change);
        }
    }

    #[cold]
    fn tell_all(&mut self, key: &[u8], change: Change) {
        let items = Items { slab: &self.slab, nodes: self.wheel.nodes(), walkway: self.policy.walkway() };
        self.observers.tell(items, (self.databases.selected(), key), change);
    }

    #[cold]
    fn tell_all_of(&mut self, at: EntryIndex, change: Change) {
        let items = Items { slab: &self.slab, nodes: self.wheel.nodes(), walkway: self.policy.walkway() };
        self.observers.tell(items, (self.databases.selected(), self.slab.entry(at).key()), change);
    }
}
