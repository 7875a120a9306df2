//! Files: the thread that reads and writes snapshots for all cores, and its directory.
//!
//! ```text
//! core ─ asks ─▶ files thread ─▶ disk            save: blocks, at most four of each core's walk under way
//! core ◀ events, records, and a doorbell ────┘    load: at most four chunks of records waiting for each core
//! ```
//! After a second without work the thread returns unused memory to the kernel (`allocator`).
//! Why a thread and not the ring of each core: a busy core naps in `epoll_wait` and enters its ring only when it parks,
//! which costs ten system calls; completions would be late under load, or cost every turn. The thread sleeps in its
//! channel or in the kernel, runs off the cores' CPUs if there is another, and computes the checksums, so that a core's
//! share of a snapshot is one copy of its items. It bypasses the page cache (O_DIRECT) if the file system allows it, which
//! saves memory and keeps the kernel from writing out a gigabyte at once at the end.
//! Never: follows a symbolic link, leaves a temporary file, writes over a file before the new one is complete.

use std::fmt::{self, Display};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use rustix::fs::{
    Access, AtFlags, CWD, FlockOperation, OFlags, accessat, fcntl_getfl, fcntl_setfl, flock, major, minor,
};
use rustix::thread::CpuSet;
use tracing::warn;

use super::allocator;
use super::shared::Shared;
use crate::engine::files::{FileAsk, FileEvent};
use crate::engine::worker::Worker;
use crate::host::cpus_allowed;
use crate::limits::{LOAD_CHUNKS_AHEAD, SNAPSHOT_ALIGN_BYTES, SNAPSHOT_BLOCK_BYTES, UNUSED_PAGES_KEPT_MS};
use crate::persist::{Disk, DiskFile, Name};
use crate::slot::CoreId;

/// The lowest priority. On Linux each thread has its own.
const NICE: i32 = 19;

/// The time without work after which unused memory is returned.
const UNUSED_PAGES_KEPT: Duration = Duration::from_millis(UNUSED_PAGES_KEPT_MS);

/// One core's ends of the channels.
pub(super) struct CoreFiles {
    core: CoreId,
    asks: Sender<(CoreId, FileAsk)>,
    pub(super) events: Receiver<FileEvent>,
    pub(super) records: Receiver<FileEvent>,
}

impl CoreFiles {
    pub(super) fn ask(&self, ask: FileAsk) {
        // The thread outlives the cores.
        let _ = self.asks.send((self.core, ask));
    }
}

/// The thread's ends of the channels to one core.
struct ToCore {
    events: Sender<FileEvent>,
    records: SyncSender<FileEvent>,
}

/// Starts the thread. `load`: the snapshot that the cores load at the start, if there is one.
pub(super) fn start(
    path: &Path,
    cpus: &[usize],
    databases: u8,
    shared: &Arc<Shared>,
    directory: Option<Directory>,
    load: Option<Name>,
) -> Vec<CoreFiles> {
    allocator::keep_unused_pages();
    let cores = cpus.len() as u16;
    let free = free_cpus(cpus);
    let (asks, from_cores) = channel::<(CoreId, FileAsk)>();
    let (mut ends, mut to_cores) = (Vec::new(), Vec::new());
    for core in (0..cores).map(CoreId) {
        let (events, events_end) = channel();
        let (records, records_end) = sync_channel(LOAD_CHUNKS_AHEAD);
        to_cores.push(ToCore { events, records });
        ends.push(CoreFiles { core, asks: asks.clone(), events: events_end, records: records_end });
    }
    let (path, shared) = (path.to_owned(), Arc::clone(shared));
    let mut keeper = Worker::new(cores, directory, move || Ok(Directory::open(&path)?)).with_databases(databases);
    let mut tell = move |core: CoreId, event| {
        shared.file_steps.fetch_add(1, Ordering::Relaxed);
        let to_core = &to_cores[usize::from(core.0)];
        let told = match event {
            FileEvent::Records { .. } | FileEvent::End { .. } => to_core.records.send(event).is_ok(),
            _ => to_core.events.send(event).is_ok(),
        };
        shared.doorbells.ring(core);
        told
    };
    #[expect(clippy::disallowed_methods, reason = "disks block; see the head of this file")]
    std::thread::spawn(move || {
        if let Some(free) = free {
            // Otherwise the thread is woken on the CPU of the core that asked, which then waits for a tick of the scheduler: p99
            // during saves at 20k requests a second was 1.5 ms then, and 0.3 ms with the thread on another CPU.
            let _ = rustix::thread::sched_setaffinity(None, &free);
        }
        // If the thread shares a CPU with a core, the core goes first. A failure here does not matter.
        let _ = rustix::process::nice(NICE);
        if let Some(name) = load {
            keeper.load_at_start(&name, &mut tell);
        }
        loop {
            match from_cores.recv_timeout(UNUSED_PAGES_KEPT) {
                Ok((core, ask)) => keeper.answer(core, ask, &mut tell),
                Err(RecvTimeoutError::Timeout) => allocator::give_back_unused_pages(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    ends
}

/// The CPUs that this process may use and no core runs on, if there are any.
pub(super) fn free_cpus(cpus: &[usize]) -> Option<CpuSet> {
    let allowed = cpus_allowed().unwrap_or_default();
    let mut free = CpuSet::new();
    allowed.into_iter().filter(|cpu| !cpus.contains(cpu) && *cpu < CpuSet::MAX_CPU).for_each(|cpu| free.set(cpu));
    (free.count() > 0).then_some(free)
}

/// The data directory, held by one server at a time.
pub(super) struct Directory {
    path: PathBuf,
    /// The open directory, locked.
    handle: File,
}

/// The reason why a data directory can't be opened.
#[derive(Debug)]
pub(super) enum DirectoryError {
    /// Another server holds the directory: its pid, if the kernel shows it here.
    Used(Option<u32>),
    /// The directory can't be created, locked or written.
    Unusable(io::Error),
}

impl From<io::Error> for DirectoryError {
    fn from(error: io::Error) -> Self {
        DirectoryError::Unusable(error)
    }
}

impl Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectoryError::Used(Some(pid)) => write!(f, "another server uses this directory, as process {pid}"),
            DirectoryError::Used(None) => f.write_str("another server uses this directory"),
            DirectoryError::Unusable(error) => error.fmt(f),
        }
    }
}

impl From<DirectoryError> for io::Error {
    fn from(error: DirectoryError) -> io::Error {
        match error {
            DirectoryError::Used(_) => io::Error::other(error.to_string()),
            DirectoryError::Unusable(error) => error,
        }
    }
}

impl Directory {
    /// Opens and locks the directory, and creates it if needed. Removes temporary files of a killed server. The lock is the
    /// kernel's and ends with the process, so a killed server leaves none behind.
    pub(super) fn open(path: &Path) -> Result<Directory, DirectoryError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let handle = File::open(path)?;
        lock(&handle, FlockOperation::NonBlockingLockExclusive)?;
        // Nothing may have to be written for hours, so it is asked now whether that would fail.
        accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(io::Error::from)?;
        for entry in std::fs::read_dir(path)? {
            let name = entry?.file_name();
            if name.to_str().is_some_and(Name::is_temporary) {
                warn!("removing {}, which a server that was killed left", name.display());
                std::fs::remove_file(path.join(name))?;
            }
        }
        Ok(Directory { path: path.to_owned(), handle })
    }

    /// Refuses a directory that another server holds, without holding or creating it. What else may be wrong with it shows
    /// when it is opened.
    pub(super) fn check_unused(path: &Path) -> Result<(), DirectoryError> {
        let Ok(handle) = File::open(path) else { return Ok(()) };
        // Shared, so that two servers that look at the same time do not take each other for its holder.
        match lock(&handle, FlockOperation::NonBlockingLockShared) {
            Err(DirectoryError::Used(pid)) => Err(DirectoryError::Used(pid)),
            _ => Ok(()),
        }
    }
}

fn lock(directory: &File, operation: FlockOperation) -> Result<(), DirectoryError> {
    flock(directory, operation).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => DirectoryError::Used(holder(directory)),
        error => DirectoryError::Unusable(error.into()),
    })
}

/// The process that holds the lock of a directory, if it can be seen from here: not one of another container.
fn holder(directory: &File) -> Option<u32> {
    let meta = directory.metadata().ok()?;
    holder_in(&std::fs::read_to_string("/proc/locks").ok()?, meta.dev(), meta.ino())
}

/// The process that holds a lock on a file, by the kernel's list: `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5677089 0 EOF`.
fn holder_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    let held = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // A line of one that waits for the lock has an arrow before the kind.
    let mut held = held.filter(|words| words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&place.as_str()));
    held.find_map(|words| words[4].parse().ok().filter(|pid| *pid != 0))
}

impl Disk for Directory {
    type File = AlignedFile;

    fn create(&mut self, name: &str) -> io::Result<AlignedFile> {
        let path = self.path.join(name);
        let open = |flags: i32| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            options.custom_flags(flags | libc::O_NOFOLLOW).open(&path)
        };
        match open(libc::O_DIRECT) {
            Ok(file) => Ok(AlignedFile::new(file, true)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                // Some file systems create the file before they refuse O_DIRECT.
                let _ = std::fs::remove_file(&path);
                Ok(AlignedFile::new(open(0)?, false))
            }
            Err(error) => Err(error),
        }
    }

    fn may_replace(&mut self, name: &str) -> io::Result<()> {
        match std::fs::symlink_metadata(self.path.join(name)) {
            Ok(meta) if !meta.is_file() => Err(io::Error::other("the name exists and is not a regular file")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn open(&mut self, name: &str) -> io::Result<AlignedFile> {
        let file = PlainFile::open(&self.path.join(name), libc::O_NOFOLLOW)?;
        Ok(AlignedFile::new(file.0, false))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

/// A file open for reading.
#[derive(Debug)]
pub struct PlainFile(File);

impl PlainFile {
    /// Opens a regular file for reading.
    pub fn open(path: &Path, flags: i32) -> io::Result<PlainFile> {
        // Without O_NONBLOCK, opening a pipe would block.
        let file = OpenOptions::new().read(true).custom_flags(flags | libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("this is no file"));
        }
        Ok(PlainFile(file))
    }
}

impl DiskFile for PlainFile {
    fn write_at(&mut self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn size(&mut self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// A file open for writing, with O_DIRECT if possible.
#[derive(Debug)]
pub(super) struct AlignedFile {
    file: File,
    direct: bool,
    /// A buffer with room for a block at an aligned address.
    room: Vec<u8>,
}

impl AlignedFile {
    fn new(file: File, direct: bool) -> AlignedFile {
        let room = if direct { vec![0; SNAPSHOT_BLOCK_BYTES + SNAPSHOT_ALIGN_BYTES] } else { Vec::new() };
        AlignedFile { file, direct, room }
    }

    /// Switches to the page cache.
    fn give_up_direct(&mut self) -> io::Result<()> {
        self.direct = false;
        let flags = fcntl_getfl(&self.file)?;
        Ok(fcntl_setfl(&self.file, flags & !OFlags::DIRECT)?)
    }
}

impl DiskFile for AlignedFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let aligned = bytes.len().is_multiple_of(SNAPSHOT_ALIGN_BYTES)
            && bytes.len() <= SNAPSHOT_BLOCK_BYTES
            && offset.is_multiple_of(SNAPSHOT_ALIGN_BYTES as u64);
        if self.direct && aligned {
            let from = self.room.as_ptr().align_offset(SNAPSHOT_ALIGN_BYTES);
            let room = &mut self.room[from..from + bytes.len()];
            room.copy_from_slice(bytes);
            match self.file.write_at(room, offset) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                result => return result,
            }
        }
        if self.direct {
            // The write is not aligned as this disk requires, or is the rest of a short write.
            self.give_up_direct()?;
        }
        self.file.write_at(bytes, offset)
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn size(&mut self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_of_locks_names_the_holder() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:42 0 EOF\n2: FLOCK  ADVISORY  WRITE 0 fe:01:42 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 17119 fe:00:42 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 8 fe:00:42 0 EOF\n";
        let device = |minor| rustix::fs::makedev(0xfe, minor);
        assert_eq!(holder_in(locks, device(0), 42), Some(17119));
        assert_eq!(holder_in(locks, device(1), 42), None, "a process of another container");
        assert_eq!(holder_in(locks, device(0), 4), None);
        assert_eq!(holder_in("", device(0), 42), None);
    }
}
