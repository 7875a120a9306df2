//! Context: what a handler gets besides its arguments, by where it runs, and what a session does after one.

use crate::command::client::BufferSizes;
use crate::command::facts::Facts;
use crate::command::settings::Settings;
use crate::shard::Recency;

/// The context of a key's handler, besides its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The clock reading of the turn, unix time in milliseconds.
    pub now_ms: u64,
    /// Whether a read makes the item recent; not for a client that said CLIENT NO-TOUCH.
    pub recency: Recency,
}

/// A function that compares a guess with the auth key.
pub type VerifyKey<'a> = &'a dyn Fn(&[u8]) -> bool;

/// The context of a session's handler, besides its client.
pub struct Home<'a> {
    /// The clock reading of the turn, unix time in milliseconds.
    pub now_ms: u64,
    /// The microseconds of that reading within the millisecond, for TIME.
    pub now_sub_us: u32,
    /// This core's settings.
    pub settings: &'a Settings,
    /// Checks an auth key; `None` when the server has none.
    pub verify_key: Option<VerifyKey<'a>>,
    /// The facts of the running command.
    pub row: &'static Facts,
    /// Sizes of the session's buffers.
    pub sizes: BufferSizes,
    /// Whether the cores are shown as nodes of a cluster.
    pub cluster: bool,
}

/// The action of the session after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Go on with the next command.
    Continue,
    /// Send all encoded replies, then close.
    Close,
    /// The same, and log where the client came from: it asked for a database that is not there.
    CloseForDatabase,
    /// End MULTI, WATCH, subscriptions and tracking as well.
    Reset,
    /// Delay the reply: an auth key was wrong.
    Delay,
}
