//! Meter: what is counted of commands, by a stopwatch that every reading moves on.

use std::cell::Cell;

use super::*;
use crate::command::lookup::Lookup;

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

fn stopwatch() -> u64 {
    NOW_NS.get()
}

fn meter() -> Meter {
    NOW_NS.set(0);
    Meter::new(stopwatch, 0, 1, &Watch { slowlog_us: 10, ..Watch::default() })
}

fn id(name: &str) -> CommandId {
    Lookup::default().find(name.as_bytes()).expect("a command")
}

fn pass(ns: u64) {
    NOW_NS.set(NOW_NS.get() + ns);
}

#[test]
fn the_end_of_one_is_the_beginning_of_the_next() {
    let mut meter = meter();
    meter.begin();
    pass(2_000);
    assert_eq!(meter.end(id("get"), b"$-1\r\n"), None);
    pass(3_000);
    meter.begin();
    assert_eq!(meter.end(id("get"), b"$-1\r\n"), None);
    // What lies behind a pause is nobody's.
    meter.pause();
    pass(1_000_000);
    meter.begin();
    pass(10_000);
    assert_eq!(meter.end(id("get"), b"-ERR no\r\n"), Some(10_000), "as long as the slow log asks");
    let usage = meter.usage(true);
    assert_eq!(usage.len(), 1);
    assert_eq!((usage[0].name(), usage[0].calls, usage[0].ns, usage[0].failed), ("get", 3, 15_000, 1));
    let counts: Vec<_> = usage[0].times.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(usage[0].histogram().len(), 3);
    assert!(meter.usage(false)[0].times.is_empty());
}

#[test]
fn refusals_are_told_from_failures() {
    let mut meter = meter();
    meter.reject(Some(id("get")), &Error::Arity("get".to_owned()));
    meter.reject(None, &Error::NoAuth);
    meter.begin();
    pass(5);
    meter.end(id("set"), b"-OOM command not allowed\r\n");
    meter.end(id("expire"), b"-ERR value\r\n");
    let usage = meter.usage(true);
    let times: Vec<_> = usage.iter().map(|row| (row.name(), row.ns, row.histogram().len())).collect();
    assert_eq!(times, [("expire", 0, 1), ("get", 0, 0), ("set", 0, 0)], "what did not run took no time");
    let counts: Vec<_> = usage.iter().map(|row| (row.name(), row.calls, row.rejected, row.failed)).collect();
    assert_eq!(counts, [("expire", 1, 0, 1), ("get", 0, 1, 0), ("set", 0, 1, 0)]);
    let errors: Vec<_> = meter.errors().iter().map(|(code, count)| (code.as_str(), *count)).collect();
    assert_eq!(errors, [("ERR", 2), ("NOAUTH", 1), ("OOM", 1)]);
    meter.reset();
    assert!(meter.usage(true).is_empty() && meter.errors().is_empty());
}

#[test]
fn parts_add_time_and_no_call() {
    let mut meter = meter();
    meter.begin();
    pass(5);
    meter.end_part(id("mget"), None);
    meter.end_part(id("exists"), None);
    meter.end_part(id("mset"), Some(b"-OOM command not allowed\r\n"));
    let usage = meter.usage(true);
    let counts: Vec<_> = usage.iter().map(|row| (row.name(), row.calls, row.ns, row.failed)).collect();
    assert_eq!(counts, [("mget", 0, 5, 0), ("mset", 0, 0, 1)]);
}

#[test]
fn cores_are_merged_by_command() {
    let part =
        |command, calls, times: &[(u64, u64)]| Usage { command, calls, times: times.to_vec(), ..Usage::default() };
    let uncalled = Usage { ns: 70, ..part(2, 0, &[]) };
    let parts = [part(3, 1, &[(100, 1)]), uncalled, part(1, 5, &[]), part(3, 2, &[(100, 1), (900, 1)])];
    let merged = Usage::merged(parts.iter());
    assert_eq!(merged.iter().map(|row| (row.command, row.calls)).collect::<Vec<_>>(), [(1, 5), (3, 3)]);
    assert_eq!(merged[1].histogram().count_at(100), 2);
}
