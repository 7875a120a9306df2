//! Signals: SIGTERM and SIGINT, passed to every core by its doorbell, and SIGHUP, which reopens the log.
//!
//! SIGTERM or SIGINT: the first begins the drain; a second ends the waiting for clients, but not for the last snapshot; a
//! third ends the process at once, with 1. SIGHUP never ends the process, and changes no setting.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

use super::logging;

/// The termination requests so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    /// The number of SIGTERMs and SIGINTs; SHUTDOWN counts as one, with NOW as two.
    asked: Arc<AtomicU32>,
}

impl Shutdown {
    /// Starts the thread that handles signals. It calls `asked` at each SIGTERM and SIGINT.
    pub(crate) fn listen(&self, asked: impl Fn() + Send + 'static) -> io::Result<()> {
        // A file beyond RLIMIT_FSIZE is then an error of the write, as on a full disk, and does not end the process.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let shutdown = self.clone();
        #[expect(clippy::disallowed_methods, reason = "it sleeps in a signal's read and holds no core")]
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if signal == SIGHUP {
                    reopen_log_apart();
                } else {
                    shutdown.ask(signal);
                    asked();
                }
            }
        });
        Ok(())
    }

    fn ask(&self, signal: i32) {
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            0 => info!("signal {signal}: finishing what was read"),
            1 => info!("signal {signal}: waiting for no client any more"),
            _ => std::process::exit(1),
        }
    }

    /// Requests termination as a signal does, or if it is hurried as two do.
    pub(crate) fn request(&self, hurried: bool) {
        self.asked.fetch_max(1 + u32::from(hurried), Ordering::SeqCst);
    }

    /// Whether termination was requested.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 0
    }

    /// Whether termination without waiting for clients was requested.
    pub(crate) fn is_hurried(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 1
    }
}

/// Reopens the log on a thread of its own: opening may hang, as on a dead file server or a pipe without a reader, and
/// SIGTERM must not wait for that.
fn reopen_log_apart() {
    static UNDER_WAY: AtomicBool = AtomicBool::new(false);
    if UNDER_WAY.swap(true, Ordering::SeqCst) {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "it opens a file, which may block, and ends")]
    std::thread::spawn(|| {
        reopen_log();
        UNDER_WAY.store(false, Ordering::SeqCst);
    });
}

fn reopen_log() {
    match logging::reopen() {
        Ok(Some(path)) => info!("SIGHUP: {} opened again", path.display()),
        Ok(None) => info!("SIGHUP: nothing to open again; the log is no file, and settings stay as they are"),
        Err(error) => warn!("SIGHUP: {error}; the log goes on in the file there was"),
    }
}
