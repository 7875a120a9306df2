//! Bounds that random runs are too small to reach: growth in one turn, replies in store for one client.

use aspine::limits::{
    OUTPUT_LONG_BYTES, OUTPUT_QUANTUM_BYTES, PUSH_SENDS_MIN, PUSH_TURNS, SEGMENT_ENTRIES_MAX, SESSION_HELD_FIRST,
    SESSION_OUTPUT_BYTES_MAX, SESSIONS_STEP, TURN_REHASHED_MAX,
};
use aspine::shard::Eviction;
use aspine::slot::Slot;

use crate::cluster::{Cluster, ClusterConfig, Conn, feed, sent};

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

/// Everything a client can be told now.
fn drain(cluster: &mut Cluster, conn: Conn) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        cluster.settle();
        let some = cluster.send(conn, usize::MAX);
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

fn ask(cluster: &mut Cluster, conn: Conn, line: &str) -> String {
    cluster.bytes(conn, format!("{line}\r\n").as_bytes());
    String::from_utf8(drain(cluster, conn)).expect("text")
}

/// More clients than one slice looks at.
const CROWD: usize = SESSIONS_STEP * 2 + SESSIONS_STEP / 2;

#[test]
fn what_concerns_a_crowd_of_clients_goes_in_slices() {
    for cores in [1, 2] {
        let mut cluster = cluster(cores);
        let admin = cluster.connect(0);
        let crowd: Vec<Conn> = (0..CROWD).map(|_| cluster.connect(0)).collect();
        for conn in &crowd {
            assert!(ask(&mut cluster, *conn, "HELLO 3").starts_with('%'));
            assert_eq!(ask(&mut cluster, *conn, "CLIENT TRACKING ON BCAST PREFIX user:"), "+OK\r\n");
        }
        // A slice is not all: the list is there only after further ones.
        cluster.bytes(admin, b"CLIENT LIST\r\n");
        assert!(cluster.send(admin, usize::MAX).is_empty(), "{cores} cores: in one go");
        let list = String::from_utf8(drain(&mut cluster, admin)).expect("text");
        assert_eq!(list.matches("id=").count(), CROWD + 1, "{cores} cores: every client has its line");

        assert_eq!(ask(&mut cluster, admin, "SET user:1 x"), "+OK\r\n");
        assert_eq!(ask(&mut cluster, admin, "FLUSHALL"), "+OK\r\n");
        let told = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$6\r\nuser:1\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n";
        for conn in &crowd {
            assert_eq!(drain(&mut cluster, *conn).escape_ascii().to_string(), told.escape_ascii().to_string());
        }

        let (first, rest) = crowd.split_first().expect("a crowd");
        let killed = ask(&mut cluster, admin, "CLIENT KILL TYPE normal SKIPME yes");
        assert_eq!(killed, format!(":{CROWD}\r\n"), "{cores} cores: everybody else is ended");
        assert!(crowd.iter().all(|conn| cluster.engines[0].is_finished(conn.id)));
        rest.iter().for_each(|conn| cluster.engines[0].on_disconnect(conn.id));
        cluster.engines[0].on_disconnect(first.id);
        let crowd: Vec<Conn> = (0..CROWD).map(|_| cluster.connect(0)).collect();
        cluster.engines[0].on_drain();
        assert!(!crowd.iter().all(|conn| cluster.engines[0].is_finished(conn.id)), "{cores} cores: in one go");
        cluster.settle();
        assert!(crowd.iter().all(|conn| cluster.engines[0].is_finished(conn.id)), "SIGTERM reaches every session");
    }
}

#[test]
fn growth_is_spread_over_turns() {
    for cores in [1, 2] {
        let mut cluster = cluster(cores);
        let conn = cluster.connect(0);
        let (round, rounds) = (1000, 300);
        let mut said = Vec::new();
        for first in (0..round * rounds).step_by(round) {
            let lines: String = (first..first + round).map(|at| format!("SET key:{at} v\r\n")).collect();
            cluster.bytes(conn, lines.as_bytes());
            said.extend(drain(&mut cluster, conn));
        }
        assert_eq!(said, b"+OK\r\n".repeat(round * rounds), "{cores} cores: every SET is answered");
        assert_eq!(ask(&mut cluster, conn, "DBSIZE"), format!(":{}\r\n", round * rounds));
        let info = ask(&mut cluster, conn, "INFO aspine");
        let worst = info.split("turn_rehashed_max=").skip(1).map(|rest| rest.lines().next().map(str::parse::<u64>));
        for worst in worst {
            let worst = worst.expect("a line").expect("a number");
            assert!(worst >= TURN_REHASHED_MAX, "{cores} cores: no turn was cut short, {worst}");
            assert!(worst < TURN_REHASHED_MAX + SEGMENT_ENTRIES_MAX as u64, "{cores} cores: {worst} in a turn");
        }
    }
}

#[test]
fn a_client_that_does_not_read_has_few_long_replies_in_store() {
    let mut cluster = cluster(2);
    let conn = cluster.connect(0);
    let value = "x".repeat(100_000);
    let far = (0..).map(|at| format!("far:{at}")).find(|key| Slot::of(key.as_bytes()).owner(2).0 == 1).expect("one");
    let set = format!("*3\r\n$3\r\nSET\r\n${}\r\n{far}\r\n${}\r\n{value}\r\n", far.len(), value.len());
    cluster.bytes(conn, set.as_bytes());
    assert_eq!(drain(&mut cluster, conn), b"+OK\r\n");
    let gets = 1000;
    cluster.bytes(conn, format!("GET {far}\r\n").repeat(gets).as_bytes());
    cluster.settle();
    let in_store = cluster.engines[0].unsent_bytes(conn.id);
    let bound = SESSION_OUTPUT_BYTES_MAX + (SESSION_HELD_FIRST + 1) * (value.len() + 16);
    assert!((1..=bound).contains(&in_store), "{in_store} bytes for a client that does not read");
    let all = drain(&mut cluster, conn);
    assert_eq!(all.len(), gets * (value.len() + "$100000\r\n\r\n".len()), "who reads gets everything");
}

#[test]
fn only_time_at_work_makes_a_client_idle() {
    let mut cluster = cluster(1);
    let conn = cluster.connect(0);
    assert_eq!(ask(&mut cluster, conn, "CONFIG SET timeout 5"), "+OK\r\n");
    // The clock is set forward by an hour, or the process was stopped for one; then it is set back.
    cluster.tick(3_600_000);
    cluster.now_ms -= 7_200_000;
    cluster.tick(0);
    assert_eq!(ask(&mut cluster, conn, "PING"), "+PONG\r\n");
    for _ in 0..4 {
        cluster.pass(1_000);
    }
    assert!(!cluster.engines[0].is_finished(conn.id), "idle for four of five seconds");
    cluster.pass(1_000);
    assert!(cluster.engines[0].is_finished(conn.id), "idle for five seconds");
}

#[test]
fn who_was_silent_for_long_is_not_stuck_with_the_first_message() {
    for tracks in [false, true] {
        let mut cluster = cluster(1);
        let (listener, writer) = (cluster.connect(0), cluster.connect(0));
        let begin = if tracks { "HELLO 3\r\nCLIENT TRACKING ON\r\nGET k" } else { "SUBSCRIBE news" };
        let _ = ask(&mut cluster, listener, begin);
        for _ in 0..300 {
            cluster.pass(1_000);
        }
        // In one turn something comes for it, and time is looked at before it leaves.
        let change = b"PUBLISH news hi\r\nSET k v\r\n";
        cluster.bytes(writer, change);
        cluster.tick(0);
        assert!(!cluster.engines[0].is_finished(listener.id), "nobody has tried to send it");
        let said = String::from_utf8(drain(&mut cluster, listener)).expect("text");
        assert!(said.contains(if tracks { "invalidate" } else { "message" }), "{said}");
        // That it was sent and not taken for a minute is another matter.
        if tracks {
            let _ = ask(&mut cluster, listener, "GET k");
        }
        cluster.bytes(writer, change);
        cluster.turn(0);
        for _ in 0..59 {
            cluster.pass(1_000);
        }
        assert!(!cluster.engines[0].is_finished(listener.id), "it has a minute");
        for _ in 0..3 {
            cluster.pass(1_000);
        }
        assert!(cluster.engines[0].is_finished(listener.id), "a minute has passed");
    }
}

#[test]
fn who_asks_goes_ahead_of_who_is_told() {
    let mut cluster = cluster(1);
    let listeners: Vec<Conn> = (0..3).map(|_| cluster.connect(0)).collect();
    for listener in &listeners {
        let _ = ask(&mut cluster, *listener, "HELLO 3");
        let _ = ask(&mut cluster, *listener, "SUBSCRIBE news");
    }
    let writer = cluster.connect(0);
    // Effect by effect: this is the order in which a turn takes them.
    while cluster.engines[0].take_ready().is_some() {}
    let next = |cluster: &mut Cluster| cluster.engines[0].take_ready();
    cluster.bytes(writer, b"PUBLISH news 1\r\n");
    // The writer has its answer first; then a listener is sent the message, and the turn ends.
    assert_eq!(next(&mut cluster), Some(writer.id));
    assert_eq!(next(&mut cluster), Some(listeners[0].id));
    // By the next, one of the two left is told more, and the other asks for something.
    cluster.bytes(writer, b"PUBLISH news 2\r\n");
    cluster.bytes(listeners[2], b"PING\r\n");
    assert_eq!(next(&mut cluster), Some(writer.id));
    assert_eq!(next(&mut cluster), Some(listeners[2].id));
    assert_eq!(next(&mut cluster), Some(listeners[1].id));
    assert_eq!(next(&mut cluster), Some(listeners[0].id));
    assert_eq!(next(&mut cluster), None, "each is there once");
    let said = String::from_utf8(drain(&mut cluster, listeners[2])).expect("text");
    assert!(said.contains("\r\n1\r\n") && said.contains("\r\n2\r\n") && said.ends_with("+PONG\r\n"), "{said}");
}

#[test]
fn a_turn_sends_a_few_pushes_and_every_push_has_its_turn_soon() {
    for count in [PUSH_SENDS_MIN + 1, 100, 1000] {
        let mut cluster = cluster(1);
        let listeners: Vec<Conn> = (0..count).map(|_| cluster.connect(0)).collect();
        for listener in &listeners {
            let _ = ask(&mut cluster, *listener, "SUBSCRIBE news");
        }
        let writer = cluster.connect(0);
        // One that asks without end: each turn has messages for all.
        let mut told = vec![0; count];
        for turn in 0..20 {
            let engine = &mut cluster.engines[0];
            feed(engine, writer.id, b"PUBLISH news hi\r\n", cluster.now_ms);
            assert_eq!(engine.take_ready(), Some(writer.id), "the answer goes first");
            let _ = sent(engine, writer.id, usize::MAX, cluster.now_ms);
            let mut sends = 0;
            while let Some(id) = engine.take_ready() {
                let _ = sent(engine, id, usize::MAX, cluster.now_ms);
                let at = listeners.iter().position(|listener| listener.id == id).expect("a listener");
                assert!(turn - told[at] <= PUSH_TURNS + 1, "it waits since turn {} of {turn}", told[at]);
                told[at] = turn;
                sends += 1;
            }
            assert!(sends <= PUSH_SENDS_MIN.max(count / PUSH_TURNS), "{sends} of {count}");
            engine.on_turn_end(0);
        }
        assert!(told.iter().all(|turn| *turn > 20 - PUSH_TURNS - 2), "{told:?}");
    }
}

#[test]
fn a_long_reply_goes_in_quanta_that_all_share() {
    const LEN: usize = 3 << 20;
    let mut cluster = cluster(1);
    let [writer, one, other, quick] = [0; 4].map(|_| cluster.connect(0));
    cluster.bytes(writer, format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${LEN}\r\n{}\r\n", "v".repeat(LEN)).as_bytes());
    assert_eq!(drain(&mut cluster, writer), b"+OK\r\n");
    cluster.bytes(one, b"GET k\r\n");
    cluster.bytes(other, b"GET k\r\n");
    let mut received = [0; 2];
    let mut turns = 0;
    while received != [LEN + "$3145728\r\n\r\n".len(); 2] {
        turns += 1;
        let engine = &mut cluster.engines[0];
        feed(engine, quick.id, b"PING\r\n", cluster.now_ms);
        let mut bytes = 0;
        let mut was_quick = false;
        while let Some(id) = engine.take_ready() {
            let said = sent(engine, id, OUTPUT_QUANTUM_BYTES, cluster.now_ms).len();
            was_quick |= id == quick.id;
            if let Some(at) = [one.id, other.id].iter().position(|long| *long == id) {
                received[at] += said;
                bytes += said;
            }
        }
        assert!(was_quick, "who has little to hear does not wait");
        assert!(bytes <= OUTPUT_QUANTUM_BYTES + OUTPUT_LONG_BYTES, "{bytes} in one turn");
        assert!(
            received[0].abs_diff(received[1]) <= OUTPUT_QUANTUM_BYTES + OUTPUT_LONG_BYTES,
            "they take turns: {received:?}"
        );
        engine.on_turn_end(0);
    }
    assert!(turns <= 2 * LEN / OUTPUT_QUANTUM_BYTES + 3, "{turns}");
}

#[test]
fn who_waits_for_another_core_for_long_is_not_stuck() {
    let mut cluster = cluster(2);
    let conn = cluster.connect(0);
    let key = |core: u16| (0..).map(|at| format!("k{at}")).find(|key| Slot::of(key.as_bytes()).owner(2).0 == core);
    let (near, far) = (key(0).expect("one"), key(1).expect("one"));
    cluster.bytes(conn, format!("GET {near}\r\nGET {far}\r\n").as_bytes());
    cluster.turn(0);
    // The other core is slow; the first reply waits so that one send carries both.
    for _ in 0..100 {
        cluster.pass(1_000);
    }
    assert!(!cluster.engines[0].is_finished(conn.id));
    assert_eq!(drain(&mut cluster, conn), b"$-1\r\n$-1\r\n");
}

#[test]
fn long_arguments_arrive_whole_however_they_are_cut() {
    let value: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let set = [format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat();
    // A command behind it comes with its end, or is cut itself; a second long one begins where the first ends.
    let all = [&set[..], b"STRLEN k\r\n", &set, &set, b"GETRANGE k 1 3\r\nPING\r\n"].concat();
    for piece in [5_000, 16_384, 70_001, 1_000_000, 4_000_000, all.len()] {
        for cores in [1, 2] {
            let mut cluster = cluster(cores);
            let conn = cluster.connect(0);
            let mut lent = false;
            let mut said = Vec::new();
            for bytes in all.chunks(piece) {
                cluster.bytes(conn, bytes);
                said.extend(drain(&mut cluster, conn));
                let engine = &mut cluster.engines[0];
                if let Some(input) = engine.lend_input(conn.id) {
                    lent = true;
                    assert!(input.capacity() <= 2 * set.len() + (2 << 20), "{} for {}", input.capacity(), set.len());
                    engine.on_input(conn.id, input, 0, cluster.now_ms);
                }
            }
            assert_eq!(said, b"+OK\r\n:3000000\r\n+OK\r\n+OK\r\n$3\r\n\x01\x02\x03\r\n+PONG\r\n", "{piece}, {cores}");
            assert!(lent || piece == all.len(), "pieces of {piece} are received where they stay");
        }
    }
}
