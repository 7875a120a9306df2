//! Clients: CLIENT LIST and CLIENT KILL, as each core does them for its sessions, in slices. Core: each its own.

use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::client_filters::{ClientVerb, ClientWalk};
use crate::engine::link::message::Answer;
use crate::limits::SESSIONS_STEP;

impl Home {
    /// Begins a walk over the sessions; where there are few it is over at once.
    pub(in crate::engine) fn begin_client_walk(&mut self, core: &mut Core, walk: ClientWalk) {
        self.walks.push_back(walk);
        if self.walks.len() == 1 {
            self.step_client_walk(core);
        }
    }

    /// One step of the walk whose turn it is.
    pub(super) fn step_client_walk(&mut self, core: &mut Core) {
        let Some(mut walk) = self.walks.pop_front() else { return };
        let end = self.sessions.places().min(walk.at + SESSIONS_STEP);
        for place in walk.at..end {
            self.visit(place, &mut walk.verb, core.env.now_ms);
        }
        walk.at = end;
        if end < self.sessions.places() {
            self.walks.push_back(walk);
            return;
        }
        let answer = match walk.verb {
            ClientVerb::List { lines, .. } => Answer::Text(lines),
            ClientVerb::Kill { killed, .. } => Answer::Count(killed),
        };
        core.links.answer(walk.origin, answer);
    }

    fn visit(&mut self, place: usize, verb: &mut ClientVerb, now_ms: u64) {
        let Some(id) = self.sessions.at(place) else { return };
        let Some(session) = self.sessions.get_mut(id) else { return };
        match verb {
            ClientVerb::List { filter, lines } => {
                if !session.gone && filter.takes(&session.client) {
                    lines.extend_from_slice(session.client.describe(session.sizes(), now_ms).as_bytes());
                }
            }
            ClientVerb::Kill { filter, caller, killed } => {
                let own = session.client.id == *caller;
                if (own && filter.skip_me) || !filter.takes(&session.client, now_ms) {
                    return;
                }
                if own {
                    // Once it has its reply.
                    session.close();
                } else {
                    session.cut();
                }
                *killed += 1;
                self.sessions.settle(id);
            }
        }
    }
}
