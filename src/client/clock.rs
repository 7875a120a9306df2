//! The clock of the client: how long the blocking client still waits, and when an event was received.
//!
//! The asynchronous client measures time by its runtime's timers instead.
#![expect(clippy::disallowed_methods, reason = "the client lives in processes of others, without the server's clock")]

use std::time::{Duration, Instant};

/// When waiting ends, if ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// So far from now; `None` for never.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// What is left: `Err` if nothing is, `Ok(None)` if there is no end.
    pub(crate) fn left(self) -> Result<Option<Duration>, Passed> {
        let Some(end) = self.0 else { return Ok(None) };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Passed) } else { Ok(Some(left)) }
    }
}

/// The deadline has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed;

/// Now, as people have it.
#[cfg(feature = "client")]
pub(crate) fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
