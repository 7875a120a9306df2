//! Monitoring: MONITOR of sessions, and what of their commands is recorded for those who watch. Core: the session's home.
//!
//! As in Redis a line is recorded when its command has run or is on its way, commands of operators are not shown, and a
//! client that watches runs no command of keys.

use crate::command::Error;
use crate::command::facts::flag;
use crate::command::handler::{Handler, HomeHandler, Part, Verb};
use crate::command::lookup::CommandId;
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::session::Session;
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::SessionId;
use crate::engine::link::message::{Ask, Detail, Lines};
use crate::resp::{Args, Words, Writer};
use crate::slot::CoreId;

impl Home {
    /// MONITOR. As in Redis, a client that watches already is not answered.
    pub(super) fn dispatch_monitor(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        if trip.held {
            return self.fail(core, id, args, trip, &Error::MonitorInMulti);
        }
        match self.sessions.get(id) {
            Some(session) if !session.client.monitors => {
                self.ask_all(core, id, args, (Part::Monitor, Detail::None), trip)
            }
            _ => Flow::Next,
        }
    }

    /// A client of that core, this one or another, begins to watch: commands are looked at one by one.
    pub(in crate::engine) fn begin_monitor(&mut self, core: &mut Core, watcher: CoreId) {
        self.monitor.begin(watcher, &core.env, &mut core.links);
        self.look_at_each();
    }

    /// A client of that core no longer watches.
    pub(in crate::engine) fn end_monitor(&mut self, watcher: CoreId) {
        self.monitor.end(watcher);
        self.look_at_each();
    }

    /// Starts MONITOR for the session, now that every core records commands.
    pub(in crate::engine) fn confirm_monitor(&mut self, core: &mut Core, id: SessionId, writer: &mut Writer<'_>) {
        let Some(session) = self.sessions.get_mut(id) else {
            // Its connection ended meanwhile.
            return self.disclaim_monitor(core);
        };
        session.client.monitors = true;
        self.monitor.join(id, &core.env);
        writer.ok();
    }

    /// A session watches no longer, if it did: RESET, or its connection has ended.
    pub(super) fn leave_monitor(&mut self, core: &mut Core, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && std::mem::take(&mut session.client.monitors)
        {
            self.monitor.leave(id);
            self.disclaim_monitor(core);
        }
    }

    /// Tells all cores that one client of this one watches no longer; nobody waits for their answers.
    fn disclaim_monitor(&mut self, core: &mut Core) {
        self.end_monitor(core.env.router.core());
        core.links.ask_peers(&Ask::unanswered(CommandId::MONITOR, Part::Monitor, Detail::Ended, Words::default()));
    }

    /// A command has run, or is on its way. `words`: as it was typed.
    #[cold]
    pub(super) fn record(
        &mut self,
        core: &mut Core,
        id: SessionId,
        command: CommandId,
        (words, args): (Args<'_>, Args<'_>),
    ) {
        let is_exec = matches!(command.row().handler, Handler::Home(HomeHandler::Transaction(Verb::Exec)));
        // What EXEC runs comes before it.
        if is_exec && self.sessions.get_mut(id).and_then(Session::transaction).is_some() {
            return;
        }
        self.record_as(core, id, command, (Some(words.head(words.len() - args.len())), args));
    }

    /// As `record`, for a command that was kept without its name.
    #[cold]
    pub(super) fn record_queued(&mut self, core: &mut Core, id: SessionId, command: CommandId, args: Args<'_>) {
        self.record_as(core, id, command, (None, args));
    }

    fn record_as(
        &mut self,
        core: &mut Core,
        id: SessionId,
        command: CommandId,
        (names, args): (Option<Args<'_>>, Args<'_>),
    ) {
        let row = command.row();
        if row.is(flag::ADMIN) {
            return;
        }
        let Some(session) = self.sessions.get(id) else { return };
        self.monitor.record(&session.client, (row, names), args, &core.env);
        if self.monitor.is_long() {
            self.monitor.flush(&core.env, &mut core.links);
            self.monitor.show(&mut self.sessions, &mut core.env);
        }
    }

    /// Another core sends what it has recorded.
    pub(in crate::engine) fn on_lines(&mut self, core: &mut Core, from: CoreId, lines: Lines) {
        self.monitor.on_lines(from, lines, &core.env);
        self.monitor.show(&mut self.sessions, &mut core.env);
    }

    /// Whether anybody watches, on whichever core.
    pub(in crate::engine) fn is_monitored(&self) -> bool {
        self.monitor.is_on()
    }

    #[cfg(any(test, feature = "verify"))]
    pub(in crate::engine) fn unshown_bytes(&self) -> usize {
        self.monitor.unshown_bytes()
    }

    /// What looks at single commands has changed.
    pub(super) fn look_at_each(&mut self) {
        self.looks_at_each = self.client_pause.is_some() || self.monitor.is_on();
    }
}
