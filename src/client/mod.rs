//! Clients: one for tokio, one that waits in the caller's thread. Both speak RESP3 and work with any server that does.
//!
//! | file | what |
//! |---|---|
//! | `conn` | one connection without its socket: bytes in, replies matched to requests out |
//! | `hello` | the first words on a connection |
//! | `encode` | requests as bytes |
//! | `asynchronous` | the client for tokio |
//! | `blocking` | the client that waits |
//! | `options` | where the server is and how to speak to it |
//! | `error` | what can go wrong, and whether a request may have run |
//! | `value` | what can be stored as it is, and read back |
//! | `wrapped` | other types, in a wrapper that names their form |
//! | `info`, `ttl`, `scan` | replies that need more than a type |
//! | `reads` | which commands only read |
//! | `clock` | how long to wait |
//!
//! # What is repeated
//!
//! When a connection breaks, requests on it may have run or not: their [fate](Fate) is unknown. Requests that only read
//! are then sent again, twice at most: [`get`](crate::blocking::Client::get), `mget`, `exists`, `ttl`, `list`, `info`, and
//! by `command` GET, MGET, EXISTS, TTL, PTTL, EXPIRETIME, PEXPIRETIME, TYPE, STRLEN, GETRANGE, SUBSTR, GETBIT, BITCOUNT,
//! BITPOS, BITFIELD_RO, DUMP, LCS, SCAN, KEYS, DBSIZE, INFO, TIME, ECHO, PING and ASPINE.CORES. A write is never sent again
//! once a byte of it may have left, not even a SET: the first may still be on its way, and would undo what was written
//! after the second. Its caller gets [`Error::Connection`] with [`Fate::Unknown`] and decides.

#[cfg(feature = "client")]
mod asynchronous;
pub mod blocking;
mod clock;
mod conn;
mod encode;
mod error;
mod hello;
mod info;
mod options;
mod reads;
mod scan;
mod ttl;
mod value;
#[cfg(feature = "client")]
mod wrapped;

#[cfg(feature = "client")]
pub use asynchronous::{Client, Gap, KeyEvent, KeyEvents, Message, Messages, Mget, Pipeline, Watch};
pub use bytes::Bytes;
pub use error::{Error, Fate, Fault};
pub use info::Info;
pub use options::Options;
pub use ttl::Ttl;
pub use value::{FromValue, ToValue, Value, ValueError};
#[cfg(feature = "client")]
pub use wrapped::Bincode;
#[cfg(feature = "json")]
pub use wrapped::Json;
