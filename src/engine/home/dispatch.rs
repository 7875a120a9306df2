//! Dispatch: gets a command to the core that runs it, and its reply to its place. Core: the session's home.
//!
//! Which core owns a key is `route`'s to say; here the answer decides between a call and a message, once for each kind of
//! command. Cost: for a key of this core, a call.

use crate::command::Error;
use crate::command::client::ReplyMode;
use crate::command::context::{After, Home as Surroundings, VerifyKey};
use crate::command::handler::{Handler, HomeHandler, KeyHandler, OwnerHandler, Part as Whole, SessionHandler};
use crate::command::keyspace::{self, Scan};
use crate::command::lookup::{CommandId, EachKeyCommand};
use crate::command::subcommand::too_many_arguments;
use crate::engine::core::Core;
use crate::engine::env::{Env, Notice};
use crate::engine::home::Home;
use crate::engine::home::session::Session;
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::{Place, SessionId};
use crate::engine::link::caller::Caller;
use crate::engine::link::codec::PartKind;
use crate::engine::link::message::Detail;
use crate::engine::link::{Links, Waiter};
use crate::engine::owner::Ran;
use crate::engine::owner::inbox::Reach;
use crate::engine::pubsub::publisher;
use crate::limits::AUTH_FAILURES_MAX;
use crate::resp::{Args, Writer};
use crate::slot::CoreId;

impl Home {
    /// Runs a command whose keys are here, sends one whose keys are not.
    pub(super) fn dispatch(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        let row = trip.command.row();
        match row.handler {
            Handler::Owner(handler) => match handler {
                OwnerHandler::Key(_) | OwnerHandler::ClusterScan => {
                    let owner = core.env.router.owner(args.at(0));
                    self.run_at(core, id, owner, handler, args, trip);
                }
                OwnerHandler::EachKey(handler, fold) => {
                    let command = EachKeyCommand { id: trip.command, handler, fold };
                    return self.dispatch_each(core, id, command, args, trip);
                }
                OwnerHandler::Several(_) => self.dispatch_multi_key(core, id, handler, args, trip),
                OwnerHandler::Publish(topic) => {
                    let owner = publisher(topic, args.at(0), &core.env);
                    self.run_at(core, id, owner, handler, args, trip);
                }
                OwnerHandler::Scan => return self.dispatch_scan(core, id, args, trip),
                OwnerHandler::Debug => return self.dispatch_debug(core, id, handler, args, trip),
                OwnerHandler::Watch => return self.watch(core, id, args, trip),
                OwnerHandler::Unwatch => {
                    self.unwatch(core, id);
                    self.answer(core, id, args, trip, |writer| writer.ok());
                }
            },
            Handler::Home(handler) => {
                return match handler {
                    HomeHandler::Session(handler) => self.run_session(core, id, handler, args, trip),
                    HomeHandler::Transaction(verb) => self.run_verb(core, id, verb, args, trip),
                    HomeHandler::Topology(told) => self.dispatch_topology(core, id, told, args, trip),
                };
            }
            Handler::EveryCore(Whole::Subscribe(topic)) => {
                return self.dispatch_subscribe(core, id, (topic, true), args, trip);
            }
            Handler::EveryCore(Whole::Unsubscribe(topic)) => {
                return self.dispatch_subscribe(core, id, (topic, false), args, trip);
            }
            Handler::EveryCore(Whole::Monitor) => return self.dispatch_monitor(core, id, args, trip),
            Handler::EveryCore(Whole::Tracking) => return self.dispatch_tracking(core, id, args, trip),
            Handler::EveryCore(_) if row.args_max().is_some_and(|most| args.len() > most) => {
                return self.fail(core, id, args.tail(1), trip, &too_many_arguments(row, args.at(0)));
            }
            Handler::EveryCore(Whole::Swap) if !trip.held => self.dispatch_held(core, id, args, trip),
            Handler::EveryCore(part) => return self.ask_all(core, id, args, (part, Detail::None), trip),
            // A container without a subcommand does not pass the arity check.
            Handler::Container => return self.fail(core, id, args, trip, &Error::Syntax),
        }
        Flow::Next
    }

    /// Runs a command at the one core that owns all its keys.
    pub(super) fn run_at(
        &mut self,
        core: &mut Core,
        id: SessionId,
        owner: CoreId,
        handler: OwnerHandler,
        args: Args<'_>,
        trip: Trip,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let caller = Caller::of(&session.client, trip.command.row(), trip.held);
        match core.env.router.peer(owner) {
            None => {
                let Core { env, owner, links, pubsub, .. } = core;
                answer(session, env, args, trip, |env, out| {
                    let reach = &mut Reach { env, links, pubsub, loading: false };
                    owner.run(reach, (trip.command, handler), args, caller, out)
                });
            }
            Some(peer) => send_whole(session, id, (&mut core.env, &mut core.links), peer, caller, args, trip),
        }
    }

    /// Answers a command here and now, without a key.
    pub(super) fn answer(
        &mut self,
        core: &mut Core,
        id: SessionId,
        args: Args<'_>,
        trip: Trip,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let proto = session.client.proto;
        answer(session, &mut core.env, args, trip, |env, out| {
            env.meter.begin();
            env.stats.operations += 1;
            let begin = out.len();
            write(&mut Writer::new(out, proto));
            Ran { kind: PartKind::Encoded, slow_ns: env.meter.end(trip.command, &out[begin..]) }
        });
    }

    /// Answers a command that was run, as far as it could be, with an error.
    #[cold]
    pub(super) fn fail(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip, error: &Error) -> Flow {
        self.answer(core, id, args, trip, |writer| writer.error(&error.to_string()));
        Flow::Next
    }

    /// A command whose keys may have several owners.
    pub(super) fn dispatch_each(
        &mut self,
        core: &mut Core,
        id: SessionId,
        command: EachKeyCommand,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        let row = command.id.row();
        let step = usize::from(row.keys.step);
        if !args.len().is_multiple_of(step) {
            return self.fail(core, id, args, trip, &Error::Arity(row.name.to_owned()));
        }
        let router = core.env.router;
        let mut owners = std::mem::take(&mut self.owners);
        owners.clear();
        owners.extend(args.iter().step_by(step).map(|key| router.owner(key)));
        let first = owners[0];
        if owners.iter().all(|owner| *owner == first) {
            let handler = OwnerHandler::EachKey(command.handler, command.fold);
            self.run_at(core, id, first, handler, args, trip);
        } else if let Some(session) = self.sessions.get_mut(id) {
            let place = session.replies.hold(trip.muted);
            session.replies.note_asked(args.iter().map(<[u8]>::len).sum());
            let caller = Caller::of(&session.client, row, trip.held).part();
            core.env.meter.begin();
            let refusal = self.split(core, (id, place), command, caller, args, &owners);
            if let Some(ns) = core.env.meter.end(trip.command, refusal.as_deref().unwrap_or_default())
                && let Some(session) = self.sessions.get_mut(id)
            {
                let own_bytes = if owners.contains(&router.core()) { self.scratch.len() } else { 0 };
                core.env.meter.set_reply_bytes(own_bytes);
                core.env.note_call(trip.command, args, ns, &session.client);
            }
        }
        self.owners = owners;
        Flow::Next
    }

    /// Sends each owner its keys and runs our own; a gather puts the parts together. Some part comes from a peer. Returns
    /// the error if our own part is one.
    pub(super) fn split(
        &mut self,
        core: &mut Core,
        asker: (SessionId, Place),
        command: EachKeyCommand,
        caller: Caller,
        args: Args<'_>,
        owners: &[CoreId],
    ) -> Option<Vec<u8>> {
        let step = usize::from(command.id.row().keys.step);
        let router = core.env.router;
        let gather = self.gathers.open(asker, (caller.proto, command.fold), owners, router.cores());
        let mut refusal = None;
        for owner in (0..router.cores()).map(CoreId).filter(|core| owners.contains(core)) {
            if let Some(peer) = router.peer(owner) {
                let theirs = args.iter().enumerate().filter(|(at, _)| owners[at / step] == owner).map(|(_, arg)| arg);
                core.env.stats.forwarded += 1;
                core.links.request(peer, command.id, caller, theirs, Waiter::Gather(gather));
                continue;
            }
            let mut out = std::mem::take(&mut self.scratch);
            out.clear();
            let own = args.select(&mut self.spans, |at| owners[at / step] == owner);
            let kind = core.owner.run_part(&mut core.env, command, own, caller, &mut out);
            let complete = self.gathers.part(gather, owner, kind.of(&out));
            debug_assert!(!complete, "a command is split because a peer has a part");
            refusal = (kind == PartKind::Refusal).then(|| out.clone());
            self.scratch = out;
        }
        refusal
    }

    /// SCAN runs on the core that its cursor names.
    fn dispatch_scan(&mut self, core: &mut Core, id: SessionId, args: Args<'_>, trip: Trip) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        let router = core.env.router;
        let mut cores = router.cores();
        let mut parsed = Scan::parse(args);
        if session.client.by_core_port {
            // A node's keys: its walk begins and ends here.
            cores = router.core().0 + 1;
            if let Ok(scan) = &mut parsed {
                scan.cursor = router.own_cursor(scan.cursor);
            }
        }
        let caller = Caller::of(&session.client, trip.command.row(), trip.held);
        match parsed {
            Err(error) => return self.fail(core, id, args, trip, &error),
            Ok(scan) if scan.cursor.core >= cores => {
                self.answer(core, id, args, trip, keyspace::scan_end);
            }
            Ok(scan) => match router.peer(CoreId(scan.cursor.core)) {
                None => {
                    let Core { env, owner, .. } = core;
                    answer(session, env, args, trip, |env, out| {
                        owner.scan(env, (trip.command, args), (&scan, cores), caller, out)
                    });
                }
                Some(peer) => send_whole(session, id, (&mut core.env, &mut core.links), peer, caller, args, trip),
            },
        }
        Flow::Next
    }

    /// A command of the session itself.
    fn run_session(
        &mut self,
        core: &mut Core,
        id: SessionId,
        handler: SessionHandler,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        let Some(session) = self.sessions.get_mut(id) else { return Flow::End };
        let key = self.auth_key.as_ref();
        let verify = |guess: &[u8]| key.is_none_or(|key| key.verify(guess));
        let verify: Option<VerifyKey<'_>> = if key.is_some() { Some(&verify) } else { None };
        let env = &mut core.env;
        let surroundings = Surroundings {
            now_ms: env.now_ms,
            now_sub_us: env.sub_us,
            settings: &env.settings,
            verify_key: verify,
            row: &trip.command.row().facts,
            sizes: session.sizes(),
            cluster: env.process.shows_cluster(),
        };
        let Session { client, replies, .. } = session;
        let meter = &mut env.meter;
        meter.begin();
        let (after, written, slow_ns) = replies.append(|out| {
            let begin = out.len();
            let after = handler(client, args, &surroundings, &mut Writer::new(out, client.proto));
            let slow_ns = meter.end(trip.command, &out[begin..]);
            // CLIENT REPLY ON is answered although it was muted when it came.
            if trip.muted && client.reply_mode != ReplyMode::On {
                out.truncate(begin);
            }
            (after, out.len() - begin, slow_ns)
        });
        if let Some(ns) = slow_ns {
            env.note_call(trip.command, args, ns, client);
        }
        match after {
            After::Continue => {}
            After::Close => return Flow::End,
            After::CloseForDatabase => {
                env.notice(Notice::NoDatabase(client.addr.clone()));
                return Flow::End;
            }
            After::Reset => {
                self.forget(core, id);
                self.reset_subscriptions(core, id);
                self.untrack(core, id);
                self.leave_monitor(core, id);
            }
            // A client that may queue AUTH has shown the key before; nobody has to wait for it.
            After::Delay if trip.held => {}
            After::Delay => self.delay_refusal(core, id, written),
        }
        Flow::Next
    }

    /// A wrong auth key: its reply of so many bytes is kept back for a while, longer with each failure; in the end the
    /// session is closed.
    fn delay_refusal(&mut self, core: &mut Core, id: SessionId, reply_bytes: usize) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let env = &mut core.env;
        env.stats.auth_failures += 1;
        let delay_ms = self.penalty.on_failure(session.client.auth_failures, env.awake_ms);
        if delay_ms > 0 {
            session.delay(reply_bytes, env.awake_ms.saturating_add(delay_ms));
        }
        if session.client.auth_failures >= AUTH_FAILURES_MAX {
            session.close();
        }
        env.notice(Notice::AuthFailed(session.client.addr.clone()));
    }
}

/// Runs a command of one key, for a plain client, or sends it to the core that owns the key. False if
/// it has to wait for room.
#[inline]
pub(super) fn run_key(
    session: &mut Session,
    id: SessionId,
    core: &mut Core,
    (command, handler): (CommandId, KeyHandler),
    args: Args<'_>,
) -> bool {
    let Core { env, owner, links, .. } = core;
    debug_assert!(session.is_plain(), "a client of whom something special holds goes by `dispatch`");
    let caller = Caller::plain(&session.client);
    if let Some(peer) = env.router.peer(env.router.owner(args.at(0))) {
        send_whole(session, id, (env, links), peer, caller, args, Trip { command, muted: false, held: false });
    } else if owner.shares_budget() && owner.asks_for_room(env, links, (command, caller.database), args) {
        return false;
    } else {
        let slow_ns = session.replies.append(|out| owner.run_key(env, (command, handler), args, caller, out));
        if let Some(ns) = slow_ns {
            env.note_call(command, args, ns, &session.client);
        }
    }
    env.stats.commands += 1;
    session.client.last_command = command.row().name;
    true
}

/// Puts the reply of something that runs here at the end of a session's replies.
#[inline]
fn answer(
    session: &mut Session,
    env: &mut Env,
    args: Args<'_>,
    trip: Trip,
    run: impl FnOnce(&mut Env, &mut Vec<u8>) -> Ran,
) {
    let ran = session.replies.append(|out| {
        let begin = out.len();
        let ran = run(env, out);
        if trip.muted {
            out.truncate(begin);
        }
        ran
    });
    if let Some(ns) = ran.slow_ns {
        env.note_call(trip.command, args, ns, &session.client);
    }
}

/// Sends a command to the one core that owns all its keys; what comes back is the reply.
fn send_whole(
    session: &mut Session,
    id: SessionId,
    (env, links): (&mut Env, &mut Links),
    peer: CoreId,
    caller: Caller,
    args: Args<'_>,
    trip: Trip,
) {
    let place = session.replies.hold(trip.muted);
    env.stats.forwarded += 1;
    env.meter.pause();
    let bytes = links.request(peer, trip.command, caller, args.iter(), Waiter::Reply { id, place });
    session.replies.note_asked(bytes);
}
