//! Load generator of `aspine bench`: a client of any RESP server and, by a small adapter, of memcached. It shares the
//! protocol with our server and nothing else.
//!
//! Owner: `cli::bench`, which passes in the clocks, the target, and the resource usage of the server's process.
//! Never: reads a clock by itself, prints, allocates for an operation in the steady state.
//!
//! | file | what |
//! |---|---|
//! | `options` | what a run is told: target, protocol, length, workload, clocks |
//! | `schedule` | when operations are sent: closed and open loop; which of them count. Pure |
//! | `workload`, `keys`, `random`, `trace` | what operations are: kinds, keys, values; or the accesses of a file. Pure |
//! | `wire` | encoding of requests, checks of replies. Pure |
//! | `record` | what a lane measured: histograms by kind. Pure |
//! | `report`, `hgrm`, `plot` | the output: text and JSON, percentile files, pictures |
//! | `socket`, `lane` | one connection; one thread with its own connections |
//! | `connect` | opening and greeting of connections |
//! | `run` | a run: start of the lanes, phases, samples of the server |

mod connect;
pub mod error;
pub(crate) mod hgrm;
pub mod keys;
mod lane;
mod options;
pub(crate) mod plot;
pub(crate) mod random;
pub mod record;
pub(crate) mod report;
mod run;
pub(crate) mod schedule;
mod socket;
pub mod trace;
pub mod wire;
pub mod workload;

pub use self::connect::ask_for_core_ports;
pub use self::error::BenchError;
pub use self::options::{Clocks, Length, Options, Target, Verify};
pub use self::run::{Loaded, Measured, Progress, ServerUsage, Watch, run};
