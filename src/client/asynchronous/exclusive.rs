//! Exclusive connections, each for one caller: watched keys belong to a connection, and SAVE keeps one busy.
//!
//! `spare` keeps a few for the next caller. One that breaks does not reconnect: its watched keys are forgotten, so a
//! transaction must not be sent over another. One whose caller disappears midway is closed.

use std::sync::Arc;

use bytes::Bytes;

use super::client::{Client, answer};
use super::driver::{drive, open};
use super::link::{Call, Link, Shape, ticks};
use super::pipeline::{Pipeline, executed};
use super::role::Role;
use super::slots::{Failure, Replies};
use crate::client::encode;
use crate::client::error::{Error, Fault};
use crate::client::value::{Expect, FromValue, Value, typed};

/// The exclusive connection of one caller. It is closed if it is dropped before `done`.
#[derive(Debug)]
pub(super) struct Exclusive {
    client: Client,
    link: Option<Arc<Link>>,
}

impl Client {
    /// Takes or opens an exclusive connection.
    pub(super) async fn exclusive(&self) -> Result<Exclusive, Error> {
        let inner = &self.inner;
        if let Some(link) = inner.spare.take() {
            return Ok(Exclusive { client: self.clone(), link: Some(link) });
        }
        let (wire, _) = open(&inner.options, &inner.place).await?;
        let link = Arc::new(Link::new(inner.options.clone()));
        link.on_connected(|_| None);
        tokio::spawn(drive(link.clone(), inner.place.clone(), Role::Exclusive, Some(wire)));
        Ok(Exclusive { client: self.clone(), link: Some(link) })
    }

    /// Sends a request without a timeout, on a connection of its own.
    pub(super) async fn long<W: Fn(&mut Vec<u8>) + Unpin>(&self, write: W) -> Result<Value, Error> {
        let conn = self.exclusive().await?;
        let reply = conn.call(None, Shape::Plain(1), &write).await?.one();
        conn.done();
        answer(reply)
    }

    /// Watches keys, on a connection of its own: a transaction that is then [committed](Watch::commit) runs only if none of
    /// the keys has changed since.
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
    /// The errors of every request.
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
        let Some(link) = &self.link else { unreachable!("the link is taken only by done and drop") };
        Call::new(link.clone(), shape, ticks, write).await.map_err(|failure| match failure {
            Failure::Final(error) | Failure::Lost(error, _) => error,
        })
    }

    async fn timed<W: Fn(&mut Vec<u8>) + Unpin>(&self, shape: Shape, write: &W) -> Result<Replies, Error> {
        self.call(ticks(self.client.inner.options.timeout), shape, write).await
    }

    /// Returns the connection for the next caller: every request is answered, and no key is watched.
    pub(super) fn done(mut self) {
        if let Some(link) = self.link.take() {
            self.client.inner.spare.keep(link);
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

/// Watched keys, with a connection of their own. See [`Client::watch`]. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    conn: Exclusive,
}

impl Watch {
    /// The value of a key, on the watching connection.
    ///
    /// # Errors
    /// The errors of [`Client::get`].
    pub async fn get<T: FromValue>(&mut self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        let key = key.as_ref();
        typed(key, self.get_bytes(key).await?)
    }

    /// Runs a [transaction](Client::transaction) unless a watched key has changed; then it returns `None`, and nothing has
    /// run.
    ///
    /// # Errors
    /// The errors of [`Pipeline::run`].
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

    /// Ends the watch and keeps the connection for the next caller. Dropping ends the watch too, but closes the connection.
    ///
    /// # Errors
    /// The errors of every request.
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
