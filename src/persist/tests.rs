//! What is written comes back, in order; what is damaged or cut off is found out; what fails leaves the old file.

use proptest::prelude::*;

use super::faulty::{Fault, FaultKind, FaultyDisk};
use super::*;
use crate::limits::{SNAPSHOT_BLOCK_BYTES, SNAPSHOT_NAME_BYTES_MAX};

type Item = (Vec<u8>, Vec<u8>, Option<u64>, u64);

const ID: u64 = 0x1234_5678_9abc_def0;

fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).unwrap()
}

fn record(item: &Item) -> Record<'_> {
    Record { database: 0, key: &item.0, value: &item.1, expires_at_ms: item.2, accessed_s: item.3 }
}

/// Writes the items of each core, walked and changed.
fn save(disk: &mut FaultyDisk, to: &str, id: u64, cores: &[(Vec<Item>, Vec<Item>)]) -> std::io::Result<Saved> {
    let header = Header { cores: cores.len() as u16, id, created_ms: 7, has_databases: false };
    let mut snapshot = Snapshot::begin(disk, name(to), header)?;
    for (core, (walked, changed)) in (0..).zip(cores) {
        for (kind, items) in [(Kind::Changed, changed), (Kind::Walk, walked)] {
            let mut stream = Stream::new(kind, core, id);
            items.iter().for_each(|item| stream.put(&record(item)));
            stream.finish();
            while let Some(mut block) = stream.take() {
                if let Err(error) = snapshot.block(&mut block) {
                    snapshot.abandon(disk);
                    return Err(error);
                }
                stream.recycle(block.bytes);
            }
        }
    }
    snapshot.finish(disk)
}

fn load(disk: &mut FaultyDisk, from: &str) -> Result<Vec<Item>, LoadError> {
    let mut source = Source::open(disk.open(from)?)?;
    let mut items = Vec::new();
    source.read(|item| {
        let record = item.record;
        items.push((record.key.to_vec(), record.value.to_vec(), record.expires_at_ms, record.accessed_s));
        true
    })?;
    assert_eq!(items.len() as u64, source.summary().items);
    Ok(items)
}

fn item(key: &str, value: &[u8], accessed_s: u64) -> Item {
    (key.into(), value.to_vec(), None, accessed_s)
}

fn small() -> Vec<(Vec<Item>, Vec<Item>)> {
    let timed = (b"timed".to_vec(), b"t".to_vec(), Some(1_800_000_000_000), 5);
    vec![(vec![item("a", b"1", 4), timed], vec![item("b", b"2", 9)]), (vec![item("c", b"", 4)], vec![])]
}

#[test]
fn a_record_is_as_drawn() {
    let mut stream = Stream::new(Kind::Walk, 3, ID);
    stream.put(&record(&item("k", b"v", 5)));
    stream.finish();
    let block = stream.take().unwrap().bytes;
    assert_eq!(block.len(), 4096);
    assert_eq!(block[..24], *b"ABLK\0\x01\x03\0\0\0\0\0\0\0\0\0\x0a\0\0\0\x01\0\0\0");
    assert_eq!(block[32..40], ID.to_le_bytes());
    assert_eq!(block[64..74], [6, 0, 0, 0, 0, 5, 1, b'k', 1, b'v']);
    assert!(block[74..].iter().all(|byte| *byte == 0));
    let mut head = Vec::new();
    let value = vec![0; 300];
    Record { database: 0, key: b"k", value: &value, expires_at_ms: Some(1 << 40), accessed_s: 1 << 20 }
        .write_head(|bytes| head.extend_from_slice(bytes));
    assert_eq!(head[4..], [253, 0, 0, 0, 0, 0, 1, 0, 0, 252, 0, 0, 16, 0, 1, b'k', 251, 44, 1]);
    assert_eq!(head[..4], (head.len() as u32 - 4 + 300).to_le_bytes());
}

#[test]
fn other_databases_are_in_a_codec_of_their_own() {
    let mut head = Vec::new();
    let one = Record { database: 3, key: b"k", value: b"v", expires_at_ms: None, accessed_s: 5 };
    one.write_head(|bytes| head.extend_from_slice(bytes));
    assert_eq!(head[4..], [0, 253, 5, 0, 0, 0, 0, 0, 3, 0, 1, b'k', 1]);
    assert_eq!(Record::from_bytes(&[&head[4..], b"v"].concat()), Ok(one));
    assert!(Record::from_bytes(&[0, 253, 5, 0, 0, 0, 0, 0, 16, 0, 1, b'k', 1, b'v']).is_err());
    let mut disk = FaultyDisk::default();
    for (file, database) in [("zero", 0), ("three", 3)] {
        let header = Header { cores: 1, id: ID, created_ms: 7, has_databases: false };
        let mut snapshot = Snapshot::begin(&mut disk, name(file), header).unwrap();
        let mut stream = Stream::new(Kind::Walk, 0, ID);
        stream.put(&Record { database, ..one });
        stream.finish();
        snapshot.block(&mut stream.take().unwrap()).unwrap();
        snapshot.finish(&mut disk).unwrap();
        let codec = if database == 0 { 1 } else { 2 };
        let bytes = disk.bytes(file).unwrap();
        assert_eq!((bytes[10], bytes[4096 + 5]), (codec, codec));
        let open =
            |disk: &mut FaultyDisk, count| Source::open(disk.open(file).unwrap()).unwrap().check_databases(count);
        assert!(open(&mut disk, database + 1).is_ok());
        let refused = open(&mut disk, database).map(|_| ()).unwrap_err().to_string();
        let text = format!(
            "has items of database {database}, and there are {database} here; start with --databases {}",
            database + 1
        );
        assert_eq!(refused, text);
    }
}

#[test]
fn streams_are_merged_by_use() {
    let mut disk = FaultyDisk::default();
    let walk = |core: &str, n: usize| (0..n).map(|at| item(&format!("{core}{at}"), b"v", 10)).collect::<Vec<_>>();
    let mut old = vec![item("old", b"v", 1)];
    old.extend(walk("x", 4));
    save(&mut disk, "f", ID, &[(old, vec![item("changed", b"v", 2)]), (walk("y", 2), vec![])]).unwrap();
    let keys: Vec<_> =
        load(&mut disk, "f").unwrap().into_iter().map(|item| String::from_utf8(item.0).unwrap()).collect();
    assert_eq!(keys, ["old", "y0", "x0", "x1", "y1", "x2", "x3", "changed"]);
}

#[test]
fn records_go_over_the_ends_of_blocks() {
    let mut disk = FaultyDisk::default();
    let sizes = [SNAPSHOT_BLOCK_BYTES - 80, 3 * SNAPSHOT_BLOCK_BYTES, 0, 1, SNAPSHOT_BLOCK_BYTES - 64 - 9];
    let items: Vec<Item> =
        sizes.iter().enumerate().map(|(at, size)| item(&format!("k{at}"), &vec![at as u8; *size], at as u64)).collect();
    let saved = save(&mut disk, "f", ID, &[(items.clone(), items.clone())]).unwrap();
    assert_eq!(saved.items, 2 * sizes.len() as u64);
    assert_eq!(saved.bytes, disk.bytes("f").unwrap().len() as u64);
    assert_eq!(load(&mut disk, "f").unwrap(), [items.clone(), items].concat());
}

#[test]
fn an_empty_snapshot_is_one() {
    let mut disk = FaultyDisk::default();
    save(&mut disk, "f", ID, &[(vec![], vec![])]).unwrap();
    assert_eq!(disk.bytes("f").unwrap().len(), 8192);
    assert!(load(&mut disk, "f").unwrap().is_empty());
}

#[test]
fn every_flipped_byte_is_found() {
    let mut disk = FaultyDisk::default();
    save(&mut disk, "f", ID, &small()).unwrap();
    let whole = disk.bytes("f").unwrap();
    for at in 0..whole.len() {
        for bit in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            disk = FaultyDisk::default();
            disk.put("f", &bytes);
            let error = load(&mut disk, "f").expect_err("a flipped byte");
            assert!(matches!(error, LoadError::Damage { .. }), "byte {at}: {error}");
        }
    }
}

#[test]
fn every_other_length_is_found() {
    let mut disk = FaultyDisk::default();
    save(&mut disk, "f", ID, &small()).unwrap();
    let whole = disk.bytes("f").unwrap();
    for len in 0..whole.len() {
        disk = FaultyDisk::default();
        disk.put("f", &whole[..len]);
        assert!(matches!(load(&mut disk, "f"), Err(LoadError::Damage { .. })), "{len} bytes");
    }
    for more in [1, 512, 4096] {
        disk.put("f", &[&whole[..], &vec![0; more]].concat());
        assert!(load(&mut disk, "f").is_err(), "{more} bytes too many");
    }
    // Blocks in another order, and one that is there twice.
    let blocks: Vec<_> = whole.chunks(4096).collect();
    for order in [[0, 2, 1, 3, 4], [0, 1, 1, 3, 4]] {
        disk.put("f", &order.map(|at| blocks[at]).concat());
        assert!(load(&mut disk, "f").is_err(), "{order:?}");
    }
}

#[test]
fn whatever_call_fails_the_old_file_stays_and_no_other() {
    for kind in [FaultKind::Error(libc::ENOSPC), FaultKind::Error(libc::EIO)] {
        for call in 0.. {
            let mut disk = FaultyDisk::default();
            let old = vec![(vec![item("old", b"1", 1)], vec![])];
            save(&mut disk, "f", 1, &old).unwrap();
            disk.fail(Some(Fault { call, kind }));
            let result = save(&mut disk, "f", 2, &small());
            let calls = disk.calls();
            disk.fail(None);
            assert_eq!(disk.names(), ["f"], "call {call}");
            let items = load(&mut disk, "f").unwrap();
            let Err(error) = result else {
                assert!(calls <= call && items.len() == 4);
                break;
            };
            let FaultKind::Error(code) = kind else { continue };
            assert_eq!(error.raw_os_error(), Some(code));
            // Only the directory's sync comes after the rename: then the new one is there, if not for certain.
            assert!(items.len() == 1 || (items.len() == 4 && calls == call + 1), "call {call}");
        }
    }
}

#[test]
fn short_writes_and_reads_are_gone_on_with() {
    let mut disk = FaultyDisk::default();
    disk.fail(Some(Fault { call: 0, kind: FaultKind::Short }));
    save(&mut disk, "f", 2, &small()).unwrap();
    assert_eq!(load(&mut disk, "f").unwrap().len(), 4);
    assert!(disk.calls() > 10_000);
}

#[test]
fn names_stay_in_their_directory() {
    for good in ["a", "dump.aspine", "A-1_b.c", "x..y", &"n".repeat(SNAPSHOT_NAME_BYTES_MAX)] {
        assert_eq!(Name::parse(good.as_bytes()).unwrap().as_str(), good);
    }
    let long = "n".repeat(SNAPSHOT_NAME_BYTES_MAX + 1);
    for bad in ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\0b", ".hidden", "-rf", "a b", "ä", &long] {
        assert_eq!(Name::parse(bad.as_bytes()), Err(NameError), "{bad:?}");
    }
    let temporary = name("a").temporary(7);
    assert!(Name::is_temporary(&temporary) && Name::parse(temporary.as_bytes()).is_err());
    assert!(!Name::is_temporary("a"));
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop::collection::vec((bytes(20), bytes(300), prop::option::of(1u64..), any::<u32>().prop_map(u64::from)), 0..40)
}

proptest! {
    #[test]
    fn what_is_saved_comes_back(cores in prop::collection::vec((items(), items()), 1..4)) {
        let mut disk = FaultyDisk::default();
        save(&mut disk, "f", ID, &cores).unwrap();
        let loaded = load(&mut disk, "f").unwrap();
        let sorted = |mut items: Vec<Item>| { items.sort(); items };
        let (walked, changed): (Vec<_>, Vec<_>) = cores.into_iter().unzip();
        let (walked, changed) = (walked.concat(), changed.concat());
        prop_assert_eq!(sorted(loaded[..walked.len()].to_vec()), sorted(walked.clone()));
        prop_assert_eq!(sorted(loaded[walked.len()..].to_vec()), sorted(changed));
    }

    #[test]
    fn a_crash_leaves_the_old_or_the_new(call in 0u64..12, random in any::<u64>()) {
        let mut disk = FaultyDisk::default();
        let old = vec![(vec![item("old", b"1", 1)], vec![])];
        save(&mut disk, "f", 1, &old).unwrap();
        disk.fail(Some(Fault { call, kind: FaultKind::Error(libc::EIO) }));
        let saved = save(&mut disk, "f", 2, &small());
        disk.fail(None);
        let mut random = random | 1;
        disk.crash(|| { random ^= random << 13; random ^= random >> 7; random ^= random << 17; random >> 11 });
        let items = load(&mut disk, "f").unwrap();
        prop_assert!(items.len() == 4 || (items.len() == 1 && saved.is_err()));
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
        let mut disk = FaultyDisk::default();
        disk.put("f", &bytes);
        prop_assert!(load(&mut disk, "f").is_err());
    }
}
