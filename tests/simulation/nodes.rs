//! Nodes: clients by the cores' own ports, to which each core is a node of a cluster. What they add up is the whole, and
//! any node tells the keys of any slot, while other clients' keys come and go between the slices of a walk.
//!
//! Keys that stay throughout are in every walk once. Keys that come and go may be in it or not, and in one that lists
//! them as often as they came.

use std::collections::{BTreeMap, BTreeSet};

use aspine::engine::ProcessFacts;
use aspine::engine::files::SnapshotConfig;
use aspine::resp::reply::{Value, decode};
use aspine::shard::Eviction;
use aspine::slot::Slot;

use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;
use crate::seeds::run_each;

/// Few, so that each has many keys.
const TAGS: usize = 7;
const STEPS: usize = 600;
const SEEDS: u64 = 60;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    Nothing,
    /// By its own port a core answers for all.
    WholeView,
    /// A key that should stay is lost.
    LostKey,
    /// A walk forgets where its keys belong.
    WrongCore,
}

/// Rare paths.
#[derive(Default, Debug)]
struct Marks {
    /// A walk was under way over several slices.
    sliced: u64,
    /// A slot of another core was asked for.
    forwarded: u64,
    /// A list of a slot's keys ended before the walk did.
    cut_short: u64,
    /// A key came or went while a walk was under way.
    changed_meanwhile: u64,
    /// A transaction asked.
    in_transactions: u64,
}

/// What was asked.
#[derive(Clone, Debug)]
enum Ask {
    Size,
    Keys,
    Count(u16),
    List(u16, usize),
    Scan { found: Vec<Vec<u8>> },
}

struct Asker {
    conn: Conn,
    /// The core it sees as a node; all of them if `None`.
    node: Option<u16>,
    input: Vec<u8>,
    asked: Option<Ask>,
    /// Replies to come before the one that counts, of MULTI and the like.
    skip: usize,
    in_exec: bool,
}

struct Run {
    cluster: Cluster,
    cores: u16,
    rng: Rng,
    stable: BTreeSet<Vec<u8>>,
    /// Keys that come and go, and how often each came.
    coming: BTreeMap<Vec<u8>, u64>,
    churner: Conn,
    askers: Vec<Asker>,
    marks: Marks,
}

fn key(rng: &mut Rng, prefix: &str, number: usize) -> Vec<u8> {
    format!("{{tag{}}}{prefix}{number}", rng.below(TAGS)).into_bytes()
}

fn owner(key: &[u8], cores: u16) -> u16 {
    Slot::of(key).owner(cores).0
}

impl Run {
    fn new(seed: u64, plant: Plant) -> Run {
        let mut rng = Rng::new(seed, "nodes");
        let cores = 1 + rng.below(4) as u16;
        let config = ClusterConfig {
            cores,
            items_max: u64::MAX,
            bytes_max: u64::MAX,
            eviction: Eviction::Lru,
            auth_key: None,
            seed,
            now_ms: 1_700_000_000_000,
        };
        let process = ProcessFacts { core_ports: (1..=cores).collect(), ..ProcessFacts::default() };
        let mut cluster = Cluster::of_process(&config, &SnapshotConfig::default(), &process);
        let churner = cluster.connect(rng.below(cores.into()));
        let stable: BTreeSet<_> = (0..rng.below(1_500)).map(|number| key(&mut rng, "s", number)).collect();
        for (number, key) in stable.iter().enumerate() {
            if plant != Plant::LostKey || number != stable.len() / 2 {
                cluster.bytes(churner, &[b"SET ", &key[..], b" v\r\n"].concat());
            }
        }
        cluster.settle();
        cluster.send(churner, usize::MAX);
        let by_own_port = plant != Plant::WholeView;
        let mut askers: Vec<_> =
            (0..cores).map(|core| Asker::new(cluster.connect_by(core.into(), by_own_port), Some(core))).collect();
        if plant == Plant::WrongCore {
            askers.iter_mut().for_each(|asker| asker.node = asker.node.map(|core| (core + 1) % cores));
        }
        askers.push(Asker::new(cluster.connect(rng.below(cores.into())), None));
        Run { cluster, cores, rng, stable, coming: BTreeMap::new(), churner, askers, marks: Marks::default() }
    }

    fn run(mut self) -> Result<Marks, String> {
        for _ in 0..STEPS {
            let core = self.rng.below(self.cores.into());
            if self.rng.one_in(20) {
                self.cluster.tick_unevenly(self.rng.next(), 10);
            }
            match self.rng.weighted(&[4, 6, 6, 4, 4]) {
                0 => self.churn(),
                1 => self.ask(),
                2 if self.cluster.engines[core].has_backlog() => {
                    self.cluster.engines[core].on_slice(self.cluster.now_ms);
                    self.marks.sliced += u64::from(self.cluster.engines[core].has_backlog());
                }
                3 => self.cluster.end_turn(core),
                _ => {
                    let from = self.rng.below(self.cores.into());
                    self.cluster.deliver(from, core);
                }
            }
            self.hear()?;
        }
        // A scan goes on for some rounds.
        for _ in 0..STEPS {
            self.cluster.settle();
            self.hear()?;
            if self.askers.iter().all(|asker| asker.asked.is_none()) {
                break;
            }
        }
        if let Some(asked) = self.askers.iter().find_map(|asker| asker.asked.as_ref()) {
            return Err(format!("{asked:?} was never answered"));
        }
        self.add_up()?;
        for engine in &self.cluster.engines {
            engine.verify();
            assert_eq!(engine.tickets_open(), 0, "somebody waits still");
        }
        Ok(self.marks)
    }

    /// A key comes or goes.
    fn churn(&mut self) {
        let number = self.rng.below(40);
        let key = key(&mut self.rng, "c", number);
        let line = if self.rng.one_in(2) {
            *self.coming.entry(key.clone()).or_default() += 1;
            [b"SET ", &key[..], b" v\r\n"].concat()
        } else {
            [b"DEL ", &key[..], b"\r\n"].concat()
        };
        self.cluster.bytes(self.churner, &line);
        self.cluster.send(self.churner, usize::MAX);
        let walks = self.askers.iter().any(|asker| asker.asked.is_some());
        self.marks.changed_meanwhile += u64::from(walks);
    }

    /// Somebody who waits for nothing asks.
    fn ask(&mut self) {
        let at = self.rng.below(self.askers.len());
        if self.askers[at].asked.is_some() {
            return;
        }
        let slot = Slot::of(&key(&mut self.rng, "", 0)).0;
        let (line, ask) = match self.rng.below(5) {
            0 => ("DBSIZE".to_owned(), Ask::Size),
            1 => ("KEYS *".to_owned(), Ask::Keys),
            2 => (format!("CLUSTER COUNTKEYSINSLOT {slot}"), Ask::Count(slot)),
            3 => {
                let count = self.rng.below(300);
                (format!("CLUSTER GETKEYSINSLOT {slot} {count}"), Ask::List(slot, count))
            }
            _ => ("SCAN 0 COUNT 50".to_owned(), Ask::Scan { found: Vec::new() }),
        };
        let asker = &mut self.askers[at];
        if matches!(ask, Ask::Count(_) | Ask::List(..)) && Slot(slot).owner(self.cores).0 != asker.conn.core as u16 {
            self.marks.forwarded += 1;
        }
        let in_exec = !matches!(ask, Ask::Scan { .. }) && self.rng.one_in(5);
        self.marks.in_transactions += u64::from(in_exec);
        let bytes = if in_exec { format!("MULTI\r\n{line}\r\nEXEC\r\n") } else { format!("{line}\r\n") };
        (asker.asked, asker.in_exec) = (Some(ask), in_exec);
        asker.skip = if in_exec { 2 } else { 0 };
        self.cluster.bytes(self.askers[at].conn, bytes.as_bytes());
    }

    /// Takes and checks what was answered.
    fn hear(&mut self) -> Result<(), String> {
        for at in 0..self.askers.len() {
            let conn = self.askers[at].conn;
            let bytes = self.cluster.send(conn, usize::MAX);
            self.askers[at].input.extend(bytes);
            while let Some((reply, len)) = decode(&self.askers[at].input).map_err(|error| format!("{error:?}"))? {
                self.askers[at].input.drain(..len);
                self.answered(at, reply)?;
            }
        }
        Ok(())
    }

    fn answered(&mut self, at: usize, reply: Value) -> Result<(), String> {
        let asker = &mut self.askers[at];
        if asker.skip > 0 {
            asker.skip -= 1;
            return Ok(());
        }
        let Some(ask) = asker.asked.take() else { return Err(format!("nobody asked for {reply:?}")) };
        let reply = match reply {
            // Its shards were busy for too long: as allowed.
            Value::Error(text) if asker.in_exec && text.starts_with(b"EXECABORT") => return Ok(()),
            Value::Array(Some(mut replies)) if asker.in_exec && replies.len() == 1 => replies.remove(0),
            reply => reply,
        };
        let (node, conn) = (asker.node, asker.conn);
        let fits = |key: &[u8]| node.is_none_or(|core| owner(key, self.cores) == core);
        match (ask, reply) {
            (Ask::Size, Value::Integer(size)) => self.check_count(size, fits, &format!("DBSIZE of {node:?}")),
            (Ask::Keys, Value::Array(Some(keys))) => self.check_keys(&texts(keys), fits, usize::MAX),
            (Ask::Count(slot), Value::Integer(count)) => {
                self.check_count(count, |key| Slot::of(key).0 == slot, &format!("keys of slot {slot}"))
            }
            (Ask::List(slot, count), Value::Array(Some(keys))) => {
                let keys = texts(keys);
                self.marks.cut_short += u64::from(keys.len() == count);
                self.check_keys(&keys, |key| Slot::of(key).0 == slot, count)
            }
            (Ask::Scan { mut found }, Value::Array(Some(mut parts))) if parts.len() == 2 => {
                let (Some(Value::Array(Some(keys))), Some(Value::Bulk(Some(cursor)))) = (parts.pop(), parts.pop())
                else {
                    return Err("no SCAN".to_owned());
                };
                found.extend(texts(keys));
                if cursor == b"0" {
                    return self.check_keys(&found, fits, usize::MAX);
                }
                self.askers[at].asked = Some(Ask::Scan { found });
                self.askers[at].in_exec = false;
                self.cluster.bytes(conn, &[b"SCAN ", &cursor[..], b" COUNT 50\r\n"].concat());
                Ok(())
            }
            (ask, reply) => Err(format!("{ask:?} was answered {reply:?}")),
        }
    }

    fn check_count(&self, count: i64, fits: impl Fn(&[u8]) -> bool, what: &str) -> Result<(), String> {
        let least = self.stable.iter().filter(|key| fits(key)).count() as u64;
        let came: u64 = self.coming.iter().filter(|(key, _)| fits(key)).map(|(_, times)| times).sum();
        let count = count.cast_unsigned();
        if (least..=least + came).contains(&count) { Ok(()) } else { Err(format!("{what}: {count}, not {least}")) }
    }

    /// At most `max` keys that fit; all that stay, each once, if there are fewer.
    fn check_keys(&self, keys: &[Vec<u8>], fits: impl Fn(&[u8]) -> bool, max: usize) -> Result<(), String> {
        let set: BTreeSet<_> = keys.iter().cloned().collect();
        let stays = |key: &&Vec<u8>| self.stable.contains(*key);
        if let Some(alien) = set.iter().find(|key| !fits(key)) {
            return Err(format!("{} does not belong here", alien.escape_ascii()));
        }
        if keys.iter().filter(stays).count() != set.iter().filter(stays).count() {
            return Err("a key that stays is there twice".to_owned());
        }
        if let Some(unknown) = set.iter().find(|key| !stays(key) && !self.coming.contains_key(*key)) {
            return Err(format!("nobody has set {}", unknown.escape_ascii()));
        }
        if keys.len() > max {
            return Err(format!("{} keys where {max} were asked for", keys.len()));
        }
        let missed = self.stable.iter().find(|key| fits(key) && !set.contains(*key));
        match missed {
            Some(missed) if keys.len() < max => Err(format!("{} is missing", missed.escape_ascii())),
            _ => Ok(()),
        }
    }

    /// At rest, all nodes together have what the whole has.
    fn add_up(&mut self) -> Result<(), String> {
        let mut sizes = Vec::new();
        for at in 0..self.askers.len() {
            let conn = self.askers[at].conn;
            self.cluster.bytes(conn, b"DBSIZE\r\n");
            self.cluster.settle();
            match decode(&self.cluster.send(conn, usize::MAX)) {
                Ok(Some((Value::Integer(size), _))) => sizes.push(size),
                other => return Err(format!("DBSIZE was answered {other:?}")),
            }
        }
        let whole = sizes.pop().unwrap_or_default();
        if sizes.iter().sum::<i64>() == whole { Ok(()) } else { Err(format!("{sizes:?} do not add up to {whole}")) }
    }
}

impl Asker {
    fn new(conn: Conn, node: Option<u16>) -> Asker {
        Asker { conn, node, input: Vec::new(), asked: None, skip: 0, in_exec: false }
    }
}

fn texts(values: Vec<Value>) -> Vec<Vec<u8>> {
    values.into_iter().filter_map(|value| if let Value::Bulk(text) = value { text } else { None }).collect()
}

#[test]
fn every_seed_has_nodes_add_up_to_the_whole() {
    let mut all = Marks::default();
    let whole = run_each(SEEDS, |seed| {
        let marks = Run::new(seed, Plant::Nothing).run()?;
        all.sliced += marks.sliced;
        all.forwarded += marks.forwarded;
        all.cut_short += marks.cut_short;
        all.changed_meanwhile += marks.changed_meanwhile;
        all.in_transactions += marks.in_transactions;
        Ok(())
    });
    let Marks { sliced, forwarded, cut_short, changed_meanwhile, in_transactions } = all;
    for mark in [sliced, forwarded, cut_short, changed_meanwhile, in_transactions] {
        assert!(mark > 0 || !whole, "a rare path was not reached: {all:?}");
    }
}

#[test]
fn planted_bugs_of_nodes_are_found() {
    for plant in [Plant::WholeView, Plant::LostKey, Plant::WrongCore] {
        let found = (0..SEEDS).find_map(|seed| Run::new(seed, plant).run().err());
        println!("{plant:?}: {}", found.unwrap_or_else(|| panic!("{plant:?} was not found")));
    }
}
