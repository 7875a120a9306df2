//! Transfers: money moves between accounts on several shards, under WATCH and MULTI, and must never be seen on its way.
//!
//! Every account's core is another by chance. Whoever looks at all accounts in one transaction sees the same sum; a
//! token that RENAME moves between two keys of two cores is always under exactly one of them. Batches are late,
//! clients vanish at any moment, links stand still until transactions give up. In the end nothing is held or watched.

use std::collections::VecDeque;

use aspine::engine::Notice;
use aspine::engine::batch::{Batch, Payload};
use aspine::engine::hold::HoldKey;
use aspine::engine::route::{CoreId, Slot};
use aspine::resp::Value;
use aspine::resp::reply::decode;
use aspine::shard::Eviction;

use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;
use crate::seeds::{quietly, run_each};

const ACCOUNTS: usize = 6;
const EACH: i64 = 100;
const STEPS: usize = 6_000;

/// What a client does, one thing after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Looks at two accounts it watches; then moves an amount.
    Look {
        from: usize,
        to: usize,
    },
    Move,
    /// Looks at all accounts in one transaction; with MGET or one GET each.
    Audit {
        one_by_one: bool,
    },
    /// Moves the token, and looks where it is.
    Token {
        forth: bool,
    },
    FindToken,
}

struct Client {
    conn: Conn,
    task: Task,
    unsent: VecDeque<u8>,
    inbox: Vec<u8>,
    /// Replies still to come, and those that came.
    owed: usize,
    replies: Vec<Value>,
}

/// A bug planted in the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A shard says that nothing has changed, whatever has.
    AlwaysClean,
    /// A core grants what is held, so that two transactions run at once.
    EarlyGrant,
}

#[derive(Default, Debug)]
struct Marks {
    moved: u64,
    watch_failed: u64,
    gave_up: u64,
    died_inside: u64,
    token_moved: u64,
    audits: u64,
}

struct World {
    cluster: Cluster,
    clients: Vec<Client>,
    rng: Rng,
    marks: Marks,
    /// A link that stands still, and for how many steps.
    frozen: Option<(usize, usize, usize)>,
    fault: Option<Fault>,
    /// What was granted by mistake.
    granted: Vec<HoldKey>,
}

fn account(at: usize) -> String {
    format!("account:{at}")
}

/// Two keys of different cores, where there are several.
fn token(side: usize, cores: u16) -> String {
    let owner = |key: &String| Slot::of(key.as_bytes()).owner(cores).0;
    (0..).map(|at| format!("token:{at}")).find(|key| owner(key) == side as u16 % cores).expect("some key")
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut rng = Rng::new(seed, "transfers");
        let cores = 1 + rng.below(4) as u16;
        let mut cluster = Cluster::new(&ClusterConfig {
            cores: if fault.is_some() { 2 + cores % 3 } else { cores },
            items_max: u64::MAX,
            bytes_max: u64::MAX,
            eviction: Eviction::Lru,
            auth_key: None,
            seed,
            now_ms: 1_700_000_000_000,
        });
        let conn = cluster.connect(0);
        let opening: String = (0..ACCOUNTS).map(|at| format!("SET {} {EACH}\r\n", account(at))).collect();
        let cores = cluster.engines.len() as u16;
        cluster.bytes(conn, format!("{opening}SET {} here\r\n", token(0, cores)).as_bytes());
        cluster.settle();
        let said = cluster.send(conn, usize::MAX);
        assert_eq!(said, b"+OK\r\n".repeat(ACCOUNTS + 1));
        cluster.engines[0].on_disconnect(conn.id);
        let mut world = World {
            cluster,
            clients: Vec::new(),
            rng,
            marks: Marks::default(),
            frozen: None,
            fault,
            granted: Vec::new(),
        };
        for _ in 0..3 + world.rng.below(6) {
            let client = world.arrive();
            world.clients.push(client);
        }
        world
    }

    fn cores(&self) -> usize {
        self.cluster.engines.len()
    }

    fn arrive(&mut self) -> Client {
        let core = self.rng.below(self.cores());
        let conn = self.cluster.connect(core);
        let mut client = Client {
            conn,
            task: Task::FindToken,
            unsent: VecDeque::new(),
            inbox: Vec::new(),
            owed: 0,
            replies: Vec::new(),
        };
        self.begin(&mut client);
        client
    }

    /// The next task of a client that has all its replies.
    fn begin(&mut self, client: &mut Client) {
        let cores = self.cores() as u16;
        let task = match self.rng.below(10) {
            0..5 => {
                let from = self.rng.below(ACCOUNTS);
                Task::Look { from, to: (from + 1 + self.rng.below(ACCOUNTS - 1)) % ACCOUNTS }
            }
            5..8 => Task::Audit { one_by_one: self.rng.one_in(2) },
            8 if cores > 1 => Task::Token { forth: self.rng.one_in(2) },
            _ => Task::FindToken,
        };
        let all = |word: &str| (0..ACCOUNTS).map(|at| format!("{word} {}", account(at))).collect::<Vec<_>>();
        let lines = match task {
            Task::Look { from, to } => {
                let pair = format!("{} {}", account(from), account(to));
                vec![format!("WATCH {pair}"), format!("MGET {pair}")]
            }
            Task::Audit { one_by_one: true } => {
                [vec!["MULTI".to_owned()], all("GET"), vec!["EXEC".to_owned()]].concat()
            }
            Task::Audit { one_by_one: false } => {
                vec!["MULTI".to_owned(), format!("MGET{}", all("").join("")), "EXEC".to_owned()]
            }
            Task::Token { forth } => {
                let sides = if forth { [0, 1] } else { [1, 0] };
                vec![format!("RENAME {} {}", token(sides[0], cores), token(sides[1], cores))]
            }
            Task::FindToken | Task::Move => {
                let both = format!("{} {}", token(0, cores), token(1, cores));
                vec!["MULTI".to_owned(), format!("EXISTS {both}"), "EXEC".to_owned()]
            }
        };
        self.say(client, task, &lines);
    }

    fn say(&mut self, client: &mut Client, task: Task, lines: &[String]) {
        client.task = task;
        client.owed = lines.len();
        client.replies.clear();
        client.unsent.extend(lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()));
    }

    /// One step of something.
    fn step(&mut self) -> Result<(), String> {
        let core = self.rng.below(self.cores());
        match self.rng.below(16) {
            0..6 => self.deliver(core),
            6..11 => self.clients_of(core)?,
            11 => self.cluster.tick_unevenly(self.rng.next(), if self.frozen.is_some() { 400 } else { 2 }),
            12 if self.rng.one_in(200) && self.cores() > 1 => {
                let to = (core + 1 + self.rng.below(self.cores() - 1)) % self.cores();
                self.frozen = Some((core, to, 150));
            }
            13 if self.rng.one_in(60) => self.die(),
            _ => {}
        }
        self.frozen = self.frozen.and_then(|(from, to, left)| (left > 0).then(|| (from, to, left - 1)));
        let engine = &mut self.cluster.engines[core];
        for _ in 0..self.rng.below(4) {
            if engine.has_backlog() {
                engine.on_slice(self.cluster.now_ms);
            }
        }
        while engine.take_ready().is_some() {}
        while let Some(Notice::CutOff(_) | Notice::AuthFailed(_)) = engine.take_notice() {}
        if self.rng.one_in(3) {
            self.cluster.end_turn(core);
            self.tamper();
        }
        Ok(())
    }

    fn deliver(&mut self, to: usize) {
        let from = self.rng.below(self.cores());
        if self.frozen.is_none_or(|(a, b, _)| (a, b) != (from, to)) {
            self.cluster.deliver(from, to);
        }
    }

    fn tamper(&mut self) {
        let mut asked = Vec::new();
        for link in self.cluster.links.iter_mut().flatten() {
            match self.fault {
                Some(Fault::AlwaysClean) => {
                    for batch in link.iter_mut() {
                        if let Payload::Granted { clean, .. } = &mut batch.payload {
                            *clean = true;
                        }
                    }
                }
                Some(Fault::EarlyGrant) => {
                    asked.extend(link.iter().filter_map(|batch| match &batch.payload {
                        Payload::Hold(hold) if !self.granted.contains(&hold.key) => Some(*hold),
                        _ => None,
                    }));
                }
                None => {}
            }
        }
        for hold in asked {
            self.granted.push(hold.key);
            let home = usize::from(hold.home.0);
            let other = (home + 1) % self.cores();
            let payload = Payload::Granted { key: hold.key, clean: true };
            self.cluster.links[other][home].push_back(Batch { from: CoreId(other as u16), payload });
        }
    }

    fn die(&mut self) {
        let at = self.rng.below(self.clients.len());
        let client = &self.clients[at];
        self.marks.died_inside += u64::from(client.task == Task::Move && client.owed > 0);
        self.cluster.engines[client.conn.core].on_disconnect(client.conn.id);
        self.clients[at] = self.arrive();
    }

    /// Bytes go both ways between a core and its clients.
    fn clients_of(&mut self, core: usize) -> Result<(), String> {
        for at in 0..self.clients.len() {
            if self.clients[at].conn.core != core || self.rng.one_in(3) {
                continue;
            }
            let client = &mut self.clients[at];
            let some = client.unsent.len().min(1 + self.rng.below(80));
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
        self.clients[at].inbox.extend_from_slice(said);
        loop {
            let client = &mut self.clients[at];
            let Some((value, len)) = decode(&client.inbox).map_err(|error| error.to_string())? else { return Ok(()) };
            client.inbox.drain(..len);
            if client.owed == 0 {
                return Err(format!("a reply to nothing: {value:?}"));
            }
            client.owed -= 1;
            client.replies.push(value);
            if client.owed == 0 {
                let mut client = std::mem::replace(&mut self.clients[at], placeholder());
                let result = self.finish(&mut client);
                self.clients[at] = client;
                result?;
            }
        }
    }

    /// A task has all its replies: are they right?
    fn finish(&mut self, client: &mut Client) -> Result<(), String> {
        let replies = std::mem::take(&mut client.replies);
        let last = replies.last().cloned().unwrap_or(Value::Null);
        let gave_up = matches!(&last, Value::Error(text) if text.starts_with(b"EXECABORT "));
        self.marks.gave_up += u64::from(gave_up);
        match (client.task, last) {
            (_, _) if gave_up => {}
            (Task::Look { from, to }, Value::Array(Some(pair))) => {
                let [a, b] = [amount(&pair[0])?, amount(&pair[1])?];
                let moved = self.rng.between(1, 5) as i64;
                let lines = [
                    "MULTI".to_owned(),
                    format!("SET {} {}", account(from), a - moved),
                    format!("SET {} {}", account(to), b + moved),
                    "EXEC".to_owned(),
                ];
                self.say(client, Task::Move, &lines);
                return Ok(());
            }
            (Task::Move, Value::Array(None)) => self.marks.watch_failed += 1,
            (Task::Move, Value::Array(Some(_))) => self.marks.moved += 1,
            (Task::Audit { one_by_one }, Value::Array(Some(items))) => {
                let items = match items.into_iter().next() {
                    Some(Value::Array(Some(inner))) if !one_by_one => inner,
                    _ if one_by_one => match replies.last() {
                        Some(Value::Array(Some(items))) => items.clone(),
                        other => return Err(format!("{other:?}")),
                    },
                    other => return Err(format!("an MGET in a transaction was answered {other:?}")),
                };
                self.marks.audits += 1;
                let sum = items.iter().map(amount).sum::<Result<i64, String>>()?;
                if sum != EACH * ACCOUNTS as i64 {
                    return Err(format!("the accounts add up to {sum}"));
                }
            }
            (Task::Token { .. }, Value::Simple(_)) => self.marks.token_moved += 1,
            (Task::Token { .. }, Value::Error(text)) if text == b"ERR no such key" => {}
            (Task::FindToken, Value::Array(Some(items))) => {
                let here = if self.cores() == 1 { 2 } else { 1 };
                if items != [Value::Integer(here)] {
                    return Err(format!("the token is in {items:?} places"));
                }
            }
            (task, other) => return Err(format!("{task:?} was answered {other:?}")),
        }
        self.begin(client);
        Ok(())
    }

    /// Everybody goes, everything comes to rest, and nothing is left behind.
    fn end(&mut self) -> Result<(), String> {
        self.frozen = None;
        for client in std::mem::take(&mut self.clients) {
            self.cluster.engines[client.conn.core].on_disconnect(client.conn.id);
        }
        self.cluster.settle();
        for (core, engine) in self.cluster.engines.iter().enumerate() {
            engine.verify();
            let left = (engine.session_count(), engine.tickets_open(), engine.shard().watchers());
            if engine.has_holds() || left != (0, 0, 0) {
                return Err(format!("core {core}: held {}, sessions, tickets, watchers {left:?}", engine.has_holds()));
            }
        }
        Ok(())
    }
}

fn placeholder() -> Client {
    let id = aspine::engine::SessionId { index: u32::MAX, generation: 0 };
    let conn = Conn { core: usize::MAX, id };
    Client { conn, task: Task::FindToken, unsent: VecDeque::new(), inbox: Vec::new(), owed: 0, replies: Vec::new() }
}

fn amount(value: &Value) -> Result<i64, String> {
    match value {
        Value::Bulk(Some(text)) => String::from_utf8_lossy(text).parse().map_err(|_| format!("an amount: {value:?}")),
        other => Err(format!("an account is {other:?}")),
    }
}

fn run(seed: u64, fault: Option<Fault>) -> Result<Marks, String> {
    let mut world = World::new(seed, fault);
    for _ in 0..STEPS {
        world.step()?;
    }
    world.end()?;
    Ok(world.marks)
}

#[test]
fn every_seed_neither_makes_nor_loses_nor_shows_money_on_its_way() {
    let mut all = Marks::default();
    let whole = run_each(100, |seed| {
        let marks = run(seed, None)?;
        all.moved += marks.moved;
        all.watch_failed += marks.watch_failed;
        all.gave_up += marks.gave_up;
        all.died_inside += marks.died_inside;
        all.token_moved += marks.token_moved;
        all.audits += marks.audits;
        Ok(())
    });
    let Marks { moved, watch_failed, gave_up, died_inside, token_moved, audits } = all;
    eprintln!("{all:?}");
    for (reached, what) in [
        (moved, "a transfer"),
        (watch_failed, "a transfer whose accounts had changed"),
        (gave_up, "a transaction that gave up"),
        (died_inside, "a client that died inside a transaction"),
        (token_moved, "a RENAME over two cores"),
        (audits, "a look at all accounts"),
    ] {
        assert!(reached > 0 || !whole, "never reached: {what}");
    }
}

#[test]
fn a_broken_watch_is_found() {
    let found = quietly(|| (0..40).any(|seed| run(seed, Some(Fault::AlwaysClean)).is_err()));
    assert!(found, "transfers over changed accounts went unnoticed");
}

#[test]
fn a_broken_hold_is_found() {
    let broken = |seed| std::panic::catch_unwind(|| run(seed, Some(Fault::EarlyGrant)).is_err()).unwrap_or(true);
    assert!(quietly(|| (0..40).any(broken)), "transactions without their holds went unnoticed");
}
