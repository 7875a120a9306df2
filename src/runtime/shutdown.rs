//! Shutdown: SIGTERM and SIGINT, told to every core by its doorbell, an eventfd in the core's poller.
//!
//! The first signal drains; a second one ends the process at once, with 1.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::event::{EventfdFlags, eventfd};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::info;

use super::Shared;

/// The state of the end.
#[derive(Debug)]
pub(super) struct Shutdown {
    asked: AtomicBool,
    cores_up: AtomicUsize,
    bells: OnceLock<Vec<OwnedFd>>,
}

impl Shutdown {
    pub(super) fn new() -> io::Result<Shutdown> {
        Ok(Shutdown { asked: AtomicBool::new(false), cores_up: AtomicUsize::new(0), bells: OnceLock::new() })
    }

    /// Makes the doorbells of so many cores and begins to listen.
    pub(super) fn listen(&self, shared: Arc<Shared>, cores: usize) -> io::Result<()> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let bells = (0..cores).map(|_| eventfd(0, flags)).collect::<Result<Vec<_>, _>>()?;
        assert!(self.bells.set(bells).is_ok(), "doorbells are made once");
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        #[expect(clippy::disallowed_methods, reason = "it sleeps in a signal's read and holds no core")]
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if shared.shutdown.asked.swap(true, Ordering::SeqCst) {
                    std::process::exit(1);
                }
                info!("signal {signal}: finishing what was read");
                shared.shutdown.ring();
            }
        });
        Ok(())
    }

    /// Wakes every core.
    pub(super) fn ring(&self) {
        for bell in self.bells.get().into_iter().flatten() {
            // A full eventfd has woken its core already.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }

    /// A core's doorbell.
    pub(super) fn bell(&self, core: usize) -> Option<BorrowedFd<'_>> {
        self.bells.get()?.get(core).map(AsFd::as_fd)
    }

    /// Whether the process is to end.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// A core accepts connections now.
    pub(super) fn core_is_up(&self) {
        self.cores_up.fetch_add(1, Ordering::SeqCst);
    }

    /// Cores that accept connections.
    pub(super) fn cores_up(&self) -> usize {
        self.cores_up.load(Ordering::SeqCst)
    }
}
