//! Observe: everybody who wants to know that a key has changed, behind one branch. Core: the shard's own.
//!
//! Owner: `Shard`. `mutate` calls `note` once for every change of a key; who is told is decided here, what they make of
//! it in `watch` (WATCH) and `tracking` (CLIENT TRACKING). Cost: one comparison a change while nobody wants to know.
//! Invariant: `any` says whether one of them has somebody to tell.

use super::tracking::{Source, Tracking};
use super::watch::Watches;

/// All of them.
pub(super) struct Observers {
    any: bool,
    pub(super) watches: Watches,
    pub(super) tracking: Tracking,
}

impl Observers {
    pub(super) fn new(seeds: [u64; 4]) -> Observers {
        Observers { any: false, watches: Watches::new(seeds), tracking: Tracking::new(seeds) }
    }

    /// A key has changed.
    #[inline]
    pub(super) fn note(&mut self, key: &[u8], source: Source) {
        if self.any {
            self.tell(key, source);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell(&mut self, key: &[u8], source: Source) {
        self.watches.note(key);
        self.tracking.note(key, source);
        self.any = !self.watches.is_empty() || self.tracking.is_on();
    }

    /// Changes who wants to know what.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut Observers) -> R) -> R {
        let result = change(self);
        self.any = !self.watches.is_empty() || self.tracking.is_on();
        result
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        self.watches.verify();
        self.tracking.verify();
        assert_eq!(self.any, !self.watches.is_empty() || self.tracking.is_on());
    }
}
