//! Tests of the command table and the handlers, one file a concern; here is what they share.
//!
//! | file | what |
//! |---|---|
//! | `rows` | properties of every row, name lookup, key positions |
//! | `docs` | COMMAND and its subcommands, decoded as a client would |
//! | `settings` | CONFIG's names and values, memory units |
//! | `conditions` | SET's conditions on values, DELEX, DELIFEQ, DIGEST, BITOP's operations |
//! | `counters` | INCREX and CL.THROTTLE |
//! | `set` | the options of SET and GETEX against redis-server's answers |
//! | `deadlines` | the arithmetic of EXPIRE and its like |
//! | `texts` | errors and SCAN's cursors as text |

mod conditions;
mod counters;
mod deadlines;
mod docs;
mod rows;
mod set;
mod settings;
mod texts;

use crate::command::client::BufferSizes;
use crate::command::context::Home;
use crate::command::handler::{Handler, HomeHandler, OwnerHandler};
use crate::command::lookup::Lookup;
use crate::command::settings::{DebugAccess, LogLevel, Settings, Watch};
use crate::command::{Call, Client};
use crate::resp::{Args, Proto, Span, Value, Writer, reply};
use crate::shard::{Budget, Eviction, Recency, Shard, ShardConfig};

/// Unix time in milliseconds at which these tests run.
const NOW_MS: u64 = 1_750_000_000_000;

/// The words of a command line where a handler can borrow them.
struct Words {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Words {
    fn new(words: &[&[u8]]) -> Words {
        let mut spans = Vec::new();
        let mut start = 0;
        for word in words {
            spans.push(Span { start, len: word.len() as u32 });
            start += word.len() as u32;
        }
        Words { bytes: words.concat(), spans }
    }

    /// The words of a line, split at spaces.
    fn split(line: &str) -> Words {
        Words::new(&line.split_ascii_whitespace().map(str::as_bytes).collect::<Vec<_>>())
    }

    fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }
}

fn a_shard() -> Shard {
    Shard::new(ShardConfig { budget: Budget::UNLIMITED, eviction: Eviction::Lru, hash_seeds: [1, 2, 3, 4] })
}

fn some_settings() -> Settings {
    Settings {
        items_max: u64::MAX,
        bytes_max: 1 << 30,
        eviction: Eviction::Lru,
        maxclients: 10_000,
        databases: 16,
        maxclients_max: u32::MAX - 1,
        idle_timeout_s: 0,
        tcp_keepalive_s: 300,
        notify: Default::default(),
        output_limits: Default::default(),
        watch: Watch::default(),
        tracked_keys_max: crate::limits::TRACKED_KEYS_MAX_DEFAULT,
        active_expire: true,
        log_level: LogLevel::Info,
        has_key: false,
        debug: DebugAccess::No,
        fixed: vec![("port", "5116".to_owned()), ("save", String::new())],
    }
}

/// What a command of one key answers, in RESP2, as text with its line ends left out.
fn answer(shard: &mut Shard, line: &str) -> String {
    let words = Words::split(line);
    let row = Lookup::default().find(words.args().at(0)).expect("a command").row();
    let Handler::Owner(OwnerHandler::Key(handler) | OwnerHandler::EachKey(handler, _)) = row.handler else {
        panic!("{} is not a command of keys", row.name)
    };
    assert!(row.takes(words.args().len()), "{line}");
    let mut out = Vec::new();
    let call = Call { now_ms: NOW_MS, recency: Recency::Touch };
    handler(shard, words.args().tail(1), call).write(&mut Writer::new(&mut out, Proto::Resp2));
    String::from_utf8(out).expect("text").replace("\r\n", " ").trim_end().to_owned()
}

/// What a session's command answers: exactly one valid reply. `line` begins with the row's whole name.
fn session_answer(line: &str, proto: Proto) -> Value {
    let words = Words::split(line);
    let row = Lookup::default().find(words.args().at(0)).expect("a command").row();
    let Handler::Home(HomeHandler::Session(handler)) = row.handler else {
        panic!("{} is not a session's command", row.name)
    };
    let settings = some_settings();
    let home = Home {
        cluster: true,
        now_ms: NOW_MS,
        now_sub_us: 7,
        settings: &settings,
        verify_key: None,
        row: &row.facts,
        sizes: BufferSizes::default(),
    };
    let mut out = Vec::new();
    let mut client = Client { proto, authenticated: true, ..Client::default() };
    handler(&mut client, words.args().tail(1), &home, &mut Writer::new(&mut out, proto));
    let decoded = reply::decode(&out).unwrap_or_else(|error| panic!("{line}: {error:?} in {}", out.escape_ascii()));
    let (value, len) = decoded.unwrap_or_else(|| panic!("{line}: half a reply: {}", out.escape_ascii()));
    assert_eq!(len, out.len(), "{line}: more than one reply");
    value
}

/// A string or status as text.
fn text(value: &Value) -> &str {
    let bytes = match value {
        Value::Bulk(Some(bytes)) | Value::Simple(bytes) | Value::Error(bytes) => bytes,
        other => panic!("not a text: {other:?}"),
    };
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// The elements of an array or set.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(Some(items)) | Value::Set(items) => items,
        other => panic!("neither array nor set: {other:?}"),
    }
}

/// Keys and values of a map, which in RESP2 is a flat array.
fn pairs(value: &Value) -> Vec<(&Value, &Value)> {
    match value {
        Value::Map(pairs) => pairs.iter().map(|(key, value)| (key, value)).collect(),
        Value::Array(Some(items)) => items.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect(),
        other => panic!("not a map: {other:?}"),
    }
}
