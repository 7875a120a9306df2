//! CONFIG GET, TIME and parts of MEMORY: commands about the server that the home core answers alone. Core: the session's
//! home.

use crate::command::context::{After, Home};
use crate::command::errors::error;
use crate::command::glob::Pattern;
use crate::command::{Client, Error};
use crate::limits::CONFIG_GET_PATTERNS_MAX;
use crate::resp::{Args, Writer};

/// `CONFIG GET pattern [pattern ...]`.
pub fn config_get(_client: &mut Client, args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    if args.len() > CONFIG_GET_PATTERNS_MAX {
        error(writer, &Error::ConfigPatterns);
        return After::Continue;
    }
    let patterns: Vec<Pattern> = args.iter().map(|pattern| Pattern::new(&pattern.to_ascii_lowercase())).collect();
    let mut rows = home.settings.rows();
    rows.retain(|(name, _)| patterns.iter().any(|pattern| pattern.matches(name.as_bytes())));
    writer.map(rows.len());
    for (name, value) in rows {
        writer.bulk(name.as_bytes());
        writer.bulk(value.as_bytes());
    }
    After::Continue
}

/// Handles TIME.
pub fn time(_client: &mut Client, _args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let micros = home.now_ms % 1000 * 1000 + u64::from(home.now_sub_us);
    writer.array(2);
    writer.bulk((home.now_ms / 1000).to_string().as_bytes());
    writer.bulk(micros.to_string().as_bytes());
    After::Continue
}

/// Handles MEMORY MALLOC-STATS.
pub fn malloc_stats(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.bulk(b"Stats not supported for the current allocator");
    After::Continue
}

/// Handles MEMORY PURGE, which does nothing: unused memory is returned without it.
pub fn purge(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.ok();
    After::Continue
}

/// Handles CONFIG REWRITE, which is refused: the configuration is the command line.
pub fn config_rewrite(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    error(writer, &Error::NoConfigFile);
    After::Continue
}
