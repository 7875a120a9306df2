//! Where a client's requests go: the loop's connections, the connections that wait, or a batch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use aspine::blocking;
use aspine::client::{Error, Fate, Options};
use aspine::resp::Value;
use aspine::slot::Slot;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::connection::{Connection, From, Request, connection_error, timeout_error};
use crate::convert::{self, Kind};
use crate::reply::{Reply, other_loop};
use crate::value::Codec;

/// The connections of one asyncio client: one to the server's one port, and one to each core that has its own.
#[pyclass(frozen, weakref, module = "aspine._native")]
pub(crate) struct Hub {
    /// A weak reference to what makes connections.
    owner: Py<PyAny>,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    main: Option<Py<Connection>>,
    cores: Vec<Py<Connection>>,
}

static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl Hub {
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection for a key, or the main one.
    fn link<'py>(&self, py: Python<'py>, key: Option<&[u8]>) -> Option<Bound<'py, Connection>> {
        let links = self.links();
        let core = key.filter(|_| !links.cores.is_empty()).and_then(|key| {
            let core = Slot::of(key).owner(links.cores.len() as u16);
            links.cores.get(usize::from(core.0)).map(|link| link.bind(py).clone())
        });
        let main = links.main.as_ref().map(|link| link.bind(py).clone());
        drop(links);
        core.filter(|link| link.get().is_open()).or(main)
    }

    pub(crate) fn submit<'py>(
        &self,
        py: Python<'py>,
        key: Option<&[u8]>,
        request: Request,
    ) -> PyResult<Bound<'py, Reply>> {
        let running = RUNNING_LOOP
            .get_or_try_init(py, || Ok::<_, PyErr>(py.import("asyncio")?.getattr("_get_running_loop")?.unbind()))?
            .bind(py)
            .call0()?;
        let link = self.link(py, key);
        let from = match &link {
            Some(link) if link.get().event_loop().is(&running) => From::Loop,
            Some(_) if running.is_none() => From::Outside,
            _ => {
                let owner = self.owner.bind(py).call0()?;
                if owner.is_none() {
                    return Err(connection_error(py, "the client is gone", false));
                }
                owner.call_method1("_bind", (running,))?;
                let link = self.link(py, key).ok_or_else(other_loop)?;
                return Connection::submit(&link, request, From::Loop);
            }
        };
        match link {
            Some(link) => Connection::submit(&link, request, from),
            None => Err(other_loop()),
        }
    }
}

#[pymethods]
impl Hub {
    #[new]
    fn new(owner: Py<PyAny>) -> Self {
        Self { owner, links: Mutex::default() }
    }

    /// Sets the connections; the old ones are the caller's to close.
    fn set_links(&self, main: Option<Py<Connection>>, cores: Vec<Py<Connection>>) {
        let old = std::mem::replace(&mut *self.links(), Links { main, cores });
        drop(old);
    }
}

/// Connections that wait in the caller's thread. A call takes one that is idle, or makes one.
#[pyclass(frozen, module = "aspine._native")]
pub(crate) struct Pool {
    options: Options,
    timeout: Option<Duration>,
    idle: Mutex<Idle>,
}

struct Idle {
    /// Whose connections they are: a forked child makes its own.
    process: u32,
    clients: Vec<blocking::Client>,
    closed: bool,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<blocking::Client> {
        let mut idle = self.idle();
        if idle.process != std::process::id() {
            idle.process = std::process::id();
            idle.clients.clear();
        }
        idle.clients.pop()
    }

    fn give_back(&self, client: blocking::Client) {
        let mut idle = self.idle();
        if !idle.closed {
            idle.clients.push(client);
        }
    }

    fn exchange(&self, client: Option<blocking::Client>, request: &Request) -> Result<Answered, Error> {
        let mut client = match client {
            Some(client) => client,
            None => blocking::Client::connect(&self.options)?,
        };
        let replies = request.kind.replies();
        let values = client.exchange(&request.bytes, replies, request.timeout, request.reads)?;
        Ok((client, values))
    }

    pub(crate) fn run(&self, py: Python<'_>, request: &Request) -> PyResult<Py<PyAny>> {
        if self.idle().closed {
            return Err(connection_error(py, "the client is closed", false));
        }
        let client = self.take();
        let result = apart(py, || self.exchange(client, request))?;
        let (client, values) = result.map_err(|error| raised(py, &error))?;
        self.give_back(client);
        convert::all(py, &values, &request.kind, &request.codec)
    }
}

/// Whether the interpreter ends, and calls that wait without its lock.
static ENDS: AtomicBool = AtomicBool::new(false);
/// The thread that ends it, which goes on.
static ENDER: OnceLock<ThreadId> = OnceLock::new();
static APART: AtomicUsize = AtomicUsize::new(0);

/// Waits without the interpreter's lock. A thread that comes back once the interpreter ends never takes it again: Python
/// would end the thread by unwinding it, which Rust answers with an abort.
fn apart<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> PyResult<T> {
    if ENDS.load(Ordering::SeqCst) {
        if ENDER.get() == Some(&std::thread::current().id()) {
            return Ok(py.detach(wait));
        }
        py.detach(|| {
            loop {
                std::thread::park();
            }
        });
    }
    APART.fetch_add(1, Ordering::SeqCst);
    let result = py.detach(|| {
        let result = wait();
        if ENDS.load(Ordering::SeqCst) {
            APART.fetch_sub(1, Ordering::SeqCst);
            loop {
                std::thread::park();
            }
        }
        result
    });
    APART.fetch_sub(1, Ordering::SeqCst);
    Ok(result)
}

/// Lets the calls that wait come to an end, within a second. Called when the interpreter ends.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) {
    ENDER.get_or_init(|| std::thread::current().id());
    ENDS.store(true, Ordering::SeqCst);
    py.detach(|| {
        let end = Instant::now() + Duration::from_secs(1);
        while APART.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

type Answered = (blocking::Client, Vec<Value<bytes::Bytes>>);

/// The package's exception for an error of the client that waits.
fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let may_have_run = error.fate() == Some(Fate::Unknown);
    match error {
        Error::Connection { address, cause, .. } => {
            connection_error(py, &format!("no connection to {address}: {cause}"), may_have_run)
        }
        Error::Timeout { after, .. } => timeout_error(py, &format!("no reply within {after:?}"), may_have_run),
        Error::Auth(text) | Error::Server(text) => convert::server_error(py, text.as_bytes()),
        other => convert::protocol_error(py, &other.to_string()),
    }
}

#[pymethods]
impl Pool {
    #[new]
    #[pyo3(signature = (address, timeout = None, connect_timeout = None, authkey = None, user = None, name = None))]
    fn new(
        address: &str,
        timeout: Option<f64>,
        connect_timeout: Option<f64>,
        authkey: Option<Vec<u8>>,
        user: Option<String>,
        name: Option<String>,
    ) -> PyResult<Self> {
        let mut options = Options::new(address);
        let timeout = timeout.map(seconds).transpose()?;
        options = match timeout {
            Some(timeout) => options.timeout(timeout),
            None => options.no_timeout(),
        };
        if let Some(timeout) = connect_timeout {
            options = options.connect_timeout(seconds(timeout)?);
        }
        if let Some(key) = authkey {
            options = options.authkey(key);
        }
        if let Some(user) = user {
            options = options.user(user);
        }
        if let Some(name) = name {
            options = options.name(name);
        }
        let idle = Idle { process: std::process::id(), clients: Vec::new(), closed: false };
        Ok(Self { options, timeout, idle: Mutex::new(idle) })
    }

    /// Makes a connection, so that an error is told now.
    fn connect(&self, py: Python<'_>) -> PyResult<()> {
        self.idle().closed = false;
        let client = self.take();
        let client = match client {
            Some(client) => client,
            None => {
                let made = apart(py, || blocking::Client::connect(&self.options))?;
                made.map_err(|error| raised(py, &error))?
            }
        };
        self.give_back(client);
        Ok(())
    }

    /// Closes the connections that are idle; those in use are closed when their call ends.
    fn close(&self) {
        let clients = {
            let mut idle = self.idle();
            idle.closed = true;
            std::mem::take(&mut idle.clients)
        };
        drop(clients);
    }

    /// One connection for its holder alone, for WATCH.
    fn exclusive(slf: Bound<'_, Self>) -> Exclusive {
        Exclusive { pool: slf.unbind(), client: Mutex::new(None) }
    }
}

/// One connection for its holder alone.
#[pyclass(frozen, module = "aspine._native")]
pub(crate) struct Exclusive {
    pool: Py<Pool>,
    client: Mutex<Option<blocking::Client>>,
}

#[pymethods]
impl Exclusive {
    /// Sends commands and returns their replies as they came, errors among them. `timeout`: seconds, or `None`.
    fn run(
        &self,
        py: Python<'_>,
        commands: Vec<Bound<'_, pyo3::types::PyList>>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let request = many(&commands, timeout, &Arc::new(Codec::Raw))?;
        let pool = self.pool.get();
        let held = self.client.lock().unwrap_or_else(PoisonError::into_inner).take().or_else(|| pool.take());
        let result = apart(py, || pool.exchange(held, &request))?;
        let (client, values) = result.map_err(|error| raised(py, &error))?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        convert::all(py, &values, &request.kind, &request.codec)
    }

    /// Gives the connection back. `clean`: it watches nothing any more.
    fn release(&self, clean: bool) {
        let held = self.client.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = held.filter(|_| clean) {
            self.pool.get().give_back(client);
        }
    }
}

/// Commands as one request whose replies come as they are.
pub(crate) fn many(
    commands: &[Bound<'_, pyo3::types::PyList>],
    timeout: Option<f64>,
    codec: &Arc<Codec>,
) -> PyResult<Request> {
    let mut bytes = Vec::new();
    for command in commands {
        bytes.extend(crate::connection::words(command)?);
    }
    Ok(Request {
        bytes,
        kind: Kind::Many(vec![Kind::Any; commands.len()]),
        codec: codec.clone(),
        reads: false,
        fenced: 0,
        timeout: timeout.map(seconds).transpose()?,
    })
}

pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| pyo3::exceptions::PyValueError::new_err("a timeout is a positive number of seconds"))
}

impl Pool {
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
