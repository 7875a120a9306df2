//! How long a key has to live.

use std::time::Duration;

/// How long a key has to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// The key does not exist.
    Missing,
    /// For good.
    Forever,
    /// So long, to the millisecond.
    Left(Duration),
}

impl Ttl {
    /// What PTTL answers.
    pub(crate) fn of_millis(millis: i64) -> Self {
        match u64::try_from(millis) {
            Ok(millis) => Self::Left(Duration::from_millis(millis)),
            Err(_) if millis == -1 => Self::Forever,
            Err(_) => Self::Missing,
        }
    }

    /// What is left of a key that will expire.
    pub fn left(self) -> Option<Duration> {
        match self {
            Self::Left(left) => Some(left),
            Self::Missing | Self::Forever => None,
        }
    }
}
