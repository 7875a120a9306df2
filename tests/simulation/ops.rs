//! Ops: what clients of the simulation ask, how it goes on the wire, and what each reply must look like.

use aspine::resp::Value;

/// A key, by its number.
pub type Key = usize;

/// Names a value that is written once in a run.
pub type ValueId = u32;

/// The two keys of one shard that only `Op::SetTwins` writes.
pub const TWINS: [&[u8]; 2] = [b"{twin}a", b"{twin}b"];

/// A new deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    Never,
    Keep,
    After(u64),
    At(u64),
}

/// When SET stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Absent,
    Present,
}

/// What happens to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Get,
    Set { value: ValueId, when: When, get: bool, deadline: Deadline },
    GetDel,
    Delete,
    Exists,
    Touch,
    Expire(Deadline),
    Persist,
    Pttl,
}

/// What it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody knows: no reply, or one that tells of several keys at once.
    Unknown,
    Ok,
    Null,
    Value(ValueId),
    Int(i64),
    Refused,
}

/// CLIENT REPLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    On,
    Off,
    Skip,
}

/// One command.
#[derive(Clone, Debug)]
pub enum Op {
    One(Key, Action),
    MGet(Vec<Key>),
    MSet(Vec<(Key, ValueId)>),
    Del(Vec<Key>),
    Exists(Vec<Key>),
    SetTwins(ValueId),
    GetTwins,
    Flush,
    DbSize,
    Keys,
    RandomKey,
    Scan {
        cursor: u64,
        count: u64,
    },
    Ping(Option<Vec<u8>>),
    Hello(u8),
    Reset,
    Reply(Mode),
    ClientId,
    ClientList,
    Kill(u64),
    ConfigSet(u64),
    Info,
    Auth {
        right: bool,
    },
    /// A command that is refused, and how the refusal begins.
    Bad(&'static str, &'static str),
    /// Bytes that are no command.
    Garbage(&'static str),
    Quit,
}

/// The name of a key: some share a hash tag, some are odd.
pub fn key_name(key: Key) -> Vec<u8> {
    match key % 5 {
        0 => format!("{{tag}}{key}").into_bytes(),
        1 => format!("k\r\n{key}\0").into_bytes(),
        _ => format!("key:{key}").into_bytes(),
    }
}

/// The bytes of a value: its number and a pattern. The number tells its size: a few are large enough to fill output buffers.
pub fn value_bytes(id: ValueId, large: bool) -> Vec<u8> {
    let mut bytes = format!("{id}:").into_bytes();
    let len = match id % 16 {
        0 => 0,
        1 | 5 | 9 | 13 if large => 140_000,
        2 => 3_000,
        _ => id as usize % 40,
    };
    let pattern = b"abcdefghijklmnopqrstuvw";
    let begin = id as usize % pattern.len();
    bytes.reserve(len);
    while bytes.len() < len {
        bytes.extend_from_slice(&pattern[begin..]);
        bytes.extend_from_slice(&pattern[..begin]);
    }
    bytes
}

/// The number of a value that was read, if it is one byte for byte.
pub fn value_id(bytes: &[u8], large: bool) -> Option<ValueId> {
    let end = bytes.iter().position(|byte| *byte == b':')?;
    let id = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    (value_bytes(id, large) == bytes).then_some(id)
}

impl Op {
    /// The words of the command line.
    pub fn words(&self, large: bool) -> Vec<Vec<u8>> {
        let words = |text: &str| text.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let with_keys = |name: &str, keys: &[Key]| {
            let mut all = words(name);
            all.extend(keys.iter().map(|key| key_name(*key)));
            all
        };
        match self {
            Op::One(key, action) => action_words(*key, action, large),
            Op::MGet(keys) => with_keys("MGET", keys),
            Op::Del(keys) => with_keys("DEL", keys),
            Op::Exists(keys) => with_keys("EXISTS", keys),
            Op::MSet(pairs) => {
                let pairs = pairs.iter().flat_map(|(key, value)| [key_name(*key), value_bytes(*value, large)]);
                words("MSET").into_iter().chain(pairs).collect()
            }
            Op::SetTwins(value) => {
                let value = value.to_string().into_bytes();
                vec![b"MSET".to_vec(), TWINS[0].to_vec(), value.clone(), TWINS[1].to_vec(), value]
            }
            Op::GetTwins => vec![b"MGET".to_vec(), TWINS[0].to_vec(), TWINS[1].to_vec()],
            Op::Flush => words("FLUSHALL"),
            Op::DbSize => words("DBSIZE"),
            Op::Keys => words("KEYS *"),
            Op::RandomKey => words("RANDOMKEY"),
            Op::Scan { cursor, count } => words(&format!("SCAN {cursor} COUNT {count}")),
            Op::Ping(None) => words("PING"),
            Op::Ping(Some(text)) => vec![b"PING".to_vec(), text.clone()],
            Op::Hello(version) => words(&format!("HELLO {version}")),
            Op::Reset => words("RESET"),
            Op::Reply(mode) => words(&format!("CLIENT REPLY {mode:?}")),
            Op::ClientId => words("CLIENT ID"),
            Op::ClientList => words("CLIENT LIST"),
            Op::Kill(id) => words(&format!("CLIENT KILL ID {id} SKIPME no")),
            Op::ConfigSet(items) => words(&format!("CONFIG SET max-size {items}")),
            Op::Info => words("INFO"),
            Op::Auth { right } => words(if *right { "AUTH secret" } else { "AUTH wrong" }),
            Op::Bad(line, _) => words(line),
            Op::Garbage(_) => Vec::new(),
            Op::Quit => words("QUIT"),
        }
    }

    /// The keys it is about, with what happens to each. FLUSHALL is about all.
    pub fn parts(&self) -> Vec<(Key, Action)> {
        let set = |value| Action::Set { value, when: When::Always, get: false, deadline: Deadline::Never };
        match self {
            Op::One(key, action) => vec![(*key, *action)],
            Op::MGet(keys) => keys.iter().map(|key| (*key, Action::Get)).collect(),
            Op::MSet(pairs) => pairs.iter().map(|(key, value)| (*key, set(*value))).collect(),
            Op::Del(keys) => keys.iter().map(|key| (*key, Action::Delete)).collect(),
            Op::Exists(keys) => keys.iter().map(|key| (*key, Action::Exists)).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it waits for its session's earlier commands.
    pub fn is_barrier(&self) -> bool {
        use Op::*;
        matches!(
            self,
            Flush
                | DbSize
                | Keys
                | RandomKey
                | Hello(_)
                | Reset
                | Reply(_)
                | ClientList
                | Kill(_)
                | ConfigSet(_)
                | Info
                | Auth { .. }
                | Quit
        )
    }
}

fn action_words(key: Key, action: &Action, large: bool) -> Vec<Vec<u8>> {
    let mut words = vec![Vec::new(), key_name(key)];
    let name = match action {
        Action::Get => "GET",
        Action::GetDel => "GETDEL",
        Action::Delete => "UNLINK",
        Action::Exists => "EXISTS",
        Action::Touch => "TOUCH",
        Action::Persist => "PERSIST",
        Action::Pttl => "PTTL",
        Action::Expire(deadline) => {
            let (name, amount) = match deadline {
                Deadline::At(at_ms) => ("PEXPIREAT", *at_ms),
                Deadline::After(ms) => ("PEXPIRE", *ms),
                Deadline::Never | Deadline::Keep => ("PEXPIRE", 0),
            };
            words.push(amount.to_string().into_bytes());
            name
        }
        Action::Set { value, when, get, deadline } => {
            words.push(value_bytes(*value, large));
            let options = match deadline {
                Deadline::Never => String::new(),
                Deadline::Keep => " KEEPTTL".to_owned(),
                Deadline::After(ms) => format!(" PX {ms}"),
                Deadline::At(at_ms) => format!(" PXAT {at_ms}"),
            } + match when {
                When::Always => "",
                When::Absent => " NX",
                When::Present => " XX",
            } + if *get { " GET" } else { "" };
            words.extend(options.split(' ').skip(1).map(|word| word.as_bytes().to_vec()));
            "SET"
        }
    };
    words[0] = name.as_bytes().to_vec();
    words
}

/// The outcome a reply tells for one key, or that no such command has such a reply.
pub fn outcome(action: &Action, reply: &Value, resp3: bool, large: bool) -> Result<Outcome, String> {
    let wrong = || Err(format!("{action:?} was answered {}", show(reply)));
    let may_null = matches!(action, Action::Get | Action::GetDel | Action::Set { .. });
    let may_bulk = matches!(action, Action::Get | Action::GetDel | Action::Set { get: true, .. });
    let is_set = matches!(action, Action::Set { .. });
    match reply {
        Value::Null if resp3 && may_null => Ok(Outcome::Null),
        Value::Bulk(None) if !resp3 && may_null => Ok(Outcome::Null),
        Value::Bulk(Some(bytes)) if may_bulk => match value_id(bytes, large) {
            Some(id) => Ok(Outcome::Value(id)),
            None => wrong(),
        },
        Value::Simple(text) if is_set && text == b"OK" => Ok(Outcome::Ok),
        Value::Error(text) if is_set && text.starts_with(b"OOM ") => Ok(Outcome::Refused),
        Value::Integer(number) if !may_null => Ok(Outcome::Int(*number)),
        _ => wrong(),
    }
}

/// A reply for a message: cut short.
pub fn show(reply: &Value) -> String {
    let text = format!("{reply:?}");
    if let Value::Bulk(Some(bytes)) | Value::Error(bytes) | Value::Simple(bytes) = reply {
        return format!("{:?} of {} bytes", bytes[..bytes.len().min(80)].escape_ascii().to_string(), bytes.len());
    }
    text.chars().take(200).collect()
}
