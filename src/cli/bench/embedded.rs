//! The embedded server, which is measured if there is no target: this program again, in a process of its own, so that
//! its CPU time and memory are measured apart.
//!
//! It is killed when its `Server` is dropped, and by the kernel if this process is killed. Ctrl-C does not reach it: it is
//! in a process group of its own, and serves until the report is written.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::loadgen::BenchError;

/// The arguments of the embedded server.
#[derive(Clone, Debug)]
pub(super) struct Embedded {
    /// The flags behind `server`.
    pub(super) args: Vec<String>,
}

/// A running embedded server.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
}

/// Starts the server and waits until it is ready. It shares our stderr.
pub(super) fn start(embedded: &Embedded) -> Result<Server, BenchError> {
    let failed = |why: String| BenchError::Embedded { why };
    let program =
        std::env::current_exe().map_err(|error| failed(format!("the path of this program is unknown: {error}")))?;
    let mut command = Command::new(program);
    command.args(["server", "--end-with-parent", &std::process::id().to_string()]).args(&embedded.args);
    command.env_remove("ASPINE_AUTHKEY").stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let mut server = Server { child, address: ([127, 0, 0, 1], 0).into() };
    let mut line = String::new();
    if let Some(stdout) = server.child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(|error| failed(error.to_string()))?;
    }
    let address = line.strip_prefix("ready: listening on ").and_then(|rest| rest.split_whitespace().next());
    match address.and_then(|address| address.parse().ok()) {
        Some(address) => server.address = address,
        // The reason, if there is one, is on stderr.
        None => return Err(failed("it ended before it was ready; its message is above".to_owned())),
    }
    Ok(server)
}

impl Server {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that the server has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
