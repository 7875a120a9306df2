//! The text protocol of memcached. INCR is its meta command `ma`, which creates a missing counter, as Redis does.
//!
//! MSET, EXISTS and PUBLISH do not exist; a mix with those is refused before anything is sent.

use memchr::memchr;

use super::{Due, Fault, Garbage, Outcome, excerpt};
use crate::limits::REPLY_LINE_BYTES_MAX;
use crate::loadgen::keys::key_text;
use crate::loadgen::random::Random;
use crate::loadgen::workload::{Kind, Workload};
use crate::resp::number::push_i64;

/// Appends a request.
#[inline]
pub(super) fn encode(out: &mut Vec<u8>, kind: Kind, ids: &[u64], workload: &Workload, random: &mut Random) {
    match (kind, ids) {
        (Kind::Get | Kind::Mget, ids) => {
            out.extend_from_slice(b"get");
            for id in ids {
                out.push(b' ');
                out.extend_from_slice(&key_text(kind.prefix(), *id));
            }
            out.extend_from_slice(b"\r\n");
        }
        (Kind::Set | Kind::Fill, [id]) => {
            let value = workload.values.draw(*id, random);
            key(out, b"set ", kind, *id, b" 0 ");
            push_i64(out, workload.ttl_s.map_or(0, |ttl_s| ttl_s.draw(random)) as i64);
            out.push(b' ');
            push_i64(out, value.len() as i64);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        (Kind::Incr, [id]) => key(out, b"ma ", kind, *id, b" N0 J1 v\r\n"),
        (Kind::Del, [id]) => key(out, b"delete ", kind, *id, b"\r\n"),
        (Kind::Expire, [id]) => {
            key(out, b"touch ", kind, *id, b" ");
            push_i64(out, workload.expire_s(random) as i64);
            out.extend_from_slice(b"\r\n");
        }
        (Kind::Ping, _) => out.extend_from_slice(b"version\r\n"),
        (_, ids) => unreachable!("{kind:?} of {} keys", ids.len()),
    }
}

#[inline]
fn key(out: &mut Vec<u8>, head: &[u8], kind: Kind, id: u64, tail: &[u8]) {
    out.extend_from_slice(head);
    out.extend_from_slice(&key_text(kind.prefix(), id));
    out.extend_from_slice(tail);
}

/// Reads a reply.
#[inline]
pub(super) fn read<'a>(bytes: &'a [u8], due: Due<'_>) -> Result<Option<(usize, Outcome<'a>)>, Garbage> {
    let Some(line) = line(bytes)? else { return Ok(None) };
    let len = line.len() + 2;
    let outcome = match (due.kind, line) {
        (Kind::Get | Kind::Mget, _) if line == b"END" || line.starts_with(b"VALUE ") => return values(bytes, due),
        (Kind::Incr, _) if line.starts_with(b"VA ") => {
            let size = line.get(3..).and_then(number).ok_or_else(|| strange(line))?;
            let Some((_, len)) = data(bytes, len, size)? else { return Ok(None) };
            return Ok(Some((len, Outcome::RIGHT)));
        }
        _ if is_error(line) => Outcome::fault(Fault::Error(line)),
        (Kind::Set | Kind::Fill, b"STORED") => Outcome::RIGHT,
        (Kind::Del, b"DELETED" | b"NOT_FOUND") | (Kind::Expire, b"TOUCHED" | b"NOT_FOUND") => Outcome::RIGHT,
        (Kind::Ping, _) if line.starts_with(b"VERSION ") => Outcome::RIGHT,
        // Words of the protocol in the wrong place. Anything else is another protocol.
        (_, b"STORED" | b"NOT_STORED" | b"DELETED" | b"TOUCHED" | b"NOT_FOUND" | b"EXISTS" | b"END" | b"OK") => {
            Outcome::fault(Fault::Strange)
        }
        _ => return Err(strange(line)),
    };
    Ok(Some((len, outcome)))
}

/// Whether a line is an error of memcached.
pub(in crate::loadgen) fn is_error(line: &[u8]) -> bool {
    line == b"ERROR" || line.starts_with(b"CLIENT_ERROR") || line.starts_with(b"SERVER_ERROR")
}

/// The line at the start of `bytes`, without its line end.
pub(in crate::loadgen) fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Garbage> {
    match memchr(b'\n', &bytes[..bytes.len().min(REPLY_LINE_BYTES_MAX)]) {
        None if bytes.len() >= REPLY_LINE_BYTES_MAX => Err("a line that does not end".to_owned()),
        None => Ok(None),
        Some(end) => match bytes[..end].strip_suffix(b"\r") {
            Some(line) => Ok(Some(line)),
            None => Err("a line that does not end in CRLF".to_owned()),
        },
    }
}

/// Reads values and the END after them.
fn values<'a>(bytes: &'a [u8], due: Due<'_>) -> Result<Option<(usize, Outcome<'a>)>, Garbage> {
    let mut outcome = Outcome::RIGHT;
    // Values come in the order of the keys; keys without a value are left out.
    let (mut at, mut key) = (0, 0);
    loop {
        let Some(line) = line(&bytes[at..])? else { return Ok(None) };
        if line == b"END" {
            outcome.misses = u32::from(due.keys).saturating_sub(outcome.hits);
            return Ok(Some((at + line.len() + 2, outcome)));
        }
        let mut words = line.split(|byte| *byte == b' ').skip(1);
        let (name, size) = (words.next().unwrap_or_default(), words.nth(1).and_then(number));
        let Some(size) = size.filter(|_| line.starts_with(b"VALUE ")) else { return Err(strange(line)) };
        let Some((value, end)) = data(bytes, at + line.len() + 2, size)? else { return Ok(None) };
        outcome.hits += 1;
        at = end;
        while key < usize::from(due.keys) && due.ids.get(key).is_none_or(|id| key_text(due.kind.prefix(), *id) != name)
        {
            key += 1;
        }
        if key == usize::from(due.keys) {
            outcome.fault = outcome.fault.or(Some(Fault::Strange));
        } else if !due.is_right(key, value) {
            outcome.fault = outcome.fault.or(Some(Fault::Wrong));
        }
        key += 1;
    }
}

/// A block of `size` bytes at `at`, and the offset behind its CRLF.
fn data(bytes: &[u8], at: usize, size: usize) -> Result<Option<(&[u8], usize)>, Garbage> {
    let Some((data, end)) = bytes.get(at..at + size + 2).and_then(|block| block.split_at_checked(size)) else {
        return Ok(None);
    };
    if end == b"\r\n" { Ok(Some((data, at + size + 2))) } else { Err("a value that does not end in CRLF".to_owned()) }
}

fn number(text: &[u8]) -> Option<usize> {
    let number = crate::resp::number::parse_i64(text)?;
    usize::try_from(number).ok().filter(|number| *number <= crate::limits::VALUE_BYTES_MAX)
}

fn strange(line: &[u8]) -> Garbage {
    format!("not a reply of memcached: {}", excerpt(line))
}
