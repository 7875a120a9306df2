//! Where the server listens and runs: ports that are taken, Unix sockets, CPUs.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use aspine::host::cpus_allowed;

use crate::support::conn::Conn;
use crate::support::server::{Dir, Server, Setup, aspine, check_refused, cores, free_port, run};

#[test]
fn a_port_of_another_server_is_refused_with_what_to_do() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    for number in [1, cores(2)].map(|number| number.to_string()) {
        let words = [&format!("127.0.0.1:{port}"), "the port is in use", "stop the other server", "another --port"];
        check_refused(aspine(&["--cores", &number, "--port", &port]), &words);
    }
}

#[test]
fn a_port_of_another_aspine_is_refused_and_not_shared() {
    for running in [1, 2] {
        let server = Server::start(running, &[]);
        let port = server.addr.port().to_string();
        for number in [1, cores(2)].map(|number| number.to_string()) {
            check_refused(aspine(&["--cores", &number, "--port", &port]), &["the port is in use", &port]);
        }
        assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n");
    }
}

#[test]
fn port_zero_picks_one_for_all_cores_and_says_which() {
    let server = Server::start(2, &[]);
    assert_ne!(server.addr.port(), 0);
    let mut conn = server.connect();
    assert_eq!(conn.info("tcp_port"), server.addr.port().to_string());
    let config = conn.call(&["CONFIG", "GET", "port"]);
    assert!(config.contains(&server.addr.port().to_string()), "{config}");
}

#[test]
fn ipv6_and_names_are_listened_on() {
    for (host, address) in [("::1", "[::1]:"), ("localhost", ""), ("127.0.0.2", "127.0.0.2:")] {
        if host == "::1" && TcpListener::bind("[::1]:0").is_err() {
            eprintln!("no IPv6 here, so it is left out");
            continue;
        }
        let server = Server::start(1, &["--host", host]);
        assert!(server.addr.to_string().starts_with(address), "{}", server.addr);
        assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n");
    }
}

#[test]
fn beyond_loopback_with_a_key_it_serves() {
    let server = Server::start(1, &["--host", "0.0.0.0", "--authkey", "k"]);
    let mut conn = Conn::tcp(([127, 0, 0, 1], server.addr.port()).into());
    assert_eq!(conn.call(&["AUTH", "k"]), "+OK\r\n");
}

#[test]
fn a_unix_socket_serves_and_goes_with_the_server() {
    for cores in [1, 2] {
        let mut server = Setup::new(cores, &[]).unix().start();
        let mut conns: Vec<_> = (0..16).map(|_| server.connect_unix()).collect();
        for (number, conn) in conns.iter_mut().enumerate() {
            assert_eq!(conn.call(&["SET", &format!("k{number}"), "v"]), "+OK\r\n");
        }
        assert_eq!(server.connect().number(&["DBSIZE"]), 16, "TCP and Unix see the same keys");
        let path = server.unix().to_owned();
        let list = conns[0].text(&["CLIENT", "LIST"]);
        assert!(list.contains(&format!("addr={}:0", path.display())), "{list}");
        assert!(server.stop().success());
        assert!(!path.exists(), "removed at the end");
    }
}

#[test]
fn a_socket_file_left_behind_is_replaced() {
    let dir = Dir::new();
    let path = dir.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = Server::start(1, &["--unixsocket", path.to_str().unwrap(), "--unixsocketperm", "620"]);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o620);
    assert_eq!(
        server.connect().call(&["CONFIG", "GET", "unixsocketperm"]),
        "*2\r\n$14\r\nunixsocketperm\r\n$3\r\n620\r\n"
    );
    server.wait_for_log(path.to_str().unwrap());
    assert_eq!(Conn::unix(&path).call(&["PING"]), "+PONG\r\n");
}

#[test]
fn a_live_unix_socket_is_refused_and_left_alone() {
    let server = Setup::new(1, &[]).unix().start();
    let path = server.unix().to_str().unwrap();
    check_refused(aspine(&["--cores", "1", "--port", "0", "--unixsocket", path]), &[path, "stop the server"]);
    assert_eq!(server.connect_unix().call(&["PING"]), "+PONG\r\n");
}

#[test]
fn a_file_that_is_no_socket_is_refused_and_kept() {
    let dir = Dir::new();
    let path = dir.path().join("precious");
    fs::write(&path, "data").unwrap();
    check_refused(
        aspine(&["--cores", "1", "--port", "0", "--unixsocket", path.to_str().unwrap()]),
        &["precious", "choose another --unixsocket"],
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    let nowhere = dir.path().join("no/where");
    check_refused(
        aspine(&["--cores", "1", "--port", "0", "--unixsocket", nowhere.to_str().unwrap()]),
        &["no/where", "create its folder"],
    );
}

#[test]
fn a_refusal_for_the_port_leaves_no_socket_file() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let dir = Dir::new();
    let path = dir.path().join("s");
    check_refused(
        aspine(&["--cores", "1", "--port", &port, "--unixsocket", path.to_str().unwrap()]),
        &["the port is in use"],
    );
    assert!(!path.exists());
}

#[test]
fn listed_cpus_are_used_in_their_order() {
    let mut cpus = cpus_allowed().unwrap();
    cpus.reverse();
    cpus.truncate(2);
    let list = cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let number = cpus.len();
    let server = Server::start(number, &["--cpus", &list]);
    let mut conn = server.connect();
    for (core, cpu) in cpus.iter().enumerate() {
        server.wait_for_log(&format!("core {core}: cpu {cpu}, slots "));
        assert!(conn.info(&format!("core{core}")).starts_with(&format!("cpu={cpu},")));
    }
    assert_eq!(conn.info_number("cores"), number as u64);
}

#[test]
fn the_log_has_a_line_for_each_core_and_all_slots_have_an_owner() {
    let server = Server::start(2, &[]);
    server.wait_for_log("ready: ");
    let log = server.log();
    let expected: &[&str] =
        if cores(2) == 2 { &["slots 0-8191", "slots 8192-16383", "ready: "] } else { &["slots 0-16383", "ready: "] };
    let mut rest = log.as_str();
    for part in expected {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} in {log}"));
        rest = &rest[at..];
    }
}

#[test]
fn a_chosen_port_is_the_port() {
    let port = free_port();
    let server = Server::start(2, &["--port", &port.to_string()]);
    assert_eq!(server.addr.port(), port);
    assert_eq!(server.connect().call(&["PING"]), "+PONG\r\n");
}

#[test]
fn all_hosts_are_listened_on_by_all_cores_and_by_both_transports() {
    for transport in ["epoll", "ring", "auto"] {
        let flags = ["--host", "127.0.0.1, 127.0.0.2,[::1]", "--core-ports", "0", "--transport", transport];
        let server = match Setup::new(2, &flags).try_start() {
            Ok(server) => server,
            // A machine without IPv6, or without the transport, says so.
            Err((_, log)) => return assert!(log.contains("::1") || log.contains("io_uring"), "{log}"),
        };
        let port = server.addr.port();
        let mut conn = server.connect();
        assert_eq!(conn.call(&["CONFIG", "GET", "bind"]), "*2\r\n$4\r\nbind\r\n$23\r\n127.0.0.1 127.0.0.2 ::1\r\n");
        let reply = conn.call(&["CLUSTER", "SLOTS"]);
        let own: Vec<u16> = reply
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.parse().ok())
            .filter(|port| *port > 16_383)
            .collect();
        assert_eq!(own.len(), cores(2));
        for port in [port, port].into_iter().chain(own) {
            for host in ["127.0.0.1", "127.0.0.2", "::1"] {
                // Several at once, so that every core has some.
                let mut conns: Vec<Conn> =
                    (0..8).map(|_| Conn::tcp(SocketAddr::new(host.parse().unwrap(), port))).collect();
                for conn in &mut conns {
                    assert_eq!(conn.call(&["SET", "k", "v"]), "+OK\r\n", "{host} {port}");
                }
            }
        }
        let mut v6 = Conn::tcp(SocketAddr::new("::1".parse().unwrap(), port));
        assert!(v6.text(&["CLIENT", "INFO"]).contains(&format!(" laddr=[::1]:{port} ")));
        let mut ping = std::process::Command::new(env!("CARGO_BIN_EXE_aspine"));
        ping.args(["ping", "--host", "[::1]", "--port", &port.to_string()]).env_remove("ASPINE_AUTHKEY");
        assert_eq!(run(ping), (Some(0), "PONG\n".to_owned(), String::new()));
    }
}

#[test]
fn a_port_that_is_taken_on_one_host_is_refused() {
    let other = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let flags = ["--cores", "1", "--host", "127.0.0.1,127.0.0.2", "--port", &port];
    check_refused(aspine(&flags), &[&format!("127.0.0.2:{port}"), "the port is in use"]);
}
