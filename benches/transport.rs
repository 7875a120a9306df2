//! Transport: what a server by the ring and one by epoll take for a request, by how many connections are ready at once.
//!
//! `cargo bench --bench transport [-- --repeats N]` measures; `cargo test` runs each once, small. Client and servers share one
//! CPU, and only the CPU time of the server is counted. The server has the lowest priority, so it runs when all requests of a
//! round are written and the client waits. Transports take turns; a figure is the median of the ratios of runs that followed
//! each other. Both serve the same GETs of 64 bytes, so the ratio is that of whole requests. Every reply is checked.
#![expect(clippy::unwrap_used, reason = "a failed call fails the run")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::thread::{CpuSet, sched_setaffinity};

const TRANSPORTS: [&str; 2] = ["epoll", "ring"];
/// Connections that are ready at once, each with the ratio of ring to epoll that is aimed at.
const BATCHES: [(usize, f64); 3] = [(1, 1.02), (8, 0.85), (50, 0.85)];
const REQUEST: &[u8] = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
const VALUE_BYTES: usize = 64;

struct Server {
    child: Child,
    conns: Vec<TcpStream>,
}

impl Server {
    /// `None`: the kernel does not grant what the transport needs.
    fn start(transport: &str) -> Option<Server> {
        let mut child = Command::new("nice")
            .args(["-n", "19", env!("CARGO_BIN_EXE_aspine"), "server", "--port", "0", "--cpus", "0", "--spin", "off"])
            .args(["--max-size", "0", "--maxclients", "500", "--transport", transport])
            .env_remove("ASPINE_AUTHKEY")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("ready: listening on ").and_then(|rest| rest.split([' ', '\n']).next());
        let Some(address) = address else {
            child.wait().unwrap();
            return None;
        };
        let connect = |_| {
            let conn = TcpStream::connect(address).unwrap();
            conn.set_nodelay(true).unwrap();
            conn
        };
        let mut conns: Vec<_> = (0..BATCHES[BATCHES.len() - 1].0).map(connect).collect();
        let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${VALUE_BYTES}\r\n{}\r\n", value());
        conns[0].write_all(set.as_bytes()).unwrap();
        let mut ok = [0; 5];
        conns[0].read_exact(&mut ok).unwrap();
        assert_eq!(&ok, b"+OK\r\n");
        Some(Server { child, conns })
    }

    /// CPU time of all its threads in nanoseconds.
    fn cpu_ns(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let stats = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap());
        stats.map(|stat| stat.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Nanoseconds of a request, in rounds of so many connections.
    fn run(&mut self, batch: usize, rounds: usize) -> f64 {
        let expected = format!("${VALUE_BYTES}\r\n{}\r\n", value());
        let mut reply = vec![0; expected.len()];
        let before_ns = self.cpu_ns();
        for _ in 0..rounds {
            for conn in &mut self.conns[..batch] {
                conn.write_all(REQUEST).unwrap();
            }
            // The last first: who is answered takes the CPU from the server, in the middle of a round.
            for conn in self.conns[..batch].iter_mut().rev() {
                conn.read_exact(&mut reply).unwrap();
                assert!(reply == expected.as_bytes());
            }
        }
        (self.cpu_ns() - before_ns) as f64 / (rounds * batch) as f64
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value() -> String {
    "v".repeat(VALUE_BYTES)
}

/// The quartiles of some figures.
fn quartiles(mut figures: Vec<f64>) -> [f64; 3] {
    figures.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| figures[(figures.len() - 1) * quarter / 4])
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let measured = args.iter().any(|arg| arg == "--bench");
    let given = args.iter().position(|arg| arg == "--repeats").and_then(|at| args.get(at + 1));
    let repeats = given.map_or(if measured { 21 } else { 1 }, |text| text.parse().unwrap());
    let requests = if measured { 20_000 } else { 200 };
    let mut cpu = CpuSet::new();
    cpu.set(0);
    if sched_setaffinity(None, &cpu).is_err() {
        println!("CPU 0 is not for this process: nothing is measured");
        return;
    }
    let [Some(epoll), Some(ring)] = TRANSPORTS.map(Server::start) else {
        println!("no ring here: nothing is measured");
        return;
    };
    let mut servers = [epoll, ring];
    println!("{:>5} {:>9} {:>9}   ring/epoll [quartiles]   aim", "batch", "epoll ns", "ring ns");
    for (batch, aim) in BATCHES {
        let mut run = |_| servers.each_mut().map(|server| server.run(batch, requests / batch));
        run(0);
        let runs: Vec<[f64; 2]> = (0..repeats).map(run).collect();
        let [epoll, ring] = [0, 1].map(|at| quartiles(runs.iter().map(|run| run[at]).collect())[1]);
        let [low, ratio, high] = quartiles(runs.iter().map(|run| run[1] / run[0]).collect());
        println!("{batch:5} {epoll:9.0} {ring:9.0}   {ratio:.3} [{low:.3}-{high:.3}]            {aim}");
    }
}
