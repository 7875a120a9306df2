//! Event: the kinds of key events, by Redis's names and classes.
//!
//! Redis has a name for each kind of change, which is more than the shard knows of: the command that stores a value says
//! which it is.

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Event {
    /// A value was stored as a whole.
    #[default]
    Set,
    /// It was not there before.
    New,
    /// APPEND.
    Append,
    /// SETRANGE.
    SetRange,
    /// SETBIT, BITFIELD.
    SetBit,
    /// INCR, DECR and their like.
    IncrBy,
    /// INCRBYFLOAT.
    IncrByFloat,
    /// It was deleted.
    Del,
    /// RENAME took its value away.
    RenameFrom,
    /// RENAME gave it a value.
    RenameTo,
    /// COPY gave it a value.
    CopyTo,
    /// RESTORE.
    Restore,
    /// It got a deadline.
    Expire,
    /// It lost its deadline.
    Persist,
    /// Its time has passed.
    Expired,
    /// Its room was needed.
    Evicted,
    /// A command looked for it in vain.
    KeyMiss,
}

/// Every event with Redis's name and the letter of its class in `notify-keyspace-events`, by number.
pub const EVENTS: [(Event, &str, u8); 17] = [
    (Event::Set, "set", b'$'),
    (Event::New, "new", b'n'),
    (Event::Append, "append", b'$'),
    (Event::SetRange, "setrange", b'$'),
    (Event::SetBit, "setbit", b'$'),
    (Event::IncrBy, "incrby", b'$'),
    (Event::IncrByFloat, "incrbyfloat", b'$'),
    (Event::Del, "del", b'g'),
    (Event::RenameFrom, "rename_from", b'g'),
    (Event::RenameTo, "rename_to", b'g'),
    (Event::CopyTo, "copy_to", b'g'),
    (Event::Restore, "restore", b'g'),
    (Event::Expire, "expire", b'g'),
    (Event::Persist, "persist", b'g'),
    (Event::Expired, "expired", b'x'),
    (Event::Evicted, "evicted", b'e'),
    (Event::KeyMiss, "keymiss", b'm'),
];

impl Event {
    /// Its place in [`EVENTS`].
    #[inline]
    pub const fn number(self) -> usize {
        self as usize
    }

    /// The event of a number; `Set` if there is none.
    pub fn of(number: u8) -> Event {
        EVENTS.get(usize::from(number)).map_or(Event::Set, |(event, ..)| *event)
    }

    pub(super) const fn bit(self) -> u32 {
        1 << self as u8
    }
}
