//! CL.THROTTLE: a rate limit by the generic cell rate algorithm (GCRA), with the replies of redis-cell. Core: the key's.
//! Cost: a lookup, and an insertion where the request is allowed.
//!
//! The value is the time, in unix nanoseconds, at which the bucket will be empty again (the theoretical arrival time),
//! and the key expires then. A key that is absent is an empty bucket.

use crate::command::string::store_value;
use crate::command::{Call, Error, Reply};
use crate::resp::Args;
use crate::resp::number::{IntegerText, parse_i64};
use crate::shard::{Event, Expiry, Shard};

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;

/// A limit, and what is asked of it.
#[derive(Clone, Copy)]
struct Limit {
    /// The requests that fit into the bucket at once.
    burst: i64,
    /// The time after which one request has left the bucket.
    interval_ns: i64,
    /// The time after which a full bucket is empty.
    tolerance_ns: i64,
    /// The time that the asked quantity takes to leave.
    asked_ns: i64,
}

impl Limit {
    /// Parses `max_burst count period [quantity]`, the period in seconds.
    fn parse(args: Args<'_>) -> Result<Limit, Error> {
        let number = |at: usize, least: i64| match args.get(at).map(parse_i64) {
            None => Ok(1),
            Some(Some(number)) if number >= least => Ok(number),
            Some(Some(_)) => Err(Error::ThrottleRange),
            Some(None) => Err(Error::NotInteger),
        };
        let (max_burst, count, period_s, quantity) = (number(0, 0)?, number(1, 1)?, number(2, 1)?, number(3, 0)?);
        let limit = || {
            let burst = max_burst.checked_add(1)?;
            let interval_ns = period_s.checked_mul(NS_PER_S)?.checked_div(count)?.max(1);
            let (tolerance_ns, asked_ns) = (interval_ns.checked_mul(burst)?, interval_ns.checked_mul(quantity)?);
            Some(Limit { burst, interval_ns, tolerance_ns, asked_ns })
        };
        limit().ok_or(Error::ThrottleRange)
    }
}

/// CL.THROTTLE with key, burst, count, period, and quantity if it is not 1.
pub fn throttle<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    if args.len() > 5 {
        return Error::Arity("cl.throttle".to_owned()).into();
    }
    decide(shard, args, call).unwrap_or_else(Reply::Error)
}

fn decide(shard: &mut Shard, args: Args<'_>, call: Call) -> Result<Reply<'static>, Error> {
    let limit = Limit::parse(args.tail(1))?;
    let now_ns =
        i64::try_from(call.now_ms).ok().and_then(|ms| ms.checked_mul(NS_PER_MS)).ok_or(Error::ThrottleRange)?;
    let stored = shard.look(args.at(0), call.now_ms).map(|item| parse_i64(item.value));
    let empty_at_ns = stored.map_or(Some(now_ns), |at_ns| at_ns).ok_or(Error::NotInteger)?.max(now_ns);
    let filled_ns = empty_at_ns.saturating_sub(now_ns);
    let next_ns = filled_ns.saturating_add(limit.asked_ns);
    if next_ns > limit.tolerance_ns {
        // What is larger than the bucket never fits, so that there is no time to wait for.
        let waits = limit.asked_ns <= limit.tolerance_ns;
        let retry_s = if waits { whole_seconds(next_ns - limit.tolerance_ns) } else { -1 };
        return Ok(reply(limit, true, filled_ns, retry_s));
    }
    if limit.asked_ns > 0 {
        let at_ns = now_ns.checked_add(next_ns).ok_or(Error::ThrottleRange)?;
        let expiry = Expiry::At(at_ns.unsigned_abs().div_ceil(NS_PER_MS.unsigned_abs()));
        let text = IntegerText::new(at_ns);
        if let Reply::Error(error) = store_value(shard, Event::Set, args.at(0), text.as_bytes(), expiry, call) {
            return Err(error);
        }
    }
    Ok(reply(limit, false, next_ns, -1))
}

/// The five integers: limited, limit, remaining, seconds until a retry may succeed, seconds until the bucket is empty.
fn reply(limit: Limit, limited: bool, filled_ns: i64, retry_s: i64) -> Reply<'static> {
    let remaining = limit.tolerance_ns.saturating_sub(filled_ns).max(0) / limit.interval_ns;
    let numbers = [i64::from(limited), limit.burst, remaining, retry_s, whole_seconds(filled_ns)];
    Reply::Integers(numbers.map(Some).to_vec())
}

/// Seconds, rounded up: who comes back then is not too early.
fn whole_seconds(ns: i64) -> i64 {
    ns / NS_PER_S + i64::from(ns % NS_PER_S > 0)
}
