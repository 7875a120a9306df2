//! Aspine: an in-memory cache server for latency-critical Linux deployments.
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod command;
#[cfg(feature = "server")]
pub mod engine;
pub mod limits;
pub mod resp;
#[cfg(feature = "server")]
pub mod runtime;
#[cfg(feature = "server")]
pub mod shard;
