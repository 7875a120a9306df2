//! Invalidation: from keys that have changed to the clients that may hold them. Core: the shard's collects, the home of
//! each client tells it.
//!
//! ```text
//! shard ─▶ spread ─▶ home of the client that tracks ─▶ its output, or the home of the client it redirects to
//! ```
//! What goes to other cores gathers in a buffer for each, and leaves when the turn ends, behind the replies of everything
//! that ran before: a batch that is half run keeps it back. At home it goes behind all replies that the session waits
//! for. So a client that is told that a key has changed has the reply with the older value, if it asked for it, and no
//! reply with an older value comes later. A client may be told too often, never too seldom: what is on its way when it
//! stops tracking is dropped at its home, and an id is never used again. When a client goes that others redirect to, they
//! learn it, as from Redis, at the next change that it would have been told of.
//!
//! FLUSHALL: each core says when it has cleared its shard; a home tells its clients once all cores have.
//! Changes of keys with a prefix that clients track (BCAST) gather at each home until the turn ends, as in Redis: one
//! push a prefix, with all keys. Both go on in slices where there are many clients. Cost: nothing while nobody tracks but
//! a comparison a command and a turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::command::tracking::Scope;
use crate::engine::core::Core;
use crate::engine::env::Env;
use crate::engine::home::push::Push;
use crate::engine::home::sessions::Sessions;
use crate::engine::link::invalidation::{Invalidation, clients_of};
use crate::engine::link::message::Payload;
use crate::limits::SESSIONS_STEP;
use crate::resp::{Proto, Writer};
use crate::shard::{ClientId, Clients, NO_CLIENT, Prefixes, Stale};
use crate::slot::CoreId;

/// The channel on which RESP2 clients that others redirect to are told, as Redis names it.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// What one core knows of its sessions that track, and what it has to tell.
pub(super) struct Trackers {
    /// Sessions of this core that track.
    count: u64,
    prefixes: Prefixes<Tracked>,
    /// Prefixes for which keys have gathered. Filled by changes, drained when the turn ends.
    changed: Vec<Box<[u8]>>,
    /// Broadcasts under way. Filled when a turn ends, drained in slices; bounded by the prefixes that change while a
    /// slice goes by.
    broadcasts: VecDeque<Broadcast>,
    /// What leaves for each core when the turn ends. Filled by changes, drained into the links; bounded by what one turn
    /// and one half-run batch change.
    outgoing: Vec<Vec<u8>>,
    /// Something waits in `changed` or `outgoing`.
    waits: bool,
    /// How often each core has cleared its shard, and of how many of those this core's clients were told.
    cleared: Vec<u64>,
    told: u64,
    /// The place in the table of sessions from which on clients are still to be told that everything has gone.
    clearing_at: Option<usize>,
    spare: Vec<Stale>,
    /// The push in the making, and the keys in it, encoded.
    push: Push,
    body: Vec<u8>,
    /// Homes of the clients of one key, and the clients.
    homes: Vec<(CoreId, ClientId)>,
    cores: Vec<u16>,
}

/// The clients that track one prefix, and what has changed since they were told.
#[derive(Debug, Default)]
struct Tracked {
    clients: Vec<ClientId>,
    /// By key its writer, if that is one that does not want to hear of its own changes.
    keys: BTreeMap<Box<[u8]>, ClientId>,
}

/// What is told to all clients of a prefix.
#[derive(Debug)]
struct Broadcast {
    keys: BTreeMap<Box<[u8]>, ClientId>,
    any_writer: bool,
    /// The keys, encoded.
    body: Vec<u8>,
    clients: Vec<ClientId>,
    /// The first that has not been told.
    at: usize,
}

/// What has changed: keys as an encoded array, or everything.
#[derive(Clone, Copy)]
enum Body<'a> {
    Keys(&'a [u8]),
    All,
}

impl Trackers {
    pub(super) fn new(cores: u16, seeds: [u64; 4]) -> Trackers {
        Trackers {
            count: 0,
            prefixes: Prefixes::new(seeds),
            changed: Vec::new(),
            broadcasts: VecDeque::new(),
            outgoing: (0..cores).map(|_| Vec::new()).collect(),
            waits: false,
            cleared: vec![0; usize::from(cores)],
            told: 0,
            clearing_at: None,
            spare: Vec::new(),
            push: Push::default(),
            body: Vec::new(),
            homes: Vec::new(),
            cores: Vec::new(),
        }
    }

    // ---- clients of this core ----

    /// A client tracks, with these prefixes; `new`: it did not before.
    pub(super) fn begin(&mut self, client: ClientId, prefixes: &BTreeSet<Vec<u8>>, new: bool) {
        self.count += u64::from(new);
        for prefix in prefixes {
            let clients = &mut self.prefixes.entry(prefix, Tracked::default).clients;
            if !clients.contains(&client) {
                clients.push(client);
            }
        }
    }

    /// A client tracks no longer.
    pub(super) fn end(&mut self, client: ClientId, prefixes: &BTreeSet<Vec<u8>>) {
        self.count -= 1;
        for prefix in prefixes {
            let Some(tracked) = self.prefixes.get_mut(prefix) else { continue };
            tracked.clients.retain(|other| *other != client);
            if tracked.clients.is_empty() {
                self.prefixes.remove(prefix);
            }
        }
    }

    /// Sessions that track.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether something waits for the end of the turn.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Whether clients are still to be told in slices.
    pub(super) fn has_slices(&self) -> bool {
        self.clearing_at.is_some() || !self.broadcasts.is_empty()
    }

    fn outgoing(&mut self, peer: CoreId) -> &mut Vec<u8> {
        self.waits = true;
        &mut self.outgoing[usize::from(peer.0)]
    }

    // ---- from the shard ----

    /// Tells the clients of this core what has changed here, and gets ready what others are to be told.
    #[cold]
    pub(super) fn spread(&mut self, sessions: &mut Sessions, core: &mut Core) {
        let spare = std::mem::take(&mut self.spare);
        let mut stale = core.owner.take_stale(spare);
        for report in stale.drain(..) {
            match report {
                Stale::Key(key, clients) => self.spread_key(&key, &clients, sessions, &mut core.env),
                Stale::Prefixed { key, writer } => self.spread_prefixed(&key, writer, core),
                Stale::All => {
                    for peer in core.env.router.peers() {
                        Invalidation::Cleared.append_to(self.outgoing(peer));
                    }
                    self.on_cleared(core.env.router.core(), sessions, &mut core.env);
                }
            }
        }
        self.spare = stale;
    }

    fn spread_key(&mut self, key: &[u8], clients: &Clients, sessions: &mut Sessions, env: &mut Env) {
        let mut homes = std::mem::take(&mut self.homes);
        homes.extend(clients.iter().map(|client| (env.router.home_of(client), client)));
        homes.sort_unstable();
        for of_home in homes.chunk_by(|one, other| one.0 == other.0) {
            let clients = of_home.iter().map(|(_, client)| *client);
            match env.router.peer(of_home[0].0) {
                Some(peer) => Invalidation::write_key(self.outgoing(peer), key, clients),
                None => self.tell_key(key, clients, sessions, env),
            }
        }
        homes.clear();
        self.homes = homes;
    }

    fn spread_prefixed(&mut self, key: &[u8], writer: ClientId, core: &Core) {
        let mut cores = std::mem::take(&mut self.cores);
        core.owner.homes_of(key, &mut cores);
        for home in cores.iter().map(|home| CoreId(*home)) {
            match core.env.router.peer(home) {
                Some(peer) => Invalidation::Prefixed { key, writer }.append_to(self.outgoing(peer)),
                None => self.gather(key, writer),
            }
        }
        self.cores = cores;
    }

    /// A key has changed: those who track a prefix of it are told when the turn ends.
    fn gather(&mut self, key: &[u8], writer: ClientId) {
        let prefixes: Vec<Box<[u8]>> = self.prefixes.of(key).map(|(prefix, _)| Box::from(prefix)).collect();
        for prefix in prefixes {
            let Some(tracked) = self.prefixes.get_mut(&prefix) else { continue };
            if tracked.keys.is_empty() {
                self.changed.push(prefix);
            }
            // Two writers: each has to hear of the other's change.
            let by = tracked.keys.entry(key.into()).or_insert(writer);
            if *by != writer {
                *by = NO_CLIENT;
            }
        }
        self.waits = true;
    }

    /// The turn ends: what has gathered goes to this core's clients, and to the other cores.
    #[cold]
    pub(super) fn end_turn(&mut self, sessions: &mut Sessions, core: &mut Core) {
        for prefix in std::mem::take(&mut self.changed) {
            let Some(tracked) = self.prefixes.get_mut(&prefix) else { continue };
            let keys = std::mem::take(&mut tracked.keys);
            let clients = tracked.clients.clone();
            let any_writer = keys.values().any(|writer| *writer != NO_CLIENT);
            let mut body = Vec::new();
            write_keys(&mut body, keys.keys().map(|key| &key[..]));
            self.broadcasts.push_back(Broadcast { keys, any_writer, body, clients, at: 0 });
        }
        self.step_broadcasts(sessions, &mut core.env);
        self.waits = false;
        for peer in core.env.router.peers() {
            if self.outgoing[usize::from(peer.0)].is_empty() {
                continue;
            }
            // What it asked for and this core has run, but not answered, may hold older values.
            if core.owner.inbox.owes(peer) {
                self.waits = true;
                continue;
            }
            let empty = core.links.buffer();
            let bytes = std::mem::replace(&mut self.outgoing[usize::from(peer.0)], empty);
            core.links.send(peer, Payload::Invalidations(bytes));
        }
    }

    /// A slice of what goes to many clients.
    pub(super) fn step(&mut self, sessions: &mut Sessions, env: &mut Env) {
        self.step_broadcasts(sessions, env);
        self.step_clearing(sessions, env);
    }

    /// Tells some of the clients of a broadcast; those of one prefix in the order of its broadcasts.
    fn step_broadcasts(&mut self, sessions: &mut Sessions, env: &mut Env) {
        let mut left = SESSIONS_STEP;
        while left > 0
            && let Some(mut broadcast) = self.broadcasts.pop_front()
        {
            let end = broadcast.clients.len().min(broadcast.at + left);
            left -= end - broadcast.at;
            self.push.clear();
            let mut writers = Vec::new();
            for client in &broadcast.clients[broadcast.at..end] {
                if broadcast.any_writer && broadcast.keys.values().any(|writer| writer == client) {
                    writers.push(*client);
                } else {
                    self.tell_on(*client, Body::Keys(&broadcast.body), sessions, env);
                }
            }
            for client in writers {
                let others = broadcast.keys.iter().filter(|(_, writer)| **writer != client).map(|(key, _)| &key[..]);
                if others.clone().next().is_some() {
                    let mut body = Vec::new();
                    write_keys(&mut body, others);
                    self.tell(client, Body::Keys(&body), sessions, env);
                }
            }
            broadcast.at = end;
            if end < broadcast.clients.len() {
                self.broadcasts.push_front(broadcast);
            }
        }
    }

    // ---- from other cores ----

    /// Another core tells what has changed there.
    pub(super) fn on_message(&mut self, from: CoreId, bytes: Vec<u8>, sessions: &mut Sessions, core: &mut Core) {
        let env = &mut core.env;
        let mut rest = &bytes[..];
        while let Some(invalidation) = Invalidation::read(&mut rest) {
            match invalidation {
                Invalidation::Key { key, clients } => self.tell_key(key, clients_of(clients), sessions, env),
                Invalidation::Prefixed { key, writer } => self.gather(key, writer),
                Invalidation::Cleared => self.on_cleared(from, sessions, env),
                Invalidation::Redirected { tracker, target, body } => {
                    let body = if body.is_empty() { Body::All } else { Body::Keys(body) };
                    self.push.clear();
                    self.tell_target(target, tracker, body, sessions, env);
                }
                Invalidation::Broken { tracker, target } => self.on_broken(tracker, target, sessions, env),
            }
        }
        core.links.give_back(bytes);
    }

    /// A core has cleared its shard. Once all have, every client that tracks here is told.
    fn on_cleared(&mut self, core: CoreId, sessions: &mut Sessions, env: &mut Env) {
        self.cleared[usize::from(core.0)] += 1;
        let everywhere = self.cleared.iter().copied().min().unwrap_or(0);
        if everywhere != self.told {
            self.told = everywhere;
            if self.count > 0 {
                // From the beginning, also if those who were to be told of an earlier time have not been yet.
                self.clearing_at = Some(0);
                self.step_clearing(sessions, env);
            }
        }
    }

    fn step_clearing(&mut self, sessions: &mut Sessions, env: &mut Env) {
        let Some(begin) = self.clearing_at else { return };
        let end = sessions.places().min(begin + SESSIONS_STEP);
        self.clearing_at = (end < sessions.places()).then_some(end);
        for id in (begin..end).filter_map(|place| sessions.at(place)).collect::<Vec<_>>() {
            if let Some(session) = sessions.get(id)
                && session.client.tracking.is_some()
            {
                self.tell(session.client.id, Body::All, sessions, env);
            }
        }
    }

    // ---- redirection ----

    /// A client that redirects is to learn that the other has gone.
    fn break_redirect(&mut self, tracker: ClientId, target: ClientId, sessions: &mut Sessions, env: &mut Env) {
        match env.router.peer(env.router.home_of(tracker)) {
            None => self.on_broken(tracker, target, sessions, env),
            Some(peer) => Invalidation::Broken { tracker, target }.append_to(self.outgoing(peer)),
        }
    }

    /// The client that was to be told for another has gone: that one learns that it hears of nothing any more.
    fn on_broken(&mut self, tracker: ClientId, target: ClientId, sessions: &mut Sessions, env: &mut Env) {
        let Some(id) = sessions.of_client(tracker) else { return };
        let Some(session) = sessions.get_mut(id) else { return };
        let Some(tracking) = session.client.tracking.as_mut().filter(|tracking| tracking.redirect == target) else {
            return;
        };
        tracking.broken = true;
        if session.client.proto == Proto::Resp3 {
            self.push.clear();
            sessions.push_last(
                id,
                &mut self.push,
                |writer| {
                    writer.push(2);
                    writer.bulk(b"tracking-redir-broken");
                    writer.integer(target.cast_signed());
                },
                env,
            );
            self.push.clear();
        }
    }

    // ---- telling ----

    fn tell_key(
        &mut self,
        key: &[u8],
        clients: impl Iterator<Item = ClientId>,
        sessions: &mut Sessions,
        env: &mut Env,
    ) {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        write_keys(&mut body, std::iter::once(key));
        self.push.clear();
        for client in clients {
            let session = sessions.of_client(client).and_then(|id| sessions.get(id));
            let scope = session.and_then(|session| session.client.tracking.as_ref().map(|tracking| tracking.scope));
            // It may have switched to prefixes meanwhile.
            if scope.is_some_and(|scope| scope != Scope::Broadcast) {
                self.tell_on(client, Body::Keys(&body), sessions, env);
            }
        }
        self.body = body;
    }

    /// Tells one client that tracks.
    fn tell(&mut self, client: ClientId, body: Body<'_>, sessions: &mut Sessions, env: &mut Env) {
        self.push.clear();
        self.tell_on(client, body, sessions, env);
    }

    /// As `tell`, with the same body as the client before.
    fn tell_on(&mut self, client: ClientId, body: Body<'_>, sessions: &mut Sessions, env: &mut Env) {
        let Some(id) = sessions.of_client(client) else { return };
        let Some(session) = sessions.get(id) else { return };
        let Some(tracking) = &session.client.tracking else { return };
        match tracking.redirect {
            // RESP2 has nothing to say it with.
            0 if session.client.proto == Proto::Resp2 => {}
            0 => sessions.push_last(id, &mut self.push, |writer| write_invalidation(writer, body), env),
            target => match env.router.peer(env.router.home_of(target)) {
                None => self.tell_target(target, client, body, sessions, env),
                Some(peer) => {
                    let body = if let Body::Keys(keys) = body { keys } else { &[] };
                    Invalidation::Redirected { tracker: client, target, body }.append_to(self.outgoing(peer));
                }
            },
        }
    }

    /// Tells the client that another has redirected to.
    fn tell_target(
        &mut self,
        target: ClientId,
        tracker: ClientId,
        body: Body<'_>,
        sessions: &mut Sessions,
        env: &mut Env,
    ) {
        let Some(id) = sessions.of_client(target) else {
            return self.break_redirect(tracker, target, sessions, env);
        };
        let mute = sessions
            .get(id)
            .is_none_or(|session| session.client.proto == Proto::Resp2 && !session.client.subscriptions.any());
        if !mute {
            sessions.push_last(id, &mut self.push, |writer| write_invalidation(writer, body), env);
        }
    }
}

/// What a client is told. RESP3: a push. RESP2: a message on a channel of Redis's.
fn write_invalidation(writer: &mut Writer<'_>, body: Body<'_>) {
    if writer.proto() == Proto::Resp3 {
        writer.push(2);
        writer.bulk(b"invalidate");
    } else {
        writer.array(3);
        writer.bulk(b"message");
        writer.bulk(CHANNEL);
    }
    match body {
        Body::Keys(keys) => writer.raw(keys),
        Body::All => writer.null(),
    }
}

/// Keys as an array, which both versions of the protocol write alike.
fn write_keys<'a>(out: &mut Vec<u8>, keys: impl Iterator<Item = &'a [u8]> + Clone) {
    let mut writer = Writer::new(out, Proto::Resp3);
    writer.array(keys.clone().count());
    keys.for_each(|key| writer.bulk(key));
}
