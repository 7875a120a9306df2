//! Lock: the mutex of everything that tasks share.
//!
//! It is held for moves and appends alone, never across an await, so a lock that spins and parks is the cheapest one.

use std::sync::{MutexGuard, PoisonError};

/// A value that tasks on several threads share.
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "tasks run on any thread; the rule is for the server's cores")]
pub(super) struct Lock<T>(std::sync::Mutex<T>);

impl<T> Lock<T> {
    #[expect(clippy::disallowed_types, reason = "as above")]
    pub(super) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Acquires the lock. Poisoning is ignored: the value is consistent between any two statements that can panic.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
