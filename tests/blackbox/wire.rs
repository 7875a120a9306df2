//! The table of wire cases against the real binary: 1 and 2 cores, RESP2 and RESP3, whole and a byte at a time.
//!
//! Cuts at each single byte are run on the pure engine (`tests/simulation/wire.rs`); here bytes pass through sockets.

use crate::cases::{self, AUTH_KEY, Case};
use crate::support::conn::Conn;
use crate::support::server::Server;

/// Longer inputs than this arrive in pieces of more than a byte, so that a case takes no more writes.
const PIECES_MAX: usize = 512;

/// Back to the empty server with the default settings that every case begins on.
fn renew(server: &Server) {
    let mut conn = server.connect();
    assert_eq!(conn.call(&["FLUSHALL"]), "+OK\r\n");
    let defaults = "CONFIG SET maxclients 10000 timeout 0 max-size 1000 maxmemory 0 maxmemory-policy allkeys-lru \
                    slowlog-log-slower-than -1\r\n";
    conn.send(defaults.as_bytes());
    assert_eq!(conn.reply(), "+OK\r\n");
    assert_eq!(conn.call(&["SLOWLOG", "RESET"]), "+OK\r\n");
}

/// Plays a case, and says what went wrong.
fn play(mut conn: Conn, case: &Case, resp3: bool, pieces: usize) -> Result<(), String> {
    if resp3 {
        conn.call(&["HELLO", "3"]);
    }
    for piece in case.input.chunks(case.input.len().div_ceil(pieces).max(1)) {
        if conn.try_send(piece).is_err() {
            // Closed before it had read everything; what it said is still there.
            break;
        }
    }
    let expected = if resp3 { case.resp3.unwrap_or(case.resp2) } else { case.resp2 };
    let mut output = Vec::new();
    if !case.closes {
        output = conn.bytes_until_end(expected.len());
        let went_on = output.len() == expected.len() && conn.has_heard();
        conn.shut_write();
        if went_on {
            output.extend(conn.rest());
            return Err(format!("more came, or it was closed: {}", output.escape_ascii()));
        }
    }
    output.extend(conn.rest());
    if output != expected {
        return Err(format!("\n  got      {}\n  expected {}", output.escape_ascii(), expected.escape_ascii()));
    }
    Ok(())
}

fn check_all(cores: usize, cut: bool) {
    let open = Server::start(cores, &["--maxclients", "10000", "--enable-debug-command", "yes"]);
    let cluster = Server::start(cores, &["--core-ports", "0", "--maxclients", "10000"]);
    let key = str::from_utf8(AUTH_KEY).unwrap();
    let mut failures = Vec::new();
    for case in cases::all() {
        // Wrong keys are remembered, so a case with a key has a server of its own.
        let closed = case.auth.then(|| Server::start(cores, &["--authkey", key]));
        for resp3 in [false, true] {
            if resp3 && case.auth {
                continue;
            }
            let shared = if case.cluster { &cluster } else { &open };
            if !case.auth {
                renew(shared);
            }
            let conn = closed.as_ref().unwrap_or(shared).connect();
            let pieces = if cut { case.input.len().clamp(1, PIECES_MAX) } else { 1 };
            if let Err(error) = play(conn, case, resp3, pieces) {
                failures.push(format!("{:?} with {cores} cores, resp3 {resp3}, {pieces} pieces: {error}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn whole_on_one_core() {
    check_all(1, false);
}

#[test]
fn whole_on_two_cores() {
    check_all(2, false);
}

#[test]
fn a_byte_at_a_time_on_one_core() {
    check_all(1, true);
}

#[test]
fn a_byte_at_a_time_on_two_cores() {
    check_all(2, true);
}
