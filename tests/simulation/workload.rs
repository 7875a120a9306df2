//! Workload: what a seed's server is like, what goes wrong around it, and what its clients ask.
//!
//! Each seed switches some kinds of commands and faults off, so that the rest meet each other more often.

use crate::linear::Evicting;
use crate::ops::{Action, Deadline, Mode, Op, ValueId, When};
use crate::rng::Rng;

/// What a seed's run is like.
#[derive(Clone, Debug)]
pub struct Plan {
    pub cores: usize,
    pub clients: usize,
    pub ops: usize,
    pub keys: usize,
    /// Commands one client may have unanswered.
    pub depth: usize,
    /// Items of the whole, if bounded.
    pub items_max: Option<u64>,
    /// Bytes of the whole, if bounded.
    pub bytes_max: Option<u64>,
    /// At a bound writes are refused instead of items evicted.
    pub refuses: bool,
    /// At a bound only items with a deadline are evicted.
    pub timed_only: bool,
    /// Some values are large enough to fill output buffers.
    pub large: bool,
    /// Keys that are there from the start, so that walks take several slices.
    pub fillers: usize,
    pub kills: bool,
    /// Time may jump so far that clients that stall are cut off.
    pub stalls: bool,
    /// The clock may go back.
    pub clock_back: bool,
    pub auth: bool,
    /// Ends with a drain instead of by itself.
    pub drain: bool,
    /// A batch is held back once in so many looks, 0 for never.
    pub delay: usize,
    /// One turn in so many has a fault.
    pub faults: usize,
    /// Clients that move money, at a time.
    pub transfers: usize,
    /// Clients that publish and subscribe, at a time.
    pub messages: usize,
    /// Clients with near caches, at a time.
    pub near_caches: usize,
    /// Cores remember few of the keys that clients have read.
    pub small_table: bool,
    /// Clients that have snapshots taken and write meanwhile, at a time.
    pub savers: usize,
    /// Snapshots are taken by themselves as well, so often.
    pub snapshot_ms: Option<u64>,
    /// Each core is a node of a cluster by a port of its own, and its keys are counted and listed by that.
    pub nodes: bool,
    /// Clients with databases of their own.
    pub tenants: bool,
    /// Clients are paused by one of them.
    pub pauses: bool,
    /// Clients that watch all commands, and those whose commands they look for, at a time.
    pub watchers: usize,
    /// Ends with a crash, instead of by itself or with a drain.
    pub crash: bool,
    /// Weight of each kind of command.
    weights: [u32; 24],
}

/// The weight of FLUSHALL.
const FLUSH: usize = 9;

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Plan {
        let mut rng = Rng::new(seed, "plan");
        let cores = 1 + rng.weighted(&[2, 5, 3, 4]);
        let bounded = rng.one_in(3);
        let large = rng.one_in(6);
        let usual = [24, 20, 6, 6, 8, 8, 4, 3, 3, 1, 2, 1, 2, 4, 4, 3, 1, 2, 1, 2, 2, 3, 1, 2];
        // Off, seldom, usual, often.
        let weights = usual.map(|weight| weight * [0, 1, 4, 4, 12][rng.below(5)]);
        let mut plan = Plan {
            cores,
            clients: 2 + rng.below(6),
            ops: if large { 160 } else { 120 + rng.below(300) },
            keys: 3 + rng.below(if bounded { 40 } else { 12 }),
            depth: 1 + rng.below([8, 8, 8, 60][seed as usize % 4]),
            items_max: (bounded && !rng.one_in(4)).then(|| cores as u64 * rng.between(2, 7)),
            bytes_max: (bounded && rng.one_in(2)).then(|| cores as u64 * rng.between(500, 9_000)),
            refuses: bounded && rng.one_in(3),
            timed_only: false,
            large,
            fillers: if !bounded && rng.one_in(8) { 200 * cores } else { 0 },
            kills: rng.one_in(4),
            stalls: rng.one_in(8),
            clock_back: rng.one_in(6),
            auth: rng.one_in(8),
            drain: rng.one_in(4),
            delay: rng.below(4),
            faults: [0, 40, 100][rng.below(3)],
            transfers: 0,
            messages: 0,
            near_caches: 0,
            small_table: false,
            savers: 0,
            snapshot_ms: None,
            nodes: false,
            tenants: false,
            pauses: false,
            watchers: 0,
            crash: false,
            weights,
        };
        plan.weights[0] += 8;
        plan.weights[1] += 8;
        if large {
            // Replies pile up: many are asked for at once, by clients that stop to read.
            plan.keys = plan.keys.min(8);
            plan.depth = 60;
            plan.faults = 20;
            plan.weights[4] += 60;
            plan.weights[5] += 40;
        }
        plan.admit_some(bounded, &mut rng);
        plan.timed_only = plan.evicts() && rng.one_in(3);
        plan
    }

    /// Some of the kinds of actors come.
    fn admit_some(&mut self, bounded: bool, rng: &mut Rng) {
        let large = self.large;
        if !bounded && !large && rng.one_in(3) {
            self.admit_transfers(rng);
        }
        if !large && rng.one_in(3) {
            self.admit_messages(rng);
        }
        if !large && rng.one_in(3) {
            self.admit_near_caches(rng);
        }
        if !large && rng.one_in(3) {
            self.admit_savers(rng);
        }
        if !bounded && !large && rng.one_in(4) {
            self.admit_nodes();
        }
        if !bounded && !large && rng.one_in(3) {
            self.admit_tenants();
        }
        self.pauses = rng.one_in(4);
        if !large && rng.one_in(4) {
            self.admit_watchers(rng);
        }
    }

    /// Money moves: nothing may remove it.
    pub fn admit_transfers(&mut self, rng: &mut Rng) {
        self.keep_all();
        self.transfers = 3 + rng.below(4);
        self.ops += 1_000;
    }

    /// Messages are published.
    pub fn admit_messages(&mut self, rng: &mut Rng) {
        self.messages = 4 + rng.below(6);
        self.ops += 1_000;
    }

    /// Clients keep what they read.
    pub fn admit_near_caches(&mut self, rng: &mut Rng) {
        self.near_caches = 3 + rng.below(4);
        self.small_table = rng.one_in(3);
        self.ops += 1_500;
    }

    /// Snapshots are taken.
    pub fn admit_savers(&mut self, rng: &mut Rng) {
        self.savers = 3 + rng.below(3);
        self.snapshot_ms = rng.one_in(2).then_some(400);
        self.crash = rng.one_in(2);
        if self.transfers == 0 {
            self.weights[FLUSH] += 12;
        }
        self.ops += 1_000;
    }

    /// Cores are nodes, and some keys must stay.
    pub fn admit_nodes(&mut self) {
        self.keep_all();
        self.nodes = true;
        self.ops += 500;
    }

    /// Some have databases of their own.
    pub fn admit_tenants(&mut self) {
        self.keep_all();
        self.tenants = true;
        self.ops += 500;
    }

    /// Commands are watched.
    pub fn admit_watchers(&mut self, rng: &mut Rng) {
        self.watchers = 3 + rng.below(4);
        self.ops += 500;
    }

    /// Nothing goes that nobody removes by its name.
    fn keep_all(&mut self) {
        (self.items_max, self.bytes_max, self.refuses) = (None, None, false);
        self.weights[FLUSH] = 0;
    }

    /// Whether items may vanish by themselves.
    pub fn evicts(&self) -> bool {
        !self.refuses && (self.items_max.is_some() || self.bytes_max.is_some())
    }

    /// At a bound of items those with a deadline go, and no others.
    pub fn admit_timed_only(&mut self) {
        (self.transfers, self.nodes, self.tenants, self.fillers) = (0, false, false, 0);
        (self.items_max, self.refuses, self.timed_only) = (Some(self.cores as u64 * 4), false, true);
        self.keys = self.keys.max(20);
    }

    /// Which items may vanish by themselves.
    pub fn evicting(&self) -> Evicting {
        match (self.evicts(), self.timed_only) {
            (false, _) => Evicting::Nothing,
            (true, false) => Evicting::Everything,
            (true, true) => Evicting::Timed,
        }
    }

    /// Whether all keys are there until somebody removes them, and all writes succeed.
    fn unbounded(&self) -> bool {
        self.items_max.is_none() && self.bytes_max.is_none()
    }
}

/// What the next command may refer to.
pub struct Context {
    pub now_ms: u64,
    pub cursor: u64,
    /// Client ids that could be killed.
    pub ids: Vec<u64>,
}

const REFUSED: [(&str, &str); 8] = [
    ("GET", "ERR wrong number"),
    ("NOSUCH a b", "ERR unknown command"),
    ("SET k v EX 0", "ERR invalid expire"),
    ("SET k v XX NX", "ERR syntax"),
    ("MSET a 1 b", "ERR wrong number"),
    ("SCAN x", "ERR invalid cursor"),
    ("FLUSHALL NOW", "ERR syntax"),
    ("CONFIG SET nosuch 1", "ERR Unknown option"),
];

/// Each ends with the byte at which the server sees what is wrong.
const GARBAGE: [&str; 5] = ["*x\r\n", "*1\r\n$-1\r\n", "*1\r\n!\r\n", "PING \"x\r\n", "*2\r\n$99999999999\r\n"];

/// The next command of some client.
pub fn next(plan: &Plan, rng: &mut Rng, values: &mut ValueId, context: &Context) -> Op {
    let many = |rng: &mut Rng| (0..1 + rng.below(6)).map(|_| rng.below(plan.keys)).collect::<Vec<_>>();
    let mut value = || {
        *values += 1;
        *values
    };
    let key = rng.below(plan.keys);
    match rng.weighted(&plan.weights) {
        0 => Op::One(key, Action::Get),
        4 if plan.large => Op::MGet((0..1 + rng.below(16)).map(|_| rng.below(plan.keys)).collect()),
        1 => Op::One(key, Action::Set { value: value(), when: When::Always, get: false, deadline: Deadline::Never }),
        2 => {
            let when = [When::Always, When::Absent, When::Present][rng.below(3)];
            let get = rng.one_in(2);
            let deadline = if rng.one_in(3) { Deadline::Keep } else { Deadline::Never };
            Op::One(key, Action::Set { value: value(), when, get, deadline })
        }
        3 => {
            let deadline = deadline(rng, context.now_ms);
            Op::One(key, Action::Set { value: value(), when: When::Always, get: false, deadline })
        }
        4 => Op::MGet(many(rng)),
        5 => Op::MSet(many(rng).into_iter().map(|key| (key, value())).collect()),
        6 => Op::Del(many(rng)),
        7 => Op::Exists(many(rng)),
        8 => Op::One(key, Action::GetDel),
        FLUSH if rng.one_in(3) => Op::Flush,
        10 => Op::DbSize,
        11 => Op::Keys,
        12 => Op::RandomKey,
        13 => Op::Scan { cursor: context.cursor, count: rng.between(1, 60) },
        14 if plan.unbounded() => Op::SetTwins(value()),
        15 if plan.unbounded() => Op::GetTwins,
        16 => Op::Hello(if rng.one_in(3) { 2 } else { 3 }),
        17 => Op::Reply([Mode::Off, Mode::Skip, Mode::Skip, Mode::On, Mode::On][rng.below(5)]),
        18 => Op::ClientList,
        19 if plan.kills && !context.ids.is_empty() => Op::Kill(context.ids[rng.below(context.ids.len())]),
        20 if plan.items_max.is_some() => Op::ConfigSet(plan.cores as u64 * rng.between(2, 9)),
        21 => {
            let (line, error) = REFUSED[rng.below(REFUSED.len())];
            Op::Bad(line, error)
        }
        22 if rng.one_in(6) => {
            if rng.one_in(3) {
                Op::Quit
            } else {
                Op::Garbage(GARBAGE[rng.below(GARBAGE.len())])
            }
        }
        22 if !plan.auth && rng.one_in(2) => Op::Reset,
        23 => {
            let deadline = deadline(rng, context.now_ms);
            let actions = [
                Action::Expire(deadline),
                Action::Persist,
                Action::Pttl,
                Action::Exists,
                Action::Touch,
                Action::Delete,
            ];
            Op::One(key, actions[rng.below(actions.len())])
        }
        _ if rng.one_in(8) => Op::Info,
        _ if rng.one_in(2) => Op::Ping(None),
        _ => Op::Ping(Some(format!("echo {}", rng.below(1000)).into_bytes())),
    }
}

fn deadline(rng: &mut Rng, now_ms: u64) -> Deadline {
    let ms = [rng.between(1, 8), rng.between(1, 100), rng.between(100, 100_000)][rng.below(3)];
    if rng.one_in(3) { Deadline::At((now_ms + ms).saturating_sub(rng.between(0, 10))) } else { Deadline::After(ms) }
}
