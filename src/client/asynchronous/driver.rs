//! The task of one connection: connects, greets, moves bytes, reconnects.
//!
//! Owner: the task itself; it shares `Link` with the callers. It writes everything that is queued with one call, and reads
//! everything that has arrived with one. Before it writes it yields once, so that other ready tasks can queue their
//! requests: a runtime that runs the last woken task first would otherwise write each request by itself.
//! Never: waits for a caller, or sends a request twice.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;

use super::super::conn::Decoder;
use super::super::error::{Error, Fate, Fault};
use super::super::hello::{self, Cores, greeting_replies};
use super::super::options::{Options, Place};
use super::super::value::Value;
use super::link::{Broken, Link, Shape, Took};
use super::role::Role;
use crate::client::encode;
use crate::limits::{
    CLIENT_BACKOFF_MS_MAX, CLIENT_BACKOFF_MS_MIN, CLIENT_BUFFER_BYTES_KEPT_MAX, CLIENT_SILENT_TICKS_MAX,
    CLIENT_TIMEOUT_MS_DEFAULT, CLIENT_TIMEOUT_TICKS,
};

/// A connection after its greeting.
pub(super) struct Wire {
    stream: Stream,
    decoder: Decoder,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Connects and greets. Returns the connection, and the server's cores if it has any.
pub(super) async fn open(options: &Options, place: &Place) -> Result<(Wire, Option<Cores>), Error> {
    let failed = |cause: io::Error| Error::Connection {
        address: options.address.clone(),
        fate: Fate::NotSent,
        cause: Arc::new(cause),
    };
    let late = |_| failed(io::Error::new(io::ErrorKind::TimedOut, "no connection and greeting in time"));
    tokio::time::timeout(options.connect_timeout, async {
        let stream = Stream::connect(place).await.map_err(failed)?;
        let mut wire = Wire { stream, decoder: Decoder::default() };
        let mut bytes = Vec::new();
        hello::greeting(&mut bytes, options);
        wire.stream.write_all(&bytes).await.map_err(failed)?;
        let mut replies = Vec::new();
        while replies.len() < greeting_replies(options) && !hello::is_refused(&replies) {
            if poll_fn(|cx| wire.stream.poll_read(wire.decoder.room(), cx)).await.map_err(failed)? == 0 {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            let malformed =
                |error| Error::Protocol { address: options.address.clone(), fault: Fault::Malformed(error) };
            wire.decoder.decode(&mut replies).map_err(malformed)?;
        }
        let cores = hello::check(replies, options)?;
        Ok((wire, cores))
    })
    .await
    .map_err(late)?
}

/// Runs a connection until it is closed, or, if its role does not reconnect, until it breaks.
pub(super) async fn drive(link: Arc<Link>, place: Place, role: Role, mut wire: Option<Wire>) {
    // If the runtime ends first, no caller may wait for ever.
    let _end = End(link.clone(), role.clone());
    let mut backoff = Backoff::default();
    loop {
        let opened = match wire.take() {
            Some(wire) => Ok((wire, None)),
            None => match ticking(&link, open(&link.options, &place)).await {
                Some(opened) => opened,
                None => return,
            },
        };
        match opened {
            Ok((wire, cores)) => {
                if let Some(cores) = cores {
                    role.on_cores(&cores);
                }
                link.on_connected(|out| role.restore(out));
                let mut serve = Serve::new(&link, &role, wire);
                let broken = poll_fn(|cx| serve.poll(cx)).await;
                backoff.after_connection(serve.heard);
                drop(serve);
                let Some(broken) = broken else { return };
                link.on_broken(broken);
                role.on_gap();
            }
            Err(error) => link.on_refused(error),
        }
        if !role.reconnects() || ticking(&link, tokio::time::sleep(backoff.next())).await.is_none() {
            return;
        }
    }
}

/// Closes the link when the connection's task ends, in whatever way.
struct End(Arc<Link>, Role);

impl Drop for End {
    fn drop(&mut self) {
        self.1.on_end();
        self.0.close_with(io::Error::other("the connection's task has ended, and perhaps its runtime"));
    }
}

/// Awaits `future` while the timeouts of the requests on `link` go on; `None` if the link is closed meanwhile.
async fn ticking<F: Future>(link: &Link, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(tokio::time::sleep(tick_period(link)));
    poll_fn(|cx| {
        if link.is_closed(cx.waker()) {
            return Poll::Ready(None);
        }
        while timer.as_mut().poll(cx).is_ready() {
            link.on_tick(CLIENT_SILENT_TICKS_MAX);
            timer.set(tokio::time::sleep(tick_period(link)));
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

fn tick_period(link: &Link) -> Duration {
    let timeout = link.options.timeout.unwrap_or(Duration::from_millis(CLIENT_TIMEOUT_MS_DEFAULT));
    // Tokio's timers resolve a millisecond.
    (timeout / CLIENT_TIMEOUT_TICKS as u32).max(Duration::from_millis(1))
}

/// The backoff before the next attempt to connect.
#[derive(Debug, Default)]
struct Backoff {
    tries: u32,
}

impl Backoff {
    /// A connection has ended. `answered`: the server had sent something, so the backoff starts over.
    fn after_connection(&mut self, answered: bool) {
        if answered {
            self.tries = 0;
        }
    }

    fn next(&mut self) -> Duration {
        let all_ms = CLIENT_BACKOFF_MS_MIN.saturating_mul(1 << self.tries.min(16)).min(CLIENT_BACKOFF_MS_MAX);
        self.tries += 1;
        // The jitter. Every `RandomState` has other keys.
        let random = RandomState::new().hash_one(self.tries);
        Duration::from_micros(all_ms * 500 + random % (all_ms * 500))
    }
}

/// A connection while it moves bytes.
struct Serve<'l> {
    link: &'l Link,
    role: &'l Role,
    wire: Wire,
    /// The bytes taken from the link, and how many of them are written.
    writing: Vec<u8>,
    written: usize,
    /// Whether the task has yielded since the last write.
    yielded: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// Ticks without a request, for a role that sends heartbeats.
    idle_ticks: u64,
    values: Vec<Value>,
    wakers: Vec<Waker>,
    /// Whether the server has sent anything.
    heard: bool,
}

impl<'l> Serve<'l> {
    fn new(link: &'l Link, role: &'l Role, wire: Wire) -> Self {
        let timer = role.beats().then(|| Box::pin(tokio::time::sleep(tick_period(link))));
        Self {
            link,
            role,
            wire,
            writing: Vec::new(),
            written: 0,
            yielded: false,
            timer,
            idle_ticks: 0,
            values: Vec::new(),
            wakers: Vec::new(),
            heard: false,
        }
    }

    /// Ready when the connection has broken, or with `None` when it was closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Broken>> {
        loop {
            if let Poll::Ready(broken) = self.poll_timer(cx) {
                return Poll::Ready(Some(broken));
            }
            let read = match self.poll_read(cx) {
                Poll::Ready(Err(broken)) => return Poll::Ready(Some(broken)),
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
            };
            match self.poll_write(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(None),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Broken::Io(error))),
                Poll::Pending if read => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        while let Some(timer) = &mut self.timer {
            if timer.as_mut().poll(cx).is_pending() {
                break;
            }
            if !self.link.on_tick(CLIENT_SILENT_TICKS_MAX) {
                let why = io::Error::new(io::ErrorKind::TimedOut, "the server has been silent for two timeouts");
                return Poll::Ready(Broken::Io(why));
            }
            if !self.link.waits() {
                if !self.role.beats() {
                    self.timer = None;
                    break;
                }
                self.idle_ticks += 1;
                if self.idle_ticks >= CLIENT_TIMEOUT_TICKS {
                    self.idle_ticks = 0;
                    self.link.post(Shape::Plain(1), |out| encode::words(out, ["PING"].iter()));
                }
            }
            timer.set(tokio::time::sleep(tick_period(self.link)));
        }
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let len = ready!(self.wire.stream.poll_read(self.wire.decoder.room(), cx)).map_err(Broken::Io)?;
        if len == 0 {
            return Poll::Ready(Err(Broken::Io(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ))));
        }
        self.heard = true;
        let decoded = self.wire.decoder.decode(&mut self.values);
        // The replies before a fault are valid.
        let matched = self.link.on_values(&mut self.values, &mut self.wakers);
        for push in self.values.drain(..) {
            if let Value::Push(items) = push {
                self.role.on_push(items);
            }
        }
        let fault = decoded.map_err(Fault::Malformed).and(matched);
        Poll::Ready(fault.map_err(Broken::Fault))
    }

    /// Ready with true when everything queued is written, with false when the connection was closed.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.writing.is_empty() {
            match self.link.take_out(&mut self.writing, cx.waker(), self.yielded) {
                Took::Closed => return Poll::Ready(Ok(false)),
                Took::Nothing => {
                    self.yielded = false;
                    return Poll::Pending;
                }
                Took::Later => {
                    self.yielded = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Took::All => self.yielded = false,
            }
            if self.timer.is_none() && self.link.options.timeout.is_some() {
                self.timer = Some(Box::pin(tokio::time::sleep(tick_period(self.link))));
            }
        }
        while self.written < self.writing.len() {
            match self.wire.stream.poll_write(&self.writing[self.written..], cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(len)) => self.written += len,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if self.link.is_closed(cx.waker()) => return Poll::Ready(Ok(false)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.written = 0;
        self.writing.clear();
        if self.writing.capacity() > CLIENT_BUFFER_BYTES_KEPT_MAX {
            self.writing = Vec::new();
        }
        Poll::Ready(Ok(true))
    }
}

impl Stream {
    async fn connect(place: &Place) -> io::Result<Stream> {
        match place {
            Place::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
            Place::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                // Keepalive notices a vanished host even while no request is sent.
                socket2::SockRef::from(&stream).set_keepalive(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            written += poll_fn(|cx| self.poll_write(&bytes[written..], cx)).await?;
        }
        Ok(())
    }

    #[inline]
    fn poll_read(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => pin!(stream.read_buf(buffer)).poll(cx),
            Stream::Unix(stream) => pin!(stream.read_buf(buffer)).poll(cx),
        }
    }

    #[inline]
    fn poll_write(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }
}
