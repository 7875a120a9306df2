//! GET, SET and their like: one key and its value. Core: the key's. Cost: one or two shard calls each.
//!
//! `args` begin after the command's name: `args.at(0)` is the key. The table has checked the arity.

use crate::command::condition::Condition;
use crate::command::expiry::{self, Unit};
use crate::command::{Call, Error, Reply};
use crate::limits::KEY_BYTES_MAX;
use crate::resp::Args;
use crate::shard::{Event, Expiry, Recency, Shard};

/// Handles GET, and each key of MGET.
#[inline]
pub fn get<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match shard.get_value(args.at(0), call.recency, call.now_ms) {
        Some(value) => Reply::Bulk(value),
        None => Reply::Null,
    }
}

/// SET key value with any options.
pub fn set<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    if args.len() == 2 {
        return store(shard, args, Expiry::Never, call);
    }
    let options = match SetOptions::parse(args.tail(2), call.now_ms, "set") {
        Ok(options) => options,
        Err(error) => return error.into(),
    };
    let value = shard.look(args.at(0), call.now_ms).map(|item| item.value);
    let refused = match options.condition.holds(value) {
        Ok(holds) => !holds,
        Err(error) => return error.into(),
    };
    let old = if options.get { read_copy(shard, args.at(0), call) } else { None };
    if !refused && let Reply::Error(error) = store(shard, args, options.expiry, call) {
        return error.into();
    }
    match old {
        Some(value) => Reply::Owned(value),
        None if options.get || refused => Reply::Null,
        None => Reply::Ok,
    }
}

/// Handles each pair of MSET.
pub fn set_pair<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    store(shard, args, Expiry::Never, call)
}

/// SETNX key value.
pub fn set_if_absent<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    if shard.peek(args.at(0), call.now_ms).is_some() {
        return Reply::Integer(0);
    }
    match store(shard, args, Expiry::Never, call) {
        Reply::Ok => Reply::Integer(1),
        refused => refused,
    }
}

/// SETEX key seconds value.
pub fn set_for_seconds<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    set_for(shard, args, Unit::Seconds, "setex", call)
}

/// PSETEX key milliseconds value.
pub fn set_for_millis<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    set_for(shard, args, Unit::Millis, "psetex", call)
}

/// GETSET key value.
pub fn get_and_set<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let old = read_copy(shard, args.at(0), call);
    match store(shard, args, Expiry::Never, call) {
        Reply::Ok => old.map_or(Reply::Null, Reply::Owned),
        refused => refused,
    }
}

/// GETDEL key.
pub fn get_and_delete<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match read_copy(shard, args.at(0), call) {
        Some(value) => {
            shard.remove(args.at(0), call.now_ms);
            Reply::Owned(value)
        }
        None => Reply::Null,
    }
}

/// GETEX key with an expiry option.
pub fn get_and_expire<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let deadline = match parse_getex(args.tail(1)) {
        Ok(deadline) => deadline,
        Err(error) => return error.into(),
    };
    // As in Redis, the number is checked only if the key exists.
    if shard.peek(args.at(0), call.now_ms).is_none() {
        return get(shard, args, call);
    }
    let change = match deadline.expiry(Expiry::Keep, call.now_ms, "getex") {
        Ok(change) => change,
        Err(error) => return error.into(),
    };
    match change {
        Expiry::Keep => get(shard, args, call),
        Expiry::Never => {
            shard.set_expiry(args.at(0), None, call.now_ms);
            get(shard, args, call)
        }
        Expiry::At(at_ms) if at_ms > call.now_ms => {
            shard.set_expiry(args.at(0), Some(at_ms), call.now_ms);
            get(shard, args, call)
        }
        Expiry::At(_) => get_and_delete(shard, args, call),
    }
}

fn set_for<'s>(shard: &'s mut Shard, args: Args<'_>, unit: Unit, name: &'static str, call: Call) -> Reply<'s> {
    match expiry::deadline_ms(args.at(1), unit, Some(call.now_ms), name) {
        Ok(at_ms) => store_value(shard, Event::Set, args.at(0), args.at(2), Expiry::At(at_ms), call),
        Err(error) => error.into(),
    }
}

#[inline]
fn store<'s>(shard: &'s mut Shard, args: Args<'_>, expiry: Expiry, call: Call) -> Reply<'s> {
    store_value(shard, Event::Set, args.at(0), args.at(1), expiry, call)
}

#[inline]
pub(super) fn store_value<'s>(
    shard: &'s mut Shard,
    event: Event,
    key: &[u8],
    value: &[u8],
    expiry: Expiry,
    call: Call,
) -> Reply<'s> {
    if key.len() > KEY_BYTES_MAX {
        return Error::KeyTooLong.into();
    }
    match shard.insert_as(event, key, value, expiry, call.now_ms) {
        Ok(()) => Reply::Ok,
        Err(_full) => Error::Oom.into(),
    }
}

/// A copy of the value, for replies that outlive it.
fn read_copy(shard: &mut Shard, key: &[u8], call: Call) -> Option<Vec<u8>> {
    shard.get(key, Recency::Keep, call.now_ms).map(|item| item.value.to_vec())
}

/// The deadline in the options of SET and GETEX. As in Redis, one kind may be given again, and then the last counts; two
/// kinds exclude each other.
#[derive(Clone, Copy)]
enum Deadline<'a> {
    Unsaid,
    KeepTtl,
    Persist,
    /// EX, PX, EXAT or PXAT and its amount, not parsed yet.
    Given {
        unit: Unit,
        absolute: bool,
        amount: &'a [u8],
    },
}

impl<'a> Deadline<'a> {
    /// Takes EX, PX, EXAT or PXAT and the argument after it. False for other options and for a second kind.
    fn take(&mut self, option: &[u8], amount: Option<&'a [u8]>) -> bool {
        let (Some((unit, absolute)), Some(amount)) = (expiry::option(option), amount) else { return false };
        let fits = match *self {
            Deadline::Unsaid => true,
            Deadline::Given { unit: before, absolute: was, .. } => (before, was) == (unit, absolute),
            Deadline::KeepTtl | Deadline::Persist => false,
        };
        if fits {
            *self = Deadline::Given { unit, absolute, amount };
        }
        fits
    }

    /// Parses the amount; `unsaid` if no option was given. Redis checks the number after it has read all options.
    fn expiry(self, unsaid: Expiry, now_ms: u64, name: &'static str) -> Result<Expiry, Error> {
        match self {
            Deadline::Unsaid => Ok(unsaid),
            Deadline::KeepTtl => Ok(Expiry::Keep),
            Deadline::Persist => Ok(Expiry::Never),
            Deadline::Given { unit, absolute, amount } => {
                let base_ms = (!absolute).then_some(now_ms);
                Ok(Expiry::At(expiry::deadline_ms(amount, unit, base_ms, name)?))
            }
        }
    }
}

/// The options of SET, and of MSETEX.
pub(super) struct SetOptions<'a> {
    pub(super) condition: Condition<'a>,
    pub(super) get: bool,
    pub(super) expiry: Expiry,
}

impl<'a> SetOptions<'a> {
    pub(super) fn parse(args: Args<'a>, now_ms: u64, name: &'static str) -> Result<SetOptions<'a>, Error> {
        let mut options = SetOptions { condition: Condition::Always, get: false, expiry: Expiry::Never };
        let mut deadline = Deadline::Unsaid;
        let mut at = 0;
        while let Some(option) = args.get(at) {
            let condition = condition(option);
            if condition != Condition::Always
                && (options.condition == Condition::Always || options.condition == condition)
            {
                options.condition = condition;
            } else if options.condition == Condition::Always
                && let Some(condition) = Condition::on_value(option, args.get(at + 1))
            {
                options.condition = condition;
                at += 1;
            } else if option.eq_ignore_ascii_case(b"GET") {
                options.get = true;
            } else if option.eq_ignore_ascii_case(b"KEEPTTL")
                && matches!(deadline, Deadline::Unsaid | Deadline::KeepTtl)
            {
                deadline = Deadline::KeepTtl;
            } else if deadline.take(option, args.get(at + 1)) {
                at += 1;
            } else {
                return Err(Error::Syntax);
            }
            at += 1;
        }
        options.expiry = deadline.expiry(Expiry::Never, now_ms, name)?;
        Ok(options)
    }
}

fn condition(option: &[u8]) -> Condition<'static> {
    if option.eq_ignore_ascii_case(b"NX") {
        Condition::Absent
    } else if option.eq_ignore_ascii_case(b"XX") {
        Condition::Present
    } else {
        Condition::Always
    }
}

/// The deadline in the options of GETEX.
fn parse_getex(args: Args<'_>) -> Result<Deadline<'_>, Error> {
    let mut deadline = Deadline::Unsaid;
    let mut at = 0;
    while let Some(option) = args.get(at) {
        if option.eq_ignore_ascii_case(b"PERSIST") && matches!(deadline, Deadline::Unsaid | Deadline::Persist) {
            deadline = Deadline::Persist;
        } else if deadline.take(option, args.get(at + 1)) {
            at += 1;
        } else {
            return Err(Error::Syntax);
        }
        at += 1;
    }
    Ok(deadline)
}
