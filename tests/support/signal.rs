//! Sends a signal to a child of this test.
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
