//! The blocking client: one connection, no runtime. The command line uses it.
//!
//! ```no_run
//! use aspine::blocking::Client;
//! use std::time::Duration;
//!
//! let mut client = Client::connect("127.0.0.1:5116")?;
//! client.set("user:1", "alice", Duration::from_secs(60))?;
//! assert_eq!(client.get::<String>("user:1")?.as_deref(), Some("alice"));
//! # Ok::<(), aspine::client::Error>(())
//! ```
//!
//! Never: reuses a connection whose next reply may be another request's. After a timeout or a broken connection the
//! next call reconnects; reads are then retried, writes never (see [`crate::client`]).

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Deadline;
use super::conn::{Arrival, Awaited, Decoder};
use super::error::{Error, Fate, Fault};
use super::info::Info;
use super::options::{Options, Place};
use super::ttl::Ttl;
use super::value::{Expect, FromValue, ToValue, Value, stored, typed};
use super::{encode, hello, reads};
use crate::limits::{CLIENT_READ_BYTES, CLIENT_REPEATS_MAX, CLIENT_SCAN_KEYS};

/// A client that blocks the caller's thread.
#[derive(Debug)]
pub struct Client {
    options: Options,
    conn: Option<Conn>,
}

/// Whether a request may be retried when its fate is unknown.
type Repeat = bool;

impl Client {
    /// Connects, authenticates if there is a key, and names the connection.
    ///
    /// # Errors
    /// [`Error::Connection`] if there is no server, [`Error::Auth`] if it requires another key.
    pub fn connect(options: impl Into<Options>) -> Result<Self, Error> {
        let mut client = Self { options: options.into(), conn: None };
        client.conn()?;
        Ok(client)
    }

    /// Stores a value, with a time to live or without one: `set("k", 1, None)`, `set("k", 1, Duration::from_secs(60))`.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] with `OOM …` if there is no room.
    pub fn set(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl ToValue,
        ttl: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        let (value, ttl) = (stored(&value)?, ttl.into());
        let reply = self.call(false, |out| encode::set(out, key.as_ref(), &value, ttl, false))?;
        self.expect(reply.unit())
    }

    /// Stores a value if the key does not exist, and returns whether it did so.
    ///
    /// # Errors
    /// The errors of [`set`](Self::set).
    pub fn set_nx(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl ToValue,
        ttl: impl Into<Option<Duration>>,
    ) -> Result<bool, Error> {
        let (value, ttl) = (stored(&value)?, ttl.into());
        let reply = self.call(false, |out| encode::set(out, key.as_ref(), &value, ttl, true))?;
        if reply.is_null() { Ok(false) } else { self.expect(reply.unit()).map(|()| true) }
    }

    /// The value of a key, or `None` if it does not exist.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Decode`] if the value is not a `T`.
    pub fn get<T: FromValue>(&mut self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        let reply = self.call(true, |out| encode::of_key(out, b"GET", key.as_ref()))?;
        typed(key.as_ref(), self.expect(reply.bytes())?)
    }

    /// Deletes a key, and returns whether it existed.
    ///
    /// # Errors
    /// The errors of every request.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let reply = self.call(false, |out| encode::of_key(out, b"DEL", key.as_ref()))?;
        self.expect(reply.flag())
    }

    /// Whether a key exists.
    ///
    /// # Errors
    /// The errors of every request.
    pub fn exists(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let reply = self.call(true, |out| encode::of_key(out, b"EXISTS", key.as_ref()))?;
        self.expect(reply.flag())
    }

    /// How long a key has to live, to the millisecond.
    ///
    /// # Errors
    /// The errors of every request.
    pub fn ttl(&mut self, key: impl AsRef<[u8]>) -> Result<Ttl, Error> {
        let reply = self.call(true, |out| encode::of_key(out, b"PTTL", key.as_ref()))?;
        Ok(Ttl::of_millis(self.expect(reply.integer())?))
    }

    /// Sets a key's time to live, from now on, and returns whether it exists. Zero deletes it.
    ///
    /// # Errors
    /// The errors of every request.
    pub fn expire(&mut self, key: impl AsRef<[u8]>, ttl: Duration) -> Result<bool, Error> {
        let reply = self.call(false, |out| encode::expire(out, key.as_ref(), ttl))?;
        self.expect(reply.flag())
    }

    /// Adds to an integer, which is 0 if the key does not exist, and returns the sum.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] if the value is not an integer.
    pub fn incr(&mut self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        let reply = self.call(false, |out| encode::incr(out, key.as_ref(), by))?;
        self.expect(reply.integer())
    }

    /// The keys that match a glob pattern, as of KEYS (`user:*`), each once, in no order. Walks the keyspace in
    /// steps: a key that exists throughout is listed, one that is created or deleted meanwhile may be.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Decode`] if a key is not a `K`.
    pub fn list<K: FromValue>(&mut self, pattern: impl AsRef<[u8]>) -> Result<Vec<K>, Error> {
        let mut walk = super::scan::Walk::new();
        while let Some(cursor) = walk.next_cursor() {
            let reply = self.call(true, |out| encode::scan(out, cursor, pattern.as_ref(), CLIENT_SCAN_KEYS))?;
            let step = walk.on_reply(reply);
            self.expect(step)?;
        }
        walk.into_keys()
    }

    /// Deletes all keys.
    ///
    /// # Errors
    /// The errors of every request.
    pub fn clear(&mut self) -> Result<(), Error> {
        let reply = self.call(false, |out| encode::words(out, ["FLUSHALL"].iter()))?;
        self.expect(reply.unit())
    }

    /// Stores all values in one step, with one time to live for all or without one.
    ///
    /// # Errors
    /// The errors of [`set`](Self::set). After an error nothing is stored.
    pub fn mset<K: AsRef<[u8]>, V: ToValue>(
        &mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
        ttl: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        let pairs: Vec<(K, V)> = pairs.into_iter().collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let stored: Result<Vec<_>, Error> = pairs.iter().map(|(key, value)| Ok((key, stored(value)?))).collect();
        let (stored, ttl) = (stored?, ttl.into());
        let reply = self.call(false, |out| encode::mset(out, &stored, ttl))?;
        self.expect(reply.flag()).map(drop)
    }

    /// The values of several keys, in the order of the keys.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Decode`] if a value is not a `T`.
    pub fn mget<T: FromValue, K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<T>>, Error> {
        let keys: Vec<K> = keys.into_iter().collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let reply = self.call(true, |out| encode::mget(out, keys.iter()))?;
        let items = self.expect(reply.array())?;
        if items.len() != keys.len() {
            return self.expect(Err(Fault::Type));
        }
        let values = items.into_iter().zip(keys);
        values.map(|(item, key)| typed(key.as_ref(), self.expect(item.bytes())?)).collect()
    }

    /// Makes the server take a snapshot, under the default name or another, and waits for it without a timeout.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] if it can't be written.
    pub fn save(&mut self, name: Option<&str>) -> Result<(), Error> {
        let reply = self.call_within(None, false, |out| encode::save(out, name))?;
        self.expect(reply.unit())
    }

    /// Makes the server load a snapshot of its data directory in place of its keyspace, or over it, and waits for it
    /// without a timeout.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] if the file is missing or damaged.
    pub fn load(&mut self, name: Option<&str>, merge: bool) -> Result<(), Error> {
        let reply = self.call_within(None, false, |out| encode::load(out, name, merge))?;
        self.expect(reply.unit())
    }

    /// The report that the server gives of itself: INFO.
    ///
    /// # Errors
    /// The errors of every request.
    pub fn info(&mut self) -> Result<Info, Error> {
        let reply = self.call(true, |out| encode::words(out, ["INFO"].iter()))?;
        let text = self.expect(reply.bytes())?.unwrap_or_default();
        Ok(Info::parse(&String::from_utf8_lossy(&text)))
    }

    /// Sends a message to a channel and returns how many subscribers it has.
    ///
    /// # Errors
    /// The errors of every request.
    pub fn publish(&mut self, channel: impl AsRef<[u8]>, message: impl ToValue) -> Result<u64, Error> {
        let message = stored(&message)?;
        let words = [b"PUBLISH", channel.as_ref(), &message];
        let reply = self.call(false, |out| encode::words(out, words.iter()))?;
        Ok(self.expect(reply.integer())?.cast_unsigned())
    }

    /// Runs any command: `command(["GETRANGE", "k", "0", "3"])`. Commands that only read are retried if the connection
    /// breaks. For SUBSCRIBE and its like there is the asynchronous client.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] if the reply is an error.
    pub fn command<A: AsRef<[u8]>>(&mut self, args: impl IntoIterator<Item = A>) -> Result<Value, Error> {
        let args: Vec<A> = args.into_iter().collect();
        let repeat = args.first().is_some_and(|name| reads::only_reads(name.as_ref()));
        self.call(repeat, |out| encode::words(out, args.iter()))
    }

    /// As [`command`](Self::command), with a timeout in place of the options' one; `None`: without a timeout.
    ///
    /// # Errors
    /// The errors of [`command`](Self::command).
    pub fn command_within<A: AsRef<[u8]>>(
        &mut self,
        timeout: Option<Duration>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Value, Error> {
        let args: Vec<A> = args.into_iter().collect();
        let repeat = args.first().is_some_and(|name| reads::only_reads(name.as_ref()));
        self.call_within(timeout, repeat, |out| encode::words(out, args.iter()))
    }

    /// Sends commands together and returns their replies in order, error replies included. No command is retried.
    ///
    /// # Errors
    /// The errors of every request, except [`Error::Server`], which is among the replies.
    pub fn pipeline<A: AsRef<[u8]>>(
        &mut self,
        commands: impl IntoIterator<Item = impl IntoIterator<Item = A>>,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let mut bytes = Vec::new();
        let mut count = 0;
        for command in commands {
            let args: Vec<A> = command.into_iter().collect();
            encode::words(&mut bytes, args.iter());
            count += 1;
        }
        let replies = self.exchange(&bytes, count, self.options.timeout, false)?;
        Ok(replies.into_iter().map(answer).collect())
    }

    /// Sends requests that are bytes already, and returns their `replies`, errors among them, in order: for programs that
    /// encode for themselves, as those in other languages do. `repeat`: they only read, so that they may be sent again
    /// if the connection breaks. `timeout`: `None` waits however long it takes.
    ///
    /// # Errors
    /// Those of every request, but [`Error::Server`] and [`Error::Auth`], which stand where their reply would.
    pub fn exchange(
        &mut self,
        requests: &[u8],
        replies: u32,
        timeout: Option<Duration>,
        repeat: bool,
    ) -> Result<Vec<Value>, Error> {
        if replies == 0 {
            return Ok(Vec::new());
        }
        let deadline = Deadline::after(timeout);
        let mut repeats = 0;
        loop {
            if !repeat && self.conn.as_mut().is_some_and(Conn::has_ended) {
                self.conn = None;
            }
            self.conn()?;
            let result = self.on_conn(|conn, options| {
                conn.send(requests, replies, options)?;
                (0..replies).map(|_| conn.value(deadline, options, timeout)).collect()
            });
            match result {
                Err(Error::Connection { .. }) if repeat && repeats < CLIENT_REPEATS_MAX => repeats += 1,
                other => return other,
            }
        }
    }

    /// Sends a command without waiting for the reply. Each `send` needs its [`receive`](Self::receive) before any other
    /// call.
    ///
    /// # Errors
    /// [`Error::Connection`] if it can't be sent.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: impl IntoIterator<Item = A>) -> Result<(), Error> {
        let args: Vec<A> = args.into_iter().collect();
        let mut bytes = Vec::new();
        encode::words(&mut bytes, args.iter());
        self.conn()?;
        self.on_conn(|conn, options| conn.send(&bytes, 1, options))
    }

    /// The next reply to a [`send`](Self::send), or `Ok(None)` if none arrives within `wait`: the reply is then still to be
    /// received. `None` waits without a timeout.
    ///
    /// # Errors
    /// The errors of every request; [`Error::Server`] if the reply is an error.
    pub fn receive(&mut self, wait: Option<Duration>) -> Result<Option<Value>, Error> {
        let deadline = Deadline::after(wait);
        if self.conn.is_none() {
            return Err(failed(&self.options, Fate::NotSent, io::ErrorKind::NotConnected.into()));
        }
        let value = self.on_conn(|conn, options| match conn.value(deadline, options, wait) {
            Err(Error::Timeout { .. }) => Ok(None),
            other => other.map(Some),
        })?;
        value.map(answer).transpose()
    }

    fn call(&mut self, repeat: Repeat, write: impl Fn(&mut Vec<u8>)) -> Result<Value, Error> {
        self.call_within(self.options.timeout, repeat, write)
    }

    fn call_within(
        &mut self,
        timeout: Option<Duration>,
        repeat: Repeat,
        write: impl Fn(&mut Vec<u8>),
    ) -> Result<Value, Error> {
        let mut bytes = Vec::new();
        write(&mut bytes);
        let mut replies = self.exchange(&bytes, 1, timeout, repeat)?;
        answer(replies.pop().ok_or_else(|| self.protocol(Fault::Type))?)
    }

    /// Connects if there is no connection.
    fn conn(&mut self) -> Result<(), Error> {
        if self.conn.is_none() {
            self.conn = Some(Conn::open(&self.options)?);
        }
        Ok(())
    }

    /// Uses the connection, and closes it if that fails.
    fn on_conn<T>(&mut self, run: impl FnOnce(&mut Conn, &Options) -> Result<T, Error>) -> Result<T, Error> {
        let Some(conn) = self.conn.as_mut() else {
            return Err(failed(&self.options, Fate::NotSent, io::ErrorKind::NotConnected.into()));
        };
        let result = run(conn, &self.options);
        if result.is_err() {
            self.conn = None;
        }
        result
    }

    fn expect<T>(&self, result: Result<T, Fault>) -> Result<T, Error> {
        result.map_err(|fault| self.protocol(fault))
    }

    fn protocol(&self, fault: Fault) -> Error {
        Error::Protocol { address: self.options.address.clone(), fault }
    }
}

/// The reply, or the error that it stands for.
fn answer(value: Value) -> Result<Value, Error> {
    match value {
        Value::Error(text) => Err(Error::of_server(&text)),
        value => Ok(value),
    }
}

fn failed(options: &Options, fate: Fate, cause: io::Error) -> Error {
    Error::Connection { address: options.address.clone(), fate, cause: Arc::new(cause) }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection after its greeting.
#[derive(Debug)]
struct Conn {
    socket: Socket,
    decoder: Decoder,
    awaited: Awaited<()>,
    /// Received replies that were not taken yet, the last first.
    ready: Vec<Value>,
}

impl Conn {
    fn open(options: &Options) -> Result<Conn, Error> {
        let deadline = Deadline::after(Some(options.connect_timeout));
        let socket = Socket::open(options).map_err(|error| failed(options, Fate::NotSent, error))?;
        let mut conn = Conn { socket, decoder: Decoder::default(), awaited: Awaited::new(), ready: Vec::new() };
        let mut bytes = Vec::new();
        hello::greeting(&mut bytes, options);
        conn.send(&bytes, hello::greeting_replies(options) as u32, options).map_err(not_sent)?;
        let mut replies = Vec::new();
        while replies.len() < hello::greeting_replies(options) && !hello::is_refused(&replies) {
            replies.push(conn.value(deadline, options, Some(options.connect_timeout)).map_err(not_sent)?);
        }
        hello::check(replies, options)?;
        Ok(conn)
    }

    fn send(&mut self, bytes: &[u8], replies: u32, options: &Options) -> Result<(), Error> {
        // The timeout also notices a server that does not read.
        let result = self.socket.set_timeouts(options.timeout).and_then(|()| self.socket.write_all(bytes));
        result.map_err(|error| failed(options, Fate::Unknown, error))?;
        self.awaited.sent((), replies);
        Ok(())
    }

    /// Whether the server has closed the connection in the meantime, as after a restart or an idle timeout. A write sent on
    /// it would needlessly have an unknown fate.
    fn has_ended(&mut self) -> bool {
        let read = self.socket.set_nonblocking(true).and_then(|()| self.socket.read_into(self.decoder.room()));
        let open = match read {
            Ok(len) => len > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        !open || self.socket.set_nonblocking(false).is_err()
    }

    /// The next reply.
    fn value(&mut self, deadline: Deadline, options: &Options, waited: Option<Duration>) -> Result<Value, Error> {
        let late = || Error::Timeout { after: waited.unwrap_or_default(), fate: Fate::Unknown };
        let fault = |fault| Error::Protocol { address: options.address.clone(), fault };
        loop {
            while let Some(value) = self.ready.pop() {
                // Pushes are ignored: this client can't subscribe to any.
                if let Arrival::Reply { value, .. } = self.awaited.on_value(value).map_err(fault)? {
                    return Ok(value);
                }
            }
            let left = deadline.left().map_err(|_| late())?;
            let read = self.socket.set_timeouts(left).and_then(|()| self.socket.read_into(self.decoder.room()));
            match read {
                Ok(0) => return Err(failed(options, Fate::Unknown, io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Err(late()),
                    io::ErrorKind::Interrupted => continue,
                    _ => return Err(failed(options, Fate::Unknown, error)),
                },
            }
            self.decoder.decode(&mut self.ready).map_err(|error| fault(Fault::Malformed(error)))?;
            self.ready.reverse();
        }
    }
}

/// An error during the greeting: no request was sent.
fn not_sent(error: Error) -> Error {
    match error {
        Error::Connection { address, cause, .. } => Error::Connection { address, fate: Fate::NotSent, cause },
        Error::Timeout { after, .. } => Error::Timeout { after, fate: Fate::NotSent },
        other => other,
    }
}

impl Socket {
    fn open(options: &Options) -> io::Result<Socket> {
        let (host, port) = match options.place().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))? {
            Place::Unix(path) => return UnixStream::connect(path).map(Socket::Unix),
            Place::Tcp { host, port } => (host, port),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (host.as_str(), port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, options.connect_timeout) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    return Ok(Socket::Tcp(socket));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn set_timeouts(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(timeout).and_then(|()| socket.set_write_timeout(timeout)),
            Self::Unix(socket) => socket.set_read_timeout(timeout).and_then(|()| socket.set_write_timeout(timeout)),
        }
    }

    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(on),
            Self::Unix(socket) => socket.set_nonblocking(on),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.write_all(bytes),
            Self::Unix(socket) => socket.write_all(bytes),
        }
    }

    fn read_into(&mut self, buffer: &mut bytes::BytesMut) -> io::Result<usize> {
        let mut chunk = [0; CLIENT_READ_BYTES];
        let len = match self {
            Self::Tcp(socket) => socket.read(&mut chunk)?,
            Self::Unix(socket) => socket.read(&mut chunk)?,
        };
        buffer.extend_from_slice(&chunk[..len]);
        Ok(len)
    }
}
