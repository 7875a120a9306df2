//! Aspine is an in-memory cache server for latency-critical Linux deployments: one process, one pinned thread per
//! core, nothing shared between them, on io_uring, speaking the Redis protocol. This page is its
//! design; `docs/architecture/README.md` leads to a page for each idea of it.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | core | one pinned executor thread, numbered from 0 |
//! | slot | one of 16384 partitions of the key space: CRC16/XMODEM of the key, or of its `{hash tag}`, modulo 16384, as Redis Cluster defines it |
//! | shard | the private keyspace of one core: the contiguous range of slots it owns |
//! | engine | the logic of one core as a pure state machine; no I/O, no clock, no threads |
//! | owner | the part of an engine that does what is to be done for keys: the shard, requests of other cores; never sees a session |
//! | home | the part of an engine that does what is to be done for clients: sessions, the order of replies; never sees a shard |
//! | link | the part of an engine that says to other cores what is to be said |
//! | runtime | the shell around the engines: executors, sockets, channels, timers, files, signals |
//! | session | the protocol state of one client connection, kept by the core that accepted it, its home core |
//! | batch | what one engine sends another over the mesh |
//! | mesh | the channels that join every core to every other |
//! | ticket | the number by which the replies to a batch find the sessions that wait for them |
//! | entry | one item in a shard's slab |
//! | hold | the pause of a shard that a transaction takes, or a snapshot for one instant |
//! | turn | one pass of a core's loop: everything that is ready, then everything that leaves |
//! | round | one read of one connection: every complete command in it |
//!
//! # Shape
//!
//! ```text
//!  client bytes ─▶ runtime/transport ──▶ home/round ─▶ home/dispatch ─▶ owner ─▶ shard   (own slot: same call stack)
//!                                                           │
//!                                                           └─▶ link ─▶ runtime/mesh ─▶ peer's owner ─▶ shard
//!  client bytes ◀─ runtime/transport ◀── home/replies ◀──────────── replies, a batch back ◀───────┘
//! ```
//!
//! An engine is a function of (state, event, now). Events are bytes on a connection, a batch from a peer, a tick; it
//! collects effects: bytes to send, batches, connections to close. It never waits. Everything that can block or fail
//! outside the program is the runtime's. So the hot path is a plain call, without a task or an allocation per request,
//! and the whole server, all cores together, also runs inside one test thread under a seeded scheduler.
//!
//! # Rules
//!
//! 1. A key belongs to one shard; only its core touches it. No locks, no atomics on the hot path. What crosses cores
//!    travels by value, in batches.
//! 2. Core `slot * N / 16384` owns a slot: contiguous ranges. A client that knows them can reach the owner by its own port
//!    (`--core-ports`); any core still answers any key.
//! 3. A round parses every complete command, runs those whose keys are here, adds the others to the owners' batches.
//!    Batches leave when the turn ends: all connections that were ready together share one per peer. Replies leave in
//!    the order of the requests. A command that concerns the whole keyspace, or the session itself, waits for the
//!    session's earlier ones.
//! 4. In the steady state nothing is allocated but stored values. `tests/allocations.rs` counts.
//! 5. Nothing waits for a peer while holding up its own inbox; what does not fit a channel waits in an outbox; what a
//!    session may have outstanding is bounded ([`limits`]), and past that its socket is not read. While replies wait for
//!    their client to read, its requests are read on unrun.
//! 6. No turn does unbounded work: KEYS, FLUSHALL, expiry, eviction and snapshots go in slices.
//! 7. A transaction, or a command of several keys on several cores, holds their shards in core order, runs, releases. A
//!    held shard runs nothing else; what comes meanwhile waits.
//! 8. One clock reading a turn. Expiry is exact to it: an expired key is never returned.
//!
//! # Follow one GET
//!
//! | file | function | does |
//! |---|---|---|
//! | `src/runtime/transport/ring/mod.rs` | `on_received` | what one receive brought, handed to `Engine::on_bytes` |
//! | `src/engine/home/round.rs` | `run_keys` | parses every complete command, finds its row |
//! | `src/engine/home/dispatch.rs` | `run_key` | this core owns the key: a call, whose reply takes its place in the order; a peer does: a message |
//! | `src/engine/owner/mod.rs` | `run_key` | runs the handler on the shard and measures it; for what other cores ask and for special clients, `run` beside it |
//! | `src/command/string.rs` | `get` | arguments, one shard call, one reply value |
//! | `src/shard/mod.rs` | `get_value` | index, expiry against `now_ms`, recency, a borrowed value |
//!
//! The reply goes back the same way; `send` in `src/runtime/transport/ring/mod.rs` asks the kernel to send it.
//!
//! # Follow one GET to another core
//!
//! | core | file | function | does |
//! |---|---|---|---|
//! | home | `src/engine/home/dispatch.rs` | `send_whole` | holds a place in the session's order of replies |
//! | home | `src/engine/link/mod.rs` | `request` | frames the command in the turn's open batch for the owner |
//! | home | `src/engine/link/mod.rs` | `seal_all` | at the end of the turn: a ticket, under which the session waits |
//! | home | `src/runtime/mesh.rs` | `send_all` | hands the batch to the channel, and wakes the owner if it naps |
//! | owner | `src/runtime/mesh.rs` | `receive` | takes it from the channel, first in the owner's next turn |
//! | owner | `src/engine/mod.rs` | `on_batch` | into the inbox, from which batches run in their order |
//! | owner | `src/engine/owner/inbox.rs` | `run_requests` | runs each command by `Owner::run`, frames each reply; the replies are a batch back |
//! | owner | `src/command/string.rs` | `get` | the same handler, which can't tell that the request crossed cores |
//! | home | `src/engine/home/mod.rs` | `on_replies` | closes the ticket: each reply to the session that waits for it |
//! | home | `src/engine/home/replies.rs` | `fill` | the reply takes its place; all that are next in order may leave |
//!
//! # Modules
//!
//! | folder | what | may use |
//! |---|---|---|
//! | `src/limits.rs` | every number: unit, reason, what happens at it | |
//! | `src/resp` | the protocol: requests in, replies out | limits |
//! | `src/slot.rs` | slots of keys, and the cores that own them | limits |
//! | `src/persist` | snapshots as bytes, and what they ask of a disk | limits |
//! | `src/shard` | the keyspace of one core | limits, persist |
//! | `src/command` | the command table, and what each command means | resp, shard |
//! | `src/engine` | the logic of one core | command, resp, shard, slot |
//! | `src/config` | the settings of a server as values | command, engine |
//! | `src/host` | what the machine must grant, and what it counts of a process | config, engine |
//! | `src/service` | log, daemon, pid file, service manager, signals | config, host |
//! | `src/runtime` | glommio, sockets, channels | config, engine, host, service |
//! | `src/client` | the clients: for tokio, and one that waits | limits, resp, slot |
//! | `src/loadgen` | the load generator behind `aspine bench` | resp, slot |
//! | `src/cli` | the command line: what was typed | all |
//!
//! # Features
//!
//! `server` and `client` are on by default. `server`: everything but the asynchronous client, which is `client`; that one
//! alone pulls in neither glommio nor clap. `json`: values as JSON in the client. `blocking`: of the clients only the one
//! that waits. `verify`: whole-structure checks for simulation and fuzzing.

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "blocking")]
pub mod client;
#[cfg(feature = "server")]
pub mod command;
/// What clients without the server know of the commands.
#[cfg(all(feature = "blocking", not(feature = "server")))]
pub mod command {
    pub mod facts;
}
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod engine;
#[cfg(feature = "server")]
pub mod host;
pub mod limits;
#[cfg(feature = "server")]
pub mod loadgen;
#[cfg(feature = "server")]
pub mod persist;
pub mod resp;
#[cfg(feature = "server")]
pub mod runtime;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
pub mod shard;
pub mod slot;

#[cfg(feature = "client")]
pub use client::Client;
#[cfg(feature = "blocking")]
pub use client::blocking;
