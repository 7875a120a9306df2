//! DUMP and RESTORE: an item's value as bytes that another Aspine server restores. Core: the key's. Cost: two passes over
//! the value and a copy. Never: restores a damaged payload, or one of an unknown version.
//!
//! The payload, lengths in bytes, numbers with the lowest byte first:
//!
//! ```text
//! 0        2         3      4            4 + n      8 + n
//! | "AD" 2 | version | kind | value, n   | CRC32C 4 |
//! ```
//!
//! `version` is 1. `kind` is 0, a string. The checksum (Castagnoli's polynomial, as iSCSI has it) covers all before it. A
//! reader takes its own version only: what a later one adds changes the number. Neither key nor deadline is in it. RESTORE
//! takes the strings of Redis's payloads as well (`rdb`), so that values can be moved here; Redis refuses these.

use std::borrow::Cow;

use crate::command::rdb;
use crate::command::string::store_value;
use crate::command::{Call, Error, Reply};
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::{Event, Expiry, Shard};

const MAGIC: [u8; 2] = *b"AD";
const VERSION: u8 = 1;
const KIND_STRING: u8 = 0;

/// DUMP key.
pub fn dump<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match shard.get(args.at(0), call.recency, call.now_ms) {
        Some(item) => Reply::Owned(payload(item.value)),
        None => Reply::Null,
    }
}

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`. The frequency is checked and
/// forgotten, as Redis does without an LFU policy.
pub fn restore<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match plan(shard, args, call) {
        Ok(plan) => run(shard, args.at(0), &plan, call),
        Err(error) => error.into(),
    }
}

/// A checked RESTORE.
struct Plan<'a> {
    value: Cow<'a, [u8]>,
    expiry: Expiry,
    idle_s: Option<u64>,
}

/// Checks everything in Redis's order.
fn plan<'a>(shard: &Shard, args: Args<'a>, call: Call) -> Result<Plan<'a>, Error> {
    let options = Options::parse(args.tail(3))?;
    if !options.replace && shard.peek(args.at(0), call.now_ms).is_some() {
        return Err(Error::BusyKey);
    }
    let ttl = parse_i64(args.at(1)).ok_or(Error::NotInteger)?;
    if ttl < 0 {
        return Err(Error::InvalidTtl);
    }
    let value = open(args.at(2))?;
    let expiry = match (ttl, options.absolute) {
        (0, _) => Expiry::Never,
        (at_ms, true) => Expiry::At(at_ms.unsigned_abs()),
        // Redis 7.0 counts on past 2^63, says OK, and the item has expired.
        (ttl, false) => Expiry::At(after(call.now_ms, ttl).ok_or(Error::InvalidExpire("restore"))?),
    };
    Ok(Plan { value, expiry, idle_s: options.idle_s })
}

/// So many milliseconds later, if a deadline can say it.
fn after(now_ms: u64, ttl_ms: i64) -> Option<u64> {
    now_ms.checked_add_signed(ttl_ms).filter(|at_ms| i64::try_from(*at_ms).is_ok())
}

fn run<'s>(shard: &'s mut Shard, key: &[u8], plan: &Plan<'_>, call: Call) -> Reply<'s> {
    if let Reply::Error(error) = store_value(shard, Event::Restore, key, &plan.value, plan.expiry, call) {
        return error.into();
    }
    if let Some(idle_s) = plan.idle_s {
        shard.set_idle_s(key, idle_s, call.now_ms);
    }
    Reply::Ok
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    frequency: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, Error> {
        let mut options = Options::default();
        let mut rest = args;
        while let Some(option) = rest.get(0) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let number = rest.get(1).map(|number| parse_i64(number).ok_or(Error::NotInteger));
            rest = match number {
                _ if is(b"REPLACE") => {
                    options.replace = true;
                    rest.tail(1)
                }
                _ if is(b"ABSTTL") => {
                    options.absolute = true;
                    rest.tail(1)
                }
                Some(seconds) if is(b"IDLETIME") && !options.frequency => {
                    options.idle_s = Some(u64::try_from(seconds?).map_err(|_| Error::InvalidIdleTime)?);
                    rest.tail(2)
                }
                Some(frequency) if is(b"FREQ") && options.idle_s.is_none() => {
                    u8::try_from(frequency?).map_err(|_| Error::InvalidFrequency)?;
                    options.frequency = true;
                    rest.tail(2)
                }
                _ => return Err(Error::Syntax),
            };
        }
        Ok(options)
    }
}

fn payload(value: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(MAGIC.len() + 2 + value.len() + size_of::<u32>());
    payload.extend_from_slice(&MAGIC);
    payload.extend_from_slice(&[VERSION, KIND_STRING]);
    payload.extend_from_slice(value);
    let checksum = crc32c::crc32c(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// Checks a payload, of this server or of Redis, and returns its value.
fn open(payload: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if payload.starts_with(&MAGIC) { open_own(payload).map(Cow::Borrowed) } else { rdb::string_of_payload(payload) }
}

fn open_own(payload: &[u8]) -> Result<&[u8], Error> {
    let (head, checksum) = payload.split_last_chunk().ok_or(Error::DumpPayload)?;
    match head.strip_prefix(&MAGIC) {
        Some([VERSION, kind, value @ ..]) if crc32c::crc32c(head) == u32::from_le_bytes(*checksum) => match *kind {
            KIND_STRING => Ok(value),
            _ => Err(Error::DumpData),
        },
        _ => Err(Error::DumpPayload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_payload_is_as_drawn() {
        // The checksum was computed by another implementation of CRC32C.
        assert_eq!(payload(b"Hello"), b"AD\x01\x00Hello\xdf\x9a\xac\x09");
        assert_eq!(open(&payload(b"")).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn an_unknown_kind_is_bad_data() {
        let mut other = payload(b"v")[..5].to_vec();
        other[3] = 1;
        other.extend(crc32c::crc32c(&other).to_le_bytes());
        assert_eq!(open(&other), Err(Error::DumpData));
    }

    proptest! {
        #[test]
        fn what_was_dumped_is_restored_whole_or_not_at_all(
            value in proptest::collection::vec(any::<u8>(), 0..60),
            at: prop::sample::Index,
            flip in 1..=255u8,
        ) {
            let whole = payload(&value);
            let opened = open(&whole).map(Cow::into_owned);
            prop_assert_eq!(opened.as_deref(), Ok(&value[..]));
            let at = at.index(whole.len());
            prop_assert_eq!(open(&whole[..at]), Err(Error::DumpPayload), "cut short");
            let mut damaged = whole;
            damaged[at] ^= flip;
            prop_assert_eq!(open(&damaged), Err(Error::DumpPayload), "damaged");
        }
    }
}
