//! Glob patterns that are long to compare: others are served meanwhile. Order and counts, no times.

use crate::support::conn::{Conn, bulk, command};
use crate::support::server::{Server, Setup};

/// Pings of a bystander that are answered before the worker has heard of its work so many times. Returns what it heard.
#[track_caller]
fn pings_meanwhile(server: &Server, worker: &mut Conn, work: &[u8], replies: usize) -> (usize, Vec<String>) {
    let mut bystander = server.connect();
    assert_eq!(bystander.call(&["PING"]), "+PONG\r\n");
    worker.send(work);
    let (mut pings, mut heard) = (0, Vec::new());
    while heard.len() < replies {
        while !worker.has_heard() {
            assert_eq!(bystander.call(&["PING"]), "+PONG\r\n");
            pings += 1;
        }
        heard.push(worker.reply());
    }
    (pings, heard)
}

/// Patterns that took seconds each on a key of 60,000 letters, or would in another way of matching.
fn long_patterns() -> Vec<Vec<u8>> {
    let letters: Vec<u8> = (0..40_000u32).map(|at| b'b' + (at % 25) as u8).collect();
    vec![
        [b"*[", &letters[..], b"]"].concat(),
        [b"*[", &letters[..], b"]*"].concat(),
        [b"*", &b"?".repeat(4_000)[..], b"b"].concat(),
        [b"*", &b"a*".repeat(4_000)[..], b"b*"].concat(),
        [b"*", &b"[ab]".repeat(4_000)[..], b"c*"].concat(),
        [b"*", &b"a".repeat(4_000)[..], b"b*"].concat(),
    ]
}

/// A server with so many keys of 60,000 letters.
fn of_long_keys(keys: usize) -> (Server, Conn) {
    let server = Server::start(1, &["--max-memory", "1gb"]);
    let mut conn = server.connect();
    for at in 0..keys {
        assert_eq!(conn.call(&["SET", &format!("{}{at}z", "a".repeat(60_000)), "v"]), "+OK\r\n");
    }
    (server, conn)
}

#[test]
fn keys_with_a_long_pattern_lets_others_by() {
    let (server, mut worker) = of_long_keys(40);
    let work: Vec<u8> = long_patterns().iter().flat_map(|pattern| command(&[b"KEYS", &pattern[..]])).collect();
    let (pings, heard) = pings_meanwhile(&server, &mut worker, &work, 6);
    assert_eq!(heard[0].lines().next(), Some("*40"), "those that end with one of 25 letters");
    assert_eq!(heard[1].lines().next(), Some("*40"));
    assert!(heard[2..].iter().all(|reply| reply == "*0\r\n"));
    assert!(pings >= 10, "{pings} pings, each between two slices of 240 keys");
}

#[test]
fn a_scan_with_a_long_pattern_gives_its_cursor_soon() {
    const KEYS: usize = 40;
    let (server, mut worker) = of_long_keys(KEYS);
    // The last two are compared for as long as may be on each key.
    for pattern in long_patterns().drain(4..) {
        let (mut cursor, mut calls) = ("0".to_owned(), 0);
        loop {
            let args: [&[u8]; 6] = [b"SCAN", cursor.as_bytes(), b"MATCH", &pattern, b"COUNT", b"1000"];
            let reply = worker.call(&args);
            assert!(reply.ends_with("*0\r\n"), "{reply}");
            calls += 1;
            reply.lines().nth(2).unwrap().clone_into(&mut cursor);
            if cursor == "0" {
                break;
            }
        }
        assert!(calls >= KEYS / 2, "{calls} calls, for keys of which two are more than a slice");
        // A pipeline of them is run over as many turns.
        let args: [&[u8]; 4] = [b"SCAN", b"0", b"MATCH", &pattern];
        let (pings, _) = pings_meanwhile(&server, &mut worker, &command(&args).repeat(50), 50);
        assert!(pings >= 10, "{pings} pings while 50 SCANs are run");
    }
}

#[test]
fn messages_that_are_compared_with_long_patterns_let_others_by() {
    let server = Setup::new(1, &["--max-memory", "1gb"]).start();
    let (mut listener, mut worker) = (server.connect(), server.connect());
    // Many of each, which say the same, since a message is compared with all.
    for at in 0..10 {
        for pattern in long_patterns() {
            let pattern = [b"*".repeat(at), pattern].concat();
            assert!(listener.call(&[b"PSUBSCRIBE", &pattern[..]]).starts_with("*3\r\n$10\r\npsubscribe\r\n"));
        }
    }
    assert!(listener.call(&["PSUBSCRIBE", "*aaZ"]).starts_with("*3\r\n"));
    let channel = format!("{}Z", "a".repeat(60_000));
    let work = command(&["PUBLISH", &channel, "text"]).repeat(60);
    let (pings, heard) = pings_meanwhile(&server, &mut worker, &work, 60);
    assert!(heard.iter().all(|reply| reply == ":1\r\n"));
    assert!(pings >= 10, "{pings} pings while 60 messages are published");
    let message = format!("*4\r\n{}{}{}{}", bulk("pmessage"), bulk("*aaZ"), bulk(&channel), bulk("text"));
    for _ in 0..60 {
        assert!(listener.reply() == message, "not the message");
    }
}

#[test]
fn channels_that_are_compared_with_a_long_pattern_let_others_by() {
    const CHANNELS: usize = 60_000;
    let server = Setup::new(2, &["--max-memory", "1gb"]).start();
    let (mut listener, mut worker) = (server.connect(), server.connect());
    for (verb, kind) in [("SUBSCRIBE", "CHANNELS"), ("SSUBSCRIBE", "SHARDCHANNELS")] {
        for from in (0..CHANNELS).step_by(1_000) {
            let names = (from..from + 1_000).map(|at| format!("{}:{at}", "a".repeat(100)));
            let words: Vec<String> = std::iter::once(verb.to_owned()).chain(names).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            listener.send(&command(&words));
            (0..1_000).for_each(|_| assert!(listener.reply().starts_with("*3\r\n")));
        }
        let long = format!("*{}b*", "a".repeat(90));
        let work = command(&["PUBSUB", kind, &long]).repeat(4);
        let (pings, heard) = pings_meanwhile(&server, &mut worker, &work, 4);
        assert!(heard.iter().all(|reply| reply == "*0\r\n"));
        assert!(pings >= 40, "{pings} pings while {CHANNELS} names are compared 4 times");
        let all = worker.call(&["PUBSUB", kind]);
        assert_eq!(all.lines().next(), Some("*60000"));
        let few = worker.call(&["PUBSUB", kind, "*:5999?"]);
        assert_eq!(few.lines().next(), Some("*10"));
    }
}

#[test]
fn config_get_of_very_many_patterns_is_refused() {
    let server = Server::start(1, &[]);
    let mut conn = server.connect();
    let of = |count: usize| {
        let mut words = vec!["CONFIG", "GET", "port"];
        words.resize(2 + count, "*[a-z]*none");
        words
    };
    assert_eq!(conn.call(&of(256)).lines().next(), Some("*2"));
    assert_eq!(conn.call(&of(257)), "-ERR too many patterns: CONFIG GET takes 256 at most\r\n");
}
