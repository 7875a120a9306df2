//! Sessions: the table of one core's sessions. Core: theirs. Cost: a box a session, some 60 bytes besides.
//!
//! An id holds a generation, so that a reply for a session that has gone does not find its successor.

use std::collections::BTreeMap;

use super::push::Aside;
use super::session::Session;
use crate::shard::ClientId;

/// Names a session of this core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    /// Place in the table; small, reused.
    pub index: u32,
    /// How often the place was used before.
    pub generation: u32,
}

impl SessionId {
    /// Both halves as one number, for the kernel to keep.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Back from `to_bits`.
    pub fn from_bits(bits: u64) -> SessionId {
        SessionId { index: (bits & u64::from(u32::MAX)) as u32, generation: (bits >> 32) as u32 }
    }
}

#[derive(Debug, Default)]
struct Cell {
    generation: u32,
    session: Option<Box<Session>>,
}

/// The sessions of one core.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    cells: Vec<Cell>,
    free: Vec<u32>,
    len: usize,
    /// By client, for what names one: an invalidation, or a client that others redirect to.
    by_client: BTreeMap<ClientId, SessionId>,
    /// What was pushed to the session that is out. Filled by pushes while its round runs (it publishes to itself),
    /// drained when it comes back; bounded by what one round says.
    pub(super) aside: Vec<Aside>,
}

impl Sessions {
    pub(super) fn insert(&mut self, session: Session) -> SessionId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.cells.push(Cell::default());
            (self.cells.len() - 1) as u32
        });
        let cell = &mut self.cells[index as usize];
        debug_assert!(cell.session.is_none());
        let id = SessionId { index, generation: cell.generation };
        self.by_client.insert(session.client.id, id);
        cell.session = Some(Box::new(session));
        self.len += 1;
        id
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        let session = self.check_out(id)?;
        self.by_client.remove(&session.client.id);
        let cell = &mut self.cells[id.index as usize];
        cell.generation = cell.generation.wrapping_add(1);
        self.free.push(id.index);
        self.len -= 1;
        Some(session)
    }

    /// Takes a session out for one round; `check_in` brings it back before anything else happens.
    #[inline]
    pub(super) fn check_out(&mut self, id: SessionId) -> Option<Box<Session>> {
        let cell = self.cells.get_mut(id.index as usize)?;
        if cell.generation == id.generation { cell.session.take() } else { None }
    }

    #[inline]
    pub(super) fn check_in(&mut self, id: SessionId, mut session: Box<Session>) {
        self.push_aside(&mut session);
        let cell = &mut self.cells[id.index as usize];
        debug_assert!(cell.generation == id.generation && cell.session.is_none());
        cell.session = Some(session);
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        let cell = self.cells.get(id.index as usize)?;
        if cell.generation == id.generation { cell.session.as_deref() } else { None }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let cell = self.cells.get_mut(id.index as usize)?;
        if cell.generation == id.generation { cell.session.as_deref_mut() } else { None }
    }

    /// Gives the session that is out what was pushed to it.
    #[inline]
    pub(super) fn push_aside(&mut self, session: &mut Session) {
        if !self.aside.is_empty() {
            self.push_all_aside(session);
        }
    }

    #[cold]
    fn push_all_aside(&mut self, session: &mut Session) {
        std::mem::take(&mut self.aside).into_iter().for_each(|push| push.into_output(session));
    }

    /// Whether a session is taken out: it is there, and `get` does not find it.
    pub(super) fn is_out(&self, id: SessionId) -> bool {
        self.cells.get(id.index as usize).is_some_and(|cell| cell.generation == id.generation && cell.session.is_none())
    }

    /// The session of a client.
    pub(super) fn of_client(&self, client: ClientId) -> Option<SessionId> {
        self.by_client.get(&client).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Places in the table, for walks in slices.
    pub(super) fn places(&self) -> usize {
        self.cells.len()
    }

    /// The session at a place.
    pub(super) fn at(&self, index: usize) -> Option<SessionId> {
        let cell = self.cells.get(index)?;
        cell.session.as_ref().map(|_| SessionId { index: index as u32, generation: cell.generation })
    }

    /// All ids.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        (0..self.cells.len()).filter_map(|index| self.at(index)).collect()
    }
}
