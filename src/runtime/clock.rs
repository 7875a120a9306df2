//! Clock: the only clock of the server. Core: each its own; the load generator's lanes are passed it. Cost: a vDSO call per
//! reading, two or three readings a turn and one a command.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One core's clock: unix time, which the engine gets as an argument, and monotonic time, for measurements.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(super) fn new() -> Clock {
        Clock { started: Instant::now() }
    }

    /// The unix time.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn unix(&self) -> Duration {
        // A clock that is set before 1970 counts as 1970.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// The unix time in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.unix().as_millis() as u64
    }

    /// The unix time in milliseconds, and the microseconds within.
    pub(super) fn now(&self) -> (u64, u32) {
        let unix = self.unix();
        (unix.as_millis() as u64, unix.subsec_micros() % 1000)
    }

    /// The monotonic time since this clock was created.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(super) fn elapsed(&self) -> Duration {
        Instant::now().duration_since(self.started)
    }
}

/// Monotonic nanoseconds since the first reading in this process, the same for all cores.
#[inline]
pub fn stopwatch_ns() -> u64 {
    // `Instant` would need a start to subtract, which doubles the price of a reading.
    reading_ns(rustix::time::ClockId::Monotonic)
}

/// Nanoseconds of CPU time that the calling thread has used. Cost: a system call.
pub fn thread_cpu_ns() -> u64 {
    reading_ns(rustix::time::ClockId::ThreadCPUTime)
}

#[inline]
fn reading_ns(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// A source of unpredictable numbers.
pub(super) struct Seeds {
    random: RandomState,
    drawn: u64,
}

/// Seeds from the randomness that the standard library asks the kernel for.
pub(super) fn random_seeds() -> Seeds {
    Seeds { random: RandomState::new(), drawn: 0 }
}

impl Seeds {
    /// The next number: SipHash of a counter under a random key.
    pub(super) fn next_u64(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(self.drawn);
        hasher.finish()
    }
}
