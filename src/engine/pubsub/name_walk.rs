//! Name walks: PUBSUB CHANNELS and SHARDCHANNELS, in slices that count what is compared and copied. Core: each its own.
//!
//! Filled by those commands; drained a step at a time, round robin; bounded by the sessions that may each have one under
//! way. A name that has a subscriber all the time is seen once, though names move in their table: one that moves from what
//! is still to be seen to what has been is looked at when it moves.

use std::collections::VecDeque;

use crate::command::glob::Pattern;
use crate::engine::link::Links;
use crate::engine::link::message::{Answer, Origin};
use crate::engine::pubsub::channels::Entry;
use crate::limits::{GLOB_CHANNEL_STEPS_MAX, GLOB_STEP_SKIPPED_BYTES, SLICE_MATCH_STEPS, SLICE_STEPS};
use crate::resp::{Proto, Writer};

/// The walks over one kind of names, the next first.
#[derive(Debug, Default)]
pub(in crate::engine) struct NameWalks {
    queue: VecDeque<NameWalk>,
}

/// A walk under way.
#[derive(Debug)]
pub(in crate::engine) struct NameWalk {
    /// `None` takes every name.
    pattern: Option<Pattern>,
    proto: Proto,
    origin: Origin,
    /// The place of the table that is looked at next.
    at: usize,
    count: u64,
    /// The names, encoded.
    out: Vec<u8>,
}

impl NameWalk {
    pub(in crate::engine) fn new(pattern: Option<&[u8]>, proto: Proto, origin: Origin) -> NameWalk {
        NameWalk { pattern: pattern.map(Pattern::new), proto, origin, at: 0, count: 0, out: Vec::new() }
    }

    /// Takes a name if it is wanted. Returns the steps that took.
    fn visit(&mut self, entry: &Entry) -> u64 {
        let mut steps = 1;
        if !entry.owned {
            return steps;
        }
        if let Some(pattern) = &self.pattern {
            let matched = pattern.within(&entry.name, GLOB_CHANNEL_STEPS_MAX);
            steps += matched.steps;
            if !matched.matches {
                return steps;
            }
        }
        self.count += 1;
        Writer::new(&mut self.out, self.proto).bulk(&entry.name);
        steps + (entry.name.len() / GLOB_STEP_SKIPPED_BYTES) as u64
    }

    /// Looks at the next names. Returns whether there are more.
    fn go_on(&mut self, entries: &[Entry]) -> bool {
        let mut steps = 0;
        for _ in 0..SLICE_STEPS {
            let Some(entry) = entries.get(self.at) else { return false };
            self.at += 1;
            steps += self.visit(entry);
            if steps >= SLICE_MATCH_STEPS {
                break;
            }
        }
        self.at < entries.len()
    }
}

impl NameWalks {
    pub(in crate::engine) fn push(&mut self, walk: NameWalk) {
        self.queue.push_back(walk);
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// One step of the walk whose turn it is.
    pub(in crate::engine) fn step(&mut self, entries: &[Entry], links: &mut Links) {
        let Some(mut walk) = self.queue.pop_front() else { return };
        if walk.go_on(entries) {
            self.queue.push_back(walk);
        } else {
            let NameWalk { count, out: encoded, origin, .. } = walk;
            links.answer(origin, Answer::Keys { count, encoded });
        }
    }

    /// The last name has moved to a place that has become free.
    pub(in crate::engine) fn on_moved(&mut self, entry: &Entry, from: usize, to: usize) {
        for walk in &mut self.queue {
            if to < walk.at && walk.at <= from {
                walk.visit(entry);
            }
        }
    }
}

#[cfg(test)]
#[path = "name_walk_tests.rs"]
mod tests;
