//! Walks: long work over the keys in slices, so that no turn takes long: KEYS, and the keys of a slot. Core: the shard's.
//!
//! Filled by commands of the whole process; drained a step at a time, round robin; bounded by the sessions that may each
//! have one under way.

use std::collections::VecDeque;

use crate::command::glob::Pattern;
use crate::engine::env::Env;
use crate::engine::link::Links;
use crate::engine::link::caller::Caller;
use crate::engine::link::message::{Answer, Origin};
use crate::limits::{GLOB_STEP_SKIPPED_BYTES, GLOB_STEPS_MAX, SLICE_MATCH_STEPS, SLICE_STEPS};
use crate::resp::{Proto, Writer};
use crate::shard::{Database, Shard};
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
    /// The database of the keys.
    database: Database,
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
    Pattern(Pattern),
    Slot(Slot),
}

impl Wanted {
    /// Whether a key is wanted. Adds to the steps what that took.
    fn has(&self, key: &[u8], steps: &mut u64) -> bool {
        match self {
            Wanted::Every => true,
            Wanted::Pattern(pattern) => {
                let matched = pattern.within(key, GLOB_STEPS_MAX);
                *steps += matched.steps;
                matched.matches
            }
            Wanted::Slot(slot) => {
                *steps += key.len() as u64;
                Slot::of(key) == *slot
            }
        }
    }
}

impl Walk {
    /// All keys that match a pattern.
    pub(in crate::engine) fn keys(pattern: &[u8], caller: Caller, origin: Origin) -> Walk {
        let wanted = if pattern == b"*" { Wanted::Every } else { Wanted::Pattern(Pattern::new(pattern)) };
        Walk::new(wanted, Some(u64::MAX), caller, origin)
    }

    /// At most so many keys of a slot, or their number.
    pub(in crate::engine) fn of_slot(slot: Slot, count_max: Option<u64>, caller: Caller, origin: Origin) -> Walk {
        Walk::new(Wanted::Slot(slot), count_max, caller, origin)
    }

    fn new(wanted: Wanted, count_max: Option<u64>, caller: Caller, origin: Origin) -> Walk {
        let Caller { database, proto, .. } = caller;
        Walk { database, wanted, count_max, proto, origin, position: 0, count: 0, out: Vec::new() }
    }

    /// Looks at the next keys, as many as a slice has time for. Returns whether there are more.
    fn go_on(&mut self, shard: &Shard, now_ms: u64) -> bool {
        let mut steps = 0;
        for _ in 0..SLICE_STEPS {
            let next = shard.scan(self.position, 1, now_ms, &mut |key, _item| {
                if self.has_enough() || !self.wanted.has(key, &mut steps) {
                    return;
                }
                self.count += 1;
                if self.count_max.is_some() {
                    steps += (key.len() / GLOB_STEP_SKIPPED_BYTES) as u64;
                    Writer::new(&mut self.out, self.proto).bulk(key);
                }
            });
            let Some(position) = next else { return false };
            self.position = position;
            if steps >= SLICE_MATCH_STEPS {
                break;
            }
        }
        true
    }

    fn has_enough(&self) -> bool {
        self.count_max.is_some_and(|max| self.count >= max)
    }
}

impl Walks {
    /// One step of the walk whose turn it is.
    pub(super) fn step(&mut self, shard: &mut Shard, env: &Env, links: &mut Links) {
        let Some(mut walk) = self.queue.pop_front() else { return };
        shard.select(walk.database);
        let has_more = walk.go_on(shard, env.now_ms);
        shard.select(0);
        if has_more && !walk.has_enough() {
            self.queue.push_back(walk);
        } else {
            let Walk { count, out: encoded, origin, .. } = walk;
            links.answer(origin, Answer::Keys { count, encoded });
        }
    }
}
