//! Lane: one pinned thread of the generator with its own connections, random numbers and record. Lanes share nothing but
//! a counter of progress and a stop flag.
//!
//! A client has one socket, or, with core ports, one for each core of the server. In a closed loop a client sends a
//! pipeline, waits for all of its replies, and sends the next. In an open loop operations go to the clients in turn, as
//! far as those have room in their pipelines.
//! Cost of an operation at pipeline 1: one receive, one send, one reading of the clock and a share of an `epoll_wait`;
//! nothing is allocated. Never: waits for anything but its set.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::keys::key_text;
use super::options::{Clocks, Verify};
use super::random::Random;
use super::record::Record;
use super::schedule::{Next, Schedule};
use super::socket::{Received, Sent, Socket};
use super::trace::Trace;
use super::wire::{Fault, Garbage, Protocol};
use super::workload::{Kind, Operation, Workload};
use crate::limits::{BENCH_BACKLOG_NS_MAX, BENCH_EVENTS_MAX, BENCH_READ_BYTES, BENCH_STOP_NS_MAX, BENCH_TICK_NS};
use crate::slot::Slot;

/// The settings that all lanes share.
#[derive(Debug)]
pub(super) struct Orders<'a> {
    pub(super) protocol: Protocol,
    pub(super) workload: &'a Workload,
    pub(super) verify: Verify,
    /// Whether a GET that misses is followed by a SET of its key.
    pub(super) fill_on_miss: bool,
    /// The timeout of a reply.
    pub(super) timeout_ns: u64,
    /// How long before an operation is due a lane stops sleeping and polls.
    pub(super) spin_ns: u64,
    pub(super) clocks: Clocks,
    pub(super) stop: &'a AtomicBool,
}

/// One phase of a lane.
#[derive(Debug)]
pub(super) struct Phase {
    pub(super) schedule: Schedule,
    pub(super) source: Source,
    /// The number of operations that a client may have under way.
    pub(super) pipeline: u32,
}

/// The source of operations.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Operations are drawn from the workload.
    Drawn,
    /// One SET for each key of a range.
    Load {
        /// The next key.
        next: u64,
    },
    /// A GET of each of some accesses of a trace, and from its begin again at its end.
    Trace {
        /// The accesses.
        trace: Arc<Trace>,
        /// The next of them.
        next: usize,
        /// How far it is from one of this lane's to the next.
        step: usize,
    },
}

/// A client of the server, with its sockets.
#[derive(Debug, Default)]
struct Client {
    /// The number of operations under way.
    under_way: u32,
    /// The number of operations of the current pipeline that are not encoded yet. Closed loop only.
    left: u32,
    /// Keys that a read has missed, to be filled.
    fills: VecDeque<u64>,
    /// Whether the client is in `Lane::room`.
    is_in_room: bool,
    is_lost: bool,
}

/// One thread of the generator.
pub(super) struct Lane<'a> {
    orders: &'a Orders<'a>,
    /// The number of operations answered so far, for the progress display.
    answered: &'a AtomicU64,
    set: OwnedFd,
    events: Vec<Event>,
    input: Vec<u8>,
    clients: Vec<Client>,
    /// The sockets of all clients; those of client i start at `i * ports`.
    sockets: Vec<Socket>,
    ports: usize,
    /// Clients with room in their pipelines. Open loop only.
    room: VecDeque<u32>,
    /// Sockets with requests that were encoded and not sent.
    touched: Vec<u32>,
    /// The keys of the operation being encoded.
    ids: Vec<u64>,
    random: Random,
    phase: Phase,
    under_way: u64,
    fills: u64,
    clients_living: usize,
    record: Record,
}

impl<'a> Lane<'a> {
    /// Creates a lane with the sockets of its clients, `ports` per client.
    pub(super) fn new(
        orders: &'a Orders<'a>,
        answered: &'a AtomicU64,
        fds: Vec<OwnedFd>,
        ports: usize,
        random: Random,
    ) -> io::Result<Lane<'a>> {
        assert!(!fds.is_empty() && fds.len().is_multiple_of(ports), "{} sockets of {ports} ports", fds.len());
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        let sockets = fds.into_iter().zip(0..).map(|(fd, token)| Socket::new(fd, &set, token));
        let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
        let clients: Vec<_> = (0..sockets.len() / ports).map(|_| Client::default()).collect();
        Ok(Lane {
            orders,
            answered,
            set,
            events: Vec::with_capacity(BENCH_EVENTS_MAX),
            input: Vec::with_capacity(BENCH_READ_BYTES),
            clients_living: clients.len(),
            clients,
            sockets,
            ports,
            room: VecDeque::new(),
            touched: Vec::new(),
            ids: Vec::new(),
            random,
            phase: Phase {
                schedule: Schedule::new(0, 0, super::schedule::Stop::AfterOperations(0), None),
                source: Source::Drawn,
                pipeline: 1,
            },
            under_way: 0,
            fills: 0,
            record: Record::default(),
        })
    }

    /// Runs a phase to its end and returns what was measured.
    pub(super) fn run(&mut self, phase: Phase) -> Record {
        self.phase = phase;
        self.record = Record::default();
        self.room.clear();
        for (client, at) in self.clients.iter_mut().zip(0..).filter(|(client, _)| !client.is_lost) {
            client.is_in_room = true;
            self.room.push_back(at);
        }
        let (mut cpu_from, mut has_begun, mut over_ns, mut tick_ns) = (None, false, None, 0);
        // What is due after an interruption is not behind.
        let mut sent_ns = 0;
        loop {
            let now_ns = (self.orders.clocks.now_ns)();
            if cpu_from.is_none() && now_ns >= self.phase.schedule.measure_from_ns() {
                cpu_from = Some((self.orders.clocks.thread_cpu_ns)());
            }
            if self.is_over(now_ns) {
                let over_ns = *over_ns.get_or_insert(now_ns);
                let is_done = self.under_way == 0 && self.fills == 0;
                if is_done || self.clients_living == 0 || now_ns - over_ns > self.patience_ns() {
                    break;
                }
            } else if self.clients_living == 0 {
                break;
            } else if self.phase.schedule.is_open() {
                self.send_due(now_ns);
                sent_ns = now_ns;
            } else if !has_begun && matches!(self.phase.schedule.next(now_ns), Next::Due(_)) {
                has_begun = true;
                (0..self.clients.len()).for_each(|client| self.pump(client, now_ns));
            }
            self.wait(now_ns);
            for at in 0..self.events.len() {
                // The fields are copied, since the kernel's struct is packed.
                let (flags, data) = (self.events[at].flags, self.events[at].data);
                self.on_event(data.u64() as usize, flags);
            }
            if now_ns - tick_ns >= BENCH_TICK_NS {
                tick_ns = now_ns;
                self.give_up_silent_sockets(now_ns);
            }
        }
        self.end(cpu_from, sent_ns)
    }

    /// Whether no further operations are to be sent.
    fn is_over(&self, now_ns: u64) -> bool {
        let schedule = &self.phase.schedule;
        self.orders.stop.load(Ordering::Relaxed)
            || schedule.next(now_ns) == Next::Over
            // An open loop catches up on late operations for a bounded time.
            || schedule.until_ns().is_some_and(|until| now_ns >= until + BENCH_BACKLOG_NS_MAX)
    }

    /// How long to wait for outstanding replies when no further operations are sent.
    fn patience_ns(&self) -> u64 {
        let stopped = self.orders.stop.load(Ordering::Relaxed);
        if stopped { BENCH_STOP_NS_MAX.min(self.orders.timeout_ns) } else { self.orders.timeout_ns }
    }

    /// Gives up what is still under way. `sent_ns`: when operations were last sent that were due.
    fn end(&mut self, cpu_from: Option<u64>, sent_ns: u64) -> Record {
        let stopped = self.orders.stop.load(Ordering::Relaxed);
        let (until_ns, why) = if stopped {
            (sent_ns, "no reply before the interruption")
        } else {
            ((self.orders.clocks.now_ns)(), "no reply when the run ended")
        };
        for client in 0..self.clients.len() {
            let waits = self.sockets_of(client).any(|socket| self.sockets[socket].is_waiting());
            if waits && !self.clients[client].is_lost {
                self.lose(client, why);
                // The connection was fine until the interruption.
                self.record.connections_lost -= u64::from(stopped);
            }
        }
        self.record.unsent = self.phase.schedule.behind(until_ns);
        self.record.cpu_ns = cpu_from.map_or(0, |from| (self.orders.clocks.thread_cpu_ns)() - from);
        std::mem::take(&mut self.record)
    }

    /// Waits for sockets, or until the next operation is due.
    fn wait(&mut self, now_ns: u64) {
        let mut wait_ns = BENCH_TICK_NS;
        if !self.room.is_empty()
            && let Next::At(at_ns) = self.phase.schedule.next(now_ns)
        {
            wait_ns = (at_ns - now_ns).saturating_sub(self.orders.spin_ns).min(BENCH_TICK_NS);
        }
        self.events.clear();
        let timeout = |ns: u64| Timespec { tv_sec: 0, tv_nsec: ns as i64 };
        let room = rustix::buffer::spare_capacity(&mut self.events);
        // Any other error is a signal; the stop flag says what it meant.
        if let Err(Errno::NOSYS) = epoll::wait(&self.set, room, Some(&timeout(wait_ns))) {
            // Before Linux 5.11, epoll waits for whole milliseconds.
            let room = rustix::buffer::spare_capacity(&mut self.events);
            let _ = epoll::wait(&self.set, room, Some(&timeout(wait_ns / 1_000_000 * 1_000_000)));
        }
    }

    fn on_event(&mut self, socket: usize, flags: EventFlags) {
        let client = socket / self.ports;
        if flags.contains(EventFlags::OUT) {
            self.flush(socket);
        }
        let mut now_ns = (self.orders.clocks.now_ns)();
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            loop {
                match self.sockets[socket].receive(&mut self.input) {
                    Ok(Received::Nothing) => break,
                    Ok(received) => {
                        now_ns = (self.orders.clocks.now_ns)();
                        if let Err(garbage) = self.read(socket, now_ns) {
                            return self.lose(client, &format!("malformed reply: {garbage}"));
                        }
                        if received == Received::All {
                            break;
                        }
                    }
                    Err(error) => return self.lose(client, &format!("connection lost: {error}")),
                }
            }
        }
        self.pump(client, now_ns);
    }

    /// Reads all complete replies.
    #[inline]
    fn read(&mut self, socket: usize, now_ns: u64) -> Result<(), Garbage> {
        let bytes = self.sockets[socket].take_input(&mut self.input);
        let result = self.read_bytes(socket, &bytes, now_ns);
        let at = result.as_ref().map_or(0, |at| *at);
        self.sockets[socket].give_input(bytes, at, &mut self.input);
        result.map(drop)
    }

    #[inline]
    fn read_bytes(&mut self, socket: usize, bytes: &[u8], now_ns: u64) -> Result<usize, Garbage> {
        let orders = self.orders;
        let values = (orders.verify >= Verify::Values).then_some(&orders.workload.values);
        let (mut at, mut answered) = (0, 0);
        self.sockets[socket].progress_ns = now_ns;
        while at < bytes.len() {
            let Some((len, sent, id, mut outcome)) =
                self.sockets[socket].read(orders.protocol, &bytes[at..], values)?
            else {
                break;
            };
            at += len;
            answered += 1;
            if outcome.misses > 0 && orders.verify == Verify::Hits {
                outcome.fault = outcome.fault.or(Some(Fault::Missing));
            }
            if sent.counts {
                self.record.reply(sent.kind, now_ns.saturating_sub(sent.at_ns), now_ns, outcome);
            }
            if orders.fill_on_miss && sent.kind == Kind::Get && outcome.misses > 0 {
                self.clients[socket / self.ports].fills.push_back(id);
                self.fills += 1;
            }
        }
        let client = &mut self.clients[socket / self.ports];
        client.under_way -= answered;
        if !client.is_in_room && client.under_way < self.phase.pipeline && self.phase.schedule.is_open() {
            client.is_in_room = true;
            self.room.push_back((socket / self.ports) as u32);
        }
        self.under_way -= u64::from(answered);
        self.answered.store(self.answered.load(Ordering::Relaxed) + u64::from(answered), Ordering::Relaxed);
        Ok(at)
    }

    /// Open loop: sends the operations that are due, as far as clients have room.
    fn send_due(&mut self, now_ns: u64) {
        while let Next::Due(at_ns) = self.phase.schedule.next(now_ns) {
            let Some(at) = self.room.pop_front() else { break };
            let client = &mut self.clients[at as usize];
            client.is_in_room = false;
            // Fills may have taken the client's room.
            if client.is_lost || client.under_way >= self.phase.pipeline {
                continue;
            }
            self.phase.schedule.take(at_ns);
            self.draw_and_encode(at as usize, at_ns);
            let client = &mut self.clients[at as usize];
            if client.under_way < self.phase.pipeline {
                client.is_in_room = true;
                self.room.push_back(at);
            }
        }
        self.flush_touched();
    }

    /// Sends a client's fills, and in a closed loop its next pipeline, or the rest of the current one that did not fit its
    /// sockets.
    #[inline]
    fn pump(&mut self, client: usize, now_ns: u64) {
        if self.clients[client].is_lost {
            return;
        }
        loop {
            self.encode_fills(client, now_ns);
            if !self.phase.schedule.is_open() {
                self.encode_pipeline(client, now_ns);
            }
            self.flush_touched();
            let Client { left, is_lost, .. } = self.clients[client];
            if left == 0 || is_lost || self.sockets_of(client).any(|socket| self.sockets[socket].is_blocked()) {
                return;
            }
        }
    }

    #[inline]
    fn encode_fills(&mut self, client: usize, now_ns: u64) {
        if self.fills == 0 {
            return;
        }
        let is_late = self.phase.schedule.until_ns().is_some_and(|until| now_ns >= until);
        while let Some(id) = self.clients[client].fills.pop_front() {
            self.fills -= 1;
            if !is_late {
                self.ids.clear();
                self.ids.push(id);
                self.encode(client, Operation { kind: Kind::Fill, keys: 1 }, now_ns);
            }
        }
    }

    #[inline]
    fn encode_pipeline(&mut self, client: usize, now_ns: u64) {
        let Client { under_way, left, .. } = self.clients[client];
        if under_way == 0 && left == 0 {
            self.clients[client].left = self.phase.pipeline;
        }
        while self.clients[client].left > 0 {
            let is_stopped = self.orders.stop.load(Ordering::Relaxed);
            let Next::Due(at_ns) = self.phase.schedule.next(now_ns) else {
                self.clients[client].left = 0;
                break;
            };
            if is_stopped {
                self.clients[client].left = 0;
                break;
            }
            self.phase.schedule.take(at_ns);
            self.clients[client].left -= 1;
            let socket = self.draw_and_encode(client, at_ns);
            if self.sockets[socket].is_full() {
                break;
            }
        }
    }

    /// Draws an operation and its keys and encodes it; returns the socket.
    #[inline]
    fn draw_and_encode(&mut self, client: usize, at_ns: u64) -> usize {
        let workload = self.orders.workload;
        self.ids.clear();
        let operation = match &mut self.phase.source {
            Source::Drawn => {
                let operation = workload.draw(&mut self.random);
                for _ in 0..operation.keys {
                    self.ids.push(workload.draw_key(&mut self.random));
                }
                operation
            }
            Source::Load { next } => {
                self.ids.push(*next);
                *next += 1;
                Operation { kind: Kind::Set, keys: 1 }
            }
            Source::Trace { trace, next, step } => {
                self.ids.push(trace.accesses[*next % trace.accesses.len()].into());
                *next += *step;
                Operation { kind: Kind::Get, keys: 1 }
            }
        };
        self.encode(client, operation, at_ns)
    }

    /// Encodes an operation on `ids` for the socket that leads to the owner of the first.
    #[inline]
    fn encode(&mut self, client: usize, operation: Operation, at_ns: u64) -> usize {
        let Operation { kind, keys } = operation;
        let mut socket = client * self.ports;
        if self.ports > 1 {
            let key = key_text(kind.prefix(), self.ids.first().copied().unwrap_or_default());
            socket += usize::from(Slot::of(&key).owner(self.ports as u16).0);
        }
        let schedule = &self.phase.schedule;
        let counts = at_ns >= schedule.measure_from_ns();
        let sent = Sent { kind, keys, counts, at_ns };
        let orders = self.orders;
        if self.sockets[socket].encode(orders.protocol, sent, &self.ids, orders.workload, &mut self.random) {
            self.touched.push(socket as u32);
        }
        self.clients[client].under_way += 1;
        self.under_way += 1;
        socket
    }

    #[inline]
    fn flush_touched(&mut self) {
        while let Some(socket) = self.touched.pop() {
            self.flush(socket as usize);
        }
    }

    #[inline]
    fn flush(&mut self, socket: usize) {
        if let Err(error) = self.sockets[socket].flush(&self.set, socket as u64) {
            self.lose(socket / self.ports, &format!("connection lost: {error}"));
        }
    }

    fn sockets_of(&self, client: usize) -> std::ops::Range<usize> {
        client * self.ports..(client + 1) * self.ports
    }

    /// Ends clients whose replies are beyond the timeout.
    fn give_up_silent_sockets(&mut self, now_ns: u64) {
        let timeout_ns = self.orders.timeout_ns;
        for client in 0..self.clients.len() {
            let is_silent = self.sockets_of(client).any(|socket| {
                let socket = &self.sockets[socket];
                socket.is_waiting() && now_ns.saturating_sub(socket.progress_ns) > timeout_ns
            });
            if is_silent {
                self.lose(client, &format!("no reply within {} s", timeout_ns as f64 / 1e9));
            }
        }
    }

    /// Ends a client; all its operations under way count as failed.
    #[cold]
    fn lose(&mut self, client: usize, why: &str) {
        if self.clients[client].is_lost {
            return;
        }
        self.clients[client].is_lost = true;
        self.clients_living -= 1;
        self.record.connections_lost += 1;
        self.record.lost_to(why);
        for socket in self.sockets_of(client) {
            for sent in self.sockets[socket].close().into_iter().filter(|sent| sent.counts) {
                self.record.unanswered(sent.kind, why);
            }
        }
        let Client { under_way, fills, is_in_room, .. } = std::mem::take(&mut self.clients[client]);
        self.clients[client].is_in_room = is_in_room;
        self.clients[client].is_lost = true;
        self.under_way -= u64::from(under_way);
        self.fills -= fills.len() as u64;
    }
}
