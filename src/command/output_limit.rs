//! Output limits: how much output may wait for a client that lags, in the form of Redis's `client-output-buffer-limit`.
//!
//! Redis has a limit for each of three classes of clients. Here only that of `pubsub` cuts clients off: an ordinary
//! client that does not read is not read from, and there are no replicas. The other limits are only shown.

use std::fmt;
use std::str::FromStr;

use crate::command::settings::parse_bytes;
use crate::limits::{OUTPUT_HARD_BYTES_DEFAULT, OUTPUT_SOFT_BYTES_DEFAULT, OUTPUT_SOFT_S_DEFAULT};

/// The limit of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which a client is cut off at once; `u64::MAX` is no bound.
    pub hard_bytes: u64,
    /// Bytes at which it is cut off if they wait for too long; `u64::MAX` is no bound.
    pub soft_bytes: u64,
    /// The seconds for which more than `soft_bytes` may wait.
    pub soft_s: u64,
}

/// The limits of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// The limit of ordinary clients.
    pub normal: OutputLimit,
    /// The limit of replicas.
    pub replica: OutputLimit,
    /// The limit of subscribers, and of clients that get invalidations.
    pub pubsub: OutputLimit,
}

/// The error of a malformed text, in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLimits(pub &'static str);

const COUNT: BadLimits = BadLimits("Wrong number of arguments in buffer limit configuration.");
const CLASS: BadLimits = BadLimits("Invalid client class specified in buffer limit configuration.");
const NUMBER: BadLimits = BadLimits("Error in hard, soft or soft_seconds setting in buffer limit configuration.");

impl OutputLimit {
    /// The limit that bounds nothing.
    const NONE: OutputLimit = OutputLimit { hard_bytes: u64::MAX, soft_bytes: u64::MAX, soft_s: 0 };

    /// The bytes from which on a client has to be checked.
    #[inline]
    pub fn least_bytes(&self) -> u64 {
        self.hard_bytes.min(self.soft_bytes)
    }

    fn parse(words: &[&str]) -> Result<OutputLimit, BadLimits> {
        let &[hard, soft, seconds] = words else { return Err(COUNT) };
        let bytes = |text: &str| parse_bytes(text.as_bytes()).map(|bytes| if bytes == 0 { u64::MAX } else { bytes });
        Ok(OutputLimit {
            hard_bytes: bytes(hard).ok_or(NUMBER)?,
            soft_bytes: bytes(soft).ok_or(NUMBER)?,
            soft_s: seconds.parse().map_err(|_| NUMBER)?,
        })
    }
}

impl OutputLimits {
    /// Changes the classes that a text names: `class hard soft seconds`, any number of times. Nothing is changed if it
    /// is wrong.
    pub fn set(&mut self, text: &str) -> Result<(), BadLimits> {
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        if words.is_empty() || !words.len().is_multiple_of(4) {
            return Err(COUNT);
        }
        let mut changed = *self;
        for row in words.chunks_exact(4) {
            let class = match row[0].to_ascii_lowercase().as_str() {
                "normal" => &mut changed.normal,
                "slave" | "replica" => &mut changed.replica,
                "pubsub" => &mut changed.pubsub,
                _ => return Err(CLASS),
            };
            *class = OutputLimit::parse(&row[1..])?;
        }
        *self = changed;
        Ok(())
    }
}

impl Default for OutputLimit {
    /// Redis's for subscribers.
    fn default() -> Self {
        OutputLimit {
            hard_bytes: OUTPUT_HARD_BYTES_DEFAULT,
            soft_bytes: OUTPUT_SOFT_BYTES_DEFAULT,
            soft_s: OUTPUT_SOFT_S_DEFAULT,
        }
    }
}

impl Default for OutputLimits {
    fn default() -> Self {
        OutputLimits { normal: OutputLimit::NONE, replica: OutputLimit::NONE, pubsub: OutputLimit::default() }
    }
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |bytes: u64| if bytes == u64::MAX { 0 } else { bytes };
        write!(f, "{} {} {}", bound(self.hard_bytes), bound(self.soft_bytes), self.soft_s)
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "normal {} slave {} pubsub {}", self.normal, self.replica, self.pubsub)
    }
}

impl FromStr for OutputLimit {
    type Err = BadLimits;

    /// `hard soft seconds`, spaces or commas between them.
    fn from_str(text: &str) -> Result<OutputLimit, BadLimits> {
        OutputLimit::parse(&text.split([' ', ',']).filter(|word| !word.is_empty()).collect::<Vec<_>>())
    }
}

impl fmt::Display for BadLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Give bytes, bytes and seconds, for example '32mb 8mb 60'; 0 is no limit", self.0)
    }
}

impl std::error::Error for BadLimits {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_shown_as_in_redis() {
        let mut limits = OutputLimits::default();
        assert_eq!(limits.to_string(), "normal 0 0 0 slave 0 0 0 pubsub 33554432 8388608 60");
        limits.set("pubsub 1mb 2k 3").unwrap();
        limits.set("Slave 256mb 64mb 60  normal 0 0 0").unwrap();
        assert_eq!(limits.to_string(), "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 2000 3");
        let before = limits;
        for (text, error) in [
            ("", COUNT),
            ("pubsub 1 1", COUNT),
            ("pubsub 0 0 0 normal", COUNT),
            ("pubsub 0 0 0 master 0 0 0", CLASS),
            ("pubsub x 0 0", NUMBER),
            ("pubsub 0 -1 0", NUMBER),
            ("pubsub 0 0 1s", NUMBER),
        ] {
            assert_eq!(limits.set(text), Err(error), "{text}");
        }
        assert_eq!(limits, before, "what is wrong changes nothing");
    }

    #[test]
    fn a_flag_gives_one_limit() {
        assert_eq!("32mb 8mb 60".parse(), Ok(OutputLimit::default()));
        assert_eq!("32mb,8mb,60".parse(), Ok(OutputLimit::default()));
        assert_eq!("0 0 0".parse(), Ok(OutputLimit::NONE));
        assert_eq!("1 2".parse::<OutputLimit>(), Err(COUNT));
    }
}
