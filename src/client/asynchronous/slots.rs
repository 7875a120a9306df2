//! Slots: where the requests of one connection wait for their replies.
//!
//! Owner: `Link`, under its lock. A slot belongs to its caller from `wait` until `take` or `abandon`, and is reused only
//! then, so a reply never reaches another caller. If the caller has gone, the reply is discarded and frees the slot. A
//! request that is late keeps its slot; its entry in `awaited` is first given to `NOBODY`.
//! Cost: no allocation once as many slots exist as requests ever waited at the same time.

use std::task::Waker;

use super::super::error::Error;
use super::super::value::Value;

/// The result of a request.
pub(super) type Outcome = Result<Replies, Failure>;

/// The replies to one request, or to several that were sent as one.
#[derive(Debug)]
pub(super) enum Replies {
    /// The reply to a single request.
    One(Value),
    /// The replies to a pipeline, in order.
    Many(Vec<Value>),
}

/// The reason why there is no reply.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The connection broke or was closed; another may serve. The number is the ticks left until the timeout.
    Lost(Error, u64),
    /// The request has failed for good.
    Final(Error),
}

#[derive(Debug)]
enum Slot {
    /// The next free slot, or `u32::MAX`.
    Free(u32),
    Waiting {
        waker: Waker,
        /// The tick at which the request is late.
        deadline: u64,
        /// The replies received so far, for a request with several.
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

    /// Allocates a slot for a request; `waker` is woken when the request is done.
    #[inline]
    pub(super) fn wait(&mut self, waker: Waker, deadline: u64) -> u32 {
        let slot = Slot::Waiting { waker, deadline, some: Vec::new() };
        match self.slots.get_mut(self.free as usize) {
            Some(place) => {
                let Slot::Free(next) = std::mem::replace(place, slot) else {
                    unreachable!("the free list holds free slots only")
                };
                std::mem::replace(&mut self.free, next)
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        }
    }

    /// The outcome, if the request is done; the slot is then free. Otherwise `with` is woken when it is.
    #[inline]
    pub(super) fn take(&mut self, at: u32, with: &Waker) -> Option<Outcome> {
        match &mut self.slots[at as usize] {
            Slot::Waiting { waker, .. } => {
                waker.clone_from(with);
                None
            }
            place => {
                let Slot::Done(outcome) = std::mem::replace(place, Slot::Free(self.free)) else {
                    unreachable!("a slot belongs to its caller until taken")
                };
                self.free = at;
                Some(outcome)
            }
        }
    }

    /// The caller has gone. Returns the waker, to be dropped outside of the lock.
    pub(super) fn abandon(&mut self, at: u32) -> Option<Waker> {
        match std::mem::replace(&mut self.slots[at as usize], Slot::Abandoned) {
            Slot::Waiting { waker, .. } => Some(waker),
            _ => {
                self.free(at);
                None
            }
        }
    }

    /// Delivers a reply. `last`: it is the request's last one. Returns the waker to wake.
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
            Slot::Done(_) | Slot::Free(_) => unreachable!("a request that is done is no longer awaited"),
        }
    }

    /// Ends a request that is no longer awaited. Returns the waker to wake.
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
            Slot::Done(_) | Slot::Free(_) => unreachable!("a request that is done is no longer awaited"),
        }
    }

    /// Whether a request is late at this tick or its caller has gone.
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

    /// The number of slots in use.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Free(_))).count()
    }

    fn free(&mut self, at: u32) {
        self.slots[at as usize] = Slot::Free(self.free);
        self.free = at;
    }
}
