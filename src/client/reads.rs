//! The commands that only read, and so are safe to retry; and those whose first argument is their key.
//!
//! A command that is in no list is sent once, to the one port, which answers for all cores.

/// Commands whose first argument is their key, and that change nothing.
const READS_OF_KEY: [&[u8]; 16] = [
    b"BITCOUNT",
    b"BITFIELD_RO",
    b"BITPOS",
    b"DUMP",
    b"EXISTS",
    b"EXPIRETIME",
    b"GET",
    b"GETBIT",
    b"GETRANGE",
    b"MGET",
    b"PEXPIRETIME",
    b"PTTL",
    b"STRLEN",
    b"SUBSTR",
    b"TTL",
    b"TYPE",
];

/// Other commands that change nothing.
const READS: [&[u8]; 9] = [b"ASPINE.CORES", b"DBSIZE", b"ECHO", b"INFO", b"KEYS", b"LCS", b"PING", b"SCAN", b"TIME"];

/// Commands whose first argument is their key, and that change it.
#[cfg(feature = "client")]
const WRITES_OF_KEY: [&[u8]; 26] = [
    b"APPEND",
    b"BITFIELD",
    b"DECR",
    b"DECRBY",
    b"DEL",
    b"EXPIRE",
    b"EXPIREAT",
    b"GETDEL",
    b"GETEX",
    b"GETSET",
    b"INCR",
    b"INCRBY",
    b"INCRBYFLOAT",
    b"MSET",
    b"PERSIST",
    b"PEXPIRE",
    b"PEXPIREAT",
    b"PSETEX",
    b"RESTORE",
    b"SET",
    b"SETBIT",
    b"SETEX",
    b"SETNX",
    b"SETRANGE",
    b"TOUCH",
    b"UNLINK",
];

fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a command changes nothing.
pub(crate) fn only_reads(name: &[u8]) -> bool {
    is_one_of(name, &READS_OF_KEY) || is_one_of(name, &READS)
}

/// Whether the first argument of a command is its key.
#[cfg(feature = "client")]
pub(crate) fn begins_with_key(name: &[u8]) -> bool {
    is_one_of(name, &READS_OF_KEY) || is_one_of(name, &WRITES_OF_KEY)
}
