//! Bytes that are no requests: answered with Redis's error, that connection closed, nobody else disturbed.

use crate::support::conn::{Conn, bulk, command};
use crate::support::server::{Server, wait_until};

const MIB: u64 = 1024 * 1024;

/// A xorshift step.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A client that must not notice what others do.
struct Bystander {
    conn: Conn,
    number: u32,
}

impl Bystander {
    fn new(server: &Server) -> Bystander {
        Bystander { conn: server.connect(), number: 0 }
    }

    /// The server still serves, whichever core has the key.
    #[track_caller]
    fn check(&mut self) {
        for key in 0..8 {
            self.number += 1;
            let (key, value) = (format!("bystander:{key}"), self.number.to_string());
            assert_eq!(self.conn.call(&["SET", &key, &value]), "+OK\r\n");
            assert_eq!(self.conn.call(&["GET", &key]), bulk(&value));
        }
    }
}

#[test]
fn each_malformed_request_gets_its_error_and_ends_its_connection() {
    for cores in [1, 2] {
        let server = Server::start(cores, &[]);
        let mut bystander = Bystander::new(&server);
        let long = [b"*1\r\n$".as_slice(), &[b'1'; 70_000]].concat();
        let long_inline = vec![b'a'; 70_000];
        let cases: [(&[u8], &str); 13] = [
            (b"*x\r\n", "invalid multibulk length"),
            (b"*1048577\r\n", "invalid multibulk length"),
            (b"*2147483648\r\n", "invalid multibulk length"),
            (b"*99999999999999999999999\r\n", "invalid multibulk length"),
            (b"*2\r\n$3\r\nGET\r\n$-1\r\n", "invalid bulk length"),
            (b"*2\r\n$3\r\nGET\r\n$-9223372036854775808\r\n", "invalid bulk length"),
            (b"*2\r\n$3\r\nGET\r\n$536870913\r\n", "invalid bulk length"),
            (b"*2\r\n$3\r\nGET\r\n$99999999999999999999999\r\n", "invalid bulk length"),
            (b"*2\r\n$3\r\nGET\r\n:1\r\n", "expected '$', got ':'"),
            (b"*1\r\n\xff\r\n", "expected '$', got '\u{fffd}'"),
            (b"GET \"k\r\n", "unbalanced quotes in request"),
            (&long, "too big bulk count string"),
            (&long_inline, "too big inline request"),
        ];
        for (bytes, error) in cases {
            let mut conn = server.connect();
            // What comes before is answered; what comes behind is not.
            conn.send(&command(&["PING"]));
            assert_eq!(conn.reply(), "+PONG\r\n");
            // It may be closed before all is sent.
            let _ = conn.try_send(bytes);
            let _ = conn.try_send(&command(&["SET", "behind", "v"]));
            let said = conn.rest();
            let expected = format!("-ERR Protocol error: {error}\r\n");
            assert_eq!(String::from_utf8_lossy(&said), expected, "{}", bytes[..bytes.len().min(60)].escape_ascii());
            bystander.check();
        }
        let mut conn = server.connect();
        assert_eq!(conn.info_number("protocol_errors"), 13);
        assert_eq!(conn.call(&["EXISTS", "behind"]), ":0\r\n");
    }
}

#[test]
fn garbage_disturbs_nobody() {
    let server = Server::start(2, &[]);
    let mut bystander = Bystander::new(&server);
    let mut random = 42;
    for round in 0..200 {
        let mut conn = server.connect();
        let len = next_random(&mut random) as usize % 5000;
        let mut bytes: Vec<u8> = (0..len).map(|_| next_random(&mut random) as u8).collect();
        // Half of it begins as a request does, and goes deeper into the parser.
        if round % 2 == 0 {
            bytes.splice(..0, *b"*3\r\n$3\r\nSET\r\n");
        }
        // The server may have closed it already.
        let _ = conn.try_send(&bytes);
        conn.shut_write();
        // Errors or nothing, and then the end.
        conn.rest();
        if round % 20 == 0 {
            bystander.check();
        }
    }
    bystander.check();
    let mut conn = server.connect();
    wait_until("the end of all garbage", || conn.info_number("connected_clients") == 2);
}

#[test]
fn a_half_command_left_open_is_listed_and_holds_nobody_up() {
    for cores in [1, 2] {
        let server = Server::start(cores, &[]);
        let mut bystander = Bystander::new(&server);
        let mut half: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
        for conn in &mut half {
            assert_eq!(conn.call(&["CLIENT", "SETNAME", "half"]), "+OK\r\n");
            conn.send(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1000\r\nbeginning");
        }
        let mut conn = server.connect();
        wait_until("CLIENT LIST with all halves", || {
            let list = conn.text(&["CLIENT", "LIST"]);
            list.lines().filter(|line| line.contains(" name=half ") && !line.contains(" qbuf=0 ")).count() == 20
        });
        bystander.check();
        assert_eq!(conn.call(&["EXISTS", "half"]), ":0\r\n");
        // They can still be finished.
        for conn in &mut half {
            conn.send(&[b'x'; 991]);
            conn.send(b"\r\n");
            assert_eq!(conn.reply(), "+OK\r\n");
        }
        assert_eq!(conn.number(&["EXISTS", "half"]), 1);
    }
}

#[test]
fn announced_sizes_cost_nothing_until_they_arrive() {
    let server = Server::start(2, &[]);
    let mut bystander = Bystander::new(&server);
    bystander.check();
    let before = server.rss_bytes();
    let mut liars: Vec<Conn> = (0..100).map(|_| server.connect()).collect();
    for (number, conn) in liars.iter_mut().enumerate() {
        // 512 MiB each, or a million arguments each.
        if number % 2 == 0 {
            conn.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nbeginning");
        } else {
            conn.send(b"*1048576\r\n$4\r\nMSET\r\n$1\r\nk\r\n$1\r\nv\r\n");
        }
    }
    let mut conn = server.connect();
    wait_until("CLIENT LIST with all liars", || {
        conn.text(&["CLIENT", "LIST"]).lines().filter(|line| !line.contains(" qbuf=0 ")).count() >= 100
    });
    bystander.check();
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 100 * MIB, "{grown} bytes for 100 announcements");
}

#[test]
fn a_large_value_arrives_whole_in_small_pieces() {
    const LEN: usize = 32 << 20;
    let server = Server::start(2, &["--max-memory", "1gb"]);
    let mut conn = server.connect();
    let value: Vec<u8> = (0..LEN).map(|at| (at % 251) as u8).collect();
    // One of these keys belongs to each core.
    for key in ["a", "b", "c"] {
        conn.send(format!("*3\r\n$3\r\nSET\r\n$1\r\n{key}\r\n${LEN}\r\n").as_bytes());
        for piece in value.chunks(50_000) {
            conn.send(piece);
        }
        conn.send(b"\r\n");
        assert_eq!(conn.reply(), "+OK\r\n");
        conn.send(&command(&["GET", key]));
        let reply = conn.reply_bytes();
        let head = format!("${LEN}\r\n").len();
        assert!(reply[head..head + LEN] == value[..], "{key}: not the value that was set");
    }
}

#[test]
fn many_arguments_are_taken_up_to_the_limit() {
    let server = Server::start(2, &["--max-memory", "1gb"]);
    let mut conn = server.connect();
    let mut args = vec!["MSET".to_owned()];
    args.extend((0..200_000).map(|number| format!("k{}", number / 2)));
    assert_eq!(conn.call(&args), "+OK\r\n");
    assert_eq!(conn.number(&["DBSIZE"]), 100_000);
    args.truncate(1);
    args.extend((0..100_000).map(|number| format!("k{number}")));
    args[0] = "DEL".to_owned();
    assert_eq!(conn.number(&args), 100_000);
}

#[test]
fn a_browser_is_cut_off_before_what_it_was_made_to_send() {
    let page = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET pwned 1\r\n".as_bytes();
    let head = "GET / HTTP/1.1\r\nhOST: 127.0.0.1\r\nSET pwned 1\r\n".as_bytes();
    let array = [command(&["pOsT"]), command(&["SET", "pwned", "1"])].concat();
    let queued = [command(&["MULTI"]), command(&["SET", "pwned", "1"]), command(&["HOST:", "x"])].concat();
    let queued = [queued, command(&["EXEC"])].concat();
    let muted = [command(&["CLIENT", "REPLY", "OFF"]), page.to_vec()].concat();
    for flags in [&[][..], &["--authkey", "secret"]] {
        let server = Server::start(2, flags);
        let authenticate = |mut conn: Conn| {
            if !flags.is_empty() {
                assert_eq!(conn.call(&["AUTH", "secret"]), "+OK\r\n");
            }
            conn
        };
        let cases: [(&[u8], &str); 5] = [
            (page, ""),
            (head, "-ERR wrong number of arguments for 'get' command\r\n"),
            (&array, ""),
            (&queued, "+OK\r\n+QUEUED\r\n"),
            (&muted, ""),
        ];
        for (bytes, said_before) in cases {
            let mut conn = authenticate(server.connect());
            conn.send(bytes);
            assert_eq!(String::from_utf8_lossy(&conn.rest()), said_before, "{}", bytes.escape_ascii());
        }
        // Nobody need have shown a key.
        let mut stranger = server.connect();
        stranger.send(page);
        assert_eq!(String::from_utf8_lossy(&stranger.rest()), "");
        let mut conn = authenticate(server.connect());
        assert_eq!(conn.call(&["EXISTS", "pwned"]), ":0\r\n");
        assert_eq!(conn.info_number("http_refused"), 6);
        server.wait_for_log("it sent POST or Host:");
    }
}
