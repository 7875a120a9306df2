//! The load generator beside the servers of others, which it must speak to as their own clients do: memcached and
//! redis-server. What it says it did is what they say was done.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::left_out;
use crate::support::conn::Conn;
use crate::support::server::{free_port, wait_until};

/// A server of others, ended with the test.
pub(crate) struct Other {
    child: Child,
    pub(crate) port: u16,
}

impl Other {
    /// Starts `program` with what `flags` says for a port, and waits until it listens. `None` if it is not installed.
    pub(crate) fn start(program: &str, package: &str, flags: impl Fn(&str) -> Vec<String>) -> Option<Other> {
        let port = free_port();
        let mut cmd = Command::new(program);
        cmd.args(flags(&port.to_string())).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = cmd.spawn() else {
            left_out(program, &format!("apt-get install {package}"));
            return None;
        };
        let mut other = Other { child, port };
        wait_until("the other server", || {
            assert_eq!(other.child.try_wait().unwrap(), None, "{program} has ended");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(other)
    }

    /// The report of `aspine bench` with these flags, in which nothing went wrong.
    #[track_caller]
    fn bench(&self, flags: &[&str]) -> Value {
        let mut cmd = Command::new(env!("CARGO_BIN_EXE_aspine"));
        cmd.args(["bench", "--target", &format!("127.0.0.1:{}", self.port), "--json"]).args(flags);
        let output = cmd.env_remove("ASPINE_AUTHKEY").stdin(Stdio::null()).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && stderr.is_empty(), "{flags:?}: {stdout}{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// The counters of memcached.
fn stats(port: u16) -> HashMap<String, u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"stats\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| line != "END");
    let row = |line: String| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    lines.filter_map(row).collect()
}

#[test]
fn memcached_agrees_with_what_is_told_of_it() {
    let flags =
        |port: &str| ["-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "256", "-u", "root"].map(String::from).into();
    let Some(memcached) = Other::start("memcached", "memcached", flags) else { return };
    let base = ["--protocol", "memcached", "--keys", "2000", "--verify", "--value-size", "1-3000"];
    let mix = "get=8,set=4,mget:5=2,incr=1,del=1,expire=1,ping=1";
    let load =
        ["--preload", "--requests", "20000", "--mix", mix, "--ttl", "100-200", "--pipeline", "8", "--connections", "5"];
    let before = stats(memcached.port);
    let report = memcached.bench(&[&base[..], &load].concat());
    let after = stats(memcached.port);
    let grown = |name: &str| after[name] - before[name];
    assert_eq!((count(&report, "/operations"), count(&report, "/errors")), (20_000, 0));
    let of = |kind: &str| count(&report, &format!("/kinds/{kind}/count"));
    for kind in ["get", "set", "mget", "incr", "del", "expire", "ping"] {
        assert!(of(kind) > 0, "{kind} in {report}");
    }
    // A get of five keys counts as five there.
    assert_eq!(grown("cmd_get"), of("get") + 5 * of("mget"));
    assert_eq!(grown("cmd_set"), 2_000 + of("set"), "as many SETs, and the preload");
    assert_eq!((grown("get_hits"), grown("get_misses")), (count(&report, "/hits"), count(&report, "/misses")));
    assert_eq!(grown("delete_hits") + grown("delete_misses"), of("del"));
    assert_eq!(grown("cmd_touch"), of("expire"));
    // One that makes its counter is counted nowhere.
    assert!((1..=of("incr")).contains(&grown("incr_hits")), "{} of {}", grown("incr_hits"), of("incr"));
    // What it holds is read back whole by a run of another seed, also of values as long as memcached takes.
    for sizes in ["64", "1-3000", "900000-1000000"] {
        let few = ["--keys", "60", "--ratio", "1:0", "--requests", "600", "--seed", "9", "--preload", "--verify=hits"];
        let report = memcached.bench(&[&["--protocol", "memcached", "--value-size", sizes][..], &few].concat());
        assert_eq!((count(&report, "/hits"), count(&report, "/misses")), (600, 0), "{sizes}");
    }
    let open = ["--protocol", "memcached", "--rate", "2000", "--duration", "0.5", "--warmup", "0", "--fill-on-miss"];
    let report = memcached.bench(&open);
    assert_eq!(count(&report, "/kinds/get/count") + count(&report, "/kinds/set/count"), 1_000, "{report}");
}

#[test]
fn redis_agrees_with_what_is_told_of_it() {
    let flags = |port: &str| ["--port", port, "--save", "", "--appendonly", "no"].map(String::from).into();
    let Some(redis) = Other::start("redis-server", "redis-server", flags) else { return };
    let mix = "get=8,set=4,mget:5=2,mset:3=2,incr=1,del=1,exists=1,expire=1,publish=1,ping=1";
    let load = ["--keys", "2000", "--verify", "--value-size", "1-3000", "--ttl", "100-200", "--pipeline", "8"];
    let report =
        redis.bench(&[&["--preload", "--requests", "20000", "--mix", mix, "--connections", "5"][..], &load].concat());
    assert_eq!((count(&report, "/operations"), count(&report, "/errors")), (20_000, 0));
    let mut conn = Conn::tcp(([127, 0, 0, 1], redis.port).into());
    let told = conn.text(&["INFO", "commandstats"]);
    let calls = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.and_then(|rest| rest.split(',').next()).and_then(|calls| calls.parse().ok()).unwrap_or(0_u64)
    };
    for kind in ["get", "set", "mget", "mset", "incr", "del", "exists", "expire", "publish", "ping"] {
        let counted = count(&report, &format!("/kinds/{kind}/count"));
        // Of SETs the preload is not told of, nor is the first PING, which asks whether somebody is there.
        let besides = if kind == "set" { 2_000 } else { u64::from(kind == "ping") };
        assert!(counted > 0, "{kind}");
        assert_eq!(calls(kind), counted + besides, "{kind} in {told}");
    }
}
