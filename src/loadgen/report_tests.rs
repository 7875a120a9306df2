//! Reports of known runs: every number of the JSON, and the same for people.

use serde_json::Value;

use super::super::wire::{Outcome, Protocol};
use super::super::workload::{Mix, Range};
use super::super::{Loaded, ServerUsage, Target};
use super::*;

fn options() -> Options {
    Options {
        target: Target::Tcp(([127, 0, 0, 1], 6379).into()),
        protocol: Protocol::Resp,
        secret: Some(b"not to be told".to_vec()),
        connections: 50,
        pipeline: 16,
        lanes: vec![Some(1), None],
        length: Length::Operations(300),
        warmup_ns: 250_000_000,
        mix: "get=9,set=1".parse::<Mix>().expect("a mix"),
        rate: Some(5_000),
        keys: 1_000,
        key_dist: "zipf:0.99".parse().expect("a distribution"),
        value_bytes: Range { low: 16, high: 64 },
        ttl_s: None,
        preload: 1_000,
        seed: 7,
        verify: Verify::Values,
        fill_on_miss: false,
        trace: None,
        timeout_ns: 5_000_000_000,
        spin_ns: 0,
    }
}

fn measured() -> Measured {
    let mut record = Record::default();
    for at in 1..=300 {
        let outcome = Outcome { hits: u32::from(at % 4 != 0), misses: u32::from(at % 4 == 0), fault: None };
        record.reply(if at % 3 == 0 { Kind::Set } else { Kind::Get }, at * 1_000, at, outcome);
    }
    record.unanswered(Kind::Get, "the connection was closed by the server");
    record.cpu_ns = 900_000;
    Measured {
        record,
        seconds: 0.5,
        server: Some(ServerUsage { cpu_us: 1_500, rss_bytes: 7 << 20 }),
        loaded: Some(Loaded { keys: 1_000, errors: 0, seconds: 0.25 }),
        interrupted: false,
    }
}

#[test]
fn every_number_of_the_json_is_what_was_measured() {
    let report = Report::new("127.0.0.1:6379".to_owned(), &options(), &measured());
    let json: Value = serde_json::from_str(&report.to_json()).expect("JSON");
    let expected = [
        ("/target", Value::from("127.0.0.1:6379")),
        ("/protocol", "resp".into()),
        ("/seconds", 0.5.into()),
        ("/operations", 300.into()),
        ("/throughput_per_s", 600.0.into()),
        ("/errors", 1.into()),
        ("/unanswered", 1.into()),
        ("/verify_failures", 0.into()),
        ("/hits", 225.into()),
        ("/misses", 75.into()),
        ("/hit_ratio", 0.75.into()),
        ("/client_cpu_us_per_op", 3.0.into()),
        ("/server_cpu_us_per_op", 5.0.into()),
        ("/server_rss_bytes", (7 << 20).into()),
        ("/preload/per_s", 4000.0.into()),
        ("/interrupted", false.into()),
        ("/first_error", "the connection was closed by the server".into()),
        ("/all/count", 300.into()),
        ("/kinds/get/count", 200.into()),
        ("/kinds/get/errors", 1.into()),
        ("/kinds/set/count", 100.into()),
        ("/kinds/set/errors", 0.into()),
        ("/options/cpus", vec![1].into()),
        ("/options/cores", 2.into()),
        ("/options/requests", 300.into()),
        ("/options/duration_s", Value::Null),
        ("/options/warmup_s", 0.25.into()),
        ("/options/rate_per_s", 5000.into()),
        ("/options/key_dist", "zipf:0.99".into()),
        ("/options/value_size", "16-64".into()),
        ("/options/verify", "values".into()),
    ];
    for (path, expected) in expected {
        assert_eq!(json.pointer(path), Some(&expected), "{path}");
    }
    assert!(json.pointer("/all/max_us").and_then(Value::as_f64).is_some_and(|max| (max - 300.0).abs() < 0.3));
    assert!(!report.to_json().contains("not to be told"), "keys of servers are nobody's");
}

#[test]
fn what_is_not_known_is_null_and_not_nought() {
    let nothing = Measured { record: Record::default(), seconds: 0.0, server: None, loaded: None, interrupted: true };
    let report = Report::new("embedded".to_owned(), &options(), &nothing);
    let json: Value = serde_json::from_str(&report.to_json()).expect("JSON without operations");
    for path in ["/hit_ratio", "/client_cpu_us_per_op", "/server_cpu_us_per_op", "/server_rss_bytes", "/preload"] {
        assert_eq!(json.pointer(path), Some(&Value::Null), "{path}");
    }
    assert_eq!((&json["throughput_per_s"], &json["operations"]), (&Value::from(0.0), &Value::from(0)));
    assert!(report.to_text().contains("interrupted"));
}

#[test]
fn people_are_told_the_same() {
    let text = Report::new("127.0.0.1:6379".to_owned(), &options(), &measured()).to_text();
    for words in [
        "target      127.0.0.1:6379 (resp)\n",
        "50 connections, pipeline 16, open loop at 5000/s, 2 threads on CPU 1\n",
        "preload     1000 keys in 0.25 s, 4000/s\n",
        "throughput  600 operations/s (300 in 0.500 s)\n",
        "hit ratio   0.7500 (225 hits, 75 misses)\n",
        "CPU per op  server 5.000 µs, client 3.000 µs\n",
        "server RSS  7.0 MiB\n",
        "errors      1 (every value checked), 1 not answered\n",
        "the first: the connection was closed by the server\n",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("µs")).skip(1).collect();
    assert_eq!(rows.len(), 3, "two kinds and all: {rows:?}");
    assert!(rows[0].starts_with("get ") && rows[1].starts_with("set ") && rows[2].starts_with("all "), "{rows:?}");
    assert!(rows[0].ends_with(" 1") && rows[1].ends_with(" 0"), "{rows:?}");
}
