//! Gathers: replies that several cores make together, of commands that were split by key. Core: the session's home.
//!
//! Each involved core gives one part; when the last is there they are folded. Cost: one cell and one buffer per part,
//! all reused. Filled by commands that are split; drained by the last part. Bound: what sessions may have waiting.

use crate::command::handler::Fold;
use crate::engine::ids::{GatherId, Place, SessionId};
use crate::engine::link::codec::Part;
use crate::limits::{BUFFER_KEPT_BYTES_MAX, BUFFERS_KEPT_MAX};
use crate::resp::{Proto, Writer, reply};
use crate::slot::CoreId;

/// One core's part.
#[derive(Debug, Default)]
struct PartBuffer {
    sum: i64,
    /// `bytes` is an error.
    refused: bool,
    bytes: Vec<u8>,
    /// How much of `bytes` has been read.
    read: usize,
}

/// Parts under way.
#[derive(Debug)]
pub(super) struct Gather {
    /// The session that is answered, and the place in the order of its replies.
    pub(super) asker: (SessionId, Place),
    proto: Proto,
    fold: Fold,
    /// Cores that have not answered.
    waiting: u32,
    /// The core of each key, in the order of the keys.
    owners: Vec<CoreId>,
    /// The part of each core; empty where it has none or has not answered.
    parts: Vec<PartBuffer>,
}

/// All gathers of one core.
#[derive(Debug, Default)]
pub(super) struct Gathers {
    cells: Vec<Option<Gather>>,
    free: Vec<u32>,
    /// The buffers of gathers that are closed.
    spare: Vec<(Vec<CoreId>, Vec<PartBuffer>)>,
}

impl Gathers {
    /// Opens a gather for a command whose keys belong to `owners`.
    pub(super) fn open(
        &mut self,
        asker: (SessionId, Place),
        (proto, fold): (Proto, Fold),
        keys_of: &[CoreId],
        cores: u16,
    ) -> GatherId {
        let (mut owners, mut parts) = self.spare.pop().unwrap_or_default();
        parts.resize_with(usize::from(cores), PartBuffer::default);
        owners.extend_from_slice(keys_of);
        let waiting = (0..cores).filter(|core| owners.contains(&CoreId(*core))).count() as u32;
        let index = self.free.pop().unwrap_or_else(|| {
            self.cells.push(None);
            (self.cells.len() - 1) as u32
        });
        self.cells[index as usize] = Some(Gather { asker, proto, fold, waiting, owners, parts });
        GatherId(index)
    }

    /// An open gather; a number that names none is a bug of ours.
    fn get(&mut self, id: GatherId) -> &mut Gather {
        self.cells[id.0 as usize].as_mut().expect("an open gather")
    }

    /// The session that gets the reply of an open gather.
    pub(super) fn session(&mut self, id: GatherId) -> SessionId {
        self.get(id).asker.0
    }

    /// A core's part is here. True when it was the last.
    pub(super) fn part(&mut self, id: GatherId, from: CoreId, part: Part<'_>) -> bool {
        let gather = self.get(id);
        assert!(gather.waiting > 0, "more parts than cores");
        let buffer = &mut gather.parts[usize::from(from.0)];
        match part {
            Part::Encoded(bytes) => buffer.bytes.extend_from_slice(bytes),
            Part::Sum(sum) => buffer.sum = sum,
            Part::Refusal(error) => {
                buffer.refused = true;
                buffer.bytes.extend_from_slice(error);
            }
        }
        gather.waiting -= 1;
        gather.waiting == 0
    }

    /// Closes a complete gather.
    pub(super) fn take(&mut self, id: GatherId) -> Gather {
        let gather = self.cells[id.0 as usize].take().expect("an open gather");
        debug_assert_eq!(gather.waiting, 0, "every core has answered");
        self.free.push(id.0);
        gather
    }

    /// Keeps the buffers of a closed gather.
    pub(super) fn recycle(&mut self, gather: Gather) {
        let Gather { mut owners, mut parts, .. } = gather;
        owners.clear();
        for part in &mut parts {
            (part.sum, part.refused, part.read) = (0, false, 0);
            part.bytes.clear();
            if part.bytes.capacity() > BUFFER_KEPT_BYTES_MAX {
                part.bytes = Vec::new();
            }
        }
        if self.spare.len() < BUFFERS_KEPT_MAX {
            self.spare.push((owners, parts));
        }
    }

    /// Gathers that are open.
    pub(super) fn count(&self) -> usize {
        self.cells.len() - self.free.len()
    }
}

impl Gather {
    /// Writes the one reply.
    pub(super) fn fold(&mut self, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out, self.proto);
        // A refusal by any core is the reply, whatever the others did.
        if let Some(refusal) = self.parts.iter().find(|part| part.refused) {
            writer.raw(&refusal.bytes);
            return;
        }
        match self.fold {
            Fold::Ok => writer.ok(),
            Fold::Sum => writer.integer(self.parts.iter().map(|part| part.sum).sum()),
            Fold::Array => {
                writer.array(self.owners.len());
                for owner in &self.owners {
                    let part = &mut self.parts[usize::from(owner.0)];
                    let rest = &part.bytes[part.read..];
                    let len = reply::skip(rest).ok().flatten().expect("a core encodes an element for each key");
                    writer.raw(&rest[..len]);
                    part.read += len;
                }
            }
        }
    }
}
