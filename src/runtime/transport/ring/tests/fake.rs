//! The kernel of the tests: it delays, shortens, fails and cancels at random.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use crate::engine::Output;
use crate::runtime::transport::ring::kernel::{Completion, Events, File, Kernel};

/// Few and small, so that they run out.
const BUFFERS: usize = 3;
const BUFFER_BYTES: usize = 700;

/// A source of chances (xorshift).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound.max(1)
    }

    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// One client, and the socket between it and the server.
#[derive(Default)]
pub(super) struct Client {
    /// What it has not sent yet.
    pub(super) unsent: VecDeque<u8>,
    /// What it expects to be answered to all it sends.
    pub(super) expected: Vec<u8>,
    /// What it has sent and the server has not received.
    pub(super) arrived: VecDeque<u8>,
    /// What it was sent.
    pub(super) taken: Vec<u8>,
    /// Bytes that the socket has room for, towards the client.
    pub(super) room: usize,
    /// Whether it sends no more.
    pub(super) eof: bool,
    /// Whether it is gone without a word.
    pub(super) reset: bool,
    /// The server has given up the connection.
    pub(super) over: bool,
}

impl Client {
    /// What poll(2) would tell of its socket.
    fn events(&self, asked: Events) -> i32 {
        let ended = self.eof && self.unsent.is_empty();
        let events = [
            (asked == Events::Room && self.room > 0, libc::POLLOUT),
            (asked == Events::Input && !self.arrived.is_empty(), libc::POLLIN),
            (ended || self.reset, libc::POLLRDHUP),
            (self.reset, libc::POLLHUP | libc::POLLERR),
        ];
        events.iter().filter(|(is, _)| *is).fold(0, |all, (_, event)| all | i32::from(*event))
    }
}

enum Kind {
    Receive,
    /// A poll, and the events it told of last.
    Watch(Events, i32),
    Send,
    Cancel(u64),
}

struct Request {
    name: u64,
    file: File,
    kind: Kind,
    /// Whose socket it is for, once the kernel has taken it: from then on the socket is the request's as well.
    client: Option<usize>,
    /// Was told to end.
    cancelled: bool,
}

/// A kernel without mercy.
pub(super) struct Fake {
    pub(super) chance: Chance,
    clients: Rc<RefCell<Vec<Client>>>,
    /// Clients by descriptor, and by place in the table of files.
    pub(super) fds: HashMap<RawFd, usize>,
    files: HashMap<u32, usize>,
    queue: Vec<Request>,
    under_way: Vec<Request>,
    completed: VecDeque<Completion>,
    buffers: Vec<Vec<u8>>,
    free: Vec<u16>,
    flying: Vec<(u64, Output)>,
    /// Bytes received past the ring's buffers.
    pub(super) past_buffers: usize,
    /// Everything is done at once and nothing fails.
    pub(super) calm: bool,
}

impl Fake {
    pub(super) fn new(seed: u64, clients: Rc<RefCell<Vec<Client>>>) -> Fake {
        Fake {
            chance: Chance(seed),
            clients,
            fds: HashMap::new(),
            files: HashMap::new(),
            queue: Vec::new(),
            under_way: Vec::new(),
            completed: VecDeque::new(),
            buffers: vec![Vec::new(); BUFFERS],
            free: (0..BUFFERS as u16).collect(),
            flying: Vec::new(),
            past_buffers: 0,
            calm: false,
        }
    }

    /// Whether it has nothing of the transport's.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.flying.is_empty() && self.files.is_empty() && self.free.len() == BUFFERS
    }

    /// Whether requests wait for something.
    pub(super) fn is_waiting(&self) -> bool {
        !self.under_way.is_empty()
    }

    fn client(&self, file: File) -> Option<usize> {
        match file {
            File::Fixed(index) => self.files.get(&index).copied(),
            File::Plain(fd) => self.fds.get(&fd).copied(),
        }
    }

    fn ask(&mut self, name: u64, file: File, kind: Kind) {
        assert!(matches!(kind, Kind::Cancel(_)) || self.client(file).is_some(), "a request for no socket");
        if !self.calm && self.chance.percent(3) {
            // As if the queue were full.
            self.take_all(self.queue.len());
        }
        self.queue.push(Request { name, file, kind, client: None, cancelled: false });
    }

    fn complete(&mut self, name: u64, result: i32) {
        self.completed.push_back(Completion { name, result, more: false, buffer: None });
    }

    /// Takes some requests, and does what is ready.
    fn take_all(&mut self, count: usize) {
        for request in self.queue.drain(..count).collect::<Vec<_>>() {
            self.take(request);
        }
        self.run();
    }

    fn take(&mut self, mut request: Request) {
        request.client = self.client(request.file);
        match request.kind {
            Kind::Send => self.send_now(&request),
            Kind::Cancel(name) => {
                if let Some(found) = self.under_way.iter_mut().find(|one| one.name == name) {
                    found.cancelled = true;
                } else {
                    self.complete(request.name, -libc::ENOENT);
                }
            }
            Kind::Receive | Kind::Watch(..) => {
                assert!(!self.under_way.iter().any(|one| one.name == request.name), "asked for twice");
                self.under_way.push(request);
            }
        }
    }

    fn send_now(&mut self, request: &Request) {
        let Some(client) = request.client else { return self.complete(request.name, -libc::EBADF) };
        if !self.calm && self.chance.percent(10) {
            let result = if self.chance.percent(50) { -libc::EINTR } else { -libc::EAGAIN };
            return self.complete(request.name, result);
        }
        let at = self.flying.iter().position(|(name, _)| *name == request.name).expect("a send has its output");
        let client = &mut self.clients.borrow_mut()[client];
        let bytes = self.flying[at].1.bytes();
        let sent = bytes.len().min(client.room);
        let result = match sent {
            _ if client.reset => -libc::ECONNRESET,
            0 => -libc::EAGAIN,
            sent => sent as i32,
        };
        if result > 0 {
            client.room -= sent;
            client.taken.extend_from_slice(&bytes[..sent]);
        }
        if result != bytes.len() as i32 {
            self.completed.push_back(Completion { name: request.name, result, more: false, buffer: None });
        }
    }

    /// Lets some requests come to something.
    fn run(&mut self) {
        let mut at = 0;
        while at < self.under_way.len() {
            if (self.calm || self.chance.percent(60)) && !self.step(at) {
                self.under_way.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Whether a request goes on.
    fn step(&mut self, at: usize) -> bool {
        let Request { name, client, cancelled, .. } = self.under_way[at];
        if cancelled && (self.calm || self.chance.percent(50)) {
            self.complete(name, -libc::ECANCELED);
            return false;
        }
        let Some(client) = client else {
            self.complete(name, -libc::EBADF);
            return false;
        };
        let clients = Rc::clone(&self.clients);
        let client = &mut clients.borrow_mut()[client];
        match self.under_way[at].kind {
            Kind::Watch(asked, told) => {
                let events = client.events(asked);
                self.under_way[at].kind = Kind::Watch(asked, events);
                if events & !told == 0 && (events == 0 || self.calm || self.chance.percent(95)) {
                    return true;
                }
                let more = asked != Events::Input && (self.calm || self.chance.percent(90));
                self.completed.push_back(Completion { name, result: events, more, buffer: None });
                return more;
            }
            Kind::Receive if client.reset => self.complete(name, -libc::ECONNRESET),
            Kind::Receive if !client.arrived.is_empty() => {
                let Some(buffer) = self.free.pop() else {
                    self.complete(name, -libc::ENOBUFS);
                    return false;
                };
                let len = client.arrived.len().min(1 + self.chance.below(BUFFER_BYTES));
                self.buffers[usize::from(buffer)] = client.arrived.drain(..len).collect();
                let more = self.calm || self.chance.percent(90);
                self.completed.push_back(Completion { name, result: len as i32, more, buffer: Some(buffer) });
                return more;
            }
            Kind::Receive if client.eof && client.unsent.is_empty() => self.complete(name, 0),
            _ => return true,
        }
        false
    }
}

impl Kernel for Fake {
    fn new() -> io::Result<Fake> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn register(&mut self, index: u32, socket: BorrowedFd<'_>) -> File {
        let fd = socket.as_raw_fd();
        if self.chance.percent(70) {
            assert!(self.files.insert(index, self.fds[&fd]).is_none(), "a place is taken once");
            assert!(
                !self.under_way.iter().any(|one| one.file == File::Fixed(index)),
                "a place is free when nothing uses it"
            );
            File::Fixed(index)
        } else {
            File::Plain(fd)
        }
    }

    fn unregister(&mut self, file: File) {
        if let File::Fixed(index) = file {
            self.files.remove(&index);
        }
    }

    fn receive(&mut self, name: u64, file: File) -> io::Result<()> {
        self.ask(name, file, Kind::Receive);
        Ok(())
    }

    fn receive_now(&mut self, socket: BorrowedFd<'_>, into: &mut Vec<u8>) -> io::Result<usize> {
        let client = &mut self.clients.borrow_mut()[self.fds[&socket.as_raw_fd()]];
        let len = client.arrived.len().min(into.capacity() - into.len());
        match len {
            _ if client.reset => Err(io::Error::from_raw_os_error(libc::ECONNRESET)),
            0 if client.eof && client.unsent.is_empty() => Ok(0),
            0 => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
            len => {
                into.extend(client.arrived.drain(..len));
                self.past_buffers += len;
                Ok(len)
            }
        }
    }

    fn send(&mut self, name: u64, file: File, output: Output) -> io::Result<()> {
        assert!(!self.flying.iter().any(|(other, _)| *other == name), "one send at a time");
        self.flying.push((name, output));
        self.ask(name, file, Kind::Send);
        Ok(())
    }

    fn watch(&mut self, name: u64, file: File, events: Events) -> io::Result<()> {
        self.ask(name, file, Kind::Watch(events, 0));
        Ok(())
    }

    fn await_clients(&mut self, _name: u64, _set: RawFd) -> io::Result<()> {
        Ok(())
    }

    fn await_bell(&mut self, _name: u64, _bell: RawFd) -> io::Result<()> {
        Ok(())
    }

    fn cancel(&mut self, name: u64, own_name: u64) -> io::Result<()> {
        self.ask(own_name, File::Plain(-1), Kind::Cancel(name));
        Ok(())
    }

    fn submit(&mut self) -> io::Result<()> {
        // Now and then it takes only some of them.
        let some =
            if self.calm || self.chance.percent(80) { self.queue.len() } else { self.chance.below(self.queue.len()) };
        self.take_all(some);
        Ok(())
    }

    fn submit_and_wait(&mut self, _timeout: Duration) -> io::Result<()> {
        self.submit()
    }

    fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    fn has_news(&mut self) -> bool {
        true
    }

    fn next_completion(&mut self) -> io::Result<Option<Completion>> {
        Ok(self.completed.pop_front())
    }

    fn flying(&self) -> impl Iterator<Item = u64> {
        self.flying.iter().map(|(name, _)| *name)
    }

    fn take_sent(&mut self, sent: &mut Vec<(u64, Output)>) {
        if self.queue.is_empty() {
            sent.append(&mut self.flying);
        }
    }

    fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        assert!(!self.free.contains(&buffer));
        &self.buffers[usize::from(buffer)][..len]
    }

    fn give_back(&mut self, buffer: u16) {
        assert!(!self.free.contains(&buffer), "a buffer is given back once");
        self.free.push(buffer);
    }
}
