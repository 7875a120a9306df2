//! One connection of asyncio's client, driven by the loop's own callbacks: no thread beside the loop's.
//!
//! A request is encoded into `out` and sent at once if none waits; while others wait, all that a turn of the loop adds is
//! sent together. `on_readable` receives once, completes every reply that is whole, wakes whoever waits, and then sends what
//! those have asked for. Python's side (`_link.py`) makes the socket, greets the server and comes back after a loss.
//!
//! Never: calls into Python while its lock is held, since that may run anything, this connection's methods too. Never sends
//! a request again that may have run, unless it only reads.
//! Cost: `recv` and `send` a turn, not a request; two copies of a request, one of a reply.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aspine::resp::reply::{Item, Kind as Aggregate, Scalar, item};
use aspine::resp::{Measure, ReplyError, Value};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyString};

use crate::convert::{self, Kind};
use crate::reply::{Outcome, Place, Reply};
use crate::value::Codec;

/// Bytes of room for one `recv`: as much as a loopback socket holds at most times.
const READ_BYTES: usize = 64 << 10;
/// Bytes a buffer may keep once it is empty.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// How often a request that only reads is sent again after its connection was lost.
const REPEATS_MAX: u8 = 2;
/// Parts of the timeout within which it is kept.
const TIMEOUT_PARTS: u32 = 16;

/// The client's end of one connection to a server or one of its cores.
#[pyclass(frozen, weakref, module = "aspine._native")]
pub(crate) struct Connection {
    event_loop: Py<PyAny>,
    /// A weak reference to what makes sockets for it.
    owner: Py<PyAny>,
    state: Mutex<State>,
}

struct State {
    /// The socket, while there is one.
    fd: Option<RawFd>,
    closed: bool,
    /// Requests: answered up to `head`, sent up to `sent`.
    out: Vec<u8>,
    head: usize,
    sent: usize,
    pending: VecDeque<Entry>,
    input: Input,
    /// Inside `on_readable`, at whose end all is sent.
    reading: bool,
    flush_due: bool,
    writer_on: bool,
    timer_on: bool,
    heard: Instant,
}

#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    measure: Measure,
}

/// A request that waits for its replies.
struct Entry {
    /// `None`: nobody waits any more.
    reply: Option<Py<Reply>>,
    kind: Kind,
    codec: Arc<Codec>,
    /// Bytes of it in `out`.
    len: usize,
    left: u32,
    /// Errors that may come before the reply: see `Request::fenced`.
    errors: u32,
    values: Vec<Value>,
    deadline: Option<Instant>,
    timeout: Duration,
    repeats: u8,
}

/// What is to be sent.
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) codec: Arc<Codec>,
    /// Safe to send again.
    pub(crate) reads: bool,
    /// The bytes are so many SUBSCRIBE or the like, told by pushes or by an error, and a PING.
    pub(crate) fenced: u32,
    pub(crate) timeout: Option<Duration>,
}

/// Where a call comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The loop's own thread, inside the loop.
    Loop,
    /// Another thread, or outside of the loop.
    Outside,
}

/// What was received: what completes whose reply, what nobody asked for, and what ends the connection.
#[derive(Default)]
struct Decoded {
    done: Vec<(Py<Reply>, Outcome)>,
    pushes: Vec<Py<PyAny>>,
    fault: Option<String>,
}

/// A reply whose strings are borrowed.
type Borrowed<'b> = Value<&'b [u8]>;

/// What a value was the last part of.
enum Arrived {
    Nothing,
    Unasked,
    One { reply: Option<Py<Reply>>, kind: Kind, codec: Arc<Codec> },
    All { entry: Box<Entry> },
}

impl Connection {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn event_loop(&self) -> &Py<PyAny> {
        &self.event_loop
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state().fd.is_some()
    }

    /// Takes a request, and sends it now or with the others of this turn.
    pub(crate) fn submit<'py>(slf: &Bound<'py, Self>, request: Request, from: From) -> PyResult<Bound<'py, Reply>> {
        let py = slf.py();
        let this = slf.get();
        let reply = Bound::new(py, Reply::new(this.event_loop.clone_ref(py)))?;
        let now = Instant::now();
        let entry = Entry {
            reply: Some(reply.clone().unbind()),
            left: if request.fenced > 0 { 1 } else { request.kind.replies() },
            kind: request.kind,
            codec: request.codec,
            len: request.bytes.len(),
            errors: request.fenced,
            values: Vec::new(),
            deadline: request.timeout.map(|timeout| now + timeout),
            timeout: request.timeout.unwrap_or_default(),
            repeats: if request.reads { REPEATS_MAX } else { 0 },
        };
        let next = {
            let mut state = this.state();
            if state.closed {
                drop(state);
                return Err(connection_error(py, "the client is closed", false));
            }
            state.out.extend_from_slice(&request.bytes);
            state.pending.push_back(entry);
            state.next_step(request.timeout.is_some(), from)
        };
        if next.timer {
            this.arm(slf, request.timeout.unwrap_or_default())?;
        }
        match next.step {
            Step::Nothing => {}
            Step::Send => this.flush_from(slf, Place::Elsewhere)?,
            Step::Soon => call_loop(slf, "call_soon", "flush")?,
            Step::Outside => call_loop(slf, "call_soon_threadsafe", "kick")?,
            Step::Connect => this.tell_owner(slf, "_on_need", None)?,
        }
        Ok(reply)
    }

    /// Sends what has not left. What fails ends the connection.
    fn flush_from(&self, slf: &Bound<'_, Self>, place: Place) -> PyResult<()> {
        let py = slf.py();
        let (result, change) = {
            let mut state = self.state();
            state.flush_due = false;
            let Some(fd) = state.fd else { return Ok(()) };
            let result = state.send(fd);
            let waits = state.sent < state.out.len();
            let change = (waits != state.writer_on).then_some((fd, waits));
            state.writer_on = waits;
            (result, change)
        };
        if let Err(error) = result {
            return self.lose(slf, &error.to_string(), place);
        }
        match change {
            None => Ok(()),
            Some((fd, true)) => {
                let callback = slf.getattr(intern!(py, "flush"))?;
                self.event_loop.bind(py).call_method1(intern!(py, "add_writer"), (fd, callback)).map(drop)
            }
            Some((fd, false)) => self.event_loop.bind(py).call_method1(intern!(py, "remove_writer"), (fd,)).map(drop),
        }
    }

    /// Has the timer run, if a request waits that has a deadline.
    fn arm(&self, slf: &Bound<'_, Self>, timeout: Duration) -> PyResult<()> {
        let py = slf.py();
        let seconds = (timeout / TIMEOUT_PARTS).as_secs_f64().max(0.001);
        let callback = slf.getattr(intern!(py, "on_timer"))?;
        self.event_loop.bind(py).call_method1(intern!(py, "call_later"), (seconds, callback)).map(drop)
    }

    fn tell_owner(&self, slf: &Bound<'_, Self>, method: &str, argument: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let owner = self.owner.bind(slf.py()).call0()?;
        if owner.is_none() {
            return Ok(());
        }
        match argument {
            None => owner.call_method1(method, (slf,)),
            Some(argument) => owner.call_method1(method, (slf, argument)),
        }
        .map(drop)
    }

    /// The socket is gone: requests that may be sent again wait, the others fail, and the owner is told.
    fn lose(&self, slf: &Bound<'_, Self>, cause: &str, place: Place) -> PyResult<()> {
        let py = slf.py();
        let (fd, writer_on, failed) = {
            let mut state = self.state();
            let Some(fd) = state.fd.take() else { return Ok(()) };
            let writer_on = std::mem::take(&mut state.writer_on);
            state.input = Input::default();
            (fd, writer_on, state.keep_what_may_wait())
        };
        let event_loop = self.event_loop.bind(py);
        if !event_loop.call_method0(intern!(py, "is_closed"))?.is_truthy()? {
            event_loop.call_method1(intern!(py, "remove_reader"), (fd,))?;
            if writer_on {
                event_loop.call_method1(intern!(py, "remove_writer"), (fd,))?;
            }
        }
        let mut result = Ok(());
        for entry in failed {
            if let Some(reply) = entry.reply {
                let error = connection_error(py, cause, true);
                result = result.and(Reply::finish(reply.bind(py), Outcome::Error(error), place));
            }
        }
        self.tell_owner(slf, "_on_lost", Some(PyString::new(py, cause).into_any()))?;
        result
    }

    /// Makes values of what was received. Returns what is to be told, in order.
    fn decode(&self, py: Python<'_>, input: &mut Input) -> Decoded {
        let (mut done, mut pushes, mut at) = (Vec::new(), Vec::new(), 0);
        let fault = loop {
            let rest = &input.bytes[at..];
            let found = match whole(rest, &mut input.measure) {
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
                Ok(Some(found)) => found,
            };
            let (value, len) = found;
            at += len;
            if let Value::Push(_) = value {
                match convert::any(py, &value) {
                    Ok(list) => pushes.push(list.unbind()),
                    Err(error) => break Some(error.to_string()),
                }
                continue;
            }
            // A statement of its own, so that the lock is given back before anything is made.
            let arrived = self.state().arrived(&value);
            match arrived {
                Arrived::Nothing => {}
                Arrived::Unasked => break Some("a reply that no request waits for".to_owned()),
                Arrived::One { reply: None, .. } => {}
                Arrived::One { reply: Some(reply), kind, codec } => {
                    done.push((reply, outcome(convert::to_python(py, &value, &kind, &codec))));
                }
                Arrived::All { entry } => {
                    let Entry { reply, values, kind, codec, .. } = *entry;
                    if let Some(reply) = reply {
                        done.push((reply, outcome(convert::all(py, &values, &kind, &codec))));
                    }
                }
            }
        };
        input.bytes.drain(..at);
        if input.bytes.is_empty() && input.bytes.capacity() > KEPT_BYTES_MAX {
            input.bytes = Vec::new();
        }
        Decoded { done, pushes, fault }
    }
}

fn outcome(result: PyResult<Py<PyAny>>) -> Outcome {
    result.map_or_else(Outcome::Error, Outcome::Value)
}

/// A reply at the start of the bytes and its length. Its strings are borrowed.
fn whole<'b>(rest: &'b [u8], measure: &mut Measure) -> Result<Option<(Borrowed<'b>, usize)>, ReplyError> {
    match item(rest)? {
        None => Ok(None),
        Some((Item::Whole(scalar), len)) => Ok(Some((borrowed(scalar), len))),
        Some((Item::Aggregate { .. }, _)) => {
            let Some(len) = measure.advance(rest)? else { return Ok(None) };
            Ok(Some((built(&mut &rest[..len])?, len)))
        }
    }
}

/// The value at the start of bytes that were measured, which ends the depth too.
fn built<'b>(rest: &mut &'b [u8]) -> Result<Value<&'b [u8]>, ReplyError> {
    let (item, len) = item(rest)?.ok_or(ReplyError::Malformed)?;
    *rest = rest.get(len..).unwrap_or_default();
    let (kind, count) = match item {
        Item::Whole(scalar) => return Ok(borrowed(scalar)),
        Item::Aggregate { kind, count } => (kind, count),
    };
    match kind {
        Aggregate::Map => {
            let pairs = (0..count).map(|_| Ok((built(rest)?, built(rest)?)));
            return Ok(Value::Map(pairs.collect::<Result<_, _>>()?));
        }
        Aggregate::Attribute => {
            for _ in 0..count * 2 {
                built(rest)?;
            }
            return built(rest);
        }
        Aggregate::Array | Aggregate::Set | Aggregate::Push => {}
    }
    let mut items = Vec::with_capacity((count as usize).min(rest.len()));
    for _ in 0..count {
        items.push(built(rest)?);
    }
    Ok(match kind {
        Aggregate::Set => Value::Set(items),
        Aggregate::Push => Value::Push(items),
        _ => Value::Array(Some(items)),
    })
}

fn borrowed(scalar: Scalar<'_>) -> Value<&[u8]> {
    match scalar {
        Scalar::Simple(text) => Value::Simple(text),
        Scalar::Error(text) => Value::Error(text),
        Scalar::Integer(number) => Value::Integer(number),
        Scalar::Bulk(bytes) => Value::Bulk(bytes),
        Scalar::NullArray => Value::Array(None),
        Scalar::Double(number) => Value::Double(number),
        Scalar::Boolean(yes) => Value::Boolean(yes),
        Scalar::Null => Value::Null,
        Scalar::Verbatim(format, text) => Value::Verbatim { format, text },
        Scalar::BigNumber(digits) => Value::BigNumber(digits),
    }
}

enum Step {
    Nothing,
    Send,
    Soon,
    Outside,
    Connect,
}

struct Next {
    step: Step,
    timer: bool,
}

impl State {
    /// What has to happen for a request that was just added.
    fn next_step(&mut self, deadline: bool, from: From) -> Next {
        if from == From::Outside {
            return Next { step: Step::Outside, timer: false };
        }
        let timer = deadline && !self.timer_on;
        self.timer_on |= deadline;
        let step = if self.fd.is_none() {
            Step::Connect
        } else if self.reading || self.flush_due || self.writer_on {
            Step::Nothing
        } else if self.pending.len() == 1 {
            Step::Send
        } else {
            self.flush_due = true;
            Step::Soon
        };
        Next { step, timer }
    }

    fn send(&mut self, fd: RawFd) -> std::io::Result<()> {
        while self.sent < self.out.len() {
            match sys::send(fd, &self.out[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A reply came: whose it is.
    fn arrived(&mut self, value: &Value<&[u8]>) -> Arrived {
        let Some(front) = self.pending.front_mut() else { return Arrived::Unasked };
        if front.errors > 0 && matches!(value, Value::Error(_)) {
            front.errors -= 1;
            front.values.push(owned(value));
            return Arrived::Nothing;
        }
        front.left -= 1;
        if front.left > 0 {
            front.values.push(owned(value));
            return Arrived::Nothing;
        }
        let Some(mut entry) = self.pending.pop_front() else { return Arrived::Unasked };
        self.answered(entry.len);
        if entry.values.is_empty() && !matches!(entry.kind, Kind::Many(_) | Kind::Transaction(_)) {
            return Arrived::One { reply: entry.reply, kind: entry.kind, codec: entry.codec };
        }
        // The errors before a fence's PONG are its reply.
        if matches!(entry.kind, Kind::Many(_) | Kind::Transaction(_)) {
            entry.values.push(owned(value));
        } else {
            entry.values.truncate(1);
        }
        Arrived::All { entry: Box::new(entry) }
    }

    fn answered(&mut self, len: usize) {
        self.head += len;
        if self.head == self.out.len() {
            self.out.clear();
            if self.out.capacity() > KEPT_BYTES_MAX {
                self.out = Vec::new();
            }
            (self.head, self.sent) = (0, 0);
        } else if self.head > KEPT_BYTES_MAX / 16 && self.head > self.out.len() / 2 {
            self.out.drain(..self.head);
            self.sent -= self.head;
            self.head = 0;
        }
    }

    /// After a loss: keeps the requests that have not left and those that may be sent again; returns the others.
    fn keep_what_may_wait(&mut self) -> Vec<Entry> {
        let (out, sent, mut at) = (std::mem::take(&mut self.out), self.sent, self.head);
        let mut failed = Vec::new();
        (self.head, self.sent, self.flush_due) = (0, 0, false);
        for mut entry in std::mem::take(&mut self.pending) {
            let bytes = &out[at..at + entry.len];
            let left = at < sent;
            at += entry.len;
            let waited_for = entry.reply.as_ref().is_some_and(|reply| !reply.get().is_done());
            if left && entry.repeats == 0 || !waited_for {
                failed.push(entry);
                continue;
            }
            entry.repeats -= u8::from(left);
            entry.left += entry.values.drain(..).len() as u32;
            self.out.extend_from_slice(bytes);
            self.pending.push_back(entry);
        }
        failed
    }
}

fn owned(value: &Value<&[u8]>) -> Value {
    let list = |items: &[Value<&[u8]>]| items.iter().map(owned).collect::<Vec<_>>();
    match value {
        Value::Simple(text) => Value::Simple(text.to_vec()),
        Value::Error(text) => Value::Error(text.to_vec()),
        Value::Bulk(text) => Value::Bulk(text.map(<[u8]>::to_vec)),
        Value::Verbatim { format, text } => Value::Verbatim { format: *format, text: text.to_vec() },
        Value::BigNumber(text) => Value::BigNumber(text.to_vec()),
        Value::Integer(number) => Value::Integer(*number),
        Value::Double(number) => Value::Double(*number),
        Value::Boolean(yes) => Value::Boolean(*yes),
        Value::Null => Value::Null,
        Value::Array(items) => Value::Array(items.as_deref().map(list)),
        Value::Set(items) => Value::Set(list(items)),
        Value::Push(items) => Value::Push(list(items)),
        Value::Map(pairs) => Value::Map(pairs.iter().map(|(key, value)| (owned(key), owned(value))).collect()),
    }
}

static CONNECTION_ERROR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static TIMEOUT_ERROR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The package's own exception, which says whether the request may have run.
pub(crate) fn connection_error(py: Python<'_>, text: &str, may_have_run: bool) -> PyErr {
    made(py, &CONNECTION_ERROR, "ConnectionError", text, may_have_run)
}

pub(crate) fn timeout_error(py: Python<'_>, text: &str, may_have_run: bool) -> PyErr {
    made(py, &TIMEOUT_ERROR, "TimeoutError", text, may_have_run)
}

fn made(py: Python<'_>, cell: &PyOnceLock<Py<PyAny>>, name: &str, text: &str, may_have_run: bool) -> PyErr {
    let fate = if may_have_run { "whether the request ran is unknown" } else { "the request was not sent" };
    let made = cell
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("aspine._errors")?.getattr(name)?.unbind()))
        .and_then(|class| class.bind(py).call1((format!("{text}; {fate}"), may_have_run)));
    made.map_or_else(|error| error, PyErr::from_value)
}

fn call_loop(slf: &Bound<'_, Connection>, method: &str, callback: &str) -> PyResult<()> {
    let callback = slf.getattr(callback)?;
    slf.get().event_loop.bind(slf.py()).call_method1(method, (callback,)).map(drop)
}

#[pymethods]
impl Connection {
    #[new]
    fn new(event_loop: Py<PyAny>, owner: Py<PyAny>) -> Self {
        let state = State {
            fd: None,
            closed: false,
            out: Vec::new(),
            head: 0,
            sent: 0,
            pending: VecDeque::new(),
            input: Input::default(),
            reading: false,
            flush_due: false,
            writer_on: false,
            timer_on: false,
            heard: Instant::now(),
        };
        Self { event_loop, owner, state: Mutex::new(state) }
    }

    /// Whether it has a socket.
    #[getter]
    fn open(&self) -> bool {
        self.is_open()
    }

    /// How many requests wait.
    #[getter]
    fn waiting(&self) -> usize {
        self.state().pending.len()
    }

    /// The loop it belongs to.
    #[getter(event_loop)]
    fn get_event_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    /// Takes a socket that is connected, does not block and has been greeted; the caller closes it when told of its loss.
    fn attach(slf: &Bound<'_, Self>, fd: RawFd) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        {
            let mut state = this.state();
            state.fd = Some(fd);
            state.input = Input::default();
            state.heard = Instant::now();
        }
        let callback = slf.getattr(intern!(py, "on_readable"))?;
        this.event_loop.bind(py).call_method1(intern!(py, "add_reader"), (fd, callback))?;
        this.flush_from(slf, Place::Elsewhere)
    }

    /// Sends what waits. A callback of the loop.
    fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().flush_from(slf, Place::Loop)
    }

    /// Sends what another thread has asked for. A callback of the loop.
    fn kick(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let (next, timeout) = {
            let mut state = this.state();
            let timeout = state.pending.iter().find_map(|entry| entry.deadline.map(|_| entry.timeout));
            if state.pending.is_empty() {
                return Ok(());
            }
            (state.next_step(timeout.is_some(), From::Loop), timeout)
        };
        if next.timer {
            this.arm(slf, timeout.unwrap_or_default())?;
        }
        match next.step {
            Step::Connect => this.tell_owner(slf, "_on_need", None),
            Step::Nothing => Ok(()),
            _ => this.flush_from(slf, Place::Loop),
        }
    }

    /// Receives once, completes what is whole, sends what that led to. A callback of the loop.
    fn on_readable(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let (fd, mut input) = {
            let mut state = this.state();
            let Some(fd) = state.fd.filter(|_| !state.reading) else { return Ok(()) };
            state.reading = true;
            (fd, std::mem::take(&mut state.input))
        };
        let received = sys::receive(fd, &mut input.bytes);
        let Decoded { done, pushes, fault } = match received {
            Ok(len) if len > 0 => this.decode(py, &mut input),
            _ => Decoded::default(),
        };
        {
            let mut state = this.state();
            state.input = input;
            if !(done.is_empty() && pushes.is_empty()) {
                state.heard = Instant::now();
            }
        }
        let mut result = Ok(());
        for push in pushes {
            result = result.and(this.tell_owner(slf, "_on_push", Some(push.into_bound(py))));
        }
        let mut place = Place::Loop;
        for (reply, outcome) in done {
            if let Err(error) = Reply::finish(reply.bind(py), outcome, place) {
                // An interrupt goes up at once; the others are woken when the loop goes on.
                place = Place::Elsewhere;
                result = result.and(Err(error));
            }
        }
        this.state().reading = false;
        let ended = match (received, fault) {
            (_, Some(fault)) => Some(fault),
            (Ok(0), None) => Some("the server has closed the connection".to_owned()),
            (Ok(_), None) => None,
            (Err(error), None) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => None,
                _ => Some(error.to_string()),
            },
        };
        let after = match ended {
            Some(cause) => this.lose(slf, &cause, Place::Loop),
            None => this.flush_from(slf, Place::Loop),
        };
        result.and(after)
    }

    /// Fails what has waited too long. A callback of the loop.
    fn on_timer(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let now = Instant::now();
        let dropped;
        let (late, silent, again) = {
            let mut state = this.state();
            let state = &mut *state;
            let (mut late, mut silent, mut again) = (Vec::new(), false, None);
            let (open, sent, mut at) = (state.fd.is_some(), state.sent, state.head);
            for entry in &mut state.pending {
                let left = open && at < sent;
                at += entry.len;
                let Some(deadline) = entry.deadline else { continue };
                again = Some(entry.timeout);
                if deadline > now {
                    continue;
                }
                late.extend(entry.reply.take().map(|reply| (reply, entry.timeout, left)));
                // It owes a reply for twice the time and has said nothing since.
                silent |= left && now > deadline + entry.timeout && now - state.heard > 2 * entry.timeout;
            }
            // Until there is a connection, what nobody waits for need not be sent.
            dropped = if open { Vec::new() } else { state.keep_what_may_wait() };
            state.timer_on = again.is_some();
            (late, silent, again)
        };
        drop(dropped);
        if let Some(timeout) = again {
            this.arm(slf, timeout)?;
        }
        let mut result = Ok(());
        let open = this.is_open();
        for (reply, timeout, left) in late {
            let error = if open {
                timeout_error(py, &format!("no reply within {timeout:?}"), left)
            } else {
                connection_error(py, &format!("no connection within {timeout:?}"), false)
            };
            result = result.and(Reply::finish(reply.bind(py), Outcome::Error(error), Place::Loop));
        }
        if silent {
            result = result.and(this.lose(slf, "the server does not answer", Place::Loop));
        }
        result
    }

    /// Fails every request that waits, each with what `make` returns: no connection can be made.
    fn fail(slf: &Bound<'_, Self>, make: &Bound<'_, PyAny>) -> PyResult<()> {
        let failed = {
            let mut state = slf.get().state();
            if state.fd.is_some() {
                return Ok(());
            }
            state.out.clear();
            (state.head, state.sent) = (0, 0);
            std::mem::take(&mut state.pending)
        };
        for entry in failed {
            if let Some(reply) = entry.reply {
                let error = PyErr::from_value(make.call0()?);
                Reply::finish(reply.bind(slf.py()), Outcome::Error(error), Place::Elsewhere)?;
            }
        }
        Ok(())
    }

    /// Gives the socket up without a word to the loop or the server: a forked child, or a loop that is closed.
    fn abandon(slf: &Bound<'_, Self>, make: &Bound<'_, PyAny>) -> PyResult<()> {
        {
            let mut state = slf.get().state();
            state.fd = None;
            state.closed = true;
            state.writer_on = false;
        }
        Self::fail(slf, make)
    }

    /// Ends it: what waits fails, and no more is taken. The caller closes the socket.
    fn close(slf: &Bound<'_, Self>, make: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().state().closed = true;
        slf.get().lose(slf, "the client was closed", Place::Elsewhere)?;
        Self::fail(slf, make)
    }
}

/// The two system calls, on a socket that somebody else owns and that does not block.
mod sys {
    use std::io;
    use std::os::fd::RawFd;

    use super::READ_BYTES;

    pub(super) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: the pointer and the length are those of one slice, which is only read.
        let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Appends what is there.
    pub(super) fn receive(fd: RawFd, bytes: &mut Vec<u8>) -> io::Result<usize> {
        bytes.reserve(READ_BYTES.max(bytes.len() / 2));
        let room = bytes.spare_capacity_mut();
        // SAFETY: the pointer and the length are those of the vector's spare room, which may be written.
        let received = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
        let len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: `recv` has written so many bytes behind the old length.
        unsafe { bytes.set_len(bytes.len() + len) };
        Ok(len)
    }
}

/// A list of words as one request.
pub(crate) fn words(list: &Bound<'_, PyList>) -> PyResult<Vec<u8>> {
    let mut out = Vec::new();
    crate::encode::head(&mut out, list.len());
    for word in list {
        crate::encode::word(&mut out, &crate::value::raw(&word)?);
    }
    Ok(out)
}
