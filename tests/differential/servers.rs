//! redis-server as a child process on a Unix socket, so that no port is taken twice, and a connection to either server.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::reply::Reply;
use crate::support::conn::command;
use crate::support::server::Server;
use crate::support::server::{DEADLINE, Dir, wait_until};

/// The address of a server.
#[derive(Clone)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A redis-server that runs until the end of the test.
pub(crate) struct Redis {
    child: Child,
    dir: Dir,
}

impl Redis {
    /// Starts it; none if the machine has no redis-server, unless `ASPINE_REQUIRE_CLIENTS=1`.
    pub(crate) fn start() -> Option<Redis> {
        let dir = Dir::new();
        let mut cmd = Command::new("redis-server");
        cmd.args(["--port", "0", "--save", "", "--appendonly", "no", "--databases", "3", "--maxclients", "500"]);
        cmd.arg("--dir").arg(dir.path()).arg("--unixsocket").arg(dir.path().join("redis"));
        let child = cmd.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut redis = match child {
            Ok(child) => Redis { child, dir },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let required = std::env::var("ASPINE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
                assert!(!required, "redis-server is not on the PATH and ASPINE_REQUIRE_CLIENTS=1");
                eprintln!("left out: redis-server is not on the PATH (apt-get install redis-server)");
                return None;
            }
            Err(error) => panic!("redis-server: {error}"),
        };
        wait_until("redis-server", || {
            let ended = redis.child.try_wait().unwrap();
            assert!(ended.is_none(), "redis-server ended with {ended:?}");
            Link::open(&redis.address()).is_ok()
        });
        redis.check_version();
        Some(redis)
    }

    pub(crate) fn address(&self) -> Address {
        Address::Unix(self.dir.path().join("redis"))
    }

    /// The exceptions and the expectations are those of 7.0.
    fn check_version(&self) {
        let mut link = Link::open(&self.address()).unwrap();
        link.send(&[vec![b"INFO".to_vec(), b"server".to_vec()]]).unwrap();
        let info = link.receive().unwrap();
        let info = String::from_utf8_lossy(info.as_text().unwrap()).into_owned();
        assert!(info.contains("redis_version:7.0."), "the stream is compared with redis-server 7.0, this is {info}");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Aspine, started again whenever it has ended: a stream that ends it is shrunk too.
pub(crate) struct Aspine {
    cores: usize,
    server: RefCell<Server>,
}

impl Aspine {
    /// One with room for everything, and as many clients as redis-server is told to take.
    pub(crate) fn start(cores: usize) -> Aspine {
        Aspine { cores, server: RefCell::new(Self::server(cores)) }
    }

    fn server(cores: usize) -> Server {
        // No policy of either server counts accesses (OBJECT FREQ).
        Server::start(cores, &["--max-memory", "1gb", "--eviction", "lru", "--databases", "3"])
    }

    pub(crate) fn address(&self) -> Address {
        let mut server = self.server.borrow_mut();
        let address = Address::Tcp(server.addr);
        let answers = Link::open(&address).is_ok_and(|mut link| link.call(&[b"PING".to_vec()]).is_ok());
        if !answers {
            eprintln!("{}", server.log());
            *server = Self::server(self.cores);
        }
        Address::Tcp(server.addr)
    }
}

trait Socket: Read + Write {}
impl<S: Read + Write> Socket for S {}

/// A connection. What goes wrong on it is a value: a server that closes or hangs is a difference too.
pub(crate) struct Link {
    socket: Box<dyn Socket>,
    input: Vec<u8>,
    /// The start of the next reply.
    at: usize,
}

impl Link {
    pub(crate) fn open(address: &Address) -> io::Result<Link> {
        let socket: Box<dyn Socket> = match address {
            Address::Tcp(addr) => {
                let socket = TcpStream::connect(addr)?;
                socket.set_nodelay(true)?;
                socket.set_read_timeout(Some(DEADLINE))?;
                Box::new(socket)
            }
            Address::Unix(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_read_timeout(Some(DEADLINE))?;
                Box::new(socket)
            }
        };
        Ok(Link { socket, input: Vec::new(), at: 0 })
    }

    /// Sends commands in one piece.
    pub(crate) fn send(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<(), String> {
        let bytes = commands.iter().map(|words| command(words)).collect::<Vec<_>>().concat();
        self.socket.write_all(&bytes).map_err(|error| format!("send: {error}"))
    }

    /// The next reply.
    pub(crate) fn receive(&mut self) -> Result<Reply, String> {
        loop {
            if self.at < self.input.len()
                && let Some((reply, len)) = Reply::read(&self.input[self.at..])?
            {
                self.at += len;
                return Ok(reply);
            }
            self.input.drain(..self.at);
            self.at = 0;
            let mut buffer = [0; 64 * 1024];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err("closed the connection".to_owned()),
                Ok(len) => self.input.extend_from_slice(&buffer[..len]),
                Err(error) => return Err(format!("no reply: {error}")),
            }
        }
    }

    /// Sends a command and returns its reply.
    pub(crate) fn call(&mut self, words: &[Vec<u8>]) -> Result<Reply, String> {
        self.send(&[words.to_vec()])?;
        self.receive()
    }
}
