//! Regressions: what once went wrong, as fixed cases, each with its cause in two lines.

#[path = "simulation/cluster.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the simulation, which uses all of it")]
mod cluster;

use aspine::resp::reply::skip;
use aspine::shard::Eviction;

use cluster::{Cluster, ClusterConfig};

fn cluster(cores: u16) -> Cluster {
    Cluster::new(&ClusterConfig {
        cores,
        items_max: u64::MAX,
        bytes_max: u64::MAX,
        eviction: Eviction::Lru,
        auth_key: None,
        seed: 1,
        now_ms: 1_767_225_600_000,
    })
}

/// Finishing a command of every core ran the session's next one by a call: with one core each of a pipeline nested in
/// the one before, and some thousands of DBSIZE in one read overflowed the stack.
#[test]
fn a_long_pipeline_of_commands_for_every_core_does_not_nest() {
    for cores in [1, 2] {
        let mut cluster = cluster(cores);
        let conn = cluster.connect(0);
        for _ in 0..2 {
            cluster.bytes(conn, &b"DBSIZE\n".repeat(4_000));
        }
        cluster.settle();
        let replies = cluster.send(conn, usize::MAX);
        assert_eq!(replies, b":0\r\n".repeat(8_000));
    }
}

/// The sizes of a session's buffers were taken while its input was out of it for a round: the offset of what had run
/// was then past the end of nothing, and CLIENT INFO behind a command for every core subtracted below zero.
#[test]
fn client_info_in_a_round_over_kept_input() {
    for cores in [1, 2] {
        let mut cluster = cluster(cores);
        let conn = cluster.connect(0);
        let request = [b"DBSIZE\r\nDBSIZE\r\nCLIENT INFO\r\n".as_slice(), &b"PING\r\n".repeat(20)].concat();
        cluster.bytes(conn, &request);
        cluster.settle();
        let replies = cluster.send(conn, usize::MAX);
        assert!(replies.starts_with(b":0\r\n:0\r\n$"), "{}", replies.escape_ascii());
        assert!(replies.ends_with(b"\r\n+PONG\r\n"), "{}", replies.escape_ascii());
    }
}

/// A client that was killed while a part of a reply had left and another core worked for it lost the rest of that
/// reply, but was still sent the other core's: a torn stream, before the connection closed.
#[test]
fn a_killed_client_is_not_sent_a_torn_reply() {
    let mut cluster = cluster(2);
    let (victim, killer) = (cluster.connect(0), cluster.connect(0));
    // The slots of `bar` and `foo` are core 0's and core 1's.
    let value = "x".repeat(20_000);
    cluster.bytes(killer, format!("MSET bar {value} foo 1\r\n").as_bytes());
    cluster.settle();
    cluster.send(killer, usize::MAX);
    cluster.bytes(victim, b"GET bar\r\nGET foo\r\n");
    let mut received = cluster.send(victim, 100);
    assert_eq!(skip(&received), Ok(None), "a part of the first reply");
    cluster.bytes(killer, b"CLIENT KILL ADDR 10.0.0.1:1\r\n");
    cluster.settle();
    received.extend(cluster.send(victim, usize::MAX));
    assert_eq!(received.len(), 100, "nothing more is sent");
    assert!(cluster.engines[0].is_finished(victim.id));
    assert_eq!(cluster.send(killer, usize::MAX), b":1\r\n");
    cluster.engines[0].on_disconnect(victim.id);
    cluster.engines[0].on_disconnect(killer.id);
    assert!(cluster.engines.iter().all(|engine| engine.is_idle() && engine.tickets_open() == 0));
}

/// SCAN took `*` for a pattern like any other, and Redis's matching, which is ours, finds no empty text by it. Redis
/// leaves `*` out before it matches, in SCAN as in KEYS.
#[test]
fn a_scan_for_anything_finds_the_empty_key() {
    let mut cluster = cluster(1);
    let conn = cluster.connect(0);
    cluster.bytes(conn, b"SET '' v\r\nSCAN 0 MATCH *\r\nKEYS *\r\n");
    cluster.settle();
    let expected = b"+OK\r\n*2\r\n$1\r\n0\r\n*1\r\n$0\r\n\r\n*1\r\n$0\r\n\r\n";
    assert_eq!(cluster.send(conn, usize::MAX), expected);
}
