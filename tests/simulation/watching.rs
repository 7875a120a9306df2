//! MONITOR beyond what random runs reach: lines that are lost are counted, and lines of all cores are in order.

use aspine::limits::{MONITOR_ARGS_BYTES_MAX, MONITOR_LINES_BYTES_MAX, MONITOR_OUTPUT_BYTES_MAX, TICK_MS};
use aspine::shard::Eviction;

use crate::cluster::{Cluster, ClusterConfig, Conn};

fn cluster(cores: u16) -> Cluster {
    Cluster::new(&ClusterConfig {
        cores,
        items_max: u64::MAX,
        bytes_max: u64::MAX,
        eviction: Eviction::Lru,
        auth_key: None,
        seed: 7,
        now_ms: 1_700_000_000_000,
    })
}

fn say(cluster: &mut Cluster, conn: Conn, words: &str) {
    cluster.bytes(conn, words.as_bytes());
}

/// A client of a core that watches.
fn watcher(cluster: &mut Cluster, core: usize) -> Conn {
    let conn = cluster.connect(core);
    say(cluster, conn, "MONITOR\r\n");
    cluster.settle();
    assert_eq!(cluster.send(conn, usize::MAX), b"+OK\r\n");
    conn
}

/// What a watcher is shown once some ticks have passed: the lines without their times.
fn shown(cluster: &mut Cluster, conn: Conn) -> Vec<String> {
    let mut text = Vec::new();
    for _ in 0..3 {
        cluster.settle();
        cluster.tick(TICK_MS);
        cluster.settle();
        loop {
            let some = cluster.send(conn, usize::MAX);
            if some.is_empty() {
                break;
            }
            text.extend(some);
        }
    }
    let text = String::from_utf8(text).expect("printable");
    text.lines().map(|line| line.split_once(' ').expect("a time").1.to_owned()).collect()
}

/// The lines that a watcher says it was shown and was not.
fn counts(lines: &[String]) -> (usize, usize) {
    let lost = |line: &String| line.strip_prefix("[0 aspine] \"lost\" \"")?.trim_end_matches('"').parse().ok();
    let lost: Vec<usize> = lines.iter().filter_map(lost).collect();
    (lines.len() - lost.len(), lost.iter().sum())
}

/// A line as long as any may be.
fn long() -> String {
    format!("PING {}\r\n", "x".repeat(MONITOR_ARGS_BYTES_MAX))
}

#[test]
fn a_watcher_that_does_not_read_is_told_how_many_lines_it_lost() {
    for core in [0, 1] {
        let mut cluster = cluster(2);
        let (slow, quick) = (watcher(&mut cluster, core), watcher(&mut cluster, core));
        let talker = cluster.connect(0);
        let count = 2 * MONITOR_OUTPUT_BYTES_MAX / MONITOR_ARGS_BYTES_MAX;
        let mut seen = Vec::new();
        for _ in 0..count {
            say(&mut cluster, talker, &long());
            cluster.settle();
            cluster.send(talker, usize::MAX);
            seen.extend(shown(&mut cluster, quick));
        }
        assert_eq!(counts(&seen), (count, 0));
        let seen = shown(&mut cluster, slow);
        let (got, lost) = counts(&seen);
        assert_eq!(got + lost, count);
        assert!(lost >= count / 3, "{lost} of {count}");
        // It is told without another command, and then sees all.
        assert!(seen.last().is_some_and(|line| line.starts_with("[0 aspine]")), "{:?}", seen.last());
        say(&mut cluster, talker, "PING last\r\n");
        assert_eq!(shown(&mut cluster, slow), ["[0 10.0.0.1:3] \"PING\" \"last\""]);
    }
}

#[test]
fn what_a_core_does_not_take_is_lost_and_counted() {
    let mut cluster = cluster(2);
    let watcher = watcher(&mut cluster, 1);
    let talker = cluster.connect(0);
    let count = 2 * MONITOR_LINES_BYTES_MAX / MONITOR_ARGS_BYTES_MAX;
    for _ in 0..count {
        // No turn: nothing leaves the core.
        say(&mut cluster, talker, &long());
        cluster.send(talker, usize::MAX);
    }
    let (got, lost) = counts(&shown(&mut cluster, watcher));
    assert_eq!(got + lost, count);
    assert!(got > 0 && lost >= count / 3, "{lost} of {count}");
}

#[test]
fn lines_of_all_cores_are_in_the_order_of_the_commands() {
    let mut cluster = cluster(4);
    let watchers = [watcher(&mut cluster, 3), watcher(&mut cluster, 0)];
    let talkers: Vec<Conn> = (0..4).map(|core| cluster.connect(core)).collect();
    let mut expected = Vec::new();
    for number in 0..200 {
        // Core 2 says something now and then.
        let core = [0, 3, 1, 3, 0, 1][number % 6];
        let core = if number % 31 == 0 { 2 } else { core };
        say(&mut cluster, talkers[core], &format!("GET key:{number}\r\n"));
        cluster.settle();
        cluster.send(talkers[core], usize::MAX);
        expected.push(format!("[0 10.0.0.1:{}] \"GET\" \"key:{number}\"", core + 3));
        if number % 50 == 49 {
            cluster.tick(TICK_MS);
        }
    }
    for watcher in watchers {
        assert_eq!(shown(&mut cluster, watcher), expected);
    }
}

#[test]
fn a_transaction_is_shown_as_it_runs_and_a_reset_ends_it_all() {
    let mut cluster = cluster(2);
    let (first, second) = (watcher(&mut cluster, 0), watcher(&mut cluster, 1));
    let talker = cluster.connect(1);
    say(
        &mut cluster,
        talker,
        "multi\r\nSET a 1\r\nRENAME a b\r\nclient setname x\r\nexec\r\nconfig get x\r\nSELECT 2\r\n",
    );
    let lines: Vec<_> = shown(&mut cluster, first).iter().map(|line| line.replace("10.0.0.1:3", "")).collect();
    assert_eq!(
        lines,
        [
            r#"[0 ] "multi""#,
            r#"[0 ] "SET" "a" "1""#,
            r#"[0 ] "RENAME" "a" "b""#,
            r#"[0 ] "CLIENT" "SETNAME" "x""#,
            r#"[0 ] "EXEC""#,
            r#"[2 ] "SELECT" "2""#,
        ]
    );
    assert_eq!(shown(&mut cluster, second).len(), lines.len());
    say(&mut cluster, first, "RESET\r\n");
    cluster.engines[second.core].on_disconnect(second.id);
    cluster.settle();
    assert_eq!(cluster.send(first, usize::MAX), b"+RESET\r\n");
    assert!(cluster.engines.iter().all(|engine| !engine.is_monitored()));
    say(&mut cluster, talker, "PING\r\n");
    assert!(shown(&mut cluster, first).is_empty());
}
