//! Pulse: the time at which each core last ticked, and whether it loads a snapshot, for threads that monitor the cores.
//!
//! A core beats at its ticks, so a beat costs one clock reading and two stores to a cache line of its own every 10 ms.
//! Never: read by a core, decides anything for one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::clock::stopwatch_ns;
use crate::slot::CoreId;

/// The pulse of one core, on a cache line of its own, since its core writes it.
#[derive(Debug)]
#[repr(align(64))]
struct Beat {
    at_ns: AtomicU64,
    loading: AtomicBool,
}

/// The pulses of all cores.
#[derive(Debug)]
pub(super) struct Pulse {
    beats: Vec<Beat>,
}

impl Pulse {
    /// The initial state: every core is alive, and loading.
    pub(super) fn new(cores: usize) -> Pulse {
        let beat = |_| Beat { at_ns: AtomicU64::new(stopwatch_ns()), loading: AtomicBool::new(true) };
        Pulse { beats: (0..cores).map(beat).collect() }
    }

    /// Records that a core has ticked.
    pub(super) fn beat(&self, core: CoreId, is_loading: bool) {
        let beat = &self.beats[usize::from(core.0)];
        beat.loading.store(is_loading, Ordering::Relaxed);
        // A reader that sees this time also sees the store before it.
        beat.at_ns.store(stopwatch_ns(), Ordering::Release);
    }

    /// A core that has been silent for `ms_max` milliseconds or longer, and for how long.
    pub(super) fn silent(&self, ms_max: u64) -> Option<(usize, u64)> {
        let now_ns = stopwatch_ns();
        let silent_ms = |beat: &Beat| now_ns.saturating_sub(beat.at_ns.load(Ordering::Acquire)) / 1_000_000;
        self.beats.iter().map(silent_ms).enumerate().find(|(_, ms)| *ms >= ms_max)
    }

    /// Whether any core loads a snapshot, or has not started.
    pub(super) fn is_loading(&self) -> bool {
        self.beats.iter().any(|beat| beat.loading.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SILENT_MS_MAX;

    #[test]
    fn a_core_loads_until_it_says_otherwise() {
        let pulse = Pulse::new(2);
        assert!(pulse.is_loading());
        pulse.beat(CoreId(0), false);
        assert!(pulse.is_loading());
        pulse.beat(CoreId(1), false);
        assert!(!pulse.is_loading());
        pulse.beat(CoreId(1), true);
        assert!(pulse.is_loading());
    }

    #[test]
    fn a_core_that_does_not_beat_is_named() {
        let pulse = Pulse::new(3);
        assert_eq!(pulse.silent(SILENT_MS_MAX), None);
        let long_ago = |core: usize, ns: u64| pulse.beats[core].at_ns.fetch_sub(ns, Ordering::Relaxed);
        long_ago(1, (SILENT_MS_MAX - 1_000) * 1_000_000);
        assert_eq!(pulse.silent(SILENT_MS_MAX), None);
        long_ago(2, SILENT_MS_MAX * 1_000_000);
        assert!(matches!(pulse.silent(SILENT_MS_MAX), Some((2, SILENT_MS_MAX..))));
        pulse.beat(CoreId(2), false);
        assert_eq!(pulse.silent(SILENT_MS_MAX), None);
    }
}
