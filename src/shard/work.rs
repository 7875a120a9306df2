//! Work: what a shard does in slices beside requests: expiry, eviction debt, freeing what `clear` left.
//!
//! Owner: `Shard`; the runtime calls `work` from its tick. Core: the shard's own.
//! Cost: at most about `steps_max` steps a call, a step being one item removed, one timer moved, one entry, table
//! or page freed, or 64 KiB given back. Never: reads a clock, loops until it is done.

use super::account::Charge;
use super::policy::Eviction;
use super::{Progress, Room, Shard};

impl Shard {
    /// Does up to about `steps_max` steps of the work that waits. Expiry comes first but, when other work waits as
    /// well, takes half of the steps at most, so that none starves.
    pub fn work(&mut self, now_ms: u64, steps_max: u32) -> Progress {
        assert!(steps_max > 0, "a slice has at least one step");
        if self.estimate.is_none() && self.is_half_used() {
            self.begin_estimate();
        }
        let others_wait = self.in_debt() || self.has_garbage();
        let reserve = if others_wait { steps_max / 2 } else { 0 };
        let mut expiry_steps = steps_max - reserve;
        let expiry_waits = self.expire(now_ms, &mut expiry_steps);
        let mut steps = expiry_steps + reserve;

        let reserve = if self.has_garbage() { steps / 2 } else { 0 };
        while steps > reserve && self.in_debt() {
            let Some(removal_steps) = self.evict_one(None, now_ms) else { break };
            steps = steps.saturating_sub(removal_steps);
        }
        let reserve = if self.observers.tracking.has_work() { steps / 2 } else { 0 };
        steps -= reserve;
        self.free_garbage(&mut steps);
        if self.databases.is_sweeping() {
            steps = self.sweep(steps);
        }
        steps += reserve;
        if self.observers.tracking.has_work() {
            self.observers.arrange(|observers| observers.tracking.work(&mut steps));
        }
        let more = expiry_waits || self.in_debt() || self.has_garbage() || self.observers.tracking.has_work();
        Progress { steps: steps_max - steps, more }
    }

    /// A time before which `work` has no expiry to do, so good to sleep until; `None` if no item has a TTL. May
    /// be earlier than the first deadline, when timers must move down a level of the wheel.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.wheel.next_ms()
    }

    /// Whether the shard is beyond its budget, and may evict.
    fn in_debt(&self) -> bool {
        self.account.items() > 0 && self.may_evict() && !self.account.fits(&self.budget, Charge::NONE)
    }

    /// Whether the policy has anything that may be evicted.
    pub fn may_evict(&self) -> bool {
        match self.policy.eviction() {
            Eviction::None => false,
            Eviction::VolatileLru | Eviction::VolatileTtl => self.wheel.len() > 0,
            Eviction::Lru | Eviction::S3Fifo => true,
        }
    }

    /// Evicts until the budget has so much to spare, as far as there are victims and the steps last.
    pub fn evict_to_spare(&mut self, room: Room, now_ms: u64, mut steps: u32) {
        let lacks = |shard: &Shard| {
            shard.budget.items_max.saturating_sub(shard.len()) < room.items
                || shard.budget.bytes_max.saturating_sub(shard.bytes()) < room.bytes
        };
        while steps > 0 && self.may_evict() && lacks(self) {
            let Some(removal_steps) = self.evict_one(None, now_ms) else { break };
            steps = steps.saturating_sub(removal_steps);
        }
    }

    /// Whether a clear or a flush left something.
    fn has_garbage(&self) -> bool {
        !self.garbage.is_empty() || self.databases.is_sweeping()
    }

    /// Whether the budget is half used, from where on the estimate is worth its cost.
    fn is_half_used(&self) -> bool {
        let is_half = |held: u64, max: u64| max != u64::MAX && held > max / 2;
        self.policy.eviction() != Eviction::None
            && (is_half(self.account.items(), self.budget.items_max)
                || is_half(self.account.bytes(), self.budget.bytes_max))
    }

    fn free_garbage(&mut self, steps: &mut u32) {
        while *steps > 0 {
            let Some(oldest) = self.garbage.front_mut() else {
                break;
            };
            match oldest.free_one() {
                Some(free_steps) => *steps = steps.saturating_sub(free_steps),
                None => drop(self.garbage.pop_front()),
            }
        }
    }
}
