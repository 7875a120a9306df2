//! A client that writes everything before it reads gets what one gets that reads at once, however both are cut.

use aspine::limits::{READ_AHEAD_PIECE_BYTES, READ_BUFFER_BYTES, SESSION_OUTPUT_BYTES_MAX};
use aspine::shard::Eviction;

use crate::cluster::{Cluster, ClusterConfig, Conn};
use crate::rng::Rng;

const SEEDS: u64 = 40;

fn cluster(cores: u16, seed: u64) -> Cluster {
    Cluster::new(&ClusterConfig {
        cores,
        items_max: u64::MAX,
        bytes_max: u64::MAX,
        eviction: Eviction::Lru,
        auth_key: None,
        seed,
        now_ms: 1_700_000_000_000,
    })
}

/// Requests of all kinds that a session treats in its own way: short and long, for one core and for all, barriers,
/// transactions, mutes. Their keys lie on all cores.
fn requests(rng: &mut Rng) -> Vec<u8> {
    let mut requests = Vec::new();
    let long = rng.one_in(3);
    for _ in 0..rng.between(20, 400) {
        let key = rng.below(4);
        let most = if rng.one_in(4) { 150_000 } else { 500 };
        let some = rng.below(most);
        let request = match rng.weighted(&[3, 10, 2, 1, 1, 1, 2, u32::from(long)]) {
            0 => format!("*3\r\n$3\r\nSET\r\n$2\r\nk{key}\r\n${some}\r\n{}\r\n", "v".repeat(some)),
            1 => format!("GET k{key}\r\n"),
            2 => format!("INCR n{key}\r\n"),
            3 => "DBSIZE\r\n".to_owned(),
            4 => format!("MULTI\r\nGET k{key}\r\nINCR n0\r\nINCR n1\r\nEXEC\r\n"),
            5 => "CLIENT REPLY SKIP\r\nINCR n2\r\n".to_owned(),
            6 => "MGET k0 k1 k2 k3\r\n".to_owned(),
            _ => format!(
                "*3\r\n$6\r\nAPPEND\r\n$2\r\nk{key}\r\n$400000\r\n{}\r\nGET k{key}\r\nDEL k{key}\r\n",
                "a".repeat(400_000)
            ),
        };
        requests.extend(request.into_bytes());
    }
    requests
}

/// What a client gets that reads at once.
fn read_at_once(cluster: &mut Cluster, conn: Conn, requests: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    for piece in requests.chunks(READ_BUFFER_BYTES) {
        cluster.bytes(conn, piece);
        loop {
            cluster.settle();
            let some = cluster.send(conn, usize::MAX);
            if some.is_empty() {
                break;
            }
            said.extend(some);
        }
    }
    said
}

/// What a client gets that reads next to nothing before it has written everything; and the most that was read ahead.
fn written_first(cluster: &mut Cluster, conn: Conn, requests: &[u8], rng: &mut Rng) -> (Vec<u8>, usize) {
    let (mut said, mut ahead_max, mut rest) = (Vec::new(), 0, requests);
    let core = conn.core;
    while !rest.is_empty() {
        let mut still = 0;
        while !cluster.engines[core].wants_read(conn.id) {
            cluster.settle();
            still += 1;
            assert!(still < 100, "{} bytes are never read", rest.len());
        }
        let most = if rng.one_in(2) { READ_BUFFER_BYTES } else { 1 + rng.below(READ_BUFFER_BYTES) };
        let some = rest.len().min(most);
        cluster.bytes(conn, &rest[..some]);
        rest = &rest[some..];
        match rng.below(6) {
            0 => cluster.settle(),
            1 => drop(cluster.turn(rng.below(cluster.engines.len()))),
            2 if rng.one_in(4) => said.extend(cluster.send(conn, rng.below(300_000))),
            _ => {}
        }
        ahead_max = ahead_max.max(cluster.engines[core].read_ahead_bytes(conn.id));
        cluster.engines[core].verify();
    }
    cluster.engines[core].on_eof(conn.id);
    let mut still = 0;
    while !cluster.engines[core].is_finished(conn.id) {
        let most = if rng.one_in(2) { usize::MAX } else { 1 + rng.below(300_000) };
        let some = cluster.send(conn, most);
        if some.is_empty() || rng.one_in(3) {
            cluster.settle();
        }
        still = if some.is_empty() { still + 1 } else { 0 };
        assert!(still < 100, "no reply after {} bytes", said.len());
        said.extend(some);
        cluster.engines[core].verify();
    }
    assert_eq!(cluster.engines[core].read_ahead_bytes(conn.id), 0);
    (said, ahead_max)
}

#[test]
fn who_writes_first_is_answered_as_who_reads_at_once() {
    let (mut full, mut pieces) = (0, 0);
    for seed in 0..SEEDS {
        for cores in [1, 2, 3] {
            let mut rng = Rng::new(seed, "writes first");
            let requests = requests(&mut rng);
            let mut one = cluster(cores, seed);
            let conn = one.connect(0);
            let expected = read_at_once(&mut one, conn, &requests);
            let mut other = cluster(cores, seed);
            let conn = other.connect(0);
            let (said, ahead_max) = written_first(&mut other, conn, &requests, &mut rng);
            let differs = said.iter().zip(&expected).position(|(one, other)| one != other);
            assert_eq!((differs, said.len()), (None, expected.len()), "seed {seed}, {cores} cores");
            full += usize::from(expected.len() > SESSION_OUTPUT_BYTES_MAX);
            pieces += usize::from(ahead_max > 2 * READ_AHEAD_PIECE_BYTES);
        }
    }
    assert!(full > 20 && pieces > 10, "{full} runs with many replies, {pieces} of them with many pieces ahead");
}
