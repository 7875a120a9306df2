//! Condition: what SET and DELEX ask of the value before they change it; DELEX, DELIFEQ and DIGEST. Core: the key's.
//! Cost: a comparison with the value; a condition on the digest hashes it, at some gigabytes a second.
//!
//! The digest is XXH3 of 64 bits, seed 0, as 16 hexadecimal digits: that of Redis 8.4, so that clients may compute it.

use xxhash_rust::xxh3::xxh3_64;

use crate::command::{Call, Error, Reply};
use crate::resp::Args;
use crate::shard::Shard;

/// A condition on what is stored under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    /// No condition.
    Always,
    /// NX: there is no value.
    Absent,
    /// XX: there is a value.
    Present,
    /// IFEQ: the value is this one.
    Equal(&'a [u8]),
    /// IFNE: the value is another, or there is none.
    Unequal(&'a [u8]),
    /// IFDEQ: the value's digest is this one.
    DigestEqual(&'a [u8]),
    /// IFDNE: the value's digest is another, or there is no value.
    DigestUnequal(&'a [u8]),
}

impl<'a> Condition<'a> {
    /// The condition of an option and the argument after it, if the option is one on values.
    pub(super) fn on_value(option: &[u8], operand: Option<&'a [u8]>) -> Option<Condition<'a>> {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        let condition = if is(b"IFEQ") {
            Condition::Equal
        } else if is(b"IFNE") {
            Condition::Unequal
        } else if is(b"IFDEQ") {
            Condition::DigestEqual
        } else if is(b"IFDNE") {
            Condition::DigestUnequal
        } else {
            return None;
        };
        operand.map(condition)
    }

    /// Whether the condition is about the value, not only about whether there is one.
    pub(super) fn is_on_value(self) -> bool {
        !matches!(self, Condition::Always | Condition::Absent | Condition::Present)
    }

    /// Whether the condition holds for a value. As in Redis, the form of a digest matters only where there is a value.
    pub(super) fn holds(self, value: Option<&[u8]>) -> Result<bool, Error> {
        Ok(match (self, value) {
            (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => true,
            (Condition::Absent, Some(_)) | (Condition::Present, None) => false,
            (Condition::Equal(_) | Condition::DigestEqual(_), None) => false,
            (Condition::Unequal(_) | Condition::DigestUnequal(_), None) => true,
            (Condition::Equal(other), Some(value)) => value == other,
            (Condition::Unequal(other), Some(value)) => value != other,
            (Condition::DigestEqual(digest), Some(value)) => has_digest(value, digest)?,
            (Condition::DigestUnequal(digest), Some(value)) => !has_digest(value, digest)?,
        })
    }
}

/// DELEX key with one condition on the value, or none.
pub fn delete_if<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let condition = match args.len() {
        1 => Condition::Always,
        3 => match Condition::on_value(args.at(1), args.get(2)) {
            Some(condition) => condition,
            None => return Error::DeleteCondition.into(),
        },
        _ => return Error::Arity("delex".to_owned()).into(),
    };
    delete_where(shard, args.at(0), condition, call)
}

/// DELIFEQ key value.
pub fn delete_if_equal<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    delete_where(shard, args.at(0), Condition::Equal(args.at(1)), call)
}

fn delete_where<'s>(shard: &'s mut Shard, key: &[u8], condition: Condition<'_>, call: Call) -> Reply<'s> {
    let Some(item) = shard.look(key, call.now_ms) else {
        return Reply::Integer(0);
    };
    match condition.holds(Some(item.value)) {
        Ok(holds) => (holds && shard.remove(key, call.now_ms)).into(),
        Err(error) => error.into(),
    }
}

/// DIGEST key.
pub fn digest<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match shard.get(args.at(0), call.recency, call.now_ms) {
        Some(item) => Reply::Owned(digest_of(item.value).into()),
        None => Reply::Null,
    }
}

pub(super) fn digest_of(value: &[u8]) -> String {
    format!("{:016x}", xxh3_64(value))
}

fn has_digest(value: &[u8], digest: &[u8]) -> Result<bool, Error> {
    let expected = digest_of(value);
    if digest.len() != expected.len() {
        return Err(Error::DigestLength);
    }
    Ok(digest.eq_ignore_ascii_case(expected.as_bytes()))
}
