//! The system calls of the host checks, which neither std nor socket2 has: limits, affinity,
//! io_uring's three.
//!
//! Owner: `preflight`; nothing else calls these. Each function is one call with its buffers owned
//! here, so that what it returns is plain data or an owned descriptor. Never: keeps a pointer past
//! the call.
#![expect(unsafe_code, reason = "system calls; each block is one call, tested below or by the probe's tests")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::limits::CPUS_MAX;

/// A limit of the process, in the resource's unit. `u64::MAX` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rlimit {
    /// The limit in force; the process may raise it to `hard`.
    pub(super) soft: u64,
    /// The bound of `soft`, which only root may raise.
    pub(super) hard: u64,
}

/// The limits a server depends on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource {
    /// The number of file descriptors.
    Nofile,
    /// The bytes of locked memory.
    Memlock,
}

impl Resource {
    pub(super) fn name(self) -> &'static str {
        match self {
            Resource::Nofile => "RLIMIT_NOFILE",
            Resource::Memlock => "RLIMIT_MEMLOCK",
        }
    }

    fn number(self) -> libc::__rlimit_resource_t {
        match self {
            Resource::Nofile => libc::RLIMIT_NOFILE,
            Resource::Memlock => libc::RLIMIT_MEMLOCK,
        }
    }
}

pub(super) fn rlimit(resource: Resource) -> io::Result<Rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit` through a pointer to one, which lives past the call.
    let result = unsafe { libc::getrlimit(resource.number(), &raw mut limit) };
    check(result.into())?;
    Ok(Rlimit { soft: limit.rlim_cur, hard: limit.rlim_max })
}

pub(super) fn set_rlimit(resource: Resource, limit: Rlimit) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
    // SAFETY: the kernel reads one `rlimit` through a pointer to one, which lives past the call.
    let result = unsafe { libc::setrlimit(resource.number(), &raw const limit) };
    check(result.into()).map(drop)
}

/// The affinity mask of the calling thread: CPU c is bit `c % usize::BITS` of word `c /
/// usize::BITS`.
pub(super) fn affinity() -> io::Result<[usize; CPUS_MAX / usize::BITS as usize]> {
    // Larger than `cpu_set_t`, whose 1024 bits are too few for some machines; a mask is a row of
    // `unsigned long`.
    let mut mask = [0_usize; CPUS_MAX / usize::BITS as usize];
    // SAFETY: the kernel writes at most the size it is told, which is the size of `mask`; any bits
    // are valid there.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    check(result.into())?;
    Ok(mask)
}

/// `struct io_uring_params`: 120 bytes in 32-bit words and a few pairs of them. We set its flags
/// and read nothing back.
#[repr(C, align(8))]
struct SetupParams {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    rest: [u32; 27],
}

/// Creates a ring.
pub(super) fn io_uring_setup(entries: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut params = SetupParams { sq_entries: 0, cq_entries: 0, flags, rest: [0; 27] };
    // SAFETY: the kernel reads and writes one `io_uring_params`; `params` has its size and
    // alignment, and any bits are valid in it.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, &raw mut params) };
    let fd = RawFd::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: the call succeeded, so `fd` is open, and nobody else has seen it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The entries of a probe: every opcode that fits a byte.
const PROBE_OPS: usize = 256;
/// 8-byte words before the entries of a probe.
const PROBE_HEAD_WORDS: usize = 2;

/// The operations `ring` supports: bit 0 of the flags at each opcode.
pub(super) fn io_uring_ops(ring: &OwnedFd) -> io::Result<[bool; PROBE_OPS]> {
    const REGISTER_PROBE: u32 = 8;
    const OP_SUPPORTED: u16 = 1;
    let mut probe = [0_u64; PROBE_HEAD_WORDS + PROBE_OPS];
    // SAFETY: the kernel writes one `io_uring_probe` with at most `PROBE_OPS` entries of 8 bytes
    // after its 16 bytes of head, which is what `probe` has room for; any bits are valid in it.
    let result = unsafe {
        libc::syscall(libc::SYS_io_uring_register, ring.as_raw_fd(), REGISTER_PROBE, probe.as_mut_ptr(), PROBE_OPS)
    };
    check(result)?;
    let mut supported = [false; PROBE_OPS];
    for entry in &probe[PROBE_HEAD_WORDS..] {
        // struct io_uring_probe_op { u8 op; u8 resv; u16 flags; u32 resv2; }
        let [op, _, flags_0, flags_1, ..] = entry.to_ne_bytes();
        // Unused entries are zero: opcode 0 without the flag.
        if u16::from_ne_bytes([flags_0, flags_1]) & OP_SUPPORTED != 0 {
            supported[usize::from(op)] = true;
        }
    }
    Ok(supported)
}

/// Enters `ring` with nothing to submit and nothing to wait for, to check that this is allowed.
pub(super) fn io_uring_enter_idle(ring: &OwnedFd) -> io::Result<()> {
    let (to_submit, min_complete, flags, sigset_bytes) = (0_u32, 0_u32, 0_u32, 0_usize);
    // SAFETY: nothing is submitted, and the signal set is absent: no memory of ours is read or
    // written.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring.as_raw_fd(),
            to_submit,
            min_complete,
            flags,
            ptr::null::<libc::sigset_t>(),
            sigset_bytes,
        )
    };
    check(result).map(drop)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_mask_are_read() {
        let limit = rlimit(Resource::Nofile).unwrap();
        assert!(limit.soft > 0);
        assert!(limit.soft <= limit.hard);
        set_rlimit(Resource::Nofile, limit).unwrap();
        assert!(affinity().unwrap().iter().any(|word| *word != 0));
    }

    #[test]
    fn setup_params_are_the_kernels() {
        assert_eq!(size_of::<SetupParams>(), 120);
    }

    #[test]
    fn a_bad_call_is_an_error() {
        assert_eq!(io_uring_setup(0, 0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
