//! Load: reads the items of a file, first those that are likely to be evicted first.
//!
//! Opening reads header, footer and every block's head, and checks that nothing is missing. Then the streams of all cores
//! are merged: by the second of the last access, and within a second by the relative position in the stream. Cost:
//! a block of memory for each stream, and one copy of each byte.
//! Never: trusts a byte, allocates what a damaged file announces, goes on behind damage.

use std::fmt;
use std::io;

use super::disk::{DiskFile, read_all};
use super::format::{self, Damage, Footer, HEAD_BYTES, Head, Header, PAGE_BYTES};
use super::record::{self, LEN_BYTES, Record};
use crate::limits::SNAPSHOT_BLOCK_BYTES;

/// The reason why a file can't be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The file can't be read.
    Io(io::Error),
    /// The file is damaged.
    Damage {
        /// The offset of the first damage.
        offset: u64,
        /// The reason.
        reason: Damage,
    },
    /// There are items of a database that the server does not have.
    Database {
        /// The last database in the file.
        last: u8,
        /// The number of databases of the server.
        count: u8,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io(error) => error.fmt(f),
            LoadError::Damage { offset, reason } => write!(f, "damaged at byte {offset}: {reason}"),
            LoadError::Database { last, count } => {
                write!(
                    f,
                    "has items of database {last}, and there are {count} here; start with --databases {}",
                    last + 1
                )
            }
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Io(error) => Some(error),
            LoadError::Damage { .. } | LoadError::Database { .. } => None,
        }
    }
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> LoadError {
        LoadError::Io(error)
    }
}

fn damaged<T>(offset: u64, reason: Damage) -> Result<T, LoadError> {
    Err(LoadError::Damage { offset, reason })
}

/// A snapshot whose outline (header, heads, footer) is complete.
#[derive(Debug)]
pub struct Source<F> {
    file: F,
    header: Header,
    footer: Footer,
    size: u64,
    streams: Vec<Track>,
    /// The bytes of blocks read so far.
    read: u64,
    block: Vec<u8>,
}

/// The summary of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The header of the file.
    pub header: Header,
    /// The number of blocks.
    pub blocks: u64,
    /// The number of items.
    pub items: u64,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The last database of which there are items.
    pub database_last: u8,
}

/// An item, as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The decoded record of the item.
    pub record: Record<'a>,
    /// The bytes of the record with its length, as in the file.
    pub framed: &'a [u8],
    /// The bytes of blocks read so far.
    pub read: u64,
}

/// One stream of one core, and its read position.
#[derive(Debug, Default)]
struct Track {
    blocks: Vec<Head>,
    /// The index of the next block to read.
    next: usize,
    /// The payload that was read; the unused part begins at `at`.
    bytes: Vec<u8>,
    at: usize,
    /// The framed length of the record at `at`; 0 if it is not known yet.
    record: usize,
    accessed_s: u64,
    used: u64,
    total: u64,
}

impl<F: DiskFile> Source<F> {
    /// Reads the outline of a file.
    pub fn open(mut file: F) -> Result<Source<F>, LoadError> {
        let size = file.size()?;
        let mut page = [0; PAGE_BYTES];
        if !read_all(&mut file, &mut page, 0)? {
            return damaged(0, "the file is shorter than a header");
        }
        let header = Header::from_bytes(&page).or_else(|reason| damaged(0, reason))?;
        let end = size.saturating_sub(PAGE_BYTES as u64);
        if end < PAGE_BYTES as u64 || !read_all(&mut file, &mut page, end)? {
            return damaged(size, "the file ends before its footer");
        }
        let footer = Footer::from_bytes(&page).or_else(|reason| damaged(end, reason))?;
        if footer.id != header.id {
            return damaged(end, "the footer is that of another snapshot");
        }
        let mut source =
            Source { file, header, footer, size, streams: Vec::new(), read: 0, block: vec![0; SNAPSHOT_BLOCK_BYTES] };
        let heads = source.outline(end)?;
        source.sort(heads)?;
        Ok(source)
    }

    /// The summary of the file.
    pub fn summary(&self) -> Summary {
        let Footer { blocks, items, .. } = self.footer;
        let heads = self.streams.iter().flat_map(|track| &track.blocks);
        let databases = heads.fold(1, |all, head| all | head.databases);
        Summary { header: self.header, blocks, items, bytes: self.size, database_last: databases.ilog2() as u8 }
    }

    /// Refuses a file with items of other databases than the first so many.
    pub fn check_databases(self, count: u8) -> Result<Source<F>, LoadError> {
        match self.summary().database_last {
            last if last < count => Ok(self),
            last => Err(LoadError::Database { last, count }),
        }
    }

    /// The bytes read so far, of `summary().bytes`.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Reads the heads of all blocks, which are contiguous up to the footer.
    fn outline(&mut self, end: u64) -> Result<Vec<Head>, LoadError> {
        let mut heads = Vec::new();
        let mut offset = PAGE_BYTES as u64;
        let (mut items, mut bytes, mut checksum) = (0, 0, 0);
        while offset < end {
            let mut head = [0; HEAD_BYTES];
            if !read_all(&mut self.file, &mut head, offset)? {
                return damaged(offset, "the file became shorter");
            }
            let head = Head::from_bytes(&head).or_else(|reason| damaged(offset, reason))?;
            if head.offset != offset || head.id != self.header.id {
                return damaged(offset, "a block of another offset or snapshot lies here");
            }
            offset += head.block_bytes() as u64;
            items += u64::from(head.records);
            bytes += u64::from(head.payload);
            checksum = crc32c::crc32c_append(checksum, &head.checksum.to_le_bytes());
            heads.push(head);
        }
        let Footer { blocks, items: all_items, bytes: all_bytes, checksum: all, .. } = self.footer;
        if offset != end || (heads.len() as u64, items, bytes, checksum) != (blocks, all_items, all_bytes, all) {
            return damaged(self.size - PAGE_BYTES as u64, "the footer's count of blocks is wrong");
        }
        Ok(heads)
    }

    /// Sorts the blocks into their streams, those of the walks first.
    fn sort(&mut self, mut heads: Vec<Head>) -> Result<(), LoadError> {
        heads.sort_unstable_by_key(|head| (head.stream, head.core, head.sequence));
        for head in heads {
            let same = |track: &&mut Track| {
                track.blocks.last().is_some_and(|last| (last.stream, last.core) == (head.stream, head.core))
            };
            if self.streams.last_mut().filter(same).is_none() {
                self.streams.push(Track::default());
            }
            let Some(track) = self.streams.last_mut() else { continue };
            if head.sequence != track.blocks.len() as u64 {
                return damaged(head.offset, "a block of its stream is missing before this one");
            }
            track.total += u64::from(head.records);
            track.blocks.push(head);
        }
        Ok(())
    }

    /// Passes every item to `visit`, in order, until it returns false. Returns whether all items were passed.
    pub fn read(&mut self, mut visit: impl FnMut(Item<'_>) -> bool) -> Result<bool, LoadError> {
        for stream in 0..=1 {
            let mut tracks: Vec<Track> = Vec::new();
            for track in std::mem::take(&mut self.streams) {
                let of_this = track.blocks.first().is_some_and(|head| head.stream == stream);
                if of_this { &mut tracks } else { &mut self.streams }.push(track);
            }
            let going = self.merge(&mut tracks, &mut visit);
            self.streams.extend(tracks);
            if !going? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn merge(&mut self, tracks: &mut [Track], visit: &mut impl FnMut(Item<'_>) -> bool) -> Result<bool, LoadError> {
        for track in tracks.iter_mut() {
            *track = Track { blocks: std::mem::take(&mut track.blocks), total: track.total, ..Track::default() };
            self.peek(track)?;
        }
        loop {
            let waiting = tracks.iter_mut().filter(|track| track.record > 0);
            let Some(track) = waiting.min_by(|one, other| one.rank().cmp(&other.rank())) else { return Ok(true) };
            let framed = &track.bytes[track.at..track.at + track.record];
            let record = Record::from_bytes(&framed[LEN_BYTES..]);
            let record = record.or_else(|reason| damaged(track.offset(), reason))?;
            if !visit(Item { record, framed, read: self.read }) {
                return Ok(false);
            }
            track.at += track.record;
            track.used += 1;
            self.peek(track)?;
        }
    }

    /// Reads blocks until a track's next record is complete, if it has one.
    fn peek(&mut self, track: &mut Track) -> Result<(), LoadError> {
        track.record = 0;
        loop {
            let rest = &track.bytes[track.at..];
            let len = record::framed_len(rest).or_else(|reason| damaged(track.offset(), reason))?;
            if let Some(len) = len
                && rest.len() >= len
            {
                let record = Record::from_bytes(&rest[LEN_BYTES..len]);
                track.accessed_s = record.or_else(|reason| damaged(track.offset(), reason))?.accessed_s;
                track.record = len;
                return Ok(());
            }
            let Some(head) = track.blocks.get(track.next).copied() else {
                if rest.is_empty() && track.used == track.total {
                    return Ok(());
                }
                return damaged(track.offset(), "a stream ends inside a record");
            };
            track.next += 1;
            track.bytes.drain(..track.at);
            track.at = 0;
            self.fetch(&head, &mut track.bytes)?;
        }
    }

    /// Reads a block and appends its payload.
    fn fetch(&mut self, head: &Head, payload: &mut Vec<u8>) -> Result<(), LoadError> {
        let block = &mut self.block[..head.block_bytes()];
        if !read_all(&mut self.file, block, head.offset)? {
            return damaged(head.offset, "the file became shorter");
        }
        if format::checksum_of(block) != head.checksum || format::u32_at(block, HEAD_BYTES - 4) != head.checksum {
            return damaged(head.offset, "the block's checksum is wrong");
        }
        self.read += block.len() as u64;
        payload.extend_from_slice(&block[HEAD_BYTES..HEAD_BYTES + head.payload as usize]);
        Ok(())
    }
}

impl Track {
    /// The position of the next record in the merge: the smallest goes first.
    fn rank(&self) -> (u64, u128) {
        // The share of the stream before the record, as a fraction of 2^64.
        (self.accessed_s, (u128::from(self.used) << u64::BITS) / u128::from(self.total.max(1)))
    }

    /// The offset of the block that was read last, which is reported for damage inside a record.
    fn offset(&self) -> u64 {
        self.blocks.get(self.next.saturating_sub(1)).map_or(0, |head| head.offset)
    }
}
