//! What the tests of the real binary share: the server as a child process, a raw client, and a hostile host.

pub(crate) mod conn;
pub(crate) mod limits;
pub(crate) mod namespace;
pub(crate) mod pty;
pub(crate) mod seccomp;
pub(crate) mod server;
pub(crate) mod signal;
