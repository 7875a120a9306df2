//! Settings: CONFIG's names, values and refusals; memory with units.

use proptest::prelude::*;

use crate::command::Error;
use crate::command::settings::{Settings, parse_bytes};
use crate::command::tests::{pairs, session_answer, some_settings, text};
use crate::limits::{AUTHKEY_BYTES_MAX, IDLE_TIMEOUT_S_MAX};
use crate::resp::Proto;
use crate::shard::Eviction;

#[test]
fn rows_are_sorted_unique_and_lower_case() {
    let rows = some_settings().rows();
    assert!(rows.is_sorted_by(|one, next| one.0 < next.0), "{rows:?}");
    assert!(rows.iter().all(|(name, _)| !name.contains(|c: char| c.is_ascii_uppercase())), "{rows:?}");
    let names: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "active-expire",
            "client-output-buffer-limit",
            "latency-monitor-threshold",
            "loglevel",
            "max-size",
            "maxclients",
            "maxmemory",
            "maxmemory-policy",
            "notify-keyspace-events",
            "port",
            "requirepass",
            "save",
            "slowlog-log-slower-than",
            "slowlog-max-len",
            "tcp-keepalive",
            "timeout",
            "tracking-table-max-keys",
        ]
    );
}

#[test]
fn what_get_shows_set_takes() {
    let settings = some_settings();
    for (name, value) in settings.rows() {
        let mut changed = settings.clone();
        let result = changed.set(name.to_ascii_uppercase().as_bytes(), value.as_bytes());
        assert_eq!(result, Ok(()), "{name} {value}");
        assert_eq!(changed, settings, "{name} {value}");
        if settings.fixed.iter().any(|(fixed, _)| *fixed == name) {
            let other = format!("{value}x");
            assert_eq!(changed.set(name.as_bytes(), other.as_bytes()), Err(Error::ConfigImmutable(name.to_owned())));
        }
    }
}

#[test]
fn set_changes_what_get_shows() {
    let cases = [
        ("max-size", "5", "5"),
        ("max-size", "0", "0"),
        ("max-size", "10k", "10000"),
        ("maxmemory", "100mb", "104857600"),
        ("maxmemory", "0", "0"),
        ("maxclients", "1", "1"),
        ("maxclients", "4294967294", "4294967294"),
        ("maxmemory-policy", "NoEviction", "noeviction"),
        ("maxmemory-policy", "allkeys-S3FIFO", "allkeys-s3fifo"),
        ("maxmemory-policy", "Volatile-TTL", "volatile-ttl"),
        ("maxmemory-policy", "volatile-lru", "volatile-lru"),
        ("maxmemory-policy", "allkeys-lru", "allkeys-lru"),
        ("timeout", "4294967295", "4294967295"),
        ("tcp-keepalive", "0", "0"),
        ("tcp-keepalive", "32767", "32767"),
        ("slowlog-log-slower-than", "-1", "-1"),
        ("slowlog-log-slower-than", "0", "0"),
        ("slowlog-max-len", "9223372036854775807", "9223372036854775807"),
        ("latency-monitor-threshold", "7", "7"),
        ("loglevel", "WARNING", "warning"),
        ("active-expire", "No", "no"),
    ];
    let mut settings = some_settings();
    for (name, value, shown) in cases {
        assert_eq!(settings.set(name.as_bytes(), value.as_bytes()), Ok(()), "{name} {value}");
        let rows = settings.rows();
        assert!(rows.contains(&(name, shown.to_owned())), "{name} {value}: {rows:?}");
    }
    assert_eq!((settings.items_max, settings.bytes_max), (10_000, u64::MAX), "0 is no bound");
    assert_eq!((settings.eviction, settings.idle_timeout_s), (Eviction::Lru, IDLE_TIMEOUT_S_MAX));
}

#[test]
fn refusals_name_the_setting_and_change_nothing() {
    let cases = [
        ("maxmemory", "x", "argument must be a memory value"),
        ("maxmemory", "", "argument must be a memory value"),
        ("maxmemory", "-1", "argument must be a memory value"),
        ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
        ("maxclients", "4294967296", "argument must be between 1 and 4294967295 inclusive"),
        ("maxclients", "many", "argument couldn't be parsed into an integer"),
        ("timeout", "4294967296", "argument must be between 0 and 4294967295 inclusive"),
        ("tcp-keepalive", "32768", "argument must be between 0 and 32767 inclusive"),
        ("slowlog-log-slower-than", "-2", "argument must be between -1 and 9223372036854775807 inclusive"),
        ("loglevel", "x", "argument(s) must be one of the following: debug, verbose, notice, warning, error"),
        ("active-expire", "x", "argument must be 'yes' or 'no'"),
        ("slowlog-log-slower-than", "x", "argument couldn't be parsed into an integer"),
        ("slowlog-max-len", "-1", "argument must be between 0 and 9223372036854775807 inclusive"),
        ("slowlog-max-len", "9223372036854775808", "argument couldn't be parsed into an integer"),
        ("latency-monitor-threshold", "-1", "argument must be between 0 and 9223372036854775807 inclusive"),
        (
            "maxmemory-policy",
            "random",
            "argument(s) must be one of the following: volatile-lru, volatile-ttl, allkeys-s3fifo, allkeys-lru, noeviction",
        ),
        (
            "maxmemory-policy",
            "Volatile-LFU",
            "of keys with a time to live alone, volatile-lru and volatile-ttl are the policies here",
        ),
    ];
    for (name, value, why) in cases {
        let mut settings = some_settings();
        let refusal = settings.set(name.as_bytes(), value.as_bytes());
        assert_eq!(refusal, Err(Error::ConfigInvalid(name.to_owned(), why)), "{name} {value}");
        assert_eq!(settings, some_settings(), "{name} {value}");
    }
    assert_eq!(some_settings().set(b"NOPE", b"1"), Err(Error::ConfigUnknown("NOPE".to_owned())));
}

#[test]
fn the_key_is_set_and_not_shown() {
    let shown = |settings: &Settings| settings.rows().into_iter().find(|(name, _)| *name == "requirepass");
    let mut settings = some_settings();
    assert_eq!(shown(&settings), Some(("requirepass", String::new())));
    assert_eq!(settings.set(b"requirepass", b""), Ok(()));
    assert!(!settings.has_key);
    let long = [b'k'; AUTHKEY_BYTES_MAX + 1];
    assert!(settings.set(b"requirepass", &long).is_err() && !settings.has_key);
    assert_eq!(settings.set(b"RequirePass", b"sesame"), Ok(()));
    assert!(settings.has_key && shown(&settings).is_none());
    assert!(settings.set(b"requirepass", b"").is_err(), "a server that is reachable must not be opened");
    assert_eq!(settings.set(b"requirepass", b"another"), Ok(()));
}

#[test]
fn config_get_takes_patterns_in_any_case() {
    let names = |line: &str| {
        let rows = session_answer(line, Proto::Resp3);
        pairs(&rows).into_iter().map(|(name, _)| text(name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("config|get MAXMEMORY*"), ["maxmemory", "maxmemory-policy"]);
    assert_eq!(names("config|get save port nope"), ["port", "save"]);
    assert_eq!(names("config|get *").len(), some_settings().rows().len());
    assert!(names("config|get nope").is_empty());
}

#[test]
fn bytes_are_those_of_redis() {
    // CONFIG SET maxmemory of redis-server 7.0.15, but for overflow (it wraps) and the empty text (it takes it as 0).
    let cases: [(&str, Option<u64>); 20] = [
        ("0", Some(0)),
        ("1", Some(1)),
        ("1b", Some(1)),
        ("1k", Some(1_000)),
        ("1K", Some(1_000)),
        ("1kb", Some(1 << 10)),
        ("1KB", Some(1 << 10)),
        ("1m", Some(1_000_000)),
        ("1mb", Some(1 << 20)),
        ("1g", Some(1_000_000_000)),
        ("1gb", Some(1 << 30)),
        ("1tb", None),
        ("x", None),
        ("", None),
        ("-1", None),
        ("1 ", None),
        ("1.5mb", None),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("99999999999gb", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_bytes(text.as_bytes()), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_number_comes_back(number in any::<u64>()) {
        prop_assert_eq!(parse_bytes(number.to_string().as_bytes()), Some(number));
    }

    #[test]
    fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..24)) {
        parse_bytes(&text);
        let _ = some_settings().set(&text, b"1");
    }
}
