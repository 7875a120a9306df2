//! Encoding of requests: each command that the client knows, once for all transports.
//!
//! Never: copies an argument twice, or repeats a check of the server.

use std::time::Duration;

use crate::resp::number::push_i64;

/// Appends the head of a request of `words` words.
#[inline]
pub(crate) fn head(out: &mut Vec<u8>, words: usize) {
    out.push(b'*');
    push_i64(out, words as i64);
    out.extend_from_slice(b"\r\n");
}

/// Appends one word.
#[inline]
pub(crate) fn word(out: &mut Vec<u8>, word: &[u8]) {
    out.reserve(word.len() + WORD_FRAME_BYTES);
    out.push(b'$');
    push_i64(out, word.len() as i64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// Bytes of a word's framing at most: `$`, a length, two line ends.
const WORD_FRAME_BYTES: usize = 1 + 20 + 2 + 2;

/// Appends a request.
#[inline]
pub(crate) fn words<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = A>) {
    head(out, args.len());
    for arg in args {
        word(out, arg.as_ref());
    }
}

fn number(out: &mut Vec<u8>, value: i64) {
    word(out, crate::resp::number::IntegerText::new(value).as_bytes());
}

/// A time to live in the unit of the protocol: whole milliseconds, at least one.
fn millis(ttl: Duration) -> i64 {
    let up = ttl.as_nanos().div_ceil(1_000_000).max(1);
    i64::try_from(up).unwrap_or(i64::MAX)
}

/// Appends a command whose only argument is a key, such as GET.
#[inline]
pub(crate) fn of_key(out: &mut Vec<u8>, name: &[u8], key: &[u8]) {
    out.extend_from_slice(b"*2\r\n");
    word(out, name);
    word(out, key);
}

/// Appends a SET.
#[inline]
pub(crate) fn set(out: &mut Vec<u8>, key: &[u8], value: &[u8], ttl: Option<Duration>, if_absent: bool) {
    head(out, 3 + 2 * usize::from(ttl.is_some()) + usize::from(if_absent));
    word(out, b"SET");
    word(out, key);
    word(out, value);
    if if_absent {
        word(out, b"NX");
    }
    if let Some(ttl) = ttl {
        word(out, b"PX");
        number(out, millis(ttl));
    }
}

/// Appends an MSETEX.
pub(crate) fn mset(out: &mut Vec<u8>, pairs: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)], ttl: Option<Duration>) {
    head(out, 2 + 2 * pairs.len() + 2 * usize::from(ttl.is_some()));
    word(out, b"MSETEX");
    number(out, pairs.len() as i64);
    for (key, value) in pairs {
        word(out, key.as_ref());
        word(out, value.as_ref());
    }
    if let Some(ttl) = ttl {
        word(out, b"PX");
        number(out, millis(ttl));
    }
}

/// Appends an MGET.
pub(crate) fn mget<K: AsRef<[u8]>>(out: &mut Vec<u8>, keys: impl ExactSizeIterator<Item = K>) {
    head(out, 1 + keys.len());
    word(out, b"MGET");
    for key in keys {
        word(out, key.as_ref());
    }
}

/// Appends an INCRBY.
pub(crate) fn incr(out: &mut Vec<u8>, key: &[u8], by: i64) {
    out.extend_from_slice(b"*3\r\n$6\r\nINCRBY\r\n");
    word(out, key);
    number(out, by);
}

/// Appends a PEXPIRE.
pub(crate) fn expire(out: &mut Vec<u8>, key: &[u8], ttl: Duration) {
    out.extend_from_slice(b"*3\r\n$7\r\nPEXPIRE\r\n");
    word(out, key);
    // A time to live of zero, or below, deletes the key.
    number(out, if ttl.is_zero() { 0 } else { millis(ttl) });
}

/// Appends a SCAN: one step of a walk.
pub(crate) fn scan(out: &mut Vec<u8>, cursor: &[u8], pattern: &[u8], count: i64) {
    out.extend_from_slice(b"*6\r\n$4\r\nSCAN\r\n");
    word(out, cursor);
    word(out, b"MATCH");
    word(out, pattern);
    word(out, b"COUNT");
    number(out, count);
}

/// Appends a SAVE.
pub(crate) fn save(out: &mut Vec<u8>, name: Option<&str>) {
    words(out, [Some("SAVE"), name].into_iter().flatten().collect::<Vec<_>>().into_iter());
}

/// Appends an ASPINE.LOAD.
pub(crate) fn load(out: &mut Vec<u8>, name: Option<&str>, merge: bool) {
    let how = if merge { "MERGE" } else { "REPLACE" };
    words(out, [Some("ASPINE.LOAD"), name, Some(how)].into_iter().flatten().collect::<Vec<_>>().into_iter());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn requests_are_written_whole() {
        let ttl = Some(Duration::from_micros(1500));
        assert_eq!(text(|out| set(out, b"k", b"v", None, false)), "*3 $3 SET $1 k $1 v ");
        assert_eq!(text(|out| set(out, b"k", b"v", ttl, true)), "*6 $3 SET $1 k $1 v $2 NX $2 PX $1 2 ");
        assert_eq!(text(|out| set(out, b"k", b"v", Some(Duration::ZERO), false)), "*5 $3 SET $1 k $1 v $2 PX $1 1 ");
        assert_eq!(text(|out| mset(out, &[("k", "v")], ttl)), "*6 $6 MSETEX $1 1 $1 k $1 v $2 PX $1 2 ");
        assert_eq!(text(|out| mget(out, ["a", "b"].iter())), "*3 $4 MGET $1 a $1 b ");
        assert_eq!(text(|out| expire(out, b"k", Duration::MAX)), format!("*3 $7 PEXPIRE $1 k $19 {} ", i64::MAX));
        assert_eq!(text(|out| load(out, Some("n"), true)), "*3 $11 ASPINE.LOAD $1 n $5 MERGE ");
        assert_eq!(text(|out| save(out, None)), "*1 $4 SAVE ");
    }
}
