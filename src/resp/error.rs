//! Protocol errors: errors of clients in the framing of their requests, each with Redis's text.
//!
//! Created by `parse`, written by `Writer::protocol_error`. Cost: two bytes, no allocation.

use std::fmt;

/// The reason why a request can't be parsed. The client is at fault; it gets the error, and its connection is closed, since
/// the start of its next request is unknown. `Display` is Redis's text without the leading `-ERR `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count of arguments is not a number, or too large.
    InvalidMultibulkLength,
    /// No line end within [`INLINE_BYTES_MAX`](crate::limits::INLINE_BYTES_MAX) after `*`.
    TooBigMultibulkCount,
    /// An argument that begins with this byte.
    ExpectedDollar(u8),
    /// The length of an argument is not a number, negative or too large.
    InvalidBulkLength,
    /// No line end within [`INLINE_BYTES_MAX`](crate::limits::INLINE_BYTES_MAX) after `$`.
    TooBigBulkCount,
    /// A quote in an inline request that does not close, or closes inside a word.
    UnbalancedQuotes,
    /// No line end within [`INLINE_BYTES_MAX`](crate::limits::INLINE_BYTES_MAX) of an inline request.
    TooBigInline,
    /// More than [`UNAUTHENTICATED_ARGS_MAX`](crate::limits::UNAUTHENTICATED_ARGS_MAX) arguments before
    /// authentication.
    UnauthenticatedMultibulkLength,
    /// More than [`UNAUTHENTICATED_BULK_BYTES_MAX`](crate::limits::UNAUTHENTICATED_BULK_BYTES_MAX) in an argument
    /// before authentication.
    UnauthenticatedBulkLength,
    /// All arguments together are too large. (Redis drops such a client without a word.)
    TooBigCommand,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        f.write_str(match *self {
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::TooBigMultibulkCount => "too big mbulk count string",
            Self::ExpectedDollar(byte) => {
                return write!(f, "expected '$', got '{}'", char::from(byte));
            }
            Self::InvalidBulkLength => "invalid bulk length",
            Self::TooBigBulkCount => "too big bulk count string",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::TooBigInline => "too big inline request",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
            Self::TooBigCommand => "too big command",
        })
    }
}

impl std::error::Error for ProtocolError {}
