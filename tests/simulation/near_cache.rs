//! Near caches: clients that keep what they read and drop what they are told is stale, under random writers, expiries,
//! evictions, FLUSHALL and disconnects over one to four cores. They track in every way there is: by what they read, by
//! OPTIN and OPTOUT with CLIENT CACHING, by prefixes, with NOLOOP or without; and are told by a connection of their own
//! or, with REDIRECT, by another, of either protocol, which may vanish.
//!
//! Whenever everything has come to rest, each copy that a client still has must be what the server stores: so no
//! invalidation was lost, and none overtook the reply with the older value. Batches are late, sockets take a part of
//! what is said, links stand still; tables of tracked keys overflow. Canaries lose an invalidation, or let it overtake.

mod reader;

use std::collections::{HashMap, VecDeque};

use aspine::engine::batch::Payload;
use aspine::resp::Value;
use aspine::resp::reply::decode;
use aspine::shard::Eviction;

use self::reader::{Asked, Client, Ear, Scope, Way};
use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;
use crate::seeds::{quietly, run_each};

const KEYS: usize = 14;
const STEPS: usize = 1_500;

/// A bug planted in the mesh, or at a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// What is stale is lost, now and then.
    Lost,
    /// Of FLUSHALL alone one core never hears.
    LostClear,
    /// What a client is to hear by another is lost.
    LostRedirected,
    /// That the other has gone is lost.
    LostBroken,
    /// On its way between cores it overtakes the replies before it: which must do no harm, since a session puts it behind
    /// what it waits for.
    Overtaking,
    /// A client hears it before the reply that was sent before it, as if a session did not.
    EarlyPush,
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
    caching_in_exec: u64,
    checked: u64,
    by_ear: u64,
    by_prefix: u64,
    opted_out: u64,
    ears_gone: u64,
    broken: u64,
}

impl Marks {
    fn all(&self) -> [(&'static str, u64); 16] {
        [
            ("a copy that went stale", self.invalidated),
            ("FLUSHALL", self.cleared),
            ("an own change", self.own_kept),
            ("a small table", self.overflowed),
            ("an expiry", self.expired),
            ("an eviction", self.evicted),
            ("a client that vanished", self.vanished),
            ("an invalidation from another core", self.from_other_core),
            ("a read in EXEC", self.in_exec),
            ("CLIENT CACHING between MULTI and EXEC", self.caching_in_exec),
            ("a copy that was checked", self.checked),
            ("a copy that went stale by REDIRECT", self.by_ear),
            ("a copy kept by its prefix", self.by_prefix),
            ("a copy kept by OPTOUT", self.opted_out),
            ("a client redirected to that vanished", self.ears_gone),
            ("tracking-redir-broken", self.broken),
        ]
    }
}

struct World {
    cluster: Cluster,
    clients: Vec<Client>,
    rng: Rng,
    marks: Marks,
    fault: Option<Fault>,
    written: u64,
    small_table: bool,
    /// The latest that the clock was.
    latest_ms: u64,
}

fn key_of(at: usize) -> String {
    // Half of them have one prefix that clients of prefixes name, some have another.
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
        let mut world = World {
            cluster,
            clients: Vec::new(),
            rng,
            marks: Marks::default(),
            fault,
            written: 0,
            small_table,
            latest_ms: 0,
        };
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
        let way = Way::draw(&mut self.rng);
        let (ear, id) = if way.redirects { self.listen() } else { (None, None) };
        let mut asked = VecDeque::from([Asked::Greeting]);
        let mut unsent = way.command(id);
        if way.resp3 {
            asked.push_front(Asked::Greeting);
            unsent.insert_str(0, "HELLO 3\r\n");
        }
        let (cache, inbox) = (HashMap::new(), Vec::new());
        Client { conn, way, ear, deaf: false, cache, unsent: unsent.into_bytes().into(), inbox, asked }
    }

    /// A connection that is to be told in place of another, and its client's id.
    fn listen(&mut self) -> (Option<Ear>, Option<i64>) {
        let core = self.rng.below(self.cluster.engines.len());
        let conn = self.cluster.connect(core);
        self.cluster.bytes(conn, b"CLIENT ID\r\n");
        // At once, unless a transaction holds the shard.
        let mut said = self.cluster.send(conn, usize::MAX);
        if said.is_empty() {
            self.cluster.settle();
            said = self.cluster.send(conn, usize::MAX);
        }
        let Ok(Some((Value::Integer(id), _))) = decode(&said) else { panic!("CLIENT ID says {said:?}") };
        let hello: &[u8] = if self.rng.one_in(2) { b"HELLO 3\r\n" } else { b"SUBSCRIBE __redis__:invalidate\r\n" };
        self.cluster.bytes(conn, hello);
        (Some(Ear { conn, inbox: Vec::new(), ready: false }), Some(id))
    }

    /// A client asks for something more.
    fn ask(&mut self, at: usize) {
        self.written += 1;
        let (one, two) = (self.rng.below(KEYS), self.rng.below(KEYS));
        let value = format!("v{}", self.written);
        let client = &mut self.clients[at];
        let mut lines = String::new();
        let mut caching = client.way.caching().filter(|_| self.rng.below(10) < 6);
        let in_multi = self.rng.one_in(2);
        if let Some(word) = caching.filter(|_| !in_multi) {
            lines = format!("CLIENT CACHING {word}\r\n");
            client.asked.push_back(Asked::Nothing);
        }
        let kind = self.rng.below(12);
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
            9 => {
                self.latest_ms = self.latest_ms.max(self.cluster.now_ms);
                self.cluster.tick_unevenly(self.rng.next(), 3);
            }
            10 if self.rng.one_in(60) => {
                let at = self.rng.below(self.clients.len());
                self.vanish(at);
                self.clients[at] = self.arrive();
            }
            10 if self.rng.one_in(40) => {
                let at = self.rng.below(self.clients.len());
                self.stop_the_ear(at);
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
        while engine.take_ready().is_some() && !(engine.only_tells() && self.rng.one_in(3)) {}
        if self.rng.one_in(2) {
            self.cluster.end_turn(core);
            self.tamper();
        }
        Ok(())
    }

    /// A client's connection breaks, and that by which it is told.
    fn vanish(&mut self, at: usize) {
        self.stop_the_ear(at);
        let conn = self.clients[at].conn;
        self.cluster.engines[conn.core].on_disconnect(conn.id);
        self.marks.vanished += 1;
    }

    /// The connection breaks by which a client is told. By RESP3 it will hear of that; by RESP2 it has to see to it itself.
    fn stop_the_ear(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let Some(ear) = client.ear.take() else { return };
        self.cluster.engines[ear.conn.core].on_disconnect(ear.conn.id);
        self.marks.ears_gone += 1;
        if !client.way.resp3 {
            client.turn_deaf();
        }
    }

    fn tamper(&mut self) {
        for link in self.cluster.links.iter_mut().flatten() {
            let Some(at) = link.iter().position(|batch| matches!(batch.payload, Payload::Stale(_))) else { continue };
            match self.fault {
                Some(Fault::Lost) if self.rng.one_in(8) => drop(link.remove(at)),
                Some(Fault::LostClear) if begins_with(&link[at].payload, 2) => drop(link.remove(at)),
                Some(Fault::LostRedirected) if begins_with(&link[at].payload, 3) => drop(link.remove(at)),
                Some(Fault::LostBroken) if begins_with(&link[at].payload, 4) => drop(link.remove(at)),
                // It alone: the others keep their order.
                Some(Fault::Overtaking) => {
                    if let Some(early) = link.remove(at) {
                        link.push_front(early);
                    }
                }
                _ => {}
            }
        }
    }

    /// Bytes go both ways between a core and its clients.
    fn sockets(&mut self, core: usize) -> Result<(), String> {
        for at in 0..self.clients.len() {
            let ear = self.clients[at].ear.as_ref().map(|ear| ear.conn);
            if let Some(conn) = ear.filter(|conn| conn.core == core && !self.rng.one_in(3)) {
                let max = 1 + self.rng.below(200);
                self.hear_by_ear(at, conn, max)?;
            }
            if self.clients[at].conn.core != core || self.rng.one_in(3) {
                continue;
            }
            let some = 1 + self.rng.below(90);
            self.say(at, some);
            let said = self.cluster.send(self.clients[at].conn, 1 + self.rng.below(200));
            self.hear(at, &said)?;
        }
        Ok(())
    }

    /// A client sends what it has to say, once it can hear.
    fn say(&mut self, at: usize, max: usize) {
        let client = &mut self.clients[at];
        if client.ear.as_ref().is_some_and(|ear| !ear.ready) {
            return;
        }
        let bytes: Vec<u8> = client.unsent.drain(..client.unsent.len().min(max)).collect();
        if !bytes.is_empty() {
            self.cluster.bytes(client.conn, &bytes);
        }
    }

    fn hear_by_ear(&mut self, at: usize, conn: Conn, max: usize) -> Result<(), String> {
        let said = self.cluster.send(conn, max);
        let client = &mut self.clients[at];
        let Some(ear) = &mut client.ear else { return Ok(()) };
        ear.inbox.extend_from_slice(&said);
        while let Some(ear) = &mut client.ear
            && let Some((value, len)) = decode(&ear.inbox).map_err(|error| format!("{error}"))?
        {
            ear.inbox.drain(..len);
            client.hear_by_ear(&value, &mut self.marks)?;
        }
        Ok(())
    }

    fn hear(&mut self, at: usize, said: &[u8]) -> Result<(), String> {
        let client = &mut self.clients[at];
        client.inbox.extend_from_slice(said);
        while let Some((mut value, len)) = decode(&client.inbox).map_err(|error| format!("{error}"))? {
            client.inbox.drain(..len);
            if self.fault == Some(Fault::EarlyPush)
                && !matches!(value, Value::Push(_))
                && let Ok(Some((Value::Push(parts), len))) = decode(&client.inbox)
            {
                client.inbox.drain(..len);
                client.forget(&parts, &mut self.marks)?;
            }
            if let Value::Push(parts) = &mut value {
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
        // What has expired goes by itself once the clock, if it was set back, is where it was.
        self.latest_ms = self.latest_ms.max(self.cluster.now_ms);
        self.cluster.tick(self.latest_ms - self.cluster.now_ms);
        for round in 0..60 {
            for at in 0..self.clients.len() {
                self.say(at, usize::MAX);
            }
            if round % 20 == 10 {
                // An item whose time has passed goes with a tick, at the latest.
                self.cluster.tick(1);
            }
            self.cluster.settle();
            for at in 0..self.clients.len() {
                if let Some(conn) = self.clients[at].ear.as_ref().map(|ear| ear.conn) {
                    self.hear_by_ear(at, conn, usize::MAX)?;
                }
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
                self.marks.by_prefix += u64::from(matches!(client.way.scope, Scope::Broadcast(1..)));
                self.marks.opted_out += u64::from(client.way.scope == Scope::OptOut);
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
        for at in 0..self.clients.len() {
            self.vanish(at);
        }
        self.cluster.settle();
        for (core, engine) in self.cluster.engines.iter().enumerate() {
            engine.verify();
            let tracked = engine.shard().tracked();
            let left = (engine.session_count(), engine.tickets_open(), tracked.prefixes, engine.redirected());
            if left != (0, 0, 0, 0) {
                return Err(format!("core {core}: sessions, tickets, prefixes, redirected {left:?} are left"));
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

/// Whether a batch tells of stale keys, and begins with a kind of what it may tell.
fn begins_with(payload: &Payload, kind: u8) -> bool {
    matches!(payload, Payload::Stale(bytes) if bytes.first() == Some(&kind))
}

fn run(seed: u64, fault: Option<Fault>) -> Result<Marks, String> {
    let mut world = World::new(seed, fault);
    for step in 1..=STEPS {
        world.step().map_err(|error| format!("step {step}: {error}"))?;
        if step % 250 == 0 {
            world.check().map_err(|error| format!("step {step}: {error}"))?;
        }
    }
    world.end()?;
    Ok(world.marks)
}

#[test]
fn every_seed_leaves_no_old_value_in_a_near_cache() {
    let mut all = [0; 16];
    let whole = run_each(150, |seed| {
        let marks = run(seed, None)?;
        all.iter_mut().zip(marks.all()).for_each(|(sum, (_, count))| *sum += count);
        Ok(())
    });
    eprintln!("{all:?}");
    for ((name, _), count) in Marks::default().all().iter().zip(all) {
        assert!(count > 0 || !whole, "never reached: {name}");
    }
}

/// Whether one of so many seeds finds a fault.
fn must_be_found(fault: Fault, seeds: u64) {
    assert!(quietly(|| (0..seeds).any(|seed| run(seed, Some(fault)).is_err())), "{fault:?} went unnoticed");
}

#[test]
fn a_lost_invalidation_is_found() {
    must_be_found(Fault::Lost, 40);
}

#[test]
fn a_lost_clear_is_found() {
    must_be_found(Fault::LostClear, 80);
}

#[test]
fn a_lost_redirection_is_found() {
    must_be_found(Fault::LostRedirected, 80);
    must_be_found(Fault::LostBroken, 200);
}

#[test]
fn an_invalidation_before_the_older_value_is_found() {
    must_be_found(Fault::EarlyPush, 80);
}

#[test]
fn an_invalidation_that_overtakes_does_no_harm() {
    for seed in 0..40 {
        let _ = run(seed, Some(Fault::Overtaking)).unwrap_or_else(|error| panic!("{error}"));
    }
}
