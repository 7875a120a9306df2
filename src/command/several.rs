//! RENAME, COPY, MSETNX and their like: commands of several keys that are one step. Core: any; see below.
//!
//! Each is a pure function from its arguments and what is stored under its keys to a reply and to what is to be
//! stored or deleted. Where all keys live on one core it is run there at once ([`run`]). Where they do not,
//! `engine/home/transaction.rs` holds the shards, reads the keys, asks the same function, and writes.

use crate::command::condition::Condition;
use crate::command::connection::check_database;
use crate::command::facts::{Facts, flag};
use crate::command::{Call, Error, Reply, lcs, string};
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::{Event, Expiry, Recency, Shard};

/// The item stored under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The value of the item.
    pub value: &'a [u8],
    /// The deadline in unix milliseconds, if the item has a TTL.
    pub expires_at_ms: Option<u64>,
}

/// The changes of a command. Everything is stored before anything is deleted, so that nothing is lost if there is no
/// room.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The items to store: key, value and deadline.
    pub stores: Vec<(Vec<u8>, Vec<u8>, Expiry)>,
    /// The keys to delete.
    pub deletes: Vec<Vec<u8>>,
    /// The key event of the stores.
    pub event: Event,
}

impl Changes {
    /// Whether the values of the deleted keys are stored under other keys.
    pub fn renames(&self) -> bool {
        self.event == Event::RenameTo
    }
}

/// The decision of a command: reply and changes.
pub type Decision = (Reply<'static>, Changes);

/// The function of a command, from its arguments (after the name), the items of its keys, and the time.
pub type Decide = fn(Args<'_>, &[Option<Stored<'_>>], u64) -> Result<Decision, Error>;

/// Runs a command whose keys all live here.
pub fn run(shard: &mut Shard, row: &Facts, decide: Decide, args: Args<'_>, call: Call) -> Reply<'static> {
    let keys: Vec<&[u8]> = row.keys_after_name(args).collect();
    if row.is(flag::READS) {
        for key in &keys {
            // The lookup counts a hit or miss, and makes the item recent.
            let _ = shard.get_silently(key, call.recency, call.now_ms);
        }
    }
    let stored: Vec<_> = keys.iter().map(|key| peek(shard, key, call.now_ms)).collect();
    match decide(args, &stored, call.now_ms) {
        Err(error) => error.into(),
        Ok((reply, changes)) => {
            for (key, value, expiry) in &changes.stores {
                if let Reply::Error(error) = string::store_value(shard, changes.event, key, value, *expiry, call) {
                    return error.into();
                }
            }
            for key in &changes.deletes {
                if changes.renames() {
                    shard.remove_renamed(key, call.now_ms);
                } else {
                    shard.remove(key, call.now_ms);
                }
            }
            reply
        }
    }
}

fn peek<'s>(shard: &'s Shard, key: &[u8], now_ms: u64) -> Option<Stored<'s>> {
    shard.peek(key, now_ms).map(|item| Stored { value: item.value, expires_at_ms: item.expires_at_ms })
}

/// Reads one key of a command whose keys live on several cores: `[value, deadline or -1]`, or null.
pub fn read<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    match shard.get_silently(args.at(0), Recency::Keep, call.now_ms) {
        Some(item) => {
            let deadline = item.expires_at_ms.map_or(-1, |at_ms| i64::try_from(at_ms).unwrap_or(i64::MAX));
            Reply::Pair(item.value, deadline)
        }
        None => Reply::Null,
    }
}

/// Removes a key whose value was stored under another.
pub fn remove_renamed<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    shard.remove_renamed(args.at(0), call.now_ms).into()
}

/// Writes one key of a command whose keys live on several cores: `key value how`, the last as [`encode_store`] has it.
pub fn write<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    let (event, expiry) = decode_store(args.at(2));
    string::store_value(shard, event, args.at(0), args.at(1), expiry, call)
}

/// WATCH of one key: `key client`, the client's id in 8 bytes.
pub fn watch<'s>(shard: &'s mut Shard, args: Args<'_>, call: Call) -> Reply<'s> {
    shard.watch(args.at(0), id_of(args.at(1)), call.now_ms);
    Reply::Ok
}

/// UNWATCH: `client`.
pub fn unwatch<'s>(shard: &'s mut Shard, args: Args<'_>, _call: Call) -> Reply<'s> {
    shard.unwatch(id_of(args.at(0)));
    Reply::Ok
}

fn id_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// Encodes the key event and the deadline of a store, for [`write()`].
pub fn encode_store(event: Event, expiry: Expiry) -> [u8; 9] {
    let at_ms = match expiry {
        Expiry::Never => 0,
        Expiry::Keep => u64::MAX,
        Expiry::At(at_ms) => at_ms.clamp(1, u64::MAX - 1),
    };
    let mut bytes = [event as u8; 9];
    bytes[..8].copy_from_slice(&at_ms.to_le_bytes());
    bytes
}

fn decode_store(bytes: &[u8]) -> (Event, Expiry) {
    let expiry = match id_of(&bytes[..8]) {
        0 => Expiry::Never,
        u64::MAX => Expiry::Keep,
        at_ms => Expiry::At(at_ms),
    };
    (Event::of(bytes[8]), expiry)
}

fn nothing(reply: Reply<'static>) -> Result<Decision, Error> {
    Ok((reply, Changes::default()))
}

fn moved(from: Stored<'_>) -> (Vec<u8>, Expiry) {
    (from.value.to_vec(), from.expires_at_ms.map_or(Expiry::Never, Expiry::At))
}

/// `RENAME key newkey`.
pub fn rename(args: Args<'_>, stored: &[Option<Stored<'_>>], _now_ms: u64) -> Result<Decision, Error> {
    let from = stored[0].ok_or(Error::NoSuchKey)?;
    if args.at(0) == args.at(1) {
        return nothing(Reply::Ok);
    }
    let (value, expiry) = moved(from);
    let stores = vec![(args.at(1).to_vec(), value, expiry)];
    Ok((Reply::Ok, Changes { stores, deletes: vec![args.at(0).to_vec()], event: Event::RenameTo }))
}

/// `RENAMENX key newkey`.
pub fn rename_if_absent(args: Args<'_>, stored: &[Option<Stored<'_>>], now_ms: u64) -> Result<Decision, Error> {
    if stored[0].is_some() && stored[1].is_some() {
        return nothing(Reply::Integer(0));
    }
    let (_ok, changes) = rename(args, stored, now_ms)?;
    Ok((Reply::Integer(1), changes))
}

/// `COPY source destination [DB 0] [REPLACE]`.
pub fn copy(args: Args<'_>, stored: &[Option<Stored<'_>>], _now_ms: u64) -> Result<Decision, Error> {
    let (mut replace, mut rest) = (false, args.tail(2));
    while let Some(option) = rest.get(0) {
        if option.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
            rest = rest.tail(1);
        } else if option.eq_ignore_ascii_case(b"DB")
            && let Some(index) = rest.get(1)
        {
            check_database(index)?;
            rest = rest.tail(2);
        } else {
            return Err(Error::Syntax);
        }
    }
    if args.at(0) == args.at(1) {
        return Err(Error::SameKey);
    }
    match (stored[0], stored[1]) {
        (Some(from), to) if to.is_none() || replace => {
            let (value, expiry) = moved(from);
            let stores = vec![(args.at(1).to_vec(), value, expiry)];
            Ok((Reply::Integer(1), Changes { stores, event: Event::CopyTo, ..Changes::default() }))
        }
        _ => nothing(Reply::Integer(0)),
    }
}

/// `MSETNX key value [key value ...]`.
pub fn set_all_if_absent(args: Args<'_>, stored: &[Option<Stored<'_>>], _now_ms: u64) -> Result<Decision, Error> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::Arity("msetnx".to_owned()));
    }
    if stored.iter().any(Option::is_some) {
        return nothing(Reply::Integer(0));
    }
    Ok((Reply::Integer(1), stores(args, Expiry::Never)))
}

/// `MSETEX numkeys key value [key value ...] [NX | XX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`, as Redis 8.4 has
/// it: all keys or none, with one deadline.
pub fn set_all_expiring(args: Args<'_>, stored: &[Option<Stored<'_>>], now_ms: u64) -> Result<Decision, Error> {
    let pairs = 2 * pair_count(args)?;
    if args.len() <= pairs {
        return Err(Error::MsetexPairs);
    }
    let options = string::SetOptions::parse(args.tail(1 + pairs), now_ms, "msetex")?;
    if options.get || options.condition.is_on_value() {
        return Err(Error::Syntax);
    }
    let refused = match options.condition {
        Condition::Absent => stored.iter().any(Option::is_some),
        Condition::Present => stored.iter().any(Option::is_none),
        _ => false,
    };
    if refused {
        return nothing(Reply::Integer(0));
    }
    let words: Vec<_> = args.tail(1).iter().take(pairs).collect();
    let store = |pair: &[&[u8]]| (pair[0].to_vec(), pair[1].to_vec(), options.expiry);
    let stores = words.chunks_exact(2).map(store).collect();
    Ok((Reply::Integer(1), Changes { stores, ..Changes::default() }))
}

/// The number of pairs that MSETEX announces.
pub fn pair_count(args: Args<'_>) -> Result<usize, Error> {
    let count = parse_i64(args.at(0)).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
    count.and_then(|count| usize::try_from(count).ok()).ok_or(Error::MsetexCount)
}

fn stores(pairs: Args<'_>, expiry: Expiry) -> Changes {
    let words: Vec<_> = pairs.iter().collect();
    let store = |pair: &[&[u8]]| (pair[0].to_vec(), pair[1].to_vec(), expiry);
    Changes { stores: words.chunks_exact(2).map(store).collect(), ..Changes::default() }
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`.
pub fn longest_common(args: Args<'_>, stored: &[Option<Stored<'_>>], _now_ms: u64) -> Result<Decision, Error> {
    let value = |at: usize| stored[at].map_or(&b""[..], |stored| stored.value);
    nothing(lcs::reply(value(0), value(1), args.tail(2))?)
}
