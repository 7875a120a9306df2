//! Requests as bytes.

use aspine::resp::number::{IntegerText, push_i64};

pub(crate) fn head(out: &mut Vec<u8>, words: usize) {
    out.push(b'*');
    push_i64(out, words as i64);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn word(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'$');
    push_i64(out, word.len() as i64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn number(out: &mut Vec<u8>, value: i64) {
    word(out, IntegerText::new(value).as_bytes());
}

/// A command of a name and words.
pub(crate) fn words(out: &mut Vec<u8>, name: &str, words: &[&[u8]]) {
    head(out, words.len() + 1);
    word(out, name.as_bytes());
    for each in words {
        word(out, each);
    }
}
