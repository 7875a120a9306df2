//! Measures: what is counted and logged of commands, by a stopwatch that moves on a microsecond a reading.

use aspine::shard::Eviction;

use crate::cluster::{Cluster, ClusterConfig, Conn};

fn cluster() -> Cluster {
    Cluster::new(&ClusterConfig {
        cores: 2,
        items_max: u64::MAX,
        bytes_max: u64::MAX,
        eviction: Eviction::Lru,
        auth_key: None,
        seed: 7,
        now_ms: 1_700_000_000_000,
    })
}

fn ask(cluster: &mut Cluster, conn: Conn, line: &str) -> String {
    cluster.bytes(conn, format!("{line}\r\n").as_bytes());
    cluster.settle();
    String::from_utf8(cluster.send(conn, usize::MAX)).expect("text")
}

/// The words of each logged command, the oldest first, and its client.
fn logged(cluster: &mut Cluster, conn: Conn) -> Vec<String> {
    let log = ask(cluster, conn, "SLOWLOG GET -1");
    let words = |entry: &str| {
        let lines = entry.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with([':', '*', '$']));
        lines.collect::<Vec<_>>().join(" ")
    };
    let mut entries: Vec<_> = log.split("*6\r\n").skip(1).map(words).collect();
    entries.reverse();
    entries
}

#[test]
fn what_other_cores_run_is_logged_with_its_client() {
    let mut cluster = cluster();
    let conn = cluster.connect(0);
    ask(&mut cluster, conn, "CONFIG SET slowlog-log-slower-than 0");
    // `a` is of core 1, `b` of core 0.
    assert_eq!(ask(&mut cluster, conn, "SET a 1\r\nSET b 2\r\nMGET a b"), "+OK\r\n+OK\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    ask(&mut cluster, conn, "CONFIG SET slowlog-log-slower-than -1");
    let mut entries = logged(&mut cluster, conn);
    entries.sort();
    let addr = "10.0.0.1:1";
    let expected = [
        format!("CONFIG SET slowlog-log-slower-than 0 {addr}"),
        // A part where it was run, the whole where it was split.
        format!("MGET a {addr}"),
        format!("MGET a b {addr}"),
        format!("SET a 1 {addr}"),
        format!("SET b 2 {addr}"),
    ];
    assert_eq!(entries, expected);
    let stats = ask(&mut cluster, conn, "INFO commandstats");
    for line in ["cmdstat_mget:calls=1,usec=2,", "cmdstat_set:calls=2,usec=2,usec_per_call=1.00,"] {
        assert!(stats.contains(line), "{line} in {stats}");
    }
}

#[test]
fn a_client_that_left_is_logged_without_its_name() {
    let mut cluster = cluster();
    let (gone, conn) = (cluster.connect(0), cluster.connect(0));
    ask(&mut cluster, conn, "CONFIG SET slowlog-log-slower-than 0");
    cluster.bytes(gone, b"SET a 1\r\nMGET a b\r\n");
    cluster.engines[0].on_disconnect(gone.id);
    cluster.settle();
    let entries = logged(&mut cluster, conn);
    assert_eq!(entries[1..], ["MGET a b 10.0.0.1:1", "SET a 1", "MGET a"]);
}

#[test]
fn a_sleep_for_ever_overflows_nothing() {
    let mut cluster = cluster();
    let (first, second, conn) = (cluster.connect(0), cluster.connect(0), cluster.connect(1));
    for sleeper in [first, second] {
        assert_eq!(ask(&mut cluster, sleeper, "DEBUG SLEEP inf"), "");
    }
    assert!(ask(&mut cluster, conn, "INFO commandstats").contains("cmdstat_debug:calls=2,usec=18446744073709551,"));
    assert!(ask(&mut cluster, conn, "LATENCY HISTOGRAM debug").ends_with(":2\r\n"));
}
