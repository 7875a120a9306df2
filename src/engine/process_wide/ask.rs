//! Ask: a command of the whole process as the table describes it, and those that are under way. Core: the one that asks.
//!
//! Filled by sessions and by core 0 on behalf of other cores; drained by the last answer; bounded by the sessions of all
//! cores, each of which has one under way at a time.

use crate::command::Error;
use crate::engine::env::Env;
use crate::engine::ids::{GatherId, Place, SessionId};
use crate::engine::link::message::{Answer, Ask};
use crate::resp::Args;
use crate::slot::{CoreId, Slot};

/// The cores that have a part in a command.
#[derive(Clone, Copy)]
pub(in crate::engine) enum Scope {
    /// All cores.
    All,
    /// All; by a core's own port only that core, since clients of a cluster ask every node and add up.
    AllOrOwn,
    /// All, and all in one order: core 0 has it first and passes it on.
    Ordered,
    /// Core 0.
    First,
    /// The owner of the slot that the arguments name.
    SlotOwner(fn(Args<'_>) -> Option<Slot>),
}

/// Refuses what no core could run, before any does.
pub(in crate::engine) type Check = fn(&Env, &Ask) -> Result<(), Error>;

/// A command under way.
#[derive(Debug)]
pub(in crate::engine) struct OpenAsk {
    pub(in crate::engine) asker: Asker,
    pub(in crate::engine) ask: Ask,
    /// Cores that have not answered.
    waiting: u16,
    /// The answer of each core that was asked and has given it.
    answers: Vec<Option<Answer>>,
}

/// What gets the reply.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Asker {
    /// A session of this core, at its place in the order of replies.
    Session(SessionId, Place),
    /// Another core, which sent the command here for its order among others.
    Core(CoreId, GatherId),
}

impl OpenAsk {
    /// The answers that are there, in the order of the cores.
    pub(in crate::engine) fn answers(&self) -> impl Iterator<Item = &Answer> {
        self.answers.iter().flatten()
    }

    /// The sum of the cores' numbers.
    pub(in crate::engine) fn sum(&self) -> u64 {
        self.answers().map(|answer| if let Answer::Count(count) = answer { *count } else { 0 }).sum()
    }

    /// The largest of the cores' numbers.
    pub(in crate::engine) fn max(&self) -> u64 {
        self.answers().map(|answer| if let Answer::Count(count) = answer { *count } else { 0 }).max().unwrap_or(0)
    }
}

/// The commands of the whole process that one core has asked the others.
#[derive(Debug, Default)]
pub(in crate::engine) struct Asks {
    cells: Vec<Option<OpenAsk>>,
    free: Vec<u32>,
}

impl Asks {
    /// Opens a command that so many cores answer.
    pub(in crate::engine) fn open(&mut self, asker: Asker, mut ask: Ask, cores: u16, waiting: u16) -> GatherId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.cells.push(None);
            (self.cells.len() - 1) as u32
        });
        ask.gather = Some(GatherId(index));
        let answers = (0..cores).map(|_| None).collect();
        self.cells[index as usize] = Some(OpenAsk { asker, ask, waiting, answers });
        GatherId(index)
    }

    /// What is asked under a number.
    pub(in crate::engine) fn ask(&self, id: GatherId) -> Option<&Ask> {
        self.cells.get(id.0 as usize)?.as_ref().map(|open| &open.ask)
    }

    /// A core has answered. Returns the command if that was the last one.
    pub(in crate::engine) fn answer(&mut self, id: GatherId, from: CoreId, answer: Answer) -> Option<OpenAsk> {
        let cell = &mut self.cells[id.0 as usize];
        let open = cell.as_mut().expect("an answer to what was asked");
        assert!(open.waiting > 0, "more answers than cores");
        open.answers[usize::from(from.0)] = Some(answer);
        open.waiting -= 1;
        if open.waiting > 0 {
            return None;
        }
        self.free.push(id.0);
        cell.take()
    }

    /// Commands under way.
    pub(in crate::engine) fn count(&self) -> usize {
        self.cells.len() - self.free.len()
    }
}
