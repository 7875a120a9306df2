//! A stream: which commands come, in which pipelines, and some of them spoilt. Its seed decides all of it.

use std::fmt;

use crate::generators::{GENERATORS, Generator, HANDS_OFF, Only, name_of};
use crate::pattern::{PAYLOAD, WALK, Words};
use crate::rng::Rng;

/// A command line.
pub(crate) type Line = Vec<Vec<u8>>;

/// One command of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) words: Line,
    /// Whether it goes by the other connection.
    pub(crate) other: bool,
}

impl Step {
    /// Whether it can only be sent when the replies before it are known.
    pub(crate) fn waits(&self) -> bool {
        self.other || self.words.iter().any(|word| word == PAYLOAD || word == WALK)
    }
}

/// Commands that belong together: they stay or go as one when a stream is shrunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) steps: Vec<Step>,
    /// Whether a pipeline ends after it.
    pub(crate) ends: bool,
}

impl Unit {
    /// One command in a pipeline of its own.
    pub(crate) fn of(words: &[&str]) -> Unit {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Unit { steps: vec![Step { words, other: false }], ends: true }
    }
}

/// A line for redis-cli for each command.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let words: Vec<String> = step.words.iter().map(|word| quoted(word)).collect();
            let hint = if step.other { "    # by another connection" } else { "" };
            writeln!(f, "{}{hint}", words.join(" "))?;
        }
        Ok(())
    }
}

/// A word as redis-cli reads it.
pub(crate) fn quoted(word: &[u8]) -> String {
    match word {
        PAYLOAD => return "<payload of the last DUMP>".to_owned(),
        WALK => return "<0, then the cursor of each reply>".to_owned(),
        _ => {}
    }
    if !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte)) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let escaped = word.iter().map(|byte| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// The stream of a seed. Each server and protocol has its own.
pub(crate) fn episode(seed: u64, server: &str, proto: u8, units: usize, only: Only) -> Vec<Unit> {
    let mut shape = Rng::new(seed, &format!("shape, {server}, {proto}"));
    let mut words = Words::new(Rng::new(seed, &format!("words, {server}, {proto}")), proto);
    // Some kinds of commands stay away, another set each time: what they would hide comes out.
    let quiet = shape.below(3);
    let weights: Vec<u32> = GENERATORS
        .iter()
        .map(|generator| if !only.takes(generator) || shape.below(6) < quiet { 0 } else { generator.weight })
        .collect();
    let weights = if weights.iter().all(|weight| *weight == 0) { vec![1; weights.len()] } else { weights };
    let pipeline = [1, 5, 30, 100][shape.weighted(&[1, 2, 3, 3])];
    let mut queueing = false;
    (0..units)
        .map(|_| {
            let mut generator = &GENERATORS[shape.weighted(&weights)];
            if queueing && shape.one_in(6) {
                let end = if shape.one_in(5) { "discard" } else { "exec" };
                generator = GENERATORS.iter().find(|generator| generator.name == end).unwrap();
            }
            match generator.name {
                "multi" => queueing = true,
                "exec" | "discard" | "reset" => queueing = false,
                _ => {}
            }
            let mut steps = steps(generator, &mut words);
            if shape.one_in(25) {
                spoil(&mut steps, &mut words);
            }
            Unit { steps, ends: shape.one_in(pipeline) }
        })
        .collect()
}

fn steps(generator: &Generator, words: &mut Words) -> Vec<Step> {
    let pattern = generator.patterns[words.rng.below(generator.patterns.len())];
    let step = |line: &str| match line.strip_prefix("other:") {
        Some(line) => Step { words: words.expand(line), other: true },
        None => Step { words: words.expand(line), other: false },
    };
    pattern.split(" ; ").map(step).collect()
}

/// A word too few, too many or wrong, or a name that no command has.
fn spoil(steps: &mut [Step], words: &mut Words) {
    let at = words.rng.below(steps.len());
    let step = &mut steps[at];
    if step.waits() || name_of(&step.words).is_some_and(|name| HANDS_OFF.iter().any(|off| name.starts_with(off))) {
        return;
    }
    let at = words.rng.below(step.words.len());
    let before = step.words.clone();
    match words.rng.below(4) {
        0 if at > 0 => drop(step.words.remove(at)),
        1 => step.words.push(words.junk()),
        2 if at == 0 => step.words[0].push(b'x'),
        _ if at > 0 => step.words[at] = words.junk(),
        _ => {}
    }
    // Redis takes a TTL past the end of time, and what it restores is gone: see `limits`.
    if name_of(&step.words) == Some("restore") && step.words.get(2).is_some_and(|ttl| ttl == b"9223372036854775807") {
        step.words = before;
    }
}
