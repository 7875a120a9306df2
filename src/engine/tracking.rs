//! Tracking: CLIENT TRACKING of sessions, and what is remembered of what they read. Core: the session's home decides;
//! what a shard has to know travels with the commands.
//!
//! A command of a session that tracks carries a [`Tracker`] to wherever it runs: that shard then remembers the keys it
//! has read, or knows whose changes are no news to their writer. A session of prefixes (BCAST) is made known to every
//! core before it is confirmed. What becomes of keys that change is in `stale`. Cost: one comparison a command while a
//! session does not track.

use crate::command::table::{Command, CommandId, flag};
use crate::command::tracking::{Change, Wish};
use crate::command::{Client, Error};
use crate::engine::Engine;
use crate::engine::batch::{Mode, Request, Solo, Waiter};
use crate::engine::gather::{Asker, Gather, sum_of};
use crate::engine::route::{CoreId, Trip};
use crate::engine::session::{Flow, Session};
use crate::limits::TRACKED_KEYS_OF_A_CORE_MIN;
use crate::resp::{Args, Proto, Writer};
use crate::shard::{ClientId, NO_CLIENT, Shard};

/// Who asks for a command, as far as tracking goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tracker {
    /// `NO_CLIENT` if neither of the others.
    pub(super) client: ClientId,
    /// It is to be told when the keys change that the command reads.
    pub(super) remembers: bool,
    /// It is not to be told of what the command changes (NOLOOP).
    pub(super) quiet: bool,
}

impl Tracker {
    /// Nobody.
    pub(super) const NONE: Tracker = Tracker { client: NO_CLIENT, remembers: false, quiet: false };

    /// A client that runs a command.
    #[inline]
    pub(super) fn of(client: &Client, row: &Command) -> Tracker {
        if client.tracking.is_some() { Tracker::of_tracking(client, row) } else { Tracker::NONE }
    }

    #[cold]
    fn of_tracking(client: &Client, row: &Command) -> Tracker {
        let Some(tracking) = &client.tracking else { return Tracker::NONE };
        let remembers = row.is(flag::READONLY) && tracking.remembers();
        let quiet = row.is(flag::WRITE) && tracking.noloop;
        if remembers || quiet { Tracker { client: client.id, remembers, quiet } } else { Tracker::NONE }
    }

    #[inline]
    pub(super) fn is_some(self) -> bool {
        self.client != NO_CLIENT
    }
}

impl Engine {
    /// Something is about to run on our own shard for a tracker.
    #[inline]
    pub(super) fn begin_tracked(&mut self, tracker: Tracker) {
        if tracker.quiet {
            self.shard.set_writer(tracker.client);
        }
    }

    /// It has run. What it has read is remembered only now, so that an item that expires when it is read does not take
    /// that with it.
    #[inline]
    pub(super) fn end_tracked(&mut self, tracker: Tracker, row: &Command, args: Args<'_>) {
        if tracker.is_some() {
            remember(&mut self.shard, tracker, row, args);
        }
    }

    /// CLIENT TRACKING: at once, unless all cores have to hear of prefixes, or one of a client that is to be told.
    pub(super) fn dispatch_tracking(&mut self, session: &mut Session, args: Args<'_>, trip: Trip) -> Flow {
        let now = session.client.tracking.as_deref();
        let wish = Wish::parse(args);
        let decided = wish.decide(now);
        let prefixes: Vec<&[u8]> = match &decided {
            Ok(Change::On(then)) => {
                let known = |prefix: &Vec<u8>| now.is_some_and(|now| now.prefixes.contains(prefix));
                then.prefixes.iter().filter(|prefix| !known(prefix)).map(Vec::as_slice).collect()
            }
            _ => Vec::new(),
        };
        if wish.redirect.is_none() && prefixes.is_empty() {
            return match decided {
                Err(error) => self.fail(session, args, trip, &error),
                Ok(change) => {
                    self.set_tracking(session, change);
                    self.run_here(session, args, trip, |_, _, writer| writer.ok());
                    Flow::Next
                }
            };
        }
        let caller = session.client.id.to_le_bytes();
        let target = wish.redirect.map(i64::to_le_bytes);
        let count = (prefixes.len() as u64).to_le_bytes();
        let mut words: Vec<&[u8]> = vec![&caller, target.as_ref().map_or(&[], |target| target), &count];
        words.extend(&prefixes);
        words.extend(args.iter());
        let place = session.replies.hold(trip.muted);
        let mode = Mode { part: true, ..Mode::new(session.client.proto, trip.held) };
        Flow::Every(Solo { place, request: Request::alone(trip.command, mode, words.into_iter()) })
    }

    /// This core's part of a CLIENT TRACKING: it learns the prefixes, and says whether the client that is to be told is
    /// one of its own.
    pub(super) fn learn_tracking(&mut self, caller: ClientId, args: Args<'_>, out: &mut Vec<u8>) {
        let Registration { target, prefixes, .. } = Registration::read(args);
        let home = self.router.home_of(caller);
        for prefix in prefixes.iter() {
            self.shard.add_prefix(prefix, home.0);
        }
        let is_here = target.is_some_and(|target| self.sessions.of_client(target).is_some());
        out.extend_from_slice(&i64::from(is_here).to_le_bytes());
    }

    /// All cores have done their part: the session tracks, or is told why not.
    pub(super) fn fold_tracking(&mut self, gather: &Gather, args: Args<'_>, writer: &mut Writer<'_>) {
        let Registration { target, prefixes, args } = Registration::read(args);
        let Asker::Session(id, _) = gather.asker else { return };
        let found = gather.parts.iter().any(|part| sum_of(part) > 0);
        let mut session = self.sessions.check_out(id);
        let decided = match &session {
            _ if target.is_some() && !found => Err(Error::TrackingRedirect),
            Some(session) => Wish::parse(args).decide(session.client.tracking.as_deref()),
            // It has gone meanwhile; nobody hears what it is told.
            None => Err(Error::NoSuchClient),
        };
        match (decided, &mut session) {
            (Ok(change), Some(session)) => {
                self.set_tracking(session, change);
                writer.ok();
            }
            (decided, _) => {
                for prefix in prefixes.iter() {
                    self.untrack_prefix(prefix);
                }
                writer.error(&decided.err().unwrap_or(Error::Syntax).to_string());
            }
        }
        if let Some(session) = session {
            self.sessions.check_in(id, session);
        }
    }

    /// A session tracks from now on, or otherwise, or no more.
    fn set_tracking(&mut self, session: &mut Session, change: Change) {
        match change {
            Change::Off => self.untrack(session),
            Change::On(tracking) => {
                self.trackers.count += u64::from(session.client.tracking.is_none());
                let (before, redirect) =
                    (session.client.tracking.as_ref().map_or(0, |now| now.redirect), tracking.redirect);
                for prefix in &tracking.prefixes {
                    self.trackers.listen(prefix, session.client.id);
                }
                session.client.tracking = Some(tracking);
                if before != 0 && before != redirect {
                    self.detach(session.client.id, before);
                }
                if redirect != 0 {
                    self.attach(session, redirect);
                }
            }
        }
    }

    /// A session tracks no more: its client said so, or has gone. What shards remember of it they forget when they would
    /// tell it.
    pub(super) fn untrack(&mut self, session: &mut Session) {
        let Some(tracking) = session.client.tracking.take() else { return };
        self.trackers.count -= 1;
        if tracking.redirect != 0 {
            self.detach(session.client.id, tracking.redirect);
        }
        for prefix in &tracking.prefixes {
            self.trackers.unlisten(prefix, session.client.id);
            self.untrack_prefix(prefix);
        }
    }

    /// No core need tell this one of a prefix any more, on behalf of one client.
    fn untrack_prefix(&mut self, prefix: &[u8]) {
        let home = self.core.0.to_le_bytes();
        self.shard.remove_prefix(prefix, self.core.0);
        for core in (0..self.router.cores()).map(CoreId) {
            if let Some(peer) = self.router.peer(core) {
                let mode = Mode::new(Proto::Resp2, false);
                let words: [&[u8]; 2] = [prefix, &home];
                self.mesh.request(peer, CommandId::UNTRACK, mode, words.into_iter(), Waiter::Nobody);
            }
        }
    }

    /// A command of a session has run, other than CLIENT and outside of MULTI: what CLIENT CACHING said is over.
    #[cold]
    pub(super) fn end_caching(session: &mut Session, command: Option<CommandId>) {
        let goes_on = session.multi.is_some() || session.transaction.is_some();
        if let Some(tracking) = &mut session.client.tracking
            && !goes_on
            && !command.is_some_and(|command| command.row().is(flag::KEEPS_CACHING))
        {
            tracking.caching = false;
        }
    }

    /// The bound of remembered keys has changed, or is there for the first time.
    pub(super) fn bound_tracking(&mut self) {
        let (all, cores) = (self.settings.tracked_keys_max, u64::from(self.router.cores()));
        let share = if all == u64::MAX { all } else { (all / cores).max(TRACKED_KEYS_OF_A_CORE_MIN) };
        self.shard.set_tracked_max(share);
        self.shard_waits = true;
    }
}

/// What travels to all cores for one CLIENT TRACKING, behind the caller.
struct Registration<'a> {
    /// The client to be told in the caller's place; 0 if the number named is no client's.
    target: Option<u64>,
    /// What the caller has named anew.
    prefixes: Args<'a>,
    /// Its arguments.
    args: Args<'a>,
}

impl<'a> Registration<'a> {
    fn read(words: Args<'a>) -> Registration<'a> {
        let target = (!words.at(0).is_empty()).then(|| u64::try_from(sum_of(words.at(0))).unwrap_or(0));
        let count = usize::try_from(sum_of(words.at(1))).unwrap_or(0);
        Registration { target, prefixes: words.tail(2).head(count), args: words.tail(2 + count) }
    }
}

/// The keys that a tracker has read are remembered.
#[cold]
pub(super) fn remember(shard: &mut Shard, tracker: Tracker, row: &Command, args: Args<'_>) {
    shard.set_writer(NO_CLIENT);
    if tracker.remembers {
        for key in row.keys_after_name(args) {
            shard.track(key, tracker.client);
        }
    }
}
