//! Format: header, block heads and footer, to bytes and back. The drawing is in the head of `persist`.
//!
//! Never: trusts a byte. Whatever does not fit is a `Damage` with its reason; the caller knows the offset.

use crate::limits::{SNAPSHOT_ALIGN_BYTES, SNAPSHOT_BLOCK_BYTES};

/// Bytes of the header, and of the footer.
pub const PAGE_BYTES: usize = SNAPSHOT_ALIGN_BYTES;

/// Bytes of a block's head.
pub const HEAD_BYTES: usize = 64;

/// The version of the format: of everything but the records.
pub const FORMAT: u16 = 1;

/// The version of the codec, of the records: that of items of database 0 alone, and that of items of several. A file
/// without others is read by servers that know of no others.
pub const CODEC: u8 = 1;

/// See [`CODEC`].
pub const CODEC_DATABASES: u8 = 2;

const MAGIC: [u8; 8] = *b"ASPINE\x1a\n";
const MAGIC_BLOCK: [u8; 4] = *b"ABLK";
const MAGIC_FOOTER: [u8; 8] = *b"ASPINEND";
const DATABASES_AT: usize = 40;
const CRC_AT: usize = HEAD_BYTES - 4;
const PAGE_CRC_AT: usize = PAGE_BYTES - 4;

/// The reason why bytes are damaged.
pub type Damage = &'static str;

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of cores that wrote the file.
    pub cores: u16,
    /// The id of the snapshot, which every block and the footer repeat.
    pub id: u64,
    /// The instant of the snapshot, in unix milliseconds.
    pub created_ms: u64,
    /// Whether there are items of other databases than 0.
    pub has_databases: bool,
}

/// The footer of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The id of the snapshot.
    pub id: u64,
    /// The number of blocks between header and footer.
    pub blocks: u64,
    /// The number of records in all blocks.
    pub items: u64,
    /// The bytes of all payloads.
    pub bytes: u64,
    /// The checksum over the checksums of all blocks.
    pub checksum: u32,
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The stream of the core that the block belongs to, as a byte.
    pub stream: u8,
    /// The core that wrote the block.
    pub core: u16,
    /// The number of the block in its stream.
    pub sequence: u64,
    /// The bytes of the payload.
    pub payload: u32,
    /// The number of records that begin in the block.
    pub records: u32,
    /// The offset of the block in the file.
    pub offset: u64,
    /// The id of the snapshot.
    pub id: u64,
    /// A bit for each database, of which records begin in the block; 0 in a block of database 0 alone.
    pub databases: u16,
    /// The checksum of the whole block.
    pub checksum: u32,
}

impl Header {
    /// Encodes the page.
    pub fn to_bytes(self) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        page[..8].copy_from_slice(&MAGIC);
        page[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        page[10] = codec(self.has_databases);
        page[12..14].copy_from_slice(&self.cores.to_le_bytes());
        page[16..24].copy_from_slice(&self.id.to_le_bytes());
        page[24..32].copy_from_slice(&self.created_ms.to_le_bytes());
        seal_page(&mut page);
        page
    }

    /// Decodes and checks the page.
    pub fn from_bytes(page: &[u8; PAGE_BYTES]) -> Result<Header, Damage> {
        if page[..8] != MAGIC {
            return Err("this is not a snapshot of Aspine");
        }
        check_page(page).map_err(|_| "the header's checksum is wrong")?;
        if u16_at(page, 8) != FORMAT {
            return Err("the format version is not 1");
        }
        if !(CODEC..=CODEC_DATABASES).contains(&page[10]) {
            return Err("the codec version is neither 1 nor 2");
        }
        let has_databases = page[10] == CODEC_DATABASES;
        Ok(Header { cores: u16_at(page, 12), id: u64_at(page, 16), created_ms: u64_at(page, 24), has_databases })
    }
}

impl Footer {
    /// Encodes the page.
    pub fn to_bytes(self) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        page[..8].copy_from_slice(&MAGIC_FOOTER);
        for (at, number) in [(8, self.id), (16, self.blocks), (24, self.items), (32, self.bytes)] {
            page[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        page[40..44].copy_from_slice(&self.checksum.to_le_bytes());
        seal_page(&mut page);
        page
    }

    /// Decodes and checks the page.
    pub fn from_bytes(page: &[u8; PAGE_BYTES]) -> Result<Footer, Damage> {
        if page[..8] != MAGIC_FOOTER {
            return Err("there is no footer: the file was cut off, or something was appended");
        }
        check_page(page).map_err(|_| "the footer's checksum is wrong")?;
        let [id, blocks, items, bytes] = [8, 16, 24, 32].map(|at| u64_at(page, at));
        Ok(Footer { id, blocks, items, bytes, checksum: u32_at(page, 40) })
    }
}

impl Head {
    /// Writes the head, except for offset and checksum, which [`place_block`] sets.
    pub fn write(&self, block: &mut [u8]) {
        block[..HEAD_BYTES].fill(0);
        block[..4].copy_from_slice(&MAGIC_BLOCK);
        block[4] = self.stream;
        block[5] = codec(self.databases != 0);
        block[6..8].copy_from_slice(&self.core.to_le_bytes());
        block[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        block[16..20].copy_from_slice(&self.payload.to_le_bytes());
        block[20..24].copy_from_slice(&self.records.to_le_bytes());
        block[32..40].copy_from_slice(&self.id.to_le_bytes());
        block[DATABASES_AT..DATABASES_AT + 2].copy_from_slice(&self.databases.to_le_bytes());
    }

    /// Decodes the head and checks what can be checked without the rest of the block.
    pub fn from_bytes(bytes: &[u8; HEAD_BYTES]) -> Result<Head, Damage> {
        if bytes[..4] != MAGIC_BLOCK {
            return Err("a block should begin here");
        }
        if bytes[5] != codec(u16_at(bytes, DATABASES_AT) != 0) {
            return Err("the block's codec version is wrong");
        }
        if bytes[4] > 1 {
            return Err("the block is of an unknown stream");
        }
        let head = Head {
            stream: bytes[4],
            core: u16_at(bytes, 6),
            sequence: u64_at(bytes, 8),
            payload: u32_at(bytes, 16),
            records: u32_at(bytes, 20),
            offset: u64_at(bytes, 24),
            id: u64_at(bytes, 32),
            databases: u16_at(bytes, DATABASES_AT),
            checksum: u32_at(bytes, CRC_AT),
        };
        if head.payload as usize > SNAPSHOT_BLOCK_BYTES - HEAD_BYTES {
            return Err("the block's length is beyond the limit");
        }
        Ok(head)
    }

    /// Bytes of the block in the file.
    pub fn block_bytes(&self) -> usize {
        (HEAD_BYTES + self.payload as usize).next_multiple_of(SNAPSHOT_ALIGN_BYTES)
    }
}

fn codec(has_databases: bool) -> u8 {
    if has_databases { CODEC_DATABASES } else { CODEC }
}

/// Whether a block, by its head, has records of other databases than 0.
pub fn has_databases(block: &[u8]) -> bool {
    u16_at(block, DATABASES_AT) != 0
}

/// Sets the offset and the checksum of a whole block, padding included. Returns the checksum.
pub fn place_block(block: &mut [u8], offset: u64) -> u32 {
    block[24..32].copy_from_slice(&offset.to_le_bytes());
    let checksum = checksum_of(block);
    block[CRC_AT..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Computes the checksum of a block.
pub fn checksum_of(block: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&block[..CRC_AT]), &block[HEAD_BYTES..])
}

fn seal_page(page: &mut [u8; PAGE_BYTES]) {
    let checksum = crc32c::crc32c(&page[..PAGE_CRC_AT]);
    page[PAGE_CRC_AT..].copy_from_slice(&checksum.to_le_bytes());
}

fn check_page(page: &[u8; PAGE_BYTES]) -> Result<(), ()> {
    if u32_at(page, PAGE_CRC_AT) == crc32c::crc32c(&page[..PAGE_CRC_AT]) { Ok(()) } else { Err(()) }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The u32 at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
