//! Coordinator: of snapshots and loads, on core 0. One thing at a time: a save, or a load.
//!
//! ```text
//! ask for the file ─▶ hold all shards, in core order ─▶ Cut, release ─▶ … all written ─▶ reply, Saved
//! ```
//! Between the last grant and the cut no shard runs anything, so the cut is one instant. The holds end with it.
//! What a client asked for is answered when it is done, or begun.
//! A pure state machine: it collects [`Effect`]s, which `persistence` carries out in their order.

use std::collections::VecDeque;

use crate::command::Error;
use crate::command::snapshot::{Order, Verb};
use crate::engine::env::Notice;
use crate::engine::link::message::{Hold, HoldKey, Holder, Note, Origin, Tally};
use crate::engine::persistence::files::{FileAsk, SnapshotConfig};
use crate::limits::HOLD_WAIT_MS_MAX;
use crate::persist::{Name, Saved, Summary};
use crate::slot::CoreId;

/// What the coordinator wants done.
#[derive(Debug)]
pub(super) enum Effect {
    /// Readers and writers of snapshots are to do this.
    File(FileAsk),
    /// A core's shard is wanted.
    Hold(CoreId, Hold),
    /// The shards of the first so many cores are no longer wanted.
    Release(u16, Hold),
    /// Every core is to hear this, core 0 last.
    Tell(Note),
    /// The client that asked is answered.
    Reply(Origin, Vec<u8>),
    /// The log is to hear this.
    Log(Notice),
}

/// The times at which something happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Unix time in milliseconds.
    pub(super) unix_ms: u64,
    /// Milliseconds of work, as `Env::awake_ms` counts them.
    pub(super) awake_ms: u64,
}

/// Why a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// A client asked: SAVE, BGSAVE, ASPINE.LOAD.
    Asked(Verb),
    /// The interval between snapshots has passed.
    Interval,
    /// The server ends.
    End,
    /// The server begins.
    Start,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The file is being opened, or checked.
    File,
    /// So many shards are held; the next one was asked for at this time, as `Env::awake_ms` has it.
    Hold { granted: u16, since_ms: u64 },
    /// Some shard was not to be had; all are free again until the next tick.
    Rest,
    /// The cores are at work.
    Work,
}

/// What is under way.
#[derive(Debug)]
struct Job {
    id: u64,
    name: Name,
    reason: Reason,
    replace: bool,
    origin: Option<Origin>,
    stage: Stage,
    began_ms: u64,
    /// Distinguishes one attempt to hold from the next.
    attempt: u64,
    /// Of a load: cores that have not finished, and what the others came to.
    waiting: u16,
    tally: Tally,
}

/// What is told of snapshots taken.
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
    pub(super) loaded: Tally,
}

/// Snapshots and loads of the whole process.
#[derive(Debug)]
pub(super) struct Coordinator {
    home: CoreId,
    cores: u16,
    /// What a snapshot is called that nobody names.
    name: Name,
    interval_ms: Option<u64>,
    job: Option<Job>,
    scheduled: Option<Name>,
    /// A snapshot is wanted before the end.
    ending: bool,
    /// Whether there is to be one, if SHUTDOWN has said so.
    last: Option<bool>,
    /// Changes that each other core has told of.
    dirty: Vec<u64>,
    pub(super) status: Status,
    attempts: u64,
    /// Why a load at the start failed.
    pub(super) load_failure: Option<String>,
    /// Filled by every event, drained behind it.
    effects: VecDeque<Effect>,
}

impl Job {
    fn new(id: u64, name: Name, reason: Reason, began_ms: u64) -> Job {
        Job {
            id,
            name,
            reason,
            replace: false,
            origin: None,
            stage: Stage::File,
            began_ms,
            attempt: 0,
            waiting: 0,
            tally: Tally::default(),
        }
    }

    fn is_load(&self) -> bool {
        matches!(self.reason, Reason::Start | Reason::Asked(Verb::Load))
    }
}

impl Coordinator {
    pub(super) fn new(config: &SnapshotConfig, home: CoreId, cores: u16, started_ms: u64) -> Coordinator {
        let job = config.loading.then(|| Job {
            waiting: cores,
            stage: Stage::Work,
            ..Job::new(0, config.name.clone(), Reason::Start, started_ms)
        });
        Coordinator {
            home,
            cores,
            name: config.name.clone(),
            interval_ms: config.interval_ms,
            job,
            scheduled: None,
            ending: false,
            last: None,
            dirty: vec![0; usize::from(cores)],
            status: Status { saved_ms: started_ms, tried_ms: started_ms, ..Status::default() },
            attempts: 0,
            load_failure: None,
            effects: VecDeque::new(),
        }
    }

    /// The next thing that is wanted done.
    pub(super) fn take_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn want(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// Since when a save is under way, if one is: unix milliseconds.
    pub(super) fn saving_since_ms(&self) -> Option<u64> {
        self.job.as_ref().filter(|job| !job.is_load()).map(|job| job.began_ms)
    }

    // ---- what is asked for ----

    /// SAVE, BGSAVE or ASPINE.LOAD. Returns the reply if there is one already. `held`: the session's transaction holds
    /// shards, so nothing can be waited for. `id`: a number for the job, unlike any other.
    pub(super) fn order(&mut self, order: &Order, origin: Origin, held: bool, id: u64, now: Now) -> Option<Vec<u8>> {
        let name = order.name.clone().unwrap_or_else(|| self.name.clone());
        let status = |text: &str| Some(format!("+{text}\r\n").into_bytes());
        let refusal = |error: Error| Some(format!("-{error}\r\n").into_bytes());
        if let Some(job) = &self.job {
            let saves_in_background = !job.is_load() && job.reason != Reason::Asked(Verb::Save);
            if order.verb == Verb::Bgsave && (held || (order.schedule && !saves_in_background)) {
                self.scheduled = Some(name);
                return status("Background saving scheduled");
            }
            return refusal(if job.is_load() { Error::SnapshotLoading } else { Error::SnapshotBusy });
        }
        if held {
            self.start_save(id, name, Reason::Asked(Verb::Bgsave), None, now);
            return status("Background saving scheduled");
        }
        if order.verb == Verb::Load {
            self.want(Effect::File(FileAsk::Load { id, name: name.clone() }));
            let job = Job::new(id, name, Reason::Asked(Verb::Load), now.unix_ms);
            self.job = Some(Job { origin: Some(origin), replace: order.replace, waiting: self.cores, ..job });
        } else {
            self.start_save(id, name, Reason::Asked(order.verb), Some(origin), now);
        }
        None
    }

    fn start_save(&mut self, id: u64, name: Name, reason: Reason, origin: Option<Origin>, now: Now) {
        self.want(Effect::File(FileAsk::Save { id, name: name.clone(), cores: self.cores }));
        self.job = Some(Job { origin, ..Job::new(id, name, reason, now.unix_ms) });
    }

    fn is_at_hand(&self, id: u64) -> bool {
        self.job.as_ref().is_some_and(|job| job.id == id)
    }

    /// Whether something was put off that can begin now; `start_next` begins it.
    pub(super) fn has_next(&self) -> bool {
        self.job.is_none() && (self.scheduled.is_some() || self.ending)
    }

    /// Begins what was put off.
    pub(super) fn start_next(&mut self, id: u64, now: Now) {
        if self.job.is_some() {
            return;
        }
        if let Some(name) = self.scheduled.take() {
            self.start_save(id, name, Reason::Asked(Verb::Bgsave), None, now);
        } else if std::mem::take(&mut self.ending) {
            self.start_save(id, self.name.clone(), Reason::End, None, now);
        }
    }

    /// The server is about to end: a last snapshot is wanted, if any is to be taken.
    pub(super) fn save_at_end(&mut self) {
        self.ending = self.takes_last();
    }

    /// Says whether there is a last snapshot; `None`: if any are taken without being asked for.
    pub(super) fn choose_last_snapshot(&mut self, saves: Option<bool>) {
        self.last = saves;
    }

    /// Whether there is to be a last snapshot.
    pub(super) fn takes_last(&self) -> bool {
        self.last.unwrap_or(self.takes_any())
    }

    /// Whether no snapshot is under way nor wanted.
    pub(super) fn is_saved_at_end(&self) -> bool {
        self.job.as_ref().is_none_or(Job::is_load) && !self.ending
    }

    /// Whether snapshots are taken without being asked for.
    pub(super) fn takes_any(&self) -> bool {
        self.interval_ms.is_some()
    }

    /// Time has passed. `changes`: those of core 0's own shard that no snapshot has taken in. True if a snapshot is due:
    /// `start_due` begins it.
    pub(super) fn on_tick(&mut self, changes: u64, now: Now) -> bool {
        match self.job.as_ref().map(|job| job.stage) {
            Some(Stage::Hold { granted, since_ms }) if now.awake_ms - since_ms >= HOLD_WAIT_MS_MAX => {
                self.let_go(granted);
            }
            Some(Stage::Rest) => self.hold_next(0, now),
            Some(_) => {}
            None => {
                let changed = changes > 0 || self.dirty.iter().any(|changes| *changes > 0);
                let due = |interval_ms| now.unix_ms.abs_diff(self.status.tried_ms) >= interval_ms;
                return changed && self.interval_ms.is_some_and(due);
            }
        }
        false
    }

    /// Begins the snapshot that is due.
    pub(super) fn start_due(&mut self, id: u64, now: Now) {
        self.start_save(id, self.name.clone(), Reason::Interval, None, now);
    }

    // ---- holding all shards ----

    fn hold(&self, job: &Job) -> Hold {
        Hold { home: self.home, key: HoldKey { holder: Holder::Coordinator, number: job.attempt }, watcher: None }
    }

    /// The file is there: now the shards are wanted.
    pub(super) fn on_begun(&mut self, id: u64, now: Now) {
        if self.is_at_hand(id) {
            self.hold_next(0, now);
        }
    }

    /// The file is whole. One that is loaded at the start needs no shards to be held.
    pub(super) fn on_checked(&mut self, id: u64, summary: &Summary, now: Now) {
        let Some(job) = self.job.as_ref().filter(|job| job.id == id) else { return };
        let at_start = job.reason == Reason::Start;
        let text = format!("loading {}: {} items, {} bytes", job.name, summary.items, summary.bytes);
        self.want(Effect::Log(Notice::Snapshot(text)));
        if !at_start {
            self.hold_next(0, now);
        }
    }

    /// Asks for the next shard, in core order; when all are held, does what they are held for.
    fn hold_next(&mut self, granted: u16, now: Now) {
        let cores = self.cores;
        let Some(job) = &mut self.job else { return };
        if granted == cores {
            return self.all_held(now);
        }
        if granted == 0 {
            // Unlike any before, also across jobs.
            self.attempts += 1;
            job.attempt = self.attempts;
        }
        job.stage = Stage::Hold { granted, since_ms: now.awake_ms };
        let Some(job) = &self.job else { return };
        let hold = self.hold(job);
        self.want(Effect::Hold(CoreId(granted), hold));
    }

    /// A shard is held.
    pub(super) fn on_granted(&mut self, number: u64, now: Now) {
        if let Some(job) = &self.job
            && job.attempt == number
            && let Stage::Hold { granted, .. } = job.stage
        {
            self.hold_next(granted + 1, now);
        }
    }

    fn all_held(&mut self, now: Now) {
        let Some(job) = &mut self.job else { return };
        job.stage = Stage::Work;
        let (id, is_load, replace) = (job.id, job.is_load(), job.replace);
        if is_load {
            self.want(Effect::Tell(Note::LoadBegin { id, replace }));
            self.want(Effect::File(FileAsk::Read { id }));
        } else {
            self.want(Effect::File(FileAsk::Cut { id, created_ms: now.unix_ms }));
            self.want(Effect::Tell(Note::Cut { id, at_ms: now.unix_ms }));
        }
        self.release(self.cores);
        if let Some(job) = &mut self.job
            && job.reason == Reason::Asked(Verb::Bgsave)
        {
            let origin = job.origin.take();
            self.reply(origin, b"+Background saving started\r\n");
        }
    }

    /// Gives back the shards of the first so many cores; one that is waited for, too.
    fn release(&mut self, cores: u16) {
        let Some(job) = &self.job else { return };
        let hold = self.hold(job);
        self.want(Effect::Release(cores, hold));
    }

    /// Some transaction keeps a shard for long: all others go on meanwhile.
    fn let_go(&mut self, granted: u16) {
        if let Some(job) = &mut self.job {
            job.stage = Stage::Rest;
            self.release(granted + 1);
        }
    }

    // ---- the end of a job ----

    /// Another core's changes since the last snapshot.
    pub(super) fn on_changes(&mut self, from: CoreId, changes: u64) {
        self.dirty[usize::from(from.0)] = changes;
    }

    /// The snapshot is complete.
    pub(super) fn on_saved(&mut self, id: u64, saved: Saved, now: Now) {
        if !self.is_at_hand(id) {
            return;
        }
        self.want(Effect::Tell(Note::Saved(id)));
        self.dirty.fill(0);
        let Some(job) = self.job.take() else { return };
        let status = &mut self.status;
        status.saves += 1;
        status.failed = false;
        (status.saved_ms, status.tried_ms) = (now.unix_ms, now.unix_ms);
        let took_ms = now.unix_ms.saturating_sub(job.began_ms);
        status.took_ms = Some(took_ms);
        let Saved { items, bytes } = saved;
        let text = format!("saved {}: {items} items, {bytes} bytes, {took_ms} ms", job.name);
        self.want(Effect::Log(Notice::Snapshot(text)));
        self.reply(job.origin, b"+OK\r\n");
    }

    /// A core has loaded its part.
    pub(super) fn on_loaded_part(&mut self, id: u64, tally: Tally, now: Now) {
        let Some(job) = self.job.as_mut().filter(|job| job.id == id) else { return };
        job.tally.add(tally);
        job.waiting -= 1;
        if job.waiting > 0 {
            return;
        }
        let Tally { loaded, expired, refused } = job.tally;
        self.status.loaded = job.tally;
        if refused > 0 {
            let why = format!("there is no room for {refused} of its items; raise the bound");
            return self.fail(id, &why, now);
        }
        self.want(Effect::Tell(Note::LoadEnd(id)));
        let Some(job) = self.job.take() else { return };
        let took_ms = now.unix_ms.saturating_sub(job.began_ms);
        let text = format!("loaded {}: {loaded} items, {expired} expired ones skipped, {took_ms} ms", job.name);
        self.want(Effect::Log(Notice::Snapshot(text)));
        self.reply(job.origin, b"+OK\r\n");
    }

    /// The job at hand can't be done.
    pub(super) fn fail(&mut self, id: u64, why: &str, now: Now) {
        let Some(job) = self.job.as_ref().filter(|job| job.id == id) else { return };
        let (is_load, stage) = (job.is_load(), job.stage);
        if let Stage::Hold { granted, .. } = stage {
            self.release(granted + 1);
        }
        if !is_load {
            self.want(Effect::File(FileAsk::Abandon { id }));
        }
        if stage == Stage::Work {
            self.want(Effect::Tell(if is_load { Note::LoadEnd(id) } else { Note::Abort(id) }));
        }
        let Some(job) = self.job.take() else { return };
        let what = if is_load { "load" } else { "save" };
        let text = format!("cannot {what} {}: {why}", job.name);
        if job.reason == Reason::Start {
            self.load_failure = Some(text.clone());
        }
        if !is_load {
            self.status.failed = true;
            self.status.tried_ms = now.unix_ms;
        }
        self.reply(job.origin, format!("-ERR {}\r\n", text.replace(['\r', '\n'], " ")).as_bytes());
        self.want(Effect::Log(Notice::SnapshotFailed(text)));
    }

    fn reply(&mut self, origin: Option<Origin>, reply: &[u8]) {
        if let Some(origin) = origin {
            self.want(Effect::Reply(origin, reply.to_vec()));
        }
    }
}
