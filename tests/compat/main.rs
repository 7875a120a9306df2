//! Compat: clients of others, unmodified and with their defaults, on servers of one and two cores, with and without an
//! auth key. Each does strings, expiry, pipelines, a scan and transactions.
//!
//! | file | client |
//! |---|---|
//! | `clusters` | cluster clients, to which each core is a node: redis-py, ioredis, redis-rs |
//! | `redis_rs` | redis-rs: blocking, multiplexed on tokio, and its connection manager |
//! | `fred` | fred, on tokio |
//! | `scripts` | redis-py (`redis_py.py`, `redis_py_asyncio.py`), ioredis (`ioredis.mjs`), node-redis (`node_redis.mjs`); and Prometheus's parser (`prometheus.py`) |
//! | `caches` | caches and sessions for Python, Node, PHP and Ruby, each with two databases, beside redis-server |
//! | `exporters` | redis_exporter and collectd's plugin, beside redis-server |
//! | `tools` | redis-cli, redis-benchmark |
//! | `hints` | redis-cli at a terminal |
//! | `libraries` | the table of docs/clients.md |
//! | `generator` | the other way round: `aspine bench` on memcached and redis-server |
//!
//! What is not a crate has to be installed: without it its tests say how and pass, unless `ASPINE_REQUIRE_CLIENTS=1`, as in CI,
//! makes that a failure.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]
#![expect(clippy::disallowed_methods, reason = "deadlines and polling of another process")]

#[expect(dead_code, reason = "shared with the black-box tests, which use more of it")]
#[path = "../support/mod.rs"]
mod support;

mod caches;
mod clusters;
mod exporters;
mod fred;
mod generator;
mod hints;
mod libraries;
mod redis_rs;
mod redis_rs_tracking;
mod scripts;
mod tools;

use support::server::{Server, Setup};

/// The auth key of the servers that have one. Without a space: fred sends HELLO as an inline command, and quotes nothing.
const KEY: &str = "the-key";

/// Runs `test` on servers of one and two cores, without and with an auth key.
fn on_every_server(test: impl Fn(&Server, Option<&str>)) {
    on_servers(&[], test);
}

/// The same, with more flags.
fn on_servers(flags: &[&str], test: impl Fn(&Server, Option<&str>)) {
    for cores in [1, 2] {
        for key in [None, Some(KEY)] {
            let mut flags = [&["--max-memory", "1gb"], flags].concat();
            flags.extend(key.iter().flat_map(|key| ["--authkey", *key]));
            test(&Setup::new(cores, &flags).unix().start(), key);
        }
    }
}

/// Handles the absence of `what`, which `how` installs: fails if clients are required, else says so.
#[track_caller]
fn left_out(what: &str, how: &str) {
    let required = std::env::var("ASPINE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
    assert!(!required, "{what} is not there and ASPINE_REQUIRE_CLIENTS=1; {how}");
    eprintln!("left out: {what} is not there ({how})");
}

/// A runtime for the clients that are asynchronous.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
