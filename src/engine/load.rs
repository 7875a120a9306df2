//! Load: a snapshot back into the shards. Core 0 coordinates, each core stores the items whose keys it owns.
//!
//! From `LoadBegin`, at which all shards are held, to `LoadEnd` clients are told `LOADING`, but for commands that need no key.
//! Core: each its own. Cost: that of the insertions, in slices.
//! Invariant: between the two a core runs nothing on its shard but what it loads.

use crate::command::snapshot::Verb;
use crate::engine::batch::Payload;
use crate::engine::files::FileAsk;
use crate::engine::jobs::Origin;
use crate::engine::snapshot::{JobAtHand, Note, Reason};
use crate::engine::{Engine, Notice};
use crate::limits::SLICE_STEPS;
use crate::persist::{Name, Record, Summary, record};

/// What a load came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items stored.
    pub(super) loaded: u64,
    /// Items whose time had passed.
    pub(super) expired: u64,
    /// Items for which there was no room.
    pub(super) refused: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.loaded += other.loaded;
        self.expired += other.expired;
        self.refused += other.refused;
    }
}

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
    /// Bytes of the file that have been read, of all.
    pub(super) progress: (u64, u64),
    pub(super) began_ms: u64,
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
            progress: (0, 0),
            began_ms: 0,
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.at < self.chunk.len()
    }
}

impl Engine {
    /// Whether items are being loaded, so that clients are told to wait.
    pub fn is_loading(&self) -> bool {
        self.snapshots.loading.is_some()
    }

    /// Whether the next chunk of records may come.
    pub fn wants_records(&self) -> bool {
        self.snapshots.loading.as_ref().is_some_and(|loading| !loading.has_work() && !loading.ended)
    }

    /// Why the load at the start failed, if it did.
    pub fn take_load_failure(&mut self) -> Option<String> {
        self.snapshots.load_failure.take()
    }

    pub(super) fn start_load(&mut self, name: Name, replace: bool, origin: Origin, now_ms: u64) {
        let id = self.next_random();
        self.snapshots.asks.push_back(FileAsk::Load { id, name: name.clone() });
        let job = JobAtHand::new(id, name, Reason::Asked(Verb::Load), now_ms);
        let waiting = self.router.cores();
        self.snapshots.job = Some(JobAtHand { origin: Some(origin), replace, waiting, ..job });
    }

    /// The file is whole: now the shards are wanted.
    pub(super) fn on_checked(&mut self, id: u64, summary: &Summary, now_ms: u64) {
        let Some(job) = self.snapshots.job.as_ref().filter(|job| job.id == id) else { return };
        let at_start = job.reason == Reason::Start;
        let text = format!("loading {}: {} items, {} bytes", job.name, summary.items, summary.bytes);
        self.notice(Notice::Snapshot(text));
        if !at_start {
            self.hold_next(0, now_ms);
        }
    }

    pub(super) fn on_load_begin(&mut self, id: u64, replace: bool) {
        self.snapshots.loading = Some(Loading::new(id));
        if replace {
            self.shard.clear();
            self.shard_waits = true;
        }
    }

    pub(super) fn on_records(&mut self, id: u64, bytes: Vec<u8>, progress: (u64, u64)) {
        if let Some(loading) = self.snapshots.loading.as_mut().filter(|loading| loading.id == id) {
            debug_assert!(!loading.has_work(), "one chunk at a time");
            (loading.chunk, loading.at) = (bytes, 0);
            loading.progress = progress;
        }
    }

    pub(super) fn on_records_end(&mut self, id: u64, now_ms: u64) {
        if let Some(loading) = self.snapshots.loading.as_mut().filter(|loading| loading.id == id) {
            loading.ended = true;
        }
        self.step_load(now_ms);
    }

    /// Stores some of the records that came.
    pub(super) fn step_load(&mut self, now_ms: u64) {
        let Some(loading) = &mut self.snapshots.loading else { return };
        if loading.began_ms == 0 {
            loading.began_ms = now_ms;
        }
        for _ in 0..SLICE_STEPS {
            let rest = &loading.chunk[loading.at..];
            // They were read from a file that was found whole.
            let Ok(Some(len)) = record::framed_len(rest) else { break };
            let Some(Ok(record)) = rest.get(record::LEN_BYTES..len).map(Record::from_bytes) else { break };
            match self.shard.load(&record, now_ms) {
                Ok(true) => loading.tally.loaded += 1,
                Ok(false) => loading.tally.expired += 1,
                Err(_full) => loading.tally.refused += 1,
            }
            loading.at += len;
        }
        if loading.ended && !loading.has_work() && !std::mem::replace(&mut loading.told, true) {
            let note = Note::LoadedPart { id: loading.id, tally: loading.tally };
            if let Some(sequencer) = self.router.sequencer() {
                self.mesh.send(sequencer, Payload::Snapshot(note));
            } else {
                self.on_note(self.core, note, now_ms);
            }
        }
    }

    pub(super) fn on_loaded_part(&mut self, id: u64, tally: Tally, now_ms: u64) {
        let Some(job) = self.snapshots.job.as_mut().filter(|job| job.id == id) else { return };
        job.tally.add(tally);
        job.waiting -= 1;
        if job.waiting > 0 {
            return;
        }
        let Tally { loaded, expired, refused } = job.tally;
        self.snapshots.status.loaded = job.tally;
        if refused > 0 {
            return self.fail_job(&format!("there is no room for {refused} of its items; raise the bound"), now_ms);
        }
        self.tell_all(Note::LoadEnd(id), now_ms);
        let Some(job) = self.snapshots.job.take() else { return };
        let took_ms = now_ms.saturating_sub(job.began_ms);
        let text = format!("loaded {}: {loaded} items, {expired} expired ones skipped, {took_ms} ms", job.name);
        self.notice(Notice::Snapshot(text));
        if job.reason == Reason::Start {
            self.snapshots.status.loaded = job.tally;
        }
        self.reply_to(job.origin, b"+OK\r\n", now_ms);
        self.start_next(now_ms);
    }

    pub(super) fn on_load_end(&mut self) {
        let at_start = self.snapshots.loading.take().is_some_and(|loading| loading.id == 0);
        if at_start {
            // What was just read need not be written again.
            self.snapshots.changes_base = self.shard.changes();
        }
        self.shard_waits = true;
    }

    /// Bytes of the file read so far, of all, and when this began.
    pub(super) fn load_progress(&self) -> (u64, u64, u64) {
        let loading = self.snapshots.loading.as_ref();
        loading.map_or((0, 0, 0), |loading| (loading.progress.0, loading.progress.1, loading.began_ms))
    }
}
