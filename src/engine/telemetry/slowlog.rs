//! Slow log: the last commands that took long, with who asked. Core: the home core of the client.
//!
//! Filled by the meter; the oldest entry leaves at `slowlog-max-len`, of which each core keeps as many, so that the
//! newest of all cores together are always there. A command that ran on another core comes back with its client's
//! batch (`Payload::Slow`). Cost: nothing until a command is slow; then a copy of at most 32 arguments of 128 bytes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::command::lookup::CommandId;
use crate::command::settings::Watch;
use crate::limits::{SLOWLOG_ARG_BYTES_MAX, SLOWLOG_ARGS_MAX};
use crate::resp::{Args, Writer};

/// A command that took long, before it is known who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct SlowCall {
    pub(in crate::engine) command: CommandId,
    pub(in crate::engine) ns: u64,
    pub(in crate::engine) unix_ms: u64,
    /// Name and arguments, cut as Redis cuts them.
    pub(in crate::engine) words: Vec<Vec<u8>>,
}

impl SlowCall {
    /// `args` follow the command's name.
    pub(in crate::engine) fn new(command: CommandId, args: Args<'_>, ns: u64, unix_ms: u64) -> SlowCall {
        SlowCall { command, ns, unix_ms, words: words(command, args) }
    }
}

/// The words of a command line as the log keeps them: the name in upper case, however it was typed, and no auth key.
fn words(command: CommandId, args: Args<'_>) -> Vec<Vec<u8>> {
    let row = command.row();
    let mut all: Vec<&[u8]> = row.name.split('|').map(str::as_bytes).collect();
    let names = all.len();
    all.extend(args.iter());
    let kept = if all.len() > SLOWLOG_ARGS_MAX { SLOWLOG_ARGS_MAX - 1 } else { all.len() };
    let word = |(at, word): (usize, &&[u8])| match word.len().checked_sub(SLOWLOG_ARG_BYTES_MAX) {
        _ if at < names => word.to_ascii_uppercase(),
        _ if row.is_secret(args, at - names) => b"(redacted)".to_vec(),
        Some(more @ 1..) => [&word[..SLOWLOG_ARG_BYTES_MAX], format!("... ({more} more bytes)").as_bytes()].concat(),
        _ => word.to_vec(),
    };
    let mut words: Vec<Vec<u8>> = all.iter().enumerate().take(kept).map(word).collect();
    if kept < all.len() {
        words.push(format!("... ({} more arguments)", all.len() - kept).into_bytes());
    }
    words
}

/// A logged command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Entry {
    /// Unique over all cores.
    id: u64,
    unix_ms: u64,
    ns: u64,
    words: Vec<Vec<u8>>,
    addr: String,
    name: String,
    /// The stopwatch when it was logged, which orders the entries of all cores.
    at_ns: u64,
}

impl Entry {
    pub(in crate::engine) fn write(&self, writer: &mut Writer<'_>) {
        writer.array(6);
        writer.integer(self.id.cast_signed());
        writer.integer((self.unix_ms / 1000).cast_signed());
        writer.integer((self.ns / 1000).cast_signed());
        writer.array(self.words.len());
        for word in &self.words {
            writer.bulk(word);
        }
        writer.bulk(self.addr.as_bytes());
        writer.bulk(self.name.as_bytes());
    }

    /// The entries of all cores, the newest first.
    pub(in crate::engine) fn sort(entries: &mut [Entry]) {
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.at_ns, entry.id)));
    }
}

/// The slow commands of one core's clients.
#[derive(Debug)]
pub(in crate::engine) struct SlowLog {
    /// The newest last.
    entries: VecDeque<Entry>,
    next_id: u64,
    cores: u64,
    threshold_ns: u64,
    len_max: u64,
}

impl SlowLog {
    pub(in crate::engine) fn new(core: u16, cores: u16) -> SlowLog {
        let (next_id, cores) = (u64::from(core), u64::from(cores));
        SlowLog { entries: VecDeque::new(), next_id, cores, threshold_ns: u64::MAX, len_max: 0 }
    }

    pub(in crate::engine) fn configure(&mut self, watch: &Watch) {
        self.threshold_ns = u64::try_from(watch.slowlog_us).map_or(u64::MAX, |us| us.saturating_mul(1000));
        self.len_max = watch.slowlog_len;
        self.trim();
    }

    /// Nanoseconds from which on a command is logged; `u64::MAX` for none.
    pub(in crate::engine) fn threshold_ns(&self) -> u64 {
        self.threshold_ns
    }

    pub(in crate::engine) fn push(&mut self, call: SlowCall, addr: &str, name: &str, at_ns: u64) {
        if call.ns < self.threshold_ns {
            return;
        }
        let SlowCall { ns, unix_ms, words, .. } = call;
        let (addr, name) = (addr.to_owned(), name.to_owned());
        self.entries.push_back(Entry { id: self.next_id, unix_ms, ns, words, addr, name, at_ns });
        // Core i has i, i+N, i+2N …
        self.next_id += self.cores;
        self.trim();
    }

    fn trim(&mut self) {
        while self.entries.len() as u64 > self.len_max {
            self.entries.pop_front();
        }
    }

    pub(in crate::engine) fn clear(&mut self) {
        self.entries.clear();
    }

    /// How many there are.
    pub(in crate::engine) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The newest `count`.
    pub(in crate::engine) fn newest(&self, count: usize) -> Vec<Entry> {
        self.entries.iter().rev().take(count).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::lookup::Lookup;
    use crate::resp::Span;

    fn logged(name: &str, args: &[&str]) -> Vec<String> {
        let mut start = 0;
        let span = |arg: &&str| {
            start += arg.len() as u32;
            Span { start: start - arg.len() as u32, len: arg.len() as u32 }
        };
        let spans: Vec<_> = args.iter().map(span).collect();
        let bytes = args.concat();
        let command = Lookup::default().find(name.as_bytes()).expect("a command");
        let words = words(command, Args::new(bytes.as_bytes(), &spans));
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    #[test]
    fn words_are_cut_as_redis_cuts_them() {
        assert_eq!(logged("get", &["k"]), ["GET", "k"]);
        assert_eq!(logged("config|set", &["timeout", "1"]), ["CONFIG", "SET", "timeout", "1"]);
        let long = "x".repeat(148);
        assert_eq!(logged("echo", &[&long])[1], format!("{}... (20 more bytes)", "x".repeat(128)));
        assert_eq!(logged("echo", &[&long[..128]])[1], long[..128]);
        let many: Vec<_> = (0..40).map(|_| "k").collect();
        assert_eq!(logged("mget", &many[..31]).len(), 32);
        let words = logged("mget", &many);
        assert_eq!((words.len(), words[31].as_str()), (32, "... (10 more arguments)"));
    }

    #[test]
    fn auth_keys_are_not_logged() {
        assert_eq!(logged("auth", &["user", "key"]), ["AUTH", "(redacted)", "(redacted)"]);
        let words = logged("hello", &["3", "AUTH", "user", "key", "SETNAME", "me"]);
        assert_eq!(words, ["HELLO", "3", "AUTH", "(redacted)", "(redacted)", "SETNAME", "me"]);
    }
}
