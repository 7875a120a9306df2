//! Times: how often something took how long, to two significant digits. Core: its own.
//!
//! The buckets are those of HdrHistogram with two digits (Gil Tene): every time below 256 ns has a bucket of its own, and
//! each doubling from there on has 128. Recording is on the path of every command, so it counts and does nothing else;
//! whoever reads takes a copy as a [`Histogram`]. Cost: 24 KiB up to a second.

use hdrhistogram::Histogram;

/// Times below this have a bucket each.
const FINE: u64 = 256;
/// Buckets of each doubling of the time from there on.
const BUCKETS_OF_A_DOUBLING: usize = FINE as usize / 2;

/// Counts of times by their length.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Times {
    counts: Box<[u64]>,
    ns_max: u64,
}

impl Times {
    /// No times yet; those longer than `ns_max` will count as that.
    pub(in crate::engine) fn new(ns_max: u64) -> Times {
        Times { counts: vec![0; bucket(ns_max) + 1].into_boxed_slice(), ns_max }
    }

    /// One time.
    #[inline]
    pub(in crate::engine) fn record(&mut self, ns: u64) {
        // The bound that the compiler checks is the length, which the greatest time does not exceed.
        if let Some(count) = self.counts.get_mut(bucket(ns.min(self.ns_max))) {
            *count += 1;
        }
    }

    /// The times with more that can be asked of them.
    pub(in crate::engine) fn histogram(&self) -> Histogram<u64> {
        let mut histogram = histogram(self.ns_max);
        for (at, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            histogram.saturating_record_n(least_ns(at), *count);
        }
        histogram
    }
}

/// An empty histogram of times up to a bound, with two significant digits.
pub(in crate::engine) fn histogram(ns_max: u64) -> Histogram<u64> {
    Histogram::new_with_bounds(1, ns_max, 2).expect("bounds that fit")
}

/// The bucket of a time.
#[inline]
fn bucket(ns: u64) -> usize {
    let doublings = FINE.leading_zeros() + 1 - (ns | (FINE - 1)).leading_zeros();
    doublings as usize * BUCKETS_OF_A_DOUBLING + (ns >> doublings) as usize
}

/// The least time of a bucket.
fn least_ns(bucket: usize) -> u64 {
    let doublings = (bucket / BUCKETS_OF_A_DOUBLING).saturating_sub(1);
    ((bucket - doublings * BUCKETS_OF_A_DOUBLING) as u64) << doublings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::COMMAND_NS_MAX;

    #[test]
    fn buckets_are_those_of_hdr_histogram() {
        let model = histogram(COMMAND_NS_MAX);
        let edges = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, (1 << bit) + (1 << bit) / 3]);
        for ns in edges.chain(0..2_000).filter(|ns| *ns <= COMMAND_NS_MAX) {
            let least = least_ns(bucket(ns));
            assert_eq!(least, model.lowest_equivalent(ns), "{ns} ns");
            assert_eq!(bucket(least), bucket(ns), "{ns} ns");
        }
    }

    #[test]
    fn what_is_recorded_is_read() {
        let mut times = Times::new(COMMAND_NS_MAX);
        let mut model = histogram(COMMAND_NS_MAX);
        for ns in [0, 1, 255, 256, 257, 511, 512, 1_000, 70_000, COMMAND_NS_MAX, COMMAND_NS_MAX + 1, u64::MAX] {
            times.record(ns);
            model.saturating_record(ns);
        }
        assert_eq!(times.histogram(), model);
    }
}
