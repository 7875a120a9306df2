//! Daemon: the server leaves the terminal, and whoever started it waits until it serves, or learns why it does not.
//!
//! ```text
//! caller ─ fork ─▶ leader of a new session ─ fork ─▶ server ─ ready, or why not ─┐
//!    ▲                  ends at once                                              │
//!    └──────────────────────────── a pipe ◀───────────────────────────────────────┘
//! ```
//! Owner: `cli::server`, before any thread exists. The second fork keeps the server from ever getting a terminal again: it
//! leads no session. The caller adopts its grandchildren meanwhile, so that it can also tell of a server that was killed
//! before it could say anything.
//! Never: is used once there are threads. Errors and logs of the start still reach the caller's stderr; from `ready` on
//! stdout and stderr are the log file, or nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::exit;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, set_child_subreaper, setsid, wait, waitpid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::sys::{Forked, fork};

/// Where a fork has led.
#[derive(Debug)]
pub enum Detached {
    /// To the process that is to be the server.
    Server(Caller),
    /// To the process that was started, once the server has said how it went.
    Caller(Outcome),
}

/// What became of the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It serves; its `ready` line.
    Ready(String),
    /// It refused, and what for.
    Refused {
        /// The exit code it wants.
        code: u8,
        /// One line.
        line: String,
    },
    /// It ended without a word; how.
    Died(String),
}

/// The end of the pipe to whoever waits. Dropped without a word, it says that the server has died.
#[derive(Debug)]
pub struct Caller {
    pipe: File,
}

/// The byte before a `ready` line. No exit code of a refusal is 0.
const READY: u8 = 0;

/// Splits this process into one that waits and one that serves. Both return from here.
pub fn detach() -> io::Result<Detached> {
    let (answer, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
    // Before the fork: a child that dies at once is to be found too.
    set_child_subreaper(Some(getpid()))?;
    match fork()? {
        Forked::Parent(leader) => {
            drop(pipe);
            Ok(Detached::Caller(hear(answer, leader)?))
        }
        Forked::Child => {
            drop(answer);
            let caller = Caller { pipe: pipe.into() };
            // This process is to end in any case; the caller returns, the server lives.
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

/// Waits for the server's word.
fn hear(answer: OwnedFd, leader: Pid) -> io::Result<Outcome> {
    let mut said = Vec::new();
    File::from(answer).read_to_end(&mut said)?;
    waitpid(Some(leader), WaitOptions::empty())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match said.split_first() {
        Some((&READY, line)) => Outcome::Ready(text(line)),
        Some((code, line)) => Outcome::Refused { code: *code, line: text(line) },
        // It is a child of ours now, and gone, since the pipe is closed.
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
    /// Says that the server serves, and lets go of the caller's stdout and stderr: what is written there from now on goes
    /// to `log`, or nowhere.
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
        // A caller that has given up is no reason to stop.
        let _ = self.tell(READY, line);
        Ok(())
    }

    /// Says why there is no server.
    pub fn refuse(mut self, code: u8, line: &str) {
        // Nobody is left to tell if that fails.
        let _ = self.tell(code.max(1), line);
    }

    /// One write, so that it is there whole or not at all.
    fn tell(&mut self, code: u8, line: &str) -> io::Result<()> {
        let mut bytes = vec![code];
        bytes.extend_from_slice(line.as_bytes());
        self.pipe.write_all(&bytes)
    }
}
