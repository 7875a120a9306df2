//! Event: the kinds of key events, by Redis's names and classes.
//!
//! Redis has a name for each kind of change, which is more than the shard knows of: the command that stores a value
//! says which it is.

/// A kind of key event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Event {
    /// A whole value was stored under the key.
    #[default]
    Set,
    /// The key is new: it was absent before the store.
    New,
    /// The event of APPEND.
    Append,
    /// The event of SETRANGE.
    SetRange,
    /// The event of SETBIT and BITFIELD.
    SetBit,
    /// The event of INCR, DECR and their like.
    IncrBy,
    /// The event of INCRBYFLOAT.
    IncrByFloat,
    /// The key was deleted.
    Del,
    /// RENAME took the key's value away.
    RenameFrom,
    /// RENAME gave the key a value.
    RenameTo,
    /// COPY gave the key a value.
    CopyTo,
    /// MOVE took the key to another database.
    MoveFrom,
    /// MOVE brought the key from another database.
    MoveTo,
    /// The event of RESTORE.
    Restore,
    /// The key got a deadline.
    Expire,
    /// The key lost its deadline.
    Persist,
    /// The key expired.
    Expired,
    /// The key was evicted.
    Evicted,
    /// A command did not find the key.
    KeyMiss,
}

/// Every event with Redis's name and the letter of its class in `notify-keyspace-events`, by number.
pub const EVENTS: [(Event, &str, u8); 19] = [
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
    (Event::MoveFrom, "move_from", b'g'),
    (Event::MoveTo, "move_to", b'g'),
    (Event::Restore, "restore", b'g'),
    (Event::Expire, "expire", b'g'),
    (Event::Persist, "persist", b'g'),
    (Event::Expired, "expired", b'x'),
    (Event::Evicted, "evicted", b'e'),
    (Event::KeyMiss, "keymiss", b'm'),
];

impl Event {
    /// The index of the event in [`EVENTS`].
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
