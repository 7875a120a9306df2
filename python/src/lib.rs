//! The extension module of the Python package `aspine`: the hot half of its clients.
//!
//! | file | what |
//! |---|---|
//! | `commands` | what every client has: each command's bytes, and where they go |
//! | `connection` | one connection inside asyncio's loop |
//! | `reply` | what is awaited |
//! | `hub` | the connections of a client; those that wait in a thread; batches |
//! | `convert` | replies as Python's objects |
//! | `value`, `json`, `msgpack` | values as bytes, and back |
//! | `encode` | requests as bytes |
//!
//! The rest is Python's, in `aspine/`: making sockets, reconnecting, subscriptions, locks, the embedded server.

mod commands;
mod connection;
mod convert;
mod encode;
mod hub;
mod json;
mod msgpack;
mod reply;
mod value;

use aspine::resp::reply::decode;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// The replies at the start of some bytes, as they came, and how many bytes they take.
#[pyfunction]
fn decode_replies<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<(Bound<'py, PyList>, usize)> {
    let (replies, mut at) = (PyList::empty(py), 0);
    loop {
        let whole = decode(&bytes[at..]).map_err(|error| convert::protocol_error(py, &error.to_string()))?;
        let Some((value, len)) = whole else { return Ok((replies, at)) };
        replies.append(convert::any(py, &value)?)?;
        at += len;
    }
}

/// A command as bytes.
#[pyfunction]
fn encode_command<'py>(py: Python<'py>, words: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &connection::words(words)?))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    reply::prepare(module.py());
    module.add_class::<commands::Commands>()?;
    module.add_class::<connection::Connection>()?;
    module.add_class::<hub::Exclusive>()?;
    module.add_class::<hub::Hub>()?;
    module.add_class::<hub::Pool>()?;
    module.add_class::<reply::Reply>()?;
    module.add_function(wrap_pyfunction!(commands::send_all, module)?)?;
    module.add_function(wrap_pyfunction!(commands::send_fenced, module)?)?;
    let at_exit = module.py().import("atexit")?;
    at_exit.call_method1("register", (wrap_pyfunction!(hub::end, module)?,))?;
    module.add_function(wrap_pyfunction!(decode_replies, module)?)?;
    module.add_function(wrap_pyfunction!(encode_command, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
