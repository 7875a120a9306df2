//! Reply decoder, for the clients, the load generator and the tests. Takes all of RESP2 and RESP3 except streamed
//! types.
//!
//! Owner: the holder of the connection. Cost: `Measure` scans each head once (again, if it was cut) and no byte of a
//! string; `decode` measures and then builds, so nothing is allocated for an incomplete reply.
//! Never: panics on input, allocates for what was only announced, nests deeper than `REPLY_DEPTH_MAX`.
//! Attributes (`|`) are parsed and dropped.

use std::fmt;

use memchr::memchr;

use super::number::parse_i64;
use crate::limits::{REPLY_BULK_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_ITEMS_MAX, REPLY_LINE_BYTES_MAX};

/// A reply. `B` is the type of its strings.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<B = Vec<u8>> {
    /// A status (`+`).
    Simple(B),
    /// An error (`-` or `!`), its code first.
    Error(B),
    /// An integer (`:`).
    Integer(i64),
    /// A string (`$`), or RESP2's null string.
    Bulk(Option<B>),
    /// An array (`*`), or RESP2's null array.
    Array(Option<Vec<Value<B>>>),
    /// A map (`%`): keys and values in the order of the reply.
    Map(Vec<(Value<B>, Value<B>)>),
    /// A set (`~`).
    Set(Vec<Value<B>>),
    /// A push (`>`), which is not the answer to a request.
    Push(Vec<Value<B>>),
    /// A double (`,`).
    Double(f64),
    /// A boolean (`#`).
    Boolean(bool),
    /// RESP3's null (`_`).
    Null,
    /// A verbatim text (`=`), with a format of three letters.
    Verbatim {
        /// The format: `txt` or `mkd`.
        format: [u8; 3],
        /// The text without its format.
        text: B,
    },
    /// A big number (`(`): an integer in decimal.
    BigNumber(B),
}

/// The reason why a reply can't be parsed. The server, or a proxy, is at fault; the connection is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// No reply begins with this byte.
    UnknownType(u8),
    /// A number, boolean, null or format is malformed.
    Malformed,
    /// A line or string does not end in CRLF.
    NoLineEnd,
    /// A line, string or aggregate is past its limit.
    TooLong,
    /// More than [`REPLY_DEPTH_MAX`] aggregates inside each other.
    TooDeep,
}

/// Decodes the reply at the start of `buf`: the reply and its length in bytes, or `None` if it is incomplete.
///
/// Each call starts anew. For a large reply that arrives in pieces, wait with a [`Measure`] until it is complete.
pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, ReplyError> {
    let Some(len) = skip(buf)? else {
        return Ok(None);
    };
    Ok(build(&buf[..len], &mut <[u8]>::to_vec)?.map(|value| (value, len)))
}

/// Builds the reply in `buf`, which was measured before; `own` creates its strings. `None` if it is incomplete.
pub fn build<B>(mut buf: &[u8], own: &mut impl FnMut(&[u8]) -> B) -> Result<Option<Value<B>>, ReplyError> {
    build_at(&mut buf, REPLY_DEPTH_MAX, own)
}

/// The length in bytes of the reply at the start of `buf`, or `None` if it is incomplete. Allocates nothing.
pub fn skip(buf: &[u8]) -> Result<Option<usize>, ReplyError> {
    Measure::new().advance(buf)
}

/// Finds the end of a reply while its bytes arrive, incrementally.
#[derive(Clone, Debug, Default)]
pub struct Measure {
    /// The bytes of complete items: heads, lines, strings.
    pos: usize,
    /// The number of open aggregates.
    depth: usize,
    /// The number of outstanding items in each open aggregate.
    open: [u64; REPLY_DEPTH_MAX],
}

impl Measure {
    /// A measure at the start of a reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// Scans on. `buf` starts at the reply's first byte in every call. Once it has returned the length, the measure is at
    /// the start of the next reply.
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

/// An item of a reply: a scalar, or the head of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// A scalar.
    Whole(Scalar<'a>),
    /// The head of an aggregate, whose items follow.
    Aggregate {
        /// The kind of the aggregate.
        kind: Kind,
        /// The announced number: pairs of a map, else items.
        count: u64,
    },
}

/// A scalar with borrowed bytes. Its variants are those of [`Value`].
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

/// A kind of aggregate. Its variants are those of [`Value`].
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
    /// The number of items behind a head with `count`, which is at most `REPLY_ITEMS_MAX`.
    pub fn items(self, count: u64) -> u64 {
        match self {
            Self::Array | Self::Set | Self::Push => count,
            Self::Map => count * 2,
            Self::Attribute => count * 2 + 1,
        }
    }
}

/// The item at the start of `buf` and its length in bytes, or `None` if it is incomplete. For callers that know what to
/// expect and need no [`Value`]: nothing is allocated.
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
            // An element takes at least three bytes, so the reserved memory is bounded by the received bytes.
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
    /// The scalar as a value; `own` creates its string.
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
