//! Listeners: whether anybody hears of a key event, so that what nobody hears of costs nothing; and publishing those
//! that somebody does.
//!
//! Core: each its own. Every core knows all subscriptions to channels of key events and to patterns, and counts here for
//! each event how many of these could get it. From the counts and `notify-keyspace-events` follow the events that the
//! shard is to note: a listener to `__keyevent@0__:expired` leaves SET as cheap as it was. What was noted is published
//! before the turn's output leaves, and before anybody's subscriptions change.
//! Cost: a glob match per event and pattern when a pattern appears or vanishes.

use crate::command::glob;
use crate::command::notify::Notify;
use crate::command::pubsub::Topic;
use crate::engine::Engine;
use crate::engine::channels::Change;
use crate::shard::{EVENTS, noted};

/// How the channels of key events begin: with the key behind it, and with the event.
pub(super) const KEYSPACE: &[u8] = b"__keyspace@0__:";
pub(super) const KEYEVENT: &[u8] = b"__keyevent@0__:";

/// How many names that are subscribed to could get which events.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Of any key.
    keyspace: usize,
    /// By the event's number.
    keyevent: [usize; EVENTS.len()],
}

impl Listeners {
    /// A name has appeared or vanished.
    fn count(&mut self, topic: Topic, name: &[u8], change: Change) {
        let adjust = |count: &mut usize| match change {
            Change::Appeared => *count += 1,
            Change::Vanished => *count -= 1,
            Change::None => {}
        };
        let pattern = match topic {
            Topic::Channel => false,
            Topic::Pattern => true,
            Topic::ShardChannel => return,
        };
        let any_key = if pattern { could_match(name, KEYSPACE) } else { name.starts_with(KEYSPACE) };
        if any_key {
            adjust(&mut self.keyspace);
        }
        for (event, text, _) in EVENTS {
            let channel = [KEYEVENT, text.as_bytes()].concat();
            let heard = if pattern { glob::matches(name, &channel) } else { channel == name };
            if heard {
                adjust(&mut self.keyevent[event.number()]);
            }
        }
    }

    /// The events that are to be noted, a bit each.
    fn wanted(&self, notify: Notify) -> u32 {
        let heard = |number: usize| {
            (notify.keyspace() && self.keyspace > 0) || (notify.keyevent() && self.keyevent[number] > 0)
        };
        let wanted = EVENTS.iter().filter(|(event, ..)| notify.publishes(*event) && heard(event.number()));
        wanted.fold(0, |all, (event, ..)| all | 1 << event.number())
    }
}

/// Whether a pattern could match something that begins with `prefix`. May say yes where it can't.
fn could_match(pattern: &[u8], prefix: &[u8]) -> bool {
    let special = pattern.iter().position(|byte| b"*?[\\".contains(byte));
    let literal = &pattern[..special.unwrap_or(pattern.len())];
    match special {
        None => literal.starts_with(prefix),
        Some(_) => literal.starts_with(prefix) || prefix.starts_with(literal),
    }
}

impl Engine {
    /// A name has got its first subscriber that this core knows of, or lost the last.
    pub(super) fn on_name(&mut self, topic: Topic, name: &[u8], change: Change) {
        if change != Change::None && (topic == Topic::Pattern || name.starts_with(b"__key")) {
            self.listeners.count(topic, name, change);
            self.want_events();
        }
    }

    /// Tells the shard which events to note.
    pub(super) fn want_events(&mut self) {
        self.shard.set_events_wanted(self.listeners.wanted(self.settings.notify));
    }

    /// Publishes what the shard has noted.
    #[inline]
    pub(super) fn publish_events(&mut self) {
        if self.shard.has_events() {
            self.publish_noted();
        }
    }

    #[cold]
    fn publish_noted(&mut self) {
        let spare = self.mesh.buffer();
        let events = self.shard.take_events(spare);
        let notify = self.settings.notify;
        let mut channel = self.mesh.buffer();
        for (event, key) in noted(&events) {
            let name = EVENTS[event.number()].1.as_bytes();
            if notify.keyspace() && self.listeners.keyspace > 0 {
                channel.clear();
                channel.extend_from_slice(KEYSPACE);
                channel.extend_from_slice(key);
                self.publish(Topic::Channel, &channel, name);
            }
            if notify.keyevent() && self.listeners.keyevent[event.number()] > 0 {
                channel.clear();
                channel.extend_from_slice(KEYEVENT);
                channel.extend_from_slice(name);
                self.publish(Topic::Channel, &channel, key);
            }
        }
        self.mesh.give_back(channel);
        self.mesh.give_back(events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Event;

    fn wanted(topic: Topic, name: &str, notify: &str) -> Vec<&'static str> {
        let mut listeners = Listeners::default();
        listeners.count(topic, name.as_bytes(), Change::Appeared);
        let bits = listeners.wanted(Notify::parse(notify.as_bytes()).expect("letters"));
        listeners.count(topic, name.as_bytes(), Change::Vanished);
        assert_eq!(listeners.wanted(Notify::default()), 0, "nobody is left");
        EVENTS.iter().filter(|(event, ..)| bits & 1 << event.number() != 0).map(|row| row.1).collect()
    }

    #[test]
    fn only_what_somebody_hears_is_wanted() {
        let all: Vec<_> = EVENTS.iter().map(|row| row.1).filter(|name| !["new", "keymiss"].contains(name)).collect();
        for (topic, name, notify, expected) in [
            (Topic::Channel, "__keyevent@0__:expired", "AKE", vec!["expired"]),
            (Topic::Channel, "__keyevent@0__:nothing", "AKE", vec![]),
            (Topic::Channel, "__keyspace@0__:k", "AKE", all.clone()),
            (Topic::Channel, "__keyspace@1__:k", "AKE", vec![]),
            (Topic::ShardChannel, "__keyspace@0__:k", "AKE", vec![]),
            (Topic::Pattern, "*", "AKE", all.clone()),
            (Topic::Pattern, "news.*", "AKE", vec![]),
            (Topic::Pattern, "__key*", "AKE", all.clone()),
            (Topic::Pattern, "__keyevent@*:rename_*", "AKE", vec!["rename_from", "rename_to"]),
            (Topic::Pattern, "__keyevent@0__:[es]*", "Ex", vec!["expired"]),
            (Topic::Pattern, "__keyspace@0__:user:*", "Ex", vec![]),
            (
                Topic::Pattern,
                "__keyspace@0__:user:*",
                "K$",
                vec!["set", "append", "setrange", "setbit", "incrby", "incrbyfloat"],
            ),
            (Topic::Pattern, "__keyevent*", "Enm", vec!["new", "keymiss"]),
            (Topic::Pattern, "__key*", "", vec![]),
        ] {
            assert_eq!(wanted(topic, name, notify), expected, "{name} with {notify}");
        }
        assert!(Event::Set.number() < 32, "a bit each");
    }
}
