//! Messages: clients subscribe, publish, write keys and vanish, on one to four cores, while batches are late.
//!
//! What must hold, by what the clients themselves could see: a message that was published (and answered) while a
//! subscription was confirmed and its end not yet asked for is received, once; nothing is received between the
//! confirmation of an UNSUBSCRIBE and the next of a SUBSCRIBE; per publisher and channel each subscriber sees the order
//! of publishing; PUBLISH's reply is no fewer than those who must receive it, and no more than those who may. Key events
//! are messages as well: of SETs of keys that nobody else writes. In the end no core knows of any subscription.

mod heard;

use std::collections::{HashMap, VecDeque};

use aspine::engine::Notice;
use aspine::engine::batch::{Batch, Payload};
use aspine::resp::Value;
use aspine::resp::reply::decode;
use aspine::shard::Eviction;

use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;
use crate::seeds::{quietly, run_each};

const STEPS: usize = 5_000;
const CHANNELS: usize = 4;
const NEVER: usize = usize::MAX;
const KEY_EVENTS: &str = "__keyevent@0__:set";

/// What can be subscribed to: command, opposite, name. The last three match several channels, or are key events.
const NAMES: [(&str, &str, &str); 8] = [
    ("SUBSCRIBE", "UNSUBSCRIBE", "news:0"),
    ("SUBSCRIBE", "UNSUBSCRIBE", "news:1"),
    ("SUBSCRIBE", "UNSUBSCRIBE", "news:2"),
    ("SUBSCRIBE", "UNSUBSCRIBE", "news:3"),
    ("SSUBSCRIBE", "SUNSUBSCRIBE", "shard:0"),
    ("PSUBSCRIBE", "PUNSUBSCRIBE", "news:*"),
    ("PSUBSCRIBE", "PUNSUBSCRIBE", "n*[13]"),
    ("SUBSCRIBE", "UNSUBSCRIBE", KEY_EVENTS),
];

/// Whether a name of `NAMES` gets the messages of a channel.
fn gets(name: usize, channel: &str) -> bool {
    match name {
        5 => channel.starts_with("news:"),
        6 => channel == "news:1" || channel == "news:3",
        _ => NAMES[name].2 == channel,
    }
}

/// A bug planted in the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A letter is lost now and then.
    LostLetter,
    /// Two letters of one pair change places.
    SwappedLetters,
    /// An answer overtakes the letter before it: subscriptions end too early.
    HastyAnswer,
}

/// A message, published on some step and answered on another.
struct Message {
    channel: String,
    publisher: usize,
    began: usize,
    ended: usize,
}

/// One subscription: the steps at which it was asked for, confirmed, its end asked for, and that confirmed.
struct Span {
    client: usize,
    name: usize,
    asked: usize,
    confirmed: usize,
    left: usize,
    over: usize,
    received: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Asked {
    Publish(usize),
    Set(usize),
    Subscribe(Vec<usize>),
    Unsubscribe(Vec<usize>),
    Hello,
}

struct Client {
    conn: Conn,
    publishes: bool,
    resp3: bool,
    unsent: VecDeque<u8>,
    inbox: Vec<u8>,
    /// What is asked and not answered.
    owed: VecDeque<Asked>,
    /// The open span of each name it subscribes to.
    spans: HashMap<usize, usize>,
    /// Confirmations still to come of the command that is answered next.
    confirmations: usize,
    gone: bool,
}

#[derive(Default, Debug)]
struct Marks {
    received: u64,
    by_pattern: u64,
    key_events: u64,
    ended_between: u64,
    vanished: u64,
    late_letters: u64,
    own: u64,
}

struct World {
    cluster: Cluster,
    clients: Vec<Client>,
    messages: Vec<Message>,
    spans: Vec<Span>,
    step: usize,
    /// A link that stands still, and until when.
    frozen: (usize, usize, usize),
    network: Rng,
    work: Rng,
    marks: Marks,
    fault: Option<Fault>,
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut work = Rng::new(seed, "messages");
        let cores = 1 + work.below(4) as u16;
        let cluster = Cluster::new(&ClusterConfig {
            cores: if fault.is_some() { 2 + cores % 3 } else { cores },
            items_max: u64::MAX,
            bytes_max: u64::MAX,
            eviction: Eviction::Lru,
            auth_key: None,
            seed,
            now_ms: 1_700_000_000_000,
        });
        let network = Rng::new(seed, "messages network");
        let (clients, messages, spans) = (Vec::new(), Vec::new(), Vec::new());
        let mut world = World {
            cluster,
            clients,
            messages,
            spans,
            step: 0,
            frozen: (0, 0, 0),
            network,
            work,
            marks: Marks::default(),
            fault,
        };
        for at in 0..4 + world.work.below(6) {
            world.arrive(at % 2 == 0);
        }
        world
    }

    fn arrive(&mut self, publishes: bool) {
        let core = self.work.below(self.cluster.engines.len());
        let mut client = Client {
            conn: self.cluster.connect(core),
            publishes,
            resp3: self.work.one_in(2),
            unsent: VecDeque::new(),
            inbox: Vec::new(),
            owed: VecDeque::new(),
            spans: HashMap::new(),
            confirmations: 0,
            gone: false,
        };
        if client.resp3 {
            client.unsent.extend(command(&["HELLO", "3"]));
            client.owed.push_back(Asked::Hello);
        }
        self.clients.push(client);
    }

    fn step(&mut self) -> Result<(), String> {
        self.step += 1;
        let core = self.network.below(self.cluster.engines.len());
        if self.network.one_in(20) {
            self.cluster.tick_unevenly(self.network.next(), 10);
        }
        for _ in 0..3 {
            let at = self.work.below(self.clients.len());
            self.ask(at);
        }
        if self.work.one_in(150) {
            let at = self.work.below(self.clients.len());
            self.vanish(at);
        }
        for _ in 0..self.network.below(3) {
            let from = self.network.below(self.cluster.engines.len());
            if self.network.one_in(100) && self.frozen.2 < self.step {
                self.frozen = (from, core, self.step + 150);
            }
            if (from, core) == (self.frozen.0, self.frozen.1) && self.step < self.frozen.2 {
                continue;
            }
            self.strike(from, core);
            self.marks.late_letters += u64::from(self.cluster.links[from][core].len() > 3);
            self.cluster.deliver(from, core);
        }
        for at in 0..self.clients.len() {
            if self.clients[at].conn.core == core && !self.clients[at].gone && !self.network.one_in(3) {
                self.socket(at)?;
            }
        }
        self.turn(core);
        Ok(())
    }

    fn turn(&mut self, core: usize) {
        let engine = &mut self.cluster.engines[core];
        for _ in 0..self.network.below(4) {
            if engine.has_backlog() {
                engine.on_slice(self.cluster.now_ms);
            }
        }
        // A turn may end with some of those who are told something left.
        while engine.take_ready().is_some() && !(engine.only_tells() && self.network.one_in(3)) {}
        while let Some(Notice::CutOff(_)) = engine.take_notice() {}
        if self.network.one_in(2) {
            self.cluster.end_turn(core);
        }
        if self.network.one_in(64) {
            self.cluster.engines[core].verify();
        }
    }

    /// A client asks for something more, if it has not asked for too much.
    fn ask(&mut self, at: usize) {
        if self.clients[at].gone || self.clients[at].owed.len() >= 4 {
            return;
        }
        let publishes = if self.clients[at].resp3 { self.work.one_in(2) } else { self.clients[at].publishes };
        let (bytes, asked) = if publishes { self.publish(at) } else { self.subscribe(at) };
        let client = &mut self.clients[at];
        client.unsent.extend(bytes);
        client.owed.push_back(asked);
    }

    fn publish(&mut self, at: usize) -> (Vec<u8>, Asked) {
        let number = self.messages.len();
        let text = number.to_string();
        let (channel, bytes) = match self.work.below(CHANNELS + 2) {
            own if own < CHANNELS => {
                let channel = format!("news:{own}");
                let bytes = command(&["PUBLISH", &channel, &text]);
                (channel, bytes)
            }
            CHANNELS => ("shard:0".to_owned(), command(&["SPUBLISH", "shard:0", &text])),
            _ => (KEY_EVENTS.to_owned(), command(&["SET", &text, "v"])),
        };
        let is_set = channel == KEY_EVENTS;
        self.messages.push(Message { channel, publisher: at, began: NEVER, ended: NEVER });
        (bytes, if is_set { Asked::Set(number) } else { Asked::Publish(number) })
    }

    fn subscribe(&mut self, at: usize) -> (Vec<u8>, Asked) {
        let first = self.work.below(NAMES.len());
        let ends = self.work.one_in(2);
        let mut names = vec![first];
        // Several at once, of one kind.
        while self.work.one_in(2) {
            let more = self.work.below(NAMES.len());
            if NAMES[more].0 == NAMES[first].0 {
                names.push(more);
            }
        }
        let verb = if ends { NAMES[first].1 } else { NAMES[first].0 };
        let words: Vec<&str> = std::iter::once(verb).chain(names.iter().map(|name| NAMES[*name].2)).collect();
        let _ = at;
        (command(&words), if ends { Asked::Unsubscribe(names) } else { Asked::Subscribe(names) })
    }

    /// A client's connection breaks.
    fn vanish(&mut self, at: usize) {
        if self.clients[at].gone {
            return;
        }
        let conn = self.clients[at].conn;
        self.cluster.engines[conn.core].on_disconnect(conn.id);
        let client = &mut self.clients[at];
        client.gone = true;
        self.marks.vanished += u64::from(!client.spans.is_empty());
        for span in client.spans.values() {
            self.spans[*span].left = self.spans[*span].left.min(self.step);
        }
        if self.clients.iter().filter(|client| !client.gone).count() < 12 {
            let publishes = self.work.one_in(2);
            self.arrive(publishes);
        }
    }

    /// Bytes go both ways between a client and its core.
    fn socket(&mut self, at: usize) -> Result<(), String> {
        let client = &mut self.clients[at];
        let conn = client.conn;
        if self.cluster.engines[conn.core].wants_read(conn.id) {
            let some = client.unsent.len().min(1 + self.network.below(120));
            let bytes: Vec<u8> = client.unsent.drain(..some).collect();
            if !bytes.is_empty() {
                self.note_begun(at);
                self.cluster.bytes(conn, &bytes);
            }
        }
        if self.network.one_in(4) {
            return Ok(());
        }
        let said = self.cluster.send(conn, 1 + self.network.below(400));
        self.hear(at, &said)
    }

    /// Some bytes of a client reach its core: from here on what it has asked may happen, and its subscriptions may end.
    fn note_begun(&mut self, at: usize) {
        for asked in &self.clients[at].owed {
            match asked {
                Asked::Publish(number) | Asked::Set(number) => {
                    let message = &mut self.messages[*number];
                    message.began = message.began.min(self.step);
                }
                Asked::Unsubscribe(names) => {
                    for name in names {
                        if let Some(span) = self.clients[at].spans.get(name) {
                            self.spans[*span].left = self.spans[*span].left.min(self.step);
                        }
                    }
                }
                // A span that is asked for and not confirmed begins, for those who may receive.
                Asked::Subscribe(_) | Asked::Hello => {}
            }
        }
    }

    fn strike(&mut self, from: usize, to: usize) {
        let link = &mut self.cluster.links[from][to];
        let is_letter = |batch: &Batch| matches!(batch.payload, Payload::Letter { .. });
        match self.fault {
            Some(Fault::LostLetter) if link.front().is_some_and(is_letter) && self.network.one_in(20) => {
                link.pop_front();
            }
            Some(Fault::SwappedLetters) => {
                let letters: Vec<usize> = (0..link.len()).filter(|at| is_letter(&link[*at])).collect();
                if let [one, other, ..] = letters[..] {
                    link.swap(one, other);
                }
            }
            Some(Fault::HastyAnswer) => {
                let letter = link.iter().position(is_letter);
                let answer = link.iter().rposition(|batch| matches!(batch.payload, Payload::Replies { .. }));
                if let (Some(letter), Some(answer)) = (letter, answer)
                    && letter < answer
                    && let Some(batch) = link.remove(answer)
                {
                    link.insert(letter, batch);
                }
            }
            _ => {}
        }
    }

    /// Everything comes to rest: what had to be received was; then everybody goes, and nothing is left behind.
    fn end(&mut self) -> Result<(), String> {
        for _ in 0..400 {
            self.step += 1;
            for at in 0..self.clients.len() {
                if !self.clients[at].gone {
                    self.socket(at)?;
                }
            }
            self.cluster.settle();
        }
        if let Some(at) = self.clients.iter().position(|client| !client.gone && !client.owed.is_empty()) {
            return Err(format!("client {at} is owed {:?}", self.clients[at].owed));
        }
        for span in self.spans.iter().filter(|span| !self.clients[span.client].gone) {
            for (number, message) in self.messages.iter().enumerate() {
                let must = gets(span.name, &message.channel)
                    && span.confirmed < message.began
                    && message.ended < span.left
                    && message.began != NEVER;
                if must && !span.received.contains(&number) {
                    let Span { client, name, asked, left, .. } = span;
                    let name = NAMES[*name].2;
                    return Err(format!("message {number} is lost: {client} had {name} from {asked} to {left}"));
                }
            }
        }
        for at in 0..self.clients.len() {
            self.vanish(at);
        }
        for client in std::mem::take(&mut self.clients) {
            self.cluster.engines[client.conn.core].on_disconnect(client.conn.id);
        }
        self.cluster.settle();
        for (core, engine) in self.cluster.engines.iter().enumerate() {
            engine.verify();
            let left = (engine.session_count(), engine.tickets_open(), engine.names_subscribed());
            if left != (0, 0, 0) || !engine.is_idle() {
                return Err(format!("core {core}: sessions, tickets, names {left:?}"));
            }
        }
        Ok(())
    }
}

fn run(seed: u64, fault: Option<Fault>) -> Result<Marks, String> {
    let mut world = World::new(seed, fault);
    for _ in 0..STEPS {
        world.step()?;
    }
    world.end()?;
    Ok(world.marks)
}

#[test]
fn every_seed_keeps_messages_whole_and_in_order() {
    let mut all = Marks::default();
    let whole = run_each(60, |seed| {
        let marks = run(seed, None)?;
        all.received += marks.received;
        all.by_pattern += marks.by_pattern;
        all.key_events += marks.key_events;
        all.ended_between += marks.ended_between;
        all.vanished += marks.vanished;
        all.late_letters += marks.late_letters;
        all.own += marks.own;
        Ok(())
    });
    let Marks { received, by_pattern, key_events, ended_between, vanished, late_letters, own } = all;
    eprintln!("{all:?}");
    for (reached, what) in [
        (received, "a message"),
        (by_pattern, "a message by a pattern"),
        (key_events, "a key event"),
        (ended_between, "an UNSUBSCRIBE"),
        (vanished, "a subscriber that vanished"),
        (late_letters, "a core far behind another"),
        (own, "a message to its publisher"),
    ] {
        assert!(reached > 0 || !whole, "never reached: {what}");
    }
}

fn must_be_found(fault: Fault) {
    let broken = |seed| std::panic::catch_unwind(|| run(seed, Some(fault)).is_err()).unwrap_or(true);
    assert!(quietly(|| (0..40).any(broken)), "{fault:?} went unnoticed");
}

#[test]
fn a_lost_letter_is_found() {
    must_be_found(Fault::LostLetter);
}

#[test]
fn letters_that_change_places_are_found() {
    must_be_found(Fault::SwappedLetters);
}

#[test]
fn an_answer_that_overtakes_a_letter_is_found() {
    must_be_found(Fault::HastyAnswer);
}
