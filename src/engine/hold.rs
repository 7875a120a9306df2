//! Hold: the pause of a shard that a transaction takes, or a snapshot or load for one instant. Core: the shard's, which grants; the home core asks.
//!
//! While a shard is held it runs what its holder sends and nothing else: sessions of its core pause, batches wait in
//! the inbox. Who needs several shards asks for them one after the other in core order, so that no two transactions
//! wait for each other. Cost: nothing while nobody holds but a comparison a command.
//! Never: waits; a hold that can't be had at once is granted later. Bounded in time by what its transaction has to do,
//! and, while it waits for further shards, by `HOLD_WAIT_MS_MAX`.

use std::collections::VecDeque;

use crate::engine::batch::Payload;
use crate::engine::route::CoreId;
use crate::engine::{Engine, SessionId};
use crate::shard::Watcher;

/// Names a transaction: its session and how many its core had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldKey {
    /// The session, on its home core.
    pub(super) session: SessionId,
    pub(super) number: u64,
}

/// What a core asks another for, or has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The transaction's core.
    pub home: CoreId,
    /// Which of that core's.
    pub key: HoldKey,
    /// Who watches, on behalf of this transaction; 0 if it is a single command, which does not care.
    pub(super) watcher: Watcher,
}

#[cfg(any(test, feature = "verify"))]
impl Hold {
    /// Whether it is for a snapshot or a load, for tests that tamper with these alone.
    pub fn is_of_snapshot(&self) -> bool {
        self.key.session == super::snapshot::HOLDER
    }
}

/// The holder of one shard, and who comes after.
#[derive(Debug, Default)]
pub(super) struct Holds {
    holder: Option<Hold>,
    /// Filled by those who come while it is held; drained by releases; bounded by the sessions of all cores, each of
    /// which has one transaction at a time.
    queue: VecDeque<Hold>,
    /// Grants to transactions of this core. Filled by `grant`, drained by `take_grant`, so that a release does not run
    /// the next transaction inside it; bounded as `queue` is.
    grants: VecDeque<(HoldKey, bool)>,
}

impl Holds {
    /// Whether the shard is held, so that ordinary commands wait.
    #[inline]
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// Whether a transaction of this core was granted its hold and does not know.
    #[inline]
    pub(super) fn has_grants(&self) -> bool {
        !self.grants.is_empty()
    }

    /// The next of those, and whether what it watches here is unchanged.
    pub(super) fn take_grant(&mut self) -> Option<(HoldKey, bool)> {
        self.grants.pop_front()
    }
}

impl Engine {
    /// Somebody wants to hold this shard.
    pub(super) fn on_hold(&mut self, hold: Hold, now_ms: u64) {
        if self.holds.is_held() {
            self.holds.queue.push_back(hold);
        } else {
            self.grant(hold, now_ms);
        }
    }

    fn grant(&mut self, hold: Hold, now_ms: u64) {
        let clean = self.hold_now(hold, now_ms);
        if let Some(home) = self.router.peer(hold.home) {
            self.mesh.send(home, Payload::Granted { key: hold.key, clean });
        } else {
            self.holds.grants.push_back((hold.key, clean));
        }
    }

    /// Holds a shard that is free. True if what the holder watches here is unchanged.
    pub(super) fn hold_now(&mut self, hold: Hold, now_ms: u64) -> bool {
        assert!(self.holds.holder.is_none(), "a shard is held once");
        self.holds.holder = Some(hold);
        !self.shard.has_changed(hold.watcher, now_ms)
    }

    /// A hold ends, or is not wanted any more; what it watched is forgotten with it.
    pub(super) fn on_release(&mut self, hold: Hold, now_ms: u64) {
        self.shard.unwatch(hold.watcher);
        if self.holds.holder != Some(hold) {
            self.holds.queue.retain(|waiting| *waiting != hold);
            return;
        }
        self.holds.holder = None;
        if let Some(next) = self.holds.queue.pop_front() {
            self.grant(next, now_ms);
        }
    }

    /// Whether this core's own shard was granted to a snapshot that does not know yet.
    #[cfg(any(test, feature = "verify"))]
    pub fn is_granted_to_snapshot(&self) -> bool {
        self.holds.grants.iter().any(|(key, _)| key.session == super::snapshot::HOLDER)
    }

    /// Whether anything is held or waits to be, for checks that nothing is left behind.
    #[cfg(any(test, feature = "verify"))]
    pub fn has_holds(&self) -> bool {
        self.holds.is_held() || !self.holds.queue.is_empty()
    }
}
