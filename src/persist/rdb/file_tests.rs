//! Files as Redis writes them, whole, damaged and cut short.

use proptest::prelude::*;

use super::*;

/// A file: version, what stands between, and the checksum.
fn file(version: &str, body: &[u8]) -> Vec<u8> {
    let head = [b"REDIS", version.as_bytes(), body, b"\xff"].concat();
    let sum = crc64(0, &head);
    [&head[..], &sum.to_le_bytes()].concat()
}

/// All entries, as text.
fn read(bytes: &[u8]) -> Result<Vec<String>, RdbError> {
    let mut file = RdbFile::open(bytes)?;
    let mut entries = Vec::new();
    while let Some(entry) = file.next_entry()? {
        entries.push(match entry {
            Entry::Item { database, key, value, expires_at_ms } => {
                format!("{database} {} {} {expires_at_ms:?}", key.escape_ascii(), value.escape_ascii())
            }
            Entry::Other(name) => name.to_owned(),
        });
    }
    assert_eq!(file.offset(), bytes.len() as u64);
    Ok(entries)
}

/// A file with everything that an opcode can say, and one of each type that a Redis of today writes.
fn everything() -> Vec<u8> {
    let parts: &[&[u8]] = &[
        b"\xfa\x09redis-ver\x057.4.0\xfa\x0aredis-bits\xc0\x40",
        b"\xf5\x07library",
        b"\xf7\x81\x00\x00\x00\x00\x00\x00\x00\x07\x02\x02\x01\x05\x02\x09\x03abcd\x04abcdefgh\x05\x02xy\x00",
        b"\xfe\x00\xfb\x05\x02\xf4\x05\x01\x00",
        b"\x00\x01a\x05Hello",
        b"\xfc\x10\x27\x00\x00\x00\x00\x00\x00\xf8\x05\x00\x01b\xc1\x7f\xff",
        b"\xf9\x07\x00\xc0\x07\xc3\x09@d\x01aa\xe0W\x00\x01aa",
        b"\xfd\x0a\x00\x00\x00\x00\x01c\x00",
        b"\xfe\x0f",
        b"\x00\x01d\x80\x00\x00\x00\x01x",
        b"\x01\x01k\x02\x01a\x01b",
        b"\x02\x01k\x01\xc0\x05",
        b"\x03\x01k\x03\x01a\x031.5\x01b\xfd\x01c\xfe",
        b"\x04\x01k\x01\x01f\x01v",
        b"\x05\x01k\x01\x01a\x00\x00\x00\x00\x00\x00\xf0\x3f",
        b"\x07\x01k\x81\x00\x00\x00\x00\x00\x00\x00\x09\x02\x05\x00",
        b"\xfc\x10\x27\x00\x00\x00\x00\x00\x00\x0b\x01k\x02ab",
        b"\x0e\x01k\x01\x02ab",
        b"\x0f\x01k\x01\x10aaaaaaaabbbbbbbb\x02lp\x01\x05\x06\x01\x01g\x05\x06\x01aaaaaaaabbbbbbbbcccccccc\x01\x01\x01ccccccccc\x01aaaaaaaabbbbbbbb",
        b"\x10\x01k\x02ab",
        b"\x11\x01k\x02ab",
        b"\x12\x01k\x02\x01\x02ab\x02\x03abc",
        b"\x13\x01k\x00\x01\x02\x03\x04\x05\x06\x07\x08\x00",
        b"\x15\x01k\x00\x01\x02\x03\x04\x05\x06\x07\x08\x01\x01g\x01\x02\x03\x00\x01\x01caaaaaaaabbbbbbbb\x00",
        b"\x16\x01k\x01\x05\x01f\x01v",
        b"\x18\x01kaaaaaaaa\x01\x05\x01f\x01v",
        b"\x19\x01kaaaaaaaa\x02ab",
        b"\x00\x01e\x41\x00",
    ];
    let mut body = parts.concat();
    body.extend(vec![b'v'; 256]);
    file("0012", &body)
}

#[test]
fn strings_are_read_and_the_rest_is_named() {
    let entries = read(&everything()).expect("a whole file");
    let strings: Vec<&str> = entries.iter().map(String::as_str).filter(|entry| entry.contains(' ')).collect();
    let long = format!("15 e {} None", "v".repeat(256));
    let compressed = format!("0 7 {} None", "a".repeat(100));
    let others = ["library of functions", "sorted set", "value of a module"];
    let strings: Vec<_> = strings.into_iter().filter(|entry| !others.contains(entry)).collect();
    assert_eq!(
        strings,
        ["0 a Hello None", "0 b -129 Some(10000)", &compressed, "0 c  Some(10000)", "15 d x None", &long]
    );
    let count = |name: &str| entries.iter().filter(|entry| *entry == name).count();
    assert_eq!(["list", "set", "sorted set", "hash", "stream"].map(count), [3, 2, 3, 5, 3]);
    assert_eq!(others.map(count), [1, 3, 1]);
}

#[test]
fn other_files_are_refused_by_name() {
    let text = |bytes: &[u8]| read(bytes).expect_err("refused").to_string();
    assert_eq!(text(b""), "is no dump file of Redis: it does not begin with REDIS");
    assert_eq!(text(b"ASPINE\x1a\n0011"), "is no dump file of Redis: it does not begin with REDIS");
    for version in ["0005", "0013", "0080", "abcd"] {
        assert!(text(&file(version, b"")).contains("versions 6 to 12 can be read"), "{version}");
    }
    assert_eq!(
        text(&file("0010", b"\xfe\x00\x06\x01k")),
        "is damaged at byte 14: a value of this type can't be skipped"
    );
    assert_eq!(text(&file("0010", b"\x30")), "is damaged at byte 10: no such type is known");
    assert_eq!(text(b"REDIS0010"), "is damaged at byte 9: it ends here");
    // A length that promises what no file has takes no memory.
    let vast = b"\x00\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xffabc";
    assert!(text(&file("0010", vast)).ends_with("a string is longer than any may be"));
    let vast = b"\x01\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x01a";
    assert!(text(&file("0010", vast)).contains("is damaged"));
}

#[test]
fn a_file_without_a_checksum_is_taken() {
    let mut bytes = everything();
    let end = bytes.len() - 8;
    bytes[end..].fill(0);
    assert_eq!(read(&bytes).expect("no checksum").len(), read(&everything()).expect("whole").len());
}

#[test]
fn every_byte_counts() {
    let whole = everything();
    for at in 0..whole.len() {
        assert!(read(&whole[..at]).is_err(), "cut at {at}");
        for flip in [1, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            assert!(read(&damaged).is_err(), "byte {at} by {flip}");
        }
    }
}

/// A reader that gives a few bytes at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = into.len().min(self.0.len()).min(3);
        into[..len].copy_from_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Ok(len)
    }
}

#[test]
fn strings_longer_than_a_read_are_whole() {
    let value = vec![b'x'; 3 * RDB_READ_BYTES + 1];
    let item = [b"\x00\x01k\x80", &(value.len() as u32).to_be_bytes()[..], &value].concat();
    let bytes = file("0011", &[item.clone(), item].concat());
    let mut file = RdbFile::open(&bytes[..]).expect("a head");
    assert_eq!(file.version(), 11);
    for _ in 0..2 {
        let entry = file.next_entry().expect("an item");
        assert!(matches!(entry, Some(Entry::Item { value: read, .. }) if read == value));
    }
    assert!(file.next_entry().expect("the end").is_none());
    let whole = everything();
    let mut slow = RdbFile::open(Slow(&whole)).expect("a head");
    let mut count = 0;
    while slow.next_entry().expect("whole").is_some() {
        count += 1;
    }
    assert_eq!(count, read(&whole).expect("whole").len());
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200), opcodes in prop::collection::vec(0..26u8, 0..20)) {
        let _ = read(&body);
        let _ = read(&file("0011", &body));
        // Types with what stands for their values.
        let mixed: Vec<u8> = opcodes.iter().flat_map(|opcode| [&[*opcode, 1, b'k'][..], &body].concat()).collect();
        let _ = read(&file("0012", &mixed));
    }

    #[test]
    fn damage_anywhere_is_found(at: prop::sample::Index, flip in 1..=255u8) {
        let mut damaged = everything();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        prop_assert!(read(&damaged).is_err());
    }
}
