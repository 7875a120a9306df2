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
        self.policy.verify(&self.slab);
        self.wheel.verify();
        self.observers.verify();
        if let Some(estimate) = &self.estimate {
            estimate.verify();
        }
        self.verify_cut();
        self.verify_items();
        self.verify_databases();
    }

    /// Each timer belongs to the item that names it.
    fn verify_items(&self) {
        let mut timed = 0;
        for at in (0..self.slab.positions()).map(EntryIndex) {
            let entry = self.slab.entry(at);
            if !entry.is_live() {
                continue;
            }
            let label = Label { space: entry.space(), ..Label::STRING };
            assert_eq!(entry.label(), label.bits(), "nothing else is stored");
            let timer = entry.timer();
            if timer.is_some() {
                timed += 1;
                assert_eq!(self.wheel.entry_of(timer), at, "a timer names the item that names it");
            }
        }
        assert_eq!(self.wheel.len(), timed, "a timer belongs to an item");
    }
}
