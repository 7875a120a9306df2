//! Record: one item as bytes. Encoded in parts, so that a long value need not be written in one go.

use bincode::config::standard;

use super::format::{Damage, u32_at};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Bytes of the length before each record.
pub const LEN_BYTES: usize = 4;

/// Bytes of a record besides key and value, at most: four numbers.
const NUMBERS_BYTES_MAX: usize = 4 * 9;

/// One item of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Unix milliseconds from which on it is gone, if it has a TTL.
    pub expires_at_ms: Option<u64>,
    /// Unix seconds of its last access.
    pub accessed_s: u64,
}

impl<'a> Record<'a> {
    /// Everything before the value's bytes, its length included, given to `put` in order.
    pub fn write_head(&self, mut put: impl FnMut(&[u8])) {
        let mut front = [0; NUMBERS_BYTES_MAX];
        let front_len = encode((self.expires_at_ms.unwrap_or(0), self.accessed_s, self.key.len()), &mut front);
        let mut back = [0; NUMBERS_BYTES_MAX];
        let back_len = encode(self.value.len(), &mut back);
        let len = front_len + self.key.len() + back_len + self.value.len();
        put(&(len as u32).to_le_bytes());
        put(&front[..front_len]);
        put(self.key);
        put(&back[..back_len]);
    }

    /// From the bytes behind a record's length.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Record<'a>, Damage> {
        type Fields<'a> = (u64, u64, &'a [u8], &'a [u8]);
        let decoded = bincode::borrow_decode_from_slice::<Fields<'a>, _>(bytes, standard());
        let ((deadline_ms, accessed_s, key, value), len) = decoded.map_err(|_| "a record does not decode")?;
        if len != bytes.len() {
            return Err("a record is longer than its fields");
        }
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err("a key or value is longer than any may be");
        }
        Ok(Record { key, value, expires_at_ms: (deadline_ms > 0).then_some(deadline_ms), accessed_s })
    }
}

/// The length of the record whose length stands at the beginning of `bytes`, that of its length included. `None` if even
/// that is not there.
pub fn framed_len(bytes: &[u8]) -> Result<Option<usize>, Damage> {
    if bytes.len() < LEN_BYTES {
        return Ok(None);
    }
    let len = u32_at(bytes, 0) as usize;
    if len > KEY_BYTES_MAX + VALUE_BYTES_MAX + NUMBERS_BYTES_MAX {
        return Err("a record says that it is longer than records are");
    }
    Ok(Some(LEN_BYTES + len))
}

fn encode(numbers: impl bincode::Encode, out: &mut [u8]) -> usize {
    // Four numbers of nine bytes at most, for which there is room.
    bincode::encode_into_slice(numbers, out, standard()).unwrap_or_default()
}
