//! Telemetry: what one core counts and records of itself, and the texts that are made of what all cores have.
//!
//! Files: `counters` (every number, a row each), `stats`, `times`, `meter` (what commands took and how they
//! ended), `slowlog`, `latency`; `report` (what a core tells of itself), `info` and `metrics` (pages made of reports). Never: looks at a key, sends anything.

pub(super) mod counters;
pub(super) mod hot_keys;
pub(super) mod info;
pub(super) mod latency;
pub(super) mod meter;
pub mod metrics;
pub(super) mod report;
pub(super) mod slowlog;
pub(super) mod stats;
mod times;
