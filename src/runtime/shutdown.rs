//! Shutdown: SIGTERM and SIGINT, told to every core by its doorbell.
//!
//! The first signal drains; a second one ends the process at once, with 1.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use tracing::info;

use super::Shared;

/// The state of the end.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    asked: AtomicBool,
}

impl Shutdown {
    /// Begins to listen.
    pub(super) fn listen(shared: Arc<Shared>) -> io::Result<()> {
        // A file beyond RLIMIT_FSIZE is an error of the write, as on a full disk, and no reason to end.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        #[expect(clippy::disallowed_methods, reason = "it sleeps in a signal's read and holds no core")]
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if shared.shutdown.asked.swap(true, Ordering::SeqCst) {
                    std::process::exit(1);
                }
                info!("signal {signal}: finishing what was read");
                shared.doorbells.ring_all();
            }
        });
        Ok(())
    }

    /// Whether the process is to end.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}
