//! Verify: the whole-structure check. Tests, the simulation and fuzzing call it after every step.
//!
//! Owner: `Shard`; compiled for tests and with the feature `verify` only. Core: any. Cost: O(everything).
//! Never: changes anything. What it asserts are our own mistakes only: nothing a client does can fail it.

use super::Shard;
use super::entry::{EntryIndex, Label};

impl Shard {
    /// Asserts every invariant of the shard: within each structure, and between them.
    pub fn verify(&self) {
        self.slab.verify();
        self.index.verify(&self.slab);
        self.policy.verify(&self.slab);
        self.wheel.verify();
        self.observers.verify();
        if let Some(estimate) = &self.estimate {
            estimate.verify();
        }
        self.verify_cut();
        self.verify_items();
    }

    /// Each timer belongs to the item that names it, and the account is the sum of the items' costs.
    fn verify_items(&self) {
        let (mut bytes, mut items, mut timed) = (0, 0, 0);
        for at in (0..self.slab.positions()).map(EntryIndex) {
            let entry = self.slab.entry(at);
            if !entry.is_live() {
                continue;
            }
            items += 1;
            assert_eq!(entry.label(), Label::STRING.bits(), "nothing else is stored");
            bytes += self.cost(at);
            let timer = entry.timer();
            if timer.is_some() {
                timed += 1;
                assert_eq!(self.wheel.entry_of(timer), at, "a timer names the item that names it");
            }
        }
        assert_eq!(self.account.bytes(), bytes);
        assert_eq!(self.account.items(), items);
        assert_eq!(self.wheel.len(), timed, "a timer belongs to an item");
    }
}
