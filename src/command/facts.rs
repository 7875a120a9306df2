//! Facts: what is known of a command besides what runs it. Flags, positions of keys, groups. Never: a type of the server.

/// What a command is like, as bits. The names are Redis's.
pub mod flag {
    /// Changes no key.
    pub const READONLY: u32 = 1;
    /// May change a key.
    pub const WRITE: u32 = 1 << 1;
    /// May need more memory.
    pub const DENYOOM: u32 = 1 << 2;
    /// Constant time.
    pub const FAST: u32 = 1 << 3;
    /// For operators.
    pub const ADMIN: u32 = 1 << 4;
    /// Runs before authentication.
    pub const NO_AUTH: u32 = 1 << 5;
    /// Waits for the session's earlier commands, and the later ones wait for it.
    pub const BARRIER: u32 = 1 << 6;
    /// A command of several keys that looks its keys up as a read does: counts hits and misses, makes recent.
    pub const READS: u32 = 1 << 7;
    /// Runs at once between MULTI and EXEC.
    pub const UNQUEUED: u32 = 1 << 8;
    /// Runs on a RESP2 connection that has subscribed.
    pub const SUBSCRIBER: u32 = 1 << 9;
    /// Of publishing and subscribing.
    pub const PUBSUB: u32 = 1 << 10;
    /// Can't be queued after MULTI.
    pub const NO_MULTI: u32 = 1 << 11;
    /// Runs while a snapshot is loaded.
    pub const LOADING: u32 = 1 << 12;
    /// Has subcommands.
    pub const CONTAINER: u32 = 1 << 13;
    /// What CLIENT CACHING said holds for the command after it.
    pub const KEEPS_CACHING: u32 = 1 << 14;
    /// A subcommand of one argument at most, though COMMAND says more: what has more is refused when it runs, so that
    /// MULTI queues it, and as if there was no such subcommand.
    pub const ONE_AT_MOST: u32 = 1 << 15;
    /// All of its arguments are secret: the slow log has none of them.
    pub const SECRET: u32 = 1 << 16;
    /// Its option AUTH has a user's name and an auth key, which are secret.
    pub const AUTH_OPTION: u32 = 1 << 17;
    /// Changes nothing, though it is not of keys: a client may send it again.
    pub const REPEATABLE: u32 = 1 << 18;

    /// Is a subcommand; what its name says, for those who ask for every command.
    pub const SUBCOMMAND: u32 = 1 << 19;

    /// Bit and Redis's name of each that Redis has.
    pub const NAMES: [(u32, &str); 9] = [
        (PUBSUB, "pubsub"),
        (READONLY, "readonly"),
        (WRITE, "write"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (LOADING, "loading"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_MULTI, "no_multi"),
    ];
}

/// The positions of a command's keys. All zero: it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The first key's position; the name is at 0.
    pub first: u8,
    /// The last key's, from the end if negative. 0: the argument before the first key says how many keys there are.
    pub last: i8,
    /// From one key to the next.
    pub step: u8,
}

/// No keys.
pub const NO_KEYS: Keys = Keys { first: 0, last: 0, step: 0 };
/// One key, the first argument.
pub const ONE_KEY: Keys = Keys { first: 1, last: 1, step: 1 };
/// One key behind a subcommand.
pub const SUB_KEY: Keys = Keys { first: 2, last: 2, step: 1 };
/// Every argument.
pub const ALL_KEYS: Keys = Keys { first: 1, last: -1, step: 1 };
/// Keys, each with its value behind it.
pub const KEY_VALUE_PAIRS: Keys = Keys { first: 1, last: -1, step: 2 };
/// The first two arguments.
pub const TWO_KEYS: Keys = Keys { first: 1, last: 2, step: 1 };
/// Every argument but the first.
pub const KEYS_AFTER_WORD: Keys = Keys { first: 2, last: -1, step: 1 };
/// Pairs of key and value, as many as the first argument says.
pub const COUNTED_PAIRS: Keys = Keys { first: 2, last: 0, step: 2 };

/// Redis's groups that occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Values as rows of bits.
    Bitmap,
    /// The cores as nodes of a cluster.
    Cluster,
    /// The connection itself.
    Connection,
    /// Keys, whatever their value.
    Generic,
    /// Messages.
    Pubsub,
    /// The server.
    Server,
    /// Values.
    String,
    /// MULTI and its like.
    Transactions,
}

impl Group {
    /// Redis's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Group::Bitmap => "bitmap",
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Pubsub => "pubsub",
            Group::Server => "server",
            Group::String => "string",
            Group::Transactions => "transactions",
        }
    }
}
