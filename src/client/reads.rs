//! The commands that only read, and so are safe to retry; and those whose first argument is their key.
//!
//! The table of commands says both. A command that is not in it is sent once, to the one port, which answers for all
//! cores.

use crate::command::facts::{self, flag};

/// Whether a command changes nothing.
pub(crate) fn only_reads(name: &[u8]) -> bool {
    facts::find(name).is_some_and(|row| row.is(flag::READONLY) || row.is(flag::REPEATABLE))
}

/// Whether the first argument of a command is its key.
#[cfg(feature = "client")]
pub(crate) fn begins_with_key(name: &[u8]) -> bool {
    facts::find(name).is_some_and(|row| row.keys.first == 1 && (row.is(flag::READONLY) || row.is(flag::WRITE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_safe_to_send_again() {
        for name in ["get", "GET", "MGet", "ttl", "DUMP", "keys", "SCAN", "INFO", "ping", "ASPINE.CORES", "dbsize"] {
            assert!(only_reads(name.as_bytes()), "{name}");
        }
        for name in
            ["set", "INCR", "GETDEL", "getex", "flushall", "PUBLISH", "multi", "EXEC", "wait", "lpush", "", "ge"]
        {
            assert!(!only_reads(name.as_bytes()), "{name}");
        }
    }

    #[test]
    #[cfg(feature = "client")]
    fn the_table_says_where_the_key_is() {
        for name in ["get", "SET", "mset", "DEL", "BitCount", "expire", "rename"] {
            assert!(begins_with_key(name.as_bytes()), "{name}");
        }
        // WATCH is of a connection, so it goes where the others of its transaction go.
        for name in ["ping", "BITOP", "msetex", "memory", "scan", "WATCH", "EVAL", "client list"] {
            assert!(!begins_with_key(name.as_bytes()), "{name}");
        }
    }
}
