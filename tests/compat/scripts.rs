//! Clients for Python and Node: a script of each is run with a server's port and auth key, and fails by its exit code.
//!
//! `.ci/run` installs them below the target directory, in the versions of `requirements.txt` and `package.json`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::server::Setup;
use crate::{left_out, on_servers};

/// The folder of the scripts.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

/// The folder of the installed clients: `compat` in the target directory.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("compat")
}

/// Whether a command runs to its end without an error.
fn works(cmd: &mut Command) -> bool {
    cmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A Python that has redis-py and Prometheus's parser: the one of `.ci/run`, or the machine's.
fn python() -> Option<PathBuf> {
    let found = [installed().join("venv/bin/python"), PathBuf::from("python3")]
        .into_iter()
        .find(|python| works(Command::new(python).args(["-c", "import redis, prometheus_client"])));
    if found.is_none() {
        let requirements = scripts().join("requirements.txt");
        let venv = installed().join("venv");
        left_out(
            "redis-py, or prometheus_client,",
            &format!("python3 -m venv {venv:?} && {venv:?}/bin/pip install -r {requirements:?}"),
        );
    }
    found
}

/// The directory that has the clients for Node.
fn node() -> Option<PathBuf> {
    let dir = installed().join("node");
    if works(Command::new("node").args(["-e", "require('ioredis'); require('redis')"]).current_dir(&dir)) {
        return Some(dir);
    }
    let package = scripts().join("package.json");
    let how = format!("mkdir -p {dir:?}, copy {package:?} there and run `npm install --no-package-lock` in it");
    left_out("node with ioredis and node-redis", &how);
    None
}

/// Runs a script on every server that is started with such flags. `program` is what it runs by.
fn run(script: &str, flags: &[&str], program: impl Fn() -> Command) {
    on_servers(flags, |server, key| {
        let mut cmd = program();
        cmd.arg(scripts().join(script)).arg(server.addr.port().to_string()).args(key).stdin(Stdio::null());
        let output = cmd.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{script}, auth key {key:?}:\n{}", String::from_utf8_lossy(&text));
    });
}

/// Runs a script for Python, if there is one with the client.
pub(crate) fn run_python(script: &str, flags: &[&str]) {
    if let Some(python) = python() {
        run(script, flags, || Command::new(&python));
    }
}

/// Runs a script for Node, if there is one with the clients.
pub(crate) fn run_node(script: &str, flags: &[&str]) {
    if let Some(dir) = node() {
        run(script, flags, || {
            let mut cmd = Command::new("node");
            cmd.current_dir(&dir);
            cmd
        });
    }
}

#[test]
fn redis_py() {
    run_python("redis_py.py", &[]);
}

#[test]
fn redis_py_on_asyncio() {
    run_python("redis_py_asyncio.py", &[]);
}

#[test]
fn ioredis() {
    run_node("ioredis.mjs", &[]);
}

#[test]
fn node_redis() {
    run_node("node_redis.mjs", &[]);
}

#[test]
fn the_cache_of_redis_py() {
    run_python("redis_py_tracking.py", &[]);
}

/// Not a client of the server: of what it tells those who watch.
#[test]
fn the_parser_of_prometheus() {
    let Some(python) = python() else { return };
    for cores in [1, 2] {
        let server = Setup::new(cores, &["--max-memory", "1gb", "--admin-addr", "127.0.0.1:0"]).start();
        server.wait_for_log("admin endpoint: http://127.0.0.1:");
        let log = server.log();
        let admin = log.split_once("http://127.0.0.1:").and_then(|(_, rest)| rest.split_once('/')).unwrap().0;
        let mut cmd = Command::new(&python);
        cmd.arg(scripts().join("prometheus.py")).arg(server.addr.port().to_string()).arg(admin).stdin(Stdio::null());
        let output = cmd.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{cores} cores:\n{}", String::from_utf8_lossy(&text));
    }
}
