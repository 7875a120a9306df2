//! JSON, as far as it is exact for Python's values: written and read without an intermediate tree.
//!
//! Never: writes what reads back as something else (`push` says false), or what another language would round: integers
//! beyond 2^53 are left to MessagePack.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::value::DEPTH_MAX;

/// The largest integer that every parser of JSON keeps.
const INTEGER_MAX: u64 = 1 << 53;

/// Appends a value, or returns false where JSON is not exact; then what was appended means nothing.
pub(crate) fn push(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<bool> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(PyValueError::new_err("the value is nested too deep"));
    };
    if let Ok(string) = value.cast::<PyString>() {
        push_text(out, &string.to_cow()?);
    } else if value.is_none() {
        out.extend_from_slice(b"null");
    } else if value.is_instance_of::<PyBool>() {
        out.extend_from_slice(if value.is_truthy()? { b"true" } else { b"false" });
    } else if value.is_instance_of::<PyInt>() {
        match value.extract::<i64>() {
            Ok(number) if number.unsigned_abs() <= INTEGER_MAX => aspine::resp::number::push_i64(out, number),
            _ => return Ok(false),
        }
    } else if let Ok(number) = value.cast::<PyFloat>() {
        let number = number.value();
        if !number.is_finite() {
            return Ok(false);
        }
        out.extend_from_slice(format!("{number:?}").as_bytes());
    } else if let Ok(list) = value.cast::<PyList>() {
        out.push(b'[');
        for (at, item) in list.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            if !push(out, &item, depth)? {
                return Ok(false);
            }
        }
        out.push(b']');
    } else if let Ok(dict) = value.cast::<PyDict>() {
        out.push(b'{');
        for (at, (key, item)) in dict.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let Ok(key) = key.cast::<PyString>() else {
                return Ok(false);
            };
            push_text(out, &key.to_cow()?);
            out.push(b':');
            if !push(out, &item, depth)? {
                return Ok(false);
            }
        }
        out.push(b'}');
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Appends a text with its quotes.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// The value of a whole text, or `None` if it is no JSON.
pub(crate) fn parse<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok(None);
    };
    let mut parser = Parser { py, text, at: 0 };
    let value = parser.value(DEPTH_MAX)?;
    parser.space();
    Ok(value.filter(|_| parser.at == text.len()))
}

struct Parser<'py, 't> {
    py: Python<'py>,
    text: &'t str,
    at: usize,
}

/// `None`: it is no JSON.
type Parsed<'py> = PyResult<Option<Bound<'py, PyAny>>>;

/// `?` for what is no JSON.
macro_rules! some {
    ($option:expr) => {
        match $option {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}

impl<'py> Parser<'py, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn literal(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Parsed<'py> {
        let py = self.py;
        let depth = some!(depth.checked_sub(1));
        self.space();
        let found = match some!(self.peek()) {
            b'"' => PyString::new(py, &some!(self.string())).into_any(),
            b'n' if self.literal("null") => py.None().into_bound(py),
            b't' if self.literal("true") => PyBool::new(py, true).to_owned().into_any(),
            b'f' if self.literal("false") => PyBool::new(py, false).to_owned().into_any(),
            b'[' => return self.list(depth),
            b'{' => return self.dict(depth),
            b'-' | b'0'..=b'9' => return self.number(),
            _ => return Ok(None),
        };
        Ok(Some(found))
    }

    fn list(&mut self, depth: usize) -> Parsed<'py> {
        self.at += 1;
        let mut items = Vec::new();
        if !self.take(b']') {
            loop {
                items.push(some!(self.value(depth)?));
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Ok(None);
                }
            }
        }
        Ok(Some(PyList::new(self.py, items)?.into_any()))
    }

    fn dict(&mut self, depth: usize) -> Parsed<'py> {
        self.at += 1;
        let dict = PyDict::new(self.py);
        if !self.take(b'}') {
            loop {
                self.space();
                let key = some!(self.string());
                if !self.take(b':') {
                    return Ok(None);
                }
                dict.set_item(key, some!(self.value(depth)?))?;
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Ok(None);
                }
            }
        }
        Ok(Some(dict.into_any()))
    }

    fn number(&mut self) -> Parsed<'py> {
        let rest = &self.text[self.at..];
        let len =
            rest.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let number = &rest[..len];
        self.at += len;
        let digits = number.strip_prefix('-').unwrap_or(number).as_bytes();
        if !digits.first().is_some_and(u8::is_ascii_digit) || matches!(digits, [b'0', b'0'..=b'9', ..]) {
            return Ok(None);
        }
        if number.contains(['.', 'e', 'E']) {
            let number: f64 = some!(number.parse().ok());
            return Ok(Some(PyFloat::new(self.py, number).into_any()));
        }
        if let Ok(small) = number.parse::<i64>() {
            return Ok(Some(small.into_pyobject(self.py)?.into_any()));
        }
        Ok(self.py.get_type::<PyInt>().call1((number,)).ok())
    }

    fn string(&mut self) -> Option<String> {
        if self.peek() != Some(b'"') {
            return None;
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
            out.push_str(&rest[..plain]);
            self.at += plain + 1;
            match rest.as_bytes()[plain] {
                b'"' => return Some(out),
                b'\\' => {
                    let escape = self.peek()?;
                    self.at += 1;
                    out.push(match escape {
                        b'n' => '\n',
                        b't' => '\t',
                        b'r' => '\r',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'"' | b'\\' | b'/' => char::from(escape),
                        b'u' => self.escaped()?,
                        _ => return None,
                    });
                }
                _ => return None,
            }
        }
    }

    /// The character of `\uXXXX`, or of two of them.
    fn escaped(&mut self) -> Option<char> {
        let first = self.hex()?;
        if (0xD800..0xDC00).contains(&first) {
            if !self.literal("\\u") {
                return None;
            }
            let second = self.hex()?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
            return char::from_u32(0x10000 + ((first - 0xD800) << 10) + second);
        }
        char::from_u32(first)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }
}
