//! Runs `aspine bench` to its end, or fails after a deadline that only a hang passes.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::support::server::wait_until;

/// The output of a run.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A run under way.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: thread::JoinHandle<String>,
    stderr: thread::JoinHandle<String>,
}

/// `aspine bench` with `flags`, without the reader's own key.
pub(crate) fn command(flags: &[&str]) -> Command {
    let mut cmd = Command::new(env!("CARGO_BIN_EXE_aspine"));
    cmd.arg("bench").args(flags).env_remove("ASPINE_AUTHKEY").stdin(Stdio::null());
    cmd
}

pub(crate) fn start(mut cmd: Command) -> Running {
    let mut child = cmd.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let read = |mut pipe: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    Running { child, stdout, stderr }
}

impl Running {
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let mut status = None;
        wait_until("the end of the run", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let code = status.unwrap().code();
        Ended { code, stdout: self.stdout.join().unwrap(), stderr: self.stderr.join().unwrap() }
    }
}

/// Runs with these flags against `addr`.
#[track_caller]
pub(crate) fn run(addr: SocketAddr, flags: &[&str]) -> Ended {
    let addr = addr.to_string();
    start(command(&[&["--target", &addr], flags].concat())).end()
}

/// The report of a run with these flags against `addr`, in which nothing went wrong.
#[track_caller]
pub(crate) fn report(addr: SocketAddr, flags: &[&str]) -> Value {
    run(addr, &[flags, &["--json"]].concat()).report()
}

impl Ended {
    /// The report of a run in which nothing went wrong.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.json()
    }

    /// The report as JSON: one line.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Checks that it failed, in one line that has every one of `words`.
    #[track_caller]
    pub(crate) fn check_failed(&self, words: &[&str]) {
        self.check_ended(1, words);
    }

    /// As `check_failed`, with another exit code.
    #[track_caller]
    pub(crate) fn check_ended(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("aspine: ") && self.stderr.ends_with('\n'), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word} in {}", self.stderr);
        }
    }
}

/// A number of a report.
#[track_caller]
pub(crate) fn number(report: &Value, path: &str) -> f64 {
    let value = report.pointer(path).unwrap_or_else(|| panic!("no {path} in {report}"));
    value.as_f64().unwrap_or_else(|| panic!("{path} is {value}"))
}

/// A count of a report, 0 if it is not there.
pub(crate) fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}
