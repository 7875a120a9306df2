//! Asking: a session's commands of the whole process, from the request to the reply. Core: the session's home.

use crate::command::handler::Part;
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::session::stop;
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::{Place, SessionId};
use crate::engine::link::caller::Caller;
use crate::engine::link::message::{Ask, Detail};
use crate::engine::process_wide;
use crate::engine::process_wide::ask::Asker;
use crate::resp::{Args, Words};

impl Home {
    /// Has every core that has a part in a command do it. None of the session's earlier commands is under way, and no
    /// later one runs before it is answered.
    pub(super) fn ask_all(
        &mut self,
        core: &mut Core,
        id: SessionId,
        args: Args<'_>,
        (part, detail): (Part, Detail),
        trip: Trip,
    ) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        let ask = Ask {
            gather: None,
            command: trip.command,
            part,
            caller: Caller::unnamed(session.client.proto, trip.held).in_database(session.client.database),
            client: session.client.id,
            words: Words::new(args.iter()),
            detail,
        };
        if let Err(error) = process_wide::check(core, &ask) {
            return self.fail(core, id, args, trip, &error);
        }
        let place = session.replies.hold(trip.muted);
        session.stop(stop::EXCLUSIVE, true);
        session.exclusive_since_ns = core.env.meter.begin();
        let by_core_port = session.client.by_core_port;
        process_wide::start(self, core, Asker::Session(id, place), ask, by_core_port);
        Flow::Next
    }

    /// All cores have answered: the session has its reply and goes on.
    pub(in crate::engine) fn finish_ask(
        &mut self,
        core: &mut Core,
        (id, place): (SessionId, Place),
        ask: &Ask,
        reply: &[u8],
    ) {
        let Some(session) = self.sessions.writable(id) else { return };
        session.replies.fill(place, reply);
        session.stop(stop::EXCLUSIVE, false);
        let env = &mut core.env;
        if let Some(ns) = env.meter.end_since(ask.command, session.exclusive_since_ns, reply) {
            env.note_call(ask.command, ask.words.args(), ns, &session.client);
        }
        self.resumable.push_back(id);
    }
}
