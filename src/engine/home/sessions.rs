//! Sessions: the table of one core's sessions, and the lists of those for which the runtime has something to do. Core:
//! theirs. Cost: a box a session, some 60 bytes besides.
//!
//! Invariant: a session is never taken out of its table but when its connection has ended.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::env::{Env, Notice};
use crate::engine::home::push::{Encoded, Push};
use crate::engine::home::replies::{Output, Replies};
#[cfg(any(test, feature = "verify"))]
use crate::engine::home::session::stop;
use crate::engine::home::session::{Queue, Session};
use crate::engine::ids::SessionId;
use crate::limits::{
    BUFFER_KEPT_BYTES_MAX, BUFFERS_KEPT_MAX, CLIENT_STALL_MS_MAX, OUTPUT_QUANTUM_BYTES, PUSH_SENDS_MIN, PUSH_TURNS,
    TICK_SESSIONS_MAX,
};
use crate::resp::Writer;
use crate::shard::ClientId;

#[derive(Debug, Default)]
struct Cell {
    generation: u32,
    session: Option<Box<Session>>,
}

/// The sessions of one core.
#[derive(Debug)]
pub(in crate::engine) struct Sessions {
    cells: Vec<Cell>,
    free: Vec<u32>,
    len: usize,
    /// By client, for what names one: an invalidation, or a client that others redirect to.
    by_client: BTreeMap<ClientId, SessionId>,
    /// Sessions with something to send, or to close. Filled by whatever writes; drained by `take_ready`; bounded by
    /// the number of sessions, each being in it once.
    ready: VecDeque<SessionId>,
    /// Sessions to which something was pushed, and nothing else is due. Filled by pushes; drained by `take_ready` behind
    /// those of `ready`, over several turns if need be; bounded by the number of sessions and of those that went ahead.
    told: VecDeque<SessionId>,
    /// Sends of pushes that are left to this turn, and how many a turn has.
    tells_left: usize,
    tells: usize,
    /// Sessions with much to send. Filled and drained by `take_ready`, over several turns if need be; bounded by the number
    /// of sessions, each being in it once.
    long: VecDeque<SessionId>,
    /// Bytes of those that are left to this turn.
    long_bytes_left: usize,
    /// Empty output buffers for sessions that have something to say.
    buffers: Vec<Vec<u8>>,
    /// The place in the table that the last tick looked at.
    checked: usize,
}

impl Default for Sessions {
    fn default() -> Self {
        Sessions {
            cells: Vec::new(),
            free: Vec::new(),
            len: 0,
            by_client: BTreeMap::new(),
            ready: VecDeque::new(),
            told: VecDeque::new(),
            tells_left: PUSH_SENDS_MIN,
            tells: PUSH_SENDS_MIN,
            long: VecDeque::new(),
            long_bytes_left: OUTPUT_QUANTUM_BYTES,
            buffers: Vec::new(),
            checked: 0,
        }
    }
}

impl Sessions {
    pub(in crate::engine) fn insert(&mut self, session: Session) -> SessionId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.cells.push(Cell::default());
            (self.cells.len() - 1) as u32
        });
        let cell = &mut self.cells[index as usize];
        debug_assert!(cell.session.is_none());
        let id = SessionId { index, generation: cell.generation };
        self.by_client.insert(session.client.id, id);
        cell.session = Some(Box::new(session));
        self.len += 1;
        id
    }

    pub(in crate::engine) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        let cell = self.cells.get_mut(id.index as usize).filter(|cell| cell.generation == id.generation)?;
        let session = cell.session.take()?;
        cell.generation = cell.generation.wrapping_add(1);
        self.by_client.remove(&session.client.id);
        self.free.push(id.index);
        self.len -= 1;
        Some(session)
    }

    #[inline]
    pub(in crate::engine) fn get(&self, id: SessionId) -> Option<&Session> {
        let cell = self.cells.get(id.index as usize)?;
        if cell.generation == id.generation { cell.session.as_deref() } else { None }
    }

    #[inline]
    pub(in crate::engine) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        find(&mut self.cells, id)
    }

    /// A session, with a buffer to write replies to.
    #[inline]
    pub(in crate::engine) fn writable(&mut self, id: SessionId) -> Option<&mut Session> {
        let session = find(&mut self.cells, id)?;
        session.replies.lend(&mut self.buffers);
        Some(session)
    }

    /// The session of a client, unless its connection has ended.
    pub(in crate::engine) fn of_client(&self, client: ClientId) -> Option<SessionId> {
        let id = self.by_client.get(&client).copied()?;
        self.get(id).filter(|session| !session.gone).map(|_| id)
    }

    pub(in crate::engine) fn len(&self) -> usize {
        self.len
    }

    /// Places in the table, for walks in slices.
    pub(in crate::engine) fn places(&self) -> usize {
        self.cells.len()
    }

    /// The session at a place.
    pub(in crate::engine) fn at(&self, index: usize) -> Option<SessionId> {
        let cell = self.cells.get(index)?;
        cell.session.as_ref().map(|_| SessionId { index: index as u32, generation: cell.generation })
    }

    // ---- what the runtime has to do ----

    /// Lists a session for `take_ready` if there is anything to do for it.
    #[inline]
    pub(in crate::engine) fn settle(&mut self, id: SessionId) {
        if self.get_mut(id).is_some_and(Session::becomes_due) {
            self.list(id);
        }
    }

    /// Lists a session that has just become due.
    #[inline]
    pub(in crate::engine) fn list(&mut self, id: SessionId) {
        self.ready.push_back(id);
    }

    /// The next session that has something to send or that is to be closed: first those with replies, then those with
    /// much to send and those to which something was pushed, as far as this turn goes on with them.
    #[expect(
        clippy::inline_always,
        reason = "it runs twice a turn; as a call it takes 46 instructions more of a lone GET"
    )]
    #[inline(always)]
    pub(in crate::engine) fn take_ready(&mut self) -> Option<SessionId> {
        while let Some(id) = self.ready.pop_front() {
            let Some(session) = find(&mut self.cells, id) else { continue };
            session.queued = None;
            if !session.replies.is_long() {
                return Some(id);
            }
            self.put_off(id);
        }
        if self.told.is_empty() && self.long.is_empty() { None } else { self.take_late() }
    }

    #[inline(never)]
    fn take_late(&mut self) -> Option<SessionId> {
        self.take_long().or_else(|| self.take_told())
    }

    /// A session with much to send waits for its turn.
    #[cold]
    fn put_off(&mut self, id: SessionId) {
        if let Some(session) = self.get_mut(id) {
            session.queued = Some(Queue::Ready);
            self.long.push_back(id);
        }
    }

    /// So much in one turn that a client with little to send hardly feels it.
    fn take_long(&mut self) -> Option<SessionId> {
        while self.long_bytes_left > 0
            && let Some(id) = self.long.pop_front()
        {
            if let Some(session) = find(&mut self.cells, id) {
                session.queued = None;
                self.long_bytes_left = self.long_bytes_left.saturating_sub(session.replies.unsent_bytes());
                return Some(id);
            }
        }
        None
    }

    /// So many in one turn that what is asked meanwhile waits for a few only, and that all have their turn soon. What
    /// is pushed to the others meanwhile leaves by the same send.
    fn take_told(&mut self) -> Option<SessionId> {
        while self.tells_left > 0
            && let Some(id) = self.told.pop_front()
        {
            if let Some(session) = find(&mut self.cells, id)
                && session.queued.take_if(|queue| *queue == Queue::Told).is_some()
            {
                self.tells_left -= 1;
                if !session.replies.is_long() {
                    return Some(id);
                }
                self.put_off(id);
            }
        }
        None
    }

    /// A turn is over: the next may send as much again, and more of what is pushed if much of it waits.
    #[inline]
    pub(in crate::engine) fn end_turn(&mut self) {
        self.tells = if self.told.is_empty() { PUSH_SENDS_MIN } else { self.tells.max(self.told.len() / PUSH_TURNS) };
        self.tells_left = self.tells;
        self.long_bytes_left = OUTPUT_QUANTUM_BYTES;
    }

    /// Whether `take_ready` may have any.
    #[inline]
    pub(in crate::engine) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.told.is_empty() || !self.long.is_empty()
    }

    /// Hands over a session's output.
    #[inline]
    pub(in crate::engine) fn take_output(&mut self, id: SessionId) -> Option<Output> {
        self.get_mut(id)?.replies.take_output()
    }

    /// A session's output is back, of which so many bytes were sent.
    #[inline]
    pub(in crate::engine) fn on_output(&mut self, id: SessionId, output: Output, sent: usize, env: &mut Env) {
        env.stats.bytes_out += sent as u64;
        let Some(session) = find(&mut self.cells, id) else { return };
        session.progress_ms = env.awake_ms;
        if let Some(buffer) = session.replies.on_output(output, sent) {
            keep_buffer(&mut self.buffers, buffer);
        }
        if session.lags_since_ms.is_some() {
            session.end_lag(env.settings.output_limits.pubsub.soft_bytes);
        }
    }

    /// Keeps an empty output buffer for others.
    pub(in crate::engine) fn give_back(&mut self, buffer: Vec<u8>) {
        keep_buffer(&mut self.buffers, buffer);
    }

    // ---- pushes ----

    /// Puts a push into a session's output. `write` says what it is, the same for all sessions; `push` is cleared, or
    /// holds what `write` said for other sessions. A session that has gone gets nothing.
    #[inline]
    pub(in crate::engine) fn push(
        &mut self,
        id: SessionId,
        push: &mut Push,
        write: impl Fn(&mut Writer<'_>),
        env: &mut Env,
    ) {
        self.push_by(id, push, write, env, Replies::push);
    }

    /// As `push`, but behind all replies that the session waits for.
    pub(in crate::engine) fn push_last(
        &mut self,
        id: SessionId,
        push: &mut Push,
        write: impl Fn(&mut Writer<'_>),
        env: &mut Env,
    ) {
        self.push_by(id, push, write, env, Replies::push_last);
    }

    /// As `push`, unless more than so many bytes wait for the session then. Returns whether there was room.
    pub(in crate::engine) fn push_within(
        &mut self,
        id: SessionId,
        push: &mut Push,
        write: impl Fn(&mut Writer<'_>),
        bytes_max: usize,
    ) -> bool {
        let Some(session) = self.writable(id) else { return true };
        if !session.hears_pushes() {
            return true;
        }
        let encoded = push.encoded(session.client.proto, write);
        let fits = session.replies.waiting_bytes() + encoded.bytes().len() <= bytes_max;
        if fits {
            session.replies.push(encoded);
            self.list_told(id);
        }
        fits
    }

    #[inline]
    fn push_by(
        &mut self,
        id: SessionId,
        push: &mut Push,
        write: impl Fn(&mut Writer<'_>),
        env: &mut Env,
        put: fn(&mut Replies, &mut Encoded),
    ) {
        let Some(session) = self.writable(id) else { return };
        if !session.hears_pushes() {
            return;
        }
        put(&mut session.replies, push.encoded(session.client.proto, write));
        if session.replies.waiting_bytes() as u64 >= env.settings.output_limits.pubsub.least_bytes() {
            self.check_output(id, env);
        } else {
            self.list_told(id);
        }
    }

    /// Lists a session to which something was pushed.
    #[inline]
    fn list_told(&mut self, id: SessionId) {
        let Some(session) = self.get_mut(id) else { return };
        if session.queued.is_some() {
            return;
        }
        if session.should_send() && !session.gone {
            session.queued = Some(Queue::Told);
            self.told.push_back(id);
        } else {
            self.settle(id);
        }
    }

    /// A session whose client lags behind what is pushed to it: at the limit it is cut off, so that it costs memory no
    /// longer; others never waited for it.
    #[cold]
    fn check_output(&mut self, id: SessionId, env: &mut Env) {
        let limit = env.settings.output_limits.pubsub;
        let Some(session) = self.get_mut(id) else { return };
        let waiting_bytes = session.replies.waiting_bytes() as u64;
        let since_ms = match session.lags_since_ms {
            Some(since_ms) => since_ms,
            None if waiting_bytes >= limit.soft_bytes => *session.lags_since_ms.insert(env.awake_ms),
            None => env.awake_ms,
        };
        let lags_ms = env.awake_ms - since_ms;
        if waiting_bytes >= limit.hard_bytes || lags_ms > limit.soft_s.saturating_mul(1000) {
            let client = &session.client;
            let text = format!(
                "client id={} addr={} name={} closed: {waiting_bytes} bytes of output waited for it, for {lags_ms} ms more \
                 than client-output-buffer-limit allows",
                client.id, client.addr, client.name
            );
            session.cut();
            env.stats.cut_offs += 1;
            env.stats.output_cut_offs += 1;
            env.notice(Notice::CutOff(text));
        }
        self.settle(id);
    }

    // ---- time ----

    /// Looks at some of the sessions: those that have been idle or stuck for too long are cut off.
    pub(in crate::engine) fn check(&mut self, env: &mut Env) {
        let places = self.places();
        for _ in 0..places.min(TICK_SESSIONS_MAX) {
            self.checked = (self.checked + 1) % places;
            let Some(id) = self.at(self.checked) else { continue };
            let Some(session) = self.get_mut(id) else { continue };
            if session.lags_since_ms.is_some() {
                self.check_output(id, env);
                continue;
            }
            let still_ms = env.awake_ms.saturating_sub(session.progress_ms);
            // What nobody has tried to send yet, since it came in this turn, or waits for another core, is not its fault.
            let stuck = session.partial || (session.should_send() && session.queued.is_none());
            // As in Redis, a subscriber may be silent, and so may one who watches.
            let silent = session.client.subscriptions.any() || session.client.monitors;
            let idle_ms = env.settings.idle_timeout_s.saturating_mul(1000);
            let why = if stuck && still_ms >= CLIENT_STALL_MS_MAX {
                "it neither read its replies nor finished its request"
            } else if idle_ms > 0 && still_ms >= idle_ms && !silent && !session.awaits_server() {
                "it was idle"
            } else {
                continue;
            };
            env.stats.cut_offs += 1;
            let text =
                format!("client id={} addr={} closed: {why} for {still_ms} ms", session.client.id, session.client.addr);
            session.cut();
            env.notice(Notice::CutOff(text));
            self.settle(id);
        }
    }

    /// Asserts the invariants.
    #[cfg(any(test, feature = "verify"))]
    pub(in crate::engine) fn verify(&self) {
        for id in (0..self.places()).filter_map(|place| self.at(place)) {
            let Some(session) = self.get(id) else { continue };
            session.replies.verify();
            assert_eq!(session.is_stopped(stop::DELAYED), session.delayed_until_ms.is_some());
            let waits = session.has_input() || !session.may_run();
            assert!(waits || session.ahead.is_empty(), "nothing stands before what was received ahead");
            session.ahead.verify();
        }
    }
}

/// A session by its place in the table, unless another has taken it.
#[inline]
fn find(cells: &mut [Cell], id: SessionId) -> Option<&mut Session> {
    let cell = cells.get_mut(id.index as usize)?;
    if cell.generation == id.generation { cell.session.as_deref_mut() } else { None }
}

/// Keeps an empty buffer, unless there are enough or it is too large.
#[inline]
fn keep_buffer(buffers: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    debug_assert!(buffer.is_empty(), "a buffer goes back empty");
    if buffers.len() < BUFFERS_KEPT_MAX && (1..=BUFFER_KEPT_BYTES_MAX).contains(&buffer.capacity()) {
        buffers.push(buffer);
    }
}
