//! Traces in each format, and what is no trace.

use super::*;
use proptest::prelude::*;

fn parse(text: &[u8]) -> Result<Trace, String> {
    Trace::parse(text, None)
}

fn trace(accesses: &[u32], sizes: &[u32]) -> Trace {
    let keys = accesses.iter().max().map_or(0, |last| u64::from(*last) + 1);
    Trace { accesses: accesses.to_vec(), sizes: sizes.into(), keys }
}

fn record(key: u64, size: u32) -> Vec<u8> {
    [&7u32.to_le_bytes()[..], &key.to_le_bytes(), &size.to_le_bytes(), &(-1i64).to_le_bytes()].concat()
}

#[test]
fn each_format_is_known_by_its_look() {
    let binary = [record(77, 10), record(5, 20), record(77, 99)].concat();
    assert_eq!(parse(&binary), Ok(trace(&[0, 1, 0], &[10, 20])), "the size at a key's first access counts");
    assert_eq!(parse(b"a,10\nb,20\r\na,10\n"), Ok(trace(&[0, 1, 0], &[10, 20])));
    assert_eq!(parse(b"a\t10\nb\t20\n"), Ok(trace(&[0, 1], &[10, 20])));
    assert_eq!(parse(b"time,obj_size,Obj_ID\n1,10,x\n2,20,y\n3,10,x"), Ok(trace(&[0, 1, 0], &[10, 20])));
    assert_eq!(parse(b"ttl,key\n1,x\n2,y\n"), Ok(trace(&[0, 1], &[])), "no column is called size");
    assert_eq!(parse(b"# a list\n17\n4\n*\n17\n\n4"), Ok(trace(&[0, 1, 0, 1], &[])));
    assert_eq!(parse(b"key one\nkey one\n"), Ok(trace(&[0, 0], &[])), "a line is a key, whatever is in it");
}

#[test]
fn a_format_that_is_given_counts() {
    assert_eq!(Trace::parse(b"a,1\na,2\n", Some(TraceFormat::Keys)), Ok(trace(&[0, 1], &[])));
    assert_eq!(Trace::parse(b"a\nb\n", Some(TraceFormat::Csv)), Ok(trace(&[0, 1], &[])));
    for (text, format) in
        [("oracle-general", TraceFormat::OracleGeneral), ("csv", TraceFormat::Csv), ("keys", TraceFormat::Keys)]
    {
        assert_eq!(text.parse(), Ok(format));
    }
    assert!("arc".parse::<TraceFormat>().is_err());
}

#[test]
fn what_is_no_trace_is_refused_with_its_place() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "it has no accesses"),
        (b"* nothing\n", "it has no accesses"),
        (b"a,1\nb,x\n", "line 2: a size that is no number of bytes"),
        (b"a,1\n,2\n", "line 2: no key"),
        (b"a,1\nb,999999999\n", "line 2: a size beyond 536870912 bytes"),
        (&[0; 25], "25 bytes are no whole number of records of 24 bytes"),
        (b"\xfd7zXZ\0...", "it is compressed; give xz -dc FILE | aspine bench --trace -"),
        (b"\x28\xb5\x2f\xfd...", "it is compressed; give zstd -dc FILE | aspine bench --trace -"),
    ];
    for (bytes, why) in cases {
        assert_eq!(parse(bytes), Err(why.to_owned()));
    }
    let large = record(1, u32::MAX);
    assert!(parse(&large).unwrap_err().starts_with("record 1: a size beyond"));
}

proptest! {
    #[test]
    fn formats_agree(accesses in proptest::collection::vec((0..50u64, 0..5000u32), 1..200)) {
        let sized: Vec<(u64, u32)> = accesses.iter().map(|(key, _)| (*key, (*key * 7 + 1) as u32)).collect();
        let binary: Vec<u8> = sized.iter().flat_map(|(key, size)| record(*key, *size)).collect();
        let csv: String = sized.iter().map(|(key, size)| format!("{key},{size}\n")).collect();
        let keys: String = sized.iter().map(|(key, _)| format!("{key}\n")).collect();
        let (binary, csv, keys) = (parse(&binary).unwrap(), parse(csv.as_bytes()).unwrap(), parse(keys.as_bytes()).unwrap());
        prop_assert_eq!(&binary, &csv);
        prop_assert_eq!(&keys.accesses, &csv.accesses);
        prop_assert_eq!((keys.sizes.len(), csv.sizes.len() as u64), (0, csv.keys));
        for (access, (key, _)) in csv.accesses.iter().zip(&sized) {
            prop_assert_eq!(u64::from(csv.sizes[*access as usize]), key * 7 + 1);
        }
    }

    #[test]
    fn anything_is_a_trace_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(trace) = parse(&bytes) {
            prop_assert!(trace.accesses.iter().all(|key| u64::from(*key) < trace.keys));
            prop_assert!(trace.sizes.is_empty() || trace.sizes.len() as u64 == trace.keys);
        }
    }
}
