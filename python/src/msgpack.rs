//! MessagePack: what JSON can't say exactly. Written and read without an intermediate tree.
//!
//! Never: reads a pickle unless the caller has asked for that (`pickle`): to unpickle is to run what it says.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple,
};

use crate::value::{DEPTH_MAX, digits};

/// Extensions: a tuple, a set or a frozenset as the array it holds, an integer of more than 64 bits in decimal, a pickle.
const TUPLE: i8 = 1;
const SET: i8 = 2;
const FROZENSET: i8 = 3;
const INTEGER: i8 = 4;
pub(crate) const PICKLE: i8 = 5;

/// Appends a head whose length has one, two or four bytes.
fn head(out: &mut Vec<u8>, markers: [Option<u8>; 3], len: usize) {
    match (markers, u8::try_from(len), u16::try_from(len)) {
        ([Some(marker), _, _], Ok(len), _) => out.extend_from_slice(&[marker, len]),
        ([_, Some(marker), _], _, Ok(len)) => {
            out.push(marker);
            out.extend_from_slice(&len.to_be_bytes());
        }
        ([_, _, marker], _, _) => {
            out.push(marker.unwrap_or_default());
            // Values are at most 512 MiB.
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

pub(crate) fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, [Some(0xC4), Some(0xC5), Some(0xC6)], bytes.len());
    out.extend_from_slice(bytes);
}

fn string(out: &mut Vec<u8>, text: &str) {
    if text.len() < 32 {
        out.push(0xA0 | text.len() as u8);
    } else {
        head(out, [Some(0xD9), Some(0xDA), Some(0xDB)], text.len());
    }
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn extension(out: &mut Vec<u8>, kind: i8, bytes: &[u8]) {
    head(out, [Some(0xC7), Some(0xC8), Some(0xC9)], bytes.len());
    out.push(kind.cast_unsigned());
    out.extend_from_slice(bytes);
}

fn array_head(out: &mut Vec<u8>, len: usize) {
    if len < 16 {
        out.push(0x90 | len as u8);
    } else {
        head(out, [None, Some(0xDC), Some(0xDD)], len);
    }
}

fn integer(out: &mut Vec<u8>, number: &Bound<'_, PyInt>) -> PyResult<()> {
    if let Ok(number) = number.extract::<i64>() {
        match number {
            -32..=127 => out.push((number as i8).cast_unsigned()),
            _ => {
                out.push(0xD3);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    } else if let Ok(number) = number.extract::<u64>() {
        out.push(0xCF);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        extension(out, INTEGER, &digits(number)?);
    }
    Ok(())
}

fn items<'py>(
    out: &mut Vec<u8>,
    len: usize,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
) -> PyResult<()> {
    array_head(out, len);
    for item in items {
        push(out, &item, depth)?;
    }
    Ok(())
}

/// Appends a value.
pub(crate) fn push(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(PyValueError::new_err("the value is nested too deep"));
    };
    let mut inner = Vec::new();
    if value.is_none() {
        out.push(0xC0);
    } else if value.is_instance_of::<PyBool>() {
        out.push(if value.is_truthy()? { 0xC3 } else { 0xC2 });
    } else if let Ok(number) = value.cast::<PyInt>() {
        integer(out, number)?;
    } else if let Ok(number) = value.cast::<PyFloat>() {
        out.push(0xCB);
        out.extend_from_slice(&number.value().to_be_bytes());
    } else if let Ok(text) = value.cast::<PyString>() {
        string(out, &text.to_cow()?);
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        binary(out, bytes.as_bytes());
    } else if let Ok(bytes) = value.cast::<PyByteArray>() {
        binary(out, &bytes.to_vec());
    } else if let Ok(list) = value.cast::<PyList>() {
        items(out, list.len(), list.iter(), depth)?;
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        items(&mut inner, tuple.len(), tuple.iter(), depth)?;
        extension(out, TUPLE, &inner);
    } else if let Ok(set) = value.cast::<PySet>() {
        items(&mut inner, set.len(), set.iter(), depth)?;
        extension(out, SET, &inner);
    } else if let Ok(set) = value.cast::<PyFrozenSet>() {
        items(&mut inner, set.len(), set.iter(), depth)?;
        extension(out, FROZENSET, &inner);
    } else if let Ok(dict) = value.cast::<PyDict>() {
        if dict.len() < 16 {
            out.push(0x80 | dict.len() as u8);
        } else {
            head(out, [None, Some(0xDE), Some(0xDF)], dict.len());
        }
        for (key, item) in dict {
            push(out, &key, depth)?;
            push(out, &item, depth)?;
        }
    } else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "a {kind} can't be stored as bytes that other languages read; serializer=\"pickle\" stores any object"
        )));
    }
    Ok(())
}

/// The value of whole bytes, or `None` if they are no MessagePack of ours.
pub(crate) fn parse<'py>(
    py: Python<'py>,
    bytes: &[u8],
    pickle: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut parser = Parser { py, rest: bytes, pickle };
    let value = parser.value(DEPTH_MAX)?;
    Ok(value.filter(|_| parser.rest.is_empty()))
}

struct Parser<'py, 'b> {
    py: Python<'py>,
    rest: &'b [u8],
    pickle: Option<&'b Bound<'py, PyAny>>,
}

type Parsed<'py> = PyResult<Option<Bound<'py, PyAny>>>;

macro_rules! some {
    ($option:expr) => {
        match $option {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}

impl<'py, 'b> Parser<'py, 'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// An unsigned number of so many bytes.
    fn unsigned(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn value(&mut self, depth: usize) -> Parsed<'py> {
        let py = self.py;
        let depth = some!(depth.checked_sub(1));
        let marker = some!(self.take(1))[0];
        let found = match marker {
            0x00..=0x7F | 0xE0..=0xFF => marker.cast_signed().into_pyobject(py)?.into_any(),
            0x80..=0x8F => return self.dict(usize::from(marker & 0x0F), depth),
            0x90..=0x9F => PyList::new(py, some!(self.items(usize::from(marker & 0x0F), depth)?))?.into_any(),
            0xA0..=0xBF => return Ok(self.text(usize::from(marker & 0x1F))),
            0xC0 => py.None().into_bound(py),
            0xC2 | 0xC3 => PyBool::new(py, marker == 0xC3).to_owned().into_any(),
            0xC4..=0xC6 => {
                let len = some!(self.unsigned(1 << (marker - 0xC4)));
                PyBytes::new(py, some!(self.take(len as usize))).into_any()
            }
            0xC7..=0xC9 => {
                let len = some!(self.unsigned(1 << (marker - 0xC7)));
                return self.extension(len as usize, depth);
            }
            0xCA => {
                let bits = some!(self.unsigned(4)) as u32;
                PyFloat::new(py, f64::from(f32::from_bits(bits))).into_any()
            }
            0xCB => PyFloat::new(py, f64::from_bits(some!(self.unsigned(8)))).into_any(),
            0xCC..=0xCF => some!(self.unsigned(1 << (marker - 0xCC))).into_pyobject(py)?.into_any(),
            0xD0..=0xD3 => {
                let bytes = 1 << (marker - 0xD0);
                let unused = 64 - 8 * bytes as u32;
                let number = (some!(self.unsigned(bytes)) << unused).cast_signed() >> unused;
                number.into_pyobject(py)?.into_any()
            }
            0xD4..=0xD8 => return self.extension(1 << (marker - 0xD4), depth),
            0xD9..=0xDB => {
                let len = some!(self.unsigned(1 << (marker - 0xD9)));
                return Ok(self.text(len as usize));
            }
            0xDC | 0xDD => {
                let len = some!(self.unsigned(2 << (marker - 0xDC)));
                PyList::new(py, some!(self.items(len as usize, depth)?))?.into_any()
            }
            0xDE | 0xDF => {
                let len = some!(self.unsigned(2 << (marker - 0xDE)));
                return self.dict(len as usize, depth);
            }
            0xC1 => return Ok(None),
        };
        Ok(Some(found))
    }

    fn text(&mut self, len: usize) -> Option<Bound<'py, PyAny>> {
        let text = std::str::from_utf8(self.take(len)?).ok()?;
        Some(PyString::new(self.py, text).into_any())
    }

    fn items(&mut self, len: usize, depth: usize) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let mut items = Vec::with_capacity(len.min(self.rest.len()));
        for _ in 0..len {
            items.push(some!(self.value(depth)?));
        }
        Ok(Some(items))
    }

    fn dict(&mut self, len: usize, depth: usize) -> Parsed<'py> {
        let dict = PyDict::new(self.py);
        for _ in 0..len {
            let key = some!(self.value(depth)?);
            let value = some!(self.value(depth)?);
            if dict.set_item(key, value).is_err() {
                // Such a key is no key in Python.
                return Ok(None);
            }
        }
        Ok(Some(dict.into_any()))
    }

    fn extension(&mut self, len: usize, depth: usize) -> Parsed<'py> {
        let py = self.py;
        let kind = some!(self.take(1))[0].cast_signed();
        let bytes = some!(self.take(len));
        if kind == PICKLE {
            let Some(loads) = self.pickle else {
                return Err(PyTypeError::new_err(
                    "the value is a pickle; only a client with serializer=\"pickle\" reads it",
                ));
            };
            return loads.call1((PyBytes::new(py, bytes),)).map(Some);
        }
        if kind == INTEGER {
            let text = some!(std::str::from_utf8(bytes).ok());
            return Ok(py.get_type::<PyInt>().call1((text,)).ok());
        }
        let mut inner = Parser { py, rest: bytes, pickle: self.pickle };
        let list = some!(inner.value(depth)?);
        let kind = match kind {
            TUPLE => py.get_type::<PyTuple>().into_any(),
            SET => py.get_type::<PySet>().into_any(),
            FROZENSET => py.get_type::<PyFrozenSet>().into_any(),
            _ => return Ok(None),
        };
        Ok(kind.call1((list,)).ok().filter(|_| inner.rest.is_empty()))
    }
}
