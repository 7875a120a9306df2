//! Record: what one lane measured: latencies by kind, hits and misses, errors. Records of lanes add up.
//!
//! Owner: a lane, until it hands the record over. Cost: a bucket and a few additions an operation; 300 KiB for each kind
//! that occurs, of which a run touches a few pages. Never: reads a clock, allocates for a kind that occurred before.
//! Latencies are nanoseconds with three digits; longer ones than `BENCH_LATENCY_NS_MAX` count as that.

use std::ops::AddAssign;

use hdrhistogram::Histogram;

use super::wire::{Fault, Outcome, excerpt};
use super::workload::{KINDS, Kind};
use crate::limits::BENCH_LATENCY_NS_MAX;

/// The counts of one kind.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The latencies of all answered operations, in nanoseconds. Allocated for the first one.
    pub latency: Option<Box<Histogram<u64>>>,
    /// Failed operations: an error, an unexpected reply, a wrong value, or no reply.
    pub errors: u64,
}

/// What one lane measured, or several together.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The counts of each kind.
    pub kinds: [Counted; KINDS],
    /// Keys whose values were read.
    pub hits: u64,
    /// Keys that had no value.
    pub misses: u64,
    /// Wrong or missing values, which are errors too.
    pub verify_failures: u64,
    /// Operations without a reply, which are errors too.
    pub unanswered: u64,
    /// The number of lost connections.
    pub connections_lost: u64,
    /// Operations that were due and never sent, as the server had not answered earlier ones.
    pub unsent: u64,
    /// The time of the last counted reply, in nanoseconds of the lanes' clock.
    pub last_reply_ns: u64,
    /// The CPU time of the lane in the measured part.
    pub cpu_ns: u64,
    /// The first failure, in words.
    pub first_fault: Option<String>,
}

/// An empty histogram of latencies.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, BENCH_LATENCY_NS_MAX, 3).expect("constant bounds that fit")
}

impl Record {
    /// Counts a reply at `now_ns`, `latency_ns` after the operation was due.
    #[inline]
    pub fn reply(&mut self, kind: Kind, latency_ns: u64, now_ns: u64, outcome: Outcome<'_>) {
        let counted = &mut self.kinds[kind as usize];
        counted.latency.get_or_insert_with(|| Box::new(latencies())).saturating_record(latency_ns.max(1));
        self.hits += u64::from(outcome.hits);
        self.misses += u64::from(outcome.misses);
        self.last_reply_ns = now_ns;
        if let Some(fault) = outcome.fault {
            self.fault(kind, fault);
        }
    }

    #[cold]
    fn fault(&mut self, kind: Kind, fault: Fault<'_>) {
        self.kinds[kind as usize].errors += 1;
        let name = kind.name();
        let text = match fault {
            Fault::Error(text) => format!("{name} was answered: {}", excerpt(text)),
            Fault::Strange => format!("{name} got a reply of another type"),
            Fault::Wrong => {
                self.verify_failures += 1;
                format!("{name} returned a value that is not the key's")
            }
            Fault::Missing => {
                self.verify_failures += 1;
                format!("{name} found no value where there must be one")
            }
        };
        self.first_fault.get_or_insert(text);
    }

    /// Counts an operation that will not be answered, with the reason.
    pub fn unanswered(&mut self, kind: Kind, why: &str) {
        self.kinds[kind as usize].errors += 1;
        self.unanswered += 1;
        self.lost_to(why);
    }

    /// Counts a lost connection, with the reason.
    pub fn lost_to(&mut self, why: &str) {
        if self.first_fault.is_none() {
            self.first_fault = Some(why.to_owned());
        }
    }

    /// The number of answered operations.
    pub fn answered(&self) -> u64 {
        self.kinds.iter().filter_map(|counted| counted.latency.as_ref()).map(|latency| latency.len()).sum()
    }

    /// The number of failed operations.
    pub fn errors(&self) -> u64 {
        self.kinds.iter().map(|counted| counted.errors).sum()
    }

    /// The latencies of all kinds together.
    pub fn all(&self) -> Histogram<u64> {
        let mut all = latencies();
        for latency in self.kinds.iter().filter_map(|counted| counted.latency.as_ref()) {
            all += latency.as_ref();
        }
        all
    }
}

impl AddAssign for Record {
    fn add_assign(&mut self, other: Record) {
        for (own, other) in self.kinds.iter_mut().zip(other.kinds) {
            match (&mut own.latency, other.latency) {
                (Some(own), Some(other)) => **own += other.as_ref(),
                (own @ None, other) => *own = other,
                (Some(_), None) => {}
            }
            own.errors += other.errors;
        }
        self.hits += other.hits;
        self.misses += other.misses;
        self.verify_failures += other.verify_failures;
        self.unanswered += other.unanswered;
        self.connections_lost += other.connections_lost;
        self.unsent += other.unsent;
        self.last_reply_ns = self.last_reply_ns.max(other.last_reply_ns);
        self.cpu_ns += other.cpu_ns;
        self.first_fault = self.first_fault.take().or(other.first_fault);
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
