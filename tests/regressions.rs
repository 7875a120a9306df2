//! Regressions: what once went wrong, as fixed cases, each with its cause in two lines.

#[path = "simulation/cluster.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the simulation, which uses all of it")]
mod cluster;

use aspine::engine::auth::AuthKey;
use aspine::limits::HOLD_WAIT_MS_MAX;
use aspine::resp::reply::skip;
use aspine::shard::Eviction;

use cluster::{Cluster, ClusterConfig, Conn};

fn config(cores: u16) -> ClusterConfig {
    ClusterConfig {
        cores,
        items_max: u64::MAX,
        bytes_max: u64::MAX,
        eviction: Eviction::Lru,
        auth_key: None,
        seed: 1,
        now_ms: 1_767_225_600_000,
    }
}

fn cluster(cores: u16) -> Cluster {
    Cluster::new(&config(cores))
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

/// The replies of a server to `lines` once everything has come to rest.
fn say(cluster: &mut Cluster, conn: Conn, lines: &str) -> String {
    cluster.bytes(conn, lines.as_bytes());
    cluster.settle();
    String::from_utf8(cluster.send(conn, usize::MAX)).expect("text")
}

/// A transaction that gave up waiting for its shards was refused without ending the CLIENT CACHING before it: the next
/// read of a client under OPTOUT was not remembered, and its copy went stale without a word.
#[test]
fn client_caching_ends_with_a_transaction_that_is_refused_late() {
    // The slots of `bar` and `foo` are core 0's and core 1's.
    for (refused, before) in [("RENAME bar foo\r\n", ""), ("MULTI\r\nGET foo\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n")] {
        let mut cluster = cluster(2);
        let (reader, writer) = (cluster.connect(0), cluster.connect(0));
        cluster.tick(0);
        say(&mut cluster, writer, "SET bar 1\r\n");
        assert!(say(&mut cluster, reader, "HELLO 3\r\nCLIENT TRACKING ON OPTOUT\r\n").ends_with("+OK\r\n"));
        cluster.bytes(reader, format!("CLIENT CACHING NO\r\n{refused}").as_bytes());
        // Core 1 hears of it only when it is too late.
        cluster.pass(HOLD_WAIT_MS_MAX);
        let timeout = "-EXECABORT Transaction discarded because its keys were busy for too long; try again\r\n";
        assert_eq!(say(&mut cluster, reader, ""), format!("+OK\r\n{before}{timeout}"));
        assert_eq!(say(&mut cluster, reader, "GET bar\r\n"), "$1\r\n1\r\n");
        assert_eq!(say(&mut cluster, writer, "SET bar 2\r\n"), "+OK\r\n");
        let told = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nbar\r\n";
        assert_eq!(say(&mut cluster, reader, ""), told, "behind {refused}");
    }
}

/// One tick counted for as long as a transaction waits for its shards: a process that had been stopped for a second made
/// every transaction give up that had only just begun.
#[test]
fn a_stopped_server_makes_no_transaction_give_up() {
    let mut cluster = cluster(2);
    let conn = cluster.connect(0);
    cluster.tick(0);
    say(&mut cluster, conn, "SET bar 1\r\n");
    cluster.bytes(conn, b"RENAME bar foo\r\n");
    cluster.tick(3_600_000);
    assert_eq!(say(&mut cluster, conn, ""), "+OK\r\n");
}

/// Commands that only look told a client that a key had expired and left it there: when the clock was set back before
/// its deadline, the next command found it again.
#[test]
fn a_key_that_was_seen_to_have_expired_does_not_come_back() {
    let looks =
        ["EXISTS k", "TYPE k", "TTL k", "PEXPIRETIME k", "PERSIST k", "EXPIRE k 100", "SET k w XX", "SETRANGE k 0 ''"];
    for look in looks {
        let mut cluster = cluster(1);
        let conn = cluster.connect(0);
        cluster.bytes(conn, b"SET k v PX 10\r\n");
        cluster.now_ms += 20;
        cluster.bytes(conn, format!("{look}\r\n").as_bytes());
        cluster.now_ms -= 20;
        cluster.bytes(conn, b"GET k\r\n");
        let said = cluster.send(conn, usize::MAX);
        assert!(said.ends_with(b"$-1\r\n"), "{look}: {}", said.escape_ascii());
    }
}

/// A command that needs room asked the other cores for budget before it was looked at whether it may run: a client that
/// had shown no key could have a full core run nothing until its peers had answered.
#[test]
fn a_client_that_is_refused_asks_no_core_for_budget() {
    let auth_key = AuthKey::new(b"key").ok();
    let mut cluster = Cluster::new(&ClusterConfig { items_max: 2, auth_key, ..config(2) });
    let (known, stranger) = (cluster.connect(0), cluster.connect(0));
    // Both keys are core 0's, which may hold one item without asking.
    assert_eq!(say(&mut cluster, known, "AUTH key\r\nSET bar 1\r\n"), "+OK\r\n+OK\r\n");
    cluster.bytes(stranger, b"SET {bar}2 1\r\n");
    let refused = cluster.send(stranger, usize::MAX);
    assert!(refused.starts_with(b"-NOAUTH "), "at once: {}", refused.escape_ascii());
    cluster.bytes(known, b"SET {bar}2 1\r\n");
    assert_eq!(cluster.send(known, usize::MAX), b"", "it waits for the answer");
    assert_eq!(say(&mut cluster, known, "DBSIZE\r\n"), "+OK\r\n:2\r\n");
}

/// A pattern that is long to compare: more than a turn's share on each long key.
const LONG_PATTERN: &str = "*[ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab]c*";

/// Each SCAN of a pipeline, and each message to a channel that many patterns are compared with, was short enough; all of
/// one read together held the core. And a turn that had done enough said that nothing was left when nobody was answered.
#[test]
fn a_pipeline_that_compares_for_long_is_run_over_many_turns() {
    const COMMANDS: usize = 20;
    let mut cluster = cluster(1);
    let [listener, worker, bystander] = [0; 3].map(|core| cluster.connect(core));
    let key = "a".repeat(60_000);
    for at in 0..4 {
        assert_eq!(say(&mut cluster, worker, &format!("SET {key}{at} v\r\n")), "+OK\r\n");
    }
    for at in 0..50 {
        say(&mut cluster, listener, &format!("PSUBSCRIBE {}{LONG_PATTERN}\r\n", "*".repeat(at)));
    }
    let scan = format!("SCAN 0 MATCH {LONG_PATTERN}\r\n");
    let publish = format!("PUBLISH {} text\r\n", &key[..2_000]);
    for (command, reply) in [(scan, b"*2\r\n$1\r\n1\r\n*0\r\n".as_slice()), (publish, b":0\r\n")] {
        cluster.bytes(worker, command.repeat(COMMANDS).as_bytes());
        let mut replies = cluster.send(worker, usize::MAX);
        assert!(replies.len() <= reply.len(), "one takes all of a turn's share");
        while replies.len() < COMMANDS * reply.len() {
            cluster.bytes(bystander, b"PING\r\n");
            let mut pong = cluster.send(bystander, usize::MAX);
            for _ in 0..3 {
                let goes_on = cluster.turn(0);
                let more = cluster.send(worker, usize::MAX);
                assert!(more.len() <= reply.len(), "one takes all of a turn's share");
                replies.extend(more);
                assert!(goes_on || replies.len() == COMMANDS * reply.len(), "it goes on");
                pong.extend(cluster.send(bystander, usize::MAX));
            }
            assert_eq!(pong, b"+PONG\r\n", "it is its turn");
        }
        assert_eq!(replies.escape_ascii().to_string(), reply.repeat(COMMANDS).escape_ascii().to_string());
        cluster.bytes(worker, format!("CLIENT REPLY OFF\r\n{}SET done yes\r\n", command.repeat(COMMANDS)).as_bytes());
        while cluster.turn(0) {}
        assert_eq!(
            say(&mut cluster, bystander, "GETDEL done\r\n"),
            "$3\r\nyes\r\n",
            "with nothing to send it goes on, too"
        );
        cluster.bytes(worker, b"CLIENT REPLY ON\r\n");
        assert_eq!(cluster.send(worker, usize::MAX), b"+OK\r\n");
    }
}

/// A client is read while its replies wait, so that it seemed to await nothing: a core with a ring, which hears of a send
/// only when it failed, napped until its next tick with commands to run.
#[test]
fn a_client_that_is_read_ahead_awaits_its_output() {
    let mut cluster = cluster(1);
    let conn = cluster.connect(0);
    assert_eq!(say(&mut cluster, conn, &format!("SET k {}\r\n", "v".repeat(50_000))), "+OK\r\n");
    cluster.bytes(conn, &b"GET k\r\n".repeat(100));
    let engine = &mut cluster.engines[0];
    assert!(engine.wants_read(conn.id), "it may write everything before it reads");
    let output = engine.take_output(conn.id).expect("replies");
    assert!(engine.awaits_output(conn.id), "commands wait until it is sent");
    let mut received = output.bytes().len();
    engine.on_output(conn.id, output, received, cluster.now_ms);
    while received < 100 * (50_000 + "$50000\r\n\r\n".len()) {
        let more = cluster.send(conn, usize::MAX).len();
        assert!(more > 0, "it goes on");
        received += more;
    }
    assert!(!cluster.engines[0].awaits_output(conn.id), "all is said");
}

/// The end of the server drops what CLIENT PAUSE holds back, in one walk over the sessions. A command whose turn came after
/// that walk, since the one before it waited for another core, was held back by it: the server waited out its drain.
#[test]
fn what_is_held_back_during_a_drain_ends_its_session() {
    let mut cluster = cluster(2);
    let (admin, writer) = (cluster.connect(0), cluster.connect(0));
    assert_eq!(say(&mut cluster, admin, "CLIENT PAUSE 100000 WRITE\r\n"), "+OK\r\n");
    // DBSIZE asks the other core, and what is behind it waits.
    cluster.bytes(writer, b"DBSIZE\r\nSET k v\r\n");
    cluster.engines.iter_mut().for_each(aspine::engine::Engine::on_drain);
    cluster.settle();
    assert_eq!(cluster.send(writer, usize::MAX), b":0\r\n");
    assert!(cluster.engines[0].is_finished(writer.id), "its session would end only with the pause");
}

/// A command of several keys on several cores counted a hit or a miss for each key, whichever command it was; on one core
/// only those do that read, as in Redis.
#[test]
fn several_keys_count_hits_on_two_cores_as_on_one() {
    let lookups = |cores| {
        let mut cluster = cluster(cores);
        let conn = cluster.connect(0);
        // The slots of `bar` and `foo` are core 0's and core 1's.
        say(&mut cluster, conn, "MSETNX bar abc foo abd\r\nMSETNX bar 1 foo 2\r\nCOPY bar foo\r\nRENAMENX foo bar\r\n");
        let written = lines_of(&say(&mut cluster, conn, "INFO stats\r\n"), "keyspace_");
        say(&mut cluster, conn, "LCS bar foo\r\nLCS bar foo LEN\r\n");
        (written, lines_of(&say(&mut cluster, conn, "INFO stats\r\n"), "keyspace_"))
    };
    assert_eq!(lookups(2), lookups(1));
}

fn lines_of(text: &str, start: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

/// The end of a connection that watched keys of another core: that core's UNWATCH was no client's command.
#[test]
fn what_ends_with_a_connection_is_no_call() {
    let mut cluster = cluster(2);
    let (watcher, conn) = (cluster.connect(0), cluster.connect(0));
    assert_eq!(say(&mut cluster, watcher, "WATCH foo bar\r\n"), "+OK\r\n");
    cluster.engines[0].on_disconnect(watcher.id);
    cluster.settle();
    let stats = say(&mut cluster, conn, "INFO commandstats\r\n");
    let watches = lines_of(&stats, "cmdstat_watch:");
    assert!(watches.len() == 1 && watches[0].starts_with("cmdstat_watch:calls=1,"), "{stats}");
    assert_eq!(lines_of(&stats, "cmdstat_unwatch:"), [""; 0]);
}
