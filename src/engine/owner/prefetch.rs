//! Prefetch: warms the shard for the commands that are about to run, before the first of them waits for memory.
//!
//! Core: the one whose shard it is. Cost: a look at the heads of a command, and `Shard::warm` for its first key.
//! Never: decides what a command is; whatever stands where a key would is looked for, and found or not.

use crate::shard::{Database, Shard};

/// Warms `shard` for the commands at the start of `bytes`, on keys of a database, as far as one go of it reaches. `peek`
/// finds a command's first key and its length; `is_here` says whether a key is the shard's. Returns the bytes it has seen
/// to: more than 0.
#[inline]
pub(in crate::engine) fn warm(
    shard: &mut Shard,
    database: Database,
    bytes: &[u8],
    peek: impl Fn(&[u8]) -> Option<(&[u8], usize)>,
    is_here: impl Fn(&[u8]) -> bool,
) -> usize {
    if !shard.is_worth_warming() {
        return bytes.len();
    }
    let mut seen = 0;
    let keys = std::iter::from_fn(|| {
        let (key, len) = peek(bytes.get(seen..)?)?;
        seen += len;
        Some(key)
    });
    shard.select(database);
    shard.warm(keys.filter(|key| is_here(key)));
    shard.select(0);
    seen.max(1)
}
