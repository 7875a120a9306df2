//! Docs: every file says what it is, and `src/lib.rs` says where everything is.

use std::fs;

use crate::assert_none;
use crate::source::{Source, read, root};

#[test]
fn every_file_begins_with_what_it_is() {
    let mut complaints = Vec::new();
    for source in Source::all() {
        if !source.text.starts_with("//! ") {
            complaints.push(format!("{}: begin with `//!`: what it owns, and what it never does", source.path));
        }
    }
    assert_none(&complaints);
}

/// The texts between backticks outside of code blocks.
pub(crate) fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// Whether a quoted text is a file or folder of the repository by its form. One that begins at the root is a machine's.
pub(crate) fn is_path(text: &str) -> bool {
    let ends = [".rs", ".md", ".toml", ".py", ".sh"];
    let folders = ["src/", "tests/", "benches/", "docs/", "examples/", "scripts/", "tuning/", ".ci/"];
    !text.contains(char::is_whitespace)
        && !text.starts_with('/')
        && (folders.iter().any(|folder| text.starts_with(folder)) || ends.iter().any(|end| text.ends_with(end)))
}

/// The documentation at the head of `src/lib.rs`.
pub(crate) fn crate_docs() -> String {
    let text = read(&root().join("src/lib.rs"));
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

#[test]
fn every_module_is_in_the_map() {
    let docs = crate_docs();
    let named = quoted(&docs);
    let mut complaints = Vec::new();
    for entry in fs::read_dir(root().join("src")).expect("src") {
        let name = entry.expect("a directory entry").file_name().to_string_lossy().into_owned();
        let path = format!("src/{name}");
        if !["lib.rs", "main.rs"].contains(&name.as_str()) && !named.contains(&path.as_str()) {
            complaints.push(format!("{path}: add a row to the table of modules in src/lib.rs"));
        }
    }
    assert_none(&complaints);
}

/// The part of a text under a heading.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let rest = text.split_once(heading).unwrap_or_else(|| panic!("src/lib.rs: `{heading}` is missing")).1;
    rest.split("\n# ").next().unwrap_or(rest)
}

/// Files and functions a section names: by a row with the cells `| file | function |`, by `file` (`function`), or by
/// `function` in `file`.
fn functions_named(section: &str) -> Vec<(String, String)> {
    let mut named = Vec::new();
    for line in section.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.split('|').map(quoted).collect();
        let file = cells.iter().position(|cell| matches!(cell.as_slice(), [file] if is_path(file)));
        if let Some(at) = file
            && let Some(functions) = cells.get(at + 1)
        {
            named.extend(functions.iter().map(|function| (cells[at][0].to_owned(), (*function).to_owned())));
        }
    }
    let prose: String = section.lines().filter(|line| !line.starts_with('|')).flat_map(|line| [line, " "]).collect();
    let parts: Vec<_> = prose.split('`').collect();
    for window in parts.windows(4).skip(1).step_by(2) {
        match window {
            [file, " (", function, after] if is_path(file) && after.starts_with(')') => {
                named.push(((*file).to_owned(), (*function).to_owned()));
            }
            [function, " in ", file, _] if is_path(file) => named.push(((*file).to_owned(), (*function).to_owned())),
            _ => {}
        }
    }
    named
}

#[test]
fn the_way_of_one_get_is_still_the_way() {
    let docs = crate_docs();
    let mut complaints = Vec::new();
    let mut named = Vec::new();
    for (heading, steps) in [("# Follow one GET\n", 5), ("# Follow one GET to another core\n", 8)] {
        let way = functions_named(section(&docs, heading));
        assert!(way.len() >= steps, "src/lib.rs: `{heading}`: name a file and a function at each step; found {way:?}");
        named.extend(way);
    }
    for (file, function) in named {
        let name = function.rsplit("::").next().unwrap_or(&function).trim_end_matches("()");
        let source = Source::of_src().find(|source| source.path == file);
        let functions = source.map(Source::functions).unwrap_or_default();
        if !functions.iter().any(|function| function.name == name) {
            complaints
                .push(format!("src/lib.rs: `{file}` has no `{function}`; follow the GET again and say where it goes"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn the_way_is_read_from_tables_and_prose() {
    let text = "| `a.rs` | `T::f` or `g` | x |\n| home | `e.rs` | `j` | `k` |\nThen `h` in `b.rs` sends, and `c.rs` (`i`) too; `d.rs` is quiet.";
    let named = functions_named(text);
    let named: Vec<_> = named.iter().map(|(file, function)| (file.as_str(), function.as_str())).collect();
    assert_eq!(named, [("a.rs", "T::f"), ("a.rs", "g"), ("e.rs", "j"), ("b.rs", "h"), ("c.rs", "i")]);
}

/// The first block of Rust in a text, without what rustdoc hides.
pub(crate) fn first_example(text: &str) -> String {
    let block =
        text.split("```").skip(1).step_by(2).find(|block| block.starts_with("rust\n") || block.starts_with('\n'));
    let lines = block.unwrap_or_default().lines().skip(1).filter(|line| *line != "#" && !line.starts_with("# "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The lines, from 1, of docs that can't be read without the code below them: those of one word, of a question, those that
/// begin with a pronoun, and short ones that begin in the middle of a sentence.
fn unnamed(text: &str) -> Vec<usize> {
    let pronouns = ["It", "Its", "They", "Their", "Them", "Those", "Theirs"];
    let questions = ["How", "What", "When", "Where", "Which", "Who", "Whose", "Why"];
    let leads = ["As", "For", "Here", "Likewise", "Of", "Which"];
    let doc = |line: &str| line.trim_start().strip_prefix("///").map(|doc| doc.trim().to_owned());
    let lines: Vec<_> = text.lines().map(doc).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let begins = at == 0 || lines[at - 1].is_none();
        let ends = lines.get(at + 1).is_none_or(Option::is_none);
        if let Some(line) = line.as_ref().filter(|_| begins) {
            let words: Vec<_> = line.split_whitespace().collect();
            let first = words.first().map_or("", |word| word.trim_end_matches(['.', ',', ';', ':']));
            let short = ends && (words.len() == 1 || (words.len() <= 2 && questions.contains(&first)));
            let led = ends && words.len() < 5 && leads.contains(&first);
            if short || led || pronouns.contains(&first) {
                found.push(at + 1);
            }
        }
    }
    found
}

#[test]
fn docs_name_their_subject() {
    let mut complaints = Vec::new();
    for source in Source::all() {
        for line in unnamed(&source.text) {
            complaints.push(format!("{}:{line}: name what this is, so that the line stands alone", source.path));
        }
    }
    assert_none(&complaints);
}

#[test]
fn docs_without_a_subject_are_noticed() {
    let bad =
        ["/// Which.\n", "/// How many.\n", "    /// It is gone.\nx: u8,\n", "/// Bytes.\n", "/// Those that wait.\n"];
    for text in bad {
        assert_eq!(unnamed(text), [1], "{text}");
    }
    let good = "/// The bytes of all items.\na\n/// How many\n/// items there are.\n/// It may be a second line.\n//! It is a head.\n";
    assert_eq!(unnamed(good), Vec::<usize>::new());
}
