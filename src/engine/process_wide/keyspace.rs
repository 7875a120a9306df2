//! Commands of a whole keyspace: DBSIZE, FLUSHALL, FLUSHDB, SWAPDB, KEYS, RANDOMKEY, and the keys of a slot.

use crate::command::Error;
use crate::engine::core::Core;
use crate::engine::env::Env;
use crate::engine::home::Home;
use crate::engine::link::message::{Answer, Ask, Origin};
use crate::engine::owner::walks::Walk;
use crate::engine::process_wide::ask::OpenAsk;
use crate::limits::SLOTS;
use crate::resp::number::parse_i64;
use crate::resp::{Args, Writer};
use crate::shard::Database;
use crate::slot::Slot;

/// DBSIZE: one core's share of the count.
pub(super) fn size(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Answer::Count(core.owner.size_of(ask.caller.database).items))
}

/// FLUSHALL and FLUSHDB take one word at most.
pub(super) fn check_clear(_env: &Env, ask: &Ask) -> Result<(), Error> {
    let args = ask.words.args();
    let known = |mode: &[u8]| mode.eq_ignore_ascii_case(b"ASYNC") || mode.eq_ignore_ascii_case(b"SYNC");
    match args.get(0) {
        None => Ok(()),
        Some(mode) if args.len() == 1 && known(mode) => Ok(()),
        Some(_) => Err(Error::Syntax),
    }
}

pub(super) fn clear(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    if core.persistence.is_loading() {
        // It was under way when the load began, so what is loaded came after it.
        core.owner.note_cleared();
    } else {
        core.owner.clear();
    }
    Some(Answer::Done)
}

/// FLUSHDB: the items of one database.
pub(super) fn flush(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    if core.persistence.is_loading() {
        core.owner.note_cleared();
    } else {
        core.owner.flush(ask.caller.database);
    }
    Some(Answer::Done)
}

/// SWAPDB of two databases.
fn parse_swap(args: Args<'_>, count: u8) -> Result<[Database; 2], Error> {
    let first = parse_i64(args.at(0)).ok_or(Error::FirstDbIndex)?;
    let second = parse_i64(args.at(1)).ok_or(Error::SecondDbIndex)?;
    let database = |index| u8::try_from(index).ok().filter(|database| *database < count).ok_or(Error::DbIndex);
    Ok([database(first)?, database(second)?])
}

pub(super) fn check_swap(env: &Env, ask: &Ask) -> Result<(), Error> {
    parse_swap(ask.words.args(), env.settings.databases).map(|_| ())
}

pub(super) fn swap(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    // Checked on the home core. While items are loaded there is nothing to swap, as for FLUSHALL.
    if let Ok([one, other]) = parse_swap(ask.words.args(), core.env.settings.databases)
        && one != other
        && !core.persistence.is_loading()
    {
        core.owner.swap(one, other);
    }
    Some(Answer::Done)
}

/// KEYS: a walk.
pub(super) fn keys(_home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    core.owner.walks.push(Walk::keys(ask.words.args().at(0), ask.caller, origin));
    None
}

pub(super) fn fold_keys(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let parts = || {
        open.answers().filter_map(|answer| match answer {
            Answer::Keys { count, encoded } => Some((*count, encoded)),
            _ => None,
        })
    };
    let count: u64 = parts().map(|(count, _)| count).sum();
    writer.array(usize::try_from(count).unwrap_or(0));
    parts().for_each(|(_, encoded)| writer.raw(encoded));
}

/// RANDOMKEY: a key of this core, and how many it has.
pub(super) fn random_key(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    let random = core.env.next_random();
    Some(Answer::Key(core.owner.random_key(ask.caller.database, random, core.env.now_ms)))
}

/// One of the cores' random keys, a core with more keys more often.
pub(super) fn fold_random_key(_home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let keys = || open.answers().filter_map(|answer| if let Answer::Key(key) = answer { key.as_ref() } else { None });
    let total: u64 = keys().map(|(weight, _)| *weight).sum();
    let mut at = core.env.next_random() % total.max(1);
    for (weight, key) in keys() {
        if at < *weight {
            return writer.bulk(key);
        }
        at -= weight;
    }
    writer.null();
}

fn number(args: Args<'_>, at: usize) -> Result<i64, Error> {
    parse_i64(args.at(at)).ok_or(Error::NotInteger)
}

fn slot(number: i64) -> Option<Slot> {
    u16::try_from(number).ok().filter(|slot| *slot < SLOTS).map(Slot)
}

fn parse_count(args: Args<'_>) -> Result<Slot, Error> {
    slot(number(args, 0)?).ok_or(Error::InvalidSlot)
}

/// The slot, and how many of its keys are wanted at most.
fn parse_list(args: Args<'_>) -> Result<(Slot, u64), Error> {
    match (slot(number(args, 0)?), u64::try_from(number(args, 1)?)) {
        (Some(slot), Ok(count)) => Ok((slot, count)),
        _ => Err(Error::InvalidSlotOrCount),
    }
}

fn check_cluster(env: &Env) -> Result<(), Error> {
    if env.process.shows_cluster() { Ok(()) } else { Err(Error::ClusterDisabled) }
}

/// CLUSTER COUNTKEYSINSLOT slot.
pub(super) fn check_slot_count(env: &Env, ask: &Ask) -> Result<(), Error> {
    let args = ask.words.args();
    check_cluster(env)?;
    parse_count(args).map(|_| ())
}

pub(super) fn slot_counted(args: Args<'_>) -> Option<Slot> {
    parse_count(args).ok()
}

pub(super) fn count_slot(_home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    // Checked on the home core.
    let Ok(slot) = parse_count(ask.words.args()) else { return Some(Answer::Count(0)) };
    core.owner.walks.push(Walk::of_slot(slot, None, ask.caller, origin));
    None
}

pub(super) fn fold_count(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let count = open.answers().map(|answer| if let Answer::Keys { count, .. } = answer { *count } else { 0 });
    writer.integer(count.sum::<u64>().cast_signed());
}

/// CLUSTER GETKEYSINSLOT slot count.
pub(super) fn check_slot_keys(env: &Env, ask: &Ask) -> Result<(), Error> {
    let args = ask.words.args();
    check_cluster(env)?;
    parse_list(args).map(|_| ())
}

pub(super) fn slot_listed(args: Args<'_>) -> Option<Slot> {
    parse_list(args).ok().map(|(slot, _)| slot)
}

pub(super) fn list_slot(_home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    // Checked on the home core.
    let Ok((slot, count)) = parse_list(ask.words.args()) else { return Some(Answer::Count(0)) };
    core.owner.walks.push(Walk::of_slot(slot, Some(count), ask.caller, origin));
    None
}
