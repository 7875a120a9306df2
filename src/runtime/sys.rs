//! Sys: the system call of the runtime that neither std nor rustix has in safe form: the undelivered bytes of a socket.
//!
//! Never: keeps a pointer past the call.
#![expect(unsafe_code, reason = "a system call; the block is one call, tested below")]

use std::os::fd::{AsFd, AsRawFd};

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
