//! Clients that don't read, vanish, stay idle or come in floods: bounded, cut off or refused, and nobody else notices.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use aspine::host::{Needs, raise_nofile};
use aspine::limits::{READ_BUFFER_BYTES, RING_BUFFERS};

use crate::support::conn::{Conn, bulk, command};
use crate::support::limits::{limit_nofile, limit_nofile_of};
use crate::support::server::{DEADLINE, Server, Setup, wait_until};

const MIB: u64 = 1024 * 1024;
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// The lines of CLIENT LIST of clients with this name.
fn listed(conn: &mut Conn, name: &str) -> Vec<String> {
    let list = conn.text(&["CLIENT", "LIST"]);
    list.lines().filter(|line| line.contains(&format!(" name={name} "))).map(str::to_owned).collect()
}

fn field(line: &str, name: &str) -> u64 {
    let value = line.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {line}")).parse().unwrap()
}

/// Whether a fresh connection is let in. Refused, it may be closed before it has sent anything.
fn is_served(mut conn: Conn) -> bool {
    conn.try_send(&command(&["PING"])).is_ok() && conn.bytes_until_end(7) == b"+PONG\r\n"
}

/// 100 MB of replies that nobody reads, of values of `len` bytes: they stay where they are until somebody does.
fn check_never_reads(cores: usize, len: usize) {
    let server = Server::start(cores, &["--max-memory", "1gb"]);
    let mut conn = server.connect();
    let value = "v".repeat(len);
    for key in 0..16 {
        assert_eq!(conn.call(&["SET", &format!("big:{key}"), &value]), "+OK\r\n");
    }
    let before = server.rss_bytes();
    let mut greedy = server.connect();
    assert_eq!(greedy.call(&["CLIENT", "SETNAME", "greedy"]), "+OK\r\n");
    let asked = 100_000_000 / len;
    let mut gets: Vec<u8> = Vec::new();
    for key in 0..asked {
        gets.extend(command(&["GET", &format!("big:{}", key % 16)]));
    }
    greedy.send(&gets);
    // Others are served, on whichever core, and see that it is bounded.
    for round in 0..300 {
        let key = format!("other:{round}");
        assert_eq!(conn.call(&["SET", &key, "v"]), "+OK\r\n");
        assert_eq!(conn.call(&["GET", &key]), "$1\r\nv\r\n");
        if round % 30 == 0 {
            let line = listed(&mut conn, "greedy").remove(0);
            let waiting = field(&line, "obl") + field(&line, "omem");
            assert!(waiting <= 4 * MIB + 2 * len as u64, "{line}");
        }
    }
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 32 * MIB, "{cores} cores: {grown} bytes more than before, for 100 MB that nobody reads");
    // Nothing was lost: when it does read, it gets everything.
    for _ in 0..asked {
        assert_eq!(greedy.reply_bytes().len(), value.len() + format!("${len}\r\n\r\n").len());
    }
    assert_eq!(greedy.call(&["PING"]), "+PONG\r\n");
}

#[test]
fn large_replies_that_nobody_reads_stay_bounded_on_one_core() {
    check_never_reads(1, 1_000_000);
}

#[test]
fn large_replies_that_nobody_reads_stay_bounded_on_two_cores() {
    check_never_reads(2, 1_000_000);
}

#[test]
fn small_replies_that_nobody_reads_stay_bounded() {
    for cores in [1, 2] {
        check_never_reads(cores, 2000);
    }
}

#[test]
fn clients_that_vanish_are_forgotten() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--max-memory", "1gb"]);
        let mut conn = server.connect();
        assert_eq!(conn.call(&["SET", "big", &"v".repeat(1_000_000)]), "+OK\r\n");
        for round in 0..60 {
            let mut victim = server.connect();
            match round % 4 {
                // In the middle of a command.
                0 => victim.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nbegin"),
                // With replies under way from both cores.
                1 => victim.send(&(0..500).flat_map(|k| command(&["GET", &k.to_string()])).collect::<Vec<_>>()),
                // With more replies than its socket takes.
                2 => victim.send(&command(&["GET", "big"]).repeat(20)),
                // With a command of all cores under way.
                _ => victim.send(&command(&["KEYS", "*"]).repeat(5)),
            }
            if round % 2 == 0 { victim.reset() } else { drop(victim) }
        }
        wait_until("the end of the victims", || conn.info_number("connected_clients") == 1);
        assert_eq!(conn.call(&["GET", "k"]), "$-1\r\n", "half a command is none");
        assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
    }
}

#[test]
fn a_client_that_sends_no_more_still_gets_all_replies() {
    for cores in [1, 2] {
        let server = Setup::new(cores, &["--max-memory", "1gb"]).unix().start();
        for mut conn in [server.connect(), server.connect_unix()] {
            let mut bytes: Vec<u8> = Vec::new();
            for key in 0..5000 {
                bytes.extend(command(&["SET", &format!("k{key}"), "v"]));
            }
            bytes.extend(command(&["DBSIZE"]));
            bytes.extend(b"*2\r\n$3\r\nGET\r\n$10\r\nhalf");
            conn.send(&bytes);
            conn.shut_write();
            let expected = format!("{}:5000\r\n", "+OK\r\n".repeat(5000));
            assert!(conn.rest() == expected.as_bytes(), "not every reply");
        }
    }
}

#[test]
fn a_client_that_sends_no_more_and_does_not_read_lets_the_core_sleep() {
    let server = Setup::new(1, &["--max-memory", "1gb"]).unix().start();
    for mut conn in [server.connect(), server.connect_unix()] {
        assert_eq!(conn.call(&["SET", "big", &"v".repeat(1_000_000)]), "+OK\r\n");
        conn.send(&command(&["GET", "big"]).repeat(30));
        conn.shut_write();
        let mut asleep = 0;
        wait_until("the server to be asleep twenty times in a row", || {
            asleep = if server.is_asleep() { asleep + 1 } else { 0 };
            asleep == 20
        });
        assert_eq!(conn.rest().len(), 30 * "$1000000\r\n\r\n".len() + 30_000_000);
    }
}

#[test]
fn a_client_that_vanishes_while_nothing_of_it_is_read_is_forgotten() {
    let server = Setup::new(1, &[]).unix().start();
    let mut admin = server.connect();
    assert_eq!(admin.call(&["CLIENT", "PAUSE", "100000", "WRITE"]), "+OK\r\n");
    let mut victims = [server.connect(), server.connect_unix()];
    for victim in &mut victims {
        victim.send(&command(&["SET", "k", "v"]));
    }
    wait_until("two clients to be held back", || admin.info_number("blocked_clients") == 2);
    for mut victim in victims {
        // What is sent now waits in the socket.
        victim.send(&command(&["SET", "k", "v"]));
        victim.reset();
    }
    wait_until("the end of the victims", || admin.info_number("connected_clients") == 1);
}

#[test]
fn idle_clients_are_closed_and_busy_ones_stay() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--timeout", "2"]);
        let mut busy = server.connect();
        let mut idle: Vec<_> = (0..10).map(|_| server.connect()).collect();
        wait_until("the end of the idle ones", || {
            assert_eq!(busy.call(&["PING"]), "+PONG\r\n");
            busy.info_number("connected_clients") == 1
        });
        for conn in &mut idle {
            assert_eq!(conn.rest(), b"");
        }
        assert_eq!(busy.info_number("clients_cut_off"), 10);
        server.wait_for_log("it was idle");
        // Set while it runs, it holds for those who are there and those who come.
        assert_eq!(busy.call(&["CONFIG", "SET", "timeout", "0"]), "+OK\r\n");
        let mut patient = server.connect();
        assert_eq!(busy.call(&["CONFIG", "SET", "timeout", "1"]), "+OK\r\n");
        assert_eq!(patient.rest(), b"");
    }
}

#[test]
fn more_clients_than_allowed_are_told_and_closed() {
    for cores in [1, 2] {
        let server = Setup::new(cores, &["--maxclients", "10"]).unix().start();
        let mut conns: Vec<_> = (0..10).map(|_| server.connect()).collect();
        for conn in &mut conns {
            assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
        }
        for mut refused in [server.connect(), server.connect_unix(), server.connect()] {
            assert_eq!(refused.rest(), TOO_MANY);
        }
        assert_eq!(conns[0].info_number("rejected_connections"), 3);
        conns.pop();
        wait_until("a place for one more", || is_served(server.connect()));
    }
}

/// Connections as many as this process may hold open, at most 20,000, and some left for other tests.
fn flood_size() -> usize {
    let plan = raise_nofile(Needs { cores: 1, maxclients: 30_000, admin: false }).unwrap();
    usize::try_from(plan.soft.saturating_sub(2000)).unwrap().min(20_000)
}

#[test]
fn twenty_thousand_connections_against_two_hundred_descriptors() {
    let count = flood_size();
    eprintln!("{count} connections");
    let mut setup = Setup::new(2, &["--maxclients", "10000"]);
    limit_nofile(&mut setup.cmd, 200);
    let server = setup.start();
    server.wait_for_log("maxclients lowered from 10000 to ");
    let mut conn = server.connect();
    let allowed = conn.info_number("maxclients");
    assert!(allowed < 200, "{allowed}");
    let more = conn.call(&["CONFIG", "SET", "maxclients", "10000"]);
    assert!(more.ends_with(&format!("clients, try with {allowed}\r\n")), "{more}");
    let mut flood = Vec::new();
    for number in 0..count as u64 {
        flood.push(TcpStream::connect_timeout(&server.addr, DEADLINE).unwrap());
        if number % 500 == 0 {
            // Who is in is served. And no more than the backlog holds come at once, or the kernel makes them wait.
            let caught_up = number.saturating_sub(allowed + 1500);
            wait_until("refusals", || conn.info_number("rejected_connections") >= caught_up);
        }
    }
    let refused = count as u64 + 1 - allowed;
    wait_until("all the others to be refused", || conn.info_number("rejected_connections") == refused);
    assert_eq!(conn.info_number("connected_clients"), allowed);
    let mut said = Vec::new();
    flood.last_mut().unwrap().read_to_end(&mut said).unwrap();
    assert_eq!(said, TOO_MANY);
    drop(flood);
    wait_until("the end of the flood", || conn.info_number("connected_clients") == 1);
    assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n", "there is room again");
}

#[test]
fn out_of_descriptors_some_wait_and_nobody_else_notices() {
    for cores in [1, 2] {
        let server = Setup::new(cores, &[]).unix().start();
        // Someone takes away what the server has promised its clients.
        limit_nofile_of(server.pid(), 200);
        let mut conn = server.connect();
        assert_eq!(conn.call(&["PING"]), "+PONG\r\n", "accepted before the flood");
        let mut flood: Vec<Conn> = (0..300).map(|_| server.connect()).collect();
        flood.extend((0..300).map(|_| server.connect_unix()));
        server.wait_for_log("cannot accept a connection");
        for round in 0..100 {
            assert_eq!(conn.call(&["SET", &format!("k{round}"), "v"]), "+OK\r\n");
        }
        drop(flood);
        wait_until("the end of the flood", || conn.info_number("connected_clients") == 1);
        // The dead that still wait in the backlog come first, and may take the last descriptors once more.
        wait_until("room by TCP", || is_served(server.connect()));
        wait_until("room by the Unix socket", || is_served(server.connect_unix()));
    }
}

#[test]
fn out_of_descriptors_the_log_is_not_flooded() {
    let server = Setup::new(2, &[]).unix().start();
    limit_nofile_of(server.pid(), 200);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["PING"]), "+PONG\r\n", "accepted before the flood");
    let began = Instant::now();
    let _flood: Vec<Conn> = (0..400).map(|_| server.connect_unix()).collect();
    wait_until("those without a descriptor to be told", || conn.info_number("rejected_connections") >= 200);
    let (lines, elapsed_ms) = (server.log().matches("cannot accept").count(), began.elapsed().as_millis() as usize);
    // Each of two cores tries again every 50 ms. Slower is allowed.
    assert!(lines <= 2 * (elapsed_ms / 50 + 2), "{lines} lines in {elapsed_ms} ms");
}

/// The timer of the server's socket to a connection, as the kernel lists it, and the jiffies until it goes off.
fn timer(server: SocketAddr, client: SocketAddr) -> (String, u64) {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let end = |addr: SocketAddr| format!(":{:04X}", addr.port());
    let of_server = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[1].ends_with(&end(server)) && words[2].ends_with(&end(client))
    };
    let line = sockets.lines().skip(1).find(of_server).unwrap_or_else(|| panic!("{client} in {sockets}"));
    let (kind, jiffies) = line.split_whitespace().nth(5).unwrap().split_once(':').unwrap();
    (kind.to_owned(), u64::from_str_radix(jiffies, 16).unwrap())
}

#[test]
fn a_silent_peer_is_asked_whether_it_is_there() {
    const KEEPALIVE: &str = "02";
    const JIFFIES_PER_S: u64 = 100;
    let connect = |server: &Server| {
        let mut conn = server.connect();
        let info = conn.text(&["CLIENT", "INFO"]);
        let addr: Option<&str> = info.split(' ').find_map(|word| word.strip_prefix("addr="));
        (addr.unwrap().parse::<SocketAddr>().unwrap(), conn)
    };
    for (flags, seconds) in [(&[][..], 300), (&["--tcp-keepalive", "7"], 7)] {
        let server = Server::start(1, flags);
        let (addr, mut conn) = connect(&server);
        assert!(conn.call(&["CONFIG", "GET", "tcp-keepalive"]).contains(&format!("\r\n{seconds}\r\n")));
        // While a reply has no acknowledgement, the timer is that of the transmission.
        wait_until("keepalive", || timer(server.addr, addr).0 == KEEPALIVE);
        let left = timer(server.addr, addr).1;
        assert!(left <= seconds * JIFFIES_PER_S && left + 60 * JIFFIES_PER_S > seconds * JIFFIES_PER_S, "{left}");
        // CONFIG SET is for those who come.
        assert_eq!(conn.call(&["CONFIG", "SET", "tcp-keepalive", "0"]), "+OK\r\n");
        let (unwatched, _conn) = connect(&server);
        wait_until("no timer", || timer(server.addr, unwatched).0 == "00");
        assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
        wait_until("keepalive goes on", || timer(server.addr, addr).0 == KEEPALIVE);
    }
}

/// Writes a whole pipeline before it reads a byte.
#[track_caller]
fn written_before_read(conn: &mut Conn, requests: &[u8], replies: usize, reply: &str) {
    conn.send(requests);
    for at in 0..replies {
        assert!(conn.reply() == reply, "reply {at} of {replies}");
    }
}

#[test]
fn who_writes_everything_before_it_reads_gets_all_replies() {
    for cores in [1, 2] {
        let server = Setup::new(cores, &["--max-memory", "1gb"]).unix().start();
        let value = "x".repeat(1024);
        let get = command(&["GET", "k"]);
        let mut conn = server.connect();
        assert_eq!(conn.call(&["SET", "k", &value]), "+OK\r\n");
        written_before_read(&mut server.connect_unix(), &get.repeat(9_000), 9_000, &bulk(&value));
        written_before_read(&mut conn, &get.repeat(20_000), 20_000, &bulk(&value));
        // A long reply, and behind it a long request.
        let long = "y".repeat(8 << 20);
        assert_eq!(conn.call(&["SET", "a", &long]), "+OK\r\n");
        for conn in [&mut conn, &mut server.connect_unix()] {
            conn.send(&[command(&["GET", "a"]), command(&["SET", "b", &long]), get.clone()].concat());
            assert!(conn.reply() == bulk(&long), "not what was set");
            assert_eq!(conn.reply(), "+OK\r\n");
            assert_eq!(conn.reply(), bulk(&value));
        }
        assert_eq!(conn.call(&["STRLEN", "b"]), format!(":{}\r\n", 8 << 20));
    }
}

#[test]
fn requests_that_wait_for_a_reader_cost_their_bytes() {
    const REQUESTS: usize = 150_000;
    let server = Server::start(1, &["--max-memory", "1gb"]);
    let mut watcher = server.connect();
    // More than the buffers of the kernel take.
    let value = "x".repeat(48 << 20);
    assert_eq!(watcher.call(&["SET", "k", &value]), "+OK\r\n");
    let mut conn = server.connect();
    assert_eq!(conn.call(&["CLIENT", "SETNAME", "writer"]), "+OK\r\n");
    let waiting = |watcher: &mut Conn| -> usize {
        let line = listed(watcher, "writer").remove(0);
        line.split(' ').find_map(|word| word.strip_prefix("qbuf=")).unwrap().parse().unwrap()
    };
    conn.send(&command(&["GET", "k"]));
    wait_until("the reply that nobody reads", || listed(&mut watcher, "writer")[0].contains(" cmd=get "));
    assert_eq!(waiting(&mut watcher), 0);
    // The core's buffers are there once for all clients: used to their ends before they are counted.
    let ping = command(&["PING"]);
    let pings = 2 * RING_BUFFERS * READ_BUFFER_BYTES / ping.len();
    let mut other = server.connect();
    other.send(&ping.repeat(pings));
    (0..pings).for_each(|_| assert_eq!(other.reply(), "+PONG\r\n"));
    let before = server.rss_bytes();
    let set = command(&["SET", "another", "value"]);
    conn.send(&set.repeat(REQUESTS));
    let bytes = set.len() * REQUESTS;
    wait_until("all requests", || waiting(&mut watcher) == bytes);
    assert_eq!(watcher.call(&["EXISTS", "another"]), ":0\r\n", "they are not run");
    let grown = server.rss_bytes().saturating_sub(before) as usize;
    assert!(grown <= bytes + bytes / 10, "{grown} bytes for requests of {bytes}");
    assert!(conn.reply() == bulk(&value), "not what was set");
    for _ in 0..REQUESTS {
        assert_eq!(conn.reply(), "+OK\r\n");
    }
    assert_eq!(waiting(&mut watcher), 0);
}
