//! Replies that are not what they should be.

use crate::bench::{count, report, run};
use crate::fake::{Action, Fake, Speech};

/// Answers every tenth GET with `bytes`.
fn tenth(bytes: &'static [u8]) -> Fake {
    Fake::scripted(move |request| {
        if request.is("GET") && request.number % 10 == 9 { Action::Say(bytes.to_vec()) } else { Action::Serve }
    })
}

const GETS: [&str; 8] = ["--ratio", "1:0", "--requests", "500", "--keys", "50", "--value-size", "16"];

#[test]
fn a_value_of_another_key_fails_the_run() {
    let lie = b"$16\r\nnot what was set\r\n";
    let ended = run(tenth(lie).addr, &[&GETS[..], &["--preload", "--verify", "--json"]].concat());
    ended.check_failed(&["50 of 500 operations failed", "a value that is not the key's"]);
    let report = ended.json();
    assert_eq!((count(&report, "/verify_failures"), count(&report, "/errors")), (50, 50));
    assert_eq!(count(&report, "/kinds/get/errors"), 50);
    // Nobody asked.
    let report = self::report(tenth(lie).addr, &[&GETS[..], &["--preload"]].concat());
    assert_eq!((count(&report, "/verify_failures"), count(&report, "/hits")), (0, 500));
}

#[test]
fn replies_that_change_places_are_found() {
    // Two GETs under way at once, answered in the other order: each with a right value, of another key.
    let kept = std::sync::Mutex::new(Vec::new());
    let fake = Fake::scripted(move |request| match request.number {
        98 if request.is("GET") => {
            kept.lock().unwrap().push(request.words[1].clone());
            Action::Say(Vec::new())
        }
        99 if request.is("GET") => {
            let first = kept.lock().unwrap().pop().unwrap();
            Action::SayValues(vec![request.words[1].clone(), first])
        }
        _ => Action::Serve,
    });
    let flags = ["--preload", "--connections", "1", "--pipeline", "2", "--json"];
    let keys = ["--ratio", "1:0", "--requests", "500", "--keys", "5000", "--value-size", "16"];
    let ended = run(fake.addr, &[&flags[..], &keys, &["--verify"]].concat());
    ended.check_failed(&["2 of 500 operations failed", "a value that is not the key's"]);
    assert_eq!(count(&ended.json(), "/verify_failures"), 2);
}

#[test]
fn a_reply_that_is_left_out_is_found() {
    // Of four under way at once the second is not answered: those of the others come a place too early, and at last one
    // is waited for that never comes.
    let fake =
        Fake::scripted(
            |request| {
                if request.is("GET") && request.number == 97 { Action::Say(Vec::new()) } else { Action::Serve }
            },
        );
    let flags = ["--preload", "--connections", "1", "--pipeline", "4", "--timeout", "0.3", "--json", "--verify"];
    let keys = ["--ratio", "1:0", "--requests", "500", "--keys", "5000", "--value-size", "16"];
    let ended = run(fake.addr, &[&flags[..], &keys].concat());
    ended.check_failed(&["operations failed", "a value that is not the key's"]);
    let report = ended.json();
    assert_eq!((count(&report, "/operations"), count(&report, "/unanswered")), (99, 1), "{report}");
    assert_eq!((count(&report, "/verify_failures"), count(&report, "/connections_lost")), (2, 1), "{report}");
}

#[test]
fn a_lie_within_mget_is_found() {
    let fake = Fake::scripted(|request| {
        if request.is("MGET") { Action::Say(b"*2\r\n$-1\r\n$3\r\nlie\r\n".to_vec()) } else { Action::Serve }
    });
    let ended = run(fake.addr, &["--mix", "mget:2=1", "--requests", "10", "--verify", "--json"]);
    ended.check_failed(&["10 of 10"]);
    assert_eq!((count(&ended.json(), "/hits"), count(&ended.json(), "/misses")), (10, 10));
}

#[test]
fn too_few_values_are_found_always() {
    let fake = Fake::scripted(
        |request| {
            if request.is("MGET") { Action::Say(b"*1\r\n$-1\r\n".to_vec()) } else { Action::Serve }
        },
    );
    run(fake.addr, &["--mix", "mget:2=1", "--requests", "10"]).check_failed(&["10 of 10", "a reply of another type"]);
}

#[test]
fn a_server_that_forgets_fails_where_nothing_may_be_missing() {
    let forgets = tenth(b"$-1\r\n");
    let ended = run(forgets.addr, &[&GETS[..], &["--preload", "--verify=hits", "--json"]].concat());
    ended.check_failed(&["50 of 500", "no value where there must be one"]);
    assert_eq!((count(&ended.json(), "/misses"), count(&ended.json(), "/verify_failures")), (50, 50));
    let report = report(tenth(b"$-1\r\n").addr, &[&GETS[..], &["--preload", "--verify"]].concat());
    assert_eq!(count(&report, "/misses"), 50);
    run(forgets.addr, &[&GETS[..], &["--verify=hits"]].concat()).check_failed(&["not all keys are preloaded"]);
}

#[test]
fn errors_are_counted_and_quoted() {
    for (said, quoted) in [
        (&b"-OOM command not allowed\r\n"[..], "OOM command not allowed"),
        (b"+OK\r\n", "a reply of another type"),
        (b":1\r\n", "a reply of another type"),
        (b"*2\r\n:1\r\n:2\r\n", "a reply of another type"),
    ] {
        let ended = run(tenth(said).addr, &[&GETS[..], &["--json"]].concat());
        ended.check_failed(&["50 of 500", quoted]);
        let report = ended.json();
        assert_eq!((count(&report, "/errors"), count(&report, "/operations")), (50, 500));
        assert!(report["first_error"].as_str().unwrap().contains(quoted));
    }
}

#[test]
fn garbage_ends_the_connection_and_never_the_generator() {
    for said in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\0\0\0\0",
        b"$x\r\n",
        b"$3\r\nabcde",
        b"$99999999999999\r\n",
        b"*-5\r\n",
        b"+OK\r\n+and more\r\n+than asked\r\n",
    ] {
        let ended = run(tenth(said).addr, &[&GETS[..], &["--connections", "3", "--json"]].concat());
        assert_eq!(ended.code, Some(1), "{}", said.escape_ascii());
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        let report = ended.json();
        assert!(count(&report, "/connections_lost") > 0, "{}: {report}", said.escape_ascii());
    }
}

#[test]
fn who_speaks_something_else_is_no_target() {
    let http = |_: &crate::fake::Request<'_>| Action::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    run(Fake::scripted(http).addr, &[]).check_failed(&["does not speak the Redis protocol", "HTTP/1.1 400"]);
    let flags = ["--protocol", "memcached"];
    run(Fake::new(Speech::Memcached, http).addr, &flags).check_failed(&["does not speak memcached's", "HTTP/1.1 400"]);
    let loading = |_: &crate::fake::Request<'_>| Action::Say(b"-LOADING Redis is loading\r\n".to_vec());
    run(Fake::scripted(loading).addr, &[]).check_failed(&["LOADING Redis is loading"]);
    let closed = |_: &crate::fake::Request<'_>| Action::Say(b"-NOAUTH Authentication required.\r\n".to_vec());
    run(Fake::scripted(closed).addr, &[]).check_failed(&["wants a key", "--authkey-file"]);
}

#[test]
fn memcacheds_lies_errors_and_garbage_are_found() {
    let gets = ["--protocol", "memcached", "--ratio", "1:0", "--requests", "100", "--verify", "--json"];
    for (said, words) in [
        (&b"SERVER_ERROR out of memory\r\n"[..], "SERVER_ERROR out of memory"),
        (b"STORED\r\n", "a reply of another type"),
        (b"VALUE key:999999999999 0 1\r\nx\r\nEND\r\n", "a reply of another type"),
        (b"VALUE x\r\nEND\r\n", "malformed reply"),
        (b"VALUE key:000000000000 0 99999999999\r\n", "malformed reply"),
        (b"what\r\n", "malformed reply"),
        (b"END\n", "malformed reply"),
    ] {
        let fake =
            Fake::new(
                Speech::Memcached,
                move |request| {
                    if request.is("get") { Action::Say(said.to_vec()) } else { Action::Serve }
                },
            );
        run(fake.addr, &gets).check_failed(&[words]);
    }
    // The right key with the wrong value.
    let fake = Fake::new(Speech::Memcached, |request| {
        let key = String::from_utf8_lossy(request.words.last().unwrap()).into_owned();
        let lie = format!("VALUE {key} 0 64\r\n{}\r\nEND\r\n", "x".repeat(64)).into_bytes();
        if request.is("get") { Action::Say(lie) } else { Action::Serve }
    });
    let ended = run(fake.addr, &gets);
    ended.check_failed(&["100 of 100", "not the key's"]);
    assert_eq!(count(&ended.json(), "/verify_failures"), 100);
}
