//! Requests: the incremental parser of one connection. Zero-copy; it stops anywhere and goes on exactly there.
//!
//! Owner: `Session`. Core: the session's home core. Cost: one look at each byte of a count, length or inline line,
//! none at the bytes of a value, however the bytes are cut; 8 bytes an argument, no allocation in the steady state.
//! Never: copies a value, allocates for what was only announced, panics on input.
//! Behaviour and error texts are those of Redis 7.0 (`processMultibulkBuffer`, `processInlineBuffer`), the bytes
//! after a CR or a value left unchecked included, so that what Redis takes is taken. It differs where Redis depends
//! on chance: a line is too big by its length alone, not by how much of it one read brought; and a NUL is an
//! ordinary byte, where Redis, searching with `strchr`, never sees what follows.
//! Weakness: an argument of no bytes costs more memory (a span, 8 bytes) than it took on the wire (6 bytes).

use memchr::memchr;

use super::args::{Args, Span};
use super::error::ProtocolError;
use super::inline;
use super::number::parse_i64;
use super::parse_limits::ParseLimits;
use crate::limits::{INLINE_BYTES_MAX, PARSER_SCRATCH_BYTES_KEPT_MAX, PARSER_SPANS_KEPT_MAX};

/// The parser of one connection: where in a partial request it stands, and the arguments so far.
///
/// Each call of [`next`](Self::next) gets the buffer from the first byte of the current request: the same bytes
/// again, and more of them, until that request is complete.
#[derive(Debug, Default)]
pub struct Parser {
    /// The arguments found so far: in the caller's buffer, or in `scratch` for an inline request.
    spans: Vec<Span>,
    /// The words of an inline request, quotes and escapes resolved.
    scratch: Vec<u8>,
    phase: Phase,
    /// Whether the spans point into `scratch`.
    in_scratch: bool,
    /// Arguments still to come, the current one included.
    left: u32,
    /// The start of the line or value being read; everything before it was parsed.
    pos: usize,
    /// Bytes of the current line already searched for its end.
    searched: usize,
    /// Bytes looked at, for the proof that the work is linear.
    #[cfg(test)]
    examined: usize,
}

/// What [`Parser::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole request, in the first `consumed` bytes; [`Parser::args`] has it.
    Command {
        /// Bytes to drop before the next call.
        consumed: usize,
    },
    /// The end of the request is not there yet.
    Incomplete {
        /// Bytes that are missing at least: with fewer no request is complete. It is what a client announced, so a
        /// caller that reserves by it caps it.
        need: usize,
    },
    /// Nothing to run or to answer: an empty line, `*0`, or a negative count.
    Empty {
        /// Bytes to drop before the next call.
        consumed: usize,
    },
}

/// What the next call has to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// A new request. Until then the last one's arguments stay readable.
    #[default]
    Fresh,
    /// The one line of an inline request.
    Inline,
    /// The line `*<count>`.
    Count,
    /// The line `$<length>`.
    Length,
    /// A value of this many bytes and two more.
    Value(u32),
}

impl Parser {
    /// A parser at the start of a stream. Allocates nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on. `buf` starts at the first byte of the current request; bytes that an earlier call has looked at
    /// are not scanned again. After an error the stream can't be read any further.
    #[inline]
    pub fn next(&mut self, buf: &[u8], limits: &ParseLimits) -> Result<Parsed, ProtocolError> {
        if self.phase != Phase::Fresh {
            return self.resume(buf, limits);
        }
        self.begin();
        // The usual request is all there, and touches no state but its spans.
        let (mut pos, mut left) = (0, 0);
        if let Some((count, head)) = short_head(buf, b'*')
            && (1..=limits.count_max()).contains(&count)
        {
            self.look_at(head);
            (pos, left) = self.whole_arguments(buf, limits, head, count);
            if left == 0 {
                return Ok(Parsed::Command { consumed: pos });
            }
        }
        self.suspend(buf, pos, left);
        self.resume(buf, limits)
    }

    /// Forgets a partial request and the last one's arguments, as on a new connection. Keeps its (small) memory.
    pub fn reset(&mut self) {
        self.begin();
        self.phase = Phase::Fresh;
    }

    /// Frees all memory, the last request's arguments included: for an idle connection. A partial request stays.
    pub fn shrink(&mut self) {
        if self.phase == Phase::Fresh {
            self.spans = Vec::new();
            self.scratch = Vec::new();
        }
    }

    /// The request that [`next`](Self::next) has just found in `buf`. Valid until the next call of it.
    #[inline]
    pub fn args<'a>(&'a self, buf: &'a [u8]) -> Args<'a> {
        Args::new(if self.in_scratch { &self.scratch } else { buf }, &self.spans)
    }

    /// Whether an incomplete request has begun: the client owes the rest of it.
    #[inline]
    pub fn is_partial(&self) -> bool {
        self.phase != Phase::Fresh
    }

    /// Starts a new request, and lets go of the memory that a huge one left behind.
    #[inline]
    fn begin(&mut self) {
        self.spans.clear();
        self.in_scratch = false;
        if self.spans.capacity() > PARSER_SPANS_KEPT_MAX || self.scratch.capacity() > PARSER_SCRATCH_BYTES_KEPT_MAX {
            self.let_go();
        }
    }

    #[cold]
    fn let_go(&mut self) {
        (self.spans, self.scratch) = (Vec::new(), Vec::new());
    }

    /// The hot loop: from `pos` on reads up to `left` arguments that are all there, of lengths that are short and
    /// permitted. It stops at anything else, which `argument` then reads or refuses. Returns how far it came.
    #[inline]
    fn whole_arguments(&mut self, buf: &[u8], limits: &ParseLimits, mut pos: usize, mut left: u32) -> (usize, u32) {
        let len_max = limits.len_max();
        let end_max = buf.len().min(limits.command_bytes_max as usize);
        while left > 0 {
            let Some((len, head)) = buf.get(pos..).and_then(|line| short_head(line, b'$')) else {
                break;
            };
            let next = pos + head + len as usize + 2;
            if len > len_max || next > end_max {
                break;
            }
            self.look_at(head);
            // `next` is at most `command_bytes_max`, a u32.
            self.spans.push(Span { start: (pos + head) as u32, len });
            pos = next;
            left -= 1;
        }
        (pos, left)
    }

    /// Notes where the hot path stopped: at an argument, or, when none is `left`, at the request's first byte.
    #[cold]
    fn suspend(&mut self, buf: &[u8], pos: usize, left: u32) {
        (self.pos, self.left, self.searched) = (pos, left, 0);
        self.phase = match buf.first() {
            None => Phase::Fresh,
            Some(_) if left > 0 => Phase::Length,
            Some(b'*') => Phase::Count,
            Some(_) => Phase::Inline,
        };
    }

    /// Goes on where the last call or the hot path stopped.
    #[cold]
    fn resume(&mut self, buf: &[u8], limits: &ParseLimits) -> Result<Parsed, ProtocolError> {
        let parsed = match self.phase {
            Phase::Fresh => Parsed::Incomplete { need: 1 },
            Phase::Inline => self.inline_line(buf)?,
            Phase::Count => match self.count_line(buf, limits)? {
                Some(parsed) => parsed,
                None => self.arguments(buf, limits)?,
            },
            Phase::Length | Phase::Value(_) => self.arguments(buf, limits)?,
        };
        if !matches!(parsed, Parsed::Incomplete { .. }) {
            self.phase = Phase::Fresh;
        }
        Ok(parsed)
    }

    /// Reads `*<count>` of any shape. `None` means that arguments follow.
    fn count_line(&mut self, buf: &[u8], limits: &ParseLimits) -> Result<Option<Parsed>, ProtocolError> {
        let text = match self.number_line(buf, ProtocolError::TooBigMultibulkCount)? {
            Line::Wait { need } => return Ok(Some(Parsed::Incomplete { need })),
            Line::Whole { text, .. } => text,
        };
        let count = parse_i64(text).ok_or(ProtocolError::InvalidMultibulkLength)?;
        if count <= 0 {
            return Ok(Some(Parsed::Empty { consumed: self.pos }));
        }
        self.left = limits.check_count(count)?;
        self.phase = Phase::Length;
        Ok(None)
    }

    /// Reads arguments until none is left or the buffer ends.
    fn arguments(&mut self, buf: &[u8], limits: &ParseLimits) -> Result<Parsed, ProtocolError> {
        loop {
            if self.phase == Phase::Length && self.searched == 0 {
                (self.pos, self.left) = self.whole_arguments(buf, limits, self.pos, self.left);
            }
            if self.left == 0 {
                return Ok(Parsed::Command { consumed: self.pos });
            }
            if let Some(need) = self.argument(buf, limits)? {
                return Ok(Parsed::Incomplete { need });
            }
        }
    }

    /// Reads one argument of any shape. `Some` is the number of bytes it still needs.
    fn argument(&mut self, buf: &[u8], limits: &ParseLimits) -> Result<Option<usize>, ProtocolError> {
        if self.phase == Phase::Length {
            let len = match self.number_line(buf, ProtocolError::TooBigBulkCount)? {
                Line::Wait { need } => return Ok(Some(need)),
                Line::Whole { first: b'$', text } => parse_i64(text).ok_or(ProtocolError::InvalidBulkLength)?,
                Line::Whole { first, .. } => return Err(ProtocolError::ExpectedDollar(first)),
            };
            self.phase = Phase::Value(limits.check_len(len, self.pos)?);
        }
        let Phase::Value(len) = self.phase else {
            return Ok(Some(1));
        };
        let next = self.pos + len as usize + 2;
        if buf.len() < next {
            return Ok(Some(next - buf.len()));
        }
        // `start + len` is at most `command_bytes_max`, a u32: `check_len` saw to it.
        self.spans.push(Span { start: self.pos as u32, len });
        self.pos = next;
        self.phase = Phase::Length;
        self.left -= 1;
        Ok(None)
    }

    /// Reads a number line of any shape. On success `pos` is past it.
    fn number_line<'a>(&mut self, buf: &'a [u8], too_big: ProtocolError) -> Result<Line<'a>, ProtocolError> {
        let Some(end) = self.find_line_end(buf, b'\r', too_big)? else {
            return Ok(Line::Wait { need: 2 });
        };
        let line = buf.get(self.pos..).unwrap_or_default();
        if line.len() < end + 2 {
            return Ok(Line::Wait { need: 1 });
        }
        self.pos += end + 2;
        self.searched = 0;
        // A line that is a lone CR has that as its first byte, and nothing for a number.
        Ok(Line::Whole { first: line[0], text: line.get(1..end).unwrap_or_default() })
    }

    /// Reads the line of an inline request and splits it.
    fn inline_line(&mut self, buf: &[u8]) -> Result<Parsed, ProtocolError> {
        let Some(end) = self.find_line_end(buf, b'\n', ProtocolError::TooBigInline)? else {
            return Ok(Parsed::Incomplete { need: 1 });
        };
        let line = &buf[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.scratch.clear();
        self.in_scratch = true;
        inline::split(line, &mut self.scratch, &mut self.spans)?;
        let consumed = end + 1;
        Ok(if self.spans.is_empty() { Parsed::Empty { consumed } } else { Parsed::Command { consumed } })
    }

    /// Where the current line ends, counted from its start; only bytes no earlier call has seen are searched.
    fn find_line_end(&mut self, buf: &[u8], end: u8, too_big: ProtocolError) -> Result<Option<usize>, ProtocolError> {
        let line = buf.get(self.pos..).unwrap_or_default();
        let window = &line[..line.len().min(INLINE_BYTES_MAX + 1)];
        let unseen = window.get(self.searched..).unwrap_or_default();
        let found = memchr(end, unseen);
        self.look_at(found.map_or(unseen.len(), |at| at + 1));
        self.searched += found.unwrap_or(unseen.len());
        match found {
            Some(_) => Ok(Some(self.searched)),
            None if line.len() > INLINE_BYTES_MAX => Err(too_big),
            None => Ok(None),
        }
    }

    #[cfg(test)]
    fn look_at(&mut self, bytes: usize) {
        self.examined += bytes;
    }

    #[cfg(not(test))]
    #[inline]
    fn look_at(&mut self, _bytes: usize) {}
}

/// The first argument after the name, and the length, of the request at the start of `buf`, if it is complete and of the
/// usual shape: for the prefetch. It is not validated, and may differ from what the parser finds.
#[inline]
pub fn peek_key(buf: &[u8]) -> Option<(&[u8], usize)> {
    let (count, mut pos) = short_head(buf, b'*')?;
    let mut key = None;
    for at in 0..count {
        let (len, head) = short_head(buf.get(pos..)?, b'$')?;
        let end = pos + head + len as usize;
        if at == 1 {
            key = Some(buf.get(pos + head..end)?);
        }
        pos = end + 2;
    }
    Some((key?, pos))
}

/// A line `<first><text>CRLF`, or how many bytes it lacks at least.
enum Line<'a> {
    Wait { need: usize },
    Whole { first: u8, text: &'a [u8] },
}

/// The usual count or length at the start of `line`: whole, canonical, of at most four digits. Its number, and the
/// bytes it takes with its line end, of which only the CR is looked at.
#[inline]
fn short_head(line: &[u8], marker: u8) -> Option<(u32, usize)> {
    let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    match *line {
        [first, a @ b'0'..=b'9', b'\r', _, ..] if first == marker => Some((number(&[a]), 4)),
        [first, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] if first == marker => Some((number(&[a, b]), 5)),
        [first, a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', _, ..] if first == marker => {
            Some((number(&[a, b, c]), 6))
        }
        [first, a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', d @ b'0'..=b'9', b'\r', _, ..]
            if first == marker =>
        {
            Some((number(&[a, b, c, d]), 7))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
