//! Subscriptions: streams of messages and of key events.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::client::Client;
use super::event::{Gap, KeyEvent, Message};
use super::hub::{Inbox, Topic};
use super::link::Link;

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
