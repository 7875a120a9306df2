//! Near caches: clients that keep what they read and drop what they are told is stale, under random writers, expiries,
//! evictions, FLUSHALL and disconnects over one to four cores.
//!
//! Whenever everything has come to rest, each copy that a client still has must be what the server stores: so no
//! invalidation was lost, and none overtook the reply with the older value. Batches are late, sockets take a part of
//! what is said, links stand still; tables of tracked keys overflow. Canaries lose an invalidation, or let it overtake.

use std::collections::{HashMap, VecDeque};

use aspine::engine::batch::Payload;
use aspine::resp::Value;
use aspine::resp::reply::decode;
use aspine::shard::Eviction;

use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;
use crate::seeds::quietly;

const KEYS: usize = 14;
const STEPS: usize = 1_500;

/// How a client tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    NoLoop,
    OptIn,
    Broadcast,
    /// It writes and has no cache.
    Not,
}

/// What a client waits to be answered.
#[derive(Clone, Debug)]
enum Asked {
    Nothing,
    Get(Vec<usize>),
    Set(usize, Vec<u8>),
    /// These keys changed; a client that hears nothing of its own changes drops them itself.
    Changed(Vec<usize>),
    Exec(Vec<usize>),
}

struct Client {
    conn: Conn,
    way: Way,
    cache: HashMap<usize, Option<Vec<u8>>>,
    unsent: VecDeque<u8>,
    inbox: Vec<u8>,
    asked: VecDeque<Asked>,
}

/// A bug planted in the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// What is stale is lost, now and then.
    Lost,
    /// Of FLUSHALL alone one core never hears.
    LostClear,
    /// It overtakes the replies before it: which must do no harm, since a session puts it behind what it waits for.
    Overtaking,
}

#[derive(Default, Debug)]
struct Marks {
    invalidated: u64,
    cleared: u64,
    own_kept: u64,
    overflowed: u64,
    expired: u64,
    evicted: u64,
    vanished: u64,
    from_other_core: u64,
    in_exec: u64,
    checked: u64,
}

struct World {
    cluster: Cluster,
    clients: Vec<Client>,
    rng: Rng,
    marks: Marks,
    fault: Option<Fault>,
    written: u64,
    small_table: bool,
}

fn key_of(at: usize) -> String {
    // Half of them have the prefix that clients of prefixes name.
    if at.is_multiple_of(2) { format!("a:{at}") } else { format!("b{at}") }
}

fn number(key: &[u8]) -> usize {
    let text = String::from_utf8_lossy(key);
    (0..KEYS).find(|at| key_of(*at) == text).expect("a key of ours")
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut rng = Rng::new(seed, "near cache");
        let cores = if fault.is_some() { 2 } else { 1 + rng.below(4) as u16 };
        let full = rng.one_in(3);
        let cluster = Cluster::new(&ClusterConfig {
            cores,
            items_max: if full { 8 } else { u64::MAX },
            bytes_max: u64::MAX,
            eviction: Eviction::Lru,
            auth_key: None,
            seed,
            now_ms: 1_700_000_000_000,
        });
        let small_table = rng.one_in(3);
        let mut world =
            World { cluster, clients: Vec::new(), rng, marks: Marks::default(), fault, written: 0, small_table };
        if small_table {
            world.once("CONFIG SET tracking-table-max-keys 4\r\n");
        }
        for _ in 0..3 + world.rng.below(4) {
            let client = world.arrive();
            world.clients.push(client);
        }
        world
    }

    /// Says something on a connection of its own, and returns the answer.
    fn once(&mut self, line: &str) -> Vec<u8> {
        let conn = self.cluster.connect(0);
        self.cluster.bytes(conn, line.as_bytes());
        self.cluster.settle();
        let said = self.cluster.send(conn, usize::MAX);
        self.cluster.engines[0].on_disconnect(conn.id);
        said
    }

    fn arrive(&mut self) -> Client {
        let core = self.rng.below(self.cluster.engines.len());
        let conn = self.cluster.connect(core);
        let way = [Way::Plain, Way::Plain, Way::NoLoop, Way::OptIn, Way::Broadcast, Way::Not][self.rng.below(6)];
        let hello = match way {
            Way::Plain => "HELLO 3\r\nCLIENT TRACKING ON\r\n",
            Way::NoLoop => "HELLO 3\r\nCLIENT TRACKING ON NOLOOP\r\n",
            Way::OptIn => "HELLO 3\r\nCLIENT TRACKING ON OPTIN\r\n",
            Way::Broadcast => "HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX a:\r\n",
            Way::Not => "HELLO 3\r\nPING\r\n",
        };
        let asked = VecDeque::from([Asked::Nothing, Asked::Nothing]);
        let unsent = hello.bytes().collect();
        Client { conn, way, cache: HashMap::new(), unsent, inbox: Vec::new(), asked }
    }

    /// A client asks for something more.
    fn ask(&mut self, at: usize) {
        self.written += 1;
        let (one, two) = (self.rng.below(KEYS), self.rng.below(KEYS));
        let value = format!("v{}", self.written);
        let client = &mut self.clients[at];
        let opt_in = client.way == Way::OptIn;
        let mut lines = String::new();
        if opt_in && self.rng.below(10) < 7 {
            lines.push_str("CLIENT CACHING YES\r\n");
            client.asked.push_back(Asked::Nothing);
        }
        // Without CACHING YES nothing it reads may be kept.
        let kept = |asked: Asked| if opt_in && lines.is_empty() { Asked::Nothing } else { asked };
        let (line, asked) = match self.rng.below(12) {
            0..4 => (format!("GET {}\r\n", key_of(one)), vec![kept(Asked::Get(vec![one]))]),
            4..6 => (format!("MGET {} {}\r\n", key_of(one), key_of(two)), vec![kept(Asked::Get(vec![one, two]))]),
            6 => {
                let exec = format!("MULTI\r\nGET {}\r\nGET {}\r\nEXEC\r\n", key_of(one), key_of(two));
                let nothing = || vec![Asked::Nothing; 3];
                (exec, [nothing(), vec![kept(Asked::Exec(vec![one, two]))]].concat())
            }
            7..9 => (format!("SET {} {value}\r\n", key_of(one)), vec![Asked::Set(one, value.into_bytes())]),
            9 => (
                format!("SET {} {value} PX {}\r\n", key_of(one), 1 + self.rng.below(40)),
                vec![Asked::Changed(vec![one])],
            ),
            10 => match self.rng.below(4) {
                0 => (format!("DEL {} {}\r\n", key_of(one), key_of(two)), vec![Asked::Changed(vec![one, two])]),
                1 => (
                    format!("MSET {} {value} {} {value}\r\n", key_of(one), key_of(two)),
                    vec![Asked::Changed(vec![one, two])],
                ),
                2 => (format!("RENAME {} {}\r\n", key_of(one), key_of(two)), vec![Asked::Changed(vec![one, two])]),
                _ => (
                    format!("MULTI\r\nAPPEND {} x\r\nDEL {}\r\nEXEC\r\n", key_of(one), key_of(two)),
                    [vec![Asked::Nothing; 3], vec![Asked::Changed(vec![one, two])]].concat(),
                ),
            },
            _ if self.rng.one_in(12) => ("FLUSHALL\r\n".to_owned(), vec![Asked::Nothing]),
            _ => (format!("EXPIRE {} 100\r\n", key_of(one)), vec![Asked::Nothing]),
        };
        lines.push_str(&line);
        client.asked.extend(asked);
        client.unsent.extend(lines.bytes());
    }

    fn step(&mut self) -> Result<(), String> {
        let cores = self.cluster.engines.len();
        let core = self.rng.below(cores);
        match self.rng.below(12) {
            0..5 => {
                let from = self.rng.below(cores);
                let stale = |batch: &aspine::engine::batch::Batch| matches!(batch.payload, Payload::Stale(_));
                self.marks.from_other_core += u64::from(self.cluster.links[from][core].front().is_some_and(stale));
                self.cluster.deliver(from, core);
            }
            5..9 => self.sockets(core)?,
            9 => self.cluster.tick(self.rng.below(4) as u64),
            10 if self.rng.one_in(60) => {
                let at = self.rng.below(self.clients.len());
                let conn = self.clients[at].conn;
                self.cluster.engines[conn.core].on_disconnect(conn.id);
                self.marks.vanished += 1;
                self.clients[at] = self.arrive();
            }
            _ => {
                let at = self.rng.below(self.clients.len());
                if self.clients[at].asked.len() < 8 {
                    self.ask(at);
                }
            }
        }
        let engine = &mut self.cluster.engines[core];
        if self.rng.one_in(2) && engine.has_backlog() {
            engine.on_slice(self.cluster.now_ms);
        }
        while engine.take_ready().is_some() {}
        if self.rng.one_in(2) {
            self.cluster.end_turn(core);
            self.tamper();
        }
        Ok(())
    }

    fn tamper(&mut self) {
        for link in self.cluster.links.iter_mut().flatten() {
            let Some(at) = link.iter().position(|batch| matches!(batch.payload, Payload::Stale(_))) else { continue };
            match self.fault {
                Some(Fault::Lost) if self.rng.one_in(8) => drop(link.remove(at)),
                Some(Fault::LostClear) if is_clear(&link[at].payload) => drop(link.remove(at)),
                Some(Fault::Overtaking) if at > 0 => link.swap(0, at),
                _ => {}
            }
        }
    }

    /// Bytes go both ways between a core and its clients.
    fn sockets(&mut self, core: usize) -> Result<(), String> {
        for at in 0..self.clients.len() {
            if self.clients[at].conn.core != core || self.rng.one_in(3) {
                continue;
            }
            let client = &mut self.clients[at];
            let some = client.unsent.len().min(1 + self.rng.below(90));
            let bytes: Vec<u8> = client.unsent.drain(..some).collect();
            let conn = client.conn;
            if !bytes.is_empty() {
                self.cluster.bytes(conn, &bytes);
            }
            let said = self.cluster.send(conn, 1 + self.rng.below(200));
            self.hear(at, &said)?;
        }
        Ok(())
    }

    fn hear(&mut self, at: usize, said: &[u8]) -> Result<(), String> {
        let client = &mut self.clients[at];
        client.inbox.extend_from_slice(said);
        while let Some((value, len)) = decode(&client.inbox).map_err(|error| format!("{error}"))? {
            client.inbox.drain(..len);
            if let Value::Push(parts) = &value {
                client.forget(parts, &mut self.marks)?;
                continue;
            }
            let asked = client.asked.pop_front().ok_or_else(|| format!("a reply to nothing: {value:?}"))?;
            client.answered(asked, value, &mut self.marks)?;
        }
        Ok(())
    }

    /// Everything comes to rest; then no copy may be old.
    fn check(&mut self) -> Result<(), String> {
        for round in 0..60 {
            for at in 0..self.clients.len() {
                let client = &mut self.clients[at];
                let (conn, bytes) = (client.conn, client.unsent.drain(..).collect::<Vec<u8>>());
                if !bytes.is_empty() {
                    self.cluster.bytes(conn, &bytes);
                }
            }
            if round % 20 == 10 {
                // An item whose time has passed goes with a tick, at the latest.
                self.cluster.tick(1);
            }
            self.cluster.settle();
            for at in 0..self.clients.len() {
                let said = self.cluster.send(self.clients[at].conn, usize::MAX);
                self.hear(at, &said)?;
            }
        }
        let stored = self.stored()?;
        for client in &self.clients {
            if let Some(asked) = client.asked.front() {
                return Err(format!("{asked:?} was never answered"));
            }
            for (at, copy) in &client.cache {
                self.marks.checked += 1;
                if *copy != stored[*at] {
                    let way = client.way;
                    return Err(format!("{way:?} holds {copy:?} of {}, which is {:?}", key_of(*at), stored[*at]));
                }
            }
        }
        Ok(())
    }

    /// What is stored, without a trace: looked up at the shards.
    fn stored(&self) -> Result<Vec<Option<Vec<u8>>>, String> {
        let find = |at: usize| {
            let name = key_of(at);
            let shards = self.cluster.engines.iter().map(aspine::engine::Engine::shard);
            shards
                .filter_map(|shard| shard.peek(name.as_bytes(), self.cluster.now_ms))
                .map(|item| item.value.to_vec())
                .next()
        };
        Ok((0..KEYS).map(find).collect())
    }

    fn end(&mut self) -> Result<(), String> {
        self.check()?;
        for client in std::mem::take(&mut self.clients) {
            self.cluster.engines[client.conn.core].on_disconnect(client.conn.id);
        }
        self.cluster.settle();
        for (core, engine) in self.cluster.engines.iter().enumerate() {
            engine.verify();
            let tracked = engine.shard().tracked();
            if (engine.session_count(), engine.tickets_open(), tracked.prefixes) != (0, 0, 0) {
                return Err(format!("core {core}: sessions, tickets or prefixes are left"));
            }
            if self.small_table && tracked.keys > 4 {
                return Err(format!("core {core} remembers {} keys", tracked.keys));
            }
            self.marks.overflowed += u64::from(self.small_table && tracked.keys > 0);
            self.marks.expired += engine.shard().counters().expirations;
            self.marks.evicted += engine.shard().counters().evictions;
        }
        Ok(())
    }
}

impl Client {
    /// What is told unasked: some of the copies are stale.
    fn forget(&mut self, parts: &[Value], marks: &mut Marks) -> Result<(), String> {
        match parts {
            [Value::Bulk(Some(kind)), Value::Array(Some(keys))] if kind == b"invalidate" && self.way != Way::Not => {
                for name in keys {
                    let Value::Bulk(Some(name)) = name else { return Err(format!("a stale key {name:?}")) };
                    marks.invalidated += u64::from(self.cache.remove(&number(name)).is_some());
                }
                Ok(())
            }
            [Value::Bulk(Some(kind)), Value::Null] if kind == b"invalidate" && self.way != Way::Not => {
                marks.cleared += u64::from(!self.cache.is_empty());
                self.cache.clear();
                Ok(())
            }
            other => Err(format!("{:?} was told {other:?}", self.way)),
        }
    }

    /// Whether it may keep a copy of a key.
    fn keeps(&self, at: usize) -> bool {
        match self.way {
            Way::Not => false,
            Way::Broadcast => key_of(at).starts_with("a:"),
            Way::Plain | Way::NoLoop | Way::OptIn => true,
        }
    }

    fn keep(&mut self, at: usize, value: &Value) -> Result<(), String> {
        let copy = match value {
            Value::Bulk(Some(value)) => Some(value.clone()),
            Value::Null => None,
            other => return Err(format!("a value {other:?}")),
        };
        if self.keeps(at) {
            self.cache.insert(at, copy);
        }
        Ok(())
    }

    fn answered(&mut self, asked: Asked, value: Value, marks: &mut Marks) -> Result<(), String> {
        match (asked, value) {
            (Asked::Nothing, _) => Ok(()),
            (Asked::Changed(keys), _) => {
                if self.way == Way::NoLoop {
                    keys.iter().for_each(|at| drop(self.cache.remove(at)));
                }
                Ok(())
            }
            (Asked::Get(keys), Value::Array(Some(values))) if keys.len() == values.len() => {
                keys.iter().zip(&values).try_for_each(|(at, value)| self.keep(*at, value))
            }
            (Asked::Get(keys), value) if keys.len() == 1 => self.keep(keys[0], &value),
            (Asked::Exec(keys), Value::Array(Some(values))) if values.len() == 2 => {
                marks.in_exec += 1;
                keys.iter().zip(&values).try_for_each(|(at, value)| self.keep(*at, value))
            }
            // It waited too long for its shards.
            (Asked::Exec(_), Value::Error(_)) => Ok(()),
            (Asked::Set(at, value), Value::Simple(_)) => {
                // Its own change is no news to it: it has to know itself. What it does not hold it does not track.
                if self.way == Way::NoLoop
                    && let Some(copy) = self.cache.get_mut(&at)
                {
                    *copy = Some(value);
                    marks.own_kept += 1;
                }
                Ok(())
            }
            (asked, other) => Err(format!("{asked:?} was answered {other:?}")),
        }
    }
}

/// Whether it says nothing but that a shard was cleared.
fn is_clear(payload: &Payload) -> bool {
    matches!(payload, Payload::Stale(bytes) if bytes.len() == 1)
}

fn run(seed: u64, fault: Option<Fault>) -> Result<Marks, String> {
    let mut world = World::new(seed, fault);
    for step in 1..=STEPS {
        world.step().map_err(|error| format!("seed {seed}, step {step}: {error}"))?;
        if step % 250 == 0 {
            world.check().map_err(|error| format!("seed {seed}, step {step}: {error}"))?;
        }
    }
    world.end().map_err(|error| format!("seed {seed}: {error}"))?;
    Ok(world.marks)
}

#[test]
fn no_near_cache_holds_an_old_value() {
    let seeds = std::env::var("ASPINE_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(150);
    let mut all = [0; 10];
    for seed in 0..seeds {
        let marks = run(seed, None).unwrap_or_else(|error| panic!("{error}"));
        let Marks { invalidated, cleared, own_kept, overflowed, expired, .. } = marks;
        let Marks { evicted, vanished, from_other_core, in_exec, checked, .. } = marks;
        let counts =
            [invalidated, cleared, own_kept, overflowed, expired, evicted, vanished, from_other_core, in_exec, checked];
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    eprintln!("{all:?}");
    let names = [
        "a copy that went stale",
        "FLUSHALL",
        "an own change",
        "a small table",
        "an expiry",
        "an eviction",
        "a client that vanished",
        "an invalidation from another core",
        "a read in EXEC",
        "a copy that was checked",
    ];
    for (name, count) in names.iter().zip(all) {
        assert!(count > 0, "never reached: {name}");
    }
}

#[test]
fn a_lost_invalidation_is_found() {
    assert!(quietly(|| (0..40).any(|seed| run(seed, Some(Fault::Lost)).is_err())), "it went unnoticed");
}

#[test]
fn a_lost_clear_is_found() {
    assert!(quietly(|| (0..80).any(|seed| run(seed, Some(Fault::LostClear)).is_err())), "it went unnoticed");
}

#[test]
fn an_invalidation_that_overtakes_does_no_harm() {
    for seed in 0..40 {
        let _ = run(seed, Some(Fault::Overtaking)).unwrap_or_else(|error| panic!("{error}"));
    }
}
