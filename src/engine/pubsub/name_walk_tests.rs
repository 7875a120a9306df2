//! Walks over names that come and go, against the set of those that stayed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::command::pubsub::Topic;
use crate::engine::ids::SessionId;
use crate::engine::pubsub::channels::{Channels, Names};
use crate::resp::Proto;
use crate::slot::CoreId;

use super::*;

const SESSION: SessionId = SessionId { index: 1, generation: 0 };

fn name(number: usize) -> Vec<u8> {
    format!("{}.{number}", if number.is_multiple_of(3) { "news" } else { "talk" }).into_bytes()
}

/// A walk of the first core, which no session waits for.
fn walk(pattern: Option<&[u8]>) -> NameWalk {
    NameWalk::new(pattern, Proto::Resp2, Origin::Peer { core: CoreId(0), gather: None })
}

fn found(walk: &NameWalk) -> Vec<Vec<u8>> {
    let names = walk.out.split(|byte| *byte == b'\n').skip(1).step_by(2);
    names.map(|name| name.strip_suffix(b"\r").unwrap().to_vec()).collect()
}

/// One step of the first walk. Returns it once it has seen everything.
fn step(names: &mut Names) -> Option<NameWalk> {
    let mut walk = names.walks().queue.pop_front()?;
    let (count, has_more) = (walk.count, walk.go_on(names.entries()));
    assert!(walk.count - count <= u64::from(SLICE_STEPS));
    if has_more {
        names.walks().queue.push_back(walk);
        return None;
    }
    Some(walk)
}

proptest! {
    #[test]
    fn a_name_that_stays_is_seen_once(
        changes in proptest::collection::vec(proptest::collection::vec((0..700usize, any::<bool>()), 0..60), 0..8),
        wants_all: bool,
    ) {
        let mut channels = Channels::new([1, 2, 3, 4]);
        let names = channels.of_mut(Topic::Channel);
        for number in 0..500 {
            names.join(&name(number), SESSION, true);
        }
        names.join(b"news.elsewhere", SESSION, false);
        let mut stayed: BTreeSet<usize> = (0..500).filter(|number| wants_all || number % 3 == 0).collect();
        names.walks().push(walk((!wants_all).then_some(b"news.*")));
        let mut changes = changes.into_iter();
        let seen = loop {
            if let Some(walk) = step(names) {
                break found(&walk);
            }
            for (number, joins) in changes.next().unwrap_or_default() {
                let (name, is_there) = (name(number), names.find(&name(number)).is_some());
                if joins && !is_there {
                    names.join(&name, SESSION, true);
                } else if !joins && is_there {
                    names.leave(&name, SESSION);
                    stayed.remove(&number);
                }
            }
        };
        prop_assert!(!seen.contains(&b"news.elsewhere".to_vec()));
        for number in stayed {
            prop_assert_eq!(seen.iter().filter(|seen| **seen == name(number)).count(), 1, "{}", number);
        }
    }
}

#[test]
fn a_slice_counts_what_is_compared() {
    let mut channels = Channels::new([1, 2, 3, 4]);
    let names = channels.of_mut(Topic::Channel);
    for number in 0..100 {
        names.join(format!("{}{number}z", "a".repeat(10_000)).as_bytes(), SESSION, true);
    }
    // Each name is compared for as long as may be.
    names.walks().push(walk(Some(&[&b"*"[..], &b"a".repeat(2_000), b"b*"].concat())));
    let steps = (1..).find(|_| step(names).is_some()).unwrap();
    let slices = 100 * GLOB_CHANNEL_STEPS_MAX / SLICE_MATCH_STEPS;
    assert!(steps as u64 >= slices, "{steps} steps, for {slices} slices of work");
}
