//! A naive model of the request parser: Redis's C, transliterated over a whole buffer. Slow, copying, obvious.

use super::{Outcome, ParseLimits, ProtocolError};

/// Redis's `processMultibulkBuffer` and `processInlineBuffer` over a whole buffer, as plainly as possible.
pub(super) fn model(mut stream: &[u8], limits: &ParseLimits) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        match model_one(stream, limits) {
            Ok(Some((args, consumed))) => {
                if !args.is_empty() {
                    outcome.commands.push(args);
                }
                stream = &stream[consumed..];
            }
            Ok(None) => {
                outcome.partial = stream.len();
                return outcome;
            }
            Err(error) => {
                outcome.error = Some(error);
                return outcome;
            }
        }
    }
}

type ModelOne = Result<Option<(Vec<Vec<u8>>, usize)>, ProtocolError>;

fn model_one(buf: &[u8], limits: &ParseLimits) -> ModelOne {
    if buf.is_empty() {
        return Ok(None);
    }
    if buf[0] != b'*' {
        let Some(end) = model_find(buf, b'\n', ProtocolError::TooBigInline)? else {
            return Ok(None);
        };
        let line = if end > 0 && buf[end - 1] == b'\r' { &buf[..end - 1] } else { &buf[..end] };
        return Ok(Some((model_split(line).ok_or(ProtocolError::UnbalancedQuotes)?, end + 1)));
    }
    let Some(end) = model_find(buf, b'\r', ProtocolError::TooBigMultibulkCount)? else {
        return Ok(None);
    };
    if end + 2 > buf.len() {
        return Ok(None);
    }
    let count = model_number(&buf[1..end]).ok_or(ProtocolError::InvalidMultibulkLength)?;
    if count > i128::from(limits.args_max) {
        return Err(ProtocolError::InvalidMultibulkLength);
    }
    if count > 10 && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    let mut pos = end + 2;
    let mut args = Vec::new();
    for _ in 0..count.max(0) {
        let Some(end) = model_find(&buf[pos..], b'\r', ProtocolError::TooBigBulkCount)? else {
            return Ok(None);
        };
        if pos + end + 2 > buf.len() {
            return Ok(None);
        }
        if buf[pos] != b'$' {
            return Err(ProtocolError::ExpectedDollar(buf[pos]));
        }
        let len = model_number(&buf[pos + 1..pos + end]).ok_or(ProtocolError::InvalidBulkLength)?;
        if len < 0 || len > i128::from(limits.bulk_bytes_max) {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if len > 16384 && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        pos += end + 2;
        if pos as i128 + len + 2 > i128::from(limits.command_bytes_max) {
            return Err(ProtocolError::TooBigCommand);
        }
        let len = len as usize;
        if pos + len + 2 > buf.len() {
            return Ok(None);
        }
        args.push(buf[pos..pos + len].to_vec());
        pos += len + 2;
    }
    Ok(Some((args, pos)))
}

fn model_find(buf: &[u8], end: u8, too_big: ProtocolError) -> Result<Option<usize>, ProtocolError> {
    match buf.iter().position(|&byte| byte == end) {
        Some(at) if at <= 65536 => Ok(Some(at)),
        _ if buf.len() > 65536 => Err(too_big),
        _ => Ok(None),
    }
}

fn model_number(text: &[u8]) -> Option<i128> {
    let number: i64 = str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(i128::from(number))
}

/// `sdssplitargs`, transliterated: an index, two flags, one switch.
fn model_split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let at = |i: usize| line.get(i).copied();
    let space = |byte: u8| byte == b' ' || (9..=13).contains(&byte);
    let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let (mut p, mut words) = (0, Vec::new());
    loop {
        while at(p).is_some_and(space) {
            p += 1;
        }
        if at(p).is_none() {
            return Some(words);
        }
        let (mut double, mut single, mut done, mut word) = (false, false, false, Vec::new());
        while !done {
            let byte = at(p);
            if double {
                if byte == Some(b'\\')
                    && at(p + 1) == Some(b'x')
                    && hex(at(p + 2)).is_some()
                    && hex(at(p + 3)).is_some()
                {
                    word.push((hex(at(p + 2))? * 16 + hex(at(p + 3))?) as u8);
                    p += 3;
                } else if byte == Some(b'\\') && at(p + 1).is_some() {
                    p += 1;
                    word.push(match at(p)? {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'a' => 7,
                        other => other,
                    });
                } else if byte == Some(b'"') {
                    if at(p + 1).is_some_and(|byte| !space(byte)) {
                        return None;
                    }
                    done = true;
                } else {
                    word.push(byte?);
                }
            } else if single {
                if byte == Some(b'\\') && at(p + 1) == Some(b'\'') {
                    p += 1;
                    word.push(b'\'');
                } else if byte == Some(b'\'') {
                    if at(p + 1).is_some_and(|byte| !space(byte)) {
                        return None;
                    }
                    done = true;
                } else {
                    word.push(byte?);
                }
            } else {
                match byte {
                    None | Some(b' ' | b'\n' | b'\r' | b'\t') => done = true,
                    Some(b'"') => double = true,
                    Some(b'\'') => single = true,
                    Some(byte) => word.push(byte),
                }
            }
            if byte.is_some() {
                p += 1;
            }
        }
        words.push(word);
    }
}
