//! INFO, SLOWLOG, LATENCY, MEMORY and DEBUG: what an operator is told of commands, on one core and over several.

use std::collections::HashSet;

use crate::support::conn::{Conn, bulk, command};
use crate::support::server::{Server, Setup, wait_until};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];
const REFUSED: &str = "-ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can \
                       run it from a local connection, otherwise you need to set this option in the configuration \
                       file, and then restart the server.\r\n";

/// A number among the comma-separated fields of a line of INFO's section.
#[track_caller]
fn stat(conn: &mut Conn, section: &str, line: &str, name: &str) -> f64 {
    let text = conn.text(&["INFO", section]);
    let fields = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    let value =
        fields.and_then(|fields| fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {line} with {name} in {text}"))
}

#[test]
fn every_line_of_info_is_a_name_and_a_value() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    conn.call(&["SET", "k", "v", "EX", "100"]);
    conn.call(&["GET"]);
    let text = conn.text(&["INFO", "everything"]);
    let mut sections = Vec::new();
    let mut names = HashSet::new();
    for line in text.lines() {
        if let Some(section) = line.strip_prefix("# ") {
            sections.push(section);
        } else if !line.is_empty() {
            let (name, _) = line.split_once(':').unwrap_or_else(|| panic!("neither section nor field: {line}"));
            assert!(!name.is_empty() && !name.contains(' ') && names.insert(name), "{line} in {text}");
        }
    }
    let expected = "Server Clients Memory Persistence Stats Replication CPU Modules Commandstats Errorstats Latencystats \
                    Cluster Keyspace Aspine";
    assert_eq!(sections.join(" "), expected);
    let default = conn.text(&["INFO"]);
    assert!(!default.contains("# Commandstats") && !default.contains("# Latencystats"), "{default}");
    assert_eq!(conn.info("cluster_enabled"), "0");
    assert!(conn.info_number("total_system_memory") > conn.info_number("used_memory"));
    let ttl = stat(&mut conn, "keyspace", "db0", "avg_ttl");
    assert!(ttl > 0.0 && ttl <= 100_000.0, "{ttl}");
    wait_until("CPU time in INFO", || conn.info("used_cpu_user").parse::<f64>().unwrap() > 0.0);
}

#[test]
fn commands_are_counted_over_all_cores() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    for key in 0..200 {
        conn.call(&["SET", &format!("k{key}"), "v"]);
    }
    conn.call(&["SET", "k"]);
    conn.call(&["SET", "k", "v", "EX", "x"]);
    conn.call(&["MGET", "a", "b", "c", "d", "e", "f"]);
    conn.call(&["DBSIZE"]);
    conn.call(&["BOGUS"]);
    for (line, name, number) in [
        ("cmdstat_set", "calls", 201.0),
        ("cmdstat_set", "rejected_calls", 1.0),
        ("cmdstat_set", "failed_calls", 1.0),
        ("cmdstat_mget", "calls", 1.0),
        ("cmdstat_dbsize", "calls", 1.0),
    ] {
        assert_eq!(stat(&mut conn, "commandstats", line, name), number, "{line} {name}");
    }
    assert!(stat(&mut conn, "commandstats", "cmdstat_set", "usec") > 0.0);
    assert_eq!(stat(&mut conn, "errorstats", "errorstat_ERR", "count"), 3.0);
    let p50 = stat(&mut conn, "latencystats", "latency_percentiles_usec_set", "p50");
    assert!(p50 > 0.0 && p50 <= stat(&mut conn, "latencystats", "latency_percentiles_usec_set", "p99.9"));
    let histogram = conn.call(&["LATENCY", "HISTOGRAM", "set"]);
    assert!(
        histogram.starts_with("*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:201\r\n$14\r\nhistogram_usec\r\n"),
        "{histogram}"
    );
    assert!(histogram.ends_with(":201\r\n"), "cumulative: {histogram}");
    assert_eq!(conn.call(&["CONFIG", "RESETSTAT"]), "+OK\r\n");
    assert!(!conn.text(&["INFO", "commandstats"]).contains("cmdstat_set"));
    assert!(!conn.text(&["INFO", "errorstats"]).contains("errorstat"));
}

#[test]
fn the_slow_log_names_who_asked_on_every_core() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["CLIENT", "SETNAME", "me"]), "+OK\r\n");
    assert_eq!(conn.call(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]), "+OK\r\n");
    for key in 0..50 {
        conn.call(&["get", &format!("k{key}")]);
    }
    assert_eq!(conn.call(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]), "+OK\r\n");
    // The CONFIG SET that asked for it is in it, the one that ended it is not.
    assert_eq!(conn.number(&["SLOWLOG", "LEN"]), 51);
    let addr = conn.text(&["CLIENT", "INFO"]).split(' ').find_map(|part| Some(part.strip_prefix("addr=")?.to_owned()));
    let log = conn.call(&["SLOWLOG", "GET", "50"]);
    let who = format!("{}{}", bulk(&addr.unwrap()), bulk("me"));
    assert_eq!(log.matches(&who).count(), 50, "{log}");
    // The newest first, whichever core ran them.
    let places: Vec<_> = (0..50).rev().map(|key| log.find(&bulk(&format!("k{key}"))).unwrap()).collect();
    assert!(places.is_sorted(), "{log}");
    assert_eq!(log.matches(&format!("*2\r\n{}", bulk("GET"))).count(), 50);
    let ids: HashSet<_> = log.split("*6\r\n").skip(1).map(|entry| entry.split("\r\n").next().unwrap()).collect();
    assert_eq!(ids.len(), 50, "{log}");
    assert_eq!(conn.call(&["CONFIG", "SET", "slowlog-max-len", "7"]), "+OK\r\n");
    assert_eq!(conn.number(&["SLOWLOG", "LEN"]), 7);
    assert_eq!(conn.call(&["SLOWLOG", "GET", "-1"]).matches("*6\r\n").count(), 7);
    assert_eq!(conn.call(&["SLOWLOG", "RESET"]), "+OK\r\n");
    assert_eq!(conn.call(&["SLOWLOG", "GET"]), "*0\r\n");
}

#[test]
fn a_sleep_is_slow_and_disturbs_nobody() {
    let server = Server::start(2, &DEBUG);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["CONFIG", "SET", "latency-monitor-threshold", "1000"]), "+OK\r\n");
    let mut sleeper = server.connect();
    sleeper.send(&command(&["DEBUG", "SLEEP", "3600"]));
    wait_until("the sleep to begin", || conn.number(&["SLOWLOG", "LEN"]) > 0);
    for key in 0..20 {
        assert_eq!(conn.call(&["SET", &format!("k{key}"), "v"]), "+OK\r\n");
    }
    assert!(!sleeper.has_heard());
    assert_eq!(conn.call(&["DEBUG", "SLEEP", "0.03"]), "+OK\r\n");
    let log = conn.call(&["SLOWLOG", "GET", "-1"]);
    assert!(log.contains(":30000\r\n*3\r\n$5\r\nDEBUG\r\n$5\r\nSLEEP\r\n$4\r\n0.03\r\n"), "{log}");
    let latest = conn.call(&["LATENCY", "LATEST"]);
    assert!(latest.starts_with("*1\r\n*4\r\n$7\r\ncommand\r\n:") && latest.ends_with(":3600000\r\n"), "{latest}");
    assert!(conn.call(&["LATENCY", "HISTORY", "command"]).contains("*2\r\n:"));
    assert!(conn.text(&["LATENCY", "GRAPH", "command"]).contains("all time high 3600000 ms"));
    assert!(conn.text(&["LATENCY", "DOCTOR"]).contains("1. command: "));
    assert_eq!(conn.number(&["LATENCY", "RESET", "command", "bogus"]), 1);
    assert_eq!(conn.call(&["LATENCY", "LATEST"]), "*0\r\n");
}

#[test]
fn debug_is_refused_unless_it_was_enabled() {
    let server = Server::start(1, &[]);
    let mut conn = server.connect();
    for args in [&["DEBUG", "SLEEP", "0"][..], &["DEBUG", "BOGUS"], &["DEBUG", "PANIC"]] {
        assert_eq!(conn.call(args), REFUSED);
    }
    assert_eq!(stat(&mut conn, "commandstats", "cmdstat_debug", "rejected_calls"), 3.0);
    assert!(conn.call(&["CONFIG", "GET", "enable-debug-command"]).ends_with("\r\n$2\r\nno\r\n"));
    let reply = conn.call(&["CONFIG", "SET", "enable-debug-command", "yes"]);
    assert!(reply.ends_with("can't set immutable config\r\n"), "{reply}");
    let server = Setup::new(1, &["--enable-debug-command", "local"]).unix().start();
    for mut conn in [server.connect(), server.connect_unix()] {
        assert_eq!(conn.call(&["DEBUG", "SLEEP", "0"]), "+OK\r\n");
    }
}

#[test]
fn a_panic_ends_the_process() {
    let mut server = Server::start(2, &DEBUG);
    server.connect().send(&command(&["DEBUG", "PANIC"]));
    assert!(!server.wait().success());
    assert!(server.log().contains("DEBUG PANIC"), "{}", server.log());
}

#[test]
fn without_active_expiry_items_stay_until_they_are_asked_for() {
    let server = Server::start(2, &DEBUG);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]), "+OK\r\n");
    conn.call(&["MSET", "a", "1", "b", "2", "c", "3", "d", "4"]);
    for key in ["a", "b", "c", "d"] {
        assert_eq!(conn.call(&["PEXPIRE", key, "1"]), ":1\r\n");
    }
    assert_eq!(conn.call(&["DEBUG", "SLEEP", "0.3"]), "+OK\r\n");
    assert_eq!(conn.number(&["DBSIZE"]), 4);
    assert_eq!(conn.call(&["GET", "a"]), "$-1\r\n");
    assert_eq!(conn.number(&["DBSIZE"]), 3);
    assert_eq!(conn.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]), "+OK\r\n");
    wait_until("the expired to go", || conn.number(&["DBSIZE"]) == 0);
}

#[test]
fn the_log_level_changes_while_the_server_runs() {
    let server = Server::start(2, &["--authkey", "key"]);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["AUTH", "first"]).split(' ').next(), Some("-WRONGPASS"));
    assert_eq!(conn.call(&["AUTH", "key"]), "+OK\r\n");
    assert!(conn.call(&["CONFIG", "GET", "loglevel"]).ends_with("$6\r\nnotice\r\n"));
    assert_eq!(conn.call(&["CONFIG", "SET", "loglevel", "verbose"]), "+OK\r\n");
    assert_eq!(conn.call(&["AUTH", "second"]).split(' ').next(), Some("-WRONGPASS"));
    server.wait_for_log("wrong auth key");
    assert_eq!(server.log().matches("wrong auth key").count(), 1, "{}", server.log());
}

#[test]
fn memory_is_reported_in_redis_words() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    conn.call(&["SET", "k", "v"]);
    let stats = conn.call(&["MEMORY", "STATS"]);
    for name in ["peak.allocated", "total.allocated", "overhead.total", "keys.bytes-per-key", "fragmentation"] {
        assert!(stats.contains(&bulk(name)), "{name} in {stats}");
    }
    assert!(stats.contains(&format!("{}:1\r\n", bulk("keys.count"))), "{stats}");
    assert!(conn.text(&["MEMORY", "DOCTOR"]).contains("too little data"));
}

/// The keys of a list in the reply of HOTKEYS GET, with their weights.
#[track_caller]
fn hot(conn: &mut Conn, list: &str) -> Vec<(String, u64)> {
    let reply = conn.call(&["HOTKEYS", "GET"]);
    let (_, list) = reply.split_once(&format!("\r\n{list}\r\n*")).unwrap_or_else(|| panic!("no {list} in {reply}"));
    let mut lines = list.split("\r\n");
    let count: usize = lines.next().and_then(|count| count.parse().ok()).unwrap();
    let words: Vec<&str> = lines.filter(|line| !line.starts_with('$')).take(count).collect();
    words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1][1..].parse().unwrap())).collect()
}

#[test]
fn the_hot_keys_of_all_cores_are_found() {
    const LARGE: usize = 10_000;
    for cores in [1, 2] {
        let server = Server::start(cores, &[]);
        let mut conn = server.connect();
        conn.call(&["CONFIG", "SET", "slowlog-log-slower-than", "1000000000"]);
        let large = "x".repeat(LARGE);
        // The slots of `bar` and `foo` are core 0's and core 1's of two.
        conn.call(&["MSET", "foo", &large, "bar", &large]);
        assert_eq!(conn.call(&["HOTKEYS", "START", "METRICS", "2", "CPU", "NET", "COUNT", "4"]), "+OK\r\n");
        for number in 0..50 {
            conn.call(&["MGET", "foo", "bar"]);
            conn.call(&["SET", &format!("cold:{number}"), "v"]);
        }
        conn.send(&[command(&["MULTI"]), command(&["GET", "bar"]), command(&["EXEC"])].concat());
        (0..3).for_each(|_| drop(conn.reply()));
        conn.call(&["COPY", "foo", "bar", "REPLACE"]);
        assert_eq!(conn.call(&["HOTKEYS", "RESET"]).get(..5), Some("-ERR "), "while it goes on");
        assert_eq!(conn.call(&["HOTKEYS", "STOP"]), "+OK\r\n");
        let by_net = hot(&mut conn, "by-net-bytes");
        assert_eq!(by_net.len(), 4, "{by_net:?}");
        let expected = |name: &str| LARGE as u64 * if name == "bar" { 51 } else { 50 };
        for (name, bytes) in &by_net[..2] {
            assert!(["foo", "bar"].contains(&name.as_str()), "{by_net:?}");
            assert!((expected(name)..expected(name) + 5_000).contains(bytes), "{by_net:?}");
        }
        assert_eq!(by_net[0].0, "bar");
        assert_eq!(hot(&mut conn, "by-cpu-time-us").len(), 4);
        // Nothing more is recorded, and what was is no slow command.
        conn.call(&["GET", "foo"]);
        assert_eq!(hot(&mut conn, "by-net-bytes"), by_net);
        assert_eq!(conn.call(&["SLOWLOG", "LEN"]), ":0\r\n");
        assert_eq!(conn.call(&["HOTKEYS", "RESET"]), "+OK\r\n");
        assert_eq!(conn.call(&["HOTKEYS", "GET"]), "$-1\r\n");
    }
}
