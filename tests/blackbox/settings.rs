//! Settings from a file, and the check of settings without a start.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::server::{Dir, Setup, aspine, check_refused, run};
use crate::support::{limits, seccomp};

fn file(dir: &Dir, text: &str) -> String {
    let path = dir.path().join("aspine.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_file_sets_what_flags_do_not() {
    let dir = Dir::new();
    let text = "# for the test\nmax-memory = \"64mb\"\nmax-size = 1000\ntimeout = 100\nlog-level = \"debug\"\n\
                authkey = \"of the file\"\nclient-output-limit = [\"1mb\", 0, 0]\n";
    let path = file(&dir, text);
    let server = Setup::new(1, &["--config", &path, "--max-size", "2000"]).start();
    let mut conn = server.connect();
    assert_eq!(conn.call(&["PING"]), "-NOAUTH Authentication required.\r\n");
    assert_eq!(conn.call(&["AUTH", "of the file"]), "+OK\r\n");
    for (name, value) in [("maxmemory", "67108864"), ("max-size", "2000"), ("timeout", "100"), ("loglevel", "verbose")]
    {
        let reply = conn.call(&["CONFIG", "GET", name]);
        assert!(reply.contains(&format!("\r\n{value}\r\n")), "{name}: {reply}");
    }
    server.wait_for_log("chmod o-rwx");
    // The environment wins, too.
    let mut setup = Setup::new(1, &["--config", &path]);
    setup.cmd.env("ASPINE_AUTHKEY", "of the environment");
    let server = setup.start();
    assert_eq!(server.connect().call(&["AUTH", "of the environment"]), "+OK\r\n");
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let dir = Dir::new();
    for (text, words) in [
        ("port = 0\nmax-memroy = 1\n", &["line 2", "max-memroy", "did you mean max-memory?"][..]),
        ("max-memory = \"5x\"\n", &["line 1", "5x", "512mb"]),
        ("port = \n", &["line 1", "no TOML"]),
        ("cores = 0\n", &["line 1", "cores"]),
        ("host = \"0.0.0.0\"\n", &["without an auth key"]),
    ] {
        let path = file(&dir, text);
        check_refused(aspine(&["--config", &path]), words);
        check_refused(aspine(&["--check", "--config", &path]), words);
    }
    check_refused(aspine(&["--config", "/nowhere/aspine.toml"]), &["/nowhere/aspine.toml", "--config"]);
    check_refused(aspine(&["--config", dir.path().to_str().unwrap()]), &["cannot read the configuration file"]);
}

#[test]
fn a_check_starts_nothing_and_says_what_would_run() {
    let dir = Dir::new();
    let key = dir.path().join("key");
    fs::write(&key, "secret\n").unwrap();
    let check = |flags: &[&str]| {
        let mut cmd = Command::new(env!("CARGO_BIN_EXE_aspine"));
        cmd.args(["server", "--check", "--cores", "1"]).args(flags).current_dir(dir.path()).stdin(Stdio::null());
        run(cmd)
    };
    let flags = [
        "--daemon",
        "--pid-file",
        "pid",
        "--log-file",
        "l \"o\\g",
        "--max-memory",
        "1gb",
        "--persist",
        "--core-ports",
        "0",
    ];
    let (code, stdout, stderr) = check(&[&flags[..], &["--authkey-file", "key"]].concat());
    assert_eq!((code, stderr.lines().all(|line| line.starts_with("aspine: warning: "))), (Some(0), true), "{stderr}");
    for line in [
        "max-memory = 1073741824",
        "daemon = true",
        "persist = true",
        "core-ports = 0",
        "# a key is required, and not shown",
    ] {
        assert!(stdout.lines().any(|found| found == line), "{line} in {stdout}");
    }
    assert!(!stdout.contains("secret"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the key: nothing was made");
    // What it prints is a file for --config, and means the same.
    let path = file(&dir, &stdout);
    let mut again = Command::new(env!("CARGO_BIN_EXE_aspine"));
    again.args(["server", "--check", "--config", &path, "--authkey-file", "key"]).current_dir(dir.path());
    assert_eq!(run(again).1, stdout);
}

/// Whatever flag there is: it is a setting, or it says what to do.
#[test]
fn a_check_shows_every_setting() {
    let help = Command::new(env!("CARGO_BIN_EXE_aspine")).args(["server", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = help.lines().filter_map(|line| line.trim_start().strip_prefix("--")).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        &rest[..end]
    });
    let given = [
        "--unixsocket",
        "s",
        "--unixsocketperm",
        "700",
        "--core-ports",
        "0",
        "--announce-host",
        "a",
        "--admin-addr",
        "127.0.0.1:0",
    ];
    let given = [&given[..], &["--log-file", "l", "--pid-file", "p", "--check"]].concat();
    let dir = Dir::new();
    let mut cmd = aspine(&given);
    cmd.current_dir(dir.path());
    let (code, stdout, stderr) = run(cmd);
    assert_eq!(code, Some(0), "{stderr}");
    for flag in flags.filter(|flag| !["authkey", "authkey-file", "check", "config", "cores"].contains(flag)) {
        assert!(stdout.contains(&format!("{flag} = ")), "{flag} in {stdout}");
    }
}

#[test]
fn a_check_finds_what_a_start_would() {
    let mut denied = aspine(&["--check", "--cores", "1"]);
    seccomp::deny_io_uring(&mut denied, libc::EPERM);
    check_refused(denied, &["cannot use io_uring", "seccomp"]);
    let mut locked = aspine(&["--check", "--cores", "1"]);
    limits::limit_memlock(&mut locked, 0);
    check_refused(locked, &["RLIMIT_MEMLOCK"]);
    check_refused(aspine(&["--check", "--log-file", "/nowhere/log"]), &["/nowhere/log"]);
    check_refused(aspine(&["--check", "--unixsocket", "/nowhere/socket"]), &["/nowhere/socket"]);
    check_refused(aspine(&["--check", "--cores", "5000"]), &["--cores 5000"]);
}

#[test]
fn a_size_without_its_unit_is_asked_about() {
    check_refused(aspine(&["--max-memory", "512"]), &["did you mean --max-memory 512mb?"]);
    let dir = Dir::new();
    let path = file(&dir, "max-memory = 512\n");
    check_refused(aspine(&["--config", &path]), &["did you mean --max-memory 512mb?"]);
}
