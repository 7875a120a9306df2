//! Numbers as text, both ways, with Redis's strictness and Redis's spelling.
//!
//! Cost: a digit loop, no formatting machinery for integers, no allocation beyond the output's growth.

use std::fmt::Write;

/// Longest text of an integer: `-9223372036854775808`.
const INTEGER_CHARS_MAX: usize = 20;

/// Reads a decimal integer as Redis's `string2ll`: no plus sign, no leading zero, no space, no `-0`, no overflow.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() < INTEGER_CHARS_MAX => {}
        _ => return None,
    }
    // 19 digits at most: below 10^19, which a u64 holds.
    let mut magnitude = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// An integer in decimal, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct IntegerText {
    text: [u8; INTEGER_CHARS_MAX],
    begin: usize,
}

impl IntegerText {
    /// The text of `value`.
    #[inline]
    pub fn new(value: i64) -> Self {
        let mut text = [0; INTEGER_CHARS_MAX];
        let mut begin = fill_digits(&mut text, INTEGER_CHARS_MAX, value.unsigned_abs());
        if value < 0 {
            begin -= 1;
            text[begin] = b'-';
        }
        Self { text, begin }
    }

    /// The characters of the integer.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.begin..]
    }
}

/// Appends `value` in decimal.
#[inline]
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(IntegerText::new(value).as_bytes());
}

/// Appends `value` as Redis 7.2 prints doubles: the shortest digits that read back as the same number (Redis's own may
/// rarely be one longer), plain where that is short and with an exponent otherwise; `inf`, `-inf`, `nan`.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value.is_infinite() {
        return out.extend_from_slice(b"inf");
    }
    // `{:e}` gives the shortest digits, as d.ddde-x.
    let mut text = ShortText::default();
    let written = write!(text, "{:e}", value.abs());
    debug_assert!(written.is_ok());
    let (digits, exponent) = text.digits_and_exponent();
    push_digits(out, digits, exponent);
}

/// Writes the decimal digits of `value` so that they end before `end`; returns where they begin. `text` has room.
#[inline]
pub(super) fn fill_digits(text: &mut [u8], end: usize, mut value: u64) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return at;
        }
    }
}

/// Lays out `digits` (no point, no trailing zero) times a power of ten, the first digit standing for 10^`exponent`.
/// The rule when to use which form is that of the `fpconv` Redis carries.
fn push_digits(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let count = digits.len() as i32;
    // The power of ten of the last digit.
    let scale = exponent - (count - 1);
    if scale >= 0 && exponent < count + 7 {
        out.extend_from_slice(digits);
        out.resize(out.len() + scale as usize, b'0');
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        let (whole, fraction) = digits.split_at((exponent + 1).clamp(0, count) as usize);
        out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
        out.push(b'.');
        out.resize(out.len() + (-1 - exponent).max(0) as usize, b'0');
        out.extend_from_slice(fraction);
    } else {
        let (first, rest) = digits.split_at(1);
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        push_i64(out, i64::from(exponent.unsigned_abs()));
    }
}

/// Room for one double as `{:e}` prints it: at most 17 digits, a point, `e-324`.
#[derive(Default)]
struct ShortText {
    bytes: [u8; 32],
    len: usize,
}

impl ShortText {
    /// Splits `d.ddde-x` into its digits, moved together, and the exponent.
    fn digits_and_exponent(&mut self) -> (&[u8], i32) {
        let text = &mut self.bytes[..self.len];
        let e = memchr::memchr(b'e', text).unwrap_or(text.len());
        let exponent = text.get(e + 1..).and_then(parse_i64).unwrap_or(0) as i32;
        if e < 2 {
            return (&text[..e.max(1)], exponent);
        }
        // Over the point: the first digit moves right, into its place.
        text[1] = text[0];
        (&text[1..e], exponent)
    }
}

impl Write for ShortText {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let end = self.len + part.len();
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
#[path = "number_tests.rs"]
mod tests;
