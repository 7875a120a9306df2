//! The lock of what tasks share.
//!
//! It is held for moves and appends alone, never while anything waits, so that a lock that spins and parks is the
//! cheapest there is.

use std::sync::{MutexGuard, PoisonError};

/// A value that tasks of several threads use.
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "tasks run on any thread; the rule is for the server's cores")]
pub(super) struct Lock<T>(std::sync::Mutex<T>);

impl<T> Lock<T> {
    #[expect(clippy::disallowed_types, reason = "as above")]
    pub(super) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Waits for the lock. A panic of another holder is no reason for one here: what is locked is whole between any two
    /// statements that can panic.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
