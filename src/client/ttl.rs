//! The time to live of a key.

use std::time::Duration;

/// The time to live of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// The key does not exist.
    Missing,
    /// The key never expires.
    Forever,
    /// The time until the key expires, to the millisecond.
    Left(Duration),
}

impl Ttl {
    /// The meaning of PTTL's reply.
    pub(crate) fn of_millis(millis: i64) -> Self {
        match u64::try_from(millis) {
            Ok(millis) => Self::Left(Duration::from_millis(millis)),
            Err(_) if millis == -1 => Self::Forever,
            Err(_) => Self::Missing,
        }
    }

    /// The time until the key expires; `None` if it never expires or does not exist.
    pub fn left(self) -> Option<Duration> {
        match self {
            Self::Left(left) => Some(left),
            Self::Missing | Self::Forever => None,
        }
    }
}
