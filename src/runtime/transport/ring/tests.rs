//! The transport over a kernel that delays, shortens, fails and cancels at random, with a real engine on it. Clients send
//! ECHO of known bytes; each must get its own replies, whole and in order, or nothing more.

mod fake;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;

use self::fake::{Chance, Client, Fake};
use super::{Purpose, Ring};
use crate::config::ServerConfig;
use crate::engine::files::{FileAsk, SnapshotConfig};
use crate::engine::turn::{Outside, turn};
use crate::engine::{Batch, Engine, EngineConfig, Notice, Peer, ProcessFacts, SessionId};
use crate::runtime::transport::{Event, Transport};
use crate::slot::CoreId;

const NOW_MS: u64 = 1_700_000_000_000;

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
        let fake = Fake::new(seed | 1, Rc::clone(&clients));
        let around =
            Around { ring: Ring::over(fake, -1).unwrap(), clients: Rc::clone(&clients), sessions: HashMap::new() };
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
                    let len = if chance.percent(4) { 20_000 + chance.below(150_000) } else { chance.below(300) };
                    let bytes = vec![b'a' + (client.expected.len() % 26) as u8; len];
                    let argument = [format!("${len}\r\n").as_bytes(), &bytes, b"\r\n"].concat();
                    client.unsent.extend(b"*2\r\n$4\r\nECHO\r\n");
                    client.unsent.extend(&argument);
                    client.expected.extend(argument);
                }
            }
            5..12 => {
                let most = if chance.percent(10) { 100_000 } else { 10_000 };
                let len = client.unsent.len().min(chance.below(most));
                let bytes: Vec<u8> = client.unsent.drain(..len).collect();
                client.arrived.extend(bytes);
            }
            12..18 => client.room += chance.below(8000),
            18 => client.eof = true,
            _ => client.reset |= chance.percent(20),
        }
    }

    /// Returns whether there was anything to do.
    fn turn(&mut self) -> bool {
        let busy = turn(&mut self.engine, &mut self.around, NOW_MS).unwrap();
        if self.around.ring.is_quiet(&mut self.engine) {
            self.around.ring.wait(Duration::from_millis(1)).unwrap();
        }
        for client in self.clients.borrow().iter() {
            assert!(client.expected.starts_with(&client.taken), "a client gets its replies, in order");
        }
        self.around.ring.connections.verify();
        busy
    }

    /// A client asks something, and is to be answered so.
    fn ask(&mut self, number: usize, request: &[u8], reply: &[u8]) {
        let client = &mut self.clients.borrow_mut()[number];
        client.arrived.extend(request);
        client.expected.extend(reply);
    }

    /// Runs turns until there is nothing to do.
    fn settle(&mut self) {
        for _ in 0..100 {
            if !self.turn() {
                return;
            }
        }
        panic!("there is always something to do");
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
            if self.around.sessions.is_empty() && !self.around.ring.kernel.is_waiting() {
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
        prop_assert!(ring.kernel.is_idle(), "nothing is under way");
        prop_assert!(ring.connections.is_idle(), "no connection is left");
        prop_assert_eq!(world.engine.session_count(), 0);
    }
}

const ECHO: (&[u8], &[u8]) = (b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n", b"$3\r\nabc\r\n");

/// Two clients of a kernel without malice.
fn two() -> World {
    let mut world = World::new(1);
    world.around.ring.kernel.calm = true;
    (0..2).for_each(|_| world.connect());
    world.settle();
    world
}

#[test]
fn a_client_that_vanishes_while_it_is_not_read_is_noticed() {
    let mut world = two();
    world.clients.borrow_mut()[0].room = 1000;
    world.ask(0, b"CLIENT PAUSE 100000\r\n", b"+OK\r\n");
    world.settle();
    // The first is held back; what the second asks then is not read.
    for number in [1, 1, 0] {
        world.ask(number, ECHO.0, ECHO.1);
        world.settle();
    }
    world.clients.borrow_mut()[1].reset = true;
    world.settle();
    let clients = world.clients.borrow();
    assert_eq!((clients[0].over, clients[1].over), (false, true));
    assert!(!clients[1].arrived.is_empty(), "it was not read to its end");
}

#[test]
fn long_arguments_are_read_straight_into_the_session_and_short_ones_are_not() {
    const LEN: usize = 500_000;
    let mut world = two();
    world.clients.borrow_mut()[0].room = 4 * LEN;
    let long = [format!("${LEN}\r\n").as_bytes(), &vec![b'v'; LEN], b"\r\n"].concat();
    for _ in 0..2 {
        world.ask(0, b"", &long);
        for piece in [&b"*2\r\n$4\r\nECHO\r\n"[..], &long[..100_000], &long[100_000..]] {
            world.ask(0, piece, b"");
            world.settle();
        }
    }
    let straight = world.around.ring.kernel.past_buffers;
    assert!((2 * LEN - 130_000..=2 * LEN + 50).contains(&straight), "{straight}: all but what came first");
    // The first is read as the beginning of another long one; then the ring receives again.
    for _ in 0..10 {
        world.ask(0, ECHO.0, ECHO.1);
        world.settle();
    }
    assert_eq!(world.around.ring.kernel.past_buffers, straight + ECHO.0.len());
    let clients = world.clients.borrow();
    assert!(clients[0].taken == clients[0].expected, "{}", clients[0].taken.len());
}

#[test]
fn a_client_that_sends_no_more_and_reads_nothing_keeps_no_core_busy() {
    let mut world = two();
    world.clients.borrow_mut()[1].room = 0;
    world.ask(1, ECHO.0, ECHO.1);
    world.clients.borrow_mut()[1].eof = true;
    // Fails if it goes on for ever.
    world.settle();
    assert!(!world.clients.borrow()[1].over);
    world.clients.borrow_mut()[1].room = 1000;
    world.settle();
    let clients = world.clients.borrow();
    assert!(clients[1].over && clients[1].taken == clients[1].expected);
}

#[test]
fn names_are_told_apart() {
    use super::connections::Key;
    use Purpose::{Bell, Cancel, Doors, End, Input, Receive, Room, Send};
    for purpose in [Receive, Send, Input, Room, End, Cancel, Bell, Doors] {
        for one in [Key { index: 0, generation: 0 }, Key { index: u32::MAX, generation: (1 << 24) - 1 }] {
            let name = super::name(purpose, one);
            assert_eq!((Purpose::of(name), super::key(name)), (purpose, one));
        }
    }
}
