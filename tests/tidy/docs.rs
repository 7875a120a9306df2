//! Docs: every file says what it is, what the documents name exists, and generated parts are up to date.

use std::fs;

use crate::assert_none;
use crate::source::{Source, read, root};

/// Where the README's table of commands stands.
const COMMANDS: [&str; 2] = ["<!-- commands -->\n", "<!-- /commands -->"];

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

/// What stands between backticks outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// Whether a quoted text is a file or folder of the repository by its form. One that begins at the root is a machine's.
fn is_path(text: &str) -> bool {
    let ends = [".rs", ".md", ".toml", ".py", ".sh"];
    let folders = ["src/", "tests/", "benches/", "scripts/", "tuning/", ".ci/"];
    !text.contains(char::is_whitespace)
        && !text.starts_with('/')
        && (folders.iter().any(|folder| text.starts_with(folder)) || ends.iter().any(|end| text.ends_with(end)))
}

/// The documentation at the head of `src/lib.rs`.
fn crate_docs() -> String {
    let text = read(&root().join("src/lib.rs"));
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

#[test]
fn files_that_documents_name_exist() {
    let mut complaints = Vec::new();
    for (document, text) in [("README.md", read(&root().join("README.md"))), ("src/lib.rs", crate_docs())] {
        for path in quoted(&text).into_iter().filter(|text| is_path(text)) {
            if !root().join(path).exists() {
                complaints.push(format!("{document}: `{path}` does not exist; name the file that took its place"));
            }
        }
    }
    assert_none(&complaints);
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

/// Files and functions a section names: by a row `| file | function | …`, by `file` (`function`), or by
/// `function` in `file`.
fn functions_named(section: &str) -> Vec<(String, String)> {
    let mut named = Vec::new();
    for line in section.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, file, functions, ..] = cells.as_slice() else { continue };
        if let [file] = quoted(file).as_slice() {
            named.extend(quoted(functions).into_iter().map(|function| ((*file).to_owned(), function.to_owned())));
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
    let named = functions_named(section(&docs, "# Follow one GET"));
    assert!(named.len() >= 5, "src/lib.rs: name a file and a function at each step; found {named:?}");
    let mut complaints = Vec::new();
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
    let text = "| `a.rs` | `T::f` or `g` | x |\nThen `h` in `b.rs` sends, and `c.rs` (`i`) too; `d.rs` is quiet.";
    let named = functions_named(text);
    let named: Vec<_> = named.iter().map(|(file, function)| (file.as_str(), function.as_str())).collect();
    assert_eq!(named, [("a.rs", "T::f"), ("a.rs", "g"), ("b.rs", "h"), ("c.rs", "i")]);
}

#[test]
fn the_table_of_commands_is_generated() {
    let path = root().join("README.md");
    let readme = read(&path);
    let parts = readme.split_once(COMMANDS[0]).and_then(|(head, rest)| Some((head, rest.split_once(COMMANDS[1])?)));
    let (head, (table, tail)) = parts.unwrap_or_else(|| panic!("README.md: keep {COMMANDS:?} around the commands"));
    let generated = aspine::command::docs::markdown_table();
    if table == generated {
        return;
    }
    if std::env::var_os("ASPINE_BLESS").is_some() {
        let blessed = [head, COMMANDS[0], &generated, COMMANDS[1], tail].concat();
        fs::write(&path, blessed).expect("README.md can be written");
        return;
    }
    panic!("README.md: the commands are not those of the table; run `ASPINE_BLESS=1 cargo test --test tidy`");
}

/// The first block of Rust in a text, without what rustdoc hides.
fn first_example(text: &str) -> String {
    let block =
        text.split("```").skip(1).step_by(2).find(|block| block.starts_with("rust\n") || block.starts_with('\n'));
    let lines = block.unwrap_or_default().lines().skip(1).filter(|line| *line != "#" && !line.starts_with("# "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_first_example_of_the_readme_is_the_one_that_runs() {
    let docs = read(&root().join("src/client/mod.rs"));
    let docs: String = docs
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .fold(String::new(), |all, line| all + line.strip_prefix(' ').unwrap_or(line) + "\n");
    let readme = read(&root().join("README.md"));
    let readme = readme.split_once("```rust\n").map(|(_, rest)| format!("```rust\n{rest}")).unwrap_or_default();
    assert!(first_example(&docs).contains("connect"), "src/client/mod.rs: its first example is what the README shows");
    assert_eq!(first_example(&readme), first_example(&docs), "README.md: show what src/client/mod.rs runs");
}
