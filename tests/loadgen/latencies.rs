//! Known delays appear where they must.

use std::time::Duration;

use crate::bench::{count, number, report};
use crate::fake::{Action, Fake};

const MS: u64 = 1000;

/// A server that serves every `every`th GET late.
fn late(every: u64, ms: u64) -> Fake {
    Fake::scripted(move |request| {
        if request.is("GET") && request.number % every == every - 1 {
            Action::ServeAfter(Duration::from_millis(ms))
        } else {
            Action::Serve
        }
    })
}

#[test]
fn every_hundredth_late_is_the_last_percent() {
    let fake = late(100, 50);
    let report = report(fake.addr, &["--connections", "1", "--requests", "1000", "--ratio", "1:0"]);
    // Ten of a thousand: all above 99 %.
    for quantile in ["p999_us", "p9999_us", "max_us"] {
        assert!(number(&report, &format!("/all/{quantile}")) >= (50 * MS) as f64, "{quantile}: {report}");
    }
    assert!(number(&report, "/all/p50_us") < number(&report, "/all/max_us"));
    assert!(number(&report, "/seconds") >= 0.5, "ten times 50 ms");
    assert!(number(&report, "/all/mean_us") >= (50 * MS / 100) as f64);
}

#[test]
fn every_fifth_late_is_a_fifth() {
    let fake = late(5, 20);
    let report = report(fake.addr, &["--connections", "1", "--requests", "200", "--ratio", "1:0", "--pipeline", "1"]);
    for quantile in ["p90_us", "p99_us"] {
        assert!(number(&report, &format!("/kinds/get/{quantile}")) >= (20 * MS) as f64, "{quantile}: {report}");
    }
    assert!(number(&report, "/kinds/get/p50_us") < number(&report, "/kinds/get/max_us"));
}

/// A server that stalls once, at its fiftieth GET.
fn stalls_once(ms: u64) -> Fake {
    Fake::scripted(move |request| {
        if request.is("GET") && request.number == 49 {
            Action::ServeAfter(Duration::from_millis(ms))
        } else {
            Action::Serve
        }
    })
}

#[test]
fn an_open_loop_sees_a_stall_in_all_that_fell_into_it() {
    // Of 750 operations 200 are due in the 400 ms of the stall, and the 100 of its first half wait at least 200 ms:
    // more than a tenth. That they could not be sent in time is no excuse.
    let fake = stalls_once(400);
    let flags = ["--connections", "1", "--rate", "500", "--duration", "1.5", "--warmup", "0", "--ratio", "1:0"];
    let open = report(fake.addr, &flags);
    assert_eq!(count(&open, "/operations"), 750);
    assert_eq!(count(&open, "/unsent"), 0);
    assert!(number(&open, "/all/p90_us") >= (200 * MS) as f64, "{open}");
    assert!(number(&open, "/all/max_us") >= (400 * MS) as f64, "{open}");
}

#[test]
fn a_closed_loop_sees_a_stall_once() {
    let fake = stalls_once(400);
    let closed = report(fake.addr, &["--connections", "1", "--requests", "750", "--ratio", "1:0"]);
    assert_eq!(count(&closed, "/operations"), 750);
    assert!(number(&closed, "/all/max_us") >= (400 * MS) as f64, "{closed}");
    // One of 750; it would take 75 such to be here.
    assert!(number(&closed, "/all/p90_us") < (200 * MS) as f64, "{closed}");
}

#[test]
fn a_rate_beyond_the_server_is_told() {
    // A tenth of the rate is what one connection gets through.
    let fake = late(1, 10);
    let flags = ["--connections", "1", "--rate", "1000", "--duration", "0.5", "--warmup", "0", "--ratio", "1:0"];
    let report = report(fake.addr, &flags);
    assert_eq!(count(&report, "/operations") + count(&report, "/unsent"), 500);
    assert!(count(&report, "/unsent") > 0, "{report}");
    assert!(number(&report, "/all/p50_us") >= (100 * MS) as f64, "what was sent late is late: {report}");
}
