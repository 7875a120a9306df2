//! Instructions: the gate of `cargo bench --bench instructions` can fail, and its file is in order.
//!
//! That it fails for a slowdown that valgrind counts is shown by `.ci/run`, which plants one.

#[path = "../benches/support/counts.rs"]
mod counts;

use counts::{Counts, GROWTH_PERCENT_MAX, Verdict, passes, total};

const COMMITTED: &str = include_str!("../benches/instructions.txt");

fn counts(rows: &[(&str, f64)]) -> Counts {
    let rows = rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    Counts { counted_by: "rustc 1, valgrind 1, x86_64 avx2".to_owned(), rows }
}

fn verdicts(committed: &Counts, now: &Counts) -> Vec<(String, Verdict)> {
    committed.beside(now).into_iter().map(|row| (row.name.clone(), row.verdict())).collect()
}

#[test]
fn what_grew_by_more_than_it_may_fails() {
    let committed = counts(&[("GET", 1000.0), ("SET", 2000.0)]);
    for (get, verdict) in [
        (1000.0, Verdict::Same),
        (1049.9, Verdict::Same),
        (1050.1, Verdict::Grown),
        (1100.0, Verdict::Grown),
        (951.0, Verdict::Same),
        (940.0, Verdict::Shrunk),
    ] {
        let rows = committed.beside(&counts(&[("GET", get), ("SET", 2000.0)]));
        assert_eq!(rows[0].verdict(), verdict, "GET at {get}");
        assert_eq!(rows[1].verdict(), Verdict::Same);
        assert_eq!(passes(&rows), verdict != Verdict::Grown, "GET at {get}");
        assert_eq!(rows[0].render().contains("GROWN"), verdict == Verdict::Grown, "{}", rows[0].render());
    }
}

#[test]
fn a_path_that_one_side_lacks_fails() {
    let committed = counts(&[("GET", 1000.0), ("SET", 2000.0)]);
    let now = counts(&[("INCR", 3000.0), ("GET", 1000.0)]);
    let expected = [("INCR", Verdict::Unmatched), ("GET", Verdict::Same), ("SET", Verdict::Unmatched)];
    assert_eq!(verdicts(&committed, &now), expected.map(|(name, verdict)| (name.to_owned(), verdict)));
    assert!(!passes(&committed.beside(&now)), "a path can't be left out of the count");
    assert!(!passes(&counts(&[]).beside(&now)), "an empty file lets nothing pass");
}

#[test]
fn the_file_is_read_as_it_was_written() {
    let written = counts(&[("engine: round of 16 GET, 2 cores", 39811.1), ("parse GET", 187.0)]);
    assert_eq!(Counts::parse(&written.render()), Ok(written));
    for wrong in ["GET", "GET many", "GET -3.0", "GET 0", "GET NaN"] {
        let message = Counts::parse(wrong).expect_err(wrong);
        assert!(message.contains("line 1") && message.contains(wrong), "{message}");
    }
}

#[test]
fn the_committed_file_is_in_order() {
    let committed = Counts::parse(COMMITTED).expect("benches/instructions.txt");
    assert_eq!(committed.render(), COMMITTED, "written by --bless, not by hand");
    assert!(COMMITTED.contains(&format!("than {GROWTH_PERCENT_MAX} %")), "the head says what may grow");
    assert!(committed.rows.len() >= 20 && committed.counted_by.contains("valgrind"));
    let mut names: Vec<_> = committed.rows.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), committed.rows.len(), "a name stands once");
}

#[test]
fn the_total_of_callgrind_is_found() {
    let out = "version: 1\nevents: Ir\nsummary: 900\n\nfn=(1) main\n3 5\ntotals: 905\n";
    assert_eq!(total(out), Some(905));
    assert_eq!(total("version: 1\n"), None);
}

#[test]
fn key_events_that_nobody_hears_are_free() {
    let committed = Counts::parse(COMMITTED).expect("benches/instructions.txt");
    let count = |name: &str| committed.rows.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("{name}")).1;
    for what in ["SET, DEL", "expiry"] {
        let [off, nobody, heard] =
            ["off", "nobody listens", "heard"].map(|who| count(&format!("events: {what}; {who}")));
        assert!(nobody <= 1.01 * off, "{what}: {nobody} instructions where nobody listens, {off} without key events");
        assert!(heard > nobody, "{what}: a listener is heard of");
    }
}
