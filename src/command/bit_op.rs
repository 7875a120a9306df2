//! BITOP: values combined bit by bit into another. Core: any; a command of several keys, see `several`. Cost: a pass over
//! each source, a copy of the result.
//!
//! A source that is shorter than the longest goes on with zeros.

use crate::command::Error;
use crate::command::Reply;
use crate::command::several::{Changes, Decision, Stored};
use crate::resp::Args;
use crate::shard::Expiry;

/// The operations of BITOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
    /// The bits of the first source that no other has.
    Diff,
    /// The bits of the other sources that the first has not.
    Diff1,
    /// The bits of the first source that another has as well.
    AndOr,
    /// The bits that exactly one source has.
    One,
}

/// Every operation with its name.
const OPERATIONS: [(&str, Operation); 8] = [
    ("AND", Operation::And),
    ("OR", Operation::Or),
    ("XOR", Operation::Xor),
    ("NOT", Operation::Not),
    ("DIFF", Operation::Diff),
    ("DIFF1", Operation::Diff1),
    ("ANDOR", Operation::AndOr),
    ("ONE", Operation::One),
];

/// BITOP operation destkey key [key ...].
pub fn bit_op(args: Args<'_>, stored: &[Option<Stored<'_>>], _now_ms: u64) -> Result<Decision, Error> {
    let name = args.at(0);
    let found = OPERATIONS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
    let &(name, operation) = found.ok_or(Error::Syntax)?;
    // The destination is the first key; the others are read.
    let sources: Vec<&[u8]> = stored[1..].iter().map(|source| source.map_or(&b""[..], |stored| stored.value)).collect();
    match operation {
        Operation::Not if sources.len() != 1 => return Err(Error::BitopNot),
        Operation::Diff | Operation::Diff1 | Operation::AndOr if sources.len() < 2 => {
            return Err(Error::BitopSources(name));
        }
        _ => {}
    }
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let reply = Reply::Integer(len as i64);
    if len == 0 {
        return Ok((reply, Changes { deletes: vec![args.at(1).to_vec()], ..Changes::default() }));
    }
    let stores = vec![(args.at(1).to_vec(), combined(operation, &sources, len), Expiry::Never)];
    Ok((reply, Changes { stores, ..Changes::default() }))
}

/// The sources, of which there is one at least, combined to `len` bytes.
fn combined(operation: Operation, sources: &[&[u8]], len: usize) -> Vec<u8> {
    let padded = |source: &[u8]| {
        let mut padded = source.to_vec();
        padded.resize(len, 0);
        padded
    };
    let mut result = padded(sources[0]);
    let others = &sources[1..];
    match operation {
        Operation::And => others.iter().for_each(|source| each(&mut result, source, |a, b| a & b)),
        Operation::Or => others.iter().for_each(|source| each(&mut result, source, |a, b| a | b)),
        Operation::Xor => others.iter().for_each(|source| each(&mut result, source, |a, b| a ^ b)),
        Operation::Not => result.iter_mut().for_each(|byte| *byte = !*byte),
        Operation::Diff => others.iter().for_each(|source| each(&mut result, source, |a, b| a & !b)),
        Operation::Diff1 | Operation::AndOr => {
            let mut either = vec![0; len];
            others.iter().for_each(|source| each(&mut either, source, |a, b| a | b));
            let mask = if operation == Operation::Diff1 { 0xff } else { 0 };
            each(&mut result, &either, |a, b| (a ^ mask) & b);
        }
        Operation::One => {
            let mut twice = vec![0; len];
            for source in others {
                let source = padded(source);
                for ((once, twice), byte) in result.iter_mut().zip(&mut twice).zip(source) {
                    *twice |= *once & byte;
                    *once |= byte;
                }
            }
            each(&mut result, &twice, |a, b| a & !b);
        }
    }
    result
}

/// Combines every byte with that of a source at its place.
fn each(result: &mut [u8], source: &[u8], combine: impl Fn(u8, u8) -> u8) {
    let (both, rest) = result.split_at_mut(source.len());
    both.iter_mut().zip(source).for_each(|(byte, other)| *byte = combine(*byte, *other));
    rest.iter_mut().for_each(|byte| *byte = combine(*byte, 0));
}
