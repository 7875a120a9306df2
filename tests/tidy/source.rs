//! Source: a file of the repository as tidy sees it. A scanner of Rust's tokens, not a parser.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Directories that hold our Rust.
const FOLDERS: [&str; 4] = ["src", "benches", "examples", "tests"];

/// The repository's root: what cargo says when it runs the test, since copies may share a target directory.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from))
}

/// A Rust file.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// The text of the file.
    pub(crate) text: String,
    /// The same lines with comments blank and the insides of texts and characters as `_`.
    pub(crate) code: String,
}

/// A function with a body.
pub(crate) struct Function {
    /// The name of the function.
    pub(crate) name: String,
    /// The lines of the function, counted from 1.
    pub(crate) lines: RangeInclusive<usize>,
}

impl Source {
    /// All sources, by path; read once for all tests.
    pub(crate) fn all() -> &'static [Source] {
        static ALL: OnceLock<Vec<Source>> = OnceLock::new();
        ALL.get_or_init(|| {
            let mut paths = Vec::new();
            for folder in FOLDERS {
                walk(&root().join(folder), &mut paths);
            }
            paths.retain(|path| path.extension().is_some_and(|end| end == "rs"));
            paths.sort();
            assert!(paths.len() > 50, "the sources are not where tidy looks");
            paths.iter().map(|path| Source::new(relative(path), read(path))).collect()
        })
    }

    /// The sources under `src`.
    pub(crate) fn of_src() -> impl Iterator<Item = &'static Source> + Clone {
        Source::all().iter().filter(|source| source.path.starts_with("src/"))
    }

    pub(crate) fn new(path: String, text: String) -> Source {
        let code = mask(&text);
        Source { path, text, code }
    }

    /// Whether the file holds tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }

    /// The module of the crate that the file belongs to: `engine` for `src/engine/route.rs`, `limits` for `src/limits.rs`.
    pub(crate) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split(['/', '.']).next().unwrap_or_default()
    }

    /// Numbers, from 1, and texts of the lines of code that hold a word.
    pub(crate) fn lines_with(&self, word: &str) -> Vec<(usize, &str)> {
        let lines = self.code.lines().zip(1..).filter(|(line, _)| has_word(line, word));
        lines.map(|(line, number)| (number, line.trim())).collect()
    }

    /// Lines of code: neither blank nor comment, nor in a module that is for tests.
    pub(crate) fn code_lines(&self) -> usize {
        let tests = self.test_modules();
        let lines = self.code.lines().zip(1..);
        lines
            .filter(|(line, number)| !line.trim().is_empty() && !tests.iter().any(|lines| lines.contains(number)))
            .count()
    }

    /// Lines of the modules under `#[cfg(test)]`.
    pub(crate) fn test_modules(&self) -> Vec<RangeInclusive<usize>> {
        let starts = self.code.match_indices("#[cfg(test)]").map(|(at, _)| at);
        starts.filter_map(|at| Some(line_of(&self.code, at)..=line_of(&self.code, body_end(&self.code, at)?))).collect()
    }

    /// Every function that has a body, those inside others too.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let name: String = self.code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let inside_a_word = self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if !name.is_empty()
                && !inside_a_word
                && let Some(end) = body_end(&self.code, at)
            {
                functions.push(Function { name, lines: line_of(&self.code, at)..=line_of(&self.code, end) });
            }
        }
        functions
    }
}

/// Whether a line holds a word: with nothing before and after it that could belong to a name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part_of_a_name) && !line[at + word.len()..].starts_with(part_of_a_name))
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

/// Every file under a folder.
pub(crate) fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() { walk(&path, paths) } else { paths.push(path) }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1
}

/// The end of the braces that the item at `from` opens; `None` if it ends in `;` before.
fn body_end(code: &str, from: usize) -> Option<usize> {
    let (mut depth, mut braces) = (0i32, 0i32);
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The same text with comments blank, and what stands in texts and characters as `_`. Lines stay as they are.
fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let (len, keep, fill) = match token(rest, code.last().copied()) {
            Token::Other => (1, 1, b' '),
            Token::Comment(len) => (len, 0, b' '),
            Token::Text { len, head } => (len, head, b'_'),
        };
        code.extend_from_slice(&bytes[at..at + keep]);
        code.extend(bytes[at + keep..at + len].iter().map(|byte| if *byte == b'\n' { b'\n' } else { fill }));
        at += len;
        // A character of several bytes outside of texts.
        while !text.is_char_boundary(at) {
            code.push(b'_');
            at += 1;
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

enum Token {
    Comment(usize),
    /// With so many bytes in front that stay: the prefix and the opening quote.
    Text {
        len: usize,
        head: usize,
    },
    Other,
}

fn token(rest: &str, before: Option<u8>) -> Token {
    let in_name = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if rest.starts_with("//") {
        return Token::Comment(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Token::Comment(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    let unprefixed = if in_name { rest } else { rest.trim_start_matches(['b', 'c']) };
    let prefix = rest.len() - unprefixed.len();
    if !in_name
        && let Some(raw) = unprefixed.strip_prefix('r')
        && raw.trim_start_matches('#').starts_with('"')
    {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let head = prefix + 1 + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        let len = rest[head..].find(&close).map_or(rest.len(), |end| head + end + close.len());
        return Token::Text { len, head };
    }
    if unprefixed.starts_with('"') {
        return Token::Text { len: prefix + quoted(unprefixed, '"'), head: prefix + 1 };
    }
    // A character, not a lifetime: it closes after one character, or is an escape.
    let mut chars = unprefixed.chars();
    if chars.next() == Some('\'') && (chars.next() == Some('\\') || chars.next() == Some('\'')) {
        return Token::Text { len: prefix + quoted(unprefixed, '\''), head: prefix + 1 };
    }
    Token::Other
}

/// Bytes from an opening quote to its closing one.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn masks_comments_and_texts_but_not_code() {
    let text = "let a = \"// no /* \\\" x\"; // glommio\nlet b = b'\\''; let c: &'static str = r#\"un\"safe\"#; /* x\n */ fn f<'a>() {}";
    let code = Source::new(String::new(), text.to_owned()).code;
    assert_eq!(code.lines().count(), text.lines().count());
    assert!(!code.contains("glommio") && !code.contains("safe") && !code.contains('x'), "{code}");
    for kept in ["let a = \"", "let b = b'", "let c: &'static str", "fn f<'a>() {}"] {
        assert!(code.contains(kept), "{kept}: {code}");
    }
}

#[test]
fn finds_functions_and_test_modules() {
    let text = "trait T { fn none(a: [u8; 3]); }\nfn one() {\n    let f: fn(u8) = two;\n}\n\n#[cfg(test)]\nmod tests {\n    fn two() {}\n}\n";
    let source = Source::new(String::new(), text.to_owned());
    let found: Vec<_> = source.functions().into_iter().map(|function| (function.name, function.lines)).collect();
    assert_eq!(found, [("one".to_owned(), 2..=4), ("two".to_owned(), 8..=8)]);
    assert_eq!(source.code_lines(), 4);
}
