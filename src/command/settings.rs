//! Settings: what CONFIG GET shows and CONFIG SET can change. Each core has its own copy; CONFIG SET reaches all.
//!
//! Never: shared. Cost: read once per command or tick; no lookup by name on the hot path.

use crate::command::Error;
use crate::command::errors::quote;
use crate::command::notify::{self, Notify};
use crate::command::output_limit::OutputLimits;
use crate::limits::{SLOWLOG_LEN_DEFAULT, SLOWLOG_US_DEFAULT};
use crate::resp::number::parse_i64;
use crate::shard::Eviction;

/// The settings of one core. The bounds are those of the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Items of the whole process; `u64::MAX` is no bound.
    pub items_max: u64,
    /// Bytes of the whole process; `u64::MAX` is no bound.
    pub bytes_max: u64,
    /// What happens at a bound.
    pub eviction: Eviction,
    /// Clients of the whole process.
    pub maxclients: u32,
    /// As many clients as the limit of file descriptors has room for.
    pub maxclients_max: u32,
    /// Seconds a client may be idle; 0 is for ever.
    pub idle_timeout_s: u64,
    /// Which key events are published.
    pub notify: Notify,
    /// How much output may wait for clients.
    pub output_limits: OutputLimits,
    /// What is watched.
    pub watch: Watch,
    /// Keys of the whole process that are remembered for the clients that read them; `u64::MAX` is no bound.
    pub tracked_keys_max: u64,
    /// Whether items whose time has passed go without being asked for.
    pub active_expire: bool,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
    /// From where DEBUG is taken.
    pub debug: DebugAccess,
    /// What can't change while the server runs: name and value, for CONFIG GET.
    pub fixed: Vec<(&'static str, String)>,
}

/// Least severe level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What stopped the server or lost something.
    Error,
    /// What the operator should look at.
    Warn,
    /// Start, stop, and changes of state.
    Info,
    /// Each connection.
    Debug,
    /// Each round and batch.
    Trace,
}

/// CONFIG's names of the levels: Redis's four, and one for errors alone.
const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("debug", LogLevel::Trace),
    ("verbose", LogLevel::Debug),
    ("notice", LogLevel::Info),
    ("warning", LogLevel::Warn),
    ("error", LogLevel::Error),
];

/// From where DEBUG is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugAccess {
    /// From nowhere.
    #[default]
    No,
    /// From the loopback addresses and the Unix socket.
    Local,
    /// From everywhere.
    Yes,
}

impl DebugAccess {
    /// Redis's name of it.
    pub fn name(self) -> &'static str {
        match self {
            DebugAccess::No => "no",
            DebugAccess::Local => "local",
            DebugAccess::Yes => "yes",
        }
    }
}

/// When a command is worth a line in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Microseconds from which on a command is in the slow log; negative for never.
    pub slowlog_us: i64,
    /// Entries of the slow log.
    pub slowlog_len: u64,
    /// Milliseconds from which on a command is a latency event; 0 for never.
    pub latency_ms: u64,
}

impl Default for Watch {
    /// Redis's defaults.
    fn default() -> Self {
        Watch { slowlog_us: SLOWLOG_US_DEFAULT, slowlog_len: SLOWLOG_LEN_DEFAULT, latency_ms: 0 }
    }
}

/// Names that CONFIG SET takes.
const CHANGEABLE: [&str; 13] = [
    "active-expire",
    "client-output-buffer-limit",
    "latency-monitor-threshold",
    "loglevel",
    "max-size",
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "notify-keyspace-events",
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "timeout",
    "tracking-table-max-keys",
];

impl Settings {
    /// Every name and value, sorted by name.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = self.fixed.clone();
        rows.extend(CHANGEABLE.map(|name| (name, self.value(name))));
        rows.sort_unstable();
        rows
    }

    fn value(&self, name: &str) -> String {
        match name {
            "max-size" => bound_text(self.items_max),
            "maxclients" => self.maxclients.to_string(),
            "maxmemory" => bound_text(self.bytes_max),
            "maxmemory-policy" => policy_name(self.eviction).to_owned(),
            "active-expire" => if self.active_expire { "yes" } else { "no" }.to_owned(),
            "loglevel" => {
                let named = LOG_LEVELS.iter().find(|(_, level)| *level == self.log_level);
                named.map_or("", |(name, _)| name).to_owned()
            }
            "client-output-buffer-limit" => self.output_limits.to_string(),
            "notify-keyspace-events" => self.notify.to_string(),
            "latency-monitor-threshold" => self.watch.latency_ms.to_string(),
            "slowlog-log-slower-than" => self.watch.slowlog_us.to_string(),
            "slowlog-max-len" => self.watch.slowlog_len.to_string(),
            "tracking-table-max-keys" => bound_text(self.tracked_keys_max),
            _ => self.idle_timeout_s.to_string(),
        }
    }

    /// Changes one setting.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        let typed = name;
        let name = quote(name).to_ascii_lowercase();
        if self.fixed.iter().any(|(fixed, _)| *fixed == name) {
            return Err(Error::ConfigImmutable(name));
        }
        let invalid = |why| Error::ConfigInvalid(name.clone(), why);
        let number = |why| parse_bytes(value).ok_or_else(|| invalid(why));
        let integer = || parse_i64(value).ok_or_else(|| invalid("argument couldn't be parsed into an integer"));
        let natural = || {
            let why = "argument must be between 0 and 9223372036854775807 inclusive";
            u64::try_from(integer()?).map_err(|_| invalid(why))
        };
        match name.as_str() {
            "max-size" => self.items_max = bound(number("argument must be a number of items")?),
            "maxmemory" => self.bytes_max = bound(number("argument must be a memory value")?),
            "maxclients" => {
                let count = number("argument couldn't be parsed into an integer")?;
                self.maxclients = u32::try_from(count)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or_else(|| invalid("argument must be between 1 and 4294967295 inclusive"))?;
                if self.maxclients > self.maxclients_max {
                    return Err(Error::ConfigClients(self.maxclients_max));
                }
            }
            "maxmemory-policy" => {
                self.eviction = parse_policy(value)
                    .ok_or_else(|| invalid("argument(s) must be one of the following: allkeys-lru, noeviction"))?;
            }
            "active-expire" => {
                let yes = value.eq_ignore_ascii_case(b"yes");
                if !yes && !value.eq_ignore_ascii_case(b"no") {
                    return Err(invalid("argument must be 'yes' or 'no'"));
                }
                self.active_expire = yes;
            }
            "loglevel" => {
                let why = "argument(s) must be one of the following: debug, verbose, notice, warning, error";
                let named = LOG_LEVELS.iter().find(|(name, _)| value.eq_ignore_ascii_case(name.as_bytes()));
                self.log_level = named.ok_or_else(|| invalid(why))?.1;
            }
            "notify-keyspace-events" => {
                self.notify = Notify::parse(value).ok_or_else(|| invalid(notify::BAD_LETTER))?;
            }
            "client-output-buffer-limit" => {
                self.output_limits.set(&quote(value)).map_err(|bad| invalid(bad.0))?;
            }
            "latency-monitor-threshold" => self.watch.latency_ms = natural()?,
            "slowlog-max-len" => self.watch.slowlog_len = natural()?,
            "tracking-table-max-keys" => self.tracked_keys_max = bound(natural()?),
            "slowlog-log-slower-than" => {
                let why = "argument must be between -1 and 9223372036854775807 inclusive";
                self.watch.slowlog_us = Some(integer()?).filter(|us| *us >= -1).ok_or_else(|| invalid(why))?;
            }
            "timeout" => {
                self.idle_timeout_s = Some(number("argument couldn't be parsed into an integer")?)
                    .filter(|seconds| *seconds <= crate::limits::IDLE_TIMEOUT_S_MAX)
                    .ok_or_else(|| invalid("argument must be between 0 and 4294967295 inclusive"))?;
            }
            _ => return Err(Error::ConfigUnknown(quote(typed))),
        }
        Ok(())
    }
}

/// Redis's name of what happens at the bound.
pub fn policy_name(eviction: Eviction) -> &'static str {
    match eviction {
        Eviction::Lru => "allkeys-lru",
        Eviction::None => "noeviction",
    }
}

fn parse_policy(value: &[u8]) -> Option<Eviction> {
    if value.eq_ignore_ascii_case(b"allkeys-lru") {
        Some(Eviction::Lru)
    } else if value.eq_ignore_ascii_case(b"noeviction") {
        Some(Eviction::None)
    } else {
        None
    }
}

/// Redis writes "no bound" as 0.
fn bound_text(bound: u64) -> String {
    if bound == u64::MAX { "0".to_owned() } else { bound.to_string() }
}

fn bound(number: u64) -> u64 {
    if number == 0 { u64::MAX } else { number }
}

/// redis.conf's units and their bytes, in ascending order of each kind.
pub const BYTE_UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("k", 1000),
    ("kb", 1024),
    ("m", 1_000_000),
    ("mb", 1024 * 1024),
    ("g", 1_000_000_000),
    ("gb", 1024 * 1024 * 1024),
];

/// A number with one of redis.conf's units: k, kb, m, mb, g, gb (powers of 1000 without the b, of 1024 with it).
pub fn parse_bytes(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let number: u64 = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    let (_, factor) = BYTE_UNITS.iter().find(|(unit, _)| unit.as_bytes().eq_ignore_ascii_case(&text[digits..]))?;
    number.checked_mul(*factor)
}
