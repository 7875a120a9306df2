//! Trace: the accesses of a real cache, from a file, to be played again: which key, of what size, one after the other.
//!
//! Owner: the workload, read only; lanes play it between them. Pure: from bytes to numbers. Cost: 4 bytes an access and
//! as many a key, besides the file while it is read.
//! Never: guesses what a file means that is not what it seems; a line that can't be read ends it, with its number.
//! Keys are numbered in the order in which they occur and written as all keys of the generator are; which texts or numbers
//! they were is of no matter to a cache.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::VALUE_BYTES_MAX;

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFormat {
    /// libCacheSim's: records of 24 bytes: time (u32), key (u64), size (u32), next access (i64), little-endian.
    OracleGeneral,
    /// Lines of fields between commas or tabs; the first line may name them. Without names: the key, and its size.
    Csv,
    /// A key a line, as in the lists of caffeine's simulator; lines that begin with `*` or `#` are no keys.
    Keys,
}

/// The accesses, as the numbers of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The numbers of the keys, in the order of the accesses.
    pub accesses: Vec<u32>,
    /// Bytes of each key's value, as the trace had it at the key's first access; empty if it does not say.
    pub sizes: Arc<[u32]>,
    /// Keys that occur.
    pub keys: u64,
}

const RECORD_BYTES: usize = 24;
/// How a compressed file begins, and what makes a trace of it.
const COMPRESSED: [(&[u8], &str); 3] =
    [(b"\xfd7zXZ\0", "xz -dc"), (b"\x28\xb5\x2f\xfd", "zstd -dc"), (b"\x1f\x8b", "gzip -dc")];
const KEY_NAMES: [&str; 6] = ["key", "id", "obj_id", "object_id", "obj", "object"];
const SIZE_NAMES: [&str; 5] = ["size", "obj_size", "object_size", "bytes", "value_size"];

impl FromStr for TraceFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "oracle-general" => Ok(TraceFormat::OracleGeneral),
            "csv" => Ok(TraceFormat::Csv),
            "keys" => Ok(TraceFormat::Keys),
            _ => Err("no such format; give oracle-general, csv or keys".to_owned()),
        }
    }
}

impl TraceFormat {
    /// What a file seems to be: binary, lines with separators, or lines without.
    fn of(bytes: &[u8]) -> TraceFormat {
        let head = &bytes[..bytes.len().min(RECORD_BYTES)];
        if head.contains(&0) {
            return TraceFormat::OracleGeneral;
        }
        let first = bytes.split(|byte| *byte == b'\n').find(|line| !is_comment(line));
        let is_split = first.is_some_and(|line| line.iter().any(|byte| is_separator(*byte)));
        if is_split { TraceFormat::Csv } else { TraceFormat::Keys }
    }
}

impl Trace {
    /// Reads a trace, in the format that is given or that it seems to have.
    pub fn parse(bytes: &[u8], format: Option<TraceFormat>) -> Result<Trace, String> {
        if let Some((_, tool)) = COMPRESSED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            return Err(format!("it is compressed; give {tool} FILE | aspine bench --trace -"));
        }
        let mut reader = Reader::default();
        match format.unwrap_or_else(|| TraceFormat::of(bytes)) {
            TraceFormat::OracleGeneral => reader.read_records(bytes)?,
            TraceFormat::Csv => reader.read_csv(bytes)?,
            TraceFormat::Keys => reader.read_keys(bytes)?,
        }
        if reader.accesses.is_empty() {
            return Err("it has no accesses".to_owned());
        }
        let has_sizes = reader.sizes.iter().any(Option::is_some);
        let sizes = reader.sizes.iter().filter(|_| has_sizes).map(|size| size.unwrap_or(0)).collect();
        Ok(Trace { accesses: reader.accesses, sizes, keys: reader.numbers.len() as u64 })
    }
}

/// A trace that is being read.
#[derive(Default)]
struct Reader<'b> {
    numbers: HashMap<&'b [u8], u32>,
    accesses: Vec<u32>,
    /// By key.
    sizes: Vec<Option<u32>>,
}

impl<'b> Reader<'b> {
    fn access(&mut self, key: &'b [u8], size: Option<u32>) -> Result<(), String> {
        let next = u32::try_from(self.numbers.len()).map_err(|_| "it has more than 4 billion keys".to_owned())?;
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            if size.is_some_and(|size| size as usize > VALUE_BYTES_MAX) {
                return Err(format!("a size beyond {VALUE_BYTES_MAX} bytes"));
            }
            self.sizes.push(size);
        }
        self.accesses.push(number);
        Ok(())
    }

    fn read_records(&mut self, bytes: &'b [u8]) -> Result<(), String> {
        if !bytes.len().is_multiple_of(RECORD_BYTES) {
            return Err(format!("{} bytes are no whole number of records of {RECORD_BYTES} bytes", bytes.len()));
        }
        for (record, number) in bytes.chunks_exact(RECORD_BYTES).zip(1..) {
            let (key, size) = (&record[4..12], [record[12], record[13], record[14], record[15]]);
            self.access(key, Some(u32::from_le_bytes(size))).map_err(|why| format!("record {number}: {why}"))?;
        }
        Ok(())
    }

    fn read_csv(&mut self, bytes: &'b [u8]) -> Result<(), String> {
        let mut columns = None;
        for (line, number) in lines(bytes) {
            let (key_at, size_at) = match columns {
                Some(columns) => columns,
                None => {
                    let named = columns_of(line);
                    columns = Some(named.unwrap_or((0, Some(1))));
                    if named.is_some() {
                        continue;
                    }
                    (0, Some(1))
                }
            };
            let field = |at: usize| line.split(|byte| is_separator(*byte)).nth(at).map(<[u8]>::trim_ascii);
            let bad = |why: &str| format!("line {number}: {why}");
            let key = field(key_at).filter(|key| !key.is_empty()).ok_or_else(|| bad("no key"))?;
            let size = match size_at.and_then(field) {
                Some(text) => {
                    let size = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                    Some(size.ok_or_else(|| bad("a size that is no number of bytes"))?)
                }
                None => None,
            };
            self.access(key, size).map_err(|why| bad(&why))?;
        }
        Ok(())
    }

    fn read_keys(&mut self, bytes: &'b [u8]) -> Result<(), String> {
        lines(bytes)
            .try_for_each(|(line, number)| self.access(line, None).map_err(|why| format!("line {number}: {why}")))
    }
}

/// The lines that say something, and their numbers from 1.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let numbered = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).zip(1..);
    numbered.filter(|(line, _)| !is_comment(line))
}

fn is_comment(line: &[u8]) -> bool {
    line.trim_ascii().is_empty() || line.starts_with(b"*") || line.starts_with(b"#")
}

fn is_separator(byte: u8) -> bool {
    byte == b',' || byte == b'\t'
}

/// Where key and size are, if a line names its columns.
fn columns_of(line: &[u8]) -> Option<(usize, Option<usize>)> {
    let names: Vec<String> = line
        .split(|byte| is_separator(*byte))
        .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
        .collect();
    let place = |known: &[&str]| names.iter().position(|name| known.contains(&name.as_str()));
    Some((place(&KEY_NAMES)?, place(&SIZE_NAMES)))
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
