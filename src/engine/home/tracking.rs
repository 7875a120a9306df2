//! Tracking: CLIENT TRACKING of sessions. Core: the session's home decides; what a shard has to know travels with the
//! commands (`link::caller`).
//!
//! A session of prefixes (BCAST) is made known to every core before it is confirmed. What becomes of keys that change is
//! in `invalidation`. Cost: one comparison a command while a session does not track.

use crate::command::Error;
use crate::command::facts::flag;
use crate::command::handler::Part;
use crate::command::lookup::CommandId;
use crate::command::tracking::{Change, Wish};
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::session::{Session, stop};
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::SessionId;
use crate::engine::link::message::{Ask, Detail};
use crate::resp::{Args, Words};
use crate::shard::ClientId;

impl Home {
    /// CLIENT TRACKING: at once, unless all cores have to hear of prefixes, or one of a client that is to be told.
    pub(super) fn dispatch_tracking(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        let now = session.client.tracking.as_deref();
        let wish = Wish::parse(args);
        let decided = wish.decide(now);
        let prefixes: Vec<Vec<u8>> = match &decided {
            Ok(Change::On(then)) => {
                let known = |prefix: &Vec<u8>| now.is_some_and(|now| now.prefixes.contains(prefix));
                then.prefixes.iter().filter(|prefix| !known(prefix)).cloned().collect()
            }
            _ => Vec::new(),
        };
        if wish.redirect.is_none() && prefixes.is_empty() {
            return match decided {
                Err(error) => self.fail(core, id, args, trip, &error),
                Ok(change) => {
                    self.set_tracking(core, id, change);
                    self.answer(core, id, args, trip, |writer| writer.ok());
                    Flow::Next
                }
            };
        }
        let target = wish.redirect.map(|target| u64::try_from(target).unwrap_or(0));
        self.ask_all(core, id, args, (Part::Tracking, Detail::Tracking { target, prefixes }), trip)
    }

    /// All cores have done their part, of which one may have found the client that is to be told: the session tracks, or
    /// learns why not.
    pub(in crate::engine) fn confirm_tracking(
        &mut self,
        core: &mut Core,
        id: SessionId,
        args: Args<'_>,
        (target, found, prefixes): (Option<ClientId>, bool, &[Vec<u8>]),
    ) -> Result<(), Error> {
        let decided = match self.sessions.get(id) {
            _ if target.is_some() && !found => Err(Error::TrackingRedirect),
            Some(session) => Wish::parse(args).decide(session.client.tracking.as_deref()),
            // It has gone meanwhile; nobody hears what it is told.
            None => Err(Error::NoSuchClient),
        };
        match decided {
            Ok(change) => {
                self.set_tracking(core, id, change);
                Ok(())
            }
            Err(error) => {
                untrack_prefixes(core, prefixes);
                Err(error)
            }
        }
    }

    /// Whether a client of this core is there to be told in another's place.
    pub(in crate::engine) fn has_client(&self, client: ClientId) -> bool {
        self.sessions.of_client(client).is_some()
    }

    /// A session tracks from now on, or otherwise, or no longer.
    fn set_tracking(&mut self, core: &mut Core, id: SessionId, change: Change) {
        let Change::On(tracking) = change else { return self.untrack(core, id) };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let client = session.client.id;
        self.trackers.begin(client, &tracking.prefixes, session.client.tracking.is_none());
        session.client.tracking = Some(tracking);
    }

    /// A session tracks no longer: its client said so, or has gone. What shards remember of it they forget when they would
    /// tell it.
    pub(super) fn untrack(&mut self, core: &mut Core, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let client = session.client.id;
        let Some(tracking) = session.client.tracking.take() else { return };
        self.trackers.end(client, &tracking.prefixes);
        untrack_prefixes(core, &tracking.prefixes.into_iter().collect::<Vec<_>>());
    }
}

/// No core need tell this one of prefixes any more, on behalf of one client.
fn untrack_prefixes(core: &mut Core, prefixes: &[Vec<u8>]) {
    if prefixes.is_empty() {
        return;
    }
    for prefix in prefixes {
        core.owner.untrack_prefix(prefix, core.env.router.core());
    }
    let detail = Detail::Untracked(prefixes.to_vec());
    core.links.ask_peers(&Ask::unanswered(CommandId::CLIENT_TRACKING, Part::Tracking, detail, Words::default()));
}

/// A command of a session has ended, outside of MULTI: what CLIENT CACHING said is over, unless the command keeps it.
pub(super) fn end_caching(session: &mut Session, command: Option<CommandId>) {
    let goes_on = session.multi.is_some() || session.is_stopped(stop::TRANSACTION);
    if let Some(tracking) = &mut session.client.tracking
        && !goes_on
        && !command.is_some_and(|command| command.row().is(flag::KEEPS_CACHING))
    {
        tracking.caching = false;
    }
}
