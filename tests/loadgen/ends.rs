//! Runs that end otherwise than planned: each with one line, none with a hang.

use std::net::TcpListener;

use crate::bench::{command, count, run, start};
use crate::fake::{Action, Fake};
use crate::support::server::wait_until;
use crate::support::signal;

/// Does `action` at the `number`th GET.
fn at(number: u64, action: fn() -> Action) -> Fake {
    Fake::scripted(move |request| if request.is("GET") && request.number == number { action() } else { Action::Serve })
}

const GETS: [&str; 3] = ["--ratio", "1:0", "--json"];

#[test]
fn a_server_that_is_not_there_is_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    run(addr, &[]).check_ended(3, &["cannot connect to", &addr.to_string(), "refused"]);
    start(command(&["--unixsocket", "/nowhere"])).end().check_ended(3, &["cannot connect to /nowhere"]);
    start(command(&["--target", "no.such.host.invalid:1"])).end().check_failed(&["no.such.host.invalid"]);
}

#[test]
fn a_server_that_closes_at_once_is_one_line() {
    let fake = Fake::scripted(|_| Action::Close);
    run(fake.addr, &[]).check_failed(&["closed by the server"]);
}

#[test]
fn a_server_that_never_answers_is_one_line() {
    let fake = Fake::scripted(|_| Action::Stall);
    run(fake.addr, &["--timeout", "0.2"]).check_failed(&["no answer within 0.2 s"]);
}

#[test]
fn a_connection_that_is_closed_fails_what_was_under_way() {
    let fake = at(100, || Action::Close);
    let flags = ["--requests", "2000", "--connections", "4", "--pipeline", "8"];
    let ended = run(fake.addr, &[&GETS[..], &flags].concat());
    ended.check_failed(&["closed by the server"]);
    let report = ended.json();
    let lost = count(&report, "/unanswered");
    assert!((1..=8).contains(&lost), "{report}");
    assert_eq!(count(&report, "/errors"), lost);
    assert_eq!(count(&report, "/connections_lost"), 1);
    assert_eq!(count(&report, "/operations") + lost, 2000, "the others go on");
}

#[test]
fn a_server_that_closes_everything_ends_the_run() {
    let fake =
        Fake::scripted(|request| if request.is("GET") && request.number >= 50 { Action::Close } else { Action::Serve });
    let ended = run(fake.addr, &[&GETS[..], &["--duration", "50", "--warmup", "0", "--connections", "5"]].concat());
    ended.check_failed(&["closed by the server"]);
    assert_eq!(count(&ended.json(), "/connections_lost"), 5);
    assert_eq!(count(&ended.json(), "/operations"), 50);
}

#[test]
fn a_stall_for_ever_ends_by_the_timeout() {
    for pace in [&[][..], &["--rate", "1000"]] {
        for length in [&["--requests", "1000"][..], &["--duration", "0.5", "--warmup", "0"]] {
            let fake = at(10, || Action::Stall);
            let flags = [&GETS[..], pace, length, &["--connections", "1", "--timeout", "0.3"]].concat();
            let ended = run(fake.addr, &flags);
            ended.check_failed(&["no reply within 0.3 s"]);
            let report = ended.json();
            assert_eq!((count(&report, "/operations"), count(&report, "/unanswered")), (10, 1), "{report}");
        }
    }
}

#[test]
fn a_preload_that_fails_is_no_run() {
    let fake = Fake::scripted(|request| {
        if request.is("SET") && request.number > 20 { Action::Say(b"-OOM full\r\n".to_vec()) } else { Action::Serve }
    });
    let ended = run(fake.addr, &["--preload", "--keys", "100"]);
    ended.check_failed(&["preload", "OOM full"]);
    assert_eq!(ended.stdout, "");
}

#[test]
fn ctrl_c_prints_what_was_seen() {
    for stalled in [false, true] {
        let fake = if stalled { at(200, || Action::Stall) } else { Fake::honest() };
        let addr = fake.addr.to_string();
        let flags = ["--target", &addr, "--duration", "600", "--warmup", "0", "--connections", "1"];
        let running = start(command(&[&flags[..], &GETS].concat()));
        wait_until("the first operations", || fake.seen("GET") > 200);
        signal::send(&running.child, libc::SIGINT);
        let ended = running.end();
        ended.check_failed(&["interrupted"]);
        let report = ended.json();
        assert!(count(&report, "/operations") >= 200, "{report}");
        assert_eq!(report["interrupted"], true);
    }
}

#[test]
fn an_interrupted_open_loop_blames_nobody() {
    for stalled in [false, true] {
        let fake = if stalled { at(200, || Action::Stall) } else { Fake::honest() };
        let addr = fake.addr.to_string();
        let flags = ["--target", &addr, "--duration", "10min", "--warmup", "0", "--connections", "4", "--rate", "1000"];
        let running = start(command(&[&flags[..], &GETS].concat()));
        wait_until("the first operations", || fake.seen("GET") > 200);
        signal::send(&running.child, libc::SIGINT);
        let ended = running.end();
        ended.check_failed(&["interrupted"]);
        let report = ended.json();
        assert_eq!(count(&report, "/connections_lost"), 0, "{report}");
        // One connection waits for its reply; the others have room for all that was due.
        assert_eq!(count(&report, "/unanswered"), u64::from(stalled), "{report}");
        assert!(count(&report, "/unsent") <= 50, "of some 1,000 that were due while it ended: {report}");
    }
}
