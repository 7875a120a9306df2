//! The tables of subscriptions against a naive list of who subscribes to what.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NAMES: [&[u8]; 5] = [b"a", b"b", b"", b"news.1", b"__keyevent@0__:set"];

#[derive(Clone, Copy, Debug)]
struct Step {
    topic: Topic,
    name: usize,
    /// A session of this core, or another core.
    local: bool,
    who: u16,
    joins: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (0..3usize, 0..NAMES.len(), any::<bool>(), 1..4u16, any::<bool>())
        .prop_map(|(topic, name, local, who, joins)| Step { topic: TOPICS[topic], name, local, who, joins })
}

fn owned(name: usize) -> bool {
    name.is_multiple_of(2)
}

proptest! {
    #[test]
    fn tables_say_what_a_list_says(steps in proptest::collection::vec(step(), 0..200)) {
        let mut channels = Channels::new([1, 2, 3, 4]);
        let mut list: Vec<(usize, usize, bool, u16)> = Vec::new();
        for Step { topic, name, local, who, joins } in steps {
            let row = (topic.number(), name, local, who);
            let known = |list: &[(usize, usize, bool, u16)]| list.iter().any(|other| (other.0, other.1) == (row.0, row.1));
            let there = list.iter().position(|other| *other == row);
            let before = known(&list);
            let id = SessionId { index: u32::from(who), generation: 0 };
            let names = channels.of_mut(topic);
            // A session joins once; a core joins for each of its sessions; who leaves has joined.
            let change = match (joins, local) {
                (true, true) if there.is_none() => names.join(NAMES[name], id, owned(name)).1,
                (true, false) => names.join_remote(NAMES[name], CoreId(who), owned(name)),
                (false, true) if there.is_some() => names.leave(NAMES[name], id),
                (false, false) if there.is_some() => names.leave_remote(NAMES[name], CoreId(who)),
                _ => continue,
            };
            if joins {
                list.push(row);
            } else if let Some(at) = there {
                list.swap_remove(at);
            }
            let expected = match (before, known(&list)) {
                (false, true) => Change::Appeared,
                (true, false) => Change::Vanished,
                _ => Change::None,
            };
            prop_assert_eq!(change, expected);
            channels.verify();
        }
        for topic in TOPICS {
            let rows = list.iter().filter(|row| row.0 == topic.number());
            let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
            for row in rows.clone().filter(|row| owned(row.1)) {
                *counts.entry(NAMES[row.1]).or_default() += 1;
            }
            prop_assert_eq!(channels.of(topic).owned(), counts.len());
            let owned = channels.of(topic).entries().iter().filter(|entry| entry.owned);
            let owned = owned.map(|entry| (&entry.name[..], entry.subscribers()));
            prop_assert_eq!(owned.collect::<BTreeMap<_, _>>(), counts.clone());
            for (name, text) in NAMES.iter().enumerate() {
                prop_assert_eq!(channels.of(topic).count(text), counts.get(text).copied().unwrap_or(0));
                let entry = channels.of(topic).find(text).map(|at| &channels.of(topic).entries()[at]);
                let local = rows.clone().filter(|row| row.1 == name && row.2).count();
                let remote = rows.clone().filter(|row| row.1 == name && !row.2).count();
                prop_assert_eq!(entry.map_or(0, |entry| entry.local.len()), local);
                prop_assert_eq!(entry.map_or(0, |entry| entry.remote.iter().map(|r| r.1 as usize).sum()), remote);
            }
        }
    }
}
