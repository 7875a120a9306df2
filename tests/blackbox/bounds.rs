//! The bounds on items and bytes: never passed, evicting or refusing as told, changed while the server runs.

use crate::support::conn::Conn;
use crate::support::server::{Server, wait_until};

const MIB: u64 = 1024 * 1024;

/// Pipelines SETs of keys `k<number>` and returns the replies.
fn set_many(conn: &mut Conn, keys: std::ops::Range<usize>, value: &str) -> Vec<String> {
    let commands: String = keys.clone().map(|key| format!("SET k{key} {value}\r\n")).collect();
    conn.send(commands.as_bytes());
    keys.map(|_| conn.reply()).collect()
}

#[test]
fn without_flags_a_thousand_items_are_kept_and_the_log_says_so() {
    for cores in [1, 2] {
        let server = Server::start(cores, &[]);
        server.wait_for_log("bound: 1000 items (default); memory unlimited");
        let mut conn = server.connect();
        assert_eq!(conn.info_number("maxmemory_items"), 1000);
        assert!(!server.log().contains("items are evicted"));
        for round in 0..6 {
            let replies = set_many(&mut conn, round * 500..(round + 1) * 500, "v");
            assert!(replies.iter().all(|reply| reply == "+OK\r\n"));
            let size = conn.number(&["DBSIZE"]);
            assert!(size <= 1000, "{size} items");
        }
        assert!(conn.number(&["DBSIZE"]) > 500, "more was evicted than there was need for");
        assert!(conn.info_number("evicted_keys") >= 2000);
        assert_eq!(conn.call(&["GET", "k2999"]), "$1\r\nv\r\n", "the newest is kept");
        assert_eq!(conn.call(&["GET", "k0"]), "$-1\r\n", "the oldest is not");
        server.wait_for_log(
            "items are evicted: the cache is full at the default bound of 1000 items; for more give --max-memory",
        );
        assert_eq!(server.log().matches("items are evicted").count(), 1);
    }
}

#[test]
fn of_a_bound_that_was_given_nothing_is_said() {
    let server = Server::start(1, &["--max-size", "1000"]);
    let mut conn = server.connect();
    set_many(&mut conn, 0..3000, "v");
    assert!(conn.info_number("evicted_keys") >= 2000);
    assert_eq!(conn.call(&["CONFIG", "GET", "max-size"]), "*2\r\n$8\r\nmax-size\r\n$4\r\n1000\r\n");
    // The gauges are looked at in the same moment as the evictions.
    let rss = conn.info_number("used_memory_rss");
    let mut seen = rss;
    wait_until("another look", || {
        conn.call(&["SET", "k", &"v".repeat(MIB as usize)]);
        seen = conn.info_number("used_memory_rss");
        seen != rss
    });
    assert!(!server.log().contains("items are evicted"), "{}", server.log());
}

#[test]
fn memory_stays_below_its_bound_while_the_oldest_go() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--max-memory", "4mb"]);
        server.wait_for_log("bound: 4mb of memory; items unlimited");
        let mut conn = server.connect();
        let value = "v".repeat(1000);
        for round in 0..20 {
            let replies = set_many(&mut conn, round * 1000..(round + 1) * 1000, &value);
            assert!(replies.iter().all(|reply| reply == "+OK\r\n"));
            let used = conn.info_number("memory_usage");
            assert!(used <= 4 * MIB, "{used} bytes");
        }
        let used = conn.info_number("memory_usage");
        assert!(used > 3 * MIB, "{used} bytes: more was evicted than there was need for");
        assert!(conn.info_number("evicted_keys") > 10_000);
        assert_eq!(conn.call(&["EXISTS", "k19999"]), ":1\r\n");
    }
}

#[test]
fn without_eviction_writes_fail_at_the_bound_and_reads_go_on() {
    const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    for (flag, bound) in [("--max-size", "100"), ("--max-memory", "64kb")] {
        for cores in [1, 2] {
            let server = Server::start(cores, &[flag, bound, "--eviction", "none"]);
            let mut conn = server.connect();
            let replies = set_many(&mut conn, 0..2000, &"v".repeat(100));
            let stored: Vec<usize> = (0..2000).filter(|key| replies[*key] == "+OK\r\n").collect();
            assert!(replies.iter().all(|reply| reply == "+OK\r\n" || reply == OOM));
            assert!(!stored.is_empty() && stored.len() < 2000, "{} stored", stored.len());
            assert_eq!(conn.number(&["DBSIZE"]), stored.len() as i64);
            if flag == "--max-size" {
                assert!(stored.len() <= 100, "{} stored", stored.len());
            } else {
                assert!(conn.info_number("memory_usage") <= 64 * 1024);
            }
            for key in &stored {
                let reply = conn.call(&["GET".to_owned(), format!("k{key}")]);
                assert_eq!(reply, format!("$100\r\n{}\r\n", "v".repeat(100)), "k{key}");
            }
            assert_eq!(conn.info_number("evicted_keys"), 0);
            // Space that is given back can be used again.
            assert_eq!(conn.call(&["FLUSHALL"]), "+OK\r\n");
            assert_eq!(conn.call(&["SET", "again", "v"]), "+OK\r\n");
        }
    }
}

#[test]
fn a_value_larger_than_the_bound_is_refused_and_evicts_nothing_forever() {
    let server = Server::start(2, &["--max-memory", "1mb"]);
    let mut conn = server.connect();
    let reply = conn.call(&["SET", "big", &"v".repeat(2 * MIB as usize)]);
    assert!(reply.starts_with("-OOM"), "{reply}");
    assert_eq!(conn.call(&["SET", "small", "v"]), "+OK\r\n");
    assert_eq!(conn.call(&["GET", "small"]), "$1\r\nv\r\n");
}

#[test]
fn bounds_changed_while_it_runs_hold_on_all_cores() {
    let server = Server::start(2, &["--max-size", "0"]);
    let mut conn = server.connect();
    set_many(&mut conn, 0..5000, "v");
    assert_eq!(conn.number(&["DBSIZE"]), 5000);
    assert_eq!(conn.call(&["CONFIG", "SET", "max-size", "500"]), "+OK\r\n");
    wait_until("eviction down to the new bound", || conn.number(&["DBSIZE"]) <= 500);
    set_many(&mut conn, 5000..7000, "v");
    assert!(conn.number(&["DBSIZE"]) <= 500);
    assert_eq!(conn.call(&["CONFIG", "SET", "max-size", "0", "maxmemory", "100kb"]), "+OK\r\n");
    set_many(&mut conn, 0..5000, &"v".repeat(100));
    assert!(conn.info_number("memory_usage") <= 100 * 1024);
    assert!(conn.number(&["DBSIZE"]) > 0);
    assert_eq!(conn.call(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]), "+OK\r\n");
    let replies = set_many(&mut conn, 10_000..15_000, &"v".repeat(100));
    assert!(replies.iter().any(|reply| reply.starts_with("-OOM")));
}

#[test]
fn a_scan_leaves_what_was_asked_for_again_and_the_counters_say_why() {
    for (policy, kept) in [("allkeys-s3fifo", 80), ("allkeys-lru", 0)] {
        let server = Server::start(1, &["--max-size", "100"]);
        let mut conn = server.connect();
        assert_eq!(conn.info("maxmemory_policy"), "allkeys-s3fifo", "the default");
        assert_eq!(conn.call(&["CONFIG", "SET", "maxmemory-policy", policy]), "+OK\r\n");
        for key in 0..80 {
            conn.call(&["SET", &format!("hot{key}"), "v"]);
            (0..2).for_each(|_| drop(conn.call(&["GET", &format!("hot{key}")])));
        }
        set_many(&mut conn, 0..5000, "v");
        let names: Vec<_> = (0..80).map(|key| format!("hot{key}")).collect();
        let names: Vec<_> = std::iter::once("EXISTS").chain(names.iter().map(String::as_str)).collect();
        assert_eq!(conn.number(&names), kept, "{policy}");
        let counted = ["admitted_keys", "refused_keys", "ghost_hits"].map(|field| conn.info_number(field));
        if kept > 0 {
            assert!(counted[0] >= 1 && counted[1] > 4000, "{counted:?}");
            set_many(&mut conn, 4980..4988, "v");
            assert!(conn.info_number("ghost_hits") > counted[2], "it was evicted a moment ago");
            conn.call(&["SET", "new", "v"]);
            let frequencies = [0, 2, 9].map(|gets| {
                (0..gets).for_each(|_| drop(conn.call(&["GET", "new"])));
                conn.number(&["OBJECT", "FREQ", "new"])
            });
            assert_eq!(frequencies, [0, 2, 3], "no more than three are counted");
        } else {
            assert_eq!(counted, [0, 0, 0]);
            assert!(conn.call(&["OBJECT", "FREQ", "k4999"]).starts_with("-ERR An LFU"));
        }
    }
}

/// On a machine with huge pages always enabled, they would take memory for nothing.
#[test]
fn transparent_huge_pages_are_refused() {
    let server = Server::start(1, &[]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let enabled = status.lines().find_map(|line| line.strip_prefix("THP_enabled:")).map(str::trim);
    // Absent from kernels before 5.0.
    assert!(matches!(enabled, None | Some("0")), "{enabled:?}");
}

#[test]
fn a_value_that_fits_the_whole_bound_is_taken_by_whichever_core_owns_it() {
    let server = Server::start(2, &["--max-memory", "64mb"]);
    let mut conn = server.connect();
    let value = "v".repeat(33 << 20);
    for key in ["a", "b", "c", "d"] {
        assert_eq!(conn.call(&["SET", key, &value]), "+OK\r\n", "{key}");
        assert_eq!(conn.number(&["EXISTS", key]), 1, "{key}");
        assert_eq!(conn.number(&["DEL", key]), 1);
    }
    assert!(conn.call(&["SET", "e", &"v".repeat(65 << 20)]).starts_with("-OOM"), "more than the whole bound");
}

#[test]
fn a_value_that_an_offset_makes_long_is_taken_too() {
    for grown in ["SETRANGE k 34000000 v", "SETBIT k 272000000 1", "BITFIELD k SET u8 #34000000 1"] {
        let server = Server::start(2, &["--max-memory", "64mb"]);
        let mut conn = server.connect();
        let reply = conn.call(&grown.split(' ').collect::<Vec<_>>());
        assert!(!reply.starts_with('-'), "{grown}: {reply}");
        assert_eq!(conn.number(&["STRLEN", "k"]), 34_000_001, "{grown}");
    }
}

#[test]
fn keys_of_one_core_fill_the_whole_bound() {
    for eviction in ["s3fifo", "lru", "none"] {
        let server = Server::start(2, &["--max-size", "1000", "--eviction", eviction]);
        let mut conn = server.connect();
        for key in 0..1000 {
            let words = [["SET", "MSET"][key % 2], &format!("{{tag}}{key}"), "v"];
            assert_eq!(conn.call(&words), "+OK\r\n", "{eviction}: {words:?}");
        }
        assert_eq!(conn.number(&["DBSIZE"]), 1000, "{eviction}: nothing was evicted");
        // Another core has lent all it had, and gets it back.
        let mut other = server.connect();
        let set = (0..100).map(|key| other.call(&["SET", &format!("other{key}"), "v"]));
        let taken = set.filter(|reply| reply == "+OK\r\n").count();
        assert_eq!(taken, if eviction == "none" { 0 } else { 100 }, "{eviction}");
        let size = conn.number(&["DBSIZE"]);
        assert!(size <= 1000, "{eviction}: {size} items");
        if eviction == "none" {
            assert_eq!(conn.number(&["DEL", "{tag}1", "{tag}2"]), 2);
            wait_until("room is found again", || other.call(&["SET", "other", "v"]) == "+OK\r\n");
        }
    }
}

#[test]
fn with_a_volatile_policy_only_items_with_a_time_to_live_go() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--max-size", "1000", "--eviction", "volatile-ttl"]);
        let mut conn = server.connect();
        for number in 0..500 {
            assert_eq!(conn.call(&["SET", &format!("firm:{number}"), "v"]), "+OK\r\n");
            assert_eq!(
                conn.call(&["SET", &format!("timed:{number}"), "v", "EX", &(1000 + number).to_string()]),
                "+OK\r\n"
            );
        }
        // More with a time to live go round; more without one take the place of all of those.
        for number in 500..1500 {
            assert_eq!(conn.call(&["SET", &format!("timed:{number}"), "v", "EX", "5000"]), "+OK\r\n", "{number}");
        }
        let mut refused = 0;
        for number in 500..1100 {
            let reply = conn.call(&["SET", &format!("firm:{number}"), "v"]);
            refused += usize::from(reply.starts_with("-OOM "));
        }
        assert!((100..200).contains(&refused), "{refused} of 600, where there is room for 500");
        let keys: Vec<String> = (0..500).map(|number| format!("firm:{number}")).collect();
        let words: Vec<&str> = std::iter::once("EXISTS").chain(keys.iter().map(String::as_str)).collect();
        assert_eq!(conn.call(&words), ":500\r\n", "none of those without a time to live has gone");
        assert_eq!(conn.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]), "+OK\r\n");
        assert_eq!(conn.call(&["SET", "another", "v"]), "+OK\r\n");
        assert_eq!(conn.call(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]), "+OK\r\n");
        assert_eq!(conn.info("maxmemory_policy"), "volatile-lru");
    }
}
