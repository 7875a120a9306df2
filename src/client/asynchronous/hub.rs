//! The hub: all subscriptions of one client, over one connection of their own.
//!
//! A topic is subscribed to at the server once, however many streams it has here. When the connection breaks, every topic is
//! subscribed to again; once the server confirms a topic, its streams get the gap, so that a reader that then reads the
//! keys anew misses nothing. Each stream queues a bounded number of messages; a slow reader delays no other.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::super::clock::wall_clock;
use super::super::encode;
use super::super::value::Value;
use super::event::{Gap, Message};
use super::link::{Call, Link, Shape};
use super::lock::Lock;
use crate::limits::CLIENT_MESSAGES_KEPT_MAX;

/// A channel or pattern to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Topic {
    pub(super) kind: Kind,
    pub(super) name: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Channel,
    Pattern,
}

/// All subscriptions of one client.
#[derive(Debug, Default)]
pub(super) struct Hub {
    topics: Lock<HashMap<Topic, Vec<Arc<Inbox>>>>,
}

/// The queue of messages that one stream has not read yet.
#[derive(Debug, Default)]
pub(super) struct Inbox(Lock<Unread>);

#[derive(Debug, Default)]
struct Unread {
    queue: VecDeque<Result<Message, Gap>>,
    waker: Option<Waker>,
    /// The connection broke, and the server has not confirmed the topic since then.
    broken: bool,
    ended: bool,
}

impl Hub {
    /// Adds a stream to a topic and subscribes to the topic at the server.
    pub(super) fn add<W: Fn(&mut Vec<u8>)>(
        &self,
        topic: &Topic,
        ask: impl FnOnce() -> Call<W>,
    ) -> (Arc<Inbox>, Call<W>) {
        let inbox = Arc::new(Inbox::default());
        let mut topics = self.topics.lock();
        topics.entry(topic.clone()).or_default().push(inbox.clone());
        // Under the lock, so that the request comes after an UNSUBSCRIBE of a stream that was just removed.
        (inbox, ask().start())
    }

    /// Removes a stream from a topic; with the last stream the topic is unsubscribed from at the server.
    pub(super) fn remove(&self, topic: &Topic, inbox: &Arc<Inbox>, link: &Link) {
        let mut topics = self.topics.lock();
        let Some(inboxes) = topics.get_mut(topic) else { return };
        inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
        if inboxes.is_empty() {
            topics.remove(topic);
            link.post(Shape::Fenced, |out| topic.unsubscribe(out));
        }
    }

    /// Writes the subscriptions to every topic, and a fence; returns the number of requests before the fence.
    pub(super) fn restore(&self, out: &mut Vec<u8>) -> Option<u32> {
        let topics = self.topics.lock();
        let mut requests = 0;
        for (kind, command) in [(Kind::Channel, "SUBSCRIBE"), (Kind::Pattern, "PSUBSCRIBE")] {
            let names: Vec<&[u8]> =
                topics.keys().filter(|topic| topic.kind == kind).map(|topic| &*topic.name).collect();
            if !names.is_empty() {
                encode::head(out, 1 + names.len());
                encode::word(out, command.as_bytes());
                names.iter().for_each(|name| encode::word(out, name));
                requests += 1;
            }
        }
        if requests == 0 {
            return None;
        }
        fence(out);
        Some(requests)
    }

    /// A message arrived, or the confirmation of a topic.
    pub(super) fn on_push(&self, items: Vec<Value>) {
        let received = wall_clock();
        let mut parts = items.into_iter().map(|item| match item {
            Value::Bulk(Some(bytes)) | Value::Simple(bytes) => bytes,
            _ => Bytes::new(),
        });
        let mut next = || parts.next().unwrap_or_default();
        let (what, name) = (next(), next());
        match &*what {
            b"message" => {
                let topic = Topic { kind: Kind::Channel, name: name.clone() };
                let message = Message { channel: name, pattern: None, payload: next(), received };
                self.deliver(&topic, &message);
            }
            b"pmessage" => {
                let topic = Topic { kind: Kind::Pattern, name: name.clone() };
                let message = Message { pattern: Some(name), channel: next(), payload: next(), received };
                self.deliver(&topic, &message);
            }
            b"subscribe" => self.on_confirmed(&Topic { kind: Kind::Channel, name }),
            b"psubscribe" => self.on_confirmed(&Topic { kind: Kind::Pattern, name }),
            _ => {}
        }
    }

    /// The connection broke.
    pub(super) fn on_gap(&self) {
        self.each(|inbox| {
            inbox.0.lock().broken = true;
            None
        });
    }

    /// The connection's task has ended: there will be no further connection.
    pub(super) fn on_end(&self) {
        self.each(|inbox| {
            let mut unread = inbox.0.lock();
            unread.ended = true;
            unread.waker.take()
        });
    }

    fn on_confirmed(&self, topic: &Topic) {
        let wakers: Vec<Waker> = match self.topics.lock().get(topic) {
            Some(inboxes) => inboxes.iter().filter_map(|inbox| inbox.on_confirmed()).collect(),
            None => return,
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn deliver(&self, topic: &Topic, message: &Message) {
        let wakers: Vec<Waker> = match self.topics.lock().get(topic) {
            Some(inboxes) => inboxes.iter().filter_map(|inbox| inbox.put(message.clone())).collect(),
            None => return,
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn each(&self, tell: impl Fn(&Inbox) -> Option<Waker>) {
        let wakers: Vec<Waker> = self.topics.lock().values().flatten().filter_map(|inbox| tell(inbox)).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Inbox {
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Gap>>> {
        let mut unread = self.0.lock();
        match unread.queue.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if unread.ended => Poll::Ready(None),
            None => {
                unread.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn put(&self, message: Message) -> Option<Waker> {
        let mut unread = self.0.lock();
        if unread.queue.len() < CLIENT_MESSAGES_KEPT_MAX {
            unread.queue.push_back(Ok(message));
        } else if let Some(Err(Gap::Overflow { dropped })) = unread.queue.back_mut() {
            *dropped += 1;
        } else {
            // One entry beyond the bound, and the last until the reader has made room.
            unread.queue.push_back(Err(Gap::Overflow { dropped: 1 }));
        }
        unread.waker.take()
    }

    fn on_confirmed(&self) -> Option<Waker> {
        let mut unread = self.0.lock();
        if !std::mem::take(&mut unread.broken) {
            return None;
        }
        unread.queue.push_back(Err(Gap::Reconnected));
        unread.waker.take()
    }
}

impl Topic {
    /// Writes the subscription to this topic, and a fence.
    pub(super) fn subscribe(&self, out: &mut Vec<u8>) {
        let command: &[u8] = if self.kind == Kind::Channel { b"SUBSCRIBE" } else { b"PSUBSCRIBE" };
        encode::of_key(out, command, &self.name);
        fence(out);
    }

    fn unsubscribe(&self, out: &mut Vec<u8>) {
        let command: &[u8] = if self.kind == Kind::Channel { b"UNSUBSCRIBE" } else { b"PUNSUBSCRIBE" };
        encode::of_key(out, command, &self.name);
        fence(out);
    }
}

fn fence(out: &mut Vec<u8>) {
    encode::words(out, ["PING"].iter());
}
