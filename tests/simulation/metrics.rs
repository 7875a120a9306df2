//! The page of metrics: what it says of cores that answered, and of those that did not.

use aspine::engine::metrics::{CoreMetrics, Server, render};
use aspine::shard::Eviction;

use crate::cluster::{Cluster, ClusterConfig, Conn};

fn cluster(bytes_max: u64) -> (Cluster, Conn) {
    let mut cluster = Cluster::new(&ClusterConfig {
        cores: 2,
        items_max: u64::MAX,
        bytes_max,
        eviction: Eviction::Lru,
        auth_key: None,
        seed: 11,
        now_ms: 1_700_000_000_000,
    });
    let conn = cluster.connect(0);
    (cluster, conn)
}

fn ask(cluster: &mut Cluster, conn: Conn, lines: &str) -> String {
    cluster.bytes(conn, lines.as_bytes());
    cluster.settle();
    String::from_utf8(cluster.send(conn, usize::MAX)).expect("text")
}

fn metrics(cluster: &Cluster) -> Vec<Option<CoreMetrics>> {
    let of_core = cluster.engines.iter().map(|engine| {
        let mut metrics = engine.begin_metrics();
        while engine.add_metrics(&mut metrics) {}
        Some(metrics)
    });
    of_core.collect()
}

/// The values of a family's samples that have this label, or any.
fn values(page: &str, name: &str, label: &str) -> Vec<f64> {
    let of_family = page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(['{', ' ']));
    let samples = of_family.filter(|rest| rest.contains(label));
    samples.map(|rest| rest.rsplit(' ').next().expect("a value").parse().expect("a number")).collect()
}

fn sum(page: &str, name: &str, label: &str) -> f64 {
    values(page, name, label).iter().sum()
}

#[test]
fn what_was_counted_is_on_the_page() {
    let (mut cluster, conn) = cluster(1 << 20);
    let sets: String = (0..100).map(|key| format!("SET key:{key} v\r\n")).collect();
    ask(&mut cluster, conn, &sets);
    let gets: String = (0..150).map(|key| format!("GET key:{key}\r\n")).collect();
    ask(&mut cluster, conn, &gets);
    ask(&mut cluster, conn, "SET a\r\nNONE\r\nSUBSCRIBE a b c\r\n");
    let server = Server { now_ms: cluster.now_ms + 5_000, started_ms: 1_000, ready: true, ..Server::default() };
    let page = render(&metrics(&cluster), &server);
    for (name, label, expected) in [
        ("aspine_ready", "", 1.0),
        ("aspine_draining", "", 0.0),
        ("aspine_core_up", "core=\"0\"", 1.0),
        ("aspine_core_up", "core=\"1\"", 1.0),
        ("aspine_core_info", "core=\"1\",cpu=\"1\",first_slot=\"8192\",last_slot=\"16383\"", 1.0),
        ("aspine_connections", "core=\"0\"", 1.0),
        ("aspine_connections", "core=\"1\"", 0.0),
        ("aspine_keys", "core=\"", 100.0),
        ("aspine_keyspace_hits_total", "core=\"", 100.0),
        ("aspine_keyspace_misses_total", "core=\"", 50.0),
        ("aspine_memory_budget_bytes", "", f64::from(1 << 20)),
        ("aspine_keys_budget", "core=\"0\"", f64::INFINITY),
        ("aspine_pubsub_channels", "", 3.0),
        ("aspine_command_duration_seconds_bucket", "command=\"get\",le=\"+Inf\"", 150.0),
        ("aspine_command_duration_seconds_count", "command=\"set\"", 100.0),
        ("aspine_commands_rejected_total", "command=\"set\"", 1.0),
        ("aspine_commands_failed_total", "command=\"set\"", 0.0),
        ("aspine_core_command_duration_seconds_count", "", 251.0),
        ("aspine_error_replies_total", "code=\"ERR\"", 2.0),
        ("aspine_loading", "", 0.0),
        ("aspine_snapshots_total", "", 0.0),
        ("process_start_time_seconds", "", 1.0),
    ] {
        assert_eq!(sum(&page, name, label), expected, "{name} {label} in {page}");
    }
    assert!(sum(&page, "aspine_forwarded_operations_total", "core=\"0\"") > 0.0);
    assert!(sum(&page, "aspine_command_duration_seconds_sum", "command=\"get\"") >= 150e-6, "a microsecond each");
    assert!(page.ends_with('\n') && !page.contains('\r'), "{page}");
}

#[test]
fn a_reset_sets_every_counter_of_the_cores_to_zero() {
    let (mut cluster, conn) = cluster(1 << 20);
    let lines: String = (0..100).map(|key| format!("SET key:{key} v\r\nGET key:{key}\r\nGET none:{key}\r\n")).collect();
    ask(&mut cluster, conn, &lines);
    let before = render(&metrics(&cluster), &Server::default());
    ask(&mut cluster, conn, "CONFIG RESETSTAT\r\n");
    let after = render(&metrics(&cluster), &Server::default());
    let families = before.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"));
    let of_cores: Vec<_> = families.filter(|name| !values(&before, name, "core=\"").is_empty()).collect();
    assert!(of_cores.len() >= 14, "{of_cores:?}");
    assert!(of_cores.iter().filter(|name| sum(&before, name, "") >= 50.0).count() >= 5, "{before}");
    for name in of_cores {
        // The reset's own reply.
        let reply = if name == "aspine_sent_bytes_total" { "+OK\r\n".len() as f64 } else { 0.0 };
        assert_eq!(sum(&after, name, ""), reply, "{name} in {after}");
    }
}

#[test]
fn commands_come_in_steps_and_each_once() {
    let (mut cluster, conn) = cluster(u64::MAX);
    let words = "APPEND a b|BITCOUNT a|DECR n|DEL a|ECHO a|EXISTS a|EXPIRE a 1|GET a|GETDEL a|GETSET a b|INCR n|KEYS *|PING|\
                 PTTL a|SET a b|SETNX a b|STRLEN a|TIME|TOUCH a|TTL a|TYPE a|UNLINK a";
    let lines = words.replace('|', "\r\n") + "\r\n";
    ask(&mut cluster, conn, &lines);
    let page = render(&metrics(&cluster), &Server::default());
    for word in words.split('|') {
        let label = format!("command=\"{}\"", word.split(' ').next().expect("a name").trim().to_lowercase());
        assert_eq!(values(&page, "aspine_command_duration_seconds_count", &label), [1.0], "{label} in {page}");
    }
    assert_eq!(sum(&page, "aspine_core_command_duration_seconds_count", ""), 22.0);
}

#[test]
fn a_core_that_did_not_answer_is_down_and_has_no_numbers() {
    let (cluster, _) = cluster(u64::MAX);
    let mut cores = metrics(&cluster);
    cores[0] = None;
    let page = render(&cores, &Server::default());
    assert_eq!(values(&page, "aspine_core_up", ""), [0.0, 1.0]);
    assert_eq!(values(&page, "aspine_keys", ""), [0.0]);
    assert_eq!(values(&page, "aspine_memory_budget_bytes", "core=\"1\""), [f64::INFINITY]);
    assert!(!page.contains("aspine_snapshots_total"), "only core 0 knows: {page}");
    let nobody = render(&[None, None], &Server { draining: true, ..Server::default() });
    assert_eq!(values(&nobody, "aspine_core_up", ""), [0.0, 0.0]);
    assert_eq!(values(&nobody, "aspine_draining", ""), [1.0]);
}
