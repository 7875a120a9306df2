//! `Reply`: what a request returns to asyncio. A future, and a coroutine by its methods, so that `await`, `gather`,
//! `wait_for` and `create_task` all take it.
//!
//! Why no `asyncio.Future`: the one of C schedules whoever waits with `call_soon`, a handle and a turn of the loop later.
//! A reply that arrives is told by the loop's own reader callback, where no task runs; so it wakes its task there and
//! then, and what the tasks send meanwhile leaves in one write behind them.
//! Never: runs a callback inside another task. Outside the reader's and the timer's callbacks it uses `call_soon`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBaseException, PyKeyboardInterrupt, PyRuntimeError, PyStopIteration, PySystemExit};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use pyo3::{PyTypeInfo, intern};

/// One reply to come.
#[pyclass(frozen, module = "aspine._native")]
pub(crate) struct Reply {
    event_loop: Py<PyAny>,
    state: Mutex<State>,
}

struct State {
    outcome: Outcome,
    /// Who waits, with the context to call each in.
    callbacks: Vec<(Py<PyAny>, Py<PyAny>)>,
    /// What a task looks at: whether it was awaited just now. `None` would say that this is no future.
    blocking: bool,
}

/// What became of the request.
pub(crate) enum Outcome {
    Pending,
    Value(Py<PyAny>),
    Error(PyErr),
    /// With the caller's message.
    Cancelled(Py<PyAny>),
}

/// Where a reply is completed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a callback of the loop: whoever waits is called at once.
    Loop,
    /// Anywhere else.
    Elsewhere,
}

static CANCELLED_ERROR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static COPY_CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static INVALID_STATE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn cached<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let object = cell.get_or_try_init(py, || Ok::<_, PyErr>(py.import(module)?.getattr(name)?.unbind()))?;
    Ok(object.bind(py).clone())
}

impl Reply {
    pub(crate) fn new(event_loop: Py<PyAny>) -> Self {
        let state = State { outcome: Outcome::Pending, callbacks: Vec::new(), blocking: false };
        Self { event_loop, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_done(&self) -> bool {
        !matches!(self.state().outcome, Outcome::Pending)
    }

    /// Completes a reply and wakes who waits. An error is one that must leave the loop: an interrupt or an exit.
    pub(crate) fn finish(slf: &Bound<'_, Self>, outcome: Outcome, place: Place) -> PyResult<()> {
        let this = slf.get();
        let callbacks = {
            let mut state = this.state();
            if !matches!(state.outcome, Outcome::Pending) {
                return Ok(());
            }
            state.outcome = outcome;
            std::mem::take(&mut state.callbacks)
        };
        let mut result = Ok(());
        for (callback, context) in callbacks {
            let called = if place == Place::Loop && result.is_ok() {
                context.bind(slf.py()).call_method1(intern!(slf.py(), "run"), (callback, slf)).map(drop)
            } else {
                this.call_soon(slf, callback.bind(slf.py()), context.bind(slf.py()))
            };
            if let Err(error) = called {
                if error.is_instance_of::<PyKeyboardInterrupt>(slf.py())
                    || error.is_instance_of::<PySystemExit>(slf.py())
                {
                    result = Err(error);
                } else {
                    this.report(slf, &error);
                }
            }
        }
        result
    }

    fn call_soon(
        &self,
        slf: &Bound<'_, Self>,
        callback: &Bound<'_, PyAny>,
        context: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let event_loop = self.event_loop.bind(py);
        if event_loop.call_method0(intern!(py, "is_closed"))?.is_truthy()? {
            // Nothing will run in it any more.
            return Ok(());
        }
        let arguments = PyDict::new(py);
        arguments.set_item(intern!(py, "context"), context)?;
        event_loop.call_method(intern!(py, "call_soon"), (callback, slf), Some(&arguments)).map(drop)
    }

    /// Tells the loop of a callback that failed, as its own handles do.
    fn report(&self, slf: &Bound<'_, Self>, error: &PyErr) {
        let py = slf.py();
        let told = (|| {
            let context = PyDict::new(py);
            context.set_item("message", "a callback of a reply failed")?;
            context.set_item("exception", error.value(py))?;
            context.set_item("future", slf)?;
            self.event_loop.bind(py).call_method1("call_exception_handler", (context,))
        })();
        if let Err(error) = told {
            error.write_unraisable(py, Some(slf));
        }
    }

    fn cancelled_error(py: Python<'_>, message: &Py<PyAny>) -> PyErr {
        let class = match cached(py, &CANCELLED_ERROR, "asyncio", "CancelledError") {
            Ok(class) => class,
            Err(error) => return error,
        };
        let raised = if message.is_none(py) { class.call0() } else { class.call1((message,)) };
        raised.map_or_else(|error| error, PyErr::from_value)
    }

    fn invalid_state(py: Python<'_>, text: &str) -> PyErr {
        let raised = cached(py, &INVALID_STATE, "asyncio", "InvalidStateError").and_then(|class| class.call1((text,)));
        raised.map_or_else(|error| error, PyErr::from_value)
    }

    /// The value or the error; `None` while there is none.
    fn outcome(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let state = self.state();
        Some(match &state.outcome {
            Outcome::Pending => return None,
            Outcome::Value(value) => Ok(value.clone_ref(py)),
            Outcome::Error(error) => Err(error.clone_ref(py)),
            Outcome::Cancelled(message) => {
                let message = message.clone_ref(py);
                drop(state);
                Err(Self::cancelled_error(py, &message))
            }
        })
    }
}

#[pymethods]
impl Reply {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        match slf.get().outcome(py) {
            None => {
                slf.get().state().blocking = true;
                Ok(slf)
            }
            // In a tuple, since an exception takes a bare one for its arguments.
            Some(Ok(value)) => Err(PyStopIteration::new_err((value,))),
            Some(Err(error)) => Err(error),
        }
    }

    #[pyo3(signature = (value, /))]
    fn send<'py>(slf: Bound<'py, Self>, value: &Bound<'_, PyAny>) -> PyResult<Bound<'py, Self>> {
        let _ = value;
        Self::__next__(slf)
    }

    #[pyo3(signature = (kind, value = None, traceback = None, /))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = traceback;
        Err(match value {
            Some(value) if value.is_instance_of::<PyBaseException>() => PyErr::from_value(value.clone()),
            _ => PyErr::from_value(kind.clone()),
        })
    }

    fn close(&self) {}

    #[getter]
    fn _asyncio_future_blocking(&self) -> bool {
        self.state().blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.state().blocking = blocking;
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        callback: Bound<'_, PyAny>,
        context: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let context = match context {
            Some(context) if !context.is_none() => context,
            _ => cached(py, &COPY_CONTEXT, "contextvars", "copy_context")?.call0()?,
        };
        let this = slf.get();
        {
            let mut state = this.state();
            if matches!(state.outcome, Outcome::Pending) {
                state.callbacks.push((callback.unbind(), context.unbind()));
                return Ok(());
            }
        }
        this.call_soon(slf, &callback, &context)
    }

    /// Removes a callback, and returns how often it was there.
    fn remove_done_callback(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        // Compared outside of the lock, since a comparison runs what it likes.
        let there: Vec<Py<PyAny>> = self.state().callbacks.iter().map(|(there, _)| there.clone_ref(py)).collect();
        let mut removed = 0;
        for known in there {
            if known.bind(py).eq(callback)? {
                let mut state = self.state();
                if let Some(at) = state.callbacks.iter().position(|(there, _)| there.is(&known)) {
                    let gone = state.callbacks.remove(at);
                    drop(state);
                    drop(gone);
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn done(&self) -> bool {
        self.is_done()
    }

    fn cancelled(&self) -> bool {
        matches!(self.state().outcome, Outcome::Cancelled(_))
    }

    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        if slf.get().is_done() {
            return Ok(false);
        }
        let message = msg.unwrap_or_else(|| slf.py().None());
        Self::finish(slf, Outcome::Cancelled(message), Place::Elsewhere)?;
        Ok(true)
    }

    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.outcome(py).unwrap_or_else(|| Err(Self::invalid_state(py, "the reply has not come")))
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.cancelled() {
            return self.result(py);
        }
        match self.outcome(py) {
            None => Err(Self::invalid_state(py, "the reply has not come")),
            Some(Ok(_)) => Ok(py.None()),
            Some(Err(error)) => Ok(error.into_value(py).into_any()),
        }
    }

    /// What `asyncio.gather` looks at.
    #[getter]
    fn _cancel_message(&self, py: Python<'_>) -> Py<PyAny> {
        match &self.state().outcome {
            Outcome::Cancelled(message) => message.clone_ref(py),
            _ => py.None(),
        }
    }

    fn _make_cancelled_error(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Self::cancelled_error(py, &self._cancel_message(py)).into_value(py).into_any())
    }

    fn __repr__(&self) -> &'static str {
        match self.state().outcome {
            Outcome::Pending => "<aspine.Reply pending>",
            Outcome::Value(_) => "<aspine.Reply done>",
            Outcome::Error(_) => "<aspine.Reply failed>",
            Outcome::Cancelled(_) => "<aspine.Reply cancelled>",
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        // Held by nobody while the collector runs, but where a lock holder allocates; then it is in use anyway.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        if let Outcome::Value(value) | Outcome::Cancelled(value) = &state.outcome {
            visit.call(value)?;
        }
        for (callback, context) in &state.callbacks {
            visit.call(callback)?;
            visit.call(context)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let callbacks = std::mem::take(&mut self.state().callbacks);
        drop(callbacks);
    }
}

/// Makes sure that what is awaited all the time needs no look-up when it first is.
pub(crate) fn prepare(py: Python<'_>) {
    let _ = Reply::type_object(py);
}

/// `PyRuntimeError` for a loop that is not this client's.
pub(crate) fn other_loop() -> PyErr {
    PyRuntimeError::new_err(
        "this client is in use in another event loop that is still open; a loop needs a client of its own",
    )
}
