//! Monitor: what MONITOR shows, from the commands of every core to the clients that watch. Core: each records its own
//! clients' commands; the home of a client that watches merges those of all.
//!
//! ```text
//! home of a client ─▶ lines, with their time ─▶ each core with watchers ─▶ merged by time ─▶ their sessions
//! ```
//! Lines gather until the next tick, or until they are many, and leave with the word up to which time they are complete;
//! so a core that has nothing to say is not waited for long. A time is the stopwatch's, which is the same for all cores.
//! Lines are lost, and counted, when a watcher does not read (`MONITOR_OUTPUT_BYTES_MAX`) and when a core does not take
//! them (`MONITOR_LINES_BYTES_MAX`); each watcher is told how many before the next line that it gets.
//! Cost: nothing while nobody watches but a flag that a round looks at anyway; then a line a command.
//! Files: `line` (one command as text), `merge` (the order of all).

mod line;
mod merge;

use std::fmt::Write;

use crate::command::Client;
use crate::command::client::ReplyMode;
use crate::command::handler::Command;
use crate::engine::env::Env;
use crate::engine::home::push::Push;
use crate::engine::home::sessions::Sessions;
use crate::engine::ids::SessionId;
use crate::engine::link::Links;
use crate::engine::link::message::Lines;
use crate::engine::monitor::merge::Merge;
use crate::limits::{MONITOR_BATCH_BYTES, MONITOR_OUTPUT_BYTES_MAX, MONITOR_PUSH_BYTES};
use crate::resp::Args;
use crate::slot::CoreId;

/// A session that watches.
#[derive(Debug)]
struct Watcher {
    id: SessionId,
    /// What is older is not shown: MONITOR was not answered yet.
    since_ns: u64,
    /// Lines that it did not get, and has not been told of.
    lost: u64,
}

/// What one core knows of those who watch, and what it has to show.
#[derive(Debug)]
pub(super) struct Monitor {
    /// By core, how many of its clients watch.
    watching: Vec<u32>,
    is_on: bool,
    /// Commands of this core's clients. Filled by commands, drained by ticks and at `MONITOR_BATCH_BYTES`.
    lines: Lines,
    /// By core, lines that it could not be given.
    untaken: Vec<u64>,
    merge: Merge,
    watchers: Vec<Watcher>,
    /// Microseconds of Unix time at zero of the stopwatch.
    epoch_us: u64,
    /// Lines in the making, how many, and the time of the first.
    text: Vec<u8>,
    count: u64,
    first_ns: u64,
    push: Push,
}

impl Monitor {
    pub(super) fn new(cores: u16) -> Monitor {
        Monitor {
            watching: vec![0; usize::from(cores)],
            is_on: false,
            lines: Lines::default(),
            untaken: vec![0; usize::from(cores)],
            merge: Merge::new(cores),
            watchers: Vec::new(),
            epoch_us: 0,
            text: Vec::new(),
            count: 0,
            first_ns: 0,
            push: Push::default(),
        }
    }

    /// Whether anybody watches, on whichever core.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    // ---- who watches ----

    /// One more client of a core watches. What was recorded before is not for it.
    pub(super) fn begin(&mut self, core: CoreId, env: &Env, links: &mut Links) {
        self.flush(env, links);
        self.watching[usize::from(core.0)] += 1;
        self.is_on = true;
    }

    /// One client fewer of a core watches.
    pub(super) fn end(&mut self, core: CoreId) {
        self.watching[usize::from(core.0)] -= 1;
        self.is_on = self.watching.iter().any(|count| *count > 0);
        if !self.is_on {
            self.lines = Lines::default();
            self.untaken.fill(0);
        }
    }

    /// A session of this core watches: every core knows.
    pub(super) fn join(&mut self, id: SessionId, env: &Env) {
        self.watchers.push(Watcher { id, since_ns: env.meter.read_ns(), lost: 0 });
    }

    /// A session of this core does not watch any more.
    pub(super) fn leave(&mut self, id: SessionId) {
        self.watchers.retain(|watcher| watcher.id != id);
        if self.watchers.is_empty() {
            self.merge.clear();
        }
    }

    // ---- what is recorded ----

    /// A command of a client of this core has run, or is on its way. `names`: as they were typed, if that is known.
    pub(super) fn record(
        &mut self,
        client: &Client,
        (row, names): (&Command, Option<Args<'_>>),
        args: Args<'_>,
        env: &Env,
    ) {
        self.lines.add(env.meter.read_ns(), |text| match names {
            Some(names) => line::append(text, client, names.iter(), (row, args)),
            None => {
                let names = line::names_of(row, args);
                line::append(text, client, names.iter().map(Vec::as_slice), (row, args));
            }
        });
    }

    /// Whether what was recorded is to leave before the next tick.
    pub(super) fn is_long(&self) -> bool {
        self.lines.text.len() >= MONITOR_BATCH_BYTES
    }

    /// What was recorded leaves for all cores whose clients watch.
    pub(super) fn flush(&mut self, env: &Env, links: &mut Links) {
        if !self.is_on {
            return;
        }
        self.lines.upto_ns = env.meter.read_ns();
        let lines = std::mem::take(&mut self.lines);
        for to in (0..env.router.cores()).map(CoreId) {
            if self.watching[usize::from(to.0)] == 0 {
                continue;
            }
            let untaken = &mut self.untaken[usize::from(to.0)];
            let lines = Lines { lost: *untaken, ..lines.clone() };
            match env.router.peer(to) {
                None => self.on_lines(to, lines, env),
                Some(peer) => *untaken = links.lines(peer, lines),
            }
        }
    }

    /// Bytes of lines that wait here.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn unshown_bytes(&self) -> usize {
        self.lines.text.len() + self.merge.bytes()
    }

    // ---- what is shown ----

    /// Lines of a core, this one or another, are here.
    pub(super) fn on_lines(&mut self, from: CoreId, lines: Lines, env: &Env) {
        if self.watchers.is_empty() {
            return;
        }
        self.watchers.iter_mut().for_each(|watcher| watcher.lost += lines.lost);
        self.merge.add(from, lines, env.awake_ms);
    }

    /// A tick: what was recorded leaves, what may be shown is, and those who have read are told what they lost.
    pub(super) fn on_tick(&mut self, sessions: &mut Sessions, env: &mut Env, links: &mut Links) {
        let now_us = env.now_ms.saturating_mul(1000).saturating_add(env.sub_us.into());
        self.epoch_us = now_us.saturating_sub(env.meter.read_ns() / 1000);
        self.flush(env, links);
        self.show(sessions, env);
        self.give(sessions, env);
    }

    /// Shows the lines that may be.
    pub(super) fn show(&mut self, sessions: &mut Sessions, env: &mut Env) {
        loop {
            let Monitor { merge, text, epoch_us, .. } = self;
            let mut at_ns = 0;
            let begin = text.len();
            let is_there = merge.next(env.awake_ms, |at, words| {
                at_ns = at;
                append_time(text, *epoch_us + at / 1000);
                text.extend_from_slice(words);
                text.extend_from_slice(b"\r\n");
            });
            if !is_there {
                break;
            }
            // A client that has just come does not see what was before.
            let splits = self.count > 0
                && self.watchers.iter().any(|watcher| self.first_ns < watcher.since_ns && watcher.since_ns <= at_ns);
            if splits {
                let last = self.text.split_off(begin);
                self.give(sessions, env);
                self.text = last;
            }
            self.first_ns = if self.count == 0 { at_ns } else { self.first_ns };
            self.count += 1;
            if self.text.len() >= MONITOR_PUSH_BYTES {
                self.give(sessions, env);
            }
        }
        self.give(sessions, env);
    }

    /// Gives the lines in the making to all watchers that have room for them.
    fn give(&mut self, sessions: &mut Sessions, env: &Env) {
        let Monitor { watchers, text, push, count, first_ns, epoch_us, .. } = self;
        push.clear();
        let now_us = *epoch_us + env.meter.read_ns() / 1000;
        for watcher in watchers {
            let is_silenced =
                sessions.get(watcher.id).is_none_or(|session| session.client.reply_mode == ReplyMode::Off);
            if is_silenced {
                continue;
            }
            if watcher.lost > 0 {
                let mut words = Vec::new();
                append_lost(&mut words, now_us, watcher.lost);
                let mut lost = Push::default();
                if sessions.push_within(watcher.id, &mut lost, |writer| writer.raw(&words), MONITOR_OUTPUT_BYTES_MAX) {
                    watcher.lost = 0;
                }
            }
            if *count == 0 || *first_ns < watcher.since_ns {
                continue;
            }
            let fits = watcher.lost == 0
                && sessions.push_within(watcher.id, push, |writer| writer.raw(text), MONITOR_OUTPUT_BYTES_MAX);
            watcher.lost += if fits { 0 } else { *count };
        }
        text.clear();
        *count = 0;
    }
}

/// The beginning of a line: a simple string, and the time.
fn append_time(text: &mut Vec<u8>, at_us: u64) {
    let mut time = String::new();
    // Writing to a String does not fail.
    let _ = write!(time, "+{}.{:06} ", at_us / 1_000_000, at_us % 1_000_000);
    text.extend_from_slice(time.as_bytes());
}

/// A line that says how many were lost, in the form of any other.
fn append_lost(text: &mut Vec<u8>, at_us: u64, lost: u64) {
    append_time(text, at_us);
    text.extend_from_slice(format!("[0 aspine] \"lost\" \"{lost}\"\r\n").as_bytes());
}
