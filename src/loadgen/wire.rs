//! Wire: encoding of requests and checks of replies. This file alone distinguishes the protocols.
//!
//! Owner: a lane's sockets. Cost: a request is a copy of a few constants, a reply one look at its head; with `--verify`
//! also a comparison of its value. Nothing is allocated. Never: panics on bytes from a server.
//!
//! | file | what |
//! |---|---|
//! | `resp` | the Redis protocol, RESP2 |
//! | `memcached` | memcached's text protocol, with INCR as a meta command |

use std::collections::VecDeque;
use std::str::FromStr;

use super::random::Random;
use super::workload::{Kind, Values, Workload};

pub(super) mod memcached;
pub(super) mod resp;

/// The protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The Redis protocol.
    Resp,
    /// The text protocol of memcached.
    Memcached,
}

impl Protocol {
    /// The name of the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Resp => "resp",
            Protocol::Memcached => "memcached",
        }
    }

    /// Whether the protocol has an operation of this kind.
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

/// The request of a due reply.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// The kind of the operation.
    pub kind: Kind,
    /// The number of keys of the operation.
    pub keys: u16,
    /// The keys of this request, followed by those of later ones.
    pub ids: &'a VecDeque<u64>,
    /// The expected values, if they are verified.
    pub values: Option<&'a Values>,
}

impl Due<'_> {
    /// Whether a value is right for the `at`th key; true if values are not verified.
    #[inline]
    fn is_right(&self, at: usize, value: &[u8]) -> bool {
        self.values.is_none_or(|values| self.ids.get(at).is_some_and(|id| values.is_right(*id, value)))
    }
}

/// The outcome of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Keys whose values were read.
    pub hits: u32,
    /// Keys that had no value.
    pub misses: u32,
    /// The fault of the reply, if it has one.
    pub fault: Option<Fault<'a>>,
}

/// A fault of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// The reply is an error.
    Error(&'a [u8]),
    /// The reply is of another type than the request's, such as a number to a GET.
    Strange,
    /// The reply has a wrong value.
    Wrong,
    /// The reply lacks a value that should exist.
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

    /// The outcome without values: right if the reply is the expected one, otherwise strange.
    fn expect(is_expected: bool) -> Outcome<'static> {
        if is_expected { Outcome::RIGHT } else { Outcome::fault(Fault::Strange) }
    }
}

/// The reason, in one line, why bytes are not a reply: the start of the next reply is unknown, so the connection is
/// unusable.
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

/// Reads the reply at the start of `bytes`: its length and outcome, or `None` if it is incomplete.
#[inline]
pub fn read<'a>(protocol: Protocol, bytes: &'a [u8], due: Due<'_>) -> Result<Option<(usize, Outcome<'a>)>, Garbage> {
    match protocol {
        Protocol::Resp => resp::read(bytes, due),
        Protocol::Memcached => memcached::read(bytes, due),
    }
}

/// An excerpt of bytes for a message: the first line, shortened.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    line.iter().take(crate::limits::BENCH_EXCERPT_BYTES_MAX).copied().collect::<Vec<u8>>().escape_ascii().to_string()
}
