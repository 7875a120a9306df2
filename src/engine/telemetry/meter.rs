//! Meter: what the commands of one core took and how they ended. Core: its own; what it counts travels by value.
//!
//! A stopwatch runs while commands run one after the other: the end of one is the beginning of the next, so a pipeline
//! costs one reading a command. Time is counted where the work is done. A command that another core runs is counted
//! there; one that is split over cores is counted at home, with the time of its part there, and the other cores add
//! theirs to the sum; one of all cores is counted at home, from its start to its reply.
//! Cost: a clock reading, a histogram bucket and four additions a command; 24 KiB for each command that was ever run.
//! Never: allocates for a command that was run before, unless it failed or is logged as slow.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::command::facts::flag;
use crate::command::lookup::CommandId;
use crate::command::settings::Watch;
use crate::command::table::TABLE;
use crate::command::{Client, Error};
use crate::engine::telemetry::latency::Latency;
use crate::engine::telemetry::slowlog::{SlowCall, SlowLog};
use crate::engine::telemetry::times::{self, Times};
use crate::limits::COMMAND_NS_MAX;

/// An empty histogram of command times, with two significant digits, as Redis keeps them.
pub(in crate::engine) fn command_histogram() -> Histogram<u64> {
    times::histogram(COMMAND_NS_MAX)
}

/// What is counted of one command.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Counted {
    calls: u64,
    pub(in crate::engine) ns: u64,
    /// Refused before it ran.
    pub(in crate::engine) rejected: u64,
    /// Ran and answered with an error.
    pub(in crate::engine) failed: u64,
    /// Made by the first call.
    times: Option<Times>,
}

impl Counted {
    /// What its calls took, if there was one.
    pub(in crate::engine) fn times(&self) -> Option<Histogram<u64>> {
        self.times.as_ref().map(Times::histogram)
    }

    fn is_asked(&self) -> bool {
        self.calls > 0 || self.rejected > 0 || self.failed > 0 || self.ns > 0
    }
}

/// The stopwatch of one core and what it measured.
#[derive(Debug)]
pub(in crate::engine) struct Meter {
    stopwatch: fn() -> u64,
    /// The last reading, and whether a command may begin with it.
    lap_ns: u64,
    running: bool,
    /// By row of the table.
    commands: Box<[Counted]>,
    /// Error replies by their code.
    errors: BTreeMap<String, u64>,
    /// Nanoseconds from which on a command is logged somewhere.
    logged_ns: u64,
    /// As `logged_ns`, but 0 while every command is noted, for HOTKEYS.
    notable_ns: u64,
    notes_all: bool,
    /// Bytes of the reply of the last command that was noted.
    reply_bytes: usize,
    pub(in crate::engine) slow: SlowLog,
    pub(in crate::engine) latency: Latency,
}

impl Meter {
    pub(in crate::engine) fn new(stopwatch: fn() -> u64, core: u16, cores: u16, watch: &Watch) -> Meter {
        let mut meter = Meter {
            stopwatch,
            lap_ns: 0,
            running: false,
            commands: TABLE.iter().map(|_| Counted::default()).collect(),
            errors: BTreeMap::new(),
            logged_ns: u64::MAX,
            notable_ns: u64::MAX,
            notes_all: false,
            reply_bytes: 0,
            slow: SlowLog::new(core, cores),
            latency: Latency::default(),
        };
        meter.configure(watch);
        meter
    }

    /// Thresholds have changed.
    pub(in crate::engine) fn configure(&mut self, watch: &Watch) {
        self.slow.configure(watch);
        self.latency.configure(watch);
        self.logged_ns = self.slow.threshold_ns().min(self.latency.threshold_ns());
        self.note_all(self.notes_all);
    }

    /// Whether what ends a command says of each that it is to be noted, not only of those that take long.
    pub(in crate::engine) fn note_all(&mut self, all: bool) {
        self.notes_all = all;
        self.notable_ns = if all { 0 } else { self.logged_ns };
    }

    /// Whether a command that took so long is logged.
    pub(in crate::engine) fn logs(&self, ns: u64) -> bool {
        ns >= self.logged_ns
    }

    /// Bytes of the reply of the command that was noted last.
    pub(in crate::engine) fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    /// Says what that reply was, where the meter has seen no or not all of it.
    pub(in crate::engine) fn set_reply_bytes(&mut self, bytes: usize) {
        self.reply_bytes = bytes;
    }

    #[inline]
    fn counted(&mut self, command: CommandId) -> &mut Counted {
        &mut self.commands[usize::from(command.0)]
    }

    /// What follows is no command: the next one's time begins with it.
    #[inline]
    pub(in crate::engine) fn pause(&mut self) {
        self.running = false;
    }

    /// The stopwatch now.
    pub(in crate::engine) fn read_ns(&self) -> u64 {
        (self.stopwatch)()
    }

    /// A command begins. Returns the reading.
    #[inline]
    pub(in crate::engine) fn begin(&mut self) -> u64 {
        if !self.running {
            self.lap_ns = (self.stopwatch)();
            self.running = true;
        }
        self.lap_ns
    }

    /// The command has ended with this reply. Returns its nanoseconds if they are to be logged.
    #[inline]
    pub(in crate::engine) fn end(&mut self, command: CommandId, reply: &[u8]) -> Option<u64> {
        self.end_since(command, self.lap_ns, reply)
    }

    /// As `end`, for a command that began at an earlier reading.
    #[inline]
    pub(in crate::engine) fn end_since(&mut self, command: CommandId, began_ns: u64, reply: &[u8]) -> Option<u64> {
        self.lap_ns = (self.stopwatch)();
        self.running = true;
        self.finish(command, self.lap_ns.saturating_sub(began_ns), reply)
    }

    /// A command that took so long has ended.
    #[inline]
    pub(in crate::engine) fn finish(&mut self, command: CommandId, ns: u64, reply: &[u8]) -> Option<u64> {
        if reply.first() == Some(&b'-') {
            self.count_failure(command, ns, reply);
        } else {
            self.count(command, ns);
        }
        if ns < self.notable_ns {
            return None;
        }
        self.reply_bytes = reply.len();
        Some(ns)
    }

    /// A part of a command that was split over cores has ended: its call is counted by the core that split it.
    #[inline]
    pub(in crate::engine) fn end_part(&mut self, command: CommandId, refusal: Option<&[u8]>) -> Option<u64> {
        let began_ns = self.lap_ns;
        self.lap_ns = (self.stopwatch)();
        let ns = self.lap_ns.saturating_sub(began_ns);
        let counted = self.counted(command);
        counted.ns = counted.ns.saturating_add(ns);
        if let Some(refusal) = refusal {
            self.counted(command).failed += 1;
            self.count_error(refusal);
        }
        (ns >= self.notable_ns).then_some(ns)
    }

    /// One call that took so long.
    #[inline]
    pub(in crate::engine) fn count(&mut self, command: CommandId, ns: u64) {
        let counted = self.counted(command);
        counted.calls += 1;
        counted.ns = counted.ns.saturating_add(ns);
        counted.times.get_or_insert_with(|| Times::new(COMMAND_NS_MAX)).record(ns);
    }

    /// One call that took so long and was answered with an error.
    #[cold]
    fn count_failure(&mut self, command: CommandId, ns: u64, reply: &[u8]) {
        if reply.starts_with(b"-OOM ") && command.row().is(flag::DENYOOM) {
            // Redis refuses it before it runs.
            self.counted(command).rejected += 1;
        } else {
            self.count(command, ns);
            self.counted(command).failed += 1;
        }
        self.count_error(reply);
    }

    /// A command was refused before it ran; `None` if there is no such command.
    #[cold]
    pub(in crate::engine) fn reject(&mut self, command: Option<CommandId>, error: &Error) {
        if let Some(command) = command {
            self.counted(command).rejected += 1;
        }
        self.count_error(error.to_string().as_bytes());
    }

    /// An error reply, with or without its leading `-`.
    #[cold]
    pub(in crate::engine) fn count_error(&mut self, reply: &[u8]) {
        let text = reply.strip_prefix(b"-").unwrap_or(reply);
        let code = text.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        *self.errors.entry(String::from_utf8_lossy(code).into_owned()).or_default() += 1;
    }

    /// Logs a call of a client of this core, as slow or as a latency event or both.
    #[cold]
    pub(in crate::engine) fn log(&mut self, call: SlowCall, client: &Client) {
        self.latency.add(call.command, call.ns, call.unix_ms);
        self.slow.push(call, &client.addr, &client.name, self.lap_ns);
    }

    /// CONFIG RESETSTAT. Logs have resets of their own.
    pub(in crate::engine) fn reset(&mut self) {
        self.commands.fill_with(Counted::default);
        self.errors.clear();
    }

    /// What was counted of each command that was asked for at least once.
    pub(in crate::engine) fn usage(&self, histograms: bool) -> Vec<Usage> {
        let rows = self.commands.iter().zip(0..).filter(|(counted, _)| counted.is_asked());
        rows.map(|(counted, command)| Usage {
            command,
            calls: counted.calls,
            ns: counted.ns,
            rejected: counted.rejected,
            failed: counted.failed,
            times: counted.times().iter().filter(|_| histograms).flat_map(pairs).collect(),
        })
        .collect()
    }

    /// The first command from this row of the table on that was asked for at least once: its row, its name, and what was
    /// counted of it.
    pub(in crate::engine) fn counted_from(&self, row: usize) -> Option<(usize, &'static str, &Counted)> {
        let mut rows = TABLE.iter().zip(&self.commands).enumerate().skip(row);
        rows.find(|(_, (_, counted))| counted.is_asked()).map(|(at, (row, counted))| (at, row.name, counted))
    }

    /// Error replies by code.
    pub(in crate::engine) fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }
}

fn pairs(times: &Histogram<u64>) -> Vec<(u64, u64)> {
    times.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
}

/// What one core, or all together, counted of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Usage {
    /// The command's row in the table of commands.
    pub(in crate::engine) command: u16,
    pub(in crate::engine) calls: u64,
    pub(in crate::engine) ns: u64,
    pub(in crate::engine) rejected: u64,
    pub(in crate::engine) failed: u64,
    /// Nanoseconds and how many calls took so long, if asked for.
    pub(in crate::engine) times: Vec<(u64, u64)>,
}

impl Usage {
    /// The cores' counts of each command as one, in the order of the table.
    pub(in crate::engine) fn merged<'a>(parts: impl Iterator<Item = &'a Usage>) -> Vec<Usage> {
        let mut sums: BTreeMap<u16, Usage> = BTreeMap::new();
        for part in parts {
            let sum = sums.entry(part.command).or_insert_with(|| Usage { command: part.command, ..Usage::default() });
            sum.calls += part.calls;
            sum.ns = sum.ns.saturating_add(part.ns);
            sum.rejected += part.rejected;
            sum.failed += part.failed;
            sum.times.extend_from_slice(&part.times);
        }
        // UNWATCH runs on other cores when its client goes, too, and then nobody has called it.
        sums.into_values().filter(|sum| sum.calls + sum.rejected + sum.failed > 0).collect()
    }

    /// The command's name, as the table has it.
    pub(in crate::engine) fn name(&self) -> &'static str {
        CommandId(self.command).row().name
    }

    /// The command's times as a histogram of nanoseconds.
    pub(in crate::engine) fn histogram(&self) -> Histogram<u64> {
        let mut histogram = command_histogram();
        for (ns, count) in &self.times {
            histogram.saturating_record_n(*ns, *count);
        }
        histogram
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
