//! Databases: several keyspaces in one shard, of which one is selected.
//!
//! Owner: `Shard`. Core: the shard's own. The items of all databases share slab, eviction policy, wheel, account and
//! budget; each database has an index of its own, made when it is first selected. The index of the selected database
//! stands in the shard itself, where the doors of a key use it: so none of them asks which database it is, and database
//! 0, which is selected between commands, costs none of them an instruction.
//! An item's entry names its space: the number of an index. A database is a name of a space: SWAPDB exchanges two names.
//! A flush gives the name to an empty space; the items of the old one are no longer reachable, and are removed in slices
//! (`sweep`), or earlier if they expire or are evicted. They are not in the account meanwhile.
//! Cost: a selection swaps two indexes (some 100 bytes) and their tallies; so does the removal of an item of another space.
//! Invariants: an item is in the index of its space alone; `tallies` of spaces that are not selected sum to `elsewhere`,
//! so that the selected one has what is left of the account and the wheel, and nothing is counted when an item is stored.

use super::change::Cause;
use super::entry::{Database, EntryIndex, Label};
use super::garbage::Garbage;
use super::index::Index;
use super::{Item, Shard};
use crate::limits::{DATABASES, SPACES, SWEEP_BATCH};

/// What a space holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) items: u64,
    pub(super) bytes: u64,
    /// Items that have a deadline, and the sum of those.
    pub(super) timed: u64,
    pub(super) deadlines_ms: u128,
}

impl Tally {
    pub(super) fn add(&mut self, other: Tally) {
        self.items += other.items;
        self.bytes += other.bytes;
        self.timed += other.timed;
        self.deadlines_ms += other.deadlines_ms;
    }

    pub(super) fn less(self, other: Tally) -> Tally {
        Tally {
            items: self.items - other.items,
            bytes: self.bytes - other.bytes,
            timed: self.timed - other.timed,
            deadlines_ms: self.deadlines_ms - other.deadlines_ms,
        }
    }
}

/// The size of one database of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseSize {
    /// The items of the database, those included that have expired and were neither accessed nor reached by `work` since.
    pub items: u64,
    /// The items of the database that have a deadline.
    pub timed: u64,
    /// The sum of the deadlines of those, unix time in milliseconds.
    pub deadlines_ms: u128,
}

/// A space that is not selected.
#[derive(Default)]
struct Parked {
    /// The index of the space, if it was ever selected.
    index: Option<Box<Index>>,
    tally: Tally,
}

/// The databases of a shard. Filled by `select`; bounded by `SPACES`.
pub(super) struct Databases {
    selected: Database,
    /// The label of new items: the selected space.
    pub(super) label: Label,
    /// The space of each database.
    names: [u8; DATABASES as usize],
    parked: Box<[Parked; SPACES as usize]>,
    /// The sum of the tallies of all spaces but the selected one.
    elsewhere: Tally,
    /// A bit for each space that was flushed and still has items.
    flushed: u32,
    /// The segment of each of those spaces' index before which all are empty: nothing is added to them.
    swept: Box<[u32; SPACES as usize]>,
    /// The number of databases that clients may name.
    count: u8,
    seeds: [u64; 4],
}

impl Databases {
    pub(super) fn new(seeds: [u64; 4]) -> Databases {
        Databases {
            selected: 0,
            label: Label::STRING,
            names: std::array::from_fn(|database| database as u8),
            parked: Box::new(std::array::from_fn(|_| Parked::default())),
            elsewhere: Tally::default(),
            flushed: 0,
            swept: Box::new([0; SPACES as usize]),
            count: DATABASES as u8,
            seeds,
        }
    }

    /// The selected database.
    #[inline]
    pub(super) fn selected(&self) -> Database {
        self.selected
    }

    /// The space of a database.
    pub(super) fn space_of(&self, database: Database) -> u8 {
        self.names[usize::from(database)]
    }

    /// The database of each space; `None` for those that have no name.
    pub(super) fn databases(&self) -> [Option<Database>; SPACES as usize] {
        let mut databases = [None; SPACES as usize];
        for (database, space) in (0..).zip(self.names) {
            databases[usize::from(space)] = Some(database);
        }
        databases
    }

    /// Whether the items of a space were flushed.
    #[cfg(any(test, feature = "verify"))]
    fn is_flushed(&self, space: u8) -> bool {
        self.flushed >> space & 1 != 0
    }

    /// Whether items wait to be swept.
    #[inline]
    pub(super) fn is_sweeping(&self) -> bool {
        self.flushed != 0
    }
}

/// The seeds of a space's hash: equal keys of two spaces have hashes of their own, so that ghosts and the estimate tell
/// them apart.
fn seeds_of(seeds: [u64; 4], space: u8) -> [u64; 4] {
    [seeds[0] ^ u64::from(space), seeds[1], seeds[2], seeds[3]]
}

/// The doors.
impl Shard {
    /// Selects the database of the calls that follow. Between commands database 0 is selected.
    pub fn select(&mut self, database: Database) {
        debug_assert!(u32::from(database) < DATABASES, "the engine refuses others");
        if database != self.databases.selected {
            self.databases.selected = database;
            self.select_space(self.databases.space_of(database));
        }
    }

    /// The selected database.
    pub fn selected(&self) -> Database {
        self.databases.selected
    }

    /// Sets the number of databases that clients may name.
    pub fn set_database_count(&mut self, count: u8) {
        self.databases.count = count;
    }

    /// The number of databases that clients may name.
    pub fn database_count(&self) -> u8 {
        self.databases.count
    }

    /// The item of a key of any database, without a trace.
    pub fn peek_in(&self, database: Database, key: &[u8], now_ms: u64) -> Option<Item<'_>> {
        let index = self.index_of(self.databases.space_of(database))?;
        let at = index.find(index.hash(key), |at| self.slab.entry(at).holds(key))?;
        (!self.has_expired(at, now_ms)).then(|| self.item(at))
    }

    /// The size of a database.
    pub fn size_of(&self, database: Database) -> DatabaseSize {
        let space = self.databases.space_of(database);
        let Tally { items, timed, deadlines_ms, .. } = if space == self.databases.label.space {
            self.total().less(self.databases.elsewhere)
        } else {
            self.databases.parked[usize::from(space)].tally
        };
        DatabaseSize { items, timed, deadlines_ms }
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, one: Database, other: Database) {
        for watched in [one, other] {
            self.note_flush(watched, [one, other]);
        }
        self.observers.on_swap();
        self.databases.names.swap(usize::from(one), usize::from(other));
        self.select_space(self.databases.space_of(self.databases.selected));
    }

    /// Removes all items of the selected database, in O(1): the memory is freed by `work`. Returns the number of items.
    pub fn flush(&mut self) -> u64 {
        let selected = self.databases.selected;
        let tally = self.total().less(self.databases.elsewhere);
        if tally.items == self.len() {
            return self.clear();
        }
        self.note_flush(selected, [selected; 2]);
        self.observers.on_flush(tally.items);
        if tally.items == 0 {
            return 0;
        }
        let space = self.databases.label.space;
        let fresh = self.free_space();
        self.databases.names[usize::from(selected)] = fresh;
        self.databases.flushed |= 1 << space;
        self.databases.swept[usize::from(space)] = 0;
        self.select_space(fresh);
        // Flushed items are in no account, but their timers are in the wheel.
        let parked = &mut self.databases.parked[usize::from(space)].tally;
        (parked.items, parked.bytes) = (0, 0);
        self.databases.elsewhere.items -= tally.items;
        self.databases.elsewhere.bytes -= tally.bytes;
        self.account.leave(tally.items, tally.bytes);
        tally.items
    }

    /// Marks what watchers of a database watch that is stored in one of two, whose items are about to leave it.
    fn note_flush(&mut self, watched: Database, contents: [Database; 2]) {
        let Shard { index, slab, databases, observers, .. } = self;
        let spaces = contents.map(|database| databases.space_of(database));
        observers.watches.note_clear(watched, |key| {
            spaces.iter().any(|space| {
                let index = if *space == databases.label.space {
                    Some(&*index)
                } else {
                    databases.parked[usize::from(*space)].index.as_deref()
                };
                index.is_some_and(|index| index.find(index.hash(key), |at| slab.entry(at).holds(key)).is_some())
            })
        });
    }
}

impl Shard {
    /// What is stored in all spaces, and the timers of flushed items.
    fn total(&self) -> Tally {
        Tally {
            items: self.account.items(),
            bytes: self.account.bytes(),
            timed: u64::from(self.wheel.len()),
            deadlines_ms: self.wheel.deadlines_ms(),
        }
    }

    /// Puts the index of a space in the shard's place.
    fn select_space(&mut self, space: u8) {
        let total = self.total();
        let Databases { label, parked, elsewhere, seeds, .. } = &mut self.databases;
        let before = std::mem::replace(&mut label.space, space);
        if before == space {
            return;
        }
        let tally = total.less(*elsewhere);
        elsewhere.add(tally);
        let next = std::mem::take(&mut parked[usize::from(space)]);
        *elsewhere = elsewhere.less(next.tally);
        let mut index = next.index.unwrap_or_else(|| Box::new(Index::new(seeds_of(*seeds, space))));
        self.index.exchange(&mut index);
        parked[usize::from(before)] = Parked { index: Some(index), tally };
    }

    /// A space without items and without a name. If there is none, the flushed one of the fewest items is swept to its
    /// end: for that to take long, as many databases would have to be flushed, each with more items than slices of work
    /// remove meanwhile.
    fn free_space(&mut self) -> u8 {
        loop {
            let Databases { names, flushed, .. } = &self.databases;
            let taken = names.iter().fold(*flushed, |taken, space| taken | 1 << space);
            let free = taken.trailing_ones();
            if free < SPACES {
                return free as u8;
            }
            let waiting = (0..SPACES as u8).filter(|space| flushed >> space & 1 != 0);
            let smallest = waiting.min_by_key(|space| self.index_of(*space).map_or(0, Index::len));
            if let Some(space) = smallest {
                self.sweep_space(space, u32::MAX);
            }
        }
    }

    /// Whether an entry is an item of the selected database.
    #[inline]
    pub(super) fn is_selected(&self, at: EntryIndex) -> bool {
        let entry = self.slab.entry(at);
        entry.is_live() && entry.space() == self.databases.label.space
    }

    /// The number of items of the selected database.
    pub(super) fn selected_len(&self) -> u64 {
        self.account.items() - self.databases.elsewhere.items
    }

    /// The index of a space, if there is one.
    pub(super) fn index_of(&self, space: u8) -> Option<&Index> {
        if space == self.databases.label.space {
            return Some(&self.index);
        }
        self.databases.parked[usize::from(space)].index.as_deref()
    }

    /// Removes an item of any space. Returns the steps this was worth.
    #[inline]
    pub(super) fn remove_any(&mut self, at: EntryIndex, cause: Cause) -> u32 {
        let space = self.slab.entry(at).space();
        if space != self.databases.label.space {
            return self.remove_elsewhere(at, space, cause);
        }
        let hash = self.index.hash(self.slab.entry(at).key());
        self.remove_entry(at, hash, cause)
    }

    #[cold]
    fn remove_elsewhere(&mut self, at: EntryIndex, space: u8, cause: Cause) -> u32 {
        let (selected, home) = (self.databases.selected, self.databases.label.space);
        self.select_space(space);
        let cause = match self.databases.databases()[usize::from(space)] {
            Some(database) => {
                self.databases.selected = database;
                cause
            }
            None => {
                self.account.add(self.cost(at));
                Cause::Flushed
            }
        };
        let hash = self.index.hash(self.slab.entry(at).key());
        let steps = self.remove_entry(at, hash, cause);
        self.databases.selected = selected;
        self.select_space(home);
        steps
    }

    /// Removes flushed items, for about so many steps. Returns the steps that are left.
    pub(super) fn sweep(&mut self, mut steps: u32) -> u32 {
        while steps > 0 && self.databases.is_sweeping() {
            let space = self.databases.flushed.trailing_zeros() as u8;
            steps = self.sweep_space(space, steps);
        }
        steps
    }

    /// Removes the items of one flushed space, for about so many steps. Returns the steps that are left.
    fn sweep_space(&mut self, space: u8, mut steps: u32) -> u32 {
        while steps > 0 {
            let home = self.databases.label.space;
            self.select_space(space);
            let mut batch = [EntryIndex::NONE; SWEEP_BATCH];
            let room = &mut batch[..SWEEP_BATCH.min(steps as usize)];
            let (segment, found) = self.index.some(self.databases.swept[usize::from(space)], room);
            self.databases.swept[usize::from(space)] = segment;
            for at in &batch[..found] {
                self.account.add(self.cost(*at));
                let hash = self.index.hash(self.slab.entry(*at).key());
                let spent = self.remove_entry(*at, hash, Cause::Flushed);
                steps = steps.saturating_sub(spent);
            }
            let swept = (found == 0).then(|| self.index.reset());
            self.select_space(home);
            if let Some(segments) = swept {
                self.databases.flushed &= !(1 << space);
                self.databases.parked[usize::from(space)] = Parked::default();
                self.garbage.push_back(Garbage::of_tables(segments, self.policy.walkway()));
                break;
            }
        }
        steps
    }

    /// Forgets all spaces but the selected one, whose items are all gone; their tables are freed in slices.
    pub(super) fn forget_spaces(&mut self) {
        let walkway = self.policy.walkway();
        for parked in self.databases.parked.iter_mut() {
            if let Some(mut index) = std::mem::take(parked).index {
                self.garbage.push_back(Garbage::of_tables(index.reset(), walkway));
            }
        }
        self.databases.elsewhere = Tally::default();
        self.databases.flushed = 0;
    }

    /// Marks every watcher of a stored key, which is about to be cleared with all others.
    pub(super) fn note_clear(&mut self) {
        for database in 0..DATABASES as u8 {
            self.note_flush(database, [database; 2]);
        }
    }

    /// Asserts that each item is in the index of its space, and that the tallies are right.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify_databases(&self) {
        let databases = &self.databases;
        let mut sums = [Tally::default(); SPACES as usize];
        for at in (0..self.slab.positions()).map(EntryIndex).filter(|at| self.slab.entry(*at).is_live()) {
            let space = self.slab.entry(at).space();
            let deadline_ms = self.deadline_ms(at);
            let is_accounted = !databases.is_flushed(space);
            sums[usize::from(space)].add(Tally {
                items: u64::from(is_accounted),
                bytes: if is_accounted { self.cost(at) } else { 0 },
                timed: u64::from(deadline_ms.is_some()),
                deadlines_ms: deadline_ms.unwrap_or(0).into(),
            });
        }
        let named = databases.databases();
        let (mut indexed, mut elsewhere) = (0, Tally::default());
        for (space, sum) in (0..SPACES as u8).zip(sums) {
            assert!(
                named[usize::from(space)].is_none() || !databases.is_flushed(space),
                "what is named is not flushed"
            );
            let tally = databases.parked[usize::from(space)].tally;
            match self.index_of(space) {
                Some(index) => indexed += index.verify(&self.slab, space),
                None => assert_eq!(sum, Tally::default()),
            }
            if space == databases.label.space {
                assert_eq!(tally, Tally::default());
                assert!(databases.parked[usize::from(space)].index.is_none());
                assert_eq!(self.total().less(databases.elsewhere), sum);
            } else {
                assert_eq!(tally, sum, "of space {space}");
                elsewhere.add(sum);
            }
        }
        assert_eq!(elsewhere, databases.elsewhere);
        assert_eq!(indexed, self.slab.len() as usize, "every item is in the index of its space");
        assert_eq!(databases.label.space, databases.space_of(databases.selected));
    }
}
