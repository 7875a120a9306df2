//! Rdb: what Redis writes, as far as it is a string: how lengths and strings are encoded, and the checksum. Pure. Files: `file`
//! (the whole of a dump file).
//!
//! ```text
//! length   00 and 6 bits | 01 and 14 bits | 0x80, then u32 | 0x81, then u64      the highest byte first
//! string   a length, then its bytes | 0xc0 to 0xc2, then an integer of 8, 16 or 32 bits, the lowest byte first
//!          | 0xc3, then two lengths, of the compressed bytes and of the string, then bytes compressed by LZF
//! ```
//! Cost: a copy where the string is compressed or a number. Never: allocates more than compressed bytes can become.

pub mod file;

use std::borrow::Cow;

use crate::limits::{LZF_RATIO_MAX, VALUE_BYTES_MAX};

/// The number of the type of strings.
pub const TYPE_STRING: u8 = 0;

/// How a string begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// So many bytes.
    Plain(usize),
    /// An integer of so many bytes.
    Integer(usize),
    /// Bytes compressed by LZF.
    Compressed,
}

/// What Redis calls the type of a number, in whichever of its encodings; `None` for strings and for what is none.
pub fn type_name(number: u8) -> Option<&'static str> {
    match number {
        1 | 10 | 14 | 18 => Some("list"),
        2 | 11 | 20 => Some("set"),
        3 | 5 | 12 | 17 => Some("sorted set"),
        4 | 9 | 13 | 16 | 22..=25 => Some("hash"),
        6 | 7 => Some("value of a module"),
        15 | 19 | 21 => Some("stream"),
        _ => None,
    }
}

/// The string that all of the bytes encode.
pub fn string(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    match bytes {
        [0xc0..=0xc2, number @ ..] => {
            let Some(Head::Integer(len)) = head(bytes[0]) else { return None };
            (number.len() == len).then(|| Cow::Owned(integer(number)))
        }
        [0xc3, rest @ ..] => {
            let (compressed_len, rest) = length(rest)?;
            let (len, compressed) = length(rest)?;
            (compressed.len() == compressed_len).then_some(())?;
            decompressed(compressed, len).map(Cow::Owned)
        }
        _ => {
            let (len, string) = length(bytes)?;
            (string.len() == len).then_some(Cow::Borrowed(string))
        }
    }
}

/// How a string with this first byte begins, unless that is a length.
fn head(first: u8) -> Option<Head> {
    match first {
        0xc0 => Some(Head::Integer(1)),
        0xc1 => Some(Head::Integer(2)),
        0xc2 => Some(Head::Integer(4)),
        0xc3 => Some(Head::Compressed),
        _ => None,
    }
}

/// The digits of an integer of one, two or four bytes.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let number = match *bytes {
        [byte] => byte.cast_signed().into(),
        [low, high] => i16::from_le_bytes([low, high]).into(),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
        _ => 0,
    };
    number.to_string().into_bytes()
}

/// A length, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first >> 6 {
        0 => Some((first.into(), rest)),
        1 => {
            let (&low, rest) = rest.split_first()?;
            Some((usize::from(first & 0x3f) << 8 | usize::from(low), rest))
        }
        2 if first == 0x80 => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u32::from_be_bytes(*len) as usize, rest))
        }
        2 if first == 0x81 => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((usize::try_from(u64::from_be_bytes(*len)).ok()?, rest))
        }
        _ => None,
    }
}

/// What LZF has made shorter; `len` bytes.
fn decompressed(mut bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > VALUE_BYTES_MAX || len > bytes.len().saturating_mul(LZF_RATIO_MAX) {
        return None;
    }
    let mut out: Vec<u8> = Vec::with_capacity(len);
    while let Some((&control, rest)) = bytes.split_first() {
        bytes = rest;
        if control < 32 {
            let (literal, rest) = bytes.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(literal);
            bytes = rest;
        } else {
            let mut copied = usize::from(control >> 5) + 2;
            if control >> 5 == 7 {
                let (&more, rest) = bytes.split_first()?;
                copied += usize::from(more);
                bytes = rest;
            }
            let (&low, rest) = bytes.split_first()?;
            bytes = rest;
            let back = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
            let from = out.len().checked_sub(back)?;
            // What is copied may reach into what it adds.
            for at in from..from + copied {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

/// CRC-64 of Jones, as Redis computes it: reflected, from 0, not inverted. `crc`: of the bytes before.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks();
    let crc = eights.iter().fold(crc, |crc, eight| {
        let mixed = (crc ^ u64::from_le_bytes(*eight)).to_le_bytes();
        CRC64.iter().rev().zip(mixed).fold(0, |crc, (table, byte)| crc ^ table[usize::from(byte)])
    });
    rest.iter().fold(crc, |crc, byte| CRC64[0][usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// What becomes of a byte with so many bytes of zero behind it.
static CRC64: [[u64; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = (at as u64, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x95ac_9329_ac4b_c9b5 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][at] = crc;
        at += 1;
    }
    let mut behind = 1;
    while behind < 8 {
        at = 0;
        while at < 256 {
            let crc: u64 = tables[behind - 1][at];
            tables[behind][at] = tables[0][crc as usize & 0xff] ^ crc >> 8;
            at += 1;
        }
        behind += 1;
    }
    tables
};
