//! The places where requests of one connection wait for their replies.
//!
//! Owner: `Link`, under its lock. A slot is its caller's from `wait` until `take` or `abandon`; only then is it used
//! again, so a reply never lands with another. A caller that goes away leaves its slot to the reply, which is thrown away
//! with it. A caller that is told it is late keeps the slot; its place in the line of replies is made nobody's first.
//! Cost: no allocation once as many slots exist as were ever waiting at once.

use std::task::Waker;

use super::super::error::Error;
use super::super::value::Value;

/// What a request came to.
pub(super) type Outcome = Result<Replies, Failure>;

/// The replies to one request, or to several that were sent as one.
#[derive(Debug)]
pub(super) enum Replies {
    /// The usual case.
    One(Value),
    /// Those of a pipeline, in order.
    Many(Vec<Value>),
}

/// Why there is no reply.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The connection broke or was closed. Another may do; so many ticks are left.
    Lost(Error, u64),
    /// It is over.
    Final(Error),
}

#[derive(Debug)]
enum Slot {
    /// The next free one, or `u32::MAX`.
    Free(u32),
    Waiting {
        waker: Waker,
        /// The tick at which it is late.
        deadline: u64,
        /// What came of several.
        some: Vec<Value>,
    },
    Done(Outcome),
    Abandoned,
}

/// The slots of one connection.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: u32,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: u32::MAX }
    }

    /// A slot for a request; `waker` is told when it is done.
    #[inline]
    pub(super) fn wait(&mut self, waker: Waker, deadline: u64) -> u32 {
        let slot = Slot::Waiting { waker, deadline, some: Vec::new() };
        match self.slots.get_mut(self.free as usize) {
            Some(place) => {
                let Slot::Free(next) = std::mem::replace(place, slot) else { unreachable!("the list is of free ones") };
                std::mem::replace(&mut self.free, next)
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        }
    }

    /// What came, if it is done: then the slot is free. Else `waker` is told.
    #[inline]
    pub(super) fn take(&mut self, at: u32, with: &Waker) -> Option<Outcome> {
        match &mut self.slots[at as usize] {
            Slot::Waiting { waker, .. } => {
                waker.clone_from(with);
                None
            }
            place => {
                let Slot::Done(outcome) = std::mem::replace(place, Slot::Free(self.free)) else {
                    unreachable!("a slot is its caller's until taken")
                };
                self.free = at;
                Some(outcome)
            }
        }
    }

    /// Its caller has gone. Returns the waker, to be dropped without the lock.
    pub(super) fn abandon(&mut self, at: u32) -> Option<Waker> {
        match std::mem::replace(&mut self.slots[at as usize], Slot::Abandoned) {
            Slot::Waiting { waker, .. } => Some(waker),
            _ => {
                self.free(at);
                None
            }
        }
    }

    /// A reply. `last`: no more come. Returns whom to wake.
    #[inline]
    pub(super) fn reply(&mut self, at: u32, value: Value, last: bool) -> Option<Waker> {
        match &mut self.slots[at as usize] {
            Slot::Waiting { some, .. } if !last => {
                some.push(value);
                None
            }
            Slot::Waiting { some, .. } => {
                let replies = if some.is_empty() {
                    Replies::One(value)
                } else {
                    let mut all = std::mem::take(some);
                    all.push(value);
                    Replies::Many(all)
                };
                self.end(at, || Ok(replies))
            }
            Slot::Abandoned => {
                if last {
                    self.free(at);
                }
                None
            }
            Slot::Done(_) | Slot::Free(_) => unreachable!("what is done has no place in the line"),
        }
    }

    /// A request has lost its place in the line of replies. Returns whom to wake.
    pub(super) fn end(&mut self, at: u32, outcome: impl FnOnce() -> Outcome) -> Option<Waker> {
        match &mut self.slots[at as usize] {
            place @ Slot::Waiting { .. } => match std::mem::replace(place, Slot::Done(outcome())) {
                Slot::Waiting { waker, .. } => Some(waker),
                _ => None,
            },
            Slot::Abandoned => {
                self.free(at);
                None
            }
            Slot::Done(_) | Slot::Free(_) => unreachable!("what is done has no place in the line"),
        }
    }

    /// Whether a request is late at this tick, or its caller has gone.
    pub(super) fn is_over(&self, at: u32, tick: u64) -> bool {
        match &self.slots[at as usize] {
            Slot::Waiting { deadline, .. } => *deadline <= tick,
            _ => true,
        }
    }

    /// The tick at which a request is late; 0 if its caller has gone.
    pub(super) fn deadline(&self, at: u32) -> u64 {
        match &self.slots[at as usize] {
            Slot::Waiting { deadline, .. } => *deadline,
            _ => 0,
        }
    }

    /// How many are in use.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Free(_))).count()
    }

    fn free(&mut self, at: u32) {
        self.slots[at as usize] = Slot::Free(self.free);
        self.free = at;
    }
}
