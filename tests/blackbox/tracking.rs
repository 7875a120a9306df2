//! CLIENT TRACKING: whoever may hold a key is told of its change, by whichever connection and core, on whichever protocol.

use std::collections::BTreeSet;

use crate::support::conn::Conn;
use crate::support::server::Server;

const KEYS: usize = 64;

fn keys() -> Vec<String> {
    (0..KEYS).map(|at| format!("key:{at}")).collect()
}

/// The key that a push or a message calls stale; `None` for all of them.
fn stale(reply: &str) -> Option<String> {
    let lines: Vec<&str> = reply.split("\r\n").collect();
    let body = match lines[0] {
        ">2" => &lines[3..],
        "*3" if lines[4] == "__redis__:invalidate" => &lines[5..],
        _ => panic!("not told of a stale key: {reply:?}"),
    };
    (body[0] == "*1").then(|| body[2].to_owned())
}

/// So many keys that are called stale.
fn heard(conn: &mut Conn, count: usize) -> BTreeSet<String> {
    (0..count).map(|_| stale(&conn.reply()).expect("a key")).collect()
}

fn read_all(conn: &mut Conn) {
    for key in keys() {
        conn.call(&["GET", &key]);
    }
}

fn on_servers(flags: &[&str], test: impl Fn(&Server)) {
    for cores in [1, 2] {
        test(&Server::start(cores, flags));
    }
}

#[test]
fn every_kind_of_change_is_told() {
    on_servers(&[], |server| {
        let mut readers: Vec<Conn> = (0..4).map(|_| server.connect()).collect();
        for reader in &mut readers {
            reader.call(&["HELLO", "3"]);
            assert_eq!(reader.call(&["CLIENT", "TRACKING", "ON"]), "+OK\r\n");
        }
        let mut writer = server.connect();
        let all: BTreeSet<String> = keys().into_iter().collect();
        let changes: [fn(&mut Conn, &str); 5] = [
            |writer, key| drop(writer.call(&["SET", key, "v"])),
            |writer, key| drop(writer.call(&["EXPIRE", key, "1000"])),
            |writer, key| drop(writer.call(&["APPEND", key, "w"])),
            // Nobody asks for it any more: the wheel finds it.
            |writer, key| drop(writer.call(&["PEXPIRE", key, "1"])),
            |writer, key| drop(writer.call(&["SET", key, "w", "PX", "1"])),
        ];
        for change in changes {
            readers.iter_mut().for_each(read_all);
            keys().iter().for_each(|key| change(&mut writer, key));
            for reader in &mut readers {
                assert_eq!(heard(reader, KEYS), all);
            }
        }
        readers.iter_mut().for_each(read_all);
        assert_eq!(writer.call(&["FLUSHALL"]), "+OK\r\n");
        for reader in &mut readers {
            // Whatever has expired since it was read comes first.
            while stale(&reader.reply()).is_some() {}
            assert_eq!(reader.call(&["PING"]), "+PONG\r\n");
        }
        assert_eq!(writer.info_number("tracking_clients"), 4);
        assert_eq!(writer.info_number("tracking_total_keys"), 0);
    });
}

#[test]
fn another_connection_is_told_in_place_of_the_reader() {
    on_servers(&[], |server| {
        let (mut reader, mut writer, mut target) = (server.connect(), server.connect(), server.connect());
        let id = target.number(&["CLIENT", "ID"]);
        let id = id.to_string();
        target.call(&["SUBSCRIBE", "__redis__:invalidate"]);
        assert_eq!(reader.call(&["CLIENT", "TRACKING", "ON", "REDIRECT", &id]), "+OK\r\n");
        assert_eq!(reader.call(&["CLIENT", "GETREDIR"]), format!(":{id}\r\n"));
        read_all(&mut reader);
        keys().iter().for_each(|key| drop(writer.call(&["SET", key, "v"])));
        assert_eq!(heard(&mut target, KEYS), keys().into_iter().collect());
        writer.call(&["FLUSHALL"]);
        assert_eq!(stale(&target.reply()), None);
        // It goes: the reader learns it with each change that it would be told of, and not before.
        reader.call(&["HELLO", "3"]);
        reader.call(&["GET", "key:0"]);
        assert_eq!(writer.call(&["CLIENT", "KILL", "ID", &id]), ":1\r\n");
        let broken = format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n");
        writer.call(&["SET", "key:1", "v"]);
        assert_eq!(reader.call(&["CLIENT", "GETREDIR"]), format!(":{id}\r\n"));
        assert!(reader.text(&["CLIENT", "INFO"]).contains(" flags=t "));
        for _ in 0..2 {
            reader.call(&["GET", "key:0"]);
            writer.call(&["SET", "key:0", "v"]);
            assert_eq!(reader.reply(), broken);
        }
        assert!(reader.text(&["CLIENT", "INFO"]).contains(" flags=tR "));
    });
}

#[test]
fn a_small_table_tells_whom_it_forgets() {
    on_servers(&["--tracking-table-max-keys", "10"], |server| {
        let mut reader = server.connect();
        assert_eq!(reader.call(&["CONFIG", "GET", "tracking-table-max-keys"]).matches("10").count(), 1);
        reader.call(&["HELLO", "3"]);
        reader.call(&["CLIENT", "TRACKING", "ON"]);
        reader.send(keys().iter().map(|key| format!("GET {key}\r\n")).collect::<String>().as_bytes());
        let (mut replies, mut forgotten) = (0, BTreeSet::new());
        while replies < KEYS || forgotten.len() < KEYS - 10 {
            match reader.reply() {
                reply if reply == "_\r\n" => replies += 1,
                push => drop(forgotten.insert(stale(&push).expect("a key"))),
            }
        }
        let mut other = server.connect();
        let left = other.info_number("tracking_total_keys");
        assert!(left <= 10, "{left} keys are remembered");
        // Those that were not forgotten are still told of.
        for key in keys() {
            other.call(&["SET", &key, "v"]);
        }
        let told = heard(&mut reader, left as usize);
        assert!(told.is_disjoint(&forgotten) && told.len() + forgotten.len() == KEYS);
    });
}

#[test]
fn prefixes_are_told_of_without_being_read() {
    on_servers(&[], |server| {
        let (mut listener, mut writer) = (server.connect(), server.connect());
        listener.call(&["HELLO", "3"]);
        assert_eq!(listener.call(&["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "key:"]), "+OK\r\n");
        assert_eq!(writer.info_number("tracking_total_prefixes"), 1);
        for key in keys() {
            writer.call(&["SET", &format!("other:{key}"), "v"]);
            writer.call(&["SET", &key, "v"]);
        }
        let mut told = BTreeSet::new();
        while told.len() < KEYS {
            let reply = listener.reply();
            told.extend(reply.split("\r\n").filter(|line| line.contains("key:")).map(str::to_owned));
        }
        assert_eq!(told, keys().into_iter().collect());
        assert_eq!(listener.call(&["CLIENT", "TRACKING", "OFF"]), "+OK\r\n");
        assert_eq!(listener.info_number("tracking_total_prefixes"), 0);
    });
}
