//! Single properties of the doors, by example.

use super::*;
use crate::limits::{EVICTIONS_PER_INSERT_MAX, KEY_BYTES_MAX};

const NOW_MS: u64 = 1_700_000_000_000;

fn unlimited() -> Shard {
    shard(Budget::UNLIMITED, Eviction::Lru)
}

fn put(shard: &mut Shard, key: &str, value: &str) {
    assert_eq!(shard.insert(key.as_bytes(), value.as_bytes(), Expiry::Never, NOW_MS), Ok(()));
}

#[test]
fn an_expired_item_is_returned_by_no_door() {
    let doors: [fn(&mut Shard) -> bool; 7] = [
        |shard| shard.get(b"k", Recency::Touch, NOW_MS + 5).is_some(),
        |shard| shard.peek(b"k", NOW_MS + 5).is_some(),
        |shard| shard.remove(b"k", NOW_MS + 5),
        |shard| shard.touch(b"k", NOW_MS + 5),
        |shard| shard.set_expiry(b"k", None, NOW_MS + 5),
        |shard| shard.random_key(7, NOW_MS + 5).is_some(),
        |shard| {
            let mut seen = false;
            shard.scan(0, 100, NOW_MS + 5, &mut |_, _| seen = true);
            seen
        },
    ];
    for door in doors {
        let mut shard = unlimited();
        shard.insert(b"k", b"v", Expiry::At(NOW_MS + 5), NOW_MS).unwrap();
        assert!(shard.peek(b"k", NOW_MS + 4).is_some());
        assert!(!door(&mut shard));
        shard.verify();
    }
}

#[test]
fn a_deadline_that_has_passed_removes() {
    let mut shard = unlimited();
    put(&mut shard, "k", "v");
    assert_eq!(shard.insert(b"k", b"w", Expiry::At(NOW_MS), NOW_MS), Ok(()));
    assert_eq!(shard.insert(b"new", b"w", Expiry::At(NOW_MS - 1), NOW_MS), Ok(()));
    assert_eq!((shard.len(), shard.counters().removals, shard.counters().insertions), (0, 1, 1));
    put(&mut shard, "k", "v");
    assert!(shard.set_expiry(b"k", Some(NOW_MS), NOW_MS));
    assert_eq!((shard.len(), shard.counters().removals), (0, 2));
}

#[test]
fn keep_keeps_the_deadline_and_never_drops_it() {
    let mut shard = unlimited();
    shard.insert(b"k", b"v", Expiry::At(NOW_MS + 9), NOW_MS).unwrap();
    shard.insert(b"k", b"longer", Expiry::Keep, NOW_MS).unwrap();
    assert_eq!(shard.peek(b"k", NOW_MS), Some(Item { value: b"longer", expires_at_ms: Some(NOW_MS + 9) }));
    shard.insert(b"k", b"w", Expiry::Never, NOW_MS).unwrap();
    assert_eq!(shard.peek(b"k", NOW_MS + 10), Some(Item { value: b"w", expires_at_ms: None }));
    assert_eq!((shard.timed_len(), shard.next_deadline_ms()), (0, None));
    shard.verify();
}

#[test]
fn what_can_never_fit_is_refused_and_the_old_value_stays() {
    for eviction in [Eviction::Lru, Eviction::None] {
        let mut shard = shard(Budget { items_max: 10, bytes_max: 1000 }, eviction);
        put(&mut shard, "k", "v");
        put(&mut shard, "other", "v");
        assert_eq!(shard.insert(b"k", &[0; 1000], Expiry::Never, NOW_MS), Err(Full));
        assert_eq!(shard.insert(b"n", &[0; 1000], Expiry::Never, NOW_MS), Err(Full));
        assert_eq!(shard.insert(&vec![0; KEY_BYTES_MAX + 1], b"", Expiry::Never, NOW_MS), Err(Full));
        assert_eq!(shard.peek(b"k", NOW_MS).unwrap().value, b"v");
        assert_eq!(shard.len(), 2);
        assert!(shard.take_pressure());
        assert!(!shard.take_pressure());
        shard.verify();
    }
}

#[test]
fn without_eviction_expired_items_make_room() {
    let mut shard = shard(Budget { items_max: 2, bytes_max: u64::MAX }, Eviction::None);
    shard.insert(b"a", b"v", Expiry::At(NOW_MS + 10), NOW_MS).unwrap();
    put(&mut shard, "b", "v");
    assert_eq!(shard.insert(b"c", b"v", Expiry::Never, NOW_MS + 9), Err(Full));
    assert_eq!(shard.insert(b"b", b"w", Expiry::Never, NOW_MS + 9), Ok(()), "overwriting goes on");
    assert_eq!(shard.insert(b"c", b"v", Expiry::Never, NOW_MS + 10), Ok(()));
    assert_eq!((shard.counters().expirations, shard.counters().evictions), (1, 0));
}

#[test]
fn the_least_recent_goes_first_and_an_expired_one_is_no_eviction() {
    let mut shard = shard(Budget { items_max: 3, bytes_max: u64::MAX }, Eviction::Lru);
    for key in ["a", "b", "c"] {
        put(&mut shard, key, "v");
    }
    shard.get(b"a", Recency::Touch, NOW_MS);
    shard.get(b"b", Recency::Keep, NOW_MS);
    put(&mut shard, "d", "v");
    assert!(shard.peek(b"b", NOW_MS).is_none() && shard.peek(b"a", NOW_MS).is_some());
    shard.set_expiry(b"c", Some(NOW_MS + 1), NOW_MS);
    shard.insert(b"e", b"v", Expiry::Never, NOW_MS + 1).unwrap();
    assert_eq!((shard.counters().evictions, shard.counters().expirations), (1, 1));
}

#[test]
fn debt_is_paid_in_slices() {
    let mut shard = unlimited();
    for i in 0..1000 {
        put(&mut shard, &format!("{i}"), "v");
    }
    shard.set_budget(Budget { items_max: 100, bytes_max: u64::MAX });
    put(&mut shard, "new", "v");
    assert_eq!(shard.counters().evictions, u64::from(EVICTIONS_PER_INSERT_MAX));
    let progress = shard.work(NOW_MS, 50);
    assert_eq!((progress.steps, progress.more), (50, true));
    while shard.work(NOW_MS, 50).more {}
    assert_eq!(shard.len(), 100);
    assert!(shard.peek(b"new", NOW_MS).is_some());
    shard.verify();
}

#[test]
fn clear_is_free_at_the_call_and_paid_in_slices() {
    let mut shard = unlimited();
    for i in 0..5000 {
        shard.insert(format!("{i}").as_bytes(), b"v", Expiry::At(NOW_MS + 1 + i), NOW_MS).unwrap();
    }
    assert_eq!(shard.clear(), 5000);
    assert_eq!((shard.len(), shard.bytes(), shard.timed_len(), shard.next_deadline_ms()), (0, 0, 0, None));
    put(&mut shard, "after", "v");
    shard.verify();
    assert_eq!(shard.clear(), 1);
    put(&mut shard, "after", "w");
    let mut slices = 0;
    while shard.work(NOW_MS + 10_000, 100).more {
        slices += 1;
    }
    assert!((50..200).contains(&slices), "{slices}");
    assert_eq!(shard.counters().expirations, 0);
    assert_eq!(shard.peek(b"after", NOW_MS).unwrap().value, b"w");
    assert_eq!(unlimited().clear(), 0);
}

#[test]
fn mass_expiry_starves_neither_debt_nor_garbage() {
    let mut shard = unlimited();
    put(&mut shard, "x", "v");
    shard.clear();
    for i in 0..3000 {
        shard.insert(format!("{i}").as_bytes(), b"v", Expiry::At(NOW_MS + 1000), NOW_MS).unwrap();
    }
    let mut slices = 0;
    while !shard.garbage.is_empty() {
        assert!(shard.work(NOW_MS + 1000, 64).more);
        slices += 1;
    }
    assert!(slices <= 2);
    while shard.work(NOW_MS + 1000, 64).more {}
    assert_eq!((shard.len(), shard.counters().expirations), (0, 3000));
    shard.verify();
}

#[test]
fn a_large_item_never_moves_for_its_deadline() {
    let mut shard = unlimited();
    let value = vec![1; 100_000];
    shard.insert(b"k", &value, Expiry::Never, NOW_MS).unwrap();
    let address = shard.peek(b"k", NOW_MS).unwrap().value.as_ptr();
    shard.set_expiry(b"k", Some(NOW_MS + 5), NOW_MS);
    shard.set_expiry(b"k", None, NOW_MS);
    shard.insert(b"k", &value, Expiry::At(NOW_MS + 5), NOW_MS).unwrap();
    assert_eq!(shard.peek(b"k", NOW_MS).unwrap().value.as_ptr(), address);
}

#[test]
fn a_random_key_is_any_key_even_of_a_sparse_slab() {
    let mut shard = unlimited();
    assert_eq!(shard.random_key(1, NOW_MS), None);
    for i in 0..20_000 {
        put(&mut shard, &format!("{i}"), "v");
    }
    let dense: std::collections::HashSet<_> = (0..500).map(|i| shard.random_key(i, NOW_MS).unwrap().to_vec()).collect();
    assert!(dense.len() > 450);
    for i in 3..20_000 {
        shard.remove(format!("{i}").as_bytes(), NOW_MS);
    }
    let sparse: std::collections::HashSet<_> =
        (0..500).map(|i| shard.random_key(i, NOW_MS).unwrap().to_vec()).collect();
    assert!(sparse.len() >= 2);
}

#[test]
fn counters_add_up_and_reset() {
    let mut shard = unlimited();
    put(&mut shard, "k", "v");
    shard.get(b"k", Recency::Touch, NOW_MS);
    shard.get(b"none", Recency::Touch, NOW_MS);
    let mut sum = *shard.counters();
    sum += *shard.counters();
    assert_eq!(sum, Counters { hits: 2, misses: 2, insertions: 2, ..Counters::default() });
    shard.reset_counters();
    assert_eq!(*shard.counters(), Counters::default());
}

#[test]
fn an_empty_shard_is_small() {
    assert!(size_of::<Shard>() < 4096);
}
