//! TTL, EXPIRE and their like, and the arithmetic of deadlines that SET shares. Core: the key's.
//!
//! Deadlines are unix times in milliseconds. Overflow and refusal are Redis's `getExpireMillisecondsOrReply` and
//! `expireGenericCommand` (expire.c, t_string.c of 7.0).

use crate::command::errors::quote;
use crate::command::keyspace::found;
use crate::command::{Call, Error, Reply};
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::Shard;

/// The time unit of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Times in seconds.
    Seconds,
    /// Times in milliseconds.
    Millis,
}

/// The unit of an option EX, PX, EXAT or PXAT, and whether it is a point in time.
pub fn option(name: &[u8]) -> Option<(Unit, bool)> {
    const OPTIONS: [(&[u8], Unit, bool); 4] = [
        (b"EX", Unit::Seconds, false),
        (b"PX", Unit::Millis, false),
        (b"EXAT", Unit::Seconds, true),
        (b"PXAT", Unit::Millis, true),
    ];
    OPTIONS.iter().find(|(option, ..)| name.eq_ignore_ascii_case(option)).map(|&(_, unit, absolute)| (unit, absolute))
}

/// The deadline of `amount` units after `base_ms`, or at `amount` if there is no base. Zero and less is refused.
pub fn deadline_ms(amount: &[u8], unit: Unit, base_ms: Option<u64>, name: &'static str) -> Result<u64, Error> {
    let amount = parse_i64(amount).ok_or(Error::NotInteger)?;
    if amount <= 0 {
        return Err(Error::InvalidExpire(name));
    }
    let at_ms = add_base(amount, unit, base_ms).ok_or(Error::InvalidExpire(name))?;
    u64::try_from(at_ms).map_err(|_| Error::InvalidExpire(name))
}

fn add_base(amount: i64, unit: Unit, base_ms: Option<u64>) -> Option<i64> {
    let amount_ms = match unit {
        Unit::Seconds => amount.checked_mul(1000)?,
        Unit::Millis => amount,
    };
    amount_ms.checked_add(i64::try_from(base_ms.unwrap_or(0)).ok()?)
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`.
pub fn expire<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    set_deadline(shard, args, Unit::Seconds, Some(call.now_ms), "expire", call)
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`.
pub fn pexpire<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    set_deadline(shard, args, Unit::Millis, Some(call.now_ms), "pexpire", call)
}

/// `EXPIREAT key unix-seconds [NX | XX | GT | LT]`.
pub fn expireat<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    set_deadline(shard, args, Unit::Seconds, None, "expireat", call)
}

/// `PEXPIREAT key unix-milliseconds [NX | XX | GT | LT]`.
pub fn pexpireat<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    set_deadline(shard, args, Unit::Millis, None, "pexpireat", call)
}

fn set_deadline<'s>(
    shard: &'s mut Shard,
    args: Args<'_>,
    unit: Unit,
    base_ms: Option<u64>,
    name: &'static str,
    call: Call,
) -> Reply<'s> {
    let parsed = Conditions::parse(args.tail(2)).and_then(|conditions| {
        let amount = parse_i64(args.at(1)).ok_or(Error::NotInteger)?;
        let at_ms = add_base(amount, unit, base_ms).ok_or(Error::InvalidExpire(name))?;
        Ok((conditions, at_ms))
    });
    let (conditions, at_ms) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return error.into(),
    };
    let Some(item) = shard.look(args.at(0), call.now_ms) else {
        return Reply::Integer(0);
    };
    // A time before 1970 is long past, whatever it is.
    let at_ms = u64::try_from(at_ms).unwrap_or(0);
    if !conditions.hold(item.expires_at_ms, at_ms) {
        return Reply::Integer(0);
    }
    shard.set_expiry(args.at(0), Some(at_ms), call.now_ms).into()
}

/// The conditions of EXPIRE.
#[derive(Clone, Copy, Default)]
struct Conditions {
    without_ttl: bool,
    with_ttl: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Conditions, Error> {
        let mut conditions = Conditions::default();
        for option in args.iter() {
            let upper = option.to_ascii_uppercase();
            match upper.as_slice() {
                b"NX" => conditions.without_ttl = true,
                b"XX" => conditions.with_ttl = true,
                b"GT" => conditions.greater = true,
                b"LT" => conditions.less = true,
                _ => return Err(Error::UnsupportedOption(quote(option))),
            }
        }
        if conditions.without_ttl && (conditions.with_ttl || conditions.greater || conditions.less) {
            return Err(Error::ExpireNxConflict);
        }
        if conditions.greater && conditions.less {
            return Err(Error::ExpireGtLtConflict);
        }
        Ok(conditions)
    }

    /// A key without a TTL lives forever: nothing is greater than its deadline, everything less.
    fn hold(self, current_ms: Option<u64>, at_ms: u64) -> bool {
        (!self.without_ttl || current_ms.is_none())
            && (!self.with_ttl || current_ms.is_some())
            && (!self.greater || current_ms.is_some_and(|current_ms| at_ms > current_ms))
            && (!self.less || current_ms.is_none_or(|current_ms| at_ms < current_ms))
    }
}

/// TTL key: seconds left, rounded; -1 without a TTL, -2 without a key.
pub fn ttl<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    deadline_reply(shard, args, call, |at_ms| rounded_seconds(at_ms.saturating_sub(call.now_ms)))
}

/// PTTL key: milliseconds left; -1 without a TTL, -2 without a key.
pub fn pttl<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    deadline_reply(shard, args, call, |at_ms| at_ms.saturating_sub(call.now_ms))
}

/// EXPIRETIME key: unix time in seconds, rounded; -1 without a TTL, -2 without a key.
pub fn expiretime<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    deadline_reply(shard, args, call, rounded_seconds)
}

/// PEXPIRETIME key: unix time in milliseconds; -1 without a TTL, -2 without a key.
pub fn pexpiretime<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    deadline_reply(shard, args, call, |at_ms| at_ms)
}

/// PERSIST key: 1 if it had a TTL.
pub fn persist<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let timed = shard.look(args.at(0), call.now_ms).is_some_and(|item| item.expires_at_ms.is_some());
    (timed && shard.set_expiry(args.at(0), None, call.now_ms)).into()
}

fn rounded_seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

fn deadline_reply<'s>(shard: &mut Shard, args: Args<'_>, call: Call, of: impl Fn(u64) -> u64) -> Reply<'s> {
    let deadline = shard.look(args.at(0), call.now_ms).map(|item| item.expires_at_ms);
    found(shard, args.at(0), deadline.is_some());
    Reply::Integer(match deadline {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => i64::try_from(of(at_ms)).unwrap_or(i64::MAX),
    })
}
