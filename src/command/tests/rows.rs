//! Properties of every row of the command table, name lookup, and key positions against a brute force.

use proptest::prelude::*;

use crate::command::facts::{Keys, flag};
use crate::command::handler::{Command, Handler, HomeHandler, OwnerHandler};
use crate::command::lookup::{CommandId, Lookup};
use crate::command::subcommand::subcommands;
use crate::command::table::TABLE;
use crate::resp::Words;

const NO_KEYS: Keys = Keys { first: 0, last: 0, step: 0 };

#[test]
fn names_are_sorted_unique_and_lower_case() {
    // '|' sorts as a blank does, so that subcommands stand right behind their container.
    let keys: Vec<_> = TABLE.iter().map(|row| row.name.replace('|', " ")).collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "sort the rows by name, a container before its subcommands");
    for row in TABLE {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_|.".contains(&byte);
        assert!(row.name.bytes().all(allowed), "{}: write names in lower case", row.name);
    }
}

#[test]
fn subcommands_have_containers_and_containers_have_subcommands() {
    for row in TABLE {
        assert!(row.is_container() || !matches!(row.handler, Handler::Container), "{}: flag it so", row.name);
        assert_eq!(row.is_subcommand(), row.name.contains('|'), "{}", row.name);
        match row.name.split_once('|') {
            Some((container, sub)) => {
                let parent = TABLE.iter().find(|row| row.name == container);
                let parent = parent.unwrap_or_else(|| panic!("{}: add a row for its container", row.name));
                assert!(parent.is_container(), "{container} has subcommands");
                assert!(!sub.contains('|') && !row.is_container(), "{}: one level only", row.name);
                assert_eq!(parent.group, row.group, "{}: the group of its container", row.name);
            }
            None => assert_eq!(row.is_container(), !subcommands(row.name).is_empty(), "{}", row.name),
        }
    }
}

#[test]
fn summaries_are_sentences() {
    for row in TABLE {
        assert!(row.summary.ends_with('.'), "{}: end the summary with a full stop", row.name);
        assert!(row.summary.starts_with(|first: char| first.is_ascii_uppercase()), "{}: a capital first", row.name);
        assert!(!row.summary.contains(". "), "{}: one sentence", row.name);
        assert!(row.summary.is_ascii() && row.syntax.is_ascii(), "{}: ASCII only", row.name);
    }
}

/// Words a command line has at least.
fn words_min(row: &Command) -> usize {
    row.arity.unsigned_abs() as usize
}

#[test]
fn arity_takes_what_it_says() {
    for row in TABLE {
        let min = words_min(row);
        assert!(min > usize::from(row.is_subcommand()), "{}: the name counts", row.name);
        for words in 0..min + 3 {
            let expected = if row.arity > 0 { words == min } else { words >= min };
            assert_eq!(row.takes(words), expected, "{} with {words} words", row.name);
        }
        assert_eq!(row.takes(usize::MAX), row.arity < 0, "{}", row.name);
    }
}

#[test]
fn syntax_agrees_with_arity() {
    for row in TABLE.iter().filter(|row| !row.is_container()) {
        // HOTKEYS START says itself what is missing, as in Redis.
        let unchecked = if row.name == "hotkeys|start" { 2 } else { 0 };
        let arguments = words_min(row) - 1 - usize::from(row.is_subcommand()) + unchecked;
        assert_eq!(required_words(row.syntax), arguments, "{}: arity {} and `{}`", row.name, row.arity, row.syntax);
        // QUIT takes no arguments and, as in Redis, ignores any.
        let open = row.syntax.contains('[') || row.name == "quit";
        assert_eq!(row.arity < 0, open, "{}: arity {} and `{}`", row.name, row.arity, row.syntax);
    }
}

/// Words that a syntax demands: those outside brackets, the fewest of its alternatives.
fn required_words(syntax: &str) -> usize {
    let mut depth = 0;
    let mut counts = vec![0];
    for word in syntax.split_ascii_whitespace() {
        let opens = word.bytes().filter(|byte| *byte == b'[').count();
        let closes = word.bytes().filter(|byte| *byte == b']').count();
        match (depth + opens, word) {
            (0, "|") => counts.push(0),
            (0, _) => *counts.last_mut().expect("at least one") += 1,
            _ => {}
        }
        depth = depth + opens - closes;
    }
    assert_eq!(depth, 0, "brackets close: `{syntax}`");
    // One alternative has to be chosen, even where all of its words are optional.
    let least = usize::from(counts.len() > 1);
    counts.into_iter().min().unwrap_or(0).max(least)
}

#[test]
fn keys_lie_inside_the_arity() {
    for row in TABLE {
        match row.handler {
            Handler::Owner(OwnerHandler::Key(_) | OwnerHandler::ClusterScan) => {
                let at = if row.is_subcommand() { 2 } else { 1 };
                assert_eq!(row.keys, Keys { first: at, last: at.cast_signed(), step: 1 }, "{}", row.name);
            }
            Handler::Owner(OwnerHandler::EachKey(..)) => {
                assert_eq!((row.keys.first, row.keys.last), (1, -1), "{}", row.name);
            }
            Handler::Owner(OwnerHandler::Several(_)) => assert!(row.keys.first > 0, "{}", row.name),
            Handler::Owner(OwnerHandler::Watch) => {
                assert_eq!(row.keys, Keys { first: 1, last: -1, step: 1 });
            }
            _ => assert_eq!(row.keys, NO_KEYS, "{}: only commands of keys have key positions", row.name),
        }
        if row.keys != NO_KEYS {
            assert!(row.keys.step > 0, "{}", row.name);
            let group_end = usize::from(row.keys.first + row.keys.step - 1);
            assert!(group_end < words_min(row), "{}: the first key and what belongs to it are there", row.name);
        }
    }
}

#[test]
fn flags_are_consistent() {
    for row in TABLE {
        let is = |bit| row.is(bit);
        if row.keys != NO_KEYS && !matches!(row.handler, Handler::Owner(OwnerHandler::Watch)) {
            assert!(is(flag::READONLY) != is(flag::WRITE), "{}: either readonly or write", row.name);
            assert!(!is(flag::BARRIER) && !is(flag::NO_AUTH) && !is(flag::ADMIN), "{}", row.name);
        }
        assert!(!(is(flag::READONLY) && is(flag::WRITE)), "{}", row.name);
        assert!(is(flag::WRITE) || !is(flag::DENYOOM), "{}: only a write needs memory", row.name);
        match row.handler {
            Handler::EveryCore(_) => assert!(is(flag::BARRIER), "{}: all cores are a barrier", row.name),
            Handler::Home(HomeHandler::Session(_) | HomeHandler::Topology(_))
            | Handler::Owner(OwnerHandler::Publish(_) | OwnerHandler::Debug)
            | Handler::Container => {
                assert!(!is(flag::READONLY) && !is(flag::WRITE), "{}: touches no key", row.name);
            }
            Handler::Home(HomeHandler::Transaction(_))
            | Handler::Owner(OwnerHandler::Watch | OwnerHandler::Unwatch) => {
                assert!(is(flag::BARRIER), "{}: what was queued or watched is known", row.name);
            }
            Handler::Owner(_) => {}
        }
        // What changes the client is a barrier: commands before and after it run under what they were sent under.
        assert!(is(flag::BARRIER) || !is(flag::NO_AUTH), "{}", row.name);
    }
    for (bit, name) in flag::NAMES {
        assert!(TABLE.iter().any(|row| row.is(bit)), "no row is {name}: remove the flag");
    }
}

#[test]
fn lookup_finds_every_name_in_any_case() {
    let lookup = Lookup::default();
    for (row, number) in TABLE.iter().zip(0..) {
        let mixed: String =
            row.name.chars().enumerate().map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect();
        for name in [row.name.to_owned(), row.name.to_ascii_uppercase(), mixed] {
            assert_eq!(lookup.find(name.as_bytes()), Some(CommandId(number)), "{name}");
        }
        if let Some((container, sub)) = row.name.split_once('|') {
            assert_eq!(lookup.find_sub(container, sub.to_ascii_uppercase().as_bytes()), Some(CommandId(number)));
        }
        for cut in 0..row.name.len() {
            assert_eq!(lookup.find(&row.name.as_bytes()[..cut]), linear(&row.name.as_bytes()[..cut]));
        }
    }
    assert_eq!(lookup.find(b""), None);
}

fn linear(name: &[u8]) -> Option<CommandId> {
    let at = TABLE.iter().position(|row| row.name.as_bytes().eq_ignore_ascii_case(name))?;
    Some(CommandId(at as u16))
}

proptest! {
    #[test]
    fn lookup_finds_nothing_else(name in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(Lookup::default().find(&name), linear(&name));
    }

    /// Names that differ from a real one in a byte or two are where a hash could be taken in.
    #[test]
    fn lookup_is_not_fooled_by_similar_names(
        row in 0..TABLE.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        more in proptest::collection::vec(any::<u8>(), 0..2),
    ) {
        let mut name = TABLE[row].name.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(name.len());
            name[at] = byte;
        }
        name.extend(more);
        prop_assert_eq!(Lookup::default().find(&name), linear(&name));
    }
}

#[test]
fn key_positions_are_those_of_a_brute_force() {
    for row in TABLE {
        for words in (0..words_min(row) + 9).filter(|words| row.takes(*words) && !row.counts_keys()) {
            let line = Words::new(std::iter::repeat_n(&b"2"[..], words));
            let found: Vec<_> = row.key_positions(line.args()).collect();
            let name_words = 1 + usize::from(row.is_subcommand());
            let after: Vec<_> = row.keys_after_name(line.args().tail(name_words)).collect();
            assert_eq!(after.len(), found.len(), "{} with {words} words", row.name);
            let Keys { first, last, step } = row.keys;
            let last = if last < 0 { words as i64 + i64::from(last) } else { i64::from(last) };
            let expected: Vec<_> = (1..words)
                .filter(|at| row.keys != NO_KEYS && *at >= usize::from(first) && *at as i64 <= last)
                .filter(|at| (at - usize::from(first)).is_multiple_of(usize::from(step)))
                .collect();
            assert_eq!(found, expected, "{} with {words} words", row.name);
            assert_eq!(found.is_empty(), row.keys == NO_KEYS, "{} with {words} words", row.name);
        }
    }
}
