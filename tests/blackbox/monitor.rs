//! MONITOR: what watchers see of clients of all cores, in order, and what a watcher costs that does not read.

use std::net::SocketAddr;

use crate::support::conn::{Conn, bulk, command};
use crate::support::server::{Server, Setup, cores};

/// The next line that a watcher is shown, without its time.
fn line(watcher: &mut Conn) -> String {
    let line = watcher.reply();
    let (time, rest) = line.split_once(" [").expect("a time");
    assert!(time.starts_with('+') && time.split_once('.').is_some_and(|(_, micros)| micros.len() == 6), "{line}");
    format!("[{}", rest.trim_end())
}

/// The words of a line.
fn words(line: &str) -> &str {
    line.split_once("] ").expect("a peer").1
}

fn watch(mut conn: Conn) -> Conn {
    assert_eq!(conn.call(&["MONITOR"]), "+OK\r\n");
    conn
}

#[test]
fn watchers_see_clients_of_tcp_and_of_the_unix_socket() {
    let server = Setup::new(2, &[]).unix().start();
    let (mut first, mut second) = (watch(server.connect()), watch(server.connect_unix()));
    let (mut tcp, mut unix) = (server.connect(), server.connect_unix());
    let addr = tcp.text(&["CLIENT", "INFO"]).split(' ').nth(1).unwrap().trim_start_matches("addr=").to_owned();
    tcp.call(&["SELECT", "3"]);
    tcp.call(&["SET", "k", "a\r\n\"b\""]);
    unix.call(&["GET", "k"]);
    let path = server.unix().display().to_string();
    for watcher in [&mut first, &mut second] {
        assert_eq!(line(watcher), format!("[0 {addr}] \"CLIENT\" \"INFO\""));
        assert_eq!(line(watcher), format!("[3 {addr}] \"SELECT\" \"3\""));
        assert_eq!(line(watcher), format!(r#"[3 {addr}] "SET" "k" "a\r\n\"b\"""#));
        assert_eq!(line(watcher), format!("[0 unix:{path}] \"GET\" \"k\""));
    }
    assert_eq!(tcp.text(&["CLIENT", "LIST"]).lines().filter(|line| line.contains(" flags=O ")).count(), 2);
}

#[test]
fn what_follows_from_another_clients_command_is_shown_behind_it() {
    let server = Server::start(2, &["--core-ports", "0"]);
    let slots = server.connect().call(&["CLUSTER", "SLOTS"]);
    let ports =
        slots.lines().filter_map(|line| line.strip_prefix(':')?.parse::<u16>().ok()).filter(|port| *port > 16_383);
    let mut clients: Vec<Conn> = ports.map(|port| Conn::tcp(SocketAddr::new(server.addr.ip(), port))).collect();
    assert_eq!(clients.len(), cores(2));
    let mut watcher = watch(server.connect());
    // Each hears its reply before the next says anything.
    for number in 0..300 {
        let at = number % clients.len();
        assert_eq!(clients[at].call(&["ECHO", &number.to_string()]), bulk(&number.to_string()));
    }
    for number in 0..300 {
        assert_eq!(words(&line(&mut watcher)), format!("\"ECHO\" \"{number}\""));
    }
}

#[test]
fn a_watcher_that_does_not_read_is_told_what_it_lost() {
    let server = Server::start(2, &[]);
    let mut watcher = watch(Conn::narrow(server.addr, 4096));
    let mut client = server.connect();
    let text = "x".repeat(30_000);
    let (mut sent, mut batches) = (0, 0);
    let before = server.rss_bytes();
    while batches < 20 {
        client.send(&command(&["ECHO", &text]).repeat(50));
        (0..50).for_each(|_| drop(client.reply()));
        sent += 50;
        batches += 1;
    }
    // 30 MB of lines, of which a few are kept.
    assert!(server.rss_bytes() - before < 24 << 20, "{} bytes more", server.rss_bytes() - before);
    assert_eq!(client.call(&["PING", "end"]), bulk("end"));
    let (mut shown, mut lost) = (0, 0);
    while shown + lost < sent + 1 {
        let line = line(&mut watcher);
        match line.strip_prefix("[0 aspine] \"lost\" \"") {
            Some(count) => lost += count.trim_end_matches('"').parse::<usize>().unwrap(),
            None => shown += 1,
        }
    }
    assert_eq!(shown + lost, sent + 1);
    assert!(lost > 0, "{shown} were shown");
    assert_eq!(client.call(&["PING", "again"]), bulk("again"));
    assert_eq!(words(&line(&mut watcher)), "\"PING\" \"again\"");
}

#[test]
fn nobody_watches_after_a_reset() {
    let server = Server::start(2, &[]);
    let (mut watcher, mut client) = (watch(server.connect()), server.connect());
    let refusal = "-ERR Replica can't interact with the keyspace\r\n";
    assert_eq!(watcher.call(&["GET", "k"]), refusal);
    assert_eq!(watcher.call(&["RESET"]), "+RESET\r\n");
    client.call(&["SET", "k", "v"]);
    assert_eq!(watcher.call(&["GET", "k"]), bulk("v"));
    assert!(!client.text(&["CLIENT", "LIST"]).contains("flags=O"));
}
