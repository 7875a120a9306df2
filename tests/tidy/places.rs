//! Places: what may stand where.

use std::fs;

use crate::assert_none;
use crate::documents::documents;
use crate::source::{Source, has_word, read, root};

/// The modules, and what each may use besides itself. Arrows go one way.
const ARROWS: [(&str, &[&str]); 14] = [
    ("limits", &[]),
    ("resp", &["limits"]),
    ("slot", &["limits"]),
    ("persist", &["limits"]),
    ("shard", &["limits", "persist"]),
    ("command", &["limits", "persist", "resp", "shard", "slot"]),
    ("engine", &["command", "limits", "persist", "resp", "shard", "slot"]),
    ("config", &["command", "engine", "limits", "shard"]),
    ("host", &["config", "engine", "limits"]),
    ("service", &["config", "host", "limits"]),
    ("runtime", &["command", "config", "engine", "host", "limits", "persist", "resp", "service", "shard", "slot"]),
    // What applications use: of the server it shares the protocol.
    // Of `command` only the facts, which another test holds.
    ("client", &["command", "limits", "resp", "slot"]),
    // A client of servers: it shares the protocol with ours, and nothing else.
    ("loadgen", &["limits", "resp", "slot"]),
    (
        "cli",
        &[
            "client", "command", "config", "engine", "host", "limits", "loadgen", "persist", "resp", "runtime",
            "service", "shard",
        ],
    ),
];

/// Files that read a clock.
const CLOCKS: [&str; 3] = ["src/client/clock.rs", "src/runtime/clock.rs", "src/service/logging.rs"];

/// Files outside of tests that have `unsafe`: the slab's entries and blobs, descriptors, system calls, the allocator's own
/// functions, the counting allocator of benches.
const UNSAFE_CELLS: [&str; 8] = [
    "benches/support/counting.rs",
    "src/host/sys.rs",
    "src/runtime/allocator.rs",
    "src/runtime/stopwatch.rs",
    "src/runtime/sys.rs",
    "src/runtime/transport/ring/uring.rs",
    "src/service/fork.rs",
    "src/shard/entry.rs",
];

/// Limits that nothing but tests and assertions among the limits use. May shrink, not grow.
const UNUSED_LIMITS: [&str; 1] = ["SEGMENT_ENTRIES_MAX"];

/// The entries of the root, besides files that begin with a dot.
const TOP_LEVEL: [&str; 18] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    // Where a server that was started here keeps its snapshots; git does not see it.
    "aspine-data",
    "benches",
    "clippy.toml",
    "docs",
    "examples",
    "python",
    "rustfmt.toml",
    "scripts",
    "src",
    "target",
    "tests",
    "tuning",
];

/// The first names behind a `crate::`: one, or several for a `use crate::{…}`.
fn crate_paths(line_and_rest: &str) -> Vec<&str> {
    let first = |path: &str| path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    match line_and_rest.strip_prefix('{') {
        None => vec![&line_and_rest[..first(line_and_rest)]],
        Some(group) => {
            let mut depth = 0;
            let mut paths = Vec::new();
            let mut start = Some(0);
            for (at, c) in group.char_indices() {
                if depth == 0 && start.is_some() && c.is_alphanumeric() {
                    start = None;
                    paths.push(&group[at..at + first(&group[at..])]);
                }
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = Some(at),
                    _ => {}
                }
            }
            paths
        }
    }
}

#[test]
fn arrows_between_modules_go_one_way() {
    assert_eq!(crate_paths("shard::{Shard, entry}"), ["shard"]);
    assert_eq!(crate_paths("{ resp::{Args, Span}, shard::Shard, limits}; x"), ["resp", "shard", "limits"]);
    let mut complaints = Vec::new();
    for source in Source::of_src() {
        let module = source.module();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            if !["lib", "main"].contains(&module) {
                complaints.push(format!("{}: say in ARROWS what `{module}` may use", source.path));
            }
            continue;
        };
        for (at, prefix) in source.code.match_indices("crate::") {
            let line = source.code[..at].lines().count().max(1);
            for used in crate_paths(&source.code[at + prefix.len()..]) {
                if used != module && ARROWS.iter().any(|(name, _)| *name == used) && !allowed.contains(&used) {
                    complaints.push(format!(
                        "{}:{line}: `{module}` uses `{used}`; move what is shared below both, or pass it as a value",
                        source.path
                    ));
                }
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn the_client_takes_only_the_facts_of_commands() {
    let mut complaints = Vec::new();
    for source in Source::of_src().filter(|source| source.module() == "client" || source.path.contains("command/facts"))
    {
        for (at, found) in source.code.match_indices("crate::command::") {
            if !source.code[at + found.len()..].starts_with("facts") {
                let number = source.code[..at].lines().count().max(1);
                complaints.push(format!("{}:{number}: takes more of `command` than its facts", source.path));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn glommio_stays_in_the_runtime() {
    let mut complaints = Vec::new();
    for source in Source::all().iter().filter(|source| !source.path.starts_with("src/runtime/")) {
        for (number, _) in source.lines_with("glommio") {
            complaints
                .push(format!("{}:{number}: names glommio; do it in src/runtime, behind our own type", source.path));
        }
    }
    assert_none(&complaints);
}

#[test]
fn nobody_but_the_runtime_reads_a_clock() {
    let mut complaints = Vec::new();
    for source in Source::all() {
        let pure = source.path.starts_with("src/") || source.path.starts_with("tests/simulation/");
        for clock in ["Instant", "SystemTime"] {
            for (number, line) in source.lines_with(clock) {
                if pure && !CLOCKS.contains(&source.path.as_str()) && has_word(line, "now") {
                    complaints.push(format!("{}:{number}: reads {clock}; take `now_ms` as an argument", source.path));
                }
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn only_route_chooses_between_here_and_there() {
    // Walking over all peers (`!=`) is no such choice.
    let choices = ["== self.core", "self.core ==", "== self.router.core"];
    let mut complaints = Vec::new();
    for source in Source::of_src().filter(|source| source.path != "src/engine/route.rs") {
        for (line, number) in source.code.lines().zip(1..) {
            if choices.iter().any(|choice| line.contains(choice)) {
                complaints.push(format!("{}:{number}: compares cores; let src/engine/route.rs decide", source.path));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn unsafe_stays_in_its_cells_and_says_why() {
    let mut complaints = Vec::new();
    let sources = Source::all();
    for source in sources {
        let lines = source.lines_with("unsafe");
        let Some((number, _)) = lines.first() else { continue };
        let path = &source.path;
        if !UNSAFE_CELLS.contains(&path.as_str()) && !path.starts_with("tests/") {
            complaints.push(format!("{path}:{number}: `unsafe`; use one of {UNSAFE_CELLS:?}, or what rustix has"));
        }
        if !source.text.contains("SAFETY:") {
            complaints
                .push(format!("{path}:{number}: `unsafe` without a `SAFETY:` that says where the invariant is kept"));
        }
        if !source.text.contains("unsafe_code") {
            complaints
                .push(format!("{path}:{number}: lift the lint with #[expect(unsafe_code, reason = …)], not more"));
        }
    }
    for cell in UNSAFE_CELLS {
        if !sources.iter().any(|source| source.path == cell && !source.lines_with("unsafe").is_empty()) {
            complaints.push(format!("{cell}: has no `unsafe`; take it off UNSAFE_CELLS"));
        }
    }
    if !read(&root().join("Cargo.toml")).contains("unsafe_code = \"deny\"") {
        complaints.push("Cargo.toml: deny `unsafe_code` under [lints.rust]".to_owned());
    }
    assert_none(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not hold them.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let macros = [["db", "g!"], ["to", "do!"], ["unimple", "mented!"]].map(|parts| parts.concat());
    let mut complaints = Vec::new();
    for source in Source::all() {
        for (line, number) in source.text.lines().zip(1..) {
            for mark in marks.iter().filter(|mark| has_word(line, mark)) {
                complaints.push(format!("{}:{number}: {mark}; do it, or open an issue", source.path));
            }
        }
        for (line, number) in source.code.lines().zip(1..) {
            for left in macros.iter().filter(|left| line.contains(left.as_str())) {
                complaints.push(format!("{}:{number}: {left}; finish it", source.path));
            }
        }
    }
    let manifest = ("Cargo.toml".to_owned(), read(&root().join("Cargo.toml")));
    let documents = documents().into_iter().map(|document| (document.path, document.text));
    for (file, text) in documents.chain([manifest]) {
        for (line, number) in text.lines().zip(1..) {
            for mark in marks.iter().filter(|mark| has_word(line, mark)) {
                complaints.push(format!("{file}:{number}: {mark}; do it, or open an issue"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_limit_is_explained_and_used() {
    let mut sources = Source::of_src();
    let limits = sources.find(|source| source.path == "src/limits.rs").expect("src/limits.rs");
    let mut complaints = Vec::new();
    let mut explained = false;
    for line in limits.text.lines() {
        if let Some(name) = line.strip_prefix("pub const ").and_then(|rest| rest.split(':').next()) {
            if !explained {
                complaints.push(format!("src/limits.rs: {name}: say its unit, its reason, and what happens at it"));
            }
            let mut others = Source::of_src().filter(|source| source.path != limits.path && !source.is_test());
            match (others.any(|source| has_word(&source.code, name)), UNUSED_LIMITS.contains(&name)) {
                (false, false) => complaints.push(format!("src/limits.rs: {name} is not used; remove it")),
                (true, true) => complaints.push(format!("src/limits.rs: {name} is used; take it off UNUSED_LIMITS")),
                _ => {}
            }
        }
        explained = line.starts_with("///");
    }
    assert_none(&complaints);
}

#[test]
fn every_file_is_compiled() {
    let sources = Source::of_src();
    let mut complaints = Vec::new();
    for source in sources.clone().filter(|source| !["src/lib.rs", "src/main.rs"].contains(&source.path.as_str())) {
        let names: Vec<_> = source.path.trim_end_matches(".rs").rsplit('/').collect();
        let name = if names[0] == "mod" { names[1] } else { names[0] };
        let declaration = format!("mod {name};");
        let path = format!("#[path = \"{name}.rs\"]");
        if !sources.clone().any(|other| other.code.contains(&declaration) || other.text.contains(&path)) {
            complaints.push(format!("{}: no `{declaration}` anywhere; declare it or delete it", source.path));
        }
    }
    assert_none(&complaints);
}

#[test]
fn the_root_holds_what_it_should() {
    let mut complaints = Vec::new();
    for entry in fs::read_dir(root()).expect("the root") {
        let name = entry.expect("a directory entry").file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()) {
            complaints.push(format!("{name}: does not belong into the root; find its folder among {TOP_LEVEL:?}"));
        }
    }
    assert_none(&complaints);
}
