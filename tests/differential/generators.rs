//! How the command lines of each command look, in the notation of `pattern`; and which commands are left out.
//!
//! A row may stand here before its command does in the server's table: the stream takes only what the table has. The
//! comparison of redis-server with itself takes all rows.

use aspine::command::table::TABLE;

/// The command lines of one command.
pub(crate) struct Generator {
    /// As in the server's table.
    pub(crate) name: &'static str,
    /// The weight of the generator beside the others.
    pub(crate) weight: u32,
    /// Whether redis-server refuses it whatever its arguments are: with its default settings.
    pub(crate) refused: bool,
    /// One of these each time.
    pub(crate) patterns: &'static [&'static str],
}

/// The generators of a stream.
#[derive(Clone, Copy)]
pub(crate) enum Only {
    /// The generators whose commands are all in Aspine's table.
    TheTable,
    /// All, for redis-server beside itself.
    All,
}

impl Only {
    pub(crate) fn takes(self, generator: &Generator) -> bool {
        match self {
            Only::TheTable => generator.in_the_table(),
            Only::All => true,
        }
    }
}

impl Generator {
    /// Whether the server has every command of its patterns.
    pub(crate) fn in_the_table(&self) -> bool {
        let has = |name: &str| TABLE.iter().any(|row| row.name == name);
        let firsts = self.patterns.iter().flat_map(|pattern| pattern.split(" ; "));
        let mut firsts = firsts.filter_map(|line| line.trim_start_matches("other:").split_whitespace().next());
        has(self.name) && firsts.all(|first| has(&first.to_ascii_lowercase()))
    }
}

/// The generator's name for a command line, if it is a command.
pub(crate) fn name_of(words: &[Vec<u8>]) -> Option<&'static str> {
    let lower = |at: usize| words.get(at).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let (first, second) = (lower(0), lower(1));
    let find = |name: &[u8]| GENERATORS.iter().find(|generator| generator.name.as_bytes() == name);
    find(&[first.as_slice(), b"|", &second].concat()).or_else(|| find(&first)).map(|generator| generator.name)
}

/// Commands, or the beginnings of their names, that no stream has, and why.
pub(crate) const EXCLUDED: &[(&str, &str)] = &[
    ("aspine.cores", "is ours; tests/blackbox/core_ports.rs has it"),
    ("aspine.load", "is ours; tests/blackbox/snapshots.rs has it"),
    ("bgrewriteaof", "is refused here, as there is no append only file; tests/wire has it"),
    ("bgsave", "writes files, in its own time; tests/blackbox/snapshots.rs has it"),
    ("cl.throttle", "is of a module; tests/wire has it"),
    ("client|no-touch", "redis-server has it from 7.2 on; tests/wire has it"),
    ("client|setinfo", "redis-server has it from 7.2 on; tests/wire has it"),
    ("cluster|myshardid", "redis-server has it from 7.2 on; tests/wire has it"),
    ("clusterscan", "Valkey has it, from 9.1 on; tests/wire has it"),
    ("delex", "redis-server has it from 8.4 on; tests/wire has it"),
    ("delifeq", "Valkey has it, from 9.0 on; tests/wire has it"),
    ("digest", "redis-server has it from 8.4 on; tests/wire has it"),
    ("hotkeys", "redis-server has it from 8.6 on; tests/wire has it"),
    ("increx", "redis-server has it from 8.8 on; tests/wire has it"),
    ("lastsave", "it is a time; tests/blackbox/snapshots.rs has it"),
    ("lolwut", "it is a picture in Redis; tests/blackbox/operating.rs has it"),
    ("monitor", "what it shows comes in its own time; tests/differential/watching.rs has it"),
    ("msetex", "redis-server has it from 8.4 on; tests/wire has it"),
    ("psubscribe", "subscribers get messages at their own time; tests/wire has it"),
    ("punsubscribe", "as psubscribe"),
    ("quit", "ends the connection; tests/wire has it"),
    ("save", "writes files; tests/blackbox/snapshots.rs has it"),
    ("shutdown", "ends the server; tests/blackbox/ending.rs has it"),
    ("sort", "is refused here; tests/wire has it"),
    ("sort_ro", "as sort"),
    ("ssubscribe", "as psubscribe"),
    ("subscribe", "as psubscribe"),
    ("sunsubscribe", "as psubscribe"),
    ("unsubscribe", "as psubscribe"),
];

/// Beginnings of names whose arguments stay as they were drawn: others could end the connection or change either server,
/// or be numbers that BITFIELD SET of Redis reckons with past 64 bits (see `bit-value`).
pub(crate) const HANDS_OFF: &[&str] = &[
    "auth",
    "bitfield",
    "client|kill",
    "client|pause",
    "client|reply",
    "client|tracking",
    "client|unblock",
    "config",
    "debug",
    "hello",
    "replicaof",
    "reset",
    "select",
    "slaveof",
    "wait",
];

const fn row(name: &'static str, weight: u32, patterns: &'static [&'static str]) -> Generator {
    Generator { name, weight, refused: false, patterns }
}

const fn refused(name: &'static str, patterns: &'static [&'static str]) -> Generator {
    Generator { name, weight: 1, refused: true, patterns }
}

/// All of them, sorted by name.
#[rustfmt::skip]
pub(crate) const GENERATORS: &[Generator] = &[
    row("append", 4, &["APPEND <key> <value>"]),
    refused("asking", &["ASKING", "ASKING x"]),
    row("auth", 1, &["AUTH default x", "AUTH x", "AUTH a b c", "AUTH"]),
    row("bitcount", 3, &["BITCOUNT <key> [<index> <index> [BYTE|BIT]]", "BITCOUNT <key> <index>"]),
    row("bitfield", 4, &["BITFIELD <key> *(GET <bit-type> <bit-offset>|SET <bit-type> <bit-offset> <bit-value>|INCRBY <bit-type> <bit-offset> <int>|OVERFLOW (WRAP|SAT|FAIL|X))"]),
    row("bitfield_ro", 2, &["BITFIELD_RO <key> *(GET <bit-type> <bit-offset>)", "BITFIELD_RO <key> SET u8 0 1"]),
    row("bitop", 3, &["BITOP (AND|OR|XOR) <key> <keys>", "BITOP NOT <key> <key>", "BITOP (NOT|X) <key> <keys>"]),
    row("bitpos", 3, &["BITPOS <key> <bit> [<index> [<index> [BYTE|BIT]]]"]),
    refused("client", &["CLIENT", "CLIENT BOGUS"]),
    row("client|caching", 1, &["CLIENT CACHING (YES|NO|X)"]),
    row("client|getname", 1, &["CLIENT GETNAME"]),
    row("client|getredir", 1, &["CLIENT GETREDIR"]),
    row("client|help", 1, &["CLIENT HELP"]),
    row("client|id", 1, &["CLIENT ID"]),
    row("client|info", 1, &["CLIENT INFO"]),
    row("client|kill", 1, &["CLIENT KILL 1.2.3.4:5", "CLIENT KILL ID (0|x|999999999)", "CLIENT KILL (BOGUS x|TYPE bogus|USER nobody|SKIPME x)"]),
    row("client|list", 1, &["CLIENT LIST", "CLIENT LIST ID 999999999", "CLIENT LIST (TYPE pubsub|TYPE x|ID x|BOGUS)"]),
    row("client|no-evict", 1, &["CLIENT NO-EVICT (ON|OFF|X)"]),
    row("client|pause", 1, &["CLIENT PAUSE (x|-1|0|1.5) [WRITE|ALL|X]", "CLIENT PAUSE (0|3) (WRITE|ALL)", "CLIENT PAUSE 0 ALL x"]),
    row("client|reply", 1, &["CLIENT REPLY (ON|X)"]),
    row("client|setname", 1, &["CLIENT SETNAME (me|you)", "CLIENT SETNAME <junk>"]),
    // Pushes come when they come, so nothing here is switched on.
    row("client|tracking", 1, &["CLIENT TRACKING (OFF|X)", "CLIENT TRACKING ON (X|PREFIX a|REDIRECT|REDIRECT x|REDIRECT 0|REDIRECT -1 X|BCAST OPTIN|OPTIN OPTOUT)"]),
    row("client|trackinginfo", 1, &["CLIENT TRACKINGINFO"]),
    row("client|unblock", 1, &["CLIENT UNBLOCK (999999999|0|x) [TIMEOUT|ERROR|X]"]),
    row("client|unpause", 1, &["CLIENT UNPAUSE"]),
    // What would change a cluster is no command here and can't be queued; tests/wire has it.
    refused("cluster", &["CLUSTER", "CLUSTER BOGUS"]),
    refused("cluster|countkeysinslot", &["CLUSTER COUNTKEYSINSLOT (0|16384|x)"]),
    refused("cluster|getkeysinslot", &["CLUSTER GETKEYSINSLOT (0|x) (1|x)"]),
    refused("cluster|help", &["CLUSTER HELP"]),
    refused("cluster|info", &["CLUSTER INFO"]),
    refused("cluster|keyslot", &["CLUSTER KEYSLOT <key>"]),
    refused("cluster|links", &["CLUSTER LINKS"]),
    refused("cluster|myid", &["CLUSTER MYID"]),
    refused("cluster|nodes", &["CLUSTER NODES"]),
    refused("cluster|replicas", &["CLUSTER REPLICAS x"]),
    refused("cluster|shards", &["CLUSTER SHARDS"]),
    refused("cluster|slots", &["CLUSTER SLOTS"]),
    row("command", 1, &["COMMAND BOGUS", "COMMAND BOGUS x", "COMMAND BOGUS x y", "COMMAND"]),
    row("command|count", 1, &["COMMAND COUNT"]),
    row("command|docs", 1, &["COMMAND DOCS (GET|SET|BOGUS)"]),
    row("command|getkeys", 2, &["COMMAND GETKEYS (GET <key>|MSET <pairs>|DEL <keys>|SET <key> <value> EX 5|PING x|BOGUS <key>|GET)"]),
    row("command|help", 1, &["COMMAND HELP"]),
    row("command|info", 1, &["COMMAND INFO (GET|SET|MGET DEL|BOGUS|MSET BOGUS|EXPIRE|SCAN)"]),
    row("command|list", 1, &["COMMAND LIST", "COMMAND LIST FILTERBY (PATTERN getd*|MODULE x|ACLCAT string|X x)"]),
    refused("config", &["CONFIG", "CONFIG BOGUS"]),
    row("config|get", 1, &["CONFIG GET (timeout|maxclients|BOGUS|timeou?)"]),
    row("config|help", 1, &["CONFIG HELP"]),
    row("config|resetstat", 1, &["CONFIG RESETSTAT"]),
    refused("config|rewrite", &["CONFIG REWRITE"]),
    row("config|set", 1, &["CONFIG SET timeout 0", "CONFIG SET (appendonly no|replica-read-only yes|daemonize yes|bogus 1|timeout x|maxmemory x|timeout 0 timeout 0|timeout 0 bogus)"]),
    row("copy", 4, &["COPY <key> <key> *(REPLACE|DB 0|DB 1|DB 2)", "COPY <key> <key> (DB 3|DB x|X)"]),
    row("dbsize", 2, &["EXISTS <all-keys> ; DBSIZE"]),
    refused("debug", &["DEBUG (SLEEP 0|OBJECT <key>|HELP|BOGUS)"]),
    row("decr", 3, &["DECR <key>"]),
    row("decrby", 3, &["DECRBY <key> <int>"]),
    row("del", 6, &["DEL <keys>"]),
    row("discard", 1, &["DISCARD"]),
    row("dump", 3, &["DUMP <key> ; RESTORE <key> 0 <payload> [REPLACE] ; GET <same>", "DUMP <key>"]),
    row("echo", 2, &["ECHO <value>"]),
    row("exec", 1, &["EXEC"]),
    row("exists", 4, &["EXISTS <keys>"]),
    row("expire", 5, &["EXPIRE <key> (<secs>|-1|0) *(NX|XX|GT|LT)", "EXPIRE <key> <secs>", "EXPIRE <key> <secs> <junk>"]),
    row("expireat", 4, &["EXPIREAT <key> <at-secs> *(NX|XX|GT|LT)"]),
    row("expiretime", 3, &["EXPIRETIME <key>"]),
    row("flushall", 1, &["FLUSHALL [ASYNC|SYNC|X]"]),
    row("flushdb", 1, &["FLUSHDB [ASYNC|SYNC|X]"]),
    row("get", 12, &["GET <key>", "SET <key> <long> ; GET <same> ; DEL <same>"]),
    row("getbit", 3, &["GETBIT <key> <bit-offset>"]),
    row("getdel", 3, &["GETDEL <key>"]),
    row("getex", 4, &["GETEX <key> *(EX <secs>|PX <millis>|EXAT <at-secs>|PXAT <at-millis>|PERSIST)", "GETEX <key>"]),
    row("getrange", 4, &["GETRANGE <key> <index> <index>"]),
    row("getset", 3, &["GETSET <key> <value>"]),
    row("hello", 1, &["HELLO", "HELLO (2|3|<own-proto> SETNAME me|<own-proto> AUTH default x) ; HELLO <own-proto>", "HELLO (4|x|3 BOGUS|3 AUTH default)"]),
    row("incr", 4, &["INCR <key>"]),
    row("incrby", 4, &["INCRBY <key> <int>"]),
    row("incrbyfloat", 4, &["INCRBYFLOAT <key> <float>"]),
    row("info", 1, &["INFO", "INFO (server|BOGUS|keyspace memory|all)"]),
    row("keys", 2, &["KEYS <pattern>"]),
    refused("latency", &["LATENCY", "LATENCY BOGUS"]),
    row("latency|doctor", 1, &["LATENCY DOCTOR"]),
    refused("latency|graph", &["LATENCY GRAPH command"]),
    row("latency|help", 1, &["LATENCY HELP"]),
    row("latency|histogram", 1, &["LATENCY HISTOGRAM [get|bogus]"]),
    row("latency|history", 1, &["LATENCY HISTORY (command|bogus)"]),
    row("latency|latest", 1, &["LATENCY LATEST"]),
    row("latency|reset", 1, &["LATENCY RESET [command]"]),
    row("lcs", 3, &["LCS <key> <key> *(LEN|IDX|WITHMATCHLEN|MINMATCHLEN <count>)", "LCS <key> <key>", "SET <key> <long> ; LCS <same> <same> LEN ; DEL <same>"]),
    refused("memory", &["MEMORY", "MEMORY BOGUS"]),
    row("memory|doctor", 1, &["MEMORY DOCTOR"]),
    row("memory|help", 1, &["MEMORY HELP"]),
    row("memory|malloc-stats", 1, &["MEMORY MALLOC-STATS"]),
    row("memory|purge", 1, &["MEMORY PURGE"]),
    row("memory|stats", 1, &["MEMORY STATS"]),
    row("memory|usage", 2, &["MEMORY USAGE <key> [SAMPLES <count>]"]),
    row("mget", 6, &["MGET <keys>"]),
    refused("module", &["MODULE", "MODULE BOGUS"]),
    row("module|help", 1, &["MODULE HELP"]),
    row("module|list", 1, &["MODULE LIST"]),
    row("move", 3, &["MOVE <key> (0|1|2|3|x)"]),
    row("mset", 6, &["MSET <pairs>"]),
    row("msetnx", 4, &["MSETNX <pairs>"]),
    row("multi", 3, &["MULTI"]),
    refused("object", &["OBJECT", "OBJECT BOGUS x"]),
    row("object|encoding", 4, &["OBJECT ENCODING <key>"]),
    row("object|freq", 1, &["OBJECT FREQ <key>"]),
    row("object|help", 1, &["OBJECT HELP"]),
    row("object|idletime", 2, &["OBJECT IDLETIME <key>"]),
    row("object|refcount", 2, &["OBJECT REFCOUNT <key>"]),
    row("persist", 4, &["PERSIST <key>"]),
    row("pexpire", 4, &["PEXPIRE <key> (<millis>|-1|0) *(NX|XX|GT|LT)"]),
    row("pexpireat", 4, &["PEXPIREAT <key> <at-millis> *(NX|XX|GT|LT)"]),
    row("pexpiretime", 3, &["PEXPIRETIME <key>"]),
    row("ping", 2, &["PING [<value>]"]),
    row("psetex", 4, &["PSETEX <key> <millis> <value>"]),
    row("pttl", 3, &["PTTL <key>"]),
    row("publish", 1, &["PUBLISH channel <value>"]),
    refused("pubsub", &["PUBSUB", "PUBSUB BOGUS"]),
    row("pubsub|channels", 1, &["PUBSUB CHANNELS [<pattern>]", "PUBSUB CHANNELS a b"]),
    row("pubsub|help", 1, &["PUBSUB HELP"]),
    row("pubsub|numpat", 1, &["PUBSUB NUMPAT"]),
    row("pubsub|numsub", 1, &["PUBSUB NUMSUB [channel channel]"]),
    row("pubsub|shardchannels", 1, &["PUBSUB SHARDCHANNELS [<pattern>]"]),
    row("pubsub|shardnumsub", 1, &["PUBSUB SHARDNUMSUB [channel channel]"]),
    row("randomkey", 1, &["RANDOMKEY"]),
    refused("readonly", &["READONLY", "READONLY x"]),
    refused("readwrite", &["READWRITE"]),
    row("rename", 4, &["RENAME <key> <key>"]),
    row("renamenx", 4, &["RENAMENX <key> <key>"]),
    row("replicaof", 1, &["REPLICAOF NO ONE", "REPLICAOF NO"]),
    row("reset", 1, &["RESET ; HELLO <own-proto>"]),
    row("restore", 3, &["DUMP <key> ; RESTORE <key> (0|<millis>|-1) <payload> *(REPLACE|IDLETIME 10|FREQ 5|X)", "DUMP <key> ; RESTORE <key> <at-millis> <payload> REPLACE ABSTTL ; PTTL <same>", "RESTORE <key> 0 <value>"]),
    row("role", 1, &["ROLE", "ROLE x"]),
    row("scan", 3, &["SCAN <walk> *(MATCH <pattern>|COUNT (5|20|100)|TYPE (string|list))", "SCAN <junk>", "SCAN 0 *(COUNT <count>|X 1|MATCH)"]),
    row("select", 2, &["SELECT (0|0|1|2)"]),
    row("set", 14, &["SET <key> <value>", "SET <key> <value> *(NX|XX|GET|EX <secs>|PX <millis>|EXAT <at-secs>|PXAT <at-millis>|KEEPTTL)"]),
    row("setbit", 4, &["SETBIT <key> <bit-offset> <bit>"]),
    row("setex", 4, &["SETEX <key> <secs> <value>"]),
    row("setnx", 4, &["SETNX <key> <value>"]),
    row("setrange", 4, &["SETRANGE <key> <offset> <value>"]),
    row("slaveof", 1, &["SLAVEOF no ONE"]),
    refused("slowlog", &["SLOWLOG", "SLOWLOG BOGUS"]),
    row("slowlog|get", 1, &["SLOWLOG GET [0|1|-1|-2|x]", "SLOWLOG GET 1 2"]),
    row("slowlog|help", 1, &["SLOWLOG HELP"]),
    row("slowlog|len", 1, &["SLOWLOG LEN"]),
    row("slowlog|reset", 1, &["SLOWLOG RESET"]),
    row("spublish", 1, &["SPUBLISH channel <value>"]),
    row("strlen", 4, &["STRLEN <key>"]),
    row("substr", 2, &["SUBSTR <key> <index> <index>"]),
    row("swapdb", 1, &["SWAPDB (0|1|2|x) (0|1|3|x)"]),
    row("time", 1, &["TIME"]),
    row("touch", 3, &["TOUCH <keys>"]),
    row("ttl", 4, &["TTL <key>"]),
    row("type", 3, &["TYPE <key>"]),
    row("unlink", 3, &["UNLINK <keys>"]),
    row("unwatch", 1, &["UNWATCH"]),
    row("wait", 1, &["WAIT (0|-1) (0|10|-1|x)", "WAIT x (0|-1|x)"]),
    row("watch", 3, &["WATCH <keys>", "WATCH <key> ; other: SET <same> <value> ; MULTI ; GET <same> ; EXEC", "WATCH <key> ; MULTI ; SET <same> <value> ; EXEC", "WATCH <key> ; other: DEL <key> ; MULTI ; GET <same> ; EXEC"]),
];

#[test]
fn the_rows_are_sorted() {
    assert!(GENERATORS.is_sorted_by(|one, two| one.name < two.name));
}
