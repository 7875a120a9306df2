//! Load generator: what `aspine bench` sends, when, and what comes of it. A client of any RESP server, and by a small
//! adapter of memcached; it shares the protocol with our server and nothing else.
//!
//! Owner: `cli::bench`, which passes in the clocks, the connections' target, and what it knows of the server's process.
//! Never: reads a clock by itself, prints, allocates for an operation in the steady state.
//!
//! | file | what |
//! |---|---|
//! | `schedule` | when: closed and open loop, what counts. Pure |
//! | `workload`, `keys`, `random` | what: kinds, keys, values. Pure |
//! | `wire` | requests as bytes, and what replies say. Pure |
//! | `record` | what was seen: histograms by kind. Pure |
//! | `report`, `hgrm`, `plot` | what is told of it: text and JSON, percentiles as files, pictures |
//! | `socket`, `lane` | one connection; one thread with its own connections |
//! | `connect` | connections, and the first words on them |
//! | `run` | the whole: lanes started, phases, samples of the server |

mod connect;
pub mod error;
pub mod hgrm;
pub mod keys;
mod lane;
pub mod plot;
pub mod random;
pub mod record;
pub mod report;
mod run;
pub mod schedule;
mod socket;
pub mod wire;
pub mod workload;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use self::connect::ask_for_core_ports;
pub use self::error::BenchError;
use self::keys::KeyDist;
pub use self::run::{Loaded, Measured, Progress, ServerUsage, Watch, run};
use self::wire::Protocol;
use self::workload::{Mix, Range};

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One port.
    Tcp(SocketAddr),
    /// A port for each core of the server, in their order: requests go to the owner of their key.
    Cores(Vec<SocketAddr>),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Target {
    /// Sockets of each client.
    pub fn ports(&self) -> usize {
        match self {
            Target::Tcp(_) | Target::Unix(_) => 1,
            Target::Cores(addresses) => addresses.len(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp(address) => address.fmt(f),
            Target::Cores(addresses) => {
                let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                f.write_str(&all.join(","))
            }
            Target::Unix(path) => path.display().fmt(f),
        }
    }
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Nanoseconds of sending.
    Ns(u64),
    /// Operations of all lanes together, besides fills.
    Operations(u64),
}

/// What is checked of replies, besides that they are answers to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verify {
    /// Nothing.
    No,
    /// Values are those of their keys.
    Values,
    /// And every key is there.
    Hits,
}

/// A run, with everything decided.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to.
    pub target: Target,
    /// In which protocol.
    pub protocol: Protocol,
    /// What AUTH shows.
    pub secret: Option<Vec<u8>>,
    /// Clients, at least as many as lanes. Each has a connection, or one to each core.
    pub connections: usize,
    /// Operations that a client has under way.
    pub pipeline: u32,
    /// The CPU of each lane, if it is to have one; at least one lane.
    pub lanes: Vec<Option<usize>>,
    /// How long it is measured.
    pub length: Length,
    /// How long it runs before.
    pub warmup_ns: u64,
    /// What is asked.
    pub mix: Mix,
    /// Operations a second of an open loop; none for a closed one.
    pub rate: Option<u64>,
    /// Keys there are.
    pub keys: u64,
    /// How often which.
    pub key_dist: KeyDist,
    /// Bytes of values.
    pub value_bytes: Range,
    /// Seconds that values live.
    pub ttl_s: Option<Range>,
    /// Keys that are stored first.
    pub preload: u64,
    /// What decides all draws.
    pub seed: u64,
    /// What is checked.
    pub verify: Verify,
    /// A GET that misses is followed by a SET of its key.
    pub fill_on_miss: bool,
    /// After which a reply or a connection will not come any more.
    pub timeout_ns: u64,
    /// How long before an operation's time a lane looks all the time; open loop.
    pub spin_ns: u64,
}

/// The clocks of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Time that never goes back.
    pub now_ns: fn() -> u64,
    /// CPU time of the calling thread.
    pub thread_cpu_ns: fn() -> u64,
}
