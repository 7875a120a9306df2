//! Subscriptions: SUBSCRIBE and its like, of the sessions of this core. Core: the session's home.
//!
//! A subscription is told to the cores that must know it, and confirmed when they do: what is published after the
//! confirmation is not missed. Its end is told likewise and takes effect when all have answered, and what those cores
//! sent before lies before their answers: what was published before an UNSUBSCRIBE is delivered before it is confirmed,
//! nothing after.

use std::collections::BTreeSet;

use crate::command::Error;
use crate::command::client::Subscriptions;
use crate::command::handler::Part;
use crate::command::pubsub::{self, Topic};
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::session::Session;
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::SessionId;
use crate::engine::link::message::Detail;
use crate::engine::pubsub::disclaim;
use crate::limits::{SESSION_SUBSCRIPTION_BYTES_MAX, SESSION_SUBSCRIPTIONS_MAX};
use crate::resp::{Args, Words, Writer};

/// What a confirmation counts: shard channels by themselves, all else together.
fn count(subscriptions: Subscriptions, topic: Topic) -> usize {
    match topic {
        Topic::Channel | Topic::Pattern => subscriptions.channels + subscriptions.patterns,
        Topic::ShardChannel => subscriptions.shard_channels,
    }
}

impl Home {
    /// SUBSCRIBE and its like, and their opposites. None of the session's earlier commands is under way, and no later
    /// one runs before it is confirmed.
    pub(super) fn dispatch_subscribe(
        &mut self,
        core: &mut Core,
        id: SessionId,
        (topic, subscribes): (Topic, bool),
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        if subscribes && topic == Topic::ShardChannel && trip.held {
            return self.fail(core, id, args, trip, &Error::SubscribeInMulti);
        }
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        let subscribed = session.subscribed.get_or_insert_default();
        let mut seen = BTreeSet::new();
        // Which of the names change anything is found out once, here.
        let mut names: Vec<(&[u8], bool)> =
            args.iter().map(|name| (name, subscribed.has(topic, name) != subscribes && seen.insert(name))).collect();
        let own: Vec<Vec<u8>> = if !subscribes && args.is_empty() {
            subscribed.of(topic).map(<[u8]>::to_vec).collect()
        } else {
            Vec::new()
        };
        names.extend(own.iter().map(|name| (&name[..], true)));
        let changed = names.iter().filter(|(_, changes)| *changes);
        if subscribes {
            let bytes: usize = changed.clone().map(|(name, _)| name.len()).sum();
            if subscribed.len() + changed.count() > SESSION_SUBSCRIPTIONS_MAX
                || subscribed.bytes() + bytes > SESSION_SUBSCRIPTION_BYTES_MAX
            {
                return self.fail(core, id, args, trip, &Error::TooManySubscriptions);
            }
        } else {
            for (name, _) in changed {
                // The cores that count it are told now. Should the connection end before they have answered, they must
                // not be told again; messages go on until then.
                subscribed.remove(topic, name);
            }
        }
        // The confirmation counts as pushed, and that is heard whatever CLIENT REPLY says.
        let words = Words::new(names.iter().map(|(name, _)| *name));
        let changes = names.iter().map(|(_, changes)| *changes).collect();
        let part = if subscribes { Part::Subscribe(topic) } else { Part::Unsubscribe(topic) };
        self.ask_all(core, id, words.args(), (part, Detail::Changes(changes)), Trip { muted: false, ..trip })
    }

    /// Every core that must know has been told: the subscriptions begin or end here, and are confirmed.
    pub(in crate::engine) fn confirm_subscriptions(
        &mut self,
        core: &mut Core,
        id: SessionId,
        (topic, subscribes): (Topic, bool),
        (args, changes): (Args<'_>, &[bool]),
        writer: &mut Writer<'_>,
    ) {
        let marked = args.iter().zip(changes.iter().copied());
        let Core { env, links, pubsub, .. } = core;
        let Some(session) = self.sessions.get_mut(id) else {
            // Its connection ended meanwhile; nobody must go on counting it.
            let changed = marked.filter(|(_, changes)| *changes).map(|(name, _)| name);
            if subscribes {
                disclaim(topic, changed, env, links);
            } else {
                changed.for_each(|name| pubsub.leave(topic, name, id));
            }
            return;
        };
        let Session { subscribed, client, .. } = session;
        let subscribed_to = subscribed.get_or_insert_default();
        for (name, changes) in marked {
            if changes && subscribes {
                subscribed_to.insert(topic, pubsub.join(topic, name, id, env));
                client.subscriptions = subscribed_to.counts();
            } else if changes {
                pubsub.leave(topic, name, id);
                *client.subscriptions.of(topic) -= 1;
            }
            pubsub::confirmation(writer, topic, subscribes, Some(name), count(client.subscriptions, topic));
        }
        if args.is_empty() {
            pubsub::confirmation(writer, topic, subscribes, None, count(client.subscriptions, topic));
        }
        if subscribed_to.len() == 0 {
            *subscribed = None;
        }
    }

    /// A connection has ended: its subscriptions are taken back, many of them in slices.
    pub(super) fn drop_subscriptions(&mut self, core: &mut Core, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(subscribed) = session.take_subscriptions()
        {
            core.pubsub.drop_all(id, subscribed.into_names(), &core.env, &mut core.links);
        }
    }

    /// RESET: the same at once, since the session may subscribe again with its next command.
    pub(super) fn reset_subscriptions(&mut self, core: &mut Core, id: SessionId) {
        self.drop_subscriptions(core, id);
        core.pubsub.finish_leaving(id, &core.env, &mut core.links);
    }
}
