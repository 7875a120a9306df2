//! Ask: what SLOWLOG, LATENCY and MEMORY want to know of every core. Each answers its part, the home core folds.
//!
//! A part travels as bytes of `bincode` inside this process. Cost: proportional to what is asked for; nothing here is on
//! the way of other commands. Never: looks at a key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::command::Error;
use crate::command::errors::quote;
use crate::command::glob;
use crate::command::pubsub::Topic;
use crate::command::settings::Settings;
use crate::command::table::{Lookup, Question, subcommands};
use crate::engine::latency::{self, EVENTS, Event};
use crate::engine::meter::Usage;
use crate::engine::slowlog::Entry;
use crate::engine::stats::Report;
use crate::engine::{Engine, info};
use crate::limits::SLOWLOG_GET_DEFAULT;
use crate::resp::number::parse_i64;
use crate::resp::{Args, Writer};

/// Refuses what no core could answer.
pub(super) fn check(question: Question, args: Args<'_>) -> Result<(), Error> {
    if question == Question::SlowlogGet { slowlog_count(args).map(|_| ()) } else { Ok(()) }
}

/// How many entries SLOWLOG GET wants.
fn slowlog_count(args: Args<'_>) -> Result<usize, Error> {
    let count = args.get(0).map_or(Some(SLOWLOG_GET_DEFAULT), parse_i64);
    match count {
        Some(-1) => Ok(usize::MAX),
        Some(count) => usize::try_from(count).map_err(|_| Error::SlowlogCount),
        None => Err(Error::SlowlogCount),
    }
}

/// Bytes for another core of this process.
pub(super) fn encode(value: &impl Serialize, out: &mut Vec<u8>) {
    let written = bincode::serde::encode_into_std_write(value, out, bincode::config::standard());
    debug_assert!(written.is_ok(), "plain values into memory");
}

/// Back from `encode`.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    bincode::serde::decode_from_slice(bytes, bincode::config::standard()).ok().map(|(value, _)| value)
}

/// The parts of all cores.
fn decode_all<T: DeserializeOwned>(parts: &[Vec<u8>]) -> Vec<T> {
    parts.iter().filter_map(|part| decode(part)).collect()
}

impl Engine {
    /// This core's answer.
    pub(super) fn answer(&mut self, question: Question, args: Args<'_>, out: &mut Vec<u8>) {
        match question {
            Question::SlowlogGet => {
                let count = slowlog_count(args).unwrap_or(0);
                encode(&self.meter.slow.newest(count), out);
            }
            Question::SlowlogLen => encode(&self.meter.slow.len(), out),
            Question::SlowlogReset => self.meter.slow.clear(),
            Question::LatencyLatest | Question::LatencyHistory | Question::LatencyGraph | Question::LatencyDoctor => {
                encode(self.meter.latency.events(), out);
            }
            Question::LastSave => encode(&(self.snapshots.status.saved_ms / 1000), out),
            Question::LatencyReset => {
                let named = |name: &str| args.iter().any(|arg| arg.eq_ignore_ascii_case(name.as_bytes()));
                encode(&self.meter.latency.reset(|name| args.is_empty() || named(name)), out);
            }
            Question::LatencyHistogram => encode(&self.meter.usage(true), out),
            Question::PubsubNames(topic) => {
                let wanted = |name: &[u8]| args.get(0).is_none_or(|pattern| glob::matches(pattern, name));
                let names: Vec<&[u8]> =
                    self.channels.of(topic).counts().map(|(name, _)| name).filter(|name| wanted(name)).collect();
                encode(&names, out);
            }
            Question::PubsubPatterns => encode(&(self.channels.of(Topic::Pattern).owned() as u64), out),
            Question::PubsubCounts(topic) => {
                let counts: Vec<u64> = args.iter().map(|name| self.channels.of(topic).count(name) as u64).collect();
                encode(&counts, out);
            }
            Question::MemoryStats | Question::MemoryDoctor => encode(&self.report(info::Sections::default()), out),
        }
    }
}

/// Makes the one reply of all cores' answers.
pub(super) fn fold(
    question: Question,
    args: Args<'_>,
    parts: &[Vec<u8>],
    settings: &Settings,
    now_ms: u64,
    writer: &mut Writer<'_>,
) {
    let now_s = now_ms / 1000;
    match question {
        Question::SlowlogGet => {
            let mut entries: Vec<Entry> = decode_all::<Vec<Entry>>(parts).into_iter().flatten().collect();
            Entry::sort(&mut entries);
            let len_max = usize::try_from(settings.watch.slowlog_len).unwrap_or(usize::MAX);
            entries.truncate(slowlog_count(args).unwrap_or(0).min(len_max));
            writer.array(entries.len());
            for entry in entries {
                entry.write(writer);
            }
        }
        Question::SlowlogLen => {
            let len: u64 = decode_all::<u64>(parts).into_iter().sum();
            writer.integer(len.min(settings.watch.slowlog_len).cast_signed());
        }
        Question::SlowlogReset => writer.ok(),
        Question::LastSave => {
            // Core 0 takes the snapshots; the others know of the start.
            writer.integer(decode_all::<u64>(parts).into_iter().max().unwrap_or(0).cast_signed());
        }
        Question::LatencyReset => {
            let reset = decode_all::<u64>(parts).into_iter().fold(0, |all, part| all | part);
            writer.integer(reset.count_ones().into());
        }
        Question::LatencyLatest => write_latest(&events(parts), writer),
        Question::LatencyHistory => write_history(&named_event(parts, args.at(0)), writer),
        Question::LatencyGraph => {
            let (name, event) = (quote(args.at(0)), named_event(parts, args.at(0)));
            if event.samples.is_empty() {
                writer.error(&Error::LatencyEvent(name).to_string());
            } else {
                writer.verbatim(latency::graph(&name, &event, now_s).as_bytes());
            }
        }
        Question::LatencyDoctor => {
            writer.verbatim(latency::doctor(&events(parts), &settings.watch, now_s).as_bytes());
        }
        Question::LatencyHistogram => {
            write_histograms(&Usage::merged(decode_all::<Vec<Usage>>(parts).iter().flatten()), args, writer);
        }
        Question::PubsubNames(_) => {
            let names: Vec<Vec<u8>> = decode_all::<Vec<Vec<u8>>>(parts).into_iter().flatten().collect();
            writer.array(names.len());
            names.iter().for_each(|name| writer.bulk(name));
        }
        Question::PubsubPatterns => writer.integer(decode_all::<u64>(parts).iter().sum::<u64>().cast_signed()),
        Question::PubsubCounts(_) => {
            let counts: Vec<Vec<u64>> = decode_all(parts);
            writer.array(args.len() * 2);
            for (at, name) in args.iter().enumerate() {
                writer.bulk(name);
                writer.integer(counts.iter().filter_map(|part| part.get(at)).sum::<u64>().cast_signed());
            }
        }
        Question::MemoryStats => info::memory_stats(&decode_all::<Report>(parts), writer),
        Question::MemoryDoctor => writer.verbatim(info::memory_doctor(&decode_all::<Report>(parts)).as_bytes()),
    }
}

/// The events of all cores as one, by their index.
fn events(parts: &[Vec<u8>]) -> Vec<Event> {
    let parts: Vec<[Event; EVENTS.len()]> = decode_all(parts);
    (0..EVENTS.len()).map(|at| Event::merged(parts.iter().map(|events| &events[at]))).collect()
}

/// One event by its name; empty if there is none of that name.
fn named_event(parts: &[Vec<u8>], name: &[u8]) -> Event {
    let at = EVENTS.iter().position(|event| event.as_bytes() == name);
    at.and_then(|at| events(parts).into_iter().nth(at)).unwrap_or_default()
}

fn write_latest(events: &[Event], writer: &mut Writer<'_>) {
    let seen = EVENTS.iter().zip(events).filter_map(|(name, event)| Some((name, event, event.samples.last()?)));
    let seen: Vec<_> = seen.collect();
    writer.array(seen.len());
    for (name, event, last) in seen {
        writer.array(4);
        writer.bulk(name.as_bytes());
        for number in [last.unix_s, last.ms, event.max_ms] {
            writer.integer(number.cast_signed());
        }
    }
}

fn write_history(event: &Event, writer: &mut Writer<'_>) {
    writer.array(event.samples.len());
    for sample in &event.samples {
        writer.array(2);
        writer.integer(sample.unix_s.cast_signed());
        writer.integer(sample.ms.cast_signed());
    }
}

/// LATENCY HISTOGRAM: the named commands, and what a named container has, or all.
fn write_histograms(usage: &[Usage], args: Args<'_>, writer: &mut Writer<'_>) {
    let called = |name: &str| usage.iter().find(|row| row.name() == name && row.calls > 0);
    let rows: Vec<&Usage> = if args.is_empty() {
        usage.iter().filter(|row| row.calls > 0).collect()
    } else {
        let lookup = Lookup::default();
        let named = args.iter().filter_map(|name| lookup.find(name)).map(|id| id.row());
        named
            .flat_map(|row| {
                std::iter::once(row).chain(if row.is_subcommand() { Vec::new() } else { subcommands(row.name) })
            })
            .filter_map(|row| called(row.name))
            .collect()
    };
    writer.map(rows.len());
    for row in rows {
        writer.bulk(row.name().as_bytes());
        writer.map(2);
        writer.bulk(b"calls");
        let steps = cumulative(row);
        writer.integer(steps.last().map_or(0, |(_, count)| *count).cast_signed());
        writer.bulk(b"histogram_usec");
        writer.map(steps.len());
        for (us, count) in steps {
            writer.integer(us.cast_signed());
            writer.integer(count.cast_signed());
        }
    }
}

/// Microseconds, each about twice the last, and how many calls took no longer; only where that number grows.
fn cumulative(usage: &Usage) -> Vec<(u64, u64)> {
    let histogram = usage.histogram();
    let mut steps: Vec<(u64, u64)> = Vec::new();
    let mut bound_ns = 1024;
    loop {
        let upto_ns = histogram.highest_equivalent(bound_ns);
        let count = histogram.iter_recorded().take_while(|step| step.value_iterated_to() <= upto_ns);
        let count: u64 = count.map(|step| step.count_at_value()).sum();
        if count > steps.last().map_or(0, |(_, count)| *count) {
            steps.push((upto_ns / 1000, count));
        }
        if count == histogram.len() {
            return steps;
        }
        bound_ns *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_the_steps_of_redis() {
        // Bounds that redis-server 7.0.15 shows: 1 2 4 8 16 33 66 132 264.
        let times = [500, 1_030, 1_032, 5_000, 30_000, 100_000, 250_000];
        let usage = Usage { times: times.iter().map(|ns| (*ns, 1)).collect(), ..Usage::default() };
        assert_eq!(cumulative(&usage), [(1, 2), (2, 3), (8, 4), (33, 5), (132, 6), (264, 7)]);
        assert!(cumulative(&Usage::default()).is_empty());
    }

    #[test]
    fn what_is_encoded_comes_back() {
        let mut bytes = Vec::new();
        let usage = Usage { command: 3, calls: 9, times: vec![(1, 2)], ..Usage::default() };
        encode(&vec![usage.clone()], &mut bytes);
        assert_eq!(decode::<Vec<Usage>>(&bytes), Some(vec![usage]));
        assert_eq!(decode::<Vec<Usage>>(&bytes[..2]), None);
    }
}
