//! `aspine info`: the INFO of a running server, as text or JSON, once or periodically; periodically on a terminal as a
//! `screen` with changes.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use self::screen::{Room, Watcher};
use super::connect::{AskArgs, AskFlags};
use super::error::{EXIT_FAILED, EXIT_NO_SERVER, Error};
use super::number::whole;
use crate::limits::COMMAND_TIMEOUT_S_MAX;
use crate::runtime::clock::stopwatch_ns;
use crate::service::logging::wants_colour;

mod screen;

/// The flags. The doc comments of the fields are the help texts.
#[derive(Args)]
pub(super) struct InfoFlags {
    /// One section, as server, memory, stats, commandstats; or all, or everything [default: the default sections]
    #[arg(value_name = "SECTION")]
    section: Option<String>,

    /// Print JSON: an object of sections, in one line
    #[arg(long)]
    json: bool,

    /// Repeat every so many seconds, until Ctrl-C: --watch for every second, --watch=5 for every fifth. On a terminal with
    /// what has changed, and how fast
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    #[arg(value_parser = whole(1..=COMMAND_TIMEOUT_S_MAX))]
    watch: Option<u64>,

    #[command(flatten)]
    ask: AskFlags,
}

/// The arguments of `aspine info`.
#[derive(Debug)]
pub(super) struct InfoArgs {
    section: Option<String>,
    json: bool,
    watch_s: Option<u64>,
    ask: AskArgs,
}

impl InfoFlags {
    pub(super) fn into_args(self, authkey_is_env: bool) -> InfoArgs {
        let ask = self.ask.into_args(authkey_is_env);
        InfoArgs { section: self.section, json: self.json, watch_s: self.watch, ask }
    }
}

/// Prints INFO, once or until the server or the reader is gone.
pub(super) fn run(args: &InfoArgs) -> Result<(), Error> {
    let mut conn = args.ask.open()?;
    let mut words = vec!["INFO"];
    words.extend(args.section.as_deref());
    let stdout = io::stdout();
    let (is_screen, colour) = (args.watch_s.is_some() && stdout.is_terminal() && !args.json, wants_colour(&stdout));
    let mut watcher = Watcher::default();
    loop {
        let said = conn.text(&words)?;
        if said.trim().is_empty() {
            let section = args.section.as_deref().unwrap_or_default();
            let line = format!("no section {section:?} in INFO; give one of those that aspine info everything shows");
            return Err(Error::Command { code: EXIT_FAILED, line });
        }
        let text = if args.json {
            to_json(&said).to_string() + "\n"
        } else if is_screen {
            // Asked anew each time, since a window may be resized.
            watcher.draw(&said, stopwatch_ns(), room(&stdout), colour)
        } else {
            to_text(&said, colour)
        };
        let printed = write!(&stdout, "{text}").and_then(|()| (&stdout).flush());
        // A reader that closes the pipe, as head does, is no error.
        let (Some(seconds), Ok(())) = (args.watch_s, printed) else { return Ok(()) };
        if !args.json && !is_screen {
            let _ = writeln!(&stdout);
        }
        // No command was sent, so no answer comes; but the end of the connection is noticed at once.
        if conn.answer_within(Duration::from_secs(seconds)).is_err() {
            let line = format!("the server at {} has ended the connection; see its log", args.ask.server);
            return Err(Error::Command { code: EXIT_NO_SERVER, line });
        }
    }
}

/// The room of a terminal. One that does not tell has the size of the first ones.
fn room(stdout: &io::Stdout) -> Room {
    match rustix::termios::tcgetwinsize(stdout) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            Room { rows: size.ws_row.into(), columns: size.ws_col.into() }
        }
        _ => Room { rows: 24, columns: 80 },
    }
}

/// The text output: the server's lines with this system's line ends, headings in bold on a terminal.
fn to_text(said: &str, colour: bool) -> String {
    let mut text = String::new();
    for line in said.lines() {
        match line.strip_prefix("# ").filter(|_| colour) {
            Some(heading) => text.push_str(&format!("\x1b[1m# {heading}\x1b[0m")),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The JSON output: sections as objects, in lower case; rows of `name=value` as objects too.
fn to_json(said: &str) -> Value {
    let mut sections = Map::new();
    let mut section = String::new();
    for line in said.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            section = heading.to_ascii_lowercase();
            sections.insert(section.clone(), Value::Object(Map::new()));
        } else if let Some((name, value)) = line.split_once(':')
            && let Some(Value::Object(fields)) = sections.get_mut(&section)
        {
            fields.insert(name.to_owned(), field(name, value));
        }
    }
    Value::Object(sections)
}

fn field(name: &str, value: &str) -> Value {
    let pairs: Option<Vec<_>> = value.split(',').map(|part| part.split_once('=')).collect();
    match pairs {
        Some(pairs) => {
            pairs.into_iter().map(|(name, value)| (name.to_owned(), scalar(name, value))).collect::<Map<_, _>>().into()
        }
        None => scalar(name, value),
    }
}

/// A JSON value: a number if it is one, but not a version, nor a text with more digits than a number holds.
fn scalar(name: &str, value: &str) -> Value {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    if name.ends_with("version") || !is_number {
        return value.into();
    }
    if let Ok(number) = value.parse::<i64>() {
        return number.into();
    }
    match value.parse::<f64>() {
        Ok(number) if value.contains('.') => number.into(),
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_becomes_objects() {
        let said = "# Server\r\nredis_version:7.4\r\nprocess_id:12\r\nload:0.25\r\nrun_id:12345678901234567890123\r\n\
                    os:Linux 6.1\r\nempty:\r\n\r\n# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=1.5\r\n";
        let expected = serde_json::json!({
            "server": {
                "redis_version": "7.4", "process_id": 12, "load": 0.25, "run_id": "12345678901234567890123",
                "os": "Linux 6.1", "empty": ""
            },
            "keyspace": { "db0": { "keys": 2, "expires": 0, "avg_ttl": 1.5 } },
        });
        assert_eq!(to_json(said), expected);
    }

    #[test]
    fn only_a_terminal_gets_colour() {
        assert_eq!(to_text("# A\r\nb:1\r\n", false), "# A\nb:1\n");
        assert_eq!(to_text("# A\r\nb:1\r\n", true), "\x1b[1m# A\x1b[0m\nb:1\n");
    }
}
