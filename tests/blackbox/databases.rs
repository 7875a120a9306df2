//! Databases: what belongs to one, and what to all.

use crate::support::conn::Conn;
use crate::support::server::{Dir, Server, Setup, wait_until};

/// Keys enough that every core has some.
const KEYS: usize = 40;

fn selected(server: &Server, database: usize) -> Conn {
    let mut conn = Conn::tcp(server.addr);
    assert_eq!(conn.call(&["SELECT", &database.to_string()]), "+OK\r\n");
    conn
}

fn fill(conn: &mut Conn, text: &str) {
    for key in 0..KEYS {
        assert_eq!(conn.call(&["SET", &format!("k{key}"), text]), "+OK\r\n");
    }
}

#[test]
fn a_flush_leaves_other_databases_alone() {
    let server = Server::start(2, &[]);
    let (mut zero, mut one) = (selected(&server, 0), selected(&server, 1));
    fill(&mut zero, "zero");
    fill(&mut one, "one");
    assert_eq!(one.call(&["PEXPIRE", "k1", "100000"]), ":1\r\n");
    let text = zero.text(&["INFO", "keyspace"]);
    let lines: Vec<_> = text.lines().skip(1).collect();
    assert_eq!(lines[0], "db0:keys=40,expires=0,avg_ttl=0");
    assert!(lines[1].starts_with("db1:keys=40,expires=1,avg_ttl=9"), "{text}");
    assert_eq!(one.call(&["FLUSHDB"]), "+OK\r\n");
    assert_eq!((zero.number(&["DBSIZE"]), one.number(&["DBSIZE"])), (40, 0));
    assert_eq!(zero.text(&["GET", "k7"]), "zero");
    assert_eq!(one.call(&["KEYS", "*"]), "*0\r\n");
    fill(&mut one, "again");
    assert_eq!(one.text(&["GET", "k7"]), "again");
    assert_eq!(zero.call(&["FLUSHALL"]), "+OK\r\n");
    assert_eq!((zero.number(&["DBSIZE"]), one.number(&["DBSIZE"])), (0, 0));
}

#[test]
fn keys_are_moved_copied_and_swapped_on_all_cores() {
    let server = Server::start(2, &[]);
    let (mut zero, mut five) = (selected(&server, 0), selected(&server, 5));
    fill(&mut zero, "zero");
    for key in 0..KEYS {
        let name = format!("k{key}");
        // To a key that may be another core's.
        assert_eq!(zero.call(&["COPY", &name, &format!("c{key}"), "DB", "5"]), ":1\r\n");
        assert_eq!(zero.call(&["MOVE", &name, "5"]), ":1\r\n");
    }
    assert_eq!((zero.number(&["DBSIZE"]), five.number(&["DBSIZE"])), (0, 80));
    assert_eq!(five.text(&["GET", "c9"]), "zero");
    assert_eq!(zero.call(&["SWAPDB", "0", "5"]), "+OK\r\n");
    assert_eq!((zero.number(&["DBSIZE"]), five.number(&["DBSIZE"])), (80, 0));
    assert_eq!(zero.call(&["RENAME", "k1", "elsewhere"]), "+OK\r\n");
    assert_eq!(zero.text(&["GET", "elsewhere"]), "zero");
    let mut cursor = "0".to_owned();
    let mut seen = 0;
    loop {
        let reply = zero.call(&["SCAN", &cursor]);
        let mut lines = reply.lines().skip(2);
        cursor = lines.next().expect("a cursor").to_owned();
        seen += lines.filter(|line| line.starts_with('$')).count();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen, 80);
}

#[test]
fn a_refused_select_is_said_once_and_ends_the_connection() {
    let server = Server::start(2, &["--databases", "3"]);
    let mut conn = selected(&server, 2);
    conn.send(b"SELECT 3\r\nSET k v\r\nFLUSHALL\r\n");
    assert_eq!(conn.reply(), "-ERR DB index is out of range\r\n");
    assert_eq!(conn.try_reply(), None, "nothing behind it runs");
    server.wait_for_log("it asked for a database that is not there");
    let mut conn = selected(&server, 2);
    assert_eq!(conn.call(&["EXISTS", "k"]), ":0\r\n");
    assert_eq!(conn.call(&["MULTI"]), "+OK\r\n");
    assert_eq!(conn.call(&["SELECT", "3"]), "-ERR DB index is out of range\r\n");
    assert_eq!(conn.try_reply(), None, "what would be queued behind it");
    wait_until("its line in the log", || {
        server.log().matches("it asked for a database that is not there").count() == 2
    });
    let mut conn = selected(&server, 2);
    assert!(conn.call(&["CONFIG", "GET", "databases"]).contains("\r\n3\r\n"));
    assert!(conn.text(&["CLIENT", "INFO"]).contains(" db=2 "));
    assert_eq!(conn.call(&["RESET"]), "+RESET\r\n");
    assert!(conn.text(&["CLIENT", "INFO"]).contains(" db=0 "));
}

#[test]
fn key_events_name_their_database() {
    let server = Server::start(2, &[]);
    let mut hearer = Conn::tcp(server.addr);
    assert!(hearer.call(&["SUBSCRIBE", "__keyevent@4__:set"]).ends_with(":1\r\n"));
    for database in [3, 4, 5] {
        selected(&server, database).call(&["SET", &format!("k{database}"), "v"]);
    }
    assert_eq!(hearer.reply(), "*3\r\n$7\r\nmessage\r\n$18\r\n__keyevent@4__:set\r\n$2\r\nk4\r\n");
}

#[test]
fn a_snapshot_holds_all_databases() {
    let dir = Dir::new();
    let data = dir.path().to_str().expect("text").to_owned();
    let server = Setup::new(2, &["--data-dir", &data]).start();
    for database in [0, 3, 9] {
        fill(&mut selected(&server, database), &format!("of {database}"));
    }
    assert_eq!(selected(&server, 1).call(&["SAVE"]), "+OK\r\n");
    drop(server);
    let server = Setup::new(1, &["--data-dir", &data]).start();
    assert_eq!(selected(&server, 2).call(&["ASPINE.LOAD"]).get(..1), Some("+"));
    for database in [0, 3, 9] {
        let mut conn = selected(&server, database);
        assert_eq!((conn.number(&["DBSIZE"]), conn.text(&["GET", "k3"])), (40, format!("of {database}")));
    }
    assert_eq!(selected(&server, 1).number(&["DBSIZE"]), 0);
    drop(server);
    let server = Setup::new(1, &["--data-dir", &data, "--databases", "9"]).start();
    let refused = selected(&server, 2).call(&["ASPINE.LOAD"]);
    assert!(refused.contains("of database 9") && refused.contains("--databases 10"), "{refused}");
}

#[test]
fn a_key_moves_where_there_is_no_room_for_another() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--max-size", "100", "--eviction", "none"]);
        let mut conn = server.connect();
        let mut keys = Vec::new();
        for number in 0..200 {
            let key = format!("k{number}");
            if conn.call(&["SET", &key, "v", "EX", "1000"]) == "+OK\r\n" {
                keys.push(key);
            }
        }
        assert_eq!(keys.len(), 100);
        for key in &keys {
            assert_eq!(conn.call(&["MOVE", key, "7"]), ":1\r\n", "{key}");
        }
        assert_eq!(conn.call(&["DBSIZE"]), ":0\r\n");
        conn.call(&["SELECT", "7"]);
        assert_eq!(conn.call(&["DBSIZE"]), ":100\r\n");
        assert!(conn.number(&["TTL", &keys[0]]) > 900);
        assert!(conn.call(&["SET", "another", "v"]).starts_with("-OOM "));
    }
}
