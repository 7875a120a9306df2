//! Index: finds an entry by its key. A directory of small hash tables ("segments") that grow one at a time.
//!
//! Owner: `Shard`. Core: the shard's own. Cost: about 9 bytes per item; a lookup is two loads of directory and
//! segment (cached up to millions of items), then one probe. Never: owns or compares a key (the caller's closure
//! does), rehashes more than one segment in an insert, gives memory back before `reset`.
//!
//! The directory divides the hash's range into equal cells; a segment covers a run of cells. A full segment is
//! cut at about 3 : 2 of its run, not in halves: with halves all segments fill up at the same time, so that
//! splits come in storms and the memory per item swings by a factor of two. Cut unevenly, their fill levels
//! spread out, and both stay level at every size. The smaller part starts in a table of half the size.
//!
//! Invariant: the segments' runs tile the directory in disjoint, unbroken ranges; an entry is in the segment
//! that covers its key's hash, once; a table has room for one more before anything is inserted.

use ahash::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

use super::entry::EntryIndex;
use super::pages::Pages;
use super::slab::Slab;
use crate::limits::{
    DIRECTORY_CELLS_MIN, DIRECTORY_CELLS_PER_SEGMENT_MAX, SEGMENT_BUCKETS_MAX, SEGMENT_PAGE_TABLES,
    SEGMENT_SPLIT_ENTRIES_MIN, SPLIT_CELLS_MIN,
};

/// Keys whose loads are overlapped while a segment is rehashed: more than the misses a core can have in flight.
const REHASH_LANES: usize = 32;

/// A segment: one table, and the range of hashes that it covers.
pub(super) struct Segment {
    table: HashTable<u32>,
    /// The first and the last upper half of a hash in the range.
    first: u32,
    last: u32,
}

/// The segments of an index, by number, in pages so that their list is never copied either.
#[derive(Default)]
pub(super) struct Segments {
    pages: Pages<Segment, SEGMENT_PAGE_TABLES>,
    len: u32,
}

/// The hash index of a shard.
pub(super) struct Index {
    hasher: RandomState,
    /// The number of the segment that covers each cell; a power of two of them.
    cells: Vec<u32>,
    /// A hash shifted right by this is its cell.
    cell_shift: u32,
    segments: Segments,
    /// Room for the entries and hashes of one segment while it is rehashed.
    moving: Vec<(u64, u32)>,
    /// Keys hashed again because a table was full, since the index was made.
    rehashed: u64,
}

impl Index {
    /// An empty index.
    pub(super) fn new(seeds: [u64; 4]) -> Self {
        let mut index = Self {
            hasher: RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3]),
            cells: Vec::new(),
            cell_shift: 0,
            segments: Segments::default(),
            moving: Vec::new(),
            rehashed: 0,
        };
        index.reset();
        index
    }

    /// Empties the index, at once. Returns its tables, to be freed in slices.
    pub(super) fn reset(&mut self) -> Segments {
        self.cells = vec![0; DIRECTORY_CELLS_MIN];
        self.cell_shift = u64::BITS - DIRECTORY_CELLS_MIN.ilog2();
        let old = std::mem::take(&mut self.segments);
        self.segments.push(Segment::empty());
        old
    }

    /// Adds an entry under the hash of its key, which is absent.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, at: EntryIndex, slab: &Slab) {
        let mut segment = self.segment_of(hash);
        while self.segments.at(segment).is_full() {
            self.make_room(segment, slab);
            segment = self.segment_of(hash);
        }
        self.segments.at_mut(segment).put(hash, at.0);
    }

    /// Removes an entry by the hash of its key.
    pub(super) fn remove(&mut self, hash: u64, at: EntryIndex) {
        let segment = self.segment_of(hash);
        match self.segments.at_mut(segment).table.find_entry(table_hash(hash), |&found| found == at.0) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("every item is in the index"),
        }
    }

    /// The hash of a key, which the other functions take so that no key is hashed twice.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        hash_key(&self.hasher, key)
    }

    /// The entry under this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(EntryIndex) -> bool) -> Option<EntryIndex> {
        let segment = self.segments.at(self.segment_of(hash));
        segment.table.find(table_hash(hash), |&at| is_it(EntryIndex(at))).map(|&at| EntryIndex(at))
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> u32 {
        self.cells[(hash >> self.cell_shift) as usize]
    }

    /// Rehashes one full segment: into a larger table, into the same one if it is full of tombstones only, or into two
    /// segments.
    #[cold]
    fn make_room(&mut self, number: u32, slab: &Slab) {
        self.gather(number, slab);
        let segment = self.segments.at_mut(number);
        let (len, room) = (segment.table.len(), segment.room());
        if segment.table.num_buckets() < SEGMENT_BUCKETS_MAX {
            let crowded = len >= room - room / 4;
            segment.refill(&self.moving, if crowded { room + 1 } else { room });
        } else if len < SEGMENT_SPLIT_ENTRIES_MIN {
            segment.refill(&self.moving, room);
        } else if self.ensure_cells(number) {
            self.split(number);
        } else {
            self.segments.at_mut(number).refill(&self.moving, room + 1);
        }
    }

    /// Collects the entries of a segment with their hashes. In three passes without loads that depend on each
    /// other, so that the cache misses of many keys overlap.
    fn gather(&mut self, number: u32, slab: &Slab) {
        let segment = self.segments.at(number);
        self.moving.clear();
        self.moving.reserve_exact(segment.table.len());
        self.moving.extend(segment.table.iter().map(|&at| (0, at)));
        self.rehashed += self.moving.len() as u64;
        let hasher = &self.hasher;
        for lanes in self.moving.chunks_mut(REHASH_LANES) {
            let mut keys: [&[u8]; REHASH_LANES] = [&[]; REHASH_LANES];
            for (key, &mut (_, at)) in keys.iter_mut().zip(lanes.iter_mut()) {
                *key = slab.entry(EntryIndex(at)).key();
            }
            let loaded = keys.iter().fold(0, |sum: u8, key| sum ^ key.first().copied().unwrap_or(0));
            std::hint::black_box(loaded);
            for (key, (hash, _)) in keys.iter().zip(lanes.iter_mut()) {
                *hash = hash_key(hasher, key);
            }
        }
    }

    /// Doubles the directory until a segment covers enough cells to be split. False if the directory would be large out
    /// of all proportion, as it is only when very many keys have nearly one hash.
    fn ensure_cells(&mut self, number: u32) -> bool {
        while self.segments.at(number).run(self.cell_shift).1 < SPLIT_CELLS_MIN {
            let bound = DIRECTORY_CELLS_PER_SEGMENT_MAX * self.segments.len as usize;
            if self.cells.len() >= bound || self.cell_shift <= u32::BITS {
                return false;
            }
            let mut cells = Vec::with_capacity(2 * self.cells.len());
            for &segment in &self.cells {
                cells.extend_from_slice(&[segment; 2]);
            }
            self.cells = cells;
            self.cell_shift -= 1;
        }
        true
    }

    /// Splits a segment whose entries have been gathered: the upper two fifths of its cells go to a new one.
    fn split(&mut self, number: u32) {
        let (from, run) = self.segments.at(number).run(self.cell_shift);
        let upper_from = from + run - (2 * run + 2) / 5;
        let bound = ((u64::from(upper_from) << self.cell_shift) >> u32::BITS) as u32;
        let fresh = self.segments.len;
        for cell in upper_from..from + run {
            self.cells[cell as usize] = fresh;
        }
        let is_lower = |&(hash, _): &(u64, u32)| ((hash >> u32::BITS) as u32) < bound;
        let lower_len = partition(&mut self.moving, is_lower);
        let (lower, upper) = self.moving.split_at(lower_len);
        let segment = self.segments.at_mut(number);
        let mut new = Segment { table: HashTable::new(), first: bound, last: segment.last };
        segment.last = bound - 1;
        segment.refill(lower, lower.len() + lower.len() / 8);
        new.refill(upper, upper.len() + upper.len() / 8);
        self.segments.push(new);
    }

    /// Exchanges the contents of two indexes of one shard; what they share in turn stays where it is.
    pub(super) fn exchange(&mut self, other: &mut Index) {
        std::mem::swap(&mut self.hasher, &mut other.hasher);
        std::mem::swap(&mut self.cells, &mut other.cells);
        std::mem::swap(&mut self.cell_shift, &mut other.cell_shift);
        std::mem::swap(&mut self.segments, &mut other.segments);
    }

    /// The number of entries: a look at each segment.
    pub(super) fn len(&self) -> usize {
        (0..self.segments.len).map(|number| self.segments.at(number).table.len()).sum()
    }

    /// Some entries of the first segment from `from` on that has any, as many as there is room for. Returns the segment, and
    /// how many they are: none if those segments are empty.
    pub(super) fn some(&self, from: u32, room: &mut [EntryIndex]) -> (u32, usize) {
        let mut numbers = from..self.segments.len;
        let Some(number) = numbers.find(|number| !self.segments.at(*number).table.is_empty()) else {
            return (self.segments.len, 0);
        };
        let mut found = 0;
        for (place, at) in room.iter_mut().zip(&self.segments.at(number).table) {
            *place = EntryIndex(*at);
            found += 1;
        }
        (number, found)
    }

    /// All entries, from a random one on.
    pub(super) fn rotated(&self, random: u64) -> impl Iterator<Item = EntryIndex> {
        let from = self.segment_of(random);
        let table = |number: u32| &self.segments.at(number).table;
        let skipped = match table(from).len() as u64 {
            0 => 0,
            len => ((random & u64::from(u32::MAX)) * len) >> u32::BITS,
        };
        let first = table(from).iter().skip(skipped as usize);
        let others = (from + 1..self.segments.len).chain(0..=from).flat_map(move |number| table(number).iter());
        first.chain(others).map(|at| EntryIndex(*at))
    }

    /// The number of keys hashed again so far.
    #[inline]
    pub(super) fn rehashed(&self) -> u64 {
        self.rehashed
    }

    /// The numbers of segments, of buckets in all of them, and of cells.
    #[cfg(test)]
    pub(super) fn shape(&self) -> (usize, usize, usize) {
        let buckets = (0..self.segments.len).map(|number| self.segments.at(number).table.num_buckets()).sum();
        (self.segments.len as usize, buckets, self.cells.len())
    }

    /// The runs tile the directory, and each item is of the space, in its segment, once. Returns how many there are.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self, slab: &Slab, space: u8) -> usize {
        assert_eq!(self.cells.len(), 1 << (u64::BITS - self.cell_shift));
        let mut covered = 0;
        let mut seen = std::collections::HashSet::new();
        for number in 0..self.segments.len {
            let segment = self.segments.at(number);
            let (from, run) = segment.run(self.cell_shift);
            covered += run as usize;
            let cells = &self.cells[from as usize..(from + run) as usize];
            assert!(cells.iter().all(|&cell| cell == number), "a segment owns its run");
            for &at in &segment.table {
                let entry = slab.entry(EntryIndex(at));
                assert!(entry.is_live(), "only items are in the index");
                assert_eq!(entry.space(), space, "an item is in the index of its space");
                assert!(seen.insert(at), "an item is in the index once");
                let hash = self.hash(entry.key());
                assert_eq!(self.segment_of(hash), number, "an item is in its segment");
                assert_eq!(self.find(hash, |found| found.0 == at), Some(EntryIndex(at)));
            }
        }
        assert_eq!(covered, self.cells.len(), "every cell has a segment");
        seen.len()
    }
}

impl Segments {
    fn push(&mut self, segment: Segment) {
        if u64::from(self.len) == self.pages.capacity() {
            self.pages.grow(Segment::empty);
        }
        *self.pages.at_mut(self.len) = segment;
        self.len += 1;
    }

    /// Takes the segments apart from the end, when no index refers to them any more: frees one table or one
    /// page of them. False when nothing is left.
    pub(super) fn dismantle(&mut self) -> bool {
        if self.pages.is_empty() {
            return false;
        }
        if u64::from(self.len) <= self.pages.capacity() - SEGMENT_PAGE_TABLES as u64 {
            self.pages.pop();
        } else {
            self.len -= 1;
            self.pages.at_mut(self.len).table = HashTable::new();
        }
        true
    }

    #[inline]
    fn at(&self, number: u32) -> &Segment {
        self.pages.at(number)
    }

    #[inline]
    fn at_mut(&mut self, number: u32) -> &mut Segment {
        self.pages.at_mut(number)
    }
}

impl Segment {
    /// A segment for every hash.
    fn empty() -> Self {
        Self { table: HashTable::new(), first: 0, last: u32::MAX }
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.table.len() == self.table.capacity()
    }

    /// Entries the table can hold when no removal has left its mark: hashbrown's 7/8 of the buckets. Its own
    /// `capacity` leaves those marks out.
    fn room(&self) -> usize {
        match self.table.num_buckets() {
            buckets @ 0..8 => buckets.saturating_sub(1),
            buckets => buckets / 8 * 7,
        }
    }

    /// Adds an entry to a table that is not full, so that hashbrown never has to rehash on its own.
    #[inline]
    fn put(&mut self, hash: u64, at: u32) {
        debug_assert!(!self.is_full());
        self.table.insert_unique(table_hash(hash), at, |_| unreachable!("the table has room"));
    }

    /// Replaces the table's contents, keeping the table if it is of the right size.
    fn refill(&mut self, entries: &[(u64, u32)], capacity: usize) {
        let room = self.room();
        // Clearing an empty table leaves the marks of removals in it, and it may hold nothing else.
        if (room / 2 + 1..=room).contains(&capacity) && !self.table.is_empty() {
            self.table.clear();
        } else {
            self.table = HashTable::with_capacity(capacity.max(entries.len() + 1));
        }
        debug_assert_eq!(self.table.capacity(), self.room(), "no mark is left");
        for &(hash, at) in entries {
            self.put(hash, at);
        }
    }

    /// The cells of this segment: the first one, and how many.
    fn run(&self, cell_shift: u32) -> (u32, u32) {
        let cell = |upper_half: u32| ((u64::from(upper_half) << u32::BITS) >> cell_shift) as u32;
        (cell(self.first), cell(self.last) - cell(self.first) + 1)
    }
}

/// The hash as the table gets it: hashbrown takes a position from the low bits and a tag from the top 7. The
/// directory has used up the top bits, which are the same throughout a segment, so others are turned there.
#[inline]
fn table_hash(hash: u64) -> u64 {
    hash.rotate_right(7)
}

#[inline]
pub(super) fn hash_key(hasher: &RandomState, key: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(key);
    state.finish()
}

/// Moves those of which `is_first` holds to the front; returns how many there are.
fn partition<T>(items: &mut [T], is_first: impl Fn(&T) -> bool) -> usize {
    let mut first_len = 0;
    for i in 0..items.len() {
        if is_first(&items[i]) {
            items.swap(i, first_len);
            first_len += 1;
        }
    }
    first_len
}
