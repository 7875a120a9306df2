//! Home: what a core does for its clients: their sessions, the order of their replies, what they queue, subscribe to and
//! track. Core: the one that accepted the connection.
//!
//! Home asks and the rest of the core answers ([`Core`]): at once for keys of this core, by a message for others.
//! Files: `round` (one read of one connection), `command` (finds a command's row), `dispatch` (where it runs); `session`,
//! `sessions` (the table), `replies` (their order), `ahead` (requests that wait until those are read), `gather` (replies in
//! parts), `push`; `transaction` and `multi_key` over `multi`; `subscriptions` over `subscribed`; `tracking`; `monitoring`;
//! `clients`, `client_pause`, `debug`, `topology`, `auth`.
//! Never: sees a shard, compares cores.

mod ahead;
mod asking;
pub mod auth;
pub(super) mod client_filters;
mod client_pause;
mod clients;
mod command;
mod debug;
mod dispatch;
mod gather;
mod monitoring;
mod multi;
mod multi_key;
pub(super) mod push;
pub(super) mod replies;
mod round;
mod session;
pub(super) mod sessions;
mod subscribed;
mod subscriptions;
mod topology;
mod topology_replies;
mod tracking;
mod transaction;
mod trip;

use std::collections::VecDeque;

use crate::command::Client;
use crate::engine::core::Core;
use crate::engine::home::auth::{AuthKey, Penalty};
use crate::engine::home::client_filters::ClientWalk;
use crate::engine::home::client_pause::ClientPause;
use crate::engine::home::gather::Gathers;
use crate::engine::home::push::Push;
use crate::engine::home::replies::Output;
use crate::engine::home::session::{Session, stop};
use crate::engine::home::sessions::Sessions;
use crate::engine::home::topology_replies::Topology;
use crate::engine::ids::{GatherId, Place, SessionId, Ticket};
use crate::engine::invalidation::Trackers;
use crate::engine::link::Waiter;
use crate::engine::link::codec::{Part, reply_frames};
use crate::engine::link::message::{HoldKey, SlowRequest};
use crate::engine::monitor::Monitor;
use crate::engine::process_wide::ask::Asks;
use crate::limits::SESSIONS_STEP;
use crate::resp::{Parser, Span};
use crate::slot::CoreId;

/// A connection as the runtime knows it when it accepts it.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `address:port`, or the socket's path with `:0`.
    pub addr: String,
    /// Our own side of it.
    pub local_addr: String,
    /// File descriptor, for CLIENT LIST alone.
    pub fd: i32,
    /// Whether it came by the core's own port.
    pub by_core_port: bool,
}

/// One core's clients and everything about them.
pub(super) struct Home {
    sessions: Sessions,
    gathers: Gathers,
    /// Commands of the whole process under way.
    pub(super) asks: Asks,
    trackers: Trackers,
    monitor: Monitor,
    topology: Topology,
    auth_key: Option<AuthKey>,
    penalty: Penalty,
    /// Sessions that may go on. Filled by replies and grants, drained before the event ends; bounded by the sessions.
    resumable: VecDeque<SessionId>,
    /// Sessions whose round goes on in the next turn. Filled by rounds, drained by slices; each is in it once.
    paused: VecDeque<SessionId>,
    /// Sessions whose transaction waits for a shard, perhaps. Filled by transactions, drained by ticks; each is in it
    /// once a transaction.
    waiting: VecDeque<SessionId>,
    /// What CLIENT PAUSE holds back, as long as it does.
    client_pause: Option<ClientPause>,
    /// Each command is to be looked at alone: for CLIENT PAUSE, or for MONITOR.
    looks_at_each: bool,
    /// The place of the table from which on sessions that were held back are still to go on.
    held_back_at: Option<usize>,
    /// Sessions that are held back.
    held_back: u64,
    /// The place of the table from which on sessions are still to be looked at for delays that are over.
    delays_at: Option<usize>,
    /// Walks over the sessions, the next first. Filled by CLIENT LIST and CLIENT KILL, drained in slices; bounded by the
    /// sessions that may each have one under way.
    walks: VecDeque<ClientWalk>,
    /// The place of the table from which on SIGTERM is still to reach the sessions.
    drain_at: Option<usize>,
    /// Transactions begun on this core.
    transactions: u64,
    /// Clients that have connected to this core.
    clients: u64,
    /// Parsers that are between commands. Filled and drained by rounds.
    #[expect(clippy::vec_box, reason = "a parser moves between here and its session by its pointer")]
    parsers: Vec<Box<Parser>>,
    /// The push that is being given to sessions.
    push: Push,
    /// Owners of the keys of the command that is being split, and the arguments of this core's part.
    owners: Vec<CoreId>,
    spans: Vec<Span>,
    /// A reply in the making that has no place of its own yet.
    scratch: Vec<u8>,
}

impl Home {
    pub(super) fn new(auth_key: Option<AuthKey>, cores: u16, hash_seeds: [u64; 4]) -> Home {
        Home {
            sessions: Sessions::default(),
            gathers: Gathers::default(),
            asks: Asks::default(),
            trackers: Trackers::new(cores, hash_seeds),
            monitor: Monitor::new(cores),
            topology: Topology::default(),
            auth_key,
            penalty: Penalty::default(),
            resumable: VecDeque::new(),
            paused: VecDeque::new(),
            waiting: VecDeque::new(),
            client_pause: None,
            looks_at_each: false,
            held_back_at: None,
            held_back: 0,
            delays_at: None,
            walks: VecDeque::new(),
            drain_at: None,
            transactions: 0,
            clients: 0,
            parsers: Vec::new(),
            push: Push::default(),
            owners: Vec::new(),
            spans: Vec::new(),
            scratch: Vec::new(),
        }
    }

    // ---- connections ----

    /// A client connected.
    pub(super) fn on_connect(&mut self, core: &mut Core, peer: Peer) -> SessionId {
        self.clients += 1;
        core.env.stats.connections += 1;
        let now_ms = core.env.now_ms;
        let client = Client {
            id: core.env.router.client_id(self.clients),
            authenticated: self.auth_key.is_none(),
            addr: peer.addr,
            local_addr: peer.local_addr,
            fd: peer.fd,
            by_core_port: peer.by_core_port,
            created_ms: now_ms,
            active_ms: now_ms,
            ..Client::default()
        };
        self.sessions.insert(Session::new(client, core.env.awake_ms))
    }

    /// The client sends no more; what it sent is still answered.
    pub(super) fn on_eof(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.eof = true;
        }
        self.sessions.settle(id);
    }

    /// A session ends once what it was told has been sent.
    pub(super) fn close(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.close();
        }
    }

    /// Gives clients that connect from now on another key to show.
    pub(super) fn set_auth_key(&mut self, key: AuthKey) {
        self.auth_key = Some(key);
    }

    /// The connection is gone. Commands at other cores run on, as does a transaction; their replies are dropped.
    pub(super) fn on_disconnect(&mut self, core: &mut Core, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.is_stopped(stop::TRANSACTION) {
            session.gone = true;
            session.cut();
            return;
        }
        self.forget(core, id);
        self.drop_subscriptions(core, id);
        self.untrack(core, id);
        self.leave_monitor(core, id);
        let Some(mut session) = self.sessions.remove(id) else { return };
        self.held_back -= u64::from(session.is_stopped(stop::HELD_BACK));
        self.sessions.give_back(session.replies.take_buffer());
    }

    /// SIGTERM: what was read is finished and sent, then each session ends; the sessions are told in slices.
    pub(super) fn on_drain(&mut self) {
        self.drain_at = Some(0);
    }

    // ---- what others hear of ----

    /// Something has run: those who are to hear of it do. The one place that sends invalidations, publishes key events
    /// and delivers messages.
    #[cold]
    pub(super) fn after(&mut self, core: &mut Core) {
        if core.owner.has_stale() {
            self.trackers.spread(&mut self.sessions, core);
        }
        core.publish_events();
        if core.pubsub.has_deliveries() {
            let Core { pubsub, env, .. } = core;
            let Home { sessions, push, .. } = self;
            pubsub.deliver(|subscribers, message| {
                push.clear();
                for id in subscribers {
                    sessions.push(*id, push, |writer| message.write(writer), env);
                }
            });
        }
    }

    /// Another core tells what has changed there.
    pub(super) fn on_invalidations(&mut self, core: &mut Core, from: CoreId, bytes: Vec<u8>) {
        self.trackers.on_message(from, bytes, &mut self.sessions, core);
    }

    /// The turn ends: what has gathered for others leaves.
    #[inline]
    pub(super) fn end_turn(&mut self, core: &mut Core) {
        self.sessions.end_turn();
        if self.trackers.waits() {
            self.trackers.end_turn(&mut self.sessions, core);
        }
    }

    // ---- answers ----

    /// Hands the replies of a batch to the sessions and gathers that wait for them.
    pub(super) fn on_replies(&mut self, core: &mut Core, from: CoreId, (ticket, bytes, count): (Ticket, Vec<u8>, u32)) {
        let waiters = core.links.close(ticket);
        assert_eq!(waiters.len(), count as usize, "a reply for each request");
        for (waiter, part) in waiters.iter().zip(reply_frames(&bytes)) {
            match (*waiter, part) {
                (Waiter::Reply { id, place }, Part::Encoded(reply) | Part::Refusal(reply)) => {
                    self.fill(id, place, reply);
                }
                (Waiter::Gather(gather), part) => {
                    if self.gathers.part(gather, from, part) {
                        self.finish_gather(gather);
                    }
                }
                (Waiter::Reply { id, place }, Part::Sum(sum)) => self.fill(id, place, format!(":{sum}\r\n").as_bytes()),
                (Waiter::Nobody, _) => {}
            }
        }
        core.links.recycle(waiters);
        core.links.give_back(bytes);
    }

    /// A reply takes its place; its session goes on if it waits for no other.
    fn fill(&mut self, id: SessionId, place: Place, reply: &[u8]) {
        let Some(session) = self.sessions.writable(id) else { return };
        session.replies.fill(place, reply);
        if session.replies.is_holding() {
            self.sessions.settle(id);
        } else {
            self.resumable.push_back(id);
        }
    }

    /// The last part is there: folds them and answers.
    fn finish_gather(&mut self, id: GatherId) {
        let mut gather = self.gathers.take(id);
        let mut reply = std::mem::take(&mut self.scratch);
        reply.clear();
        gather.fold(&mut reply);
        let (id, place) = gather.asker;
        self.fill(id, place, &reply);
        self.scratch = reply;
        self.gathers.recycle(gather);
    }

    /// A peer says that a request took long. If its client is gone, nobody is left to be named.
    pub(super) fn on_slow(&mut self, core: &mut Core, slow: SlowRequest) {
        let session = match core.links.waiter(slow.ticket, slow.number) {
            Some(Waiter::Reply { id, .. }) => Some(id),
            Some(Waiter::Gather(gather)) => Some(self.gathers.session(gather)),
            Some(Waiter::Nobody) | None => None,
        };
        let session = session.and_then(|id| self.sessions.get(id));
        let nobody = Client::default();
        core.env.meter.log(slow.call, session.map_or(&nobody, |session| &session.client));
    }

    /// A shard is held for a session's transaction, unless that has given up.
    pub(super) fn on_granted(&mut self, id: SessionId, key: HoldKey, clean: bool) {
        if let Some(tx) = self.sessions.get_mut(id).and_then(Session::transaction)
            && tx.number == key.number
        {
            tx.granted += 1;
            tx.clean &= clean;
            self.resumable.push_back(id);
        }
    }

    // ---- going on ----

    /// Whether sessions may go on within this event.
    #[inline]
    pub(super) fn has_resumable(&self) -> bool {
        !self.resumable.is_empty()
    }

    /// Lets the sessions go on that may.
    pub(super) fn resume_all(&mut self, core: &mut Core) {
        while let Some(id) = self.resumable.pop_front() {
            self.go_on(core, id);
        }
    }

    /// Goes on with a session that was paused, if commands may run.
    pub(super) fn resume_paused(&mut self, core: &mut Core) {
        if core.must_wait() || core.owner.has_done_enough() {
            return;
        }
        let Some(id) = self.paused.pop_front() else { return };
        if let Some(session) = self.sessions.get_mut(id) {
            session.stop(stop::PAUSED, false);
            self.go_on(core, id);
        }
    }

    /// Whether a session was paused.
    pub(super) fn has_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// Whether sessions are still to be told of delays that are over, or of SIGTERM.
    pub(super) fn has_slices(&self) -> bool {
        self.delays_at.is_some()
            || self.held_back_at.is_some()
            || self.drain_at.is_some()
            || self.trackers.has_slices()
            || !self.walks.is_empty()
    }

    // ---- time ----

    pub(super) fn on_tick(&mut self, core: &mut Core) {
        if self.penalty.is_due(core.env.awake_ms) {
            self.delays_at = Some(0);
        }
        if self.client_pause.is_some_and(|pause| pause.is_over(core.env.awake_ms)) {
            self.end_client_pause();
        }
        if self.monitor.is_on() {
            self.monitor.on_tick(&mut self.sessions, &mut core.env, &mut core.links);
        }
        self.sessions.check(&mut core.env);
        self.give_up_waiting(core);
    }

    /// Some of the sessions whose delay may be over, or that SIGTERM has not reached.
    pub(super) fn on_slice(&mut self, core: &mut Core) {
        if let Some(at) = self.delays_at {
            self.delays_at = self.each_place(at, |home, id| {
                if let Some(session) = home.sessions.get_mut(id)
                    && session.delayed_until_ms.is_some_and(|until_ms| until_ms <= core.env.awake_ms)
                {
                    session.end_delay();
                    home.resumable.push_back(id);
                }
            });
        }
        if let Some(at) = self.held_back_at {
            self.held_back_at = self.each_place(at, Home::let_go_on);
        }
        if let Some(at) = self.drain_at {
            self.drain_at = self.each_place(at, |home, id| {
                home.drop_held_back(id);
                home.on_eof(id);
            });
        }
        if self.trackers.has_slices() {
            self.trackers.step(&mut self.sessions, &mut core.env);
        }
        self.step_client_walk(core);
    }

    /// Visits the sessions at some places of the table. Returns where to go on, if there are more.
    fn each_place(&mut self, at: usize, mut visit: impl FnMut(&mut Home, SessionId)) -> Option<usize> {
        let end = self.sessions.places().min(at + SESSIONS_STEP);
        for place in at..end {
            if let Some(id) = self.sessions.at(place) {
                visit(self, id);
            }
        }
        (end < self.sessions.places()).then_some(end)
    }

    // ---- effects and getters ----

    #[inline]
    pub(super) fn take_ready(&mut self) -> Option<SessionId> {
        self.sessions.take_ready()
    }

    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        self.sessions.has_ready()
    }

    #[inline]
    pub(super) fn awaits_output(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_some_and(Session::awaits_output)
    }

    #[inline]
    pub(super) fn take_output(&mut self, id: SessionId) -> Option<Output> {
        self.sessions.take_output(id)
    }

    #[inline]
    pub(super) fn wants_read(&mut self, id: SessionId) -> bool {
        self.sessions.get_mut(id).is_some_and(Session::tell_read)
    }

    #[inline]
    pub(super) fn is_finished(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_none_or(Session::is_finished)
    }

    pub(super) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn gathers_open(&self) -> usize {
        self.gathers.count() + self.asks.count()
    }

    /// Sessions of this core that track.
    pub(super) fn trackers(&self) -> u64 {
        self.trackers.count()
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn unsent_bytes(&self, id: SessionId) -> usize {
        self.sessions.get(id).map_or(0, |session| session.sizes().output)
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn read_ahead_bytes(&self, id: SessionId) -> usize {
        self.sessions.get(id).map_or(0, |session| session.ahead.len())
    }

    #[cfg(any(test, feature = "verify"))]
    pub(super) fn verify(&self) {
        self.sessions.verify();
        assert!(self.resumable.is_empty(), "sessions go on within the event");
    }
}
