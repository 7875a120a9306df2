//! Volatile: where only items with a deadline are evicted, these go, the nearest deadline first, on whichever core they are;
//! and what finds no room is refused only when none is left.

use std::collections::BTreeMap;

use aspine::limits::TICK_MS;
use aspine::shard::Eviction;
use aspine::slot::Slot;

use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;

/// The start, in milliseconds: a time at which no slot of the wheel is begun, so that deadlines of different classes never
/// share one.
const NOW_MS: u64 = 1 << 40;

const CORES: u16 = 2;
const ITEMS_MAX: usize = 16;

fn cluster(eviction: Eviction, seed: u64) -> (Cluster, Conn) {
    let bytes_max = u64::MAX;
    let items_max = ITEMS_MAX as u64;
    let config = ClusterConfig { cores: CORES, items_max, bytes_max, eviction, auth_key: None, seed, now_ms: NOW_MS };
    let mut cluster = Cluster::new(&config);
    let conn = cluster.connect(0);
    (cluster, conn)
}

fn ask(cluster: &mut Cluster, conn: Conn, line: &str) -> String {
    cluster.bytes(conn, format!("{line}\r\n").as_bytes());
    cluster.settle();
    String::from_utf8(cluster.send(conn, usize::MAX)).expect("text")
}

fn owner(key: &str) -> usize {
    usize::from(Slot::of(key.as_bytes()).owner(CORES).0)
}

fn is_there(cluster: &Cluster, key: &str) -> bool {
    cluster.engines[owner(key)].shard().peek(key.as_bytes(), NOW_MS).is_some()
}

/// Random writes under a policy, against a model of what `expected` lets go. What was wrong first, if anything was.
fn run(seed: u64, eviction: Eviction, expected: Eviction) -> Result<(), String> {
    let mut rng = Rng::new(seed, "volatile");
    let (mut cluster, conn) = cluster(eviction, seed);
    let mut model: BTreeMap<String, Option<u64>> = BTreeMap::new();
    for _ in 0..200 {
        let key = format!("k{}", rng.below(40));
        let deadline_ms = (!rng.one_in(3)).then(|| NOW_MS + (1 << (20 + 2 * rng.below(8))));
        let line = match (rng.below(8), deadline_ms) {
            (0, _) => format!("DEL {key}"),
            (1, _) => format!("GET {key}"),
            (_, None) => format!("SET {key} v"),
            (_, Some(deadline_ms)) => format!("SET {key} v PXAT {deadline_ms}"),
        };
        // Eviction by use tells seconds apart.
        cluster.tick(1_000);
        let before = model.clone();
        let mut reply = ask(&mut cluster, conn, &line);
        if reply.starts_with("-OOM") {
            // A core that was given too little asks again with its next tick.
            cluster.tick(TICK_MS);
            reply = ask(&mut cluster, conn, &line);
        }
        match &line[..3] {
            "DEL" => drop(model.remove(&key)),
            "SET" if reply == "+OK\r\n" => drop(model.insert(key.clone(), deadline_ms)),
            _ => {}
        }
        if reply.starts_with("-OOM") && before.iter().any(|(other, timed)| *other != key && timed.is_some()) {
            return Err(format!("{line} was refused, and of {before:?} some may go"));
        }
        let (left, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            model.into_iter().partition(|(key, _)| is_there(&cluster, key));
        model = left;
        for (victim, deadline_ms) in gone {
            let Some(deadline_ms) = deadline_ms else { return Err(format!("{victim} is gone after {line}")) };
            // What was written last made the others go.
            let nearer = model.iter().find(|(other, theirs)| {
                **other != key && owner(other) == owner(&victim) && theirs.is_some_and(|ms| ms < deadline_ms)
            });
            if let (Some((other, _)), Eviction::VolatileTtl) = (nearer, expected) {
                return Err(format!("after {line} {victim} is gone, and {other} is still there"));
            }
        }
        if model.len() > ITEMS_MAX {
            return Err(format!("{} items after {line}", model.len()));
        }
    }
    Ok(())
}

/// Runs that find a fault need not be many.
const SEEDS: u64 = 30;

#[test]
fn items_with_a_deadline_go_and_the_nearest_first() {
    for policy in [Eviction::VolatileTtl, Eviction::VolatileLru] {
        for seed in 0..SEEDS {
            run(seed, policy, policy).unwrap_or_else(|error| panic!("{policy:?}, seed {seed}: {error}"));
        }
    }
}

#[test]
fn a_policy_that_lets_others_go_is_found() {
    for (planted, expected) in [
        (Eviction::Lru, Eviction::VolatileLru),
        (Eviction::VolatileLru, Eviction::VolatileTtl),
        (Eviction::None, Eviction::VolatileTtl),
    ] {
        let found = (0..SEEDS).find_map(|seed| run(seed, planted, expected).err());
        println!("{planted:?}: {}", found.unwrap_or_else(|| panic!("{planted:?} passes for {expected:?}")));
    }
}

#[test]
fn a_core_without_items_that_may_go_has_the_other_evict() {
    let (mut cluster, conn) = cluster(Eviction::VolatileTtl, 1);
    let keys = |core: usize| (0..).map(|at| format!("k{at}")).filter(move |key| owner(key) == core);
    for (at, key) in keys(1).take(ITEMS_MAX).enumerate() {
        let reply = ask(&mut cluster, conn, &format!("SET {key} v PX {}", 100_000 + at));
        assert_eq!(reply, "+OK\r\n", "the other core gives what it does not use");
    }
    for key in keys(0).take(ITEMS_MAX) {
        assert_eq!(ask(&mut cluster, conn, &format!("SET {key} v")), "+OK\r\n", "{key}");
        let items: u64 = cluster.engines.iter().map(|engine| engine.shard().len()).sum();
        assert!(items <= ITEMS_MAX as u64, "{items}");
    }
    assert_eq!(cluster.engines[1].shard().len(), 0);
    let more = keys(0).nth(ITEMS_MAX).expect("one more");
    assert!(ask(&mut cluster, conn, &format!("SET {more} v")).starts_with("-OOM"), "nothing may go any more");
}
