//! A cut against a naive copy: whatever happens to the shard while it is walked, what is written is what was there.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::persist::faulty::FaultyDisk;
use crate::persist::load::Item;
use crate::persist::{Disk, Header, Name, Record, Snapshot, Source};

/// A value and its deadline.
type Stored = (Vec<u8>, Option<u64>);

type Items = BTreeMap<Vec<u8>, Stored>;

#[derive(Clone, Copy, Debug)]
enum Op {
    Walk,
    Insert,
    InsertTimed,
    InsertLong,
    Get,
    Remove,
    Expire,
    Tick,
    Work,
    Shrink,
    Clear,
    Random,
}

const OPS: [(u8, Op); 12] = [
    (20, Op::Walk),
    (24, Op::Insert),
    (10, Op::InsertTimed),
    (3, Op::InsertLong),
    (20, Op::Get),
    (10, Op::Remove),
    (6, Op::Expire),
    (6, Op::Tick),
    (8, Op::Work),
    (2, Op::Shrink),
    (1, Op::Clear),
    (3, Op::Random),
];

const BIG: Budget = Budget { items_max: 1000, bytes_max: 1 << 30 };

fn copy(shard: &Shard, now_ms: u64) -> Items {
    let mut items = Items::new();
    let done = shard.scan(0, u32::MAX, now_ms, &mut |key, item| {
        items.insert(key.to_vec(), (item.value.to_vec(), item.expires_at_ms));
    });
    assert_eq!(done, None);
    items
}

fn step(shard: &mut Shard, op: Op, (a, b): (u16, u16), now_ms: &mut u64) {
    let key = format!("key:{}", a % 64).into_bytes();
    let value = vec![b as u8; usize::from(b % 40)];
    match op {
        Op::Walk => drop(shard.walk_cut(1 + usize::from(a % 9), 1 + usize::from(b % 200))),
        Op::Insert => drop(shard.insert(&key, &value, Expiry::Never, *now_ms)),
        Op::InsertTimed => drop(shard.insert(&key, &value, Expiry::At(*now_ms + u64::from(b % 200)), *now_ms)),
        Op::InsertLong => drop(shard.insert(&key, &vec![7; 300 + usize::from(b % 5000)], Expiry::Keep, *now_ms)),
        Op::Get => drop(shard.get(&key, Recency::Touch, *now_ms)),
        Op::Remove => drop(shard.remove(&key, *now_ms)),
        Op::Expire => drop(shard.set_expiry(&key, (b % 3 > 0).then_some(*now_ms + u64::from(b % 90)), *now_ms)),
        Op::Tick => *now_ms += u64::from(a % 50),
        Op::Work => drop(shard.work(*now_ms, 1 + u32::from(a % 60))),
        Op::Shrink => shard.set_budget(Budget { items_max: 1 + u64::from(a % 60), ..BIG }),
        Op::Clear => drop(shard.clear()),
        Op::Random => drop(shard.touch(&key, *now_ms)),
    }
}

/// Everything that the cut has to say, as a file and back: items in the order of the file.
fn written(shard: &mut Shard, id: u64) -> Vec<(Vec<u8>, Stored)> {
    let mut disk = FaultyDisk::default();
    let name = Name::parse(b"f").unwrap();
    let mut file =
        Snapshot::begin(&mut disk, name, Header { cores: 1, id, created_ms: 1, has_databases: false }).unwrap();
    while let Some(mut block) = shard.take_block() {
        file.block(&mut block).unwrap();
    }
    file.finish(&mut disk).unwrap();
    let mut items = Vec::new();
    let mut source = Source::open(disk.open("f").unwrap()).unwrap();
    source
        .read(|Item { record, .. }| {
            items.push((record.key.to_vec(), (record.value.to_vec(), record.expires_at_ms)));
            true
        })
        .unwrap();
    items
}

proptest! {
    #![proptest_config(config(400))]
    #[test]
    fn what_is_written_is_what_was_there((mask, before) in runs(120), (other, during) in runs(160), s3 in any::<bool>()) {
        let mut shard = shard(BIG, if s3 { Eviction::S3Fifo } else { Eviction::Lru });
        let mut now_ms = 1_750_000_000_000;
        for &(kind, a, b) in &before {
            step(&mut shard, pick(&OPS, (mask, kind)), (a, b), &mut now_ms);
        }
        shard.verify();
        let was = copy(&shard, now_ms);
        shard.begin_cut(0, 5, now_ms);
        shard.verify();
        for &(kind, a, b) in &during {
            step(&mut shard, pick(&OPS, (other, kind)), (a, b), &mut now_ms);
            shard.verify();
        }
        while !shard.walk_cut(5, 100) {
            shard.verify();
        }
        let progress = shard.cut_progress().unwrap();
        prop_assert_eq!(progress.done, progress.total);
        let items = written(&mut shard, 5);
        prop_assert_eq!(items.len(), was.len(), "every item once");
        prop_assert_eq!(items.into_iter().collect::<Items>(), was);
        shard.end_cut();
        shard.verify();
        while shard.work(now_ms, 100).more {}
        shard.verify();
    }
}

#[test]
fn a_walk_goes_from_the_least_recent_on_and_evictions_with_it() {
    let mut shard = shard(BIG, Eviction::Lru);
    for at in 0..100u32 {
        shard.insert(&at.to_le_bytes(), b"v", Expiry::Never, 1000).unwrap();
    }
    for at in 0..50u32 {
        shard.touch(&at.to_le_bytes(), 1000);
    }
    shard.begin_cut(0, 5, 1000);
    shard.walk_cut(10, 10_000);
    // More go than the walk has seen to.
    shard.set_budget(Budget { items_max: 70, ..BIG });
    while shard.work(1000, 100).more {}
    assert_eq!(shard.len(), 70);
    while !shard.walk_cut(10, 10_000) {}
    let keys: Vec<_> = written(&mut shard, 5).into_iter().map(|(key, _)| key).collect();
    let expected: Vec<_> = (50..100).chain(0..50u32).map(|at| at.to_le_bytes().to_vec()).collect();
    assert_eq!(keys, expected);
}

#[test]
fn a_cut_that_is_not_wanted_leaves_nothing() {
    let mut shard = shard(BIG, Eviction::Lru);
    for at in 0..100u32 {
        shard.insert(&at.to_le_bytes(), b"v", Expiry::Never, 1000).unwrap();
    }
    shard.begin_cut(0, 5, 1000);
    shard.walk_cut(10, 10_000);
    shard.clear();
    shard.verify();
    shard.end_cut();
    while shard.work(1000, 100).more {}
    assert!(shard.is_empty() && shard.cut_progress().is_none() && shard.take_block().is_none());
    shard.begin_cut(0, 6, 1000);
    assert!(shard.walk_cut(1, 1));
}

#[test]
fn a_long_value_is_written_in_parts_and_finished_before_it_changes() {
    let mut shard = shard(Budget { items_max: 10, bytes_max: 1 << 30 }, Eviction::Lru);
    let long: Vec<u8> = (0..3_000_000u32).map(|at| at as u8).collect();
    shard.insert(b"long", &long, Expiry::Never, 1000).unwrap();
    shard.insert(b"short", b"s", Expiry::Never, 1000).unwrap();
    shard.begin_cut(0, 5, 1000);
    for _ in 0..10 {
        assert!(!shard.walk_cut(10, 1000));
        shard.verify();
    }
    shard.insert(b"long", b"new", Expiry::Never, 1000).unwrap();
    while !shard.walk_cut(10, 1000) {}
    let items: HashMap<_, _> = written(&mut shard, 5).into_iter().collect();
    assert_eq!(items[&b"long"[..]].0, long);
    assert_eq!(items[&b"short"[..]].0, b"s");
}

#[test]
fn what_is_loaded_is_as_old_as_it_was() {
    let mut shard = shard(BIG, Eviction::Lru);
    let record = |key, expires_at_ms| Record { database: 0, key, value: b"v", expires_at_ms, accessed_s: 900 };
    assert_eq!(shard.load(&record(b"a", None), 1_000_000), Ok(true));
    assert_eq!(shard.load(&record(b"gone", Some(1_000_000)), 1_000_000), Ok(false));
    assert_eq!(shard.load(&record(b"timed", Some(1_000_001)), 1_000_000), Ok(true));
    assert_eq!(shard.idle_s(b"a", 1_000_000), Some(100));
    assert_eq!(shard.peek(b"timed", 1_000_000).unwrap().expires_at_ms, Some(1_000_001));
    assert_eq!(shard.peek(b"timed", 1_000_001), None);
    assert_eq!(shard.len(), 2);
    assert!(shard.changes() >= 2);
}

#[test]
fn a_load_tells_of_nothing_but_what_makes_room_for_it() {
    let mut shard = shard(Budget { items_max: 1, ..BIG }, Eviction::Lru);
    shard.set_events_wanted(u32::MAX);
    let record = |key| Record { database: 0, key, value: b"v", expires_at_ms: Some(2_000_000), accessed_s: 900 };
    assert_eq!(shard.load(&record(b"a"), 1_000_000), Ok(true));
    assert!(!shard.has_events());
    assert_eq!(shard.load(&record(b"b"), 1_000_000), Ok(true));
    let told = shard.take_events(Vec::new());
    assert_eq!(noted(&told).collect::<Vec<_>>(), [(Event::Evicted, 0, &b"a"[..])]);
    shard.insert(b"b", b"w", Expiry::Keep, 1_000_000).unwrap();
    assert!(shard.has_events(), "afterwards everything is told of again");
}
