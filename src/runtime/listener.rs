//! Listeners: the listening sockets. One TCP socket per core and address, sharing a port by SO_REUSEPORT, so that the kernel
//! spreads connections and no core hands one over; one Unix socket for all cores; with `--core-ports` one TCP socket per core
//! and address on a port of its own.

use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ServerConfig;
use crate::engine::Peer;
use crate::host::StartError;
use crate::limits::LISTEN_BACKLOG;

/// The listening sockets of the process.
pub(super) struct Listeners {
    cores: Vec<CoreListener>,
    /// One for each host.
    addresses: Vec<SocketAddr>,
    /// The core ports; empty without `--core-ports`.
    core_ports: Vec<u16>,
    path: Option<PathBuf>,
}

/// Names a listening socket of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The socket on the one port, which all cores share.
    Shared,
    /// The socket on the core's own port.
    Own,
    /// The Unix socket.
    Unix,
}

/// The listening sockets of one core.
pub(super) struct CoreListener {
    pub(super) tcp: Tcp,
    /// The socket on the core's own port, if it has one.
    pub(super) own: Option<Tcp>,
    /// The Unix socket, shared by all cores.
    pub(super) unix: Option<UnixListener>,
    path: String,
}

/// The TCP sockets of one core on one port, one for each host; to those who wait for clients they are one.
pub(super) struct Tcp {
    sockets: Vec<TcpListener>,
    /// A set of all sockets, where there are several: it is readable when one of them is.
    set: Option<OwnedFd>,
}

impl Tcp {
    fn new(sockets: Vec<TcpListener>) -> io::Result<Tcp> {
        let mut set = None;
        if sockets.len() > 1 {
            let all = epoll::create(CreateFlags::CLOEXEC)?;
            for socket in &sockets {
                epoll::add(&all, socket, EventData::new_u64(0), EventFlags::IN)?;
            }
            set = Some(all);
        }
        Ok(Tcp { sockets, set })
    }

    /// The port of all of them.
    fn port(&self) -> io::Result<u16> {
        self.sockets.first().map_or(Ok(0), |socket| socket.local_addr().map(|address| address.port()))
    }
}

impl AsFd for Tcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // There is at least one host.
        self.set.as_ref().map_or_else(|| self.sockets[0].as_fd(), AsFd::as_fd)
    }
}

impl AsRawFd for Tcp {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Listeners {
    /// Binds a TCP socket for each core, and the Unix socket if one is configured.
    pub(super) fn bind(config: &ServerConfig) -> Result<Listeners, StartError> {
        let failed = |address| move |source| StartError::listen(address, source);
        // Fixed ports are bound first: the kernel could pick one of them for port 0.
        let own_first = config.port == 0 && config.core_ports != Some(0);
        let mut own = if own_first { bind_own(config)? } else { Vec::new() };
        // With SO_REUSEPORT another server of the same user would share the port unnoticed. A socket without it finds out
        // whether the port is in use.
        for host in config.hosts.iter().filter(|_| config.port != 0) {
            let address = SocketAddr::new(*host, config.port);
            drop(tcp(address, false).map_err(failed(address))?);
        }
        let mut shared = Vec::new();
        let mut port = config.port;
        for _ in &config.cpus {
            let tcp = bind_all(config, port, true).map_err(|(address, source)| StartError::listen(address, source))?;
            // With port 0 the port of the first socket is used for all.
            port = tcp.port().map_err(failed(SocketAddr::new(config.hosts[0], port)))?;
            shared.push(tcp);
        }
        let addresses = config.hosts.iter().map(|host| SocketAddr::new(*host, port)).collect();
        if !own_first {
            own = bind_own(config)?;
        }
        let core_ports = own.iter().map(|(_, port)| *port).collect();
        // The Unix socket comes last, since a later refusal would leave its file behind.
        let unix = config.unix_socket.as_deref().map(|path| bind_unix(path, config.unix_socket_mode)).transpose()?;
        let path = config.unix_socket.clone();
        let mut own = own.into_iter().map(|(own, _)| own);
        let mut cores = Vec::new();
        for tcp in shared {
            let unix = unix.as_ref().map(UnixListener::try_clone).transpose();
            let unix = unix.map_err(|source| StartError::Setup { what: "the Unix socket of each core", source })?;
            let path = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            cores.push(CoreListener { tcp, own: own.next(), unix, path });
        }
        Ok(Listeners { cores, addresses, core_ports, path })
    }

    pub(super) fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }

    /// The core ports; empty without `--core-ports`.
    pub(super) fn core_ports(&self) -> &[u16] {
        &self.core_ports
    }

    /// The addresses, for the log.
    pub(super) fn describe(&self) -> String {
        let mut all: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        all.extend(self.path.as_ref().map(|path| path.display().to_string()));
        all.join(" and ")
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = CoreListener> {
        self.cores.into_iter()
    }
}

/// Binds the core ports, if configured. They are not shared, so a port in use is an error.
fn bind_own(config: &ServerConfig) -> Result<Vec<(Tcp, u16)>, StartError> {
    let Some(base) = config.core_ports else { return Ok(Vec::new()) };
    let bind = |core: u16| {
        let port = if base == 0 { 0 } else { base + core };
        let failed = |(address, source)| StartError::listen_for_core(address, source);
        let tcp = bind_all(config, port, false).map_err(failed)?;
        let port = tcp.port().map_err(|source| failed((SocketAddr::new(config.hosts[0], port), source)))?;
        Ok((tcp, port))
    };
    (0..config.cpus.len() as u16).map(bind).collect()
}

/// Binds a port of every host, one that the first has picked if it is 0.
fn bind_all(config: &ServerConfig, port: u16, shared: bool) -> Result<Tcp, (SocketAddr, io::Error)> {
    let mut address = SocketAddr::new(config.hosts[0], port);
    let mut sockets = Vec::new();
    for host in &config.hosts {
        address.set_ip(*host);
        // Where IPv4 addresses are named too, all of IPv6 (`::`) leaves those to them.
        let only_v6 = config.hosts.len() > 1 && host.is_ipv6();
        let bound = tcp_of(address, shared, only_v6).and_then(|socket| {
            listen(&socket)?;
            let socket = TcpListener::from(socket);
            Ok((socket.local_addr()?.port(), socket))
        });
        let (port, socket) = bound.map_err(|source| (address, source))?;
        address.set_port(port);
        sockets.push(socket);
    }
    Tcp::new(sockets).map_err(|source| (address, source))
}

/// Binds a TCP socket to `address`, which it may share.
pub(super) fn tcp(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    tcp_of(address, shared, false)
}

fn tcp_of(address: SocketAddr, shared: bool, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if only_v6 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

pub(super) fn listen(socket: &Socket) -> io::Result<()> {
    socket.listen(LISTEN_BACKLOG)?;
    socket.set_nonblocking(true)
}

/// Binds the Unix socket. The file of a server that is gone is replaced; that of a running one is not.
fn bind_unix(path: &Path, mode: Option<u32>) -> Result<UnixListener, StartError> {
    let failed = |source| StartError::UnixSocket { path: path.to_owned(), source };
    if UnixStream::connect(path).is_ok() {
        return Err(failed(io::ErrorKind::AddrInUse.into()));
    }
    let is_socket = |meta: std::fs::Metadata| {
        use std::os::unix::fs::FileTypeExt;
        meta.file_type().is_socket()
    };
    if std::fs::symlink_metadata(path).is_ok_and(is_socket) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(listener)
}

impl CoreListener {
    /// Accepts a connection; `None` if none waits.
    pub(super) fn accept(&self, door: Door) -> io::Result<Option<(OwnedFd, Peer)>> {
        match door {
            Door::Shared => accept_tcp(Some(&self.tcp), false),
            Door::Own => accept_tcp(self.own.as_ref(), true),
            Door::Unix => self.accept_unix(),
        }
    }

    fn accept_unix(&self) -> io::Result<Option<(OwnedFd, Peer)>> {
        let Some(listener) = &self.unix else { return Ok(None) };
        let Some((stream, _)) = none_if_would_block(listener.accept())? else { return Ok(None) };
        let addr = format!("{}:0", self.path);
        Ok(Some((stream.into(), Peer { addr: addr.clone(), local_addr: addr, ..Peer::default() })))
    }
}

fn accept_tcp(tcp: Option<&Tcp>, by_core_port: bool) -> io::Result<Option<(OwnedFd, Peer)>> {
    let Some(tcp) = tcp else { return Ok(None) };
    let mut accepted = None;
    for socket in &tcp.sockets {
        accepted = none_if_would_block(socket.accept())?;
        if accepted.is_some() {
            break;
        }
    }
    let Some((stream, addr)) = accepted else { return Ok(None) };
    // Replies are sent whole, so Nagle's algorithm only adds latency. This fails if the client is gone already, and
    // then so does the first read.
    let _ = stream.set_nodelay(true);
    let local_addr = stream.local_addr().map(|addr| addr.to_string()).unwrap_or_default();
    Ok(Some((own(stream), Peer { addr: addr.to_string(), local_addr, fd: 0, by_core_port })))
}

fn own(stream: TcpStream) -> OwnedFd {
    stream.into()
}

fn none_if_would_block<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(accepted) => Ok(Some(accepted)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        // The client gave up while it waited in the backlog.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
        Err(error) => Err(error),
    }
}
