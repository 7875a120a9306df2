//! Runs a command under a lower limit than the test has.
//!
//! Sets soft and hard, so that the command can't raise it again (root with CAP_SYS_RESOURCE could,
//! and the server does not try). The limit holds for the command and its children, never for the
//! caller.
#![expect(unsafe_code, reason = "a limit of the child alone can only be set between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Limits locked memory to `bytes`.
pub(crate) fn limit_memlock(cmd: &mut Command, bytes: u64) {
    limit(cmd, libc::RLIMIT_MEMLOCK, bytes);
}

/// Limits file descriptors to `n`: the highest descriptor is `n - 1`.
pub(crate) fn limit_nofile(cmd: &mut Command, n: u64) {
    limit(cmd, libc::RLIMIT_NOFILE, n);
}

/// Limits the size of files that are written.
pub(crate) fn limit_file_size(cmd: &mut Command, bytes: u64) {
    limit(cmd, libc::RLIMIT_FSIZE, bytes);
}

/// Limits the file descriptors of a process that runs already, as an operator does with `prlimit`.
pub(crate) fn limit_nofile_of(pid: u32, n: u64) {
    let limit = libc::rlimit { rlim_cur: n, rlim_max: n };
    let pid = libc::pid_t::try_from(pid).expect("a process id");
    // SAFETY: the kernel reads one `rlimit` through a pointer to one that lives; it is not asked for the old one.
    let result = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

fn limit(cmd: &mut Command, resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    let set = move || {
        // SAFETY: the kernel reads one `rlimit` through a pointer to one, which the closure owns.
        let result = unsafe { libc::setrlimit(resource, &raw const limit) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: the hook makes one system call on memory of its own: it allocates nothing and takes
    // no lock, so it may run between fork and exec of a process with threads.
    unsafe { cmd.pre_exec(set) };
}
