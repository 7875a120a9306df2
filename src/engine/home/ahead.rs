//! Ahead: requests of one session that were received while its replies wait for the client to read. Core: the session's
//! home. Pure.
//!
//! In pieces, so that nothing is copied as it grows, and what was run is given back at once. Cost: a copy of each byte.
//! Invariant: no piece is empty; `len` is the sum of their lengths.

use std::collections::VecDeque;

use crate::limits::READ_AHEAD_PIECE_BYTES;

/// Requests in the order in which they were received.
#[derive(Debug, Default)]
pub(in crate::engine) struct Ahead {
    /// Filled by reads while replies wait, drained by rounds; bounded by `READ_AHEAD_BYTES_MAX`.
    pieces: VecDeque<Vec<u8>>,
    len: usize,
}

impl Ahead {
    #[inline]
    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all pieces.
    #[inline]
    pub(in crate::engine) fn len(&self) -> usize {
        self.len
    }

    /// Adds what was received.
    pub(in crate::engine) fn push(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let room = self.pieces.back().map_or(0, |last| READ_AHEAD_PIECE_BYTES - last.len());
            let (now, later) = bytes.split_at(bytes.len().min(room));
            match self.pieces.back_mut() {
                Some(last) if room > 0 => {
                    if last.capacity() - last.len() < now.len() {
                        // Doubled as long as it is small: most clients read soon.
                        last.reserve_exact(now.len().max(last.len()).min(room));
                    }
                    last.extend_from_slice(now);
                    bytes = later;
                }
                Some(_) => self.pieces.push_back(Vec::with_capacity(READ_AHEAD_PIECE_BYTES)),
                None => self.pieces.push_back(Vec::new()),
            }
        }
    }

    /// Takes the first piece; empty if there is none.
    pub(in crate::engine) fn pop(&mut self) -> Vec<u8> {
        let piece = self.pieces.pop_front().unwrap_or_default();
        self.len -= piece.len();
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
        piece
    }

    /// Asserts the invariant.
    #[cfg(any(test, feature = "verify"))]
    pub(in crate::engine) fn verify(&self) {
        assert!(
            self.pieces.iter().all(|piece| (1..=READ_AHEAD_PIECE_BYTES).contains(&piece.len())),
            "a piece of another size"
        );
        assert_eq!(self.len, self.pieces.iter().map(Vec::len).sum::<usize>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_pieces(
            reads in prop::collection::vec((any::<bool>(), prop_oneof![1..200usize, 1..3 * READ_AHEAD_PIECE_BYTES]), 0..12),
        ) {
            let (mut ahead, mut expected, mut found) = (Ahead::default(), Vec::new(), Vec::new());
            for (at, (takes, len)) in reads.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|place| (place % 251) as u8 ^ at as u8).collect();
                ahead.push(&bytes);
                expected.extend_from_slice(&bytes);
                if takes {
                    found.extend(ahead.pop());
                }
                prop_assert_eq!(ahead.len(), expected.len() - found.len());
                let held: usize = ahead.pieces.iter().map(Vec::capacity).sum();
                prop_assert!(held <= ahead.len() + READ_AHEAD_PIECE_BYTES, "{held} bytes for {}", ahead.len());
                ahead.verify();
            }
            while !ahead.is_empty() {
                found.extend(ahead.pop());
            }
            prop_assert!(ahead.pieces.is_empty() && ahead.pop().is_empty());
            prop_assert!(found == expected, "other bytes");
        }
    }
}
