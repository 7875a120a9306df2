//! Fork, which neither std nor rustix has in safe form.
#![expect(unsafe_code, reason = "a system call; the block is one call, tested by the daemon's tests")]

use std::io;

use rustix::process::Pid;

/// The side of a fork.
#[derive(Clone, Copy, Debug)]
pub(super) enum Forked {
    /// The parent, with the pid of the child.
    Parent(Pid),
    /// The child.
    Child,
}

/// Forks this process. Refused if there is more than one thread: the child would inherit locks that no thread of it could
/// ever release.
pub(super) fn fork() -> io::Result<Forked> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("{threads} threads run already")));
    }
    // SAFETY: this is the only thread, as was just counted, and no other can begin but by it: so nothing is locked or half
    // changed in the child that it could not finish itself, and it may call anything.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Pid::from_raw(pid).map(Forked::Parent).ok_or_else(|| io::Error::other("fork gave no process")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // The test harness runs this in a thread of its own.
        assert!(fork().unwrap_err().to_string().contains("threads run already"));
    }
}
