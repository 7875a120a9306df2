//! RENAME, COPY, MSETNX and their like: commands of several keys that are one step. Core: any; see below.
//!
//! Each is a pure function from its arguments and what is stored under its keys to a reply and to what is to be
//! stored or deleted. Where all keys live on one core it is run there at once ([`run`]). Where they do not,
//! `engine/home/transaction.rs` holds the shards, reads the keys, asks the same function, and writes.

use crate::command::condition::Condition;
use crate::command::connection::parse_database;
use crate::command::facts::{Facts, flag};
use crate::command::task::apply;
use crate::command::{Call, Error, Reply, lcs, string};
use crate::limits::DATABASES;
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::{Database, Event, Expiry, Shard};

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
    let selected = shard.selected();
    let databases = databases(row, args, selected);
    let keys: Vec<_> =
        row.keys_after_name(args).enumerate().map(|(at, key)| (databases[usize::from(at == 1)], key)).collect();
    if row.is(flag::READS) {
        for (database, key) in &keys {
            shard.select(*database);
            // The lookup counts a hit or miss, and makes the item recent.
            let _ = shard.get_silently(key, call.recency, call.now_ms);
        }
        shard.select(selected);
    }
    let stored: Vec<_> = keys.iter().map(|(database, key)| peek(shard, *database, key, call.now_ms)).collect();
    match decide(args, &stored, call.now_ms) {
        Err(error) => error.into(),
        Ok((reply, changes)) => {
            // Where the two differ, the command is COPY, which deletes nothing.
            shard.select(databases[1]);
            let applied = apply(shard, &changes, call);
            shard.select(selected);
            applied.map_or_else(Into::into, |()| reply)
        }
    }
}

/// The database of a command's first key, and that of its second key and of what it stores: COPY may name another.
pub fn databases(row: &Facts, args: Args<'_>, selected: Database) -> [Database; 2] {
    let named = target(row, args).and_then(|index| parse_database(index, DATABASES as u8).ok());
    [selected, named.unwrap_or(selected)]
}

/// Refuses a COPY into a database that is not one of so many, or of a key to itself.
pub fn check_target(row: &Facts, args: Args<'_>, selected: Database, count: u8) -> Result<(), Error> {
    if row.name != "copy" {
        return Ok(());
    }
    let mut database = selected;
    CopyOptions::parse(args.tail(2), |index| {
        database = parse_database(index, count)?;
        Ok(())
    })?;
    if database == selected && args.at(0) == args.at(1) { Err(Error::SameKey) } else { Ok(()) }
}

/// The index of the database that a command names, if it does.
fn target<'a>(row: &Facts, args: Args<'a>) -> Option<&'a [u8]> {
    if row.name != "copy" {
        return None;
    }
    CopyOptions::parse(args.tail(2), |_| Ok(())).ok()?.database
}

fn peek<'s>(shard: &'s Shard, database: Database, key: &[u8], now_ms: u64) -> Option<Stored<'s>> {
    shard.peek_in(database, key, now_ms).map(|item| Stored { value: item.value, expires_at_ms: item.expires_at_ms })
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

/// The options of COPY.
struct CopyOptions<'a> {
    replace: bool,
    database: Option<&'a [u8]>,
}

impl<'a> CopyOptions<'a> {
    /// Parses the options; `check` looks at each database that is named, as it comes.
    fn parse(mut rest: Args<'a>, mut check: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<CopyOptions<'a>, Error> {
        let mut options = CopyOptions { replace: false, database: None };
        while let Some(option) = rest.get(0) {
            if option.eq_ignore_ascii_case(b"REPLACE") {
                options.replace = true;
                rest = rest.tail(1);
            } else if option.eq_ignore_ascii_case(b"DB")
                && let Some(index) = rest.get(1)
            {
                check(index)?;
                options.database = Some(index);
                rest = rest.tail(2);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

/// `COPY source destination [DB database] [REPLACE]`. [`check_target`] has seen to the database.
pub fn copy(args: Args<'_>, stored: &[Option<Stored<'_>>], _now_ms: u64) -> Result<Decision, Error> {
    let CopyOptions { replace, .. } = CopyOptions::parse(args.tail(2), |_| Ok(()))?;
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
