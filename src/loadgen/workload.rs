//! Workload: kinds of operations and their shares, keys, values.
//!
//! Owner: the run; all lanes share it read-only, and each draws with its own random numbers. Cost: a random number for
//! the kind (none if there is one kind), one for each key, one for a length that varies. Values are not generated but
//! copied from a pool, at a position that the key decides, so that every reader knows the expected value.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::keys::{KeyDist, Keys, Prefix};
use super::random::{Random, mix};
use crate::limits::{
    BENCH_EXPIRE_S_DEFAULT, BENCH_MIX_WEIGHT_MAX, BENCH_OPERATION_KEYS_DEFAULT, BENCH_OPERATION_KEYS_MAX,
    BENCH_TTL_S_MAX, BENCH_VALUE_POOL_STARTS, VALUE_BYTES_MAX,
};

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Reads a value.
    Get,
    /// Writes a value.
    Set,
    /// Writes a value that a read has missed.
    Fill,
    /// Reads several values.
    Mget,
    /// Writes several values.
    Mset,
    /// Adds one to a counter.
    Incr,
    /// Deletes a key.
    Del,
    /// Asks whether a key exists.
    Exists,
    /// Sets the time to live of a key.
    Expire,
    /// Sends a message to a channel.
    Publish,
    /// Sends a PING.
    Ping,
}

/// The number of kinds.
pub const KINDS: usize = 11;

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; KINDS] = [
        Kind::Get,
        Kind::Set,
        Kind::Fill,
        Kind::Mget,
        Kind::Mset,
        Kind::Incr,
        Kind::Del,
        Kind::Exists,
        Kind::Expire,
        Kind::Publish,
        Kind::Ping,
    ];

    /// The name of the kind in `--mix` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Set => "set",
            Kind::Fill => "fill",
            Kind::Mget => "mget",
            Kind::Mset => "mset",
            Kind::Incr => "incr",
            Kind::Del => "del",
            Kind::Exists => "exists",
            Kind::Expire => "expire",
            Kind::Publish => "publish",
            Kind::Ping => "ping",
        }
    }

    /// Whether the kind takes several keys.
    pub fn takes_many(self) -> bool {
        matches!(self, Kind::Mget | Kind::Mset)
    }

    /// The prefix of the kind's keys.
    #[inline]
    pub fn prefix(self) -> Prefix {
        match self {
            Kind::Incr => Prefix::Counter,
            Kind::Publish => Prefix::Channel,
            _ => Prefix::Key,
        }
    }
}

/// An operation to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The kind of the operation.
    pub kind: Kind,
    /// The number of keys; 1 for PING, which ignores it.
    pub keys: u16,
}

/// Kinds and their shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<(Operation, u32)>);

impl Mix {
    /// A mix of GETs and SETs; not both shares are 0.
    pub fn of_ratio(Ratio { gets, sets }: Ratio) -> Mix {
        let parts = [(Kind::Get, gets), (Kind::Set, sets)].into_iter().filter(|(_, weight)| *weight > 0);
        Mix(parts.map(|(kind, weight)| (Operation { kind, keys: 1 }, weight)).collect())
    }

    /// The operations that are drawn.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        self.0.iter().map(|(operation, _)| *operation)
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || {
            let names = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Fill).map(Kind::name);
            names.collect::<Vec<_>>().join(", ")
        };
        let mut parts: Vec<(Operation, u32)> = Vec::new();
        for part in text.split(',') {
            let bad = |why: &str| Err(format!("`{part}`: {why}; give for example get=80,set=15,mget:10=5"));
            let Some((what, weight)) = part.split_once('=') else { return bad("a kind without its share") };
            let (name, keys) = what.split_once(':').map_or((what, None), |(name, keys)| (name, Some(keys)));
            let found = Kind::ALL.into_iter().find(|kind| kind.name() == name && *kind != Kind::Fill);
            let Some(kind) = found else { return bad(&format!("no such kind, only {}", names())) };
            let keys = match (keys.map(str::parse), kind.takes_many()) {
                (None, true) => BENCH_OPERATION_KEYS_DEFAULT,
                (None, false) => 1,
                (Some(Ok(keys)), true) if (1..=BENCH_OPERATION_KEYS_MAX).contains(&keys) => keys,
                (Some(_), true) => return bad(&format!("keys go from 1 to {BENCH_OPERATION_KEYS_MAX}")),
                (Some(_), false) => return bad("it takes one key"),
            };
            match weight.parse() {
                Ok(weight) if (1..=BENCH_MIX_WEIGHT_MAX).contains(&weight) => {
                    if parts.iter().any(|(operation, _)| operation.kind == kind) {
                        return bad("the kind is there twice");
                    }
                    parts.push((Operation { kind, keys }, weight));
                }
                _ => return bad(&format!("shares go from 1 to {BENCH_MIX_WEIGHT_MAX}")),
            }
        }
        Ok(Mix(parts))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (Operation { kind, keys }, weight)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let keys = if kind.takes_many() { format!(":{keys}") } else { String::new() };
            write!(f, "{comma}{}{keys}={weight}", kind.name())?;
        }
        Ok(())
    }
}

/// The value of `--ratio`: GETs to SETs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// The shares of GET.
    pub gets: u32,
    /// The shares of SET.
    pub sets: u32,
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = |text: &str| text.parse().ok().filter(|share| *share <= BENCH_MIX_WEIGHT_MAX);
        match text.split_once(':').map(|(gets, sets)| (share(gets), share(sets))) {
            Some((Some(gets), Some(sets))) if gets + sets > 0 => Ok(Ratio { gets, sets }),
            _ => Err(format!(
                "not a ratio of GETs to SETs; give two whole numbers up to {BENCH_MIX_WEIGHT_MAX}, for example 9:1"
            )),
        }
    }
}

/// A range of whole numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The lowest number.
    pub low: u64,
    /// The highest number.
    pub high: u64,
}

impl Range {
    /// Parses `N` or `LOW-HIGH`, at most `max`.
    fn parse(text: &str, max: u64) -> Option<Range> {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let range = Range { low: number(low)?, high: number(high)? };
        (range.low <= range.high && range.high <= max).then_some(range)
    }

    /// Parses `--value-size`.
    pub fn of_bytes(text: &str) -> Result<Range, String> {
        let max = VALUE_BYTES_MAX as u64;
        Range::parse(text, max)
            .ok_or_else(|| format!("not a size in bytes up to {max}; give one, or a range, for example 64 or 16-1024"))
    }

    /// Parses `--ttl`.
    pub fn of_seconds(text: &str) -> Result<Range, String> {
        Range::parse(text, BENCH_TTL_S_MAX).filter(|range| range.low > 0).ok_or_else(|| {
            format!("not a time in seconds from 1 to {BENCH_TTL_S_MAX}; give one, or a range, for example 60 or 60-120")
        })
    }

    /// Draws a uniform number of the range.
    #[inline]
    pub fn draw(self, random: &mut Random) -> u64 {
        if self.low == self.high { self.low } else { self.low + random.below(self.high - self.low + 1) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high { write!(f, "{}", self.low) } else { write!(f, "{}-{}", self.low, self.high) }
    }
}

/// The values: slices of one pool of random bytes. The pool is the same in every run, so that one run can verify what
/// another has stored.
#[derive(Clone, Debug)]
pub struct Values {
    pool: Vec<u8>,
    sizes: Range,
    /// The size of each key's value, if keys have sizes of their own.
    of_keys: Arc<[u32]>,
}

impl Values {
    /// Values with sizes of the given range, in bytes.
    pub fn new(sizes: Range) -> Values {
        let bytes = sizes.high as usize + BENCH_VALUE_POOL_STARTS;
        let mut random = Random::new(0, 0);
        let mut pool = Vec::with_capacity(bytes + size_of::<u64>());
        while pool.len() < bytes {
            pool.extend_from_slice(&random.next_u64().to_le_bytes());
        }
        Values { pool, sizes, of_keys: Arc::default() }
    }

    /// Values of a size for each key; keys beyond them have none.
    pub fn of_keys(of_keys: Arc<[u32]>) -> Values {
        let longest = of_keys.iter().max().map_or(0, |bytes| u64::from(*bytes));
        Values { of_keys, ..Values::new(Range { low: 0, high: longest }) }
    }

    /// The value of a key, of a drawn length.
    #[inline]
    pub fn draw(&self, key: u64, random: &mut Random) -> &[u8] {
        let bytes = match self.of_keys.get(key as usize) {
            Some(bytes) => u64::from(*bytes),
            None => self.sizes.draw(random),
        };
        &self.from(key)[..bytes as usize]
    }

    /// Whether `value` is a value of the key.
    #[inline]
    pub fn is_right(&self, key: u64, value: &[u8]) -> bool {
        (self.sizes.low..=self.sizes.high).contains(&(value.len() as u64)) && self.from(key).starts_with(value)
    }

    #[inline]
    fn from(&self, key: u64) -> &[u8] {
        &self.pool[mix(key) as usize % BENCH_VALUE_POOL_STARTS..]
    }
}

/// A workload: mix, keys, values.
#[derive(Clone, Debug)]
pub struct Workload {
    mix: Mix,
    weights: u64,
    keys: Keys,
    /// The values to store.
    pub values: Values,
    /// The time to live of stored values, in seconds.
    pub ttl_s: Option<Range>,
}

impl Workload {
    /// Creates a workload over `keys` keys.
    pub fn new(mix: Mix, keys: u64, dist: KeyDist, sizes: Range, ttl_s: Option<Range>) -> Workload {
        let weights = mix.0.iter().map(|(_, weight)| u64::from(*weight)).sum();
        assert!(weights > 0, "a mix of nothing");
        Workload { mix, weights, keys: Keys::new(dist, keys), values: Values::new(sizes), ttl_s }
    }

    /// Draws an operation.
    #[inline]
    pub fn draw(&self, random: &mut Random) -> Operation {
        let [(first, _), ref rest @ ..] = self.mix.0[..] else { unreachable!("a mix of nothing") };
        if rest.is_empty() {
            return first;
        }
        let mut left = random.below(self.weights);
        for (operation, weight) in &self.mix.0 {
            match left.checked_sub(u64::from(*weight)) {
                Some(more) => left = more,
                None => return *operation,
            }
        }
        first
    }

    /// Draws the seconds of an EXPIRE.
    pub fn expire_s(&self, random: &mut Random) -> u64 {
        self.ttl_s.map_or(BENCH_EXPIRE_S_DEFAULT, |ttl_s| ttl_s.draw(random))
    }

    /// Draws a key.
    #[inline]
    pub fn draw_key(&self, random: &mut Random) -> u64 {
        self.keys.draw(random)
    }
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
