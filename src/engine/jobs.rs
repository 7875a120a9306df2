//! Jobs: long work in slices, so that no turn takes long. Core: the shard's. Now walks over keys alone: KEYS, and the
//! keys of a slot.
//!
//! Filled by `every`; drained a step at a time by `on_slice`, round robin; bounded by the sessions that may each have
//! one under way.

use crate::command::glob;
use crate::engine::Engine;
use crate::engine::batch::Ticket;
use crate::engine::gather::GatherId;
use crate::engine::route::{CoreId, Slot};
use crate::limits::SLICE_STEPS;
use crate::resp::{Proto, Writer};

/// Who waits for a part.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A gather of this core.
    Here(GatherId),
    /// Another core.
    Peer {
        /// Which.
        core: CoreId,
        /// Its ticket.
        ticket: Ticket,
    },
}

/// A walk under way.
#[derive(Debug)]
pub(super) struct Job {
    wanted: Wanted,
    /// Ends the walk when so many are found; `None` only counts, to the end.
    count_max: Option<u64>,
    proto: Proto,
    origin: Origin,
    position: u32,
    count: u64,
    /// Eight bytes for the count, then the encoded keys.
    out: Vec<u8>,
}

/// Which keys a walk looks for.
#[derive(Debug)]
enum Wanted {
    Every,
    Pattern(Vec<u8>),
    Slot(Slot),
}

impl Wanted {
    fn has(&self, key: &[u8]) -> bool {
        match self {
            Wanted::Every => true,
            Wanted::Pattern(pattern) => glob::matches(pattern, key),
            Wanted::Slot(slot) => Slot::of(key) == *slot,
        }
    }
}

impl Job {
    /// All keys that match a pattern.
    pub(super) fn keys(pattern: &[u8], proto: Proto, origin: Origin) -> Job {
        let wanted = if pattern == b"*" { Wanted::Every } else { Wanted::Pattern(pattern.to_vec()) };
        Job::new(wanted, Some(u64::MAX), proto, origin)
    }

    /// At most so many keys of a slot, or their number.
    pub(super) fn of_slot(slot: Slot, count_max: Option<u64>, proto: Proto, origin: Origin) -> Job {
        Job::new(Wanted::Slot(slot), count_max, proto, origin)
    }

    fn new(wanted: Wanted, count_max: Option<u64>, proto: Proto, origin: Origin) -> Job {
        Job { wanted, count_max, proto, origin, position: 0, count: 0, out: vec![0; 8] }
    }

    fn has_enough(&self) -> bool {
        self.count_max.is_some_and(|max| self.count >= max)
    }
}

impl Engine {
    /// One step of the job whose turn it is.
    pub(super) fn step_job(&mut self, now_ms: u64) {
        let Some(mut job) = self.jobs.pop_front() else { return };
        let next = self.shard.scan(job.position, SLICE_STEPS, now_ms, &mut |key, _item| {
            if job.has_enough() || !job.wanted.has(key) {
                return;
            }
            job.count += 1;
            if job.count_max.is_some() {
                Writer::new(&mut job.out, job.proto).bulk(key);
            }
        });
        match next {
            Some(position) if !job.has_enough() => {
                job.position = position;
                self.jobs.push_back(job);
            }
            _ => {
                job.out[..8].copy_from_slice(&job.count.to_le_bytes());
                if let Some(id) = self.finish_part(job.origin, &job.out, now_ms) {
                    self.run_input(id, now_ms);
                }
            }
        }
    }
}
