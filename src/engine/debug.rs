//! DEBUG, as far as tests of clients and servers need it. Core: the session's home; OBJECT runs where its key is.
//!
//! Refused unless `--enable-debug-command` allows it. SLEEP keeps back the reply of its own session and all that
//! session asks for after it; Redis stops for everyone. The delay is counted in ticks, so it is a little longer than
//! was asked for. Never: blocks a core.

use crate::command::connection::error;
use crate::command::errors::quote;
use crate::command::settings::DebugAccess;
use crate::command::table::CommandId;
use crate::command::{Client, Error};
use crate::engine::batch::{Mode, Request, Solo};
use crate::engine::route::Trip;
use crate::engine::session::{Flow, Session};
use crate::engine::slowlog::SlowCall;
use crate::engine::{Engine, Notice, SessionId};
use crate::resp::number::parse_i64;
use crate::resp::{Args, Writer};
use crate::shard::Shard;

const HELP: [&str; 12] = [
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "OBJECT <key>",
    "    Describes the value.",
    "PANIC",
    "    Ends the process as if something had gone wrong.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Sets whether items whose time has passed go without being asked for.",
    "SLEEP <seconds>",
    "    Keeps back this reply, and what the connection asks for after it, for so long.",
    "    Decimals allowed.",
    "HELP",
    "    Lists the subcommands.",
];

/// Bytes up to which Redis stores a string in one piece with its head.
const EMBEDDED_BYTES_MAX: usize = 44;

impl Engine {
    /// Runs DEBUG, or refuses it.
    pub(super) fn dispatch_debug(&mut self, session: &mut Session, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        if !is_allowed(self.settings.debug, &session.client) {
            return self.reject(session, Some(trip.command), &Error::DebugRefused, trip.muted);
        }
        let sub = args.at(0).to_ascii_uppercase();
        match (sub.as_slice(), args.get(1), args.len()) {
            (b"OBJECT", Some(key), 2) => self.run_at_key(session, id, key, args, trip, |shard, call, writer| {
                object(shard, args, call.now_ms, writer);
            }),
            (b"SLEEP", Some(seconds), 2) => self.debug_sleep(session, args, trip, seconds),
            (b"SET-ACTIVE-EXPIRE", Some(switch), 2) => return self.set_active_expire(session, switch, trip),
            // Nobody waits for the reply: the process ends with this turn.
            (b"PANIC", None, 1) => self.notice(Notice::Panic),
            (b"HELP", None, 1) => self.run_here(session, args, trip, |_, _, writer| {
                writer.array(HELP.len());
                HELP.iter().for_each(|line| writer.simple(line));
            }),
            _ => {
                let sub = quote(args.at(0));
                return self.fail(session, args, trip, &Error::SubcommandSyntax(sub, trip.command.row().name));
            }
        }
        Flow::Next
    }

    /// Answers OK after a while. It counts as having taken that long, from the beginning.
    fn debug_sleep(&mut self, session: &mut Session, args: Args<'_>, trip: Trip, seconds: &[u8]) {
        let seconds: f64 = std::str::from_utf8(seconds).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        let mut reply = Vec::new();
        if !trip.muted {
            Writer::new(&mut reply, session.client.proto).ok();
        }
        session.replies.append(|out| out.extend_from_slice(&reply));
        // A float that is no time becomes 0, one that is too long the longest.
        self.sleep(session, reply.len(), (seconds * 1e3) as u64);
        self.meter.pause();
        // Short of what thresholds have for never.
        let ns = ((seconds * 1e9) as u64).min(u64::MAX / 2);
        if let Some(ns) = self.meter.finish(trip.command, ns, &reply) {
            self.meter.log(SlowCall::new(trip.command, args, ns, trip.now_ms), &session.client);
        }
    }

    /// CONFIG SET active-expire, under Redis's name for it.
    fn set_active_expire(&mut self, session: &mut Session, switch: &[u8], trip: Trip) -> Flow {
        let value: &[u8] = if parse_i64(switch).unwrap_or(0) == 0 { b"no" } else { b"yes" };
        let caller = session.client.id.to_le_bytes();
        let words: [&[u8]; 3] = [&caller, b"active-expire", value];
        let mode = Mode { part: true, ..Mode::new(session.client.proto, false) };
        let place = session.replies.hold(trip.muted);
        Flow::Every(Solo { place, request: Request::alone(CommandId::CONFIG_SET, mode, words.into_iter()) })
    }
}

pub(super) fn is_allowed(access: DebugAccess, client: &Client) -> bool {
    let host = client.addr.rsplit_once(':').map_or("", |(host, _)| host);
    match access {
        DebugAccess::No => false,
        DebugAccess::Local => host.starts_with("127.") || matches!(host, "[::1]" | "::1") || host.starts_with('/'),
        DebugAccess::Yes => true,
    }
}

/// DEBUG OBJECT key: what Redis's clients read of its line. The length is that of the value.
pub(super) fn object(shard: &Shard, args: Args<'_>, now_ms: u64, writer: &mut Writer<'_>) {
    let Some(item) = shard.peek(args.at(1), now_ms) else { return error(writer, &Error::NoSuchKey) };
    let encoding = match item.value.len() {
        _ if parse_i64(item.value).is_some() => "int",
        0..=EMBEDDED_BYTES_MAX => "embstr",
        _ => "raw",
    };
    writer.simple(&format!("Value refcount:1 encoding:{encoding} serializedlength:{}", item.value.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_is_this_machine() {
        let cases = [
            ("127.0.0.1:5", true),
            ("[::1]:5", true),
            ("/tmp/socket:0", true),
            ("10.0.0.1:5", false),
            ("[fe80::1]:5", false),
            ("", false),
        ];
        for (addr, local) in cases {
            let client = Client { addr: addr.to_owned(), ..Client::default() };
            assert_eq!(is_allowed(DebugAccess::Local, &client), local, "{addr}");
            assert!(is_allowed(DebugAccess::Yes, &client) && !is_allowed(DebugAccess::No, &client));
        }
    }
}
