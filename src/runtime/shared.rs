//! Shared: the state that all cores and the threads beside them share.
//!
//! Touched by naps and batches, when a client connects or leaves, and at the end; never by a command.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::doorbell::Doorbells;
use super::pulse::Pulse;
use crate::limits::ITEMS_MAX_DEFAULT;
use crate::service::signals::Shutdown;

/// The state that all cores share.
pub(super) struct Shared {
    /// The number of clients connected to the process.
    pub(super) clients: AtomicU32,
    /// The number of cores that have answered everything after SIGTERM.
    pub(super) cores_drained: AtomicU32,
    /// Whether the last snapshot, if configured, was taken or has failed: all cores end.
    pub(super) is_over: AtomicBool,
    pub(super) save_failed: AtomicBool,
    /// Whether the first eviction is to be logged, since the bound is the default one.
    pub(super) warns_of_eviction: AtomicBool,
    /// The progress of the files thread, as a count of steps.
    pub(super) file_steps: AtomicU64,
    /// The timeout of a drain.
    pub(super) drain_timeout_ms: u64,
    pub(super) shutdown: Shutdown,
    pub(super) doorbells: Doorbells,
    pub(super) pulse: Pulse,
}

impl Shared {
    /// Admits a client, unless `max` are connected already.
    pub(super) fn admit(&self, max: u32) -> bool {
        if self.clients.fetch_add(1, Ordering::Relaxed) < max {
            return true;
        }
        self.leave();
        false
    }

    /// Whether a core that has evicted is to log it: the first one only, and only while the default bound is in force.
    pub(super) fn warn_of_eviction(&self, (items_max, bytes_max): (u64, u64)) -> bool {
        self.warns_of_eviction.load(Ordering::Relaxed)
            && self.warns_of_eviction.swap(false, Ordering::Relaxed)
            && (items_max, bytes_max) == (ITEMS_MAX_DEFAULT, u64::MAX)
    }

    /// Counts a client that has left.
    pub(super) fn leave(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }
}
