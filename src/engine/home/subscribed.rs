//! Subscribed: what one session subscribes to. Core: the session's home.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::command::client::Subscriptions;
use crate::command::pubsub::{TOPICS, Topic};

/// The names one session subscribes to, by kind.
#[derive(Debug, Default)]
pub(in crate::engine) struct Subscribed {
    names: [BTreeSet<Rc<[u8]>>; TOPICS.len()],
    bytes: usize,
}

impl Subscribed {
    pub(in crate::engine) fn has(&self, topic: Topic, name: &[u8]) -> bool {
        self.names[topic.number()].contains(name)
    }

    /// The names of one kind.
    pub(in crate::engine) fn of(&self, topic: Topic) -> impl Iterator<Item = &[u8]> {
        self.names[topic.number()].iter().map(|name| &name[..])
    }

    pub(in crate::engine) fn insert(&mut self, topic: Topic, name: Rc<[u8]>) {
        self.bytes += name.len();
        self.names[topic.number()].insert(name);
    }

    pub(in crate::engine) fn remove(&mut self, topic: Topic, name: &[u8]) {
        if self.names[topic.number()].remove(name) {
            self.bytes -= name.len();
        }
    }

    pub(in crate::engine) fn len(&self) -> usize {
        self.names.iter().map(BTreeSet::len).sum()
    }

    /// Bytes of all names.
    pub(in crate::engine) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::engine) fn counts(&self) -> Subscriptions {
        let [channels, patterns, shard_channels] = [0, 1, 2].map(|topic| self.names[topic].len());
        Subscriptions { channels, patterns, shard_channels }
    }

    /// All names by kind.
    pub(in crate::engine) fn into_names(self) -> impl Iterator<Item = (Topic, Vec<Rc<[u8]>>)> {
        TOPICS.into_iter().zip(self.names).map(|(topic, names)| (topic, names.into_iter().collect()))
    }
}
