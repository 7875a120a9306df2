//! Canary: bugs planted in the mesh. A simulation that does not find them finds nothing.

use std::collections::VecDeque;

use aspine::engine::batch::{Batch, Payload};

use crate::rng::Rng;
use crate::seeds::{failure_of, quietly};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A batch of replies is lost, once.
    LostReplies { done: bool },
    /// Two replies of one batch change places.
    SwappedReplies,
    /// Two batches of requests of one pair overtake each other: a session's commands on one key run out of order.
    Overtaking,
    /// Cores see the commands of others with a clock that is slow by a minute: expired items are returned.
    SlowClock,
    /// The value of a reply changes on its way.
    FlippedByte,
}

impl Fault {
    /// Does its harm to the batches between two cores, if they offer it.
    pub fn strike(&mut self, link: &mut VecDeque<Batch>, rng: &mut Rng) {
        match self {
            Fault::LostReplies { done } => {
                if !*done && rng.one_in(8) && matches!(link[0].payload, Payload::Replies { .. }) && link.len() > 1 {
                    link.pop_front();
                    *done = true;
                }
            }
            Fault::SwappedReplies => {
                if let Payload::Replies { bytes, count: 2.., .. } = &mut link[0].payload {
                    swap_frames(bytes);
                }
            }
            Fault::Overtaking => {
                let both =
                    link.iter().take(2).filter(|batch| matches!(batch.payload, Payload::Requests { .. })).count();
                if both == 2 {
                    link.swap(0, 1);
                }
            }
            Fault::FlippedByte => {
                if let Payload::Replies { bytes, .. } = &mut link[0].payload
                    && let Some(at) = bytes.windows(2).position(|pair| pair == b":a")
                {
                    bytes[at + 1] = b'b';
                }
            }
            Fault::SlowClock => {}
        }
    }

    /// How slow the clock is for batches.
    pub fn late_ms(&self) -> u64 {
        if *self == Fault::SlowClock { 60_000 } else { 0 }
    }
}

/// Exchanges the first two frames (length u32 little-endian, bytes) of a batch.
fn swap_frames(bytes: &mut [u8]) {
    let end_of = |at: usize| at + 4 + u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let first = end_of(0);
    let second = end_of(first);
    bytes[..second].rotate_left(first);
}

/// Seeds within which each must be found.
const SEEDS: u64 = 40;

fn must_be_found(fault: Fault) {
    let found = quietly(|| (0..SEEDS).find_map(|seed| failure_of(seed, Some(fault)).map(|failure| (seed, failure))));
    let (seed, failure) = found.unwrap_or_else(|| panic!("{fault:?} was not found in {SEEDS} seeds"));
    println!("{fault:?}: found by seed {seed}: {}", failure.lines().next().unwrap_or_default());
}

#[test]
fn lost_replies_are_found() {
    must_be_found(Fault::LostReplies { done: false });
}

#[test]
fn swapped_replies_are_found() {
    must_be_found(Fault::SwappedReplies);
}

#[test]
fn overtaking_batches_are_found() {
    must_be_found(Fault::Overtaking);
}

#[test]
fn a_slow_clock_is_found() {
    must_be_found(Fault::SlowClock);
}

#[test]
fn a_flipped_byte_is_found() {
    must_be_found(Fault::FlippedByte);
}
