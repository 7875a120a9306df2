//! Slots: which core owns a key, for the server that routes by it and for clients that go straight to the owner.
//!
//! A key's slot is CRC16/XMODEM of its hash tag mod 16384, as the Redis Cluster specification has it; core
//! `slot * N / 16384` owns it, so each core owns one contiguous range. Cost: a table look-up a byte of the key, eight at a time.

use crate::limits::SLOTS;

/// A core's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreId(pub u16);

/// One of the 16384 partitions of the key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot of a key.
    #[inline]
    pub fn of(key: &[u8]) -> Slot {
        Slot(crc16(hash_tag(key)) % SLOTS)
    }

    /// The core that owns it among so many.
    #[inline]
    pub fn owner(self, cores: u16) -> CoreId {
        CoreId((u32::from(self.0) * u32::from(cores) / u32::from(SLOTS)) as u16)
    }

    /// A hash tag of the slot: the first of its shortest in the order of letters and digits, as Valkey has it. The last letter
    /// follows from those before it, so some 3,900 beginnings are tried at most, and 264 on average.
    pub fn tag(self) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        // The remainders of the slot, taken back by one byte: but for the last letter, that of the tag's beginning.
        let before: [u16; 4] = std::array::from_fn(|high| taken_back(high as u16 * SLOTS + self.0));
        let tag = |beginning: &[u8]| {
            let crc = crc16(beginning);
            let fits = before.iter().map(|before| before ^ crc).filter(|rest| rest & 0xFF == 0);
            let last = fits.map(|rest| (rest >> 8) as u8).filter(u8::is_ascii_alphanumeric).min()?;
            Some(beginning.iter().chain([&last]).copied().map(char::from).collect())
        };
        let one = || LETTERS.iter().find_map(|first| tag(&[*first]));
        let two = || LETTERS.iter().find_map(|first| LETTERS.iter().find_map(|second| tag(&[*first, *second])));
        tag(b"").or_else(one).or_else(two).expect("every slot has a tag of three letters")
    }

    /// The slots a core owns, first and last.
    pub fn range(core: CoreId, cores: u16) -> (Slot, Slot) {
        let first = |core: u32| (core * u32::from(SLOTS)).div_ceil(u32::from(cores)) as u16;
        (Slot(first(u32::from(core.0))), Slot(first(u32::from(core.0) + 1) - 1))
    }
}

/// What is hashed of a key: what stands between the first `{` and the next `}`, if anything does; else all of it.
#[inline]
fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else { return key };
    match memchr::memchr(b'}', &key[open + 1..]) {
        Some(len) if len > 0 => &key[open + 1..open + 1 + len],
        _ => key,
    }
}

/// CRC16/XMODEM: polynomial 0x1021, initial value 0, neither reflected nor inverted. Eight bytes a step: the steps of a
/// byte each wait for the one before, these look-ups do not (slicing, Kounavis and Berry, 2008).
#[inline]
fn crc16(bytes: &[u8]) -> u16 {
    let (steps, rest) = bytes.as_chunks::<8>();
    let crc = steps.iter().fold(0u16, |crc, step| {
        let [high, low] = crc.to_be_bytes();
        let folded = [step[0] ^ high, step[1] ^ low, step[2], step[3], step[4], step[5], step[6], step[7]];
        folded.iter().zip(CRC16_TABLES.iter().rev()).fold(0, |crc, (byte, table)| crc ^ table[usize::from(*byte)])
    });
    rest.iter().fold(crc, |crc, byte| crc << 8 ^ CRC16_TABLES[0][usize::from((crc >> 8) as u8 ^ byte)])
}

/// The remainder before the eight steps of a byte that led to this one, with that byte in its high half.
fn taken_back(crc: u16) -> u16 {
    (0..8).fold(crc, |crc, _| if crc & 1 == 0 { crc >> 1 } else { (crc ^ 0x1021) >> 1 | 0x8000 })
}

/// In row `n` what a byte adds to the remainder when `n` more follow.
static CRC16_TABLES: [[u16; 256]; 8] = {
    let mut tables = [[0u16; 256]; 8];
    let mut at = 0;
    while at < 256 {
        let mut crc = (at as u16) << 8;
        let mut row = 0;
        while row < 8 {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
                bit += 1;
            }
            tables[row][at] = crc;
            row += 1;
        }
        at += 1;
    }
    tables
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // The check value of the specification, and slots that redis-server 7.0 gave with CLUSTER KEYSLOT.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        let bytewise = |bytes: &[u8]| {
            bytes.iter().fold(0u16, |crc, byte| {
                (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| (crc << 1) ^ ((crc >> 15) * 0x1021))
            })
        };
        let text: Vec<u8> = (0..100u8).map(|at| at.wrapping_mul(167)).collect();
        for len in 0..text.len() {
            assert_eq!(crc16(&text[..len]), bytewise(&text[..len]), "{len} bytes");
        }
        let cases: [(&[u8], u16); 7] = [
            (b"", 0),
            (b"foo", 12182),
            (b"bar", 5061),
            (b"{user1000}.following", 3443),
            (b"{user1000}.followers", 3443),
            (b"foo{}{bar}", 8363),
            (b"foo{{bar}}zap", 4015),
        ];
        for (key, slot) in cases {
            assert_eq!(Slot::of(key), Slot(slot), "{:?}", key.escape_ascii().to_string());
        }
    }

    #[test]
    fn every_slot_has_a_tag() {
        for (slot, tag) in
            [(0, "06S"), (1, "Qi"), (6, "1Y7"), (100, "0or"), (8192, "8YG"), (16000, "he"), (16383, "6ZJ")]
        {
            assert_eq!(Slot(slot).tag(), tag, "as Valkey has it");
        }
        // The first of all tags in their order, by trying them one after the other.
        let letters = || (b'0'..=b'z').filter(u8::is_ascii_alphanumeric).map(char::from);
        let longer = |tag: String| letters().map(move |letter| format!("{tag}{letter}"));
        let (ones, twos) = (longer(String::new()), longer(String::new()).flat_map(longer));
        let threes = longer(String::new()).flat_map(longer).flat_map(longer);
        let mut first: Vec<Option<String>> = vec![None; usize::from(SLOTS)];
        for tag in ones.chain(twos).chain(threes) {
            first[usize::from(Slot::of(tag.as_bytes()).0)].get_or_insert(tag);
        }
        for (slot, tag) in (0..SLOTS).map(Slot).zip(first) {
            assert_eq!(Some(slot.tag()), tag, "{slot:?}");
        }
    }

    #[test]
    fn every_slot_has_one_owner_and_ranges_say_which() {
        for cores in [1, 2, 3, 5, 7, 64, 1000, SLOTS] {
            let mut next = 0;
            for core in (0..cores).map(CoreId) {
                let (first, last) = Slot::range(core, cores);
                assert_eq!(first, Slot(next), "core {} of {cores}", core.0);
                assert!(last >= first);
                assert_eq!((first.owner(cores), last.owner(cores)), (core, core));
                next = last.0 + 1;
            }
            assert_eq!(next, SLOTS);
        }
    }
}
