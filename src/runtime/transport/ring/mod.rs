//! Ring: the transport on the core's own io_uring. Core: each its own.
//!
//! | file | what |
//! |---|---|
//! | `connections` | what each connection has under way, and is to ask for next; pure |
//! | `kernel` | what the transport asks of a ring, as a trait |
//! | `uring` | the ring itself: requests, completions, buffers |
//!
//! ```text
//! turn n:    rounds over what was received ─▶ send requests
//! enter:     sends everything, waits, receives        the one system call of a turn
//! turn n+1:  outputs go back to their sessions; rounds over what was received
//! ```
//! Clients are received from until told otherwise (multishot), into buffers that all connections share. A completed send
//! says nothing; one that was short says so, and the rest waits in the engine for room in the socket.
//! Measured against `epoll`: scripts/transport_numbers.py.
//! Never: waits but in `wait`, receives behind the core's back.

mod connections;
mod kernel;
#[cfg(test)]
mod tests;
mod uring;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use self::connections::{Connections, GENERATION_BITS, Key, Request, Sent, is_passing};
use self::kernel::{Completion, Events, File, Kernel};
use self::uring::Uring;
use super::poller::{self, Poller, Ready};
use super::{Event, Transport};
use crate::engine::{Engine, Output, SessionId};
use crate::limits::{READ_BUFFER_BYTES, RING_STRAIGHT_BYTES_MIN};
use crate::runtime::listener::CoreListener;

/// What a request is for: the upper byte of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Receive,
    Send,
    Input,
    Room,
    End,
    Doors,
    Bell,
    Cancel,
}

impl Purpose {
    fn number(self) -> u64 {
        match self {
            Purpose::Receive => 0,
            Purpose::Send => 1,
            Purpose::Room => 2,
            Purpose::Bell => 3,
            Purpose::Cancel => 4,
            Purpose::End => 5,
            Purpose::Doors => 6,
            Purpose::Input => 7,
        }
    }

    fn of(name: u64) -> Purpose {
        match name >> 56 {
            0 => Purpose::Receive,
            1 => Purpose::Send,
            2 => Purpose::Room,
            3 => Purpose::Bell,
            4 => Purpose::Cancel,
            5 => Purpose::End,
            6 => Purpose::Doors,
            _ => Purpose::Input,
        }
    }
}

const _: () = assert!(GENERATION_BITS == 24, "a byte, a generation and an index make up a name");

/// What a request of a connection is called.
#[inline]
fn name(purpose: Purpose, key: Key) -> u64 {
    purpose.number() << 56 | u64::from(key.generation) << 32 | u64::from(key.index)
}

/// The connection that a request is called after.
#[inline]
fn key(name: u64) -> Key {
    let generation = (name >> 32) as u32 & ((1 << GENERATION_BITS) - 1);
    Key { index: (name & u64::from(u32::MAX)) as u32, generation }
}

/// The socket of a connection.
#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    file: File,
}

/// A descriptor that the ring is asked to watch, again after each event.
#[derive(Clone, Copy, Debug)]
struct Watch {
    fd: RawFd,
    /// Whether the ring has a request for it.
    armed: bool,
}

/// The sockets of one core in its ring.
pub(in crate::runtime) struct Ring<K = Uring> {
    kernel: K,
    connections: Connections<Socket>,
    /// Completions that wait to be handled. Filled by `collect`; bounded by the buffers and the requests under way.
    ready: VecDeque<Completion>,
    /// Completions of clients that were served in this turn.
    later: VecDeque<Completion>,
    /// Outputs of sends that are over.
    sent: Vec<(u64, Output)>,
    /// Connections of which a send has failed.
    gone: Vec<Key>,
    bell: Watch,
    doors: Watch,
    /// The sockets that the core listens on; the ring watches the set.
    poller: Poller,
    /// Listening sockets at which clients wait, after a look at the set.
    ready_doors: Vec<Ready>,
    /// Where the beginning of a long argument is read to.
    head: Vec<u8>,
    /// The number of looks, which tells turns apart.
    turn: u32,
}

impl<K: Kernel> Ring<K> {
    fn over(kernel: K, bell: RawFd) -> io::Result<Ring<K>> {
        let poller = Poller::new()?;
        Ok(Ring {
            kernel,
            connections: Connections::default(),
            ready: VecDeque::new(),
            later: VecDeque::new(),
            sent: Vec::new(),
            gone: Vec::new(),
            bell: Watch { fd: bell, armed: false },
            doors: Watch { fd: poller.as_fd().as_raw_fd(), armed: false },
            poller,
            ready_doors: Vec::new(),
            head: Vec::with_capacity(READ_BUFFER_BYTES),
            turn: 0,
        })
    }

    /// Asks the ring for all that is to be asked.
    fn prepare(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.doors.armed, true) {
            self.kernel.await_clients(Purpose::Doors.number() << 56, self.doors.fd)?;
        }
        if !std::mem::replace(&mut self.bell.armed, true) {
            self.kernel.await_bell(Purpose::Bell.number() << 56, self.bell.fd)?;
        }
        while let Some(request) = self.connections.next_request() {
            self.ask(request)?;
        }
        Ok(())
    }

    fn ask(&mut self, request: Request) -> io::Result<()> {
        let (purpose, key, cancel) = match request {
            Request::Receive(key) => (Purpose::Receive, key, false),
            Request::CancelReceive(key) => (Purpose::Receive, key, true),
            Request::AwaitInput(key) => (Purpose::Input, key, false),
            Request::CancelInput(key) => (Purpose::Input, key, true),
            Request::AwaitRoom(key) => (Purpose::Room, key, false),
            Request::CancelRoom(key) => (Purpose::Room, key, true),
            Request::AwaitEnd(key) => (Purpose::End, key, false),
            Request::CancelEnd(key) => (Purpose::End, key, true),
        };
        let name = name(purpose, key);
        if cancel {
            return self.kernel.cancel(name, Purpose::Cancel.number() << 56);
        }
        let Some((_, Socket { file, .. })) = self.connections.session(key) else { return Ok(()) };
        match purpose {
            Purpose::Receive => self.kernel.receive(name, *file),
            Purpose::Input => self.kernel.watch(name, *file, Events::Input),
            Purpose::Room => self.kernel.watch(name, *file, Events::Room),
            _ => self.kernel.watch(name, *file, Events::None),
        }
    }

    /// Takes all completions, and the outputs of the sends that are over by them.
    fn collect(&mut self) -> io::Result<()> {
        while let Some(completion) = self.kernel.next_completion()? {
            match Purpose::of(completion.name) {
                Purpose::Send => self.connections.on_send_failed(key(completion.name), completion.result),
                Purpose::Cancel => {}
                Purpose::Receive => {
                    self.connections.on_completed(key(completion.name));
                    self.ready.push_back(completion);
                }
                _ => self.ready.push_back(completion),
            }
        }
        self.kernel.take_sent(&mut self.sent);
        Ok(())
    }

    /// Gives outputs back to their sessions.
    #[inline]
    fn settle_sends(&mut self, engine: &mut Engine, now_ms: u64) {
        for (name, output) in self.sent.drain(..) {
            let key = key(name);
            let id = self.connections.session(key).map(|(id, _)| id);
            let sent = self.connections.end_send(key);
            let Some(id) = id else { continue };
            let bytes = match sent {
                Sent::All => output.bytes().len(),
                Sent::Part(sent) => sent,
                Sent::Gone => {
                    self.gone.push(key);
                    continue;
                }
            };
            engine.on_output(id, output, bytes, now_ms);
        }
    }

    #[inline]
    fn on_received(&mut self, engine: &mut Engine, completion: Completion, now_ms: u64) -> io::Result<Event> {
        let key = key(completion.name);
        let open = self.connections.on_received(key, completion.more);
        let mut over = false;
        if open && let Some((id, _)) = self.connections.session(key) {
            match (usize::try_from(completion.result), completion.buffer) {
                (Ok(len @ 1..), Some(buffer)) => {
                    self.feed(engine, id, (buffer, len), now_ms);
                    over = self.read_on(engine, key, id, now_ms)?;
                }
                (Ok(_), _) => engine.on_eof(id),
                (Err(_), _) => over = !is_passing(completion.result),
            }
            if !over {
                self.connections.want(key, engine.wants_read(id));
            }
        }
        if let Some(buffer) = completion.buffer {
            self.kernel.give_back(buffer);
        }
        if over { self.end(key) } else { Ok(Event::Served) }
    }

    /// Gives what was received to a session.
    #[inline]
    fn feed(&mut self, engine: &mut Engine, id: SessionId, (buffer, len): (u16, usize), now_ms: u64) {
        let mut bytes = self.kernel.bytes(buffer, len);
        while let Some(mut input) = engine.lend_input(id) {
            let (first, rest) = bytes.split_at(bytes.len().min(input.capacity() - input.len()));
            input.extend_from_slice(first);
            engine.on_input(id, input, first.len(), now_ms);
            bytes = rest;
            if bytes.is_empty() {
                return;
            }
        }
        engine.on_bytes(id, bytes, now_ms);
    }

    /// Reads more of a long argument at once, into the buffer of its session, if the ring holds nothing that comes before
    /// it, and all of it so if it lacks much. Returns whether the client is gone.
    fn read_on(&mut self, engine: &mut Engine, key: Key, id: SessionId, now_ms: u64) -> io::Result<bool> {
        let Some(mut input) = engine.lend_input(id) else { return Ok(false) };
        if input.capacity() - input.len() >= RING_STRAIGHT_BYTES_MIN {
            self.connections.set_straight(key, true);
        }
        // A request that found the queue full has let the ring receive.
        self.collect()?;
        let Some((_, socket)) = self.connections.session(key).filter(|_| self.connections.is_served(key)) else {
            engine.on_input(id, input, 0, now_ms);
            return Ok(false);
        };
        let received = self.kernel.receive_now(socket.fd.as_fd(), &mut input);
        engine.on_input(id, input, *received.as_ref().unwrap_or(&0), now_ms);
        // The ring's own request is told of the end as well.
        Ok(received.is_err_and(|error| is_final(&error)))
    }

    /// There is something to receive from a client whose bytes are read straight into its session.
    fn on_input(&mut self, engine: &mut Engine, completion: Completion, now_ms: u64) -> io::Result<Event> {
        let key = key(completion.name);
        let read = self.connections.on_input(key, completion.result);
        let Some((id, socket)) = self.connections.session(key).filter(|_| read) else { return Ok(Event::Served) };
        let received = if let Some(mut input) = engine.lend_input(id) {
            let received = self.kernel.receive_now(socket.fd.as_fd(), &mut input);
            engine.on_input(id, input, *received.as_ref().unwrap_or(&0), now_ms);
            received
        } else {
            // Between two long arguments, or after the last.
            self.head.clear();
            let received = self.kernel.receive_now(socket.fd.as_fd(), &mut self.head);
            if let Ok(1..) = received {
                engine.on_bytes(id, &self.head, now_ms);
                self.connections.set_straight(key, false);
            }
            received
        };
        let over = match received {
            Ok(0) => {
                engine.on_eof(id);
                false
            }
            Ok(_) => self.read_on(engine, key, id, now_ms)?,
            Err(error) => is_final(&error),
        };
        if over {
            return self.end(key);
        }
        self.connections.want(key, engine.wants_read(id));
        Ok(Event::Served)
    }

    fn on_room(&mut self, engine: &mut Engine, completion: Completion, now_ms: u64) -> io::Result<Event> {
        let key = key(completion.name);
        let id = self.connections.session(key).map(|(id, _)| id);
        if self.connections.on_room(key, completion.result, completion.more)
            && let Some(id) = id
            && let Some(socket) = self.send(engine, id, now_ms)?
        {
            return Ok(Event::Over(id, socket));
        }
        Ok(Event::Served)
    }

    fn on_end(&mut self, completion: Completion) -> io::Result<Event> {
        let key = key(completion.name);
        let gone = self.connections.on_end(key, completion.result, completion.more);
        if gone { self.end(key) } else { Ok(Event::Served) }
    }

    /// Gives up a connection.
    fn end(&mut self, key: Key) -> io::Result<Event> {
        let plain = self.connections.session(key).is_some_and(|(_, socket)| matches!(socket.file, File::Plain(_)));
        while plain && self.kernel.has_queue() {
            // Requests may name the descriptor, which may soon be another's.
            self.kernel.submit()?;
        }
        let Some((id, socket)) = self.connections.end(key) else { return Ok(Event::Served) };
        self.kernel.unregister(socket.file);
        Ok(Event::Over(id, socket.fd))
    }

    /// Clients wait at some of the sockets that the core listens on.
    #[cold]
    fn on_clients(&mut self) -> io::Result<()> {
        self.doors.armed = false;
        self.poller.poll(&mut self.ready_doors, Duration::ZERO)
    }
}

/// Whether an error of a read says that the client is gone.
fn is_final(error: &io::Error) -> bool {
    !is_passing(-error.raw_os_error().unwrap_or_default())
}

impl<K: Kernel> Transport for Ring<K> {
    fn new(bell: BorrowedFd<'_>) -> io::Result<Ring<K>> {
        Ring::over(K::new()?, bell.as_raw_fd())
    }

    fn listen(&mut self, listener: &CoreListener) -> io::Result<()> {
        self.poller.add_doors(listener)
    }

    fn unlisten(&mut self, listener: &CoreListener) -> io::Result<()> {
        self.poller.remove_doors(listener)
    }

    fn open(&mut self, socket: OwnedFd, id: SessionId) -> io::Result<()> {
        let file = self.kernel.register(self.connections.next_index(), socket.as_fd());
        self.connections.open(Socket { fd: socket, file }, id);
        Ok(())
    }

    #[inline]
    fn send(&mut self, engine: &mut Engine, id: SessionId, _now_ms: u64) -> io::Result<Option<OwnedFd>> {
        let Some(key) = self.connections.of(id) else { return Ok(None) };
        if self.connections.may_send(key)
            && let Some(output) = engine.take_output(id)
            && let Some((_, socket)) = self.connections.session(key)
        {
            let file = socket.file;
            self.connections.begin_send(key);
            self.kernel.send(name(Purpose::Send, key), file, output)?;
        }
        if engine.is_finished(id)
            && let Event::Over(_, socket) = self.end(key)?
        {
            return Ok(Some(socket));
        }
        self.connections.want(key, engine.wants_read(id));
        Ok(None)
    }

    #[inline]
    fn look(&mut self) -> io::Result<()> {
        self.turn = self.turn.wrapping_add(1);
        while let Some(completion) = self.later.pop_back() {
            self.ready.push_front(completion);
        }
        self.prepare()?;
        if self.kernel.has_queue() || self.kernel.has_news() {
            self.kernel.submit()?;
            self.collect()?;
        }
        Ok(())
    }

    #[inline]
    fn next(&mut self, engine: &mut Engine, now_ms: u64) -> io::Result<Option<Event>> {
        if !self.sent.is_empty() {
            self.settle_sends(engine, now_ms);
        }
        if let Some(key) = self.gone.pop() {
            return self.end(key).map(Some);
        }
        if let Some(ready) = self.ready_doors.pop() {
            return Ok(Some(poller::door(ready.token).map_or(Event::Served, Event::Accept)));
        }
        while let Some(completion) = self.ready.pop_front() {
            let event = match Purpose::of(completion.name) {
                Purpose::Receive if !self.connections.may_serve(key(completion.name), self.turn) => {
                    self.later.push_back(completion);
                    continue;
                }
                Purpose::Receive => self.on_received(engine, completion, now_ms)?,
                Purpose::Input => self.on_input(engine, completion, now_ms)?,
                Purpose::Room => self.on_room(engine, completion, now_ms)?,
                Purpose::End => self.on_end(completion)?,
                Purpose::Doors => {
                    self.on_clients()?;
                    Event::Served
                }
                Purpose::Bell => {
                    self.bell.armed = false;
                    Event::Bell
                }
                Purpose::Send | Purpose::Cancel => Event::Served,
            };
            return Ok(Some(event));
        }
        Ok(None)
    }

    fn is_quiet(&mut self, engine: &mut Engine) -> bool {
        let quiet = self.ready.is_empty() && self.later.is_empty() && self.sent.is_empty();
        let quiet = quiet && self.gone.is_empty() && self.ready_doors.is_empty();
        let connections = &self.connections;
        let goes_on = |name| connections.session(key(name)).is_some_and(|(id, _)| engine.awaits_output(id));
        quiet && !self.kernel.flying().any(goes_on)
    }

    const LOOKS_FREELY: bool = true;

    fn submit(&mut self) -> io::Result<()> {
        self.prepare()?;
        if self.kernel.has_queue() {
            self.kernel.submit()?;
            self.collect()?;
        }
        Ok(())
    }

    #[inline]
    fn has_news(&mut self) -> io::Result<bool> {
        Ok(!self.ready.is_empty() || self.kernel.has_news())
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.prepare()?;
        if self.ready.is_empty() && self.later.is_empty() && self.sent.is_empty() {
            self.kernel.submit_and_wait(timeout)?;
        }
        self.collect()?;
        Ok(!self.ready.is_empty())
    }
}
