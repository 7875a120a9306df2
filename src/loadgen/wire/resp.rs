//! The Redis protocol, RESP2: requests are assembled from constants.

use super::{Due, Fault, Garbage, Outcome};
use crate::loadgen::keys::{KEY_BYTES, key_text};
use crate::loadgen::random::Random;
use crate::loadgen::workload::{Kind, Workload};
use crate::resp::number::push_i64;
use crate::resp::reply::{Item, Kind as Aggregate, Scalar, item};

/// Appends a request.
#[inline]
pub(super) fn encode(out: &mut Vec<u8>, kind: Kind, ids: &[u64], workload: &Workload, random: &mut Random) {
    match (kind, ids) {
        (Kind::Get, [id]) => key(out, b"*2\r\n$3\r\nGET\r\n", kind, *id),
        (Kind::Set | Kind::Fill, [id]) => match workload.ttl_s {
            None => {
                key(out, b"*3\r\n$3\r\nSET\r\n", kind, *id);
                bulk(out, workload.values.draw(*id, random));
            }
            Some(ttl_s) => {
                key(out, b"*5\r\n$3\r\nSET\r\n", kind, *id);
                bulk(out, workload.values.draw(*id, random));
                out.extend_from_slice(b"$2\r\nEX\r\n");
                number(out, ttl_s.draw(random));
            }
        },
        (Kind::Mget, ids) => {
            array(out, 1 + ids.len());
            out.extend_from_slice(b"$4\r\nMGET\r\n");
            ids.iter().for_each(|id| key(out, b"", kind, *id));
        }
        (Kind::Mset, ids) => {
            array(out, 1 + 2 * ids.len());
            out.extend_from_slice(b"$4\r\nMSET\r\n");
            for id in ids {
                key(out, b"", kind, *id);
                bulk(out, workload.values.draw(*id, random));
            }
        }
        (Kind::Incr, [id]) => key(out, b"*2\r\n$4\r\nINCR\r\n", kind, *id),
        (Kind::Del, [id]) => key(out, b"*2\r\n$3\r\nDEL\r\n", kind, *id),
        (Kind::Exists, [id]) => key(out, b"*2\r\n$6\r\nEXISTS\r\n", kind, *id),
        (Kind::Expire, [id]) => {
            key(out, b"*3\r\n$6\r\nEXPIRE\r\n", kind, *id);
            number(out, workload.expire_s(random));
        }
        (Kind::Publish, [id]) => {
            key(out, b"*3\r\n$7\r\nPUBLISH\r\n", kind, *id);
            bulk(out, workload.values.draw(*id, random));
        }
        (Kind::Ping, _) => out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n"),
        (_, ids) => unreachable!("{kind:?} of {} keys", ids.len()),
    }
}

/// Appends an AUTH.
pub(in crate::loadgen) fn auth(out: &mut Vec<u8>, secret: &[u8]) {
    out.extend_from_slice(b"*2\r\n$4\r\nAUTH\r\n");
    bulk(out, secret);
}

#[inline]
fn key(out: &mut Vec<u8>, head: &[u8], kind: Kind, id: u64) {
    const { assert!(KEY_BYTES == 16, "the length that is written below") };
    out.extend_from_slice(head);
    out.extend_from_slice(b"$16\r\n");
    out.extend_from_slice(&key_text(kind.prefix(), id));
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'$');
    push_i64(out, bytes.len() as i64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, number: u64) {
    bulk(out, crate::resp::number::IntegerText::new(number as i64).as_bytes());
}

fn array(out: &mut Vec<u8>, len: usize) {
    out.push(b'*');
    push_i64(out, len as i64);
    out.extend_from_slice(b"\r\n");
}

/// Reads a reply.
#[inline]
pub(super) fn read<'a>(bytes: &'a [u8], due: Due<'_>) -> Result<Option<(usize, Outcome<'a>)>, Garbage> {
    let Some((first, len)) = part(bytes)? else { return Ok(None) };
    match first {
        Item::Whole(scalar) => Ok(Some((len, whole(scalar, due)))),
        Item::Aggregate { kind: Aggregate::Array, count } if due.kind == Kind::Mget => values(bytes, len, count, due),
        Item::Aggregate { .. } => {
            let skipped = crate::resp::reply::skip(bytes).map_err(|error| error.to_string())?;
            Ok(skipped.map(|len| (len, Outcome::fault(Fault::Strange))))
        }
    }
}

/// Reads the item at the start of `bytes`.
#[inline]
pub(in crate::loadgen) fn part(bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Garbage> {
    item(bytes).map_err(|error| error.to_string())
}

#[inline]
fn whole<'a>(scalar: Scalar<'a>, due: Due<'_>) -> Outcome<'a> {
    match (due.kind, scalar) {
        (_, Scalar::Error(text)) => Outcome::fault(Fault::Error(text)),
        (Kind::Get, Scalar::Bulk(Some(value))) => Outcome::hit(due.is_right(0, value)),
        (Kind::Get, Scalar::Bulk(None) | Scalar::Null) => Outcome::MISS,
        (Kind::Set | Kind::Fill | Kind::Mset, Scalar::Simple(text)) => Outcome::expect(text == b"OK"),
        (Kind::Ping, Scalar::Simple(text)) => Outcome::expect(text == b"PONG"),
        (Kind::Incr, Scalar::Integer(_)) => Outcome::RIGHT,
        (Kind::Publish, Scalar::Integer(receivers)) => Outcome::expect(receivers >= 0),
        (Kind::Del | Kind::Exists | Kind::Expire, Scalar::Integer(number)) => Outcome::expect(matches!(number, 0 | 1)),
        _ => Outcome::fault(Fault::Strange),
    }
}

/// Reads the values of an MGET's reply, whose head has `head` bytes.
fn values<'a>(bytes: &'a [u8], head: usize, count: u64, due: Due<'_>) -> Result<Option<(usize, Outcome<'a>)>, Garbage> {
    let mut outcome = Outcome::RIGHT;
    let mut at = head;
    for key in 0..count {
        let Some((item, len)) = part(bytes.get(at..).unwrap_or_default())? else { return Ok(None) };
        at += len;
        match item {
            Item::Whole(Scalar::Bulk(Some(value))) => {
                outcome.hits += 1;
                if !due.is_right(key as usize, value) {
                    outcome.fault = outcome.fault.or(Some(Fault::Wrong));
                }
            }
            Item::Whole(Scalar::Bulk(None) | Scalar::Null) => outcome.misses += 1,
            Item::Whole(Scalar::Error(text)) => outcome.fault = Some(Fault::Error(text)),
            Item::Whole(_) => outcome.fault = Some(Fault::Strange),
            Item::Aggregate { .. } => return Err("an array in the reply to MGET".to_owned()),
        }
    }
    if count != u64::from(due.keys) {
        outcome.fault = Some(Fault::Strange);
    }
    Ok(Some((at, outcome)))
}
