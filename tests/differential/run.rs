//! Sends a stream to two servers and finds the first reply that differs.
//!
//! Both get the same pipelines by one connection each. Inside of MULTI replies are only QUEUED; the commands are kept,
//! so that the elements of EXEC's reply are compared each as its command's.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Instant;

use crate::episode::{Line, Unit, quoted};
use crate::exceptions;
use crate::generators::name_of;
use crate::pattern::{PAYLOAD, WALK};
use crate::reply::Reply;
use crate::servers::{Address, Link};

/// Changes a reply on its way, to plant a difference.
pub(crate) type Alter<'a> = &'a dyn Fn(&[Vec<u8>], Reply) -> Reply;

/// A server of a comparison.
pub(crate) struct Side<'a> {
    pub(crate) name: &'static str,
    address: &'a dyn Fn() -> Address,
    alter: Option<Alter<'a>>,
}

impl<'a> Side<'a> {
    /// `address` starts the server again if it has ended.
    pub(crate) fn new(name: &'static str, address: &'a dyn Fn() -> Address) -> Side<'a> {
        Side { name, address, alter: None }
    }

    pub(crate) fn altered(self, alter: Alter<'a>) -> Side<'a> {
        Side { alter: Some(alter), ..self }
    }
}

/// The first difference between two servers.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// The unit of the stream.
    pub(crate) unit: usize,
    text: String,
}

impl Difference {
    pub(crate) fn new(unit: usize, text: impl Into<String>) -> Difference {
        Difference { unit, text: text.into() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The numbers of sent and refused commands, by name.
#[derive(Debug, Default)]
pub(crate) struct Tally(HashMap<&'static str, Count>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: u64,
    refused: u64,
    unknown: u64,
}

impl Tally {
    fn count(&mut self, name: Option<&'static str>, reply: &Reply) {
        let count = self.0.entry(name.unwrap_or("")).or_default();
        count.sent += 1;
        count.refused += u64::from(reply.is_error());
        count.unknown +=
            u64::from(matches!(reply, Reply::Line(b'-', text) if text.starts_with(b"ERR unknown command")));
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        for (name, more) in &other.0 {
            let count = self.0.entry(name).or_default();
            count.sent += more.sent;
            count.refused += more.refused;
            count.unknown += more.unknown;
        }
    }

    pub(crate) fn commands(&self) -> u64 {
        self.0.values().map(|count| count.sent).sum()
    }

    /// The numbers of sent and of refused commands of one name.
    pub(crate) fn of(&self, name: &str) -> (u64, u64) {
        self.0.get(name).map_or((0, 0), |count| (count.sent, count.refused))
    }

    /// Whether the first server did not know the command.
    pub(crate) fn unknown(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|count| count.unknown > 0)
    }
}

/// Plays a stream on two emptied servers by new connections.
pub(crate) fn play(sides: &[Side<'_>; 2], proto: u8, units: &[Unit]) -> Result<Tally, Difference> {
    let mut run = Run::start(sides, proto).map_err(|error| Difference::new(0, error))?;
    for (unit, number) in units.iter().zip(0..) {
        for step in &unit.steps {
            if step.waits() {
                run.flush()?;
            }
            if step.other {
                run.by_the_other(number, &step.words)?;
            } else if step.words.iter().any(|word| word == WALK) && run.queued.is_none() {
                run.walk(number, &step.words)?;
            } else {
                run.pending.push((number, step.words.clone()));
            }
        }
        if unit.ends {
            run.flush()?;
        }
    }
    run.flush()?;
    Ok(run.tally)
}

struct Run<'a> {
    sides: &'a [Side<'a>; 2],
    links: [Link; 2],
    others: [Link; 2],
    /// Payload of each server's last DUMP.
    payloads: [Vec<u8>; 2],
    /// Commands of the pipeline, with the numbers of their units.
    pending: Vec<(usize, Line)>,
    /// Commands of the open transaction.
    queued: Option<Vec<Line>>,
    /// How many milliseconds after each other the servers may have run a command, at most, and twice: a deadline is
    /// set and asked for.
    slack_ms: i64,
    tally: Tally,
}

impl<'a> Run<'a> {
    fn start(sides: &'a [Side<'a>; 2], proto: u8) -> Result<Run<'a>, String> {
        let open = |side: &Side<'_>| Link::open(&(side.address)()).map_err(|error| format!("{}: {error}", side.name));
        let mut links = [open(&sides[0])?, open(&sides[1])?];
        let others = [open(&sides[0])?, open(&sides[1])?];
        for link in &mut links {
            link.call(&[b"FLUSHALL".to_vec()])?;
            link.call(&[b"HELLO".to_vec(), proto.to_string().into_bytes()])?;
        }
        let payloads = [Vec::new(), Vec::new()];
        Ok(Run {
            sides,
            links,
            others,
            payloads,
            pending: Vec::new(),
            queued: None,
            slack_ms: 0,
            tally: Tally::default(),
        })
    }

    /// Sends the pipeline to both servers, and compares what they answer.
    fn flush(&mut self) -> Result<(), Difference> {
        let pending = std::mem::take(&mut self.pending);
        let Some((first, _)) = pending.first() else { return Ok(()) };
        let began = Instant::now();
        for side in 0..2 {
            let lines: Vec<Line> = pending.iter().map(|(_, words)| self.resolved(side, words)).collect();
            self.links[side].send(&lines).map_err(|error| self.broken(*first, side, &error))?;
        }
        let mut replies = Vec::with_capacity(pending.len());
        for (unit, words) in &pending {
            let one = self.receive(0, *unit, words)?;
            let two = self.receive(1, *unit, words)?;
            replies.push([one, two]);
        }
        self.note_time(began);
        for ((unit, words), [one, two]) in pending.iter().zip(&replies) {
            self.judge(*unit, words, one, two)?;
        }
        Ok(())
    }

    fn receive(&mut self, side: usize, unit: usize, words: &Line) -> Result<Reply, Difference> {
        match self.links[side].receive() {
            Ok(reply) => Ok(self.altered(side, words, reply)),
            Err(error) => Err(self.broken(unit, side, &format!("{} in reply to {}", error, line(words)))),
        }
    }

    fn altered(&self, side: usize, words: &Line, reply: Reply) -> Reply {
        match self.sides[side].alter {
            Some(alter) => alter(words, reply),
            None => reply,
        }
    }

    fn note_time(&mut self, began: Instant) {
        // Both servers also round to the milliseconds of a clock they read once in a while.
        let took_ms = began.elapsed().as_millis() as i64 + 5;
        self.slack_ms = self.slack_ms.max(2 * took_ms);
    }

    /// A command line as one of the servers gets it.
    fn resolved(&self, side: usize, words: &Line) -> Line {
        let resolve = |word: &Vec<u8>| match word.as_slice() {
            PAYLOAD => self.payloads[side].clone(),
            WALK => b"0".to_vec(),
            _ => word.clone(),
        };
        words.iter().map(resolve).collect()
    }

    /// Compares two replies to a command, and follows MULTI, EXEC and DUMP.
    fn judge(&mut self, unit: usize, words: &Line, one: &Reply, two: &Reply) -> Result<(), Difference> {
        let name = name_of(words);
        self.tally.count(name, one);
        if one.is_status(b"QUEUED") && one == two {
            self.queued.get_or_insert_default().push(words.clone());
            return Ok(());
        }
        let queued = if name == Some("exec") { self.queued.take() } else { None };
        let same = match &queued {
            Some(lines) => self.same_exec(lines, one, two),
            None => exceptions::same(words, one, two, self.slack_ms),
        };
        if !same {
            return Err(self.differ(unit, words, one, two));
        }
        match name {
            Some("multi") if !one.is_error() => self.queued = Some(Vec::new()),
            Some("discard" | "reset") if !one.is_error() => self.queued = None,
            Some("dump") => {
                let payload = |reply: &Reply| reply.as_text().unwrap_or_default().to_vec();
                self.payloads = [payload(one), payload(two)];
            }
            _ => {}
        }
        Ok(())
    }

    fn same_exec(&self, lines: &[Line], one: &Reply, two: &Reply) -> bool {
        let (ones, twos) = (one.elements(), two.elements());
        if ones.len() != lines.len() || twos.len() != lines.len() || one.is_null() || two.is_null() {
            return one == two;
        }
        let same = |(line, (one, two)): (&Line, (&Reply, &Reply))| exceptions::same(line, one, two, self.slack_ms);
        one.kind() == two.kind() && lines.iter().zip(ones.iter().zip(twos)).all(same)
    }

    fn by_the_other(&mut self, unit: usize, words: &Line) -> Result<(), Difference> {
        let mut replies = Vec::new();
        for side in 0..2 {
            match self.others[side].call(words) {
                Ok(reply) => replies.push(reply),
                Err(error) => return Err(self.broken(unit, side, &error)),
            }
        }
        if exceptions::same(words, &replies[0], &replies[1], self.slack_ms) {
            return Ok(());
        }
        Err(self.differ(unit, words, &replies[0], &replies[1]))
    }

    /// A SCAN from 0 to 0 on each server. What is compared is the set of keys: one may come twice.
    fn walk(&mut self, unit: usize, words: &Line) -> Result<(), Difference> {
        let began = Instant::now();
        let mut found = Vec::new();
        for side in 0..2 {
            found.push(self.walk_one(side, words).map_err(|error| self.broken(unit, side, &error))?);
        }
        self.note_time(began);
        self.tally.count(name_of(words), &found[0]);
        if found[0] == found[1] { Ok(()) } else { Err(self.differ(unit, words, &found[0], &found[1])) }
    }

    fn walk_one(&mut self, side: usize, words: &Line) -> Result<Reply, String> {
        let mut keys = BTreeSet::new();
        let mut cursor = b"0".to_vec();
        // Far more steps than there are keys.
        for _ in 0..100_000 {
            let line = words.iter().map(|word| if word == WALK { cursor.clone() } else { word.clone() });
            let reply = self.links[side].call(&line.collect::<Line>())?;
            let [next, some] = reply.elements() else { return Ok(reply) };
            keys.extend(some.elements().iter().cloned());
            cursor = next.as_text().unwrap_or_default().to_vec();
            if cursor == b"0" {
                return Ok(Reply::Many(b'*', Some(keys.into_iter().collect())));
            }
        }
        Err(format!("{} does not end", line(words)))
    }

    fn differ(&self, unit: usize, words: &Line, one: &Reply, two: &Reply) -> Difference {
        let shown =
            |side: usize, reply: &Reply| format!("{}: {}\n", self.sides[side].name, reply.bytes().escape_ascii());
        Difference::new(unit, format!("{}\n{}{}", line(words), shown(0, one), shown(1, two)))
    }

    fn broken(&self, unit: usize, side: usize, error: &str) -> Difference {
        Difference::new(unit, format!("{}: {error}\n", self.sides[side].name))
    }
}

fn line(words: &Line) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
