//! Stream: the items of one core into blocks. Core: the one that owns the items.
//!
//! Cost: one copy of each byte. Never: waits, or computes a checksum (who writes the blocks does).
//! `full` is filled by `put`, drained by `take`; it is bounded by whoever stops to put while blocks are under way.

use std::collections::VecDeque;

use super::format::{HEAD_BYTES, Head};
use super::record::Record;
use crate::limits::{SNAPSHOT_ALIGN_BYTES, SNAPSHOT_BLOCK_BYTES};

/// Which of a core's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the walk found, the least recent first.
    Walk,
    /// What was about to change before the walk got there.
    Changed,
}

/// A block, whole but for its place and its checksum.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Head, payload, zeros.
    pub bytes: Vec<u8>,
    /// Records that begin in it.
    pub records: u32,
}

/// Items on their way into blocks.
#[derive(Debug)]
pub struct Stream {
    kind: Kind,
    core: u16,
    id: u64,
    sequence: u64,
    /// The block that is being filled; empty if there is none.
    open: Vec<u8>,
    records: u32,
    full: VecDeque<Block>,
    spare: Vec<Vec<u8>>,
}

impl Stream {
    /// Nothing yet.
    pub fn new(kind: Kind, core: u16, id: u64) -> Stream {
        Stream { kind, core, id, sequence: 0, open: Vec::new(), records: 0, full: VecDeque::new(), spare: Vec::new() }
    }

    /// A whole item.
    pub fn put(&mut self, record: &Record<'_>) {
        self.begin(record);
        self.append(record.value);
    }

    /// An item whose value follows, in parts, before any other item.
    pub fn begin(&mut self, record: &Record<'_>) {
        self.open_block();
        self.records += 1;
        record.write_head(|bytes| self.append(bytes));
    }

    /// More bytes of the item.
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

    /// No item follows.
    pub fn finish(&mut self) {
        if !self.open.is_empty() {
            self.close_block();
        }
    }

    /// The next block that is full.
    pub fn take(&mut self) -> Option<Block> {
        self.full.pop_front()
    }

    /// Blocks that are full.
    pub fn waiting(&self) -> usize {
        self.full.len()
    }

    /// Bytes in the block that is being filled.
    pub fn open_bytes(&self) -> usize {
        self.open.len()
    }

    /// Takes the memory of a block that is not needed any more.
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
        let head = Head {
            stream: self.kind as u8,
            core: self.core,
            sequence: self.sequence,
            payload: (bytes.len() - HEAD_BYTES) as u32,
            records,
            offset: 0,
            id: self.id,
            checksum: 0,
        };
        head.write(&mut bytes);
        bytes.resize(bytes.len().next_multiple_of(SNAPSHOT_ALIGN_BYTES), 0);
        self.sequence += 1;
        self.full.push_back(Block { bytes, records });
    }
}
