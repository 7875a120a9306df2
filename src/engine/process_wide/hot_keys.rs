//! HOTKEYS: tracking sessions. Each core records the commands on its keys; GET puts the cores' findings together.
//!
//! By a core's own port the session is that core's alone, as it is a node's in a cluster.

use crate::command::Error;
use crate::command::hotkeys::{Found, Refusal, Wish};
use crate::engine::core::Core;
use crate::engine::env::Env;
use crate::engine::home::Home;
use crate::engine::link::message::{Answer, Ask, Origin, Recorded, Telemetry};
use crate::engine::process_wide::ask::OpenAsk;
use crate::resp::Writer;

fn wish(env: &Env, ask: &Ask) -> Result<Wish, Error> {
    Wish::parse(ask.words.args(), env.process.shows_cluster())
}

/// Refuses a START that says what it can't, or in vain.
pub(super) fn check_start(env: &Env, ask: &Ask) -> Result<(), Error> {
    if env.tracks_hot_keys() {
        return Err(Refusal::Active.into());
    }
    wish(env, ask).map(|_| ())
}

/// HOTKEYS START.
pub(super) fn start(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    // Checked on the home core; another client's START may have come between.
    let started = !core.env.tracks_hot_keys();
    if started && let Ok(wish) = wish(&core.env, ask) {
        core.env.start_hot_keys(wish);
    }
    Some(Answer::Count(u64::from(!started)))
}

pub(super) fn fold_start(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    if open.sum() == 0 {
        writer.ok();
    } else {
        writer.error(&Refusal::Active.to_string());
    }
}

/// HOTKEYS STOP: whether there was something to stop.
pub(super) fn stop(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Answer::Count(u64::from(core.env.stop_hot_keys())))
}

pub(super) fn fold_stop(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    if open.sum() > 0 {
        writer.ok();
    } else {
        writer.null();
    }
}

/// Refuses a RESET while a session goes on.
pub(super) fn check_reset(env: &Env, _ask: &Ask) -> Result<(), Error> {
    if env.tracks_hot_keys() { Err(Refusal::InProgress.into()) } else { Ok(()) }
}

/// HOTKEYS RESET.
pub(super) fn reset(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    core.env.reset_hot_keys();
    Some(Answer::Done)
}

/// HOTKEYS GET.
pub(super) fn found(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    Some(Recorded::HotKeys(core.env.hot_keys_found().map(Box::new)).into())
}

pub(super) fn fold_found(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let found = open.answers().filter_map(|answer| match answer {
        Answer::Telemetry(Telemetry(Recorded::HotKeys(Some(found)))) => Some(Found::clone(found)),
        _ => None,
    });
    match found.reduce(|mut all, found| {
        all.add(found);
        all
    }) {
        Some(all) => all.write(writer),
        None => writer.null(),
    }
}
