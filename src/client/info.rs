//! INFO, typed: the common fields by name of a struct, and all fields as text.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// The reply to INFO. A field that the server does not have is 0 or empty; [`get`](Self::get) has all fields as text,
/// also those that this version of the client does not know.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// The version of Aspine; empty for other servers.
    pub aspine_version: String,
    /// The version of Redis that the server is compatible with.
    pub redis_version: String,
    /// An identifier that is new at every start of the server.
    pub run_id: String,
    /// The time since the start of the server, in whole seconds.
    pub uptime: Duration,
    /// The number of cores.
    pub cores: u64,
    /// The number of keys.
    pub keys: u64,
    /// The bound on items; 0: no bound.
    pub max_size: u64,
    /// The bytes that all items take.
    pub used_memory: u64,
    /// The bound on the bytes of all items; 0: no bound.
    pub max_memory: u64,
    /// The resident memory of the process, in bytes.
    pub used_memory_rss: u64,
    /// The number of connected clients.
    pub connected_clients: u64,
    /// Commands run since the start.
    pub commands: u64,
    /// Commands run in the last second.
    pub commands_per_second: u64,
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not find their key.
    pub misses: u64,
    /// Items that were evicted to make room.
    pub evictions: u64,
    /// Items that have expired.
    pub expirations: u64,
    fields: BTreeMap<String, String>,
}

impl Info {
    /// A field by Redis's name, as text: `get("used_memory_human")`.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// All fields, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A field, parsed as a type of the caller's choice; `None` if it is missing or does not parse.
    pub fn parsed<T: FromStr>(&self, field: &str) -> Option<T> {
        self.get(field)?.parse().ok()
    }

    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let fields = lines.filter_map(|line| line.split_once(':'));
        let mut info = Self {
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..Self::default()
        };
        let text = |field: &str| info.get(field).unwrap_or_default().to_owned();
        let number = |fields: &[&str]| fields.iter().find_map(|field| info.parsed(field)).unwrap_or(0);
        let known = Self {
            aspine_version: text("aspine_version"),
            redis_version: text("redis_version"),
            run_id: text("run_id"),
            uptime: Duration::from_secs(number(&["uptime_in_seconds"])),
            cores: number(&["cores"]),
            keys: info.parsed("keys").or_else(|| info.keys_of_databases()).unwrap_or(0),
            max_size: number(&["max_size"]),
            used_memory: number(&["memory_usage", "used_memory"]),
            max_memory: number(&["maxmemory"]),
            used_memory_rss: number(&["used_memory_rss"]),
            connected_clients: number(&["connected_clients"]),
            commands: number(&["total_commands_processed"]),
            commands_per_second: number(&["instantaneous_ops_per_sec"]),
            hits: number(&["keyspace_hits"]),
            misses: number(&["keyspace_misses"]),
            evictions: number(&["evicted_keys"]),
            expirations: number(&["expired_keys"]),
            fields: BTreeMap::new(),
        };
        let fields = std::mem::take(&mut info.fields);
        Self { fields, ..known }
    }

    /// The number of keys in `db0:keys=3,…`, the only place where Redis reports it.
    fn keys_of_databases(&self) -> Option<u64> {
        let row = self.get("db0")?;
        row.split(',').find_map(|part| part.strip_prefix("keys=")?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_fields_are_typed_and_unknown_ones_kept() {
        let info =
            Info::parse("# Server\r\nrun_id:ab\r\nuptime_in_seconds:61\r\n\r\n# New\r\nnew_thing:a:b\r\nkeys:7\r\n");
        assert_eq!((info.run_id.as_str(), info.uptime, info.keys), ("ab", Duration::from_secs(61), 7));
        assert_eq!((info.get("new_thing"), info.get("absent")), (Some("a:b"), None));
        assert_eq!(info.parsed::<u8>("keys"), Some(7));
        assert_eq!(info.fields().count(), 4);
        assert_eq!(Info::parse("db0:keys=5,expires=1,avg_ttl=0\r\n").keys, 5);
    }
}
