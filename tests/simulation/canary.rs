//! Canary: bugs planted in the mesh. A simulation that does not find them finds nothing.

use std::collections::VecDeque;

use aspine::engine::Note;
use aspine::engine::{Batch, Payload};
use aspine::engine::{Hold, HoldKey};
use aspine::slot::CoreId;

use crate::rng::Rng;
use crate::seeds::{failure_of, quietly, run};
use crate::workload::Plan;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A batch of replies is lost, once.
    LostReplies { done: bool },
    /// Two replies of one batch change places.
    SwappedReplies,
    /// Now and then a batch of requests overtakes those before it, which keep their order: a session's commands on one
    /// key run out of order.
    Overtaking,
    /// Cores see the commands of others with a clock that is slow by a minute: expired items are returned.
    SlowClock,
    /// The value of a reply changes on its way.
    FlippedByte,
    /// A shard says that nothing has changed, whatever has.
    AlwaysClean,
    /// A core grants what is held, so that two transactions run at once.
    EarlyGrant,
    /// A letter is lost now and then.
    LostLetter,
    /// Two letters of one pair change places.
    SwappedLetters,
    /// An answer overtakes the letter before it: subscriptions end too early.
    HastyAnswer,
    /// What is stale is lost, now and then.
    LostStale,
    /// Of FLUSHALL alone one core never hears.
    LostClear,
    /// What a client is to hear by another is lost.
    LostRedirected,
    /// That the other has gone is lost.
    LostBroken,
    /// What is stale overtakes, on its way between cores, the replies before it: which must do no harm, since a session
    /// puts it behind what it waits for.
    EarlyStale,
    /// A client hears it before the reply that was sent before it, as if a session did not.
    EarlyPush,
    /// Shards say that they are held for the snapshot before they are.
    EarlySnapshot,
    /// A shard is released before it is cut.
    LateCut,
    /// Commands that others watch are lost on their way, now and then.
    LostLines,
    /// By its own port a core answers for all.
    NodeSeesAll,
    /// A key that should stay is lost.
    NodeLosesKey,
    /// A walk forgets where its keys belong.
    NodeOfWrongCore,
    /// Items without a deadline are evicted, too, where they are to stay.
    EvictsUntimed,
}

impl Fault {
    /// Does its harm to the batches between two cores, if they offer it.
    pub fn strike(&mut self, link: &mut VecDeque<Batch>, rng: &mut Rng) {
        match self {
            Fault::LostReplies { done }
                if !*done && rng.one_in(8) && matches!(link[0].payload, Payload::Replies { .. }) && link.len() > 1 =>
            {
                link.pop_front();
                *done = true;
            }
            Fault::SwappedReplies => {
                if let Payload::Replies { bytes, count: 2.., .. } = &mut link[0].payload {
                    swap_frames(bytes);
                }
            }
            Fault::Overtaking if rng.one_in(4) => {
                let is_requests = |batch: &Batch| matches!(batch.payload, Payload::Requests { .. });
                overtake(link, link.iter().position(is_requests), link.iter().rposition(is_requests));
            }
            Fault::FlippedByte => {
                if let Payload::Replies { bytes, .. } = &mut link[0].payload
                    && let Some(at) = bytes.windows(2).position(|pair| pair == b":a")
                {
                    bytes[at + 1] = b'b';
                }
            }
            Fault::AlwaysClean => {
                if let Payload::Granted { clean, .. } = &mut link[0].payload {
                    *clean = true;
                }
            }
            Fault::LostLetter if is_letter(&link[0]) && rng.one_in(20) => drop(link.pop_front()),
            Fault::LostLines if matches!(link[0].payload, Payload::Lines(_)) && rng.one_in(20) => {
                drop(link.pop_front());
            }
            Fault::SwappedLetters => {
                let letters: Vec<usize> = (0..link.len()).filter(|at| is_letter(&link[*at])).collect();
                if let [one, other, ..] = letters[..] {
                    link.swap(one, other);
                }
            }
            Fault::HastyAnswer => {
                let letter = link.iter().position(is_letter);
                let is_answer =
                    |batch: &Batch| matches!(batch.payload, Payload::Answer { .. } | Payload::Replies { .. });
                overtake(link, letter, link.iter().rposition(is_answer));
            }
            Fault::LostStale | Fault::LostClear | Fault::LostRedirected | Fault::LostBroken | Fault::EarlyStale => {
                self.strike_stale(link, rng);
            }
            // Elsewhere.
            _ => {}
        }
    }

    fn strike_stale(self, link: &mut VecDeque<Batch>, rng: &mut Rng) {
        let bytes = |batch: &Batch| {
            if let Payload::Invalidations(bytes) = &batch.payload { bytes.first().copied() } else { None }
        };
        let Some((at, kind)) = link.iter().enumerate().find_map(|(at, batch)| Some((at, bytes(batch)?))) else {
            return;
        };
        let is_lost = match self {
            Fault::LostStale => rng.one_in(8),
            Fault::LostClear => kind == 2,
            Fault::LostRedirected => kind == 3,
            Fault::LostBroken => kind == 4,
            _ => false,
        };
        if (is_lost || self == Fault::EarlyStale)
            && let Some(stale) = link.remove(at)
            && !is_lost
        {
            // It alone: the others keep their order.
            link.push_front(stale);
        }
    }

    /// Does its harm to all links, after a turn.
    pub fn strike_all(self, links: &mut [Vec<VecDeque<Batch>>], granted: &mut Vec<HoldKey>) {
        match self {
            Fault::EarlyGrant => {
                let asked = links.iter().flatten().flatten().filter_map(hold_of);
                for hold in asked.filter(|hold| !hold.is_of_snapshot()).collect::<Vec<_>>() {
                    if !granted.contains(&hold.key) {
                        granted.push(hold.key);
                        grant(links, hold);
                    }
                }
            }
            Fault::EarlySnapshot => {
                let is_asked = |batch: &Batch| hold_of(batch).is_some_and(|hold| hold.is_of_snapshot());
                let asked = links.iter().flatten().flatten().filter(|batch| is_asked(batch)).filter_map(hold_of);
                let asked: Vec<Hold> = asked.collect();
                links.iter_mut().flatten().for_each(|link| link.retain(|batch| !is_asked(batch)));
                asked.into_iter().for_each(|hold| grant(links, hold));
            }
            Fault::LateCut => {
                for link in links.iter_mut().flatten() {
                    let is_cut = |batch: &Batch| matches!(batch.payload, Payload::Snapshot(Note::Cut { .. }));
                    if let Some(at) = link.iter().position(is_cut).filter(|at| at + 1 < link.len()) {
                        // Not only behind the release, but behind what comes next.
                        let cut = link.remove(at);
                        link.extend(cut);
                    }
                }
            }
            _ => {}
        }
    }

    /// Makes a plan one in which it does harm.
    pub fn suit(self, plan: &mut Plan, rng: &mut Rng) {
        match self {
            Fault::AlwaysClean | Fault::EarlyGrant => {
                plan.cores = plan.cores.max(2);
                plan.admit_transfers(rng);
            }
            Fault::LostLetter | Fault::SwappedLetters | Fault::HastyAnswer => {
                plan.cores = plan.cores.max(2);
                plan.delay = 3;
                plan.admit_messages(rng);
            }
            Fault::LostStale
            | Fault::LostClear
            | Fault::LostRedirected
            | Fault::LostBroken
            | Fault::EarlyStale
            | Fault::EarlyPush => {
                plan.cores = plan.cores.max(2);
                plan.admit_near_caches(rng);
            }
            Fault::EarlySnapshot | Fault::LateCut => {
                plan.cores = plan.cores.max(2);
                plan.admit_transfers(rng);
                plan.admit_savers(rng);
            }
            Fault::LostLines => {
                plan.cores = plan.cores.max(2);
                plan.admit_watchers(rng);
            }
            Fault::NodeSeesAll | Fault::NodeLosesKey | Fault::NodeOfWrongCore => {
                plan.cores = plan.cores.max(2);
                plan.admit_nodes();
            }
            Fault::EvictsUntimed => plan.admit_timed_only(),
            _ => {}
        }
    }

    /// How slow the clock is for batches.
    pub fn late_ms(&self) -> u64 {
        if *self == Fault::SlowClock { 60_000 } else { 0 }
    }
}

fn hold_of(batch: &Batch) -> Option<Hold> {
    if let Payload::Hold(hold) = &batch.payload { Some(*hold) } else { None }
}

/// A core that was not asked says that a shard is held.
fn grant(links: &mut [Vec<VecDeque<Batch>>], hold: Hold) {
    let home = usize::from(hold.home.0);
    let other = (home + 1) % links.len();
    let payload = Payload::Granted { key: hold.key, clean: true };
    links[other][home].push_back(Batch { from: CoreId(other as u16), payload });
}

fn is_letter(batch: &Batch) -> bool {
    matches!(batch.payload, Payload::Letter { .. })
}

/// The batch at `late` goes to where `early` is, if that is before it: it alone, the others keep their order.
fn overtake(link: &mut VecDeque<Batch>, early: Option<usize>, late: Option<usize>) {
    if let (Some(early), Some(late)) = (early, late)
        && early < late
        && let Some(batch) = link.remove(late)
    {
        link.insert(early, batch);
    }
}

/// Exchanges the first two frames (length in the lower seven of eight bytes, bytes) of a batch.
fn swap_frames(bytes: &mut [u8]) {
    let head = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let end_of = |at: usize| at + 8 + (head(at) & ((1 << 56) - 1)) as usize;
    let first = end_of(0);
    let second = end_of(first);
    bytes[..second].rotate_left(first);
}

/// Seeds within which most must be found.
const SEEDS: u64 = 40;

/// Each bug, and the seeds within which it must be found.
const ALL: [(Fault, u64); 22] = [
    (Fault::LostReplies { done: false }, SEEDS),
    (Fault::SwappedReplies, SEEDS),
    (Fault::Overtaking, SEEDS),
    (Fault::SlowClock, SEEDS),
    (Fault::FlippedByte, SEEDS),
    (Fault::AlwaysClean, SEEDS),
    (Fault::EarlyGrant, SEEDS),
    (Fault::LostLetter, SEEDS),
    (Fault::SwappedLetters, SEEDS),
    (Fault::HastyAnswer, SEEDS),
    (Fault::LostStale, SEEDS),
    (Fault::LostClear, 2 * SEEDS),
    (Fault::LostRedirected, 2 * SEEDS),
    (Fault::LostBroken, 5 * SEEDS),
    (Fault::EarlyPush, 2 * SEEDS),
    (Fault::EarlySnapshot, SEEDS),
    (Fault::LateCut, SEEDS),
    (Fault::LostLines, SEEDS),
    (Fault::NodeSeesAll, SEEDS),
    (Fault::NodeLosesKey, SEEDS),
    (Fault::NodeOfWrongCore, SEEDS),
    (Fault::EvictsUntimed, SEEDS),
];

#[test]
fn every_planted_bug_is_found() {
    for (fault, seeds) in ALL {
        let found = quietly(|| (0..seeds).find_map(|seed| failure_of(seed, Some(fault)).map(|why| (seed, why))));
        let (seed, failure) = found.unwrap_or_else(|| panic!("{fault:?} was not found in {seeds} seeds"));
        println!("{fault:?}: found by seed {seed}: {}", failure.lines().next().unwrap_or_default());
    }
}

#[test]
fn an_invalidation_that_overtakes_does_no_harm() {
    for seed in 0..SEEDS {
        run(seed, Some(Fault::EarlyStale)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}
