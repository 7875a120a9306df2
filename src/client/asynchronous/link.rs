//! Link: a connection as its callers see it: a buffer for requests, and slots where the replies arrive.
//!
//! Shared by the callers, on any thread, and the one task that does the I/O (`driver`). A caller appends its request to
//! `out` and its slot to `awaited`, under one short lock, and wakes the task unless it is awake. The task takes all of
//! `out` at once: many callers, one write.
//!
//! | queue | filled by | drained by | bound | at the bound |
//! |---|---|---|---|---|
//! | `out` | callers | the driver | `CLIENT_UNSENT_BYTES_MAX` | callers wait in `room` |
//! | `awaited` | callers | the driver, as replies come | `CLIENT_OUTSTANDING_MAX` | callers wait in `room` |
//! | `room` | callers | the driver, each time it has taken `out` and each tick | one per caller | |
//!
//! Time is counted in ticks of the driver's timer, a sixteenth of the timeout each. Never: reads a clock, or does I/O.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{future::Future, io};

use super::super::conn::{Arrival, Awaited};
use super::super::error::{Error, Fate, Fault};
use super::super::options::Options;
use super::super::value::Value;
use super::lock::Lock;
use super::slots::{Failure, Outcome, Replies, Slots};
use crate::limits::{CLIENT_OUTSTANDING_MAX, CLIENT_TIMEOUT_TICKS, CLIENT_UNSENT_BYTES_MAX};

/// A connection, shared by its callers and its driver.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) options: Arc<Options>,
    /// Whether the link is connected now. A hint: the connection may break at any time.
    up: AtomicBool,
    state: Lock<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The requests that the driver has not taken yet.
    out: Vec<u8>,
    /// All unanswered requests, in order.
    awaited: Awaited<Token>,
    /// How many requests of `awaited`, from the first, the driver has taken.
    taken: usize,
    slots: Slots,
    tick: u64,
    /// The tick at which the server last sent something, or began to owe a reply.
    heard: u64,
    driver: Waker,
    /// Whether the driver was woken and has not run since.
    woken: bool,
    room: Vec<Waker>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// The link is connected.
    Up,
    /// The link is connecting. The error of the last attempt, if one failed.
    Down(Option<Arc<io::Error>>),
    /// The link is closed. Every request gets this error.
    Closed(Error),
}

/// The entry of a request in `awaited`.
#[derive(Clone, Copy, Debug)]
struct Token {
    /// The slot of the request, or `NOBODY`.
    slot: u32,
    /// The length of the request in bytes.
    bytes: usize,
}

const NOBODY: u32 = u32::MAX;

/// The shape of a request's replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The given number of replies.
    Plain(u32),
    /// The replies to a SUBSCRIBE or its like, with a PING behind it as a fence.
    Fenced,
}

impl Link {
    pub(super) fn new(options: Arc<Options>) -> Self {
        let state = State {
            phase: Phase::Down(None),
            out: Vec::new(),
            awaited: Awaited::new(),
            taken: 0,
            slots: Slots::new(),
            tick: 0,
            heard: 0,
            driver: Waker::noop().clone(),
            woken: false,
            room: Vec::new(),
        };
        Self { options, up: AtomicBool::new(false), state: Lock::new(state) }
    }

    /// Whether the link is connected, as far as is known.
    #[inline]
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Closes the link. Unsent requests may be sent over another link; sent ones have an unknown fate.
    pub(super) fn close(&self) {
        self.close_with(io::Error::other("the client was closed"));
    }

    /// As `close`, with a reason.
    pub(super) fn close_with(&self, why: io::Error) {
        let cause = Arc::new(why);
        let error = |fate| self.broken(fate, cause.clone());
        self.fail_all(&cause, Some(Phase::Closed(error(Fate::NotSent))), error);
    }

    /// Whether the link was closed. If not, `waker` is woken when it is.
    pub(super) fn is_closed(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        state.driver.clone_from(waker);
        matches!(state.phase, Phase::Closed(_))
    }

    /// Queues a request whose reply nobody waits for.
    pub(super) fn post(&self, shape: Shape, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closed(_)) {
            return;
        }
        state.append(NOBODY, shape, write);
        state.wake_driver();
    }

    fn broken(&self, fate: Fate, cause: Arc<io::Error>) -> Error {
        Error::Connection { address: self.options.address.clone(), fate, cause }
    }

    // Functions for the driver.

    /// The link is connected. The requests that `restore` writes are sent first, with a fence; it returns how many.
    pub(super) fn on_connected(&self, restore: impl FnOnce(&mut Vec<u8>) -> Option<u32>) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closed(_)) {
            return;
        }
        state.phase = Phase::Up;
        state.heard = state.tick;
        // The waiting requests were not taken yet, so they come after.
        let waiting = std::mem::take(&mut state.out);
        if let Some(requests) = restore(&mut state.out) {
            let token = Token { slot: NOBODY, bytes: state.out.len() };
            state.awaited.begin_with_fence(token, requests);
        }
        state.out.extend_from_slice(&waiting);
        self.up.store(true, Ordering::Relaxed);
    }

    /// An attempt to connect failed.
    pub(super) fn on_refused(&self, error: Error) {
        match error {
            Error::Connection { cause, .. } => {
                let mut state = self.state.lock();
                if let Phase::Down(last) = &mut state.phase {
                    *last = Some(cause);
                }
            }
            // Waiting would not help: the server is there and refuses this client.
            other => {
                let mut wakers = Vec::new();
                let mut state = self.state.lock();
                state.out.clear();
                let State { awaited, slots, .. } = &mut *state;
                wakers.extend(awaited.drain_sent(awaited.len()).filter_map(|token| match token.slot {
                    NOBODY => None,
                    slot => slots.end(slot, || Err(Failure::Final(other.clone()))),
                }));
                wakers.append(&mut state.room);
                drop(state);
                wakers.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// The connection broke.
    pub(super) fn on_broken(&self, why: Broken) {
        match why {
            Broken::Io(cause) => {
                let cause = Arc::new(cause);
                self.fail_all(&cause, None, |fate| self.broken(fate, cause.clone()));
            }
            Broken::Fault(fault) => {
                let cause = Arc::new(io::Error::new(io::ErrorKind::InvalidData, fault.to_string()));
                let error = || Error::Protocol { address: self.options.address.clone(), fault };
                self.fail_all(&cause, None, |_| error());
            }
        }
    }

    fn fail_all(&self, cause: &Arc<io::Error>, closed: Option<Phase>, error: impl Fn(Fate) -> Error) {
        self.up.store(false, Ordering::Relaxed);
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closed(_)) {
            return;
        }
        let State { awaited, slots, taken, tick, .. } = &mut *state;
        let count = if closed.is_some() { awaited.len() } else { *taken };
        let mut wakers = Vec::new();
        for (at, token) in awaited.drain_sent(count).enumerate().filter(|(_, token)| token.slot != NOBODY) {
            let fate = if at < *taken { Fate::Unknown } else { Fate::NotSent };
            let left = slots.deadline(token.slot).saturating_sub(*tick);
            wakers.extend(slots.end(token.slot, || Err(Failure::Lost(error(fate), left))));
        }
        state.taken = 0;
        if closed.is_some() {
            state.out = Vec::new();
        }
        wakers.append(&mut state.room);
        state.phase = closed.unwrap_or(Phase::Down(Some(cause.clone())));
        wakers.push(std::mem::replace(&mut state.driver, Waker::noop().clone()));
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Moves all queued requests to `writing`, which is empty, or registers the driver's waker if there are none. `now`:
    /// the driver has yielded already.
    pub(super) fn take_out(&self, writing: &mut Vec<u8>, waker: &Waker, now: bool) -> Took {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closed(_)) {
            return Took::Closed;
        }
        state.driver.clone_from(waker);
        if state.out.is_empty() {
            state.woken = false;
            return Took::Nothing;
        }
        if !now {
            return Took::Later;
        }
        std::mem::swap(&mut state.out, writing);
        if state.taken == 0 {
            state.heard = state.tick;
        }
        state.taken = state.awaited.len();
        state.woken = false;
        let room = std::mem::take(&mut state.room);
        drop(state);
        room.into_iter().for_each(Waker::wake);
        Took::All
    }

    /// Matches received values to requests. Pushes are left in `values`. `wakers` is scratch.
    pub(super) fn on_values(&self, values: &mut Vec<Value>, wakers: &mut Vec<Waker>) -> Result<(), Fault> {
        let mut pushes = Vec::new();
        let mut state = self.state.lock();
        state.heard = state.tick;
        let mut fault = Ok(());
        for value in values.drain(..) {
            // A request that was not sent can't be answered.
            if state.taken == 0 && !matches!(value, Value::Push(_)) {
                fault = Err(Fault::Unasked);
                break;
            }
            match state.awaited.on_value(value) {
                Err(error) => fault = Err(error),
                Ok(Arrival::Push(items)) => pushes.push(Value::Push(items)),
                Ok(Arrival::Reply { token, value, last }) => {
                    state.taken -= usize::from(last);
                    if token.slot != NOBODY {
                        wakers.extend(state.slots.reply(token.slot, value, last));
                    }
                }
            }
            if fault.is_err() {
                break;
            }
        }
        if state.awaited.len() < CLIENT_OUTSTANDING_MAX {
            wakers.append(&mut state.room);
        }
        drop(state);
        wakers.drain(..).for_each(Waker::wake);
        *values = pushes;
        fault
    }

    /// A tick has passed. False if the server owes replies and has been silent for too long.
    pub(super) fn on_tick(&self, silent_max: u64) -> bool {
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        state.tick += 1;
        state.sweep(&mut wakers, |fate, down| match (fate, down) {
            (Fate::NotSent, Some(cause)) => self.broken(fate, cause),
            _ => Error::Timeout { after: self.options.timeout.unwrap_or_default(), fate },
        });
        wakers.append(&mut state.room);
        let silent = state.taken > 0 && state.tick - state.heard > silent_max;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        !silent
    }

    /// Whether any request or caller waits, so that ticks matter.
    pub(super) fn waits(&self) -> bool {
        let state = self.state.lock();
        state.awaited.len() > 0 || !state.room.is_empty()
    }
}

/// The reason why a connection is unusable.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    Fault(Fault),
}

/// The result of `take_out`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Took {
    All,
    Nothing,
    /// There are requests, but the driver should yield first.
    Later,
    Closed,
}

impl State {
    #[inline]
    fn append(&mut self, slot: u32, shape: Shape, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.out.len();
        write(&mut self.out);
        let token = Token { slot, bytes: self.out.len() - before };
        match shape {
            Shape::Plain(replies) => self.awaited.sent(token, replies),
            Shape::Fenced => self.awaited.sent_with_fence(token),
        }
    }

    #[inline]
    fn wake_driver(&mut self) {
        if !std::mem::replace(&mut self.woken, true) {
            self.driver.wake_by_ref();
        }
    }

    /// Ends the requests that are late, and removes unsent requests that are late or whose callers have gone.
    fn sweep(&mut self, wakers: &mut Vec<Waker>, error: impl Fn(Fate, Option<Arc<io::Error>>) -> Error) {
        let Self { phase, awaited, taken, slots, tick, out, .. } = self;
        for token in awaited.tokens_mut().take(*taken) {
            if token.slot != NOBODY && slots.is_over(token.slot, *tick) {
                wakers.extend(slots.end(token.slot, || Err(Failure::Final(error(Fate::Unknown, None)))));
                token.slot = NOBODY;
            }
        }
        if awaited.len() == *taken {
            return;
        }
        let down = match phase {
            Phase::Down(cause) => cause.clone(),
            _ => None,
        };
        // The bytes of kept requests move to the front; `from` is the offset of the next request.
        let (mut from, mut to) = (0, 0);
        awaited.retain_unsent(*taken, |token| {
            let bytes = from..from + token.bytes;
            from = bytes.end;
            if token.slot != NOBODY && slots.is_over(token.slot, *tick) {
                wakers.extend(slots.end(token.slot, || Err(Failure::Final(error(Fate::NotSent, down.clone())))));
                return false;
            }
            if bytes.start != to {
                out.copy_within(bytes.clone(), to);
            }
            to += bytes.len();
            true
        });
        out.truncate(to);
    }
}

/// A request under way. If it is dropped before it is done, its reply is discarded on arrival.
#[derive(Debug)]
pub(super) struct Call<W> {
    link: Arc<Link>,
    write: W,
    shape: Shape,
    /// The timeout in ticks; `None`: no timeout.
    ticks: Option<u64>,
    state: CallState,
}

#[derive(Debug)]
enum CallState {
    /// The request is not queued yet. The tick at which it is late, once it was polled.
    New(Option<u64>),
    Waiting(u32),
    Over,
}

impl<W: Fn(&mut Vec<u8>)> Call<W> {
    #[inline]
    pub(super) fn new(link: Arc<Link>, shape: Shape, ticks: Option<u64>, write: W) -> Self {
        Self { link, write, shape, ticks, state: CallState::New(None) }
    }

    /// Queues the request now. The task that polls it later is woken.
    pub(super) fn start(mut self) -> Self {
        let waker = Waker::noop();
        // Without room, the request is queued when it is polled.
        let _ = self.enter(waker);
        self
    }

    fn enter(&mut self, waker: &Waker) -> Poll<Outcome> {
        let CallState::New(deadline) = self.state else { return Poll::Pending };
        let mut state = self.link.state.lock();
        let tick = state.tick;
        // The current tick began at an unknown time, so one more is added.
        let deadline = deadline.unwrap_or_else(|| self.ticks.map_or(u64::MAX, |ticks| tick + ticks + 1));
        if let Phase::Closed(error) = &state.phase {
            let lost = Failure::Lost(error.clone(), deadline.saturating_sub(tick));
            return Poll::Ready(Err(lost));
        }
        let full = state.out.len() >= CLIENT_UNSENT_BYTES_MAX || state.awaited.len() >= CLIENT_OUTSTANDING_MAX;
        if full {
            if deadline <= tick {
                let after = self.link.options.timeout.unwrap_or_default();
                return Poll::Ready(Err(Failure::Final(Error::Timeout { after, fate: Fate::NotSent })));
            }
            self.state = CallState::New(Some(deadline));
            state.room.push(waker.clone());
        } else {
            let slot = state.slots.wait(waker.clone(), deadline);
            state.append(slot, self.shape, &self.write);
            self.state = CallState::Waiting(slot);
        }
        state.wake_driver();
        Poll::Pending
    }
}

impl<W: Fn(&mut Vec<u8>) + Unpin> Future for Call<W> {
    type Output = Outcome;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.get_mut();
        let outcome = match this.state {
            CallState::New(_) => this.enter(cx.waker()),
            CallState::Waiting(slot) => match this.link.state.lock().slots.take(slot, cx.waker()) {
                Some(outcome) => Poll::Ready(outcome),
                None => Poll::Pending,
            },
            CallState::Over => unreachable!("a call is not polled after it is done"),
        };
        if outcome.is_ready() {
            this.state = CallState::Over;
        }
        outcome
    }
}

impl<W> Drop for Call<W> {
    fn drop(&mut self) {
        if let CallState::Waiting(slot) = self.state {
            // The waker is dropped outside of the lock: it may be the last reference to its task.
            let _waker = self.link.state.lock().slots.abandon(slot);
        }
    }
}

impl Replies {
    /// The one reply to a request.
    pub(super) fn one(self) -> Value {
        match self {
            Self::One(value) => value,
            // There is more than one only if an error precedes the fence.
            Self::Many(mut values) => values.swap_remove(0),
        }
    }

    /// All replies, in order.
    pub(super) fn all(self) -> Vec<Value> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

/// A timeout in ticks.
pub(super) fn ticks(timeout: Option<Duration>) -> Option<u64> {
    timeout.map(|_| CLIENT_TIMEOUT_TICKS)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
