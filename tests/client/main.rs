//! The clients of this crate against the real binary. Each module is named by the property it checks.
//!
//! | file | what belongs there |
//! |---|---|
//! | `bad_network` | what holds while connections are cut, delayed, half-closed, and servers restart |
//! | `blocking` | every method and error of the blocking client |
//! | `cores` | core ports: no hop, and other cores after a restart |
//! | `methods` | every method and error of the asynchronous client |
//! | `proxy` | the bad network |
//!
//! No test asserts a time: there are only deadlines, long enough that passing one is a hang.
#![cfg(all(feature = "client", feature = "server"))]
#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]
#![expect(clippy::disallowed_methods, reason = "deadlines, client threads and polling of another process")]

#[expect(dead_code, reason = "shared with the black-box tests, which need more of it")]
#[path = "../support/mod.rs"]
mod support;

mod bad_network;
mod blocking;
mod cores;
mod methods;
mod proxy;
