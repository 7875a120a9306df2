//! Files: snapshots that a world's server takes, on a disk that fails; every one is the keyspace of one instant.
//!
//! What each shard holds when the cut is made is copied, naively; the file must hold exactly that, and the money in it must
//! add up. A failing disk leaves the file before; a crash that loses what was not synced leaves a whole one; and any number
//! of cores loads it to the same keyspace.

use std::collections::{BTreeMap, VecDeque};

use aspine::engine::Engine;
use aspine::engine::files::{FileAsk, FileEvent, SnapshotConfig};
use aspine::engine::worker::Worker;
use aspine::persist::faulty::{Fault as DiskFault, FaultKind, FaultyDisk};
use aspine::persist::{Disk, Name, Source};
use aspine::shard::Eviction;
use aspine::slot::{CoreId, Slot};

use super::World;
use crate::actors::{ACCOUNTS, EACH, account};
use crate::cluster::{Cluster, ClusterConfig};

const FILE: &str = "dump.aspine";

/// By key, the value and the deadline.
type Items = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// What was there at a cut.
struct Copy {
    id: u64,
    items: Items,
    /// The latest time that the server has seen from the cut on; the clock may have been set back since.
    latest_ms: u64,
}

/// The disk of a world, and what is known of the snapshots on it.
pub(super) struct Files {
    disk: FaultyDisk,
    keeper: Worker<FaultyDisk>,
    /// What each core has asked, and what each is to hear.
    asks: Vec<VecDeque<FileAsk>>,
    events: Vec<VecDeque<FileEvent>>,
    /// What was there at each cut, in order, and the last of them that is known to be saved.
    copies: Vec<Copy>,
    saved: Option<usize>,
}

impl Files {
    pub(super) fn new(cores: usize) -> Files {
        let disk = FaultyDisk::default();
        Files {
            keeper: keeper(&disk, cores),
            disk,
            asks: (0..cores).map(|_| VecDeque::new()).collect(),
            events: (0..cores).map(|_| VecDeque::new()).collect(),
            copies: Vec::new(),
            saved: None,
        }
    }

    /// The server sees another time.
    pub(super) fn on_clock(&mut self, now_ms: u64) {
        self.copies.iter_mut().for_each(|copy| copy.latest_ms = copy.latest_ms.max(now_ms));
    }

    fn is_idle(&self) -> bool {
        self.asks.iter().all(VecDeque::is_empty) && self.events.iter().all(VecDeque::is_empty)
    }
}

fn keeper(disk: &FaultyDisk, cores: usize) -> Worker<FaultyDisk> {
    Worker::new(cores as u16, Some(disk.clone()), || unreachable!("it is open"))
}

/// What one turn of a core has to do with files.
#[derive(Default)]
pub(super) struct FileTurn {
    /// What the core asks for, until the turn passes it on.
    pub(super) asks: Vec<FileAsk>,
    /// All items before the slice to come, if the cut may be made in it.
    before: Option<Items>,
}

/// All items of all shards.
fn copy<'a>(engines: impl IntoIterator<Item = &'a Engine>, now_ms: u64) -> Items {
    let mut items = Items::new();
    for engine in engines {
        engine.shard().scan(0, u32::MAX, now_ms, &mut |key, item| {
            items.insert(key.to_vec(), (item.value.to_vec(), item.expires_at_ms));
        });
    }
    items
}

/// Whether a file holds what was there. A shard that is held may lose an item whose time passes before it is cut, or one
/// that is evicted; a load would skip the former.
fn is_like(file: &Items, copy: &Copy, evicts: bool) -> bool {
    let (was, latest_ms) = (&copy.items, copy.latest_ms);
    let lives = |(_, at): &(Vec<u8>, Option<u64>)| at.is_none_or(|at_ms| at_ms > latest_ms);
    let there = was.iter().filter(|(_, value)| lives(value)).all(|(key, value)| match file.get(key) {
        Some(saved) => saved == value,
        None => evicts,
    });
    there && file.iter().all(|(key, value)| was.get(key) == Some(value) || (!lives(value) && was.contains_key(key)))
}

fn in_file(disk: &mut FaultyDisk) -> Result<Items, String> {
    let mut items = Items::new();
    let file = disk.open(FILE).map_err(|error| error.to_string())?;
    let mut source = Source::open(file).map_err(|error| error.to_string())?;
    let read = source.read(|item| {
        let record = item.record;
        // What tenants have they look after themselves.
        if record.database == 0 {
            items.insert(record.key.to_vec(), (record.value.to_vec(), record.expires_at_ms));
        }
        true
    });
    read.map_err(|error| error.to_string())?;
    Ok(items)
}

impl World {
    /// With one core the cut is made in the middle of a slice, before which nothing of it changes an item; perhaps in that
    /// which ends the transaction that held the shard, if that ends with a walk.
    pub(super) fn before_slice(&self, engine: &Engine, turn: &mut FileTurn) {
        let may_cut =
            self.files.is_some() && self.plan.cores == 1 && (engine.is_granted_to_snapshot() || engine.has_holds());
        turn.before = may_cut.then(|| copy([engine], self.cluster.now_ms));
    }

    /// What a core asks of the disk. At a cut, all shards are held: this is the instant.
    pub(super) fn note_asks(&mut self, engine: &mut Engine, others: (&[Engine], &[Engine]), turn: &mut FileTurn) {
        let Some(files) = &mut self.files else { return };
        while let Some(ask) = engine.take_file_ask() {
            match &ask {
                FileAsk::Cut { id, .. } => {
                    let engines = others.0.iter().chain([&*engine]).chain(others.1);
                    let items = turn.before.take().unwrap_or_else(|| copy(engines, self.cluster.now_ms));
                    files.copies.push(Copy { id: *id, items, latest_ms: self.cluster.now_ms });
                }
                FileAsk::Block { block, .. } => self.marks.changed_first += u64::from(block.bytes[4] == 1),
                _ => {}
            }
            turn.asks.push(ask);
        }
    }

    /// What a core has asked for goes to the disk.
    pub(super) fn pass_on_asks(&mut self, core: usize, turn: &mut FileTurn) {
        if let Some(files) = &mut self.files {
            files.asks[core].extend(turn.asks.drain(..));
        }
    }

    /// The disk does something, for whichever core; a core hears of what it has done. True if it hears anything.
    pub(super) fn turn_of_files(
        &mut self,
        engine: &mut Engine,
        others: (&[Engine], &[Engine]),
        turn: &mut FileTurn,
    ) -> Result<bool, String> {
        let core = usize::from(engine.core().0);
        let steps = if self.calm { 64 } else { self.schedule.below(3) };
        let mut heard = false;
        for _ in 0..steps {
            let asker = self.schedule.below(self.plan.cores);
            let Some(files) = &mut self.files else { return Ok(false) };
            // What core 0 has asked before it has asked for first: one queue takes the asks of all cores.
            if let Some(ask) = files.asks[asker].pop_front() {
                let events = &mut files.events;
                files.keeper.answer(CoreId(asker as u16), ask, &mut |core, event| {
                    events[usize::from(core.0)].push_back(event);
                    true
                });
            }
            if let Some(event) = files.events[core].pop_front() {
                self.step += 1;
                self.on_file(engine, event)?;
                self.note_asks(engine, others, turn);
                heard = true;
            }
        }
        Ok(heard)
    }

    /// Whether nothing of the disk is under way.
    pub fn files_rest(&self) -> bool {
        self.files.as_ref().is_none_or(Files::is_idle)
    }

    /// From some call on, the disk does nothing more; or it is mended.
    pub(super) fn break_disk(&mut self) {
        let Some(files) = &mut self.files else { return };
        let code = [libc::EIO, libc::ENOSPC][self.faults.below(2)];
        let fault = DiskFault { call: self.faults.below(12) as u64, kind: FaultKind::Error(code) };
        files.disk.fail(self.faults.one_in(2).then_some(fault));
    }

    fn on_file(&mut self, engine: &mut Engine, event: FileEvent) -> Result<(), String> {
        let (now_ms, evicts) = (self.cluster.now_ms, self.plan.evicts());
        let Some(files) = &mut self.files else { return Ok(()) };
        match &event {
            FileEvent::Saved { id, .. } => {
                let at = files.copies.iter().position(|copy| copy.id == *id).ok_or("saved without a cut")?;
                files.saved = Some(at);
                files.disk.fail(None);
                self.marks.saved += 1;
                self.check_file(at)?;
            }
            FileEvent::Failed { .. } => {
                files.disk.fail(None);
                self.marks.save_failed += 1;
                if let Some(at) = files.saved {
                    // Only what comes after the rename can have failed if the file is a newer one.
                    let items = in_file(&mut files.disk)?;
                    if files.copies[at..].iter().all(|copy| !is_like(&items, copy, evicts)) {
                        return Err("a failed snapshot has changed the file before".to_owned());
                    }
                }
            }
            _ => {}
        }
        engine.on_file(event, now_ms);
        Ok(())
    }

    /// The file holds what was there at a cut, and the money adds up.
    fn check_file(&mut self, at: usize) -> Result<(), String> {
        let evicts = self.plan.evicts();
        let Some(files) = &mut self.files else { return Ok(()) };
        let items = in_file(&mut files.disk)?;
        let Copy { items: expected, latest_ms, .. } = &files.copies[at];
        if !is_like(&items, &files.copies[at], evicts) {
            let missing = expected.iter().find(|(key, value)| items.get(*key) != Some(value));
            let more = items.iter().find(|(key, _)| !expected.contains_key(*key));
            let (has, should) = (items.len(), expected.len());
            return Err(format!(
                "the file has {has} items, not {should}: without {missing:?}, with {more:?}, {latest_ms}"
            ));
        }
        if self.plan.transfers > 0 {
            let amount = |at: usize| {
                let (value, _) = items.get(account(at).as_bytes()).ok_or("no account")?;
                String::from_utf8_lossy(value).parse::<i64>().map_err(|error| error.to_string())
            };
            let sum = (0..ACCOUNTS).map(amount).sum::<Result<i64, String>>()?;
            if sum != EACH * ACCOUNTS as i64 {
                return Err(format!("the accounts in the snapshot add up to {sum}"));
            }
        }
        Ok(())
    }

    /// The power goes. What is left is a snapshot that was taken, the last that was told of or a later one; and any number of
    /// cores loads it.
    pub fn crash(&mut self) -> Result<(), String> {
        let (now_ms, evicts) = (self.cluster.now_ms, self.plan.evicts());
        let Some(files) = &mut self.files else { return Ok(()) };
        self.marks.crashed_midway += u64::from(files.disk.names().len() > usize::from(files.saved.is_some()));
        files.disk.fail(None);
        let rng = &mut self.faults;
        files.disk.crash(|| rng.next());
        let Some(saved) = files.saved else { return Ok(()) };
        let items = in_file(&mut files.disk)?;
        if files.copies[saved..].iter().all(|copy| !is_like(&items, copy, evicts)) {
            return Err("after a crash the file is no snapshot that was taken since the last good one".to_owned());
        }
        // It comes back a while later.
        let now_ms = now_ms + rng.between(0, 100_000);
        let cores = 1 + rng.below(5);
        self.marks.loaded_by_other_cores += u64::from(cores != self.plan.cores);
        let expected: Items = items
            .iter()
            .filter(|(_, (_, at))| at.is_none_or(|at| at > now_ms))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        self.marks.expired_in_file += u64::from(expected.len() < items.len());
        loads(&files.disk, cores, now_ms, &expected)
    }
}

/// Whether a server of so many cores loads a file to these items.
fn loads(disk: &FaultyDisk, cores: usize, now_ms: u64, expected: &Items) -> Result<(), String> {
    let (items_max, bytes_max, eviction) = (u64::MAX, u64::MAX, Eviction::Lru);
    let config = ClusterConfig { cores: cores as u16, items_max, bytes_max, eviction, auth_key: None, seed: 9, now_ms };
    let mut cluster = Cluster::with(&config, &SnapshotConfig { loading: true, ..SnapshotConfig::default() });
    let conn = cluster.connect(0);
    cluster.bytes(conn, b"GET key:1\r\nPING\r\n");
    let mut events = Vec::new();
    let name = Name::parse(FILE.as_bytes()).map_err(|error| error.to_string())?;
    keeper(disk, cores).load_at_start(&name, &mut |core, event| {
        events.push((usize::from(core.0), event));
        true
    });
    for (core, event) in events {
        cluster.file_events[core].push_back(event);
        cluster.settle();
    }
    let told = cluster.send(conn, usize::MAX);
    if told != b"-LOADING Redis is loading the dataset in memory\r\n".repeat(2) {
        return Err(format!("while it loads: {}", told.escape_ascii()));
    }
    if cluster.engines.iter().any(Engine::is_loading) || copy(&cluster.engines, cluster.now_ms) != *expected {
        return Err(format!("{cores} cores load another keyspace, or none"));
    }
    for (core, engine) in (0..).zip(&cluster.engines) {
        let owned = |key: &[u8]| Slot::of(key).owner(cores as u16) == CoreId(core);
        engine.shard().scan(0, u32::MAX, 0, &mut |key, _| assert!(owned(key), "it is on another core"));
        engine.verify();
    }
    Ok(())
}
