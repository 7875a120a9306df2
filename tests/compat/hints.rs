//! What redis-cli hints to whoever types a command at a terminal: it asks the server for the syntax (COMMAND DOCS).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::generator::Other;
use crate::left_out;
use crate::support::conn::Conn;
use crate::support::pty;
use crate::support::server::{DEADLINE, Server};

/// Wide enough for every hint: redis-cli cuts what does not fit.
const ROWS_AND_COLUMNS: (u16, u16) = (24, 400);

/// What redis-cli puts around a hint: grey, and the end of it.
const GREY: &str = "\x1b[0;90;49m";
const PLAIN: &str = "\x1b[0m";

/// Ctrl-U: the line is deleted.
const DELETE_LINE: &str = "\x15";

/// A redis-cli at a terminal, until the end of the test.
struct Cli {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was shown behind what was waited for last.
    shown: String,
}

impl Cli {
    fn start(server: SocketAddr) -> Option<Cli> {
        let (rows, columns) = ROWS_AND_COLUMNS;
        let (mut terminal, program) = pty::open(rows, columns);
        let side = || program.try_clone().unwrap();
        let mut cmd = Command::new("redis-cli");
        cmd.args(["-p", &server.port().to_string()]).env("TERM", "xterm").env("HOME", "/nonexistent");
        let Ok(child) = cmd.stdin(side()).stdout(side()).stderr(side()).spawn() else {
            left_out("redis-cli", "apt-get install redis-tools");
            return None;
        };
        let keyboard = terminal.try_clone().unwrap();
        let (read, screen) = mpsc::channel();
        // Ends with EIO once nobody has the other side, which is when redis-cli and the command are gone.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len) = terminal.read(&mut bytes) {
                if len == 0 || read.send(bytes[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut cli = Cli { child, keyboard, screen, shown: String::new() };
        cli.wait_for("> ");
        Some(cli)
    }

    fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// What it shows until `end`.
    #[track_caller]
    fn wait_for(&mut self, end: &str) -> String {
        loop {
            if let Some((before, behind)) = self.shown.split_once(end) {
                let (before, behind) = (before.to_owned(), behind.to_owned());
                self.shown = behind;
                return before;
            }
            let Ok(more) = self.screen.recv_timeout(DEADLINE) else { panic!("no {end:?} in {:?}", self.shown) };
            self.shown.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    /// The hint behind such a line.
    #[track_caller]
    fn hint(&mut self, line: &str) -> String {
        self.type_in(line);
        self.wait_for(&format!("> {line}{GREY}"));
        let hint = self.wait_for(PLAIN);
        self.type_in(DELETE_LINE);
        hint
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Commands with a syntax of their own: more than redis-server 7.0 has, less, or another name of the same thing.
const OTHERS: [&str; 12] = [
    "auth",
    "bgsave",
    "bitfield",
    "debug",
    "hello",
    "lolwut",
    "replicaof",
    "save",
    "set",
    "slaveof",
    "sort",
    "sort_ro",
];

/// The names of a server's commands, subcommands aside.
fn commands(server: SocketAddr) -> BTreeSet<String> {
    let text = Conn::tcp(server).call(&["COMMAND", "LIST"]);
    let words = text.split("\r\n").filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
    words.filter(|word| !word.contains('|')).map(str::to_owned).collect()
}

#[test]
fn redis_cli_hints_the_syntax_as_of_redis() {
    let flags = |port: &str| ["--port", port, "--save", ""].map(str::to_owned).to_vec();
    let Some(redis) = Other::start("redis-server", "redis-server", flags) else { return };
    let server = Server::start(2, &[]);
    let redis_addr = SocketAddr::from(([127, 0, 0, 1], redis.port));
    let Some(mut ours) = Cli::start(server.addr) else { return };
    let mut theirs = Cli::start(redis_addr).unwrap();
    let both: Vec<String> = commands(server.addr).intersection(&commands(redis_addr)).cloned().collect();
    assert!(both.len() > 90 && OTHERS.iter().all(|name| both.contains(&(*name).to_owned())), "{both:?}");
    for name in both {
        let line = format!("{name} ");
        let is_same = ours.hint(&line) == theirs.hint(&line);
        assert_eq!(
            is_same,
            !OTHERS.contains(&name.as_str()),
            "{name}: {:?} and {:?}",
            ours.hint(&line),
            theirs.hint(&line)
        );
    }
}

#[test]
fn redis_cli_hints_what_no_redis_of_its_time_had() {
    let server = Server::start(2, &[]);
    let Some(mut cli) = Cli::start(server.addr) else { return };
    assert_eq!(cli.hint("delex "), "key [IFEQ value|IFNE value|IFDEQ digest|IFDNE digest]");
    let set = cli.hint("set k v ");
    assert!(set.starts_with("[NX|XX|IFEQ value|IFNE value") && set.ends_with("KEEPTTL]"), "{set}");
    let limit = cli.hint("cl.throttle ");
    assert!(limit.starts_with("key max-burst count period"), "{limit}");
    // Beside the database it is in, and what it says of a command.
    cli.type_in("select 1\r");
    cli.wait_for("[1]> ");
    assert_eq!(cli.hint("get "), "key");
    cli.type_in("help delex\r");
    cli.wait_for("DELEX");
    cli.wait_for("since:");
    assert!(cli.wait_for("group:").contains("8.4.0"));
}
