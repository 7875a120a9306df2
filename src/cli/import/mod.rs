//! `aspine import`: the strings of a Redis, from its dump file or from itself, into a running server.
//!
//! Items go by the protocol, as those of any client do, in a pipeline. A file is read twice: whole, and its checksum compared,
//! before the first item is sent. What is no string is counted and named. Files: `target` (the server that gets the items),
//! `source` (the Redis that they come from).

mod source;
mod target;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use self::source::{Source, Url};
use self::target::{Outcome, Target};
use super::connect::{AskArgs, AskFlags};
use super::error::{EXIT_FAILED, Error};
use crate::limits::PROGRESS_MS;
use crate::persist::rdb::file::{Entry, RdbError, RdbFile};
use crate::runtime::unix_ms;

/// The flags of `aspine import`.
#[derive(Args)]
pub(super) struct ImportFlags {
    /// Dump file of a Redis (RDB versions 6 to 12)
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,

    /// Running Redis instead of a file: redis://USER:PASSWORD@HOST:PORT/DATABASE, of which only the host
    /// has to be there; all of its databases unless one is named; REDISCLI_AUTH may hold the password
    #[arg(long, value_name = "URL", value_parser = Url::parse)]
    from: Option<Url>,

    /// Leave keys alone that the server has already
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    flags: AskFlags,
}

impl ImportFlags {
    pub(super) fn into_args(self, authkey_is_env: bool) -> ImportArgs {
        ImportArgs { file: self.file, from: self.from, keep: self.keep, server: self.flags.into_args(authkey_is_env) }
    }
}

/// The arguments of `aspine import`.
pub(super) struct ImportArgs {
    file: Option<PathBuf>,
    from: Option<Url>,
    keep: bool,
    server: AskArgs,
}

/// Counts of what was found.
#[derive(Default)]
struct Found {
    /// Strings, those that have expired aside.
    strings: u64,
    expired: u64,
    /// By database.
    databases: BTreeMap<u64, u64>,
    /// What is no string, by what Redis calls it.
    others: BTreeMap<String, u64>,
}

impl Found {
    fn add_other(&mut self, name: &str) {
        *self.others.entry(name.to_owned()).or_default() += 1;
    }
}

fn failed(line: String) -> Error {
    Error::Command { code: EXIT_FAILED, line }
}

/// Imports a file, or what a Redis has.
pub(super) fn run(args: &ImportArgs) -> Result<(), Error> {
    let began_ms = unix_ms();
    let (found, outcome) = match (&args.file, &args.from) {
        (Some(path), _) => import_file(args, path)?,
        (None, Some(url)) => import_from(args, url)?,
        (None, None) => return Err(failed("nothing to import: give a dump file, or --from redis://host:port".into())),
    };
    report(&found, &outcome, unix_ms().saturating_sub(began_ms))
}

// ---- a file ----

fn import_file(args: &ImportArgs, path: &Path) -> Result<(Found, Outcome), Error> {
    let described = |error: &RdbError| failed(format!("{} {error}; give a whole dump file of a Redis", path.display()));
    let open = || File::open(path).map_err(RdbError::Io).and_then(RdbFile::open).map_err(|error| described(&error));
    let bytes = File::open(path).and_then(|file| file.metadata()).map_or(0, |facts| facts.len());
    // All of it is known to be whole before anything is sent.
    let mut found = Found::default();
    let mut progress = Progress::new("checked");
    let mut file = open()?;
    let now_ms = unix_ms();
    while let Some(entry) = file.next_entry().map_err(|error| described(&error))? {
        match entry {
            Entry::Item { expires_at_ms: Some(at_ms), .. } if at_ms <= now_ms => found.expired += 1,
            Entry::Item { database, .. } => *found.databases.entry(database).or_default() += 1,
            Entry::Other(name) => found.add_other(name),
        }
        progress.show(|| file.offset() * 100 / bytes.max(1));
    }
    let mut target = Target::open(&args.server, found.databases.keys().copied().max())?;
    let mut progress = Progress::new("imported");
    let mut file = open()?;
    while let Some(entry) = file.next_entry().map_err(|error| described(&error))? {
        let Entry::Item { database, key, value, expires_at_ms } = entry else { continue };
        if expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            continue;
        }
        found.strings += 1;
        target.set(database, (key, value), expires_at_ms, args.keep)?;
        progress.show(|| file.offset() * 100 / bytes.max(1));
    }
    progress.end();
    Ok((found, target.finish()?))
}

// ---- a running Redis ----

fn import_from(args: &ImportArgs, url: &Url) -> Result<(Found, Outcome), Error> {
    let mut source = Source::open(url, args.server.timeout)?;
    let databases = source.databases(url.database)?;
    let mut found = Found::default();
    let mut target = Target::open(&args.server, databases.iter().map(|(number, _)| *number).max())?;
    let keys: u64 = databases.iter().map(|(_, keys)| *keys).sum();
    let mut progress = Progress::new("imported");
    let mut seen = 0;
    for (database, _) in databases {
        source.select(database)?;
        source.each(|dumped| {
            seen += 1;
            progress.show(|| (seen * 100 / keys.max(1)).min(100));
            if let Some(name) = dumped.other_type() {
                found.add_other(name);
                return Ok(());
            }
            found.strings += 1;
            *found.databases.entry(database).or_default() += 1;
            target.restore(database, (dumped.key, dumped.payload), dumped.ttl_ms, args.keep)
        })?;
    }
    progress.end();
    Ok((found, target.finish()?))
}

// ---- what is said ----

/// A line on the terminal that says how far it is, now and then.
struct Progress {
    what: &'static str,
    shown_ms: u64,
    is_shown: bool,
    calls: u32,
}

impl Progress {
    fn new(what: &'static str) -> Progress {
        Progress { what, shown_ms: unix_ms(), is_shown: false, calls: 0 }
    }

    fn show(&mut self, percent: impl FnOnce() -> u64) {
        self.calls = self.calls.wrapping_add(1);
        if !self.calls.is_multiple_of(1024) || !io::stderr().is_terminal() {
            return;
        }
        let now_ms = unix_ms();
        if now_ms.saturating_sub(self.shown_ms) >= PROGRESS_MS {
            (self.shown_ms, self.is_shown) = (now_ms, true);
            // A failure to show progress does not matter.
            let _ = write!(io::stderr(), "\r{}: {} %   ", self.what, percent());
        }
    }

    fn end(&self) {
        if self.is_shown {
            let _ = writeln!(io::stderr());
        }
    }
}

/// Prints what became of everything. An error if something was refused.
fn report(found: &Found, outcome: &Outcome, took_ms: u64) -> Result<(), Error> {
    let refused: u64 = outcome.refused.values().sum();
    let imported = found.strings.saturating_sub(refused + outcome.kept);
    let per_s = imported * 1000 / took_ms.max(1);
    let mut lines =
        vec![format!("imported {imported} items in {}.{:03} s, {per_s} a second", took_ms / 1000, took_ms % 1000)];
    let by_database = found.databases.iter().map(|(number, items)| format!("{items} in database {number}"));
    if found.databases.keys().any(|number| *number > 0) {
        lines.push(format!("found: {}", by_database.collect::<Vec<_>>().join(", ")));
    }
    for (count, what) in [(found.expired, "had expired"), (outcome.kept, "were there already and were kept")] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    if !found.others.is_empty() {
        let named = found.others.iter().map(|(name, count)| format!("{name}: {count}"));
        lines.push(format!("left out, as only strings are stored here: {}", named.collect::<Vec<_>>().join(", ")));
    }
    for line in lines {
        // A failure to print can't be reported anywhere.
        let _ = writeln!(io::stdout(), "{line}");
    }
    match outcome.refused.iter().next() {
        None => Ok(()),
        Some((why, _)) => Err(failed(format!(
            "{refused} items were refused: {why}; give the server more --max-memory, or look at its log"
        ))),
    }
}
