//! The loader of snapshots, fed with what it should never meet: the kept files of `tests/corpus/snapshots`, and mutations of
//! them. `whole-*` load, all others are refused.
//!
//! Half of the mutations leave checksums as they are: then nothing may load but what was there. The others put all checksums
//! and totals right again, as a bug or an enemy would, so that what lies behind them is reached: then anything may come out, but
//! nothing may panic, go on for ever, or allocate what the file does not have. `ASPINE_FUZZ_RUNS` asks for more; an input that
//! fails is written beside the corpus, to be kept.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use aspine::persist::faulty::FaultyDisk;
use aspine::persist::format::{Footer, HEAD_BYTES, Head, Header, PAGE_BYTES, place_block};
use aspine::persist::{Disk, Kind, LoadError, Name, Record, Snapshot, Source, Stream};

type Items = Vec<(Vec<u8>, Vec<u8>, Option<u64>, u64)>;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/snapshots")
}

fn load(bytes: &[u8]) -> Result<Items, LoadError> {
    let mut disk = FaultyDisk::default();
    disk.put("f", bytes);
    let mut source = Source::open(disk.open("f").unwrap())?;
    let mut items = Items::new();
    source.read(|item| {
        let record = item.record;
        items.push((record.key.to_vec(), record.value.to_vec(), record.expires_at_ms, record.accessed_s));
        true
    })?;
    Ok(items)
}

/// The first file of the corpus: two cores, both streams, records that span blocks.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let save = |cores: &[&[(Kind, &[Record<'_>])]]| {
        let mut disk = FaultyDisk::default();
        let header = Header { cores: cores.len() as u16, id: 77, created_ms: 1_700_000_000_000, has_databases: false };
        let mut snapshot = Snapshot::begin(&mut disk, Name::parse(b"f").unwrap(), header).unwrap();
        for (core, streams) in (0..).zip(cores) {
            for (kind, records) in *streams {
                let mut stream = Stream::new(*kind, core, header.id);
                records.iter().for_each(|record| stream.put(record));
                stream.finish();
                while let Some(mut block) = stream.take() {
                    snapshot.block(&mut block).unwrap();
                }
            }
        }
        snapshot.finish(&mut disk).unwrap();
        disk.bytes("f").unwrap()
    };
    let record = |key, value| Record { database: 0, key, value, expires_at_ms: None, accessed_s: 1_700_000_000 };
    let timed = Record { expires_at_ms: Some(1_800_000_000_000), ..record(b"timed", b"soon gone") };
    let few: &[Record<'_>] = &[record(b"a", b"1"), timed, record(b"", b"")];
    let one: &[Record<'_>] = &[record(b"other", b"core")];
    let databases: &[Record<'_>] =
        &[record(b"a", b"1"), Record { database: 3, ..timed }, Record { database: 15, ..one[0] }];
    vec![
        ("whole-empty", save(&[&[]])),
        ("whole-databases", save(&[&[(Kind::Walk, databases)], &[(Kind::Walk, one)]])),
        ("whole-two-cores", save(&[&[(Kind::Walk, few), (Kind::Changed, one)], &[(Kind::Walk, one)]])),
    ]
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.below(4) {
        if bytes.is_empty() {
            return;
        }
        // Most bytes are zeros at the ends of blocks: look near their beginnings.
        let page = rng.below(bytes.len().div_ceil(PAGE_BYTES)) * PAGE_BYTES;
        let near = [16, 64, 160, PAGE_BYTES][rng.below(4)];
        let at = (page + rng.below(near)).min(bytes.len() - 1);
        match rng.below(9) {
            0..3 => bytes[at] ^= 1 << rng.below(8),
            3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xff][rng.below(9)],
            4 => {
                let number = [0, 1, u64::MAX, 1 << 31, 1 << 32, 4096, 1 << 20][rng.below(7)];
                let width = [2, 4, 8][rng.below(3)];
                let end = bytes.len().min(at + width);
                let len = end - at;
                bytes[at..end].copy_from_slice(&number.to_le_bytes()[..len]);
            }
            5 => bytes.truncate(at),
            6 => {
                let from = rng.below(bytes.len().div_ceil(PAGE_BYTES)) * PAGE_BYTES;
                let some = bytes[from..bytes.len().min(from + PAGE_BYTES)].to_vec();
                bytes.splice(page..page, some);
            }
            7 => drop(bytes.drain(page..bytes.len().min(page + PAGE_BYTES))),
            _ => {
                let from = rng.below(bytes.len());
                let len = 1 + rng.below(40);
                let some = bytes[from..bytes.len().min(from + len)].to_vec();
                let end = bytes.len().min(at + some.len());
                bytes[at..end].copy_from_slice(&some[..end - at]);
            }
        }
    }
}

/// Puts places, checksums and totals right, as far as blocks can be told apart.
fn mend(bytes: &mut Vec<u8>) {
    if bytes.len() < 2 * PAGE_BYTES {
        return;
    }
    let id = 77;
    bytes[..PAGE_BYTES].copy_from_slice(&Header { cores: 2, id, created_ms: 5, has_databases: false }.to_bytes());
    let end = (bytes.len() / PAGE_BYTES - 1) * PAGE_BYTES;
    bytes.truncate(end + PAGE_BYTES);
    let mut footer = Footer { id, blocks: 0, items: 0, bytes: 0, checksum: 0 };
    let mut at = PAGE_BYTES;
    while at < end {
        bytes[at + 32..at + 40].copy_from_slice(&id.to_le_bytes());
        let head: &[u8; HEAD_BYTES] = bytes[at..at + HEAD_BYTES].try_into().unwrap();
        let Ok(head) = Head::from_bytes(head) else { return };
        let len = head.block_bytes();
        if at + len > end {
            return;
        }
        let checksum = place_block(&mut bytes[at..at + len], at as u64);
        footer.blocks += 1;
        footer.items += u64::from(head.records);
        footer.bytes += u64::from(head.payload);
        footer.checksum = crc32c_of(footer.checksum, checksum);
        at += len;
    }
    bytes[end..].copy_from_slice(&footer.to_bytes());
}

/// CRC32C of what came before and four bytes more, by the definition: the loader uses another implementation.
fn crc32c_of(before: u32, next: u32) -> u32 {
    next.to_le_bytes().iter().fold(!before, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    }) ^ u32::MAX
}

#[test]
fn the_corpus_is_told_apart() {
    if std::env::var_os("ASPINE_BLESS").is_some() {
        for (name, bytes) in seeds() {
            fs::write(corpus().join(name), bytes).unwrap();
        }
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let result = load(&fs::read(&path).unwrap());
        assert_eq!(result.is_ok(), name.starts_with("whole-"), "{name}: {result:?}");
        names.push(name);
    }
    for (name, bytes) in seeds() {
        // The format has not changed without its version.
        assert_eq!(
            fs::read(corpus().join(name)).unwrap(),
            bytes,
            "{name}: is written otherwise; ASPINE_BLESS=1 if so meant"
        );
    }
    assert!(names.len() > 4, "{names:?}");
}

#[test]
fn mutations_are_refused_or_harmless() {
    let runs = std::env::var("ASPINE_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(20_000);
    let mut kept: Vec<_> =
        fs::read_dir(corpus()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    // Whatever the order of the directory, the runs are the same.
    kept.sort();
    let whole: Vec<Items> = seeds().iter().map(|(_, bytes)| load(bytes).unwrap()).collect();
    let mut rng = Rng(5);
    let (mut loaded, mut refused) = (0, 0);
    for run in 0..runs {
        let mut bytes = kept[rng.below(kept.len())].clone();
        mutate(&mut bytes, &mut rng);
        let mended = run % 2 == 1;
        if mended {
            mend(&mut bytes);
        }
        let result = catch_unwind(AssertUnwindSafe(|| load(&bytes)));
        let right = match &result {
            Ok(Ok(items)) => {
                loaded += 1;
                // A damage may undo another: then it is one of the whole ones again.
                mended || whole.contains(items)
            }
            Ok(Err(_)) => {
                refused += 1;
                true
            }
            Err(_) => false,
        };
        if !right {
            let path = corpus().join(format!("found-{run}"));
            fs::write(&path, &bytes).unwrap();
            panic!("run {run}, mended: {mended}: see {}", path.display());
        }
    }
    assert!(loaded > 0 && refused > runs / 4, "{loaded} loaded, {refused} refused");
}
