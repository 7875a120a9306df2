//! Mget: the values of many keys, as a stream in the order of the keys; one request per core.

use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, vec};

use futures_core::Stream;

use super::client::{Client, answer};
use super::link::Shape;
use crate::client::encode;
use crate::client::error::{Error, Fault};
use crate::client::value::{Expect, FromValue, Value, typed};

/// The values of several keys, in the order of the keys. See [`Client::mget`].
///
/// A [`Stream`], with [`next`](Self::next) and [`into_vec`](Self::into_vec) for code that does not use the trait. An error
/// of a connection ends the stream; an error of a value does not.
pub struct Mget<T> {
    parts: Vec<Part>,
    /// The index into `parts` of each key, in order; empty if there is one part only.
    order: vec::IntoIter<u32>,
    /// The number of keys whose values were not returned yet.
    left: usize,
    value: PhantomData<fn() -> T>,
}

struct Part {
    keys: Keys,
    reply: Reply,
}

/// The keys of one part, back to back in one buffer.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// How many values were returned.
    at: usize,
}

enum Reply {
    Coming(Pin<Box<dyn Future<Output = Result<Vec<Value>, Error>> + Send>>),
    Here(vec::IntoIter<Value>),
}

impl<T: FromValue> Mget<T> {
    pub(super) fn new<K: AsRef<[u8]>>(client: &Client, keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter();
        let mut links = Vec::new();
        let mut parts: Vec<Keys> = Vec::new();
        let mut order = Vec::with_capacity(keys.size_hint().0);
        for key in keys {
            let link = client.inner.router.link(Some(key.as_ref()));
            let part = links.iter().position(|known| std::sync::Arc::ptr_eq(known, &link)).unwrap_or_else(|| {
                links.push(link);
                parts.push(Keys::default());
                links.len() - 1
            });
            parts[part].push(key.as_ref());
            order.push(part as u32);
        }
        let left = order.len();
        let parts = parts.into_iter().map(|keys| Part { reply: Reply::Coming(ask(client.clone(), &keys)), keys });
        Self { parts: parts.collect(), order: order.into_iter(), left, value: PhantomData }
    }

    /// The next value.
    pub async fn next(&mut self) -> Option<Result<Option<T>, Error>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// All values.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Decode`] if a value is not a `T`.
    pub async fn into_vec(mut self) -> Result<Vec<Option<T>>, Error> {
        let mut values = Vec::with_capacity(self.left);
        while let Some(value) = self.next().await {
            values.push(value?);
        }
        Ok(values)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Option<T>, Error>>> {
        let Some(part) = self.order.as_slice().first() else { return Poll::Ready(None) };
        let part = *part as usize;
        if let Reply::Coming(_) = self.parts[part].reply {
            // All parts are polled, so that all requests are sent at the same time.
            for part in &mut self.parts {
                if let Reply::Coming(reply) = &mut part.reply
                    && let Poll::Ready(values) = reply.as_mut().poll(cx)
                {
                    match values {
                        Ok(values) => part.reply = Reply::Here(values.into_iter()),
                        Err(error) => {
                            self.end();
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
            }
        }
        let value = ready!(self.parts[part].take());
        self.order.next();
        self.left -= 1;
        Poll::Ready(Some(value))
    }

    /// Ends the stream.
    fn end(&mut self) {
        self.parts.clear();
        self.order = Vec::new().into_iter();
        self.left = 0;
    }
}

impl Part {
    fn take<T: FromValue>(&mut self) -> Poll<Result<Option<T>, Error>> {
        let Reply::Here(values) = &mut self.reply else { return Poll::Pending };
        let key = self.keys.next();
        // `ask` checked that there are as many values as keys. A value that is not a string is absent, as in Redis.
        let value = values.next().and_then(|value| value.bytes().ok()).flatten();
        Poll::Ready(typed(key, value))
    }
}

impl Keys {
    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| self.get(at))
    }

    fn get(&self, at: usize) -> &[u8] {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[begin..self.ends[at]]
    }

    fn next(&mut self) -> &[u8] {
        self.at += 1;
        self.get(self.at - 1)
    }
}

/// Requests the values of one part's keys.
fn ask(client: Client, keys: &Keys) -> Pin<Box<dyn Future<Output = Result<Vec<Value>, Error>> + Send>> {
    let mut request = Vec::with_capacity(keys.bytes.len() + 16 * keys.ends.len());
    encode::mget(&mut request, keys.iter());
    let (count, first) = (keys.ends.len(), keys.get(0).to_vec());
    Box::pin(async move {
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&request);
        let reply = answer(client.request(Some(&first), true, Shape::Plain(1), &write).await?.one())?;
        let values = client.expect(reply.array())?;
        if values.len() == count { Ok(values) } else { client.expect(Err(Fault::Type)) }
    })
}

impl<T: FromValue> Stream for Mget<T> {
    type Item = Result<Option<T>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl<T> fmt::Debug for Mget<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mget").field("left", &self.left).finish_non_exhaustive()
    }
}
