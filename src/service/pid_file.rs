//! Pid file: names the process of the server, and is locked as long as the server lives.
//!
//! Owner: `cli::server` for the life of the process; `aspine stop` reads it. The lock says whether a server lives, and the
//! kernel says which process holds it (F_GETLK): so the file of a killed server is recognised, and no number in a
//! file is ever trusted. The lock belongs to the process (fcntl): a fork does not inherit it, and closing any other
//! descriptor of the file would release it, so nothing else in here opens the file.
//! Never: removes the file of another server.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use crate::host::ProcessError;
use crate::limits::PID_BYTES_MAX;

/// A pid file locked by this process.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// The open file, locked.
    file: File,
}

impl PidFile {
    /// Locks the pid file for this process. The file of a server that is gone is taken over; for a running server the error
    /// names its process.
    pub fn acquire(path: &Path) -> Result<PidFile, ProcessError> {
        let failed = |source| ProcessError::PidFile { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            // Every user may read the pid.
            DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed)?;
        }
        loop {
            let mut file = open(path).map_err(failed)?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                    let pid = match holder(&file).map_err(failed)? {
                        Holder::Nobody => continue,
                        Holder::Process(pid) => Some(pid.as_raw_nonzero().get().unsigned_abs()),
                        Holder::Elsewhere => None,
                    };
                    return Err(ProcessError::Running { path: path.to_owned(), pid });
                }
                Err(error) => return Err(failed(error.into())),
            }
            // Its last owner may have removed the file between opening and locking; then the lock is on a deleted file.
            if !is_at(&file, path) {
                continue;
            }
            check_content(&mut file).map_err(failed)?;
            file.rewind().map_err(failed)?;
            file.set_len(0).map_err(failed)?;
            file.set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
            writeln!(file, "{}", std::process::id()).map_err(failed)?;
            return Ok(PidFile { path: path.to_owned(), file });
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            // A file that can't be removed is stale, which the next server recognises.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(no_link);
    options.open(path)
}

/// Whether `path` still leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// The holder of a pid file's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// There is no file, or its server is gone.
    Nobody,
    /// The file is held by this process.
    Process(Pid),
    /// The file is held by a process that is not visible here: it runs in another container.
    Elsewhere,
}

/// Finds the holder of the pid file at `path`.
pub fn holder_of(path: &Path) -> io::Result<Holder> {
    match File::open(path) {
        Ok(file) => holder(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Holder::Nobody),
        Err(error) => Err(error),
    }
}

fn holder(file: &File) -> io::Result<Holder> {
    Ok(match fcntl_getlk(file, &Flock::from(FlockType::WriteLock))? {
        None => Holder::Nobody,
        Some(Flock { pid: Some(pid), .. }) => Holder::Process(pid),
        Some(Flock { pid: None, .. }) => Holder::Elsewhere,
    })
}

/// Refuses a file that holds anything but a pid, so that a mistyped path does not destroy a file.
fn check_content(file: &mut File) -> io::Result<()> {
    let mut head = Vec::new();
    file.take(PID_BYTES_MAX + 1).read_to_end(&mut head)?;
    let is_pid = head.len() as u64 <= PID_BYTES_MAX && head.iter().all(|byte| byte.is_ascii_digit() || *byte == b'\n');
    if is_pid { Ok(()) } else { Err(io::Error::other("its content is not a process id")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("aspine-pid-{name}-{}", std::process::id()))
    }

    #[test]
    fn it_names_this_process_and_goes_with_it() {
        let path = path("own").join("deeper/pid");
        let file = PidFile::acquire(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
        fs::remove_dir_all(path.ancestors().nth(2).unwrap()).unwrap();
    }

    #[test]
    fn what_is_left_of_a_server_that_is_gone_is_taken_over() {
        let path = path("stale");
        fs::write(&path, "1\nand a line of someone who appended").unwrap();
        assert!(matches!(PidFile::acquire(&path), Err(ProcessError::PidFile { .. })), "no pid file");
        fs::write(&path, "4194304\n").unwrap();
        assert_eq!(holder_of(&path).unwrap(), Holder::Nobody);
        let file = PidFile::acquire(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
    }

    #[test]
    fn another_servers_file_is_left_alone() {
        let path = path("other");
        let file = PidFile::acquire(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "7\n").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "7\n");
        fs::remove_file(&path).unwrap();
        assert_eq!(holder_of(&path).unwrap(), Holder::Nobody);
    }

    #[test]
    fn a_link_is_not_followed() {
        let (path, target) = (path("link"), path("target"));
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(PidFile::acquire(&path), Err(ProcessError::PidFile { .. })));
        assert!(!target.exists());
        fs::remove_file(&path).unwrap();
    }
}
