//! Fan-out: publishers on every core say more than the channels between the cores take, until each core is at its bound
//! for the others (`FANOUT_BYTES_MAX`).
//!
//! What must hold then: what is in the server stays bounded, since publishers are read no further; nothing is lost, and
//! each subscriber has each publisher's messages in their order; and once the cores take from each other again everything
//! comes to rest, although all of them were at the bound for one another at once.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use aspine::engine::files::FileAsk;
use aspine::engine::turn::{Outside, turn};
use aspine::engine::{Batch, Engine, Notice, Payload, SessionId};
use aspine::limits::{BATCH_BYTES_SEAL, FANOUT_BYTES_MAX, READ_BUFFER_BYTES, SESSION_ASKED_BYTES_MAX, SLICE_US};
use aspine::resp::Value;
use aspine::resp::reply::decode;
use aspine::shard::Eviction;
use aspine::slot::{CoreId, Slot};

use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;

/// Batches that a channel between two cores takes, in place of `CHANNEL_BATCHES`.
const ROOM: usize = 8;
/// Slices for which a turn has time.
const SLICES: u64 = 3;
const PUBLISHERS_OF_A_CORE: usize = 3;
const TEXT_BYTES_MAX: usize = 60_000;
/// Of channel, number and framing of a message.
const FRAME_BYTES_MAX: usize = 100;
/// Messages that each publisher has to say.
const MESSAGES: usize = 500;

/// From when on links stand still for the first time, and for how many steps each time: enough for cores to come to
/// their bounds.
const STILL_FROM: usize = 200;
const STILL_STEPS: usize = 1_500;

/// A bug planted beside the engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Publishers are read although their core does not want to.
    ReadsOn,
    /// A letter is lost, once.
    LostLetter,
    /// Two letters change places, once.
    SwappedLetters,
}

struct Publisher {
    conn: Conn,
    /// Said so far.
    count: usize,
    unsent: VecDeque<u8>,
    answered: usize,
}

struct Subscriber {
    conn: Conn,
    inbox: Vec<u8>,
    /// By publisher, how many of its messages have come.
    heard: Vec<usize>,
}

#[derive(Default, Debug)]
struct Marks {
    full: usize,
    all_full: usize,
    not_read: usize,
    most_bytes: usize,
}

struct World {
    cluster: Cluster,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    /// A channel of each core.
    channels: Vec<String>,
    /// Bytes of messages that a core has been handed and not all subscribers have, and how many lack each of these.
    bytes: usize,
    lacking: HashMap<(usize, usize), usize>,
    /// Links stand still until then.
    still_until: usize,
    rng: Rng,
    marks: Marks,
    fault: Option<Fault>,
}

/// The surroundings of one core in one turn: channels of `ROOM` batches, and time for three slices. Publishers and
/// subscribers come between turns.
struct Around<'a> {
    core: usize,
    links: &'a mut [Vec<VecDeque<Batch>>],
    /// By peer, how many batches are still received.
    due: Vec<usize>,
    /// Whether what comes next are slices, and how many there were.
    slicing: bool,
    slices: u64,
    fault: &'a mut Option<Fault>,
}

impl Outside for Around<'_> {
    type Error = Infallible;

    fn elapsed(&self) -> Duration {
        Duration::from_micros(SLICE_US * self.slices / SLICES)
    }

    fn receive(&mut self) -> Option<Batch> {
        let from = (0..self.due.len()).find(|from| self.due[*from] > 0 && !self.links[*from][self.core].is_empty())?;
        self.due[from] -= 1;
        self.links[from][self.core].pop_front()
    }

    fn serve(&mut self, _: &mut Engine, _: Duration, _: u64) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn hear_files(&mut self, _: &mut Engine, _: u64) -> bool {
        false
    }

    fn tick(&mut self, _: &mut Engine, _: u64) -> Result<(), Infallible> {
        self.slicing = true;
        Ok(())
    }

    fn after_event(&mut self, _: &mut Engine) {
        self.slices += u64::from(self.slicing);
    }

    fn send(&mut self, _: &mut Engine, _: SessionId, _: u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn pass_on(&mut self, engine: &mut Engine) -> bool {
        for (to, link) in (0..).zip(&mut self.links[self.core]) {
            while link.len() < ROOM
                && let Some(batch) = engine.take_batch(CoreId(to))
            {
                link.push_back(batch);
            }
            let is_letter = |batch: &Batch| matches!(batch.payload, Payload::Letter { .. });
            // Far enough apart for both to hold messages of one publisher.
            if let [one, _, _, _, _, other, ..] =
                (0..link.len()).filter(|at| is_letter(&link[*at])).collect::<Vec<_>>()[..]
            {
                match self.fault.take_if(|fault| *fault != Fault::ReadsOn) {
                    Some(Fault::LostLetter) => drop(link.remove(one)),
                    Some(Fault::SwappedLetters) => link.swap(one, other),
                    _ => {}
                }
            }
        }
        true
    }

    fn ask_files(&mut self, _: FileAsk) {}

    fn log(&mut self, _: Notice) {}
}

fn text_bytes(publisher: usize, number: usize) -> usize {
    TEXT_BYTES_MAX / 3 + (publisher * 7919 + number * 104_729) % (TEXT_BYTES_MAX * 2 / 3)
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut rng = Rng::new(seed, "fan-out");
        let cores = 2 + rng.below(2) as u16;
        let mut cluster = Cluster::new(&ClusterConfig {
            cores,
            items_max: u64::MAX,
            bytes_max: u64::MAX,
            eviction: Eviction::Lru,
            auth_key: None,
            seed,
            now_ms: 1_700_000_000_000,
        });
        let channel = |core: u16| {
            let owned = |name: &String| Slot::of(name.as_bytes()).owner(cores) == CoreId(core);
            (0..).map(|at| format!("channel:{at}")).find(owned).expect("a name for each core")
        };
        let channels: Vec<String> = (0..cores).map(channel).collect();
        let count = usize::from(cores) * PUBLISHERS_OF_A_CORE;
        let mut subscribers = Vec::new();
        for core in 0..usize::from(cores) {
            let conn = cluster.connect(core);
            cluster.bytes(conn, format!("SUBSCRIBE {}\r\n", channels.join(" ")).as_bytes());
            cluster.settle();
            let said = cluster.send(conn, usize::MAX);
            assert_eq!(said.iter().filter(|byte| **byte == b':').count(), channels.join(":").matches(':').count() + 1);
            subscribers.push(Subscriber { conn, inbox: Vec::new(), heard: vec![0; count] });
        }
        let publisher = |at: usize| Publisher {
            conn: cluster.connect(at / PUBLISHERS_OF_A_CORE),
            count: 0,
            unsent: VecDeque::new(),
            answered: 0,
        };
        World {
            publishers: (0..count).map(publisher).collect(),
            cluster,
            subscribers,
            channels,
            bytes: 0,
            lacking: HashMap::new(),
            still_until: 0,
            rng,
            marks: Marks::default(),
            fault,
        }
    }

    /// What may be in the server at once: messages for each peer, in channels, and what its clients have sent.
    fn bytes_max(&self) -> usize {
        let cores = self.channels.len();
        let message = TEXT_BYTES_MAX + FRAME_BYTES_MAX;
        let of_peer = FANOUT_BYTES_MAX + ROOM * BATCH_BYTES_SEAL + (ROOM + 2) * message;
        let of_publisher = SESSION_ASKED_BYTES_MAX + READ_BUFFER_BYTES + 3 * message;
        cores * (cores - 1) * of_peer + self.publishers.len() * of_publisher
    }

    fn step(&mut self, step: usize) -> Result<(), String> {
        for at in 0..self.publishers.len() {
            self.publish(at);
        }
        if step == STILL_FROM || self.rng.one_in(4 * STILL_STEPS) {
            self.still_until = step + STILL_STEPS;
        }
        for core in 0..self.channels.len() {
            self.turn(core, step < self.still_until);
        }
        for at in 0..self.subscribers.len() {
            self.hear(at)?;
        }
        for at in 0..self.publishers.len() {
            let said = self.cluster.send(self.publishers[at].conn, usize::MAX);
            self.publishers[at].answered += said.iter().filter(|byte| **byte == b':').count();
        }
        let full = self.cluster.engines.iter().filter(|engine| engine.message_bytes_max() >= FANOUT_BYTES_MAX).count();
        self.marks.full += full;
        self.marks.all_full += usize::from(full == self.channels.len());
        self.marks.most_bytes = self.marks.most_bytes.max(self.bytes);
        if self.bytes > self.bytes_max() {
            return Err(format!("{} bytes are in the server, where {} may be", self.bytes, self.bytes_max()));
        }
        Ok(())
    }

    /// A publisher says something more, as much of it as its core reads.
    fn publish(&mut self, at: usize) {
        let Publisher { conn, count, unsent, .. } = &mut self.publishers[at];
        if unsent.is_empty() && *count < MESSAGES {
            // There is an order per publisher and channel, so each has one: of its own core, or of the next.
            let abroad = at.is_multiple_of(PUBLISHERS_OF_A_CORE);
            let channel = (conn.core + usize::from(abroad)) % self.channels.len();
            let head = format!("{at}:{count}:");
            let text = head.clone() + &"x".repeat(text_bytes(at, *count) - head.len());
            let channel = &self.channels[channel];
            let request =
                format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n${}\r\n{text}\r\n", channel.len(), text.len());
            unsent.extend(request.into_bytes());
            self.bytes += text.len();
            self.lacking.insert((at, *count), self.subscribers.len());
            *count += 1;
        }
        let reads = self.cluster.engines[conn.core].wants_read(conn.id);
        self.marks.not_read += usize::from(!reads);
        if reads || self.fault == Some(Fault::ReadsOn) {
            let some = unsent.len().min(READ_BUFFER_BYTES);
            let bytes: Vec<u8> = unsent.drain(..some).collect();
            if !bytes.is_empty() {
                self.cluster.bytes(*conn, &bytes);
            }
        }
    }

    /// One turn: some batches come, unless the links stand still; as many leave as the channels take.
    fn turn(&mut self, core: usize, still: bool) {
        let World { cluster, rng, fault, .. } = self;
        let Cluster { engines, links, now_ms, .. } = cluster;
        let due = links.iter().map(|_| if still { 0 } else { rng.below(4) }).collect();
        let mut around = Around { core, links, due, slicing: false, slices: 0, fault };
        let Ok(_) = turn(&mut engines[core], &mut around, *now_ms);
        if rng.one_in(64) {
            engines[core].verify();
        }
    }

    /// A subscriber reads whatever there is for it.
    fn hear(&mut self, at: usize) -> Result<(), String> {
        loop {
            let said = self.cluster.send(self.subscribers[at].conn, 1 << 20);
            if said.is_empty() {
                return Ok(());
            }
            let Subscriber { inbox, heard, .. } = &mut self.subscribers[at];
            inbox.extend_from_slice(&said);
            let mut read = 0;
            while let Some((value, len)) = decode(&inbox[read..]).map_err(|error| format!("{error}"))? {
                read += len;
                let Value::Array(Some(parts)) = value else { return Err(format!("{value:?}")) };
                let [_, _, Value::Bulk(Some(text))] = &parts[..] else { return Err(format!("{parts:?}")) };
                let head = String::from_utf8_lossy(&text[..20]);
                let mut numbers = head.split(':').map(|number| number.parse().unwrap_or(usize::MAX));
                let (Some(publisher), Some(number)) = (numbers.next(), numbers.next()) else { return Err(head.into()) };
                if heard[publisher] != number || text.len() != text_bytes(publisher, number) {
                    let expected = heard[publisher];
                    return Err(format!("{at} hears {number} of {publisher} where {expected} was to come"));
                }
                heard[publisher] += 1;
                let lacking =
                    self.lacking.get_mut(&(publisher, number)).ok_or("heard more often than there are ears")?;
                *lacking -= 1;
                if *lacking == 0 {
                    self.lacking.remove(&(publisher, number));
                    self.bytes -= text.len();
                }
            }
            inbox.drain(..read);
        }
    }

    fn is_over(&self) -> bool {
        self.publishers.iter().all(|publisher| publisher.answered == MESSAGES) && self.lacking.is_empty()
    }
}

fn run(seed: u64, fault: Option<Fault>) -> Result<Marks, String> {
    let mut world = World::new(seed, fault);
    for step in 0..200_000 {
        world.step(step).map_err(|error| format!("seed {seed}, step {step}: {error}"))?;
        if world.is_over() {
            world.cluster.settle();
            let left = world.cluster.engines.iter().map(|engine| engine.message_bytes_max()).max();
            assert_eq!(left, Some(0), "seed {seed}: bytes of messages that have left are not counted");
            return Ok(world.marks);
        }
    }
    let said: Vec<_> = world.publishers.iter().map(|publisher| (publisher.count, publisher.answered)).collect();
    Err(format!(
        "seed {seed}: it never ends: {said:?} said and answered of {MESSAGES}, {} lacking",
        world.lacking.len()
    ))
}

#[test]
fn cores_at_their_bounds_for_one_another_lose_nothing_and_go_on() {
    let mut all = Marks::default();
    for seed in 0..3 {
        let marks = run(seed, None).unwrap_or_else(|error| panic!("{error}"));
        eprintln!("{marks:?}");
        all.full += marks.full;
        all.all_full += marks.all_full;
        all.not_read += marks.not_read;
    }
    assert!(all.full > 0, "never reached: a core at its bound");
    assert!(all.all_full > 0, "never reached: all cores at their bounds for one another");
    assert!(all.not_read > 0, "never reached: a publisher that is not read");
}

#[test]
fn a_bound_that_is_not_kept_is_found() {
    let error = run(0, Some(Fault::ReadsOn)).expect_err("publishers are read on");
    assert!(error.contains("bytes are in the server"), "{error}");
}

#[test]
fn a_lost_letter_and_a_swapped_one_are_found() {
    for fault in [Fault::LostLetter, Fault::SwappedLetters] {
        let error = run(0, Some(fault)).expect_err("it went unnoticed");
        assert!(error.contains("was to come"), "{fault:?}: {error}");
    }
}

#[test]
fn keys_that_expire_wait_while_a_core_is_at_its_bound() {
    let mut cluster = Cluster::new(&ClusterConfig {
        cores: 2,
        items_max: u64::MAX,
        bytes_max: u64::MAX,
        eviction: Eviction::Lru,
        auth_key: None,
        seed: 1,
        now_ms: 1_700_000_000_000,
    });
    let ear = cluster.connect(1);
    cluster.bytes(ear, b"SUBSCRIBE __keyevent@0__:expired\r\n");
    cluster.settle();
    cluster.send(ear, usize::MAX);
    let (key_bytes, keys) = (20_000, 1_200);
    let writer = cluster.connect(0);
    for at in 0..keys {
        let key = format!("{{{}}}{at:0>key_bytes$}", owned_by(0));
        let set = format!("*5\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$1\r\nv\r\n$2\r\nPX\r\n$1\r\n5\r\n", key.len());
        cluster.bytes(writer, set.as_bytes());
    }
    cluster.settle();
    // The other core takes nothing, while turn after turn keys expire: events by themselves, since a turn passes on its
    // batches.
    cluster.tick(10);
    let most = FANOUT_BYTES_MAX + 200 * (key_bytes + FRAME_BYTES_MAX);
    for _ in 0..keys {
        let engine = &mut cluster.engines[0];
        if engine.has_backlog() {
            engine.on_slice(cluster.now_ms);
        }
        engine.on_turn_end(0);
        let waiting = engine.message_bytes_max();
        assert!(waiting <= most, "{waiting} bytes of messages wait where {most} may");
    }
    assert!(cluster.engines[0].message_bytes_max() >= FANOUT_BYTES_MAX, "the bound is reached");
    // It takes again: nothing was lost.
    cluster.settle();
    let mut heard = Vec::new();
    loop {
        let said = cluster.send(ear, usize::MAX);
        cluster.tick(1);
        cluster.settle();
        if said.is_empty() {
            break;
        }
        heard.extend(said);
    }
    assert_eq!(heard.windows(15).filter(|bytes| bytes == b"event@0__:expir").count(), keys);
}

/// A hash tag that core `core` of two owns.
fn owned_by(core: u16) -> String {
    let owned = |tag: &String| Slot::of(format!("{{{tag}}}").as_bytes()).owner(2) == CoreId(core);
    (0..).map(|at| at.to_string()).find(owned).expect("a tag for each core")
}
