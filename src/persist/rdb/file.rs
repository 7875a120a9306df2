//! File: a dump file of Redis (RDB), read from its beginning to its checksum: its strings, and how many of what else there is.
//!
//! ```text
//! "REDIS" | version, 4 digits | opcodes and items … | 0xff | CRC64 8
//! opcode   0xfa two strings: about the file      0xfb two lengths: sizes       0xfe a length: the database of what follows
//!          0xfc u64: milliseconds, 0xfd u32: seconds, at which the next item expires    0xf8 a length, 0xf9 a byte: its use
//!          0xf7 data of a module    0xf5 a string: a library of functions      0xf4 three lengths: a slot
//! item     type 1 | key, a string | value, by its type
//! ```
//! Cost: a buffer as long as the longest string. Never: trusts a length; allocates more than has arrived.

use std::fmt;
use std::io::{self, Read};

use super::{Head, TYPE_STRING, crc64, decompressed, head, integer, type_name};
use crate::limits::{COMMAND_BYTES_MAX, RDB_READ_BYTES, RDB_VERSION_MAX, RDB_VERSION_MIN};

/// The reason why a file can't be read.
#[derive(Debug)]
pub enum RdbError {
    /// Reading failed.
    Io(io::Error),
    /// The file does not begin as a dump file does.
    NoRdb,
    /// The version is one that is not known here.
    Version(String),
    /// What stands at this offset can't be, or the file ends there.
    Damaged {
        /// In bytes from the beginning.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
}

impl fmt::Display for RdbError {
    /// Continues a sentence that begins with the file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RdbError::Io(error) => write!(f, "can't be read: {error}"),
            RdbError::NoRdb => f.write_str("is no dump file of Redis: it does not begin with REDIS"),
            RdbError::Version(version) => write!(
                f,
                "is of RDB version {version}, and versions {RDB_VERSION_MIN} to {RDB_VERSION_MAX} can be read"
            ),
            RdbError::Damaged { offset, why } => write!(f, "is damaged at byte {offset}: {why}"),
        }
    }
}

impl std::error::Error for RdbError {}

impl From<io::Error> for RdbError {
    fn from(error: io::Error) -> RdbError {
        RdbError::Io(error)
    }
}

/// What a file holds, one by one.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A string.
    Item {
        /// The number of its database.
        database: u64,
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// Unix time in milliseconds.
        expires_at_ms: Option<u64>,
    },
    /// Something else: what Redis calls its type.
    Other(&'static str),
}

/// A dump file that is being read.
#[derive(Debug)]
pub struct RdbFile<R> {
    input: Input<R>,
    version: u16,
    database: u64,
    expires_at_ms: Option<u64>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<R: Read> RdbFile<R> {
    /// Reads the beginning of a file.
    pub fn open(reader: R) -> Result<RdbFile<R>, RdbError> {
        let mut input = Input::new(reader);
        if input.take(5).map_or(true, |magic| magic != b"REDIS") {
            return Err(RdbError::NoRdb);
        }
        let digits = String::from_utf8_lossy(input.take(4)?).into_owned();
        let known = RDB_VERSION_MIN..=RDB_VERSION_MAX;
        let version = digits.parse().ok().filter(|version| known.contains(version));
        let version = version.ok_or(RdbError::Version(digits))?;
        Ok(RdbFile { input, version, database: 0, expires_at_ms: None, key: Vec::new(), value: Vec::new() })
    }

    /// The RDB version.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Bytes that have been read.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// The next of what is in the file; `None` at its end, when its checksum is right.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, RdbError> {
        loop {
            let opcode = self.input.byte()?;
            match opcode {
                0xff => return self.end().map(|()| None),
                0xfe => self.database = self.input.length()?,
                0xfd => {
                    let seconds = u32::from_le_bytes(self.input.array()?);
                    self.expires_at_ms = Some(u64::from(seconds) * 1000);
                }
                0xfc => self.expires_at_ms = Some(u64::from_le_bytes(self.input.array()?)),
                0xfb => self.input.skip_lengths(2)?,
                0xfa => self.input.skip_strings(2)?,
                0xf9 => drop(self.input.byte()?),
                0xf8 => self.input.skip_lengths(1)?,
                0xf7 => {
                    self.input.skip_lengths(3)?;
                    self.input.skip_module()?;
                }
                0xf5 => {
                    self.input.skip_strings(1)?;
                    return Ok(Some(Entry::Other("library of functions")));
                }
                0xf4 => self.input.skip_lengths(3)?,
                TYPE_STRING => {
                    self.input.string(&mut self.key)?;
                    self.input.string(&mut self.value)?;
                    let RdbFile { database, key, value, .. } = self;
                    let expires_at_ms = self.expires_at_ms.take();
                    return Ok(Some(Entry::Item { database: *database, key, value, expires_at_ms }));
                }
                other => {
                    let Some(name) = type_name(other) else {
                        return Err(self.input.damaged("no such type is known"));
                    };
                    self.expires_at_ms = None;
                    self.input.skip_strings(1)?;
                    self.input.skip_value(other)?;
                    return Ok(Some(Entry::Other(name)));
                }
            }
        }
    }

    /// Compares the checksum. A Redis that was told to write none writes zero.
    fn end(&mut self) -> Result<(), RdbError> {
        let computed = self.input.checksum();
        let stored = u64::from_le_bytes(self.input.array()?);
        if stored != 0 && stored != computed {
            return Err(self.input.damaged("its checksum is wrong"));
        }
        Ok(())
    }
}

/// Bytes of a file, checked by their sum.
#[derive(Debug)]
struct Input<R> {
    reader: R,
    /// Read and not taken from `at` on; those before `summed` are in `sum`.
    buffer: Vec<u8>,
    at: usize,
    summed: usize,
    sum: u64,
    /// Bytes before the buffer.
    before: u64,
}

impl<R: Read> Input<R> {
    fn new(reader: R) -> Input<R> {
        Input { reader, buffer: Vec::new(), at: 0, summed: 0, sum: 0, before: 0 }
    }

    fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    fn damaged(&self, why: &'static str) -> RdbError {
        RdbError::Damaged { offset: self.offset(), why }
    }

    /// The checksum of all that was taken.
    fn checksum(&mut self) -> u64 {
        self.sum = crc64(self.sum, &self.buffer[self.summed..self.at]);
        self.summed = self.at;
        self.sum
    }

    /// Has so many bytes in the buffer, or as many as there are.
    fn fill(&mut self, bytes: usize) -> Result<(), RdbError> {
        self.checksum();
        self.before += self.at as u64;
        self.buffer.drain(..self.at);
        (self.at, self.summed) = (0, 0);
        while self.buffer.len() < bytes {
            let more = (bytes - self.buffer.len()).clamp(RDB_READ_BYTES, RDB_READ_BYTES * 16);
            if self.reader.by_ref().take(more as u64).read_to_end(&mut self.buffer)? == 0 {
                return Err(RdbError::Damaged { offset: self.before + self.buffer.len() as u64, why: "it ends here" });
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], RdbError> {
        if self.buffer.len() - self.at < bytes {
            self.fill(bytes)?;
        }
        self.at += bytes;
        Ok(&self.buffer[self.at - bytes..self.at])
    }

    fn skip(&mut self, bytes: u64) -> Result<(), RdbError> {
        let mut left = bytes;
        while left > 0 {
            if self.at == self.buffer.len() {
                self.fill(1)?;
            }
            let some = left.min((self.buffer.len() - self.at) as u64);
            self.at += some as usize;
            left -= some;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, RdbError> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn length(&mut self) -> Result<u64, RdbError> {
        let first = self.byte()?;
        self.rest_of_length(first)
    }

    fn rest_of_length(&mut self, first: u8) -> Result<u64, RdbError> {
        match first >> 6 {
            0 => Ok(first.into()),
            1 => Ok(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            _ if first == 0x80 => Ok(u32::from_be_bytes(self.array()?).into()),
            _ if first == 0x81 => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(self.damaged("no length begins so")),
        }
    }

    /// The length of bytes that are to be held.
    fn rest_of_bytes(&mut self, first: u8) -> Result<usize, RdbError> {
        let len = self.rest_of_length(first)?;
        usize::try_from(len)
            .ok()
            .filter(|_| len <= u64::from(COMMAND_BYTES_MAX))
            .ok_or_else(|| self.damaged("a string is longer than any may be"))
    }

    fn string(&mut self, into: &mut Vec<u8>) -> Result<(), RdbError> {
        into.clear();
        let first = self.byte()?;
        match head(first).unwrap_or(Head::Plain(0)) {
            Head::Integer(bytes) => into.extend(integer(self.take(bytes)?)),
            Head::Compressed => {
                let first = self.byte()?;
                let compressed_len = self.rest_of_bytes(first)?;
                let first = self.byte()?;
                let len = self.rest_of_bytes(first)?;
                match decompressed(self.take(compressed_len)?, len) {
                    Some(string) => *into = string,
                    None => return Err(self.damaged("a compressed string is not what it should be")),
                }
            }
            Head::Plain(_) => {
                let len = self.rest_of_bytes(first)?;
                into.extend_from_slice(self.take(len)?);
            }
        }
        Ok(())
    }

    // ---- what is left out ----

    fn skip_lengths(&mut self, count: usize) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| self.length().map(drop))
    }

    fn skip_strings(&mut self, count: u64) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| {
            let first = self.byte()?;
            match head(first).unwrap_or(Head::Plain(0)) {
                Head::Integer(bytes) => self.skip(bytes as u64),
                Head::Compressed => {
                    let compressed_len = self.length()?;
                    self.length()?;
                    self.skip(compressed_len)
                }
                Head::Plain(_) => {
                    let len = self.rest_of_length(first)?;
                    self.skip(len)
                }
            }
        })
    }

    /// As often as a length says.
    fn skip_each(&mut self, mut skip: impl FnMut(&mut Self) -> Result<(), RdbError>) -> Result<(), RdbError> {
        let count = self.length()?;
        (0..count).try_for_each(|_| skip(self))
    }

    /// The value of a type that has a name.
    fn skip_value(&mut self, number: u8) -> Result<(), RdbError> {
        match number {
            1 | 2 | 14 => self.skip_each(|input| input.skip_strings(1)),
            3 => self.skip_each(|input| {
                input.skip_strings(1)?;
                // The digits of a number; from 253 on it is none, or infinite.
                let len = input.byte()?;
                input.skip(if len < 253 { len.into() } else { 0 })
            }),
            4 => self.skip_each(|input| input.skip_strings(2)),
            5 => self.skip_each(|input| {
                input.skip_strings(1)?;
                input.skip(8)
            }),
            7 => {
                self.skip_lengths(1)?;
                self.skip_module()
            }
            9..=13 | 16 | 17 | 20 | 23 => self.skip_strings(1),
            15 => self.skip_stream(1),
            18 => self.skip_each(|input| {
                input.skip_lengths(1)?;
                input.skip_strings(1)
            }),
            19 => self.skip_stream(2),
            21 => self.skip_stream(3),
            22 | 24 => {
                self.skip(if number == 24 { 8 } else { 0 })?;
                self.skip_each(|input| {
                    input.skip_lengths(1)?;
                    input.skip_strings(2)
                })
            }
            25 => {
                self.skip(8)?;
                self.skip_strings(1)
            }
            _ => Err(self.damaged("a value of this type can't be skipped")),
        }
    }

    /// What a module has written: pieces that say what they are.
    fn skip_module(&mut self) -> Result<(), RdbError> {
        loop {
            match self.length()? {
                0 => return Ok(()),
                1 | 2 => self.skip_lengths(1)?,
                3 => self.skip(4)?,
                4 => self.skip(8)?,
                5 => self.skip_strings(1)?,
                _ => return Err(self.damaged("a module's value has a piece of no known kind")),
            }
        }
    }

    /// A stream: its entries, then its groups with what their consumers have not acknowledged.
    fn skip_stream(&mut self, version: u8) -> Result<(), RdbError> {
        self.skip_each(|input| input.skip_strings(2))?;
        self.skip_lengths(if version >= 2 { 8 } else { 3 })?;
        self.skip_each(|input| {
            input.skip_strings(1)?;
            input.skip_lengths(if version >= 2 { 3 } else { 2 })?;
            input.skip_each(|input| {
                input.skip(16 + 8)?;
                input.skip_lengths(1)
            })?;
            input.skip_each(|input| {
                input.skip_strings(1)?;
                input.skip(if version >= 3 { 16 } else { 8 })?;
                input.skip_each(|input| input.skip(16))
            })
        })
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
