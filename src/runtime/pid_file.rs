//! The pid file: which process is the server, held by a lock as long as it lives.
//!
//! Owner: `cli::server` for the life of the process; `aspine stop` reads it. The lock says whether a server lives and the
//! kernel says who holds it (F_GETLK), so what a server that was killed left behind is known as such, and no number in a
//! file is ever believed. The lock is one of the process (fcntl): a fork has none, and closing any other descriptor of the
//! file would end it, so nothing else in here opens it.
//! Never: removes the file of another server.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use super::preflight::ProcessError;
use crate::limits::PID_BYTES_MAX;

/// A pid file that is ours.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// Locked.
    file: File,
}

impl PidFile {
    /// Takes it for this process. What is left of a server that is gone is taken over; one that lives is named.
    pub fn acquire(path: &Path) -> Result<PidFile, ProcessError> {
        let failed = |source| ProcessError::PidFile { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            // Anyone may read who the server is.
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
            // Its last owner may have removed it between our opening and our locking: then it is nobody's any more.
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
            // Left behind it is stale, which the next server sees.
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

/// Who holds a pid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No one: there is no file, or its server is gone.
    Nobody,
    /// This process.
    Process(Pid),
    /// A process that can't be seen from here: it runs in another container.
    Elsewhere,
}

/// Who holds the pid file at `path`.
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

/// Fails for a file that holds something else than a pid: a path that was mistyped is not to cost a file.
fn check_content(file: &mut File) -> io::Result<()> {
    let mut head = Vec::new();
    file.take(PID_BYTES_MAX + 1).read_to_end(&mut head)?;
    let is_pid = head.len() as u64 <= PID_BYTES_MAX && head.iter().all(|byte| byte.is_ascii_digit() || *byte == b'\n');
    if is_pid { Ok(()) } else { Err(io::Error::other("it holds something else than a process id")) }
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
