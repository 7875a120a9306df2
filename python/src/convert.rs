//! Replies as Python's objects: what each command's caller is promised.

use std::sync::Arc;

use aspine::resp::Value;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyList, PyString};

use crate::value::Codec;

/// What a reply is made into.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// `True` for OK, `False` for null.
    Truth,
    /// An integer.
    Count,
    /// Whether an integer is more than 0.
    Flag,
    /// A stored value, or `None`.
    Value,
    /// Stored values.
    Values,
    /// As it came: bytes for strings, `str` for statuses.
    Any,
    /// Text.
    Text,
    /// Several replies, as a list; errors stand in it.
    Many(Vec<Kind>),
    /// MULTI, commands and EXEC: the commands' replies, or `None` if a watched key had changed.
    Transaction(Vec<Kind>),
}

impl Kind {
    pub(crate) fn parse(name: &str) -> Option<Kind> {
        Some(match name {
            "truth" => Self::Truth,
            "count" => Self::Count,
            "flag" => Self::Flag,
            "value" => Self::Value,
            "values" => Self::Values,
            "any" => Self::Any,
            "text" => Self::Text,
            _ => return None,
        })
    }

    /// How many replies the server sends.
    pub(crate) fn replies(&self) -> u32 {
        match self {
            Self::Many(kinds) => kinds.len() as u32,
            Self::Transaction(kinds) => kinds.len() as u32 + 2,
            _ => 1,
        }
    }
}

static SERVER_ERROR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static PROTOCOL_ERROR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for an error of the server.
pub(crate) fn server_error(py: Python<'_>, text: &[u8]) -> PyErr {
    let made = SERVER_ERROR
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("aspine._errors")?.getattr("from_server")?.unbind()))
        .and_then(|make| make.bind(py).call1((String::from_utf8_lossy(text),)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// The exception for a reply that is not what its command has.
pub(crate) fn protocol_error(py: Python<'_>, text: &str) -> PyErr {
    let made = PROTOCOL_ERROR
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("aspine._errors")?.getattr("ProtocolError")?.unbind()))
        .and_then(|class| class.bind(py).call1((text,)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// One reply as the kind says.
pub(crate) fn to_python<B: AsRef<[u8]>>(
    py: Python<'_>,
    value: &Value<B>,
    kind: &Kind,
    codec: &Arc<Codec>,
) -> PyResult<Py<PyAny>> {
    if let Value::Error(text) = value {
        return Err(server_error(py, text.as_ref()));
    }
    let found = match (kind, value) {
        (Kind::Value, Value::Bulk(Some(bytes)) | Value::Verbatim { text: bytes, .. }) => {
            codec.decode(py, bytes.as_ref())?
        }
        (Kind::Value, Value::Null | Value::Bulk(None)) => py.None().into_bound(py),
        (Kind::Truth, Value::Simple(_)) => PyBool::new(py, true).to_owned().into_any(),
        (Kind::Truth, Value::Integer(number)) => PyBool::new(py, *number > 0).to_owned().into_any(),
        (Kind::Truth, Value::Null | Value::Bulk(None)) => PyBool::new(py, false).to_owned().into_any(),
        (Kind::Count, Value::Integer(number)) => number.into_pyobject(py)?.into_any(),
        (Kind::Flag, Value::Integer(number)) => PyBool::new(py, *number > 0).to_owned().into_any(),
        (Kind::Values, Value::Array(Some(items))) => {
            let items = items.iter().map(|item| to_python(py, item, &Kind::Value, codec));
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        (Kind::Text, Value::Bulk(Some(text)) | Value::Verbatim { text, .. } | Value::Simple(text)) => {
            PyString::new(py, &String::from_utf8_lossy(text.as_ref())).into_any()
        }
        (Kind::Any, value) => any(py, value)?,
        _ => return Err(protocol_error(py, "a reply of another type than the command has")),
    };
    Ok(found.unbind())
}

/// A reply as it came.
pub(crate) fn any<'py, B: AsRef<[u8]>>(py: Python<'py>, value: &Value<B>) -> PyResult<Bound<'py, PyAny>> {
    let list = |items: &[Value<B>]| {
        let items = items.iter().map(|item| any(py, item));
        Ok::<_, PyErr>(PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any())
    };
    Ok(match value {
        Value::Simple(text) => PyString::new(py, &String::from_utf8_lossy(text.as_ref())).into_any(),
        Value::Error(text) => server_error(py, text.as_ref()).into_value(py).into_bound(py).into_any(),
        Value::Integer(number) => number.into_pyobject(py)?.into_any(),
        Value::Bulk(Some(bytes)) | Value::Verbatim { text: bytes, .. } => PyBytes::new(py, bytes.as_ref()).into_any(),
        Value::Bulk(None) | Value::Null | Value::Array(None) => py.None().into_bound(py),
        Value::Array(Some(items)) | Value::Set(items) | Value::Push(items) => list(items)?,
        Value::Map(pairs) => {
            let dict = PyDict::new(py);
            for (key, value) in pairs {
                dict.set_item(any(py, key)?, any(py, value)?)?;
            }
            dict.into_any()
        }
        Value::Double(number) => PyFloat::new(py, *number).into_any(),
        Value::Boolean(yes) => PyBool::new(py, *yes).to_owned().into_any(),
        Value::BigNumber(digits) => {
            py.get_type::<pyo3::types::PyInt>().call1((String::from_utf8_lossy(digits.as_ref()),))?
        }
    })
}

/// All replies to one request.
pub(crate) fn all<B: AsRef<[u8]>>(
    py: Python<'_>,
    values: &[Value<B>],
    kind: &Kind,
    codec: &Arc<Codec>,
) -> PyResult<Py<PyAny>> {
    match kind {
        Kind::Many(kinds) => several(py, values, kinds, codec),
        Kind::Transaction(kinds) => {
            let Some(last) = values.last() else {
                return Err(protocol_error(py, "EXEC was not answered"));
            };
            match last {
                Value::Array(Some(items)) if items.len() == kinds.len() => several(py, items, kinds, codec),
                Value::Null | Value::Array(None) => Ok(py.None()),
                Value::Error(text) => {
                    // What was wrong is in the reply to the command; EXEC's says only that something was.
                    let first =
                        values.iter().find_map(|value| if let Value::Error(text) = value { Some(text) } else { None });
                    Err(server_error(py, first.unwrap_or(text).as_ref()))
                }
                _ => Err(protocol_error(py, "a reply of another type than EXEC has")),
            }
        }
        kind => match values {
            [value] => to_python(py, value, kind, codec),
            _ => Err(protocol_error(py, "another number of replies than the command has")),
        },
    }
}

fn several<B: AsRef<[u8]>>(
    py: Python<'_>,
    values: &[Value<B>],
    kinds: &[Kind],
    codec: &Arc<Codec>,
) -> PyResult<Py<PyAny>> {
    let list = PyList::empty(py);
    for (value, kind) in values.iter().zip(kinds) {
        match to_python(py, value, kind, codec) {
            Ok(object) => list.append(object)?,
            Err(error) => list.append(error.into_value(py))?,
        }
    }
    Ok(list.into_any().unbind())
}
