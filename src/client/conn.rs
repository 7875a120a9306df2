//! The protocol of one connection, sans I/O: bytes in, replies matched to requests out, in order.
//!
//! Used by: the blocking client and the tasks of the asynchronous one, which do the I/O. `Decoder` decodes bytes to values;
//! `Awaited` matches values to requests. They are separate so that a task decodes while others enqueue.
//! Never: does I/O, reads a clock, or gives a reply to another request than its own: a reply out of turn ends the
//! connection.
//! Cost: a scalar reply is scanned once, the heads of an aggregate twice. Nothing is quadratic in how the bytes were cut.
//! Small values are copied once, large ones not at all.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::error::Fault;
use super::value::Value;
use crate::limits::{CLIENT_BUFFER_BYTES_KEPT_MAX, CLIENT_READ_BYTES, CLIENT_SHARED_VALUE_BYTES_MIN};
use crate::resp::reply::{Item, build, item};
use crate::resp::{Measure, ReplyError};

/// Decodes the bytes of one connection to values.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Received bytes that are not a whole reply yet. Filled by the transport.
    input: BytesMut,
    /// The progress of scanning an incomplete aggregate at the start of `input`.
    measure: Measure,
}

impl Decoder {
    /// The buffer to read into. It always has room, so a read of 0 bytes is the end of the connection.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        if self.input.is_empty() && self.input.capacity() > CLIENT_BUFFER_BYTES_KEPT_MAX {
            self.input = BytesMut::new();
        }
        // The buffer doubles while a large reply arrives, so that few copies are made.
        if self.input.capacity() - self.input.len() < CLIENT_READ_BYTES / 4 {
            self.input.reserve(CLIENT_READ_BYTES.max(self.input.len()));
        }
        &mut self.input
    }

    /// Appends every complete reply. After an error the connection is unusable; the replies appended before it are valid.
    pub(crate) fn decode(&mut self, replies: &mut Vec<Value>) -> Result<(), ReplyError> {
        let mut done = 0;
        let result = self.decode_from(&mut done, replies);
        self.input.advance(done);
        result
    }

    fn decode_from(&mut self, done: &mut usize, replies: &mut Vec<Value>) -> Result<(), ReplyError> {
        let copy = &mut |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        loop {
            let rest = &self.input[*done..];
            let len = match item(rest)? {
                None => return Ok(()),
                Some((Item::Whole(scalar), len)) if len < CLIENT_SHARED_VALUE_BYTES_MIN => {
                    replies.push(scalar.to_value(copy));
                    *done += len;
                    continue;
                }
                Some((Item::Whole(_), len)) => len,
                Some((Item::Aggregate { .. }, _)) => match self.measure.advance(rest)? {
                    None => return Ok(()),
                    Some(len) => len,
                },
            };
            let value = if len < CLIENT_SHARED_VALUE_BYTES_MIN {
                let value = build(&rest[..len], copy)?;
                *done += len;
                value
            } else {
                self.input.advance(std::mem::take(done));
                let whole = self.input.split_to(len).freeze();
                build(&whole, &mut |bytes: &[u8]| {
                    let shared = bytes.len() >= CLIENT_SHARED_VALUE_BYTES_MIN;
                    if shared { whole.slice_ref(bytes) } else { Bytes::copy_from_slice(bytes) }
                })?
            };
            // The reply was just measured, so it is complete.
            replies.push(value.ok_or(ReplyError::Malformed)?);
        }
    }
}

/// The requests of one connection that wait for replies, in the order they were sent. `T` tells them apart.
#[derive(Debug)]
pub(crate) struct Awaited<T> {
    queue: VecDeque<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    token: T,
    /// The number of outstanding replies.
    left: u32,
    /// The number of errors that may precede the reply: see `sent_with_fence`.
    errors: u32,
}

/// A value from the server, matched.
#[derive(Debug, PartialEq)]
pub(crate) enum Arrival<T> {
    /// A reply to a request.
    Reply {
        /// The token of the request.
        token: T,
        /// The reply.
        value: Value,
        /// Whether this is the request's last reply.
        last: bool,
    },
    /// A push: no request asked for it.
    Push(Vec<Value>),
}

impl<T: Copy> Awaited<T> {
    pub(crate) fn new() -> Self {
        Self { queue: VecDeque::new() }
    }

    /// A request was sent that gets `replies` replies, at least one.
    #[inline]
    pub(crate) fn sent(&mut self, token: T, replies: u32) {
        debug_assert!(replies > 0, "a request without a reply can't be waited for");
        self.queue.push_back(Entry { token, left: replies, errors: 0 });
    }

    /// A SUBSCRIBE or its like was sent, and a PING after it as a fence. Success is confirmed by pushes alone; so the reply
    /// is PONG, or an error and then PONG.
    #[cfg(feature = "client")]
    pub(crate) fn sent_with_fence(&mut self, token: T) {
        self.queue.push_back(Entry { token, left: 1, errors: 1 });
    }

    /// As `sent_with_fence`, but with several requests before the PING, and ahead of all other requests: the requests that a
    /// connection begins with.
    #[cfg(feature = "client")]
    pub(crate) fn begin_with_fence(&mut self, token: T, requests: u32) {
        self.queue.push_front(Entry { token, left: 1, errors: requests });
    }

    /// A value was received.
    #[inline]
    pub(crate) fn on_value(&mut self, value: Value) -> Result<Arrival<T>, Fault> {
        if let Value::Push(items) = value {
            return Ok(Arrival::Push(items));
        }
        let front = self.queue.front_mut().ok_or(Fault::Unasked)?;
        let token = front.token;
        if front.errors > 0 && matches!(value, Value::Error(_)) {
            front.errors -= 1;
            return Ok(Arrival::Reply { token, value, last: false });
        }
        front.left -= 1;
        let last = front.left == 0;
        if last {
            self.queue.pop_front();
        }
        Ok(Arrival::Reply { token, value, last })
    }

    /// The number of requests that wait for replies.
    #[cfg(feature = "client")]
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The tokens of the waiting requests, in order.
    #[cfg(feature = "client")]
    pub(crate) fn tokens_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.queue.iter_mut().map(|entry| &mut entry.token)
    }

    /// Removes the requests behind the first `sent` that `keep` rejects: requests that were not sent.
    #[cfg(feature = "client")]
    pub(crate) fn retain_unsent(&mut self, sent: usize, mut keep: impl FnMut(&T) -> bool) {
        let mut at = 0;
        self.queue.retain(|entry| {
            at += 1;
            at <= sent || keep(&entry.token)
        });
    }

    /// The connection is gone: removes the first `sent` requests, which were sent.
    #[cfg(feature = "client")]
    pub(crate) fn drain_sent(&mut self, sent: usize) -> impl Iterator<Item = T> {
        self.queue.drain(..sent).map(|entry| entry.token)
    }
}

#[cfg(all(test, feature = "client"))]
#[path = "conn_tests.rs"]
mod tests;
