//! Near caches: clients that keep what they read and drop what they are told is stale, under random writers, expiries,
//! evictions, FLUSHALL and disconnects. They track in every way there is: by what they read, by OPTIN and OPTOUT with
//! CLIENT CACHING, by prefixes, with NOLOOP or without; and are told by a connection of their own or, with REDIRECT, by
//! another, of either protocol, which may vanish.
//!
//! Whenever everything has come to rest, each copy that a client still has must be what the server stores: so no
//! invalidation was lost, and none overtook the reply with the older value. Tables of tracked keys overflow.

mod reader;

use std::collections::{HashMap, VecDeque};

use aspine::engine::Engine;
use aspine::resp::Value;

use self::reader::{Asked, Client, Scope, Way};
use super::{Actors, Scene};
use crate::cluster::{Cluster, Conn};
use crate::rng::Rng;

const KEYS: usize = 14;
/// Keys that a core remembers where the table is small.
const SMALL_TABLE: u64 = 4;

/// A connection that is told in place of another.
struct Ear {
    /// What CLIENT ID said.
    id: Option<i64>,
    asked: bool,
    resp3: bool,
    /// Invalidations arrive here: what is read from now on may be kept.
    ready: bool,
    /// The client in whose place it is told.
    reader: Option<usize>,
    gone: bool,
}

enum Member {
    Reader(Box<Client>),
    Ear(Ear),
}

/// All clients with near caches, and those that hear for them.
pub struct NearCaches {
    members: Vec<Member>,
    count: usize,
    small_table: bool,
    /// How the next one tracks; it waits for an ear if it needs one.
    next: Option<Way>,
    written: u64,
}

fn key_of(at: usize) -> String {
    // Half of them have one prefix that clients of prefixes name, some have another.
    if at.is_multiple_of(2) { format!("a:{at}") } else { format!("b{at}") }
}

/// The number of a key, if it is one of these clients'.
pub fn number(key: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(key);
    (0..KEYS).find(|at| key_of(*at) == text)
}

impl NearCaches {
    /// So many clients at a time.
    pub fn new(count: usize, small_table: bool) -> NearCaches {
        NearCaches { members: Vec::new(), count, small_table, next: None, written: 0 }
    }

    fn readers(&self) -> impl Iterator<Item = &Client> {
        self.members
            .iter()
            .filter_map(|member| if let Member::Reader(client) = member { Some(&**client) } else { None })
    }

    /// An ear that hears for nobody.
    fn free_ear(&self) -> Option<usize> {
        let free = |member: &Member| matches!(member, Member::Ear(ear) if !ear.gone && ear.reader.is_none());
        self.members.iter().position(free)
    }

    fn ear(&mut self, at: usize) -> Option<&mut Ear> {
        if let Some(Member::Ear(ear)) = self.members.get_mut(at) { Some(ear) } else { None }
    }

    /// What a client that tracks says next.
    fn lines(&mut self, at: usize, rng: &mut Rng) -> String {
        self.written += 1;
        let (one, two) = (rng.below(KEYS), rng.below(KEYS));
        let value = format!("v{}", self.written);
        let Member::Reader(client) = &mut self.members[at] else { return String::new() };
        let mut lines = String::new();
        let mut caching = client.way.caching().filter(|_| rng.below(10) < 6);
        let in_multi = rng.one_in(2);
        if let Some(word) = caching.filter(|_| !in_multi) {
            lines = format!("CLIENT CACHING {word}\r\n");
            client.asked.push_back(Asked::Nothing);
        }
        let kind = rng.below(12);
        if kind != 6 && in_multi {
            // It was to be said between MULTI and EXEC.
            caching = None;
        }
        // Without CACHING YES, or with CACHING NO, nothing it reads may be kept.
        let keeps = (client.way.scope == Scope::OptIn) == caching.is_some();
        let kept = |asked: Asked| if client.way.caching().is_none() || keeps { asked } else { Asked::Nothing };
        let (line, asked) = match kind {
            0..4 => (format!("GET {}\r\n", key_of(one)), vec![kept(Asked::Get(vec![one]))]),
            4..6 => (format!("MGET {} {}\r\n", key_of(one), key_of(two)), vec![kept(Asked::Get(vec![one, two]))]),
            6 => {
                let said = caching.filter(|_| in_multi).map(|word| format!("CLIENT CACHING {word}\r\n"));
                let mut asked = vec![Asked::Nothing; 3 + usize::from(said.is_some())];
                asked.push(kept(Asked::Exec(vec![one, two])));
                let said = said.unwrap_or_default();
                (format!("MULTI\r\n{said}GET {}\r\nGET {}\r\nEXEC\r\n", key_of(one), key_of(two)), asked)
            }
            7..9 => (format!("SET {} {value}\r\n", key_of(one)), vec![Asked::Set(one, value.into_bytes())]),
            9 => (format!("SET {} {value} PX {}\r\n", key_of(one), 1 + rng.below(40)), vec![Asked::Changed(vec![one])]),
            10 => writes(one, two, &value, rng),
            _ => (format!("EXPIRE {} 100\r\n", key_of(one)), vec![Asked::Nothing]),
        };
        lines.push_str(&line);
        client.asked.extend(asked);
        lines
    }

    /// What an ear hears.
    fn hear_by_ear(&mut self, at: usize, value: &Value, scene: &mut Scene<'_>) -> Result<(), String> {
        let Some(ear) = self.ear(at) else { return Err("no ear".to_owned()) };
        let keys = match value {
            Value::Integer(id) if ear.id.is_none() => {
                ear.id = Some(*id);
                return Ok(());
            }
            // What HELLO is answered.
            Value::Map(_) if ear.resp3 && !ear.ready => {
                ear.ready = true;
                return Ok(());
            }
            Value::Push(parts) | Value::Array(Some(parts)) => match &parts[..] {
                [Value::Bulk(Some(kind)), Value::Bulk(Some(_)), Value::Integer(_)] if kind == b"subscribe" => {
                    ear.ready = true;
                    return Ok(());
                }
                [Value::Bulk(Some(kind)), keys] if kind == b"invalidate" => keys,
                [Value::Bulk(Some(kind)), Value::Bulk(Some(channel)), keys]
                    if kind == b"message" && channel == b"__redis__:invalidate" =>
                {
                    keys
                }
                other => return Err(format!("an ear heard {other:?}")),
            },
            other => return Err(format!("an ear heard {other:?}")),
        };
        // For a client that has gone it may hear late.
        let Some(reader) = ear.reader else { return Ok(()) };
        let Member::Reader(client) = &mut self.members[reader] else { return Ok(()) };
        client.drop_by_ear(keys, scene.marks)
    }
}

/// A command, or a few, that change two keys.
fn writes(one: usize, two: usize, value: &str, rng: &mut Rng) -> (String, Vec<Asked>) {
    let (first, second) = (key_of(one), key_of(two));
    let changed = Asked::Changed(vec![one, two]);
    match rng.below(4) {
        0 => (format!("DEL {first} {second}\r\n"), vec![changed]),
        1 => (format!("MSET {first} {value} {second} {value}\r\n"), vec![changed]),
        2 => (format!("RENAME {first} {second}\r\n"), vec![changed]),
        _ => (
            format!("MULTI\r\nAPPEND {first} x\r\nDEL {second}\r\nEXEC\r\n"),
            [vec![Asked::Nothing; 3], vec![changed]].concat(),
        ),
    }
}

/// What is stored, without a trace: looked up at the shards.
fn stored(cluster: &Cluster, at: usize) -> Option<Vec<u8>> {
    let name = key_of(at);
    let mut shards = cluster.engines.iter().map(Engine::shard);
    shards.find_map(|shard| shard.peek(name.as_bytes(), cluster.now_ms)).map(|item| item.value.to_vec())
}

impl Actors for NearCaches {
    fn opening(&self) -> String {
        if self.small_table { format!("CONFIG SET tracking-table-max-keys {SMALL_TABLE}\r\n") } else { String::new() }
    }

    fn wants_another(&mut self, scene: &mut Scene<'_>) -> bool {
        if self.readers().filter(|client| !client.gone).count() >= self.count {
            return false;
        }
        let way = *self.next.get_or_insert_with(|| Way::draw(scene.rng));
        let ear = self.free_ear().map(|at| matches!(&self.members[at], Member::Ear(ear) if ear.id.is_some()));
        // First an ear; then, when it is known by which number, who is told by it.
        !way.redirects || ear.unwrap_or(true)
    }

    fn arrive(&mut self, _: Conn, scene: &mut Scene<'_>) {
        let Some(way) = self.next else { return };
        let free = self.free_ear().filter(|_| way.redirects);
        if way.redirects && free.is_none() {
            let resp3 = scene.rng.one_in(2);
            let ear = Ear { id: None, asked: false, resp3, ready: false, reader: None, gone: false };
            return self.members.push(Member::Ear(ear));
        }
        self.next = None;
        let number = self.members.len();
        let id = free.and_then(|at| self.ear(at)).and_then(|ear| {
            ear.reader = Some(number);
            ear.id
        });
        let (cache, asked) = (HashMap::new(), VecDeque::new());
        let client = Client { way, ear: free, greeting: Some(id), deaf: false, cache, asked, gone: false };
        self.members.push(Member::Reader(Box::new(client)));
    }

    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8> {
        let ear = match &mut self.members[at] {
            Member::Ear(ear) if ear.asked => return Vec::new(),
            Member::Ear(ear) => {
                ear.asked = true;
                let hello = if ear.resp3 { "HELLO 3" } else { "SUBSCRIBE __redis__:invalidate" };
                return format!("CLIENT ID\r\n{hello}\r\n").into_bytes();
            }
            Member::Reader(client) if client.asked.len() >= 8 => return Vec::new(),
            Member::Reader(client) => client.ear,
        };
        // It reads nothing that it would not be told of.
        if ear.is_some_and(|ear| matches!(&self.members[ear], Member::Ear(ear) if !ear.ready)) {
            return Vec::new();
        }
        let Member::Reader(client) = &mut self.members[at] else { return Vec::new() };
        match client.greet() {
            Some(greeting) => greeting.into_bytes(),
            None => self.lines(at, scene.rng).into_bytes(),
        }
    }

    fn hear(&mut self, at: usize, value: Value, scene: &mut Scene<'_>) -> Result<(), String> {
        match &mut self.members[at] {
            Member::Ear(_) => self.hear_by_ear(at, &value, scene),
            Member::Reader(client) => match value {
                Value::Push(parts) => client.forget(&parts, scene.marks),
                value => {
                    let asked = client.asked.pop_front().ok_or_else(|| format!("a reply to nothing: {value:?}"))?;
                    client.answered(asked, value, scene.marks)
                }
            },
        }
    }

    fn owed(&self, at: usize) -> usize {
        match &self.members[at] {
            Member::Reader(client) => client.asked.len(),
            Member::Ear(ear) => usize::from(ear.asked && ear.id.is_none()) + usize::from(ear.asked && !ear.ready),
        }
    }

    fn leave(&mut self, at: usize, scene: &mut Scene<'_>) {
        let other = match &mut self.members[at] {
            Member::Reader(client) => {
                client.gone = true;
                scene.marks.tracker_vanished += 1;
                client.ear.take()
            }
            Member::Ear(ear) => {
                ear.gone = true;
                scene.marks.ear_vanished += u64::from(ear.reader.is_some());
                ear.reader.take()
            }
        };
        match other.map(|other| &mut self.members[other]) {
            Some(Member::Ear(ear)) => ear.reader = None,
            Some(Member::Reader(client)) => client.lose_ear(),
            None => {}
        }
    }

    /// No copy may be old.
    fn at_rest(&mut self, scene: &mut Scene<'_>) -> Result<(), String> {
        for client in self.readers().filter(|client| !client.gone) {
            if let Some(asked) = client.asked.front() {
                return Err(format!("{asked:?} was never answered"));
            }
            for (at, copy) in &client.cache {
                scene.marks.copy_checked += 1;
                scene.marks.kept_by_prefix += u64::from(matches!(client.way.scope, Scope::Broadcast(1..)));
                scene.marks.kept_by_optout += u64::from(client.way.scope == Scope::OptOut);
                let stored = stored(scene.cluster, *at);
                if *copy != stored {
                    let way = client.way;
                    return Err(format!("{way:?} holds {copy:?} of {}, which is {stored:?}", key_of(*at)));
                }
            }
        }
        for (core, engine) in scene.cluster.engines.iter().enumerate() {
            let keys = engine.shard().tracked().keys;
            if self.small_table && keys > SMALL_TABLE {
                return Err(format!("core {core} remembers {keys} keys"));
            }
            scene.marks.table_small += u64::from(self.small_table && keys > 0);
        }
        Ok(())
    }
}
