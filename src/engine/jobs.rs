//! Jobs: long work in slices, so that no turn takes long. Core: the shard's. Now KEYS alone.
//!
//! Filled by `every`; drained a step at a time by `on_slice`, round robin; bounded by the sessions that may each have
//! one under way.

use crate::command::glob;
use crate::engine::Engine;
use crate::engine::batch::Ticket;
use crate::engine::gather::GatherId;
use crate::engine::route::CoreId;
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

/// A KEYS under way.
#[derive(Debug)]
pub(super) struct Job {
    /// `None` matches everything.
    pattern: Option<Vec<u8>>,
    proto: Proto,
    origin: Origin,
    position: u32,
    count: u64,
    /// Eight bytes for the count, then the encoded keys.
    out: Vec<u8>,
}

impl Job {
    pub(super) fn keys(pattern: &[u8], proto: Proto, origin: Origin) -> Job {
        let pattern = (pattern != b"*").then(|| pattern.to_vec());
        Job { pattern, proto, origin, position: 0, count: 0, out: vec![0; 8] }
    }
}

impl Engine {
    /// One step of the job whose turn it is.
    pub(super) fn step_job(&mut self, now_ms: u64) {
        let Some(mut job) = self.jobs.pop_front() else { return };
        let (position, proto) = (job.position, job.proto);
        let Job { pattern, out, count, .. } = &mut job;
        let next = self.shard.scan(position, SLICE_STEPS, now_ms, &mut |key, _item| {
            if pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, key)) {
                Writer::new(out, proto).bulk(key);
                *count += 1;
            }
        });
        match next {
            Some(position) => {
                job.position = position;
                self.jobs.push_back(job);
            }
            None => {
                job.out[..8].copy_from_slice(&job.count.to_le_bytes());
                if let Some(id) = self.finish_part(job.origin, &job.out, now_ms) {
                    self.run_input(id, now_ms);
                }
            }
        }
    }
}
