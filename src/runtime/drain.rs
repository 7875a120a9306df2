//! Drain: the end of one core: accepting stops; the requests that were read are answered, and the replies delivered; then
//! the last snapshot is taken.
//!
//! ```text
//! SIGTERM ─▶ sessions end as their last reply leaves ─▶ sockets linger until it has arrived ─▶ all cores so far, or time is
//!            up ─▶ the last snapshot, which one core has taken ─▶ over
//! ```
//! Why sockets linger: closing a TCP socket with unread bytes resets the connection, and loses every reply that has not
//! arrived. A client that pipelines has always sent more than was read. So the server shuts down its sending side first,
//! and discards what still arrives until the client has all replies.
//! Owner: the core. Never: waits longer than `--drain-timeout`, or at all after a second signal, except for the last
//! snapshot.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::net::{AddressFamily, RecvFlags, Shutdown, recv, shutdown};
use tracing::info;

use super::files::CoreFiles;
use super::shared::Shared;
use super::supervise::{Progress, Step};
use super::sys::undelivered_bytes;
use crate::engine::Engine;
use crate::limits::{DRAIN_DISCARD_READS_MAX, READ_BUFFER_BYTES};

/// The progress of a core's drain.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// The deadline for clients, once the drain has begun, as `Engine::awake_ms` has it: a clock that is set forward, or a
    /// server that was stopped for a while, cuts off no client.
    until_ms: Option<u64>,
    /// Sockets of ended sessions whose replies are not delivered yet.
    lingering: Vec<OwnedFd>,
    /// Takes what is discarded.
    buffer: Vec<u8>,
    /// Whether this core is counted among those that have answered everything.
    counted: bool,
    /// Whether the last snapshot was requested.
    saving: bool,
}

impl Drain {
    /// Begins the drain, with a deadline for clients.
    pub(super) fn begin(&mut self, until_ms: u64) {
        self.until_ms = Some(until_ms);
        self.buffer.resize(READ_BUFFER_BYTES, 0);
    }

    /// Ends the waiting for clients.
    pub(super) fn hurry(&mut self, awake_ms: u64) {
        self.until_ms = Some(awake_ms);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.until_ms.is_some()
    }

    /// Keeps the socket of an ended session until its replies are delivered.
    pub(super) fn linger(&mut self, socket: OwnedFd) {
        // This fails if the client is gone, and then so does the first read.
        let _ = shutdown(&socket, Shutdown::Write);
        if !is_delivered(&socket, &mut self.buffer) {
            self.lingering.push(socket);
        }
    }

    /// Whether the drain is over: every core has answered everything or the deadline has passed, and the last snapshot is
    /// complete.
    pub(super) fn is_over(
        &mut self,
        engine: &mut Engine,
        files: &CoreFiles,
        shared: &Shared,
        progress: &Progress,
        now_ms: u64,
    ) -> bool {
        let Some(until_ms) = self.until_ms else { return false };
        let buffer = &mut self.buffer;
        self.lingering.retain(|socket| !is_delivered(socket, buffer));
        let late = engine.awake_ms() >= until_ms;
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

/// Whether the client has received everything, or is gone. Discards what it still sends.
fn is_delivered(socket: &OwnedFd, buffer: &mut [u8]) -> bool {
    let mut quiet = true;
    for _ in 0..DRAIN_DISCARD_READS_MAX {
        match recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return true,
            // The client still sends: closing now would reset the connection.
            Ok(_) => quiet = false,
            Err(rustix::io::Errno::INTR) => {}
            // On a Unix socket the kernel keeps sent bytes for the reader; on TCP the FIN counts as one byte.
            Err(rustix::io::Errno::AGAIN) => {
                let is_unix = rustix::net::sockopt::socket_domain(socket) == Ok(AddressFamily::UNIX);
                return quiet && (is_unix || undelivered_bytes(socket) <= 1);
            }
            Err(_gone) => return true,
        }
    }
    false
}
