//! Core ports: each core on a port of its own, what clients are told of it, and that any core answers everything.

use std::net::{SocketAddr, TcpListener};

use aspine::slot::{CoreId, Slot};

use crate::support::conn::Conn;
use crate::support::server::{Dir, Server, Setup, aspine, check_refused, cores, free_port};

/// The reply to ASPINE.CORES.
struct Told {
    run_id: String,
    core: usize,
    host: String,
    port: u16,
    /// Of each core its number, port, first and last slot.
    cores: Vec<[u16; 4]>,
}

fn told(conn: &mut Conn) -> Told {
    let reply = conn.call(&["ASPINE.CORES"]);
    let mut lines = reply.split("\r\n");
    assert!(matches!(lines.next(), Some("*10" | "%5")), "{reply}");
    let words: Vec<&str> = lines.filter(|line| !line.starts_with(['$', '*']) && !line.is_empty()).collect();
    let number = |word: &str| word.trim_start_matches(':').parse::<u16>().unwrap();
    let field = |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1];
    let rows = &words[words.iter().position(|word| *word == "cores").unwrap() + 1..];
    Told {
        run_id: field("run_id").to_owned(),
        core: number(field("core")).into(),
        host: field("host").to_owned(),
        port: number(field("port")),
        cores: rows.chunks(4).map(|row| [number(row[0]), number(row[1]), number(row[2]), number(row[3])]).collect(),
    }
}

/// A connection to each core by its own port.
fn connect_to_each(server: &Server) -> Vec<Conn> {
    let ports = told(&mut server.connect()).cores;
    ports.iter().map(|row| Conn::tcp(SocketAddr::new(server.addr.ip(), row[1]))).collect()
}

/// The `count`-th of the keys that a core owns.
fn key_of(core: usize, all: usize, count: usize) -> String {
    let keys = (0..).map(|number| format!("key:{number}"));
    let owned = |key: &String| usize::from(Slot::of(key.as_bytes()).owner(all as u16).0) == core;
    keys.filter(owned).nth(count).unwrap()
}

#[test]
fn every_core_listens_on_its_own_port_and_says_so() {
    let base = free_port();
    // Both of a pair are mostly free; where not, the server says so and the test is about nothing.
    let server = match Setup::new(2, &["--core-ports", &base.to_string()]).try_start() {
        Ok(server) => server,
        Err((_, log)) => return assert!(log.contains("--core-ports"), "{log}"),
    };
    let all = cores(2);
    server.wait_for_log(&format!("slots 0-{}, port {base}", Slot::range(CoreId(0), all as u16).1.0));
    let mut conns = connect_to_each(&server);
    for resp3 in [false, true] {
        for (core, conn) in conns.iter_mut().enumerate() {
            if resp3 {
                let hello = conn.call(&["HELLO", "3"]);
                assert!(hello.contains("mode\r\n$7\r\ncluster\r\n"), "{hello}");
            }
            let told = told(conn);
            assert_eq!((told.core, told.port, told.host.as_str()), (core, server.addr.port(), "127.0.0.1"));
            assert_eq!(told.run_id, conn.info("run_id"));
            for (number, row) in told.cores.iter().enumerate() {
                let (first, last) = Slot::range(CoreId(number as u16), all as u16);
                assert_eq!(*row, [number as u16, base + number as u16, first.0, last.0]);
            }
            assert_eq!(told.cores.len(), all);
            assert_eq!(conn.info("redis_mode"), "cluster");
        }
    }
    // By the one port too: who is reached is who answers.
    let mut conn = server.connect();
    let reached = told(&mut conn).core;
    assert!(conn.text(&["CLUSTER", "MYID"]).starts_with(&format!("{reached:04x}")));
}

#[test]
fn without_them_there_is_no_cluster_and_the_cores_have_no_ports() {
    let server = Server::start(2, &[]);
    let mut conn = server.connect();
    let told = told(&mut conn);
    assert_eq!((told.port, told.host.as_str()), (server.addr.port(), "127.0.0.1"));
    assert_eq!(told.cores.iter().map(|row| row[1]).collect::<Vec<_>>(), vec![0; cores(2)]);
    assert_eq!(told.cores.last().unwrap()[3], 16383);
    assert_eq!(conn.info("redis_mode"), "standalone");
    assert!(conn.call(&["HELLO", "3"]).contains("standalone"));
    assert_eq!(conn.call(&["CLUSTER", "SLOTS"]), "-ERR This instance has cluster support disabled\r\n");
    assert!(conn.call(&["CONFIG", "GET", "cluster-enabled"]).contains("no"));
}

#[test]
fn ports_that_can_not_be_are_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    let server = Server::start(cores(2), &["--core-ports", "0"]);
    let rows = told(&mut server.connect()).cores;
    let own = rows.last().unwrap()[1].to_string();
    for (flags, words) in [
        (["--port", "0", "--core-ports", &taken], &["127.0.0.1:", &taken, "--core-ports"][..]),
        // A port of a core of another server, whichever way it is asked for.
        (["--port", "0", "--core-ports", &own], &[&own, "--core-ports"]),
        (["--port", &own, "--core-ports", "0"], &[&own, "the port is in use"]),
        (["--port", "7005", "--core-ports", "7005"], &["7005", "--port 7005", "move one of them"]),
    ] {
        check_refused(aspine(&[&["--cores", "1"][..], &flags].concat()), words);
    }
    if cores(2) == 2 {
        let words = ["--core-ports 65535", "65536", "65534 or less"];
        check_refused(aspine(&["--cores", "2", "--port", "0", "--core-ports", "65535"]), &words);
        let words = ["7004-7005", "--port 7005"];
        check_refused(aspine(&["--cores", "2", "--port", "7005", "--core-ports", "7004"]), &words);
    }
    let dir = Dir::new();
    let path = dir.path().join("s");
    let flags = ["--cores", "1", "--port", "0", "--core-ports", &own, "--unixsocket", path.to_str().unwrap()];
    check_refused(aspine(&flags), &[&own, "the port is in use"]);
    assert!(!path.exists(), "no socket file is left");
    check_refused(aspine(&["--host", "0.0.0.0", "--core-ports", "0"]), &["auth key", "0.0.0.0"]);
    check_refused(aspine(&["--port", "0", "--announce-host", "a b"]), &["\"a b\"", "--announce-host"]);
    let port = server.addr.port().to_string();
    check_refused(aspine(&["--port", &port, "--core-ports", "0"]), &["the port is in use"]);
    for mut conn in connect_to_each(&server) {
        assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
    }
}

#[test]
fn the_address_told_is_the_one_connected_to_or_the_one_announced() {
    let server = Setup::new(1, &["--host", "0.0.0.0", "--authkey", "k", "--core-ports", "0"]).unix().start();
    let asks: [&[&str]; 3] = [&["CLUSTER", "SLOTS"], &["CLUSTER", "SHARDS"], &["CLUSTER", "NODES"]];
    let port = server.addr.port();
    let mut own = 0;
    for host in ["127.0.0.1", "127.8.9.1", "127.0.0.1"] {
        let mut conn = Conn::tcp(SocketAddr::new(host.parse().unwrap(), port));
        assert_eq!(conn.call(&["ASPINE.CORES"]), "-NOAUTH Authentication required.\r\n");
        assert_eq!(conn.call(&["AUTH", "k"]), "+OK\r\n");
        let told = told(&mut conn);
        assert_eq!(told.host, host);
        own = told.cores[0][1];
        for ask in asks {
            let reply = conn.call(ask);
            assert!(reply.contains(host) && reply.contains(&own.to_string()), "{ask:?}: {reply}");
        }
        let mut conn = Conn::tcp(SocketAddr::new(host.parse().unwrap(), own));
        assert_eq!(conn.call(&["CLUSTER", "SLOTS"]), "-NOAUTH Authentication required.\r\n");
    }
    assert_ne!(own, 0);
    let mut conn = server.connect_unix();
    assert_eq!(conn.call(&["AUTH", "k"]), "+OK\r\n");
    assert_eq!(told(&mut conn).host, "127.0.0.1", "who came by the Unix socket has connected to no address");
    for (announced, in_nodes) in
        [("10.1.2.3", "10.1.2.3:"), ("fe80::7", "fe80::7:"), ("cache.example", "cache.example:")]
    {
        let server = Server::start(1, &["--core-ports", "0", "--announce-host", announced]);
        let mut conn = server.connect();
        assert_eq!(told(&mut conn).host, announced);
        for ask in asks {
            let reply = conn.call(ask);
            assert!(reply.contains(announced) && !reply.contains("127.0.0.1"), "{ask:?}: {reply}");
        }
        let nodes = conn.text(&["CLUSTER", "NODES"]);
        assert!(nodes.contains(&format!(" {in_nodes}")), "{nodes}");
    }
}

#[test]
fn an_ipv6_address_is_told_as_one() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("no IPv6 here, so it is left out");
        return;
    }
    let server = Server::start(1, &["--host", "::1", "--core-ports", "0"]);
    assert_eq!(told(&mut server.connect()).host, "::1");
    let slots = server.connect().call(&["CLUSTER", "SLOTS"]);
    assert!(slots.contains("$3\r\n::1\r\n"), "{slots}");
    // Mapped into IPv6 an address is still the one that was connected to.
    let server = Server::start(1, &["--host", "::", "--authkey", "k", "--core-ports", "0"]);
    let mut conn = Conn::tcp(([127, 0, 0, 1], server.addr.port()).into());
    assert_eq!(conn.call(&["AUTH", "k"]), "+OK\r\n");
    assert_eq!(told(&mut conn).host, "127.0.0.1");
}

#[test]
fn what_cluster_clients_ask_is_answered_in_both_protocols() {
    let server = Server::start(2, &["--core-ports", "0"]);
    let rows = told(&mut server.connect()).cores;
    let mut conns = connect_to_each(&server);
    let ids: Vec<String> = conns.iter_mut().map(|conn| conn.text(&["CLUSTER", "MYID"])).collect();
    let shards: Vec<String> = conns.iter_mut().map(|conn| conn.text(&["CLUSTER", "MYSHARDID"])).collect();
    for id in ids.iter().chain(&shards) {
        assert!(id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
    assert!(ids.iter().chain(&shards).collect::<std::collections::BTreeSet<_>>().len() == 2 * ids.len());
    let slots: String = rows
        .iter()
        .zip(&ids)
        .map(|([_, port, first, last], id)| {
            format!("*3\r\n:{first}\r\n:{last}\r\n*4\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$40\r\n{id}\r\n*0\r\n")
        })
        .collect();
    let shards: String = rows.iter().zip(&ids).map(|([_, port, first, last], id)| {
        format!(
            "%2\r\n$5\r\nslots\r\n*2\r\n:{first}\r\n:{last}\r\n$5\r\nnodes\r\n*1\r\n%7\r\n$2\r\nid\r\n$40\r\n{id}\r\n\
             $4\r\nport\r\n:{port}\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n\
             $4\r\nrole\r\n$6\r\nmaster\r\n$18\r\nreplication-offset\r\n:0\r\n$6\r\nhealth\r\n$6\r\nonline\r\n"
        )
    }).collect();
    for resp3 in [false, true] {
        for (core, conn) in conns.iter_mut().enumerate() {
            if resp3 {
                conn.call(&["HELLO", "3"]);
            }
            assert_eq!(conn.call(&["CLUSTER", "SLOTS"]), format!("*{}\r\n{slots}", rows.len()));
            let expected = format!("*{}\r\n{shards}", rows.len());
            let expected =
                if resp3 { expected } else { expected.replace("%2\r\n", "*4\r\n").replace("%7\r\n", "*14\r\n") };
            assert_eq!(conn.call(&["CLUSTER", "SHARDS"]), expected);
            let nodes = conn.text(&["CLUSTER", "NODES"]);
            let nodes = nodes.strip_prefix("txt:").unwrap_or(&nodes);
            for (number, (line, [_, port, first, last])) in nodes.lines().zip(&rows).enumerate() {
                let myself = if number == core { "myself," } else { "" };
                let (id, epoch) = (&ids[number], number + 1);
                let expected = format!("{id} 127.0.0.1:{port}@0 {myself}master - 0 0 {epoch} connected {first}-{last}");
                assert_eq!(line, expected);
            }
            assert_eq!(nodes.lines().count(), rows.len());
            let info = conn.text(&["CLUSTER", "INFO"]);
            for field in ["cluster_state:ok", "cluster_slots_ok:16384", &format!("cluster_known_nodes:{}", rows.len())]
            {
                assert!(info.contains(field), "{field} in {info}");
            }
            assert_eq!(conn.call(&["CLUSTER", "REPLICAS", &ids[0]]), "*0\r\n");
            assert!(conn.call(&["CLUSTER", "HELP"]).contains("KEYSLOT key"));
        }
    }
}

#[test]
fn any_core_answers_any_key_and_forwards_only_others() {
    let server = Server::start(2, &["--core-ports", "0"]);
    let all = cores(2);
    let mut conns = connect_to_each(&server);
    for (core, conn) in conns.iter_mut().enumerate() {
        for count in 0..50 {
            assert_eq!(conn.call(&["SET", &key_of(core, all, count), "v"]), "+OK\r\n");
            assert_eq!(conn.call(&["GET", &key_of(core, all, count)]), "$1\r\nv\r\n");
        }
    }
    assert_eq!(conns[0].info_number("forwarded"), 0, "each key was asked of its own core");
    let (mine, other) = (key_of(0, all, 0), key_of(all - 1, all, 1));
    for conn in &mut conns {
        assert_eq!(conn.call(&["MSET", &mine, "1", &other, "2"]), "+OK\r\n");
        assert_eq!(conn.call(&["MGET", &mine, &other]), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
        assert_eq!(conn.call(&["MULTI"]), "+OK\r\n");
        assert_eq!(conn.call(&["INCR", &mine]), "+QUEUED\r\n");
        assert_eq!(conn.call(&["INCR", &other]), "+QUEUED\r\n");
        assert_eq!(conn.call(&["EXEC"]), "*2\r\n:2\r\n:3\r\n");
        assert_eq!(conn.call(&["RENAME", &mine, &other]), "+OK\r\n");
        assert_eq!(conn.call(&["GET", &other]), "$1\r\n2\r\n");
        assert_eq!(conn.number(&["DEL", &mine, &other]), 1);
    }
    if all > 1 {
        assert_ne!(conns[0].info_number("forwarded"), 0);
    }
}

#[test]
fn a_walk_over_the_cluster_goes_from_core_to_core() {
    let server = Server::start(2, &["--core-ports", "0"]);
    let mut one = server.connect();
    let mut keys: Vec<String> = (0..100).map(|number| format!("key:{number}")).collect();
    for key in &keys {
        assert_eq!(one.call(&["SET", key, "v"]), "+OK\r\n");
    }
    keys.sort();
    for conn in connect_to_each(&server).iter_mut().chain([&mut one]) {
        let (mut walked, mut cursor, mut steps) = (Vec::new(), "0".to_owned(), 0);
        loop {
            let reply = conn.call(&["CLUSTERSCAN", &cursor, "COUNT", "7"]);
            walked.extend(reply.split("\r\n").filter(|line| line.starts_with("key:")).map(str::to_owned));
            reply.split("\r\n").nth(2).unwrap().clone_into(&mut cursor);
            steps += 1;
            if cursor == "0" {
                break;
            }
        }
        walked.sort();
        assert_eq!(walked, keys);
        assert!(steps > 100 / 7, "{steps} steps");
    }
}

#[test]
fn a_core_answers_for_its_own_keys_where_clients_add_up() {
    let server = Server::start(2, &["--core-ports", "0"]);
    let all = cores(2);
    let mut one = server.connect();
    for number in 0..100 {
        assert_eq!(one.call(&["SET", &format!("key:{number}"), "v"]), "+OK\r\n");
    }
    let mut conns = connect_to_each(&server);
    let mut keys = Vec::new();
    let mut sum = 0;
    for (core, conn) in conns.iter_mut().enumerate() {
        sum += conn.number(&["DBSIZE"]);
        let listed = conn.call(&["KEYS", "*"]);
        let listed: Vec<_> = listed.split("\r\n").filter(|line| line.starts_with("key:")).map(str::to_owned).collect();
        let mut scanned = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let reply = conn.call(&["SCAN", &cursor, "COUNT", "7"]);
            scanned.extend(reply.split("\r\n").filter(|line| line.starts_with("key:")).map(str::to_owned));
            cursor = reply.split("\r\n").nth(2).unwrap().to_owned();
            if cursor == "0" {
                break;
            }
        }
        scanned.sort();
        let mut sorted = listed.clone();
        sorted.sort();
        assert_eq!(scanned, sorted);
        assert!(listed.iter().all(|key| usize::from(Slot::of(key.as_bytes()).owner(all as u16).0) == core));
        assert!(listed.contains(&conn.text(&["RANDOMKEY"])));
        keys.extend(listed);
    }
    assert_eq!((sum, keys.len()), (100, 100));
    assert_eq!(one.number(&["DBSIZE"]), 100, "by the one port a client sees all");
    // A slot's keys are told by every core.
    let slot = Slot::of(b"key:7").0.to_string();
    for conn in conns.iter_mut().chain([&mut one]) {
        assert_eq!(conn.number(&["CLUSTER", "COUNTKEYSINSLOT", &slot]), 1);
        assert_eq!(conn.call(&["CLUSTER", "GETKEYSINSLOT", &slot, "5"]), "*1\r\n$5\r\nkey:7\r\n");
    }
    // Subscriptions are counted once, wherever their subscribers are.
    let mut subscriber = Conn::tcp(server.addr);
    for channel in ["a", "b", "c", "d"] {
        subscriber.call(&["SUBSCRIBE", channel]);
    }
    let counted: i64 = conns
        .iter_mut()
        .map(|conn| {
            let reply = conn.call(&["PUBSUB", "NUMSUB", "a", "b", "c", "d"]);
            let numbers = reply.split("\r\n").filter_map(|line| line.strip_prefix(':'));
            numbers.map(|number| number.parse::<i64>().unwrap()).sum::<i64>()
        })
        .sum();
    assert_eq!(counted, 4);
    assert_eq!(conns[0].number(&["PUBLISH", "a", "hello"]), 1);
    assert_eq!(conns[all - 1].number(&["PUBLISH", "a", "hello"]), 1);
    // What changes the whole changes all of it.
    assert_eq!(conns[0].call(&["FLUSHALL"]), "+OK\r\n");
    assert_eq!(one.number(&["DBSIZE"]), 0);
}

#[test]
fn limits_hold_on_the_ports_of_cores_too() {
    let server = Server::start(2, &["--core-ports", "0", "--maxclients", "3"]);
    let mut one = server.connect();
    let own = told(&mut one).cores[0][1];
    let mut conns: Vec<_> = (0..2).map(|_| Conn::tcp(SocketAddr::new(server.addr.ip(), own))).collect();
    for conn in &mut conns {
        assert_eq!(conn.call(&["PING"]), "+PONG\r\n");
    }
    let refused = Conn::tcp(SocketAddr::new(server.addr.ip(), own)).rest();
    assert_eq!(refused, b"-ERR max number of clients reached\r\n");
    let list = one.text(&["CLIENT", "LIST"]);
    assert_eq!(list.lines().filter(|line| line.contains(&format!("laddr=127.0.0.1:{own}"))).count(), 2, "{list}");
}
