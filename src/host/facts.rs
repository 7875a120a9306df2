//! Facts: what /proc says about this process and kernel, to tell apart causes with the same errno.
//!
//! Owner: `preflight`, read once. Never: fails. A fact that can't be read is unknown, and only
//! makes a message less exact.

use std::fs;

/// Facts that explain a refusal of io_uring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for privileged processes and a group only, 2 for
    /// none. Linux 6.6 and later.
    pub io_uring_disabled: Option<u8>,
    /// The kernel's release, as `6.1.0-18-amd64`; empty if unknown.
    pub kernel_release: String,
    /// Whether a seccomp filter is in force.
    pub seccomp_filtered: bool,
    /// Effective capabilities, one bit each.
    pub capabilities: u64,
}

const CAP_SYS_ADMIN: u32 = 21;

impl ProcessFacts {
    /// Reads the facts of this process.
    pub fn read() -> ProcessFacts {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        ProcessFacts::parse(
            &text("/proc/sys/kernel/io_uring_disabled"),
            &text("/proc/sys/kernel/osrelease"),
            &text("/proc/self/status"),
        )
    }

    fn parse(io_uring_disabled: &str, osrelease: &str, status: &str) -> ProcessFacts {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
        };
        ProcessFacts {
            io_uring_disabled: io_uring_disabled.trim().parse().ok(),
            kernel_release: osrelease.trim().to_owned(),
            seccomp_filtered: field("Seccomp") == "2",
            capabilities: u64::from_str_radix(field("CapEff"), 16).unwrap_or(0),
        }
    }

    /// Major and minor version of the kernel, `None` if unknown.
    pub fn kernel_version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.kernel_release.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// Whether `kernel.io_uring_disabled = 1` lets this process pass.
    pub fn may_administer(&self) -> bool {
        self.capabilities >> CAP_SYS_ADMIN & 1 == 1
    }
}

/// The number of inherited descriptors, the three standard ones left out; 0 if /proc is unreadable.
pub(super) fn descriptors_inherited() -> u64 {
    // The listing itself has one descriptor open.
    fs::read_dir("/proc/self/fd").map_or(0, |open| (open.count() as u64).saturating_sub(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_descriptors_are_counted() {
        let before = descriptors_inherited();
        let open: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close descriptors of this process meanwhile, a few.
        assert!(descriptors_inherited() + 40 >= before + open.len() as u64);
    }

    #[test]
    fn proc_files_are_parsed() {
        let status =
            "Name:\taspine\nCapPrm:\t0000000000000000\nCapEff:\t0000000000204000\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let facts = ProcessFacts::parse("1\n", "6.1.0-18-amd64\n", status);
        assert_eq!(facts.io_uring_disabled, Some(1));
        assert_eq!(facts.kernel_version(), Some((6, 1)));
        assert!(facts.seccomp_filtered);
        assert!(facts.may_administer());
    }

    #[test]
    fn what_is_missing_is_unknown() {
        let facts = ProcessFacts::parse("", "", "");
        assert_eq!(facts, ProcessFacts::default());
        assert_eq!(facts.kernel_version(), None);
        assert!(!facts.may_administer());
    }

    #[test]
    fn releases_have_many_shapes() {
        for (release, version) in [
            ("6.18.44-fc-v595", Some((6, 18))),
            ("5.8", Some((5, 8))),
            ("4.4.0", Some((4, 4))),
            ("5.15.0-1051-aws", Some((5, 15))),
            ("7", None),
            ("linux", None),
        ] {
            let facts = ProcessFacts { kernel_release: release.to_owned(), ..ProcessFacts::default() };
            assert_eq!(facts.kernel_version(), version, "{release}");
        }
    }

    #[test]
    fn this_process_has_a_kernel() {
        assert!(ProcessFacts::read().kernel_version().is_some());
    }
}
