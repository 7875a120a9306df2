//! Message: everything that one core says to another, by value. The one type that crosses cores.
//!
//! What is on the way of every command lies encoded in buffers (`codec`, `invalidation`); all else is said in plain
//! types, since a message never leaves its process.

use crate::command::handler::Part;
use crate::command::hotkeys::Found;
use crate::command::lookup::CommandId;
use crate::command::task::{Outcome, Task};
use crate::engine::ids::{GatherId, SessionId, Ticket};
use crate::engine::link::caller::Caller;
use crate::engine::telemetry::latency::{EVENTS, Event};
use crate::engine::telemetry::meter::Usage;
use crate::engine::telemetry::report::Report;
use crate::engine::telemetry::slowlog::{Entry, SlowCall};
use crate::resp::{Proto, Words};
use crate::shard::{Budget, ClientId, NO_CLIENT, Room, Watcher};
use crate::slot::CoreId;

/// What one engine sends another.
#[derive(Debug)]
pub struct Batch {
    /// The core that sent it.
    pub from: CoreId,
    /// What it says.
    pub payload: Payload,
}

/// What is in a batch.
#[derive(Debug)]
pub enum Payload {
    /// Commands to run.
    Requests {
        /// To come back with the replies.
        ticket: Ticket,
        /// Request frames.
        bytes: Vec<u8>,
        /// How many frames there are.
        count: u32,
    },
    /// What they answered, in the same order.
    Replies {
        /// Of the batch they answer.
        ticket: Ticket,
        /// Reply frames.
        bytes: Vec<u8>,
        /// How many frames there are.
        count: u32,
    },
    /// A request of an earlier batch took long: the home core of its client logs it. Comes before its replies.
    Slow(Box<SlowRequest>),
    /// A command that concerns the whole process: the receiver does its part.
    Ask(Box<Ask>),
    /// The sender has done its part.
    Answer {
        /// The receiver's gather that waits for it.
        gather: GatherId,
        /// The part.
        answer: Box<Answer>,
    },
    /// Messages for sessions of the receiver: a letter.
    Letter {
        /// Message frames.
        bytes: Vec<u8>,
    },
    /// Commands of the sender's clients, for those of the receiver that watch.
    Lines(Box<Lines>),
    /// The sender had to evict: which core has budget to spare?
    BudgetAsk(Holding),
    /// Budget for the receiver.
    BudgetGift(Gift),
    /// A transaction, or a snapshot, wants to hold the shard.
    Hold(Hold),
    /// The shard is held for it.
    Granted {
        /// The hold that was granted.
        key: HoldKey,
        /// What it watches there has not changed.
        clean: bool,
    },
    /// A transaction, or a snapshot, does not want the shard any more.
    Release(Hold),
    /// A transaction that holds the shard has something for it to do.
    Task(Box<HeldTask>),
    /// The task is done.
    TaskDone {
        /// The transaction that holds the sender's shard.
        key: HoldKey,
        /// What came of the task.
        outcome: Box<Outcome>,
    },
    /// Keys have changed that clients of the receiver may hold, and what else `invalidation` has to say.
    Invalidations(Vec<u8>),
    /// About snapshots.
    Snapshot(Note),
}

/// A slow request, as the core that ran it tells the core that sent it.
#[derive(Debug)]
pub struct SlowRequest {
    /// The ticket of its batch.
    pub(in crate::engine) ticket: Ticket,
    /// The number of the request in the batch.
    pub(in crate::engine) number: u32,
    pub(in crate::engine) call: SlowCall,
}

/// A command that concerns the whole process, on its way to the cores that have a part in it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The asking core's gather that waits for the answers; `None` if it need not know.
    pub(in crate::engine) gather: Option<GatherId>,
    pub(in crate::engine) command: CommandId,
    /// The part of each core in it.
    pub(in crate::engine) part: Part,
    pub(in crate::engine) caller: Caller,
    /// The client that asks.
    pub(in crate::engine) client: ClientId,
    /// The command's arguments, without its name.
    pub(in crate::engine) words: Words,
    pub(in crate::engine) detail: Detail,
}

impl Ask {
    /// What a core has to say to the others of its own clients, which nobody answers.
    pub(in crate::engine) fn unanswered(command: CommandId, part: Part, detail: Detail, words: Words) -> Ask {
        let caller = Caller::unnamed(Proto::Resp2, false);
        Ask { gather: None, command, part, caller, client: NO_CLIENT, words, detail }
    }
}

/// What the home core has found out about a command before it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum Detail {
    /// Nothing that the words do not say.
    #[default]
    None,
    /// SUBSCRIBE and its like: whether each name changes anything.
    Changes(Vec<bool>),
    /// MONITOR: one client of the sender watches no longer.
    Ended,
    /// CLIENT TRACKING: the client to be told in the caller's place (0 if the number named is no client's), and the
    /// prefixes that the caller has named anew.
    Tracking { target: Option<ClientId>, prefixes: Vec<Vec<u8>> },
    /// CLIENT TRACKING: one client of the sender tracks these prefixes no longer.
    Untracked(Vec<Vec<u8>>),
}

/// One core's part in a command of the whole process.
#[derive(Debug)]
pub enum Answer {
    /// The core has done what was asked.
    Done,
    /// A number of its own: keys, clients, a time.
    Count(u64),
    /// Keys, as the protocol encodes them one by one.
    Keys {
        /// How many keys there are.
        count: u64,
        /// One after the other.
        encoded: Vec<u8>,
    },
    /// One key of so many, if there is any.
    Key(Option<(u64, Vec<u8>)>),
    /// Lines of text.
    Text(Vec<u8>),
    /// The whole reply, encoded.
    Reply(Vec<u8>),
    /// Everything that a core counts.
    Report(Box<CoreReport>),
    /// Slow commands, events, or what commands took.
    Telemetry(Telemetry),
    /// A number for each name that was asked for.
    Counts(Vec<u64>),
}

/// A core's report, which only the engine reads.
#[derive(Debug)]
pub struct CoreReport(pub(in crate::engine) Report);

/// What a core has recorded of commands, which only the engine reads.
#[derive(Debug)]
pub struct Telemetry(pub(in crate::engine) Recorded);

/// What a core has recorded of commands.
#[derive(Debug)]
pub(in crate::engine) enum Recorded {
    /// The newest slow commands.
    Slow(Vec<Entry>),
    /// The core's latency events.
    Events(Box<[Event; EVENTS.len()]>),
    /// What each command took.
    Usage(Vec<Usage>),
    /// What HOTKEYS has found, if it was started.
    HotKeys(Option<Box<Found>>),
}

impl From<Recorded> for Answer {
    fn from(recorded: Recorded) -> Answer {
        Answer::Telemetry(Telemetry(recorded))
    }
}

/// The asker of one core's part in a command of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Origin {
    /// A gather of this core.
    Here(GatherId),
    /// Another core's gather, if it waits for the answer.
    Peer { core: CoreId, gather: Option<GatherId> },
}

impl Origin {
    /// The core that asks; `own` is the one that does its part.
    pub(in crate::engine) fn core(self, own: CoreId) -> CoreId {
        match self {
            Origin::Here(_) => own,
            Origin::Peer { core, .. } => core,
        }
    }
}

/// Commands as MONITOR shows them.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// The time up to which the receiver has all lines, as the stopwatch has it.
    pub(in crate::engine) upto_ns: u64,
    /// Lines before these that the receiver does not get.
    pub(in crate::engine) lost: u64,
    /// The time and the length of each, in the order of their times.
    pub(in crate::engine) heads: Vec<(u64, u32)>,
    /// The text of all, one behind the other.
    pub(in crate::engine) text: Vec<u8>,
}

impl Lines {
    /// Whether all it says is up to when there are none.
    #[cfg(any(test, feature = "verify"))]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.lost == 0
    }

    /// Adds a line that `write` appends.
    pub(in crate::engine) fn add(&mut self, at_ns: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.text.len();
        write(&mut self.text);
        self.heads.push((at_ns, (self.text.len() - begin) as u32));
    }
}

/// Names a transaction: its holder, and how many its core had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldKey {
    /// On the home core.
    pub(in crate::engine) holder: Holder,
    pub(in crate::engine) number: u64,
}

impl HoldKey {
    /// The session whose transaction it is; `None` for a snapshot.
    pub(in crate::engine) fn session(self) -> Option<SessionId> {
        match self.holder {
            Holder::Transaction(id) => Some(id),
            Holder::Coordinator => None,
        }
    }
}

/// What holds shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Holder {
    /// The transaction of a session.
    Transaction(SessionId),
    /// Core 0, for the instant of a snapshot or a load.
    Coordinator,
}

/// What a core asks another for, or has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The transaction's core.
    pub home: CoreId,
    /// The transaction, as its core numbers it.
    pub key: HoldKey,
    /// The client that watches keys, if what it watches decides whether the transaction runs.
    pub(in crate::engine) watcher: Option<Watcher>,
}

/// What a transaction has a core do whose shard it holds.
#[derive(Debug)]
pub struct HeldTask {
    /// The transaction.
    pub(in crate::engine) key: HoldKey,
    pub(in crate::engine) caller: Caller,
    pub(in crate::engine) task: Task,
}

#[cfg(any(test, feature = "verify"))]
impl Hold {
    /// Whether it is for a snapshot or a load, for tests that tamper with these alone.
    pub fn is_of_snapshot(&self) -> bool {
        self.key.holder == Holder::Coordinator
    }
}

/// The budget of a core that asks for more.
#[derive(Clone, Copy, Debug)]
pub struct Holding {
    pub(in crate::engine) epoch: u32,
    pub(in crate::engine) budget: Budget,
    /// What it lacks, at least.
    pub(in crate::engine) lacks: Room,
    /// Whether commands wait for the answer.
    pub(in crate::engine) waits: bool,
    /// Whether it has nothing that it may evict.
    pub(in crate::engine) refuses: bool,
}

/// Budget that changes hands; nothing, as an answer that is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Gift {
    pub(in crate::engine) epoch: u32,
    pub(in crate::engine) items: u64,
    pub(in crate::engine) bytes: u64,
    /// Whether commands wait for it.
    pub(in crate::engine) awaited: bool,
}

#[cfg(any(test, feature = "verify"))]
impl Gift {
    /// Epoch, items and bytes, for checks that nothing is given twice.
    pub fn parts(&self) -> (u32, u64, u64) {
        (self.epoch, self.items, self.bytes)
    }
}

/// What cores tell each other about snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// All shards are held: this is the instant. From core 0.
    Cut {
        /// The id of the snapshot.
        id: u64,
        /// Unix milliseconds: by the one clock that says what has expired.
        at_ms: u64,
    },
    /// The snapshot is complete. From core 0.
    Saved(u64),
    /// The snapshot is given up. From core 0.
    Abort(u64),
    /// The snapshot has to be given up: writing does not keep up. To core 0.
    Overrun(u64),
    /// So many changes since the last snapshot. To core 0.
    Changes(u64),
    /// Items are going to be loaded; all shards are held. From core 0.
    LoadBegin {
        /// Names the load in all that follows.
        id: u64,
        /// What there is goes first.
        replace: bool,
    },
    /// A core has loaded its part. To core 0.
    LoadedPart {
        /// Names the load.
        id: u64,
        /// What it came to.
        tally: Tally,
    },
    /// The load is over. From core 0.
    LoadEnd(u64),
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items stored.
    pub(in crate::engine) loaded: u64,
    /// Items whose time had passed.
    pub(in crate::engine) expired: u64,
    /// Items for which there was no room.
    pub(in crate::engine) refused: u64,
}

impl Tally {
    pub(in crate::engine) fn add(&mut self, other: Tally) {
        self.loaded += other.loaded;
        self.expired += other.expired;
        self.refused += other.refused;
    }
}
