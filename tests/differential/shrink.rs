//! Delta debugging: leaves out parts of a failing stream, ever smaller ones, as long as it still fails.

use crate::episode::Unit;
use crate::run::Difference;

/// Runs after which a stream is short enough.
const RUNS_MAX: usize = 1000;

/// The shortest stream found that still fails, and how. `fails` plays one from an empty server.
pub(crate) fn shrink(
    units: &[Unit],
    first: &Difference,
    fails: impl Fn(&[Unit]) -> Option<Difference>,
) -> (Vec<Unit>, Difference) {
    // What comes after the difference had no part in it.
    let mut units = units[..=first.unit].to_vec();
    let Some(mut difference) = fails(&units) else {
        // It depends on more than the stream; all of it is better than nothing.
        return (units, first.clone());
    };
    let mut part = units.len().div_ceil(2);
    let mut runs = 0;
    while runs < RUNS_MAX {
        let mut at = 0;
        let mut shorter = false;
        while at < units.len() && runs < RUNS_MAX {
            let end = (at + part).min(units.len());
            let rest = [&units[..at], &units[end..]].concat();
            if rest.is_empty() {
                break;
            }
            runs += 1;
            match fails(&rest) {
                Some(found) => {
                    units = rest[..=found.unit].to_vec();
                    difference = found;
                    shorter = true;
                }
                None => at = end,
            }
        }
        if part == 1 && !shorter {
            break;
        }
        part = part.div_ceil(2).max(1);
    }
    (units, difference)
}

#[test]
fn leaves_what_the_failure_needs() {
    let unit = |number: usize| Unit::of(&[&number.to_string()]);
    let units: Vec<Unit> = (0..100).map(unit).collect();
    let fails = |units: &[Unit]| {
        let at = |number: usize| units.iter().position(|other| *other == unit(number));
        at(7).and(at(42)).map(|at| Difference::new(at, "found"))
    };
    let first = fails(&units).unwrap();
    let (left, difference) = shrink(&units, &first, fails);
    assert_eq!(left, [unit(7), unit(42)]);
    assert_eq!(difference.unit, 1);
}
