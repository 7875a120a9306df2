//! Subscriptions: streams of messages and of key events.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::Stream;

use super::Client;
use super::hub::{Inbox, Received, Topic};
use super::link::Link;

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
    pub received: Received,
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

/// The messages of a channel, or of all channels that match a pattern. Dropping it ends the subscription.
///
/// A [`Stream`], with [`next`](Self::next) for code that does not use the trait. It survives reconnections, with a
/// [`Gap`] where messages may be missing. It ends only with the runtime that it was created in.
#[derive(Debug)]
pub struct Messages {
    // Keeps the connections open.
    client: Client,
    topic: Topic,
    inbox: Arc<Inbox>,
    link: Arc<Link>,
}

/// The events of a key, or of all keys that match a pattern. Otherwise as [`Messages`].
#[derive(Debug)]
pub struct KeyEvents(Messages);

impl Messages {
    pub(super) fn new(client: Client, topic: Topic, inbox: Arc<Inbox>, link: Arc<Link>) -> Self {
        Self { client, topic, inbox, link }
    }

    /// The next message, or a gap. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Message, Gap>> {
        poll_fn(|cx| self.inbox.poll(cx)).await
    }
}

impl KeyEvents {
    pub(super) fn new(messages: Messages) -> Self {
        Self(messages)
    }

    /// The next event, or a gap. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<KeyEvent, Gap>> {
        Some(self.0.next().await?.map(|message| KeyEvent::of_message(&message)))
    }
}

impl KeyEvent {
    fn of_message(message: &Message) -> Self {
        let key = message.channel.slice(KEYSPACE.len().min(message.channel.len())..);
        let event = String::from_utf8_lossy(&message.payload).into_owned();
        Self { key, event, timestamp: message.received }
    }
}

/// The channel of a key's events; for a pattern of keys, the pattern of their channels.
pub(super) fn events_of(key: &[u8]) -> Bytes {
    [KEYSPACE, key].concat().into()
}

impl Stream for Messages {
    type Item = Result<Message, Gap>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inbox.poll(cx)
    }
}

impl Stream for KeyEvents {
    type Item = Result<KeyEvent, Gap>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.inbox.poll(cx).map(|item| Some(item?.map(|message| KeyEvent::of_message(&message))))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.client.hub().remove(&self.topic, &self.inbox, &self.link);
    }
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
