//! Handler: what runs a command, and by its kind where: at the owner of a key, on every core, at home.
//!
//! Never: names a command. `command/table.rs` gives each its handler; what runs them is the engine.

use std::ops::Deref;

use crate::command::client::Client;
use crate::command::context::{After, Call, Home};
use crate::command::facts::{Facts, flag};
use crate::command::pubsub::Topic;
use crate::command::reply::Reply;
use crate::command::several::Decide;
use crate::command::snapshot;
use crate::resp::{Args, Writer};
use crate::shard::Shard;

/// A command: its facts and its handler, one row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// The facts of the command.
    pub facts: Facts,
    /// The handler of the command.
    pub handler: Handler,
}

impl Command {
    /// Whether the command writes or publishes.
    pub fn changes(&self) -> bool {
        self.is(flag::WRITE) || matches!(self.handler, Handler::Owner(OwnerHandler::Publish(_)))
    }
}

impl Deref for Command {
    type Target = Facts;

    #[inline]
    fn deref(&self) -> &Facts {
        &self.facts
    }
}

/// A handler of one key. `args` begin at the key.
pub type KeyHandler = for<'s> fn(&'s mut Shard, Args<'_>, Call) -> Reply<'s>;

/// A handler of a session's command. `args` begin after the command's name (and the subcommand's, if it has one).
pub type SessionHandler = fn(&mut Client, Args<'_>, &Home<'_>, &mut Writer<'_>) -> After;

/// The handler of a command, whose kind says where it runs.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// The command runs on the core that owns its key, slot or channel: another core may send it there.
    Owner(OwnerHandler),
    /// The command runs on every core, each its part; the parts are folded on the home core.
    EveryCore(Part),
    /// The command runs on the home core of the client alone.
    Home(HomeHandler),
    /// The command is only a name for its subcommands.
    Container,
}

/// The handlers of commands that run at an owner.
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
    /// CLUSTERSCAN: on the core that owns its cursor.
    ClusterScan,
    /// PUBLISH: on the core that owns the channel's hash.
    Publish(Topic),
    /// DEBUG OBJECT: on the core that owns its key. The other subcommands of DEBUG end at home, in
    /// `engine/home/debug.rs`.
    Debug,
    /// WATCH: each key on the core that owns it.
    Watch,
    /// UNWATCH: on every core where the client watches keys.
    Unwatch,
}

/// The handlers of commands that run at home, at once.
#[derive(Clone, Copy, Debug)]
pub enum HomeHandler {
    /// A command of the session: its handler gets the client, and no key.
    Session(SessionHandler),
    /// MULTI and its like: `engine/home/transaction.rs`.
    Transaction(Verb),
    /// A command about the cores, in which clients see nodes: `engine/home/topology.rs`.
    Topology(Told),
}

/// The commands that make a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// MULTI: from here on commands are queued.
    Multi,
    /// EXEC: the queued commands are run.
    Exec,
    /// DISCARD: the queued commands are dropped.
    Discard,
}

/// The commands about the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The command ASPINE.CORES.
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

/// The fold of the replies for single keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// An array in the order of the keys.
    Array,
    /// The sum of numbers.
    Sum,
    /// OK, or the first refusal.
    Ok,
}

/// The part of each core in a command that concerns all of them. `engine/process_wide` runs and folds the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Each core's part of DBSIZE.
    Size,
    /// Each core's part of FLUSHALL.
    Clear,
    /// Each core's part of FLUSHDB.
    Flush,
    /// Each core's part of SWAPDB.
    Swap,
    /// Each core's part of KEYS.
    Keys,
    /// Each core's part of RANDOMKEY.
    RandomKey,
    /// Each core's part of INFO.
    Report,
    /// SUBSCRIBE and its like.
    Subscribe(Topic),
    /// UNSUBSCRIBE and its like.
    Unsubscribe(Topic),
    /// CLIENT LIST.
    ClientList,
    /// CLIENT KILL.
    ClientKill,
    /// CLIENT PAUSE: each core holds back its own clients.
    ClientPause,
    /// CLIENT UNPAUSE.
    ClientUnpause,
    /// CLIENT TRACKING.
    Tracking,
    /// MONITOR: each core records the commands of its clients.
    Monitor,
    /// CONFIG SET.
    ConfigSet,
    /// CONFIG RESETSTAT.
    ConfigResetStat,
    /// SHUTDOWN: core 0 alone, which has the runtime end all.
    Shutdown,
    /// SAVE, BGSAVE, ASPINE.LOAD: core 0 alone. `engine/persistence` has them.
    Snapshot(snapshot::Verb),
    /// CLUSTER COUNTKEYSINSLOT: the core that owns the slot.
    SlotCount,
    /// CLUSTER GETKEYSINSLOT: the core that owns the slot.
    SlotKeys,
    /// HOTKEYS START: each core records the commands on its keys.
    HotKeysStart,
    /// HOTKEYS STOP.
    HotKeysStop,
    /// HOTKEYS RESET.
    HotKeysReset,
    /// An answer of each core to a question.
    Ask(Question),
}

/// The questions of SLOWLOG, LATENCY, MEMORY and PUBSUB to each core. `engine/process_wide/introspection.rs` answers
/// and folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// HOTKEYS GET.
    HotKeys,
    /// The question of LASTSAVE.
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
