//! INCR and its like: values that are numbers. Core: the key's. Cost: a lookup and an insertion each, no allocation for
//! integers. The deadline stays.
//!
//! As for every write, the lookup of the old value counts neither as a hit nor as a miss.

use crate::command::long_double::LongDouble;
use crate::command::string::store_value;
use crate::command::{Call, Error, Reply};
use crate::resp::Args;
use crate::resp::number::{IntegerText, parse_i64};
use crate::shard::{Event, Expiry, Shard};

/// INCR key.
pub fn increment<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    add(shard, args.at(0), 1, call)
}

/// DECR key.
pub fn decrement<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    add(shard, args.at(0), -1, call)
}

/// INCRBY key increment.
pub fn increment_by<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match parse_i64(args.at(1)) {
        Some(increment) => add(shard, args.at(0), increment, call),
        None => Error::NotInteger.into(),
    }
}

/// DECRBY key decrement.
pub fn decrement_by<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match parse_i64(args.at(1)).map(i64::checked_neg) {
        Some(Some(increment)) => add(shard, args.at(0), increment, call),
        Some(None) => Error::DecrementOverflow.into(),
        None => Error::NotInteger.into(),
    }
}

fn add<'s>(shard: &'s mut Shard, key: &[u8], increment: i64, call: Call) -> Reply<'s> {
    let Some(value) = shard.peek(key, call.now_ms).map_or(Some(0), |item| parse_i64(item.value)) else {
        return Error::NotInteger.into();
    };
    let Some(sum) = value.checked_add(increment) else {
        return Error::IncrementOverflow.into();
    };
    match store_value(shard, Event::IncrBy, key, IntegerText::new(sum).as_bytes(), Expiry::Keep, call) {
        Reply::Ok => Reply::Integer(sum),
        refused => refused,
    }
}

/// INCRBYFLOAT key increment.
pub fn increment_by_float<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let value =
        shard.peek(args.at(0), call.now_ms).map_or(LongDouble::parse(b"0"), |item| LongDouble::parse(item.value));
    let (Some(value), Some(increment)) = (value, LongDouble::parse(args.at(1))) else {
        return Error::NotFloat.into();
    };
    let Some(sum) = value.plus(increment) else {
        return Error::FloatOverflow.into();
    };
    let text = sum.text();
    match store_value(shard, Event::IncrByFloat, args.at(0), &text, Expiry::Keep, call) {
        Reply::Ok => Reply::Owned(text),
        refused => refused,
    }
}
