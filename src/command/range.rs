//! APPEND, GETRANGE, SETRANGE and STRLEN: parts of a value. Core: the key's. Cost: reads copy nothing but the reply;
//! a write copies the value twice, once to change it and once into the shard. The deadline stays.

use std::ops::Range;

use crate::command::string::store_value;
use crate::command::{Call, Error, Reply};
use crate::limits::VALUE_BYTES_MAX;
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::{Event, Expiry, Shard};

/// APPEND key value.
pub fn append<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let (key, tail) = (args.at(0), args.at(1));
    let old = shard.peek(key, call.now_ms).map_or(&[][..], |item| item.value);
    let len = old.len() + tail.len();
    if len > VALUE_BYTES_MAX {
        return Error::StringTooLong.into();
    }
    let value = [old, tail].concat();
    stored_len(shard, Event::Append, key, &value, call)
}

/// STRLEN key.
pub fn len<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let len = shard.get(args.at(0), call.recency, call.now_ms).map_or(0, |item| item.value.len());
    Reply::Integer(len as i64)
}

/// GETRANGE key start end, and SUBSTR, its old name.
pub fn get<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let (Some(start), Some(end)) = (parse_i64(args.at(1)), parse_i64(args.at(2))) else {
        return Error::NotInteger.into();
    };
    match shard.get(args.at(0), call.recency, call.now_ms) {
        Some(item) => Reply::Bulk(&item.value[resolve(start, end, item.value.len())]),
        None => Reply::Bulk(b""),
    }
}

/// SETRANGE key offset value.
pub fn set<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let (key, part) = (args.at(0), args.at(2));
    let offset = match parse_i64(args.at(1)).map(usize::try_from) {
        Some(Ok(offset)) => offset,
        Some(Err(_)) => return Error::OffsetRange.into(),
        None => return Error::NotInteger.into(),
    };
    let old = shard.look(key, call.now_ms).map_or(&[][..], |item| item.value);
    if part.is_empty() {
        return Reply::Integer(old.len() as i64);
    }
    let end = offset.saturating_add(part.len());
    if end > VALUE_BYTES_MAX {
        return Error::StringTooLong.into();
    }
    let mut value = grown(old, end);
    value[offset..end].copy_from_slice(part);
    stored_len(shard, Event::SetRange, key, &value, call)
}

/// The bytes of a string of `len` that GETRANGE's `start` and `end` name; empty where they name none.
fn resolve(start: i64, end: i64, len: usize) -> Range<usize> {
    if start < 0 && end < 0 && start > end { 0..0 } else { clamp(start, end, len) }
}

/// The positions from `start` to `end` among `len`: both are inclusive, and counted from the end if negative. As in Redis,
/// a position before the first is the first.
pub(super) fn clamp(start: i64, end: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_front = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// A copy of a value with zeros up to at least `len` bytes.
pub(super) fn grown(old: &[u8], len: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(len.max(old.len()));
    value.extend_from_slice(old);
    value.resize(len.max(old.len()), 0);
    value
}

fn stored_len<'s>(shard: &'s mut Shard, event: Event, key: &[u8], value: &[u8], call: Call) -> Reply<'s> {
    match store_value(shard, event, key, value, Expiry::Keep, call) {
        Reply::Ok => Reply::Integer(value.len() as i64),
        refused => refused,
    }
}
