//! Clients: ours, the `redis` crate's multiplexed one and `fred`, one process each in turn, against one server.
//!
//! `cargo bench --bench client -- --address HOST:PORT [--repeats N] [--requests N]` measures and prints a line a run;
//! `scripts/client_numbers.py` starts the server, pins both and takes medians. With `--clients N`, GET by that many clients
//! of ours, each with its share of the tasks: as many as tasks make a pipeline of one. `cargo test` runs each once, small, against
//! a server of its own. Every reply is checked. All clients are as they come, on a runtime of one thread or of one worker.
#![expect(clippy::unwrap_used, reason = "a failed call fails the run")]
#![expect(clippy::disallowed_methods, reason = "wall time is what is measured here")]

use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::prelude::{ClientLike, KeysInterface};
use redis::AsyncCommands;
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tasks that share one client.
const TASKS: usize = 64;
/// Keys there are, and keys of one MGET.
const KEYS: usize = 10_000;
const MGET_KEYS: usize = 100;
const VALUE_BYTES: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Load {
    Get,
    Mget,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let number = |name: &str, default: usize| flag(name).map_or(default, |text| text.parse().unwrap());
    let measured = args.iter().any(|arg| arg == "--bench");
    let (repeats, requests) = (number("--repeats", 1), number("--requests", if measured { 400_000 } else { 2000 }));
    let (address, _server) = match flag("--address") {
        Some(address) => (address.clone(), None),
        None => {
            let server = Server::start();
            (server.address.clone(), Some(server))
        }
    };
    runtime(true).block_on(fill(&address));
    if flag("--clients").is_some() {
        let took = runtime(true).block_on(many(&address, number("--clients", 1), requests));
        println!("Get, {requests} requests in {:.3} s", took.as_secs_f64());
        return;
    }
    for _ in 0..repeats {
        for one_thread in [true, false] {
            for (load, requests) in [(Load::Get, requests), (Load::Mget, requests / 20)] {
                for client in ["aspine", "redis", "fred"] {
                    let (took, cpu) = runtime(one_thread).block_on(run(client, load, &address, requests));
                    let runtime = if one_thread { "one thread" } else { "one worker" };
                    println!(
                        "{load:?}, {runtime}, {client}: {:.0} requests/s, {:.3} us CPU each",
                        requests as f64 / took.as_secs_f64(),
                        cpu.as_secs_f64() * 1e6 / requests as f64
                    );
                }
            }
        }
    }
}

fn runtime(one_thread: bool) -> Runtime {
    let mut builder = if one_thread { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn key(at: usize) -> String {
    format!("key:{at:012}")
}

fn value(at: usize) -> String {
    format!("{at:0VALUE_BYTES$}")
}

async fn fill(address: &str) {
    let client = aspine::Client::connect(address).await.unwrap();
    for begin in (0..KEYS).step_by(1000) {
        // Not MSETEX, which crosses cores.
        let mut pipeline = client.pipeline();
        for at in begin..begin + 1000 {
            pipeline.set(key(at), value(at), None).unwrap();
        }
        assert!(pipeline.run().await.unwrap().iter().all(Result::is_ok));
    }
}

/// GET by many clients of ours.
async fn many(address: &str, clients: usize, requests: usize) -> Duration {
    let mut all = Vec::new();
    for _ in 0..clients {
        all.push(aspine::Client::connect(address).await.unwrap());
    }
    let began = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let client = all[task % clients].clone();
        tokio::spawn(async move {
            for request in 0..requests / TASKS {
                let at = (task * 7919 + request * 31) % KEYS;
                assert_eq!(client.get::<Bytes>(key(at)).await.unwrap().unwrap(), value_of(at));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    began.elapsed()
}

/// Time, and CPU time of this process.
async fn run(client: &str, load: Load, address: &str, requests: usize) -> (Duration, Duration) {
    match client {
        "aspine" => {
            let client = aspine::Client::connect(address).await.unwrap();
            let (first, second) = (client.clone(), client.clone());
            let get = move |at: usize| {
                let client = first.clone();
                async move {
                    let value = client.get::<Bytes>(key(at)).await.unwrap().unwrap();
                    assert_eq!(value, value_of(at));
                }
            };
            let mget = move |at: usize| {
                let client = second.clone();
                async move {
                    let values = client.mget::<Bytes, _>(keys(at)).into_vec().await.unwrap();
                    check_all(at, values.iter().map(|value| value.as_deref().unwrap()));
                }
            };
            measure(load, requests, get, mget).await
        }
        "redis" => {
            let client = redis::Client::open(format!("redis://{address}")).unwrap();
            let conn = client.get_multiplexed_async_connection().await.unwrap();
            let (first, second) = (conn.clone(), conn);
            let get = move |at: usize| {
                let mut conn = first.clone();
                async move {
                    let value: Option<Vec<u8>> = conn.get(key(at)).await.unwrap();
                    assert_eq!(value.unwrap(), value_of(at));
                }
            };
            let mget = move |at: usize| {
                let mut conn = second.clone();
                async move {
                    let values: Vec<Option<Vec<u8>>> = conn.mget(keys(at)).await.unwrap();
                    check_all(at, values.iter().map(|value| value.as_deref().unwrap()));
                }
            };
            measure(load, requests, get, mget).await
        }
        _ => {
            let config = fred::prelude::Config::from_url(&format!("redis://{address}")).unwrap();
            let client = fred::prelude::Builder::from_config(config).build().unwrap();
            client.init().await.unwrap();
            let (first, second) = (client.clone(), client.clone());
            let get = move |at: usize| {
                let client = first.clone();
                async move {
                    let value: Option<Bytes> = client.get(key(at)).await.unwrap();
                    assert_eq!(value.unwrap(), value_of(at));
                }
            };
            let mget = move |at: usize| {
                let client = second.clone();
                async move {
                    let values: Vec<Option<Bytes>> = client.mget(keys(at)).await.unwrap();
                    check_all(at, values.iter().map(|value| value.as_deref().unwrap()));
                }
            };
            let measured = measure(load, requests, get, mget).await;
            client.quit().await.unwrap();
            measured
        }
    }
}

fn keys(at: usize) -> Vec<String> {
    (at..at + MGET_KEYS).map(|at| key(at % KEYS)).collect()
}

fn value_of(at: usize) -> Vec<u8> {
    value(at).into_bytes()
}

/// That they are as many as were asked for and begin and end as they should. To check each costs more than to get it.
fn check_all<'v>(at: usize, values: impl ExactSizeIterator<Item = &'v [u8]>) {
    assert_eq!(values.len(), MGET_KEYS);
    let mut last: &[u8] = b"";
    for (number, value) in values.enumerate() {
        assert_eq!(value.len(), VALUE_BYTES);
        if number == 0 {
            assert_eq!(value, value_of(at));
        }
        last = value;
    }
    assert_eq!(last, value_of((at + MGET_KEYS - 1) % KEYS));
}

/// Has all tasks make requests, as many together as are to be made.
async fn measure<G, M>(
    load: Load,
    requests: usize,
    get: impl Fn(usize) -> G + Clone + Send + 'static,
    mget: impl Fn(usize) -> M + Clone + Send + 'static,
) -> (Duration, Duration)
where
    G: Future<Output = ()> + Send,
    M: Future<Output = ()> + Send,
{
    let (began, cpu) = (Instant::now(), cpu_time());
    let tasks = (0..TASKS).map(|task| {
        let (get, mget) = (get.clone(), mget.clone());
        tokio::spawn(async move {
            for request in 0..requests / TASKS {
                let at = (task * 7919 + request * 31) % KEYS;
                match load {
                    Load::Get => get(at).await,
                    Load::Mget => mget(at).await,
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    (began.elapsed(), cpu_time() - cpu)
}

/// CPU time of this process, user and system.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let ns = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(ns.sum())
}

/// A server of one core, ended with this.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aspine"))
            .args(["server", "--port", "0", "--cores", "1", "--max-size", "0", "--maxclients", "500"])
            .env_remove("ASPINE_AUTHKEY")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let address =
            line.strip_prefix("ready: listening on ").and_then(|rest| rest.split([' ', '\n']).next()).unwrap();
        Server { address: address.to_owned(), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
