//! Differential: one seeded random stream of commands goes to Debian's redis-server 7.0 and to the real Aspine binary,
//! and the replies must be the same, byte for byte, but for the list in `exceptions`.
//!
//! | file | what belongs there |
//! |---|---|
//! | `generators` | a row for each command of the server's table: how its command lines look, or why it is left out |
//! | `pattern` | the notation of those rows, and the words that are drawn: keys, values, numbers, deadlines |
//! | `episode` | a stream: which commands, in which pipelines, and some of them spoilt |
//! | `run` | sends a stream to two servers and finds the first reply that differs |
//! | `events` | what listeners hear of changes of keys |
//! | `globs` | which names patterns match |
//! | `limits` | every command with a time, at every limit of times |
//! | `moving` | what a redis-server dumps or migrates, restored here |
//! | `watching` | what MONITOR shows |
//! | `fields` | which fields of INFO are missing, and why |
//! | `exceptions` | what may differ, why, and how much |
//! | `shrink` | a failing stream made short, by running parts of it again |
//! | `servers` | redis-server as a child process, and a connection to either server |
//! | `reply` | a reply as a tree |
//!
//! `ASPINE_DIFFERENTIAL_COMMANDS` is how many commands in all, `ASPINE_DIFFERENTIAL_PATTERNS` how many patterns,
//! `ASPINE_DIFFERENTIAL_SEED` the seed. A failure prints the
//! seed and the commands that are left of the stream, as lines for redis-cli.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]
#![expect(clippy::disallowed_methods, reason = "measures how far apart two servers answered, and polls processes")]

mod episode;
mod events;
mod exceptions;
mod fields;
mod generators;
mod globs;
mod limits;
mod moving;
mod pattern;
mod reply;
mod run;
mod servers;
mod shrink;
mod watching;

#[expect(unreachable_pub, reason = "shared with the simulation")]
#[path = "../simulation/rng.rs"]
mod rng;
#[expect(dead_code, reason = "shared with the black-box tests, which use more of it")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashMap;

use aspine::command::table::TABLE;

use crate::episode::{Unit, episode};
use crate::generators::{EXCLUDED, GENERATORS, Only};
use crate::reply::Reply;
use crate::run::{Difference, Side, Tally, play};
use crate::servers::{Aspine, Redis};

/// Units of one stream. The next begins with an empty server and new connections.
const EPISODE_UNITS: usize = 500;

/// Shapes over which the commands are divided: one and two cores, RESP2 and RESP3.
const SHAPES: usize = 4;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

fn seed() -> u64 {
    number("ASPINE_DIFFERENTIAL_SEED", 1)
}

/// Commands for each shape.
fn share() -> u64 {
    number("ASPINE_DIFFERENTIAL_COMMANDS", 100_000) / SHAPES as u64
}

/// Plays streams until `commands` have run; fails with the shrunken stream at the first difference.
fn compare(sides: &[Side<'_>; 2], proto: u8, commands: u64, only: Only) -> Tally {
    let mut tally = Tally::default();
    for number in 0.. {
        let seed = seed().wrapping_add(number);
        let units = episode(seed, sides[1].name, proto, EPISODE_UNITS, only);
        match play(sides, proto, &units) {
            Ok(one) => tally.add(&one),
            Err(difference) => fail(sides, proto, seed, &units, &difference),
        }
        if tally.commands() >= commands {
            break;
        }
    }
    tally
}

/// Shrinks the stream and fails with what is left.
fn fail(sides: &[Side<'_>; 2], proto: u8, seed: u64, units: &[Unit], first: &Difference) -> ! {
    let (units, difference) = shrink::shrink(units, first, |units| play(sides, proto, units).err());
    let lines: String = units.iter().map(Unit::to_string).collect();
    panic!(
        "{} and {} differ; ASPINE_DIFFERENTIAL_SEED={seed}. After HELLO {proto}, from an empty server:\n\n{lines}\n{difference}",
        sides[0].name, sides[1].name
    );
}

/// One shape after the other: the servers' cores are pinned, and would fight for the same CPUs.
#[test]
fn aspine_answers_as_redis() {
    let Some(redis) = Redis::start() else { return };
    for (cores, name) in [(1, "aspine on one core"), (2, "aspine on two cores")] {
        let server = Aspine::start(cores);
        let (redis, server) = (|| redis.address(), || server.address());
        let sides = [Side::new("redis", &redis), Side::new(name, &server)];
        for proto in [2, 3] {
            compare(&sides, proto, share(), Only::TheTable);
        }
    }
}

/// Otherwise a difference might be the stream's own: of something that depends on the time, or on nothing at all.
#[test]
fn redis_answers_as_itself() {
    let Some(one) = Redis::start() else { return };
    let Some(two) = Redis::start() else { return };
    let (one, two) = (|| one.address(), || two.address());
    let sides = [Side::new("redis", &one), Side::new("another redis", &two)];
    for proto in [2, 3] {
        let tally = compare(&sides, proto, 20_000, Only::All);
        for generator in GENERATORS.iter().filter(|generator| !generator.refused) {
            let (sent, refused) = tally.of(generator.name);
            assert!(sent > refused, "{}: {sent} sent, all of them refused", generator.name);
            assert!(!tally.unknown(generator.name), "{}: redis-server does not know it", generator.name);
        }
    }
}

#[test]
fn every_command_is_generated_or_left_out_for_a_reason() {
    let generated = |name: &str| GENERATORS.iter().any(|generator| generator.name == name);
    let excluded = |name: &str| EXCLUDED.iter().any(|(excluded, _)| name.starts_with(excluded));
    let mut complaints = Vec::new();
    for row in TABLE {
        match (generated(row.name), excluded(row.name)) {
            (false, false) => complaints.push(format!("{}: write a row of GENERATORS", row.name)),
            (true, true) => complaints.push(format!("{}: is generated; take it off EXCLUDED", row.name)),
            _ => {}
        }
    }
    for (name, _) in EXCLUDED.iter().filter(|(name, _)| !TABLE.iter().any(|row| row.name.starts_with(name))) {
        complaints.push(format!("{name}: is no command; take it off EXCLUDED"));
    }
    assert!(complaints.is_empty(), "\n\n{}\n", complaints.join("\n"));
}

#[test]
fn every_command_occurs() {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for seed in 0..50 {
        for step in episode(seed, "test", 2, EPISODE_UNITS, Only::TheTable).iter().flat_map(|unit| &unit.steps) {
            *seen.entry(generators::name_of(&step.words).unwrap_or("unknown")).or_default() += 1;
        }
    }
    for generator in GENERATORS.iter().filter(|generator| generator.in_the_table()) {
        assert!(seen.contains_key(generator.name), "{} in {seen:?}", generator.name);
    }
    assert!(seen.contains_key("unknown"));
}

/// The comparison finds a bug that only shows in a certain state, and shrinks the stream to it.
#[test]
fn a_planted_difference_is_found_and_shrunk() {
    let (server, other) = (Aspine::start(1), Aspine::start(1));
    let (server, other) = (|| server.address(), || other.address());
    let plant = |words: &[Vec<u8>], reply: Reply| {
        let persisted = words[0].eq_ignore_ascii_case(b"PERSIST") && reply == Reply::number(1);
        if persisted { Reply::number(0) } else { reply }
    };
    let sides = [Side::new("sound", &server), Side::new("planted", &other).altered(&plant)];
    let streams = (0..50).map(|number| episode(seed().wrapping_add(number), "test", 3, EPISODE_UNITS, Only::TheTable));
    let (units, first) = streams
        .filter_map(|units| play(&sides, 3, &units).err().map(|first| (units, first)))
        .next()
        .expect("a stream that comes upon the planted difference");
    let (units, difference) = shrink::shrink(&units, &first, |units| play(&sides, 3, units).err());
    let lines: String = units.iter().map(Unit::to_string).collect();
    assert!((2..=4).contains(&lines.lines().count()), "{lines}");
    assert!(lines.to_ascii_uppercase().contains("PERSIST"), "{lines}");
    assert!(difference.to_string().contains(":1\\r\\n") && difference.to_string().contains(":0\\r\\n"), "{difference}");
}

/// A part of a page is what a test says; `ASPINE_BLESS=1` makes it so.
fn check_page(page: &str, mark: &str, expected: &str) {
    let path = format!("{}/{page}", env!("CARGO_MANIFEST_DIR"));
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(&begin).unwrap();
    let (listed, tail) = rest.split_once(&end).unwrap();
    if std::env::var_os("ASPINE_BLESS").is_some() && listed != expected {
        std::fs::write(path, [head, &begin, expected, &end, tail].concat()).unwrap();
        return;
    }
    assert!(listed == expected, "run `ASPINE_BLESS=1 cargo test --test differential the_documentation`");
}

/// The documentation tells its readers what the test excepts, in the test's own words.
#[test]
fn the_documentation_lists_the_exceptions() {
    let names = |commands: &[&str]| {
        let upper = commands.iter().map(|name| name.to_ascii_uppercase().replace('|', " "));
        upper.collect::<Vec<_>>().join(", ")
    };
    let row = |exception: &exceptions::Exception| format!("| {} | {} |\n", names(exception.commands), exception.why);
    let rows: String = exceptions::EXCEPTIONS.iter().map(row).collect();
    let expected = format!("| commands | why their replies may differ |\n|---|---|\n{rows}");
    check_page("docs/differences-from-redis.md", "exceptions", &expected);
}

#[test]
fn the_documentation_lists_the_fields_that_are_missing() {
    let names = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let row = |(fields, why): &(&[&str], &str)| format!("| {} | {why} |\n", names(fields));
    let rows: String = fields::MISSING.iter().map(row).collect();
    let expected = format!("| fields of INFO | why they are missing |\n|---|---|\n{rows}");
    check_page("docs/clients.md", "fields", &expected);
}
