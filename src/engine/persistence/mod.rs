//! Persistence: snapshots and loads. Core 0 coordinates (`coordinator`), each core writes its own shard, or stores the items
//! whose keys it owns (`load`).
//!
//! Never: waits, or walks while more than `SNAPSHOT_BLOCKS_AHEAD` blocks are under way. Files: `files` (what is asked of
//! those who read and write), `worker` (who does it).

pub(super) mod coordinator;
pub mod files;
mod load;
pub mod worker;

use std::collections::VecDeque;

use crate::command::snapshot::Order;
use crate::engine::env::Env;
use crate::engine::link::Links;
use crate::engine::link::message::{Answer, Note, Origin, Payload};
use crate::engine::owner::Owner;
use crate::engine::persistence::coordinator::{Coordinator, Effect, Now};
use crate::engine::persistence::files::{FileAsk, FileEvent, SnapshotConfig};
use crate::engine::persistence::load::Loading;
use crate::engine::telemetry::report::SnapshotReport;
use crate::limits::{SNAPSHOT_BLOCKS_AHEAD, SNAPSHOT_BLOCKS_PENDING_MAX, SNAPSHOT_STEP_BYTES, SNAPSHOT_STEP_ITEMS};
use crate::slot::CoreId;

/// What the parts of a snapshot need of the rest of their core.
pub(super) struct Around<'a> {
    pub(super) env: &'a mut Env,
    pub(super) owner: &'a mut Owner,
    pub(super) links: &'a mut Links,
}

impl Around<'_> {
    fn now(&self) -> Now {
        Now { unix_ms: self.env.now_ms, awake_ms: self.env.awake_ms }
    }
}

/// One core's part in a snapshot.
#[derive(Debug)]
struct Walk {
    id: u64,
    /// Blocks sent and not yet written.
    under_way: usize,
    /// Bytes of all blocks sent.
    bytes: u64,
    /// Bytes in blocks that are not full, as of the last step.
    open_bytes: u64,
    /// As `Env::awake_ms` has it: a clock that is set back stops no snapshot.
    began_ms: u64,
    /// The shard's changes at the cut.
    changes: u64,
    /// Everything was sent.
    ended: bool,
    /// The core has written as much as the bandwidth allows, up to the next tick.
    paced: bool,
    /// The core has had its step of this turn.
    stepped: bool,
}

/// What a core knows of snapshots.
#[derive(Debug)]
pub(super) struct Persistence {
    /// Bytes a second that the walks of all cores may write; 0 for as many as they can.
    bandwidth: u64,
    walk: Option<Walk>,
    loading: Option<Loading>,
    /// The shard's changes that the last snapshot, or load, has taken in.
    changes_base: u64,
    changes_told: u64,
    /// What those who read and write files are to do. Filled by walks and the coordinator, drained every turn.
    asks: VecDeque<FileAsk>,
    /// Idle but on core 0.
    coordinator: Coordinator,
}

impl Walk {
    fn may_step(&self) -> bool {
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

impl Persistence {
    pub(super) fn new(config: &SnapshotConfig, core: CoreId, cores: u16, started_ms: u64) -> Persistence {
        Persistence {
            bandwidth: config.bandwidth,
            walk: None,
            loading: config.loading.then(|| Loading::new(0)),
            changes_base: 0,
            changes_told: 0,
            asks: VecDeque::new(),
            coordinator: Coordinator::new(config, core, cores, started_ms),
        }
    }

    // ---- events and effects ----

    /// Readers and writers of snapshots report.
    pub(super) fn on_file(&mut self, event: FileEvent, around: &mut Around<'_>) {
        let now = around.now();
        match event {
            FileEvent::Begun { id } => self.coordinator.on_begun(id, now),
            FileEvent::Written { id, buffer } => {
                if let Some(walk) = self.walk.as_mut().filter(|walk| walk.id == id) {
                    walk.under_way -= 1;
                    around.owner.shard_mut().recycle_block(buffer);
                }
            }
            FileEvent::Saved { id, saved } => self.coordinator.on_saved(id, saved, now),
            FileEvent::Failed { id, why } => self.coordinator.fail(id, &why, now),
            FileEvent::Checked { id, summary } => self.coordinator.on_checked(id, &summary, now),
            FileEvent::Records { id, bytes, progress } => self.on_records(id, bytes, progress),
            FileEvent::End { id } => self.on_records_end(id, around),
        }
        self.carry_out(around);
    }

    pub(super) fn take_file_ask(&mut self) -> Option<FileAsk> {
        self.asks.pop_front()
    }

    /// SAVE, BGSAVE or ASPINE.LOAD, on core 0. Returns the reply if there is one already.
    pub(super) fn order(
        &mut self,
        order: &Order,
        origin: Origin,
        held: bool,
        around: &mut Around<'_>,
    ) -> Option<Vec<u8>> {
        let id = around.env.next_random();
        let reply = self.coordinator.order(order, origin, held, id, around.now());
        self.carry_out(around);
        reply
    }

    /// A shard is held for the coordinator.
    pub(super) fn on_granted(&mut self, number: u64, around: &mut Around<'_>) {
        self.coordinator.on_granted(number, around.now());
        self.carry_out(around);
    }

    pub(super) fn on_tick(&mut self, around: &mut Around<'_>) {
        let share = self.bandwidth_share(around.env);
        if let Some(walk) = &mut self.walk {
            walk.pace(share, around.env.awake_ms);
        }
        let changes = self.changes_since_snapshot(around.owner);
        if let Some(sequencer) = around.env.router.sequencer() {
            if self.coordinator.takes_any() && changes != self.changes_told {
                self.changes_told = changes;
                around.links.send(sequencer, Payload::Snapshot(Note::Changes(changes)));
            }
            return;
        }
        if self.coordinator.on_tick(changes, around.now()) && !around.env.draining {
            let id = around.env.next_random();
            self.coordinator.start_due(id, around.now());
        }
        self.carry_out(around);
    }

    /// A slice of the walk and of the load.
    pub(super) fn on_slice(&mut self, around: &mut Around<'_>) {
        self.step_walk(around);
        self.step_load(around);
        self.carry_out(around);
    }

    pub(super) fn end_turn(&mut self) {
        if let Some(walk) = &mut self.walk {
            walk.stepped = false;
        }
    }

    /// The server is about to end: takes a last snapshot if it is to take any.
    pub(super) fn save_at_end(&mut self, around: &mut Around<'_>) {
        if !self.is_loading() {
            self.coordinator.save_at_end();
            self.carry_out(around);
        }
    }

    /// SHUTDOWN says whether there is a last snapshot; `None`: as the server is set up.
    pub(super) fn choose_last_snapshot(&mut self, saves: Option<bool>) {
        self.coordinator.choose_last_snapshot(saves);
    }

    /// Another core, or this one, says something about snapshots.
    pub(super) fn on_note(&mut self, from: CoreId, note: Note, around: &mut Around<'_>) {
        self.hear(from, note, around);
        self.carry_out(around);
    }

    // ---- getters ----

    /// Whether a step of the walk or the load can be done now.
    #[inline]
    pub(super) fn may_step(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.may_step() && !walk.stepped)
            || self.loading.as_ref().is_some_and(Loading::has_work)
    }

    /// Whether the walk has something to do in the next turn.
    pub(super) fn is_walking(&self) -> bool {
        self.walk.as_ref().is_some_and(Walk::may_step)
    }

    /// Whether items are being loaded, so that clients are told to wait.
    #[inline]
    pub(super) fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// Whether the next chunk of records may come.
    pub(super) fn wants_records(&self) -> bool {
        self.loading.as_ref().is_some_and(Loading::wants_records)
    }

    pub(super) fn take_load_failure(&mut self) -> Option<String> {
        self.coordinator.load_failure.take()
    }

    pub(super) fn is_saved_at_end(&self) -> bool {
        self.coordinator.is_saved_at_end()
    }

    /// Whether there should be a snapshot of the end and is none.
    pub(super) fn has_failed_to_save(&self) -> bool {
        self.coordinator.takes_last() && self.coordinator.status.failed
    }

    /// Unix milliseconds of the last good snapshot, as far as this core knows.
    pub(super) fn saved_ms(&self) -> u64 {
        self.coordinator.status.saved_ms
    }

    /// What INFO tells of snapshots.
    pub(super) fn report(&self, owner: &Owner) -> SnapshotReport {
        let status = &self.coordinator.status;
        let progress = owner.shard().cut_progress().unwrap_or_default();
        SnapshotReport {
            changes: self.changes_since_snapshot(owner),
            walk: self.walk.as_ref().map_or((0, 0, 0), |walk| (progress.done, progress.total, walk.bytes)),
            loading: self.is_loading(),
            load: self.loading.as_ref().map_or((0, 0, 0), Loading::progress),
            saving_since_ms: self.coordinator.saving_since_ms(),
            saved_ms: status.saved_ms,
            saves: status.saves,
            failed: status.failed,
            took_ms: status.took_ms,
            loaded: status.loaded.loaded,
            expired: status.loaded.expired,
        }
    }

    /// Changes of this shard that no snapshot has taken in.
    fn changes_since_snapshot(&self, owner: &Owner) -> u64 {
        owner.shard().changes() - self.changes_base
    }

    // ---- inside ----

    /// Does what the coordinator wants, in its order, and begins what was put off.
    fn carry_out(&mut self, around: &mut Around<'_>) {
        loop {
            if self.coordinator.has_next() {
                let id = around.env.next_random();
                self.coordinator.start_next(id, around.now());
            }
            let Some(effect) = self.coordinator.take_effect() else { return };
            let router = around.env.router;
            match effect {
                Effect::File(ask) => self.asks.push_back(ask),
                Effect::Hold(core, hold) => match router.peer(core) {
                    Some(peer) => around.links.send_behind(peer, Payload::Hold(hold)),
                    None => around.owner.on_hold(hold, around.env, around.links),
                },
                Effect::Release(cores, hold) => {
                    for core in (0..cores).map(CoreId) {
                        match router.peer(core) {
                            Some(peer) => around.links.send_behind(peer, Payload::Release(hold)),
                            None => around.owner.on_release(hold, around.env, around.links),
                        }
                    }
                }
                Effect::Tell(note) => {
                    for peer in router.peers() {
                        around.links.send_behind(peer, Payload::Snapshot(note));
                    }
                    self.hear(router.core(), note, around);
                }
                Effect::Reply(origin, reply) => around.links.answer(origin, Answer::Reply(reply)),
                Effect::Log(notice) => around.env.notice(notice),
            }
        }
    }

    fn hear(&mut self, from: CoreId, note: Note, around: &mut Around<'_>) {
        match note {
            Note::Cut { id, at_ms } => {
                let shard = around.owner.shard_mut();
                shard.begin_cut(around.env.router.core().0, id, at_ms);
                let (changes, began_ms) = (shard.changes(), around.env.awake_ms);
                self.walk = Some(Walk {
                    id,
                    under_way: 0,
                    bytes: 0,
                    open_bytes: 0,
                    began_ms,
                    changes,
                    ended: false,
                    paced: false,
                    stepped: false,
                });
            }
            Note::Saved(_) => {
                if let Some(walk) = self.walk.take() {
                    self.changes_base = walk.changes;
                }
                // Core 0 forgets what it was told; so it is told again, also if there are as many changes as before.
                self.changes_told = u64::MAX;
            }
            Note::Abort(_) => {
                around.owner.shard_mut().end_cut();
                self.walk = None;
            }
            Note::Overrun(id) => {
                self.coordinator.fail(id, "the disk does not keep up with what changes meanwhile", around.now());
            }
            Note::Changes(changes) => self.coordinator.on_changes(from, changes),
            Note::LoadBegin { id, replace } => {
                self.loading = Some(Loading::new(id));
                if replace {
                    around.owner.clear();
                }
            }
            Note::LoadedPart { id, tally } => self.coordinator.on_loaded_part(id, tally, around.now()),
            Note::LoadEnd(_) => {
                let at_start = self.loading.take().is_some_and(|loading| loading.is_of_start());
                if at_start {
                    // What was just read need not be written again.
                    self.changes_base = around.owner.shard().changes();
                }
                around.owner.wake();
            }
        }
    }

    /// Tells core 0.
    fn tell_coordinator(&mut self, note: Note, around: &mut Around<'_>) {
        match around.env.router.sequencer() {
            Some(sequencer) => around.links.send(sequencer, Payload::Snapshot(note)),
            None => self.hear(around.env.router.core(), note, around),
        }
    }

    /// A step of the walk, and out with the blocks that are full.
    fn step_walk(&mut self, around: &mut Around<'_>) {
        let share = self.bandwidth_share(around.env);
        let Some(walk) = &mut self.walk else { return };
        if walk.ended {
            return;
        }
        let shard = around.owner.shard_mut();
        let mut over = false;
        if walk.may_step() && !walk.stepped {
            walk.stepped = true;
            over = shard.walk_cut(SNAPSHOT_STEP_ITEMS, SNAPSHOT_STEP_BYTES);
        }
        let id = walk.id;
        while let Some(block) = shard.take_block() {
            walk.under_way += 1;
            walk.bytes += block.bytes.len() as u64;
            self.asks.push_back(FileAsk::Block { id, block });
        }
        walk.open_bytes = shard.cut_progress().map_or(0, |progress| progress.open_bytes as u64);
        walk.pace(share, around.env.awake_ms);
        if over {
            walk.ended = true;
            shard.end_cut();
            self.asks.push_back(FileAsk::Walked { id });
        } else if walk.under_way > SNAPSHOT_BLOCKS_PENDING_MAX {
            walk.ended = true;
            shard.end_cut();
            self.tell_coordinator(Note::Overrun(id), around);
        }
    }

    /// This core's share of the bytes a second that may be written, if they are bounded: not at the server's end, when
    /// nobody else wants the disk for it and somebody waits.
    fn bandwidth_share(&self, env: &Env) -> Option<u64> {
        (self.bandwidth > 0 && !env.draining).then(|| self.bandwidth / u64::from(env.router.cores()))
    }
}
