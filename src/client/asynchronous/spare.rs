//! Spare: the exclusive connections that are not in use, a few kept for the next caller.

use std::sync::Arc;

use super::link::Link;
use super::lock::Lock;
use crate::limits::CLIENT_EXCLUSIVE_KEPT_MAX;

/// The exclusive connections that are not in use.
#[derive(Debug, Default)]
pub(super) struct Spare(Lock<Vec<Arc<Link>>>);

impl Spare {
    pub(super) fn close(&self) {
        self.0.lock().drain(..).for_each(|link| link.close());
    }

    /// Takes a connection that is up, and drops those that are not.
    pub(super) fn take(&self) -> Option<Arc<Link>> {
        let mut kept = self.0.lock();
        while let Some(link) = kept.pop() {
            if link.is_up() {
                return Some(link);
            }
        }
        None
    }

    pub(super) fn keep(&self, link: Arc<Link>) {
        let mut kept = self.0.lock();
        if kept.len() < CLIENT_EXCLUSIVE_KEPT_MAX {
            kept.push(link);
        } else {
            drop(kept);
            link.close();
        }
    }
}
