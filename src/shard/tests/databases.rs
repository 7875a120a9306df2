//! Several databases of one shard against a naive map: equal keys in all of them, flushes in the middle of sliced work,
//! swaps, moves, evictions, scans, and cuts that begin and end anywhere.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::limits::SPACES;
use crate::persist::faulty::FaultyDisk;
use crate::persist::{Disk, Header, Name, Record, Snapshot, Source};

const NOW_MS: u64 = 1_700_000_000_000;
/// Databases of the test.
const COUNT: u8 = 4;

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert,
    InsertTimed,
    Get,
    Remove,
    Flush,
    Swap,
    Clear,
    Tick,
    Work,
    Watch,
    Shrink,
    BeginCut,
    WalkCut,
}

const OPS: [(u8, Op); 13] = [
    (40, Op::Insert),
    (12, Op::InsertTimed),
    (14, Op::Get),
    (8, Op::Remove),
    (6, Op::Flush),
    (5, Op::Swap),
    (1, Op::Clear),
    (5, Op::Tick),
    (10, Op::Work),
    (4, Op::Watch),
    (2, Op::Shrink),
    (3, Op::BeginCut),
    (6, Op::WalkCut),
];

type Stored = (Vec<u8>, Option<u64>);
type Items = BTreeMap<(Database, Vec<u8>), Stored>;

struct Pair {
    shard: Shard,
    items: Items,
    now_ms: u64,
    /// What is watched, and whether it has changed.
    watched: Option<(Database, Vec<u8>, bool)>,
    /// What a cut under way has to hold.
    cut: Option<Items>,
}

/// What is stored in every database, as the shard's scan says.
fn contents(shard: &mut Shard, now_ms: u64) -> Items {
    let mut items = Items::new();
    for database in 0..COUNT {
        shard.select(database);
        let mut seen = 0;
        let mut from = 0;
        while let Some(next) = shard.scan(from, 3, now_ms, &mut |key, item| {
            items.insert((database, key.to_vec()), (item.value.to_vec(), item.expires_at_ms));
            seen += 1;
        }) {
            assert!(next > from);
            from = next;
        }
        let random = shard.random_key(now_ms ^ u64::from(database) << 40, now_ms).map(<[u8]>::to_vec);
        match random {
            Some(key) => assert!(items.contains_key(&(database, key))),
            None => assert_eq!(seen, 0, "a bounded walk sees a few keys"),
        }
    }
    shard.select(0);
    items
}

/// The items in a cut that has been walked to its end.
fn written(shard: &mut Shard) -> Items {
    let mut disk = FaultyDisk::default();
    let name = Name::parse(b"cut").expect("a name");
    let header = Header { cores: 1, id: 7, created_ms: 1, has_databases: false };
    let mut file = Snapshot::begin(&mut disk, name.clone(), header).expect("a file");
    while let Some(mut block) = shard.take_block() {
        file.block(&mut block).expect("a block");
    }
    file.finish(&mut disk).expect("the disk is whole");
    let mut items = Items::new();
    let mut source = Source::open(disk.open(name.as_str()).expect("the file")).expect("whole");
    source
        .read(|item| {
            let Record { database, key, value, expires_at_ms, .. } = item.record;
            let stored = (value.to_vec(), expires_at_ms);
            assert_eq!(items.insert((database, key.to_vec()), stored), None, "an item is written once");
            true
        })
        .expect("whole");
    let last = items.keys().map(|(database, _)| *database).max().unwrap_or(0);
    assert_eq!(source.summary().database_last, last);
    items
}

impl Pair {
    fn new() -> Pair {
        let shard = shard(Budget::UNLIMITED, Eviction::Lru);
        Pair { shard, items: Items::new(), now_ms: NOW_MS, watched: None, cut: None }
    }

    fn step(&mut self, op: Op, a: u16, b: u16) {
        let database = (b % u16::from(COUNT)) as Database;
        let key = format!("key:{}", a % 12).into_bytes();
        let at = (database, key.clone());
        let now_ms = self.now_ms;
        self.shard.select(database);
        match op {
            Op::Insert | Op::InsertTimed => {
                let deadline_ms = matches!(op, Op::InsertTimed).then(|| now_ms + 1 + u64::from(b % 50));
                let value = vec![b as u8; usize::from(a % 40)];
                let expiry = deadline_ms.map_or(Expiry::Never, Expiry::At);
                assert_eq!(self.shard.insert(&key, &value, expiry, now_ms), Ok(()));
                self.items.insert(at.clone(), (value, deadline_ms));
                self.change(|watched| *watched == at);
            }
            Op::Get => {
                let got = self.shard.get(&key, Recency::Touch, now_ms);
                let expected = self.items.get(&at).map(|(value, deadline_ms)| (&value[..], *deadline_ms));
                assert_eq!(got.map(|item| (item.value, item.expires_at_ms)), expected);
                assert_eq!(self.shard.peek_in(database, &key, now_ms).map(|item| item.value), expected.map(|it| it.0));
            }
            Op::Remove => {
                let existed = self.items.remove(&at).is_some();
                assert_eq!(self.shard.remove(&key, now_ms), existed);
                if existed {
                    self.change(|watched| *watched == at);
                }
            }
            Op::Flush => {
                // What has expired counts still, unless it was reached.
                assert!(
                    self.shard.flush() >= self.items.range((database, vec![])..(database + 1, vec![])).count() as u64
                );
                self.empty(|of| of == database);
                assert_eq!(self.shard.size_of(database), DatabaseSize::default());
            }
            Op::Clear => {
                self.shard.clear();
                self.empty(|_| true);
            }
            Op::Swap => self.swap(database, (a % u16::from(COUNT)) as Database),
            Op::Tick => self.now_ms += u64::from(b % 20),
            Op::Work => drop(self.shard.work(now_ms, 1 + u32::from(b % 12))),
            Op::Watch => {
                if self.watched.take().is_some() {
                    self.shard.unwatch(1);
                }
                self.shard.watch(&key, 1, now_ms);
                self.watched = Some((database, key, false));
            }
            Op::Shrink => self.shrink(1 + u64::from(a % 30)),
            Op::BeginCut if self.cut.is_none() => {
                self.shard.begin_cut(0, 7, now_ms);
                self.cut = Some(self.items.clone());
            }
            Op::BeginCut => {}
            Op::WalkCut => {
                if self.cut.is_some() && self.shard.walk_cut(usize::from(1 + a % 6), 1 << 20) {
                    assert_eq!(written(&mut self.shard), self.cut.take().expect("a cut"));
                    self.shard.end_cut();
                }
            }
        }
        self.shard.select(0);
        self.expire();
    }

    /// Removes what has expired from the map.
    fn expire(&mut self) {
        let now_ms = self.now_ms;
        let expired = |stored: &Stored| stored.1.is_some_and(|deadline_ms| deadline_ms <= now_ms);
        let gone: Vec<_> = self.items.iter().filter(|(_, stored)| expired(stored)).map(|(at, _)| at.clone()).collect();
        self.change(|watched| gone.contains(watched));
        self.items.retain(|_, stored| !expired(stored));
    }

    fn swap(&mut self, database: Database, other: Database) {
        self.shard.select(0);
        self.shard.swap(database, other);
        let swapped = |of: Database| match of {
            of if of == database => other,
            of if of == other => database,
            of => of,
        };
        let items = std::mem::take(&mut self.items);
        let is_either = |(of, key): &(Database, Vec<u8>)| {
            let either = *of == database || *of == other;
            either && [database, other].iter().any(|of| items.contains_key(&(*of, key.clone())))
        };
        self.change(is_either);
        self.items = items.into_iter().map(|((of, key), stored)| ((swapped(of), key), stored)).collect();
    }

    /// Evicts items until so many are left.
    fn shrink(&mut self, items_max: u64) {
        let now_ms = self.now_ms;
        self.shard.set_budget(Budget { items_max, bytes_max: u64::MAX });
        while self.shard.work(now_ms, 20).more {}
        assert!(self.shard.len() <= items_max);
        self.shard.set_budget(Budget::UNLIMITED);
        let kept = contents(&mut self.shard, now_ms);
        let gone: Vec<_> = self.items.keys().filter(|at| !kept.contains_key(*at)).cloned().collect();
        self.change(|watched| gone.contains(watched));
        self.items.retain(|at, _| kept.contains_key(at));
    }

    /// Marks what is watched, if it has changed.
    fn change(&mut self, has_changed: impl Fn(&(Database, Vec<u8>)) -> bool) {
        if let Some((database, key, changed)) = &mut self.watched {
            *changed |= has_changed(&(*database, key.clone()));
        }
    }

    /// Empties databases.
    fn empty(&mut self, which: impl Fn(Database) -> bool) {
        let gone: Vec<_> = self.items.keys().filter(|(of, _)| which(*of)).cloned().collect();
        self.change(|watched| gone.contains(watched));
        self.items.retain(|(of, _), _| !which(*of));
    }

    fn check(&mut self) {
        self.shard.verify();
        assert_eq!(contents(&mut self.shard, self.now_ms), self.items);
        if let Some((.., changed)) = self.watched {
            assert_eq!(self.shard.has_changed(1, self.now_ms), changed);
        }
        let sizes = (0..COUNT).map(|database| self.shard.size_of(database).items);
        assert_eq!(sizes.sum::<u64>(), self.shard.len());
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn databases_are_maps_of_their_own((mask, ops) in runs(200)) {
        let mut pair = Pair::new();
        for (raw, a, b) in ops {
            pair.step(pick(&OPS, (mask, raw)), a, b);
            pair.check();
        }
        pair.shard.end_cut();
        while pair.shard.work(pair.now_ms, 7).more {}
        pair.shard.verify();
        prop_assert!(pair.shard.garbage.is_empty());
    }
}

/// Key events say in which database, and MOVE's are in Redis's order.
#[test]
fn events_name_the_database() {
    let mut shard = shard(Budget::UNLIMITED, Eviction::Lru);
    shard.set_events_wanted(u32::MAX);
    shard.select(3);
    shard.insert(b"k", b"v", Expiry::At(NOW_MS + 5), NOW_MS).expect("room");
    shard.select(5);
    shard.insert_moved(b"k", b"v", Some(NOW_MS + 5), NOW_MS).expect("room");
    shard.select(3);
    assert!(shard.remove_moved(b"k", NOW_MS));
    shard.select(0);
    while shard.work(NOW_MS + 6, 10).more {}
    let events = shard.take_events(Vec::new());
    let told: Vec<_> = noted(&events).map(|(event, database, _)| (event, database)).collect();
    let expected = [
        (Event::New, 3),
        (Event::Set, 3),
        (Event::Expire, 3),
        (Event::New, 5),
        (Event::MoveFrom, 3),
        (Event::MoveTo, 5),
        (Event::Expired, 5),
    ];
    assert_eq!(told, expected);
}

/// As many flushes as there are spaces to spare, and more, each of more items than a slice removes.
#[test]
fn flushes_in_a_row_find_a_space() {
    let mut shard = shard(Budget::UNLIMITED, Eviction::Lru);
    shard.insert(b"stays", b"v", Expiry::Never, NOW_MS).expect("room");
    for round in 0..40u32 {
        shard.select(1);
        for key in 0..100u32 {
            shard.insert(&key.to_le_bytes(), &round.to_le_bytes(), Expiry::Never, NOW_MS).expect("room");
        }
        assert_eq!(shard.flush(), 100);
        assert_eq!((shard.len(), shard.selected_len()), (1, 0));
        shard.select(0);
        shard.verify();
    }
    while shard.work(NOW_MS, 50).more {}
    shard.verify();
    assert_eq!(shard.slab.len(), 1);
    assert!(shard.peek(b"stays", NOW_MS).is_some());
}

/// No flush waits for a large database that was flushed before it, if a small one can make place.
#[test]
fn a_flush_that_needs_a_space_sweeps_the_smallest() {
    const LARGE: u32 = 5_000;
    let mut shard = shard(Budget::UNLIMITED, Eviction::Lru);
    shard.insert(b"stays", b"v", Expiry::Never, NOW_MS).expect("room");
    for items in std::iter::once(LARGE).chain([3; 2 * SPACES as usize]) {
        shard.select(1);
        for key in 0..items {
            shard.insert(&key.to_le_bytes(), b"v", Expiry::Never, NOW_MS).expect("room");
        }
        assert_eq!(shard.flush(), u64::from(items));
        shard.select(0);
    }
    shard.verify();
    assert!(shard.slab.len() > LARGE, "the large one waits for slices of work");
}
