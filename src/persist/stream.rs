//! Stream: packs the items of one core into blocks. Core: the one that owns the items.
//!
//! Cost: one copy of each byte. Never: waits, or computes a checksum (the writer of the blocks does).
//! `full` is filled by `put`, drained by `take`; it is bounded by the caller, which pauses while blocks are under way.

use std::collections::VecDeque;

use super::format::{HEAD_BYTES, Head};
use super::record::Record;
use crate::limits::{SNAPSHOT_ALIGN_BYTES, SNAPSHOT_BLOCK_BYTES};

/// The two streams of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The items that the walk found, first those that are likely to be evicted first.
    Walk,
    /// The pre-images: items that were about to change before the walk had reached them.
    Changed,
}

/// A block, complete except for its offset and its checksum.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The bytes of the block: head, payload, padding.
    pub bytes: Vec<u8>,
    /// The number of records that begin in the block.
    pub records: u32,
}

/// A stream being packed into blocks.
#[derive(Debug)]
pub struct Stream {
    kind: Kind,
    core: u16,
    id: u64,
    sequence: u64,
    /// The block being filled; empty if there is none.
    open: Vec<u8>,
    records: u32,
    /// A bit for each database, of which records begin in it.
    databases: u16,
    full: VecDeque<Block>,
    spare: Vec<Vec<u8>>,
}

impl Stream {
    /// Creates an empty stream.
    pub fn new(kind: Kind, core: u16, id: u64) -> Stream {
        Stream {
            kind,
            core,
            id,
            sequence: 0,
            open: Vec::new(),
            records: 0,
            databases: 0,
            full: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Adds a whole item.
    pub fn put(&mut self, record: &Record<'_>) {
        self.begin(record);
        self.append(record.value);
    }

    /// Adds an item whose value follows in slices, by `append`, before any other item.
    pub fn begin(&mut self, record: &Record<'_>) {
        self.open_block();
        self.records += 1;
        self.databases |= 1 << record.database;
        record.write_head(|bytes| self.append(bytes));
    }

    /// Adds further bytes of the item's value.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.open_block();
            let room = SNAPSHOT_BLOCK_BYTES - self.open.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.open.extend_from_slice(now);
            bytes = later;
            if self.open.len() == SNAPSHOT_BLOCK_BYTES {
                self.close_block();
            }
        }
    }

    /// Ends the stream: closes its last block.
    pub fn finish(&mut self) {
        if !self.open.is_empty() {
            self.close_block();
        }
    }

    /// Takes the next full block.
    pub fn take(&mut self) -> Option<Block> {
        self.full.pop_front()
    }

    /// The number of full blocks.
    pub fn waiting(&self) -> usize {
        self.full.len()
    }

    /// The bytes in the block being filled.
    pub fn open_bytes(&self) -> usize {
        self.open.len()
    }

    /// Takes back the buffer of a block that was written, for reuse.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare.push(buffer);
    }

    fn open_block(&mut self) {
        if self.open.is_empty() {
            self.open = self.spare.pop().unwrap_or_default();
            self.open.reserve_exact(SNAPSHOT_BLOCK_BYTES);
            self.open.resize(HEAD_BYTES, 0);
        }
    }

    fn close_block(&mut self) {
        let mut bytes = std::mem::take(&mut self.open);
        let records = std::mem::take(&mut self.records);
        let databases = std::mem::take(&mut self.databases);
        let head = Head {
            stream: self.kind as u8,
            core: self.core,
            sequence: self.sequence,
            payload: (bytes.len() - HEAD_BYTES) as u32,
            records,
            offset: 0,
            id: self.id,
            databases: if databases == 1 { 0 } else { databases },
            checksum: 0,
        };
        head.write(&mut bytes);
        bytes.resize(bytes.len().next_multiple_of(SNAPSHOT_ALIGN_BYTES), 0);
        self.sequence += 1;
        self.full.push_back(Block { bytes, records });
    }
}
