//! Merge: lines of all cores in the order of their time. Core: one whose clients watch.
//!
//! A line leaves when every core has said that it has none that is older, or when it has waited for that for
//! `MONITOR_WAIT_MS`, or when too many wait. Each core's own lines are in order.

use std::collections::VecDeque;

use crate::engine::link::message::Lines;
use crate::limits::{MONITOR_LINES_BYTES_MAX, MONITOR_WAIT_MS};
use crate::slot::CoreId;

/// The lines of one core that have not left.
#[derive(Debug, Default)]
struct Source {
    batches: VecDeque<Arrived>,
    /// The next line of the first batch, and where its text begins.
    next: usize,
    text_at: usize,
    /// The core has no line of an earlier time that is not here.
    upto_ns: u64,
}

#[derive(Debug)]
struct Arrived {
    lines: Lines,
    /// The time of arrival, as `Env::awake_ms` counts.
    at_ms: u64,
}

impl Source {
    /// The time of the next line, and when it came.
    fn head(&self) -> Option<(u64, u64)> {
        let arrived = self.batches.front()?;
        arrived.lines.heads.get(self.next).map(|(at_ns, _)| (*at_ns, arrived.at_ms))
    }
}

/// The lines of all cores. Filled by batches, drained as soon as each may leave; bounded by what comes in
/// `MONITOR_WAIT_MS`, and past `MONITOR_LINES_BYTES_MAX` nothing waits.
#[derive(Debug)]
pub(super) struct Merge {
    sources: Vec<Source>,
    bytes: usize,
}

impl Merge {
    pub(super) fn new(cores: u16) -> Merge {
        Merge { sources: (0..cores).map(|_| Source::default()).collect(), bytes: 0 }
    }

    /// Lines of a core have come. They are later than those that came before.
    pub(super) fn add(&mut self, from: CoreId, lines: Lines, at_ms: u64) {
        let source = &mut self.sources[usize::from(from.0)];
        source.upto_ns = lines.upto_ns;
        if !lines.heads.is_empty() {
            self.bytes += lines.text.len();
            source.batches.push_back(Arrived { lines, at_ms });
        }
    }

    /// Hands the next line that may leave, and its time, to `take`. False if there is none.
    pub(super) fn next(&mut self, now_ms: u64, take: impl FnOnce(u64, &[u8])) -> bool {
        let known_ns = self.sources.iter().map(|source| source.upto_ns).min().unwrap_or(0);
        let heads = self.sources.iter().enumerate();
        let first = heads.filter_map(|(at, source)| source.head().map(|head| (head, at))).min();
        let Some(((at_ns, came_ms), at)) = first else { return false };
        let waited = came_ms.saturating_add(MONITOR_WAIT_MS) <= now_ms;
        if at_ns > known_ns && !waited && self.bytes <= MONITOR_LINES_BYTES_MAX {
            return false;
        }
        let source = &mut self.sources[at];
        let Some(arrived) = source.batches.front() else { return false };
        let len = arrived.lines.heads[source.next].1 as usize;
        take(at_ns, &arrived.lines.text[source.text_at..source.text_at + len]);
        self.bytes -= len;
        source.next += 1;
        source.text_at += len;
        if source.next == arrived.lines.heads.len() {
            source.batches.pop_front();
            (source.next, source.text_at) = (0, 0);
        }
        true
    }

    /// Bytes that wait.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything: nobody watches.
    pub(super) fn clear(&mut self) {
        self.sources.fill_with(Source::default);
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(upto_ns: u64, all: &[(u64, &str)]) -> Lines {
        let mut lines = Lines { upto_ns, ..Lines::default() };
        all.iter().for_each(|(at_ns, text)| lines.add(*at_ns, |bytes| bytes.extend_from_slice(text.as_bytes())));
        lines
    }

    fn left(merge: &mut Merge, now_ms: u64) -> String {
        let mut all = Vec::new();
        while merge.next(now_ms, |_, text| all.extend_from_slice(text)) {}
        String::from_utf8(all).expect("text")
    }

    #[test]
    fn lines_leave_when_no_core_can_have_an_older_one() {
        let mut merge = Merge::new(3);
        merge.add(CoreId(0), lines(10, &[(1, "a"), (6, "d"), (9, "g")]), 0);
        merge.add(CoreId(1), lines(7, &[(2, "b"), (7, "e")]), 0);
        assert_eq!(left(&mut merge, 0), "", "nothing is known of the third");
        merge.add(CoreId(2), lines(8, &[(3, "c"), (8, "f")]), 0);
        assert_eq!(left(&mut merge, 0), "abcde");
        merge.add(CoreId(1), lines(20, &[]), 0);
        assert_eq!(left(&mut merge, 0), "f");
        merge.add(CoreId(2), lines(20, &[]), 0);
        assert_eq!(left(&mut merge, 0), "g");
    }

    #[test]
    fn a_core_that_says_nothing_is_waited_for_so_long() {
        let mut merge = Merge::new(2);
        merge.add(CoreId(0), lines(5, &[(4, "a")]), 100);
        assert_eq!(left(&mut merge, 99 + MONITOR_WAIT_MS), "");
        assert_eq!(left(&mut merge, 100 + MONITOR_WAIT_MS), "a");
        merge.add(CoreId(1), lines(5, &[(3, "late")]), 200);
        assert_eq!(left(&mut merge, 200), "late");
        let long = "x".repeat(MONITOR_LINES_BYTES_MAX);
        merge.add(CoreId(0), lines(9, &[(7, &long), (8, "b")]), 200);
        assert_eq!(left(&mut merge, 200).len(), long.len(), "too many do not wait");
        merge.clear();
        assert_eq!(left(&mut merge, u64::MAX), "");
    }
}
