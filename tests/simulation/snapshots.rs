//! Snapshots: taken while money moves between shards, keys change, and disks fail; every one is the keyspace of one instant.
//!
//! What each shard holds when the cut is made is copied, naively; the file must hold exactly that, and the money in it must
//! add up. A failing disk leaves the file before; a crash that loses what was not synced leaves a whole one; and any number
//! of cores loads it to the same keyspace.

use std::collections::{BTreeMap, VecDeque};

use aspine::engine::batch::Payload;
use aspine::engine::files::{FileAsk, FileEvent, SnapshotConfig};
use aspine::engine::keeper::Keeper;
use aspine::engine::route::{CoreId, Slot};
use aspine::engine::snapshot::Note;
use aspine::limits::SNAPSHOT_STEP_BYTES;
use aspine::persist::faulty::{Fault as DiskFault, FaultKind, FaultyDisk};
use aspine::persist::{Disk, Name, Source};
use aspine::resp::Value;
use aspine::resp::reply::decode;
use aspine::shard::Eviction;

use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;
use crate::seeds::{quietly, run_each};

const ACCOUNTS: usize = 8;
const EACH: i64 = 100;
const KEYS: usize = 900;
const STEPS: usize = 5_000;
const FILE: &str = "dump.aspine";

type Items = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Shards say that they are held for the snapshot before they are.
    EarlyGrant,
    /// A shard is released before it is cut.
    LateCut,
}

#[derive(Default, Debug)]
struct Marks {
    saved: u64,
    failed: u64,
    refused: u64,
    changed_first: u64,
    cleared: u64,
    expired: u64,
    crashed_midway: u64,
    by_other_cores: u64,
    gave_up: u64,
}

struct Client {
    conn: Conn,
    inbox: Vec<u8>,
    owed: usize,
    saves: bool,
}

struct World {
    cluster: Cluster,
    clients: Vec<Client>,
    rng: Rng,
    marks: Marks,
    disk: FaultyDisk,
    keeper: Keeper<FaultyDisk>,
    /// What each core has asked, and what each is to hear.
    asks: Vec<VecDeque<FileAsk>>,
    events: Vec<VecDeque<FileEvent>>,
    /// What was there at each cut, in order, and the last of them that is known to be saved.
    copies: Vec<(u64, Items)>,
    saved: Option<usize>,
    before: Option<Items>,
    flushed: bool,
    fault: Option<Fault>,
    frozen: Option<(usize, usize, usize)>,
}

fn keeper(disk: &FaultyDisk, cores: u16) -> Keeper<FaultyDisk> {
    Keeper::new(cores, Some(disk.clone()), || unreachable!("it is open"))
}

fn config(seed: u64, cores: u16, now_ms: u64) -> ClusterConfig {
    let (items_max, bytes_max) = (u64::MAX, u64::MAX);
    ClusterConfig { cores, items_max, bytes_max, eviction: Eviction::Lru, auth_key: None, seed, now_ms }
}

/// All items of all shards.
fn copy(cluster: &Cluster) -> Items {
    let mut items = Items::new();
    for engine in &cluster.engines {
        engine.shard().scan(0, u32::MAX, cluster.now_ms, &mut |key, item| {
            items.insert(key.to_vec(), (item.value.to_vec(), item.expires_at_ms));
        });
    }
    items
}

/// Whether a file holds what was there. A shard that is held may lose an item whose time passes before it is cut; who loads
/// would skip that.
fn is_like(file: &Items, was: &Items, now_ms: u64) -> bool {
    let alive = |items: &Items| {
        let lives = |value: &(Vec<u8>, Option<u64>)| value.1.is_none_or(|at_ms| at_ms > now_ms);
        items.clone().into_iter().filter(|(_, value)| lives(value)).collect::<Items>()
    };
    alive(file) == alive(was) && file.keys().all(|key| was.contains_key(key))
}

fn in_file(disk: &mut FaultyDisk) -> Result<Items, String> {
    let mut items = Items::new();
    let file = disk.open(FILE).map_err(|error| error.to_string())?;
    let mut source = Source::open(file).map_err(|error| error.to_string())?;
    let read = source.read(|item| {
        let record = item.record;
        items.insert(record.key.to_vec(), (record.value.to_vec(), record.expires_at_ms));
        true
    });
    read.map_err(|error| error.to_string())?;
    Ok(items)
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut rng = Rng::new(seed, "snapshots");
        let cores = if fault.is_some() { 2 + rng.below(3) as u16 } else { 1 + rng.below(4) as u16 };
        let snapshots = SnapshotConfig { interval_ms: rng.one_in(2).then_some(400), ..SnapshotConfig::default() };
        let mut cluster = Cluster::with(&config(seed, cores, 1_700_000_000_000), &snapshots);
        let conn = cluster.connect(0);
        let accounts = (0..ACCOUNTS).map(|at| format!("SET account:{at} {EACH}\r\n"));
        let keys = (0..KEYS).map(|at| format!("SET key:{at} first\r\n"));
        let lines: String = accounts.chain(keys).collect();
        for part in lines.as_bytes().chunks(4000) {
            cluster.bytes(conn, part);
            cluster.settle();
            cluster.send(conn, usize::MAX);
        }
        cluster.engines[0].on_disconnect(conn.id);
        let disk = FaultyDisk::default();
        let count = usize::from(cores);
        let mut world = World {
            keeper: keeper(&disk, cores),
            cluster,
            clients: Vec::new(),
            rng,
            marks: Marks::default(),
            disk,
            asks: (0..count).map(|_| VecDeque::new()).collect(),
            events: (0..count).map(|_| VecDeque::new()).collect(),
            copies: Vec::new(),
            saved: None,
            before: None,
            flushed: false,
            fault,
            frozen: None,
        };
        for at in 0..4 + world.rng.below(4) {
            let core = world.rng.below(count);
            let conn = world.cluster.connect(core);
            world.clients.push(Client { conn, inbox: Vec::new(), owed: 0, saves: at == 0 });
        }
        world
    }

    fn step(&mut self) -> Result<(), String> {
        let cores = self.cluster.engines.len();
        let core = self.rng.below(cores);
        match self.rng.below(100) {
            0..30 => self.client()?,
            30..50 => self.deliver(core),
            50..72 => {
                // With one core the cut is made in the middle of a slice, before which nothing of it changes an item.
                let alone = cores == 1 && self.cluster.engines[0].is_granted_to_snapshot();
                self.before = alone.then(|| copy(&self.cluster));
                self.cluster.engines[core].on_slice(self.cluster.now_ms);
            }
            72..80 => self.file(),
            80..92 => {
                if let Some(event) = self.events[core].pop_front() {
                    self.hear(core, event)?;
                }
            }
            92 => self.cluster.tick_unevenly(self.rng.next(), 60),
            93 if self.rng.one_in(20) => self.frozen = Some((core, self.rng.below(cores), 400)),
            94 if self.rng.one_in(10) => {
                // From some call on, this disk does nothing more; or it is mended.
                let code = [libc::EIO, libc::ENOSPC][self.rng.below(2)];
                let fault = DiskFault { call: self.rng.below(12) as u64, kind: FaultKind::Error(code) };
                self.disk.fail(self.rng.one_in(2).then_some(fault));
            }
            _ => self.cluster.end_turn(core),
        }
        if let Some((_, _, steps)) = &mut self.frozen {
            *steps -= 1;
            if *steps == 0 {
                self.frozen = None;
            }
        }
        self.tamper();
        self.look();
        Ok(())
    }

    /// What cores ask of the disk. At a cut, all shards are held: this is the instant.
    fn look(&mut self) {
        for core in 0..self.asks.len() {
            while let Some(ask) = self.cluster.engines[core].take_file_ask() {
                match &ask {
                    FileAsk::Cut { id, .. } => {
                        let items = self.before.take().unwrap_or_else(|| copy(&self.cluster));
                        self.copies.push((*id, items));
                    }
                    FileAsk::Block { block, .. } => self.marks.changed_first += u64::from(block.bytes[4] == 1),
                    _ => {}
                }
                self.asks[core].push_back(ask);
            }
        }
    }

    /// The disk does something.
    fn file(&mut self) {
        let core = self.rng.below(self.asks.len());
        // What core 0 has asked before it has asked for first: one queue takes the asks of all cores.
        let Some(ask) = self.asks[core].pop_front() else { return };
        let events = &mut self.events;
        self.keeper.answer(CoreId(core as u16), ask, &mut |core, event| {
            events[usize::from(core.0)].push_back(event);
            true
        });
    }

    fn hear(&mut self, core: usize, event: FileEvent) -> Result<(), String> {
        match &event {
            FileEvent::Saved { id, .. } => {
                let at = self.copies.iter().position(|copy| copy.0 == *id).ok_or("saved without a cut")?;
                self.saved = Some(at);
                self.marks.saved += 1;
                self.disk.fail(None);
                self.check(at)?;
            }
            FileEvent::Failed { .. } => {
                self.marks.failed += 1;
                self.disk.fail(None);
                if let Some(at) = self.saved {
                    // Only what comes after the rename can have failed if the file is a newer one.
                    let items = in_file(&mut self.disk)?;
                    if self.copies[at..].iter().all(|copy| !is_like(&items, &copy.1, self.cluster.now_ms)) {
                        return Err("a failed snapshot has changed the file before".to_owned());
                    }
                }
            }
            _ => {}
        }
        self.cluster.engines[core].on_file(event, self.cluster.now_ms);
        Ok(())
    }

    /// The file holds what was there at a cut, and the money adds up.
    fn check(&mut self, at: usize) -> Result<(), String> {
        let items = in_file(&mut self.disk)?;
        let expected = &self.copies[at].1;
        if !is_like(&items, expected, self.cluster.now_ms) {
            let differs = expected.iter().find(|(key, value)| items.get(*key) != Some(value));
            return Err(format!("the file has {} items, not {}: {differs:?}", items.len(), expected.len()));
        }
        let accounts: Vec<&(Vec<u8>, Option<u64>)> =
            items.iter().filter(|(key, _)| key.starts_with(b"account")).map(|(_, value)| value).collect();
        // FLUSHALL is no transaction: what others move meanwhile may be half there.
        if !self.flushed {
            let amount =
                |value: &[u8]| String::from_utf8_lossy(value).parse::<i64>().map_err(|error| error.to_string());
            let sum = accounts.iter().map(|(value, _)| amount(value)).sum::<Result<i64, _>>()?;
            if sum != EACH * ACCOUNTS as i64 {
                return Err(format!("the accounts in the snapshot add up to {sum}"));
            }
        }
        Ok(())
    }

    fn deliver(&mut self, to: usize) {
        let from = self.rng.below(self.cluster.engines.len());
        if self.frozen.is_none_or(|(a, b, _)| (a, b) != (from, to)) {
            self.cluster.deliver(from, to);
        }
    }

    fn tamper(&mut self) {
        let Some(fault) = self.fault else { return };
        let mut early = Vec::new();
        for link in self.cluster.links.iter_mut().flatten() {
            if fault == Fault::LateCut {
                for at in 1..link.len() {
                    if matches!(link[at - 1].payload, Payload::Snapshot(Note::Cut { .. })) {
                        // Not only behind the release, but behind what comes next.
                        let cut = link.remove(at - 1);
                        link.extend(cut);
                        break;
                    }
                }
            } else if link.iter().any(|batch| matches!(batch.payload, Payload::Hold(hold) if hold.is_of_snapshot())) {
                let asked = |batch: &aspine::engine::batch::Batch| match batch.payload {
                    Payload::Hold(hold) if hold.is_of_snapshot() => Some(hold),
                    _ => None,
                };
                early.extend(link.iter().filter_map(asked));
                link.retain(|batch| asked(batch).is_none());
            }
        }
        for hold in early {
            let payload = Payload::Granted { key: hold.key, clean: true };
            let batch = aspine::engine::batch::Batch { from: CoreId(1), payload };
            self.cluster.links[1][0].push_back(batch);
        }
    }

    /// A client says something, or hears.
    fn client(&mut self) -> Result<(), String> {
        let at = self.rng.below(self.clients.len());
        let said = self.cluster.send(self.clients[at].conn, usize::MAX);
        self.clients[at].inbox.extend_from_slice(&said);
        loop {
            let client = &mut self.clients[at];
            let Some((value, len)) = decode(&client.inbox).map_err(|error| error.to_string())? else { break };
            client.inbox.drain(..len);
            client.owed -= 1;
            if let Value::Error(text) = value {
                let text = String::from_utf8_lossy(&text).into_owned();
                self.marks.refused += u64::from(text.contains("already in progress"));
                self.marks.gave_up += u64::from(text.starts_with("EXECABORT"));
                let known = ["already in progress", "cannot save", "EXECABORT"];
                if !known.iter().any(|known| text.contains(known)) {
                    return Err(format!("a client was told {text}"));
                }
            }
        }
        // What is sent behind a BGSAVE may run in the same call as the cut, before the copy.
        if self.clients[at].owed > 0 && (self.clients[at].saves || !self.rng.one_in(20)) {
            return Ok(());
        }
        let (from, key) = (self.rng.below(ACCOUNTS), self.rng.below(KEYS));
        let to = (from + 1 + self.rng.below(ACCOUNTS - 1)) % ACCOUNTS;
        let amount = self.rng.between(1, 9);
        let (lines, replies) = if self.clients[at].saves && self.rng.one_in(2) {
            let line = ["SAVE", "BGSAVE", "BGSAVE SCHEDULE"][self.rng.below(3)];
            (format!("{line}\r\n"), 1)
        } else {
            match self.rng.below(40) {
                0..16 => {
                    let moves = format!("DECRBY account:{from} {amount}\r\nINCRBY account:{to} {amount}\r\n");
                    (format!("MULTI\r\n{moves}EXEC\r\n"), 4)
                }
                16..26 => (format!("SET key:{key} {amount}{key}{}\r\n", self.rng.below(1000)), 1),
                26..30 => (format!("DEL key:{key}\r\n"), 1),
                30..34 => (format!("GET key:{key}\r\n"), 1),
                34..36 => (format!("PEXPIRE key:{key} {}\r\n", 1 + self.rng.below(300)), 1),
                36 if self.fault.is_none() && self.rng.one_in(15) => {
                    self.flushed = true;
                    self.marks.cleared += u64::from(self.cluster.engines.iter().any(|engine| engine.is_walking()));
                    ("FLUSHALL\r\n".to_owned(), 1)
                }
                _ => (format!("SET key:{key} {}\r\n", "x".repeat(1 + self.rng.below(3000))), 1),
            }
        };
        let client = &mut self.clients[at];
        client.owed += replies;
        let conn = client.conn;
        self.cluster.bytes(conn, lines.as_bytes());
        Ok(())
    }

    /// The power goes. What is left is a snapshot that was taken, the last that was told of or a later one; and any number of
    /// cores loads it.
    fn crash(mut self) -> Result<Marks, String> {
        self.marks.crashed_midway += u64::from(self.disk.names().len() > usize::from(self.saved.is_some()));
        self.disk.fail(None);
        let rng = &mut self.rng;
        self.disk.crash(|| rng.next());
        let Some(saved) = self.saved else { return Ok(self.marks) };
        let items = in_file(&mut self.disk)?;
        if self.copies[saved..].iter().all(|copy| !is_like(&items, &copy.1, self.cluster.now_ms)) {
            return Err("after a crash the file is no snapshot that was taken since the last good one".to_owned());
        }
        let cores = 1 + self.rng.below(5) as u16;
        self.marks.by_other_cores += u64::from(usize::from(cores) != self.cluster.engines.len());
        let snapshots = SnapshotConfig { loading: true, ..SnapshotConfig::default() };
        let mut cluster = Cluster::with(&config(9, cores, self.cluster.now_ms), &snapshots);
        let conn = cluster.connect(0);
        cluster.bytes(conn, b"GET key:1\r\nPING\r\n");
        let mut events = Vec::new();
        keeper(&self.disk, cores).load_at_start(
            &Name::parse(FILE.as_bytes()).map_err(|e| e.to_string())?,
            &mut |c, e| {
                events.push((usize::from(c.0), e));
                true
            },
        );
        for (core, event) in events {
            cluster.engines[core].on_file(event, self.cluster.now_ms);
            cluster.settle();
        }
        let told = cluster.send(conn, usize::MAX);
        if told != b"-LOADING Redis is loading the dataset in memory\r\n".repeat(2) {
            return Err(format!("while it loads: {}", told.escape_ascii()));
        }
        let lives = |(_, at): &(Vec<u8>, Option<u64>)| at.is_none_or(|at| at > self.cluster.now_ms);
        let expected: Items = items.into_iter().filter(|(_, value)| lives(value)).collect();
        self.marks.expired += u64::from(expected.len() < self.copies[saved].1.len());
        if cluster.engines.iter().any(|engine| engine.is_loading()) || copy(&cluster) != expected {
            return Err(format!("{cores} cores load another keyspace, or none"));
        }
        for (core, engine) in (0..).zip(&cluster.engines) {
            engine.shard().scan(0, u32::MAX, 0, &mut |key, _| assert_eq!(Slot::of(key).owner(cores), CoreId(core)));
            engine.verify();
        }
        Ok(self.marks)
    }
}

fn run(seed: u64, fault: Option<Fault>) -> Result<Marks, String> {
    let mut world = World::new(seed, fault);
    for _ in 0..STEPS {
        world.step()?;
    }
    for engine in &world.cluster.engines {
        engine.verify();
    }
    world.crash()
}

#[test]
fn every_seed_has_snapshots_of_one_instant_that_survive() {
    let mut all = [0; 9];
    let whole = run_each(80, |seed| {
        let marks = run(seed, None)?;
        let Marks { saved, failed, refused, changed_first, cleared, expired, crashed_midway, by_other_cores, gave_up } =
            marks;
        let these = [saved, failed, refused, changed_first, cleared, expired, crashed_midway, by_other_cores, gave_up];
        all.iter_mut().zip(these).for_each(|(sum, one)| *sum += one);
        Ok(())
    });
    eprintln!("{all:?}");
    let names = [
        "a snapshot",
        "a snapshot that failed",
        "a save while another was under way",
        "an item written before it changed",
        "a FLUSHALL during a walk",
        "an expired item that was not loaded",
        "a crash while a snapshot was written",
        "a load by another number of cores",
        "a transaction that gave up",
    ];
    for (reached, what) in all.into_iter().zip(names) {
        assert!(reached > 0 || !whole, "never reached: {what}");
    }
}

fn must_be_found(fault: Fault) {
    let broken = |seed| std::panic::catch_unwind(|| run(seed, Some(fault)).is_err()).unwrap_or(true);
    assert!(quietly(|| (0..40).any(broken)), "{fault:?} went unnoticed");
}

#[test]
fn a_cut_without_holds_is_found() {
    must_be_found(Fault::EarlyGrant);
}

#[test]
fn a_cut_after_the_release_is_found() {
    must_be_found(Fault::LateCut);
}

#[test]
fn a_snapshot_takes_no_more_of_the_disk_than_it_may() {
    const BANDWIDTH: u64 = 4 << 20;
    let snapshots = SnapshotConfig { bandwidth: BANDWIDTH, ..SnapshotConfig::default() };
    let mut cluster = Cluster::with(&config(1, 1, 1_700_000_000_000), &snapshots);
    let conn = cluster.connect(0);
    let value = "v".repeat(100_000);
    for at in 0..120 {
        cluster.bytes(conn, format!("*3\r\n$3\r\nSET\r\n$3\r\n{at:03}\r\n$100000\r\n{value}\r\n").as_bytes());
        cluster.send(conn, usize::MAX);
    }
    let disk = FaultyDisk::default();
    let mut keeper = keeper(&disk, 1);
    // Time at work counts from the first tick on.
    cluster.tick(0);
    cluster.bytes(conn, b"SAVE\r\n");
    let (mut passed_ms, mut bytes, mut said) = (0, 0, Vec::new());
    while said.is_empty() {
        for _ in 0..200 {
            cluster.engines[0].on_slice(cluster.now_ms);
            let mut events = Vec::new();
            while let Some(ask) = cluster.engines[0].take_file_ask() {
                if let FileAsk::Block { block, .. } = &ask {
                    bytes += block.bytes.len() as u64;
                }
                keeper.answer(CoreId(0), ask, &mut |_, event| {
                    events.push(event);
                    true
                });
            }
            events.into_iter().for_each(|event| cluster.engines[0].on_file(event, cluster.now_ms));
            cluster.end_turn(0);
        }
        // From the first byte on: what a step of the walk copies is all that may come early.
        let allowed = BANDWIDTH * passed_ms / 1000 + SNAPSHOT_STEP_BYTES as u64;
        assert!(bytes <= allowed, "{bytes} bytes in {passed_ms} ms");
        said = cluster.send(conn, usize::MAX);
        cluster.tick(50);
        passed_ms += 50;
        assert!(passed_ms < 60_000, "it ends");
    }
    assert_eq!(said, b"+OK\r\n");
    assert!(bytes >= 12_000_000 && passed_ms >= 2000, "{bytes} bytes in {passed_ms} ms");
    assert_eq!(in_file(&mut disk.clone()).map(|items| items.len()), Ok(120));
}
