//! Stale: from keys that have changed to the clients that may hold them. Core: the shard's collects, the home of each
//! client tells it.
//!
//! ```text
//! shard ─▶ spread ─▶ home of the client that tracks ─▶ its output, or the home of the client it redirects to
//! ```
//! What goes to other cores gathers in a buffer for each, and leaves when the turn ends, behind the replies of everything
//! that ran before: a batch that is half run keeps it back. At home it goes behind all replies that the session waits
//! for. So a client that is told that a key is stale has the reply with the older value, if it asked for it, and no
//! reply with an older value comes later. A client may be told too often, never too seldom: what is on its way when it
//! stops tracking is dropped at its home, and an id is never used again. When a client goes that others redirect to, they
//! are told at once, since what it was sent last may never have reached it.
//!
//! FLUSHALL: each core says when it has cleared its shard; a home tells its clients once all cores have.
//! Changes of keys with a prefix that is listened for (BCAST) gather at each home until the turn ends, as in Redis: one
//! push a prefix, with all keys. Cost: nothing while nobody tracks but a comparison a command and a turn.

use std::collections::BTreeMap;

use crate::command::tracking::Scope;
use crate::engine::batch::Payload;
use crate::engine::push::Push;
use crate::engine::route::CoreId;
use crate::engine::session::Session;
use crate::engine::sessions::Sessions;
use crate::engine::{Engine, SessionId};
use crate::resp::{Proto, Writer};
use crate::shard::{ClientId, Clients, NO_CLIENT, Prefixes, Stale};

/// The channel on which RESP2 clients that others redirect to are told, as Redis names it.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// What one core knows of its sessions that track, and what it has to tell.
pub(super) struct Trackers {
    /// Sessions of this core that track.
    pub(super) count: u64,
    listeners: Prefixes<Listeners>,
    /// Clients of this core that others redirect to, and who does. Filled by CLIENT TRACKING, emptied when either ends;
    /// bounded by how many clients there are.
    redirected: BTreeMap<ClientId, Vec<ClientId>>,
    /// Prefixes for which keys have gathered. Filled by changes, drained when the turn ends.
    changed: Vec<Box<[u8]>>,
    /// What leaves for each core when the turn ends. Filled by changes, drained into the mesh; bounded by what one turn
    /// and one half-run batch change.
    outgoing: Vec<Vec<u8>>,
    /// Something waits in `changed` or `outgoing`.
    waits: bool,
    /// How often each core has cleared its shard, and of how many of those this core's clients were told.
    cleared: Vec<u64>,
    told: u64,
    spare: Vec<Stale>,
    /// The push in the making, and the keys in it, encoded.
    push: Push,
    body: Vec<u8>,
    /// Homes of the clients of one key, and the clients.
    homes: Vec<(CoreId, ClientId)>,
    cores: Vec<u16>,
}

/// Who listens for one prefix, and what has changed since they were told.
#[derive(Debug, Default)]
struct Listeners {
    clients: Vec<ClientId>,
    /// By key its writer, if that is one that does not want to hear of its own changes.
    keys: BTreeMap<Box<[u8]>, ClientId>,
}

/// What is stale: keys as an encoded array, or everything.
#[derive(Clone, Copy)]
enum Body<'a> {
    Keys(&'a [u8]),
    All,
}

/// The session that is taken out while its command is under way, if there is one.
type Current<'a> = Option<&'a mut Session>;

impl Trackers {
    pub(super) fn new(cores: u16, seeds: [u64; 4]) -> Trackers {
        Trackers {
            count: 0,
            listeners: Prefixes::new(seeds),
            redirected: BTreeMap::new(),
            changed: Vec::new(),
            outgoing: (0..cores).map(|_| Vec::new()).collect(),
            waits: false,
            cleared: vec![0; usize::from(cores)],
            told: 0,
            spare: Vec::new(),
            push: Push::default(),
            body: Vec::new(),
            homes: Vec::new(),
            cores: Vec::new(),
        }
    }

    /// A client of this core is told of keys with a prefix.
    pub(super) fn listen(&mut self, prefix: &[u8], client: ClientId) {
        let clients = &mut self.listeners.entry(prefix, Listeners::default).clients;
        if !clients.contains(&client) {
            clients.push(client);
        }
    }

    /// It is told no more.
    pub(super) fn unlisten(&mut self, prefix: &[u8], client: ClientId) {
        let Some(listeners) = self.listeners.get_mut(prefix) else { return };
        listeners.clients.retain(|other| *other != client);
        if listeners.clients.is_empty() {
            self.listeners.remove(prefix);
        }
    }

    /// A client is told in place of another.
    fn attach(&mut self, tracker: ClientId, target: ClientId) {
        let trackers = self.redirected.entry(target).or_default();
        if !trackers.contains(&tracker) {
            trackers.push(tracker);
        }
    }

    /// It is no more.
    fn detach(&mut self, tracker: ClientId, target: ClientId) {
        let Some(trackers) = self.redirected.get_mut(&target) else { return };
        trackers.retain(|other| *other != tracker);
        if trackers.is_empty() {
            self.redirected.remove(&target);
        }
    }

    /// Clients that others redirect to.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn redirected(&self) -> usize {
        self.redirected.len()
    }

    /// A key has changed: whoever listens for a prefix of it is told when the turn ends.
    fn gather(&mut self, key: &[u8], writer: ClientId) {
        let prefixes: Vec<&[u8]> = self.listeners.of(key).map(|(prefix, _)| prefix).collect();
        for prefix in prefixes.into_iter().map(Box::<[u8]>::from).collect::<Vec<_>>() {
            let Some(listeners) = self.listeners.get_mut(&prefix) else { continue };
            if listeners.keys.is_empty() {
                self.changed.push(prefix);
            }
            // Two writers: each has to hear of the other's change.
            let by = listeners.keys.entry(key.into()).or_insert(writer);
            if *by != writer {
                *by = NO_CLIENT;
            }
        }
        self.waits = true;
    }

    fn outgoing(&mut self, peer: CoreId) -> &mut Vec<u8> {
        self.waits = true;
        &mut self.outgoing[usize::from(peer.0)]
    }

    /// Whether something waits for the end of the turn.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        self.waits
    }
}

impl Engine {
    /// Tells the clients of this core what has gone stale here, and gets ready what others are to be told.
    /// `current`: the session that is taken out, if one is.
    #[cold]
    pub(super) fn spread_stale(&mut self, mut current: Current<'_>) {
        let spare = std::mem::take(&mut self.trackers.spare);
        let mut stale = self.shard.take_stale(spare);
        for report in stale.drain(..) {
            match report {
                Stale::Key(key, clients) => self.spread_key(&key, &clients, &mut current),
                Stale::Prefixed { key, writer } => self.spread_prefixed(&key, writer),
                Stale::All => {
                    for core in (0..self.router.cores()).map(CoreId) {
                        match self.router.peer(core) {
                            Some(peer) => Frame::Cleared.append_to(self.trackers.outgoing(peer)),
                            None => self.on_cleared(core, &mut current),
                        }
                    }
                }
            }
        }
        self.trackers.spare = stale;
    }

    fn spread_key(&mut self, key: &[u8], clients: &Clients, current: &mut Current<'_>) {
        let mut homes = std::mem::take(&mut self.trackers.homes);
        homes.extend(clients.iter().map(|client| (self.router.home_of(client), client)));
        homes.sort_unstable();
        for of_home in homes.chunk_by(|one, other| one.0 == other.0) {
            if let Some(peer) = self.router.peer(of_home[0].0) {
                Frame::write_key(self.trackers.outgoing(peer), key, of_home.iter().map(|(_, client)| *client));
            } else {
                self.tell_key(key, of_home.iter().map(|(_, client)| *client), current);
            }
        }
        homes.clear();
        self.trackers.homes = homes;
    }

    fn spread_prefixed(&mut self, key: &[u8], writer: ClientId) {
        let mut cores = std::mem::take(&mut self.trackers.cores);
        self.shard.homes_of(key, &mut cores);
        for core in cores.iter().map(|core| CoreId(*core)) {
            match self.router.peer(core) {
                Some(peer) => Frame::Prefixed { key, writer }.append_to(self.trackers.outgoing(peer)),
                None => self.trackers.gather(key, writer),
            }
        }
        self.trackers.cores = cores;
    }

    /// The turn ends: what has gathered goes to this core's clients, and to the other cores.
    #[cold]
    pub(super) fn end_stale(&mut self) {
        if self.shard.has_stale() {
            self.spread_stale(None);
        }
        for prefix in std::mem::take(&mut self.trackers.changed) {
            self.tell_prefix(&prefix);
        }
        self.trackers.waits = false;
        for core in (0..self.router.cores()).map(CoreId) {
            let Some(peer) = self.router.peer(core) else { continue };
            if self.trackers.outgoing[usize::from(core.0)].is_empty() {
                continue;
            }
            // What it asked for and this core has run, but not answered, may hold older values.
            let owes = self.inbox.front().is_some_and(|batch| batch.from == core && batch.run > 0);
            if owes {
                self.trackers.waits = true;
                continue;
            }
            let empty = self.mesh.buffer();
            let bytes = std::mem::replace(&mut self.trackers.outgoing[usize::from(core.0)], empty);
            self.mesh.send(peer, Payload::Stale(bytes));
        }
    }

    /// Another core tells what has gone stale there.
    pub(super) fn on_stale(&mut self, from: CoreId, bytes: Vec<u8>) {
        let mut rest = &bytes[..];
        while let Some(frame) = Frame::read(&mut rest) {
            match frame {
                Frame::Key { key, clients } => self.tell_key(key, clients_of(clients), &mut None),
                Frame::Prefixed { key, writer } => self.trackers.gather(key, writer),
                Frame::Cleared => self.on_cleared(from, &mut None),
                Frame::Redirected { tracker, target, body } => {
                    let body = if body.is_empty() { Body::All } else { Body::Keys(body) };
                    self.trackers.push.clear();
                    self.tell_target(target, tracker, body, &mut None);
                }
                Frame::Broken { tracker, target } => self.on_broken(tracker, target, &mut None),
                Frame::Attach { tracker, target } => self.on_attach(tracker, target, &mut None),
                Frame::Detach { tracker, target } => self.trackers.detach(tracker, target),
            }
        }
        self.mesh.give_back(bytes);
    }

    /// A session redirects to a client, which may have gone since it was asked for.
    pub(super) fn attach(&mut self, session: &mut Session, target: ClientId) {
        let tracker = session.client.id;
        match self.router.peer(self.router.home_of(target)) {
            None => self.on_attach(tracker, target, &mut Some(session)),
            Some(peer) => Frame::Attach { tracker, target }.append_to(self.trackers.outgoing(peer)),
        }
    }

    /// It redirects to it no more.
    pub(super) fn detach(&mut self, tracker: ClientId, target: ClientId) {
        match self.router.peer(self.router.home_of(target)) {
            None => self.trackers.detach(tracker, target),
            Some(peer) => Frame::Detach { tracker, target }.append_to(self.trackers.outgoing(peer)),
        }
    }

    fn on_attach(&mut self, tracker: ClientId, target: ClientId, current: &mut Current<'_>) {
        self.trackers.attach(tracker, target);
        if find(&mut self.sessions, current, target).is_none() {
            self.tell_broken(target, current);
        }
    }

    /// A client has gone: what it was sent in place of others may be lost, so these are told at once.
    #[inline]
    pub(super) fn end_redirects(&mut self, target: ClientId) {
        if !self.trackers.redirected.is_empty() {
            self.tell_broken(target, &mut None);
        }
    }

    #[cold]
    fn tell_broken(&mut self, target: ClientId, current: &mut Current<'_>) {
        for tracker in self.trackers.redirected.remove(&target).unwrap_or_default() {
            self.break_redirect(tracker, target, current);
        }
    }

    /// A client that redirects is to learn that the other has gone.
    fn break_redirect(&mut self, tracker: ClientId, target: ClientId, current: &mut Current<'_>) {
        match self.router.peer(self.router.home_of(tracker)) {
            None => self.on_broken(tracker, target, current),
            Some(peer) => Frame::Broken { tracker, target }.append_to(self.trackers.outgoing(peer)),
        }
    }

    /// A core has cleared its shard. Once all have, every client that tracks here is told.
    fn on_cleared(&mut self, core: CoreId, current: &mut Current<'_>) {
        self.trackers.cleared[usize::from(core.0)] += 1;
        let everywhere = self.trackers.cleared.iter().copied().min().unwrap_or(0);
        if everywhere == self.trackers.told {
            return;
        }
        self.trackers.told = everywhere;
        if self.trackers.count == 0 {
            return;
        }
        let tracks = |session: &Session| session.client.tracking.is_some().then_some(session.client.id);
        let mut clients: Vec<ClientId> = current.as_deref().and_then(tracks).into_iter().collect();
        clients.extend(self.sessions.ids().into_iter().filter_map(|id| self.sessions.get(id).and_then(tracks)));
        for client in clients {
            self.tell(client, Body::All, current);
        }
    }

    fn tell_key(&mut self, key: &[u8], clients: impl Iterator<Item = ClientId>, current: &mut Current<'_>) {
        let mut body = std::mem::take(&mut self.trackers.body);
        body.clear();
        write_keys(&mut body, std::iter::once(key));
        self.trackers.push.clear();
        for client in clients {
            let scope = find(&mut self.sessions, current, client)
                .and_then(|session| session.client.tracking.as_ref().map(|tracking| tracking.scope));
            // It may have switched to prefixes meanwhile.
            if scope.is_some_and(|scope| scope != Scope::Broadcast) {
                self.tell_on(client, Body::Keys(&body), current);
            }
        }
        self.trackers.body = body;
    }

    /// Tells those who listen for a prefix what has changed since they were told.
    fn tell_prefix(&mut self, prefix: &[u8]) {
        let Some(listeners) = self.trackers.listeners.get_mut(prefix) else { return };
        let keys = std::mem::take(&mut listeners.keys);
        let clients = listeners.clients.clone();
        let any_writer = keys.values().any(|writer| *writer != NO_CLIENT);
        let mut body = std::mem::take(&mut self.trackers.body);
        body.clear();
        write_keys(&mut body, keys.keys().map(|key| &key[..]));
        self.trackers.push.clear();
        let mut writers = Vec::new();
        for client in clients {
            if any_writer && keys.values().any(|writer| *writer == client) {
                writers.push(client);
            } else {
                self.tell_on(client, Body::Keys(&body), &mut None);
            }
        }
        for client in writers {
            let others = keys.iter().filter(|(_, writer)| **writer != client).map(|(key, _)| &key[..]);
            if others.clone().next().is_some() {
                body.clear();
                write_keys(&mut body, others);
                self.tell(client, Body::Keys(&body), &mut None);
            }
        }
        self.trackers.body = body;
    }

    /// Tells one client that tracks.
    fn tell(&mut self, client: ClientId, body: Body<'_>, current: &mut Current<'_>) {
        self.trackers.push.clear();
        self.tell_on(client, body, current);
    }

    /// As `tell`, with the same body as the client before.
    fn tell_on(&mut self, client: ClientId, body: Body<'_>, current: &mut Current<'_>) {
        let Some(session) = find(&mut self.sessions, current, client) else { return };
        let Some(tracking) = &session.client.tracking else { return };
        match tracking.redirect {
            // RESP2 has nothing to say it with.
            0 if session.client.proto == Proto::Resp2 => {}
            0 => self.say(client, current, |writer| write_stale(writer, body)),
            target => match self.router.peer(self.router.home_of(target)) {
                None => self.tell_target(target, client, body, current),
                Some(peer) => {
                    let body = if let Body::Keys(keys) = body { keys } else { &[] };
                    Frame::Redirected { tracker: client, target, body }.append_to(self.trackers.outgoing(peer));
                }
            },
        }
    }

    /// Tells the client that another has redirected to.
    fn tell_target(&mut self, target: ClientId, tracker: ClientId, body: Body<'_>, current: &mut Current<'_>) {
        match find(&mut self.sessions, current, target).map(|session| &session.client) {
            Some(client) if client.proto == Proto::Resp2 && !client.subscriptions.any() => {}
            Some(_) => self.say(target, current, |writer| write_stale(writer, body)),
            None => self.break_redirect(tracker, target, current),
        }
    }

    /// The client that was to be told for another has gone: that one learns that it hears of nothing any more.
    fn on_broken(&mut self, tracker: ClientId, target: ClientId, current: &mut Current<'_>) {
        let Some(session) = find(&mut self.sessions, current, tracker) else { return };
        let Some(tracking) = session.client.tracking.as_mut().filter(|tracking| tracking.redirect == target) else {
            return;
        };
        tracking.broken = true;
        if session.client.proto == Proto::Resp3 {
            self.trackers.push.clear();
            self.say(tracker, current, |writer| {
                writer.push(2);
                writer.bulk(b"tracking-redir-broken");
                writer.integer(target.cast_signed());
            });
            self.trackers.push.clear();
        }
    }

    /// Puts a push behind all replies of a client of this core, those included that it waits for.
    fn say(&mut self, client: ClientId, current: &mut Current<'_>, write: impl Fn(&mut Writer<'_>)) {
        let mut push = std::mem::take(&mut self.trackers.push);
        match current {
            Some(session) if session.client.id == client => push.put_last(session, write),
            _ => {
                if let Some(id) = self.sessions.of_client(client) {
                    self.push_last(id, &mut push, write);
                }
            }
        }
        self.trackers.push = push;
    }
}

/// A session of this core by its client's id.
fn find<'a>(sessions: &'a mut Sessions, current: &'a mut Current<'_>, client: ClientId) -> Option<&'a mut Session> {
    match current {
        Some(session) if session.client.id == client => Some(session),
        _ => {
            let id: SessionId = sessions.of_client(client)?;
            sessions.get_mut(id).filter(|session| !session.gone)
        }
    }
}

/// What a client is told. RESP3: a push. RESP2: a message on a channel of Redis's.
fn write_stale(writer: &mut Writer<'_>, body: Body<'_>) {
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

/// What one core tells another of stale keys. In bytes: the kind, its numbers in 8 bytes each, then a length in 8 bytes
/// and so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame<'a> {
    /// A key, and the clients that may hold it, 8 bytes each.
    Key {
        key: &'a [u8],
        clients: &'a [u8],
    },
    /// A key that has a prefix for which the core's clients listen.
    Prefixed {
        key: &'a [u8],
        writer: ClientId,
    },
    /// The sender has cleared its shard.
    Cleared,
    /// Stale keys as an encoded array, or all if it is empty, of a client that has redirected to one of this core.
    Redirected {
        tracker: ClientId,
        target: ClientId,
        body: &'a [u8],
    },
    /// There is no such client to redirect to.
    Broken {
        tracker: ClientId,
        target: ClientId,
    },
    /// A client redirects to one of this core, and does so no more.
    Attach {
        tracker: ClientId,
        target: ClientId,
    },
    Detach {
        tracker: ClientId,
        target: ClientId,
    },
}

impl<'a> Frame<'a> {
    fn write_key(out: &mut Vec<u8>, key: &[u8], clients: impl ExactSizeIterator<Item = ClientId>) {
        out.push(0);
        out.extend_from_slice(&(clients.len() as u64).to_le_bytes());
        clients.for_each(|client| out.extend_from_slice(&client.to_le_bytes()));
        write_bytes(out, key);
    }

    fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Frame::Key { key, clients } => Frame::write_key(out, key, clients_of(clients)),
            Frame::Prefixed { key, writer } => {
                out.push(1);
                out.extend_from_slice(&writer.to_le_bytes());
                write_bytes(out, key);
            }
            Frame::Cleared => out.push(2),
            Frame::Redirected { tracker, target, body } => {
                out.push(3);
                out.extend_from_slice(&tracker.to_le_bytes());
                out.extend_from_slice(&target.to_le_bytes());
                write_bytes(out, body);
            }
            Frame::Broken { tracker, target } => Frame::write_pair(out, 4, tracker, target),
            Frame::Attach { tracker, target } => Frame::write_pair(out, 5, tracker, target),
            Frame::Detach { tracker, target } => Frame::write_pair(out, 6, tracker, target),
        }
    }

    fn write_pair(out: &mut Vec<u8>, kind: u8, tracker: ClientId, target: ClientId) {
        out.push(kind);
        out.extend_from_slice(&tracker.to_le_bytes());
        out.extend_from_slice(&target.to_le_bytes());
    }

    fn read(rest: &mut &'a [u8]) -> Option<Frame<'a>> {
        let (kind, after) = rest.split_first()?;
        *rest = after;
        Some(match kind {
            0 => {
                let clients = read_number(rest)? as usize * 8;
                let (clients, after) = rest.split_at_checked(clients)?;
                *rest = after;
                Frame::Key { clients, key: read_bytes(rest)? }
            }
            1 => Frame::Prefixed { writer: read_number(rest)?, key: read_bytes(rest)? },
            2 => Frame::Cleared,
            3 => Frame::Redirected { tracker: read_number(rest)?, target: read_number(rest)?, body: read_bytes(rest)? },
            4 => Frame::Broken { tracker: read_number(rest)?, target: read_number(rest)? },
            5 => Frame::Attach { tracker: read_number(rest)?, target: read_number(rest)? },
            6 => Frame::Detach { tracker: read_number(rest)?, target: read_number(rest)? },
            kind => unreachable!("no frame of kind {kind}"),
        })
    }
}

fn clients_of(bytes: &[u8]) -> impl ExactSizeIterator<Item = ClientId> {
    bytes.chunks_exact(8).map(|client| client.try_into().map_or(NO_CLIENT, u64::from_le_bytes))
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = read_number(rest)? as usize;
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            frames in vec((0u8..7, any::<u64>(), any::<u64>(), vec(any::<u8>(), 0..40), vec(any::<u64>(), 1..5)), 0..8),
        ) {
            let clients: Vec<Vec<u8>> =
                frames.iter().map(|frame| frame.4.iter().flat_map(|client| client.to_le_bytes()).collect()).collect();
            let frames: Vec<Frame<'_>> = frames
                .iter()
                .zip(&clients)
                .map(|((kind, tracker, target, key, _), clients)| match kind {
                    0 => Frame::Key { key, clients },
                    1 => Frame::Prefixed { key, writer: *tracker },
                    2 => Frame::Cleared,
                    3 => Frame::Redirected { tracker: *tracker, target: *target, body: key },
                    4 => Frame::Broken { tracker: *tracker, target: *target },
                    5 => Frame::Attach { tracker: *tracker, target: *target },
                    _ => Frame::Detach { tracker: *tracker, target: *target },
                })
                .collect();
            let mut bytes = Vec::new();
            frames.iter().for_each(|frame| frame.append_to(&mut bytes));
            let mut rest = &bytes[..];
            for frame in frames {
                prop_assert_eq!(Frame::read(&mut rest), Some(frame));
            }
            prop_assert!(rest.is_empty() && Frame::read(&mut rest).is_none());
        }
    }
}
