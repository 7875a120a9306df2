//! Connections: what each connection of a core has under way in the ring, and what it is to ask of the ring next. Pure.
//!
//! ```text
//! receive:  no ─▶ armed ─▶ no                  when it ends by itself: no buffer was left, or the client sends no more
//!                   └────▶ cancelled ─▶ no     when the session may not be read
//!                   └────▶ cancelled ─▶ no     ... or is straight: it lacks much of an argument, or did lately
//! input:    no ─▶ armed ─▶ no                  while straight: says when there is something to read into the session
//! end:      the other way round: armed while the session may not be read, or its client could vanish unnoticed
//! send:     idle ─▶ under way ─▶ idle          all was sent; else: room is awaited, and nothing sent until there is some
//! room:     no ─▶ armed ─▶ spent ─▶ cancelled ─▶ no     asked for afresh each time, so that no change is missed
//! ```
//! End and room are polls that go on (multishot). One that does not would be over at once, again and again, once the client
//! sends no more: the kernel tells of that whether it is asked to or not.
//! A connection that has ended keeps its index until nothing of it is under way, so that no late completion finds its
//! successor; its generation is in every request as well.
//! Owner: the transport. Never: touches a descriptor, calls the engine.

use crate::engine::SessionId;

/// Names a connection, and its socket in the ring's table of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) index: u32,
    /// How often the index was used before, in the bits that a request has for it.
    pub(super) generation: u32,
}

/// Bits of a generation.
pub(super) const GENERATION_BITS: u32 = 24;

/// What the ring is asked to do for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Receive, again and again, into the ring's buffers.
    Receive(Key),
    /// Stop that.
    CancelReceive(Key),
    /// Say when there is something to receive.
    AwaitInput(Key),
    /// Stop that.
    CancelInput(Key),
    /// Say when the socket has room for bytes to send.
    AwaitRoom(Key),
    /// Stop that.
    CancelRoom(Key),
    /// Say when the client is gone.
    AwaitEnd(Key),
    /// Stop that.
    CancelEnd(Key),
}

/// How a send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All bytes were sent.
    All,
    /// So many bytes were sent; the rest follows when there is room.
    Part(usize),
    /// The client is gone.
    Gone,
}

/// A request that goes on until it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The ring does not have it.
    No,
    Armed,
    /// Has said what it was made for, and goes on.
    Spent,
    Cancelled,
}

/// What to do about a request.
enum Step {
    Ask,
    Cancel,
}

impl Asked {
    /// The next step to where the ring has the request if it is wanted, and not if not.
    #[inline]
    fn step(&mut self, wanted: bool) -> Option<Step> {
        match (*self, wanted) {
            (Asked::No, true) => {
                *self = Asked::Armed;
                Some(Step::Ask)
            }
            (Asked::Armed, false) | (Asked::Spent, _) => {
                *self = Asked::Cancelled;
                Some(Step::Cancel)
            }
            _ => None,
        }
    }

    /// The ring has said something; `spent`: what the request was made for; `more`: it goes on.
    fn on_completion(&mut self, spent: bool, more: bool) {
        *self = match *self {
            _ if !more => Asked::No,
            Asked::Armed if spent => Asked::Spent,
            same => same,
        };
    }
}

#[derive(Debug)]
struct Connection<S> {
    id: SessionId,
    /// `None` once the connection has ended.
    socket: Option<S>,
    /// Whether the session may be read.
    wanted: bool,
    /// Whether its bytes are read straight into the session, past the ring's buffers.
    straight: bool,
    receive: Asked,
    input: Asked,
    /// Receives that are complete, and wait to be handled.
    received: u32,
    /// Whether a send is under way.
    sending: bool,
    /// What the ring said of that send; nothing if all was sent.
    failure: Option<i32>,
    /// Whether the send buffer is full, as far as is known.
    full: bool,
    room: Asked,
    end: Asked,
    /// The turn in which bytes of the client were last handled.
    served: u32,
    /// Whether it is in `changed`.
    listed: bool,
}

#[derive(Debug)]
struct Cell<S> {
    generation: u32,
    connection: Option<Connection<S>>,
}

/// The connections of one core, by index.
#[derive(Debug)]
pub(super) struct Connections<S> {
    cells: Vec<Cell<S>>,
    free: Vec<u32>,
    /// The connections that are open, by the index of their session.
    keys: Vec<Option<Key>>,
    /// Connections that may have something to ask of the ring, or to be forgotten. Filled by events, drained by
    /// `next_request`; each is in it once.
    changed: Vec<u32>,
}

impl<S> Default for Connections<S> {
    fn default() -> Self {
        Connections { cells: Vec::new(), free: Vec::new(), keys: Vec::new(), changed: Vec::new() }
    }
}

impl<S> Connections<S> {
    /// The index that the next connection will have.
    pub(super) fn next_index(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.cells.len() as u32)
    }

    /// A client has connected.
    pub(super) fn open(&mut self, socket: S, id: SessionId) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.cells.push(Cell { generation: 0, connection: None });
            (self.cells.len() - 1) as u32
        });
        let cell = &mut self.cells[index as usize];
        debug_assert!(cell.connection.is_none(), "an index is free once nothing is under way");
        let key = Key { index, generation: cell.generation };
        cell.connection = Some(Connection {
            id,
            socket: Some(socket),
            wanted: true,
            straight: false,
            receive: Asked::No,
            input: Asked::No,
            received: 0,
            sending: false,
            failure: None,
            full: false,
            room: Asked::No,
            end: Asked::No,
            served: 0,
            listed: false,
        });
        if self.keys.len() <= id.index as usize {
            self.keys.resize(id.index as usize + 1, None);
        }
        debug_assert!(self.keys[id.index as usize].is_none(), "a session and its connection come and go together");
        self.keys[id.index as usize] = Some(key);
        self.list(key);
        key
    }

    /// The open connection of a session.
    #[inline]
    pub(super) fn of(&self, id: SessionId) -> Option<Key> {
        let key = (*self.keys.get(id.index as usize)?)?;
        (self.get(key)?.id == id).then_some(key)
    }

    /// The session and the socket of a connection that has not ended.
    #[inline]
    pub(super) fn session(&self, key: Key) -> Option<(SessionId, &S)> {
        let connection = self.get(key)?;
        Some((connection.id, connection.socket.as_ref()?))
    }

    #[inline]
    fn get(&self, key: Key) -> Option<&Connection<S>> {
        let cell = self.cells.get(key.index as usize)?;
        if cell.generation == key.generation { cell.connection.as_ref() } else { None }
    }

    #[inline]
    fn get_mut(&mut self, key: Key) -> Option<&mut Connection<S>> {
        let cell = self.cells.get_mut(key.index as usize)?;
        if cell.generation == key.generation { cell.connection.as_mut() } else { None }
    }

    #[inline]
    fn list(&mut self, key: Key) {
        if let Some(connection) = self.get_mut(key)
            && !std::mem::replace(&mut connection.listed, true)
        {
            self.changed.push(key.index);
        }
    }

    // ---- receiving ----

    /// Whether the session of a connection may be read.
    #[inline]
    pub(super) fn want(&mut self, key: Key, wanted: bool) {
        if let Some(connection) = self.get_mut(key)
            && connection.wanted != wanted
        {
            connection.wanted = wanted;
            self.list(key);
        }
    }

    /// Whether the bytes of a connection are to be read straight into its session.
    #[inline]
    pub(super) fn set_straight(&mut self, key: Key, straight: bool) {
        if let Some(connection) = self.get_mut(key)
            && connection.straight != straight
        {
            connection.straight = straight;
            self.list(key);
        }
    }

    /// The ring says that there is something to receive. Returns whether it is to be read.
    pub(super) fn on_input(&mut self, key: Key, result: i32) -> bool {
        let Some(connection) = self.get_mut(key) else { return false };
        connection.input.on_completion(false, false);
        let read =
            connection.socket.is_some() && connection.wanted && connection.straight && result != -libc::ECANCELED;
        self.list(key);
        read
    }

    /// The ring has completed a receive, which waits to be handled.
    #[inline]
    pub(super) fn on_completed(&mut self, key: Key) {
        if let Some(connection) = self.get_mut(key) {
            connection.received += 1;
        }
    }

    /// Whether a receive may be handled in this turn: a client is served once a turn, however much it sends.
    #[inline]
    pub(super) fn may_serve(&mut self, key: Key, turn: u32) -> bool {
        self.get_mut(key).is_none_or(|connection| std::mem::replace(&mut connection.served, turn) != turn)
    }

    /// A receive is handled; `more`: the ring goes on with others. Returns whether the connection is open.
    #[inline]
    pub(super) fn on_received(&mut self, key: Key, more: bool) -> bool {
        let Some(connection) = self.get_mut(key) else { return false };
        connection.received -= 1;
        let open = connection.socket.is_some();
        connection.receive.on_completion(false, more);
        if connection.receive == Asked::No {
            self.list(key);
        }
        open
    }

    /// Whether all that was received is handled.
    #[inline]
    pub(super) fn is_served(&self, key: Key) -> bool {
        self.get(key).is_none_or(|connection| connection.received == 0)
    }

    // ---- sending ----

    /// Whether a send may begin.
    #[inline]
    pub(super) fn may_send(&self, key: Key) -> bool {
        self.get(key).is_some_and(|one| one.socket.is_some() && !one.sending && !one.full)
    }

    /// A send begins.
    #[inline]
    pub(super) fn begin_send(&mut self, key: Key) {
        debug_assert!(self.may_send(key), "one send at a time");
        if let Some(connection) = self.get_mut(key) {
            connection.sending = true;
        }
    }

    /// The ring says that the send under way did not go as it should.
    pub(super) fn on_send_failed(&mut self, key: Key, result: i32) {
        if let Some(connection) = self.get_mut(key) {
            connection.failure = Some(result);
        }
    }

    /// The send under way is over; the ring has said all it had to say of it.
    #[inline]
    pub(super) fn end_send(&mut self, key: Key) -> Sent {
        let Some(connection) = self.get_mut(key) else { return Sent::Gone };
        connection.sending = false;
        let ended = connection.socket.is_none();
        let sent = match connection.failure.take() {
            None => Sent::All,
            Some(result) => match usize::try_from(result) {
                Ok(sent) => Sent::Part(sent),
                Err(_) if is_passing(result) => Sent::Part(0),
                Err(_) => Sent::Gone,
            },
        };
        if let Sent::Part(_) = sent {
            connection.full = true;
        }
        if ended || sent != Sent::All {
            self.list(key);
        }
        sent
    }

    /// The ring has said something of room. Returns whether there is some, and the connection is open.
    pub(super) fn on_room(&mut self, key: Key, result: i32, more: bool) -> bool {
        let Some(connection) = self.get_mut(key) else { return false };
        let found = has(result, libc::POLLOUT) || is_gone(result);
        connection.room.on_completion(found, more);
        let free = found && std::mem::replace(&mut connection.full, false);
        let open = connection.socket.is_some();
        self.list(key);
        free && open
    }

    // ---- ending ----

    /// The ring has said something of the client's end. Returns whether the client is gone and nothing else will tell of it.
    pub(super) fn on_end(&mut self, key: Key, result: i32, more: bool) -> bool {
        let Some(connection) = self.get_mut(key) else { return false };
        let gone = is_gone(result);
        connection.end.on_completion(gone, more);
        let unread = connection.socket.is_some() && !connection.wanted;
        self.list(key);
        gone && unread
    }

    /// The connection has ended; what it has under way will be cancelled. Returns its socket.
    pub(super) fn end(&mut self, key: Key) -> Option<(SessionId, S)> {
        let connection = self.get_mut(key)?;
        let socket = connection.socket.take()?;
        let id = connection.id;
        self.keys[id.index as usize] = None;
        self.list(key);
        Some((id, socket))
    }

    /// Whether the ring has been asked for all that is to be known of each connection, or is about to.
    #[cfg(test)]
    pub(super) fn verify(&self) {
        for connection in self.cells.iter().filter_map(|cell| cell.connection.as_ref()) {
            if connection.listed || connection.socket.is_none() {
                continue;
            }
            let asked = [connection.receive, connection.input, connection.end] != [Asked::No; 3];
            let told = asked || connection.received > 0;
            assert!(told, "its client could vanish unnoticed: {:?}", connection.id);
            assert!(!connection.full || connection.room != Asked::No, "room is not awaited: {:?}", connection.id);
        }
    }

    /// Whether nothing is open or under way.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.cells.iter().all(|cell| cell.connection.is_none()) && self.free.len() == self.cells.len()
    }

    // ---- requests ----

    /// The next thing to ask of the ring. Forgets connections that have ended and have nothing under way.
    #[inline]
    pub(super) fn next_request(&mut self) -> Option<Request> {
        while let Some(index) = self.changed.last().copied() {
            let cell = &mut self.cells[index as usize];
            let key = Key { index, generation: cell.generation };
            if let Some(connection) = &mut cell.connection {
                if let Some(request) = connection.request(key) {
                    return Some(request);
                }
                connection.listed = false;
                if connection.is_over() {
                    cell.connection = None;
                    cell.generation = (cell.generation + 1) & ((1 << GENERATION_BITS) - 1);
                    self.free.push(index);
                }
            }
            self.changed.pop();
        }
        None
    }
}

impl<S> Connection<S> {
    fn request(&mut self, key: Key) -> Option<Request> {
        let open = self.socket.is_some();
        // Not before all buffers that it holds are back: it would take others from those that hold none.
        let may_begin = self.receive != Asked::No || (self.received == 0 && self.input == Asked::No);
        if let Some(step) = self.receive.step(open && self.wanted && !self.straight && may_begin) {
            return Some(if let Step::Ask = step { Request::Receive(key) } else { Request::CancelReceive(key) });
        }
        // What the ring has received comes first.
        let may_begin = self.input != Asked::No || (self.received == 0 && self.receive == Asked::No);
        if let Some(step) = self.input.step(open && self.wanted && self.straight && may_begin) {
            return Some(if let Step::Ask = step { Request::AwaitInput(key) } else { Request::CancelInput(key) });
        }
        if let Some(step) = self.end.step(open && !self.wanted) {
            return Some(if let Step::Ask = step { Request::AwaitEnd(key) } else { Request::CancelEnd(key) });
        }
        let step = self.room.step(open && self.full)?;
        Some(if let Step::Ask = step { Request::AwaitRoom(key) } else { Request::CancelRoom(key) })
    }

    /// Whether it has ended and nothing of it is under way.
    fn is_over(&self) -> bool {
        let asked = [self.receive, self.input, self.room, self.end] != [Asked::No; 4];
        self.socket.is_none() && !asked && self.received == 0 && !self.sending
    }
}

/// Whether a poll has told of an event.
fn has(result: i32, event: i16) -> bool {
    result > 0 && result & i32::from(event) != 0
}

/// Whether a poll has told that the client is gone, or has failed itself. That the client sends no more is not it.
fn is_gone(result: i32) -> bool {
    let failed = result < 0 && !is_passing(result);
    failed || has(result, libc::POLLHUP | libc::POLLERR | libc::POLLNVAL)
}

/// Whether an error, as the negative number that the ring has for it, says nothing of the client.
pub(super) fn is_passing(result: i32) -> bool {
    let passing = [libc::EAGAIN, libc::EINTR, libc::ENOBUFS, libc::ECANCELED];
    passing.contains(&-result)
}
