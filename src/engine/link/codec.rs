//! Codec: what lies in the buffers that cores send each other. The one place that writes or reads those bytes.
//!
//! ```text
//! request frame  command u16 | caller u8 | database u8 | argc u32 | client u64, if named | length u32 × argc | the arguments' bytes
//! reply frame    length u64, the kind of part in its top byte | the bytes
//! message frame  topic u8 | 0 u8 × 3 | channel's length u32 | text's length u32 | channel | text
//! ```
//! Numbers are little-endian. A batch never leaves its process, so what can't be read is a bug of ours.

use crate::command::lookup::CommandId;
use crate::command::pubsub::{TOPICS, Topic};
use crate::engine::link::caller::{Caller, NAMED};
use crate::resp::{Args, Span};
use crate::shard::{Database, NO_CLIENT};

/// A request frame that was read back.
pub(in crate::engine) struct Frame<'a> {
    pub(in crate::engine) command: CommandId,
    pub(in crate::engine) caller: Caller,
    pub(in crate::engine) args: Args<'a>,
}

/// Bytes of a request frame before the lengths: with a client's id, eight more.
const HEAD_BYTES: usize = 8;
const CLIENT_BYTES: usize = 8;

/// Appends a request frame.
#[inline]
pub(in crate::engine) fn append_frame<'a>(
    bytes: &mut Vec<u8>,
    command: CommandId,
    caller: Caller,
    args: impl Iterator<Item = &'a [u8]> + Clone,
) {
    bytes.extend_from_slice(&command.0.to_le_bytes());
    bytes.extend_from_slice(&[caller.to_byte(), caller.database]);
    let count_at = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    if caller.client != NO_CLIENT {
        bytes.extend_from_slice(&caller.client.to_le_bytes());
    }
    let mut count = 0u32;
    for arg in args.clone() {
        bytes.extend_from_slice(&(arg.len() as u32).to_le_bytes());
        count += 1;
    }
    bytes[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    for arg in args {
        bytes.extend_from_slice(arg);
    }
}

/// Reads the frame at `at` and where the next begins; `None` at the end.
#[inline]
pub(in crate::engine) fn read_frame<'a>(
    bytes: &'a [u8],
    at: usize,
    spans: &'a mut Vec<Span>,
) -> Option<(Frame<'a>, usize)> {
    let head = bytes.get(at..at + HEAD_BYTES)?;
    let command = CommandId(u16::from_le_bytes([head[0], head[1]]));
    let count = word(head, 4)? as usize;
    let mut lengths_at = at + HEAD_BYTES;
    let mut client = NO_CLIENT;
    if head[2] & NAMED != 0 {
        client = u64::from_le_bytes(*bytes.get(lengths_at..)?.first_chunk()?);
        lengths_at += CLIENT_BYTES;
    }
    let mut start = lengths_at + count * 4;
    spans.clear();
    for length in bytes.get(lengths_at..start)?.chunks_exact(4) {
        let len = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        spans.push(Span { start: start as u32, len });
        start += len as usize;
    }
    debug_assert!(start <= bytes.len(), "a frame ends inside its batch");
    let caller = Caller::from_bytes([head[2], head[3]], client);
    Some((Frame { command, caller, args: Args::new(bytes, spans) }, start))
}

/// Whether the first frame of a batch comes from the transaction that holds the shard; all frames of a batch do, or none.
pub(in crate::engine) fn is_held(bytes: &[u8]) -> bool {
    bytes.get(2).is_some_and(|caller| Caller::from_bytes([*caller, 0], NO_CLIENT).held)
}

/// The database of the first frame of a batch.
pub(in crate::engine) fn first_database(bytes: &[u8]) -> Database {
    bytes.get(3).copied().unwrap_or(0)
}

/// The first argument of the request frame at the start of `bytes`, and the frame's length: to prefetch the key.
pub(in crate::engine) fn peek_key(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let word = |at| word(bytes, at).map(|word| word as usize);
    let count = word(4).filter(|count| *count > 0)?;
    let head = HEAD_BYTES + if bytes[2] & NAMED == 0 { 0 } else { CLIENT_BYTES };
    let begin = head + count * 4;
    let mut end = begin;
    for at in 0..count {
        end += word(head + at * 4)?;
    }
    Some((bytes.get(begin..begin + word(head)?)?, end))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// What one core answers to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Part<'a> {
    /// A whole reply, or its share of the elements, as the protocol encodes them.
    Encoded(&'a [u8]),
    /// The core's share of a sum.
    Sum(i64),
    /// An encoded error, in place of the above.
    Refusal(&'a [u8]),
}

/// The kinds of parts as reply frames name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum PartKind {
    /// See [`Part::Encoded`].
    Encoded,
    /// See [`Part::Sum`]: eight bytes.
    Sum,
    /// See [`Part::Refusal`].
    Refusal,
}

/// Bits of a reply frame's head that are its length; the kind of part is in those above.
const LENGTH_BITS: u32 = 56;
const REPLY_HEAD_BYTES: usize = 8;

impl PartKind {
    /// A part whose bytes [`write_reply`]'s closure has written.
    #[inline]
    pub(in crate::engine) fn of(self, bytes: &[u8]) -> Part<'_> {
        match self {
            PartKind::Encoded => Part::Encoded(bytes),
            PartKind::Sum => Part::Sum(bytes.try_into().map_or(0, i64::from_le_bytes)),
            PartKind::Refusal => Part::Refusal(bytes),
        }
    }

    fn from_byte(byte: u64) -> PartKind {
        match byte {
            0 => PartKind::Encoded,
            1 => PartKind::Sum,
            _ => PartKind::Refusal,
        }
    }
}

/// A core's share of a sum, as [`PartKind::Sum`] is read.
pub(in crate::engine) fn sum_bytes(sum: i64) -> [u8; 8] {
    sum.to_le_bytes()
}

/// Appends a reply frame that `write` fills and names the kind of.
#[inline]
pub(in crate::engine) fn write_reply(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> PartKind) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; REPLY_HEAD_BYTES]);
    let kind = write(bytes);
    let begin = at + REPLY_HEAD_BYTES;
    let head = (bytes.len() - begin) as u64 | (kind as u64) << LENGTH_BITS;
    bytes[at..begin].copy_from_slice(&head.to_le_bytes());
}

/// The reply frames of a batch.
pub(in crate::engine) fn reply_frames(mut bytes: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk::<REPLY_HEAD_BYTES>()?;
        let head = u64::from_le_bytes(*head);
        let (reply, rest) = rest.split_at((head & ((1 << LENGTH_BITS) - 1)) as usize);
        bytes = rest;
        Some(PartKind::from_byte(head >> LENGTH_BITS).of(reply))
    })
}

/// Appends a message frame.
pub(in crate::engine) fn append_message(bytes: &mut Vec<u8>, topic: Topic, channel: &[u8], text: &[u8]) {
    bytes.extend_from_slice(&[topic.number() as u8, 0, 0, 0]);
    bytes.extend_from_slice(&(channel.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(channel);
    bytes.extend_from_slice(text);
}

/// The message frames of a letter: topic, channel, text.
pub(in crate::engine) fn message_frames(mut bytes: &[u8]) -> impl Iterator<Item = (Topic, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(12)?;
        let (channel, rest) = rest.split_at(word(head, 4)? as usize);
        let (text, rest) = rest.split_at(word(head, 8)? as usize);
        bytes = rest;
        Some((TOPICS[usize::from(head[0])], channel, text))
    })
}
