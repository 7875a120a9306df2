//! Caller: for whom a command runs, in which database, and how it is to be answered. Travels with the command to wherever
//! it runs, two bytes and a client's id at most.

use crate::command::Call;
use crate::command::Client;
use crate::command::facts::flag;
use crate::command::handler::Command;
use crate::resp::Proto;
use crate::shard::{ClientId, Database, NO_CLIENT, Recency};

/// For whom a command runs and how it is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Caller {
    /// `NO_CLIENT` unless the core that runs the command has to know.
    pub(in crate::engine) client: ClientId,
    /// The database of the keys.
    pub(in crate::engine) database: Database,
    /// The protocol of the reply.
    pub(in crate::engine) proto: Proto,
    /// Reads leave recency alone.
    pub(in crate::engine) no_touch: bool,
    /// The answer is a part, for a gather.
    pub(in crate::engine) part: bool,
    /// The command comes from the transaction that holds the shard.
    pub(in crate::engine) held: bool,
    /// The client is sent an invalidation when the keys change that the command reads.
    pub(in crate::engine) remembers: bool,
    /// The client is not sent invalidations of what the command changes (NOLOOP).
    pub(in crate::engine) quiet: bool,
}

/// Bits of the byte.
const RESP3: u8 = 1;
const NO_TOUCH: u8 = 1 << 1;
const PART: u8 = 1 << 2;
const HELD: u8 = 1 << 3;
const REMEMBERS: u8 = 1 << 4;
const QUIET: u8 = 1 << 5;
/// The client's id follows.
pub(super) const NAMED: u8 = 1 << 6;

impl Caller {
    /// Nobody who tracks, and a whole reply.
    #[inline]
    pub(in crate::engine) fn unnamed(proto: Proto, held: bool) -> Caller {
        Caller {
            client: NO_CLIENT,
            database: 0,
            proto,
            no_touch: false,
            part: false,
            held,
            remembers: false,
            quiet: false,
        }
    }

    /// A client that does not track, and runs a command by itself.
    #[inline]
    pub(in crate::engine) fn plain(client: &Client) -> Caller {
        Caller { no_touch: client.no_touch, database: client.database, ..Caller::unnamed(client.proto, false) }
    }

    /// A client that runs a command by itself, or in a transaction that holds the shards.
    #[inline]
    pub(in crate::engine) fn of(client: &Client, row: &Command, held: bool) -> Caller {
        let caller = Caller { no_touch: client.no_touch, ..Caller::unnamed(client.proto, held) };
        if client.tracking.is_some() || client.database != 0 { caller.special(client, row) } else { caller }
    }

    #[cold]
    fn special(self, client: &Client, row: &Command) -> Caller {
        let caller = self.in_database(client.database);
        let Some(tracking) = &client.tracking else { return caller };
        let remembers = row.is(flag::READONLY) && tracking.remembers();
        let quiet = row.is(flag::WRITE) && tracking.noloop;
        if remembers || quiet { Caller { client: client.id, remembers, quiet, ..caller } } else { caller }
    }

    /// The same, answered by a part.
    pub(in crate::engine) fn part(self) -> Caller {
        Caller { part: true, ..self }
    }

    /// The same, of keys of a database.
    pub(in crate::engine) fn in_database(self, database: Database) -> Caller {
        Caller { database, ..self }
    }

    /// Whether the shard has to know more than the command: the client, or another database than 0.
    #[inline]
    pub(in crate::engine) fn is_special(self) -> bool {
        self.remembers | self.quiet | (self.database != 0)
    }

    /// What a handler of a key is told.
    #[inline]
    pub(in crate::engine) fn call(self, now_ms: u64) -> Call {
        Call { now_ms, recency: if self.no_touch { Recency::Keep } else { Recency::Touch } }
    }

    #[inline]
    pub(super) fn to_byte(self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        bit(self.proto == Proto::Resp3, RESP3)
            | bit(self.no_touch, NO_TOUCH)
            | bit(self.part, PART)
            | bit(self.held, HELD)
            | bit(self.remembers, REMEMBERS)
            | bit(self.quiet, QUIET)
            | bit(self.client != NO_CLIENT, NAMED)
    }

    #[inline]
    pub(super) fn from_bytes([byte, database]: [u8; 2], client: ClientId) -> Caller {
        Caller {
            client,
            database,
            proto: if byte & RESP3 == 0 { Proto::Resp2 } else { Proto::Resp3 },
            no_touch: byte & NO_TOUCH != 0,
            part: byte & PART != 0,
            held: byte & HELD != 0,
            remembers: byte & REMEMBERS != 0,
            quiet: byte & QUIET != 0,
        }
    }
}
