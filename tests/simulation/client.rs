//! Client: one connection as its user sees it: what it asked, in order, and what each reply must be.

use aspine::resp::Value;
use aspine::resp::reply::decode;
use aspine::slot::Slot;

use crate::actors;
use crate::cluster::Conn;
use crate::linear::NEVER;
use crate::marks::Marks;
use crate::ops::{Mode, Op, Outcome, TWINS, key_name, outcome, show};

/// A command that was written to the socket.
#[derive(Clone, Debug)]
pub struct Sent {
    pub op: Op,
    pub resp3: bool,
    /// No reply is to come.
    pub muted: bool,
    /// Where in the stream of bytes it ends.
    pub ends_at: usize,
    /// Step at which the server had all of it, `NEVER` if it never had.
    pub begin: u64,
    /// Step at which the reply was there.
    pub end: u64,
    /// For each of its parts.
    pub outcomes: Vec<Outcome>,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    pub conn: Conn,
    /// What CLIENT ID said.
    pub id: Option<u64>,
    pub sent: Vec<Sent>,
    /// The first command that may still be answered.
    pub awaiting: usize,
    /// All bytes written, and how many of them the server has.
    pub stream: Vec<u8>,
    pub delivered: usize,
    inbox: Vec<u8>,
    /// What the server last said about reading from it.
    pub is_read: bool,
    /// So much waited for it at the last look that none of its commands ran.
    pub is_full: bool,
    /// The socket takes nothing more until the client reads.
    pub blocked: bool,
    /// The client does not read before this step.
    pub stalled_until: u64,
    /// The client sends nothing more, and the server is to hear of it.
    pub eof: bool,
    pub eof_told: bool,
    /// The connection breaks when its core next looks at sockets.
    pub leaves: bool,
    /// Closed, by whomever.
    pub gone: bool,
    /// Nothing further is to be asked.
    pub ended: bool,
    /// The kind of actors that it is one of, and its number there; otherwise it asks by `ask`.
    pub actor: Option<(usize, usize)>,
    /// Replies that an actor of a kind waits for.
    pub owes_actor: usize,
    /// Not all that it said will arrive.
    pub is_cut: bool,
    /// Replies that nobody looks at, before all others.
    pub skips: usize,
    pub cursor: u64,
    pub scanned: Vec<Vec<u8>>,
    /// The last DBSIZE, and the last KEYS.
    pub dbsize: Option<i64>,
    pub keys: Vec<Vec<u8>>,
    resp3: bool,
    mode: Mode,
}

impl Client {
    /// A client that has said nothing.
    pub fn new(conn: Conn) -> Client {
        Client {
            conn,
            id: None,
            sent: Vec::new(),
            awaiting: 0,
            stream: Vec::new(),
            delivered: 0,
            inbox: Vec::new(),
            is_read: true,
            is_full: false,
            blocked: false,
            stalled_until: 0,
            eof: false,
            eof_told: false,
            leaves: false,
            gone: false,
            ended: false,
            actor: None,
            owes_actor: 0,
            is_cut: false,
            skips: 0,
            cursor: 0,
            scanned: Vec::new(),
            dbsize: None,
            keys: Vec::new(),
            resp3: false,
            mode: Mode::On,
        }
    }

    /// Writes a command.
    pub fn ask(&mut self, op: Op, inline: bool, large: bool) {
        if let Op::Garbage(bytes) = &op {
            self.stream.extend_from_slice(bytes.as_bytes());
        } else {
            write_command(&op.words(large), inline, &mut self.stream);
        }
        match op {
            Op::Hello(version) => self.resp3 = version == 3,
            Op::Reset => self.resp3 = false,
            _ => {}
        }
        let muted = match op {
            Op::Reset | Op::Reply(Mode::On) => false,
            Op::Reply(_) => true,
            _ => self.mode != Mode::On,
        };
        self.mode = match op {
            Op::Reset => Mode::On,
            Op::Reply(Mode::Skip) if self.mode == Mode::Off => Mode::Off,
            Op::Reply(mode) => mode,
            _ if self.mode == Mode::Skip => Mode::On,
            _ => self.mode,
        };
        self.ended |= matches!(op, Op::Garbage(_) | Op::Quit);
        let outcomes = vec![Outcome::Unknown; op.parts().len()];
        let ends_at = self.stream.len();
        self.sent.push(Sent { op, resp3: self.resp3, muted, ends_at, begin: NEVER, end: NEVER, outcomes });
    }

    /// Bytes that wait to be delivered.
    pub fn undelivered(&self) -> &[u8] {
        &self.stream[self.delivered..]
    }

    /// Commands that the server has and that are to be answered.
    pub fn owed(&self) -> usize {
        if self.actor.is_some() {
            return self.owes_actor;
        }
        self.sent[self.awaiting..].iter().filter(|sent| sent.begin != NEVER && !sent.muted).count()
    }

    /// Notes what the server now has. Returns the commands that this completed.
    pub fn on_delivered(&mut self, bytes: usize, step: u64) -> std::ops::Range<usize> {
        self.delivered += bytes;
        let first = self.sent.partition_point(|sent| sent.begin != NEVER);
        let mut end = first;
        while let Some(sent) = self.sent.get_mut(end).filter(|sent| sent.ends_at <= self.delivered) {
            sent.begin = step;
            end += 1;
        }
        first..end
    }

    /// Takes in bytes of the server, and checks every reply that is whole.
    pub fn on_replies(&mut self, bytes: &[u8], step: u64, large: bool, marks: &mut Marks) -> Result<(), String> {
        self.inbox.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let decoded = decode(&self.inbox[at..]);
            let Some((value, len)) = decoded.map_err(|error| format!("a reply can't be read: {error}"))? else { break };
            at += len;
            while let Some(muted) = self.sent.get(self.awaiting).filter(|sent| sent.muted && sent.begin != NEVER) {
                debug_assert!(muted.muted);
                marks.muted += 1;
                self.awaiting += 1;
            }
            let Some(sent) = self.sent.get_mut(self.awaiting).filter(|sent| sent.begin != NEVER) else {
                return Err(format!("a reply to nothing: {}", show(&value)));
            };
            sent.end = step;
            sent.outcomes = check(sent, &value, large)?;
            if matches!(value, Value::Null) {
                marks.resp3_null += 1;
            }
            self.awaiting += 1;
            self.note(self.awaiting - 1, &value, marks);
        }
        self.inbox.drain(..at);
        Ok(())
    }

    /// Takes in bytes of the server, for an actor: the values that are whole.
    pub fn on_values(&mut self, bytes: &[u8]) -> Result<Vec<Value>, String> {
        self.inbox.extend_from_slice(bytes);
        let (mut values, mut at) = (Vec::new(), 0);
        while let Some((value, len)) =
            decode(&self.inbox[at..]).map_err(|error| format!("a reply can't be read: {error}"))?
        {
            at += len;
            if self.skips > 0 {
                self.skips -= 1;
            } else {
                values.push(value);
            }
        }
        self.inbox.drain(..at);
        Ok(values)
    }

    /// Whether a reply is there in part.
    pub fn is_torn(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Keeps what later commands or checks need of a reply.
    fn note(&mut self, at: usize, value: &Value, marks: &mut Marks) {
        let names = |values: &[Value]| {
            let name = |value: &Value| if let Value::Bulk(Some(name)) = value { name.clone() } else { Vec::new() };
            values.iter().map(name).collect::<Vec<_>>()
        };
        match (&self.sent[at].op, value) {
            (Op::ClientId, Value::Integer(id)) => self.id = u64::try_from(*id).ok(),
            (Op::DbSize, Value::Integer(size)) => self.dbsize = Some(*size),
            (Op::Keys, Value::Array(Some(keys))) => self.keys = names(keys),
            (Op::GetTwins, _) => marks.twins_read += 1,
            (Op::Garbage(_), _) => marks.protocol_error += 1,
            (Op::Scan { cursor, .. }, Value::Array(Some(parts))) => {
                if let [Value::Bulk(Some(next)), Value::Array(Some(keys))] = parts.as_slice() {
                    let next = String::from_utf8_lossy(next).parse().unwrap_or(0);
                    marks.scan_crossed += u64::from(next >> 32 > cursor >> 32);
                    self.cursor = next;
                    self.scanned.extend(names(keys));
                }
            }
            _ => {}
        }
    }
}

/// Whether the server of so many cores runs this on another core than `home`, as a whole.
pub fn is_remote(op: &Op, home: usize, cores: usize) -> bool {
    let parts = op.parts();
    parts.len() == 1 && owner(parts[0].0, cores) != home
}

/// The core of a key.
pub fn owner(key: usize, cores: usize) -> usize {
    usize::from(Slot::of(&key_name(key)).owner(cores as u16).0)
}

fn write_command(words: &[Vec<u8>], inline: bool, out: &mut Vec<u8>) {
    let plain = |word: &Vec<u8>| {
        !word.is_empty()
            && word.len() < 100
            && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b":{}-".contains(byte))
    };
    if inline && words.iter().all(plain) {
        out.extend_from_slice(&words.join(&b' '));
        out.extend_from_slice(b"\r\n");
        return;
    }
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn is_known(name: &Value) -> bool {
    let Value::Bulk(Some(name)) = name else { return false };
    name.starts_with(b"fill:")
        || actors::owns(name)
        || TWINS.contains(&name.as_slice())
        || (0..64).any(|key| key_name(key) == *name)
}

/// Whether a reply is one that its command may have; what it tells of each part.
fn check(sent: &Sent, reply: &Value, large: bool) -> Result<Vec<Outcome>, String> {
    let parts = sent.op.parts();
    let ok = *reply == Value::Simple(b"OK".to_vec());
    let begins = |text: &str| matches!(reply, Value::Error(error) if error.starts_with(text.as_bytes()));
    let null = if sent.resp3 { Value::Null } else { Value::Bulk(None) };
    let unknown = vec![Outcome::Unknown; parts.len()];
    let right = match (&sent.op, reply) {
        (Op::One(_, action), _) => return Ok(vec![outcome(action, reply, sent.resp3, large)?]),
        (Op::MGet(_), Value::Array(Some(items))) if items.len() == parts.len() => {
            let each = parts.iter().zip(items);
            return each.map(|((_, action), item)| outcome(action, item, sent.resp3, large)).collect();
        }
        (Op::MSet(_), _) if ok => return Ok(vec![Outcome::Ok; parts.len()]),
        (Op::MSet(_) | Op::SetTwins(_), _) => ok || begins("OOM "),
        (Op::Del(_) | Op::Exists(_), Value::Integer(count)) => {
            if parts.len() == 1 {
                return Ok(vec![Outcome::Int(*count)]);
            }
            (0..=parts.len() as i64).contains(count)
        }
        (Op::GetTwins, Value::Array(Some(twins))) => {
            let [one, other] = twins.as_slice() else { return Err(format!("twins: {}", show(reply))) };
            one == other && (*one == null || matches!(one, Value::Bulk(Some(_))))
        }
        (Op::Flush | Op::ConfigSet(_) | Op::Quit | Op::Reply(_) | Op::Auth { right: true }, _) => ok,
        (Op::Auth { right: false }, _) => begins("WRONGPASS "),
        (Op::DbSize, Value::Integer(size)) => *size >= 0,
        (Op::ClientId, Value::Integer(id)) => *id > 0,
        (Op::Kill(_), Value::Integer(count)) => (0..=1).contains(count),
        (Op::Keys, Value::Array(Some(keys))) => keys.iter().all(is_known),
        (Op::RandomKey, key) => *key == null || is_known(key),
        (Op::Scan { .. }, Value::Array(Some(parts))) => {
            matches!(parts.as_slice(), [Value::Bulk(Some(_)), Value::Array(Some(keys))] if keys.iter().all(is_known))
        }
        (Op::Ping(None), _) => *reply == Value::Simple(b"PONG".to_vec()),
        (Op::Ping(Some(text)), Value::Bulk(Some(said))) => said == text,
        (Op::Hello(3), Value::Map(fields)) => fields.len() == 7,
        (Op::Hello(_), Value::Array(Some(fields))) => fields.len() == 14,
        (Op::Reset, _) => *reply == Value::Simple(b"RESET".to_vec()),
        (Op::ClientList | Op::Info, Value::Verbatim { .. }) => sent.resp3,
        (Op::ClientList | Op::Info, Value::Bulk(Some(_))) => !sent.resp3,
        (Op::Bad(_, error), _) => begins(error),
        (Op::Garbage(_), _) => begins("ERR Protocol error: "),
        _ => false,
    };
    if right { Ok(unknown) } else { Err(format!("{:?} was answered {}", sent.op, show(reply))) }
}
