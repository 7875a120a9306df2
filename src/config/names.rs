//! Names: the words that stand for the values of settings, on the command line, in the file and in what is shown.

use super::{DebugAccess, Eviction, LogLevel, Transport};

/// The names of what happens at the bound.
pub const EVICTIONS: [(&str, Eviction); 5] = [
    ("s3fifo", Eviction::S3Fifo),
    ("lru", Eviction::Lru),
    ("volatile-lru", Eviction::VolatileLru),
    ("volatile-ttl", Eviction::VolatileTtl),
    ("none", Eviction::None),
];

/// The names of the accesses to DEBUG.
pub const DEBUG_ACCESSES: [(&str, DebugAccess); 3] =
    [("no", DebugAccess::No), ("local", DebugAccess::Local), ("yes", DebugAccess::Yes)];

/// The names of the transports.
pub const TRANSPORTS: [(&str, Transport); 3] =
    [("auto", Transport::Auto), ("ring", Transport::Ring), ("epoll", Transport::Epoll)];

/// The names of the levels of the log.
pub const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
