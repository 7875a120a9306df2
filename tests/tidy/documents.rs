//! Documents: README, docs/ and what stands beside them, as one text. The README is short, nothing stands twice, every
//! link leads somewhere, and what is generated is up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::assert_none;
use crate::docs::{crate_docs, first_example, is_path, quoted};
use crate::source::{read, root, walk};

/// Lines the README may have: what a newcomer reads in ten minutes.
const README_LINES_MAX: usize = 200;

/// Characters from which a paragraph, a list item, a table row or a block of code has to be the only one of its kind.
/// Shorter ones ("In short:") may come again.
const UNIQUE_CHARS_MIN: usize = 40;

/// Words from which a sentence has to be the only one of its kind.
const UNIQUE_WORDS_MIN: usize = 8;

/// The document with the table of commands, and the marks around it.
const COMMANDS: (&str, [&str; 2]) = ("docs/commands.md", ["<!-- commands -->\n", "<!-- /commands -->"]);

/// A Markdown document.
pub(crate) struct Document {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Document {
    fn new(path: &str, text: &str) -> Document {
        Document { path: path.to_owned(), text: text.to_owned() }
    }

    fn folder(&self) -> &Path {
        Path::new(&self.path).parent().unwrap_or(Path::new(""))
    }

    /// Numbers, from 1, and texts of the lines outside of blocks of code.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut code = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let fence = line.trim_start().starts_with("```");
            code ^= fence;
            !code && !fence
        })
    }

    /// The names by which its headings are linked to, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        for (_, line) in self.prose() {
            let Some((marks, title)) = line.split_once(' ') else { continue };
            if marks.is_empty() || marks.bytes().any(|byte| byte != b'#') {
                continue;
            }
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let slug: String = kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
            let again = (1..).map(|number| format!("{slug}-{number}"));
            anchors.extend(std::iter::once(slug.clone()).chain(again).find(|name| !anchors.contains(name)));
        }
        anchors
    }

    /// The lines and targets of its links and pictures.
    fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in self.prose() {
            let prose: Vec<_> = line.split('`').step_by(2).collect();
            for rest in prose.join("`").split("](").skip(1) {
                links.extend(rest.split_once(')').map(|(target, _)| (number, target.to_owned())));
            }
        }
        links
    }

    /// The paragraphs, list items, table rows and blocks of code, with the line of each and with single spaces. Headings
    /// and the heads of tables are left out: they name things, and may have the same names.
    fn blocks(&self) -> Vec<(usize, String)> {
        let mut blocks: Vec<(usize, String)> = Vec::new();
        let (mut code, mut open) = (false, false);
        let lines: Vec<_> = self.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let (line, fence) = (line.trim(), line.trim_start().starts_with("```"));
            let row = !code && line.starts_with('|');
            let head = row && lines.get(at + 1).is_some_and(|next| next.starts_with("|--")) || line.starts_with("|--");
            if fence {
                (code, open) = (!code, !code);
                if code {
                    blocks.push((at + 1, String::new()));
                }
            } else if !code && (line.is_empty() || line.starts_with('#') || line.starts_with("<!--") || head) {
                open = false;
            } else {
                if !open || (!code && (row || is_item(line))) {
                    blocks.push((at + 1, String::new()));
                    open = true;
                }
                if let Some((_, block)) = blocks.last_mut() {
                    let words = line.split_whitespace();
                    words.for_each(|word| *block += &format!("{}{word}", if block.is_empty() { "" } else { " " }));
                }
            }
        }
        blocks
    }

    /// The same document without what a program writes between marks.
    fn by_hand(&self) -> Document {
        let mut text = String::new();
        let mut inside = false;
        for line in self.text.lines() {
            if let Some(mark) = line.strip_prefix("<!-- ") {
                inside = !mark.starts_with('/');
            }
            text += if inside { "" } else { line };
            text.push('\n');
        }
        Document { path: self.path.clone(), text }
    }
}

/// Whether a line begins an item of a list.
fn is_item(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ") || (number.len() < line.len() && number.starts_with(". "))
}

/// Every document of the repository: those for users, and those for people who change it.
pub(crate) fn documents() -> Vec<Document> {
    let mut paths = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tuning/README.md"].map(PathBuf::from).to_vec();
    let mut found = Vec::new();
    walk(&root().join("docs"), &mut found);
    found.retain(|path| path.extension().is_some_and(|end| end == "md"));
    found.sort();
    paths.extend(found.iter().filter_map(|path| path.strip_prefix(root()).ok()).map(Path::to_owned));
    paths.iter().map(|path| Document::new(&path.to_string_lossy(), &read(&root().join(path)))).collect()
}

/// Complaints about text that stands in two places: whole blocks anywhere, sentences outside of generated parts.
fn repeated(documents: &[Document]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut seen = BTreeMap::new();
    let mut note = |path: &str, line: usize, text: &str| {
        let place = format!("{path}:{line}");
        if let Some(first) = seen.insert(text.to_owned(), place.clone()) {
            complaints.push(format!("{place}: stands in {first} already, link to it: {text}"));
        }
    };
    for document in documents {
        for (line, block) in document.blocks().iter().filter(|(_, block)| block.chars().count() >= UNIQUE_CHARS_MIN) {
            note(&document.path, *line, block);
        }
    }
    for document in documents.iter().map(Document::by_hand) {
        for (line, block) in document.blocks() {
            // A block of one sentence was looked at above.
            let sentences: Vec<_> = block.split_inclusive(". ").map(str::trim).collect();
            let long = sentences.iter().filter(|sentence| sentence.split(' ').count() >= UNIQUE_WORDS_MIN);
            long.filter(|_| sentences.len() > 1).for_each(|sentence| note(&document.path, line, sentence));
        }
    }
    complaints
}

/// A path without `.` and `..`; `None` if it leads out of the root.
fn normal(path: &Path) -> Option<PathBuf> {
    path.components().try_fold(PathBuf::new(), |mut normal, component| match component {
        Component::Normal(name) => Some(normal.join(name)),
        Component::CurDir => Some(normal),
        Component::ParentDir => normal.pop().then_some(normal),
        Component::Prefix(_) | Component::RootDir => None,
    })
}

/// Links that lead nowhere, and pages under docs/ to which no chain of links leads from the README.
fn broken(documents: &[Document], exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut leads: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    for document in documents {
        for (line, target) in document.links() {
            if target.starts_with("https://") || target.starts_with("http://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() {
                Some(PathBuf::from(&document.path))
            } else {
                normal(&document.folder().join(file))
            };
            let linked = documents.iter().find(|other| path.as_deref() == Some(Path::new(&other.path)));
            let found = path.as_deref().is_some_and(&exists)
                && (anchor.is_empty() || linked.is_some_and(|linked| linked.anchors().contains(anchor)));
            if !found {
                complaints.push(format!("{}:{line}: ({target}) leads nowhere", document.path));
            }
            leads.entry(&document.path).or_default().extend(path);
        }
    }
    let mut reached = BTreeSet::new();
    let mut next = vec!["README.md"];
    while let Some(path) = next.pop() {
        if reached.insert(path) {
            let linked = leads.get(path).into_iter().flatten();
            next.extend(
                linked
                    .filter_map(|path| documents.iter().find(|other| Path::new(&other.path) == path))
                    .map(|other| other.path.as_str()),
            );
        }
    }
    for document in documents.iter().filter(|document| document.path.starts_with("docs/")) {
        if !reached.contains(document.path.as_str()) {
            complaints.push(format!("{}: no chain of links leads here from README.md", document.path));
        }
    }
    complaints
}

/// Names of files, in backticks, that are neither under the root nor beside their document.
fn missing(documents: &[Document], exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for document in documents {
        for path in quoted(&document.text).into_iter().filter(|text| is_path(text)) {
            if !exists(Path::new(path)) && !exists(&document.folder().join(path)) {
                let place = &document.path;
                complaints.push(format!("{place}: `{path}` does not exist; name the file that took its place"));
            }
        }
    }
    complaints
}

/// Marks of generated parts that are not closed, or close nothing: what stands behind them would count as generated.
fn unpaired(documents: &[Document]) -> Vec<String> {
    let mut complaints = Vec::new();
    for document in documents {
        let mut open = None;
        for (line, number) in document.text.lines().zip(1..) {
            let Some(mark) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
            let opens = (!mark.starts_with('/')).then_some(mark);
            if open.is_some() == opens.is_some() || open.is_some_and(|open| Some(open) != mark.strip_prefix('/')) {
                complaints.push(format!("{}:{number}: `{line}` has no partner", document.path));
            }
            open = opens;
        }
        complaints.extend(open.map(|mark| format!("{}: `<!-- {mark} -->` is not closed", document.path)));
    }
    complaints
}

fn too_long(readme: &Document) -> Vec<String> {
    let lines = readme.text.lines().count();
    let complaint = format!("{}: {lines} lines; move what is beyond {README_LINES_MAX} into docs/", readme.path);
    (lines > README_LINES_MAX).then_some(complaint).into_iter().collect()
}

#[test]
fn the_readme_is_short() {
    let documents = documents();
    assert_eq!(documents[0].path, "README.md");
    assert_none(&too_long(&documents[0]));
}

#[test]
fn nothing_stands_twice() {
    let mut documents = documents();
    documents.push(Document { path: "src/lib.rs".to_owned(), text: crate_docs() });
    assert_none(&repeated(&documents));
}

#[test]
fn marks_of_generated_parts_come_in_pairs() {
    assert_none(&unpaired(&documents()));
}

#[test]
fn every_link_leads_somewhere_and_to_every_page() {
    assert_none(&broken(&documents(), |path| root().join(path).exists()));
}

#[test]
fn files_that_documents_name_exist() {
    let mut documents = documents();
    documents.push(Document { path: "src/lib.rs".to_owned(), text: crate_docs() });
    assert_none(&missing(&documents, |path| root().join(path).exists()));
}

#[test]
fn the_table_of_commands_is_generated() {
    let (file, marks) = COMMANDS;
    let path = root().join(file);
    let text = read(&path);
    let parts = text.split_once(marks[0]).and_then(|(head, rest)| Some((head, rest.split_once(marks[1])?)));
    let (head, (table, tail)) = parts.unwrap_or_else(|| panic!("{file}: keep {marks:?} around the commands"));
    let generated = aspine::command::docs::markdown_table();
    if table == generated {
        return;
    }
    if std::env::var_os("ASPINE_BLESS").is_some() {
        let blessed = [head, marks[0], &generated, marks[1], tail].concat();
        fs::write(&path, blessed).unwrap_or_else(|error| panic!("{file}: {error}"));
        return;
    }
    panic!("{file}: the commands are not those of the table; run `ASPINE_BLESS=1 cargo test --test tidy`");
}

#[test]
fn the_first_example_of_the_client_is_the_one_that_runs() {
    let docs = read(&root().join("src/client/mod.rs"));
    let docs: String = docs
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .fold(String::new(), |all, line| all + line.strip_prefix(' ').unwrap_or(line) + "\n");
    let page = read(&root().join("docs/client.md"));
    assert!(first_example(&docs).contains("connect"), "src/client/mod.rs: its first example is what the page shows");
    assert_eq!(first_example(&page), first_example(&docs), "docs/client.md: show what src/client/mod.rs runs");
}

/// A document of each of two folders, and no other file.
fn planted(readme: &str, page: &str) -> (Vec<Document>, impl Fn(&Path) -> bool) {
    let documents = vec![Document::new("README.md", readme), Document::new("docs/page.md", page)];
    let paths: Vec<_> = documents.iter().map(|document| PathBuf::from(&document.path)).collect();
    (documents, move |path: &Path| paths.iter().any(|known| known == path))
}

#[test]
fn a_long_readme_is_noticed() {
    assert!(too_long(&Document::new("README.md", &"a line\n".repeat(README_LINES_MAX))).is_empty());
    assert_eq!(too_long(&Document::new("README.md", &"a line\n".repeat(README_LINES_MAX + 1))).len(), 1);
}

#[test]
fn what_stands_twice_is_noticed() {
    let once = "# A title that is rather long, and comes in both\n\nA paragraph that is long enough\nto be noticed when it comes again.\n";
    let (documents, _) = planted(once, "# A title that is rather long, and comes in both\n\nAnother paragraph.\n");
    assert!(repeated(&documents).is_empty());
    let complaints = |page: &str| repeated(&planted(once, page).0);
    // Wrapped otherwise, and as an item.
    let again = complaints("x\n\nA paragraph that is long\nenough to be noticed when it comes again.\n");
    assert!(again.len() == 1 && again[0].starts_with("docs/page.md:3: stands in README.md:3 already"), "{again:?}");
    let code = "```\ncargo run --release -- server --cores 2\n\ncargo test\n```\n";
    assert_eq!(complaints(&format!("{code}\nand\n\n{code}")).len(), 1);
    let item = "- **An item** of a list that is long enough\n  to be noticed.\n";
    assert_eq!(complaints(&format!("{item}- Another.\n{item}")).len(), 1);
    let table = "| what | how many of them there are |\n|---|---|\n| something to be counted by hand | 17 of 18 |\n";
    assert_eq!(complaints(&format!("{table}\nand\n\n{table}")).len(), 1, "rows are compared, heads are not");
    let sentence = "One sentence of more words than seven is compared.";
    assert_eq!(complaints(&format!("{sentence} A.\n\nB. {sentence}\n")).len(), 1);
    assert_eq!(complaints(&format!("{sentence} A.\n\n<!-- x -->\nB. {sentence}\n<!-- /x -->\n")).len(), 0);
}

#[test]
fn marks_without_a_partner_are_noticed() {
    let complaints = |text: &str| unpaired(&[Document::new("a.md", text)]).len();
    assert_eq!(complaints("<!-- a -->\n1\n<!-- /a -->\n<!-- b -->\n<!-- /b -->\n"), 0);
    for text in ["<!-- a -->\n", "<!-- /a -->\n", "<!-- a -->\n<!-- /b -->\n", "<!-- a -->\n<!-- a -->\n<!-- /a -->\n"]
    {
        assert!(complaints(text) > 0, "{text}");
    }
}

#[test]
fn links_that_lead_nowhere_are_noticed() {
    let complaints = |readme: &str, page: &str| {
        let (documents, exists) = planted(readme, page);
        broken(&documents, exists)
    };
    let page =
        "## Two *words*, and `code`!\n## Twice\n## Twice\n[up](../README.md) [here](#twice-1) ![web](https://x.y/z)\n";
    let good = "# Head\n[page](docs/page.md#two-words-and-code) `[no](link)`\n```\n[no](link)\n# No head\n```\n";
    assert_eq!(complaints(good, page), Vec::<String>::new());
    for (readme, page) in [
        ("[page](docs/page.md) [gone](docs/gone.md)", page),
        ("[page](docs/page.md#three-words)", page),
        ("[page](docs/page.md)", "## Twice\n[here](#twice-1)"),
        ("[page](docs/page.md)", "[out](../../README.md)"),
        ("[page](docs/page.md)", "[beside](README.md)"),
        ("[page](docs/page.md)", "```\n# No head\n```\n[here](#no-head)"),
        ("no link to the page", page),
    ] {
        assert_eq!(complaints(readme, page).len(), 1, "{readme} {page}");
    }
}

#[test]
fn files_that_are_missing_are_noticed() {
    let complaints = |page: &str| {
        let (documents, exists) = planted("", page);
        missing(&documents, exists)
    };
    assert!(complaints("`page.md`, `docs/page.md`, `/etc/other.toml` and `a text.md`").is_empty());
    assert_eq!(complaints("`src/gone.rs`, and `gone.md`").len(), 2);
}
