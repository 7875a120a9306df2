//! Random patterns over random names: which of them KEYS and SCAN find, and PSUBSCRIBE hears, beside redis-server.

use crate::reply::Reply;
use crate::rng::Rng;
use crate::servers::{Aspine, Link, Redis};
use crate::{number, seed};

/// What patterns and names are made of: everything that means something, letters that meet often, bytes of both signs.
const PIECES: [&[u8]; 22] = [
    b"a", b"b", b"c", b"ab", b"aaa", b"*", b"*", b"**", b"?", b"[", b"]", b"[^", b"^", b"-", b"\\", b"[a-c]", b"[^a]",
    b"[b-", b"\x00", b"\x7f", b"\x80", b"\xff",
];

/// So few that most names and patterns have something in common.
fn drawn(rng: &mut Rng, pieces_max: usize) -> Vec<u8> {
    // Some are of plain letters, so that long matches occur.
    let end = if rng.one_in(2) { 8 } else { PIECES.len() };
    (0..rng.below(pieces_max + 1)).flat_map(|_| PIECES[rng.below(end)]).copied().collect()
}

/// Letters alone: a name that patterns of stars and letters match.
fn name(rng: &mut Rng) -> Vec<u8> {
    if rng.one_in(3) {
        return drawn(rng, 6);
    }
    (0..rng.below(40)).map(|_| b"aaabbc"[rng.below(6)]).collect()
}

fn call(link: &mut Link, words: &[&[u8]]) -> Reply {
    link.call(&words.iter().map(|word| word.to_vec()).collect::<Vec<_>>()).unwrap()
}

fn sorted(elements: &[Reply]) -> Vec<Reply> {
    let mut elements = elements.to_vec();
    elements.sort();
    elements
}

/// All that a SCAN finds from its first cursor to its last.
fn scan(link: &mut Link, pattern: &[u8]) -> Vec<Reply> {
    let (mut found, mut cursor) = (Vec::new(), b"0".to_vec());
    loop {
        let reply = call(link, &[b"SCAN", &cursor, b"MATCH", pattern, b"COUNT", b"100"]);
        let [next, names] = reply.elements() else { panic!("{reply:?}") };
        found.extend_from_slice(names.elements());
        next.as_text().unwrap().clone_into(&mut cursor);
        if cursor == b"0" {
            return sorted(&found);
        }
    }
}

#[test]
fn patterns_match_what_they_match_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let patterns = number("ASPINE_DIFFERENTIAL_PATTERNS", 3_000);
    for cores in [1, 2] {
        let server = Aspine::start(cores);
        let mut rng = Rng::new(seed(), "globs");
        let mut links = [redis.address(), server.address()].map(|address| Link::open(&address).unwrap());
        let mut listeners = [redis.address(), server.address()].map(|address| Link::open(&address).unwrap());
        let names: Vec<Vec<u8>> = (0..150).map(|_| name(&mut rng)).collect();
        for link in &mut links {
            call(link, &[b"FLUSHALL"]);
            names.iter().for_each(|name| assert!(call(link, &[b"SET", name, b"v"]).is_status(b"OK")));
        }
        let mut matched = 0;
        for at in 0..patterns {
            let pattern = drawn(&mut rng, 9);
            let shown = || format!("{} on {cores} cores, ASPINE_DIFFERENTIAL_SEED={}", pattern.escape_ascii(), seed());
            let [expected, found] = links.each_mut().map(|link| sorted(call(link, &[b"KEYS", &pattern]).elements()));
            assert_eq!(found, expected, "KEYS {}", shown());
            matched += usize::from(!found.is_empty() && found.len() < names.len());
            if at % 8 == 0 {
                assert_eq!(scan(&mut links[1], &pattern), scan(&mut links[0], &pattern), "SCAN MATCH {}", shown());
                // Who is told of a message: the one listener, if its pattern matches.
                listeners.iter_mut().for_each(|link| drop(call(link, &[b"PSUBSCRIBE", &pattern])));
                for name in names.iter().take(20) {
                    let [expected, told] = links.each_mut().map(|link| call(link, &[b"PUBLISH", name, b"text"]));
                    assert_eq!(told, expected, "PSUBSCRIBE {} and PUBLISH {}", shown(), name.escape_ascii());
                    if told == Reply::number(1) {
                        let [expected, heard] = listeners.each_mut().map(|link| link.receive().unwrap());
                        assert_eq!(heard, expected, "PSUBSCRIBE {}", shown());
                    }
                }
                listeners.iter_mut().for_each(|link| drop(call(link, &[b"PUNSUBSCRIBE", &pattern])));
            }
        }
        assert!(matched as u64 > patterns / 10, "{matched} of {patterns} patterns say yes to some and no to others");
    }
}
