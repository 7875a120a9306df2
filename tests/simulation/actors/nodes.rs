//! Nodes: clients by the cores' own ports, to which each core is a node of a cluster. Any node tells the keys of any slot,
//! while other clients' keys come and go between the slices of a walk. That they add up to the whole, the audit says.
//!
//! Keys that stay throughout are in every walk once. Keys that come and go may be in it or not, and in one that lists
//! them as often as they came.

use std::collections::{BTreeMap, BTreeSet};

use aspine::resp::Value;
use aspine::slot::Slot;

use super::{Actors, Scene};
use crate::canary::Fault;
use crate::cluster::Conn;
use crate::rng::Rng;

/// Few, so that each has many keys.
const TAGS: usize = 7;
const STABLE_KEYS: usize = 600;

/// What was asked.
#[derive(Clone, Debug)]
enum Ask {
    Size,
    Keys,
    Count(u16),
    List(u16, usize),
    Scan { cursor: Vec<u8>, found: Vec<Vec<u8>> },
}

#[derive(Default)]
struct Asker {
    /// The core that the client is connected to, and whether it sees that as a node; otherwise it sees all.
    core: usize,
    by_node: bool,
    /// The client makes keys come and go, and asks for nothing.
    churns: bool,
    asked: Option<Ask>,
    owed: usize,
    in_exec: bool,
    gone: bool,
}

/// All who see nodes, one who sees the whole, and one whose keys come and go.
pub struct Nodes {
    cores: usize,
    askers: Vec<Asker>,
    stable: BTreeSet<Vec<u8>>,
    /// Keys that come and go, and how often each came.
    coming: BTreeMap<Vec<u8>, u64>,
    fault: Option<Fault>,
}

fn key(rng: &mut Rng, prefix: &str, number: usize) -> Vec<u8> {
    format!("{{tag{}}}{prefix}{number}", rng.below(TAGS)).into_bytes()
}

/// Whether a key is one of these clients'.
pub fn owns(key: &[u8]) -> bool {
    key.strip_prefix(b"{tag").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

fn texts(values: Vec<Value>) -> Vec<Vec<u8>> {
    values.into_iter().filter_map(|value| if let Value::Bulk(text) = value { text } else { None }).collect()
}

impl Nodes {
    /// One client of each core, and two more.
    pub fn new(cores: usize, seed: u64, fault: Option<Fault>) -> Nodes {
        let mut rng = Rng::new(seed, "nodes");
        let stable = (0..1 + rng.below(STABLE_KEYS)).map(|number| key(&mut rng, "s", number)).collect();
        Nodes { cores, askers: Vec::new(), stable, coming: BTreeMap::new(), fault }
    }

    fn owner(&self, key: &[u8]) -> usize {
        usize::from(Slot::of(key).owner(self.cores as u16).0)
    }

    /// Who is missing: a client of a node, the one that sees all, the one whose keys come and go.
    fn missing(&self) -> Option<Asker> {
        let has = |is: &dyn Fn(&Asker) -> bool| self.askers.iter().any(|asker| !asker.gone && is(asker));
        if !has(&|asker| asker.churns) {
            return Some(Asker { churns: true, ..Asker::default() });
        }
        if !has(&|asker| !asker.churns && !asker.by_node) {
            return Some(Asker::default());
        }
        let core = (0..self.cores).find(|core| !has(&|asker| asker.by_node && asker.core == *core))?;
        Some(Asker { core, by_node: true, ..Asker::default() })
    }

    /// A key comes or goes.
    fn churn(&mut self, scene: &mut Scene<'_>) -> String {
        let number = scene.rng.below(40);
        let key = key(scene.rng, "c", number);
        let name = String::from_utf8_lossy(&key).into_owned();
        let walks = self.askers.iter().any(|asker| !asker.gone && asker.asked.is_some());
        scene.marks.changed_meanwhile += u64::from(walks);
        if scene.rng.one_in(2) {
            *self.coming.entry(key).or_default() += 1;
            format!("SET {name} v")
        } else {
            format!("DEL {name}")
        }
    }

    /// What a client asks for next, unless it is in the middle of a SCAN.
    fn draw(&self, rng: &mut Rng) -> Ask {
        let slot = Slot::of(&key(rng, "", 0)).0;
        match rng.below(5) {
            0 => Ask::Size,
            1 => Ask::Keys,
            2 => Ask::Count(slot),
            3 => Ask::List(slot, rng.below(200)),
            _ => Ask::Scan { cursor: b"0".to_vec(), found: Vec::new() },
        }
    }

    fn answered(&mut self, at: usize, ask: Ask, reply: Value, scene: &mut Scene<'_>) -> Result<(), String> {
        let node = self.askers[at].by_node.then_some(self.askers[at].core);
        // As if it were another's.
        let node = node.map(|core| (core + usize::from(self.fault == Some(Fault::NodeOfWrongCore))) % self.cores);
        let fits = |key: &[u8]| node.is_none_or(|core| self.owner(key) == core);
        match (ask, reply) {
            // Others have keys, too.
            (Ask::Size, Value::Integer(size)) => self.check_count(size, fits, u64::MAX, "DBSIZE"),
            (Ask::Keys, Value::Array(Some(keys))) => self.check_keys(&texts(keys), fits, usize::MAX),
            (Ask::Count(slot), Value::Integer(count)) => {
                self.check_count(count, |key| Slot::of(key).0 == slot, 0, "COUNTKEYSINSLOT")
            }
            (Ask::List(slot, count), Value::Array(Some(keys))) => {
                let keys = texts(keys);
                scene.marks.slot_cut_short += u64::from(keys.len() == count);
                self.check_keys(&keys, |key| Slot::of(key).0 == slot, count)
            }
            (Ask::Scan { mut found, .. }, Value::Array(Some(mut parts))) if parts.len() == 2 => {
                let (Some(Value::Array(Some(keys))), Some(Value::Bulk(Some(cursor)))) = (parts.pop(), parts.pop())
                else {
                    return Err("no SCAN".to_owned());
                };
                found.extend(texts(keys));
                if cursor == b"0" {
                    return self.check_keys(&found, fits, usize::MAX);
                }
                self.askers[at].asked = Some(Ask::Scan { cursor, found });
                Ok(())
            }
            (ask, reply) => Err(format!("{ask:?} was answered {reply:?}")),
        }
    }

    fn check_count(&self, count: i64, fits: impl Fn(&[u8]) -> bool, others: u64, what: &str) -> Result<(), String> {
        let least = self.stable.iter().filter(|key| fits(key)).count() as u64;
        let came: u64 = self.coming.iter().filter(|(key, _)| fits(key)).map(|(_, times)| times).sum();
        let most = (least + came).saturating_add(others);
        let count = count.cast_unsigned();
        if (least..=most).contains(&count) { Ok(()) } else { Err(format!("{what}: {count}, not {least} to {most}")) }
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
        if let Some(unknown) = set.iter().find(|key| owns(key) && !stays(key) && !self.coming.contains_key(*key)) {
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
}

impl Actors for Nodes {
    fn opening(&self) -> String {
        let lost = (self.fault == Some(Fault::NodeLosesKey)).then_some(self.stable.len() / 2);
        let kept = self.stable.iter().enumerate().filter(|(number, _)| Some(*number) != lost);
        kept.map(|(_, key)| format!("SET {} v\r\n", String::from_utf8_lossy(key))).collect()
    }

    fn wants_another(&mut self, _: &mut Scene<'_>) -> bool {
        self.missing().is_some()
    }

    fn door(&self) -> Option<(usize, bool)> {
        let next = self.missing()?;
        next.by_node.then_some((next.core, self.fault != Some(Fault::NodeSeesAll)))
    }

    fn arrive(&mut self, conn: Conn, _: &mut Scene<'_>) {
        let asker = self.missing().unwrap_or_default();
        self.askers.push(Asker { core: conn.core, ..asker });
    }

    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8> {
        if self.askers[at].owed > 0 {
            return Vec::new();
        }
        if self.askers[at].churns {
            self.askers[at].owed = 1;
            return format!("{}\r\n", self.churn(scene)).into_bytes();
        }
        let ask = self.askers[at].asked.take().unwrap_or_else(|| self.draw(scene.rng));
        let line = match &ask {
            Ask::Size => "DBSIZE".to_owned(),
            Ask::Keys => "KEYS *".to_owned(),
            Ask::Count(slot) => format!("CLUSTER COUNTKEYSINSLOT {slot}"),
            Ask::List(slot, count) => format!("CLUSTER GETKEYSINSLOT {slot} {count}"),
            Ask::Scan { cursor, .. } => format!("SCAN {} COUNT 50", String::from_utf8_lossy(cursor)),
        };
        if let Ask::Count(slot) | Ask::List(slot, _) = &ask {
            let owner = usize::from(Slot(*slot).owner(self.cores as u16).0);
            scene.marks.slot_of_other_core += u64::from(owner != self.askers[at].core);
        }
        let in_exec = !matches!(ask, Ask::Scan { .. }) && scene.rng.one_in(5);
        scene.marks.node_asked_in_exec += u64::from(in_exec);
        let asker = &mut self.askers[at];
        (asker.asked, asker.in_exec, asker.owed) = (Some(ask), in_exec, if in_exec { 3 } else { 1 });
        if in_exec { format!("MULTI\r\n{line}\r\nEXEC\r\n") } else { format!("{line}\r\n") }.into_bytes()
    }

    fn hear(&mut self, at: usize, value: Value, scene: &mut Scene<'_>) -> Result<(), String> {
        let asker = &mut self.askers[at];
        asker.owed = asker.owed.checked_sub(1).ok_or_else(|| format!("a reply to nothing: {value:?}"))?;
        if asker.owed > 0 || asker.churns {
            return Ok(());
        }
        let Some(ask) = asker.asked.take() else { return Err(format!("nobody asked for {value:?}")) };
        let reply = match value {
            // Its shards were busy for too long: as allowed.
            Value::Error(text) if asker.in_exec && text.starts_with(b"EXECABORT") => return Ok(()),
            Value::Array(Some(mut replies)) if asker.in_exec && replies.len() == 1 => replies.remove(0),
            reply => reply,
        };
        self.answered(at, ask, reply, scene)
    }

    fn owed(&self, at: usize) -> usize {
        self.askers[at].owed
    }

    fn leave(&mut self, at: usize, _: &mut Scene<'_>) {
        self.askers[at].gone = true;
    }
}
