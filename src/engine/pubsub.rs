//! Pub/sub: SUBSCRIBE and its like, PUBLISH, and the way of a message. Core: named at each function.
//!
//! ```text
//! publisher's core ─▶ channel's core ─▶ only the cores with subscribers ─▶ their sessions
//! ```
//! The channel's core owns its hash (`Slot`), counts the receivers (PUBLISH's reply), and puts the message into the
//! open letter to each core that has subscribers. All of it is first in, first out: per publisher and channel, every
//! subscriber sees the order of publishing. Patterns, and the channels of key events, are known to every core, so a
//! message finds the cores whose patterns match wherever it is published, and a key event needs no detour.
//!
//! A subscription is told to the cores that must know it, and confirmed when they do: what is published after the
//! confirmation is not missed. Its end is told likewise and takes effect when all have answered, and what those cores
//! sent before lies before their answers: what was published before an UNSUBSCRIBE is delivered before it is
//! confirmed, nothing after.
//! Cost: one lookup a message, a glob match a pattern, and one push a session (`push`).
//! Never: waits for a subscriber; a core whose letters to another are too long publishes no more until that has taken
//! them ([`FANOUT_BYTES_MAX`](crate::limits::FANOUT_BYTES_MAX)).

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::command::Error;
use crate::command::client::Subscriptions;
use crate::command::pubsub::{self, TOPICS, Topic};
use crate::command::table::CommandId;
use crate::engine::batch::{Mode, Request, Solo, message_frames};
use crate::engine::gather::Asker;
use crate::engine::jobs::Origin;
use crate::engine::listeners::{KEYEVENT, KEYSPACE};
use crate::engine::push::Push;
use crate::engine::route::{CoreId, Trip};
use crate::engine::session::{Flow, Session};
use crate::engine::{Engine, SessionId};
use crate::limits::{SESSION_SUBSCRIPTION_BYTES_MAX, SESSION_SUBSCRIPTIONS_MAX, UNSUBSCRIBE_STEP_NAMES};
use crate::resp::{Args, Proto, Writer};

/// What one session subscribes to.
#[derive(Debug, Default)]
pub(super) struct Subscribed {
    names: [BTreeSet<Rc<[u8]>>; TOPICS.len()],
    bytes: usize,
}

/// Subscriptions of a connection that has ended, still to be taken back.
#[derive(Debug)]
pub(super) struct Leaving {
    id: SessionId,
    topic: Topic,
    names: Vec<Rc<[u8]>>,
}

/// Whether a subscription is known to every core, not only to the one that owns the name's hash.
fn is_known_everywhere(topic: Topic, name: &[u8]) -> bool {
    match topic {
        Topic::Channel => name.starts_with(KEYSPACE) || name.starts_with(KEYEVENT),
        Topic::Pattern => true,
        Topic::ShardChannel => false,
    }
}

impl Subscribed {
    fn has(&self, topic: Topic, name: &[u8]) -> bool {
        self.names[topic.number()].contains(name)
    }

    fn len(&self) -> usize {
        self.names.iter().map(BTreeSet::len).sum()
    }

    fn counts(&self) -> Subscriptions {
        let [channels, patterns, shard_channels] = [0, 1, 2].map(|topic| self.names[topic].len());
        Subscriptions { channels, patterns, shard_channels }
    }
}

/// What a confirmation counts: shard channels by themselves, all else together.
fn count(subscriptions: Subscriptions, topic: Topic) -> usize {
    match topic {
        Topic::Channel | Topic::Pattern => subscriptions.channels + subscriptions.patterns,
        Topic::ShardChannel => subscriptions.shard_channels,
    }
}

/// The names of a request, each with whether it changes anything; the first argument says that behind the client's id.
fn marked(args: Args<'_>) -> impl Iterator<Item = (&[u8], bool)> {
    args.tail(1).iter().zip(args.at(0)[8..].iter().map(|mark| *mark != 0))
}

/// The request that subscribes or unsubscribes: which of the names change anything is found out once, at home.
fn request(command: CommandId, mode: Mode, client: u64, names: &[(&[u8], bool)]) -> Request {
    let mut head = client.to_le_bytes().to_vec();
    head.extend(names.iter().map(|(_, changes)| u8::from(*changes)));
    let words = std::iter::once(head.as_slice()).chain(names.iter().map(|(name, _)| *name));
    Request::alone(command, mode, words)
}

impl Engine {
    // ---- subscriptions, on the session's home core ----

    /// SUBSCRIBE and its like, and their opposites. None of the session's earlier commands is under way, and no later
    /// one runs before it is confirmed.
    pub(super) fn dispatch_subscribe(
        &mut self,
        session: &mut Session,
        (topic, subscribes): (Topic, bool),
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        if subscribes && topic == Topic::ShardChannel && trip.held {
            return self.fail(session, args, trip, &Error::SubscribeInMulti);
        }
        let subscribed = session.subscribed.take().unwrap_or_default();
        let mut seen = BTreeSet::new();
        let mut names: Vec<_> =
            args.iter().map(|name| (name, subscribed.has(topic, name) != subscribes && seen.insert(name))).collect();
        if !subscribes && args.is_empty() {
            names.extend(subscribed.names[topic.number()].iter().map(|name| (&name[..], true)));
        }
        let added = names.iter().filter(|(_, changes)| *changes);
        let bytes: usize = added.clone().map(|(name, _)| name.len()).sum();
        let too_many = subscribed.len() + added.count() > SESSION_SUBSCRIPTIONS_MAX
            || subscribed.bytes + bytes > SESSION_SUBSCRIPTION_BYTES_MAX;
        let mode = Mode { part: true, ..Mode::new(session.client.proto, trip.held) };
        let request = request(trip.command, mode, session.client.id, &names);
        let ends: Vec<Rc<[u8]>> =
            names.iter().filter(|(_, changes)| *changes && !subscribes).map(|(name, _)| Rc::from(*name)).collect();
        let mut subscribed = subscribed;
        for name in ends {
            // The cores that count it are told now. Should the connection end before they have answered, they must not
            // be told again; messages go on until then.
            subscribed.bytes -= name.len();
            subscribed.names[topic.number()].remove(&name);
        }
        session.subscribed = Some(subscribed);
        if subscribes && too_many {
            return self.fail(session, args, trip, &Error::TooManySubscriptions);
        }
        // A push is heard whatever CLIENT REPLY says.
        let place = session.replies.hold(trip.muted && session.client.proto == Proto::Resp2);
        Flow::Every(Solo { place, request })
    }

    /// Every core that must know has been told: the subscriptions begin or end here, and are confirmed.
    pub(super) fn confirm(
        &mut self,
        asker: Asker,
        (topic, subscribes): (Topic, bool),
        args: Args<'_>,
        writer: &mut Writer<'_>,
    ) {
        let Asker::Session(id, _) = asker else { return };
        self.publish_events();
        let Some(mut session) = self.sessions.check_out(id) else {
            // Its connection ended meanwhile; nobody must go on counting it.
            let names: Vec<_> = marked(args).filter(|(_, changes)| *changes).collect();
            if subscribes {
                self.disclaim(topic, &names);
            } else {
                names.iter().for_each(|(name, _)| self.leave(topic, name, id));
            }
            return;
        };
        let mut subscribed = session.subscribed.take().unwrap_or_default();
        for (name, changes) in marked(args) {
            if changes && subscribes {
                let owned = self.router.is_here(name);
                let (name, change) = self.channels.of_mut(topic).join(name, id, owned);
                self.on_name(topic, &name, change);
                subscribed.bytes += name.len();
                subscribed.names[topic.number()].insert(name);
                session.client.subscriptions = subscribed.counts();
            } else if changes {
                self.leave(topic, name, id);
                *session.client.subscriptions.of(topic) -= 1;
            }
            let left = count(session.client.subscriptions, topic);
            pubsub::confirmation(writer, topic, subscribes, Some(name), left);
        }
        if args.len() == 1 {
            pubsub::confirmation(writer, topic, subscribes, None, count(session.client.subscriptions, topic));
        }
        session.subscribed = (subscribed.len() > 0).then_some(subscribed);
        self.sessions.check_in(id, session);
    }

    /// A connection has ended: its subscriptions are taken back, many of them in slices.
    pub(super) fn drop_subscriptions(&mut self, id: SessionId, session: &mut Session) {
        session.client.subscriptions = Subscriptions::default();
        let Some(subscribed) = session.subscribed.take() else { return };
        for (topic, names) in TOPICS.into_iter().zip(subscribed.names) {
            if !names.is_empty() {
                self.leaving.push_back(Leaving { id, topic, names: names.into_iter().collect() });
            }
        }
        self.step_leaving();
    }

    /// RESET: the same at once, since the session may subscribe again with its next command.
    pub(super) fn reset_subscriptions(&mut self, id: SessionId, session: &mut Session) {
        self.drop_subscriptions(id, session);
        while self.leaving.iter().any(|leaving| leaving.id == id) {
            self.step_leaving();
        }
    }

    /// Takes back some of the subscriptions that are to be.
    pub(super) fn step_leaving(&mut self) {
        let Some(mut leaving) = self.leaving.pop_front() else { return };
        let kept = leaving.names.len().saturating_sub(UNSUBSCRIBE_STEP_NAMES);
        let names = leaving.names.split_off(kept);
        for name in &names {
            self.leave(leaving.topic, name, leaving.id);
        }
        let names: Vec<_> = names.iter().map(|name| (&name[..], true)).collect();
        self.disclaim(leaving.topic, &names);
        if kept > 0 {
            self.leaving.push_back(leaving);
        }
    }

    fn leave(&mut self, topic: Topic, name: &[u8], id: SessionId) {
        let change = self.channels.of_mut(topic).leave(name, id);
        self.on_name(topic, name, change);
    }

    /// Tells the other cores that a session of this one subscribes no more; nobody waits for their answers.
    fn disclaim(&mut self, topic: Topic, names: &[(&[u8], bool)]) {
        if self.router.cores() == 1 {
            return;
        }
        let command = self.lookup.find(topic.unsubscribe_name().as_bytes());
        let command = command.expect("a row for each topic");
        let mode = Mode { part: true, ..Mode::new(Proto::Resp2, false) };
        self.run_every(Asker::Nobody, mode.proto, request(command, mode, 0, names), 0);
    }

    // ---- subscriptions, on the cores that must know of them ----

    /// Sessions of another core begin or end subscriptions. What was sent to that core before leaves before the answer.
    pub(super) fn on_subscriptions(&mut self, topic: Topic, subscribes: bool, origin: Origin, args: Args<'_>) {
        let Origin::Peer { core, .. } = origin else { return };
        self.publish_events();
        self.mesh.seal_letter(core);
        for (name, changes) in marked(args) {
            let owned = self.router.is_here(name);
            if !changes || !(owned || is_known_everywhere(topic, name)) {
                continue;
            }
            let names = self.channels.of_mut(topic);
            let change = if subscribes { names.join_remote(name, core, owned) } else { names.leave_remote(name, core) };
            self.on_name(topic, name, change);
        }
    }

    // ---- messages ----

    /// The core that publishes on a channel: its owner; this one if every core knows who listens.
    pub(super) fn publisher(&self, topic: Topic, channel: &[u8]) -> CoreId {
        if is_known_everywhere(topic, channel) { self.core } else { self.router.owner(channel) }
    }

    /// PUBLISH or SPUBLISH, on the home core.
    pub(super) fn dispatch_publish(
        &mut self,
        session: &mut Session,
        id: SessionId,
        topic: Topic,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        if let Some(peer) = self.router.peer(self.publisher(topic, args.at(0))) {
            self.send_whole(session, id, peer, args, trip);
            return Flow::Next;
        }
        self.meter.begin();
        let receivers = self.publish(topic, args.at(0), args.at(1));
        self.run_here(session, args, trip, |_, _, writer| writer.integer(receivers));
        self.sessions.push_aside(session);
        Flow::Next
    }

    /// Publishes a message: to the sessions here, and to the cores with sessions that get it. Returns how many do.
    /// On the channel's core.
    pub(super) fn publish(&mut self, topic: Topic, channel: &[u8], text: &[u8]) -> i64 {
        let mut cores = std::mem::take(&mut self.fan);
        let receivers = self.spread(topic, channel, text, &mut cores);
        for core in cores.drain(..) {
            self.mesh.message(core, topic.number() as u8, channel, text);
        }
        self.fan = cores;
        receivers as i64
    }

    /// Messages that other cores publish, for sessions of this one.
    pub(super) fn on_letter(&mut self, bytes: Vec<u8>) {
        let mut nowhere = std::mem::take(&mut self.fan);
        for (topic, channel, text) in message_frames(&bytes) {
            self.spread(TOPICS[usize::from(topic)], channel, text, &mut nowhere);
            nowhere.clear();
        }
        self.fan = nowhere;
        self.mesh.give_back_letter(bytes);
    }

    /// Pushes a message to all sessions here that get it. Counts them and those of other cores, which `cores` names.
    fn spread(&mut self, topic: Topic, channel: &[u8], text: &[u8], cores: &mut Vec<CoreId>) -> usize {
        let mut receivers = 0;
        if let Some(at) = self.channels.of(topic).find(channel) {
            let write = |writer: &mut Writer<'_>| pubsub::message(writer, topic, channel, text);
            receivers += self.push_to_entry(topic, at, write, cores);
        }
        if topic == Topic::Channel {
            for at in 0..self.channels.of(Topic::Pattern).entries().len() {
                let pattern = &self.channels.of(Topic::Pattern).entries()[at].name;
                if crate::command::glob::matches(pattern, channel) {
                    let pattern = Rc::clone(pattern);
                    let write = |writer: &mut Writer<'_>| pubsub::pattern_message(writer, &pattern, channel, text);
                    receivers += self.push_to_entry(Topic::Pattern, at, write, cores);
                }
            }
        }
        receivers
    }

    /// To the subscribers of one name.
    fn push_to_entry(
        &mut self,
        topic: Topic,
        at: usize,
        write: impl Fn(&mut Writer<'_>),
        cores: &mut Vec<CoreId>,
    ) -> usize {
        let entry = self.channels.of_mut(topic).entry_mut(at);
        let mut receivers = 0;
        for (core, count) in &entry.remote {
            receivers += *count as usize;
            if !cores.contains(core) {
                cores.push(*core);
            }
        }
        let local = std::mem::take(&mut entry.local);
        receivers += local.len();
        if !local.is_empty() {
            let mut push: Push = std::mem::take(&mut self.pushed);
            push.clear();
            for id in &local {
                self.push(*id, &mut push, &write);
            }
            self.pushed = push;
            self.channels.of_mut(topic).entry_mut(at).local = local;
        }
        receivers
    }
}
