//! INCREX: a counter with bounds and a deadline in one step, over integers or over long doubles. Core: the key's.
//! Cost: as INCRBY or INCRBYFLOAT, and a second lookup where a deadline is set.
//!
//! A result out of bounds changes nothing, the deadline neither, unless SATURATE puts the bound in its place.

use crate::command::expiry::{self, Unit};
use crate::command::long_double::LongDouble;
use crate::command::string::store_value;
use crate::command::{Call, Error, Reply};
use crate::resp::Args;
use crate::resp::number::{IntegerText, parse_i64};
use crate::shard::{Event, Expiry, Shard};

/// INCREX key with its options: the new value and the increment that was applied.
pub fn increment<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let options = match Options::parse(args.tail(1)) {
        Ok(options) => options,
        Err(error) => return error.into(),
    };
    let done = match options.by {
        By::Float(increment) => add::<LongDouble>(shard, args.at(0), increment, &options, call),
        By::Integer(increment) => add::<i64>(shard, args.at(0), increment, &options, call),
        By::One => add::<i64>(shard, args.at(0), b"1", &options, call),
    };
    done.unwrap_or_else(Reply::Error)
}

/// The increment as it was given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By<'a> {
    One,
    Integer(&'a [u8]),
    Float(&'a [u8]),
}

/// What becomes of the deadline, the amount not parsed yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadline<'a> {
    Keep,
    Persist,
    At { unit: Unit, absolute: bool, amount: &'a [u8] },
}

/// The options of INCREX, each of which may stand once.
struct Options<'a> {
    by: By<'a>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    deadline: Deadline<'a>,
    /// Whether a deadline that the key has is left alone.
    untimed_only: bool,
}

impl<'a> Options<'a> {
    fn parse(mut args: Args<'a>) -> Result<Options<'a>, Error> {
        let (by, deadline) = (By::One, Deadline::Keep);
        let mut options = Options { by, lower: None, upper: None, saturate: false, deadline, untimed_only: false };
        while let Some(option) = args.get(0) {
            let words = options.take(option, args.get(1)).ok_or(Error::Syntax)?;
            args = args.tail(words);
        }
        match options.deadline {
            Deadline::Persist if options.untimed_only => Err(Error::Syntax),
            Deadline::Keep if options.untimed_only => Err(Error::EnxWithoutExpiry),
            _ => Ok(options),
        }
    }

    /// Takes an option, with the argument after it if it needs one. Returns how many words it was; `None` if it is not
    /// one, or not another time.
    fn take(&mut self, option: &[u8], operand: Option<&'a [u8]>) -> Option<usize> {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        if is(b"SATURATE") && !self.saturate {
            self.saturate = true;
            return Some(1);
        }
        if is(b"ENX") && !self.untimed_only {
            self.untimed_only = true;
            return Some(1);
        }
        if is(b"PERSIST") && self.deadline == Deadline::Keep {
            self.deadline = Deadline::Persist;
            return Some(1);
        }
        let operand = operand?;
        if is(b"BYINT") && self.by == By::One {
            self.by = By::Integer(operand);
        } else if is(b"BYFLOAT") && self.by == By::One {
            self.by = By::Float(operand);
        } else if is(b"LBOUND") && self.lower.is_none() {
            self.lower = Some(operand);
        } else if is(b"UBOUND") && self.upper.is_none() {
            self.upper = Some(operand);
        } else {
            let (unit, absolute) = expiry::option(option).filter(|_| self.deadline == Deadline::Keep)?;
            self.deadline = Deadline::At { unit, absolute, amount: operand };
        }
        Some(2)
    }
}

/// The arithmetic of INCREX in one kind of number.
trait Number: Copy + PartialOrd {
    const NOT_A_VALUE: Error;
    const NOT_AN_OPERAND: fn(&'static str) -> Error;
    const EVENT: Event;
    const ZERO: Self;

    fn parse(text: &[u8]) -> Option<Self>;
    /// The sum, or the limit of the type that it lies beyond.
    fn sum(self, other: Self) -> Result<Self, Self>;
    /// The difference, which the limits of the type bound.
    fn less(self, other: Self) -> Self;
    fn text(self) -> Vec<u8>;
    fn reply(new: Self, applied: Self) -> Reply<'static>;
}

impl Number for i64 {
    const NOT_A_VALUE: Error = Error::NotInteger;
    const NOT_AN_OPERAND: fn(&'static str) -> Error = Error::OperandNotInteger;
    const EVENT: Event = Event::IncrBy;
    const ZERO: i64 = 0;

    fn parse(text: &[u8]) -> Option<i64> {
        parse_i64(text)
    }

    fn sum(self, other: i64) -> Result<i64, i64> {
        self.checked_add(other).ok_or_else(|| self.saturating_add(other))
    }

    fn less(self, other: i64) -> i64 {
        self.saturating_sub(other)
    }

    fn text(self) -> Vec<u8> {
        IntegerText::new(self).as_bytes().to_vec()
    }

    fn reply(new: i64, applied: i64) -> Reply<'static> {
        Reply::Integers(vec![Some(new), Some(applied)])
    }
}

impl Number for LongDouble {
    const NOT_A_VALUE: Error = Error::NotFloat;
    const NOT_AN_OPERAND: fn(&'static str) -> Error = Error::OperandNotFloat;
    const EVENT: Event = Event::IncrByFloat;
    const ZERO: LongDouble = LongDouble::ZERO;

    fn parse(text: &[u8]) -> Option<LongDouble> {
        LongDouble::parse(text).filter(|number| number.is_finite())
    }

    fn sum(self, other: LongDouble) -> Result<LongDouble, LongDouble> {
        self.plus(other).ok_or_else(|| self.largest_of_its_sign())
    }

    fn less(self, other: LongDouble) -> LongDouble {
        self.plus(other.negated()).unwrap_or_else(|| self.largest_of_its_sign())
    }

    fn text(self) -> Vec<u8> {
        LongDouble::text(self)
    }

    fn reply(new: LongDouble, applied: LongDouble) -> Reply<'static> {
        Reply::Decimals(vec![LongDouble::text(new), LongDouble::text(applied)])
    }
}

fn add<N: Number>(
    shard: &mut Shard,
    key: &[u8],
    increment: &[u8],
    options: &Options<'_>,
    call: Call,
) -> Result<Reply<'static>, Error> {
    let number = |text: &[u8], name| N::parse(text).ok_or_else(|| N::NOT_AN_OPERAND(name));
    let increment = number(increment, "Increment")?;
    let lower = options.lower.map(|text| number(text, "LBOUND")).transpose()?;
    let upper = options.upper.map(|text| number(text, "UBOUND")).transpose()?;
    if let (Some(lower), Some(upper)) = (lower, upper)
        && lower > upper
    {
        return Err(Error::BoundsCrossed);
    }
    let deadline_ms = match options.deadline {
        Deadline::At { unit, absolute, amount } => {
            let base_ms = (!absolute).then_some(call.now_ms);
            Some(expiry::deadline_ms(amount, unit, base_ms, "increx")?)
        }
        Deadline::Keep | Deadline::Persist => None,
    };
    let item = shard.look(key, call.now_ms);
    let old = item.map_or(Some(N::ZERO), |item| N::parse(item.value)).ok_or(N::NOT_A_VALUE)?;
    let is_timed = item.is_some_and(|item| item.expires_at_ms.is_some());

    let (new, fits) = match old.sum(increment) {
        Ok(sum) => bounded(sum, lower, upper),
        Err(limit) => (bounded(limit, lower, upper).0, false),
    };
    if !fits && !options.saturate {
        return Ok(N::reply(old, N::ZERO));
    }
    if let Reply::Error(error) = store_value(shard, N::EVENT, key, &new.text(), Expiry::Keep, call) {
        return Err(error);
    }
    match deadline_ms {
        Some(_) if options.untimed_only && is_timed => {}
        None if options.deadline == Deadline::Keep || !is_timed => {}
        deadline_ms => {
            shard.set_expiry(key, deadline_ms, call.now_ms);
        }
    }
    Ok(N::reply(new, new.less(old)))
}

/// The number, or the bound that it lies beyond; and whether it lies within both.
fn bounded<N: Number>(number: N, lower: Option<N>, upper: Option<N>) -> (N, bool) {
    match (lower, upper) {
        (Some(lower), _) if number < lower => (lower, false),
        (_, Some(upper)) if number > upper => (upper, false),
        _ => (number, true),
    }
}
