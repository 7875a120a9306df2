//! Facts: what is known of a command besides what runs it: name, arity, flags, where its keys are, group, syntax.
//!
//! Of use to clients too. Never: a type of the server. The rows are in `facts/rows.rs`; `command/table.rs` joins them
//! with what runs them.

use crate::resp::Args;
use crate::resp::number::parse_i64;

mod rows;

pub use rows::ROWS;

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Lower case; `container|subcommand` for a subcommand.
    pub name: &'static str,
    /// Arguments with the name (and the subcommand's name): exactly so many, or at least so many if negative.
    pub arity: i32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Where its keys are.
    pub keys: Keys,
    /// Redis's group, for the documentation.
    pub group: Group,
    /// The arguments after the name, as a reader would be told.
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
}

/// The facts of a command, on a line of its own.
macro_rules! facts {
    ($name:literal, $arity:literal, $flags:expr, $keys:expr, $group:ident, $syntax:literal, $summary:literal) => {
        $crate::command::facts::Facts {
            name: $name,
            arity: $arity,
            flags: $flags | $crate::command::facts::flag::of_name($name),
            keys: $keys,
            group: $crate::command::facts::Group::$group,
            syntax: $syntax,
            summary: $summary,
        }
    };
}

pub(crate) use facts;

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

    /// SUBSCRIBE and its like, and their opposites.
    pub const SUBSCRIPTION: u32 = BARRIER | PUBSUB | SUBSCRIBER;

    /// The flag that a name has by itself.
    pub const fn of_name(name: &str) -> u32 {
        let mut at = 0;
        while at < name.len() {
            if name.as_bytes()[at] == b'|' {
                return SUBCOMMAND;
            }
            at += 1;
        }
        0
    }

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

impl Facts {
    /// Whether a command line of so many words fits.
    #[inline]
    pub fn takes(&self, words: usize) -> bool {
        takes(self.arity, words)
    }

    /// Whether all bits of `flags` are set.
    #[inline]
    pub fn is(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether it has subcommands. COMMAND also runs alone.
    #[inline]
    pub fn is_container(&self) -> bool {
        self.is(flag::CONTAINER)
    }

    /// The name of its container, if it is a subcommand; else its own.
    pub fn container(&self) -> &'static str {
        self.name.split('|').next().unwrap_or(self.name)
    }

    /// Whether an argument is a secret: an auth key, or the name that stands before it.
    pub fn is_secret(&self, args: Args<'_>, at: usize) -> bool {
        let is_auth = |back: usize| at.checked_sub(back).is_some_and(|at| args.at(at).eq_ignore_ascii_case(b"AUTH"));
        self.is(flag::SECRET) || (self.is(flag::AUTH_OPTION) && (is_auth(1) || is_auth(2)))
    }

    /// Whether it is a subcommand.
    #[inline]
    pub fn is_subcommand(&self) -> bool {
        self.is(flag::SUBCOMMAND)
    }

    /// The positions of the keys in a command line, its name included. The row's arity has been checked.
    pub fn key_positions(&self, line: Args<'_>) -> impl Iterator<Item = usize> + use<> {
        let (first, step) = (usize::from(self.keys.first), usize::from(self.keys.step.max(1)));
        let end = match self.keys.last {
            _ if first == 0 => 0,
            0 => {
                let count = parse_i64(line.at(first - 1)).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
                first.saturating_add(count.saturating_mul(step))
            }
            last @ 1.. => usize::from(last.unsigned_abs()) + 1,
            last => (line.len() + 1).saturating_sub(usize::from(last.unsigned_abs())),
        };
        (first..end.min(line.len())).step_by(step)
    }

    /// The keys among the arguments after the name.
    pub fn keys_after_name<'a>(&self, args: Args<'a>) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let (first, step) = (usize::from(self.keys.first), usize::from(self.keys.step.max(1)));
        // A subcommand's name is two words, and its arguments come after both.
        let first = first.saturating_sub(usize::from(self.is_subcommand()));
        let (skip, take) = match self.keys.last {
            _ if first == 0 => (0, 0),
            0 => {
                let count = args.get(first - 2).and_then(parse_i64).and_then(|count| usize::try_from(count).ok());
                (first - 1, count.unwrap_or(0))
            }
            1.. => (first - 1, (usize::from(self.keys.last.unsigned_abs() - self.keys.first) / step) + 1),
            _ => (first - 1, usize::MAX),
        };
        args.tail(skip).iter().step_by(step).take(take)
    }

    /// Whether an argument says how many keys there are.
    pub fn counts_keys(&self) -> bool {
        self.keys.first > 0 && self.keys.last == 0
    }
}

/// Whether a command of an arity takes a line of so many words.
#[inline]
pub fn takes(arity: i32, words: usize) -> bool {
    let words = i32::try_from(words).unwrap_or(i32::MAX);
    if arity >= 0 { words == arity } else { words >= -arity }
}

/// The facts of a command by its name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Facts> {
    // A bar sorts as a blank does.
    let folded = |name: &[u8]| -> Vec<u8> {
        name.iter().map(|byte| if *byte == b'|' { b' ' } else { byte.to_ascii_lowercase() }).collect()
    };
    let wanted = folded(name);
    let at = ROWS.binary_search_by(|row| folded(row.name.as_bytes()).cmp(&wanted)).ok()?;
    Some(&ROWS[at]).filter(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether two names are the same, for what is known when this is compiled.
pub const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Subcommands of CLUSTER by which operators change a cluster, and how many words they have, as in [`Facts::arity`].
/// There is nothing to change here: they are no commands, but where there is no cluster Redis knows them.
pub const CLUSTER_CHANGES: [(&str, i32); 15] = [
    ("cluster|addslots", -3),
    ("cluster|addslotsrange", -4),
    ("cluster|bumpepoch", 2),
    ("cluster|count-failure-reports", 3),
    ("cluster|delslots", -3),
    ("cluster|delslotsrange", -4),
    ("cluster|failover", -2),
    ("cluster|flushslots", 2),
    ("cluster|forget", 3),
    ("cluster|meet", -4),
    ("cluster|replicate", 3),
    ("cluster|reset", -2),
    ("cluster|saveconfig", 2),
    ("cluster|set-config-epoch", 3),
    ("cluster|setslot", -4),
];
