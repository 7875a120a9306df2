//! Simulation: all cores of a server in one thread, under a seeded scheduler with virtual time.
//!
//! | file | what |
//! |---|---|
//! | `cluster` | the engines, joined by queues in place of the mesh |
//! | `world` | the scheduler: turns and sockets, time and faults, actors, snapshots on disks that fail |
//! | `workload`, `ops` | what a seed is like; what clients ask, and what replies may be |
//! | `actors` | clients of one kind, each with a model of its own: messages, near caches, nodes, pausers, savers, tenants, transfers, watchers |
//! | `client` | one connection as its user sees it: reply order and types |
//! | `checks`, `linear` | budgets after every turn; linearizability of every key |
//! | `marks` | the rare paths, counted |
//! | `bounds` | what random runs are too small to reach |
//! | `measures` | what is counted and logged of commands |
//! | `metrics` | the page of metrics |
//! | `canary` | planted bugs that must be found |
//! | `fanout` | publishers that say more than the cores take from one another |
//! | `keeping` | when a snapshot is taken, and when not |
//! | `seeds` | the runs |
//! | `volatile` | which items go where only those with a deadline may, on two cores |
//! | `watching` | what MONITOR shows, and what of it is lost |
//! | `writes_first` | a client that reads only when it has written everything |
//! | `wire` | the table of wire cases on the pure engine |
#![allow(unreachable_pub, reason = "a test binary exports nothing; `pub` says what other files use")]

mod actors;
mod bounds;
mod canary;
#[path = "../wire/cases.rs"]
mod cases;
mod checks;
mod client;
mod cluster;
mod fanout;
mod keeping;
mod linear;
mod marks;
mod measures;
mod metrics;
mod ops;
mod rng;
mod seeds;
mod volatile;
mod watching;
mod wire;
mod workload;
mod world;
mod writes_first;
