//! Latency events: commands that took `latency-monitor-threshold` or longer, a sample a second. Core: the home core.
//!
//! Filled by the meter; a ring of `LATENCY_SAMPLES_MAX` samples an event; the oldest is overwritten. Redis's events
//! `command` and `fast-command` are all there are: expiry, eviction and freeing go in slices of microseconds here, so
//! none of them can reach a threshold of milliseconds. Never: measures anything itself.

use serde::{Deserialize, Serialize};

use crate::command::facts::flag;
use crate::command::lookup::CommandId;
use crate::command::settings::Watch;
use crate::limits::LATENCY_SAMPLES_MAX;

/// Redis's names of the events, by their index.
pub(in crate::engine) const EVENTS: [&str; 2] = ["command", "fast-command"];

/// The longest time of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Sample {
    /// Unix time.
    pub(in crate::engine) unix_s: u64,
    /// How long the event took, in milliseconds.
    pub(in crate::engine) ms: u64,
}

/// The statistics of one latency event, of one core or of all together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Event {
    /// One a second, the newest last.
    pub(in crate::engine) samples: Vec<Sample>,
    /// The longest since the last reset.
    pub(in crate::engine) max_ms: u64,
}

impl Event {
    fn add(&mut self, sample: Sample) {
        self.max_ms = self.max_ms.max(sample.ms);
        match self.samples.last_mut() {
            Some(last) if last.unix_s == sample.unix_s => last.ms = last.ms.max(sample.ms),
            _ => {
                if self.samples.len() == LATENCY_SAMPLES_MAX {
                    self.samples.remove(0);
                }
                self.samples.push(sample);
            }
        }
    }

    /// The cores' samples of one event as one.
    pub(in crate::engine) fn merged<'a>(parts: impl Iterator<Item = &'a Event> + Clone) -> Event {
        let mut samples: Vec<Sample> = parts.clone().flat_map(|part| part.samples.iter().copied()).collect();
        samples.sort_by_key(|sample| sample.unix_s);
        let mut event = Event { samples: Vec::new(), max_ms: parts.map(|part| part.max_ms).max().unwrap_or(0) };
        for sample in samples {
            event.add(sample);
        }
        event
    }
}

/// The events of one core.
#[derive(Debug, Default)]
pub(in crate::engine) struct Latency {
    threshold_ms: u64,
    events: [Event; EVENTS.len()],
}

impl Latency {
    pub(in crate::engine) fn configure(&mut self, watch: &Watch) {
        self.threshold_ms = watch.latency_ms;
    }

    /// Nanoseconds from which on a command is an event; `u64::MAX` for none.
    pub(in crate::engine) fn threshold_ns(&self) -> u64 {
        if self.threshold_ms == 0 { u64::MAX } else { self.threshold_ms.saturating_mul(1_000_000) }
    }

    pub(in crate::engine) fn add(&mut self, command: CommandId, ns: u64, unix_ms: u64) {
        if ns >= self.threshold_ns() {
            let event = usize::from(command.row().is(flag::FAST));
            self.events[event].add(Sample { unix_s: unix_ms / 1000, ms: ns / 1_000_000 });
        }
    }

    pub(in crate::engine) fn events(&self) -> &[Event; EVENTS.len()] {
        &self.events
    }

    /// Forgets the events that `which` wants. Returns a bit for each that had samples.
    pub(in crate::engine) fn reset(&mut self, which: impl Fn(&str) -> bool) -> u64 {
        let mut reset = 0;
        for (at, event) in self.events.iter_mut().enumerate() {
            if which(EVENTS[at]) && !event.samples.is_empty() {
                *event = Event::default();
                reset |= 1 << at;
            }
        }
        reset
    }
}

/// LATENCY GRAPH: the samples as columns, each with its age below.
pub(in crate::engine) fn graph(name: &str, event: &Event, now_s: u64) -> String {
    const ROWS: usize = 4;
    let (low, high) = range(event);
    let step = ((high - low).max(1) as f64) / ROWS as f64;
    let columns: Vec<(usize, String)> = event
        .samples
        .iter()
        .map(|sample| ((((sample.ms - low) as f64 / step) as usize).min(ROWS - 1), age(now_s, sample.unix_s)))
        .collect();
    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", event.max_ms);
    text.push_str(&"-".repeat(80));
    text.push('\n');
    for row in (0..ROWS).rev() {
        text.extend(columns.iter().map(|(height, _)| match height {
            height if *height == row => '_',
            height if *height > row => '|',
            _ => ' ',
        }));
        text.push('\n');
    }
    text.push('\n');
    let longest = columns.iter().map(|(_, age)| age.len()).max().unwrap_or(0);
    for at in 0..longest {
        text.extend(columns.iter().map(|(_, age)| age.as_bytes().get(at).map_or(' ', |byte| char::from(*byte))));
        text.push('\n');
    }
    text
}

fn range(event: &Event) -> (u64, u64) {
    let times = || event.samples.iter().map(|sample| sample.ms);
    (times().min().unwrap_or(0), times().max().unwrap_or(0))
}

fn age(now_s: u64, unix_s: u64) -> String {
    match now_s.saturating_sub(unix_s) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// LATENCY DOCTOR: what the samples say, and what may help.
pub(in crate::engine) fn doctor(events: &[Event], watch: &Watch, now_s: u64) -> String {
    let seen: Vec<_> = EVENTS.iter().zip(events).filter(|(_, event)| !event.samples.is_empty()).collect();
    if seen.is_empty() && watch.latency_ms == 0 {
        return "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n"
            .to_owned();
    }
    if seen.is_empty() {
        return "No command has reached latency-monitor-threshold so far.\n".to_owned();
    }
    let mut text = String::from("Commands have reached latency-monitor-threshold:\n\n");
    for (number, (name, event)) in seen.iter().enumerate() {
        let count = event.samples.len() as u64;
        let mean = event.samples.iter().map(|sample| sample.ms).sum::<u64>() / count;
        let deviation = event.samples.iter().map(|sample| sample.ms.abs_diff(mean)).sum::<u64>() / count;
        let first_s = event.samples.first().map_or(now_s, |sample| sample.unix_s);
        let period = now_s.saturating_sub(first_s) as f64 / count as f64;
        text.push_str(&format!(
            "{}. {name}: {count} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period:.2} sec). \
             Worst all time event {}ms.\n",
            number + 1,
            event.max_ms
        ));
    }
    text.push_str("\nWhat may help:\n\n");
    let threshold_us = watch.latency_ms.saturating_mul(1000).max(1);
    if u64::try_from(watch.slowlog_us).is_ok_and(|us| us <= threshold_us) {
        text.push_str("- SLOWLOG GET names the commands that took long.\n");
    } else {
        text.push_str(&format!(
            "- The slow log does not take all of them: CONFIG SET slowlog-log-slower-than {threshold_us}.\n"
        ));
    }
    text.push_str(
        "- The rows of the cores in INFO say whether turns are long, so whether a core waited for its CPU.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(samples: &[(u64, u64)]) -> Event {
        let mut event = Event::default();
        for &(unix_s, ms) in samples {
            event.add(Sample { unix_s, ms });
        }
        event
    }

    #[test]
    fn a_second_has_one_sample_the_longest() {
        let one = event(&[(1, 5), (1, 9), (1, 2), (3, 4)]);
        assert_eq!(one.samples, [Sample { unix_s: 1, ms: 9 }, Sample { unix_s: 3, ms: 4 }]);
        assert_eq!(one.max_ms, 9);
        let other = event(&[(2, 7), (3, 8)]);
        let both = Event::merged([&one, &other].into_iter());
        assert_eq!(both, event(&[(1, 9), (2, 7), (3, 8)]));
    }

    #[test]
    fn the_oldest_sample_makes_room() {
        let many = event(&(0..LATENCY_SAMPLES_MAX as u64 + 5).map(|at| (at, 1)).collect::<Vec<_>>());
        assert_eq!((many.samples.len(), many.samples[0].unix_s), (LATENCY_SAMPLES_MAX, 5));
    }

    #[test]
    fn a_graph_is_redis_graph() {
        // LATENCY GRAPH of redis-server 7.0.15 for one sample of 30 ms.
        let bar = "-".repeat(80);
        let expected = format!("command - high 30 ms, low 30 ms (all time high 30 ms)\n{bar}\n \n \n \n_\n\n0\ns\n");
        assert_eq!(graph("command", &event(&[(7, 30)]), 7), expected);
        let text = graph("command", &event(&[(0, 10), (65, 30)]), 66);
        assert!(text.ends_with("\n _\n |\n |\n_|\n\n11\nms\n"), "{text}");
    }

    #[test]
    fn the_doctor_reports_what_there_is() {
        let mut watch = Watch { latency_ms: 0, ..Watch::default() };
        assert!(doctor(&[], &watch, 9).starts_with("Latency monitoring is off."));
        watch.latency_ms = 1;
        assert!(doctor(&[Event::default()], &watch, 9).starts_with("No command"));
        let text = doctor(&[event(&[(7, 30), (8, 10)])], &watch, 9);
        let line = "1. command: 2 latency spikes (average 20ms, mean deviation 10ms, period 1.00 sec). Worst all time event 30ms.";
        assert!(text.contains(line) && text.contains("slowlog-log-slower-than 1000"), "{text}");
    }
}
