//! Ids: the numbers by which parts of one core's engine name what another part keeps. Plain values.

/// Names a session of this core. Holds a generation, so that a reply for a session that has gone does not find its
/// successor.
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

/// Names an open gather of the core that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherId(pub(super) u32);

/// A place in a session's order of replies. Wraps around; only differences count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u32);

/// Names a batch whose replies are awaited, on the core that awaits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub(super) u32);
