//! A terminal for a child: what is asked only there, and what is coloured only there.
#![expect(unsafe_code, reason = "std knows no terminals")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, ExitStatus};
use std::ptr;

/// Runs `cmd` on a terminal on which `typed` is typed; what the terminal shows, and how it ended.
pub(crate) fn run(cmd: &mut Command, typed: &str) -> (String, ExitStatus) {
    let (mut master, slave) = open();
    let duplicate = || slave.try_clone().unwrap();
    let mut child = cmd.stdin(duplicate()).stdout(duplicate()).stderr(duplicate()).spawn().unwrap();
    drop(slave);
    // The command keeps its ends until it is dropped.
    cmd.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    master.write_all(typed.as_bytes()).unwrap();
    let mut shown = Vec::new();
    // It ends with EIO once nobody has the other side.
    let _ = master.read_to_end(&mut shown);
    (String::from_utf8(shown).unwrap(), child.wait().unwrap())
}

fn open() -> (File, OwnedFd) {
    let (mut master, mut slave) = (0, 0);
    // SAFETY: the call writes two ints through pointers to two, which live past it; the other pointers may be null.
    let result = unsafe { libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null(), ptr::null()) };
    assert_eq!(result, 0, "openpty: {}", io::Error::last_os_error());
    // SAFETY: the call above has just made the descriptor, and nobody else has it.
    let master = unsafe { File::from_raw_fd(master) };
    // SAFETY: the same holds for the other.
    (master, unsafe { OwnedFd::from_raw_fd(slave) })
}
