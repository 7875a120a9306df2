//! Structure: the parts of the engine stay apart, and files do not import each other in large circles.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::source::{Source, has_word};

/// Files that import each other in one circle, at most.
const CIRCLE_FILES_MAX: usize = 3;

/// Parts of the engine, and the words that none of their files may have: what the part never sees.
const APART: [(&[&str], &[&str], &str); 2] = [
    (
        &["src/engine/home/", "src/engine/invalidation/", "src/engine/monitor/", "src/engine/process_wide/"],
        &["Shard", "shard_mut", "shard"],
        "who sees sessions never sees a shard; ask the owner for what is needed",
    ),
    (
        &[
            "src/engine/core.rs",
            "src/engine/env.rs",
            "src/engine/link/",
            "src/engine/owner/",
            "src/engine/persistence/",
            "src/engine/pubsub/",
        ],
        &["Session", "Sessions", "sessions"],
        "only home sees a session; answer to its id",
    ),
];

fn engine() -> impl Iterator<Item = &'static Source> {
    Source::of_src().filter(|source| source.path.starts_with("src/engine/"))
}

/// Complaints about words of a file, outside of what is for tests and of imports.
fn complain(source: &Source, words: &[&str], why: &str, complaints: &mut Vec<String>) {
    let tests = source.test_modules();
    for (line, number) in source.code.lines().zip(1..) {
        if tests.iter().any(|lines| lines.contains(&number)) || line.trim_start().starts_with("use ") {
            continue;
        }
        for word in words.iter().filter(|word| has_word(line, word)) {
            complaints.push(format!("{}:{number}: `{word}`: {why}", source.path));
        }
    }
}

#[test]
fn the_engine_is_connected_in_one_file() {
    let impls = engine().filter(|source| source.code.lines().any(|line| line.starts_with("impl Engine {")));
    let paths: Vec<_> = impls.map(|source| source.path.as_str()).collect();
    assert_eq!(paths, ["src/engine/mod.rs"], "give the part a method of its own instead");
}

#[test]
fn sessions_and_shards_are_seen_apart() {
    let mut complaints = Vec::new();
    for (places, words, why) in APART {
        let of_part = |source: &&Source| places.iter().any(|place| source.path.starts_with(place));
        for source in engine().filter(of_part).filter(|source| !source.is_test()) {
            complain(source, words, why, &mut complaints);
        }
    }
    assert_none(&complaints);
}

#[test]
fn the_engine_gives_up_nowhere_and_writes_bytes_in_one_place() {
    let mut complaints = Vec::new();
    for source in engine().filter(|source| !source.is_test()) {
        complain(source, &["unreachable", "check_out"], "let a type say that it can't happen", &mut complaints);
        if !source.path.starts_with("src/engine/link/") {
            let bytes = ["to_le_bytes", "from_le_bytes"];
            complain(source, &bytes, "bytes between cores are written in engine/link", &mut complaints);
        }
    }
    assert_none(&complaints);
}

/// The paths that one import names. What an item is called here is left out.
fn expand(path: &str) -> Vec<String> {
    let dense = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
    let Some(open) = path.find('{') else { return vec![dense(path.split(" as ").next().unwrap_or_default())] };
    let (head, body) = (dense(&path[..open]), &path[open + 1..path.rfind('}').unwrap_or(path.len())]);
    let (mut depth, mut item, mut all) = (0, String::new(), Vec::new());
    for c in body.chars().chain([',']) {
        match c {
            ',' if depth == 0 => {
                if !item.trim().is_empty() {
                    all.extend(expand(&format!("{head}{item}")));
                }
                item.clear();
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        item.push(c);
    }
    all
}

/// The module that a file is: `engine::home` for `src/engine/home/mod.rs`.
fn module_of(path: &str) -> String {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.replace('/', "::")
}

/// A path seen from the crate's root; `None` if it leads out of the crate.
fn absolute(own: &str, path: &str, known: &BTreeSet<String>) -> Option<String> {
    let parent = |module: &str| module.rsplit_once("::").map_or(String::new(), |(parent, _)| format!("{parent}::"));
    let (first, rest) = path.split_once("::").unwrap_or((path, ""));
    match first {
        "crate" => Some(rest.to_owned()),
        "self" => Some(format!("{own}::{rest}")),
        "super" => match rest.strip_prefix("super::") {
            Some(rest) => Some(format!("{}{rest}", parent(parent(own).trim_end_matches("::")))),
            None => Some(format!("{}{rest}", parent(own))),
        },
        _ => Some(format!("{own}::{path}")).filter(|_| known.contains(&format!("{own}::{first}"))),
    }
}

/// The code of a file without its tests, and without the modules in visibilities: `pub(in crate::engine)` names none.
fn seen_code(source: &Source) -> String {
    let tests = source.test_modules();
    let lines = source.code.lines().zip(1..).filter(|(_, number)| !tests.iter().any(|lines| lines.contains(number)));
    let mut code: String = lines.flat_map(|(line, _)| [line, "\n"]).collect();
    while let Some(at) = code.find("pub(") {
        let end = code[at..].find(')').map_or(code.len(), |end| at + end + 1);
        code.replace_range(at..end, "pub");
    }
    code
}

/// The paths that a file names, those of its imports and those in its code, and which of them it re-exports.
fn paths_of(source: &Source, known: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
    let own = module_of(&source.path);
    let mut code = seen_code(source);
    let (mut named, mut exported) = (Vec::new(), Vec::new());
    let begins = |code: &str, at: usize| at == 0 || code[..at].ends_with(['\n', ' ']);
    while let Some((at, _)) = code.match_indices("use ").find(|(at, _)| begins(&code, *at)) {
        let end = code[at..].find(';').map_or(code.len(), |end| at + end);
        let paths: Vec<_> = expand(&code[at + 4..end]).iter().filter_map(|path| absolute(&own, path, known)).collect();
        if code[..at].trim_end().ends_with("pub") {
            exported.extend(paths.clone());
        }
        named.extend(paths);
        code.replace_range(at..end, "");
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for head in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(head).filter(|(at, _)| !code[..*at].ends_with(is_name)) {
            let path: String = code[at..].chars().take_while(|c| is_name(*c)).collect();
            named.extend(absolute(&own, &path, known));
        }
    }
    (named, exported)
}

/// For each module the modules that it names. An item that another module re-exports counts as that of its own file.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let sources: Vec<_> = Source::of_src().filter(|s| !s.is_test() && !s.path.ends_with("_model.rs")).collect();
    let known: BTreeSet<String> = sources.iter().map(|source| module_of(&source.path)).collect();
    let modules = sources.iter().map(|source| (module_of(&source.path), paths_of(source, &known)));
    let modules: BTreeMap<String, (Vec<String>, Vec<String>)> = modules.collect();
    let mut exports: BTreeMap<String, String> = BTreeMap::new();
    for (own, (_, exported)) in &modules {
        for path in exported {
            exports.insert(format!("{own}::{}", path.rsplit("::").next().unwrap_or_default()), path.clone());
        }
    }
    let file_of = |path: &String| {
        let mut path = path;
        while let Some(exported) = exports.get(path).filter(|exported| *exported != path) {
            path = exported;
        }
        let mut path = path.as_str();
        while !known.contains(path) {
            path = path.rsplit_once("::")?.0;
        }
        Some(path.to_owned())
    };
    let graph = modules.iter().map(|(own, (named, _))| {
        let files = named.iter().filter_map(file_of);
        (own.clone(), files.filter(|file| file != own && file != "lib").collect())
    });
    graph.collect()
}

/// The modules that can be reached from one.
fn reached(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(module) = next.pop() {
        for other in graph.get(&module).into_iter().flatten() {
            if seen.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    seen
}

/// The circles of a graph: modules each of which reaches all others.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let all: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|module| (module, reached(graph, module))).collect();
    let circle = |module: &String| -> BTreeSet<String> {
        all[module].iter().filter(|other| all.get(other).is_some_and(|back| back.contains(module))).cloned().collect()
    };
    let circles: BTreeSet<BTreeSet<String>> = graph.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    circles.into_iter().collect()
}

#[test]
fn files_import_each_other_in_small_circles() {
    let large = circles(&imports()).into_iter().filter(|circle| circle.len() > CIRCLE_FILES_MAX);
    let complaint = |circle| {
        format!(
            "{circle:?} import each other; let each import a type from the file that defines it, and put what all need \
             below them"
        )
    };
    assert_none(&large.map(complaint).collect::<Vec<_>>());
}

#[test]
fn circles_are_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            graph.entry((*to).to_owned()).or_default();
        }
        graph
    };
    assert!(circles(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    let found = circles(&graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]));
    assert_eq!(found, [["a", "b", "c"].map(str::to_owned).into()]);
    assert_eq!(expand("crate::a::{b, c::{D, self}}"), ["crate::a::b", "crate::a::c::D", "crate::a::c::self"]);
    assert_eq!(expand("a::{B as C, d}"), ["a::B", "a::d"]);
    assert_eq!(module_of("src/engine/home/mod.rs"), "engine::home");
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let known: BTreeSet<String> = ["a", "a::b", "a::c", "d"].map(str::to_owned).into();
    let source = |text: &str| Source::new("src/a/mod.rs".to_owned(), text.to_owned());
    let of = |text: &str| paths_of(&source(text), &known);
    assert_eq!(of("pub use b::B;\nuse crate::d::{D, E as F};").0, ["a::b::B", "d::D", "d::E"]);
    assert_eq!(of("pub(in crate::d) use b::B;\nuse std::fmt;").1, ["a::b::B"]);
    assert_eq!(of("fn f() -> self::c::C { crate::d::g() }").0, ["d::g", "a::c::C"]);
    assert_eq!(of("pub(in crate::d) fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::d::D;\n}").0, [""; 0]);
    assert_eq!(absolute("a::b", "super::super::d::D", &known), Some("d::D".to_owned()));
}
