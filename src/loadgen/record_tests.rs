//! Records against known latencies: percentiles, sums of lanes, faults, and the file of percentiles.

use super::super::hgrm;
use super::super::report::Latencies;
use super::*;

const RIGHT: Outcome<'static> = Outcome { hits: 0, misses: 0, fault: None };

/// Whether a latency is told right: to three digits.
fn is_near(told: f64, known: f64) -> bool {
    (told - known).abs() <= known / 1000.0
}

/// Latencies of 1 to `count` microseconds, each once, in an order that is none.
fn ramp(count: u64) -> Record {
    let mut record = Record::default();
    for at in 0..count {
        record.reply(Kind::Get, (at * 7919 % count + 1) * 1000, at, RIGHT);
    }
    record
}

#[test]
fn percentiles_are_those_of_known_latencies() {
    let told = Latencies::of(&ramp(100_000).all());
    assert_eq!(told.count, 100_000);
    let known = [
        (told.p50_us, 50_000.0),
        (told.p90_us, 90_000.0),
        (told.p99_us, 99_000.0),
        (told.p999_us, 99_900.0),
        (told.p9999_us, 99_990.0),
        (told.max_us, 100_000.0),
        (told.mean_us, 50_000.5),
    ];
    for (told, known) in known {
        assert!(is_near(told, known), "{told} µs where {known} are known");
    }
}

#[test]
fn one_in_a_thousand_is_the_last_permille() {
    let mut record = Record::default();
    for at in 0..100_000 {
        record.reply(Kind::Set, if at % 1000 == 999 { 30_000_000 } else { 100_000 }, at, RIGHT);
    }
    let told = Latencies::of(&record.all());
    for (told, known) in
        [(told.p99_us, 100.0), (told.p999_us, 100.0), (told.p9999_us, 30_000.0), (told.max_us, 30_000.0)]
    {
        assert!(is_near(told, known), "{told} µs where {known} are known");
    }
}

#[test]
fn latencies_beyond_the_bounds_count_as_the_bounds() {
    let mut record = Record::default();
    record.reply(Kind::Get, 0, 1, RIGHT);
    record.reply(Kind::Get, u64::MAX, 2, RIGHT);
    let all = record.all();
    assert_eq!((all.len(), all.min()), (2, 1));
    assert!(is_near(all.max() as f64, BENCH_LATENCY_NS_MAX as f64), "{}", all.max());
}

#[test]
fn records_of_lanes_add_up_to_that_of_one() {
    let all = ramp(9_000);
    let mut parts = [Record::default(), Record::default(), Record::default()];
    for at in 0..9_000_u64 {
        parts[at as usize % 3].reply(Kind::Get, (at * 7919 % 9_000 + 1) * 1000, at, RIGHT);
    }
    // One lane alone has seen a kind, another a fault.
    parts[1].reply(Kind::Incr, 5_000, 9_001, Outcome { hits: 1, misses: 2, fault: None });
    parts[2].reply(Kind::Get, 5_000, 9_000, Outcome { hits: 0, misses: 0, fault: Some(Fault::Wrong) });
    parts[2].unanswered(Kind::Set, "closed");
    (parts[0].unsent, parts[2].unsent, parts[0].cpu_ns, parts[1].cpu_ns) = (3, 4, 10, 20);
    parts[1].connections_lost = 1;
    let mut sum = Record::default();
    parts.into_iter().for_each(|part| sum += part);
    assert_eq!(sum.answered(), all.answered() + 2);
    assert_eq!((sum.hits, sum.misses, sum.errors()), (1, 2, 2));
    assert_eq!((sum.verify_failures, sum.unanswered, sum.connections_lost), (1, 1, 1));
    assert_eq!((sum.unsent, sum.cpu_ns, sum.last_reply_ns), (7, 30, 9_001));
    assert_eq!(sum.kinds[Kind::Set as usize].errors, 1);
    assert!(sum.kinds[Kind::Set as usize].latency.is_none(), "what was not answered has no latency");
    assert_eq!(sum.first_fault.as_deref(), Some("get returned a value that is not the key's"));
    let gets = sum.kinds[Kind::Get as usize].latency.as_deref().expect("some were answered");
    let one = all.all();
    for quantile in [0.1, 0.5, 0.9, 0.99, 0.999, 1.0] {
        assert_eq!(gets.value_at_quantile(quantile), one.value_at_quantile(quantile), "at {quantile}");
    }
}

#[test]
fn faults_are_counted_by_what_they_are() {
    let mut record = Record::default();
    let faults = [Fault::Error(b"OOM full"), Fault::Strange, Fault::Wrong, Fault::Missing];
    for (at, fault) in (0..).zip(faults) {
        record.reply(Kind::Get, 1_000, at, Outcome { hits: 0, misses: 0, fault: Some(fault) });
    }
    assert_eq!((record.answered(), record.errors(), record.verify_failures), (4, 4, 2));
    assert_eq!(record.first_fault.as_deref(), Some("get was answered: OOM full"), "the first is told");
    record.lost_to("something else");
    assert_eq!(record.first_fault.as_deref(), Some("get was answered: OOM full"));
}

#[test]
fn percentile_files_have_the_layout_of_hdrhistogram() {
    let all = ramp(1_000).all();
    let text = hgrm::write(&all);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
    assert_eq!(lines[1], "");
    assert_eq!(lines[2], "    0.001000 0.000000000000          1           1.00");
    let rows: Vec<&&str> = lines[2..].iter().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rows.last().copied(), Some(&"    1.000447 1.000000000000       1000"));
    let foot: Vec<&str> = lines[lines.len() - 3..].to_vec();
    // Of three digits: the mean of the numbers is 0.5005.
    assert_eq!(foot[0], "#[Mean    =     0.500505, StdDeviation   =     0.288676]");
    assert_eq!(foot[1], "#[Max     =     1.000447, Total count    =         1000]");
    assert!(
        foot[2].starts_with("#[Buckets = ") && foot[2].ends_with(", SubBuckets     =         2048]"),
        "{}",
        foot[2]
    );
    let points = hgrm::parse(&text).expect("what was written");
    assert_eq!(points.len(), rows.len());
    for (read, known) in points.iter().zip(hgrm::points(&all)) {
        assert!(
            (read.quantile - known.quantile).abs() < 1e-9 && (read.ms - known.ms).abs() < 1e-6,
            "{read:?} {known:?}"
        );
    }
}
