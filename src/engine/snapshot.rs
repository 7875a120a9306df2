//! Snapshot: SAVE and its like. Core 0 coordinates, each core writes its own shard.
//!
//! ```text
//! core 0   ask for the file ─▶ hold all shards, in core order ─▶ Cut, release ─▶ … all written ─▶ reply, Saved
//! a core                                                         begin_cut ─▶ walk in slices, blocks out
//! ```
//! Between the last grant and the cut no shard runs anything, so the cut is one instant. The holds end with it.
//! One thing at a time: a save, or a load (`load`). What a client asked for is answered when it is done, or begun.
//! Never: waits, or walks while more than `SNAPSHOT_BLOCKS_AHEAD` blocks are under way.

use std::collections::VecDeque;

use crate::command::Error;
use crate::command::snapshot::{Order, Verb};
use crate::engine::batch::Payload;
use crate::engine::files::{FileAsk, FileEvent, SnapshotConfig};
use crate::engine::hold::{Hold, HoldKey};
use crate::engine::jobs::Origin;
use crate::engine::load::Loading;
use crate::engine::route::CoreId;
use crate::engine::{Engine, Notice, SessionId};
use crate::limits::{
    HOLD_WAIT_MS_MAX, SNAPSHOT_BLOCKS_AHEAD, SNAPSHOT_BLOCKS_PENDING_MAX, SNAPSHOT_STEP_BYTES, SNAPSHOT_STEP_ITEMS,
};
use crate::persist::{Name, Saved};

/// The holder of shards on behalf of a snapshot: no session has this number.
pub(super) const HOLDER: SessionId = SessionId { index: u32::MAX, generation: u32::MAX };

/// What cores tell each other about snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// All shards are held: this is the instant. From core 0.
    Cut {
        /// Of which snapshot.
        id: u64,
        /// Unix milliseconds: by the one clock that says what has expired.
        at_ms: u64,
    },
    /// The snapshot is complete. From core 0.
    Saved(u64),
    /// The snapshot is given up. From core 0.
    Abort(u64),
    /// The snapshot has to be given up: writing does not keep up. To core 0.
    Overrun(u64),
    /// So many changes since the last snapshot. To core 0.
    Changes(u64),
    /// Items are going to be loaded; all shards are held. From core 0.
    LoadBegin {
        /// Which load.
        id: u64,
        /// What there is goes first.
        replace: bool,
    },
    /// A core has loaded its part. To core 0.
    LoadedPart {
        /// Which load.
        id: u64,
        /// What it came to.
        tally: super::load::Tally,
    },
    /// The load is over. From core 0.
    LoadEnd(u64),
}

/// Why a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A client asked: SAVE, BGSAVE, ASPINE.LOAD.
    Asked(Verb),
    /// It was time.
    Interval,
    /// The server ends.
    End,
    /// The server begins.
    Start,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The file is being opened, or checked.
    File,
    /// So many shards are held; the next one was asked for at this time, as `Engine::awake_ms` has it.
    Hold { granted: u16, since_ms: u64 },
    /// Some shard was not to be had; all are free again until the next tick.
    Rest,
    /// The cores are at work.
    Work,
}

/// What core 0 has under way.
#[derive(Debug)]
pub(super) struct JobAtHand {
    pub(super) id: u64,
    pub(super) name: Name,
    pub(super) reason: Reason,
    pub(super) replace: bool,
    pub(super) origin: Option<Origin>,
    pub(super) stage: Stage,
    pub(super) began_ms: u64,
    /// Distinguishes one attempt to hold from the next.
    pub(super) attempt: u64,
    /// Of a load: cores that have not finished, and what the others came to.
    pub(super) waiting: u16,
    pub(super) tally: super::load::Tally,
}

/// One core's part in a snapshot.
#[derive(Debug)]
struct Part {
    id: u64,
    /// Blocks sent and not yet written.
    under_way: usize,
    /// Bytes of all blocks sent.
    bytes: u64,
    /// Bytes in blocks that are not full, as of the last step.
    open_bytes: u64,
    /// As `Engine::awake_ms` has it: a clock that is set back stops no snapshot.
    began_ms: u64,
    /// The shard's changes at the cut.
    changes: u64,
    /// Everything was sent.
    ended: bool,
    /// It has written as much as the bandwidth allows, up to the next tick.
    paced: bool,
    /// It has had its step of this turn.
    stepped: bool,
}

/// What a core knows of snapshots.
#[derive(Debug)]
pub(super) struct Snapshots {
    pub(super) config: SnapshotConfig,
    part: Option<Part>,
    /// The shard's changes that the last snapshot, or load, has taken in.
    pub(super) changes_base: u64,
    changes_told: u64,
    pub(super) asks: VecDeque<FileAsk>,
    pub(super) loading: Option<Loading>,
    // Of core 0 alone:
    pub(super) job: Option<JobAtHand>,
    scheduled: Option<Name>,
    /// Changes that each other core has told of.
    dirty: Vec<u64>,
    pub(super) status: Status,
    /// A snapshot is wanted before the end.
    ending: bool,
    /// Why a load at the start failed.
    pub(super) load_failure: Option<String>,
}

/// What core 0 tells of snapshots taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Status {
    /// Unix milliseconds of the last good one; at first, of the start.
    pub(super) saved_ms: u64,
    pub(super) saves: u64,
    pub(super) failed: bool,
    /// How long the last took.
    pub(super) took_ms: Option<u64>,
    /// When the last attempt ended.
    tried_ms: u64,
    pub(super) loaded: super::load::Tally,
}

impl Snapshots {
    pub(super) fn new(config: SnapshotConfig, cores: u16, started_ms: u64) -> Snapshots {
        let loading = config.loading.then(|| Loading::new(0));
        let job = config.loading.then(|| JobAtHand {
            waiting: cores,
            stage: Stage::Work,
            ..JobAtHand::new(0, config.name.clone(), Reason::Start, started_ms)
        });
        Snapshots {
            config,
            part: None,
            changes_base: 0,
            changes_told: 0,
            asks: VecDeque::new(),
            loading,
            job,
            scheduled: None,
            dirty: vec![0; usize::from(cores)],
            status: Status { saved_ms: started_ms, tried_ms: started_ms, ..Status::default() },
            ending: false,
            load_failure: None,
        }
    }

    /// Whether a step of the walk can be done now.
    #[inline]
    pub(super) fn may_step(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.may_walk() && !part.stepped)
            || self.loading.as_ref().is_some_and(Loading::has_work)
    }

    /// Whether the next turn has something to do.
    pub(super) fn is_walking(&self) -> bool {
        self.part.as_ref().is_some_and(Part::may_walk)
    }

    pub(super) fn end_turn(&mut self) {
        if let Some(part) = &mut self.part {
            part.stepped = false;
        }
    }
}

impl JobAtHand {
    pub(super) fn new(id: u64, name: Name, reason: Reason, began_ms: u64) -> JobAtHand {
        JobAtHand {
            id,
            name,
            reason,
            replace: false,
            origin: None,
            stage: Stage::File,
            began_ms,
            attempt: 0,
            waiting: 0,
            tally: super::load::Tally::default(),
        }
    }

    pub(super) fn is_load(&self) -> bool {
        matches!(self.reason, Reason::Start | Reason::Asked(Verb::Load))
    }
}

impl Part {
    fn may_walk(&self) -> bool {
        !self.ended && !self.paced && self.under_way < SNAPSHOT_BLOCKS_AHEAD
    }

    /// Whether it has walked what it may by now, of so many bytes a second, if that is bounded. What is walked counts, not
    /// what is sent: a block that fills in no time would leave in no time.
    fn pace(&mut self, share: Option<u64>, awake_ms: u64) {
        let passed_ms = awake_ms - self.began_ms;
        let allowed = |share| u128::from(share) * u128::from(passed_ms) / 1000;
        self.paced = share.is_some_and(|share| u128::from(self.bytes + self.open_bytes) > allowed(share));
    }
}

impl Engine {
    // ---- events and effects ----

    /// Those who read and write files have something to say.
    pub fn on_file(&mut self, event: FileEvent, now_ms: u64) {
        match event {
            FileEvent::Begun { id } if self.is_at_hand(id) => self.hold_next(0, now_ms),
            FileEvent::Begun { .. } => {}
            FileEvent::Written { id, buffer } => {
                if let Some(part) = self.snapshots.part.as_mut().filter(|part| part.id == id) {
                    part.under_way -= 1;
                    self.shard.recycle_block(buffer);
                }
            }
            FileEvent::Saved { id, saved } if self.is_at_hand(id) => self.on_saved(id, saved, now_ms),
            FileEvent::Saved { .. } => {}
            FileEvent::Failed { id, why } if self.is_at_hand(id) => self.fail_job(&why, now_ms),
            FileEvent::Failed { .. } => {}
            FileEvent::Checked { id, summary } => self.on_checked(id, &summary, now_ms),
            FileEvent::Records { id, bytes, progress } => self.on_records(id, bytes, progress),
            FileEvent::End { id } => self.on_records_end(id, now_ms),
        }
    }

    /// What those are to do.
    pub fn take_file_ask(&mut self) -> Option<FileAsk> {
        self.snapshots.asks.pop_front()
    }

    /// Whether the walk of a snapshot wants the next turn soon.
    pub fn is_walking(&self) -> bool {
        self.snapshots.is_walking()
    }

    /// Whether this is the core that the snapshots of all are begun and ended by.
    pub fn coordinates(&self) -> bool {
        self.router.sequencer().is_none()
    }

    /// The server is about to end: takes a last snapshot if it is to take any. To be called on core 0; then
    /// `is_saved_at_end` says when all is done.
    pub fn save_at_end(&mut self, now_ms: u64) {
        if self.snapshots.config.interval_ms.is_some() && !self.is_loading() {
            self.snapshots.ending = true;
            self.start_next(now_ms);
        }
    }

    /// Whether no snapshot is under way nor wanted.
    pub fn is_saved_at_end(&self) -> bool {
        self.snapshots.job.as_ref().is_none_or(JobAtHand::is_load) && !self.snapshots.ending
    }

    /// Whether there should be a snapshot of the end and is none.
    pub fn has_failed_to_save(&self) -> bool {
        self.snapshots.config.interval_ms.is_some() && self.snapshots.status.failed
    }

    // ---- core 0: what is asked for ----

    /// Runs SAVE, BGSAVE or ASPINE.LOAD. Returns the reply if there is one already. `held`: the session's transaction
    /// holds shards, so nothing can be waited for.
    pub(super) fn order(&mut self, order: &Order, origin: Origin, held: bool, now_ms: u64) -> Option<Vec<u8>> {
        let name = order.name.clone().unwrap_or_else(|| self.snapshots.config.name.clone());
        let status = |text: &str| Some(format!("+{text}\r\n").into_bytes());
        let refusal = |error: Error| Some(format!("-{error}\r\n").into_bytes());
        if let Some(job) = &self.snapshots.job {
            let saves_in_background = !job.is_load() && job.reason != Reason::Asked(Verb::Save);
            if order.verb == Verb::Bgsave && (held || (order.schedule && !saves_in_background)) {
                self.snapshots.scheduled = Some(name);
                return status("Background saving scheduled");
            }
            return refusal(if job.is_load() { Error::SnapshotLoading } else { Error::SnapshotBusy });
        }
        if held {
            self.start_save(name, Reason::Asked(Verb::Bgsave), None, now_ms);
            return status("Background saving scheduled");
        }
        if order.verb == Verb::Load {
            self.start_load(name, order.replace, origin, now_ms);
        } else {
            self.start_save(name, Reason::Asked(order.verb), Some(origin), now_ms);
        }
        None
    }

    fn start_save(&mut self, name: Name, reason: Reason, origin: Option<Origin>, now_ms: u64) {
        let id = self.next_random();
        self.snapshots.asks.push_back(FileAsk::Save { id, name: name.clone(), cores: self.router.cores() });
        self.snapshots.job = Some(JobAtHand { origin, ..JobAtHand::new(id, name, reason, now_ms) });
    }

    fn is_at_hand(&self, id: u64) -> bool {
        self.snapshots.job.as_ref().is_some_and(|job| job.id == id)
    }

    /// What was put off.
    pub(super) fn start_next(&mut self, now_ms: u64) {
        if self.snapshots.job.is_some() {
            return;
        }
        if let Some(name) = self.snapshots.scheduled.take() {
            self.start_save(name, Reason::Asked(Verb::Bgsave), None, now_ms);
        } else if std::mem::take(&mut self.snapshots.ending) {
            let name = self.snapshots.config.name.clone();
            self.start_save(name, Reason::End, None, now_ms);
        }
    }

    /// Time has passed.
    pub(super) fn tick_snapshots(&mut self, now_ms: u64) {
        let share = self.bandwidth_share();
        if let Some(part) = &mut self.snapshots.part {
            part.pace(share, self.awake_ms);
        }
        let changes = self.changes_since_snapshot();
        let takes_any = self.snapshots.config.interval_ms.is_some();
        if let Some(sequencer) = self.router.sequencer() {
            if takes_any && changes != self.snapshots.changes_told {
                self.snapshots.changes_told = changes;
                self.mesh.send(sequencer, Payload::Snapshot(Note::Changes(changes)));
            }
            return;
        }
        let awake_ms = self.awake_ms;
        match self.snapshots.job.as_ref().map(|job| job.stage) {
            Some(Stage::Hold { since_ms, .. }) if awake_ms - since_ms >= HOLD_WAIT_MS_MAX => self.let_go(now_ms),
            Some(Stage::Rest) => self.hold_next(0, now_ms),
            Some(_) => {}
            None => {
                let changed = changes > 0 || self.snapshots.dirty.iter().any(|changes| *changes > 0);
                let due = |interval_ms| now_ms.abs_diff(self.snapshots.status.tried_ms) >= interval_ms;
                if changed && self.snapshots.config.interval_ms.is_some_and(due) && !self.draining {
                    let name = self.snapshots.config.name.clone();
                    self.start_save(name, Reason::Interval, None, now_ms);
                }
            }
        }
    }

    /// Changes of this shard that no snapshot has taken in.
    pub(super) fn changes_since_snapshot(&self) -> u64 {
        self.shard.changes() - self.snapshots.changes_base
    }

    // ---- core 0: holding all shards ----

    fn job_hold(&self, job: &JobAtHand) -> Hold {
        Hold { home: self.core, key: HoldKey { session: HOLDER, number: job.attempt }, watcher: 0 }
    }

    /// Asks for the next shard, in core order; when all are held, does what they are held for.
    pub(super) fn hold_next(&mut self, granted: u16, now_ms: u64) {
        let cores = self.router.cores();
        let Some(job) = &mut self.snapshots.job else { return };
        if granted == cores {
            return self.all_held(now_ms);
        }
        if granted == 0 {
            // Unlike any before, also across jobs.
            self.transactions += 1;
            job.attempt = self.transactions;
        }
        job.stage = Stage::Hold { granted, since_ms: self.awake_ms };
        let Some(job) = &self.snapshots.job else { return };
        let hold = self.job_hold(job);
        if let Some(peer) = self.router.peer(CoreId(granted)) {
            self.mesh.send_behind(peer, Payload::Hold(hold));
        } else {
            self.on_hold(hold, now_ms);
        }
    }

    /// A shard is held for a snapshot or a load.
    pub(super) fn on_job_granted(&mut self, number: u64, now_ms: u64) {
        if let Some(job) = &self.snapshots.job
            && job.attempt == number
            && let Stage::Hold { granted, .. } = job.stage
        {
            self.hold_next(granted + 1, now_ms);
        }
    }

    fn all_held(&mut self, now_ms: u64) {
        let Some(job) = &mut self.snapshots.job else { return };
        job.stage = Stage::Work;
        let (id, is_load, replace) = (job.id, job.is_load(), job.replace);
        if is_load {
            self.tell_all(Note::LoadBegin { id, replace }, now_ms);
            self.snapshots.asks.push_back(FileAsk::Read { id });
        } else {
            self.snapshots.asks.push_back(FileAsk::Cut { id, created_ms: now_ms });
            self.tell_all(Note::Cut { id, at_ms: now_ms }, now_ms);
        }
        self.release_all(self.router.cores(), now_ms);
        if let Some(job) = &mut self.snapshots.job
            && job.reason == Reason::Asked(Verb::Bgsave)
        {
            let origin = job.origin.take();
            self.reply_to(origin, b"+Background saving started\r\n", now_ms);
        }
    }

    /// Gives back the shards of the first so many cores; one that is waited for, too.
    fn release_all(&mut self, cores: u16, now_ms: u64) {
        let Some(job) = &self.snapshots.job else { return };
        let hold = self.job_hold(job);
        for core in (0..cores).map(CoreId) {
            if let Some(peer) = self.router.peer(core) {
                self.mesh.send_behind(peer, Payload::Release(hold));
            } else {
                self.on_release(hold, now_ms);
            }
        }
    }

    /// Some transaction keeps a shard for long: all others go on meanwhile.
    fn let_go(&mut self, now_ms: u64) {
        if let Some(job) = &mut self.snapshots.job
            && let Stage::Hold { granted, .. } = job.stage
        {
            job.stage = Stage::Rest;
            self.release_all(granted + 1, now_ms);
        }
    }

    /// Tells every core, this one last.
    pub(super) fn tell_all(&mut self, note: Note, now_ms: u64) {
        for peer in (0..self.router.cores()).map(CoreId).filter(|peer| *peer != self.core) {
            self.mesh.send_behind(peer, Payload::Snapshot(note));
        }
        self.on_note(self.core, note, now_ms);
    }

    pub(super) fn on_note(&mut self, from: CoreId, note: Note, now_ms: u64) {
        match note {
            Note::Cut { id, at_ms } => {
                self.shard.begin_cut(self.core.0, id, at_ms);
                let changes = self.shard.changes();
                self.snapshots.part = Some(Part {
                    id,
                    under_way: 0,
                    bytes: 0,
                    open_bytes: 0,
                    began_ms: self.awake_ms,
                    changes,
                    ended: false,
                    paced: false,
                    stepped: false,
                });
            }
            Note::Saved(_) => {
                if let Some(part) = self.snapshots.part.take() {
                    self.snapshots.changes_base = part.changes;
                }
                self.snapshots.dirty.fill(0);
                // Core 0 forgets what it was told; so it is told again, also if there are as many changes as before.
                self.snapshots.changes_told = u64::MAX;
            }
            Note::Abort(_) => {
                self.shard.end_cut();
                self.snapshots.part = None;
            }
            Note::Overrun(id) if self.is_at_hand(id) => {
                self.fail_job("the disk does not keep up with what changes meanwhile", now_ms);
            }
            Note::Overrun(_) => {}
            Note::Changes(changes) => self.snapshots.dirty[usize::from(from.0)] = changes,
            Note::LoadBegin { id, replace } => self.on_load_begin(id, replace),
            Note::LoadedPart { id, tally } => self.on_loaded_part(id, tally, now_ms),
            Note::LoadEnd(_) => self.on_load_end(),
        }
    }

    // ---- core 0: the end of a job ----

    fn on_saved(&mut self, id: u64, saved: Saved, now_ms: u64) {
        self.tell_all(Note::Saved(id), now_ms);
        let Some(job) = self.snapshots.job.take() else { return };
        let status = &mut self.snapshots.status;
        status.saves += 1;
        status.failed = false;
        (status.saved_ms, status.tried_ms) = (now_ms, now_ms);
        let took_ms = now_ms.saturating_sub(job.began_ms);
        status.took_ms = Some(took_ms);
        let Saved { items, bytes } = saved;
        self.notice(Notice::Snapshot(format!("saved {}: {items} items, {bytes} bytes, {took_ms} ms", job.name)));
        self.reply_to(job.origin, b"+OK\r\n", now_ms);
        self.start_next(now_ms);
    }

    /// The job at hand can't be done.
    pub(super) fn fail_job(&mut self, why: &str, now_ms: u64) {
        let Some(job) = &self.snapshots.job else { return };
        let (id, is_load, stage) = (job.id, job.is_load(), job.stage);
        if let Stage::Hold { granted, .. } = stage {
            self.release_all(granted + 1, now_ms);
        }
        if !is_load {
            self.snapshots.asks.push_back(FileAsk::Abandon { id });
        }
        if stage == Stage::Work {
            self.tell_all(if is_load { Note::LoadEnd(id) } else { Note::Abort(id) }, now_ms);
        }
        let Some(job) = self.snapshots.job.take() else { return };
        let what = if is_load { "load" } else { "save" };
        let text = format!("cannot {what} {}: {why}", job.name);
        if job.reason == Reason::Start {
            self.snapshots.load_failure = Some(text.clone());
        }
        if !is_load {
            self.snapshots.status.failed = true;
            self.snapshots.status.tried_ms = now_ms;
        }
        self.reply_to(job.origin, format!("-ERR {}\r\n", text.replace(['\r', '\n'], " ")).as_bytes(), now_ms);
        self.notice(Notice::SnapshotFailed(text));
        self.start_next(now_ms);
    }

    pub(super) fn reply_to(&mut self, origin: Option<Origin>, reply: &[u8], now_ms: u64) {
        if let Some(origin) = origin
            && let Some(id) = self.finish_part(origin, reply, now_ms)
        {
            self.run_input(id, now_ms);
        }
    }

    // ---- each core: its walk ----

    /// A step of the walk, and out with the blocks that are full.
    pub(super) fn step_snapshot(&mut self, now_ms: u64) {
        let share = self.bandwidth_share();
        let Some(part) = &mut self.snapshots.part else { return };
        if part.ended {
            return;
        }
        let mut over = false;
        if part.may_walk() && !part.stepped {
            part.stepped = true;
            over = self.shard.walk_cut(SNAPSHOT_STEP_ITEMS, SNAPSHOT_STEP_BYTES);
        }
        let id = part.id;
        while let Some(block) = self.shard.take_block() {
            part.under_way += 1;
            part.bytes += block.bytes.len() as u64;
            self.snapshots.asks.push_back(FileAsk::Block { id, block });
        }
        part.open_bytes = self.shard.cut_progress().map_or(0, |progress| progress.open_bytes as u64);
        part.pace(share, self.awake_ms);
        if over {
            part.ended = true;
            self.shard.end_cut();
            self.snapshots.asks.push_back(FileAsk::Walked { id });
        } else if part.under_way > SNAPSHOT_BLOCKS_PENDING_MAX {
            part.ended = true;
            self.shard.end_cut();
            if let Some(sequencer) = self.router.sequencer() {
                self.mesh.send(sequencer, Payload::Snapshot(Note::Overrun(id)));
            } else {
                self.on_note(self.core, Note::Overrun(id), now_ms);
            }
        }
    }

    /// This core's share of the bytes a second that may be written, if they are bounded: not at the server's end, when
    /// nobody else wants the disk for it and somebody waits.
    fn bandwidth_share(&self) -> Option<u64> {
        let all = self.snapshots.config.bandwidth;
        (all > 0 && !self.draining).then(|| all / u64::from(self.router.cores()))
    }

    /// Items of this core's part that are done, of all, and bytes of the blocks.
    pub(super) fn part_progress(&self) -> (u64, u64, u64) {
        let Some(part) = &self.snapshots.part else { return (0, 0, 0) };
        let progress = self.shard.cut_progress().unwrap_or_default();
        (progress.done, progress.total, part.bytes)
    }
}
