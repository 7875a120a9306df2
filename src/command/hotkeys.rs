//! HOTKEYS: what a tracking session is asked for, as Redis 8.6 has it, and its result as a reply. Core: any.
//!
//! What is recorded, and how, is in `engine/telemetry/hot_keys.rs`; each core records the commands on its keys.

use std::fmt;

use crate::command::Error;
use crate::limits::{HOTKEYS_DEFAULT, HOTKEYS_DURATION_S_MAX, HOTKEYS_MAX, SLOTS};
use crate::resp::number::parse_i64;
use crate::resp::{Args, Writer};

/// The arguments of HOTKEYS START.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whether the CPU time of keys is recorded.
    pub cpu: bool,
    /// Whether the bytes of keys in requests and replies are recorded.
    pub net: bool,
    /// The number of keys to tell of.
    pub count: usize,
    /// The milliseconds after which tracking stops, if it stops by itself.
    pub duration_ms: Option<u64>,
    /// Of so many commands one is recorded, on average.
    pub sample: u64,
    /// The slots of the keys to record, ascending; `None` for all.
    pub slots: Option<Vec<u16>>,
}

/// The reason why a HOTKEYS command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// START while a session is under way.
    Active,
    /// RESET while a session is under way.
    InProgress,
    /// START without METRICS as its first word.
    NoMetrics,
    /// METRICS with a count out of range.
    MetricsCount,
    /// METRICS with fewer words than it announces.
    MetricsMissing,
    /// METRICS with one word twice; holds it.
    MetricsTwice(&'static str),
    /// METRICS with neither CPU nor NET.
    MetricsUnknown,
    /// COUNT out of range.
    Count,
    /// DURATION out of range.
    Duration,
    /// SAMPLE out of range.
    Sample,
    /// SLOTS on a server whose cores are no nodes.
    SlotsAlone,
    /// SLOTS twice.
    SlotsTwice,
    /// SLOTS with a count out of range.
    SlotsCount,
    /// SLOTS with fewer numbers than it announces.
    SlotsMissing,
    /// SLOTS with a number that is no slot's.
    SlotRange,
    /// SLOTS with one number twice.
    SlotTwice,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Active => "ERR hotkey tracking session already in progress",
            Refusal::InProgress => "ERR hotkey tracking session in progress, stop tracking first",
            Refusal::NoMetrics => "ERR METRICS parameter is required",
            Refusal::MetricsCount => "ERR METRICS count must be > 0 and <= 2",
            Refusal::MetricsMissing => "ERR METRICS count does not match number of metric types provided",
            Refusal::MetricsTwice(name) => return write!(f, "ERR METRICS {name} defined more than once!"),
            Refusal::MetricsUnknown => "ERR METRICS no valid metrics passed. Supported: CPU|NET",
            Refusal::Count => return write!(f, "ERR COUNT must be between 1 and {HOTKEYS_MAX}"),
            Refusal::Duration => return write!(f, "ERR DURATION must be between 1 and {HOTKEYS_DURATION_S_MAX}"),
            Refusal::Sample => "ERR SAMPLE ratio must be positive",
            Refusal::SlotsAlone => "ERR SLOTS parameter cannot be used in non-cluster mode",
            Refusal::SlotsTwice => "ERR SLOTS parameter already specified",
            Refusal::SlotsCount => return write!(f, "ERR SLOTS count must be between 1 and {SLOTS}"),
            Refusal::SlotsMissing => "ERR not enough slot numbers provided",
            Refusal::SlotRange => "ERR Invalid or out of range slot",
            Refusal::SlotTwice => "ERR duplicate slot number",
        })
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::HotKeys(refusal)
    }
}

impl Wish {
    /// Parses what follows HOTKEYS START. `cluster`: whether the cores are shown as nodes, which SLOTS takes.
    pub fn parse(args: Args<'_>, cluster: bool) -> Result<Wish, Error> {
        if args.len() < 2 || !args.at(0).eq_ignore_ascii_case(b"METRICS") {
            return Err(Refusal::NoMetrics.into());
        }
        let (cpu, net, words) = metrics(args.tail(1))?;
        let mut wish = Wish { cpu, net, count: HOTKEYS_DEFAULT, duration_ms: None, sample: 1, slots: None };
        let mut rest = args.tail(1 + words);
        while let Some(option) = rest.get(0) {
            let Some(value) = rest.get(1) else { return Err(Error::Syntax) };
            let mut taken = 2;
            if option.eq_ignore_ascii_case(b"COUNT") {
                wish.count = number(value, HOTKEYS_MAX as i64, Refusal::Count)? as usize;
            } else if option.eq_ignore_ascii_case(b"DURATION") {
                wish.duration_ms = Some(number(value, HOTKEYS_DURATION_S_MAX, Refusal::Duration)? * 1000);
            } else if option.eq_ignore_ascii_case(b"SAMPLE") {
                wish.sample = number(value, i64::from(i32::MAX), Refusal::Sample)?;
            } else if !option.eq_ignore_ascii_case(b"SLOTS") {
                return Err(Error::Syntax);
            } else if !cluster {
                return Err(Refusal::SlotsAlone.into());
            } else if wish.slots.is_some() {
                return Err(Refusal::SlotsTwice.into());
            } else {
                let slots = slots(rest.tail(1))?;
                taken += slots.len();
                wish.slots = Some(slots);
            }
            rest = rest.tail(taken);
        }
        Ok(wish)
    }
}

/// A number from 1 to `max`.
fn number(word: &[u8], max: i64, refusal: Refusal) -> Result<u64, Error> {
    let number = parse_i64(word).filter(|number| (1..=max).contains(number));
    number.map(i64::cast_unsigned).ok_or_else(|| refusal.into())
}

/// Parses `count [CPU] [NET]`: whether each is wanted, and how many words that takes. Others are for later versions.
fn metrics(args: Args<'_>) -> Result<(bool, bool, usize), Error> {
    let count = number(args.at(0), 2, Refusal::MetricsCount)? as usize;
    let (mut cpu, mut net) = (false, false);
    for at in 1..=count {
        let Some(word) = args.get(at) else { return Err(Refusal::MetricsMissing.into()) };
        let (metric, name) = if word.eq_ignore_ascii_case(b"CPU") {
            (&mut cpu, "CPU")
        } else if word.eq_ignore_ascii_case(b"NET") {
            (&mut net, "NET")
        } else {
            continue;
        };
        if std::mem::replace(metric, true) {
            return Err(Refusal::MetricsTwice(name).into());
        }
    }
    if cpu || net { Ok((cpu, net, 1 + count)) } else { Err(Refusal::MetricsUnknown.into()) }
}

/// Parses `count slot [slot ...]`.
fn slots(args: Args<'_>) -> Result<Vec<u16>, Error> {
    let count = number(args.at(0), i64::from(SLOTS), Refusal::SlotsCount)? as usize;
    if args.len() <= count {
        return Err(Refusal::SlotsMissing.into());
    }
    let slot = |at| parse_i64(args.at(at)).and_then(|slot| u16::try_from(slot).ok()).filter(|slot| *slot < SLOTS);
    let mut slots: Vec<u16> = (1..=count).map(slot).collect::<Option<_>>().ok_or(Refusal::SlotRange)?;
    slots.sort_unstable();
    let len = slots.len();
    slots.dedup();
    if slots.len() == len { Ok(slots) } else { Err(Refusal::SlotTwice.into()) }
}

/// The result of a session: of one core, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether the session goes on.
    pub active: bool,
    /// The sample of the session: see [`Wish::sample`].
    pub sample: u64,
    /// The number of keys to tell of.
    pub count: usize,
    /// The first and the last slot of each range whose keys are recorded.
    pub slots: Vec<(u16, u16)>,
    /// Whether the slots were chosen.
    pub chosen: bool,
    /// The unix time in milliseconds of the start.
    pub began_ms: u64,
    /// How long it has gone on, in milliseconds.
    pub lasted_ms: u64,
    /// The cost of all commands on keys.
    pub all: Cost,
    /// The cost of those in the slots that were chosen.
    pub selected: Cost,
    /// The cost of those that were recorded.
    pub sampled: Cost,
    /// The process's CPU time in user mode and in the kernel since the start, in microseconds; `None` without CPU.
    pub cpu_us: Option<(u64, u64)>,
    /// Bytes received and sent since the start; `None` without NET.
    pub net_bytes: Option<u64>,
    /// The keys with the most CPU time, in nanoseconds.
    pub by_cpu: Vec<(Vec<u8>, u64)>,
    /// The keys with the most bytes.
    pub by_net: Vec<(Vec<u8>, u64)>,
}

/// CPU time and bytes of commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// CPU time in nanoseconds.
    pub ns: u64,
    /// Bytes of requests and replies.
    pub bytes: u64,
}

impl Cost {
    /// Adds another cost.
    pub fn add(&mut self, other: Cost) {
        self.ns += other.ns;
        self.bytes += other.bytes;
    }
}

impl Found {
    /// Adds what another core has found in the same session.
    pub fn add(&mut self, mut other: Found) {
        self.active |= other.active;
        self.began_ms = self.began_ms.min(other.began_ms);
        self.lasted_ms = self.lasted_ms.max(other.lasted_ms);
        self.slots.append(&mut other.slots);
        self.all.add(other.all);
        self.selected.add(other.selected);
        self.sampled.add(other.sampled);
        // The process's CPU time is the same for all cores, as of when each has looked last.
        self.cpu_us = self.cpu_us.max(other.cpu_us);
        self.net_bytes = self.net_bytes.zip(other.net_bytes).map(|(ours, theirs)| ours + theirs);
        self.by_cpu.append(&mut other.by_cpu);
        self.by_net.append(&mut other.by_net);
    }

    /// Writes the reply of HOTKEYS GET: an array of one map, so that those of several nodes may be put together.
    pub fn write(mut self, writer: &mut Writer<'_>) {
        let (cpu, net, sampled) = (self.cpu_us.is_some(), self.net_bytes.is_some(), self.chosen && self.sample > 1);
        let fields = 7 + usize::from(cpu) * 3 + usize::from(net) * 2 + usize::from(self.chosen) * 2;
        let field = |writer: &mut Writer<'_>, name: &str, number: u64| {
            writer.bulk(name.as_bytes());
            writer.integer(number.cast_signed());
        };
        writer.array(1);
        writer.map(fields + usize::from(sampled) * 2);
        field(writer, "tracking-active", u64::from(self.active));
        field(writer, "sample-ratio", self.sample);
        writer.bulk(b"selected-slots");
        write_slots(&mut self.slots, writer);
        if sampled {
            field(writer, "sampled-commands-selected-slots-us", self.sampled.ns / 1000);
        }
        if self.chosen {
            field(writer, "all-commands-selected-slots-us", self.selected.ns / 1000);
        }
        field(writer, "all-commands-all-slots-us", self.all.ns / 1000);
        if sampled {
            field(writer, "net-bytes-sampled-commands-selected-slots", self.sampled.bytes);
        }
        if self.chosen {
            field(writer, "net-bytes-all-commands-selected-slots", self.selected.bytes);
        }
        field(writer, "net-bytes-all-commands-all-slots", self.all.bytes);
        field(writer, "collection-start-time-unix-ms", self.began_ms);
        field(writer, "collection-duration-ms", self.lasted_ms);
        if let Some((user_us, sys_us)) = self.cpu_us {
            field(writer, "total-cpu-time-user-ms", user_us / 1000);
            field(writer, "total-cpu-time-sys-ms", sys_us / 1000);
        }
        if let Some(bytes) = self.net_bytes {
            field(writer, "total-net-bytes", bytes);
        }
        if cpu {
            writer.bulk(b"by-cpu-time-us");
            write_keys(self.by_cpu, self.count, 1000, writer);
        }
        if net {
            writer.bulk(b"by-net-bytes");
            write_keys(self.by_net, self.count, 1, writer);
        }
    }
}

/// Writes ranges of slots, those that touch as one: `[first, last]`, or `[slot]`.
fn write_slots(slots: &mut [(u16, u16)], writer: &mut Writer<'_>) {
    slots.sort_unstable();
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for (first, last) in slots.iter().copied() {
        match ranges.last_mut() {
            Some(range) if first <= range.1 + 1 => range.1 = range.1.max(last),
            _ => ranges.push((first, last)),
        }
    }
    writer.array(ranges.len());
    for (first, last) in ranges {
        writer.array(if first == last { 1 } else { 2 });
        writer.integer(first.into());
        if first != last {
            writer.integer(last.into());
        }
    }
}

/// Writes the heaviest keys with their weights in units, a key that several cores have found once.
fn write_keys(mut found: Vec<(Vec<u8>, u64)>, count: usize, unit: u64, writer: &mut Writer<'_>) {
    found.sort_unstable();
    found.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1 += later.1;
        }
        same
    });
    found.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    found.truncate(count);
    writer.array(2 * found.len());
    for (key, weight) in found {
        writer.bulk(&key);
        writer.integer((weight / unit).cast_signed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Proto, Words};

    fn parse(line: &str, cluster: bool) -> Result<Wish, Error> {
        let words = Words::new(line.split_whitespace().map(str::as_bytes));
        Wish::parse(words.args(), cluster)
    }

    #[test]
    fn start_takes_every_option() {
        let wish = parse("metrics 2 net cpu count 64 duration 3 sample 7 slots 3 9 0 16383", true);
        let slots = Some(vec![0, 9, 16383]);
        assert_eq!(wish, Ok(Wish { cpu: true, net: true, count: 64, duration_ms: Some(3000), sample: 7, slots }));
        let wish = parse("METRICS 2 GPU CPU", false).expect("a metric of a later version is passed over");
        assert_eq!((wish.cpu, wish.net, wish.count, wish.sample), (true, false, 10, 1));
    }

    #[test]
    fn start_refuses_what_redis_does() {
        for (line, refusal) in [
            ("", Refusal::NoMetrics),
            ("METRICS", Refusal::NoMetrics),
            ("COUNT 1 METRICS 1 CPU", Refusal::NoMetrics),
            ("METRICS 0", Refusal::MetricsCount),
            ("METRICS 3 CPU NET", Refusal::MetricsCount),
            ("METRICS 2 CPU", Refusal::MetricsMissing),
            ("METRICS 2 CPU CPU", Refusal::MetricsTwice("CPU")),
            ("METRICS 1 GPU", Refusal::MetricsUnknown),
            ("METRICS 1 CPU COUNT 65", Refusal::Count),
            ("METRICS 1 CPU DURATION 1000001", Refusal::Duration),
            ("METRICS 1 CPU SAMPLE 0", Refusal::Sample),
            ("METRICS 1 CPU SLOTS 1 0 SLOTS 1 1", Refusal::SlotsTwice),
            ("METRICS 1 CPU SLOTS 16385 0", Refusal::SlotsCount),
            ("METRICS 1 CPU SLOTS 2 0", Refusal::SlotsMissing),
            ("METRICS 1 CPU SLOTS 2 5 5", Refusal::SlotTwice),
        ] {
            assert_eq!(parse(line, true), Err(refusal.into()), "{line}");
        }
        assert_eq!(parse("METRICS 1 CPU SLOTS 1 0", false), Err(Refusal::SlotsAlone.into()));
        assert_eq!(parse("METRICS 1 CPU SLOTS 1 16384", true), Err(Refusal::SlotRange.into()));
        for line in ["METRICS 1 CPU NET", "METRICS 1 CPU COUNT", "METRICS 1 CPU BOGUS 1"] {
            assert_eq!(parse(line, true), Err(Error::Syntax), "{line}");
        }
    }

    #[test]
    fn cores_are_one_reply() {
        let key = |name: &str, weight| (name.as_bytes().to_vec(), weight);
        let mut first = Found {
            active: true,
            sample: 1,
            count: 2,
            slots: vec![(8192, 16383)],
            began_ms: 7,
            cpu_us: Some((1000, 2500)),
            by_cpu: vec![key("a", 3000), key("b", 1999)],
            ..Found::default()
        };
        first.add(Found {
            slots: vec![(0, 8191)],
            began_ms: 8,
            lasted_ms: 5,
            cpu_us: Some((3000, 2500)),
            by_cpu: vec![key("b", 2001), key("c", 1)],
            ..Found::default()
        });
        let mut out = Vec::new();
        first.write(&mut Writer::new(&mut out, Proto::Resp3));
        let text = String::from_utf8(out).expect("text").replace("\r\n", " ");
        assert!(text.starts_with("*1 %10 $15 tracking-active :1 "), "{text}");
        assert!(text.contains("selected-slots *1 *2 :0 :16383 "), "{text}");
        assert!(text.contains("total-cpu-time-user-ms :3 "), "{text}");
        assert!(text.ends_with("by-cpu-time-us *4 $1 b :4 $1 a :3 "), "{text}");
    }
}
