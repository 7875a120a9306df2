//! `Commands`: what every client has, whether it awaits, waits or collects. One encoding of each command for all three.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyTuple};

use crate::connection::{Connection, From, Request};
use crate::convert::Kind;
use crate::encode::{head, number, word, words};
use crate::hub::{Hub, Pool, many, seconds};
use crate::value::{Codec, Word, word as text};

/// The commands of one client.
#[pyclass(frozen, subclass, weakref, module = "aspine._native")]
#[derive(Default)]
pub(crate) struct Commands {
    inner: OnceLock<Inner>,
}

struct Inner {
    target: Target,
    prefix: Vec<u8>,
    codec: Arc<Codec>,
    timeout: Option<Duration>,
}

enum Target {
    /// Replies are awaited.
    Loop(Py<Hub>),
    /// Replies are waited for.
    Thread(Py<Pool>),
    /// Commands are collected for another's target.
    Batch(Py<Commands>, Mutex<Batch>),
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    kinds: Vec<Kind>,
}

/// A time to live.
enum Ttl {
    Forever,
    Millis(i64),
    /// It has passed.
    Past,
}

/// What a command is besides its bytes.
struct Shape<'a> {
    kind: Kind,
    key: Option<&'a [u8]>,
    reads: bool,
}

impl Commands {
    fn inner(&self) -> PyResult<&Inner> {
        self.inner.get().ok_or_else(|| PyRuntimeError::new_err("the client was not set up: call super().__init__()"))
    }

    /// Runs a request: a reply to await, the value, or the batch itself.
    fn run<'py>(slf: &Bound<'py, Self>, bytes: Vec<u8>, shape: Shape<'_>) -> PyResult<Bound<'py, PyAny>> {
        let inner = slf.get().inner()?;
        if let Target::Batch(_, batch) = &inner.target {
            let mut batch = batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.bytes.extend_from_slice(&bytes);
            batch.kinds.push(shape.kind);
            return Ok(slf.clone().into_any());
        }
        let Shape { kind, key, reads } = shape;
        let request = Request { bytes, kind, codec: inner.codec.clone(), reads, fenced: 0, timeout: inner.timeout };
        Self::submit(slf, key, request)
    }

    fn submit<'py>(slf: &Bound<'py, Self>, key: Option<&[u8]>, request: Request) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match &slf.get().inner()?.target {
            Target::Loop(hub) => hub.get().submit(py, key, request).map(Bound::into_any),
            Target::Thread(pool) => pool.get().run(py, &request).map(|value| value.into_bound(py)),
            Target::Batch(parent, _) => Self::submit(parent.bind(py), key, request),
        }
    }

    /// A key with the client's prefix.
    fn key<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Word<'py>> {
        let prefix = &self.inner()?.prefix;
        let key = text(key)?;
        if prefix.is_empty() {
            return Ok(key);
        }
        let mut whole = prefix.clone();
        whole.extend_from_slice(&key);
        Ok(Word::Made(whole))
    }

    /// A command of a name and keys, folded by the server.
    fn of_keys<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        keys: &Bound<'_, PyTuple>,
        kind: Kind,
        reads: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        if keys.is_empty() {
            return Err(PyTypeError::new_err("at least one key is needed"));
        }
        if keys.len() == 1 {
            let first = keys.get_item(0)?;
            let key = slf.get().key(&first)?;
            let mut bytes = Vec::with_capacity(key.len() + 40);
            words(&mut bytes, name, &[&key]);
            return Self::run(slf, bytes, Shape { kind, key: Some(&key), reads });
        }
        let mut bytes = Vec::with_capacity(keys.len() * 32 + 32);
        head(&mut bytes, keys.len() + 1);
        word(&mut bytes, name.as_bytes());
        for key in keys {
            word(&mut bytes, &slf.get().key(&key)?);
        }
        Self::run(slf, bytes, Shape { kind, key: None, reads })
    }
}

/// A time to live as callers write it: `None` and 0 for good, seconds, or a `timedelta`.
fn ttl(value: Option<&Bound<'_, PyAny>>) -> PyResult<Ttl> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(Ttl::Forever) };
    let seconds =
        if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() || value.is_instance_of::<PyFloat>() {
            value.extract::<f64>()?
        } else if let Ok(total) = value.call_method0("total_seconds") {
            total.extract::<f64>()?
        } else {
            return Err(PyTypeError::new_err("a ttl is a number of seconds, a timedelta or None"));
        };
    let millis = (seconds * 1000.0).ceil();
    if millis.is_nan() || millis.abs() >= 9e15 {
        return Err(PyValueError::new_err("the ttl is no time"));
    }
    Ok(match millis as i64 {
        _ if seconds == 0.0 => Ttl::Forever,
        // Rounded up: a tenth of a millisecond is some time.
        millis @ 1.. => Ttl::Millis(millis),
        _ => Ttl::Past,
    })
}

impl Ttl {
    fn words(&self) -> usize {
        if matches!(self, Self::Forever) { 0 } else { 2 }
    }

    fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Forever => {}
            Self::Millis(millis) => {
                word(out, b"PX");
                number(out, *millis);
            }
            Self::Past => {
                word(out, b"PXAT");
                number(out, 1);
            }
        }
    }
}

fn codec(serializer: &Bound<'_, PyAny>) -> PyResult<Codec> {
    let py = serializer.py();
    if serializer.is_none() {
        return Ok(Codec::Auto);
    }
    if let Ok(name) = serializer.extract::<String>() {
        return match name.as_str() {
            "auto" => Ok(Codec::Auto),
            "raw" => Ok(Codec::Raw),
            "pickle" => {
                let pickle = py.import("pickle")?;
                Ok(Codec::Pickle { dumps: pickle.getattr("dumps")?.unbind(), loads: pickle.getattr("loads")?.unbind() })
            }
            _ => Err(PyValueError::new_err("a serializer is \"auto\", \"raw\", \"pickle\" or has dumps and loads")),
        };
    }
    Ok(Codec::Custom { dumps: serializer.getattr("dumps")?.unbind(), loads: serializer.getattr("loads")?.unbind() })
}

#[pymethods]
impl Commands {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    /// Says where requests go (a hub, a pool, or other commands to collect for), and how keys and values are made.
    #[pyo3(signature = (target, prefix = Vec::new(), serializer = None, timeout = None))]
    fn _setup(
        &self,
        target: &Bound<'_, PyAny>,
        prefix: Vec<u8>,
        serializer: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let mut shared = None;
        let target = if let Ok(hub) = target.cast::<Hub>() {
            Target::Loop(hub.clone().unbind())
        } else if let Ok(pool) = target.cast::<Pool>() {
            Target::Thread(pool.clone().unbind())
        } else {
            let parent = target.cast::<Commands>()?;
            shared = Some(parent.get().inner()?.codec.clone());
            Target::Batch(parent.clone().unbind(), Mutex::default())
        };
        let codec = match (shared, serializer) {
            (Some(codec), None) => codec,
            (_, Some(serializer)) => Arc::new(codec(serializer)?),
            (None, None) => Arc::new(Codec::Auto),
        };
        let timeout = match &target {
            Target::Thread(pool) => pool.get().timeout(),
            _ => timeout.map(seconds).transpose()?,
        };
        let inner = Inner { target, prefix, codec, timeout };
        self.inner.set(inner).map_err(|_| PyRuntimeError::new_err("the client was set up before"))
    }

    /// The value of a key, or `None` if it does not exist.
    fn get<'py>(slf: &Bound<'py, Self>, key: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let key = slf.get().key(key)?;
        let mut bytes = Vec::with_capacity(key.len() + 32);
        bytes.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
        word(&mut bytes, &key);
        Self::run(slf, bytes, Shape { kind: Kind::Value, key: Some(&key), reads: true })
    }

    /// Stores a value, for so many seconds or for good. `nx`: only if the key does not exist; `xx`: only if it does.
    /// Returns whether it was stored. `invalidate` is 2.0's, and true of every write now.
    #[pyo3(signature = (key, value, ttl = None, invalidate = false, *, nx = false, xx = false))]
    fn set<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        ttl: Option<&Bound<'_, PyAny>>,
        invalidate: bool,
        nx: bool,
        xx: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = invalidate;
        let key = slf.get().key(key)?;
        let value = slf.get().inner()?.codec.encode(value)?;
        let ttl = self::ttl(ttl)?;
        let mut bytes = Vec::with_capacity(key.len() + value.len() + 64);
        head(&mut bytes, 3 + ttl.words() + usize::from(nx) + usize::from(xx));
        word(&mut bytes, b"SET");
        word(&mut bytes, &key);
        word(&mut bytes, &value);
        if nx {
            word(&mut bytes, b"NX");
        }
        if xx {
            word(&mut bytes, b"XX");
        }
        ttl.push(&mut bytes);
        Self::run(slf, bytes, Shape { kind: Kind::Truth, key: Some(&key), reads: false })
    }

    /// Deletes keys, and returns how many there were.
    #[pyo3(signature = (*keys))]
    fn delete<'py>(slf: &Bound<'py, Self>, keys: &Bound<'_, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        Self::of_keys(slf, "DEL", keys, Kind::Count, false)
    }

    /// Whether a key exists; of several, how many do.
    #[pyo3(signature = (*keys))]
    fn exists<'py>(slf: &Bound<'py, Self>, keys: &Bound<'_, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let kind = if keys.len() == 1 { Kind::Flag } else { Kind::Count };
        Self::of_keys(slf, "EXISTS", keys, kind, true)
    }

    /// Seconds a key has to live; -1: it has no end; -2: it does not exist.
    fn ttl<'py>(slf: &Bound<'py, Self>, key: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let key = slf.get().key(key)?;
        let mut bytes = Vec::new();
        words(&mut bytes, "TTL", &[&key]);
        Self::run(slf, bytes, Shape { kind: Kind::Count, key: Some(&key), reads: true })
    }

    /// Adds to an integer, which is 0 if the key does not exist, and returns the sum.
    #[pyo3(signature = (key, by = 1))]
    fn incr<'py>(slf: &Bound<'py, Self>, key: &Bound<'_, PyAny>, by: i64) -> PyResult<Bound<'py, PyAny>> {
        let key = slf.get().key(key)?;
        let mut bytes = Vec::new();
        head(&mut bytes, 3);
        word(&mut bytes, b"INCRBY");
        word(&mut bytes, &key);
        number(&mut bytes, by);
        Self::run(slf, bytes, Shape { kind: Kind::Count, key: Some(&key), reads: false })
    }

    /// Subtracts from an integer, and returns the difference.
    #[pyo3(signature = (key, by = 1))]
    fn decr<'py>(slf: &Bound<'py, Self>, key: &Bound<'_, PyAny>, by: i64) -> PyResult<Bound<'py, PyAny>> {
        let by = by.checked_neg().ok_or_else(|| PyValueError::new_err("the number is too large"))?;
        Self::incr(slf, key, by)
    }

    /// Gives a key so many seconds to live from now, or only marks it as used. Returns whether it exists.
    #[pyo3(signature = (key, ttl = None))]
    fn touch<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'_, PyAny>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let key = slf.get().key(key)?;
        let mut bytes = Vec::new();
        let millis = match self::ttl(ttl)? {
            Ttl::Forever => None,
            Ttl::Millis(millis) => Some(millis),
            Ttl::Past => Some(0),
        };
        match millis {
            None => words(&mut bytes, "TOUCH", &[&key]),
            Some(millis) => {
                head(&mut bytes, 3);
                word(&mut bytes, b"PEXPIRE");
                word(&mut bytes, &key);
                number(&mut bytes, millis);
            }
        }
        Self::run(slf, bytes, Shape { kind: Kind::Flag, key: Some(&key), reads: false })
    }

    /// Takes a key's end away. Returns whether it had one.
    fn persist<'py>(slf: &Bound<'py, Self>, key: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let key = slf.get().key(key)?;
        let mut bytes = Vec::new();
        words(&mut bytes, "PERSIST", &[&key]);
        Self::run(slf, bytes, Shape { kind: Kind::Flag, key: Some(&key), reads: false })
    }

    /// The values of keys, in their order, as a list.
    #[pyo3(signature = (*keys))]
    fn get_many<'py>(slf: &Bound<'py, Self>, keys: &Bound<'_, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        Self::of_keys(slf, "MGET", keys, Kind::Values, true)
    }

    /// Stores all pairs in one step, with one time to live for all.
    #[pyo3(signature = (pairs, ttl = None))]
    fn mset<'py>(
        slf: &Bound<'py, Self>,
        pairs: &Bound<'_, PyAny>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let ttl = self::ttl(ttl)?;
        let codec = &this.inner()?.codec;
        let (mut body, mut count) = (Vec::new(), 0);
        let mut push = |key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| {
            word(&mut body, &this.key(key)?);
            word(&mut body, &codec.encode(value)?);
            count += 1;
            Ok::<_, PyErr>(())
        };
        if let Ok(dict) = pairs.cast::<PyDict>() {
            for (key, value) in dict {
                push(&key, &value)?;
            }
        } else {
            let pairs = if pairs.hasattr("items")? { pairs.call_method0("items")? } else { pairs.clone() };
            for pair in pairs.try_iter()? {
                let (key, value) = pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
                push(&key, &value)?;
            }
        }
        if count == 0 {
            return Err(PyValueError::new_err("at least one pair is needed"));
        }
        let mut bytes = Vec::with_capacity(body.len() + 64);
        if let Ttl::Forever = ttl {
            head(&mut bytes, 1 + 2 * count);
            word(&mut bytes, b"MSET");
            bytes.extend_from_slice(&body);
        } else {
            head(&mut bytes, 2 + 2 * count + ttl.words());
            word(&mut bytes, b"MSETEX");
            number(&mut bytes, count as i64);
            bytes.extend_from_slice(&body);
            ttl.push(&mut bytes);
        }
        Self::run(slf, bytes, Shape { kind: Kind::Truth, key: None, reads: false })
    }

    /// Sends a message to a channel, and returns how many subscribers were there.
    fn publish<'py>(
        slf: &Bound<'py, Self>,
        channel: &Bound<'_, PyAny>,
        message: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let message = slf.get().inner()?.codec.encode(message)?;
        let mut bytes = Vec::new();
        words(&mut bytes, "PUBLISH", &[&text(channel)?, &message]);
        Self::run(slf, bytes, Shape { kind: Kind::Count, key: None, reads: false })
    }

    /// Any command. Strings come back as bytes, statuses as `str`; keys are taken as they are, without a namespace.
    #[pyo3(signature = (*args))]
    fn command<'py>(slf: &Bound<'py, Self>, args: &Bound<'_, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        if args.is_empty() {
            return Err(PyTypeError::new_err("a command has a name"));
        }
        let bytes = crate::connection::words(&args.to_list())?;
        Self::run(slf, bytes, Shape { kind: Kind::Any, key: None, reads: false })
    }

    /// A command whose reply is made into `kind`.
    #[pyo3(signature = (args, kind, reads = false))]
    fn _command<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'_, PyList>,
        kind: &str,
        reads: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kind = Kind::parse(kind).ok_or_else(|| PyValueError::new_err("no such kind of reply"))?;
        let bytes = crate::connection::words(args)?;
        Self::run(slf, bytes, Shape { kind, key: None, reads })
    }

    /// MULTI, commands and EXEC: the replies as they came.
    fn _transaction<'py>(slf: &Bound<'py, Self>, commands: Vec<Bound<'_, PyList>>) -> PyResult<Bound<'py, PyAny>> {
        let inner = slf.get().inner()?;
        let mut bytes = b"*1\r\n$5\r\nMULTI\r\n".to_vec();
        for command in &commands {
            bytes.extend(crate::connection::words(command)?);
        }
        bytes.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        let kind = Kind::Transaction(vec![Kind::Any; commands.len()]);
        let request =
            Request { bytes, kind, codec: inner.codec.clone(), reads: false, fenced: 0, timeout: inner.timeout };
        Self::submit(slf, None, request)
    }

    /// Sends what was collected, and begins anew. `transaction`: between MULTI and EXEC.
    fn _execute<'py>(slf: &Bound<'py, Self>, transaction: bool) -> PyResult<Bound<'py, PyAny>> {
        let inner = slf.get().inner()?;
        let Target::Batch(parent, batch) = &inner.target else {
            return Err(PyTypeError::new_err("this collects no commands"));
        };
        let Batch { bytes, kinds } = std::mem::take(&mut *batch.lock().unwrap_or_else(PoisonError::into_inner));
        let (bytes, kind) = if transaction {
            let mut whole = b"*1\r\n$5\r\nMULTI\r\n".to_vec();
            whole.extend_from_slice(&bytes);
            whole.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
            (whole, Kind::Transaction(kinds))
        } else {
            (bytes, Kind::Many(kinds))
        };
        let timeout = parent.get().inner()?.timeout;
        let request = Request { bytes, kind, codec: inner.codec.clone(), reads: false, fenced: 0, timeout };
        Self::submit(slf, None, request)
    }

    /// How many commands were collected.
    fn __len__(&self) -> PyResult<usize> {
        match &self.inner()?.target {
            Target::Batch(_, batch) => Ok(batch.lock().unwrap_or_else(PoisonError::into_inner).kinds.len()),
            _ => Err(PyTypeError::new_err("this collects no commands")),
        }
    }

    fn __bool__(&self) -> bool {
        true
    }

    /// The bytes a value is stored as.
    fn _encode<'py>(&self, py: Python<'py>, value: &Bound<'_, PyAny>) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
        Ok(pyo3::types::PyBytes::new(py, &self.inner()?.codec.encode(value)?))
    }

    /// The value that bytes stand for.
    fn _decode<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.inner()?.codec.decode(py, bytes)
    }

    /// A key with the namespace before it.
    fn _key<'py>(&self, py: Python<'py>, key: &Bound<'_, PyAny>) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
        Ok(pyo3::types::PyBytes::new(py, &self.key(key)?))
    }

    #[getter]
    fn _prefix<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
        Ok(pyo3::types::PyBytes::new(py, &self.inner()?.prefix))
    }
}

/// Sends commands over one connection of the loop, and returns the reply to await: their replies as they came, in a list.
#[pyfunction]
#[pyo3(signature = (link, commands, timeout = None))]
pub(crate) fn send_all<'py>(
    link: &Bound<'py, Connection>,
    commands: Vec<Bound<'py, PyList>>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let request = many(&commands, timeout, &Arc::new(Codec::Raw))?;
    Connection::submit(link, request, From::Loop).map(Bound::into_any)
}

/// Sends SUBSCRIBE or the like over one connection of the loop; the reply comes when the server has taken it.
#[pyfunction]
#[pyo3(signature = (link, command, timeout = None))]
pub(crate) fn send_fenced<'py>(
    link: &Bound<'py, Connection>,
    command: &Bound<'py, PyList>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut bytes = crate::connection::words(command)?;
    bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let timeout = timeout.map(seconds).transpose()?;
    let codec = Arc::new(Codec::Raw);
    let request = Request { bytes, kind: Kind::Any, codec, reads: false, fenced: 1, timeout };
    Connection::submit(link, request, From::Loop).map(Bound::into_any)
}
