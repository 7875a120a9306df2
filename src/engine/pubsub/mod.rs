//! Pub/sub: which sessions and cores subscribe to what, and the way of a message. Core: named at each function.
//!
//! ```text
//! publisher's core ─▶ channel's core ─▶ only the cores with subscribers ─▶ their sessions
//! ```
//! The channel's core owns its hash (`Slot`), counts the receivers (PUBLISH's reply), and puts the message into the
//! open letter to each core that has subscribers. All of it is first in, first out: per publisher and channel, every
//! subscriber sees the order of publishing. Patterns, and the channels of key events, are known to every core, so a
//! message finds the cores whose patterns match wherever it is published, and a key event needs no detour.
//!
//! What is for sessions of this core waits as a delivery until the command under way has its reply; then `home` pushes
//! it to each of them. Cost: one lookup and one copy a message, a glob match a pattern, and one push a session.
//! Never: sees a session; a core whose letters to another are too long publishes no more until that has taken them
//! ([`FANOUT_BYTES_MAX`](crate::limits::FANOUT_BYTES_MAX)).

pub(super) mod channels;
pub(super) mod key_events;
pub(super) mod name_walk;

use std::collections::VecDeque;
use std::rc::Rc;

use crate::command::handler::Part;
use crate::command::notify::Notify;
use crate::command::pubsub::{self as replies, TOPICS, Topic};
use crate::engine::env::Env;
use crate::engine::ids::SessionId;
use crate::engine::link::Links;
use crate::engine::link::codec::message_frames;
use crate::engine::link::message::{Ask, Detail};
use crate::engine::pubsub::channels::{Change, Channels};
use crate::engine::pubsub::key_events::{KEYEVENT, KEYSPACE, KeyEvents, name_channel};
use crate::engine::pubsub::name_walk::NameWalk;
use crate::limits::UNSUBSCRIBE_STEP_NAMES;
use crate::resp::{Words, Writer};
use crate::shard::{EVENTS, noted};
use crate::slot::CoreId;

/// What one core knows of subscriptions, and the messages under way to sessions of this core.
pub(super) struct PubSub {
    channels: Channels,
    key_events: KeyEvents,
    /// The events that the shard is to note may have changed.
    rewanted: bool,
    /// Subscriptions of connections that have ended. Filled by disconnects, drained in slices; bounded by what those
    /// had.
    leaving: VecDeque<Leaving>,
    /// Filled by PUBLISH, key events and letters; drained behind the command under way; bounded by what one command, or
    /// one letter, publishes.
    deliveries: VecDeque<Delivery>,
    /// Channel and text of each delivery.
    delivery_bytes: Vec<u8>,
    /// The cores that a message goes to.
    fan: Vec<CoreId>,
    /// Bytes that patterns were compared with, not taken yet.
    match_steps: u64,
}

/// Subscriptions of a connection that has ended, still to be taken back.
#[derive(Debug)]
struct Leaving {
    id: SessionId,
    topic: Topic,
    names: Vec<Rc<[u8]>>,
}

/// A message for the sessions of this core that subscribe to one name.
#[derive(Clone, Copy, Debug)]
struct Delivery {
    /// What the message was published on: a channel or a shard channel.
    topic: Topic,
    /// Where the name stands: among the patterns, or among those of `topic`.
    by_pattern: bool,
    entry: usize,
    /// In `delivery_bytes`.
    begin: usize,
    channel_len: usize,
    text_len: usize,
}

/// A message as a session's client is to read it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    topic: Topic,
    pattern: Option<&'a [u8]>,
    channel: &'a [u8],
    text: &'a [u8],
}

impl Message<'_> {
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        match self.pattern {
            None => replies::message(writer, self.topic, self.channel, self.text),
            Some(pattern) => replies::pattern_message(writer, pattern, self.channel, self.text),
        }
    }
}

/// Whether a subscription is known to every core, not only to the one that owns the name's hash.
fn is_known_everywhere(topic: Topic, name: &[u8]) -> bool {
    match topic {
        Topic::Channel => key_events::is_channel(name),
        Topic::Pattern => true,
        Topic::ShardChannel => false,
    }
}

impl PubSub {
    pub(super) fn new(hash_seeds: [u64; 4]) -> PubSub {
        PubSub {
            channels: Channels::new(hash_seeds),
            key_events: KeyEvents::default(),
            rewanted: false,
            leaving: VecDeque::new(),
            deliveries: VecDeque::new(),
            delivery_bytes: Vec::new(),
            fan: Vec::new(),
            match_steps: 0,
        }
    }

    /// Who subscribes to what.
    pub(super) fn channels(&self) -> &Channels {
        &self.channels
    }

    // ---- subscriptions of sessions of this core ----

    /// A session of this core subscribes; it has not before. Returns the name to keep.
    pub(super) fn join(&mut self, topic: Topic, name: &[u8], id: SessionId, env: &Env) -> Rc<[u8]> {
        debug_assert!(self.deliveries.is_empty(), "messages go to those who subscribe when they are published");
        let (name, change) = self.channels.of_mut(topic).join(name, id, env.router.is_here(name));
        self.on_change(topic, &name, change);
        name
    }

    /// The session does not subscribe to the name any more.
    pub(super) fn leave(&mut self, topic: Topic, name: &[u8], id: SessionId) {
        debug_assert!(self.deliveries.is_empty(), "messages go to those who subscribe when they are published");
        let change = self.channels.of_mut(topic).leave(name, id);
        self.on_change(topic, name, change);
    }

    /// A connection has ended: its subscriptions are taken back, many of them in slices.
    pub(super) fn drop_all(
        &mut self,
        id: SessionId,
        names: impl Iterator<Item = (Topic, Vec<Rc<[u8]>>)>,
        env: &Env,
        links: &mut Links,
    ) {
        for (topic, names) in names.filter(|(_, names)| !names.is_empty()) {
            self.leaving.push_back(Leaving { id, topic, names });
        }
        self.step_leaving(env, links);
    }

    /// Takes back all that a session has left, since it may subscribe again with its next command.
    pub(super) fn finish_leaving(&mut self, id: SessionId, env: &Env, links: &mut Links) {
        while self.leaving.iter().any(|leaving| leaving.id == id) {
            self.step_leaving(env, links);
        }
    }

    /// Begins a walk over the names of a kind; where there are few it is over at once.
    pub(super) fn begin_walk(&mut self, topic: Topic, walk: NameWalk, links: &mut Links) {
        let names = self.channels.of_mut(topic);
        let is_first = !names.is_walked();
        names.walks().push(walk);
        if is_first {
            names.step_walk(links);
        }
    }

    /// Whether names are walked over, or subscriptions are still to be taken back.
    pub(super) fn has_slices(&self) -> bool {
        self.is_leaving() || TOPICS.iter().any(|topic| self.channels.of(*topic).is_walked())
    }

    /// A step of each.
    pub(super) fn on_slice(&mut self, env: &Env, links: &mut Links) {
        self.step_leaving(env, links);
        for topic in TOPICS {
            self.channels.of_mut(topic).step_walk(links);
        }
    }

    /// Whether subscriptions are still to be taken back.
    fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Takes back some of the subscriptions that are to be.
    fn step_leaving(&mut self, env: &Env, links: &mut Links) {
        let Some(mut leaving) = self.leaving.pop_front() else { return };
        let kept = leaving.names.len().saturating_sub(UNSUBSCRIBE_STEP_NAMES);
        let names = leaving.names.split_off(kept);
        for name in &names {
            self.leave(leaving.topic, name, leaving.id);
        }
        disclaim(leaving.topic, names.iter().map(|name| &name[..]), env, links);
        if kept > 0 {
            self.leaving.push_back(leaving);
        }
    }

    // ---- subscriptions of other cores' sessions ----

    /// Sessions of another core begin or end subscriptions. What was sent to that core before leaves before the answer.
    pub(super) fn on_subscriptions<'a>(
        &mut self,
        (topic, subscribes): (Topic, bool),
        core: CoreId,
        changed: impl Iterator<Item = &'a [u8]>,
        env: &Env,
        links: &mut Links,
    ) {
        links.seal_letter(core);
        for name in changed {
            let owned = env.router.is_here(name);
            if !(owned || is_known_everywhere(topic, name)) {
                continue;
            }
            let names = self.channels.of_mut(topic);
            let change = if subscribes { names.join_remote(name, core, owned) } else { names.leave_remote(name, core) };
            self.on_change(topic, name, change);
        }
    }

    // ---- key events ----

    /// A name has got its first subscriber that this core knows of, or lost the last.
    fn on_change(&mut self, topic: Topic, name: &[u8], change: Change) {
        if change != Change::None && (topic == Topic::Pattern || name.starts_with(b"__key")) {
            self.key_events.count(topic, name, change);
            self.rewanted = true;
        }
    }

    /// `notify-keyspace-events` may have changed.
    pub(super) fn configure(&mut self) {
        self.rewanted = true;
    }

    /// Whether `take_wanted` has something new to say.
    #[inline]
    pub(super) fn has_rewanted(&self) -> bool {
        self.rewanted
    }

    /// The events that the shard is to note, a bit each.
    pub(super) fn take_wanted(&mut self, notify: Notify) -> u32 {
        self.rewanted = false;
        self.key_events.wanted(notify)
    }

    /// Publishes what a shard has noted.
    #[cold]
    pub(super) fn publish_events(&mut self, events: &[u8], notify: Notify, links: &mut Links) {
        let mut channel = links.buffer();
        for (event, database, key) in noted(events) {
            let name = EVENTS[event.number()].1.as_bytes();
            if self.key_events.of_keys(notify, database) {
                name_channel(&mut channel, KEYSPACE, database, key);
                self.publish(Topic::Channel, &channel, name, links);
            }
            if self.key_events.of_event(notify, database, event.number()) {
                name_channel(&mut channel, KEYEVENT, database, name);
                self.publish(Topic::Channel, &channel, key, links);
            }
        }
        links.give_back(channel);
    }

    // ---- messages ----

    /// Bytes that patterns were compared with since this was asked last.
    pub(super) fn take_match_steps(&mut self) -> u64 {
        std::mem::take(&mut self.match_steps)
    }

    /// Publishes a message, on the channel's core: to the sessions here, and to the cores with sessions that get it.
    /// Returns how many do.
    pub(super) fn publish(&mut self, topic: Topic, channel: &[u8], text: &[u8], links: &mut Links) -> i64 {
        let mut cores = std::mem::take(&mut self.fan);
        let receivers = self.spread(topic, channel, text, &mut cores);
        for core in cores.drain(..) {
            links.message(core, topic, channel, text);
        }
        self.fan = cores;
        receivers as i64
    }

    /// Messages that another core publishes, for sessions of this one.
    pub(super) fn on_letter(&mut self, bytes: Vec<u8>, links: &mut Links) {
        let mut nowhere = std::mem::take(&mut self.fan);
        for (topic, channel, text) in message_frames(&bytes) {
            self.spread(topic, channel, text, &mut nowhere);
            nowhere.clear();
        }
        self.fan = nowhere;
        links.give_back_letter(bytes);
    }

    /// Has a message delivered to all sessions here that get it. Counts them and those of other cores, which `cores`
    /// names.
    fn spread(&mut self, topic: Topic, channel: &[u8], text: &[u8], cores: &mut Vec<CoreId>) -> usize {
        let begin = self.delivery_bytes.len();
        let deliveries_before = self.deliveries.len();
        let mut receivers = 0;
        let mut add = |entry: usize, by_pattern: bool, channels: &Channels, deliveries: &mut VecDeque<Delivery>| {
            let at = &channels.of(if by_pattern { Topic::Pattern } else { topic }).entries()[entry];
            for (core, count) in &at.remote {
                receivers += *count as usize;
                if !cores.contains(core) {
                    cores.push(*core);
                }
            }
            receivers += at.local.len();
            if !at.local.is_empty() {
                let (channel_len, text_len) = (channel.len(), text.len());
                deliveries.push_back(Delivery { topic, by_pattern, entry, begin, channel_len, text_len });
            }
        };
        if let Some(entry) = self.channels.of(topic).find(channel) {
            add(entry, false, &self.channels, &mut self.deliveries);
        }
        if topic == Topic::Channel {
            for (entry, name) in self.channels.of(Topic::Pattern).entries().iter().enumerate() {
                if name.matches(channel, &mut self.match_steps) {
                    add(entry, true, &self.channels, &mut self.deliveries);
                }
            }
        }
        if self.deliveries.len() > deliveries_before {
            self.delivery_bytes.extend_from_slice(channel);
            self.delivery_bytes.extend_from_slice(text);
        }
        receivers
    }

    /// Whether messages wait for sessions of this core.
    #[inline]
    pub(super) fn has_deliveries(&self) -> bool {
        !self.deliveries.is_empty()
    }

    /// Hands each message that waits to `push`, with the sessions that get it.
    #[cold]
    pub(super) fn deliver(&mut self, mut push: impl FnMut(&[SessionId], Message<'_>)) {
        for delivery in self.deliveries.drain(..) {
            let Delivery { topic, by_pattern, entry, begin, channel_len, text_len } = delivery;
            let entry = &self.channels.of(if by_pattern { Topic::Pattern } else { topic }).entries()[entry];
            let (channel, rest) = self.delivery_bytes[begin..].split_at(channel_len);
            let pattern = by_pattern.then_some(&entry.name[..]);
            push(&entry.local, Message { topic, pattern, channel, text: &rest[..text_len] });
        }
        self.delivery_bytes.clear();
        if self.delivery_bytes.capacity() > crate::limits::BUFFER_KEPT_BYTES_MAX {
            self.delivery_bytes = Vec::new();
        }
    }

    /// Asserts the invariants.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        self.channels.verify();
        assert!(
            self.deliveries.is_empty() && self.delivery_bytes.is_empty(),
            "messages are delivered within the event"
        );
        assert!(!self.rewanted, "the shard knows which events are wanted");
    }
}

/// The core that publishes on a channel: its owner; this one if every core knows the subscribers.
pub(super) fn publisher(topic: Topic, channel: &[u8], env: &Env) -> CoreId {
    if is_known_everywhere(topic, channel) { env.router.core() } else { env.router.owner(channel) }
}

/// Tells the other cores that sessions of this one have ended subscriptions; nobody waits for their answers.
pub(super) fn disclaim<'a>(topic: Topic, names: impl Iterator<Item = &'a [u8]> + Clone, env: &Env, links: &mut Links) {
    if env.router.cores() == 1 {
        return;
    }
    let command = env.lookup.find(topic.unsubscribe_name().as_bytes()).expect("a row for each topic");
    let changes = Detail::Changes(names.clone().map(|_| true).collect());
    links.ask_peers(&Ask::unanswered(command, Part::Unsubscribe(topic), changes, Words::new(names)));
}
