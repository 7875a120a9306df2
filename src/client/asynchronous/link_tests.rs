//! A link without its driver: calls begin, are dropped, are late and lose the connection, in any order, and each gets its
//! own reply or none.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::client::encode;

#[derive(Clone, Debug)]
enum Step {
    /// A call with the given number of replies.
    Call(u32),
    /// One of the calls is polled.
    Poll(usize),
    /// One of the calls is dropped.
    Drop(usize),
    /// The driver takes all queued requests.
    Take,
    /// The server answers the given number of requests.
    Answer(usize),
    Tick,
    /// The connection breaks and is reopened.
    Break,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..4u32).prop_map(Step::Call),
        4 => (0..20usize).prop_map(Step::Poll),
        2 => (0..20usize).prop_map(Step::Drop),
        4 => Just(Step::Take),
        4 => (1..6usize).prop_map(Step::Answer),
        3 => Just(Step::Tick),
        1 => Just(Step::Break),
    ];
    vec(step, 1..200)
}

type Write = Box<dyn Fn(&mut Vec<u8>)>;

/// The link with its callers and the server behind it.
struct World {
    link: Arc<Link>,
    calls: Vec<(u32, Call<Write>)>,
    /// The requests that the server has got from the driver, each (number, replies).
    server: VecDeque<(u32, u32)>,
    next: u32,
    ticks: u64,
    /// The requests that the server has ever seen.
    seen: Vec<u32>,
}

impl World {
    fn new() -> World {
        let options = Options::new("h").timeout(Duration::from_secs(1));
        let link = Arc::new(Link::new(Arc::new(options)));
        link.on_connected(|_| None);
        World { link, calls: Vec::new(), server: VecDeque::new(), next: 0, ticks: 3, seen: Vec::new() }
    }

    fn call(&mut self, replies: u32) {
        let number = self.next;
        self.next += 1;
        let write: Write = Box::new(move |out| {
            for _ in 0..replies {
                encode::words(out, [format!("{number}:{replies}")].iter());
            }
        });
        let call = Call::new(self.link.clone(), Shape::Plain(replies), Some(self.ticks), write).start();
        self.calls.push((number, call));
    }

    fn take(&mut self) {
        let mut writing = Vec::new();
        let took = self.link.take_out(&mut writing, Waker::noop(), true);
        assert_eq!(took == Took::All, !writing.is_empty());
        let text = String::from_utf8(writing).unwrap();
        let mut words = text.split("\r\n").filter(|word| word.contains(':'));
        while let Some((number, replies)) = words.next().and_then(|word| word.split_once(':')) {
            let (number, replies) = (number.parse().unwrap(), replies.parse().unwrap());
            for _ in 1..replies {
                words.next().unwrap();
            }
            self.server.push_back((number, replies));
            self.seen.push(number);
        }
    }

    fn answer(&mut self, count: usize) {
        let mut values = Vec::new();
        for _ in 0..count {
            let Some((number, replies)) = self.server.pop_front() else { break };
            values.extend((0..replies).map(|at| Value::Integer(i64::from(number * 10 + at))));
        }
        self.link.on_values(&mut values, &mut Vec::new()).unwrap();
    }

    /// Polls one call; it is removed when it has its outcome.
    fn poll(&mut self, at: usize) -> Result<(), TestCaseError> {
        let at = at % self.calls.len();
        let (number, call) = &mut self.calls[at];
        let number = *number;
        let Poll::Ready(outcome) = Pin::new(call).poll(&mut Context::from_waker(Waker::noop())) else {
            return Ok(());
        };
        drop(self.calls.swap_remove(at));
        match outcome {
            Ok(replies) => {
                let mine: Vec<Value> =
                    (0..replies_of(&replies)).map(|at| Value::Integer(i64::from(number * 10 + at))).collect();
                prop_assert_eq!(replies.all(), mine);
            }
            Err(Failure::Final(error) | Failure::Lost(error, _)) => {
                // A request reported as not sent was not sent, and will not be.
                let sent = self.seen.contains(&number);
                prop_assert_eq!(error.fate(), Some(if sent { Fate::Unknown } else { Fate::NotSent }));
            }
        }
        Ok(())
    }
}

fn replies_of(replies: &Replies) -> u32 {
    match replies {
        Replies::One(_) => 1,
        Replies::Many(values) => values.len() as u32,
    }
}

proptest! {
    #[test]
    fn every_caller_gets_its_own_reply_or_none(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Call(replies) => world.call(replies),
                Step::Poll(at) if !world.calls.is_empty() => world.poll(at)?,
                Step::Drop(at) if !world.calls.is_empty() => {
                    let at = at % world.calls.len();
                    drop(world.calls.swap_remove(at));
                }
                Step::Poll(_) | Step::Drop(_) => {}
                Step::Take => world.take(),
                Step::Answer(count) => world.answer(count),
                Step::Tick => { world.link.on_tick(u64::MAX); }
                Step::Break => {
                    world.server.clear();
                    world.link.on_broken(Broken::Io(io::ErrorKind::ConnectionReset.into()));
                    world.link.on_connected(|_| None);
                }
            }
        }
        // In the end all are late or answered; nothing is left of them, however they ended.
        for _ in 0..world.ticks + 2 {
            world.link.on_tick(u64::MAX);
        }
        while !world.calls.is_empty() {
            let before = world.calls.len();
            world.poll(0)?;
            prop_assert!(world.calls.len() < before, "one waits for ever");
        }
        world.take();
        world.answer(usize::MAX);
        let state = world.link.state.lock();
        prop_assert_eq!((state.slots.used(), state.awaited.len(), state.taken), (0, 0, 0));
        prop_assert!(state.out.is_empty() && state.room.is_empty());
        prop_assert!(world.server.is_empty());
    }
}

#[test]
fn callers_wait_for_room_and_are_told_when_they_are_late() {
    let mut world = World::new();
    let huge: Write = Box::new(|out| out.resize(out.len() + CLIENT_UNSENT_BYTES_MAX, b'x'));
    let mut filling = Call::new(world.link.clone(), Shape::Plain(1), Some(9), huge).start();
    world.call(1);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut world.calls[0].1).poll(cx).is_pending());
    let in_line = |world: &World| world.link.state.lock().awaited.len();
    assert_eq!(in_line(&world), 1);
    // The driver takes the huge one: there is room.
    assert_eq!(world.link.take_out(&mut Vec::new(), Waker::noop(), true), Took::All);
    assert!(Pin::new(&mut world.calls[0].1).poll(cx).is_pending());
    assert_eq!(in_line(&world), 2);
    // One that finds none until it is late was not sent.
    let huge: Write = Box::new(|out| out.resize(out.len() + CLIENT_UNSENT_BYTES_MAX, b'x'));
    let mut second = Call::new(world.link.clone(), Shape::Plain(1), Some(9), huge).start();
    world.call(1);
    for _ in 0..5 {
        world.link.on_tick(u64::MAX);
    }
    let (_, mut late) = world.calls.pop().unwrap();
    let Poll::Ready(Err(Failure::Final(error))) = Pin::new(&mut late).poll(cx) else { panic!("it is not late") };
    assert!(matches!(error, Error::Timeout { fate: Fate::NotSent, .. }), "{error:?}");
    assert!(Pin::new(&mut filling).poll(cx).is_pending() && Pin::new(&mut second).poll(cx).is_pending());
}

#[test]
fn a_silent_server_is_given_up_only_while_it_owes_replies() {
    let mut world = World::new();
    assert!((0..100).all(|_| world.link.on_tick(2)), "it owes nothing");
    world.call(1);
    assert!((0..100).all(|_| world.link.on_tick(2)), "it has not been asked yet");
    world.call(1);
    world.take();
    assert!(world.link.on_tick(2) && world.link.on_tick(2) && !world.link.on_tick(2));
    world.answer(1);
    assert!((0..100).all(|_| world.link.on_tick(2)), "it has answered");
}

#[test]
fn what_a_server_says_unasked_is_a_fault() {
    let mut world = World::new();
    world.call(1);
    // The request is in line and has not left.
    let fault = world.link.on_values(&mut vec![Value::Integer(1)], &mut Vec::new());
    assert_eq!(fault, Err(Fault::Unasked));
}
