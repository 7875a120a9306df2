//! Task: one core's share of a command of several keys that live on several cores. Core: the owner of the keys.
//!
//! `engine/home/multi_key.rs` gives tasks out while the shards are held: the cores read, then they change.

use crate::command::several::{Changes, Stored};
use crate::command::{Call, Error, Reply, string};
use crate::shard::Shard;

/// An item as one core sends it to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The value of the item.
    pub value: Vec<u8>,
    /// The deadline in unix milliseconds, if the item has a TTL.
    pub expires_at_ms: Option<u64>,
}

impl Item {
    /// The item, as a command that decides looks at it.
    pub fn stored(&self) -> Stored<'_> {
        Stored { value: &self.value, expires_at_ms: self.expires_at_ms }
    }
}

/// One core's share of a command.
#[derive(Debug)]
pub enum Task {
    /// Reads the items of keys.
    Read {
        /// The keys of the core, in the order of the command.
        keys: Vec<Vec<u8>>,
        /// Whether each is a hit or a miss and makes the item recent, as in a command that reads.
        counts: bool,
    },
    /// Makes changes.
    Change(Changes),
}

/// The outcome of a task.
#[derive(Debug)]
pub enum Outcome {
    /// The items that were read, in the order of the keys.
    Items(Vec<Option<Item>>),
    /// The changes are made.
    Changed,
    /// The task was refused; of its changes the first ones may have been made.
    Refused(Error),
}

impl Task {
    /// Does the task on the shard that owns the keys, in the database that is selected there.
    pub fn perform(&self, shard: &mut Shard, call: Call) -> Outcome {
        match self {
            Task::Read { keys, counts } => {
                Outcome::Items(keys.iter().map(|key| read(shard, key, *counts, call)).collect())
            }
            Task::Change(changes) => match apply(shard, changes, call) {
                Ok(()) => Outcome::Changed,
                Err(error) => Outcome::Refused(error),
            },
        }
    }

    /// The keys that the task reads.
    pub fn keys_read(&self) -> &[Vec<u8>] {
        match self {
            Task::Read { keys, .. } => keys,
            Task::Change(_) => &[],
        }
    }
}

fn read(shard: &mut Shard, key: &[u8], counts: bool, call: Call) -> Option<Item> {
    if counts {
        let _ = shard.get_silently(key, call.recency, call.now_ms);
    }
    let found = shard.peek_in(shard.selected(), key, call.now_ms)?;
    Some(Item { value: found.value.to_vec(), expires_at_ms: found.expires_at_ms })
}

/// Makes the changes of a command, in the database that is selected.
pub fn apply(shard: &mut Shard, changes: &Changes, call: Call) -> Result<(), Error> {
    for (key, value, expiry) in &changes.stores {
        if let Reply::Error(error) = string::store_value(shard, changes.event, key, value, *expiry, call) {
            return Err(error);
        }
    }
    for key in &changes.deletes {
        if changes.renames() {
            shard.remove_renamed(key, call.now_ms);
        } else {
            shard.remove(key, call.now_ms);
        }
    }
    Ok(())
}
