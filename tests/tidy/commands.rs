//! Commands: what a command is, its row in the table says. A name that is compared or listed elsewhere is a second table.

use aspine::command::table::TABLE;

use crate::assert_none;
use crate::source::Source;

/// Where names of commands may be compared and listed: the table itself, and the load generator, whose own commands
/// some of them are.
const FREE: [&str; 2] = ["command", "loadgen"];

/// Words that are no commands where they stand, though commands have these names.
const OTHER_WORDS: [(&str, &[&str]); 3] = [
    // What the server says of a subscription.
    ("src/client/asynchronous/hub.rs", &["psubscribe", "subscribe"]),
    // Types of clients.
    ("src/engine/home/client_filters.rs", &["pubsub"]),
    // HTTP.
    ("src/runtime/admin/http.rs", &["GET"]),
];

/// What stands before a text that something is compared with.
const COMPARED_BEFORE: [&str; 8] =
    ["==", "!=", "eq_ignore_ascii_case(", "contains(", "starts_with(", "ends_with(", "find(", "position("];

/// What stands behind a text that something is compared with.
const COMPARED_BEHIND: [&str; 4] = ["=>", "|", "==", "!="];

/// The texts of a file's code, each with where it begins and ends, its quotes included: of a masked text the opening quote
/// is left.
fn texts(source: &Source) -> Vec<(usize, usize)> {
    let masked = |at: usize| source.code[at + 1..].bytes().take_while(|byte| *byte == b'_').count();
    source.code.match_indices('"').map(|(at, _)| (at, at + 1 + masked(at))).collect()
}

/// Whether a text is the name of a command, or of a container with the bar behind it.
fn is_command(text: &str) -> bool {
    let name = text.strip_suffix('|').unwrap_or(text);
    TABLE.iter().any(|row| row.name.eq_ignore_ascii_case(name))
}

/// Names of commands that a file's code compares something with or has in a list, each with its line.
fn names_compared(source: &Source) -> Vec<(usize, &str)> {
    let code = source.code.as_str();
    let texts: Vec<_> =
        texts(source).into_iter().filter(|(begin, end)| is_command(&source.text[begin + 1..end - 1])).collect();
    let before = |begin: usize| code[..begin].trim_end_matches(['b', '&']).trim_end();
    let is_compared = |(begin, end): (usize, usize)| {
        let (before, behind) = (before(begin), code[end..].trim_start());
        COMPARED_BEFORE.iter().any(|sign| before.ends_with(sign))
            || COMPARED_BEHIND.iter().any(|sign| behind.starts_with(sign))
    };
    // Words of one command line are names as well ("COMMAND", "INFO"): three make a list.
    let follows = |one: (usize, usize), next: (usize, usize)| {
        let between: String = code[one.1..next.0].chars().filter(|c| !c.is_whitespace()).collect();
        matches!(between.as_str(), "," | ",b")
    };
    let is_listed = |at: usize| {
        let first = at.saturating_sub(2);
        let threes = texts[first..].windows(3).take(at - first + 1);
        threes.into_iter().any(|three| follows(three[0], three[1]) && follows(three[1], three[2]))
    };
    let found = texts.iter().enumerate().filter(|(at, text)| is_compared(**text) || is_listed(*at));
    found
        .map(|(_, (begin, end))| (code[..*begin].matches('\n').count() + 1, &source.text[begin + 1..end - 1]))
        .collect()
}

#[test]
fn names_of_commands_are_compared_in_the_table_alone() {
    let mut complaints = Vec::new();
    for source in Source::of_src().filter(|source| !FREE.contains(&source.module()) && !source.is_test()) {
        let tests = source.test_modules();
        let words = OTHER_WORDS.iter().find(|(path, _)| *path == source.path).map_or(&[][..], |(_, words)| words);
        for (line, name) in names_compared(source) {
            if !words.contains(&name) && !tests.iter().any(|lines| lines.contains(&line)) {
                complaints.push(format!(
                    "{}:{line}: compares or lists the command `{name}`; make it a flag or a field of its row in \
                     src/command",
                    source.path
                ));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn comparisons_and_lists_are_seen_and_commands_that_are_sent_are_not() {
    let source = |text: &str| Source::new("src/x.rs".to_owned(), text.to_owned());
    let compared = [
        "if row.name == \"cluster\" {}",
        "row.name.starts_with(\"client|\")",
        "match name { \"get\" | \"set\" => 1 }",
        "name.eq_ignore_ascii_case(b\"GET\")",
        "const READS: [&[u8]; 3] = [b\"GET\", b\"TTL\",\n    b\"TYPE\"];",
    ];
    for text in compared {
        assert!(!names_compared(&source(text)).is_empty(), "{text}");
    }
    let sent = [
        "conn.call(&[\"COMMAND\", \"INFO\"])",
        "encode(&[b\"SET\", key, value])",
        "Kind::Get => \"GET\",",
        "name == \"nothing\" // == \"get\"",
    ];
    for text in sent {
        assert!(names_compared(&source(text)).is_empty(), "{text}: {:?}", names_compared(&source(text)));
    }
}
