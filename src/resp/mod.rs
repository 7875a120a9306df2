//! RESP, the Redis protocol: requests in, replies out, and replies read back. Bytes to values and values to bytes.
//!
//! Used by: `engine` (requests, replies), `client`, `loadgen` and the tests (replies). Any core.
//! Never: does I/O, reads a clock, knows a command's meaning, or panics on what a peer sent.
//! Cost: no allocation per request or reply in the steady state; every length is checked against `limits`.
//!
//! | file | what |
//! |---|---|
//! | `parse` | the incremental request parser of one connection |
//! | `args` | the arguments of one request: spans over a borrowed buffer |
//! | `error` | errors in the framing of a request |
//! | `inline` | requests typed by hand: words and quotes |
//! | `number` | numbers as text, both ways |
//! | `parse_limits` | limits of a request |
//! | `write` | replies, for RESP2 and RESP3 |
//! | `reply` | the decoder of replies |

pub mod args;
pub mod error;
mod inline;
pub mod number;
pub mod parse;
pub mod parse_limits;
pub mod reply;
pub mod write;

pub use args::{Args, Span, Words};
pub use error::ProtocolError;
pub use parse::{Parsed, Parser, peek_key};
pub use parse_limits::ParseLimits;
pub use reply::{Measure, ReplyError, Value};
pub use write::{Proto, Writer};
