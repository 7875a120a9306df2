//! The notation of command lines, and the words that are drawn for it.
//!
//! `SET <key> <value> [NX|XX] *(GET|EX <secs>)`: a word stands for itself (in any case), `<name>` is drawn by
//! [`Words::draw`], `(a|b)` is one of them, `[a|b]` one of them or nothing, `*(a|b)` up to three of them in any order
//! and repeated. ` ; ` ends a command, and `other:` before one sends it by another connection.
//!
//! Deadlines are long past or years ahead, and no two that count from now are alike: which of two is later must not
//! depend on how fast a server is.

use crate::rng::Rng;

/// Stands for the payload of the server's own last DUMP.
pub(crate) const PAYLOAD: &[u8] = b"\0payload\0";
/// Stands for the cursors of a whole SCAN, from 0 to 0.
pub(crate) const WALK: &[u8] = b"\0walk\0";
/// 2100-01-01 in unix seconds.
const FAR_AHEAD_S: u64 = 4_102_444_800;

/// Words that fit nowhere: numbers, almost numbers, texts, bytes.
const JUNK: [&[&str]; 4] = [
    &["9223372036854775807", "9223372036854775808", "-9223372036854775808", "99999999999999999999"],
    &["-1", "0", "1.5", " 1", "+1", "-", "00", "1e3"],
    &["", "x", "NX", "EX", "get", "two words", "line\r\nend", "quo\"te'"],
    &["\0", "a\0b", "\u{e9}", "\u{7f}\u{1}"],
];

enum Node<'p> {
    Word(&'p str),
    Drawn(&'p str),
    /// From how many to how many of these.
    Some(usize, usize, Vec<Vec<Node<'p>>>),
}

/// The draws in the course of a stream.
pub(crate) struct Words {
    pub(crate) rng: Rng,
    /// All keys that the stream uses.
    pub(crate) keys: Vec<Vec<u8>>,
    /// The last one drawn.
    key: Vec<u8>,
    proto: u8,
    deadlines: u64,
}

impl Words {
    pub(crate) fn new(mut rng: Rng, proto: u8) -> Words {
        let fixed: [&[u8]; 8] = [b"", b"\0", b"k\r\n", b"\xff\xfe", b"{tag}a", b"{tag}b", b"{}x", b"a b\"'\\"];
        let mut keys: Vec<Vec<u8>> = fixed.iter().map(|key| key.to_vec()).collect();
        keys.extend((0..30).map(|number| format!("key:{number}").into_bytes()));
        keys.push(vec![b'l'; 700]);
        let wanted = [2, 5, 12, keys.len()][rng.below(4)];
        while keys.len() > wanted {
            keys.swap_remove(rng.below(keys.len()));
        }
        Words { rng, key: keys[0].clone(), keys, proto, deadlines: 0 }
    }

    /// A command line of a pattern without ` ; `.
    pub(crate) fn expand(&mut self, pattern: &str) -> Vec<Vec<u8>> {
        let tokens = tokens(pattern);
        let mut rest = tokens.as_slice();
        let nodes = alternatives(&mut rest);
        assert!(rest.is_empty() && nodes.len() == 1, "not a pattern: {pattern}");
        let mut words = Vec::new();
        self.write(&nodes[0], &mut words);
        words
    }

    fn write(&mut self, nodes: &[Node<'_>], words: &mut Vec<Vec<u8>>) {
        for node in nodes {
            match node {
                Node::Word(word) if self.rng.one_in(8) => words.push(word.to_ascii_lowercase().into_bytes()),
                Node::Word(word) => words.push(word.as_bytes().to_vec()),
                Node::Drawn(name) => self.draw(name, words),
                Node::Some(low, high, options) => {
                    for _ in 0..self.rng.between(*low as u64, *high as u64) {
                        let option = self.rng.below(options.len());
                        self.write(&options[option], words);
                    }
                }
            }
        }
    }

    fn draw(&mut self, name: &str, words: &mut Vec<Vec<u8>>) {
        match name {
            "keys" => (0..self.rng.between(1, 4)).for_each(|_| self.draw("key", words)),
            // A spoilt command may have stored under a word that is no key.
            "all-keys" => {
                words.extend(self.keys.iter().cloned());
                words.extend(JUNK.iter().flat_map(|kind| kind.iter()).map(|word| word.as_bytes().to_vec()));
            }
            "pairs" => {
                for _ in 0..self.rng.between(1, 3) {
                    self.draw("key", words);
                    self.draw("value", words);
                }
            }
            _ => {
                let word = self.word(name);
                words.push(word);
            }
        }
    }

    /// One drawn word.
    fn word(&mut self, name: &str) -> Vec<u8> {
        match name {
            "key" => {
                self.key = self.keys[self.rng.below(self.keys.len())].clone();
                self.key.clone()
            }
            "same" => self.key.clone(),
            "value" => self.value(),
            // Two of them are more than LCS takes.
            "long" => vec![b'v'; self.rng.between(12_000, 70_000) as usize],
            "junk" => self.junk(),
            "payload" => PAYLOAD.to_vec(),
            "walk" => WALK.to_vec(),
            "own-proto" => self.proto.to_string().into_bytes(),
            "secs" => self.ahead(1),
            "millis" => self.ahead(1000),
            "at-secs" => self.deadline(1),
            "at-millis" => self.deadline(1000),
            "int" => {
                self.pick(&["0", "1", "-1", "2", "10", "100", "-7", "9223372036854775807", "-9223372036854775808"])
            }
            "float" => {
                self.pick(&["0.1", "-1.5", "3.0e3", "1", "-0", ".5", "1e17", "5e-324", "inf", "1.", "0x10", "nan"])
            }
            "index" => self.pick(&["0", "1", "-1", "2", "-3", "5", "8", "-100", "100", "9223372036854775807"]),
            // None that asks for more memory than a test should use.
            "offset" => self.pick(&["0", "1", "3", "10", "200", "-1", "536870912", "9223372036854775807"]),
            "bit-offset" => self.pick(&["0", "1", "7", "8", "63", "500", "#0", "#3", "-1", "4294967296"]),
            "bit" => self.pick(&["0", "1", "0", "1", "2", "x"]),
            "bit-type" => self.pick(&["u8", "i8", "u1", "i5", "u63", "i64", "u64", "i65", "u0", "x", "i16"]),
            // Not the least of 64 bits: Redis asks whether it fits by a difference that does not fit 64 bits itself, and
            // so takes it for too large where it is too small.
            "bit-value" => self.pick(&["0", "1", "-1", "2", "100", "-7", "9223372036854775807", "x"]),
            "count" => self.pick(&["1", "3", "10", "1000", "0", "-1"]),
            "pattern" => {
                self.pick(&["*", "key:*", "key:?", "key:[0-4]*", "key:[^1]", "{tag}*", "*1*", "", "\\*", "[", "k??:1"])
            }
            other => panic!("<{other}> is not drawn"),
        }
    }

    fn pick(&mut self, options: &[&str]) -> Vec<u8> {
        options[self.rng.below(options.len())].as_bytes().to_vec()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.weighted(&[4, 3, 2, 1, 2, 1]) {
            0 => (self.rng.below(200) as i64 - 50).to_string().into_bytes(),
            1 => self.pick(&[
                "",
                "a",
                "hello world",
                "007",
                " 1",
                "1 ",
                "+5",
                "-0",
                "9223372036854775807",
                "-9223372036854775808",
            ]),
            2 => self.word("float"),
            3 => (0..self.rng.between(100, 1200)).map(|at| b'a' + (at % 26) as u8).collect(),
            4 => (0..self.rng.between(1, 60)).map(|_| self.rng.next() as u8).collect(),
            _ => b"line\r\n$5\r\nline\r\n".to_vec(),
        }
    }

    /// A word that fits nowhere, and means the same at any time and no large allocation where it does fit.
    pub(crate) fn junk(&mut self) -> Vec<u8> {
        let kind = JUNK[self.rng.below(JUNK.len())];
        self.pick(kind)
    }

    /// Years ahead, and never the same twice: 10 000 minutes and more, in steps of a minute.
    fn ahead(&mut self, unit: u64) -> Vec<u8> {
        self.deadlines += 1;
        let minutes = 10_000 + self.deadlines * 7_919 % 1_000_003;
        match self.rng.below(12) {
            0 => self.junk(),
            _ => (minutes * 60 * unit).to_string().into_bytes(),
        }
    }

    fn deadline(&mut self, unit: u64) -> Vec<u8> {
        match self.rng.below(12) {
            0 => self.junk(),
            1 | 2 => b"1".to_vec(),
            _ => ((FAR_AHEAD_S + self.rng.between(0, 20)) * unit + self.rng.between(0, unit - 1))
                .to_string()
                .into_bytes(),
        }
    }
}

/// Words, and each of `( ) [ ] |` and `*(` alone.
fn tokens(pattern: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    for word in pattern.split_whitespace() {
        let mut rest = word;
        while let Some(at) = rest.find(['(', ')', '[', ']', '|', '*']) {
            let len = if rest[at..].starts_with("*(") { 2 } else { 1 };
            tokens.extend((at > 0).then(|| &rest[..at]));
            tokens.push(&rest[at..at + len]);
            rest = &rest[at + len..];
        }
        tokens.extend((!rest.is_empty()).then_some(rest));
    }
    tokens
}

/// Reads alternatives up to the end or a closing bracket, which stays.
fn alternatives<'p>(rest: &mut &[&'p str]) -> Vec<Vec<Node<'p>>> {
    let mut options = vec![Vec::new()];
    while let Some((token, after)) = rest.split_first() {
        if matches!(*token, ")" | "]") {
            break;
        }
        *rest = after;
        if *token == "|" {
            options.push(Vec::new());
            continue;
        }
        let bounds = match *token {
            "(" => Some((1, 1)),
            "[" => Some((0, 1)),
            "*(" => Some((0, 3)),
            _ => None,
        };
        let node = match (bounds, token.strip_prefix('<').and_then(|name| name.strip_suffix('>'))) {
            (Some((low, high)), _) => {
                let inner = alternatives(rest);
                *rest = rest.get(1..).expect("a closing bracket");
                Node::Some(low, high, inner)
            }
            (None, Some(name)) => Node::Drawn(name),
            (None, None) => Node::Word(token),
        };
        options.last_mut().unwrap().push(node);
    }
    options
}

#[test]
fn a_pattern_expands_to_its_words() {
    let mut words = Words::new(Rng::new(1, "test"), 2);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let line = words.expand("A [B|C D] (E|F)").join(b" ".as_slice());
        seen.insert(line.to_ascii_uppercase().escape_ascii().to_string());
    }
    let all = ["A B E", "A B F", "A C D E", "A C D F", "A E", "A F"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    let lens: std::collections::BTreeSet<usize> = (0..100).map(|_| words.expand("X *(Y <int>)").len()).collect();
    assert_eq!(lens.into_iter().collect::<Vec<_>>(), [1, 3, 5, 7]);
}
