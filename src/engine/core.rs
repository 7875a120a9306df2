//! Core: all of one core's engine but its clients: what `home` asks, and what answers other cores.
//!
//! Core: its own. It is apart from `home` so that a session can be borrowed while something is asked for it.
//! Never: sees a session.

use crate::command::Error;
use crate::command::task::{Outcome, Task};
use crate::engine::env::Env;
use crate::engine::link::Links;
use crate::engine::link::caller::Caller;
use crate::engine::link::message::Ask;
use crate::engine::owner::Owner;
use crate::engine::owner::inbox::Reach;
use crate::engine::persistence::{Around, Persistence};
use crate::engine::pubsub::PubSub;
use crate::slot::CoreId;

/// The parts of one core but its home.
pub(super) struct Core {
    pub(super) env: Env,
    pub(super) owner: Owner,
    pub(super) links: Links,
    pub(super) pubsub: PubSub,
    pub(super) persistence: Persistence,
}

impl Core {
    /// Whether commands have to wait: the shard is held, budget is awaited, or a peer takes no more messages.
    #[inline]
    pub(super) fn must_wait(&self) -> bool {
        self.owner.must_wait() || self.links.is_full()
    }

    /// Whether something has happened that others are to hear of: see `Home::after`.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.owner.has_news() | self.pubsub.has_rewanted() | self.pubsub.has_deliveries()
    }

    /// Publishes the key events that the shard has noted, and tells the shard which to note.
    pub(super) fn publish_events(&mut self) {
        let notify = self.env.settings.notify;
        if self.owner.shard().has_events() {
            let spare = self.links.buffer();
            let events = self.owner.shard_mut().take_events(spare);
            self.pubsub.publish_events(&events, notify, &mut self.links);
            self.owner.note_match_steps(self.pubsub.take_match_steps());
            self.links.give_back(events);
        }
        if self.pubsub.has_rewanted() {
            let wanted = self.pubsub.take_wanted(notify);
            self.owner.shard_mut().set_events_wanted(wanted);
        }
    }

    /// Runs what other cores have sent, up to a command of the whole process, which it returns.
    pub(super) fn run_inbox(&mut self) -> Option<(CoreId, Box<Ask>)> {
        if self.owner.inbox.is_empty() {
            return None;
        }
        self.reach(|owner, reach| owner.run_inbox(reach))
    }

    /// Does this core's share of a command of several keys. Items that are being loaded come first: what was under way when
    /// that began is refused.
    pub(super) fn perform(&mut self, caller: Caller, task: &Task) -> Outcome {
        if self.persistence.is_loading() {
            return Outcome::Refused(Error::Loading);
        }
        self.owner.perform(&mut self.env, caller, task)
    }

    /// Calls what does snapshots with what it needs of the other parts.
    pub(super) fn persist<R>(&mut self, call: impl FnOnce(&mut Persistence, &mut Around<'_>) -> R) -> R {
        let Core { env, owner, links, persistence, .. } = self;
        call(persistence, &mut Around { env, owner, links })
    }

    /// Calls the owner with what it needs of the other parts.
    pub(super) fn reach<R>(&mut self, call: impl FnOnce(&mut Owner, &mut Reach<'_>) -> R) -> R {
        let loading = self.persistence.is_loading();
        let Core { env, owner, links, pubsub, .. } = self;
        call(owner, &mut Reach { env, links, pubsub, loading })
    }
}
