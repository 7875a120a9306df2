//! Clients: one for tokio, one that waits in the caller's thread. Both speak RESP3 and work with any server that does.
//!
//! ```
//! use aspine::{Client, client::Error};
//! use std::time::Duration;
//!
//! async fn greet(address: &str) -> Result<(), Error> {
//!     let client = Client::connect(address).await?; // "127.0.0.1:5116"
//!     client.set("user:1", "alice", Duration::from_secs(60)).await?;
//!     let name: Option<String> = client.get("user:1").await?;
//!     assert_eq!(name.as_deref(), Some("alice"));
//!
//!     let visits = client.incr("visits", 1).await?;
//!     println!("hello {name:?}, visit {visits}");
//!     Ok(())
//! }
//! # // A server of its own, on a port that is free.
//! # use aspine::cli::{config::ServerArgs, server};
//! # let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
//! # let args = ServerArgs { port, cores: Some(1), maxclients: 50, ..ServerArgs::default() };
//! # let serving = std::thread::spawn(move || server::run(args).unwrap());
//! # while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
//! #     assert!(!serving.is_finished(), "it does not serve");
//! #     std::thread::yield_now();
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(greet(&format!("127.0.0.1:{port}"))).unwrap();
//! ```
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
//! # Values
//!
//! Texts, bytes, numbers, `bool` and `char` are stored as plain text or bytes, as every client of Redis does ([`ToValue`],
//! [`FromValue`]); other types in a wrapper that names their form, `Bincode` or `Json`.
//!
//! # Cores
//!
//! A server with `--core-ports` is asked for its cores at each connection. Each key then goes straight to the core that
//! owns it, and elsewhere only while that core's connection is down; a server that comes back with other cores is noticed.
//! Over a Unix socket, all goes through that socket.
//!
//! # When a connection breaks
//!
//! It is made anew, at first after some milliseconds, then after longer and longer, with chance in it, up to a second.
//! Requests wait for it within their timeout. A server that owes replies and says nothing for two timeouts counts as gone.
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
