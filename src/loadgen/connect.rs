//! Connections: opened one after the other before anything is measured, and authenticated if there is a key. The first one
//! also checks that the server speaks the protocol, so that a wrong port gives one line instead of many errors.
//!
//! Never: waits longer than the timeout for one connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::fd::OwnedFd;

use super::error::BenchError;
use super::options::{Options, Target};
use super::wire::{Protocol, excerpt, memcached, resp};
use crate::limits::{BENCH_CORE_PORTS_MAX, REPLY_LINE_BYTES_MAX};
use crate::resp::reply::{self, Item, Scalar, Value};

/// The sockets of all clients, client by client.
pub(super) fn connect_all(options: &Options) -> Result<Vec<OwnedFd>, BenchError> {
    let timeout = Duration::from_nanos(options.timeout_ns);
    let mut fds = Vec::new();
    for client in 0..options.connections {
        match &options.target {
            Target::Tcp(address) => fds.push(tcp(*address, options, client == 0, timeout)?),
            Target::Cores(addresses) => {
                for address in addresses {
                    fds.push(tcp(*address, options, client == 0, timeout)?);
                }
            }
            Target::Unix(path) => {
                let target = options.target.to_string();
                let failed = |source| BenchError::Connect { target: target.clone(), source };
                let mut stream = UnixStream::connect(path).map_err(failed)?;
                stream.set_read_timeout(Some(timeout)).map_err(failed)?;
                stream.set_write_timeout(Some(timeout)).map_err(failed)?;
                greet(&mut stream, &target, options, client == 0)?;
                stream.set_nonblocking(true).map_err(failed)?;
                fds.push(stream.into());
            }
        }
    }
    Ok(fds)
}

fn tcp(address: SocketAddr, options: &Options, is_first: bool, timeout: Duration) -> Result<OwnedFd, BenchError> {
    let target = address.to_string();
    let failed = |source| BenchError::Connect { target: target.clone(), source };
    let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
    greet(&mut stream, &target, options, is_first)?;
    stream.set_nonblocking(true).map_err(failed)?;
    Ok(stream.into())
}

/// The core ports of the target, as the server reports them.
pub fn ask_for_core_ports(options: &Options) -> Result<Target, BenchError> {
    let target = options.target.to_string();
    let failed = |source| BenchError::Connect { target: target.clone(), source };
    let refused = |why: &str| BenchError::Greeting { target: target.clone(), why: why.to_owned() };
    let Target::Tcp(address) = options.target else { return Ok(options.target.clone()) };
    let timeout = Duration::from_nanos(options.timeout_ns);
    let mut stream = TcpStream::from(tcp(address, options, true, timeout)?);
    stream.set_nonblocking(false).map_err(failed)?;
    stream.write_all(b"*1\r\n$12\r\nASPINE.CORES\r\n").map_err(failed)?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 512];
    let told = loop {
        match reply::decode(&bytes) {
            Ok(Some((told, _))) => break told,
            Ok(None) => {}
            Err(_) => return Err(refused("it does not speak the Redis protocol")),
        }
        match stream.read(&mut chunk).map_err(failed)? {
            0 => return Err(refused("it closed the connection when asked for its core ports")),
            len => bytes.extend_from_slice(&chunk[..len]),
        }
    };
    if let Value::Error(_) = told {
        return Err(refused("it does not know ASPINE.CORES; list its core ports after --core-ports"));
    }
    match core_ports(&told) {
        Some(ports) if !ports.contains(&0) && ports.len() <= BENCH_CORE_PORTS_MAX => {
            Ok(Target::Cores(ports.iter().map(|port| SocketAddr::new(address.ip(), *port)).collect()))
        }
        Some(ports) if ports.contains(&0) => Err(refused("it has no core ports; start it with --core-ports BASE")),
        _ => Err(refused("it reports no cores, or too many")),
    }
}

/// The ports in the reply to ASPINE.CORES, which has an array per core with the port second.
fn core_ports(told: &Value) -> Option<Vec<u16>> {
    let Value::Array(Some(fields)) = told else { return None };
    let name = |value: &Value| matches!(value, Value::Bulk(Some(name)) if name == b"cores");
    let at = fields.iter().step_by(2).position(name)?;
    let Value::Array(Some(cores)) = fields.get(at * 2 + 1)? else { return None };
    let port = |core: &Value| match core {
        Value::Array(Some(row)) => match row.get(1)? {
            Value::Integer(port) => u16::try_from(*port).ok(),
            _ => None,
        },
        _ => None,
    };
    cores.iter().map(port).collect::<Option<Vec<_>>>().filter(|ports| !ports.is_empty())
}

/// Authenticates, and on the first connection checks that the server answers.
fn greet(stream: &mut (impl Read + Write), target: &str, options: &Options, is_first: bool) -> Result<(), BenchError> {
    let refused = |why: String| BenchError::Greeting { target: target.to_owned(), why };
    let lost = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => refused(format!("no answer within {} s", options.timeout_ns as f64 / 1e9)),
        _ => refused(format!("connection lost before its first answer: {error}")),
    };
    let mut request = Vec::new();
    if let Some(secret) = &options.secret {
        resp::auth(&mut request, secret);
        stream.write_all(&request).map_err(lost)?;
        let answer = answer(stream, options.protocol).map_err(lost)?;
        check(&answer, options.protocol, "OK").map_err(refused)?;
    }
    if is_first {
        let (request, expected): (&[u8], _) = match options.protocol {
            Protocol::Resp => (b"*1\r\n$4\r\nPING\r\n", "PONG"),
            Protocol::Memcached => (b"version\r\n", "VERSION"),
        };
        stream.write_all(request).map_err(lost)?;
        let answer = answer(stream, options.protocol).map_err(lost)?;
        check(&answer, options.protocol, expected).map_err(refused)?;
    }
    Ok(())
}

/// Reads up to the end of the first line of an answer.
fn answer(stream: &mut impl Read, protocol: Protocol) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    loop {
        let whole = match protocol {
            Protocol::Resp => !matches!(resp::part(&answer), Ok(None)),
            Protocol::Memcached => !matches!(memcached::line(&answer), Ok(None)),
        };
        if whole || answer.len() > REPLY_LINE_BYTES_MAX {
            return Ok(answer);
        }
        match stream.read(&mut chunk)? {
            0 => return Err(io::Error::other("closed by the server")),
            len => answer.extend_from_slice(&chunk[..len]),
        }
    }
}

/// Checks an answer; the error is what to tell the user.
fn check(answer: &[u8], protocol: Protocol, expected: &str) -> Result<(), String> {
    let said = excerpt(answer);
    match protocol {
        Protocol::Resp => match resp::part(answer) {
            Ok(Some((Item::Whole(Scalar::Simple(text)), _))) if text == expected.as_bytes() => Ok(()),
            Ok(Some((Item::Whole(Scalar::Error(text)), _))) if text.starts_with(b"NOAUTH") => {
                Err("it wants a key; give --authkey-file PATH, or set ASPINE_AUTHKEY".to_owned())
            }
            Ok(Some((Item::Whole(Scalar::Error(text)), _))) if text.starts_with(b"WRONGPASS") => {
                Err("it refuses the given key; give --authkey-file with the server's own".to_owned())
            }
            Ok(Some((Item::Whole(Scalar::Error(_)), _))) => Err(format!("it answered {said}")),
            _ => Err(format!("it does not speak the Redis protocol: it answered {said:?}")),
        },
        Protocol::Memcached if answer.starts_with(expected.as_bytes()) => Ok(()),
        Protocol::Memcached => Err(format!("it does not speak memcached's text protocol: it answered {said:?}")),
    }
}
