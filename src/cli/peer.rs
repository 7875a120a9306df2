//! Peer: the process behind a socket of this machine, so that its CPU time can be reported without being given its pid.
//!
//! Never: trusts the pid in INFO, which is of another namespace if the server runs in a container. A process that /proc
//! does not show (of another user, on another machine) is unknown.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::loadgen::Target;

/// The process that listens at an address, if it is on this machine and visible.
pub(super) fn pid_of(target: &Target) -> Option<u32> {
    match target {
        Target::Unix(path) => pid_of_unix(path),
        Target::Tcp(address) => pid_of_tcp(*address),
        Target::Cores(addresses) => pid_of_tcp(*addresses.first()?),
    }
}

/// The process that has bound a Unix socket, as the kernel reports it.
fn pid_of_unix(path: &Path) -> Option<u32> {
    let stream = UnixStream::connect(path).ok()?;
    let credentials = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    u32::try_from(credentials.pid.as_raw_nonzero().get()).ok()
}

/// The process that has a descriptor of a socket listening on the port.
fn pid_of_tcp(address: SocketAddr) -> Option<u32> {
    if !address.ip().to_canonical().is_loopback() {
        return None;
    }
    let inodes = listening_inodes(address);
    let links: Vec<_> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let descriptors = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        targets.any(|target| links.iter().any(|link| target.as_os_str() == link.as_str())).then_some(pid)
    })
}

/// The inodes of the sockets that accept connections to `address`.
fn listening_inodes(address: SocketAddr) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let mut inodes = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(text) = fs::read_to_string(file) else { continue };
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let (Some(local), Some(&LISTEN), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9)) else {
                continue;
            };
            let Some((ip, port)) = local.split_once(':') else { continue };
            if u16::from_str_radix(port, 16) == Ok(address.port())
                && address_of(ip)
                    .is_some_and(|ip| ip.is_unspecified() || ip.to_canonical() == address.ip().to_canonical())
                && let Ok(inode) = inode.parse()
            {
                inodes.push(inode);
            }
        }
    }
    inodes
}

/// Parses an address of /proc: 32-bit words in the machine's byte order, in hex.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => word(0).map(IpAddr::from),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    #[test]
    fn this_process_is_found_by_its_sockets() {
        for host in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            // A machine without IPv6 has no such socket.
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let port = listener.local_addr().unwrap().port();
            let ip: IpAddr =
                if host.starts_with('[') { [0, 0, 0, 0, 0, 0, 0, 1].into() } else { [127, 0, 0, 1].into() };
            assert_eq!(pid_of(&Target::Tcp(SocketAddr::new(ip, port))), Some(std::process::id()), "{host}");
        }
        let path = std::env::temp_dir().join(format!("aspine-peer-{}", std::process::id()));
        let _listener = UnixListener::bind(&path).unwrap();
        assert_eq!(pid_of(&Target::Unix(path.clone())), Some(std::process::id()));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn nobody_is_found_where_nobody_is_or_may_be_looked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(pid_of(&Target::Tcp(address)), None);
        assert_eq!(pid_of(&Target::Tcp(([192, 0, 2, 1], 1).into())), None);
        assert_eq!(pid_of(&Target::Unix("/nowhere".into())), None);
    }
}
