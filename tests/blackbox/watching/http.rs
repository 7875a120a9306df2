//! A watcher made of a socket: one request, and the response as it came; and the samples of a page of metrics.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::server::{DEADLINE, Server};

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The lines before the body.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The admin address of a server that was started with `--admin-addr`.
#[track_caller]
pub(crate) fn admin_of(server: &Server) -> SocketAddr {
    const START: &str = "admin endpoint: http://";
    server.wait_for_log(START);
    let log = server.log();
    let rest = log.split_once(START).unwrap().1;
    rest.split_once('/').unwrap().0.parse().unwrap()
}

#[track_caller]
pub(crate) fn dial(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&addr, DEADLINE).unwrap_or_else(|error| panic!("{addr}: {error}"));
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Everything until the other side closes, as a response.
#[track_caller]
pub(crate) fn response(mut socket: TcpStream) -> Response {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{error} after {:?}", bytes.escape_ascii()));
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok());
    Response { status: status.unwrap_or_else(|| panic!("{head}")), head: head.to_owned(), body: body.to_owned() }
}

/// Sends `request` and returns what comes back.
#[track_caller]
pub(crate) fn ask(addr: SocketAddr, request: &str) -> Response {
    let mut socket = dial(addr);
    socket.write_all(request.as_bytes()).unwrap();
    response(socket)
}

/// Gets a page.
#[track_caller]
pub(crate) fn get(addr: SocketAddr, path: &str) -> Response {
    ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"))
}

/// The samples of a page, by name and labels as they stand.
#[derive(Debug)]
pub(crate) struct Samples(pub(crate) BTreeMap<String, f64>);

impl Samples {
    /// Reads a page, and checks its form: each family has help and type before its samples, and none comes twice.
    #[track_caller]
    pub(crate) fn parse(page: &str) -> Samples {
        let mut samples = BTreeMap::new();
        let mut kinds = BTreeMap::new();
        let mut family = "";
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split_once(' ').unwrap_or_else(|| panic!("{line}")).0;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, family, "{line}");
                assert!(kinds.insert(name, kind).is_none(), "twice: {line}");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let name = sample.split('{').next().unwrap();
                let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} in the family {family}"));
                let suffixes: &[&str] =
                    if kinds[family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.contains(&suffix), "{line}");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(samples.insert(sample.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        Samples(samples)
    }

    /// A sample of a metric.
    #[track_caller]
    pub(crate) fn one(&self, sample: &str) -> f64 {
        *self.0.get(sample).unwrap_or_else(|| panic!("no {sample} in {:?}", self.0.keys()))
    }

    /// The sum of a name's samples that have this label, or any.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        let of_name =
            |sample: &str| sample.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        self.0.iter().filter(|(sample, _)| of_name(sample) && sample.contains(label)).map(|(_, value)| value).sum()
    }
}
