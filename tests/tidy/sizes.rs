//! Sizes: a file holds one idea, a function is read without scrolling.
//!
//! The lists are a ratchet: whoever is in one may shrink, not grow, and leaves it when it is small enough.

use crate::assert_none;
use crate::source::Source;

/// Lines of code from which a file should have been split. Tests in the file and blank and comment lines don't count.
const FILE_LINES_USUAL: usize = 500;
/// Lines of code no file may have.
const FILE_LINES_MAX: usize = 800;
/// Lines of a function, from its `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;

/// Files past `FILE_LINES_USUAL`, with their lines.
const LONG_FILES: [(&str, usize); 0] = [];

/// Functions past `FUNCTION_LINES`: file, name, lines.
const LONG_FUNCTIONS: [(&str, &str, usize); 1] = [("src/resp/parse_tests.rs", "answers_as_redis", 74)];

#[test]
fn files_are_short() {
    let mut complaints = Vec::new();
    let sources = Source::all();
    for source in sources {
        let (path, lines) = (&source.path, source.code_lines());
        let listed = LONG_FILES.iter().find(|(listed, _)| listed == path).map(|(_, lines)| *lines);
        if lines > FILE_LINES_MAX {
            complaints.push(format!("{path}: {lines} lines of code; split it by idea, {FILE_LINES_MAX} is the end"));
        } else if lines > listed.unwrap_or(FILE_LINES_USUAL) {
            complaints.push(format!("{path}: {lines} lines of code; split it by idea into files of 150 to 350 lines"));
        } else if listed.is_some() && lines <= FILE_LINES_USUAL {
            complaints.push(format!("{path}: {lines} lines of code; take it off LONG_FILES"));
        }
    }
    for (path, _) in LONG_FILES {
        if !sources.iter().any(|source| source.path == path) {
            complaints.push(format!("{path}: is gone; take it off LONG_FILES"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn functions_are_short() {
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    for source in Source::all() {
        for function in source.functions() {
            let (path, name, lines) = (source.path.as_str(), function.name.as_str(), function.lines.clone().count());
            let listed = LONG_FUNCTIONS.iter().find(|(file, long, _)| (*file, *long) == (path, name));
            if lines > listed.map_or(FUNCTION_LINES, |(_, _, lines)| *lines) {
                let start = function.lines.start();
                complaints.push(format!(
                    "{path}:{start}: `{name}` has {lines} lines; name its steps and make them functions"
                ));
            }
            if lines > FUNCTION_LINES {
                seen.extend(listed);
            }
        }
    }
    for entry in LONG_FUNCTIONS.iter().filter(|entry| !seen.contains(entry)) {
        complaints.push(format!("{}: `{}` is short or gone; take it off LONG_FUNCTIONS", entry.0, entry.1));
    }
    assert_none(&complaints);
}
