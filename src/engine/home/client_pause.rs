//! Client pause: what CLIENT PAUSE holds back. Core: each for its own clients; the command reaches all of them.
//!
//! A session whose next command may not run keeps it in its input, and is not read. Nothing is listed: when the pause ends, a
//! walk over the sessions, in slices, lets them go on. Never: holds back what has begun, a transaction or a command that
//! another core was sent.

use crate::command::handler::{Command, Handler, HomeHandler, Verb};
use crate::command::operator::{Pause, Paused};
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::multi::Multi;
use crate::engine::home::session::stop;
use crate::engine::ids::SessionId;

/// The commands that are held back, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientPause {
    paused: Paused,
    /// The end of the pause, as `Env::awake_ms` counts.
    until_ms: u64,
}

impl ClientPause {
    /// Whether a command is held back: one that a client sends by itself, or EXEC of what it has queued.
    pub(super) fn holds_back(&self, row: &Command, multi: Option<&Multi>) -> bool {
        let is_exec = matches!(row.handler, Handler::Home(HomeHandler::Transaction(Verb::Exec)));
        self.paused == Paused::All || row.changes() || (is_exec && multi.is_some_and(|multi| multi.changes))
    }

    pub(super) fn is_over(&self, awake_ms: u64) -> bool {
        self.until_ms <= awake_ms
    }
}

impl Home {
    /// CLIENT PAUSE. As in Redis, one that is in force already is only ever made longer and stricter.
    pub(in crate::engine) fn begin_client_pause(&mut self, core: &Core, pause: Pause) {
        let until_ms = core.env.awake_ms.saturating_add(pause.timeout_ms);
        let earlier = self.client_pause.unwrap_or(ClientPause { paused: pause.paused, until_ms });
        self.client_pause =
            Some(ClientPause { paused: earlier.paused.max(pause.paused), until_ms: earlier.until_ms.max(until_ms) });
        self.look_at_each();
    }

    /// CLIENT UNPAUSE, or the time is over: those who were held back go on, in slices.
    pub(in crate::engine) fn end_client_pause(&mut self) {
        if self.client_pause.take().is_some() {
            self.held_back_at = Some(0);
            self.look_at_each();
        }
    }

    /// The next command of a session waits for the end of the pause; if the server ends, nothing will run it.
    #[cold]
    pub(super) fn hold_back(&mut self, core: &Core, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            if core.env.draining {
                return session.close();
            }
            debug_assert!(!session.is_stopped(stop::HELD_BACK), "a session that is held back runs nothing");
            self.held_back += 1;
            session.stop(stop::HELD_BACK, true);
            session.client.held_back = true;
        }
    }

    /// The number of sessions that are held back.
    pub(in crate::engine) fn held_back(&self) -> u64 {
        self.held_back
    }

    /// A pause has ended: a session that was held back goes on, and may be held back by the next pause.
    pub(super) fn let_go_on(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && session.is_stopped(stop::HELD_BACK)
        {
            session.stop(stop::HELD_BACK, false);
            session.client.held_back = false;
            self.held_back -= 1;
            self.resumable.push_back(id);
        }
    }

    /// The server ends: what is held back will never run, so that its session ends.
    pub(super) fn drop_held_back(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && session.is_stopped(stop::HELD_BACK)
        {
            session.close();
        }
    }
}
