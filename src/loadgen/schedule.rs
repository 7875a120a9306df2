//! Schedule: when the next operation is to be sent, and when no more are. Pure; the lane says what time it is.
//!
//! Owner: a lane, which gives it all of one phase. Closed loop: whenever a connection has room. Open loop: at fixed times,
//! whatever the server does; an operation that could not be sent in time keeps its time, and its latency counts from it,
//! so that a stall is seen by all operations that fell into it and not by the one that was under way.
//! An operation counts if its time is in the measured part, that is from `measure_from_ns` on. Cost: closed a few
//! comparisons, open one 128-bit division an operation.

/// What the operations of one lane in one phase are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// When it begins. Times are nanoseconds of the lane's clock.
    begin_ns: u64,
    /// From when on operations count.
    measure_from_ns: u64,
    /// From when on there are no more.
    until_ns: Option<u64>,
    /// Operations that count and are still to come.
    left: Option<u64>,
    pace: Pace,
}

/// How operations follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Closed,
    Open {
        /// Operations a second of all lanes together.
        per_s: u64,
        /// This lane and how many there are: they take turns.
        lane: u64,
        lanes: u64,
        /// Operations sent.
        sent: u64,
    },
}

/// An open loop of all lanes together, as one of them sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Operations a second, of all lanes; at least 1.
    pub per_s: u64,
    /// This lane.
    pub lane: u64,
    /// How many there are.
    pub lanes: u64,
}

/// What ends a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// This long after the measured part began.
    AfterNs(u64),
    /// So many operations of this lane that count.
    AfterOperations(u64),
}

/// What there is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An operation whose time is this: now or earlier.
    Due(u64),
    /// Nothing before this time.
    At(u64),
    /// Nothing any more.
    Over,
}

impl Schedule {
    /// A phase that begins at `begin_ns` and warms up for `warmup_ns`.
    pub fn new(begin_ns: u64, warmup_ns: u64, stop: Stop, rate: Option<Rate>) -> Schedule {
        let measure_from_ns = begin_ns + warmup_ns;
        let (until_ns, left) = match stop {
            Stop::AfterNs(after) => (Some(measure_from_ns.saturating_add(after)), None),
            Stop::AfterOperations(count) => (None, Some(count)),
        };
        let pace = rate.map_or(Pace::Closed, |Rate { per_s, lane, lanes }| Pace::Open { per_s, lane, lanes, sent: 0 });
        Schedule { begin_ns, measure_from_ns, until_ns, left, pace }
    }

    /// Whether operations come at their own times.
    pub fn is_open(&self) -> bool {
        self.pace != Pace::Closed
    }

    /// From when on operations count.
    pub fn measure_from_ns(&self) -> u64 {
        self.measure_from_ns
    }

    /// When the last operation is due, if time decides that.
    pub fn until_ns(&self) -> Option<u64> {
        self.until_ns
    }

    /// What there is to send now. Stays due until it was `take`n.
    #[inline]
    pub fn next(&self, now_ns: u64) -> Next {
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

    /// The operation due at `at_ns` is sent.
    #[inline]
    pub fn take(&mut self, at_ns: u64) {
        if let Pace::Open { sent, .. } = &mut self.pace {
            *sent += 1;
        }
        if let Some(left) = &mut self.left
            && at_ns >= self.measure_from_ns
        {
            *left -= 1;
        }
    }

    /// Operations that were due before `now_ns` and have not been sent; none in a closed loop.
    pub fn behind(&self, now_ns: u64) -> u64 {
        let Pace::Open { per_s, lane, lanes, sent } = self.pace else { return 0 };
        let end_ns = self.until_ns.map_or(now_ns, |until| until.min(now_ns));
        let due = due_before(per_s, lane, lanes, end_ns.saturating_sub(self.begin_ns));
        let behind = due.saturating_sub(sent);
        self.left.map_or(behind, |left| left.min(behind))
    }
}

const NS_PER_S: u128 = 1_000_000_000;

/// When the `number`th operation of a lane is due: the lanes take turns at the common rate.
#[inline]
fn due_after_ns(per_s: u64, lane: u64, lanes: u64, number: u64) -> u64 {
    let all = u128::from(number) * u128::from(lanes) + u128::from(lane);
    (all * NS_PER_S / u128::from(per_s)) as u64
}

/// How many operations of a lane are due before this long after the begin.
fn due_before(per_s: u64, lane: u64, lanes: u64, after_ns: u64) -> u64 {
    // The first number whose time is not before: number * lanes + lane >= after * per_s / 1e9, rounded up.
    let all = (u128::from(after_ns) * u128::from(per_s)).div_ceil(NS_PER_S);
    let number = all.saturating_sub(u128::from(lane)).div_ceil(u128::from(lanes)) as u64;
    // Times are rounded down, so the last one before may be one more.
    let one_more = due_after_ns(per_s, lane, lanes, number) < after_ns;
    number + u64::from(one_more)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
