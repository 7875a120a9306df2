//! Messages: clients subscribe, publish, write keys and vanish, while batches are late.
//!
//! What must hold, by what the clients themselves could see: a message that was published (and answered) while a
//! subscription was confirmed and its end not yet asked for is received, once; nothing is received between the
//! confirmation of an UNSUBSCRIBE and the next of a SUBSCRIBE; per publisher and channel each subscriber sees the order
//! of publishing; PUBLISH's reply is no fewer than those who must receive it, and no more than those who may. Key events
//! are messages as well: of SETs of keys that nobody else writes. In the end no core knows of any subscription.

mod heard;

use std::collections::{HashMap, VecDeque};

use aspine::resp::Value;

use super::{Actors, Scene};
use crate::cluster::Conn;
use crate::rng::Rng;

const CHANNELS: usize = 4;
const NEVER: u64 = u64::MAX;
const KEY_EVENTS: &str = "__keyevent@0__:set";
/// Of keys that only they write.
pub const KEY_PREFIX: &str = "m:";

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

/// A message, published on some step and answered on another.
struct Message {
    channel: String,
    publisher: usize,
    began: u64,
    ended: u64,
}

/// One subscription: the steps at which it was asked for, confirmed, its end asked for, and that confirmed.
struct Span {
    client: usize,
    name: usize,
    asked: u64,
    confirmed: u64,
    left: u64,
    over: u64,
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
    publishes: bool,
    resp3: bool,
    greeted: bool,
    /// What is asked and not answered.
    owed: VecDeque<Asked>,
    /// The open span of each name it subscribes to.
    spans: HashMap<usize, usize>,
    /// Confirmations still to come of the command that is answered next.
    confirmations: usize,
    gone: bool,
}

/// All who publish and subscribe.
pub struct Messages {
    clients: Vec<Client>,
    messages: Vec<Message>,
    spans: Vec<Span>,
    count: usize,
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

impl Messages {
    /// So many clients at a time.
    pub fn new(count: usize) -> Messages {
        Messages { clients: Vec::new(), messages: Vec::new(), spans: Vec::new(), count }
    }

    fn publish(&mut self, at: usize, rng: &mut Rng) -> (Vec<u8>, Asked) {
        let number = self.messages.len();
        let text = number.to_string();
        let (channel, bytes) = match rng.below(CHANNELS + 2) {
            own if own < CHANNELS => {
                let channel = format!("news:{own}");
                let bytes = command(&["PUBLISH", &channel, &text]);
                (channel, bytes)
            }
            CHANNELS => ("shard:0".to_owned(), command(&["SPUBLISH", "shard:0", &text])),
            _ => (KEY_EVENTS.to_owned(), command(&["SET", &format!("{KEY_PREFIX}{text}"), "v"])),
        };
        let is_set = channel == KEY_EVENTS;
        self.messages.push(Message { channel, publisher: at, began: NEVER, ended: NEVER });
        (bytes, if is_set { Asked::Set(number) } else { Asked::Publish(number) })
    }
}

fn subscribe(rng: &mut Rng) -> (Vec<u8>, Asked) {
    let first = rng.below(NAMES.len());
    let ends = rng.one_in(2);
    let mut names = vec![first];
    // Several at once, of one kind.
    while rng.one_in(2) {
        let more = rng.below(NAMES.len());
        if NAMES[more].0 == NAMES[first].0 {
            names.push(more);
        }
    }
    let verb = if ends { NAMES[first].1 } else { NAMES[first].0 };
    let words: Vec<&str> = std::iter::once(verb).chain(names.iter().map(|name| NAMES[*name].2)).collect();
    (command(&words), if ends { Asked::Unsubscribe(names) } else { Asked::Subscribe(names) })
}

impl Actors for Messages {
    fn wants_another(&mut self, _: &mut Scene<'_>) -> bool {
        self.clients.iter().filter(|client| !client.gone).count() < self.count
    }

    fn arrive(&mut self, _: Conn, scene: &mut Scene<'_>) {
        self.clients.push(Client {
            publishes: self.clients.len().is_multiple_of(2),
            resp3: scene.rng.one_in(2),
            greeted: false,
            owed: VecDeque::new(),
            spans: HashMap::new(),
            confirmations: 0,
            gone: false,
        });
    }

    /// A client asks for something more, if it has not asked for too much.
    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8> {
        let client = &mut self.clients[at];
        if client.owed.len() >= 4 {
            return Vec::new();
        }
        let (bytes, asked) = if !std::mem::replace(&mut client.greeted, true) && client.resp3 {
            (command(&["HELLO", "3"]), Asked::Hello)
        } else if if client.resp3 { scene.rng.one_in(2) } else { client.publishes } {
            self.publish(at, scene.rng)
        } else {
            subscribe(scene.rng)
        };
        self.clients[at].owed.push_back(asked);
        bytes
    }

    /// From here on what it has asked may happen, and its subscriptions may end.
    fn reached(&mut self, at: usize, scene: &mut Scene<'_>) {
        for asked in &self.clients[at].owed {
            match asked {
                Asked::Publish(number) | Asked::Set(number) => {
                    let message = &mut self.messages[*number];
                    message.began = message.began.min(scene.step);
                }
                Asked::Unsubscribe(names) => {
                    for name in names {
                        if let Some(span) = self.clients[at].spans.get(name) {
                            self.spans[*span].left = self.spans[*span].left.min(scene.step);
                        }
                    }
                }
                // A span that is asked for and not confirmed begins, for those who may receive.
                Asked::Subscribe(_) | Asked::Hello => {}
            }
        }
    }

    fn hear(&mut self, at: usize, value: Value, scene: &mut Scene<'_>) -> Result<(), String> {
        match value {
            Value::Push(items) | Value::Array(Some(items)) => self.on_push(at, &items, scene),
            reply => self.on_reply(at, &reply, scene),
        }
    }

    fn owed(&self, at: usize) -> usize {
        self.clients[at].owed.len()
    }

    fn leave(&mut self, at: usize, scene: &mut Scene<'_>) {
        let client = &mut self.clients[at];
        client.gone = true;
        scene.marks.subscriber_vanished += u64::from(!client.spans.is_empty());
        for span in client.spans.values() {
            self.spans[*span].left = self.spans[*span].left.min(scene.step);
        }
    }

    /// What had to be received was.
    fn at_rest(&mut self, _: &mut Scene<'_>) -> Result<(), String> {
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
        Ok(())
    }
}
