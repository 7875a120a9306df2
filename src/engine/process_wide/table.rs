//! The table of commands of the whole process: one literal each, and nothing else knows how they differ.

use crate::command::Error;
use crate::command::handler::{Part, Question};
use crate::engine::core::Core;
use crate::engine::env::Env;
use crate::engine::home::Home;
use crate::engine::link::message::{Answer, Ask, Origin};
use crate::engine::process_wide::ask::{Check, OpenAsk, Scope};
use crate::engine::process_wide::{clients, hot_keys, introspection, keyspace, server};
use crate::resp::Writer;

/// One command of the whole process.
pub(super) struct ProcessWide {
    /// The cores that have a part in it.
    pub(super) scope: Scope,
    /// Refuses what no core could run, before any does.
    pub(super) check: Check,
    /// What each of those cores does: its answer, or `None` if that is given later.
    pub(super) part: fn(&mut Home, &mut Core, &Ask, Origin) -> Option<Answer>,
    /// Makes the reply of all answers.
    pub(super) fold: fn(&mut Home, &mut Core, &OpenAsk, &mut Writer<'_>),
}

/// The literal of a command, by the part of each core in it.
#[rustfmt::skip]
pub(super) fn of(part: Part) -> ProcessWide {
    use Scope::{All, AllOrOwn, First, Ordered, SlotOwner};
    use introspection as ask;
    match part {
        Part::Size => ProcessWide { scope: AllOrOwn, check: nothing, part: keyspace::size, fold: sum },
        Part::Clear => ProcessWide { scope: All, check: keyspace::check_clear, part: keyspace::clear, fold: ok },
        Part::Flush => ProcessWide { scope: All, check: keyspace::check_clear, part: keyspace::flush, fold: ok },
        Part::Swap => ProcessWide { scope: All, check: keyspace::check_swap, part: keyspace::swap, fold: ok },
        Part::Keys => ProcessWide { scope: AllOrOwn, check: nothing, part: keyspace::keys, fold: keyspace::fold_keys },
        Part::RandomKey => ProcessWide { scope: AllOrOwn, check: nothing, part: keyspace::random_key, fold: keyspace::fold_random_key },
        Part::SlotCount => ProcessWide { scope: SlotOwner(keyspace::slot_counted), check: keyspace::check_slot_count, part: keyspace::count_slot, fold: keyspace::fold_count },
        Part::SlotKeys => ProcessWide { scope: SlotOwner(keyspace::slot_listed), check: keyspace::check_slot_keys, part: keyspace::list_slot, fold: keyspace::fold_keys },
        Part::Subscribe(_) => ProcessWide { scope: All, check: nothing, part: clients::subscribe, fold: clients::fold_subscriptions },
        Part::Unsubscribe(_) => ProcessWide { scope: All, check: nothing, part: clients::unsubscribe, fold: clients::fold_subscriptions },
        Part::ClientList => ProcessWide { scope: All, check: clients::check_list, part: clients::list, fold: clients::fold_list },
        Part::ClientKill => ProcessWide { scope: All, check: clients::check_kill, part: clients::kill, fold: clients::fold_kill },
        Part::ClientPause => ProcessWide { scope: All, check: clients::check_pause, part: clients::pause, fold: ok },
        Part::ClientUnpause => ProcessWide { scope: All, check: nothing, part: clients::unpause, fold: ok },
        Part::Monitor => ProcessWide { scope: All, check: nothing, part: clients::monitor, fold: clients::fold_monitor },
        Part::Tracking => ProcessWide { scope: All, check: nothing, part: clients::track, fold: clients::fold_tracking },
        Part::Report => ProcessWide { scope: All, check: nothing, part: server::report, fold: server::fold_report },
        Part::ConfigSet => ProcessWide { scope: Ordered, check: server::check_config, part: server::configure, fold: ok },
        Part::ConfigResetStat => ProcessWide { scope: All, check: nothing, part: server::reset, fold: ok },
        Part::Snapshot(_) => ProcessWide { scope: First, check: server::check_order, part: server::order, fold: server::fold_order },
        Part::Shutdown => ProcessWide { scope: First, check: server::check_end, part: server::end, fold: server::fold_end },
        Part::HotKeysStart => ProcessWide { scope: AllOrOwn, check: hot_keys::check_start, part: hot_keys::start, fold: hot_keys::fold_start },
        Part::HotKeysStop => ProcessWide { scope: AllOrOwn, check: nothing, part: hot_keys::stop, fold: hot_keys::fold_stop },
        Part::HotKeysReset => ProcessWide { scope: AllOrOwn, check: hot_keys::check_reset, part: hot_keys::reset, fold: ok },
        Part::Ask(question) => match question {
            Question::HotKeys => ProcessWide { scope: AllOrOwn, check: nothing, part: hot_keys::found, fold: hot_keys::fold_found },
            Question::LastSave => ProcessWide { scope: All, check: nothing, part: ask::last_save, fold: ask::fold_last_save },
            Question::LatencyDoctor => ProcessWide { scope: All, check: nothing, part: ask::events, fold: ask::fold_doctor },
            Question::LatencyGraph => ProcessWide { scope: All, check: nothing, part: ask::events, fold: ask::fold_graph },
            Question::LatencyHistogram => ProcessWide { scope: All, check: nothing, part: ask::usage, fold: ask::fold_histograms },
            Question::LatencyHistory => ProcessWide { scope: All, check: nothing, part: ask::events, fold: ask::fold_history },
            Question::LatencyLatest => ProcessWide { scope: All, check: nothing, part: ask::events, fold: ask::fold_latest },
            Question::LatencyReset => ProcessWide { scope: All, check: nothing, part: ask::reset_events, fold: ask::fold_reset_events },
            Question::MemoryDoctor => ProcessWide { scope: All, check: nothing, part: ask::memory, fold: ask::fold_memory_doctor },
            Question::MemoryStats => ProcessWide { scope: All, check: nothing, part: ask::memory, fold: ask::fold_memory_stats },
            Question::PubsubNames(_) => ProcessWide { scope: AllOrOwn, check: nothing, part: ask::names, fold: keyspace::fold_keys },
            Question::PubsubPatterns => ProcessWide { scope: AllOrOwn, check: nothing, part: ask::patterns, fold: sum },
            Question::PubsubCounts(_) => ProcessWide { scope: AllOrOwn, check: nothing, part: ask::counts, fold: ask::fold_counts },
            Question::SlowlogGet => ProcessWide { scope: All, check: ask::check_slowlog, part: ask::slowlog, fold: ask::fold_slowlog },
            Question::SlowlogLen => ProcessWide { scope: All, check: nothing, part: ask::slowlog_len, fold: ask::fold_slowlog_len },
            Question::SlowlogReset => ProcessWide { scope: All, check: nothing, part: ask::reset_slowlog, fold: ok },
        },
    }
}

fn nothing(_env: &Env, _ask: &Ask) -> Result<(), Error> {
    Ok(())
}

fn ok(_home: &mut Home, _core: &mut Core, _open: &OpenAsk, writer: &mut Writer<'_>) {
    writer.ok();
}

fn sum(_home: &mut Home, _core: &mut Core, open: &OpenAsk, writer: &mut Writer<'_>) {
    writer.integer(open.sum().cast_signed());
}
