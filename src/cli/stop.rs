//! `aspine stop`: SIGTERM to a server of this machine, and waiting until it has ended.
//!
//! The process is referred to by a descriptor (pidfd), opened before it is checked a second time: so its pid can't be reused
//! meanwhile, and the wait is for the end of the process, not for a file to disappear.
//! Never: trusts a number in a file, or signals a process that was not found to be a server.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::connect::{ConnectArgs, ConnectFlags};
use super::error::{EXIT_FAILED, EXIT_NO_SERVER, EXIT_TIMEOUT, Error};
use super::number::whole;
use crate::config::usual_pid_file;
use crate::limits::{KILL_TIMEOUT_S, STOP_TIMEOUT_S_DEFAULT, STOP_TIMEOUT_S_MAX};
use crate::runtime::clock::stopwatch_ns;
use crate::service::pid_file::{Holder, holder_of};

/// The flags. The doc comments of the fields are the help texts.
#[derive(Args)]
pub(super) struct StopFlags {
    /// Pid file of the server [default: /run/aspine/aspine.pid, or $XDG_RUNTIME_DIR/aspine.pid unless root]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port", "unixsocket"])]
    pid_file: Option<PathBuf>,

    /// Seconds to wait for the end of the server
    #[arg(long, value_name = "SECONDS", default_value_t = STOP_TIMEOUT_S_DEFAULT)]
    #[arg(value_parser = whole(1..=STOP_TIMEOUT_S_MAX))]
    timeout: u64,

    /// Kill the server if it has not ended by then; unsaved items are lost
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    server: ConnectFlags,
}

/// The arguments of `aspine stop`.
#[derive(Debug)]
pub(super) struct StopArgs {
    place: Place,
    timeout_s: u64,
    force: bool,
}

/// How the server's process is found.
#[derive(Debug)]
enum Place {
    /// By a pid file; the default one if none is given.
    PidFile(Option<PathBuf>),
    /// By the socket that it listens on.
    Socket(ConnectArgs),
}

impl StopFlags {
    pub(super) fn into_args(self, by_address: bool, authkey_is_env: bool) -> StopArgs {
        let place = if by_address {
            Place::Socket(self.server.into_args(authkey_is_env))
        } else {
            Place::PidFile(self.pid_file)
        };
        StopArgs { place, timeout_s: self.timeout, force: self.force }
    }
}

/// Stops the server.
pub(super) fn run(args: &StopArgs) -> Result<(), Error> {
    let (pid, process) = find(&args.place)?;
    let number = pid.as_raw_nonzero();
    signal(&process, pid, Signal::TERM)?;
    let mut how = "has ended";
    if !has_ended(&process, args.timeout_s)? {
        if !args.force {
            let timeout_s = args.timeout_s;
            return Err(Error::Command {
                code: EXIT_TIMEOUT,
                line: format!(
                    "the server, process {number}, still runs after {timeout_s} s; wait longer with --timeout, or kill it \
                     with --force"
                ),
            });
        }
        signal(&process, pid, Signal::KILL)?;
        how = "was killed";
        if !has_ended(&process, KILL_TIMEOUT_S)? {
            return Err(Error::Command {
                code: EXIT_TIMEOUT,
                line: format!(
                    "process {number} was killed and is still there; the kernel waits for a device: see dmesg"
                ),
            });
        }
    }
    // A failure to print can't be reported anywhere.
    let _ = writeln!(io::stdout(), "process {number} {how}");
    Ok(())
}

/// Finds the server's process and opens its pidfd.
fn find(place: &Place) -> Result<(Pid, OwnedFd), Error> {
    loop {
        let pid = look(place)?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The pidfd is open; if the process is still the server, it can't change any more.
            Ok(process) if look(place)? == pid => return Ok((pid, process)),
            // The process ended meanwhile; look again.
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(failed(format!("cannot open process {pid:?}: {error}; stop it with kill"))),
        }
    }
}

/// Looks up the process that is the server now.
fn look(place: &Place) -> Result<Pid, Error> {
    match place {
        Place::PidFile(path) => {
            let path = path.clone().map_or_else(usual_pid_file, Ok)?;
            let shown = path.display();
            match holder_of(&path) {
                Ok(Holder::Process(pid)) => Ok(pid),
                Ok(Holder::Nobody) => Err(Error::Command {
                    code: EXIT_NO_SERVER,
                    line: format!(
                        "no server to stop: no process holds the pid file {shown}; give --pid-file, or --port, of one that \
                         runs"
                    ),
                }),
                Ok(Holder::Elsewhere) => Err(failed(format!(
                    "cannot stop the server of {shown}: it runs in another container; stop it there"
                ))),
                Err(error) => Err(failed(format!(
                    "cannot read the pid file {shown}: {error}; run this as the server's user, or give --pid-file"
                ))),
            }
        }
        Place::Socket(server) => server.process(),
    }
}

fn failed(line: String) -> Error {
    Error::Command { code: EXIT_FAILED, line }
}

fn signal(process: &OwnedFd, pid: Pid, signal: Signal) -> Result<(), Error> {
    match pidfd_send_signal(process, signal) {
        // The process has ended by itself.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(failed(format!(
            "cannot signal process {}: {error}; run this as its user or as root",
            pid.as_raw_nonzero()
        ))),
    }
}

/// Waits for the end of a process, at most `timeout_s` seconds. Returns whether it has ended.
fn has_ended(process: &OwnedFd, timeout_s: u64) -> Result<bool, Error> {
    let until_ns = stopwatch_ns() + timeout_s * 1_000_000_000;
    loop {
        let left_ns = until_ns.saturating_sub(stopwatch_ns());
        let timeout = Timespec {
            tv_sec: (left_ns / 1_000_000_000).cast_signed(),
            tv_nsec: (left_ns % 1_000_000_000).cast_signed(),
        };
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(format!("cannot wait for the process: {error}; look for it with ps"))),
        }
    }
}
