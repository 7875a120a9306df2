//! Disk: the file system as snapshots need it. The runtime implements the real one, tests implement failing ones.
//!
//! Every call may fail; reads and writes may be short. All names are in one directory.

use std::io;

/// The directory of the snapshots.
pub trait Disk {
    /// An open file of the directory.
    type File: DiskFile;

    /// Creates a file for writing; an error if the name exists.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Checks that a file may be renamed to this name, whether the name exists or not.
    fn may_replace(&mut self, name: &str) -> io::Result<()>;

    /// Opens a file for reading.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// Renames a file atomically, over an existing one if there is one.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes all creations, renames and removals so far durable.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile {
    /// Writes some of `bytes` at an offset. Returns the number of written bytes.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads some bytes at an offset. Returns the number of read bytes; 0 at the end of the file.
    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes all writes so far durable.
    fn sync(&mut self) -> io::Result<()>;

    /// The length of the file in bytes.
    fn size(&mut self) -> io::Result<u64>;
}

/// Writes all of `bytes`, in as many calls as needed.
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

/// Reads until `bytes` is full. False if the file ends earlier.
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
