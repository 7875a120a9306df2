//! The auth key: nothing without it, guessing is slow, the right key is never kept waiting.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::conn::command;
use crate::support::server::{Dir, Server, Setup, wait_until};

const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";

/// The key opens `server`, and nothing else does.
#[track_caller]
fn check_key(server: &Server, key: &str) {
    let mut conn = server.connect();
    assert_eq!(conn.call(&["GET", "k"]), NOAUTH);
    assert_eq!(conn.call(&["AUTH", &format!("{key}x")]), WRONGPASS);
    assert_eq!(conn.call(&["GET", "k"]), NOAUTH);
    assert_eq!(conn.call(&["AUTH", key]), "+OK\r\n");
    assert_eq!(conn.call(&["GET", "k"]), "$-1\r\n");
}

#[test]
fn the_key_comes_by_flag_variable_or_file() {
    check_key(&Server::start(1, &["--authkey", "by flag"]), "by flag");
    let mut setup = Setup::new(1, &[]);
    setup.cmd.env("ASPINE_AUTHKEY", "by variable");
    check_key(&setup.start(), "by variable");
    let dir = Dir::new();
    let path = dir.path().join("key");
    fs::write(&path, "by file\nsecond line\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::start(2, &["--authkey-file", path.to_str().unwrap()]);
    check_key(&server, "by file");
    assert!(!server.log().contains("by file"), "the log never shows the key");
}

#[test]
fn flag_and_file_override_the_variable() {
    let mut setup = Setup::new(1, &["--authkey", "flag"]);
    setup.cmd.env("ASPINE_AUTHKEY", "variable");
    check_key(&setup.start(), "flag");
}

#[test]
fn a_key_file_that_everyone_may_read_is_warned_of() {
    let dir = Dir::new();
    let path = dir.path().join("key");
    fs::write(&path, "secret").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let server = Server::start(1, &["--authkey-file", path.to_str().unwrap()]);
    server.wait_for_log("chmod o-rwx");
}

#[test]
fn pipelined_commands_before_auth_are_each_refused_and_not_run() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--authkey", "k"]);
        let mut conn = server.connect();
        let mut bytes = Vec::new();
        bytes.extend(command(&["SET", "a", "1"]));
        bytes.extend(command(&["GET", "a"]));
        bytes.extend(command(&["MSET", "a", "1", "b", "2"]));
        bytes.extend(command(&["FLUSHALL"]));
        bytes.extend(command(&["CLIENT", "LIST"]));
        bytes.extend(command(&["CONFIG", "GET", "*"]));
        bytes.extend(command(&["AUTH", "default", "k"]));
        bytes.extend(command(&["MGET", "a", "b"]));
        conn.send(&bytes);
        for _ in 0..6 {
            assert_eq!(conn.reply(), NOAUTH);
        }
        assert_eq!(conn.reply(), "+OK\r\n");
        assert_eq!(conn.reply(), "*2\r\n$-1\r\n$-1\r\n");
    }
}

#[test]
fn hello_authenticates_too() {
    let server = Server::start(1, &["--authkey", "k"]);
    let mut conn = server.connect();
    assert!(conn.call(&["HELLO", "3"]).starts_with("-NOAUTH HELLO must be called"));
    assert_eq!(conn.call(&["HELLO", "3", "AUTH", "default", "wrong"]), WRONGPASS);
    assert_eq!(conn.call(&["HELLO", "3", "AUTH", "somebody", "k"]), WRONGPASS);
    assert!(conn.call(&["HELLO", "3", "AUTH", "default", "k"]).starts_with("%7\r\n"));
    assert_eq!(conn.call(&["GET", "absent"]), "_\r\n");
}

#[test]
fn strangers_can_announce_little() {
    let server = Server::start(1, &["--authkey", "k"]);
    for (bytes, error) in [
        (&b"*11\r\n"[..], "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        (b"*2\r\n$3\r\nGET\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
    ] {
        let mut conn = server.connect();
        conn.send(bytes);
        assert_eq!(String::from_utf8(conn.rest()).unwrap(), error);
    }
}

#[test]
fn guesses_are_delayed_while_the_right_key_opens_at_once() {
    const GUESSES: usize = 16;
    let server = Server::start(1, &["--authkey", "k"]);
    let mut honest = server.connect();
    assert_eq!(honest.call(&["AUTH", "k"]), "+OK\r\n");
    let mut guesser = server.connect();
    guesser.send(&command(&["AUTH", "guess"]).repeat(GUESSES));
    assert_eq!((guesser.reply(), guesser.reply()), (WRONGPASS.to_owned(), WRONGPASS.to_owned()), "two at once");
    wait_until("the first delayed refusal", || honest.info_number("acl_access_denied_auth") >= 3);
    // From here on the guesser has seconds to wait; whoever has the key has not, on a new connection as on an old one.
    let mut other = server.connect();
    assert_eq!(other.call(&["AUTH", "k"]), "+OK\r\n");
    assert_eq!(other.call(&["PING"]), "+PONG\r\n");
    let refused = other.info_number("acl_access_denied_auth");
    assert!(refused < GUESSES as u64, "{refused} refusals: they were not delayed");
}

#[test]
fn without_a_key_auth_is_an_error_and_everyone_is_in() {
    let server = Server::start(1, &[]);
    let mut conn = server.connect();
    assert!(conn.call(&["AUTH", "k"]).starts_with("-ERR AUTH <password> called without any password configured"));
    assert_eq!(conn.call(&["AUTH", "default", "anything"]), "+OK\r\n");
    assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
}
