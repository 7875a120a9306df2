//! Reply writer: values as bytes, for RESP2 and RESP3. Callers name the value; this file alone knows how each version
//! encodes it.
//!
//! Owner: the owner of the output (a session, a reply batch). Cost: one growth check and two copies for a string,
//! one of each for anything else; no allocation but the output's own growth.
//! Never: checks that an aggregate gets as many elements as its head announced (that is the caller's).

use super::error::ProtocolError;
use super::number::{fill_digits, push_f64, push_i64};

/// `+OK`, in both versions.
pub const OK: &[u8] = b"+OK\r\n";
/// `+PONG`, in both versions.
pub const PONG: &[u8] = b"+PONG\r\n";
/// `+QUEUED`, in both versions.
pub const QUEUED: &[u8] = b"+QUEUED\r\n";
/// The integer 0, in both versions.
pub const ZERO: &[u8] = b":0\r\n";
/// The integer 1, in both versions.
pub const ONE: &[u8] = b":1\r\n";
/// A string of no bytes, in both versions.
pub const EMPTY_BULK: &[u8] = b"$0\r\n\r\n";
/// An array of no elements, in both versions.
pub const EMPTY_ARRAY: &[u8] = b"*0\r\n";
/// Null, in RESP3.
pub const NULL: &[u8] = b"_\r\n";
/// The null string, in RESP2.
pub const NULL_BULK: &[u8] = b"$-1\r\n";
/// The null array, in RESP2.
pub const NULL_ARRAY: &[u8] = b"*-1\r\n";

/// Bytes of the longest head: a marker, 20 digits, CRLF.
const HEAD_BYTES_MAX: usize = 1 + 20 + 2;

/// The version of the protocol that a session speaks; `HELLO` switches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proto {
    /// RESP2, which every connection begins with.
    #[default]
    Resp2,
    /// RESP3, with maps, sets, doubles, booleans, null and pushes.
    Resp3,
}

/// Appends replies to `out` in the encoding of `proto`.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    proto: Proto,
}

impl<'a> Writer<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, proto: Proto) -> Self {
        Self { out, proto }
    }

    /// The protocol version of this writer.
    #[inline]
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// A writer of the same output in another protocol version: HELLO answers in the one it switches to.
    pub fn with_proto(&mut self, proto: Proto) -> Writer<'_> {
        Writer { out: self.out, proto }
    }

    /// Appends `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(OK);
    }

    /// Appends an encoded reply, such as [`OK`].
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    /// Appends a status. Line ends in it become spaces.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// Appends an error, its code first (`ERR …`). Line ends at both ends are dropped, and become spaces inside.
    #[inline]
    pub fn error(&mut self, text: &str) {
        if text.is_ascii() {
            return self.error_bytes(text.as_bytes());
        }
        // Quoted bytes of a client are one character each (Latin-1), so that every byte is returned unchanged.
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
        self.error_bytes(&bytes);
    }

    /// As [`error`](Self::error), for a text that quotes what a client sent.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.line(b'-', trim_line_ends(text));
    }

    /// Appends the error of a request that could not be parsed, byte for byte as Redis does.
    pub fn protocol_error(&mut self, error: ProtocolError) {
        match error {
            // Display would turn a byte beyond ASCII into two.
            ProtocolError::ExpectedDollar(byte) => {
                self.error_bytes(&[b"ERR Protocol error: expected '$', got '".as_slice(), &[byte], b"'"].concat());
            }
            other => self.error(&format!("ERR {other}")),
        }
    }

    /// Appends an integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        if value >= 0 {
            return self.head(b':', value.unsigned_abs());
        }
        self.out.push(b':');
        push_i64(self.out, value);
        self.crlf();
    }

    /// Appends a string.
    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        self.out.reserve(HEAD_BYTES_MAX + value.len() + 2);
        self.head(b'$', value.len() as u64);
        self.out.extend_from_slice(value);
        self.crlf();
    }

    /// Appends null. RESP2: the null string.
    #[inline]
    pub fn null(&mut self) {
        self.raw(self.choose(NULL_BULK, NULL));
    }

    /// Appends null in place of an array. RESP2: the null array.
    #[inline]
    pub fn null_array(&mut self) {
        self.raw(self.choose(NULL_ARRAY, NULL));
    }

    /// Appends the head of an array of `len` elements, which follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.head(b'*', len as u64);
    }

    /// Appends the head of a map: `pairs` keys, each followed by its value. RESP2: an array of twice as many.
    pub fn map(&mut self, pairs: usize) {
        match self.proto {
            Proto::Resp2 => self.head(b'*', pairs as u64 * 2),
            Proto::Resp3 => self.head(b'%', pairs as u64),
        }
    }

    /// Appends the head of a set. RESP2: an array.
    pub fn set(&mut self, len: usize) {
        self.head(self.choose(b'*', b'~'), len as u64);
    }

    /// Appends the head of a push, such as a message. RESP2: an array.
    #[inline]
    pub fn push(&mut self, len: usize) {
        self.head(self.choose(b'*', b'>'), len as u64);
    }

    /// Appends a double, as Redis 7.2 prints it. RESP2: a string.
    pub fn double(&mut self, value: f64) {
        let begin = self.out.len();
        if self.proto == Proto::Resp3 {
            self.out.push(b',');
        }
        push_f64(self.out, value);
        if self.proto == Proto::Resp2 {
            // The length of the text is known only now: the head is written behind it and the two are swapped.
            let len = self.out.len() - begin;
            self.head(b'$', len as u64);
            self.out[begin..].rotate_left(len);
        }
        self.crlf();
    }

    /// Appends a double by its text. RESP2: a string.
    pub fn decimal(&mut self, text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => self.line(b',', text),
        }
    }

    /// Appends a boolean. RESP2: 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        self.raw(match (self.proto, value) {
            (Proto::Resp2, false) => ZERO,
            (Proto::Resp2, true) => ONE,
            (Proto::Resp3, false) => b"#f\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
        });
    }

    /// Appends a text for people, as INFO does. RESP2: a string.
    pub fn verbatim(&mut self, text: &[u8]) {
        if self.proto == Proto::Resp2 {
            return self.bulk(text);
        }
        self.out.reserve(HEAD_BYTES_MAX + 4 + text.len() + 2);
        self.head(b'=', text.len() as u64 + 4);
        self.raw(b"txt:");
        self.raw(text);
        self.crlf();
    }

    /// Appends an integer of any size, given in decimal. RESP2: a string.
    pub fn big_number(&mut self, decimal: &str) {
        match self.proto {
            Proto::Resp2 => self.bulk(decimal.as_bytes()),
            Proto::Resp3 => self.line(b'(', decimal.as_bytes()),
        }
    }

    #[inline]
    fn choose<T>(&self, resp2: T, resp3: T) -> T {
        match self.proto {
            Proto::Resp2 => resp2,
            Proto::Resp3 => resp3,
        }
    }

    /// Appends `<marker><number>CRLF`. Most numbers have one digit or two: a copy of constant length is a store.
    #[inline]
    fn head(&mut self, marker: u8, number: u64) {
        match number {
            0..10 => self.out.extend_from_slice(&[marker, b'0' + number as u8, b'\r', b'\n']),
            10..100 => {
                let (tens, ones) = (b'0' + (number / 10) as u8, b'0' + (number % 10) as u8);
                self.out.extend_from_slice(&[marker, tens, ones, b'\r', b'\n']);
            }
            _ => self.long_head(marker, number),
        }
    }

    /// The same for any number, assembled on the stack and copied once.
    fn long_head(&mut self, marker: u8, number: u64) {
        let mut head = [0; HEAD_BYTES_MAX];
        head[HEAD_BYTES_MAX - 2..].copy_from_slice(b"\r\n");
        let at = fill_digits(&mut head, HEAD_BYTES_MAX - 2, number) - 1;
        head[at] = marker;
        self.out.extend_from_slice(&head[at..]);
    }

    /// Appends `<marker><text>CRLF`, with the text on one line.
    fn line(&mut self, marker: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.push(marker);
        let begin = self.out.len();
        self.out.extend_from_slice(text);
        for byte in &mut self.out[begin..] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.crlf();
    }

    #[inline]
    fn crlf(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

fn trim_line_ends(mut text: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] | [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
