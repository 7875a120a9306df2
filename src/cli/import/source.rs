//! Source: the Redis that items come from. Keys are asked for by SCAN, their values and times by a pipeline of DUMP and PTTL,
//! together with the next SCAN.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::failed;
use super::target::append;
use crate::cli::error::Error;
use crate::limits::{IMPORT_KEYS, IMPORT_WRITE_BYTES};
use crate::persist::rdb::{TYPE_STRING, type_name};
use crate::resp::Value;
use crate::resp::reply::decode;

/// The place of a Redis: `redis://[user:password@]host[:port][/database]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    user: Option<String>,
    password: Option<String>,
    host: String,
    port: u16,
    pub(super) database: Option<u64>,
}

/// Redis's own port.
const REDIS_PORT: u16 = 6379;

impl Url {
    /// Parses a URL. Users and passwords may be escaped (`%40`).
    pub(super) fn parse(text: &str) -> Result<Url, String> {
        let rest =
            text.strip_prefix("redis://").ok_or("it begins with redis://; TLS (rediss://) is not spoken here")?;
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let database = if path.is_empty() {
            None
        } else {
            Some(path.parse().map_err(|_| format!("{path} is no number of a database"))?)
        };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => REDIS_PORT,
            Some(port) => port.parse().map_err(|_| format!("{port} is no port"))?,
        };
        if host.is_empty() {
            return Err("there is no host in it".to_owned());
        }
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => {
                let some = |text: &str| unescape(text).map(|text| Some(text).filter(|text| !text.is_empty()));
                (some(user)?, some(password)?)
            }
        };
        Ok(Url { user, password, host: host.to_owned(), port, database })
    }
}

/// A text without its `%40` and the like.
fn unescape(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        rest = more;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("a % in it is not followed by two digits")?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| "user or password are no text".to_owned())
}

/// An item as DUMP returned it.
pub(super) struct Dumped<'a> {
    pub(super) key: &'a [u8],
    pub(super) payload: &'a [u8],
    /// Milliseconds until it expires, 0 for never.
    pub(super) ttl_ms: u64,
}

impl Dumped<'_> {
    /// What it is, if that is no string.
    pub(super) fn other_type(&self) -> Option<&'static str> {
        // Aspine's own payloads hold strings alone.
        let first = self.payload.first().copied().filter(|first| *first != TYPE_STRING && *first != b'A');
        first.map(|first| type_name(first).unwrap_or("value of an unknown type"))
    }
}

/// Where a SCAN is to go on, unless it is at its end, and the keys that it found.
type Scanned = (Option<Vec<u8>>, Vec<Vec<u8>>);

/// A connection to a Redis.
pub(super) struct Source {
    stream: TcpStream,
    place: String,
    bytes: Vec<u8>,
    at: usize,
}

impl Source {
    /// Connects and authenticates.
    pub(super) fn open(url: &Url, timeout: Duration) -> Result<Source, Error> {
        let place = if url.host.contains(':') {
            format!("[{}]:{}", url.host, url.port)
        } else {
            format!("{}:{}", url.host, url.port)
        };
        let connected = (url.host.as_str(), url.port).to_socket_addrs().and_then(|addresses| {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in addresses {
                match TcpStream::connect_timeout(&address, timeout) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        stream.set_read_timeout(Some(timeout))?;
                        return Ok(stream);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        });
        let stream = connected.map_err(|error| {
            failed(format!("cannot reach the Redis at {place}: {error}; give host and port of a running one by --from"))
        })?;
        let mut source = Source { stream, place, bytes: Vec::new(), at: 0 };
        let password = url.password.clone().or_else(|| std::env::var("REDISCLI_AUTH").ok());
        match (&url.user, &password) {
            (_, None) => {}
            (None, Some(password)) => drop(source.call(&[b"AUTH", password.as_bytes()])?),
            (Some(user), Some(password)) => drop(source.call(&[b"AUTH", user.as_bytes(), password.as_bytes()])?),
        }
        Ok(source)
    }

    /// The databases that have keys, or the one that is named, and how many keys are in each.
    pub(super) fn databases(&mut self, named: Option<u64>) -> Result<Vec<(u64, u64)>, Error> {
        if let Some(number) = named {
            self.select(number)?;
            let keys = match self.call(&[b"DBSIZE"])? {
                Value::Integer(keys) => u64::try_from(keys).unwrap_or(0),
                _ => 0,
            };
            return Ok(vec![(number, keys)]);
        }
        let info = match self.call(&[b"INFO", b"keyspace"])? {
            Value::Bulk(Some(text)) => String::from_utf8_lossy(&text).into_owned(),
            _ => String::new(),
        };
        let database = |line: &str| {
            let (number, facts) = line.strip_prefix("db")?.split_once(':')?;
            let keys = facts.split(',').find_map(|fact| fact.strip_prefix("keys="))?;
            Some((number.parse().ok()?, keys.parse().ok()?))
        };
        Ok(info.lines().filter_map(database).collect())
    }

    /// What follows is about this database.
    pub(super) fn select(&mut self, database: u64) -> Result<(), Error> {
        self.call(&[b"SELECT", database.to_string().as_bytes()]).map(drop)
    }

    /// Hands each item of the database to `take`.
    pub(super) fn each(&mut self, mut take: impl FnMut(&Dumped<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut cursor = Some(b"0".to_vec());
        let mut out = Vec::new();
        while cursor.is_some() || !keys.is_empty() {
            out.clear();
            for key in &keys {
                append(&mut out, &[b"DUMP", key]);
                append(&mut out, &[b"PTTL", key]);
            }
            if let Some(cursor) = &cursor {
                append(&mut out, &[b"SCAN", cursor, b"COUNT", IMPORT_KEYS.to_string().as_bytes()]);
            }
            self.send(&out)?;
            for key in &keys {
                let (payload, ttl) = (self.reply()?, self.reply()?);
                match (payload, ttl) {
                    (Value::Bulk(Some(payload)), Value::Integer(ttl)) if ttl != -2 => {
                        let ttl_ms = if ttl < 0 { 0 } else { ttl.unsigned_abs().max(1) };
                        take(&Dumped { key, payload: &payload, ttl_ms })?;
                    }
                    // The key has gone meanwhile.
                    (Value::Bulk(_) | Value::Null, Value::Integer(_)) => {}
                    (other, _) => return Err(self.strange(&other)),
                }
            }
            keys.clear();
            if cursor.is_some() {
                (cursor, keys) = self.scanned()?;
            }
        }
        Ok(())
    }

    /// The reply of SCAN.
    fn scanned(&mut self) -> Result<Scanned, Error> {
        match self.reply()? {
            Value::Array(Some(parts)) => match <[Value; 2]>::try_from(parts) {
                Ok([Value::Bulk(Some(next)), Value::Array(Some(found))]) => {
                    let keys = found.into_iter().filter_map(|key| if let Value::Bulk(key) = key { key } else { None });
                    Ok((Some(next).filter(|next| next != b"0"), keys.collect()))
                }
                _ => Err(self.strange(&Value::Null)),
            },
            other => Err(self.strange(&other)),
        }
    }

    fn call(&mut self, words: &[&[u8]]) -> Result<Value, Error> {
        let mut out = Vec::new();
        append(&mut out, words);
        self.send(&out)?;
        self.reply()
    }

    fn send(&mut self, out: &[u8]) -> Result<(), Error> {
        self.stream.write_all(out).map_err(|error| self.broken(&error))
    }

    /// The next reply. A refusal is an error.
    fn reply(&mut self) -> Result<Value, Error> {
        loop {
            let decoded = decode(&self.bytes[self.at..]);
            match decoded.map_err(|error| self.broken(&io::Error::other(error)))? {
                Some((Value::Error(text), _)) => {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    return Err(failed(format!(
                        "the Redis at {} refuses: {text}; it must permit SCAN, DUMP and PTTL, and its password goes into the URL",
                        self.place
                    )));
                }
                Some((value, len)) => {
                    self.at += len;
                    return Ok(value);
                }
                None => {}
            }
            self.bytes.drain(..self.at);
            self.at = 0;
            let begin = self.bytes.len();
            self.bytes.resize(begin + IMPORT_WRITE_BYTES, 0);
            let read = self.stream.read(&mut self.bytes[begin..]);
            self.bytes.truncate(begin + read.as_ref().map_or(0, |read| *read));
            match read {
                Ok(0) => return Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn broken(&self, error: &io::Error) -> Error {
        failed(format!(
            "the Redis at {} does not answer: {error}; some items are imported, and importing again does no harm",
            self.place
        ))
    }

    fn strange(&self, value: &Value) -> Error {
        failed(format!("what listens at {} answers {value:?}; is it a Redis?", self.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let url = |user: Option<&str>, password: Option<&str>, host: &str, port, database| Url {
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            host: host.to_owned(),
            port,
            database,
        };
        let parse = |text: &str| Url::parse(text);
        assert_eq!(parse("redis://cache"), Ok(url(None, None, "cache", 6379, None)));
        assert_eq!(parse("redis://10.0.0.1:7000/3"), Ok(url(None, None, "10.0.0.1", 7000, Some(3))));
        assert_eq!(parse("redis://[::1]:7000/"), Ok(url(None, None, "::1", 7000, None)));
        assert_eq!(parse("redis://[::1]"), Ok(url(None, None, "::1", 6379, None)));
        assert_eq!(parse("redis://:p%40ss@h"), Ok(url(None, Some("p@ss"), "h", 6379, None)));
        assert_eq!(parse("redis://me:a@b@h:1/0"), Ok(url(Some("me"), Some("a@b"), "h", 1, Some(0))));
        for wrong in
            ["cache", "rediss://h", "redis://", "redis://h:x", "redis://h/x", "redis://:%4@h", "redis://u:%ff@h"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
