//! Slab, index, queue, wheel and account, each alone against a naive model.

use std::collections::{BTreeMap, HashMap, VecDeque};

use proptest::prelude::*;

use super::super::account::{Account, Charge, allocated_bytes, item_bytes};
use super::super::entry::{Entry, EntryIndex, Label, TimerIndex, ValueType, blob_len};
use super::super::queue::Queue;
use super::super::wheel::Advance;
use super::*;
use crate::limits::{
    ACCESS_CLOCK_BITS, KEY_BYTES_MAX, KEY_INLINE_LENGTH_BITS, SEGMENT_BUCKETS_MAX, SEGMENT_ENTRIES_MAX,
    SLAB_PAGE_ENTRIES, SPACES,
};

fn bytes(seed: u16, len: usize) -> Vec<u8> {
    (0..len).map(|i| (usize::from(seed) + i) as u8).collect()
}

/// Key, value, and what the timer word says if there is one.
type SlabItem = (Vec<u8>, Vec<u8>, Option<u32>);

#[derive(Clone, Copy)]
enum SlabOp {
    Insert,
    Remove,
    Replace,
    TimerWord,
}

const SLAB_OPS: [(u8, SlabOp); 4] =
    [(4, SlabOp::Insert), (2, SlabOp::Remove), (4, SlabOp::Replace), (2, SlabOp::TimerWord)];

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn slab_is_a_map_from_position_to_item((mask, ops) in runs(120)) {
        let mut slab = Slab::default();
        let mut model: HashMap<u32, SlabItem> = HashMap::new();
        for (raw, a, b) in ops {
            let chosen = model.keys().copied().min_by_key(|&at| mix(u64::from(at) + u64::from(a)));
            match (pick(&SLAB_OPS, (mask, raw)), chosen) {
                (SlabOp::Insert, _) | (_, None) => {
                    let key_len = if a % 64 == 0 { (1 << KEY_INLINE_LENGTH_BITS) - 3 + usize::from(b % 5) } else { usize::from(a % 40) };
                    let (key, value) = (bytes(a, key_len), bytes(b, usize::from(b % 300)));
                    let word = b % 3 == 0;
                    let at = slab.insert(Label::STRING, &key, &value, word);
                    let old = model.insert(at.0, (key, value, word.then_some(u32::MAX)));
                    prop_assert!(old.is_none(), "a position is handed out once");
                }
                (SlabOp::Remove, Some(at)) => {
                    slab.remove(EntryIndex(at));
                    model.remove(&at);
                }
                (SlabOp::Replace, Some(at)) => {
                    let item = model.get_mut(&at).unwrap();
                    let len = if b % 2 == 0 { item.1.len() } else { usize::from(b % 200) };
                    item.1 = bytes(a ^ b, len);
                    let timed = item.2.is_some_and(|timer| timer != u32::MAX);
                    let word = timed || b % 5 < 2;
                    item.2 = word.then(|| item.2.unwrap_or(u32::MAX));
                    slab.entry_mut(EntryIndex(at)).replace_value(&item.1, word);
                }
                (SlabOp::TimerWord, Some(at)) => {
                    let entry = slab.entry_mut(EntryIndex(at));
                    if !entry.has_timer_word() {
                        entry.add_timer_word();
                    }
                    let timer = if b % 4 == 0 { u32::MAX } else { u32::from(b) };
                    entry.set_timer(TimerIndex(timer));
                    model.get_mut(&at).unwrap().2 = Some(timer);
                }
            }
            slab.verify();
            prop_assert_eq!(slab.len() as usize, model.len());
            for (&at, (key, value, timer)) in &model {
                let entry = slab.entry(EntryIndex(at));
                prop_assert!(entry.holds(key));
                prop_assert_eq!(entry.value(), &value[..]);
                prop_assert_eq!(entry.timer().0, timer.unwrap_or(u32::MAX));
                prop_assert_eq!(entry.blob_len(), blob_len(key.len(), value.len(), timer.is_some()));
            }
        }
        // Taken apart one thing at a time, it ends, in about as many steps as there are positions.
        let steps = std::iter::from_fn(|| slab.dismantle()).count();
        prop_assert!(steps <= usize::from(u8::MAX) && slab.positions() == 0);
    }

    #[test]
    fn a_queue_is_a_deque((mask, ops) in runs(150)) {
        let mut slab = Slab::default();
        let mut list = Queue::default();
        let mut model: VecDeque<EntryIndex> = VecDeque::new();
        for (raw, a, _) in ops {
            let chosen = (!model.is_empty()).then(|| usize::from(a) % model.len());
            match (pick(&[(3, 0), (3, 1), (1, 2), (1, 3)], (mask, raw)), chosen) {
                (0, _) | (_, None) => {
                    let at = slab.insert(Label::STRING, b"k", b"v", false);
                    list.push(&mut slab, at);
                    model.push_front(at);
                }
                (1, Some(i)) => {
                    let at = model.remove(i).unwrap();
                    list.unlink(&mut slab, at);
                    list.push(&mut slab, at);
                    model.push_front(at);
                }
                (_, Some(i)) => {
                    let i = if raw % 2 == 0 { model.len() - 1 } else { i };
                    let at = model.remove(i).unwrap();
                    list.unlink(&mut slab, at);
                    slab.remove(at);
                }
            }
            list.verify(&slab);
            prop_assert_eq!(list.head(), model.front().copied().unwrap_or(EntryIndex::NONE));
            prop_assert_eq!(list.tail(), model.back().copied().unwrap_or(EntryIndex::NONE));
            let next = |&at: &EntryIndex| Some(slab.entry(at).next).filter(|at| at.is_some());
            let order: Vec<_> = std::iter::successors(model.front().copied(), next).collect();
            prop_assert_eq!(order, Vec::from(model.clone()));
        }
    }

    #[test]
    fn wheel_is_a_sorted_map((mask, ops) in runs(150), start in prop::sample::select(vec![0, 63, 1_700_000_000_000, u64::MAX - 9_999])) {
        let mut wheel = Wheel::default();
        let mut now_ms: u64 = start;
        let mut latest_ms = now_ms;
        let mut model: BTreeMap<u32, (TimerIndex, u64)> = BTreeMap::new();
        for (i, (raw, a, b)) in ops.into_iter().enumerate() {
            let chosen = model.keys().copied().min_by_key(|&entry| mix(u64::from(entry) + u64::from(a)));
            let delay_ms = u64::from(b) << (a % 48);
            match (pick(&[(4, 0), (2, 1), (2, 2), (3, 3), (1, 4), (1, 5), (2, 6)], (mask, raw)), chosen) {
                (0, _) | (1 | 2, None) => {
                    let deadline_ms = now_ms.saturating_add(delay_ms);
                    let timer = wheel.insert(EntryIndex(i as u32), deadline_ms, now_ms);
                    model.insert(i as u32, (timer, deadline_ms));
                }
                (1, Some(entry)) => wheel.cancel(model.remove(&entry).unwrap().0),
                (2, Some(entry)) => {
                    let timer = model.get_mut(&entry).unwrap();
                    timer.1 = now_ms.saturating_sub(50).saturating_add(delay_ms);
                    wheel.reschedule(timer.0, timer.1);
                }
                (3, _) => now_ms = now_ms.saturating_add(u64::from(b % 200)),
                (4, _) => now_ms = now_ms.saturating_add(delay_ms),
                (5, _) => now_ms = now_ms.saturating_sub(u64::from(b)),
                _ => advance(&mut wheel, &mut model, now_ms, u32::from(b % 16)),
            }
            wheel.verify();
            latest_ms = latest_ms.max(now_ms);
            prop_assert_eq!(wheel.len() as usize, model.len());
            let first_ms = model.values().map(|&(_, deadline_ms)| deadline_ms).min();
            prop_assert_eq!(wheel.next_ms().is_some(), first_ms.is_some());
            let bound_ms = first_ms.map(|first_ms| first_ms.max(latest_ms));
            prop_assert!(wheel.next_ms() <= bound_ms, "never later than the first deadline");
        }
        for (&entry, &(timer, deadline_ms)) in &model {
            prop_assert_eq!(wheel.deadline_ms(timer), deadline_ms);
            prop_assert_eq!(wheel.entry_of(timer), EntryIndex(entry));
        }
        advance(&mut wheel, &mut model, latest_ms, u32::MAX);
        prop_assert!(model.values().all(|&(_, deadline_ms)| deadline_ms > latest_ms), "all that was due is gone");
        advance(&mut wheel, &mut model, u64::MAX, u32::MAX);
        prop_assert!(model.is_empty());
    }

    #[test]
    fn index_is_a_map((mask, ops) in runs(200)) {
        let mut slab = Slab::default();
        let mut index = Index::new([1, 2, 3, 4]);
        let mut model: HashMap<Vec<u8>, EntryIndex> = HashMap::new();
        for (raw, a, b) in ops {
            match pick(&[(4, 0), (4, 1), (1, 2)], (mask, raw)) {
                0 => {
                    let key = bytes(a, usize::from(b % 12));
                    let hash = index.hash(&key);
                    let found = index.find(hash, |at| slab.entry(at).holds(&key));
                    prop_assert_eq!(found, model.get(&key).copied());
                    if found.is_none() {
                        let at = slab.insert(Label::STRING, &key, b"", false);
                        index.insert(hash, at, &slab);
                        model.insert(key, at);
                    }
                }
                1 => {
                    let chosen = model.iter().min_by_key(|(_, at)| mix(u64::from(at.0) + u64::from(a)));
                    if let Some((key, &at)) = chosen.map(|(key, at)| (key.clone(), at)) {
                        index.remove(index.hash(&key), at);
                        slab.remove(at);
                        model.remove(&key);
                    }
                }
                _ => {
                    index.reset();
                    slab = Slab::default();
                    model.clear();
                }
            }
            let indexed = index.verify(&slab, 0);
            assert_eq!(indexed, slab.len() as usize);
        }
    }

    #[test]
    fn account_is_a_sum(sizes in prop::collection::vec((0usize..100_000, any::<bool>()), 1..50)) {
        let mut account = Account::default();
        let costs: Vec<u64> = sizes.iter().map(|&(len, timed)| item_bytes(len, timed)).collect();
        costs.iter().for_each(|&cost| account.add(cost));
        let sum: u64 = costs.iter().sum();
        prop_assert_eq!((account.bytes(), account.items()), (sum, costs.len() as u64));
        let budget = Budget { items_max: account.items(), bytes_max: sum };
        prop_assert!(account.fits(&budget, Charge::NONE));
        let charge = Charge { before_bytes: costs[0], after_bytes: costs[0] + 1, items_new: 0 };
        prop_assert!(!account.fits(&budget, charge) && account.fits(&Budget::UNLIMITED, charge));
        account.change(costs[0], costs[0] + 7);
        prop_assert_eq!(account.bytes(), sum + 7);
        account.remove(costs[0] + 7);
        prop_assert_eq!(account.bytes(), sum - costs[0]);
        for (len, _) in sizes {
            let allocated = allocated_bytes(len);
            prop_assert!(allocated >= len && allocated <= len + len / 4 + 16);
            prop_assert_eq!(allocated_bytes(allocated), allocated, "a class is its own class");
        }
    }
}

/// Advances a wheel by at most `steps`, cancels what is due, and checks that it was.
fn advance(wheel: &mut Wheel, model: &mut BTreeMap<u32, (TimerIndex, u64)>, now_ms: u64, steps: u32) {
    let mut left = steps;
    while let Advance::Due(entry) = wheel.advance(now_ms, &mut left) {
        let (timer, deadline_ms) = model.remove(&entry.0).expect("each is due once");
        assert!(deadline_ms <= now_ms, "nothing is due too early");
        wheel.cancel(timer);
    }
}

#[test]
fn wheel_stops_and_resumes_in_a_crowded_slot() {
    let mut wheel = Wheel::default();
    let mut model = BTreeMap::new();
    let start_ms = 1_700_000_000_000;
    for entry in 0..20_000 {
        let deadline_ms = start_ms + 3_600_000 + u64::from(entry % 3);
        model.insert(entry, (wheel.insert(EntryIndex(entry), deadline_ms, start_ms), deadline_ms));
    }
    let later_ms = start_ms + 3_600_001;
    let mut slices = 0;
    while model.len() > 6666 {
        advance(&mut wheel, &mut model, later_ms, 100);
        slices += 1;
        assert!(slices < 20_000 * 11 / 100, "a node moves down once per level at most");
    }
    wheel.verify();
    advance(&mut wheel, &mut model, later_ms + 1, u32::MAX);
    assert!(model.is_empty());
}

#[test]
fn wheel_jumps_when_empty_and_follows_a_clock_set_back() {
    let mut wheel = Wheel::default();
    let mut steps = 1;
    assert_eq!(wheel.advance(u64::MAX, &mut steps), Advance::Idle);
    assert_eq!(steps, 1);
    let timer = wheel.insert(EntryIndex(1), 150, 100);
    assert_eq!(wheel.advance(149, &mut 10), Advance::Idle);
    assert_eq!(wheel.advance(150, &mut 10), Advance::Due(EntryIndex(1)));
    wheel.cancel(timer);
    assert_eq!(wheel.next_ms(), None);
}

#[test]
fn index_splits_where_all_the_keys_are() {
    let mut slab = Slab::default();
    let mut index = Index::new([1, 2, 3, 4]);
    // Only keys of one 64th of the hash's range: one cell of the directory after another gets them all.
    let keys = (0..400_000_u32).map(u32::to_ne_bytes).filter(|key| index.hash(key) >> 58 == 7);
    let keys: Vec<_> = keys.collect();
    assert!(keys.len() > 3 * SEGMENT_ENTRIES_MAX);
    for key in &keys {
        let at = slab.insert(Label::STRING, key, b"", false);
        index.insert(index.hash(key), at, &slab);
    }
    let indexed = index.verify(&slab, 0);
    assert_eq!(indexed, slab.len() as usize);
}

#[test]
fn index_grows_a_table_when_splitting_cannot_help() {
    let mut slab = Slab::default();
    let mut index = Index::new([1, 2, 3, 4]);
    // Keys whose hashes share their top 11 bits: telling them apart would take thousands of cells.
    let mut found = 0_usize;
    let mut number = 0_u64;
    while found < SEGMENT_ENTRIES_MAX + 200 {
        number += 1;
        let key = number.to_ne_bytes();
        if index.hash(&key) >> 53 == 0 {
            index.insert(index.hash(&key), slab.insert(Label::STRING, &key, b"", false), &slab);
            found += 1;
        }
    }
    let indexed = index.verify(&slab, 0);
    assert_eq!(indexed, slab.len() as usize);
    let (segments, buckets, cells) = index.shape();
    assert!(cells <= 64 * 2 * segments, "the directory stays in proportion");
    assert!(buckets <= 4 * SEGMENT_BUCKETS_MAX);
}

/// Removals leave marks in a table, and an empty one may be full of them.
#[test]
fn index_takes_keys_after_all_others_went() {
    let mut slab = Slab::default();
    let mut index = Index::new([1, 2, 3, 4]);
    let mut live = VecDeque::new();
    for number in 0..200_000_u64 {
        let key = number.to_ne_bytes();
        let at = slab.insert(Label::STRING, &key, b"", false);
        index.insert(index.hash(&key), at, &slab);
        live.push_back((key, at));
        // As many as a table of 32 buckets keeps without growing, and now and then none.
        let keep = if mix(number).is_multiple_of(10) { 0 } else { 19 };
        while live.len() > keep {
            let (key, at) = live.pop_front().unwrap();
            index.remove(index.hash(&key), at);
            slab.remove(at);
        }
    }
    let indexed = index.verify(&slab, 0);
    assert_eq!(indexed, slab.len() as usize);
}

#[test]
fn index_stays_small_under_churn() {
    for (live_max, buckets_max) in [(80, 128), (5_000, 5 * SEGMENT_BUCKETS_MAX)] {
        let mut slab = Slab::default();
        let mut index = Index::new([5, 6, 7, 8]);
        let mut live = VecDeque::new();
        for number in 0..60_000_u64 {
            let key = number.to_ne_bytes();
            let at = slab.insert(Label::STRING, &key, b"", false);
            index.insert(index.hash(&key), at, &slab);
            live.push_back((key, at));
            if live.len() > live_max {
                let (key, at) = live.pop_front().unwrap();
                index.remove(index.hash(&key), at);
                slab.remove(at);
            }
        }
        let indexed = index.verify(&slab, 0);
        assert_eq!(indexed, slab.len() as usize);
        let (_, buckets, _) = index.shape();
        assert!(buckets <= buckets_max, "marks of removals do not make it grow: {buckets}");
        assert!(index.rehashed() < 4 * 60_000, "nor rehash all the time: {}", index.rehashed());
    }
}

#[test]
fn entry_stores_nothing_and_much() {
    let mut entry = Entry::vacant();
    entry.fill(Label::STRING, b"", b"", false);
    assert!(entry.is_live() && entry.holds(b"") && entry.value().is_empty());
    entry.replace_value(b"x", false);
    entry.replace_value(b"", false);
    entry.add_timer_word();
    entry.set_timer(TimerIndex(5));
    let large = vec![3; 1 << 20];
    entry.replace_value(&large, true);
    assert_eq!(entry.timer(), TimerIndex(5));
    assert_eq!(entry.value(), &large[..]);
    entry.replace_value(&large[1..], true);
    assert_eq!((entry.timer(), entry.value().len()), (TimerIndex(5), (1 << 20) - 1));
    entry.vacate();
    assert!(!entry.is_live() && entry.key().is_empty() && entry.value().is_empty());
}

#[test]
fn slab_grows_by_pages_and_reuses_what_was_freed() {
    let mut slab = Slab::default();
    let count = SLAB_PAGE_ENTRIES + 2;
    for i in 0..count {
        assert_eq!(slab.insert(Label::STRING, &i.to_ne_bytes(), b"", false), EntryIndex(i as u32));
    }
    let addresses: Vec<_> = [0, 1].map(|at| std::ptr::from_ref(slab.entry(EntryIndex(at)))).into();
    for i in (0..count as u32).rev() {
        slab.remove(EntryIndex(i));
    }
    slab.verify();
    assert_eq!(slab.insert(Label::STRING, b"again", b"", false), EntryIndex(0), "the last freed comes first");
    assert_eq!(addresses[0], std::ptr::from_ref(slab.entry(EntryIndex(0))), "entries do not move");
    assert_eq!(slab.positions(), count as u32);
}

/// The value's length is in two parts, beside the address and below the clock; key length, database and type share a word
/// with it: none may spill.
#[test]
fn an_entry_packs_lengths_label_and_clock_apart() {
    let bytes = vec![7; KEY_BYTES_MAX];
    let label = Label { value_type: ValueType::String, space: SPACES as u8 - 1 };
    for key_len in [0, 1, 0xfffe, 0xffff, 0x1_0000, KEY_BYTES_MAX] {
        for value_len in [0, 1, 0xffff, 0x1_0000, 0x1_0001, KEY_BYTES_MAX] {
            let mut entry = Entry::vacant();
            entry.fill(label, &bytes[..key_len], &bytes[..value_len], false);
            for (stamp, value_len) in [(0, 5), ((1 << ACCESS_CLOCK_BITS) - 1, value_len), (0x2a_aaaa, 0x2_0000)] {
                entry.set_accessed(stamp);
                entry.replace_value(&bytes[..value_len], entry.has_timer_word());
                if !entry.has_timer_word() && stamp > 0 {
                    entry.add_timer_word();
                }
                assert_eq!((entry.accessed(), entry.value_len(), entry.label()), (stamp, value_len, label.bits()));
                assert_eq!(entry.blob_len(), blob_len(key_len, value_len, entry.has_timer_word()));
                assert!(entry.holds(&bytes[..key_len]) && entry.value() == &bytes[..value_len]);
                assert_eq!(entry.timer(), TimerIndex::NONE);
            }
            entry.vacate();
            assert!(!entry.is_live() && entry.blob_len() == 0 && entry.accessed() == 0);
        }
    }
}
