//! Histogram: recorded nanoseconds as Prometheus's cumulative buckets in seconds. Pure.
//!
//! The recorded times have two significant digits, so a time within one percent of a bound may count on its other side.
//! Invariant: the last bucket is the count.

use hdrhistogram::Histogram;

use super::page::Page;

/// Upper bounds in nanoseconds, and as `le` has them in seconds. A GET takes less than a microsecond, a snapshot's hold
/// milliseconds; in between, two or three bounds a decade are as fine as an alert needs.
const BOUNDS: [(u64, &str); 20] = [
    (250, "0.00000025"),
    (500, "0.0000005"),
    (1_000, "0.000001"),
    (2_500, "0.0000025"),
    (5_000, "0.000005"),
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (1_000_000_000, "1"),
];

/// How many times there were up to each bound, beyond the last, and their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Buckets {
    /// Not cumulative.
    counts: [u64; BOUNDS.len()],
    beyond: u64,
    ns: u64,
}

impl Buckets {
    /// Of times whose sum is known.
    pub(super) fn of_times(times: Option<&Histogram<u64>>, ns: u64) -> Buckets {
        let mut buckets = Buckets { ns, ..Buckets::default() };
        if let Some(times) = times {
            buckets.count(times);
        }
        buckets
    }

    /// Of times whose sum is that of the recorded ones.
    pub(super) fn of_turns(times: &Histogram<u64>) -> Buckets {
        let mut buckets = Buckets::default();
        buckets.ns = buckets.count(times);
        buckets
    }

    /// Counts in; returns the sum, as far as it was recorded.
    fn count(&mut self, times: &Histogram<u64>) -> u64 {
        let mut ns = 0_u64;
        for step in times.iter_recorded() {
            let (time_ns, count) = (step.value_iterated_to(), step.count_at_value());
            // The lowest of the times that are recorded as this one.
            let least_ns = times.lowest_equivalent(time_ns);
            match BOUNDS.iter().position(|(bound_ns, _)| least_ns <= *bound_ns) {
                Some(at) => self.counts[at] = self.counts[at].saturating_add(count),
                None => self.beyond = self.beyond.saturating_add(count),
            }
            ns = ns.saturating_add(times.median_equivalent(time_ns).saturating_mul(count));
        }
        ns
    }

    /// Counts in what others counted.
    pub(super) fn add(&mut self, other: &Buckets) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.saturating_add(count);
        }
        self.beyond = self.beyond.saturating_add(other.beyond);
        self.ns = self.ns.saturating_add(other.ns);
    }

    /// As samples of the open family.
    pub(super) fn write(&self, page: &mut Page, label: (&str, &str)) {
        let mut upto = 0_u64;
        for ((_, le), count) in BOUNDS.iter().zip(self.counts) {
            upto = upto.saturating_add(count);
            page.sample("_bucket", &[label, ("le", le)], upto);
        }
        upto = upto.saturating_add(self.beyond);
        page.sample("_bucket", &[label, ("le", "+Inf")], upto);
        page.sample("_sum", &[label], self.ns as f64 / 1e9);
        page.sample("_count", &[label], upto);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::telemetry::meter::command_histogram;

    #[test]
    fn bounds_are_what_they_say() {
        for (ns, le) in BOUNDS {
            assert_eq!((le.parse::<f64>().unwrap() * 1e9).round() as u64, ns);
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn every_time_is_in_its_bucket() {
        let mut times = command_histogram();
        // On a bound, above it by more than the recording tells apart, and past the last.
        for ns in [1, 250, 256, 1_000, 1_020, 2_500, 900_000_000, 1_000_000_000] {
            times.saturating_record(ns);
        }
        let buckets = Buckets::of_times(Some(&times), 42);
        let found: Vec<_> = buckets.counts.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(found, [(0, &2), (1, &1), (2, &1), (3, &2), (19, &2)]);
        assert_eq!((buckets.beyond, buckets.ns), (0, 42));
        let turns = Buckets::of_turns(&times);
        assert!(turns.ns.abs_diff(1_900_005_027) < 19_000_000, "{}", turns.ns);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(Buckets::of_turns(&command_histogram()), Buckets::default());
        assert_eq!(Buckets::of_times(None, 0), Buckets::default());
    }
}
