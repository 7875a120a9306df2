//! The admin endpoint: pages, what they say of a server that loads, ends or hangs, and watchers that do not behave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use crate::support::conn::{Conn, command};
use crate::support::server::{Dir, Server, Setup, aspine, check_refused, free_port, wait_until};

mod freeze;
mod http;

use freeze::Frozen;
use http::{Samples, admin_of, ask, dial, get, response};

const ADMIN: [&str; 2] = ["--admin-addr", "127.0.0.1:0"];

fn start(cores: usize, flags: &[&str]) -> (Server, SocketAddr) {
    let server = Server::start(cores, &[&ADMIN, flags].concat());
    let admin = admin_of(&server);
    (server, admin)
}

fn metrics(admin: SocketAddr) -> Samples {
    let page = get(admin, "/metrics");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("Content-Type: text/plain; version=0.0.4"), "{}", page.head);
    Samples::parse(&page.body)
}

/// Every histogram's buckets grow to its count.
fn check_histograms(samples: &Samples) {
    let mut last = ("", 0.0);
    let mut histograms = 0;
    // In the order of the page, not of the alphabet: by bound.
    let mut buckets: Vec<(&str, f64, f64)> = Vec::new();
    for (sample, value) in &samples.0 {
        if let Some((series, le)) = sample.split_once("le=\"") {
            let le = le.trim_end_matches("\"}").replace("+Inf", "inf").parse().unwrap();
            buckets.push((series, le, *value));
        }
    }
    buckets.sort_by(|a, b| a.0.cmp(b.0).then(a.1.total_cmp(&b.1)));
    for (series, le, value) in buckets {
        if series == last.0 {
            assert!(value >= last.1, "{series} shrinks at {le}");
        }
        last = (series, value);
        if le.is_infinite() {
            let count = format!("{}}}", series.replace("_bucket{", "_count{").trim_end_matches(','));
            assert_eq!(value, samples.one(&count), "{count}");
            histograms += 1;
        }
    }
    assert!(histograms > 3, "{histograms}");
}

#[test]
fn metrics_are_those_of_info() {
    let (server, admin) = start(2, &["--max-memory", "64mb"]);
    let mut conn = server.connect();
    for key in 0..100 {
        conn.call(&["SET", &format!("key:{key}"), "value"]);
        conn.call(&["GET", &format!("key:{}", key * 2)]);
    }
    conn.call(&["SET", "a"]);
    let mut before = metrics(admin);
    check_histograms(&before);
    for (sample, label, field) in [
        ("aspine_connections", "", "connected_clients"),
        ("aspine_connections_accepted_total", "", "total_connections_received"),
        ("aspine_keyspace_hits_total", "", "keyspace_hits"),
        ("aspine_keyspace_misses_total", "", "keyspace_misses"),
        ("aspine_memory_used_bytes", "", "memory_usage"),
        ("aspine_memory_budget_bytes", "", "maxmemory"),
        ("aspine_connections_max", "", "maxclients"),
        ("aspine_error_replies_total", "", "total_error_replies"),
        ("process_start_time_seconds", "", ""),
    ] {
        let value = before.sum(sample, label);
        if !field.is_empty() {
            assert_eq!(value, conn.info_number(field) as f64, "{sample} and {field}");
        }
    }
    assert_eq!(before.sum("aspine_keys", ""), 100.0);
    let stats = conn.text(&["INFO", "commandstats"]);
    for name in ["get", "set"] {
        let count = before.one(&format!("aspine_command_duration_seconds_count{{command=\"{name}\"}}"));
        assert_eq!(count, 100.0);
        assert!(stats.contains(&format!("cmdstat_{name}:calls=100,")), "{stats}");
    }
    for round in 0..20 {
        conn.call(&["GET", &format!("key:{round}")]);
        let after = metrics(admin);
        check_histograms(&after);
        for (sample, value) in &before.0 {
            if sample.contains("_total") || sample.contains("_bucket") || sample.contains("_count") {
                assert!(after.one(sample) >= *value, "{sample} went back");
            }
        }
        assert_eq!(after.one("aspine_command_duration_seconds_count{command=\"get\"}"), f64::from(101 + round));
        before = after;
    }
}

#[test]
fn pages_and_methods_are_told_apart() {
    let (server, admin) = start(1, &[]);
    assert_eq!((get(admin, "/healthz").status, get(admin, "/healthz").body.as_str()), (200, "ok\n"));
    assert_eq!((get(admin, "/readyz").status, get(admin, "/readyz?verbose").status), (200, 200));
    assert_eq!(get(admin, "/").status, 404);
    assert_eq!(get(admin, "/metrics/x").status, 404);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"] {
        let refused = ask(admin, &format!("{method} /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"));
        assert_eq!(refused.status, 405, "{method}");
        assert!(refused.head.contains("Allow: GET, HEAD"), "{}", refused.head);
    }
    for path in ["/metrics", "/healthz", "/readyz", "/nothing"] {
        let (head, whole) = (ask(admin, &format!("HEAD {path} HTTP/1.1\r\n\r\n")), get(admin, path));
        assert_eq!((head.status, head.body.as_str()), (whole.status, ""), "{path}");
        let length =
            |head: &str| head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
        assert_eq!(length(&whole.head), Some(whole.body.len()), "{path}");
        assert!(length(&head.head) > Some(0), "{path}: {}", head.head);
    }
    for nonsense in ["PING\r\n\r\n", "GET /metrics HTTP/3.7\r\n\r\n", "\r\n\r\nx\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        assert_eq!(ask(admin, nonsense).status, 400, "{nonsense:?}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(20_000));
    assert_eq!(ask(admin, &long).status, 431);
    assert_eq!(ask(admin, "GET /healthz HTTP/1.0\r\n\r\n").status, 200);
    // In pieces, and with the sending side closed at once.
    let mut socket = dial(admin);
    for byte in b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n" {
        socket.write_all(&[*byte]).unwrap();
    }
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(response(socket).status, 200);
    assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n");
}

#[test]
fn it_is_off_unless_asked_for_and_says_where_it_is_in_the_way() {
    let server = Server::start(1, &[]);
    assert!(!server.log().contains("admin endpoint"), "{}", server.log());
    let taken = server.addr.to_string();
    check_refused(
        aspine(&["--cores", "1", "--port", "0", "--admin-addr", &taken]),
        &[&format!("cannot listen on --admin-addr {taken}"), "ss -ltnp", "another port"],
    );
    // Its own port too.
    let port = free_port().to_string();
    let twice = aspine(&["--cores", "1", "--port", &port, "--admin-addr", &format!("127.0.0.1:{port}")]);
    check_refused(twice, &["--admin-addr"]);
    check_refused(aspine(&["--admin-addr", "no-such-host.invalid:1"]), &["--admin-addr no-such-host.invalid:1"]);
    let open = Server::start(1, &["--admin-addr", "0.0.0.0:0"]);
    open.wait_for_log("WARN --admin-addr 0.0.0.0:0 is not a loopback address");
    assert_eq!(get(([127, 0, 0, 1], admin_of(&open).port()).into(), "/healthz").status, 200);
}

#[test]
fn a_server_that_loads_is_alive_and_not_ready() {
    let dir = Dir::new();
    let path = dir.path().to_str().unwrap();
    let port = free_port();
    let admin: SocketAddr = ([127, 0, 0, 1], port).into();
    let flags = ["--persist", "--data-dir", path, "--max-memory", "1gb", "--admin-addr", &admin.to_string()];
    let mut server = Setup::new(1, &flags).start();
    assert_eq!(get(admin, "/readyz").status, 200);
    let mut conn = server.connect();
    for from in (0..200_000).step_by(1_000) {
        let mset: Vec<String> =
            (from..from + 1_000).flat_map(|key| [format!("key:{key}"), "value".to_owned()]).collect();
        conn.call(&[vec!["MSET".to_owned()], mset].concat());
    }
    drop(conn);
    assert_eq!(server.stop().code(), Some(0));
    let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    // A load may be over before anybody looks; a later one is seen.
    let server = (0..20).find_map(|_| {
        let flags = flags.clone();
        let starting =
            thread::spawn(move || Setup::new(1, &flags.iter().map(String::as_str).collect::<Vec<_>>()).start());
        wait_until("the admin endpoint", || TcpStream::connect(admin).is_ok());
        let mut loading = 0;
        loop {
            let ready = get(admin, "/readyz");
            assert_eq!(get(admin, "/healthz").status, 200, "loading is no illness");
            if ready.status == 200 {
                break;
            }
            assert_eq!((ready.status, ready.body.as_str()), (503, "loading\n"));
            loading += 1;
        }
        let mut server = starting.join().unwrap();
        if loading > 0 {
            return Some(server);
        }
        server.stop();
        None
    });
    let server = server.expect("a server that is seen loading");
    let samples = metrics(admin);
    assert_eq!((samples.one("aspine_loading"), samples.one("aspine_ready")), (0.0, 1.0));
    assert_eq!(samples.sum("aspine_keys", ""), 200_000.0);
    assert_eq!(server.connect().number(&["DBSIZE"]), 200_000);
}

/// A client that does not take its reply keeps the server from ending for a while.
#[test]
fn a_server_that_ends_is_alive_and_not_ready() {
    let (mut server, admin) = start(2, &[]);
    let mut conn = server.connect();
    conn.call(&["SET", "large", &"x".repeat(1 << 20)]);
    conn.send(&command(&["GET", "large"]).repeat(64));
    wait_until("the reply's beginning", || conn.has_heard());
    server.signal(libc::SIGTERM);
    server.wait_for_log("signal 15");
    let ready = get(admin, "/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (503, "draining\n"));
    assert_eq!(get(admin, "/healthz").status, 200);
    assert_eq!(metrics(admin).one("aspine_draining"), 1.0);
    drop(conn);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_core_that_hangs_is_named() {
    let (server, admin) = start(2, &[]);
    if server.connect().info_number("cores") < 2 {
        return;
    }
    {
        let Some(_frozen) = Frozen::stop(server.pid(), "core-1") else {
            eprintln!("left out: no process may stop another's thread here");
            return;
        };
        let samples = metrics(admin);
        assert_eq!(samples.one("aspine_core_up{core=\"0\"}"), 1.0);
        assert_eq!(samples.one("aspine_core_up{core=\"1\"}"), 0.0);
        wait_until("an ill server", || get(admin, "/healthz").status == 503);
        assert!(get(admin, "/healthz").body.starts_with("core 1 has been silent for "));
        assert_eq!(get(admin, "/readyz").status, 503);
    }
    wait_until("a healthy server", || get(admin, "/healthz").status == 200);
    assert_eq!(metrics(admin).sum("aspine_core_up", ""), 2.0);
}

#[test]
fn slow_watchers_keep_nobody_out_and_are_closed() {
    let (server, admin) = start(1, &[]);
    let slow: Vec<TcpStream> = (0..300)
        .map(|at| {
            let mut socket = dial(admin);
            // Some have sent nothing, some a part of a request, some do not read what they asked for.
            let part: &[u8] = [&b""[..], b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\n\r\n"][at % 3];
            let _ = socket.write_all(part);
            socket
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(get(admin, "/healthz").status, 200);
        assert_eq!(metrics(admin).one("aspine_core_up{core=\"0\"}"), 1.0);
    }
    let fds = |server: &Server| fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    assert!(fds(&server) < 200, "connections are bounded");
    for mut socket in slow {
        // An answer or none, but an end: of those that wait in the kernel too.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    wait_until("free places", || fds(&server) < 60);
    assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n");
}

#[test]
fn a_hundred_watchers_under_load_get_whole_pages() {
    let (server, admin) = start(2, &["--max-memory", "32mb"]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut loads = Vec::new();
        for client in 0..2 {
            let (server, stop) = (&server, &stop);
            loads.push(scope.spawn(move || {
                let mut conn = server.connect();
                let mut round = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let keys = (0..100).map(|key| format!("key:{client}:{}", key + round % 7 * 100));
                    let pipeline: Vec<u8> = keys.flat_map(|key| command(&["SET", &key, "value"])).collect();
                    conn.send(&pipeline);
                    (0..100).for_each(|_| assert_eq!(conn.reply(), "+OK\r\n"));
                    round += 1;
                }
                round * 100
            }));
        }
        let watchers: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(move || {
                    let mut last = 0.0;
                    for _ in 0..5 {
                        let samples = metrics(admin);
                        check_histograms(&samples);
                        let count = samples.sum("aspine_command_duration_seconds_count", "command=\"set\"");
                        assert!(count >= last);
                        last = count;
                        assert_eq!(samples.sum("aspine_core_up", ""), samples.sum("aspine_core_info", ""));
                    }
                })
            })
            .collect();
        watchers.into_iter().for_each(|watcher| watcher.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        let sets: u64 = loads.into_iter().map(|load| load.join().unwrap()).sum();
        let samples = metrics(admin);
        assert_eq!(samples.one("aspine_command_duration_seconds_count{command=\"set\"}"), sets as f64);
    });
    let mut conn = Conn::tcp(server.addr);
    assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
}

#[test]
fn the_thread_is_kept_off_the_cores_cpus_where_there_are_others() {
    let cpus = aspine::host::cpus_allowed().unwrap();
    let (first, last) = (cpus[0].to_string(), cpus[cpus.len() - 1].to_string());
    let server = Setup::new(1, &["--cpus", &first, "--admin-addr", "127.0.0.1:0"]).start();
    assert_eq!(get(admin_of(&server), "/healthz").status, 200);
    let task = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().map(|task| task.unwrap().path());
    let admin = task.into_iter().find(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == "admin");
    let status = fs::read_to_string(admin.unwrap().join("status")).unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    if cpus.len() == 2 {
        assert_eq!(allowed, last, "{status}");
    }
}
