//! CLIENT, CONFIG and INFO: what an operator sees and changes from any connection holds for all cores.

use crate::support::conn::{Conn, command};
use crate::support::server::{Server, Setup, cores, wait_until};

/// Connections until every core has some, since the kernel spreads them as it likes.
fn connect_to_all_cores(server: &Server) -> Vec<Conn> {
    let mut conns = vec![server.connect()];
    loop {
        let number = conns[0].info_number("cores");
        let clients = |conn: &mut Conn, core| conn.info(&format!("core{core}")).contains(",clients=0,");
        if conns.len() >= 8 && (0..number).all(|core| !clients(&mut conns[0], core)) {
            return conns;
        }
        assert!(conns.len() < 300, "300 connections and none at one of the cores");
        conns.push(server.connect());
        assert_eq!(conns.last_mut().unwrap().call(&["PING"]), "+PONG\r\n");
    }
}

/// The number after `name=` in a line of fields.
#[track_caller]
fn field(line: &str, name: &str) -> f64 {
    let value = line.split([',', ' ']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// The sum of a field over all core lines of INFO.
fn sum(conn: &mut Conn, name: &str) -> f64 {
    (0..conn.info_number("cores")).map(|core| field(&conn.info(&format!("core{core}")), name)).sum()
}

#[test]
fn client_list_shows_the_clients_of_all_cores() {
    let server = Setup::new(2, &[]).unix().start();
    let mut conns = connect_to_all_cores(&server);
    conns.push(server.connect_unix());
    let mut ids: Vec<i64> = Vec::new();
    for (number, conn) in conns.iter_mut().enumerate() {
        assert_eq!(conn.call(&["CLIENT", "SETNAME", &format!("client-{number}")]), "+OK\r\n");
        ids.push(conn.number(&["CLIENT", "ID"]));
    }
    for asked in 0..2 {
        let list = conns[asked].text(&["CLIENT", "LIST"]);
        assert_eq!(list.lines().count(), conns.len(), "{list}");
        for (number, id) in ids.iter().enumerate() {
            let line = list.lines().find(|line| line.starts_with(&format!("id={id} ")));
            assert!(line.is_some_and(|line| line.contains(&format!(" name=client-{number} "))), "{number} in {list}");
        }
    }
    let count = conns.len() as u64;
    assert_eq!(conns[0].info_number("connected_clients"), count);
    assert_eq!(sum(&mut conns[0], "clients") as u64, count);
    conns.truncate(3);
    let mut conn = conns.remove(0);
    wait_until("those who left to be gone from CLIENT LIST", || conn.text(&["CLIENT", "LIST"]).lines().count() == 3);
}

#[test]
fn client_kill_reaches_all_cores() {
    let server = Server::start(2, &[]);
    let mut conns = connect_to_all_cores(&server);
    let mut killer = conns.pop().unwrap();
    let mut by_addr = conns.pop().unwrap();
    for conn in &mut conns {
        let id = conn.number(&["CLIENT", "ID"]).to_string();
        assert_eq!(killer.call(&["CLIENT", "KILL", "ID", &id]), ":1\r\n");
        assert_eq!(conn.rest(), b"");
        assert_eq!(killer.call(&["CLIENT", "KILL", "ID", &id]), ":0\r\n");
    }
    let info = by_addr.text(&["CLIENT", "INFO"]);
    let addr = info.split(' ').find_map(|part| part.strip_prefix("addr=")).unwrap();
    assert_eq!(killer.call(&["CLIENT", "KILL", addr]), "+OK\r\n");
    assert_eq!(by_addr.rest(), b"");
    assert_eq!(killer.call(&["CLIENT", "KILL", addr]), "-ERR No such client\r\n");
    // All but the one who asks, on every core.
    let mut conns = connect_to_all_cores(&server);
    assert_eq!(killer.number(&["CLIENT", "KILL", "TYPE", "normal"]), conns.len() as i64);
    for conn in &mut conns {
        assert_eq!(conn.rest(), b"");
    }
    assert_eq!(killer.info_number("connected_clients"), 1);
    let own = killer.number(&["CLIENT", "ID"]).to_string();
    killer.send(&command(&["CLIENT", "KILL", "ID", &own, "SKIPME", "no"]));
    assert_eq!(killer.rest(), b":1\r\n");
}

#[test]
fn config_set_reaches_all_cores() {
    let server = Server::start(2, &[]);
    let mut conns = connect_to_all_cores(&server);
    for (name, value, shown) in [
        ("maxmemory", "8mb", "8388608"),
        ("max-size", "777", "777"),
        ("timeout", "3600", "3600"),
        ("maxclients", "450", "450"),
        ("maxmemory-policy", "noeviction", "noeviction"),
    ] {
        assert_eq!(conns[0].call(&["CONFIG", "SET", name, value]), "+OK\r\n");
        for conn in &mut conns {
            let reply = conn.call(&["CONFIG", "GET", name]);
            let expected = format!("*2\r\n${}\r\n{name}\r\n${}\r\n{shown}\r\n", name.len(), shown.len());
            assert_eq!(reply, expected);
        }
    }
    let conn = &mut conns[0];
    assert_eq!(conn.info("maxmemory"), "8388608");
    assert_eq!(conn.info("max_size"), "777");
    wait_until("shares of the bounds that sum to the whole", || {
        sum(conn, "bytes_max") as u64 == 8_388_608 && sum(conn, "items_max") as u64 == 777
    });
    for (args, error) in [
        (["maxmemory", "much"], "-ERR CONFIG SET failed (possibly related to argument 'maxmemory')"),
        (["maxmemory", "512"], "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - that is less than"),
        (["port", "1"], "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config"),
        (["bogus", "1"], "-ERR Unknown option"),
    ] {
        let reply = conn.call(&["CONFIG", "SET", args[0], args[1]]);
        assert!(reply.starts_with(error), "{reply}");
    }
    assert_eq!(conn.info("maxmemory"), "8388608");
}

/// Fields of INFO that dashboards show.
const INFO_FIELDS: &str = "redis_version aspine_version process_id run_id uptime_in_seconds connected_clients maxclients \
     used_memory used_memory_rss maxmemory maxmemory_policy loading total_connections_received \
     total_commands_processed rejected_connections expired_keys evicted_keys admitted_keys refused_keys ghost_hits \
     keyspace_hits keyspace_misses role clients_cut_off protocol_errors";

#[test]
fn info_has_what_monitoring_reads() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    for key in 0..200 {
        conn.call(&["SET", &format!("k{key}"), "v", "EX", "1000"]);
        conn.call(&["GET", &format!("k{key}")]);
    }
    conn.call(&["GET", "absent"]);
    let text = conn.text(&["INFO"]);
    for name in INFO_FIELDS.split(' ').filter(|name| !name.is_empty()) {
        assert!(text.contains(&format!("\r\n{name}:")), "{name} in {text}");
    }
    assert!(text.contains("\r\ndb0:keys=200,expires=200,"), "{text}");
    assert_eq!((conn.info_number("keyspace_hits"), conn.info_number("keyspace_misses")), (200, 1));
    assert_eq!(conn.info("loading"), "0");
    assert!(conn.text(&["INFO", "keyspace"]).starts_with("# Keyspace\r\ndb0:"));
    wait_until("the resident memory in INFO", || conn.info_number("used_memory_rss") > 1_000_000);
    assert_eq!(conn.call(&["CONFIG", "RESETSTAT"]), "+OK\r\n");
    assert_eq!(conn.info_number("keyspace_hits"), 0);
}

#[test]
fn info_has_a_line_for_each_core() {
    let number = cores(2) as u64;
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    for key in 0..200 {
        conn.call(&["SET", &format!("k{key}"), "v"]);
    }
    assert_eq!(conn.info_number("cores"), number);
    for core in 0..number {
        let line = conn.info(&format!("core{core}"));
        for name in "cpu clients bytes operations forwarded outbox_depth turns turn_us_p99 turn_us_p999".split(' ') {
            assert!(field(&line, name) >= 0.0);
        }
        assert!(line.contains(",slots="), "{line}");
        assert!(field(&line, "turn_us_p50") > 0.0 && field(&line, "turn_us_p50") <= field(&line, "turn_us_max"));
        assert!(field(&line, "keys") > 0.0, "200 keys and none here: {line}");
    }
    assert_eq!(sum(&mut conn, "keys") as u64, 200);
    if number == 2 {
        assert!(sum(&mut conn, "forwarded") > 0.0, "one connection, and keys of both cores");
    }
}

#[test]
fn whole_keyspace_commands_see_all_cores() {
    let server = Server::start(2, &["--max-size", "100000"]);
    let mut conn = server.connect();
    for key in 0..500 {
        conn.call(&["SET", &format!("k{key}"), "v"]);
    }
    assert_eq!(conn.number(&["DBSIZE"]), 500);
    assert!(conn.call(&["KEYS", "k*"]).starts_with("*500\r\n"));
    assert!(conn.call(&["KEYS", "k49?"]).starts_with("*10\r\n"));
    assert!(conn.call(&["RANDOMKEY"]).contains("\r\nk"));
    let mut other = server.connect();
    assert_eq!(other.call(&["FLUSHALL"]), "+OK\r\n");
    assert_eq!(conn.number(&["DBSIZE"]), 0);
    assert_eq!(conn.call(&["KEYS", "*"]), "*0\r\n");
    assert_eq!(conn.call(&["RANDOMKEY"]), "$-1\r\n");
}

#[test]
fn expired_keys_are_gone_on_all_cores() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    for key in 0..200 {
        assert_eq!(conn.call(&["SET", &format!("k{key}"), "v", "PX", "1"]), "+OK\r\n");
    }
    conn.call(&["SET", "kept", "v", "EX", "1000"]);
    // Nobody touches them: time alone has to.
    wait_until("200 keys to expire", || conn.number(&["DBSIZE"]) == 1);
    assert_eq!(conn.info_number("expired_keys"), 200);
    assert_eq!(conn.call(&["GET", "kept"]), "$1\r\nv\r\n");
}

#[test]
fn a_pause_holds_writes_back_until_it_ends() {
    let mut server = Server::start(2, &[]);
    let (mut admin, mut writer, mut gone) = (server.connect(), server.connect(), server.connect());
    assert_eq!(admin.call(&["CLIENT", "PAUSE", "100000", "WRITE"]), "+OK\r\n");
    writer.send(b"GET k\r\nSET k v\r\nPUBLISH c m\r\nGET k\r\n");
    assert_eq!(writer.reply(), "$-1\r\n", "reads go on");
    gone.send(b"MULTI\r\nGET k\r\nINCR n\r\nEXEC\r\n");
    wait_until("two clients to wait", || admin.info_number("blocked_clients") == 2);
    assert_eq!(admin.text(&["CLIENT", "LIST"]).matches(" flags=b ").count(), 1, "the other is in a transaction, too");
    assert_eq!(admin.call(&["DBSIZE"]), ":0\r\n");
    gone.reset();
    assert_eq!(admin.call(&["CLIENT", "UNPAUSE"]), "+OK\r\n");
    assert_eq!([writer.reply(), writer.reply(), writer.reply()], ["+OK\r\n", ":0\r\n", "$1\r\nv\r\n"]);
    wait_until("nobody to wait", || admin.info_number("blocked_clients") == 0);

    // The time ends it, too: nobody else can end a pause of all commands.
    assert_eq!(admin.call(&["CLIENT", "PAUSE", "50"]), "+OK\r\n");
    assert!(writer.call(&["DEL", "k", "n"]).starts_with(":"));

    // The end of the server does not wait for it, and runs nothing that was held back.
    assert_eq!(admin.call(&["CLIENT", "PAUSE", "100000"]), "+OK\r\n");
    writer.send(b"SET k v\r\n");
    assert!(server.stop().success());
    assert_eq!(writer.rest(), b"");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let server = Server::start(2, &["--log-level", "debug", "--log-file", "/dev/full", "--timeout", "1"]);
    let mut idle = server.connect();
    assert_eq!(idle.rest(), b"", "cut off, which is logged");
    assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n");
}

/// A thread of its own gives it back, so that no client waits for the kernel meanwhile.
#[test]
fn memory_goes_back_to_the_kernel_when_everything_is_deleted() {
    let server = Server::start(2, &["--max-memory", "1gb"]);
    let mut conn = server.connect();
    let empty = server.rss_bytes();
    for step in 0..100 {
        let mut words = vec!["MSET".to_owned()];
        words.extend((0..1000).flat_map(|key| [format!("k{step}-{key}"), "v".repeat(500)]));
        assert_eq!(conn.call(&words), "+OK\r\n");
    }
    let full = server.rss_bytes();
    assert!(full > empty + 50_000_000, "{empty} then {full}: 100,000 values of 500 bytes");
    assert_eq!(conn.call(&["FLUSHALL"]), "+OK\r\n");
    wait_until("four fifths of the memory to go back", || server.rss_bytes() < empty + (full - empty) / 5);
}

#[test]
fn the_memory_of_info_is_near_what_the_process_takes() {
    let server = Server::start(2, &["--max-memory", "1gb"]);
    let mut conn = server.connect();
    let ratio = |conn: &mut Conn| conn.info("mem_fragmentation_ratio").parse::<f64>().unwrap();
    // The first look at the process is taken with the first tick.
    wait_until("the first look", || conn.info_number("used_memory_startup") > 1_000_000);
    let startup = conn.info_number("used_memory_startup");
    assert_eq!(conn.info_number("used_memory"), startup + conn.info_number("memory_usage"));
    for round in 0..2 {
        let found = ratio(&mut conn);
        assert!((0.5..3.0).contains(&found), "round {round}: {found}");
        for key in 0..100 {
            conn.call(&["SET", &format!("k{key}"), "v"]);
        }
    }
    assert_eq!(conn.info_number("used_memory_startup"), startup, "it does not change");
    assert_eq!(conn.info_number("used_memory"), startup + conn.info_number("memory_usage"));
    let dataset = conn.info_number("used_memory_dataset");
    assert_eq!(conn.info_number("used_memory_overhead") + dataset, conn.info_number("used_memory"));
    assert!((1..10_000).contains(&dataset), "{dataset}");
}

#[test]
fn client_list_tells_what_waits() {
    let server = Server::start(2, &["--max-memory", "1gb"]);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["SET", "big", &"v".repeat(1 << 20)]), "+OK\r\n");
    let mut greedy = server.connect();
    assert_eq!(greedy.call(&["CLIENT", "SETNAME", "greedy"]), "+OK\r\n");
    greedy.send("GET big\r\n".repeat(40).as_bytes());
    let mut queueing = server.connect();
    assert_eq!(queueing.call(&["CLIENT", "SETNAME", "queueing"]), "+OK\r\n");
    assert_eq!(queueing.call(&["MULTI"]), "+OK\r\n");
    assert_eq!(queueing.call(&["SET", "k", &"v".repeat(1 << 20)]), "+QUEUED\r\n");
    let mut of = |name: &str| {
        let list = conn.text(&["CLIENT", "LIST"]);
        list.lines().find(|line| line.contains(&format!(" name={name} "))).unwrap().to_owned()
    };
    let mut line = String::new();
    wait_until("replies that wait", || {
        line = of("greedy");
        field(&line, "omem") >= f64::from(1 << 20)
    });
    assert!(field(&line, "tot-mem") >= field(&line, "omem") + field(&line, "obl"), "{line}");
    let line = of("queueing");
    assert!(field(&line, "multi-mem") >= f64::from(1 << 20), "{line}");
    assert!(field(&line, "tot-mem") >= field(&line, "multi-mem") && field(&line, "omem") == 0.0, "{line}");
}

#[test]
fn tools_are_told_that_there_are_no_replicas_and_no_modules() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["ROLE"]), "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    assert_eq!(conn.number(&["WAIT", "2", "0"]), 0);
    assert_eq!(conn.call(&["MODULE", "LIST"]), "*0\r\n");
    assert!(conn.text(&["LOLWUT", "VERSION", "5"]).contains("Redis ver. "));
    let (run_id, replid) = (conn.info("run_id"), conn.info("master_replid"));
    assert_eq!((run_id.len(), run_id), (40, replid));
    assert_eq!((conn.info("role").as_str(), conn.info_number("repl_backlog_size")), ("master", 0));
}

#[test]
fn what_is_so_anyway_can_be_set() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    for words in [
        &["CONFIG", "SET", "save", ""][..],
        &["CONFIG", "SET", "appendonly", "no"],
        &["CONFIG", "SET", "AppendOnly", "NO", "save", "", "timeout", "7"],
        &["CONFIG", "SET", "lazyfree-lazy-user-del", "yes", "rdbchecksum", "yes", "tls-port", "0"],
    ] {
        assert_eq!(conn.call(words), "+OK\r\n", "{words:?}");
    }
    assert_eq!(conn.call(&["CONFIG", "GET", "timeout"]), "*2\r\n$7\r\ntimeout\r\n$1\r\n7\r\n");
    for words in [&["CONFIG", "SET", "appendonly", "yes"], &["CONFIG", "SET", "save", "900 1"]] {
        assert!(conn.call(words).contains("can't set immutable config"), "{words:?}");
    }
}

#[test]
fn a_key_can_be_set_while_the_server_runs() {
    let server = Server::start(2, &[]);
    let mut conns = connect_to_all_cores(&server);
    assert_eq!(conns[0].call(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]), "+OK\r\n");
    assert_eq!(conns[0].call(&["CONFIG", "SET", "requirepass", "sesame"]), "+OK\r\n");
    // Who has connected before goes on; who connects at any core has to show the key.
    assert!(conns.iter_mut().all(|conn| conn.call(&["PING"]) == "+PONG\r\n"));
    for _ in 0..8 {
        let mut conn = server.connect();
        assert!(conn.call(&["PING"]).starts_with("-NOAUTH"));
        assert_eq!(conn.call(&["AUTH", "sesame"]), "+OK\r\n");
        assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
    }
    assert_eq!(conns[0].call(&["CONFIG", "GET", "requirepass"]), "*0\r\n", "nobody is shown the key");
    assert!(conns[0].call(&["CONFIG", "SET", "requirepass", ""]).contains("not taken away"));
    assert!(!conns[0].call(&["SLOWLOG", "GET", "100"]).contains("sesame"));
    assert_eq!(conns[0].call(&["CONFIG", "SET", "requirepass", "open"]), "+OK\r\n");
    let mut conn = server.connect();
    assert!(conn.call(&["AUTH", "sesame"]).starts_with("-WRONGPASS"));
    assert_eq!(conn.call(&["AUTH", "open"]), "+OK\r\n");
}
