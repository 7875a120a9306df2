//! The log: lines on stderr or appended to a file, written by a thread of their own.
//!
//! Owner: `cli::server` holds the guard; every core logs through `tracing`. A core never waits for
//! the log: lines go into a queue, filled by all threads, drained by the log's thread, bound
//! `LOG_QUEUE_LINES_MAX`; when the queue or the disk is full, lines are lost, and the next line
//! that can be written says how many.
//! At SIGHUP the file is reopened by the thread that handles the signal, so that the file exists at once and an error is
//! reported; the log's thread continues in it with the next line.
//! Never: blocks a core, renames or removes a file.
//! Weakness: lines still queued when the process aborts are lost, so a panic is also written to
//! stderr directly.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::stdio::{dup2_stderr, dup2_stdout};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

use crate::config::LogLevel;
use crate::host::StartError;
use crate::limits::LOG_QUEUE_LINES_MAX;

/// Keeps the log's thread alive. Dropping it writes the queued lines, for at most about a second.
#[must_use = "dropping it ends the log"]
pub struct LogGuard(#[expect(dead_code, reason = "held for its Drop")] WorkerGuard);

/// Starts the log of this process at `level`, into `file` or on stderr. `is_daemon`: stdout and stderr are the file too, as
/// soon as it is opened again. A second call changes nothing: the first log stays.
pub fn init(level: LogLevel, file: Option<&Path>, is_daemon: bool) -> Result<LogGuard, StartError> {
    let (out, ansi): (Out, bool) = match file {
        Some(path) => {
            let (next, renewed) = channel();
            let _ = FILE.set(LogFile { path: path.to_owned(), next, is_daemon });
            (Out::File { file: open(path)?, renewed }, false)
        }
        None => (Out::Stderr, wants_colour(&io::stderr())),
    };
    let (subscriber, level, guard) = subscriber(level, out, ansi, LOG_QUEUE_LINES_MAX);
    // This fails only if a log exists already, in a test that starts twice.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = LEVEL.set(level);
    }
    Ok(guard)
}

/// Changes the least severe level that is logged.
pub(crate) fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // This fails only if the log has ended.
        let _ = handle.reload(filter(level));
    }
}

/// Reopens the log's file, if it has one, under its name, and returns the name. After a rename or removal of the file, lines
/// go to a new one from then on.
pub(crate) fn reopen() -> Result<Option<&'static Path>, StartError> {
    let Some(LogFile { path, next, is_daemon }) = FILE.get() else { return Ok(None) };
    let file = open(path)?;
    if *is_daemon {
        let failed = |source: rustix::io::Errno| StartError::LogFile { path: path.clone(), source: source.into() };
        dup2_stdout(&file).map_err(failed)?;
        dup2_stderr(&file).map_err(failed)?;
    }
    // The log's thread lives as long as the process.
    let _ = next.send(file);
    Ok(Some(path))
}

/// The log's file, for reopening.
struct LogFile {
    path: PathBuf,
    /// The channel to the log's thread.
    next: Sender<File>,
    /// Whether stdout and stderr are the file too.
    is_daemon: bool,
}

static FILE: OnceLock<LogFile> = OnceLock::new();

/// The handle to change the level of the log.
type LevelHandle = reload::Handle<LevelFilter, Registry>;

static LEVEL: OnceLock<LevelHandle> = OnceLock::new();

/// Opens a file for appending lines.
pub fn open(path: &Path) -> Result<File, StartError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .map_err(|source| StartError::LogFile { path: path.to_owned(), source })
}

/// Whether to use colour: on a terminal, unless `NO_COLOR` is set and not empty (no-color.org).
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn subscriber(
    level: LogLevel,
    out: impl Write + Send + 'static,
    ansi: bool,
    lines_max: usize,
) -> (impl tracing::Subscriber + Send + Sync, LevelHandle, LogGuard) {
    let dropped = Arc::new(OnceLock::new());
    let out = LossReporter::new(out, Arc::clone(&dropped));
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(lines_max).thread_name("aspine-log").finish(out);
    // Set once, just made.
    let _ = dropped.set(writer.error_counter());
    let (level, handle) = reload::Layer::new(filter(level));
    let lines =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi).with_target(false).with_timer(UtcMs);
    (tracing_subscriber::registry().with(level).with(lines), handle, LogGuard(guard))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Where lines end up. Unbuffered: one write a line, so that a line is never half in a buffer when
/// the process ends.
enum Out {
    Stderr,
    File {
        file: File,
        /// The files to go on in.
        renewed: Receiver<File>,
    },
}

impl Write for Out {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Out::Stderr => io::stderr().write(buf),
            Out::File { file, renewed } => {
                if let Some(next) = renewed.try_iter().last() {
                    *file = next;
                }
                file.write(buf)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Neither has a buffer.
        Ok(())
    }
}

/// Writes whole lines to `out`, counts those that are lost, and says so as soon as it can write
/// again. Lives on the log's thread.
struct LossReporter<W> {
    out: W,
    /// Lines that found the queue full. Set right after this is made, since the queue is made with
    /// it.
    dropped: Arc<OnceLock<ErrorCounter>>,
    /// Lines that could not be written.
    unwritten: usize,
    /// Of both, how many have been told.
    told: usize,
    /// Lines written since then.
    lines_since_told: usize,
}

impl<W: Write> LossReporter<W> {
    fn new(out: W, dropped: Arc<OnceLock<ErrorCounter>>) -> Self {
        LossReporter { out, dropped, unwritten: 0, told: 0, lines_since_told: 0 }
    }

    fn tell_losses(&mut self) {
        let lost = self.unwritten + self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        let untold = lost - self.told;
        if untold == 0 {
            return;
        }
        let line = format!(
            "{}  WARN {untold} log lines lost: the log could not take them as fast as they came\n",
            Stamp::now()
        );
        if self.out.write_all(line.as_bytes()).is_ok() {
            self.told = lost;
            self.lines_since_told = 0;
        }
    }
}

impl<W: Write> Write for LossReporter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.out.write_all(line) {
            Ok(()) => self.lines_since_told += 1,
            Err(_) => self.unwritten += 1,
        }
        // In a flood the queue never runs empty: then once a queue's worth of lines.
        if self.lines_since_told >= LOG_QUEUE_LINES_MAX {
            self.tell_losses();
            self.lines_since_told = 0;
        }
        Ok(line.len())
    }

    /// Called when the queue has run empty.
    fn flush(&mut self) -> io::Result<()> {
        self.tell_losses();
        self.out.flush()
    }
}

/// The wall clock as `2026-01-31T23:59:59.123Z`.
struct UtcMs;

impl FormatTime for UtcMs {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{}", Stamp::now())
    }
}

/// Milliseconds since 1970, shown as RFC 3339 in UTC.
struct Stamp(u64);

impl Stamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the time of a log line is when it is written, not when its turn began"
    )]
    fn now() -> Stamp {
        // A clock before 1970 is shown as 1970.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, ms) = (self.0 / 1000, self.0 % 1000);
        let (days, s) = (s / 86400, s % 86400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (s / 3600, s / 60 % 60, s % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Year, month and day, `days` days after 1970-01-01 in the Gregorian calendar. Years are counted
/// from March, so that the leap day is their last; 719468 days lie between 0000-03-01 and
/// 1970-01-01, 146097 in 400 years.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn stamps_are_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_210_096_007, "2024-02-29T12:34:56.007Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Stamp(ms).to_string(), text);
        }
    }

    #[test]
    fn lines_below_the_level_are_left_out() {
        let path = std::env::temp_dir().join(format!("aspine-log-{}", std::process::id()));
        fs::write(&path, "before\n").unwrap();
        let (_next, renewed) = channel();
        let out = Out::File { file: open(&path).unwrap(), renewed };
        let (subscriber, _level, guard) = subscriber(LogLevel::Warn, out, false, 64);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("too quiet");
            tracing::warn!("core {} is \x1b[31mred", 3);
        });
        drop(guard);
        let log = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (first, second) = log.split_once('\n').unwrap();
        assert_eq!(first, "before", "appended");
        assert!(second.contains("Z  WARN core 3 is ") && second.ends_with("red\n"), "{second:?}");
        assert!(!second.contains('\x1b'), "what a client sends can't colour the log: {second:?}");
    }

    #[test]
    fn a_file_is_made_private_to_owner_and_group_or_the_error_names_it() {
        let path = std::env::temp_dir().join(format!("aspine-log-mode-{}", std::process::id()));
        let mode = open(&path).unwrap().metadata().unwrap().permissions().mode();
        fs::remove_file(&path).unwrap();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
        let error = open(Path::new("/nowhere/aspine.log")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/aspine.log"), "{error}");
    }

    /// A disk that takes its first line only when told to, and passes on what it got.
    struct SlowDisk {
        entered: Sender<()>,
        gate: Option<Receiver<()>>,
        lines: Sender<String>,
    }

    impl Write for SlowDisk {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            if let Some(gate) = self.gate.take() {
                self.entered.send(()).unwrap();
                gate.recv().unwrap();
            }
            self.lines.send(String::from_utf8(buf.to_vec()).unwrap()).unwrap();
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_disk_loses_lines_and_says_how_many() {
        let (entered, is_stuck) = channel();
        let (open_gate, gate) = channel();
        let (lines, written) = channel();
        let disk = SlowDisk { entered, gate: Some(gate), lines };
        let (subscriber, _level, guard) = subscriber(LogLevel::Info, disk, false, 4);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("line 0");
            is_stuck.recv().unwrap();
            for n in 1..=10 {
                tracing::info!("line {n}");
            }
        });
        open_gate.send(()).unwrap();
        drop(guard);
        let written: Vec<String> = written.iter().collect();
        assert_eq!(written.len(), 1 + 4 + 1, "{written:?}");
        assert!(written[5].contains("WARN 6 log lines lost"), "{written:?}");
    }

    #[test]
    fn a_full_disk_is_told_once_it_has_room() {
        struct FullOnce(bool, Sender<String>);
        impl Write for FullOnce {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                if !std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::from_raw_os_error(libc::ENOSPC));
                }
                self.1.send(String::from_utf8(buf.to_vec()).unwrap()).unwrap();
                Ok(buf.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (lines, written) = channel();
        let mut log = LossReporter::new(FullOnce(false, lines), Arc::default());
        log.write_all(b"lost\n").unwrap();
        log.write_all(b"kept\n").unwrap();
        log.flush().unwrap();
        log.flush().unwrap();
        drop(log);
        let written: Vec<String> = written.iter().collect();
        assert_eq!(written.len(), 2, "{written:?}");
        assert_eq!(written[0], "kept\n");
        assert!(written[1].contains("WARN 1 log lines lost"), "{written:?}");
    }
}
