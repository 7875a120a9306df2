//! Parse limits: the limits of one request, and Redis's errors beyond them.
//!
//! Held by the caller of a `Parser`: a value of 16 bytes that is passed to each call, since authentication changes it.

use super::error::ProtocolError;
use crate::limits::{
    BULK_BYTES_MAX, COMMAND_ARGS_MAX, COMMAND_BYTES_MAX, UNAUTHENTICATED_ARGS_MAX, UNAUTHENTICATED_BULK_BYTES_MAX,
};

/// The limits of one request. Past them the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// The bytes of one argument.
    pub bulk_bytes_max: u32,
    /// The arguments of one request.
    pub args_max: u32,
    /// The bytes of one request, its framing included.
    pub command_bytes_max: u32,
    /// Whether the client is authenticated or need not be; if not, little is read from it.
    pub authenticated: bool,
}

impl ParseLimits {
    const DEFAULT: Self = Self {
        bulk_bytes_max: BULK_BYTES_MAX,
        args_max: COMMAND_ARGS_MAX,
        command_bytes_max: COMMAND_BYTES_MAX,
        authenticated: true,
    };

    /// The limits of [`crate::limits`].
    #[inline]
    pub const fn new(authenticated: bool) -> Self {
        Self { authenticated, ..Self::DEFAULT }
    }

    /// The most arguments that are permitted.
    #[inline]
    pub(super) fn count_max(&self) -> u32 {
        if self.authenticated { self.args_max } else { self.args_max.min(UNAUTHENTICATED_ARGS_MAX) }
    }

    /// The longest argument that is permitted.
    #[inline]
    pub(super) fn len_max(&self) -> u32 {
        if self.authenticated { self.bulk_bytes_max } else { self.bulk_bytes_max.min(UNAUTHENTICATED_BULK_BYTES_MAX) }
    }

    /// Refuses an announced count that is not permitted.
    pub(super) fn check_count(&self, count: i64) -> Result<u32, ProtocolError> {
        match u32::try_from(count) {
            Ok(count) if count <= self.count_max() => Ok(count),
            Ok(count) if count <= self.args_max => Err(ProtocolError::UnauthenticatedMultibulkLength),
            _ => Err(ProtocolError::InvalidMultibulkLength),
        }
    }

    /// Refuses an announced length that is not permitted for an argument that begins at `start`.
    pub(super) fn check_len(&self, len: i64, start: usize) -> Result<u32, ProtocolError> {
        let len = match u32::try_from(len) {
            Ok(len) if len <= self.bulk_bytes_max => len,
            _ => return Err(ProtocolError::InvalidBulkLength),
        };
        if len > self.len_max() {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        if start as u64 + u64::from(len) + 2 > u64::from(self.command_bytes_max) {
            return Err(ProtocolError::TooBigCommand);
        }
        Ok(len)
    }
}
