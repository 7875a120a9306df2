//! Command table: one row per command; nothing else decides what a command is.
//!
//! Arity errors, routing, `COMMAND` and its subcommands and the table of docs/commands.md derive from it.
//! Rows are sorted by name; a subcommand's name is `container|subcommand`, and stands after its container.

use crate::command::connection as conn;
use crate::command::facts::{ALL_KEYS, KEY_VALUE_PAIRS, Keys, NO_KEYS, ROWS, facts, flag, same};
use crate::command::handler::{Command, Fold, Handler, HomeHandler, OwnerHandler, Part, Question, Told, Verb};
use crate::command::pubsub::Topic;
use crate::command::{
    admin, bit_op, bitfield, bits, client_tracking, condition, counter, docs, dump, expiry, increx, keyspace, object,
    range, several, snapshot, string, throttle,
};

use Part::Ask;

use Handler::{Container, EveryCore, Home, Owner};
use HomeHandler::{Session, Topology, Transaction};
use OwnerHandler::{EachKey, Key, Publish, Scan, Several};

/// All commands, sorted by name.
pub static TABLE: &[Command] = &joined();

/// The handlers of all commands, in the order of the facts. Another order, or a missing or extra row, does not compile.
#[rustfmt::skip]
const HANDLERS: [(&str, Handler); ROWS.len()] = [
    ("append", Owner(Key(range::append))),
    ("asking", Home(Topology(Told::Accepted))),
    ("aspine.cores", Home(Topology(Told::Cores))),
    ("aspine.load", EveryCore(Part::Snapshot(snapshot::Verb::Load))),
    ("auth", Home(Session(conn::auth))),
    ("bgsave", EveryCore(Part::Snapshot(snapshot::Verb::Bgsave))),
    ("bitcount", Owner(Key(bits::count))),
    ("bitfield", Owner(Key(bitfield::run))),
    ("bitfield_ro", Owner(Key(bitfield::run_read_only))),
    ("bitop", Owner(Several(bit_op::bit_op))),
    ("bitpos", Owner(Key(bits::position))),
    ("cl.throttle", Owner(Key(throttle::throttle))),
    ("client", Container),
    ("client|caching", Home(Session(client_tracking::client_caching))),
    ("client|getname", Home(Session(conn::client_getname))),
    ("client|getredir", Home(Session(client_tracking::client_getredir))),
    ("client|help", Home(Session(conn::help))),
    ("client|id", Home(Session(conn::client_id))),
    ("client|info", Home(Session(conn::client_info))),
    ("client|kill", EveryCore(Part::ClientKill)),
    ("client|list", EveryCore(Part::ClientList)),
    ("client|no-evict", Home(Session(conn::client_no_evict))),
    ("client|no-touch", Home(Session(conn::client_no_touch))),
    ("client|reply", Home(Session(conn::client_reply))),
    ("client|setinfo", Home(Session(conn::client_setinfo))),
    ("client|setname", Home(Session(conn::client_setname))),
    ("client|tracking", EveryCore(Part::Tracking)),
    ("client|trackinginfo", Home(Session(client_tracking::client_trackinginfo))),
    ("cluster", Container),
    ("cluster|countkeysinslot", EveryCore(Part::SlotCount)),
    ("cluster|getkeysinslot", EveryCore(Part::SlotKeys)),
    ("cluster|help", Home(Session(conn::cluster_help))),
    ("cluster|info", Home(Topology(Told::Info))),
    ("cluster|keyslot", Home(Topology(Told::KeySlot))),
    ("cluster|links", Home(Topology(Told::Links))),
    ("cluster|myid", Home(Topology(Told::MyId))),
    ("cluster|myshardid", Home(Topology(Told::MyShardId))),
    ("cluster|nodes", Home(Topology(Told::Nodes))),
    ("cluster|replicas", Home(Topology(Told::Replicas))),
    ("cluster|shards", Home(Topology(Told::Shards))),
    ("cluster|slots", Home(Topology(Told::Slots))),
    ("command", Home(Session(docs::command))),
    ("command|count", Home(Session(docs::command_count))),
    ("command|docs", Home(Session(docs::command_docs))),
    ("command|getkeys", Home(Session(docs::command_getkeys))),
    ("command|help", Home(Session(conn::help))),
    ("command|info", Home(Session(docs::command_info))),
    ("command|list", Home(Session(docs::command_list))),
    ("config", Container),
    ("config|get", Home(Session(admin::config_get))),
    ("config|help", Home(Session(conn::help))),
    ("config|resetstat", EveryCore(Part::ConfigResetStat)),
    ("config|rewrite", Home(Session(admin::config_rewrite))),
    ("config|set", EveryCore(Part::ConfigSet)),
    ("copy", Owner(Several(several::copy))),
    ("dbsize", EveryCore(Part::Size)),
    ("debug", Owner(OwnerHandler::Debug)),
    ("decr", Owner(Key(counter::decrement))),
    ("decrby", Owner(Key(counter::decrement_by))),
    ("del", Owner(EachKey(keyspace::delete, Fold::Sum))),
    ("delex", Owner(Key(condition::delete_if))),
    ("delifeq", Owner(Key(condition::delete_if_equal))),
    ("digest", Owner(Key(condition::digest))),
    ("discard", Home(Transaction(Verb::Discard))),
    ("dump", Owner(Key(dump::dump))),
    ("echo", Home(Session(conn::echo))),
    ("exec", Home(Transaction(Verb::Exec))),
    ("exists", Owner(EachKey(keyspace::exists, Fold::Sum))),
    ("expire", Owner(Key(expiry::expire))),
    ("expireat", Owner(Key(expiry::expireat))),
    ("expiretime", Owner(Key(expiry::expiretime))),
    ("flushall", EveryCore(Part::Clear)),
    ("flushdb", EveryCore(Part::Clear)),
    ("get", Owner(Key(string::get))),
    ("getbit", Owner(Key(bits::get))),
    ("getdel", Owner(Key(string::get_and_delete))),
    ("getex", Owner(Key(string::get_and_expire))),
    ("getrange", Owner(Key(range::get))),
    ("getset", Owner(Key(string::get_and_set))),
    ("hello", Home(Session(conn::hello))),
    ("incr", Owner(Key(counter::increment))),
    ("incrby", Owner(Key(counter::increment_by))),
    ("incrbyfloat", Owner(Key(counter::increment_by_float))),
    ("increx", Owner(Key(increx::increment))),
    ("info", EveryCore(Part::Report)),
    ("keys", EveryCore(Part::Keys)),
    ("lastsave", EveryCore(Ask(Question::LastSave))),
    ("latency", Container),
    ("latency|doctor", EveryCore(Ask(Question::LatencyDoctor))),
    ("latency|graph", EveryCore(Ask(Question::LatencyGraph))),
    ("latency|help", Home(Session(conn::help))),
    ("latency|histogram", EveryCore(Ask(Question::LatencyHistogram))),
    ("latency|history", EveryCore(Ask(Question::LatencyHistory))),
    ("latency|latest", EveryCore(Ask(Question::LatencyLatest))),
    ("latency|reset", EveryCore(Ask(Question::LatencyReset))),
    ("lcs", Owner(Several(several::longest_common))),
    ("memory", Container),
    ("memory|doctor", EveryCore(Ask(Question::MemoryDoctor))),
    ("memory|help", Home(Session(conn::help))),
    ("memory|malloc-stats", Home(Session(admin::malloc_stats))),
    ("memory|purge", Home(Session(admin::purge))),
    ("memory|stats", EveryCore(Ask(Question::MemoryStats))),
    ("memory|usage", Owner(Key(object::memory_usage))),
    ("mget", Owner(EachKey(string::get, Fold::Array))),
    ("mset", Owner(EachKey(string::set_pair, Fold::Ok))),
    ("msetex", Owner(Several(several::set_all_expiring))),
    ("msetnx", Owner(Several(several::set_all_if_absent))),
    ("multi", Home(Transaction(Verb::Multi))),
    ("object", Container),
    ("object|encoding", Owner(Key(object::encoding))),
    ("object|freq", Owner(Key(object::frequency))),
    ("object|help", Home(Session(conn::help))),
    ("object|idletime", Owner(Key(object::idle_time))),
    ("object|refcount", Owner(Key(object::reference_count))),
    ("persist", Owner(Key(expiry::persist))),
    ("pexpire", Owner(Key(expiry::pexpire))),
    ("pexpireat", Owner(Key(expiry::pexpireat))),
    ("pexpiretime", Owner(Key(expiry::pexpiretime))),
    ("ping", Home(Session(conn::ping))),
    ("psetex", Owner(Key(string::set_for_millis))),
    ("psubscribe", EveryCore(Part::Subscribe(Topic::Pattern))),
    ("pttl", Owner(Key(expiry::pttl))),
    ("publish", Owner(Publish(Topic::Channel))),
    ("pubsub", Container),
    ("pubsub|channels", EveryCore(Ask(Question::PubsubNames(Topic::Channel)))),
    ("pubsub|help", Home(Session(conn::help))),
    ("pubsub|numpat", EveryCore(Ask(Question::PubsubPatterns))),
    ("pubsub|numsub", EveryCore(Ask(Question::PubsubCounts(Topic::Channel)))),
    ("pubsub|shardchannels", EveryCore(Ask(Question::PubsubNames(Topic::ShardChannel)))),
    ("pubsub|shardnumsub", EveryCore(Ask(Question::PubsubCounts(Topic::ShardChannel)))),
    ("punsubscribe", EveryCore(Part::Unsubscribe(Topic::Pattern))),
    ("quit", Home(Session(conn::quit))),
    ("randomkey", EveryCore(Part::RandomKey)),
    ("readonly", Home(Topology(Told::Accepted))),
    ("readwrite", Home(Topology(Told::Accepted))),
    ("rename", Owner(Several(several::rename))),
    ("renamenx", Owner(Several(several::rename_if_absent))),
    ("reset", Home(Session(conn::reset))),
    ("restore", Owner(Key(dump::restore))),
    ("save", EveryCore(Part::Snapshot(snapshot::Verb::Save))),
    ("scan", Owner(Scan)),
    ("select", Home(Session(conn::select))),
    ("set", Owner(Key(string::set))),
    ("setbit", Owner(Key(bits::set))),
    ("setex", Owner(Key(string::set_for_seconds))),
    ("setnx", Owner(Key(string::set_if_absent))),
    ("setrange", Owner(Key(range::set))),
    ("slowlog", Container),
    ("slowlog|get", EveryCore(Ask(Question::SlowlogGet))),
    ("slowlog|help", Home(Session(conn::help))),
    ("slowlog|len", EveryCore(Ask(Question::SlowlogLen))),
    ("slowlog|reset", EveryCore(Ask(Question::SlowlogReset))),
    ("spublish", Owner(Publish(Topic::ShardChannel))),
    ("ssubscribe", EveryCore(Part::Subscribe(Topic::ShardChannel))),
    ("strlen", Owner(Key(range::len))),
    ("subscribe", EveryCore(Part::Subscribe(Topic::Channel))),
    ("substr", Owner(Key(range::get))),
    ("sunsubscribe", EveryCore(Part::Unsubscribe(Topic::ShardChannel))),
    ("time", Home(Session(admin::time))),
    ("touch", Owner(EachKey(keyspace::touch, Fold::Sum))),
    ("ttl", Owner(Key(expiry::ttl))),
    ("type", Owner(Key(keyspace::value_type))),
    ("unlink", Owner(EachKey(keyspace::delete, Fold::Sum))),
    ("unsubscribe", EveryCore(Part::Unsubscribe(Topic::Channel))),
    ("unwatch", Home(Transaction(Verb::Unwatch))),
    ("watch", Home(Transaction(Verb::Watch))),
];

/// The facts, each with its handler.
const fn joined() -> [Command; ROWS.len()] {
    let mut all = [Command { facts: ROWS[0], handler: HANDLERS[0].1 }; ROWS.len()];
    let mut at = 0;
    while at < ROWS.len() {
        let (name, handler) = HANDLERS[at];
        assert!(same(ROWS[at].name, name), "handlers stand in the order of the facts");
        all[at] = Command { facts: ROWS[at], handler };
        at += 1;
    }
    all
}

/// The internal commands that only engines send each other; no client can name them. Their ids begin at
/// `CommandId::INTERNAL`.
#[rustfmt::skip]
pub(super) static INTERNAL: &[Command] = &[
    Command { facts: facts!("#read", -2, flag::READONLY, ALL_KEYS, Generic, "key [key ...]", "Reads values and deadlines."), handler: Owner(EachKey(several::read, Fold::Array)) },
    Command { facts: facts!("#renamed", -2, flag::WRITE, ALL_KEYS, Generic, "key [key ...]", "Removes keys whose values have others now."), handler: Owner(EachKey(several::remove_renamed, Fold::Sum)) },
    Command { facts: facts!("#untrack", 3, 0, NO_KEYS, Connection, "prefix home", "Ends the tracking of a prefix."), handler: Owner(Key(client_tracking::untrack)) },
    Command { facts: facts!("#unwatch", 2, 0, NO_KEYS, Transactions, "client", "Ends what a client watches."), handler: Owner(Key(several::unwatch)) },
    Command { facts: facts!("#watch", -3, 0, KEY_VALUE_PAIRS, Transactions, "key client [key client ...]", "Watches keys."), handler: Owner(EachKey(several::watch, Fold::Ok)) },
    Command { facts: facts!("#write", -4, flag::WRITE, Keys { first: 1, last: -1, step: 3 }, Generic, "key value deadline [...]", "Stores values with deadlines."), handler: Owner(EachKey(several::write, Fold::Ok)) },
];
