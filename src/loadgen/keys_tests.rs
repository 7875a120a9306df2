//! Tests of keys: distributions against theory, texts both ways.

use proptest::prelude::*;

use super::*;

const DRAWS: usize = 200_000;

fn drawn(dist: KeyDist, count: u64, seed: u64) -> Vec<u32> {
    let keys = Keys::new(dist, count);
    let mut random = Random::new(seed, 0);
    let mut seen = vec![0; count as usize];
    (0..DRAWS).for_each(|_| seen[keys.draw(&mut random) as usize] += 1);
    seen
}

/// Whether a count of `DRAWS` is what a chance predicts, within five standard deviations and a half.
fn fits(count: u32, chance: f64) -> bool {
    let expected = chance * DRAWS as f64;
    (f64::from(count) - expected).abs() <= 5.0 * (expected * (1.0 - chance)).sqrt() + 0.5
}

#[test]
fn uniform_is_uniform() {
    for count in [1, 2, 7, 100] {
        let seen = drawn(KeyDist::Uniform, count, 1);
        assert!(seen.iter().all(|seen| fits(*seen, 1.0 / count as f64)), "{seen:?}");
    }
}

#[test]
fn zipf_follows_its_law() {
    for exponent in [0.0, 0.5, 0.99, 1.0, 1.1, 2.0, 4.0] {
        for count in [1, 2, 3, 10, 1000] {
            let seen = drawn(KeyDist::Zipf { exponent }, count, 2);
            let weight = |key: usize| (key as f64 + 1.0).powf(-exponent);
            let total: f64 = (0..count as usize).map(weight).sum();
            for key in [0, 1, 2, 4, 9, 99, 999].into_iter().filter(|key| *key < seen.len()) {
                let chance = weight(key) / total;
                assert!(fits(seen[key], chance), "zipf:{exponent} of {count}: key {key} {} times", seen[key]);
            }
            // The tail as a whole.
            let half = seen.len() / 2;
            let tail = (half..seen.len()).map(weight).sum::<f64>() / total;
            assert!(fits(seen[half..].iter().sum(), tail), "zipf:{exponent} of {count}: tail");
        }
    }
}

#[test]
fn zipf_of_very_many_keys_stays_inside() {
    let keys = Keys::new(KeyDist::Zipf { exponent: 0.99 }, BENCH_KEYS_MAX);
    let mut random = Random::new(3, 0);
    assert!((0..DRAWS).all(|_| keys.draw(&mut random) < BENCH_KEYS_MAX));
}

#[test]
fn the_hotspot_gets_its_share() {
    let seen = drawn(KeyDist::Hotspot { keys_percent: 10.0, requests_percent: 80.0 }, 200, 4);
    assert!(fits(seen[..20].iter().sum(), 0.8));
    assert!(seen[..20].iter().all(|seen| fits(*seen, 0.8 / 20.0)), "{seen:?}");
    assert!(seen[20..].iter().all(|seen| fits(*seen, 0.2 / 180.0)), "{seen:?}");
    // All keys hot, or fewer than one.
    assert!(
        drawn(KeyDist::Hotspot { keys_percent: 100.0, requests_percent: 50.0 }, 10, 5).iter().all(|seen| *seen > 0)
    );
    assert!(fits(drawn(KeyDist::Hotspot { keys_percent: 0.1, requests_percent: 90.0 }, 10, 6)[0], 0.9));
}

#[test]
fn distributions_are_read_and_written() {
    for (text, dist) in [
        ("uniform", KeyDist::Uniform),
        ("zipf:0.99", KeyDist::Zipf { exponent: 0.99 }),
        ("zipf:0", KeyDist::Zipf { exponent: 0.0 }),
        ("hotspot:1:90", HOTSPOT),
        ("hotspot:0.5:99", KeyDist::Hotspot { keys_percent: 0.5, requests_percent: 99.0 }),
    ] {
        assert_eq!(text.parse(), Ok(dist));
        assert_eq!(dist.to_string(), text);
    }
    assert_eq!("hotspot".parse(), Ok(HOTSPOT));
    for text in
        ["", "zipf", "zipf:", "zipf:-1", "zipf:NaN", "zipf:11", "hotspot:0:90", "hotspot:1", "hotspot:1:101", "x"]
    {
        let error = text.parse::<KeyDist>().unwrap_err();
        assert!(error.contains("for example zipf:0.99"), "{text}: {error}");
    }
}

#[test]
fn keys_are_those_of_redis_benchmark() {
    assert_eq!(key_text(Prefix::Key, 42), *b"key:000000000042");
    assert_eq!(key_text(Prefix::Counter, 0), *b"ctr:000000000000");
    assert_eq!(key_text(Prefix::Channel, BENCH_KEYS_MAX - 1), *b"chn:999999999999");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_distribution_stays_inside(
        count in 1_u64..=BENCH_KEYS_MAX, exponent in 0.0..10.0_f64, percent in 0.1..100.0_f64, seed: u64
    ) {
        let dists = [
            KeyDist::Uniform,
            KeyDist::Zipf { exponent },
            KeyDist::Hotspot { keys_percent: percent, requests_percent: percent },
        ];
        let mut random = Random::new(seed, 0);
        for dist in dists {
            let keys = Keys::new(dist, count);
            for _ in 0..100 {
                prop_assert!(keys.draw(&mut random) < count);
            }
        }
    }
}
