//! The clock of the clients: deadlines of the blocking client, and the times at which events were received.
//!
//! The asynchronous client measures time by its runtime's timers instead.
#![expect(clippy::disallowed_methods, reason = "the client lives in processes of others, without the server's clock")]

use std::time::{Duration, Instant};

/// The time at which waiting ends; `None`: never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline of a timeout that begins now; `None` for never.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The time until the deadline: `Err` if it has passed, `Ok(None)` if there is none.
    pub(crate) fn left(self) -> Result<Option<Duration>, Passed> {
        let Some(end) = self.0 else { return Ok(None) };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Passed) } else { Ok(Some(left)) }
    }
}

/// The deadline has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed;

/// The current wall-clock time.
#[cfg(feature = "client")]
pub(crate) fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
