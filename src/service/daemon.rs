//! Daemon: detaches the server from its terminal; its caller waits until the server serves, or gets the reason why not.
//!
//! ```text
//! caller ─ fork ─▶ leader of a new session ─ fork ─▶ server ─ ready, or why not ─┐
//!    ▲                  ends at once                                              │
//!    └──────────────────────────── a pipe ◀───────────────────────────────────────┘
//! ```
//! Owner: `cli::server`, before any thread exists. After the second fork the server is not a session leader, so it can't
//! acquire a terminal again. The caller is a subreaper meanwhile, so that it also notices a server that is killed before
//! it reports.
//! Never: used once there are threads. Errors and logs of the start still reach the caller's stderr; from `ready` on
//! stdout and stderr are the log file, or nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::exit;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, set_child_subreaper, setsid, wait, waitpid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::fork::{Forked, fork};

/// The side of `detach` that this process is on.
#[derive(Debug)]
pub enum Detached {
    /// This process becomes the server.
    Server(Caller),
    /// This process is the caller; the server has reported.
    Caller(Outcome),
}

/// The outcome of the server's start.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server serves; its `ready` line.
    Ready(String),
    /// The server refused to start.
    Refused {
        /// The exit code of the server.
        code: u8,
        /// The reason, in one line.
        line: String,
    },
    /// The server ended without a report; the exit code or signal, in words.
    Died(String),
}

/// The server's end of the pipe to the caller. If it is dropped without a report, the caller knows that the server died.
#[derive(Debug)]
pub struct Caller {
    pipe: File,
}

/// The byte before a `ready` line. No exit code of a refusal is 0.
const READY: u8 = 0;

/// Forks into a caller that waits and a server. Both return from here.
pub fn detach() -> io::Result<Detached> {
    let (answer, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
    // Before the fork, so that a child that dies at once is found too.
    set_child_subreaper(Some(getpid()))?;
    match fork()? {
        Forked::Parent(leader) => {
            drop(pipe);
            Ok(Detached::Caller(hear(answer, leader)?))
        }
        Forked::Child => {
            drop(answer);
            let caller = Caller { pipe: pipe.into() };
            // The process between caller and server ends in any case.
            let began = setsid().map_err(io::Error::from).and_then(|_| fork());
            match began {
                Ok(Forked::Child) => {
                    dup2_stdin(File::open("/dev/null")?)?;
                    Ok(Detached::Server(caller))
                }
                Ok(Forked::Parent(_)) => exit(0),
                Err(error) => {
                    caller.refuse(1, &format!("cannot become a daemon: {error}; run without --daemon"));
                    exit(1)
                }
            }
        }
    }
}

/// Waits for the server's report.
fn hear(answer: OwnedFd, leader: Pid) -> io::Result<Outcome> {
    let mut said = Vec::new();
    File::from(answer).read_to_end(&mut said)?;
    waitpid(Some(leader), WaitOptions::empty())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match said.split_first() {
        Some((&READY, line)) => Outcome::Ready(text(line)),
        Some((code, line)) => Outcome::Refused { code: *code, line: text(line) },
        // The pipe is closed, so the server has ended; it is a child of this process by now.
        None => Outcome::Died(wait(WaitOptions::empty())?.map_or_else(String::new, |(_, status)| how(status))),
    })
}

fn how(status: WaitStatus) -> String {
    match (status.terminating_signal(), status.exit_status()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "for no known reason".to_owned(),
    }
}

impl Caller {
    /// Reports that the server serves, and redirects stdout and stderr from the caller's to `log`, or to nowhere.
    pub fn ready(mut self, line: &str, log: Option<&File>) -> io::Result<()> {
        let null;
        let out = match log {
            Some(log) => log.as_fd(),
            None => {
                null = File::options().write(true).open("/dev/null")?;
                null.as_fd()
            }
        };
        dup2_stdout(out)?;
        dup2_stderr(out)?;
        // A caller that has gone does not stop the server.
        let _ = self.tell(READY, line);
        Ok(())
    }

    /// Reports the reason why the server does not start.
    pub fn refuse(mut self, code: u8, line: &str) {
        // A failure to report can't be reported anywhere.
        let _ = self.tell(code.max(1), line);
    }

    /// Writes a report at once, so that it arrives whole or not at all.
    fn tell(&mut self, code: u8, line: &str) -> io::Result<()> {
        let mut bytes = vec![code];
        bytes.extend_from_slice(line.as_bytes());
        self.pipe.write_all(&bytes)
    }
}
