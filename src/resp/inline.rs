//! Inline requests: a line typed by hand, split into words with the quoting rules of Redis's `sdssplitargs`.
//!
//! `"..."` knows `\n \r \t \b \a \xHH` and `\` before anything else; `'...'` knows only `\'`. A closing quote ends
//! the word and must be followed by a space or the end. Outside quotes a backslash is an ordinary byte.
//! Cost: one pass; the words are copied to `scratch`, which never holds more bytes than the line.
//! A NUL is an ordinary byte here (Redis, which reads C strings, never sees the end of such a line).

use super::args::Span;
use super::error::ProtocolError;

/// Appends the words of `line` (without its line end) to `scratch`, and to `spans` where in `scratch` they are.
pub(super) fn split(line: &[u8], scratch: &mut Vec<u8>, spans: &mut Vec<Span>) -> Result<(), ProtocolError> {
    let mut rest = line;
    loop {
        rest = skip_spaces(rest);
        if rest.is_empty() {
            return Ok(());
        }
        let start = scratch.len();
        rest = word(rest, scratch).ok_or(ProtocolError::UnbalancedQuotes)?;
        // A line is at most `INLINE_BYTES_MAX` long, so both fit.
        spans.push(Span { start: start as u32, len: (scratch.len() - start) as u32 });
    }
}

/// Copies one word and returns what follows it; `None` if a quote is not closed as it must be.
fn word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match *rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(rest),
            [b'"', ref tail @ ..] => return double_quoted(tail, out),
            [b'\'', ref tail @ ..] => return single_quoted(tail, out),
            [byte, ref tail @ ..] => {
                out.push(byte);
                rest = tail;
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let byte;
        (byte, rest) = match *rest {
            [] => return None,
            [b'"', ref tail @ ..] => return closed(tail),
            [b'\\', b'x', high, low, ref tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(high) << 4 | hex(low), tail)
            }
            [b'\\', escaped, ref tail @ ..] => (unescape(escaped), tail),
            [plain, ref tail @ ..] => (plain, tail),
        };
        out.push(byte);
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let byte;
        (byte, rest) = match *rest {
            [] => return None,
            [b'\'', ref tail @ ..] => return closed(tail),
            [b'\\', b'\'', ref tail @ ..] => (b'\'', tail),
            [plain, ref tail @ ..] => (plain, tail),
        };
        out.push(byte);
    }
}

/// What follows a closing quote: a space or nothing.
fn closed(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|&byte| is_space(byte)).then_some(rest)
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// C's `isspace`: more than what ends an unquoted word.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn skip_spaces(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().take_while(|&&byte| is_space(byte)).count();
    bytes.get(spaces..).unwrap_or_default()
}
