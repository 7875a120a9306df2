//! Events: what a stream of a subscription yields: messages, events of keys, and gaps.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

/// The prefix of the channel of a key's events.
const KEYSPACE: &[u8] = b"__keyspace@0__:";

/// A message of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The channel.
    pub channel: Bytes,
    /// The pattern of the subscription, if it has one.
    pub pattern: Option<Bytes>,
    /// The content of the message.
    pub payload: Bytes,
    /// The time at which this client received the message, by its own clock.
    pub received: SystemTime,
}

/// An event of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyEvent {
    /// The key.
    pub key: Bytes,
    /// The name of the event, as in Redis: `set`, `del`, `expire`, `expired`, `evicted`, `incrby`, …
    pub event: String,
    /// The time at which this client received the event, by its own clock; the server sends no time.
    pub timestamp: SystemTime,
}

/// A gap in a stream: messages may be missing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// The connection broke and is restored. No message after the gap is missed; a reader that needs the current values reads
    /// them now.
    Reconnected,
    /// The reader was slow, and messages were dropped here.
    Overflow {
        /// The number of dropped messages.
        dropped: u64,
    },
}

impl KeyEvent {
    pub(super) fn of_message(message: &Message) -> Self {
        let key = message.channel.slice(KEYSPACE.len().min(message.channel.len())..);
        let event = String::from_utf8_lossy(&message.payload).into_owned();
        Self { key, event, timestamp: message.received }
    }
}

/// The channel of a key's events; for a pattern of keys, the pattern of their channels.
pub(super) fn events_of(key: &[u8]) -> Bytes {
    [KEYSPACE, key].concat().into()
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reconnected => f.write_str("the connection broke; messages published meanwhile were missed"),
            Self::Overflow { dropped } => write!(f, "the reader was slow; {dropped} messages were dropped"),
        }
    }
}

impl std::error::Error for Gap {}
