//! Settings: what CONFIG GET shows and CONFIG SET can change. Each core has its own copy; CONFIG SET reaches all.
//!
//! Never: shared. Cost: read once per command or tick; no lookup by name on the hot path.

use crate::command::Error;
use crate::command::errors::quote;
use crate::command::notify::{self, Notify};
use crate::command::output_limit::OutputLimits;
use crate::limits::{
    AUTHKEY_BYTES_MAX, IDLE_TIMEOUT_S_MAX, SLOWLOG_LEN_DEFAULT, SLOWLOG_US_DEFAULT, TCP_KEEPALIVE_S_MAX,
};
use crate::resp::number::parse_i64;
use crate::shard::Eviction;

/// Redis's name of the auth key.
pub const REQUIREPASS: &str = "requirepass";

/// The settings of one core. The bounds are those of the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The bound on items of the whole process; `u64::MAX` is no bound.
    pub items_max: u64,
    /// The bound on bytes of the whole process; `u64::MAX` is no bound.
    pub bytes_max: u64,
    /// The eviction policy at a bound.
    pub eviction: Eviction,
    /// The number of databases.
    pub databases: u8,
    /// The bound on clients of the whole process.
    pub maxclients: u32,
    /// The number of clients that the limit of file descriptors has room for.
    pub maxclients_max: u32,
    /// The seconds that a client may be idle; 0 is no bound.
    pub idle_timeout_s: u64,
    /// The seconds of silence after which a client is asked whether it is still there; 0 is never.
    pub tcp_keepalive_s: u64,
    /// The classes of key events that are published.
    pub notify: Notify,
    /// The limits on output that waits for clients.
    pub output_limits: OutputLimits,
    /// The thresholds of the slow log and the latency monitor.
    pub watch: Watch,
    /// The bound on keys of the whole process that are tracked; `u64::MAX` is no bound.
    pub tracked_keys_max: u64,
    /// Whether expired items are removed without an access.
    pub active_expire: bool,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
    /// Whether clients must show an auth key. The key itself is no setting that anybody is shown.
    pub has_key: bool,
    /// The clients that may use DEBUG.
    pub debug: DebugAccess,
    /// The settings that can't change while the server runs: name and value, for CONFIG GET.
    pub fixed: Vec<(&'static str, String)>,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures that stopped the server or lost data.
    Error,
    /// Conditions that the operator should look at.
    Warn,
    /// Start, stop, and changes of state.
    Info,
    /// Every connection.
    Debug,
    /// Every round and batch.
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

/// The clients that may use DEBUG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugAccess {
    /// No client.
    #[default]
    No,
    /// Clients on the loopback addresses and the Unix socket.
    Local,
    /// All clients.
    Yes,
}

impl DebugAccess {
    /// Redis's name of the setting.
    pub fn name(self) -> &'static str {
        match self {
            DebugAccess::No => "no",
            DebugAccess::Local => "local",
            DebugAccess::Yes => "yes",
        }
    }
}

/// The thresholds of the slow log and the latency monitor.
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

/// A setting that CONFIG SET changes.
struct Changeable {
    name: &'static str,
    /// The value, as CONFIG GET shows it.
    get: fn(&Settings) -> String,
    /// Sets another value, or refuses it.
    set: fn(&mut Settings, &[u8]) -> Result<(), Refusal>,
}

/// The refusal of a value.
enum Refusal {
    /// The value is not what this text says that it must be.
    Invalid(&'static str),
    /// The limit of file descriptors has room for no more clients than these.
    Clients(u32),
}

impl From<&'static str> for Refusal {
    fn from(why: &'static str) -> Refusal {
        Refusal::Invalid(why)
    }
}

const NO_INTEGER: &str = "argument couldn't be parsed into an integer";

/// Sorted by name.
const CHANGEABLE: [Changeable; 15] = [
    Changeable {
        name: "active-expire",
        get: |settings| if settings.active_expire { "yes" } else { "no" }.to_owned(),
        set: |settings, value| {
            let yes = value.eq_ignore_ascii_case(b"yes");
            if !yes && !value.eq_ignore_ascii_case(b"no") {
                return Err("argument must be 'yes' or 'no'".into());
            }
            settings.active_expire = yes;
            Ok(())
        },
    },
    Changeable {
        name: "client-output-buffer-limit",
        get: |settings| settings.output_limits.to_string(),
        set: |settings, value| Ok(settings.output_limits.set(&quote(value)).map_err(|bad| bad.0)?),
    },
    Changeable {
        name: "latency-monitor-threshold",
        get: |settings| settings.watch.latency_ms.to_string(),
        set: |settings, value| {
            settings.watch.latency_ms = natural(value)?;
            Ok(())
        },
    },
    Changeable {
        name: "loglevel",
        get: |settings| {
            let named = LOG_LEVELS.iter().find(|(_, level)| *level == settings.log_level);
            named.map_or("", |(name, _)| name).to_owned()
        },
        set: |settings, value| {
            let why = "argument(s) must be one of the following: debug, verbose, notice, warning, error";
            let named = LOG_LEVELS.iter().find(|(name, _)| value.eq_ignore_ascii_case(name.as_bytes()));
            settings.log_level = named.ok_or(why)?.1;
            Ok(())
        },
    },
    Changeable {
        name: "max-size",
        get: |settings| bound_text(settings.items_max),
        set: |settings, value| {
            settings.items_max = bound(parse_bytes(value).ok_or("argument must be a number of items")?);
            Ok(())
        },
    },
    Changeable {
        name: "maxclients",
        get: |settings| settings.maxclients.to_string(),
        set: |settings, value| {
            let count = u32::try_from(parse_bytes(value).ok_or(NO_INTEGER)?).ok().filter(|count| *count > 0);
            settings.maxclients = count.ok_or("argument must be between 1 and 4294967295 inclusive")?;
            let max = settings.maxclients_max;
            if settings.maxclients > max { Err(Refusal::Clients(max)) } else { Ok(()) }
        },
    },
    Changeable {
        name: "maxmemory",
        get: |settings| bound_text(settings.bytes_max),
        set: |settings, value| {
            settings.bytes_max = bound(parse_bytes(value).ok_or("argument must be a memory value")?);
            Ok(())
        },
    },
    Changeable {
        name: "maxmemory-policy",
        get: |settings| policy_name(settings.eviction).to_owned(),
        set: |settings, value| {
            let why = if value.to_ascii_lowercase().starts_with(b"volatile-") {
                "of keys with a time to live alone, volatile-lru and volatile-ttl are the policies here"
            } else {
                "argument(s) must be one of the following: volatile-lru, volatile-ttl, allkeys-s3fifo, allkeys-lru, noeviction"
            };
            settings.eviction = parse_policy(value).ok_or(why)?;
            Ok(())
        },
    },
    Changeable {
        name: "notify-keyspace-events",
        get: |settings| settings.notify.to_string(),
        set: |settings, value| {
            settings.notify = Notify::parse(value).ok_or(notify::BAD_LETTER)?;
            Ok(())
        },
    },
    Changeable {
        name: REQUIREPASS,
        get: |_| String::new(),
        set: |settings, value| {
            if value.len() > AUTHKEY_BYTES_MAX {
                return Err("the key is too long".into());
            }
            if value.is_empty() && settings.has_key {
                return Err("the auth key can be changed while the server runs, not taken away".into());
            }
            settings.has_key |= !value.is_empty();
            Ok(())
        },
    },
    Changeable {
        name: "slowlog-log-slower-than",
        get: |settings| settings.watch.slowlog_us.to_string(),
        set: |settings, value| {
            let why = "argument must be between -1 and 9223372036854775807 inclusive";
            let us = Some(parse_i64(value).ok_or(NO_INTEGER)?).filter(|us| *us >= -1);
            settings.watch.slowlog_us = us.ok_or(why)?;
            Ok(())
        },
    },
    Changeable {
        name: "slowlog-max-len",
        get: |settings| settings.watch.slowlog_len.to_string(),
        set: |settings, value| {
            settings.watch.slowlog_len = natural(value)?;
            Ok(())
        },
    },
    Changeable {
        name: "tcp-keepalive",
        get: |settings| settings.tcp_keepalive_s.to_string(),
        set: |settings, value| {
            let seconds = Some(parse_bytes(value).ok_or(NO_INTEGER)?).filter(|seconds| *seconds <= TCP_KEEPALIVE_S_MAX);
            settings.tcp_keepalive_s = seconds.ok_or("argument must be between 0 and 32767 inclusive")?;
            Ok(())
        },
    },
    Changeable {
        name: "timeout",
        get: |settings| settings.idle_timeout_s.to_string(),
        set: |settings, value| {
            let seconds = Some(parse_bytes(value).ok_or(NO_INTEGER)?).filter(|seconds| *seconds <= IDLE_TIMEOUT_S_MAX);
            settings.idle_timeout_s = seconds.ok_or("argument must be between 0 and 4294967295 inclusive")?;
            Ok(())
        },
    },
    Changeable {
        name: "tracking-table-max-keys",
        get: |settings| bound_text(settings.tracked_keys_max),
        set: |settings, value| {
            settings.tracked_keys_max = bound(natural(value)?);
            Ok(())
        },
    },
];

fn natural(value: &[u8]) -> Result<u64, &'static str> {
    let why = "argument must be between 0 and 9223372036854775807 inclusive";
    u64::try_from(parse_i64(value).ok_or(NO_INTEGER)?).map_err(|_| why)
}

impl Settings {
    /// The names of the settings that CONFIG SET changes, sorted.
    pub fn changeable() -> impl Iterator<Item = &'static str> {
        CHANGEABLE.iter().map(|row| row.name)
    }

    /// The name and value of every setting, sorted by name.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = self.fixed.clone();
        // Redis shows its password; here nobody is shown the key.
        let shown = CHANGEABLE.iter().filter(|row| row.name != REQUIREPASS || !self.has_key);
        rows.extend(shown.map(|row| (row.name, (row.get)(self))));
        rows.sort_unstable();
        rows
    }

    /// Changes one setting. One that is fixed takes the value that it has, as provisioning sends it.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        let typed = name;
        let name = quote(name).to_ascii_lowercase();
        if let Some((_, in_force)) = self.fixed.iter().find(|(fixed, _)| *fixed == name) {
            let is_so = value.eq_ignore_ascii_case(in_force.as_bytes());
            return if is_so { Ok(()) } else { Err(Error::ConfigImmutable(name)) };
        }
        let row = CHANGEABLE.iter().find(|row| row.name == name);
        let row = row.ok_or_else(|| Error::ConfigUnknown(quote(typed)))?;
        (row.set)(self, value).map_err(|refusal| match refusal {
            Refusal::Invalid(why) => Error::ConfigInvalid(name, why),
            Refusal::Clients(max) => Error::ConfigClients(max),
        })
    }
}

/// The name of a policy in `maxmemory-policy`, in the manner of Redis's.
pub fn policy_name(eviction: Eviction) -> &'static str {
    match eviction {
        Eviction::Lru => "allkeys-lru",
        Eviction::S3Fifo => "allkeys-s3fifo",
        Eviction::VolatileLru => "volatile-lru",
        Eviction::VolatileTtl => "volatile-ttl",
        Eviction::None => "noeviction",
    }
}

fn parse_policy(value: &[u8]) -> Option<Eviction> {
    let is_named = |eviction: &Eviction| value.eq_ignore_ascii_case(policy_name(*eviction).as_bytes());
    let all = [Eviction::Lru, Eviction::S3Fifo, Eviction::VolatileLru, Eviction::VolatileTtl, Eviction::None];
    all.into_iter().find(is_named)
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
