//! Pipeline: commands that are sent together, as a pipeline or as one transaction.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::client::{Client, answer};
use super::link::{Call, Link, Shape, ticks};
use super::slots::{Failure, Outcome};
use crate::client::error::{Error, Fault};
use crate::client::value::{ToValue, Value, stored};
use crate::client::{encode, reads};

/// Commands to be sent together. Created by [`Client::pipeline`] or [`Client::transaction`].
#[derive(Clone, Debug)]
pub struct Pipeline {
    client: Client,
    transaction: bool,
    requests: Vec<u8>,
    commands: Vec<Queued>,
}

#[derive(Clone, Debug)]
struct Queued {
    /// The end of the command's bytes in `bytes`.
    end: usize,
    /// The key of the command, if it is known.
    key: Option<Box<[u8]>>,
}

impl Client {
    /// Creates a pipeline: commands that are sent and answered together. Commands of other tasks may run between them. No
    /// command is retried.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let mut pipeline = client.pipeline();
    /// pipeline.set("a", 1, None)?.incr("b", 1).get("c").command(["STRLEN", "a"]);
    /// for reply in pipeline.run().await? {
    ///     println!("{:?}", reply?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn pipeline(&self) -> Pipeline {
        Pipeline { client: self.clone(), transaction: false, requests: Vec::new(), commands: Vec::new() }
    }

    /// Creates a transaction (MULTI, EXEC): commands that run as one step, or not at all if one is refused beforehand. A
    /// command that fails while it runs does not undo the others.
    ///
    /// ```
    /// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
    /// let mut transfer = client.transaction();
    /// transfer.incr("from", -10).incr("to", 10);
    /// transfer.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn transaction(&self) -> Pipeline {
        Pipeline { transaction: true, ..self.pipeline() }
    }
}

impl Pipeline {
    /// Adds a SET, as [`Client::set`].
    ///
    /// # Errors
    /// [`Error::Encode`] if the value can't be encoded.
    pub fn set(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl ToValue,
        ttl: impl Into<Option<Duration>>,
    ) -> Result<&mut Self, Error> {
        let value = stored(&value)?;
        let key = key.as_ref();
        Ok(self.add(key, |out| encode::set(out, key, &value, ttl.into(), false)))
    }

    /// Adds a GET. Its reply is read by [`Value::to`].
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        let key = key.as_ref();
        self.add(key, |out| encode::of_key(out, b"GET", key))
    }

    /// Adds a DEL.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        let key = key.as_ref();
        self.add(key, |out| encode::of_key(out, b"DEL", key))
    }

    /// Adds an INCRBY, as [`Client::incr`].
    pub fn incr(&mut self, key: impl AsRef<[u8]>, by: i64) -> &mut Self {
        let key = key.as_ref();
        self.add(key, |out| encode::incr(out, key, by))
    }

    /// Adds a PEXPIRE, as [`Client::expire`].
    pub fn expire(&mut self, key: impl AsRef<[u8]>, ttl: Duration) -> &mut Self {
        let key = key.as_ref();
        self.add(key, |out| encode::expire(out, key, ttl))
    }

    /// Adds any command, as [`Client::command`].
    pub fn command<A: AsRef<[u8]>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        let args: Vec<A> = args.into_iter().collect();
        encode::words(&mut self.requests, args.iter());
        let name = args.first().map(AsRef::as_ref).unwrap_or_default();
        let key = args.get(1).filter(|_| reads::begins_with_key(name)).map(|key| key.as_ref().into());
        self.commands.push(Queued { end: self.requests.len(), key });
        self
    }

    /// The number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there are no commands.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Sends the commands, and returns their replies in order, error replies included.
    ///
    /// # Errors
    /// The errors of every request. For a transaction also [`Error::Server`] if a command was refused; then none has run.
    pub async fn run(&self) -> Result<Vec<Result<Value, Error>>, Error> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        if !self.transaction {
            return self.run_parts().await;
        }
        let mut request = Vec::new();
        self.write_transaction(&mut request);
        let key = self.commands.iter().find_map(|command| command.key.as_deref());
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&request);
        let shape = Shape::Plain(self.len() as u32 + 2);
        let replies = self.client.request(key, false, shape, &write).await?.all();
        match executed(replies) {
            Some(Ok(Some(replies))) => Ok(replies),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) | None => self.client.expect(Err(Fault::Type)),
        }
    }

    /// Adds a command of one key.
    pub(super) fn add(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        write(&mut self.requests);
        self.commands.push(Queued { end: self.requests.len(), key: Some(key.into()) });
        self
    }

    /// Writes the commands between MULTI and EXEC.
    pub(super) fn write_transaction(&self, out: &mut Vec<u8>) {
        encode::words(out, ["MULTI"].iter());
        out.extend_from_slice(&self.requests);
        encode::words(out, ["EXEC"].iter());
    }

    /// Sends each connection its share of the commands, all at the same time.
    async fn run_parts(&self) -> Result<Vec<Result<Value, Error>>, Error> {
        let mut parts = Parts::default();
        let mut begin = 0;
        for (at, command) in self.commands.iter().enumerate() {
            let link = self.client.inner.router.link(command.key.as_deref());
            parts.add(&link, at, &self.requests[begin..command.end]);
            begin = command.end;
        }
        let mut all: Vec<Option<Value>> = self.commands.iter().map(|_| None).collect();
        for (indexes, outcome) in parts.run(ticks(self.client.inner.options.timeout)).await {
            let replies = outcome.map_err(|failure| match failure {
                Failure::Final(error) | Failure::Lost(error, _) => error,
            })?;
            for (at, reply) in indexes.into_iter().zip(replies.all()) {
                all[at] = Some(reply);
            }
        }
        all.into_iter().map(|reply| Ok(answer(self.client.expect(reply.ok_or(Fault::Type))?))).collect()
    }
}

/// The result of a transaction: the reply to each command, or `None` if a watched key had changed.
type Executed = Result<Option<Vec<Result<Value, Error>>>, Error>;

/// The result in the replies to MULTI, the commands and EXEC; `None` if they are malformed.
pub(super) fn executed(mut replies: Vec<Value>) -> Option<Executed> {
    Some(match replies.pop()? {
        Value::Array(Some(items)) => Ok(Some(items.into_iter().map(answer).collect())),
        Value::Null | Value::Array(None) => Ok(None),
        Value::Error(exec) => {
            // EXECABORT only says that a command was refused; the reply to that command says why.
            let refused = replies.into_iter().find_map(|reply| answer(reply).err());
            Err(refused.unwrap_or_else(|| Error::of_server(&exec)))
        }
        _ => return None,
    })
}

/// Requests, grouped by connection.
#[derive(Debug, Default)]
struct Parts(Vec<Part>);

#[derive(Debug)]
struct Part {
    link: Arc<Link>,
    requests: Vec<u8>,
    indexes: Vec<usize>,
}

impl Parts {
    fn add(&mut self, link: &Arc<Link>, index: usize, request: &[u8]) {
        let at = self.0.iter().position(|part| Arc::ptr_eq(&part.link, link)).unwrap_or_else(|| {
            self.0.push(Part { link: link.clone(), requests: Vec::new(), indexes: Vec::new() });
            self.0.len() - 1
        });
        self.0[at].requests.extend_from_slice(request);
        self.0[at].indexes.push(index);
    }

    /// Sends all groups, and waits for the replies of all.
    async fn run(self, ticks: Option<u64>) -> Vec<(Vec<usize>, Outcome)> {
        let mut waiting = Vec::with_capacity(self.0.len());
        for Part { link, requests, indexes } in self.0 {
            let shape = Shape::Plain(indexes.len() as u32);
            let call = Call::new(link, shape, ticks, move |out: &mut Vec<u8>| out.extend_from_slice(&requests));
            waiting.push((indexes, call, None));
        }
        poll_fn(|cx| {
            let mut all = true;
            for (_, call, outcome) in waiting.iter_mut().filter(|(_, _, outcome)| outcome.is_none()) {
                match Pin::new(call).poll(cx) {
                    Poll::Ready(done) => *outcome = Some(done),
                    Poll::Pending => all = false,
                }
            }
            if all { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        waiting.into_iter().filter_map(|(indexes, _, outcome)| Some((indexes, outcome?))).collect()
    }
}
