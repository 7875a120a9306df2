//! Messages: the methods of `Client` for publishing and subscribing.

use std::sync::Arc;

use bytes::Bytes;

use super::client::{Client, answer};
use super::driver::drive;
use super::event::events_of;
use super::hub::{Hub, Kind, Topic};
use super::link::{Call, Link, Shape, ticks};
use super::role::Role;
use super::slots::Failure;
use super::subscription::{KeyEvents, Messages};
use crate::client::encode;
use crate::client::error::{Error, Fate};
use crate::client::value::{Expect, ToValue, stored};
use crate::limits::CLIENT_REPEATS_MAX;

impl Client {
    /// Subscribes to the key events of a key: a stream of [`KeyEvent`](super::KeyEvent)s. An Aspine server needs no
    /// configuration for it.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let mut events = client.subscribe("user:1").await?;
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Ok(event) => println!("{} at {:?}", event.event, event.timestamp),
    ///         Err(gap) => println!("{gap}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn subscribe(&self, key: impl AsRef<[u8]>) -> Result<KeyEvents, Error> {
        let topic = Topic { kind: Kind::Channel, name: events_of(key.as_ref()) };
        Ok(KeyEvents::new(self.hear(topic).await?))
    }

    /// Subscribes to the key events of all keys that match a pattern (`user:*`).
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let mut events = client.subscribe_keys("user:*").await?;
    /// # drop(events.next().await);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn subscribe_keys(&self, pattern: impl AsRef<[u8]>) -> Result<KeyEvents, Error> {
        let topic = Topic { kind: Kind::Pattern, name: events_of(pattern.as_ref()) };
        Ok(KeyEvents::new(self.hear(topic).await?))
    }

    /// Subscribes to a channel: a stream of [`Message`](super::Message)s.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let mut news = client.subscribe_channel("news").await?;
    /// client.publish("news", "hello").await?;
    /// let message = news.next().await;
    /// # drop(message);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn subscribe_channel(&self, channel: impl AsRef<[u8]>) -> Result<Messages, Error> {
        self.hear(Topic { kind: Kind::Channel, name: Bytes::copy_from_slice(channel.as_ref()) }).await
    }

    /// Subscribes to all channels that match a pattern (`news.*`).
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let mut news = client.subscribe_pattern("news.*").await?;
    /// # drop(news.next().await);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn subscribe_pattern(&self, pattern: impl AsRef<[u8]>) -> Result<Messages, Error> {
        self.hear(Topic { kind: Kind::Pattern, name: Bytes::copy_from_slice(pattern.as_ref()) }).await
    }

    /// Sends a message to a channel and returns how many subscribers it has.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let heard_by: u64 = client.publish("news", "hello").await?;
    /// # drop(heard_by);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn publish(&self, channel: impl AsRef<[u8]>, message: impl ToValue) -> Result<u64, Error> {
        let (channel, message) = (channel.as_ref(), stored(&message)?);
        let words = [b"PUBLISH", channel, &message];
        let reply = self.one(None, false, |out| encode::words(out, words.iter())).await?;
        Ok(self.expect(reply.integer())?.cast_unsigned())
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    /// Subscribes to a topic.
    async fn hear(&self, topic: Topic) -> Result<Messages, Error> {
        let link = self.subscriber();
        let ask = || {
            let topic = topic.clone();
            let ticks = ticks(self.inner.options.timeout);
            Call::new(link.clone(), Shape::Fenced, ticks, move |out: &mut Vec<u8>| topic.subscribe(out))
        };
        let (inbox, mut call) = self.inner.hub.add(&topic, ask);
        // From here on dropping `messages` ends the subscription, whatever happens to the request.
        let messages = Messages::new(self.clone(), topic.clone(), inbox, link.clone());
        let mut repeats = 0;
        loop {
            match call.await {
                Ok(replies) => return answer(replies.one()).map(|_| messages),
                Err(Failure::Lost(error, _)) if error.fate() == Some(Fate::Unknown) && repeats < CLIENT_REPEATS_MAX => {
                    repeats += 1;
                }
                Err(Failure::Final(error) | Failure::Lost(error, _)) => return Err(error),
            }
            call = ask();
        }
    }

    /// The connection for subscriptions.
    fn subscriber(&self) -> Arc<Link> {
        let inner = &self.inner;
        let mut subscriber = inner.subscriber.lock();
        let link = subscriber.get_or_insert_with(|| {
            let link = Arc::new(Link::new(inner.options.clone()));
            tokio::spawn(drive(link.clone(), inner.place.clone(), Role::Subscriber(inner.hub.clone()), None));
            link
        });
        link.clone()
    }
}
