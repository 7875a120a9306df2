//! Commands about the server: INFO, CONFIG SET and RESETSTAT, SAVE and its like.

use crate::command::Error;
use crate::command::errors::quote;
use crate::command::handler::Part;
use crate::command::operator::End;
use crate::command::settings::{REQUIREPASS, Settings};
use crate::command::snapshot::Order;
use crate::engine::core::Core;
use crate::engine::env::{Env, Notice};
use crate::engine::home::Home;
use crate::engine::home::auth::AuthKey;
use crate::engine::link::message::{Answer, Ask, CoreReport, Origin};
use crate::engine::process_wide::ask::{Asker, OpenAsk};
use crate::engine::process_wide::report;
use crate::engine::telemetry::info::{self, Sections};
use crate::engine::telemetry::report::Report;
use crate::limits::CORE_MEMORY_BYTES_MIN;
use crate::resp::{Args, Writer};

/// INFO: what one core knows.
pub(super) fn report(home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    let sections = Sections::parse(ask.words.args());
    Some(Answer::Report(Box::new(CoreReport(report::report(home, core, sections)))))
}

pub(super) fn fold_report(_home: &mut Home, core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    let one = |answer: &Answer| if let Answer::Report(report) = answer { Some(report.0.clone()) } else { None };
    let reports: Vec<Report> = open.answers().filter_map(one).collect();
    let env = &core.env;
    let text = info::render(open.ask.words.args(), &reports, &env.settings, &env.process, env.now_ms);
    writer.verbatim(text.as_bytes());
}

/// CONFIG SET. Whether a value is right does not depend on the others.
pub(super) fn check_config(env: &Env, ask: &Ask) -> Result<(), Error> {
    let args = ask.words.args();
    let mut changed = env.settings.clone();
    set_all(&mut changed, args)?;
    let cores = u64::from(env.router.cores());
    if changed.items_max < cores {
        return Err(Error::ConfigInvalid("max-size".to_owned(), "each core needs room for one item"));
    }
    // As of --max-memory: 512 for 512mb would refuse or evict everything from here on.
    if changed.bytes_max != env.settings.bytes_max && changed.bytes_max < cores * CORE_MEMORY_BYTES_MIN {
        let why = "that is less than an empty server needs; did you mean megabytes, as in 512mb?";
        return Err(Error::ConfigInvalid("maxmemory".to_owned(), why));
    }
    Ok(())
}

fn set_all(settings: &mut Settings, args: Args<'_>) -> Result<(), Error> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    for at in (0..args.len()).step_by(2) {
        let name = args.at(at);
        if (0..at).step_by(2).any(|earlier| args.at(earlier).eq_ignore_ascii_case(name)) {
            return Err(Error::ConfigDuplicate(quote(name)));
        }
        settings.set(name, args.at(at + 1))?;
    }
    Ok(())
}

/// Takes over settings that were checked on the home core.
pub(super) fn configure(home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    let Core { env, owner, pubsub, .. } = core;
    let log_level = env.settings.log_level;
    let args = ask.words.args();
    let checked = set_all(&mut env.settings, args);
    debug_assert!(checked.is_ok());
    let key = (0..args.len()).step_by(2).find(|at| args.at(*at).eq_ignore_ascii_case(REQUIREPASS.as_bytes()));
    if let Some(Ok(key)) = key.map(|at| AuthKey::new(args.at(at + 1))) {
        home.set_auth_key(key);
    }
    owner.configure(env);
    env.meter.configure(&env.settings.watch);
    pubsub.configure();
    if log_level != env.settings.log_level {
        env.notice(Notice::LogLevel(env.settings.log_level));
    }
    Some(Answer::Done)
}

/// CONFIG RESETSTAT.
pub(super) fn reset(_home: &mut Home, core: &mut Core, _ask: &Ask, _origin: Origin) -> Option<Answer> {
    core.env.stats.reset();
    core.env.meter.reset();
    core.owner.reset_counters();
    Some(Answer::Done)
}

fn parse_order(ask: &Ask) -> Option<Order> {
    let Part::Snapshot(verb) = ask.part else { return None };
    Order::parse(verb, ask.words.args()).ok()
}

pub(super) fn check_order(_env: &Env, ask: &Ask) -> Result<(), Error> {
    let Part::Snapshot(verb) = ask.part else { return Err(Error::Syntax) };
    Order::parse(verb, ask.words.args()).map(|_| ())
}

/// SAVE, BGSAVE, ASPINE.LOAD: core 0 alone.
pub(super) fn order(_home: &mut Home, core: &mut Core, ask: &Ask, origin: Origin) -> Option<Answer> {
    // Checked on the home core.
    let order = parse_order(ask)?;
    let reply = core.persist(|persistence, around| persistence.order(&order, origin, ask.caller.held, around))?;
    Some(Answer::Reply(reply))
}

pub(super) fn fold_order(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    for answer in open.answers() {
        if let Answer::Reply(reply) = answer {
            writer.raw(reply);
        }
    }
}

/// Refuses options of SHUTDOWN that contradict each other, and ABORT.
pub(super) fn check_end(_env: &Env, ask: &Ask) -> Result<(), Error> {
    End::parse(ask.words.args()).map(|_| ())
}

pub(super) fn end(_home: &mut Home, core: &mut Core, ask: &Ask, _origin: Origin) -> Option<Answer> {
    // Checked on the home core.
    let end = End::parse(ask.words.args()).unwrap_or_default();
    core.persistence.choose_last_snapshot(end.saves);
    core.env.notice(Notice::Shutdown { hurried: end.hurried });
    Some(Answer::Done)
}

/// As in Redis there is no reply: the connection ends.
pub(super) fn fold_end(home: &mut Home, _core: &mut Core, open: &OpenAsk, _writer: &mut Writer<'_>) {
    if let Asker::Session(id, _) = open.asker {
        home.close(id);
    }
}
