//! Stops one thread of a child of this test, as a bug or a debugger would, while its others go on.
#![expect(unsafe_code, reason = "ptrace has no safe form")]

use std::{fs, io, ptr};

/// A thread that is stopped, until this is dropped, in the thread that stopped it.
pub(crate) struct Frozen(libc::pid_t);

impl Frozen {
    /// Stops the thread of process `pid` that is named so at its beginning, and returns when it stands; `None` where
    /// nobody may.
    #[track_caller]
    pub(crate) fn stop(pid: u32, name: &str) -> Option<Frozen> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap());
        let named =
            |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with(name));
        let task = tasks.into_iter().find(named).unwrap_or_else(|| panic!("no thread {name}"));
        let tid: libc::pid_t = task.file_name().to_str().unwrap().parse().unwrap();
        if let Err(error) = trace(libc::PTRACE_ATTACH, tid) {
            assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
            return None;
        }
        let mut status = 0;
        // SAFETY: the kernel writes one `int` through a pointer to one that lives.
        let waited = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
        assert_eq!(waited, tid, "{}", io::Error::last_os_error());
        Some(Frozen(tid))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        trace(libc::PTRACE_DETACH, self.0).unwrap();
    }
}

fn trace(request: libc::c_uint, tid: libc::pid_t) -> io::Result<()> {
    // SAFETY: attaching and detaching read and write no memory of ours; the thread is a child's, or is gone.
    let result =
        unsafe { libc::ptrace(request, tid, ptr::null_mut::<libc::c_void>(), ptr::null_mut::<libc::c_void>()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
