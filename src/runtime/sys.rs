//! Sys: the system calls of the runtime that neither std nor rustix has in safe form: fork, and the undelivered bytes of a
//! socket.
//!
//! Never: keeps a pointer past the call.
#![expect(unsafe_code, reason = "system calls; each block is one call, tested below or by the daemon's tests")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

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

/// The bytes sent on a socket that the other side's kernel has not acknowledged; on TCP the FIN counts as one. 0 if the
/// kernel does not report them.
pub(super) fn undelivered_bytes(socket: impl AsFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int through a pointer to one, which lives past the call; the descriptor is borrowed.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // The test harness runs this in a thread of its own.
        assert!(fork().unwrap_err().to_string().contains("threads run already"));
    }

    #[test]
    fn what_the_peer_has_no_room_for_is_undelivered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut reader = listener.accept().unwrap().0;
        sender.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(len) = sender.write(&[7; 65536]) {
            sent += len;
        }
        assert!(undelivered_bytes(&sender) > 0);
        let mut buffer = vec![0; sent];
        reader.read_exact(&mut buffer).unwrap();
        while undelivered_bytes(&sender) > 0 {
            std::thread::yield_now();
        }
    }
}
