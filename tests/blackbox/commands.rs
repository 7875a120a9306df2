//! Commands to a running server: ping, info, clear; and what the command line says of itself.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::pty;
use crate::support::server::{Dir, Server, Setup, free_port, run, wait_until};

/// `aspine` with `words`.
fn aspine(words: &[&str]) -> Command {
    let mut cmd = Command::new(env!("CARGO_BIN_EXE_aspine"));
    cmd.args(words).env_remove("ASPINE_AUTHKEY").env_remove("NO_COLOR").env("TERM", "xterm").stdin(Stdio::null());
    cmd
}

#[track_caller]
fn check(cmd: Command, code: i32, words: &[&str]) -> String {
    let (found, stdout, stderr) = run(cmd);
    assert_eq!(found, Some(code), "{stdout}{stderr}");
    let text = if code == 0 { &stdout } else { &stderr };
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
    if code == 0 {
        assert_eq!(stderr, "");
    } else {
        assert!(stderr.starts_with("aspine: ") && stderr.lines().count() == 1 && stderr.contains("; "), "{stderr}");
    }
    stdout
}

/// As `check` of a failure, whose text has no word of the protocol.
#[track_caller]
fn check_plain(mut cmd: Command, words: &[&str]) {
    let stderr = String::from_utf8(cmd.output().unwrap().stderr).unwrap();
    assert!(!stderr.contains("NOAUTH") && !stderr.contains("WRONGPASS") && !stderr.contains("ERR "), "{stderr}");
    check(cmd, 1, words);
}

#[test]
fn every_command_asks_for_the_key_in_plain_words() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    let server = Server::start(1, &["--authkey", "sesame", "--data-dir", data.to_str().unwrap()]);
    let port = server.addr.port().to_string();
    for words in [&["ping"][..], &["info"], &["clear", "--yes"], &["save"], &["load"], &["stop"]] {
        let words = [words, &["--port", &port]].concat();
        check_plain(aspine(&words), &["wants a key; give --authkey-file"]);
        check_plain(aspine(&[&words[..], &["--authkey", "open"]].concat()), &["refuses the given key"]);
    }
    let bench = ["bench", "--target", &server.addr.to_string(), "--requests", "1"];
    check_plain(aspine(&bench), &["wants a key; give --authkey-file"]);
    check_plain(aspine(&[&bench[..], &["--authkey", "open"]].concat()), &["refuses the given key"]);
}

#[test]
fn a_snapshot_is_told_of_in_one_line() {
    let dir = Dir::new();
    let data = dir.path().join("data");
    let server = Server::start(1, &["--data-dir", data.to_str().unwrap()]);
    let port = server.addr.port().to_string();
    let ask = |words: &[&str]| aspine(&[words, &["--port", &port]].concat());
    check(ask(&["load"]), 1, &["cannot load dump.aspine: no snapshot yet; "]);
    check(aspine(&["check", data.join("dump.aspine").to_str().unwrap()]), 1, &["no snapshot yet: there is no file "]);
    server.connect().call(&["SET", "k", "v"]);
    assert_eq!(check(ask(&["save"]), 0, &[]), format!("saved {}/dump.aspine\n", data.display()));
    assert_eq!(check(ask(&["save", "f"]), 0, &[]), format!("saved {}/f\n", data.display()));
    assert_eq!(check(ask(&["load", "f"]), 0, &[]), "loaded f; keys of the server: 1\n");
}

#[test]
fn the_version_is_a_command_too() {
    let version = check(aspine(&["version"]), 0, &[env!("CARGO_PKG_VERSION")]);
    assert_eq!(check(aspine(&["--version"]), 0, &[]), version);
}

#[test]
fn a_number_that_is_none_is_told_with_what_is_allowed() {
    for (words, says) in [
        (
            &["server", "--port", "http"][..],
            "invalid value 'http' for '--port <PORT>': not a whole number from 0 to 65535",
        ),
        (&["ping", "--port", "70000"], "'70000' for '--port <PORT>': not a whole number from 0 to 65535"),
        (
            &["stop", "--timeout", "5s"],
            "'5s' for '--timeout <SECONDS>': not a whole number from 1 to 86400; leave out the unit s",
        ),
        (&["info", "--watch=x"], "not a whole number from 1 to 86400"),
        (&["doctor", "--cores", "0"], "not a whole number from 1 to 4294967295"),
        (&["bench", "--connections", ""], "not a whole number from 1 to 65000"),
        (&["bench", "--seed", "x"], "not a whole number of 0 or more"),
        (&["bench", "--duration", "2x"], "not a time in seconds"),
    ] {
        let (code, _, stderr) = run(aspine(words));
        assert!(code == Some(2) && stderr.contains(says), "{stderr}");
    }
}

#[test]
fn ping_says_whether_a_server_answers() {
    let server = Setup::new(1, &[]).unix().start();
    let port = server.addr.port().to_string();
    assert_eq!(check(aspine(&["ping", "--port", &port]), 0, &[]), "PONG\n");
    assert_eq!(check(aspine(&["ping", "--host", "localhost", "--port", &port]), 0, &[]), "PONG\n");
    assert_eq!(check(aspine(&["ping", "--unixsocket", server.unix().to_str().unwrap()]), 0, &[]), "PONG\n");
    drop(server);
    check(aspine(&["ping", "--port", &port]), 3, &["cannot reach the server at 127.0.0.1", "--port"]);
    check(aspine(&["ping", "--unixsocket", "/nowhere/s"]), 3, &["cannot reach the server at /nowhere/s"]);
    check(aspine(&["ping", "--host", "name.invalid"]), 3, &["name.invalid"]);
}

#[test]
fn one_that_does_not_answer_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    for words in [&["ping"][..], &["info"], &["clear", "--yes"]] {
        let words = [words, &["--port", &port, "--timeout", "1"]].concat();
        check(aspine(&words), 4, &["has not answered within 1 s", "--timeout"]);
    }
}

#[test]
fn a_key_comes_from_flag_file_or_environment() {
    let dir = Dir::new();
    let file = dir.path().join("key");
    fs::write(&file, "sesame\n").unwrap();
    let server = Server::start(1, &["--authkey", "sesame"]);
    let port = server.addr.port().to_string();
    for words in [&["ping"][..], &["info"], &["clear", "--yes"]] {
        let words = [words, &["--port", &port]].concat();
        let no_key = ["wants a key; give --authkey-file PATH, or set ASPINE_AUTHKEY"];
        check_plain(aspine(&words), &no_key);
        check_plain(
            aspine(&[&words[..], &["--authkey", "open"]].concat()),
            &["refuses the given key", "--authkey-file"],
        );
        check(aspine(&[&words[..], &["--authkey", "sesame"]].concat()), 0, &[]);
        check(aspine(&[&words[..], &["--authkey-file", file.to_str().unwrap()]].concat()), 0, &[]);
        let mut by_variable = aspine(&words);
        by_variable.env("ASPINE_AUTHKEY", "sesame");
        check(by_variable, 0, &[]);
        check(aspine(&[&words[..], &["--authkey-file", "/nowhere/key"]].concat()), 1, &["/nowhere/key"]);
    }
}

#[test]
fn info_is_for_people_and_for_programs() {
    let server = Server::start(2, &[]);
    let port = server.addr.port().to_string();
    let mut conn = server.connect();
    conn.call(&["SET", "k", "v", "EX", "1000"]);
    let text = check(aspine(&["info", "--port", &port]), 0, &["# Server\n", "\naspine_version:", "\ndb0:keys=1,"]);
    assert!(!text.contains('\r') && !text.contains('\x1b'), "{text}");
    let text = check(aspine(&["info", "keyspace", "--port", &port]), 0, &[]);
    assert!(text.starts_with("# Keyspace\ndb0:keys=1"), "{text}");
    check(aspine(&["info", "nothing", "--port", &port]), 1, &["no section \"nothing\""]);
    let json = check(aspine(&["info", "--json", "--port", &port]), 0, &[]);
    assert_eq!(json.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["keyspace"]["db0"]["keys"], 1);
    assert_eq!(json["server"]["process_id"], server.pid());
    assert!(json["server"]["aspine_version"].is_string());
}

#[test]
fn info_goes_on_until_the_server_or_the_reader_has_gone() {
    let mut server = Server::start(1, &[]);
    let port = server.addr.port().to_string();
    let mut cmd = aspine(&["info", "clients", "--json", "--watch", "--port", &port]);
    let mut child = cmd.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["clients"]["connected_clients"], 1);
    }
    let mut text = aspine(&["info", "clients", "--watch=1", "--port", &port]);
    let mut reader = text.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "# Clients");
    drop(said);
    let mut status = None;
    wait_until("the end of who writes to nobody", || {
        status = reader.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
    assert_eq!(server.stop().code(), Some(0));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has ended the connection"), "{output:?}");
}

#[test]
fn a_watched_info_fits_its_terminal_and_shows_changes() {
    let mut server = Server::start(1, &[]);
    let port = server.addr.port().to_string();
    let words = ["info", "stats", "--watch", "--port", &port];
    let (shown, status) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| pty::run_sized(&mut aspine(&words), "", 10, 60));
        let mut conn = server.connect();
        wait_until("a third look", || {
            conn.call(&["PING"]);
            let usage = conn.call(&["INFO", "commandstats"]);
            let calls = usage.lines().find_map(|line| line.strip_prefix("cmdstat_info:calls="));
            // Each look of this test is one too, so those of pings are fewer.
            let number = |line: &str| line.split(',').next().and_then(|calls| calls.parse::<u64>().ok()).unwrap_or(0);
            let pings = usage.lines().find_map(|line| line.strip_prefix("cmdstat_ping:calls=")).map_or(0, number);
            calls.map_or(0, number) >= pings + 3
        });
        server.stop();
        watching.join().unwrap()
    });
    assert_eq!(status.code(), Some(3), "{shown}");
    let screens: Vec<_> = shown.split("\x1b[H").skip(1).collect();
    assert!(screens.len() >= 3, "{shown}");
    for screen in &screens[..3] {
        let plain = screen.replace("\x1b[K", "").replace("\x1b[J", "").replace("\x1b[1m", "").replace("\x1b[0m", "");
        let rows: Vec<_> = plain.lines().collect();
        assert!(rows.len() < 10 && rows.iter().all(|row| row.chars().count() <= 60), "{plain}");
        assert!(plain.contains("# Stats") && plain.contains("more lines: name a section"), "{plain}");
    }
    assert!(screens[2].contains("total_commands_processed:") && screens[2].contains("/s)"), "{shown}");
}

#[test]
fn clear_asks_first() {
    let server = Server::start(2, &[]);
    let port = server.addr.port().to_string();
    let mut conn = server.connect();
    let mut fill = || {
        for key in 0..20 {
            conn.call(&["SET", &format!("k{key}"), "v"]);
        }
        conn.number(&["DBSIZE"])
    };
    assert_eq!(fill(), 20);
    check(aspine(&["clear", "--port", &port]), 1, &["no terminal", "--yes"]);
    for (answer, code, left) in [("n\n", 1, 20), ("\n", 1, 20), ("yess\n", 1, 20), ("y\n", 0, 0), ("YES\n", 0, 0)] {
        assert_eq!(fill(), 20);
        let (shown, status) = pty::run(&mut aspine(&["clear", "--port", &port]), answer);
        assert!(shown.contains(&format!("Delete all 20 keys of the server at 127.0.0.1:{port}? [y/N]")), "{shown}");
        assert_eq!(status.code(), Some(code), "{answer:?}: {shown}");
        let says = if code == 0 { "deleted 20 keys" } else { "nothing was deleted" };
        assert!(shown.contains(says), "{shown}");
        assert_eq!(server.connect().number(&["DBSIZE"]), left, "{answer:?}");
    }
    assert_eq!(fill(), 20);
    check(aspine(&["clear", "--yes", "--port", &port]), 0, &["deleted 20 keys"]);
    assert_eq!(server.connect().number(&["DBSIZE"]), 0);
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let server = Server::start(1, &[]);
    let port = server.addr.port().to_string();
    let nobody = free_port().to_string();
    for words in
        [&["info", "--port", &port][..], &["ping", "--port", &nobody], &["--help"], &["server", "--cores", "x"]]
    {
        let (shown, _) = pty::run(&mut aspine(words), "");
        assert!(shown.contains("\x1b["), "{words:?} {shown}");
        let (shown, _) = pty::run(aspine(words).env("NO_COLOR", "1"), "");
        assert!(!shown.contains("\x1b["), "{words:?} {shown}");
        let (_, stdout, stderr) = run(aspine(words));
        assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "{words:?}");
    }
    // The log of a server, too.
    let words = ["server", "--cores", "1", "--port", "0", "--maxclients", "100", "--drain-timeout", "bad"];
    let (shown, status) = pty::run(aspine(&words).env("NO_COLOR", "1"), "");
    assert!(status.code() == Some(2) && !shown.contains('\x1b'), "{shown}");
}

#[test]
fn a_terminal_shows_once_that_a_server_is_ready_and_what_it_keeps() {
    let port = free_port().to_string();
    let words = ["server", "--cores", "1", "--maxclients", "100", "--port", &port];
    for (more, keeps) in [(&[][..], true), (&["--max-size", "1000"], false)] {
        let words = [&words[..], more].concat();
        let (shown, status) = std::thread::scope(|scope| {
            let serving = scope.spawn(|| pty::run(&mut aspine(&words), ""));
            wait_until("the server", || aspine(&["ping", "--port", &port]).output().unwrap().status.success());
            check(aspine(&["stop", "--port", &port]), 0, &["has ended"]);
            serving.join().unwrap()
        });
        assert_eq!(status.code(), Some(0), "{shown}");
        assert_eq!(shown.matches("ready: listening on").count(), 1, "{shown}");
        let note = "\x1b[1;33m (AT MOST 1000 ITEMS: the default bound; give --max-memory 1gb to keep more)\x1b[0m";
        assert_eq!(shown.contains(note), keeps, "{shown}");
    }
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let dir = Dir::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = aspine(&["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["server", "max-memory", "pid-file", "completions"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
        let path = dir.path().join(shell);
        fs::write(&path, script).unwrap();
        if shell == "bash" {
            let (code, _, stderr) = run({
                let mut bash = Command::new("bash");
                bash.arg("-n").arg(&path);
                bash
            });
            assert_eq!(code, Some(0), "{stderr}");
            let complete = format!(
                "source {}; COMP_WORDS=(aspine st); COMP_CWORD=1; _aspine aspine st aspine; echo \"${{COMPREPLY[@]}}\"",
                path.display()
            );
            let mut bash = Command::new("bash");
            bash.args(["-c", &complete]);
            assert_eq!(run(bash).1, "stop\n");
        }
    }
    let output = aspine(&["completions", "tcsh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let dir = Dir::new();
    let page = String::from_utf8(aspine(&["man"]).output().unwrap().stdout).unwrap();
    assert!(page.contains(".TH aspine 1") && page.contains("Exit codes"), "{page}");
    check(aspine(&["man", "server"]), 0, &[".TH aspine-server 1", "drain\\-timeout", "Exit codes"]);
    check(aspine(&["man", "nothing"]), 1, &["no manual page aspine-nothing"]);
    check(aspine(&["man", "--dir", "/nowhere"]), 1, &["/nowhere/aspine.1", "--dir"]);
    check(aspine(&["man", "--dir", dir.path().to_str().unwrap()]), 0, &[]);
    let mut pages: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let help = String::from_utf8(aspine(&["--help"]).output().unwrap().stdout).unwrap();
    let commands = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        let path = dir.path().join(format!("aspine-{name}.1"));
        assert!(name == "help" || pages.contains(&path), "{name}: {pages:?}");
    }
}

#[test]
fn exit_codes_are_documented_where_they_are_looked_for() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    for words in [&["--help"][..], &["stop", "--help"], &["server", "--help"], &["ping", "--help"]] {
        let output = aspine(words).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Exit codes:") && help.contains("  3  no server is there"), "{help}");
    }
    for code in 0..=4 {
        assert!(page.contains(&format!("\n| {code} | ")), "exit code {code} in docs/operations.md");
    }
}

#[test]
fn wrong_words_end_with_2() {
    for words in [&["frobnicate"][..], &["ping", "--port", "x"], &["info", "--watch=0"], &["clear", "maybe"], &[]] {
        let (code, _, stderr) = run(aspine(words));
        assert_eq!(code, Some(2), "{words:?}: {stderr}");
    }
}
