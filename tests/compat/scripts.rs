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
pub(crate) fn works(cmd: &mut Command) -> bool {
    cmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A Python that has such modules: the one of `.ci/run`, or the machine's.
pub(crate) fn python(modules: &str) -> Option<Command> {
    let found = [installed().join("venv/bin/python"), PathBuf::from("python3")]
        .into_iter()
        .find(|python| works(Command::new(python).args(["-c", &format!("import {modules}")])));
    if found.is_none() {
        let requirements = scripts().join("requirements.txt");
        let venv = installed().join("venv");
        let how = format!("python3 -m venv {venv:?} && {venv:?}/bin/pip install -r {requirements:?}");
        left_out(&format!("a Python with {modules}"), &how);
    }
    found.map(Command::new)
}

/// Node in the directory that has such packages.
pub(crate) fn node(packages: &[&str]) -> Option<Command> {
    let dir = installed().join("node");
    let program = || {
        let mut cmd = Command::new("node");
        cmd.current_dir(&dir);
        cmd
    };
    let requires: String = packages.iter().map(|package| format!("require('{package}');")).collect();
    if works(program().args(["-e", &requires])) {
        return Some(program());
    }
    let package = scripts().join("package.json");
    let how = format!("mkdir -p {dir:?}, copy {package:?} there and run `npm install --no-package-lock` in it");
    left_out(&format!("node with {}", packages.join(", ")), &how);
    None
}

/// The same program again, in the same directory.
fn again(program: &Command) -> Command {
    let mut cmd = Command::new(program.get_program());
    if let Some(dir) = program.get_current_dir() {
        cmd.current_dir(dir);
    }
    cmd
}

/// Runs a script on the server at a port to its end, which is without an error.
#[track_caller]
pub(crate) fn passes(program: &Command, script: &str, port: u16, key: Option<&str>) {
    let mut cmd = again(program);
    cmd.arg(scripts().join(script)).arg(port.to_string()).args(key).stdin(Stdio::null());
    let output = cmd.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{script}, auth key {key:?}:\n{}", String::from_utf8_lossy(&text));
}

/// Runs a script for Python on every server that is started with such flags, if there is one with the client.
pub(crate) fn run_python(script: &str, flags: &[&str]) {
    if let Some(python) = python("redis") {
        on_servers(flags, |server, key| passes(&python, script, server.addr.port(), key));
    }
}

/// The same for Node.
pub(crate) fn run_node(script: &str, flags: &[&str]) {
    if let Some(node) = node(&["ioredis", "redis"]) {
        on_servers(flags, |server, key| passes(&node, script, server.addr.port(), key));
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
    let Some(python) = python("redis, prometheus_client") else { return };
    for cores in [1, 2] {
        let server = Setup::new(cores, &["--max-memory", "1gb", "--admin-addr", "127.0.0.1:0"]).start();
        server.wait_for_log("admin endpoint: http://127.0.0.1:");
        let log = server.log();
        let admin = log.split_once("http://127.0.0.1:").and_then(|(_, rest)| rest.split_once('/')).unwrap().0;
        let mut cmd = again(&python);
        cmd.arg(scripts().join("prometheus.py")).arg(server.addr.port().to_string()).arg(admin).stdin(Stdio::null());
        let output = cmd.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{cores} cores:\n{}", String::from_utf8_lossy(&text));
    }
}
