//! Process-wide: commands that concern the whole keyspace or the whole process. Each core does its part, the core that
//! asks folds the answers.
//!
//! Such a command waits for its session's earlier ones, and its session runs no other until it is answered. What is asked
//! travels behind all that the home core sent before. Files: `table` (one literal a command: scope, check, part, fold),
//! `ask` (what is under way), and the parts by what they are about: `keyspace`, `clients`, `server`, `introspection`.
//! Never: sees a session or a shard; the parts ask `home` and the owner.

pub(super) mod ask;
mod clients;
mod hot_keys;
mod introspection;
mod keyspace;
pub(super) mod report;
mod server;
mod table;

use crate::command::Error;
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::ids::GatherId;
use crate::engine::link::message::{Answer, Ask, Origin};
use crate::engine::process_wide::ask::{Asker, Scope};
use crate::resp::Writer;
use crate::slot::CoreId;

/// Refuses what no core could run, before any does.
pub(super) fn check(core: &Core, ask: &Ask) -> Result<(), Error> {
    (table::of(ask.part).check)(&core.env, ask)
}

/// Has every core that has a part in a command do it, this one included. `by_core_port`: the client came by the core's
/// own port.
pub(super) fn start(home: &mut Home, core: &mut Core, asker: Asker, ask: Ask, by_core_port: bool) {
    let router = core.env.router;
    let only = match table::of(ask.part).scope {
        Scope::All => None,
        Scope::AllOrOwn => by_core_port.then(|| router.core()),
        // Core 0 passes it on to all.
        Scope::Ordered => router.sequencer(),
        Scope::First => Some(router.sequencer().unwrap_or(router.core())),
        Scope::SlotOwner(slot) => slot(ask.words.args()).map(|slot| router.owner_of_slot(slot)),
    };
    let waiting = if only.is_some() { 1 } else { router.cores() };
    let gather = home.asks.open(asker, ask, router.cores(), waiting);
    let Some(ask) = home.asks.ask(gather).cloned() else { return };
    match only.map(|only| router.peer(only)) {
        Some(Some(peer)) => core.links.ask(peer, ask),
        Some(None) => run_part(home, core, &ask, Origin::Here(gather)),
        None => {
            for peer in router.peers() {
                core.links.ask(peer, ask.clone());
            }
            run_part(home, core, &ask, Origin::Here(gather));
        }
    }
    take_own_answers(home, core);
}

/// Another core asks for this one's part.
pub(super) fn on_ask(home: &mut Home, core: &mut Core, from: CoreId, ask: Ask) {
    if matches!(table::of(ask.part).scope, Scope::Ordered)
        && core.env.router.sequencer().is_none()
        && let Some(gather) = ask.gather
    {
        start(home, core, Asker::Core(from, gather), ask, false);
    } else {
        run_part(home, core, &ask, Origin::Peer { core: from, gather: ask.gather });
    }
}

/// A core has done its part.
pub(super) fn on_answer(home: &mut Home, core: &mut Core, from: CoreId, gather: GatherId, answer: Answer) {
    let Some(open) = home.asks.answer(gather, from, answer) else { return };
    match open.asker {
        Asker::Session(id, place) => {
            let mut reply = Vec::new();
            let mut writer = Writer::new(&mut reply, open.ask.caller.proto);
            (table::of(open.ask.part).fold)(home, core, &open, &mut writer);
            home.finish_ask(core, (id, place), &open.ask, &reply);
        }
        Asker::Core(asker, gather) => {
            core.links.answer(Origin::Peer { core: asker, gather: Some(gather) }, Answer::Done);
        }
    }
}

/// Takes what this core has answered itself.
pub(super) fn take_own_answers(home: &mut Home, core: &mut Core) {
    while let Some((gather, answer)) = core.links.take_own_answer() {
        on_answer(home, core, core.env.router.core(), gather, answer);
    }
}

fn run_part(home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) {
    if let Some(answer) = (table::of(ask.part).part)(home, core, ask, origin) {
        core.links.answer(origin, answer);
    }
}
