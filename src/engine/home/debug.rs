//! DEBUG, as far as tests of clients and servers need it. Core: the session's home; OBJECT runs where its key is.
//!
//! Refused unless `--enable-debug-command` allows it. SLEEP keeps back the reply of its own session and all that
//! session asks for after it; Redis stops for everyone. The delay is counted in ticks, so it is a little longer than
//! was asked for. Never: blocks a core.

use crate::command::errors::quote;
use crate::command::handler::{OwnerHandler, Part};
use crate::command::lookup::CommandId;
use crate::command::settings::DebugAccess;
use crate::command::{Client, Error};
use crate::engine::core::Core;
use crate::engine::env::Notice;
use crate::engine::home::Home;
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::SessionId;
use crate::engine::link::message::Detail;
use crate::resp::number::parse_i64;
use crate::resp::{Args, Words, Writer};

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

impl Home {
    /// Runs DEBUG, or refuses it.
    pub(super) fn dispatch_debug(
        &mut self,
        core: &mut Core,
        id: SessionId,
        handler: OwnerHandler,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        let Some(session) = self.sessions.get(id) else { return Flow::End };
        if !is_allowed(core.env.settings.debug, &session.client) {
            return self.reject(core, id, Some(trip.command), &Error::DebugRefused, trip.muted);
        }
        let sub = args.at(0).to_ascii_uppercase();
        match (sub.as_slice(), args.get(1), args.len()) {
            (b"OBJECT", Some(key), 2) => {
                let owner = core.env.router.owner(key);
                self.run_at(core, id, owner, handler, args, trip);
            }
            (b"SLEEP", Some(seconds), 2) => self.debug_sleep(core, id, args, trip, seconds),
            (b"SET-ACTIVE-EXPIRE", Some(switch), 2) => {
                // CONFIG SET active-expire, under Redis's name for it.
                let value: &[u8] = if parse_i64(switch).unwrap_or(0) == 0 { b"no" } else { b"yes" };
                let words = Words::new([b"active-expire".as_slice(), value].into_iter());
                let trip = Trip { command: CommandId::CONFIG_SET, ..trip };
                return self.ask_all(core, id, words.args(), (Part::ConfigSet, Detail::None), trip);
            }
            // Nobody waits for the reply: the process ends with this turn.
            (b"PANIC", None, 1) => core.env.notice(Notice::Panic),
            (b"HELP", None, 1) => self.answer(core, id, args, trip, |writer| {
                writer.array(HELP.len());
                HELP.iter().for_each(|line| writer.simple(line));
            }),
            _ => {
                let error = Error::SubcommandSyntax(quote(args.at(0)), trip.command.row().name);
                return self.fail(core, id, args, trip, &error);
            }
        }
        Flow::Next
    }

    /// Answers OK after a while. It counts as having taken that long, from the beginning.
    fn debug_sleep(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip, seconds: &[u8]) {
        let Some(session) = self.sessions.writable(id) else { return };
        let seconds: f64 = std::str::from_utf8(seconds).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        let mut reply = Vec::new();
        if !trip.muted {
            Writer::new(&mut reply, session.client.proto).ok();
        }
        session.replies.append(|out| out.extend_from_slice(&reply));
        // A float that is no time becomes 0, one that is too long the longest.
        let until_ms = core.env.awake_ms.saturating_add((seconds * 1e3) as u64);
        self.penalty.note(until_ms);
        session.delay(reply.len(), until_ms);
        core.env.meter.pause();
        // Short of what thresholds have for never.
        let ns = ((seconds * 1e9) as u64).min(u64::MAX / 2);
        if let Some(ns) = core.env.meter.finish(trip.command, ns, &reply) {
            core.env.note_call(trip.command, args, ns, &session.client);
        }
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
