//! Wire: requests as bytes, and what the bytes of their replies say. Which protocol it is is decided here alone.
//!
//! Owner: a lane's sockets. Cost: a request is a copy of a few parts, a reply one look at its head; with `--verify` a
//! comparison of its value besides. Nothing is allocated. Never: panics on what a server sent.
//!
//! | file | what |
//! |---|---|
//! | `resp` | the Redis protocol, RESP2 |
//! | `memcached` | memcached's text protocol, INCR by its meta command |

use std::collections::VecDeque;
use std::str::FromStr;

use super::random::Random;
use super::workload::{Kind, Values, Workload};

pub(super) mod memcached;
pub(super) mod resp;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Redis's.
    Resp,
    /// memcached's text protocol.
    Memcached,
}

impl Protocol {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Resp => "resp",
            Protocol::Memcached => "memcached",
        }
    }

    /// Whether it has such an operation.
    pub fn has(self, kind: Kind) -> bool {
        self == Protocol::Resp || !matches!(kind, Kind::Mset | Kind::Exists | Kind::Publish)
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Protocol::Resp, Protocol::Memcached].into_iter().find(|protocol| protocol.name() == text);
        found.ok_or_else(|| "no such protocol; give resp or memcached".to_owned())
    }
}

/// A reply that is due.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// What was asked.
    pub kind: Kind,
    /// About how many keys.
    pub keys: u16,
    /// The keys, before those of later requests.
    pub ids: &'a VecDeque<u64>,
    /// What values must be, if they are checked.
    pub values: Option<&'a Values>,
}

impl Due<'_> {
    /// Whether a value is right for the `at`th key; yes if nobody checks.
    #[inline]
    fn is_right(&self, at: usize, value: &[u8]) -> bool {
        self.values.is_none_or(|values| self.ids.get(at).is_some_and(|id| values.is_right(*id, value)))
    }
}

/// What a reply says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Keys whose values were read.
    pub hits: u32,
    /// Keys that had none.
    pub misses: u32,
    /// Why it is wrong, if it is.
    pub fault: Option<Fault<'a>>,
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// The server says so.
    Error(&'a [u8]),
    /// It is no answer to what was asked, such as a number to a GET.
    Strange,
    /// It is an answer, but not the right one.
    Wrong,
    /// The key should be there.
    Missing,
}

impl<'a> Outcome<'a> {
    const RIGHT: Outcome<'static> = Outcome { hits: 0, misses: 0, fault: None };
    const MISS: Outcome<'static> = Outcome { hits: 0, misses: 1, fault: None };

    fn hit(is_right: bool) -> Outcome<'static> {
        Outcome { hits: 1, misses: 0, fault: if is_right { None } else { Some(Fault::Wrong) } }
    }

    fn fault(fault: Fault<'a>) -> Outcome<'a> {
        Outcome { hits: 0, misses: 0, fault: Some(fault) }
    }

    /// Right if so, strange if not.
    fn expect(is_expected: bool) -> Outcome<'static> {
        if is_expected { Outcome::RIGHT } else { Outcome::fault(Fault::Strange) }
    }
}

/// Why bytes are no reply: where the next one begins is unknown, so the connection is of no more use. One line.
pub type Garbage = String;

/// Appends a request.
#[inline]
pub fn encode(
    protocol: Protocol,
    out: &mut Vec<u8>,
    kind: Kind,
    ids: &[u64],
    workload: &Workload,
    random: &mut Random,
) {
    match protocol {
        Protocol::Resp => resp::encode(out, kind, ids, workload, random),
        Protocol::Memcached => memcached::encode(out, kind, ids, workload, random),
    }
}

/// Reads the reply at the start of `bytes`: its length and what it says, or `None` if it is not all there.
#[inline]
pub fn read<'a>(protocol: Protocol, bytes: &'a [u8], due: Due<'_>) -> Result<Option<(usize, Outcome<'a>)>, Garbage> {
    match protocol {
        Protocol::Resp => resp::read(bytes, due),
        Protocol::Memcached => memcached::read(bytes, due),
    }
}

/// The first line of something, as far as a person wants to read it.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    line.iter().take(crate::limits::BENCH_EXCERPT_BYTES_MAX).copied().collect::<Vec<u8>>().escape_ascii().to_string()
}
