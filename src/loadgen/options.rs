//! Options: what a run is told, with all defaults resolved, and the clocks that it reads.
//!
//! Never: parses what was typed; `cli::bench` does.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::keys::KeyDist;
use super::trace::Trace;
use super::wire::Protocol;
use super::workload::{Mix, Range};

/// The address of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One port for all connections.
    Tcp(SocketAddr),
    /// A port for each core of the server, in the order of the cores: a request goes to the owner of its key.
    Cores(Vec<SocketAddr>),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Target {
    /// The number of sockets of each client.
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

/// The length of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// For this many nanoseconds operations are sent.
    Ns(u64),
    /// The number of operations of all lanes together, fills not counted.
    Operations(u64),
}

/// How replies are verified, besides that they answer their request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verify {
    /// Values are not verified.
    No,
    /// Values must be those of their keys.
    Values,
    /// Values must be those of their keys, and every key must exist.
    Hits,
}

/// The options of a run, with all defaults resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's address.
    pub target: Target,
    /// The protocol of the server.
    pub protocol: Protocol,
    /// The auth key.
    pub secret: Option<Vec<u8>>,
    /// The number of clients, at least as many as lanes. Each has one connection, or one to each core.
    pub connections: usize,
    /// The number of operations that a client has under way.
    pub pipeline: u32,
    /// The CPU to which each lane is pinned, if any; at least one lane.
    pub lanes: Vec<Option<usize>>,
    /// The length of the measured part.
    pub length: Length,
    /// The length of the warm-up before it.
    pub warmup_ns: u64,
    /// The kinds of operations, and their shares.
    pub mix: Mix,
    /// The rate of an open loop, in operations a second; none for a closed loop.
    pub rate: Option<u64>,
    /// The number of keys.
    pub keys: u64,
    /// The distribution of requests over the keys.
    pub key_dist: KeyDist,
    /// The sizes of values, in bytes.
    pub value_bytes: Range,
    /// The time to live of values, in seconds.
    pub ttl_s: Option<Range>,
    /// The number of keys that are stored before the run.
    pub preload: u64,
    /// The seed of all random draws.
    pub seed: u64,
    /// How replies are verified.
    pub verify: Verify,
    /// Whether a GET that misses is followed by a SET of its key.
    pub fill_on_miss: bool,
    /// A trace whose accesses are played, as GETs, in place of operations that are drawn.
    pub trace: Option<Arc<Trace>>,
    /// The timeout of a reply, and of a connection.
    pub timeout_ns: u64,
    /// How long before an operation is due a lane stops sleeping and polls; open loop only.
    pub spin_ns: u64,
}

/// The clocks of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The monotonic time.
    pub now_ns: fn() -> u64,
    /// The CPU time of the calling thread.
    pub thread_cpu_ns: fn() -> u64,
}
