//! Reports for programs: JSON, percentile files, pictures.

use std::fs;

use crate::bench::{command, report, run, start};
use crate::fake::Fake;
use crate::support::server::Dir;

#[test]
fn the_report_is_json_with_its_contract() {
    let fake = Fake::honest();
    let report = report(fake.addr, &["--requests", "200", "--keys", "20", "--ratio", "1:1", "--ttl", "9"]);
    assert_eq!(report["target"], fake.addr.to_string());
    assert_eq!(report["protocol"], "resp");
    for name in ["seconds", "operations", "throughput_per_s", "errors", "verify_failures", "hits", "misses"] {
        assert!(report[name].is_number(), "{name}");
    }
    // The server is a thread of this test, and so its process is known.
    for name in ["client_cpu_us_per_op", "server_cpu_us_per_op", "server_rss_bytes"] {
        assert!(report[name].is_number(), "{name} in {report}");
    }
    let latencies = ["count", "p50_us", "p90_us", "p99_us", "p999_us", "p9999_us", "max_us", "mean_us"];
    for of in ["/all", "/kinds/get", "/kinds/set"] {
        let mut last = 0.0;
        for name in latencies {
            let value = report.pointer(&format!("{of}/{name}")).and_then(serde_json::Value::as_f64);
            let value = value.unwrap_or_else(|| panic!("{of}/{name} in {report}"));
            assert!(value > 0.0);
            if name.starts_with('p') || name == "max_us" {
                assert!(value >= last, "{of}/{name} in {report}");
                last = value;
            }
        }
    }
    assert_eq!(report["kinds"]["get"]["errors"], 0);
    assert_eq!(report["options"]["requests"], 200);
    assert_eq!(report["options"]["ttl_s"], "9");
}

#[test]
fn the_report_for_people_says_the_same() {
    let ended = run(Fake::honest().addr, &["--requests", "200", "--ratio", "1:1"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for word in [
        "(200 in ",
        "50 connections",
        "pipeline 1",
        "closed loop",
        "hit ratio",
        "CPU per op",
        "p99.99",
        "\nget ",
        "\nset ",
        "\nall ",
    ] {
        assert!(ended.stdout.contains(word), "{word} in {}", ended.stdout);
    }
}

#[test]
fn percentiles_are_written_and_drawn() {
    let dir = Dir::new();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (first, second, picture, later) = (path("first.hgrm"), path("second.hgrm"), path("a.svg"), path("b.svg"));
    let fake = Fake::honest();
    report(fake.addr, &["--requests", "5000", "--hgrm", &first]);
    let with = format!("the first & best={first}");
    let flags = ["--requests", "300", "--hgrm", &second, "--plot", &picture, "--plot-with", &with, "--label", "now"];
    let report = report(fake.addr, &flags);
    let text = fs::read_to_string(&second).unwrap();
    check_hgrm(&text, 300, report["all"]["max_us"].as_f64().unwrap());
    let svg = fs::read_to_string(&picture).unwrap();
    check_svg(&svg);
    for word in ["the first &amp; best", ">\nnow\n<", "99 %", "percentile"] {
        assert!(svg.contains(word), "{word} in {svg}");
    }
    // Files alone, under their own names.
    let ended = start(command(&["--plot", &later, "--plot-only", "--plot-with", &first, "--plot-with", &second])).end();
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    let svg = fs::read_to_string(&later).unwrap();
    check_svg(&svg);
    assert!(svg.contains("first") && svg.contains("second"));
}

#[test]
fn a_file_that_is_none_is_one_line() {
    let dir = Dir::new();
    let path = dir.path().join("x.hgrm").display().to_string();
    let draw = || start(command(&["--plot", "/nowhere/x.svg", "--plot-only", "--plot-with", &path])).end();
    draw().check_failed(&["cannot open", "x.hgrm"]);
    fs::write(&path, "nothing\n").unwrap();
    draw().check_failed(&["cannot use", "x.hgrm", "line 1"]);
    fs::write(&path, "").unwrap();
    draw().check_failed(&["no percentiles"]);
    fs::write(&path, "1.0 0.5 1 2.0\n2.0 1.0 2\n").unwrap();
    draw().check_failed(&["cannot open", "/nowhere/x.svg"]);
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_run() {
    let fake = Fake::honest();
    for flag in ["--plot", "--hgrm"] {
        let ended = run(fake.addr, &["--requests", "10", flag, "/nowhere/x"]);
        ended.check_failed(&["cannot open /nowhere/x"]);
        assert_eq!((ended.stdout.as_str(), fake.seen("GET")), ("", 0));
    }
}

/// A file as HdrHistogram writes it: rising values and percentiles, the last at 1, and the totals.
fn check_hgrm(text: &str, total: u64, max_us: f64) {
    let mut lines = text.lines();
    let head: Vec<_> = lines.next().unwrap().split_ascii_whitespace().collect();
    assert_eq!(head, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
    let rows: Vec<Vec<f64>> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect())
        .collect();
    assert!(rows.len() > 5, "{text}");
    assert!(
        rows.windows(2).all(|rows| rows[0][0] <= rows[1][0] && rows[0][1] <= rows[1][1] && rows[0][2] <= rows[1][2])
    );
    let last = rows.last().unwrap();
    assert_eq!((last.len(), last[1], last[2]), (3, 1.0, total as f64), "{text}");
    assert!((last[0] * 1000.0 - max_us).abs() <= max_us / 500.0 + 0.001, "{} ms, {max_us} µs", last[0]);
    assert!(
        rows[..rows.len() - 1]
            .iter()
            .all(|row| row.len() == 4 && (row[3] - 1.0 / (1.0 - row[1])).abs() <= row[3] / 100.0)
    );
    assert!(text.contains("#[Mean    =") && text.contains(&format!("Total count    = {total:>12}]")), "{text}");
}

/// Well-formed as XML, as far as SVG of this kind needs: tags nest, attributes are quoted, no bare `&` or `<`.
fn check_svg(svg: &str) {
    assert!(svg.trim_start().starts_with("<svg "), "{svg}");
    let mut open = Vec::new();
    let mut rest = svg.trim();
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        assert!(
            text.split('&').skip(1).all(|after| after.split(';').next().is_some_and(|name| name.len() < 6)),
            "{text}"
        );
        let (tag, after) = rest[at + 1..].split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = after;
        match (tag.strip_prefix('/'), tag.ends_with('/')) {
            (Some(name), _) => assert_eq!(open.pop(), Some(name.trim().to_owned()), "{svg}"),
            (None, true) => assert!(!open.is_empty(), "{tag}"),
            (None, false) => open.push(tag.split_whitespace().next().unwrap().to_owned()),
        }
        assert!(!open.is_empty() || rest.is_empty(), "one root: {rest}");
    }
    assert!(open.is_empty() && rest.is_empty(), "{open:?} {rest}");
}
