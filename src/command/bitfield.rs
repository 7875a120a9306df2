//! BITFIELD: integers of 1 to 64 bits at any bit of a value, and what happens when they overflow. Core: the key's.
//! Cost: all operations of a command are read before the first runs; then the value is copied once for all of them, and
//! once into the shard. The deadline stays.

use crate::command::bits::bit_offset;
use crate::command::range::grown;
use crate::command::string::store_value;
use crate::command::{Call, Error, Reply};
use crate::limits::VALUE_BYTES_MAX;
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::{Event, Expiry, Shard};

/// `BITFIELD key [GET type offset | SET type offset value | INCRBY type offset increment | OVERFLOW …]…`
pub fn run<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match parse(args.tail(1)) {
        Ok(operations) if operations.iter().all(Operation::only_reads) => read(shard, args.at(0), &operations, call),
        Ok(operations) => write(shard, args.at(0), &operations, call),
        Err(error) => error.into(),
    }
}

/// `BITFIELD_RO key [GET type offset]…`
pub fn run_read_only<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match parse(args.tail(1)) {
        Ok(operations) if operations.iter().all(Operation::only_reads) => read(shard, args.at(0), &operations, call),
        Ok(_) => Error::BitfieldReadOnly.into(),
        Err(error) => error.into(),
    }
}

/// The length that a value grows to at least, if the arguments behind the key are right.
pub(super) fn reach(args: Args<'_>) -> usize {
    let operations = parse(args).unwrap_or_default();
    let written = operations.iter().filter(|operation| !operation.only_reads());
    written.map(|operation| operation.field.end_byte()).max().unwrap_or(0)
}

fn read<'s>(shard: &mut Shard, key: &[u8], operations: &[Operation], call: Call) -> Reply<'s> {
    let value = shard.get(key, call.recency, call.now_ms).map_or(&[][..], |item| item.value);
    Reply::Integers(operations.iter().map(|operation| Some(operation.field.read(value) as i64)).collect())
}

fn write<'s>(shard: &'s mut Shard, key: &[u8], operations: &[Operation], call: Call) -> Reply<'s> {
    let old = shard.peek(key, call.now_ms).map_or(&[][..], |item| item.value);
    // As in Redis the value grows to the last bit that may be written, even if an overflow then leaves it unwritten.
    let written = operations.iter().filter(|operation| !operation.only_reads());
    let len = written.map(|operation| operation.field.end_byte()).max().unwrap_or(0);
    if len > VALUE_BYTES_MAX {
        return Error::StringTooLong.into();
    }
    let mut value = grown(old, len);
    let mut changed = value.len() > old.len();
    let run = |operation: &Operation| {
        let before = operation.field.read(&value);
        let reply = operation.run(&mut value);
        changed |= operation.field.read(&value) != before;
        reply
    };
    let replies = operations.iter().map(run).collect();
    if !changed {
        // There is no change to report. As in Redis, a change and its reversal are two changes.
        shard.touch(key, call.now_ms);
        return Reply::Integers(replies);
    }
    match store_value(shard, Event::SetBit, key, &value, Expiry::Keep, call) {
        Reply::Ok => Reply::Integers(replies),
        refused => refused,
    }
}

/// A field of bits that holds a number, the highest bit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    signed: bool,
    /// The width: 1 to 64 bits, or to 63 if unsigned.
    bits: usize,
    /// The offset in bits.
    offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64, Overflow),
    Increment(i64, Overflow),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    field: Field,
    action: Action,
}

impl Operation {
    fn only_reads(&self) -> bool {
        self.action == Action::Get
    }

    /// Runs the operation; `None` if it overflowed and fails.
    fn run(&self, value: &mut [u8]) -> Option<i64> {
        let field = self.field;
        let old = field.read(value);
        let (new, overflow) = match self.action {
            Action::Get => return Some(old as i64),
            // An unsigned field takes a negative number for the large one with the same bits.
            Action::Set(new, overflow) if field.signed => (i128::from(new), overflow),
            Action::Set(new, overflow) => (i128::from(new as u64), overflow),
            Action::Increment(increment, overflow) => (old + i128::from(increment), overflow),
        };
        let new = field.fit(new, overflow)?;
        field.write(value, new);
        Some(if matches!(self.action, Action::Set(..)) { old } else { new } as i64)
    }
}

impl Field {
    /// Reads the number of the field; bits behind the value's end are 0.
    fn read(self, value: &[u8]) -> i128 {
        let first = self.offset / 8;
        let bytes = (first..self.end_byte()).map(|at| value.get(at).copied().unwrap_or(0));
        let raw = bytes.fold(0u128, |raw, byte| raw << 8 | u128::from(byte)) >> self.low_bit();
        self.wrap(raw as i128)
    }

    /// Writes a number that fits. The value reaches as far as the field.
    fn write(self, value: &mut [u8], number: i128) {
        let (mask, shift) = ((1u128 << self.bits) - 1, self.low_bit());
        let (mask, raw) = (mask << shift, (number as u128 & mask) << shift);
        for (at, byte) in value[self.offset / 8..self.end_byte()].iter_mut().rev().enumerate() {
            let (mask, raw) = ((mask >> (8 * at)) as u8, (raw >> (8 * at)) as u8);
            *byte = *byte & !mask | raw;
        }
    }

    /// The number to store for `number`; `None` if it overflows and must fail.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i128> {
        let (min, max) = if self.signed {
            (-(1i128 << (self.bits - 1)), (1i128 << (self.bits - 1)) - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        };
        match overflow {
            _ if (min..=max).contains(&number) => Some(number),
            Overflow::Wrap => Some(self.wrap(number)),
            Overflow::Saturate => Some(number.clamp(min, max)),
            Overflow::Fail => None,
        }
    }

    /// The lowest bits of `number` as a number of this field.
    fn wrap(self, number: i128) -> i128 {
        let unused = 128 - self.bits;
        if self.signed { number << unused >> unused } else { ((number as u128) << unused >> unused) as i128 }
    }

    /// The end of the field in bytes.
    fn end_byte(self) -> usize {
        (self.offset + self.bits).div_ceil(8)
    }

    /// The number of bits behind the field in its last byte.
    fn low_bit(self) -> usize {
        self.end_byte() * 8 - (self.offset + self.bits)
    }
}

fn parse(args: Args<'_>) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = args;
    while let Some(name) = rest.get(0) {
        let is = |verb: &[u8], words: usize| name.eq_ignore_ascii_case(verb) && rest.len() >= words;
        if is(b"OVERFLOW", 2) {
            overflow = parse_overflow(rest.at(1))?;
            rest = rest.tail(2);
            continue;
        }
        let words = if is(b"GET", 3) {
            3
        } else if is(b"SET", 4) || is(b"INCRBY", 4) {
            4
        } else {
            return Err(Error::Syntax);
        };
        let field = parse_field(rest.at(1), rest.at(2))?;
        let number = || parse_i64(rest.at(3)).ok_or(Error::NotInteger);
        let action = match name[0] | 0x20 {
            b'g' => Action::Get,
            b's' => Action::Set(number()?, overflow),
            _ => Action::Increment(number()?, overflow),
        };
        operations.push(Operation { field, action });
        rest = rest.tail(words);
    }
    Ok(operations)
}

fn parse_overflow(name: &[u8]) -> Result<Overflow, Error> {
    const NAMES: [(&[u8], Overflow); 3] =
        [(b"WRAP", Overflow::Wrap), (b"SAT", Overflow::Saturate), (b"FAIL", Overflow::Fail)];
    let found = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    found.map(|(_, overflow)| *overflow).ok_or(Error::BitfieldOverflow)
}

/// A type such as `i16` and an offset; `#3` is that of the fourth such field.
fn parse_field(kind: &[u8], offset: &[u8]) -> Result<Field, Error> {
    let (signed, bits, bits_max) = match kind {
        [b'i', bits @ ..] => (true, bits, 64),
        [b'u', bits @ ..] => (false, bits, 63),
        _ => return Err(Error::BitfieldType),
    };
    let bits = parse_i64(bits).filter(|bits| (1..=bits_max).contains(bits)).ok_or(Error::BitfieldType)?;
    let offset = match offset {
        // Redis multiplies before it checks, and wraps.
        [b'#', index @ ..] => parse_i64(index).map(|index| index.wrapping_mul(bits)),
        _ => parse_i64(offset),
    };
    Ok(Field { signed, bits: bits as usize, offset: bit_offset(offset)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Fields against a list of bits: what was written is read, and no other bit has changed.
        #[test]
        fn a_field_is_some_bits_of_a_list(
            mut value in proptest::collection::vec(any::<u8>(), 20..40),
            signed: bool,
            bits in 1..=64usize,
            offset in 0..64usize,
            number: i64,
        ) {
            let field = Field { signed, bits: bits.min(if signed { 64 } else { 63 }), offset };
            let list = |value: &[u8]| -> Vec<bool> {
                (0..value.len() * 8).map(|at| value[at / 8] >> (7 - at % 8) & 1 == 1).collect()
            };
            let before = list(&value);
            let unsigned = |bits: &[bool]| bits.iter().fold(0i128, |sum, bit| sum * 2 + i128::from(*bit));
            let inside = field.offset..field.offset + field.bits;
            let model = |bits: &[bool]| match bits[0] && signed {
                true => unsigned(bits) - (1 << bits.len()),
                false => unsigned(bits),
            };
            prop_assert_eq!(field.read(&value), model(&before[inside.clone()]));
            prop_assert_eq!(field.read(&value[..0]), 0);

            let fitting = field.wrap(i128::from(number));
            prop_assert_eq!(field.fit(fitting, Overflow::Fail), Some(fitting), "wrapped, it fits");
            field.write(&mut value, fitting);
            let mut expected = before;
            for (at, bit) in inside.clone().rev().zip((0..).map(|shift| number >> shift & 1 == 1)) {
                expected[at] = bit;
            }
            prop_assert_eq!(list(&value), expected);
            prop_assert_eq!(field.read(&value), fitting);
        }

        #[test]
        fn what_does_not_fit_is_treated_as_said(signed: bool, bits in 1..=63usize, number: i64, more: i64) {
            let field = Field { signed, bits, offset: 0 };
            let number = i128::from(number) + i128::from(more);
            let wrapped = field.fit(number, Overflow::Wrap).expect("wrapping always fits");
            let saturated = field.fit(number, Overflow::Saturate).expect("saturating always fits");
            prop_assert_eq!((wrapped - number).rem_euclid(1 << bits), 0);
            prop_assert_eq!(field.fit(number, Overflow::Fail), (wrapped == number).then_some(number));
            prop_assert!(wrapped == number || field.wrap(saturated) == saturated && saturated != number);
            let beyond = saturated + (number - saturated).signum();
            prop_assert!(beyond == number && wrapped == number || field.wrap(beyond) != beyond, "the nearest that fits");
        }
    }
}
