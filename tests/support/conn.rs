//! A client made of a socket: sends bytes as they are, and reads replies as they are.
//!
//! It knows where a reply ends and nothing else, so that no test checks the server's protocol code with the same code.
//! Every read has the deadline of `server`: a server that does not answer is a failure, not a hang.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::server::DEADLINE;

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection to a server.
pub(crate) struct Conn {
    socket: Socket,
    /// Bytes received and not returned, from `at` on.
    input: Vec<u8>,
    at: usize,
}

impl Conn {
    #[track_caller]
    pub(crate) fn tcp(addr: SocketAddr) -> Conn {
        let socket = TcpStream::connect_timeout(&addr, DEADLINE).unwrap_or_else(|error| panic!("{addr}: {error}"));
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        Conn { socket: Socket::Tcp(socket), input: Vec::new(), at: 0 }
    }

    /// One whose kernel takes in only so much that is not read: what is beyond waits in the server's.
    #[track_caller]
    pub(crate) fn narrow(addr: SocketAddr, receive_bytes: usize) -> Conn {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(receive_bytes).unwrap();
        socket.connect(&addr.into()).unwrap_or_else(|error| panic!("{addr}: {error}"));
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        Conn { socket: Socket::Tcp(socket), input: Vec::new(), at: 0 }
    }

    #[track_caller]
    pub(crate) fn unix(path: &Path) -> Conn {
        let socket = UnixStream::connect(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        Conn { socket: Socket::Unix(socket), input: Vec::new(), at: 0 }
    }

    /// Sends `bytes`, all of them.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("send: {error}"));
    }

    /// As `send`, for what the server may refuse to read.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(socket) => socket.write_all(bytes),
            Socket::Unix(socket) => socket.write_all(bytes),
        }
    }

    /// Sends a command and returns its reply as it came.
    #[track_caller]
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> String {
        self.send(&command(args));
        self.reply()
    }

    /// Sends a command and returns its reply, unless the server goes meanwhile.
    pub(crate) fn try_call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Option<String> {
        self.try_send(&command(args)).ok()?;
        self.try_reply()
    }

    /// The next reply, unless the server goes before.
    pub(crate) fn try_reply(&mut self) -> Option<String> {
        loop {
            let rest = &self.input[self.at..];
            if let Some(len) = Some(rest).filter(|rest| !rest.is_empty()).and_then(|rest| reply_len(rest).ok()) {
                return Some(String::from_utf8_lossy(&self.take(len)).into_owned());
            }
            if !self.read().ok()? {
                return None;
            }
        }
    }

    /// Sends a command whose reply is a text, and returns the text.
    #[track_caller]
    pub(crate) fn text<A: AsRef<[u8]>>(&mut self, args: &[A]) -> String {
        let reply = self.call(args);
        let (head, text) = reply.split_once("\r\n").unwrap_or_default();
        assert!(head.starts_with(['$', '=']), "no text: {reply}");
        text.trim_end_matches("\r\n").to_owned()
    }

    /// Sends a command whose reply is a number, and returns the number.
    #[track_caller]
    pub(crate) fn number<A: AsRef<[u8]>>(&mut self, args: &[A]) -> i64 {
        let reply = self.call(args);
        let number = reply.strip_prefix(':').and_then(|rest| rest.trim_end().parse().ok());
        number.unwrap_or_else(|| panic!("no number: {reply}"))
    }

    /// A field of INFO.
    #[track_caller]
    pub(crate) fn info(&mut self, field: &str) -> String {
        let text = self.text(&["INFO"]);
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
    }

    /// A field of INFO that is a number.
    #[track_caller]
    pub(crate) fn info_number(&mut self, field: &str) -> u64 {
        self.info(field).parse().unwrap()
    }

    /// The next reply, as it came.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> String {
        String::from_utf8_lossy(&self.reply_bytes()).into_owned()
    }

    /// The next reply, as it came.
    #[track_caller]
    pub(crate) fn reply_bytes(&mut self) -> Vec<u8> {
        let mut need = 1;
        loop {
            let rest = &self.input[self.at..];
            if rest.len() >= need {
                match reply_len(rest) {
                    Ok(len) => return self.take(len),
                    Err(lacking) => need = lacking.max(rest.len() + 1),
                }
            }
            self.fill();
        }
    }

    /// The next `len` bytes, or fewer if the server closes the connection before.
    #[track_caller]
    pub(crate) fn bytes_until_end(&mut self, len: usize) -> Vec<u8> {
        while self.input.len() - self.at < len {
            if !self.read().unwrap_or_else(|error| panic!("{len} bytes: {error}")) {
                break;
            }
        }
        self.take(len.min(self.input.len() - self.at))
    }

    /// Everything until the server closes the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.read().unwrap_or_else(|error| panic!("until the end: {error}")) {}
        self.take(self.input.len() - self.at)
    }

    /// Whether bytes or the end have come, without waiting.
    pub(crate) fn has_heard(&mut self) -> bool {
        self.set_nonblocking(true);
        let heard = !matches!(self.read(), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.set_nonblocking(false);
        heard || self.at < self.input.len()
    }

    /// Sends no more; still reads.
    pub(crate) fn shut_write(&mut self) {
        match &self.socket {
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write).unwrap(),
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write).unwrap(),
        }
    }

    /// Ends as the connection of a client that was killed with data unread: by a reset.
    pub(crate) fn reset(self) {
        if let Socket::Tcp(socket) = &self.socket {
            socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
    }

    fn set_nonblocking(&self, on: bool) {
        match &self.socket {
            Socket::Tcp(socket) => socket.set_nonblocking(on).unwrap(),
            Socket::Unix(socket) => socket.set_nonblocking(on).unwrap(),
        }
    }

    #[track_caller]
    fn fill(&mut self) {
        let read = self.read();
        if !matches!(read, Ok(true)) {
            let so_far = self.input[self.at..].iter().take(200).copied().collect::<Vec<u8>>();
            panic!(
                "no reply: {}; so far: {}",
                read.map_or_else(|error| error.to_string(), |_| "closed".into()),
                so_far.escape_ascii()
            );
        }
    }

    /// False at the end. A reset counts as the end: it is what the kernel sends when a connection is closed whose
    /// bytes were not all read.
    fn read(&mut self) -> io::Result<bool> {
        if self.at == self.input.len() {
            self.input.clear();
            self.at = 0;
        }
        let mut buffer = [0; 64 * 1024];
        let read = match &mut self.socket {
            Socket::Tcp(socket) => socket.read(&mut buffer),
            Socket::Unix(socket) => socket.read(&mut buffer),
        };
        match read {
            Ok(len) => {
                self.input.extend_from_slice(&buffer[..len]);
                Ok(len > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        self.at += len;
        self.input[self.at - len..self.at].to_vec()
    }
}

/// A command as clients send it.
pub(crate) fn command<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A bulk string as the server sends it.
pub(crate) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// The length of the reply that `bytes` begin with, or how many bytes there must be at least.
fn reply_len(bytes: &[u8]) -> Result<usize, usize> {
    let line = bytes.iter().position(|byte| *byte == b'\n').ok_or(bytes.len() + 1)?;
    let head = &bytes[..line + 1];
    let number = || std::str::from_utf8(&head[1..line - 1]).unwrap().parse::<i64>().unwrap();
    let elements = match head[0] {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => 0,
        b'$' | b'=' | b'!' => {
            let len = usize::try_from(number()).map_or(head.len(), |len| head.len() + len + 2);
            return if bytes.len() < len { Err(len) } else { Ok(len) };
        }
        b'*' | b'~' | b'>' => number().max(0),
        b'%' | b'|' => 2 * number(),
        other => panic!("no reply begins with {:?}: {:?}", char::from(other), String::from_utf8_lossy(head)),
    };
    let mut len = head.len();
    for _ in 0..elements {
        len += reply_len(&bytes[len..]).map_err(|lacking| len + lacking)?;
    }
    Ok(len)
}
