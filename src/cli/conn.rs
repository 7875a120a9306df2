//! A connection to a running server, for commands that ask it something. Blocking, one request at a time.
//!
//! Never: waits longer than it was told, or retries. Every error says whether a server is there at all.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Error;
use super::connect::ConnectArgs;
use super::error::{EXIT_FAILED, EXIT_NO_SERVER, EXIT_TIMEOUT};
use crate::resp::{Value, reply};

/// A connection.
pub(super) struct Conn {
    socket: Socket,
    input: Vec<u8>,
    /// Where it leads, for errors.
    place: String,
    timeout: Duration,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Conn {
    /// Connects and shows the key, if there is one. `timeout`: for this, and for each answer.
    pub(super) fn open(server: &ConnectArgs, timeout: Duration) -> Result<Conn, Error> {
        let key = server.auth.resolve_secret()?;
        let place = server.to_string();
        let socket = connect(server, timeout).map_err(|error| unreachable_error(&place, &error))?;
        let mut conn = Conn { socket, input: Vec::new(), place, timeout };
        if let Some(key) = key {
            conn.send(&[b"AUTH", key.as_slice()])?;
            if let Value::Error(text) = conn.answer()? {
                let text = String::from_utf8_lossy(&text).into_owned();
                return Err(failed(format!("cannot log in: {text}; give --authkey-file with the server's key")));
            }
        }
        Ok(conn)
    }

    /// Asks, and waits for the answer. What the server refuses is an error.
    pub(super) fn call(&mut self, words: &[impl AsRef<[u8]>]) -> Result<Value, Error> {
        self.send(words)?;
        match self.answer()? {
            Value::Error(text) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                let fix = if text.starts_with("NOAUTH") {
                    "give --authkey-file, or ASPINE_AUTHKEY, with its key"
                } else {
                    "its log may say more"
                };
                Err(failed(format!("the server at {} refuses: {text}; {fix}", self.place)))
            }
            answer => Ok(answer),
        }
    }

    /// Asks for a text.
    pub(super) fn text(&mut self, words: &[impl AsRef<[u8]>]) -> Result<String, Error> {
        match self.call(words)? {
            Value::Bulk(Some(text)) | Value::Simple(text) | Value::Verbatim { text, .. } => {
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            Value::Integer(number) => Ok(number.to_string()),
            other => Err(failed(format!("the server at {} answers {other:?}; is it Aspine?", self.place))),
        }
    }

    /// Asks, and does not wait.
    pub(super) fn send(&mut self, words: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        let sent = match &mut self.socket {
            Socket::Tcp(socket) => socket.write_all(&bytes),
            Socket::Unix(socket) => socket.write_all(&bytes),
        };
        sent.map_err(|error| unreachable_error(&self.place, &error))
    }

    /// The answer, if it comes within `wait`.
    pub(super) fn answer_within(&mut self, wait: Duration) -> Result<Option<Value>, Error> {
        match self.receive(wait) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(unreachable_error(&self.place, &error)),
        }
    }

    fn answer(&mut self) -> Result<Value, Error> {
        self.answer_within(self.timeout)?.ok_or_else(|| Error::Command {
            code: EXIT_TIMEOUT,
            line: format!(
                "the server at {} has not answered within {} s; it may be overloaded or stopped: see its log, or wait longer \
                 with --timeout",
                self.place,
                self.timeout.as_secs()
            ),
        })
    }

    fn receive(&mut self, wait: Duration) -> io::Result<Option<Value>> {
        let mut buffer = [0; 16 * 1024];
        match &self.socket {
            Socket::Tcp(socket) => socket.set_read_timeout(Some(wait))?,
            Socket::Unix(socket) => socket.set_read_timeout(Some(wait))?,
        }
        loop {
            let decoded = reply::decode(&self.input).map_err(|error| io::Error::other(error.to_string()))?;
            if let Some((value, len)) = decoded {
                self.input.drain(..len);
                return Ok(Some(value));
            }
            let received = match &mut self.socket {
                Socket::Tcp(socket) => socket.read(&mut buffer),
                Socket::Unix(socket) => socket.read(&mut buffer),
            };
            match received {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.input.extend_from_slice(&buffer[..len]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Conn {
    /// For waiting until the server says or ends something.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

/// The first of the host's addresses that takes the connection.
fn connect(server: &ConnectArgs, timeout: Duration) -> io::Result<Socket> {
    if let Some(path) = &server.unix_socket {
        let socket = UnixStream::connect(path)?;
        socket.set_write_timeout(Some(timeout))?;
        return Ok(Socket::Unix(socket));
    }
    let mut error = io::Error::other("the name has no address");
    for address in (server.host.as_str(), server.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                socket.set_write_timeout(Some(timeout))?;
                return Ok(Socket::Tcp(socket));
            }
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

fn unreachable_error(place: &str, error: &io::Error) -> Error {
    Error::Command {
        code: EXIT_NO_SERVER,
        line: format!(
            "cannot reach the server at {place}: {error}; give --host and --port, or --unixsocket, of one that runs"
        ),
    }
}

fn failed(line: String) -> Error {
    Error::Command { code: EXIT_FAILED, line }
}
