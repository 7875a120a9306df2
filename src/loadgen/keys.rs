//! Keys: their distribution over requests, and their text.
//!
//! Owner: the workload; a lane draws from it with its own random numbers. Cost: uniform and hotspot a few nanoseconds,
//! zipf some fifty (a logarithm and an exponential), whatever the number of keys; no tables.
//! Keys are numbers from 0, in the form of redis-benchmark, so that each tool finds the keys of the other:
//! `key:000000000042`.

use std::fmt;
use std::str::FromStr;

use super::random::Random;
use crate::limits::{BENCH_KEY_DIGITS, BENCH_KEYS_MAX, BENCH_ZIPF_EXPONENT_MAX};

/// Bytes of a key.
pub const KEY_BYTES: usize = 4 + BENCH_KEY_DIGITS;

/// A distribution of requests over keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyDist {
    /// All keys are equally likely.
    Uniform,
    /// The k-th most popular key has a probability proportional to 1/k^s; key 0 is the most popular.
    Zipf {
        /// The exponent s.
        exponent: f64,
    },
    /// A few hot keys get most of the requests. Hot keys are equally likely, and so are all others.
    Hotspot {
        /// The share of hot keys, in percent.
        keys_percent: f64,
        /// The share of requests for hot keys, in percent.
        requests_percent: f64,
    },
}

/// The default of `hotspot`: the usual complaint of a cache's operator.
const HOTSPOT: KeyDist = KeyDist::Hotspot { keys_percent: 1.0, requests_percent: 90.0 };

impl FromStr for KeyDist {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, max: f64| text.parse().ok().filter(|number| (0.0..=max).contains(number));
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let parsed = match (name, rest) {
            ("uniform", None) => Some(KeyDist::Uniform),
            ("zipf", Some(exponent)) => {
                number(exponent, BENCH_ZIPF_EXPONENT_MAX).map(|exponent| KeyDist::Zipf { exponent })
            }
            ("hotspot", None) => Some(HOTSPOT),
            ("hotspot", Some(rest)) => rest.split_once(':').and_then(|(keys, requests)| {
                let (keys_percent, requests_percent) = (number(keys, 100.0)?, number(requests, 100.0)?);
                (keys_percent > 0.0).then_some(KeyDist::Hotspot { keys_percent, requests_percent })
            }),
            _ => None,
        };
        parsed.ok_or_else(|| {
            format!(
                "no such distribution; give uniform, zipf:S with S from 0 to {BENCH_ZIPF_EXPONENT_MAX} (for example \
                 zipf:0.99), hotspot, or hotspot:KEYS:REQUESTS in percent (for example hotspot:1:90)"
            )
        })
    }
}

impl fmt::Display for KeyDist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyDist::Uniform => f.write_str("uniform"),
            KeyDist::Zipf { exponent } => write!(f, "zipf:{exponent}"),
            KeyDist::Hotspot { keys_percent, requests_percent } => {
                write!(f, "hotspot:{keys_percent}:{requests_percent}")
            }
        }
    }
}

/// A distribution over a number of keys, ready to draw from.
#[derive(Clone, Debug)]
pub enum Keys {
    /// All keys are equally likely.
    Uniform {
        /// The number of keys.
        count: u64,
    },
    /// Keys by popularity.
    Zipf(Zipf),
    /// Hot keys, which have the lowest numbers, and others.
    Hotspot {
        /// The number of keys.
        count: u64,
        /// The number of hot keys.
        hot: u64,
        /// The probability of a hot key.
        chance: f64,
    },
}

impl Keys {
    /// A distribution over `count` keys, at least one.
    pub fn new(dist: KeyDist, count: u64) -> Keys {
        assert!((1..=BENCH_KEYS_MAX).contains(&count), "{count} keys");
        match dist {
            KeyDist::Uniform => Keys::Uniform { count },
            KeyDist::Zipf { exponent } => Keys::Zipf(Zipf::new(count, exponent)),
            KeyDist::Hotspot { keys_percent, requests_percent } => {
                let hot = ((count as f64 * keys_percent / 100.0).round() as u64).clamp(1, count);
                Keys::Hotspot { count, hot, chance: if hot == count { 1.0 } else { requests_percent / 100.0 } }
            }
        }
    }

    /// Draws a key.
    #[inline]
    pub fn draw(&self, random: &mut Random) -> u64 {
        match self {
            Keys::Uniform { count } => random.below(*count),
            Keys::Zipf(zipf) => zipf.draw(random),
            Keys::Hotspot { count, hot, chance } => {
                if random.unit() < *chance {
                    random.below(*hot)
                } else {
                    hot + random.below(count - hot)
                }
            }
        }
    }
}

/// Zipf's distribution by rejection-inversion (Hörmann and Derflinger, 1996): no table, and nearly every draw is
/// accepted.
#[derive(Clone, Debug)]
pub struct Zipf {
    count: f64,
    exponent: f64,
    /// The values of the integral at both ends of the range.
    first: f64,
    last: f64,
    /// Draws at most this far below a whole number are accepted without a further test.
    sure: f64,
}

impl Zipf {
    fn new(count: u64, exponent: f64) -> Zipf {
        let mut zipf = Zipf { count: count as f64, exponent, first: 0.0, last: 0.0, sure: 0.0 };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.count + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    #[inline]
    fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.last + random.unit() * (self.first - self.last);
            let at = self.inverse(area);
            let rank = at.round().clamp(1.0, self.count);
            if rank - at <= self.sure || area >= self.integral(rank + 0.5) - self.density(rank) {
                return rank as u64 - 1;
            }
        }
    }

    /// The density: x^-s.
    fn density(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the density: (x^(1-s) - 1) / (1-s), which goes to ln x as s goes to 1.
    fn integral(&self, x: f64) -> f64 {
        let ln = x.ln();
        let t = (1.0 - self.exponent) * ln;
        // exp_m1(t) / t without a division by zero.
        let ratio = if t.abs() > 1e-8 { t.exp_m1() / t } else { 1.0 + t / 2.0 };
        ratio * ln
    }

    /// The inverse of `integral`.
    #[inline]
    fn inverse(&self, y: f64) -> f64 {
        // Rounding may put it just below the domain of the logarithm.
        let t = ((1.0 - self.exponent) * y).max(-1.0);
        let ratio = if t.abs() > 1e-8 { t.ln_1p() / t } else { 1.0 - t / 2.0 };
        (ratio * y).exp()
    }
}

/// The prefix of a key: strings, counters and channels do not share keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// The prefix of strings.
    Key,
    /// The prefix of the counters of INCR.
    Counter,
    /// The prefix of the channels of PUBLISH.
    Channel,
}

/// The text of a key.
#[inline]
pub fn key_text(prefix: Prefix, id: u64) -> [u8; KEY_BYTES] {
    let mut text = match prefix {
        Prefix::Key => *b"key:000000000000",
        Prefix::Counter => *b"ctr:000000000000",
        Prefix::Channel => *b"chn:000000000000",
    };
    let mut rest = id;
    let mut at = KEY_BYTES;
    while rest > 0 {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
