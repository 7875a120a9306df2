//! Tests of the schedule: counts and times, against counting by hand.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// Takes all that is due at `now_ns`.
fn take_all(schedule: &mut Schedule, now_ns: u64) -> Vec<u64> {
    let mut taken = Vec::new();
    while let Next::Due(at_ns) = schedule.next(now_ns) {
        schedule.take(at_ns);
        taken.push(at_ns);
    }
    taken
}

#[test]
fn a_closed_loop_ends_by_time() {
    let mut schedule = Schedule::new(100, 10, Stop::AfterNs(50), None);
    assert!(!schedule.is_open());
    assert_eq!(schedule.next(99), Next::At(100));
    for now in [100, 109, 110, 159] {
        assert_eq!(schedule.next(now), Next::Due(now));
        schedule.take(now);
    }
    assert_eq!(schedule.next(160), Next::Over);
    assert_eq!(schedule.behind(160), 0);
}

#[test]
fn a_closed_loop_ends_by_count_of_what_counts() {
    let mut schedule = Schedule::new(0, 10, Stop::AfterOperations(3), None);
    (0..100).for_each(|_| schedule.take(9));
    for _ in 0..3 {
        assert_eq!(schedule.next(10), Next::Due(10));
        schedule.take(10);
    }
    assert_eq!(schedule.next(10), Next::Over);
    assert_eq!(Schedule::new(0, 0, Stop::AfterOperations(0), None).next(0), Next::Over);
}

#[test]
fn an_open_loop_keeps_its_times_through_a_stall() {
    let rate = Rate { per_s: 1000, lane: 0, lanes: 1 };
    let mut schedule = Schedule::new(0, 0, Stop::AfterNs(S), Some(rate));
    assert_eq!(take_all(&mut schedule, 5 * MS), [0, MS, 2 * MS, 3 * MS, 4 * MS, 5 * MS]);
    assert_eq!(schedule.next(5 * MS), Next::At(6 * MS));
    // Nothing can be sent for 200 ms: 200 operations are late, each by its own time.
    assert_eq!(schedule.behind(205 * MS + 1), 200);
    let late = take_all(&mut schedule, 205 * MS);
    assert_eq!(late, (6..=205).map(|ms| ms * MS).collect::<Vec<_>>());
    take_all(&mut schedule, 2 * S);
    assert_eq!(schedule.next(2 * S), Next::Over);
    assert_eq!(schedule.behind(2 * S), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// All lanes together send the rate, evenly, whenever they look; and nothing is lost or sent twice.
    #[test]
    fn lanes_share_a_rate(
        per_s in 1_u64..2_000_000, lanes in 1_u64..9, begin in 0..S, ms in 1_u64..500,
        mut looks in prop::collection::vec(0..S, 0..20)
    ) {
        let end = begin + ms * MS;
        looks.iter_mut().for_each(|look| *look = begin + *look % (ms * MS));
        looks.sort_unstable();
        looks.push(end);
        let mut all = Vec::new();
        for lane in 0..lanes {
            let rate = Rate { per_s, lane, lanes };
            let mut schedule = Schedule::new(begin, 0, Stop::AfterNs(ms * MS), Some(rate));
            let mut taken = Vec::new();
            for look in &looks {
                let before = schedule.behind(*look);
                let due = take_all(&mut schedule, *look);
                // What is due exactly now is not behind yet.
                let on_time = due.iter().filter(|at| **at == *look).count() as u64;
                prop_assert_eq!(before, due.len() as u64 - on_time);
                taken.extend(due);
            }
            prop_assert_eq!(schedule.next(end), Next::Over);
            all.extend(taken);
        }
        all.sort_unstable();
        let expected: Vec<u64> = (0..).map(|number| begin + (u128::from(number as u64) * 1_000_000_000 / u128::from(per_s)) as u64)
            .take_while(|at| *at < end).collect();
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn counts_are_exact_after_any_warm_up(warmup in 0..S, count in 0_u64..1000, steps in prop::collection::vec(0..10 * MS, 1..50)) {
        let mut schedule = Schedule::new(0, warmup, Stop::AfterOperations(count), None);
        let (mut now, mut counted) = (0, 0);
        'run: for step in steps.iter().cycle() {
            now += step + 1;
            for _ in 0..7 {
                match schedule.next(now) {
                    Next::Due(at) => {
                        schedule.take(at);
                        counted += u64::from(at >= warmup);
                    }
                    Next::At(_) => {}
                    Next::Over => break 'run,
                }
            }
        }
        prop_assert_eq!(counted, count);
    }
}
