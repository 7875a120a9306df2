//! Schedule: the times at which a lane's operations are due, and the end of a phase. Pure; time is an argument.
//!
//! Owner: a lane, for one phase. Closed loop: an operation is due whenever a connection has room. Open loop: operations are
//! due at fixed times, whatever the server does. An operation that is sent late keeps its due time, and its latency counts
//! from then, so that a stall is seen by all operations that were due in it (no coordinated omission).
//! An operation counts if it is due in the measured part, that is from `measure_from_ns` on. Cost: closed a few
//! comparisons, open one 128-bit division an operation.

/// The schedule of one lane in one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// The begin of the phase. All times are nanoseconds of the lane's clock.
    begin_ns: u64,
    /// The begin of the measured part.
    measure_from_ns: u64,
    /// The end of the phase, if time decides it.
    until_ns: Option<u64>,
    /// The number of counted operations that are still to be sent, if a number decides the end.
    left: Option<u64>,
    pace: Pace,
}

/// The pace of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Closed,
    Open {
        /// The rate of all lanes together, in operations a second.
        per_s: u64,
        /// The number of this lane, and the number of lanes, which take turns.
        lane: u64,
        lanes: u64,
        /// The number of operations sent.
        sent: u64,
    },
}

/// The rate of an open loop, as one lane sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The rate of all lanes together, in operations a second; at least 1.
    pub per_s: u64,
    /// The number of this lane.
    pub lane: u64,
    /// The number of lanes.
    pub lanes: u64,
}

/// The end of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The phase ends this long after the measured part began.
    AfterNs(u64),
    /// The phase ends after this many counted operations of the lane.
    AfterOperations(u64),
}

/// The next operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// An operation is due, at this time: now or earlier.
    Due(u64),
    /// No operation is due before this time.
    At(u64),
    /// The phase is over.
    Over,
}

impl Schedule {
    /// The schedule of a phase that begins at `begin_ns` and warms up for `warmup_ns`.
    pub(crate) fn new(begin_ns: u64, warmup_ns: u64, stop: Stop, rate: Option<Rate>) -> Schedule {
        let measure_from_ns = begin_ns + warmup_ns;
        let (until_ns, left) = match stop {
            Stop::AfterNs(after) => (Some(measure_from_ns.saturating_add(after)), None),
            Stop::AfterOperations(count) => (None, Some(count)),
        };
        let pace = rate.map_or(Pace::Closed, |Rate { per_s, lane, lanes }| Pace::Open { per_s, lane, lanes, sent: 0 });
        Schedule { begin_ns, measure_from_ns, until_ns, left, pace }
    }

    /// Whether this is an open loop.
    pub(crate) fn is_open(&self) -> bool {
        self.pace != Pace::Closed
    }

    /// The begin of the measured part.
    pub(crate) fn measure_from_ns(&self) -> u64 {
        self.measure_from_ns
    }

    /// The end of the phase, if time decides it.
    pub(crate) fn until_ns(&self) -> Option<u64> {
        self.until_ns
    }

    /// The next operation. It stays due until it is `take`n.
    #[inline]
    pub(crate) fn next(&self, now_ns: u64) -> Next {
        let at_ns = match self.pace {
            Pace::Closed => now_ns.max(self.begin_ns),
            Pace::Open { per_s, lane, lanes, sent } => self.begin_ns + due_after_ns(per_s, lane, lanes, sent),
        };
        if self.until_ns.is_some_and(|until| at_ns >= until) || self.left == Some(0) {
            Next::Over
        } else if at_ns > now_ns {
            Next::At(at_ns)
        } else {
            Next::Due(at_ns)
        }
    }

    /// Takes the operation that is due at `at_ns`.
    #[inline]
    pub(crate) fn take(&mut self, at_ns: u64) {
        if let Pace::Open { sent, .. } = &mut self.pace {
            *sent += 1;
        }
        if let Some(left) = &mut self.left
            && at_ns >= self.measure_from_ns
        {
            *left -= 1;
        }
    }

    /// The number of operations that were due before `now_ns` and were not sent; 0 in a closed loop.
    pub(crate) fn behind(&self, now_ns: u64) -> u64 {
        let Pace::Open { per_s, lane, lanes, sent } = self.pace else { return 0 };
        let end_ns = self.until_ns.map_or(now_ns, |until| until.min(now_ns));
        let due = due_before(per_s, lane, lanes, end_ns.saturating_sub(self.begin_ns));
        let behind = due.saturating_sub(sent);
        self.left.map_or(behind, |left| left.min(behind))
    }
}

const NS_PER_S: u128 = 1_000_000_000;

/// The time at which the `number`th operation of a lane is due: the lanes take turns at the common rate.
#[inline]
fn due_after_ns(per_s: u64, lane: u64, lanes: u64, number: u64) -> u64 {
    let all = u128::from(number) * u128::from(lanes) + u128::from(lane);
    (all * NS_PER_S / u128::from(per_s)) as u64
}

/// The number of a lane's operations that are due before `after_ns` after the begin.
fn due_before(per_s: u64, lane: u64, lanes: u64, after_ns: u64) -> u64 {
    // The first number that is not due before: number * lanes + lane >= after * per_s / 1e9, rounded up.
    let all = (u128::from(after_ns) * u128::from(per_s)).div_ceil(NS_PER_S);
    let number = all.saturating_sub(u128::from(lane)).div_ceil(u128::from(lanes)) as u64;
    // Times are rounded down, so one more operation may be due before.
    let one_more = due_after_ns(per_s, lane, lanes, number) < after_ns;
    number + u64::from(one_more)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
