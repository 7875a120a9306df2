//! Channels: who subscribes to what, as one core knows it. Core: each its own. Pure.
//!
//! A core knows its own sessions' subscriptions, one by one (`local`), and how many the sessions of other cores have
//! (`remote`): of a channel, if it owns the channel's hash; of a pattern, or of a channel of key events, always. So the
//! core that publishes finds everything in its own tables, and a core without subscribers is not bothered.
//! Cost: a name, a hash cell and two short lists for each name; a lookup is one probe. To leave a channel costs a walk
//! over its local list.
//! Invariant: an entry has a subscriber, here or elsewhere; `index` leads from each name to its entry.

use std::collections::HashMap;
use std::rc::Rc;

use ahash::RandomState;

use crate::command::glob::Pattern;
use crate::command::pubsub::{TOPICS, Topic};
use crate::engine::ids::SessionId;
use crate::engine::link::Links;
use crate::engine::pubsub::name_walk::NameWalks;
use crate::limits::GLOB_CHANNEL_STEPS_MAX;
use crate::slot::CoreId;

/// One channel or pattern and its subscribers.
#[derive(Debug)]
pub(in crate::engine) struct Entry {
    pub(in crate::engine) name: Rc<[u8]>,
    /// The name compiled, if it is a pattern.
    pattern: Option<Box<Pattern>>,
    /// Sessions of this core. Filled by SUBSCRIBE, drained by its opposite and by ends of connections; bounded by the
    /// sessions, each being in it once.
    pub(in crate::engine) local: Vec<SessionId>,
    /// Subscriptions of sessions of other cores: never 0, a core once.
    pub(in crate::engine) remote: Vec<(CoreId, u32)>,
    /// This core owns the name's hash: of all cores that know the name, it is the one that counts it.
    pub(in crate::engine) owned: bool,
}

/// The channels of one kind, or the patterns.
#[derive(Debug)]
pub(in crate::engine) struct Names {
    index: HashMap<Rc<[u8]>, usize, RandomState>,
    entries: Vec<Entry>,
    owned: usize,
    /// The names are patterns.
    patterns: bool,
    walks: NameWalks,
}

/// Everything one core knows of subscriptions.
#[derive(Debug)]
pub(in crate::engine) struct Channels {
    names: [Names; TOPICS.len()],
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Change {
    /// Nothing new: others subscribe as well.
    None,
    /// The name has its first subscriber that this core knows.
    Appeared,
    /// The name has lost its last subscriber.
    Vanished,
}

impl Channels {
    pub(in crate::engine) fn new(seeds: [u64; 4]) -> Channels {
        let names = |topic| Names {
            index: HashMap::with_hasher(RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3])),
            entries: Vec::new(),
            owned: 0,
            patterns: topic == Topic::Pattern,
            walks: NameWalks::default(),
        };
        Channels { names: TOPICS.map(names) }
    }

    #[inline]
    pub(in crate::engine) fn of(&self, topic: Topic) -> &Names {
        &self.names[topic.number()]
    }

    #[inline]
    pub(in crate::engine) fn of_mut(&mut self, topic: Topic) -> &mut Names {
        &mut self.names[topic.number()]
    }

    /// Asserts the invariants.
    #[cfg(any(test, feature = "verify"))]
    pub(in crate::engine) fn verify(&self) {
        for names in &self.names {
            assert_eq!(names.index.len(), names.entries.len());
            assert_eq!(names.owned, names.entries.iter().filter(|entry| entry.owned).count());
            for (at, entry) in names.entries.iter().enumerate() {
                assert_eq!(names.index.get(&entry.name), Some(&at), "a name leads to its entry");
                assert!(!entry.local.is_empty() || !entry.remote.is_empty(), "somebody subscribes");
                assert!(entry.remote.iter().all(|(_, count)| *count > 0));
            }
        }
    }
}

impl Names {
    /// The place of a name, if anybody is known to subscribe to it.
    #[inline]
    pub(in crate::engine) fn find(&self, name: &[u8]) -> Option<usize> {
        if self.entries.is_empty() { None } else { self.index.get(name).copied() }
    }

    #[inline]
    pub(in crate::engine) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Names whose hash this core owns.
    pub(in crate::engine) fn owned(&self) -> usize {
        self.owned
    }

    /// A session of this core subscribes; it has not before. Returns the name to keep, and whether it is new.
    pub(in crate::engine) fn join(&mut self, name: &[u8], id: SessionId, owned: bool) -> (Rc<[u8]>, Change) {
        let (at, change) = self.open(name, owned);
        let entry = &mut self.entries[at];
        debug_assert!(!entry.local.contains(&id), "a session subscribes once");
        entry.local.push(id);
        (Rc::clone(&entry.name), change)
    }

    /// The session does not subscribe to the name any more.
    pub(in crate::engine) fn leave(&mut self, name: &[u8], id: SessionId) -> Change {
        let Some(at) = self.find(name) else { return Change::None };
        let local = &mut self.entries[at].local;
        if let Some(place) = local.iter().position(|other| *other == id) {
            local.swap_remove(place);
        }
        self.close_unused(at)
    }

    /// A session of another core subscribes.
    pub(in crate::engine) fn join_remote(&mut self, name: &[u8], core: CoreId, owned: bool) -> Change {
        let (at, change) = self.open(name, owned);
        let remote = &mut self.entries[at].remote;
        match remote.iter_mut().find(|(other, _)| *other == core) {
            Some((_, count)) => *count += 1,
            None => remote.push((core, 1)),
        }
        change
    }

    /// A subscriber on another core has left the name.
    pub(in crate::engine) fn leave_remote(&mut self, name: &[u8], core: CoreId) -> Change {
        let found = self.find(name);
        debug_assert!(found.is_some(), "who leaves has joined");
        let Some(at) = found else { return Change::None };
        let remote = &mut self.entries[at].remote;
        if let Some(place) = remote.iter().position(|(other, _)| *other == core) {
            remote[place].1 -= 1;
            if remote[place].1 == 0 {
                remote.swap_remove(place);
            }
        }
        self.close_unused(at)
    }

    /// The walks over the names.
    pub(in crate::engine) fn walks(&mut self) -> &mut NameWalks {
        &mut self.walks
    }

    /// Whether names are being walked over.
    pub(in crate::engine) fn is_walked(&self) -> bool {
        !self.walks.is_empty()
    }

    /// One step of the walk whose turn it is.
    pub(in crate::engine) fn step_walk(&mut self, links: &mut Links) {
        self.walks.step(&self.entries, links);
    }

    /// How many subscribe to a name, if this core owns it.
    pub(in crate::engine) fn count(&self, name: &[u8]) -> usize {
        self.find(name).map(|at| &self.entries[at]).filter(|entry| entry.owned).map_or(0, Entry::subscribers)
    }

    fn open(&mut self, name: &[u8], owned: bool) -> (usize, Change) {
        if let Some(at) = self.find(name) {
            return (at, Change::None);
        }
        let name: Rc<[u8]> = name.into();
        self.index.insert(Rc::clone(&name), self.entries.len());
        let pattern = self.patterns.then(|| Box::new(Pattern::new(&name)));
        self.entries.push(Entry { name, pattern, local: Vec::new(), remote: Vec::new(), owned });
        self.owned += usize::from(owned);
        (self.entries.len() - 1, Change::Appeared)
    }

    fn close_unused(&mut self, at: usize) -> Change {
        if !self.entries[at].local.is_empty() || !self.entries[at].remote.is_empty() {
            return Change::None;
        }
        let gone = self.entries.swap_remove(at);
        self.index.remove(&gone.name);
        if let Some(moved) = self.entries.get(at)
            && let Some(place) = self.index.get_mut(&moved.name)
        {
            *place = at;
            self.walks.on_moved(moved, self.entries.len(), at);
        }
        self.owned -= usize::from(gone.owned);
        Change::Vanished
    }
}

impl Entry {
    /// Whether it is a pattern that a channel matches. Adds to the steps what that took.
    #[inline]
    pub(in crate::engine) fn matches(&self, channel: &[u8], steps: &mut u64) -> bool {
        let Some(pattern) = &self.pattern else { return false };
        let matched = pattern.within(channel, GLOB_CHANNEL_STEPS_MAX);
        *steps += matched.steps;
        matched.matches
    }

    fn subscribers(&self) -> usize {
        self.local.len() + self.remote.iter().map(|(_, count)| *count as usize).sum::<usize>()
    }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
