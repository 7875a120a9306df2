//! OBJECT and MEMORY USAGE: the facts of an item besides its value. Core: the key's. Cost: a lookup or two.
//! Never: makes an item recent. Lookups of OBJECT count as hits and misses, as in Redis; those of MEMORY USAGE do not.

use crate::command::{Call, Error, Reply};
use crate::limits::EMBEDDED_STRING_BYTES_MAX;
use crate::resp::number::parse_i64;
use crate::resp::{Args, Writer};
use crate::shard::{Eviction, Recency, Shard};

/// OBJECT ENCODING key: how Redis would keep such a value that was SET; here all are kept alike.
pub fn encoding<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match shard.get_silently(args.at(0), Recency::Keep, call.now_ms) {
        Some(item) if parse_i64(item.value).is_some() => Reply::Bulk(b"int"),
        Some(item) if item.value.len() <= EMBEDDED_STRING_BYTES_MAX => Reply::Bulk(b"embstr"),
        Some(_) => Reply::Bulk(b"raw"),
        None => Reply::Null,
    }
}

/// DEBUG OBJECT key: what Redis's clients read of its line. The length is that of the value.
pub fn debug(shard: &Shard, key: &[u8], now_ms: u64, writer: &mut Writer<'_>) {
    let Some(item) = shard.peek(key, now_ms) else { return writer.error(&Error::NoSuchKey.to_string()) };
    let encoding = match item.value.len() {
        _ if parse_i64(item.value).is_some() => "int",
        0..=EMBEDDED_STRING_BYTES_MAX => "embstr",
        _ => "raw",
    };
    writer.simple(&format!("Value refcount:1 encoding:{encoding} serializedlength:{}", item.value.len()));
}

/// OBJECT FREQ key: accesses as S3-FIFO counts them, up to 3; refused for a key that is there where the policy counts none.
pub fn frequency<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    if shard.get_silently(args.at(0), Recency::Keep, call.now_ms).is_none() {
        return Reply::Null;
    }
    if shard.eviction() != Eviction::S3Fifo {
        return Error::NoFrequency.into();
    }
    shard.frequency(args.at(0), call.now_ms).map_or(Reply::Null, |count| Reply::Integer(count.into()))
}

/// OBJECT IDLETIME key: seconds since the last access.
pub fn idle_time<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    if shard.get_silently(args.at(0), Recency::Keep, call.now_ms).is_none() {
        return Reply::Null;
    }
    shard.idle_s(args.at(0), call.now_ms).map_or(Reply::Null, |idle_s| Reply::Integer(idle_s as i64))
}

/// OBJECT REFCOUNT key: no value is shared.
pub fn reference_count<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match shard.get_silently(args.at(0), Recency::Keep, call.now_ms) {
        Some(_) => Reply::Integer(1),
        None => Reply::Null,
    }
}

/// `MEMORY USAGE key [SAMPLES count]`: what the item is charged for. There is nothing to sample in a string.
pub fn memory_usage<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    if let Err(error) = check_samples(args.tail(1)) {
        return error.into();
    }
    shard.bytes_of(args.at(0), call.now_ms).map_or(Reply::Null, |bytes| Reply::Integer(bytes as i64))
}

fn check_samples(args: Args<'_>) -> Result<(), Error> {
    let mut rest = args;
    while let Some(option) = rest.get(0) {
        let count = rest.get(1).filter(|_| option.eq_ignore_ascii_case(b"SAMPLES")).ok_or(Error::Syntax)?;
        if parse_i64(count).ok_or(Error::NotInteger)? < 0 {
            return Err(Error::Syntax);
        }
        rest = rest.tail(2);
    }
    Ok(())
}
