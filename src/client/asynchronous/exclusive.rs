//! Connections that one caller has for itself: what WATCH watches belongs to a connection, and SAVE keeps one busy.
//!
//! Few are kept for the next caller. One that breaks is not made again: what was watched on it is forgotten, so a
//! transaction must not go over another. One whose caller goes away in between is closed.

use std::sync::Arc;

use bytes::Bytes;

use super::driver::{drive, open};
use super::link::{Call, Link, Shape, ticks};
use super::lock::Lock;
use super::pipeline::Pipeline;
use super::role::Role;
use super::slots::{Failure, Replies};
use super::{Client, answer};
use crate::client::encode;
use crate::client::error::{Error, Fault};
use crate::client::value::{Expect, FromValue, Value, typed};
use crate::limits::CLIENT_EXCLUSIVE_KEPT_MAX;

/// Those that nobody has now.
#[derive(Debug, Default)]
pub(super) struct Exclusives(Lock<Vec<Arc<Link>>>);

impl Exclusives {
    pub(super) fn close(&self) {
        self.0.lock().drain(..).for_each(|link| link.close());
    }

    /// One that is up; the others are gone.
    fn take(&self) -> Option<Arc<Link>> {
        let mut kept = self.0.lock();
        while let Some(link) = kept.pop() {
            if link.is_up() {
                return Some(link);
            }
        }
        None
    }

    fn keep(&self, link: Arc<Link>) {
        let mut kept = self.0.lock();
        if kept.len() < CLIENT_EXCLUSIVE_KEPT_MAX {
            kept.push(link);
        } else {
            drop(kept);
            link.close();
        }
    }
}

/// A connection of one caller. Dropped before it is `done`, it is closed.
#[derive(Debug)]
pub(super) struct Exclusive {
    client: Client,
    link: Option<Arc<Link>>,
}

impl Client {
    /// A connection of one's own.
    pub(super) async fn exclusive(&self) -> Result<Exclusive, Error> {
        let inner = &self.inner;
        if let Some(link) = inner.exclusives.take() {
            return Ok(Exclusive { client: self.clone(), link: Some(link) });
        }
        let (wire, _) = open(&inner.options, &inner.place).await?;
        let link = Arc::new(Link::new(inner.options.clone()));
        link.on_connected(|_| None);
        tokio::spawn(drive(link.clone(), inner.place.clone(), Role::Exclusive, Some(wire)));
        Ok(Exclusive { client: self.clone(), link: Some(link) })
    }

    /// Watches keys, on a connection of its own: what is then [committed](Watch::commit) runs only if none of them has
    /// changed since.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let mut watch = client.watch(["stock"]).await?;
    /// let stock: i64 = watch.get("stock").await?.unwrap_or(0);
    /// let mut order = client.transaction();
    /// order.set("stock", stock - 1, None)?.incr("sold", 1);
    /// if watch.commit(order).await?.is_none() {
    ///     println!("somebody was faster");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of every request.
    pub async fn watch<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Watch, Error> {
        let mut request = Vec::new();
        {
            let keys: Vec<K> = keys.into_iter().collect();
            encode::head(&mut request, 1 + keys.len());
            encode::word(&mut request, b"WATCH");
            keys.iter().for_each(|key| encode::word(&mut request, key.as_ref()));
        }
        let conn = self.exclusive().await?;
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&request);
        conn.client.expect(answer(conn.timed(Shape::Plain(1), &write).await?.one())?.unit())?;
        Ok(Watch { conn })
    }
}

impl Exclusive {
    /// Sends a request, once.
    pub(super) async fn call<W: Fn(&mut Vec<u8>) + Unpin>(
        &self,
        ticks: Option<u64>,
        shape: Shape,
        write: &W,
    ) -> Result<Replies, Error> {
        let Some(link) = &self.link else { unreachable!("it is given away only with the whole") };
        Call::new(link.clone(), shape, ticks, write).await.map_err(|failure| match failure {
            Failure::Final(error) | Failure::Lost(error, _) => error,
        })
    }

    async fn timed<W: Fn(&mut Vec<u8>) + Unpin>(&self, shape: Shape, write: &W) -> Result<Replies, Error> {
        self.call(ticks(self.client.inner.options.timeout), shape, write).await
    }

    /// Gives it to the next caller: everything that was asked is answered, and nothing is watched.
    pub(super) fn done(mut self) {
        if let Some(link) = self.link.take() {
            self.client.inner.exclusives.keep(link);
        }
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}

/// Watched keys, with a connection of their own. See [`Client::watch`]. Dropped, they are watched no more.
#[derive(Debug)]
pub struct Watch {
    conn: Exclusive,
}

impl Watch {
    /// The value of a key, on the watching connection.
    ///
    /// # Errors
    /// Those of [`Client::get`].
    pub async fn get<T: FromValue>(&mut self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        let key = key.as_ref();
        typed(key, self.get_bytes(key).await?)
    }

    /// Runs a [transaction](Client::transaction) unless a watched key has changed: then `None`, and nothing has run.
    ///
    /// # Errors
    /// Those of [`Pipeline::run`].
    pub async fn commit(self, transaction: Pipeline) -> Result<Option<Vec<Result<Value, Error>>>, Error> {
        let mut request = Vec::new();
        transaction.write_transaction(&mut request);
        let shape = Shape::Plain(transaction.len() as u32 + 2);
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&request);
        let replies = self.conn.timed(shape, &write).await?.all();
        let executed = executed(replies);
        let address = self.conn.client.inner.options.address.clone();
        self.conn.done();
        executed.unwrap_or(Err(Error::Protocol { address, fault: Fault::Type }))
    }

    /// Watches no more. To drop it does as much, and costs the connection.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn release(self) -> Result<(), Error> {
        let write = |out: &mut Vec<u8>| encode::words(out, ["UNWATCH"].iter());
        let reply = answer(self.conn.timed(Shape::Plain(1), &write).await?.one())?;
        self.conn.client.expect(reply.unit())?;
        self.conn.done();
        Ok(())
    }

    pub(super) async fn get_bytes(&mut self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let write = |out: &mut Vec<u8>| encode::of_key(out, b"GET", key);
        let reply = answer(self.conn.timed(Shape::Plain(1), &write).await?.one())?;
        self.conn.client.expect(reply.bytes())
    }
}

/// What a transaction came to: the reply to each command, or `None` where a watched key had changed.
type Executed = Result<Option<Vec<Result<Value, Error>>>, Error>;

/// What the replies to MULTI, the commands and EXEC say: `None` if that is no sense.
pub(super) fn executed(mut replies: Vec<Value>) -> Option<Executed> {
    Some(match replies.pop()? {
        Value::Array(Some(items)) => Ok(Some(items.into_iter().map(answer).collect())),
        Value::Null | Value::Array(None) => Ok(None),
        Value::Error(exec) => {
            // EXECABORT only says that one was refused; which and why is there.
            let refused = replies.into_iter().find_map(|reply| answer(reply).err());
            Err(refused.unwrap_or_else(|| Error::of_server(&exec)))
        }
        _ => return None,
    })
}
