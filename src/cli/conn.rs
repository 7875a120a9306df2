//! Conn: a connection to a running server for subcommands: the client, with errors that say what to do and have the
//! right exit code.

use std::io;
use std::time::Duration;

use super::connect::ConnectArgs;
use super::error::{EXIT_FAILED, EXIT_NO_SERVER, EXIT_TIMEOUT, Error};
use crate::blocking::Client;
use crate::client::{self, Options, Value};

/// A connection to a running server.
pub(super) struct Conn {
    client: Client,
    /// The server's address, for errors.
    place: String,
    timeout: Duration,
}

impl Conn {
    /// Connects, and authenticates if there is a key. `timeout`: for this, and for each answer.
    pub(super) fn open(server: &ConnectArgs, timeout: Duration) -> Result<Conn, Error> {
        let key = server.auth.resolve_secret()?;
        let has_key = key.is_some();
        let place = server.to_string();
        let mut options = Options::new(server.address()).timeout(timeout).connect_timeout(timeout);
        if let Some(key) = key {
            options = options.authkey(key);
        }
        match Client::connect(options) {
            Ok(client) => Ok(Conn { client, place, timeout }),
            Err(client::Error::Auth(text)) if has_key => Err(failed(format!(
                "the server at {place} refuses the given key{}; give --authkey-file with the server's own",
                beyond_codes(&text)
            ))),
            Err(error) => Err(explain(&place, timeout, &error)),
        }
    }

    /// Sends a command and waits for the answer. A refusal is an error.
    pub(super) fn call(&mut self, words: &[&str]) -> Result<Value, Error> {
        self.client.command(words).map_err(|error| explain(&self.place, self.timeout, &error))
    }

    /// Sends a command whose answer is a text.
    pub(super) fn text(&mut self, words: &[&str]) -> Result<String, Error> {
        match self.call(words)? {
            Value::Bulk(Some(text)) | Value::Simple(text) | Value::Verbatim { text, .. } => {
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            Value::Integer(number) => Ok(number.to_string()),
            other => Err(failed(format!("the server at {} answers {other:?}; is it Aspine?", self.place))),
        }
    }

    /// Sends a command without waiting for the answer.
    pub(super) fn send(&mut self, words: &[String]) -> Result<(), Error> {
        self.client.send(words).map_err(|error| explain(&self.place, self.timeout, &error))
    }

    /// The answer, if it arrives within `wait`; a refusal is the server's text.
    pub(super) fn answer_within(&mut self, wait: Duration) -> Result<Option<Result<Value, String>>, Error> {
        match self.client.receive(Some(wait)) {
            Ok(answer) => Ok(answer.map(Ok)),
            Err(client::Error::Server(text)) => Ok(Some(Err(text.to_string()))),
            Err(error) => Err(explain(&self.place, self.timeout, &error)),
        }
    }
}

/// Turns a client's error into one line and an exit code.
fn explain(place: &str, timeout: Duration, error: &client::Error) -> Error {
    let late = || Error::Command {
        code: EXIT_TIMEOUT,
        line: format!(
            "the server at {place} has not answered within {} s; it may be overloaded or stopped: see its log, or wait longer \
             with --timeout",
            timeout.as_secs()
        ),
    };
    match error {
        client::Error::Timeout { .. } => late(),
        client::Error::Connection { cause, .. }
            if matches!(cause.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) =>
        {
            late()
        }
        client::Error::Connection { cause, .. } => Error::Command {
            code: EXIT_NO_SERVER,
            line: format!(
                "cannot reach the server at {place}: {cause}; give --host and --port, or --unixsocket, of a running one"
            ),
        },
        client::Error::Auth(text) if text.starts_with("NOAUTH") => {
            failed(format!("the server at {place} wants a key; give --authkey-file PATH, or set ASPINE_AUTHKEY"))
        }
        client::Error::Auth(text) => failed(format!(
            "the server at {place} does not permit this{}; give --authkey-file with a key that may",
            beyond_codes(text)
        )),
        client::Error::Server(text) => failed(format!("the server at {place} refuses: {text}; its log may say more")),
        other => {
            failed(format!("cannot talk to what listens at {place}: {other}; is it Aspine, or Redis 6.0 or later?"))
        }
    }
}

/// What a refusal says beyond the texts that every server has for a wrong key.
fn beyond_codes(text: &str) -> String {
    match text.split_once(' ') {
        Some(("NOPERM", why)) => format!(": {why}"),
        _ => String::new(),
    }
}

fn failed(line: String) -> Error {
    Error::Command { code: EXIT_FAILED, line }
}
