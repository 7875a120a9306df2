//! Disk: what snapshots ask of a file system. The runtime has the real one, tests have some that fail.
//!
//! Every call may fail, and may do less than was asked for where it says so. Names are those of one directory.

use std::io;

/// A directory.
pub trait Disk {
    /// Its files.
    type File: DiskFile;

    /// A new file, to be written; an error if there is one of that name.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Whether a file of that name may be put there, over one that is there or not; an error if not.
    fn may_replace(&mut self, name: &str) -> io::Result<()>;

    /// A file, to be read.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, which may be another file's, in one step.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes names durable: what was created, renamed and removed so far stays so.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile {
    /// Writes some of `bytes` at an offset. Returns how many.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads some bytes from an offset. Returns how many; 0 at the end.
    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Its length in bytes.
    fn size(&mut self) -> io::Result<u64>;
}

/// Writes all of `bytes`, however many calls that takes.
pub(super) fn write_all(file: &mut impl DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `bytes` is full. False if the file ends before.
pub(super) fn read_all(file: &mut impl DiskFile, mut bytes: &mut [u8], mut offset: u64) -> io::Result<bool> {
    while !bytes.is_empty() {
        match file.read_at(bytes, offset) {
            Ok(0) => return Ok(false),
            Ok(read) => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
