//! The load generator as its users have it: `aspine bench` against servers that do exactly what a test wants.
//!
//! | file | what belongs there |
//! |---|---|
//! | `fake` | the server of these tests, which counts what it saw and can delay, lie, fail and vanish |
//! | `bench` | running `aspine bench`, and its report |
//! | `counts` | as many operations as asked, of the kinds asked, to where they belong |
//! | `latencies` | known delays appear where they must; open loop and closed |
//! | `replies` | wrong replies, errors, garbage |
//! | `ends` | servers that stall, close, refuse; ctrl-C |
//! | `files` | JSON, percentile files, pictures |
//! | `traces` | the accesses of a file in place of draws |
//! | `real` | Aspine itself: embedded, by Unix socket, with a key, with large values |
//!
//! No test asserts that something was fast: delays are only ever bounded from below.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]
#![expect(clippy::disallowed_methods, reason = "deadlines, threads of a server, and delays that are the test")]
#![expect(clippy::disallowed_types, reason = "the test's server shares one store among its connections")]

#[expect(dead_code, reason = "shared with the black-box tests, which use more of it")]
#[path = "../support/mod.rs"]
mod support;

mod bench;
mod counts;
mod ends;
mod fake;
mod files;
mod latencies;
mod real;
mod replies;
mod traces;
