//! Clients of others, unmodified and with their defaults: redis-rs, redis-cli, redis-benchmark.
//!
//! The last two are on the machine or they are not: without them their tests say so and pass, unless
//! `ASPINE_REQUIRE_CLIENTS=1`, as in CI, makes that a failure.

use std::collections::HashSet;
use std::process::{Command, Stdio};

use redis::{Commands, ConnectionLike, IntoConnectionInfo, ProtocolVersion, RedisResult, SetExpiry, SetOptions};

use crate::support::server::{Server, Setup};

const KEY: &str = "the key";

/// What redis-rs does with a connection.
fn exercise(mut con: redis::Connection) -> RedisResult<()> {
    assert!(con.check_connection());
    redis::cmd("FLUSHALL").exec(&mut con)?;
    // Strings.
    con.set::<_, _, ()>("name", "value")?;
    assert_eq!(con.get::<_, String>("name")?, "value");
    assert_eq!(con.get::<_, Option<String>>("absent")?, None);
    con.set::<_, _, ()>("number", 42)?;
    assert_eq!(con.get::<_, i64>("number")?, 42);
    let binary: Vec<u8> = (0..=255).collect();
    con.set::<_, _, ()>(&binary, &binary)?;
    assert_eq!(con.get::<_, Vec<u8>>(&binary)?, binary);
    assert!(!con.set_nx::<_, _, bool>("name", "other")?);
    assert_eq!(con.get_del::<_, Option<String>>("name")?, Some("value".into()));
    assert!(!con.exists::<_, bool>("name")?);
    // Expiry.
    con.set_ex::<_, _, ()>("brief", "v", 1000)?;
    assert!((1..=1000).contains(&con.ttl::<_, i64>("brief")?));
    assert!(con.persist::<_, bool>("brief")?);
    assert_eq!(con.ttl::<_, i64>("brief")?, -1);
    assert!(con.expire::<_, bool>("brief", 500)?);
    let options = SetOptions::default().get(true).with_expiration(SetExpiry::PX(100_000));
    assert_eq!(con.set_options::<_, _, Option<String>>("brief", "w", options)?, Some("v".into()));
    assert!((1..=100_000).contains(&con.pttl::<_, i64>("brief")?));
    // Many keys at once.
    let pairs: Vec<(String, usize)> = (0..500).map(|number| (format!("many:{number}"), number)).collect();
    con.mset::<_, _, ()>(&pairs)?;
    let keys: Vec<&String> = pairs.iter().map(|(key, _)| key).collect();
    assert_eq!(con.mget::<_, Vec<usize>>(&keys)?, (0..500).collect::<Vec<_>>());
    assert_eq!(con.mget::<_, Vec<Option<usize>>>(&["many:1", "absent", "many:499"])?, [Some(1), None, Some(499)]);
    // Walks.
    let found: HashSet<String> = con.scan_match::<_, String>("many:*")?.collect::<RedisResult<_>>()?;
    assert_eq!(found, keys.iter().map(|key| key.to_string()).collect());
    let listed: HashSet<String> = con.keys("many:*")?;
    assert_eq!(listed, found);
    assert_eq!(con.del::<_, usize>(&keys)?, 500);
    // A pipeline.
    let mut pipe = redis::pipe();
    for number in 0..1000 {
        pipe.set(format!("pipe:{number}"), number).ignore().get(format!("pipe:{number}"));
    }
    assert_eq!(pipe.query::<Vec<usize>>(&mut con)?, (0..1000).collect::<Vec<_>>());
    // An error is an error and leaves the connection usable.
    let error = redis::cmd("LPUSH").arg("list").arg(1).exec(&mut con).unwrap_err();
    assert!(error.to_string().contains("unknown command"), "{error}");
    let info: String = redis::cmd("INFO").query(&mut con)?;
    assert!(info.contains("redis_version:7.2"));
    con.ping::<()>()
}

/// By TCP and Unix socket, RESP2 and RESP3.
fn exercise_everywhere(server: &Server, key: Option<&str>) {
    let tcp = format!("redis://{}/", server.addr);
    let unix = format!("unix://{}", server.unix().display());
    for url in [tcp, unix] {
        for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
            let info = url.as_str().into_connection_info().unwrap();
            let mut settings = info.redis_settings().clone().set_protocol(protocol);
            if let Some(key) = key {
                settings = settings.set_password(key);
            }
            let client = redis::Client::open(info.set_redis_settings(settings)).unwrap();
            let con = client.get_connection().unwrap_or_else(|error| panic!("{url} {protocol:?}: {error}"));
            exercise(con).unwrap_or_else(|error| panic!("{url} {protocol:?}: {error}"));
        }
    }
}

#[test]
fn redis_rs_with_its_defaults() {
    for cores in [1, 2] {
        exercise_everywhere(&Setup::new(cores, &["--max-memory", "1gb"]).unix().start(), None);
    }
}

#[test]
fn redis_rs_with_a_key() {
    let server = Setup::new(2, &["--max-memory", "1gb", "--authkey", KEY]).unix().start();
    exercise_everywhere(&server, Some(KEY));
    let url = format!("redis://:wrong@{}/", server.addr);
    let error = redis::Client::open(url).unwrap().get_connection().err().expect("refused");
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
}

/// `program`, if it is there.
fn other(program: &str) -> Option<Command> {
    if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok() {
        let mut cmd = Command::new(program);
        cmd.stdin(Stdio::null());
        return Some(cmd);
    }
    let required = std::env::var("ASPINE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
    assert!(!required, "{program} is not on the PATH and ASPINE_REQUIRE_CLIENTS=1; apt-get install redis-tools");
    eprintln!("left out: {program} is not on the PATH (apt-get install redis-tools)");
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
    let server = Setup::new(2, &["--authkey", KEY]).unix().start();
    let port = server.addr.port().to_string();
    let cli = |args: &[&str]| {
        let mut cmd = other("redis-cli")?;
        cmd.args(["-p", &port, "-a", KEY, "--no-auth-warning"]).args(args);
        Some(output(&mut cmd))
    };
    let Some(set) = cli(&["set", "user:1", "alice", "EX", "60"]) else { return };
    assert_eq!(set, "OK\n");
    assert_eq!(cli(&["get", "user:1"]).unwrap(), "alice\n");
    let ttl: i64 = cli(&["ttl", "user:1"]).unwrap().trim().parse().unwrap();
    assert!((1..=60).contains(&ttl), "{ttl}");
    assert_eq!(cli(&["-3", "get", "absent"]).unwrap().trim(), "");
    assert_eq!(cli(&["--scan", "--pattern", "user:*"]).unwrap(), "user:1\n");
    assert!(cli(&["info", "server"]).unwrap().contains("aspine_version:"));
    let mut cmd = other("redis-cli").unwrap();
    let path = server.unix().to_str().unwrap();
    assert_eq!(output(cmd.args(["-s", path, "-a", KEY, "--no-auth-warning", "get", "user:1"])), "alice\n");
    let refused = output(other("redis-cli").unwrap().args(["-p", &port, "get", "user:1"]));
    assert!(refused.contains("NOAUTH"), "{refused}");
}

#[test]
fn redis_benchmark_shows_no_error() {
    let Some(mut cmd) = other("redis-benchmark") else { return };
    let server = Server::start(2, &["--max-memory", "1gb"]);
    cmd.args(["-t", "set,get,mset", "-r", "100000", "-n", "100000", "-P", "16", "--csv"]);
    cmd.args(["-p", &server.addr.port().to_string()]);
    let printed = output(&mut cmd);
    assert!(!printed.to_ascii_lowercase().contains("err"), "{printed}");
    for test in ["\"SET\"", "\"GET\"", "\"MSET (10 keys)\""] {
        assert!(printed.contains(test), "{test} in {printed}");
    }
    let mut conn = server.connect();
    assert_eq!(conn.info_number("protocol_errors"), 0);
    assert_eq!(conn.info_number("clients_cut_off"), 0);
    assert!(conn.number(&["DBSIZE"]) > 50_000);
    assert!(conn.info_number("total_commands_processed") >= 300_000);
}
