//! Seeds: runs of the simulation, each wholly decided by its seed.
//!
//! `ASPINE_SIM_SEEDS=n` runs n seeds instead of the usual, from `ASPINE_SIM_FIRST` on; `SIM_SEED=n` that one alone.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aspine::engine::{Batch, Payload};

use crate::canary::Fault;
use crate::marks::Marks;
use crate::ops::{Action, Op};
use crate::rng::Rng;
use crate::workload::Plan;
use crate::world::World;

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;

/// Turns a seed may take before it counts as stuck.
const TURNS_MAX: u64 = 60_000;

/// Runs one seed to its end.
pub fn run(seed: u64, fault: Option<Fault>) -> Result<Marks, String> {
    let mut plan = Plan::new(seed);
    if let Some(fault) = fault {
        fault.suit(&mut plan, &mut Rng::new(seed, "suit"));
    }
    let mut world = World::new(seed, plan, fault);
    let mut turns = 0;
    while world.is_busy() && turns < 6_000 {
        world.turn()?;
        turns += 1;
        if world.rests() {
            rest(&mut world)?;
            world.calm = false;
            world.frozen = false;
        }
        if world.clients.iter().all(|client| client.gone || client.ended || client.actor.is_some()) {
            if world.clients.len() > 60 {
                break;
            }
            world.connect();
        }
    }
    if world.plan.crash {
        world.crash()?;
        world.check_histories()?;
        return Ok(world.marks);
    }
    if world.plan.drain {
        drain(&mut world)?;
    } else {
        rest(&mut world)?;
        audit(&mut world)?;
    }
    all_leave(&mut world)?;
    for engine in &world.cluster.engines {
        engine.verify();
        if engine.tickets_open() > 0 || !engine.is_idle() {
            return Err(format!("core {:?} is not idle: {} tickets", engine.core(), engine.tickets_open()));
        }
        let left = [
            ("holds", usize::from(engine.has_holds())),
            ("sessions", engine.session_count()),
            ("watchers", engine.shard().watchers()),
            ("names subscribed", engine.names_subscribed()),
            ("watched commands", usize::from(engine.is_monitored())),
            ("prefixes", engine.shard().tracked().prefixes as usize),
        ];
        if let Some((what, count)) = left.into_iter().find(|(_, count)| *count > 0) {
            return Err(format!("core {:?}: {count} {what} are left", engine.core()));
        }
    }
    world.check_histories()?;
    let refused = |client: &crate::client::Client| {
        client.sent.iter().any(|sent| sent.outcomes.contains(&crate::ops::Outcome::Refused))
    };
    world.marks.refused += u64::from(world.clients.iter().any(refused));
    Ok(world.marks)
}

/// Everything that is late arrives; every client is answered.
fn come_to_rest(world: &mut World) -> Result<(), String> {
    world.calm = true;
    for client in &mut world.clients {
        client.stalled_until = 0;
    }
    for _ in 0..TURNS_MAX {
        world.turn()?;
        if world.frozen && world.cluster.engines.iter().any(|engine| engine.unshown_bytes() > 0) {
            // What is shown waits for ticks.
            world.cluster.tick(0);
        }
        let engines = &world.cluster.engines;
        let quiet = |client: &crate::client::Client| {
            let heard = || client.undelivered().is_empty() && client.owed() == 0 && client.eof == client.eof_told;
            client.gone || (heard() && engines[client.conn.core].unsent_bytes(client.conn.id) == 0)
        };
        // A core that somebody watches says at each tick that it has nothing to show.
        let says_nothing = |batch: &Batch| matches!(&batch.payload, Payload::Lines(lines) if lines.is_empty());
        let delivered = world.cluster.links.iter().flatten().all(|link| link.iter().all(says_nothing));
        let idle = engines
            .iter()
            .all(|engine| engine.tickets_open() == 0 && !engine.has_backlog() && engine.unshown_bytes() == 0);
        if delivered && idle && world.files_rest() && world.clients.iter().all(quiet) {
            return Ok(());
        }
    }
    let owed: Vec<String> = (world.clients.iter().enumerate())
        .filter(|(_, client)| !client.gone && (client.owed() > 0 || !client.undelivered().is_empty()))
        .map(|(at, client)| {
            let next = client.sent.get(client.awaiting).map(|sent| &sent.op);
            format!("client {at} is owed {}, next {next:?}, read: {}", client.owed(), client.is_read)
        })
        .collect();
    Err(format!("no rest after {TURNS_MAX} turns: {}", owed.join("; ")))
}

/// Everything comes to rest, and what has expired is removed: then all must agree. From here on nothing expires.
fn rest(world: &mut World) -> Result<(), String> {
    come_to_rest(world)?;
    world.freeze();
    come_to_rest(world)?;
    world.look_at_rest()
}

/// SIGTERM at a bad moment: what the server has of complete commands is answered, then all connections end.
fn drain(world: &mut World) -> Result<(), String> {
    let owed: usize = world.clients.iter().map(crate::client::Client::owed).sum();
    world.marks.drained += u64::from(owed > 0);
    world.calm = true;
    for client in &mut world.clients {
        client.stalled_until = 0;
        client.ended = true;
        client.eof = true;
        client.eof_told = true;
        let delivered = client.delivered;
        if !client.undelivered().is_empty() {
            // What it waits for may never have been asked for.
            client.owes_actor = 0;
            client.is_cut = true;
        }
        client.stream.truncate(delivered);
        client.is_read = false;
    }
    for engine in &mut world.cluster.engines {
        engine.on_drain();
    }
    for _ in 0..TURNS_MAX {
        world.turn()?;
        if world.clients.iter().all(|client| client.gone) {
            return Ok(());
        }
    }
    Err(format!("a drain did not end in {TURNS_MAX} turns"))
}

/// All connections break, and what the server does for them comes to its end.
fn all_leave(world: &mut World) -> Result<(), String> {
    world.calm = true;
    for client in &mut world.clients {
        client.leaves = true;
    }
    for _ in 0..TURNS_MAX {
        world.turn()?;
        if world.clients.iter().all(|client| client.gone) {
            return come_to_rest(world);
        }
    }
    Err(format!("connections did not end in {TURNS_MAX} turns"))
}

/// A last client looks at everything, while nothing else happens.
fn audit(world: &mut World) -> Result<(), String> {
    // A wrong key is refused late.
    world.frozen = false;
    let auditor = world.connect();
    come_to_rest(world)?;
    world.freeze();
    come_to_rest(world)?;
    let keys = world.plan.keys;
    let client = &mut world.clients[auditor];
    for op in [Op::MGet((0..keys).collect()), Op::GetTwins, Op::DbSize, Op::Keys] {
        client.ask(op, false, false);
    }
    for key in 0..keys {
        client.ask(Op::One(key, Action::Pttl), false, false);
    }
    come_to_rest(world)?;
    let mut cursor = 0;
    loop {
        world.clients[auditor].ask(Op::Scan { cursor, count: 7 }, false, false);
        come_to_rest(world)?;
        cursor = world.clients[auditor].cursor;
        if cursor == 0 {
            break;
        }
    }
    world.check_audit(auditor)?;
    if world.plan.nodes { nodes_add_up(world, auditor) } else { Ok(()) }
}

/// What the cores have as nodes adds up to the whole.
fn nodes_add_up(world: &mut World, auditor: usize) -> Result<(), String> {
    world.frozen = false;
    let nodes: Vec<usize> = (0..world.plan.cores).map(|core| world.connect_by(core, true)).collect();
    come_to_rest(world)?;
    world.freeze();
    come_to_rest(world)?;
    for at in nodes.iter().chain([&auditor]) {
        world.clients[*at].ask(Op::DbSize, false, false);
    }
    come_to_rest(world)?;
    let sizes: Vec<i64> = nodes.iter().filter_map(|at| world.clients[*at].dbsize).collect();
    let whole = world.clients[auditor].dbsize;
    if Some(sizes.iter().sum()) == whole { Ok(()) } else { Err(format!("{sizes:?} do not add up to {whole:?}")) }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panics are expected, without their messages.
pub fn quietly<R>(run: impl FnOnce() -> R) -> R {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(true);
    let result = run();
    QUIET.set(false);
    result
}

/// What is wrong with a seed, assertions of the engine included.
pub fn failure_of(seed: u64, fault: Option<Fault>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, fault))) {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
        }
    }
}

/// A number from the environment.
fn number_of(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Says how to replay a seed whose run panics.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            println!("to replay: SIM_SEED={} cargo test --test simulation {test}", self.0);
        }
    }
}

/// Runs the seeds of a world: `usual` of them, unless the environment says which. What fails ends it. True if it is the
/// usual run, or a longer one from the same seed on, so that every rare path is to be reached.
pub fn run_each(usual: u64, mut run: impl FnMut(u64) -> Result<(), String>) -> bool {
    let (alone, first) = (number_of("SIM_SEED"), number_of("ASPINE_SIM_FIRST"));
    let count = number_of("ASPINE_SIM_SEEDS").unwrap_or(usual);
    let from = first.unwrap_or(0);
    for seed in alone.map_or(from..from + count, |seed| seed..seed + 1) {
        let running = Running(seed);
        run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        drop(running);
    }
    alone.is_none() && first.is_none() && count >= usual
}

#[test]
fn every_seed_holds_and_every_rare_path_is_reached() {
    let mut marks = Marks::default();
    let whole = run_each(SEEDS, |seed| {
        marks.add(&run(seed, None).map_err(|error| format!("{error}\n{:?}", Plan::new(seed)))?);
        Ok(())
    });
    let missed: Vec<_> = marks.all().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect();
    println!("{:?}", marks.all());
    assert!(!whole || missed.is_empty(), "never reached: {missed:?}");
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 11] {
        let (one, other) = (run(seed, None), run(seed, None));
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "seed {seed}");
    }
}
