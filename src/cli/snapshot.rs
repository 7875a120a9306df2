//! `aspine save`, `aspine load`: a command to a running server, with its progress. `aspine check`: reads a file through.
//!
//! Each prints one line when it is done. Never: touches a snapshot of a running server by itself. Errors are one line: what failed: why; what to do.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::conn::Conn;
use super::connect::{ConnectArgs, ConnectFlags};
use super::error::Error;
use crate::client::Value;
use crate::limits::{COMMAND_TIMEOUT_S_DEFAULT, PROGRESS_MS, SNAPSHOT_NAME_DEFAULT};
use crate::persist::{LoadError, Source};
use crate::runtime::files::PlainFile;
use crate::runtime::unix_ms;

/// The flags of `aspine save` and `aspine load`.
#[derive(Args)]
pub(super) struct SnapshotFlags {
    /// File in the server's data directory [default: dump.aspine]
    #[arg(value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    server: ConnectFlags,
}

impl SnapshotFlags {
    pub(super) fn into_args(self, authkey_is_env: bool) -> SnapshotArgs {
        SnapshotArgs { name: self.name, server: self.server.into_args(authkey_is_env) }
    }
}

/// The arguments of `aspine save` or `aspine load`.
#[derive(Clone, Debug)]
pub struct SnapshotArgs {
    /// The name of the file, if it is not the default one.
    pub name: Option<String>,
    /// The server's location.
    pub server: ConnectArgs,
}

impl SnapshotArgs {
    /// The name of the file.
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(SNAPSHOT_NAME_DEFAULT)
    }
}

/// Makes a server take a snapshot.
pub fn save(args: &SnapshotArgs) -> Result<(), Error> {
    let mut words = vec!["SAVE".to_owned()];
    words.extend(args.name.clone());
    let mut conn = run(args, "save", &words)?;
    let path = in_data_dir(&mut conn, args.name())?;
    // A failure to print can't be reported anywhere.
    let _ = writeln!(io::stdout(), "saved {path}");
    Ok(())
}

/// Makes a server load a snapshot.
pub fn load(args: &SnapshotArgs, merge: bool) -> Result<(), Error> {
    let mut words = vec!["ASPINE.LOAD".to_owned()];
    words.extend(args.name.clone());
    words.push(if merge { "MERGE" } else { "REPLACE" }.to_owned());
    let mut conn = run(args, "load", &words)?;
    let keys = conn.text(&["DBSIZE"])?;
    let _ = writeln!(io::stdout(), "loaded {}; keys of the server: {keys}", args.name());
    Ok(())
}

/// The path of a snapshot on the server's machine, if the server tells it; else its name.
fn in_data_dir(conn: &mut Conn, name: &str) -> Result<String, Error> {
    let pairs = match conn.call(&["CONFIG", "GET", "dir"])? {
        Value::Map(pairs) => pairs,
        _ => Vec::new(),
    };
    match pairs.first() {
        Some((_, Value::Bulk(Some(dir)))) if !dir.is_empty() => Ok(format!("{}/{name}", String::from_utf8_lossy(dir))),
        _ => Ok(name.to_owned()),
    }
}

/// Sends the command and shows its progress. Returns a connection for further questions.
fn run(args: &SnapshotArgs, what: &str, words: &[String]) -> Result<Conn, Error> {
    let timeout = Duration::from_secs(COMMAND_TIMEOUT_S_DEFAULT);
    let mut conn = Conn::open(&args.server, timeout)?;
    let mut watcher = Conn::open(&args.server, timeout)?;
    conn.send(words)?;
    let mut shown = false;
    let answer = loop {
        if let Some(answer) = conn.answer_within(Duration::from_millis(PROGRESS_MS))? {
            break answer;
        }
        if io::stderr().is_terminal() {
            let info = watcher.text(&["INFO", "persistence"])?;
            shown = true;
            // A failure to show progress does not matter.
            let _ = write!(io::stderr(), "\r{what}: {}   ", progress(&info));
        }
    };
    if shown {
        let _ = writeln!(io::stderr());
    }
    match answer {
        Err(text) => {
            let why = text.strip_prefix("ERR ").unwrap_or(&text);
            let why = why.strip_prefix(&format!("cannot {what} ")).unwrap_or(why);
            let hint = if why.contains("; ") { "" } else { "; the server's log may say more" };
            Err(Error::Snapshot(format!("cannot {what} {why}{hint}")))
        }
        Ok(_) => Ok(watcher),
    }
}

/// The progress in INFO.
fn progress(info: &str) -> String {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("0");
    if field("loading") == "1" {
        return format!("{} %", field("loading_loaded_perc"));
    }
    let (done, total) = (field("current_save_keys_processed"), field("current_save_keys_total"));
    format!("{done} of {total} items")
}

/// Counts of a snapshot's content.
#[derive(Default)]
struct Counts {
    items: u64,
    key_bytes: u64,
    value_bytes: u64,
    value_bytes_max: usize,
    timed: u64,
    expired: u64,
    oldest_s: Option<u64>,
    newest_s: Option<u64>,
}

/// Reads a snapshot through and prints a summary.
pub fn check(path: &Path) -> Result<(), String> {
    let failed = |error: LoadError| match error {
        LoadError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("no snapshot yet: there is no file {}; take one with aspine save", path.display())
        }
        LoadError::Io(error) => format!("cannot read {}: {error}; give a snapshot this user may read", path.display()),
        LoadError::Damage { .. } | LoadError::Database { .. } => {
            format!("{} is {error}; take one that is whole", path.display())
        }
    };
    let now_ms = unix_ms();
    let mut source = PlainFile::open(path, 0).map_err(LoadError::Io).and_then(Source::open).map_err(failed)?;
    let mut counts = Counts::default();
    source
        .read(|item| {
            let record = item.record;
            counts.items += 1;
            counts.key_bytes += record.key.len() as u64;
            counts.value_bytes += record.value.len() as u64;
            counts.value_bytes_max = counts.value_bytes_max.max(record.value.len());
            counts.timed += u64::from(record.expires_at_ms.is_some());
            counts.expired += u64::from(record.expires_at_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms));
            let accessed_s = record.accessed_s;
            counts.oldest_s = Some(counts.oldest_s.map_or(accessed_s, |oldest| oldest.min(accessed_s)));
            counts.newest_s = Some(counts.newest_s.map_or(accessed_s, |newest| newest.max(accessed_s)));
            true
        })
        .map_err(failed)?;
    let summary = source.summary();
    let age_s = |then_s: u64| (now_ms / 1000).saturating_sub(then_s);
    let Counts { items, key_bytes, value_bytes, value_bytes_max, timed, expired, oldest_s, newest_s } = counts;
    let mut out = io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").map_err(|error| format!("cannot print: {error}; "));
    say(format!("{}: whole", path.display()))?;
    say(format!("taken      {} s ago, by {} cores", age_s(summary.header.created_ms / 1000), summary.header.cores))?;
    say(format!("file       {} bytes, {} blocks", summary.bytes, summary.blocks))?;
    say(format!("items      {items}, of these {timed} with a time to live, {expired} expired by now"))?;
    say(format!("keys       {key_bytes} bytes"))?;
    say(format!("values     {value_bytes} bytes, {value_bytes_max} the longest"))?;
    if let (Some(oldest_s), Some(newest_s)) = (oldest_s, newest_s) {
        say(format!("last used  {} to {} s ago", age_s(newest_s), age_s(oldest_s)))?;
    }
    Ok(())
}
