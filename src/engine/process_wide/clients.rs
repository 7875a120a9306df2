//! Commands about clients: CLIENT LIST, CLIENT KILL, CLIENT TRACKING, MONITOR, and subscriptions.

use crate::command::Error;
use crate::command::handler::Part;
use crate::command::operator::Pause;
use crate::command::pubsub::Topic;
use crate::engine::core::Core;
use crate::engine::env::Env;
use crate::engine::home::Home;
use crate::engine::home::client_filters::{ClientVerb, ClientWalk, KillFilter, ListFilter};
use crate::engine::link::message::{Answer, Ask, Detail, Origin};
use crate::engine::process_wide::ask::{Asker, OpenAsk};
use crate::resp::Writer;

/// CLIENT LIST.
pub(super) fn check_list(_env: &Env, ask: &Ask) -> Result<(), Error> {
    let args = ask.words.args();
    ListFilter::parse(args).map(|_| ())
}

pub(super) fn list(home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    let filter = ListFilter::parse(ask.words.args()).unwrap_or_default();
    home.begin_client_walk(core, ClientWalk { verb: ClientVerb::List { filter, lines: Vec::new() }, origin, at: 0 });
    None
}

pub(super) fn fold_list(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let lines =
        open.answers().filter_map(|answer| if let Answer::Text(text) = answer { Some(&text[..]) } else { None });
    writer.verbatim(&lines.collect::<Vec<_>>().concat());
}

/// CLIENT KILL.
pub(super) fn check_kill(_env: &Env, ask: &Ask) -> Result<(), Error> {
    let args = ask.words.args();
    KillFilter::parse(args).map(|_| ())
}

pub(super) fn kill(home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    // Checked on the home core.
    let Ok(filter) = KillFilter::parse(ask.words.args()) else { return Some(Answer::Count(0)) };
    let verb = ClientVerb::Kill { filter, caller: ask.client, killed: 0 };
    home.begin_client_walk(core, ClientWalk { verb, origin, at: 0 });
    None
}

pub(super) fn fold_kill(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    match (open.ask.words.args().len(), open.sum()) {
        (1, 0) => writer.error(&Error::NoSuchClient.to_string()),
        (1, _) => writer.ok(),
        (_, killed) => writer.integer(killed.cast_signed()),
    }
}

/// CLIENT PAUSE.
pub(super) fn check_pause(_env: &Env, ask: &Ask) -> Result<(), Error> {
    Pause::parse(ask.words.args()).map(|_| ())
}

pub(super) fn pause(home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    // Checked on the home core.
    if let Ok(pause) = Pause::parse(ask.words.args()) {
        home.begin_client_pause(core, pause);
    }
    Some(Answer::Done)
}

/// CLIENT UNPAUSE.
pub(super) fn unpause(home: &mut Home, _core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    home.end_client_pause();
    Some(Answer::Done)
}

/// MONITOR: each core records for the one that asks, or no longer.
pub(super) fn monitor(home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    let watcher = origin.core(core.env.router.core());
    match ask.detail {
        Detail::Ended => home.end_monitor(watcher),
        _ => home.begin_monitor(core, watcher),
    }
    Some(Answer::Done)
}

pub(super) fn fold_monitor(home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    if let Asker::Session(id, _) = open.asker {
        home.confirm_monitor(core, id, writer);
    }
}

/// CLIENT TRACKING: each core learns the prefixes, and says whether the client that is to be told is one of its own.
pub(super) fn track(home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    let client_home = origin.core(core.env.router.core());
    match &ask.detail {
        Detail::Tracking { target, prefixes } => {
            for prefix in prefixes {
                core.owner.track_prefix(prefix, client_home);
            }
            let is_here = target.is_some_and(|target| home.has_client(target));
            Some(Answer::Count(u64::from(is_here)))
        }
        Detail::Untracked(prefixes) => {
            for prefix in prefixes {
                core.owner.untrack_prefix(prefix, client_home);
            }
            Some(Answer::Done)
        }
        _ => Some(Answer::Count(0)),
    }
}

pub(super) fn fold_tracking(home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let (Asker::Session(id, _), Detail::Tracking { target, prefixes }) = (open.asker, &open.ask.detail) else { return };
    let found = open.sum() > 0;
    match home.confirm_tracking(core, id, open.ask.words.args(), (*target, found, prefixes)) {
        Ok(()) => writer.ok(),
        Err(error) => writer.error(&error.to_string()),
    }
}

/// What a command subscribes to, or no longer, and which it is.
fn topic_of(ask: &Ask) -> Option<(Topic, bool)> {
    match ask.part {
        Part::Subscribe(topic) => Some((topic, true)),
        Part::Unsubscribe(topic) => Some((topic, false)),
        _ => None,
    }
}

/// SUBSCRIBE and its like: the cores that must know learn of them.
pub(super) fn subscribe(_home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    tell(core, ask, origin, true)
}

/// UNSUBSCRIBE and its like.
pub(super) fn unsubscribe(_home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    tell(core, ask, origin, false)
}

fn tell(core: &mut Core, ask: &Ask, origin: Origin, subscribes: bool) -> Option<Answer> {
    if let (Origin::Peer { core: from, .. }, Some((topic, _)), Detail::Changes(changes)) =
        (origin, topic_of(ask), &ask.detail)
    {
        let Core { env, links, pubsub, .. } = core;
        let args = ask.words.args();
        let changed = args.iter().zip(changes).filter(|(_, changes)| **changes).map(|(name, _)| name);
        pubsub.on_subscriptions((topic, subscribes), from, changed, env, links);
    }
    Some(Answer::Done)
}

pub(super) fn fold_subscriptions(home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let (Asker::Session(id, _), Some(topic), Detail::Changes(changes)) =
        (open.asker, topic_of(&open.ask), &open.ask.detail)
    else {
        return;
    };
    home.confirm_subscriptions(core, id, topic, (open.ask.words.args(), changes), writer);
}
