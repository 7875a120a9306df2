//! The asynchronous client, for tokio: many tasks over few connections.
//!
//! | file | what |
//! |---|---|
//! | `mod` | the methods of `Client`, one per command |
//! | `client` | `Client`: its connections, and how a request is sent and retried |
//! | `messages` | the methods of `Client` for pub/sub |
//! | `pipeline` | commands that are sent together |
//! | `mget` | values of many keys, as a stream |
//! | `exclusive`, `spare` | connections of one caller: WATCH, SAVE; those that are not in use |
//! | `event` | what a stream yields: messages, key events, gaps |
//! | `subscription`, `hub` | streams of messages and key events, and their subscriptions |
//! | `router` | the connection that a request takes |
//! | `link`, `slots`, `lock` | a connection as its callers see it |
//! | `driver`, `role` | the task of a connection, and its purpose |
//!
//! The caller writes its request into the connection's buffer; the connection's task decodes the reply. The hand-over costs
//! one short lock and one wake-up.

mod client;
mod driver;
mod event;
mod exclusive;
mod hub;
mod link;
mod lock;
mod messages;
mod mget;
mod pipeline;
mod role;
mod router;
mod slots;
mod spare;
mod subscription;

use std::time::Duration;

pub use client::Client;
pub use event::{Gap, KeyEvent, Message};
pub use exclusive::Watch;
pub use mget::Mget;
pub use pipeline::Pipeline;
pub use subscription::{KeyEvents, Messages};

use super::error::Error;
use super::info::Info;
use super::ttl::Ttl;
use super::value::{Expect, FromValue, ToValue, Value, stored, typed};
use super::{encode, reads, scan};
use crate::limits::CLIENT_SCAN_KEYS;

impl Client {
    /// Stores a value, with a time to live or without one. A time to live is rounded up to whole milliseconds.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// client.set("for good", 1, None).await?;
    /// client.set("for a minute", b"\x00\x01", std::time::Duration::from_secs(60)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] with `OOM …` if there is no room; [`Error::Encode`] if the value can't
    /// be put into bytes.
    pub async fn set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl ToValue,
        ttl: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        let (key, value, ttl) = (key.as_ref(), stored(&value)?, ttl.into());
        let value = &*value;
        let reply = self.write(key, |out| encode::set(out, key, value, ttl, false)).await?;
        self.expect(reply.unit())
    }

    /// Stores a value if the key does not exist, and returns whether it did so.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let locked = client.set_nx("lock:report", "worker 7", std::time::Duration::from_secs(30)).await?;
    /// # drop(locked);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`set`](Self::set).
    pub async fn set_nx(
        &self,
        key: impl AsRef<[u8]>,
        value: impl ToValue,
        ttl: impl Into<Option<Duration>>,
    ) -> Result<bool, Error> {
        let (key, value, ttl) = (key.as_ref(), stored(&value)?, ttl.into());
        let value = &*value;
        let reply = self.write(key, |out| encode::set(out, key, value, ttl, true)).await?;
        if reply.is_null() { Ok(false) } else { self.expect(reply.unit()).map(|()| true) }
    }

    /// The value of a key, or `None` if it does not exist.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let name: Option<String> = client.get("user:1").await?;
    /// let visits = client.get::<u64>("visits").await?.unwrap_or(0);
    /// # drop((name, visits));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request; [`Error::Decode`], which names key and type, if the value is not a `T`.
    pub async fn get<T: FromValue>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        let key = key.as_ref();
        let reply = self.read(key, |out| encode::of_key(out, b"GET", key)).await?;
        typed(key, self.expect(reply.bytes())?)
    }

    /// The values of several keys, in the order of the keys: a stream, since the replies of some cores arrive before
    /// others. It sends one request per core, all at the same time, when it is first polled.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let mut values = client.mget::<String, _>(["user:1", "user:2"]);
    /// while let Some(value) = values.next().await {
    ///     println!("{:?}", value?);
    /// }
    /// let all: Vec<Option<u64>> = client.mget(["a", "b"]).into_vec().await?;
    /// # drop(all);
    /// # Ok(())
    /// # }
    /// ```
    pub fn mget<T: FromValue, K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Mget<T> {
        Mget::new(self, keys)
    }

    /// Stores all values in one step (MSETEX), with one time to live for all or without one.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// client.mset([("a", 1), ("b", 2)], std::time::Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`set`](Self::set). After an error nothing is stored.
    pub async fn mset<K: AsRef<[u8]>, V: ToValue>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
        ttl: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        let mut request = Vec::new();
        {
            let pairs: Vec<(K, V)> = pairs.into_iter().collect();
            if pairs.is_empty() {
                return Ok(());
            }
            let stored: Result<Vec<_>, Error> = pairs.iter().map(|(key, value)| Ok((key, stored(value)?))).collect();
            encode::mset(&mut request, &stored?, ttl.into());
        }
        let reply = self.one(None, false, |out| out.extend_from_slice(&request)).await?;
        self.expect(reply.integer()).map(drop)
    }

    /// Deletes a key, and returns whether it existed.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let existed: bool = client.delete("user:1").await?;
    /// # drop(existed);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        let reply = self.write(key, |out| encode::of_key(out, b"DEL", key)).await?;
        self.expect(reply.flag())
    }

    /// Whether a key exists.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// if client.exists("user:1").await? { /* … */ }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn exists(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        let reply = self.read(key, |out| encode::of_key(out, b"EXISTS", key)).await?;
        self.expect(reply.flag())
    }

    /// How long a key has to live, to the millisecond.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// if let Some(left) = client.ttl("session:1").await?.left() {
    ///     println!("{left:?} left");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn ttl(&self, key: impl AsRef<[u8]>) -> Result<Ttl, Error> {
        let key = key.as_ref();
        let reply = self.read(key, |out| encode::of_key(out, b"PTTL", key)).await?;
        Ok(Ttl::of_millis(self.expect(reply.integer())?))
    }

    /// Sets a key's time to live, from now on, rounded up to whole milliseconds, and returns whether it exists. Zero
    /// deletes it.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let existed: bool = client.expire("session:1", std::time::Duration::from_secs(1800)).await?;
    /// # drop(existed);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn expire(&self, key: impl AsRef<[u8]>, ttl: Duration) -> Result<bool, Error> {
        let key = key.as_ref();
        let reply = self.write(key, |out| encode::expire(out, key, ttl)).await?;
        self.expect(reply.flag())
    }

    /// Adds to an integer, which is 0 if the key does not exist, and returns the sum.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let visits: i64 = client.incr("visits", 1).await?;
    /// # drop(visits);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] if the value is not an integer, or the sum does not fit 64 bits.
    pub async fn incr(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        let key = key.as_ref();
        let reply = self.write(key, |out| encode::incr(out, key, by)).await?;
        self.expect(reply.integer())
    }

    /// Stores `value` if the key has the value `expected`, byte for byte, and returns whether it did so. The time to live
    /// becomes `ttl`. To store only if the key is absent, use [`set_nx`](Self::set_nx).
    ///
    /// The key is watched (WATCH) on a connection of its own while the value is compared, and stored in a transaction:
    /// two round trips, and again as often as another client writes the key in between.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let ours: bool = client.compare_and_set("state", "open", "closed", None).await?;
    /// # drop(ours);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`set`](Self::set).
    pub async fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: impl ToValue,
        value: impl ToValue,
        ttl: impl Into<Option<Duration>>,
    ) -> Result<bool, Error> {
        let (key, expected, value, ttl) = (key.as_ref(), stored(&expected)?, stored(&value)?, ttl.into());
        let (expected, value) = (&*expected, &*value);
        loop {
            let mut watch = self.watch([key]).await?;
            if watch.get_bytes(key).await?.as_deref() != Some(expected) {
                watch.release().await?;
                return Ok(false);
            }
            let mut store = self.transaction();
            store.add(key, |out| encode::set(out, key, value, ttl, false));
            if let Some(replies) = watch.commit(store).await? {
                return replies.into_iter().next().map_or(Ok(true), |reply| reply.map(|_| true));
            }
        }
    }

    /// The keys that match a glob pattern, as of KEYS (`user:*`), each once, in no order. Walks the keyspace in
    /// steps: a key that exists throughout is listed, one that is created or deleted meanwhile may be.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let users: Vec<String> = client.list("user:*").await?;
    /// # drop(users);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request; [`Error::Decode`] if a key is not a `K`.
    pub async fn list<K: FromValue>(&self, pattern: impl AsRef<[u8]>) -> Result<Vec<K>, Error> {
        let pattern = pattern.as_ref();
        let mut walk = scan::Walk::new();
        while let Some(cursor) = walk.next_cursor() {
            let reply = self.one(None, true, |out| encode::scan(out, cursor, pattern, CLIENT_SCAN_KEYS)).await?;
            let step = walk.on_reply(reply);
            self.expect(step)?;
        }
        walk.into_keys()
    }

    /// Deletes all keys.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// client.clear().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn clear(&self) -> Result<(), Error> {
        let reply = self.one(None, false, |out| encode::words(out, ["FLUSHALL"].iter())).await?;
        self.expect(reply.unit())
    }

    /// Makes the server take a snapshot, under the default name or another, and waits for it without a timeout, on a
    /// connection of its own.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// client.save(Some("before-the-release.aspine")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request, but for the timeout; [`Error::Server`] if it can't be written.
    pub async fn save(&self, name: Option<&str>) -> Result<(), Error> {
        self.expect(self.long(|out| encode::save(out, name)).await?.unit())
    }

    /// Makes the server load a snapshot of its data directory in place of its keyspace, or over it, and waits for it
    /// without a timeout, on a connection of its own.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let merge = true;
    /// client.load(Some("before-the-release.aspine"), merge).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request, but for the timeout; [`Error::Server`] if the file is missing or damaged.
    pub async fn load(&self, name: Option<&str>, merge: bool) -> Result<(), Error> {
        self.expect(self.long(|out| encode::load(out, name, merge)).await?.unit())
    }

    /// The report that the server gives of itself: INFO.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let info = client.info().await?;
    /// println!("{} keys in {} bytes; {:?}", info.keys, info.used_memory, info.get("mem_allocator"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request.
    pub async fn info(&self) -> Result<Info, Error> {
        let reply = self.one(None, true, |out| encode::words(out, ["INFO"].iter())).await?;
        let text = self.expect(reply.bytes())?.unwrap_or_default();
        Ok(Info::parse(&String::from_utf8_lossy(&text)))
    }

    /// Runs any command. Commands that only read are retried if the connection breaks (see [`crate::client`]). Commands that
    /// change the connection (SELECT, CLIENT REPLY, MULTI, WATCH, SUBSCRIBE, …) would change it for all tasks: use
    /// [`transaction`](Self::transaction), [`watch`](Self::watch) and [`subscribe`](Self::subscribe) instead.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let length = client.command(["STRLEN", "user:1"]).await?.as_integer();
    /// # drop(length);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] if the reply is an error.
    pub async fn command<A: AsRef<[u8]>>(&self, args: impl IntoIterator<Item = A>) -> Result<Value, Error> {
        let mut request = Vec::new();
        let (repeat, key) = {
            let args: Vec<A> = args.into_iter().collect();
            encode::words(&mut request, args.iter());
            let name = args.first().map(AsRef::as_ref).unwrap_or_default();
            let key = args.get(1).filter(|_| reads::begins_with_key(name)).map(|key| key.as_ref().to_vec());
            (reads::only_reads(name), key)
        };
        self.one(key.as_deref(), repeat, |out| out.extend_from_slice(&request)).await
    }

    #[inline]
    async fn read<W: Fn(&mut Vec<u8>) + Unpin>(&self, key: &[u8], write: W) -> Result<Value, Error> {
        self.one(Some(key), true, write).await
    }

    #[inline]
    async fn write<W: Fn(&mut Vec<u8>) + Unpin>(&self, key: &[u8], write: W) -> Result<Value, Error> {
        self.one(Some(key), false, write).await
    }
}
