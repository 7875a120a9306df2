//! Introspection: what SLOWLOG, LATENCY, MEMORY, PUBSUB and LASTSAVE ask of every core.
//!
//! Cost: proportional to what is asked for; nothing here is on the way of other commands. Never: looks at a key.

use crate::command::Error;
use crate::command::errors::quote;
use crate::command::facts;
use crate::command::handler::{Part, Question};
use crate::command::pubsub::Topic;
use crate::command::subcommand::subcommands;
use crate::engine::core::Core;
use crate::engine::env::Env;
use crate::engine::home::Home;
use crate::engine::link::message::{Answer, Ask, CoreReport, Origin, Recorded, Telemetry};
use crate::engine::process_wide::ask::OpenAsk;
use crate::engine::process_wide::report::report;
use crate::engine::pubsub::name_walk::NameWalk;
use crate::engine::telemetry::info::{Sections, memory_doctor, memory_stats};
use crate::engine::telemetry::latency::{self, EVENTS, Event};
use crate::engine::telemetry::meter::Usage;
use crate::engine::telemetry::report::Report;
use crate::engine::telemetry::slowlog::Entry;
use crate::limits::SLOWLOG_GET_DEFAULT;
use crate::resp::number::parse_i64;
use crate::resp::{Args, Writer};

/// How many entries SLOWLOG GET wants.
fn slowlog_count(args: Args<'_>) -> Result<usize, Error> {
    let count = args.get(0).map_or(Some(SLOWLOG_GET_DEFAULT), parse_i64);
    match count {
        Some(-1) => Ok(usize::MAX),
        Some(count) => usize::try_from(count).map_err(|_| Error::SlowlogCount),
        None => Err(Error::SlowlogCount),
    }
}

/// SLOWLOG GET.
pub(super) fn check_slowlog(_env: &Env, ask: &Ask) -> Result<(), Error> {
    let args = ask.words.args();
    slowlog_count(args).map(|_| ())
}

pub(super) fn slowlog(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    let count = slowlog_count(ask.words.args()).unwrap_or(0);
    Some(Recorded::Slow(core.env.meter.slow.newest(count)).into())
}

pub(super) fn fold_slowlog(_home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let slow = |answer: &Answer| match answer {
        Answer::Telemetry(Telemetry(Recorded::Slow(entries))) => entries.clone(),
        _ => Vec::new(),
    };
    let mut entries: Vec<Entry> = open.answers().flat_map(slow).collect();
    Entry::sort(&mut entries);
    let len_max = usize::try_from(core.env.settings.watch.slowlog_len).unwrap_or(usize::MAX);
    entries.truncate(slowlog_count(open.ask.words.args()).unwrap_or(0).min(len_max));
    writer.array(entries.len());
    for entry in entries {
        entry.write(writer);
    }
}

/// SLOWLOG LEN.
pub(super) fn slowlog_len(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Answer::Count(core.env.meter.slow.len()))
}

pub(super) fn fold_slowlog_len(_home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    writer.integer(open.sum().min(core.env.settings.watch.slowlog_len).cast_signed());
}

/// SLOWLOG RESET.
pub(super) fn reset_slowlog(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    core.env.meter.slow.clear();
    Some(Answer::Done)
}

/// LASTSAVE. Core 0 takes the snapshots; the others know of the start.
pub(super) fn last_save(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Answer::Count(core.persistence.saved_ms() / 1000))
}

pub(super) fn fold_last_save(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    writer.integer(open.max().cast_signed());
}

/// LATENCY RESET: a bit for each event that had samples.
pub(super) fn reset_events(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    let args = ask.words.args();
    let named = |name: &str| args.iter().any(|arg| arg.eq_ignore_ascii_case(name.as_bytes()));
    Some(Answer::Count(core.env.meter.latency.reset(|name| args.is_empty() || named(name))))
}

pub(super) fn fold_reset_events(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let bits = open.answers().map(|answer| if let Answer::Count(bits) = answer { *bits } else { 0 });
    writer.integer(bits.fold(0, |all, bits| all | bits).count_ones().into());
}

/// LATENCY LATEST, HISTORY, GRAPH and DOCTOR.
pub(super) fn events(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Recorded::Events(Box::new(core.env.meter.latency.events().clone())).into())
}

/// The events of all cores as one, by their index.
fn merged(open: &OpenAsk) -> Vec<Event> {
    let parts: Vec<&[Event; EVENTS.len()]> = open
        .answers()
        .filter_map(|answer| match answer {
            Answer::Telemetry(Telemetry(Recorded::Events(events))) => Some(&**events),
            _ => None,
        })
        .collect();
    (0..EVENTS.len()).map(|at| Event::merged(parts.iter().map(|events| &events[at]))).collect()
}

/// One event by its name; empty if there is none of that name.
fn named_event(open: &OpenAsk) -> Event {
    let name = open.ask.words.args().at(0);
    let at = EVENTS.iter().position(|event| event.as_bytes() == name);
    at.and_then(|at| merged(open).into_iter().nth(at)).unwrap_or_default()
}

pub(super) fn fold_latest(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    write_latest(&merged(open), writer);
}

pub(super) fn fold_history(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    write_history(&named_event(open), writer);
}

pub(super) fn fold_graph(_home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let (name, event) = (quote(open.ask.words.args().at(0)), named_event(open));
    if event.samples.is_empty() {
        writer.error(&Error::LatencyEvent(name).to_string());
    } else {
        writer.verbatim(latency::graph(&name, &event, core.env.now_ms / 1000).as_bytes());
    }
}

pub(super) fn fold_doctor(_home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let text = latency::doctor(&merged(open), &core.env.settings.watch, core.env.now_ms / 1000);
    writer.verbatim(text.as_bytes());
}

/// LATENCY HISTOGRAM.
pub(super) fn usage(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Recorded::Usage(core.env.meter.usage(true)).into())
}

pub(super) fn fold_histograms(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let parts = open.answers().filter_map(|answer| match answer {
        Answer::Telemetry(Telemetry(Recorded::Usage(usage))) => Some(usage),
        _ => None,
    });
    write_histograms(&Usage::merged(parts.flatten()), open.ask.words.args(), writer);
}

/// The kind of names that a command of PUBSUB asks for.
fn topic_of(ask: &Ask) -> Topic {
    match ask.part {
        Part::Ask(Question::PubsubNames(topic) | Question::PubsubCounts(topic)) => topic,
        _ => Topic::Pattern,
    }
}

/// PUBSUB CHANNELS and SHARDCHANNELS: the names that this core counts, in slices.
pub(super) fn names(_home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    let walk = NameWalk::new(ask.words.args().get(0), ask.caller.proto, origin);
    core.pubsub.begin_walk(topic_of(ask), walk, &mut core.links);
    None
}

/// PUBSUB NUMPAT.
pub(super) fn patterns(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Answer::Count(core.pubsub.channels().of(Topic::Pattern).owned() as u64))
}

/// PUBSUB NUMSUB and SHARDNUMSUB.
pub(super) fn counts(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    let names = core.pubsub.channels().of(topic_of(ask));
    Some(Answer::Counts(ask.words.args().iter().map(|name| names.count(name) as u64).collect()))
}

pub(super) fn fold_counts(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let args = open.ask.words.args();
    let count = |at: usize| {
        let counts = open.answers().filter_map(|a| if let Answer::Counts(counts) = a { counts.get(at) } else { None });
        counts.sum::<u64>()
    };
    writer.array(args.len() * 2);
    for (at, name) in args.iter().enumerate() {
        writer.bulk(name);
        writer.integer(count(at).cast_signed());
    }
}

/// MEMORY STATS and DOCTOR.
pub(super) fn memory(home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Answer::Report(Box::new(CoreReport(report(home, core, Sections::default())))))
}

fn reports(open: &OpenAsk) -> Vec<Report> {
    let one = |answer: &Answer| if let Answer::Report(report) = answer { Some(report.0.clone()) } else { None };
    open.answers().filter_map(one).collect()
}

pub(super) fn fold_memory_stats(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    memory_stats(&reports(open), writer);
}

pub(super) fn fold_memory_doctor(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    writer.verbatim(memory_doctor(&reports(open)).as_bytes());
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
        let named = args.iter().filter_map(facts::find);
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
}
