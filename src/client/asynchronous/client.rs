//! Client: the connections of a client, and how a request of it is sent, retried and answered.
//!
//! The methods for the commands are in `mod`, `messages`, `pipeline` and `exclusive`.

use std::io;
use std::sync::Arc;

use super::hub::Hub;
use super::link::{Call, Link, Shape, ticks};
use super::lock::Lock;
use super::router::Router;
use super::slots::{Failure, Replies};
use super::spare::Spare;
use crate::client::error::{Error, Fate, Fault};
use crate::client::options::{Options, Place};
use crate::client::value::Value;
use crate::limits::CLIENT_REPEATS_MAX;

/// A client for tokio. Cheap to clone, `Send` and `Sync`: all clones share the same connections, and the requests of all
/// tasks travel together. When the last clone is dropped, and the last stream of a subscription, the connections are
/// closed.
///
/// ```
/// # use aspine::client::{Client, Options};
/// # use std::time::Duration;
/// # async fn example() -> Result<(), aspine::client::Error> {
/// let client = Client::connect(Options::new("127.0.0.1:5116").timeout(Duration::from_millis(200))).await?;
/// client.set("user:1", "alice", Duration::from_secs(60)).await?;
/// assert_eq!(client.get::<String>("user:1").await?.as_deref(), Some("alice"));
/// # Ok(())
/// # }
/// ```
///
/// Every method fails with [`Error::Connection`] if there is no connection within the timeout or it breaks,
/// [`Error::Timeout`] if there is no reply, [`Error::Protocol`] if the reply is malformed, and [`Error::Server`] or
/// [`Error::Auth`] if the server refuses. A dropped future leaves nothing behind: its reply is discarded on arrival, and
/// the request may have run.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) options: Arc<Options>,
    pub(super) place: Place,
    pub(super) router: Arc<Router>,
    /// The exclusive connections that are not in use.
    pub(super) spare: Spare,
    pub(super) hub: Arc<Hub>,
    /// The connection for subscriptions, from the first subscription on.
    pub(super) subscriber: Lock<Option<Arc<Link>>>,
}

impl Client {
    /// Connects, authenticates if there is a key, and names the connections. Where the server has core ports, connects to
    /// each core.
    ///
    /// # Errors
    /// [`Error::Connection`] if there is no server, [`Error::Auth`] if it requires another key, [`Error::Protocol`] if it
    /// does not speak RESP3.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time.
    pub async fn connect(options: impl Into<Options>) -> Result<Self, Error> {
        let options = Arc::new(options.into());
        let place = options.place().map_err(|why| Error::Connection {
            address: options.address.clone(),
            fate: Fate::NotSent,
            cause: Arc::new(io::Error::new(io::ErrorKind::InvalidInput, why)),
        })?;
        let router = Router::connect(options.clone(), place.clone()).await?;
        let inner =
            Inner { options, place, router, spare: Spare::default(), hub: Arc::default(), subscriber: Lock::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends one request and returns its one reply.
    #[inline]
    pub(super) async fn one<W: Fn(&mut Vec<u8>) + Unpin>(
        &self,
        key: Option<&[u8]>,
        repeat: bool,
        write: W,
    ) -> Result<Value, Error> {
        answer(self.request(key, repeat, Shape::Plain(1), &write).await?.one())
    }

    /// Sends a request, and retries it where that is safe.
    pub(super) async fn request<W: Fn(&mut Vec<u8>) + Unpin>(
        &self,
        key: Option<&[u8]>,
        repeat: bool,
        shape: Shape,
        write: &W,
    ) -> Result<Replies, Error> {
        let router = &self.inner.router;
        let mut link = router.link(key);
        let mut ticks = ticks(self.inner.options.timeout);
        let mut repeats = 0;
        loop {
            let (error, left) = match Call::new(link.clone(), shape, ticks, write).await {
                Ok(replies) => return Ok(replies),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Lost(error, left)) => (error, left),
            };
            let next = router.link(key);
            match error.fate() {
                // The link was closed because the server has other cores now.
                Some(Fate::NotSent) if !Arc::ptr_eq(&next, &link) => {}
                Some(Fate::Unknown)
                    if repeat && repeats < CLIENT_REPEATS_MAX && matches!(error, Error::Connection { .. }) =>
                {
                    repeats += 1;
                }
                _ => return Err(error),
            }
            if let Some(ticks) = &mut ticks {
                *ticks = left.min(*ticks);
                if left == 0 {
                    return Err(error);
                }
            }
            link = next;
        }
    }

    pub(super) fn expect<T>(&self, result: Result<T, Fault>) -> Result<T, Error> {
        result.map_err(|fault| Error::Protocol { address: self.inner.options.address.clone(), fault })
    }
}

/// The reply, or the error that it stands for.
#[inline]
pub(super) fn answer(value: Value) -> Result<Value, Error> {
    match value {
        Value::Error(text) => Err(Error::of_server(&text)),
        value => Ok(value),
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(link) = self.subscriber.lock().take() {
            link.close();
        }
        self.spare.close();
    }
}
