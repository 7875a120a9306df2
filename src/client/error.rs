//! Errors of the clients: what failed between a caller and a server, and whether the request may have run all the same.
//!
//! Never: claims more than is known. A request that was written to a connection that then broke has an unknown fate.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::resp::ReplyError;

/// A failed request. Cheap to clone: when a connection fails, each of its requests gets a copy of the error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection, or it broke before the reply came.
    Connection {
        /// The server's address, as given in the options.
        address: Arc<str>,
        /// Whether the request may have run.
        fate: Fate,
        /// The error of the operating system.
        cause: Arc<io::Error>,
    },
    /// The reply did not arrive in time. A reply that arrives later is discarded.
    Timeout {
        /// The timeout that has passed.
        after: Duration,
        /// Whether the request may have run.
        fate: Fate,
    },
    /// The server refused the auth key or user, or the user lacks the permission. The text is the server's.
    Auth(Arc<str>),
    /// The server broke the protocol. The connection is closed, except after [`Fault::Type`].
    Protocol {
        /// The server's address, as given in the options.
        address: Arc<str>,
        /// The rule that was broken.
        fault: Fault,
    },
    /// The server refused the request. The text is the server's, its code first, as in `OOM command not allowed …`.
    Server(Arc<str>),
    /// A stored value can't be read as the type that was asked for.
    Decode {
        /// The key of the value, escaped; empty where there is none.
        key: Arc<str>,
        /// The type that was asked for.
        type_name: &'static str,
        /// The reason.
        cause: Arc<dyn StdError + Send + Sync>,
    },
    /// A value can't be encoded as bytes. Nothing was sent.
    Encode {
        /// The type of the value.
        type_name: &'static str,
        /// The reason why the value can't be encoded.
        cause: Arc<dyn StdError + Send + Sync>,
    },
}

/// What is known of a request that got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The request was not sent, so it has not run and will not run.
    NotSent,
    /// The request was sent at least in part. It may have run, may still run, or may never run.
    Unknown,
}

/// How a server broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes are not a reply.
    Malformed(ReplyError),
    /// A reply arrived that no request waits for.
    Unasked,
    /// The reply is of another type than the command's replies are.
    Type,
    /// The server does not speak RESP3, which Redis does from 6.0 on.
    Version,
}

impl Error {
    /// Whether the request may have run; `None` if it was answered.
    pub fn fate(&self) -> Option<Fate> {
        match self {
            Self::Connection { fate, .. } | Self::Timeout { fate, .. } => Some(*fate),
            Self::Encode { .. } => Some(Fate::NotSent),
            Self::Protocol { .. } => Some(Fate::Unknown),
            // The request was answered.
            Self::Auth(_) | Self::Server(_) | Self::Decode { .. } => None,
        }
    }

    /// The code of an error reply: the first word of its text.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Auth(text) | Self::Server(text) => text.split(' ').next(),
            _ => None,
        }
    }

    /// The error that an error reply stands for.
    pub(crate) fn of_server(text: &[u8]) -> Self {
        let text: Arc<str> = String::from_utf8_lossy(text).into();
        match text.split(' ').next() {
            Some("NOAUTH" | "WRONGPASS" | "NOPERM") => Self::Auth(text),
            _ => Self::Server(text),
        }
    }

    pub(crate) fn decode<T>(key: &[u8], cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let key = key.escape_ascii().to_string().into();
        Self::Decode { key, type_name: std::any::type_name::<T>(), cause: cause.into().into() }
    }

    pub(crate) fn encode<T: ?Sized>(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Encode { type_name: std::any::type_name::<T>(), cause: cause.into().into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { address, fate, cause } => write!(f, "no connection to {address}: {cause}; {fate}"),
            Self::Timeout { after, fate } => write!(f, "no reply within {after:?}; {fate}"),
            Self::Auth(text) | Self::Server(text) => f.write_str(text),
            Self::Protocol { address, fault } => write!(f, "{address}: {fault}"),
            Self::Decode { key, type_name, cause } if key.is_empty() => write!(f, "not a {type_name}: {cause}"),
            Self::Decode { key, type_name, cause } => write!(f, "the value of '{key}' is not a {type_name}: {cause}"),
            Self::Encode { type_name, cause } => write!(f, "a {type_name} can't be stored: {cause}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Connection { cause, .. } => Some(cause.as_ref()),
            Self::Protocol { fault: Fault::Malformed(cause), .. } => Some(cause),
            Self::Decode { cause, .. } | Self::Encode { cause, .. } => Some(cause.as_ref()),
            _ => None,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "the request was not sent",
            Self::Unknown => "whether the request ran is unknown",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Unasked => f.write_str("a reply that no request waits for"),
            Self::Type => f.write_str("a reply of another type than the command has"),
            Self::Version => f.write_str("the server does not speak RESP3; Redis does from 6.0 on"),
        }
    }
}
