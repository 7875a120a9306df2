//! Rdb: the payload of Redis's DUMP, as far as it is a string; `persist/rdb` has the encodings. Pure. Cost: a pass for the
//! checksum, eight bytes at a time, and a copy where the string is compressed or a number.
//!
//! ```text
//! | type 1 | length or encoding | string | version 2 | CRC64 8 |      numbers with the lowest byte first, lengths with the highest
//! ```
//!
//! Strings have been encoded alike in every version so far: as they are, as an integer of 8, 16 or 32 bits, or compressed
//! by LZF. Never: takes a payload whose checksum is wrong, or allocates more than compressed bytes can become.

use std::borrow::Cow;

use crate::command::Error;
use crate::limits::RDB_VERSION_MAX;
use crate::persist::rdb::{TYPE_STRING, crc64, string, type_name};

/// The string in a payload of Redis's DUMP.
pub(super) fn string_of_payload(payload: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let (head, checksum) = payload.split_last_chunk::<8>().ok_or(Error::DumpPayload)?;
    let (body, version) = head.split_last_chunk::<2>().ok_or(Error::DumpPayload)?;
    if u16::from_le_bytes(*version) > RDB_VERSION_MAX || crc64(0, head) != u64::from_le_bytes(*checksum) {
        return Err(Error::DumpPayload);
    }
    match body {
        [TYPE_STRING, encoded @ ..] => string(encoded).ok_or(Error::DumpData),
        [other, ..] => Err(type_name(*other).map_or(Error::DumpData, Error::DumpType)),
        [] => Err(Error::DumpData),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Payloads of redis-server 7.0.15, and their strings.
    fn payloads() -> Vec<(&'static [u8], Vec<u8>)> {
        vec![
            (b"\x00\x05Hello\x0a\x00\xbc\xc9\xf7\xe8=\x05\xff\x83", b"Hello".to_vec()),
            (b"\x00\x00\x0a\x00]\x9b\x5c@\x0f\x7f\xa2\xda", Vec::new()),
            (b"\x00\xc0\x07\x0a\x00t\xcdH\xa2\x83\xab\xce\x92", b"7".to_vec()),
            (b"\x00\xc1\x7f\xff\x0a\x00\x17`\x82(T\x80\x84\x80", b"-129".to_vec()),
            (b"\x00\xc2p\x11\x01\x00\x0a\x00\x01\xa4\x08\xfe\x950\x95\xa5", b"70000".to_vec()),
            (b"\x00\x139223372036854775807\x0a\x00:e~\x94\x81\xe8_\x22", b"9223372036854775807".to_vec()),
            (b"\x00\xc3\x09@d\x01aa\xe0W\x00\x01aa\x0a\x00\xe8\xa3\xb5\x07\xb0m\xf2q", vec![b'a'; 100]),
            (
                b"\x00\xc3\x17@x\x0a01234567890\xe02\x09\x00x\xe0&\x00\x01xx\x0a\x00a\xb2\x95\xc9l}oy",
                [b"0123456789".repeat(7), vec![b'x'; 50]].concat(),
            ),
        ]
    }

    fn with_checksum(body: &[u8]) -> Vec<u8> {
        let head = [body, &10u16.to_le_bytes()].concat();
        let checksum = crc64(0, &head);
        [&head[..], &checksum.to_le_bytes()].concat()
    }

    #[test]
    fn strings_of_redis_are_read() {
        // The check value that Redis's own test has.
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let in_parts = b"12345678".iter().fold(0, |crc, byte| crc64(crc, &[*byte]));
        assert_eq!(crc64(0, b"12345678"), in_parts, "bytes alone, and eight at a time");
        for (payload, string) in payloads() {
            assert_eq!(string_of_payload(payload).as_deref(), Ok(&string[..]), "{}", payload.escape_ascii());
        }
        let long = vec![b'v'; 20_000];
        let payload = with_checksum(&[b"\x00\x80\x00\x00N ", &long[..]].concat());
        assert_eq!(string_of_payload(&payload).as_deref(), Ok(&long[..]));
        let payload = with_checksum(&[b"\x00\x81\x00\x00\x00\x00\x00\x00N ", &long[..]].concat());
        assert_eq!(string_of_payload(&payload).as_deref(), Ok(&long[..]));
    }

    #[test]
    fn other_types_and_other_versions_are_refused() {
        let list = b"\x12\x01\x02\x0a\x0a\x00\x00\x00\x01\x00\x81x\x02\xff\x0a\x00\xd1{?\xb8\x5c\x03\x06\x0e";
        assert_eq!(string_of_payload(list), Err(Error::DumpType("list")));
        assert_eq!(string_of_payload(&with_checksum(b"\xffx")), Err(Error::DumpData));
        let head = [&b"\x00\x01v"[..], &(RDB_VERSION_MAX + 1).to_le_bytes()].concat();
        let payload = [&head[..], &crc64(0, &head).to_le_bytes()].concat();
        assert_eq!(string_of_payload(&payload), Err(Error::DumpPayload));
        // Lengths that promise more than there is, and copies from before the beginning.
        for body in [
            &b"\x00"[..],
            b"\x00\x05Hell",
            b"\x00\x05Hello!",
            b"\x00\xc0",
            b"\x00\xc4\x00",
            b"\x00\xc3\x02\xbf\xff\xff\xff\xff\x00a",
            b"\x00\xc3\x02\x03\x20\x00",
            b"\x00\xc3\x02\x02\x00a",
            b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffv",
        ] {
            assert_eq!(string_of_payload(&with_checksum(body)), Err(Error::DumpData), "{}", body.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn damaged_payloads_are_refused(which in 0..8usize, at: prop::sample::Index, flip in 1..=255u8) {
            let whole = payloads()[which].0.to_vec();
            let at = at.index(whole.len());
            prop_assert_eq!(string_of_payload(&whole[..at]), Err(Error::DumpPayload), "cut short");
            let mut damaged = whole;
            damaged[at] ^= flip;
            prop_assert_eq!(string_of_payload(&damaged), Err(Error::DumpPayload), "damaged");
        }

        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = string_of_payload(&body);
            let _ = string_of_payload(&with_checksum(&body));
            let _ = string_of_payload(&with_checksum(&[&b"\x00\xc3"[..], &body].concat()));
        }
    }
}
