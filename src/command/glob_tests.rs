//! Tests of glob patterns: what redis-server 7.0.15 answered, a naive recursive model, and no blow-up.

use proptest::prelude::*;

use super::*;

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
}
