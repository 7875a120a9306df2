//! Drain: one core's end. No connection is accepted any more; what was read is answered, and delivered; then the last
//! snapshot, and the core has ended.
//!
//! ```text
//! SIGTERM ─▶ sessions end as their last reply leaves ─▶ sockets linger until it has arrived ─▶ all cores so far, or time is
//!            up ─▶ the last snapshot, which one core has taken ─▶ over
//! ```
//! Why sockets linger: closing a TCP socket that holds bytes nobody has read resets the connection, and takes with it
//! every reply that has not arrived. A client that pipelines has always sent more than was read. So its sending side is
//! told the end first, and what still comes from it is thrown away until it has everything.
//! Owner: the core. Never: waits longer than `--drain-timeout`, or at all after a second signal, but for the last snapshot.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::net::{AddressFamily, RecvFlags, Shutdown, recv, shutdown};
use tracing::info;

use super::Shared;
use super::files::CoreFiles;
use super::supervise::{Progress, Step};
use super::sys::undelivered_bytes;
use crate::engine::Engine;
use crate::limits::DRAIN_DISCARD_READS_MAX;

/// How far the end of a core has come.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// Set when it has begun: then clients are waited for no longer.
    until_ms: Option<u64>,
    /// Sockets whose session has ended.
    lingering: Vec<OwnedFd>,
    /// This core is among those that have answered everything.
    counted: bool,
    /// The snapshot at the end has been asked for.
    saving: bool,
}

impl Drain {
    /// Begins.
    pub(super) fn begin(&mut self, until_ms: u64) {
        self.until_ms = Some(until_ms);
    }

    /// Waits for nobody any more.
    pub(super) fn hurry(&mut self, now_ms: u64) {
        self.until_ms = Some(now_ms);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.until_ms.is_some()
    }

    /// A session has ended, whose socket this is.
    pub(super) fn linger(&mut self, socket: OwnedFd, buffer: &mut [u8]) {
        // It fails where the client is gone, and then so does the first read.
        let _ = shutdown(&socket, Shutdown::Write);
        if !is_delivered(&socket, buffer) {
            self.lingering.push(socket);
        }
    }

    /// Whether every core has answered everything, or time is up; and then, whether the last snapshot is complete.
    pub(super) fn is_over(
        &mut self,
        engine: &mut Engine,
        files: &CoreFiles,
        shared: &Shared,
        progress: &Progress,
        buffer: &mut [u8],
        now_ms: u64,
    ) -> bool {
        let Some(until_ms) = self.until_ms else { return false };
        self.lingering.retain(|socket| !is_delivered(socket, buffer));
        let late = now_ms >= until_ms;
        let left = engine.session_count() + self.lingering.len();
        if !self.counted && (late || (engine.is_idle() && self.lingering.is_empty())) {
            self.counted = true;
            self.lingering.clear();
            shared.cores_drained.fetch_add(1, Ordering::SeqCst);
            if left > 0 {
                info!(
                    "core {}: {left} connections cut off: their clients had not taken all replies in time",
                    engine.core().0
                );
            }
        }
        if shared.cores_drained.load(Ordering::SeqCst) < u32::from(engine.cores()) {
            return false;
        }
        if engine.coordinates() {
            if !self.saving {
                self.saving = true;
                progress.tell(Step::Saving);
                engine.save_at_end(now_ms);
                while let Some(ask) = engine.take_file_ask() {
                    files.ask(ask);
                }
            }
            if engine.is_saved_at_end() {
                shared.save_failed.store(engine.has_failed_to_save(), Ordering::SeqCst);
                shared.is_over.store(true, Ordering::SeqCst);
                shared.doorbells.ring_all();
            }
        }
        shared.is_over.load(Ordering::SeqCst)
    }
}

/// Whether the client has taken everything, or is gone. What it still sends is thrown away.
fn is_delivered(socket: &OwnedFd, buffer: &mut [u8]) -> bool {
    let mut quiet = true;
    for _ in 0..DRAIN_DISCARD_READS_MAX {
        match recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return true,
            // It does not know of the end yet: what it sends next would find the socket closed.
            Ok(_) => quiet = false,
            Err(rustix::io::Errno::INTR) => {}
            // The kernel keeps what a Unix socket has sent for its reader, and an end is one byte of TCP's.
            Err(rustix::io::Errno::AGAIN) => {
                let is_unix = rustix::net::sockopt::socket_domain(socket) == Ok(AddressFamily::UNIX);
                return quiet && (is_unix || undelivered_bytes(socket) <= 1);
            }
            Err(_gone) => return true,
        }
    }
    false
}
