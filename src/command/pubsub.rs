//! Publish and subscribe: the replies and pushes of messages and subscriptions, in Redis's words. Pure; the
//! subscriptions are in `engine/pubsub` and `engine/home/subscriptions.rs`.

use crate::resp::Writer;

/// The kinds of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A channel: SUBSCRIBE, PUBLISH.
    Channel,
    /// All channels whose name matches: PSUBSCRIBE.
    Pattern,
    /// A channel that patterns do not see: SSUBSCRIBE, SPUBLISH.
    ShardChannel,
}

/// All topics, by number.
pub const TOPICS: [Topic; 3] = [Topic::Channel, Topic::Pattern, Topic::ShardChannel];

impl Topic {
    /// The index in [`TOPICS`].
    pub fn number(self) -> usize {
        self as usize
    }

    /// The name of the command that ends subscriptions to this topic.
    pub fn unsubscribe_name(self) -> &'static str {
        match self {
            Topic::Channel => "unsubscribe",
            Topic::Pattern => "punsubscribe",
            Topic::ShardChannel => "sunsubscribe",
        }
    }

    fn subscribe_name(self) -> &'static str {
        match self {
            Topic::Channel => "subscribe",
            Topic::Pattern => "psubscribe",
            Topic::ShardChannel => "ssubscribe",
        }
    }
}

/// Confirms a subscription, or its end. `None`: there was none to end. `count`: those left of its kind.
pub fn confirmation(writer: &mut Writer<'_>, topic: Topic, subscribes: bool, name: Option<&[u8]>, count: usize) {
    writer.push(3);
    writer.bulk(if subscribes { topic.subscribe_name() } else { topic.unsubscribe_name() }.as_bytes());
    match name {
        Some(name) => writer.bulk(name),
        None => writer.null(),
    }
    writer.integer(count as i64);
}

/// A message on a channel.
pub fn message(writer: &mut Writer<'_>, topic: Topic, channel: &[u8], text: &[u8]) {
    writer.push(3);
    writer.bulk(if topic == Topic::ShardChannel { b"smessage" } else { b"message" });
    writer.bulk(channel);
    writer.bulk(text);
}

/// A message on a channel that a pattern matches.
pub fn pattern_message(writer: &mut Writer<'_>, pattern: &[u8], channel: &[u8], text: &[u8]) {
    writer.push(4);
    writer.bulk(b"pmessage");
    writer.bulk(pattern);
    writer.bulk(channel);
    writer.bulk(text);
}
