//! Tracking against a naive model: every copy of a key that changes is reported, once, to all who may hold it; the
//! tables keep their bound, and whoever is forgotten for it is told.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::limits::TRACKED_CLIENTS_PER_KEY;
use crate::shard::tracking::{ClientId, NO_CLIENT, Stale};

const NOW_MS: u64 = 1_700_000_000_000;
const KEYS: u16 = 12;

#[derive(Clone, Copy, Debug)]
enum Op {
    Read,
    Write,
    WriteQuietly,
    WriteTimed,
    Remove,
    Retime,
    AddPrefix,
    RemovePrefix,
    Clear,
    Work,
    Shrink,
}

const OPS: [(u8, Op); 11] = [
    (30, Op::Read),
    (12, Op::Write),
    (6, Op::WriteQuietly),
    (6, Op::WriteTimed),
    (5, Op::Remove),
    (4, Op::Retime),
    (3, Op::AddPrefix),
    (2, Op::RemovePrefix),
    (1, Op::Clear),
    (8, Op::Work),
    (1, Op::Shrink),
];

/// What the model knows.
#[derive(Default)]
struct Model {
    tracked: BTreeMap<Vec<u8>, BTreeSet<ClientId>>,
    stored: BTreeMap<Vec<u8>, Option<u64>>,
    prefixes: BTreeMap<Vec<u8>, BTreeMap<u16, u32>>,
    keys_max: u64,
}

fn key(number: u16) -> Vec<u8> {
    // Ten begin with `k:`, two with nothing else in common.
    if number.is_multiple_of(6) { vec![b'x' + (number / 6) as u8] } else { format!("k:{number}").into_bytes() }
}

fn prefix(number: u16) -> &'static [u8] {
    [&b""[..], b"k", b"k:", b"k:1", b"y"][usize::from(number) % 5]
}

impl Model {
    /// What has changed must have been reported; what was forgotten for the bound is.
    fn hear(&mut self, stale: Vec<Stale>, changed: &[(Vec<u8>, ClientId)], was_beyond: bool) {
        let mut expected = changed.to_vec();
        for report in stale {
            match report {
                Stale::Key(key, clients) => {
                    let mut told: BTreeSet<_> = clients.iter().collect();
                    assert_eq!(told.len(), clients.len());
                    let writer = changed.iter().find(|(of, _)| **of == *key).map(|(_, writer)| *writer);
                    assert!(writer.is_some() || was_beyond, "{key:?} was forgotten without need");
                    let held = self.tracked.remove(&key[..]).expect("a report of what nobody holds");
                    if let Some(writer) = writer.filter(|writer| held.contains(writer)) {
                        assert!(told.insert(writer), "the writer was told of its own change");
                        self.tracked.insert(key.to_vec(), BTreeSet::from([writer]));
                    }
                    assert_eq!(told, held, "{key:?}");
                }
                Stale::Prefixed { key, writer } => {
                    assert!(self.prefixes.keys().any(|prefix| key.starts_with(prefix)));
                    let at = expected.iter().position(|(of, by)| **of == *key && *by == writer);
                    expected.remove(at.expect("a report of what has not changed"));
                }
                Stale::All => unreachable!("cleared by `Clear` alone"),
            }
        }
        let listened = |key: &[u8]| self.prefixes.keys().any(|prefix| key.starts_with(prefix));
        assert!(!expected.iter().any(|(key, _)| listened(key)), "nobody was told of {expected:?}");
        for (key, writer) in changed {
            let left = self.tracked.get(key).is_none_or(|held| held.len() == 1 && held.contains(writer));
            assert!(left, "{key:?} changed and nobody was told");
        }
    }

    fn pairs(&self) -> u64 {
        self.tracked.values().map(|clients| clients.len() as u64).sum()
    }

    fn is_beyond(&self, more: u64) -> bool {
        self.tracked.len() as u64 + more > self.keys_max
            || self.pairs() + more > self.keys_max * TRACKED_CLIENTS_PER_KEY
    }
}

/// The keys whose time has passed leave the model.
fn expire(model: &mut Model, now_ms: u64) -> Vec<(Vec<u8>, ClientId)> {
    let due = |at: &Option<u64>| at.is_some_and(|at_ms| at_ms <= now_ms);
    let gone: Vec<_> = model.stored.iter().filter(|(_, at)| due(at)).map(|(key, _)| key.clone()).collect();
    gone.into_iter().inspect(|key| model.stored.remove(key).map_or((), |_| ())).map(|key| (key, NO_CLIENT)).collect()
}

/// A run: the shard, the model, the time, and whether the tables were beyond their bound before the operation.
struct Bench {
    shard: Shard,
    model: Model,
    now_ms: u64,
    was_beyond: bool,
}

impl Bench {
    fn hear(&mut self, changed: &[(Vec<u8>, ClientId)]) {
        let was_beyond = self.was_beyond || self.model.is_beyond(0);
        let stale = self.shard.take_stale(Vec::new());
        self.model.hear(stale, changed, was_beyond);
    }

    fn read(&mut self, name: Vec<u8>, client: ClientId) {
        let _ = self.shard.get(&name, Recency::Touch, self.now_ms);
        let now_ms = self.now_ms;
        if self.model.stored.get(&name).is_some_and(|at| at.is_some_and(|at_ms| at_ms <= now_ms)) {
            self.model.stored.remove(&name);
            self.hear(&[(name.clone(), NO_CLIENT)]);
        }
        self.shard.track(&name, client);
        self.model.tracked.entry(name).or_default().insert(client);
        self.hear(&[]);
    }

    fn write(&mut self, name: Vec<u8>, writer: ClientId, at_ms: Option<u64>) {
        // What has expired goes first, which is no change of the writer's.
        let old = self.model.stored.get(&name).copied();
        if old.flatten().is_some_and(|old_ms| old_ms <= self.now_ms) {
            let _ = self.shard.touch(&name, self.now_ms);
            self.model.stored.remove(&name);
            self.hear(&[(name.clone(), NO_CLIENT)]);
        }
        let was_there = self.model.stored.remove(&name).is_some();
        self.shard.set_writer(writer);
        self.shard.insert(&name, b"v", at_ms.map_or(Expiry::Never, Expiry::At), self.now_ms).unwrap();
        self.shard.set_writer(NO_CLIENT);
        let stays = at_ms.is_none_or(|at_ms| at_ms > self.now_ms);
        if stays {
            self.model.stored.insert(name.clone(), at_ms);
        }
        let changed: Vec<_> = (stays || was_there).then_some((name, writer)).into_iter().collect();
        self.hear(&changed);
    }

    fn remove(&mut self, name: Vec<u8>, client: ClientId) {
        self.shard.set_writer(client);
        let removed = self.shard.remove(&name, self.now_ms);
        self.shard.set_writer(NO_CLIENT);
        let was_there = self.model.stored.remove(&name).is_some();
        let changed = was_there.then_some((name, if removed { client } else { NO_CLIENT }));
        self.hear(&changed.into_iter().collect::<Vec<_>>());
    }

    fn retime(&mut self, name: Vec<u8>, at_ms: u64) {
        let live = self.shard.set_expiry(&name, Some(at_ms), self.now_ms);
        let mut changed = Vec::new();
        if self.model.stored.remove(&name).is_some() {
            if live {
                self.model.stored.insert(name.clone(), Some(at_ms));
            }
            changed.push((name, NO_CLIENT));
        }
        self.hear(&changed);
    }

    fn name_prefix(&mut self, prefix: &[u8], home: u16) {
        self.shard.add_prefix(prefix, home);
        *self.model.prefixes.entry(prefix.to_vec()).or_default().entry(home).or_default() += 1;
    }

    fn drop_prefix(&mut self, prefix: &[u8], home: u16) {
        self.shard.remove_prefix(prefix, home);
        let Some(homes) = self.model.prefixes.get_mut(prefix) else { return };
        if let Some(clients) = homes.get_mut(&home) {
            *clients -= 1;
        }
        homes.retain(|_, clients| *clients > 0);
        if homes.is_empty() {
            self.model.prefixes.remove(prefix);
        }
    }

    fn clear(&mut self) {
        self.shard.clear();
        self.model.stored.clear();
        self.model.tracked.clear();
        assert_eq!(self.shard.take_stale(Vec::new()), [Stale::All]);
    }

    fn work(&mut self) {
        while self.shard.work(self.now_ms, 64).more {}
        let changed = expire(&mut self.model, self.now_ms);
        self.hear(&changed);
    }
}

fn run((mask, ops): Run) {
    let model = Model { keys_max: 3 + u64::from(mask % 8), ..Model::default() };
    let shard = shard(Budget::UNLIMITED, Eviction::Lru);
    let mut bench = Bench { shard, model, now_ms: NOW_MS, was_beyond: false };
    bench.shard.set_tracked_max(bench.model.keys_max);
    for (raw, number, more) in ops {
        let (name, client) = (key(number % KEYS), ClientId::from(more % 70) + 1);
        let (home, soon_ms) = (more % 3, bench.now_ms + u64::from(more % 20));
        bench.was_beyond = bench.model.is_beyond(1);
        match pick(&OPS, (mask, raw)) {
            Op::Read => bench.read(name, client),
            Op::Write => bench.write(name, NO_CLIENT, None),
            Op::WriteQuietly => bench.write(name, client, None),
            Op::WriteTimed => bench.write(name, NO_CLIENT, Some(soon_ms)),
            Op::Remove => bench.remove(name, client),
            Op::Retime => bench.retime(name, soon_ms + 1),
            Op::AddPrefix => bench.name_prefix(prefix(number), home),
            Op::RemovePrefix => bench.drop_prefix(prefix(number), home),
            Op::Clear => bench.clear(),
            Op::Work => {
                bench.now_ms += u64::from(more % 30);
                bench.work();
            }
            Op::Shrink => {
                bench.model.keys_max = 1 + u64::from(more % 10);
                bench.shard.set_tracked_max(bench.model.keys_max);
            }
        }
        check(&bench.shard, &bench.model);
    }
    bench.was_beyond = true;
    bench.work();
    check(&bench.shard, &bench.model);
    assert!(!bench.model.is_beyond(0), "what is over the bound is paid off");
}

fn check(shard: &Shard, model: &Model) {
    shard.verify();
    let counts = shard.tracked();
    let prefixes = model.prefixes.len() as u64;
    assert_eq!((counts.keys, counts.pairs, counts.prefixes), (model.tracked.len() as u64, model.pairs(), prefixes));
    let mut homes = Vec::new();
    for number in 0..KEYS {
        shard.homes_of(&key(number), &mut homes);
        let of_key = model.prefixes.iter().filter(|(prefix, _)| key(number).starts_with(prefix));
        let expected: BTreeSet<u16> = of_key.flat_map(|(_, homes)| homes.keys().copied()).collect();
        assert_eq!(homes, expected.into_iter().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(config(300))]
    #[test]
    fn whoever_may_hold_a_key_is_told_of_its_change(run_of in runs(120)) {
        run(run_of);
    }
}

#[test]
fn evicted_and_overwritten_items_are_reported() {
    let mut shard = shard(Budget { items_max: 2, bytes_max: u64::MAX }, Eviction::Lru);
    for key in [b"a", b"b"] {
        shard.insert(key, b"v", Expiry::Never, NOW_MS).unwrap();
        shard.track(key, 7);
    }
    // The eviction of another's key is nobody's own change.
    shard.set_writer(7);
    shard.insert(b"c", b"v", Expiry::Never, NOW_MS).unwrap();
    shard.insert(b"b", b"w", Expiry::Never, NOW_MS).unwrap();
    let stale = shard.take_stale(Vec::new());
    assert_eq!(stale, [Stale::Key(b"a"[..].into(), Clients::one(7))]);
    assert_eq!(shard.tracked().keys, 1, "its own change leaves the writer where it was");
}

#[test]
fn a_large_table_goes_in_slices() {
    let mut shard = shard(Budget::UNLIMITED, Eviction::Lru);
    for number in 0..10_000u32 {
        shard.track(&number.to_le_bytes(), 1);
    }
    shard.clear();
    assert_eq!(shard.tracked(), TrackedCounts::default());
    let mut slices = 0;
    while shard.work(NOW_MS, 100).more {
        slices += 1;
    }
    assert!(slices > 100, "{slices} slices for 10,000 keys");
    shard.track(b"k", 1);
    shard.set_tracked_max(1);
    shard.track(b"l", 1);
    assert_eq!(shard.tracked().keys, 1);
}
