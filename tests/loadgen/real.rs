//! Aspine itself under the generator: the one it starts, and others.

use std::fs;

use crate::bench::{Ended, command, count, report, run, start};
use crate::support::server::{Server, Setup, cores, wait_until};

/// Runs without a target, every flag but these at its default.
fn embedded(flags: &[&str]) -> Ended {
    let mut ended = start(command(flags)).end();
    if let Some(rest) = ended.stderr.strip_prefix("aspine: server and generator share one CPU") {
        // As it should say on a machine with one.
        assert_eq!(rest.lines().count(), 1);
        ended.stderr.clear();
    }
    ended
}

#[test]
fn without_a_target_it_measures_a_server_of_its_own() {
    let report = embedded(&["--duration", "0.5", "--warmup", "0.1", "--json"]).report();
    assert_eq!(report["target"], "embedded");
    assert_eq!(report["options"]["verify"], "hits");
    assert_eq!(count(&report, "/preload/keys"), 100_000);
    assert_eq!((count(&report, "/misses"), count(&report, "/errors")), (0, 0));
    assert!(count(&report, "/operations") > 0 && count(&report, "/server_rss_bytes") > 0, "{report}");
    assert!(report["server_cpu_us_per_op"].is_number());
}

#[test]
fn the_server_of_its_own_takes_flags() {
    let flags = ["--server-args", "--cores 1 --max-size 1000", "--keys", "5000", "--requests", "5000", "--json"];
    let report =
        embedded(&[&flags[..], &["--fill-on-miss", "--key-dist", "zipf:0.99", "--ratio", "1:0"]].concat()).report();
    assert!(count(&report, "/misses") > 0 && count(&report, "/hits") > 0, "evicts: {report}");
    assert_eq!(count(&report, "/kinds/fill/count"), count(&report, "/misses"));
    embedded(&["--server-args", "--max-size many"]).code.filter(|code| *code == 1).unwrap();
}

#[test]
fn the_server_of_its_own_ends_with_it() {
    let mut running = start(command(&["--duration", "600"]));
    let pid = running.child.id();
    let children = || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    wait_until("the server", || !children().is_empty());
    let server = children().trim().to_owned();
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    // Gone, or a zombie that nobody has waited for.
    wait_until("the server's end", || {
        let stat = fs::read_to_string(format!("/proc/{server}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    });
}

#[test]
fn a_key_is_shown_from_each_of_its_places() {
    let server = Server::start(1, &["--authkey", "secret"]);
    let requests = ["--requests", "100"];
    run(server.addr, &requests).check_failed(&["wants a key"]);
    run(server.addr, &[&requests[..], &["--authkey", "wrong"]].concat()).check_failed(&["refuses the given key"]);
    report(server.addr, &[&requests[..], &["--authkey", "secret"]].concat());
    let dir = crate::support::server::Dir::new();
    let path = dir.path().join("key");
    fs::write(&path, "secret\n").unwrap();
    report(server.addr, &[&requests[..], &["--authkey-file", path.to_str().unwrap()]].concat());
    let addr = server.addr.to_string();
    let mut cmd = command(&[&["--target", &addr, "--json"], &requests[..]].concat());
    cmd.env("ASPINE_AUTHKEY", "secret");
    start(cmd).end().report();
}

#[test]
fn a_unix_socket_is_a_target() {
    let server = Setup::new(1, &["--max-memory", "1gb"]).unix().start();
    let path = server.unix().to_str().unwrap();
    let flags = ["--unixsocket", path, "--preload", "--keys", "1000", "--requests", "2000", "--verify=hits", "--json"];
    let report = start(command(&flags)).end().report();
    assert_eq!(report["target"], path);
    assert_eq!(count(&report, "/hits") + count(&report, "/kinds/set/count"), 2000);
    assert!(report["server_cpu_us_per_op"].is_number(), "the process behind the socket is found");
}

#[test]
fn large_values_go_and_come_whole() {
    let server = Server::start(2, &["--max-memory", "2gb"]);
    let flags = ["--value-size", "1-1048576", "--keys", "100", "--preload", "--verify=hits", "--requests", "400"];
    let load = ["--connections", "5", "--pipeline", "8", "--mix", "get=4,set=4,mget:3=1"];
    let report = report(server.addr, &[&flags[..], &load].concat());
    assert_eq!(count(&report, "/operations"), 400);
    assert_eq!(count(&report, "/misses"), 0);
}

#[test]
fn the_servers_own_counters_agree() {
    let server = Server::start(2, &["--max-memory", "1gb"]);
    let mix = "get=6,set=2,mget:4=1,incr=1,del=1,expire=1,ping=1";
    let flags = ["--mix", mix, "--keys", "500", "--requests", "20000", "--pipeline", "16", "--verify", "--ttl", "600"];
    let report = report(server.addr, &flags);
    let mut conn = server.connect();
    let stats = conn.text(&["INFO", "commandstats"]);
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls="))).unwrap();
        line.split(',').next().unwrap().parse::<u64>().unwrap()
    };
    for name in ["get", "set", "mget", "incr", "del", "expire", "ping"] {
        let greeting = u64::from(name == "ping");
        assert_eq!(calls(name) - greeting, count(&report, &format!("/kinds/{name}/count")), "{name}");
    }
    assert_eq!(conn.info_number("keyspace_hits"), count(&report, "/hits"));
    assert_eq!(conn.info_number("keyspace_misses"), count(&report, "/misses"));
}

#[test]
fn it_asks_for_the_ports_of_cores_and_nothing_crosses_them() {
    let load = ["--core-ports", "--keys", "500", "--requests", "3000", "--pipeline", "4", "--verify", "--json"];
    let server = Server::start(2, &["--core-ports", "0", "--authkey", "secret"]);
    let addr = server.addr.to_string();
    let report = start(command(&[&load[..], &["--target", &addr, "--authkey", "secret"]].concat())).end().report();
    assert_eq!(count(&report, "/options/core_ports"), cores(2) as u64);
    let mut conn = server.connect();
    assert_eq!(conn.call(&["AUTH", "secret"]), "+OK\r\n");
    assert_eq!((conn.info_number("forwarded"), conn.info_number("operations")), (0, 3000));
    let plain = Server::start(2, &[]);
    run(plain.addr, &["--core-ports", "--requests", "10"]).check_failed(&["--core-ports BASE", "it has no core ports"]);
    let report = embedded(
        &[&load[..], &["--duration", "0.3"]]
            .concat()
            .iter()
            .filter(|flag| !["--requests", "3000"].contains(*flag))
            .copied()
            .collect::<Vec<_>>(),
    )
    .report();
    assert_eq!(report["target"], "embedded");
    assert!(count(&report, "/operations") > 0 && count(&report, "/errors") == 0, "{report}");
}
