//! Sends signals, and stops single threads.
#![expect(unsafe_code, reason = "std knows only SIGKILL")]

use std::io;
use std::process::Child;

/// Sends `signal`, as `libc::SIGTERM`, to `child`.
pub(crate) fn send(child: &Child, signal: i32) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: plain numbers; the child was not waited for, so the number is still its own.
    let result = unsafe { libc::kill(pid, signal) };
    assert_eq!(result, 0, "kill: {}", io::Error::last_os_error());
}

/// Sends `signal` to a process that is no child, as a daemon; false if there is none.
pub(crate) fn send_to(pid: u32, signal: i32) -> bool {
    let pid = libc::pid_t::try_from(pid).unwrap();
    assert!(pid > 1, "a process, and not all of them");
    // SAFETY: plain numbers.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// A thread of a child that is stopped, alone, until this goes. To be dropped by the thread that made it.
pub(crate) struct StoppedThread(libc::pid_t);

impl StoppedThread {
    /// Stops it, as a debugger would.
    pub(crate) fn new(tid: u32) -> StoppedThread {
        let tid = libc::pid_t::try_from(tid).unwrap();
        for request in [libc::PTRACE_SEIZE, libc::PTRACE_INTERRUPT] {
            // SAFETY: neither request reads or writes memory; both take two numbers that are 0.
            let result = unsafe { libc::ptrace(request, tid, 0, 0) };
            assert_eq!(result, 0, "ptrace: {}", io::Error::last_os_error());
        }
        let mut status = 0;
        // SAFETY: the kernel writes one int through a pointer to one, which lives past the call.
        let waited = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
        assert_eq!(waited, tid, "waitpid: {}", io::Error::last_os_error());
        StoppedThread(tid)
    }
}

impl Drop for StoppedThread {
    fn drop(&mut self) {
        // SAFETY: the request reads and writes no memory; its two numbers are 0.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0, 0) };
    }
}
