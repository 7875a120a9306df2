//! Service: what makes a program a service: the log, leaving the terminal, the pid file, the service manager, signals.
//!
//! | file | what |
//! |---|---|
//! | `logging` | the log |
//! | `daemon`, `fork` | leaving the terminal |
//! | `pid_file` | which process is the server |
//! | `notify` | what the service manager is told |
//! | `signals` | SIGTERM, SIGINT and SIGHUP |
//!
//! Never: touches a core, a client or a key.

pub mod daemon;
mod fork;
pub mod logging;
pub(crate) mod notify;
pub mod pid_file;
pub(crate) mod signals;
