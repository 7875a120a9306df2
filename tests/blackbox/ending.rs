//! The end: what was read is answered, then the process exits with 0, in bounded time; and a new one can start.

use crate::support::conn::command;
use crate::support::server::{Server, Setup, free_port};

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
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(1, &[]);
    let mut conn = server.connect();
    conn.call(&["SET", "big", &"v".repeat(1 << 20)]);
    conn.send(&command(&["GET", "big"]).repeat(100));
    assert_eq!(conn.bytes_until_end(1).len(), 1);
    server.signal(libc::SIGTERM);
    server.wait_for_log("signal 15");
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(1));
}
