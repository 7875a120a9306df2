//! Multi: what a session has queued since MULTI, and the state of a transaction under way. Core: the session's home.
//! What is done with them is in `transaction` and `multi_key`.

use crate::command::Error;
use crate::command::lookup::CommandId;
use crate::command::several::Changes;
use crate::command::task::{Item, Outcome};
use crate::engine::ids::{Place, SessionId};
use crate::engine::link::caller::Caller;
use crate::engine::link::codec::append_frame;
use crate::engine::link::message::{Hold, HoldKey, Holder};
use crate::limits::MULTI_BYTES_MAX;
use crate::resp::{Args, Proto};
use crate::slot::CoreId;

/// Commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(in crate::engine) struct Multi {
    /// Request frames. Filled by the client, drained by EXEC; bounded by `MULTI_BYTES_MAX`, beyond which EXEC refuses.
    pub(in crate::engine) frames: Vec<u8>,
    pub(in crate::engine) count: usize,
    /// A command could not be queued.
    pub(in crate::engine) failed: bool,
    /// A command writes or publishes.
    pub(in crate::engine) changes: bool,
}

impl Multi {
    /// The command could not be queued: EXEC will refuse.
    pub(in crate::engine) fn fail(&mut self) {
        self.failed = true;
    }

    /// Takes a command in; false if there are too many bytes of them.
    pub(in crate::engine) fn queue(&mut self, command: CommandId, proto: Proto, args: Args<'_>) -> bool {
        let len = self.frames.len();
        append_frame(&mut self.frames, command, Caller::unnamed(proto, true), args.iter());
        self.count += 1;
        self.changes |= command.row().changes();
        let fits = self.frames.len() <= MULTI_BYTES_MAX;
        if !fits {
            self.frames.truncate(len);
            self.count -= 1;
            self.fail();
        }
        fits
    }
}

/// A transaction under way.
#[derive(Debug)]
pub(in crate::engine) struct Transaction {
    pub(in crate::engine) number: u64,
    /// What began it, and when, as the stopwatch has it.
    pub(in crate::engine) command: CommandId,
    pub(in crate::engine) began_ns: u64,
    /// The cores whose shards it holds, ascending.
    pub(in crate::engine) cores: Vec<CoreId>,
    /// How many of them it has asked, and how many have granted. They differ by one at most.
    pub(in crate::engine) asked: usize,
    pub(in crate::engine) granted: usize,
    /// When it asked first, as `Env::awake_ms` has it.
    pub(in crate::engine) began_ms: u64,
    /// No watched key has changed, as far as is known.
    pub(in crate::engine) clean: bool,
    /// The commands as request frames, and where the next begins.
    pub(in crate::engine) frames: Vec<u8>,
    pub(in crate::engine) at: usize,
    /// The length of the array they are answered by; `None` for a single command that is no EXEC.
    pub(in crate::engine) array: Option<usize>,
    /// The client does not want to hear the answer.
    pub(in crate::engine) muted: bool,
    pub(in crate::engine) begun: bool,
    /// Among those that are looked after while they wait for shards.
    pub(in crate::engine) listed: bool,
    /// The command of several keys that is under way.
    pub(in crate::engine) step: Option<Step>,
}

impl Transaction {
    /// The transaction's name between cores.
    pub(in crate::engine) fn key(&self, session: SessionId) -> HoldKey {
        HoldKey { holder: Holder::Transaction(session), number: self.number }
    }

    /// What it asks each core for. A single command does not care what is watched, and leaves it watched.
    pub(in crate::engine) fn hold(&self, home: CoreId, session: SessionId, client: u64) -> Hold {
        let key = self.key(session);
        Hold { home, key, watcher: self.array.is_some().then_some(client) }
    }
}

/// A command of several keys on several cores.
#[derive(Debug)]
pub(in crate::engine) struct Step {
    pub(in crate::engine) place: Place,
    /// Where the command's frame begins among the frames of the transaction.
    pub(in crate::engine) at: usize,
    pub(in crate::engine) phase: Phase,
    /// The core of each key.
    pub(in crate::engine) owners: Vec<CoreId>,
    /// Tasks that are not done.
    pub(in crate::engine) waiting: usize,
    /// The items read so far, one place a key.
    pub(in crate::engine) items: Vec<Option<Item>>,
    /// Why a core has refused its task.
    pub(in crate::engine) refused: Option<Error>,
}

impl Step {
    /// A core has done its task.
    pub(in crate::engine) fn take(&mut self, from: CoreId, outcome: Outcome) {
        match outcome {
            Outcome::Items(items) => {
                let places = self.owners.iter().zip(&mut self.items).filter(|(owner, _)| **owner == from);
                places.zip(items).for_each(|((_, place), item)| *place = item);
            }
            Outcome::Changed => {}
            Outcome::Refused(error) => self.refused = Some(error),
        }
    }
}

/// How far a command of several keys is.
#[derive(Debug)]
pub(in crate::engine) enum Phase {
    /// The cores read the keys.
    Read,
    /// The cores store values. Afterwards keys are deleted, then the reply is given.
    Store { reply: Vec<u8>, deletes: Changes },
    /// The cores delete keys.
    Delete { reply: Vec<u8> },
}
