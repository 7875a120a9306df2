//! Key events: which of them anybody subscribes to, so that what nobody hears of costs nothing.
//!
//! Core: each its own. Every core knows all subscriptions to channels of key events and to patterns, and counts here for
//! each event how many of these could get it. From the counts and `notify-keyspace-events` follow the events that the
//! shard is to note: a subscriber to `__keyevent@0__:expired` leaves SET as cheap as it was.
//! Cost: a glob match per event and pattern when a pattern appears or vanishes.

use crate::command::glob::Pattern;
use crate::command::notify::Notify;
use crate::command::pubsub::Topic;
use crate::engine::pubsub::channels::Change;
use crate::limits::DATABASES;
use crate::shard::{Database, EVENTS};

/// How the channels of key events begin, ahead of the database: those with the key behind it, and those with the event.
pub(super) const KEYSPACE: &[u8] = b"__keyspace@";
pub(super) const KEYEVENT: &[u8] = b"__keyevent@";

/// Puts the name of a channel of key events in `channel`.
pub(super) fn name_channel(channel: &mut Vec<u8>, kind: &[u8], database: Database, rest: &[u8]) {
    channel.clear();
    channel.extend_from_slice(kind);
    if database > 9 {
        channel.push(b'0' + database / 10);
    }
    channel.push(b'0' + database % 10);
    channel.extend_from_slice(b"__:");
    channel.extend_from_slice(rest);
}

/// Whether a name may be one of a channel of key events.
pub(super) fn is_channel(name: &[u8]) -> bool {
    name.starts_with(KEYSPACE) || name.starts_with(KEYEVENT)
}

/// How many names that are subscribed to could get which events.
#[derive(Debug, Default)]
pub(in crate::engine) struct KeyEvents {
    databases: [Counts; DATABASES as usize],
}

/// The same of one database.
#[derive(Debug, Default)]
struct Counts {
    /// Subscriptions to the events of any key.
    keyspace: usize,
    /// Subscriptions to an event, by its number.
    keyevent: [usize; EVENTS.len()],
}

impl KeyEvents {
    /// A name has appeared or vanished.
    pub(super) fn count(&mut self, topic: Topic, name: &[u8], change: Change) {
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
        let compiled = pattern.then(|| Pattern::new(name));
        let mut channel = Vec::new();
        for (database, counts) in (0..).zip(&mut self.databases) {
            let mut has_any = |kind: &[u8]| {
                name_channel(&mut channel, kind, database, b"");
                if pattern { could_match(name, &channel) } else { name.starts_with(&channel) }
            };
            let (any_key, any_event) = (has_any(KEYSPACE), has_any(KEYEVENT));
            if any_key {
                adjust(&mut counts.keyspace);
            }
            for (event, text, _) in EVENTS.iter().filter(|_| any_event) {
                name_channel(&mut channel, KEYEVENT, database, text.as_bytes());
                let heard = compiled.as_ref().map_or(channel == name, |pattern| pattern.matches(&channel));
                if heard {
                    adjust(&mut counts.keyevent[event.number()]);
                }
            }
        }
    }

    /// Whether anybody subscribes to the events of some key of a database.
    pub(super) fn of_keys(&self, notify: Notify, database: Database) -> bool {
        notify.keyspace() && self.databases[usize::from(database)].keyspace > 0
    }

    /// Whether anybody subscribes to an event of any key of a database.
    pub(super) fn of_event(&self, notify: Notify, database: Database, number: usize) -> bool {
        notify.keyevent() && self.databases[usize::from(database)].keyevent[number] > 0
    }

    /// The events that are to be noted, of whichever database, a bit each.
    pub(super) fn wanted(&self, notify: Notify) -> u32 {
        let heard_in = |database, number| self.of_keys(notify, database) || self.of_event(notify, database, number);
        let heard = |number: usize| (0..DATABASES as u8).any(|database| heard_in(database, number));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Event;

    fn wanted(topic: Topic, name: &str, notify: &str) -> Vec<&'static str> {
        let mut key_events = KeyEvents::default();
        key_events.count(topic, name.as_bytes(), Change::Appeared);
        let bits = key_events.wanted(Notify::parse(notify.as_bytes()).expect("letters"));
        key_events.count(topic, name.as_bytes(), Change::Vanished);
        assert_eq!(key_events.wanted(Notify::default()), 0, "nobody is left");
        EVENTS.iter().filter(|(event, ..)| bits & 1 << event.number() != 0).map(|row| row.1).collect()
    }

    #[test]
    fn only_what_somebody_hears_is_wanted() {
        let all: Vec<_> = EVENTS.iter().map(|row| row.1).filter(|name| !["new", "keymiss"].contains(name)).collect();
        for (topic, name, notify, expected) in [
            (Topic::Channel, "__keyevent@0__:expired", "AKE", vec!["expired"]),
            (Topic::Channel, "__keyevent@0__:nothing", "AKE", vec![]),
            (Topic::Channel, "__keyspace@0__:k", "AKE", all.clone()),
            (Topic::Channel, "__keyspace@1__:k", "AKE", all.clone()),
            (Topic::Channel, "__keyspace@16__:k", "AKE", vec![]),
            (Topic::Channel, "__keyevent@15__:expired", "AKE", vec!["expired"]),
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
