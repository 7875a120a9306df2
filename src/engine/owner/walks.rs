//! Walks: long work over the keys in slices, so that no turn takes long: KEYS, and the keys of a slot. Core: the shard's.
//!
//! Filled by commands of the whole process; drained a step at a time, round robin; bounded by the sessions that may each
//! have one under way.

use std::collections::VecDeque;

use crate::command::glob;
use crate::engine::env::Env;
use crate::engine::link::Links;
use crate::engine::link::message::{Answer, Origin};
use crate::limits::SLICE_STEPS;
use crate::resp::{Proto, Writer};
use crate::shard::Shard;
use crate::slot::Slot;

/// The walks of one core, the next first.
#[derive(Debug, Default)]
pub(in crate::engine) struct Walks {
    queue: VecDeque<Walk>,
}

impl Walks {
    pub(in crate::engine) fn push(&mut self, walk: Walk) {
        self.queue.push_back(walk);
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// A walk under way.
#[derive(Debug)]
pub(in crate::engine) struct Walk {
    wanted: Wanted,
    /// Ends the walk when so many are found; `None` only counts, to the end.
    count_max: Option<u64>,
    proto: Proto,
    origin: Origin,
    position: u32,
    count: u64,
    /// The keys, encoded.
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

impl Walk {
    /// All keys that match a pattern.
    pub(in crate::engine) fn keys(pattern: &[u8], proto: Proto, origin: Origin) -> Walk {
        let wanted = if pattern == b"*" { Wanted::Every } else { Wanted::Pattern(pattern.to_vec()) };
        Walk::new(wanted, Some(u64::MAX), proto, origin)
    }

    /// At most so many keys of a slot, or their number.
    pub(in crate::engine) fn of_slot(slot: Slot, count_max: Option<u64>, proto: Proto, origin: Origin) -> Walk {
        Walk::new(Wanted::Slot(slot), count_max, proto, origin)
    }

    fn new(wanted: Wanted, count_max: Option<u64>, proto: Proto, origin: Origin) -> Walk {
        Walk { wanted, count_max, proto, origin, position: 0, count: 0, out: Vec::new() }
    }

    fn has_enough(&self) -> bool {
        self.count_max.is_some_and(|max| self.count >= max)
    }
}

impl Walks {
    /// One step of the walk whose turn it is.
    pub(super) fn step(&mut self, shard: &Shard, env: &Env, links: &mut Links) {
        let Some(mut walk) = self.queue.pop_front() else { return };
        let next = shard.scan(walk.position, SLICE_STEPS, env.now_ms, &mut |key, _item| {
            if walk.has_enough() || !walk.wanted.has(key) {
                return;
            }
            walk.count += 1;
            if walk.count_max.is_some() {
                Writer::new(&mut walk.out, walk.proto).bulk(key);
            }
        });
        match next {
            Some(position) if !walk.has_enough() => {
                walk.position = position;
                self.queue.push_back(walk);
            }
            _ => {
                let Walk { count, out: encoded, origin, .. } = walk;
                links.answer(origin, Answer::Keys { count, encoded });
            }
        }
    }
}
