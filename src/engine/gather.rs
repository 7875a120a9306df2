//! Gathers: replies that several cores make together. Core: the one that opened it, mostly the session's home.
//!
//! Each involved core gives one part; when the last is there they are folded. Cost: one cell and one buffer per part,
//! all reused. Who fills: `route`, `several` and `every`. Who drains: the last part. Bound: what sessions may have waiting.

use crate::command::table::Fold;
use crate::engine::SessionId;
use crate::engine::batch::{Request, Ticket};
use crate::engine::replies::Place;
use crate::engine::route::CoreId;
use crate::resp::{Proto, Writer, reply};

/// Names an open gather of this core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GatherId(u32);

/// What the parts become.
#[derive(Debug)]
pub(super) enum Kind {
    /// One reply of a command that was split by key.
    Keys(Fold),
    /// The reply of a command that every core ran; holds the request, which may say how to fold.
    Every(Request),
}

/// Who gets what the parts become.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// A session of this core, at its place in the order of replies.
    Session(SessionId, Place),
    /// The command of several keys that a session's transaction is in.
    Step(SessionId),
    /// Nobody: the other cores are told, and that is all.
    Nobody,
    /// Another core, which sent the command here for its order among others.
    Core(CoreId, Ticket),
}

/// Parts under way.
#[derive(Debug)]
pub(super) struct Gather {
    pub(super) asker: Asker,
    pub(super) proto: Proto,
    pub(super) kind: Kind,
    /// Cores that have not answered.
    waiting: u32,
    /// The core of each key, in the order of the keys.
    owners: Vec<CoreId>,
    /// The part of each core; empty where it has none or has not answered.
    pub(super) parts: Vec<Vec<u8>>,
    /// How much of each part has been read.
    read: Vec<usize>,
}

/// The buffers of a gather that is closed.
type Spare = (Vec<CoreId>, Vec<Vec<u8>>, Vec<usize>);

/// All gathers of one core.
#[derive(Debug, Default)]
pub(super) struct Gathers {
    cells: Vec<Option<Gather>>,
    free: Vec<u32>,
    spare: Vec<Spare>,
}

impl Gathers {
    /// Opens a gather for a command whose keys belong to `owners`.
    pub(super) fn open_each(
        &mut self,
        asker: Asker,
        proto: Proto,
        fold: Fold,
        owners: &[CoreId],
        cores: u16,
    ) -> GatherId {
        let id = self.insert(asker, proto, Kind::Keys(fold), cores);
        let gather = self.get(id);
        gather.owners.extend_from_slice(owners);
        gather.waiting = (0..cores).filter(|core| owners.contains(&CoreId(*core))).count() as u32;
        id
    }

    /// Opens a gather for a command of every core, of which `parts` cores answer.
    pub(super) fn open_every(
        &mut self,
        asker: Asker,
        proto: Proto,
        request: Request,
        cores: u16,
        parts: u16,
    ) -> GatherId {
        let id = self.insert(asker, proto, Kind::Every(request), cores);
        self.get(id).waiting = u32::from(parts);
        id
    }

    fn insert(&mut self, asker: Asker, proto: Proto, kind: Kind, cores: u16) -> GatherId {
        let (owners, mut parts, mut read) = self.spare.pop().unwrap_or_default();
        parts.resize_with(usize::from(cores), Vec::new);
        read.resize(usize::from(cores), 0);
        let index = self.free.pop().unwrap_or_else(|| {
            self.cells.push(None);
            (self.cells.len() - 1) as u32
        });
        self.cells[index as usize] = Some(Gather { asker, proto, kind, waiting: 0, owners, parts, read });
        GatherId(index)
    }

    /// An open gather; a number that names none is a bug of ours.
    pub(super) fn get(&mut self, id: GatherId) -> &mut Gather {
        self.cells[id.0 as usize].as_mut().expect("an open gather")
    }

    /// A core's part is here. True when it was the last.
    pub(super) fn part(&mut self, id: GatherId, from: CoreId, bytes: &[u8]) -> bool {
        let gather = self.get(id);
        assert!(gather.waiting > 0, "more parts than cores");
        gather.parts[usize::from(from.0)].extend_from_slice(bytes);
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
        let Gather { mut owners, mut parts, mut read, .. } = gather;
        owners.clear();
        read.clear();
        for part in &mut parts {
            part.clear();
            if part.capacity() > crate::limits::BUFFER_KEPT_BYTES_MAX {
                *part = Vec::new();
            }
        }
        if self.spare.len() < crate::limits::BUFFERS_KEPT_MAX {
            self.spare.push((owners, parts, read));
        }
    }

    /// Gathers that are open.
    pub(super) fn open(&self) -> usize {
        self.cells.len() - self.free.len()
    }
}

impl Gather {
    /// Writes the one reply of a command that was split by key.
    pub(super) fn fold_keys(&mut self, fold: Fold, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out, self.proto);
        // A refusal by any core is the reply, whatever the others did.
        if fold != Fold::Array
            && let Some(refusal) = self.parts.iter().find(|part| part.first() == Some(&b'-'))
            && (fold == Fold::Ok || refusal.len() != 8)
        {
            return writer.raw(refusal);
        }
        match fold {
            Fold::Ok => writer.ok(),
            Fold::Sum => writer.integer(self.parts.iter().map(|part| sum_of(part)).sum()),
            Fold::Array => {
                writer.array(self.owners.len());
                for owner in &self.owners {
                    let core = usize::from(owner.0);
                    let rest = &self.parts[core][self.read[core]..];
                    let len = reply::skip(rest).ok().flatten().expect("a core encodes an element for each key");
                    writer.raw(&rest[..len]);
                    self.read[core] += len;
                }
            }
        }
    }
}

/// The number in a part: 8 bytes, or none where a core had no key.
pub(super) fn sum_of(part: &[u8]) -> i64 {
    part.try_into().map_or(0, i64::from_le_bytes)
}
