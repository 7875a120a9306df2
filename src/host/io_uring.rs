//! The io_uring probe: creates rings as glommio will, asks what they can do, and closes them.
//!
//! Owner: `host::check`, before any executor exists. Cost: a handful of system calls.
//! Never: leaves a ring open. An errno alone does not say what refused; `cause` also looks at
//! `ProcessFacts`.

use std::io;

use super::error::{IoUringCause, StartError};
use super::facts::ProcessFacts;
use super::sys;
use crate::limits::KERNEL_MIN;

/// Entries of the rings of the probe: the fewest, to fit any memlock limit that lets the server
/// run.
const PROBE_ENTRIES: u32 = 1;
/// The flag of a ring whose completions are polled for; glommio creates one per core.
const SETUP_IOPOLL: u32 = 1;
/// The opcodes without which glommio 0.9 ends the process (`GLOMMIO_URING_OPS`), and ASYNC_CANCEL,
/// which it uses without checking for it.
const OPS_REQUIRED: [(usize, &str); 24] = [
    (0, "NOP"),
    (1, "READV"),
    (2, "WRITEV"),
    (3, "FSYNC"),
    (4, "READ_FIXED"),
    (5, "WRITE_FIXED"),
    (6, "POLL_ADD"),
    (7, "POLL_REMOVE"),
    (9, "SENDMSG"),
    (10, "RECVMSG"),
    (11, "TIMEOUT"),
    (12, "TIMEOUT_REMOVE"),
    (13, "ACCEPT"),
    (14, "ASYNC_CANCEL"),
    (15, "LINK_TIMEOUT"),
    (16, "CONNECT"),
    (17, "FALLOCATE"),
    (18, "OPENAT"),
    (19, "CLOSE"),
    (21, "STATX"),
    (22, "READ"),
    (23, "WRITE"),
    (26, "SEND"),
    (27, "RECV"),
];

/// Whether this process may use io_uring, and this kernel's is good enough for glommio.
pub fn probe_io_uring(facts: &ProcessFacts) -> Result<(), StartError> {
    let refused = |source| refusal(1, source, facts);
    let ring = sys::io_uring_setup(PROBE_ENTRIES, 0).map_err(refused)?;
    sys::io_uring_setup(PROBE_ENTRIES, SETUP_IOPOLL).map_err(refused)?;
    sys::io_uring_enter_idle(&ring).map_err(refused)?;
    let supported = sys::io_uring_ops(&ring).map_err(refused)?;
    let missing = missing_ops(&supported);
    if !missing.is_empty() {
        let cause = IoUringCause::OpsMissing { names: missing, kernel: facts.kernel_release.clone() };
        return Err(StartError::IoUring { cause, source: None });
    }
    Ok(())
}

/// Creates the smallest ring and closes it.
pub(super) fn try_ring(facts: &ProcessFacts) -> Result<(), StartError> {
    sys::io_uring_setup(PROBE_ENTRIES, 0).map(drop).map_err(|source| refusal(1, source, facts))
}

fn missing_ops(supported: &[bool]) -> Vec<&'static str> {
    OPS_REQUIRED.iter().filter(|(op, _)| !supported[*op]).map(|(_, name)| *name).collect()
}

/// The start error for an error of an io_uring call, for a server of `cores` cores.
pub(super) fn refusal(cores: usize, source: io::Error, facts: &ProcessFacts) -> StartError {
    if source.raw_os_error() == Some(libc::ENOMEM) {
        // The ring did not fit into the user's lockable memory.
        let bytes_needed = super::memlock_bytes_needed(cores, true);
        let bytes_limit = sys::rlimit(sys::Resource::Memlock).map_or(0, |limit| limit.soft);
        return StartError::Memlock { cores, bytes_needed, bytes_limit, source: Some(source) };
    }
    StartError::IoUring { cause: cause(source.raw_os_error().unwrap_or(0), facts), source: Some(source) }
}

/// What refused io_uring, as far as `errno` and `facts` tell.
fn cause(errno: i32, facts: &ProcessFacts) -> IoUringCause {
    let too_old = facts.kernel_version().is_some_and(|version| version < KERNEL_MIN);
    let kernel = facts.kernel_release.clone();
    match errno {
        libc::EPERM | libc::EACCES => match facts.io_uring_disabled {
            Some(2) => IoUringCause::DisabledForAll,
            Some(1) if !facts.may_administer() => IoUringCause::DisabledForUnprivileged,
            _ if facts.seccomp_filtered => IoUringCause::DeniedBySeccomp,
            _ => IoUringCause::DeniedByPolicy,
        },
        // EINVAL: 5.1 to 5.5 have io_uring but not the probe.
        libc::ENOSYS | libc::EINVAL if too_old => IoUringCause::KernelTooOld { kernel },
        libc::ENOSYS if facts.seccomp_filtered => IoUringCause::DeniedBySeccomp,
        libc::ENOSYS => IoUringCause::NotBuilt { kernel },
        _ => IoUringCause::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_passes_or_says_why_not() {
        match probe_io_uring(&ProcessFacts::read()) {
            Ok(()) => {}
            Err(error) => {
                let line = error.to_string();
                assert!(line.starts_with("cannot use io_uring: ") && !line.contains('\n'), "{line}");
            }
        }
    }

    #[test]
    fn the_cause_is_told_from_errno_and_facts() {
        let facts = |release: &str, disabled, seccomp_filtered, capabilities| ProcessFacts {
            io_uring_disabled: disabled,
            kernel_release: release.to_owned(),
            seccomp_filtered,
            capabilities,
        };
        let new = || "6.8.0".to_owned();
        let old = || "4.19.0".to_owned();
        let root = u64::MAX;
        for (errno, facts, expected) in [
            (libc::EPERM, facts("6.8.0", Some(2), false, root), IoUringCause::DisabledForAll),
            (libc::EPERM, facts("6.8.0", Some(2), true, 0), IoUringCause::DisabledForAll),
            (libc::EPERM, facts("6.8.0", Some(1), false, 0), IoUringCause::DisabledForUnprivileged),
            (libc::EPERM, facts("6.8.0", Some(1), true, root), IoUringCause::DeniedBySeccomp),
            (libc::EPERM, facts("6.8.0", Some(0), true, 0), IoUringCause::DeniedBySeccomp),
            (libc::EPERM, facts("5.15.0", None, true, 0), IoUringCause::DeniedBySeccomp),
            (libc::EPERM, facts("6.8.0", Some(0), false, 0), IoUringCause::DeniedByPolicy),
            (libc::EACCES, facts("6.8.0", None, false, 0), IoUringCause::DeniedByPolicy),
            (libc::ENOSYS, facts("4.19.0", None, true, 0), IoUringCause::KernelTooOld { kernel: old() }),
            (libc::EINVAL, facts("4.19.0", None, false, 0), IoUringCause::KernelTooOld { kernel: old() }),
            (libc::ENOSYS, facts("6.8.0", None, true, 0), IoUringCause::DeniedBySeccomp),
            (libc::ENOSYS, facts("6.8.0", None, false, 0), IoUringCause::NotBuilt { kernel: new() }),
            (libc::EINVAL, facts("6.8.0", None, false, 0), IoUringCause::Unknown),
            (libc::ENFILE, facts("6.8.0", None, false, 0), IoUringCause::Unknown),
        ] {
            assert_eq!(cause(errno, &facts), expected, "{errno} {facts:?}");
        }
    }

    #[test]
    fn a_missing_operation_is_named() {
        let mut supported = [true; 256];
        assert!(missing_ops(&supported).is_empty());
        supported[27] = false;
        supported[8] = false;
        assert_eq!(missing_ops(&supported), ["RECV"]);
    }

    #[test]
    fn a_full_memlock_is_not_called_a_denial() {
        let error = refusal(1, io::Error::from_raw_os_error(libc::ENOMEM), &ProcessFacts::default());
        assert!(matches!(error, StartError::Memlock { .. }), "{error}");
    }
}
