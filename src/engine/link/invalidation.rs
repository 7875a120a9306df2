//! Invalidation frames: what one core tells another of keys that have changed and of clients that track them.
//!
//! In bytes: the kind, its numbers in 8 bytes each, then a length in 8 bytes and so many bytes. A batch never leaves its
//! process, so what can't be read is a bug of ours.

use crate::shard::{ClientId, NO_CLIENT};

/// One thing that a core tells another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Invalidation<'a> {
    /// A key, and the clients that may hold it, 8 bytes each.
    Key { key: &'a [u8], clients: &'a [u8] },
    /// A key that has a prefix for which the core's clients listen.
    Prefixed { key: &'a [u8], writer: ClientId },
    /// The sender has cleared its shard.
    Cleared,
    /// Stale keys as an encoded array, or all if it is empty, of a client that has redirected to one of this core.
    Redirected { tracker: ClientId, target: ClientId, body: &'a [u8] },
    /// There is no such client to redirect to.
    Broken { tracker: ClientId, target: ClientId },
}

impl<'a> Invalidation<'a> {
    pub(in crate::engine) fn write_key(
        out: &mut Vec<u8>,
        key: &[u8],
        clients: impl ExactSizeIterator<Item = ClientId>,
    ) {
        out.push(0);
        out.extend_from_slice(&(clients.len() as u64).to_le_bytes());
        clients.for_each(|client| out.extend_from_slice(&client.to_le_bytes()));
        write_bytes(out, key);
    }

    pub(in crate::engine) fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Invalidation::Key { key, clients } => Invalidation::write_key(out, key, clients_of(clients)),
            Invalidation::Prefixed { key, writer } => {
                out.push(1);
                out.extend_from_slice(&writer.to_le_bytes());
                write_bytes(out, key);
            }
            Invalidation::Cleared => out.push(2),
            Invalidation::Redirected { tracker, target, body } => {
                out.push(3);
                out.extend_from_slice(&tracker.to_le_bytes());
                out.extend_from_slice(&target.to_le_bytes());
                write_bytes(out, body);
            }
            Invalidation::Broken { tracker, target } => {
                out.push(4);
                out.extend_from_slice(&tracker.to_le_bytes());
                out.extend_from_slice(&target.to_le_bytes());
            }
        }
    }

    pub(in crate::engine) fn read(rest: &mut &'a [u8]) -> Option<Invalidation<'a>> {
        let (kind, after) = rest.split_first()?;
        *rest = after;
        Some(match kind {
            0 => {
                let clients = read_number(rest)? as usize * 8;
                let (clients, after) = rest.split_at_checked(clients)?;
                *rest = after;
                Invalidation::Key { clients, key: read_bytes(rest)? }
            }
            1 => Invalidation::Prefixed { writer: read_number(rest)?, key: read_bytes(rest)? },
            2 => Invalidation::Cleared,
            3 => Invalidation::Redirected {
                tracker: read_number(rest)?,
                target: read_number(rest)?,
                body: read_bytes(rest)?,
            },
            4 => Invalidation::Broken { tracker: read_number(rest)?, target: read_number(rest)? },
            kind => panic!("an invalidation of kind {kind}, which no core writes"),
        })
    }
}

/// The clients of [`Invalidation::Key`].
pub(in crate::engine) fn clients_of(bytes: &[u8]) -> impl ExactSizeIterator<Item = ClientId> {
    bytes.chunks_exact(8).map(|client| client.try_into().map_or(NO_CLIENT, u64::from_le_bytes))
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = read_number(rest)? as usize;
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            frames in vec((0u8..5, any::<u64>(), any::<u64>(), vec(any::<u8>(), 0..40), vec(any::<u64>(), 1..5)), 0..8),
        ) {
            let clients: Vec<Vec<u8>> =
                frames.iter().map(|frame| frame.4.iter().flat_map(|client| client.to_le_bytes()).collect()).collect();
            let frames: Vec<Invalidation<'_>> = frames
                .iter()
                .zip(&clients)
                .map(|((kind, tracker, target, key, _), clients)| match kind {
                    0 => Invalidation::Key { key, clients },
                    1 => Invalidation::Prefixed { key, writer: *tracker },
                    2 => Invalidation::Cleared,
                    3 => Invalidation::Redirected { tracker: *tracker, target: *target, body: key },
                    _ => Invalidation::Broken { tracker: *tracker, target: *target },
                })
                .collect();
            let mut bytes = Vec::new();
            frames.iter().for_each(|frame| frame.append_to(&mut bytes));
            let mut rest = &bytes[..];
            for frame in frames {
                prop_assert_eq!(Invalidation::read(&mut rest), Some(frame));
            }
            prop_assert!(rest.is_empty() && Invalidation::read(&mut rest).is_none());
        }
    }
}
