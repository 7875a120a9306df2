//! Wire: the table of wire cases on the pure engine: 1 and 2 cores, RESP2 and RESP3, whole and cut at every byte.

use aspine::command::table::TABLE;
use aspine::engine::ProcessFacts;
use aspine::engine::auth::AuthKey;
use aspine::engine::files::SnapshotConfig;
use aspine::shard::Eviction;

use crate::cases::{self, AUTH_KEY, Case};
use crate::cluster::{Cluster, ClusterConfig, Conn};

/// How the bytes of a case arrive.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// All at once.
    Whole,
    /// In two pieces, at this byte.
    At(usize),
    /// A byte at a time.
    EveryByte,
}

/// 2026-01-01: between the past and the future that cases name.
const NOW_MS: u64 = 1_767_225_600_000;

fn new_cluster(case: &Case, cores: u16) -> Cluster {
    // The cores are shown as nodes where they have ports.
    let core_ports = if case.cluster { (7000..7000 + cores).collect() } else { Vec::new() };
    let process = ProcessFacts { core_ports, ..ProcessFacts::default() };
    let config = ClusterConfig {
        cores,
        items_max: u64::MAX,
        bytes_max: u64::MAX,
        eviction: Eviction::Lru,
        auth_key: case.auth.then(|| AuthKey::new(AUTH_KEY).expect("a key")),
        seed: 7,
        now_ms: NOW_MS,
    };
    Cluster::of_process(&config, &SnapshotConfig::default(), &process)
}

/// Removes all keys.
fn empty(cluster: &mut Cluster, case: &Case) {
    let conn = cluster.connect(0);
    let request: &[u8] = if case.auth { b"AUTH secret\r\nFLUSHALL\r\n" } else { b"FLUSHALL\r\n" };
    cluster.bytes(conn, request);
    cluster.settle();
    assert!(cluster.send(conn, usize::MAX).ends_with(b"+OK\r\n"));
    cluster.engines[0].on_disconnect(conn.id);
}

/// Plays a case and returns what came back, and whether the connection is to be closed.
fn play(cluster: &mut Cluster, conn: Conn, input: &[u8], cut: Cut) -> (Vec<u8>, bool) {
    let mut pieces: Vec<&[u8]> = match cut {
        Cut::Whole => vec![input],
        Cut::At(at) => vec![&input[..at], &input[at..]],
        Cut::EveryByte => input.chunks(1).collect(),
    };
    pieces.retain(|piece| !piece.is_empty());
    let mut output = Vec::new();
    for piece in pieces {
        // A socket that may not be read keeps its bytes: time passes until it may (delays of wrong keys).
        for _ in 0..10 {
            if cluster.engines[conn.core].wants_read(conn.id) || cluster.engines[conn.core].is_finished(conn.id) {
                break;
            }
            cluster.settle();
            output.extend(cluster.send(conn, usize::MAX));
            cluster.pass(1_000);
        }
        cluster.bytes(conn, piece);
        cluster.settle();
        output.extend(cluster.send(conn, usize::MAX));
    }
    // The longest delay of a refusal is over then.
    for _ in 0..3 {
        cluster.pass(1_000);
        cluster.settle();
        output.extend(cluster.send(conn, usize::MAX));
    }
    (output, cluster.engines[conn.core].is_finished(conn.id))
}

/// One case in one shape, on an empty server.
fn check(cluster: &mut Cluster, case: &Case, resp3: bool, cut: Cut) -> Result<(), String> {
    let conn = cluster.connect(0);
    if resp3 {
        play(cluster, conn, b"HELLO 3\r\n", Cut::Whole);
    }
    let (output, closed) = play(cluster, conn, case.input, cut);
    cluster.engines[0].on_disconnect(conn.id);
    let expected = if resp3 { case.resp3.unwrap_or(case.resp2) } else { case.resp2 };
    for engine in &cluster.engines {
        engine.verify();
    }
    let cores = cluster.engines.len();
    let shape = format!("{:?} with {cores} cores, resp3 {resp3}, cut {cut:?}", case.name);
    if output != expected {
        let (output, expected) = (output.escape_ascii(), expected.escape_ascii());
        return Err(format!("{shape}:\n  got      {output}\n  expected {expected}"));
    }
    if closed != case.closes {
        return Err(format!("{shape}: closed is {closed}"));
    }
    Ok(())
}

fn check_all(cuts: impl Fn(&Case) -> Vec<Cut>) {
    let mut failures = Vec::new();
    for case in cases::all() {
        for (cores, resp3) in [(1, false), (2, false), (1, true), (2, true)] {
            if resp3 && case.auth {
                continue;
            }
            let mut cluster = new_cluster(case, cores);
            for cut in cuts(case) {
                if let Err(failure) = check(&mut cluster, case, resp3, cut) {
                    failures.push(failure);
                    break;
                }
                empty(&mut cluster, case);
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_case_whole_and_a_byte_at_a_time() {
    check_all(|_| vec![Cut::Whole, Cut::EveryByte]);
}

#[test]
fn every_case_cut_at_every_byte() {
    check_all(|case| (1..case.input.len()).map(Cut::At).collect());
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = cases::all().map(|case| case.name).collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|one, other| one < other));
}

#[test]
fn every_command_has_a_case() {
    let inputs: Vec<String> =
        cases::all().map(|case| String::from_utf8_lossy(case.input).to_ascii_lowercase().replace(' ', "|")).collect();
    let missed: Vec<_> =
        TABLE.iter().map(|row| row.name).filter(|name| !inputs.iter().any(|input| input.contains(name))).collect();
    assert!(missed.is_empty(), "no case for {missed:?}");
}
