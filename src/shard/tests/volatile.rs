//! Policies of items with a deadline alone: nothing else goes, and who goes first.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 1_700_000_000_000;

fn name(key: u16) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

fn put(shard: &mut Shard, key: &str, expiry: Expiry) {
    assert_eq!(shard.insert(key.as_bytes(), b"v", expiry, NOW_MS), Ok(()));
}

fn has(shard: &Shard, key: &str) -> bool {
    shard.peek(key.as_bytes(), NOW_MS).is_some()
}

proptest! {
    #![proptest_config(config(200))]

    /// Where items with a deadline alone may go, no other goes, and what is refused is refused since none may.
    #[test]
    fn only_items_with_a_deadline_go((mask, ops) in runs(300), by_use in any::<bool>()) {
        let eviction = if by_use { Eviction::VolatileLru } else { Eviction::VolatileTtl };
        let mut shard = shard(Budget { items_max: 12, bytes_max: 3000 }, eviction);
        let mut now_ms = NOW_MS;
        // What must be there: items without a deadline, and those that may.
        let (mut firm, mut timed) = (BTreeMap::new(), BTreeMap::new());
        for (raw, a, b) in ops {
            let key = name(a % 40);
            let value = vec![b as u8; usize::from(b % 200)];
            let deadline_ms = now_ms + 1 + u64::from(b % 4000);
            let before = shard.counters().evictions;
            match pick(&[(6, 0), (8, 1), (8, 2), (2, 3), (2, 4), (1, 5), (1, 6)], (mask, raw)) {
                0 => drop(shard.get(&key, Recency::Touch, now_ms)),
                kind @ (1 | 2) => {
                    let expiry = if kind == 1 { Expiry::Never } else { Expiry::At(deadline_ms) };
                    let was_there = shard.peek(&key, now_ms).map(|item| item.value.to_vec());
                    match shard.insert(&key, &value, expiry, now_ms) {
                        Ok(()) => {
                            firm.remove(&key);
                            timed.remove(&key);
                            if kind == 1 { firm.insert(key, value) } else { timed.insert(key, value) };
                        }
                        Err(Full) => {
                            prop_assert_eq!(shard.peek(&key, now_ms).map(|item| item.value.to_vec()), was_there);
                            let others = timed.keys().filter(|other| **other != key);
                            let is_there = |other: &Vec<u8>| shard.peek(other, now_ms).is_some();
                            prop_assert!(others.filter(|other| is_there(other)).count() == 0, "one could go");
                        }
                    }
                }
                3 => {
                    let new_ms = (b % 2 == 0).then_some(deadline_ms);
                    if shard.set_expiry(&key, new_ms, now_ms)
                        && let Some(value) = firm.remove(&key).or(timed.remove(&key))
                    {
                        if new_ms.is_some() { timed.insert(key, value) } else { firm.insert(key, value) };
                    }
                }
                4 => {
                    shard.remove(&key, now_ms);
                    firm.remove(&key);
                    timed.remove(&key);
                }
                5 => now_ms += u64::from(b % 2000),
                _ => while shard.work(now_ms, 50).more {},
            }
            shard.verify();
            for (key, value) in &firm {
                prop_assert_eq!(shard.peek(key, now_ms).map(|item| item.value), Some(&value[..]), "{:?}", key);
            }
            let gone: Vec<_> = timed.keys().filter(|key| shard.peek(key, now_ms).is_none()).cloned().collect();
            prop_assert!(gone.len() as u64 >= shard.counters().evictions - before);
            gone.iter().for_each(|key| drop(timed.remove(key)));
            prop_assert_eq!(shard.len() >= (firm.len() + timed.len()) as u64, true);
        }
    }
}

#[test]
fn what_expires_first_or_is_used_least_goes_first() {
    let fill = |eviction| {
        let mut shard = shard(Budget { items_max: 1000, bytes_max: u64::MAX }, eviction);
        // The first hundred stay for ever, of the others the later expire later and were used longer ago.
        for number in 0..1000u64 {
            let used_ms = NOW_MS + (1000 - number) * 60_000;
            let expiry = if number < 100 { Expiry::Never } else { Expiry::At(NOW_MS + 1_000_000_000 + number * 1000) };
            shard.insert(format!("{number}").as_bytes(), b"v", expiry, used_ms).expect("room");
        }
        let now_ms = NOW_MS + 1000 * 60_000;
        for number in 0..300 {
            shard.insert(format!("new:{number}").as_bytes(), b"v", Expiry::Never, now_ms).expect("some may go");
        }
        let gone = |range: std::ops::Range<u64>| {
            range.filter(|number| shard.peek(format!("{number}").as_bytes(), now_ms).is_none()).count()
        };
        (gone(0..100), gone(100..400), gone(700..1000))
    };
    let (firm, first, last) = fill(Eviction::VolatileTtl);
    assert!(firm == 0 && first > 240 && last < 10, "{firm} {first} {last}");
    let (firm, first, last) = fill(Eviction::VolatileLru);
    assert!(firm == 0 && last > 240 && first < 10, "{firm} {first} {last}");
}

#[test]
fn without_a_deadline_nothing_goes() {
    for eviction in [Eviction::VolatileLru, Eviction::VolatileTtl] {
        let mut shard = shard(Budget { items_max: 3, bytes_max: u64::MAX }, eviction);
        put(&mut shard, "a", Expiry::Never);
        put(&mut shard, "b", Expiry::At(NOW_MS + 9));
        put(&mut shard, "c", Expiry::Never);
        assert!(shard.may_evict());
        put(&mut shard, "d", Expiry::Never);
        assert!(!has(&shard, "b") && !shard.may_evict());
        assert_eq!(shard.insert(b"e", b"v", Expiry::Never, NOW_MS), Err(Full));
        // Over itself, and with a deadline of its own, an item takes no more room.
        put(&mut shard, "d", Expiry::At(NOW_MS + 9));
        assert_eq!(shard.insert(b"e", b"v", Expiry::Never, NOW_MS), Ok(()));
        assert!(has(&shard, "a") && has(&shard, "c") && has(&shard, "e") && !has(&shard, "d"));
        assert_eq!((shard.counters().evictions, shard.len()), (2, 3));
        shard.set_budget(Budget { items_max: 1, bytes_max: u64::MAX });
        while shard.work(NOW_MS, 10).more {}
        assert_eq!(shard.len(), 3, "no slice goes on for ever either");
        shard.verify();
    }
}
