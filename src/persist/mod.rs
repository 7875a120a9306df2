//! Persist: the format of snapshots, written and read through a small [`Disk`]. Pure: no I/O of its own, no clock, no
//! threads.
//!
//! Files: `format` (header, block heads, footer), `record` (one item), `stream` (packs items into blocks, on the core that
//! owns them), `snapshot` (writes blocks to a file), `load` (reads a file's items), `name` (names that clients may use),
//! `rdb` (what Redis writes, for `aspine import` and RESTORE), `disk` (the file system as a trait), `faulty` (a disk with injected faults, for tests).
//!
//! # A snapshot, byte by byte
//!
//! Numbers are little-endian. Everything lies at multiples of 4096 bytes, so that it can be written past the page cache.
//!
//! ```text
//! header 4096 | block | block | … | footer 4096
//!
//! header   0  8  "ASPINE\x1a\n"
//!          8  2  format version, 1          10  1  codec version, 1 or 2     11  1  0
//!         12  2  cores that wrote it        14  2  0
//!         16  8  id, drawn at random, which every block and the footer repeat
//!         24  8  unix milliseconds of the instant that it holds
//!         32     zeros
//!       4092  4  CRC32C of the 4092 bytes before
//!
//! block    0  4  "ABLK"
//!          4  1  stream: 0 walk, 1 changed   5  1  codec version              6  2  core
//!          8  8  sequence in its stream, from 0
//!         16  4  bytes of payload           20  4  records that begin here
//!         24  8  offset of this block in the file
//!         32  8  id
//!         40  2  codec 2: a bit for each database of which records begin here
//!         42 18  zeros
//!         60  4  CRC32C of the block, these four bytes left out and the zeros behind its payload included
//!         64     payload, then zeros up to a multiple of 4096. All but the last block of a stream are 1 MiB long.
//!
//! footer   0  8  "ASPINEND"
//!          8  8  id
//!         16  8  blocks                     24  8  items
//!         32  8  bytes of payload           40  4  CRC32C of the blocks' CRC32Cs, in the order of the file
//!         44     zeros
//!       4092  4  CRC32C of the 4092 bytes before
//! ```
//!
//! Each core writes two streams. One has the items that its walk found, first those that are likely to go first. The other has
//! the pre-images: items that were about to change before the walk had reached them; they count as more recent than all of
//! the first. The payloads of one stream, joined in sequence, are records; a record may span blocks.
//!
//! ```text
//! record   length u32 of what follows, which is (`bincode` 2, standard configuration):
//!          deadline, unix milliseconds, 0 for none   varint
//!          last access, unix seconds                 varint; by codec 2 its bits from 48 on are the database
//!          length of the key                         varint, then the key
//!          length of the value                       varint, then the value
//! varint   0-250 one byte; 251, then u16; 252, then u32; 253, then u64
//! ```
//! Codec 2 stands in files, and in their blocks, that have items of other databases than 0; all others are of codec 1, which
//! servers without databases read.
//! So an item `k` = `v` without a deadline, last used in second 5, is `06 00 00 00 | 00 | 05 | 01 6b | 01 76`. A test holds
//! this drawing.
//!
//! # Durability
//!
//! A snapshot is written under a temporary name, synced, renamed, and the directory is synced. A file without a valid footer
//! at its very end is not a snapshot. Whatever fails, the temporary file is removed and the file before stays.

pub mod disk;
#[cfg(any(test, feature = "verify"))]
pub mod faulty;
pub mod format;
pub mod load;
pub mod name;
pub mod rdb;
pub mod record;
pub mod snapshot;
pub mod stream;
#[cfg(test)]
mod tests;

pub use self::disk::{Disk, DiskFile};
pub use self::format::Header;
pub use self::load::{LoadError, Source, Summary};
pub use self::name::{Name, NameError};
pub use self::record::Record;
pub use self::snapshot::{Saved, Snapshot};
pub use self::stream::{Block, Kind, Stream};
