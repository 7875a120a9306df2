//! Auth: the key that clients must show, and the delay that makes guessing slow. Core: each its own copy.
//!
//! Never: printed, logged or shown by `Debug`; compared in a time that depends on the key.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::limits::{AUTH_DELAY_MS_FIRST, AUTH_DELAY_MS_MAX, AUTH_FAILURES_FREE, AUTHKEY_BYTES_MAX};

/// The secret that clients show with `AUTH` or `HELLO`.
#[derive(Clone)]
pub struct AuthKey {
    /// The key, then zeros: always the same size, so that a compare never shows the length.
    padded: Box<[u8; AUTHKEY_BYTES_MAX]>,
    /// Bytes of `padded` that are the key. Without it a key and the key with a NUL appended would be one.
    len: u64,
}

/// Why something can't be an auth key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The key has no bytes.
    Empty,
    /// The key has more than `AUTHKEY_BYTES_MAX`.
    TooLong,
}

impl AuthKey {
    /// A key of 1 to `AUTHKEY_BYTES_MAX` bytes.
    pub fn new(key: &[u8]) -> Result<AuthKey, KeyError> {
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        if key.len() > AUTHKEY_BYTES_MAX {
            return Err(KeyError::TooLong);
        }
        let mut padded = Box::new([0; AUTHKEY_BYTES_MAX]);
        padded[..key.len()].copy_from_slice(key);
        Ok(AuthKey { padded, len: key.len() as u64 })
    }

    /// Whether `guess` is the key. Padded guess and padded key are compared whole, and their lengths with them,
    /// without a branch: the time depends on the length of the guess, which the guesser knows, and on nothing of the
    /// key.
    pub fn verify(&self, guess: &[u8]) -> bool {
        let mut padded = [0; AUTHKEY_BYTES_MAX];
        let kept = guess.len().min(AUTHKEY_BYTES_MAX);
        padded[..kept].copy_from_slice(&guess[..kept]);
        // The whole length, not `kept`: a longer guess is never right.
        let same_len = self.len.ct_eq(&(guess.len() as u64));
        let same_bytes = self.padded[..].ct_eq(&padded[..]);
        (same_len & same_bytes).into()
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(…)")
    }
}

/// How long refusals are kept back on one core. Right keys are never delayed, whatever others guess.
#[derive(Debug, Default)]
pub(super) struct Penalty {
    /// Failures of all sessions lately; halved by every quiet `AUTH_DELAY_MS_MAX`.
    recent: u32,
    last_ms: u64,
    /// The latest deadline of a delay, 0 if none is running.
    until_ms: u64,
}

impl Penalty {
    /// A session failed for the `failures`th time, at `Engine::awake_ms`. Returns the delay of its refusal in milliseconds.
    pub(super) fn on_failure(&mut self, failures: u32, awake_ms: u64) -> u64 {
        let quiet = awake_ms.saturating_sub(self.last_ms) / AUTH_DELAY_MS_MAX;
        self.recent = (self.recent >> quiet.min(31)).saturating_add(1);
        self.last_ms = awake_ms;
        // New connections do not start afresh: a guesser would open one for each guess.
        let counted = failures.max(self.recent);
        if counted <= AUTH_FAILURES_FREE {
            return 0;
        }
        let doublings = (counted - AUTH_FAILURES_FREE - 1).min(16);
        let delay_ms = (AUTH_DELAY_MS_FIRST << doublings).min(AUTH_DELAY_MS_MAX);
        self.until_ms = self.until_ms.max(awake_ms.saturating_add(delay_ms));
        delay_ms
    }

    /// A reply is kept back until then for another reason.
    pub(super) fn note(&mut self, until_ms: u64) {
        self.until_ms = self.until_ms.max(until_ms);
    }

    /// Whether a delay may have ended.
    pub(super) fn is_due(&mut self, awake_ms: u64) -> bool {
        let running = self.until_ms > 0;
        if self.until_ms <= awake_ms {
            self.until_ms = 0;
        }
        running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_itself_is_the_key() {
        let key = AuthKey::new(b"secret").unwrap();
        assert!(key.verify(b"secret"));
        let long = [b's'; AUTHKEY_BYTES_MAX + 1];
        for wrong in [&b""[..], b"secre", b"secret\0", b"secrets", b"Secret", &long] {
            assert!(!key.verify(wrong), "{wrong:?}");
        }
        assert_eq!(AuthKey::new(b"").unwrap_err(), KeyError::Empty);
        assert_eq!(AuthKey::new(&long).unwrap_err(), KeyError::TooLong);
        assert!(AuthKey::new(&long[1..]).unwrap().verify(&long[1..]));
        assert_eq!(format!("{key:?}"), "AuthKey(…)");
    }

    #[test]
    fn failures_delay_their_refusal_more_and_more_and_are_forgotten() {
        let mut penalty = Penalty::default();
        let delays: Vec<u64> = (1..=12).map(|failures| penalty.on_failure(failures, 1000)).collect();
        assert_eq!(delays[..4], [0, 0, AUTH_DELAY_MS_FIRST, AUTH_DELAY_MS_FIRST * 2]);
        assert!(delays.is_sorted());
        assert_eq!(delays[11], AUTH_DELAY_MS_MAX);
        assert!(penalty.on_failure(1, 1000) > 0, "a fresh connection does not begin afresh");
        assert!(penalty.is_due(1000 + AUTH_DELAY_MS_MAX));
        assert!(!penalty.is_due(1000 + AUTH_DELAY_MS_MAX));
        assert_eq!(penalty.on_failure(1, 1000 + 40 * AUTH_DELAY_MS_MAX), 0, "long ago is forgotten");
    }
}
