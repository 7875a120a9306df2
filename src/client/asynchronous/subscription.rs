//! Streams of what is published: messages of channels, and events of keys.

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

/// How the server names a key's channel of events.
const KEYSPACE: &[u8] = b"__keyspace@0__:";

/// A message that was published to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The channel.
    pub channel: Bytes,
    /// The pattern that was subscribed to, if it was one.
    pub pattern: Option<Bytes>,
    /// What was sent.
    pub payload: Bytes,
    /// When this client received it, by its own clock.
    pub received: Received,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyEvent {
    /// The key.
    pub key: Bytes,
    /// What happened, in Redis's words: `set`, `del`, `expire`, `expired`, `evicted`, `incrby`, …
    pub event: String,
    /// When this client heard of it, by its own clock; the server does not say when it happened.
    pub timestamp: SystemTime,
}

/// Where a stream may have missed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// The connection broke. From here on everything is heard again; what a reader wants to be sure of it reads now.
    Reconnected,
    /// The reader was slow, and so many were dropped here.
    Overflow {
        /// How many.
        dropped: u64,
    },
}

/// What is published to a channel, or to all that match a pattern. Dropped, it ends the subscription.
///
/// A [`Stream`], and [`next`](Self::next) for those who need no more. It goes on through reconnections, and says by a
/// [`Gap`] where something may be missing. It ends only with the runtime it was made in.
#[derive(Debug)]
pub struct Messages {
    // Keeps the connections.
    client: Client,
    topic: Topic,
    inbox: Arc<Inbox>,
    link: Arc<Link>,
}

/// What happens to a key, or to all that match a pattern. Otherwise as [`Messages`].
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

/// The channel of a key's events, or the pattern of those of several.
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
            Self::Reconnected => f.write_str("the connection broke; what was published meanwhile was not heard"),
            Self::Overflow { dropped } => write!(f, "the reader was slow; {dropped} were dropped"),
        }
    }
}

impl std::error::Error for Gap {}
