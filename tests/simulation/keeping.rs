//! Keeping: when a snapshot is taken, and when not, in orders of events that random runs hardly reach.

use std::collections::VecDeque;

use aspine::engine::files::{FileAsk, FileEvent, SnapshotConfig};
use aspine::engine::worker::Worker;
use aspine::limits::SNAPSHOT_STEP_BYTES;
use aspine::persist::faulty::FaultyDisk;
use aspine::persist::{Disk, Source};
use aspine::shard::Eviction;
use aspine::slot::{CoreId, Slot};

use crate::cluster::{Cluster, ClusterConfig, Conn};

/// Two cores, and somebody who reads and writes their files; what that says waits until it is passed on.
struct Kept {
    cluster: Cluster,
    keeper: Worker<FaultyDisk>,
    said: VecDeque<(CoreId, FileEvent)>,
    conn: Conn,
    watcher: Conn,
}

const INTERVAL_MS: u64 = 10_000;

impl Kept {
    fn new(snapshots: &SnapshotConfig) -> Kept {
        let config = ClusterConfig {
            cores: 2,
            items_max: u64::MAX,
            bytes_max: u64::MAX,
            eviction: Eviction::Lru,
            auth_key: None,
            seed: 3,
            now_ms: 1_700_000_000_000,
        };
        let disk = FaultyDisk::default();
        let keeper = Worker::new(2, Some(disk), || unreachable!("it is open"));
        let mut cluster = Cluster::with(&config, snapshots);
        let (conn, watcher) = (cluster.connect(0), cluster.connect(1));
        cluster.tick(0);
        Kept { cluster, keeper, said: VecDeque::new(), conn, watcher }
    }

    /// What is asked of files is done; what comes of it waits, but for what is not `held_back`.
    fn work(&mut self, held_back: fn(&FileEvent) -> bool) {
        loop {
            self.cluster.settle();
            for core in 0..2 {
                while let Some(ask) = self.cluster.file_asks[core].pop_front() {
                    let said = &mut self.said;
                    self.keeper.answer(CoreId(core as u16), ask, &mut |core, event| {
                        said.push_back((core, event));
                        true
                    });
                }
            }
            let Some(at) = self.said.iter().position(|(_, event)| !held_back(event)) else { return };
            let Some((core, event)) = self.said.remove(at) else { return };
            self.cluster.file_events[usize::from(core.0)].push_back(event);
        }
    }

    fn say(&mut self, line: &str) -> String {
        self.say_by(self.conn, line)
    }

    fn say_by(&mut self, conn: Conn, line: &str) -> String {
        self.cluster.bytes(conn, format!("{line}\r\n").as_bytes());
        self.cluster.settle();
        String::from_utf8(self.cluster.send(conn, usize::MAX)).expect("text")
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.cluster.tick(100);
            self.cluster.settle();
        }
    }

    fn saves(&mut self) -> String {
        let info = self.say_by(self.watcher, "INFO persistence");
        let saves = info.lines().find_map(|line| line.strip_prefix("rdb_saves:"));
        saves.expect("a line").to_owned()
    }
}

/// A key of the second core.
fn far() -> String {
    (0..).map(|at| format!("far:{at}")).find(|key| Slot::of(key.as_bytes()).owner(2).0 == 1).expect("one")
}

#[test]
fn as_many_changes_during_a_snapshot_as_before_it_are_not_forgotten() {
    let mut kept = Kept::new(&SnapshotConfig { interval_ms: Some(INTERVAL_MS), ..SnapshotConfig::default() });
    let key = far();
    assert_eq!(kept.say(&format!("SET {key} 1")), "+OK\r\n");
    kept.pass(INTERVAL_MS);
    // It is time, and everything has been written, but nobody has been told so; meanwhile as much changes again.
    kept.work(|event| matches!(event, FileEvent::Saved { .. }));
    assert_eq!(kept.said.len(), 1);
    assert_eq!(kept.say(&format!("SET {key} 2")), "+OK\r\n");
    kept.work(|_| false);
    assert_eq!(kept.saves(), "1");
    kept.pass(2 * INTERVAL_MS);
    kept.work(|_| false);
    assert_eq!(kept.saves(), "2", "the second change is saved too");
    kept.pass(3 * INTERVAL_MS);
    kept.work(|_| false);
    assert_eq!(kept.saves(), "2", "and nothing has changed since");
}

#[test]
fn a_save_that_a_load_puts_off_comes_after_it() {
    let mut kept = Kept::new(&SnapshotConfig::default());
    assert_eq!(kept.say(&format!("MSET a 1 {} 2", far())), "+OK\r\n");
    assert_eq!(kept.say("SAVE"), "");
    kept.work(|_| false);
    assert_eq!(kept.say(""), "+OK\r\n");
    // The file is being checked; commands run until the shards are held.
    assert_eq!(kept.say("ASPINE.LOAD"), "");
    let other = kept.cluster.connect(1);
    kept.cluster.bytes(other, b"BGSAVE SCHEDULE later\r\n");
    kept.cluster.settle();
    assert_eq!(kept.cluster.send(other, usize::MAX), b"+Background saving scheduled\r\n");
    kept.work(|_| false);
    assert_eq!(kept.say(""), "+OK\r\n");
    assert_eq!(kept.saves(), "2", "what was put off is done");
}

#[test]
fn the_last_snapshot_does_not_wait_for_ever_behind_a_load() {
    let mut kept = Kept::new(&SnapshotConfig { interval_ms: Some(INTERVAL_MS), ..SnapshotConfig::default() });
    assert_eq!(kept.say("SET a 1"), "+OK\r\n");
    assert_eq!(kept.say("SAVE"), "");
    kept.work(|_| false);
    assert_eq!(kept.say("ASPINE.LOAD"), "+OK\r\n");
    let now_ms = kept.cluster.now_ms;
    kept.cluster.engines[0].save_at_end(now_ms);
    assert!(!kept.cluster.engines[0].is_saved_at_end());
    kept.work(|_| false);
    assert!(kept.cluster.engines[0].is_saved_at_end(), "it was taken behind the load");
    assert_eq!(kept.saves(), "2");
}

#[test]
fn the_last_snapshot_takes_all_of_the_disk() {
    let bounds = SnapshotConfig { bandwidth: 1 << 20, interval_ms: Some(INTERVAL_MS), ..SnapshotConfig::default() };
    let mut kept = Kept::new(&bounds);
    for at in 0..120 {
        assert_eq!(kept.say(&format!("SET key:{at} {}", "x".repeat(60_000))), "+OK\r\n");
    }
    kept.cluster.engines.iter_mut().for_each(aspine::engine::Engine::on_drain);
    let now_ms = kept.cluster.now_ms;
    kept.cluster.engines[0].save_at_end(now_ms);
    // Without time passing: turn after turn is enough.
    for _ in 0..1_000 {
        kept.work(|_| false);
        kept.cluster.tick(0);
    }
    assert!(kept.cluster.engines[0].is_saved_at_end(), "7 MB at 1 MB a second would take 3 seconds on each core");
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_a_snapshot() {
    let mut kept = Kept::new(&SnapshotConfig { bandwidth: 1 << 20, ..SnapshotConfig::default() });
    for at in 0..120 {
        assert_eq!(kept.say(&format!("SET key:{at} {}", "x".repeat(60_000))), "+OK\r\n");
    }
    assert_eq!(kept.say("SAVE"), "");
    kept.work(|_| false);
    kept.pass(500);
    assert_eq!(kept.saves(), "0");
    // By an hour. 7 MB at 1 MB a second take some seconds all the same, and no less.
    kept.cluster.now_ms -= 3_600_000;
    kept.cluster.tick(0);
    for tenths in 0..100 {
        kept.pass(100);
        kept.work(|_| false);
        assert!(tenths > 20 || kept.saves() == "0", "7 MB within two seconds");
    }
    assert_eq!(kept.saves(), "1");
}

#[test]
fn a_flushall_in_the_way_of_a_load_is_told_of_by_every_core() {
    let mut kept = Kept::new(&SnapshotConfig::default());
    let tracker = kept.cluster.connect(0);
    assert!(kept.say_by(tracker, "HELLO 3\r\nCLIENT TRACKING ON").ends_with("+OK\r\n"));
    assert_eq!(kept.say(&format!("MSET a 1 {} 2", far())), "+OK\r\n");
    assert_eq!(kept.say("SAVE"), "");
    kept.work(|_| false);
    assert_eq!(kept.say("ASPINE.LOAD"), "+OK\r\n");
    kept.work(|event| matches!(event, FileEvent::Checked { .. }));
    // The first core is held for the load; the second is not yet, and clears its shard. When that comes to the first, it
    // is loading, and has nothing to clear.
    let (core, checked) = kept.said.pop_front().expect("the file is whole");
    kept.cluster.file_events[usize::from(core.0)].push_back(checked);
    kept.cluster.turn(usize::from(core.0));
    kept.cluster.bytes(kept.watcher, b"FLUSHALL\r\n");
    kept.work(|_| false);
    assert_eq!(kept.say_by(kept.watcher, "DBSIZE"), "+OK\r\n:2\r\n", "it came before what is loaded");
    assert!(kept.say_by(tracker, "PING").contains("invalidate\r\n_\r\n"));
    // From here on, as ever: a client is told when all cores have cleared their shards, not when one has.
    kept.cluster.bytes(kept.conn, b"FLUSHALL\r\n");
    kept.cluster.turn(0);
    let early = kept.cluster.send(tracker, usize::MAX);
    assert_eq!(String::from_utf8_lossy(&early), "", "the second core still has its keys");
    assert!(kept.say_by(tracker, "PING").contains("invalidate\r\n_\r\n"));
}

#[test]
fn a_snapshot_takes_no_more_of_the_disk_than_it_may() {
    const BANDWIDTH: u64 = 4 << 20;
    let snapshots = SnapshotConfig { bandwidth: BANDWIDTH, ..SnapshotConfig::default() };
    let config = ClusterConfig {
        cores: 1,
        items_max: u64::MAX,
        bytes_max: u64::MAX,
        eviction: Eviction::Lru,
        auth_key: None,
        seed: 1,
        now_ms: 1_700_000_000_000,
    };
    let mut cluster = Cluster::with(&config, &snapshots);
    let conn = cluster.connect(0);
    let value = "v".repeat(100_000);
    for at in 0..120 {
        cluster.bytes(conn, format!("*3\r\n$3\r\nSET\r\n$3\r\n{at:03}\r\n$100000\r\n{value}\r\n").as_bytes());
        cluster.send(conn, usize::MAX);
    }
    let disk = FaultyDisk::default();
    let mut keeper = Worker::new(1, Some(disk.clone()), || unreachable!("it is open"));
    // Time at work counts from the first tick on.
    cluster.tick(0);
    cluster.bytes(conn, b"SAVE\r\n");
    let (mut passed_ms, mut bytes, mut said) = (0, 0, Vec::new());
    while said.is_empty() {
        for _ in 0..200 {
            cluster.turn(0);
            while let Some(ask) = cluster.file_asks[0].pop_front() {
                if let FileAsk::Block { block, .. } = &ask {
                    bytes += block.bytes.len() as u64;
                }
                keeper.answer(CoreId(0), ask, &mut |_, event| {
                    cluster.file_events[0].push_back(event);
                    true
                });
            }
        }
        // From the first byte on: what a step of the walk copies is all that may come early.
        let allowed = BANDWIDTH * passed_ms / 1000 + SNAPSHOT_STEP_BYTES as u64;
        assert!(bytes <= allowed, "{bytes} bytes in {passed_ms} ms");
        said = cluster.send(conn, usize::MAX);
        cluster.tick(50);
        passed_ms += 50;
        assert!(passed_ms < 60_000, "it ends");
    }
    assert_eq!(said, b"+OK\r\n");
    assert!(bytes >= 12_000_000 && passed_ms >= 2000, "{bytes} bytes in {passed_ms} ms");
    let mut source = Source::open(disk.clone().open("dump.aspine").expect("a file")).expect("a snapshot");
    let mut items = 0;
    source
        .read(|_| {
            items += 1;
            true
        })
        .expect("a whole one");
    assert_eq!(items, 120);
}
