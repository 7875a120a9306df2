//! The end: what was read is answered, then the process exits with 0, in bounded time; and a new one can start.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::support::conn::{Conn, command};
use crate::support::server::{Dir, Server, Setup, free_port, wait_until};

/// A pipeline that one read takes whole: less than the server's read buffer and than a loopback segment.
const COMMANDS: usize = 200;

#[test]
fn a_pipeline_that_was_read_is_answered_whole() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        for cores in [1, 2] {
            let mut server = Server::start(cores, &[]);
            let mut conn = server.connect();
            let pipeline: Vec<u8> = (0..COMMANDS)
                .flat_map(|key| command(&["SET", &format!("key:{key}"), "a value of some size"]))
                .collect();
            assert!(pipeline.len() < 15_000);
            conn.send(&pipeline);
            assert_eq!(conn.reply(), "+OK\r\n", "so it was read");
            server.signal(signal);
            let rest = String::from_utf8(conn.rest()).unwrap();
            assert_eq!(rest, "+OK\r\n".repeat(COMMANDS - 1), "{cores} cores");
            assert_eq!(server.wait().code(), Some(0), "{}", server.log());
            assert!(server.log().contains(&format!("signal {signal}")), "{}", server.log());
        }
    }
}

#[test]
fn long_work_that_was_begun_is_finished() {
    const KEYS: usize = 20_000;
    for cores in [1, 2] {
        let mut server = Server::start(cores, &["--max-memory", "1gb"]);
        let mut conn = server.connect();
        for from in (0..KEYS).step_by(1000) {
            let mut mset = vec!["MSET".to_owned()];
            mset.extend((from..from + 1000).flat_map(|key| [format!("key:{key:06}"), "v".to_owned()]));
            assert_eq!(conn.call(&mset), "+OK\r\n");
        }
        // A reply large enough to be sent ahead of the others shows that all were read.
        let first = "x".repeat(100_000);
        assert_eq!(conn.call(&["SET", "first", &first]), "+OK\r\n");
        let mut bytes = command(&["GET", "first"]);
        bytes.extend(command(&["KEYS", "key:*"]));
        bytes.extend(command(&["GET", "key:000007"]));
        conn.send(&bytes);
        assert_eq!(conn.reply().len(), first.len() + 11);
        server.signal(libc::SIGTERM);
        let keys = conn.reply();
        assert!(keys.starts_with(&format!("*{KEYS}\r\n")), "{}", &keys[..20]);
        assert_eq!(conn.reply(), "$1\r\nv\r\n");
        assert_eq!(conn.rest(), b"");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    }
}

#[test]
fn a_flood_that_was_read_in_part_ends_on_a_whole_reply() {
    for cores in [1, 2] {
        let mut server = Server::start(cores, &[]);
        let mut conns: Vec<_> = (0..8).map(|_| server.connect()).collect();
        let pipeline: Vec<u8> = (0..2000).flat_map(|key| command(&["SET", &format!("key:{key}"), "v"])).collect();
        for conn in &mut conns {
            conn.send(&pipeline);
        }
        server.signal(libc::SIGTERM);
        for conn in &mut conns {
            let replies = String::from_utf8(conn.rest()).unwrap();
            assert_eq!(replies, "+OK\r\n".repeat(replies.len() / 5));
        }
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    }
}

#[test]
fn clients_that_do_nothing_or_half_a_command_do_not_keep_it() {
    for cores in [1, 2] {
        let mut server = Setup::new(cores, &[]).unix().start();
        let mut idle: Vec<_> = (0..20).map(|_| server.connect()).collect();
        let mut half: Vec<_> = (0..20).map(|_| server.connect_unix()).collect();
        for conn in idle.iter_mut().chain(&mut half) {
            assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
        }
        for conn in &mut half {
            conn.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nha");
        }
        assert_eq!(server.stop().code(), Some(0), "{}", server.log());
        for conn in idle.iter_mut().chain(&mut half) {
            assert_eq!(conn.rest(), b"");
        }
    }
}

#[test]
fn a_client_that_does_not_read_delays_the_end_only_so_long() {
    let mut server = Server::start(1, &[]);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["SET", "big", &"v".repeat(1 << 20)]), "+OK\r\n");
    // More than sockets take in.
    conn.send(&command(&["GET", "big"]).repeat(100));
    assert_eq!(conn.bytes_until_end(1).len(), 1);
    assert_eq!(server.stop().code(), Some(0), "{}", server.log());
    assert!(server.log().contains("cut off"), "{}", server.log());
}

#[test]
fn the_port_is_free_for_the_next_server() {
    let port = free_port().to_string();
    for cores in [1, 2, 1] {
        let mut server = Server::start(cores, &["--port", &port]);
        let mut conns: Vec<_> = (0..10).map(|_| server.connect()).collect();
        for conn in &mut conns {
            assert_eq!(conn.call(&["GET", "left by the last"]), "$-1\r\n");
            assert_eq!(conn.call(&["SET", "left by the last", "v", "NX", "GET"]).get(..1), Some("$"));
            conn.call(&["DEL", "left by the last"]);
        }
        conns[0].call(&["SET", "left by the last", "v"]);
        assert_eq!(server.stop().code(), Some(0), "{}", server.log());
    }
}

#[test]
fn port_and_path_are_free_at_once_when_a_server_was_killed() {
    let (dir, port) = (Dir::new(), free_port().to_string());
    let path = dir.path().join("socket");
    for round in 0..20 {
        let flags = ["--port", &port, "--unixsocket", path.to_str().unwrap()];
        let mut server = Server::start(1, &flags);
        let mut conns: Vec<_> = (0..20).map(|_| server.connect()).collect();
        conns.push(Conn::unix(&path));
        for conn in &mut conns {
            assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
        }
        server.signal(if round % 4 == 0 { libc::SIGTERM } else { libc::SIGKILL });
        server.wait();
    }
}

/// A client that reads nothing of what it asked for: so many replies of a mebibyte.
fn unread(server: &Server, replies: usize) -> Conn {
    let mut conn = server.connect();
    conn.call(&["SET", "big", &"v".repeat(1 << 20)]);
    conn.send(&command(&["GET", "big"]).repeat(replies));
    assert_eq!(conn.bytes_until_end(1).len(), 1);
    conn
}

/// The deadline is one of the server's own time: a machine that was paused, or a clock that was set forward, cuts off nobody.
#[test]
fn a_server_that_was_stopped_during_its_end_still_answers() {
    const TIMEOUT_S: u64 = 4;
    let mut server = Server::start(1, &["--drain-timeout", &TIMEOUT_S.to_string()]);
    // More than sockets take in, and little enough to be read in time on a machine that does other things.
    let mut conn = unread(&server, 16);
    server.signal(libc::SIGTERM);
    server.wait_for_log("signal 15: finishing");
    server.signal(libc::SIGSTOP);
    // Nothing but time has to pass, for the clock of the machine.
    std::thread::sleep(Duration::from_secs(TIMEOUT_S) + Duration::from_millis(300));
    server.signal(libc::SIGCONT);
    let replies = conn.rest();
    assert!(replies.len() > 1 << 20 && replies.ends_with(b"v\r\n"), "{} bytes", replies.len());
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(!server.log().contains("cut off"), "{}", server.log());
}

#[test]
fn a_second_signal_waits_for_no_client() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    let flags = ["--drain-timeout", "3600", "--persist", "--data-dir", data.to_str().unwrap()];
    let mut server = Server::start(1, &flags);
    let _conn = unread(&server, 100);
    server.signal(libc::SIGTERM);
    server.wait_for_log("signal 15: finishing");
    server.signal(libc::SIGINT);
    assert_eq!(server.wait().code(), Some(0), "with the last snapshot: {}", server.log());
    assert!(server.log().contains("1 connections cut off"), "{}", server.log());
    assert!(data.join("dump.aspine").exists(), "{}", server.log());
}

/// The last snapshot takes hours here: who can't wait for it ends the process, and loses it.
#[test]
fn a_third_signal_waits_for_nothing() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let flags = ["--persist", "--data-dir", data, "--snapshot-bandwidth", "100", "--max-memory", "1gb"];
    let mut server = Server::start(1, &flags);
    let mut conn = server.connect();
    for key in 0..20 {
        assert_eq!(conn.call(&["SET", &format!("k{key}"), &"v".repeat(1 << 20)]), "+OK\r\n");
    }
    for said in ["signal 15: finishing", "signal 15: waiting for no client"] {
        server.signal(libc::SIGTERM);
        server.wait_for_log(said);
    }
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(1), "{}", server.log());
}

#[test]
fn a_timeout_of_nothing_waits_for_nobody() {
    let mut server = Server::start(1, &["--drain-timeout", "0"]);
    let _conn = unread(&server, 100);
    assert_eq!(server.stop().code(), Some(0), "{}", server.log());
    assert!(server.log().contains("1 connections cut off"), "{}", server.log());
}

/// A client that connects during a drain is refused at once.
#[test]
fn nobody_is_let_in_during_the_end() {
    let mut server = Setup::new(2, &["--drain-timeout", "3600"]).unix().start();
    let conn = unread(&server, 100);
    server.signal(libc::SIGTERM);
    wait_until("refusal", || TcpStream::connect(server.addr).is_err() && UnixStream::connect(server.unix()).is_err());
    drop(conn);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

#[test]
fn subscribers_are_let_go() {
    let mut server = Server::start(2, &["--drain-timeout", "3600"]);
    let mut conns: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for conn in &mut conns {
        assert!(conn.call(&["SUBSCRIBE", "news"]).starts_with("*3"));
    }
    assert_eq!(server.stop().code(), Some(0), "{}", server.log());
    for conn in &mut conns {
        assert_eq!(conn.rest(), b"");
    }
}

/// What was run is what was answered: the last snapshot holds the counters, and the clients hold the replies, although
/// they send more than is read, read late, and have little room, so that replies still wait in the server's kernel when it
/// ends. A reply that is lost with its connection, or a request that is run and not answered, makes them differ.
#[test]
fn under_load_every_request_that_was_run_was_answered() {
    const CLIENTS: usize = 12;
    const AT_ONCE: usize = 64;
    for cores in [1, 2] {
        let dir = Dir::new();
        let data = dir.path().join("data");
        let flags =
            ["--persist", "--data-dir", data.to_str().unwrap(), "--drain-timeout", "3600", "--max-memory", "1gb"];
        let mut server = Server::start(cores, &flags);
        assert_eq!(server.connect().call(&["SET", "text", &"t".repeat(1000)]), "+OK\r\n");
        let ready = Arc::new(Barrier::new(CLIENTS + 1));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (mut conn, ready) = (Conn::narrow(server.addr, 8 * 1024), Arc::clone(&ready));
                std::thread::spawn(move || {
                    let incr = command(&["INCR", &format!("client:{client}")]);
                    let round = [incr, command(&["GET", "text"])].concat().repeat(AT_ONCE);
                    for _ in 0..=client {
                        conn.send(&round);
                    }
                    conn.reply();
                    ready.wait();
                    let mut answered = 1;
                    while let Some(reply) = conn.try_reply() {
                        answered += usize::from(reply.starts_with(':'));
                        if reply.starts_with(':') && answered % AT_ONCE == 0 {
                            // Once the server has gone it can't; what it has answered is still to be read.
                            let _ = conn.try_send(&round);
                        }
                    }
                    answered
                })
            })
            .collect();
        ready.wait();
        server.signal(libc::SIGTERM);
        let answered: Vec<usize> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        assert!(!server.log().contains("cut off"), "{}", server.log());
        let again = Server::start(cores, &flags);
        let mut conn = again.connect();
        for (client, answered) in answered.iter().enumerate() {
            let run = conn.text(&["GET", &format!("client:{client}")]);
            assert_eq!(run, answered.to_string(), "client {client}, {cores} cores");
        }
    }
}

#[test]
fn shutdown_ends_the_server_without_a_reply() {
    for cores in [1, 2] {
        for words in [&["SHUTDOWN"][..], &["SHUTDOWN", "NOSAVE"], &["shutdown", "NOW", "FORCE"]] {
            let mut server = Server::start(cores, &[]);
            let mut other = server.connect();
            assert_eq!(other.call(&["SET", "k", "v"]), "+OK\r\n");
            let mut conn = server.connect();
            let mut bytes = command(&["GET", "k"]);
            bytes.extend(command(words));
            bytes.extend(command(&["GET", "k"]));
            conn.send(&bytes);
            assert_eq!(conn.rest(), b"$1\r\nv\r\n", "what came before is answered, {words:?}");
            assert_eq!(other.rest(), b"");
            assert_eq!(server.wait().code(), Some(0), "{}", server.log());
            assert!(server.log().contains("SHUTDOWN"), "{}", server.log());
        }
    }
}

#[test]
fn shutdown_says_whether_there_is_a_last_snapshot() {
    for (persist, words, saved) in [
        (false, &["SHUTDOWN"][..], false),
        (false, &["SHUTDOWN", "SAVE"], true),
        (true, &["SHUTDOWN"], true),
        (true, &["SHUTDOWN", "NOSAVE"], false),
    ] {
        let dir = Dir::new();
        let path = dir.path().to_str().unwrap();
        let mut flags = vec!["--data-dir", path];
        if persist {
            flags.push("--persist");
        }
        let mut server = Server::start(2, &flags);
        let mut conn = server.connect();
        assert_eq!(conn.call(&["SET", "k", "v"]), "+OK\r\n");
        conn.send(&command(words));
        assert_eq!(conn.rest(), b"");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        let files = std::fs::read_dir(dir.path()).unwrap().filter(|entry| {
            entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension != "lock"))
        });
        assert_eq!(files.count() > 0, saved, "{persist} {words:?}: {}", server.log());
    }
}
