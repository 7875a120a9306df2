//! SETBIT, GETBIT, BITCOUNT and BITPOS: a value as a row of bits, the first of a byte being its highest. Core:
//! the key's. Cost: reads go through the named bytes, eight at a time; SETBIT copies the value twice, as SETRANGE does.

use std::ops::Range;

use crate::command::range::{clamp, grown};
use crate::command::string::store_value;
use crate::command::{Call, Error, Reply};
use crate::limits::VALUE_BYTES_MAX;
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::{Event, Expiry, Shard};

/// SETBIT key offset value.
pub fn set<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let parsed = offset(args.at(1)).and_then(|at| Ok((at, parse_i64(args.at(2)).ok_or(Error::BitValue)?)));
    let (at, bit) = match parsed {
        Ok((at, bit @ 0..=1)) => (at, bit as u8),
        Ok(_) => return Error::BitValue.into(),
        Err(error) => return error.into(),
    };
    let key = args.at(0);
    let old = shard.peek(key, call.now_ms).map_or(&[][..], |item| item.value);
    let before = bit_at(old, at);
    let mut value = grown(old, at / 8 + 1);
    let mask = 0x80 >> (at % 8);
    value[at / 8] = value[at / 8] & !mask | if bit == 1 { mask } else { 0 };
    if value == old {
        // There is no change to report.
        shard.touch(key, call.now_ms);
        return before.into();
    }
    match store_value(shard, Event::SetBit, key, &value, Expiry::Keep, call) {
        Reply::Ok => before.into(),
        refused => refused,
    }
}

/// GETBIT key offset.
pub fn get<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match offset(args.at(1)) {
        Ok(at) => shard.get(args.at(0), call.recency, call.now_ms).is_some_and(|item| bit_at(item.value, at)).into(),
        Err(error) => error.into(),
    }
}

/// `BITCOUNT key [start end [BYTE | BIT]]`. An absent key has no bits, whatever else is asked of it.
pub fn count<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let Some(item) = shard.get(args.at(0), call.recency, call.now_ms) else {
        return Reply::Integer(0);
    };
    match count_range(args, item.value.len()) {
        Ok(bits) => Reply::Integer(ones_in(item.value, bits) as i64),
        Err(error) => error.into(),
    }
}

/// The range of bits in the arguments of BITCOUNT, for a value of `len` bytes.
fn count_range(args: Args<'_>, len: usize) -> Result<Range<usize>, Error> {
    if args.len() == 1 {
        return Ok(0..len * 8);
    }
    if args.len() == 2 || args.len() > 4 {
        return Err(Error::Syntax);
    }
    let (start, end) = (integer(args.at(1))?, integer(args.at(2))?);
    // As in Redis, an empty range is not checked further.
    if start < 0 && end < 0 && start > end {
        return Ok(0..0);
    }
    let unit = args.get(3).map_or(Ok(BYTE), unit)?;
    Ok(in_bits(clamp(start, end, len * 8 / unit), unit))
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`: the first bit like this, or -1. Zeros go on behind the value for ever,
/// unless an end is given.
pub fn position<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let bit = match parse_i64(args.at(1)) {
        Some(bit @ 0..=1) => bit == 1,
        Some(_) => return Error::BitArgument.into(),
        None => return Error::NotInteger.into(),
    };
    let Some(item) = shard.get(args.at(0), call.recency, call.now_ms) else {
        return Reply::Integer(if bit { -1 } else { 0 });
    };
    let bits = match position_range(args, item.value.len()) {
        Ok(bits) => bits,
        Err(error) => return error.into(),
    };
    let open = args.len() < 4 && !bit && !bits.is_empty();
    let behind = if open { item.value.len() as i64 * 8 } else { -1 };
    Reply::Integer(first_in(item.value, bits, bit).map_or(behind, |at| at as i64))
}

/// The range of bits in the arguments of BITPOS, for a value of `len` bytes.
fn position_range(args: Args<'_>, len: usize) -> Result<Range<usize>, Error> {
    if args.len() > 5 {
        return Err(Error::Syntax);
    }
    let start = args.get(2).map_or(Ok(0), integer)?;
    let unit = args.get(4).map_or(Ok(BYTE), unit)?;
    let end = args.get(3).map_or(Ok(i64::MAX), integer)?;
    Ok(in_bits(clamp(start, end, len * 8 / unit), unit))
}

/// The bits in the units BYTE and BIT.
const BYTE: usize = 8;
const BIT: usize = 1;

fn unit(name: &[u8]) -> Result<usize, Error> {
    if name.eq_ignore_ascii_case(b"BIT") {
        Ok(BIT)
    } else if name.eq_ignore_ascii_case(b"BYTE") {
        Ok(BYTE)
    } else {
        Err(Error::Syntax)
    }
}

fn in_bits(range: Range<usize>, unit: usize) -> Range<usize> {
    range.start * unit..range.end * unit
}

fn integer(text: &[u8]) -> Result<i64, Error> {
    parse_i64(text).ok_or(Error::NotInteger)
}

/// Parses an offset in bits, within the largest value.
pub(super) fn offset(text: &[u8]) -> Result<usize, Error> {
    bit_offset(parse_i64(text))
}

/// Checks an offset in bits that is parsed already.
pub(super) fn bit_offset(number: Option<i64>) -> Result<usize, Error> {
    let offset = number.and_then(|number| usize::try_from(number).ok());
    offset.filter(|offset| offset / 8 < VALUE_BYTES_MAX).ok_or(Error::BitOffset)
}

/// The bit at an offset; false behind the end.
fn bit_at(value: &[u8], at: usize) -> bool {
    value.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
}

/// Counts the ones in a range of bits.
fn ones_in(value: &[u8], bits: Range<usize>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let bytes = &value[bits.start / 8..bits.end.div_ceil(8)];
    // The ones before and behind the range, in the bytes at its edges, are subtracted.
    let before = bytes[0] & !(0xff >> (bits.start % 8));
    let behind = if bits.end.is_multiple_of(8) { 0 } else { bytes[bytes.len() - 1] & 0xff >> (bits.end % 8) };
    ones(bytes) - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    in_words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The first bit of a range that equals `bit`.
fn first_in(value: &[u8], bits: Range<usize>, bit: bool) -> Option<usize> {
    if bits.is_empty() {
        return None;
    }
    // A byte without such a bit.
    let without = if bit { 0 } else { 0xff };
    let found = |at: usize, byte: u8| Some(at * 8 + byte.leading_zeros() as usize).filter(|at| *at < bits.end);
    let first = bits.start / 8;
    let edge = (value[first] ^ without) & 0xff >> (bits.start % 8);
    if edge != 0 {
        return found(first, edge);
    }
    let (words, rest) = value[first + 1..bits.end.div_ceil(8)].as_chunks::<8>();
    let word = words.iter().position(|word| *word != [without; 8]).unwrap_or(words.len());
    let tail = words.get(word).map_or(rest, |word| &word[..]);
    let byte = tail.iter().position(|byte| *byte != without)?;
    found(first + 1 + word * 8 + byte, tail[byte] ^ without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mostly bytes of one kind, so that there is something to look for, and whole words without it.
    fn values() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![8 => Just(0), 8 => Just(0xff), 1 => any::<u8>()], 1..60)
    }

    proptest! {
        #[test]
        fn ranges_of_bits_are_those_of_a_list(value in values(), from: u16, to: u16, bit: bool) {
            let list: Vec<bool> = (0..value.len() * 8).map(|at| value[at / 8] >> (7 - at % 8) & 1 == 1).collect();
            let from = usize::from(from) % list.len();
            let to = usize::from(to) % (list.len() + 1);
            let slice = list.get(from..to).unwrap_or_default();
            prop_assert_eq!(ones_in(&value, from..to), slice.iter().filter(|bit| **bit).count() as u64);
            prop_assert_eq!(first_in(&value, from..to, bit), slice.iter().position(|one| *one == bit).map(|at| from + at));
            prop_assert_eq!(bit_at(&value, from), list[from]);
            prop_assert!(!bit_at(&value, list.len() + to));
        }

        #[test]
        fn one_bit_of_the_words_is_found(len in 1..100usize, at: u16, bit: bool) {
            let at = usize::from(at) % (len * 8);
            let mut value = vec![if bit { 0 } else { 0xff }; len];
            value[at / 8] ^= 0x80 >> (at % 8);
            prop_assert_eq!(first_in(&value, 0..len * 8, bit), Some(at));
            prop_assert_eq!(first_in(&value, at + 1..len * 8, bit), None);
            prop_assert_eq!(ones_in(&value, 0..len * 8), if bit { 1 } else { len as u64 * 8 - 1 });
        }
    }
}
