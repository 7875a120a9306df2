//! A terminal for a child: what is asked only there, and what is coloured only there.
#![expect(unsafe_code, reason = "std knows no terminals")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, ExitStatus};
use std::ptr;

/// Runs `cmd` on a terminal on which `typed` is typed; what the terminal shows, and how it ended.
pub(crate) fn run(cmd: &mut Command, typed: &str) -> (String, ExitStatus) {
    run_sized(cmd, typed, 0, 0)
}

/// As `run`, on a terminal of a size.
pub(crate) fn run_sized(cmd: &mut Command, typed: &str, rows: u16, columns: u16) -> (String, ExitStatus) {
    let (mut master, slave) = open(rows, columns);
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

/// Both sides of a new terminal: the one of whoever looks at it, and the one of the program.
pub(crate) fn open(rows: u16, columns: u16) -> (File, OwnedFd) {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut master, mut slave) = (0, 0);
    // SAFETY: the call writes two ints through pointers to two and reads a size, which live past it; the others may be null.
    let result =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null(), &raw const size) };
    assert_eq!(result, 0, "openpty: {}", io::Error::last_os_error());
    // SAFETY: the call above has just made the descriptor, and nobody else has it.
    let master = unsafe { File::from_raw_fd(master) };
    // SAFETY: the same holds for the other.
    (master, unsafe { OwnedFd::from_raw_fd(slave) })
}
