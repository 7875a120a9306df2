//! Trip: a command on its way through its home core, and how its round goes on.

use crate::command::lookup::CommandId;

/// A command on its way: what dispatching needs besides session and arguments.
#[derive(Clone, Copy)]
pub(super) struct Trip {
    pub(super) command: CommandId,
    /// The client does not want to hear the reply.
    pub(super) muted: bool,
    /// The session's transaction holds the shards that the command needs.
    pub(super) held: bool,
}

/// How a round goes on after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// With the next.
    Next,
    /// Not yet: this command has to wait for earlier ones. It was not run.
    Wait,
    /// Not at all: the session ends.
    End,
}
