//! Own ring: whether each core can have an io_uring of its own for its sockets, beside those of its executor, and if not,
//! why. The cores do without it.
//!
//! Owner: `host::check`, before any executor exists. Never: leaves a ring open.

use std::fmt;
use std::io;

use super::facts::ProcessFacts;
use super::sys;
use crate::limits::{KERNEL_OWN_RING_MIN, RING_COMPLETIONS, RING_REQUESTS};

/// The flags without which a ring is of no use to a core: it does nothing but while the core is in it, and says so.
const SETUP_FLAGS: u32 = SUBMIT_ALL | TASKRUN_FLAG | SINGLE_ISSUER | DEFER_TASKRUN;
const SUBMIT_ALL: u32 = 1 << 7;
const TASKRUN_FLAG: u32 = 1 << 9;
const SINGLE_ISSUER: u32 = 1 << 12;
const DEFER_TASKRUN: u32 = 1 << 13;

/// Why the cores have no rings of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnRingLack {
    /// The kernel's io_uring is too old for it.
    Kernel {
        /// The release of the kernel.
        release: String,
    },
    /// The rings do not fit the memory that may be locked.
    Memlock {
        /// The bytes of lockable memory needed by all rings.
        bytes_needed: u64,
        /// The limit in bytes.
        bytes_limit: u64,
    },
    /// A ring was refused; holds the error.
    Refused(String),
}

impl OwnRingLack {
    /// What is to be done about it.
    pub fn fix(&self) -> String {
        let (major, minor) = KERNEL_OWN_RING_MIN;
        match self {
            OwnRingLack::Kernel { .. } => format!("run Linux {major}.{minor} or later"),
            OwnRingLack::Memlock { bytes_needed, .. } => format!(
                "ulimit -l {}, LimitMEMLOCK=infinity in the systemd unit, or docker --ulimit memlock=-1",
                bytes_needed.div_ceil(1024)
            ),
            OwnRingLack::Refused(_) => "allow what io_uring of this kernel can do".to_owned(),
        }
    }
}

impl fmt::Display for OwnRingLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OwnRingLack::Kernel { release } => write!(f, "the io_uring of Linux {release} is too old"),
            OwnRingLack::Memlock { bytes_needed, bytes_limit } => {
                let (needed, limit) = (bytes_needed.div_ceil(1024), bytes_limit / 1024);
                write!(f, "RLIMIT_MEMLOCK is {limit} KiB, and {needed} KiB are needed")
            }
            OwnRingLack::Refused(why) => write!(f, "the kernel refuses it ({why})"),
        }
    }
}

/// Creates a ring as a core's own is, though smaller, and closes it.
pub(super) fn try_own_ring(facts: &ProcessFacts) -> Result<(), OwnRingLack> {
    lack(sys::io_uring_setup(1, SETUP_FLAGS).map(drop), facts)
}

fn lack(tried: io::Result<()>, facts: &ProcessFacts) -> Result<(), OwnRingLack> {
    tried.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => OwnRingLack::Kernel { release: facts.kernel_release.clone() },
        _ => OwnRingLack::Refused(error.to_string()),
    })
}

/// The bytes of RLIMIT_MEMLOCK that the own rings of `cores` cores need where rings are charged: the queues, and the page
/// by which buffers go to the kernel.
pub(super) fn own_rings_bytes(cores: usize) -> u64 {
    let pages = |bytes: u64| bytes.next_power_of_two().max(4096);
    let (requests, completions) = (u64::from(RING_REQUESTS), u64::from(RING_COMPLETIONS));
    cores as u64 * (pages(requests * 64) + pages(320 + completions * 16 + requests * 4) + 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_says_why_and_what_to_do() {
        let facts = ProcessFacts { kernel_release: "5.15.0".to_owned(), ..ProcessFacts::default() };
        let failed = |errno| lack(Err(io::Error::from_raw_os_error(errno)), &facts).unwrap_err();
        let memlock = OwnRingLack::Memlock { bytes_needed: 1 << 20, bytes_limit: 1 << 19 };
        for (lack, found, fix) in [
            (failed(libc::EINVAL), "Linux 5.15.0 is too old", "Linux 6.1 or later"),
            (failed(libc::EPERM), "not permitted", "allow"),
            (memlock, "512 KiB, and 1024 KiB", "ulimit -l 1024"),
        ] {
            assert!(lack.to_string().contains(found), "{found} in {lack}");
            assert!(lack.fix().contains(fix), "{fix} in {}", lack.fix());
        }
    }

    #[test]
    fn queues_of_all_cores_are_charged() {
        assert_eq!(own_rings_bytes(1), (32 + 128 + 4) * 1024);
        assert_eq!(own_rings_bytes(64), 64 * own_rings_bytes(1));
    }
}
