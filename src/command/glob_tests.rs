//! Tests of glob patterns: what redis-server 7.0.15 answered, a naive recursive model, and no blow-up.

use proptest::prelude::*;

use super::*;

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    Pattern::new(pattern).matches(text)
}

/// Keys that were stored in redis-server 7.0.15.
#[rustfmt::skip]
const KEYS: &[&[u8]] = &[
    b"", b"a", b"b", b"c", b"d", b"ab", b"abc", b"axbxc", b"*", b"\\", b"]", b"[", b"^", b"!",
    b"-", b"ax", b"bx", b"a\\", b"[a", b"[]", b"a]", b"\xff", b"\x80", b"\x90", b"\x01", b"~",
    b"abc]", b"a-c]", b"?", b"?a", b"aa", b"e", b"z*",
];

/// Patterns, and which of `KEYS` its KEYS answered; but a lone `*` without the empty key, which KEYS adds by itself.
#[rustfmt::skip]
const ANSWERS: &[(&[u8], &[&[u8]])] = &[
    (b"*", &[b"a", b"b", b"c", b"d", b"ab", b"abc", b"axbxc", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"ax",
        b"bx", b"a\\", b"[a", b"[]", b"a]", b"\xff", b"\x80", b"\x90", b"\x01", b"~", b"abc]", b"a-c]", b"?",
        b"?a", b"aa", b"e", b"z*"]),
    (b"**", &[b"a", b"b", b"c", b"d", b"ab", b"abc", b"axbxc", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"ax",
        b"bx", b"a\\", b"[a", b"[]", b"a]", b"\xff", b"\x80", b"\x90", b"\x01", b"~", b"abc]", b"a-c]", b"?",
        b"?a", b"aa", b"e", b"z*"]),
    (b"a*", &[b"a", b"ab", b"abc", b"axbxc", b"ax", b"a\\", b"a]", b"abc]", b"a-c]", b"aa"]),
    (b"*a", &[b"a", b"[a", b"?a", b"aa"]),
    (b"a*b*c", &[b"abc", b"axbxc"]),
    (b"?", &[b"a", b"b", b"c", b"d", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"\xff", b"\x80", b"\x90", b"\x01",
        b"~", b"?", b"e"]),
    (b"??", &[b"ab", b"ax", b"bx", b"a\\", b"[a", b"[]", b"a]", b"?a", b"aa", b"z*"]),
    (b"[abc]", &[b"a", b"b", b"c"]),
    (b"[^a]", &[b"b", b"c", b"d", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"\xff", b"\x80", b"\x90", b"\x01",
        b"~", b"?", b"e"]),
    (b"[^", &[b"a", b"b", b"c", b"d", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"\xff", b"\x80", b"\x90",
        b"\x01", b"~", b"?", b"e"]),
    (b"[", &[]),
    (b"[a", &[b"a"]),
    (b"[a-", &[b"a", b"-"]),
    (b"[a-]", &[b"a", b"]", b"^"]),
    (b"[a-c]x", &[b"ax", b"bx"]),
    (b"[c-a]", &[b"a", b"b", b"c"]),
    (b"\\", &[b"\\"]),
    (b"\\*", &[b"*"]),
    (b"a\\", &[b"a\\"]),
    (b"[\\]]", &[b"]"]),
    (b"[\\", &[b"\\"]),
    (b"[]", &[]),
    (b"[]]", &[]),
    (b"[^]", &[b"a", b"b", b"c", b"d", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"\xff", b"\x80", b"\x90",
        b"\x01", b"~", b"?", b"e"]),
    (b"[^]]", &[b"[]", b"a]"]),
    (b"[!a]", &[b"a", b"!"]),
    (b"[a-\xff]", &[b"a", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"\xff", b"\x01", b"?"]),
    (b"[\x80-\xff]", &[b"\xff", b"\x80", b"\x90"]),
    (b"[\x01-\x90]", &[b"\xff", b"\x90", b"\x01"]),
    (b"a[b-]c]", &[b"ab", b"a]", b"aa"]),
    (b"*[a-c]", &[b"a", b"b", b"c", b"ab", b"abc", b"axbxc", b"[a", b"?a", b"aa"]),
    (b"*\\*", &[b"*", b"z*"]),
    (b"[^a-c]*", &[b"d", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"[a", b"[]", b"\xff", b"\x80", b"\x90",
        b"\x01", b"~", b"?", b"?a", b"e", b"z*"]),
    (b"[--a]", &[b"a", b"\\", b"]", b"[", b"^", b"-", b"?"]),
    (b"[a\\-c]", &[b"a", b"c", b"-"]),
    (b"[\\a-c]", &[b"a", b"c", b"-"]),
    (b"", &[b""]),
    (b"*?", &[b"a", b"b", b"c", b"d", b"ab", b"abc", b"axbxc", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"ax",
        b"bx", b"a\\", b"[a", b"[]", b"a]", b"\xff", b"\x80", b"\x90", b"\x01", b"~", b"abc]", b"a-c]", b"?",
        b"?a", b"aa", b"e", b"z*"]),
    (b"?*", &[b"a", b"b", b"c", b"d", b"ab", b"abc", b"axbxc", b"*", b"\\", b"]", b"[", b"^", b"!", b"-", b"ax",
        b"bx", b"a\\", b"[a", b"[]", b"a]", b"\xff", b"\x80", b"\x90", b"\x01", b"~", b"abc]", b"a-c]", b"?",
        b"?a", b"aa", b"e", b"z*"]),
    (b"a**", &[b"a", b"ab", b"abc", b"axbxc", b"ax", b"a\\", b"a]", b"abc]", b"a-c]", b"aa"]),
    (b"***a***", &[b"a", b"ab", b"abc", b"axbxc", b"ax", b"a\\", b"[a", b"a]", b"abc]", b"a-c]", b"?a", b"aa"]),
    (b"[a-c-e]", &[b"a", b"b", b"c", b"-", b"e"]),
    (b"[^^]", &[b"a", b"b", b"c", b"d", b"*", b"\\", b"]", b"[", b"!", b"-", b"\xff", b"\x80", b"\x90", b"\x01",
        b"~", b"?", b"e"]),
    (b"[*]", &[b"*"]),
    (b"[?]a", &[b"?a"]),
    (b"*[", &[]),
];

#[test]
fn answers_as_redis() {
    for (pattern, expected) in ANSWERS {
        let found: Vec<_> = KEYS.iter().copied().filter(|key| matches(pattern, key)).collect();
        assert_eq!(found, *expected, "{}", pattern.escape_ascii());
    }
}

/// KEYS and SCAN never ask about a lone `*`; PUBLISH does, and `PSUBSCRIBE *` does not hear an empty channel.
#[test]
fn the_empty_string() {
    assert!(matches(b"", b"") && matches(b"*", b"x") && !matches(b"", b"x"));
    assert!(!matches(b"*", b"") && !matches(b"**", b"") && !matches(b"?", b"") && !matches(b"[", b""));
}

#[test]
fn many_stars_do_not_blow_up() {
    let text = vec![b'a'; 20_000];
    assert!(!matches(&[b"a*".repeat(200), b"b".to_vec()].concat(), &text));
    assert!(!matches(&[b"*a".repeat(200), b"b".to_vec()].concat(), &text));
    assert!(matches(&b"*a".repeat(2_000), &text));
    assert!(!matches(&b"[a-".repeat(5_000), &text));
    assert!(matches(&b"*".repeat(100_000), &text));
}

/// What took seconds: steps, not time.
#[test]
fn no_pattern_costs_more_than_its_bound() {
    let steps = |pattern: &[u8], text: &[u8]| Pattern::new(pattern).within(text, GLOB_STEPS_MAX).steps;
    let letters: Vec<u8> = (0..40_000u32).map(|at| b'a' + (at % 25) as u8).collect();
    let class = [b"*[", &letters[..], b"]"].concat();
    let text = vec![b'z'; 60_000];
    assert_eq!(steps(&class, &text), 2, "a class at the end is looked at once");
    let inside = [b"*[", &letters[..], b"]*"].concat();
    assert_eq!(steps(&inside, &text), 60_001, "and elsewhere once for each byte");
    let distant = [b"*".to_vec(), vec![b'?'; 4_000], b"b".to_vec()].concat();
    assert!(steps(&distant, &text) <= 4_002);
    let distant = [b"*".to_vec(), vec![b'?'; 4_000], b"b*".to_vec()].concat();
    assert!(steps(&distant, &text) <= 60_000 / GLOB_STEP_SKIPPED_BYTES as u64 + 2);
    let [classes, worst] = [b"[ab]".repeat(4_000), vec![b'a'; 60_000]];
    let classes = [b"*", &classes[..], b"c*"].concat();
    assert!(steps(&classes, &worst) <= GLOB_STEPS_MAX + 4_001);
    // The word that is last in the longest key is found.
    let mut key = vec![b'x'; crate::limits::KEY_BYTES_MAX];
    key.splice(key.len() - 5.., *b"wordy");
    assert!(matches(b"*word*", &key));
    assert!(matches(&vec![b'k'; GLOB_PATTERN_BYTES_MAX], &vec![b'k'; GLOB_PATTERN_BYTES_MAX]));
    let too_long = vec![b'*'; GLOB_PATTERN_BYTES_MAX + 1];
    assert!(!matches(&too_long, b"k") && matches(&too_long[1..], b"k"));
}

#[test]
fn classes_are_counted_unless_they_say_the_same() {
    let pairs: Vec<u8> = (0..=255).flat_map(|at| [b'[', b'a' + at % 25, b'z', b']']).collect();
    let text: Vec<u8> = (0..=255).map(|at| b'a' + at % 25).collect();
    assert_eq!(text.len(), GLOB_CLASSES_MAX);
    assert!(matches(&pairs, &text));
    let [one_more, last] = [[&pairs[..], b"[xy]"].concat(), [&text[..], b"x"].concat()];
    assert!(!matches(&one_more, &last), "too many");
    assert!(matches(&b"[ab]".repeat(1_000), &b"ab".repeat(500)), "one and the same");
    assert!(matches(&b"[a]".repeat(1_000), &b"a".repeat(1_000)), "a byte each");
    assert!(matches(&b"[^]".repeat(1_000), &b"a".repeat(1_000)), "any byte each");
}

/// Redis's `stringmatchlen` without its shortcut, as plainly as possible; -1 stands for reading past the end.
fn model(mut p: &[u8], mut s: &[u8]) -> bool {
    let at = |p: &[u8], i: usize| p.get(i).map_or(-1, |&byte| i32::from(byte));
    while !p.is_empty() && !s.is_empty() {
        match p[0] {
            b'*' => {
                while at(p, 1) == i32::from(b'*') {
                    p = &p[1..];
                }
                return p.len() == 1 || (0..s.len()).any(|skip| model(&p[1..], &s[skip..]));
            }
            b'?' => p = &p[1..],
            b'[' => {
                p = &p[1..];
                let not = at(p, 0) == i32::from(b'^');
                if not {
                    p = &p[1..];
                }
                let mut found = false;
                loop {
                    if p.len() >= 2 && p[0] == b'\\' {
                        found |= p[1] == s[0];
                        p = &p[2..];
                    } else if p.is_empty() {
                        break;
                    } else if p[0] == b']' {
                        p = &p[1..];
                        break;
                    } else if p.len() >= 3 && p[1] == b'-' {
                        let (a, b, c) = (p[0] as i8, p[2] as i8, s[0] as i8);
                        found |= if a > b { (b..=a).contains(&c) } else { (a..=b).contains(&c) };
                        p = &p[3..];
                    } else {
                        found |= p[0] == s[0];
                        p = &p[1..];
                    }
                }
                if found == not {
                    return false;
                }
            }
            _ => {
                if p[0] == b'\\' && p.len() >= 2 {
                    p = &p[1..];
                }
                if p[0] != s[0] {
                    return false;
                }
                p = &p[1..];
            }
        }
        s = &s[1..];
        if s.is_empty() {
            while at(p, 0) == i32::from(b'*') {
                p = &p[1..];
            }
            break;
        }
    }
    p.is_empty() && s.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(
        pattern in prop::collection::vec(prop::sample::select(b"aabbc**?[]^-\\\x00\x80\xff".to_vec()), 0..10),
        text in prop::collection::vec(prop::sample::select(b"aaabbbc]-^\\\x00\x80\xff".to_vec()), 0..10),
    ) {
        prop_assert_eq!(matches(&pattern, &text), model(&pattern, &text));
    }
    /// However long pattern and text are and whatever they say: no more steps than the product of their lengths, nor than
    /// the bound and one look at the pattern.
    #[test]
    fn steps_are_bounded(
        pattern in prop::collection::vec((prop::sample::select(b"ab*?[]^-\\c".to_vec()), 1..40usize), 0..12),
        text in prop::collection::vec((prop::sample::select(b"abc".to_vec()), 1..400usize), 0..6),
        steps_max in 1..3_000u64,
    ) {
        let spread = |runs: &[(u8, usize)]| runs.iter().flat_map(|(byte, count)| vec![*byte; *count]).collect::<Vec<u8>>();
        let (pattern, text) = (spread(&pattern), spread(&text));
        let compiled = Pattern::new(&pattern);
        let (m, n) = (pattern.len() as u64 + 1, text.len() as u64 + 1);
        let Matched { matches, steps } = compiled.within(&text, steps_max);
        prop_assert!(steps <= steps_max + m, "{steps} steps");
        let whole = compiled.within(&text, u64::MAX);
        prop_assert!(whole.steps <= m * n + m, "{} steps for {m} x {n}", whole.steps);
        prop_assert!(whole.matches || !matches, "what is given up does not match");
    }
}
