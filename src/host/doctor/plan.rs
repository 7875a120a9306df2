//! Plan: the server that the host is examined for.

use crate::host::Needs;

/// The planned server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The cores and clients.
    pub needs: Needs,
    /// The CPU of each core.
    pub cpus: Vec<usize>,
    /// `--max-memory` in bytes, if it is given.
    pub bytes_max: Option<u64>,
    /// What is wrong with the requested cores, if anything; the plan then has all allowed CPUs.
    pub cores_error: Option<String>,
}
