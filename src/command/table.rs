//! The command table: one row a command, and nothing else decides what a command is.
//!
//! Arity errors, routing, `COMMAND` and its subcommands and the table of docs/commands.md derive from it.
//! Rows are sorted by name; a subcommand's name is `container|subcommand`, and stands after its container.

use crate::command::connection::{self as conn, SessionHandler};
use crate::command::errors::quote;
use crate::command::facts::{
    ALL_KEYS, COUNTED_PAIRS, KEY_VALUE_PAIRS, KEYS_AFTER_WORD, NO_KEYS, ONE_KEY, SUB_KEY, TWO_KEYS,
};
pub use crate::command::facts::{Group, Keys, flag};
pub use crate::command::lookup::{CommandId, EachKeyCommand, Lookup, Sent};
use crate::command::pubsub::{SUBSCRIPTION, Topic};
use crate::command::several::{self, Decide};
use crate::command::snapshot;
use crate::command::{
    Call, Error, Reply, admin, bitfield, bits, counter, docs, dump, expiry, keyspace, object, range, string, tracking,
};
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::Shard;

/// One command.
#[derive(Debug)]
pub struct Command {
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
    /// What runs it.
    pub handler: Handler,
}

use flag::{
    ADMIN, AUTH_OPTION, BARRIER, CONTAINER, DENYOOM, FAST, KEEPS_CACHING, LOADING, NO_AUTH, NO_MULTI, ONE_AT_MOST,
    PUBSUB, READONLY, READS, REPEATABLE, SECRET, SUBSCRIBER, UNQUEUED, WRITE,
};

/// A handler of one key. `args` begin at the key.
pub type KeyHandler = for<'s> fn(&'s mut Shard, Args<'_>, Call) -> Reply<'s>;

/// What runs a command, and so where.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// The core that owns what the command is about, wherever its client is: another core may send it.
    Owner(OwnerHandler),
    /// Every core, each its part; the parts are folded on the home core.
    EveryCore(Part),
    /// The home core of the client, and no other.
    Home(HomeHandler),
    /// Only a name for its subcommands.
    Container,
}

/// What runs where its keys are, or what is placed as keys are.
#[derive(Clone, Copy, Debug)]
pub enum OwnerHandler {
    /// One key: on the core that owns it.
    Key(KeyHandler),
    /// Several keys, each by itself on the core that owns it; the replies are folded.
    EachKey(KeyHandler, Fold),
    /// Several keys in one step: on their core, or with their shards held.
    Several(Decide),
    /// SCAN: on the core that its cursor names.
    Scan,
    /// PUBLISH: on the core that owns the channel's hash.
    Publish(Topic),
    /// DEBUG OBJECT: on the core that owns its key. The other subcommands of DEBUG end at home, in `engine/debug.rs`.
    Debug,
}

/// What runs where its client is, at once.
#[derive(Clone, Copy, Debug)]
pub enum HomeHandler {
    /// What the session knows.
    Session(SessionHandler),
    /// MULTI and its like: `engine/transaction.rs`.
    Transaction(Verb),
    /// What clients are told of the cores: `engine/topology.rs`.
    Topology(Told),
}

/// The commands that make a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// From here on commands are queued.
    Multi,
    /// The queued commands are run.
    Exec,
    /// They are forgotten.
    Discard,
    /// EXEC will run them only if keys have not changed.
    Watch,
    /// It will not care.
    Unwatch,
}

/// What a client wants to be told of the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// ASPINE.CORES.
    Cores,
    /// READONLY and its like, which change nothing.
    Accepted,
    /// CLUSTER INFO.
    Info,
    /// CLUSTER KEYSLOT.
    KeySlot,
    /// CLUSTER LINKS.
    Links,
    /// CLUSTER MYID.
    MyId,
    /// CLUSTER MYSHARDID.
    MyShardId,
    /// CLUSTER NODES.
    Nodes,
    /// CLUSTER REPLICAS.
    Replicas,
    /// CLUSTER SHARDS.
    Shards,
    /// CLUSTER SLOTS.
    Slots,
}

/// How the replies for single keys become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// An array in the order of the keys.
    Array,
    /// The sum of numbers.
    Sum,
    /// OK, or the first refusal.
    Ok,
}

/// What each core does for a command that concerns all of them. `engine/every.rs` runs and folds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// DBSIZE.
    Size,
    /// FLUSHALL, FLUSHDB.
    Clear,
    /// KEYS.
    Keys,
    /// RANDOMKEY.
    RandomKey,
    /// INFO.
    Report,
    /// SUBSCRIBE and its like.
    Subscribe(Topic),
    /// UNSUBSCRIBE and its like.
    Unsubscribe(Topic),
    /// CLIENT LIST.
    ClientList,
    /// CLIENT KILL.
    ClientKill,
    /// CLIENT TRACKING.
    Tracking,
    /// CONFIG SET.
    ConfigSet,
    /// CONFIG RESETSTAT.
    ConfigResetStat,
    /// SAVE, BGSAVE, ASPINE.LOAD: core 0 alone. `engine/snapshot.rs` has them.
    Snapshot(snapshot::Verb),
    /// CLUSTER COUNTKEYSINSLOT: the core that owns the slot.
    SlotCount,
    /// CLUSTER GETKEYSINSLOT: the core that owns the slot.
    SlotKeys,
    /// What else is asked of all cores.
    Ask(Question),
}

/// What SLOWLOG, LATENCY, MEMORY and PUBSUB ask of each core. `engine/ask.rs` answers and folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// LASTSAVE.
    LastSave,
    /// LATENCY DOCTOR.
    LatencyDoctor,
    /// LATENCY GRAPH.
    LatencyGraph,
    /// LATENCY HISTOGRAM.
    LatencyHistogram,
    /// LATENCY HISTORY.
    LatencyHistory,
    /// LATENCY LATEST.
    LatencyLatest,
    /// LATENCY RESET.
    LatencyReset,
    /// MEMORY DOCTOR.
    MemoryDoctor,
    /// MEMORY STATS.
    MemoryStats,
    /// PUBSUB CHANNELS and its like.
    PubsubNames(Topic),
    /// PUBSUB NUMPAT.
    PubsubPatterns,
    /// PUBSUB NUMSUB and its like.
    PubsubCounts(Topic),
    /// SLOWLOG GET.
    SlowlogGet,
    /// SLOWLOG LEN.
    SlowlogLen,
    /// SLOWLOG RESET.
    SlowlogReset,
}

use Part::Ask;

use Handler::{Container, EveryCore, Home, Owner};
use HomeHandler::{Session, Topology, Transaction};
use OwnerHandler::{EachKey, Key, Publish, Scan, Several};

/// The flag that a name has by itself.
const fn named(name: &str) -> u32 {
    let mut at = 0;
    while at < name.len() {
        if name.as_bytes()[at] == b'|' {
            return flag::SUBCOMMAND;
        }
        at += 1;
    }
    0
}

#[rustfmt::skip]
macro_rules! row {
    ($name:literal, $arity:literal, $flags:expr, $keys:expr, $group:ident, $handler:expr, $syntax:literal, $summary:literal) => {
        Command { name: $name, arity: $arity, flags: $flags | named($name), keys: $keys, group: Group::$group, syntax: $syntax, summary: $summary, handler: $handler }
    };
}

/// All commands, sorted by name.
#[rustfmt::skip]
pub static TABLE: &[Command] = &[
    row!("append", 3, WRITE | DENYOOM | FAST, ONE_KEY, String, Owner(Key(range::append)), "key value", "Appends to the value, which may be absent, and returns its length."),
    row!("asking", 1, FAST | LOADING, NO_KEYS, Cluster, Home(Topology(Told::Accepted)), "", "Is accepted for cluster clients: no slot moves."),
    row!("aspine.cores", 1, FAST | LOADING | REPEATABLE, NO_KEYS, Cluster, Home(Topology(Told::Cores)), "", "Returns the cores, their ports and slots, and which of them the connection has reached."),
    row!("aspine.load", -1, ADMIN | BARRIER | NO_MULTI, NO_KEYS, Server, EveryCore(Part::Snapshot(snapshot::Verb::Load)), "[name] [REPLACE | MERGE]", "Loads a snapshot in place of what there is, or over it."),
    row!("auth", -2, FAST | NO_AUTH | BARRIER | LOADING | SECRET, NO_KEYS, Connection, Home(Session(conn::auth)), "[username] key", "Shows the auth key."),
    row!("bgsave", -1, ADMIN | BARRIER, NO_KEYS, Server, EveryCore(Part::Snapshot(snapshot::Verb::Bgsave)), "[SCHEDULE] [name]", "Begins a snapshot."),
    row!("bitcount", -2, READONLY, ONE_KEY, Bitmap, Owner(Key(bits::count)), "key [start end [BYTE | BIT]]", "Counts the ones."),
    row!("bitfield", -2, WRITE | DENYOOM, ONE_KEY, Bitmap, Owner(Key(bitfield::run)), "key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET type offset value | [OVERFLOW WRAP | SAT | FAIL] INCRBY type offset increment ...]", "Reads and writes integers of any number of bits."),
    row!("bitfield_ro", -2, READONLY | FAST, ONE_KEY, Bitmap, Owner(Key(bitfield::run_read_only)), "key [GET type offset [GET type offset ...]]", "Reads integers of any number of bits."),
    row!("bitop", -4, WRITE | DENYOOM | READS, KEYS_AFTER_WORD, String, Owner(Several(several::bit_op)), "operation destination source [source ...]", "Stores AND, OR, XOR or NOT of values, bit by bit."),
    row!("bitpos", -3, READONLY, ONE_KEY, Bitmap, Owner(Key(bits::position)), "key bit [start [end [BYTE | BIT]]]", "Finds the first one or zero."),
    row!("client", -2, LOADING | CONTAINER, NO_KEYS, Connection, Container, "", "Commands on client connections."),
    row!("client|caching", 3, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(tracking::client_caching)), "YES | NO", "Says whether the keys of the next command are tracked, after CLIENT TRACKING with OPTIN or OPTOUT."),
    row!("client|getname", 2, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::client_getname)), "", "Returns the name of the connection."),
    row!("client|getredir", 2, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(tracking::client_getredir)), "", "Returns the id of the client that is told of the connection's stale keys."),
    row!("client|help", 2, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::help)), "", "Lists the subcommands."),
    row!("client|id", 2, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::client_id)), "", "Returns the connection's id, unique in the process."),
    row!("client|info", 2, BARRIER | LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::client_info)), "", "Describes the connection in one line."),
    row!("client|kill", -3, ADMIN | BARRIER | LOADING | KEEPS_CACHING, NO_KEYS, Connection, EveryCore(Part::ClientKill), "addr:port | [ID id] [ADDR addr:port] [LADDR addr:port] [TYPE type] [USER name] [MAXAGE seconds] [SKIPME yes|no]", "Closes connections."),
    row!("client|list", -2, ADMIN | BARRIER | LOADING | KEEPS_CACHING, NO_KEYS, Connection, EveryCore(Part::ClientList), "[TYPE type] [ID id [id ...]]", "Describes the connections, a line each."),
    row!("client|no-evict", 3, ADMIN | LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::client_no_evict)), "ON | OFF", "Marks the connection; no connection is closed to save memory here."),
    row!("client|no-touch", 3, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::client_no_touch)), "ON | OFF", "Sets whether the connection's reads leave recency alone."),
    row!("client|reply", 3, BARRIER | LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::client_reply)), "ON | OFF | SKIP", "Sets whether the connection is answered."),
    row!("client|setinfo", 4, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::client_setinfo)), "LIB-NAME name | LIB-VER version", "Names the connection's client library."),
    row!("client|setname", 3, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(conn::client_setname)), "name", "Names the connection."),
    row!("client|tracking", -3, BARRIER | LOADING | KEEPS_CACHING, NO_KEYS, Connection, EveryCore(Part::Tracking), "ON | OFF [REDIRECT id] [BCAST] [PREFIX prefix [PREFIX prefix ...]] [OPTIN] [OPTOUT] [NOLOOP]", "Sets whether the connection is told when keys that it may hold in its own cache have changed."),
    row!("client|trackinginfo", 2, LOADING | KEEPS_CACHING, NO_KEYS, Connection, Home(Session(tracking::client_trackinginfo)), "", "Returns what the connection has asked for with CLIENT TRACKING."),
    row!("cluster", -2, CONTAINER, NO_KEYS, Cluster, Container, "", "Commands that show the cores as nodes of a cluster; refused without --core-ports."),
    row!("cluster|countkeysinslot", 3, BARRIER, NO_KEYS, Cluster, EveryCore(Part::SlotCount), "slot", "Counts the keys of a slot."),
    row!("cluster|getkeysinslot", 4, BARRIER, NO_KEYS, Cluster, EveryCore(Part::SlotKeys), "slot count", "Returns keys of a slot, at most so many."),
    row!("cluster|help", 2, LOADING, NO_KEYS, Cluster, Home(Session(conn::cluster_help)), "", "Lists the subcommands."),
    row!("cluster|info", 2, LOADING, NO_KEYS, Cluster, Home(Topology(Told::Info)), "", "Describes the cluster: each core is a node."),
    row!("cluster|keyslot", 3, LOADING, NO_KEYS, Cluster, Home(Topology(Told::KeySlot)), "key", "Returns the slot of a key."),
    row!("cluster|links", 2, LOADING, NO_KEYS, Cluster, Home(Topology(Told::Links)), "", "Returns no links, as there are none between cores."),
    row!("cluster|myid", 2, LOADING, NO_KEYS, Cluster, Home(Topology(Told::MyId)), "", "Returns the id of the core that the connection has reached."),
    row!("cluster|myshardid", 2, LOADING, NO_KEYS, Cluster, Home(Topology(Told::MyShardId)), "", "Returns the shard id of the core that the connection has reached."),
    row!("cluster|nodes", 2, LOADING, NO_KEYS, Cluster, Home(Topology(Told::Nodes)), "", "Describes the cores, a line each."),
    row!("cluster|replicas", 3, ADMIN | LOADING, NO_KEYS, Cluster, Home(Topology(Told::Replicas)), "node", "Returns no replicas, as cores have none."),
    row!("cluster|shards", 2, LOADING, NO_KEYS, Cluster, Home(Topology(Told::Shards)), "", "Returns the slots and the address of each core, by name."),
    row!("cluster|slots", 2, LOADING, NO_KEYS, Cluster, Home(Topology(Told::Slots)), "", "Returns the slots and the address of each core."),
    row!("command", -1, LOADING | CONTAINER, NO_KEYS, Server, Home(Session(docs::command)), "", "Describes all commands."),
    row!("command|count", 2, LOADING, NO_KEYS, Server, Home(Session(docs::command_count)), "", "Returns the number of commands."),
    row!("command|docs", -2, LOADING, NO_KEYS, Server, Home(Session(docs::command_docs)), "[name [name ...]]", "Returns the documentation of commands."),
    row!("command|getkeys", -4, LOADING, NO_KEYS, Server, Home(Session(docs::command_getkeys)), "command arg [arg ...]", "Returns the keys of a command line."),
    row!("command|help", 2, LOADING, NO_KEYS, Server, Home(Session(conn::help)), "", "Lists the subcommands."),
    row!("command|info", -2, LOADING, NO_KEYS, Server, Home(Session(docs::command_info)), "[name [name ...]]", "Describes the named commands, or all."),
    row!("command|list", -2, LOADING, NO_KEYS, Server, Home(Session(docs::command_list)), "[FILTERBY MODULE name | ACLCAT category | PATTERN pattern]", "Returns the names of commands."),
    row!("config", -2, LOADING | CONTAINER, NO_KEYS, Server, Container, "", "Commands on the configuration."),
    row!("config|get", -3, ADMIN | LOADING, NO_KEYS, Server, Home(Session(admin::config_get)), "pattern [pattern ...]", "Returns settings by name."),
    row!("config|help", 2, LOADING, NO_KEYS, Server, Home(Session(conn::help)), "", "Lists the subcommands."),
    row!("config|resetstat", 2, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Part::ConfigResetStat), "", "Sets the counters of INFO back to zero."),
    row!("config|rewrite", 2, ADMIN | LOADING, NO_KEYS, Server, Home(Session(admin::config_rewrite)), "", "Is refused, since there is no configuration file."),
    row!("config|set", -4, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Part::ConfigSet), "name value [name value ...]", "Changes settings until the server stops."),
    row!("copy", -3, WRITE | DENYOOM | READS, TWO_KEYS, Generic, Owner(Several(several::copy)), "source destination [DB 0] [REPLACE]", "Copies a value and its time to live."),
    row!("dbsize", 1, READONLY | FAST | BARRIER, NO_KEYS, Server, EveryCore(Part::Size), "", "Returns the number of keys."),
    row!("debug", -2, ADMIN | BARRIER | LOADING, NO_KEYS, Server, Owner(OwnerHandler::Debug), "subcommand [argument [argument ...]]", "Does what tests need; refused unless --enable-debug-command allows it."),
    row!("decr", 2, WRITE | DENYOOM | FAST, ONE_KEY, String, Owner(Key(counter::decrement)), "key", "Subtracts one from an integer."),
    row!("decrby", 3, WRITE | DENYOOM | FAST, ONE_KEY, String, Owner(Key(counter::decrement_by)), "key decrement", "Subtracts from an integer."),
    row!("del", -2, WRITE, ALL_KEYS, Generic, Owner(EachKey(keyspace::delete, Fold::Sum)), "key [key ...]", "Deletes keys."),
    row!("discard", 1, FAST | BARRIER | UNQUEUED | LOADING, NO_KEYS, Transactions, Home(Transaction(Verb::Discard)), "", "Forgets the queued commands."),
    row!("dump", 2, READONLY, ONE_KEY, Generic, Owner(Key(dump::dump)), "key", "Returns the value in a form that RESTORE takes."),
    row!("echo", 2, FAST | LOADING | REPEATABLE, NO_KEYS, Connection, Home(Session(conn::echo)), "message", "Returns the message."),
    row!("exec", 1, BARRIER | UNQUEUED | LOADING, NO_KEYS, Transactions, Home(Transaction(Verb::Exec)), "", "Runs the queued commands as one step."),
    row!("exists", -2, READONLY | FAST, ALL_KEYS, Generic, Owner(EachKey(keyspace::exists, Fold::Sum)), "key [key ...]", "Counts how many of the keys exist."),
    row!("expire", -3, WRITE | FAST, ONE_KEY, Generic, Owner(Key(expiry::expire)), "key seconds [NX | XX | GT | LT]", "Sets the time to live in seconds."),
    row!("expireat", -3, WRITE | FAST, ONE_KEY, Generic, Owner(Key(expiry::expireat)), "key unix-time-seconds [NX | XX | GT | LT]", "Sets the unix time at which the key expires."),
    row!("expiretime", 2, READONLY | FAST, ONE_KEY, Generic, Owner(Key(expiry::expiretime)), "key", "Returns the unix time in seconds at which the key expires."),
    row!("flushall", -1, WRITE | BARRIER, NO_KEYS, Server, EveryCore(Part::Clear), "[ASYNC | SYNC]", "Deletes all keys."),
    row!("flushdb", -1, WRITE | BARRIER, NO_KEYS, Server, EveryCore(Part::Clear), "[ASYNC | SYNC]", "Deletes all keys; there is one database."),
    row!("get", 2, READONLY | FAST, ONE_KEY, String, Owner(Key(string::get)), "key", "Returns the value."),
    row!("getbit", 3, READONLY | FAST, ONE_KEY, Bitmap, Owner(Key(bits::get)), "key offset", "Returns a bit of the value."),
    row!("getdel", 2, WRITE | FAST, ONE_KEY, String, Owner(Key(string::get_and_delete)), "key", "Returns the value and deletes the key."),
    row!("getex", -2, WRITE | FAST, ONE_KEY, String, Owner(Key(string::get_and_expire)), "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]", "Returns the value and sets its time to live."),
    row!("getrange", 4, READONLY, ONE_KEY, String, Owner(Key(range::get)), "key start end", "Returns the bytes of the value from start to end, both included."),
    row!("getset", 3, WRITE | DENYOOM | FAST, ONE_KEY, String, Owner(Key(string::get_and_set)), "key value", "Sets the value and returns the old one."),
    row!("hello", -1, FAST | NO_AUTH | BARRIER | LOADING | AUTH_OPTION, NO_KEYS, Connection, Home(Session(conn::hello)), "[protover [AUTH username key] [SETNAME name]]", "Greets the server and chooses the protocol version."),
    row!("incr", 2, WRITE | DENYOOM | FAST, ONE_KEY, String, Owner(Key(counter::increment)), "key", "Adds one to an integer."),
    row!("incrby", 3, WRITE | DENYOOM | FAST, ONE_KEY, String, Owner(Key(counter::increment_by)), "key increment", "Adds to an integer."),
    row!("incrbyfloat", 3, WRITE | DENYOOM | FAST, ONE_KEY, String, Owner(Key(counter::increment_by_float)), "key increment", "Adds to a float of 64 bits of mantissa."),
    row!("info", -1, BARRIER | LOADING | REPEATABLE, NO_KEYS, Server, EveryCore(Part::Report), "[section [section ...]]", "Returns what the server knows of itself."),
    row!("keys", 2, READONLY | BARRIER, NO_KEYS, Generic, EveryCore(Part::Keys), "pattern", "Returns all keys that match a pattern."),
    row!("lastsave", 1, FAST | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::LastSave)), "", "Returns the unix time of the last snapshot."),
    row!("latency", -2, LOADING | CONTAINER, NO_KEYS, Server, Container, "", "Commands on the times that commands took."),
    row!("latency|doctor", 2, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::LatencyDoctor)), "", "Says what the latency events tell."),
    row!("latency|graph", 3, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::LatencyGraph)), "event", "Draws the samples of a latency event."),
    row!("latency|help", 2, LOADING, NO_KEYS, Server, Home(Session(conn::help)), "", "Lists the subcommands."),
    row!("latency|histogram", -2, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::LatencyHistogram)), "[command [command ...]]", "Returns how many calls of each command took how long."),
    row!("latency|history", 3, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::LatencyHistory)), "event", "Returns the samples of a latency event."),
    row!("latency|latest", 2, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::LatencyLatest)), "", "Returns the last sample of each latency event."),
    row!("latency|reset", -2, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::LatencyReset)), "[event [event ...]]", "Forgets the samples of latency events."),
    row!("lcs", -3, READONLY | READS, TWO_KEYS, String, Owner(Several(several::longest_common)), "key1 key2 [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]", "Finds the longest common subsequence of two values."),
    row!("memory", -2, CONTAINER, NO_KEYS, Server, Container, "", "Commands on memory."),
    row!("memory|doctor", 2, BARRIER, NO_KEYS, Server, EveryCore(Ask(Question::MemoryDoctor)), "", "Says whether the memory of the process is as it should be."),
    row!("memory|help", 2, LOADING, NO_KEYS, Server, Home(Session(conn::help)), "", "Lists the subcommands."),
    row!("memory|malloc-stats", 2, 0, NO_KEYS, Server, Home(Session(admin::malloc_stats)), "", "Returns what the allocator says of itself, which is nothing here."),
    row!("memory|purge", 2, 0, NO_KEYS, Server, Home(Session(admin::purge)), "", "Does nothing, since the allocator gives back memory by itself."),
    row!("memory|stats", 2, BARRIER, NO_KEYS, Server, EveryCore(Ask(Question::MemoryStats)), "", "Returns what memory is used for."),
    row!("memory|usage", -3, READONLY, SUB_KEY, Server, Owner(Key(object::memory_usage)), "key [SAMPLES count]", "Returns the bytes the key is charged for."),
    row!("mget", -2, READONLY | FAST, ALL_KEYS, String, Owner(EachKey(string::get, Fold::Array)), "key [key ...]", "Returns the values of keys."),
    row!("mset", -3, WRITE | DENYOOM, KEY_VALUE_PAIRS, String, Owner(EachKey(string::set_pair, Fold::Ok)), "key value [key value ...]", "Sets the values of keys."),
    row!("msetex", -4, WRITE | DENYOOM, COUNTED_PAIRS, String, Owner(Several(several::set_all_expiring)), "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]", "Sets all values with one time to live, or none."),
    row!("msetnx", -3, WRITE | DENYOOM, KEY_VALUE_PAIRS, String, Owner(Several(several::set_all_if_absent)), "key value [key value ...]", "Sets all values if no key exists."),
    row!("multi", 1, FAST | BARRIER | UNQUEUED | LOADING, NO_KEYS, Transactions, Home(Transaction(Verb::Multi)), "", "Queues the commands that follow."),
    row!("object", -2, CONTAINER, NO_KEYS, Generic, Container, "", "Commands on what is known of a key."),
    row!("object|encoding", 3, READONLY, SUB_KEY, Generic, Owner(Key(object::encoding)), "key", "Returns the encoding Redis would choose for the value."),
    row!("object|freq", 3, READONLY, SUB_KEY, Generic, Owner(Key(object::frequency)), "key", "Is refused, since accesses are not counted."),
    row!("object|help", 2, LOADING, NO_KEYS, Generic, Home(Session(conn::help)), "", "Lists the subcommands."),
    row!("object|idletime", 3, READONLY, SUB_KEY, Generic, Owner(Key(object::idle_time)), "key", "Returns the seconds since the last access."),
    row!("object|refcount", 3, READONLY, SUB_KEY, Generic, Owner(Key(object::reference_count)), "key", "Returns 1, as no value is shared."),
    row!("persist", 2, WRITE | FAST, ONE_KEY, Generic, Owner(Key(expiry::persist)), "key", "Removes the time to live."),
    row!("pexpire", -3, WRITE | FAST, ONE_KEY, Generic, Owner(Key(expiry::pexpire)), "key milliseconds [NX | XX | GT | LT]", "Sets the time to live in milliseconds."),
    row!("pexpireat", -3, WRITE | FAST, ONE_KEY, Generic, Owner(Key(expiry::pexpireat)), "key unix-time-milliseconds [NX | XX | GT | LT]", "Sets the unix time in milliseconds at which the key expires."),
    row!("pexpiretime", 2, READONLY | FAST, ONE_KEY, Generic, Owner(Key(expiry::pexpiretime)), "key", "Returns the unix time in milliseconds at which the key expires."),
    row!("ping", -1, FAST | SUBSCRIBER | REPEATABLE, NO_KEYS, Connection, Home(Session(conn::ping)), "[message]", "Returns PONG, or the message."),
    row!("psetex", 4, WRITE | DENYOOM, ONE_KEY, String, Owner(Key(string::set_for_millis)), "key milliseconds value", "Sets the value and its time to live in milliseconds."),
    row!("psubscribe", -2, SUBSCRIPTION, NO_KEYS, Pubsub, EveryCore(Part::Subscribe(Topic::Pattern)), "pattern [pattern ...]", "Subscribes to all channels that match patterns."),
    row!("pttl", 2, READONLY | FAST, ONE_KEY, Generic, Owner(Key(expiry::pttl)), "key", "Returns the time to live in milliseconds."),
    row!("publish", 3, FAST | PUBSUB, NO_KEYS, Pubsub, Owner(Publish(Topic::Channel)), "channel message", "Sends a message to a channel and returns how many receive it."),
    row!("pubsub", -2, CONTAINER, NO_KEYS, Pubsub, Container, "", "Commands on subscriptions."),
    row!("pubsub|channels", -2, BARRIER | PUBSUB | ONE_AT_MOST, NO_KEYS, Pubsub, EveryCore(Ask(Question::PubsubNames(Topic::Channel))), "[pattern]", "Lists the channels that have subscribers."),
    row!("pubsub|help", 2, LOADING, NO_KEYS, Pubsub, Home(Session(conn::help)), "", "Lists the subcommands."),
    row!("pubsub|numpat", 2, BARRIER | PUBSUB, NO_KEYS, Pubsub, EveryCore(Ask(Question::PubsubPatterns)), "", "Returns how many patterns are subscribed to."),
    row!("pubsub|numsub", -2, BARRIER | PUBSUB, NO_KEYS, Pubsub, EveryCore(Ask(Question::PubsubCounts(Topic::Channel))), "[channel [channel ...]]", "Returns how many subscribe to each channel, patterns aside."),
    row!("pubsub|shardchannels", -2, BARRIER | PUBSUB | ONE_AT_MOST, NO_KEYS, Pubsub, EveryCore(Ask(Question::PubsubNames(Topic::ShardChannel))), "[pattern]", "Lists the shard channels that have subscribers."),
    row!("pubsub|shardnumsub", -2, BARRIER | PUBSUB, NO_KEYS, Pubsub, EveryCore(Ask(Question::PubsubCounts(Topic::ShardChannel))), "[channel [channel ...]]", "Returns how many subscribe to each shard channel."),
    row!("punsubscribe", -1, SUBSCRIPTION, NO_KEYS, Pubsub, EveryCore(Part::Unsubscribe(Topic::Pattern)), "[pattern [pattern ...]]", "Ends subscriptions to patterns, or all of them."),
    row!("quit", -1, FAST | NO_AUTH | BARRIER | UNQUEUED | SUBSCRIBER | LOADING, NO_KEYS, Connection, Home(Session(conn::quit)), "", "Closes the connection."),
    row!("randomkey", 1, READONLY | BARRIER, NO_KEYS, Generic, EveryCore(Part::RandomKey), "", "Returns some key."),
    row!("readonly", 1, FAST | LOADING, NO_KEYS, Cluster, Home(Topology(Told::Accepted)), "", "Is accepted for cluster clients: there are no replicas."),
    row!("readwrite", 1, FAST | LOADING, NO_KEYS, Cluster, Home(Topology(Told::Accepted)), "", "Is accepted for cluster clients: there are no replicas."),
    row!("rename", 3, WRITE, TWO_KEYS, Generic, Owner(Several(several::rename)), "key newkey", "Gives a value another key."),
    row!("renamenx", 3, WRITE | FAST, TWO_KEYS, Generic, Owner(Several(several::rename_if_absent)), "key newkey", "Gives a value another key if that does not exist."),
    row!("reset", 1, FAST | NO_AUTH | BARRIER | UNQUEUED | SUBSCRIBER | LOADING, NO_KEYS, Connection, Home(Session(conn::reset)), "", "Sets the connection back to how it began."),
    row!("restore", -4, WRITE | DENYOOM, ONE_KEY, Generic, Owner(Key(dump::restore)), "key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]", "Stores a value that DUMP returned, with a time to live in milliseconds or 0."),
    row!("save", -1, ADMIN | BARRIER | NO_MULTI, NO_KEYS, Server, EveryCore(Part::Snapshot(snapshot::Verb::Save)), "[name]", "Takes a snapshot and waits for it."),
    row!("scan", -2, READONLY, NO_KEYS, Generic, Owner(Scan), "cursor [MATCH pattern] [COUNT count] [TYPE type]", "Returns some of the keys and where to go on."),
    row!("select", 2, FAST | LOADING, NO_KEYS, Connection, Home(Session(conn::select)), "index", "Chooses the database; there is one, 0."),
    row!("set", -3, WRITE | DENYOOM, ONE_KEY, String, Owner(Key(string::set)), "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]", "Sets the value."),
    row!("setbit", 4, WRITE | DENYOOM, ONE_KEY, Bitmap, Owner(Key(bits::set)), "key offset bit", "Sets a bit of the value and returns the old one."),
    row!("setex", 4, WRITE | DENYOOM, ONE_KEY, String, Owner(Key(string::set_for_seconds)), "key seconds value", "Sets the value and its time to live in seconds."),
    row!("setnx", 3, WRITE | DENYOOM | FAST, ONE_KEY, String, Owner(Key(string::set_if_absent)), "key value", "Sets the value if the key does not exist."),
    row!("setrange", 4, WRITE | DENYOOM, ONE_KEY, String, Owner(Key(range::set)), "key offset value", "Overwrites the value from a byte on, with zeros up to it if it was shorter."),
    row!("slowlog", -2, LOADING | CONTAINER, NO_KEYS, Server, Container, "", "Commands on the log of slow commands."),
    row!("slowlog|get", -2, ADMIN | BARRIER | LOADING | ONE_AT_MOST, NO_KEYS, Server, EveryCore(Ask(Question::SlowlogGet)), "[count]", "Returns the last slow commands, the newest first."),
    row!("slowlog|help", 2, LOADING, NO_KEYS, Server, Home(Session(conn::help)), "", "Lists the subcommands."),
    row!("slowlog|len", 2, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::SlowlogLen)), "", "Returns how many slow commands are logged."),
    row!("slowlog|reset", 2, ADMIN | BARRIER | LOADING, NO_KEYS, Server, EveryCore(Ask(Question::SlowlogReset)), "", "Empties the log of slow commands."),
    row!("spublish", 3, FAST | PUBSUB, NO_KEYS, Pubsub, Owner(Publish(Topic::ShardChannel)), "channel message", "Sends a message to a shard channel and returns how many receive it."),
    row!("ssubscribe", -2, SUBSCRIPTION, NO_KEYS, Pubsub, EveryCore(Part::Subscribe(Topic::ShardChannel)), "channel [channel ...]", "Subscribes to shard channels, which patterns do not see."),
    row!("strlen", 2, READONLY | FAST, ONE_KEY, String, Owner(Key(range::len)), "key", "Returns the length of the value in bytes."),
    row!("subscribe", -2, SUBSCRIPTION, NO_KEYS, Pubsub, EveryCore(Part::Subscribe(Topic::Channel)), "channel [channel ...]", "Subscribes to channels."),
    row!("substr", 4, READONLY, ONE_KEY, String, Owner(Key(range::get)), "key start end", "Is the old name of GETRANGE."),
    row!("sunsubscribe", -1, SUBSCRIPTION, NO_KEYS, Pubsub, EveryCore(Part::Unsubscribe(Topic::ShardChannel)), "[channel [channel ...]]", "Ends subscriptions to shard channels, or all of them."),
    row!("time", 1, FAST | LOADING | REPEATABLE, NO_KEYS, Server, Home(Session(admin::time)), "", "Returns the server's unix time: seconds and microseconds."),
    row!("touch", -2, READONLY | FAST, ALL_KEYS, Generic, Owner(EachKey(keyspace::touch, Fold::Sum)), "key [key ...]", "Makes keys recently used and counts them."),
    row!("ttl", 2, READONLY | FAST, ONE_KEY, Generic, Owner(Key(expiry::ttl)), "key", "Returns the time to live in seconds."),
    row!("type", 2, READONLY | FAST, ONE_KEY, Generic, Owner(Key(keyspace::value_type)), "key", "Returns the type of the value: string, or none."),
    row!("unlink", -2, WRITE | FAST, ALL_KEYS, Generic, Owner(EachKey(keyspace::delete, Fold::Sum)), "key [key ...]", "Deletes keys."),
    row!("unsubscribe", -1, SUBSCRIPTION, NO_KEYS, Pubsub, EveryCore(Part::Unsubscribe(Topic::Channel)), "[channel [channel ...]]", "Ends subscriptions to channels, or all of them."),
    row!("unwatch", 1, FAST | BARRIER | LOADING, NO_KEYS, Transactions, Home(Transaction(Verb::Unwatch)), "", "Forgets the watched keys."),
    row!("watch", -2, FAST | BARRIER | UNQUEUED | LOADING, ALL_KEYS, Transactions, Home(Transaction(Verb::Watch)), "key [key ...]", "Lets EXEC run only if no key has changed."),
];

/// What only engines send each other; no client can name them. Their ids begin at [`CommandId::INTERNAL`].
#[rustfmt::skip]
pub(super) static INTERNAL: &[Command] = &[
    row!("#read", -2, READONLY, ALL_KEYS, Generic, Owner(EachKey(several::read, Fold::Array)), "key [key ...]", "Reads values and deadlines."),
    row!("#renamed", -2, WRITE, ALL_KEYS, Generic, Owner(EachKey(several::remove_renamed, Fold::Sum)), "key [key ...]", "Removes keys whose values have others now."),
    row!("#untrack", 3, 0, NO_KEYS, Connection, Owner(Key(tracking::untrack)), "prefix home", "Ends the tracking of a prefix."),
    row!("#unwatch", 2, 0, NO_KEYS, Transactions, Owner(Key(several::unwatch)), "client", "Ends what a client watches."),
    row!("#watch", -3, 0, KEY_VALUE_PAIRS, Transactions, Owner(EachKey(several::watch, Fold::Ok)), "key client [key client ...]", "Watches keys."),
    row!("#write", -4, WRITE, Keys { first: 1, last: -1, step: 3 }, Generic, Owner(EachKey(several::write, Fold::Ok)), "key value deadline [...]", "Stores values with deadlines."),
];

impl Command {
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
        self.is(CONTAINER)
    }

    /// The name of its container, if it is a subcommand; else its own.
    pub fn container(&self) -> &'static str {
        self.name.split('|').next().unwrap_or(self.name)
    }

    /// Refuses a subcommand that takes one argument at most and has more. Redis quotes its name as it was typed.
    pub fn too_many(&self, typed: &[u8]) -> Error {
        Error::SubcommandSyntax(quote(typed), self.container())
    }

    /// Whether an argument is a secret: an auth key, or the name that stands before it.
    pub fn is_secret(&self, args: Args<'_>, at: usize) -> bool {
        let is_auth = |back: usize| at.checked_sub(back).is_some_and(|at| args.at(at).eq_ignore_ascii_case(b"AUTH"));
        self.is(SECRET) || (self.is(AUTH_OPTION) && (is_auth(1) || is_auth(2)))
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
fn takes(arity: i32, words: usize) -> bool {
    let words = i32::try_from(words).unwrap_or(i32::MAX);
    if arity >= 0 { words == arity } else { words >= -arity }
}

/// The rows of a container's subcommands.
pub fn subcommands(container: &str) -> Vec<&'static Command> {
    TABLE.iter().filter(|row| row.name.split_once('|').is_some_and(|(parent, _)| parent == container)).collect()
}

/// Subcommands of CLUSTER by which operators change a cluster, and how many words they have, as in [`Command::arity`].
/// There is nothing to change here: they are no commands, but where there is no cluster Redis knows them.
const CLUSTER_CHANGES: [(&str, i32); 15] = [
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

/// What is said of a subcommand of `container` that has no row, of a line of so many words.
#[cold]
pub fn unknown_subcommand(container: &Command, typed: &[u8], words: usize, shows_cluster: bool) -> Error {
    let same = |name: &str| {
        let sub = name.strip_prefix(container.name).and_then(|name| name.strip_prefix('|'));
        sub.is_some_and(|sub| sub.as_bytes().eq_ignore_ascii_case(typed))
    };
    if let Some((name, arity)) = CLUSTER_CHANGES.iter().find(|(name, _)| same(name)) {
        if !takes(*arity, words) {
            return Error::Arity((*name).to_owned());
        }
        if !shows_cluster {
            return Error::ClusterDisabled;
        }
    }
    Error::UnknownSubcommand(quote(&typed[..typed.len().min(128)]), container.name)
}
