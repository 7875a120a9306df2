//! Record: the encoding of one item. Head and value are encoded apart, so that a long value can be written in slices.

use bincode::config::standard;

use super::format::{Damage, u32_at};
use crate::limits::{DATABASES, KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Bytes of the length before each record.
pub const LEN_BYTES: usize = 4;

/// The database stands above the seconds of the last access, so that an item of database 0 is encoded as it was before
/// there were others.
const DATABASE_SHIFT: u32 = 48;

/// Bytes of a record besides key and value at most: four numbers.
const NUMBERS_BYTES_MAX: usize = 4 * 9;

/// One item of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The number of the item's database.
    pub database: u8,
    /// The key of the item.
    pub key: &'a [u8],
    /// The value of the item.
    pub value: &'a [u8],
    /// The deadline in unix milliseconds, if the item has a TTL.
    pub expires_at_ms: Option<u64>,
    /// The last access in unix seconds.
    pub accessed_s: u64,
}

impl<'a> Record<'a> {
    /// Encodes everything before the value's bytes, its length included, and passes it to `put` in order.
    pub fn write_head(&self, mut put: impl FnMut(&[u8])) {
        let mut front = [0; NUMBERS_BYTES_MAX];
        let accessed = self.accessed_s.min((1 << DATABASE_SHIFT) - 1) | u64::from(self.database) << DATABASE_SHIFT;
        let front_len = encode((self.expires_at_ms.unwrap_or(0), accessed, self.key.len()), &mut front);
        let mut back = [0; NUMBERS_BYTES_MAX];
        let back_len = encode(self.value.len(), &mut back);
        let len = front_len + self.key.len() + back_len + self.value.len();
        put(&(len as u32).to_le_bytes());
        put(&front[..front_len]);
        put(self.key);
        put(&back[..back_len]);
    }

    /// Decodes the bytes behind a record's length.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Record<'a>, Damage> {
        type Fields<'a> = (u64, u64, &'a [u8], &'a [u8]);
        let decoded = bincode::borrow_decode_from_slice::<Fields<'a>, _>(bytes, standard());
        let ((deadline_ms, accessed, key, value), len) = decoded.map_err(|_| "a record does not decode")?;
        if len != bytes.len() {
            return Err("a record is longer than its fields");
        }
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err("a key or value is longer than allowed");
        }
        let database =
            u8::try_from(accessed >> DATABASE_SHIFT).ok().filter(|database| u32::from(*database) < DATABASES);
        let database = database.ok_or("a record's database is beyond the limit")?;
        let accessed_s = accessed & ((1 << DATABASE_SHIFT) - 1);
        Ok(Record { database, key, value, expires_at_ms: (deadline_ms > 0).then_some(deadline_ms), accessed_s })
    }
}

/// The framed length of the record at the start of `bytes`: with the bytes of the length itself. `None` if those are
/// incomplete.
pub fn framed_len(bytes: &[u8]) -> Result<Option<usize>, Damage> {
    if bytes.len() < LEN_BYTES {
        return Ok(None);
    }
    let len = u32_at(bytes, 0) as usize;
    if len > KEY_BYTES_MAX + VALUE_BYTES_MAX + NUMBERS_BYTES_MAX {
        return Err("a record's length is beyond the limit");
    }
    Ok(Some(LEN_BYTES + len))
}

fn encode(numbers: impl bincode::Encode, out: &mut [u8]) -> usize {
    // There is room for four numbers of nine bytes at most.
    bincode::encode_into_slice(numbers, out, standard()).unwrap_or_default()
}
