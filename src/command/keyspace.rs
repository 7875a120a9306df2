//! DEL, EXISTS, TYPE, SCAN and their like: keys rather than values. Core: the key's, or the one SCAN's cursor names.

use crate::command::connection::parse_database;
use crate::command::glob::Pattern;
use crate::command::{Call, Error, Reply};
use crate::limits::{
    GLOB_STEP_SKIPPED_BYTES, GLOB_STEPS_MAX, SCAN_COUNT_DEFAULT, SCAN_MATCH_STEPS_MAX, SCAN_STEPS_MAX, SLOTS,
};
use crate::resp::number::parse_i64;
use crate::resp::{Args, Proto, Writer};
use crate::shard::Shard;
use crate::slot::Slot;

/// Handles each key of DEL and UNLINK. The shard frees values, large ones in slices.
pub fn delete<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    shard.remove(args.at(0), call.now_ms).into()
}

/// Handles each key of EXISTS.
pub fn exists<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let exists = shard.look(args.at(0), call.now_ms).is_some();
    found(shard, args.at(0), exists).into()
}

/// Handles each key of TOUCH.
pub fn touch<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let touched = shard.touch(args.at(0), call.now_ms);
    found(shard, args.at(0), touched).into()
}

/// Notes a miss, for listeners, if a key was not found. Returns `found`.
pub(super) fn found(shard: &mut Shard, key: &[u8], found: bool) -> bool {
    if !found {
        shard.note_miss(key);
    }
    found
}

/// MOVE key database.
pub fn move_to<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let (key, from) = (args.at(0), shard.selected());
    let to = match parse_database(args.at(1), shard.database_count()) {
        Ok(to) if to == from => return Error::SameKey.into(),
        Ok(to) => to,
        Err(refused) => return refused.into(),
    };
    if shard.peek_in(to, key, call.now_ms).is_some() {
        return Reply::Integer(0);
    }
    let Some(item) = shard.look(key, call.now_ms) else { return Reply::Integer(0) };
    let (value, deadline_ms) = (item.value.to_vec(), item.expires_at_ms);
    shard.select(to);
    let stored = shard.insert_moved(key, &value, deadline_ms, call.now_ms);
    shard.select(from);
    match stored {
        Ok(()) => {
            shard.remove_moved(key, call.now_ms);
            Reply::Integer(1)
        }
        Err(_full) => Error::Oom.into(),
    }
}

/// TYPE key.
pub fn value_type<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let exists = shard.look(args.at(0), call.now_ms).is_some();
    Reply::Status(if found(shard, args.at(0), exists) { "string" } else { "none" })
}

/// The cursor of a SCAN: a core and a position in its shard's slab, as one number for the client. 0 is the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The core whose shard comes next.
    pub core: u16,
    /// The position in the shard's slab.
    pub position: u32,
}

impl Cursor {
    /// The cursor a client sent. A core that does not exist (the server was restarted with fewer) is past the end.
    pub fn parse(text: &[u8]) -> Result<Cursor, Error> {
        let number = parse_cursor(text).ok_or(Error::InvalidCursor)?;
        // Any number is a valid cursor for Redis; those beyond our cores end the scan.
        let core = u16::try_from(number >> 32).unwrap_or(u16::MAX);
        Ok(Cursor { core, position: (number & u64::from(u32::MAX)) as u32 })
    }

    /// The cursor as a number for the client.
    pub fn number(self) -> u64 {
        u64::from(self.core) << 32 | u64::from(self.position)
    }
}

/// A cursor as Redis reads it, with `strtoul`: it ends at a NUL, nothing at all is 0, and a minus turns a number round.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let (digits, negative) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        digits.iter().try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// One step of a SCAN: where it begins, and its options.
#[derive(Debug)]
pub struct Scan<'a> {
    /// The cursor that the client sent.
    pub cursor: Cursor,
    filter: Filter<'a>,
}

impl<'a> Scan<'a> {
    /// Parses `cursor [MATCH pattern] [COUNT n] [TYPE t]`.
    pub fn parse(args: Args<'a>) -> Result<Scan<'a>, Error> {
        Ok(Scan { cursor: Cursor::parse(args.at(0))?, filter: Filter::parse(args.tail(1), false)? })
    }
}

/// Which keys a step of a walk takes, and how many it looks at.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) pattern: Option<&'a [u8]>,
    count: u32,
    /// A type that is not `string` matches nothing.
    strings: bool,
    /// The keys of one slot alone.
    pub(super) slot: Option<Slot>,
}

impl<'a> Filter<'a> {
    /// Parses what follows a cursor.
    pub(super) fn parse(mut rest: Args<'a>, takes_slot: bool) -> Result<Filter<'a>, Error> {
        let mut filter = Filter { pattern: None, count: SCAN_COUNT_DEFAULT, strings: true, slot: None };
        while let Some(option) = rest.get(0) {
            let value = rest.get(1).ok_or(Error::Syntax)?;
            if option.eq_ignore_ascii_case(b"COUNT") {
                let count = parse_i64(value).ok_or(Error::NotInteger)?;
                if count < 1 {
                    return Err(Error::Syntax);
                }
                filter.count = u32::try_from(count).unwrap_or(u32::MAX).min(SCAN_STEPS_MAX);
            } else if option.eq_ignore_ascii_case(b"MATCH") {
                // As in Redis `*` is no pattern: that one would not match the empty key.
                filter.pattern = (value != b"*").then_some(value);
            } else if option.eq_ignore_ascii_case(b"TYPE") {
                filter.strings = value.eq_ignore_ascii_case(b"string");
            } else if takes_slot && option.eq_ignore_ascii_case(b"SLOT") {
                let slot = parse_i64(value).and_then(|slot| u16::try_from(slot).ok()).filter(|slot| *slot < SLOTS);
                filter.slot = Some(Slot(slot.ok_or(Error::InvalidSlot)?));
            } else {
                return Err(Error::Syntax);
            }
            rest = rest.tail(2);
        }
        Ok(filter)
    }
}

/// What a step of a walk has found.
pub(super) struct Found {
    /// The keys, encoded.
    pub(super) keys: Vec<u8>,
    pub(super) count: usize,
    /// Where the next step begins, if there is more.
    pub(super) next: Option<u32>,
    /// Bytes that were compared and copied.
    pub(super) steps: u64,
}

/// Looks at the next keys of a shard from a position on, for those that a filter takes and that are wanted.
pub(super) fn look(
    shard: &Shard,
    filter: &Filter<'_>,
    position: u32,
    call: Call,
    proto: Proto,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Found {
    let pattern = filter.pattern.map(Pattern::new);
    let (mut keys, mut count, mut steps) = (Vec::new(), 0, 0);
    let mut next = Some(position);
    for _ in 0..filter.count {
        let Some(position) = next.filter(|_| steps < SCAN_MATCH_STEPS_MAX) else { break };
        next = shard.scan(position, 1, call.now_ms, &mut |key, _item| {
            if !is_wanted(key) {
                steps += (key.len() / GLOB_STEP_SKIPPED_BYTES) as u64;
                return;
            }
            let matched = pattern.as_ref().map(|pattern| pattern.within(key, GLOB_STEPS_MAX));
            steps += matched.map_or(0, |matched| matched.steps);
            if filter.strings && matched.is_none_or(|matched| matched.matches) {
                Writer::new(&mut keys, proto).bulk(key);
                steps += (key.len() / GLOB_STEP_SKIPPED_BYTES) as u64;
                count += 1;
            }
        });
    }
    Found { keys, count, next, steps }
}

/// Runs one step of a SCAN, on the core that its cursor names. The walk over all keys ends behind the last of `cores`.
/// Returns the bytes that its pattern was compared with.
pub fn scan(shard: &Shard, scan: &Scan<'_>, cores: u16, call: Call, writer: &mut Writer<'_>) -> u64 {
    let cursor = scan.cursor;
    let found = look(shard, &scan.filter, cursor.position, call, writer.proto(), |_| true);
    let next = match found.next {
        Some(position) => Cursor { core: cursor.core, position }.number(),
        None if cursor.core + 1 < cores => Cursor { core: cursor.core + 1, position: 0 }.number(),
        None => 0,
    };
    writer.array(2);
    writer.bulk(next.to_string().as_bytes());
    writer.array(found.count);
    writer.raw(&found.keys);
    found.steps
}

/// The reply of a SCAN that is past the end.
pub fn scan_end(writer: &mut Writer<'_>) {
    writer.array(2);
    writer.bulk(b"0");
    writer.array(0);
}
