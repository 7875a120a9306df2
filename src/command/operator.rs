//! ROLE, WAIT, REPLICAOF, MODULE LIST and their like: what operators and their tools ask of any Redis, answered by a server
//! that has no replicas, no append only file and no modules. Core: the session's home.
//!
//! Never: says that something was done that was not.

use crate::command::connection::REDIS_VERSION;
use crate::command::context::{After, Home};
use crate::command::errors::error;
use crate::command::{Call, Client, Error, Reply};
use crate::resp::number::parse_i64;
use crate::resp::{Args, Writer};
use crate::shard::Shard;

/// Handles ROLE: a master without replicas.
pub fn role(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.array(3);
    writer.bulk(b"master");
    writer.integer(0);
    writer.array(0);
    After::Continue
}

/// WAIT numreplicas timeout: answered at once, since no replica will ever come.
pub fn wait(_client: &mut Client, args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let refusal = match (parse_i64(args.at(0)), parse_i64(args.at(1))) {
        (None, _) => Error::NotInteger,
        (_, None) => Error::Timeout("not an integer or out of range"),
        (_, Some(timeout_ms)) if timeout_ms < 0 => Error::Timeout("negative"),
        (_, Some(timeout_ms)) if timeout_ms.checked_add_unsigned(home.now_ms).is_none() => {
            Error::Timeout("out of range")
        }
        _ => {
            writer.integer(0);
            return After::Continue;
        }
    };
    error(writer, &refusal);
    After::Continue
}

/// REPLICAOF NO ONE, which is so anyway; a host and a port are refused.
pub fn replica_of(_client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    if args.at(0).eq_ignore_ascii_case(b"NO") && args.at(1).eq_ignore_ascii_case(b"ONE") {
        writer.ok();
    } else {
        error(writer, &Error::NoReplication);
    }
    After::Continue
}

/// Handles BGREWRITEAOF, which is refused.
pub fn rewrite_log(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    error(writer, &Error::NoAppendOnlyFile);
    After::Continue
}

/// Handles MODULE LIST: there are none.
pub fn module_list(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.array(0);
    After::Continue
}

/// Handles LOLWUT, whatever version of it is asked for.
pub fn lolwut(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let text = format!("Aspine {}, a cache for clients of Redis ver. {REDIS_VERSION}\n", env!("CARGO_PKG_VERSION"));
    writer.verbatim(text.as_bytes());
    After::Continue
}

/// `CLIENT UNBLOCK id [TIMEOUT | ERROR]`: no command here blocks its client.
pub fn client_unblock(_client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let refusal = match args.get(1) {
        _ if args.len() > 2 => Error::SubcommandSyntax("UNBLOCK".to_owned(), "client"),
        Some(reason) if !reason.eq_ignore_ascii_case(b"TIMEOUT") && !reason.eq_ignore_ascii_case(b"ERROR") => {
            Error::UnblockReason
        }
        _ if parse_i64(args.at(0)).is_none() => Error::NotInteger,
        _ => {
            writer.integer(0);
            return After::Continue;
        }
    };
    error(writer, &refusal);
    After::Continue
}

/// The commands that CLIENT PAUSE holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    /// Commands that write or publish.
    Writes,
    /// All commands.
    All,
}

/// The arguments of CLIENT PAUSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// For how long commands are held back, in milliseconds.
    pub timeout_ms: u64,
    /// The commands that are.
    pub paused: Paused,
}

impl Pause {
    /// Parses `timeout [WRITE | ALL]`.
    pub fn parse(args: Args<'_>) -> Result<Pause, Error> {
        let paused = match args.get(1) {
            Some(mode) if mode.eq_ignore_ascii_case(b"WRITE") => Paused::Writes,
            Some(mode) if !mode.eq_ignore_ascii_case(b"ALL") => return Err(Error::PauseMode),
            _ => Paused::All,
        };
        let timeout_ms = parse_i64(args.at(0)).ok_or(Error::Timeout("not an integer or out of range"))?;
        let timeout_ms = u64::try_from(timeout_ms).map_err(|_| Error::Timeout("negative"))?;
        Ok(Pause { timeout_ms, paused })
    }
}

/// Handles SORT and SORT_RO, which are refused.
pub fn sort<'s>(_shard: &'s mut Shard, _args: Args<'_>, _call: Call) -> Reply<'s> {
    Error::NoSort.into()
}

/// The options of SHUTDOWN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Whether there is a last snapshot; if not said, there is one if the server takes any.
    pub saves: Option<bool>,
    /// Whether clients are not waited for.
    pub hurried: bool,
}

impl End {
    /// Parses `[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`. ABORT is refused: a server that ends takes no commands any more.
    pub fn parse(args: Args<'_>) -> Result<End, Error> {
        let (mut end, mut aborts) = (End::default(), false);
        for option in args.iter() {
            let upper = option.to_ascii_uppercase();
            match upper.as_slice() {
                b"SAVE" if end.saves != Some(false) => end.saves = Some(true),
                b"NOSAVE" if end.saves != Some(true) => end.saves = Some(false),
                b"NOW" => end.hurried = true,
                // A last snapshot that fails holds up no end.
                b"FORCE" => {}
                b"ABORT" => aborts = true,
                _ => return Err(Error::Syntax),
            }
        }
        match aborts {
            true if args.len() > 1 => Err(Error::Syntax),
            true => Err(Error::NoShutdown),
            false => Ok(end),
        }
    }
}
