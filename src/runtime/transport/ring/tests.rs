//! The transport over a kernel that delays, shortens, fails and cancels at random, with a real engine on it. Clients send
//! ECHO of known bytes; each must get its own replies, whole and in order, or nothing more.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;

use super::kernel::{Completion, File, Kernel};
use super::{Purpose, Ring};
use crate::config::ServerConfig;
use crate::engine::files::{FileAsk, SnapshotConfig};
use crate::engine::turn::{Outside, turn};
use crate::engine::{Batch, Engine, EngineConfig, Notice, Output, Peer, ProcessFacts, SessionId};
use crate::runtime::transport::{Event, Transport};
use crate::slot::CoreId;

/// Few and small, so that they run out.
const BUFFERS: usize = 3;
const BUFFER_BYTES: usize = 700;
const NOW_MS: u64 = 1_700_000_000_000;

/// A source of chances (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// One client, and the socket between it and the server.
#[derive(Default)]
struct Client {
    /// What it has not sent yet.
    unsent: VecDeque<u8>,
    /// What it expects to be answered to all it sends.
    expected: Vec<u8>,
    /// What it has sent and the server has not received.
    arrived: VecDeque<u8>,
    /// What it was sent.
    taken: Vec<u8>,
    /// Bytes that the socket has room for, towards the client.
    room: usize,
    /// Whether it sends no more.
    eof: bool,
    /// Whether it is gone without a word.
    reset: bool,
    /// The server has given up the connection.
    over: bool,
}

enum Kind {
    Receive,
    Room,
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
struct Fake {
    chance: Chance,
    clients: Rc<RefCell<Vec<Client>>>,
    /// Clients by descriptor, and by place in the table of files.
    fds: HashMap<RawFd, usize>,
    files: HashMap<u32, usize>,
    queue: Vec<Request>,
    under_way: Vec<Request>,
    completed: VecDeque<Completion>,
    buffers: Vec<Vec<u8>>,
    free: Vec<u16>,
    flying: Vec<(u64, Output)>,
    /// Everything is done at once and nothing fails.
    calm: bool,
}

impl Fake {
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
            Kind::Receive | Kind::Room => {
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
            Kind::Room if client.room > 0 || client.reset => self.complete(name, 1),
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
            0 => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
            len => {
                into.extend(client.arrived.drain(..len));
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

    fn await_room(&mut self, name: u64, file: File) -> io::Result<()> {
        self.ask(name, file, Kind::Room);
        Ok(())
    }

    fn await_clients(&mut self, _name: u64, _socket: RawFd, _shared: bool) -> io::Result<()> {
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

/// What surrounds the engine: the transport, and no other cores.
struct Around {
    ring: Ring<Fake>,
    clients: Rc<RefCell<Vec<Client>>>,
    /// Sockets of clients, by session.
    sessions: HashMap<SessionId, usize>,
}

impl Around {
    fn over(&mut self, engine: &mut Engine, id: SessionId, socket: &OwnedFd) {
        engine.on_disconnect(id);
        self.clients.borrow_mut()[self.sessions.remove(&id).expect("a session ends once")].over = true;
        self.ring.kernel.fds.remove(&socket.as_raw_fd());
    }
}

impl Outside for Around {
    type Error = io::Error;

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn receive(&mut self) -> Option<Batch> {
        None
    }

    fn serve(&mut self, engine: &mut Engine, _began: Duration, now_ms: u64) -> io::Result<bool> {
        self.ring.look()?;
        let mut found = false;
        while let Some(event) = self.ring.next(engine, now_ms)? {
            found = true;
            if let Event::Over(id, socket) = event {
                self.over(engine, id, &socket);
            }
            if self.ring.kernel.chance.percent(5) {
                break;
            }
        }
        Ok(found)
    }

    fn hear_files(&mut self, _engine: &mut Engine, _now_ms: u64) -> bool {
        false
    }

    fn tick(&mut self, _engine: &mut Engine, _now_ms: u64) -> io::Result<()> {
        Ok(())
    }

    fn send(&mut self, engine: &mut Engine, id: SessionId, now_ms: u64) -> io::Result<()> {
        if let Some(socket) = self.ring.send(engine, id, now_ms)? {
            self.over(engine, id, &socket);
        }
        Ok(())
    }

    fn slices_pushes(&self) -> bool {
        true
    }

    fn pass_on(&mut self, _engine: &mut Engine) -> bool {
        false
    }

    fn ask_files(&mut self, _ask: FileAsk) {}

    fn log(&mut self, _notice: Notice) {}
}

struct World {
    engine: Engine,
    around: Around,
    chance: Chance,
    clients: Rc<RefCell<Vec<Client>>>,
}

fn engine() -> Engine {
    let (config, process) = (ServerConfig::default(), ProcessFacts::default());
    Engine::new(EngineConfig {
        core: CoreId(0),
        cores: 1,
        cpu: 0,
        settings: crate::runtime::settings(&config, &process),
        auth_key: None,
        hash_seeds: [1, 2, 3, 4],
        random_seed: 5,
        snapshots: SnapshotConfig::default(),
        process,
        stopwatch: || 0,
    })
}

impl World {
    fn new(seed: u64) -> World {
        let clients = Rc::new(RefCell::new(Vec::new()));
        let fake = Fake {
            chance: Chance(seed | 1),
            clients: Rc::clone(&clients),
            fds: HashMap::new(),
            files: HashMap::new(),
            queue: Vec::new(),
            under_way: Vec::new(),
            completed: VecDeque::new(),
            buffers: vec![Vec::new(); BUFFERS],
            free: (0..BUFFERS as u16).collect(),
            flying: Vec::new(),
            calm: false,
        };
        let around = Around { ring: Ring::over(fake, -1), clients: Rc::clone(&clients), sessions: HashMap::new() };
        World { engine: engine(), around, chance: Chance(seed.rotate_left(32) | 1), clients }
    }

    fn connect(&mut self) {
        let number = self.clients.borrow().len();
        self.clients.borrow_mut().push(Client { room: self.chance.below(3000), ..Client::default() });
        // Any descriptor: it names the client.
        let socket: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        self.around.ring.kernel.fds.insert(socket.as_raw_fd(), number);
        let id = self.engine.on_connect(Peer::default(), NOW_MS);
        self.around.sessions.insert(id, number);
        self.around.ring.open(socket, id).unwrap();
    }

    /// Something happens at a client.
    fn act(&mut self, number: usize) {
        let chance = &mut self.chance;
        let client = &mut self.clients.borrow_mut()[number];
        match chance.below(20) {
            0..5 if !client.eof => {
                for _ in 0..1 + chance.below(8) {
                    // Now and then more than a session takes in by ordinary reads.
                    let len = if chance.percent(4) { 20_000 + chance.below(60_000) } else { chance.below(300) };
                    let bytes = vec![b'a' + (client.expected.len() % 26) as u8; len];
                    let argument = [format!("${len}\r\n").as_bytes(), &bytes, b"\r\n"].concat();
                    client.unsent.extend(b"*2\r\n$4\r\nECHO\r\n");
                    client.unsent.extend(&argument);
                    client.expected.extend(argument);
                }
            }
            5..12 => {
                let len = client.unsent.len().min(chance.below(10_000));
                let bytes: Vec<u8> = client.unsent.drain(..len).collect();
                client.arrived.extend(bytes);
            }
            12..18 => client.room += chance.below(8000),
            18 => client.eof = true,
            _ => client.reset |= chance.percent(20),
        }
    }

    fn turn(&mut self) {
        turn(&mut self.engine, &mut self.around, NOW_MS).unwrap();
        if self.around.ring.is_quiet(&mut self.engine) {
            self.around.ring.wait(Duration::from_millis(1)).unwrap();
        }
        for client in self.clients.borrow().iter() {
            assert!(client.expected.starts_with(&client.taken), "a client gets its replies, in order");
        }
    }

    /// Lets everything come to its end.
    fn calm_down(&mut self) {
        self.around.ring.kernel.calm = true;
        for _ in 0..2000 {
            for client in self.clients.borrow_mut().iter_mut() {
                client.eof = true;
                client.room = usize::MAX / 2;
                let bytes = std::mem::take(&mut client.unsent);
                client.arrived.extend(bytes);
            }
            self.turn();
            if self.around.sessions.is_empty() && self.around.ring.kernel.under_way.is_empty() {
                break;
            }
        }
        // What has ended is forgotten at the next look.
        self.turn();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_client_gets_its_replies_whatever_the_kernel_does(seed in any::<u64>()) {
        let mut world = World::new(seed);
        for _ in 0..300 {
            let count = world.clients.borrow().len();
            if count < 2 || world.chance.percent(3) {
                world.connect();
            } else {
                for _ in 0..3 {
                    let number = world.chance.below(count);
                    world.act(number);
                }
            }
            world.turn();
        }
        world.calm_down();
        for client in world.clients.borrow().iter() {
            prop_assert!(client.over, "every client has ended");
            prop_assert!(client.reset || client.taken == client.expected, "{} of {}", client.taken.len(), client.expected.len());
        }
        let ring = &world.around.ring;
        prop_assert_eq!(ring.kernel.free.len(), BUFFERS);
        prop_assert!(ring.kernel.under_way.is_empty() && ring.kernel.flying.is_empty() && ring.kernel.files.is_empty());
        prop_assert!(ring.connections.is_idle(), "no connection is left");
        prop_assert_eq!(world.engine.session_count(), 0);
    }
}

#[test]
fn names_are_told_apart() {
    use super::connections::Key;
    for purpose in [Purpose::Receive, Purpose::Send, Purpose::Room, Purpose::Cancel, Purpose::Bell] {
        for one in [Key { index: 0, generation: 0 }, Key { index: u32::MAX, generation: (1 << 24) - 1 }] {
            let name = super::name(purpose, one);
            assert_eq!((Purpose::of(name), super::key(name)), (purpose, one));
        }
    }
    for door in super::DOORS {
        assert_eq!(Purpose::of(Purpose::Door(door).number() << 56), Purpose::Door(door));
    }
}
