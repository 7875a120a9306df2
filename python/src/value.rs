//! Values: how Python's objects become bytes and come back with their type.
//!
//! Text, integers and binary data are stored as they are, so that INCR and clients in other languages see what they
//! expect. What would read back as something else is marked: a tab, then JSON; or the byte 0xC1, which begins neither
//! UTF-8 nor MessagePack, then MessagePack.
//!
//! | value | bytes |
//! |---|---|
//! | `int` | its digits |
//! | `str` | UTF-8; if it begins with a tab or is the text of an integer, JSON |
//! | `bytes` | themselves; if they are UTF-8 or begin with 0xC1, MessagePack |
//! | `float`, `bool`, `None`, `list`, `dict` | JSON where that is exact, else MessagePack |
//! | `tuple`, `set`, `frozenset` | MessagePack with an extension |
//!
//! Never: reads what another type wrote as an error. Bytes that are marked and then no such thing are text or bytes.

use std::ops::Deref;

use aspine::resp::number::{parse_i64, push_i64};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyString};

use crate::{json, msgpack};

/// Before JSON: white space to every parser of it, and rare at the start of a text.
pub(crate) const JSON_MARK: u8 = b'\t';
/// Before MessagePack: no UTF-8 and no MessagePack begins with it.
pub(crate) const MSGPACK_MARK: u8 = 0xC1;
/// Containers inside each other: deeper ones are refused.
pub(crate) const DEPTH_MAX: usize = 200;

/// How a client makes bytes of values.
pub(crate) enum Codec {
    /// As the head of this file has it.
    Auto,
    /// Text, bytes and numbers as they are, and bytes back.
    Raw,
    /// `Auto` for text, bytes, numbers, `bool` and `None`; pickle for the rest.
    Pickle { dumps: Py<PyAny>, loads: Py<PyAny> },
    /// The caller's own two functions.
    Custom { dumps: Py<PyAny>, loads: Py<PyAny> },
}

impl Codec {
    /// The bytes of a value.
    pub(crate) fn encode<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Word<'py>> {
        match self {
            Self::Auto => auto(value),
            Self::Raw => raw(value),
            Self::Pickle { dumps, .. } => {
                if is_plain(value) {
                    return auto(value);
                }
                let pickled = dumps.bind(value.py()).call1((value,))?;
                let mut out = vec![MSGPACK_MARK];
                msgpack::extension(&mut out, msgpack::PICKLE, pickled.cast::<PyBytes>()?.as_bytes());
                Ok(Word::Made(out))
            }
            Self::Custom { dumps, .. } => raw(&dumps.bind(value.py()).call1((value,))?),
        }
    }

    /// The value of bytes.
    pub(crate) fn decode<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Auto => decode_auto(py, bytes, None),
            Self::Raw => Ok(PyBytes::new(py, bytes).into_any()),
            Self::Pickle { loads, .. } => decode_auto(py, bytes, Some(loads.bind(py))),
            Self::Custom { loads, .. } => loads.bind(py).call1((PyBytes::new(py, bytes),)),
        }
    }
}

fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyBytes>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyBool>()
}

/// The bytes of a key or an argument, most often held by an object of Python.
pub(crate) enum Word<'py> {
    Held(Bound<'py, PyBytes>),
    Made(Vec<u8>),
}

impl Deref for Word<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Held(bytes) => bytes.as_bytes(),
            Self::Made(bytes) => bytes,
        }
    }
}

/// What a key or an argument is: `str` or `bytes`.
pub(crate) fn word<'py>(value: &Bound<'py, PyAny>) -> PyResult<Word<'py>> {
    if let Ok(string) = value.cast::<PyString>() {
        return string.encode_utf8().map(Word::Held);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Word::Held(bytes.clone()));
    }
    let kind = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("a key or argument is str or bytes, not {kind}")))
}

/// As [`word`], and numbers in decimal.
pub(crate) fn raw<'py>(value: &Bound<'py, PyAny>) -> PyResult<Word<'py>> {
    if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() || value.is_instance_of::<PyFloat>() {
        return value.str()?.encode_utf8().map(Word::Held);
    }
    if let Some(bytes) = bytes_like(value)? {
        return Ok(bytes);
    }
    word(value)
}

/// The bytes of `bytes`, `bytearray` or a memoryview.
fn bytes_like<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Word<'py>>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Word::Held(bytes.clone())));
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(Some(Word::Made(bytes.to_vec())));
    }
    if value.get_type().name()?.to_cow()? == "memoryview" {
        let bytes = value.call_method0("tobytes")?;
        return Ok(Some(Word::Held(bytes.cast::<PyBytes>()?.clone())));
    }
    Ok(None)
}

fn auto<'py>(value: &Bound<'py, PyAny>) -> PyResult<Word<'py>> {
    if let Ok(string) = value.cast::<PyString>() {
        let text = string.encode_utf8()?;
        if text.as_bytes().first() == Some(&JSON_MARK) || is_integer(text.as_bytes()) {
            let mut out = vec![JSON_MARK];
            json::push_text(&mut out, &string.to_cow()?);
            return Ok(Word::Made(out));
        }
        return Ok(Word::Held(text));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        if value.is_instance_of::<PyBool>() {
            let text: &[u8] = if value.is_truthy()? { b"\ttrue" } else { b"\tfalse" };
            return Ok(Word::Made(text.to_vec()));
        }
        return digits(number).map(Word::Made);
    }
    if let Some(bytes) = bytes_like(value)? {
        if bytes.first() == Some(&MSGPACK_MARK) || std::str::from_utf8(&bytes).is_ok() {
            let mut out = vec![MSGPACK_MARK];
            msgpack::binary(&mut out, &bytes);
            return Ok(Word::Made(out));
        }
        return Ok(bytes);
    }
    let mut out = vec![JSON_MARK];
    if json::push(&mut out, value, DEPTH_MAX)? {
        return Ok(Word::Made(out));
    }
    out.clear();
    out.push(MSGPACK_MARK);
    msgpack::push(&mut out, value, DEPTH_MAX)?;
    Ok(Word::Made(out))
}

/// An integer in decimal, whatever its size.
pub(crate) fn digits(number: &Bound<'_, PyInt>) -> PyResult<Vec<u8>> {
    if let Ok(number) = number.extract::<i64>() {
        let mut out = Vec::with_capacity(20);
        push_i64(&mut out, number);
        return Ok(out);
    }
    // Through `int`, since a subclass (an `IntEnum`) may print itself otherwise.
    let plain = number.py().get_type::<PyInt>().call1((number,))?;
    Ok(plain.str()?.to_cow()?.into_owned().into_bytes())
}

/// Whether a text is what an integer is stored as.
fn is_integer(text: &[u8]) -> bool {
    match text.strip_prefix(b"-").unwrap_or(text) {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn decode_auto<'py>(py: Python<'py>, bytes: &[u8], pickle: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    match bytes.first() {
        Some(b'-' | b'0'..=b'9') => {
            if let Some(number) = parse_i64(bytes) {
                return Ok(number.into_pyobject(py)?.into_any());
            }
            if is_integer(bytes)
                && let Ok(number) = py.get_type::<PyInt>().call1((String::from_utf8_lossy(bytes),))
            {
                return Ok(number);
            }
        }
        Some(&JSON_MARK) => {
            if let Some(value) = json::parse(py, &bytes[1..])? {
                return Ok(value);
            }
        }
        Some(&MSGPACK_MARK) => {
            if let Some(value) = msgpack::parse(py, &bytes[1..], pickle)? {
                return Ok(value);
            }
        }
        _ => {}
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => PyString::new(py, text).into_any(),
        Err(_) => PyBytes::new(py, bytes).into_any(),
    })
}
