//! Intake: the rest of a long argument is received where it will be parsed, without passing through the core's buffer.
//!
//! Core: the session's home. Cost: one copy of a long argument less, and a read of up to all that is lacking instead of
//! one every `READ_BUFFER_BYTES`. Never: lends more than `INPUT_RESERVE_BYTES_MAX` ahead of what has arrived, but for
//! what a growing buffer doubles.

use crate::engine::{Engine, SessionId};
use crate::limits::{INPUT_RESERVE_BYTES_MAX, READ_BUFFER_BYTES};

impl Engine {
    /// The input of a session that lacks more of an argument than an ordinary read brings: the next bytes are to be
    /// appended within its capacity, and `on_input` to be called at once. `None`: read as usual, for `on_bytes`.
    pub fn lend_input(&mut self, id: SessionId) -> Option<Vec<u8>> {
        let session = self.sessions.get_mut(id)?;
        // A session that was cut off has no input any more.
        if !session.partial || session.need <= READ_BUFFER_BYTES || session.input.is_empty() {
            return None;
        }
        let mut input = std::mem::take(&mut session.input);
        if input.len() == input.capacity() {
            input.reserve(session.need.min(INPUT_RESERVE_BYTES_MAX));
        }
        Some(input)
    }

    /// What `lend_input` gave comes back, with so many bytes more.
    pub fn on_input(&mut self, id: SessionId, input: Vec<u8>, received: usize, now_ms: u64) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.input = input;
        if received == 0 {
            return;
        }
        self.stats.bytes_in += received as u64;
        session.progress_ms = self.awake_ms;
        session.client.active_ms = now_ms;
        if received < session.need {
            // Parsing it now would only find again that it is not whole.
            session.need -= received;
            return;
        }
        session.partial = false;
        self.run_input(id, now_ms);
    }
}
