//! Doorbells: an eventfd per core, in its poller, by which other threads wake it: for a batch, for files, or for SIGTERM.
//!
//! A core marks itself as napping and then checks its channels once more; a peer sends and then checks the mark. Both are
//! sequentially consistent, so at least one of the two sees the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::slot::CoreId;

/// One core's doorbell. On a cache line of its own, since its core writes it at every nap.
#[derive(Debug)]
#[repr(align(64))]
struct Doorbell {
    napping: AtomicBool,
    bell: OwnedFd,
}

/// The doorbells of all cores.
#[derive(Debug)]
pub(super) struct Doorbells {
    bells: Vec<Doorbell>,
}

impl Doorbells {
    pub(super) fn new(cores: usize) -> io::Result<Doorbells> {
        // Not O_NONBLOCK, with which a ring would not wait for it. A write blocks after 2^64 rings.
        let bell = || eventfd(0, EventfdFlags::CLOEXEC);
        let make = |_| Ok(Doorbell { napping: AtomicBool::new(false), bell: bell()? });
        Ok(Doorbells { bells: (0..cores).map(make).collect::<io::Result<_>>()? })
    }

    /// A core is about to nap. It must check its channels after this and before it naps.
    pub(super) fn lie_down(&self, core: CoreId) {
        self.bells[usize::from(core.0)].napping.store(true, Ordering::SeqCst);
    }

    /// A core is awake.
    pub(super) fn get_up(&self, core: CoreId) {
        self.bells[usize::from(core.0)].napping.store(false, Ordering::SeqCst);
    }

    /// Wakes a core if it naps. To be called after a send to it.
    #[inline]
    pub(super) fn wake(&self, core: CoreId) {
        let doorbell = &self.bells[usize::from(core.0)];
        if doorbell.napping.load(Ordering::SeqCst) && doorbell.napping.swap(false, Ordering::SeqCst) {
            ring(&doorbell.bell);
        }
    }

    /// Rings a core's doorbell, whether it naps or not.
    pub(super) fn ring(&self, core: CoreId) {
        ring(&self.bells[usize::from(core.0)].bell);
    }

    /// Rings every doorbell.
    pub(super) fn ring_all(&self) {
        for doorbell in &self.bells {
            ring(&doorbell.bell);
        }
    }

    /// A core's doorbell, for its poller.
    pub(super) fn bell(&self, core: CoreId) -> BorrowedFd<'_> {
        self.bells[usize::from(core.0)].bell.as_fd()
    }
}

fn ring(bell: &OwnedFd) {
    // A write of eight bytes to an eventfd does not fail.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}
