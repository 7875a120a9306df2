//! Clients: an asynchronous one for tokio, and a blocking one. Both speak RESP3 and work with any server that does.
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
//! # use aspine::{cli::server, config::ServerArgs};
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
//! | `conn` | the protocol of one connection, sans I/O: bytes in, replies matched to requests out |
//! | `hello` | the greeting of a connection |
//! | `encode` | requests as bytes |
//! | `asynchronous` | the client for tokio |
//! | `blocking` | the blocking client |
//! | `options` | the server's address, authentication, timeouts |
//! | `error` | errors, and whether a failed request may have run |
//! | `value` | types that are stored as they are, and read back |
//! | `wrapped` | other types, in a wrapper that names their encoding |
//! | `info`, `ttl`, `scan` | replies that need more than a type |
//! | `reads` | the commands that only read |
//! | `clock` | deadlines |
//!
//! The load generator uses neither: it has a data path of its own on epoll, which knows the replies that it expects and
//! makes no values of them.
//!
//! # Values
//!
//! Texts, bytes, numbers, `bool` and `char` are stored as plain text or bytes, as every client of Redis does ([`ToValue`],
//! [`FromValue`]); other types in a wrapper that names their encoding, `Bincode` or `Json`.
//!
//! # Cores
//!
//! The client asks a server for its cores at each connection. With `--core-ports`, a request for a key goes straight to the
//! core that owns the key, and to the one port only while that core's connection is down; a restart with other cores is
//! detected. Over a Unix socket, all requests go through that socket.
//!
//! # When a connection breaks
//!
//! The client reconnects, after a backoff that begins at some milliseconds and doubles up to a second, with jitter.
//! Requests wait for the connection within their timeout. A server that owes replies and sends nothing for two timeouts
//! counts as gone.
//!
//! # What is retried
//!
//! When a connection breaks, requests on it may have run or not: their [fate](Fate) is unknown. Requests that only read
//! are then retried, at most twice: [`get`](crate::blocking::Client::get), `mget`, `exists`, `ttl`, `list`, `info`, and
//! by `command` GET, MGET, EXISTS, TTL, PTTL, EXPIRETIME, PEXPIRETIME, TYPE, STRLEN, GETRANGE, SUBSTR, GETBIT, BITCOUNT,
//! BITPOS, BITFIELD_RO, DUMP, LCS, SCAN, KEYS, DBSIZE, INFO, TIME, ECHO, PING and ASPINE.CORES. A write is never retried
//! once a byte of it may have left, not even a SET: the first may still be on its way, and would undo what was written
//! after the second. The caller gets [`Error::Connection`] with [`Fate::Unknown`] and decides.

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
