//! Events: the key events that somebody subscribes to, noted in the order of the changes.
//!
//! Owner: `Shard`; `observers` passes each change on, the engine publishes what was noted. Core: the shard's
//! own. Cost: one comparison a change while nobody subscribes; else a copy of the key.
//! Never: decides which client gets an event.

use super::change::{Cause, Change};
use super::entry::Database;
use super::event::Event;

/// The key events of one shard.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// A bit for each kind of event that somebody subscribes to.
    wanted: u32,
    /// The noted events: for each its number, the database, the length of the key as u32, the key. Filled by changes,
    /// drained by the engine before its turn ends; bounded by what a turn changes.
    noted: Vec<u8>,
    /// Where the last noted event begins.
    last: usize,
}

impl Events {
    /// Whether events of any kind are noted.
    pub(super) fn is_anything_wanted(&self) -> bool {
        self.wanted != 0
    }

    /// Sets the kinds of events that are noted from now on: bit `n` for event number `n`. Returns the kinds before.
    pub(super) fn want(&mut self, wanted: u32) -> u32 {
        std::mem::replace(&mut self.wanted, wanted)
    }

    /// Narrows the kinds of events that are noted to expiry and eviction. Returns the kinds before.
    pub(super) fn want_losses_alone(&mut self) -> u32 {
        self.want(self.wanted & (Event::Expired.bit() | Event::Evicted.bit()))
    }

    /// Whether any events were noted.
    #[inline]
    pub(super) fn is_any_noted(&self) -> bool {
        !self.noted.is_empty()
    }

    /// Takes the events that were noted, for [`noted`]; `spare` is an empty buffer for the next.
    pub(super) fn take(&mut self, spare: Vec<u8>) -> Vec<u8> {
        debug_assert!(spare.is_empty());
        std::mem::replace(&mut self.noted, spare)
    }

    /// Notes the events of a change.
    pub(super) fn on_change(&mut self, database: Database, key: &[u8], change: Change) {
        let key = (database, key);
        match change {
            Change::Store { event, found, timed_anew } => self.note_store(event, key, found.is_some(), timed_anew),
            Change::Retime { timed: true, .. } => self.note(Event::Expire, key),
            Change::Retime { timed: false, .. } => self.note(Event::Persist, key),
            // As in Redis a SET stores the item, which expires at once.
            Change::StoreOverdue => {
                self.note_store(Event::Set, key, false, true);
                self.note(Event::Expired, key);
            }
            Change::Remove { cause, .. } => match cause {
                Cause::Removed => self.note(Event::Del, key),
                Cause::Renamed => self.note(Event::RenameFrom, key),
                Cause::Moved => self.note(Event::MoveFrom, key),
                Cause::Expired => self.note(Event::Expired, key),
                Cause::Evicted => self.note(Event::Evicted, key),
                Cause::Flushed => {}
                Cause::Overdue => {
                    self.note_store(Event::Set, key, true, true);
                    self.note(Event::Expired, key);
                }
            },
        }
    }

    /// Whether a kind of event is noted.
    #[inline]
    pub(super) fn wants(&self, event: Event) -> bool {
        self.wanted & event.bit() != 0
    }

    /// Notes one event, if its kind is noted.
    #[inline]
    pub(super) fn note(&mut self, event: Event, key: (Database, &[u8])) {
        if self.wants(event) {
            self.add(event, key);
        }
    }

    /// Notes the events of a store.
    fn note_store(&mut self, event: Event, key: (Database, &[u8]), existed: bool, timed: bool) {
        // As in Redis, these delete an item that they overwrite first.
        let replaces = matches!(event, Event::RenameTo | Event::CopyTo | Event::Restore);
        if !existed || replaces {
            self.note(Event::New, key);
        }
        self.note(event, key);
        if timed && event == Event::Set {
            self.note(Event::Expire, key);
        }
    }

    #[cold]
    fn add(&mut self, event: Event, (database, key): (Database, &[u8])) {
        let mut at = self.noted.len();
        self.noted.extend_from_slice(&[event as u8, database]);
        self.noted.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.noted.extend_from_slice(key);
        let (target, source) = (&self.noted[self.last.min(at)..at], &self.noted[at..]);
        let moved_to = match event {
            Event::RenameFrom => Some(Event::RenameTo as u8),
            Event::MoveFrom => Some(Event::MoveTo as u8),
            _ => None,
        };
        if moved_to.is_some() && target.first().copied() == moved_to && target[1..] != source[1..] {
            // RENAME and MOVE store before they delete, so that nothing is lost; Redis has its events the other way round.
            let moved = at - self.last;
            self.noted[self.last..].rotate_left(moved);
            at = self.noted.len() - moved;
        }
        self.last = at;
    }
}

/// The events in a buffer of `Shard::take_events`, each with its database and key.
pub fn noted(mut bytes: &[u8]) -> impl Iterator<Item = (Event, Database, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(6)?;
        let len = u32::from_le_bytes([head[2], head[3], head[4], head[5]]) as usize;
        let (key, rest) = rest.split_at_checked(len)?;
        bytes = rest;
        Some((Event::of(head[0]), head[1], key))
    })
}

#[cfg(test)]
mod tests {
    use super::super::event::EVENTS;
    use super::*;

    fn take(events: &Events) -> Vec<(Event, Vec<u8>)> {
        noted(&events.noted).map(|(event, _, key)| (event, key.to_vec())).collect()
    }

    #[test]
    fn events_are_numbered_by_their_place() {
        for (number, (event, ..)) in EVENTS.iter().enumerate() {
            assert_eq!(event.number(), number);
            assert_eq!(Event::of(number as u8), *event);
        }
    }

    #[test]
    fn what_nobody_wants_is_not_noted() {
        let mut events = Events { wanted: Event::Expired.bit(), ..Events::default() };
        events.note_store(Event::Set, (0, b"k"), false, true);
        events.note(Event::Del, (0, b"k"));
        assert!(events.noted.is_empty());
        events.note(Event::Expired, (0, b""));
        assert_eq!(take(&events), [(Event::Expired, Vec::new())]);
    }

    #[test]
    fn a_rename_is_told_from_first() {
        let mut events = Events { wanted: u32::MAX, ..Events::default() };
        events.note(Event::Del, (0, b"other"));
        events.note_store(Event::RenameTo, (0, b"target"), true, true);
        events.note(Event::RenameFrom, (0, b"s"));
        events.note(Event::RenameFrom, (0, b"elsewhere"));
        let names: Vec<_> = take(&events).into_iter().map(|(event, _)| event).collect();
        let expected = [Event::Del, Event::New, Event::RenameFrom, Event::RenameTo, Event::RenameFrom];
        // The last one's target is on another shard, but stands behind a target: it goes before that.
        assert_eq!(names[..3], expected[..3]);
        assert_eq!(names.len(), expected.len());
    }
}
