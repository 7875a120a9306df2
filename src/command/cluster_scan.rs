//! CLUSTERSCAN, as Valkey 9.1 has it: a walk over the keys of a cluster, core by core. Core: the owner of its cursor.
//!
//! A cursor is `fingerprint-{tag}-position`. The tag hashes to a slot, so that clients and cores route a cursor as they
//! route a key; the walk goes on from that slot to the last of its core, by positions of the slab. The fingerprint names the
//! process whose positions these are: under another the walk of the core begins again, and `0` says that it only begins.

use crate::command::keyspace::{Filter, look};
use crate::command::{Call, Error};
use crate::limits::SLOTS;
use crate::resp::{Args, Writer};
use crate::shard::Shard;
use crate::slot::{CoreId, Slot};

/// The core that a walk has come to.
#[derive(Clone, Debug)]
pub struct Node {
    /// The core.
    pub core: CoreId,
    /// The number of cores.
    pub cores: u16,
    /// A few letters and digits, new at every start.
    pub fingerprint: String,
}

/// The cursor of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor<'a> {
    /// The beginning.
    Begin,
    /// Within the slots of a core.
    At { fingerprint: &'a [u8], slot: Slot, position: u32 },
}

impl Cursor<'_> {
    fn parse(text: &[u8]) -> Option<Cursor<'_>> {
        if text == b"0" {
            return Some(Cursor::Begin);
        }
        let open = memchr::memmem::find(text, b"-{")?;
        let close = open + memchr::memmem::find(&text[open..], b"}-")?;
        let (fingerprint, tag, position) = (&text[..open], &text[open + 2..close], &text[close + 2..]);
        let is_plain = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_alphanumeric);
        if !is_plain(fingerprint) || !is_plain(tag) || position.is_empty() {
            return None;
        }
        // What is past all positions is past the end of the walk.
        let position = position.iter().try_fold(0u32, |sum, digit| {
            digit.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
        })?;
        Some(Cursor::At { fingerprint, slot: Slot::of(text), position })
    }
}

/// The slot of all keys that a pattern matches, if its hash tag is plain text, or all of it is.
fn slot_of_pattern(pattern: &[u8]) -> Option<Slot> {
    let plain = pattern.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(pattern.len());
    let has_tag = memchr::memchr(b'{', &pattern[..plain])
        .and_then(|open| memchr::memchr(b'}', &pattern[open..plain]))
        .is_some_and(|len| len > 1);
    (has_tag || plain == pattern.len()).then(|| Slot::of(pattern))
}

/// Runs one step. Returns the bytes that its pattern was compared with.
pub fn cluster_scan(
    shard: &Shard,
    args: Args<'_>,
    node: &Node,
    call: Call,
    writer: &mut Writer<'_>,
) -> Result<u64, Error> {
    let cursor = Cursor::parse(args.at(0)).ok_or(Error::ClusterCursor)?;
    let filter = Filter::parse(args.tail(1), true)?;
    let of_pattern = filter.pattern.and_then(slot_of_pattern);
    let only = filter.slot.or(of_pattern);
    if of_pattern.is_some_and(|slot| Some(slot) != only) {
        end(writer);
        return Ok(0);
    }
    let (fingerprint, slot, position) = match (cursor, only) {
        (Cursor::Begin, only) => {
            begin(only.unwrap_or(Slot(0)), writer);
            return Ok(0);
        }
        (Cursor::At { slot, .. }, Some(only)) if slot < only => {
            begin(only, writer);
            return Ok(0);
        }
        (Cursor::At { slot, .. }, Some(only)) if slot > only => {
            end(writer);
            return Ok(0);
        }
        (Cursor::At { fingerprint, slot, position }, _) => (fingerprint, slot, position),
    };
    let position = if fingerprint == node.fingerprint.as_bytes() { position } else { 0 };
    let (first, last) = Slot::range(node.core, node.cores);
    let is_wanted = |key: &[u8]| match only {
        Some(only) => Slot::of(key) == only,
        None => slot == first || Slot::of(key) >= slot,
    };
    let found = look(shard, &filter, position, call, writer.proto(), is_wanted);
    match found.next {
        Some(position) => reply(&format!("{}-{{{}}}-{position}", node.fingerprint, slot.tag()), writer),
        None if only.is_none() && last.0 + 1 < SLOTS => reply(&beginning(Slot(last.0 + 1)), writer),
        None => reply("0", writer),
    }
    writer.array(found.count);
    writer.raw(&found.keys);
    Ok(found.steps)
}

/// The cursor with which the walk over a core's slots begins.
fn beginning(slot: Slot) -> String {
    format!("0-{{{}}}-0", slot.tag())
}

fn reply(cursor: &str, writer: &mut Writer<'_>) {
    writer.array(2);
    writer.bulk(cursor.as_bytes());
}

fn begin(slot: Slot, writer: &mut Writer<'_>) {
    reply(&beginning(slot), writer);
    writer.array(0);
}

fn end(writer: &mut Writer<'_>) {
    reply("0", writer);
    writer.array(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read() {
        assert_eq!(Cursor::parse(b"0"), Some(Cursor::Begin));
        let at = |fingerprint, slot, position| Some(Cursor::At { fingerprint, slot: Slot(slot), position });
        assert_eq!(Cursor::parse(b"0-{06S}-0"), at(b"0", 0, 0));
        assert_eq!(Cursor::parse(b"aB1-{0or}-48"), at(b"aB1", 100, 48));
        assert_eq!(Cursor::parse(b"0-{Qi}-09393399393"), at(b"0", 1, u32::MAX));
        for bad in [
            "",
            "1",
            "invalid",
            "abc-def-ghi",
            "0-",
            "0-{0}",
            "0-{0}-",
            "0-{}-0",
            "-{06S}-0",
            "0-{06S}-x",
            "0-{06S}-1 ",
        ] {
            assert_eq!(Cursor::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn patterns_of_one_slot_are_known() {
        for (pattern, slot) in [
            ("{Qi}-*", Some(1)),
            ("a{06S}*", Some(0)),
            ("foo", Some(12182)),
            ("*{Qi}", None),
            ("{Q?}", None),
            ("{}*", None),
            ("fo*o", None),
            ("f\\oo", None),
            ("", Some(0)),
        ] {
            assert_eq!(slot_of_pattern(pattern.as_bytes()), slot.map(Slot), "{pattern}");
        }
    }
}
