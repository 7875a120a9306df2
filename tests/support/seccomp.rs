//! Runs a command where io_uring is denied, as container runtimes deny it: by a seccomp filter.
//!
//! Needs no privilege. The filter holds for the command and all its children, never for the caller.
#![expect(unsafe_code, reason = "a filter can only be installed between fork and exec, by two system calls")]

use std::io;
use std::mem::offset_of;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes `io_uring_setup`, `io_uring_enter` and `io_uring_register` fail with `errno` in what `cmd`
/// runs: EPERM is what Docker's profile answers, ENOSYS what Podman's does.
pub(crate) fn deny_io_uring(cmd: &mut Command, errno: i32) {
    let program = filter(errno);
    // SAFETY: the hook only makes two system calls, on memory that is its own: it allocates nothing
    // and takes no lock, so it may run between fork and exec of a process with threads.
    unsafe { cmd.pre_exec(move || install(&program)) };
}

/// Loads the number of the call; the three of io_uring end in `errno`, all others pass. The numbers
/// are the same on every architecture we run on (425-427), and a test's own child does not call by
/// a foreign one: no check of the architecture.
fn filter(errno: i32) -> [libc::sock_filter; 5] {
    let op = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let nr = offset_of!(libc::seccomp_data, nr) as u32;
    let (first, last) = (libc::SYS_io_uring_setup as u32, libc::SYS_io_uring_register as u32);
    [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, nr),
        op(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, first),
        op(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 0, 1, last),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32 & libc::SECCOMP_RET_DATA),
    ]
}

fn install(program: &[libc::sock_filter; 5]) -> io::Result<()> {
    // The kernel only reads the program; the field is `*mut` for history.
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: plain numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `program` and the instructions it points to outlive the call, which copies them.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
