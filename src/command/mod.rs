//! Commands: what each request means, as one table and small functions by group.
//!
//! Handlers of one key get `&mut Shard` and run on the core that owns the key; they can't tell whose client asked.
//! Handlers of a session get `&mut Client` and run on its home core; they can't reach a key. Which core, and what to
//! do when a command's keys live on several, is decided in `engine/home/dispatch.rs` from the row's [`handler::Handler`].
//! Never: does I/O, reads a clock, writes RESP2 or RESP3 itself (a handler returns a [`Reply`] or uses `Writer`).

pub mod admin;
pub mod bit_op;
pub mod bitfield;
pub mod bits;
pub mod client;
pub mod client_tracking;
pub mod cluster_scan;
pub mod condition;
pub mod connection;
pub mod context;
pub mod counter;
pub mod docs;
pub mod dump;
pub mod errors;
pub mod expiry;
pub mod facts;
pub mod glob;
pub mod growth;
pub mod handler;
pub mod hotkeys;
pub mod increx;
pub mod keyspace;
pub mod lcs;
pub mod long_double;
pub mod lookup;
pub mod notify;
pub mod object;
pub mod operator;
pub mod output_limit;
pub mod pubsub;
pub mod range;
mod rdb;
pub mod reply;
pub mod settings;
pub mod several;
pub mod snapshot;
pub mod string;
pub mod subcommand;
pub mod table;
pub mod task;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod tracking;

pub use client::Client;
pub use context::Call;
pub use errors::Error;
pub use reply::Reply;
