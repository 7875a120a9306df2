//! Structure: the parts of the engine stay apart, and files do not import each other in large circles.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::source::{Source, has_word};

/// Files that import each other in one circle, at most.
const CIRCLE_FILES_MAX: usize = 3;

/// Folders with a larger circle, and its files. This list may only shrink.
const KNOWN_CIRCLES: [(&str, usize); 2] = [("src/command/", 8), ("src/shard/", 7)];

/// Parts of the engine, and the words that none of their files may have: what the part never sees.
const APART: [(&[&str], &[&str], &str); 2] = [
    (
        &["src/engine/home/", "src/engine/invalidation/"],
        &["Shard", "shard_mut", "shard"],
        "home never sees a shard; ask the owner for what is needed",
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

/// Modules that one import names, as paths from the crate's root.
fn expand(path: &str) -> Vec<String> {
    let path: String = path.chars().filter(|c| !c.is_whitespace()).collect();
    let Some(open) = path.find('{') else { return vec![path] };
    let (head, body) = (&path[..open], &path[open + 1..path.rfind('}').unwrap_or(path.len())]);
    let (mut depth, mut item, mut all) = (0, String::new(), Vec::new());
    for c in body.chars().chain([',']) {
        match c {
            ',' if depth == 0 => {
                if !item.is_empty() {
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

/// For each module the modules that its imports name.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let sources: Vec<_> = Source::of_src().filter(|s| !s.is_test() && !s.path.ends_with("_model.rs")).collect();
    let known: BTreeSet<String> = sources.iter().map(|source| module_of(&source.path)).collect();
    let mut graph = BTreeMap::new();
    for source in sources {
        let own = module_of(&source.path);
        let tests = source.test_modules();
        let mut named = BTreeSet::new();
        for (at, _) in source.code.match_indices("use ") {
            let line = source.code[..at].matches('\n').count() + 1;
            let begins = source.code[..at].ends_with(['\n', ' ']) || at == 0;
            let end = source.code[at..].find(';').map_or(source.code.len(), |end| at + end);
            if begins && !tests.iter().any(|lines| lines.contains(&line)) {
                named.extend(expand(&source.code[at + 4..end]));
            }
        }
        let absolute = named.iter().filter_map(|path| {
            let (first, rest) = path.split_once("::")?;
            match first {
                "crate" => Some(rest.to_owned()),
                "self" => Some(format!("{own}::{rest}")),
                "super" => {
                    Some(own.rsplit_once("::").map_or(rest.to_owned(), |(parent, _)| format!("{parent}::{rest}")))
                }
                _ => None,
            }
        });
        let files = absolute.filter_map(|path| {
            let mut path = path.as_str();
            while !known.contains(path) {
                path = path.rsplit_once("::")?.0;
            }
            Some(path.to_owned())
        });
        let files: BTreeSet<String> = files.filter(|file| *file != own && file != "lib").collect();
        graph.insert(own, files);
    }
    graph
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
    let mut complaints = Vec::new();
    let mut used = BTreeSet::new();
    for circle in circles(&imports()).into_iter().filter(|circle| circle.len() > CIRCLE_FILES_MAX) {
        let folder = |module: &String| format!("src/{}/", module.split("::").next().unwrap_or_default());
        let folders: BTreeSet<String> = circle.iter().map(folder).collect();
        let known = KNOWN_CIRCLES.iter().find(|(folder, _)| folders.len() == 1 && folders.contains(*folder));
        match known {
            Some((folder, most)) if circle.len() <= *most => drop(used.insert(*folder)),
            _ => complaints.push(format!(
                "{circle:?} import each other; let each import a type from the file that defines it, and put what all \
                 need below them"
            )),
        }
    }
    for (folder, _) in KNOWN_CIRCLES.iter().filter(|(folder, _)| !used.contains(folder)) {
        complaints.push(format!("{folder}: has no large circle any more; take it off KNOWN_CIRCLES"));
    }
    assert_none(&complaints);
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
    assert_eq!(module_of("src/engine/home/mod.rs"), "engine::home");
}
