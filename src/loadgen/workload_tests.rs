//! Tests of the workload: shares, values, and texts both ways.

use proptest::prelude::*;

use super::*;

fn workload(mix: &str) -> Workload {
    Workload::new(mix.parse().unwrap(), 100, KeyDist::Uniform, Range { low: 1, high: 64 }, None)
}

#[test]
fn kinds_come_in_their_shares() {
    let workload = workload("get=70,set=20,mget:3=9,ping=1");
    let mut random = Random::new(1, 0);
    let mut seen = [0_u32; KINDS];
    for _ in 0..100_000 {
        let operation = workload.draw(&mut random);
        seen[operation.kind as usize] += 1;
        assert_eq!(operation.keys, if operation.kind == Kind::Mget { 3 } else { 1 });
    }
    for (kind, expected) in [(Kind::Get, 70_000), (Kind::Set, 20_000), (Kind::Mget, 9_000), (Kind::Ping, 1_000)] {
        let count = seen[kind as usize];
        assert!(count.abs_diff(expected) < 200 + expected / 20, "{kind:?} {count}");
    }
    assert_eq!(seen.iter().sum::<u32>(), 100_000);
}

#[test]
fn a_mix_is_read_and_written() {
    for text in ["get=1", "get=80,set=20", "mget:10=5,mset:2=1,incr=5,publish=1,del=3,exists=1,expire=2,ping=1"] {
        assert_eq!(text.parse::<Mix>().unwrap().to_string(), text);
    }
    assert_eq!("mget=1".parse::<Mix>().unwrap().to_string(), "mget:10=1");
    for text in
        ["", "get", "get=0", "get=-1", "get=x", "fill=1", "lpush=1", "get:2=1", "mget:0=1", "get=1,get=2", "get=1,"]
    {
        let error = text.parse::<Mix>().unwrap_err();
        assert!(error.contains("for example"), "{text}: {error}");
    }
    assert_eq!(Mix::of_ratio(Ratio { gets: 9, sets: 1 }).to_string(), "get=9,set=1");
    assert_eq!(Mix::of_ratio(Ratio { gets: 0, sets: 1 }).to_string(), "set=1");
}

#[test]
fn ratios_sizes_and_times_are_read() {
    assert_eq!("9:1".parse(), Ok(Ratio { gets: 9, sets: 1 }));
    for text in ["", "9", "0:0", "-1:1", "1:x", "1:1:1"] {
        assert!(text.parse::<Ratio>().unwrap_err().contains("for example 9:1"), "{text}");
    }
    assert_eq!(Range::of_bytes("64"), Ok(Range { low: 64, high: 64 }));
    assert_eq!(Range::of_bytes("0-1048576"), Ok(Range { low: 0, high: 1 << 20 }));
    for text in ["", "-1", "+1", "2-1", "1-", "1kb", "536870913", "99999999999999999999"] {
        assert!(Range::of_bytes(text).unwrap_err().contains("for example 64"), "{text}");
    }
    assert_eq!(Range::of_seconds("60-120").unwrap().to_string(), "60-120");
    assert!(Range::of_seconds("0").is_err());
}

#[test]
fn every_kind_stands_at_its_number() {
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_value_is_right_for_its_key_alone(low in 8_u64..100, more in 0_u64..1000, key: u64, seed: u64) {
        let values = Values::new(Range { low, high: low + more });
        let mut random = Random::new(seed, 0);
        let value = values.draw(key, &mut random).to_vec();
        prop_assert!((low..=low + more).contains(&(value.len() as u64)));
        prop_assert!(values.is_right(key, &value));
        // Another run knows it too.
        let others = Values::new(Range { low, high: low + more + 1 });
        prop_assert!(others.is_right(key, &value));
        let mut flipped = value.clone();
        let at = random.below(value.len() as u64) as usize;
        flipped[at] ^= 1;
        prop_assert!(!values.is_right(key, &flipped));
        prop_assert!(!values.is_right(key, &value[..low as usize - 1]));
        let differs = mix(key) as usize % BENCH_VALUE_POOL_STARTS != mix(key ^ 1) as usize % BENCH_VALUE_POOL_STARTS;
        prop_assert_eq!(!values.is_right(key ^ 1, &value), differs);
    }
}
