//! Hot keys: the keys of this core that cost most CPU time and most bytes, while HOTKEYS tracks. Core: the keys' own.
//!
//! Nothing is on the way of a command that is not tracked: while a session is under way the meter says of every command that
//! it took long, and what is done with those ends here. The keys are found by Space-Saving with weights (Metwally,
//! Agrawal, El Abbadi, 2005): `HOTKEYS_COUNTERS` counters; a key without one takes over the lightest, and its weight. A key
//! with a share of more than one in so many is always found; its weight is too large by that share at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::command::hotkeys::{Cost, Found, Wish};
use crate::limits::{HOTKEYS_COUNTERS, HOTKEYS_KEY_BYTES_MAX, HOTKEYS_MAX};
use crate::slot::Slot;

/// The totals of the process when a session begins or is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Totals {
    pub(in crate::engine) cpu_user_us: u64,
    pub(in crate::engine) cpu_sys_us: u64,
    pub(in crate::engine) net_bytes: u64,
}

/// A session of HOTKEYS on one core.
#[derive(Debug)]
pub(in crate::engine) struct HotKeys {
    wish: Wish,
    began_ms: u64,
    /// When it was stopped, unless it goes on.
    ended_ms: Option<u64>,
    at_start: Totals,
    all: Cost,
    selected: Cost,
    sampled: Cost,
    by_cpu: Heaviest,
    by_net: Heaviest,
}

impl HotKeys {
    pub(in crate::engine) fn new(wish: Wish, now_ms: u64, at_start: Totals) -> HotKeys {
        HotKeys {
            wish,
            began_ms: now_ms,
            ended_ms: None,
            at_start,
            all: Cost::default(),
            selected: Cost::default(),
            sampled: Cost::default(),
            by_cpu: Heaviest::default(),
            by_net: Heaviest::default(),
        }
    }

    /// When the session ended or ends, if it does by itself.
    fn end_ms(&self) -> Option<u64> {
        self.ended_ms.or(self.wish.duration_ms.map(|duration_ms| self.began_ms + duration_ms))
    }

    /// Whether the session is under way.
    pub(in crate::engine) fn is_active(&self, now_ms: u64) -> bool {
        self.end_ms().is_none_or(|end_ms| now_ms < end_ms)
    }

    /// Stops the session, unless it has ended.
    pub(in crate::engine) fn stop(&mut self, now_ms: u64) {
        if self.is_active(now_ms) {
            self.ended_ms = Some(now_ms);
        }
    }

    /// Records a command. Its cost is divided evenly among its keys, as in Redis. `random`: any number.
    pub(in crate::engine) fn record<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a [u8]> + Clone,
        cost: Cost,
        random: u64,
    ) {
        let count = keys.clone().count() as u64;
        if count == 0 {
            return;
        }
        self.all.add(cost);
        let slots = self.wish.slots.as_deref();
        let is_chosen = |key: &&[u8]| slots.is_none_or(|slots| slots.binary_search(&Slot::of(key).0).is_ok());
        if !keys.clone().any(|key| is_chosen(&key)) {
            return;
        }
        self.selected.add(cost);
        if !random.is_multiple_of(self.wish.sample) {
            return;
        }
        self.sampled.add(cost);
        for key in keys.filter(|key| is_chosen(key) && key.len() <= HOTKEYS_KEY_BYTES_MAX) {
            if self.wish.cpu {
                self.by_cpu.add(key, cost.ns / count);
            }
            if self.wish.net {
                self.by_net.add(key, cost.bytes / count);
            }
        }
    }

    /// What was found so far. `own`: the first and last slot of the core.
    pub(in crate::engine) fn found(&self, now_ms: u64, now: Totals, own: (Slot, Slot)) -> Found {
        let slots = match &self.wish.slots {
            Some(slots) => slots.iter().map(|slot| (*slot, *slot)).collect(),
            None => vec![(own.0.0, own.1.0)],
        };
        let since = self.at_start;
        let cpu_us =
            (now.cpu_user_us.saturating_sub(since.cpu_user_us), now.cpu_sys_us.saturating_sub(since.cpu_sys_us));
        Found {
            active: self.is_active(now_ms),
            sample: self.wish.sample,
            count: self.wish.count,
            slots,
            chosen: self.wish.slots.is_some(),
            began_ms: self.began_ms,
            lasted_ms: self.end_ms().unwrap_or(now_ms).min(now_ms).saturating_sub(self.began_ms),
            all: self.all,
            selected: self.selected,
            sampled: self.sampled,
            cpu_us: self.wish.cpu.then_some(cpu_us),
            net_bytes: self.wish.net.then(|| now.net_bytes.saturating_sub(since.net_bytes)),
            by_cpu: self.by_cpu.top(),
            by_net: self.by_net.top(),
        }
    }
}

/// Counters of the keys with the most weight.
#[derive(Debug, Default)]
struct Heaviest {
    counters: Vec<Counter>,
    /// The counter of each key.
    of_key: BTreeMap<Arc<[u8]>, u32>,
    /// The counters as a heap, the lightest first.
    heap: Vec<u32>,
}

#[derive(Debug)]
struct Counter {
    key: Arc<[u8]>,
    weight: u64,
    /// The counter's place in the heap.
    place: u32,
}

impl Heaviest {
    /// Adds weight to a key. Cost: a look-up, and a walk down the heap.
    fn add(&mut self, key: &[u8], weight: u64) {
        let at = if let Some(at) = self.of_key.get(key) {
            *at
        } else {
            let key: Arc<[u8]> = key.into();
            let at = if self.counters.len() < HOTKEYS_COUNTERS {
                let at = self.counters.len() as u32;
                self.counters.push(Counter { key: Arc::clone(&key), weight: 0, place: at });
                self.heap.push(at);
                self.rise(at as usize);
                at
            } else {
                let at = self.heap[0];
                let lightest = std::mem::replace(&mut self.counters[at as usize].key, Arc::clone(&key));
                self.of_key.remove(&lightest);
                at
            };
            self.of_key.insert(key, at);
            at
        };
        let counter = &mut self.counters[at as usize];
        counter.weight = counter.weight.saturating_add(weight);
        let place = counter.place as usize;
        self.sink(place);
    }

    fn weight_at(&self, place: usize) -> u64 {
        self.counters[self.heap[place] as usize].weight
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.counters[self.heap[a] as usize].place = a as u32;
        self.counters[self.heap[b] as usize].place = b as u32;
    }

    /// Moves a counter that is lighter than its parents up.
    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.weight_at(place) < self.weight_at((place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    /// Moves a counter that is heavier than its children down.
    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let children = left..(left + 2).min(self.heap.len());
            let Some(lighter) = children.min_by_key(|child| self.weight_at(*child)) else { return };
            if self.weight_at(place) <= self.weight_at(lighter) {
                return;
            }
            self.swap(place, lighter);
            place = lighter;
        }
    }

    /// The heaviest keys, as many as any client may ask for.
    fn top(&self) -> Vec<(Vec<u8>, u64)> {
        let mut counters: Vec<&Counter> = self.counters.iter().filter(|counter| counter.weight > 0).collect();
        counters.sort_by_key(|counter| std::cmp::Reverse(counter.weight));
        counters.iter().take(HOTKEYS_MAX).map(|counter| (counter.key.to_vec(), counter.weight)).collect()
    }

    #[cfg(test)]
    fn verify(&self) {
        assert!(self.counters.len() <= HOTKEYS_COUNTERS);
        assert_eq!((self.counters.len(), self.of_key.len()), (self.heap.len(), self.heap.len()));
        for (place, at) in self.heap.iter().enumerate() {
            let counter = &self.counters[*at as usize];
            assert_eq!((counter.place as usize, self.of_key.get(&counter.key)), (place, Some(at)));
            assert!(place == 0 || self.weight_at((place - 1) / 2) <= counter.weight, "the lightest is first");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    fn wish(words: &str) -> Wish {
        let words = crate::resp::Words::new(words.split(' ').map(str::as_bytes));
        Wish::parse(words.args(), true).expect("a wish")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// The promise of Space-Saving: nobody is lighter than counted by more than the lightest counter, and everybody
        /// heavier than that has a counter.
        #[test]
        fn heavy_keys_are_found(
            adds in proptest::collection::vec((0u32..4000, 0u64..50), 1..6000),
            hot in 0u32..10,
        ) {
            let (mut heaviest, mut exact) = (Heaviest::default(), HashMap::<u32, u64>::new());
            for (number, (key, weight)) in adds.into_iter().enumerate() {
                let key = if number % 3 == 0 { hot } else { key };
                heaviest.add(&key.to_le_bytes(), weight);
                *exact.entry(key).or_default() += weight;
            }
            heaviest.verify();
            let full = heaviest.counters.len() == HOTKEYS_COUNTERS;
            let error = if full { heaviest.weight_at(0) } else { 0 };
            for (key, weight) in exact {
                let at = heaviest.of_key.get(&key.to_le_bytes()[..]);
                let counted = at.map(|at| heaviest.counters[*at as usize].weight);
                match counted {
                    Some(counted) => prop_assert!((weight..=weight + error).contains(&counted)),
                    None => prop_assert!(weight <= error, "a key of weight {weight} is lost beside {error}"),
                }
            }
        }
    }

    #[test]
    fn a_session_ends_by_itself() {
        let mut hot = HotKeys::new(wish("METRICS 1 CPU DURATION 2"), 1_000, Totals::default());
        assert!(hot.is_active(2_999) && !hot.is_active(3_000));
        hot.stop(9_000);
        let found = hot.found(9_000, Totals::default(), (Slot(0), Slot(16383)));
        assert_eq!((found.active, found.began_ms, found.lasted_ms), (false, 1_000, 2_000));
    }

    #[test]
    fn costs_are_shared_by_the_keys_of_a_command() {
        let mut hot = HotKeys::new(wish("METRICS 2 CPU NET SAMPLE 2"), 0, Totals::default());
        let keys = [&b"a"[..], b"b"];
        hot.record(keys.into_iter(), Cost { ns: 10, bytes: 100 }, 4);
        hot.record(keys.into_iter(), Cost { ns: 1, bytes: 1 }, 5);
        hot.record([&b"a"[..]].into_iter(), Cost { ns: 7, bytes: 1 }, 6);
        hot.record(std::iter::empty(), Cost { ns: 7, bytes: 1 }, 6);
        let found = hot.found(1, Totals { net_bytes: 5, ..Totals::default() }, (Slot(0), Slot(1)));
        assert_eq!(found.by_cpu, [(b"a".to_vec(), 12), (b"b".to_vec(), 5)]);
        assert_eq!(found.by_net, [(b"a".to_vec(), 51), (b"b".to_vec(), 50)]);
        assert_eq!((found.all, found.sampled), (Cost { ns: 18, bytes: 102 }, Cost { ns: 17, bytes: 101 }));
        assert_eq!((found.slots, found.net_bytes), (vec![(0, 1)], Some(5)));
    }

    #[test]
    fn only_keys_of_chosen_slots_are_recorded() {
        // The slots of `bar` and `foo` are 5061 and 12182.
        let mut hot = HotKeys::new(wish("METRICS 1 NET SLOTS 1 5061"), 0, Totals::default());
        for key in [&b"bar"[..], b"foo"] {
            hot.record([key].into_iter(), Cost { ns: 1, bytes: 10 }, 0);
        }
        let found = hot.found(1, Totals::default(), (Slot(0), Slot(1)));
        assert_eq!((found.by_net, found.by_cpu), (vec![(b"bar".to_vec(), 10)], vec![]));
        assert_eq!((found.all.bytes, found.selected.bytes, found.slots), (20, 10, vec![(5061, 5061)]));
    }
}
