//! Load: a snapshot back into the shards: one core's part. Each core stores the items whose keys it owns.
//!
//! From `LoadBegin`, at which all shards are held, to `LoadEnd` clients are told `LOADING`, but for commands that need no key.
//! Core: each its own. Cost: that of the insertions, in slices.
//! Invariant: between the two a core runs nothing on its shard but what it loads.

use crate::engine::link::message::{Note, Tally};
use crate::engine::persistence::{Around, Persistence};
use crate::limits::SLICE_STEPS;
use crate::persist::{Record, record};

/// One core's part in a load.
#[derive(Debug)]
pub(super) struct Loading {
    id: u64,
    /// Records as they came, and where the next begins. Filled by the files, who send the next when `wants_records`;
    /// drained by slices.
    chunk: Vec<u8>,
    at: usize,
    /// No more will come.
    ended: bool,
    told: bool,
    tally: Tally,
    /// Bytes of the file read so far, and its size.
    read: (u64, u64),
    began_ms: u64,
}

impl Loading {
    pub(super) fn new(id: u64) -> Loading {
        Loading {
            id,
            chunk: Vec::new(),
            at: 0,
            ended: false,
            told: false,
            tally: Tally::default(),
            read: (0, 0),
            began_ms: 0,
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.at < self.chunk.len()
    }

    pub(super) fn wants_records(&self) -> bool {
        !self.has_work() && !self.ended
    }

    /// Whether it is the load that the server begins with.
    pub(super) fn is_of_start(&self) -> bool {
        self.id == 0
    }

    /// Bytes of the file read so far, of all, and when this began.
    pub(super) fn progress(&self) -> (u64, u64, u64) {
        (self.read.0, self.read.1, self.began_ms)
    }
}

impl Persistence {
    pub(super) fn on_records(&mut self, id: u64, bytes: Vec<u8>, read: (u64, u64)) {
        if let Some(loading) = self.loading.as_mut().filter(|loading| loading.id == id) {
            debug_assert!(!loading.has_work(), "one chunk at a time");
            (loading.chunk, loading.at, loading.read) = (bytes, 0, read);
        }
    }

    pub(super) fn on_records_end(&mut self, id: u64, around: &mut Around<'_>) {
        if let Some(loading) = self.loading.as_mut().filter(|loading| loading.id == id) {
            loading.ended = true;
        }
        self.step_load(around);
    }

    /// Stores some of the records that came.
    pub(super) fn step_load(&mut self, around: &mut Around<'_>) {
        let Some(loading) = &mut self.loading else { return };
        let now_ms = around.env.now_ms;
        if loading.began_ms == 0 {
            loading.began_ms = now_ms;
        }
        let shard = around.owner.shard_mut();
        for _ in 0..SLICE_STEPS {
            let rest = &loading.chunk[loading.at..];
            // They were read from a file that was found whole.
            let Ok(Some(len)) = record::framed_len(rest) else { break };
            let Some(Ok(record)) = rest.get(record::LEN_BYTES..len).map(Record::from_bytes) else { break };
            match shard.load(&record, now_ms) {
                Ok(true) => loading.tally.loaded += 1,
                Ok(false) => loading.tally.expired += 1,
                Err(_full) => loading.tally.refused += 1,
            }
            loading.at += len;
        }
        if loading.ended && !loading.has_work() && !std::mem::replace(&mut loading.told, true) {
            let note = Note::LoadedPart { id: loading.id, tally: loading.tally };
            self.tell_coordinator(note, around);
        }
    }
}
