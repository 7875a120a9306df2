//! The tools that come with redis-server: redis-cli and redis-benchmark.

use std::process::{Command, Stdio};

use crate::{left_out, on_every_server};

/// `program`, if it is there.
fn other(program: &str) -> Option<Command> {
    if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok() {
        let mut cmd = Command::new(program);
        cmd.stdin(Stdio::null());
        return Some(cmd);
    }
    left_out(program, "apt-get install redis-tools");
    None
}

/// Runs a command to its end and returns what it printed.
#[track_caller]
fn output(cmd: &mut Command) -> String {
    let output = cmd.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{cmd:?}: {stdout}{stderr}");
    format!("{stdout}{stderr}")
}

#[test]
fn redis_cli_sets_and_gets() {
    on_every_server(|server, key| {
        let port = server.addr.port().to_string();
        let path = server.unix().to_str().unwrap();
        let cli = |to: &[&str], args: &[&str]| {
            let mut cmd = other("redis-cli")?;
            cmd.args(to).args(key.iter().flat_map(|key| ["-a", *key, "--no-auth-warning"])).args(args);
            Some(output(&mut cmd))
        };
        let tcp = |args: &[&str]| cli(&["-p", &port], args);
        let Some(set) = tcp(&["set", "user:1", "alice", "EX", "60"]) else { return };
        assert_eq!(set, "OK\n");
        assert_eq!(tcp(&["get", "user:1"]).unwrap(), "alice\n");
        let ttl: i64 = tcp(&["ttl", "user:1"]).unwrap().trim().parse().unwrap();
        assert!((1..=60).contains(&ttl), "{ttl}");
        assert_eq!(tcp(&["-3", "get", "absent"]).unwrap().trim(), "");
        assert_eq!(tcp(&["--scan", "--pattern", "user:*"]).unwrap(), "user:1\n");
        assert!(tcp(&["info", "server"]).unwrap().contains("aspine_version:"));
        assert_eq!(cli(&["-s", path], &["get", "user:1"]).unwrap(), "alice\n");
        let without = output(other("redis-cli").unwrap().args(["-p", &port, "get", "user:1"]));
        assert_eq!(without.contains("NOAUTH"), key.is_some(), "{without}");
    });
}

#[test]
fn redis_benchmark_shows_no_error() {
    on_every_server(|server, key| {
        let Some(mut cmd) = other("redis-benchmark") else { return };
        cmd.args(["-t", "set,get,mset", "-r", "100000", "-n", "30000", "-P", "16", "--csv"]);
        cmd.args(["-p", &server.addr.port().to_string()]).args(key.iter().flat_map(|key| ["-a", *key]));
        let printed = output(&mut cmd);
        assert!(!printed.to_ascii_lowercase().contains("err"), "{printed}");
        for test in ["\"SET\"", "\"GET\"", "\"MSET (10 keys)\""] {
            assert!(printed.contains(test), "{test} in {printed}");
        }
        let mut conn = server.connect();
        key.iter().for_each(|key| assert_eq!(conn.call(&["AUTH", *key]), "+OK\r\n"));
        assert_eq!(conn.info_number("protocol_errors"), 0);
        assert_eq!(conn.info_number("clients_cut_off"), 0);
        assert!(conn.number(&["DBSIZE"]) > 50_000);
        assert!(conn.info_number("total_commands_processed") >= 90_000);
    });
}
