//! Snapshot: writes blocks to a file that appears whole or not at all.
//!
//! Blocks come from all cores in any order, and get consecutive offsets here. After an error the caller has to `abandon`
//! the file, so that no temporary file stays.

use std::io;

use super::disk::{Disk, DiskFile, write_all};
use super::format::{self, Footer, HEAD_BYTES, Header, PAGE_BYTES};
use super::name::Name;
use super::stream::Block;

/// A snapshot being written.
#[derive(Debug)]
pub struct Snapshot<F> {
    file: F,
    name: Name,
    temporary: String,
    header: Header,
    offset: u64,
    footer: Footer,
}

/// A snapshot that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The number of items.
    pub items: u64,
    /// The length of the file in bytes.
    pub bytes: u64,
}

impl<F: DiskFile> Snapshot<F> {
    /// Creates the temporary file.
    pub fn begin<D: Disk<File = F>>(disk: &mut D, name: Name, header: Header) -> io::Result<Snapshot<F>> {
        let temporary = name.temporary(header.id);
        disk.may_replace(name.as_str())?;
        let file = disk.create(&temporary)?;
        let footer = Footer { id: header.id, blocks: 0, items: 0, bytes: 0, checksum: 0 };
        Ok(Snapshot { file, name, temporary, header, offset: PAGE_BYTES as u64, footer })
    }

    /// The id of the snapshot.
    pub fn id(&self) -> u64 {
        self.header.id
    }

    /// Sets the instant of the snapshot, which need not be known at the begin.
    pub fn set_created(&mut self, created_ms: u64) {
        self.header.created_ms = created_ms;
    }

    /// The bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Appends a block.
    pub fn block(&mut self, block: &mut Block) -> io::Result<()> {
        let checksum = format::place_block(&mut block.bytes, self.offset);
        write_all(&mut self.file, &block.bytes, self.offset)?;
        let payload = format::u32_at(&block.bytes[..HEAD_BYTES], 16);
        self.offset += block.bytes.len() as u64;
        self.header.has_databases |= format::has_databases(&block.bytes);
        self.footer.blocks += 1;
        self.footer.items += u64::from(block.records);
        self.footer.bytes += u64::from(payload);
        self.footer.checksum = crc32c::crc32c_append(self.footer.checksum, &checksum.to_le_bytes());
        Ok(())
    }

    /// Writes the footer and makes the file durable under its name.
    pub fn finish<D: Disk<File = F>>(mut self, disk: &mut D) -> io::Result<Saved> {
        match self.complete(disk) {
            Ok(()) => Ok(Saved { items: self.footer.items, bytes: self.offset + PAGE_BYTES as u64 }),
            Err(error) => {
                self.abandon(disk);
                Err(error)
            }
        }
    }

    fn complete<D: Disk<File = F>>(&mut self, disk: &mut D) -> io::Result<()> {
        write_all(&mut self.file, &self.header.to_bytes(), 0)?;
        write_all(&mut self.file, &self.footer.to_bytes(), self.offset)?;
        self.file.sync()?;
        disk.rename(&self.temporary, self.name.as_str())?;
        disk.sync_names()
    }

    /// Removes the temporary file.
    pub fn abandon<D: Disk<File = F>>(self, disk: &mut D) {
        drop(self.file);
        // After a rename the temporary file is gone; one that can't be removed now is removed at the next start.
        let _ = disk.remove(&self.temporary);
    }
}
