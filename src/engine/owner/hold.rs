//! Hold: the pause of a shard that a transaction takes, or a snapshot or load for one instant. Core: the shard's, which
//! grants; the home core asks.
//!
//! While a shard is held it runs what its holder sends and nothing else: sessions of its core pause, batches wait in
//! the inbox. A transaction that needs several shards asks for them one after the other in core order, so that no two
//! wait for each other. Cost: nothing while no shard is held but a comparison a command.
//! Never: waits; a hold that can't be had at once is granted later. Bounded in time by what its transaction has to do,
//! and, while it waits for further shards, by `HOLD_WAIT_MS_MAX`.

use std::collections::VecDeque;

use crate::engine::env::Env;
use crate::engine::link::Links;
use crate::engine::link::message::{Hold, HoldKey, Payload};
use crate::shard::Shard;

/// The holder of one shard, and who comes after.
#[derive(Debug, Default)]
pub(in crate::engine) struct Holds {
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
    pub(in crate::engine) fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// Whether a transaction of this core was granted its hold and does not know.
    #[inline]
    pub(in crate::engine) fn has_grants(&self) -> bool {
        !self.grants.is_empty()
    }

    /// The next of those, and whether what it watches here is unchanged.
    pub(in crate::engine) fn take_grant(&mut self) -> Option<(HoldKey, bool)> {
        self.grants.pop_front()
    }

    /// Whether this core's own shard was granted to a snapshot that does not know yet.
    #[cfg(any(test, feature = "verify"))]
    pub(in crate::engine) fn is_granted_to_snapshot(&self) -> bool {
        use crate::engine::link::message::Holder;
        self.grants.iter().any(|(key, _)| key.holder == Holder::Coordinator)
    }

    /// Whether anything is held or waits to be.
    #[cfg(any(test, feature = "verify"))]
    pub(in crate::engine) fn is_used(&self) -> bool {
        self.is_held() || !self.queue.is_empty()
    }
}

impl Holds {
    /// A transaction wants to hold this shard.
    pub(super) fn on_hold(&mut self, hold: Hold, shard: &mut Shard, env: &Env, links: &mut Links) {
        if self.is_held() {
            self.queue.push_back(hold);
        } else {
            self.grant(hold, shard, env, links);
        }
    }

    fn grant(&mut self, hold: Hold, shard: &mut Shard, env: &Env, links: &mut Links) {
        let clean = self.hold_now(hold, shard, env);
        if let Some(home) = env.router.peer(hold.home) {
            links.send(home, Payload::Granted { key: hold.key, clean });
        } else {
            self.grants.push_back((hold.key, clean));
        }
    }

    /// Holds a shard that is free. True if what the holder watches here is unchanged.
    pub(super) fn hold_now(&mut self, hold: Hold, shard: &mut Shard, env: &Env) -> bool {
        assert!(self.holder.is_none(), "a shard is held once");
        self.holder = Some(hold);
        hold.watcher.is_none_or(|watcher| !shard.has_changed(watcher, env.now_ms))
    }

    /// A hold ends, or is not wanted any more.
    pub(super) fn on_release(&mut self, hold: Hold, shard: &mut Shard, env: &Env, links: &mut Links) {
        if self.holder != Some(hold) {
            self.queue.retain(|waiting| *waiting != hold);
            return;
        }
        self.holder = None;
        if let Some(next) = self.queue.pop_front() {
            self.grant(next, shard, env, links);
        }
    }
}
