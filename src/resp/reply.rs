//! Replies read back: what a client, the load generator and the tests need. Takes all of RESP2 and RESP3 but
//! streamed types.
//!
//! Owner: whoever holds the connection. Cost: `Measure` looks at each head once (again, if it was cut) and at no
//! byte of a string; `decode` measures and then builds, so nothing is allocated for a reply that is not all there.
//! Never: panics on input, allocates for what was only announced, nests deeper than `REPLY_DEPTH_MAX`.
//! Attributes (`|`) are understood and dropped.

use std::fmt;

use memchr::memchr;

use super::number::parse_i64;
use crate::limits::{REPLY_BULK_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_ITEMS_MAX, REPLY_LINE_BYTES_MAX};

/// One reply. `B` is what owns its strings.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<B = Vec<u8>> {
    /// `+`: a status.
    Simple(B),
    /// `-` or `!`: an error, its code first.
    Error(B),
    /// `:`.
    Integer(i64),
    /// `$`: a string, or RESP2's null string.
    Bulk(Option<B>),
    /// `*`, or RESP2's null array.
    Array(Option<Vec<Value<B>>>),
    /// `%`: keys and values in the order they came.
    Map(Vec<(Value<B>, Value<B>)>),
    /// `~`.
    Set(Vec<Value<B>>),
    /// `>`: what nobody asked for; the answer to a request comes apart from it.
    Push(Vec<Value<B>>),
    /// `,`.
    Double(f64),
    /// `#`.
    Boolean(bool),
    /// `_`.
    Null,
    /// `=`: a text with three letters that say how to show it.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text without its format.
        text: B,
    },
    /// `(`: an integer in decimal.
    BigNumber(B),
}

/// Why a reply can't be understood. The server, or what stands between, is at fault; the connection is of no more
/// use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// No reply begins with this byte.
    UnknownType(u8),
    /// A number, boolean, null or format that is none.
    Malformed,
    /// A line or string does not end in CRLF.
    NoLineEnd,
    /// A line, string or aggregate is past its limit.
    TooLong,
    /// More than [`REPLY_DEPTH_MAX`] aggregates inside each other.
    TooDeep,
}

/// Reads one reply at the start of `buf`: it and its length in bytes, or `None` if it is not all there.
///
/// Starts anew at each call. For a large reply that comes in pieces, wait with a [`Measure`] until it is whole.
pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, ReplyError> {
    let Some(len) = skip(buf)? else {
        return Ok(None);
    };
    Ok(build(&buf[..len], &mut <[u8]>::to_vec)?.map(|value| (value, len)))
}

/// The reply that `buf` holds, measured before; `own` makes its strings. `None` if it is not all there.
pub fn build<B>(mut buf: &[u8], own: &mut impl FnMut(&[u8]) -> B) -> Result<Option<Value<B>>, ReplyError> {
    build_at(&mut buf, REPLY_DEPTH_MAX, own)
}

/// The length in bytes of one reply at the start of `buf`, or `None` if it is not all there. Allocates nothing.
pub fn skip(buf: &[u8]) -> Result<Option<usize>, ReplyError> {
    Measure::new().advance(buf)
}

/// Finds the end of one reply as its bytes come in, going on where it stopped.
#[derive(Clone, Debug, Default)]
pub struct Measure {
    /// Bytes of whole items: heads, lines, strings.
    pos: usize,
    /// How many aggregates are open.
    depth: usize,
    /// Items still to come in each of them.
    open: [u64; REPLY_DEPTH_MAX],
}

impl Measure {
    /// A measure at the start of a reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on. `buf` starts at the reply's first byte in every call. Once it has given the length, this measure
    /// is at the start of a next reply.
    pub fn advance(&mut self, buf: &[u8]) -> Result<Option<usize>, ReplyError> {
        loop {
            let Some((item, len)) = item(buf.get(self.pos..).unwrap_or_default())? else {
                return Ok(None);
            };
            self.pos += len;
            if let Item::Aggregate { kind, count } = item {
                let items = kind.items(count);
                let room = self.open.get_mut(self.depth).ok_or(ReplyError::TooDeep)?;
                if items > 0 {
                    *room = items;
                    self.depth += 1;
                    continue;
                }
            }
            self.close_full();
            if self.depth == 0 {
                let whole = self.pos;
                self.pos = 0;
                return Ok(Some(whole));
            }
        }
    }

    /// Counts one item as done, and every aggregate that this completes.
    fn close_full(&mut self) {
        while let Some(left) = self.depth.checked_sub(1).and_then(|top| self.open.get_mut(top)) {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.depth -= 1;
        }
    }
}

/// What stands at one place of a reply: something whole, or the head of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// A reply without parts.
    Whole(Scalar<'a>),
    /// The head of an aggregate, whose items follow.
    Aggregate {
        /// What the items make.
        kind: Kind,
        /// Its number: pairs of a map, else items.
        count: u64,
    },
}

/// A reply without parts, its bytes borrowed. As [`Value`] has them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "Value says what each is")]
pub enum Scalar<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Integer(i64),
    Bulk(Option<&'a [u8]>),
    NullArray,
    Double(f64),
    Boolean(bool),
    Null,
    Verbatim([u8; 3], &'a [u8]),
    BigNumber(&'a [u8]),
}

/// A kind of aggregate. As [`Value`] has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Value says what each is")]
pub enum Kind {
    Array,
    Map,
    Set,
    Push,
    /// Pairs about the reply that follows them.
    Attribute,
}

impl Kind {
    /// Items that follow a head that says `count`, which is at most `REPLY_ITEMS_MAX`.
    pub fn items(self, count: u64) -> u64 {
        match self {
            Self::Array | Self::Set | Self::Push => count,
            Self::Map => count * 2,
            Self::Attribute => count * 2 + 1,
        }
    }
}

/// The item at the start of `buf` and its length in bytes, or `None` if it is not all there. For whoever knows what to
/// expect and needs no [`Value`]: nothing is allocated.
#[inline]
pub fn item(buf: &[u8]) -> Result<Option<(Item<'_>, usize)>, ReplyError> {
    let Some(&marker) = buf.first() else {
        return Ok(None);
    };
    if !b"+-:$*%~>|,#_=!(".contains(&marker) {
        return Err(ReplyError::UnknownType(marker));
    }
    let Some(line) = line(&buf[1..])? else {
        return Ok(None);
    };
    let head = line.len() + 3;
    let scalar = match marker {
        b'+' => Scalar::Simple(line),
        b'-' => Scalar::Error(line),
        b':' => Scalar::Integer(integer(line)?),
        b',' => Scalar::Double(double(line)?),
        b'#' => Scalar::Boolean(boolean(line)?),
        b'_' if line.is_empty() => Scalar::Null,
        b'_' => return Err(ReplyError::Malformed),
        b'(' => Scalar::BigNumber(big_number(line)?),
        b'$' if line == b"-1" => Scalar::Bulk(None),
        b'*' if line == b"-1" => Scalar::NullArray,
        b'$' | b'!' | b'=' => {
            let Some(bytes) = string(buf, head, line)? else {
                return Ok(None);
            };
            let scalar = match marker {
                b'$' => Scalar::Bulk(Some(bytes)),
                b'!' => Scalar::Error(bytes),
                _ => verbatim(bytes)?,
            };
            return Ok(Some((Item::Whole(scalar), head + bytes.len() + 2)));
        }
        _ => {
            let kind = match marker {
                b'%' => Kind::Map,
                b'~' => Kind::Set,
                b'>' => Kind::Push,
                b'|' => Kind::Attribute,
                _ => Kind::Array,
            };
            let count = length(line, REPLY_ITEMS_MAX)?;
            return Ok(Some((Item::Aggregate { kind, count }, head)));
        }
    };
    Ok(Some((Item::Whole(scalar), head)))
}

/// The line at the start of `buf` without its CRLF.
fn line(buf: &[u8]) -> Result<Option<&[u8]>, ReplyError> {
    let window = &buf[..buf.len().min(REPLY_LINE_BYTES_MAX + 1)];
    match memchr(b'\r', window) {
        None if buf.len() > REPLY_LINE_BYTES_MAX => Err(ReplyError::TooLong),
        None => Ok(None),
        Some(end) => match buf.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(&buf[..end])),
            Some(_) => Err(ReplyError::NoLineEnd),
        },
    }
}

/// The bytes of a string whose length is in `line` and whose head takes `head` bytes of `buf`.
fn string<'a>(buf: &'a [u8], head: usize, line: &[u8]) -> Result<Option<&'a [u8]>, ReplyError> {
    let len = length(line, REPLY_BULK_BYTES_MAX as i64)? as usize;
    let Some((bytes, end)) = buf.get(head..head + len + 2).and_then(|all| all.split_at_checked(len)) else {
        return Ok(None);
    };
    if end == b"\r\n" { Ok(Some(bytes)) } else { Err(ReplyError::NoLineEnd) }
}

fn length(line: &[u8], max: i64) -> Result<u64, ReplyError> {
    let len = integer(line)?;
    if len > max {
        return Err(ReplyError::TooLong);
    }
    u64::try_from(len).map_err(|_| ReplyError::Malformed)
}

fn integer(line: &[u8]) -> Result<i64, ReplyError> {
    parse_i64(line.strip_prefix(b"+").unwrap_or(line)).ok_or(ReplyError::Malformed)
}

fn double(line: &[u8]) -> Result<f64, ReplyError> {
    str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(ReplyError::Malformed)
}

fn boolean(line: &[u8]) -> Result<bool, ReplyError> {
    match line {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(ReplyError::Malformed),
    }
}

fn big_number(line: &[u8]) -> Result<&[u8], ReplyError> {
    let digits = line.strip_prefix(b"-").or(line.strip_prefix(b"+")).unwrap_or(line);
    let decimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    decimal.then_some(line).ok_or(ReplyError::Malformed)
}

fn verbatim(bytes: &[u8]) -> Result<Scalar<'_>, ReplyError> {
    match bytes {
        &[a, b, c, b':', ref text @ ..] => Ok(Scalar::Verbatim([a, b, c], text)),
        _ => Err(ReplyError::Malformed),
    }
}

/// Builds the value at the start of `rest` and moves past it. `depth` more aggregates may open inside.
fn build_at<B>(
    rest: &mut &[u8],
    depth: usize,
    own: &mut impl FnMut(&[u8]) -> B,
) -> Result<Option<Value<B>>, ReplyError> {
    let Some((item, len)) = item(rest)? else {
        return Ok(None);
    };
    *rest = rest.get(len..).unwrap_or_default();
    let (kind, count) = match item {
        Item::Whole(scalar) => return Ok(Some(scalar.to_value(own))),
        Item::Aggregate { kind, count } => (kind, count),
    };
    let depth = depth.checked_sub(1).ok_or(ReplyError::TooDeep)?;
    match kind {
        Kind::Map => {
            // Each element takes three bytes at least, so no more is set aside than was received, times a constant.
            let mut pairs = Vec::with_capacity((count as usize).min(rest.len() / 6 + 1));
            for _ in 0..count {
                let (Some(key), Some(value)) = (build_at(rest, depth, own)?, build_at(rest, depth, own)?) else {
                    return Ok(None);
                };
                pairs.push((key, value));
            }
            return Ok(Some(Value::Map(pairs)));
        }
        Kind::Attribute => {
            for _ in 0..count * 2 {
                if build_at(rest, depth, own)?.is_none() {
                    return Ok(None);
                }
            }
            return build_at(rest, depth, own);
        }
        Kind::Array | Kind::Set | Kind::Push => {}
    }
    let mut items = Vec::with_capacity((count as usize).min(rest.len() / 3 + 1));
    for _ in 0..count {
        let Some(value) = build_at(rest, depth, own)? else {
            return Ok(None);
        };
        items.push(value);
    }
    Ok(Some(match kind {
        Kind::Set => Value::Set(items),
        Kind::Push => Value::Push(items),
        _ => Value::Array(Some(items)),
    }))
}

impl Scalar<'_> {
    /// Its value; `own` makes its string.
    #[inline]
    pub fn to_value<B>(self, own: &mut impl FnMut(&[u8]) -> B) -> Value<B> {
        match self {
            Self::Simple(text) => Value::Simple(own(text)),
            Self::Error(text) => Value::Error(own(text)),
            Self::Integer(value) => Value::Integer(value),
            Self::Bulk(bytes) => Value::Bulk(bytes.map(own)),
            Self::NullArray => Value::Array(None),
            Self::Double(value) => Value::Double(value),
            Self::Boolean(value) => Value::Boolean(value),
            Self::Null => Value::Null,
            Self::Verbatim(format, text) => Value::Verbatim { format, text: own(text) },
            Self::BigNumber(decimal) => Value::BigNumber(own(decimal)),
        }
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UnknownType(byte) => write!(f, "no reply begins with '{}'", byte.escape_ascii()),
            Self::Malformed => f.write_str("a number, boolean, null or format in a reply is malformed"),
            Self::NoLineEnd => f.write_str("a line or string in a reply does not end in CRLF"),
            Self::TooLong => f.write_str("a line, string or aggregate in a reply is too long"),
            Self::TooDeep => write!(f, "a reply nests more than {REPLY_DEPTH_MAX} deep"),
        }
    }
}

impl std::error::Error for ReplyError {}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
