//! Target: the server that gets the items, by a pipeline on one connection. Replies are read by a thread of their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use super::failed;
use crate::cli::connect::{AskArgs, ConnectArgs};
use crate::cli::error::Error;
use crate::limits::IMPORT_WRITE_BYTES;
use crate::resp::Value;
use crate::resp::number::IntegerText;
use crate::resp::reply::decode;

/// The last command of a pipeline, by whose reply its end is known.
const LAST: &[u8] = b"aspine-import-end";

/// What the server answered.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Items that were not stored since their keys were there.
    pub(super) kept: u64,
    /// Items that were refused, by the text.
    pub(super) refused: BTreeMap<String, u64>,
}

/// A connection to the server.
pub(super) struct Target {
    socket: File,
    out: Vec<u8>,
    database: u64,
    place: String,
    replies: JoinHandle<io::Result<Outcome>>,
}

/// Appends a request.
pub(super) fn append(out: &mut Vec<u8>, words: &[&[u8]]) {
    let number = |out: &mut Vec<u8>, mark: u8, number: usize| {
        out.push(mark);
        out.extend_from_slice(IntegerText::new(number as i64).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    number(out, b'*', words.len());
    for word in words {
        number(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

impl Target {
    /// Connects, once the server is known to have the databases that are needed.
    pub(super) fn open(server: &AskArgs, database_max: Option<u64>) -> Result<Target, Error> {
        let mut conn = server.open()?;
        let there = match conn.call(&["CONFIG", "GET", "databases"])? {
            Value::Map(pairs) => pairs.into_iter().next().and_then(|(_, count)| {
                if let Value::Bulk(Some(count)) = count { std::str::from_utf8(&count).ok()?.parse().ok() } else { None }
            }),
            _ => None,
        };
        if let (Some(needed), Some(there)) = (database_max, there)
            && needed >= there
        {
            return Err(failed(format!(
                "the items are in databases up to {needed}, and the server at {} has {there}; start it with --databases {}, \
                 16 at most, or import single databases by --from redis://…/number",
                server.server,
                needed + 1
            )));
        }
        let place = server.server.to_string();
        let cannot =
            |error: io::Error| failed(format!("cannot reach the server at {place}: {error}; is it still there?"));
        let mut socket = connect(&server.server).map_err(cannot)?;
        if let Some(key) = server.server.auth.resolve_secret()? {
            let mut auth = Vec::new();
            append(&mut auth, &[b"AUTH", &key]);
            socket.write_all(&auth).map_err(cannot)?;
        }
        let reader = socket.try_clone().map_err(cannot)?;
        let replies = thread::Builder::new().name("replies".into()).spawn(move || read_replies(reader));
        let replies = replies.map_err(cannot)?;
        Ok(Target { socket, out: Vec::with_capacity(2 * IMPORT_WRITE_BYTES), database: 0, place, replies })
    }

    /// Stores a string.
    pub(super) fn set(
        &mut self,
        database: u64,
        (key, value): (&[u8], &[u8]),
        expires_at_ms: Option<u64>,
        keep: bool,
    ) -> Result<(), Error> {
        self.select(database);
        let at_ms = IntegerText::new(expires_at_ms.and_then(|at_ms| i64::try_from(at_ms).ok()).unwrap_or(i64::MAX));
        let all: [&[u8]; 6] = [b"SET", key, value, b"PXAT", at_ms.as_bytes(), b"NX"];
        match (expires_at_ms, keep) {
            (None, false) => append(&mut self.out, &all[..3]),
            (None, true) => append(&mut self.out, &[b"SET", key, value, b"NX"]),
            (Some(_), false) => append(&mut self.out, &all[..5]),
            (Some(_), true) => append(&mut self.out, &all),
        }
        self.flush(IMPORT_WRITE_BYTES)
    }

    /// Stores what DUMP returned.
    pub(super) fn restore(
        &mut self,
        database: u64,
        (key, payload): (&[u8], &[u8]),
        ttl_ms: u64,
        keep: bool,
    ) -> Result<(), Error> {
        self.select(database);
        let ttl_ms = IntegerText::new(i64::try_from(ttl_ms).unwrap_or(i64::MAX));
        let all: [&[u8]; 5] = [b"RESTORE", key, ttl_ms.as_bytes(), payload, b"REPLACE"];
        append(&mut self.out, if keep { &all[..4] } else { &all });
        self.flush(IMPORT_WRITE_BYTES)
    }

    fn select(&mut self, database: u64) {
        if self.database != database {
            self.database = database;
            append(&mut self.out, &[b"SELECT", database.to_string().as_bytes()]);
        }
    }

    /// Sends what is encoded, if it is so much.
    fn flush(&mut self, least: usize) -> Result<(), Error> {
        if self.out.len() < least {
            return Ok(());
        }
        let written = self.socket.write_all(&self.out);
        self.out.clear();
        written.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &io::Error) -> Error {
        failed(format!(
            "the connection to the server at {} has ended: {error}; some items are there, and importing again does no harm",
            self.place
        ))
    }

    /// Sends the rest, and waits for the replies to everything.
    pub(super) fn finish(mut self) -> Result<Outcome, Error> {
        append(&mut self.out, &[b"ECHO", LAST]);
        self.flush(0)?;
        let Target { replies, place, .. } = self;
        let outcome = replies.join().unwrap_or_else(|_| Err(io::Error::other("reading its replies failed")));
        outcome.map_err(|error| {
            failed(format!(
                "the connection to the server at {place} has ended: {error}; some items are there, and importing again does no \
                 harm"
            ))
        })
    }
}

/// A connected socket, as a file: it is only read and written.
fn connect(server: &ConnectArgs) -> io::Result<File> {
    let fd: OwnedFd = match &server.unix_socket {
        Some(path) => UnixStream::connect(path)?.into(),
        None => {
            let stream = TcpStream::connect((server.host.as_str(), server.port))?;
            stream.set_nodelay(true)?;
            stream.into()
        }
    };
    Ok(File::from(fd))
}

/// Reads replies up to the last.
fn read_replies(mut socket: File) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut bytes = Vec::new();
    let mut chunk = vec![0; IMPORT_WRITE_BYTES];
    loop {
        let read = socket.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..read]);
        let mut at = 0;
        while let Some((len, is_last)) = take_reply(&bytes[at..], &mut outcome)? {
            at += len;
            if is_last {
                return Ok(outcome);
            }
        }
        bytes.drain(..at);
    }
}

/// Counts the reply at the beginning. Returns its length and whether it is the last, if it is whole.
fn take_reply(bytes: &[u8], outcome: &mut Outcome) -> io::Result<Option<(usize, bool)>> {
    const OK: &[u8] = b"+OK\r\n";
    if bytes.starts_with(OK) {
        return Ok(Some((OK.len(), false)));
    }
    let Some((value, len)) = decode(bytes).map_err(io::Error::other)? else { return Ok(None) };
    match value {
        Value::Bulk(Some(text)) if text == LAST => return Ok(Some((len, true))),
        Value::Bulk(None) | Value::Null => outcome.kept += 1,
        Value::Error(text) if text.starts_with(b"BUSYKEY ") => outcome.kept += 1,
        Value::Error(text) => {
            *outcome.refused.entry(String::from_utf8_lossy(&text).into_owned()).or_default() += 1;
        }
        _ => {}
    }
    Ok(Some((len, false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_however_they_arrive() {
        let all = b"+OK\r\n$-1\r\n-BUSYKEY Target\r\n-OOM x\r\n-OOM x\r\n+OK\r\n$17\r\naspine-import-end\r\n";
        for cut in 0..all.len() {
            let mut outcome = Outcome::default();
            let (mut at, mut last) = (0, false);
            for end in [cut, all.len()] {
                while let Some((len, is_last)) = take_reply(&all[at..end], &mut outcome).expect("replies") {
                    at += len;
                    last = is_last;
                }
            }
            assert!(last && at == all.len(), "cut at {cut}");
            assert_eq!((outcome.kept, outcome.refused.get("OOM x")), (2, Some(&2)));
        }
    }
}
