//! Files: what an engine asks of those who read and write snapshots, and what it hears from them. Plain values.
//!
//! Asks of one core are answered in their order. A core has at most `SNAPSHOT_BLOCKS_AHEAD` blocks of its walk, and one
//! chunk of a load, under way; so nobody waits with much in hand.

use crate::persist::{Block, Name, Saved, Summary};

/// How an engine takes snapshots.
#[derive(Clone, Debug)]
pub struct SnapshotConfig {
    /// What a snapshot is called that nobody names.
    pub name: Name,
    /// Milliseconds between snapshots that nobody asks for; `None` for no such snapshots, nor one at the end.
    pub interval_ms: Option<u64>,
    /// Bytes a second that the walks of all cores may write; 0 for as many as they can.
    pub bandwidth: u64,
    /// A load of id 0 is under way when the engine begins. Every core gets its `FileEvent::Records`, which interleave with
    /// those of other cores, and one `FileEvent::End` after all of them; core 0 gets `FileEvent::Checked` before if there is a
    /// file, and `FileEvent::Failed` if that is damaged, after which nothing comes.
    pub loading: bool,
}

impl Default for SnapshotConfig {
    /// No snapshots unless they are asked for.
    fn default() -> Self {
        let name = Name::parse(crate::limits::SNAPSHOT_NAME_DEFAULT.as_bytes()).expect("a name that fits");
        SnapshotConfig { name, interval_ms: None, bandwidth: 0, loading: false }
    }
}

/// What an engine asks for.
#[derive(Debug)]
pub enum FileAsk {
    /// A new snapshot. Answered by `Begun` or `Failed`.
    Save {
        /// The id of the snapshot, in all that follows.
        id: u64,
        /// The file.
        name: Name,
        /// Cores that will write.
        cores: u16,
    },
    /// The snapshot holds the keyspace as it was at this instant.
    Cut {
        /// The id of the snapshot.
        id: u64,
        /// Unix milliseconds.
        created_ms: u64,
    },
    /// A block of it. Answered by `Written`.
    Block {
        /// The id of the snapshot.
        id: u64,
        /// The block.
        block: Block,
    },
    /// This core has no more of it. When all have said so: answered by `Saved` or `Failed`, to core 0.
    Walked {
        /// The id of the snapshot.
        id: u64,
    },
    /// A snapshot is not wanted any more.
    Abandon {
        /// The id of the snapshot.
        id: u64,
    },
    /// A snapshot is to be checked. Answered by `Checked` or `Failed`.
    Load {
        /// The id of the snapshot, in all that follows.
        id: u64,
        /// The file.
        name: Name,
    },
    /// The one that was checked is to be read: `Records` and `End` to all cores, or `Failed` to core 0.
    Read {
        /// The id of the snapshot.
        id: u64,
    },
}

/// What an engine hears.
#[derive(Debug)]
pub enum FileEvent {
    /// A snapshot has its file.
    Begun {
        /// The id of the snapshot.
        id: u64,
    },
    /// A block was written, could not be, or is not wanted; here is its memory.
    Written {
        /// The id of the snapshot.
        id: u64,
        /// An empty buffer.
        buffer: Vec<u8>,
    },
    /// A snapshot is complete.
    Saved {
        /// The id of the snapshot.
        id: u64,
        /// What it came to.
        saved: Saved,
    },
    /// A snapshot can't be written or read.
    Failed {
        /// The id of the snapshot.
        id: u64,
        /// Why, in one line.
        why: String,
    },
    /// A snapshot is whole.
    Checked {
        /// The id of the snapshot.
        id: u64,
        /// What it holds.
        summary: Summary,
    },
    /// Items for this core.
    Records {
        /// The id of the snapshot.
        id: u64,
        /// Records as in a file.
        bytes: Vec<u8>,
        /// Bytes of the file read so far, and bytes in all.
        progress: (u64, u64),
    },
    /// There are no more.
    End {
        /// The id of the snapshot.
        id: u64,
    },
}
