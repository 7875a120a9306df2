//! The naive model of a shard: a list of items in order of recency, searched from its front.

use super::super::account::item_bytes;
use super::super::entry::blob_len;
use super::*;
use crate::limits::{EVICTIONS_PER_INSERT_MAX, TIMER_WORD_ITEM_BYTES};

/// An item of the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModelItem {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) accessed_ms: u64,
    word: bool,
}

/// The model. `items[0]` is the most recent.
pub(super) struct Model {
    pub(super) items: Vec<ModelItem>,
    pub(super) budget: Budget,
    pub(super) eviction: Eviction,
    pub(super) counters: Counters,
}

impl ModelItem {
    pub(super) fn has_expired(&self, now_ms: u64) -> bool {
        self.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }

    pub(super) fn cost(&self) -> u64 {
        item_bytes(blob_len(self.key.len(), self.value.len(), self.word), self.deadline_ms.is_some())
    }
}

impl Model {
    pub(super) fn new(budget: Budget, eviction: Eviction) -> Self {
        Self { items: Vec::new(), budget, eviction, counters: Counters::default() }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.items.iter().map(ModelItem::cost).sum()
    }

    pub(super) fn fits(&self, extra_bytes: i64, extra_items: u64) -> bool {
        let bytes = self.bytes().saturating_add_signed(extra_bytes);
        bytes <= self.budget.bytes_max && self.items.len() as u64 + extra_items <= self.budget.items_max
    }

    /// The place of a live item; removes an expired one.
    pub(super) fn live(&mut self, key: &[u8], now_ms: u64) -> Option<usize> {
        let i = self.items.iter().position(|item| item.key == key)?;
        if self.items[i].has_expired(now_ms) {
            self.items.remove(i);
            self.counters.expirations += 1;
            return None;
        }
        Some(i)
    }

    pub(super) fn get(&mut self, key: &[u8], touch: bool, now_ms: u64) -> Option<(Vec<u8>, Option<u64>)> {
        let Some(i) = self.live(key, now_ms) else {
            self.counters.misses += 1;
            return None;
        };
        self.counters.hits += 1;
        let item = self.items[i].clone();
        if touch {
            self.access(i, now_ms);
        }
        Some((item.value, item.deadline_ms))
    }

    pub(super) fn remove(&mut self, key: &[u8], now_ms: u64) -> bool {
        let found = self.live(key, now_ms);
        if let Some(i) = found {
            self.items.remove(i);
            self.counters.removals += 1;
        }
        found.is_some()
    }

    /// A touch: to the front, accessed now.
    pub(super) fn access(&mut self, i: usize, now_ms: u64) {
        self.items[i].accessed_ms = now_ms;
        self.bring_to_front(i);
    }

    pub(super) fn bring_to_front(&mut self, i: usize) {
        let item = self.items.remove(i);
        self.items.insert(0, item);
    }

    pub(super) fn set_expiry(&mut self, key: &[u8], at_ms: Option<u64>, now_ms: u64) -> bool {
        let Some(i) = self.live(key, now_ms) else {
            return false;
        };
        if at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.items.remove(i);
            self.counters.removals += 1;
        } else {
            self.items[i].deadline_ms = at_ms;
            self.items[i].word |= at_ms.is_some();
        }
        true
    }

    /// The item as an insertion would leave it; `None` if it would be gone at once.
    pub(super) fn planned(&self, found: Option<usize>, key: &[u8], value: &[u8], expiry: Expiry) -> ModelItem {
        let old = found.map(|i| &self.items[i]);
        let deadline_ms = match expiry {
            Expiry::Keep => old.and_then(|old| old.deadline_ms),
            Expiry::Never => None,
            Expiry::At(at_ms) => Some(at_ms),
        };
        let word_stays = old.is_some_and(|old| old.word && old.value.len() == value.len());
        let large = key.len() + value.len() >= TIMER_WORD_ITEM_BYTES;
        let word = deadline_ms.is_some() || word_stays || large;
        ModelItem { key: key.into(), value: value.into(), deadline_ms, accessed_ms: 0, word }
    }

    /// Evicts for an insertion as one call may. The item being overwritten, if any, is at the front.
    pub(super) fn evict(&mut self, extra: (i64, u64), keep_front: bool, now_ms: u64) {
        for _ in 0..EVICTIONS_PER_INSERT_MAX {
            if self.items.len() <= usize::from(keep_front) || self.fits(extra.0, extra.1) {
                break;
            }
            self.pop(now_ms);
        }
    }

    /// Removes the least recent item.
    pub(super) fn pop(&mut self, now_ms: u64) {
        let item = self.items.pop().expect("there is one");
        if item.has_expired(now_ms) {
            self.counters.expirations += 1;
        } else {
            self.counters.evictions += 1;
        }
    }
}
