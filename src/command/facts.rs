//! Facts: the properties of a command besides its handler: name, arity, flags, positions of keys, group, syntax.
//!
//! Clients use them too. Never: a type of the server. The rows are in `facts/rows.rs`; `command/table.rs` joins them with
//! the handlers.

use crate::resp::Args;
use crate::resp::number::parse_i64;

mod rows;

pub use rows::ROWS;

/// The facts of one command.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The name in lower case; `container|subcommand` for a subcommand.
    pub name: &'static str,
    /// The number of arguments with the name (and the subcommand's name); if negative, the least number.
    pub arity: i32,
    /// The flags: bits of [`flag`].
    pub flags: u32,
    /// The positions of the keys.
    pub keys: Keys,
    /// Redis's group, for the documentation.
    pub group: Group,
    /// The arguments after the name, in readable syntax.
    pub syntax: &'static str,
    /// A summary of one sentence.
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

/// The flags of commands, as bits. The names are Redis's.
pub mod flag {
    /// The command changes no key.
    pub const READONLY: u32 = 1;
    /// The command may change a key.
    pub const WRITE: u32 = 1 << 1;
    /// The command may need more memory.
    pub const DENYOOM: u32 = 1 << 2;
    /// The command runs in constant time.
    pub const FAST: u32 = 1 << 3;
    /// The command is for operators.
    pub const ADMIN: u32 = 1 << 4;
    /// The command runs before authentication.
    pub const NO_AUTH: u32 = 1 << 5;
    /// The command waits for the session's earlier commands, and the later ones wait for it.
    pub const BARRIER: u32 = 1 << 6;
    /// A command of several keys that looks its keys up as a read does: counts hits and misses, makes recent.
    pub const READS: u32 = 1 << 7;
    /// The command runs at once between MULTI and EXEC.
    pub const UNQUEUED: u32 = 1 << 8;
    /// The command runs on a RESP2 connection that has subscribed.
    pub const SUBSCRIBER: u32 = 1 << 9;
    /// The command belongs to pub/sub.
    pub const PUBSUB: u32 = 1 << 10;
    /// The command can't be queued after MULTI.
    pub const NO_MULTI: u32 = 1 << 11;
    /// The command runs while a snapshot is loaded.
    pub const LOADING: u32 = 1 << 12;
    /// The command has subcommands.
    pub const CONTAINER: u32 = 1 << 13;
    /// The setting of CLIENT CACHING stays for the command after this one.
    pub const KEEPS_CACHING: u32 = 1 << 14;
    /// A subcommand of one argument at most, though COMMAND says more: what has more is refused when it runs, so that
    /// MULTI queues it, and as if there was no such subcommand.
    pub const ONE_AT_MOST: u32 = 1 << 15;
    /// A subcommand of two arguments at most, otherwise as `ONE_AT_MOST`.
    pub const TWO_AT_MOST: u32 = 1 << 21;
    /// The command makes the value as long as the offset that it names: see `command/growth.rs`.
    pub const REACHES: u32 = 1 << 22;
    /// All arguments are secret: the slow log has none of them.
    pub const SECRET: u32 = 1 << 16;
    /// The arguments of the option AUTH, a user and an auth key, are secret.
    pub const AUTH_OPTION: u32 = 1 << 17;
    /// The command has no keys and changes nothing: a client may retry it.
    pub const REPEATABLE: u32 = 1 << 18;

    /// An argument after the name of a secret setting is secret.
    pub const SECRET_SETTING: u32 = 1 << 20;

    /// The command is a subcommand, which its name says too.
    pub const SUBCOMMAND: u32 = 1 << 19;

    /// SUBSCRIBE and its like, and their opposites.
    pub const SUBSCRIPTION: u32 = BARRIER | PUBSUB | SUBSCRIBER;

    /// The flag that follows from a name.
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

    /// The flags that Redis has, with Redis's names.
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

/// The positions of a command's keys. All zero: there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The position of the first key; the name is at 0.
    pub first: u8,
    /// The position of the last key, from the end if negative. 0: the argument before the first key is the number of keys.
    pub last: i8,
    /// The distance from one key to the next.
    pub step: u8,
}

/// No keys.
pub const NO_KEYS: Keys = Keys { first: 0, last: 0, step: 0 };
/// One key, the first argument.
pub const ONE_KEY: Keys = Keys { first: 1, last: 1, step: 1 };
/// One key behind a subcommand.
pub const SUB_KEY: Keys = Keys { first: 2, last: 2, step: 1 };
/// Every argument is a key.
pub const ALL_KEYS: Keys = Keys { first: 1, last: -1, step: 1 };
/// Keys, each with its value behind it.
pub const KEY_VALUE_PAIRS: Keys = Keys { first: 1, last: -1, step: 2 };
/// The first two arguments are keys.
pub const TWO_KEYS: Keys = Keys { first: 1, last: 2, step: 1 };
/// Every argument but the first is a key.
pub const KEYS_AFTER_WORD: Keys = Keys { first: 2, last: -1, step: 1 };
/// Pairs of key and value, as many as the first argument says.
pub const COUNTED_PAIRS: Keys = Keys { first: 2, last: 0, step: 2 };

/// The groups of Redis that occur here.
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
    /// Messages and subscriptions.
    Pubsub,
    /// The server as a whole.
    Server,
    /// Values of keys.
    String,
    /// MULTI and its like.
    Transactions,
}

impl Group {
    /// Redis's name of the group.
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
    /// Whether a command line of `words` words fits the arity.
    #[inline]
    pub fn takes(&self, words: usize) -> bool {
        takes(self.arity, words)
    }

    /// Whether all bits of `flags` are set.
    #[inline]
    pub fn is(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether the command has subcommands. COMMAND also runs alone.
    #[inline]
    pub fn is_container(&self) -> bool {
        self.is(flag::CONTAINER)
    }

    /// The name of the container for a subcommand, else the command's own name.
    pub fn container(&self) -> &'static str {
        self.name.split('|').next().unwrap_or(self.name)
    }

    /// Whether an argument is secret: an auth key, or the user before it.
    pub fn is_secret(&self, args: Args<'_>, at: usize) -> bool {
        let is_auth = |back: usize| at.checked_sub(back).is_some_and(|at| args.at(at).eq_ignore_ascii_case(b"AUTH"));
        let follows_secret = || at.checked_sub(1).is_some_and(|at| args.at(at).eq_ignore_ascii_case(b"requirepass"));
        self.is(flag::SECRET)
            || (self.is(flag::AUTH_OPTION) && (is_auth(1) || is_auth(2)))
            || (self.is(flag::SECRET_SETTING) && follows_secret())
    }

    /// The largest number of arguments, of a subcommand that refuses more when it runs.
    pub fn args_max(&self) -> Option<usize> {
        match () {
            () if self.is(flag::ONE_AT_MOST) => Some(1),
            () if self.is(flag::TWO_AT_MOST) => Some(2),
            () => None,
        }
    }

    /// Whether the command is a subcommand.
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

    /// Whether an argument is the number of keys.
    pub fn counts_keys(&self) -> bool {
        self.keys.first > 0 && self.keys.last == 0
    }
}

/// Whether a line of `words` words fits an arity.
#[inline]
pub fn takes(arity: i32, words: usize) -> bool {
    if arity >= 0 { words == arity as usize } else { words >= arity.unsigned_abs() as usize }
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

/// Whether two names are equal, at compile time.
pub const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// The subcommands of CLUSTER by which operators change a cluster, with their arity as in [`Facts::arity`]. They do not
/// exist here, but Redis without a cluster knows them.
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
